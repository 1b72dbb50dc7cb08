//! The templates, and what they render to.

use super::{Findings, Input, Severity};
use crate::error::quote;
use crate::gojson::{Decoder, field};
use crate::render::{RenderOptions, Rendered, World, render_files};
use crate::{Capabilities, KubeVersion, Stage};
use serde_json::Value;

/// API version, kind, deprecated in, removed in, replacement.
const DEPRECATIONS: &str = include_str!("../../data/deprecations.tsv");

pub(super) fn check(input: &Input<'_>, world: &dyn World, findings: &mut Findings) {
    const FOLDER: &str = "templates/";
    let chart = match input.chart() {
        Ok(chart) => chart,
        Err(error) => {
            findings.add(Severity::Error, FOLDER, error.to_string());
            return;
        }
    };
    let mut capabilities = Capabilities::default();
    if let Some(version) = input.kube_version {
        capabilities.kube_version = version.clone();
    }
    let options = RenderOptions {
        release_name: "test-release".into(),
        namespace: input.namespace.into(),
        revision: 0,
        is_install: false,
        capabilities,
        skip_schema_validation: input.skip_schema_validation,
        lint: true,
        ..RenderOptions::default()
    };
    let mut chart = chart;
    // Lint does not ask whether the cluster is new enough.
    chart.metadata.kube_version.clear();
    let mut rendered = Rendered::default();
    let files = render_files(&chart, input.values, &options, world, &mut rendered);
    // Of what was noted only what the templates let pass is said; values are looked at for themselves.
    findings.notes.extend(rendered.warnings.into_iter().filter(|note| note.starts_with("[INFO]")));
    let files = match files {
        Ok(files) => files,
        // Helm passes over values that cannot be brought together.
        Err(error) if error.stage == Stage::Values => return,
        Err(error) => {
            findings.add(Severity::Error, FOLDER, error.to_string());
            return;
        }
    };
    for template in &chart.templates {
        let path = template.name.as_str();
        source(path, &template.text(), findings);
        if crate::path::extension(path) != ".yaml" {
            continue;
        }
        let full = crate::path::clean(&format!("{}/{path}", chart.name()));
        let content = files.get(&full).map(String::as_str).unwrap_or_default();
        if !content.trim().is_empty() && !output(path, content, input.kube_version, findings) {
            return;
        }
    }
}

fn source(path: &str, text: &str, findings: &mut Findings) {
    let extension = crate::path::extension(path);
    if ![".yaml", ".yml", ".tpl", ".txt"].contains(&extension) {
        let text = format!(
            "file extension '{extension}' not valid. Valid extensions are .yaml, .yml, .tpl, or .txt"
        );
        findings.add(Severity::Error, path, text);
    }
    if has_crd_hook(text) {
        let text = "manifest is a crd-install hook. This hook is no longer supported in v3 and all CRDs should also exist the crds/ directory at the top level of the chart";
        findings.add(Severity::Warning, path, text);
    }
    if text.contains(".Release.Time") {
        let text =
            ".Release.Time has been removed in v3, please replace with the `now` function in your templates";
        findings.add(Severity::Error, path, text);
    }
}

fn has_crd_hook(text: &str) -> bool {
    text.match_indices("helm.sh/hook").any(|(at, key)| {
        let rest = text.get(at + key.len()..).unwrap_or_default();
        let rest = rest.strip_prefix('"').unwrap_or(rest);
        rest.strip_prefix(':').is_some_and(|rest| {
            rest.starts_with(char::is_whitespace) && rest.trim_start().starts_with("crd-install")
        })
    })
}

