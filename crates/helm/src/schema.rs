//! `values.schema.json`.

use crate::dependencies::{Forest, Index};
use crate::values::coalesce::Table;
use crate::{Error, Result, Stage};
use gotemplate::Value;

mod compile;
mod documents;
mod format;
mod number;
mod quick;
mod validate;
mod words;

/// Where a chart's schema stands for itself.
const ADDRESS: &str = "file:///values.schema.json";

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
    validate::check(&schema, ADDRESS, &values)
}

#[cfg(test)]
mod tests {
    use super::{ADDRESS, quick, validate};
    use serde_json::Value;

    /// Go goes through the members of an object in any order: lines, and names in a line, may be in any.
    fn in_any_order(text: &str) -> Vec<Vec<String>> {
        let words = |line: &str| {
            let mut words: Vec<String> =
                line.split(' ').map(|word| word.trim_end_matches(',').to_owned()).collect();
            words.sort();
            words
        };
        let mut lines: Vec<Vec<String>> = text.lines().filter(|line| !line.is_empty()).map(words).collect();
        lines.sort();
        lines
    }

    #[test]
    fn schemas_judge_as_with_the_real_helm() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../testdata/schemas.json")).expect("the cases");
        for case in &cases {
            let (schema, values) = (&case["schema"], &case["values"]);
            let found = match quick::surely_valid(schema, values) {
                true => Ok(()),
                false => validate::check(schema, ADDRESS, values),
            };
            let expected =
                case["error"].as_str().and_then(|error| error.split_once("\nc:\n")).map(|(_, rest)| rest);
            assert_eq!(
                found.err().map(|error| in_any_order(&error)),
                expected.map(in_any_order),
                "{schema} {values}"
            );
        }
        assert!(cases.len() > 90);
    }
}
