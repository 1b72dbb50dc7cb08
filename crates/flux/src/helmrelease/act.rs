//! The one action that follows from what is stored and what is wanted.
//!
//! What an action is about to apply is in the status before anything is done: the release at the top of the history,
//! its objects in the inventory. Whatever ends the pass, the next one knows what there may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::EventType;
use controller::Context;
use helm::release::Status;
use helm::{Release, RenderOptions, Rendered};
use jiff::Timestamp;
use object::{Value, get, meta};
use plan::ObjectRef;
use releases::Prepared;
use serde_json::json;

use super::action::{Actor, Fault, Storage};
use super::remedy::after_failure;
use super::render::{self, Job};
use super::run::{Stop, Wanted, actor, failed, inventory, newest, set_inventory, stop_of};
use super::{drift, snapshot, values};
use crate::common::{FORCE_AT, Pass, REQUESTED_AT, bool_at, format_duration, observed, str_at};
use crate::options::Shared;
use crate::target::Target;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Install,
    Upgrade,
    Test,
    Nothing,
}

/// Decides from what is stored (`last`), what was noted (`known`), and what is wanted.
fn decide(pass: &Pass, last: Option<&Release>, wanted: &Wanted, forced: bool, tests: bool) -> Step {
    let Some(last) = last else { return Step::Install };
    if last.info.status == Status::Uninstalled {
        return Step::Install;
    }
    let known = newest(pass.status());
    let noted = known.is_some_and(|known| {
        str_at(known, &["digest"]) == snapshot::digest(last)
            && known.get("version") == Some(&json!(last.version))
    });
    let metadata = &last.chart.metadata;
    let in_sync = noted
        && last.info.status == Status::Deployed
        && metadata.name == wanted.loaded.chart.metadata.name
        && metadata.version == wanted.loaded.version
        && values::digest(&last.config) == wanted.config_digest;
    let respecified = !observed(&pass.object)
        && (str_at(&pass.object, &["status", "observedPostRenderersDigest"]) != wanted.post_renderers
            || str_at(&pass.object, &["status", "observedCommonMetadataDigest"]) != wanted.metadata);
    if !in_sync || forced || respecified {
        return Step::Upgrade;
    }
    let tested = known.is_some_and(|known| known.get("testHooks").is_some());
    if tests && !tested { Step::Test } else { Step::Nothing }
}

