//! `ValidatingAdmissionPolicy`: bindings, parameters, match conditions, variables, validations.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::{Context as Scope, Value as Cel};
use object::{LabelSelector, get, get_str, meta};
use serde_json::{Value, json};

use super::expressions::{self, Condition};
use super::matching::Request;
use crate::api::write::Context;
use crate::app::App;
use crate::catalog::Resource;
use crate::status::{Cause, Failure};

const POLICIES: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";
/// Judges a write by the policies that are bound.
pub fn check(
    app: &Arc<App>,
    resource: &Resource,
    context: &Context,
    value: Option<&Value>,
    live: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    if app.store.count(BINDINGS, "") == 0 || is_policy(resource) {
        return Ok(());
    }
    let request = Request { app, resource, context, value, live };
    let (_, bindings) = app.store.list(BINDINGS, "");
    for binding in bindings {
        let binding = binding.value();
        let name = get_str(&binding, &["spec", "policyName"]).unwrap_or_default();
        let Some(policy) = app.tree(POLICIES, name) else { continue };
        let part = |object: &Value, field: &str| get(object, &["spec", field]).cloned();
        let meant = part(&policy, "matchConstraints").is_some_and(|own| request.matches(&own))
            && part(&binding, "matchResources").is_none_or(|own| request.matches(&own));
        if meant {
            Bound { request: &request, policy: &policy, binding: &binding }.judge(warnings)?;
        }
    }
    Ok(())
}

/// Refuses expressions of policies and webhooks that cannot be read; what was stored already may stay.
pub fn check_expressions(app: &App, value: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let mut found = Vec::new();
    for (index, webhook) in list_of(value, &["webhooks"]).iter().enumerate() {
        collect(webhook, &["matchConditions"], &format!("webhooks[{index}]."), &mut found);
    }
    for field in ["matchConditions", "validations", "variables", "auditAnnotations"] {
        collect(value, &["spec", field], "", &mut found);
    }
    let before = old.map(ToString::to_string).unwrap_or_default();
    for (path, expression) in found {
        if let Err(error) = &*app.programs.get(expression) {
            let text = Value::from(expression);
            if !before.contains(&text.to_string()) {
                causes.push(Cause::invalid(path, &text, format!("compilation failed: {error}")));
            }
        }
    }
}

fn list_of<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    get(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn collect<'a>(value: &'a Value, path: &[&str], before: &str, found: &mut Vec<(String, &'a str)>) {
    for (index, item) in list_of(value, path).iter().enumerate() {
        for field in ["expression", "messageExpression", "valueExpression"] {
            if let Some(text) = get_str(item, &[field]).filter(|text| !text.trim().is_empty()) {
                found.push((format!("{before}{}[{index}].{field}", path.join(".")), text));
            }
        }
    }
}

/// Policies cannot lock out those who would repair them.
fn is_policy(resource: &Resource) -> bool {
    &*resource.group == "admissionregistration.k8s.io"
        && (resource.name.starts_with("validatingadmissionpolic")
            || resource.name.starts_with("mutatingadmissionpolic"))
}

/// A policy with one of its bindings.
struct Bound<'a> {
    request: &'a Request<'a>,
    policy: &'a Value,
    binding: &'a Value,
}

/// A validation that did not hold.
struct Denial {
    message: String,
    reason: String,
}

