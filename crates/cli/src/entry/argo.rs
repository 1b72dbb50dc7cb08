//! Where an Argo CD repository begins: the Applications, ApplicationSets and AppProjects that no other Application of
//! the repository delivers. One Application of ours applies them, so that edits of them are followed.

use super::{Files, file_name, folder, inside_any, is_below, is_yaml, join, normal, read_objects};
use argo::names;
use object::{Value, get, get_str, meta};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The namespace of an installation.
const HOME: &str = "argocd";

fn is_argo(object: &Value) -> bool {
    meta::api_version(object).starts_with("argoproj.io/")
        && matches!(meta::kind(object), names::APPLICATION | names::APPLICATION_SET | names::APP_PROJECT)
}

/// Settings that belong to an installation: its ConfigMaps, and Secrets of repositories and clusters.
fn is_setting(object: &Value) -> bool {
    let config = meta::kind(object) == "ConfigMap"
        && matches!(meta::name(object), "argocd-cm" | "argocd-rbac-cm" | "argocd-notifications-cm");
    config || meta::label(object, names::SECRET_TYPE).is_some()
}

/// Does any file speak of Argo CD's kinds?
pub fn is_used(files: &dyn Files) -> bool {
    files.paths().iter().filter(|path| is_yaml(path)).any(|path| {
        files.read(path).is_some_and(|bytes| String::from_utf8_lossy(&bytes).contains("argoproj.io/v1alpha1"))
    })
}

/// Every file with objects of Argo CD, and the objects.
fn all(files: &dyn Files) -> BTreeMap<String, Vec<Value>> {
    let mut found = BTreeMap::new();
    for path in files.paths().into_iter().filter(|path| is_yaml(path)) {
        let speaks = files.read(&path).is_some_and(|bytes| {
            let text = String::from_utf8_lossy(&bytes);
            text.contains("argoproj.io/v1alpha1") && !text.contains("{{ .Values")
        });
        if !speaks {
            continue;
        }
        let objects: Vec<Value> = read_objects(files, &path).into_iter().filter(is_argo).collect();
        if !objects.is_empty() {
            found.insert(path, objects);
        }
    }
    found
}

/// The folders of this repository that an Application or the template of an ApplicationSet delivers.
fn delivered(files: &dyn Files, objects: &BTreeMap<String, Vec<Value>>) -> BTreeSet<String> {
    let paths = files.paths();
    let mut folders = BTreeSet::new();
    for object in objects.values().flatten() {
        let template = get(object, &["spec", "template", "spec"]).or_else(|| get(object, &["spec"]));
        let Some(spec) = template else { continue };
        let many = get(spec, &["sources"]).and_then(Value::as_array);
        for source in get(spec, &["source"]).into_iter().chain(many.into_iter().flatten()) {
            let Some(path) = get_str(source, &["path"]).filter(|path| !path.contains("{{")) else { continue };
            let path = normal(path);
            if path != "." && paths.iter().any(|file| is_below(file, &path)) {
                folders.insert(path);
            }
        }
    }
    folders
}

/// Files that nothing else in the repository delivers.
fn roots(files: &dyn Files) -> BTreeMap<String, Vec<Value>> {
    let objects = all(files);
    let delivered = delivered(files, &objects);
    let root = |path: &str| !delivered.iter().any(|folder| is_below(path, folder));
    // Where all are delivered by each other, all are roots.
    if objects.keys().any(|path| root(path)) {
        objects.into_iter().filter(|(path, _)| root(path)).collect()
    } else {
        objects
    }
}

/// The same below a folder.
pub fn roots_below(files: &dyn Files, path: &str) -> Vec<String> {
    roots(files).into_keys().filter(|file| is_below(file, path)).collect()
}

/// The folders to begin at: one, unless two of them define the same object.
pub fn folders(files: &dyn Files) -> BTreeSet<String> {
    let roots = roots(files);
    let mut seen = BTreeSet::new();
    let unique = roots.values().flatten().all(|object| {
        let namespace = meta::namespace(object).unwrap_or_default().to_owned();
        seen.insert((meta::kind(object).to_owned(), namespace, meta::name(object).to_owned()))
    });
    let folders: BTreeSet<String> = roots.keys().map(|path| folder(path)).collect();
    if unique {
        return common(&folders).into_iter().collect();
    }
    folders.iter().filter(|path| !inside_any(path, &folders)).cloned().collect()
}

/// The innermost folder that holds all of these.
fn common(folders: &BTreeSet<String>) -> Option<String> {
    let mut all = folders.iter();
    let mut common: Vec<&str> = all.next()?.split('/').collect();
    for other in all {
        let same = common.iter().zip(other.split('/')).take_while(|(a, b)| **a == *b).count();
        common.truncate(same);
    }
    Some(normal(&common.join("/")))
}

/// Addresses of Applications that can only mean this repository: the paths are here.
pub fn own_urls(files: &dyn Files) -> Vec<String> {
    let paths = files.paths();
    let mut urls = BTreeSet::new();
    for object in all(files).values().flatten() {
        let many = get(object, &["spec", "sources"]).and_then(Value::as_array);
        for source in get(object, &["spec", "source"]).into_iter().chain(many.into_iter().flatten()) {
            let (url, path) = (get_str(source, &["repoURL"]), get_str(source, &["path"]));
            if let (Some(url), Some(path)) = (url, path)
                && get_str(source, &["chart"]).is_none()
                && normal(path) != "."
                && paths.iter().any(|file| is_below(file, &normal(path)))
            {
                urls.insert(url.to_owned());
            }
        }
    }
    urls.into_iter().collect()
}

/// The objects that start a folder: namespaces, the project `default`, and the Application that applies the files.
pub fn bootstrap(files: &dyn Files, path: &str, url: &str, branch: &str) -> Vec<Value> {
    let roots = roots_below(files, path);
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut namespaces = BTreeSet::from([HOME.to_owned()]);
    for file in &roots {
        let objects = read_objects(files, file);
        namespaces.extend(
            objects.iter().filter(|object| is_argo(object)).filter_map(|object| {
                meta::namespace(object).filter(|name| !name.is_empty()).map(str::to_owned)
            }),
        );
    }
    let settings = files.paths().into_iter().filter(|file| {
        is_yaml(file)
            && is_below(file, path)
            && !roots.contains(file)
            && read_objects(files, file).iter().any(is_setting)
            && read_objects(files, file).iter().all(|object| is_setting(object) || is_argo(object))
    });
    let included: Vec<String> = roots.iter().cloned().chain(settings).collect();
    let included: Vec<String> = included
        .iter()
        .map(|file| {
            if path == "." {
                file.clone()
            } else {
                file.strip_prefix(&join(path, "")).unwrap_or(file_name(file)).to_owned()
            }
        })
        .collect();
    let include = match included.as_slice() {
        [one] => one.clone(),
        many => format!("{{{}}}", many.join(",")),
    };
    let mut objects: Vec<Value> = namespaces.iter().map(|name| namespace(name)).collect();
    objects.push(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": names::APP_PROJECT,
        "metadata": {"name": "default", "namespace": HOME},
        "spec": {
            "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    }));
    objects.push(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": names::APPLICATION,
        "metadata": {"name": "landfall-root", "namespace": HOME},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": url, "path": path, "targetRevision": branch,
                "directory": {"recurse": true, "include": include},
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": HOME},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        },
    }));
    objects
}
