//! `cargo xtask fuzz TARGET`: inputs that are nearly right, for whatever reads what strangers write.
//!
//! A seed always makes the same inputs, so a finding is told by its seed. An input must neither panic nor take
//! long, and what two ways of reading agree on for good input they must agree on for bad input too.

mod guided;
mod targets;

use crate::random::Random;
use anyhow::bail;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// What reads: yaml, template, execute, archive, set, or all.
    target: String,
    /// How long each target runs.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the first seed, and print its input.
    #[arg(long)]
    once: bool,
    /// Let coverage find the inputs (libFuzzer; a build of its own, in `fuzz/`).
    #[arg(long, conflicts_with_all = ["seed", "once"])]
    guided: bool,
}

/// One input may take this long, also in a debug build.
const LONGEST: Duration = Duration::from_secs(20);

/// Runs. `false` when something was found.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| args.target == "all" || target.name == args.target).collect();
    if targets.is_empty() {
        bail!("no target named {}", args.target);
    }
    let mut good = true;
    for target in targets {
        if args.guided {
            good &= guided::run(target, args.seconds)?;
            continue;
        }
        let since = Instant::now();
        let mut seed = args.seed;
        loop {
            let input = input(target, seed);
            if args.once {
                println!("{}", String::from_utf8_lossy(&input));
            }
            let start = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)))
                .unwrap_or_else(|_| Err("it panics".into()));
            let result = match start.elapsed() > LONGEST {
                true => Err(format!("it takes {:?}", start.elapsed())),
                false => result,
            };
            if let Err(words) = result {
                good = false;
                println!("{} --seed {seed}: {words}", target.name);
            }
            seed += 1;
            if args.once || since.elapsed().as_secs() >= args.seconds {
                break;
            }
        }
        let tried = seed - args.seed;
        println!(
            "{}: {tried} inputs in {} s, up to seed {}",
            target.name,
            since.elapsed().as_secs(),
            seed - 1
        );
    }
    Ok(good)
}

/// Pieces in a row, some many times over, then a few bytes changed.
fn input(target: &Target, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut out = Vec::new();
    for _ in 0..random.below(40) {
        let piece = target.pieces[random.below(target.pieces.len())];
        let times = if random.below(30) == 0 { 1 << random.below(15) } else { 1 };
        out.extend(piece.as_bytes().repeat(times).iter().take(1 << 16));
    }
    for _ in 0..random.below(4) {
        if out.is_empty() {
            break;
        }
        let at = random.below(out.len());
        match random.below(4) {
            0 => out[at] = random.below(256) as u8,
            1 => out.truncate(at),
            2 => drop(out.remove(at)),
            _ => out.insert(at, out[at]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{TARGETS, guided};

    /// What fuzzing kept is read as it must be, without fuzzing again.
    #[test]
    fn the_kept_inputs_hold() {
        for target in TARGETS {
            let inputs = guided::corpus(target).expect("the corpus is there");
            assert!(!inputs.is_empty(), "{} has no corpus", target.name);
            for (name, input) in inputs {
                if let Err(words) = (target.check)(&input) {
                    panic!("{} {name}: {words}", target.name);
                }
            }
        }
    }
}
