//! Plausible's trackers and its API for servers.

use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};

use crate::harness::{Tally, TestApp};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

async fn post(tally: &Tally, path: &str, body: impl Into<Body>) -> (u16, HeaderMap, String) {
    let request = Request::post(path).header("origin", "https://shop.example").header("content-type", "text/plain");
    let (parts, body) = tally.raw(request.header("user-agent", FIREFOX).body(body.into()).unwrap()).await;
    (parts.status.as_u16(), parts.headers, String::from_utf8(body).unwrap())
}

async fn taken(tally: &Tally, app: &TestApp, body: &Value) {
    let (status, headers, reply) = post(tally, &format!("/k/{}/api/event", app.ingest_key), body.to_string()).await;
    assert_eq!((status, &*reply), (202, "ok"), "{body}");
    assert!(!headers.contains_key("x-plausible-dropped"), "{body}");
    assert_eq!(headers["access-control-allow-origin"], "https://shop.example");
    assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("x-plausible-dropped"));
}

async fn stored(tally: &Tally, app: &TestApp) -> Vec<Value> {
    tally.list(app, "limit=100&consistent=true").await
}

#[tokio::test]
async fn an_event_is_read_by_short_and_long_names() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let revenue = json!({"currency": "EUR", "amount": "29.90"});
    let long = json!({"name": "Signup", "url": "https://shop.example/a#b", "domain": "shop.example", "referrer": null,
        "props": {"plan": "pro"}, "revenue": revenue, "interactive": false});
    let short = json!({"n": "Signup", "u": "https://shop.example/a#b", "d": "shop.example", "r": null, "v": 36,
        "p": {"plan": "pro"}, "$": revenue, "i": false});
    // Older clients send properties as text.
    let text = json!({"n": "Signup", "u": "https://shop.example/a#b", "d": "shop.example", "h": 0,
        "m": "{\"plan\":\"pro\"}", "$": revenue.to_string(), "i": false});
    for body in [long, short, text] {
        taken(&tally, &app, &body).await;
    }
    let events = stored(&tally, &app).await;
    assert_eq!(events.len(), 3, "they have no id, so each is one of its own");
    for event in events {
        let expected = json!({"url": "https://shop.example/a", "path": "/a", "plan": "pro", "revenue": revenue, "interactive": false});
        assert_eq!((&event["name"], &event["category"]), (&json!("Signup"), &json!("shop.example")));
        assert_eq!(event["data"], expected);
        assert_eq!(event["timestamp"], "2026-11-21T10:08:25.123456Z");
    }
}

#[tokio::test]
async fn time_on_a_page_is_no_page_view() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = json!({"n": "engagement", "sd": 72, "d": "shop.example", "u": "https://shop.example/#/a", "p": null,
        "e": 4_321, "v": 36, "h": 1});
    taken(&tally, &app, &body).await;
    let event = stored(&tally, &app).await.remove(0);
    // It lasts from its time on, as of Tally's own script.
    assert_eq!((&event["name"], &event["timestamp"]), (&json!("engagement"), &json!("2026-11-21T10:08:20.802456Z")));
    let expected = json!({"url": "https://shop.example/#/a", "path": "/#/a", "duration_ms": 4_321, "scroll_depth": 72});
    assert_eq!(event["data"], expected);
}

#[tokio::test]
async fn several_domains_are_an_event_each_and_the_key_may_stand_for_one() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    taken(&tally, &app, &json!({"n": "a", "u": "https://shop.example/", "d": "shop.example, all.example"})).await;
    let events = stored(&tally, &app).await;
    let mut sites: Vec<_> = events.iter().map(|event| event["category"].clone()).collect();
    sites.sort_by_key(ToString::to_string);
    assert_eq!(sites, ["all.example", "shop.example"]);
    assert_ne!(events[0]["session_id"], events[1]["session_id"], "nobody is followed from site to site");

    let key = &app.ingest_key;
    let body = json!({"n": "b", "u": "https://shop.example/", "d": key});
    let (status, _, _) = post(&tally, "/api/event", body.to_string()).await;
    assert_eq!(status, 202);
    let event = tally.list(&app, "name=b&consistent=true").await.remove(0);
    assert!(event.get("category").is_none_or(Value::is_null) && !event.to_string().contains(&**key), "{event}");
}

#[tokio::test]
async fn problems_are_told() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let path = format!("/k/{}/api/event", app.ingest_key);
    let many = (0..11).map(|n| format!("{n}.example")).collect::<Vec<_>>().join(",");
    for (path, body, status) in [
        ("/api/event", json!({"n": "a", "u": "https://a.example", "d": "a.example"}).to_string(), 401),
        (&*format!("/k/{}/api/event", app.read_key), "{}".to_owned(), 403),
        (&*path, String::new(), 400),
        (&*path, "[]".to_owned(), 400),
        (&*path, "{".to_owned(), 400),
        (&*path, json!({"u": "https://a.example", "d": "a.example"}).to_string(), 400),
        (&*path, json!({"n": "a", "d": "a.example"}).to_string(), 400),
        (&*path, json!({"n": "a", "u": "https://a.example", "d": many}).to_string(), 400),
    ] {
        let (answered, headers, reply) = post(&tally, path, body.clone()).await;
        assert_eq!(answered, status, "{body}: {reply}");
        assert_eq!(headers["access-control-allow-origin"], "https://shop.example");
        assert!(serde_json::from_str::<Value>(&reply).unwrap()["errors"].is_object(), "{reply}");
    }
    assert_eq!(stored(&tally, &app).await.len(), 0);
    tally.context.rejections.written().await;
    let rejected = tally.ask(&app, "/rejected").await["items"].clone();
    let mut reasons: Vec<_> =
        rejected.as_array().unwrap().iter().map(|kind| kind["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["invalid_field", "invalid_name"]);
}
