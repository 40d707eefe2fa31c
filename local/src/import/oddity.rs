//! What of a line is not understood or too large, and is kept in another form: never a reason to drop the line.

use std::collections::HashSet;
use std::fmt;

use tally_core::event::{MAX_DEPTH, MAX_EVENT, MAX_MESSAGE, MAX_TEXT};

/// Something odd in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// A level of no known name or number.
    Level(String),
    /// A time in no known form.
    Time(String),
    /// A message that is cut.
    LongMessage(usize),
    /// A text that is cut or moved.
    LongText(&'static str),
    /// A field whose value is of another type.
    Type(&'static str),
    /// A count that is not a number that Tally takes.
    Count(String),
    /// A number beyond what a database holds.
    LargeNumber,
    /// Lists and maps nested too deep.
    DeepNesting,
    /// Bytes that are not UTF-8.
    Encoding,
    /// A key that an object has twice.
    RepeatedKey(String),
    /// A key of no letters.
    EmptyKey,
    /// An escape that stands for no text.
    Escape,
    /// An event larger than Tally takes.
    LargeEvent,
    /// A line longer than the importer reads.
    LongLine(u64),
    /// A line that is not of the format that was asked for.
    Format(&'static str),
}

impl Oddity {
    /// What kind of oddity it is; each is warned of once.
    fn kind(&self) -> String {
        match self {
            Self::LongText(field) | Self::Type(field) => format!("{:?}{field}", std::mem::discriminant(self)),
            other => format!("{:?}", std::mem::discriminant(other)),
        }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(f, "the level {level} is not understood: kept in `data`"),
            Self::Time(time) => {
                write!(f, "the time {time} is not understood: kept in `data`; the line gets the time of the one before")
            }
            Self::LongMessage(bytes) => {
                write!(f, "a message of {bytes} bytes is cut to {MAX_MESSAGE}: the whole is in `data.message`")
            }
            Self::LongText("name") => {
                write!(f, "a `name` longer than {MAX_TEXT} bytes is cut: the whole is in `data.name`")
            }
            Self::LongText(field) => write!(f, "a `{field}` longer than {MAX_TEXT} bytes is kept in `data`"),
            Self::Type(field) => write!(f, "a `{field}` of another type than text is kept in `data`"),
            Self::Count(count) => write!(f, "the count {count} is not a whole number from 1 to 1,000,000,000: kept in `data`"),
            Self::LargeNumber => f.write_str("a number of more than 38 digits or beyond ±1e125 is kept as text"),
            Self::DeepNesting => write!(f, "what is nested deeper than {MAX_DEPTH} levels is kept as text"),
            Self::Encoding => f.write_str(
                "a line is not UTF-8: what cannot be read becomes `\u{fffd}`, and `data.undecoded` has the line with escapes",
            ),
            Self::RepeatedKey(key) => write!(f, "the key `{key}` is repeated: the second is kept as `{key} (2)`"),
            Self::EmptyKey => f.write_str("an empty key is kept as `(empty)`"),
            Self::Escape => f.write_str("an escape that stands for no character is kept as it is written"),
            Self::LargeEvent => {
                write!(f, "an event larger than {MAX_EVENT} bytes is cut: `data.line` has the beginning of the line")
            }
            Self::LongLine(bytes) => write!(f, "a line of {bytes} bytes is cut: `data.line` has its beginning"),
            Self::Format(name) => write!(f, "a line is not of the format {name}: it is kept as plain text"),
        }
    }
}

/// The oddities of one line.
#[derive(Debug, Default)]
pub(super) struct Oddities(Vec<Oddity>);

impl Oddities {
    /// Notes one; of each kind the first.
    pub(super) fn add(&mut self, oddity: Oddity) {
        if !self.0.iter().any(|other| other.kind() == oddity.kind()) {
            self.0.push(oddity);
        }
    }

    pub(super) fn list(&self) -> &[Oddity] {
        &self.0
    }
}

/// Which kinds were warned of.
#[derive(Debug, Default)]
pub(super) struct Warned(HashSet<String>);

impl Warned {
    /// Whether this is the first of its kind.
    pub(super) fn first(&mut self, oddity: &Oddity) -> bool {
        self.0.insert(oddity.kind())
    }
}
