//! Counts of what counters cannot select: the events themselves are read, the newest first, as far as the budget goes.

use std::collections::HashMap;

use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::event::group::Group;
use tally_core::event::id::EventId;
use tally_core::event::level::Level;
use tally_core::time::{Range, Timestamp};
use tally_store::StoreError;

use super::count::{CellKey, Counts};
use super::example::Example;
use super::tail::counted_minutes;
use crate::read::query::EventQuery;
use crate::read::reader::{End, walk};
use crate::read::ways::is_newest_indexed;
use crate::reads::{Part, Reads};

/// The bytes that a message takes, beside its text.
const MESSAGE_BYTES: usize = 200;

/// Occurrences that were counted from events.
#[derive(Debug, Default)]
pub struct FromEvents {
    /// Occurrences by slot and cell.
    pub counts: Counts,
    /// Occurrences by group.
    pub messages: HashMap<Group, MessageSum>,
    /// Where the budget or the limit ended before all were read: events before this time are not counted.
    pub covered_since: Option<Timestamp>,
    /// The newest event.
    pub newest: Option<Timestamp>,
}

/// The occurrences of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSum {
    /// The number of occurrences.
    pub count: i64,
    /// The newest of them.
    pub newest: Example,
    /// The sum of the text marks of all.
    pub marks: i64,
    /// The most severe level that it had.
    pub level: Option<Level>,
}

/// The newest events that match a filter, with all that were stored before and happened from a time on, which is returned if
/// the range reaches so far. Statistics that read events use it; an index follows events within a second, so where it finds them no
/// such time is told.
///
/// # Errors
/// Where the store fails.
pub async fn live_events(
    reads: &Reads,
    app: &App,
    range: Range,
    filter: &EventFilter,
    limit: usize,
) -> Result<(EventQuery, Option<Timestamp>), StoreError> {
    let query = EventQuery::newest(range, filter.clone(), limit);
    if is_newest_indexed(app, range, filter) {
        return Ok((query, None));
    }
    let (first, last) = counted_minutes(reads, app).await?;
    let query = EventQuery { live_from: Some(first), ..query };
    Ok((query, Some(last).filter(|last| *last < range.until())))
}

/// Counts the newest `most` events that match a filter in the slots between `boundaries`, which are in order.
///
/// # Errors
/// Where the store fails.
pub async fn count_events(
    reads: &Reads,
    app: &App,
    boundaries: &[Timestamp],
    filter: &EventFilter,
    most: usize,
) -> Result<FromEvents, StoreError> {
    count_within(reads, app, boundaries, filter, most, false).await
}

/// The same. With `names`, it takes no more than the share of the read budget that the names of groups have, so that counters can
/// still be read.
pub(super) async fn count_within(
    reads: &Reads,
    app: &App,
    boundaries: &[Timestamp],
    filter: &EventFilter,
    most: usize,
    names: bool,
) -> Result<FromEvents, StoreError> {
    let mut found = FromEvents::default();
    let (Some(first), Some(last)) = (boundaries.first(), boundaries.last()) else { return Ok(found) };
    let Ok(range) = Range::new(*first, *last) else { return Ok(found) };
    found.counts.range = range;
    // One more tells whether there are more.
    let limit = most.min(usize::MAX / 2).saturating_add(1);
    let (query, live_from) = live_events(reads, app, range, filter, limit).await?;
    let query = EventQuery { part: names.then_some(Part::Names), ..query };
    let mut left = most;
    // The first event that was not counted, since it is one too many or had no room in memory.
    let mut stopped_at = None;
    let end = walk(reads, app, &query, |event| {
        let at = event.at(app.clock);
        let slot = boundaries.partition_point(|boundary| *boundary <= at).saturating_sub(1);
        // `count` is at most 1e9.
        let count = i64::try_from(event.count).unwrap_or(0);
        // Slots are far fewer than 2^32.
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        if left == 0 || found.add(reads, slot, CellKey::Cell(event.cell()), count).is_err() {
            stopped_at = Some(event.id);
            return false;
        }
        left -= 1;
        found.newest = found.newest.max(Some(at));
        let Some((group, mark)) = app.layout.group_of(event.id.at(), event.grouped()) else { return true };
        let newest = Example::new(at, event.id, &event.name, event.grouped(), mark);
        let marks = newest.marks(count);
        if let Some(sum) = found.messages.get_mut(&group) {
            sum.count += count;
            sum.marks = sum.marks.saturating_add(marks);
            sum.level = sum.level.max(event.level);
            if newest.at > sum.newest.at {
                sum.newest = newest;
            }
        } else {
            // What does not fit ends the walk with the next event.
            let _ = reads.budget.hold(MESSAGE_BYTES + newest.weight());
            found.messages.insert(group, MessageSum { count, newest, marks, level: event.level });
        }
        true
    });
    let frontier = match end.await? {
        End::Read { frontier } => frontier,
        End::Stopped => stopped_at.and_then(EventId::after),
    };
    found.covered_since = frontier.map(|id| id.at().max(range.since()));
    found.counts.covered_since = found.covered_since;
    // Of what counters could answer in part, they would know what has expired.
    let is_kept = || range.is_empty() || app.layout.kept(range, reads.now) == [range];
    found.counts.complete = frontier.is_none() && (!filter.cell.asks_events() || is_kept());
    found.counts.live_from = live_from.max(found.covered_since.filter(|_| live_from.is_some()));
    Ok(found)
}

impl FromEvents {
    /// Adds an event to the counts, or nothing if it has no room.
    fn add(&mut self, reads: &Reads, slot: u32, cell: CellKey, count: i64) -> Result<(), crate::budget::Spent> {
        let held = self.counts.add_cell(&reads.budget, slot, cell.clone(), count);
        if held.is_err() {
            // It was added before memory was short.
            let _ = self.counts.add_cell(&reads.budget, slot, cell, -count);
        }
        held
    }
}
