//! An app with more names than its counters hold: what shows `(other)` says that it is not complete.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use tally_core::app::partition::Partition;
use tally_core::app::{AppId, AppSlug};
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::event::group::Group;
use tally_core::time::MILLISECOND;
use tally_core::time::bucket::{Bucket, Granularity};

use crate::harness::{Tally, TestApp, at, column};

/// The minute of all events.
const MINUTE: &str = "2026-11-20T06:15:00Z";
/// Names without a cell of their own.
const NAMES: i64 = 300;

/// An app whose counters hold the name `held` alone, with the level INFO and the category `c`; 300 more names have the same.
async fn full(tally: &mut Tally) -> TestApp {
    let app = tally.app("shop").await;
    let event = |name: String, n: i64| json!({"name": name, "category": "c", "level": "INFO", "message": name, "timestamp": (at(MINUTE) + n * MILLISECOND).to_string()});
    tally.accept(&app, &event("held".to_owned(), 0)).await;
    tally.drain().await;
    let partition = Partition { app: AppId::new(&AppSlug::of_name("shop").unwrap(), 1), shard: 0 };
    for kind in [CounterKind::Cells, CounterKind::Messages] {
        for granularity in Granularity::ALL {
            let bucket = Bucket::of(granularity, at(MINUTE));
            let key = CounterKey { partition: partition.clone(), kind, bucket, page: 0 };
            tally.context.store.set_full(&key).await.unwrap();
        }
    }
    let events: Vec<_> = (1..=NAMES).map(|n| event(format!("name {n}"), n)).collect();
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;
    app
}

const RANGE: &str = "since=2026-11-20&until=2026-11-21";

#[tokio::test]
async fn other_comes_with_complete_false_wherever_it_appears() {
    let mut tally = Tally::start().await;
    let app = full(&mut tally).await;
    let key = tally.key_for_both(&app).await;
    let native = |path: &str| format!("/apps/shop{path}");
    let shows_it = [
        native(&format!("/stats/by-name?{RANGE}")),
        native(&format!("/stats/by-name?{RANGE}&level=INFO")),
        native(&format!("/stats/by-category?{RANGE}")),
        native(&format!("/stats/by-name?{RANGE}&limit=1")),
        native(&format!("/stats/hours?{RANGE}")),
        native("/stats/totals"),
        native("/reports/hour?date=2026-11-20&hour=6"),
        native("/reports/day?date=2026-11-20"),
        native("/reports/week?date=2026-11-20"),
        native("/reports/month?date=2026-11-20"),
        native("/reports/period?from=2026-11-01&to=2026-11-21"),
        native("/reports/day?date=2026-11-20&name=(other)"),
        native("/histogram?date=2026-11-20&format=json&name=(other)"),
        format!("/event-tracker/{key}/api/events?start_date=20261120&end_date=20261120"),
        format!("/event-tracker/{key}/api/events/unique"),
        format!("/event-tracker/{key}/api/events/histogram/(other)/20261120"),
        "/seismo/api/reports/day/shop?date=2026-11-20&event=(other)".to_owned(),
    ];
    let get = async |path: &str| {
        let request = Request::get(path).header("x-read-key", &app.read_key).header("accept", "application/json");
        let reply = tally.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.json);
        reply
    };
    for path in &shows_it {
        let reply = get(path).await;
        assert!(reply.json.to_string().contains("(other)"), "{path}: {}", reply.json);
        let numbers = if path.contains("/histogram/") { &reply.json["response"] } else { &reply.json };
        assert_eq!(numbers["complete"], false, "{path}: {}", reply.json);
    }
    // What hides in `(other)` may be of the name that was asked for.
    for path in [
        native(&format!("/stats/by-level?{RANGE}&name=held")),
        native(&format!("/stats/timeseries?{RANGE}&category=c")),
        native("/stats/totals?name=held"),
        native("/reports/hour?date=2026-11-20&hour=6&slug=held"),
        native("/histogram?date=2026-11-20&format=json&name=held"),
        native(&format!("/stats/top-messages?{RANGE}")),
        format!("/the-eye/{key}/api/event?category=c&limit=1"),
        "/seismo/api/reports/day/shop?date=2026-11-20&event=held".to_owned(),
    ] {
        let reply = get(&path).await.json;
        assert_eq!(reply["complete"], false, "{path}: {reply}");
    }
    // Sums over all names are exact.
    let reply = get(&native(&format!("/stats/by-level?{RANGE}"))).await.json;
    assert_eq!((&reply["items"], reply.get("complete")), (&json!([{"level": "INFO", "count": NAMES + 1}]), None));
    let reply = get(&native(&format!("/stats/timeseries?{RANGE}&level=INFO"))).await.json;
    assert_eq!((column(&reply["series"], "count"), reply.get("complete")), (vec![&json!(NAMES + 1)], None));
    let reply = get(&native("/histogram?date=2026-11-20&format=json")).await.json;
    assert_eq!((&reply["total"], reply.get("complete")), (&json!(NAMES + 1), None));
    let reply = get("/seismo/api/reports/day/shop?date=2026-11-20").await.json;
    assert_eq!(reply, json!({"total": NAMES + 1}), "the names are not known, so they are not one");
    let none = get(&native("/stats/by-name?since=2026-11-19&until=2026-11-20")).await.json;
    assert_eq!((&none["items"], none.get("complete")), (&json!([]), None), "another day");
    // Of groups that the counters do not hold, an issue may lack occurrences.
    let issue = json!({"name": "held", "level": "ERROR", "message": "held fails", "timestamp": MINUTE});
    tally.accept(&app, &issue).await;
    tally.drain().await;
    let list = tally.ask(&app, &format!("/issues?{RANGE}")).await;
    assert_eq!(list["complete"], false, "{list}");
    let mut found = 0;
    for group in Group::of_message("held fails") {
        let one = tally.get(&app, &format!("/issues/{group}?{RANGE}")).await;
        found += usize::from(one.status == 200);
        assert!(one.status == 404 || one.json["complete"] == false, "{}", one.json);
    }
    assert!(found > 0, "it is an issue");
}

#[tokio::test]
async fn a_picture_says_in_a_header_that_counts_may_be_missing() {
    let mut tally = Tally::start().await;
    let app = full(&mut tally).await;
    for (name, complete) in [("", None), ("&name=held", Some("false")), ("&name=(other)", Some("false"))] {
        for format in ["png", "svg"] {
            let path = format!("/apps/shop/histogram?date=2026-11-20&format={format}{name}");
            let reply = tally.call(Method::GET, &path, ("x-read-key", &app.read_key), "").await;
            let told = reply.headers.get("tally-complete").map(|value| value.to_str().unwrap());
            assert_eq!((reply.status.as_u16(), told, &reply.json), (200, complete, &Value::Null), "{path}");
        }
    }
}
