//! Source maps: what names one, and how much of them an app may keep.

use std::fmt;

use uuid::Uuid;

use crate::time::{DAY, TimeDelta};

/// How long a source map stays after it was uploaded last.
pub const KEEP: TimeDelta = TimeDelta::seconds(90 * DAY.as_seconds());
/// Most source maps of an app.
pub const MAX_MAPS: usize = 2_000;
/// Most bytes of an app's source maps, as they are stored.
pub const MAX_STORED: u64 = 1 << 30;
/// Largest bundle of an upload, in bytes.
pub const MAX_BUNDLE: usize = 64 << 20;
/// Largest source map, and largest minified file, in bytes when unpacked.
pub const MAX_MAP: usize = 32 << 20;
/// Most bytes of all files of a bundle when unpacked: what one request has the time for.
pub const MAX_UNPACKED: usize = 192 << 20;

/// A debug id: a UUID that a minified file and its source map have in common. Its text is in lower case, with dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DebugId(Uuid);

impl DebugId {
    /// Reads a UUID of 32 hexadecimal digits, in any case, with dashes or without. What follows, as some tools add an age, makes
    /// it none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = matches!(text.len(), 32 | 36);
        Uuid::try_parse(text).ok().filter(|_| is_plain).map(Self)
    }
}

impl fmt::Display for DebugId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_id_has_one_spelling() {
        let normal = "216afa31-0255-52e5-a4a2-f739258241b5";
        for sent in [normal, "216AFA31-0255-52E5-A4A2-F739258241B5", "216afa31025552e5a4a2f739258241b5"] {
            assert_eq!(DebugId::parse(sent).map(|id| id.to_string()).as_deref(), Some(normal), "{sent}");
        }
        let wrong = ["", "216afa31", "../216afa31025552e5a4a2f7392582", "{216afa31-0255-52e5-a4a2-f739258241b5}"];
        for sent in wrong.into_iter().chain(["216afa31-0255-52e5-a4a2-f739258241b5-1"]) {
            assert_eq!(DebugId::parse(sent), None, "{sent}");
        }
    }
}
