//! The script for web pages: how it is served, and what `/collect` takes of it. `tests/dashboard/script.test.mjs` runs it.

use axum::body::Body;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use std::io::Write;
use tally_service::config::Config;

use crate::harness::{Reply, Tally, TestApp, assert_problem};

/// The most bytes that the script may have after `gzip -9`.
const MOST: usize = 1_536;

async fn get(tally: &Tally, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::get(path).header("origin", "https://shop.example");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let (parts, body) = tally.raw(request.body(Body::empty()).unwrap()).await;
    (parts.status, parts.headers, body)
}

async fn collect(tally: &Tally, path: &str, body: &Value) -> Reply {
    let request = Request::post(path).header("origin", "https://shop.example").header("content-type", "text/plain");
    tally.send(request.body(Body::from(body.to_string())).unwrap()).await
}

fn gzipped(bytes: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

#[tokio::test]
async fn the_script_is_small_and_any_page_may_load_it() {
    let tally = Tally::start().await;
    let (_, _, script) = get(&tally, "/tally.js", &[]).await;
    assert!(gzipped(&script) <= MOST, "{} bytes", gzipped(&script));
    assert!(String::from_utf8(script.clone()).unwrap().contains("/collect`}?key="), "where it sends to");
    for path in [
        "/tally.js",
        "/script.js",
        "/js/script.js",
        "/js/script.hash.outbound-links.file-downloads.tagged-events.js",
        "/js/plausible.js",
        "/js/plausible.manual.js",
        "/js/pa-tly_in_0123456789ab_0123456789012345678901234567890123456789.js",
    ] {
        let (status, headers, body) = get(&tally, path, &[]).await;
        assert_eq!((status.as_u16(), &body), (200, &script), "{path}");
        for (name, value) in [
            ("content-type", "text/javascript; charset=utf-8"),
            ("cache-control", "public, max-age=86400"),
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(headers[name], value, "{path}: {name}");
        }
        let tag = headers["etag"].to_str().unwrap().to_owned();
        let (status, _, body) = get(&tally, path, &[("if-none-match", &tag)]).await;
        assert_eq!((status.as_u16(), body.len()), (304, 0), "{path}");
        let (_, headers, br) = get(&tally, path, &[("accept-encoding", "gzip, br")]).await;
        assert!(headers["content-encoding"] == "br" && br.len() < MOST, "{path}");
        let (_, headers, gzip) = get(&tally, path, &[("accept-encoding", "gzip")]).await;
        assert!(headers["content-encoding"] == "gzip" && gzip.len() <= MOST, "{path}");
        assert_eq!(std::io::read_to_string(GzDecoder::new(&*gzip)).unwrap().into_bytes(), script);
    }
    for other in ["/js/tally.js", "/js/script", "/js/scripts.js", "/js/pa-1.css", "/js/shop.js"] {
        let (status, headers, _) = get(&tally, other, &[]).await;
        assert_eq!((status.as_u16(), &headers["cache-control"]), (404, &"no-store".parse().unwrap()), "{other}");
    }
    assert_problem(&tally.call(Method::PUT, "/tally.js", ("accept", "*/*"), "").await, 405, &[]);
}

#[tokio::test]
async fn settings_rename_the_script_and_where_it_sends_to() {
    let plain = get(&Tally::start().await, "/tally.js", &[]).await;
    let config = Config {
        script_path: Some("/js/garden.js".to_owned()),
        collect_path: Some("/c/flowers".to_owned()),
        ..Config::default()
    };
    let tally = Tally::with(config).await;
    let (status, headers, script) = get(&tally, "/js/garden.js", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(headers["etag"], plain.1["etag"], "it is another version");
    let expected = String::from_utf8(plain.2).unwrap().replace("/collect`}?key=", "/c/flowers`}?key=");
    assert_eq!(String::from_utf8(script.clone()).unwrap(), expected);
    assert_eq!(get(&tally, "/tally.js", &[]).await.2, script, "the old name goes on");
    let (_, headers, gzip) = get(&tally, "/js/garden.js", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(std::io::read_to_string(GzDecoder::new(&*gzip)).unwrap(), expected);

    // Also for scripts that browsers have kept from before.
    let app = tally.app("shop").await;
    for path in ["/c/flowers", "/c/flowers/", "/c/before", "/collect", "/collect/"] {
        let event = json!([{"name": path, "id": "01a1fd70f1c070008123456789012345"}]);
        let reply = collect(&tally, &format!("{path}?key={}", app.ingest_key), &event).await;
        assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (202, &json!(1)), "{path}: {}", reply.json);
    }
}

fn pageview(id: &str) -> Value {
    json!({"id": id, "name": "pageview", "data": {"url": "https://shop.example/cart?step=2", "title": "Cart"}})
}

async fn stored(tally: &Tally, app: &TestApp) -> Vec<Value> {
    tally.list(app, "limit=100&consistent=true").await
}

#[tokio::test]
async fn what_a_page_sends_again_is_the_same_event() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let path = format!("/collect?key={}", app.ingest_key);
    // UUIDs of version 7, as the script makes them, of 9:30 on 21 November 2026.
    let (first, second) = ("01a1fd70f1c070008123456789012345", "01a1fd70f1c070008123456789012346");
    for _ in 0..2 {
        let reply = collect(&tally, &path, &json!([pageview(first), pageview(second)])).await;
        assert_eq!((reply.status.as_u16(), &reply.json), (202, &json!({"accepted": 2, "rejected": 0})));
        assert_eq!(reply.headers["access-control-allow-origin"], "https://shop.example", "the page may read it");
    }
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/stats/totals").await["items"][0]["count"], 2);
    let events = stored(&tally, &app).await;
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["data"]["path"], &events[0]["client_id"]), (&json!("/cart"), &json!(second)));

    // A growing engagement replaces itself.
    for duration in [1_000, 5_000] {
        let body =
            json!({"id": "01a1fd70f1c170008123456789012345", "name": "engagement", "data": {"duration_ms": duration}});
        assert_eq!(collect(&tally, &path, &json!([body])).await.status.as_u16(), 202);
    }
    tally.drain().await;
    let engagements: Vec<_> =
        stored(&tally, &app).await.into_iter().filter(|event| event["name"] == "engagement").collect();
    assert_eq!(engagements.len(), 1);
    assert_eq!(engagements[0]["data"]["duration_ms"], 5_000);
}

