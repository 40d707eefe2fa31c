//! The requests of `PostHog`'s libraries, in every packing: whatever is sent, no accepted event breaks a limit, a second
//! sending is the same events, and packing changes nothing.

#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use fuzz::{check, now};
use ingest::compat::posthog::read;
use libfuzzer_sys::fuzz_target;
use tally_core::event::draft::Draft;
use tally_core::rejected::Refusal;

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    match form % 4 {
        0 => check(|| events(body)),
        1 => {
            // A browser packs JSON; what is already packed is not unpacked twice.
            if body.trim_ascii_start().first() == Some(&b'{') {
                assert_eq!(events(&base64(&gzip(body))), events(body));
            }
        }
        2 => {
            let form: Vec<u8> = b"data=".iter().chain(body).copied().collect();
            check(|| events(&form));
        }
        _ => {
            let packed = base64(&gzip(body));
            check(|| events(&packed));
        }
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
