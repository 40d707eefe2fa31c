//! Keys that stand in public: which pages may send with them, how much, and with which names.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{DAY, MINUTE, SECOND};
use tally_service::config::Config;
use tally_service::context::Context;
use tower::ServiceExt;

use crate::harness::{Reply, Tally, TestApp, assert_problem};

async fn admin(tally: &Tally, method: Method, path: &str, body: &Value) -> Reply {
    let token = tally.token(Role::Admin).await;
    tally.call(method, path, ("x-access-token", &token), body.to_string()).await
}

/// Makes a key that sends, with limits.
async fn key(tally: &Tally, mut limits: Value) -> String {
    limits["scopes"] = json!(["ingest"]);
    let reply = admin(tally, Method::POST, "/apps/shop/keys", &limits).await;
    assert_eq!(reply.status.as_u16(), 201, "{}", reply.json);
    reply.json["key"].as_str().unwrap().to_owned()
}

async fn settings(tally: &Tally, body: Value) {
    let reply = admin(tally, Method::PATCH, "/apps/shop", &body).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.json);
}

/// A separate warm function.
fn function(tally: &Tally) -> (Arc<Context>, Router) {
    let config = Config { tables: tally.context.config.tables.clone(), ..Config::default() };
    let context = Context::new(tally.context.store.clone(), tally.clock.clone(), config);
    let router = tally::server::service(&context);
    (context, router)
}

/// Sends events through one of several functions.
async fn send(router: &Router, key: &str, body: &Value) -> u16 {
    let request = Request::post("/apps/shop/events").header("x-ingest-key", key);
    let Ok(reply) = router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await;
    reply.status().as_u16()
}

fn named(names: impl IntoIterator<Item = usize>) -> Value {
    names.into_iter().map(|n| json!({"name": format!("n{n}")})).collect()
}

/// Reason and count of the app's rejected events.
async fn rejected(tally: &Tally, app: &TestApp) -> Vec<(String, u64)> {
    tally.context.rejections.written().await;
    let items = tally.ask(app, "/rejected").await["items"].as_array().unwrap().clone();
    let mut kinds: Vec<_> = items
        .iter()
        .map(|item| (item["reason"].as_str().unwrap().to_owned(), item["count"].as_u64().unwrap()))
        .collect();
    kinds.sort();
    kinds
}

#[tokio::test]
async fn pages_of_other_origins_may_not_send_with_a_key() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = key(&tally, json!({"origins": ["https://shop.example", "http://localhost:5173"]})).await;
    for (header, value, expected) in [
        ("origin", "https://shop.example", 201),
        ("origin", "http://localhost:5173", 201),
        ("origin", "https://evil.example", 403),
        ("origin", "https://shop.example.evil", 403),
        ("origin", "null", 403),
        // What sends a picture of a page, or a page of its own origin.
        ("referer", "https://evil.example/page", 403),
        ("referer", "https://shop.example/page?a=b", 201),
        // No browser.
        ("accept", "*/*", 201),
    ] {
        let request = Request::post("/apps/shop/count?name=click").header("x-ingest-key", &key).header(header, value);
        let reply = tally.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status.as_u16(), expected, "{header}: {value}: {}", reply.json);
    }
    assert_eq!(rejected(&tally, &app).await, [("origin_not_allowed".to_owned(), 1)], "the others within 10 s");
    let request = Request::post("/apps/shop/count?name=click").header("x-ingest-key", &app.ingest_key);
    let request = request.header("origin", "https://evil.example").body(Body::empty()).unwrap();
    assert_eq!(tally.send(request).await.status.as_u16(), 201, "a key without origins takes all");
}

#[tokio::test]
async fn a_key_has_its_own_quota_which_functions_share() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = key(&tally, json!({"events_per_minute": 10})).await;
    let ((first, one), (second, two)) = (function(&tally), function(&tally));
    assert_eq!(send(&one, &key, &named(0..6)).await, 201);
    assert_eq!(send(&one, &key, &named(0..5)).await, 429);
    assert_eq!(send(&one, &app.ingest_key, &named(0..50)).await, 201, "another key has its own");
    // What the first has accepted is shared within 5 seconds.
    tally.clock.set(tally.clock.now() + 5 * SECOND);
    assert_eq!(send(&one, &key, &named(0..2)).await, 201);
    assert_eq!(send(&two, &key, &named(0..5)).await, 429);
    assert_eq!(send(&two, &key, &named(0..4)).await, 201);
    let refused = tally.call(Method::POST, "/apps/shop/events", ("x-ingest-key", &key), named(0..20).to_string()).await;
    assert_problem(&refused, 429, &[]);
    assert!(refused.json["detail"].as_str().unwrap().contains("key's 10 events"), "{}", refused.json);
    assert_eq!(refused.headers["retry-after"], "30");
    tally.clock.set(tally.clock.now() + MINUTE);
    assert_eq!(send(&two, &key, &named(0..10)).await, 201, "a new minute");
    first.rejections.written().await;
    second.rejections.written().await;
    assert_eq!(rejected(&tally, &app).await, [("rate_limited".to_owned(), 5 + 5 + 20)]);
}

