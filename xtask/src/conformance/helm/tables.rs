//! The tables of `unit-tables` that concern charts: `--set` expressions, manifests, values of releases.

use super::{Case, Suite};
use anyhow::Context as _;
use helm::Values;
use serde_json::Value;
use std::path::Path;

/// Runs the tables that are in `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    let mut out = Vec::new();
    let tables: [(&str, fn(&Value) -> Option<String>); 3] =
        [("helm-set", set), ("helm-manifests", manifests), ("helm-functions", functions)];
    for (name, run) in tables {
        let path = dir.join(format!("{name}.json"));
        if !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let table: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let cases = table["cases"].as_array().context("no cases")?;
        let cases = cases.iter().map(|case| {
            let id = case["id"].as_str().unwrap_or_default();
            match run(case) {
                None => Case::passed(id),
                Some(why) => Case::failed(id, why),
            }
        });
        out.push(Suite { name: format!("unit-tables/{name}"), cases: cases.collect() });
    }
    Ok(out)
}

fn same(expected: &Value, actual: &Value) -> Option<String> {
    (expected != actual).then(|| format!("{expected} expected, {actual} found"))
}

fn set(case: &Value) -> Option<String> {
    let input = case["input"].as_str().unwrap_or_default();
    let mut values = Values::from_json(case["into"].clone()).unwrap_or_default();
    let result = match case["fn"].as_str() {
        Some("set-string") => values.set_string(input),
        Some("set-literal") => values.set_literal(input),
        _ => values.set(input),
    };
    match (result, case["wantError"].as_bool().unwrap_or(false)) {
        (Err(_), true) => None,
        (Ok(()), true) => Some("an error is expected".into()),
        (Err(error), false) => Some(error.to_string()),
        (Ok(()), false) => same(&case["expected"], &values.to_json()),
    }
}

fn manifests(case: &Value) -> Option<String> {
    match case["fn"].as_str()? {
        "is-compatible-range" => {
            let text = |key: &str| case[key].as_str().unwrap_or_default();
            let fits = helm::version::is_compatible(text("constraint"), text("version"));
            same(&case["expected"], &Value::Bool(fits))
        }
        "split-manifests" => {
            let parts = helm::manifest::split_lines(case["input"].as_str().unwrap_or_default());
            let parts = parts.iter().enumerate();
            let parts: serde_json::Map<String, Value> =
                parts.map(|(at, part)| (format!("manifest-{at}"), Value::from(part.as_str()))).collect();
            same(&case["expected"], &Value::Object(parts))
        }
        "annotate-and-merge" => annotate(case),
        other => Some(format!("unknown function {other}")),
    }
}

fn annotate(case: &Value) -> Option<String> {
    let files = case["files"].as_object()?;
    let files = files
        .iter()
        .map(|(path, text)| (path.clone(), text.as_str().unwrap_or_default().to_owned()))
        .collect();
    judge(case, helm::manifest::annotate_and_merge(&files).map_err(|error| error.to_string()))
}

/// Compares a text or an error with what the case wants: `wantError` is true, or words of the error.
fn judge(case: &Value, result: Result<String, String>) -> Option<String> {
    let wanted = match &case["wantError"] {
        Value::Bool(true) => Some(""),
        Value::String(words) => Some(words.as_str()),
        _ => None,
    };
    match (result, wanted) {
        (Err(error), Some(words)) if error.contains(words) => None,
        (Err(error), Some(words)) => Some(format!("an error with {words:?} is expected: {error}")),
        (Ok(_), Some(_)) => Some("an error is expected".into()),
        (Err(error), None) => Some(error),
        (Ok(text), None) => Case::same("", case["expected"].as_str().unwrap_or_default(), &text).failure,
    }
}

fn functions(case: &Value) -> Option<String> {
    let mut templates = gotemplate::Templates::helm(false);
    let text = case["template"].as_str().unwrap_or_default();
    let data = gotemplate::Value::decoded(&case["data"]);
    let host = gotemplate::FixedHost::new(0, 0);
    let result = templates.parse("test", text).map_err(|error| error.to_string()).and_then(|()| {
        templates.execute("test", &data, &mut gotemplate::Env::new(&host)).map_err(|error| error.to_string())
    });
    judge(case, result)
}
