//! Time zones.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::time::{Range, TimeDelta, TimeError, Timestamp, parse_date, start_of_day};

/// A time zone by its IANA name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// The text is not the name of a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone: send an IANA name, e.g. UTC or Europe/Berlin")]
pub struct ZoneError;

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// Its name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The day that a moment is in.
    pub fn date(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at.jiff()).date()
    }

    /// The date and clock time of a moment.
    pub fn datetime(&self, at: Timestamp) -> jiff::civil::DateTime {
        self.zone.to_datetime(at.jiff())
    }

    /// The hour of the day that a moment is in, 0 to 23.
    pub fn hour(&self, at: Timestamp) -> i8 {
        self.zone.to_datetime(at.jiff()).hour()
    }

    /// The first moment of a day.
    pub fn start_of_day(&self, date: Date) -> Result<Timestamp, TimeError> {
        start_of_day(date, &self.zone)
    }

    /// The first moment of an hour (0 to 23) of a day; of an hour that clocks skip, the moment they skip to.
    pub fn start_of_hour(&self, date: Date, hour: i8) -> Result<Timestamp, TimeError> {
        let zoned = date.at(hour, 0, 0, 0).to_zoned(self.zone.clone()).map_err(|_| TimeError)?;
        Ok(Timestamp::from_jiff(zoned.timestamp()))
    }

    /// The moment of a date and clock time: the first of those that clocks show twice, and of those that they skip, the moment
    /// they skip.
    ///
    /// # Errors
    /// Where the moment lies outside of what a timestamp can name.
    pub fn first_moment(&self, at: DateTime) -> Result<Timestamp, TimeError> {
        let moment = match self.zone.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(at),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(at),
            AmbiguousOffset::Gap { before, after } => {
                // Before the clocks change, and after it.
                let around = [after, before].map(|offset| offset.to_timestamp(at));
                let [Ok(early), late] = around else { return Err(TimeError) };
                self.zone.following(early).next().map_or(late, |change| Ok(change.timestamp()))
            }
        };
        moment.map(Timestamp::from_jiff).map_err(|_| TimeError)
    }

    /// Reads a day, or `today`.
    pub fn read_date(&self, text: &str, now: Timestamp) -> Result<Date, TimeError> {
        if text == "today" { Ok(self.date(now)) } else { parse_date(text) }
    }

    /// Reads a time; a day, or `today`, is its first moment in this zone.
    pub fn read_time(&self, text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
        match self.read_date(text, now) {
            Ok(date) => self.start_of_day(date).and_then(Timestamp::nameable),
            Err(_) => text.parse(),
        }
    }

    /// A day, from its first moment to the first of the next one.
    ///
    /// # Errors
    /// Where the day lies outside of what a timestamp can name.
    pub fn day(&self, date: Date) -> Result<Range, TimeError> {
        let next = date.tomorrow().map_err(|_| TimeError)?;
        Range::new(self.start_of_day(date)?, self.start_of_day(next)?).map_err(|_| TimeError)
    }

    /// How far into its local minute or hour a moment is.
    pub(super) fn since(&self, at: Timestamp, unit: TimeDelta) -> TimeDelta {
        let offset = TimeDelta::seconds(self.zone.to_offset(at.jiff()).seconds().into());
        // The remainder is negative before 1970.
        ((at - Timestamp::EPOCH + offset) % unit + unit) % unit
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, ZoneError> {
        let zone = TimeZone::get(name).map_err(|_| ZoneError)?;
        Ok(Self { name: name.to_owned(), zone })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::time::{HOUR, MINUTE};

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_zone_has_the_name_that_was_given() {
        assert_eq!(zone("Europe/Berlin").name(), "Europe/Berlin");
        assert_eq!((Zone::utc().name(), Zone::utc()), ("UTC", zone("UTC")));
        assert_eq!("Europe/Nowhere".parse::<Zone>(), Err(ZoneError));
    }

    #[test]
    fn a_moment_is_in_a_day_and_an_hour_of_the_zone() {
        let kathmandu = zone("Asia/Kathmandu");
        let late = at("2026-11-21T18:14:59Z");
        assert_eq!((kathmandu.date(late), kathmandu.hour(late)), (date(2026, 11, 21), 23));
        let midnight = at("2026-11-21T18:15:00Z");
        assert_eq!((kathmandu.date(midnight), kathmandu.hour(midnight)), (date(2026, 11, 22), 0));
        assert_eq!(kathmandu.start_of_day(date(2026, 11, 22)), Ok(midnight));
        assert_eq!(kathmandu.start_of_hour(date(2026, 11, 22), 7), Ok(midnight + 7 * HOUR));
        assert_eq!(kathmandu.read_date("today", midnight), Ok(date(2026, 11, 22)));
        assert_eq!(kathmandu.read_date("2026-11-03", midnight), Ok(date(2026, 11, 3)));
        assert!(kathmandu.read_date("tomorrow", midnight).is_err());
    }

    #[test]
    fn how_far_into_an_hour_a_moment_is_depends_on_the_zone() {
        let kathmandu = zone("Asia/Kathmandu");
        assert_eq!(kathmandu.since(at("2026-11-21T18:20:07Z"), HOUR), 5 * MINUTE + TimeDelta::seconds(7));
        assert_eq!(kathmandu.since(at("2026-11-21T18:20:07Z"), MINUTE), TimeDelta::seconds(7));
        assert_eq!(
            zone("America/St_Johns").since(at("1969-12-31T23:40:01Z"), HOUR),
            10 * MINUTE + TimeDelta::seconds(1)
        );
        // 44:30 behind, until 1972.
        assert_eq!(zone("Africa/Monrovia").since(at("1971-06-01T12:00:00Z"), MINUTE), TimeDelta::seconds(30));
        assert_eq!(Zone::utc().since(at("1969-12-31T23:59:59Z"), MINUTE), TimeDelta::seconds(59));
    }

    #[test]
    fn a_day_lasts_until_the_next_one() {
        let hours = |zone: &Zone, date| {
            let day = zone.day(date).unwrap();
            (day.until() - day.since()).as_seconds() / 3_600
        };
        assert_eq!(hours(&zone("Europe/Berlin"), date(2026, 10, 25)), 25);
        assert_eq!(hours(&zone("Europe/Berlin"), date(2026, 3, 29)), 23);
        assert_eq!(hours(&zone("Europe/Berlin"), date(2026, 11, 21)), 24);
        assert!(Zone::utc().day(date(9999, 12, 31)).is_err());
    }

    /// Edition 2026f of the data: Cuba stays on summer time.
    #[test]
    fn the_data_is_not_older_than_2026f() {
        let day = zone("America/Havana").day(date(2026, 11, 1)).unwrap();
        assert_eq!(day.until() - day.since(), 24 * HOUR);
    }

    #[test]
    fn a_day_is_its_first_moment_in_the_zone_and_a_time_is_itself() {
        let kyiv: Zone = "Europe/Kyiv".parse().expect("a zone");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let now = at("2026-11-21T22:30:00Z");
        for (text, expected) in [
            ("2026-11-19", "2026-11-18T22:00:00Z"),
            ("20261119", "2026-11-18T22:00:00Z"),
            ("2026-07-19", "2026-07-18T21:00:00Z"),
            ("today", "2026-11-21T22:00:00Z"),
            ("2026-11-19T00:00:00", "2026-11-19T00:00:00Z"),
            ("2026-11-19T00:00:00+01:00", "2026-11-18T23:00:00Z"),
            ("1795255200", "2026-11-21T10:00:00Z"),
        ] {
            assert_eq!(kyiv.read_time(text, now), Ok(at(expected)), "{text}");
        }
        for text in ["", "soon", "2026-02-30", "0000-01-01", "0001-01-01", "9999-12-31"] {
            assert_eq!(kyiv.read_time(text, now), Err(TimeError), "{text}");
        }
    }
}
