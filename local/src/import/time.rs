//! Time formats in logs.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tally_core::event::json::Json;
use tally_core::time::{DAY, MINUTE, Timestamp};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// The smallest leading number of a line that is read as seconds, 2001-09-09.
const FIRST_EPOCH: f64 = 1e9;
/// The largest one, 2096-10-02.
const LAST_EPOCH: f64 = 4e9;

/// The parts that a time in a log may omit: its zone and its year.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// The zone of times that name none.
    pub zone: TimeZone,
    /// The moment before which lines without a year were written, if one is known.
    pub written_before: Option<Timestamp>,
    /// The year and month of the last line without a year.
    last: Option<(i16, i8)>,
}

impl Clock {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, written_before: None, last: None }
    }

    /// The moment of a civil time without a year. The year is that of the previous line, or the next year if the months
    /// start over. The first line gets the latest year that puts it before the time it was read.
    fn in_unsaid_year(&mut self, month: i8, at: impl Fn(i16) -> Option<DateTime>) -> Option<Timestamp> {
        if let Some((year, last)) = self.last {
            let year = match month - last {
                ..-6 => year + 1,
                7.. => year - 1,
                _ => year,
            };
            if let Some(civil) = at(year) {
                self.last = Some((year, month));
                return self.moment(civil);
            }
        }
        let before = self.written_before? + DAY;
        let newest = before.jiff().to_zoned(TimeZone::UTC).year();
        // 29 February may be eight years ago.
        let (year, moment) = (newest - 8..=newest).rev().find_map(|year| {
            let moment = self.moment(at(year)?)?;
            (moment <= before).then_some((year, moment))
        })?;
        self.last = Some((year, month));
        Some(moment)
    }

    fn moment(&self, civil: DateTime) -> Option<Timestamp> {
        Some(Timestamp::from_jiff(civil.to_zoned(self.zone.clone()).ok()?.timestamp()))
    }
}

/// The time in a JSON value, if it contains one.
pub(super) fn of_json(value: &Json, clock: &mut Clock) -> Option<Timestamp> {
    let at = match value {
        Json::String(text) => of_text(text, clock)?,
        Json::Number(number) => of_number(number.as_str())?,
        _ => return None,
    };
    usable(at)
}

/// The time in a text, if the text contains nothing else.
pub(super) fn of_text(text: &str, clock: &mut Clock) -> Option<Timestamp> {
    let text = text.trim();
    if let Some((at, length)) = leading(text, clock)
        && length == text.len()
    {
        return usable(at);
    }
    of_number(text).or_else(|| text.parse().ok()).and_then(usable)
}

/// Tally stores nothing before 1970. The zero times of many languages are earlier.
fn usable(at: Timestamp) -> Option<Timestamp> {
    (at >= Timestamp::EPOCH).then_some(at)
}

/// A Unix time in seconds, milliseconds, microseconds or nanoseconds. Its size determines the unit.
fn of_number(text: &str) -> Option<Timestamp> {
    let whole = text.split('.').next()?;
    if whole.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        // zap writes seconds with an exponent.
        let number: f64 = text.parse().ok()?;
        return (text.contains(['e', 'E']) && number >= 0.0).then(|| Timestamp::from_unix(number).ok()).flatten();
    }
    // Shifts the decimal point to convert to microseconds.
    let places: i32 = match whole.trim_start_matches('0').len() {
        0..=11 => 6,
        12..=14 => 3,
        15..=17 => 0,
        18..=20 => -3,
        _ => return None,
    };
    let fraction = text.get(whole.len() + 1..).unwrap_or("");
    let micros: i64 = if places < 0 {
        whole.get(..whole.len().checked_sub(3)?)?.parse().ok()?
    } else {
        let digits: String =
            fraction.chars().chain(std::iter::repeat('0')).take(usize::try_from(places).unwrap_or(0)).collect();
        format!("{whole}{digits}").parse().ok()?
    };
    (0..=Timestamp::MAX.micros()).contains(&micros).then(|| Timestamp::from_micros(micros))
}

