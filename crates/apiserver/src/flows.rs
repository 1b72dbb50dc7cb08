//! Fair queues: whoever sends many requests at once waits for his own, not the others for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::User;
use crate::status::Failure;

/// How many requests of one user are worked on at a time. Writes wait for the disk together, so that more than there
/// are processors are worth having.
const AT_ONCE: usize = 128;
/// How many more of one user may wait.
const WAITING: usize = 4096;
/// So many users are remembered; those that ask for nothing are forgotten first.
const USERS: usize = 1024;

/// The requests of each user.
#[derive(Default)]
pub struct Flows(Mutex<HashMap<String, Arc<Flow>>>);

struct Flow {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Flow {
    fn is_idle(&self) -> bool {
        self.turns.available_permits() == AT_ONCE
    }
}

/// Counts one that waits, also when it goes away.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Flows {
    fn of(&self, user: &User) -> Arc<Flow> {
        let mut flows = self.0.lock();
        if let Some(flow) = flows.get(&user.name) {
            return flow.clone();
        }
        if flows.len() >= USERS {
            flows.retain(|_, flow| !flow.is_idle());
        }
        let flow = Arc::new(Flow { turns: Arc::new(Semaphore::new(AT_ONCE)), waiting: AtomicUsize::new(0) });
        flows.insert(user.name.clone(), flow.clone());
        flow
    }

    /// Waits for a user's turn; it lasts until what comes back is dropped.
    pub async fn turn(&self, user: &User) -> Result<OwnedSemaphorePermit, Failure> {
        let flow = self.of(user);
        if let Ok(turn) = flow.turns.clone().try_acquire_owned() {
            return Ok(turn);
        }
        let too_many = || {
            let text = "too many requests, please try again later";
            Failure::new(429, "TooManyRequests", text).detail("retryAfterSeconds", 1)
        };
        if flow.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            flow.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(too_many());
        }
        let _waits = Waits(&flow.waiting);
        flow.turns.clone().acquire_owned().await.map_err(|_| too_many())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User { name: name.to_owned(), ..User::default() }
    }

    #[tokio::test]
    async fn one_user_waits_and_another_does_not() {
        let flows = Flows::default();
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(flows.turn(&user("loud")).await.unwrap());
        }
        let (loud, quiet) = (user("loud"), user("quiet"));
        let mut waiting = Box::pin(flows.turn(&loud));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(flows.turn(&quiet).await.is_ok());
        turns.pop();
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn endless_queues_are_refused_and_left_queues_forgotten() {
        let flows = Flows::default();
        let loud = user("loud");
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(flows.turn(&loud).await.unwrap());
        }
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(flows.turn(&loud))).collect();
        for one in &mut waiting {
            assert!(futures::poll!(one).is_pending());
        }
        assert_eq!(flows.turn(&loud).await.unwrap_err().code().as_u16(), 429);
        waiting.pop();
        let mut one = Box::pin(flows.turn(&loud));
        assert!(futures::poll!(&mut one).is_pending(), "a place is free again");
        drop((waiting, one, turns));
        for n in 0..2 * USERS {
            drop(flows.turn(&user(&n.to_string())).await.unwrap());
        }
        assert!(flows.0.lock().len() <= USERS);
    }
}