pub(super) async fn release(
    shared: &Arc<Shared>,
    pass: &mut Pass,
    target: &Target,
    storage: &Storage,
    wanted: &Wanted,
) -> Result<(), Stop> {
    let object = pass.object.clone();
    let most = object::get_i64(&object, &["spec", "maxHistory"]).unwrap_or(5);
    let most = usize::try_from(most).unwrap_or(5);
    let actor = actor(target, &shared.options, &object, storage, &wanted.expressions, inventory(pass)?);
    let survey = storage.survey().await?;
    if let Some(rehearsal) = &shared.options.rehearsal {
        let version = survey.last.as_ref().map_or(1, |last| last.version.saturating_add(1));
        let objects = match rendered(pass, &actor, wanted, version, survey.last.is_none()).await {
            Ok(rendered) => actor.known_objects(&rendered.manifests).await,
            Err(fault) => Err(fault),
        };
        let fault = |fault| stop_of(fault, "Rehearsal", "it cannot be rehearsed", None, false);
        rehearsal.note(&pass.context.key, objects.map_err(fault)?, super::MANAGER);
        let message = "this is a rehearsal: nothing is applied";
        return Err(Stop::Waiting {
            reason: "Rehearsal",
            message: message.into(),
            cause: controller::Cause::new(message),
        });
    }
    let count = survey.count;
    let mut last = survey.last;
    for stuck in unlock(pass, storage, survey.pending).await? {
        last = last.map(|last| if last.version == stuck.version { stuck } else { last });
    }
    let requested = meta::annotation(&object, REQUESTED_AT).unwrap_or_default();
    let force = meta::annotation(&object, FORCE_AT).unwrap_or_default();
    let forced =
        !force.is_empty() && force == requested && force != str_at(pass.status(), &["lastHandledForceAt"]);
    let kept = last.as_ref().filter(|_| bool_at(&object, &["spec", "upgrade", "preserveValues"]));
    let kept = kept.map(|last| wanted.over(last));
    let wanted = kept.as_ref().unwrap_or(wanted);
    let step = decide(pass, last.as_ref(), wanted, forced, actor.tests_enabled());
    if forced {
        pass.set(&["lastHandledForceAt"], json!(force));
    }
    match step {
        Step::Install | Step::Upgrade => {
            if last.is_some() {
                let ended = actor.end_interrupted("upgrade").await;
                ended.map_err(|fault| stop_of(fault, "UpgradeFailed", "a hook was cut off", None, false))?;
            }
            let done = act(shared, pass, &actor, wanted, last, step).await;
            actor.settle_deletions(pass);
            if !matches!(done, Err(Stop::Preempted | Stop::Api(_))) {
                unlock(pass, storage, storage.survey().await?.pending).await?;
                // What a revision that goes now may have left is in the inventory.
                storage.trim(most).await?;
            }
            done?;
        }
        Step::Test => {
            if let Some(mut last) = last {
                test(shared, pass, &actor, wanted, &mut last).await?;
            }
        }
        Step::Nothing => {
            if let Some(last) = &last {
                catch_up(pass, &actor, last, wanted).await?;
                look_at_held(pass, &actor, last).await?;
                if count > most {
                    storage.trim(most).await?;
                }
                check_drift(pass, &actor, last).await?;
            }
        }
    }
    if step != Step::Nothing
        && drift::mode(&object) != drift::Mode::Disabled
        && let Some(last) = storage.last().await?
    {
        // As Flux does before it calls a release in sync; from here on drift is seen when it happens.
        check_drift(pass, &actor, &last).await?;
    }
    finish(pass, wanted);
    Ok(())
}

/// Nobody but this pass is at work on the release: what was in the middle of an action has failed.
async fn unlock(
    pass: &Pass,
    storage: &Storage,
    pending: Vec<Release>,
) -> Result<Vec<Release>, cluster::Error> {
    let now = pass.context.clock().now().as_second();
    let mut unlocked = Vec::new();
    for mut stuck in pending {
        let was = stuck.info.status;
        stuck.info.status = Status::Failed;
        stuck.info.description = format!("Release unlocked from stale '{was}' state");
        storage.update(&stuck, now).await?;
        pass.event(EventType::Warning, "PendingRelease", &stuck.info.description, "");
        unlocked.push(stuck);
    }
    Ok(unlocked)
}

/// A pass that ended after its last write to the release, and before it said so: the status tells of it now.
async fn catch_up(pass: &mut Pass, actor: &Actor<'_>, last: &Release, wanted: &Wanted) -> Result<(), Stop> {
    let Some(known) = newest(pass.status()) else { return Ok(()) };
    if str_at(known, &["status"]) == last.info.status.as_str() {
        return Ok(());
    }
    let action = str_at(known, &["action"]).to_owned();
    note(pass, actor, last, &action, wanted.loaded.oci_digest.as_deref(), true).await
}

/// What was held back goes when somebody has agreed to that, or is gone already.
async fn look_at_held(pass: &mut Pass, actor: &Actor<'_>, last: &Release) -> Result<(), Stop> {
    if !Actor::holds(pass) {
        return Ok(());
    }
    let stop = |fault| stop_of(fault, "UpgradeFailed", "what was held back cannot be looked at", None, false);
    let manifests = last.manifests().map_err(|error| failed("UpgradeFailed", error.to_string()))?;
    let objects = actor.known_objects(&manifests).await.map_err(stop)?;
    let wanted: Vec<ObjectRef> = objects.iter().filter_map(|object| ObjectRef::of(object).ok()).collect();
    actor.sweep(&wanted).await.map_err(stop)?;
    set_inventory(pass, wanted);
    actor.settle_deletions(pass);
    Ok(())
}

