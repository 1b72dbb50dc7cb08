//! Drives the real binary, and the real kubectl where a test needs it.

// Every test uses a part of it.
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
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart");
    copy(&from, folder.path());
    commit(folder.path());
    folder
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
