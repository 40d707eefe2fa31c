//! What apps use.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Tally, assert_problem};

async fn usage(tally: &Tally, app: &str) -> Value {
    let reply = tally.admin(Method::GET, &format!("/apps/{app}/usage"), &json!({})).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    reply.json
}

fn day<'a>(usage: &'a Value, day: &str) -> &'a Value {
    usage["days"].as_array().unwrap().iter().find(|each| each["day"] == day).expect("a day")
}

#[tokio::test]
async fn events_and_bytes_are_told_by_day() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.app("other").await;
    let text = "x".repeat(4_000);
    let events = json!([
        {"name": "a", "timestamp": "2026-11-20T23:59:59Z", "data": {"text": text}},
        {"name": "a", "timestamp": "2026-11-20T10:00:00Z", "data": {"text": text}, "session_id": "s"},
        {"name": "a", "timestamp": "2026-11-19T10:00:00Z", "count": 10},
        {"name": "a", "timestamp": "2026-10-01T10:00:00Z"},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    let told = usage(&tally, "shop").await;
    assert_eq!((told["days"].as_array().unwrap().len(), &told["bytes_estimated"]), (30, &json!(true)));
    assert_eq!(told["days"][29]["day"], tally.clock.now().to_string()[..10]);
    assert_eq!((&told["events"], &day(&told, "2026-11-20")["events"]), (&json!(12), &json!(2)));
    assert_eq!(day(&told, "2026-11-19")["events"], 10);
    let bytes = |at: &str| day(&told, at)["bytes"].as_i64().unwrap();
    // The one with a session is stored twice.
    assert!((12_000..13_500).contains(&bytes("2026-11-20")), "{told}");
    assert!((200..400).contains(&bytes("2026-11-19")), "one event of ten occurrences: {told}");
    assert_eq!(told["bytes"], bytes("2026-11-20") + bytes("2026-11-19"));
    assert_eq!((bytes("2026-11-18"), &day(&told, "2026-11-18")["events"]), (0, &json!(0)));

    let none = usage(&tally, "other").await;
    assert_eq!((&none["events"], &none["bytes"]), (&json!(0), &json!(0)));
    assert_problem(&tally.admin(Method::GET, "/apps/none/usage", &json!({})).await, 404, &[]);
    assert_problem(&tally.get(&app, "/usage").await, 403, &[]);
}
