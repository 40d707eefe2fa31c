//! Cursors: as any text, and as any content behind a right checksum, which keeps out accidents and no intent.

#![no_main]

use std::sync::Once;

use fuzz::{app, now};
use libfuzzer_sys::fuzz_target;
use query::{AskedList, Cursor};
use tally_core::app::EventClock;
use tally_core::digest::sha256;
use tally_core::event::id::EventId;
use tally_core::time::{MICROSECOND, Range, Timestamp};
use tally_http::parameters::SentParams;

static SEAL_IS_RIGHT: Once = Once::new();

fuzz_target!(|data: &[u8]| {
    SEAL_IS_RIGHT.call_once(assert_seal);
    let Some((form, content)) = data.split_first() else { return };
    let text = match form % 2 {
        0 => match std::str::from_utf8(content) {
            Ok(text) => text.to_owned(),
            Err(_) => return,
        },
        _ => seal(content),
    };
    let app = app(EventClock::Event);
    let Ok(cursor) = Cursor::decode(&text, &app.id) else { return };
    assert_eq!(Cursor::decode(&cursor.encode(), &app.id).as_ref(), Ok(&cursor));
    if let Ok(AskedList { query, .. }) = AskedList::read(Some(&format!("cursor={text}")), &app, now()) {
        assert!((1..=1_000).contains(&query.limit) && query.skip <= 10_000, "{query:?}");
        assert!(Timestamp::EPOCH <= query.range.since() && query.range.since() <= query.range.until(), "{query:?}");
        assert!(query.range.until() <= Timestamp::MAX, "{query:?}");
        assert_eq!(query.after, Some(cursor.after));
    }
});

/// The text of a cursor of any content.
fn seal(content: &[u8]) -> String {
    let check = sha256(&[b"tally cursor 1", content].concat());
    let mut bytes = content.to_vec();
    bytes.extend_from_slice(&check[..8]);
    base64(&bytes)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letters = bytes.chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().chain([&0, &0]).take(3).fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        (0..=chunk.len()).map(move |place| char::from(LETTERS[bits >> (18 - 6 * place) & 63]))
    });
    letters.collect()
}

/// Were the checksum another one, no content would ever be read here.
fn assert_seal() {
    let cursor = Cursor {
        app: "shop".to_owned(),
        params: SentParams::new(),
        range: Range::new(Timestamp::EPOCH, Timestamp::EPOCH + MICROSECOND).expect("in order"),
        after: EventId::first_at(now()),
        skip: 0,
        limit: 50,
    };
    assert_eq!(seal(&serde_json::to_vec(&cursor).expect("JSON")), cursor.encode());
}
