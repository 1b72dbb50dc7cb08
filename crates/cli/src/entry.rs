//! Where a repository begins: the folders that an engine would be pointed at.
//!
//! Flux repositories name them in `gotk-sync.yaml` or by the layout `clusters/<name>`; others hold a bare
//! kustomization, a chart or plain manifests. What is found becomes Flux objects, so that one engine
//! serves them all.

mod argo;

use object::Value;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The files of a repository, as far as finding entry points needs them.
pub trait Files {
    /// Every path, relative to the root, with `/`.
    fn paths(&self) -> Vec<String>;
    /// The contents of a file, `None` when it is not there.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
}

/// What stands in an entry folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A cluster folder of a Flux repository.
    Flux,
    /// A folder with objects of Argo CD that nothing else in the repository delivers.
    Argo,
    /// A folder with a kustomization of Kustomize's own.
    Kustomization,
    /// A Helm chart.
    Chart,
    /// Plain manifests.
    Manifests,
}

/// A place to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The folder, relative to the root; `.` is the root itself.
    pub path: String,
    /// What stands there.
    pub kind: Kind,
}

/// The objects that start an entry, and the URLs that mean this very repository.
pub struct Bootstrap {
    /// Namespaces, the GitRepository and the Kustomization (or HelmRelease), in apply order.
    pub objects: Vec<Value>,
    /// Source URLs that the working copy stands for.
    pub own_urls: Vec<String>,
    /// Does the repository hold objects of Argo CD?
    pub argo: bool,
}

/// Every entry point, the most telling kind only: cluster folders, else kustomizations, else charts, else
/// manifests.
pub fn entries(files: &dyn Files) -> Vec<Entry> {
    let paths = files.paths();
    let found = |paths: BTreeSet<String>, kind: Kind| -> Vec<Entry> {
        paths.into_iter().map(|path| Entry { path, kind }).collect()
    };
    let clusters = cluster_folders(files, &paths);
    if !clusters.is_empty() {
        return found(clusters, Kind::Flux);
    }
    let folders = argo::folders(files);
    if !folders.is_empty() {
        return found(folders, Kind::Argo);
    }
    let charts: BTreeSet<String> =
        paths.iter().filter(|path| file_name(path) == "Chart.yaml").map(|path| folder(path)).collect();
    let charts: BTreeSet<String> = charts.iter().filter(|path| !inside_any(path, &charts)).cloned().collect();
    let kustomizations = top_kustomizations(files, &paths);
    if !kustomizations.is_empty() {
        return found(kustomizations, Kind::Kustomization);
    }
    if !charts.is_empty() {
        return found(charts, Kind::Chart);
    }
    let manifests = paths.iter().any(|path| is_yaml(path) && !path.contains('/'));
    let anywhere = paths.iter().any(|path| is_yaml(path) && is_manifest(files, path));
    match manifests || anywhere {
        true if anywhere => vec![Entry { path: ".".to_owned(), kind: Kind::Manifests }],
        _ => Vec::new(),
    }
}

/// The entry at a folder that the user named; `None` when there is nothing below it.
pub fn entry_at(files: &dyn Files, path: &str) -> Option<Entry> {
    let path = normal(path);
    let paths = files.paths();
    let below: Vec<&String> = paths.iter().filter(|file| is_below(file, &path)).collect();
    if below.is_empty() {
        return None;
    }
    let has = |name: &str| below.iter().any(|file| **file == join(&path, name));
    let kind = if has("Chart.yaml") {
        Kind::Chart
    } else if cluster_folders(files, &paths).contains(&path)
        || below.iter().any(|file| holds_flux(files, file))
    {
        Kind::Flux
    } else if !argo::roots_below(files, &path).is_empty() {
        Kind::Argo
    } else if KUSTOMIZATION_NAMES.iter().any(|name| has(name)) {
        Kind::Kustomization
    } else {
        Kind::Manifests
    };
    Some(Entry { path, kind })
}

