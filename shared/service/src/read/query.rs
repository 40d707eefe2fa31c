//! What a read is asked for.

use tally_core::event::filter::EventFilter;
use tally_core::event::id::EventId;
use tally_core::time::Range;
use tally_store::Order;

/// Which events to read.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// From when to when, by the app's clock.
    pub range: Range,
    /// Which of them.
    pub filter: EventFilter,
    /// In which order.
    pub order: Order,
    /// Go on after this identity.
    pub after: Option<EventId>,
    /// Leave out so many first.
    pub skip: usize,
    /// Give so many.
    pub limit: usize,
    /// Whether to see what was stored a moment ago.
    pub consistent: bool,
}
