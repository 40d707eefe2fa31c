//! Loki's push, as agents and handlers of loggers send it.

use std::io::Write;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Tally, TestApp};
use crate::protobuf::{field, now, number, varint};

const PUSH: &str = "/loki/api/v1/push";
const SNAPPY: &str = "application/x-protobuf";

fn entry(nanos: u64, line: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
    let time = [number(1, nanos / 1_000_000_000), number(2, nanos % 1_000_000_000)].concat();
    let pair =
        |(name, value): &(&str, &str)| field(3, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat());
    let metadata = metadata.iter().flat_map(pair).collect();
    field(2, &[field(1, &time), field(2, line.as_bytes()), metadata].concat())
}

/// A stream; the hash is a field that Tally passes over.
fn stream(labels: &str, entries: &[Vec<u8>]) -> Vec<u8> {
    field(1, &[field(1, labels.as_bytes()), entries.concat(), number(3, u64::MAX)].concat())
}

fn snappy(message: &[u8]) -> Vec<u8> {
    // One literal, in the block format.
    let length = u32::try_from(message.len() - 1).unwrap().to_le_bytes();
    [varint(message.len() as u64), vec![63 << 2], length.to_vec(), message.to_vec()].concat()
}

async fn post(tally: &Tally, app: &TestApp, kind: &str, encoding: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let mut request = Request::post(PUSH).header("authorization", format!("Bearer {}", app.ingest_key));
    for (name, value) in [("content-type", kind), ("content-encoding", encoding)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let (parts, body) = tally.raw(request.body(body.into()).unwrap()).await;
    (parts.status, String::from_utf8(body).unwrap())
}

/// One library takes nothing but this for success.
fn success() -> (StatusCode, String) {
    (StatusCode::NO_CONTENT, String::new())
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

fn json_of(labels: &Value, values: &Value) -> String {
    json!({"streams": [{"stream": labels, "values": values}]}).to_string()
}

#[track_caller]
fn assert_event(event: &Value) {
    for (name, value) in [
        ("name", json!("log")),
        ("level", json!("ERROR")),
        ("message", json!("payment refused")),
        ("category", json!("shop")),
        ("user_id", json!("u1")),
        ("timestamp", json!("2026-11-21T10:08:25.123457Z")),
        ("data", json!({"took": 12, "trace_id": "ab", "logger": "checkout"})),
        ("tags", json!({"app": "shop", "env": "a\"b\\c\n"})),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
}

const LINE: &str = r#"{"level":"error","msg":"payment refused","logger":"checkout","user_id":"u1","took":12}"#;

#[tokio::test]
async fn protobuf_in_snappy_and_json_say_the_same_and_count_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let labels = r#"{app="shop", env="a\"b\\c\n"}"#;
    let message = stream(labels, &[entry(now() + 1_000, LINE, &[("trace_id", "ab")])]);
    // Some send neither a content type nor the right one.
    for kind in [SNAPPY, "", "text/plain"] {
        assert_eq!(post(&tally, &app, kind, "", snappy(&message)).await, success());
    }
    assert_eq!(post(&tally, &app, SNAPPY, "snappy", snappy(&message)).await, success());
    let of_protobuf = tally.list(&app, "").await;
    assert_eq!(of_protobuf.len(), 1);
    assert_event(&of_protobuf[0]);
    let values = json!([[(now() + 1_000).to_string(), LINE, {"trace_id": "ab"}]]);
    let body = json_of(&json!({"env": "a\"b\\c\n", "app": "shop"}), &values);
    assert_eq!(post(&tally, &app, "application/json", "", body).await, success());
    let events = tally.list(&app, "").await;
    assert_eq!(events.len(), 1, "the same line in another form is the same event");
    assert_eq!(total(&mut tally, &app).await, 1);
}

#[tokio::test]
async fn the_first_version_is_taken() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let entries = json!([{"ts": "2026-11-21T10:08:25.123457Z", "line": LINE}]);
    let body = json!({"streams": [{"labels": r#"{app="shop",env="prod"}"#, "entries": entries}]}).to_string();
    let request =
        Request::post(format!("/k/{}/api/prom/push", app.ingest_key)).header("content-type", "application/json");
    assert_eq!(tally.raw(request.body(body.into()).unwrap()).await.0.status, StatusCode::NO_CONTENT);
    let event = tally.list(&app, "").await.remove(0);
    assert_eq!(
        (&event["message"], &event["tags"]),
        (&json!("payment refused"), &json!({"app": "shop", "env": "prod"}))
    );
    assert_eq!(event["timestamp"], "2026-11-21T10:08:25.123457Z");
}

#[tokio::test]
async fn a_body_is_unpacked_as_its_headers_say() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let text = json_of(&json!({"app": "shop"}), &json!([[now().to_string(), "up"]])).into_bytes();
    let mut gzip = GzEncoder::new(vec![], Compression::fast());
    gzip.write_all(&text).unwrap();
    let mut zlib = ZlibEncoder::new(vec![], Compression::fast());
    zlib.write_all(&text).unwrap();
    // Loki means this one by `deflate`.
    let mut raw = DeflateEncoder::new(vec![], Compression::fast());
    raw.write_all(&text).unwrap();
    for (encoding, body) in [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
        ("zstd", zstd::encode_all(&*text, 1).unwrap()),
        ("", text.clone()),
    ] {
        assert_eq!(post(&tally, &app, "application/json", encoding, body).await, success(), "{encoding}");
    }
    assert_eq!(total(&mut tally, &app).await, 1);
    // A block of snappy of 120 bytes whose first literal has 40 begins as zlib does.
    let message = stream(r#"{app="shop"}"#, &[entry(now(), &"x".repeat(76), &[])]);
    assert_eq!(message.len(), 120, "the length that begins like zlib");
    let (first, rest) = message.split_at(40);
    let block = [vec![120, 39 << 2], first.to_vec(), vec![60 << 2, 79], rest.to_vec()].concat();
    assert_eq!(block[..2], [0x78, 0x9c]);
    assert_eq!(post(&tally, &app, SNAPPY, "", block).await, success());
    assert_eq!(total(&mut tally, &app).await, 2);
}

#[tokio::test]
async fn a_level_is_found_in_metadata_labels_and_lines() {
    let tally = Tally::start().await;
    for (n, (labels, line, metadata, level)) in [
        (json!({}), "up", json!({"detected_level": "warn"}), json!("WARN")),
        (json!({"level": "critical"}), "level=info msg=up", json!({}), json!("FATAL")),
        (json!({"severity": "info"}), "up", json!({"level": "error"}), json!("ERROR")),
        (json!({"level": "loud"}), "level=debug msg=up", json!({}), json!("DEBUG")),
        (json!({}), "2026-11-21 10:00:00 ERROR it failed", json!({}), json!("ERROR")),
        (json!({}), "up", json!({}), Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let app = tally.app(&format!("shop {n}")).await;
        let body = json_of(&labels, &json!([[now().to_string(), line, metadata]]));
        assert_eq!(post(&tally, &app, "application/json", "", body).await, success());
        assert_eq!(tally.list(&app, "").await[0]["level"], level, "{labels} {line} {metadata}");
    }
}

#[tokio::test]
async fn a_line_is_known_by_its_labels_time_and_place_among_equal_ones() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let (fine, coarse) = (now().to_string(), (now() / 1_000_000_000 * 1_000_000_000).to_string());
    let up = json!([[fine, "up"], [fine, "up"], [coarse, "down"]]);
    let body = json!({"streams": [{"stream": {"app": "a"}, "values": up}, {"stream": {"app": "b"}, "values": up}]});
    for _ in 0..2 {
        assert_eq!(post(&tally, &app, "application/json", "", body.to_string()).await, success());
    }
    assert_eq!(total(&mut tally, &app).await, 6, "once each");
    // The clock of this stream knows whole seconds alone.
    for _ in 0..2 {
        let body = json_of(&json!({"app": "c"}), &json!([[coarse, "up"]]));
        assert_eq!(post(&tally, &app, "application/json", "", body).await, success());
    }
    assert_eq!(total(&mut tally, &app).await, 8);
}

#[tokio::test]
async fn a_bad_line_loses_none_of_the_others() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let long = "x".repeat(600_000);
    let values =
        json!([[now().to_string(), "up"], ["soon", "no time"], ["-1", "too old"], 3, [now().to_string(), long]]);
    assert_eq!(post(&tally, &app, "application/json", "", json_of(&json!({}), &values)).await, success());
    tally.context.rejections.written().await;
    assert_eq!(tally.list(&app, "").await.len(), 1);
    let items = tally.ask(&app, "/rejected").await["items"].clone();
    let mut reasons: Vec<_> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["reason"].as_str().unwrap(), item["count"].as_u64().unwrap()))
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [("invalid_time", 2), ("too_large", 1), ("unreadable", 1)]);
}

#[tokio::test]
async fn labels_that_cannot_be_read_lose_no_line() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    // A library leaves quotes as they are.
    let labels = r#"{env="a"b"}"#;
    let message =
        [stream(labels, &[entry(now(), "up", &[])]), stream("{}", &[entry(now(), "down", &[])]), stream("", &[])];
    assert_eq!(post(&tally, &app, SNAPPY, "", snappy(&message.concat())).await, success());
    let events = tally.list(&app, "").await;
    let tags =
        |message: &str| events.iter().find(|event| event["message"] == message).map(|event| event["tags"].clone());
    assert_eq!((tags("up"), tags("down")), (Some(json!({"labels": labels})), Some(Value::Null)));
}

