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
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::Request;
use peak_alloc::PeakAlloc;
use tally_store::Timeouts;

use crate::harness::Tally;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MB: usize = 1024 * 1024;
/// The limit of a decoded body.
const DECODED: usize = 16 * MB;
/// What a request of a client library may take, whatever its size: it is unpacked up to twice, sanitized, and few records of it
/// become many drafts. The functions have 256 MB by default.
const FAMILIES: usize = 96 * MB;
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

/// What packs a body.
type Pack = fn(&[u8]) -> Vec<u8>;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// 200 MB of spaces in brotli, which no crate here writes: `zlib.brotliCompressSync` of Node.js at its best.
const BROTLI_BOMB: &str = "z///f/glQOKxQCD3/p/////wSwDEYQGA7v0/////4ZcAiMMiAN37f/7//8MvARCHBQC69//8//+HXwIgDgsAdO//+f//D78EQBwWAOje//P//x9+CYA4LADQvf/n//8//BIAcVgAoHv/z///f/glAOKwAED3/p/////wSwDEYQGA7v0/////4ZcAiMMCAN37f/7//8MvARCHBQC69//5//+HXwIgDgsAdO//AA==";

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
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

/// A field of a protobuf message that has a length.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    [vec![tag << 3 | 2], varint(content.len()), content.to_vec()].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = vec![];
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// Logs of OTLP: one resource of these attributes, one scope, so many times the record.
fn logs(attributes: &[u8], record: &[u8], count: usize) -> Vec<u8> {
    field(1, &[field(1, attributes), field(2, &field(2, record).repeat(count))].concat())
}

/// A block of snappy without any compression.
fn snappy(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len() - 1).unwrap().to_le_bytes();
    [varint(message.len()), vec![63 << 2], length.to_vec(), message.to_vec()].concat()
}

