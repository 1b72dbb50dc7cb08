//! What the engine did, as Prometheus reads it, in the names that Flux's and Kubernetes' dashboards ask for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use object::Key;

use crate::kind::{Next, Outcome, Ready};
use crate::snapshot::{Phase, Snapshot};
use crate::work::lock;

/// Bounds of the buckets: from 10 ms to 30 min in ten steps, as Flux has them.
const SHORTEST: f64 = 0.01;
const LONGEST: f64 = 1800.0;
const STEPS: usize = 10;

fn bound(step: usize) -> f64 {
    SHORTEST * (LONGEST / SHORTEST).powf(step as f64 / (STEPS - 1) as f64)
}

#[derive(Default, Clone)]
struct Durations {
    counts: [u64; STEPS],
    count: u64,
    sum: f64,
}

impl Durations {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        for (step, count) in self.counts.iter_mut().enumerate() {
            if seconds <= bound(step) {
                *count += 1;
            }
        }
    }
}

#[derive(Default)]
struct State {
    passes: BTreeMap<Key, Durations>,
    outcomes: BTreeMap<(String, &'static str), u64>,
    by_kind: BTreeMap<String, Durations>,
}

/// The counters of an engine.
#[derive(Default)]
pub(crate) struct Metrics {
    state: Mutex<State>,
}

impl Metrics {
    /// A pass ended.
    pub fn passed(&self, key: &Key, took: Duration, outcome: &Outcome) {
        let result = match outcome.next {
            Next::Nothing => "success",
            Next::After(_) | Next::Wait(_) => "requeue_after",
            Next::Preempted => "requeue",
            Next::Retry(_) => "error",
        };
        let mut state = lock(&self.state);
        *state.outcomes.entry((controller(key), result)).or_default() += 1;
        state.by_kind.entry(controller(key)).or_default().add(took);
        // What was interrupted tells nothing of how long it takes.
        if outcome.next != Next::Preempted {
            state.passes.entry(key.clone()).or_default().add(took);
        }
    }

    /// A unit is gone, and what was said of it.
    pub fn forget(&self, key: &Key) {
        lock(&self.state).passes.remove(key);
    }

