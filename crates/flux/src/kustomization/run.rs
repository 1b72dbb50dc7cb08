//! One pass over a Kustomization.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::EventType;
use controller::{Cause, Context, Outcome, Rendered, WaitError, aspect, wait_for};
use jiff::Timestamp;
use object::{Gvk, Key, Value, get, meta};
use plan::{ObjectRef, Plan};
use serde_json::json;

use super::build::{self, Input};
use super::decrypt::Keyring;
use super::history;
use super::kms::Workload;
use super::prune::prune;
use super::{Kustomizations, MANAGER, depends, every, finalize, marks, retry, timeout, world};
use crate::apply::{self, Applier, Change, Desired, Report};
use crate::artifacts::Offered;
use crate::common::{Pass, bool_at, format_duration, reference, str_at, string_map};
use crate::health;
use crate::identity;
use crate::ignored;
use crate::options::resumes;
use crate::sources::{secret_data, source_gvk, source_key};
use crate::target::{self, Target, has_kubeconfig};

/// A pass that did not succeed.
pub(super) enum Stop {
    /// The API failed us.
    Api(cluster::Error),
    /// Something newer came.
    Preempted,
    /// It failed: reason, message, where to look.
    Failed(&'static str, String, Cause),
    /// Only a changed spec can help.
    Stalled(&'static str, String),
    /// Something is not there yet.
    Waiting(&'static str, String, Cause),
    /// The source is fetched again after a start; nothing else changed.
    Resuming(Cause),
}

impl From<cluster::Error> for Stop {
    fn from(error: cluster::Error) -> Stop {
        Stop::Api(error)
    }
}

pub(super) fn failed(reason: &'static str, message: impl Into<String>) -> Stop {
    let message = message.into();
    Stop::Failed(reason, message.clone(), Cause::new(message))
}

pub(super) async fn reconcile(kind: &Kustomizations, context: Context, object: Value) -> Outcome {
    let mut pass = Pass::new(context, object, MANAGER);
    let done = whole(kind, &mut pass).await;
    pass.outcome(done, retry(&pass.object))
}

async fn whole(kind: &Kustomizations, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    if pass.is_deleted() {
        return finalize::finalize(kind, pass).await;
    }
    pass.ensure_finalizer().await?;
    if pass.context.cancel.is_cancelled() {
        return Ok(Outcome::preempted());
    }
    if pass.is_suspended() {
        return Ok(Outcome::done());
    }
    let started = pass.context.clock().now();
    let revision = str_at(&pass.object, &["status", "lastAppliedRevision"]).to_owned();
    match steps(kind, pass, started).await {
        Ok(changed) => {
            let shared = kind.shared.clone();
            let _turn = if changed { None } else { shared.turn(&pass.context.clone()).await };
            if pass.context.cancel.is_cancelled() {
                return Ok(Outcome::preempted());
            }
            pass.write().await?;
            let took = format_duration(since(&pass.context, started));
            if str_at(pass.status(), &["lastAppliedRevision"]) != revision {
                let every = format_duration(every(&pass.object));
                let message = format!("Reconciliation finished in {took}, next run in {every}");
                let revision = str_at(pass.status(), &["lastAppliedRevision"]).to_owned();
                let origin = str_at(pass.status(), &["lastAppliedOriginRevision"]).to_owned();
                // Meant for commit statuses: chats hear of what changed from the other events.
                let more = [("originRevision", origin.as_str()), ("commit_status", "update")];
                pass.event_with(EventType::Normal, "ReconciliationSucceeded", &message, &revision, &more);
            }
            Ok(Outcome::after(every(&pass.object)))
        }
        Err(stop) => stopped(kind, pass, stop).await,
    }
}

async fn stopped(kind: &Kustomizations, pass: &mut Pass, stop: Stop) -> Result<Outcome, cluster::Error> {
    let before = pass.ready_message();
    let known = str_at(&pass.object, &["status", "lastAttemptedRevision"]).to_owned();
    let revision = str_at(pass.status(), &["lastAttemptedRevision"]).to_owned();
    let (reason, message, outcome) = match stop {
        Stop::Preempted => return Ok(Outcome::preempted()),
        // Another cluster that fails us can be told of.
        Stop::Api(error) if has_kubeconfig(&pass.object) && !pass.context.cancel.is_cancelled() => {
            pass.fail("ReconciliationFailed", &error.message);
            pass.observe_generation();
            let cause = Cause::new(error.message.clone());
            ("ReconciliationFailed", error.message, Outcome::retry(retry(&pass.object), cause))
        }
        Stop::Api(error) => return Err(error),
        Stop::Resuming(cause) => return Ok(Outcome::wait(kind.shared.options.requeue_dependency, cause)),
        Stop::Failed(reason, message, cause) => {
            pass.fail(reason, &message);
            pass.observe_generation();
            (reason, message, Outcome::retry(retry(&pass.object), cause))
        }
        Stop::Stalled(reason, message) => {
            pass.stall(reason, &message);
            let cause = Cause::new(message.clone());
            (reason, message, Outcome { next: controller::Next::Nothing, cause: Some(cause) })
        }
        Stop::Waiting(reason, message, cause) => {
            pass.wait(reason, &message);
            (reason, message, Outcome::wait(kind.shared.options.requeue_dependency, cause))
        }
    };
    // The status may hold the line already: say it once.
    if before != message || known != revision {
        let event_type = if reason == "DependencyNotReady" { EventType::Normal } else { EventType::Warning };
        pass.event(event_type, reason, &message, &revision);
    }
    pass.write().await?;
    Ok(outcome)
}

fn since(context: &Context, started: Timestamp) -> Duration {
    Duration::try_from(context.clock().now().duration_since(started)).unwrap_or_default()
}

/// All steps; says whether any object changed.
async fn steps(kind: &Kustomizations, pass: &mut Pass, started: Timestamp) -> Result<bool, Stop> {
    let object = pass.object.clone();
    let first = !kind.renders().knows(&pass.context.key);
    let expressions = health::expressions(&object).map_err(|error| {
        Stop::Stalled(
            "InvalidCELExpression",
            format!("Reconciliation failed terminally due to configuration error: {error}"),
        )
    })?;
    let offered = artifact(kind, pass).await?;
    if let Some(blocked) = depends::check(&kind.shared, &pass.context, &object, &offered.revision).await? {
        return Err(if blocked.stalled {
            let message =
                format!("Reconciliation failed terminally due to configuration error: {}", blocked.message);
            Stop::Stalled("InvalidCELExpression", message)
        } else {
            Stop::Waiting("DependencyNotReady", blocked.message, blocked.cause)
        });
    }
    let revision = offered.revision.clone();
    pass.set(&["lastAttemptedRevision"], json!(revision));
    let built = build(kind, pass, &offered).await?;
    let target = target::find(&kind.shared, pass).await?.map_err(|missing| {
        let message = format!("failed to build kube client: {}", missing.why());
        Stop::Failed("ReconciliationFailed", message, missing.cause())
    })?;
    let log = |status: &'static str, pass: &mut Pass| {
        let entry = history::Outcome {
            digest: &built.digest,
            now: &pass.context.clock().stamp(),
            duration: since(&pass.context, started),
            status,
            revision: &revision,
            origin: offered.origin_revision(),
        };
        let history = history::upsert(pass.status().get("history"), &entry);
        pass.set(&["history"], history);
    };
    let applier = Applier {
        context: &target.context,
        cluster: target.cluster.clone(),
        manager: MANAGER,
        memory: &target.memory,
        take_over: true,
    };
    let (plan, report) = match apply(kind, pass, &applier, &built, target.is_far).await {
        Ok(done) => done,
        Err(stop) => {
            if matches!(stop, Stop::Failed(..)) {
                log("ReconciliationFailed", pass);
            }
            return Err(stop);
        }
    };
    let old = ObjectRef::parse_entries(get(&object, &["status", "inventory"])).unwrap_or_default();
    let mut inventory = plan.inventory();
    match prune(kind, pass, &applier, &plan, old.len(), &revision).await {
        Ok(held) => inventory.extend(held),
        Err((survivors, stop)) => {
            inventory.extend(survivors);
            set_inventory(pass, &inventory);
            log("PruneFailed", pass);
            return Err(stop);
        }
    }
    set_inventory(pass, &inventory);
    let changed = !report.log().is_empty();
    if let Err(stop) = check_health(pass, &target, &report, &built, &expressions, changed).await {
        if matches!(stop, Stop::Failed(..)) {
            log("HealthCheckFailed", pass);
        }
        return Err(stop);
    }
    pass.set(&["lastAppliedRevision"], json!(revision));
    pass.set(&["lastAppliedOriginRevision"], offered.origin_revision().map(Value::from).unwrap_or_default());
    pass.succeed("ReconciliationSucceeded", &format!("Applied revision: {revision}"));
    // The first look after a start that finds all as it was left is no new entry.
    let resumed = first && !changed && pass.is_as_read() && history::repeats(&object, &built.digest);
    if !resumed {
        log("ReconciliationSucceeded", pass);
    }
    Ok(changed)
}

/// The source's artifact; waits for a source that has none.
async fn artifact(kind: &Kustomizations, pass: &Pass) -> Result<Arc<Offered>, Stop> {
    let Some(source) = reference(&pass.object, &["spec", "sourceRef"]) else {
        return Err(Stop::Stalled("ArtifactFailed", "spec.sourceRef is missing".into()));
    };
    let key = source_key(&source.kind, &source.namespace, &source.name);
    if kind.shared.options.no_cross_namespace_refs && source.namespace != pass.namespace() {
        let message = format!(
            "can't access '{}/{}/{}', cross-namespace references have been blocked",
            source.kind, source.namespace, source.name
        );
        return Err(Stop::Stalled("AccessDenied", message));
    }
    if !matches!(source.kind.as_str(), "GitRepository" | "OCIRepository" | "Bucket" | "ExternalArtifact") {
        let message = format!("source `{}` kind '{}' not supported", source.name, source.kind);
        return Err(Stop::Stalled("ArtifactFailed", message));
    }
    let gvk = source_gvk(&source.kind);
    let found = pass.context.read(&gvk, &source.namespace, &source.name, aspect::existence, true).await?;
    let via = |message: &str| Cause { via: Some(key.clone()), ..Cause::new(message) };
    let Some(found) = found else {
        let message = format!("Source '{}/{}/{}' not found", source.kind, source.namespace, source.name);
        return Err(Stop::Waiting("ArtifactFailed", message.clone(), via(&message)));
    };
    kind.shared.offered(&pass.context, &key).ok_or_else(|| {
        if resumes(&found, &pass.object) {
            return Stop::Resuming(via("its source is fetched again"));
        }
        let pause = format_duration(kind.shared.options.requeue_dependency);
        let message = format!("Source artifact not found, retrying in {pause}");
        Stop::Waiting("ArtifactFailed", message.clone(), via(&message))
    })
}

/// The objects: built anew only when something that the last build looked at differs.
async fn build(kind: &Kustomizations, pass: &mut Pass, offered: &Arc<Offered>) -> Result<Rendered, Stop> {
    let input = Input {
        spec: pass.object.get("spec").cloned().unwrap_or_default(),
        variables: variables(pass).await?,
        strict: kind.shared.options.strict_substitutions,
        keys: keys(kind, pass).await?,
    };
    let key = pass.context.key.clone();
    let same = |looks: &_| world::same(&offered.artifact.tree, looks);
    if let Some(rendered) = kind.renders().recall(&key, &input, same) {
        return Ok(rendered);
    }
    let (offered, work) = (offered.clone(), input.clone());
    let door = (!kind.shared.options.no_remote_bases)
        .then(|| (kind.shared.options.fetcher.clone(), tokio::runtime::Handle::current()));
    let done = pass.context.compute(move || build::build(&offered.artifact.tree, &work, door)).await;
    if pass.context.cancel.is_cancelled() {
        return Err(Stop::Preempted);
    }
    match done {
        Ok(Ok((rendered, looks))) => {
            kind.renders().keep(key, input, looks, &rendered);
            Ok(rendered)
        }
        Ok(Err(failure)) => Err(Stop::Failed(failure.reason, failure.message, failure.cause)),
        Err(error) => Err(failed("BuildFailed", error)),
    }
}

/// The keys of `spec.decryption`; `None` without it.
async fn keys(kind: &Kustomizations, pass: &Pass) -> Result<Option<Arc<Keyring>>, Stop> {
    let Some(decryption) = get(&pass.object, &["spec", "decryption"]).filter(|found| found.is_object())
    else {
        return Ok(None);
    };
    if str_at(decryption, &["provider"]) != "sops" {
        return Ok(None);
    }
    let name = str_at(decryption, &["serviceAccountName"]);
    let account = match name {
        // The default account is for what is applied.
        "" => None,
        name => {
            identity::account(&kind.shared, pass, name).await.map_err(|why| failed("BuildFailed", why))?
        }
    };
    let identity = Workload { fetcher: kind.shared.options.fetcher.clone(), account };
    let fallback = kind.shared.options.sops_age_secret.as_ref();
    let (namespace, name) = match (str_at(decryption, &["secretRef", "name"]), fallback) {
        ("", None) => return Ok(Some(Arc::new(Keyring::empty().with_identity(identity)))),
        ("", Some((namespace, name))) => (namespace.as_str(), name.as_str()),
        (name, _) => (pass.namespace(), name),
    };
    let gvk = Gvk::new("", "v1", "Secret");
    let found = pass.context.read(&gvk, namespace, name, aspect::content, true).await?;
    let Some(found) = found else {
        let message = format!("cannot get sops decryption Secret '{namespace}/{name}': not found");
        let mut cause = Cause::new(message.clone());
        cause.object = Some(Key::new("", "Secret", namespace, name));
        return Err(Stop::Failed("BuildFailed", message, cause));
    };
    Keyring::of_secret(&secret_data(&found), &format!("{namespace}/{name}"))
        .map(|keys| Some(Arc::new(keys.with_identity(identity))))
        .map_err(|why| failed("BuildFailed", why))
}

/// The variables of postBuild; `None` without postBuild.
async fn variables(pass: &mut Pass) -> Result<Option<BTreeMap<String, String>>, Stop> {
    let object = pass.object.clone();
    let Some(post_build) = get(&object, &["spec", "postBuild"]).filter(|found| found.is_object()) else {
        return Ok(None);
    };
    let mut maps = Vec::new();
    let references = post_build.get("substituteFrom").and_then(Value::as_array);
    for reference in references.into_iter().flatten() {
        let (kind, name) = (str_at(reference, &["kind"]), str_at(reference, &["name"]));
        let gvk = Gvk::new("", "v1", kind);
        let found = pass.context.read(&gvk, pass.namespace(), name, aspect::content, true).await?;
        match found {
            Some(found) if kind == "Secret" => {
                let data = secret_data(&found).into_iter();
                let data: BTreeMap<String, String> =
                    data.map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned())).collect();
                data.values().for_each(|value| pass.hide(value));
                maps.push(data);
            }
            Some(found) => maps.push(string_map(&found, &["data"])),
            None if bool_at(reference, &["optional"]) => {}
            None => {
                let message = format!(
                    "substitute from '{kind}/{name}' error: {kind} \"{}/{name}\" not found",
                    pass.namespace()
                );
                let mut cause = Cause::new(message.clone());
                cause.object = Some(Key::new("", kind, pass.namespace(), name));
                return Err(Stop::Failed("BuildFailed", message, cause));
            }
        }
    }
    let spec = pass.object.get("spec").cloned().unwrap_or_default();
    build::merge_variables(maps, &spec).map(Some).map_err(|error| failed("BuildFailed", error))
}

