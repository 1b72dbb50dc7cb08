//! How charts travel: signatures, registries, repositories, dependencies; each step also with the real helm where
//! it is installed, and both must say the same.
#![allow(clippy::disallowed_methods)]

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::remotes::{Access, ChartRepository, Registry};

/// A helm with a home of its own.
struct Tool {
    program: PathBuf,
    ours: bool,
    home: tempfile::TempDir,
}

/// What a run said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: i32,
    out: String,
    error: String,
}

impl Tool {
    fn ours() -> Tool {
        let home = tempfile::tempdir().expect("a folder");
        Tool { program: env!("CARGO_BIN_EXE_landfall").into(), ours: true, home }
    }

    fn real() -> Option<Tool> {
        let program = testkit::kube::peer("helm")?;
        Some(Tool { program, ours: false, home: tempfile::tempdir().expect("a folder") })
    }

    fn all() -> Vec<Tool> {
        [Some(Tool::ours()), Tool::real()].into_iter().flatten().collect()
    }

    fn run(&self, line: &str, folder: &Path) -> Said {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.words(&words, folder, "")
    }

    fn words(&self, words: &[&str], folder: &Path, input: &str) -> Said {
        use std::io::Write as _;
        let home = self.home.path();
        let mut child = Command::new(&self.program)
            .args(self.ours.then_some("helm"))
            .args(words)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        child.stdin.take().expect("input").write_all(input.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("ends");
        let clean = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes).replace(&home.display().to_string(), "HOME").replace("\r", "")
        };
        Said {
            code: output.status.code().unwrap_or(-1),
            out: clean(&output.stdout),
            error: clean(&output.stderr),
        }
    }

    fn works(&self, line: &str, folder: &Path) -> Said {
        let said = self.run(line, folder);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said
    }
}

fn keys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../openpgp/testdata")
}

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
    std::fs::write(file, text).expect("written");
}

/// A chart that renders its values.
fn chart(root: &Path, name: &str, version: &str, more: &str) {
    let meta = format!(
        "apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: \"1\"\ndescription: Chart <{name}> & more\n\
         home: https://example.com/{name}\nsources: [https://example.com/src, https://example.com/b]\n\
         keywords: [one, two]\nmaintainers:\n- name: A\n  email: a@example.com\n- name: B\nannotations:\n  \
         org.opencontainers.image.title: other\n  org.opencontainers.image.url: https://example.org\n  extra: \"1\"\n{more}"
    );
    write(root, &format!("{name}/Chart.yaml"), &meta);
    write(root, &format!("{name}/values.yaml"), "color: red\n");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Chart.Name }}\ndata:\n  color: {{ .Values.color }}\n";
    write(root, &format!("{name}/templates/map.yaml"), map);
}

#[test]
fn signatures_are_judged_alike() {
    let cases = std::fs::read_dir(keys()).expect("keys").flatten().map(|entry| entry.path());
    let mut cases: Vec<PathBuf> =
        cases.filter(|path| path.extension().is_some_and(|e| e == "prov")).collect();
    cases.sort();
    assert!(cases.len() > 10);
    let tools = Tool::all();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(keys().join("hut-0.1.0.tgz"), folder.path().join("hut-0.1.0.tgz")).expect("copied");
    for case in cases {
        std::fs::copy(&case, folder.path().join("hut-0.1.0.tgz.prov")).expect("copied");
        let mut verdicts = Vec::new();
        for ring in ["pubring.gpg", "others.gpg", "nowhere.gpg"] {
            for verb in ["verify", "show chart --verify", "template x --verify"] {
                let line = format!("{verb} hut-0.1.0.tgz --keyring {}", keys().join(ring).display());
                let all: Vec<Said> = tools.iter().map(|tool| tool.run(&line, folder.path())).collect();
                for other in &all[1..] {
                    assert_eq!(&all[0], other, "{} {line}", case.display());
                }
                verdicts.push(all[0].code);
            }
        }
        // Without a ring nothing is good, and only what the smaller ring knows is good with it.
        assert_eq!(verdicts[6..], [1; 3], "{}", case.display());
        if verdicts[..3].contains(&1) {
            assert_eq!(verdicts[3..6], [1; 3], "{}", case.display());
        }
    }
    for line in ["verify hut", "verify nothere.tgz", "verify ."] {
        let all: Vec<Said> = tools.iter().map(|tool| tool.run(line, folder.path())).collect();
        assert!(all.iter().all(|said| said.code == 1 && *said == all[0]), "{line}: {all:#?}");
    }
}

