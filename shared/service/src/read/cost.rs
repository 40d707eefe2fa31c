//! What ways of reading cost, as far as counters tell: whether finer counters are worth asking, and which of them one
//! request asks for.

#![allow(clippy::cast_precision_loss)] // costs are estimates

use std::collections::BTreeSet;

use tally_core::counter::key::CounterKind;
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};

/// Read units of an event of 300 bytes: what a choice between reading events and reading finer counters goes by.
const EVENT_UNITS: f64 = 0.04;
/// Read units of a count of 40 bytes.
const COUNT_UNITS: f64 = 0.005;
/// Read units of the keys and checkpoints of a counter item, 120 bytes.
const ITEM_UNITS: f64 = 0.015;
/// The least that a request costs.
const LEAST_UNITS: f64 = 0.5;
/// Most read units of counters that one request is for, where several would do: they run at once.
const MOST_UNITS: f64 = 8.0;

/// What is known of a bucket.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sum {
    pub(super) bucket: Bucket,
    /// Occurrences that match, or may.
    pub(super) matches: i64,
    /// The kinds of items that hold them.
    pub(super) kinds: BTreeSet<CounterKind>,
    /// All events, about; none where the items that were read cannot tell.
    pub(super) all: Option<f64>,
    /// Occurrences in the items that were read, about.
    pub(super) counted: f64,
    /// How many counts those hold, about.
    pub(super) counts: f64,
}

/// Buckets whose finer buckets one request asks for.
#[derive(Debug)]
pub(super) struct Run {
    sums: Vec<Sum>,
    pub(super) kinds: Vec<CounterKind>,
    /// Read units that it costs, about.
    units: f64,
}

impl Sum {
    /// A bucket of which nothing is known.
    pub(super) fn of(bucket: Bucket) -> Self {
        Self { bucket, matches: 0, kinds: BTreeSet::new(), all: None, counted: 0.0, counts: 0.0 }
    }

    /// Whether finding what is wanted of it by finer counters costs less than reading its events until it is found.
    fn is_worth_refining(&self, wanted: i64) -> bool {
        // There may be any number of other events between the matches.
        let Some(all) = self.all else { return self.bucket.granularity() != Granularity::Minute };
        let matches = self.matches.max(1) as f64;
        let wanted = (wanted as f64).clamp(1.0, matches);
        refined_units(self.bucket.granularity(), all, matches, self.counts, wanted) < read_units(all, matches, wanted)
    }

    /// Read units of its buckets of a finer granularity, without the least that a request costs.
    fn finer_units(&self, granularity: Granularity) -> f64 {
        let parts = self.bucket.granularity().length().as_micros() as f64 / granularity.length().as_micros() as f64;
        parts.min(self.counted) * ITEM_UNITS + self.counted.min(parts * self.counts) * COUNT_UNITS
    }
}

impl Run {
    /// From the start of its first bucket to the end of its last.
    pub(super) fn span(&self) -> (Timestamp, Timestamp) {
        let buckets = || self.sums.iter().map(|sum| sum.bucket);
        let start = buckets().map(Bucket::start).min().unwrap_or(Timestamp::EPOCH);
        (start, buckets().map(Bucket::end).max().unwrap_or(start))
    }

    /// A finer bucket with what its coarse one tells of it: only what matches was asked for, so the rest is taken to be
    /// spread evenly.
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

/// Parts buckets, which are in order, into those that stay as they are and those whose finer ones are worth asking for.
/// Neighbours are asked for in one request where what lies between them costs no more than a second request would.
pub(super) fn runs(sums: &[Sum], granularity: Granularity, wanted: i64) -> (Vec<Sum>, Vec<Run>) {
    let (mut kept, mut runs) = (Vec::new(), Vec::<Run>::new());
    // What lies between the last run and the next bucket, and whether none of that stays as it is.
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

/// Read units of reading events until `wanted` of the `matches` among them are found.
fn read_units(all: f64, matches: f64, wanted: f64) -> f64 {
    (all * wanted / matches * EVENT_UNITS).max(LEAST_UNITS)
}

/// Read units of asking finer counters first, by the better way from there on.
fn refined_units(granularity: Granularity, all: f64, matches: f64, counts: f64, wanted: f64) -> f64 {
    let parts = match granularity {
        Granularity::Minute => return f64::INFINITY,
        Granularity::Hour => 60.0,
        Granularity::Day => 24.0,
    };
    let part = all / parts;
    let counters = (parts * counts.min(part) * COUNT_UNITS).max(LEAST_UNITS);
    // Matches that are spread evenly lie in so many parts.
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

        /// Whatever is planned, each bucket with matches is in one place exactly, or its events would be read twice.
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
