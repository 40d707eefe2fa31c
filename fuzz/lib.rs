//! What the targets share: an app, the time, and what holds for the records of every client library.

use std::fmt::Debug;

use tally_core::app::layout::Layout;
use tally_core::app::{App, EventClock};
use tally_core::event::draft::Draft;
use tally_core::event::json::Json;
use tally_core::event::{Event, MAX_DEPTH, MAX_MESSAGE, MAX_TEXT};
use tally_core::rejected::Refusal;
use tally_core::time::Timestamp;

/// When everything happens: a Saturday.
pub fn now() -> Timestamp {
    "2026-11-21T10:08:25.123456Z".parse().expect("a time")
}

/// An app that keeps events for ever.
pub fn app(clock: EventClock) -> App {
    App::new("shop", clock, Layout::new(1, None), now()).expect("a name")
}

/// Checks what a decoder of a client library makes of a body: a second sending is the same events, and no accepted event
/// breaks a limit.
///
/// # Panics
/// Where it does not hold.
pub fn check<E: Debug + PartialEq>(read: impl Fn() -> Result<Vec<Result<Draft, Refusal>>, E>) {
    let sent = read();
    assert_eq!(sent, read(), "a second sending");
    for draft in sent.into_iter().flatten().flatten() {
        if let Ok(event) = draft.accept(&app(EventClock::Event), now()) {
            within_limits(&event);
        }
    }
}

/// Checks the texts and the free fields of an accepted event.
///
/// # Panics
/// Where one is beyond its limit.
pub fn within_limits(event: &Event) {
    let texts =
        [&event.client_id, &event.category, &event.session_id, &event.user_id, &event.alias, &event.fingerprint];
    for text in texts.into_iter().flatten().chain([&event.name]) {
        assert!((1..=MAX_TEXT).contains(&text.len()), "{event:?}");
    }
    assert!(event.message.as_ref().is_none_or(|message| (1..=MAX_MESSAGE).contains(&message.len())), "{event:?}");
    for free in [&event.data, &event.tags, &event.stack].into_iter().flatten() {
        assert!(depth(free) <= MAX_DEPTH, "{event:?}");
    }
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
