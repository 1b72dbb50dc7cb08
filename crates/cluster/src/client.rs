//! Requests: read, apply, patch, delete.

use std::sync::Arc;
use std::time::Duration;

use object::Gvk;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::discovery::{Cache, Resource, escape};
use crate::error::{Error, ErrorKind, mask};
use crate::events::Recorder;
use crate::store::Store;

/// Settings of a [`Cluster`].
#[derive(Debug, Clone)]
pub struct Options {
    /// How many requests may be in flight at once.
    pub max_in_flight: usize,
    /// How often a request is repeated when the server is busy or away.
    pub retries: u32,
    /// What alone is watched.
    pub watched: Limits,
}

/// The part of a cluster that is watched; what is outside of it is not known to the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The only namespaces; empty for the whole cluster.
    pub namespaces: Vec<String>,
    /// Although namespaces are named: objects in no namespace, too?
    pub cluster_scoped: bool,
}

impl Limits {
    /// The namespaces in which a kind is watched, an empty name for all together.
    pub(crate) fn places(&self, namespaced: bool) -> Vec<String> {
        match (self.namespaces.is_empty(), namespaced) {
            (true, _) => vec![String::new()],
            (false, true) => self.namespaces.clone(),
            (false, false) if self.cluster_scoped => vec![String::new()],
            (false, false) => Vec::new(),
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options { max_in_flight: 64, retries: 5, watched: Limits::default() }
    }
}

/// How to apply an object.
#[derive(Debug, Clone, Default)]
pub struct Apply {
    /// The field manager.
    pub manager: String,
    /// Take fields over from other managers.
    pub force: bool,
    /// Let the server answer without writing.
    pub dry_run: bool,
    /// A subresource, or empty.
    pub subresource: String,
}

impl Apply {
    /// A forced apply by `manager`.
    pub fn forced(manager: &str) -> Apply {
        Apply { manager: manager.to_owned(), force: true, ..Apply::default() }
    }
}

/// The dialects of PATCH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 7396.
    Merge,
    /// RFC 6902.
    Json,
    /// Kubernetes' own.
    Strategic,
}

/// How to patch.
#[derive(Debug, Clone, Default)]
pub struct PatchOptions {
    /// The field manager.
    pub manager: String,
    /// A subresource, or empty.
    pub subresource: String,
    /// Let the server answer without writing.
    pub dry_run: bool,
}

/// What happens to the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They go after it.
    #[default]
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct Delete {
    /// What happens to dependents.
    pub propagation: Propagation,
    /// Only if the object still has this UID.
    pub uid: Option<String>,
    /// Let the server answer without deleting.
    pub dry_run: bool,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// A namespace, or all.
    pub namespace: String,
    /// A label selector.
    pub labels: String,
    /// A field selector.
    pub fields: String,
}

struct Inner {
    client: kube::Client,
    options: Options,
    permits: Semaphore,
    cache: Cache,
    store: Store,
    recorder: Recorder,
}

/// A cluster. Cheap to clone; clones share discovery, store and the bound on requests.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    user: Option<Arc<str>>,
}

impl Cluster {
    /// A cluster behind `client`. Needs a tokio runtime: events are written in the background.
    pub fn new(client: kube::Client) -> Cluster {
        Cluster::with_options(client, Options::default())
    }

    /// The same with settings of your own.
    pub fn with_options(client: kube::Client, options: Options) -> Cluster {
        let (recorder, notes) = Recorder::new();
        let options = Options { max_in_flight: options.max_in_flight.max(1), ..options };
        let cluster = Cluster {
            inner: Arc::new(Inner {
                client,
                permits: Semaphore::new(options.max_in_flight),
                options,
                cache: Cache::default(),
                store: Store::new(),
                recorder,
            }),
            user: None,
        };
        crate::events::spawn_writer(&cluster, notes);
        cluster
    }

    /// The same cluster, seen and changed as another user (impersonation).
    pub fn as_user(&self, user: &str) -> Cluster {
        Cluster { inner: self.inner.clone(), user: Some(user.into()) }
    }

    /// The client below.
    pub fn client(&self) -> &kube::Client {
        &self.inner.client
    }

