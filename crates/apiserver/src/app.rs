//! What every request shares.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, Resource};
use crate::credentials::Credentials;
use crate::network::Allocator;
use crate::server::{Notice, Options};
use crate::store::{Object, Store};

/// The running API.
pub struct App {
    /// Objects.
    pub store: Store,
    /// What is served now.
    pub catalog: RwLock<Arc<Catalog>>,
    /// What is served without any custom resource.
    pub builtin: Arc<Catalog>,
    /// How it was opened.
    pub options: Options,
    /// Certificates, keys and the administrator's token.
    pub credentials: Credentials,
    /// Ends watches and listeners.
    pub stop: CancellationToken,
    /// Service addresses and ports in use.
    pub allocator: Mutex<Allocator>,
    /// Compiled expressions of admission policies.
    pub programs: crate::admission::expressions::Programs,
    /// Whose turn it is.
    pub flows: crate::flows::Flows,
    /// What is counted of requests.
    pub metrics: crate::metrics::Metrics,
    /// Admission webhooks as they are configured now.
    pub hooks: crate::admission::webhooks::Hooks,
    /// Held while a write that a quota counts is checked and done.
    pub quota: Mutex<()>,
    /// What is known of each custom resource definition.
    pub definitions: crate::definitions::Definitions,
    /// Clusters that live beside this one in the process.
    pub children: crate::clusters::Children,
    /// Held while the catalog is rebuilt.
    pub catalog_change: Mutex<()>,
    /// The text of OpenAPI documents by path, for the catalog's generation.
    pub documents: Mutex<crate::openapi::Documents>,
    /// What was already told.
    told: Mutex<HashSet<String>>,
}

impl App {
    /// Assembles the parts.
    pub fn new(store: Store, options: Options, credentials: Credentials) -> App {
        let builtin = Arc::new(Catalog::builtin());
        App::sharing(store, options, credentials, builtin.clone(), builtin, Default::default())
    }

    /// Assembles the parts of a cluster that begins with what another one serves.
    pub fn sharing(
        store: Store,
        options: Options,
        credentials: Credentials,
        builtin: Arc<Catalog>,
        catalog: Arc<Catalog>,
        definitions: crate::definitions::Definitions,
    ) -> App {
        App {
            store,
            catalog: RwLock::new(catalog),
            builtin,
            options,
            credentials,
            stop: CancellationToken::new(),
            allocator: Mutex::new(Allocator::default()),
            programs: Default::default(),
            flows: Default::default(),
            metrics: Default::default(),
            hooks: Default::default(),
            quota: Mutex::new(()),
            definitions,
            children: Default::default(),
            catalog_change: Mutex::new(()),
            documents: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// What is served now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().clone()
    }

    /// Tells the user something once.
    pub fn tell(&self, about: &str, message: String) {
        let news = self.told.lock().insert(format!("{about}\0{message}"));
        if !news {
            return;
        }
        tracing::info!(about, message, "notice");
        if let Some(callback) = &self.options.on_notice {
            callback(Notice { about: about.to_owned(), message });
        }
    }

    /// An object as a tree, by table and key.
    pub fn tree(&self, table: &str, key: &str) -> Option<Value> {
        self.store.get(table, key).map(|object| object.value())
    }

    /// A stored object of a resource.
    pub fn object(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.store.get(&resource.table, &resource.key(namespace, name))
    }
}

/// Now, as Kubernetes writes times.
pub fn now() -> String {
    time_text(jiff::Timestamp::now())
}

/// A time as Kubernetes writes it: whole seconds, UTC.
pub fn time_text(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
