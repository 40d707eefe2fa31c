//! The attributes that events have.

use http::Method;
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

#[tokio::test]
async fn what_events_are_counted_by_may_lie_in_tags_and_be_named_as_in_filters() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = |env: &str, amount: i64| {
        json!({"name": "buy", "user_id": "ann", "timestamp": "2026-11-21T10:00:00Z", "data": {"amount": amount, "plan": "pro"},
            "tags": {"env": env, "cost": amount + 1}})
    };
    tally.accept(&app, &json!([event("prod", 3), event("prod", 4), event("test", 5)])).await;
    for attr in ["tags.env", "attr.tags.env"] {
        let groups = tally.ask(&app, &format!("/stats/groups?attr={attr}")).await;
        assert_eq!(column(&groups["items"], "value"), ["prod", "test"], "{attr}");
        assert_eq!(
            (column(&groups["items"], "count"), &groups["attr"]),
            (vec![&json!(2), &json!(1)], &json!("tags.env"))
        );
    }
    let sum = async |attr: &str| tally.ask(&app, &format!("/stats/numbers?attr={attr}")).await["sum"].clone();
    assert_eq!(sum("attr.amount").await, 12);
    assert_eq!(sum("tags.cost").await, 15);
    assert_eq!(tally.list(&app, "attr.tags.env=prod").await.len(), 2);
    let body = json!({"steps": [{"name": "buy"}, {"name": "return"}], "breakdown": "attr.tags.env"});
    let path = "/apps/shop/funnels";
    let funnel = tally.call(Method::POST, path, ("x-read-key", &app.read_key), body.to_string()).await.json;
    assert_eq!(column(&funnel["breakdown"], "value").len(), 1, "{funnel}");
    assert!(["prod", "test"].contains(&funnel["breakdown"][0]["value"].as_str().unwrap()), "{funnel}");
    // What `data` has comes first.
    let own = json!({"name": "own", "timestamp": "2026-11-21T10:00:00Z", "data": {"tags": {"env": "of data"}}, "tags": {"env": "of tags"}});
    tally.accept(&app, &own).await;
    assert_eq!(tally.ask(&app, "/stats/groups?attr=tags.env&name=own").await["items"][0]["value"], "of data");
    assert_problem(&tally.get(&app, "/stats/groups?attr=attr.").await, 400, &["attr"]);
}