async fn apply(
    kind: &Kustomizations,
    pass: &mut Pass,
    applier: &Applier<'_>,
    built: &Rendered,
    is_far: bool,
) -> Result<(Plan, Report), Stop> {
    let mut objects = built.objects.clone();
    let marks = marks(&pass.object);
    let labels = string_map(&pass.object, &["spec", "commonMetadata", "labels"]);
    let annotations = string_map(&pass.object, &["spec", "commonMetadata", "annotations"]);
    for object in &mut objects {
        clean(object);
        marks.claim(object);
        labels.iter().for_each(|(key, value)| meta::set_label(object, key, value));
        annotations.iter().for_each(|(key, value)| meta::set_annotation(object, key, value));
    }
    // What this program embodies it embodies for the cluster that it reconciles.
    if kind.shared.options.stand_in && !is_far {
        apply::mark_stand_ins(&mut objects);
    }
    if kind.shared.options.stop_stand_ins && !is_far {
        apply::stop_stand_ins(&mut objects);
    }
    let inventory = ObjectRef::parse_entries(get(&pass.object, &["status", "inventory"]))
        .map_err(|error| failed("ReconciliationFailed", error.to_string()))?;
    applier.prepare(&mut objects, &inventory).await?;
    let rules = get(&pass.object, &["spec", "ignore"]);
    for object in &mut objects {
        let paths = ignored::paths(rules, object);
        if let (false, Ok(key)) = (paths.is_empty(), Key::of(object))
            && let Some(live) = applier.context.cluster.store().get(&key)
        {
            ignored::leave(object, &live, &paths, MANAGER);
        }
    }
    if let Some(rehearsal) = &kind.shared.options.rehearsal {
        rehearsal.note(&pass.context.key, objects, MANAGER);
        let message = "this is a rehearsal: nothing is applied";
        return Err(Stop::Waiting("Rehearsal", message.into(), Cause::new(message)));
    }
    if let Some(foreseen) = ObjectRef::foreseen(&objects, &inventory) {
        set_inventory(pass, &foreseen);
        pass.write().await?;
        if pass.context.cancel.is_cancelled() {
            return Err(Stop::Preempted);
        }
    }
    let (plan, report) = applier
        .carry_out(Desired {
            marks: &marks,
            objects,
            inventory: &inventory,
            prune: bool_at(&pass.object, &["spec", "prune"]),
            force: bool_at(&pass.object, &["spec", "force"]),
        })
        .await
        .map_err(|error| failed("ReconciliationFailed", error))?;
    if report.preempted {
        return Err(Stop::Preempted);
    }
    let log = report.log();
    if !report.errors.is_empty() {
        let message =
            if log.is_empty() { report.error_text() } else { format!("{}\n{log}", report.error_text()) };
        return Err(Stop::Failed("ReconciliationFailed", message, report.cause()));
    }
    if !log.is_empty() {
        let revision = str_at(pass.status(), &["lastAttemptedRevision"]).to_owned();
        pass.event(EventType::Normal, "Progressing", &log, &revision);
    }
    Ok((plan, report))
}

