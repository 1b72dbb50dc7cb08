//! `cargo xtask fuzz-kustomize`: kustomizations made from a grammar, built by us and by the real tool.
//!
//! A seed always makes the same files, so a difference is told by its seed.

mod copies;
mod kustomizations;
mod objects;
mod patches;
mod robust;

use crate::conformance::disk::DiskWorld;
use crate::random::Random;
use anyhow::{Context, bail};
use kustomize::{Options, build};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tree of files by path.
type Files = BTreeMap<String, String>;

/// `cargo xtask fuzz-kustomize`.
#[derive(clap::Args)]
pub struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many kustomizations to try.
    #[arg(long, default_value_t = 500)]
    count: u64,
    /// The real tool; looked for on the PATH and where peers are installed when left out.
    #[arg(long)]
    kustomize: Option<PathBuf>,
    /// Keep what differs (or, with --all, everything) in this folder, a JSON file each.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Keep what agrees too.
    #[arg(long)]
    all: bool,
    /// Two failures must have the same words.
    #[arg(long)]
    words: bool,
    /// Instead of comparing: give damaged input to this, and look for panics and for runs that do not end.
    #[arg(long)]
    target: Option<robust::Target>,
    /// For how long.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// Only write the files of the first seed into this folder.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// What a tool made of a tree: the output, or the words of the failure.
type Outcome = Result<String, String>;

/// Runs. `false` when something differs.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    if let Some(dir) = &args.write {
        write(dir, &kustomizations::tree(&mut Random::new(args.seed)))?;
        return Ok(true);
    }
    if let Some(target) = args.target {
        return Ok(robust::run(target, args.seed, args.seconds));
    }
    let Some(tool) = args.kustomize.clone().or_else(find_tool) else {
        bail!("kustomize is not installed: put it on the PATH or give --kustomize FILE");
    };
    if let Some(keep) = &args.keep {
        std::fs::create_dir_all(keep).with_context(|| keep.display().to_string())?;
    }
    let (next, differing, failing) = (AtomicU64::new(0), Mutex::new(Vec::new()), AtomicU64::new(0));
    let work = || -> anyhow::Result<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= args.count {
                return Ok(());
            }
            let seed = args.seed + index;
            let files = kustomizations::tree(&mut Random::new(seed));
            let (ours, theirs) = both(&tool, &files)?;
            failing.fetch_add(u64::from(theirs.is_err()), Ordering::Relaxed);
            let same = match (&ours, &theirs) {
                (Err(_), Err(_)) if !args.words => true,
                (ours, theirs) => ours == theirs,
            };
            if !same {
                println!("{}", report(seed, &ours, &theirs));
                differing.lock().map_err(|_| anyhow::anyhow!("a worker failed"))?.push(seed);
            }
            if let Some(keep) = args.keep.as_ref().filter(|_| !same || args.all) {
                let kept =
                    json!({"files": files, "expected": theirs.as_ref().ok(), "error": theirs.as_ref().err()});
                let text = serde_json::to_string_pretty(&kept)? + "\n";
                std::fs::write(keep.join(format!("seed-{seed}.json")), text)?;
            }
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work()?;
        other.join().map_err(|_| anyhow::anyhow!("a worker failed"))?
    })?;
    let differing = differing.into_inner()?;
    println!(
        "kustomize-generated {}/{} ({} of them refused by both or one)",
        args.count - u64::try_from(differing.len())?,
        args.count,
        failing.into_inner()
    );
    Ok(differing.is_empty())
}

fn find_tool() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let peers = home.map(|home| home.join(".cache/landfall-peers/bin"));
    let folders = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    folders.into_iter().flatten().chain(peers).map(|dir| dir.join("kustomize")).find(|file| file.is_file())
}

fn write(dir: &Path, files: &Files) -> anyhow::Result<()> {
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn both(tool: &Path, files: &Files) -> anyhow::Result<(Outcome, Outcome)> {
    let temp = tempfile::tempdir()?;
    let root = std::fs::canonicalize(temp.path())?;
    write(&root, files)?;
    let top = root.join("top").to_string_lossy().into_owned();
    let place = root.to_string_lossy().into_owned();
    let told = |text: &str| same_words(&text.replace(&place, "{DIR}"));
    let ours = match build(&DiskWorld, &top, &Options::default()) {
        Ok(built) => Ok(built.to_yaml()),
        Err(error) => Err(told(&error.to_string())),
    };
    let output =
        Command::new(tool).args(["build", &top]).output().with_context(|| tool.display().to_string())?;
    let theirs = if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let start = words.find("Error: ").map_or(0, |at| at + 7);
        Err(told(words.get(start..).unwrap_or_default()))
    };
    Ok((ours, theirs))
}

/// The words of an error as far as they are compared: not those about keys that are no strings, where Kustomize prints
/// the whole object as Go does.
fn same_words(words: &str) -> String {
    const NO_STRING: &str = "json: unsupported type: map[interface {}]interface {}";
    if words.contains(NO_STRING) { NO_STRING.to_owned() } else { without_pointers(words).trim().to_owned() }
}

/// Kustomize prints a generator's address in memory, which is never twice the same.
fn without_pointers(words: &str) -> String {
    let mut out = String::new();
    let mut rest = words;
    while let Some((before, after)) = rest.split_once(" &{0x") {
        out += before;
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    out + rest
}

fn report(seed: u64, ours: &Outcome, theirs: &Outcome) -> String {
    let text = match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => {
            similar::TextDiff::from_lines(theirs, ours).unified_diff().context_radius(4).to_string()
        }
        (Err(theirs), Err(ours)) => format!("kustomize: {theirs}\nlandfall:  {ours}"),
        (Ok(_), Err(ours)) => format!("only landfall fails: {ours}"),
        (Err(theirs), Ok(_)) => format!("only kustomize fails: {theirs}"),
    };
    format!("seed {seed}\n{text}")
}
