//! Decides which days can be recounted. Counters outlive events, so a day whose events may have expired cannot be
//! recounted.

use tally_core::app::App;
use tally_core::time::{DAY, HOUR, TimeDelta, Timestamp};

/// How long before their possible expiry events are no longer recounted, in microseconds.
pub(super) const BEFORE_EXPIRY: TimeDelta = HOUR;

/// Returns whether events of a day may have expired, or may expire before a recount of it ends.
pub(super) fn may_expire(app: &App, day: Timestamp, now: Timestamp) -> bool {
    // A shorter retention may begin within the day.
    let begin = app.layout.entries().iter().map(|entry| entry.from);
    let within = begin.filter(|from| day < *from && *from < day + DAY);
    let expiries = within.chain([day]).filter_map(|at| app.layout.expires_at(at));
    expiries.min().is_some_and(|at| at <= now + BEFORE_EXPIRY)
}
