//! Rules for `metadata` that hold for every kind.

use schema::native::{NameRule, validate_any_metadata};
use serde_json::Value;

use crate::catalog::Resource;
use crate::status::Cause;
use crate::types;

/// What is wrong with the metadata of an object that its type has accepted; `live` on update.
pub fn validate(resource: &Resource, value: &Value, live: Option<&Value>) -> Vec<Cause> {
    let errors = validate_any_metadata(value, live, resource.namespaced, NameRule::PathSegment);
    errors.into_iter().map(types::cause).collect()
}
