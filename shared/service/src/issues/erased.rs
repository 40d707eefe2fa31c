//! Whether issues still occur, after events were erased.

use std::collections::{HashMap, HashSet};

use tally_core::app::App;
use tally_core::app::partition::partitions;
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::key::CounterKind;
use tally_core::event::group::Group;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::covering::Run;
use tally_core::time::{DAY, Range};
use tally_store::{Order, StoreError, StoredIssue};

use crate::budget::ReadError;
use crate::reads::Reads;
use crate::report::count::each_read;

/// Returns those of some issues of which events are counted, by the counters of their days. An issue of which the counters do not
/// tell counts as one that occurs.
///
/// # Errors
/// Where the store fails.
pub async fn occurs(reads: &Reads, app: &App, known: &[StoredIssue]) -> Result<HashSet<Group>, StoreError> {
    let first = known.iter().map(|stored| stored.issue.first_seen).min();
    let last = known.iter().map(|stored| stored.issue.last_day).max();
    let (Some(first), Some(last)) = (first, last) else { return Ok(HashSet::new()) };
    let groups: HashSet<Group> = known.iter().map(|stored| stored.group).collect();
    let Ok(range) = Range::new(first.floor(DAY), last + DAY) else { return Ok(groups) };
    match counted(reads, app, &groups, range).await {
        Ok(Some(counted)) => Ok(counted),
        Ok(None) | Err(ReadError::Spent(_)) => Ok(groups),
        Err(ReadError::Store(error)) => Err(error),
    }
}

/// Those of which events are counted in a range of whole days; none if the counters do not tell.
async fn counted(
    reads: &Reads,
    app: &App,
    groups: &HashSet<Group>,
    range: Range,
) -> Result<Option<HashSet<Group>>, ReadError> {
    let mut counts: HashMap<Group, i64> = HashMap::new();
    let mut is_hidden = reads.lacks_counts(&app.id, range).await?;
    let day = |at| Bucket::of(Granularity::Day, at);
    for partition in partitions(app, range) {
        let run = Run { first: day(range.since()), last: day(range.until() - DAY) };
        let read = each_read(reads, &partition, CounterKind::Messages, run, Order::Ascending, |read| {
            for (counted, count) in read.counts {
                match counted {
                    CounterLabel::Group(_, group) if groups.contains(&group) => {
                        *counts.entry(group).or_default() += count;
                    }
                    CounterLabel::Other(_) => is_hidden |= count != 0,
                    _ => {}
                }
            }
            Ok(())
        });
        read.await?;
    }
    let occurring = counts.into_iter().filter(|(_, count)| *count != 0).map(|(group, _)| group);
    Ok((!is_hidden).then(|| occurring.collect()))
}
