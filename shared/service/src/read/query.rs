//! The parameters of a read.

use tally_core::event::filter::EventFilter;
use tally_core::event::id::EventId;
use tally_core::time::Range;
use tally_store::Order;

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
}

impl EventQuery {
    /// The newest events that match, eventually consistent.
    pub fn newest(range: Range, filter: EventFilter, limit: usize) -> Self {
        Self { range, filter, order: Order::Descending, after: None, skip: 0, limit, consistent: false }
    }
}
