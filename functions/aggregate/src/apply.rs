//! Applying a folded batch to one counter item, exactly once.

use tally_core::counter::checkpoint::{Checkpoint, SequenceNumber};
use tally_core::counter::folding::Folded;
use tally_core::counter::item::CounterItem;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::Timestamp;
use tally_store::{Applied, Increment, Precondition, Store, StoreError, counter_keys};

use crate::error::AggregateError;

/// Write units from which on an item takes no new cells: it has grown past 64 KB.
const FULL: f64 = 64.0;
/// Write units from which on an app's cells are to be spread over more pages.
pub(crate) const COSTLY: f64 = 8.0;
/// Tries of one item before the batch is given back. Each refusal but those of `full` means that another aggregator
/// moved the checkpoint meanwhile.
const TRIES: u32 = 50;

/// Applies a folded batch.
pub(crate) struct Applier<'a> {
    pub(crate) store: &'a Store,
    pub(crate) folded: &'a Folded,
    pub(crate) stream_shard: &'a str,
    /// The batch's first record.
    pub(crate) first: SequenceNumber,
    /// When that was created.
    pub(crate) created_at: Timestamp,
}

/// What came of one item.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) key: CounterKey,
    /// Write units of its last update.
    pub(crate) units: f64,
    /// Whether it takes no new cells.
    pub(crate) full: bool,
    /// Why the store refuses the item for good, if it does.
    pub(crate) refused: Option<Refused>,
}

#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) sequence: String,
    pub(crate) keys: String,
    pub(crate) error: String,
}

impl Outcome {
    pub(crate) fn is_cells(&self) -> bool {
        self.key.kind != CounterKind::Messages
    }
}

impl Applier<'_> {
    /// Adds to one item what the batch changes in it, unless it is in already.
    pub(crate) async fn apply(&self, key: CounterKey) -> Result<Outcome, AggregateError> {
        let mut outcome = Outcome { key, units: 0.0, full: false, refused: None };
        let mut after: Option<SequenceNumber> = None;
        let mut unless = Precondition::CheckpointReached(self.first.clone());
        let mut seen: Option<CounterItem> = None;
        for _ in 0..TRIES {
            let Some(prefix) = self.folded.prefix(&outcome.key, after.as_ref(), seen.as_ref()) else {
                return Ok(outcome);
            };
            let increment = Increment {
                key: &outcome.key,
                stream_shard: self.stream_shard,
                unless: unless.clone(),
                full: seen.as_ref().is_some_and(|item| item.full),
                checkpoint: Checkpoint { sequence: prefix.last.clone(), created_at: self.created_at },
                counts: prefix.counts,
            };
            match self.store.increment(&increment).await {
                Ok(Applied::Done { units }) => {
                    outcome.units = units;
                    outcome.full |= increment.full;
                    if units > FULL && !increment.full {
                        self.store.set_full(&outcome.key).await?;
                        outcome.full = true;
                    }
                    if prefix.complete {
                        return Ok(outcome);
                    }
                    unless = Precondition::CheckpointIsNot(Some(increment.checkpoint));
                    after = Some(prefix.last);
                }
                Ok(Applied::Refused(item)) => {
                    let checkpoint = item.checkpoints.get(self.stream_shard).cloned();
                    after = checkpoint.as_ref().map(|checkpoint| checkpoint.sequence.clone());
                    unless = Precondition::CheckpointIsNot(checkpoint);
                    seen = Some(item);
                }
                Err(StoreError::Refused(error)) => {
                    outcome.refused =
                        Some(Refused { sequence: prefix.last.to_string(), keys: counter_keys(&outcome.key), error });
                    return Ok(outcome);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(AggregateError::Contention)
    }
}
