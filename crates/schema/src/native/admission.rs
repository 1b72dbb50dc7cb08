//! The rules of admission policies and of what requests they and webhooks are for.

use object::{Value, meta};

use super::at::{At, Errors};
use super::{names, validate};

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
const ONE: &str = "validations or auditAnnotations must contain at least one item";
const MOST_ANNOTATIONS: usize = 20;
const MOST_CONDITIONS: usize = 64;
const LONGEST_VALUE: usize = 5 * 1024;

/// A ValidatingAdmissionPolicy, but for what its expressions mean.
pub(super) fn policy(object: &Value, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    spec.get("failurePolicy").one_of(&["Fail", "Ignore"], errors);
    if spec.get("paramKind").some() {
        param_kind(&spec.get("paramKind"), errors);
    }
    let constraints = spec.get("matchConstraints");
    if constraints.some() {
        resources(&constraints, errors);
        constraints.get("resourceRules").must(errors);
    } else {
        constraints.required(errors);
    }
    conditions(&spec.get("matchConditions"), errors);
    for own in spec.get("variables").items() {
        variable(&own, errors);
    }
    let (validations, annotations) = (spec.get("validations"), spec.get("auditAnnotations"));
    if validations.len() == 0 && annotations.len() == 0 {
        validations.required_because(ONE, errors);
        annotations.required_because(ONE, errors);
        return;
    }
    for own in validations.items() {
        validation(&own, errors);
    }
    if annotations.len() > MOST_ANNOTATIONS {
        let why = format!("must not have more than {MOST_ANNOTATIONS} auditAnnotations");
        annotations.invalid(why, errors);
    }
    let mut seen = Vec::new();
    for own in annotations.items() {
        annotation(meta::name(object), &own, errors);
        let key = own.get("key");
        if seen.contains(&key.text()) {
            key.duplicate(key.text(), errors);
        }
        seen.push(key.text());
    }
}

/// The kind of a policy's parameters.
fn param_kind(own: &At<'_>, errors: &mut Errors) {
    let (version, kind) = (own.get("apiVersion"), own.get("kind"));
    if version.must(errors) {
        let text = version.text();
        match text.split('/').collect::<Vec<_>>().as_slice() {
            [own] => named_version(&version, "", own, errors),
            ["", ""] => version.invalid("version must be specified", errors),
            [group, own] => named_version(&version, group, own, errors),
            _ => version.invalid(format!("unexpected GroupVersion string: {text}"), errors),
        }
    }
    if kind.must(errors) {
        let wrong = names::dns_1035_labels(&kind.text().to_lowercase());
        if !wrong.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            kind.invalid(why, errors);
        }
    }
}

fn named_version(own: &At<'_>, group: &str, version: &str, errors: &mut Errors) {
    let groups = if group.is_empty() { Vec::new() } else { names::dns_subdomains(group) };
    if !groups.is_empty() {
        own.invalid_as(group, groups.join(","), errors);
    }
    if version.is_empty() {
        own.invalid("version must be specified", errors);
        return;
    }
    let wrong = names::dns_1035_labels(version);
    if !wrong.is_empty() {
        own.invalid_as(version, wrong.join(","), errors);
    }
}

/// Which requests a policy is for.
fn resources(own: &At<'_>, errors: &mut Errors) {
    own.get("matchPolicy").one_of(&["Equivalent", "Exact"], errors);
    for field in ["namespaceSelector", "objectSelector"] {
        let selector = own.get(field);
        if selector.some() {
            validate::selector(selector.value, &selector.path, errors);
        } else {
            selector.required(errors);
        }
    }
    for own in own.get("resourceRules").items().chain(own.get("excludeResourceRules").items()) {
        let mut seen = Vec::new();
        for name in own.get("resourceNames").items() {
            name.judge(names::path_segments(name.text()), errors);
            if seen.contains(&name.text()) {
                name.duplicate(name.text(), errors);
            }
            seen.push(name.text());
        }
        rule(&own, errors);
    }
}

/// A rule that says which requests something is for.
pub(super) fn rule(own: &At<'_>, errors: &mut Errors) {
    let list = |field: &str, what: &str, errors: &mut Errors| {
        let list = own.get(field);
        list.must(errors);
        if list.len() > 1 && list.texts().contains(&"*") {
            list.invalid(format!("if '*' is present, must not specify other {what}"), errors);
        }
        list
    };
    for operation in list("operations", "operations", errors).items() {
        operation.one_of(OPERATIONS, errors);
    }
    list("apiGroups", "API groups", errors);
    for version in list("apiVersions", "API versions", errors).items() {
        version.must(errors);
    }
    named_resources(&own.get("resources"), errors);
    own.get("scope").may_be_one_of(&["*", "Cluster", "Namespaced"], errors);
}

