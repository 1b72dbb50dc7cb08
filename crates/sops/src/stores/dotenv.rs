//! `NAME=value` lines; line ends inside of values are written `\n`.

use super::text_of;
use crate::tree::{Document, Item, Leaf, Value};

pub(super) fn read(text: &str) -> Result<Vec<Document>, String> {
    let mut items = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            items.push(Item::Comment { text: comment.to_owned(), inline: false });
            continue;
        }
        let (name, value) =
            line.split_once('=').ok_or_else(|| format!("line {} is no NAME=value", index + 1))?;
        items.push(Item::Field(name.to_owned(), Value::Leaf(Leaf::Text(value.replace("\\n", "\n")))));
    }
    Ok(vec![items])
}

pub(super) fn write(document: &[Item]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for item in document {
        match item {
            Item::Comment { text, .. } => out.extend(format!("#{text}\n").into_bytes()),
            Item::Field(name, Value::Leaf(Leaf::Bytes(bytes))) => {
                out.extend(format!("{name}=").into_bytes());
                out.extend(bytes);
                out.push(b'\n');
            }
            Item::Field(name, value) => {
                let text = text_of(value).map_err(|why| format!("{name}: {why}"))?.replace('\n', "\\n");
                out.extend(format!("{name}={text}\n").into_bytes());
            }
        }
    }
    Ok(out)
}