#[tokio::test]
async fn what_a_key_could_not_store_does_not_count() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    settings(&tally, json!({"names": ["n1"]})).await;
    let key = key(&tally, json!({"events_per_minute": 2})).await;
    let ask = async |body: &Value| {
        tally.call(Method::POST, "/apps/shop/events", ("x-ingest-key", &key), body.to_string()).await.status.as_u16()
    };
    for _ in 0..3 {
        assert_eq!(ask(&json!({"name": "other"})).await, 400);
    }
    assert_eq!(ask(&named([1, 1])).await, 201);
}

#[tokio::test]
async fn an_app_takes_only_the_names_that_it_lists() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    settings(&tally, json!({"names": ["n1", "n2", "n1"]})).await;
    let shown = admin(&tally, Method::GET, "/apps/shop", &json!({})).await.json;
    assert_eq!(shown["names"], json!(["n1", "n2"]));
    let reply = tally.ingest(&app, &named([1, 3, 2])).await;
    assert_eq!(reply.status.as_u16(), 207, "{}", reply.json);
    assert_eq!(reply.json["rejected"][0]["index"], 1);
    assert_eq!(reply.json["rejected"][0]["retry"], false);
    assert_problem(&tally.ingest(&app, &json!({"name": "n4"})).await, 400, &["name"]);
    assert_eq!(rejected(&tally, &app).await, [("name_not_allowed".to_owned(), 1)]);
    settings(&tally, json!({"names": null})).await;
    tally.accept(&app, &json!({"name": "n4"})).await;
}

#[tokio::test]
async fn new_names_of_a_day_are_bounded_over_all_functions_exactly() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    settings(&tally, json!({"max_new_names_per_day": 10})).await;
    let functions: Vec<_> = (0..5).map(|_| function(&tally)).collect();
    let sent = functions.iter().enumerate().map(|(n, (_, router))| {
        let (key, body) = (app.ingest_key.clone(), named(n * 4..n * 4 + 4));
        async move { send(router, &key, &body).await }
    });
    futures::future::join_all(sent).await;
    let stored: std::collections::BTreeSet<_> =
        tally.list(&app, "limit=100").await.iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(stored.len(), 10, "{stored:?}");
    // Known names go on, in any function and on any day.
    let known: Vec<_> = stored.iter().map(|name| json!({"name": name})).collect();
    for (_, router) in &functions {
        assert_eq!(send(router, &app.ingest_key, &json!(known)).await, 201);
        assert_eq!(send(router, &app.ingest_key, &json!([{"name": "one more"}])).await, 400);
    }
    // A name with another slug or category has a counter of its own.
    let varied = json!([{"name": known[0]["name"], "category": "x"}, {"name": known[0]["name"], "slug": "y"}]);
    assert_eq!(send(&functions[0].1, &app.ingest_key, &varied).await, 400);
    tally.clock.set(tally.clock.now() + DAY);
    assert_eq!(send(&functions[0].1, &app.ingest_key, &json!([{"name": "one more"}])).await, 201);
    assert_eq!(send(&functions[1].1, &app.ingest_key, &json!(known)).await, 201);
    functions[0].0.rejections.written().await;
    let items = tally.ask(&app, "/rejected").await["items"].clone();
    assert!(items.as_array().unwrap().iter().any(|item| item["reason"] == "too_many_new_names"), "{items}");
}

#[tokio::test]
async fn limits_of_keys_and_apps_are_checked() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    for (body, fields) in [
        (json!({"scopes": ["ingest"], "origins": ["shop.example"]}), vec!["origins"]),
        (json!({"scopes": ["ingest"], "origins": ["https://shop.example/"]}), vec!["origins"]),
        (json!({"scopes": ["ingest"], "origins": "https://shop.example"}), vec!["origins"]),
        (json!({"scopes": ["ingest"], "origins": vec!["https://a.example"; 21]}), vec!["origins"]),
        (json!({"scopes": ["ingest"], "events_per_minute": 0}), vec!["events_per_minute"]),
        (
            json!({"scopes": ["read"], "origins": ["https://a.example"], "events_per_minute": 1}),
            vec!["events_per_minute", "origins"],
        ),
    ] {
        assert_problem(&admin(&tally, Method::POST, "/apps/shop/keys", &body).await, 400, &fields);
    }
    let key =
        admin(&tally, Method::POST, "/apps/shop/keys", &json!({"scopes": ["ingest"], "events_per_minute": 5})).await;
    assert_eq!((&key.json["origins"], &key.json["events_per_minute"]), (&Value::Null, &json!(5)));
    for (body, fields) in [
        (json!({"names": "a"}), vec!["names"]),
        (json!({"names": [""]}), vec!["names"]),
        (json!({"names": ["x".repeat(257)]}), vec!["names"]),
        (json!({"names": (0..501).map(|n| n.to_string()).collect::<Vec<_>>()}), vec!["names"]),
        (json!({"names": (0..200).map(|n| format!("{n:0>200}")).collect::<Vec<_>>()}), vec!["names"]),
        (json!({"max_new_names_per_day": 0}), vec!["max_new_names_per_day"]),
    ] {
        assert_problem(&admin(&tally, Method::PATCH, "/apps/shop", &body).await, 400, &fields);
    }
    let made =
        admin(&tally, Method::POST, "/apps", &json!({"name": "b", "names": ["a"], "max_new_names_per_day": 3})).await;
    assert_eq!((&made.json["names"], &made.json["max_new_names_per_day"]), (&json!(["a"]), &json!(3)));
}
