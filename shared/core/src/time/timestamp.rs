//! Points in time, in microseconds of UTC.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use jiff::civil;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{MILLISECOND, SECOND, TimeDelta};

/// Unix numbers below this are seconds, others milliseconds (docs/api.md).
const FIRST_MILLISECONDS: f64 = 1e11;

/// The last moment that Tally can name: before jiff's last whole second, near the end of the year 9999, so that it has a
/// form at any offset.
const LAST: i64 = 253_402_207_199_999_999;

/// The first moment that Tally can name: the start of the year 1, before which RFC 3339 has no form either.
const FIRST: i64 = -62_135_596_800_000_000;

/// A moment: microseconds since 1970-01-01T00:00:00Z, from the year 1 to the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The text or number is not a [`Timestamp`]. The message says what to send instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a time: send RFC 3339 (2026-02-10T10:00:00Z), `2026-02-10 10:00:00.123456`, a date, or Unix seconds or milliseconds"
)]
pub struct TimeError;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// Before every moment that has a name: "from the beginning of time". It is for comparisons, and has no text form.
    pub const BEGINNING: Self = Self(i64::MIN);
    /// The last moment there is, 9999-12-30T21:59:59.999999Z.
    pub const MAX: Self = Self(LAST);

    /// The moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(TimeDelta::milliseconds(millis).as_micros())
    }

    /// The moment `seconds` seconds after the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(TimeDelta::seconds(seconds).as_micros())
    }

    /// Microseconds since the epoch, as they are stored; arithmetic goes by [`TimeDelta`].
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        TimeDelta::microseconds(self.0).as_millis()
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        TimeDelta::microseconds(self.0).as_seconds()
    }

    /// The last multiple of `unit` since the epoch that is not after this moment. `unit` is positive.
    #[must_use]
    pub const fn floor(self, unit: TimeDelta) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(unit.as_micros())))
    }

    /// The first multiple of `unit` since the epoch that is not before this moment. `unit` is positive.
    #[must_use]
    pub const fn ceil(self, unit: TimeDelta) -> Self {
        let over = self.0.rem_euclid(unit.as_micros());
        Self(if over == 0 { self.0 } else { self.0.saturating_add(unit.as_micros() - over) })
    }

    /// A Unix time in seconds (below 1e11) or milliseconds, fractions allowed.
    pub fn from_unix(number: f64) -> Result<Self, TimeError> {
        let micros = if number < FIRST_MILLISECONDS { number * 1e6 } else { number * 1e3 };
        // Floats of this size are multiples of 32 apart, so that LAST as a float is one more than LAST.
        #[allow(clippy::cast_precision_loss)]
        let nameable = (0.0..LAST as f64).contains(&micros);
        #[allow(clippy::cast_possible_truncation)] // checked above
        if nameable { Ok(Self(micros.round() as i64)) } else { Err(TimeError) }
    }

    pub(super) fn nameable(self) -> Result<Self, TimeError> {
        if (FIRST..=LAST).contains(&self.0) { Ok(self) } else { Err(TimeError) }
    }

    /// The same moment for jiff.
    pub fn jiff(self) -> jiff::Timestamp {
        // Every value that the constructors let through is within jiff's years -9999 to 9999.
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }

    /// The moment of a jiff timestamp, rounded down to the microsecond.
    pub fn from_jiff(at: jiff::Timestamp) -> Self {
        let floor = at.as_nanosecond().div_euclid(1_000);
        Self(i64::try_from(floor).unwrap_or(LAST))
    }
}

impl Add<TimeDelta> for Timestamp {
    type Output = Self;

    /// The moment `delta` later, [`Timestamp::MAX`] at most.
    fn add(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_add(delta.as_micros()).min(LAST))
    }
}

impl AddAssign<TimeDelta> for Timestamp {
    fn add_assign(&mut self, delta: TimeDelta) {
        *self = *self + delta;
    }
}

impl Sub<TimeDelta> for Timestamp {
    type Output = Self;

    /// The moment `delta` earlier, [`Timestamp::MAX`] at most.
    fn sub(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_sub(delta.as_micros()).min(LAST))
    }
}

