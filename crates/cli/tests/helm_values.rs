//! What becomes of values from one upgrade to the next: of the chart's, its dependencies', and the user's.
//!
//! `testdata/helm-values/recorded.json` holds what the real helm ended with; `LANDFALL_RECORD=1` asks it again.
#![allow(clippy::disallowed_methods)]

mod harness;
mod release;

use release::{Said, Site};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Each begins with an install of chart `one`; CHART is `two` in all that follows.
const STORIES: &[&[&str]] = &[
    &["", ""],
    &["--set color=blue", ""],
    &["--set color=blue", "--set fresh=given"],
    &["--set color=blue,gone=null", "--reset-values"],
    &["--set color=blue", "--reset-values --set fresh=given"],
    &["--set color=blue,store.size=7", "--reuse-values"],
    &["--set color=blue,store.shelf.count=8", "--reuse-values --set fresh=given,barn.size=1"],
    &["--set color=blue,barn.size=7", "--reset-then-reuse-values"],
    &["--set color=blue,barn.shelf.count=8", "--reset-then-reuse-values --set barn.paint=grey"],
    &["--set deep.dropped=null", "--reuse-values --set deep.kept=x"],
    &["--set deep.dropped=null", "--reset-then-reuse-values --set deep.kept=null"],
    &["--set list[1]=9", "--reuse-values --set list[0]=7"],
    &["--set global.zone=far,tags.back=false", "--reuse-values"],
    &["--set global.zone=far", "--reset-then-reuse-values --set global.other=2"],
    &["--set store.enabled=false", "--reuse-values --set barn.enabled=true"],
    &["--set barn.enabled=false", "--reset-then-reuse-values"],
    &["--set color=blue", "--reuse-values", "--reuse-values --set deep.added=z"],
    &["--set color=blue", "--reuse-values --set fresh=a", "--reset-then-reuse-values"],
    &["--set color=blue", "--set fresh=a", "--reset-values", ""],
    &["--set-json deep={\"kept\":[1,{\"a\":null}]}", "--reuse-values --set-string color=1"],
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/helm-values")
}

/// The values and manifests after each step.
fn tell(story: &[&str], run: &dyn Fn(&str, &str) -> Said) -> Value {
    let mut steps = Vec::new();
    for (number, flags) in story.iter().enumerate() {
        let chart = folder().join(if number == 0 { "one" } else { "two" });
        let verb = if number == 0 { "install" } else { "upgrade" };
        let done = run(format!("{verb} farm CHART {flags}").trim(), &chart.to_string_lossy());
        let show = |line: &str| run(line, "").out;
        steps.push(json!({
            "code": done.code,
            "error": done.err,
            "given": show("get values farm -o json"),
            "all": show("get values farm --all -o json"),
            "manifest": show("get manifest farm"),
        }));
    }
    Value::Array(steps)
}

#[test]
fn values_go_from_revision_to_revision_as_with_helm() {
    let file = folder().join("recorded.json");
    let site = Site::start();
    let record = std::env::var_os("LANDFALL_RECORD").is_some();
    // Asking the real tool doubles the time: it is done when the answers are recorded.
    let peer = if record { release::peer("helm") } else { None };
    let recorded: Value = match std::fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).expect("JSON"),
        Err(_) => Value::Null,
    };
    let mut told = Vec::new();
    for (number, story) in STORIES.iter().enumerate() {
        let namespace = |who: &str| {
            let name = format!("{who}-{number}");
            site.kubectl("default", &format!("create namespace {name}"));
            name
        };
        let name = namespace("ours");
        let ours = tell(story, &|line, chart| site.landfall(&name, line, chart));
        let theirs = peer.as_ref().map(|peer| {
            let name = namespace("theirs");
            tell(story, &|line, chart| site.helm(peer, &name, line, chart))
        });
        if let Some(theirs) = &theirs {
            assert_eq!(ours, *theirs, "{story:?}");
        }
        let known = recorded.get(number).and_then(|known| known.get("steps"));
        assert!(record || known == Some(&ours), "{story:?}: recorded {known:#?}, now {ours:#?}");
        told.push(json!({"story": story, "steps": theirs.unwrap_or(ours)}));
    }
    if record {
        let lines: Vec<String> = told.iter().map(Value::to_string).collect();
        std::fs::write(&file, format!("[\n{}\n]\n", lines.join(",\n"))).expect("written");
    }
}
