//! The libraries of Segment and `RudderStack`.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Tally, TestApp};

fn track(id: &str) -> Value {
    json!({
        "type": "track", "event": "Order Completed", "userId": "u1", "anonymousId": "a1", "messageId": id,
        "timestamp": "2026-11-21T10:08:25.123Z", "sentAt": "2026-11-21T10:08:26.000Z", "integrations": {},
        "properties": {"total": 12.50, "products": [{"sku": "é"}]},
        "context": {"library": {"name": "analytics.js"}, "ip": "203.0.113.9", "sessionId": 1_795_255_705_123_u64,
            "page": {"path": "/cart"}},
    })
}

async fn send(tally: &Tally, request: http::request::Builder, body: impl Into<Body>) -> (StatusCode, Value) {
    let (parts, body) = tally.raw(request.body(body.into()).unwrap()).await;
    (parts.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn post(tally: &Tally, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
    let basic = format!("Basic {}", STANDARD.encode(format!("{key}:")));
    send(
        tally,
        Request::post(path).header("authorization", basic).header("content-type", "text/plain"),
        body.to_string(),
    )
    .await
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

fn ok() -> (StatusCode, Value) {
    (StatusCode::OK, json!({"success": true}))
}

#[tokio::test]
async fn a_call_becomes_an_event_and_counts_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for sent_at in ["2026-11-21T10:08:26.000Z", "2026-11-21T10:08:36.000Z"] {
        let batch = json!({"batch": [track("m1")], "writeKey": app.ingest_key, "sentAt": sent_at});
        assert_eq!(post(&tally, "/v1/batch", &app.ingest_key, &batch).await, ok());
    }
    let events = tally.list(&app, "").await;
    let [event] = &*events else { panic!("{events:?}") };
    for (name, value) in [
        ("name", json!("Order Completed")),
        ("user_id", json!("u1")),
        ("session_id", json!("1795255705123")),
        ("client_id", json!("m1")),
        ("timestamp", json!("2026-11-21T10:08:25.123Z")),
        ("data", json!({"total": 12.5, "products": [{"sku": "é"}]})),
        ("tags", json!({"library": {"name": "analytics.js"}, "page": {"path": "/cart"}, "anonymousId": "a1"})),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 1);
}

#[tokio::test]
async fn every_kind_of_call_has_its_paths() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let of =
        |id: &str| json!({"messageId": id, "timestamp": "2026-11-21T10:00:00Z", "anonymousId": "a1", "name": "Home"});
    let paths = [
        ("/v1/p", "page"),
        ("/v1/page/", "page"),
        ("/v1/s", "screen"),
        ("/v1/screen", "screen"),
        ("/v1/i", "identify"),
        ("/v1/identify", "identify"),
        ("/v1/g", "group"),
        ("/v1/group", "group"),
        ("/v1/a", "alias"),
        ("/v1/alias", "alias"),
    ];
    for (path, name) in paths {
        assert_eq!(post(&tally, path, &app.ingest_key, &of(path)).await, ok(), "{path}");
        let events = tally.list(&app, &format!("name={name}")).await;
        assert_eq!((&events[0]["user_id"], &events[0]["data"]["name"]), (&json!("a1"), &json!("Home")));
        assert_eq!(events[0]["tags"]["anonymous"], true);
    }
    for path in ["/v1/t", "/v1/track", "/v1/b", "/v1/import", "/beacon/v1/batch"] {
        assert_eq!(post(&tally, path, &app.ingest_key, &track(path)).await, ok(), "{path}");
    }
    assert_eq!(post(&tally, "/v1/m", &app.ingest_key, &json!({"series": []})).await, ok());
    assert_eq!(post(&tally, "/v1/other", &app.ingest_key, &track("x")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(total(&mut tally, &app).await, 15);
}

#[tokio::test]
async fn the_key_is_in_a_header_the_body_the_query_or_the_path() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let batch = |id: &str, key: Option<&str>| json!({"batch": [track(id)], "writeKey": key}).to_string();
    let in_body = send(&tally, Request::post("/v1/batch"), batch("a", Some(&app.ingest_key))).await;
    let beacon = format!("/beacon/v1/batch?writeKey={}", app.ingest_key);
    let in_query = send(&tally, Request::post(beacon), batch("b", None)).await;
    let under_key = format!("/k/{}/v1/batch/", app.ingest_key);
    let in_path = send(&tally, Request::post(under_key), batch("c", None)).await;
    assert_eq!([in_body, in_query, in_path], [ok(), ok(), ok()]);
    let pixel = format!("/pixel/v1/track?writeKey={}&event=Opened&userId=u1&properties.mail=7", app.ingest_key);
    let (parts, _) = tally.raw(Request::get(pixel).body(Body::empty()).unwrap()).await;
    assert_eq!((parts.status, &parts.headers["content-type"]), (StatusCode::OK, &"image/gif".parse().unwrap()));
    let opened = tally.list(&app, "name=Opened&consistent=true").await;
    assert_eq!(opened[0]["data"], json!({"mail": "7"}));
    assert_eq!(total(&mut tally, &app).await, 4);
}

#[tokio::test]
async fn bad_calls_do_not_lose_their_neighbours() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let batch = json!({"batch": [track("good"), {"type": "track"}, {"type": "dance"}, 7, {"type": "track", "event": "x".repeat(300)}]});
    assert_eq!(post(&tally, "/v1/batch", &app.ingest_key, &batch).await, ok());
    assert_eq!(tally.list(&app, "").await.len(), 2, "a long name is cut");
}

#[tokio::test]
async fn settings_lead_back_to_tally_and_switch_metrics_off() {
    let tally = Tally::start().await;
    for path in ["/v1/projects/KEY/settings", "/projects/KEY/settings"] {
        let (status, reply) = send(&tally, Request::get(path).header("host", "tally.example:8443"), "").await;
        assert_eq!(status, StatusCode::OK);
        let settings = &reply["integrations"]["Segment.io"];
        assert_eq!((&settings["apiKey"], &settings["apiHost"]), (&json!("KEY"), &json!("tally.example:8443/v1")));
        assert_eq!(reply["metrics"]["sampleRate"], 0);
    }
    let (_, reply) = send(&tally, Request::get("/sourceConfig/?p=web&writeKey=KEY"), "").await;
    assert_eq!(reply["source"]["writeKey"], "KEY");
    assert_eq!(reply["source"]["destinations"], json!([]));
}

#[tokio::test]
async fn errors_have_a_code_and_a_message() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (key, body, status) in [
        ("nobody", track("a"), 401),
        (&*app.read_key, track("a"), 403),
        (&*app.ingest_key, json!("no call"), 400),
        (&*app.ingest_key, json!({"batch": 7}), 400),
    ] {
        let (sent, reply) = post(&tally, "/v1/batch", key, &body).await;
        assert_eq!(sent, status, "{reply}");
        assert!(reply["code"].is_string() && reply["message"].as_str().is_some_and(|text| !text.is_empty()), "{reply}");
    }
}
