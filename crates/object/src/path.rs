//! Reading and writing a field by its path of keys.

use crate::Value;

/// The value at `path`, or `None` when a step is missing or no mapping.
pub fn get<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(*key))
}

/// As [`get`], mutable.
pub fn get_mut<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| value.get_mut(*key))
}

/// The string at `path`.
pub fn get_str<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    get(value, path)?.as_str()
}

/// The integer at `path`; a float without a fraction counts.
pub fn get_i64(value: &Value, path: &[&str]) -> Option<i64> {
    let value = get(value, path)?;
    value.as_i64().or_else(|| {
        let float = value.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

/// The boolean at `path`.
pub fn get_bool(value: &Value, path: &[&str]) -> Option<bool> {
    get(value, path)?.as_bool()
}

/// Sets the value at `path`, creating mappings on the way; a step that is no mapping is replaced by one.
pub fn set(value: &mut Value, path: &[&str], new: Value) {
    let mut at = value;
    for key in path {
        if !at.is_object() {
            *at = Value::Object(crate::Map::new());
        }
        let Value::Object(map) = at else { return };
        at = map.entry((*key).to_owned()).or_insert(Value::Null);
    }
    *at = new;
}

/// Removes and returns the value at `path`; mappings left empty stay.
pub fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    get_mut(value, parents)?.as_object_mut()?.remove(*last)
}

/// Removes the value at `path`; says whether there was one.
pub fn remove(value: &mut Value, path: &[&str]) -> bool {
    take(value, path).is_some()
}
