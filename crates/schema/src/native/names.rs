//! The rules for names, labels and their like, with the messages of the Kubernetes API.

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

fn too_long(most: usize) -> String {
    format!("must be no more than {most} characters")
}

fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// What is wrong with an RFC 1123 label.
pub fn dns_label(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    if is_label(text) {
        return None;
    }
    let dotted = text.split('.').all(is_label);
    Some(if dotted { "must not contain dots".to_owned() } else { LABEL.to_owned() })
}

/// What is wrong with an RFC 1123 subdomain.
pub fn dns_subdomain(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some(too_long(253));
    }
    (!text.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned())
}

/// What is wrong with a DNS-1035 label.
pub fn dns_1035_label(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    let fits = is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    (!fits).then(|| LABEL_1035.to_owned())
}

/// What is wrong with a group name: a subdomain with a dot.
pub fn qualified_domain(text: &str) -> Option<String> {
    dns_subdomain(text)
        .or_else(|| (!text.contains('.')).then(|| "should be a domain with at least one dot".to_owned()))
}

/// What is wrong with a name that is one segment of a path.
pub fn path_segment(text: &str) -> Option<String> {
    match text {
        "." | ".." => Some(format!("may not be '{text}'")),
        _ if text.contains('/') => Some("may not contain '/'".to_owned()),
        _ if text.contains('%') => Some("may not contain '%'".to_owned()),
        _ => None,
    }
}

/// What is wrong with the key of a label or annotation.
pub fn qualified_name(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        ["", _] => return Some("prefix part must be non-empty".to_owned()),
        [prefix, name] => {
            if let Some(message) = dns_subdomain(prefix) {
                return Some(format!("prefix part {message}"));
            }
            name
        }
        _ => {
            return Some(format!(
                "a qualified {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
        }
    };
    match name.len() {
        0 => Some(format!("name part must be non-empty; {QUALIFIED}")),
        64.. => Some(format!("name part {}", too_long(63))),
        _ => (!is_word(name)).then(|| QUALIFIED.to_owned()),
    }
}

/// What is wrong with the value of a label.
pub fn label_value(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    (!text.is_empty() && !is_word(text)).then(|| VALUE.to_owned())
}

/// What is wrong with a key of a ConfigMap or Secret.
pub fn config_key(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some(too_long(253));
    }
    if matches!(text, "." | "..") {
        return Some(format!("must not be '{text}'"));
    }
    if text.starts_with("..") {
        return Some("must not start with '..'".to_owned());
    }
    let fits =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (!fits).then(|| CONFIG_KEY.to_owned())
}

/// What is wrong with the name of a port.
pub fn port_name(text: &str) -> Option<String> {
    if text.len() > 15 {
        return Some("must be no more than 15 characters".to_owned());
    }
    if !text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.chars().any(|c| c.is_ascii_lowercase()) {
        return Some("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        return Some("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Some("must not begin or end with a hyphen".to_owned());
    }
    None
}
