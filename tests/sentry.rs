//! Sentry's SDKs: what they send, by their wire formats, and what they are answered.

use std::io::Write as _;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::SECOND;

use crate::faulty::Fault;
use crate::harness::{Reply, Tally, TestApp};

const ID: &str = "9ec79c33ec9942ab8353589fcb2e04dc";

/// An envelope: its headers, then items of a type and a payload, with their lengths or without.
fn envelope(header: &Value, items: &[(&str, String)]) -> String {
    let items = items.iter().enumerate().map(|(index, (kind, payload))| {
        let header = match index % 2 {
            0 => json!({"type": kind, "length": payload.len()}),
            _ => json!({"type": kind}),
        };
        format!("{header}\n{payload}\n")
    });
    format!("{header}\n{}", items.collect::<String>())
}

fn one(kind: &str, payload: &Value) -> String {
    envelope(&json!({"sent_at": "2026-11-21T10:08:26.000Z"}), &[(kind, payload.to_string())])
}

/// An event with an id and a time.
fn event(id: &str, mut fields: Value) -> Value {
    let object = fields.as_object_mut().unwrap();
    object.insert("event_id".into(), id.into());
    object.entry("timestamp").or_insert(json!(1_795_255_705.123_456));
    fields
}

fn logs(logs: &Value) -> String {
    one("log", &json!({"version": 2, "items": logs}))
}

impl Tally {
    async fn post_sentry(&self, path: &str, header: (&str, &str), body: impl Into<Body>) -> Reply {
        self.call(Method::POST, path, header, body).await
    }

    /// Sends an envelope that must be taken.
    async fn envelope(&self, app: &TestApp, body: impl Into<Body>) -> Value {
        let path = format!("/api/1/envelope/?sentry_version=7&sentry_key={}&sentry_client=x/1", app.ingest_key);
        let reply = self.post_sentry(&path, ("content-type", "text/plain;charset=UTF-8"), body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
        assert_eq!(reply.headers["content-type"], "application/json");
        assert!(!reply.headers.contains_key("retry-after"));
        reply.json
    }

    /// All events with all their fields, the last first.
    async fn all(&self, app: &TestApp) -> Vec<Value> {
        self.list(app, "limit=100").await
    }

    async fn rejected(&self, app: &TestApp) -> Vec<(String, u64, String)> {
        self.context.rejections.written().await;
        let reply = self.ask(app, "/rejected").await;
        let items = reply["items"].as_array().unwrap().iter().map(|item| {
            assert_eq!(item["source"], "sentry");
            let text = |field: &str| item[field].as_str().unwrap().to_owned();
            (text("reason"), item["count"].as_u64().unwrap(), text("sample"))
        });
        let mut items: Vec<_> = items.collect();
        items.sort();
        items
    }
}

/// Asserts an error as the SDKs read it: `detail`, the same in a header, and nothing that mutes them.
#[track_caller]
fn assert_refused(reply: &Reply, status: u16) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.json);
    let detail = reply.json["detail"].as_str().expect("a detail");
    assert_eq!(reply.headers["x-sentry-error"], detail);
    assert_eq!(reply.json.as_object().unwrap().len(), 1, "{}", reply.json);
    assert!(!reply.headers.contains_key("retry-after"), "it mutes an SDK for all categories");
}

