//! Streams of lines for Loki, as protobuf and JSON: whatever they are, no accepted event breaks a limit, and a second sending is
//! the same events.

#![no_main]

use fuzz::check;
use ingest::compat::loki::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    check(|| read(form % 2 == 1, body).map_err(|problem| problem.to_string()));
});
