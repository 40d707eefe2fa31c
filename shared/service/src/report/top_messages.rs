//! The most frequent groups of messages. They are counted from message items. The text and last occurrence come from the newest
//! event of each group, which the counters locate. What those counters do not know is counted from the events. Nothing of a message outlives its events.

use std::cmp::Reverse;
use std::collections::HashMap;

use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::event::group::Group;
use tally_core::event::id::EventId;
use tally_core::event::level::Level;
use tally_core::time::{Range, Timestamp};

use super::from_events::{FromEvents, MessageSum, count_events};
use super::group_search::{Candidate, Counted, Newest, Search, cut};
use crate::budget::ReadError;
use crate::reads::Reads;

/// The text of a message whose events have expired.
pub const EXPIRED: &str = "(expired)";
/// The text of a message whose events are more than the budget can read.
pub const UNREAD: &str = "(not read)";

/// A group of messages, its number of occurrences, and its last occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopMessage {
    /// The group.
    pub group: Group,
    /// The most severe level that it had.
    pub level: Option<Level>,
    /// The message if all are equal, else their template.
    pub message: String,
    /// The newest event in the range; none where it was not found.
    pub example: Option<EventId>,
    /// The number of occurrences in the range.
    pub count: i64,
    /// The last occurrence in the range.
    pub last_seen: Timestamp,
}

/// The most frequent messages of a range.
#[derive(Clone, Debug)]
pub struct TopMessages {
    /// The messages, the most frequent first.
    pub messages: Vec<TopMessage>,
    /// The range that was counted: as asked for, or wider.
    pub range: Range,
    /// Whether the result is complete: no message may be hidden in the rest of a full item, or on a day whose counters
    /// lack events, and all texts were read.
    pub complete: bool,
    /// Where the newest minutes are counted from their events: everything that happened since then is counted.
    pub live_from: Option<Timestamp>,
    /// Where they come from events, and the budget ended before all were read: events before this time are not counted.
    pub covered_since: Option<Timestamp>,
}

/// Whether a filter asks for more than a level and a group, which is all that counters of messages know.
pub fn asks_events(filter: &EventFilter) -> bool {
    filter.cell.is_fine() || !filter.beyond_cells().is_empty()
}

/// Counts the messages of a range from its events, the newest first, as far as the budget goes.
async fn from_events(reads: &Reads, app: &App, range: Range, filter: &EventFilter) -> Result<FromEvents, ReadError> {
    Ok(count_events(reads, app, &[range.since(), range.until()], filter, usize::MAX).await?)
}

/// The most frequent of messages that were counted from events, then the newest.
#[allow(clippy::implicit_hasher)] // all are of this process
pub fn largest(all: &HashMap<Group, MessageSum>, limit: usize) -> Vec<TopMessage> {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_unstable_by_key(|(group, sum)| (Reverse((sum.count, sum.newest.at)), **group));
    let message = |(group, sum): (&Group, &MessageSum)| TopMessage {
        group: *group,
        level: sum.level,
        message: sum.newest.shown(sum.marks, sum.count),
        example: Some(sum.newest.id),
        count: sum.count,
        last_seen: sum.newest.at,
    };
    sorted.into_iter().take(limit).map(message).collect()
}

/// Finds the most frequent groups of a range.
///
/// # Errors
/// Returns an error if the store fails, or if the budget ends before the messages are counted.
pub async fn top(
    reads: &Reads,
    app: &App,
    range: Range,
    filter: &EventFilter,
    limit: usize,
) -> Result<TopMessages, ReadError> {
    if asks_events(filter) {
        let FromEvents { counts, messages, covered_since, .. } = from_events(reads, app, range, filter).await?;
        let (complete, live_from) = (counts.complete, counts.live_from);
        return Ok(TopMessages { messages: largest(&messages, limit), range, complete, live_from, covered_since });
    }
    let search = Search::new(reads, app, range, &filter.cell);
    let Counted { mut candidates, range, mut complete, live_from, .. } = search.count().await?;
    let search = Search { range, ..search };
    cut(&mut candidates, limit);
    // What is not found within the budget has no text.
    let found = search.locate(&mut candidates, limit).await;
    if let Err(ReadError::Store(error)) = found {
        return Err(error.into());
    }
    let unread = if found.is_ok() { EXPIRED } else { UNREAD };
    complete &= found.is_ok();
    cut(&mut candidates, limit);
    candidates.truncate(limit);
    let top = candidates.into_iter().map(|candidate| {
        let Candidate { group, level, count, marks, newest } = candidate;
        let (message, example, last_seen) = match newest {
            Newest::Seen(example) => (example.shown(marks, count), Some(example.id), example.at),
            Newest::In(bucket) => (unread.to_owned(), None, bucket.start().max(range.since())),
        };
        TopMessage { group, level, message, example, count, last_seen }
    });
    Ok(TopMessages { messages: top.collect(), range, complete, live_from, covered_since: None })
}

/// The occurrences of every message of a range.
#[derive(Clone, Debug)]
pub struct MessageCounts {
    /// Occurrences by message.
    pub counts: HashMap<Group, i64>,
    /// Whether every message was counted.
    pub complete: bool,
}

/// Counts every group of a range.
///
/// # Errors
/// Returns an error if the store fails, or if the budget ends.
pub async fn counts(reads: &Reads, app: &App, range: Range, filter: &EventFilter) -> Result<MessageCounts, ReadError> {
    if asks_events(filter) {
        let events = from_events(reads, app, range, filter).await?;
        let counts = events.messages.into_iter().map(|(group, sum)| (group, sum.count)).collect();
        return Ok(MessageCounts { counts, complete: events.counts.complete });
    }
    let counted = Search::new(reads, app, range, &filter.cell).count().await?;
    let counts = counted.candidates.into_iter().map(|candidate| (candidate.group, candidate.count)).collect();
    Ok(MessageCounts { counts, complete: counted.complete })
}
