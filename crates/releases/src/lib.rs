//! Helm releases on a cluster.
//!
//! [`Actions`] carries out one action on a release: install, upgrade, roll back, test, uninstall. Every
//! action is stored as pending before it begins, and as what became of it when it ends: whoever comes after
//! a crash, helm included, sees where it stopped. How objects reach the cluster and how one waits for them
//! is a [`Driver`]'s: a controller applies server-side and watches, the command line ([`Direct`]) patches
//! three ways as helm does.

mod actions;
mod direct;
mod driver;
mod fault;
mod hooks;
mod live;
mod ready;
mod storage;

pub use actions::{Actions, Crds, Policy, Prepared, Removal};
pub use direct::Direct;
pub use driver::{Applying, Driver, Method};
pub use fault::Fault;
pub use live::{Live, capabilities};
pub use ready::{Ready, object as readiness};
pub use storage::{Storage, Survey, all};
