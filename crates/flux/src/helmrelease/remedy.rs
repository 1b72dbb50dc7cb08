//! After a failed action: counting it, and undoing it as the spec says.

use std::time::Duration;

use cluster::EventType;
use helm::Release;
use object::{Value, get};
use serde_json::json;

use super::act::{name_of, note};
use super::action::{Actor, Fault};
use super::guard::Guard;
use super::run::{Stop, stop_of};
use super::snapshot;
use crate::common::{Pass, duration_at, str_at};
use crate::options::Options;

/// Counts a failure, repairs as the spec says, and says how to go on.
pub(super) async fn after_failure(
    options: &Options,
    pass: &mut Pass,
    actor: &Actor<'_>,
    fault: Fault,
    reason: &'static str,
    prefix: &str,
    action: &str,
    release: Option<&Release>,
) -> Result<Stop, Stop> {
    if matches!(fault, Fault::Preempted) {
        return Ok(Stop::Preempted);
    }
    let counter = format!("{action}Failures");
    for counter in ["failures", counter.as_str()] {
        let count = object::get_i64(pass.status(), &[counter]).unwrap_or(0);
        pass.set(&[counter], json!(count.saturating_add(1)));
    }
    let failures = object::get_i64(pass.status(), &[&counter]).unwrap_or(1);
    let remediation = |field: &str| get(actor.object, &["spec", action, "remediation", field]);
    let retries = remediation("retries").and_then(Value::as_i64).unwrap_or(0);
    let more = retries < 0 || failures <= retries;
    let strategy = str_at(actor.object, &["spec", action, "strategy", "name"]);
    let retry_only = strategy == "RetryOnFailure";
    let last_too = remediation("remediateLastFailure")
        .and_then(Value::as_bool)
        .unwrap_or(action == "upgrade" && retries > 0);
    let ceiling = retry_only.then(|| {
        duration_at(actor.object, &["spec", action, "strategy", "retryInterval"])
            .unwrap_or(Duration::from_secs(300))
    });
    let message = match &fault {
        Fault::Failed { message, .. } => format!("{prefix}: {message}"),
        Fault::Preempted => prefix.to_owned(),
    };
    if reason != "TestFailed" {
        pass.condition("Released", "False", reason, &message);
    }
    if let Some(release) = release
        && !retry_only
        && (more || last_too)
    {
        pass.event(EventType::Warning, reason, &message, &release.chart.metadata.version);
        remediate(options, pass, actor, release, action).await?;
    }
    Ok(stop_of(fault, reason, prefix, ceiling, !more && !retry_only && retries > 0))
}

/// Undoes a failed release: an install is uninstalled, an upgrade rolled back (or uninstalled, if so wished).
async fn remediate(
    options: &Options,
    pass: &mut Pass,
    actor: &Actor<'_>,
    release: &Release,
    action: &str,
) -> Result<(), Stop> {
    let strategy = str_at(actor.object, &["spec", "upgrade", "remediation", "strategy"]);
    let uninstall = action == "install" || strategy == "uninstall";
    if uninstall {
        let mut release = release.clone();
        let guard = match action {
            "install" => Guard::of_new(options, actor.object),
            _ => Guard::of_whole(options, actor.object),
        };
        let actor = actor.guarded(guard);
        let done = actor.uninstall(&mut release).await;
        let name = name_of(&release);
        return match done {
            Ok(()) => {
                let message = format!("Helm uninstall remediation for release {name} succeeded");
                pass.condition("Remediated", "True", "UninstallSucceeded", &message);
                pass.event(EventType::Normal, "UninstallSucceeded", &message, "");
                for field in ["history", "inventory"] {
                    pass.set(&[field], Value::Null);
                }
                actor.settle_deletions(pass);
                Ok(())
            }
            Err(Fault::Preempted) => Err(Stop::Preempted),
            Err(Fault::Failed { message, .. }) => {
                let message = format!("Helm uninstall remediation for release {name} failed: {message}");
                pass.condition("Remediated", "False", "UninstallFailed", &message);
                pass.event(EventType::Warning, "UninstallFailed", &message, "");
                Ok(())
            }
        };
    }
    // The newest earlier release that worked and is still as it was noted.
    let history = pass.status().get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut target = None;
    for entry in
        history.iter().filter(|entry| matches!(str_at(entry, &["status"]), "deployed" | "superseded"))
    {
        let version = entry.get("version").and_then(Value::as_u64).unwrap_or(0);
        if version < release.version
            && let Some(stored) = actor.storage.get(version).await?
            && snapshot::digest(&stored) == str_at(entry, &["digest"])
        {
            target = Some(stored);
            break;
        }
    }
    let Some(target) = target else {
        let message = "no release to roll back to; upgrading again".to_owned();
        pass.condition("Remediated", "False", "MissingRollbackTarget", &message);
        return Ok(());
    };
    let (rolled, done) = actor.rollback(&target, release).await;
    let (name, settled) = (name_of(&target), done.is_ok());
    match done {
        Ok(()) => {
            let message = format!("Helm rollback to previous release {name} succeeded");
            pass.condition("Remediated", "True", "RollbackSucceeded", &message);
            pass.event(EventType::Normal, "RollbackSucceeded", &message, "");
        }
        Err(Fault::Preempted) => return Err(Stop::Preempted),
        Err(Fault::Failed { message, .. }) => {
            let message = format!("Helm rollback to previous release {name} failed: {message}");
            pass.condition("Remediated", "False", "RollbackFailed", &message);
            pass.event(EventType::Warning, "RollbackFailed", &message, "");
        }
    }
    note(pass, actor, &rolled, "rollback", None, settled).await?;
    Ok(())
}
