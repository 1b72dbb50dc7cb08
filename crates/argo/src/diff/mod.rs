//! The comparison of what should be with what is, as Argo CD makes it: normalised, without what rules ignore, against
//! the object that an apply would leave. Pure.

mod ignore;
mod jq;
mod mask;
mod normalize;
mod webhooks;

use merge::Manager;
use object::{Value, meta};
use schema::TypeRef;

pub use ignore::{Rule, Rules};
pub use jq::Filter;
pub use mask::mask;
pub use normalize::{Normalize, StatusField, normalize};
pub use webhooks::without_webhooks;

/// The annotation in which client-side apply keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How the object after an apply is foreseen.
#[derive(Debug, Clone, Copy)]
pub enum Predict<'a> {
    /// As client-side apply would leave it: from the last applied configuration.
    ThreeWay,
    /// As server-side apply by a field manager would.
    Structured {
        /// The manager.
        manager: &'a str,
    },
}

/// A comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The live object, normalised.
    pub live: Value,
    /// The live object as an apply would leave it, normalised.
    pub predicted: Value,
}

impl Compared {
    /// Whether an apply would change something that counts.
    pub fn differs(&self) -> bool {
        self.live != self.predicted
    }
}

/// Compares a target with the live object. `ty` is the kind's type.
///
/// # Errors
/// When an apply would be refused.
pub fn compare(
    target: &Value,
    live: &Value,
    ty: &TypeRef,
    rules: &Rules,
    options: Normalize,
    predict: Predict<'_>,
) -> Result<Compared, String> {
    let (mut target, mut live_plain) = (target.clone(), live.clone());
    normalize(&mut target, options);
    normalize(&mut live_plain, options);
    rules.remove(&mut target, &mut live_plain, ty);
    let mut predicted = match predict {
        Predict::ThreeWay => three_way(&target, &live_plain, ty),
        Predict::Structured { manager } => structured(&target, &live_plain, ty, manager)?,
    };
    normalize(&mut predicted, options);
    // What the rules emptied is as good as missing.
    normalize(&mut live_plain, options);
    for object in [&mut live_plain, &mut predicted] {
        forget(object);
    }
    Ok(Compared { live: live_plain, predicted })
}

/// What a server keeps for itself says nothing about a difference.
pub fn forget(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
        metadata.remove("generation");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
}

/// The live object after client-side apply. Without a last applied configuration nothing is taken away.
fn three_way(target: &Value, live: &Value, ty: &TypeRef) -> Value {
    let last = meta::annotation(live, LAST_APPLIED).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let original = last.unwrap_or_else(|| target.clone());
    let patch = object::strategic::three_way(&original, target, live, ty);
    let mut predicted = live.clone();
    // A patch that does not apply would be refused by a server, too: nothing changes then.
    if object::strategic::apply(&mut predicted, &patch, ty).is_err() {
        return live.clone();
    }
    predicted
}

fn structured(target: &Value, live: &Value, ty: &TypeRef, manager: &str) -> Result<Value, String> {
    let manager = Manager {
        name: manager.to_owned(),
        api_version: meta::api_version(live).to_owned(),
        subresource: String::new(),
        time: String::new(),
    };
    merge::apply(Some(live), target, &manager, true, ty, &[&["status"]])
        .map(|applied| applied.object)
        .map_err(|error| error.to_string())
}

/// The target with the ignored fields as they are live: what `RespectIgnoreDifferences` applies.
pub fn respecting(target: &Value, live: &Value, ty: &TypeRef, rules: &Rules) -> Value {
    let (mut target_plain, mut live_plain) = (target.clone(), live.clone());
    // What a Secret says as text would win over what is live.
    if meta::kind(target) == "Secret" {
        normalize(&mut target_plain, Normalize { status: StatusField::None, aggregated_roles: false });
    }
    rules.remove(&mut target_plain, &mut live_plain, ty);
    // What the rules took from the live object, and only that, is put into the target.
    let ignored = object::merge_patch::diff(&live_plain, live);
    let mut merged = target_plain;
    overlay(&mut merged, &ignored, live);
    merged
}

/// Puts what `patch` adds into `into`. Lists cannot be merged without their keys: a list in which something is ignored
/// comes from the live object where both have as many elements, element by element.
fn overlay(into: &mut Value, patch: &Value, live: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, more) in patch {
                let null = Value::Null;
                let live = live.get(key).unwrap_or(&null);
                match into.get_mut(key) {
                    Some(known) => overlay(known, more, live),
                    None if !more.is_null() => {
                        into.insert(key.clone(), more.clone());
                    }
                    None => {}
                }
            }
        }
        (Value::Array(into), Value::Array(patch)) if into.len() == patch.len() => {
            for (known, more) in into.iter_mut().zip(patch) {
                fill(known, more);
            }
        }
        (Value::Array(_), _) => {}
        (into, more) => *into = more.clone(),
    }
}

/// Adds what is missing.
fn fill(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(key) {
                    Some(known) => fill(known, value),
                    None => {
                        into.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(from)) if into.len() == from.len() => {
            into.iter_mut().zip(from).for_each(|(known, value)| fill(known, value));
        }
        _ => {}
    }
}
