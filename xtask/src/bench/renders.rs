//! `helm template` beside `landfall helm template`.

use super::process::{Row, Sample, Setting, pair, run};
use anyhow::Context as _;
use serde_json::Value;
use std::time::Duration;

const CHARTS: &[&str] = &[
    "kube-prometheus-stack-88.5.3",
    "argo-cd-10.1.1",
    "kyverno-3.8.0",
    "cert-manager-v1.20.2",
    "podinfo-6.14.1",
];

/// A row for each chart, CRDs included, and one for all published charts of the suite together.
pub fn rows(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let helm = setting.peer("helm")?;
    let (helm, landfall) = (helm.to_string_lossy(), setting.landfall.to_string_lossy());
    let mut rows = Vec::new();
    for chart in CHARTS {
        let path = setting.shared.join(format!("charts/{chart}.tgz"));
        let path = path.to_string_lossy();
        let flags =
            ["template", "rel", &path, "--namespace", "ns", "--kube-version", "1.34.0", "--include-crds"];
        let theirs: Vec<&str> = std::iter::once(helm.as_ref()).chain(flags).collect();
        let ours: Vec<&str> = [landfall.as_ref(), "helm"].into_iter().chain(flags).collect();
        rows.push(pair(setting, &format!("render {chart}"), &ours, &theirs)?);
    }
    if setting.shared.join("suites/helm-charts").is_dir() {
        rows.extend(all(setting, &landfall, &helm)?);
    }
    Ok(rows)
}

/// Every rendering of the suite `helm-charts` that succeeds, one process each: the times added up, the highest
/// peak. Rounds are few, because they are long. Then the same without those that draw random numbers: how long a
/// key takes to make is a matter of luck, and two charts make some of 4,096 bits.
fn all(setting: &Setting, landfall: &str, helm: &str) -> anyhow::Result<[Row; 2]> {
    let suite = setting.shared.join("suites/helm-charts");
    let charts = setting.scratch.path().join("charts");
    for (path, bytes) in testkit::untar_zst(&suite.join("charts.tar.zst")) {
        let file = charts.join(path.trim_start_matches("./"));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, bytes)?;
    }
    let expected: Value = serde_json::from_slice(&std::fs::read(suite.join("expected.json"))?)?;
    let text = |case: &Value, key: &str| case.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut calls = Vec::new();
    for case in expected.as_array().into_iter().flatten().filter(|case| case.get("exit") == Some(&0.into())) {
        let chart = charts.join(text(case, "chart").context("a chart")?);
        let mut words: Vec<String> = ["template", "rel"].map(str::to_owned).to_vec();
        words.push(chart.display().to_string());
        words.extend(["--namespace", "ns", "--kube-version", "1.34.0", "--include-crds"].map(str::to_owned));
        if let Some(file) = text(case, "values") {
            words.extend(["-f".to_owned(), chart.join(file).display().to_string()]);
        }
        calls.push((words, case.get("deterministic") == Some(&true.into())));
    }
    let zero = Sample { wall: Duration::ZERO, peak: 0 };
    let add = |sum: &mut Sample, one: Sample| {
        *sum = Sample { wall: sum.wall + one.wall, peak: sum.peak.max(one.peak) };
    };
    // Of each tool the fastest round: of all calls, and of those that always give the same.
    let mut best: [[Option<Sample>; 2]; 2] = Default::default();
    for _ in 0..setting.runs.min(3) {
        for (best, head) in best.iter_mut().zip([vec![landfall, "helm"], vec![helm]]) {
            let mut sums = [zero, zero];
            for (words, same) in &calls {
                let all: Vec<&str> = head.iter().copied().chain(words.iter().map(String::as_str)).collect();
                let one = run(&all)?;
                for sum in sums.iter_mut().take(if *same { 2 } else { 1 }) {
                    add(sum, one);
                }
            }
            for (best, sum) in best.iter_mut().zip(sums) {
                if best.is_none_or(|best| sum.wall < best.wall) {
                    *best = Some(sum);
                }
            }
        }
    }
    let [[ours, our_same], [theirs, their_same]] = best;
    let same = calls.iter().filter(|(_, same)| *same).count();
    Ok([
        Row {
            work: format!("render {} times, the suite's charts", calls.len()),
            ours: ours.context("no runs")?,
            theirs,
        },
        Row {
            work: format!("the {same} of them without random numbers"),
            ours: our_same.context("no runs")?,
            theirs: their_same,
        },
    ])
}
