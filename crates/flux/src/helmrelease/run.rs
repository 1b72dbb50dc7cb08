//! One pass over a HelmRelease: what is stored, what is wanted, and the one action that follows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, EventType};
use controller::{Cause, Context, Next, Outcome, aspect};
use helm::release::{Holder, Status};
use helm::{Release, RenderOptions, Rendered, Values};
use jiff::Timestamp;
use object::{Gvk, Key, Value, get, meta};
use plan::ObjectRef;
use releases::Prepared;
use serde_json::json;

use super::action::{Actor, Fault, Storage};
use super::chart::{self, Loaded};
use super::render::{self, Job};
use super::values::{self, Referenced};
use super::{
    MANAGER, dependencies, drift, every, gvk, release_name, snapshot, storage_namespace, target_namespace,
};
use crate::common::{
    FORCE_AT, Pass, REQUESTED_AT, RESET_AT, bool_at, duration_at, format_duration, is_true, observed, sha256,
    str_at,
};
use crate::health;
use crate::kustomization::depends::{self, Blocked};
use crate::options::Shared;
use crate::sources::secret_data;

/// A pass that did not succeed.
enum Stop {
    Api(cluster::Error),
    Preempted,
    Failed { reason: &'static str, message: String, cause: Cause, ceiling: Option<Duration>, stalled: bool },
    Waiting { reason: &'static str, message: String, cause: Cause },
    Stalled { reason: &'static str, message: String },
    Resuming { cause: Cause },
}

impl From<cluster::Error> for Stop {
    fn from(error: cluster::Error) -> Stop {
        Stop::Api(error)
    }
}

fn failed(reason: &'static str, message: impl Into<String>) -> Stop {
    let message = message.into();
    Stop::Failed { reason, cause: Cause::new(message.clone()), message, ceiling: None, stalled: false }
}

pub(super) async fn reconcile(shared: &Arc<Shared>, context: Context, object: Value) -> Outcome {
    let mut pass = Pass::new(context, object, MANAGER);
    let done = whole(shared, &mut pass).await;
    pass.outcome(done, every(&pass.object))
}

async fn whole(shared: &Arc<Shared>, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    if pass.is_deleted() {
        return finalize(shared, pass).await;
    }
    pass.ensure_finalizer().await?;
    if pass.is_suspended() {
        return Ok(Outcome::done());
    }
    let before = pass.ready_message();
    let outcome = match steps(shared, pass).await {
        Ok(()) => Outcome::after(every(&pass.object)),
        Err(stop) => match stop {
            Stop::Preempted => {
                pass.write().await?;
                return Ok(Outcome::preempted());
            }
            Stop::Api(error) => {
                pass.write().await?;
                return Err(error);
            }
            Stop::Resuming { cause } => {
                return Ok(Outcome::wait(shared.options.requeue_dependency, cause));
            }
            Stop::Failed { reason, message, cause, ceiling, stalled } => {
                if stalled {
                    let text = format!("{message}: retries are used up; trying again with growing pauses");
                    pass.fail(reason, &message);
                    pass.condition("Stalled", "True", "RetriesExceeded", &text);
                    pass.drop_condition("Reconciling");
                } else {
                    pass.fail(reason, &message);
                }
                pass.observe_generation();
                report(pass, &before, EventType::Warning, reason, &message);
                Outcome::retry(ceiling.unwrap_or_else(|| every(&pass.object)), cause)
            }
            Stop::Waiting { reason, message, cause } => {
                pass.wait(reason, &message);
                report(pass, &before, EventType::Normal, reason, &message);
                Outcome::wait(shared.options.requeue_dependency, cause)
            }
            Stop::Stalled { reason, message } => {
                pass.stall(reason, &message);
                report(pass, &before, EventType::Warning, reason, &message);
                Outcome { next: Next::Nothing, cause: Some(Cause::new(message)) }
            }
        },
    };
    pass.write().await?;
    Ok(outcome)
}

fn report(pass: &Pass, before: &str, event_type: EventType, reason: &str, message: &str) {
    if before != message {
        pass.event(event_type, reason, message, str_at(pass.status(), &["lastAttemptedRevision"]));
    }
}

/// Everything that decides which release is wanted.
struct Wanted {
    loaded: Loaded,
    values: Values,
    config_digest: String,
    post_renderers: String,
    metadata: String,
    expressions: Vec<health::Expression>,
}

async fn steps(shared: &Arc<Shared>, pass: &mut Pass) -> Result<(), Stop> {
    let object = pass.object.clone();
    let expressions = health::expressions(&object)
        .map_err(|message| Stop::Stalled { reason: "InvalidCELExpression", message })?;
    if let Some(blocked) = blocked(shared, pass, &object).await? {
        if blocked.stalled {
            return Err(Stop::Stalled { reason: "InvalidCELExpression", message: blocked.message });
        }
        return Err(Stop::Waiting {
            reason: "DependencyNotReady",
            message: blocked.message,
            cause: blocked.cause,
        });
    }
    let loaded = match chart::load(shared, pass).await? {
        Ok(loaded) => loaded,
        Err(missing) if missing.resumes => return Err(Stop::Resuming { cause: missing.cause }),
        Err(missing) if missing.waits => {
            return Err(Stop::Waiting {
                reason: missing.reason,
                message: missing.message,
                cause: missing.cause,
            });
        }
        Err(missing) => {
            let (reason, message, cause) = (missing.reason, missing.message, missing.cause);
            return Err(Stop::Failed { reason, message, cause, ceiling: None, stalled: false });
        }
    };
    let references = references(pass, &object).await?;
    let own = get(&object, &["spec", "values"]).cloned().unwrap_or_default();
    let values = values::compose(&references, &own).map_err(|error| failed("ValuesError", error))?;
    let wanted = Wanted {
        config_digest: values::digest(&values),
        post_renderers: digest_of(get(&object, &["spec", "postRenderers"])),
        metadata: digest_of(get(&object, &["spec", "commonMetadata"])),
        loaded,
        values,
        expressions,
    };
    let Some(cluster) = impersonated(shared, pass).await? else {
        let name = str_at(&object, &["spec", "serviceAccountName"]);
        return Err(failed(
            "RESTClientError",
            format!(
                "could not find service account '{name}' to impersonate, or spec.kubeConfig is set, which is not supported yet"
            ),
        ));
    };
    note_attempt(pass, &wanted);
    let storage = Storage {
        holder: Holder::Secret,
        cluster: pass.context.cluster.clone(),
        namespace: storage_namespace(&object),
        name: release_name(&object),
        manager: MANAGER,
    };
    move_away(shared, pass, &cluster, &storage, &wanted).await?;
    pass.set(&["storageNamespace"], json!(storage.namespace));
    release(shared, pass, &cluster, &storage, &wanted).await
}

fn digest_of(value: Option<&Value>) -> String {
    match value.filter(|value| !value.is_null()) {
        None => String::new(),
        Some(value) => sha256(value.to_string()),
    }
}

/// What is attempted now; the failure counters belong to one and the same attempt.
fn note_attempt(pass: &mut Pass, wanted: &Wanted) {
    let generation = meta::generation(&pass.object);
    let status = pass.status().clone();
    let requested = meta::annotation(&pass.object, REQUESTED_AT).unwrap_or_default().to_owned();
    let asked = |name: &str, handled: &str| {
        let value = meta::annotation(&pass.object, name).unwrap_or_default();
        !value.is_empty() && value == requested && value != str_at(&status, &[handled])
    };
    let reset = asked(RESET_AT, "lastHandledResetAt");
    let same = object::get_i64(&status, &["lastAttemptedGeneration"]) == Some(generation)
        && str_at(&status, &["lastAttemptedRevision"]) == wanted.loaded.version
        && str_at(&status, &["lastAttemptedConfigDigest"]) == wanted.config_digest;
    if reset {
        pass.set(&["lastHandledResetAt"], json!(requested));
    }
    if !same || reset {
        for counter in ["failures", "installFailures", "upgradeFailures"] {
            pass.set(&[counter], Value::Null);
        }
    }
    pass.set(&["lastAttemptedGeneration"], json!(generation));
    pass.set(&["lastAttemptedRevision"], json!(wanted.loaded.version));
    pass.set(&["lastAttemptedConfigDigest"], json!(wanted.config_digest));
    pass.set(
        &["lastAttemptedRevisionDigest"],
        wanted.loaded.oci_digest.clone().map(Value::from).unwrap_or_default(),
    );
}

fn dependency_aspect(object: Option<&Value>) -> String {
    let Some(object) = object else { return "absent".into() };
    format!("{} {} {}", meta::generation(object), observed(object), is_true(object, "Ready"))
}

async fn blocked(shared: &Shared, pass: &Pass, object: &Value) -> Result<Option<Blocked>, cluster::Error> {
    let wanted = dependencies(object);
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut blocked: Option<Blocked> = None;
    for (key, expression) in wanted {
        let part = if expression.is_empty() { dependency_aspect } else { aspect::version };
        let found = pass.context.read(&gvk(), &key.namespace, &key.name, part, false).await?;
        if blocked.is_some() {
            continue;
        }
        let name = format!("{}/{}", key.namespace, key.name);
        let Some(dependency) = found else {
            blocked = Some(Blocked::by(&key, format!("unable to get '{name}' dependency: not found")));
            continue;
        };
        if !expression.is_empty() {
            blocked = depends::by_expression(&expression, object, &dependency, &key, &name);
            if blocked.is_some() || !shared.options.additive_cel_dependency_check {
                continue;
            }
        }
        if !observed(&dependency) || !is_true(&dependency, "Ready") {
            blocked = Some(Blocked::by(&key, format!("dependency '{name}' is not ready")));
        }
    }
    if !blocked.as_ref().is_some_and(|blocked| blocked.stalled)
        && let Some(cycle) = depends::cycle(&pass.context)
    {
        return Ok(Some(cycle));
    }
    Ok(blocked)
}

/// Reads what `valuesFrom` names.
async fn references(pass: &Pass, object: &Value) -> Result<Vec<Referenced>, Stop> {
    let mut found = Vec::new();
    for entry in get(object, &["spec", "valuesFrom"]).and_then(Value::as_array).into_iter().flatten() {
        let (kind, name) = (str_at(entry, &["kind"]), str_at(entry, &["name"]));
        let label = format!("{kind} '{}/{name}'", pass.namespace());
        if !matches!(kind, "ConfigMap" | "Secret") {
            return Err(failed("ValuesError", format!("unsupported ValuesReference kind '{kind}'")));
        }
        let key = match str_at(entry, &["valuesKey"]) {
            "" => "values.yaml",
            given => given,
        };
        let optional = bool_at(entry, &["optional"]);
        let read = pass
            .context
            .read(&Gvk::new("", "v1", kind), pass.namespace(), name, aspect::content, true)
            .await?;
        let missing = |why: String| {
            let mut cause = Cause::new(why.clone());
            cause.object = Some(Key::new("", kind, pass.namespace(), name));
            Stop::Failed { reason: "ValuesError", message: why, cause, ceiling: None, stalled: false }
        };
        let Some(read) = read else {
            if optional {
                continue;
            }
            return Err(missing(format!(
                "could not resolve {kind} chart values reference '{}/{name}' with key '{key}': {kind} not found",
                pass.namespace()
            )));
        };
        let mut data: BTreeMap<String, String> = BTreeMap::new();
        if kind == "Secret" {
            let decoded = secret_data(&read).into_iter();
            data.extend(decoded.map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned())));
        } else {
            data.extend(crate::common::string_map(&read, &["data"]));
        }
        match data.remove(key) {
            Some(text) => found.push(Referenced {
                path: str_at(entry, &["targetPath"]).to_owned(),
                literal: bool_at(entry, &["literal"]),
                text,
                name: label,
            }),
            None if optional => {}
            None => return Err(missing(format!("missing key '{key}' in {label}"))),
        }
    }
    Ok(found)
}

/// The cluster with the rights of the release; `None` when its account is gone.
async fn impersonated(shared: &Shared, pass: &Pass) -> Result<Option<Cluster>, cluster::Error> {
    if get(&pass.object, &["spec", "kubeConfig"]).is_some_and(Value::is_object) {
        return Ok(None);
    }
    pass.impersonated(shared.options.default_service_account.as_deref()).await
}

fn actor<'a>(
    shared: &'a Shared,
    context: &'a Context,
    object: &'a Value,
    cluster: &Cluster,
    storage: &'a Storage,
    expressions: &'a [health::Expression],
) -> Actor<'a> {
    Actor {
        context,
        cluster: cluster.clone(),
        storage,
        object,
        namespace: target_namespace(object),
        memory: &shared.memory,
        expressions,
    }
}

