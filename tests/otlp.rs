//! OpenTelemetry's exporters: `POST /v1/logs` as protobuf and JSON.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Tally, TestApp};
use crate::protobuf::{field, fixed64, now, number};

fn text(value: &str) -> Vec<u8> {
    field(1, value.as_bytes())
}

fn attribute(tag: u64, key: &str, value: &[u8]) -> Vec<u8> {
    field(tag, &[field(1, key.as_bytes()), field(2, value)].concat())
}

/// A record of an error, so many nanoseconds after the tests' now.
fn record(after: u64, body: &[u8]) -> Vec<u8> {
    [
        fixed64(1, now() + after),
        number(2, 17),
        field(5, body),
        attribute(6, "user.id", &text("u1")),
        attribute(6, "http.status_code", &number(3, 500)),
        attribute(6, "ratio", &fixed64(4, 0.5_f64.to_bits())),
        attribute(6, "list", &field(5, &[field(1, &text("a")), field(1, &number(2, 1))].concat())),
        attribute(6, "map", &field(6, &attribute(1, "inner", &text("b")))),
        attribute(6, "bytes", &field(7, b"\x00\xff")),
        field(9, &[0xab; 16]),
        field(10, &[0xcd; 8]),
        field(12, "checkout.failed".as_bytes()),
        // A field of a later version.
        field(99, b"unknown"),
    ]
    .concat()
}

fn request(records: &[Vec<u8>]) -> Vec<u8> {
    let resource = field(1, &attribute(1, "service.name", &text("shop")));
    let scope = field(1, &[field(1, b"my.library"), field(2, b"1.2")].concat());
    let records: Vec<_> = records.iter().flat_map(|record| field(2, record)).collect();
    field(1, &[resource, field(2, &[scope, records].concat())].concat())
}

const PROTOBUF: &str = "application/x-protobuf";

struct Answer {
    status: StatusCode,
    kind: String,
    body: Vec<u8>,
}

async fn post(tally: &Tally, path: &str, key: &str, kind: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path).header("authorization", format!("Bearer {key}")).header("content-type", kind);
    let (parts, body) = tally.raw(request.body(body.into()).unwrap()).await;
    let kind = parts.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
    Answer { status: parts.status, kind, body }
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

#[tokio::test]
async fn a_record_becomes_an_event() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let answer =
        post(&tally, "/v1/logs", &app.ingest_key, PROTOBUF, request(&[record(1_000, &text("payment refused"))])).await;
    assert_eq!((answer.status, &*answer.kind, &*answer.body), (StatusCode::OK, PROTOBUF, &b""[..]));
    let events = tally.list(&app, "").await;
    let [event] = &*events else { panic!("{events:?}") };
    for (name, value) in [
        ("name", json!("checkout.failed")),
        ("level", json!("ERROR")),
        ("message", json!("payment refused")),
        ("user_id", json!("u1")),
        ("category", json!("shop")),
        ("timestamp", json!("2026-11-21T10:08:25.123457Z")),
        (
            "data",
            json!({"http.status_code": 500, "ratio": 0.5, "list": ["a", true], "map": {"inner": "b"}, "bytes": "AP8="}),
        ),
        (
            "tags",
            json!({
                "trace_id": "ab".repeat(16), "span_id": "cd".repeat(8), "scope": "my.library", "scope_version": "1.2",
                "resource": {"service.name": "shop"},
            }),
        ),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 1);
}

#[tokio::test]
async fn json_says_the_same() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeLogs": [{"scope": {"name": "my.library", "version": "1.2"}, "unknown": [], "logRecords": [{
            "timeUnixNano": (now() + 1_000).to_string(), "severityNumber": 17, "eventName": "checkout.failed",
            "body": {"stringValue": "payment refused"}, "traceId": "AB".repeat(16), "spanId": "cd".repeat(8),
            "attributes": [
                {"key": "user.id", "value": {"stringValue": "u1"}},
                {"key": "http.status_code", "value": {"intValue": "500"}},
                {"key": "ratio", "value": {"doubleValue": 0.5}},
                {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"boolValue": true}]}}},
                {"key": "map", "value": {"kvlistValue": {"values": [{"key": "inner", "value": {"stringValue": "b"}}]}}},
                {"key": "bytes", "value": {"bytesValue": "AP8="}},
            ],
        }]}],
    }]});
    let answer = post(&tally, "/v1/logs/", &app.ingest_key, "application/json; charset=utf-8", body.to_string()).await;
    assert_eq!((answer.status, &*answer.kind, &*answer.body), (StatusCode::OK, "application/json", &b"{}"[..]));
    let of_json = tally.list(&app, "").await.remove(0);
    let other = tally.app("other").await;
    post(&tally, "/v1/logs", &other.ingest_key, PROTOBUF, request(&[record(1_000, &text("payment refused"))])).await;
    let of_protobuf = tally.list(&other, "").await.remove(0);
    for name in ["name", "level", "message", "user_id", "category", "timestamp", "data", "tags"] {
        assert_eq!(of_json[name], of_protobuf[name], "{name}");
    }
}

