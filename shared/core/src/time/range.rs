//! Ranges of time.

use super::Timestamp;

/// A half-open range of time: from `since`, up to and without `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    since: Timestamp,
    until: Timestamp,
}

/// `since` lies after `until`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must not be after `until`")]
pub struct RangeError;

impl Range {
    /// All time.
    pub const ALL: Self = Self { since: Timestamp::EPOCH, until: Timestamp::MAX };

    /// No time.
    pub const EMPTY: Self = Self { since: Timestamp::EPOCH, until: Timestamp::EPOCH };

    /// The moments from `since` to before `until`; none of them where the two are equal.
    pub fn new(since: Timestamp, until: Timestamp) -> Result<Self, RangeError> {
        if since > until {
            return Err(RangeError);
        }
        Ok(Self { since, until })
    }

    /// The first moment in the range.
    pub const fn since(self) -> Timestamp {
        self.since
    }

    /// The first moment after the range.
    pub const fn until(self) -> Timestamp {
        self.until
    }

    /// Whether the range holds no moment.
    pub fn is_empty(self) -> bool {
        self.since == self.until
    }

    /// Whether `at` lies in the range.
    pub fn contains(self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }

    /// The moments that both ranges hold (an empty range where there are none).
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        let since = self.since.max(other.since);
        Self { since, until: self.until.min(other.until).max(since) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_half_open() {
        let at = Timestamp::from_millis;
        let range = Range::new(at(1), at(2)).unwrap_or(Range::ALL);
        assert!(range.contains(at(1)) && !range.contains(at(2)));
        assert!(Range::new(at(2), at(1)).is_err());
        assert!(Range::new(at(1), at(1)).is_ok_and(Range::is_empty));
        assert!(!range.contains(at(0)) && !range.contains(at(3)) && !range.is_empty());
        assert_eq!((range.since(), range.until()), (at(1), at(2)));
    }

    #[test]
    fn two_ranges_share_what_lies_in_both() {
        let range = |since, until| Range::new(Timestamp::from_millis(since), Timestamp::from_millis(until)).unwrap();
        assert_eq!(range(1, 5).intersect(range(3, 9)), range(3, 5));
        assert_eq!(range(3, 9).intersect(range(1, 5)), range(3, 5));
        assert_eq!(range(1, 9).intersect(range(3, 5)), range(3, 5));
        assert!(range(1, 2).intersect(range(5, 6)).is_empty() && range(5, 6).intersect(range(1, 2)).is_empty());
        assert_eq!(Range::ALL.intersect(range(1, 2)), range(1, 2));
        assert!(Range::EMPTY.is_empty());
    }
}
