//! Applies a folded batch to one counter item, exactly once.

use tally_core::app::layout::Paged;
use tally_core::counter::checkpoint::{CHECKPOINT_LIFE, Checkpoint, SequenceNumber};
use tally_core::counter::folding::Folded;
use tally_core::counter::item::CounterItem;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::{DAY, Timestamp};
use tally_store::{Applied, Increment, Precondition, Store, StoreError, counter_keys};

use crate::error::AggregateError;

/// The size of its counts, in KB, at which an item accepts no new cells. Updates of smaller items cost fewer write units.
const FULL_KB: u16 = 64;
/// The same of an item of properties. Each path has its own `(other)`.
const FULL_PROPERTIES_KB: u16 = 16;
/// The size of an item's counts, in KB, at which an app's cells are spread over more pages.
const COSTLY_KB: u16 = 8;
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
    /// What more pages would make smaller, if anything.
    pub(crate) fn paged(&self) -> Option<Paged> {
        match self.key.kind {
            CounterKind::Cells | CounterKind::Errors => Some(Paged::Cells),
            CounterKind::Messages => None,
            CounterKind::Properties => Some(Paged::Properties),
        }
    }

    /// Whether an update of the item costs so much that its app's cells need more pages.
    ///
    /// The write units are an upper bound, since the item has checkpoints besides its counts. So only an item that
    /// reaches it is read.
    pub(crate) async fn is_costly(&self, store: &Store) -> Result<bool, StoreError> {
        counts_exceed(store, &self.key, self.units, COSTLY_KB).await
    }
}

async fn counts_exceed(store: &Store, key: &CounterKey, units: f64, kilobytes: u16) -> Result<bool, StoreError> {
    Ok(units > f64::from(kilobytes) && store.bytes_of_counts(key).await? > usize::from(kilobytes) * 1024)
}

/// Whether an item can have stale checkpoints. A bucket is first counted up to a day before it begins, since events may
/// lie that far ahead. So the checkpoints of younger buckets are younger than [`CHECKPOINT_LIFE`].
fn may_be_stale(key: &CounterKey, now: Timestamp) -> bool {
    key.bucket.start() - DAY + CHECKPOINT_LIFE < now
}

impl Applier<'_> {
    /// Adds a batch's changes to one item, unless they are already applied.
    pub(crate) async fn apply(&self, key: CounterKey) -> Result<Outcome, AggregateError> {
        let outcome = self.add(key).await?;
        if outcome.key.kind == CounterKind::Properties {
            // A value may be personal: no name of it stays where no event has it. A batch that comes again does it again.
            for attribute in self.folded.decreased(&outcome.key) {
                match self.store.remove_zero(&outcome.key, attribute).await {
                    // As the counts of the item are.
                    Err(StoreError::Refused(error)) => {
                        tracing::warn!(error, counter = counter_keys(&outcome.key), "the name of a value stays");
                    }
                    removed => removed?,
                }
            }
        }
        Ok(outcome)
    }

    async fn add(&self, key: CounterKey) -> Result<Outcome, AggregateError> {
        let mut outcome = Outcome { key, units: 0.0, full: false, refused: None };
        let mut after: Option<SequenceNumber> = None;
        let mut unless = Precondition::CheckpointReached(self.first.clone());
        let mut seen: Option<CounterItem> = None;
        let mut stale = vec![];
        let full = if outcome.key.kind == CounterKind::Properties { FULL_PROPERTIES_KB } else { FULL_KB };
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
                stale: std::mem::take(&mut stale),
                return_old: may_be_stale(&outcome.key, self.created_at),
            };
            match self.store.increment(&increment).await {
                Ok(Applied::Done { units, old }) => {
                    outcome.units = units;
                    outcome.full |= increment.full;
                    if !increment.full && counts_exceed(self.store, &outcome.key, units, full).await? {
                        self.store.set_full(&outcome.key).await?;
                        outcome.full = true;
                    }
                    if increment.stale.is_empty() {
                        stale = old.map_or_else(Vec::new, |old| self.stale(&old));
                    }
                    if prefix.complete {
                        self.remove(&outcome.key, &stale).await;
                        return Ok(outcome);
                    }
                    unless = Precondition::CheckpointIsNot(Some(increment.checkpoint));
                    after = Some(prefix.last);
                }
                Ok(Applied::Refused(item)) => {
                    let checkpoint = item.checkpoints.get(self.stream_shard).cloned();
                    after = checkpoint.as_ref().map(|checkpoint| checkpoint.sequence.clone());
                    unless = Precondition::CheckpointIsNot(checkpoint);
                    stale = self.stale(&item);
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

    fn stale(&self, item: &CounterItem) -> Vec<(String, Checkpoint)> {
        item.stale_checkpoints(self.stream_shard, self.created_at)
    }

    /// Removes stale checkpoints. A failure is harmless: the next update of the item finds them again.
    async fn remove(&self, key: &CounterKey, stale: &[(String, Checkpoint)]) {
        if stale.is_empty() {
            return;
        }
        if let Err(error) = self.store.remove_checkpoints(key, stale).await {
            tracing::warn!(%error, counter = counter_keys(key), "stale checkpoints stay for now");
        }
    }
}
