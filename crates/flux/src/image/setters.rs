//! Marked values in YAML files, replaced without touching anything else of the file.
//!
//! A mark is a comment behind a value: `# {"$imagepolicy": "namespace:policy"}`, with `:tag`, `:name` or `:digest`
//! for a part of the image.

use std::collections::BTreeMap;

use object::Value;
use yaml::{Node, Style};

/// What a mark may be replaced with, by its text: `apps:web`, `apps:web:tag` …
pub(super) type Values = BTreeMap<String, String>;

/// One replaced value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub setter: String,
    pub old: String,
    pub new: String,
    /// Kind, namespace, name of the object that it stands in.
    pub object: (String, String, String),
}

/// What the marks of a policy give.
pub(super) fn values(namespace: &str, name: &str, latest: &Value, into: &mut Values) {
    let text = |field: &str| object::get_str(latest, &[field]).unwrap_or_default().to_owned();
    let mark = format!("{namespace}:{name}");
    into.insert(mark.clone(), super::reference(latest));
    into.insert(format!("{mark}:name"), text("name"));
    into.insert(format!("{mark}:tag"), text("tag"));
    if !text("digest").is_empty() {
        into.insert(format!("{mark}:digest"), text("digest"));
    }
}

/// The text of a mark in a comment.
fn mark(comment: &str) -> Option<String> {
    let json = comment.trim_start_matches('#').trim();
    let value: Value = serde_json::from_str(json).ok()?;
    Some(value.get("$imagepolicy")?.as_str()?.to_owned())
}

struct Found {
    line: usize,
    column: usize,
    style: Style,
    value: String,
    setter: String,
    object: usize,
}

fn walk(node: &Node, object: usize, found: &mut Vec<Found>) {
    if node.is_scalar()
        && node.line > 0
        && let Some(setter) = mark(&node.line_comment)
    {
        let (line, column) = (node.line, node.column);
        found.push(Found { line, column, style: node.style, value: node.value.clone(), setter, object });
    }
    for inner in &node.content {
        walk(inner, object, found);
    }
}

/// The file with its marked values replaced; `None` when nothing changes.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn update(text: &str, values: &Values) -> Result<Option<(String, Vec<Change>)>, yaml::Error> {
    if !text.contains("$imagepolicy") {
        return Ok(None);
    }
    let documents = yaml::parse_nodes(text)?;
    let mut found = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        walk(document, index, &mut found);
    }
    let identity = |index: usize| {
        let root = documents.get(index).map(Node::root);
        let at = |path: &[&str]| {
            let node = root.and_then(|root| root.at(path));
            node.and_then(Node::as_str).unwrap_or_default().to_owned()
        };
        (at(&["kind"]), at(&["metadata", "namespace"]), at(&["metadata", "name"]))
    };
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut changes = Vec::new();
    // From the end, so that columns of one line stay right.
    found.sort_by_key(|one| std::cmp::Reverse((one.line, one.column)));
    for one in found {
        let Some(new) = values.get(&one.setter) else { continue };
        if *new == one.value {
            continue;
        }
        let Some(line) = lines.get_mut(one.line - 1) else { continue };
        let Some(replaced) = replace(line, &one, new) else { continue };
        *line = replaced;
        changes.push(Change {
            setter: one.setter,
            old: one.value,
            new: new.clone(),
            object: identity(one.object),
        });
    }
    changes.reverse();
    Ok((!changes.is_empty()).then(|| (lines.concat(), changes)))
}

/// The line with the value at the place replaced, in the quotes it had.
fn replace(line: &str, place: &Found, new: &str) -> Option<String> {
    let (start, _) = line.char_indices().nth(place.column.checked_sub(1)?)?;
    let (before, rest) = line.split_at_checked(start)?;
    let (old, new) = match place.style {
        Style::SingleQuoted => (quoted(rest, '\'')?, format!("'{}'", new.replace('\'', "''"))),
        Style::DoubleQuoted => (quoted(rest, '"')?, format!("\"{new}\"")),
        Style::Plain | Style::Flow => (rest.get(..place.value.len())?, new.to_owned()),
        Style::Literal | Style::Folded => return None,
    };
    if place.style == Style::Plain && old != place.value {
        return None;
    }
    Some(format!("{before}{new}{}", rest.get(old.len()..)?))
}

/// The quoted text at the beginning.
fn quoted(text: &str, mark: char) -> Option<&str> {
    let mut escaped = false;
    let mut letters = text.char_indices().peekable();
    letters.next().filter(|(_, first)| *first == mark)?;
    while let Some((at, letter)) = letters.next() {
        if escaped {
            escaped = false;
        } else if letter == '\\' && mark == '"' {
            escaped = true;
        } else if letter == mark {
            if mark == '\'' && letters.peek().is_some_and(|(_, next)| *next == mark) {
                letters.next();
                continue;
            }
            return text.get(..at + mark.len_utf8());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_values_change() {
        let latest = serde_json::json!({"name": "ghcr.io/org/app", "tag": "1.1.0", "digest": "sha256:abc"});
        let mut known = Values::new();
        values("apps", "web", &latest, &mut known);
        let text = "# head\nkind: Deployment\nmetadata: {name: web,   namespace: apps}\nspec:\n  image: ghcr.io/org/app:1.0.0  # {\"$imagepolicy\": \"apps:web\"}\n  other: 'x' # {\"$imagepolicy\": \"apps:web:tag\"}\n  list:\n    -   \"old\" # {\"$imagepolicy\": \"apps:web:name\"}\n  digest: y # {\"$imagepolicy\": \"apps:web:digest\"}\n  foreign: z # {\"$imagepolicy\": \"other:web\"}\n  same: 1.1.0 # {\"$imagepolicy\": \"apps:web:tag\"}\n";
        let (new, changes) = update(text, &known).unwrap().unwrap();
        let wanted = text
            .replace("ghcr.io/org/app:1.0.0 ", "ghcr.io/org/app:1.1.0@sha256:abc ")
            .replace("'x'", "'1.1.0'")
            .replace("\"old\"", "\"ghcr.io/org/app\"")
            .replace("digest: y", "digest: sha256:abc");
        assert_eq!(new, wanted);
        assert_eq!(changes.len(), 4);
        assert_eq!(changes[0].object, ("Deployment".to_owned(), "apps".to_owned(), "web".to_owned()));
        assert_eq!(update(&new, &known).unwrap(), None);
        assert_eq!(update("a: b\n", &known).unwrap(), None);
        assert!(update("a: [ # {\"$imagepolicy\": \"x\"}\n", &known).is_err());
    }
}
