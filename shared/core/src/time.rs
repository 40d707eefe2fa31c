//! Time: points, lengths, ranges, zones, calendars, and the buckets that counters are kept in.

pub mod bucket;
pub mod calendar;
pub mod clock;
pub mod covering;
mod delta;
pub mod micros;
pub mod moment;
mod range;
mod timestamp;
pub mod zone;

pub use delta::TimeDelta;
pub use range::{Range, RangeError};
pub use timestamp::{TimeError, Timestamp, parse_date, start_of_day};

/// A microsecond.
pub const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);
/// A millisecond.
pub const MILLISECOND: TimeDelta = TimeDelta::milliseconds(1);
/// A second.
pub const SECOND: TimeDelta = TimeDelta::seconds(1);
/// A minute.
pub const MINUTE: TimeDelta = TimeDelta::minutes(1);
/// An hour.
pub const HOUR: TimeDelta = TimeDelta::hours(1);
/// A day of UTC.
pub const DAY: TimeDelta = TimeDelta::days(1);