impl Bound<'_> {
    fn judge(&self, warnings: &mut Vec<String>) -> Result<(), Failure> {
        let fails = get_str(self.policy, &["spec", "failurePolicy"]) != Some("Ignore");
        let denials = match self.params() {
            Ok(params) => {
                let mut all = Vec::new();
                for param in params {
                    all.extend(self.denials(param.as_ref(), fails));
                }
                all
            }
            Err(message) if fails => vec![Denial { message, reason: "Invalid".into() }],
            Err(_) => Vec::new(),
        };
        let actions = get(self.binding, &["spec", "validationActions"]).and_then(Value::as_array);
        let acts = |action: &str| actions.is_some_and(|list| list.iter().any(|own| own == action));
        let (policy, binding) = (meta::name(self.policy), meta::name(self.binding));
        for denial in &denials {
            if acts("Warn") {
                warnings.push(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {}",
                    denial.message
                ));
            }
        }
        match denials.into_iter().next() {
            Some(denial) if acts("Deny") || actions.is_none() => {
                let message = format!(
                    "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {}",
                    denial.message
                );
                Err(self.refuse(&message, &denial.reason))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, message: &str, reason: &str) -> Failure {
        let resource = self.request.resource;
        let code = match reason {
            "Unauthorized" => 401,
            "Forbidden" => 403,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        };
        let forbidden = Failure::forbidden(&resource.group, &resource.name, self.request.name(), message);
        let text = forbidden.message().to_owned();
        let reason: &'static str = match reason {
            "Unauthorized" => "Unauthorized",
            "Forbidden" => "Forbidden",
            "RequestEntityTooLarge" => "RequestEntityTooLarge",
            _ => "Invalid",
        };
        Failure::new(code, reason, text)
            .about(&resource.group, &resource.name, self.request.name())
            .detail("causes", json!([{"message": message}]))
    }

    /// The parameter objects: one `None` for a policy without parameters.
    fn params(&self) -> Result<Vec<Option<Value>>, String> {
        let Some(kind) = get(self.policy, &["spec", "paramKind"]) else { return Ok(vec![None]) };
        let Some(reference) = get(self.binding, &["spec", "paramRef"]) else { return Ok(vec![None]) };
        let text = |field: &str| get_str(kind, &[field]).unwrap_or_default();
        let catalog = self.request.app.catalog();
        let gvk = object::Gvk::from_api_version(text("apiVersion"), text("kind"));
        let resource = catalog.find_kind(&gvk.group, &gvk.version, &gvk.kind).ok_or_else(|| {
            format!(
                "failed to find resource referenced by paramKind: '{}, Kind={}'",
                text("apiVersion"),
                gvk.kind
            )
        })?;
        let own = get_str(reference, &["namespace"]).unwrap_or_default();
        let namespace = match (resource.namespaced, own.is_empty()) {
            (false, _) => "",
            (true, true) => self.request.namespace(),
            (true, false) => own,
        };
        let store = &self.request.app.store;
        let found: Vec<Value> = match get_str(reference, &["name"]).filter(|name| !name.is_empty()) {
            Some(name) => {
                store.get(&resource.table, &resource.key(namespace, name)).iter().map(|o| o.value()).collect()
            }
            None => {
                let selector =
                    get(reference, &["selector"]).and_then(|own| LabelSelector::from_object(own).ok());
                let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
                let (_, all) = store.list(&resource.table, &prefix);
                let chosen = |key: &Arc<crate::store::Object>| {
                    selector.as_ref().is_some_and(|own| own.matches_by(|label| key.label(label)))
                };
                all.iter().filter(|object| chosen(object)).map(|object| object.value()).collect()
            }
        };
        if found.is_empty() {
            let allows = get_str(reference, &["parameterNotFoundAction"]) == Some("Allow");
            return if allows {
                Ok(Vec::new())
            } else {
                Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned())
            };
        }
        Ok(found.into_iter().map(Some).collect())
    }

    fn denials(&self, params: Option<&Value>, fails: bool) -> Vec<Denial> {
        let errors = |message: String| {
            if fails { vec![Denial { message, reason: "Invalid".into() }] } else { Vec::new() }
        };
        let mut scope = expressions::scope(self.request, params);
        let list = |field: &str| get(self.policy, &["spec", field]).and_then(Value::as_array);
        let programs = &self.request.app.programs;
        match expressions::conditions(programs, list_of(self.policy, &["spec", "matchConditions"]), &scope) {
            Condition::Holds => {}
            Condition::Fails => return Vec::new(),
            Condition::Unknown(all) => return errors(all.join(", ")),
        }
        self.variables(&mut scope);
        let mut denials = Vec::new();
        for validation in list("validations").into_iter().flatten() {
            let expression = get_str(validation, &["expression"]).unwrap_or_default();
            let reason = get_str(validation, &["reason"]).unwrap_or("Invalid").to_owned();
            match self.run(expression, &scope) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => {
                    denials.push(Denial { message: self.message(validation, expression, &scope), reason })
                }
                Err(error) => denials.extend(errors(error)),
            }
        }
        denials
    }

    fn message(&self, validation: &Value, expression: &str, scope: &Scope<'_>) -> String {
        if let Some(own) = get_str(validation, &["messageExpression"])
            && let Ok(Cel::String(text)) = self.run(own, scope)
            && !text.trim().is_empty()
            && !text.contains('\n')
        {
            return text.trim().to_owned();
        }
        match get_str(validation, &["message"]).map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => text.to_owned(),
            None => format!("failed expression: {}", expression.trim()),
        }
    }

    /// `variables`, each of which may use those before it. One that fails is missing where it is used.
    fn variables(&self, scope: &mut Scope<'static>) {
        let list = get(self.policy, &["spec", "variables"]).and_then(Value::as_array);
        let mut known: HashMap<String, Cel> = HashMap::new();
        scope.add_variable_from_value("variables", known.clone());
        for variable in list.into_iter().flatten() {
            let text = |field: &str| get_str(variable, &[field]).unwrap_or_default();
            match self.run(text("expression"), scope) {
                Ok(value) => {
                    known.insert(text("name").to_owned(), value);
                    scope.add_variable_from_value("variables", known.clone());
                }
                Err(error) => tracing::debug!(error, variable = text("name"), "a policy's variable fails"),
            }
        }
    }

    fn run(&self, expression: &str, scope: &Scope<'_>) -> Result<Cel, String> {
        self.request.app.programs.run(expression, scope)
    }
}
