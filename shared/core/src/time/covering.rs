//! Covering ranges of time with buckets: whole days, the hours at their ends, the minutes at theirs, and raw events for
//! parts of a minute; pure.

use crate::time::bucket::{Bucket, Granularity};
use crate::time::{MINUTE, Range, Timestamp};

/// Consecutive buckets of one granularity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first bucket.
    pub first: Bucket,
    /// The last bucket, inclusive.
    pub last: Bucket,
}

/// Whole buckets that do not overlap, each as coarse as the slots allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// By granularity, sorted. Two of them neither overlap nor touch, so that a year of hours is one run.
    runs: [Vec<Run>; 3],
}

/// The buckets and parts of minutes that make up the slots between given boundaries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    boundaries: Vec<Timestamp>,
    /// The buckets of all slots. Each lies in one slot.
    pub buckets: Buckets,
    /// Parts of minutes, whose events are counted one by one.
    pub raw: Vec<Range>,
}

/// The number of unneeded buckets that cost less to read than another request.
const GAP: i64 = 2;

impl Cover {
    /// Covers the slots between sorted boundaries. Slot `i` reaches from boundary `i` to the next one.
    pub fn new(boundaries: Vec<Timestamp>) -> Self {
        let mut cover = Self::default();
        for slot in boundaries.windows(2) {
            let (buckets, raw) = (&mut cover.buckets, &mut cover.raw);
            buckets.add_slot(slot[0], slot[1], |part| raw.push(part));
        }
        cover.boundaries = boundaries;
        cover
    }

    /// The buckets that make up what lies before a time.
    pub fn buckets_before(&self, until: Timestamp) -> Buckets {
        if self.boundaries.last().is_none_or(|last| *last <= until) {
            return self.buckets.clone();
        }
        let mut buckets = Buckets::default();
        for slot in self.boundaries.windows(2).take_while(|slot| slot[0] < until) {
            buckets.add_slot(slot[0], slot[1].min(until), |_| ());
        }
        buckets
    }

    /// The slot that contains a moment.
    pub fn slot_of(&self, at: Timestamp) -> Option<usize> {
        let after = self.boundaries.partition_point(|boundary| *boundary <= at);
        (1..self.boundaries.len()).contains(&after).then(|| after - 1)
    }
}

impl Buckets {
    /// Adds the buckets of a slot after all others. What is left of its minutes is passed to the callback.
    fn add_slot(&mut self, since: Timestamp, until: Timestamp, mut raw: impl FnMut(Range)) {
        let mut raw = |since, until| {
            if let Ok(range) = Range::new(since, until)
                && !range.is_empty()
            {
                raw(range);
            }
        };
        let (from, to) = (since.ceil(MINUTE), until.floor(MINUTE));
        if from > to {
            // Both ends lie within one minute.
            return raw(since, until);
        }
        raw(since, from);
        self.add(Granularity::Day, from, to);
        raw(to, until);
    }

    /// Adds a range as whole buckets of a granularity, and its ends as those of the next finer one.
    fn add(&mut self, granularity: Granularity, since: Timestamp, until: Timestamp) {
        if since >= until {
            return;
        }
        let (from, to) = (since.ceil(granularity.length()), until.floor(granularity.length()));
        let finer = match granularity {
            Granularity::Day => Some(Granularity::Hour),
            Granularity::Hour => Some(Granularity::Minute),
            Granularity::Minute => None,
        };
        if from >= to {
            // None fits; the minutes' ends are whole minutes, so one of them always does.
            if let Some(finer) = finer {
                self.add(finer, since, until);
            }
            return;
        }
        let first = Bucket::of(granularity, from);
        let last = Bucket::of(granularity, to - granularity.length());
        let runs = &mut self.runs[granularity as usize];
        match runs.last_mut() {
            Some(before) if before.last.end() == from => before.last = last,
            _ => runs.push(Run { first, last }),
        }
        if let Some(finer) = finer {
            self.add(finer, since, from);
            self.add(finer, to, until);
        }
    }

    /// Whether a bucket is one of them. Buckets in a gap between two runs are read but not needed.
    pub fn holds(&self, bucket: Bucket) -> bool {
        let runs = &self.runs[bucket.granularity() as usize];
        let after = runs.partition_point(|run| run.first <= bucket);
        after > 0 && bucket <= runs[after - 1].last
    }

    /// The runs to read. Runs of one granularity that lie close together are joined.
    pub fn reads(&self) -> Vec<Run> {
        let mut reads: Vec<Run> = Vec::new();
        for run in self.runs.iter().flatten() {
            match reads.last_mut() {
                Some(last)
                    if last.first.granularity() == run.first.granularity()
                        && run.first.start() - last.last.end() <= GAP * run.first.granularity().length() =>
                {
                    last.last = run.last;
                }
                _ => reads.push(*run),
            }
        }
        reads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY, HOUR, TimeDelta};
    use proptest::prelude::*;

