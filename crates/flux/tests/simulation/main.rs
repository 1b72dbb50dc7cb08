//! The engine with Flux's kinds in a simulated world: a clock that only moves when nobody has anything to do, an API
//! that fails in every way a network and a server can, commits at any moment, foreign hands on the objects, and a
//! process that is killed and started again at any request. Kustomizations apply objects and HelmReleases, which install,
//! upgrade, repair and remove releases. Whatever happened, in the end the cluster holds the newest commit and nothing
//! else (no object, no Secret of a release, no chart too many), and nothing was deleted that had to stay.
//!
//! A run is repeated by its seed: `LANDFALL_SEED=17 cargo test --workspace --test simulation`. `LANDFALL_SEEDS=10000`
//! sets how many there are (`cargo xtask simulate --seeds 10000`), `LANDFALL_FIRST_SEED` where they begin.
#![allow(clippy::disallowed_methods)]

mod api;
mod chance;
mod git;
mod model;
mod releases;
mod world;

use chance::Chance;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

/// Seeds that found something, with what it was. They stay.
const FOUND: &[(u64, &str)] = &[
    (64, "revisions of a release were not trimmed when the first try met a fault"),
    (77, "a hook whose deletion failed stayed for ever once its release was uninstalled"),
    (
        139,
        "a status that was written late took back the history of a release, which was upgraded once more for it",
    ),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// One run, on a thread and a runtime of its own, so that nothing of one is left for the next.
fn run(seed: u64) -> Result<world::Told, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(world::run(Chance::new(seed)))));
    runtime.shutdown_background();
    match done {
        Ok(done) => done,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
        }
    }
}

#[test]
fn always_ends_at_the_newest_commit() {
    let seeds: Vec<u64> = match number("LANDFALL_SEED") {
        Some(one) => vec![one],
        None => {
            let first = number("LANDFALL_FIRST_SEED").unwrap_or(1);
            let many = number("LANDFALL_SEEDS").unwrap_or(24);
            {
                let found = FOUND.iter().map(|(seed, _)| *seed).filter(|seed| *seed >= first + many);
                (first..first + many).chain(found).collect()
            }
        }
    };
    let (started, total) = (Instant::now(), seeds.len());
    let queue = std::sync::Mutex::new(seeds.into_iter());
    let failures = std::sync::Mutex::new(Vec::new());
    let sum = std::sync::Mutex::new(world::Told::default());
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(8));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some(seed) = next else { return };
                    match run(seed) {
                        Ok(told) => sum.lock().unwrap().add(&told),
                        Err(why) => {
                            eprintln!("seed {seed}: {why}");
                            failures.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    println!("{total} runs in {:.1} s: {sum}", started.elapsed().as_secs_f64());
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {total} runs failed; repeat one with LANDFALL_SEED={}: {failures:?}",
        failures.len(),
        failures[0]
    );
}
