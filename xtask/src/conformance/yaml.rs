//! Area `yaml`: what Go's YAML libraries make of some thousand inputs, a column of the suite at a time.

use super::{Case, Suite};
use serde_json::{Map, Number, Value};
use std::path::Path;

/// Every suite of the area that is below `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    let path = dir.join("go-yaml/cases.jsonl.zst");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let mut columns: [Vec<Case>; 5] = Default::default();
    let names = ["json", "strict", "toYaml", "v3", "kyaml"];
    for case in testkit::jsonl_zst(&path) {
        let field = |key: &str| case.get(key).and_then(Value::as_str);
        let (id, input) = (field("id").unwrap_or_default(), field("in").unwrap_or_default());
        let [json, strict, print, v3, kyaml] = &mut columns;
        let value = yaml::from_str(input);
        if let (Ok(value), Some(want)) = (&value, field("toYaml")) {
            print.push(Case::same(id, want, &yaml::to_string(&floats(value))));
        }
        json.push(read(id, case.get("json"), field("err"), value));
        let error = yaml::from_str_strict(input).err().map(|error| error.to_string()).unwrap_or_default();
        strict.push(Case::same(id, field("strictErr").unwrap_or_default(), &error));
        let end = || yaml::Error::new("EOF", 0, 0);
        let node = yaml::parse_first_node(input).and_then(|node| node.ok_or_else(end));
        if case.get("v3").is_some() || case.get("v3err").is_some() {
            v3.push(read(id, case.get("v3"), field("v3err"), node.clone().and_then(|node| node.to_value())));
        }
        let printed = node.map_or_else(|error| format!("error: {error}"), |node| yaml::emit(&node));
        let want = field("kyaml")
            .map_or_else(|| format!("error: {}", field("kyamlErr").unwrap_or_default()), ToOwned::to_owned);
        kyaml.push(Case::same(id, &want, &printed));
    }
    let named = names.into_iter().zip(columns);
    Ok(named.map(|(name, cases)| Suite { name: format!("go-yaml/{name}"), cases }).collect())
}

/// Compares a value or an error's text.
fn read(id: &str, want: Option<&Value>, error: Option<&str>, got: Result<Value, yaml::Error>) -> Case {
    let (want, got) = match (error, got) {
        (None, Ok(got)) if same(want.unwrap_or(&Value::Null), &got) => return Case::passed(id),
        (None, Ok(got)) => (want.map(ToString::to_string).unwrap_or_default(), got.to_string()),
        (None, Err(got)) => (want.map(ToString::to_string).unwrap_or_default(), format!("error: {got}")),
        (Some(error), Ok(got)) => (format!("error: {error}"), got.to_string()),
        (Some(error), Err(got)) => (format!("error: {error}"), format!("error: {got}")),
    };
    Case::same(id, &format!("{want}\n"), &format!("{got}\n"))
}

/// Equal, with room for the last digit of a float: the suite's JSON is not read to the last bit.
fn same(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::Number(want), Value::Number(got)) => match (want.as_f64(), got.as_f64()) {
            (Some(want), Some(got)) => want == got || (want - got).abs() <= want.abs() * 1e-14,
            _ => want == got,
        },
        (Value::Array(want), Value::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(want, got)| same(want, got))
        }
        (Value::Object(want), Value::Object(got)) => {
            let fields = want.iter().zip(got);
            want.len() == got.len() && { fields }.all(|(want, got)| want.0 == got.0 && same(want.1, got.1))
        }
        _ => want == got,
    }
}

/// Go's decoder of JSON has floats only.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            number.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        }
        Value::Array(items) => Value::Array(items.iter().map(floats).collect()),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(key, value)| (key.clone(), floats(value))).collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}
