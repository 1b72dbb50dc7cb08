//! Our answers beside those that kube-apiserver gave; `testdata/record.py` records them. `LANDFALL_REQUESTS=DIR`
//! replays the cases of another folder.

mod recorded;

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Answers that differ and why, one `case[index] reason` a line.
const KNOWN: &str = include_str!("../testdata/known-differences.txt");

#[tokio::test]
async fn recorded_requests() {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let root = std::env::var_os("LANDFALL_REQUESTS").map_or(own, PathBuf::from);
    let known: BTreeSet<&str> = KNOWN.lines().filter_map(|l| l.split_whitespace().next()).collect();
    let outcomes = recorded::outcomes(&root).await;
    assert!(!outcomes.is_empty());
    let (mut failures, mut healed) = (Vec::new(), Vec::new());
    for (id, outcome) in &outcomes {
        match (outcome, known.contains(id.as_str())) {
            (Ok(()), true) => healed.push(id),
            (Err(why), false) => failures.push(format!("{id} {why}")),
            _ => {}
        }
    }
    println!("recorded requests: {} of {} differ; healed: {healed:?}", failures.len(), outcomes.len());
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
