//! Sending events.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::clock::Clock;
use tally_service::config::Config;
use tally_service::context::Context;
use tally_store::{Connection, connect};

use crate::faulty::Fault;
use crate::harness::{NOW, Tally, assert_problem, at, column};

fn post(path: &str, key: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path).header("x-ingest-key", key);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).expect("a request")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_event_is_stored_and_read_back_as_it_was_sent() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let sent = json!({
        "id": "order-17", "name": "Order Placed", "category": "sales", "level": "warning", "message": "large",
        "session_id": "s-1", "user_id": "u-1", "timestamp": "2026-11-21T09:00:00.123456+01:00", "count": 3,
        "data": {"total": 12.5, "items": [{"sku": "a"}, null, true], "empty": ""}, "tags": ["x"], "stack": {"frames": []},
    });
    let stored = tally.accept(&app, &sent).await;
    for field in ["name", "category", "message", "session_id", "user_id", "count", "data", "tags", "stack"] {
        assert_eq!(stored[field], sent[field], "{field}");
    }
    assert_eq!(stored["client_id"], "order-17");
    assert_eq!(stored["slug"], "order-placed");
    assert_eq!(stored["level"], "WARN");
    assert_eq!(stored["app"], "shop");
    assert_eq!(stored["timestamp"], "2026-11-21T08:00:00.123456Z");
    assert_eq!(stored["received_at"], NOW);
    let id = stored["id"].as_str().unwrap();
    assert_eq!(tally.ask(&app, &format!("/events/{id}")).await, stored);
    assert_eq!(tally.list(&app, "").await, [stored]);
}

#[tokio::test]
async fn numbers_keep_their_value() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = r#"{"name":"a","data":{"big":12345678901234567890123456789012345678,"small":1e-120,"tiny":1e-200}}"#;
    let reply = tally.call(Method::POST, "/apps/shop/events", ("x-ingest-key", &app.ingest_key), body).await;
    assert_eq!(reply.status, 201, "{}", reply.json);
    let request = Request::get("/apps/shop/events").header("x-read-key", &app.read_key).body(Body::empty()).unwrap();
    let (_, reply) = tally.raw(request).await;
    // As text: serde_json rounds what it reads to 64 bits.
    let reply = String::from_utf8(reply).unwrap();
    let data = r#""data":{"big":12345678901234567890123456789012345678,"small":1e-120,"tiny":0}"#;
    assert!(reply.contains(data), "{reply}");
}

#[tokio::test]
async fn names_used_by_other_systems_are_understood() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let name_and_slug = |event: &Value| (event["name"].clone(), event["slug"].clone());
    let event = tally.accept(&app, &json!({"event": "started"})).await;
    assert_eq!(name_and_slug(&event), (json!("started"), json!("started")));
    let event = tally.accept(&app, &json!({"event": {"id": "app-start", "event": "application started"}})).await;
    assert_eq!(name_and_slug(&event), (json!("application started"), json!("app-start")));
    let event = tally.accept(&app, &json!({"event": {"slug": "s", "name": "n"}, "occurred_at": 1_795_248_000})).await;
    assert_eq!(name_and_slug(&event), (json!("n"), json!("s")));
    assert_eq!(event["timestamp"], "2026-11-21T08:00:00Z");
    let event = tally.accept(&app, &json!({"message": "boom", "level": "critical", "name": null, "id": ""})).await;
    assert_eq!((&event["name"], &event["level"]), (&json!("log"), &json!("FATAL")));
}

#[tokio::test]
async fn an_event_sent_again_under_its_id_is_one_event() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = |count: u64| json!({"name": "a", "id": "x", "timestamp": "2026-11-21T08:00:00Z", "count": count});
    let first = tally.accept(&app, &event(5)).await;
    let again = tally.accept(&app, &json!([event(1), event(2)])).await;
    assert_eq!(again["ids"], json!([first["id"], first["id"]]));
    assert_eq!(column(&json!(tally.list(&app, "").await), "count"), [2]);
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/reports/day?date=today").await["total"], 2);
}

