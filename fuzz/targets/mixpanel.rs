//! The requests of Mixpanel's libraries: whatever is sent, no accepted event breaks a limit, and a second sending is the
//! same events.

#![no_main]

use fuzz::check;
use ingest::compat::mixpanel::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    let path = ["/track", "/import", "/engage", "/groups"][usize::from(form % 4)];
    let packed: Vec<u8> = if form % 8 < 4 { body.to_vec() } else { b"data=".iter().chain(body).copied().collect() };
    check(|| read(path, &packed).map_err(|problem| problem.to_string()));
});
