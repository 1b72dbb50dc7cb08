//! One program for all targets; `FUZZ_TARGET` names the one.

#![no_main]

#[path = "../../xtask/src/fuzz_inputs/targets.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use targets::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    TARGETS.iter().find(|target| target.name == name).expect("FUZZ_TARGET names a target")
});

fuzz_target!(|input: &[u8]| {
    if let Err(words) = (TARGET.check)(input) {
        panic!("{words}");
    }
});
