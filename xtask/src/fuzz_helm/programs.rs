//! The two programs beside each other: charts of every kind, with flags, on disk. Exit code and standard output
//! must be the same, and so must the error.

use super::{limited, sets, texts};
use crate::random::Random;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A chart and how it is asked for.
pub struct Job {
    /// The chart's files.
    pub files: BTreeMap<String, String>,
    /// The arguments behind `helm`.
    pub arguments: Vec<String>,
    /// Whether the words of an error count, or only that there is one.
    pub words: bool,
}

/// The kinds of charts.
const KINDS: [fn(&mut Random) -> Job; 6] =
    [sets::job, texts::documents, texts::functions, texts::files, texts::schema, texts::lint];

/// What a program said.
#[derive(PartialEq, Eq)]
struct Said {
    code: i32,
    out: String,
    error: String,
}

/// Runs `count` jobs; how many differed.
pub fn run(real: &Path, ours: &Path, seed: u64, count: u64) -> anyhow::Result<usize> {
    let folder = tempfile::tempdir()?;
    let mut differ = 0;
    let mut unanswered = 0;
    for number in 0..count {
        let mut random = Random::from_state(seed.wrapping_mul(0x9e37_79b9).wrapping_add(number));
        let kind = KINDS[random.below(KINDS.len())];
        let job = kind(&mut random);
        let chart = folder.path().join("chart");
        lay_out(&chart, &job.files)?;
        let Some(wanted) = ask(limited::command(real), &job, &chart)? else {
            unanswered += 1;
            continue;
        };
        let mut landfall = limited::command(ours);
        landfall.arg("helm");
        let found = ask(landfall, &job, &chart)?.unwrap_or_else(|| Said {
            code: -1,
            out: String::new(),
            error: "a limit that the real tool did not meet".to_owned(),
        });
        let same = wanted.code == found.code
            && wanted.out == found.out
            && (!job.words || wanted.error == found.error);
        if !same {
            differ += 1;
            let files: String = job.files.iter().map(|(path, text)| format!("-- {path}\n{text}\n")).collect();
            println!("== {number} {:?}\n{files}", job.arguments);
            for (name, said) in [("helm", &wanted), ("ours", &found)] {
                println!("-- {name}: {}\n{}{}", said.code, said.out, said.error);
            }
        }
    }
    println!("{count} calls of the programs ({unanswered} too much for helm), {differ} differ");
    Ok(differ)
}

fn lay_out(chart: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
    if chart.exists() {
        std::fs::remove_dir_all(chart)?;
    }
    for (path, text) in files {
        let file: PathBuf = chart.join(path);
        std::fs::create_dir_all(file.parent().context("a file has a folder")?)?;
        std::fs::write(file, text)?;
    }
    Ok(())
}

/// `None` when the program met a limit.
fn ask(mut command: Command, job: &Job, chart: &Path) -> anyhow::Result<Option<Said>> {
    command
        .args(&job.arguments)
        .current_dir(chart)
        .env("HOME", chart.with_file_name("home"))
        .env("TZ", "UTC");
    let Some(output) = limited::output(command)? else { return Ok(None) };
    // Warnings are written as often as a program looks at the values, which differs.
    let error = super::addressless(&without_places(&String::from_utf8_lossy(&output.stderr)));
    let error: Vec<&str> = error
        .lines()
        .filter(|line| !line.contains("arning:") && !line.contains("info:") && !line.is_empty())
        .collect();
    Ok(Some(Said {
        code: output.status.code().unwrap_or(-1),
        out: super::addressless(&String::from_utf8_lossy(&output.stdout)),
        error: error.join("\n"),
    }))
}

/// Go's log lines without the places in Helm's source that they begin with.
fn without_places(text: &str) -> String {
    let line = |line: &str| match line
        .split_once(".go:")
        .and_then(|(file, rest)| Some((file, rest.split_once(": ")?)))
    {
        Some((file, (number, rest)))
            if file.bytes().all(|b| b.is_ascii_lowercase()) && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}