#[tokio::test]
async fn an_exception_becomes_an_event_that_tells_its_cause() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let sent = event(
        "9EC79C33-EC99-42AB-8353-589FCB2E04DC",
        json!({
            "platform": "python", "level": "error", "environment": "production", "release": "shop@1.2", "dist": "7",
            "server_name": "web-1", "transaction": "/checkout", "logger": "shop.orders",
            "sdk": {"name": "sentry.python.flask", "version": "2.75.0", "packages": []},
            "logentry": {"message": "order %s failed", "params": ["é7"]},
            "exception": {"values": [
                {"type": "KeyError", "value": "'plan'", "stacktrace": {"frames": [{"function": "plan", "module": "shop.plans"}]}},
                {"type": "OrderError", "value": "no plan 💥", "module": "shop.errors",
                 "mechanism": {"type": "logging", "handled": true},
                 "stacktrace": {"frames": [
                    {"filename": "shop/web.py", "function": "post", "module": "shop.web", "lineno": 12, "in_app": true},
                    {"filename": "shop/orders.py", "function": "place", "module": "shop.orders", "lineno": 42, "in_app": true,
                     "context_line": "raise OrderError()", "vars": {"order": {"id": 7}}},
                    {"filename": "retry.py", "function": "call", "module": "retry", "lineno": 3, "in_app": false}
                 ]}}
            ]},
            "user": {"id": 42, "email": "ann@example.org", "ip_address": "203.0.113.7"},
            "tags": [["plan", "pro"], ["cores", 8], null, ["none", null]],
            "extra": {"cart": {"items": [1, 2.50, "é"]}},
            "contexts": {"runtime": {"name": "CPython"}, "trace": {"trace_id": "ab"}},
            "breadcrumbs": {"values": [{"category": "query", "message": "SELECT 1"}]},
            "request": {"url": "https://shop.example/checkout", "cookies": {"sid": "1"}, "env": {"REMOTE_ADDR": "203.0.113.7"},
                        "headers": {"Host": "shop.example", "Cookie": "sid=1", "Authorization": "Bearer x"}},
            "modules": {"flask": "3"}, "debug_meta": {"images": []}, "unknown": null
        }),
    );
    let reply = tally.envelope(&app, one("event", &sent)).await;
    assert_eq!(reply, json!({"id": ID}));
    let [event] = &tally.all(&app).await[..] else { panic!("one event") };
    let field = |name: &str| event[name].clone();
    assert_eq!(field("client_id"), ID);
    assert_eq!(field("timestamp"), "2026-11-21T10:08:25.123456Z");
    assert_eq!(
        (field("name"), field("level"), field("category")),
        (json!("OrderError"), json!("ERROR"), json!("production"))
    );
    assert_eq!(field("message"), "OrderError: no plan 💥");
    assert_eq!(field("fingerprint"), "OrderError in shop.orders:place");
    assert_eq!(field("user_id"), "42");
    assert_eq!(
        field("tags"),
        json!({"plan": "pro", "cores": 8, "environment": "production", "logger": "shop.orders", "release": "shop@1.2",
               "dist": "7", "server_name": "web-1", "platform": "python", "sdk": "sentry.python.flask/2.75.0"})
    );
    assert_eq!(
        field("data"),
        json!({"project": "1", "transaction": "/checkout", "message": "order é7 failed", "template": "order %s failed",
               "params": ["é7"], "user": {"id": 42, "email": "ann@example.org"},
               "extra": {"cart": {"items": [1, 2.5, "é"]}},
               "contexts": {"runtime": {"name": "CPython"}, "trace": {"trace_id": "ab"}},
               "breadcrumbs": [{"category": "query", "message": "SELECT 1"}],
               "request": {"url": "https://shop.example/checkout", "headers": {"Host": "shop.example"}}})
    );
    let stack = &event["stack"];
    assert_eq!((&stack[0]["type"], &stack[1]["type"]), (&json!("OrderError"), &json!("KeyError")));
    assert_eq!(stack[0]["mechanism"]["handled"], true);
    let frames: Vec<_> =
        stack[0]["frames"].as_array().unwrap().iter().map(|f| (&f["function"], &f["in_app"])).collect();
    let (own, other) = (json!(true), json!(false));
    assert_eq!(frames, [(&json!("call"), &other), (&json!("place"), &own), (&json!("post"), &own)]);
    assert_eq!(
        (&stack[0]["frames"][1]["lineno"], &stack[0]["frames"][1]["vars"]["order"]["id"]),
        (&json!(42), &json!(7))
    );
}

