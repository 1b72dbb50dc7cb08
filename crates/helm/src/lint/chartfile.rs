//! `Chart.yaml`.

use super::{Findings, Input, Severity};
use crate::chart::{Maintainer, Metadata};
use crate::error::quote;
use crate::gojson::field;
use crate::version::{Constraint, Version};
use serde_json::Value;

const FILE: &str = "Chart.yaml";

type Verdict = Result<(), String>;

pub(super) fn check(input: &Input<'_>, findings: &mut Findings) {
    let text = input.text(FILE).unwrap_or_default();
    let data = match Metadata::parse(&text) {
        Ok(data) => data,
        Err(error) => {
            findings.add(Severity::Error, FILE, format!("unable to parse YAML\n\t{error}"));
            return;
        }
    };
    let raw = yaml::from_str(&text).unwrap_or_default();
    let mut error = |verdict: Verdict| {
        findings.check(Severity::Error, FILE, verdict);
    };
    error(name(&data));
    error(api_version(&data));
    error(is_string(&raw, "version"));
    error(version(&data));
    error(is_string(&raw, "appVersion"));
    let raw_maintainers = raw.get("maintainers").and_then(Value::as_array);
    let empty = raw_maintainers.and_then(|all| all.iter().position(Value::is_null)).unwrap_or(usize::MAX);
    error(match data.maintainers.iter().take(empty).try_for_each(maintainer) {
        Ok(()) if empty != usize::MAX => Err("a maintainer entry is empty".into()),
        verdict => verdict,
    });
    error(data.sources.iter().try_for_each(|source| match is_request_url(source) {
        true => Ok(()),
        false => Err(format!("invalid source URL '{source}'")),
    }));
    if data.icon.is_empty() {
        findings.add(Severity::Info, FILE, "icon is recommended");
    } else if !is_request_url(&data.icon) {
        findings.add(Severity::Error, FILE, format!("invalid icon URL '{}'", data.icon));
    }
    let version = &data.api_version;
    if !data.chart_type.is_empty() && version != "v2" {
        let text =
            format!("chart type is not valid in apiVersion '{version}'. It is valid in apiVersion 'v2'");
        findings.add(Severity::Error, FILE, text);
    }
    // Also such as are null, which are no dependencies.
    let dependencies = raw.as_object().and_then(|raw| field(raw, "dependencies")).and_then(Value::as_array);
    if dependencies.is_some_and(|all| !all.is_empty()) && version != "v2" {
        let text = format!(
            "dependencies are not valid in the Chart file with apiVersion '{version}'. They are valid in apiVersion 'v2'"
        );
        findings.add(Severity::Error, FILE, text);
    }
}

fn name(data: &Metadata) -> Verdict {
    if data.name.is_empty() {
        return Err("name is required".into());
    }
    match crate::path::base(&data.name) == data.name {
        true => Ok(()),
        false => Err(format!("chart name {} is invalid", quote(&data.name))),
    }
}

fn api_version(data: &Metadata) -> Verdict {
    match data.api_version.as_str() {
        "" => Err("apiVersion is required. The value must be either \"v1\" or \"v2\"".into()),
        "v1" | "v2" => Ok(()),
        other => Err(format!("apiVersion '{other}' is not valid. The value must be either \"v1\" or \"v2\"")),
    }
}

fn is_string(raw: &Value, key: &str) -> Verdict {
    let found = match raw.get(key) {
        None | Some(Value::String(_)) => return Ok(()),
        Some(Value::Null) => "<nil>",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Number(_)) => "float64",
        Some(Value::Array(_)) => "[]interface {}",
        Some(Value::Object(_)) => "map[string]interface {}",
    };
    Err(format!("{key} should be of type string but it's of type {found}"))
}

fn version(data: &Metadata) -> Verdict {
    if data.version.is_empty() {
        return Err("version is required".into());
    }
    let version = Version::parse(&data.version)
        .map_err(|_| format!("version '{}' is not a valid SemVer", data.version))?;
    let known = Constraint::parse(">0.0.0-0").map_err(|error| error.to_string())?;
    match known.validate(&version) {
        Ok(()) => Ok(()),
        Err(reasons) => reasons.first().map_or(Ok(()), |reason| Err(format!("version {reason}"))),
    }
}

fn maintainer(maintainer: &Maintainer) -> Verdict {
    let Maintainer { name, email, url } = maintainer;
    if name.is_empty() {
        return Err("each maintainer requires a name".into());
    }
    if !email.is_empty() && !is_email(email) {
        return Err(format!("invalid email '{email}' for maintainer '{name}'"));
    }
    if !url.is_empty() && !is_url(url) {
        return Err(format!("invalid url '{url}' for maintainer '{name}'"));
    }
    Ok(())
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let local_ok = !local.is_empty()
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c));
    local_ok && domain.contains('.') && is_host(domain)
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        })
}

fn is_url(text: &str) -> bool {
    if text.len() < 4 || text.len() >= 2083 || text.starts_with('.') || text.chars().any(char::is_whitespace)
    {
        return false;
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host
        .rsplit_once(':')
        .map_or(host, |(host, port)| if port.bytes().all(|b| b.is_ascii_digit()) { host } else { "" });
    host == "localhost"
        || (host.starts_with('[') && host.ends_with(']'))
        || (host.contains('.') && is_host(host))
}

/// Anything with a scheme that reads as a URL.
fn is_request_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(legal)
        && !rest.is_empty()
        && !text.chars().any(|c| c == ' ' || c.is_control())
}
