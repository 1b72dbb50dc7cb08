//! Hooks: objects that are created around a release's own.

use serde::{Deserialize, Serialize};

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Event {
    PreInstall,
    PostInstall,
    PreDelete,
    PostDelete,
    PreUpgrade,
    PostUpgrade,
    PreRollback,
    PostRollback,
    #[serde(alias = "test-success")]
    Test,
}

impl Event {
    const ALL: [Event; 9] = [
        Event::PreInstall,
        Event::PostInstall,
        Event::PreDelete,
        Event::PostDelete,
        Event::PreUpgrade,
        Event::PostUpgrade,
        Event::PreRollback,
        Event::PostRollback,
        Event::Test,
    ];

    /// The word in the annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::PreInstall => "pre-install",
            Event::PostInstall => "post-install",
            Event::PreDelete => "pre-delete",
            Event::PostDelete => "post-delete",
            Event::PreUpgrade => "pre-upgrade",
            Event::PostUpgrade => "post-upgrade",
            Event::PreRollback => "pre-rollback",
            Event::PostRollback => "post-rollback",
            Event::Test => "test",
        }
    }

    /// Reads the word; `test-success` is what Helm 2 called `test`.
    pub fn parse(word: &str) -> Option<Event> {
        if word == "test-success" {
            return Some(Event::Test);
        }
        Event::ALL.into_iter().find(|event| event.as_str() == word)
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the last run of a hook went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    #[serde(rename = "")]
    None,
    Unknown,
    Running,
    Succeeded,
    Failed,
}

/// The last run of a hook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Execution {
    /// When it began, as RFC 3339; empty when never.
    #[serde(deserialize_with = "crate::chart::nullable_field")]
    pub started_at: String,
    /// When it ended.
    #[serde(deserialize_with = "crate::chart::nullable_field")]
    pub completed_at: String,
    /// How.
    pub phase: Phase,
}

/// A hook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The template.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// When it runs.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::chart::nullable_field")]
    pub events: Vec<Event>,
    /// Its last run.
    pub last_run: Execution,
    /// Its place among the hooks of an event.
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: i64,
    /// When its object goes away: `before-hook-creation` (also when nothing is said), `hook-succeeded`,
    /// `hook-failed`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::chart::nullable_field")]
    pub delete_policies: Vec<String>,
    /// When its logs are printed.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::chart::nullable_field")]
    pub output_log_policies: Vec<String>,
}

fn is_zero(weight: &i64) -> bool {
    *weight == 0
}

impl Hook {
    /// Whether it runs at an event.
    pub fn runs_at(&self, event: Event) -> bool {
        self.events.contains(&event)
    }

    /// Whether its object goes away at a point: one of `before-hook-creation`, `hook-succeeded`,
    /// `hook-failed`. CRDs never do.
    pub fn deletes_at(&self, policy: &str) -> bool {
        if self.kind == "CustomResourceDefinition" {
            return false;
        }
        match self.delete_policies.is_empty() {
            true => policy == "before-hook-creation",
            false => self.delete_policies.iter().any(|own| own == policy),
        }
    }

    /// Whether what its containers print is shown at a point: `hook-succeeded` or `hook-failed`.
    pub fn shows_output_at(&self, policy: &str) -> bool {
        self.output_log_policies.iter().any(|own| own == policy)
    }

    /// The object.
    pub fn object(&self) -> crate::Result<serde_json::Value> {
        crate::Manifest::parse(&self.path, &self.manifest).map(|manifest| manifest.object)
    }
}

/// The hooks of an event in the order they run: by weight, then name.
pub fn hooks_for(hooks: &[Hook], event: Event) -> Vec<&Hook> {
    let mut chosen: Vec<&Hook> = hooks.iter().filter(|hook| hook.runs_at(event)).collect();
    chosen.sort_by(|a, b| (a.weight, &a.name).cmp(&(b.weight, &b.name)));
    chosen
}
