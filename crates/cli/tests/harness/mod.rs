//! Drives the real binary, and the real kubectl where a test needs it.
// Each test file uses a part of it.
#![allow(dead_code)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The longest that anything may take; the slowest machine with a debug build is meant.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The binary with arguments.
pub fn landfall(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    landfall(arguments).output().expect("the binary runs")
}

/// Standard output and error of a finished run, for messages.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A copy of `examples/quickstart` as a Git repository of its own.
pub fn quickstart() -> tempfile::TempDir {
    let folder = example("quickstart");
    commit(folder.path());
    folder
}

/// A copy of an example as a plain folder.
pub fn example(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    copy(&from, folder.path());
    folder
}

/// A repository of the suites as a plain folder; `None` where the suites are not.
pub fn suite_repository(name: &str) -> Option<tempfile::TempDir> {
    let archive = testkit::shared(&format!("suites/gitops-repos/{name}.tar.zst"))?;
    let folder = tempfile::tempdir().expect("a folder");
    for (path, bytes) in testkit::untar_zst(&archive) {
        let Some((_, path)) = path.trim_start_matches("./").split_once('/') else { continue };
        let target = folder.path().join(path);
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
        std::fs::write(target, bytes).expect("written");
    }
    Some(folder)
}

/// The Flux project's own example repository, as a Git repository; `None` where the suites are not.
pub fn flux_example() -> Option<tempfile::TempDir> {
    let archive = testkit::shared("suites/gitops-repos/fluxcd__flux2-kustomize-helm-example.tar.zst")?;
    let folder = tempfile::tempdir().expect("a folder");
    let top = "fluxcd__flux2-kustomize-helm-example/";
    for (path, bytes) in testkit::untar_zst(&archive) {
        let Some(path) = path.trim_start_matches("./").strip_prefix(top) else { continue };
        let target = folder.path().join(path);
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
        std::fs::write(target, bytes).expect("written");
    }
    commit(folder.path());
    Some(folder)
}

/// The charts of [`flux_example`]: address, and archive in the shared charts.
pub const FLUX_EXAMPLE_CHARTS: [(&str, &str); 3] = [
    ("oci://quay.io/jetstack/charts/cert-manager", "cert-manager-v1.20.2.tgz"),
    ("oci://docker.io/envoyproxy/gateway-helm", "gateway-helm-v1.8.0.tgz"),
    ("https://stefanprodan.github.io/podinfo", "podinfo-6.14.1.tgz"),
];

/// What `--map` takes to serve them from their archives.
pub fn flux_example_maps() -> Vec<String> {
    let Some(charts) = testkit::shared("charts") else { return Vec::new() };
    let map = |(url, file): (&str, &str)| format!("{url}={}", charts.join(file).display());
    FLUX_EXAMPLE_CHARTS.into_iter().map(map).collect()
}

/// Makes a folder a Git repository with one commit of all that is in it.
pub fn commit(folder: &Path) {
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "all"],
    ] {
        let status = Command::new("git").arg("-C").arg(folder).args(arguments).status().expect("git runs");
        assert!(status.success(), "git {arguments:?}");
    }
}

/// Commits all that changed.
pub fn commit_again(folder: &Path) {
    for arguments in [
        &["add", "-A"][..],
        &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "more"],
    ] {
        let status = Command::new("git").arg("-C").arg(folder).args(arguments).status().expect("git runs");
        assert!(status.success(), "git {arguments:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// A running `landfall up` with a state directory; killed when dropped.
pub struct Up {
    child: Child,
    /// Its state directory.
    pub state: PathBuf,
}

impl Up {
    /// Starts it in the background.
    pub fn start(repository: &Path, path: &str, state: &Path, more: &[&str]) -> Up {
        let repository = repository.to_string_lossy();
        let shown = state.to_string_lossy();
        let child = landfall(&["up", &repository, "--path", path, "--state", &shown])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        Up { child, state: state.to_path_buf() }
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited");
    }

    /// The units as `landfall get -o json` shows them; `None` while nothing serves yet.
    pub fn units(&self) -> Option<Vec<Value>> {
        let state = self.state.to_string_lossy();
        let output = run(&["get", "-o", "json", "--state", &state]);
        if !output.status.success() {
            return None;
        }
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Waits until `holds` says yes of the units.
    pub fn wait(&self, what: &str, holds: impl Fn(&[Value]) -> bool) {
        let since = Instant::now();
        let mut last = None;
        while since.elapsed() < PATIENCE {
            let units = self.units();
            if units.as_deref().is_some_and(&holds) {
                return;
            }
            last = units.or(last);
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("waited in vain: {what}; last seen: {last:#?}");
    }

    /// Waits until every unit is ready.
    pub fn wait_ready(&self, at_least: usize) {
        self.wait("all ready", |units| {
            units.len() >= at_least && units.iter().all(|unit| unit["ready"] == "True")
        });
    }

    /// What kubectl says; empty when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(self.state.join("kubeconfig"))
            .args(arguments)
            .output()
            .expect("kubectl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until kubectl says something.
    pub fn wait_kubectl(&self, arguments: &[&str], holds: impl Fn(&str) -> bool) {
        let since = Instant::now();
        let mut last = String::new();
        while since.elapsed() < PATIENCE {
            last = self.kubectl(arguments);
            if holds(&last) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("kubectl {arguments:?} kept saying: {last}");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Replaces text in a file, which must be there.
pub fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("readable");
    assert!(text.contains(from), "{} has no {from:?}", file.display());
    std::fs::write(file, text.replace(from, to)).expect("written");
}
