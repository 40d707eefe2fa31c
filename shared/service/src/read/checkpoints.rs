//! How far a shard is counted, from the checkpoints of its counters.

use std::collections::HashSet;

use futures::future::try_join_all;
use tally_core::app::partition::Partition;
use tally_core::counter::key::CounterKind;
use tally_core::time::Timestamp;

use crate::budget::ReadError;
use crate::reads::Reads;

/// Returns the largest time stored with a checkpoint in the cells of the partition's two newest days. Everything accepted
/// before that time is counted. Returns `None` if nothing has been counted yet.
pub(crate) async fn newest_checkpoint(reads: &Reads, partition: &Partition) -> Result<Option<Timestamp>, ReadError> {
    let kinds = CounterKind::OF_CELLS.iter();
    Ok(try_join_all(kinds.map(|kind| newest_of(reads, partition, *kind))).await?.into_iter().max().flatten())
}

async fn newest_of(reads: &Reads, partition: &Partition, kind: CounterKind) -> Result<Option<Timestamp>, ReadError> {
    let mut days = HashSet::new();
    let mut newest: Option<Timestamp> = None;
    let mut from = None;
    loop {
        let page = reads.checkpoints(partition, kind, from).await?;
        for read in page.reads {
            days.insert(read.day);
            if days.len() > 2 {
                return Ok(newest);
            }
            newest = newest.max(read.newest);
            if days.len() == 2 && read.page == 0 {
                return Ok(newest);
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(newest),
        }
    }
}
