//! Applies a folded batch to one counter item, exactly once.

use tally_core::counter::checkpoint::{Checkpoint, SequenceNumber};
use tally_core::counter::folding::Folded;
use tally_core::counter::item::CounterItem;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::Timestamp;
use tally_store::{Applied, Increment, Precondition, Store, StoreError, counter_keys};

use crate::error::AggregateError;

/// The write units at which an item accepts no new cells: it is larger than 64 KB.
const FULL: f64 = 64.0;
/// The write units at which an app's cells are spread over more pages.
pub(crate) const COSTLY: f64 = 8.0;
/// The number of attempts for one item before the batch is returned. Every failed condition, except those of `full`,
/// means that another aggregator moved the checkpoint.
const TRIES: u32 = 50;

/// Applies a folded batch.
pub(crate) struct Applier<'a> {
    pub(crate) store: &'a Store,
    pub(crate) folded: &'a Folded,
    pub(crate) stream_shard: &'a str,
    /// The first record of the batch.
    pub(crate) first: SequenceNumber,
    /// The creation time of the first record.
    pub(crate) created_at: Timestamp,
}

/// The result for one item.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) key: CounterKey,
    /// The write units of the last update.
    pub(crate) units: f64,
    /// Whether the item accepts no new cells.
    pub(crate) full: bool,
    /// The reason why the store permanently rejects the item, if any.
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
    /// Adds a batch's changes to one item, unless they are already applied.
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
