//! Sums and quantiles of numbers, each with how often it occurred.

/// The bytes that a number takes in memory while it is sorted.
pub const NUMBER_BYTES: usize = 3 * size_of::<(f64, u64)>();
/// How many numbers are kept before equal ones are made one.
const FIRST_COMPACTION: usize = 4_096;

/// Numbers with how often each occurred.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Those up to here are in order, and different.
    compacted: usize,
    all: Vec<(f64, u64)>,
}

/// What is told of some numbers. Quantiles are numbers that occurred: the smallest which a share of all occurrences do not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The occurrences.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The sum by the count.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
}

impl Numbers {
    /// Adds a number. One that is not finite is left out, and so is one that never occurred.
    pub fn add(&mut self, number: f64, count: u64) {
        if number.is_finite() && count > 0 {
            // There is one zero.
            self.all.push((number + 0.0, count));
            if self.all.len() > FIRST_COMPACTION.max(2 * self.compacted) {
                self.compact();
            }
        }
    }

    /// Adds the numbers of another.
    pub fn add_all(&mut self, other: &Self) {
        other.all.iter().for_each(|(number, count)| self.add(*number, *count));
    }

    fn compact(&mut self) {
        self.all.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        self.all.dedup_by(|(next, more), (kept, count)| {
            let is_same = next.total_cmp(kept).is_eq();
            if is_same {
                *count = count.saturating_add(*more);
            }
            is_same
        });
        self.compacted = self.all.len();
    }

    /// What is told of them. None of none.
    pub fn summary(&mut self) -> Option<Summary> {
        self.compact();
        let (min, max) = (self.all.first()?.0, self.all.last()?.0);
        let count = self.all.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
        let sum = sum(&self.all);
        #[allow(clippy::cast_precision_loss)] // a mean
        let mean = sum / count as f64;
        let quantile = |percent| self.quantile(count, percent).unwrap_or(max);
        Some(Summary { count, sum, min, max, mean, p50: quantile(50), p90: quantile(90), p99: quantile(99) })
    }

    fn quantile(&self, count: u64, percent: u64) -> Option<f64> {
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
        let mut before = 0;
        let reaches = |(_, count): &&(f64, u64)| {
            before += u128::from(*count);
            before >= rank
        };
        self.all.iter().find(reaches).map(|(number, _)| *number)
    }
}

/// Adds with the error of each addition kept (Neumaier), so that many small numbers are not lost beside a large one.
#[allow(clippy::cast_precision_loss)] // a count beyond 2^53 occurrences
fn sum(numbers: &[(f64, u64)]) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for (number, count) in numbers {
        let term = number * *count as f64;
        let next = sum + term;
        lost += if sum.abs() >= term.abs() { (sum - next) + term } else { (term - next) + sum };
        sum = next;
    }
    // What is beyond the largest number has no error.
    if sum.is_finite() { sum + lost } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_tells_what_sorting_all_occurrences_tells(
            numbers in proptest::collection::vec((-50i32..50, 1u64..5), 1..200),
            more in 0usize..3,
        ) {
            let mut all = Numbers::default();
            let mut occurrences = Vec::new();
            // Often enough to be compacted.
            for (number, count) in numbers.iter().cycle().take(numbers.len() * (1 + more * 20)) {
                let number = f64::from(*number) / 4.0;
                all.add(number, *count);
                occurrences.extend(std::iter::repeat_n(number, usize::try_from(*count).expect("few")));
            }
            occurrences.sort_by(f64::total_cmp);
            let at = |percent: usize| occurrences[(occurrences.len() * percent).div_ceil(100).max(1) - 1];
            let found = all.summary().expect("some");
            prop_assert_eq!(found.count, occurrences.len() as u64);
            // Quarters of these sizes add up without an error.
            let sum: f64 = occurrences.iter().sum();
            prop_assert_eq!((found.sum, found.min, found.max), (sum, at(0), at(100)));
            prop_assert_eq!((found.p50, found.p90, found.p99), (at(50), at(90), at(99)));
            let mut halves = [Numbers::default(), Numbers::default()];
            for (i, (number, count)) in numbers.iter().enumerate() {
                halves[i % 2].add(f64::from(*number), *count);
            }
            let [mut one, other] = halves;
            one.add_all(&other);
            let mut whole = Numbers::default();
            for (number, count) in &numbers {
                whole.add(f64::from(*number), *count);
            }
            prop_assert_eq!(one.summary(), whole.summary());
        }
    }

    #[test]
    fn small_numbers_are_not_lost_beside_large_ones() {
        let mut all = Numbers::default();
        for (number, count) in [(1e16, 1), (1.0, 1_000), (-1e16, 1), (f64::NAN, 1), (f64::INFINITY, 1), (5.0, 0)] {
            all.add(number, count);
        }
        let found = all.summary().expect("some");
        assert_eq!((found.sum, found.count), (1_000.0, 1_002));
        assert_eq!(Numbers::default().summary(), None);
        let mut zeros = Numbers::default();
        zeros.add(0.0, 1);
        zeros.add(-0.0, 1);
        assert_eq!((zeros.summary().expect("some").count, zeros.all.len()), (2, 1));
    }
}
