//! The differences that a recount finds.

use std::collections::BTreeMap;

use tally_core::counter::cell::CounterLabel;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::Timestamp;
use tally_core::time::bucket::Granularity;

/// A count that differs from the events of its day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The start of the day, in UTC.
    pub day: Timestamp,
    /// The kind of counters that contains the count.
    pub kind: CounterKind,
    /// What is counted.
    pub what: CounterLabel,
    /// The granularities at which it differs, coarsest first.
    pub granularities: Vec<Granularity>,
    /// The occurrences counted from events at the coarsest of them, over the buckets of the day that differ.
    pub counted: i64,
    /// The occurrences stored there.
    pub stored: i64,
}

/// The differences that a call has found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The number of days, summed over shards, that were read to the end.
    pub(super) days: usize,
    /// The occurrences in the settled counters of days.
    pub(super) counted: i64,
    /// The occurrences in the events of those days.
    pub(super) stored: i64,
    sums: BTreeMap<(Timestamp, CounterKind, CounterLabel), ByGranularity>,
}

/// The counted and stored occurrences.
type ByGranularity = BTreeMap<Granularity, (i64, i64)>;

impl Found {
    /// Adds a counter item that is settled to the totals: the occurrences stored in its bucket, and how many more its counts
    /// are. Each event is in one item of a day: of all cells, or of errors.
    pub(super) fn settled(&mut self, key: &CounterKey, sums: impl FnOnce() -> (i64, i64)) {
        if key.bucket.granularity() == Granularity::Day && key.kind.is_of_cells() {
            let (stored, surplus) = sums();
            self.stored += stored;
            self.counted += stored + surplus;
        }
    }

    /// Adds the counts of one counter item, and the stored values.
    pub(super) fn add(
        &mut self,
        what: (Timestamp, CounterKind, CounterLabel),
        granularity: Granularity,
        counted: i64,
        stored: i64,
    ) {
        let sum = self.sums.entry(what).or_default().entry(granularity).or_default();
        // Marks may be large.
        sum.0 = sum.0.saturating_add(counted);
        sum.1 = sum.1.saturating_add(stored);
    }

    pub(super) fn differences(self) -> Vec<Difference> {
        let differences = self.sums.into_iter().filter_map(|((day, kind, what), granularities)| {
            let (_, &(counted, stored)) = granularities.last_key_value()?;
            Some(Difference {
                day,
                kind,
                what,
                granularities: granularities.keys().rev().copied().collect(),
                counted,
                stored,
            })
        });
        differences.collect()
    }
}
