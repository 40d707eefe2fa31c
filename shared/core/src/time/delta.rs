//! Lengths of time.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Rem, Sub, SubAssign};

/// Microseconds in a millisecond.
const MILLIS: i64 = 1_000;
/// Microseconds in a second.
const SECONDS: i64 = 1_000 * MILLIS;
/// Microseconds in a minute.
const MINUTES: i64 = 60 * SECONDS;
/// Microseconds in an hour.
const HOURS: i64 = 60 * MINUTES;
/// Microseconds in a day of UTC.
const DAYS: i64 = 24 * HOURS;

/// A length of time in microseconds; negative lengths point to the past.
///
/// Constructors and arithmetic saturate: a result out of range becomes the longest length of its sign, about 292,000
/// years. Division by zero panics, as it does for integers.
///
/// Waits of the process, by the machine's own clock, are [`std::time::Duration`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeDelta(i64);

impl TimeDelta {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// `n` microseconds.
    pub const fn microseconds(n: i64) -> Self {
        Self(n)
    }

    /// `n` milliseconds.
    pub const fn milliseconds(n: i64) -> Self {
        Self(n.saturating_mul(MILLIS))
    }

    /// `n` seconds.
    pub const fn seconds(n: i64) -> Self {
        Self(n.saturating_mul(SECONDS))
    }

    /// `n` minutes.
    pub const fn minutes(n: i64) -> Self {
        Self(n.saturating_mul(MINUTES))
    }

    /// `n` hours.
    pub const fn hours(n: i64) -> Self {
        Self(n.saturating_mul(HOURS))
    }

    /// `n` days of 24 hours.
    pub const fn days(n: i64) -> Self {
        Self(n.saturating_mul(DAYS))
    }

    /// The length in microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The length in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(MILLIS)
    }

    /// The length in whole seconds, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(SECONDS)
    }

    /// The same as `+`, for constants.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Add for TimeDelta {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl AddAssign for TimeDelta {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for TimeDelta {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for TimeDelta {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for TimeDelta {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Mul<i64> for TimeDelta {
    type Output = Self;

    fn mul(self, times: i64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl Mul<TimeDelta> for i64 {
    type Output = TimeDelta;

    fn mul(self, delta: TimeDelta) -> TimeDelta {
        delta * self
    }
}

impl Div<i64> for TimeDelta {
    type Output = Self;

    /// Rounds towards zero.
    fn div(self, parts: i64) -> Self {
        Self(self.0.saturating_div(parts))
    }
}

impl Div for TimeDelta {
    type Output = i64;

    /// How often `unit` fits, rounded towards zero.
    fn div(self, unit: Self) -> i64 {
        self.0.saturating_div(unit.0)
    }
}

impl Rem for TimeDelta {
    type Output = Self;

    /// What is left over by `/`; it has the sign of `self`.
    fn rem(self, unit: Self) -> Self {
        Self(self.0.wrapping_rem(unit.0))
    }
}

impl Sum for TimeDelta {
    fn sum<I: Iterator<Item = Self>>(deltas: I) -> Self {
        deltas.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND};
    use proptest::prelude::*;

    const LONGEST: TimeDelta = TimeDelta::microseconds(i64::MAX);

    #[test]
    fn units_are_multiples_of_one_another() {
        assert_eq!(MILLISECOND, 1_000 * MICROSECOND);
        assert_eq!(SECOND, 1_000 * MILLISECOND);
        assert_eq!(MINUTE, SECOND * 60);
        assert_eq!(HOUR, 60 * MINUTE);
        assert_eq!(DAY, 24 * HOUR);
        assert_eq!(DAY.as_micros(), 86_400_000_000);
        assert_eq!([MICROSECOND, SECOND, MINUTE].into_iter().sum::<TimeDelta>().as_micros(), 61_000_001);
    }

    #[test]
    fn accessors_round_down() {
        assert_eq!((TimeDelta::microseconds(1_999_999).as_seconds(), (-MICROSECOND).as_seconds()), (1, -1));
        assert_eq!((TimeDelta::microseconds(1_999).as_millis(), (-MICROSECOND).as_millis()), (1, -1));
    }

    #[test]
    fn results_out_of_range_saturate() {
        let shortest = TimeDelta::microseconds(i64::MIN);
        assert_eq!(TimeDelta::days(i64::MAX), LONGEST);
        assert_eq!(TimeDelta::days(i64::MIN), shortest);
        assert_eq!(LONGEST + MICROSECOND, LONGEST);
        assert_eq!(shortest - MICROSECOND, shortest);
        assert_eq!(-shortest, LONGEST);
        assert_eq!(DAY * i64::MAX, LONGEST);
        assert_eq!(shortest / -1, LONGEST);
        assert_eq!(shortest / -MICROSECOND, i64::MAX);
        assert_eq!(shortest % -MICROSECOND, TimeDelta::ZERO);
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_microseconds(a in -1_000_000_000_000i64..1_000_000_000_000, b in 1i64..1_000_000) {
            let (x, y) = (TimeDelta::microseconds(a), TimeDelta::microseconds(b));
            prop_assert_eq!((x + y).as_micros(), a + b);
            prop_assert_eq!((x - y).as_micros(), a - b);
            prop_assert_eq!((-x).as_micros(), -a);
            prop_assert_eq!((x * b).as_micros(), a * b);
            prop_assert_eq!(b * x, x * b);
            prop_assert_eq!((x / b).as_micros(), a / b);
            prop_assert_eq!(x / y, a / b);
            prop_assert_eq!(x / y * y + x % y, x);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            let mut sum = x;
            sum += y;
            prop_assert_eq!(sum, x + y);
            sum -= y;
            prop_assert_eq!(sum, x);
        }
    }
}
