//! When a rule reports: each day, or each week, at a time of a zone's clocks.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
pub use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};

use super::minutes::Minutes;
use crate::time::zone::Zone;
use crate::time::{MICROSECOND, Range, TimeDelta, Timestamp};

/// The days of a week with their names, as they are sent.
pub const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// How long a report of a day may be told after its time, where nothing ran meanwhile.
const TOLD_OF_DAY: TimeDelta = TimeDelta::hours(24);
/// The same for a report of a week.
const TOLD_OF_WEEK: TimeDelta = TimeDelta::days(3);

/// A time of day, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    hour: i8,
    minute: i8,
}

/// The text is no time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time of day: send hours and minutes from `00:00` to `23:59`, such as `08:00`")]
pub struct TimeOfDayError;

impl Default for TimeOfDay {
    /// Eight in the morning.
    fn default() -> Self {
        Self { hour: 8, minute: 0 }
    }
}

impl FromStr for TimeOfDay {
    type Err = TimeOfDayError;

    fn from_str(text: &str) -> Result<Self, TimeOfDayError> {
        let (hour, minute) = text.split_once(':').ok_or(TimeOfDayError)?;
        let number = |text: &str, most: i8| {
            let is_one = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|n| is_one && *n <= most).ok_or(TimeOfDayError)
        };
        Ok(Self { hour: number(hour, 23)?, minute: number(minute, 59)? })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

/// When a rule reports. Its occurrences are whole minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Schedule {
    /// The day of the week; none for every day.
    weekday: Option<Weekday>,
    at: TimeOfDay,
    zone: Zone,
}

/// A schedule as it is stored: the same fields as in the API.
#[derive(Serialize, Deserialize)]
struct Stored {
    every: String,
    at: String,
    tz: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weekday: Option<String>,
}

impl Schedule {
    /// Every day at a time.
    pub fn daily(at: TimeOfDay, zone: Zone) -> Self {
        Self { weekday: None, at, zone }
    }

    /// Every week, on a day at a time.
    pub fn weekly(weekday: Weekday, at: TimeOfDay, zone: Zone) -> Self {
        Self { weekday: Some(weekday), at, zone }
    }

    /// `day` or `week`.
    pub fn every(&self) -> &'static str {
        if self.weekday.is_none() { "day" } else { "week" }
    }

    /// The time of day.
    pub fn at(&self) -> TimeOfDay {
        self.at
    }

    /// The zone.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The name of the day of the week, as it is sent; none for every day.
    pub fn weekday(&self) -> Option<&'static str> {
        let weekday = self.weekday?;
        WEEKDAYS.into_iter().find(|(_, day)| *day == weekday).map(|(name, _)| name)
    }

    /// The length of a period, apart from changes of the clocks.
    pub fn window(&self) -> Minutes {
        if self.weekday.is_none() { Minutes::DAY } else { Minutes::WEEK }
    }

    /// In words: `every day at 08:00 (Europe/Berlin)`.
    pub fn words(&self) -> String {
        let day = self.weekday().map_or_else(
            || "day".to_owned(),
            |name| {
                let (first, rest) = name.split_at(1);
                first.to_ascii_uppercase() + rest
            },
        );
        format!("every {day} at {} ({})", self.at, self.zone.name())
    }

    /// The occurrence on a day. Of a time that clocks show twice it is the first; of one that they skip, the moment they skip.
    fn on(&self, date: Date) -> Option<Timestamp> {
        self.zone.first_moment(date.at(self.at.hour, self.at.minute, 0, 0)).ok()
    }

    /// The last occurrence up to a time.
    pub fn last(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.zone.date(now);
        let back = match self.weekday {
            None => 0,
            Some(weekday) => weekday.until(today.weekday()),
        };
        let step = if self.weekday.is_none() { 1 } else { 7 };
        // The occurrence of a day may fall on the next one, where clocks skip the rest of the day.
        let candidates = (0..3).filter_map(|n| today.checked_sub((i64::from(back) + n * step).days()).ok());
        candidates.filter_map(|date| self.on(date)).find(|at| *at <= now)
    }

    /// What an occurrence tells of: the time since the occurrence before, and the period before that.
    pub fn periods(&self, occurrence: Timestamp) -> Option<[Range; 2]> {
        let since = self.last(occurrence - MICROSECOND)?;
        let before = self.last(since - MICROSECOND)?;
        Some([Range::new(since, occurrence).ok()?, Range::new(before, since).ok()?])
    }

    /// The occurrence to tell now: the newest one after what was told, unless it is too old.
    pub fn due(&self, told: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let most = if self.weekday.is_none() { TOLD_OF_DAY } else { TOLD_OF_WEEK };
        self.last(now).filter(|at| *at > told && now - *at < most)
    }
}

impl From<Schedule> for Stored {
    fn from(schedule: Schedule) -> Self {
        Self {
            every: schedule.every().to_owned(),
            at: schedule.at.to_string(),
            tz: schedule.zone.name().to_owned(),
            weekday: schedule.weekday().map(str::to_owned),
        }
    }
}

/// What is stored is no schedule.
#[derive(Debug, thiserror::Error)]
#[error("not a schedule of reports: {every} at {at} ({tz})")]
struct NotStored {
    every: String,
    at: String,
    tz: String,
}

impl TryFrom<Stored> for Schedule {
    type Error = String;

