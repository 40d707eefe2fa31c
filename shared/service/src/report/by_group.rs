//! Counts with any filter. What counters cannot select is counted from the events. Counters of groups know no names, so those come
//! from the events as well, where these are few.

use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::time::{Range, Timestamp};

use super::count::{self, Counts};
use super::from_events::{count_events, count_within};
use crate::budget::ReadError;
use crate::reads::Reads;

/// Most occurrences of groups whose names are read from their events.
const MOST_NAMED: usize = 1_000;

/// The range that is counted of one that is asked for: of counters whose events have expired, whole minutes.
pub fn range_of(app: &App, range: Range, filter: &EventFilter, now: Timestamp) -> Range {
    if filter.asks_events() { range } else { count::widen(app, range, now) }
}

/// Counts the occurrences that match a filter in the slots between `boundaries`, which are in order.
///
/// What no counters answer, such as a user, or a group and a name, is counted from the events as far as the read budget goes, the
/// newest first: then the counts are not complete, and say from when on they are. Counters of groups answer a filter on groups and
/// levels. With `names`, and of at most 1,000 occurrences, the events that
/// they locate are counted, with their names, if an eighth of the read budget suffices; otherwise all
/// that is known is the level.
///
/// # Errors
/// Returns an error if the store fails, or if the budget ends before the counters are read.
pub async fn count(
    reads: &Reads,
    app: &App,
    boundaries: Vec<Timestamp>,
    filter: &EventFilter,
    names: bool,
) -> Result<Counts, ReadError> {
    if filter.asks_events() {
        return Ok(count_events(reads, app, &boundaries, filter, usize::MAX).await?.counts);
    }
    let counts = count::count(reads, app, boundaries.clone(), &filter.cell).await?;
    if filter.cell.group.is_any() {
        return Ok(counts);
    }
    let is_few = (1..=MOST_NAMED).contains(&usize::try_from(counts.total()).unwrap_or(usize::MAX));
    // A range that was widened ends with minutes whose events are not all there.
    let is_whole =
        boundaries.first() == Some(&counts.range.since()) && boundaries.last() == Some(&counts.range.until());
    if !names || !is_few || !is_whole {
        return Ok(counts);
    }
    let events = count_within(reads, app, &boundaries, filter, MOST_NAMED, true).await?;
    // Of what has expired, there is no name. What is not counted yet has one.
    if !events.counts.complete || events.counts.total() < counts.total() {
        return Ok(counts);
    }
    let mut named = events.counts;
    (named.live_from, named.complete) = (counts.live_from, counts.complete);
    Ok(named)
}
