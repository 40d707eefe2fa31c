//! Umami's tracker and its clients for servers.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use tally_core::time::{HOUR, TimeDelta};

use crate::harness::{Reply, Tally, TestApp, at};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const WEBSITE: &str = "978435e2-7ba1-4337-9860-ec31ece2db60";

async fn post(tally: &Tally, path: &str, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let request = Request::post(path).header("origin", "https://shop.example").header("user-agent", FIREFOX);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    tally.send(request.body(Body::from(body.to_string())).unwrap()).await
}

fn event(payload: &Value) -> Value {
    let mut all =
        json!({"website": WEBSITE, "hostname": "shop.example", "url": "/cart?a=1", "title": "Cart", "tag": ""});
    all.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
    json!({"type": "event", "payload": all})
}

async fn send(tally: &Tally, app: &TestApp, body: &Value, headers: &[(&str, &str)]) -> Value {
    let reply = post(tally, &format!("/k/{}/api/send", app.ingest_key), body, headers).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.json);
    reply.json
}

async fn newest(tally: &Tally, app: &TestApp) -> Value {
    tally.list(app, "limit=1&consistent=true").await.remove(0)
}

#[tokio::test]
async fn events_pages_people_and_measurements_are_stored() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (body, name, user, data) in [
        (
            event(&json!({"name": "signup", "data": {"plan": "pro", "url": "/mine"}, "id": "ann"})),
            "signup",
            json!("ann"),
            json!({"plan": "pro", "url": "/mine", "path": "/cart", "title": "Cart", "hostname": "shop.example"}),
        ),
        (
            json!({"type": "identify", "payload": {"website": WEBSITE, "id": "ann", "data": {"plan": "pro"}}}),
            "identify",
            json!("ann"),
            json!({"plan": "pro"}),
        ),
        (
            json!({"type": "performance", "payload": {"website": WEBSITE, "url": "/", "lcp": 812.5, "cls": 0.02}}),
            "web_vitals",
            Value::Null,
            json!({"url": "/", "path": "/", "lcp": 812.5, "cls": 0.02}),
        ),
    ] {
        send(&tally, &app, &body, &[]).await;
        let stored = tally.list(&app, &format!("name={name}&consistent=true")).await.remove(0);
        assert_eq!((&stored["user_id"], &stored["data"]), (&user, &data), "{name}");
        assert_eq!(stored["category"], WEBSITE);
    }
    send(&tally, &app, &event(&json!({"language": "de-DE", "screen": "1920x1080"})), &[]).await;
    let view = tally.list(&app, "name=pageview&consistent=true").await.remove(0);
    assert_eq!((&view["data"]["language"], &view["data"]["browser"]), (&json!("de-DE"), &json!("Firefox")));
}

#[tokio::test]
async fn the_token_of_a_reply_keeps_a_visitor_whose_address_changes() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = event(&json!({"name": "a"}));
    let first = send(&tally, &app, &body, &[("x-forwarded-for", "203.0.113.7")]).await;
    let visitor = newest(&tally, &app).await["session_id"].clone();
    let uuid = |value: &Value| value.as_str().is_some_and(|text| text.len() == 36 && text.matches('-').count() == 4);
    assert!(uuid(&first["sessionId"]) && uuid(&first["visitId"]), "{first}");
    let token = first["cache"].as_str().unwrap();

    let elsewhere = ("x-forwarded-for", "198.51.100.1");
    tally.clock.set(tally.clock.now() + TimeDelta::minutes(29));
    let second = send(&tally, &app, &body, &[elsewhere, ("x-umami-cache", token)]).await;
    assert_eq!(newest(&tally, &app).await["session_id"], visitor);
    assert_eq!((&second["sessionId"], &second["visitId"]), (&first["sessionId"], &first["visitId"]));

    // After a pause it is another visit of the same visitor.
    tally.clock.set(tally.clock.now() + TimeDelta::minutes(30));
    let token = second["cache"].as_str().unwrap();
    let third = send(&tally, &app, &body, &[elsewhere, ("x-umami-cache", token)]).await;
    assert_eq!(third["sessionId"], first["sessionId"]);
    assert_ne!(third["visitId"], first["visitId"]);

    // A token that was changed, of another site or app, or of yesterday, says nothing.
    let other = tally.app("blog").await;
    let changed = format!("A{}", &token[1..]);
    let other_site = event(&json!({"name": "a", "website": "another"}));
    for (to, body, token, hours) in [
        (&app, &body, &*changed, 0),
        (&app, &other_site, token, 0),
        (&other, &body, token, 0),
        (&app, &body, token, 14),
        (&app, &body, "", 0),
    ] {
        tally.clock.set(tally.clock.now() + hours * HOUR + TimeDelta::seconds(1));
        send(&tally, to, body, &[elsewhere, ("x-umami-cache", token)]).await;
        assert_ne!(newest(&tally, to).await["session_id"], visitor, "{token}");
    }
}

