//! What no compiler checks.

use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Source files longer than this want to be split.
const LINES_MAX: usize = 1_200;

/// Runs every check and prints what it finds; `true` when there is nothing.
pub fn run() -> anyhow::Result<bool> {
    let files = tracked()?;
    let mut findings = Vec::new();
    for file in &files {
        check_file(file, &mut findings)?;
    }
    for required in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", ".ci/run"]
    {
        if !Path::new(required).exists() {
            findings.push(format!("{required}: is missing"));
        }
    }
    check_default(&mut findings)?;
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", files.len(), findings.len());
    Ok(findings.is_empty())
}

/// The README's first command is a bare `cargo run`, which refuses to choose between two programs.
fn check_default(findings: &mut Vec<String>) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let words = ["metadata", "--no-deps", "--format-version", "1", "--locked"];
    let output = Command::new(cargo).args(words).output().context("cargo metadata")?;
    anyhow::ensure!(output.status.success(), "cargo metadata failed");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let members = &metadata["workspace_default_members"];
    let only = match members.as_array().map(Vec::as_slice) {
        Some([only]) => only.as_str().unwrap_or_default(),
        _ => "",
    };
    if !only.contains("crates/cli#") {
        findings.push(format!("Cargo.toml: `cargo run` means {members}, not crates/cli alone"));
    }
    Ok(())
}

fn tracked() -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("git").args(["ls-files"]).output().context("git ls-files")?;
    anyhow::ensure!(output.status.success(), "git ls-files failed");
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(PathBuf::from).filter(|path| path.exists()).collect())
}

fn check_file(file: &Path, findings: &mut Vec<String>) -> anyhow::Result<()> {
    if file.components().any(|part| part.as_os_str() == "testdata") || file.ends_with("tidy.rs") {
        return Ok(());
    }
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
    let rust = file.extension().is_some_and(|extension| extension == "rs");
    for (number, line) in text.lines().enumerate() {
        let place = || format!("{}:{}", file.display(), number + 1);
        for stray in ["/work/", "/root/", "/tmp/t/"] {
            if line.contains(stray) {
                findings.push(format!("{}: a path of one machine: {stray}", place()));
            }
        }
        if rust && (line.contains("FIXME") || line.contains("XXX:")) {
            findings.push(format!("{}: unfinished", place()));
        }
        if line.contains("<<<<<<< ") || line.contains(">>>>>>> ") {
            findings.push(format!("{}: a merge mark", place()));
        }
    }
    if rust {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{}: {lines} lines; find the noun that wants to move out", file.display()));
        }
        let module = file.file_name().is_some_and(|name| name == "lib.rs" || name == "main.rs");
        if module && !text.starts_with("//!") {
            findings.push(format!("{}:1: says not what it is for (//!)", file.display()));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') && rust {
        findings.push(format!("{}: no newline at its end", file.display()));
    }
    Ok(())
}
