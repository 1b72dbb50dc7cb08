//! A cluster, a chart, and the two tools on them.

// Each test file uses a part of it.
#![allow(dead_code)]

use crate::harness::landfall;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The real tool, or `None` (after saying so) when it is not on this machine.
pub fn peer(name: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("LANDFALL_PEERS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache/landfall-peers/bin"),
    };
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    let thread = std::thread::current();
    eprintln!("skipped {}: {name} is not in {}", thread.name().unwrap_or("test"), folder.display());
    None
}

/// What a command said.
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
    line: String,
}

impl Said {
    /// Standard output of a success.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}{}", self.line, self.out, self.err);
        self.out
    }

    /// Standard error of a failure.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_ne!(self.code, 0, "{}\n{}{}", self.line, self.out, self.err);
        self.err
    }
}

/// An embedded cluster that is gone with this value.
pub struct Site {
    server: Child,
    folder: tempfile::TempDir,
    driver: &'static str,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _gone = self.server.kill();
        let _reaped = self.server.wait();
    }
}

impl Site {
    /// Starts it.
    pub fn start() -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = landfall(&["cluster", "start", "--ephemeral"])
            .env("HOME", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(server.stdout.take().expect("a pipe"));
        let mut text = String::new();
        while !serde_json::Value::is_object(&yaml::from_str(&text).unwrap_or_default())
            || !text.contains("current-context")
            || !text.ends_with("\n\n")
        {
            assert_ne!(lines.read_line(&mut text).expect("a kubeconfig"), 0, "{text}");
        }
        std::fs::write(folder.path().join("kubeconfig"), &text).expect("written");
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Site { server, folder, driver: "" }
    }

    /// With releases in what this storage driver keeps them in.
    pub fn with_driver(self, driver: &'static str) -> Site {
        let mut site = self;
        site.driver = driver;
        site
    }

    fn run(&self, mut command: Command, line: &str) -> Said {
        command
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("NO_COLOR", "1")
            .env("HELM_DRIVER", self.driver)
            .stdin(Stdio::null());
        let output = command.output().expect("runs");
        Said {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
            line: line.to_owned(),
        }
    }

    /// `landfall helm LINE`, with CHART for the chart's folder.
    pub fn landfall(&self, namespace: &str, line: &str, chart: &str) -> Said {
        let mut command = landfall(&["helm"]);
        command.args(words(line, chart)).args(["-n", namespace]);
        self.run(command, line)
    }

    /// `helm LINE`.
    pub fn helm(&self, peer: &Path, namespace: &str, line: &str, chart: &str) -> Said {
        let mut command = Command::new(peer);
        command.args(words(line, chart)).args(["-n", namespace]);
        self.run(command, line)
    }

    /// `kubectl`, which must succeed.
    #[track_caller]
    pub fn kubectl(&self, namespace: &str, line: &str) -> String {
        let mut command = Command::new("kubectl");
        command.args(["-n", namespace]).args(line.split(' '));
        self.run(command, line).succeeded()
    }

    /// An object as it is.
    pub fn object(&self, namespace: &str, name: &str) -> Value {
        let text = self.kubectl(namespace, &format!("get {name} -o json --show-managed-fields"));
        serde_json::from_str(&text).expect("JSON")
    }

    /// A stored revision: its JSON as it was written, and the labels of its Secret.
    pub fn stored(&self, namespace: &str, name: &str, revision: u64) -> Stored {
        let secret = self.object(namespace, &format!("secret/sh.helm.release.v1.{name}.v{revision}"));
        let inner = unbase64(secret["data"]["release"].as_str().expect("data").as_bytes());
        let packed = unbase64(&inner);
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("gzip");
        let mut labels: BTreeMap<String, Value> =
            serde_json::from_value(secret["metadata"]["labels"].clone()).expect("labels");
        labels.retain(|key, _| !matches!(key.as_str(), "createdAt" | "modifiedAt"));
        Stored { text, labels }
    }

    /// Leaves a revision behind as a crash in the middle of an upgrade does.
    pub fn leave_pending(&self, namespace: &str, name: &str, revision: u64) {
        let mut secret = self.object(namespace, &format!("secret/sh.helm.release.v1.{name}.v1"));
        let mut release = helm::release::Holder::Secret.read(&secret).expect("a release");
        release.version = revision;
        release.info.status = helm::Status::PendingUpgrade;
        release.info.last_deployed = jiff::Timestamp::now().to_string();
        secret = helm::release::Holder::Secret.store(&release, None).expect("a Secret");
        let mut apply = Command::new("kubectl")
            .args(["-n", namespace, "apply", "-f", "-"])
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("kubectl runs");
        let mut input = apply.stdin.take().expect("a pipe");
        input.write_all(secret.to_string().as_bytes()).expect("written");
        drop(input);
        assert!(apply.wait().expect("waited").success());
    }
}

/// A stored revision.
pub struct Stored {
    pub text: String,
    pub labels: BTreeMap<String, Value>,
}

fn words(line: &str, chart: &str) -> Vec<String> {
    line.split(' ').map(|word| if word == "CHART" { chart.to_owned() } else { word.to_owned() }).collect()
}

fn unbase64(text: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

/// A stored release without its times and its namespace.
pub fn without_times(text: &str, namespace: &str) -> String {
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)").expect("a pattern");
    let text = time.replace_all(text, "TIME");
    text.replace(&format!("\"{namespace}\""), "\"NAMESPACE\"")
        .replace(&format!("in {namespace}"), "in NAMESPACE")
}

/// Two long texts are the same; else says where they part.
#[track_caller]
pub fn same(ours: &str, theirs: &str) {
    let at = ours.bytes().zip(theirs.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(60)..])
            .chars()
            .take(160)
            .collect::<String>()
    };
    assert!(ours == theirs, "they part here:\nours:   {}\ntheirs: {}", part(ours), part(theirs));
}

/// An object without what differs from one creation to the next.
pub fn settled(object: &Value, namespace: &str) -> String {
    let mut object = object.clone();
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
        object["metadata"].as_object_mut().expect("metadata").remove(field);
    }
    object.as_object_mut().expect("an object").remove("status");
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove(field);
        }
    }
    if let Some(managers) = object["metadata"]["managedFields"].as_array_mut() {
        managers.retain(|manager| manager["manager"] == "helm");
        managers.iter_mut().for_each(|manager| manager["time"] = Value::Null);
    }
    object.to_string().replace(&format!("\"{namespace}\""), "\"NAMESPACE\"")
}

/// A chart with a bit of everything: hooks, tests, a kept object, a Secret, a custom kind that may be wrong.
pub fn chart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/helm-site");
    for inner in ["", "templates"] {
        let target = folder.path().join(inner);
        std::fs::create_dir_all(&target).expect("a folder");
        for entry in std::fs::read_dir(from.join(inner)).expect("readable") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_file() {
                std::fs::copy(entry.path(), target.join(entry.file_name())).expect("copied");
            }
        }
    }
    folder
}
