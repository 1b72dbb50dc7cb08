//! Runs the tables of kstatus and of Flux's CEL package; shared with `cargo xtask conformance`.

use std::path::Path;

use health::{Expression, HealthExprs, augment, status};
use object::{Value, get_str, meta};

/// A moment after which Pods of the suite were just created.
const NOW: i64 = 1_760_000_000;
const NOW_TEXT: &str = "2025-10-09T08:53:20Z";

/// A case's name and what is wrong with our answer.
pub type Outcome = (String, Result<(), String>);

fn load(path: &Path) -> Vec<Value> {
    let suite: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    suite["cases"].as_array().unwrap().clone()
}

/// The tables of kstatus.
pub fn kstatus(path: &Path) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for case in &load(path) {
        let mut failed: Vec<String> = Vec::new();
        let text = case["object"].as_str().unwrap().replace("${NOW_RFC3339}", NOW_TEXT);
        let mut object = yaml::from_str(&text).unwrap();
        let added: Vec<Value> = case["addConditions"].as_array().cloned().unwrap_or_default();
        if !added.is_empty() {
            object::set(&mut object, &["status", "conditions"], Value::Array(added));
        }
        let health = status(&object, NOW);
        if let Some(expected) = case["expectedStatus"].as_str()
            && health.status.as_str() != expected
        {
            failed.push(format!("{} ({})", health.status, health.message));
        }
        augment(&mut object, &health, NOW_TEXT);
        let augmented = case["augment"] == true;
        for wanted in case["expectedConditions"].as_array().into_iter().flatten() {
            let kind = wanted["type"].as_str().unwrap();
            let found = if augmented {
                meta::condition(&object, kind).is_some_and(|found| {
                    found["status"] == wanted["status"] && found["reason"] == wanted["reason"]
                })
            } else {
                health.conditions.iter().any(|found| {
                    found.condition_type == kind
                        && found.status == wanted["status"]
                        && found.reason == wanted["reason"]
                })
            };
            if !found {
                failed.push(format!("no condition {wanted}: {:?}", health.conditions));
            }
        }
        for absent in case["absentConditionTypes"].as_array().into_iter().flatten() {
            if health.conditions.iter().any(|found| found.condition_type == *absent) {
                failed.push(format!("unwanted condition {absent}"));
            }
        }
        let name = case["name"].as_str().unwrap_or_default().to_owned();
        outcomes.push((name, if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }));
    }
    outcomes
}

fn evaluate(case: &Value) -> Result<Value, String> {
    let text = |error: health::CelError| error.to_string();
    if case["fn"] == "health-exprs" {
        let exprs = &case["exprs"];
        let optional = |key: &str| get_str(exprs, &[key]);
        let exprs = HealthExprs::parse(
            optional("current").unwrap_or_default(),
            optional("failed"),
            optional("inProgress"),
        )
        .map_err(text)?;
        return exprs.evaluate(&case["object"]).map(|status| status.as_str().into()).map_err(text);
    }
    let expression = Expression::parse(case["expression"].as_str().unwrap()).map_err(text)?;
    let data = &case["data"];
    match case["fn"].as_str().unwrap() {
        "expr-bool" => expression.boolean(data).map(Value::from),
        "expr-string" => expression.string(data).map(Value::from),
        "expr-string-slice" => expression.strings(data).map(Value::from),
        _ => expression.value(data),
    }
    .map_err(text)
}

/// The tables of Flux's CEL package.
pub fn flux_cel(path: &Path) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for case in &load(path) {
        let outcome = evaluate(case);
        let passed = match (&outcome, case.get("wantError").and_then(Value::as_str)) {
            (Err(error), Some(wanted)) => error.contains(wanted),
            (Ok(value), None) => *value == case["expected"],
            _ => false,
        };
        let why = || format!("{outcome:?}, wanted {}{}", case["expected"], case["wantError"]);
        let name = case["id"].as_str().unwrap_or_default().to_owned();
        outcomes.push((name, if passed { Ok(()) } else { Err(why()) }));
    }
    outcomes
}