#[test]
fn what_one_signs_the_other_verifies() {
    let tools = Tool::all();
    let folder = tempfile::tempdir().expect("a folder");
    chart(folder.path(), "hut", "0.1.0", "");
    std::fs::write(folder.path().join("pass"), "open sesame\n").expect("written");
    let keys = keys().display().to_string();
    for signer in &tools {
        for key in ["Plain", "Locked", "Edwards", "Curve"] {
            // Helm's own library does not sign with every curve key of GnuPG's.
            if !signer.ours && key == "Edwards" {
                continue;
            }
            let line =
                format!("package hut --sign --key {key} --keyring {keys}/secring.gpg --passphrase-file pass");
            signer.works(&line, folder.path());
            let line = format!("verify hut-0.1.0.tgz --keyring {keys}/pubring.gpg");
            let said: Vec<Said> = tools.iter().map(|tool| tool.works(&line, folder.path())).collect();
            assert!(said[0].out.starts_with(&format!("Signed by: {key} Key <")), "{}", said[0].out);
            assert!(said.iter().all(|one| *one == said[0]), "{said:#?}");
        }
    }
    for flags in [
        "--sign",
        "--sign --key Twin --keyring KEYS/secring.gpg",
        "--sign --key Nobody --keyring KEYS/secring.gpg",
        "--sign --key Plain --keyring KEYS/pubring.gpg",
        "--sign --key Plain --keyring nowhere",
        "--sign --key Locked --keyring KEYS/secring.gpg --passphrase-file nowhere",
        "--sign --key Locked --keyring KEYS/secring.gpg --passphrase-file hut/values.yaml",
    ] {
        let line = format!("package hut {}", flags.replace("KEYS", &keys));
        let all: Vec<Said> = tools.iter().map(|tool| tool.run(&line, folder.path())).collect();
        assert!(all.iter().all(|said| said.code == 1 && *said == all[0]), "{line}: {all:#?}");
    }
}

/// Times and nothing else may differ.
fn without_times(text: &str) -> String {
    let mark = regex::Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)").expect("a pattern");
    mark.replace_all(text, "TIME").into_owned()
}

#[test]
fn indexes_are_the_same_to_the_byte() {
    let ours = Tool::ours();
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for (name, version) in [("hut", "0.1.0"), ("hut", "0.10.0"), ("hut", "0.2.0-rc.1"), ("barn", "1.0.0+b.1")]
    {
        let more = "dependencies:\n- name: x\n  version: 1.x\n  repository: https://example.com\n  condition: x.on\n\
                    type: application\nkubeVersion: \">=1.20\"\nicon: https://example.com/i.png\ndeprecated: true\n";
        // A dependency that is not there cannot be packed: the archive of barn is made without.
        chart(root, name, version, if name == "hut" { more } else { "" });
        if name == "hut" {
            chart(&root.join("hut/charts"), "x", "1.2.3", "");
        }
        ours.works(&format!("package {name} -d site"), root);
    }
    std::fs::create_dir_all(root.join("site/deep")).expect("a folder");
    std::fs::rename(root.join("site/barn-1.0.0+b.1.tgz"), root.join("site/deep/barn-1.0.0+b.1.tgz"))
        .expect("moved");
    std::fs::write(root.join("site/not-a-chart.tgz"), "x").expect("written");
    let old = "apiVersion: v1\nentries:\n  hut:\n  - apiVersion: v2\n    created: \"2020-01-02T03:04:05.600Z\"\n    \
               digest: abc\n    name: hut\n    version: 0.0.1\n    removed: true\n    urls: [https://example.com/hut-0.0.1.tgz]\n  \
               - {apiVersion: v2, name: hut, version: 0.1.0, urls: [x]}\n  shed:\n  - name: shed\n    version: 3.0.0\n    \
               urls: []\ngenerated: \"2020-01-02T03:04:05Z\"\n";
    for (number, flags) in [
        "",
        "--url https://example.com/charts",
        "--url https://example.com/a/ --merge old.yaml",
        "--json",
        "--merge none.yaml",
    ]
    .into_iter()
    .enumerate()
    {
        let mut written = Vec::new();
        for tool in Tool::all() {
            std::fs::write(root.join("old.yaml"), old).expect("written");
            std::fs::remove_file(root.join("none.yaml")).ok();
            let said = tool.works(&format!("repo index site {flags}"), root);
            let index = std::fs::read_to_string(root.join("site/index.yaml")).expect("an index");
            let none = std::fs::read_to_string(root.join("none.yaml")).unwrap_or_default();
            written.push((said, without_times(&index), without_times(&none)));
        }
        assert!(written[0].1.contains("barn-1.0.0+b.1.tgz"), "{number}: {}", written[0].1);
        for other in &written[1..] {
            assert_eq!(written[0], *other, "{flags}");
        }
    }
}

