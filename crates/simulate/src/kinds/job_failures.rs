//! What failed pods mean for their job: rules of the pod failure policy, retries of each index.

use super::common::phase;
use super::job::{INDEX, Verdict, intervals};
use object::{Value, get, get_i64, get_str, meta};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often an index failed before the pod that has it.
pub(crate) const COUNTED: &str = "batch.kubernetes.io/job-index-failure-count";
/// The same, of failures that a rule said to ignore.
const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// What a rule makes of a failed pod.
#[derive(Debug, Clone, PartialEq)]
enum Action {
    Ignore,
    FailIndex,
    Count,
    FailJob(String),
}

/// The failures of an index so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Eq, Ord)]
struct Failures {
    counted: i64,
    ignored: i64,
}

/// All failures of a job.
#[derive(Debug, Default)]
pub(crate) struct Failed {
    /// Pods that count.
    pub(crate) pods: i64,
    /// Indexes that are not tried again, where each index has its own limit.
    pub(crate) indexes: BTreeSet<i64>,
    by_index: BTreeMap<i64, Failures>,
    /// Why the whole job fails.
    verdict: Option<String>,
    limited: bool,
}

fn array<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    get(object, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn number(pod: &Value, annotation: &str) -> i64 {
    meta::annotation(pod, annotation).and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl Failed {
    pub(crate) fn of(job: &Value, pods: &[Arc<Value>]) -> Failed {
        let limit = get_i64(job, &["spec", "backoffLimitPerIndex"]);
        let mut failed = Failed { limited: limit.is_some(), ..Failed::default() };
        for pod in pods.iter().filter(|pod| phase(pod) == "Failed") {
            let action = action(job, pod);
            let counts = action != Action::Ignore;
            failed.pods += i64::from(counts);
            if let Action::FailJob(message) = &action {
                failed.verdict.get_or_insert_with(|| message.clone());
            }
            let Some(index) = meta::annotation(pod, INDEX).and_then(|text| text.parse::<i64>().ok()) else {
                continue;
            };
            let own = Failures {
                counted: number(pod, COUNTED) + i64::from(counts),
                ignored: number(pod, IGNORED) + i64::from(!counts),
            };
            let known = failed.by_index.entry(index).or_default();
            *known = (*known).max(own);
            if limit.is_some_and(|limit| known.counted > limit || action == Action::FailIndex) {
                failed.indexes.insert(index);
            }
        }
        failed
    }

    /// The end of the job that its failures bring.
    pub(crate) fn verdict(&self, job: &Value, done: usize) -> Option<Verdict> {
        if let Some(message) = &self.verdict {
            return Verdict::bad("PodFailurePolicy", message);
        }
        if let Some(most) = get_i64(job, &["spec", "maxFailedIndexes"])
            && i64::try_from(self.indexes.len()).is_ok_and(|count| count > most)
        {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Verdict::bad("MaxFailedIndexesExceeded", message);
        }
        let all = get_i64(job, &["spec", "completions"]).and_then(|all| usize::try_from(all).ok())?;
        if !self.indexes.is_empty() && self.indexes.len() + done >= all {
            return Verdict::bad("FailedIndexes", "Job has failed indexes");
        }
        None
    }

    /// `status.failedIndexes`, where each index has its own limit.
    pub(crate) fn status(&self) -> Value {
        if self.limited { intervals(self.indexes.iter().copied()).into() } else { Value::Null }
    }

    /// Tells a new pod of an index what happened to those before it.
    pub(crate) fn tell(&self, pod: &mut Value, index: i64) {
        if self.limited {
            let own = self.by_index.get(&index).copied().unwrap_or_default();
            meta::set_annotation(pod, COUNTED, &own.counted.to_string());
            if own.ignored > 0 {
                meta::set_annotation(pod, IGNORED, &own.ignored.to_string());
            }
        }
    }
}

/// The first rule of the policy that the failed pod matches.
fn action(job: &Value, pod: &Value) -> Action {
    for (place, rule) in array(job, &["spec", "podFailurePolicy", "rules"]).iter().enumerate() {
        let named = |what: String| format!("{what} matching FailJob rule at index {place}");
        let pod_name = format!("{}/{}", meta::namespace(pod).unwrap_or_default(), meta::name(pod));
        let message = if let Some(codes) = get(rule, &["onExitCodes"]) {
            exit(pod, codes).map(|(container, code)| {
                named(format!("Container {container} for pod {pod_name} failed with exit code {code}"))
            })
        } else {
            shown(pod, array(rule, &["onPodConditions"]))
                .map(|condition| named(format!("Pod {pod_name} has condition {condition}")))
        };
        let Some(message) = message else { continue };
        return match get_str(rule, &["action"]).unwrap_or_default() {
            "Ignore" => Action::Ignore,
            "FailIndex" => Action::FailIndex,
            "FailJob" => Action::FailJob(message),
            _ => Action::Count,
        };
    }
    Action::Count
}

/// The first container that failed with such an exit code.
fn exit<'a>(pod: &'a Value, wanted: &Value) -> Option<(&'a str, i64)> {
    let name = get_str(wanted, &["containerName"]);
    let values = array(wanted, &["values"]);
    let named = get_str(wanted, &["operator"]) == Some("In");
    let lists = ["containerStatuses", "initContainerStatuses"];
    let all = lists.iter().flat_map(|list| array(pod, &["status", list]));
    let mut ended = all.filter_map(|own| {
        Some((get_str(own, &["name"])?, get_i64(own, &["state", "terminated", "exitCode"])?))
    });
    ended.find(|(container, code)| {
        *code != 0
            && name.is_none_or(|name| name == *container)
            && values.iter().any(|value| value.as_i64() == Some(*code)) == named
    })
}

/// The first condition of the pod that one of the patterns names.
fn shown<'a>(pod: &'a Value, patterns: &[Value]) -> Option<&'a str> {
    let text = |own: &Value, field: &str| get_str(own, &[field]).map(str::to_owned);
    let matches = |own: &&Value| {
        patterns.iter().any(|pattern| {
            text(pattern, "type") == text(own, "type")
                && text(pattern, "status").unwrap_or_else(|| "True".into())
                    == text(own, "status").unwrap_or_default()
        })
    };
    array(pod, &["status", "conditions"]).iter().find(matches).and_then(|own| get_str(own, &["type"]))
}
