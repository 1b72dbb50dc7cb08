//! CEL as admission knows it: what expressions of policies and webhooks can see, and how they run.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context as Scope, Program, Value as Cel};
use parking_lot::Mutex;
use serde_json::Value;

use super::authorizer;
use super::matching::Request;

/// Programs that are kept compiled.
const MOST_PROGRAMS: usize = 4096;

/// Compiled expressions by their text.
#[derive(Default)]
pub struct Programs(Mutex<HashMap<String, Arc<Result<Program, String>>>>);

impl Programs {
    /// The program of an expression, or what is wrong with it.
    pub fn get(&self, expression: &str) -> Arc<Result<Program, String>> {
        if let Some(found) = self.0.lock().get(expression) {
            return found.clone();
        }
        let compiled = schema::expressions::parsed(expression);
        let compiled = Arc::new(compiled);
        let mut all = self.0.lock();
        if all.len() >= MOST_PROGRAMS {
            all.clear();
        }
        all.insert(expression.to_owned(), compiled.clone());
        compiled
    }

    /// Runs an expression.
    pub fn run(&self, expression: &str, scope: &Scope<'_>) -> Result<Cel, String> {
        let compiled = self.get(expression);
        let program = compiled.as_ref().as_ref().map_err(|error| format!("compilation error: {error}"))?;
        // What the interpreter does not know it may not survive.
        let run = std::panic::AssertUnwindSafe(|| program.execute(scope));
        match std::panic::catch_unwind(run) {
            Ok(result) => {
                result.map_err(|error| format!("expression '{expression}' resulted in error: {error}"))
            }
            Err(_) => Err(format!("expression '{expression}' resulted in error: it is not supported")),
        }
    }
}

/// What expressions see of a request.
pub fn scope(request: &Request<'_>, params: Option<&Value>) -> Scope<'static> {
    let namespace = match request.namespace() {
        "" => None,
        name => request.app.tree("namespaces", name),
    };
    let mut scope = Scope::default().with_all();
    let described = request.describe();
    for (name, value) in [
        ("object", request.value),
        ("oldObject", request.live),
        ("request", Some(&described)),
        ("params", params),
        ("namespaceObject", namespace.as_ref()),
    ] {
        scope.add_variable_from_value(name, to_cel(value.unwrap_or(&Value::Null)));
    }
    authorizer::add(&mut scope, request);
    scope
}

/// Whether a condition of a policy or webhook lets a request through.
pub enum Condition {
    /// All are true.
    Holds,
    /// One is false.
    Fails,
    /// None is false, and these could not be answered.
    Unknown(Vec<String>),
}

/// Asks all `matchConditions`.
pub fn conditions(programs: &Programs, list: &[Value], scope: &Scope<'_>) -> Condition {
    let mut errors = Vec::new();
    for condition in list {
        let expression = object::get_str(condition, &["expression"]).unwrap_or_default();
        match programs.run(expression, scope) {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => return Condition::Fails,
            Ok(_) => errors.push(format!("expression '{expression}' gave no boolean")),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Condition::Holds } else { Condition::Unknown(errors) }
}

/// Whole numbers are `int`, as Kubernetes' types have them: `uint` would not mix with literals.
pub fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(flag) => Cel::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Cel::Int(whole),
            (None, Some(large)) => Cel::UInt(large),
            (None, None) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(to_cel).collect())),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (Key::String(Arc::new(key.clone())), to_cel(value)));
            Cel::Map(Map { map: Arc::new(entries.collect()) })
        }
    }
}