    /// The watch-fed copy of the kinds in use.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.inner.recorder
    }

    pub(crate) fn downgrade(&self) -> WeakCluster {
        WeakCluster(Arc::downgrade(&self.inner))
    }

    /// Starts (once) to watch the kind and waits for its first complete list.
    pub async fn watch(&self, gvk: &Gvk) -> Result<(), Error> {
        crate::watch::ensure(self, gvk).await
    }

    /// What alone is watched.
    pub(crate) fn watched(&self) -> &Limits {
        &self.inner.options.watched
    }

    /// Are requests of ours under way? Watches do not count.
    pub(crate) fn is_busy(&self) -> bool {
        self.inner.permits.available_permits() < self.inner.options.max_in_flight
    }

    /// One request; busy servers and broken connections are asked again, everything we send may be repeated.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        content: &str,
    ) -> Result<Value, Error> {
        let bytes = match body {
            Some(body) => {
                serde_json::to_vec(body).map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?
            }
            None => Vec::new(),
        };
        let mut attempt = 0;
        loop {
            let result = self.raw_once(method, path, &bytes, content).await;
            match result {
                Err(error)
                    if matches!(error.kind, ErrorKind::Busy | ErrorKind::Unreachable)
                        && error.code != 500
                        && attempt < self.inner.options.retries =>
                {
                    tracing::debug!(method, path, attempt, %error, "asking again");
                    tokio::time::sleep(Duration::from_millis(50 << attempt.min(6))).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn raw_once(&self, method: &str, path: &str, body: &[u8], content: &str) -> Result<Value, Error> {
        let _permit = self.inner.permits.acquire().await;
        let mut request =
            http::Request::builder().method(method).uri(path).header("accept", "application/json");
        if !content.is_empty() {
            request = request.header("content-type", content);
        }
        if let Some(user) = &self.user {
            // The server knows the groups of a service account; naming them would need the right to take any group.
            request = request.header("impersonate-user", user.as_ref());
        }
        let request = request
            .body(body.to_vec())
            .map_err(|error| Error::new(ErrorKind::Other, format!("{path}: {error}")))?;
        self.inner.client.request::<Value>(request).await.map_err(Error::from_kube)
    }

    /// Reads one object from the API (not from the store).
    pub async fn get(&self, gvk: &Gvk, namespace: &str, name: &str) -> Result<Option<Value>, Error> {
        let resource = match self.resource(gvk).await {
            Ok(resource) => resource,
            Err(error) if error.kind == ErrorKind::MissingKind => return Ok(None),
            Err(error) => return Err(error),
        };
        match self.raw("GET", &resource.path(namespace, name), None, "").await {
            Ok(found) => Ok(Some(found)),
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::MissingKind | ErrorKind::Namespace
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Lists from the API, page by page. Each item carries its apiVersion and kind.
    pub async fn list(&self, gvk: &Gvk, options: &ListOptions) -> Result<Vec<Value>, Error> {
        let resource = self.resource(gvk).await?;
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let mut path = format!("{}?limit=500", resource.path(&options.namespace, ""));
            for (name, value) in
                [("labelSelector", &options.labels), ("fieldSelector", &options.fields), ("continue", &token)]
            {
                if !value.is_empty() {
                    path.push_str(&format!("&{name}={}", escape(value)));
                }
            }
            let mut page = self.raw("GET", &path, None, "").await?;
            let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) else {
                return Err(Error::new(
                    ErrorKind::Other,
                    format!("the list of {} has no items", resource.plural),
                ));
            };
            for mut item in found {
                complete(&mut item, gvk);
                items.push(item);
            }
            token = object::get_str(&page, &["metadata", "continue"]).unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(items);
            }
        }
    }

    /// Server-side apply. The answer (the live object afterwards) goes into the store at once.
    pub async fn apply(&self, object: &Value, options: &Apply) -> Result<Value, Error> {
        let (resource, namespace, name) = self.target(object).await?;
        let mut path = resource.path(&namespace, &name);
        if !options.subresource.is_empty() {
            path.push('/');
            path.push_str(&options.subresource);
        }
        path.push_str(&format!("?fieldManager={}&force={}", escape(&options.manager), options.force));
        if options.dry_run {
            path.push_str("&dryRun=All");
        }
        let live = self
            .raw("PATCH", &path, Some(object), "application/apply-patch+yaml")
            .await
            .map_err(|error| self.masked(object, error))?;
        if !options.dry_run {
            self.store().observe(&live);
        }
        Ok(live)
    }

    /// Creates an object.
    pub async fn create(&self, object: &Value, manager: &str) -> Result<Value, Error> {
        let (resource, namespace, _) = self.target(object).await?;
        let path = format!("{}?fieldManager={}", resource.path(&namespace, ""), escape(manager));
        let live = self
            .raw("POST", &path, Some(object), "application/json")
            .await
            .map_err(|error| self.masked(object, error))?;
        self.store().observe(&live);
        Ok(live)
    }

    /// Replaces an object (a resourceVersion in it is a precondition).
    pub async fn replace(&self, object: &Value, manager: &str) -> Result<Value, Error> {
        let (resource, namespace, name) = self.target(object).await?;
        let path = format!("{}?fieldManager={}", resource.path(&namespace, &name), escape(manager));
        let live = self
            .raw("PUT", &path, Some(object), "application/json")
            .await
            .map_err(|error| self.masked(object, error))?;
        self.store().observe(&live);
        Ok(live)
    }

    /// Patches an object or one of its subresources.
    pub async fn patch(
        &self,
        gvk: &Gvk,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        patch: &Value,
        options: &PatchOptions,
    ) -> Result<Value, Error> {
        let resource = self.resource(gvk).await?;
        let mut path = resource.path(namespace, name);
        if !options.subresource.is_empty() {
            path.push('/');
            path.push_str(&options.subresource);
        }
        path.push_str(&format!("?fieldManager={}", escape(&options.manager)));
        if options.dry_run {
            path.push_str("&dryRun=All");
        }
        let content = match kind {
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
        };
        let live = self.raw("PATCH", &path, Some(patch), content).await?;
        if !options.dry_run {
            self.store().observe(&live);
        }
        Ok(live)
    }

    /// Deletes an object. `false` when it was not there any more.
    pub async fn delete(
        &self,
        gvk: &Gvk,
        namespace: &str,
        name: &str,
        options: &Delete,
    ) -> Result<bool, Error> {
        let resource = match self.resource(gvk).await {
            Ok(resource) => resource,
            // Without its kind there is no object either.
            Err(error) if error.kind == ErrorKind::MissingKind => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": match options.propagation {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }});
        if let Some(uid) = &options.uid {
            body["preconditions"] = json!({"uid": uid});
        }
        if options.dry_run {
            body["dryRun"] = json!(["All"]);
        }
        match self.raw("DELETE", &resource.path(namespace, name), Some(&body), "application/json").await {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::MissingKind | ErrorKind::Namespace
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The resource, namespace and name of an object; an object of a namespaced kind without one is an error.
    async fn target(&self, object: &Value) -> Result<(Resource, String, String), Error> {
        let gvk = Gvk::of(object);
        let resource = self.resource(&gvk).await?;
        let name = object::meta::name(object).to_owned();
        if name.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, format!("{}: metadata.name is missing", gvk.kind)));
        }
        let namespace = object::meta::namespace(object).unwrap_or_default().to_owned();
        let namespace = if resource.namespaced { namespace } else { String::new() };
        if resource.namespaced && namespace.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "namespace not specified: set metadata.namespace"));
        }
        Ok((resource, namespace, name))
    }

    fn masked(&self, object: &Value, mut error: Error) -> Error {
        error.message = mask(object, error.message);
        error
    }
}

/// Lists leave out apiVersion and kind of the items.
pub(crate) fn complete(item: &mut Value, gvk: &Gvk) {
    if let Some(map) = item.as_object_mut() {
        map.entry("apiVersion").or_insert_with(|| gvk.api_version().into());
        map.entry("kind").or_insert_with(|| gvk.kind.clone().into());
    }
}

/// A cluster that does not keep itself alive: background tasks hold this one.
#[derive(Clone)]
pub(crate) struct WeakCluster(std::sync::Weak<Inner>);

impl WeakCluster {
    pub(crate) fn upgrade(&self) -> Option<Cluster> {
        self.0.upgrade().map(|inner| Cluster { inner, user: None })
    }
}
