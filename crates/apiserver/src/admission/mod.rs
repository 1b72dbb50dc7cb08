//! What is asked of a write besides its own validity.

mod account;
mod authorizer;
pub mod configuration;
mod escalation;
pub mod expressions;
pub mod limits;
mod matching;
pub mod policy;
pub mod quota;
mod security;
pub mod webhooks;

use std::sync::Arc;

use object::meta;
use serde_json::{Value, json};

use crate::api::write::Context;
use crate::app::App;
use crate::catalog::Resource;
use crate::status::Failure;

/// Namespaces that cannot be deleted.
const PERMANENT: &[&str] = &["default", "kube-system", "kube-public"];

/// Runs before a create is validated; may complete the object.
pub fn on_create(
    app: &Arc<App>,
    resource: &Resource,
    _context: &Context,
    value: &mut Value,
) -> Result<(), Failure> {
    namespace_takes_objects(app, resource, value)?;
    if &*resource.table == "pods" {
        if app.options.service_accounts {
            account::complete(app, value)?;
        }
        limits::complete(app, value);
        complete_pod(app, value)?;
    }
    if &*resource.table == "persistentvolumeclaims" {
        default_class(app, value);
    }
    match &*resource.table {
        // What is in use is not taken away; whoever simulates storage takes these off again.
        "persistentvolumeclaims" => hold(value, "kubernetes.io/pvc-protection"),
        "persistentvolumes" => hold(value, "kubernetes.io/pv-protection"),
        "nodes" => taint(value),
        _ => {}
    }
    Ok(())
}

fn hold(value: &mut Value, finalizer: &str) {
    if !meta::finalizers(value).any(|own| own == finalizer) {
        meta::add_finalizer(value, finalizer);
    }
}

/// A new node takes no pods until it has said that it is ready.
fn taint(node: &mut Value) {
    const KEY: &str = "node.kubernetes.io/not-ready";
    let list = object::get(node, &["spec", "taints"]).and_then(Value::as_array).cloned();
    let mut list = list.unwrap_or_default();
    let is_there = |taint: &Value| {
        object::get_str(taint, &["key"]) == Some(KEY)
            && object::get_str(taint, &["effect"]) == Some("NoSchedule")
    };
    if !list.iter().any(is_there) {
        list.push(json!({"effect": "NoSchedule", "key": KEY}));
        object::set(node, &["spec", "taints"], list.into());
    }
}

/// What is said with every answer, whatever it is: kinds that are on their way out, surprising defaults.
pub fn warnings(resource: &Resource, verb: &str, says_policy: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if &*resource.table == "jobs.batch" && verb == "delete" && !says_policy {
        warnings.push(JOBS.to_owned());
    }
    if let Some(custom) = &resource.custom {
        if custom.version.deprecated {
            let own = custom.version.deprecation_warning.clone();
            warnings.push(
                own.unwrap_or_else(|| format!("{} {} is deprecated", resource.api_version(), resource.kind)),
            );
        }
    } else if &*resource.table == "endpoints" {
        warnings.push(ENDPOINTS.to_owned());
    } else if &*resource.table == crate::components::TABLE {
        warnings.push(crate::components::DEPRECATED.to_owned());
    }
    warnings
}

const JOBS: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

const ENDPOINTS: &str = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