#[test]
fn registries_hold_the_same_for_both() {
    let registry = Registry::start(Access::Basic("me".into(), "secret".into()));
    let host = registry.host();
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    chart(root, "hut", "0.1.0+build.5", "");
    let keyring = keys();
    let tools = Tool::all();
    let ours = &tools[0];
    let sign = format!("package hut --sign --key Plain --keyring {}/secring.gpg", keyring.display());
    ours.works(&sign, root);
    let file = "hut-0.1.0+build.5.tgz";
    let mut manifests = Vec::new();
    let mut all = Vec::new();
    for (number, tool) in tools.iter().enumerate() {
        let place = format!("oci://{host}/team{number}");
        let mut said = Vec::new();
        said.push(tool.run(&format!("push {file} {place} --plain-http"), root).code);
        let wrong = tool.run(&format!("registry login {host} --plain-http -u me -p wrong"), root);
        assert_eq!((wrong.code, wrong.error.contains("authenticating to")), (1, true), "{wrong:?}");
        let login = ["registry", "login", &host, "--plain-http", "--username", "me", "--password-stdin"];
        let done = tool.words(&login, root, "secret\n");
        assert_eq!((done.code, done.error.as_str()), (0, "Login Succeeded\n"), "{done:?}");
        let noted = std::fs::read_to_string(tool.home.path().join(".config/helm/registry/config.json"));
        let pushed = tool.works(&format!("push {file} {place} --plain-http"), root);
        assert!(
            pushed
                .error
                .starts_with(&format!("Pushed: {host}/team{number}/hut:0.1.0_build.5\nDigest: sha256:")),
            "{pushed:?}"
        );
        manifests.push(registry.manifest(&format!("team{number}/hut"), "0.1.0_build.5").expect("a manifest"));
        all.push((said, noted.expect("a file")));
    }
    for (other, manifest) in all.iter().zip(&manifests).skip(1) {
        assert_eq!(all[0], *other);
        assert_eq!(String::from_utf8_lossy(&manifests[0]), String::from_utf8_lossy(manifest));
    }
    // Each fetches what the other pushed.
    for (number, tool) in tools.iter().enumerate() {
        for from in 0..tools.len() {
            let inner = root.join(format!("got-{number}-{from}"));
            std::fs::create_dir_all(&inner).expect("a folder");
            let place = format!("oci://{host}/team{from}/hut --plain-http");
            let line = format!("pull {place} --verify --keyring {}/pubring.gpg", keyring.display());
            let said = tool.works(&format!("{line} --version 0.1.0+build.5"), &inner);
            assert!(said.out.starts_with("Signed by: Plain Key <plain@example.com>\nUsing Key"), "{said:?}");
            assert!(inner.join(format!("{file}.prov")).is_file());
            let rendered = tool.works(&format!("template x {place}"), &inner);
            assert!(rendered.out.contains("color: red"), "{rendered:?}");
            let shown = tool.works(
                &format!("show chart oci://{host}/team{from}/hut --version 0.1.0+build.5 --plain-http"),
                &inner,
            );
            assert!(shown.out.contains("version: 0.1.0+build.5"), "{shown:?}");
        }
        let wrong = tool.run(&format!("pull oci://{host}/team0/hut --plain-http --version 7"), root);
        assert_eq!(wrong.code, 1, "{wrong:?}");
        let out = tool.works(&format!("registry logout {host}"), root);
        assert_eq!(out.error, format!("Removing login credentials for {host}\n"));
        assert_eq!(tool.run(&format!("pull oci://{host}/team0/hut --plain-http"), root).code, 1);
    }
    let directory = tools.iter().map(|tool| tool.run("push hut oci://localhost/x", root)).collect::<Vec<_>>();
    assert!(directory.iter().all(|said| said.code == 1 && said.error == directory[0].error), "{directory:?}");
    let scheme = tools
        .iter()
        .map(|tool| tool.run(&format!("push {file} http://localhost/x"), root))
        .collect::<Vec<_>>();
    assert!(scheme.iter().all(|said| said.code == 1 && said.error == scheme[0].error), "{scheme:?}");
}