#[tokio::test]
async fn a_batch_gets_a_verdict_for_each_event() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let reply =
        tally.ingest(&app, &json!([{"name": "a"}, {"name": [5]}, {"name": "b", "nmae": 1}, {"name": "c"}])).await;
    assert_eq!(reply.status, 207, "{}", reply.json);
    assert_eq!(reply.json["accepted"], 2);
    let stored: Vec<_> = reply.json["ids"].as_array().unwrap().iter().map(Value::is_string).collect();
    assert_eq!(stored, [true, false, false, true]);
    assert_eq!(column(&reply.json["rejected"], "index"), [1, 2]);
    assert_eq!(column(&reply.json["rejected"], "retry"), [false, false]);
    assert!(reply.json["rejected"][1]["detail"].as_str().unwrap().contains("`nmae`"));
    assert_eq!(tally.list(&app, "").await.len(), 2);
}

#[tokio::test]
async fn a_batch_is_accepted_in_every_encoding() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let list = json!((0..1_000).map(|n| json!({"name": format!("n{n}")})).collect::<Vec<_>>()).to_string();
    let lines = "{\"name\":\"line\"}\r\n\n".repeat(60);
    let zstd = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    let ndjson = ("content-type", "application/x-ndjson; charset=utf-8");
    for (headers, body, events) in [
        (vec![], list.clone().into_bytes(), 1_000),
        (vec![("content-type", "text/plain")], list.clone().into_bytes(), 1_000),
        (vec![("content-encoding", "gzip"), ("content-type", "application/json")], gzip(list.as_bytes()), 1_000),
        (vec![ndjson], lines.clone().into_bytes(), 60),
        (vec![ndjson, ("content-encoding", "zstd")], zstd, 60),
    ] {
        let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &headers, body)).await;
        assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (201, &json!(events)), "{headers:?}");
    }
    assert_eq!(tally.list(&app, "limit=1000").await.len(), 3_120);
}

#[tokio::test]
async fn a_bad_line_spoils_no_other() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = "{\"name\":\"a\"}\n{\"name\":\n[]\n{\"name\":\"b\"}";
    let headers = [("content-type", "application/x-ndjson")];
    let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &headers, body)).await;
    assert_eq!(reply.status, 207);
    assert_eq!(column(&reply.json["rejected"], "index"), [1, 2]);
}