/// The time at the start of a text, and its length in bytes.
pub(super) fn leading(text: &str, clock: &mut Clock) -> Option<(Timestamp, usize)> {
    let mut at = Scanner { text: text.as_bytes(), place: 0 };
    match at.peek()? {
        b'0'..=b'9' => at.numeric_date(clock).or_else(|| at.reset().access_date()).or_else(|| at.reset().epoch()),
        b'A'..=b'Z' => at.named_date(clock),
        _ => None,
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    place: usize,
}

impl Scanner<'_> {
    fn reset(&mut self) -> &mut Self {
        self.place = 0;
        self
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.place).copied()
    }

    fn eat(&mut self, any: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| any.contains(byte))?;
        self.place += 1;
        Some(byte)
    }

    /// A number of `from` to `to` digits.
    fn digits<T: std::str::FromStr>(&mut self, from: usize, to: usize) -> Option<T> {
        let rest = &self.text[self.place..];
        let length = rest.iter().take(to).take_while(|b| b.is_ascii_digit()).count();
        if length < from {
            return None;
        }
        self.place += length;
        std::str::from_utf8(&rest[..length]).ok()?.parse().ok()
    }

    fn word(&mut self, words: &[&str]) -> Option<i8> {
        let rest = self.text.get(self.place..self.place + 3)?;
        let found = words.iter().position(|word| rest.eq_ignore_ascii_case(word.as_bytes()))?;
        self.place += 3;
        i8::try_from(found).ok()
    }

    /// `09:00` or `09:00:00`, optionally with a fraction after a point or comma.
    fn clock(&mut self) -> Option<(i8, i8, i8, i32)> {
        let hour = self.digits(1, 2)?;
        self.eat(b":")?;
        let minute = self.digits(2, 2)?;
        let mut second = 0;
        let before = self.place;
        if self.eat(b":").is_some() {
            match self.digits(2, 2) {
                Some(seconds) => second = seconds,
                None => self.place = before,
            }
        }
        let mut nanos = 0;
        let before = self.place;
        if self.eat(b".,").is_some() {
            let start = self.place;
            let digits: u32 = self.digits(1, 9).unwrap_or(0);
            let length = self.place - start;
            if length == 0 {
                self.place = before;
            } else {
                nanos = i32::try_from(digits * 10u32.pow(9 - u32::try_from(length).ok()?)).ok()?;
                while self.peek().is_some_and(|b| b.is_ascii_digit()) {
                    self.place += 1;
                }
            }
        }
        // A leap second is read as the second before it.
        (hour < 24 && minute < 60 && second <= 60).then(|| (hour, minute, second.min(59), nanos))
    }

    /// An offset from UTC in minutes: `Z`, `UTC`, `+02:00`, `+0200`, `+02`; possibly after a space.
    fn offset(&mut self) -> Option<i64> {
        let before = self.place;
        let spaced = self.eat(b" ").is_some();
        let rest = &self.text[self.place..];
        let ends = |length: usize| rest.get(length).is_none_or(|b| !b.is_ascii_alphanumeric());
        for word in [&b"Z"[..], b"UTC", b"GMT", b"z"] {
            if rest.starts_with(word) && ends(word.len()) {
                self.place += word.len();
                return Some(0);
            }
        }
        let found = (|| {
            let sign = if self.eat(b"+-")? == b'-' { -1 } else { 1 };
            let start = self.place;
            let hours: i64 = self.digits(2, 2)?;
            let colon = self.eat(b":").is_some();
            let minutes: i64 = match self.digits(2, 2) {
                Some(minutes) => minutes,
                None if colon => return None,
                None => 0,
            };
            // `09:00:00 -15 items` does not contain an offset.
            let whole = !spaced || self.place - start >= 4;
            let ends = self.peek().is_none_or(|b| !b.is_ascii_alphanumeric());
            (whole && ends && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
        })();
        if found.is_none() {
            self.place = before;
        }
        found
    }

    /// `2026-11-26 09:00:00,123`, `2026/11/26T09:00:00.5+02:00`
    fn numeric_date(&mut self, clock: &Clock) -> Option<(Timestamp, usize)> {
        let year = self.digits(4, 4)?;
        let separator = self.eat(b"-/.")?;
        let month = self.digits(1, 2)?;
        self.eat(&[separator])?;
        let day = self.digits(1, 2)?;
        self.eat(b"T t_")?;
        self.eat(b" ");
        let (hour, minute, second, nanos) = self.clock()?;
        let civil = DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
        self.with_offset(civil, clock)
    }

    fn with_offset(&mut self, civil: DateTime, clock: &Clock) -> Option<(Timestamp, usize)> {
        let at = match self.offset() {
            Some(minutes) => {
                let utc = Timestamp::from_jiff(civil.to_zoned(TimeZone::UTC).ok()?.timestamp());
                utc - minutes * MINUTE
            }
            None => clock.moment(civil)?,
        };
        Some((at, self.place))
    }

    /// `26/Nov/2026:09:00:00 +0000`
    fn access_date(&mut self) -> Option<(Timestamp, usize)> {
        let day = self.digits(1, 2)?;
        self.eat(b"/")?;
        let month = self.word(&MONTHS)? + 1;
        self.eat(b"/")?;
        let year = self.digits(4, 4)?;
        self.eat(b": ")?;
        let (hour, minute, second, nanos) = self.clock()?;
        let civil = DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
        let minutes = self.offset()?;
        let utc = Timestamp::from_jiff(civil.to_zoned(TimeZone::UTC).ok()?.timestamp());
        Some((utc - minutes * MINUTE, self.place))
    }

    /// `1764147600`, `1764147600.123`, `1764147600123`, followed by a space or nothing.
    fn epoch(&mut self) -> Option<(Timestamp, usize)> {
        let length = self.text.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        if !self.text.get(length).is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        let text = std::str::from_utf8(&self.text[..length]).ok()?;
        let whole = text.split('.').next()?.len();
        if ![10, 13, 16, 19].contains(&whole) {
            return None;
        }
        let at = of_number(text)?;
        #[allow(clippy::cast_precision_loss)] // seconds fit
        let plausible = (FIRST_EPOCH..LAST_EPOCH).contains(&(at.seconds() as f64));
        plausible.then_some((at, length))
    }

    /// `Nov 26 09:00:00`, `Thu Nov 26 09:00:00.123 2026`, `Thu, 26 Nov 2026 09:00:00 +0000`
    fn named_date(&mut self, clock: &mut Clock) -> Option<(Timestamp, usize)> {
        let before = self.place;
        if self.word(&WEEKDAYS).is_some() {
            if self.eat(b",").is_some() {
                self.eat(b" ")?;
                return self.mail_date(clock);
            }
            if self.eat(b" ").is_none() {
                self.place = before;
            }
        }
        let month = self.word(&MONTHS)? + 1;
        self.eat(b" ")?;
        self.eat(b" ");
        let day = self.digits(1, 2)?;
        self.eat(b" ")?;
        let (hour, minute, second, nanos) = self.clock()?;
        let civil = |year| DateTime::new(year, month, day, hour, minute, second, nanos).ok();
        let before = self.place;
        if self.eat(b" ").is_some()
            && let Some(year) = self.digits(4, 4).filter(|year| (1970..=9998).contains(year))
            && self.peek().is_none_or(|b| !b.is_ascii_alphanumeric())
        {
            return Some((clock.moment(civil(year)?)?, self.place));
        }
        self.place = before;
        Some((clock.in_unsaid_year(month, civil)?, self.place))
    }

    fn mail_date(&mut self, clock: &Clock) -> Option<(Timestamp, usize)> {
        let day = self.digits(1, 2)?;
        self.eat(b" ")?;
        let month = self.word(&MONTHS)? + 1;
        self.eat(b" ")?;
        let year = self.digits(4, 4)?;
        self.eat(b" ")?;
        let (hour, minute, second, nanos) = self.clock()?;
        let civil = DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
        self.with_offset(civil, clock)
    }
}

