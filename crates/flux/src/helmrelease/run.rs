//! One pass over a HelmRelease: everything that decides which release is wanted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::EventType;
use controller::{Cause, Context, Next, Outcome, aspect};
use helm::release::Holder;
use helm::{Release, Values};
use object::{Gvk, Key, Value, get, meta};
use plan::ObjectRef;
use serde_json::json;

use super::action::{Actor, Fault, Storage};
use super::chart::{self, Loaded};
use super::guard::Guard;
use super::values::{self, Referenced};
use super::{
    MANAGER, act, dependencies, every, finalize, gvk, release_name, storage_namespace, target_namespace,
};
use crate::common::{Pass, REQUESTED_AT, RESET_AT, bool_at, is_true, observed, sha256, str_at};
use crate::health;
use crate::kustomization::depends::{self, Blocked};
use crate::options::{Options, Shared};
use crate::sources::secret_data;
use crate::target::{self, Target};

/// A pass that did not succeed.
pub(super) enum Stop {
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

pub(super) fn failed(reason: &'static str, message: impl Into<String>) -> Stop {
    let message = message.into();
    Stop::Failed { reason, cause: Cause::new(message.clone()), message, ceiling: None, stalled: false }
}

pub(super) fn stop_of(
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

pub(super) async fn reconcile(shared: &Arc<Shared>, context: Context, object: Value) -> Outcome {
    let mut pass = Pass::new(context, object, MANAGER);
    let done = whole(shared, &mut pass).await;
    pass.outcome(done, every(&pass.object))
}

async fn whole(shared: &Arc<Shared>, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    if pass.is_deleted() {
        return finalize::finalize(shared, pass).await;
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
            // Another cluster that fails us can be told of.
            Stop::Api(error)
                if target::has_kubeconfig(&pass.object) && !pass.context.cancel.is_cancelled() =>
            {
                pass.fail("ReconciliationFailed", &error.message);
                pass.observe_generation();
                report(pass, &before, EventType::Warning, "ReconciliationFailed", &error.message);
                Outcome::retry(every(&pass.object), Cause::new(error.message))
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
#[derive(Clone)]
pub(super) struct Wanted {
    pub loaded: Loaded,
    pub values: Values,
    pub config_digest: String,
    pub post_renderers: String,
    pub metadata: String,
    pub expressions: Vec<health::Expression>,
}

impl Wanted {
    /// The same on top of the values of the last release, its chart's own included.
    pub fn over(&self, last: &Release) -> Wanted {
        let mut values = self.values.clone();
        values.coalesce(&last.config);
        let mut own = last.config.clone();
        own.coalesce(last.chart.values.as_ref().unwrap_or(&Values::new()));
        let mut chart = (*self.loaded.chart).clone();
        chart.values = Some(own);
        Wanted {
            config_digest: values::digest(&values),
            values,
            loaded: Loaded { chart: Arc::new(chart), ..self.loaded.clone() },
            ..self.clone()
        }
    }
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
    let target = target::find(shared, pass).await?.map_err(|missing| {
        let message = format!("failed to build REST client: {}", missing.why());
        let cause = missing.cause();
        Stop::Failed { reason: "RESTClientError", message, cause, ceiling: None, stalled: false }
    })?;
    note_attempt(pass, &wanted);
    let storage = storage(&target, storage_namespace(&object), release_name(&object));
    if shared.options.rehearsal.is_none() {
        finalize::move_away(shared, pass, &target, &storage, &wanted).await?;
    }
    pass.set(&["storageNamespace"], json!(storage.namespace));
    act::release(shared, pass, &target, &storage, &wanted).await
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
async fn references(pass: &mut Pass, object: &Value) -> Result<Vec<Referenced>, Stop> {
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
        let about = Key::new("", kind, pass.namespace(), name);
        let missing = |why: String| {
            let mut cause = Cause::new(why.clone());
            cause.object = Some(about.clone());
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
        let text = data.remove(key);
        if let Some(text) = text.as_ref().filter(|_| kind == "Secret") {
            pass.hide(text);
        }
        match text {
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

pub(super) fn actor<'a>(
    target: &'a Target,
    options: &Options,
    object: &'a Value,
    storage: &'a Storage,
    expressions: &'a [health::Expression],
    inventory: Vec<ObjectRef>,
) -> Actor<'a> {
    Actor {
        context: &target.context,
        cluster: target.cluster.clone(),
        storage,
        object,
        namespace: target_namespace(object),
        memory: &target.memory,
        expressions,
        inventory,
        guard: Arc::new(Guard::new(options, object)),
    }
}

/// Where a release is stored: beside what it consists of, and with the same rights.
pub(super) fn storage(target: &Target, namespace: String, name: String) -> Storage {
    let cluster = target.cluster.clone();
    Storage { holder: Holder::Secret, cluster, namespace, name, manager: MANAGER }
}

/// What may be there of the release.
pub(super) fn inventory(pass: &Pass) -> Result<Vec<ObjectRef>, Stop> {
    ObjectRef::parse_entries(pass.status().get("inventory"))
        .map_err(|error| failed("ReconciliationFailed", error.to_string()))
}

/// Notes what may be there of the release.
pub(super) fn set_inventory(pass: &mut Pass, mut inventory: Vec<ObjectRef>) {
    inventory.sort_by(|a, b| plan::compare(&a.key, &b.key));
    let entries: Vec<Value> = inventory.iter().map(ObjectRef::entry).collect();
    pass.set(&["inventory"], json!({"entries": entries}));
}

pub(super) fn newest(status: &Value) -> Option<&Value> {
    status.get("history").and_then(Value::as_array).and_then(|history| history.first())
}
