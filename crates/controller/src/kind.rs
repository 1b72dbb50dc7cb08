//! What a dialect gives to the engine, and what a pass gives back.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use object::{Gvk, Key};
pub use plan::ObjectRef;
use serde_json::Value;

use crate::context::{Context, Relation};

/// A kind of unit: something that is reconciled.
pub trait Kind: Send + Sync + 'static {
    /// Its group and kind; with the version that its code was written for.
    fn gvk(&self) -> Gvk;
    /// What a status says, for people and for the graph. Pure.
    fn describe(&self, object: &Value) -> Description;
    /// The part of the object whose change is a reason to run (and to stop a running pass). Never the status.
    fn trigger(&self, object: &Value) -> String;
    /// One pass. It ends early when `context.cancel` fires.
    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome>;
}

/// Is a unit ready?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub enum Ready {
    /// It failed.
    False,
    /// It is working, waiting or new.
    #[default]
    Unknown,
    /// It is.
    True,
}

impl Ready {
    /// As conditions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Ready::False => "False",
            Ready::Unknown => "Unknown",
            Ready::True => "True",
        }
    }
}

/// What an object's spec and status say.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// The Ready condition.
    pub ready: Ready,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// The applied or fetched revision.
    pub revision: Option<String>,
    /// Is it suspended?
    pub suspended: bool,
    /// Has the status seen the newest generation?
    pub observed: bool,
    /// What it refers to.
    pub edges: Vec<(Relation, Key)>,
    /// What it applied.
    pub inventory: Vec<ObjectRef>,
    /// Is that in another cluster?
    pub elsewhere: bool,
    /// The unit that applied it.
    pub parent: Option<Key>,
}

/// Why a unit is not ready, in one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The line.
    pub message: String,
    /// The file of the source that must be changed.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// The object that is in the way.
    pub object: Option<Key>,
    /// The unit that is waited for: its cause is the deeper one.
    pub via: Option<Key>,
}

impl Cause {
    /// A cause that is only words.
    pub fn new(message: impl Into<String>) -> Cause {
        Cause { message: message.into(), ..Cause::default() }
    }

    /// The line with its place in front.
    pub fn line_text(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {}", self.message),
            (Some(file), None) => format!("{file}: {}", self.message),
            _ => self.message.clone(),
        }
    }
}

/// When to run again if nothing changes before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// All is well: after the interval (with jitter).
    After(Duration),
    /// It failed: after a growing pause, at most this.
    Retry(Duration),
    /// Something is not there yet: an input will wake it; at the latest after this.
    Wait(Duration),
    /// Only when something changes.
    Nothing,
    /// The pass was cancelled: a newer one follows.
    Preempted,
}

/// What a pass gives back.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// When to run again.
    pub next: Next,
    /// Why it is not ready.
    pub cause: Option<Cause>,
}

impl Outcome {
    /// All is well.
    pub fn after(interval: Duration) -> Outcome {
        Outcome { next: Next::After(interval), cause: None }
    }

    /// Only a change is a reason to run again.
    pub fn done() -> Outcome {
        Outcome { next: Next::Nothing, cause: None }
    }

    /// It failed.
    pub fn retry(ceiling: Duration, cause: Cause) -> Outcome {
        Outcome { next: Next::Retry(ceiling), cause: Some(cause) }
    }

    /// It waits for an input.
    pub fn wait(at_most: Duration, cause: Cause) -> Outcome {
        Outcome { next: Next::Wait(at_most), cause: Some(cause) }
    }

    /// Something newer came.
    pub fn preempted() -> Outcome {
        Outcome { next: Next::Preempted, cause: None }
    }
}
