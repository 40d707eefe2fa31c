//! What the targets share: an app, and the time.

use tally_core::app::layout::Layout;
use tally_core::app::{App, EventClock};
use tally_core::time::Timestamp;

/// When everything happens: a Saturday.
pub fn now() -> Timestamp {
    "2026-11-21T10:08:25.123456Z".parse().expect("a time")
}

/// An app that keeps events for ever.
pub fn app(clock: EventClock) -> App {
    App::new("shop", clock, Layout::new(1, None), now()).expect("a name")
}
