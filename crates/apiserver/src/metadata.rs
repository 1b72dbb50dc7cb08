//! Rules for `metadata` that hold for every kind: names, labels, annotations, finalizers, owners.

use object::meta;
use serde_json::Value;

use crate::catalog::Resource;
use crate::status::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// All annotations together.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// What is wrong with an object's metadata.
pub fn validate(resource: &Resource, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let (name, generate) = (meta::name(value), meta::generate_name(value));
    if name.is_empty() && generate.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = name_problem(resource, name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), why));
    }
    if resource.namespaced {
        let namespace = meta::namespace(value).unwrap_or_default();
        if namespace.is_empty() {
            causes.push(Cause::required("metadata.namespace", ""));
        } else if let Some(why) = label_problem(namespace) {
            causes.push(Cause::invalid("metadata.namespace", &namespace.into(), why));
        }
    }
    labels(value, &mut causes);
    annotations(value, &mut causes);
    finalizers(value, &mut causes);
    owners(value, &mut causes);
    causes
}

/// What an update must not do to metadata.
pub fn validate_update(live: &Value, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if meta::uid(value) != meta::uid(live) {
        causes.push(Cause::invalid("metadata.uid", &meta::uid(value).into(), "field is immutable"));
    }
    if meta::deletion_timestamp(live).is_some() {
        let new: Vec<&str> = meta::finalizers(value)
            .filter(|finalizer| !meta::finalizers(live).any(|old| old == *finalizer))
            .collect();
        if !new.is_empty() {
            let shown: Vec<String> = new.iter().map(|f| format!("{f:?}")).collect();
            causes.push(Cause::forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    shown.join(", ")
                ),
            ));
        }
    }
    causes
}

fn name_problem(resource: &Resource, name: &str) -> Option<String> {
    match (&*resource.group, &*resource.name) {
        ("", "namespaces") => label_problem(name),
        ("", "services") => label_1035_problem(name),
        ("rbac.authorization.k8s.io", _) => path_segment_problem(name),
        ("networking.k8s.io", "ipaddresses") => None,
        ("apiextensions.k8s.io", _) | ("apiregistration.k8s.io", _) => subdomain_problem(name),
        _ => subdomain_problem(name),
    }
}

fn path_segment_problem(name: &str) -> Option<String> {
    if name == "." || name == ".." {
        return Some(format!("may not be '{name}'"));
    }
    let bad: Vec<&str> = ["/", "%"].into_iter().filter(|c| name.contains(c)).collect();
    if bad.is_empty() {
        return None;
    }
    Some(bad.iter().map(|c| format!("may not contain '{c}'")).collect::<Vec<_>>().join(", "))
}

fn is_label(name: &str) -> bool {
    let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => ok(*first) && ok(*last) && bytes.iter().all(|c| ok(*c) || *c == b'-'),
        _ => false,
    }
}

/// What is wrong with a DNS subdomain.
pub fn subdomain_problem(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 bytes".to_owned());
    }
    (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned())
}

/// What is wrong with a DNS label.
pub fn label_problem(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    (!is_label(name)).then(|| LABEL.to_owned())
}

fn label_1035_problem(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    let starts = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    (!(starts && is_label(name))).then(|| LABEL_1035.to_owned())
}

fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && bytes.iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
        }
        _ => false,
    }
}

/// What is wrong with a label key, annotation key or finalizer.
pub fn qualified_name_problem(text: &str) -> Option<String> {
    let (prefix, name) = match text.split_once('/') {
        None => (None, text),
        Some((prefix, name)) if !name.contains('/') => (Some(prefix), name),
        Some(_) => {
            return Some("a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')".to_owned());
        }
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".to_owned());
        }
        if let Some(why) = subdomain_problem(prefix) {
            return Some(format!("prefix part {why}"));
        }
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 bytes".to_owned());
    }
    (!is_name_part(name)).then(|| QUALIFIED.to_owned())
}

fn labels(value: &Value, causes: &mut Vec<Cause>) {
    for (key, label) in meta::labels(value).into_iter().flatten() {
        if let Some(why) = qualified_name_problem(key) {
            causes.push(Cause::invalid("metadata.labels", &key.as_str().into(), why));
        }
        let text = label.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(Cause::invalid("metadata.labels", label, "must be no more than 63 bytes"));
        } else if !text.is_empty() && !is_name_part(text) {
            causes.push(Cause::invalid("metadata.labels", label, LABEL_VALUE));
        }
    }
}

fn annotations(value: &Value, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, text) in meta::annotations(value).into_iter().flatten() {
        if let Some(why) = qualified_name_problem(&key.to_ascii_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), why));
        }
        size += key.len() + text.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            field: "metadata.annotations".into(),
            message: format!("Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"),
        });
    }
}

fn finalizers(value: &Value, causes: &mut Vec<Cause>) {
    let mut both = (false, false);
    for finalizer in meta::finalizers(value) {
        both.0 |= finalizer == "orphan";
        both.1 |= finalizer == "foregroundDeletion";
        if let Some(why) = qualified_name_problem(finalizer) {
            causes.push(Cause::invalid("metadata.finalizers", &finalizer.into(), why));
        }
    }
    if both == (true, true) {
        let list = object::get(value, &["metadata", "finalizers"]).cloned().unwrap_or_default();
        causes.push(Cause::invalid(
            "metadata.finalizers",
            &list,
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
}

fn owners(value: &Value, causes: &mut Vec<Cause>) {
    let Some(Value::Array(list)) = object::get(value, &["metadata", "ownerReferences"]) else {
        return;
    };
    let mut controllers = 0;
    for (at, owner) in list.iter().enumerate() {
        let path = format!("metadata.ownerReferences[{at}]");
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if object::get_str(owner, &[field]).unwrap_or_default().is_empty() {
                let field = if field == "apiVersion" {
                    format!("{path}.apiVersion")
                } else {
                    format!("{path}.{field}")
                };
                causes.push(Cause::invalid(field, &"".into(), why));
            }
        }
        if object::get_bool(owner, &["controller"]) == Some(true) {
            controllers += 1;
        }
    }
    if controllers > 1 {
        causes.push(Cause::invalid(
            "metadata.ownerReferences",
            &Value::Array(list.clone()),
            "Only one reference can have Controller set to true",
        ));
    }
}
