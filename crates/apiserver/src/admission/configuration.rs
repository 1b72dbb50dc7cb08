//! What is wrong with a configuration of webhooks.

use std::collections::BTreeSet;

use object::{get, get_i64, get_str};
use serde_json::Value;
use url::Url;

use crate::status::Cause;

/// The versions of reviews that are understood.
const REVIEWS: &[&str] = &["v1", "v1beta1"];
const QUIET: &[&str] = &["None", "NoneOnDryRun"];
const FORM: &str = "; desired format: https://host[/path]";

/// Judges `webhooks`. What was wrong before in this respect may stay wrong.
pub fn check(value: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let hooks =
        |value: &Value| get(value, &["webhooks"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let before = old.map(hooks).unwrap_or_default();
    let quiet = |hook: &Value| get_str(hook, &["sideEffects"]).is_none_or(|own| QUIET.contains(&own));
    let known = |hook: &Value| texts(hook, "admissionReviewVersions").iter().any(|own| REVIEWS.contains(own));
    let all_quiet = before.iter().all(quiet);
    let all_known = before.iter().all(known);
    let mut names = BTreeSet::new();
    for (index, hook) in hooks(value).iter().enumerate() {
        let path = format!("webhooks[{index}]");
        check_hook(hook, &path, all_quiet, causes);
        check_versions(hook, &format!("{path}.admissionReviewVersions"), all_known, causes);
        let name = get_str(hook, &["name"]).unwrap_or_default();
        if !name.is_empty() && !names.insert(name.to_owned()) {
            causes.push(Cause {
                reason: "FieldValueDuplicate",
                field: format!("{path}.name"),
                message: format!("Duplicate value: {name:?}"),
            });
        }
    }
}

fn texts<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    get(value, &[field]).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn check_hook(hook: &Value, path: &str, quiet: bool, causes: &mut Vec<Cause>) {
    check_name(get_str(hook, &["name"]).unwrap_or_default(), &format!("{path}.name"), causes);
    for (index, rule) in get(hook, &["rules"]).and_then(Value::as_array).into_iter().flatten().enumerate() {
        let errors = schema::native::validate_admission_rule(rule, &format!("{path}.rules[{index}]"));
        causes.extend(errors.into_iter().map(crate::types::cause));
    }
    let mut one_of = |field: &str, allowed: &[&str]| {
        if let Some(own) = get_str(hook, &[field])
            && !allowed.contains(&own)
        {
            causes.push(Cause::unsupported(format!("{path}.{field}"), &own.into(), allowed));
        }
    };
    one_of("failurePolicy", &["Fail", "Ignore"]);
    one_of("matchPolicy", &["Equivalent", "Exact"]);
    let effects = if quiet { QUIET } else { &["None", "NoneOnDryRun", "Some", "Unknown"] };
    one_of("sideEffects", effects);
    one_of("reinvocationPolicy", &["IfNeeded", "Never"]);
    if get_str(hook, &["sideEffects"]).is_none() {
        let why = format!("must specify one of {}", effects.join(", "));
        causes.push(Cause::required(format!("{path}.sideEffects"), &why));
    }
    if let Some(seconds) = get_i64(hook, &["timeoutSeconds"]).filter(|seconds| !(1..=30).contains(seconds)) {
        let why = "the timeout value must be between 1 and 30 seconds";
        causes.push(Cause::invalid(format!("{path}.timeoutSeconds"), &seconds.into(), why));
    }
    check_client(hook, &format!("{path}.clientConfig"), causes);
    check_conditions(hook, &format!("{path}.matchConditions"), causes);
}

/// Names and presence; the expressions themselves are compiled elsewhere.
fn check_conditions(hook: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut names = BTreeSet::new();
    for (index, own) in
        get(hook, &["matchConditions"]).and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        let text = |field: &str| get_str(own, &[field]).unwrap_or_default();
        let name = text("name");
        let at = format!("{path}[{index}].name");
        if name.trim().is_empty() {
            causes.push(Cause::required(at.as_str(), ""));
        } else if let Some(why) = schema::native::qualified_name(name) {
            causes.push(Cause::invalid(at.as_str(), &name.into(), why));
        }
        if text("expression").trim().is_empty() {
            causes.push(Cause::required(format!("{path}[{index}].expression"), ""));
        }
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause {
                reason: "FieldValueDuplicate",
                field: at,
                message: format!("Duplicate value: {name:?}"),
            });
        }
    }
}

