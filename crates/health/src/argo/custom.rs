//! What an installation's `argocd-cm` says about kinds: health checks and actions.

use std::collections::BTreeMap;

use object::{Gvk, Value, get_str};

use super::actions::Definition;

/// What is said about one kind, or about all that a pattern covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Customization {
    /// A Lua health check; empty when there is none.
    pub health: String,
    /// Whether the check asks for all libraries. Ours are always there.
    pub use_open_libs: bool,
    /// The Lua that tells which actions an object offers; empty when there are none.
    pub discovery: String,
    /// The actions.
    pub actions: Vec<Definition>,
    /// Whether the well-known actions of the kind stay beside these.
    pub merge_builtin: bool,
}

/// Customizations by `group/Kind` (or `Kind` of the core group), where `*` and its like may stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Customizations {
    by_name: BTreeMap<String, Customization>,
}

impl Customizations {
    /// Adds what is said about a kind; what was said before in other fields stays.
    pub fn insert(&mut self, name: &str, customization: Customization) {
        let entry = self.by_name.entry(name.to_owned()).or_default();
        if !customization.health.is_empty() {
            entry.health = customization.health;
            entry.use_open_libs = customization.use_open_libs;
        }
        if !customization.discovery.is_empty() || !customization.actions.is_empty() {
            entry.discovery = customization.discovery;
            entry.actions = customization.actions;
            entry.merge_builtin = customization.merge_builtin;
        }
    }

    /// Reads the fields of one entry: `health.lua`, `health.lua.useOpenLibs`, `actions`.
    ///
    /// # Errors
    /// When `actions` is no valid document.
    pub fn insert_fields(
        &mut self,
        name: &str,
        fields: &Value,
        parse: impl Fn(&str) -> Result<Value, String>,
    ) -> Result<(), String> {
        let text = |key: &str| get_str(fields, &[key]).unwrap_or_default();
        let mut entry = Customization {
            health: text("health.lua").to_owned(),
            use_open_libs: fields
                .get("health.lua.useOpenLibs")
                .is_some_and(|value| value == true || value == "true"),
            ..Customization::default()
        };
        if !text("actions").is_empty() {
            let actions = parse(text("actions"))?;
            entry.discovery = get_str(&actions, &["discovery.lua"]).unwrap_or_default().to_owned();
            entry.merge_builtin = actions.get("mergeBuiltinActions") == Some(&Value::Bool(true));
            for definition in actions.get("definitions").and_then(Value::as_array).into_iter().flatten() {
                entry.actions.push(Definition {
                    name: get_str(definition, &["name"]).unwrap_or_default().to_owned(),
                    lua: get_str(definition, &["action.lua"]).unwrap_or_default().to_owned(),
                });
            }
        }
        self.insert(name, entry);
        Ok(())
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The name of a kind in settings.
    pub fn name_of(gvk: &Gvk) -> String {
        if gvk.group.is_empty() { gvk.kind.clone() } else { format!("{}/{}", gvk.group, gvk.kind) }
    }

    /// The health check of a kind: its own, or the first whose pattern covers it.
    pub fn health(&self, gvk: &Gvk) -> Option<&str> {
        let name = Self::name_of(gvk);
        let own = self.by_name.get(&name).filter(|entry| !entry.health.is_empty());
        let entry = own.or_else(|| {
            let mut all = self.by_name.iter();
            all.find(|(pattern, entry)| !entry.health.is_empty() && glob(pattern, &name))
                .map(|(_, entry)| entry)
        });
        entry.map(|entry| entry.health.as_str())
    }

    /// What is said about a kind's actions.
    pub fn actions(&self, gvk: &Gvk) -> Option<&Customization> {
        let entry = self.by_name.get(&Self::name_of(gvk))?;
        (!entry.discovery.is_empty() || !entry.actions.is_empty()).then_some(entry)
    }
}

/// Whether a pattern covers a text: `*` any run of characters (also `/`), `?` one, `[ab]` and `[!a-z]` one of a set,
/// `{a,b}` one of several, `\` the next character as it is.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut fuel = 200_000usize;
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    covers(&pattern, &text, &mut fuel)
}

fn covers(pattern: &[char], text: &[char], fuel: &mut usize) -> bool {
    // A pattern that needs more work than this is refused, which for a permission means: not allowed.
    if *fuel == 0 {
        return false;
    }
    *fuel -= 1;
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => {
            (0..=text.len()).any(|skip| covers(rest, text.get(skip..).unwrap_or_default(), fuel))
        }
        Some(('?', rest)) => text.split_first().is_some_and(|(_, after)| covers(rest, after, fuel)),
        Some(('\\', rest)) => match (rest.split_first(), text.split_first()) {
            (Some((wanted, rest)), Some((found, after))) => wanted == found && covers(rest, after, fuel),
            _ => false,
        },
        Some(('[', rest)) => match (class(rest), text.split_first()) {
            (Some((matches, rest)), Some((found, after))) => matches(*found) && covers(rest, after, fuel),
            _ => false,
        },
        Some(('{', rest)) => match alternatives(rest) {
            Some((all, rest)) => all.iter().any(|one| {
                let joined: Vec<char> = one.iter().chain(rest).copied().collect();
                covers(&joined, text, fuel)
            }),
            None => false,
        },
        Some((wanted, rest)) => {
            text.split_first().is_some_and(|(found, after)| wanted == found && covers(rest, after, fuel))
        }
    }
}

/// A set of characters and what follows it.
fn class(rest: &[char]) -> Option<(impl Fn(char) -> bool, &[char])> {
    let end = rest.iter().position(|c| *c == ']')?;
    let (body, after) = (rest.get(..end)?, rest.get(end + 1..)?);
    let (negated, body) = match body.split_first() {
        Some(('!' | '^', body)) => (true, body),
        _ => (false, body),
    };
    let body = body.to_vec();
    let holds = move |c: char| {
        let mut found = false;
        let mut at = 0;
        while let Some(first) = body.get(at) {
            if let (Some('-'), Some(last)) = (body.get(at + 1), body.get(at + 2)) {
                found |= (*first..=*last).contains(&c);
                at += 3;
            } else {
                found |= *first == c;
                at += 1;
            }
        }
        found != negated
    };
    Some((holds, after))
}

/// The alternatives of a brace and what follows it.
fn alternatives(rest: &[char]) -> Option<(Vec<Vec<char>>, &[char])> {
    let (mut depth, mut all, mut one) = (0usize, Vec::new(), Vec::new());
    for (at, c) in rest.iter().enumerate() {
        match c {
            '}' if depth == 0 => {
                all.push(one);
                return Some((all, rest.get(at + 1..)?));
            }
            ',' if depth == 0 => all.push(std::mem::take(&mut one)),
            _ => {
                depth = match c {
                    '{' => depth + 1,
                    '}' => depth - 1,
                    _ => depth,
                };
                one.push(*c);
            }
        }
    }
    None
}
