//! Differences that a recount finds between counters and events.

use std::collections::BTreeMap;

use tally_core::counter::cell::CounterLabel;
use tally_core::counter::key::CounterKind;
use tally_core::time::Timestamp;
use tally_core::time::bucket::Granularity;

/// A count that differs from the events of its day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The start of the day, in UTC.
    pub day: Timestamp,
    /// The kind of counters that it is in.
    pub kind: CounterKind,
    /// What is counted.
    pub what: CounterLabel,
    /// The counters in which it differs, the coarsest first.
    pub granularities: Vec<Granularity>,
    /// The occurrences that the coarsest of them count, of those buckets of the day that differ.
    pub counted: i64,
    /// The occurrences that are stored.
    pub stored: i64,
}

/// What a call has found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How many days of a shard it came to the end of.
    pub(super) days: usize,
    sums: BTreeMap<(Timestamp, CounterKind, CounterLabel), ByGranularity>,
}

/// Counted and stored.
type ByGranularity = BTreeMap<Granularity, (i64, i64)>;

impl Found {
    /// Adds what one counter item counts, and what of that is stored.
    pub(super) fn add(
        &mut self,
        what: (Timestamp, CounterKind, CounterLabel),
        granularity: Granularity,
        counted: i64,
        stored: i64,
    ) {
        let sum = self.sums.entry(what).or_default().entry(granularity).or_default();
        sum.0 += counted;
        sum.1 += stored;
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
