//! Validating and mutating webhooks: which are called for a request, with what, and what becomes of their answers.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use object::{get, get_i64, get_str, json_patch, meta};
use parking_lot::RwLock;
use serde_json::{Value, json};

use super::expressions::{self, Condition};
use super::matching::Request;
use crate::api::write::Context;
use crate::app::App;
use crate::catalog::Resource;
use crate::convert;
use crate::remote::{CallError, Remote};
use crate::status::Failure;
use crate::types;

const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";
const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
/// How long a webhook that does not say it may take.
const TIMEOUT: i64 = 10;

/// One webhook, as configured.
pub struct Hook {
    /// `Kind/name` of its configuration.
    configuration: String,
    name: String,
    spec: Value,
    remote: Remote,
}

impl Hook {
    fn text(&self, field: &str) -> &str {
        get_str(&self.spec, &[field]).unwrap_or_default()
    }

    fn ignores_failures(&self) -> bool {
        self.text("failurePolicy") == "Ignore"
    }

    fn reinvoked(&self) -> bool {
        self.text("reinvocationPolicy") == "IfNeeded"
    }

    fn list(&self, field: &str) -> &[Value] {
        get(&self.spec, &[field]).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn timeout(&self) -> Duration {
        let seconds = get_i64(&self.spec, &["timeoutSeconds"]).unwrap_or(TIMEOUT);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(1).clamp(1, 30))
    }

    /// The version of an `AdmissionReview` that both sides know.
    fn review_version(&self) -> Option<&str> {
        self.list("admissionReviewVersions")
            .iter()
            .filter_map(Value::as_str)
            .find(|version| matches!(*version, "v1" | "v1beta1"))
    }
}

/// All webhooks, read when their configurations change.
#[derive(Default)]
pub struct Hooks(RwLock<Known>);

#[derive(Default, Clone)]
struct Known {
    mutating: Arc<Vec<Hook>>,
    validating: Arc<Vec<Hook>>,
}

impl Hooks {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        let known = self.0.read();
        !(known.mutating.is_empty() && known.validating.is_empty())
    }

    fn known(&self) -> Known {
        self.0.read().clone()
    }
}

/// Reads the configurations again.
pub fn reload(app: &App) {
    let read = |table: &str, kind: &str| {
        let mut hooks = Vec::new();
        // Listed by name, which is the order in which they are called.
        for object in app.store.list(table, "").1 {
            let value = object.value();
            for spec in get(&value, &["webhooks"]).and_then(Value::as_array).into_iter().flatten() {
                hooks.push(Hook {
                    configuration: format!("{kind}/{}", object.name()),
                    name: get_str(spec, &["name"]).unwrap_or_default().to_owned(),
                    remote: Remote::new(spec.get("clientConfig").cloned().unwrap_or_default()),
                    spec: spec.clone(),
                });
            }
        }
        Arc::new(hooks)
    };
    let known = Known {
        mutating: read(MUTATING, "MutatingWebhookConfiguration"),
        validating: read(VALIDATING, "ValidatingWebhookConfiguration"),
    };
    for hook in known.mutating.iter().chain(known.validating.iter()) {
        if hook.remote.is_simulated(app) {
            tell_bypassed(app, hook);
        }
    }
    *app.hooks.0.write() = known;
}

/// Whether a table holds configurations of webhooks.
pub fn is_configuration(table: &str) -> bool {
    matches!(table, VALIDATING | MUTATING)
}

fn tell_bypassed(app: &App, hook: &Hook) {
    app.tell(
        &hook.configuration,
        "its webhooks are not called: what would answer them is simulated".to_owned(),
    );
}

/// What came of a call.
enum Outcome {
    /// Go on; the patch of a mutating webhook may change the object.
    Allowed(Option<Value>),
    /// Nobody could be asked; the webhook's policy decides.
    Unanswered(String),
    /// No.
    Denied(Failure),
}

