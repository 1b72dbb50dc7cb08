//! CronJobs: a Job at each time of a schedule.

use super::common::controller_reference;
use super::job::is_finished;
use crate::api::Policy;
use crate::error::{Result, UnlessGone};
use crate::kind;
use crate::time::{parse, stamp};
use crate::world::World;
use gotime::cron::{self, Schedule};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use object::{Value, get, get_bool, get_i64, get_str, meta};
use serde_json::{Map, json};
use std::sync::Arc;
use std::time::Duration;

/// Missed times that are looked through for the latest.
const MAX_MISSED: usize = 100;

pub(crate) async fn reconcile(world: &World, cron: &Value) -> Result<()> {
    let jobs = world.controlled(kind::JOB, cron);
    forget_old(world, cron, &jobs).await?;
    let mut last = get_str(cron, &["status", "lastScheduleTime"]).and_then(parse);
    let suspended = get_bool(cron, &["spec", "suspend"]).unwrap_or(false);
    if !suspended && meta::deletion_timestamp(cron).is_none() {
        match plan(cron, last, world.now()) {
            Ok((due, next)) => {
                if let Some(due) = due
                    && start(world, cron, &jobs, due).await?
                {
                    last = Some(due);
                }
                if let Some(next) = next {
                    let pause = next.duration_since(world.now()).unsigned_abs();
                    world.look_again(kind::CRON_JOB, cron, pause + Duration::from_millis(10));
                }
            }
            Err(reason) => tracing::debug!(cron = meta::name(cron), reason, "no schedule"),
        }
    }
    status(world, cron, last).await
}

/// The latest time that is due, and the next one.
fn plan(
    cron: &Value,
    last: Option<Timestamp>,
    now: Timestamp,
) -> std::result::Result<(Option<Timestamp>, Option<Timestamp>), String> {
    let schedule = Schedule::parse(get_str(cron, &["spec", "schedule"]).unwrap_or_default())?;
    let zone = match get_str(cron, &["spec", "timeZone"]) {
        Some(name) => cron::zone(name)?,
        None => TimeZone::UTC,
    };
    let created = meta::creation_timestamp(cron).and_then(parse).unwrap_or(now);
    let mut from = last.unwrap_or(created).max(created);
    if let Some(seconds) = get_i64(cron, &["spec", "startingDeadlineSeconds"]) {
        let earliest = now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(from);
        from = from.max(earliest);
    }
    let mut due = None;
    for _ in 0..MAX_MISSED {
        match schedule.next(from, &zone) {
            Some(time) if time <= now => {
                due = Some(time);
                from = time;
            }
            next => return Ok((due, next)),
        }
    }
    // Far too many were missed: only the future counts.
    Ok((due, schedule.next(now, &zone)))
}

/// Starts the job of a time; `false` when the policy forbids it now.
async fn start(world: &World, cron: &Value, jobs: &[Arc<Value>], due: Timestamp) -> Result<bool> {
    let running: Vec<&Arc<Value>> = jobs.iter().filter(|job| !is_finished(job)).collect();
    match get_str(cron, &["spec", "concurrencyPolicy"]) {
        Some("Forbid") if !running.is_empty() => return Ok(false),
        Some("Replace") => {
            for job in running {
                world.delete(kind::JOB, job, Policy::Background).await?;
            }
        }
        _ => {}
    }
    let template = get(cron, &["spec", "jobTemplate"]).cloned().unwrap_or_default();
    let part = |name: &str| get(&template, &["metadata", name]).and_then(Value::as_object).cloned();
    let mut annotations = part("annotations").unwrap_or_else(Map::new);
    annotations.insert("batch.kubernetes.io/cronjob-scheduled-timestamp".into(), stamp(due).into());
    let job = json!({
        "metadata": {
            "name": format!("{}-{}", meta::name(cron), due.as_second() / 60),
            "namespace": meta::namespace(cron).unwrap_or_default(),
            "labels": part("labels").unwrap_or_default(),
            "annotations": annotations,
            "ownerReferences": [controller_reference(kind::CRON_JOB, cron)],
        },
        "spec": template.get("spec").cloned().unwrap_or_default(),
    });
    match world.create(kind::JOB, job).await {
        Err(error) if error.is_there() => Ok(true),
        other => Ok(other.unless_gone()?.is_some()),
    }
}

/// Keeps as many finished jobs as the limits say.
async fn forget_old(world: &World, cron: &Value, jobs: &[Arc<Value>]) -> Result<()> {
    for (condition, field, default) in
        [("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)]
    {
        let limit = usize::try_from(get_i64(cron, &["spec", field]).unwrap_or(default)).unwrap_or(0);
        let mut finished: Vec<&Arc<Value>> =
            jobs.iter().filter(|job| super::common::is_true(job, condition)).collect();
        finished.sort_by(|a, b| meta::creation_timestamp(a).cmp(&meta::creation_timestamp(b)));
        for job in finished.iter().take(finished.len().saturating_sub(limit)) {
            if meta::deletion_timestamp(job).is_none() {
                world.delete(kind::JOB, job, Policy::Background).await?;
            }
        }
    }
    Ok(())
}

async fn status(world: &World, cron: &Value, last: Option<Timestamp>) -> Result<()> {
    let jobs = world.controlled(kind::JOB, cron);
    let active: Vec<Value> = jobs
        .iter()
        .filter(|job| !is_finished(job) && meta::deletion_timestamp(job).is_none())
        .map(|job| {
            json!({
                "apiVersion": "batch/v1", "kind": "Job", "name": meta::name(job), "namespace": meta::namespace(job),
                "uid": meta::uid(job), "resourceVersion": meta::resource_version(job),
            })
        })
        .collect();
    let done = jobs.iter().filter_map(|job| get_str(job, &["status", "completionTime"])).max();
    let known = get_str(cron, &["status", "lastSuccessfulTime"]);
    let mut status = json!({"active": if active.is_empty() { Value::Null } else { Value::Array(active) }});
    if let Some(done) = done.max(known) {
        object::set(&mut status, &["lastSuccessfulTime"], done.into());
    }
    if let Some(last) = last {
        object::set(&mut status, &["lastScheduleTime"], stamp(last).into());
    }
    let Some(current) =
        world.get(kind::CRON_JOB, meta::namespace(cron).unwrap_or_default(), meta::name(cron))
    else {
        return Ok(());
    };
    world.set_status(kind::CRON_JOB, &current, status).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::after;

    #[test]
    fn what_is_due() {
        let cron = json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"schedule": "*/10 * * * *"},
        });
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let now = time("2026-01-01T00:25:00Z");
        let (due, next) = plan(&cron, None, now).expect("a plan");
        assert_eq!((due, next), (Some(time("2026-01-01T00:20:00Z")), Some(time("2026-01-01T00:30:00Z"))));
        assert_eq!(plan(&cron, due, now).expect("a plan").0, None);
        assert!(after(now, Duration::ZERO) == now);
    }
}
