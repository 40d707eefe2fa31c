//! Time zones.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;

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
    use super::*;

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
