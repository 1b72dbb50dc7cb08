//! The real kubectl against the real binary, by transcripts.
//!
//! A transcript is a file of `$ command` lines (`> ` continues one), each followed by what it printed, standard
//! error included, and `[exit N]` when it failed. Those in `kubectl/api` need no controller: they were recorded
//! against kube-apiserver 1.34.2 with `LANDFALL_RECORD=KUBECONFIG cargo test --test kubectl`. Those in
//! `kubectl/workloads` need the simulated controllers; `LANDFALL_RECORD=own` writes them anew, to be reviewed.
//! What differs from run to run (ages, times, UIDs, addresses, widths of columns) is evened out.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{landfall, run, said};
use regex::Regex;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A cluster of its own, stopped when dropped.
struct Cluster {
    state: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Cluster {
        let state = tempfile::tempdir().expect("a folder");
        let shown = state.path().to_string_lossy().into_owned();
        let output = run(&["cluster", "start", "--state", &shown, "--detach"]);
        assert!(output.status.success(), "{}", said(&output));
        Cluster { state }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.state.path().join("kubeconfig")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let state = self.state.path().to_string_lossy().into_owned();
        let stopped = landfall(&["cluster", "stop", "--state", &state]).output();
        drop(stopped);
    }
}

/// Whether kubectl is there; says so when it is not.
fn has_kubectl(test: &str) -> bool {
    let found = Command::new("kubectl").args(["version", "--client"]).stdout(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "CI needs kubectl");
        eprintln!("skipped {test}: kubectl is not installed");
    }
    found
}

/// The commands of a transcript.
fn commands(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.to_owned());
        } else if let Some(more) = line.strip_prefix("> ").or((line == ">").then_some(""))
            && let Some(last) = commands.last_mut()
        {
            last.push('\n');
            last.push_str(more);
        }
    }
    commands
}

/// Runs the commands in a folder of their own and writes down what they print.
fn transcript(commands: &[String], kubeconfig: &Path) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("kubeconfig");
    std::fs::copy(kubeconfig, &own).expect("a kubeconfig");
    let mut text = String::new();
    for command in commands {
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{command}")])
            .current_dir(folder.path())
            .env("KUBECONFIG", &own)
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        text.push_str(&format!("$ {}\n", command.replace('\n', "\n> ")));
        let printed = String::from_utf8_lossy(&output.stdout);
        text.push_str(&even(&printed.replace(&*folder.path().to_string_lossy(), "TMP")));
        if !printed.is_empty() && !printed.ends_with('\n') {
            text.push('\n');
        }
        if !output.status.success() {
            text.push_str(&format!("[exit {}]\n", output.status.code().unwrap_or(-1)));
        }
    }
    text
}

/// Takes out what differs from run to run.
fn even(text: &str) -> String {
    const RULES: &[(&str, &str)] = &[
        // A controller of the original that the recording went without.
        (r"(?m)^.*kube-root-ca\.crt.*\n", ""),
        (r"https://127\.0\.0\.1:\d+", "SERVER"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r"\b\d+(s|m|m\d+s)\b", "AGE"),
        (r"10\.(0|96)\.\d+\.\d+", "ADDRESS"),
        (r"(?m)^[EIW]\d{4} \S+ +\d+ ", "LOG "),
        (r"kubectl-edit-[^. ]*", "kubectl-edit"),
        (r"\t", "  "),
        (r"  +", "  "),
        (r"(?m) +$", ""),
    ];
    let mut text = text.to_owned();
    for (pattern, plain) in RULES {
        let regex = Regex::new(pattern).expect("a pattern");
        text = regex.replace_all(&text, *plain).into_owned();
    }
    text
}

/// Plays every transcript of a folder, side by side.
fn play(folder: &str, record: Option<PathBuf>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&root).expect("transcripts").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let cluster = Cluster::start();
    let from = record.clone().filter(|path| path.is_file()).unwrap_or_else(|| cluster.kubeconfig());
    let failures: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = files
            .iter()
            .map(|file| {
                let (from, record) = (&from, &record);
                scope.spawn(move || {
                    let wanted = std::fs::read_to_string(file).expect("a transcript");
                    let found = transcript(&commands(&wanted), from);
                    if record.is_some() {
                        std::fs::write(file, found).expect("written");
                        return None;
                    }
                    difference(&file.file_name()?.to_string_lossy(), &wanted, &found)
                })
            })
            .collect();
        runs.into_iter().filter_map(|run| run.join().expect("a run")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn difference(name: &str, wanted: &str, found: &str) -> Option<String> {
    if wanted == found {
        return None;
    }
    let diff = similar::TextDiff::from_lines(wanted, found);
    let diff = diff.unified_diff().context_radius(3).header(name, "ours").to_string();
    Some(diff)
}

fn recording() -> Option<PathBuf> {
    std::env::var_os("LANDFALL_RECORD").map(PathBuf::from)
}

#[test]
fn answers_as_kube_apiserver() {
    if has_kubectl("answers_as_kube_apiserver") {
        play("api", recording().filter(|path| path.is_file()));
    }
}

#[test]
fn workloads_behave() {
    if has_kubectl("workloads_behave") {
        play("workloads", recording().filter(|path| !path.is_file()));
    }
}
