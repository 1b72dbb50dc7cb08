//! Status of an object: kstatus, CEL, and Argo CD's judgement.
//!
//! [`status`] is the verdict that kstatus, Flux, Helm and kpt share; [`flux_status`] is what Flux makes of it.
//! [`HealthExprs`] are a user's own expressions in place of both. [`argo`] judges as Argo CD does, with its Lua.

pub mod argo;
mod cel;
mod kinds;
mod kstatus;
mod lua;

pub use cel::{CelError, Expression, HealthExprs, cel_value};
pub use kstatus::{augment, flux_status, status};

/// The verdict on an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Status {
    /// It is as it should be.
    Current,
    /// It is being worked on.
    InProgress,
    /// It failed.
    Failed,
    /// It is being deleted.
    Terminating,
    /// It does not exist.
    NotFound,
    /// Nothing can be said.
    Unknown,
}

impl Status {
    /// As kstatus writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Current => "Current",
            Status::InProgress => "InProgress",
            Status::Failed => "Failed",
            Status::Terminating => "Terminating",
            Status::NotFound => "NotFound",
            Status::Unknown => "Unknown",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A standard condition that a verdict implies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `Reconciling` or `Stalled`.
    pub condition_type: String,
    /// `True` or `False`.
    pub status: String,
    /// Reason.
    pub reason: String,
    /// Message.
    pub message: String,
}

/// The verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The verdict.
    pub status: Status,
    /// One line.
    pub message: String,
    /// Conditions that the verdict implies.
    pub conditions: Vec<Condition>,
}

impl Health {
    fn current(message: impl Into<String>) -> Self {
        Health { status: Status::Current, message: message.into(), conditions: Vec::new() }
    }

    fn unknown(message: impl Into<String>) -> Self {
        Health { status: Status::Unknown, message: message.into(), conditions: Vec::new() }
    }

    fn in_progress(reason: &str, message: impl Into<String>) -> Self {
        Self::with_condition(Status::InProgress, "Reconciling", reason, message.into())
    }

    fn failed(reason: &str, message: impl Into<String>) -> Self {
        Self::with_condition(Status::Failed, "Stalled", reason, message.into())
    }

    fn with_condition(status: Status, condition_type: &str, reason: &str, message: String) -> Self {
        let condition = Condition {
            condition_type: condition_type.to_owned(),
            status: "True".to_owned(),
            reason: reason.to_owned(),
            message: message.clone(),
        };
        Health { status, message, conditions: vec![condition] }
    }

    /// The verdict on an object that does not exist.
    pub fn not_found() -> Self {
        Health { status: Status::NotFound, message: "Resource not found".to_owned(), conditions: Vec::new() }
    }
}
