//! Rejected events: what is refused for good stays visible to the app's owner.

use http::Method;
use serde_json::{Value, json};
use tally_core::time::{DAY, SECOND};

use crate::erase::erase_app;
use crate::harness::{Tally, TestApp, assert_problem};

/// The rejected events of an app, once their writes have ended.
async fn rejected(tally: &Tally, app: &TestApp) -> Vec<Value> {
    tally.context.rejections.written().await;
    let reply = tally.ask(app, "/rejected").await;
    reply["items"].as_array().unwrap().clone()
}

/// Source, reason and count of each.
fn kinds(items: &[Value]) -> Vec<(&str, &str, u64)> {
    let mut kinds: Vec<_> = items
        .iter()
        .map(|item| {
            (item["source"].as_str().unwrap(), item["reason"].as_str().unwrap(), item["count"].as_u64().unwrap())
        })
        .collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test]
async fn bad_events_of_a_batch_are_kept_with_reason_count_and_sample() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    assert_eq!(rejected(&tally, &app).await, Vec::<Value>::new());
    let batch = json!([{"name": "good"}, {"id": "x"}, {"name": "a", "timestamp": "1969-01-01"}, {"name": "a", "b": 1}]);
    assert_eq!(tally.ingest(&app, &batch).await.status.as_u16(), 207);
    let items = rejected(&tally, &app).await;
    assert_eq!(
        kinds(&items),
        [("events", "invalid_field", 1), ("events", "invalid_name", 1), ("events", "invalid_time", 1)]
    );
    let time = items.iter().find(|item| item["reason"] == "invalid_time").unwrap();
    assert_eq!(time["sample"], json!({"name": "a", "timestamp": "1969-01-01"}).to_string());
    assert!(time["detail"].as_str().unwrap().contains("before 1970"));
    assert_eq!((&time["first_at"], &time["last_at"]), (&json!("2026-11-21T10:08:25.123456Z"), &time["first_at"]));
}

#[tokio::test]
async fn one_process_writes_a_kind_at_most_every_ten_seconds_and_loses_none_between() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let bad = json!([{"name": "good"}, {"id": "x"}]);
    let writes = |tally: &Tally| tally.usage().write_requests;
    tally.ingest(&app, &bad).await;
    assert_eq!(kinds(&rejected(&tally, &app).await), [("events", "invalid_name", 1)]);
    let before = writes(&tally);
    for _ in 0..5 {
        tally.ingest(&app, &bad).await;
    }
    assert_eq!(kinds(&rejected(&tally, &app).await), [("events", "invalid_name", 1)]);
    assert_eq!(writes(&tally) - before, 5, "the good ones alone were written");
    tally.clock.set(tally.clock.now() + 10 * SECOND);
    // Any request of the process writes what is due.
    tally.accept(&app, &json!({"name": "good"})).await;
    let items = rejected(&tally, &app).await;
    assert_eq!(kinds(&items), [("events", "invalid_name", 6)]);
    assert_eq!(items[0]["first_at"], "2026-11-21T10:08:25.123456Z");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_and_what_a_quota_refuses_are_kept_too() {
    let tally = Tally::start().await;
    let new = admin::NewApp { name: "shop".into(), events_per_minute: Some(2), ..Default::default() };
    let app = tally.app_with(new).await;
    let path = format!("/apps/{}/events", app.slug);
    let reply = tally.call(Method::POST, &path, ("x-ingest-key", &app.ingest_key), "{").await;
    assert_problem(&reply, 400, &[""]);
    assert_problem(&tally.ingest(&app, &json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])).await, 429, &[]);
    let items = rejected(&tally, &app).await;
    assert_eq!(kinds(&items), [("events", "rate_limited", 3), ("events", "unreadable", 1)]);
    assert!(items.iter().any(|item| item["sample"] == r#"{"name":"a"}"#), "{items:?}");
}

#[tokio::test]
async fn a_sample_is_short_and_kinds_go_after_a_week() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.ingest(&app, &json!({"name": "a", "unknown": "é".repeat(1_000)})).await;
    let items = rejected(&tally, &app).await;
    let sample = items[0]["sample"].as_str().unwrap();
    assert!(sample.len() <= 512 && sample.starts_with(r#"{"name":"a""#), "{sample}");
    tally.clock.set(tally.clock.now() + 7 * DAY - SECOND);
    assert_eq!(tally.ask(&app, "/rejected").await["items"].as_array().unwrap().len(), 1);
    tally.clock.set(tally.clock.now() + SECOND);
    assert_eq!(tally.ask(&app, "/rejected").await["items"], json!([]));
}

#[tokio::test]
async fn a_sample_has_no_key() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.ingest(&app, &json!({"name": "a", "writeKey": app.ingest_key})).await;
    let items = rejected(&tally, &app).await;
    assert_eq!(items[0]["sample"], r#"{"name":"a","writeKey":"tly_…"}"#);
}

#[tokio::test]
async fn an_erased_app_takes_its_rejected_events_with_it() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let other = tally.app("other").await;
    tally.ingest(&app, &json!({"id": "x"})).await;
    tally.ingest(&app, &json!({"id": "y"})).await;
    tally.context.rejections.written().await;
    let old = tally.stored_app(&app).await;
    assert_eq!(tally.context.store.rejected(&old.id, tally.clock.now()).await.unwrap().len(), 1);
    erase_app(&mut tally).await;
    let left = async || tally.context.store.rejected(&old.id, tally.clock.now()).await.unwrap();
    assert_eq!(left().await, []);
    // What a process has not written in time it forgets: another app's request brings nothing back.
    tally.accept(&other, &json!({"name": "a"})).await;
    tally.context.rejections.written().await;
    assert_eq!(left().await, []);
}
