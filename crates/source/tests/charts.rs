//! OCI registries and chart repositories, on loopback and through maps.

use source::oci::{self, LayerSelector, Operation};
use source::{Credentials, Error, Fetcher, Limits, Maps, Options, Tree, helm_repo};
use std::fs;
use testkit::remotes::{Access, ChartRepository, Registry, sha256};

fn chart(name: &str, version: &str) -> Vec<u8> {
    let metadata = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let files = [
        (format!("{name}/Chart.yaml"), metadata),
        (format!("{name}/templates/x.yaml"), "x: 1\n".to_string()),
    ];
    Tree::from_files(files.map(|(path, text)| (path, text.into_bytes()))).expect("a tree").to_tar_gz()
}

fn manifests() -> Vec<u8> {
    let files = [("app/x.yaml", "x: 1\n"), ("logo.png", ""), ("private/y.yaml", "y: 1\n")];
    Tree::from_files(files.map(|(path, text)| (path, text.as_bytes().to_vec()))).expect("a tree").to_tar_gz()
}

fn fetcher(maps: &[(&str, &std::path::Path)]) -> Fetcher {
    let mut all = Maps::default();
    for (url, path) in maps {
        all.add(url, *path);
    }
    Fetcher::new(Options { maps: all, ..Options::default() }).expect("a fetcher")
}

fn chart_layer() -> LayerSelector {
    LayerSelector { media_type: Some(oci::CHART_LAYER.to_string()), operation: Operation::Copy }
}