/// A repository with two versions of a chart, the newer one signed.
fn site(root: &Path, access: Access) -> ChartRepository {
    let site = ChartRepository::start(access);
    let ours = Tool::ours();
    for version in ["0.1.0", "0.2.0", "1.0.0-rc.1"] {
        chart(root, "hut", version, "");
        ours.works(
            &format!("package hut --sign --key Plain --keyring {}/secring.gpg", keys().display()),
            root,
        );
        let file = format!("hut-{version}.tgz");
        site.push("hut", version, &std::fs::read(root.join(&file)).expect("packed"));
        if version == "0.2.0" {
            let signature = std::fs::read(root.join(format!("{file}.prov"))).expect("signed");
            site.put(&format!("{file}.prov"), &signature);
        }
    }
    site
}

#[test]
fn repositories_are_used_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let site = site(root, Access::Basic("me".into(), "secret".into()));
    let url = site.url();
    let ring = keys().join("pubring.gpg");
    let ring = ring.display();
    let mut all: Vec<Vec<(String, Said)>> = Vec::new();
    for (number, tool) in Tool::all().iter().enumerate() {
        let inner = root.join(format!("work-{number}"));
        std::fs::create_dir_all(&inner).expect("a folder");
        let mut said = Vec::new();
        for line in [
            "repo list".to_owned(),
            "repo update".to_owned(),
            "repo remove x".to_owned(),
            format!("repo add site {url} --username me --password secret"),
            format!("repo add site {url} --username me --password secret"),
            format!("repo add site {url}/other --username me --password secret"),
            format!("repo add a/b {url} --username me --password secret"),
            "repo list".to_owned(),
            "repo list -o json".to_owned(),
            "repo update".to_owned(),
            "repo update nope".to_owned(),
            "search repo".to_owned(),
            "search repo hut -l".to_owned(),
            "search repo hut --devel -o yaml".to_owned(),
            "search repo hut --version ^0.1".to_owned(),
            "search repo -r ^s.*t$".to_owned(),
            "search repo nothing".to_owned(),
            "search repo nothing --fail-on-no-result".to_owned(),
            "pull site/hut".to_owned(),
            "pull site/hut --version 0.1.0 --untar".to_owned(),
            "pull site/hut --version 0.1.0 --untar".to_owned(),
            format!("pull site/hut --version 0.2.0 --verify --keyring {ring} -d ."),
            format!("pull site/hut --version 0.1.0 --verify --keyring {ring}"),
            "pull site/hut --devel --prov".to_owned(),
            format!("pull hut --repo {url} --username me --password secret --version 0.1.0"),
            format!("template x site/hut --verify --keyring {ring}"),
            format!("template x site/hut --version 0.1.0 --verify --keyring {ring}"),
            "show values site/hut".to_owned(),
            "template x other/hut".to_owned(),
            "repo remove site".to_owned(),
            "repo remove site".to_owned(),
        ] {
            said.push((line.clone(), tool.run(&line, &inner)));
        }
        let mut files: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(&inner).expect("a folder").flatten() {
            files.push(entry.file_name().to_string_lossy().into_owned());
        }
        files.sort();
        said.push((format!("{files:?}"), Said { code: 0, out: String::new(), error: String::new() }));
        all.push(said);
    }
    let codes: Vec<i32> = all[0].iter().map(|(_, said)| said.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 20, "{:#?}", all[0]);
    for other in &all[1..] {
        for (mine, theirs) in all[0].iter().zip(other) {
            // What a server refuses is worded by each client; that it is refused counts.
            match mine.0.contains("/other") || mine.0.contains("--prov") {
                true => assert_eq!(mine.1.code, theirs.1.code, "{mine:#?} {theirs:#?}"),
                false => assert_eq!(mine, theirs),
            }
        }
    }
}

