//! `values.schema.json`.

use crate::dependencies::{Forest, Index};
use crate::values::coalesce::Table;
use crate::{Error, Result, Stage};
use gotemplate::Value;

mod quick;
mod words;

/// Checks the values of every chart against its schema.
pub(crate) fn check(forest: &Forest<'_>, values: &Table) -> Result<()> {
    let mut text = String::new();
    check_chart(forest, Forest::ROOT, values, &mut text);
    if text.is_empty() {
        return Ok(());
    }
    let head = "values don't meet the specifications of the schema(s) in the following chart(s):\n";
    Err(Error::new(Stage::Schema, format!("{head}{text}")).at("values.schema.json", 0, 0))
}

fn check_chart(forest: &Forest<'_>, index: Index, values: &Table, text: &mut String) {
    if let Some(schema) = &forest.chart(index).schema
        && let Err(words) = check_one(schema, values)
    {
        text.push_str(&format!("{}:\n{words}", forest.name(index)));
    }
    for child in forest.children(index) {
        let name = forest.name(*child);
        match values.get(name) {
            None | Some(Value::Nil) => {}
            Some(Value::Map(inner)) => check_chart(forest, *child, &inner, text),
            Some(other) => {
                let found = go_type(&other);
                text.push_str(&format!(
                    "{name}:\ninvalid type for values: expected object (map), got {found}\n"
                ));
            }
        }
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Int(..) => "int64",
        Value::Uint(..) => "uint64",
        Value::Float(_) => "float64",
        Value::Str(_) => "string",
        Value::List(_) => "[]interface {}",
        _ => "map[string]interface {}",
    }
}

/// What one schema says of values; `Err` has Helm's words.
pub(crate) fn check_one(schema: &[u8], values: &Table) -> Result<(), String> {
    let schema: serde_json::Value = serde_json::from_slice(schema).map_err(|error| error.to_string())?;
    let values = Value::Map(values.clone()).to_json()?;
    if quick::surely_valid(&schema, &values) {
        return Ok(());
    }
    words::validate(&schema, &values)
}
