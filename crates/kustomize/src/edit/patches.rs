//! `edit add patch` and `edit remove patch`.

use super::{Changed, Editor};
use crate::error::Error;
use serde_json::{Map, Value};

/// The patch that is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchFlags {
    /// The file it is in.
    pub path: String,
    /// Its text, when it is in no file.
    pub patch: String,
    /// The fields of its target by name; empty ones are left out.
    pub target: Vec<(&'static str, String)>,
}

impl PatchFlags {
    fn entry(&self) -> Map<String, Value> {
        let full = |pairs: Vec<(&str, &String)>| -> Map<String, Value> {
            let pairs = pairs.into_iter().filter(|(_, text)| !text.is_empty());
            pairs.map(|(key, text)| (key.to_owned(), Value::from(text.as_str()))).collect()
        };
        let mut entry = full(vec![("path", &self.path), ("patch", &self.patch)]);
        let target = full(self.target.iter().map(|(key, text)| (*key, text)).collect());
        if !target.is_empty() {
            entry.insert("target".to_owned(), Value::Object(target));
        }
        entry
    }
}

/// An entry without its empty texts, to compare it.
fn bare(entry: &Value) -> Value {
    match entry {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| value.as_str() != Some(""));
            Value::Object(kept.map(|(key, value)| (key.clone(), bare(value))).collect())
        }
        other => other.clone(),
    }
}

impl Editor<'_> {
    pub(super) fn add_patch(&mut self, flags: &PatchFlags) -> Result<Changed, Error> {
        check(flags)?;
        if flags.patch.is_empty() && flags.path.is_empty() {
            return Err(Error::new("must provide either patch or path"));
        }
        let (path, mut file) = self.open()?;
        let entry = Value::Object(flags.entry());
        let list = file.list_mut("patches");
        if list.iter().any(|one| bare(one) == entry) {
            self.note(format!("patch {entry} already in kustomization file"));
            return Ok(None);
        }
        list.push(entry);
        Ok(Some((path, file)))
    }

    pub(super) fn remove_patch(&mut self, flags: &PatchFlags) -> Result<Changed, Error> {
        check(flags)?;
        let (path, mut file) = self.open()?;
        let entry = Value::Object(flags.entry());
        let list = file.list_mut("patches");
        let before = list.len();
        list.retain(|one| bare(one) != entry);
        if list.len() == before {
            self.note(format!("patch {} doesn't exist in kustomization file", flags.patch));
            return Ok(None);
        }
        Ok(Some((path, file)))
    }
}

fn check(flags: &PatchFlags) -> Result<(), Error> {
    if flags.patch.is_empty() || flags.path.is_empty() {
        return Ok(());
    }
    Err(Error::new("patch and path can't be set at the same time"))
}