/// What a wildcard names already is not named again.
fn named_resources(own: &At<'_>, errors: &mut Errors) {
    own.must(errors);
    let (mut parents, mut parts) = (Vec::new(), Vec::new());
    let (mut all, mut parent, mut plain) = (false, false, false);
    for item in own.items() {
        let text = item.text();
        match text {
            "" => {
                item.required(errors);
                continue;
            }
            "*/*" => all = true,
            "*" => parent = true,
            _ => {}
        }
        let Some((resource, part)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if parents.contains(&resource) {
            item.invalid(format!("if '{resource}/*' is present, must not specify {text}"), errors);
        }
        if parts.contains(&part) {
            item.invalid(format!("if '*/{part}' is present, must not specify {text}"), errors);
        }
        if part == "*" {
            parents.push(resource);
        }
        if resource == "*" {
            parts.push(part);
        }
    }
    if own.len() > 1 && all {
        own.invalid("if '*/*' is present, must not specify other resources", errors);
    }
    if parent && plain {
        own.invalid("if '*' is present, must not specify other resources without subresources", errors);
    }
}

/// Conditions under which a request is looked at.
fn conditions(own: &At<'_>, errors: &mut Errors) {
    if own.len() > MOST_CONDITIONS {
        errors.push(crate::FieldError::too_many(&own.path, own.len() as i64, MOST_CONDITIONS as i64));
    }
    let mut seen = Vec::new();
    for own in own.items() {
        let (name, expression) = (own.get("name"), own.get("expression"));
        if expression.text().trim().is_empty() {
            expression.required(errors);
        }
        if name.must(errors) {
            name.qualified(errors);
            if seen.contains(&name.text()) {
                name.duplicate(name.text(), errors);
            }
            seen.push(name.text());
        }
    }
}

fn variable(own: &At<'_>, errors: &mut Errors) {
    let (name, expression) = (own.get("name"), own.get("expression"));
    if name.text().trim().is_empty() {
        name.required_because("name is not specified", errors);
    } else if !is_identifier(name.text()) {
        name.invalid("must be a valid CEL identifier", errors);
    }
    if expression.text().trim().is_empty() {
        expression.required_because("expression is not specified", errors);
    }
}

/// Whether CEL reads a text as a name.
fn is_identifier(text: &str) -> bool {
    const TAKEN: &[&str] = &[
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ];
    let mut characters = text.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !TAKEN.contains(&text)
}

fn validation(own: &At<'_>, errors: &mut Errors) {
    const EMPTY: &str = "must be non-empty if specified";
    let blank = |own: &At<'_>| !own.text().is_empty() && own.text().trim().is_empty();
    let (message, computed) = (own.get("message"), own.get("messageExpression"));
    if own.get("expression").text().trim().is_empty() {
        own.get("expression").required_because("expression is not specified", errors);
    }
    if blank(&computed) {
        computed.invalid(EMPTY, errors);
    }
    if blank(&message) {
        message.invalid(EMPTY, errors);
    } else if message.text().trim().contains(['\n', '\r']) {
        message.invalid("must not contain line breaks", errors);
    }
    own.get("reason").may_be_one_of(REASONS, errors);
}

fn annotation(policy: &str, own: &At<'_>, errors: &mut Errors) {
    let (key, value) = (own.get("key"), own.get("valueExpression"));
    if policy.is_empty() {
        key.invalid_as(key.text(), "requires metadata.name be non-empty", errors);
    } else {
        let name = format!("{policy}/{}", key.text());
        for why in names::qualified_names(&name) {
            key.invalid_as(name.as_str(), why, errors);
        }
    }
    match value.text().trim().len() {
        0 => value.required_because("valueExpression is not specified", errors),
        length if length > LONGEST_VALUE => {
            value.required_because(&format!("must not exceed {LONGEST_VALUE} bytes in length"), errors);
        }
        _ => {}
    }
}

/// A ValidatingAdmissionPolicyBinding.
pub(super) fn binding(object: &Value, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    let name = spec.get("policyName");
    if name.must(errors) {
        name.subdomain(errors);
    }
    if spec.get("paramRef").some() {
        params(&spec.get("paramRef"), errors);
    }
    if spec.get("matchResources").some() {
        resources(&spec.get("matchResources"), errors);
    }
    let actions = spec.get("validationActions");
    let mut seen = Vec::new();
    for own in actions.items() {
        own.one_of(&["Audit", "Deny", "Warn"], errors);
        if seen.contains(&own.text()) {
            own.duplicate(own.text(), errors);
        }
        seen.push(own.text());
    }
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                   API response and headers serves no purpose)";
        actions.invalid(why, errors);
    }
    if seen.is_empty() {
        actions.required_because("at least one validation action is required", errors);
    }
}

fn params(own: &At<'_>, errors: &mut Errors) {
    const BOTH: &str = "name and selector are mutually exclusive";
    let (name, selector) = (own.get("name"), own.get("selector"));
    let named = !name.text().is_empty();
    if named {
        name.judge(names::path_segments(name.text()), errors);
        if selector.some() {
            name.forbidden(BOTH, errors);
        }
    }
    if selector.some() {
        validate::selector(selector.value, &selector.path, errors);
        if named {
            selector.forbidden(BOTH, errors);
        }
    }
    if !named && !selector.some() {
        own.required_because("one of name or selector must be specified", errors);
    }
    own.get("parameterNotFoundAction").must_be_one_of(&["Deny", "Allow"], errors);
}
