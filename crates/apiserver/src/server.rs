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
use crate::router::Caller;
use crate::store::Store;
use crate::store::backup::{self, BackupError};
use crate::{OpenError, ServeError, automatic, bootstrap, crd, listen, router};

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
    /// Called with each child cluster that begins to run, so that workloads can be simulated in it.
    pub on_child: Option<OnChild>,
}

/// What is called with the name of a child cluster and with the cluster.
pub type OnChild = Arc<dyn Fn(&str, &Server) + Send + Sync>;

impl Default for Options {
    fn default() -> Self {
        Options {
            storage: Storage::Ephemeral,
            crds: Vec::new(),
            token: None,
            service_accounts: false,
            on_notice: None,
            on_child: None,
        }
    }
}

/// A running embedded Kubernetes API. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    pub(crate) app: Arc<App>,
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
        bootstrap::run(&app).await?;
        crd::resume(&app);
        bootstrap::preload(&app, &app.options.crds).await?;
        Ok(Server::begin(app))
    }

    /// Reads what is kept of objects in other forms, and starts what runs beside requests.
    pub(crate) fn begin(app: Arc<App>) -> Server {
        {
            let mut allocator = app.allocator.lock();
            for service in app.store.list("services", "").1 {
                let service = service.value();
                allocator.occupy(&service);
                automatic::service(&app, None, Some(&service));
            }
        }
        crate::admission::webhooks::reload(&app);
        tokio::spawn(compact(Arc::downgrade(&app), app.stop.clone()));
        Server { app }
    }

    pub(crate) fn of(app: Arc<App>) -> Server {
        Server { app }
    }

    /// Writes all objects as they are at this moment; writes go on meanwhile. Keys and tokens are not part of it.
    pub fn backup(&self, to: impl std::io::Write) -> Result<(), BackupError> {
        backup::write(&self.app.store.snapshot(), to)
    }

    /// A client that reaches this server in process, without a socket, as an administrator.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// The API as a service, with an administrator's rights (impersonation headers are honoured).
    pub fn service(&self) -> ApiService {
        ApiService { app: self.app.clone(), trusted: Some(User::admin()), certified: None }
    }

    /// Serves the API on a loopback address with TLS and a bearer token; port 0 takes any free one.
    pub async fn serve(&self, addr: SocketAddr) -> Result<Serving, ServeError> {
        let service = ApiService { app: self.app.clone(), trusted: None, certified: None };
        let addr = listen::start(&self.app, service, addr).await?;
        bootstrap::reach(&self.app, addr);
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
        for child in self.app.children.running() {
            Box::pin(child.shutdown()).await;
        }
        self.app.stop.cancel();
        self.app.store.end_watches();
        self.app.store.close().await;
    }
}

/// Makes the state in a directory that has none yet from a backup.
pub fn restore(from: impl std::io::Read, directory: &std::path::Path) -> Result<(), BackupError> {
    let mut snapshot = backup::read(from)?;
    // Whoever watched the cluster that was lost may have seen later revisions.
    snapshot.revision = snapshot.revision.saturating_add(crate::store::CRASH_GAP);
    Store::create(&snapshot, directory).map_err(|error| BackupError::State(Box::new(error)))
}

/// Reads a backup to its end and gives the number of its objects.
pub fn check_backup(from: impl std::io::Read) -> Result<usize, BackupError> {
    Ok(backup::read(from)?.tables.values().map(std::collections::BTreeMap::len).sum())
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
        automatic::renew(&app);
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
        kubeconfig("landfall", &format!("https://{}", self.addr), &self.ca_pem, &self.token)
    }
}

/// A kubeconfig (YAML) with one context.
pub fn kubeconfig(name: &str, server: &str, ca_pem: &str, token: &str) -> String {
    use base64::Engine;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {name}\n  cluster:\n    server: {server}\n    certificate-authority-data: {ca}\nusers:\n- name: {name}\n  user:\n    token: {token}\ncontexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\ncurrent-context: {name}\n"
    )
}

/// The API as a `tower::Service`.
#[derive(Clone)]
pub struct ApiService {
    app: Arc<App>,
    /// The user of every request; without one, requests bring a token.
    trusted: Option<User>,
    /// The user whose certificate the connection began with.
    certified: Option<User>,
}

impl ApiService {
    pub(crate) fn certified(self, certified: Option<User>) -> ApiService {
        ApiService { certified, ..self }
    }
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
        let app = self.app.clone();
        // A child cluster has an authority of its own, so that a certificate says nothing there.
        let caller = match (&self.trusted, &self.certified) {
            (Some(user), _) => Caller::Inside(user.clone()),
            (None, Some(user)) if !router::is_child(request.uri()) => Caller::Certified(user.clone()),
            (None, _) => Caller::Unknown,
        };
        Box::pin(async move { Ok(router::answer(app, caller, request).await) })
    }
}