/// What never belongs into an applied object.
fn clean(object: &mut Value) {
    object::remove(object, &["status"]);
    for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"] {
        object::remove(object, &["metadata", field]);
    }
    for name in ["kubectl.kubernetes.io/last-applied-configuration", "kustomize.toolkit.fluxcd.io/checksum"] {
        meta::remove_annotation(object, name);
    }
    meta::remove_label(object, "fluxcd.io/sync-gc-mark");
    meta::remove_annotation(object, "fluxcd.io/sync-checksum");
    drop_broken_bundle(object);
}

/// A definition with a certificate that is none (a placeholder, most often) would be refused as a whole.
fn drop_broken_bundle(object: &mut Value) {
    const BUNDLE: [&str; 5] = ["spec", "conversion", "webhook", "clientConfig", "caBundle"];
    if meta::kind(object) != "CustomResourceDefinition" {
        return;
    }
    use base64::Engine as _;
    let Some(bundle) = object::get_str(object, &BUNDLE) else { return };
    let decoded = base64::engine::general_purpose::STANDARD.decode(bundle).unwrap_or_default();
    if !String::from_utf8_lossy(&decoded).contains("-----BEGIN CERTIFICATE-----") {
        object::remove(object, &BUNDLE);
    }
}

fn set_inventory(pass: &mut Pass, inventory: &[ObjectRef]) {
    let entries: Vec<Value> = inventory.iter().map(ObjectRef::entry).collect();
    pass.set(&["inventory"], json!({"entries": entries}));
}