#[tokio::test]
async fn bad_input_is_named_and_nothing_is_stored() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let deep = |levels: usize| format!(r#"{{"name":"a","data":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let session = format!(r#"{{"name":"a","session_id":"{}"}}"#, "s".repeat(3 * 1024));
    let large = format!(r#"{{"name":"a","data":"{}"}}"#, "x".repeat(256 * 1024));
    let cases: Vec<(&str, u16, &[&str])> = vec![
        ("", 400, &[""]),
        ("{", 400, &[""]),
        (r#"{"name":"a"} x"#, 400, &[""]),
        ("[]", 400, &[""]),
        ("5", 400, &[""]),
        ("[5]", 400, &["[0]"]),
        ("{}", 400, &["name"]),
        (
            r#"{"name":[],"count":"1","timestamp":true,"session_id":{},"data":1}"#,
            400,
            &["count", "name", "session_id", "timestamp"],
        ),
        (r#"{"name":"a","name":"b"}"#, 400, &["name"]),
        (r#"{"name":"a","data":{"x":{"k":1,"k":2}}}"#, 400, &["data.x.k"]),
        (r#"{"name":"a","data":{"x":{"":1}}}"#, 400, &["data.x"]),
        (r#"{"name":"a","tags":[1e300]}"#, 400, &["tags.0"]),
        (r#"{"name":"a","stack":{"n":123456789012345678901234567890123456789}}"#, 400, &["stack.n"]),
        (r#"{"name":"a","color":"red"}"#, 400, &["color"]),
        (r#"{"name":"a","event":"b"}"#, 400, &["event"]),
        (r#"{"event":{"id":"a","slug":"b","event":"c","x":1}}"#, 400, &["event.slug", "event.x"]),
        (r#"{"name":"a","level":"LOUD"}"#, 400, &["level"]),
        (r#"{"name":"a","count":0}"#, 400, &["count"]),
        (r#"{"name":"a","count":1.5}"#, 400, &["count"]),
        (r#"{"name":"a","count":1000000001}"#, 400, &["count"]),
        (r#"{"name":"a","id":"x"}"#, 400, &["timestamp"]),
        (r#"{"name":"a","timestamp":"yesterday"}"#, 400, &["timestamp"]),
        (r#"{"name":"a","timestamp":"1969-12-31T23:59:59Z"}"#, 400, &["timestamp"]),
        (r#"{"name":"a","timestamp":"2026-11-22T10:08:26Z"}"#, 400, &["timestamp"]),
        (r#"{"name":"\ud800"}"#, 400, &["name"]),
        (&session, 400, &["session_id"]),
        (&large, 400, &[""]),
    ];
    for (body, status, fields) in cases {
        let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &[], body.to_owned())).await;
        assert_problem(&reply, status, fields);
    }
    for levels in [17, 33, 100_000] {
        let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &[], deep(levels))).await;
        assert_eq!(reply.status, 400, "{levels} levels");
    }
    let query = tally.send(post("/apps/shop/events?sync=1", &app.ingest_key, &[], r#"{"name":"a"}"#)).await;
    assert_problem(&query, 400, &["sync"]);
    let xml = [("content-type", "application/xml")];
    assert_problem(&tally.send(post("/apps/shop/events", &app.ingest_key, &xml, "<a/>")).await, 415, &[]);
    let brotli = [("content-encoding", "br")];
    assert_problem(&tally.send(post("/apps/shop/events", &app.ingest_key, &brotli, "x")).await, 415, &[]);
    let not_gzip = [("content-encoding", "gzip")];
    assert_problem(&tally.send(post("/apps/shop/events", &app.ingest_key, &not_gzip, "x")).await, 400, &[""]);
    assert!(tally.list(&app, "").await.is_empty());
}

#[tokio::test]
async fn oversized_bodies_are_refused_unread() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let many = json!(vec![json!({"name": "a"}); 1_001]).to_string();
    let sent = "x".repeat(4 * 1024 * 1024 + 1);
    let bomb = gzip(&vec![b' '; 300 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024);
    for (headers, body) in
        [(vec![], many.into_bytes()), (vec![], sent.into_bytes()), (vec![("content-encoding", "gzip")], bomb)]
    {
        let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &headers, body)).await;
        assert_problem(&reply, 413, &[]);
    }
    // A frame that asks for a window of 1 GB.
    let greedy = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00];
    let zstd = [("content-encoding", "zstd")];
    assert_problem(&tally.send(post("/apps/shop/events", &app.ingest_key, &zstd, greedy.to_vec())).await, 400, &[""]);
}

#[tokio::test]
async fn one_event_costs_one_write_unit() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut event = json!({"name": "page view", "level": "INFO", "user_id": "u", "data": {"path": "/"}});
    tally.accept(&app, &event).await;
    let cost = async |event: &Value| {
        let before = tally.usage();
        tally.accept(&app, event).await;
        let used = tally.usage() - before;
        assert_eq!((used.read_requests, used.write_requests), (0, 1), "one round trip");
        used.write_units
    };
    assert!((cost(&event).await - 1.0).abs() < 1e-9);
    event["data"] = json!("x".repeat(700));
    assert!((cost(&event).await - 1.0).abs() < 1e-9);
    event["data"] = json!("x".repeat(1_000));
    assert!((cost(&event).await - 2.0).abs() < 1e-9, "past 1 KB a second unit");
    event["data"] = json!(1);
    event["session_id"] = json!("s");
    assert!((cost(&event).await - 2.0).abs() < 1e-9, "a session is written to its index as well");
    let before = tally.usage();
    tally.accept(&app, &json!(vec![json!({"name": "a"}); 100])).await;
    let used = tally.usage() - before;
    assert_eq!((used.write_requests, used.write_units), (4, 100.0));
}

#[tokio::test]
async fn occurrences_are_counted_without_a_body() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (path, name, count) in [
        ("count/login", "login", 1),
        ("count/login/3", "login", 3),
        ("count/resource/209/2", "resource/209", 2),
        ("count?name=a%2Fb%20c&n=7", "a/b c", 7),
        ("count/a%20b%25", "a b%", 1),
        ("count/404", "404", 1),
        ("count/login/", "login", 1),
        ("count/login/3/", "login", 3),
    ] {
        let path = format!("/apps/shop/{path}");
        let reply = tally.call(Method::POST, &path, ("x-ingest-key", &app.ingest_key), "").await;
        assert_eq!(reply.status, 201, "{}", reply.json);
        assert_eq!((&reply.json["name"], &reply.json["count"]), (&json!(name), &json!(count)), "{path}");
    }
    let safe = "/apps/shop/count/once?id=x&timestamp=2026-11-21T08:00:00Z";
    for _ in 0..2 {
        tally.call(Method::POST, safe, ("x-ingest-key", &app.ingest_key), "").await;
    }
    tally.drain().await;
    let items = tally.ask(&app, "/stats/by-name").await;
    let once = items["items"].as_array().unwrap().iter().find(|item| item["name"] == "once").unwrap();
    assert_eq!(once["count"], 1);
    for (path, field) in [
        ("count", "name"),
        ("count/a/0", "n"),
        ("count/a/1000000001", "n"),
        ("count/a?name=b", "name"),
        ("count?name=a&n=x", "n"),
        ("count?name=a&level=INFO", "level"),
        ("count?name=a&id=x", "timestamp"),
        ("count?name=caf%E9", "name"),
        ("count?name=%00", "name"),
        ("count/caf%E9", "path"),
        ("count/%20%09", "name"),
    ] {
        let path = format!("/apps/shop/{path}");
        let reply = tally.call(Method::POST, &path, ("x-ingest-key", &app.ingest_key), "").await;
        assert_problem(&reply, 400, &[field]);
    }
}

#[tokio::test]
async fn with_the_server_clock_events_are_stored_at_their_time_of_receipt() {
    let mut tally = Tally::start().await;
    let app = tally.received_app("logs").await;
    let event = json!({"message": "m", "id": "x", "occurred_at": "2020-01-01T00:00:00Z"});
    let ids = [tally.accept(&app, &event).await, tally.accept(&app, &event).await];
    assert_ne!(ids[0]["id"], ids[1]["id"], "a retry is a new event");
    assert_eq!(ids[0]["timestamp"], "2020-01-01T00:00:00Z");
    assert_eq!(tally.list(&app, "date=today").await.len(), 2);
    assert_eq!(tally.list(&app, "until=2026-11-21").await.len(), 0);
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/stats/top-messages").await["items"][0]["count"], 2);
}

#[tokio::test]
async fn an_unreachable_store_is_a_503() {
    let nowhere = Connection::Local("http://127.0.0.1:9".to_owned());
    let store = connect(nowhere, Config::default().tables);
    let context = Context::new(store, Clock::at(at(NOW)), Config::default());
    let service = tally::server::service(&context);
    let key = format!("tly_in_{}_{}", "0".repeat(12), "0".repeat(40));
    let request = post("/apps/shop/events", &key, &[], r#"{"name":"a"}"#);
    let Ok(reply) = tower::ServiceExt::oneshot(service, request).await;
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.headers()["retry-after"], "1");
}

#[tokio::test]
async fn an_event_or_a_request_of_too_many_json_values_is_refused_before_it_is_read() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let dense = |values: usize| json!({"name": "a", "data": vec![1; values - 3]});
    let reply = tally.ingest(&app, &dense(10_001)).await;
    assert_problem(&reply, 400, &[""]);
    assert!(reply.json["detail"].as_str().unwrap().contains("10001 JSON values: at most 10000"), "{}", reply.json);
    assert_eq!(tally.ingest(&app, &dense(10_000)).await.status, 201);
    let reply = tally.ingest(&app, &json!([dense(10_001), {"name": "b"}])).await;
    assert_eq!((reply.status.as_u16(), column(&reply.json["rejected"], "index")), (207, vec![&json!(0)]));
    assert_problem(&tally.ingest(&app, &json!(vec![dense(10_000); 21])).await, 413, &[]);
    assert_eq!(tally.ingest(&app, &json!(vec![dense(10_000); 20])).await.json["accepted"], 20);
    let seismo = json!({"event": "a", "data": vec![1; 10_000]}).to_string();
    let header = ("authorization", &*format!("Bearer {}", tally.token(Role::Admin).await));
    assert_eq!(tally.call(Method::POST, "/seismo/api/events/shop", header, seismo).await.status, 400);
}

#[tokio::test]
async fn very_many_members_of_gzip_are_refused() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let headers = [("content-encoding", "gzip"), ("content-type", "application/x-ndjson")];
    let send = async |members: usize, body: &[u8]| {
        let body = gzip(body).repeat(members);
        tally.send(post("/apps/shop/events", &app.ingest_key, &headers, body)).await
    };
    assert_eq!(send(1_000, b"{\"name\":\"a\"}\n").await.json["accepted"], 1_000);
    assert_problem(&send(200_000, b"").await, 413, &[]);
}

#[tokio::test]
async fn dense_events_are_sent_in_batches_within_the_request_limit() {
    // DynamoDB's own JSON makes five times as much of a list of digits.
    let largest = Arc::new(AtomicUsize::new(0));
    let most = Arc::clone(&largest);
    let tally = Tally::failing(move |operation, body| {
        if operation == "BatchWriteItem" {
            most.fetch_max(body.to_string().len(), Ordering::SeqCst);
        }
        Fault::None
    })
    .await;
    let app = tally.app("shop").await;
    let (digits, text) = (vec![1; 6_000], "x".repeat(200_000));
    let events: Vec<_> =
        (0..30).map(|n| json!({"name": "a", "data": {"n": n, "digits": digits, "text": text}})).collect();
    let body = gzip(json!(events).to_string().as_bytes());
    let before = tally.usage();
    let headers = [("content-encoding", "gzip")];
    let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &headers, body)).await;
    assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (201, &json!(30)));
    assert!(tally.usage().write_requests > before.write_requests + 1);
    let largest = largest.load(Ordering::SeqCst);
    assert!((200_000..2_000_000).contains(&largest), "{largest} bytes");
}

#[tokio::test]
async fn a_name_of_whitespace_or_control_characters_is_refused() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for name in [" ", "\u{0}", "\t\n", "\u{a0}\u{7f}", "\u{3000}"] {
        for body in [json!({"name": name}), json!({"name": name, "message": "m"})] {
            let reply = tally
                .call(Method::POST, "/apps/shop/events", ("x-ingest-key", &app.ingest_key), body.to_string())
                .await;
            assert_problem(&reply, 400, &["name"]);
        }
    }
}

#[tokio::test]
async fn a_number_or_a_boolean_for_a_text_is_taken_as_its_text() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = tally
        .accept(
            &app,
            &json!({"name": 404, "user_id": 42, "session_id": 1.50, "category": true, "slug": 7, "message": false,
                "id": 12, "timestamp": "2026-11-21T08:00:00Z"}),
        )
        .await;
    for (field, text) in [
        ("name", "404"),
        ("user_id", "42"),
        ("session_id", "1.5"),
        ("category", "true"),
        ("slug", "7"),
        ("message", "false"),
        ("client_id", "12"),
    ] {
        assert_eq!(event[field], text, "{field}");
    }
    assert_eq!(tally.list(&app, "user_id=42").await.len(), 1);
    let event = tally.accept(&app, &json!({"event": {"id": 1, "name": 2}})).await;
    assert_eq!((&event["slug"], &event["name"]), (&json!("1"), &json!("2")));
    assert_problem(&tally.ingest(&app, &json!({"name": "a", "user_id": [1]})).await, 400, &["user_id"]);
    assert_problem(&tally.ingest(&app, &json!({"name": "a", "level": 999})).await, 400, &["level"]);
}

#[tokio::test]
async fn ndjson_is_understood_with_a_byte_order_mark_and_without_its_content_type() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let send = async |content_type: &str, body: &str| {
        let headers = [("content-type", content_type)];
        tally.send(post("/apps/shop/events", &app.ingest_key, &headers, body.to_owned())).await
    };
    let lines = "{\"name\":\"a\"}\r\n\n  {\"name\":\"b\"}\n";
    for content_type in
        ["application/x-ndjson", "application/x-www-form-urlencoded", "text/plain", "", "application/json"]
    {
        for body in [lines.to_owned(), format!("\u{feff}{lines}")] {
            let reply = send(content_type, &body).await;
            assert_eq!(
                (reply.status.as_u16(), &reply.json["accepted"]),
                (201, &json!(2)),
                "{content_type}: {}",
                reply.json
            );
        }
    }
    let reply = send("application/json", "\u{feff}{\"name\":\"marked\"}").await;
    assert_eq!((reply.status.as_u16(), &reply.json["name"]), (201, &json!("marked")));
    // A bad line spoils no other; what is no event at all in its first line is JSON that is broken.
    assert_eq!(send("text/plain", "{\"name\":\"a\"}\n{\"name\":\n").await.status, 207);
    for broken in ["{\"name\":\"a\",\n\"b\"", "[1]\n[2]", "{\"name\":\"a\"} {\"name\":\"b\"}"] {
        assert_problem(&send("text/plain", broken).await, 400, &[""]);
    }
}

#[tokio::test]
async fn an_unknown_name_is_told_what_it_may_mean() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (sent, meant) in [
        ("userId", "user_id"),
        ("sessionId", "session_id"),
        ("event_name", "name"),
        ("ts", "timestamp"),
        ("time", "timestamp"),
        ("msg", "message"),
        ("severity", "level"),
        ("properties", "data"),
    ] {
        let reply = tally.ingest(&app, &json!({"name": "a", (sent): "x"})).await;
        assert_problem(&reply, 400, &[sent]);
        let detail = reply.json["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("did you mean `{meant}`?")) && detail.contains("`data`"), "{sent}: {detail}");
    }
    for (path, sent, meant) in [
        ("/events?from=2026-11-21", "from", "since"),
        ("/events?to=2026-11-21", "to", "until"),
        ("/events?userId=1", "userId", "user_id"),
        ("/events?page_size=1", "page_size", "limit"),
        ("/stats/by-name?from=2026-11-21", "from", "since"),
        ("/stats/timeseries?timezone=UTC", "timezone", "tz"),
        ("/reports/period?from=2026-11-21&to=2026-11-21&timezone=UTC", "timezone", "tz"),
        ("/histogram?event_name=a&name=a&date=today", "event_name", "name"),
    ] {
        let reply = tally.get(&app, path).await;
        assert_problem(&reply, 400, &[sent]);
        let detail = reply.json["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("did you mean `{meant}`?")), "{path}: {detail}");
    }
    let reply = tally.get(&app, "/reports/period?since=2026-11-21&until=2026-11-21").await;
    assert!(reply.json["detail"].as_str().unwrap().contains("did you mean `from`?"), "{}", reply.json);
}

#[tokio::test]
async fn a_compressed_body_may_say_so_in_its_content_type() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let list = r#"[{"name":"a"},{"name":"b"}]"#;
    let lines = "{\"name\":\"a\"}\n{\"name\":\"b\"}\n";
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
    let (kind, coding) = ("content-type", "content-encoding");
    for text in [list, lines] {
        let (gzip, zstd) = (gzip(text.as_bytes()), zstd(text));
        for (headers, body) in [
            (vec![(kind, "application/gzip")], &gzip),
            (vec![(kind, "application/x-gzip")], &gzip),
            (vec![(kind, "application/gzip"), (coding, "gzip")], &gzip),
            (vec![(kind, "application/octet-stream"), (coding, "gzip")], &gzip),
            (vec![(kind, "application/octet-stream")], &gzip),
            (vec![(kind, "application/octet-stream")], &text.as_bytes().to_vec()),
            (vec![(kind, "application/zstd")], &zstd),
            (vec![(kind, "application/zstd"), (coding, "zstd")], &zstd),
            (vec![(kind, "application/octet-stream")], &zstd),
        ] {
            let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &headers, body.clone())).await;
            assert_eq!(
                (reply.status.as_u16(), &reply.json["accepted"]),
                (201, &json!(2)),
                "{headers:?}: {}",
                reply.json
            );
        }
        // As a gateway breaks it that takes it for text.
        let broken = String::from_utf8_lossy(&gzip).into_owned();
        let headers = [(coding, "gzip"), (kind, "application/json")];
        let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &headers, broken)).await;
        assert_problem(&reply, 400, &[""]);
        assert!(reply.json["detail"].as_str().unwrap().contains("application/gzip"), "{}", reply.json);
    }
    let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &[(kind, "application/gzip")], list)).await;
    assert_problem(&reply, 400, &[""]);
    let bomb = gzip(&vec![b' '; 17 * 1024 * 1024]);
    let reply = tally.send(post("/apps/shop/events", &app.ingest_key, &[(kind, "application/gzip")], bomb)).await;
    assert_problem(&reply, 413, &[]);
}
