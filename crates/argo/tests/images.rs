//! Image Updater's annotations against a registry and a repository on loopback: `testdata/images.yaml`.
#![allow(clippy::disallowed_methods)]

use argo::images::Updater;
use cluster::{Apply, Cluster};
use object::Value;
use scenario::Site;
use serde_json::json;
use source::Fetcher;
use testkit::remotes::{Access, GitServer, Registry, git};

const PREFIX: &str = "argocd-image-updater.argoproj.io/";

/// Puts the tags of `row` into the registry: each an image of its own that says when it was built.
fn fill(registry: &Registry, repository: &str, tags: &Value) {
    for tag in tags.as_array().into_iter().flatten() {
        let name = tag["tag"].as_str().unwrap();
        let config = json!({"created": tag.get("created"), "tag": name, "salt": tag.get("salt")}).to_string();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(),
                "digest": registry.put_blob(config.as_bytes())},
        });
        registry.put_manifest(repository, name, manifest.to_string().as_bytes());
    }
}

/// The text of a case with the addresses of this run, and digests of tags in place of `digest(TAG)`.
fn with(text: &str, registry: &Registry, url: &str, repository: &str) -> String {
    let mut text = text.replace("REGISTRY", &registry.host()).replace("GITURL", url);
    while let Some(at) = text.find("digest(") {
        let rest = &text[at + "digest(".len()..];
        let tag = rest[..rest.find(')').unwrap()].to_owned();
        let manifest = registry.manifest(repository, &tag).expect("the tag");
        text = text.replace(&format!("digest({tag})"), &testkit::remotes::sha256(&manifest));
    }
    text
}

fn application(case: &Value) -> Value {
    let mut annotations = json!({});
    for (name, value) in case["annotations"].as_object().unwrap() {
        annotations[format!("{PREFIX}{name}")] = value.clone();
    }
    let kind = case["type"].as_str().unwrap_or("Kustomize");
    let destination = json!({"name": "in-cluster", "namespace": "default"});
    let (spec, types) = match case.get("sources") {
        Some(sources) => (json!({"sources": sources}), ("sourceTypes", case["types"].clone())),
        None => (json!({"source": case["source"]}), ("sourceType", json!(kind))),
    };
    let mut object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "web", "namespace": "argocd", "annotations": annotations},
        "spec": spec, "status": {"summary": {"images": case["live"]}, types.0: types.1},
    });
    object["spec"]["project"] = json!("default");
    object["spec"]["destination"] = destination;
    object
}

async fn make(cluster: &Cluster, object: &Value) {
    let gvk = object::Gvk::of(object);
    let name = object::meta::name(object);
    let namespace = object::meta::namespace(object).unwrap_or_default();
    let _gone = cluster.delete(&gvk, namespace, name, &Default::default()).await;
    cluster.apply(object, &Apply::forced("somebody")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases() {
    let site = Site::start(schema::crds::argo(), &[], false).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
    make(&site.cluster, &namespace).await;
    let registry = Registry::start(Access::Open);
    let root = tempfile::tempdir().unwrap();
    let server = GitServer::start(root.path(), Access::Open);
    let fetcher = Fetcher::new(source::Options::default()).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/images.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let count = yaml::from_str(&text).unwrap().as_array().unwrap().len();
    let mut failed = Vec::new();
    for at in 0..count {
        let raw = yaml::from_str(&text).unwrap()[at].clone();
        let repository = format!("org/app{at}");
        fill(&registry, &repository, &raw["tags"]);
        let bare = format!("case{at}.git");
        let url = format!("{}/{bare}", server.url());
        let image = format!("{}/{repository}", registry.host());
        let told = with(&raw.to_string().replace("IMAGE", &image), &registry, &url, &repository);
        let case: Value = serde_json::from_str(&told).unwrap();
        seed(root.path(), &bare, &case["files"]);
        let application = application(&case);
        make(&site.cluster, &application).await;
        for map in case["settings"].as_array().into_iter().flatten() {
            make(&site.cluster, map).await;
        }
        let updater = Updater::new(&site.cluster, fetcher.clone(), "argocd");
        updater.cycle().await;
        // A second cycle finds nothing to do.
        let gvk = argo::names::gvk(argo::names::APPLICATION);
        let live = site.cluster.get(&gvk, "argocd", "web").await.unwrap().unwrap();
        let field = if case.get("sources").is_some() { "sources" } else { "source" };
        let wanted = case.get("becomes").unwrap_or(&case[field]);
        if live["spec"][field] != *wanted {
            failed.push(format!("{}: the {field} {} is not {wanted}", case["name"], live["spec"][field]));
        }
        for (file, content) in case["committed"].as_object().into_iter().flatten() {
            let branch = case["branch"].as_str().unwrap_or("main");
            let found = git(&root.path().join(&bare), &["show", &format!("{branch}:{file}")]);
            if found != content.as_str().unwrap().trim_end() {
                failed.push(format!("{}: {file} holds {found:?}", case["name"]));
            }
        }
        if let Some(message) = case["message"].as_str() {
            let found = git(&root.path().join(&bare), &["log", "-1", "--format=%an <%ae>%n%B", "main"]);
            if found.trim() != message.trim() {
                failed.push(format!("{}: the commit says {found:?}", case["name"]));
            }
        }
        let commits = |bare: &str| git(&root.path().join(bare), &["rev-list", "--all", "--count"]);
        let before = commits(&bare);
        updater.cycle().await;
        if commits(&bare) != before {
            failed.push(format!("{}: the second cycle commits again", case["name"]));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    site.stop().await;
}

/// A bare repository with these files in one commit.
fn seed(root: &std::path::Path, bare: &str, files: &Value) {
    let work = tempfile::tempdir().unwrap();
    git(work.path(), &["init", "-q"]);
    std::fs::write(work.path().join("README"), "here\n").unwrap();
    for (path, text) in files.as_object().into_iter().flatten() {
        let to = work.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, text.as_str().unwrap()).unwrap();
    }
    git(work.path(), &["add", "-A"]);
    git(work.path(), &["commit", "-qm", "first"]);
    git(root, &["clone", "-q", "--bare", &work.path().to_string_lossy(), bare]);
}
