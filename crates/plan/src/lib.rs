//! Desired and live objects to an ordered plan with reasons.
//!
//! Pure: the caller hands in what it rendered, how to look up what is live and what was applied before.
//! The answer says what to do with each object, in which order and why, before anything is done. Order and
//! guards are those of Flux's server-side apply; Argo CD's waves and the like are other stage functions.

mod budget;
mod inventory;
mod order;
mod plan;
mod protect;

pub use budget::{Budget, Exceeded};
pub use inventory::{BadId, ObjectRef};
pub use order::{compare, stage_of};
pub use plan::{Action, Marks, Plan, Request, Step, plan};
pub use protect::{Protection, protection, word_for};
