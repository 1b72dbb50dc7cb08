//! What the type of a resource says: unknown fields, defaults, validation, patching. Built-in and
//! custom resources differ only here.

use object::strategic::{NoMeta, PatchMeta};
use object::{Gvk, Value};
use schema::{TypeRef, native};

use crate::catalog::Resource;
use crate::status::{Cause, Failure};

/// The group, version and kind of a resource.
pub fn gvk(resource: &Resource) -> Gvk {
    Gvk {
        group: resource.group.to_string(),
        version: resource.version.to_string(),
        kind: resource.kind.to_string(),
    }
}

/// The type of a resource's objects; deduced from values when nothing is known.
pub fn type_of(resource: &Resource) -> TypeRef {
    match &resource.custom {
        Some(custom) => custom.version.structural.type_ref().clone(),
        None => schema::builtin().type_of(&gvk(resource)).unwrap_or_else(TypeRef::deduced),
    }
}

/// How a strategic merge patch treats a resource's fields.
pub fn patch_meta(resource: &Resource) -> Box<dyn PatchMeta> {
    match schema::builtin().type_of(&gvk(resource)) {
        Some(types) => Box::new(types),
        None => Box::new(NoMeta),
    }
}

/// Decodes as the real server does: fields that the type does not know go (and are named in
/// `problems`), values of the wrong type are refused.
pub fn drop_unknown(
    resource: &Resource,
    value: &mut Value,
    problems: &mut Vec<String>,
) -> Result<(), Failure> {
    if let Some(custom) = &resource.custom {
        if custom.preserve_unknown {
            return Ok(());
        }
        let dropped = custom.version.structural.prune(value);
        problems.extend(dropped.iter().map(|path| format!("unknown field {path:?}")));
        return Ok(());
    }
    let Some(types) = schema::builtin().type_of(&gvk(resource)) else { return Ok(()) };
    problems.extend(native::unknown_fields(&types, value));
    native::decode(&types, value).map_err(|why| {
        let (kind, version) = (&resource.kind, &resource.version);
        Failure::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    })
}

/// As [`drop_unknown`], for what a strategic patch made of an object of a built-in kind; answers what does not fit.
pub fn restore(resource: &Resource, value: &mut Value, problems: &mut Vec<String>) -> Result<(), String> {
    let Some(types) = schema::builtin().type_of(&gvk(resource)) else { return Ok(()) };
    problems.extend(native::unknown_fields(&types, value));
    native::restore(&types, value)
}

/// Sets defaults.
pub fn default(resource: &Resource, value: &mut Value) {
    match &resource.custom {
        Some(custom) => custom.version.structural.default(value),
        None if &*resource.table == crate::crd::TABLE => {
            schema::crd::default_definition(value);
        }
        None => native::default(&gvk(resource), value),
    }
}

/// Validates everything but metadata; `part` is the subresource that is written.
pub fn validate(resource: &Resource, part: &str, value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let errors = match &resource.custom {
        Some(custom) => {
            let rule = native::NameRule::Subdomain;
            let mut errors = native::validate_any_metadata(value, old, resource.namespaced, rule);
            errors.extend(custom.version.structural.validate(value, old));
            errors
        }
        None => match old {
            Some(old) => native::validate_part(&gvk(resource), part, value, old),
            None => native::validate(&gvk(resource), value, None),
        },
    };
    errors.into_iter().map(cause).collect()
}

/// An error about a field as the cause in a `Status`.
pub fn cause(error: schema::FieldError) -> Cause {
    Cause { reason: error.reason.code(), message: error.body(), field: error.field }
}