/// The worst bodies of client libraries: what it is, the path, the body as it is decoded, and the status of the reply.
#[allow(clippy::too_many_lines)] // a table
fn worst_of_families() -> Vec<(&'static str, &'static str, Vec<u8>, u16)> {
    let batch = |piece: &str, count: usize| format!(r#"{{"batch":{}}}"#, list(piece, count)).into_bytes();
    let fields = |count: usize| (0..count).map(|n| format!(r#""f{n}":0"#)).collect::<Vec<_>>().join(",");
    let values = |count: usize| list(r#"{"a":0}"#, count);
    let text = "x".repeat(200 * 1024);
    let of_posthog = |properties: &str| format!(r#"{{"event":"a","properties":{{"x":{properties}}}}}"#);
    let of_segment = |properties: &str| format!(r#"{{"type":"track","event":"a","properties":{{"x":{properties}}}}}"#);
    let of_sentry =
        |extra: &str| format!("{{}}\n{{\"type\":\"event\"}}\n{{\"extra\":{{\"x\":{extra}}}}}\n").into_bytes();
    let item = |extra: &str| of_sentry(extra).split_off(3);
    let of_splunk = |event: &str| format!(r#"{{"event":{{"x":{event}}}}}"#).into_bytes();
    let of_loki = |line: &str, count: usize| {
        format!(
            r#"{{"streams":[{{"stream":{{"a":"b"}},"values":{}}}]}}"#,
            list(&format!(r#"["1795255705000000001",{line}]"#), count)
        )
        .into_bytes()
    };
    let of_elastic = |value: &str| format!("{{\"create\":{{}}}}\n{{\"x\":{value}}}\n").into_bytes();
    let of_cloud =
        |data: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","data":{{"x":{data}}}}}"#);
    let of_amplitude = |properties: &str, count: usize| {
        let event = format!(r#"{{"event_type":"a","event_properties":{{"x":{properties}}}}}"#);
        format!(r#"{{"api_key":"k","events":{}}}"#, list(&event, count)).into_bytes()
    };
    let of_firehose = |text: &str| {
        let mut gzip = GzEncoder::new(vec![], Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let data = STANDARD.encode(gzip.finish().unwrap());
        format!(r#"{{"requestId":"r","timestamp":1,"records":[{{"data":"{data}"}}]}}"#).into_bytes()
    };
    let json = |resource: &str, records: &str| {
        format!(r#"{{"resourceLogs":[{{"resource":{{"attributes":{resource}}},"scopeLogs":[{{"logRecords":{records}}}]}}]}}"#)
            .into_bytes()
    };
    let attribute = r#"{"key":"a","value":{"intValue":1}}"#;
    let large = field(1, &[field(1, b"k"), field(2, &field(1, text.as_bytes()))].concat());
    let body = field(5, &field(1, b"x"));
    vec![
        ("PostHog: small objects", "/batch", batch(&of_posthog(&values(4_000)), 100), 200),
        ("PostHog: small objects in many events", "/batch", batch(&of_posthog(&values(40)), 10_000), 200),
        ("PostHog: more values than may be", "/batch", batch(&of_posthog(&values(190)), 10_000), 413),
        ("PostHog: events of very many values", "/batch", batch(&of_posthog(&values(60_000)), 34), 200),
        ("PostHog: an object of very many fields", "/batch", format!("{{{}}}", fields(1_200_000)).into_bytes(), 200),
        ("PostHog: a list of numbers", "/batch", batch("0", DECODED / 2 - 10), 413),
        ("PostHog: a form of very many fields", "/e", "a=&".repeat(DECODED / 3 - 1).into_bytes(), 400),
        ("PostHog: the largest events", "/batch", batch(&of_posthog(&format!("\"{text}\"")), 78), 200),
        ("Segment: small objects", "/v1/batch", batch(&of_segment(&values(4_000)), 100), 200),
        ("Segment: calls of very many values", "/v1/batch", batch(&of_segment(&values(60_000)), 34), 200),
        ("Segment: an object of very many fields", "/v1/batch", format!("{{{}}}", fields(1_200_000)).into_bytes(), 200),
        ("Segment: a list of numbers", "/v1/batch", batch("0", DECODED / 2 - 10), 413),
        ("Mixpanel: small objects", "/import", list(&of_posthog(&values(4_000)), 100).into_bytes(), 200),
        ("Mixpanel: updates of small objects", "/engage", list(&of_posthog(&values(4_000)), 100).into_bytes(), 200),
        ("Mixpanel: events of very many values", "/import", list(&of_posthog(&values(60_000)), 34).into_bytes(), 200),
        ("Mixpanel: an object of very many fields", "/import", format!("{{{}}}", fields(1_200_000)).into_bytes(), 200),
        ("Mixpanel: a form of very many fields", "/track", "a=&".repeat(DECODED / 3 - 1).into_bytes(), 400),
        ("Splunk: small objects", "/services/collector", of_splunk(&values(4_000)).repeat(100), 200),
        ("Splunk: events of very many values", "/services/collector", of_splunk(&values(60_000)).repeat(34), 200),
        ("Splunk: tiny events", "/services/collector", b"{\"event\":0}".repeat(32_768), 200),
        ("Splunk: more events than may be", "/services/collector", b"{}".repeat(DECODED / 2), 413),
        (
            "Splunk: texts that are JSON",
            "/services/collector",
            of_splunk(&format!("{:?}", format!("{{\"a\":{}}}", list("0", 9_000)))).repeat(110),
            200,
        ),
        ("Splunk: lines of many pairs", "/services/collector/raw", "a=1 b=2\n".repeat(32_768).into_bytes(), 200),
        (
            "Splunk: lines of very many pairs",
            "/services/collector/raw",
            ["a=1 ".repeat(9_000), "\n".to_owned()].concat().repeat(110).into_bytes(),
            200,
        ),
        (
            "Loki: small objects",
            "/loki/api/v1/push",
            of_loki(&format!("{:?}", format!("{{\"x\":{}}}", values(4_000))), 100),
            204,
        ),
        ("Loki: tiny lines", "/loki/api/v1/push", of_loki("\"\"", 32_768), 204),
        ("Loki: more lines than may be", "/loki/api/v1/push", of_loki("\"\"", 500_000), 413),
        (
            "Loki: metadata of many names",
            "/loki/api/v1/push",
            of_loki(
                &format!("\"\",{{{}}}", (0..900).map(|n| format!(r#""f{n}":"""#)).collect::<Vec<_>>().join(",")),
                1_000,
            ),
            204,
        ),
        (
            "Loki: protobuf of empty metadata",
            "/loki/api/v1/push",
            snappy(&field(1, &[field(1, b"{}"), field(2, &field(3, b"").repeat(250_000)).repeat(32)].concat())),
            204,
        ),
        ("Elasticsearch: small objects", "/es/a/_bulk", of_elastic(&values(4_000)).repeat(100), 200),
        ("Elasticsearch: tiny documents", "/es/a/_bulk", of_elastic("0").repeat(20_000), 200),
        ("Elasticsearch: documents of very many values", "/es/a/_bulk", of_elastic(&values(60_000)).repeat(34), 200),
        ("Elasticsearch: deletes", "/es/a/_bulk", b"{\"delete\":{}}\n".repeat(20_000), 200),
        ("Elasticsearch: more actions than may be", "/es/a/_bulk", b"{\"delete\":{}}\n".repeat(1_000_000), 413),
        ("CloudEvents: small objects", "/cloudevents", list(&of_cloud(&values(4_000)), 100).into_bytes(), 204),
        ("CloudEvents: a list of numbers", "/cloudevents", list("0", DECODED / 2 - 10).into_bytes(), 413),
        ("Amplitude: small objects", "/2/httpapi", of_amplitude(&values(4_000), 100), 200),
        ("Amplitude: events of very many values", "/batch", of_amplitude(&values(60_000), 34), 200),
        (
            "Aptabase: small objects",
            "/api/v0/events",
            list(&format!(r#"{{"eventName":"a","props":{{"x":{}}}}}"#, values(4_000)), 100).into_bytes(),
            200,
        ),
        (
            "Firehose: small objects",
            "/firehose",
            of_firehose(&format!(r#"{{"x":{}}}"#, values(4_000)).repeat(100)),
            200,
        ),
        ("Firehose: more lines than may be", "/firehose", of_firehose(&"a\n".repeat(DECODED / 4)), 413),
        (
            "Umami: small objects",
            "/api/batch",
            list(&format!(r#"{{"payload":{{"website":"a","data":{{"x":{}}}}}}}"#, values(4_000)), 100).into_bytes(),
            200,
        ),
        (
            "Plausible: an event of many domains",
            "/api/event",
            format!(r#"{{"n":"a","u":"/","d":"0,1,2,3,4,5,6,7,8,9","p":{{"x":{}}}}}"#, values(4_900)).into_bytes(),
            202,
        ),
        (
            "Plausible: values in texts",
            "/api/event",
            {
                let text = serde_json::to_string(&format!(r#"{{"x":{}}}"#, values(9_900))).unwrap();
                format!(r#"{{"n":"a","u":"/","d":"a","p":{text},"m":{text},"$":{text}}}"#).into_bytes()
            },
            413,
        ),
        ("Sentry: an event of many values", "/api/1/envelope", of_sentry(&values(9_900)), 200),
        (
            "Sentry: many events of many values",
            "/api/1/envelope",
            [b"{}\n".to_vec(), item(&values(9_900)).repeat(150)].concat(),
            200,
        ),
        (
            "Sentry: a long header, repeated by each event",
            "/api/1/envelope",
            [
                format!(r#"{{"sdk":{{"name":"{}"}}}}"#, &text[..60_000]).into_bytes(),
                b"\n".to_vec(),
                item("0").repeat(10_000),
            ]
            .concat(),
            200,
        ),
        ("Sentry: many tiny items", "/api/1/envelope", b"{}\n".repeat(DECODED / 3), 200),
        (
            "Sentry: many tiny logs",
            "/api/1/envelope",
            format!("{{}}\n{{\"type\":\"log\"}}\n{{\"items\":{}}}", list("{}", DECODED / 3 - 20)).into_bytes(),
            200,
        ),
        (
            "OTLP: a resource of empty attributes",
            "/v1/logs",
            logs(&field(1, b"").repeat(DECODED / 2 - 50), b"", 1),
            200,
        ),
        ("OTLP: records of empty attributes", "/v1/logs", logs(b"", &field(6, b"").repeat(250_000), 32), 200),
        (
            "OTLP: records of empty values",
            "/v1/logs",
            logs(b"", &field(5, &field(5, &field(1, b"").repeat(250_000))), 32),
            200,
        ),
        ("OTLP: records of as many values as may be", "/v1/logs", logs(b"", &field(6, b"").repeat(250), 30_000), 413),
        (
            "OTLP: records of many values",
            "/v1/logs",
            logs(b"", &[body.clone(), field(6, b"").repeat(100)].concat(), 9_000),
            200,
        ),
        ("OTLP: a large resource of many records", "/v1/logs", logs(&large, &body, 30_000), 413),
        ("OTLP: a large resource of some records", "/v1/logs", logs(&large, &body, 300), 200),
        ("OTLP: empty records", "/v1/logs", logs(b"", b"", 5_000_000), 413),
        ("OTLP: large records", "/v1/logs", logs(b"", &field(5, &field(1, text.as_bytes())), 75), 200),
        (
            "OTLP JSON: a large resource of many records",
            "/v1/logs",
            json(&list(attribute, 1_500), &list(r#"{"body":{"intValue":1}}"#, 600)),
            200,
        ),
        ("OTLP JSON: a resource of very many attributes", "/v1/logs", json(&list("0", DECODED / 2 - 200), "[{}]"), 200),
        (
            "OTLP JSON: records of many attributes",
            "/v1/logs",
            json("[]", &list(&format!(r#"{{"attributes":{}}}"#, list(attribute, 1_000)), 400)),
            200,
        ),
        (
            "OTLP JSON: records of very many attributes",
            "/v1/logs",
            json("[]", &list(&format!(r#"{{"attributes":{}}}"#, list("{}", 170_000)), 30)),
            200,
        ),
        (
            "OTLP JSON: a list of numbers",
            "/v1/logs",
            format!(r#"{{"resourceLogs":{}}}"#, list("0", DECODED / 2 - 20)).into_bytes(),
            413,
        ),
        (
            "OTLP JSON: an object of very many fields",
            "/v1/logs",
            format!("{{{}}}", fields(1_200_000)).into_bytes(),
            200,
        ),
    ]
}

#[tokio::test]
async fn a_request_takes_a_small_multiple_of_its_decoded_size() {
    let tally = Tally::through(Timeouts::LAPTOP, |inner| SharedHttpClient::new(Taking(inner))).await;
    let app = tally.app("shop").await;
    tally.accept(&app, &serde_json::json!([{"name": "a"}, {"name": "b"}])).await;
    let mut failures = Vec::new();
    let key = &*app.ingest_key;
    for (what, kind, body, status) in worst() {
        let most = 2 * body.len().min(DECODED) + 8 * MB;
        let packed = gzip(body.as_bytes());
        drop(body);
        let request = Request::post("/apps/shop/events")
            .header("x-ingest-key", key)
            .header("content-type", kind)
            .header("content-encoding", "gzip")
            .body(Body::from(packed))
            .unwrap();
        failures.extend(check(&tally, what, request, most, status).await);
    }
    let packings: [Pack; 3] = [gzip, deflate, zstd];
    for ((what, path, body, status), pack) in worst_of_families().into_iter().zip(packings.into_iter().cycle()) {
        assert!(body.len() <= DECODED, "{what}: {} bytes", body.len());
        // A block of snappy may begin as zlib does, so that needs a header.
        let packed = if path.starts_with("/loki") { gzip(&body) } else { pack(&body) };
        drop(body);
        let request = Request::post(format!("/k/{key}{path}")).body(Body::from(packed)).unwrap();
        failures.extend(check(&tally, what, request, FAMILIES, status).await);
    }
    let spaces = vec![b' '; 4 * DECODED];
    let bombs = [
        ("gzip", gzip(&spaces)),
        ("deflate", deflate(&spaces)),
        ("zstd", zstd(&spaces)),
        ("br", STANDARD.decode(BROTLI_BOMB).unwrap()),
    ];
    drop(spaces);
    for (encoding, packed) in bombs {
        for path in ["/batch", "/v1/batch", "/import", "/api/1/envelope", "/v1/logs"] {
            let request = Request::post(format!("/k/{key}{path}")).header("content-encoding", encoding);
            let request = request.body(Body::from(packed.clone())).unwrap();
            failures.extend(check(&tally, &format!("{path}: a bomb of {encoding}"), request, FAMILIES, 413).await);
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Sends a request; what is wrong with its reply and with the memory that it takes.
async fn check(tally: &Tally, what: &str, request: Request<Body>, most: usize, status: u16) -> Vec<String> {
    let mut failures = Vec::new();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let (parts, reply) = tally.raw(request).await;
    let peak = MEMORY.peak_usage() - before;
    println!("{what}: {}, {} KB of {} KB, {} KB answered", parts.status, peak / 1024, most / 1024, reply.len() / 1024);
    if parts.status.as_u16() != status {
        failures.push(format!("{what}: {} {}", parts.status, String::from_utf8_lossy(&reply[..reply.len().min(300)])));
    }
    if peak > most {
        failures.push(format!("{what}: {} KB, more than {} KB", peak / 1024, most / 1024));
    }
    if reply.len() > 3 * MB {
        failures.push(format!("{what}: a reply of {} KB", reply.len() / 1024));
    }
    failures
}