fn newest(status: &Value) -> Option<&Value> {
    status.get("history").and_then(Value::as_array).and_then(|history| history.first())
}

/// The release's identity changed: what was installed under the old one goes first.
async fn move_away(
    shared: &Shared,
    pass: &mut Pass,
    cluster: &Cluster,
    storage: &Storage,
    wanted: &Wanted,
) -> Result<(), Stop> {
    let Some(known) = newest(pass.status()).cloned() else { return Ok(()) };
    let namespace = match str_at(pass.status(), &["storageNamespace"]) {
        "" => storage.namespace.clone(),
        given => given.to_owned(),
    };
    let reinstall = str_at(&pass.object, &["spec", "upgrade", "chartNameChangeStrategy"]) != "InPlaceUpdate";
    let chart_changed = str_at(&known, &["chartName"]) != wanted.loaded.chart.name();
    let target = target_namespace(&pass.object);
    let same = str_at(&known, &["name"]) == storage.name
        && str_at(&known, &["namespace"]) == target
        && namespace == storage.namespace
        && !(chart_changed && reinstall);
    if same {
        return Ok(());
    }
    let old = Storage {
        holder: Holder::Secret,
        cluster: storage.cluster.clone(),
        namespace,
        name: str_at(&known, &["name"]).to_owned(),
        manager: MANAGER,
    };
    let (context, object) = (pass.context.clone(), pass.object.clone());
    if let Some(mut release) = old.last().await? {
        let mut actor = actor(shared, &context, &object, cluster, &old, &[]);
        actor.namespace = str_at(&known, &["namespace"]).to_owned();
        if let Err(fault) = actor.uninstall(&mut release).await {
            return Err(stop_of(
                fault,
                "UninstallFailed",
                &format!("Helm uninstall failed for release {}/{}", actor.namespace, old.name),
                None,
                false,
            ));
        }
        let message = format!(
            "Helm uninstall succeeded for release {}/{}: its name, namespace or chart changed",
            actor.namespace, old.name
        );
        pass.event(EventType::Normal, "UninstallSucceeded", &message, "");
    }
    pass.set(&["history"], Value::Null);
    Ok(())
}