#[tokio::test]
async fn a_message_is_named_by_its_logger_and_its_level_is_known() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (n, (fields, expected)) in [
        (json!({"message": "hi", "level": "info"}), json!(["message", "INFO", "hi", null])),
        (json!({"message": "hi", "level": "warning", "logger": "auth"}), json!(["auth", "WARN", "hi", null])),
        (json!({"message": "hi", "level": "log"}), json!(["message", "INFO", "hi", "hi"])),
        (
            json!({"message": "hi", "exception": [{"value": "hi", "stacktrace": {"frames": [{"function": "f"}]}}]}),
            json!(["message", "ERROR", "hi", "hi"]),
        ),
        (json!({"message": "hi", "level": "fatal"}), json!(["message", "FATAL", "hi", null])),
        (json!({"message": {"formatted": "old"}, "level": "sampled"}), json!(["message", "ERROR", "old", null])),
        (json!({"logentry": {"formatted": "a 1", "message": "a %s"}}), json!(["message", "ERROR", "a 1", null])),
        (json!({"logentry": {"message": "a %s", "params": [1]}}), json!(["message", "ERROR", "a 1", null])),
        (
            json!({"exception": [{"type": "E"}], "fingerprint": ["{{ default }}", "x"]}),
            json!(["E", "ERROR", "E", "E | x"]),
        ),
        (json!({"message": "hi", "fingerprint": ["mine"]}), json!(["message", "ERROR", "hi", "mine"])),
        (json!({"exception": {"values": []}, "tags": {"a": "b"}}), json!(["error", "ERROR", null, null])),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("{n:032x}");
        tally.envelope(&app, one("event", &event(&id, fields.clone()))).await;
        let kept = tally.all(&app).await.into_iter().find(|event| event["client_id"] == *id).expect("the event");
        let fingerprint = if expected[3].is_null() { json!(null) } else { kept["fingerprint"].clone() };
        assert_eq!(json!([kept["name"], kept["level"], kept["message"], fingerprint]), expected, "{fields}");
    }
}

#[tokio::test]
async fn every_kind_of_item_is_taken_or_said_not_to_be() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let items = [
        ("event", event(ID, json!({"message": "hi"}))),
        (
            "feedback",
            event("aa", json!({"contexts": {"feedback": {"message": "It broke", "contact_email": "ann@example.org"}}})),
        ),
        ("user_report", json!({"event_id": ID, "name": "Ann", "email": "ann@example.org", "comments": "It broke"})),
        ("check_in", json!({"check_in_id": "c1", "monitor_slug": "backup", "status": "in_progress"})),
        ("check_in", json!({"check_in_id": "c1", "monitor_slug": "backup", "status": "error", "duration": 1.5})),
        (
            "log",
            json!({"items": [
                {"timestamp": 1_795_255_705.25, "level": "warn", "body": "user Ann is late", "trace_id": "ab", "severity_number": 13,
                 "attributes": {"sentry.message.template": {"value": "user %s is late", "type": "string"},
                    "sentry.environment": {"value": "staging", "type": "string"}, "late": {"value": 2.5, "type": "double"},
                    "sentry.sdk.name": {"value": "sentry.javascript.node", "type": "string"},
                    "sentry.sdk.version": {"value": "11.12.0", "type": "string"}, "user.id": {"value": "7", "type": "string"}}},
                {"timestamp": 1_795_255_705.25, "level": "info", "body": "plain", "attributes": {}}
            ]}),
        ),
        (
            "raw_security",
            json!({"csp-report": {"effective-directive": "img-src", "blocked-uri": "https://x.example/"}}),
        ),
        ("transaction", event("bb", json!({"type": "transaction", "transaction": "/"}))),
        ("session", json!({"sid": "1", "status": "ok"})),
        ("sessions", json!({"aggregates": []})),
        ("attachment", json!("a file")),
        ("replay_recording", json!({})),
        ("profile_chunk", json!({})),
        ("no such type", json!(null)),
        (
            "client_report",
            json!({"timestamp": 1_795_255_705.25, "discarded_events": [
                {"reason": "queue_overflow", "category": "error", "quantity": 3},
                {"reason": "ratelimit_backoff", "category": "log_item", "quantity": 4},
                {"reason": "sample_rate", "category": "transaction", "quantity": 1_000},
                {"reason": "queue_overflow", "category": "log_byte", "quantity": 1_000},
                {"reason": "x", "category": "error", "quantity": "no number"}, null
            ]}),
        ),
    ];
    let items: Vec<_> = items.into_iter().map(|(kind, payload)| (kind, payload.to_string())).collect();
    let header = json!({"event_id": ID, "sdk": {"name": "sentry.browser", "version": "11"}});
    assert_eq!(tally.envelope(&app, envelope(&header, &items)).await, json!({"id": ID}));
    let mut kept: Vec<_> = tally
        .all(&app)
        .await
        .iter()
        .map(|e| json!([e["name"], e["level"], e["category"], e["message"]]).to_string())
        .collect();
    kept.sort();
    assert_eq!(
        kept,
        [
            r#"["check_in","ERROR","backup","backup: error"]"#,
            r#"["check_in","INFO","backup","backup: in_progress"]"#,
            r#"["csp","WARN",null,"blocked img-src from https://x.example/"]"#,
            r#"["feedback","INFO",null,"It broke"]"#,
            r#"["feedback","INFO",null,"It broke"]"#,
            r#"["log","INFO",null,"plain"]"#,
            r#"["message","ERROR",null,"hi"]"#,
            r#"["user %s is late","WARN","staging","user Ann is late"]"#,
        ]
    );
    let log =
        tally.all(&app).await.into_iter().find(|event| event["level"] == "WARN" && event["name"] != "csp").unwrap();
    assert_eq!((&log["data"]["late"], &log["user_id"]), (&json!(2.5), &json!("7")));
    assert_eq!(
        log["tags"],
        json!({"environment": "staging", "sdk": "sentry.javascript.node/11.12.0", "trace_id": "ab"})
    );
    let rejected = tally.rejected(&app).await;
    let counts: Vec<_> = rejected.iter().map(|(reason, count, _)| (reason.as_str(), *count)).collect();
    assert_eq!(counts, [("dropped_by_client", 7), ("not_offered", 5)]);
}

