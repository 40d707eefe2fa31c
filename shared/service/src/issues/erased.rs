//! Whether issues still occur, after events were erased.

use tally_core::app::App;
use tally_core::app::partition::partitions;
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::key::CounterKind;
use tally_core::event::group::Group;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::covering::Run;
use tally_core::time::{DAY, MICROSECOND, Range};
use tally_store::{Order, StoreError, StoredIssue};

use crate::budget::ReadError;
use crate::reads::Reads;
use crate::report::count::each_read;

/// Whether events of an issue that have not expired are counted, by the counters of its days. An issue of which the counters do not
/// tell counts as one that occurs.
///
/// # Errors
/// Where the store fails.
pub async fn occurs(reads: &Reads, app: &App, stored: &StoredIssue) -> Result<bool, StoreError> {
    let issue = &stored.issue;
    let Ok(days) = Range::new(issue.first_seen.floor(DAY), issue.last_day + DAY) else { return Ok(true) };
    // Counts outlive events.
    let kept = app.layout.kept(days, reads.now);
    let (Some(first), Some(last)) = (kept.first(), kept.last()) else { return Ok(false) };
    let Ok(range) = Range::new(first.since().floor(DAY), last.until()) else { return Ok(true) };
    match counted(reads, app, stored.group, range).await {
        Ok(occurs) => Ok(occurs),
        Err(ReadError::Spent(_)) => Ok(true),
        Err(ReadError::Store(error)) => Err(error),
    }
}

async fn counted(reads: &Reads, app: &App, wanted: Group, range: Range) -> Result<bool, ReadError> {
    if reads.lacks_counts(&app.id, range).await? {
        return Ok(true);
    }
    let day = |at| Bucket::of(Granularity::Day, at);
    let run = Run { first: day(range.since()), last: day(range.until() - MICROSECOND) };
    let (mut sum, mut is_hidden) = (0, false);
    for partition in partitions(app, range) {
        let read = each_read(reads, &partition, CounterKind::Messages, run, Order::Descending, |read| {
            for (counted, count) in read.counts {
                match counted {
                    CounterLabel::Group(_, group) if group == wanted => sum += count,
                    CounterLabel::Other(_) => is_hidden |= count != 0,
                    _ => {}
                }
            }
            Ok(())
        });
        read.await?;
        if is_hidden {
            return Ok(true);
        }
    }
    Ok(sum != 0)
}