/// A webhook that is to be called, and the resource in the version that its rules name.
struct Invocation<'a> {
    hook: &'a Hook,
    resource: Arc<Resource>,
}

/// Lets mutating webhooks change what is about to be written.
pub async fn mutate(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    value: &mut Value,
    live: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let hooks = app.hooks.known().mutating;
    if hooks.is_empty() || context.is_system() || is_exempt(resource) {
        return Ok(());
    }
    let mut called: Vec<usize> = Vec::new();
    // Who asked for it is called once more when a later webhook changed the object.
    let mut changed_last = None;
    for (at, hook) in hooks.iter().enumerate() {
        if one(app, resource, context, hook, value, live, warnings).await?.is_some_and(|changed| {
            if hook.reinvoked() {
                called.push(at);
            }
            changed
        }) {
            changed_last = Some(at);
        }
    }
    let Some(last) = changed_last else { return Ok(()) };
    for at in called.into_iter().filter(|at| *at < last) {
        if let Some(hook) = hooks.get(at) {
            one(app, resource, context, hook, value, live, warnings).await?;
        }
    }
    Ok(())
}

/// Calls one mutating webhook; gives whether it changed the object, or `None` when it is not for this request.
async fn one(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    hook: &Hook,
    value: &mut Value,
    live: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<Option<bool>, Failure> {
    let deletes = value.is_null();
    let request = Request { app, resource, context, value: (!deletes).then_some(&*value), live };
    let Some(invocation) = chosen(&request, hook)? else { return Ok(None) };
    let patch = match call(&request, &invocation, true, warnings).await {
        Outcome::Allowed(None) => return Ok(Some(false)),
        Outcome::Allowed(Some(patch)) => patch,
        Outcome::Denied(failure) => return Err(failure),
        Outcome::Unanswered(why) => return unanswered(hook, &why).map(|()| Some(false)),
    };
    if deletes {
        return Err(Failure::internal(format!(
            "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
            hook.name
        )));
    }
    if context.place.is_some() {
        let before = value.clone();
        json_patch::apply(value, &patch).map_err(|error| Failure::internal(error.to_string()))?;
        return Ok(Some(*value != before));
    }
    let mut patched = convert::between(&invocation.resource, value);
    let before = patched.clone();
    json_patch::apply(&mut patched, &patch).map_err(|error| Failure::internal(error.to_string()))?;
    types::drop_unknown(&invocation.resource, &mut patched, &mut Vec::new())
        .map_err(|failure| Failure::internal(failure.message().to_owned()))?;
    let changed = patched != before;
    if changed {
        types::default(&invocation.resource, &mut patched);
        *value = convert::between(resource, &patched);
    }
    Ok(Some(changed))
}

/// Asks all validating webhooks at once.
pub async fn validate(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    value: Option<&Value>,
    live: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let hooks = app.hooks.known().validating;
    if hooks.is_empty() || context.is_system() || is_exempt(resource) {
        return Ok(());
    }
    let request = Request { app, resource, context, value, live };
    let mut invocations = Vec::new();
    for hook in hooks.iter() {
        invocations.extend(chosen(&request, hook)?);
    }
    let calls = invocations.iter().map(|invocation| {
        let request = &request;
        async move {
            let mut said = Vec::new();
            let outcome = call(request, invocation, false, &mut said).await;
            (invocation.hook, outcome, said)
        }
    });
    let mut refused = None;
    for (hook, outcome, said) in join_all(calls).await {
        warnings.extend(said);
        let result = match outcome {
            Outcome::Allowed(_) => Ok(()),
            Outcome::Denied(failure) => Err(failure),
            Outcome::Unanswered(why) => unanswered(hook, &why),
        };
        refused = refused.or(result.err());
    }
    refused.map_or(Ok(()), Err)
}

/// Whoever would repair a webhook is not stopped by it.
fn is_exempt(resource: &Resource) -> bool {
    &*resource.group == "admissionregistration.k8s.io"
}

fn unanswered(hook: &Hook, why: &str) -> Result<(), Failure> {
    let text = format!("failed calling webhook {:?}: {why}", hook.name);
    if hook.ignores_failures() {
        tracing::warn!(error = text, "failing open");
        return Ok(());
    }
    Err(Failure::internal(text))
}

/// The call that a webhook wants to be made for a request, if any.
fn chosen<'a>(request: &Request<'_>, hook: &'a Hook) -> Result<Option<Invocation<'a>>, Failure> {
    let Some(resource) = matched(request, hook) else { return Ok(None) };
    if !request.selected(&hook.spec) {
        return Ok(None);
    }
    let conditions = hook.list("matchConditions");
    if !conditions.is_empty() {
        let scope = expressions::scope(request, None);
        match expressions::conditions(&request.app.programs, conditions, &scope) {
            Condition::Holds => {}
            Condition::Fails => return Ok(None),
            Condition::Unknown(_) if hook.ignores_failures() => return Ok(None),
            Condition::Unknown(errors) => {
                let why = match errors.as_slice() {
                    [only] => only.clone(),
                    many => format!("[{}]", many.join(", ")),
                };
                let own = request.resource;
                return Err(Failure::forbidden(&own.group, &own.name, request.name(), &why));
            }
        }
    }
    Ok(Some(Invocation { hook, resource }))
}

/// The resource in the version that a rule names: the request's own first, then those that are the same objects.
fn matched(request: &Request<'_>, hook: &Hook) -> Option<Arc<Resource>> {
    let rules = hook.list("rules");
    if rules.iter().any(|rule| request.meant_by(rule, true)) {
        return Some(Arc::new(request.resource.clone()));
    }
    if hook.text("matchPolicy") == "Exact" {
        return None;
    }
    let catalog = request.app.catalog();
    let equivalents: Vec<&Arc<Resource>> =
        catalog.all().filter(|other| other.table == request.resource.table).collect();
    rules.iter().find_map(|rule| {
        let fits = |other: &&&Arc<Resource>| Request { resource: other, ..*request }.meant_by(rule, true);
        equivalents.iter().find(fits).map(|other| (*other).clone())
    })
}

async fn call(
    request: &Request<'_>,
    invocation: &Invocation<'_>,
    mutating: bool,
    warnings: &mut Vec<String>,
) -> Outcome {
    let hook = invocation.hook;
    if request.context.dry_run && !matches!(hook.text("sideEffects"), "None" | "NoneOnDryRun") {
        let why = format!("admission webhook {:?} does not support dry run", hook.name);
        return Outcome::Denied(Failure::bad_request(why));
    }
    let Some(version) = hook.review_version() else {
        let why = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
        return Outcome::Unanswered(why.to_owned());
    };
    let uid = uuid::Uuid::new_v4().to_string();
    let review = review(request, invocation, version, &uid);
    let answer = match hook.remote.call(request.app, &review, hook.timeout()).await {
        Ok(answer) => answer,
        Err(CallError::Simulated) => {
            tell_bypassed(request.app, hook);
            return Outcome::Allowed(None);
        }
        Err(CallError::Failed(why)) => return Outcome::Unanswered(format!("failed to call webhook: {why}")),
    };
    let response = match verified(&answer, version, &uid, mutating) {
        Ok(response) => response,
        Err(why) => return Outcome::Unanswered(format!("received invalid webhook response: {why}")),
    };
    for warning in get(response, &["warnings"]).and_then(Value::as_array).into_iter().flatten() {
        warnings.extend(warning.as_str().map(str::to_owned));
    }
    if object::get_bool(response, &["allowed"]) != Some(true) {
        return Outcome::Denied(denial(&hook.name, response.get("status")));
    }
    match patch_of(response).filter(|_| mutating) {
        None => Outcome::Allowed(None),
        Some(Ok(patch)) if patch.as_array().is_some_and(Vec::is_empty) => Outcome::Allowed(None),
        Some(Ok(patch)) => Outcome::Allowed(Some(patch)),
        Some(Err(why)) => {
            Outcome::Unanswered(format!("received undecodable patch in webhook response: {why}"))
        }
    }
}

/// The question to a webhook.
fn review(request: &Request<'_>, invocation: &Invocation<'_>, version: &str, uid: &str) -> Value {
    let resource = &invocation.resource;
    let mut described = request.describe();
    let kind = request.kind_of(resource);
    described["uid"] = uid.into();
    described["kind"] = kind;
    described["resource"] =
        json!({"group": *resource.group, "version": *resource.version, "resource": *resource.name});
    let shown = |value: Option<&Value>, new: bool| {
        let Some(value) = value else { return Value::Null };
        let mut value = request.subject(resource, value);
        if new {
            // The server writes these after all have been asked.
            object::remove(&mut value, &["metadata", "uid"]);
            object::remove(&mut value, &["metadata", "creationTimestamp"]);
            object::remove(&mut value, &["metadata", "generation"]);
        }
        value
    };
    described["object"] = shown(request.value, request.live.is_none());
    described["oldObject"] = shown(request.live, false);
    described["options"] = request.context.options.clone();
    if let Some(map) = described.as_object_mut() {
        for field in ["name", "namespace", "subResource", "requestSubResource"] {
            if map.get(field).and_then(Value::as_str) == Some("") {
                map.remove(field);
            }
        }
    }
    json!({
        "kind": "AdmissionReview",
        "apiVersion": format!("admission.k8s.io/{version}"),
        "request": described,
    })
}

/// The `response` of an answer that keeps to the protocol.
fn verified<'a>(answer: &'a Value, version: &str, uid: &str, mutating: bool) -> Result<&'a Value, String> {
    let response = answer.get("response").filter(|response| response.is_object());
    let response = response.ok_or("webhook response was absent")?;
    if version != "v1" {
        return Ok(response);
    }
    let given = get_str(response, &["uid"]).unwrap_or_default();
    if given != uid {
        return Err(format!("expected response.uid={uid:?}, got {given:?}"));
    }
    let (api_version, kind) = (meta::api_version(answer), meta::kind(answer));
    if (api_version, kind) != ("admission.k8s.io/v1", "AdmissionReview") {
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {}, Kind={kind}",
            if api_version.is_empty() { "/" } else { api_version }
        ));
    }
    let patch = get_str(response, &["patch"]).is_some_and(|text| !text.is_empty());
    let patch_type = get_str(response, &["patchType"]);
    match (mutating, patch, patch_type) {
        (false, true, _) => Err("validating webhook may not return response.patch".to_owned()),
        (false, false, Some(_)) => Err("validating webhook may not return response.patchType".to_owned()),
        (true, true, None) => Err("webhook returned response.patch but not response.patchType".to_owned()),
        (true, false, Some(_)) => {
            Err("webhook returned response.patchType but not response.patch".to_owned())
        }
        (true, true, Some(kind)) if kind != "JSONPatch" => Err(format!("unsupported patch type {kind:?}")),
        _ => Ok(response),
    }
}

fn patch_of(response: &Value) -> Option<Result<Value, String>> {
    use base64::Engine;
    let text = get_str(response, &["patch"]).filter(|text| !text.is_empty())?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| error.to_string());
    Some(
        decoded.and_then(|bytes| {
            serde_json::from_slice(&bytes).map_err(|e| schema::gojson::explain(&bytes, &e))
        }),
    )
}

/// The refusal of a webhook, with what it says itself.
fn denial(name: &str, status: Option<&Value>) -> Failure {
    let empty = json!({});
    let status = status.unwrap_or(&empty);
    let text = |field: &str| get_str(status, &[field]).unwrap_or_default();
    let denied = format!("admission webhook {name:?} denied the request");
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = get_i64(status, &["code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(0).max(400);
    let details = get(status, &["details"]).and_then(Value::as_object).cloned().unwrap_or_default();
    Failure::of_status(code, text("reason"), message, details)
}