#[tokio::test]
async fn registry() {
    let registry = Registry::start(Access::Open);
    let archive = chart("podinfo", "6.5.0");
    let mut digests = Vec::new();
    for version in ["6.4.0", "6.5.0", "6.10.0-rc.1", "7.0.0"] {
        digests.push(registry.push_chart("charts/podinfo", version, &chart("podinfo", version)));
    }
    registry.push_artifact("manifests", "latest", &manifests());
    let fetcher = fetcher(&[]);
    let url = format!("oci://{}/charts/podinfo", registry.host());
    let mut request = oci::Request { layer: chart_layer(), ..oci::Request::new(&url) };
    request.reference.semver = Some("6.x".into());
    let artifact = fetcher.oci(&request).await.expect("pulls");
    assert_eq!(artifact.revision.to_string(), format!("6.5.0@{}", digests[1]));
    assert_eq!(artifact.blob.as_deref(), Some(archive.as_slice()));
    request.reference.semver_filter = Some(".*-rc.*".into());
    request.reference.semver = Some(">=6.0.0-0".into());
    assert_eq!(fetcher.oci(&request).await.expect("pulls").revision.name, "6.10.0-rc.1");
    request.reference = oci::Reference { digest: Some(digests[0].clone()), ..Default::default() };
    assert_eq!(fetcher.oci(&request).await.expect("pulls").revision.to_string(), digests[0]);

    let mut plain = oci::Request::new(format!("oci://{}/manifests", registry.host()));
    let artifact = fetcher.oci(&plain).await.expect("pulls");
    assert!(artifact.tree.is_file("app/x.yaml") && !artifact.tree.is_file("logo.png"));
    assert!(artifact.metadata.contains_key("org.opencontainers.image.revision"));
    plain.ignore = Some("/private\n".into());
    let artifact = fetcher.oci(&plain).await.expect("pulls");
    assert!(artifact.tree.is_file("logo.png") && !artifact.tree.is_dir("private"));

    for (change, says) in [
        (
            oci::Reference { semver: Some(">9".into()), ..Default::default() },
            "no tag is in the range >9; it has the tags",
        ),
        (oci::Reference { tag: Some("none".into()), ..Default::default() }, "has no none"),
        (
            oci::Reference {
                semver: Some("*".into()),
                semver_filter: Some("(".into()),
                ..Default::default()
            },
            "semverFilter",
        ),
    ] {
        let wanted = oci::Request { reference: change, ..request.clone() };
        let error = fetcher.oci(&wanted).await.expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
    plain.layer = chart_layer();
    assert!(
        fetcher
            .oci(&plain)
            .await
            .expect_err("no such layer")
            .to_string()
            .contains("no layer has the media type")
    );
    for url in ["oci://host", "https://host/x", "oci://h/x:tag", "oci://h/../x"] {
        assert!(matches!(fetcher.oci(&oci::Request::new(url)).await, Err(Error::Invalid(_))), "{url}");
    }
    // Nothing unverified is ever used.
    let fresh = self::fetcher(&[]);
    registry.corrupt_blobs();
    let lied = fresh.oci(&oci::Request::new(format!("oci://{}/manifests", registry.host()))).await;
    assert!(lied.expect_err("damaged").to_string().contains("digest mismatch"));
    assert!(registry.requests().iter().any(|request| request.ends_with("/tags/list")));
}

#[tokio::test]
async fn registry_credentials() {
    for access in [Access::Basic("u".into(), "p".into()), Access::Token("u".into(), "p".into())] {
        let registry = Registry::start(access);
        registry.push_artifact("manifests", "latest", &manifests());
        let fetcher = fetcher(&[]);
        let mut request = oci::Request::new(format!("oci://{}/manifests", registry.host()));
        let denied = fetcher.oci(&request).await.expect_err("no credentials");
        assert!(matches!(denied, Error::Denied { .. }), "{denied}");
        let config = format!(r#"{{"auths":{{"{}":{{"username":"u","password":"p"}}}}}}"#, registry.host());
        request.credentials.docker_config = Some(config.into_bytes());
        fetcher.oci(&request).await.expect("let in");
    }
}

#[tokio::test]
async fn chart_repository() {
    let repository = ChartRepository::start(Access::Basic("u".into(), "p".into()));
    for version in ["1.0.0", "1.2.0", "2.0.0-beta"] {
        repository.push("app", version, &chart("app", version));
    }
    let fetcher = fetcher(&[]);
    let mut request = helm_repo::Request::new(repository.url());
    assert!(matches!(fetcher.helm_index(&request).await, Err(Error::Denied { .. })));
    request.credentials =
        Credentials { username: Some("u".into()), password: Some("p".into()), ..Credentials::default() };
    let index = fetcher.helm_index(&request).await.expect("an index");
    assert_eq!(index.entries["app"].len(), 3);
    assert!(index.revision.to_string().starts_with("sha256:"));
    for (range, version) in [("*", "1.2.0"), ("", "1.2.0"), ("1.0.x", "1.0.0"), ("2.0.0-beta", "2.0.0-beta")]
    {
        let found = fetcher.helm_chart(&request, "app", range).await.expect(range);
        assert_eq!((found.version.as_str(), found.archive.to_vec()), (version, chart("app", version)));
    }
    for (name, range, says) in
        [("none", "*", "no chart none"), ("app", ">3", "no version of chart app is in the range >3")]
    {
        let error = fetcher.helm_chart(&request, name, range).await.expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
    repository.corrupt();
    let error =
        self::fetcher(&[]).helm_chart(&request, "app", "1.0.0").await.expect_err("damaged").to_string();
    assert!(error.contains("digest mismatch"), "{error}");
    let gone =
        fetcher.helm_index(&helm_repo::Request::new("http://127.0.0.1:9/charts")).await.expect_err("nobody");
    assert!(gone.to_string().contains("--map http://127.0.0.1:9/charts="), "{gone}");
}

#[tokio::test]
async fn charts_of_a_registry() {
    let registry = Registry::start(Access::Open);
    registry.push_chart("charts/app", "1.0.0", &chart("app", "1.0.0"));
    registry.push_chart("charts/app", "1.1.0+build", &chart("app", "1.1.0+build"));
    let request = helm_repo::Request::new(format!("oci://{}/charts", registry.host()));
    let found = fetcher(&[]).helm_chart(&request, "app", "1.x").await.expect("pulls");
    assert_eq!((found.name.as_str(), found.version.as_str()), ("app", "1.1.0+build"));
}

#[tokio::test]
async fn maps_of_charts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("many/unpacked/templates")).expect("a folder");
    for (name, version) in [("app", "1.0.0"), ("app", "1.1.0"), ("other", "v3.0.0")] {
        fs::write(path(&format!("many/{name}-{version}.tgz")), chart(name, version)).expect("writes");
    }
    fs::write(path("many/unpacked/Chart.yaml"), "apiVersion: v2\nname: unpacked\nversion: 0.1.0\n")
        .expect("writes");
    fs::write(path("many/notes.txt"), "no chart").expect("writes");
    let one = path("many/app-1.1.0.tgz");
    let fetcher = fetcher(&[
        ("oci://registry.example/charts/app", &one),
        ("oci://registry.example/charts", &path("many")),
        ("https://charts.example", &path("many")),
        ("https://single.example/stable/app", &one),
    ]);

    let mut request =
        oci::Request { layer: chart_layer(), ..oci::Request::new("oci://registry.example/charts/app") };
    request.reference.semver = Some("1.x".into());
    let artifact = fetcher.oci(&request).await.expect("mapped");
    assert_eq!(artifact.revision.to_string(), format!("1.1.0@{}", sha256(&chart("app", "1.1.0"))));
    assert_eq!(artifact.mapped.as_deref(), one.to_str());
    request.reference.semver = Some(">=2".into());
    let error = fetcher.oci(&request).await.expect_err("not in the range").to_string();
    assert!(error.contains("(mapped)") && error.contains("1.1.0"), "{error}");
    request.reference = oci::Reference { tag: Some("1.0.0".into()), ..Default::default() };
    assert!(fetcher.oci(&request).await.is_err(), "the map serves another version");

    let mut other = oci::Request::new("oci://registry.example/charts/other");
    other.reference.semver = Some("v3.x".into());
    let artifact = fetcher.oci(&other).await.expect("mapped");
    assert_eq!(artifact.revision.name, "v3.0.0");
    assert!(artifact.tree.is_file("other/Chart.yaml"), "extracted");
    other.url = "oci://registry.example/charts/none".into();
    assert!(fetcher.oci(&other).await.expect_err("none").to_string().contains("no chart none"));

    let repository = helm_repo::Request::new("https://charts.example/");
    let index = fetcher.helm_index(&repository).await.expect("an index");
    assert_eq!(index.entries.keys().collect::<Vec<_>>(), ["app", "other", "unpacked"]);
    for (name, range, version) in
        [("app", "*", "1.1.0"), ("app", "1.0.0", "1.0.0"), ("unpacked", "", "0.1.0")]
    {
        let found = fetcher.helm_chart(&repository, name, range).await.expect(name);
        assert_eq!(found.version, version);
        assert!(
            Tree::from_tar_gz(&found.archive, &Limits::default())
                .expect("a chart")
                .is_file(&format!("{name}/Chart.yaml"))
        );
    }
    let single = helm_repo::Request::new("https://single.example/stable");
    assert_eq!(fetcher.helm_chart(&single, "app", "1.x").await.expect("mapped").version, "1.1.0");
    let oci_repository = helm_repo::Request::new("oci://registry.example/charts");
    assert_eq!(fetcher.helm_chart(&oci_repository, "app", "").await.expect("mapped").version, "1.1.0");
}

#[tokio::test]
async fn maps_of_mirrors_and_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let mirror = folder.path().join("mirror");
    fs::create_dir(&mirror).expect("a folder");
    let archive = chart("app", "1.0.0");
    fs::write(mirror.join("app-1.0.0.tgz"), &archive).expect("writes");
    let digest = sha256(&archive);
    let index = format!(
        "entries:\n  app:\n  - version: 1.0.0\n    digest: {}\n    urls: [\"https://files.example/x/app-1.0.0.tgz\"]\n",
        digest.trim_start_matches("sha256:")
    );
    fs::write(mirror.join("index.yaml"), index).expect("writes");
    let manifests_path = folder.path().join("manifests.tar.gz");
    fs::write(&manifests_path, manifests()).expect("writes");
    let fetcher = fetcher(&[
        ("https://charts.example", &mirror),
        ("oci://registry.example/manifests", &manifests_path),
        ("oci://registry.example/folder", &mirror),
        ("https://git.example/org/repo", &manifests_path),
        ("https://git.example/org/plain", &mirror),
    ]);
    let found = fetcher
        .helm_chart(&helm_repo::Request::new("https://charts.example"), "app", "")
        .await
        .expect("mirror");
    assert_eq!(found.digest, digest);
    let artifact =
        fetcher.oci(&oci::Request::new("oci://registry.example/manifests")).await.expect("archive");
    assert!(artifact.tree.is_file("app/x.yaml"));
    assert!(artifact.revision.to_string().starts_with("latest@sha256:"));
    let mut git = source::git::Request::new("https://git.example/org/repo.git");
    git.reference.tag = Some("v1".into());
    let artifact = fetcher.git(&git).await.expect("archive");
    assert!(artifact.revision.to_string().starts_with("v1@sha256:") && artifact.tree.is_file("app/x.yaml"));
    git.url = "https://git.example/org/plain".into();
    assert!(fetcher.git(&git).await.expect("folder").tree.is_file("index.yaml"));
}