    /// All of it, with what the units say of themselves.
    pub fn text(&self, snapshot: &Snapshot) -> String {
        let state = lock(&self.state);
        let mut out = String::new();
        let passes = state.passes.iter().map(|(key, durations)| (labels(key), durations));
        histogram(
            &mut out,
            "gotk_reconcile_duration_seconds",
            "The duration in seconds of a reconciliation of an object.",
            passes,
        );
        let kinds = state.by_kind.iter().map(|(kind, all)| (format!("controller=\"{kind}\""), all));
        histogram(
            &mut out,
            "controller_runtime_reconcile_time_seconds",
            "Length of time per reconciliation of each kind.",
            kinds,
        );
        head(
            &mut out,
            "controller_runtime_reconcile_total",
            "counter",
            "Reconciliations by kind and result.",
        );
        for ((kind, result), count) in &state.outcomes {
            line(
                &mut out,
                "controller_runtime_reconcile_total",
                &format!("controller=\"{kind}\",result=\"{result}\""),
                count,
            );
        }
        head(
            &mut out,
            "controller_runtime_reconcile_errors_total",
            "counter",
            "Failed reconciliations by kind.",
        );
        for ((kind, _), count) in state.outcomes.iter().filter(|((_, result), _)| *result == "error") {
            line(
                &mut out,
                "controller_runtime_reconcile_errors_total",
                &format!("controller=\"{kind}\""),
                count,
            );
        }
        drop(state);
        units(&mut out, snapshot);
        out
    }
}

fn units(out: &mut String, snapshot: &Snapshot) {
    head(out, "gotk_reconcile_condition", "gauge", "The current condition of an object.");
    for unit in &snapshot.units {
        for status in [Ready::True, Ready::False, Ready::Unknown] {
            let labels = format!("{},type=\"Ready\",status=\"{}\"", labels(&unit.key), status.as_str());
            line(out, "gotk_reconcile_condition", &labels, u8::from(unit.ready == status));
        }
    }
    head(out, "gotk_suspend_status", "gauge", "Whether an object is suspended.");
    for unit in &snapshot.units {
        line(out, "gotk_suspend_status", &labels(&unit.key), u8::from(unit.suspended));
    }
    head(out, "gotk_resource_info", "gauge", "What an object says of itself.");
    for unit in &snapshot.units {
        let revision = unit.revision.as_deref().unwrap_or_default();
        let labels = format!(
            "customresource_kind=\"{}\",name=\"{}\",exported_namespace=\"{}\",ready=\"{}\",suspended=\"{}\",revision=\"{}\"",
            escaped(&unit.key.kind),
            escaped(&unit.key.name),
            escaped(&unit.key.namespace),
            unit.ready.as_str(),
            unit.suspended,
            escaped(revision)
        );
        line(out, "gotk_resource_info", &labels, 1);
    }
    head(out, "landfall_units", "gauge", "Units by kind and by how they stand.");
    let mut by_phase: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for unit in &snapshot.units {
        *by_phase.entry((unit.key.kind.clone(), unit.phase().as_str())).or_default() += 1;
    }
    for ((kind, phase), count) in by_phase {
        line(out, "landfall_units", &format!("kind=\"{}\",phase=\"{phase}\"", escaped(&kind)), count);
    }
    let at_work = snapshot.units.iter().filter(|unit| unit.running).count();
    head(out, "controller_runtime_active_workers", "gauge", "Passes that run.");
    line(out, "controller_runtime_active_workers", "", at_work);
    let waiting = snapshot.units.iter().filter(|unit| unit.phase() == Phase::Waiting).count();
    head(out, "workqueue_depth", "gauge", "Units that wait for something.");
    line(out, "workqueue_depth", "name=\"landfall\"", waiting);
}

/// A kind as the name of its controller.
fn controller(key: &Key) -> String {
    key.kind.to_lowercase()
}

fn labels(key: &Key) -> String {
    format!(
        "kind=\"{}\",name=\"{}\",namespace=\"{}\"",
        escaped(&key.kind),
        escaped(&key.name),
        escaped(&key.namespace)
    )
}

/// A label's value as the format writes it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = match labels {
        "" => writeln!(out, "{name} {value}"),
        labels => writeln!(out, "{name}{{{labels}}} {value}"),
    };
}

fn histogram<'d>(
    out: &mut String,
    name: &str,
    help: &str,
    all: impl Iterator<Item = (String, &'d Durations)>,
) {
    head(out, name, "histogram", help);
    for (labels, durations) in all {
        for (step, count) in durations.counts.iter().enumerate() {
            line(out, &format!("{name}_bucket"), &format!("{labels},le=\"{:.3}\"", bound(step)), count);
        }
        line(out, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), durations.count);
        line(out, &format!("{name}_sum"), &labels, durations.sum);
        line(out, &format!("{name}_count"), &labels, durations.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_counted_in_buckets() {
        let metrics = Metrics::default();
        let key = Key::new("kustomize.toolkit.fluxcd.io", "Kustomization", "flux-system", "a\"b");
        metrics.passed(&key, Duration::from_millis(5), &Outcome::done());
        metrics.passed(&key, Duration::from_secs(4000), &Outcome::after(Duration::from_secs(1)));
        let text = metrics.text(&Snapshot::default());
        for wanted in [
            "# TYPE gotk_reconcile_duration_seconds histogram",
            "gotk_reconcile_duration_seconds_bucket{kind=\"Kustomization\",name=\"a\\\"b\",namespace=\"flux-system\",le=\"0.010\"} 1",
            "le=\"1800.000\"} 1",
            "le=\"+Inf\"} 2",
            "controller_runtime_reconcile_total{controller=\"kustomization\",result=\"requeue_after\"} 1",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
        metrics.forget(&key);
        assert!(!metrics.text(&Snapshot::default()).contains("gotk_reconcile_duration_seconds_count"));
    }
}
