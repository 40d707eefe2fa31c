//! Minutes, hours, days, weeks and months as people in a time zone count them; pure.

use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::{Span, ToSpan};

use crate::time::zone::Zone;
use crate::time::{HOUR, MINUTE, Range, TimeDelta, TimeError, Timestamp};

/// Most buckets in one series.
pub const MAX_BUCKETS: usize = 10_000;

/// The day that a week begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WeekStart {
    /// As ISO 8601 has it.
    #[default]
    Monday,
    /// As in North America.
    Sunday,
}

/// Not a week's beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be monday or sunday")]
pub struct WeekStartError;

impl FromStr for WeekStart {
    type Err = WeekStartError;

    fn from_str(text: &str) -> Result<Self, WeekStartError> {
        match text.to_ascii_lowercase().as_str() {
            "monday" => Ok(Self::Monday),
            "sunday" => Ok(Self::Sunday),
            _ => Err(WeekStartError),
        }
    }
}

impl WeekStart {
    /// The first day of the week that holds a day.
    pub fn first_day(self, date: Date) -> Date {
        let first = match self {
            Self::Monday => Weekday::Monday,
            Self::Sunday => Weekday::Sunday,
        };
        date.checked_sub(i32::from(date.weekday().since(first)).days()).unwrap_or(date)
    }
}

/// How long the buckets of a series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Minutes.
    Minute,
    /// Hours.
    Hour,
    /// Days.
    Day,
    /// Weeks.
    Week(WeekStart),
    /// Months.
    Month,
}

/// A range of more buckets than this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the range holds more than {0} buckets: send a shorter range or a longer interval")]
pub struct TooManyBuckets(pub usize);

impl Interval {
    /// Its name in parameters and replies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Week(_) => "WEEK",
            Self::Month => "MONTH",
        }
    }

    /// Reads a name, in any case.
    pub fn read(text: &str, week_start: WeekStart) -> Option<Self> {
        [Self::Minute, Self::Hour, Self::Day, Self::Week(week_start), Self::Month]
            .into_iter()
            .find(|interval| interval.name().eq_ignore_ascii_case(text))
    }

    /// The starts of all buckets that a range touches, in order; the first may lie before the range.
    pub fn starts(self, range: Range, zone: &Zone) -> Result<Vec<Timestamp>, TooManyBuckets> {
        self.starts_at_most(range, zone, MAX_BUCKETS)
    }

    /// The same, for up to `most` buckets.
    pub fn starts_at_most(self, range: Range, zone: &Zone, most: usize) -> Result<Vec<Timestamp>, TooManyBuckets> {
        let mut starts = Vec::new();
        if range.is_empty() {
            return Ok(starts);
        }
        let mut start = self.floor(range.since(), zone);
        while start < range.until() {
            if starts.len() == most {
                return Err(TooManyBuckets(most));
            }
            starts.push(start);
            let next = self.next(start, zone);
            if next <= start {
                break;
            }
            start = next;
        }
        Ok(starts)
    }

    /// The start of the bucket that holds a moment.
    pub fn floor(self, at: Timestamp, zone: &Zone) -> Timestamp {
        let date = zone.date(at);
        let day = |date| zone.start_of_day(date).unwrap_or(at);
        let mut start = match self {
            Self::Minute => {
                let start = at - zone.since(at, MINUTE);
                // Until 1972 zones could be seconds off, and a change of their clocks lie within a minute.
                return match zone.since(start, MINUTE) {
                    TimeDelta::ZERO => start,
                    late => start + (MINUTE - late),
                };
            }
            // From midnight on, so that hours that a change of clocks cuts short are met in turn.
            Self::Hour | Self::Day => day(date),
            Self::Week(first) => day(first.first_day(date)),
            Self::Month => day(date.first_of_month()),
        };
        loop {
            let next = self.next(start, zone);
            // Clocks set back past midnight name the day before again. At the end of time there is no next one.
            if next > at || next <= start {
                return start;
            }
            start = next;
        }
    }

    /// The start of the bucket after the one that starts at `start`.
    fn next(self, start: Timestamp, zone: &Zone) -> Timestamp {
        let step: Span = match self {
            Self::Minute => return start + (MINUTE - zone.since(start, MINUTE)),
            Self::Hour => return start + (HOUR - zone.since(start, HOUR)),
            Self::Day => 1.days(),
            Self::Week(_) => 7.days(),
            Self::Month => 1.months(),
        };
        // Past the last year there is no next bucket; the range ends before.
        let next = zone.date(start).checked_add(step).map_err(|_| TimeError);
        next.and_then(|next| zone.start_of_day(next)).unwrap_or(Timestamp::MAX)
    }
}

