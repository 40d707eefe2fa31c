//! What apps use.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_service::disk::{Disk, Space};

use crate::harness::{Tally, assert_problem, at};

/// A disk that a test decides about.
struct Given(Option<Space>);

impl Disk for Given {
    fn space(&self) -> Option<Space> {
        self.0
    }
}

/// Two apps: 30 events of 4 KB a day for 10 days, and one event.
async fn two_apps(tally: &mut Tally) {
    let (shop, other) = (tally.app("shop").await, tally.app("other").await);
    let text = "x".repeat(4_000);
    for day in 12..22 {
        let event = json!({"name": "a", "timestamp": format!("2026-11-{day}T09:00:00Z"), "data": {"text": text}});
        tally.accept(&shop, &json!(vec![event; 30])).await;
    }
    tally.accept(&other, &json!({"name": "b", "session_id": "s"})).await;
    tally.drain().await;
}

async fn of_all(tally: &Tally) -> Value {
    let reply = tally.admin(Method::GET, "/usage", &json!({})).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    reply.json
}

#[tokio::test]
async fn all_apps_tell_what_they_use_and_about_what_that_costs() {
    let mut tally = Tally::start().await;
    two_apps(&mut tally).await;
    let told = of_all(&tally).await;
    let row = |n: usize| (told["items"][n]["app"].clone(), told["items"][n]["events"].clone());
    assert_eq!((row(0), row(1)), ((json!("other"), json!(1)), (json!("shop"), json!(300))));
    assert_eq!((&told["next"], &told["days"], told.get("disk")), (&Value::Null, &json!(30), None));
    let bytes = told["items"][1]["bytes"].as_i64().unwrap();
    assert!((1_250_000..1_320_000).contains(&bytes), "{told}");
    assert_eq!(bytes, usage(&tally, "shop").await["bytes"], "of equal events, a day tells as much as a month");
    // 300 events of 5 units each and one of two, and the counting of each: 6 units.
    let units = told["cost"]["write_units"].as_f64().unwrap();
    assert!((300.0 * 5.0..300.0 * 5.0 + 302.0 * 7.0).contains(&units), "{told}");
    let [from, to] = ["dollars_from", "dollars_to"].map(|name| told["cost"][name].as_f64().unwrap());
    assert!((0.0..=to).contains(&from) && (units * 0.625 / 1e6 - from).abs() < 0.01, "{told}");
    assert_eq!(told["cost"]["estimated"], true);
    assert_problem(&tally.admin(Method::GET, "/usage?next=%2F", &json!({})).await, 400, &["next"]);
    let reader = tally.token(Role::Reader).await;
    assert_problem(&tally.call(Method::GET, "/usage", ("x-access-token", &reader), "").await, 403, &[]);
}

#[tokio::test]
async fn a_disk_tells_when_it_is_full() {
    const MB: u64 = 1_000_000;
    // 128 KB a day for ten days.
    for (free, days) in
        [(Some(100 * MB), Some(740..800)), (Some(0), Some(0..1)), (Some(100_000 * MB), None), (None, None)]
    {
        let mut tally = Tally::start().await;
        two_apps(&mut tally).await;
        let space = Space { database: 12_345, free };
        assert!(tally.context.disk.set(Box::new(Given(Some(space)))).is_ok());
        let told = of_all(&tally).await;
        let disk = &told["disk"];
        assert_eq!((&disk["database_bytes"], &disk["free_bytes"]), (&json!(12_345), &json!(free)));
        assert_eq!(told.get("cost"), None, "nothing is paid for on a laptop");
        let full = disk["full_at"].as_str().map(|full| (at(full) - tally.clock.now()).as_seconds() / 86_400);
        assert_eq!(full.is_some(), days.is_some(), "{told}");
        assert!(full.is_none_or(|full| days.is_some_and(|days| days.contains(&full))), "{told}");
    }
    // In memory there is no disk, and nothing comes without events.
    let tally = Tally::start().await;
    assert!(tally.context.disk.set(Box::new(Given(None))).is_ok());
    let told = of_all(&tally).await;
    assert_eq!((told.get("disk"), told.get("cost"), &told["items"]), (None, None, &json!([])));
    let tally = Tally::start().await;
    assert!(tally.context.disk.set(Box::new(Given(Some(Space { database: 1, free: Some(1) })))).is_ok());
    assert_eq!(of_all(&tally).await["disk"]["full_at"], Value::Null);
}

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
