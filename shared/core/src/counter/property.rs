//! Counted properties: the paths of `data` whose values the counters of an app count.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Most paths that an app counts.
pub const MOST_COUNTED: usize = 8;

/// The longest path, in bytes. Each counted value holds its path.
pub const MAX_PATH: usize = 64;

/// The longest value, in bytes of its JSON text, that is counted by itself. Longer ones count together.
pub const MAX_VALUE: usize = 256;

/// The paths that tell most about the pages of a website.
pub const WEB: [&str; 6] = ["path", "referrer_host", "country", "device", "browser", "utm_source"];

/// What names something else than a path of `data` where `data` has nothing there.
const FIELDS: [&str; 7] = ["name", "slug", "category", "level", "message", "session_id", "user_id"];

/// A path of `data`, 1 to 64 bytes: keys from the top down, joined with dots.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CountedPath(Arc<str>);

/// A text that is no path whose values can be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "send paths of `data` of 1 to {MAX_PATH} bytes, e.g. `plan` or `user.plan`: no field of an event, nothing in its tags, and \
     no control characters"
)]
pub struct CountedPathError;

impl CountedPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Where it is empty or too long, or names a field or a tag.
    pub fn parse(text: &str) -> Result<Self, CountedPathError> {
        let is_good = (1..=MAX_PATH).contains(&text.len())
            && !FIELDS.contains(&text)
            && !text.starts_with("tags.")
            && !text.chars().any(char::is_control);
        if is_good { Ok(Self(text.into())) } else { Err(CountedPathError) }
    }

    /// It as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<CountedPath> for String {
    fn from(path: CountedPath) -> Self {
        path.as_str().to_owned()
    }
}

impl TryFrom<String> for CountedPath {
    type Error = CountedPathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl fmt::Display for CountedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CountedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// What an event has at a counted path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The path.
    pub path: CountedPath,
    /// The JSON text of the value: `null` where there is none. None if it is longer than [`MAX_VALUE`].
    pub value: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_of_data() {
        for path in WEB.into_iter().chain(["user.plan", "a|b", "tags", "names", &"x".repeat(MAX_PATH)]) {
            assert_eq!(CountedPath::parse(path).map(|path| path.as_str().to_owned()), Ok(path.to_owned()));
        }
        for path in ["", "user_id", "tags.release", "a\nb", &"x".repeat(MAX_PATH + 1)] {
            assert_eq!(CountedPath::parse(path), Err(CountedPathError), "{path}");
        }
    }
}
