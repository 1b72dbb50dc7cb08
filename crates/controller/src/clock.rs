//! Time, handed in.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

/// A clock: the wall and the way to wait.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()>;
    /// Now as Kubernetes writes it: RFC 3339, whole seconds, UTC.
    fn stamp(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(pause))
    }
}
