//! Estimates the cost of ways to read, from the counters: whether finer counters are worth requesting, and which of
//! them go into one request.

#![allow(clippy::cast_precision_loss)] // costs are estimates

use std::collections::BTreeSet;

use tally_core::counter::key::CounterKind;
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};

/// The read units of an event of 300 bytes. Used to choose between reading events and reading finer counters.
const EVENT_UNITS: f64 = 0.04;
/// The read units of a count of 40 bytes.
const COUNT_UNITS: f64 = 0.005;
/// The read units of the keys and checkpoints of a counter item, 120 bytes.
const ITEM_UNITS: f64 = 0.015;
/// The minimum cost of a request.
const LEAST_UNITS: f64 = 0.5;
/// The maximum read units of counters per request, if several requests would do. They run in parallel.
const MOST_UNITS: f64 = 8.0;

/// What is known about a bucket.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sum {
    pub(super) bucket: Bucket,
    /// The number of occurrences that match or may match.
    pub(super) matches: i64,
    /// The kinds of items that contain them.
    pub(super) kinds: BTreeSet<CounterKind>,
    /// The approximate number of all events. `None` if the items that were read cannot tell.
    pub(super) all: Option<f64>,
    /// The approximate number of occurrences in the items that were read.
    pub(super) counted: f64,
    /// The approximate number of counts in those items.
    pub(super) counts: f64,
}

/// Buckets whose finer buckets are requested together.
#[derive(Debug)]
pub(super) struct Run {
    sums: Vec<Sum>,
    pub(super) kinds: Vec<CounterKind>,
    /// The approximate cost in read units.
    units: f64,
}

impl Sum {
    /// Creates a bucket about which nothing is known.
    pub(super) fn of(bucket: Bucket) -> Self {
        Self { bucket, matches: 0, kinds: BTreeSet::new(), all: None, counted: 0.0, counts: 0.0 }
    }

    /// Adds what other items of the same bucket tell.
    pub(super) fn join(&mut self, more: Self) {
        self.matches += more.matches;
        self.kinds.extend(more.kinds);
        self.counted += more.counted;
        self.counts += more.counts;
    }

    /// Returns whether finding the wanted matches through finer counters costs less than reading events until they are
    /// found.
    fn is_worth_refining(&self, wanted: i64) -> bool {
        // Any number of other events may lie between the matches.
        let Some(all) = self.all else { return self.bucket.granularity() != Granularity::Minute };
        let matches = self.matches.max(1) as f64;
        let wanted = (wanted as f64).clamp(1.0, matches);
        refined_units(self.bucket.granularity(), all, matches, self.counts, wanted) < read_units(all, matches, wanted)
    }

    /// The read units of its buckets at a finer granularity, without the minimum cost of a request.
    fn finer_units(&self, granularity: Granularity) -> f64 {
        let parts = self.bucket.granularity().length().as_micros() as f64 / granularity.length().as_micros() as f64;
        parts.min(self.counted) * ITEM_UNITS + self.counted.min(parts * self.counts) * COUNT_UNITS
    }
}

impl Run {
    /// The range from the start of the first bucket to the end of the last.
    pub(super) fn span(&self) -> (Timestamp, Timestamp) {
        let buckets = || self.sums.iter().map(|sum| sum.bucket);
        let start = buckets().map(Bucket::start).min().unwrap_or(Timestamp::EPOCH);
        (start, buckets().map(Bucket::end).max().unwrap_or(start))
    }

    /// The buckets themselves.
    pub(super) fn coarse(&self) -> impl Iterator<Item = Sum> {
        self.sums.iter().cloned()
    }

    /// Creates a finer bucket with estimates from its coarse one. Only matching counts were requested, so the rest is
    /// assumed to be spread evenly.
    pub(super) fn known_of(&self, mut finer: Sum) -> Sum {
        let coarse = |sum: &&Sum| Bucket::of(sum.bucket.granularity(), finer.bucket.start()) == sum.bucket;
        if let Some(coarse) = self.sums.iter().find(coarse) {
            let share = finer.bucket.granularity().length().as_micros() as f64
                / coarse.bucket.granularity().length().as_micros() as f64;
            let matches = finer.matches as f64;
            finer.all = coarse.all.map(|all| (all * share).max(matches));
            finer.counted = (coarse.counted * share).max(matches);
            finer.counts = coarse.counts.min(finer.counted);
        }
        finer
    }
}

