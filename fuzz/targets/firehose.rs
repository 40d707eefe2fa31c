//! Deliveries of Amazon Data Firehose: whatever they are, no accepted event breaks a limit, and a second sending is the same events.

#![no_main]

use fuzz::check;
use ingest::compat::firehose::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(|| read(data).map_err(|problem| problem.to_string())));
