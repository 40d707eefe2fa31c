//! How long requests may take.

use std::time::Duration;

/// How long to wait for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For one attempt at one request. DynamoDB answers in milliseconds; a slower attempt is better repeated.
    pub attempt: Duration,
    /// For one request with its retries.
    pub call: Duration,
    /// For all requests of one answer that must come soon: authentication and the storing of events.
    pub answer: Duration,
}

impl Timeouts {
    /// The timeouts of the cloud: a caller is told within two seconds to come back.
    pub const CLOUD: Self = Self {
        attempt: Duration::from_millis(900),
        call: Duration::from_millis(1_800),
        answer: Duration::from_millis(1_800),
    };
    /// The timeouts of a laptop, whose database waits for its disk and for whatever else the laptop does.
    pub const LAPTOP: Self =
        Self { attempt: Duration::from_millis(13_500), call: Duration::from_secs(27), answer: Duration::from_mins(2) };
}
