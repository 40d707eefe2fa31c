//! How long one answer may take, whatever the store does meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client::error::StoreError;

/// The moment until which the store may be asked for one answer.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The one so far from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The time until it; none once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Runs `work`, which is dropped when the deadline passes, and not begun once it has passed.
    ///
    /// # Errors
    /// Those of `work`, and [`StoreError::Unavailable`] where there was no time: a write that had begun may have happened
    /// all the same.
    pub async fn hold<T, E: From<StoreError>>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if self.left().is_zero() {
            return Err(StoreError::Unavailable("no time was left to ask it".to_owned()).into());
        }
        let late = |_| StoreError::Unavailable("it did not answer in the time of the request".to_owned());
        timeout_at(self.0, work).await.map_err(late)?
    }

    /// Waits, unless the deadline is nearer than that; false where it is.
    pub(crate) async fn wait(self, time: Duration) -> bool {
        if self.left() <= time {
            return false;
        }
        sleep_until(Instant::now() + time).await;
        true
    }
}
