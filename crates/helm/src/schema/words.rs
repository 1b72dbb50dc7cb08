//! What the schema validator finds, in the words of the one that Helm uses.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Retrieve, Uri, ValidationError};
use serde_json::Value;

/// Remote references: URNs that nobody knows accept everything, anything else cannot be read from here.
struct Remote;

impl Retrieve for Remote {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        match uri.as_str().starts_with("urn:") {
            true => Ok(Value::Bool(true)),
            false => Err(format!("{uri}: references to other places are not followed").into()),
        }
    }
}

/// Validates; `Err` lists what is wrong.
pub(super) fn validate(schema: &Value, instance: &Value) -> Result<(), String> {
    let validator = jsonschema::options()
        .with_retriever(Remote)
        .with_base_uri("file:///values.schema.json")
        .build(schema)
        .map_err(|error| format!("unable to compile schema: {error}"))?;
    let mut errors: Vec<ValidationError<'_>> = validator.iter_errors(instance).collect();
    if errors.is_empty() {
        return Ok(());
    }
    errors.sort_by(|a, b| a.instance_path().as_str().cmp(b.instance_path().as_str()));
    let mut out = String::new();
    for error in merge_required(&errors) {
        line(&error, 0, &mut out);
    }
    Ok(()).and(Err(out))
}

/// One finding, and those it consists of.
struct Finding {
    place: String,
    text: String,
    causes: Vec<Finding>,
}

/// Several missing properties of one object are one finding.
fn merge_required(errors: &[ValidationError<'_>]) -> Vec<Finding> {
    let mut out: Vec<Finding> = Vec::new();
    let mut missing: Vec<(String, Vec<String>, usize)> = Vec::new();
    for error in errors {
        let place = error.instance_path().as_str().to_owned();
        if let ValidationErrorKind::Required { property } = error.kind() {
            let name = quote(property.as_str().unwrap_or_default());
            match missing.iter_mut().find(|(known, _, _)| *known == place) {
                Some((_, names, _)) => names.push(name),
                None => {
                    missing.push((place.clone(), vec![name], out.len()));
                    out.push(Finding { place, text: String::new(), causes: Vec::new() });
                }
            }
            continue;
        }
        out.push(finding(error, place));
    }
    for (_, names, at) in missing {
        let word = if names.len() == 1 { "missing property" } else { "missing properties" };
        if let Some(finding) = out.get_mut(at) {
            finding.text = format!("{word} {}", names.join(", "));
        }
    }
    out
}

fn finding(error: &ValidationError<'_>, place: String) -> Finding {
    let causes = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flat_map(|branch| merge_required(branch)).collect()
        }
        _ => Vec::new(),
    };
    Finding { place, text: words(error), causes }
}

fn line(finding: &Finding, depth: usize, out: &mut String) {
    out.push_str(&"  ".repeat(depth));
    out.push_str(&format!("- at {}: {}\n", quote(&finding.place), finding.text));
    for cause in &finding.causes {
        line(cause, depth + 1, out);
    }
}

fn words(error: &ValidationError<'_>) -> String {
    let instance = error.instance();
    let length = || match &**instance {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.chars().count(),
        _ => 0,
    };
    match error.kind() {
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(many) => {
                    many.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or ")
                }
            };
            format!("got {}, want {wanted}", type_of(instance))
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| quote(name)).collect();
            format!("additional properties {} not allowed", names.join(", "))
        }
        ValidationErrorKind::AdditionalItems { limit } => {
            format!("last {} additionalItem(s) not allowed", length().saturating_sub(*limit))
        }
        ValidationErrorKind::AnyOf { .. } => "'anyOf' failed".into(),
        ValidationErrorKind::OneOfNotValid { .. } => "'oneOf' failed, none matched".into(),
        ValidationErrorKind::OneOfMultipleValid { context } => {
            let valid: Vec<String> = (0..context.len())
                .filter(|at| context.get(*at).is_some_and(Vec::is_empty))
                .map(|at| at.to_string())
                .take(2)
                .collect();
            format!("'oneOf' failed, subschemas {} matched", valid.join(", "))
        }
        ValidationErrorKind::Not { .. } => "'not' failed".into(),
        ValidationErrorKind::FalseSchema => "false schema".into(),
        ValidationErrorKind::Constant { expected_value } => match &**expected_value {
            Value::Array(_) | Value::Object(_) => "'const' failed".into(),
            other => format!("value must be {}", display(other)),
        },
        ValidationErrorKind::Enum { options } => enumeration(options),
        ValidationErrorKind::Pattern { pattern } => {
            format!(
                "{} does not match pattern {}",
                quote(instance.as_str().unwrap_or_default()),
                quote(pattern)
            )
        }
        ValidationErrorKind::Format { format } => {
            format!("{} is not valid {format}: invalid {format}", display(instance))
        }
        ValidationErrorKind::MinLength { limit } => format!("minLength: got {}, want {limit}", length()),
        ValidationErrorKind::MaxLength { limit } => format!("maxLength: got {}, want {limit}", length()),
        ValidationErrorKind::MinItems { limit } => format!("minItems: got {}, want {limit}", length()),
        ValidationErrorKind::MaxItems { limit } => format!("maxItems: got {}, want {limit}", length()),
        ValidationErrorKind::MinProperties { limit } => {
            format!("minProperties: got {}, want {limit}", length())
        }
        ValidationErrorKind::MaxProperties { limit } => {
            format!("maxProperties: got {}, want {limit}", length())
        }
        ValidationErrorKind::Minimum { limit } => bound("minimum", instance, limit),
        ValidationErrorKind::Maximum { limit } => bound("maximum", instance, limit),
        ValidationErrorKind::ExclusiveMinimum { limit } => bound("exclusiveMinimum", instance, limit),
        ValidationErrorKind::ExclusiveMaximum { limit } => bound("exclusiveMaximum", instance, limit),
        ValidationErrorKind::UniqueItems => unique(instance),
        ValidationErrorKind::Contains => "no items match contains schema".into(),
        ValidationErrorKind::PropertyNames { error } => {
            format!("invalid propertyName {}", display(error.instance()))
        }
        ValidationErrorKind::UnevaluatedProperties { .. } | ValidationErrorKind::UnevaluatedItems { .. } => {
            "false schema".into()
        }
        _ => error.to_string(),
    }
}

fn bound(word: &str, got: &Value, want: &Value) -> String {
    format!("{word}: got {}, want {}", display(got), display(want))
}

fn unique(instance: &Value) -> String {
    let items = instance.as_array().map(Vec::as_slice).unwrap_or_default();
    for (j, b) in items.iter().enumerate() {
        if let Some(i) = items.iter().take(j).position(|a| a == b) {
            return format!("items at {i} and {j} are equal");
        }
    }
    "items are equal".into()
}

fn enumeration(options: &Value) -> String {
    let items = options.as_array().map(Vec::as_slice).unwrap_or_default();
    if items.iter().any(|item| item.is_array() || item.is_object()) {
        return "'enum' failed".into();
    }
    let shown: Vec<String> = items.iter().map(display).collect();
    match shown.as_slice() {
        [one] => format!("value must be {one}"),
        many => format!("value must be one of {}", many.join(", ")),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn display(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => quote(text),
        Value::Array(_) | Value::Object(_) => "value".into(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), crate::values::format_g),
        Value::Bool(flag) => flag.to_string(),
    }
}

/// Single quotes around, escapes as in Go.
fn quote(text: &str) -> String {
    let quoted = crate::error::quote(text).replace("\\\"", "\"").replace('\'', "\\'");
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    format!("'{inner}'")
}
