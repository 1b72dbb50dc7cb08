//! Area `clients`: what kubectl and other clients print against kube-apiserver and against the embedded cluster.
//!
//! `clients/commands.txt` holds the commands, one a line; each runs in bash, first with the kubeconfig of the
//! original (`$LANDFALL_ORIGINAL`, a new kube-apiserver that nobody else uses), then with one of a new embedded
//! cluster that serves the API alone. Times, names made up by servers and the like are masked. It needs kubectl,
//! jq, openssl, Go (for `clients/runtime`, a program with controller-runtime, whose modules it fetches) and Python with its
//! `kubernetes` package; it is not part of `all`, since it changes the original.

use super::kubernetes::Cluster;
use super::{Case, Suite};
use anyhow::Context;
use regex::Regex;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMMANDS: &str = include_str!("clients/commands.txt");
/// What differs from server to server, and what is said in its place.
const MASKS: &[(&str, &str)] = &[
    (r"https://127\.0\.0\.1:\d+", "SERVER"),
    // Headers that say nothing of the request.
    (r"\{'[a-z-]+': '[^{}]*\}", "HEADERS"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\w{3}, \d\d \w+ \d{4} [\d:]+ \S+", "TIME"),
    (r"\b[EWI]\d{4} [\d:.]+ +\d+ ", "LOG "),
    (r#"resourceVersion: "?\d+"?"#, "resourceVersion: N"),
    (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"),
    (r"\b(\d+m)?\d+s\b", "AGE"),
    (r"\b\d+m\b", "AGE"),
    (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-RANDOM"),
    (r"\b3\d{4}\b", "PORT"),
    (r" +", " "),
];

/// The suite, when there is an original.
pub fn suites(_: &Path) -> anyhow::Result<Vec<Suite>> {
    let Some(original) = std::env::var_os("LANDFALL_ORIGINAL").map(PathBuf::from) else {
        eprintln!("clients: left out, LANDFALL_ORIGINAL names no kubeconfig of a new kube-apiserver");
        return Ok(Vec::new());
    };
    let scratch = tempfile::tempdir()?;
    let own = Cluster::start(scratch.path(), &["--bare"])?;
    let masks = MASKS
        .iter()
        .map(|(pattern, word)| Ok((Regex::new(pattern)?, *word)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let runtime = build_runtime(scratch.path());
    let mut cases = Vec::new();
    for line in COMMANDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let said = |kubeconfig: &Path, home: &str| -> anyhow::Result<String> {
            let home = scratch.path().join(home);
            std::fs::create_dir_all(&home)?;
            run(line, kubeconfig, &home, &runtime, &masks)
        };
        let (want, have) = (said(&original, "original")?, said(&own.kubeconfig, "own")?);
        cases.push(Case::same(line.replace('`', "'"), &want, &have));
    }
    Ok(vec![Suite { name: "clients".to_owned(), cases }])
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance/clients")
}

/// The program with controller-runtime, built by Go; where that fails, the command that runs it says so.
fn build_runtime(scratch: &Path) -> PathBuf {
    let program = scratch.join("runtime");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .env("GOTOOLCHAIN", "local")
        .current_dir(scripts().join("runtime"))
        .status();
    if !built.as_ref().is_ok_and(std::process::ExitStatus::success) {
        eprintln!("clients: the program with controller-runtime cannot be built: {built:?}");
    }
    program
}

/// What a command prints, and how it ends.
fn run(
    line: &str,
    kubeconfig: &Path,
    home: &Path,
    runtime: &Path,
    masks: &[(Regex, &str)],
) -> anyhow::Result<String> {
    let scripts = scripts();
    let output = Command::new("timeout")
        .args(["60", "bash", "-c", &format!("exec 2>&1; {line}")])
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home)
        .env("RUNTIME", runtime)
        .current_dir(&scripts)
        .output()
        .context("bash")?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    for (pattern, word) in masks {
        text = pattern.replace_all(&text, *word).into_owned();
    }
    Ok(format!("{text}\nends with {}\n", output.status.code().unwrap_or(-1)))
}