/// What a template rendered to; `false` when it cannot be read, after which Helm stops.
fn output(path: &str, content: &str, version: Option<&KubeVersion>, findings: &mut Findings) -> bool {
    if let Some(line) = content.lines().find(|line| !line.trim().is_empty())
        && line.starts_with([' ', '\t'])
    {
        let text = format!(
            "document starts with an illegal indent: {}, which may cause parsing problems",
            quote(line)
        );
        findings.add(Severity::Warning, path, text);
    }
    // What the text begins like holds for all of it.
    let like_json = content.trim_start().starts_with('{');
    for document in documents(content, like_json) {
        let object = match document.and_then(|document| read(&document, like_json)) {
            Ok(object) => object,
            Err(text) => {
                findings.add(Severity::Error, path, format!("unable to parse YAML: {text}"));
                return false;
            }
        };
        if !object.is_null() {
            check_object(path, content, &object, version, findings);
        }
    }
    true
}

/// A document as the API machinery reads it: what begins like JSON is tried as such.
fn read(document: &str, like_json: bool) -> Result<Value, String> {
    let object = match like_json.then(|| json(document)).transpose()?.flatten() {
        Some(object) => object,
        None => {
            yaml::from_str(document).map_err(|error| format!("error converting YAML to JSON: {error}"))?
        }
    };
    let mut decoder = Decoder::default();
    decoder.object(&object, "", "rules.K8sYamlStruct");
    decoder.finish(object)
}

/// The document as JSON; `None` when it has to be YAML.
fn json(document: &str) -> Result<Option<Value>, String> {
    if !document.trim_start().starts_with('{') {
        return Ok(None);
    }
    let mut stream = serde_json::Deserializer::from_str(document).into_iter::<Value>();
    match stream.next() {
        Some(Ok(object)) => {
            let end = stream.byte_offset();
            let rest = document.get(end..).unwrap_or_default();
            match rest.char_indices().find(|(_, c)| !c.is_ascii_whitespace()) {
                Some((at, c)) if c != '{' => Err(format!(
                    "json: offset {}: invalid character '{c}' looking for beginning of value",
                    end + at + 1
                )),
                _ => Ok(Some(object)),
            }
        }
        Some(Err(error)) if error.is_eof() => Err("unexpected EOF".into()),
        _ => Ok(None),
    }
}

/// Documents as the API machinery cuts them: at lines that begin with `---`. Nothing but a comment may follow
/// there; else the document before it is never looked at.
fn documents(content: &str, like_json: bool) -> Vec<Result<String, String>> {
    let mut out = Vec::new();
    let mut last = String::new();
    let end = |document: &mut String, out: &mut Vec<Result<String, String>>| {
        let mut document = std::mem::take(document);
        // It reads line by line: the last one ends as well.
        if !document.ends_with('\n') {
            document.push('\n');
        }
        if !document.trim().is_empty() {
            out.push(Ok(document));
        }
    };
    for line in content.split_inclusive('\n') {
        let Some(rest) = line.strip_prefix("---") else {
            last.push_str(line);
            continue;
        };
        let rest = rest.trim();
        if !rest.is_empty() && !rest.starts_with('#') && !like_json {
            out.push(Err(format!("invalid Yaml document separator: {rest}")));
            return out;
        }
        end(&mut last, &mut out);
    }
    end(&mut last, &mut out);
    out
}

fn check_object(
    path: &str,
    content: &str,
    object: &Value,
    version: Option<&KubeVersion>,
    findings: &mut Findings,
) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let reasons = name_faults(kind, name);
    if !reasons.is_empty() {
        let reasons: Vec<String> = reasons
            .iter()
            .map(|reason| format!("metadata.name: Invalid value: {}: {reason}", quote(name)))
            .collect();
        let whole = match reasons.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let name = quote(name);
        let text = format!("object name does not conform to Kubernetes naming requirements: {name}: {whole}");
        findings.add(Severity::Warning, path, text);
    }
    if let Some(text) = deprecation(api_version, kind, version) {
        findings.add(Severity::Warning, path, text);
    }
    let selects = content.contains("matchLabels") || content.contains("matchExpressions");
    if matches!(kind, "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet") && !selects {
        let name = quote(name);
        let text = format!("a {kind} must contain matchLabels or matchExpressions, and {name} does not");
        findings.add(Severity::Error, path, text);
    }
    if kind == "List" {
        findings.check(Severity::Error, path, check_list(content));
    }
}

