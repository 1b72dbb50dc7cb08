//! Jobs: pods until enough of them succeeded.

use super::common::{
    claim, condition, conditions, create_pod, is_active, is_ready, name_pod, phase, pod_of, set_condition,
};
use super::job_failures::Failed;
use crate::api::Policy;
use crate::error::Result;
use crate::kind;
use crate::world::World;
use object::{Value, get, get_bool, get_i64, get_str, meta, set};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The annotation with the index of an indexed job's pod.
pub(crate) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

pub(crate) async fn reconcile(world: &World, job: &Value) -> Result<()> {
    if is_finished(job) {
        return expire(world, job).await;
    }
    if meta::deletion_timestamp(job).is_some() {
        return Ok(());
    }
    let pods = claim(world, kind::POD, kind::JOB, job).await?;
    let tally = Tally::of(job, &pods);
    let suspended = get_bool(job, &["spec", "suspend"]).unwrap_or(false);
    let verdict = tally.verdict(world, job);
    if suspended || verdict.as_ref().is_some_and(|own| !own.good) {
        for pod in pods.iter().filter(|pod| is_active(pod)) {
            world.delete(kind::POD, pod, Policy::Background).await?;
        }
    } else if verdict.as_ref().is_some_and(|own| own.reason == SUCCESS_POLICY) {
        // What the job does not need any more is stopped.
        for pod in pods.iter().filter(|pod| is_active(pod)) {
            world.delete(kind::POD, pod, Policy::Background).await?;
        }
    } else if verdict.is_none() {
        for index in tally.missing(job) {
            create(world, job, index, &tally.failures).await?;
        }
    }
    status(world, job, verdict, suspended).await
}

/// Whether it is Complete or Failed.
pub(crate) fn is_finished(job: &Value) -> bool {
    super::common::is_true(job, "Complete") || super::common::is_true(job, "Failed")
}

/// The reason of jobs that need not wait for all of their indexes.
const SUCCESS_POLICY: &str = "SuccessPolicy";

/// How a job ended.
pub(crate) struct Verdict {
    good: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    pub(crate) fn bad(reason: &'static str, message: &str) -> Option<Verdict> {
        Some(Verdict { good: false, reason, message: message.to_owned() })
    }
}

struct Tally {
    active: i64,
    ready: i64,
    succeeded: i64,
    failed: i64,
    /// Indexes that are done or under way, for indexed jobs.
    done: BTreeSet<i64>,
    busy: BTreeSet<i64>,
    failures: Failed,
}

fn is_indexed(job: &Value) -> bool {
    get_str(job, &["spec", "completionMode"]) == Some("Indexed")
}

impl Tally {
    fn of(job: &Value, pods: &[Arc<Value>]) -> Self {
        let index = |pod: &Arc<Value>| meta::annotation(pod, INDEX).and_then(|text| text.parse::<i64>().ok());
        let of_phase = |wanted: &'static str| pods.iter().filter(move |pod| phase(pod) == wanted);
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let done: BTreeSet<i64> = of_phase("Succeeded").filter_map(index).collect();
        let seen = if is_indexed(job) { number(done.len()) } else { number(of_phase("Succeeded").count()) };
        // Pods that were counted may be gone by now.
        let failures = Failed::of(job, pods);
        let counted = |field| get_i64(job, &["status", field]).unwrap_or(0);
        Tally {
            active: number(pods.iter().filter(|pod| is_active(pod)).count()),
            ready: number(pods.iter().filter(|pod| is_active(pod) && is_ready(pod)).count()),
            succeeded: seen.max(counted("succeeded")),
            failed: failures.pods.max(counted("failed")),
            busy: pods.iter().filter(|pod| is_active(pod)).filter_map(index).collect(),
            done,
            failures,
        }
    }