#[tokio::test]
async fn what_has_no_time_of_its_own_is_stored_once_when_it_comes_again_later() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let untimed = |sent_at: &str| {
        let check_in =
            |status: &str| json!({"check_in_id": "c1", "monitor_slug": "backup", "status": status}).to_string();
        let report = json!({"event_id": ID, "name": "Ann", "comments": "It broke"}).to_string();
        let csp =
            json!({"csp-report": {"effective-directive": "img-src", "blocked-uri": "https://x.example/"}}).to_string();
        let event = json!({"event_id": ID, "message": "hi"}).to_string();
        let items = [
            ("check_in", check_in("ok")),
            ("check_in", check_in("error")),
            ("user_report", report),
            ("raw_security", csp),
            ("event", event),
        ];
        envelope(&json!({"sent_at": sent_at}), &items)
    };
    for _ in 0..2 {
        tally.envelope(&app, untimed("2026-11-21T10:08:26.000Z")).await;
        tally.clock.set(tally.clock.now() + SECOND);
    }
    let events = tally.all(&app).await;
    assert_eq!(events.len(), 5, "{events:#?}");
    assert!(events.iter().all(|event| event["timestamp"] == "2026-11-21T10:08:26Z"), "{events:#?}");
    // A check-in that tells its time, and a whole second: the id of its own remains.
    let timed = json!({"check_in_id": "c2", "monitor_slug": "backup", "status": "ok", "timestamp": 1_795_255_700});
    for sent_at in ["2026-11-21T10:08:27.000Z", "2026-11-21T10:08:28.000Z"] {
        tally.envelope(&app, envelope(&json!({"sent_at": sent_at}), &[("check_in", timed.to_string())])).await;
    }
    assert_eq!(tally.all(&app).await.len(), 6);
}

#[tokio::test]
async fn a_key_is_found_wherever_an_sdk_puts_it() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = &app.ingest_key;
    let mut n = 0;
    let mut body = |header: Value| {
        n += 1;
        envelope(&header, &[("event", event(&format!("{n:032x}"), json!({"message": "hi"})).to_string())])
    };
    let auth = format!("Sentry sentry_key={key}, sentry_version=7, sentry_client=sentry.python/2.75.0");
    let dense = format!("sentry sentry_version=7,sentry_secret=x,sentry_key={key}");
    for (path, header) in [
        (format!("/api/1/envelope/?sentry_key={key}"), ("a", "b")),
        (format!("/api/1/envelope?sentry_version=7&sentry_key={key}"), ("a", "b")),
        ("/api/2/envelope/".to_owned(), ("x-sentry-auth", &*auth)),
        ("/api/2/envelope/".to_owned(), ("x-sentry-auth", &*dense)),
        ("/api/2/envelope/".to_owned(), ("authorization", &*auth)),
        (format!("/k/{key}/api/1/envelope/"), ("a", "b")),
    ] {
        let reply = tally.post_sentry(&path, header, body(json!({}))).await;
        assert_eq!(reply.status, StatusCode::OK, "{path} {header:?}: {}", reply.json);
    }
    for dsn in [format!("https://{key}@tally.example/1"), format!("http://{key}:secret@localhost:8080/sub/7")] {
        let reply = tally.post_sentry("/api/1/envelope/", ("a", "b"), body(json!({"dsn": dsn}))).await;
        assert_eq!(reply.status, StatusCode::OK, "{dsn}: {}", reply.json);
    }
    let events = tally.all(&app).await;
    assert_eq!(events.len(), 8);
    assert_eq!(events[0]["data"], json!({"project": "1"}));

    let unknown = "tly_in_000000000000_0000000000000000000000000000000000000000";
    for (path, dsn, status) in [
        ("/api/1/envelope/".to_owned(), json!(null), 401),
        ("/api/1/envelope/?sentry_key=0123456789abcdef0123456789abcdef".to_owned(), json!(null), 401),
        (format!("/api/1/envelope/?sentry_key={unknown}"), json!(null), 401),
        ("/api/1/envelope/".to_owned(), json!(format!("https://{unknown}@h/1")), 401),
        ("/api/1/envelope/".to_owned(), json!("not a dsn"), 401),
        (format!("/api/1/envelope/?sentry_key={}", app.read_key), json!(null), 403),
        (format!("/api/1/store/?sentry_key={}", app.read_key), json!(null), 403),
    ] {
        let body = envelope(&json!({"dsn": dsn}), &[]);
        assert_refused(&tally.post_sentry(&path, ("origin", "https://shop.example"), body).await, status);
    }
    assert_eq!(tally.all(&app).await.len(), 8);
}