/// Splits ordered buckets into those that stay as they are and those whose finer buckets are worth requesting.
/// Neighbours share a request if the gap between them costs no more than a second request.
pub(super) fn runs(sums: &[Sum], granularity: Granularity, wanted: i64) -> (Vec<Sum>, Vec<Run>) {
    let (mut kept, mut runs) = (Vec::new(), Vec::<Run>::new());
    // The gap between the last run and the next bucket, and whether no bucket in it stays as it is.
    let (mut between, mut adjoins) = (Vec::new(), true);
    for sum in sums {
        if sum.matches == 0 {
            between.push(sum.clone());
            continue;
        }
        if sum.bucket.granularity() <= granularity || !sum.is_worth_refining(wanted) {
            kept.append(&mut between);
            kept.push(sum.clone());
            adjoins = false;
            continue;
        }
        let kinds: Vec<_> = sum.kinds.iter().copied().collect();
        let units = sum.finer_units(granularity);
        let gap: f64 = between.iter().map(|sum: &Sum| sum.finer_units(granularity)).sum();
        match runs.last_mut() {
            Some(run)
                if adjoins
                    && run.kinds == kinds
                    && gap + units <= units.max(LEAST_UNITS)
                    && run.units + gap + units <= MOST_UNITS =>
            {
                run.sums.append(&mut between);
                run.sums.push(sum.clone());
                run.units += gap + units;
            }
            _ => {
                kept.append(&mut between);
                runs.push(Run { sums: vec![sum.clone()], kinds, units });
            }
        }
        adjoins = true;
    }
    kept.append(&mut between);
    (kept, runs)
}

/// The read units of reading events until `wanted` of the `matches` among them are found.
fn read_units(all: f64, matches: f64, wanted: f64) -> f64 {
    (all * wanted / matches * EVENT_UNITS).max(LEAST_UNITS)
}

/// The read units of requesting finer counters first, and then using the cheaper way.
fn refined_units(granularity: Granularity, all: f64, matches: f64, counts: f64, wanted: f64) -> f64 {
    let parts = match granularity {
        Granularity::Minute => return f64::INFINITY,
        Granularity::Hour => 60.0,
        Granularity::Day => 24.0,
    };
    let part = all / parts;
    let counters = (parts * counts.min(part) * COUNT_UNITS).max(LEAST_UNITS);
    // The number of parts that contain matches, if the matches are spread evenly.
    let needed = (parts * wanted / matches).ceil().clamp(1.0, parts).min(wanted.ceil());
    let (matches, wanted) = ((matches / parts).max(1.0), (wanted / needed).max(1.0));
    let finer = if granularity == Granularity::Day { Granularity::Hour } else { Granularity::Minute };
    let each = read_units(part, matches, wanted.min(matches));
    counters + needed * each.min(refined_units(finer, part, matches, counts, wanted.min(matches)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use tally_core::time::DAY;

    use super::*;

    fn day(n: i64, matches: i64, counted: f64) -> Sum {
        let bucket = Bucket::of(Granularity::Day, Timestamp::EPOCH + n * DAY);
        let kinds = if matches > 0 { BTreeSet::from([CounterKind::Cells]) } else { BTreeSet::new() };
        Sum { matches, kinds, all: Some(counted), counted, counts: counted.min(100.0), ..Sum::of(bucket) }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the plan, each bucket with matches is in exactly one place. Otherwise its events would be read
        /// twice.
        #[test]
        fn every_match_is_in_one_place(days in proptest::collection::vec((0i64..4, 0f64..1e6), 0..40)) {
            let days: Vec<_> = days.into_iter().enumerate().map(|(n, (matches, all))| {
                #[allow(clippy::cast_possible_wrap)] // small
                day(n as i64, matches, all)
            }).collect();
            let (kept, runs) = runs(&days, Granularity::Hour, 50);
            for day in days.iter().filter(|day| day.matches > 0) {
                let spans = runs.iter().filter(|run| run.span().0 <= day.bucket.start() && day.bucket.end() <= run.span().1);
                let kept = kept.iter().filter(|kept| kept.bucket == day.bucket).count();
                prop_assert_eq!(spans.count() + kept, 1);
            }
        }
    }

    #[test]
    fn small_neighbours_are_asked_for_at_once_and_large_ones_alone() {
        let small: Vec<_> = (0..30).map(|n| Sum { all: None, ..day(n, 2, 2.0) }).collect();
        assert_eq!(runs(&small, Granularity::Hour, 50).1.len(), 1);
        let large: Vec<_> = (0..30).map(|n| day(n, 2, 1e5)).collect();
        assert_eq!(runs(&large, Granularity::Hour, 50).1.len(), 30);
        let far: Vec<_> = (0..30).map(|n| day(n, if n % 10 == 0 { 2 } else { 0 }, 1e5)).collect();
        assert_eq!(runs(&far, Granularity::Hour, 50).1.len(), 3);
    }
}
