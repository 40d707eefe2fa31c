//! Events: what happened, when, and the limits on what may be sent.

pub mod draft;
pub mod filter;
pub mod group;
pub mod id;
pub mod json;
pub mod level;
pub mod template;

use crate::app::EventClock;
use crate::counter::cell::Cell;
use crate::event::group::Grouped;
use crate::event::id::EventId;
use crate::event::json::Json;
use crate::event::level::Level;
use crate::time::Timestamp;

/// Longest `id`, `name`, `slug`, `category`, `session_id`, `user_id` and `fingerprint`, in bytes.
pub const MAX_TEXT: usize = 256;
/// Longest `message`, in bytes.
pub const MAX_MESSAGE: usize = 8 * 1024;
/// Largest `count`.
pub const MAX_COUNT: u64 = 1_000_000_000;
/// Deepest `data`, `tags` and `stack`, in levels.
pub const MAX_DEPTH: usize = 16;
/// Largest event as sent, in bytes of JSON.
pub const MAX_EVENT: usize = 256 * 1024;
/// Most JSON values of an event: lists, maps, texts, numbers, booleans and nulls, at any depth.
pub const MAX_VALUES: usize = 10_000;

/// The name of an event that has a message alone.
pub const LOG: &str = "log";
/// The name of a native event that tells who somebody is: `data.anonymous_id` names the same person as its `user_id`.
pub const IDENTIFY: &str = "$identify";

/// An accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its identity; names its time to the millisecond.
    pub id: EventId,
    /// The client's own id, as sent.
    pub client_id: Option<String>,
    /// What happened.
    pub name: String,
    /// The machine id of the name.
    pub slug: String,
    /// What kind of thing happened.
    pub category: Option<String>,
    /// Its severity.
    pub level: Option<Level>,
    /// A text for people.
    pub message: Option<String>,
    /// The session it happened in.
    pub session_id: Option<String>,
    /// The user it happened to.
    pub user_id: Option<String>,
    /// Another id of the same user, under which other events may name them, such as the one before they signed in. It is never the
    /// `user_id` itself. Without a `user_id` it is the id of somebody who is no user yet, and may become one.
    pub alias: Option<String>,
    /// What groups it with events of the same cause, by the client.
    pub fingerprint: Option<String>,
    /// When it happened, as the client said.
    pub timestamp: Timestamp,
    /// When Tally accepted it.
    pub received_at: Timestamp,
    /// How many occurrences it stands for.
    pub count: u64,
    /// Attributes of the event, to filter and group by.
    pub data: Option<Json>,
    /// Labels of the sender, such as release or host.
    pub tags: Option<Json>,
    /// A stack trace, or what else helps to find the cause.
    pub stack: Option<Json>,
}

#[cfg(test)]
impl Event {
    /// One that says nothing but its name, for tests.
    pub(crate) fn bare() -> Self {
        Self {
            id: EventId::first_at(Timestamp::EPOCH),
            client_id: None,
            name: "a".into(),
            slug: "b".into(),
            category: None,
            level: None,
            message: None,
            session_id: None,
            user_id: None,
            alias: None,
            fingerprint: None,
            timestamp: Timestamp::EPOCH,
            received_at: Timestamp::EPOCH,
            count: 1,
            data: None,
            tags: None,
            stack: None,
        }
    }
}

impl Event {
    /// The time that orders and filters it in an app of this clock; its id names the same millisecond.
    pub fn at(&self, clock: EventClock) -> Timestamp {
        match clock {
            EventClock::Event => self.timestamp,
            EventClock::Received => self.received_at,
        }
    }

    /// What decides its group.
    pub fn grouped(&self) -> Grouped<'_> {
        Grouped { fingerprint: self.fingerprint.as_deref(), message: self.message.as_deref() }
    }

    /// The cell that counts it.
    pub fn cell(&self) -> Cell {
        Cell { name: self.name.clone(), slug: self.slug.clone(), category: self.category.clone(), level: self.level }
    }
}
