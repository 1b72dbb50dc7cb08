//! What Flux's fields do, one file each in `testdata/scenarios`: a repository, and what must come of it. The crate
//! `scenario` says what a file means. Workloads become ready only where the first line says `simulated`.
#![allow(clippy::disallowed_methods)]

mod world;

use std::path::Path;

use object::Gvk;
use world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios() {
    let kinds = [
        ("Kustomization", "kustomize.toolkit.fluxcd.io", "v1"),
        ("HelmRelease", "helm.toolkit.fluxcd.io", "v2"),
        ("GitRepository", "source.toolkit.fluxcd.io", "v1"),
        ("HelmRepository", "source.toolkit.fluxcd.io", "v1"),
        ("HelmChart", "source.toolkit.fluxcd.io", "v1"),
        ("OCIRepository", "source.toolkit.fluxcd.io", "v1"),
        ("ExternalArtifact", "source.toolkit.fluxcd.io", "v1"),
        ("ArtifactGenerator", "source.extensions.fluxcd.io", "v1beta1"),
        ("ImageRepository", "image.toolkit.fluxcd.io", "v1"),
        ("ImagePolicy", "image.toolkit.fluxcd.io", "v1"),
        ("ImageUpdateAutomation", "image.toolkit.fluxcd.io", "v1"),
        ("ResourceSet", "fluxcd.controlplane.io", "v1"),
        ("ResourceSetInputProvider", "fluxcd.controlplane.io", "v1"),
        ("FluxInstance", "fluxcd.controlplane.io", "v1"),
        ("PersistentVolumeClaim", "", "v1"),
        ("StatefulSet", "apps", "v1"),
    ];
    let kinds = kinds.map(|(kind, group, version)| Gvk::new(group, version, kind));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios");
    scenario::play_all(&folder, kinds, async |files, simulated| {
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        World::start_with(&files, simulated).await.site
    })
    .await;
}
