//! Time: points, ranges, zones, calendars, and the buckets that counters are kept in.

pub mod bucket;
pub mod calendar;
pub mod clock;
pub mod covering;
mod range;
mod timestamp;
pub mod zone;

pub use range::{Range, RangeError};
pub use timestamp::{TimeError, Timestamp, parse_date, start_of_day};

/// Microseconds in a millisecond.
pub const MILLISECOND: i64 = 1_000;
/// Microseconds in a second.
pub const SECOND: i64 = 1_000 * MILLISECOND;
/// Microseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a UTC day.
pub const DAY: i64 = 24 * HOUR;
