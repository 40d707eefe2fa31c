//! Visitors without cookies: who is one, for how long, and what is left of their addresses.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tally_core::time::{DAY, TimeDelta};
use tally_http::service::serve;
use tally_service::config::Config;
use tally_service::context::Context;
use tower::ServiceExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::harness::{Reply, Tally, TestApp, at};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// What sends an event of one visitor: a path, and a body with a name for the event.
fn families(app: &TestApp, name: &str) -> [(String, Value); 4] {
    let key = &app.ingest_key;
    let umami =
        json!({"type": "event", "payload": {"website": "w", "hostname": "shop.example", "url": "/", "name": name}});
    [
        (format!("/k/{key}/collect"), json!([{"name": name, "data": {"url": "https://shop.example/"}}])),
        (format!("/k/{key}/api/event"), json!({"n": name, "u": "https://shop.example/", "d": "shop.example"})),
        (format!("/k/{key}/api/send"), umami.clone()),
        (format!("/k/{key}/api/batch"), json!([umami])),
    ]
}

async fn visit(tally: &Tally, path: &str, body: &Value, address: &str, user_agent: &str) -> Reply {
    let request = Request::post(path).header("x-forwarded-for", address).header("user-agent", user_agent);
    let reply = tally.send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.json);
    reply
}

/// The sessions of events of a name, the newest first.
async fn sessions(tally: &Tally, app: &TestApp, name: &str) -> Vec<String> {
    let events = tally.list(app, &format!("name={name}&consistent=true&limit=100")).await;
    events.iter().map(|event| event["session_id"].as_str().unwrap_or("none").to_owned()).collect()
}

#[tokio::test]
async fn a_visitor_is_an_address_with_a_browser_for_every_family() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (nth, _) in families(&app, "").iter().enumerate() {
        let name = format!("n{nth}");
        let (path, body) = families(&app, &name)[nth].clone();
        for (address, user_agent) in [
            ("203.0.113.7", FIREFOX),
            ("10.0.0.1, 203.0.113.7, 198.51.100.1", FIREFOX),
            ("203.0.113.7", CHROME),
            ("203.0.113.8", FIREFOX),
        ] {
            visit(&tally, &path, &body, address, user_agent).await;
        }
        let mut found = sessions(&tally, &app, &name).await;
        assert_eq!(found.len(), 4, "{path}");
        assert!(found.iter().all(|id| id.len() == 33 && id.starts_with('v')), "{path}: {found:?}");
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 3, "{path}: two of them are the same visitor");
    }
}

#[tokio::test]
async fn a_session_of_the_pages_own_stays() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let path = format!("/k/{}/collect", app.ingest_key);
    visit(&tally, &path, &json!([{"name": "a", "session_id": "mine"}]), "203.0.113.7", FIREFOX).await;
    assert_eq!(sessions(&tally, &app, "a").await, ["mine"]);
}

#[tokio::test]
async fn a_visitor_is_another_one_after_midnight_of_utc() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (nth, _) in families(&app, "").iter().enumerate() {
        let name = format!("n{nth}");
        let (path, body) = families(&app, &name)[nth].clone();
        let mut found = Vec::new();
        for time in ["2026-11-21T23:00:00Z", "2026-11-21T23:59:59.999Z", "2026-11-22T00:00:00Z"] {
            tally.clock.set(at(time));
            visit(&tally, &path, &body, "203.0.113.7", FIREFOX).await;
            found.push(sessions(&tally, &app, &name).await[0].clone());
        }
        assert_eq!(found[0], found[1], "{path}");
        assert_ne!(found[1], found[2], "{path}");
        tally.clock.set(at("2026-11-21T20:00:00Z"));
    }
}

#[tokio::test]
async fn what_a_page_sends_again_the_next_day_keeps_its_visitor() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let path = format!("/k/{}/collect", app.ingest_key);
    // UUIDs of version 7, of 9:30 on 21 November 2026.
    let body =
        json!([{"id": "01a1fd70f1c070008123456789012345", "name": "engagement", "data": {"duration_ms": 1_000}}]);
    let mut found = Vec::new();
    for day in 0..4 {
        tally.clock.set(at("2026-11-21T10:00:00Z") + day * DAY);
        visit(&tally, &path, &body, "203.0.113.7", FIREFOX).await;
        found.push(sessions(&tally, &app, "engagement&since=2026-11-20").await);
    }
    assert!(found[0][0].starts_with('v') && found[0].len() == 1);
    assert_eq!((&found[1], &found[2]), (&found[0], &found[0]), "counted where it was");
    assert_eq!(found[3], ["none"], "its salt is gone by then");
}