/// Priority and the tolerations that every pod gets.
fn complete_pod(app: &App, pod: &mut Value) -> Result<(), Failure> {
    priority(app, pod)?;
    let list = object::get(pod, &["spec", "tolerations"]).and_then(Value::as_array).cloned();
    let mut list = list.unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = list.iter().any(|t| {
            let own = object::get_str(t, &["key"]).unwrap_or_default();
            let effect = object::get_str(t, &["effect"]).unwrap_or_default();
            (own == key || own.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !tolerated {
            list.push(
                json!({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300}),
            );
        }
    }
    object::set(pod, &["spec", "tolerations"], list.into());
    Ok(())
}

fn priority(app: &App, pod: &mut Value) -> Result<(), Failure> {
    const TABLE: &str = "priorityclasses.scheduling.k8s.io";
    let name = object::get_str(pod, &["spec", "priorityClassName"]).unwrap_or_default().to_owned();
    let class = if name.is_empty() {
        let (_, classes) = app.store.list(TABLE, "");
        classes
            .iter()
            .map(|class| class.value())
            .find(|class| object::get_bool(class, &["globalDefault"]) == Some(true))
    } else {
        let class = app.tree(TABLE, &name).ok_or_else(|| {
            let why = format!("no PriorityClass with name {name} was found");
            Failure::forbidden("", "pods", meta::name(pod), &why)
        })?;
        Some(class)
    };
    let class = class.unwrap_or_else(|| json!({}));
    if !meta::name(&class).is_empty() {
        let found = meta::name(&class).to_owned();
        object::set(pod, &["spec", "priorityClassName"], found.into());
    }
    let value = object::get_i64(&class, &["value"]).unwrap_or(0);
    let policy = object::get_str(&class, &["preemptionPolicy"]).unwrap_or("PreemptLowerPriority").to_owned();
    let wrong = |field: &str, given: String, computed: String| {
        let why = format!(
            "the {field} ({given}) must not be provided in pod spec; priority admission controller computed {computed} from the given PriorityClass name"
        );
        Failure::forbidden("", "pods", meta::name(pod), &why)
    };
    if let Some(given) = object::get_i64(pod, &["spec", "priority"]).filter(|given| *given != value) {
        return Err(wrong("integer value of priority", given.to_string(), value.to_string()));
    }
    if let Some(given) = object::get_str(pod, &["spec", "preemptionPolicy"]).filter(|given| *given != policy)
    {
        return Err(wrong("string value of PreemptionPolicy", given.to_owned(), policy.clone()));
    }
    object::set(pod, &["spec", "priority"], value.into());
    object::set(pod, &["spec", "preemptionPolicy"], policy.into());
    Ok(())
}

/// A claim without a class gets the default one, when there is one.
fn default_class(app: &App, claim: &mut Value) {
    if object::get(claim, &["spec", "storageClassName"]).is_some_and(|v| !v.is_null()) {
        return;
    }
    let (_, classes) = app.store.list("storageclasses.storage.k8s.io", "");
    let default = classes
        .iter()
        .map(|class| class.value())
        .find(|class| meta::annotation(class, "storageclass.kubernetes.io/is-default-class") == Some("true"));
    if let Some(class) = default {
        let name = meta::name(&class).to_owned();
        object::set(claim, &["spec", "storageClassName"], name.into());
    }
}

/// Runs after a write is found valid; only judges. `value` is absent for deletes.
pub async fn validate(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    value: Option<&Value>,
    live: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let own_name = live.map(meta::name).unwrap_or_default();
    if value.is_none() && &*resource.table == "namespaces" && PERMANENT.contains(&own_name) {
        return Err(Failure::forbidden("", "namespaces", own_name, "this namespace may not be deleted"));
    }
    if let Some(value) = value
        && context.subresource.is_empty()
    {
        limits::check(app, resource, value, live.is_some())?;
    }
    if let Some(value) = value {
        escalation::check(app, resource, context, value, live)?;
        security::check(app, resource, context, value, live, warnings)?;
    }
    policy::check(app, resource, context, value, live, warnings)?;
    webhooks::validate(app, resource, context, value, live, warnings).await
}

/// Judges a connection; webhooks may change what it asks for.
pub async fn connect(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    options: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    webhooks::mutate(app, resource, context, options, None, warnings).await?;
    policy::check(app, resource, context, Some(&*options), None, warnings)?;
    webhooks::validate(app, resource, context, Some(&*options), None, warnings).await
}

/// Runs last: what a quota counts. What it gives is held until the write is done.
pub fn reserve<'a>(
    app: &'a Arc<App>,
    resource: &Resource,
    context: &Context,
    value: &Value,
    live: Option<&Value>,
) -> Result<quota::Reserved<'a>, Failure> {
    if !context.subresource.is_empty() {
        return Ok(None);
    }
    quota::check(app, resource, value, live)
}

/// Objects are created only in namespaces that are there and stay.
fn namespace_takes_objects(app: &App, resource: &Resource, value: &Value) -> Result<(), Failure> {
    if !resource.namespaced {
        return Ok(());
    }
    let namespace = meta::namespace(value).unwrap_or_default();
    let Some(found) = app.store.get("namespaces", namespace) else {
        return Err(Failure::not_found("", "namespaces", namespace));
    };
    if !found.ending {
        return Ok(());
    }
    let name = meta::name(value);
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let cause = json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {namespace} is being terminated"),
        "field": "metadata.namespace",
    }]);
    Err(Failure::forbidden(&resource.group, &resource.name, name, &why).detail("causes", cause))
}