/// The release is as wanted: Ready says so in the words of the action that made it.
fn finish(pass: &mut Pass, wanted: &Wanted) {
    let message = pass.get_condition("Released").filter(|found| str_at(found, &["status"]) == "True");
    let (reason, text) = match message {
        Some(found) => (str_at(found, &["reason"]).to_owned(), str_at(found, &["message"]).to_owned()),
        None => {
            let known = newest(pass.status()).cloned().unwrap_or_default();
            let name = format!(
                "{}/{}.v{}",
                str_at(&known, &["namespace"]),
                str_at(&known, &["name"]),
                known["version"]
            );
            let chart = format!("{}@{}", str_at(&known, &["chartName"]), str_at(&known, &["chartVersion"]));
            ("UpgradeSucceeded".to_owned(), format!("Release {name} with chart {chart} is in sync"))
        }
    };
    let (reason, text) =
        match pass.get_condition("TestSuccess").filter(|found| str_at(found, &["status"]) == "True") {
            Some(test) => (str_at(test, &["reason"]).to_owned(), str_at(test, &["message"]).to_owned()),
            None => (reason, text),
        };
    for counter in ["failures", "installFailures", "upgradeFailures"] {
        pass.set(&[counter], Value::Null);
    }
    let none_if_empty = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    pass.set(&["observedPostRenderersDigest"], none_if_empty(&wanted.post_renderers));
    pass.set(&["observedCommonMetadataDigest"], none_if_empty(&wanted.metadata));
    pass.drop_condition("Remediated");
    pass.succeed(&reason, &text);
}

pub(super) fn name_of(release: &Release) -> String {
    format!(
        "{}/{}.v{} with chart {}@{}",
        release.namespace,
        release.name,
        release.version,
        release.chart.metadata.name,
        release.chart.metadata.version
    )
}

async fn rendered(
    pass: &Pass,
    actor: &Actor<'_>,
    wanted: &Wanted,
    version: u64,
    install: bool,
) -> Result<Rendered, Fault> {
    let options = RenderOptions {
        release_name: actor.storage.name.clone(),
        namespace: actor.namespace.clone(),
        revision: version,
        is_install: install,
        is_upgrade: !install,
        capabilities: releases::capabilities(&actor.cluster).await?,
        skip_schema_validation: bool_at(
            actor.object,
            &["spec", if install { "install" } else { "upgrade" }, "disableSchemaValidation"],
        ),
        ..RenderOptions::default()
    };
    let job = Job {
        chart: wanted.loaded.chart.clone(),
        values: wanted.values.clone(),
        options,
        object: actor.object.clone(),
        cluster: actor.cluster.clone(),
        now: pass.context.clock().now(),
    };
    let runtime = tokio::runtime::Handle::current();
    match pass.context.compute(move || render::render(job, runtime)).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Fault::failed(error)),
    }
}

fn reason_of(action: &str) -> &'static str {
    if action == "install" { "InstallFailed" } else { "UpgradeFailed" }
}

