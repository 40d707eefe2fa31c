//! Apps, sign-in, and paths that no other function serves.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::json;
use tally_core::app::role::Role;
use tally_core::time::{HOUR, MINUTE};
use tally_service::auth::user::{COST, Users};
use tally_service::config::{Config, Origins};

use crate::harness::{Reply, Tally, assert_problem, column};

async fn authorized(tally: &Tally, method: Method, path: &str, body: &str) -> Reply {
    let token = tally.token(Role::Admin).await;
    tally.call(method, path, ("authorization", &format!("Bearer {token}")), body.to_owned()).await
}

async fn bare(tally: &Tally, method: Method, path: &str) -> Reply {
    tally.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_app_is_created_and_its_key_shown_once() {
    let tally = Tally::start().await;
    let made = authorized(&tally, Method::POST, "/apps/My%20App", "").await;
    assert_eq!(made.status, 201, "{}", made.json);
    assert_eq!((&made.json["id"], &made.json["name"]), (&json!("my-app"), &json!("My App")));
    assert_eq!(
        (&made.json["clock"], &made.json["retention_days"], &made.json["shards"]),
        (&json!("event"), &json!(null), &json!(1))
    );
    let key = made.json["ingest_key"].as_str().unwrap();
    assert!(key.starts_with("tly_in_"));
    let sent = tally.call(Method::POST, "/apps/my-app/events", ("x-ingest-key", key), r#"{"name":"a"}"#).await;
    assert_eq!(sent.status, 201);
    let read = authorized(&tally, Method::GET, "/apps/my-app", "").await;
    assert_eq!((&read.json["id"], read.json.get("ingest_key")), (&json!("my-app"), None));
    assert_eq!(authorized(&tally, Method::GET, "/apps/My%20App", "").await.json["id"], "my-app");
    assert_problem(&authorized(&tally, Method::POST, "/apps", r#"{"name":"MY app"}"#).await, 409, &[]);
}

#[tokio::test]
async fn an_app_is_created_with_settings() {
    let tally = Tally::start().await;
    let body = r#"{"name":"logs","clock":"received","retention_days":30,"shards":4,"events_per_minute":600}"#;
    let made = authorized(&tally, Method::POST, "/apps", body).await.json;
    for (field, value) in [
        ("clock", json!("received")),
        ("retention_days", json!(30)),
        ("shards", json!(4)),
        ("events_per_minute", json!(600)),
    ] {
        assert_eq!(made[field], value);
    }
    for (body, fields) in [
        ("{}", vec!["name"]),
        (r#"{"name":"a/b"}"#, vec!["name"]),
        (r#"{"name":"x","clock":"sun"}"#, vec!["clock"]),
        (r#"{"name":"x","shards":65,"retention_days":0}"#, vec!["retention_days", "shards"]),
        (r#"{"name":"x","colour":"red"}"#, vec!["colour"]),
        ("[", vec![""]),
    ] {
        assert_problem(&authorized(&tally, Method::POST, "/apps", body).await, 400, &fields);
    }
}

#[tokio::test]
async fn apps_are_listed_by_slug_page_by_page() {
    let tally = Tally::start().await;
    for n in 0..103 {
        tally.app(&format!("app {n:03}")).await;
    }
    let page = authorized(&tally, Method::GET, "/apps", "").await.json;
    assert_eq!(page["items"].as_array().unwrap().len(), 100);
    let rest =
        authorized(&tally, Method::GET, &format!("/apps?next={}", page["next"].as_str().unwrap()), "").await.json;
    assert_eq!(column(&rest["items"], "id"), ["app-100", "app-101", "app-102"]);
    assert!(rest["next"].is_null());
}

pub(crate) fn users() -> Config {
    // A low cost keeps the test fast; who signs in for real has 12.
    let hash = bcrypt::hash("correct horse", COST).unwrap();
    let list = json!([{"user": "ann", "password_hash": hash, "role": "admin"}, {"user": "bob", "password_hash": hash, "role": "reader"}]);
    Config { users: Users::parse(&list.to_string()).unwrap(), ..Config::default() }
}

pub(crate) async fn sign_in(tally: &Tally, username: &str, password: &str) -> Reply {
    let body = json!({"username": username, "password": password}).to_string();
    tally.call(Method::POST, "/auth", ("content-type", "application/json"), body).await
}

#[tokio::test]
async fn a_password_buys_a_token_for_an_hour() {
    let tally = Tally::with(users()).await;
    let reply = sign_in(&tally, "ann", "correct horse").await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    assert_eq!((&reply.json["user"], &reply.json["role"]), (&json!("ann"), &json!("admin")));
    assert_eq!(reply.json["expires_at"], "2026-11-21T11:08:25Z");
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    for part in ["token=", "HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=3600"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let token = reply.json["token"].as_str().unwrap();
    let cookie = format!("other=1; token={token}");
    for (name, value) in
        [("authorization", &*format!("bearer {token}")), ("x-access-token", token), ("cookie", &cookie)]
    {
        assert_eq!(tally.call(Method::GET, "/apps", (name, value), "").await.status, 200, "{name}");
    }
    assert_eq!(bare(&tally, Method::GET, &format!("/apps?access_token={token}")).await.status, 200);
    tally.clock.set(tally.clock.now() + HOUR);
    assert_problem(&tally.call(Method::GET, "/apps", ("x-access-token", token), "").await, 401, &[]);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_alike() {
    let tally = Tally::with(users()).await;
    let wrong = sign_in(&tally, "ann", "wrong").await;
    let unknown = sign_in(&tally, "eve", "wrong").await;
    assert_problem(&wrong, 401, &[]);
    assert_eq!(wrong.json, unknown.json);
    assert_problem(&sign_in(&tally, "ann", &"x".repeat(100)).await, 401, &[]);
    let empty = tally.call(Method::POST, "/auth", ("content-type", "application/json"), "{}").await;
    assert_problem(&empty, 400, &["password", "username"]);
}

#[tokio::test]
async fn a_reader_reads_and_changes_nothing() {
    let tally = Tally::with(users()).await;
    tally.app("shop").await;
    let token = sign_in(&tally, "bob", "correct horse").await.json["token"].as_str().unwrap().to_owned();
    let header = ("x-access-token", token.as_str());
    for path in ["/apps", "/apps/shop", "/apps/shop/events", "/apps/shop/stats/totals"] {
        assert_eq!(tally.call(Method::GET, path, header, "").await.status, 200, "{path}");
    }
    assert_problem(&tally.call(Method::POST, "/apps/new", header, "").await, 403, &[]);
    assert_problem(&tally.call(Method::POST, "/apps/shop/events", header, r#"{"name":"a"}"#).await, 403, &[]);
    assert_problem(&tally.call(Method::GET, "/apps/none/events", header, "").await, 404, &[]);
}

#[tokio::test]
async fn a_key_can_be_sent_in_every_documented_way() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let basic = "Basic ".to_owned() + &STANDARD.encode(format!("{}:", app.ingest_key));
    let bearer = format!("Bearer {}", app.ingest_key);
    for (name, value) in
        [("x-ingest-key", app.ingest_key.as_str()), ("authorization", &bearer), ("authorization", &basic)]
    {
        let reply = tally.call(Method::POST, "/apps/shop/events", (name, value), r#"{"name":"a"}"#).await;
        assert_eq!(reply.status, 201, "{name}");
    }
    let path = format!("/apps/shop/count/a?ingest_key={}", app.ingest_key);
    assert_eq!(bare(&tally, Method::POST, &path).await.status, 201);
    let both = tally.call(Method::POST, &path, ("x-ingest-key", &app.read_key), "").await;
    assert_eq!(both.status, 403, "the header beats the query");
}

#[tokio::test]
async fn an_app_is_cached_for_sixty_seconds() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "a"})).await;
    let before = tally.usage();
    for _ in 0..5 {
        tally.accept(&app, &json!({"name": "a"})).await;
    }
    assert_eq!((tally.usage() - before).read_requests, 0, "the app is remembered");
    tally.clock.set(tally.clock.now() + MINUTE);
    tally.accept(&app, &json!({"name": "a"})).await;
    assert_eq!((tally.usage() - before).read_requests, 1, "for 60 seconds");
}

#[tokio::test]
async fn unknown_paths_get_the_reply_of_the_default_route() {
    let tally = Tally::start().await;
    assert_eq!(bare(&tally, Method::GET, "/").await.json["name"], "tally");
    assert_problem(&bare(&tally, Method::GET, "/nothing/here").await, 404, &[]);
    let not_allowed = bare(&tally, Method::PUT, "/apps/shop/events").await;
    assert_problem(&not_allowed, 405, &[]);
    assert_eq!(not_allowed.headers["allow"], "DELETE, GET, HEAD, POST");
    assert_eq!(authorized(&tally, Method::GET, "/apps/", "").await.status, 200, "its own paths with a slash too");
    let moved = bare(&tally, Method::GET, "/apps/shop/events/?limit=3").await;
    assert_eq!(
        (moved.status.as_u16(), &moved.headers["location"]),
        (308, &"/apps/shop/events?limit=3".parse().unwrap())
    );
    assert_problem(&bare(&tally, Method::PUT, "/apps/shop/events/").await, 405, &[]);
}

#[tokio::test]
async fn browsers_may_send_from_any_origin_and_read_from_allowed_ones() {
    let config = Config { read_origins: Origins::Only(vec!["https://board.example".into()]), ..Config::default() };
    let tally = Tally::with(config).await;
    let app = tally.app("shop").await;
    let preflight = async |path: &str, origin: &str, method: &str| {
        let request = Request::builder().method(Method::OPTIONS).uri(path).header("origin", origin);
        let request = request.header("access-control-request-method", method).body(Body::empty()).unwrap();
        let reply = tally.send(request).await;
        assert_eq!(reply.status, 204);
        reply.headers.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    assert_eq!(preflight("/apps/shop/events", "https://any.example", "POST").await.as_deref(), Some("*"));
    assert_eq!(preflight("/apps/shop/events/", "https://any.example", "POST").await.as_deref(), Some("*"));
    assert_eq!(preflight("/apps/shop/count/a/", "https://any.example", "POST").await.as_deref(), Some("*"));
    assert_eq!(preflight("/apps/shop/events", "https://any.example", "GET").await, None);
    assert_eq!(preflight("/apps/shop/events/", "https://any.example", "GET").await, None);
    for (path, method) in
        [("/apps/shop/events/", "GET"), ("/apps/shop/stats/hours/", "HEAD"), ("/apps/shop/events", "HEAD")]
    {
        assert_eq!(
            preflight(path, "https://board.example", method).await.as_deref(),
            Some("https://board.example"),
            "{path}"
        );
    }
    // What comes from no handler can be read too.
    for (method, path, status, allowed) in [
        (Method::GET, "/apps/shop/events/?limit=3", 308, true),
        (Method::PUT, "/apps/shop/events", 405, true),
        (Method::GET, "/nothing", 404, true),
    ] {
        for origin in ["https://board.example", "https://any.example"] {
            let request = Request::builder().method(method.clone()).uri(path).header("origin", origin);
            let reply = tally.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(reply.status, status, "{path}");
            let permitted = reply.headers.get("access-control-allow-origin").is_some();
            assert_eq!(permitted, allowed && origin == "https://board.example", "{method} {path} from {origin}");
        }
    }
    assert_eq!(
        preflight("/apps/shop/events", "https://board.example", "GET").await.as_deref(),
        Some("https://board.example")
    );
    let request =
        Request::get("/apps/shop/events").header("x-read-key", &app.read_key).header("origin", "https://board.example");
    let reply = tally.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.headers["access-control-allow-origin"], "https://board.example");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn settings_change_and_layouts_are_appended_to() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let patch = async |body: &str| authorized(&tally, Method::PATCH, "/apps/shop", body).await;
    let reply = patch(r#"{"name":"The Shop","events_per_minute":60,"clock":"event"}"#).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    assert_eq!(
        (&reply.json["id"], &reply.json["name"], &reply.json["clock"]),
        (&json!("shop"), &json!("The Shop"), &json!("event"))
    );
    let reply = patch(r#"{"events_per_minute":null,"shards":4}"#).await.json;
    assert_eq!((&reply["events_per_minute"], &reply["shards"]), (&json!(null), &json!(1)));
    assert_eq!(
        reply["pending"],
        json!([{"from": "2026-11-22T10:19:00Z", "retention_days": null, "shards": 4, "grouping": "template-1",
            "index": {"sessions": true, "users": false}, "counted": []}])
    );
    let reply = patch(r#"{"retention_days":30}"#).await.json;
    // No event can have used the entry of a moment ago: it is replaced.
    assert_eq!(
        reply["pending"],
        json!([{"from": "2026-11-22T10:19:00Z", "retention_days": 30, "shards": 4, "grouping": "template-1",
            "index": {"sessions": true, "users": false}, "counted": []}])
    );
    let same = patch(r#"{"retention_days":30,"shards":4}"#).await.json;
    assert_eq!(same, reply, "nothing to append");
    assert_problem(&patch(r#"{"shards":2}"#).await, 400, &["shards"]);
    assert_problem(&patch(r#"{"shards":65,"clock":"sun","colour":1}"#).await, 400, &["clock", "colour", "shards"]);
    assert_problem(&authorized(&tally, Method::PATCH, "/apps/none", "{}").await, 404, &[]);
    tally.clock.set(crate::harness::at("2026-11-22T10:19:00Z"));
    assert_eq!(authorized(&tally, Method::GET, "/apps/shop", "").await.json["shards"], 4);
}

#[tokio::test]
async fn the_clock_of_an_app_is_fixed_at_creation() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let refused = authorized(&tally, Method::PATCH, "/apps/shop", r#"{"name":"S","clock":"received"}"#).await;
    assert_problem(&refused, 409, &[]);
    let detail = refused.json["detail"].as_str().unwrap();
    assert!(detail.contains("fixed when it is created") && detail.contains("`event`"), "{detail}");
    let same = authorized(&tally, Method::PATCH, "/apps/shop", r#"{"clock":"event"}"#).await;
    assert_eq!((same.status.as_u16(), &same.json["clock"], &same.json["name"]), (200, &json!("event"), &json!("shop")));
}

#[tokio::test]
async fn a_name_whose_slug_is_too_long_is_refused() {
    let tally = Tally::start().await;
    let body = json!({"name": "Ⱥ".repeat(50)}).to_string();
    assert_problem(&authorized(&tally, Method::POST, "/apps", &body).await, 400, &["name"]);
    assert_eq!(authorized(&tally, Method::GET, "/apps", "").await.status, 200);
}

#[tokio::test]
async fn a_new_token_works_at_once() {
    let tally = Tally::start().await;
    let token = tally.token(Role::Admin).await;
    let calls = (0..8).map(|_| tally.call(Method::GET, "/apps", ("x-access-token", &token), ""));
    for reply in futures::future::join_all(calls).await {
        assert_eq!(reply.status, 200);
    }
}
