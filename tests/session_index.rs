//! What the index of sessions holds: whole events, or their keys, which costs less for large ones.

use http::Method;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_service::config::Config;
use tally_store::tables::SessionIndex;

use crate::harness::{Tally, TestApp, column};

/// A Tally with one kind of index, and an app of three shards.
async fn tally_with(session_index: SessionIndex) -> (Tally, TestApp) {
    let tally = Tally::with(Config { session_index, ..Config::default() }).await;
    let new = admin::NewApp { name: "shop".into(), shards: Some(3), ..Default::default() };
    let app = tally.app_with(new).await;
    (tally, app)
}

/// Events of two sessions, of `bytes` and more.
fn events(count: usize, bytes: usize) -> Value {
    let event = |n: usize| {
        json!({"id": format!("e{n}"), "timestamp": format!("2026-11-21T09:{:02}:{:02}Z", n / 60, n % 60),
            "name": format!("n{}", n % 5), "session_id": format!("s{}", n % 2), "data": {"n": n, "text": "x".repeat(bytes)}})
    };
    (0..count).map(event).collect()
}

/// The numbers of all events that a list has, page by page.
async fn numbers(tally: &Tally, app: &TestApp, query: &str) -> Vec<i64> {
    let (mut numbers, mut next) = (vec![], String::new());
    loop {
        let page = tally.ask(app, &format!("/events?{query}{next}")).await;
        for event in page["items"].as_array().unwrap() {
            assert_eq!(event["data"]["text"].as_str().unwrap().len() % 100, 0, "whole: {event}");
            numbers.push(event["data"]["n"].as_i64().unwrap());
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return numbers,
        }
    }
}

#[tokio::test]
async fn a_session_reads_the_same_from_an_index_of_keys() {
    for kind in [SessionIndex::Whole, SessionIndex::Keys] {
        let (mut tally, app) = tally_with(kind).await;
        tally.accept(&app, &events(300, 100)).await;
        tally.drain().await;
        let odd: Vec<i64> = (0..150).map(|n| 2 * n + 1).collect();
        let newest: Vec<i64> = odd.iter().rev().copied().collect();
        assert_eq!(numbers(&tally, &app, "session_id=s1&limit=40").await, newest, "{kind:?}");
        assert_eq!(numbers(&tally, &app, "session_id=s1&limit=1000&order=asc").await, odd, "{kind:?}");
        let of_name: Vec<i64> = odd.iter().copied().filter(|n| n % 5 == 2).collect();
        assert_eq!(numbers(&tally, &app, "session_id=s1&name=n2&order=asc&limit=7").await, of_name, "{kind:?}");
        let counted = tally.ask(&app, "/stats/groups?attr=name&session_id=s1").await;
        assert_eq!(column(&counted["items"], "count"), [30; 5].map(|n: i32| json!(n)).iter().collect::<Vec<_>>());
        assert_eq!(tally.ask(&app, "/stats/overview?session_id=s0&since=24h").await["total"], 150, "{kind:?}");

        let token = tally.token(Role::Admin).await;
        let path = "/apps/shop/events?session_id=s1";
        let erased = tally.call(Method::DELETE, path, ("x-access-token", &token), String::new()).await;
        assert!(erased.status.is_success(), "{}", erased.json);
        assert!(numbers(&tally, &app, "session_id=s1").await.is_empty(), "{kind:?}");
        assert_eq!(numbers(&tally, &app, "limit=1000").await.len(), 150, "{kind:?}");
    }
}

#[tokio::test]
async fn a_page_of_large_events_is_bounded_and_leads_on() {
    for kind in [SessionIndex::Whole, SessionIndex::Keys] {
        let (tally, app) = tally_with(kind).await;
        for _ in 0..3 {
            tally.accept(&app, &events(40, 60_000)).await;
        }
        let even: Vec<i64> = (0..20).map(|n| 2 * n).collect();
        assert_eq!(numbers(&tally, &app, "session_id=s0&order=asc&limit=1000").await, even, "{kind:?}");
    }
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "Amazon's server counts the units of an index by other rules")]
async fn keys_cost_a_unit_whatever_the_size_of_the_event() {
    // By the bytes of an event: write units of 50, and read units of a page of 50.
    for (bytes, whole, keys) in [(100, (100.0, 2.0), (100.0, 26.0)), (2_600, (300.0, 17.0), (200.0, 26.0))] {
        for (kind, (writes, reads)) in [(SessionIndex::Whole, whole), (SessionIndex::Keys, keys)] {
            let (tally, app) = tally_with(kind).await;
            let mut events = events(50, bytes);
            for event in events.as_array_mut().unwrap() {
                event["session_id"] = "s".into();
            }
            let before = tally.usage();
            tally.accept(&app, &events).await;
            let written = (tally.usage() - before).write_units;
            let before = tally.usage();
            assert_eq!(numbers(&tally, &app, "session_id=s&limit=50").await.len(), 50);
            let read = (tally.usage() - before).read_units;
            assert!((written - writes).abs() < 0.1, "{bytes} {kind:?}: {written}");
            assert!((reads - 1.5..=reads + 1.5).contains(&read), "{bytes} {kind:?}: {read}");
        }
    }
}
