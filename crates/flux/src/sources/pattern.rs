//! `spec.pathPattern` of an ArtifactGenerator: its artifacts once for each folder of a source that fits. Pure.

use std::collections::{BTreeMap, BTreeSet};

use object::Value;
use regex::Regex;
use serde_json::json;
use source::Tree;

use crate::common::str_at;

/// Artifacts at most.
const MOST: usize = 1000;

/// What is generated: an entry of `spec.artifacts`, and the labels it gets beside all others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub output: Value,
    pub labels: BTreeMap<String, String>,
}

type Captures = BTreeMap<String, String>;

/// All artifacts of a spec.
///
/// # Errors
/// When the pattern, or what it captured, makes no names: only another spec or source helps.
pub(super) fn expand(spec: &Value, trees: &BTreeMap<String, Tree>) -> Result<Vec<Wanted>, String> {
    let outputs = spec.get("artifacts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let pattern = str_at(spec, &["pathPattern"]);
    if pattern.is_empty() {
        let plain = |output: &Value| Wanted { output: output.clone(), labels: BTreeMap::new() };
        return Ok(outputs.iter().map(plain).collect());
    }
    let failed = |why: String| format!("pathPattern {pattern:?}: {why}");
    let (alias, path) = pattern
        .strip_prefix('@')
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| failed("it must be '@alias/pattern'".into()))?;
    let tree = trees.get(alias).ok_or_else(|| failed(format!("source alias {alias} not found")))?;
    let (matcher, names) = matcher(path).map_err(failed)?;
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut folders_of: BTreeMap<String, String> = BTreeMap::new();
    for folder in folders(tree) {
        let Some(found) = matcher.captures(&folder) else { continue };
        let values: Captures = names
            .iter()
            .zip(found.iter().skip(1))
            .filter_map(|(name, value)| Some((name.clone(), value?.as_str().to_owned())))
            .collect();
        let labels: Captures =
            values.iter().map(|(name, value)| (name.clone(), value.to_lowercase())).collect();
        for (name, value) in &labels {
            if !is_label_value(value) {
                return Err(failed(format!(
                    "captured value {value:?} for variable {name:?} is not a valid Kubernetes label value"
                )));
            }
        }
        for output in outputs {
            let output = filled(output, &labels, &values).map_err(|why| {
                failed(format!("failed to render artifact {} for {folder}: {why}", str_at(output, &["name"])))
            })?;
            let name = str_at(&output, &["name"]).to_owned();
            if schema::native::dns_subdomain(&name).is_some() {
                return Err(failed(format!(
                    "rendered artifact name {name:?} is not a valid Kubernetes object name"
                )));
            }
            if let Some(other) = folders_of.insert(name.clone(), folder.clone()) {
                return Err(failed(format!(
                    "directories {other:?} and {folder:?} both resolve to artifact name {name:?}"
                )));
            }
            wanted.push(Wanted { output, labels: labels.clone() });
        }
        if wanted.len() > MOST {
            return Err(failed(format!("more than {MOST} artifacts")));
        }
    }
    Ok(wanted)
}

/// All folders below the root, sorted.
fn folders(tree: &Tree) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (path, _) in tree.files() {
        let mut folder = path;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            if !all.insert(parent.to_owned()) {
                break;
            }
            folder = parent;
        }
    }
    all
}

/// The pattern as an expression over whole paths, and the names of its captures in order.
fn matcher(path: &str) -> Result<(Regex, Vec<String>), String> {
    let (mut text, mut names) = (String::from("^"), Vec::<String>::new());
    for part in pieces(path)? {
        match part {
            Piece::Text(plain) => text.push_str(&regex::escape(plain)),
            Piece::Capture(name) => {
                if names.iter().any(|known| known == name) {
                    return Err(format!("duplicate capture variable {name:?}"));
                }
                names.push(name.to_owned());
                text.push_str("([^/]+)");
            }
        }
    }
    text.push('$');
    let matcher = Regex::new(&text).map_err(|error| error.to_string())?;
    Ok((matcher, names))
}