#[tokio::test]
async fn what_is_sent_twice_counts_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let log = |body: &str| json!({"timestamp": 1_795_255_705.123_4, "level": "info", "body": body});
    let items = [
        ("event", event(ID, json!({"message": "hi"})).to_string()),
        ("log", json!({"items": [log("a"), log("b"), log("a")]}).to_string()),
        // Two honest lines may be the same within a second.
        ("log", json!({"items": [{"timestamp": 1_795_255_705, "body": "whole second"}]}).to_string()),
        // A clock of milliseconds may strike the second; its neighbours tell that it is one.
        ("log", json!({"items": [log("c"), {"timestamp": 1_795_255_706, "body": "struck"}]}).to_string()),
        ("feedback", event("aa", json!({"contexts": {"feedback": {"message": "hi"}}})).to_string()),
    ];
    for sent_at in ["2026-11-21T10:08:26.000Z", "2026-11-21T10:09:26.000Z"] {
        tally.envelope(&app, envelope(&json!({"sent_at": sent_at}), &items)).await;
        tally.clock.set(tally.clock.now() + SECOND);
    }
    tally.drain().await;
    let mut counts: Vec<_> = tally.all(&app).await.iter().map(|e| e["message"].as_str().unwrap().to_owned()).collect();
    counts.sort();
    assert_eq!(counts, ["a", "a", "b", "c", "hi", "hi", "struck", "whole second", "whole second"]);
}

#[tokio::test]
async fn a_bad_item_loses_none_of_its_neighbours() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let good = event(ID, json!({"message": "good"})).to_string();
    let log =
        json!({"items": [3, {"timestamp": "?", "body": "x"}, {"timestamp": 1_795_255_705.5, "body": "good log"}]});
    let body = [
        "{}".to_owned(),
        r#"{"type":"event","length":99999}"#.to_owned(),
        "{\"message\": broken".to_owned(),
        "{no header".to_owned(),
        "its payload".to_owned(),
        r#"{"type":"event"}"#.to_owned(),
        event("aa", json!({"message": "old", "timestamp": "1969-01-01T00:00:00Z"})).to_string(),
        r#"{"type":"event"}"#.to_owned(),
        event("ab", json!({"message": "ahead", "timestamp": 4_795_255_705.5})).to_string(),
        r#"{"type":"event"}"#.to_owned(),
        event("ac", json!({"message": "no time", "timestamp": {"$date": 1}})).to_string(),
        r#"{"type":"event"}"#.to_owned(),
        event("ad", json!({"message": "x".repeat(1_100_000)})).to_string(),
        r#"{"type":"log"}"#.to_owned(),
        log.to_string(),
        r#"{"type":"log"}"#.to_owned(),
        "{".to_owned(),
        r#"{"type":"event"}"#.to_owned(),
        good,
    ];
    tally.envelope(&app, body.join("\n")).await;
    let mut kept: Vec<_> = tally.all(&app).await.iter().map(|e| e["message"].as_str().unwrap().to_owned()).collect();
    kept.sort();
    assert_eq!(kept, ["good", "good log"]);
    let rejected = tally.rejected(&app).await;
    let counts: Vec<_> = rejected.iter().map(|(reason, count, _)| (reason.as_str(), *count)).collect();
    assert_eq!(counts, [("invalid_time", 4), ("too_large", 1), ("unreadable", 4)]);
    assert!(rejected[0].2.contains("old") && rejected[0].2.starts_with("event: "), "{}", rejected[0].2);
}

