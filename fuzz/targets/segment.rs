//! The calls of Segment's and `RudderStack`'s libraries: whatever is sent, no accepted event breaks a limit, and a second
//! sending is the same events.

#![no_main]

use fuzz::check;
use ingest::compat::segment::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    let path = ["/v1/batch", "/v1/track", "/v1/page", "/v1/identify", "/v1/group", "/v1/alias", "/v1/t"]
        [usize::from(kind % 7)];
    check(|| read(path, body).map_err(|problem| problem.to_string()));
});
