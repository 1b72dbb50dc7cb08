//! The embedded API beside etcd and kube-apiserver, both durable, in one run: start, bare writes, lists, memory.
//!
//! The load comes from Python clients, the same for both sides, so that they bound what can be seen of either.
//! Our side simulates workloads meanwhile; the other runs no controllers at all.

use super::process::{Row, Sample, Setting};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Applications of four objects that are applied.
const APPS: &str = "250";
/// Objects that are created and listed.
const OBJECTS: &str = "10000";
/// Connections.
const THREADS: &str = "8";
const LOAD: &str = include_str!("api_load.py");

/// What one server did.
struct Figures {
    ready: Sample,
    applies: Sample,
    creates: Sample,
    slowest: Sample,
    list: Sample,
}

/// Start, applies, creates, their 99th percentile and a list; memory is what is resident after each.
pub fn rows(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let ours = measure(setting, &mut Ours::start(setting)?)?;
    let theirs = match Theirs::start(setting) {
        Ok(mut theirs) => Some(measure(setting, &mut theirs)?),
        Err(error) => {
            eprintln!("no figures of the real API server: {error:#}");
            None
        }
    };
    let row = |work: &str, figure: fn(&Figures) -> Sample| Row {
        work: work.to_owned(),
        ours: figure(&ours),
        theirs: theirs.as_ref().map(figure),
    };
    Ok(vec![
        row("start to API ready, empty state, durable", |figures| figures.ready),
        row("1,000 server-side applies (250 apps of 4 objects), 8 connections", |figures| figures.applies),
        row("10,000 creates, 8 connections", |figures| figures.creates),
        row("99th percentile of one such create", |figures| figures.slowest),
        row("list of 10,000 objects", |figures| figures.list),
    ])
}

/// A running server.
trait Server {
    fn ready(&self) -> Duration;
    fn kubeconfig(&self) -> PathBuf;
    fn processes(&self) -> anyhow::Result<Vec<u32>>;
}

struct Ours {
    child: Child,
    state: tempfile::TempDir,
    ready: Duration,
}

impl Ours {
    fn start(setting: &Setting) -> anyhow::Result<Ours> {
        let state = tempfile::tempdir()?;
        let since = Instant::now();
        let mut child = Command::new(&setting.landfall)
            .args(["cluster", "start", "--state"])
            .arg(state.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = child.stdout.take().context("its output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let ready = since.elapsed();
        if !line.contains("https://") {
            bail!("the server did not start: {line}");
        }
        Ok(Ours { child, state, ready })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("the server of the run does not end: {error}");
        }
    }
}

impl Server for Ours {
    fn ready(&self) -> Duration {
        self.ready
    }

    fn kubeconfig(&self) -> PathBuf {
        self.state.path().join("kubeconfig")
    }

    fn processes(&self) -> anyhow::Result<Vec<u32>> {
        Ok(vec![self.child.id()])
    }
}

struct Theirs {
    script: PathBuf,
    dir: PathBuf,
    ready: Duration,
}

impl Theirs {
    fn start(setting: &Setting) -> anyhow::Result<Theirs> {
        setting.peer("kube-apiserver")?;
        let script = setting.shared.join("peers/kube-up.sh");
        let dir = setting.scratch.path().join("bench-api");
        let since = Instant::now();
        let status = Command::new("bash")
            .arg(&script)
            .arg(&dir)
            .env("PEERS", setting.peers.parent().unwrap_or(Path::new(".")))
            .env("ETCD_PORT", "27379")
            .env("API_PORT", "30443")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        let ready = since.elapsed();
        // Made first, so that a half-started one is stopped too.
        let server = Theirs { script, dir, ready };
        if !status.success() {
            bail!("kube-apiserver did not become ready");
        }
        Ok(server)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let stopped = Command::new("bash").arg(&self.script).arg("stop").arg(&self.dir).status();
        if let Err(error) = stopped {
            eprintln!("kube-apiserver does not end: {error}");
        }
    }
}

impl Server for Theirs {
    fn ready(&self) -> Duration {
        self.ready
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    fn processes(&self) -> anyhow::Result<Vec<u32>> {
        let mut found = Vec::new();
        for name in ["apiserver.pid", "etcd.pid"] {
            let pid = std::fs::read_to_string(self.dir.join(name)).with_context(|| name.to_owned())?;
            found.push(pid.trim().parse()?);
        }
        Ok(found)
    }
}

fn measure(setting: &Setting, server: &mut dyn Server) -> anyhow::Result<Figures> {
    let sample = |wall: Duration| -> anyhow::Result<Sample> { Ok(Sample { wall, peak: resident(server)? }) };
    let ready = sample(server.ready())?;
    let kubeconfig = server.kubeconfig();
    let writes = setting.shared.join("bench/barewrites.py");
    let said = python(Command::new("python3").arg(writes).arg(&kubeconfig).args([APPS, THREADS]))?;
    // `1000 applies in 1.23 s, 813/s`
    let seconds = said.split_whitespace().nth(3).and_then(|text| text.parse::<f64>().ok());
    let applies = sample(Duration::from_secs_f64(seconds.with_context(|| said.clone())?))?;
    let load = setting.scratch.path().join("api_load.py");
    std::fs::write(&load, LOAD)?;
    let said = python(Command::new("python3").arg(&load).arg(&kubeconfig).args([OBJECTS, THREADS]))?;
    let figures: serde_json::Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    let figure = |name: &str| -> anyhow::Result<Sample> {
        sample(Duration::from_secs_f64(figures[name].as_f64().with_context(|| said.clone())?))
    };
    Ok(Figures { ready, applies, creates: figure("create")?, slowest: figure("p99")?, list: figure("list")? })
}

fn python(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stderr(Stdio::inherit()).output().context("python3")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("the load failed: {said}");
    }
    Ok(said)
}

/// Resident memory of all processes of a server now, in bytes.
fn resident(server: &dyn Server) -> anyhow::Result<u64> {
    let mut sum = 0;
    for pid in server.processes()? {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        sum += line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024;
    }
    Ok(sum)
}