    /// The end, with its reason and message, once it is reached.
    fn verdict(&self, world: &World, job: &Value) -> Option<Verdict> {
        if let Some(verdict) = self.failures.verdict(job, self.done.len()) {
            return Some(verdict);
        }
        if self.failed > get_i64(job, &["spec", "backoffLimit"]).unwrap_or(6) {
            return Verdict::bad("BackoffLimitExceeded", "Job has reached the specified backoff limit");
        }
        if let Some(seconds) = get_i64(job, &["spec", "activeDeadlineSeconds"])
            && let Some(start) = get_str(job, &["status", "startTime"]).and_then(crate::time::parse)
            && world.now()
                >= crate::time::after(start, Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        {
            return Verdict::bad("DeadlineExceeded", "Job was active longer than specified deadline");
        }
        if let Some(rule) = self.matched_rule(job) {
            let message = format!("Matched rules at index {rule}");
            return Some(Verdict { good: true, reason: SUCCESS_POLICY, message });
        }
        let reached = match get_i64(job, &["spec", "completions"]) {
            Some(wanted) => self.succeeded >= wanted,
            // A work queue is done when one succeeded and none works any more.
            None => self.succeeded > 0 && self.active == 0,
        };
        let message = "Reached expected number of succeeded pods".to_owned();
        reached.then_some(Verdict { good: true, reason: "CompletionsReached", message })
    }

    /// The first rule of the success policy that the indexes that are done fulfil.
    fn matched_rule(&self, job: &Value) -> Option<usize> {
        let rules = get(job, &["spec", "successPolicy", "rules"])?.as_array()?;
        rules.iter().position(|rule| {
            let wanted = get_str(rule, &["succeededIndexes"]).map(indexes);
            let named = wanted.as_ref();
            let count =
                self.done.iter().filter(|own| named.is_none_or(|wanted| wanted.contains(own))).count();
            match (get_i64(rule, &["succeededCount"]), named) {
                (Some(enough), _) => usize::try_from(enough).is_ok_and(|enough| count >= enough),
                (None, Some(wanted)) => !wanted.is_empty() && count == wanted.len(),
                (None, None) => false,
            }
        })
    }

    /// The pods to create: an index each for indexed jobs.
    fn missing(&self, job: &Value) -> Vec<Option<i64>> {
        let parallelism = get_i64(job, &["spec", "parallelism"]).unwrap_or(1).max(0);
        let left = match get_i64(job, &["spec", "completions"]) {
            Some(wanted) => {
                let failed = i64::try_from(self.failures.indexes.len()).unwrap_or(i64::MAX);
                (wanted - self.succeeded - failed).min(parallelism)
            }
            None if self.succeeded > 0 => self.active,
            None => parallelism,
        };
        let count = usize::try_from(left - self.active).unwrap_or(0);
        if !is_indexed(job) {
            return vec![None; count];
        }
        let all = 0..get_i64(job, &["spec", "completions"]).unwrap_or(0);
        let free = all.filter(|index| {
            !self.done.contains(index) && !self.busy.contains(index) && !self.failures.indexes.contains(index)
        });
        free.take(count).map(Some).collect()
    }
}

async fn create(world: &World, job: &Value, index: Option<i64>, failures: &Failed) -> Result<()> {
    let template = get(job, &["spec", "template"]).cloned().unwrap_or_default();
    let mut pod = pod_of(kind::JOB, job, &template);
    let stem = match index {
        Some(index) => format!("{}-{index}", meta::name(job)),
        None => meta::name(job).to_string(),
    };
    name_pod(world, &mut pod, &stem, job);
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", meta::uid(job)),
        ("controller-uid", meta::uid(job)),
        ("batch.kubernetes.io/job-name", meta::name(job)),
        ("job-name", meta::name(job)),
    ] {
        meta::set_label(&mut pod, key, value);
    }
    if let Some(index) = index {
        meta::set_annotation(&mut pod, INDEX, &index.to_string());
        failures.tell(&mut pod, index);
        meta::set_label(&mut pod, INDEX, &index.to_string());
        set(&mut pod, &["spec", "hostname"], stem.into());
        tell_index(&mut pod);
    }
    create_pod(world, pod).await
}

