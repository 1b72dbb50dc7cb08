//! Merging maps as mergo does: into the first, in place.

use std::rc::Rc;

use crate::func::FuncError;
use crate::value::{MAX_DEPTH, Map, Value};

/// Merges `source` into `target`. Without `overwrite` only what is missing or empty is filled.
pub(super) fn merge(
    target: &Rc<Map>,
    source: &Rc<Map>,
    overwrite: bool,
    depth: usize,
) -> Result<(), FuncError> {
    if depth > MAX_DEPTH {
        return Err("the maps are nested too deeply to merge".into());
    }
    for (key, new) in source.entries() {
        if new.is_nil() {
            if overwrite {
                target.insert(key, new);
            }
            continue;
        }
        let old = target.get_bytes(key.as_bytes());
        if let (Some(Value::Map(old)), Value::Map(new)) = (&old, &new)
            && !old.is_nil()
        {
            merge(old, new, overwrite, depth + 1)?;
        }
        if let Some(old) = &old
            && old.is_true()
        {
            match (old, &new) {
                (Value::Map(_), Value::Map(_)) => continue,
                (_, Value::List(_)) => {
                    if overwrite {
                        target.insert(key, new);
                    }
                    continue;
                }
                _ => {}
            }
        }
        if overwrite || old.as_ref().is_none_or(|old| !old.is_true()) {
            target.insert(key, new);
        }
    }
    Ok(())
}
