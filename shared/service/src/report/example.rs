//! One event of a group, which shows what the group is.

use tally_core::event::group::{Grouped, shown};
use tally_core::event::id::EventId;
use tally_core::time::Timestamp;

/// An event of a group: the newest of those that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// When it happened.
    pub at: Timestamp,
    /// Its identity.
    pub id: EventId,
    /// Its message, or its name if it has none.
    message: String,
    /// Its text mark; see [`group_of`](tally_core::event::group::group_of).
    mark: u64,
}

impl Example {
    /// Makes one of an event with a text mark.
    pub(super) fn new(at: Timestamp, id: EventId, name: &str, event: Grouped<'_>, mark: u64) -> Self {
        Self { at, id, message: event.message.unwrap_or(name).to_owned(), mark }
    }

    /// The message of its group if all messages are equal, which the sum of the marks of some occurrences tells; else the
    /// template.
    pub fn shown(&self, marks: i64, count: i64) -> String {
        shown(&self.message, marks == self.marks(count)).into_owned()
    }

    /// The sum of the marks of so many occurrences of it.
    pub(super) fn marks(&self, count: i64) -> i64 {
        i64::try_from(self.mark).unwrap_or(0).saturating_mul(count)
    }

    /// The bytes that its text takes.
    pub(super) fn weight(&self) -> usize {
        self.message.len()
    }
}