/// What to wait for: everything applied, or what the spec names.
fn to_check(pass: &Pass, report: &Report) -> Vec<(Gvk, Key)> {
    if bool_at(&pass.object, &["spec", "wait"]) {
        let applied = report.entries.iter().filter(|(_, change)| *change != Change::Skipped);
        applied.map(|(target, _)| (target.gvk(), target.key.clone())).collect()
    } else {
        let named = get(&pass.object, &["spec", "healthChecks"]).and_then(Value::as_array);
        let named = named.into_iter().flatten().map(|entry| {
            let gvk = Gvk::from_api_version(str_at(entry, &["apiVersion"]), str_at(entry, &["kind"]));
            let key = Key::new(
                gvk.group.clone(),
                gvk.kind.clone(),
                str_at(entry, &["namespace"]),
                str_at(entry, &["name"]),
            );
            (gvk, key)
        });
        named.collect()
    }
}

async fn check_health(
    pass: &mut Pass,
    target: &Target,
    report: &Report,
    built: &Rendered,
    expressions: &[health::Expression],
    changed: bool,
) -> Result<(), Stop> {
    let revision = &str_at(pass.status(), &["lastAttemptedRevision"]).to_owned();
    let mut wanted = to_check(pass, report);
    wanted.retain(|(_, key)| target.is_far || *key != pass.context.key);
    if wanted.is_empty() {
        pass.drop_condition("Healthy");
        return Ok(());
    }
    let context = &target.context;
    for (gvk, _) in &wanted {
        context.watch(gvk).await?;
    }
    let keys: Vec<Key> = wanted.into_iter().map(|(_, key)| key).collect();
    let vanishing: Vec<Key> =
        built.objects.iter().filter(|object| is_vanishing(object)).filter_map(|o| Key::of(o).ok()).collect();
    let judge = |key: &Key, live: Option<&Value>| {
        if live.is_none() && vanishing.contains(key) {
            return controller::Judgement::Done;
        }
        health::judge(key, live, expressions, context.clock().now().as_second())
    };
    let was_healthy = pass.get_condition("Healthy").is_some_and(|found| str_at(found, &["status"]) == "True");
    let store = context.cluster.store();
    let healthy_now =
        keys.iter().all(|key| judge(key, store.get(key).as_ref()) == controller::Judgement::Done);
    if healthy_now && was_healthy {
        return Ok(());
    }
    let limit = timeout(&pass.object);
    let started = context.clock().now();
    if !healthy_now {
        let message = format!(
            "Running health checks for revision {revision} with a timeout of {}",
            format_duration(limit)
        );
        pass.progressing(&message);
        pass.condition("Healthy", "Unknown", "Progressing", &message);
        pass.write().await?;
    }
    let outcome = wait_for(context, &keys, limit, judge).await;
    let took = format_duration(since(context, started));
    match outcome {
        Ok(()) => {
            let message = format!("Health check passed in {took}");
            let new = str_at(&pass.object, &["status", "lastAppliedRevision"]) != revision;
            if !was_healthy || (new && changed) {
                pass.event(EventType::Normal, "Succeeded", &message, revision);
            }
            pass.condition("Healthy", "True", "Succeeded", &message);
            Ok(())
        }
        Err(WaitError::Preempted) => Err(Stop::Preempted),
        Err(WaitError::Failed(rest)) => {
            Err(unhealthy(pass, &took, "failed early due to stalled resources", &rest))
        }
        Err(WaitError::TimedOut(rest)) => Err(unhealthy(pass, &took, "timeout waiting for", &rest)),
    }
}

