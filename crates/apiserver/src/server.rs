//! The public face: open, client, service, serve, shut down.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::auth::User;
use crate::credentials::Credentials;
use crate::store::Store;
use crate::{OpenError, ServeError, bootstrap, crd, listen, router};

/// A response body: whole or streamed (watches).
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// Where objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory only; gone with the process.
    Ephemeral,
    /// In this directory; every acknowledged write survives `kill -9` and power loss.
    Path(PathBuf),
}

/// Something that the user should be told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The object that it is about, as `Kind/name`.
    pub about: String,
    /// One sentence.
    pub message: String,
}

/// How to open a [`Server`].
#[derive(Clone)]
pub struct Options {
    /// Where objects are kept.
    pub storage: Storage,
    /// CustomResourceDefinitions (or any other cluster-scoped objects) applied at start.
    pub crds: Vec<Value>,
    /// The administrator's bearer token; made and kept in the state directory when absent.
    pub token: Option<String>,
    /// Whether pods get a service account and its token, as where a controller makes the accounts.
    pub service_accounts: bool,
    /// Called once for each thing that is bypassed (webhooks of simulated backends ...).
    pub on_notice: Option<Arc<dyn Fn(Notice) + Send + Sync>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            storage: Storage::Ephemeral,
            crds: Vec::new(),
            token: None,
            service_accounts: false,
            on_notice: None,
        }
    }
}

/// A running embedded Kubernetes API. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    app: Arc<App>,
}

impl Server {
    /// Opens the state, creates what every cluster has, and applies `options.crds`.
    pub async fn open(options: Options) -> Result<Server, OpenError> {
        let token = options.token.as_deref();
        let (store, credentials) = match &options.storage {
            Storage::Ephemeral => (Store::ephemeral(), Credentials::generate(token)?),
            Storage::Path(path) => {
                // The store takes the lock, so it comes first.
                let store = Store::open(path)?;
                let credentials = Credentials::load(path, token)?;
                (store, credentials)
            }
        };
        let app = Arc::new(App::new(store, options, credentials));
        {
            let mut allocator = app.allocator.lock();
            for service in app.store.list("services", "").1 {
                allocator.occupy(&service.value());
            }
        }
        bootstrap::run(&app).await?;
        crd::resume(&app);
        bootstrap::preload(&app, &app.options.crds).await?;
        tokio::spawn(compact(Arc::downgrade(&app), app.stop.clone()));
        Ok(Server { app })
    }

    /// A client that reaches this server in process, without a socket, as an administrator.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// The API as a service, with an administrator's rights (impersonation headers are honoured).
    pub fn service(&self) -> ApiService {
        ApiService { app: self.app.clone(), trusted: Some(User::admin()) }
    }

    /// Serves the API on a loopback address with TLS and a bearer token; port 0 takes any free one.
    pub async fn serve(&self, addr: SocketAddr) -> Result<Serving, ServeError> {
        let service = ApiService { app: self.app.clone(), trusted: None };
        let addr = listen::start(&self.app, service, addr).await?;
        let credentials = &self.app.credentials;
        Ok(Serving { addr, ca_pem: credentials.ca_pem.clone(), token: credentials.token.clone() })
    }

    /// Applies CustomResourceDefinitions (create or update) and makes them served at once.
    pub async fn apply_crds(&self, crds: &[Value]) -> Result<(), OpenError> {
        bootstrap::preload(&self.app, crds).await
    }

    /// The newest revision of the cluster's objects.
    pub fn revision(&self) -> u64 {
        self.app.store.revision()
    }

    /// Ends watches and listeners, makes the last writes durable and releases the state directory.
    pub async fn shutdown(&self) {
        self.app.stop.cancel();
        self.app.store.close().await;
    }
}

/// How long changes are kept for watches and older lists, at least; as long as in Kubernetes.
const KEPT: Duration = Duration::from_secs(5 * 60);

/// Forgets changes when they are old.
async fn compact(app: Weak<App>, stop: CancellationToken) {
    let mut before = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(KEPT) => {}
        }
        let Some(app) = app.upgrade() else { return };
        let now = app.store.revision();
        if let Some(revision) = before.replace(now) {
            app.store.compact(revision);
        }
    }
}

/// The address and credentials of a served API. Dropping it keeps serving; see [`Server::shutdown`].
#[derive(Debug, Clone)]
pub struct Serving {
    /// The bound address.
    pub addr: SocketAddr,
    /// The certificate authority's certificate.
    pub ca_pem: String,
    /// The administrator's bearer token.
    pub token: String,
}

impl Serving {
    /// A kubeconfig (YAML) whose current context `landfall` is this server.
    pub fn kubeconfig(&self) -> String {
        use base64::Engine;
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.ca_pem);
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: landfall\n  cluster:\n    server: https://{}\n    certificate-authority-data: {ca}\nusers:\n- name: landfall\n  user:\n    token: {}\ncontexts:\n- name: landfall\n  context:\n    cluster: landfall\n    user: landfall\ncurrent-context: landfall\n",
            self.addr, self.token
        )
    }
}

/// The API as a `tower::Service`.
#[derive(Clone)]
pub struct ApiService {
    app: Arc<App>,
    /// The user of every request; without one, requests bring a token.
    trusted: Option<User>,
}

impl<B> tower::Service<Request<B>> for ApiService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (app, trusted) = (self.app.clone(), self.trusted.clone());
        Box::pin(async move { Ok(router::answer(app, trusted, request).await) })
    }
}