/// The parts of a day that its clocks call an hour (0 to 23), in order. There are none where clocks skip the hour, and a
/// part for each pass where they are set back, joined where one follows the other. The parts of all hours of a day make up
/// the day.
///
/// # Errors
/// Where the day lies outside of what a timestamp can name.
pub fn hour_of_day(zone: &Zone, date: Date, hour: i8) -> Result<Vec<Range>, TimeError> {
    let day = zone.day(date)?;
    let mut starts = Interval::Hour.starts(day, zone).map_err(|_| TimeError)?;
    starts.push(day.until());
    let mut parts: Vec<Range> = Vec::new();
    for bounds in starts.windows(2) {
        let Ok(part) = Range::new(bounds[0].max(day.since()), bounds[1]) else { continue };
        if zone.hour(part.since()) != hour {
            continue;
        }
        match parts.last_mut() {
            Some(last) if last.until() == part.since() => {
                *last = Range::new(last.since(), part.until()).map_err(|_| TimeError)?;
            }
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{MICROSECOND, SECOND, parse_date};
    use proptest::prelude::*;

    fn zone(name: &str) -> Zone {
        name.parse().expect("a zone")
    }

    fn lengths(interval: Interval, zone_name: &str, from: &str, to: &str) -> Vec<i64> {
        let range = Range::new(from.parse().expect("a time"), to.parse().expect("a time")).expect("a range");
        let starts = interval.starts(range, &zone(zone_name)).expect("few buckets");
        starts.windows(2).map(|pair| (pair[1] - pair[0]).as_seconds()).collect()
    }

    #[test]
    fn an_empty_range_touches_no_bucket() {
        for at in [Timestamp::EPOCH, Timestamp::EPOCH + SECOND] {
            let range = Range::new(at, at).expect("in order");
            assert_eq!(Interval::Hour.starts(range, &Zone::utc()), Ok(vec![]));
        }
    }

    #[test]
    fn days_are_as_long_as_their_zone_makes_them() {
        assert_eq!(
            lengths(Interval::Day, "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"),
            [86_400, 82_800, 86_400]
        );
        let autumn = lengths(Interval::Day, "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(autumn, [90_000]);
        // Samoa had no 30 December 2011.
        let samoa = lengths(Interval::Day, "Pacific/Apia", "2011-12-29T12:00:00Z", "2012-01-02T00:00:00Z");
        // 29 and 31 December, 1 January, until the 2nd.
        assert_eq!(samoa, [86_400; 3]);
    }

    #[test]
    fn hours_follow_half_hour_zones_and_half_hour_changes() {
        let kolkata = zone("Asia/Kolkata");
        let at: Timestamp = "2026-02-10T10:15:00Z".parse().expect("a time");
        assert_eq!(Interval::Hour.floor(at, &kolkata).to_string(), "2026-02-10T09:30:00Z");
        // Lord Howe Island goes back by half an hour at 02:00.
        let howe = lengths(Interval::Hour, "Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-04T18:00:00Z");
        assert!(howe.contains(&1_800) && howe.iter().all(|length| [1_800, 3_600].contains(length)), "{howe:?}");
    }

    fn hour(zone_name: &str, date: &str, hour: i8) -> Vec<String> {
        let parts = hour_of_day(&zone(zone_name), parse_date(date).expect("a day"), hour).expect("a nameable day");
        parts.into_iter().map(|part| format!("{} to {}", part.since(), part.until())).collect()
    }

    #[test]
    fn an_hour_that_occurs_twice_is_both_passes() {
        assert_eq!(hour("Europe/Stockholm", "2025-10-26", 2), ["2025-10-26T00:00:00Z to 2025-10-26T02:00:00Z"]);
        assert_eq!(hour("Australia/Lord_Howe", "2026-04-05", 1), ["2026-04-04T14:00:00Z to 2026-04-04T15:30:00Z"]);
        // Troll goes back by two hours: 01:00 to 03:00 occur twice, each hour between the passes of the other.
        assert_eq!(
            hour("Antarctica/Troll", "2025-10-26", 1),
            ["2025-10-25T23:00:00Z to 2025-10-26T00:00:00Z", "2025-10-26T01:00:00Z to 2025-10-26T02:00:00Z"]
        );
    }

    #[test]
    fn an_hour_that_does_not_occur_has_no_parts() {
        assert_eq!(hour("Europe/Stockholm", "2026-03-29", 2), Vec::<String>::new());
        assert_eq!(hour("America/Sao_Paulo", "2018-11-04", 0), Vec::<String>::new());
        assert_eq!(hour("America/Sao_Paulo", "2018-11-04", 1), ["2018-11-04T03:00:00Z to 2018-11-04T04:00:00Z"]);
    }

    #[test]
    fn minutes_follow_a_zone_that_is_seconds_off() {
        // Monrovia was 44 minutes and 30 seconds behind UTC until 7 January 1972.
        let day = zone("Africa/Monrovia").day(parse_date("1971-05-04").expect("a day")).expect("a nameable day");
        let starts = Interval::Minute.starts(day, &zone("Africa/Monrovia")).expect("few buckets");
        assert_eq!((starts.first(), starts.len()), (Some(&day.since()), 1_440));
        let change: Timestamp = "1972-01-07T00:44:30Z".parse().expect("a time");
        let floor = |at| Interval::Minute.floor(at, &zone("Africa/Monrovia"));
        assert_eq!((floor(change - SECOND), floor(change + SECOND)), (change - MINUTE, change));
        assert_eq!(floor(change + 31 * SECOND), change + 30 * SECOND);
        let around = Range::new(change - MINUTE, change + 2 * MINUTE).expect("in order");
        let starts = Interval::Minute.starts(around, &zone("Africa/Monrovia")).expect("few buckets");
        let after = |start: Timestamp| (start - change).as_seconds();
        assert_eq!(starts.into_iter().map(after).collect::<Vec<_>>(), [-60, 0, 30, 90]);
    }

    #[test]
    fn intervals_and_week_starts_are_read_in_any_case() {
        let week = Interval::Week(WeekStart::Sunday);
        let names = ["MINUTE", "HOUR", "DAY", "WEEK", "MONTH"];
        let intervals = [Interval::Minute, Interval::Hour, Interval::Day, week, Interval::Month];
        assert_eq!(intervals.map(Interval::name), names);
        let read = |name: &str| Interval::read(name, WeekStart::Sunday);
        assert_eq!(names.map(read), intervals.map(Some));
        assert_eq!([read("hour"), read("year")], [Some(Interval::Hour), None]);
        assert_eq!(["Monday", "SUNDAY"].map(str::parse), [Ok(WeekStart::Monday), Ok(WeekStart::Sunday)]);
        assert_eq!("friday".parse::<WeekStart>(), Err(WeekStartError));
    }

    #[test]
    fn weeks_begin_on_either_day() {
        let date = parse_date("2026-11-21").expect("a Saturday");
        assert_eq!(WeekStart::Monday.first_day(date).to_string(), "2026-11-16");
        assert_eq!(WeekStart::Sunday.first_day(date).to_string(), "2026-11-15");
        assert_eq!(WeekStart::Sunday.first_day(parse_date("2026-11-15").expect("a Sunday")).to_string(), "2026-11-15");
    }

    #[test]
    fn a_range_of_too_many_buckets_is_refused() {
        let until = |n: i64| Range::new(Timestamp::EPOCH, Timestamp::EPOCH + n * MINUTE).expect("a range");
        assert_eq!(Interval::Minute.starts(until(10_000), &Zone::utc()).map(|s| s.len()), Ok(10_000));
        assert_eq!(Interval::Minute.starts(until(10_001), &Zone::utc()), Err(TooManyBuckets(MAX_BUCKETS)));
    }

    proptest! {
        #[test]
        fn the_hours_of_a_day_make_up_the_day(
            day in 0i32..20_000,
            name in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia",
                "America/Sao_Paulo", "Africa/Casablanca", "Antarctica/Troll", "Africa/Monrovia",
            ]),
        ) {
            let zone = zone(name);
            let date = parse_date("1970-01-01").expect("a day").checked_add(day.days()).expect("a day");
            let mut parts: Vec<Range> = Vec::new();
            for hour in 0..24 {
                parts.extend(hour_of_day(&zone, date, hour).expect("a nameable day"));
            }
            parts.sort_by_key(|part| part.since());
            let whole = zone.day(date).expect("a nameable day");
            if whole.is_empty() {
                prop_assert!(parts.is_empty());
            } else {
                prop_assert_eq!(parts.first().map(|part| part.since()), Some(whole.since()));
                prop_assert_eq!(parts.last().map(|part| part.until()), Some(whole.until()));
                prop_assert!(parts.windows(2).all(|pair| pair[0].until() == pair[1].since()));
            }
        }

        #[test]
        fn buckets_follow_one_another_and_hold_their_range(
            since in 63_072_000i64..2_000_000_000, length in 1i64..40 * 86_400,
            name in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe",
                "Pacific/Apia", "America/Sao_Paulo", "Africa/Casablanca",
            ]),
            which in 0usize..5,
        ) {
            let interval = [Interval::Hour, Interval::Day, Interval::Week(WeekStart::Monday), Interval::Week(WeekStart::Sunday), Interval::Month][which];
            let since = Timestamp::from_seconds(since);
            let range = Range::new(since, since + length * SECOND).expect("a range");
            let zone = zone(name);
            let starts = interval.starts(range, &zone).expect("few buckets");
            prop_assert!(starts[0] <= range.since());
            prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(starts.iter().skip(1).all(|start| range.contains(*start)));
            for start in &starts {
                prop_assert_eq!(interval.floor(*start, &zone), *start);
                // No bucket is shorter than half an hour.
                prop_assert_eq!(interval.floor(*start + (HOUR / 2 - MICROSECOND), &zone), *start);
            }
        }
    }
}
