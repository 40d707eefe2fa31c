//! Times as a query names them: absolute, or relative to the time of the request; pure.

use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;

use crate::time::calendar::WeekStart;
use crate::time::zone::Zone;
use crate::time::{MINUTE, Range, TimeDelta, TimeError, Timestamp, parse_date};

/// Most digits of a length of time: `9999w` is 191 years.
const MOST_DIGITS: usize = 4;

/// A time of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This time.
    At(Timestamp),
    /// The first moment of a day.
    Day(Date),
    /// So long before the start of the minute of the request.
    Ago(TimeDelta),
    /// The time of the request.
    Now,
    /// The first moment of a day, week or month.
    StartOf(Span),
}

/// A day, week or month by its place in the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The day of the request.
    Today,
    /// The day before.
    Yesterday,
    /// The week of the request.
    ThisWeek,
    /// The month of the request.
    ThisMonth,
}

impl Span {
    /// Their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("today", Self::Today),
        ("yesterday", Self::Yesterday),
        ("this-week", Self::ThisWeek),
        ("this-month", Self::ThisMonth),
    ];
}

/// Not a time of a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a time: send RFC 3339 (2026-02-10T10:00:00Z), `2026-02-10 10:00:00.123456`, a date, Unix seconds or milliseconds, or \
     a time before now: `15m`, `1h`, `7d`, `2w`, `now`, `today`, `yesterday`, `this-week`, `this-month`"
)]
pub struct MomentError;

impl From<TimeError> for MomentError {
    fn from(_: TimeError) -> Self {
        Self
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Some((_, span)) = Span::ALL.into_iter().find(|(name, _)| *name == text) {
            return Ok(Self::StartOf(span));
        }
        if let Some(length) = length(text) {
            return Ok(Self::Ago(length));
        }
        Ok(match parse_date(text) {
            Ok(date) => Self::Day(date),
            Err(_) => Self::At(text.parse()?),
        })
    }
}

/// Reads `15m`, `1h`, `7d` or `2w`. A day has 24 hours.
fn length(text: &str) -> Option<TimeDelta> {
    let unit = match text.bytes().last()? {
        b'm' => MINUTE,
        b'h' => TimeDelta::hours(1),
        b'd' => TimeDelta::days(1),
        b'w' => TimeDelta::days(7),
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    let is_number = (1..=MOST_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse::<i64>().ok().map(|n| n * unit))?
}

/// What the times of a request are relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The zone of days.
    pub zone: Zone,
    /// The first day of weeks.
    pub week_start: WeekStart,
    /// The time of the request.
    pub now: Timestamp,
}

impl Calendar {
    /// The calendar of UTC, whose weeks begin on Monday.
    pub fn utc(now: Timestamp) -> Self {
        Self { zone: Zone::utc(), week_start: WeekStart::default(), now }
    }

    /// When a moment is.
    ///
    /// # Errors
    /// Where it lies outside of what a timestamp can name.
    pub fn at(&self, moment: Moment) -> Result<Timestamp, MomentError> {
        Ok(match moment {
            Moment::At(at) => at,
            Moment::Day(date) => self.zone.start_of_day(date)?.nameable()?,
            Moment::Ago(length) => (self.now.floor(MINUTE) - length).nameable()?,
            Moment::Now => self.now,
            Moment::StartOf(span) => self.span(span)?.since(),
        })
    }

    /// Reads a time.
    ///
    /// # Errors
    /// Where the text is not a time.
    pub fn read_time(&self, text: &str) -> Result<Timestamp, MomentError> {
        self.at(text.parse()?)
    }

    /// Reads a day: a date, `today`, `yesterday`, or the day of a time so long before now, `7d`.
    ///
    /// # Errors
    /// Where the text is not a day.
    pub fn read_day(&self, text: &str) -> Result<Date, MomentError> {
        match text.parse()? {
            Moment::Day(date) => Ok(date),
            Moment::StartOf(span @ (Span::Today | Span::Yesterday)) => self.first_day(span),
            ago @ Moment::Ago(_) => Ok(self.zone.date(self.at(ago)?)),
            _ => Err(MomentError),
        }
    }

    /// The first day of a span.
    ///
    /// # Errors
    /// Where it lies outside of what a date can name.
    pub fn first_day(&self, span: Span) -> Result<Date, MomentError> {
        let today = self.zone.date(self.now);
        Ok(match span {
            Span::Today => today,
            Span::Yesterday => today.yesterday().map_err(|_| MomentError)?,
            Span::ThisWeek => self.week_start.first_day(today),
            Span::ThisMonth => today.first_of_month(),
        })
    }

    /// From the first moment of a span to the first after it.
    ///
    /// # Errors
    /// Where it lies outside of what a timestamp can name.
    pub fn span(&self, span: Span) -> Result<Range, MomentError> {
        let first = self.first_day(span)?;
        self.from(first, first.checked_add(Self::length(span)).map_err(|_| MomentError)?)
    }