#[tokio::test]
async fn functions_that_make_a_salt_at_once_agree() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let (path, body) = families(&app, "n")[1].clone();
    let routers: Vec<_> = (0..8)
        .map(|_| {
            let context = Context::new(tally.context.store.clone(), tally.clock.clone(), Config::default());
            serve(Arc::clone(&context), [ingest::router(context)])
        })
        .collect();
    let calls = routers.into_iter().map(|router| {
        let request = Request::post(&path).header("x-forwarded-for", "203.0.113.7").header("user-agent", FIREFOX);
        router.oneshot(request.body(Body::from(body.to_string())).unwrap())
    });
    for reply in futures::future::join_all(calls).await {
        let Ok(reply) = reply;
        assert_eq!(reply.status().as_u16(), 202);
    }
    let mut found = sessions(&tally, &app, "n").await;
    assert_eq!(found.len(), 8);
    found.dedup();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(tally.salts().await.lines().count(), 1);
}

#[tokio::test]
async fn salts_are_deleted_48_hours_after_their_day() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let (path, body) = families(&app, "n")[1].clone();
    let midnight = at("2026-11-21T00:00:00Z");
    let judge = || async { ::alerts::judge(&tally.context, &tally.sender).await.expect("a run") };
    for hours in [12, 36] {
        tally.clock.set(midnight + TimeDelta::hours(hours));
        visit(&tally, &path, &body, "203.0.113.7", FIREFOX).await;
        judge().await;
    }
    let days = |text: &str| ["20261121", "20261122"].map(|day| text.contains(&format!("salt#{day}")));
    tally.clock.set(midnight + TimeDelta::hours(72) - TimeDelta::seconds(1));
    judge().await;
    assert_eq!(days(&tally.salts().await), [true, true]);
    tally.clock.set(midnight + TimeDelta::hours(72));
    judge().await;
    assert_eq!(days(&tally.salts().await), [false, true]);
    // The task may have failed for days.
    tally.clock.set(midnight + TimeDelta::days(8));
    judge().await;
    assert_eq!(tally.salts().await, "");
}

thread_local! {
    /// What this thread has logged since a test began to keep it.
    static LOGGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Keeps what this thread logs from now on, as a function on Lambda logs it. The subscriber is that of the whole process: callsites
/// remember whether anybody listens, and other threads ask as well.
fn keep_the_log() {
    LOGGED.set(Some(vec![]));
    // Another test was the first.
    let _ = tracing_subscriber::fmt().json().with_max_level(LevelFilter::INFO).with_writer(|| Kept).finish().try_init();
}

fn log_of_this_thread() -> String {
    LOGGED.with_borrow(|logged| String::from_utf8(logged.clone().unwrap_or_default()).unwrap())
}

struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.as_mut().map_or(Ok(bytes.len()), |logged| logged.write(bytes)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_an_address_nor_a_salt_is_stored_or_logged_anywhere() {
    keep_the_log();
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = &app.ingest_key;
    let addresses = ["203.0.113.7", "198.51.100.23", "192.0.2.77", "2001:db8:1:2:3:4:5:6"];
    for (path, body) in families(&app, "n") {
        for user_agent in [FIREFOX, "Mozilla/5.0 (compatible; Googlebot/2.1)"] {
            visit(&tally, &path, &body, "203.0.113.7", user_agent).await;
            visit(&tally, &path, &body, "2001:db8:1:2:3:4:5:6", user_agent).await;
        }
    }
    // What servers tell of visitors, what is rejected of it, and a body that is too large.
    let umami = |payload: &Value| json!({"type": "event", "payload": payload});
    let of_server = json!({"website": "w", "hostname": "h", "url": "/", "ip": "192.0.2.77", "userAgent": FIREFOX});
    let refused = json!({"website": "w", "ip": "192.0.2.77", "timestamp": "1960-01-01T00:00:00Z"});
    let path = format!("/k/{key}/api/batch");
    visit(&tally, &path, &json!([umami(&of_server), umami(&refused)]), "198.51.100.23", "node").await;
    let large = json!({"ip": "192.0.2.77", "data": "x".repeat(7_000_000)});
    let request = Request::post(format!("/k/{key}/api/send")).body(Body::from(umami(&large).to_string())).unwrap();
    assert_eq!(tally.send(request).await.status.as_u16(), 413);
    tally.context.rejections.written().await;

    let stored = tally.contents().await;
    assert!(stored.contains("shop.example") && stored.contains("Googlebot"), "events and rejected events are there");
    let salts = tally.salts().await;
    let salt = salts.split("inner: ").nth(1).and_then(|bytes| bytes.split(' ').next()).expect(&salts);
    assert_eq!(salt.len(), 64, "{salts}");
    let logged = log_of_this_thread();
    let requests = logged.lines().filter(|line| line.contains("\"message\":\"request\"") && line.contains("shop"));
    assert!(requests.count() > 10, "requests and their app are there: {logged}");
    for kept in [&stored, &logged] {
        assert!(!kept.contains(salt));
        assert!(!kept.contains(key.as_str()));
    }
    for address in addresses {
        assert!([&stored, &logged, &salts].iter().all(|kept| !kept.contains(address)), "{address}");
    }
}