impl SubAssign<TimeDelta> for Timestamp {
    fn sub_assign(&mut self, delta: TimeDelta) {
        *self = *self - delta;
    }
}

impl Sub for Timestamp {
    type Output = TimeDelta;

    /// How much later this moment is than `earlier`.
    fn sub(self, earlier: Self) -> TimeDelta {
        TimeDelta::microseconds(self.0.saturating_sub(earlier.0))
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Reads RFC 3339, the same with a space or without a zone (UTC), a date (its first moment in UTC), or a Unix
    /// number. Eight digits are a date.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Ok(date) = parse_date(text) {
            return start_of_day(date, &TimeZone::UTC).and_then(Self::nameable);
        }
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Self::from_unix(text.parse().map_err(|_| TimeError)?);
        }
        let at = if let Ok(at) = text.parse::<jiff::Timestamp>() {
            at
        } else {
            // jiff reads a civil time over an offset that it could not apply; only one without any is UTC.
            let zoneless = text.get(10..).is_some_and(|clock| {
                clock.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'T' | b't' | b' '))
            });
            if !zoneless {
                return Err(TimeError);
            }
            let civil: civil::DateTime = text.parse().map_err(|_| TimeError)?;
            civil.to_zoned(TimeZone::UTC).map_err(|_| TimeError)?.timestamp()
        };
        Self::from_jiff(at).nameable()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with `Z`; no fraction, three or six digits of it, as many as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = match *self {
            at if at == at.floor(SECOND) => 0,
            at if at == at.floor(MILLISECOND) => 3,
            _ => 6,
        };
        write!(f, "{:.precision$}", self.jiff())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time in UTC, to the microsecond.",
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3}|\.\d{6})?Z$",
            "examples": ["2026-11-21T10:08:25.123456Z"],
        })
    }
}

/// Reads `2026-02-10` or `20260210`.
pub fn parse_date(text: &str) -> Result<civil::Date, TimeError> {
    // jiff reads longer texts too: a time after the date, which it would drop, and signed years of six digits.
    if !matches!(text.len(), 8 | 10) {
        return Err(TimeError);
    }
    text.parse().map_err(|_| TimeError)
}