fn stop_of(
    fault: Fault,
    reason: &'static str,
    prefix: &str,
    ceiling: Option<Duration>,
    stalled: bool,
) -> Stop {
    match fault {
        Fault::Preempted => Stop::Preempted,
        Fault::Failed { message, object, file, line } => {
            let cause = Cause { message: message.clone(), object, file, line, via: None };
            Stop::Failed { reason, message: format!("{prefix}: {message}"), cause, ceiling, stalled }
        }
    }
}

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

async fn release(
    shared: &Arc<Shared>,
    pass: &mut Pass,
    cluster: &Cluster,
    storage: &Storage,
    wanted: &Wanted,
) -> Result<(), Stop> {
    let (context, object) = (pass.context.clone(), pass.object.clone());
    let actor = actor(shared, &context, &object, cluster, storage, &wanted.expressions);
    let now = context.clock().now().as_second();
    let mut last = storage.last().await?;
    if let Some(stuck) =
        last.as_mut().filter(|last| last.info.status.is_pending() || last.info.status == Status::Uninstalling)
    {
        let was = stuck.info.status;
        stuck.info.status = Status::Failed;
        stuck.info.description = format!("Release unlocked from stale '{was}' state");
        storage.update(stuck, now).await?;
        pass.event(EventType::Warning, "PendingRelease", &stuck.info.description, "");
    }
    let requested = meta::annotation(&object, REQUESTED_AT).unwrap_or_default();
    let force = meta::annotation(&object, FORCE_AT).unwrap_or_default();
    let forced =
        !force.is_empty() && force == requested && force != str_at(pass.status(), &["lastHandledForceAt"]);
    let step = decide(pass, last.as_ref(), wanted, forced, actor.tests_enabled());
    if forced {
        pass.set(&["lastHandledForceAt"], json!(force));
    }
    match step {
        Step::Install | Step::Upgrade => act(pass, &actor, wanted, last, step).await?,
        Step::Test => {
            if let Some(mut last) = last {
                test(pass, &actor, wanted, &mut last).await?;
            }
        }
        Step::Nothing => {
            if let Some(last) = &last {
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
    let most = object::get_i64(&object, &["spec", "maxHistory"]).unwrap_or(5);
    if step != Step::Nothing {
        storage.trim(usize::try_from(most).unwrap_or(5)).await?;
    }
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

fn name_of(release: &Release) -> String {
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

/// Installs or upgrades, tests, and on failure repairs as the spec says.
async fn act(
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
    pass.progressing(&format!(
        "Running '{action}' action with timeout of {}",
        format_duration(super::timeout(actor.object, action))
    ));
    pass.write().await?;
    let version = last.as_ref().map_or(1, |last| last.version.saturating_add(1));
    let prefix = format!("Helm {action} failed for release {target} with chart {chart}");
    let reason: &'static str = if install { "InstallFailed" } else { "UpgradeFailed" };
    let prepared = match rendered(pass, actor, wanted, version, install).await {
        Ok(rendered) => Prepared {
            chart: &wanted.loaded.chart,
            values: &wanted.values,
            rendered,
            version,
            labels: BTreeMap::new(),
        },
        Err(fault) => return Err(after_failure(pass, actor, fault, reason, &prefix, action, None).await?),
    };
    if install && let Err(fault) = actor.ensure_namespace().await {
        return Err(stop_of(fault, reason, &prefix, None, false));
    }
    let base = match (&last, install) {
        (Some(last), false) => Some(base_of(actor, last).await?),
        _ => None,
    };
    // Up to here nothing happened: a newer change needs no trace of this attempt.
    if pass.context.cancel.is_cancelled() {
        return Err(Stop::Preempted);
    }
    let (release, result) = match &base {
        Some(base) => actor.upgrade(prepared, base).await,
        None => actor.install(prepared).await,
    };
    let took = duration_since(&pass.context, started);
    pass.set(&["lastAttemptedReleaseActionDuration"], json!(format_duration(took)));
    note(pass, actor, &release, action, wanted).await?;
    if let Err(fault) = result {
        return Err(after_failure(pass, actor, fault, reason, &prefix, action, Some(&release)).await?);
    }
    let message = format!("Helm {action} succeeded for release {}", name_of(&release));
    let reason = if install { "InstallSucceeded" } else { "UpgradeSucceeded" };
    pass.condition("Released", "True", reason, &message);
    pass.drop_condition("TestSuccess");
    pass.event(EventType::Normal, reason, &message, &wanted.loaded.version);
    tracing::debug!(word, target, "released");
    if actor.tests_enabled() {
        let mut release = release;
        test(pass, actor, wanted, &mut release).await?;
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

/// Puts the release as it was stored into the history, and its objects into the inventory.
async fn note(
    pass: &mut Pass,
    actor: &Actor<'_>,
    release: &Release,
    action: &str,
    wanted: &Wanted,
) -> Result<(), Stop> {
    let stored = actor.storage.get(release.version).await?;
    let Some(stored) = stored else { return Ok(()) };
    let entry = snapshot::of(&stored, action, wanted.loaded.oci_digest.as_deref());
    let history = snapshot::push(pass.status().get("history"), entry);
    pass.set(&["history"], history);
    let manifests = stored.manifests().unwrap_or_default();
    if let Ok(objects) = actor.objects(&manifests).await {
        let mut entries: Vec<ObjectRef> =
            objects.iter().filter_map(|object| ObjectRef::of(object).ok()).collect();
        entries.sort_by(|a, b| plan::compare(&a.key, &b.key));
        let entries: Vec<Value> = entries.iter().map(ObjectRef::entry).collect();
        pass.set(&["inventory"], json!({"entries": entries}));
    }
    Ok(())
}

async fn test(
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
            Err(after_failure(pass, actor, fault, "TestFailed", &prefix, &action, Some(release)).await?)
        }
    }
}

/// Counts a failure, repairs as the spec says, and says how to go on.
async fn after_failure(
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
        remediate(pass, actor, release, action).await?;
    }
    Ok(stop_of(fault, reason, prefix, ceiling, !more && !retry_only && retries > 0))
}

/// Undoes a failed release: an install is uninstalled, an upgrade rolled back (or uninstalled, if so wished).
async fn remediate(pass: &mut Pass, actor: &Actor<'_>, release: &Release, action: &str) -> Result<(), Stop> {
    let strategy = str_at(actor.object, &["spec", "upgrade", "remediation", "strategy"]);
    let uninstall = action == "install" || strategy == "uninstall";
    if uninstall {
        let mut release = release.clone();
        let done = actor.uninstall(&mut release).await;
        let name = name_of(&release);
        return match done {
            Ok(()) => {
                let message = format!("Helm uninstall remediation for release {name} succeeded");
                pass.condition("Remediated", "True", "UninstallSucceeded", &message);
                pass.event(EventType::Normal, "UninstallSucceeded", &message, "");
                pass.set(&["history"], Value::Null);
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
    let name = name_of(&target);
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
    if let Some(stored) = actor.storage.get(rolled.version).await? {
        let entry = snapshot::of(&stored, "rollback", None);
        let history = snapshot::push(pass.status().get("history"), entry);
        pass.set(&["history"], history);
    }
    Ok(())
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
    actor.correct(desired).await.map_err(|fault| {
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

/// Deletion of the HelmRelease: the release goes with it, unless it is suspended.
async fn finalize(shared: &Arc<Shared>, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    let object = pass.object.clone();
    let cluster = impersonated(shared, pass).await?;
    if !pass.is_suspended()
        && let Some(cluster) = cluster
        && let Some(known) = newest(pass.status()).cloned()
    {
        let storage = Storage {
            holder: Holder::Secret,
            cluster: pass.context.cluster.clone(),
            namespace: match str_at(pass.status(), &["storageNamespace"]) {
                "" => storage_namespace(&object),
                given => given.to_owned(),
            },
            name: str_at(&known, &["name"]).to_owned(),
            manager: MANAGER,
        };
        let context = pass.context.clone();
        let mut actor = actor(shared, &context, &object, &cluster, &storage, &[]);
        actor.namespace = str_at(&known, &["namespace"]).to_owned();
        if let Some(mut release) = storage.last().await? {
            match actor.uninstall(&mut release).await {
                Ok(()) => {
                    let message = format!("Helm uninstall succeeded for release {}", name_of(&release));
                    pass.event(EventType::Normal, "UninstallSucceeded", &message, "");
                }
                Err(Fault::Preempted) => return Ok(Outcome::preempted()),
                Err(Fault::Failed { message, .. }) => {
                    let message =
                        format!("Helm uninstall failed for release {}: {message}", name_of(&release));
                    pass.event(EventType::Warning, "UninstallFailed", &message, "");
                    pass.fail("UninstallFailed", &message);
                    pass.write().await?;
                    return Ok(Outcome::retry(every(&object), Cause::new(message)));
                }
            }
        }
    }
    if !pass.is_suspended() {
        chart::remove_generated(pass).await?;
    }
    pass.remove_finalizer().await?;
    Ok(Outcome::done())
}