enum Piece<'t> {
    Text(&'t str),
    Capture(&'t str),
}

/// A text taken apart at its `{captures}`.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        let inner = from.strip_prefix('{').ok_or_else(|| format!("{text:?}: '}}' without '{{'"))?;
        let (name, after) =
            inner.split_once('}').ok_or_else(|| format!("{text:?}: missing closing brace"))?;
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|first| first == '_' || first.is_ascii_alphabetic());
        if !begins || !letters.all(|letter| letter == '_' || letter.is_ascii_alphanumeric()) {
            return Err(format!("capture variable {name:?} must match [A-Za-z_][A-Za-z0-9_]*"));
        }
        pieces.push(Piece::Capture(name));
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn rendered(template: &str, values: &Captures) -> Result<String, String> {
    let mut out = String::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Text(plain) => out.push_str(plain),
            Piece::Capture(name) => out.push_str(
                values.get(name).ok_or_else(|| format!("{name:?} is not captured by pathPattern"))?,
            ),
        }
    }
    Ok(out)
}

/// An artifact with its captures filled in: names as labels have them, paths as they are.
fn filled(output: &Value, labels: &Captures, values: &Captures) -> Result<Value, String> {
    let mut output = output.clone();
    let name = rendered(str_at(&output, &["name"]), labels)?;
    object::set(&mut output, &["name"], json!(name));
    for entry in output.get_mut("copy").and_then(Value::as_array_mut).into_iter().flatten() {
        for field in ["from", "to"] {
            let path = rendered(str_at(entry, &[field]), values)?;
            object::set(entry, &[field], json!(path));
        }
    }
    Ok(output)
}

/// Up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; or nothing.
fn is_label_value(value: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let outer = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= 63 && bytes.iter().all(|byte| inner(*byte)) && outer(bytes.first()) && outer(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pattern: &str, name: &str, files: &[&str]) -> Result<Vec<Wanted>, String> {
        let tree = Tree::from_files(files.iter().map(|path| (*path, b"x".to_vec()))).unwrap();
        let spec = json!({
            "pathPattern": pattern,
            "artifacts": [{"name": name, "copy": [{"from": "@repo/apps/{app}/**", "to": "@artifact/{app}/"}]}],
        });
        expand(&spec, &BTreeMap::from([("repo".to_owned(), tree)]))
    }

    #[test]
    fn an_artifact_for_each_folder_that_fits() {
        let files = ["apps/Web/envs/prod/a.yaml", "apps/api/envs/dev/b.yaml", "apps/api/x.yaml"];
        let found = run("@repo/apps/{app}/envs/{env}", "{app}-{env}", &files).unwrap();
        let names: Vec<&str> = found.iter().map(|wanted| str_at(&wanted.output, &["name"])).collect();
        assert_eq!(names, ["web-prod", "api-dev"]);
        assert_eq!(found[0].output["copy"][0]["from"], "@repo/apps/Web/**");
        assert_eq!(found[0].labels["app"], "web");
        assert_eq!(run("@repo/none/{x}", "{x}", &files), Ok(Vec::new()));
    }

    #[test]
    fn what_makes_no_names_is_told() {
        let files = ["apps/a/x", "apps/A/x", "apps/b c/x"];
        for (pattern, name, words) in [
            ("@repo/apps/{app", "{app}", "missing closing brace"),
            ("@repo/apps/{1}", "x", "must match"),
            ("@repo/{app}/{app}", "x", "duplicate capture"),
            ("@other/{app}", "x", "alias other not found"),
            ("@repo/apps/{app}", "{other}", "not captured"),
            ("@repo/apps/{app}", "{app}", "both resolve"),
            ("@repo/apps/{app}x", "{app}", ""),
        ] {
            match run(pattern, name, &files[..2]) {
                Ok(found) => assert!(words.is_empty() && found.is_empty(), "{pattern}"),
                Err(why) => assert!(!words.is_empty() && why.contains(words), "{why}"),
            }
        }
        assert!(run("@repo/apps/{app}", "x{app}", &files[2..]).unwrap_err().contains("label value"));
    }
}