/// Installs or upgrades, tests, and on failure repairs as the spec says.
async fn act(
    shared: &Shared,
    pass: &mut Pass,
    actor: &Actor<'_>,
    wanted: &Wanted,
    last: Option<Release>,
    step: Step,
) -> Result<(), Stop> {
    let install = step == Step::Install;
    let (action, word) = if install { ("install", "Install") } else { ("upgrade", "Upgrade") };
    let started = pass.context.clock().now();
    let chart = format!("{}@{}", wanted.loaded.chart.name(), wanted.loaded.version);
    let target = format!("{}/{}", actor.namespace, actor.storage.name);
    pass.set(&["lastAttemptedReleaseAction"], json!(action));
    let version = last.as_ref().map_or(1, |last| last.version.saturating_add(1));
    let prefix = format!("Helm {action} failed for release {target} with chart {chart}");
    let reason = reason_of(action);
    let prepared = match rendered(pass, actor, wanted, version, install).await {
        Ok(rendered) => Prepared {
            chart: &wanted.loaded.chart,
            values: &wanted.values,
            rendered,
            version,
            labels: BTreeMap::new(),
        },
        Err(fault) => {
            return Err(
                after_failure(&shared.options, pass, actor, fault, reason, &prefix, action, None).await?
            );
        }
    };
    if install && let Err(fault) = actor.ensure_namespace().await {
        return Err(stop_of(fault, reason, &prefix, None, false));
    }
    let base = match (&last, install) {
        (Some(last), false) => Some(base_of(actor, last).await?),
        _ => None,
    };
    foretell(pass, actor, &prepared, base.as_ref(), action, wanted).await?;
    // Up to here nothing happened: a newer change needs no trace of this attempt.
    if pass.context.cancel.is_cancelled() {
        return Err(Stop::Preempted);
    }
    // What this attempt is about to apply may be there from now on.
    let actor = &Actor { inventory: inventory(pass)?, ..actor.clone() };
    let (release, result) = match &base {
        Some(base) => actor.upgrade(prepared, base).await,
        None => actor.install(prepared).await,
    };
    let took = duration_since(&pass.context, started);
    pass.set(&["lastAttemptedReleaseActionDuration"], json!(format_duration(took)));
    note(pass, actor, &release, action, wanted.loaded.oci_digest.as_deref(), result.is_ok()).await?;
    if let Err(fault) = result {
        return Err(after_failure(
            &shared.options,
            pass,
            actor,
            fault,
            reason,
            &prefix,
            action,
            Some(&release),
        )
        .await?);
    }
    let message = format!("Helm {action} succeeded for release {}", name_of(&release));
    let reason = if install { "InstallSucceeded" } else { "UpgradeSucceeded" };
    pass.condition("Released", "True", reason, &message);
    pass.drop_condition("TestSuccess");
    pass.event(EventType::Normal, reason, &message, &wanted.loaded.version);
    tracing::debug!(word, target, "released");
    if actor.tests_enabled() {
        let mut release = release;
        test(shared, pass, actor, wanted, &mut release).await?;
    }
    Ok(())
}

/// The release whose objects are live: the deployed one, or else the newest.
async fn base_of(actor: &Actor<'_>, last: &Release) -> Result<Release, cluster::Error> {
    if last.info.status == Status::Deployed {
        return Ok(last.clone());
    }
    Ok(actor.storage.deployed().await?.unwrap_or_else(|| last.clone()))
}

fn duration_since(context: &Context, started: Timestamp) -> Duration {
    Duration::try_from(context.clock().now().duration_since(started)).unwrap_or_default()
}

/// Writes down what is about to be done: the release into the history, its objects into the inventory.
async fn foretell(
    pass: &mut Pass,
    actor: &Actor<'_>,
    prepared: &Prepared<'_>,
    base: Option<&Release>,
    action: &str,
    wanted: &Wanted,
) -> Result<(), Stop> {
    pass.progressing(&format!(
        "Running '{action}' action with timeout of {}",
        format_duration(super::timeout(actor.object, action))
    ));
    let entry = snapshot::of(&actor.draft(prepared, base), action, wanted.loaded.oci_digest.as_deref());
    let history = snapshot::push(pass.status().get("history"), entry);
    pass.set(&["history"], history);
    // An object of a kind that is not served yet is not applied either: the action will say so.
    let objects = actor.known_objects(&prepared.rendered.manifests).await;
    let objects = objects.map_err(|fault| {
        stop_of(fault, reason_of(action), "what is to be applied is not known", None, false)
    })?;
    if let Some(foreseen) = ObjectRef::foreseen(&objects, &actor.inventory) {
        set_inventory(pass, foreseen);
    }
    Ok(pass.write().await?)
}

/// Puts the release as it was stored into the history. Once it is `settled` its objects are the inventory.
pub(super) async fn note(
    pass: &mut Pass,
    actor: &Actor<'_>,
    release: &Release,
    action: &str,
    oci_digest: Option<&str>,
    settled: bool,
) -> Result<(), Stop> {
    let stored = actor.storage.get(release.version).await?;
    let Some(stored) = stored else { return Ok(()) };
    let entry = snapshot::of(&stored, action, oci_digest);
    let history = snapshot::push(pass.status().get("history"), entry);
    pass.set(&["history"], history);
    if settled
        && let Ok(manifests) = stored.manifests()
        && let Ok(objects) = actor.objects(&manifests).await
    {
        set_inventory(pass, objects.iter().filter_map(|object| ObjectRef::of(object).ok()).collect());
    }
    Ok(())
}