    fn runs(cover: &Cover) -> Vec<String> {
        let spelt = cover.buckets.runs.iter().flatten().map(|run| format!("{}-{}", run.first, run.last));
        spelt.chain(cover.raw.iter().map(|r| format!("raw {}-{}", r.since(), r.until()))).collect()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_coarsest_buckets_that_fit_are_taken() {
        let cover = Cover::new(vec![at("2026-01-01T22:58:30Z"), at("2026-01-04T01:01:00Z")]);
        assert_eq!(
            runs(&cover),
            [
                "202601012259-202601012259",
                "202601040100-202601040100",
                "2026010123-2026010123",
                "2026010400-2026010400",
                "20260102-20260103",
                "raw 2026-01-01T22:58:30Z-2026-01-01T22:59:00Z",
            ]
        );
    }

    #[test]
    fn a_range_within_a_minute_is_raw() {
        let cover = Cover::new(vec![at("2026-01-01T00:00:10Z"), at("2026-01-01T00:00:20Z")]);
        assert_eq!(runs(&cover), ["raw 2026-01-01T00:00:10Z-2026-01-01T00:00:20Z"]);
        let cover = Cover::new(vec![at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:20Z")]);
        assert_eq!(runs(&cover), ["raw 2026-01-01T00:00:00Z-2026-01-01T00:00:20Z"]);
    }

    #[test]
    fn a_month_of_days_in_a_half_hour_zone_is_few_requests() {
        let first = at("2025-12-31T18:30:00Z");
        let cover = Cover::new((0..=31).map(|day| first + day * DAY).collect());
        let reads = cover.buckets.reads();
        let of = |granularity| reads.iter().filter(|run| run.first.granularity() == granularity).count();
        assert_eq!((of(Granularity::Day), of(Granularity::Hour), of(Granularity::Minute)), (0, 1, 32));
        // The hour that every boundary cuts was read over, and does not count.
        assert!(!cover.buckets.holds(Bucket::of(Granularity::Hour, first + DAY)));
        assert!(cover.buckets.holds(Bucket::of(Granularity::Hour, first + DAY + HOUR)));
    }

    #[test]
    fn runs_that_lie_two_buckets_apart_are_read_at_once() {
        let hours = |boundaries: &[&str]| {
            let boundaries = boundaries.iter().map(|time| at(&format!("2026-01-01T{time}:00Z"))).collect();
            let reads = Cover::new(boundaries).buckets.reads().into_iter();
            let hours = reads.filter(|run| run.first.granularity() == Granularity::Hour);
            hours.map(|run| (run.first.start(), run.last.end())).collect::<Vec<_>>()
        };
        let hour =
            |from: &str, to: &str| (at(&format!("2026-01-01T{from}:00:00Z")), at(&format!("2026-01-01T{to}:00:00Z")));
        assert_eq!(hours(&["00:00", "01:30", "02:20", "04:00"]), [hour("00", "04")]);
        assert_eq!(hours(&["00:00", "01:30", "02:20", "03:20", "05:00"]), [hour("00", "01"), hour("04", "05")]);
    }

    proptest! {
        #[test]
        fn every_moment_is_covered_once_and_by_its_own_slot(
            first in 0..(3 * DAY).as_micros(),
            steps in prop::collection::vec(prop_oneof![1i64..90_000_000, 1..(3 * HOUR).as_micros(), 1..(3 * DAY).as_micros()], 1..6),
            share in 0.0f64..1.0,
        ) {
            let mut boundaries = vec![Timestamp::from_micros(first)];
            for step in steps {
                boundaries.push(boundaries[boundaries.len() - 1] + TimeDelta::microseconds(step));
            }
            let end = boundaries[boundaries.len() - 1];
            let cover = Cover::new(boundaries.clone());
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let moment = boundaries[0] + TimeDelta::microseconds(((end - boundaries[0]).as_micros() as f64 * share) as i64);
            let slot = cover.slot_of(moment).expect("inside");
            prop_assert!(boundaries[slot] <= moment && moment < boundaries[slot + 1]);

            let raw = cover.raw.iter().filter(|range| range.contains(moment)).count();
            let buckets: Vec<_> = Granularity::ALL.map(|granularity| Bucket::of(granularity, moment)).into_iter().filter(|b| cover.buckets.holds(*b)).collect();
            prop_assert_eq!(raw + buckets.len(), 1);
            for bucket in buckets {
                prop_assert!(boundaries[slot] <= bucket.start() && bucket.end() <= boundaries[slot + 1]);
                prop_assert!(cover.buckets.reads().iter().any(|run| run.first.granularity() == bucket.granularity() && run.first <= bucket && bucket <= run.last));
            }
            prop_assert_eq!(cover.slot_of(end), None);
            prop_assert!(cover.raw.len() <= 2 * (boundaries.len() - 1));
            let in_a_minute = |raw: &Range| raw.until() <= raw.since().floor(MINUTE) + MINUTE;
            prop_assert!(cover.raw.iter().all(in_a_minute), "{:?}", cover.raw);
            for runs in &cover.buckets.runs {
                prop_assert!(runs.iter().all(|run| run.first <= run.last), "{runs:?}");
                prop_assert!(runs.windows(2).all(|two| two[0].last.end() < two[1].first.start()), "{runs:?}");
            }
            let before = cover.buckets_before(moment);
            let mut cut: Vec<_> = boundaries.into_iter().filter(|boundary| *boundary < moment).collect();
            cut.push(moment);
            prop_assert_eq!(before, Cover::new(cut).buckets);
        }
    }
}
