//! Reports and statistics, from counters.

pub mod count;
pub mod from_events;
pub mod top_messages;
