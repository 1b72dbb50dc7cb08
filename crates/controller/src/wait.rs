//! Waiting until objects are as they should be, driven by the watch store: no polling.

use std::collections::BTreeMap;
use std::time::Duration;

use object::Key;
use serde_json::Value;

use crate::context::Context;

/// What a judge says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// As it should be.
    Done,
    /// Not yet, and why.
    Pending(String),
    /// It will not get there by itself, and why.
    Failed(String),
}

/// Judges that an object is to be gone.
pub fn gone(_: &Key, live: Option<&Value>) -> Judgement {
    match live {
        None => Judgement::Done,
        Some(_) => Judgement::Pending("being deleted".into()),
    }
}

/// Why waiting ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitError {
    /// The pass was cancelled.
    Preempted,
    /// Time is over; what is still missing.
    TimedOut(Vec<(Key, String)>),
    /// Everything that is not done has failed.
    Failed(Vec<(Key, String)>),
}

/// Waits until `judge` says `Done` of every key. Ends early when all the rest have failed.
pub async fn wait_for(
    context: &Context,
    keys: &[Key],
    timeout: Duration,
    judge: impl Fn(&Key, Option<&Value>) -> Judgement,
) -> Result<(), WaitError> {
    let store = context.cluster.store();
    let interest = store.interest(keys.iter().cloned());
    let deadline = context.clock().sleep(timeout);
    tokio::pin!(deadline);
    let mut open: BTreeMap<&Key, String> = keys.iter().map(|key| (key, String::new())).collect();
    loop {
        let mut failed = Vec::new();
        open.retain(|key, reason| match judge(key, store.get(key).as_ref()) {
            Judgement::Done => false,
            Judgement::Pending(why) => {
                *reason = why;
                true
            }
            Judgement::Failed(why) => {
                failed.push(((*key).clone(), why.clone()));
                *reason = why;
                true
            }
        });
        if open.is_empty() {
            return Ok(());
        }
        if failed.len() == open.len() {
            return Err(WaitError::Failed(failed));
        }
        if let Some((key, why)) = open.iter().next() {
            let left = format!("waiting for {key}: {why} ({} of {} left)", open.len(), keys.len());
            context.progress_at(left, Some((*key).clone()));
        }
        tokio::select! {
            () = interest.changed() => {}
            () = context.cancel.cancelled() => return Err(WaitError::Preempted),
            () = &mut deadline => {
                let rest = open.iter().map(|(key, why)| ((*key).clone(), why.clone())).collect();
                return Err(WaitError::TimedOut(rest));
            }
        }
    }
}
