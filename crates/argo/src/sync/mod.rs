//! Syncs: what is done in which order, and doing it.

pub mod hooks;
pub mod operation;
pub mod options;
pub mod run;
pub mod tasks;