/// A name has at least three parts.
fn check_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required(path, ""));
        return;
    }
    if let Some(why) = schema::native::dns_subdomain(name) {
        causes.push(Cause::invalid(path, &name.into(), why));
    } else if name.split('.').count() < 3 {
        let why = "should be a domain with at least three segments separated by dots";
        causes.push(Cause::invalid(path, &name.into(), why));
    }
}

fn check_client(hook: &Value, path: &str, causes: &mut Vec<Cause>) {
    let url = get_str(hook, &["clientConfig", "url"]);
    let service = get(hook, &["clientConfig", "service"]).filter(|own| own.is_object());
    match (url, service) {
        (Some(url), None) => check_url(url, &format!("{path}.url"), causes),
        (None, Some(service)) => check_service(service, &format!("{path}.service"), causes),
        _ => causes.push(Cause::required(path, "exactly one of url or service is required")),
    }
}

fn check_url(text: &str, path: &str, causes: &mut Vec<Cause>) {
    let Ok(url) = Url::parse(text) else {
        causes.push(Cause::required(path, &format!("url must be a valid URL{FORM}")));
        return;
    };
    let mut wrong = |value: &str, why: String| causes.push(Cause::invalid(path, &value.into(), why));
    if url.scheme() != "https" {
        wrong(url.scheme(), format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if url.host_str().unwrap_or_default().is_empty() {
        wrong("", format!("host must be specified{FORM}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let user =
            url.password().map_or_else(|| url.username().to_owned(), |p| format!("{}:{p}", url.username()));
        wrong(&user, "user information is not permitted in the URL".to_owned());
    }
    if let Some(fragment) = url.fragment() {
        wrong(fragment, "fragments are not permitted in the URL".to_owned());
    }
    if let Some(query) = url.query() {
        wrong(query, "query parameters are not permitted in the URL".to_owned());
    }
}

fn check_service(service: &Value, path: &str, causes: &mut Vec<Cause>) {
    // The original names the one when the other is missing.
    for (field, named) in [("namespace", "name"), ("name", "namespace")] {
        if get_str(service, &[field]).unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("{path}.{named}"), ""));
        }
    }
    if let Some(port) = get_i64(service, &["port"]).filter(|port| !(1..=65_535).contains(port)) {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        causes.push(Cause::invalid(format!("{path}.port"), &port.into(), why));
    }
    let Some(own) = get_str(service, &["path"]) else { return };
    let at = format!("{path}.path");
    if matches!(own, "" | "/") {
        return;
    }
    let mut wrong = |why: String| causes.push(Cause::invalid(at.as_str(), &own.into(), why));
    if !own.starts_with('/') {
        wrong("must start with a '/'".to_owned());
    }
    let mut rest = own.chars();
    rest.next();
    let rest = rest.as_str();
    for (index, step) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if step.is_empty() {
            wrong(format!("segment[{index}] may not be empty"));
        } else if let Some(why) = schema::native::dns_subdomain(step) {
            wrong(format!("segment[{index}]: {why}"));
        }
    }
}

fn check_versions(hook: &Value, path: &str, known: bool, causes: &mut Vec<Cause>) {
    let versions = texts(hook, "admissionReviewVersions");
    if versions.is_empty() {
        causes.push(Cause::required(path, &format!("must specify one of {}", REVIEWS.join(", "))));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        if !seen.insert(*version) {
            causes.push(Cause::invalid(format!("{path}[{index}]"), &(*version).into(), "duplicate version"));
            continue;
        }
        for why in schema::native::dns_1035_labels(version) {
            causes.push(Cause::invalid(format!("{path}[{index}]"), &(*version).into(), why));
        }
    }
    if known && !versions.iter().any(|version| REVIEWS.contains(version)) {
        let why = format!("must include at least one of {}", REVIEWS.join(", "));
        causes.push(Cause::invalid(path, &serde_json::json!(versions), why));
    }
}
