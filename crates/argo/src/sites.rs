//! The clusters that Applications are delivered to: the one that this runs in, and those that Secrets describe.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use controller::Context;
use delivery::connect;
use delivery::memory::Memory;
use futures::future::BoxFuture;
use helm::{Capabilities, KubeVersion};
use object::{Gvk, Key, Value, meta};
use sha2::{Digest, Sha256};

use crate::application::spec;
use crate::options::REQUESTS;
use crate::owned::Owned;
use crate::project::Destination;
use crate::settings::{self, IN_CLUSTER, LOCAL_SERVER};

/// Finds a cluster beside this one by its name: a child of an embedded cluster.
pub type Children = Arc<dyn Fn(String) -> BoxFuture<'static, Option<kube::Client>> + Send + Sync>;

/// A cluster, and what is remembered of it.
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its address, as destinations name it.
    pub server: String,
    /// The project that alone may use it; empty for all.
    pub project: String,
    /// The cluster.
    pub cluster: cluster::Cluster,
    /// What was applied, so that unchanged objects cost no request.
    pub memory: Memory,
    /// Live objects by the application that they name.
    pub owned: Owned,
    /// The engine's name for it; the own cluster has none.
    place: Option<String>,
    namespaces: Vec<String>,
    cluster_resources: bool,
    version: tokio::sync::OnceCell<KubeVersion>,
}

impl Site {
    fn own(cluster: cluster::Cluster) -> Site {
        Site {
            name: IN_CLUSTER.to_owned(),
            server: LOCAL_SERVER.to_owned(),
            project: String::new(),
            memory: Memory::new(REQUESTS),
            owned: Owned::of_cluster(&cluster),
            cluster,
            place: None,
            namespaces: Vec::new(),
            cluster_resources: true,
            version: tokio::sync::OnceCell::new(),
        }
    }

    fn other(client: kube::Client, declared: &settings::Cluster, place: String) -> Site {
        Site {
            name: declared.name.clone(),
            server: declared.server.clone(),
            project: declared.project.clone(),
            place: Some(place),
            namespaces: declared.namespaces.clone(),
            cluster_resources: declared.cluster_resources,
            ..Site::own(connect::cluster_within(client, declared.limits()))
        }
    }

    /// Is it the cluster that this runs in?
    pub fn is_own(&self) -> bool {
        self.place.is_none()
    }

    /// A pass that looks at this cluster.
    pub fn look(&self, context: &Context) -> Context {
        match &self.place {
            None => context.clone(),
            Some(place) => context.at(place, &self.cluster),
        }
    }

    /// A namespace of it, as projects judge it.
    pub fn at<'a>(&'a self, namespace: &'a str) -> Destination<'a> {
        Destination { server: &self.server, name: &self.name, namespace }
    }

    /// Why an object is none that is managed there: a cluster's Secret may name the only namespaces.
    pub fn unmanaged(&self, key: &Key) -> Option<String> {
        if self.namespaces.is_empty() || (key.namespace.is_empty() && self.cluster_resources) {
            return None;
        }
        if key.namespace.is_empty() {
            let line = format!(
                "Cluster level {} \"{}\" can not be managed when in namespaced mode",
                key.kind, key.name
            );
            return Some(line);
        }
        (!self.namespaces.contains(&key.namespace)).then(|| {
            format!("Namespace \"{}\" for {} \"{}\" is not managed", key.namespace, key.kind, key.name)
        })
    }

    /// What charts may know of the cluster. Its version is asked for once, what it serves is remembered by discovery.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn capabilities(&self) -> Result<Capabilities, cluster::Error> {
        let ask = || async {
            let version = self.cluster.server_version().await?;
            let text = |field: &str| object::get_str(&version, &[field]).unwrap_or_default().to_owned();
            Ok(KubeVersion::of_server(&text("gitVersion"), &text("major"), &text("minor")))
        };
        let kube_version = self.version.get_or_try_init(ask).await?.clone();
        let api_versions = self.cluster.api_versions().await?;
        let api_versions = api_versions.iter().cloned().collect();
        Ok(Capabilities { kube_version, api_versions, ..Capabilities::default() })
    }
}

