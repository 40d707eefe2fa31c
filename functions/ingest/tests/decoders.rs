//! The decoders of client libraries over damaged requests: none panics, and a second reading is the same. A short form of the
//! fuzz targets, whose seeds it damages.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test that panics has failed

use std::fs;
use std::path::Path;

use ingest::compat::{
    amplitude, aptabase, cloud_events, elastic, loki, mixpanel, otlp, plausible, posthog, segment, sentry, splunk,
    umami,
};
use tally_core::event::draft::Draft;
use tally_core::rejected::Refusal;
use tally_core::time::Timestamp;

type Read = Result<Vec<Result<Draft, Refusal>>, String>;

const NOW: Timestamp = Timestamp::from_micros(1_795_255_705_123_456);
/// How often each seed is damaged.
const TIMES: usize = 300;

/// The numbers of a linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

/// A body with some bytes changed, repeated or cut out.
fn damaged(seed: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut body = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let (from, to) = (numbers.below(body.len()), numbers.below(body.len()));
        let (from, to) = (from.min(to), from.max(to));
        match numbers.below(5) {
            0 => drop(body.drain(from..to)),
            1 => {
                let part = body[from..to].to_vec();
                body.splice(to..to, part);
            }
            2 => body.truncate(to),
            3 if !body.is_empty() => body[from] = b"\"{}[],:\\0e-.\x00\x01\x80\xff"[numbers.below(16)],
            _ if !body.is_empty() => body[from] = u8::try_from(numbers.below(256)).unwrap(),
            _ => {}
        }
    }
    body
}

fn check(target: &str, read: impl Fn(&[u8]) -> Read) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut numbers = Numbers(20_261_121);
    let mut seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty());
    let mut drafts = 0;
    for seed in seeds {
        let seed = fs::read(seed).unwrap();
        for _ in 0..TIMES {
            let body = damaged(&seed, &mut numbers);
            let first = read(&body);
            assert_eq!(first, read(&body), "{}", String::from_utf8_lossy(&body));
            drafts += first.into_iter().flatten().flatten().count();
        }
    }
    assert!(drafts > 0, "some remain events");
}

/// The first byte chooses the form, as in the fuzz targets.
fn split(body: &[u8]) -> (usize, &[u8]) {
    body.split_first().map_or((0, body), |(first, rest)| (usize::from(*first), rest))
}

#[test]
fn sentry_survives() {
    check("sentry", |body| {
        let (form, body) = split(body);
        sentry::read(["envelope", "envelope", "store", "security"][form % 4], body, NOW).map_err(|e| e.to_string())
    });
}

#[test]
fn posthog_survives() {
    check("posthog", |body| posthog::read(&[], split(body).1, NOW).map_err(|e| e.to_string()));
}

#[test]
fn mixpanel_survives() {
    check("mixpanel", |body| {
        let (form, body) = split(body);
        mixpanel::read(["/track", "/import", "/engage", "/groups"][form % 4], body).map_err(|e| e.to_string())
    });
}

#[test]
fn segment_survives() {
    check("segment", |body| {
        let (form, body) = split(body);
        segment::read(["/v1/batch", "/v1/track", "/v1/page"][form % 3], body).map_err(|e| e.to_string())
    });
}

#[test]
fn otlp_survives() {
    check("otlp", |body| {
        let (form, body) = split(body);
        otlp::read(form % 2 == 1, body).map_err(|e| e.to_string())
    });
}

#[test]
fn splunk_survives() {
    check("splunk", |body| {
        let (form, body) = split(body);
        splunk::read(["/services/collector", "/services/collector/raw"][form % 2], body).map_err(|e| e.to_string())
    });
}

#[test]
fn loki_survives() {
    check("loki", |body| {
        let (form, body) = split(body);
        loki::read(form % 2 == 1, body).map_err(|e| e.to_string())
    });
}

#[test]
fn elastic_survives() {
    check("elastic", |body| elastic::read(body).map_err(|e| e.to_string()));
}

#[test]
fn cloud_events_survives() {
    check("cloud_events", |body| cloud_events::read(body).map_err(|e| e.to_string()));
}

#[test]
fn amplitude_survives() {
    check("amplitude", |body| amplitude::read(body).map_err(|e| e.to_string()));
}

#[test]
fn aptabase_survives() {
    check("aptabase", |body| aptabase::read(body).map_err(|e| e.to_string()));
}

#[test]
fn plausible_survives() {
    check("plausible", |body| plausible::read(body).map_err(|e| e.to_string()));
}

#[test]
fn umami_survives() {
    check("umami", |body| umami::read(body).map_err(|e| e.to_string()));
}