#[tokio::test]
async fn the_key_may_stand_in_the_query_the_body_or_the_path() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = &app.ingest_key;
    let events = json!([{"name": "a"}]);
    for (path, body) in [
        (format!("/collect?key={key}"), events.clone()),
        (format!("/collect?ingest_key={key}"), events.clone()),
        (format!("/k/{key}/collect"), events.clone()),
        ("/collect".to_owned(), json!({"key": key, "events": events})),
        (format!("/collect?key={key}"), json!({"name": "a", "message": "one event"})),
    ] {
        let reply = collect(&tally, &path, &body).await;
        assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (202, &json!(1)), "{path}: {}", reply.json);
    }
    let read_key = &app.read_key;
    for (path, body, status) in [
        ("/collect".to_owned(), events.clone(), 401),
        (format!("/collect?key={read_key}"), events.clone(), 403),
        (format!("/collect?key={key}"), json!("a"), 400),
    ] {
        let reply = collect(&tally, &path, &body).await;
        assert_problem(&reply, status, &[]);
        assert_eq!(reply.headers["access-control-allow-origin"], "https://shop.example", "{path}");
    }
    let too_many: Vec<_> = (0..1_001).map(|_| json!({"name": "a"})).collect();
    let reply = collect(&tally, &format!("/collect?key={key}"), &json!(too_many)).await;
    assert_problem(&reply, 413, &[]);
}

#[tokio::test]
async fn a_bad_event_is_shown_and_loses_none_of_its_neighbours() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let long = "x".repeat(100_000);
    let events = json!([{"name": "a"}, {"id": "x"}, {"name": "error", "level": "ERROR", "message": long}]);
    let reply = collect(&tally, &format!("/collect?key={}", app.ingest_key), &events).await;
    assert_eq!((reply.status.as_u16(), &reply.json), (202, &json!({"accepted": 2, "rejected": 1})));
    tally.context.rejections.written().await;
    let rejected = tally.ask(&app, "/rejected").await["items"].clone();
    assert_eq!((&rejected[0]["source"], &rejected[0]["sample"]), (&json!("script"), &json!(r#"{"id":"x"}"#)));
}

#[tokio::test]
async fn what_crawlers_send_is_taken_and_not_kept() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (agent, accepted) in [("Mozilla/5.0 (compatible; Googlebot/2.1)", 0), ("Mozilla/5.0 Firefox/145.0", 1)] {
        let request = Request::post(format!("/collect?key={}", app.ingest_key)).header("user-agent", agent);
        let reply = tally.send(request.body(Body::from(r#"[{"name":"a"}]"#)).unwrap()).await;
        assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (202, &json!(accepted)), "{agent}");
    }
    assert_eq!(stored(&tally, &app).await.len(), 1);
}
