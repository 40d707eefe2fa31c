//! Events of Umami's clients: whatever they are, no accepted event breaks a limit, and a second reading is the same.

#![no_main]

use fuzz::check;
use ingest::compat::umami::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(|| read(data).map_err(|problem| problem.to_string())));
