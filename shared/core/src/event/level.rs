//! Severity.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Severity of an event, from `TRACE` up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The finest detail.
    Trace,
    /// Details for debugging.
    Debug,
    /// Normal operation.
    Info,
    /// Something that may become an error.
    Warn,
    /// A failure.
    Error,
    /// A failure that ends the application, or that someone must act on now.
    Fatal,
}

/// The text is not the name of a [`Level`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a level: send TRACE, DEBUG, INFO, WARN, ERROR or FATAL")]
pub struct LevelError;

impl Level {
    /// All levels, the lowest severity first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// Every name that is understood, in upper case: the six of Tally first, then those of syslog, `java.util.logging`,
    /// log4j, winston, .NET and others.
    pub const NAMES: [(&'static str, Self); 24] = [
        ("TRACE", Self::Trace),
        ("DEBUG", Self::Debug),
        ("INFO", Self::Info),
        ("WARN", Self::Warn),
        ("ERROR", Self::Error),
        ("FATAL", Self::Fatal),
        ("FINEST", Self::Trace),
        ("FINER", Self::Trace),
        ("FINE", Self::Debug),
        ("VERBOSE", Self::Debug),
        ("CONFIG", Self::Debug),
        ("INFORMATION", Self::Info),
        ("INFORMATIONAL", Self::Info),
        ("NOTICE", Self::Info),
        ("WARNING", Self::Warn),
        ("ERR", Self::Error),
        ("SEVERE", Self::Error),
        ("CRIT", Self::Fatal),
        ("CRITICAL", Self::Fatal),
        ("ALERT", Self::Fatal),
        ("EMERG", Self::Fatal),
        ("EMERGENCY", Self::Fatal),
        ("PANIC", Self::Fatal),
        ("DPANIC", Self::Fatal),
    ];

    /// Its name, as it goes out.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// Its first letter, which names it in the attributes of counter items; never to change.
    pub const fn letter(self) -> char {
        match self {
            Self::Trace => 'T',
            Self::Debug => 'D',
            Self::Info => 'I',
            Self::Warn => 'W',
            Self::Error => 'E',
            Self::Fatal => 'F',
        }
    }

    /// The level of a [`Level::letter`].
    pub fn of_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.letter() == letter)
    }
}

impl FromStr for Level {
    type Err = LevelError;

    /// Reads any of [`Level::NAMES`], in any case.
    fn from_str(text: &str) -> Result<Self, LevelError> {
        let known = Self::NAMES.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        known.map(|(_, level)| level).ok_or(LevelError)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_other_loggers_are_understood_in_any_case() {
        for (level, names) in [
            (Level::Trace, "trace tRaCe finest finer"),
            (Level::Debug, "debug verbose fine config"),
            (Level::Info, "info information informational notice NOTICE"),
            (Level::Warn, "warn Warning"),
            (Level::Error, "error err severe"),
            (Level::Fatal, "fatal crit CRITICAL alert emerg emergency panic dpanic"),
        ] {
            for name in names.split(' ') {
                assert_eq!(name.parse(), Ok(level), "{name}");
            }
        }
        for text in ["", "loud", "3", "error ", "errors"] {
            assert_eq!(text.parse::<Level>(), Err(LevelError), "{text:?}");
        }
    }

    #[test]
    fn a_level_reads_its_own_name_and_no_name_is_listed_twice() {
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        let mut names = Level::NAMES.map(|(name, _)| name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_letter_names_one_level() {
        for level in Level::ALL {
            assert_eq!(Level::of_letter(level.letter()), Some(level));
        }
    }
}
