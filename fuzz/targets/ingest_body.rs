//! The body of `POST /apps/{app}/events`: its forms and encodings agree, and no accepted event breaks a limit or changes
//! when it is sent again.

#![no_main]

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use fuzz::{app, now, within_limits};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use ingest::body::{Drafts, Sent, decompress};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tally_core::app::EventClock;
use tally_core::app::layout::MAX_AHEAD;
use tally_core::event::draft::Draft;
use tally_core::event::json::Json;
use tally_core::event::{Event, MAX_COUNT};
use tally_core::time::Timestamp;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    match form % 6 {
        0 => {
            check(sent(JSON, "", body));
            lists_agree(body);
        }
        1 => check(sent(NDJSON, "", body)),
        2 => check(sent(JSON, "gzip", body)),
        3 => check(sent(NDJSON, "zstd", body)),
        4 => {
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            packer.write_all(body).expect("memory takes it");
            assert_eq!(sent(JSON, "gzip", &packer.finish().expect("memory takes it")), sent(JSON, "", body));
        }
        _ => {
            let packed = zstd::encode_all(body, 1).expect("memory takes it");
            assert_eq!(sent(NDJSON, "zstd", &packed), sent(NDJSON, "", body));
        }
    }
});

/// What was read of a body.
#[derive(Debug, PartialEq)]
struct Read {
    /// Each event, or all that is known of why it is none.
    drafts: Vec<Result<Draft, String>>,
    alone: bool,
}

fn sent(kind: &'static str, encoding: &'static str, body: &[u8]) -> Result<Read, String> {
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_ENCODING, HeaderValue::from_static(encoding)),
    ]);
    let body = decompress(&headers, Bytes::copy_from_slice(body)).map_err(|problem| problem.to_string())?;
    let sent = Sent::split(&headers, &body).map_err(|problem| problem.to_string())?;
    let drafts = (0..sent.count()).map(|index| sent.read(index).map_err(|error| format!("{error:?}"))).collect();
    Ok(Read { drafts, alone: sent.alone().is_some() })
}

/// A list and the same events line by line are read alike.
fn lists_agree(body: &[u8]) {
    let Ok(events) = serde_json::from_slice::<Vec<&RawValue>>(body) else { return };
    if events.is_empty() || events.iter().any(|event| event.get().contains('\n')) {
        return;
    }
    let lines: Vec<_> = events.iter().map(|event| event.get()).collect();
    assert_eq!(sent(NDJSON, "", lines.join("\n").as_bytes()), sent(JSON, "", body));
}

fn check(sent: Result<Read, String>) {
    let Ok(Read { drafts, alone }) = sent else { return };
    assert!((1..=1_000).contains(&drafts.len()) && !(alone && drafts.len() > 1));
    for draft in drafts.into_iter().flatten() {
        for clock in [EventClock::Event, EventClock::Received] {
            if let Ok(event) = draft.clone().accept(&app(clock), now()) {
                within_limits(&event);
                is_counted_and_placed(&event, clock);
                is_itself_when_sent_again(&event, &draft, clock);
            }
        }
    }
}

fn is_counted_and_placed(event: &Event, clock: EventClock) {
    assert!(!event.slug.is_empty(), "{event:?}");
    assert!((1..=MAX_COUNT).contains(&event.count), "{event:?}");
    assert!(Timestamp::EPOCH <= event.timestamp && event.timestamp <= now() + MAX_AHEAD, "{event:?}");
    assert_eq!(event.id.at().millis(), event.at(clock).millis(), "{event:?}");
}

fn is_itself_when_sent_again(event: &Event, draft: &Draft, clock: EventClock) {
    let mut fields = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            fields.push(format!("\"{name}\":{value}"));
        }
    };
    let text = |text: &str| serde_json::to_string(text).expect("a text");
    let free = |json: &Json| serde_json::to_string(json).expect("a value");
    say("id", event.client_id.as_deref().map(text));
    say("name", Some(text(&event.name)));
    say("slug", draft.slug.as_deref().map(text));
    say("category", event.category.as_deref().map(text));
    say("level", event.level.map(|level| text(&level.to_string())));
    say("message", event.message.as_deref().map(text));
    say("session_id", event.session_id.as_deref().map(text));
    say("user_id", event.user_id.as_deref().map(text));
    say("timestamp", Some(text(&event.timestamp.to_string())));
    say("count", Some(event.count.to_string()));
    say("data", event.data.as_ref().map(free));
    say("tags", event.tags.as_ref().map(free));
    say("stack", event.stack.as_ref().map(free));
    let again = sent(JSON, "", format!("{{{}}}", fields.join(",")).as_bytes()).expect("an event");
    let again = again.drafts.into_iter().next().expect("one").expect("a draft");
    let mut again = again.accept(&app(clock), now()).expect("what was accepted is accepted");
    if event.client_id.is_none() || clock == EventClock::Received {
        again.id = event.id;
    }
    assert_eq!(again, *event);
}