/// What no item of a List may say. Helm reads the text once more for it, of which that is the first document.
fn check_list(content: &str) -> Result<(), String> {
    const ANNOTATIONS: &str = "map[string]string";
    let unreadable = |text: String| format!("unable to parse YAML: {text}");
    let list = yaml::from_str(content)
        .map_err(|error| unreadable(format!("error converting YAML to JSON: {error}")))?;
    let metadata = format!("struct {{ Annotations {ANNOTATIONS} }}");
    let item = format!("struct {{ Metadata {metadata} }}");
    let mut decoder = Decoder::default();
    let mut ignored = false;
    let Some(list) = decoder.object(&list, "", &format!("struct {{ Items []{item} }}")) else {
        return decoder.finish(()).map_err(unreadable);
    };
    for one in decoder.list(field(list, "Items"), ".Items", &format!("[]{item}")).unwrap_or_default() {
        let Some(one) = decoder.object(one, ".Items", &item) else { continue };
        let Some(about) = field(one, "Metadata") else { continue };
        let Some(about) = decoder.object(about, ".Items.Metadata", &metadata) else { continue };
        let Some(annotations) = field(about, "Annotations") else { continue };
        let place = ".Items.Metadata.Annotations";
        for (key, value) in decoder.object(annotations, place, ANNOTATIONS).into_iter().flatten() {
            decoder.string(Some(value), place);
            ignored |= key == "helm.sh/resource-policy";
        }
    }
    decoder.finish(()).map_err(unreadable)?;
    match ignored {
        true => Err("Annotation 'helm.sh/resource-policy' within List objects are ignored".into()),
        false => Ok(()),
    }
}

/// Kubernetes' words for what is wrong with an object's name.
fn name_faults(kind: &str, name: &str) -> Vec<String> {
    const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    const SERVICE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    let mut out = Vec::new();
    let mut too_long = |limit: usize| {
        if name.len() > limit {
            out.push(format!("must be no more than {limit} bytes"));
        }
    };
    match kind.to_lowercase().as_str() {
        "certificatesigningrequest" => {}
        "role" | "clusterrole" | "rolebinding" | "clusterrolebinding" => match name {
            "." | ".." => out.push(format!("may not be '{name}'")),
            _ => {
                for bad in ["/", "%"] {
                    if name.contains(bad) {
                        out.push(format!("may not contain '{bad}'"));
                    }
                }
            }
        },
        "service" => {
            too_long(63);
            let legal = crate::release::is_dns_name(name) && !name.contains('.');
            if !legal || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
                out.push(SERVICE.into());
            }
        }
        "namespace" => {
            too_long(63);
            if !crate::release::is_dns_name(name) || name.contains('.') {
                out.push(LABEL.into());
            }
        }
        _ => {
            too_long(253);
            if !crate::release::is_dns_name(name) {
                out.push(SUBDOMAIN.into());
            }
        }
    }
    out
}

fn deprecation(api_version: &str, kind: &str, version: Option<&KubeVersion>) -> Option<String> {
    let default = KubeVersion::default();
    let version = version.unwrap_or(&default);
    let now: (u32, u32) = (version.major.parse().ok()?, version.minor.parse().ok()?);
    DEPRECATIONS.lines().find_map(|line| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        if next() != api_version || next() != kind {
            return None;
        }
        let (since, removed, replacement) = (next(), next(), next());
        let (major, minor) = since.split_once('.')?;
        if (major.parse().ok()?, minor.parse().ok()?) > now {
            return None;
        }
        let mut text = format!("{api_version} {kind} is deprecated in v{since}+");
        if !removed.is_empty() {
            text.push_str(&format!(", unavailable in v{removed}+"));
        }
        if !replacement.is_empty() {
            text.push_str(&format!("; use {replacement}"));
        }
        Some(text)
    })
}