/// Containers learn their pod's index from a variable.
fn tell_index(pod: &mut Value) {
    let field = format!("metadata.labels['{INDEX}']");
    let variable = json!({
        "name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field}},
    });
    for list in ["initContainers", "containers"] {
        let containers =
            pod.get_mut("spec").and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut all = get(container, &["env"]).and_then(Value::as_array).cloned().unwrap_or_default();
            if !all.iter().any(|own| get_str(own, &["name"]) == Some("JOB_COMPLETION_INDEX")) {
                all.push(variable.clone());
                set(container, &["env"], Value::Array(all));
            }
        }
    }
}

async fn status(world: &World, job: &Value, verdict: Option<Verdict>, suspended: bool) -> Result<()> {
    let now = world.stamp();
    let tally = Tally::of(job, &world.controlled(kind::POD, job));
    let mut list = conditions(job);
    let mut add = |kind: &str, reason: &str, message: &str| {
        let mut own = condition(kind, true, reason, message);
        set(&mut own, &["lastProbeTime"], now.clone().into());
        set_condition(&mut list, &now, own, false);
    };
    let mut done = Value::Null;
    match &verdict {
        Some(Verdict { good: true, reason, message }) => {
            add("SuccessCriteriaMet", reason, message);
            add("Complete", reason, message);
            done = now.clone().into();
        }
        Some(Verdict { reason, message, .. }) => {
            add("FailureTarget", reason, message);
            add("Failed", reason, message);
        }
        None if suspended => add("Suspended", "JobSuspended", "Job suspended"),
        None => {
            if super::common::is_true(job, "Suspended") {
                set_condition(
                    &mut list,
                    &now,
                    condition("Suspended", false, "JobResumed", "Job resumed"),
                    false,
                );
            }
        }
    }
    let some = |number: i64| if number == 0 { Value::Null } else { json!(number) };
    let running = verdict.is_none() && !suspended;
    let mut status = json!({
        "active": if running { some(tally.active) } else { Value::Null },
        "ready": if running { tally.ready } else { 0 },
        "terminating": 0,
        "succeeded": some(tally.succeeded),
        "failed": some(tally.failed),
        "uncountedTerminatedPods": {},
        "conditions": if list.is_empty() { Value::Null } else { Value::Array(list) },
        "completionTime": done,
        "failedIndexes": tally.failures.status(),
    });
    let start = get(job, &["status", "startTime"]).cloned();
    let start = if suspended { Value::Null } else { start.unwrap_or_else(|| now.clone().into()) };
    set(&mut status, &["startTime"], start);
    if is_indexed(job) {
        let done = intervals(tally.done.iter().copied());
        let done = if done.is_empty() { Value::Null } else { done.into() };
        set(&mut status, &["completedIndexes"], done);
    }
    world.set_status(kind::JOB, job, status).await?;
    Ok(())
}

/// Most indexes that a rule may name; more are not looked at.
const MOST_INDEXES: i64 = 100_000;

/// The numbers of such a text as [`intervals`] writes.
fn indexes(text: &str) -> BTreeSet<i64> {
    let mut all = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<i64>(), last.trim().parse::<i64>()) {
            all.extend(first.max(0)..=last.min(first.saturating_add(MOST_INDEXES)));
        }
    }
    all
}

/// Ascending numbers in short: `1,3-5,7`; two in a row are listed, more become an interval.
pub(crate) fn intervals(numbers: impl Iterator<Item = i64>) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let texts = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Deletes a finished job when its time to live is over.
async fn expire(world: &World, job: &Value) -> Result<()> {
    let Some(ttl) = get_i64(job, &["spec", "ttlSecondsAfterFinished"]) else { return Ok(()) };
    if meta::deletion_timestamp(job).is_some() {
        return Ok(());
    }
    let end = super::common::since(job, "Complete").or_else(|| super::common::since(job, "Failed"));
    let Some(end) = end else { return Ok(()) };
    let due = crate::time::after(end, Duration::from_secs(u64::try_from(ttl).unwrap_or(0)));
    let now = world.now();
    if now < due {
        world.look_again(kind::JOB, job, due.duration_since(now).unsigned_abs());
        return Ok(());
    }
    world.delete(kind::JOB, job, Policy::Foreground).await
}
