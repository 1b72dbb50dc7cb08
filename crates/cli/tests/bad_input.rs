//! Hostile and broken input, end to end: every case is told with its place, and stops nothing else.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{landfall, run, said};
use serde_json::Value;
use std::io::Write;
use std::path::Path;

fn write(folder: &Path, file: &str, text: &[u8]) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, text).expect("written");
}

/// The Flux object that delivers `bad/NAME`.
fn delivery(name: &str) -> String {
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, \
         namespace: flux-system}}\nspec: {{interval: 10m, path: ./bad/{name}, prune: true, \
         sourceRef: {{kind: GitRepository, name: flux-system}}}}\n---\n"
    )
}

/// A HelmRelease of the chart in `bad/NAME`.
fn release(name: &str) -> String {
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: {name}, \
         namespace: flux-system}}\nspec: {{interval: 10m, chart: {{spec: {{chart: ./bad/{name}, \
         sourceRef: {{kind: GitRepository, name: flux-system}}}}}}}}\n---\n"
    )
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: default}\n";

fn bomb() -> String {
    let mut text = format!("{MAP}a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 9].join(",");
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    text
}

/// Name, files below `bad/NAME`, and what the cause must say.
fn kustomizations() -> Vec<(&'static str, Vec<(&'static str, Vec<u8>)>, Vec<&'static str>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let huge = [MAP.as_bytes(), b"data:\n  k: ", &vec![b'x'; 40 << 20]].concat();
    vec![
        ("huge", vec![("huge.yaml", huge)], vec!["bad/huge/huge.yaml", "40 MiB is more than the 32 MiB"]),
        ("bomb", vec![("bomb.yaml", text(&bomb()))], vec!["bad/bomb/bomb.yaml", "excessive aliasing"]),
        ("syntax", vec![("a.yaml", text(&format!("{MAP}data: [\n")))], vec!["bad/syntax/a.yaml:"]),
        (
            "climbs",
            vec![("kustomization.yaml", text("resources:\n- ../../../../etc/passwd\n"))],
            vec!["bad/climbs/kustomization.yaml:2", "../../../../etc/passwd"],
        ),
        (
            "missing",
            vec![("kustomization.yaml", text("namespace: a\nresources:\n- gone.yaml\n"))],
            vec!["bad/missing/kustomization.yaml:3", "gone.yaml"],
        ),
        (
            "twice",
            vec![("a.yaml", text(MAP)), ("b.yaml", text(MAP))],
            vec!["bad/twice", "may not add resource with an already registered id"],
        ),
        (
            "round",
            vec![
                ("kustomization.yaml", text("resources: [a]\n")),
                ("a/kustomization.yaml", text("resources: [..]\n")),
            ],
            vec!["cycle detected"],
        ),
        ("latin", vec![("a.yaml", b"kind: \xff\xfe\n".to_vec())], vec!["bad/latin/a.yaml"]),
    ]
}

fn charts() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    vec![
        (
            "loops",
            "{{ define \"a\" }}{{ include \"a\" . }}{{ end }}\nx: {{ include \"a\" . }}\n",
            vec!["templates/x.yaml:2", "nested"],
        ),
        ("endless", "\nx: {{ until 1000000000 }}\n", vec!["templates/x.yaml:2", "too long"]),
        ("unclosed", "a: b\nx: {{ if .Values.x }}\n", vec!["templates/x.yaml:"]),
        (
            "needs",
            "a: b\n\nx: {{ required \"give a name\" .Values.name }}\n",
            vec!["x.yaml:3", "give a name"],
        ),
        ("noyaml", "a: b\nb: [\n", vec!["templates/x.yaml"]),
    ]
}