#[test]
fn dependencies_come_from_repositories_and_registries() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let site = site(root, Access::Open);
    let registry = Registry::start(Access::Open);
    chart(root, "shed", "2.3.4", "");
    let first = Tool::ours();
    first.works("package shed", root);
    first.works(&format!("push shed-2.3.4.tgz oci://{}/charts --plain-http", registry.host()), root);
    let (url, host) = (site.url(), registry.host());
    let wanted = |hut: &str| {
        format!(
            "dependencies:\n- name: hut\n  version: {hut}\n  repository: \"@site\"\n\
             - name: shed\n  version: ~2.3\n  repository: oci://{host}/charts\n  alias: store\n"
        )
    };
    let mut all = Vec::new();
    for (number, tool) in Tool::all().iter().enumerate() {
        let inner = root.join(format!("work-{number}"));
        chart(&inner, "farm", "1.0.0", &wanted("^0.1"));
        let missing = tool.run("dependency update farm", &inner);
        assert_eq!(missing.code, 1, "{missing:?}");
        assert!(missing.error.contains("no repository definition for @site"), "{missing:?}");
        tool.works(&format!("repo add site {url}"), &inner);
        tool.works("dependency update farm --plain-http", &inner);
        let lock = std::fs::read_to_string(inner.join("farm/Chart.lock")).expect("a lock file");
        let listed = tool.works("dependency list farm", &inner);
        let rendered = tool.works("template x farm --set store.color=blue", &inner);
        // A lock file and nothing else brings the same charts.
        std::fs::remove_dir_all(inner.join("farm/charts")).expect("removed");
        tool.works("dependency build farm --plain-http", &inner);
        let again = tool.works("template x farm --set store.color=blue", &inner);
        assert_eq!(rendered, again);
        // The lock file is out of date.
        chart(&inner, "farm", "1.0.0", &wanted("^0.2"));
        let stale = tool.run("dependency build farm --plain-http", &inner);
        chart(&inner, "farm", "1.0.0", &wanted("^7"));
        assert_eq!(tool.run("dependency update farm --plain-http", &inner).code, 1);
        all.push((without_times(&lock), listed, rendered, stale.code, stale.error));
    }
    assert!(all[0].0.contains("version: 0.1.0") && all[0].0.contains("version: 2.3.4"), "{}", all[0].0);
    assert!(all[0].2.out.contains("color: blue"), "{:?}", all[0].2);
    for other in &all[1..] {
        assert_eq!(all[0], *other);
    }
}

#[test]
fn dependencies_are_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let site = site(root, Access::Open);
    let ring = keys().join("pubring.gpg");
    let ring = ring.display();
    for tool in Tool::all() {
        tool.works(&format!("repo add site {}", site.url()), root);
        let wanted = |version: &str| {
            format!("dependencies:\n- name: hut\n  version: {version}\n  repository: {}\n", site.url())
        };
        chart(root, "farm", "1.0.0", &wanted("0.2.0"));
        let update = format!("dependency update farm --verify --keyring {ring}");
        tool.works(&update, root);
        chart(root, "farm", "1.0.0", &wanted("0.1.0"));
        let unsigned = tool.run(&update, root);
        assert_eq!(unsigned.code, 1, "{unsigned:?}");
        assert!(unsigned.error.contains("failed to fetch provenance"), "{unsigned:?}");
        tool.works("dependency update farm", root);
        let build = tool.works(&format!("dependency build farm --verify --keyring {ring}"), root);
        assert!(build.out.contains("WARNING: Verification not found for"), "{build:?}");
        std::fs::remove_dir_all(root.join("farm")).expect("removed");
    }
}

#[test]
fn the_tool_tells_of_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for tool in Tool::all() {
        let all = tool.works("env", root).out;
        for name in
            ["HELM_CACHE_HOME=\"HOME/.cache/helm\"", "HELM_MAX_HISTORY=\"10\"", "HELM_NAMESPACE=\"default\""]
        {
            assert!(all.contains(name), "{name}: {all}");
        }
        assert_eq!(tool.works("env HELM_PLUGINS", root).out, "HOME/.local/share/helm/plugins\n");
        assert!(tool.works("version --short", root).out.starts_with("v3.22"));
        assert!(tool.works("version --template {{.Version}}", root).out.starts_with("v3.22"));
        for shell in ["bash", "zsh", "fish", "powershell"] {
            assert!(tool.works(&format!("completion {shell}"), root).out.contains("helm"), "{shell}");
        }
    }
    let names = |tool: &Tool| {
        let text = tool.works("env", root).out;
        text.lines().map(|line| line.split('=').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let all: Vec<_> = Tool::all().iter().map(names).collect();
    assert!(all.iter().all(|one| *one == all[0]), "{all:#?}");
    let ours = Tool::ours();
    for (line, words) in [("search hub nginx", "not served"), ("plugin list", "not served")] {
        let said = ours.run(line, root);
        assert!(said.code == 1 && said.error.contains(words), "{said:?}");
    }
}

#[test]
fn a_new_chart_is_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    assert_eq!(Tool::ours().works("create web", root).out, "Creating web\n");
    assert_eq!(Tool::ours().run("create _/Bad!", root).code, 1);
    for tool in Tool::all() {
        let said = tool.works("lint web", root);
        assert!(said.out.contains("1 chart(s) linted, 0 chart(s) failed"), "{said:?}");
        let rendered = tool.works("template x web --set resources.limits.cpu=1", root).out;
        assert!(rendered.contains("image: \"nginx:1.27\"") && rendered.contains("cpu: 1"), "{rendered}");
    }
}
