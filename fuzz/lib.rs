//! What the targets share: an app, and the time.

use tally_core::app::{App, AppId, AppSlug, AppState, EventClock};
use tally_core::app::layout::Layout;
use tally_core::time::Timestamp;

/// When everything happens: a Saturday.
pub fn now() -> Timestamp {
    "2026-11-21T10:08:25.123456Z".parse().expect("a time")
}

/// An app that keeps events for ever.
pub fn app(clock: EventClock) -> App {
    let slug = AppSlug::of_name("shop").expect("a name");
    App {
        id: AppId::new(&slug, 1),
        slug,
        generation: 1,
        name: "shop".to_owned(),
        clock,
        layout: Layout::new(1, None),
        created_at: now(),
        events_per_minute: None,
        keys: vec![],
        state: AppState::Active,
        deleting_since: None,
    }
}