#[tokio::test]
async fn an_event_without_an_id_or_a_time_is_taken_at_its_arrival() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.envelope(&app, envelope(&json!({}), &[("event", json!({"message": "bare"}).to_string())])).await;
    let header = json!({"event_id": ID});
    tally.envelope(&app, envelope(&header, &[("event", json!({"message": "id in front"}).to_string())])).await;
    let events = tally.all(&app).await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["timestamp"] == "2026-11-21T10:08:25.123456Z"));
    assert!(events.iter().any(|event| event["client_id"] == ID));
}

#[tokio::test]
async fn a_body_may_be_packed_in_every_way() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let text = |id: &str| one("event", &event(id, json!({"message": "hi"})));
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let key = format!("Sentry sentry_key={}", app.ingest_key);
    let bodies = [
        ("gzip", gzip(&text("a1"))),
        ("", gzip(&text("a2"))),
        ("deflate", zlib(&text("a3"))),
        ("zstd", zstd::encode_all(text("a4").as_bytes(), 3).unwrap()),
        ("br", brotli(&text("a5"))),
        ("BR", brotli(&text("a6"))),
        // Headers lie.
        ("br", text("a7").into_bytes()),
        ("br", gzip(&text("a8"))),
        ("gzip", text("a9").into_bytes()),
    ];
    let count = bodies.len();
    for (encoding, body) in bodies {
        let request =
            Request::post("/api/1/envelope/").header("x-sentry-auth", &key).header("content-encoding", encoding);
        let reply = tally.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{encoding}: {}", reply.json);
    }
    assert_eq!(tally.all(&app).await.len(), count);
    let damaged = [("gzip", vec![0x1f, 0x8b, 0]), ("br", brotli("{}\n")[..4].to_vec()), ("", vec![0xff; 9])];
    for (encoding, body) in damaged {
        let request =
            Request::post("/api/1/envelope/").header("x-sentry-auth", &key).header("content-encoding", encoding);
        assert_refused(&tally.send(request.body(Body::from(body)).unwrap()).await, 400);
    }
}

fn zlib(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A text of at most 64 KB in the format of brotli, in one block that is stored as it is (RFC 7932, section 9.2).
fn brotli(text: &str) -> Vec<u8> {
    let header = u32::try_from(text.len() - 1).unwrap() << 4 | 1 << 20;
    [&header.to_le_bytes()[..3], text.as_bytes(), &[3]].concat()
}

#[tokio::test]
async fn the_older_endpoint_takes_one_event() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let text = |id: &str| event(id, json!({"message": "hi", "timestamp": "2026-11-21T10:08:25"})).to_string();
    let path = format!("/api/1/store/?sentry_version=5&sentry_key={}", app.ingest_key);
    for body in [text("a1").into_bytes(), zlib(&text("a2")), STANDARD.encode(zlib(&text("a3"))).into_bytes()] {
        let reply = tally.post_sentry(&path, ("content-type", "application/octet-stream"), body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    }
    let pixel = format!("{path}&sentry_data={}", STANDARD.encode(text("a4")).replace('+', "%2B"));
    let reply = tally.call(Method::GET, &pixel, ("a", "b"), Body::empty()).await;
    assert_eq!((reply.status, &reply.json), (StatusCode::OK, &json!({"id": "a4"})));
    assert_eq!(tally.all(&app).await.len(), 4);
    for body in ["", "[]", "not JSON", "e30"] {
        assert_refused(&tally.post_sentry(&path, ("a", "b"), body).await, 400);
    }
}

#[tokio::test]
async fn browsers_report_violations_by_themselves() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let path = format!("/api/1/security/?sentry_key={}", app.ingest_key);
    let old = json!({"csp-report": {"document-uri": "https://shop.example/", "violated-directive": "script-src", "blocked-uri": "inline"}});
    let new = json!([
        {"type": "csp-violation", "url": "https://shop.example/", "body": {"effectiveDirective": "img-src", "blockedURL": "data"}},
        {"type": "deprecation", "body": {"message": "use another API"}}
    ]);
    for (media, body) in [("application/csp-report", old), ("application/reports+json", new)] {
        let reply = tally.post_sentry(&path, ("content-type", media), body.to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    }
    let mut kept: Vec<_> = tally.all(&app).await.iter().map(|e| json!([e["name"], e["message"]]).to_string()).collect();
    kept.sort();
    assert_eq!(
        kept,
        [
            r#"["csp","blocked img-src from data"]"#,
            r#"["csp","blocked script-src from inline"]"#,
            r#"["deprecation","use another API"]"#,
        ]
    );
    assert_refused(&tally.post_sentry(&path, ("a", "b"), "no JSON").await, 400);
}

#[tokio::test]
async fn an_event_that_is_too_large_loses_what_is_least_needed() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let large = "x".repeat(150_000);
    let sent = event(
        ID,
        json!({
            "exception": [{"type": "E", "value": "v".repeat(20_000), "stacktrace": {"frames": [{"function": "f", "vars": {"a": large}}]}}],
            "breadcrumbs": [{"message": large}], "extra": {"a": large}, "contexts": {"app": {"b": "c"}}
        }),
    );
    tally.envelope(&app, one("event", &sent)).await;
    let [event] = &tally.all(&app).await[..] else { panic!("one event") };
    assert_eq!(event["data"]["omitted"], json!(["vars", "breadcrumbs"]));
    assert_eq!(event["data"]["extra"]["a"].as_str().unwrap().len(), 150_000);
    assert_eq!(event["message"].as_str().unwrap().len(), 8 * 1024);
    assert_eq!(event["stack"][0]["frames"], json!([{"function": "f"}]));
}