/// All clusters.
pub struct Sites {
    home: String,
    children: Option<Children>,
    own: OnceLock<Arc<Site>>,
    others: Mutex<HashMap<String, (String, Arc<Site>)>>,
    told: OnceLock<()>,
}

/// The input that stands for all Secrets of clusters.
fn input() -> Key {
    Key::new("clusters.argoproj.io", "Clusters", "", "all")
}

fn digest(value: &str) -> String {
    hex::encode(Sha256::digest(value))
}

/// The Secrets of clusters in `home`, of those that the store knows.
fn secrets(store: &cluster::Store, home: &str) -> Vec<Value> {
    let mut found = store.list("", "Secret");
    found.retain(|secret| {
        meta::namespace(secret) == Some(home)
            && meta::label(secret, crate::names::SECRET_TYPE) == Some("cluster")
    });
    found
}

/// What of them decides about anything.
fn identity(secrets: &[Value]) -> String {
    let parts = secrets.iter().map(|secret| {
        let part = |path: &[&str]| object::get(secret, path).map(Value::to_string).unwrap_or_default();
        let metadata = |field: &str| part(&["metadata", field]);
        [metadata("name"), metadata("labels"), metadata("annotations"), part(&["data"])].join(" ")
    });
    digest(&parts.collect::<Vec<_>>().join("\n"))
}

/// The cluster of a destination, as Secrets in `home` describe it now; for who looks from outside the engine.
///
/// # Errors
/// With the line for people.
pub async fn connect(
    cluster: &cluster::Cluster,
    home: &str,
    destination: &spec::Destination,
) -> Result<cluster::Cluster, String> {
    if destination.is_in_cluster() {
        return Ok(cluster.clone());
    }
    let options = cluster::ListOptions {
        namespace: home.to_owned(),
        labels: format!("{}=cluster", crate::names::SECRET_TYPE),
        ..cluster::ListOptions::default()
    };
    let secrets = cluster.list(&Gvk::new("", "v1", "Secret"), &options).await;
    let secrets = secrets.map_err(|error| error.to_string())?;
    let (server, name) = (destination.server.trim_end_matches('/'), destination.name.as_str());
    let fits = |one: &settings::Cluster| match server {
        "" => one.name == name,
        server => one.server == server,
    };
    let mut declared = secrets.iter().filter_map(settings::Cluster::from_secret).flatten().filter(fits);
    let declared = declared.next().ok_or_else(|| {
        format!("no Secret in {home} describes the cluster {}", if server.is_empty() { name } else { server })
    })?;
    if declared.is_local() {
        return Ok(cluster.clone());
    }
    let config = connect::config(&declared.kubeconfig()?).await?;
    Ok(connect::cluster_within(connect::client(config)?, declared.limits()))
}

impl Sites {
    /// Described by Secrets in the namespace `home`.
    pub fn new(home: &str, children: Option<Children>) -> Sites {
        Sites {
            home: home.to_owned(),
            children,
            own: OnceLock::new(),
            others: Mutex::default(),
            told: OnceLock::new(),
        }
    }

    /// The cluster that this runs in.
    pub fn own(&self, context: &Context) -> Arc<Site> {
        self.own.get_or_init(|| Arc::new(Site::own(context.cluster.clone()))).clone()
    }