/// Whether a text begins with a month and day, so that its time contains no year.
pub(super) fn may_lack_a_year(text: &str) -> bool {
    let mut scanner = Scanner { text: text.as_bytes(), place: 0 };
    if scanner.word(&WEEKDAYS).is_some() {
        scanner.eat(b" ");
    }
    scanner.word(&MONTHS).is_some() && scanner.eat(b" ").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        let mut clock = Clock::new(TimeZone::UTC);
        clock.written_before = "2026-11-27T00:00:00Z".parse().ok();
        clock
    }

    fn read(text: &str) -> String {
        of_text(text, &mut clock()).map_or_else(|| "none".to_owned(), |at| at.to_string())
    }

    #[test]
    fn the_times_of_the_worlds_logs_are_read() {
        for (text, expected) in [
            ("2026-11-26 09:00:00,123", "2026-11-26T09:00:00.123Z"),
            ("2026-11-26T09:00:00.123456789+02:00", "2026-11-26T07:00:00.123456Z"),
            ("2026-11-26T09:00:00+0200", "2026-11-26T07:00:00Z"),
            ("2026-11-26 09:00:00.5 UTC", "2026-11-26T09:00:00.500Z"),
            ("2026/11/26 09:00:00", "2026-11-26T09:00:00Z"),
            ("26/Nov/2026:09:00:00 +0100", "2026-11-26T08:00:00Z"),
            ("Thu Nov 26 09:00:00.123456 2026", "2026-11-26T09:00:00.123456Z"),
            ("Thu, 26 Nov 2026 09:00:00 GMT", "2026-11-26T09:00:00Z"),
            ("Nov 26 09:00:00", "2026-11-26T09:00:00Z"),
            ("Nov  6 09:00:00", "2026-11-06T09:00:00Z"),
            ("Dec 31 23:59:60", "2025-12-31T23:59:59Z"),
            ("Feb 29 00:00:00", "2024-02-29T00:00:00Z"),
            ("1764147600", "2025-11-26T09:00:00Z"),
            ("1764147600.25", "2025-11-26T09:00:00.250Z"),
            ("1764147600123", "2025-11-26T09:00:00.123Z"),
            ("1764147600123456", "2025-11-26T09:00:00.123456Z"),
            ("1764147600123456789", "2025-11-26T09:00:00.123456Z"),
            ("1.764147600123e9", "2025-11-26T09:00:00.123Z"),
            ("2026-11-26", "2026-11-26T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "none"),
            ("never", "none"),
            ("", "none"),
            ("2026-13-26 09:00:00", "none"),
            ("2026-11-26 25:00:00", "none"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_ends_where_the_message_begins() {
        for (text, rest) in [
            ("2026-11-26 09:00:00 -15 items", " -15 items"),
            ("2026-11-26 09:00:00.123 - root - INFO", " - root - INFO"),
            ("2026-11-26T09:00:00Z Zebra", " Zebra"),
            ("2026-11-26 09:00:00: done", ": done"),
            ("1764147600 items", " items"),
            ("Nov 26 09:00:00 2001db8 host", " 2001db8 host"),
        ] {
            let (_, length) = leading(text, &mut clock()).expect(text);
            assert_eq!(&text[length..], rest);
        }
        for text in ["17641476001 items", "42 items", "2026-11-26 items", "Nova 26", "É"] {
            assert!(leading(text, &mut clock()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_year_that_is_not_said_goes_on_over_new_year() {
        let mut clock = clock();
        let mut years = Vec::new();
        for text in ["Dec 30 10:00:00", "Jan  1 00:00:01", "Dec 31 23:59:59", "Mar  1 00:00:00"] {
            years.push(of_text(text, &mut clock).expect(text).to_string()[..4].to_owned());
        }
        assert_eq!(years, ["2025", "2026", "2025", "2026"]);
        assert_eq!(of_text("Nov 26 09:00:00", &mut Clock::new(TimeZone::UTC)), None, "nothing says the year");
    }

    #[test]
    fn a_zone_is_that_of_times_without_one() {
        let mut clock = clock();
        clock.zone = TimeZone::get("Europe/Stockholm").expect("a zone");
        assert_eq!(
            of_text("2026-11-26 09:00:00", &mut clock).map(|t| t.to_string()).as_deref(),
            Some("2026-11-26T08:00:00Z")
        );
        assert_eq!(
            of_text("2026-11-26 09:00:00Z", &mut clock).map(|t| t.to_string()).as_deref(),
            Some("2026-11-26T09:00:00Z")
        );
    }
}
