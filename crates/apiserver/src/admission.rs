//! What is asked of a write besides its own validity.

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
    _warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    namespace_takes_objects(app, resource, value)
}

/// Runs before an update is validated; may complete the object.
pub fn on_update(
    _app: &Arc<App>,
    _resource: &Resource,
    _context: &Context,
    _live: &Value,
    _value: &mut Value,
    _warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    Ok(())
}

/// Runs last; only judges. `value` is absent for deletes.
pub fn validate(
    _app: &Arc<App>,
    resource: &Resource,
    _context: &Context,
    value: Option<&Value>,
    live: Option<&Value>,
) -> Result<(), Failure> {
    let (None, Some(live)) = (value, live) else { return Ok(()) };
    let name = meta::name(live);
    if &*resource.table == "namespaces" && PERMANENT.contains(&name) {
        return Err(Failure::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}

/// Objects are created only in namespaces that are there and stay.
fn namespace_takes_objects(app: &App, resource: &Resource, value: &Value) -> Result<(), Failure> {
    if !resource.namespaced {
        return Ok(());
    }
    let namespace = meta::namespace(value).unwrap_or_default();
    let Some(found) = app.tree("namespaces", namespace) else {
        return Err(Failure::not_found("", "namespaces", namespace));
    };
    if meta::deletion_timestamp(&found).is_none() {
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
