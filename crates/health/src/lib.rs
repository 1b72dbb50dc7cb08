//! Status of an object: kstatus and CEL.

use object::Value;

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

/// The kstatus verdict. `now` (seconds since the epoch) matters only for Pods that cannot be scheduled.
pub fn status(object: &Value, now: i64) -> Health {
    let _ = (object, now);
    Health { status: Status::Unknown, message: String::new(), conditions: Vec::new() }
}
