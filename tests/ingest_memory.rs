//! The memory of a request that sends events: a small multiple of its decoded size, whatever is in it. This is a test
//! binary of its own, since its allocator counts what all threads of the process allocate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed
#![allow(dead_code)] // the other binary uses the rest of the harness

mod database;
mod harness;

use std::io::Write;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use peak_alloc::PeakAlloc;
use tally_store::Timeouts;

use crate::harness::Tally;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MB: usize = 1024 * 1024;
/// The limit of a decoded body.
const DECODED: usize = 16 * MB;
/// The limit of an event.
const EVENT: usize = 256 * 1024;

/// A store that takes every event, in no memory of its own, and lets all batches that may be sent at once begin first.
#[derive(Debug)]
struct Taking<T>(T);

impl HttpClient for Taking<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Taking(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Taking<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        if !operation.ends_with(".PutItem") && !operation.ends_with(".BatchWriteItem") {
            return self.0.call(request);
        }
        HttpConnectorFuture::new(async move {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            // What is sent is in memory until it is answered.
            drop(request);
            Ok(HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::from(r#"{"UnprocessedItems":{}}"#)))
        })
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// So many pieces, in a list.
fn list(piece: &str, count: usize) -> String {
    format!("[{}]", vec![piece; count].join(","))
}

/// An event whose `data` are so many pieces.
fn event(piece: &str, count: usize) -> String {
    format!(r#"{{"name":"a","data":{}}}"#, list(piece, count))
}

/// The worst bodies: what it is, its content type, the body as it is decoded, and the status of the reply.
fn worst() -> Vec<(&'static str, &'static str, String, u16)> {
    let (json, lines) = ("application/json", "application/x-ndjson");
    let fields = |count: usize| (0..count).map(|n| format!(r#""f{n}":0"#)).collect::<Vec<_>>().join(",");
    let text = "x".repeat(EVENT - 64);
    vec![
        ("the most small objects", json, list(&event(r#"{"a":0}"#, 4_990), 20), 201),
        ("the most empty maps", json, list(&event("{}", 9_990), 20), 201),
        ("the most small numbers", json, list(&event("0", 9_990), 20), 201),
        ("the most small objects in many events", json, list(&event(r#"{"a":0}"#, 98), 1_000), 201),
        (
            "nested objects",
            json,
            list(&event(&format!("{}0{}", r#"{"a":"#.repeat(14), "}".repeat(14)), 13), 1_000),
            201,
        ),
        (
            "small objects in large texts",
            json,
            list(&event(&format!(r#"{{"a":"{}"}}"#, "x".repeat(2_500)), 98), 62),
            201,
        ),
        ("as many bytes as may be", json, list(&event(&format!("\"{}\"", &text[..16_600]), 1), 1_000), 201),
        ("the largest events", json, list(&event(&format!("\"{text}\""), 1), 63), 201),
        ("the largest event alone", json, event(&format!("\"{text}\""), 1), 201),
        ("the densest event alone", json, event(r#"{"a":0}"#, 4_990), 201),
        ("texts of control characters", json, list(&event(&format!("\"{}\"", "\\u0001".repeat(2_700)), 1), 1_000), 201),
        ("lines of large events", lines, vec![event(&format!("\"{text}\""), 1); 63].join("\n"), 201),
        ("tiny objects", json, list(&event(r#"{"a":0}"#, 32_500), 63), 413),
        ("a list of numbers", json, list("0", DECODED / 2 - 1), 413),
        ("lines of one byte", lines, "1\n".repeat(DECODED / 2), 413),
        ("the most lines of one byte", lines, "1\n".repeat(1_000), 400),
        ("the deepest list", json, format!("{}{}", "[".repeat(DECODED / 2), "]".repeat(DECODED / 2)), 413),
        ("deep lists in events", json, list(&event(&format!("{}{}", "[".repeat(90), "]".repeat(90)), 2), 1_000), 400),
        ("an object of very many fields", json, format!("{{{}}}", fields(1_200_000)), 400),
        ("events of unknown fields", json, list(&format!("{{{}}}", fields(190)), 1_000), 400),
        ("events of long unknown fields", json, list(&format!(r#"{{"{text}":0}}"#), 63), 400),
        (
            "events of repeated long keys",
            json,
            list(&format!(r#"{{"{0}":0,"{0}":0}}"#, &text[..EVENT / 2 - 32]), 63),
            400,
        ),
        ("numbers of very many digits", json, list(&event(&"7".repeat(EVENT - 64), 1), 63), 400),
        (
            "one good event among bad ones",
            json,
            format!("[{},{}]", list(&format!("{{{}}}", fields(190)), 999).trim_matches(['[', ']']), r#"{"name":"a"}"#),
            207,
        ),
        ("more bytes than may be", json, " ".repeat(200 * MB), 413),
    ]
}

#[tokio::test]
async fn a_request_takes_a_small_multiple_of_its_decoded_size() {
    let tally = Tally::through(Timeouts::LAPTOP, |inner| SharedHttpClient::new(Taking(inner))).await;
    let app = tally.app("shop").await;
    tally.accept(&app, &serde_json::json!([{"name": "a"}, {"name": "b"}])).await;
    let mut failures = Vec::new();
    for (what, kind, body, status) in worst() {
        let decoded = body.len().min(DECODED);
        let packed = gzip(body.as_bytes());
        drop(body);
        let sent = packed.len();
        let request = Request::post("/apps/shop/events")
            .header("x-ingest-key", &app.ingest_key)
            .header("content-type", kind)
            .header("content-encoding", "gzip")
            .body(Body::from(packed))
            .unwrap();
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let (parts, reply) = tally.raw(request).await;
        let peak = MEMORY.peak_usage() - before;
        println!(
            "{what}: {}, {} KB at most for {} KB decoded, {} KB sent, {} KB answered",
            parts.status,
            peak / 1024,
            decoded / 1024,
            sent / 1024,
            reply.len() / 1024,
        );
        if parts.status.as_u16() != status {
            failures.push(format!(
                "{what}: {} {}",
                parts.status,
                String::from_utf8_lossy(&reply[..reply.len().min(300)])
            ));
        }
        if peak > 2 * decoded + 8 * MB {
            failures.push(format!("{what}: {} KB for {} KB decoded", peak / 1024, decoded / 1024));
        }
        if reply.len() > 3 * MB {
            failures.push(format!("{what}: a reply of {} KB", reply.len() / 1024));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
