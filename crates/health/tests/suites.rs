//! The tables of kstatus and of Flux's CEL package.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use health::{Expression, HealthExprs, augment, status};
use object::{Value, get_str, meta};

/// A moment after which Pods of the suite were just created.
const NOW: i64 = 1_760_000_000;
const NOW_TEXT: &str = "2025-10-09T08:53:20Z";

fn load(path: &str) -> Option<Vec<Value>> {
    let path = testkit::shared(path)?;
    let suite: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    Some(suite["cases"].as_array().unwrap().clone())
}

fn report(failed: &[String], all: usize) {
    assert!(failed.is_empty(), "{} of {all} fail\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn kstatus_cases() {
    let Some(cases) = load("suites/kstatus/kstatus.json") else { return };
    let mut failed = Vec::new();
    for case in &cases {
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
            failed.push(format!("{}: {} ({})", case["name"], health.status, health.message));
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
                failed.push(format!("{}: no condition {wanted}: {:?}", case["name"], health.conditions));
            }
        }
        for absent in case["absentConditionTypes"].as_array().into_iter().flatten() {
            if health.conditions.iter().any(|found| found.condition_type == *absent) {
                failed.push(format!("{}: unwanted condition {absent}", case["name"]));
            }
        }
    }
    report(&failed, cases.len());
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

#[test]
fn flux_cel_cases() {
    let Some(cases) = load("suites/unit-tables/flux-cel.json") else { return };
    let mut failed = Vec::new();
    for case in &cases {
        let outcome = evaluate(case);
        let passed = match (&outcome, case.get("wantError").and_then(Value::as_str)) {
            (Err(error), Some(wanted)) => error.contains(wanted),
            (Ok(value), None) => *value == case["expected"],
            _ => false,
        };
        if !passed {
            failed.push(format!(
                "{}: {outcome:?}, wanted {}{}",
                case["id"], case["expected"], case["wantError"]
            ));
        }
    }
    report(&failed, cases.len());
}
