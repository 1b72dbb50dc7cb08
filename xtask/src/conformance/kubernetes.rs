//! Area `kubernetes`: Kubernetes' own conformance tests against the embedded cluster, a process for each, so that
//! one that hangs costs no more than its time. Not part of `all`: it takes half an hour.
//!
//! It needs the tests' binary (`e2e.test`, from the peers' install script; its folder is `$PEERS/bin`), kubectl and
//! the released binary (`$LANDFALL`, else `target/release/landfall`). `$LANDFALL_E2E` keeps only the tests whose
//! name contains it.

use super::{Case, Suite};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Who answers for the tests that an API server and its controllers can pass.
const GROUPS: &[&str] = &[
    "[sig-api-machinery]",
    "[sig-auth]",
    "[sig-cli]",
    "[sig-apps]",
    "[sig-scheduling]",
    "[sig-instrumentation]",
    "[sig-architecture]",
];
/// Tests at one time; those marked `[Serial]` run alone.
const AT_ONCE: usize = 6;
/// What one test may take: some wait for five minutes that nothing happens, one for a revision to be forgotten, which
/// takes up to ten.
const PATIENCE: Duration = Duration::from_secs(660);

type Outcome = (String, Result<(), String>);

/// The suite, when its binary is there.
pub fn suites(_: &Path) -> anyhow::Result<Vec<Suite>> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let peers = std::env::var_os("PEERS").map_or_else(|| home.join(".cache/landfall-peers"), PathBuf::from);
    let tests = peers.join("bin/e2e.test");
    if !tests.exists() {
        eprintln!("kubernetes: left out, {} is missing", tests.display());
        return Ok(Vec::new());
    }
    let wanted = std::env::var("LANDFALL_E2E").unwrap_or_default();
    let names: Vec<String> = names(&tests)?
        .into_iter()
        .filter(|name| GROUPS.iter().any(|group| name.starts_with(group)) && name.contains(&wanted))
        .collect();
    let scratch = tempfile::tempdir()?;
    let cluster = Cluster::start(scratch.path(), &["--nodes", "2"])?;
    let (alone, together): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.contains("[Serial]"));
    let mut outcomes = run_all(&tests, &cluster.kubeconfig, together, AT_ONCE)?;
    outcomes.extend(run_all(&tests, &cluster.kubeconfig, alone, 1)?);
    outcomes.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(vec![Suite { name: "kubernetes".to_owned(), cases: Case::all(outcomes) }])
}

/// The conformance tests that the binary has.
fn names(tests: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new(tests).arg("--list-conformance-tests").stderr(Stdio::null()).output()?;
    let list = yaml::from_str(&String::from_utf8_lossy(&output.stdout))?;
    let names =
        list.as_array().context("a list of tests")?.iter().filter_map(|test| test["codename"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// A cluster that goes with the run.
pub(super) struct Cluster {
    child: Child,
    /// How to reach it.
    pub(super) kubeconfig: PathBuf,
    _out: BufReader<std::process::ChildStdout>,
}

impl Cluster {
    /// Starts one, with these arguments beside the usual ones.
    pub(super) fn start(dir: &Path, arguments: &[&str]) -> anyhow::Result<Cluster> {
        let binary =
            std::env::var_os("LANDFALL").map_or_else(|| "target/release/landfall".into(), PathBuf::from);
        let mut child = Command::new(&binary)
            .args(["cluster", "start", "--ephemeral"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{}: cargo build --release", binary.display()))?;
        let mut out = BufReader::new(child.stdout.take().context("its output")?);
        let mut text = String::new();
        while !text.contains("\ncurrent-context:") {
            if out.read_line(&mut text)? == 0 {
                bail!("the cluster did not start: {text}");
            }
        }
        let kubeconfig = dir.join("kubeconfig");
        std::fs::write(&kubeconfig, text)?;
        Ok(Cluster { child, kubeconfig, _out: out })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the cluster of the run does not end: {error}");
        }
    }
}

fn run_all(
    tests: &Path,
    kubeconfig: &Path,
    names: Vec<String>,
    at_once: usize,
) -> anyhow::Result<Vec<Outcome>> {
    let (left, done) = (Mutex::new(names), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(name) = left.lock().ok().and_then(|mut left| left.pop()) {
                    let result = run(tests, kubeconfig, &name).unwrap_or_else(|error| Err(error.to_string()));
                    eprintln!("{} {name}", if result.is_ok() { "ok  " } else { "FAIL" });
                    if let Ok(mut done) = done.lock() {
                        done.push((name, result));
                    }
                }
            });
        }
    });
    done.into_inner().map_err(|_| anyhow::anyhow!("a test's thread failed"))
}

/// One test: passed, or the first thing that it says went wrong.
fn run(tests: &Path, kubeconfig: &Path, name: &str) -> anyhow::Result<Result<(), String>> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("log");
    let out = std::fs::File::create(&log)?;
    let mut child = Command::new(tests)
        .args(["--provider=skeleton", "--ginkgo.no-color", "--ginkgo.v", "--allowed-not-ready-nodes=100"])
        .args(["--system-pods-startup-timeout=1s", "--node-schedulable-timeout=20s"])
        .arg(format!("--ginkgo.focus={}", escaped(name)))
        .arg(format!("--ginkgo.timeout={}s", PATIENCE.as_secs()))
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .current_dir(dir.path())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()?;
    let since = Instant::now();
    while child.try_wait()?.is_none() {
        if since.elapsed() > PATIENCE + Duration::from_secs(30) {
            child.kill()?;
            child.wait()?;
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    if text.contains(" Passed | 0 Failed") && !text.contains("Ran 0 of") {
        return Ok(Ok(()));
    }
    let said = text.lines().skip_while(|line| !line.contains("[FAILED]")).find(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("In [")
    });
    Ok(Err(said.unwrap_or("it did not end in time").trim().to_owned()))
}

/// A name as a regular expression that matches it alone.
fn escaped(name: &str) -> String {
    let special = |letter: char| "[](){}.*+?|^$\\".contains(letter);
    name.chars().flat_map(|letter| special(letter).then_some('\\').into_iter().chain([letter])).collect()
}