    fn try_from(Stored { every, at, tz, weekday }: Stored) -> Result<Self, String> {
        let weekday = weekday.and_then(|name| WEEKDAYS.into_iter().find(|(known, _)| *known == name));
        match (every.as_str(), weekday, at.parse(), tz.parse()) {
            ("day", None, Ok(at), Ok(zone)) => Ok(Self::daily(at, zone)),
            ("week", Some((_, weekday)), Ok(at), Ok(zone)) => Ok(Self::weekly(weekday, at, zone)),
            _ => Err(NotStored { every, at, tz }.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY, HOUR};
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn daily(time: &str, zone: &str) -> Schedule {
        Schedule::daily(time.parse().unwrap(), zone.parse().unwrap())
    }

    #[test]
    fn a_report_comes_at_the_same_local_time_all_year() {
        let schedule = daily("08:00", "Europe/Berlin");
        for (now, last, hours) in [
            ("2026-03-29T05:59:59Z", "2026-03-28T07:00:00Z", 24),
            ("2026-03-29T06:00:00Z", "2026-03-29T06:00:00Z", 23),
            ("2026-10-25T07:30:00Z", "2026-10-25T07:00:00Z", 25),
            ("2026-11-27T07:00:00Z", "2026-11-27T07:00:00Z", 24),
        ] {
            assert_eq!(schedule.last(at(now)), Some(at(last)), "{now}");
            let [period, before] = schedule.periods(at(last)).unwrap();
            assert_eq!(((period.until() - period.since()) / HOUR, before.until()), (hours, period.since()), "{now}");
        }
    }

    #[test]
    fn a_time_that_clocks_skip_is_the_moment_they_skip_and_one_they_show_twice_the_first() {
        let schedule = daily("02:30", "Europe/Berlin");
        assert_eq!(schedule.last(at("2026-03-29T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        assert_eq!(schedule.last(at("2026-10-25T12:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
        // Samoa had no 30 December 2011.
        let samoa = daily("08:00", "Pacific/Apia");
        assert_eq!(samoa.last(at("2011-12-30T12:00:00Z")), Some(at("2011-12-30T10:00:00Z")));
        assert_eq!(samoa.last(at("2011-12-30T18:00:00Z")), Some(at("2011-12-30T18:00:00Z")));
    }

    #[test]
    fn a_weekly_report_is_about_seven_days() {
        let schedule = Schedule::weekly(Weekday::Monday, TimeOfDay::default(), "America/New_York".parse().unwrap());
        assert_eq!(schedule.last(at("2026-11-27T12:00:00Z")), Some(at("2026-11-23T13:00:00Z")));
        let [week, before] = schedule.periods(at("2026-11-02T13:00:00Z")).unwrap();
        assert_eq!((week.until() - week.since()) / HOUR, 7 * 24 + 1);
        assert_eq!((before.until() - before.since()) / HOUR, 7 * 24);
        assert_eq!(schedule.words(), "every Monday at 08:00 (America/New_York)");
    }

    #[test]
    fn only_the_newest_is_due_and_only_for_a_while() {
        let schedule = daily("08:00", "UTC");
        let made = at("2026-11-20T08:00:00Z");
        assert_eq!(schedule.due(made, at("2026-11-20T09:00:00Z")), None, "before the rule");
        let newest = at("2026-11-25T08:00:00Z");
        assert_eq!(schedule.due(made, newest + HOUR), Some(newest));
        assert_eq!(schedule.due(newest, newest + HOUR), None, "told");
        let weekly = Schedule::weekly(Weekday::Friday, TimeOfDay::default(), Zone::utc());
        let friday = at("2026-11-27T08:00:00Z");
        assert_eq!(weekly.due(made, friday + 2 * DAY), Some(friday));
        assert_eq!(weekly.due(made, friday + 3 * DAY), None);
    }

    #[test]
    fn a_schedule_is_read_as_it_was_stored() {
        for (schedule, stored) in [
            (daily("00:05", "UTC"), r#"{"every":"day","at":"00:05","tz":"UTC"}"#),
            (
                Schedule::weekly(Weekday::Sunday, TimeOfDay::default(), "Asia/Kathmandu".parse().unwrap()),
                r#"{"every":"week","at":"08:00","tz":"Asia/Kathmandu","weekday":"sunday"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&schedule).unwrap(), stored);
            assert_eq!(serde_json::from_str::<Schedule>(stored).unwrap(), schedule);
        }
        for bad in ["8:00", "24:00", "08:60", "08:00:00", "", "08-00", "+8:00", "０８:00"] {
            assert_eq!(bad.parse::<TimeOfDay>(), Err(TimeOfDayError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn periods_follow_one_another_without_gaps(
            seconds in 1_600_000_000i64..1_900_000_000, hour in 0i8..24, minute in 0i8..60, zone in 0usize..6, day in 0usize..8,
        ) {
            let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"];
            let (at, zone) = (TimeOfDay { hour, minute }, zones[zone].parse().unwrap());
            let schedule = match WEEKDAYS.get(day) {
                Some((_, weekday)) => Schedule::weekly(*weekday, at, zone),
                None => Schedule::daily(at, zone),
            };
            let now = Timestamp::from_seconds(seconds);
            let last = schedule.last(now).unwrap();
            let length = schedule.window().length();
            prop_assert!(last <= now && now - last <= length + HOUR);
            prop_assert_eq!(schedule.last(last), Some(last));
            let [period, before] = schedule.periods(last).unwrap();
            prop_assert_eq!(schedule.last(period.since()), Some(period.since()));
            for range in [period, before] {
                let off = (range.until() - range.since()) - length;
                prop_assert!(off <= HOUR && off >= TimeDelta::ZERO - HOUR, "{:?}", range);
            }
        }
    }
}
