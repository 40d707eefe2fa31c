//! What a report says: the counts of a period and of the one before, read when it is told and stored nowhere.

use std::collections::HashMap;

use tally_core::app::App;
use tally_core::event::filter::values::Values;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::level::Level;
use tally_core::time::Range;
use tally_notify::{Report, ReportMessage, ReportName};
use tally_store::StoreError;

use crate::budget::ReadError;
use crate::reads::Reads;
use crate::report::by_group;
use crate::report::count::{CellKey, Counts, largest_first};
use crate::report::from_events::count_events;
use crate::report::top_messages;

/// The most names and messages that a report names.
const MOST: usize = Report::MOST;
/// The most events that are read for the messages of a name, slug or category, which counters of messages do not know.
const MOST_FOR_MESSAGES: usize = 1_000;

/// Counts a period and the one before. What the read budget does not reach is left out, and the report is not complete.
///
/// # Errors
/// Where the store fails.
pub(super) async fn summary(
    reads: &Reads,
    app: &App,
    filter: &CellFilter,
    [period, before]: [Range; 2],
) -> Result<Report, StoreError> {
    // The period itself comes first: both share the budget.
    let now = unless_spent(count(reads, app, filter, period).await)?;
    let messages = unless_spent(messages(reads, app, filter, period).await)?;
    let earlier = unless_spent(count(reads, app, filter, before).await)?;
    let (messages, has_messages) = messages.unwrap_or_default();
    let is_whole = |counts: &Option<Counts>| counts.as_ref().is_some_and(|counts| counts.complete);
    Ok(Report {
        since: period.since(),
        until: period.until(),
        total: now.as_ref().map(Counts::total),
        previous_total: earlier.as_ref().map(Counts::total),
        errors: now.as_ref().map(errors),
        previous_errors: earlier.as_ref().map(errors),
        names: now.as_ref().map_or_else(Vec::new, |now| names(now, earlier.as_ref())),
        messages,
        complete: is_whole(&now) && is_whole(&earlier) && has_messages,
        about: String::new(),
    })
}

/// What was read, or nothing if the budget ended before.
fn unless_spent<T>(read: Result<T, ReadError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(ReadError::Spent(_)) => Ok(None),
        Err(ReadError::Store(error)) => Err(error),
    }
}

async fn count(reads: &Reads, app: &App, filter: &CellFilter, range: Range) -> Result<Counts, ReadError> {
    by_group::count(reads, app, vec![range.since(), range.until()], &filter.clone().into(), true).await
}

fn errors(counts: &Counts) -> i64 {
    let by_level = counts.by(CellKey::level);
    by_level.into_iter().filter(|(level, _)| *level >= Some(Level::Error)).map(|(_, count)| count).sum()
}

fn names(now: &Counts, earlier: Option<&Counts>) -> Vec<ReportName> {
    // What is among others has no count of its own.
    let earlier: Option<HashMap<_, _>> =
        earlier.filter(|earlier| earlier.names_complete()).map(|earlier| earlier.by(CellKey::name));
    let previous = |name: &str| Some(earlier.as_ref()?.get(name).copied().unwrap_or(0));
    let most = largest_first(now.by(CellKey::name)).into_iter().take(MOST);
    most.map(|(name, count)| ReportName { name: name.to_owned(), count, previous: previous(name) }).collect()
}

/// The most frequent messages of WARN and above, and whether they are all known.
async fn messages(
    reads: &Reads,
    app: &App,
    filter: &CellFilter,
    range: Range,
) -> Result<(Vec<ReportMessage>, bool), ReadError> {
    let severe = Level::ALL.into_iter().filter(|level| *level >= Level::Warn).collect();
    let severe = CellFilter { level: Values::new(severe, vec![]).unwrap_or_default(), ..CellFilter::default() };
    let filter = filter.clone().and(severe);
    if filter.level.is_nothing() {
        return Ok((vec![], true));
    }
    if !filter.is_fine() {
        let top = top_messages::top(reads, app, range, &filter.clone().into(), MOST).await?;
        let known = top.messages.into_iter();
        let messages = known.map(|top| ReportMessage {
            message: top.message,
            level: top.level.map(Level::as_str),
            count: top.count,
        });
        return Ok((messages.collect(), top.complete));
    }
    let events =
        count_events(reads, app, &[range.since(), range.until()], &EventFilter::from(filter), MOST_FOR_MESSAGES)
            .await?;
    let mut sums: Vec<_> = events.messages.iter().collect();
    sums.sort_unstable_by_key(|(group, sum)| (std::cmp::Reverse((sum.count, sum.newest.at)), **group));
    let messages = sums.into_iter().take(MOST).map(|(_, sum)| ReportMessage {
        message: sum.newest.shown(sum.marks, sum.count),
        level: sum.level.map(Level::as_str),
        count: sum.count,
    });
    Ok((messages.collect(), events.covered_since.is_none()))
}