#[tokio::test]
async fn the_charts_of_the_shared_folder() {
    let Some(charts) = testkit::shared("charts") else { return };
    let fetcher = fetcher(&[
        ("oci://quay.io/jetstack/charts/cert-manager", &charts.join("cert-manager-v1.20.2.tgz")),
        ("oci://docker.io/envoyproxy/gateway-helm", &charts.join("gateway-helm-v1.8.0.tgz")),
        ("https://stefanprodan.github.io/podinfo", &charts.join("podinfo-6.14.1.tgz")),
    ]);
    for (url, range, tag) in [
        ("oci://quay.io/jetstack/charts/cert-manager", "1.x", "v1.20.2"),
        ("oci://docker.io/envoyproxy/gateway-helm", "*", "1.8.0"),
    ] {
        let mut request = oci::Request { layer: chart_layer(), ..oci::Request::new(url) };
        request.reference.semver = Some(range.into());
        let artifact = fetcher.oci(&request).await.expect(url);
        assert_eq!(artifact.revision.name.trim_start_matches('v'), tag.trim_start_matches('v'), "{url}");
        assert!(artifact.blob.is_some());
    }
    let podinfo = helm_repo::Request::new("https://stefanprodan.github.io/podinfo");
    assert_eq!(fetcher.helm_chart(&podinfo, "podinfo", "6.x").await.expect("podinfo").version, "6.14.1");
}
