//! Is an applied object as it should be?

use controller::Judgement;
use object::{Key, Value, get, meta};

use crate::common::str_at;
use crate::{cel, standin};

/// A `healthCheckExprs` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    group: String,
    kind: String,
    current: String,
    in_progress: String,
    failed: String,
}

/// The entries of a spec's `healthCheckExprs`.
///
/// # Errors
/// When one cannot be read, or two are for the same kind.
pub fn expressions(object: &Value) -> Result<Vec<Expression>, String> {
    let mut found: Vec<Expression> = Vec::new();
    let list = get(object, &["spec", "healthCheckExprs"]).and_then(Value::as_array);
    for entry in list.into_iter().flatten() {
        let api_version = str_at(entry, &["apiVersion"]);
        let expression = Expression {
            group: api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: str_at(entry, &["kind"]).to_owned(),
            current: str_at(entry, &["current"]).to_owned(),
            in_progress: str_at(entry, &["inProgress"]).to_owned(),
            failed: str_at(entry, &["failed"]).to_owned(),
        };
        if expression.current.is_empty() {
            return Err(format!("healthCheckExprs for {}: current is required", expression.kind));
        }
        for text in [&expression.current, &expression.in_progress, &expression.failed] {
            if !text.is_empty() {
                cel::check(text).map_err(|error| format!("failed to create custom health check: {error}"))?;
            }
        }
        if found.iter().any(|other| other.group == expression.group && other.kind == expression.kind) {
            return Err(format!(
                "duplicate custom health check for GroupKind {}.{}",
                expression.kind, expression.group
            ));
        }
        found.push(expression);
    }
    Ok(found)
}

/// The verdict. `now` is in seconds.
pub fn judge(key: &Key, live: Option<&Value>, expressions: &[Expression], now: i64) -> Judgement {
    let Some(live) = live else { return Judgement::Pending("status: 'NotFound'".into()) };
    if standin::is_stand_in(live) {
        return Judgement::Done;
    }
    if let Some(expression) =
        expressions.iter().find(|known| known.group == key.group && known.kind == key.kind)
    {
        return by_expression(expression, live);
    }
    if key.group == "batch" && key.kind == "Job" {
        return job(live);
    }
    let verdict = health::status(live, now);
    let line = || {
        let message =
            if verdict.message.is_empty() { String::new() } else { format!(": {}", verdict.message) };
        format!("status: '{}'{message}", verdict.status)
    };
    match verdict.status {
        health::Status::Current => Judgement::Done,
        health::Status::Failed => Judgement::Failed(line()),
        _ => Judgement::Pending(line()),
    }
}

fn job(live: &Value) -> Judgement {
    let is_true = |kind: &str| {
        meta::condition(live, kind).is_some_and(|condition| str_at(condition, &["status"]) == "True")
    };
    if meta::deletion_timestamp(live).is_some() {
        return Judgement::Pending("status: 'Terminating'".into());
    }
    if is_true("Failed") {
        let message =
            meta::condition(live, "Failed").map(|failed| str_at(failed, &["message"])).unwrap_or_default();
        return Judgement::Failed(format!("status: 'Failed': {message}"));
    }
    if is_true("Complete") || is_true("SuccessCriteriaMet") {
        return Judgement::Done;
    }
    Judgement::Pending("status: 'InProgress': the job has not completed".into())
}

fn by_expression(expression: &Expression, live: &Value) -> Judgement {
    if meta::deletion_timestamp(live).is_some() {
        return Judgement::Pending("status: 'Terminating'".into());
    }
    if let Some(observed) = meta::observed_generation(live)
        && observed != meta::generation(live)
    {
        return Judgement::Pending("status: 'InProgress': the newest generation is not observed".into());
    }
    let mut variables = cel::fields(live);
    let empty = Value::Object(serde_json::Map::new());
    for field in ["status", "spec", "data"] {
        if !variables.iter().any(|(name, _)| *name == field) {
            variables.push((field, &empty));
        }
    }
    let holds = |text: &str| -> Result<bool, String> {
        if text.is_empty() {
            return Ok(false);
        }
        cel::boolean(text, &variables).map_err(|error| error.to_string())
    };
    // A field that is not there yet is no failure: it may come.
    let verdict =
        |text: &str| holds(text).map_err(|error| Judgement::Pending(format!("status: 'Unknown': {error}")));
    match (verdict(&expression.in_progress), verdict(&expression.failed), verdict(&expression.current)) {
        (Err(pending), ..) | (_, Err(pending), _) | (_, _, Err(pending)) => pending,
        (Ok(true), ..) => Judgement::Pending("status: 'InProgress'".into()),
        (_, Ok(true), _) => Judgement::Failed("status: 'Failed'".into()),
        (_, _, Ok(true)) => Judgement::Done,
        _ => Judgement::Pending("status: 'InProgress'".into()),
    }
}
