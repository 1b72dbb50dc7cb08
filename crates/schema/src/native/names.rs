//! The rules for names, labels and their like, with the messages of the Kubernetes API.

use std::net::IpAddr;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const UNDERSCORED: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const NAMELESS: &str = "name part must be non-empty";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

fn too_long(most: usize) -> String {
    format!("must be no more than {most} characters")
}

/// What is wrong with a text of at most so many characters that has to fit a rule.
fn judged(text: &str, most: usize, fits: bool, rule: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > most {
        wrong.push(too_long(most));
    }
    if !fits {
        wrong.push(rule.to_owned());
    }
    wrong
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

/// Everything that is wrong with an RFC 1123 label.
pub fn dns_labels(text: &str) -> Vec<String> {
    let fits = is_label(text);
    let dotted = !fits && text.split('.').all(is_label);
    judged(text, 63, fits, if dotted { "must not contain dots" } else { LABEL })
}

/// Everything that is wrong with an RFC 1123 subdomain.
pub fn dns_subdomains(text: &str) -> Vec<String> {
    judged(text, 253, text.split('.').all(is_label), SUBDOMAIN)
}

/// Everything that is wrong with an RFC 1123 subdomain whose labels may begin with an underscore and hold some.
pub fn underscored_subdomains(text: &str) -> Vec<String> {
    let fits = |part: &str| {
        let rest = part.strip_prefix('_').unwrap_or(part);
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(rest.chars().next())
            && edge(rest.chars().next_back())
            && rest.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
    };
    judged(text, 253, text.split('.').all(fits), UNDERSCORED)
}

/// Everything that is wrong with a DNS-1035 label.
pub fn dns_1035_labels(text: &str) -> Vec<String> {
    judged(text, 63, is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()), LABEL_1035)
}

/// Everything that is wrong with a name whose first label may be a wildcard.
pub fn wildcard_subdomains(text: &str) -> Vec<String> {
    const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let fits = text.strip_prefix("*.").is_some_and(|rest| rest.split('.').all(is_label));
    if fits { Vec::new() } else { vec![WILDCARD.to_owned()] }
}

/// Everything that is wrong with the key of a label or annotation.
pub fn qualified_names(text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let mut wrong = Vec::new();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            match prefix.len() {
                0 => wrong.push("prefix part must be non-empty".to_owned()),
                _ => wrong.extend(dns_subdomains(prefix).into_iter().map(|why| format!("prefix part {why}"))),
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    match name.len() {
        0 => wrong.push(NAMELESS.to_owned()),
        64.. => wrong.push(format!("name part {}", too_long(63))),
        _ => {}
    }
    if !is_word(name) {
        wrong.push(QUALIFIED.to_owned());
    }
    wrong
}

/// Everything that is wrong with the value of a label.
pub fn label_values(text: &str) -> Vec<String> {
    judged(text, 63, text.is_empty() || is_word(text), VALUE)
}

/// Everything that is wrong with a key of a ConfigMap or Secret.
pub fn config_keys(text: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut wrong = judged(text, 253, !text.is_empty() && text.chars().all(word), CONFIG_KEY);
    match text {
        "." | ".." => wrong.push(format!("must not be '{text}'")),
        _ if text.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// Everything that is wrong with the name of a port.
pub fn port_names(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |why: &str| wrong.push(why.to_owned());
    if text.len() > 15 {
        say("must be no more than 15 characters");
    }
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        say("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !text.chars().any(|c| c.is_ascii_lowercase()) {
        say("must contain at least one letter (a-z)");
    }
    if text.contains("--") {
        say("must not contain consecutive hyphens");
    }
    if text.starts_with('-') || text.ends_with('-') {
        say("must not begin or end with a hyphen");
    }
    wrong
}

/// Everything that is wrong with the name of an environment variable.
pub fn environment_names(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.is_empty() {
        wrong.push("environment variable name must be non-empty".to_owned());
    }
    if text.contains('=') || !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        wrong.push("a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned());
    }
    wrong
}

/// What is wrong with the name of a header.
pub fn header_names(text: &str) -> Vec<String> {
    const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if fits { Vec::new() } else { vec![HEADER.to_owned()] }
}

/// An address in which numbers may begin with zeros, as Kubernetes still reads old ones.
pub fn sloppy_ip(text: &str) -> Option<IpAddr> {
    let plain = |part: &str| {
        let digits = part.trim_start_matches('0');
        if digits.is_empty() && !part.is_empty() { "0".to_owned() } else { digits.to_owned() }
    };
    if text.contains(':') {
        return text.parse().ok();
    }
    let parts: Vec<String> = text.split('.').map(plain).collect();
    parts.join(".").parse().ok()
}

/// A range of addresses, its address and its length.
pub fn sloppy_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address = sloppy_ip(address)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let length = length.parse::<u8>().ok().filter(|length| digits && *length <= most)?;
    Some((address, length))
}

/// The first of what is wrong with an RFC 1123 label.
pub fn dns_label(text: &str) -> Option<String> {
    dns_labels(text).into_iter().next()
}

/// The first of what is wrong with an RFC 1123 subdomain.
pub fn dns_subdomain(text: &str) -> Option<String> {
    dns_subdomains(text).into_iter().next()
}

/// The first of what is wrong with a DNS-1035 label.
pub fn dns_1035_label(text: &str) -> Option<String> {
    dns_1035_labels(text).into_iter().next()
}

/// What is wrong with a group name: a subdomain with a dot.
pub fn qualified_domain(text: &str) -> Option<String> {
    dns_subdomain(text)
        .or_else(|| (!text.contains('.')).then(|| "should be a domain with at least one dot".to_owned()))
}

/// Everything that is wrong with a name that is one segment of a path.
pub fn path_segments(text: &str) -> Vec<String> {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    let held = |part: &str| text.contains(part).then(|| format!("may not contain '{part}'"));
    ["/", "%"].into_iter().filter_map(held).collect()
}

/// The first of what is wrong with a name that is one segment of a path.
pub fn path_segment(text: &str) -> Option<String> {
    path_segments(text).into_iter().next()
}

/// The first of what is wrong with the key of a label or annotation; of a key without a name both.
pub fn qualified_name(text: &str) -> Option<String> {
    let wrong = qualified_names(text);
    match wrong.first()?.as_str() {
        NAMELESS => Some(wrong.join("; ")),
        first => Some(first.to_owned()),
    }
}
