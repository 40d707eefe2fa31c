//! Reports and statistics, from counters.

pub mod by_group;
pub mod count;
pub mod distinct;
pub mod example;
pub mod from_events;
pub mod group_counts;
mod group_search;
pub mod prices;
pub mod run_time;
pub mod session_total;
pub mod tail;
pub mod top_messages;
pub mod usage;
pub(crate) mod windows;
