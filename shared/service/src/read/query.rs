//! The parameters of a read.

use tally_core::event::filter::EventFilter;
use tally_core::event::id::EventId;
use tally_core::time::{Range, Timestamp};
use tally_store::Order;

use crate::reads::Part;

/// Which events to read.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// The time range, by the app's clock.
    pub range: Range,
    /// The filter.
    pub filter: EventFilter,
    /// The order.
    pub order: Order,
    /// Continue after this identity.
    pub after: Option<EventId>,
    /// The number of events to skip first.
    pub skip: usize,
    /// The number of events to return.
    pub limit: usize,
    /// Whether to include events that were stored a moment ago.
    pub consistent: bool,
    /// Includes every event of this time or later that was stored before, although the counters may not know it yet: those
    /// events are read strongly, as are the counters that locate earlier ones.
    pub live_from: Option<Timestamp>,
    /// The part of the read budget that it may take; none of all that is left.
    pub part: Option<Part>,
}

impl EventQuery {
    /// The newest events that match, eventually consistent.
    pub fn newest(range: Range, filter: EventFilter, limit: usize) -> Self {
        Self {
            range,
            filter,
            order: Order::Descending,
            after: None,
            skip: 0,
            limit,
            consistent: false,
            live_from: None,
            part: None,
        }
    }
}
