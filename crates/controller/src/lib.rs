//! The loop: graph, queue, back-off, cancellation, snapshots.
//!
//! In the flow this calls everything else: a dialect gives it [`Kind`]s, the cluster's store tells it what
//! changed, and it runs a kind's `reconcile` for each object that has a reason to run. Reasons are: the
//! object itself changed, something it read through its [`Context`] changed, its interval passed, a retry
//! is due, or somebody asked. A change that makes a running pass pointless cancels it, so that the newest
//! state always wins; a failed pass is retried with growing pauses for ever and at once when an input moves.

mod clock;
mod context;
mod engine;
mod kind;
mod lease;
mod metrics;
mod places;
mod renders;
mod snapshot;
mod wait;
mod work;

pub use clock::{Clock, SystemClock};
pub use context::{Aspect, Context, Relation, Waker, aspect};
pub use engine::{Engine, Options};
pub use kind::{Cause, Description, Kind, Next, ObjectRef, Outcome, Ready};
pub use lease::{Leader, LeaseOptions, lead};
pub use renders::{Rendered, Renders};
pub use snapshot::{Edge, Hop, Phase, Snapshot, Unit};
pub use wait::{Judgement, WaitError, gone, wait_for};
