//! Differential fuzzing: random templates and values from a grammar, rendered by the real `helm template`
//! and by ours. What differs is made smaller and printed; with `--keep` it goes to a file of test data.

mod grammar;
mod limited;
mod programs;
mod sets;
mod texts;
mod words;

use anyhow::Context as _;
use grammar::{Case, Grammar};
use helm::{Chart, NoCluster, RenderOptions, TemplateOptions, Values};
use serde_json::json;
use std::path::{Path, PathBuf};

/// How to fuzz.
#[derive(clap::Args)]
pub struct Args {
    /// How many charts
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// Where the random numbers begin; the same seed gives the same charts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder of the real tools [default: ~/.cache/landfall-peers/bin]
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Compare this program of ours with the real one, with flags and whole charts, instead of the renderers alone
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// Print what helm refuses, too
    #[arg(long)]
    refused: bool,
    /// Add what differs to this file, with what the real tool printed
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

/// Runs; `false` when something differs.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let home = PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?);
    let peers = args.peers.clone().unwrap_or_else(|| home.join(".cache/landfall-peers/bin"));
    let real = Real { program: peers.join("helm"), folder: tempfile::tempdir()? };
    anyhow::ensure!(real.program.exists(), "{} is not here", real.program.display());
    if let Some(ours) = &args.program {
        return Ok(programs::run(&real.program, ours, args.seed, args.count)? == 0);
    }
    let mut found = Vec::new();
    let mut failing = 0;
    let mut unanswered = 0;
    for number in 0..args.count {
        let mut grammar = Grammar::new(args.seed.wrapping_mul(0x9e37_79b9).wrapping_add(number));
        let case = if number % 4 == 3 { grammar.family() } else { grammar.case() };
        let Some(wanted) = real.render(&case)? else {
            unanswered += 1;
            continue;
        };
        failing += usize::from(wanted.is_err());
        if args.refused
            && let Err(text) = &wanted
        {
            println!("{text}");
        }
        if same(&wanted, &ours(&case)) {
            continue;
        }
        let small = smaller(&real, case)?;
        // The machine may have less left than it had for the first answer.
        let Some(wanted) = real.render(&small)? else {
            unanswered += 1;
            continue;
        };
        println!(
            "== {number}\n{}{}-- helm\n{}\n-- ours\n{}\n",
            small.template(),
            small.more.iter().map(|(path, text)| format!("-- {path}\n{text}")).collect::<String>()
                + "-- values\n"
                + &small.values,
            shown(&wanted),
            shown(&ours(&small))
        );
        found.push(json!({
            "files": small.files(),
            "output": wanted.as_ref().ok(), "error": wanted.as_ref().err(),
        }));
    }
    println!(
        "{} charts ({failing} that helm refuses, {unanswered} too much for it), {} differ",
        args.count,
        found.len()
    );
    if let Some(file) = &args.keep {
        keep(file, &found)?;
    }
    Ok(found.is_empty())
}

fn keep(file: &Path, found: &[serde_json::Value]) -> anyhow::Result<()> {
    let mut all: Vec<serde_json::Value> = match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).with_context(|| file.display().to_string())?,
        Err(_) => Vec::new(),
    };
    for case in found {
        if !all.contains(case) {
            all.push(case.clone());
        }
    }
    Ok(std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?)
}

type Result = std::result::Result<String, String>;

fn shown(result: &Result) -> &str {
    match result {
        Ok(text) => text,
        Err(text) => text,
    }
}

/// The real tool and a folder for its chart.
struct Real {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Real {
    /// `None` when the chart takes more memory or time than the real tool may have.
    fn render(&self, case: &Case) -> anyhow::Result<Option<Result>> {
        for old in ["charts", "templates"] {
            let folder = self.folder.path().join(old);
            if folder.exists() {
                std::fs::remove_dir_all(folder)?;
            }
        }
        for (path, text) in case.files() {
            let file = self.folder.path().join(path);
            if let Some(parent) = file.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(file, text)?;
        }
        let mut command = limited::command(&self.program);
        command.args(["template", "fuzz"]).arg(self.folder.path()).env("HOME", self.folder.path());
        let Some(output) = limited::output(command)? else { return Ok(None) };
        Ok(Some(match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let text = text.split_once("Error: ").map_or(text.as_str(), |(_, text)| text);
                let text = text.trim_end().trim_end_matches("Use --debug flag to render out invalid YAML");
                Err(text.trim_end().to_owned())
            }
        }))
    }
}

/// The same by our crates.
fn ours(case: &Case) -> Result {
    let files = case.files().into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
    let render = || -> helm::Result<String> {
        let chart = Chart::from_files(files)?;
        let options = RenderOptions { release_name: "fuzz".into(), ..RenderOptions::default() };
        let world = NoCluster::new("2026-01-02T03:04:05Z".parse().unwrap_or_default(), [7; 32]);
        let rendered = helm::render(&chart, &Values::new(), &options, &world)?;
        rendered.to_template(&TemplateOptions::default())
    };
    render().map_err(|error| error.to_string().trim_end().to_owned())
}

fn same(real: &Result, ours: &Result) -> bool {
    match (real, ours) {
        (Err(real), Err(ours)) | (Ok(real), Ok(ours)) => addressless(real) == addressless(ours),
        _ => false,
    }
}

/// Go prints addresses of what it cannot print; they differ from run to run.
fn addressless(text: &str) -> String {
    /// Shorter numbers are no addresses.
    const DIGITS: usize = 8;
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("0x") {
        let left = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        let number = after.strip_suffix(left).unwrap_or_default();
        out.push_str(before);
        out.push_str(if number.len() < DIGITS { "0x" } else { "ADDRESS" });
        rest = if number.len() < DIGITS { after } else { left };
    }
    out + rest
}

/// Takes lines and values away as long as the two still differ.
fn smaller(real: &Real, mut case: Case) -> anyhow::Result<Case> {
    let mut at = 0;
    while at < case.lines.len() && case.lines.len() > 1 {
        let mut less = case.clone();
        less.lines.remove(at);
        match real.render(&less)? {
            Some(wanted) if !same(&wanted, &ours(&less)) => case = less,
            _ => at += 1,
        }
    }
    Ok(case)
}
