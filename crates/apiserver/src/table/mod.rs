//! Tables: the columns that kubectl prints, for built-in kinds and for custom resources.

mod cells;
mod text;
mod workloads;

use std::collections::HashMap;
use std::sync::OnceLock;

use object::get_str;
use serde_json::{Value, json};

use crate::api::Call;
use crate::api::read::metadata_only;
use crate::catalog::Resource;

/// Columns of the built-in kinds: `table version: Name;type/format|Other!`, `!` for wide ones.
const COLUMNS: &str = include_str!("../../data/columns.txt");

/// One column.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: String,
    format: String,
    priority: i64,
    /// Where custom resources keep the value.
    path: Option<String>,
}

/// A `Table` of objects. Columns are left out in all but the first event of a watch.
pub fn table(call: &Call, objects: &[&Value], metadata: Value, with_columns: bool) -> Value {
    let columns = columns(&call.resource);
    let include = call.query.text("includeObject").unwrap_or("Metadata");
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| row(&call.resource, &columns, object, include, call.format.meta_version))
        .collect();
    let definitions: Value = if with_columns {
        columns
            .iter()
            .map(|c| json!({"name": c.name, "type": c.kind, "format": c.format, "description": "", "priority": c.priority}))
            .collect::<Vec<Value>>()
            .into()
    } else {
        Value::Null
    };
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{}", call.format.meta_version),
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn row(resource: &Resource, columns: &[Column], object: &Value, include: &str, meta_version: &str) -> Value {
    let cells: Vec<Value> = match &resource.custom {
        Some(_) => columns.iter().map(|column| custom_cell(column, object)).collect(),
        None => {
            let mut cells = cells::cells(&resource.table, object);
            cells.resize(columns.len(), Value::Null);
            cells
        }
    };
    let mut row = json!({"cells": cells});
    match include {
        "None" => {}
        "Object" => row["object"] = object.clone(),
        _ => row["object"] = metadata_only(object, meta_version),
    }
    if let Some(conditions) = cells::row_conditions(&resource.table, object) {
        row["conditions"] = conditions;
    }
    row
}

fn columns(resource: &Resource) -> Vec<Column> {
    if let Some(custom) = &resource.custom {
        return custom_columns(&custom.version.columns);
    }
    static KNOWN: OnceLock<HashMap<&'static str, Vec<Column>>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| COLUMNS.lines().filter_map(parse_columns).collect());
    known.get(&*resource.table).cloned().unwrap_or_else(default_columns)
}

fn parse_columns(line: &'static str) -> Option<(&'static str, Vec<Column>)> {
    let (key, columns) = line.split_once(": ")?;
    let (table, _) = key.split_once(' ')?;
    let columns = columns
        .split('|')
        .map(|text| {
            let (text, priority) = text.strip_suffix('!').map_or((text, 0), |t| (t, 1));
            let (name, kind) = text.split_once(';').unwrap_or((text, "string"));
            let (kind, format) = kind.split_once('/').unwrap_or((kind, ""));
            Column { name: name.into(), kind: kind.into(), format: format.into(), priority, path: None }
        })
        .collect();
    Some((table, columns))
}

fn column(name: &str, kind: &str, format: &str) -> Column {
    Column { name: name.into(), kind: kind.into(), format: format.into(), priority: 0, path: None }
}

fn default_columns() -> Vec<Column> {
    vec![column("Name", "string", "name"), column("Created At", "date", "")]
}

fn custom_columns(printer: &[schema::crd::Column]) -> Vec<Column> {
    let mut columns = vec![column("Name", "string", "name")];
    if printer.is_empty() {
        columns
            .push(Column { path: Some(".metadata.creationTimestamp".into()), ..column("Age", "date", "") });
    }
    columns.extend(printer.iter().map(|c| Column {
        name: c.name.clone(),
        kind: c.column_type.clone(),
        format: c.format.clone(),
        priority: c.priority,
        path: Some(c.json_path.clone()),
    }));
    columns
}

/// The value of a printer column.
fn custom_cell(column: &Column, object: &Value) -> Value {
    let Some(path) = &column.path else {
        return get_str(object, &["metadata", "name"]).unwrap_or_default().into();
    };
    let found = object::jsonpath::JsonPath::path(path)
        .and_then(|p| Ok(p.find(object)?.iter().map(|v| v.clone().into_owned()).collect::<Vec<Value>>()));
    let Ok(found) = found else { return Value::Null };
    let Some(first) = found.first() else { return Value::Null };
    match (column.kind.as_str(), first) {
        (_, Value::Null) => Value::Null,
        ("integer", Value::Number(n)) => {
            n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)).map_or(Value::Null, Into::into)
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => first.clone(),
        ("date", Value::String(time)) => match text::age_of(time) {
            Some(age) => age.into(),
            None => "<invalid>".into(),
        },
        ("string", Value::String(_)) => first.clone(),
        ("string", other) if found.len() == 1 => match other {
            Value::Array(_) | Value::Object(_) => other.to_string().into(),
            _ => other.to_string().into(),
        },
        ("string", _) => Value::String(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        _ => Value::Null,
    }
}