/// The first moment of a day in a zone (in a zone that skips midnight, the first moment that exists).
pub fn start_of_day(date: civil::Date, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    let zoned = date.to_zoned(zone.clone()).map_err(|_| TimeError)?;
    Ok(Timestamp::from_jiff(zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY, MICROSECOND};
    use proptest::prelude::*;

    fn parsed(text: &str) -> String {
        text.parse::<Timestamp>().map_or_else(|_| "refused".to_owned(), |t| t.to_string())
    }

    #[test]
    fn reads_every_form_of_the_contract() {
        for (text, expected) in [
            ("2026-02-10T10:00:00Z", "2026-02-10T10:00:00Z"),
            ("2026-02-10T10:00:00.5+02:00", "2026-02-10T08:00:00.500Z"),
            ("2021-01-01 09:15:27.243860", "2021-01-01T09:15:27.243860Z"),
            ("2021-01-01T09:15", "2021-01-01T09:15:00Z"),
            ("2021-01-01", "2021-01-01T00:00:00Z"),
            ("20210101", "2021-01-01T00:00:00Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000123", "2023-11-14T22:13:20.123Z"),
            ("1700000000.25", "2023-11-14T22:13:20.250Z"),
            ("2021-01-01T09:15:27.123456789Z", "2021-01-01T09:15:27.123456Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "2026-02-10T25:00:00Z",
            "2026-02-10T10:00:00+99:00",
            "253402300800000",
            "1e400",
            "1.2.3",
            ".",
            "2026-2-1",
            "2026-02-10T10:00:00 Europe/Berlin",
            "99999999999999999999",
            "-000001-12-31T23:59:59Z",
            "0000-01-01",
        ] {
            assert_eq!(parsed(text), "refused", "{text}");
        }
        assert!(Timestamp::from_unix(-1.0).is_err());
        assert!(Timestamp::from_unix(f64::NAN).is_err());
    }

    #[test]
    fn numbers_from_1e11_on_are_milliseconds() {
        assert_eq!(parsed("99999999999"), "5138-11-16T09:46:39Z");
        assert_eq!(parsed("100000000000"), "1973-03-03T09:46:40Z");
        assert_eq!(Timestamp::from_unix(0.0), Ok(Timestamp::EPOCH));
    }

    #[test]
    fn parts_of_a_moment_are_rounded_down() {
        let at = Timestamp::from_micros(-1_000_001);
        assert_eq!((at.micros(), at.millis(), at.seconds()), (-1_000_001, -1_001, -2));
        let nanosecond = jiff::Timestamp::from_nanosecond(-1).expect("a time");
        assert_eq!(Timestamp::from_jiff(nanosecond), Timestamp::from_micros(-1));
        assert_eq!(at.jiff().as_microsecond(), -1_000_001);
        assert_eq!(serde_json::to_string(&Timestamp::EPOCH).expect("a text"), r#""1970-01-01T00:00:00Z""#);
    }

    #[test]
    fn a_date_has_its_shape() {
        let dates =
            ["2026-02-10", "20260210", "2026102-10", "2026-02110", "2026/02/10", "2026021x", "x0260210", "202602101"];
        let read = dates.map(|text| parse_date(text).is_ok());
        assert_eq!(read, [true, true, false, false, false, false, false, false]);
    }

    #[test]
    fn the_first_and_the_last_moment_read_back() {
        for at in [Timestamp(FIRST), Timestamp::MAX] {
            assert_eq!(at.to_string().parse(), Ok(at));
        }
        assert_eq!(parsed("253402207199000"), "9999-12-30T21:59:59Z");
        assert_eq!(parsed("253402207200000"), "refused");
    }

    #[test]
    fn a_sum_ends_at_the_last_moment() {
        let longest = TimeDelta::microseconds(i64::MAX);
        assert_eq!(Timestamp::MAX + MICROSECOND, Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH - -longest, Timestamp::MAX);
        assert_eq!(Timestamp::BEGINNING - longest, Timestamp::BEGINNING);
        assert_eq!(Timestamp::MAX - Timestamp::BEGINNING, longest);
        assert_eq!(Timestamp::BEGINNING.floor(DAY), Timestamp::BEGINNING);
    }

    proptest! {
        #[test]
        fn differences_add_up(a in FIRST..=LAST, b in FIRST..=LAST) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            prop_assert_eq!(b + (a - b), a);
            prop_assert_eq!(b - (b - a), a);
            prop_assert_eq!(a - b, -(b - a));
            let mut moved = b;
            moved += a - b;
            prop_assert_eq!(moved, a);
            moved -= a - b;
            prop_assert_eq!(moved, b);
        }

        #[test]
        fn what_is_printed_reads_back(micros in FIRST..=LAST) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(at.to_string().parse::<Timestamp>(), Ok(at));
        }

        #[test]
        fn floor_and_ceil_enclose(micros in 0..LAST / 2, unit in 1..DAY.as_micros()) {
            let unit = TimeDelta::microseconds(unit);
            let at = Timestamp::from_micros(micros);
            prop_assert!(at.floor(unit) <= at && at <= at.ceil(unit));
            prop_assert!(at.ceil(unit) - at.floor(unit) <= unit);
            let multiple = |at: Timestamp| (at - Timestamp::EPOCH) % unit == TimeDelta::ZERO;
            prop_assert!(multiple(at.floor(unit)) && multiple(at.ceil(unit)));
            prop_assert_eq!(at.floor(unit).ceil(unit), at.floor(unit));
        }

        #[test]
        fn a_date_is_eight_digits_with_or_without_hyphens(text in "[0-9]{3,5}[-+0-9TWZ]{1,2}[0-1Wx][0-9][-/ 0-9]?[0-3][-0-9T ]{0,2}") {
            let digits = |places: &[usize]| places.iter().all(|&i| text.as_bytes().get(i).is_some_and(u8::is_ascii_digit));
            let is_date = match text.len() {
                8 => digits(&[0, 1, 2, 3, 4, 5, 6, 7]),
                10 => digits(&[0, 1, 2, 3, 5, 6, 8, 9]) && [4, 7].iter().all(|&i| text.as_bytes()[i] == b'-'),
                _ => false,
            };
            prop_assert!(is_date || parse_date(&text).is_err(), "{}", text);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
