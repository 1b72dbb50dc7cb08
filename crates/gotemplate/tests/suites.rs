//! The peers' suites: single calls as Helm answers them, and the tables of Go's, sprig's and Helm's tests.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::rc::Rc;

use gotemplate::{Env, Host, List, MissingKey, Options, Templates, Value};
use serde_json::Value as Json;

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

fn run(set: &Templates, name: &str, data: &Value) -> Result<String, String> {
    set.execute(name, data, &mut Env::new(&Recorded)).map_err(|error| error.to_string())
}

/// Helm's form of the errors of `required` and `fail`.
fn shorten(error: String) -> String {
    let parts: Vec<&str> = error.splitn(3, ": ").collect();
    let warning = error.split_once("HELM_ERR_START").and_then(|(_, rest)| rest.rsplit_once("HELM_ERR_END"));
    match (parts.as_slice(), warning) {
        ([_, place, _], Some((message, _))) => format!("execution error at ({place}): {message}"),
        _ => error,
    }
}

fn table(name: &str) -> Vec<Json> {
    let Some(path) = testkit::shared(&format!("suites/unit-tables/{name}.json")) else {
        return Vec::new();
    };
    let text = std::fs::read_to_string(path).unwrap();
    let table: Json = serde_json::from_str(&text).unwrap();
    table["cases"].as_array().unwrap().clone()
}

/// The cases that fail, with a reason each; a failing case that is not named fails the test.
fn check(suite: &str, failures: &[String], total: usize, known: &[&str]) {
    let unknown: Vec<&String> =
        failures.iter().filter(|line| !known.iter().any(|id| line.starts_with(&format!("{id}:")))).collect();
    println!("{suite} {}/{total}", total - failures.len());
    let shown: Vec<&str> = unknown.iter().take(40).map(|line| line.as_str()).collect();
    assert!(unknown.is_empty(), "{} of {total} in {suite}:\n{}", unknown.len(), shown.join("\n"));
}

#[test]
fn helm_calls() {
    let Some(path) = testkit::shared("suites/helm-calls/cases.jsonl.zst") else { return };
    let cases = testkit::jsonl_zst(&path);
    let values = yaml::from_str(cases[0]["values"].as_str().unwrap()).unwrap();
    let mut failures = Vec::new();
    for case in &cases[1..] {
        // The file itself is on the scale of a chart: everything but the values is fixed.
        let root = Value::map([
            ("Values", Value::decoded(&values)),
            ("Release", Value::map([("Name", Value::from("r")), ("Namespace", Value::from("n"))])),
            (
                "Template",
                Value::map([
                    ("Name", Value::from("c/templates/t")),
                    ("BasePath", Value::from("c/templates")),
                ]),
            ),
        ]);
        let mut set = Templates::helm(false);
        let text = case["Template"].as_str().unwrap();
        let result = set.parse("c/templates/t", text).map_err(|error| error.to_string());
        let result =
            result.and_then(|()| run(&set, "c/templates/t", &root)).map(|out| out.replace("<no value>", ""));
        let result = result.map_err(shorten);
        let expected = match case["Err"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(case["Out"].as_str().unwrap_or_default().to_owned()),
        };
        if result != expected {
            failures.push(format!(
                "{}: {text}\n  want {expected:?}\n  got  {result:?}",
                case["ID"].as_str().unwrap()
            ));
        }
    }
    if let Some(path) = std::env::var_os("GOTEMPLATE_FAILURES") {
        std::fs::write(path, failures.join("\n")).unwrap();
    }
    check("helm-calls", &failures, cases.len() - 1, &[]);
}

/// Data of the tables: whole numbers are Go's `int`.
fn ints(json: &Json) -> Value {
    match json {
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::int(int),
            None => Value::Float(number.as_f64().unwrap()),
        },
        Json::Array(items) => Value::List(Rc::new(List::appended(items.iter().map(ints).collect()))),
        Json::Object(entries) => Value::map(entries.iter().map(|(key, value)| (key.as_str(), ints(value)))),
        other => Value::from_json(other),
    }
}

fn go_set() -> Templates {
    Templates::new(Options { name: "test".into(), missing_key: MissingKey::Invalid, ..Options::default() })
}

/// Runs a table: output, or an error (with Go's text, where the table has it).
fn run_table(name: &str, set: impl Fn() -> Templates, known: &[&str]) {
    let cases = table(name);
    let mut failures = Vec::new();
    for case in &cases {
        let mut set = set();
        let text = case["template"].as_str().unwrap();
        let result = set.parse("test", text).map_err(|error| error.to_string());
        let result = result.and_then(|()| run(&set, "test", &ints(&case["data"])));
        let good = match (&result, case["expected"].as_str()) {
            (Ok(out), Some(expected)) => out == expected,
            (Err(error), None) => case["goError"].as_str().is_none_or(|expected| error == expected),
            _ => false,
        };
        if !good {
            let want = if case["expected"].is_null() { &case["goError"] } else { &case["expected"] };
            failures
                .push(format!("{}: {text}\n  want {want}\n  got  {result:?}", case["id"].as_str().unwrap()));
        }
    }
    check(name, &failures, cases.len(), known);
}

#[test]
fn go_exec() {
    run_table("gotemplate-exec", go_set, &[]);
}

#[test]
fn sprig() {
    // Its error text is that of an older semver library; Helm quotes the constraint, as helm-calls shows.
    run_table("sprig", || Templates::sprig(MissingKey::Invalid), &["sprig-297"]);
}

#[test]
fn helm_functions() {
    run_table("helm-functions", || Templates::helm(false), &[]);
}

#[test]
fn go_parse() {
    let cases = table("gotemplate-parse");
    let mut failures = Vec::new();
    for case in &cases {
        let mut set = go_set();
        let text = case["template"].as_str().unwrap();
        let result =
            set.parse("test", text).map_err(|error| error.to_string()).map(|()| set.canonical("test"));
        let good = match (&result, case["goError"].as_str()) {
            (Ok(canonical), None) => case["canonical"].as_str() == canonical.as_deref(),
            (Err(error), Some(expected)) => error == expected,
            _ => false,
        };
        if !good {
            failures
                .push(format!("{}: {text}\n  want {case}\n  got  {result:?}", case["id"].as_str().unwrap()));
        }
    }
    check("gotemplate-parse", &failures, cases.len(), &[]);
}