/// The objects that start `entry`. `url` is what the repository calls itself (its remote, or a `file://`
/// URL), `branch` what is checked out.
pub fn bootstrap(files: &dyn Files, entry: &Entry, url: &str, branch: &str) -> Bootstrap {
    let mut own_urls = vec![url.to_owned()];
    let with_argo = argo::is_used(files);
    if entry.kind == Kind::Argo {
        if url.starts_with("file://") {
            own_urls.extend(argo::own_urls(files));
        }
        let objects = argo::bootstrap(files, &entry.path, url, branch);
        return Bootstrap { objects, own_urls, argo: true };
    }
    let mut objects =
        vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}})];
    let sync = sync_objects(files, &entry.path);
    if sync.iter().any(|object| is_kind(object, "Kustomization")) && entry.kind == Kind::Flux {
        for object in sync {
            if let Some(url) = object::get_str(&object, &["spec", "url"]) {
                own_urls.push(url.to_owned());
            }
            let namespace = object::meta::namespace(&object).unwrap_or_default();
            if !namespace.is_empty() && !objects.iter().any(|made| object::meta::name(made) == namespace) {
                objects.insert(
                    1,
                    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
                );
            }
            objects.push(object);
        }
        return Bootstrap { objects, own_urls, argo: with_argo };
    }
    objects.push(json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "flux-system", "namespace": "flux-system"},
        "spec": {"interval": "1m0s", "url": url, "ref": {"branch": branch}},
    }));
    let source = json!({"kind": "GitRepository", "name": "flux-system"});
    let path = if entry.path == "." { "./".to_owned() } else { format!("./{}", entry.path) };
    objects.push(match entry.kind {
        Kind::Chart => {
            let name = chart_name(files, &entry.path);
            json!({
                "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
                "metadata": {"name": name, "namespace": "flux-system"},
                "spec": {
                    "interval": "10m0s", "releaseName": name, "targetNamespace": name,
                    "storageNamespace": name, "install": {"createNamespace": true},
                    "chart": {"spec": {"chart": path, "reconcileStrategy": "Revision", "sourceRef": source}},
                },
            })
        }
        _ => json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "flux-system", "namespace": "flux-system"},
            "spec": {
                "interval": "10m0s", "path": path, "prune": true, "sourceRef": source,
                "wait": entry.kind != Kind::Flux,
            },
        }),
    });
    if entry.kind == Kind::Chart {
        let name = chart_name(files, &entry.path);
        objects.insert(1, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    Bootstrap { objects, own_urls, argo: with_argo }
}

const KUSTOMIZATION_NAMES: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// `clusters/<name>` and every folder that holds a `flux-system` with its sync manifest.
fn cluster_folders(files: &dyn Files, paths: &[String]) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let parts: Vec<&str> = path.split('/').collect();
        if parts.len() > 2 && parts.first() == Some(&"clusters") && is_yaml(path) && holds_flux(files, path) {
            folders.insert(parts.get(..2).unwrap_or_default().join("/"));
        }
        if file_name(path) == "gotk-sync.yaml" {
            folders.insert(sync_path(files, path).unwrap_or_else(|| folder(&folder(path))));
        }
    }
    let nested: BTreeSet<String> =
        folders.iter().filter(|path| inside_any(path, &folders)).cloned().collect();
    folders.difference(&nested).cloned().collect()
}

/// The folder that the Kustomization of a sync manifest applies.
fn sync_path(files: &dyn Files, path: &str) -> Option<String> {
    read_objects(files, path)
        .iter()
        .filter(|object| is_kind(object, "Kustomization"))
        .find_map(|object| object::get_str(object, &["spec", "path"]).map(normal))
}

/// The Flux objects of `<path>/flux-system/gotk-sync.yaml` (or of any sync manifest that applies `path`).
fn sync_objects(files: &dyn Files, path: &str) -> Vec<Value> {
    let usual = join(path, "flux-system/gotk-sync.yaml");
    let mut candidates = vec![usual];
    candidates.extend(files.paths().into_iter().filter(|file| {
        file_name(file) == "gotk-sync.yaml" && sync_path(files, file).as_deref() == Some(path)
    }));
    candidates
        .iter()
        .map(|file| read_objects(files, file))
        .find(|objects| objects.iter().any(|object| is_kind(object, "Kustomization")))
        .unwrap_or_default()
}

