//! Flux's event, as controllers post it and as generic providers receive it.

use std::collections::BTreeMap;

use cluster::{EventNote, EventType};
use object::{Gvk, Value};
use serde::{Deserialize, Serialize};

/// The object that an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Involved {
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
}

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Event {
    pub involved_object: Involved,
    pub severity: String,
    pub timestamp: String,
    pub message: String,
    pub reason: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    pub reporting_controller: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reporting_instance: String,
}

/// Metadata that everybody may set on an object.
pub(super) const OWN: &str = "event.toolkit.fluxcd.io/";

impl Event {
    /// Our own recorded event.
    pub fn of_note(note: &EventNote, instance: &str) -> Event {
        let text = |path: &[&str]| object::get_str(&note.about, path).unwrap_or_default().to_owned();
        Event {
            involved_object: Involved {
                kind: text(&["kind"]),
                namespace: text(&["metadata", "namespace"]),
                name: text(&["metadata", "name"]),
                uid: text(&["metadata", "uid"]),
                api_version: text(&["apiVersion"]),
                resource_version: text(&["metadata", "resourceVersion"]),
            },
            severity: match note.event_type {
                EventType::Normal => "info".into(),
                EventType::Warning => "error".into(),
            },
            timestamp: note.time.clone(),
            message: note.message.clone(),
            reason: note.reason.clone(),
            metadata: note.annotations.iter().cloned().collect(),
            reporting_controller: note.component.clone(),
            reporting_instance: instance.to_owned(),
        }
    }

    /// The kind of the object.
    pub fn gvk(&self) -> Gvk {
        Gvk::from_api_version(&self.involved_object.api_version, &self.involved_object.kind)
    }

    /// Metadata without its prefixes; what only the object's annotations say comes apart, as it weighs least.
    /// Checksums and digests are for machines.
    pub fn split_metadata(&self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let prefix = format!("{}/", self.gvk().group);
        let (mut object, mut controller) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in &self.metadata {
            if let Some(name) = name.strip_prefix(OWN) {
                object.insert(name.to_owned(), value.clone());
            } else if let Some(name) = name.strip_prefix(&prefix)
                && !name.eq_ignore_ascii_case("checksum")
                && !name.eq_ignore_ascii_case("digest")
            {
                controller.insert(name.to_owned(), value.clone());
            }
        }
        (object, controller)
    }

    /// Does it tell of trouble?
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }

    /// Is it only meant for commit statuses?
    pub fn is_status_update(&self) -> bool {
        self.metadata.get("commit_status").is_some_and(|value| value == "update")
    }

    /// `kustomization/apps.flux-system`.
    pub fn subject(&self) -> String {
        let about = &self.involved_object;
        format!("{}/{}.{}", about.kind.to_lowercase(), about.name, about.namespace)
    }

    /// The revision in the origin's words, or the source's.
    pub fn revision(&self) -> Option<&str> {
        let given = self.metadata.get("originRevision").or_else(|| self.metadata.get("revision"))?;
        Some(given.as_str()).filter(|given| !given.is_empty())
    }

    /// The commit of a Git revision.
    pub fn commit(&self) -> Result<String, String> {
        let revision = self.revision().ok_or("missing revision metadata")?;
        let digest = source::Revision::parse(revision).digest;
        match digest.split_once(':') {
            Some(("sha1", hex)) if hex.len() == 40 => Ok(hex.to_owned()),
            Some(("sha256", hex)) if hex.len() == 64 && !revision.starts_with("sha256:") => {
                Ok(hex.to_owned())
            }
            _ => Err(format!("{revision} is no Git revision")),
        }
    }

    /// Seconds since 1970.
    pub fn seconds(&self) -> i64 {
        self.timestamp.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second)
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// `ReconciliationSucceeded` as words: `reconciliation succeeded`.
    pub fn description(&self) -> String {
        let letters: Vec<char> = self.reason.chars().collect();
        let mut out = String::new();
        for (at, letter) in letters.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| letters.get(at));
            let after = letters.get(at + 1);
            let class = |c: &char| match c {
                c if c.is_lowercase() => 1,
                c if c.is_uppercase() => 2,
                c if c.is_numeric() => 3,
                _ => 4,
            };
            let begins = before.is_some_and(|before| {
                let changed =
                    class(before) != class(letter) && !(before.is_uppercase() && letter.is_lowercase());
                let last_of_many = before.is_uppercase()
                    && letter.is_uppercase()
                    && after.is_some_and(|after| after.is_lowercase());
                changed || last_of_many
            });
            if begins {
                out.push(' ');
            }
            out.extend(letter.to_lowercase());
        }
        out
    }

    /// `kustomization/apps`, with the summary in front.
    pub fn name(&self) -> String {
        let about = &self.involved_object;
        let name = match self.metadata.get("summary") {
            Some(summary) => format!("{summary}/{}/{}", about.kind, about.name),
            None => format!("{}/{}", about.kind, about.name),
        };
        name.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_become_words() {
        for (reason, words) in [
            ("ReconciliationSucceeded", "reconciliation succeeded"),
            ("GitOperationFailed", "git operation failed"),
            ("PDFLoader", "pdf loader"),
            ("InvalidCELExpression", "invalid cel expression"),
            ("", ""),
        ] {
            assert_eq!(Event { reason: reason.into(), ..Event::default() }.description(), words);
        }
    }

    #[test]
    fn only_git_revisions_are_commits() {
        let event = |revision: &str| Event {
            metadata: BTreeMap::from([("revision".to_owned(), revision.to_owned())]),
            ..Event::default()
        };
        let hex = "0123456789abcdef0123456789abcdef01234567";
        for revision in [format!("main@sha1:{hex}"), format!("sha1:{hex}"), format!("main/{hex}")] {
            assert_eq!(event(&revision).commit().as_deref(), Ok(hex), "{revision}");
        }
        for revision in
            ["6.1.0", "", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
        {
            assert!(event(revision).commit().is_err(), "{revision}");
        }
    }
}