fn unhealthy(pass: &mut Pass, took: &str, words: &str, rest: &[(Key, String)]) -> Stop {
    let list: Vec<String> = rest.iter().map(|(key, why)| format!("{key} {why}")).collect();
    let message = format!("{words}: [{}]", list.join(", "));
    pass.condition("Healthy", "False", "HealthCheckFailed", &message);
    let mut cause = Cause::new(list.first().cloned().unwrap_or_default());
    cause.object = rest.first().map(|(key, _)| key.clone());
    Stop::Failed("HealthCheckFailed", format!("health check failed after {took}: {message}"), cause)
}

/// A Job that deletes itself when it is done.
fn is_vanishing(object: &Value) -> bool {
    meta::kind(object) == "Job"
        && get(object, &["spec", "ttlSecondsAfterFinished"]).is_some_and(Value::is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_flux_defaults_them() {
        let object = json!({"spec": {"interval": "10m"}});
        assert_eq!(timeout(&object), Duration::from_secs(570));
        assert_eq!(retry(&object), Duration::from_secs(600));
        let object = json!({"spec": {"interval": "20s", "retryInterval": "5s"}});
        assert_eq!(timeout(&object), Duration::from_secs(30));
        assert_eq!(retry(&object), Duration::from_secs(5));
    }
}
