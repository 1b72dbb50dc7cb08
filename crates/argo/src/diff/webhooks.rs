//! What the server would make of an apply, without what its webhooks put in.

use merge::{Element, FieldSet};
use object::{Value, get};
use schema::TypeRef;

/// The live object with what `predicted`, the answer to a dry run, says about the fields of `manager`, and without what
/// is gone there. What others own, and what webhooks changed, stays as it is live.
///
/// # Errors
/// When the answer does not say who owns what.
pub fn without_webhooks(
    predicted: &Value,
    live: &Value,
    ty: &TypeRef,
    manager: &str,
) -> Result<Value, String> {
    let entries = get(predicted, &["metadata", "managedFields"]).and_then(Value::as_array);
    let mut own = FieldSet::new();
    for entry in entries.into_iter().flatten() {
        if get(entry, &["manager"]).and_then(Value::as_str) != Some(manager) {
            continue;
        }
        let fields = entry.get("fieldsV1").unwrap_or(&Value::Null);
        let set = FieldSet::from_fields_v1(fields).map_err(|error| error.to_string())?;
        own = own.union(&set);
    }
    if own.is_empty() {
        return Err(format!("no managed fields found for manager: {manager}"));
    }
    let (gone, _, _) = merge::compare(ty, live, predicted);
    let part = merge::extract(ty, predicted, &with_keys(&own));
    Ok(merge::remove(ty, &merge::merge(ty, live, &part)?, &gone))
}

/// Its leaves, with the keys of list elements, by which elements are found again: keys that were defaulted are nobody's.
fn with_keys(set: &FieldSet) -> FieldSet {
    let mut all = FieldSet::new();
    for path in set.paths() {
        let below = path.iter().try_fold(set, |set, element| set.below(element));
        if below.is_none_or(FieldSet::is_empty) {
            all.insert(&path);
        }
        for (at, element) in path.iter().enumerate() {
            let Element::Key(keys) = element else { continue };
            for (name, _) in keys.iter() {
                let mut key = path.get(..=at).unwrap_or_default().to_vec();
                key.push(Element::field(name));
                all.insert(&key);
            }
        }
    }
    all.difference(&parents(&all))
}

/// The members of a set with other members below them.
fn parents(set: &FieldSet) -> FieldSet {
    let mut found = FieldSet::new();
    for path in set.paths() {
        let below = path.iter().try_fold(set, |set, element| set.below(element));
        if below.is_some_and(|below| !below.is_empty()) {
            found.insert(&path);
        }
    }
    found
}