pub(super) async fn test(
    shared: &Shared,
    pass: &mut Pass,
    actor: &Actor<'_>,
    wanted: &Wanted,
    release: &mut Release,
) -> Result<(), Stop> {
    let result = actor.test(release).await;
    if matches!(result, Err(Fault::Preempted)) {
        return Err(Stop::Preempted);
    }
    let known = newest(pass.status()).cloned().unwrap_or_default();
    let action = str_at(&known, &["action"]).to_owned();
    let mut entry = snapshot::of(release, &action, wanted.loaded.oci_digest.as_deref());
    entry["testHooks"] = snapshot::tests(release);
    let history = snapshot::push(pass.status().get("history"), entry);
    pass.set(&["history"], history);
    match result {
        Ok(()) => {
            let count = release.hooks.iter().filter(|hook| hook.runs_at(helm::Event::Test)).count();
            let hooks = if count == 1 { "1 test hook".to_owned() } else { format!("{count} test hooks") };
            let message = format!(
                "Helm test succeeded for release {}: {hooks} completed successfully",
                name_of(release)
            );
            pass.condition("TestSuccess", "True", "TestSucceeded", &message);
            pass.event(EventType::Normal, "TestSucceeded", &message, &wanted.loaded.version);
            Ok(())
        }
        Err(fault) => {
            let prefix = format!("Helm test failed for release {}", name_of(release));
            let text = match &fault {
                Fault::Failed { message, .. } => format!("{prefix}: {message}"),
                Fault::Preempted => prefix.clone(),
            };
            pass.condition("TestSuccess", "False", "TestFailed", &text);
            let action = if action.is_empty() { "upgrade".to_owned() } else { action };
            let ignored = get(actor.object, &["spec", &action, "remediation", "ignoreTestFailures"])
                .and_then(Value::as_bool);
            if ignored.unwrap_or_else(|| bool_at(actor.object, &["spec", "test", "ignoreFailures"])) {
                pass.event(EventType::Warning, "TestFailed", &text, &wanted.loaded.version);
                return Ok(());
            }
            Err(after_failure(
                &shared.options,
                pass,
                actor,
                fault,
                "TestFailed",
                &prefix,
                &action,
                Some(release),
            )
            .await?)
        }
    }
}

async fn check_drift(pass: &mut Pass, actor: &Actor<'_>, last: &Release) -> Result<(), Stop> {
    let mode = drift::mode(actor.object);
    if mode == drift::Mode::Disabled {
        pass.drop_condition("Drifted");
        return Ok(());
    }
    let fault = |fault: Fault| stop_of(fault, "DriftDetectionFailed", "drift detection failed", None, false);
    let manifests = last.manifests().map_err(|error| failed("DriftDetectionFailed", error.to_string()))?;
    let objects = actor.objects(&manifests).await.map_err(fault)?;
    let found = actor.drift(objects).await.map_err(fault)?;
    if found.is_empty() {
        pass.drop_condition("Drifted");
        return Ok(());
    }
    let lines: Vec<&str> = found.iter().map(|drifted| drifted.line.as_str()).collect();
    let message = format!(
        "Cluster state of release {} has drifted from the desired state:\n{}",
        name_of(last),
        lines.join("\n")
    );
    pass.condition("Drifted", "True", "DriftDetected", &message);
    pass.event(EventType::Warning, "DriftDetected", &message, &last.chart.metadata.version);
    if mode == drift::Mode::Warn {
        return Ok(());
    }
    let count = found.len();
    let desired = found.into_iter().map(|drifted| drifted.desired).collect();
    actor.correct(desired, last).await.map_err(|fault| {
        stop_of(
            fault,
            "DriftCorrectionFailed",
            &format!("Failed to correct cluster state of release {}", name_of(last)),
            None,
            false,
        )
    })?;
    let message = format!("Cluster state of release {} has been corrected: {count} object(s)", name_of(last));
    pass.event(EventType::Normal, "DriftCorrected", &message, &last.chart.metadata.version);
    pass.drop_condition("Drifted");
    Ok(())
}
