//! `cargo xtask fuzz-kustomize --target …`: damaged input for the build and for each kind of patch, in process and
//! without the real tool. What is looked for is a panic or a run that does not end; any answer will do.

use super::Files;
use super::kustomizations::tree;
use super::objects::object;
use crate::random::Random;
use kustomize::{MemoryWorld, Options, build};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What gets the damaged input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// Any file of a generated tree.
    Build,
    /// A strategic merge patch.
    Strategic,
    /// A JSON 6902 patch.
    Json,
    /// Replacements.
    Replacements,
}

/// A build that takes longer than this does not end as far as anybody can tell.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs for the time given. `false` when something panicked.
pub fn run(target: Target, first: u64, seconds: u64) -> bool {
    let (started, seed, done) = (Instant::now(), AtomicU64::new(first), AtomicBool::new(false));
    let (panics, slowest) = (AtomicU64::new(0), AtomicU64::new(0));
    std::panic::set_hook(Box::new(|_| {}));
    // What each worker is at, and since when.
    let at: [(AtomicU64, AtomicU64); 2] = Default::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = at
            .iter()
            .map(|(slot, clock)| {
                let (seed, panics, slowest, started) = (&seed, &panics, &slowest, &started);
                scope.spawn(move || {
                    while started.elapsed() < Duration::from_secs(seconds) {
                        let this = seed.fetch_add(1, Ordering::Relaxed);
                        let begun = started.elapsed().as_millis() as u64;
                        clock.store(begun, Ordering::Relaxed);
                        slot.store(this, Ordering::Relaxed);
                        if catch_unwind(AssertUnwindSafe(|| one(target, this))).is_err() {
                            panics.fetch_add(1, Ordering::Relaxed);
                            println!("seed {this}: panicked");
                        }
                        slot.store(0, Ordering::Relaxed);
                        slowest.fetch_max(started.elapsed().as_millis() as u64 - begun, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
                for (slot, clock) in &at {
                    let this = slot.load(Ordering::Relaxed);
                    let spent = started.elapsed().as_millis() as u64 - clock.load(Ordering::Relaxed);
                    if this != 0 && spent > LIMIT.as_millis() as u64 {
                        println!("seed {this}: still runs after {LIMIT:?}");
                        std::process::exit(1);
                    }
                }
            }
        });
        for worker in workers {
            if worker.join().is_err() {
                panics.fetch_add(1, Ordering::Relaxed);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let _hook = std::panic::take_hook();
    let (runs, panics) = (seed.load(Ordering::Relaxed) - first, panics.load(Ordering::Relaxed));
    let slowest = slowest.load(Ordering::Relaxed);
    println!("{target:?}: {runs} inputs in {seconds} s, {panics} panics, the slowest took {slowest} ms");
    panics == 0
}

fn one(target: Target, seed: u64) {
    let random = &mut Random::new(seed);
    let mut files = match target {
        Target::Build => tree(random),
        _ => small(random, target),
    };
    let names: Vec<String> = match target {
        Target::Build => files.keys().cloned().collect(),
        _ => vec!["top/patch.yaml".to_owned()],
    };
    for _ in 0..1 + random.below(3) {
        let Some(name) = names.get(random.below(names.len())) else { continue };
        if let Some(text) = files.get_mut(name) {
            *text = damage(random, text);
        }
    }
    let world: MemoryWorld =
        files.into_iter().map(|(name, text)| (format!("/{name}"), text.into_bytes())).collect();
    if let Ok(built) = build(&world, "/top", &Options::default()) {
        let _text = built.to_yaml();
    }
}

/// One object of a common kind, and a patch or replacement for it.
fn small(random: &mut Random, target: Target) -> Files {
    let mut files = Files::new();
    files.insert("top/r.yaml".to_owned(), object(random, "web"));
    let kustomization = match target {
        Target::Replacements => "resources: [r.yaml]\nreplacements: [{path: patch.yaml}]\n",
        _ => "resources: [r.yaml]\npatches:\n- path: patch.yaml\n  target: {name: \".*\"}\n",
    };
    files.insert("top/kustomization.yaml".to_owned(), kustomization.to_owned());
    let patch = match target {
        Target::Strategic => object(random, "web").split("---\n").next().unwrap_or_default().to_owned(),
        Target::Json => JSON.to_owned(),
        _ => REPLACEMENTS.to_owned(),
    };
    files.insert("top/patch.yaml".to_owned(), patch);
    files
}

const JSON: &str = "- {op: add, path: /metadata/labels, value: {a: b}}\n- op: add\n  path: /spec\n  value: {list: [1, {a: b}], text: x}\n- {op: add, path: /spec/list/-, value: 3}\n- {op: copy, from: /spec/list/0, path: /spec/list/1}\n- {op: move, from: /spec/text, path: /spec/list/0}\n- {op: test, path: /metadata/name, value: web}\n- {op: replace, path: /spec/list/1, value: null}\n- {op: remove, path: /spec/list/0}\n";
const REPLACEMENTS: &str = "- source:\n    name: web\n    fieldPath: metadata.name\n    options: {delimiter: e, index: 0}\n  targets:\n  - select: {name: web}\n    reject: [{kind: Nothing}]\n    fieldPaths:\n    - metadata.annotations.[example.org/x]\n    - spec.template.spec.containers.[name=main].env.[name=A].value\n    - spec.list.0.a\n    - data.a.b.c\n    options: {create: true, delimiter: '-', index: 1}\n- sourceValue: given\n  targets:\n  - select: {kind: '.*'}\n    fieldPaths: [metadata.labels.x]\n    options: {create: true}\n";

/// Words that parsers and patches stumble over.
const WORDS: [&str; 30] = [
    "null",
    "~",
    "{}",
    "[]",
    "\"\"",
    "*a",
    "&a x",
    "<<: *a",
    "!!binary x",
    "!!int x",
    "- ",
    "? ",
    ": ",
    "|",
    ">-",
    "$patch: delete",
    "$patch: replace",
    "$patch: x",
    "$retainKeys: x",
    "$setElementOrder/containers: [1, {a: b}]",
    "$deleteFromPrimitiveList/args: {}",
    "-1",
    "99999999999999999999",
    "1e999",
    "\u{0}",
    "\u{feff}",
    "[[[[[[[[",
    "{{{{{{",
    "[=x]",
    "\\",
];

fn damage(random: &mut Random, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return random.pick(&WORDS).to_owned();
    }
    let at = random.below(lines.len());
    let other = random.below(lines.len());
    let word = random.pick(&WORDS);
    match random.below(10) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[other].clone()),
        2 => lines.swap(at, other),
        3 => lines[at] = format!("  {}", lines[at]),
        4 => lines[at] = lines[at].trim_start().to_owned(),
        5 | 6 => {
            let line = &lines[at];
            let end = line.find(": ").map_or(line.len(), |end| end + 2);
            lines[at] = format!("{}{word}", &line[..end]);
        }
        7 => lines.insert(at, word.to_owned()),
        8 => {
            let deep = 1 + random.below(2000);
            lines[at] = format!("{}{}", lines[at], "[".repeat(deep));
        }
        _ => {
            let whole = lines.join("\n");
            let mut cut = random.below(whole.len().max(1));
            while !whole.is_char_boundary(cut) {
                cut -= 1;
            }
            return whole[..cut].to_owned();
        }
    }
    lines.join("\n") + "\n"
}
