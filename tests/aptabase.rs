//! The libraries of Aptabase.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Tally, TestApp};

fn event(timestamp: &str) -> Value {
    json!({
        "timestamp": timestamp, "sessionId": "s1", "eventName": "app_started",
        "systemProps": {"isDebug": false, "locale": "de", "osName": "macOS", "appVersion": "1.2.0", "sdkVersion": "aptabase-web@0.5.0"},
        "props": {"plan": "pro"},
    })
}

async fn post(tally: &Tally, path: &str, key: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::post(path).header("app-key", key).header("content-type", "application/json");
    let (parts, body) = tally.raw(request.body(body.into()).unwrap()).await;
    (parts.status, String::from_utf8(body).unwrap())
}

fn ok() -> (StatusCode, String) {
    (StatusCode::OK, "{}".to_owned())
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

#[tokio::test]
async fn an_event_is_taken_alone_and_in_a_list_and_counts_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let one = event("2026-11-21T10:08:25.123Z");
    // A library checks the form of its key.
    for key in [app.ingest_key.clone(), format!("A-SH-{}", app.ingest_key)] {
        assert_eq!(post(&tally, "/api/v0/event", &key, one.to_string()).await, ok());
        assert_eq!(post(&tally, "/api/v0/events/", &key, json!([one, one]).to_string()).await, ok());
    }
    assert_eq!(
        post(&tally, &format!("/k/{}/api/v0/event", app.ingest_key), "A-EU-0123456789", one.to_string()).await,
        ok()
    );
    let stored = tally.list(&app, "").await.remove(0);
    for (name, value) in [
        ("name", json!("app_started")),
        ("session_id", json!("s1")),
        ("timestamp", json!("2026-11-21T10:08:25.123Z")),
        ("data", json!({"plan": "pro"})),
        ("tags", one["systemProps"].clone()),
    ] {
        assert_eq!(stored[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 2, "two of one request are two");
}

#[tokio::test]
async fn a_time_of_whole_seconds_identifies_nothing() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for _ in 0..2 {
        let body = event("2026-11-21T10:08:25Z").to_string();
        assert_eq!(post(&tally, "/api/v0/event", &app.ingest_key, body).await, ok());
    }
    assert_eq!(total(&mut tally, &app).await, 2);
}

#[tokio::test]
async fn problems_are_told() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let many = format!("[{}1]", "1,".repeat(10_000));
    for (key, body, status) in [
        ("A-EU-0123456789", "{}", 401),
        (&*app.read_key, "{}", 403),
        (&*app.ingest_key, "", 400),
        (&*app.ingest_key, "{", 400),
        (&*app.ingest_key, "3", 400),
        (&*app.ingest_key, &*many, 413),
    ] {
        assert_eq!(post(&tally, "/api/v0/events", key, body.to_owned()).await.0.as_u16(), status, "{body:.40}");
    }
    let body = json!([event("2026-11-21T10:08:25.123Z"), {"props": {}}, event("soon")]).to_string();
    assert_eq!(post(&tally, "/api/v0/events", &app.ingest_key, body).await, ok());
    let names: Vec<_> = tally.list(&app, "").await.into_iter().map(|event| event["name"].clone()).collect();
    assert_eq!(names, ["app_started", "app_started"], "one that has no name is rejected alone");
}