#[test]
fn every_fault_of_a_repository_is_named_and_stops_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut entry = String::new();
    let mut expected: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, files, says) in kustomizations() {
        for (file, bytes) in files {
            write(folder.path(), &format!("bad/{name}/{file}"), &bytes);
        }
        entry.push_str(&delivery(name));
        expected.push((name.to_owned(), says));
    }
    for (name, template, says) in charts() {
        let chart = format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n");
        write(folder.path(), &format!("bad/{name}/Chart.yaml"), chart.as_bytes());
        write(folder.path(), &format!("bad/{name}/templates/x.yaml"), template.as_bytes());
        entry.push_str(&release(name));
        expected.push((name.to_owned(), says));
    }
    #[cfg(unix)]
    {
        std::fs::create_dir_all(folder.path().join("bad/links")).expect("made");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("bad/links/a.yaml")).expect("linked");
        entry.push_str(&delivery("links"));
        expected.push(("links".into(), vec!["bad/links/a.yaml is left out", "/etc/passwd"]));
    }
    write(folder.path(), "bad/fine/a.yaml", MAP.as_bytes());
    entry.push_str(&delivery("fine"));
    write(folder.path(), "clusters/dev/all.yaml", entry.as_bytes());

    let path = folder.path().to_string_lossy();
    let output = run(&["up", &path, "--once", "--ephemeral", "-o", "json", "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let outcome: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let unit = |name: &str| {
        let units = outcome["units"].as_array().expect("units");
        let found = units.iter().find(|unit| {
            unit["name"] == name && matches!(unit["kind"].as_str(), Some("Kustomization" | "HelmRelease"))
        });
        found.unwrap_or_else(|| panic!("no unit {name}")).clone()
    };
    let mut wrong = Vec::new();
    for (name, says) in expected {
        let unit = unit(&name);
        let cause = &unit["cause"];
        let place = match (cause["file"].as_str(), cause["line"].as_u64()) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            _ => String::new(),
        };
        let line = format!("{place}{}", cause["message"].as_str().unwrap_or_default());
        if unit["ready"] == "True" || says.iter().any(|part| !line.contains(part)) {
            wrong.push(format!("{name} says {line:?}, not {says:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(unit("fine")["ready"], "True");
}

/// A gzipped archive whose second entry climbs out.
fn hostile_archive() -> Vec<u8> {
    let mut bytes = Vec::new();
    let chart: &[u8] = b"apiVersion: v2\nname: evil\nversion: 0.1.0\n";
    for (name, content) in [("evil/Chart.yaml", chart), ("evil/../../out.txt", b"x")] {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&bytes).expect("packed");
    packed.finish().expect("packed")
}

#[test]
fn hostile_archives_and_unreachable_sources_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "evil.tgz", &hostile_archive());
    let sources = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: evil, \
                   namespace: default}\nspec: {interval: 10m, url: https://charts.example.com}\n---\n\
                   apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: away, \
                   namespace: default}\nspec: {interval: 10m, url: http://127.0.0.1:9/x.git, \
                   ref: {branch: main}}\n";
    write(folder.path(), "repo/clusters/dev/sources.yaml", sources.as_bytes());
    write(folder.path(), "repo/clusters/dev/flux.yaml", delivery("x").as_bytes());
    write(folder.path(), "repo/bad/x/a.yaml", MAP.as_bytes());
    let repository = folder.path().join("repo");
    let map = format!("https://charts.example.com={}", folder.path().join("evil.tgz").display());
    let output = landfall(&["up", "--once", "--ephemeral", "--timeout", "60s", "--map", &map])
        .arg(&repository)
        .output()
        .expect("runs");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("leaves the archive"), "{said}");
    assert!(said.contains("http://127.0.0.1:9/x.git") && said.contains("--map"), "{said}");
    assert!(!folder.path().join("out.txt").exists());
}

#[test]
fn a_port_in_use_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "a.yaml", MAP.as_bytes());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let path = folder.path().to_string_lossy();
    let output = run(&["up", &path, "--once", "--ephemeral", "--port", &port]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--port"), "{}", said(&output));
}

#[test]
fn a_damaged_state_is_told_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "repo/a.yaml", MAP.as_bytes());
    write(folder.path(), "state/state.redb", b"this is no database");
    let output = landfall(&["up", "--once", "--state"])
        .arg(folder.path().join("state"))
        .arg(folder.path().join("repo"))
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("damaged"), "{}", said(&output));
    let kept = std::fs::read(folder.path().join("state/state.redb")).expect("still there");
    assert_eq!(kept, b"this is no database");
}
