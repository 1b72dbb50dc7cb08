//! Sections of `name = value`. What stands before the first section belongs to `DEFAULT`.

use super::text_of;
use crate::tree::{Document, Item, Leaf, Value};

const DEFAULT: &str = "DEFAULT";

pub(super) fn read(text: &str) -> Vec<Document> {
    let mut sections: Vec<(String, Vec<Item>)> = vec![(DEFAULT.to_owned(), Vec::new())];
    let mut comment = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if line.starts_with(['#', ';']) {
            comment = line.trim_start_matches(['#', ';', ' ']).to_owned();
            continue;
        }
        let note = std::mem::take(&mut comment);
        let note = (!note.is_empty()).then_some(Item::Comment { text: note, inline: false });
        if let Some(name) =
            line.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')).map(|(name, _)| name)
        {
            sections.push((name.to_owned(), note.into_iter().collect()));
            continue;
        }
        let (name, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
        if let Some((_, items)) = sections.last_mut() {
            items.push(Item::Field(name.trim().to_owned(), Value::Leaf(Leaf::Text(unquote(value.trim())))));
            items.extend(note);
        }
    }
    vec![sections.into_iter().map(|(name, items)| Item::Field(name, Value::Map(items))).collect()]
}

fn unquote(value: &str) -> String {
    for mark in ["\"\"\"", "\"", "'", "`"] {
        if value.len() >= 2 * mark.len()
            && let Some(inner) = value.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark))
        {
            return inner.to_owned();
        }
    }
    value.to_owned()
}

/// A value that would read differently is put into quotes.
fn quoted(value: &str) -> String {
    if value.contains('\n') || value.contains('`') {
        return format!("\"\"\"{value}\"\"\"");
    }
    if value.contains(['#', ';']) || value.trim() != value {
        return format!("`{value}`");
    }
    value.to_owned()
}

pub(super) fn write(document: &[Item]) -> Result<String, String> {
    let mut out = String::new();
    for (index, item) in document.iter().enumerate() {
        let Item::Field(name, value) = item else { continue };
        let Value::Map(items) = value else { return Err(format!("{name} is no section")) };
        let is_default = index == 0 && name.to_uppercase() == DEFAULT;
        let mut items = items.as_slice();
        if let Some((Item::Comment { text, .. }, rest)) = items.split_first() {
            out.push_str(&format!("; {text}\n"));
            items = rest;
        }
        let keys =
            || items.iter().filter_map(|item| if let Item::Field(key, _) = item { Some(key) } else { None });
        if is_default && keys().next().is_none() {
            continue;
        }
        if !is_default {
            out.push_str(&format!("[{name}]\n"));
        }
        let width = keys().map(String::len).max().unwrap_or_default();
        for (at, item) in items.iter().enumerate() {
            let Item::Field(key, value) = item else { continue };
            if let Some(Item::Comment { text, .. }) = items.get(at + 1) {
                out.push_str(&format!("; {text}\n"));
            }
            let value = text_of(value).map_err(|why| format!("{name}.{key}: {why}"))?;
            out.push_str(&format!("{key:width$} = {}\n", quoted(&value)));
        }
        out.push('\n');
    }
    if out.ends_with("\n\n") {
        out.pop();
    }
    Ok(out)
}