/// Folders with a kustomization that no other kustomization reaches as a resource, base or component, and
/// that are no component themselves.
fn top_kustomizations(files: &dyn Files, paths: &[String]) -> BTreeSet<String> {
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in paths.iter().filter(|path| KUSTOMIZATION_NAMES.contains(&file_name(path))) {
        let here = folder(path);
        for object in read_objects(files, path) {
            if is_kind(&object, "Component") {
                continue;
            }
            let mut reached = Vec::new();
            for field in ["resources", "bases", "components"] {
                let listed = object.get(field).and_then(Value::as_array).into_iter().flatten();
                reached.extend(listed.filter_map(Value::as_str).map(|entry| normal(&join(&here, entry))));
            }
            folders.entry(here.clone()).or_default().extend(reached);
        }
    }
    let reached: BTreeSet<&String> = folders.values().flatten().collect();
    folders.keys().filter(|path| !reached.contains(path)).cloned().collect()
}

fn chart_name(files: &dyn Files, path: &str) -> String {
    read_objects(files, &join(path, "Chart.yaml"))
        .first()
        .and_then(|chart| chart.get("name"))
        .and_then(Value::as_str)
        .unwrap_or("release")
        .to_owned()
}

/// Objects of a file; a file that does not parse holds none here (the engine reports it with its line).
fn read_objects(files: &dyn Files, path: &str) -> Vec<Value> {
    let Some(bytes) = files.read(path) else { return Vec::new() };
    let Ok(text) = String::from_utf8(bytes) else { return Vec::new() };
    yaml::documents(&text).unwrap_or_default()
}

fn holds_flux(files: &dyn Files, path: &str) -> bool {
    let Some(bytes) = files.read(path).filter(|_| is_yaml(path)) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    file_name(path) == "gotk-sync.yaml"
        || text.contains("toolkit.fluxcd.io/")
        || text.contains("fluxcd.controlplane.io/")
}

fn is_manifest(files: &dyn Files, path: &str) -> bool {
    read_objects(files, path)
        .iter()
        .any(|object| object.get("apiVersion").is_some() && object.get("kind").is_some())
}

fn is_kind(object: &Value, kind: &str) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(kind)
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder(path: &str) -> String {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned()
}

fn join(folder: &str, name: &str) -> String {
    if folder == "." || folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn is_below(file: &str, folder: &str) -> bool {
    folder == "." || file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn inside_any(path: &str, folders: &BTreeSet<String>) -> bool {
    folders.iter().any(|folder| folder != path && is_below(path, folder))
}

/// A path without `.`, `..` and doubled slashes; `.` for the root.
pub fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(BTreeMap<&'static str, &'static str>);

    impl Files for Fixed {
        fn paths(&self) -> Vec<String> {
            self.0.keys().map(|path| (*path).to_owned()).collect()
        }
        fn read(&self, path: &str) -> Option<Vec<u8>> {
            self.0.get(path).map(|text| text.as_bytes().to_vec())
        }
    }

    fn found(files: &[(&'static str, &'static str)]) -> Vec<(String, Kind)> {
        let files = Fixed(files.iter().copied().collect());
        entries(&files).into_iter().map(|entry| (entry.path, entry.kind)).collect()
    }

    const APPS: &str =
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n";

    #[test]
    fn cluster_folders_come_first() {
        let files = [
            ("clusters/a/apps.yaml", APPS),
            ("clusters/b/flux-system/gotk-sync.yaml", ""),
            ("apps/kustomization.yaml", "resources: []"),
        ];
        assert_eq!(found(&files), [("clusters/a".into(), Kind::Flux), ("clusters/b".into(), Kind::Flux)]);
    }

    #[test]
    fn only_kustomizations_that_nobody_uses() {
        let files = [
            ("base/kustomization.yaml", "resources: [a.yaml]"),
            ("over/kustomization.yaml", "resources: [../base]"),
            ("part/kustomization.yaml", "kind: Component"),
        ];
        assert_eq!(found(&files), [("over".into(), Kind::Kustomization)]);
    }

    #[test]
    fn charts_without_their_subcharts() {
        let files = [("web/Chart.yaml", "name: web"), ("web/charts/db/Chart.yaml", "name: db")];
        assert_eq!(found(&files), [("web".into(), Kind::Chart)]);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(found(&[("README.md", "x"), ("notes.yaml", "a: 1")]), []);
    }
}
