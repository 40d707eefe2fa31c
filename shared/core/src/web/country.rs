//! Countries, as two letters of ISO 3166.

use std::fmt;

/// The country of each time zone, a line each.
const ZONES: &str = include_str!("zones.txt");

/// A country, such as `DE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two letters in any case. What databases and proxies write for an unknown country is none.
    pub fn parse(text: &str) -> Option<Self> {
        // Unknown, Tor, and what databases of addresses have for anonymous proxies, satellites and regions.
        const NONE: [&str; 8] = ["XX", "ZZ", "T1", "A1", "A2", "O1", "EU", "AP"];
        let code: [u8; 2] = text.trim().to_ascii_uppercase().into_bytes().try_into().ok()?;
        let country = Self(code);
        (code.iter().all(u8::is_ascii_uppercase) && !NONE.contains(&country.as_str())).then_some(country)
    }

    /// The country of a time zone such as `Europe/Berlin`, by the names of IANA, older ones too.
    pub fn of_zone(zone: &str) -> Option<Self> {
        let mut zones = ZONES.lines().filter(|line| !line.starts_with('#'));
        let country = zones.find_map(|line| line.strip_prefix(zone)?.strip_prefix(' '))?;
        Self::parse(country)
    }

    /// Its letters.
    pub fn as_str(&self) -> &str {
        // They are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_has_two_letters() {
        for (text, country) in [
            ("DE", Some("DE")),
            (" at ", Some("AT")),
            ("XX", None),
            ("T1", None),
            ("DEU", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(Country::parse(text).as_ref().map(Country::as_str), country, "{text}");
        }
    }

    #[test]
    fn a_time_zone_tells_a_country() {
        for (zone, country) in [
            ("Europe/Berlin", Some("DE")),
            ("Europe/Amsterdam", Some("NL")),
            ("Europe/Kiev", Some("UA")),
            ("Europe/Kyiv", Some("UA")),
            ("Asia/Calcutta", Some("IN")),
            ("America/Argentina/Buenos_Aires", Some("AR")),
            ("Africa/Asmera", Some("ER")),
            ("UTC", None),
            ("Europe", None),
            ("", None),
            ("#", None),
        ] {
            assert_eq!(Country::of_zone(zone).as_ref().map(Country::as_str), country, "{zone}");
        }
    }

    #[test]
    fn all_zones_can_be_read() {
        let lines: Vec<_> = ZONES.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 500 && lines.is_sorted());
        for line in lines {
            let (zone, country) = line.split_once(' ').expect("a zone and a country");
            assert_eq!(Country::of_zone(zone).map(|country| country.to_string()).as_deref(), Some(country), "{zone}");
        }
    }
}
