//! From rendered text to manifests and hooks, in the order they are installed.

use crate::gojson::{Decoder, field};
use crate::release::{Event, Hook};
use crate::{Error, Result, Stage};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

mod reading;

pub(crate) use reading::{Reading, Shelf};

/// One document of the rendered text.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The template it comes from, as `# Source:` shows it.
    pub path: String,
    /// The text, without the separators and blanks around it.
    pub content: String,
    /// The text as data; null when it holds only comments, or when only the heads of manifests were asked for
    /// ([`RenderOptions::heads_only`](crate::RenderOptions::heads_only)).
    pub object: Value,
    /// Its `apiVersion`, or nothing.
    pub api_version: String,
    /// Its `kind`, or nothing.
    pub kind: String,
    /// Its `metadata.name`, or nothing.
    pub name: String,
    /// Its `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
}

/// The annotation that makes a hook of a manifest.
pub const HOOK: &str = "helm.sh/hook";
/// The annotation that orders hooks of one event.
pub const HOOK_WEIGHT: &str = "helm.sh/hook-weight";
/// The annotation that says when a hook's object goes away.
pub const HOOK_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
/// The annotation that says when a hook's logs are printed.
pub const HOOK_OUTPUT_LOG_POLICY: &str = "helm.sh/hook-output-log-policy";
/// The annotation that keeps an object when its release goes away.
pub const RESOURCE_POLICY: &str = "helm.sh/resource-policy";

impl Manifest {
    /// Reads one document.
    pub fn parse(path: &str, content: &str) -> Result<Manifest> {
        let mut manifest = Manifest::head(path, content, false)?;
        manifest.content = content.to_owned();
        Ok(manifest)
    }

    /// Reads one document without keeping its text; with `lean` the object is not kept either.
    fn head(path: &str, content: &str, lean: bool) -> Result<Manifest> {
        let fail = |text: String, line: usize, column: usize| {
            let text = format!("YAML parse error on {path}: {text}");
            Error::new(Stage::Manifest, text).at(path, line, column).with_excerpt(content)
        };
        let read = match lean {
            true => yaml::from_str_members(content, &["apiVersion", "kind", "metadata"]),
            // Helm hands the whole text to a reader of lines, which gives each document its last line break
            // back: a block scalar at the end keeps its own. Errors are those of the text without it.
            false => yaml::from_str(&format!("{content}\n")).or_else(|_| yaml::from_str(content)),
        };
        let object = read.map_err(|error| {
            fail(format!("error converting YAML to JSON: {error}"), error.line, error.column)
        })?;
        let mut decoder = Decoder::default();
        let mut out = Manifest {
            path: path.to_owned(),
            content: String::new(),
            object: Value::Null,
            api_version: String::new(),
            kind: String::new(),
            name: String::new(),
            annotations: BTreeMap::new(),
        };
        if let Some(map) = decoder.object(&object, "", "releaseutil.SimpleHead") {
            out.api_version = decoder.string(field(map, "apiVersion"), "SimpleHead.apiVersion");
            out.kind = decoder.string(field(map, "kind"), "SimpleHead.kind");
            if let Some(metadata) = field(map, "metadata") {
                out.read_metadata(&mut decoder, metadata);
            }
        }
        let mut out = decoder.finish(out).map_err(|text| fail(text, 0, 0))?;
        if !lean {
            out.object = object;
        }
        Ok(out)
    }

    fn read_metadata(&mut self, decoder: &mut Decoder, metadata: &Value) {
        const TYPE: &str =
            r#"struct { Name string "json:\"name\""; Annotations map[string]string "json:\"annotations\"" }"#;
        let Some(map) = decoder.object(metadata, "SimpleHead.metadata", TYPE) else { return };
        self.name = decoder.string(field(map, "name"), ".metadata.name");
        let Some(annotations) = field(map, "annotations") else { return };
        if let Some(map) = decoder.object(annotations, ".metadata.annotations", "map[string]string") {
            for (key, value) in map {
                let text = decoder.string(Some(value), ".metadata.annotations");
                self.annotations.insert(key.clone(), text);
            }
        }
    }

