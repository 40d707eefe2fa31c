//! What Sentry's SDKs send: whatever it is, no accepted event breaks a limit, and a second sending is the same events.

#![no_main]

use fuzz::{check, now};
use ingest::compat::sentry::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((endpoint, body)) = data.split_first() else { return };
    let endpoint = ["envelope", "envelope", "store", "security"][usize::from(endpoint % 4)];
    check(|| read(endpoint, body, now()));
});
