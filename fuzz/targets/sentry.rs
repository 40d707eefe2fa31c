//! What Sentry's SDKs send: whatever it is, no accepted event breaks a limit, and a second sending is the same events.

#![no_main]

use fuzz::{app, now};
use ingest::compat::sentry::read;
use libfuzzer_sys::fuzz_target;
use tally_core::app::EventClock;
use tally_core::event::json::Json;
use tally_core::event::{MAX_DEPTH, MAX_MESSAGE, MAX_TEXT};

fuzz_target!(|data: &[u8]| {
    let Some((endpoint, body)) = data.split_first() else { return };
    let endpoint = ["envelope", "envelope", "store", "security"][usize::from(endpoint % 4)];
    let sent = read(endpoint, body, now());
    assert_eq!(sent, read(endpoint, body, now()), "a second sending");
    for draft in sent.into_iter().flatten().flatten() {
        let Ok(event) = draft.accept(&app(EventClock::Event), now()) else { continue };
        let texts = [&event.client_id, &event.category, &event.session_id, &event.user_id, &event.fingerprint];
        for text in texts.into_iter().flatten().chain([&event.name]) {
            assert!((1..=MAX_TEXT).contains(&text.len()), "{event:?}");
        }
        assert!(event.message.as_ref().is_none_or(|message| (1..=MAX_MESSAGE).contains(&message.len())), "{event:?}");
        for free in [&event.data, &event.tags, &event.stack].into_iter().flatten() {
            assert!(depth(free) <= MAX_DEPTH, "{event:?}");
        }
    }
});

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
