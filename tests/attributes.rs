//! The attributes that events have.

use serde_json::{Value, json};

use crate::harness::{Tally, assert_problem, column};

#[tokio::test]
async fn the_attributes_of_the_newest_events_are_listed() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let long = "é".repeat(300);
    tally
        .accept(
            &app,
            &json!([
                {"name": "a", "timestamp": "2026-11-21T09:00:00Z", "data": {"plan": "pro", "user": {"age": 7, "name": null}, "on": true}},
                {"name": "a", "timestamp": "2026-11-21T09:01:00Z", "data": {"plan": "free", "user": {"age": 8}, "tags": ["x"]}},
                {"name": "b", "timestamp": "2026-11-21T09:02:00Z", "data": {"plan": 3, "http.status": 500, "none": {}, "text": long}},
                {"name": "b", "timestamp": "2026-11-21T09:03:00Z"},
                {"name": "b", "timestamp": "2026-11-21T09:04:00Z", "data": ["no map"]},
            ]),
        )
        .await;
    let reply = tally.ask(&app, "/attributes").await;
    assert_eq!((&reply["sampled"], &reply["complete"]), (&json!(5), &json!(true)));
    let cut = format!("{}…", "é".repeat(99));
    assert_eq!(
        reply["items"],
        json!([
            {"path": "plan", "kind": "mixed", "seen": 3, "examples": [3, "free", "pro"]},
            {"path": "user.age", "kind": "number", "seen": 2, "examples": [8, 7]},
            {"path": "http.status", "kind": "number", "seen": 1, "examples": [500]},
            {"path": "none", "kind": "object", "seen": 1, "examples": []},
            {"path": "on", "kind": "boolean", "seen": 1, "examples": [true]},
            {"path": "tags", "kind": "array", "seen": 1, "examples": []},
            {"path": "text", "kind": "string", "seen": 1, "examples": [cut]},
            {"path": "user.name", "kind": "null", "seen": 1, "examples": []},
        ])
    );
    // Each path is one that a filter takes.
    for item in reply["items"].as_array().unwrap() {
        let path = item["path"].as_str().unwrap();
        let exists = if item["kind"] == "null" { "false" } else { "true" };
        let found = tally.list(&app, &format!("attr.{path}[exists]={exists}")).await.len();
        assert!(found > 0 && (exists == "false" || json!(found) == item["seen"]), "{path}: {found}");
    }
    let of_b = tally.ask(&app, "/attributes?name=b&since=2026-11-21T09:02:30Z").await;
    assert_eq!((&of_b["items"], &of_b["sampled"]), (&json!([]), &json!(2)));
    assert_problem(&tally.get(&app, "/attributes?limit=3").await, 400, &["limit"]);
}

#[tokio::test]
async fn attributes_have_bounds() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let many: Value = (0..300).map(|n| (format!("k{n:03}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    let deep = "x".repeat(200);
    let data = json!({"many": many, "deep": {&deep: {&deep: 1}}, "same": "value"});
    let event = |n: usize| {
        let data = if n == 0 { data.clone() } else { json!({"same": "value", "n": n}) };
        json!({"name": "a", "data": data, "timestamp": format!("2026-11-21T09:{:02}:{:02}Z", n / 60, n % 60)})
    };
    tally.accept(&app, &(0..600).map(event).collect()).await;
    let reply = tally.ask(&app, "/attributes").await;
    assert_eq!((&reply["sampled"], &reply["complete"]), (&json!(600), &json!(false)));
    assert_eq!(reply["items"].as_array().unwrap().len(), 200);
    assert_eq!(column(&reply["items"], "seen")[..2], [&json!(600), &json!(599)]);
    assert_eq!(reply["items"][1]["examples"], json!([599, 598, 597, 596, 595]));
    tally.accept(&app, &(600..1_200).map(event).collect()).await;
    let newest = tally.ask(&app, "/attributes").await;
    assert_eq!((&newest["sampled"], &newest["complete"]), (&json!(1_000), &json!(false)), "there are more events");
}
