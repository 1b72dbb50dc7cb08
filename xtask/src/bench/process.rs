//! Whole processes, timed from outside.

use anyhow::{Context, bail};
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4;

/// What every area needs.
pub struct Setting {
    /// The released binary.
    pub landfall: PathBuf,
    /// The folder of the real tools.
    pub peers: PathBuf,
    /// The folder with suites and charts.
    pub shared: PathBuf,
    /// Counted runs of each side.
    pub runs: usize,
    /// A folder that goes with the run.
    pub scratch: tempfile::TempDir,
}

impl Setting {
    /// A real tool; an error that says how to get it when it is missing.
    pub fn peer(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.peers.join(name);
        if path.exists() {
            return Ok(path);
        }
        bail!(
            "{} is missing: build it with the peers' install script, or name its folder with --peers",
            path.display()
        )
    }
}

/// Wall time and peak memory of one run.
#[derive(Clone, Copy)]
pub struct Sample {
    /// From start to end.
    pub wall: Duration,
    /// Peak resident memory in bytes.
    pub peak: u64,
}

/// Medians of both sides.
pub struct Row {
    /// What was done.
    pub work: String,
    /// Ours.
    pub ours: Sample,
    /// Theirs.
    pub theirs: Option<Sample>,
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |sample: &Sample| {
            format!("{:.1} ms, {:.1} MiB", sample.wall.as_secs_f64() * 1e3, sample.peak as f64 / 1048576.0)
        };
        let Some(theirs) = &self.theirs else {
            return write!(out, "| {} | {} | – | – | – |", self.work, side(&self.ours));
        };
        let time = theirs.wall.as_secs_f64() / self.ours.wall.as_secs_f64().max(1e-9);
        let memory = theirs.peak as f64 / (self.ours.peak as f64).max(1.0);
        write!(
            out,
            "| {} | {} | {} | {time:.1} × faster | {memory:.1} × smaller |",
            self.work,
            side(&self.ours),
            side(theirs)
        )
    }
}

/// Both commands in turn, after one warm-up each.
pub fn pair(setting: &Setting, work: &str, ours: &[&str], theirs: &[&str]) -> anyhow::Result<Row> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let started = Instant::now();
    eprintln!("{work} …");
    // The first round warms the caches; a row that takes minutes ends with the rounds it has.
    for round in 0..=setting.runs {
        let (x, y) = (run(ours)?, run(theirs)?);
        if round == 1 {
            a.clear();
            b.clear();
        }
        a.push(x);
        b.push(y);
        if started.elapsed() > LONGEST_ROW {
            break;
        }
    }
    Ok(Row { work: work.to_owned(), ours: median(a), theirs: Some(median(b)) })
}

/// No new round begins after this.
const LONGEST_ROW: Duration = Duration::from_secs(60);

/// The argument that makes this program run a command and tell what it took, see [`run`].
pub const MEASURE: &str = "measure-one-run";

/// Runs a command whose output is thrown away; it must succeed.
///
/// A process counts as its own peak what its parent held when it was started, and this program holds a lot: a fresh
/// copy of it, which holds little, starts the command and tells what it took.
pub fn run(words: &[&str]) -> anyhow::Result<Sample> {
    let own = std::env::current_exe()?;
    let output = Command::new(own).arg(MEASURE).args(words).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(nanoseconds)), Some(Ok(peak)), true) =
        (numbers.next(), numbers.next(), output.status.success())
    else {
        bail!("{} failed", words.join(" "));
    };
    Ok(Sample { wall: Duration::from_nanos(nanoseconds), peak })
}

/// The other side of [`run`]: `false` when the command fails.
pub fn measure(words: &[String]) -> anyhow::Result<bool> {
    let (program, rest) = words.split_first().context("an empty command")?;
    let since = Instant::now();
    let child = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| program.to_owned())?;
    let used = child.wait4()?;
    let wall = since.elapsed();
    println!("{} {}", wall.as_nanos(), used.rusage.maxrss);
    Ok(used.status.success())
}

/// The middle of both figures.
pub fn median(samples: Vec<Sample>) -> Sample {
    let mut walls: Vec<Duration> = samples.iter().map(|sample| sample.wall).collect();
    let mut peaks: Vec<u64> = samples.iter().map(|sample| sample.peak).collect();
    walls.sort();
    peaks.sort();
    let middle = samples.len() / 2;
    Sample {
        wall: walls.get(middle).copied().unwrap_or_default(),
        peak: peaks.get(middle).copied().unwrap_or_default(),
    }
}