#[tokio::test]
async fn a_retry_counts_once_and_equal_records_of_one_request_are_as_many_as_they_are() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = request(&[record(7, &text("same")), record(7, &text("same")), record(8, &text("other"))]);
    for _ in 0..3 {
        assert_eq!(post(&tally, "/v1/logs", &app.ingest_key, PROTOBUF, body.clone()).await.status, 200);
    }
    // The same record alone is the first of the two.
    post(&tally, "/otlp/v1/logs", &app.ingest_key, PROTOBUF, request(&[record(7, &text("same"))])).await;
    assert_eq!(total(&mut tally, &app).await, 3);
}

#[tokio::test]
async fn equal_records_of_whole_seconds_or_without_a_time_are_different() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let second = now() / 1_000_000_000 * 1_000_000_000;
    for time in [fixed64(1, second), vec![]] {
        for _ in 0..2 {
            let record = [time.clone(), field(5, &text("a line"))].concat();
            assert_eq!(post(&tally, "/v1/logs", &app.ingest_key, PROTOBUF, request(&[record])).await.status, 200);
        }
    }
    assert_eq!(total(&mut tally, &app).await, 4);
}

#[tokio::test]
async fn a_clock_of_milliseconds_may_strike_the_second() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let second = now() / 1_000_000_000 * 1_000_000_000;
    let at = |nanos: u64| json!({"timeUnixNano": nanos.to_string(), "body": {"stringValue": "a line"}});
    let group = |resource: Value, records: Value| json!({"resource": resource, "scopeLogs": [{"logRecords": records}]});
    let service = |name: &str| json!({"key": "service.name", "value": {"stringValue": name}});
    let sdk = json!({"key": "telemetry.sdk.name", "value": {"stringValue": "opentelemetry"}});
    let body = json!({"resourceLogs": [
        // Two equal ones beside one that shows how fine the clock is.
        group(json!({"attributes": [service("a")]}), json!([at(second), at(second), at(second + 1_000_000)])),
        // An SDK's clock is fine.
        group(json!({"attributes": [service("b"), sdk]}), json!([at(second)])),
        // Another sender's clock says nothing about this one's.
        group(json!({"attributes": [service("c")]}), json!([at(second)])),
    ]});
    for counted in [5, 6] {
        let answer = post(&tally, "/v1/logs", &app.ingest_key, "application/json", body.to_string()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(total(&mut tally, &app).await, counted, "only the last one is new");
    }
}

#[tokio::test]
async fn bad_records_do_not_lose_their_neighbours() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let records = [
        record(1, &text("good")),
        [fixed64(1, 1), field(5, &text("of 1970"))].concat(),
        record(2, &text(&"x".repeat(600_000))),
        [fixed64(1, now() + 3), field(5, &[0xff])].concat(),
        [fixed64(1, now() + 200_000 * 1_000_000_000), field(5, &text("of the day after tomorrow"))].concat(),
    ];
    let answer = post(&tally, "/v1/logs", &app.ingest_key, PROTOBUF, request(&records)).await;
    assert_eq!(answer.status, 200);
    // partial_success { rejected_log_records: 3, … }; a time in 1970 is good.
    assert_eq!(answer.body[..1], [0x0a]);
    assert_eq!(answer.body[2..4], [0x08, 3], "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(tally.list(&app, "").await.len(), 2);
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [7, {"body": {"stringValue": "good"}}]}]}]});
    let answer = post(&tally, "/v1/logs", &app.ingest_key, "application/json", body.to_string()).await;
    let reply: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(reply["partialSuccess"]["rejectedLogRecords"], "1", "{reply}");
    assert_eq!(tally.list(&app, "").await.len(), 3);
}