    /// The Secrets of clusters. The unit runs again when one of them changes.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn declared(&self, context: &Context) -> Result<Vec<Value>, cluster::Error> {
        context.watch(&Gvk::new("", "v1", "Secret")).await?;
        let store = context.cluster.store().clone();
        self.told.get_or_init(|| {
            let (mut changes, store, home, teller) =
                (store.changes(), store.clone(), self.home.clone(), context.clone());
            tokio::spawn(async move {
                while let Some(change) = changes.recv().await {
                    if change.key.kind == "Secret" && change.key.namespace == home {
                        teller.announce(&input(), &identity(&secrets(&store, &home)));
                    }
                }
            });
        });
        let found = secrets(&store, &self.home);
        context.depend(&input(), &identity(&found));
        Ok(found)
    }

    /// The cluster of a destination, or why there is none: the words of InvalidSpecError.
    ///
    /// # Errors
    /// When the own cluster cannot be asked.
    pub async fn find(
        &self,
        context: &Context,
        destination: &spec::Destination,
    ) -> Result<Result<Arc<Site>, String>, cluster::Error> {
        if destination.is_in_cluster() {
            return Ok(Ok(self.own(context)));
        }
        let (server, name) = (destination.server.trim_end_matches('/'), destination.name.as_str());
        let secrets = self.declared(context).await?;
        let mut found = Vec::new();
        for declared in secrets.iter().filter_map(settings::Cluster::from_secret) {
            match declared {
                Ok(declared) if server.is_empty() && declared.name == name => found.push(declared),
                Ok(declared) if !server.is_empty() && declared.server == server => found.push(declared),
                Ok(_) => {}
                Err(why) => tracing::warn!(why, "a cluster cannot be read"),
            }
        }
        if server.is_empty() && found.len() > 1 {
            let servers: Vec<&str> = found.iter().map(|one| one.server.as_str()).collect();
            let line =
                format!("there are {} clusters with the same name: [{}]", found.len(), servers.join(" "));
            return Ok(Err(line));
        }
        let Some(declared) = found.into_iter().next() else {
            if server.is_empty()
                && let Some(site) = self.child(name).await
            {
                return Ok(Ok(site));
            }
            return Ok(Err(match server {
                "" => format!("there are no clusters with this name: {name}"),
                server => format!("error getting cluster by server {server:?}: cluster {server:?} not found"),
            }));
        };
        if declared.is_local() {
            return Ok(Ok(self.own(context)));
        }
        Ok(self.other(context, &declared).await)
    }

    /// A cluster beside an embedded one.
    async fn child(&self, name: &str) -> Option<Arc<Site>> {
        let place = format!("child {name}");
        let client = self.children.as_ref()?(name.to_owned()).await;
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = client else {
            others.remove(&place);
            return None;
        };
        let (_, site) = others.entry(place.clone()).or_insert_with(|| {
            let server = format!("{LOCAL_SERVER}/clusters/{name}");
            let declared = settings::Cluster::named(name, &server);
            (String::new(), Arc::new(Site::other(client, &declared, place)))
        });
        Some(site.clone())
    }

    /// A declared cluster; the connection is made once, and anew when it is declared otherwise.
    async fn other(&self, context: &Context, declared: &settings::Cluster) -> Result<Arc<Site>, String> {
        let kubeconfig = declared.kubeconfig()?;
        let how = digest(&format!(
            "{kubeconfig} {:?} {} {}",
            declared.namespaces, declared.cluster_resources, declared.project
        ));
        let known = |others: &HashMap<String, (String, Arc<Site>)>| {
            others.get(&declared.server).filter(|(then, _)| *then == how).map(|(_, site)| site.clone())
        };
        if let Some(site) = known(&self.others.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(site);
        }
        let named = |why| format!("cluster {}: {why}", declared.server);
        let config = connect::config(&kubeconfig).await.map_err(named)?;
        let client = connect::client(config).map_err(named)?;
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(site) = known(&others) {
            return Ok(site);
        }
        let place = format!("{} {}", declared.server, how.get(..8).unwrap_or_default());
        let site = Arc::new(Site::other(client, declared, place));
        if let Some((_, before)) = others.insert(declared.server.clone(), (how, site.clone()))
            && let Some(place) = &before.place
        {
            context.leave(place);
        }
        Ok(site)
    }
}
