//! The source hydrator: from a branch with sources to a branch with manifests, and from there to the cluster.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::time::{Duration, Instant};

use cluster::{Apply, PatchKind, PatchOptions};
use controller::Engine;
use object::{Gvk, Value, get_str};
use scenario::Site;
use serde_json::{Value as Json, json};
use testkit::remotes::{Access, GitServer, git};

async fn application(site: &Site) -> Value {
    let gvk = argo::names::gvk(argo::names::APPLICATION);
    site.cluster.get(&gvk, "argocd", "web").await.unwrap().unwrap()
}

/// Waits until the Application and the ConfigMap of its source are as `holds` wants them.
async fn wait(site: &Site, what: &str, holds: impl Fn(&Value, Option<&Value>) -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = application(site).await;
        let gvk = Gvk::new("", "v1", "ConfigMap");
        let map = site.cluster.get(&gvk, "default", "a").await.unwrap();
        if holds(&seen, map.as_ref()) {
            return;
        }
        assert!(Instant::now() < until, "waited in vain for {what}: {:#}", seen["status"]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn patch(site: &Site, patch: Json) {
    let gvk = argo::names::gvk(argo::names::APPLICATION);
    let options = PatchOptions { manager: "somebody".into(), ..PatchOptions::default() };
    site.cluster.patch(&gvk, "argocd", "web", PatchKind::Merge, &patch, &options).await.unwrap();
}

fn push(work: &Path, data: &str) -> String {
    let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{from: {data}}}\n");
    std::fs::create_dir_all(work.join("app")).unwrap();
    std::fs::write(work.join("app/a.yaml"), map).unwrap();
    std::fs::write(work.join("app/kustomization.yaml"), "resources: [a.yaml]\n").unwrap();
    git(work, &["add", "-A"]);
    git(work, &["commit", "-qm", data]);
    git(work, &["push", "-q", "origin", "main"]);
    git(work, &["rev-parse", "HEAD"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_sources_to_manifests_to_the_cluster() {
    let site = Site::start(schema::crds::argo(), &[], false).await;
    let root = tempfile::tempdir().unwrap();
    let bare = root.path().join("dry.git");
    git(root.path(), &["init", "-q", "--bare", "dry.git"]);
    let work = tempfile::tempdir().unwrap();
    git(work.path(), &["init", "-q"]);
    git(work.path(), &["remote", "add", "origin", &bare.to_string_lossy()]);
    let first = push(work.path(), "one");
    let server = GitServer::start(root.path(), Access::Basic("writer".into(), "pass".into()));
    let url = format!("{}/dry.git", server.url());
    let apply = Apply::forced("somebody");
    let secret = |name: &str, kind: &str| {
        json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": "argocd", "labels": {argo::names::SECRET_TYPE: kind}},
            "stringData": {"url": url, "username": "writer", "password": "pass"}})
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
    for object in [namespace, secret("read", "repository"), secret("write", "repository-write")] {
        site.cluster.apply(&object, &apply).await.unwrap();
    }
    let fetcher = source::Fetcher::new(source::Options::default()).unwrap();
    let kinds = argo::kinds(argo::Options { outward: true, ..argo::Options::new(fetcher) });
    Engine::start(site.cluster.clone(), kinds, controller::Options::default(), site.cancel.clone());
    let hydrator = json!({
        "drySource": {"repoURL": url, "targetRevision": "main", "path": "app"},
        "syncSource": {"targetBranch": "env", "path": "out/web"},
    });
    let made = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "web", "namespace": "argocd"},
        "spec": {"project": "default", "sourceHydrator": hydrator,
            "destination": {"name": "in-cluster", "namespace": "default"}, "syncPolicy": {"automated": {}}}});
    site.cluster.apply(&made, &apply).await.unwrap();
    let is = |seen: &Value, map: Option<&Value>, revision: &str, data: &str| {
        let last = ["status", "sourceHydrator", "lastSuccessfulOperation", "drySHA"];
        get_str(seen, &last) == Some(revision)
            && map.and_then(|map| get_str(map, &["data", "from"])) == Some(data)
            && get_str(seen, &["status", "sync", "status"]) == Some("Synced")
    };
    wait(&site, "the first manifests", |seen, map| is(seen, map, &first, "one")).await;
    // The branch holds what was rendered, and nothing of what it was rendered from.
    let files = git(&bare, &["ls-tree", "-r", "--name-only", "env"]);
    assert_eq!(
        files.lines().collect::<Vec<_>>(),
        ["hydrator.metadata", "out/web/README.md", "out/web/hydrator.metadata", "out/web/manifest.yaml"]
    );
    assert_eq!(git(&bare, &["log", "-1", "--format=%s", "env"]), format!("{}: hydrate {url}", &first[..7]));
    let second = push(work.path(), "two");
    patch(&site, json!({"metadata": {"annotations": {argo::names::HYDRATE: "normal"}}})).await;
    wait(&site, "the second manifests", |seen, map| is(seen, map, &second, "two")).await;
    let annotation =
        object::meta::annotation(&application(&site).await, argo::names::HYDRATE).map(str::to_owned);
    assert_eq!(annotation, None);
    // The root of a branch is nobody's.
    patch(&site, json!({"spec": {"sourceHydrator": {"syncSource": {"path": "./."}}}})).await;
    wait(&site, "a refusal", |seen, _| {
        let message = ["status", "sourceHydrator", "currentOperation", "message"];
        get_str(seen, &message).is_some_and(|message| message.contains("repository root"))
    })
    .await;
    site.stop().await;
}