#[tokio::test]
async fn what_cannot_be_kept_as_sent_is_mended() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let payload = format!(
        r#"{{"event_id":"{ID}","timestamp":1795255705.5,"message":"a\u0000b\ud83d","level":"info","level":"debug","extra":{{"":1,"big":1e400,"deep":{deep}}}}}"#
    );
    tally.envelope(&app, format!("{{}}\n{{\"type\":\"event\"}}\n{payload}")).await;
    let [event] = &tally.all(&app).await[..] else { panic!("one event") };
    assert_eq!((&event["message"], &event["level"]), (&json!("a\u{fffd}b\u{fffd}"), &json!("DEBUG")));
    assert_eq!(event["data"]["extra"]["big"], "1e400");
}

#[tokio::test]
async fn limits_are_told_in_the_headers_that_the_sdks_read() {
    let tally = Tally::start().await;
    let new = admin::NewApp { name: "shop".into(), events_per_minute: Some(2), ..Default::default() };
    let app = tally.app_with(new).await;
    let log = |n: usize| json!({"timestamp": 1_795_255_705.5, "body": n.to_string()});
    let path = format!("/api/1/envelope/?sentry_key={}", app.ingest_key);
    let reply = tally.post_sentry(&path, ("a", "b"), logs(&json!([log(1), log(2), log(3)]))).await;
    assert_refused(&reply, 429);
    // The tests begin 25 seconds into a minute.
    assert_eq!(reply.headers["x-sentry-rate-limits"], "35:error;default;log_item:organization:tally");
    tally.envelope(&app, logs(&json!([log(1), log(2)]))).await;

    let bomb = zstd::encode_all(&vec![b' '; 17 * 1024 * 1024][..], 1).unwrap();
    assert_refused(&tally.post_sentry(&path, ("a", "b"), bomb).await, 413);
    for body in ["no envelope", "", "[]\n{}"] {
        assert_refused(&tally.post_sentry(&path, ("a", "b"), body).await, 400);
    }
    let rejected = tally.rejected(&app).await;
    assert!(
        rejected.iter().any(|(reason, _, sample)| (&**reason, &**sample) == ("unreadable", "no envelope")),
        "{rejected:?}"
    );
}

#[tokio::test]
async fn one_request_holds_many_records_and_no_more() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut body = "{}\n".to_owned();
    for _ in 0..10_003 {
        body.push_str("{\"type\":\"event\"}\n0\n");
    }
    tally.envelope(&app, body).await;
    let rejected = tally.rejected(&app).await;
    let counts: Vec<_> = rejected.iter().map(|(reason, count, _)| (reason.as_str(), *count)).collect();
    assert_eq!(counts, [("too_large", 3), ("unreadable", 10_000)]);
}

