//! CEL as Flux uses it: `readyExpr` of dependencies and `healthCheckExprs`.

use kube_cel::KubeCelExt;
use kube_cel::cel::{Context, Program, Value as CelValue};
use object::Value;

/// Evaluates an expression that must give a boolean, over named objects.
///
/// # Errors
/// When the expression cannot be read, fails, or gives something else.
pub fn boolean(expression: &str, variables: &[(&str, &Value)]) -> Result<bool, Fault> {
    match evaluate(expression, variables)? {
        CelValue::Bool(value) => Ok(value),
        _ => Err(Fault::Evaluation(format!("failed to evaluate CEL expression as boolean: '{expression}'"))),
    }
}

/// The same for text.
///
/// # Errors
/// As [`boolean`].
pub fn string(expression: &str, variables: &[(&str, &Value)]) -> Result<String, Fault> {
    match evaluate(expression, variables)? {
        CelValue::String(value) => Ok(value.to_string()),
        _ => Err(Fault::Evaluation(format!("failed to evaluate CEL expression as string: '{expression}'"))),
    }
}

/// Why an expression gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no expression: only a changed spec can help.
    #[error("{0}")]
    Syntax(String),
    /// It does not fit the objects it met.
    #[error("{0}")]
    Evaluation(String),
}

fn compile(expression: &str) -> Result<Program, Fault> {
    // The parser may not survive everything people type.
    let compiled = std::panic::catch_unwind(|| Program::compile(expression));
    match compiled {
        Ok(Ok(program)) => Ok(program),
        Ok(Err(error)) => {
            Err(Fault::Syntax(format!("failed to parse the CEL expression '{expression}': {error}")))
        }
        Err(_) => Err(Fault::Syntax(format!("failed to parse the CEL expression '{expression}'"))),
    }
}

/// Can the expression be read?
///
/// # Errors
/// When not.
pub fn check(expression: &str) -> Result<(), Fault> {
    compile(expression).map(|_| ())
}

fn evaluate(expression: &str, variables: &[(&str, &Value)]) -> Result<CelValue, Fault> {
    run(expression, variables, None)
}

fn run(expression: &str, variables: &[(&str, &Value)], vars: Option<CelValue>) -> Result<CelValue, Fault> {
    let program = compile(expression)?;
    let failed = |error: String| {
        Fault::Evaluation(format!("failed to evaluate the CEL expression '{expression}': {error}"))
    };
    let mut context = Context::default().with_all();
    for (name, value) in variables {
        context.add_variable_from_value(*name, health::cel_value(value));
    }
    if let Some(vars) = vars {
        context.add_variable_from_value("vars", vars);
    }
    program.execute(&context).map_err(|error| failed(error.to_string()))
}

/// Values of expressions, by their names below `vars`.
#[derive(Default)]
pub struct Named {
    values: std::collections::HashMap<String, CelValue>,
}

impl Named {
    /// Evaluates one more, which may use those before.
    ///
    /// # Errors
    /// When it has no value.
    pub fn add(&mut self, name: &str, expression: &str, variables: &[(&str, &Value)]) -> Result<(), Fault> {
        let value = self.evaluate(expression, variables)?;
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Does an expression hold?
    ///
    /// # Errors
    /// As [`boolean`].
    pub fn boolean(&self, expression: &str, variables: &[(&str, &Value)]) -> Result<bool, Fault> {
        match self.evaluate(expression, variables)? {
            CelValue::Bool(value) => Ok(value),
            _ => Err(Fault::Evaluation(format!("'{expression}' is no boolean"))),
        }
    }

    fn evaluate(&self, expression: &str, variables: &[(&str, &Value)]) -> Result<CelValue, Fault> {
        let vars = CelValue::Map(self.values.clone().into());
        run(expression, variables, Some(vars))
    }
}

/// The variables that an object offers by its top-level fields.
pub fn fields(object: &Value) -> Vec<(&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_mix_with_literals() {
        let object = serde_json::json!({"status": {"replicas": 4, "share": 0.5}});
        for (expression, expected) in [
            ("dep.status.replicas % 2 == 0 && dep.status.replicas - 5 == -1", true),
            ("dep.status.replicas > 4", false),
            ("dep.status.share < 1.0", true),
        ] {
            assert_eq!(boolean(expression, &[("dep", &object)]), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn suite() {
        let Some(path) = testkit::shared("suites/unit-tables/flux-cel.json") else { return };
        let table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut failures = Vec::new();
        for case in table["cases"].as_array().unwrap() {
            let expression = case["expression"].as_str().unwrap_or_default();
            let variables = fields(&case["data"]);
            let got: Option<Value> = match case["fn"].as_str() {
                Some("expr-bool") => boolean(expression, &variables).ok().map(Value::from),
                Some("expr-string") => string(expression, &variables).ok().map(Value::from),
                _ => continue,
            };
            let expected = if case.get("wantError").is_some() { None } else { case.get("expected").cloned() };
            if got != expected {
                failures.push(format!("{}: {got:?}, not {expected:?}", case["id"]));
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}
