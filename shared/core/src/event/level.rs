//! How grave an event is.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How grave an event is, from [`Level::Trace`] up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The finest detail.
    Trace,
    /// For who debugs.
    Debug,
    /// What goes as it should.
    Info,
    /// What may become an error; `WARNING` is understood.
    Warn,
    /// What failed.
    Error,
    /// What ended the application; `CRITICAL` is understood.
    Fatal,
}

/// Why a text is no [`Level`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a level: send TRACE, DEBUG, INFO, WARN, ERROR or FATAL")]
pub struct LevelError;

impl Level {
    /// All levels, the least grave first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

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

    fn from_str(text: &str) -> Result<Self, LevelError> {
        match text.to_ascii_uppercase().as_str() {
            "WARNING" => Ok(Self::Warn),
            "CRITICAL" => Ok(Self::Fatal),
            upper => Self::ALL.into_iter().find(|level| level.as_str() == upper).ok_or(LevelError),
        }
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
    fn any_case_and_two_other_words_are_understood() {
        for (text, level) in
            [("error", Level::Error), ("Warning", Level::Warn), ("CRITICAL", Level::Fatal), ("tRaCe", Level::Trace)]
        {
            assert_eq!(text.parse(), Ok(level));
        }
        assert!("NOTICE".parse::<Level>().is_err());
    }

    #[test]
    fn a_letter_names_one_level() {
        for level in Level::ALL {
            assert_eq!(Level::of_letter(level.letter()), Some(level));
        }
    }
}