    /// Whether the object outlives its release.
    pub fn is_kept(&self) -> bool {
        self.annotations.get(RESOURCE_POLICY).is_some_and(|policy| policy.trim().eq_ignore_ascii_case("keep"))
    }

    /// The hook that the annotations make of it: `None` for a plain manifest, `Err` with the annotation
    /// when it names an event that does not exist.
    fn as_hook(&self) -> Option<Result<Hook, String>> {
        let named = self.annotations.get(HOOK)?;
        let mut events = Vec::new();
        for name in named.split(',') {
            match Event::parse(&name.trim().to_lowercase()) {
                Some(event) => events.push(event),
                None => return Some(Err(named.clone())),
            }
        }
        let list = |annotation: &str| -> Vec<String> {
            let value = self.annotations.get(annotation);
            value
                .map(|text| text.split(',').map(|part| part.trim().to_lowercase()).collect())
                .unwrap_or_default()
        };
        let weight = self.annotations.get(HOOK_WEIGHT).and_then(|text| atoi(text)).unwrap_or(0);
        Some(Ok(Hook {
            name: self.name.clone(),
            kind: self.kind.clone(),
            path: self.path.clone(),
            manifest: self.content.clone(),
            events,
            weight,
            delete_policies: list(HOOK_DELETE_POLICY),
            output_log_policies: list(HOOK_OUTPUT_LOG_POLICY),
            ..Hook::default()
        }))
    }
}

/// Go's `strconv.Atoi`.
fn atoi(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Splits a stream of YAML documents, as Helm does: on the text, before anything is parsed.
pub fn split(text: &str) -> Vec<&str> {
    let text = trim(text);
    let mut out = Vec::new();
    let mut rest = text;
    let mut first = true;
    loop {
        let Some((document, after)) = next_separator(rest, first) else {
            push(&mut out, rest);
            return out;
        };
        push(&mut out, document);
        rest = after;
        first = false;
    }
}

fn push<'t>(out: &mut Vec<&'t str>, document: &'t str) {
    if !document.is_empty() {
        out.push(trim(document));
    }
}

/// The documents of a stored text, as Helm's reader of lines finds them, without their last line break: a line
/// of `---` and perhaps a comment separates, and blank lines at an end stay, because a block scalar may want them.
pub(crate) fn stored_documents(text: &str) -> Vec<&str> {
    let is_separator = |line: &str| {
        line.strip_prefix("---").map(str::trim).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
    };
    let (mut out, mut start, mut at) = (Vec::new(), 0, 0);
    let mut finish = |from: usize, to: usize| {
        let document = text.get(from..to).unwrap_or_default();
        if !document.trim().is_empty() {
            out.push(document.strip_suffix('\n').unwrap_or(document));
        }
    };
    for line in text.split_inclusive('\n') {
        if is_separator(line) {
            finish(start, at);
            start = at + line.len();
        }
        at += line.len();
    }
    finish(start, text.len());
    out
}

/// Go's `strings.TrimSpace`.
pub(crate) fn trim(text: &str) -> &str {
    text.trim()
}

/// The text before the next `---` that starts a line, and the text after it and its blanks.
fn next_separator(text: &str, at_start: bool) -> Option<(&str, &str)> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
    if at_start && let Some(after) = text.strip_prefix("---") {
        return Some(("", after.trim_start_matches(blank)));
    }
    let at = memchr::memmem::find(text.as_bytes(), b"\n---")?;
    let before = text.get(..at)?.trim_end_matches(blank);
    let after = text.get(at + 4..)?.trim_start_matches(blank);
    Some((before, after))
}

/// Splits a stream of YAML documents as Helm 4 does: a `---` at the start of a line, and blanks before a
/// separator stay, because a block scalar may want them.
pub fn split_lines(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut current = String::new();
    let mut finish = |document: &mut String| {
        if !document.trim().is_empty() {
            out.push(document.trim_start().to_owned());
        }
        document.clear();
    };
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("---") {
            Some(rest) => {
                finish(&mut current);
                current.push_str(rest.trim_start_matches([' ', '\t']));
            }
            None => current.push_str(line),
        }
    }
    finish(&mut current);
    out
}