#[tokio::test]
async fn a_batch_tells_what_became_of_each() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let bot = event(&json!({"name": "c", "userAgent": "Googlebot/2.1"}));
    let body = json!([event(&json!({"name": "a"})), bot, 3, event(&json!({"name": "b", "timestamp": 1_795_200_000}))]);
    let reply = post(&tally, &format!("/k/{}/api/batch", app.ingest_key), &body, &[]).await;
    let json = reply.json;
    assert_eq!(
        (reply.status.as_u16(), &json["size"], &json["processed"], &json["errors"]),
        (200, &json!(4), &json!(3), &json!(1))
    );
    assert_eq!(json["details"][0]["index"], 2);
    assert!(json["cache"].is_string());
    let events = tally.list(&app, "consistent=true").await;
    let names: Vec<_> = events.iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(events[1]["timestamp"], "2026-11-20T18:40:00Z");
}

#[tokio::test]
async fn a_server_names_its_visitors() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut found = Vec::new();
    for (address, user_agent) in
        [("203.0.113.7", FIREFOX), ("203.0.113.8", FIREFOX), ("203.0.113.7", FIREFOX), ("203.0.113.7", "Other")]
    {
        tally.clock.set(tally.clock.now() + TimeDelta::seconds(1));
        let body = event(&json!({"name": "a", "ip": address, "userAgent": user_agent}));
        send(&tally, &app, &body, &[("user-agent", "Mozilla/5.0 Umami/v24.11.0")]).await;
        let event = newest(&tally, &app).await;
        assert!(!event.to_string().contains("203.0.113") && event["data"].get("userAgent").is_none());
        found.push(event["session_id"].clone());
    }
    assert_eq!(found[0], found[2]);
    assert_ne!(found[0], found[1]);
    assert_ne!(found[0], found[3]);
}

#[tokio::test]
async fn the_website_may_be_the_key_and_is_not_stored_then() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = event(&json!({"name": "a", "website": app.ingest_key}));
    let reply = post(&tally, "/api/send", &body, &[]).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.json);
    let stored = newest(&tally, &app).await.to_string();
    assert!(!stored.contains("tly_in_") && !stored.contains("category\":\""), "{stored}");
}

#[tokio::test]
async fn recordings_are_dropped_and_heartbeats_answered() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let under = format!("/k/{}", app.ingest_key);
    let reply = post(&tally, &format!("{under}/api/record"), &json!({"type": "record", "payload": {}}), &[]).await;
    assert_eq!((reply.status.as_u16(), reply.json), (200, json!({})));
    let reply = tally.call(Method::GET, "/api/heartbeat", ("accept", "*/*"), Body::empty()).await;
    assert_eq!((reply.status.as_u16(), reply.json), (200, json!({"ok": true})));
    assert_eq!(tally.list(&app, "").await.len(), 0);
}

#[tokio::test]
async fn problems_are_told() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let path = format!("/k/{}/api/send", app.ingest_key);
    let read = format!("/k/{}/api/send", app.read_key);
    let old = event(&json!({"name": "a", "timestamp": "1960-01-01T00:00:00Z", "ip": "203.0.113.7"}));
    for (path, body, status) in [
        ("/api/send", event(&json!({})), 401),
        (&*read, event(&json!({})), 403),
        (&*path, json!(3), 400),
        (&*path, json!({"type": "event"}), 400),
        (&*path, json!({"type": "other", "payload": {"website": WEBSITE}}), 400),
        (&*path, old, 400),
        (&*path, json!(vec![json!({}); 1_001]), 413),
    ] {
        let reply = post(&tally, path, &body, &[]).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.json);
        assert!(reply.json["error"]["message"].as_str().is_some_and(|text| text.len() > 10), "{}", reply.json);
    }
    tally.context.rejections.written().await;
    let rejected = tally.ask(&app, "/rejected").await["items"].to_string();
    assert!(rejected.contains("1960-01-01") && !rejected.contains("203.0.113.7"), "{rejected}");
}

#[tokio::test]
async fn times_of_other_days_have_the_visitor_of_their_day_while_its_salt_is_kept() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.clock.set(at("2026-11-21T10:00:00Z"));
    let mut found = Vec::new();
    for time in ["2026-11-21T09:00:00Z", "2026-11-20T09:00:00Z", "2026-11-20T23:00:00Z", "2026-11-17T09:00:00Z"] {
        let seconds = at(time).seconds();
        send(&tally, &app, &event(&json!({"name": "a", "timestamp": seconds})), &[("x-forwarded-for", "203.0.113.7")])
            .await;
        let events =
            tally.list(&app, &format!("since={time}&until=2026-11-22&order=asc&limit=1&consistent=true")).await;
        found.push(events[0]["session_id"].clone());
    }
    assert_eq!(found[1], found[2]);
    assert_ne!(found[0], found[1]);
    assert_eq!(found[3], Value::Null, "{found:?}");
}
