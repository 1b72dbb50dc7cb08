//! What Argo CD's fields do, one file each in `testdata/scenarios`: a repository, what is applied, and what must come
//! of it. The crate `scenario` says what a file means. Workloads become ready.
#![allow(clippy::disallowed_methods)]

use std::path::Path;

use cluster::Apply;
use controller::Engine;
use object::Value;
use scenario::Site;
use serde_json::json;

/// A site with the engine, Argo CD's kinds on it, and the namespace of an installation.
async fn start(files: &[(&str, &str)]) -> Site {
    let site = Site::start(schema::crds::argo(), files, true).await;
    let namespace: Value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
    site.cluster.apply(&namespace, &Apply::forced("somebody")).await.unwrap();
    let kinds = argo::kinds(argo::Options::new(site.fetcher()));
    Engine::start(site.cluster.clone(), kinds, controller::Options::default(), site.cancel.clone());
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios() {
    let kinds = ["Application", "ApplicationSet", "AppProject"].map(argo::names::gvk);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios");
    scenario::play_all(&folder, kinds, async |files, _| {
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        start(&files).await
    })
    .await;
}
