//! Events and lines for Splunk's HTTP Event Collector: whatever they are, no accepted event breaks a limit, and a second
//! sending is the same events.

#![no_main]

use fuzz::check;
use ingest::compat::splunk::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    let path = ["/services/collector", "/services/collector/raw"][usize::from(*form) % 2];
    check(|| read(path, body).map_err(|problem| problem.to_string()));
});
