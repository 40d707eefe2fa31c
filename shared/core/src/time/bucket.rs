//! The minutes, hours and days of UTC that counters count in.

use std::fmt;

use jiff::civil;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::{DAY, HOUR, MINUTE, TimeDelta, Timestamp};

/// The length of a bucket of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Granularity {
    /// All granularities, the finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The length of its buckets.
    pub const fn length(self) -> TimeDelta {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }
}

/// One minute, hour or day of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    granularity: Granularity,
    start: Timestamp,
}

impl Bucket {
    /// The bucket that holds a moment.
    pub const fn of(granularity: Granularity, at: Timestamp) -> Self {
        Self { granularity, start: at.floor(granularity.length()) }
    }

    /// The length of the bucket.
    pub const fn granularity(self) -> Granularity {
        self.granularity
    }

    /// The start of the bucket.
    pub const fn start(self) -> Timestamp {
        self.start
    }

    /// The end of the bucket, exclusive.
    pub fn end(self) -> Timestamp {
        self.start + self.granularity.length()
    }

    /// Parses the output of `Display`. The format never changes, because keys contain it.
    pub fn parse(granularity: Granularity, text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
        let day: civil::Date = text.get(..8)?.parse().ok()?;
        let start = Timestamp::from_jiff(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
        let start = match (granularity, text.len()) {
            (Granularity::Day, 8) => start,
            (Granularity::Hour, 10) => start + number(8, 10)? * HOUR,
            (Granularity::Minute, 12) => start + number(8, 10)? * HOUR + number(10, 12)? * MINUTE,
            _ => return None,
        };
        Some(Self { granularity, start })
    }
}

impl fmt::Display for Bucket {
    /// `20261121`, `2026112110` or `202611211008`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::tz::TimeZone::UTC.to_datetime(self.start.jiff());
        write!(f, "{:04}{:02}{:02}", at.year(), at.month(), at.day())?;
        if self.granularity <= Granularity::Hour {
            write!(f, "{:02}", at.hour())?;
        }
        if self.granularity == Granularity::Minute {
            write!(f, "{:02}", at.minute())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_reads_back_and_sorts_by_time(a in 0i64..4_000_000_000, b in 0i64..4_000_000_000) {
            for granularity in Granularity::ALL {
                let of = |seconds: i64| Bucket::of(granularity, Timestamp::from_millis(seconds * 1000));
                let (a, b) = (of(a), of(b));
                prop_assert_eq!(Bucket::parse(granularity, &a.to_string()), Some(a));
                prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            }
        }
    }

    #[test]
    fn keys_are_spelt_for_ever_like_this() {
        let at = Timestamp::from_millis(1_795_255_705_000);
        let spelt = Granularity::ALL.map(|granularity| Bucket::of(granularity, at).to_string());
        assert_eq!(spelt, ["202611211008", "2026112110", "20261121"]);
    }

    #[test]
    fn only_a_key_of_the_granularity_is_read() {
        for granularity in Granularity::ALL {
            let read = |text: &&str| Bucket::parse(granularity, text).is_some();
            let keys = ["202611211008", "2026112110", "20261121", "2026112", "20261321", "20261121xx", "2026112110xx"];
            let readable: Vec<_> = keys.into_iter().filter(read).collect();
            let at = Timestamp::from_millis(1_795_255_705_000);
            assert_eq!(readable, [Bucket::of(granularity, at).to_string()]);
        }
    }

    #[test]
    fn a_bucket_reaches_from_its_start_to_the_next_one() {
        let at = Timestamp::from_millis(1_795_255_705_000);
        for (granularity, length) in [(Granularity::Minute, MINUTE), (Granularity::Hour, HOUR), (Granularity::Day, DAY)]
        {
            let bucket = Bucket::of(granularity, at);
            assert_eq!((bucket.granularity(), granularity.length()), (granularity, length));
            assert!(bucket.start() <= at && at < bucket.end());
            assert_eq!(bucket.end() - bucket.start(), length);
            assert_eq!(Bucket::of(granularity, bucket.end()).start(), bucket.end());
        }
    }
}
