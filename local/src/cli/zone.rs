//! The time zone of this machine, and times in a zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::CliError;

/// A time zone with the name that the API takes.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// Of the IANA.
    pub(super) name: String,
    zone: TimeZone,
}

impl Zone {
    /// The zone of a name, by default that of this machine.
    pub(super) fn of(named: Option<&str>) -> Result<Self, CliError> {
        match named {
            Some(name) => {
                let wrong = |_| CliError::Usage(format!("--tz: `{name}` is no name of the IANA such as Europe/Berlin"));
                Ok(Self { name: name.to_owned(), zone: TimeZone::get(name).map_err(wrong)? })
            }
            None => Ok(Self::here()),
        }
    }

    /// The zone of this machine, by the variable `TZ`, or by the file that this system links to; else UTC.
    fn here() -> Self {
        let set = std::env::var("TZ").ok().map(|name| name.trim_start_matches(':').to_owned());
        let linked = || std::fs::canonicalize("/etc/localtime").ok()?.to_str().map(str::to_owned);
        let candidates = [set.filter(|name| !name.is_empty()), linked()];
        let named = candidates.into_iter().flatten().find_map(|text| {
            let name = text.split_once("zoneinfo/").map_or(text.as_str(), |(_, name)| name);
            let zone = TimeZone::get(name).ok()?;
            // Some systems call what is UTC by another name, such as Etc/UTC.
            zone.iana_name().map(|name| Self { name: name.to_owned(), zone: zone.clone() })
        });
        named.unwrap_or_else(|| Self { name: "UTC".to_owned(), zone: TimeZone::UTC })
    }

    /// A time of a reply in this zone by a format of `strftime`; as it came where it is no time.
    pub(super) fn show(&self, time: &str, format: &str) -> String {
        time.parse::<Timestamp>().map_or_else(|_| time.to_owned(), |at| self.show_at(at, format))
    }

    /// A time in this zone.
    pub(super) fn show_at(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

/// How long ago something was, in a few words.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    match seconds {
        ..0 => "in the future".to_owned(),
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_a_zone() {
        let berlin = Zone::of(Some("Europe/Berlin")).expect("a zone");
        assert_eq!(berlin.show("2026-11-28T23:30:00.123456Z", "%Y-%m-%d %H:%M:%S.%3f"), "2026-11-29 00:30:00.123");
        assert_eq!(berlin.show("never", "%Y"), "never");
        assert!(Zone::of(Some("Mars")).is_err());
    }

    #[test]
    fn what_was_is_told_in_words() {
        let now: Timestamp = "2026-11-28T10:00:00Z".parse().expect("a time");
        for (time, words) in [
            ("2026-11-28T10:00:01Z", "in the future"),
            ("2026-11-28T09:59:59Z", "1 s ago"),
            ("2026-11-28T09:00:01Z", "59 min ago"),
            ("2026-11-27T11:00:00Z", "23 h ago"),
            ("2026-11-20T10:00:00Z", "8 d ago"),
        ] {
            assert_eq!(ago(time.parse().expect("a time"), now), words);
        }
    }
}