/// The annotation under which [`annotate_and_merge`] notes the file of a document.
pub const POSTRENDER_FILE: &str = "postrenderer.helm.sh/postrender-filename";

/// All documents of the rendered files as one stream for a post-renderer, each noting its file, as Helm 4
/// does it. Partials and empty files are left out.
pub fn annotate_and_merge(files: &BTreeMap<String, String>) -> Result<String> {
    let mut parts = Vec::new();
    for (path, content) in files {
        if crate::path::base(path).starts_with('_') {
            continue;
        }
        for document in split_lines(content) {
            let nodes = yaml::parse_nodes(&document).map_err(|error| {
                Error::new(Stage::Manifest, format!("parsing {path}: {error}"))
                    .at(path, error.line, error.column)
                    .with_excerpt(&document)
            })?;
            for mut node in nodes {
                if annotate(&mut node, path) {
                    parts.push(yaml::emit(&node));
                }
            }
        }
    }
    Ok(parts.join("---\n"))
}

/// Sets the annotation; `false` for a document that is no mapping.
fn annotate(node: &mut yaml::Node, path: &str) -> bool {
    let mut value = yaml::Node::scalar(path);
    value.style = yaml::Style::SingleQuoted;
    let metadata = node.root_mut().get_or_insert_mapping("metadata");
    let annotations = metadata.and_then(|metadata| metadata.get_or_insert_mapping("annotations"));
    annotations.is_some_and(|annotations| annotations.set(POSTRENDER_FILE, value))
}

/// Manifests and hooks of a render.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sorted {
    /// What is installed, in install order.
    pub manifests: Vec<Manifest>,
    /// The hooks, by kind.
    pub hooks: Vec<Hook>,
    /// What Helm logs.
    pub warnings: Vec<String>,
}

/// Sorts manifests that are in the order of their files into hooks and the rest.
pub(crate) fn sort(manifests: impl IntoIterator<Item = Manifest>) -> Sorted {
    let mut sorted = Sorted::default();
    for manifest in manifests {
        match manifest.as_hook() {
            None => sorted.manifests.push(manifest),
            Some(Ok(hook)) => sorted.hooks.push(hook),
            Some(Err(named)) => {
                let named = crate::error::quote(&named);
                sorted.warnings.push(format!("info: skipping unknown hook: {named}"));
            }
        }
    }
    sorted.manifests.sort_by(|a, b| by_kind(&a.kind, &b.kind, INSTALL_ORDER));
    sorted.hooks.sort_by(|a, b| by_kind(&a.kind, &b.kind, INSTALL_ORDER));
    sorted
}

/// How two kinds stand in an order; kinds that it does not name come last, by name.
pub fn by_kind(a: &str, b: &str, order: &[&str]) -> Ordering {
    let rank = |kind: &str| order.iter().position(|known| *known == kind);
    match (rank(a), rank(b)) {
        (None, None) => a.cmp(b),
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => a.cmp(&b),
    }
}

/// The order in which kinds are created. [`UNINSTALL_ORDER`] is the other way round.
pub const INSTALL_ORDER: &[&str] = &[
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// The order in which kinds are deleted.
pub const UNINSTALL_ORDER: &[&str] = &[
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_split_on_text() {
        for (text, wanted) in [
            ("", vec![]),
            ("  \n", vec![]),
            ("---\na: 1\n---\nb: 2\n", vec!["a: 1", "b: 2"]),
            ("a: 1\n--- # c\nb: 2", vec!["a: 1", "# c\nb: 2"]),
            ("a: 1\n---\n---\nb: 2", vec!["a: 1", "---\nb: 2"]),
            ("a: x --- y", vec!["a: x --- y"]),
            ("---a: 1", vec!["a: 1"]),
        ] {
            assert_eq!(split(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn unknown_kinds_come_last_by_name() {
        let mut kinds = ["Zebra", "Ingress", "Ant", "Namespace", ""];
        kinds.sort_by(|a, b| by_kind(a, b, INSTALL_ORDER));
        assert_eq!(kinds, ["Namespace", "Ingress", "", "Ant", "Zebra"]);
    }
}
