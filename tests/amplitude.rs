//! The libraries of Amplitude.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tally_core::app::role::Role;

use crate::harness::{Tally, TestApp};

fn event(id: &str) -> Value {
    json!({
        "event_type": "Order Completed", "user_id": "u1", "device_id": "d1", "session_id": 1_795_255_700_000_u64,
        "time": 1_795_255_705_123_u64, "insert_id": id, "event_id": 7, "ip": "$remote", "platform": "Web",
        "library": "amplitude-ts/2", "language": "de", "event_properties": {"total": 12.5},
        "user_properties": {"$set": {"plan": "pro"}}, "groups": {},
    })
}

async fn post(tally: &Tally, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
    let (parts, body) = tally.raw(request).await;
    (parts.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn request(app: &TestApp, events: &[Value]) -> String {
    json!({"api_key": app.ingest_key, "events": events, "options": {"min_id_length": 1}}).to_string()
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

#[tokio::test]
async fn an_event_becomes_an_event_and_counts_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for path in ["/2/httpapi", "/2/httpapi/", "/batch", "/httpapi"] {
        let body = request(&app, &[event("i1"), event("i2")]);
        let (status, reply) = post(&tally, path, body.clone()).await;
        assert_eq!(
            (status, &reply["code"], &reply["events_ingested"]),
            (StatusCode::OK, &json!(200), &json!(2)),
            "{path}"
        );
        assert_eq!(reply["payload_size_bytes"], body.len());
        assert!(reply["server_upload_time"].is_u64());
    }
    let stored = tally.list(&app, "").await.remove(0);
    for (name, value) in [
        ("name", json!("Order Completed")),
        ("user_id", json!("u1")),
        ("session_id", json!("1795255700000")),
        ("timestamp", json!("2026-11-21T10:08:25.123Z")),
        ("data", json!({"total": 12.5, "event_id": 7, "user_properties": {"$set": {"plan": "pro"}}})),
        ("tags", json!({"platform": "Web", "library": "amplitude-ts/2", "language": "de", "device_id": "d1"})),
    ] {
        assert_eq!(stored[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 2);
}

#[tokio::test]
async fn a_batch_of_posthog_stays_one() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let batch =
        json!({"api_key": app.ingest_key, "batch": [{"event": "a", "distinct_id": "u", "properties": {"events": []}}]});
    assert_eq!(post(&tally, "/batch", batch.to_string()).await, (StatusCode::OK, json!({"status": 1})));
    assert_eq!(tally.list(&app, "").await[0]["name"], "a");
}

#[tokio::test]
async fn a_device_is_the_user_of_somebody_unknown() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut anonymous = event("i1");
    anonymous["user_id"] = Value::Null;
    anonymous["session_id"] = json!(-1);
    let (status, _) = post(&tally, "/2/httpapi", request(&app, &[anonymous])).await;
    assert_eq!(status, StatusCode::OK);
    let stored = tally.list(&app, "").await.remove(0);
    assert_eq!((&stored["user_id"], &stored["tags"]["anonymous"]), (&json!("d1"), &json!(true)));
    assert!(stored["session_id"].is_null(), "no session");
    // The same person once signed in.
    post(&tally, "/2/httpapi", request(&app, &[event("i2")])).await;
    let mut tally = tally;
    tally.drain().await;
    let person = tally.ask(&app, "/people/u1").await;
    assert!(person.to_string().contains("\"d1\""), "{person}");
}

#[tokio::test]
async fn the_form_of_the_first_version_is_taken() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events: String = form_urlencoded::byte_serialize(json!([event("i1")]).to_string().as_bytes()).collect();
    let (status, reply) = post(&tally, "/httpapi", format!("api_key={}&event={events}", app.ingest_key)).await;
    assert_eq!((status, &reply["events_ingested"]), (StatusCode::OK, &json!(1)));
}

#[tokio::test]
async fn problems_are_told_by_a_code_in_the_body() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let nobody = TestApp { ingest_key: "nobody".to_owned(), ..app.clone() };
    let reader = TestApp { ingest_key: app.read_key.clone(), ..app.clone() };
    for stranger in [nobody, reader] {
        // The library gives up where an error begins so, and would send again for ever where it does not.
        let (status, reply) = post(&tally, "/2/httpapi", request(&stranger, &[event("i1")])).await;
        assert_eq!((status, &reply["code"]), (StatusCode::BAD_REQUEST, &json!(400)));
        assert!(reply["error"].as_str().unwrap().starts_with("Invalid API key"), "{reply}");
    }
    for body in ["{", "", r#"{"api_key": "x"}"#] {
        let (status, reply) = post(&tally, &format!("/k/{}/2/httpapi", app.ingest_key), body).await;
        assert_eq!(
            (status, &reply["code"], &reply["missing_field"]),
            (StatusCode::BAD_REQUEST, &json!(400), &Value::Null)
        );
        assert_eq!(reply["events_with_invalid_fields"], json!({}));
    }
    let many = request(&app, &vec![json!({}); 10_001]);
    let (status, reply) = post(&tally, "/2/httpapi", many).await;
    assert_eq!((status, &reply["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!(413)));
}

#[tokio::test]
async fn events_over_the_quota_are_named_so_that_they_wait() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let token = tally.token(Role::Admin).await;
    let limits = json!({"scopes": ["ingest"], "events_per_minute": 1}).to_string();
    let made = tally.call(http::Method::POST, "/apps/shop/keys", ("x-access-token", &token), limits).await;
    let key = made.json["key"].as_str().unwrap().to_owned();
    let body = json!({"api_key": key, "events": [event("i1"), event("i2")]}).to_string();
    let (status, reply) = post(&tally, "/2/httpapi", body).await;
    assert_eq!((status, &reply["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!(429)));
    assert_eq!((&reply["throttled_events"], &reply["throttled_users"]), (&json!([0, 1]), &json!({})));
}

#[tokio::test]
async fn a_bad_event_loses_none_of_the_others() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = request(&app, &[event("i1"), json!({"time": 1_795_255_705_123_u64}), json!(3)]);
    let (status, reply) = post(&tally, "/2/httpapi", body).await;
    assert_eq!((status, &reply["events_ingested"]), (StatusCode::OK, &json!(1)));
    tally.context.rejections.written().await;
    assert_eq!(tally.ask(&app, "/rejected").await["items"].as_array().unwrap().len(), 2);
}
