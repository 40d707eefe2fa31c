//! Lengths of time in whole minutes, as `5m`, `2h`, `1d` or `1w`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::{MINUTE, TimeDelta};

/// Most digits of a length.
const MOST_DIGITS: usize = 5;
/// The units, the longest first, with what they are called.
const UNITS: [(char, u32, &str, &str); 4] =
    [('w', 7 * 24 * 60, "week", "weeks"), ('d', 24 * 60, "day", "days"), ('h', 60, "h", "h"), ('m', 1, "min", "min")];

/// A number of minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minutes(pub u32);

/// The text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time: send whole minutes, hours, days or weeks, such as `5m`, `2h`, `1d` or `1w`")]
pub struct MinutesError;

impl Minutes {
    /// An hour.
    pub const HOUR: Self = Self(60);
    /// A day of 24 hours.
    pub const DAY: Self = Self(24 * 60);
    /// A week.
    pub const WEEK: Self = Self(7 * 24 * 60);

    /// The same as a length of time.
    pub fn length(self) -> TimeDelta {
        i64::from(self.0) * MINUTE
    }

    /// In words: `5 min`, `2 h`, `1 day`.
    pub fn words(self) -> String {
        let (n, (_, _, one, many)) = self.in_units();
        format!("{n} {}", if n == 1 { one } else { many })
    }

    /// How many of which unit: of the longest that divides it.
    fn in_units(self) -> (u32, (char, u32, &'static str, &'static str)) {
        let last = UNITS[UNITS.len() - 1];
        let unit = UNITS.into_iter().find(|(_, minutes, ..)| self.0 > 0 && self.0.is_multiple_of(*minutes));
        let unit = unit.unwrap_or(last);
        (self.0 / unit.1, unit)
    }
}

impl FromStr for Minutes {
    type Err = MinutesError;

    fn from_str(text: &str) -> Result<Self, MinutesError> {
        let unit = text.chars().next_back().and_then(|last| UNITS.into_iter().find(|(letter, ..)| *letter == last));
        let (letter, minutes, ..) = unit.ok_or(MinutesError)?;
        let digits = text.strip_suffix(letter).unwrap_or_default();
        if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MinutesError);
        }
        let n: u32 = digits.parse().map_err(|_| MinutesError)?;
        n.checked_mul(minutes).map(Self).ok_or(MinutesError)
    }
}

impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, (letter, ..)) = self.in_units();
        write!(f, "{n}{letter}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_whole_minutes() {
        for (text, minutes, words) in [
            ("5m", 5, "5 min"),
            ("2h", 120, "2 h"),
            ("1d", 1_440, "1 day"),
            ("3d", 3 * 1_440, "3 days"),
            ("1w", 10_080, "1 week"),
            ("0m", 0, "0 min"),
        ] {
            let read: Minutes = text.parse().expect("a length");
            assert_eq!((read.0, read.to_string().as_str(), read.words().as_str()), (minutes, text, words));
        }
        for bad in ["", "5", "m", "-5m", "5s", "1.5h", "999999w", "1000000m", "5 m", "５m"] {
            assert_eq!(bad.parse::<Minutes>(), Err(MinutesError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_length_reads_back(minutes in 0u32..100_000) {
            prop_assert_eq!(Minutes(minutes).to_string().parse(), Ok(Minutes(minutes)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,12}") {
            let _ = text.parse::<Minutes>();
        }
    }
}