    /// The span before one: the day before, the week before, the month before.
    ///
    /// # Errors
    /// Where it lies outside of what a timestamp can name.
    pub fn before(&self, span: Span) -> Result<Range, MomentError> {
        let first = self.first_day(span)?;
        self.from(first.checked_sub(Self::length(span)).map_err(|_| MomentError)?, first)
    }

    /// The period to compare a range with: before it, and as long. If `since` names a day, week or month, it is the one
    /// before, up to the same elapsed time if the range ends before the day, week or month does.
    ///
    /// A range that ends in the future runs still: it is compared up to the same elapsed time, which ends with the minute of
    /// the request, since counters know no shorter time. One that has not begun is compared with nothing.
    pub fn previous(&self, since: Option<Moment>, range: Range) -> Range {
        let of_span = match since {
            Some(Moment::StartOf(span)) => self.span(span).ok().zip(self.before(span).ok()),
            _ => None,
        };
        let elapsed = range.until().min(self.now.floor(MINUTE) + MINUTE).max(range.since());
        let length = elapsed - range.since();
        let earliest = |at: Timestamp| at.max(Timestamp::EPOCH);
        let (from, to) = match of_span {
            Some((this, before)) if elapsed == this.until() => (before.since(), before.until()),
            // The day before may be shorter.
            Some((this, before)) if range.until() <= this.until() && this.contains(elapsed) => {
                (before.since(), (before.since() + length).min(before.until()))
            }
            _ => {
                let from = range.since() - (range.until() - range.since());
                (from, from + length)
            }
        };
        Range::new(earliest(from), earliest(to)).unwrap_or(Range::EMPTY)
    }

    fn from(&self, first: Date, end: Date) -> Result<Range, MomentError> {
        let (since, until) = (self.zone.start_of_day(first)?.nameable()?, self.zone.start_of_day(end)?.nameable()?);
        Range::new(since, until).map_err(|_| MomentError)
    }

