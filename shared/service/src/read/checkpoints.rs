//! How far a shard is counted, from the checkpoints of its counters.

use std::collections::{HashMap, HashSet};

use futures::future::{try_join, try_join_all};
use tally_core::app::partition::Partition;
use tally_core::counter::key::CounterKind;
use tally_core::time::{TimeDelta, Timestamp};

use crate::budget::ReadError;
use crate::reads::Reads;

/// A stream shard takes records for about 4 hours, and they live for 24. So one whose checkpoint is so much older than the
/// newest has no record left that is not counted.
const STREAM_SHARD_LIFE: TimeDelta = TimeDelta::hours(30);

/// By stream shard, the largest time stored with its checkpoints.
type Times = HashMap<String, Timestamp>;

/// Returns the time before which everything that was accepted in the partition is counted, from the checkpoints in the cells
/// of its two newest days. Returns `None` if nothing has been counted yet.
///
/// DynamoDB may have split the partition, so that several stream shards have its records. The one that is behind decides. A
/// stream shard that another one continues is counted completely, and decides nothing.
pub(crate) async fn counted_before(
    reads: &Reads,
    partition: &Partition,
    consistent: bool,
) -> Result<Option<Timestamp>, ReadError> {
    let kinds = CounterKind::OF_CELLS.iter();
    let times = try_join_all(kinds.map(|kind| times_of(reads, partition, *kind, consistent))).await?;
    Ok(least(reads, times.into_iter().flatten()).await?.into_values().min())
}

/// How far a shard is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The time before which everything that was accepted is counted; none if nothing was counted yet.
    pub(crate) before: Option<Timestamp>,
    /// The number of stream shards that decide that.
    pub(crate) stream_shards: usize,
}

/// The same by heartbeats too, so that a shard without events is counted all the same. Strongly consistent.
pub(crate) async fn counted_by_heartbeats(reads: &Reads, partition: &Partition) -> Result<Counted, ReadError> {
    let kinds = CounterKind::OF_CELLS.iter();
    let times = try_join_all(kinds.map(|kind| times_of(reads, partition, *kind, true)));
    let (times, heartbeats) = try_join(times, reads.heartbeats(partition)).await?;
    let times = least(reads, times.into_iter().flatten().chain(heartbeats)).await?;
    Ok(Counted { before: times.values().min().copied(), stream_shards: times.len() })
}

/// The newest times of those stream shards that decide how far a shard is counted.
async fn least(reads: &Reads, all: impl Iterator<Item = (String, Timestamp)>) -> Result<Times, ReadError> {
    let mut times = Times::new();
    for (shard, at) in all {
        let newest = times.entry(shard).or_insert(at);
        *newest = at.max(*newest);
    }
    let Some(newest) = times.values().max().copied() else { return Ok(times) };
    times.retain(|_, at| *at + STREAM_SHARD_LIFE >= newest);
    if times.len() > 1 {
        let shards: Vec<_> = times.keys().map(String::as_str).collect();
        let continued = reads.continued_shards(&shards).await?;
        times.retain(|shard, _| !continued.contains(shard));
    }
    Ok(times)
}

async fn times_of(
    reads: &Reads,
    partition: &Partition,
    kind: CounterKind,
    consistent: bool,
) -> Result<Vec<(String, Timestamp)>, ReadError> {
    let mut days = HashSet::new();
    let mut times = Vec::new();
    let mut from = None;
    loop {
        let page = reads.checkpoints(partition, kind, consistent, from).await?;
        for read in page.reads {
            days.insert(read.day);
            if days.len() > 2 {
                return Ok(times);
            }
            times.extend(read.checkpoints);
            if days.len() == 2 && read.page == 0 {
                return Ok(times);
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(times),
        }
    }
}