#[tokio::test]
async fn the_key_stands_where_clients_of_loki_put_it() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = || json_of(&json!({}), &json!([[now().to_string(), "up"]]));
    for pair in [format!("{}:", app.ingest_key), format!("user:{}", app.ingest_key)] {
        let basic = format!("Basic {}", STANDARD.encode(pair));
        let request = Request::post(PUSH).header("authorization", basic).header("x-scope-orgid", "tenant");
        assert_eq!(tally.raw(request.body(body().into()).unwrap()).await.0.status, StatusCode::NO_CONTENT);
    }
    let request = Request::post(format!("/k/{}{PUSH}/", app.ingest_key));
    assert_eq!(tally.raw(request.body(body().into()).unwrap()).await.0.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn problems_are_told_as_text() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let other = TestApp { ingest_key: "x".to_owned(), ..app.clone() };
    let reader = TestApp { ingest_key: app.read_key.clone(), ..app.clone() };
    let many = json_of(&json!({}), &Value::Array(vec![json!(["1", "a"]); 32_769]));
    let bomb = varint(1 << 31);
    for (app, kind, body, status) in [
        (&other, "application/json", b"{}".to_vec(), 401),
        (&reader, "application/json", b"{}".to_vec(), 403),
        (&app, "application/json", b"{}".to_vec(), 400),
        (&app, "application/json", b"{\"streams\":".to_vec(), 400),
        (&app, "application/json", vec![], 400),
        (&app, SNAPPY, b"no snappy".to_vec(), 400),
        (&app, SNAPPY, snappy(b"no protobuf"), 400),
        (&app, SNAPPY, bomb, 413),
        (&app, "application/json", many.into_bytes(), 413),
    ] {
        let about = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let (answered, text) = post(&tally, app, kind, "", body).await;
        assert_eq!(answered.as_u16(), status, "{about}: {text}");
        assert!(text.len() > 10 && text.ends_with('\n'), "{text}");
    }
}

#[tokio::test]
async fn readiness_is_told_without_a_key() {
    let tally = Tally::start().await;
    let (parts, body) = tally.raw(Request::get("/ready").body(Body::empty()).unwrap()).await;
    assert_eq!((parts.status, &*body), (StatusCode::OK, &b"ready\n"[..]));
}
