//! Request timeouts.

use std::time::Duration;

/// The timeouts for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The timeout for one attempt. DynamoDB responds in milliseconds, so a slower attempt is better retried.
    pub attempt: Duration,
    /// The timeout for one request, including retries.
    pub call: Duration,
    /// The timeout for all requests of a time-critical response: authentication and storing events.
    pub answer: Duration,
}

impl Timeouts {
    /// The cloud timeouts. A caller is told to retry within two seconds.
    pub const CLOUD: Self = Self {
        attempt: Duration::from_millis(900),
        call: Duration::from_millis(1_800),
        answer: Duration::from_millis(1_800),
    };
    /// The laptop timeouts. The local database may have to wait for the disk and for other processes.
    pub const LAPTOP: Self =
        Self { attempt: Duration::from_millis(13_500), call: Duration::from_secs(27), answer: Duration::from_mins(2) };
}
