//! How the cluster serves a kind, asked once for each group and version.
//!
//! Asked lazily and by group, so that a broken aggregated API or CRD hurts only what uses it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use object::Gvk;
use serde_json::Value;

use crate::client::Cluster;
use crate::error::{Error, ErrorKind};

/// A served resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The API group, empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The plural name in paths.
    pub plural: String,
    /// Does it live in namespaces?
    pub namespaced: bool,
    /// Can it be listed and watched?
    pub watchable: bool,
    /// Has it a status subresource?
    pub has_status: bool,
}

impl Resource {
    /// The path of the collection or, with a name, of one object.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if self.namespaced && !namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(&escape(namespace));
        }
        path.push('/');
        path.push_str(&self.plural);
        if !name.is_empty() {
            path.push('/');
            path.push_str(&escape(name));
        }
        path
    }
}

/// Percent-escapes a path segment or query value.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

type Versions = HashMap<(String, String), Arc<Vec<Resource>>>;

/// What was learned so far.
#[derive(Default)]
pub(crate) struct Cache {
    versions: Mutex<Versions>,
    groups: Mutex<HashMap<String, Vec<String>>>,
    all: Mutex<Option<Arc<BTreeSet<String>>>>,
}

impl Cache {
    fn forget(&self, group: &str) {
        lock(&self.versions).retain(|(known, _), _| known != group);
        lock(&self.groups).remove(group);
        lock(&self.all).take();
    }
}

/// A poisoned lock only means that another thread panicked while it read; the data are whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Cluster {
    /// How `gvk` is served. Asks again when the kind is unknown, since its CRD may have come meanwhile.
    pub async fn resource(&self, gvk: &Gvk) -> Result<Resource, Error> {
        let cached = self
            .cache()
            .versions
            .lock()
            .ok()
            .and_then(|known| known.get(&(gvk.group.clone(), gvk.version.clone())).cloned());
        if let Some(resources) = cached
            && let Some(found) = resources.iter().find(|resource| resource.kind == gvk.kind)
        {
            return Ok(found.clone());
        }
        let resources =
            self.fetch_version(&gvk.group, &gvk.version).await.map_err(|error| match error.kind {
                ErrorKind::NotFound | ErrorKind::MissingKind => missing(gvk),
                _ => error,
            })?;
        resources.iter().find(|resource| resource.kind == gvk.kind).cloned().ok_or_else(|| missing(gvk))
    }

    /// How the kind is served in the version that the server prefers, or else in any of its versions.
    pub async fn resource_any_version(&self, group: &str, kind: &str) -> Result<Resource, Error> {
        for version in self.versions_of(group).await? {
            let gvk = Gvk { group: group.to_owned(), version, kind: kind.to_owned() };
            match self.resource(&gvk).await {
                Err(error) if error.kind == ErrorKind::MissingKind => {}
                other => return other,
            }
        }
        Err(missing(&Gvk { group: group.to_owned(), version: String::new(), kind: kind.to_owned() }))
    }

    /// The versions of a group, the preferred one first.
    async fn versions_of(&self, group: &str) -> Result<Vec<String>, Error> {
        if group.is_empty() {
            return Ok(vec!["v1".to_owned()]);
        }
        if let Some(known) = lock(&self.cache().groups).get(group) {
            return Ok(known.clone());
        }
        let answer = match self.raw("GET", &format!("/apis/{group}"), None, "").await {
            Ok(answer) => answer,
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::MissingKind) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut versions: Vec<String> = Vec::new();
        let preferred = object::get_str(&answer, &["preferredVersion", "version"]).map(str::to_owned);
        versions.extend(preferred);
        for entry in answer.get("versions").and_then(Value::as_array).into_iter().flatten() {
            if let Some(version) = entry.get("version").and_then(Value::as_str)
                && !versions.iter().any(|known| known == version)
            {
                versions.push(version.to_owned());
            }
        }
        lock(&self.cache().groups).insert(group.to_owned(), versions.clone());
        Ok(versions)
    }

    async fn fetch_version(&self, group: &str, version: &str) -> Result<Arc<Vec<Resource>>, Error> {
        let path =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let answer = self.raw("GET", &path, None, "").await?;
        let resources = Arc::new(parse_resources(group, version, &answer));
        lock(&self.cache().versions).insert((group.to_owned(), version.to_owned()), resources.clone());
        Ok(resources)
    }

    /// Forgets what is known of a group: a CRD or an APIService of it changed.
    pub fn forget_group(&self, group: &str) {
        self.cache().forget(group);
    }

    /// The names by which charts ask for capabilities: `v1`, `apps/v1`, `apps/v1/Deployment`, ….
    pub async fn api_versions(&self) -> Result<Arc<BTreeSet<String>>, Error> {
        if let Some(known) = lock(&self.cache().all).clone() {
            return Ok(known);
        }
        let mut names = BTreeSet::new();
        let core = self.fetch_version("", "v1").await?;
        collect_names(&mut names, "v1", &core);
        let groups = self.raw("GET", "/apis", None, "").await?;
        let mut wanted = Vec::new();
        for group in groups.get("groups").and_then(Value::as_array).into_iter().flatten() {
            let name = group.get("name").and_then(Value::as_str).unwrap_or_default();
            for entry in group.get("versions").and_then(Value::as_array).into_iter().flatten() {
                let version = entry.get("version").and_then(Value::as_str).unwrap_or_default();
                wanted.push((name.to_owned(), version.to_owned()));
            }
        }
        let answers = futures::future::join_all(wanted.iter().map(|(group, version)| async move {
            let known = lock(&self.cache().versions).get(&(group.clone(), version.clone())).cloned();
            match known {
                Some(known) => Ok(known),
                None => self.fetch_version(group, version).await,
            }
        }))
        .await;
        for ((group, version), answer) in wanted.iter().zip(answers) {
            let api_version = format!("{group}/{version}");
            match answer {
                Ok(resources) => collect_names(&mut names, &api_version, &resources),
                // One broken group must not hide the others; its own name stays visible.
                Err(error) => {
                    tracing::warn!(api_version, %error, "discovery of one group failed");
                    names.insert(api_version);
                }
            }
        }
        let names = Arc::new(names);
        *lock(&self.cache().all) = Some(names.clone());
        Ok(names)
    }

    /// The server's version as `/version` gives it.
    pub async fn server_version(&self) -> Result<Value, Error> {
        self.raw("GET", "/version", None, "").await
    }
}

