//! The requests of `PostHog`'s libraries, in every packing: whatever is sent, no accepted event breaks a limit, a second
//! sending is the same events, and packing changes nothing.

#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use fuzz::{app, now};
use ingest::compat::posthog::read;
use libfuzzer_sys::fuzz_target;
use tally_core::app::EventClock;
use tally_core::event::draft::Draft;
use tally_core::event::json::Json;
use tally_core::event::{MAX_DEPTH, MAX_MESSAGE, MAX_TEXT};
use tally_core::rejected::Refusal;

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    match form % 4 {
        0 => check(body),
        1 => {
            // A browser packs JSON; what is already packed is not unpacked twice.
            if body.trim_ascii_start().first() == Some(&b'{') {
                assert_eq!(events(&base64(&gzip(body))), events(body));
            }
        }
        2 => {
            let form: Vec<u8> = b"data=".iter().chain(body).copied().collect();
            check(&form);
        }
        _ => check(&base64(&gzip(body))),
    }
});

fn events(body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, String> {
    read(&[], body, now()).map_err(|problem| problem.to_string())
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(body).expect("memory takes it");
    packer.finish().expect("memory takes it")
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digits = [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift) as usize % 64]);
        digits.into_iter().take(chunk.len() + 1).collect::<Vec<_>>()
    };
    bytes.chunks(3).flat_map(group).collect()
}

fn check(body: &[u8]) {
    let sent = events(body);
    assert_eq!(sent, events(body), "a second sending");
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
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
