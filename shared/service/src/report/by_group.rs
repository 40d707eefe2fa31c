//! Counts with a filter on groups. Counters of groups know no names, so those come from the events, where these are few.

use tally_core::app::App;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::time::Timestamp;

use super::count::{self, Counts};
use super::from_events::{count_events, count_within};
use crate::budget::ReadError;
use crate::reads::Reads;

/// Most occurrences of groups whose names are read from their events.
const MOST_NAMED: usize = 1_000;

/// Counts the occurrences that match a filter in the slots between `boundaries`, which are in order.
///
/// Counters of groups answer a filter on groups and levels. With `names`, and of at most 1,000 occurrences, the events that
/// they locate are counted, with their names, if an eighth of the read budget suffices; otherwise all that is known is the level. What no counters answer, such as a
/// group and a name, is counted from the events as far as the read budget goes, the newest first: then the counts are not
/// complete.
///
/// # Errors
/// Returns an error if the store fails, or if the budget ends before the counters are read.
pub async fn count(
    reads: &Reads,
    app: &App,
    boundaries: Vec<Timestamp>,
    filter: &CellFilter,
    names: bool,
) -> Result<Counts, ReadError> {
    if filter.group.is_any() {
        return count::count(reads, app, boundaries, filter).await;
    }
    if filter.asks_events() {
        let events = count_events(reads, app, &boundaries, &EventFilter::from(filter.clone()), usize::MAX).await?;
        return Ok(events.counts);
    }
    let counts = count::count(reads, app, boundaries.clone(), filter).await?;
    let is_few = (1..=MOST_NAMED).contains(&usize::try_from(counts.total()).unwrap_or(usize::MAX));
    // A range that was widened ends with minutes whose events are not all there.
    let is_whole =
        boundaries.first() == Some(&counts.range.since()) && boundaries.last() == Some(&counts.range.until());
    if !names || !is_few || !is_whole {
        return Ok(counts);
    }
    let events = count_within(reads, app, &boundaries, &EventFilter::from(filter.clone()), MOST_NAMED, true).await?;
    // Of what has expired, there is no name. What is not counted yet has one.
    if !events.counts.complete || events.counts.total() < counts.total() {
        return Ok(counts);
    }
    let mut named = events.counts;
    (named.live_from, named.complete) = (counts.live_from, counts.complete);
    Ok(named)
}