fn collect_names(names: &mut BTreeSet<String>, api_version: &str, resources: &[Resource]) {
    names.insert(api_version.to_owned());
    for resource in resources {
        names.insert(format!("{api_version}/{}", resource.kind));
    }
}

fn missing(gvk: &Gvk) -> Error {
    let version = if gvk.version.is_empty() { &gvk.group } else { &gvk.api_version() };
    Error::new(
        ErrorKind::MissingKind,
        format!("no matches for kind \"{}\" in version \"{version}\"", gvk.kind),
    )
}

fn parse_resources(group: &str, version: &str, answer: &Value) -> Vec<Resource> {
    let entries: Vec<&Value> =
        answer.get("resources").and_then(Value::as_array).into_iter().flatten().collect();
    let name_of = |entry: &Value| entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let with_status: BTreeSet<String> = entries
        .iter()
        .filter_map(|entry| name_of(entry).strip_suffix("/status").map(str::to_owned))
        .collect();
    let mut resources = Vec::new();
    for entry in entries {
        let plural = name_of(entry);
        if plural.is_empty() || plural.contains('/') {
            continue;
        }
        let verbs: Vec<&str> = entry
            .get("verbs")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        resources.push(Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: entry.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned(),
            namespaced: entry.get("namespaced").and_then(Value::as_bool).unwrap_or(false),
            watchable: verbs.contains(&"watch") && verbs.contains(&"list"),
            has_status: with_status.contains(&plural),
            plural,
        });
    }
    resources
}