#[tokio::test]
async fn values_of_any_depth_and_kind_are_kept() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut deep = text("bottom");
    for _ in 0..40 {
        deep = field(5, &field(1, &deep));
    }
    let infinite = fixed64(4, f64::INFINITY.to_bits());
    let record = [
        fixed64(1, now() + 1),
        field(5, &field(6, &attribute(1, "cart", &number(3, 12)))),
        attribute(6, "deep", &deep),
        attribute(6, "infinite", &infinite),
        attribute(6, "", &text("no key")),
        attribute(6, "exception.type", &text("ValueError")),
        attribute(6, "exception.message", &text("no such cart")),
        attribute(6, "exception.stacktrace", &text("at f")),
        field(3, b"Notice"),
    ]
    .concat();
    assert_eq!(post(&tally, "/v1/logs", &app.ingest_key, PROTOBUF, request(&[record])).await.status, 200);
    let event = tally.list(&app, "").await.remove(0);
    assert_eq!(
        (&event["name"], &event["message"], &event["level"]),
        (&json!("log"), &json!(r#"{"cart":12}"#), &json!("INFO"))
    );
    assert_eq!(event["data"]["body"], json!({"cart": 12}));
    assert_eq!(event["data"]["infinite"], "inf");
    assert_eq!(event["data"]["exception"], "ValueError: no such cart");
    assert_eq!(event["stack"], "at f");
    assert!(event["data"]["deep"].to_string().contains("bottom"));
}

#[tokio::test]
async fn other_signals_are_answered_and_not_kept() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for path in ["/v1/traces", "/v1/metrics", "/v1development/profiles"] {
        let answer = post(&tally, path, &app.ingest_key, PROTOBUF, vec![0x0a, 0x00]).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b""[..]), "{path}");
        let answer = post(&tally, path, &app.ingest_key, "application/json", "{}").await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"{}"[..]), "{path}");
    }
    assert_eq!(post(&tally, "/v1/logs", &app.ingest_key, PROTOBUF, "").await.status, 200, "an empty request");
    assert!(tally.list(&app, "").await.is_empty());
}

#[tokio::test]
async fn errors_are_a_status_in_the_form_of_the_request() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let unknown = app.ingest_key.chars().rev().collect::<String>();
    for (key, kind, body, status) in [
        (&*unknown, PROTOBUF, vec![], 401),
        (&app.read_key, PROTOBUF, vec![], 403),
        (&app.ingest_key, PROTOBUF, vec![0x0a, 0x7f, 1], 400),
        (&app.ingest_key, "application/json", b"{".to_vec(), 400),
        (&app.ingest_key, "application/json", vec![b' '; 7 << 20], 413),
    ] {
        let answer = post(&tally, "/v1/logs", key, kind, body).await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.kind, kind);
        if kind == PROTOBUF {
            // Status { code, message }
            assert_eq!((answer.body[0], answer.body[2]), (0x08, 0x12), "{status}");
        } else if status != 413 {
            let reply: Value = serde_json::from_slice(&answer.body).unwrap();
            assert!(reply["message"].as_str().is_some_and(|message| !message.is_empty()), "{reply}");
        }
    }
}

#[tokio::test]
async fn many_tiny_records_are_refused_before_they_take_memory() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let records = field(2, &[]).repeat(1_000_000);
    let body = field(1, &field(2, &records));
    let answer = post(&tally, "/v1/logs", &app.ingest_key, PROTOBUF, body).await;
    assert_eq!(answer.status, 413, "{}", String::from_utf8_lossy(&answer.body));
}

#[tokio::test]
async fn a_preflight_is_answered_for_any_page() {
    let tally = Tally::start().await;
    let request = Request::builder().method(Method::OPTIONS).uri("/v1/logs").header("origin", "https://shop.example");
    let request = request
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, content-type");
    let (parts, _) = tally.raw(request.body(Body::empty()).unwrap()).await;
    assert!(parts.status.is_success(), "{}", parts.status);
    assert_eq!(parts.headers["access-control-allow-origin"], "https://shop.example");
    assert_eq!(parts.headers["access-control-allow-headers"], "authorization, content-type");
}
