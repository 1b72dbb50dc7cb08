//! Fuzzing that coverage guides: libFuzzer, with the project built once more for it.
//!
//! What reached new code is kept in `fuzz/corpus/TARGET.json`, an array of inputs (Base64, since they are hostile
//! to Git and to editors alike), which tests replay. A finding is left in the build's folder and named.

use super::targets::Target;
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What rustc is told so that libFuzzer sees which code an input reached; no nightly compiler is needed.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Ccodegen-units=1 --cfg fuzzing";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn file(target: &Target) -> PathBuf {
    folder().join("corpus").join(format!("{}.json", target.name))
}

/// The inputs that are kept for a target.
pub fn corpus(target: &Target) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let file = file(target);
    let text = match std::fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        read => read.with_context(|| file.display().to_string())?,
    };
    let inputs: Vec<String> = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let decode = |(at, input): (usize, String)| Ok((at.to_string(), BASE64_STANDARD.decode(input)?));
    inputs.into_iter().enumerate().map(decode).collect()
}

/// Fuzzes a target for so many seconds, then keeps the smallest set of inputs with the same coverage. `false`
/// when an input was found that must not be.
pub fn run(target: &Target, seconds: u64) -> anyhow::Result<bool> {
    let build = PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let build = std::path::absolute(build.join("fuzz"))?;
    let host = host()?;
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--target", &host])
        .current_dir(folder())
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_TARGET_DIR", &build)
        .status()?;
    if !status.success() {
        bail!("fuzz/ does not build");
    }
    let program = build.join(&host).join("release/landfall-fuzz");
    let place = build.join(target.name);
    let (all, small) = (place.join("all"), place.join("small"));
    for folder in [&all, &small] {
        std::fs::create_dir_all(folder)?;
    }
    for (name, input) in corpus(target)? {
        std::fs::write(all.join(name), input)?;
    }
    let words = place.join("words");
    std::fs::write(&words, dictionary(target))?;
    let fuzzed = Command::new(&program)
        .env("FUZZ_TARGET", target.name)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-dict={}", words.display()))
        .arg(format!("-artifact_prefix={}/found-", place.display()))
        .args(["-max_len=4096", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"])
        .arg(&all)
        .status()?;
    if !fuzzed.success() {
        println!("{}: an input that must not be, see {}/found-*", target.name, place.display());
        return Ok(false);
    }
    for old in std::fs::read_dir(&small)? {
        std::fs::remove_file(old?.path())?;
    }
    let merged = Command::new(&program)
        .env("FUZZ_TARGET", target.name)
        // Short ones alone: the corpus is to be looked through, and shared.
        .args(["-merge=1", "-max_len=192"])
        .args([&small, &all])
        .status()?;
    if !merged.success() {
        bail!("the inputs of {} cannot be merged", target.name);
    }
    keep(target, &small)?;
    Ok(true)
}

/// libFuzzer's word list: a quoted word a line, other bytes as `\xNN`.
fn dictionary(target: &Target) -> String {
    let byte = |byte: &u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    let line = |piece: &&str| format!("\"{}\"\n", piece.bytes().map(|b| byte(&b)).collect::<String>());
    target.pieces.iter().map(line).collect()
}

fn keep(target: &Target, inputs: &Path) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(inputs)? {
        kept.push(std::fs::read(entry?.path())?);
    }
    kept.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let kept: Vec<String> = kept.iter().map(|input| BASE64_STANDARD.encode(input)).collect();
    let file = file(target);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&file, serde_json::to_string_pretty(&kept)? + "\n")?;
    println!("{}: {} inputs kept in {}", target.name, kept.len(), file.display());
    Ok(())
}

/// This machine's target: named to cargo, so that the flags reach the project and not its build scripts.
fn host() -> anyhow::Result<String> {
    let told = String::from_utf8(Command::new("rustc").arg("-vV").output()?.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}