#[tokio::test]
async fn values_are_counted_before_they_take_memory() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let dense = |n: usize| format!(r#"{{"message":"m","extra":{{"a":[{}1]}}}}"#, r#"{"a":1},"#.repeat(n));
    let log = format!(r#"{{"timestamp":1795255705.5,"body":"b","attributes":{{"a":[{}1]}}}}"#, "1,".repeat(60_000));
    let mut items = vec![("event", dense(30_000)), ("log", format!(r#"{{"items":[{log},{{"body":"good"}}]}}"#))];
    items.extend(std::iter::repeat_n(("event", dense(24_000)), 5));
    tally.envelope(&app, envelope(&json!({}), &items)).await;
    let rejected = tally.rejected(&app).await;
    // Of the five that are large, four are within what a request may have.
    assert_eq!(
        rejected.iter().map(|(reason, count, _)| (reason.as_str(), *count)).collect::<Vec<_>>(),
        [("too_large", 3)]
    );
    assert_eq!(tally.all(&app).await.len(), 5);
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_that_mutes_nothing() {
    let tally = Tally::failing(|operation, _| match operation {
        "PutItem" => Fault::throttled(),
        "BatchWriteItem" => Fault::server_error(),
        _ => Fault::None,
    })
    .await;
    let app = tally.app("shop").await;
    let path = format!("/api/1/envelope/?sentry_key={}", app.ingest_key);
    let log = json!({"timestamp": 1_795_255_705.5, "body": "a"});
    for body in [one("event", &event(ID, json!({"message": "hi"}))), logs(&json!([log, log]))] {
        let reply = tally.post_sentry(&path, ("a", "b"), body).await;
        assert_refused(&reply, 503);
        assert!(!reply.headers.contains_key("x-sentry-rate-limits"), "the next event may be stored");
    }
}

/// As `sentry-sdk` for Python sends an exception.
fn raised(id: &str, cart: u32, timestamp: &str) -> String {
    let frames = json!([
        {"filename": "boom.py", "function": "<module>", "lineno": 8, "in_app": true},
        {"filename": "boom.py", "function": "load", "lineno": 4, "in_app": true}]);
    let exception =
        json!({"values": [{"type": "KeyError", "value": format!("cart {cart}"), "stacktrace": {"frames": frames}}]});
    let fields = json!({"level": "error", "exception": exception, "release": "shop@1.0", "environment": "test", "timestamp": timestamp});
    one("event", &event(id, fields))
}

#[tokio::test]
async fn an_exception_that_is_sent_twice_is_one_issue_and_regresses() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let id = |n: u8| format!("9ec79c33ec9942ab8353589fcb2e04d{n}");
    tally.envelope(&app, raised(&id(1), 5, "2026-11-21T10:00:00Z")).await;
    tally.envelope(&app, raised(&id(2), 484_509, "2026-11-21T10:00:01Z")).await;
    // The SDK has seen no answer and sends it again.
    tally.envelope(&app, raised(&id(2), 484_509, "2026-11-21T10:00:01Z")).await;
    tally.drain().await;
    let issues = tally.ask(&app, "/issues").await;
    let issue = issues["items"][0].clone();
    assert_eq!(issues["items"].as_array().map(Vec::len), Some(1));
    assert_eq!((&issue["count"], &issue["title"]), (&json!(2), &json!("KeyError: cart <n>")));
    assert_eq!((&issue["place"], &issue["releases"]), (&json!("boom.py:4 in load"), &json!(["shop@1.0"])));
    let token = tally.token(Role::Admin).await;
    let path = format!("/apps/shop/issues/{}", issue["id"].as_str().unwrap());
    let resolved = tally.call(Method::PATCH, &path, ("x-access-token", &token), r#"{"state": "resolved"}"#).await;
    assert_eq!(resolved.json["state"], "resolved");
    tally.clock.set(tally.clock.now() + 10 * SECOND);
    tally.envelope(&app, raised(&id(3), 7, "2026-11-21T10:08:34Z")).await;
    tally.drain().await;
    let issue = tally.ask(&app, "/issues").await["items"][0].clone();
    assert_eq!((&issue["state"], &issue["regressed"], &issue["count"]), (&json!("open"), &json!(true), &json!(3)));
}