    fn length(span: Span) -> jiff::Span {
        match span {
            Span::Today | Span::Yesterday => 1.days(),
            Span::ThisWeek => 7.days(),
            Span::ThisMonth => 1.months(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calendar(zone: &str, week_start: WeekStart, now: &str) -> Calendar {
        Calendar { zone: zone.parse().expect("a zone"), week_start, now: now.parse().expect("a time") }
    }

    #[test]
    fn a_time_is_relative_to_the_request() {
        // Half past one on Sunday, 1 November, in Berlin; the clocks went back a week before.
        let berlin = calendar("Europe/Berlin", WeekStart::Monday, "2026-11-01T00:30:40.5Z");
        for (text, expected) in [
            ("now", "2026-11-01T00:30:40.500Z"),
            ("15m", "2026-11-01T00:15:00Z"),
            ("0m", "2026-11-01T00:30:00Z"),
            ("1h", "2026-10-31T23:30:00Z"),
            ("7d", "2026-10-25T00:30:00Z"),
            ("2w", "2026-10-18T00:30:00Z"),
            ("today", "2026-10-31T23:00:00Z"),
            ("yesterday", "2026-10-30T23:00:00Z"),
            ("this-week", "2026-10-25T23:00:00Z"),
            ("this-month", "2026-10-31T23:00:00Z"),
            ("2026-10-25", "2026-10-24T22:00:00Z"),
            ("20261025", "2026-10-24T22:00:00Z"),
            ("2026-10-25T01:00:00", "2026-10-25T01:00:00Z"),
            ("1795255200", "2026-11-21T10:00:00Z"),
        ] {
            assert_eq!(berlin.read_time(text).map(|at| at.to_string()).as_deref(), Ok(expected), "{text}");
        }
        let sunday = Calendar { week_start: WeekStart::Sunday, ..berlin.clone() };
        assert_eq!(sunday.read_time("this-week").map(|at| at.to_string()).as_deref(), Ok("2026-10-31T23:00:00Z"));
        let refused = [
            "",
            "soon",
            "tomorrow",
            "15",
            "m",
            "-1h",
            "1.5h",
            "1 h",
            "1H",
            "15s",
            "1y",
            "99999w",
            "today ",
            "0001-01-01",
        ];
        for text in refused {
            assert!(text == "15" || berlin.read_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_is_named_by_days_alone() {
        let now = calendar("Asia/Tokyo", WeekStart::Monday, "2026-11-21T20:00:00Z");
        for (text, expected) in [
            ("today", "2026-11-22"),
            ("yesterday", "2026-11-21"),
            ("7d", "2026-11-15"),
            ("1w", "2026-11-15"),
            ("12h", "2026-11-21"),
            ("2026-11-03", "2026-11-03"),
        ] {
            assert_eq!(now.read_day(text).map(|day| day.to_string()).as_deref(), Ok(expected), "{text}");
        }
        for text in ["this-week", "this-month", "now", "2026-11-03T10:00:00Z", "1795255200"] {
            assert!(now.read_day(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_has_one_before_it() {
        let berlin = calendar("Europe/Berlin", WeekStart::Monday, "2026-03-29T12:00:00Z");
        let range = |range: Result<Range, MomentError>| {
            range.map(|range| format!("{} {}", range.since(), range.until())).expect("a range")
        };
        assert_eq!(range(berlin.span(Span::Today)), "2026-03-28T23:00:00Z 2026-03-29T22:00:00Z");
        assert_eq!(range(berlin.before(Span::Today)), "2026-03-27T23:00:00Z 2026-03-28T23:00:00Z");
        assert_eq!(range(berlin.before(Span::Yesterday)), "2026-03-26T23:00:00Z 2026-03-27T23:00:00Z");
        assert_eq!(range(berlin.span(Span::ThisWeek)), "2026-03-22T23:00:00Z 2026-03-29T22:00:00Z");
        assert_eq!(range(berlin.before(Span::ThisWeek)), "2026-03-15T23:00:00Z 2026-03-22T23:00:00Z");
        assert_eq!(range(berlin.span(Span::ThisMonth)), "2026-02-28T23:00:00Z 2026-03-31T22:00:00Z");
        assert_eq!(range(berlin.before(Span::ThisMonth)), "2026-01-31T23:00:00Z 2026-02-28T23:00:00Z");
    }

    #[test]
    fn a_range_is_compared_with_the_time_before_it() {
        let berlin = calendar("Europe/Berlin", WeekStart::Monday, "2026-03-30T12:00:00Z");
        let previous = |since: &str, until: &str| {
            let moment: Moment = since.parse().expect("a time");
            let range = Range::new(berlin.at(moment).expect("a time"), berlin.read_time(until).expect("a time"));
            let previous = berlin.previous(Some(moment), range.expect("in order"));
            format!("{} {}", previous.since(), previous.until())
        };
        for (since, until, expected) in [
            ("24h", "now", "2026-03-28T12:00:00Z 2026-03-29T12:00:00Z"),
            ("today", "now", "2026-03-28T23:00:00Z 2026-03-29T13:00:00Z"),
            // It runs still: up to the end of this minute.
            ("today", "2026-03-30T21:30:00Z", "2026-03-28T23:00:00Z 2026-03-29T13:01:00Z"),
            ("today", "2026-03-30T22:00:00Z", "2026-03-28T23:00:00Z 2026-03-29T13:01:00Z"),
            ("2026-03-30T10:00:00Z", "2026-03-30T18:00:00Z", "2026-03-30T02:00:00Z 2026-03-30T04:01:00Z"),
            // The last minute is whole.
            ("2026-03-30T11:01:00Z", "2026-03-30T12:01:00Z", "2026-03-30T10:01:00Z 2026-03-30T11:01:00Z"),
            ("2026-03-30T14:00:00Z", "2026-03-30T18:00:00Z", "2026-03-30T10:00:00Z 2026-03-30T10:00:00Z"),
            // It is longer than the day.
            ("today", "2026-03-31T22:00:00Z", "2026-03-27T22:00:00Z 2026-03-28T12:01:00Z"),
            ("yesterday", "today", "2026-03-27T23:00:00Z 2026-03-28T23:00:00Z"),
            ("this-week", "now", "2026-03-22T23:00:00Z 2026-03-23T13:00:00Z"),
            ("this-month", "now", "2026-01-31T23:00:00Z 2026-02-28T23:00:00Z"),
            ("this-month", "2026-03-11", "2026-01-31T23:00:00Z 2026-02-10T23:00:00Z"),
            ("this-month", "2026-04-01", "2026-01-31T23:00:00Z 2026-02-28T23:00:00Z"),
            ("yesterday", "now", "2026-03-27T10:00:00Z 2026-03-28T23:00:00Z"),
            ("1970-01-02", "now", "1970-01-01T00:00:00Z 1970-01-01T23:00:00Z"),
        ] {
            assert_eq!(previous(since, until), expected, "{since} {until}");
        }
        // The day before, from which an hour is missing, was over by then.
        let late = Calendar { now: "2026-03-30T21:40:00Z".parse().expect("a time"), ..berlin };
        let today =
            Range::new(late.read_time("today").expect("a day"), "2026-03-30T21:30:00Z".parse().expect("a time"));
        let before = late.previous(Some(Moment::StartOf(Span::Today)), today.expect("in order"));
        assert_eq!(before.until().to_string(), "2026-03-29T22:00:00Z");
    }

    proptest! {
        #[test]
        fn what_is_read_lies_before_now(
            now in 0i64..4_000_000_000,
            text in prop_oneof!["[0-9]{1,4}[mhdw]", "now|today|yesterday|this-week|this-month"],
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Havana", "Pacific/Apia"]),
        ) {
            let now = Timestamp::from_seconds(now);
            let calendar = Calendar { zone: zone.parse().expect("a zone"), ..Calendar::utc(now) };
            prop_assert!(calendar.read_time(&text).expect("a time") <= now);
            for (_, span) in Span::ALL {
                let (this, before) = (calendar.span(span).expect("a span"), calendar.before(span).expect("a span"));
                prop_assert!(before.until() == this.since() && !before.is_empty());
                prop_assert!(span == Span::Yesterday || this.contains(now));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Calendar::utc(Timestamp::EPOCH).read_time(&text);
        }
    }
}
