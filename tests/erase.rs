//! Erasing events and apps.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::app::App;
use tally_core::app::role::Role;
use tally_core::event::draft::Draft;
use tally_core::time::{DAY, MINUTE, SECOND, Timestamp};
use tally_store::Deadline;

use crate::harness::{Reply, Tally, TestApp, assert_problem, column};

async fn delete(tally: &Tally, path: &str) -> Reply {
    let token = tally.token(Role::Admin).await;
    tally.call(Method::DELETE, path, ("x-access-token", &token), String::new()).await
}

fn events(count: usize) -> Value {
    let events = (0..count).map(|n| {
        json!({"name": format!("n{}", n % 2), "session_id": format!("s{}", n % 3), "user_id": format!("u{}", n % 5),
            "timestamp": format!("2026-11-21T0{}:00:00Z", n % 9), "message": "m", "level": "ERROR", "count": 2})
    });
    events.collect()
}

async fn total(tally: &Tally, app: &TestApp) -> Value {
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

async fn sharded(tally: &Tally) -> TestApp {
    tally.app_with(admin::NewApp { name: "shop".into(), shards: Some(3), ..Default::default() }).await
}

#[tokio::test]
async fn an_event_is_erased_and_counted_down() {
    let mut tally = Tally::start().await;
    let app = sharded(&tally).await;
    let id = tally.accept(&app, &json!({"name": "a", "message": "m", "count": 3})).await["id"].clone();
    tally.accept(&app, &json!({"name": "b"})).await;
    tally.drain().await;
    let path = format!("/apps/shop/events/{}", id.as_str().unwrap());
    assert_eq!(delete(&tally, &path).await.status, StatusCode::NO_CONTENT);
    tally.drain().await;
    assert_eq!(total(&tally, &app).await, 1);
    assert_eq!(tally.ask(&app, "/stats/top-messages").await["items"], json!([]), "nothing of it is left");
    assert_problem(&tally.get(&app, &format!("/events/{}", id.as_str().unwrap())).await, 404, &[]);
    assert_problem(&delete(&tally, &path).await, 404, &[]);
    assert_problem(&delete(&tally, "/apps/shop/events/nonsense").await, 404, &[]);
}

#[tokio::test]
async fn the_events_of_a_session_or_a_user_are_erased() {
    let mut tally = Tally::start().await;
    let app = sharded(&tally).await;
    tally.accept(&app, &events(90)).await;
    tally.drain().await;
    let reply = delete(&tally, "/apps/shop/events?session_id=s1").await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert_eq!(reply.json, json!({"deleted": 30, "done": true}));
    // 18 events are of the user, a third of them of the session that is gone.
    assert_eq!(delete(&tally, "/apps/shop/events?user_id=u2").await.json, json!({"deleted": 12, "done": true}));
    assert_eq!(delete(&tally, "/apps/shop/events?user_id=u2").await.json["deleted"], 0);
    tally.drain().await;
    assert_eq!(total(&tally, &app).await, 2 * (90 - 30 - 12));
    assert!(tally.list(&app, "session_id=s1").await.is_empty() && tally.list(&app, "user_id=u2").await.is_empty());
    for (query, fields) in [
        ("", vec!["session_id"]),
        ("?session_id=a&user_id=b", vec!["session_id"]),
        ("?session_id=a&next=x", vec!["next"]),
        ("?name=a&session_id=a", vec!["name"]),
    ] {
        assert_problem(&delete(&tally, &format!("/apps/shop/events{query}")).await, 400, &fields);
    }
}

#[tokio::test]
async fn an_app_is_erased_whole_and_lives_again_as_another() {
    let mut tally = Tally::start().await;
    let app = sharded(&tally).await;
    let other = tally.app("other").await;
    tally.accept(&app, &events(60)).await;
    tally.accept(&other, &events(5)).await;
    tally.drain().await;
    let first = delete(&tally, "/apps/shop").await;
    assert_eq!((first.status, &first.json), (StatusCode::ACCEPTED, &json!({"deleted": 60, "done": false})));
    assert_problem(&tally.get(&app, "/events").await, 401, &[]);
    assert_problem(&tally.ingest(&app, &json!({"name": "late"})).await, 401, &[]);
    let admin = tally.token(Role::Admin).await;
    let made_again = tally.call(Method::POST, "/apps/shop", ("x-access-token", &admin), "").await;
    assert_problem(&made_again, 409, &[]);
    tally.clock.set(tally.clock.now() + 7 * MINUTE - SECOND);
    assert_eq!(tally.counting(delete(&tally, "/apps/shop")).await.json["done"], false, "not everybody knows yet");
    tally.clock.set(tally.clock.now() + SECOND);
    assert_eq!(tally.counting(delete(&tally, "/apps/shop")).await.json, json!({"deleted": 0, "done": true}));
    assert_problem(&delete(&tally, "/apps/shop").await, 404, &[]);
    let apps = tally.call(Method::GET, "/apps", ("x-access-token", &admin), "").await.json;
    assert_eq!(apps["items"].as_array().unwrap().len(), 1, "{apps}");

    let app = tally.app("shop").await;
    assert_eq!(tally.stored_app(&app).await.id.as_str(), "shop~2");
    tally.accept(&app, &events(4)).await;
    tally.drain().await;
    assert_eq!(
        (total(&tally, &app).await, tally.list(&app, "").await.len()),
        (json!(8), 4),
        "nothing of its first life"
    );
    assert_eq!(total(&tally, &other).await, 10);
}

#[tokio::test]
async fn events_stored_by_functions_with_a_stale_cache_are_erased_too() {
    let mut tally = Tally::start().await;
    let app = sharded(&tally).await;
    tally.accept(&app, &events(9)).await;
    let known = tally.stored_app(&app).await;
    delete(&tally, "/apps/shop").await;
    store_late(&tally, &known, "late").await;
    tally.drain().await;
    tally.clock.set(tally.clock.now() + 7 * MINUTE);
    assert_eq!(tally.counting(delete(&tally, "/apps/shop")).await.json, json!({"deleted": 1, "done": true}));
    let app = tally.app("shop").await;
    assert_eq!((total(&tally, &app).await, tally.list(&app, "").await.len()), (json!(0), 0));
}

/// Erases the app `shop` whole.
pub(crate) async fn erase_app(tally: &mut Tally) {
    delete(tally, "/apps/shop").await;
    tally.clock.set(tally.clock.now() + 7 * MINUTE);
    assert_eq!(tally.counting(delete(tally, "/apps/shop")).await.json["done"], true);
}

/// Stores an event like a function that does not know yet that its app is being erased.
async fn store_late(tally: &Tally, known: &App, name: &str) {
    let event = Draft { name: Some(name.to_owned()), ..Draft::default() };
    let event = event.accept(known, tally.clock.now()).unwrap();
    let soon = Deadline::after(Duration::from_secs(10));
    tally.context.store.put_event(known, &event, soon).await.unwrap();
}

#[tokio::test]
async fn no_table_keeps_anything_of_an_erased_user() {
    let mut tally = Tally::start().await;
    let app = sharded(&tally).await;
    let of = |user: &str, level: &str, message: &str| {
        let stack = json!([{"type": "E", "frames": [{"filename": format!("{user}.py"), "lineno": 5, "in_app": true}]}]);
        json!({"name": "failed", "level": level, "user_id": user, "session_id": format!("{user}-session"), "message": message,
            "data": {"note": format!("{user} was here"), user: 1}, "tags": {"owner": user}, "stack": stack})
    };
    let mail = |user: &str| format!("no account for {user}@example.com");
    let ann = "ann-canary";
    let events = json!([
        of(ann, "ERROR", &mail(ann)),
        of("bob", "ERROR", &mail("bob")),
        of(ann, "FATAL", &format!("{ann} fails alone")),
        of(ann, "INFO", &format!("{ann} signs in")),
        {"name": "failed", "level": "ERROR", "user_id": ann, "fingerprint": format!("{ann} print"), "message": ann},
    ]);
    tally.accept(&app, &events).await;
    // One that is refused: a sample of it stays for 7 days.
    let refused = json!([{"name": "failed", "timestamp": "1969-07-20T20:17:40Z", "user_id": ann}]);
    assert_ne!(tally.ingest(&app, &refused).await.status, StatusCode::CREATED);
    tally.drain().await;
    let asked = ["/issues", "/stats/overview?since=24h", "/stats/top-messages", "/events", "/attributes"];
    for path in asked {
        tally.ask(&app, path).await;
    }
    assert!(tally.contents().await.contains(ann));
    assert_eq!(delete(&tally, &format!("/apps/shop/events?user_id={ann}")).await.json["deleted"], 4);
    tally.drain().await;
    let contents = tally.contents().await;
    let left: Vec<_> = contents.lines().filter(|item| item.contains(ann)).collect();
    assert_eq!(left.len(), 1, "{left:#?}");
    assert!(left[0].contains("~rejected#shop") && expires(left[0]) <= tally.clock.now() + 7 * DAY, "{left:#?}");
    let issues = tally.ask(&app, "/issues").await;
    assert_eq!(column(&issues["items"], "title"), ["no account for bob@example.com"]);
    for path in asked {
        assert!(!tally.ask(&app, path).await.to_string().contains(ann), "{path}");
    }
}

/// When an item expires.
pub(crate) fn expires(item: &str) -> Timestamp {
    let (_, rest) = item.split_once(r#""expires_at": N(""#).unwrap_or_else(|| panic!("it stays for ever: {item}"));
    Timestamp::from_seconds(rest.split('"').next().unwrap().parse().unwrap())
}

/// With a clock that goes on by itself while a call waits for barriers that nobody meets.
#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn barriers_of_an_earlier_call_do_not_cover_later_events() {
    let mut tally = Tally::start().await;
    let app = sharded(&tally).await;
    let known = tally.stored_app(&app).await;
    assert_eq!(delete(&tally, "/apps/shop").await.json["done"], false);
    tally.clock.set(tally.clock.now() + 7 * MINUTE);
    assert_eq!(delete(&tally, "/apps/shop").await.json, json!({"deleted": 0, "done": false}), "nobody counts");
    tally.drain().await;
    store_late(&tally, &known, "late").await;
    let met = delete(&tally, "/apps/shop").await;
    assert_eq!(met.json, json!({"deleted": 1, "done": false}), "its records are not handled yet");
    // The same round goes on, however many calls it takes.
    assert_eq!(delete(&tally, "/apps/shop").await.json, json!({"deleted": 0, "done": false}));
    tally.drain().await;
    assert_eq!(delete(&tally, "/apps/shop").await.json, json!({"deleted": 0, "done": true}));
    assert_problem(&delete(&tally, "/apps/shop").await, 404, &[]);
}
