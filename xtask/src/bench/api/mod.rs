//! The embedded API beside etcd and kube-apiserver, both durable, in one run: start, bare writes, lists, memory.
//!
//! The load is made by this process, the same for both sides; neither side runs controllers (ours is started
//! with `--bare`), so that API servers are compared and nothing else. Build it with `--release`: two cores are
//! shared by the server and the load.

mod client;
mod load;

use super::process::{Row, Sample, Setting};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Applications of four objects that are applied.
const APPS: usize = 1_000;
/// Objects that are created and listed.
const OBJECTS: usize = 10_000;
/// Connections that write at the same time.
const CONNECTIONS: usize = 64;
/// Watches on one namespace, and writes that all of them see.
const WATCHERS: usize = 1_000;
const WATCHED: usize = 50;

/// What one server did, in the order of [`WORK`].
type Figures = Vec<Sample>;

const WORK: &[&str] = &[
    "start to API ready, empty state, durable",
    "4,000 server-side applies that create (1,000 apps of 4 objects), 64 connections",
    "50th percentile of one such apply",
    "99th percentile of one such apply",
    "4,000 server-side applies that change or confirm these",
    "99th percentile of one such apply",
    "10,000 creates, 64 connections",
    "99th percentile of one such create",
    "list of 10,000 objects",
    "50 creates seen by 1,000 watchers",
];

/// Start, applies, creates, a list and watches; memory is what is resident after each.
pub fn rows(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let ours = measure(&Ours::start(setting)?)?;
    let theirs = match Theirs::start(setting) {
        Ok(theirs) => Some(measure(&theirs)?),
        Err(error) => {
            eprintln!("no figures of the real API server: {error:#}");
            None
        }
    };
    let row = |(at, ours): (usize, Sample)| Row {
        work: WORK.get(at).copied().unwrap_or_default().to_owned(),
        ours,
        theirs: theirs.as_ref().and_then(|figures| figures.get(at)).copied(),
    };
    Ok(ours.into_iter().enumerate().map(row).collect())
}

/// A running server.
trait Server {
    fn ready(&self) -> Duration;
    fn kubeconfig(&self) -> PathBuf;
    fn processes(&self) -> anyhow::Result<Vec<u32>>;
}

struct Ours {
    child: Child,
    /// Held open: a server whose output nobody takes would be told so.
    _out: BufReader<ChildStdout>,
    state: tempfile::TempDir,
    ready: Duration,
}

impl Ours {
    fn start(setting: &Setting) -> anyhow::Result<Ours> {
        let state = tempfile::tempdir()?;
        let since = Instant::now();
        let mut child = Command::new(&setting.landfall)
            .args(["cluster", "start", "--bare", "--state"])
            .arg(state.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut out = BufReader::new(child.stdout.take().context("its output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let ready = since.elapsed();
        if !line.contains("https://") {
            bail!("the server did not start: {line}");
        }
        Ok(Ours { child, _out: out, state, ready })
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

fn measure(server: &dyn Server) -> anyhow::Result<Figures> {
    let sample = |wall: Duration| -> anyhow::Result<Sample> { Ok(Sample { wall, peak: resident(server)? }) };
    let target = Arc::new(client::Target::of(&server.kubeconfig())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut figures = vec![sample(server.ready())?];
        for namespace in ["bare", "load", "fan"] {
            load::namespace(&target, namespace).await?;
        }
        let first = load::applies(&target, CONNECTIONS, APPS, "1.0.0").await?;
        for wall in [first.wall, first.percentile(50), first.percentile(99)] {
            figures.push(sample(wall)?);
        }
        let second = load::applies(&target, CONNECTIONS, APPS, "1.0.1").await?;
        figures.extend([sample(second.wall)?, sample(second.percentile(99))?]);
        let creates = load::creates(&target, CONNECTIONS, OBJECTS).await?;
        figures.extend([sample(creates.wall)?, sample(creates.percentile(99))?]);
        figures.push(sample(load::lists(&target, OBJECTS).await?)?);
        figures.push(sample(load::fan_out(&target, WATCHERS, WATCHED).await?)?);
        Ok(figures)
    })
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
