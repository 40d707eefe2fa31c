//! Times ahead in bodies: a time, or a length from now.

use serde_json::value::RawValue;
use tally_core::event::json as raw;
use tally_core::time::moment::Moment;
use tally_core::time::{TimeDelta, Timestamp};
use tally_http::body::Fields;

/// How far ahead a time may be.
const LONGEST: TimeDelta = TimeDelta::days(3_660);

/// A time ahead: `90d`, `12h`, `30m` or `2w` from now, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeAhead {
    /// This time.
    At(Timestamp),
    /// So long from now.
    In(TimeDelta),
}

impl TimeAhead {
    /// Reads the value of a field.
    pub(crate) fn read(fields: &mut Fields<'_>, name: &str, value: &RawValue) -> Option<Self> {
        // Lengths are written as in queries, where they reach back.
        match raw::string(value).ok().and_then(|text| text.parse().ok()) {
            Some(Moment::Ago(length)) => Some(Self::In(length)),
            _ => fields.time_of(name, value).map(Self::At),
        }
    }

    /// The time, if it is after now and within 10 years.
    pub(crate) fn after(self, now: Timestamp) -> Option<Timestamp> {
        let at = match self {
            Self::At(at) => at,
            Self::In(length) => now + length,
        };
        (now < at && at <= now + LONGEST).then_some(at)
    }
}
