//! Area `gotemplate`: single calls as Helm answers them, and the tables of the tests of Go, sprig and Helm.

use super::{Case, Suite};
use anyhow::Context;
use gotemplate::{Env, Host, List, MissingKey, Options, Templates, Value};
use serde_json::Value as Json;
use std::path::Path;
use std::rc::Rc;

/// The moment at which Helm answered the calls: dates out of what is no date show it.
struct Recorded;

impl Host for Recorded {
    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn now(&self) -> (i64, u32) {
        (1_795_258_128, 700_000_000)
    }
}

/// Every suite of the area that is below `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    let mut suites = Vec::new();
    let calls = dir.join("helm-calls/cases.jsonl.zst");
    if calls.is_file() {
        suites.push(Suite { name: "helm-calls".into(), cases: helm_calls(&calls)? });
    }
    let go: fn() -> Templates = go_set;
    let sets = [
        ("gotemplate-parse", go),
        ("gotemplate-exec", go),
        ("sprig", || Templates::sprig(MissingKey::Invalid)),
        ("helm-functions", || Templates::helm(false)),
    ];
    for (name, set) in sets {
        let path = dir.join(format!("unit-tables/{name}.json"));
        if path.is_file() {
            suites.push(Suite { name: format!("unit-tables/{name}"), cases: table(&path, set)? });
        }
    }
    Ok(suites)
}

fn go_set() -> Templates {
    Templates::new(Options { name: "test".into(), missing_key: MissingKey::Invalid, ..Options::default() })
}

fn execute(set: &mut Templates, name: &str, text: &str, data: &Value) -> Result<String, String> {
    set.parse(name, text).map_err(|error| error.to_string())?;
    set.execute(name, data, &mut Env::new(&Recorded)).map_err(|error| error.to_string())
}

fn shown(result: &Result<String, String>) -> String {
    match result {
        Ok(out) => format!("{out}\n"),
        Err(error) => format!("error: {error}\n"),
    }
}

fn helm_calls(path: &Path) -> anyhow::Result<Vec<Case>> {
    const NAME: &str = "c/templates/t";
    let mut lines = testkit::jsonl_zst(path).into_iter();
    let first = lines.next().context("an empty suite")?;
    let values = yaml::from_str(first["values"].as_str().unwrap_or_default())?;
    let mut cases = Vec::new();
    for case in lines {
        let text = |key: &str| case.get(key).and_then(Json::as_str);
        // Made anew each time: calls write into them.
        let root = Value::map([("Values", Value::decoded(&values))]);
        let got = execute(&mut Templates::helm(false), NAME, text("Template").unwrap_or_default(), &root);
        let got = got.map(|out| out.replace("<no value>", "")).map_err(shorten);
        let want = match text("Err") {
            Some(error) => Err(error.to_owned()),
            None => Ok(text("Out").unwrap_or_default().to_owned()),
        };
        cases.push(Case::same(text("ID").unwrap_or_default(), &shown(&want), &shown(&got)));
    }
    Ok(cases)
}

/// Helm's form of the errors of `required` and `fail`.
fn shorten(error: String) -> String {
    let place = error.split(": ").nth(1);
    let warning = error.split_once("HELM_ERR_START").and_then(|(_, rest)| rest.rsplit_once("HELM_ERR_END"));
    match (place, warning) {
        (Some(place), Some((message, _))) => format!("execution error at ({place}): {message}"),
        _ => error,
    }
}

/// Data of the tables: whole numbers are Go's `int`.
fn ints(json: &Json) -> Value {
    match json {
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::int(int),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(items) => Value::List(Rc::new(List::appended(items.iter().map(ints).collect()))),
        Json::Object(entries) => Value::map(entries.iter().map(|(key, value)| (key.as_str(), ints(value)))),
        other => Value::from_json(other),
    }
}

fn table(path: &Path, set: fn() -> Templates) -> anyhow::Result<Vec<Case>> {
    let table: Json = serde_json::from_slice(&std::fs::read(path)?)?;
    let rows = table["cases"].as_array().context("no cases")?;
    Ok(rows.iter().map(|row| check(row, set())).collect())
}

fn check(row: &Json, mut set: Templates) -> Case {
    let text = |key: &str| row.get(key).and_then(Json::as_str);
    let (id, template) = (text("id").unwrap_or_default(), text("template").unwrap_or_default());
    let got = if row.get("data").is_some() {
        execute(&mut set, "test", template, &ints(&row["data"]))
    } else {
        let parsed = set.parse("test", template).map_err(|error| error.to_string());
        parsed.map(|()| set.canonical("test").unwrap_or_default())
    };
    match (text("expected").or(text("canonical")), text("goError"), &got) {
        (Some(want), _, got) => Case::same(id, &shown(&Ok(want.to_owned())), &shown(got)),
        // Without a text of the error, any will do.
        (None, None, Err(_)) => Case::passed(id),
        (None, error, got) => {
            Case::same(id, &shown(&Err(error.unwrap_or("an error").to_owned())), &shown(got))
        }
    }
}
