//! `.Values`: a map of the type `chartutil.Values`, which has methods.

use crate::dependencies::lookup_table;
use crate::error::quote;
use gotemplate::{FuncError, Function, Map, Param, Value, method};
use std::rc::Rc;

/// Go's name of the type.
pub(super) const TYPE: &str = "chartutil.Values";

/// The same table as `chartutil.Values`.
pub(super) fn values(table: &Rc<Map>) -> Value {
    Value::Map(Rc::new(table.typed(TYPE, find)))
}

fn find(map: &Rc<Map>, name: &str) -> Option<Rc<Function>> {
    let map = map.clone();
    match name {
        "AsMap" => method("AsMap", &[], move |_, _| Ok(Value::Map(Rc::new(map.unnamed())))),
        "YAML" => method("YAML", &[], move |_, _| {
            let value = Value::Map(map.clone()).to_json().map_err(FuncError::new)?;
            Ok(Value::from(yaml::to_string(&value)))
        }),
        "Table" => method("Table", &[Param::String], move |_, arguments| {
            let path = arguments.first().and_then(Value::as_str).unwrap_or_default();
            let found = lookup_table(&map, path).map_err(FuncError::new)?;
            Ok(values(&found))
        }),
        "PathValue" => method("PathValue", &[Param::String], move |_, arguments| {
            let path = arguments.first().and_then(Value::as_str).unwrap_or_default();
            path_value(&map, path)
        }),
        _ => None,
    }
}

fn path_value(map: &Rc<Map>, path: &str) -> Result<Value, FuncError> {
    if path.is_empty() {
        return Err(FuncError::new("YAML path cannot be empty"));
    }
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (lookup_table(map, parent).ok(), key),
        None => (Some(map.clone()), path),
    };
    let found = parent.and_then(|table| table.get(key)).filter(|value| !matches!(value, Value::Map(_)));
    found.ok_or_else(|| FuncError::new(format!("{} is not a value", quote(key))))
}
