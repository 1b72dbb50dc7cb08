//! Durations and cron schedules as Kubernetes' Go programs read and print them.
//!
//! Values files, specs, annotations and flags of every tool that is spoken here hold such texts, and what one of them
//! refuses all should, in the same words. Pure: what time it is is handed in.

pub mod cron;
pub mod duration;
