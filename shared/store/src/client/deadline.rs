//! Deadlines for responses, independent of the store's speed.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client::error::StoreError;

/// The time by which the store must have answered.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the deadline after a duration from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Returns the remaining time, or zero if the deadline has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Runs `work` until the deadline. Cancels it at the deadline, and does not start it after the deadline.
    ///
    /// # Errors
    /// Returns the errors of `work`, or [`StoreError::Unavailable`] if time runs out. A write that has started may
    /// still take effect.
    pub async fn hold<T, E: From<StoreError>>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if self.left().is_zero() {
            return Err(StoreError::Unavailable("no time was left to ask it".to_owned()).into());
        }
        let late = |_| StoreError::Unavailable("it did not answer in the time of the request".to_owned());
        timeout_at(self.0, work).await.map_err(late)?
    }

    /// Waits. Returns false without waiting if the deadline is earlier.
    pub(crate) async fn wait(self, time: Duration) -> bool {
        if self.left() <= time {
            return false;
        }
        sleep_until(Instant::now() + time).await;
        true
    }
}
