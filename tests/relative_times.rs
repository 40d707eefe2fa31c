//! Times relative to the request, wherever a request has a time. It is Saturday, 21 November, 10:08:25 in UTC.

use http::Method;
use serde_json::{Value, json};
use tally_core::app::role::Role;

use crate::harness::{Tally, TestApp, assert_problem};

/// One event at each of these times, counted.
async fn events(tally: &mut Tally, app: &TestApp, times: &[&str]) {
    let events = times.iter().map(|time| json!({"name": "a", "message": "m", "timestamp": time}));
    tally.accept(app, &events.collect()).await;
    tally.drain().await;
}

fn total(list: &Value) -> i64 {
    list.as_array().expect("a list").iter().map(|item| item["count"].as_i64().expect("a count")).sum()
}

#[tokio::test]
async fn a_range_may_be_relative_to_now() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let times = [
        "2026-11-21T10:00:00Z",
        "2026-11-21T09:10:00Z",
        "2026-11-20T23:30:00Z",
        "2026-11-20T10:07:00Z",
        "2026-11-16T00:30:00Z",
        "2026-11-15T12:00:00Z",
        "2026-11-01T00:00:00Z",
    ];
    events(&mut tally, &app, &times).await;
    for (range, since, until, expected) in [
        ("since=15m", "2026-11-21T09:53:00Z", "2026-11-21T10:09:00Z", 1),
        ("since=1h", "2026-11-21T09:08:00Z", "2026-11-21T10:09:00Z", 2),
        ("since=today", "2026-11-21T00:00:00Z", "2026-11-21T10:09:00Z", 2),
        ("since=today&tz=Europe/Berlin", "2026-11-20T23:00:00Z", "2026-11-21T10:09:00Z", 3),
        ("since=24h", "2026-11-20T10:08:00Z", "2026-11-21T10:09:00Z", 3),
        ("since=yesterday&until=today", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", 2),
        ("since=this-week", "2026-11-16T00:00:00Z", "2026-11-21T10:09:00Z", 5),
        ("since=this-week&week_start=sunday", "2026-11-15T00:00:00Z", "2026-11-21T10:09:00Z", 6),
        ("since=1w&until=1h", "2026-11-14T10:08:00Z", "2026-11-21T09:08:00Z", 4),
        ("since=this-month&until=now", "2026-11-01T00:00:00Z", "2026-11-21T10:08:25.123456Z", 7),
    ] {
        for path in ["by-name", "by-category", "by-level", "timeseries", "hours", "top-messages", "groups"] {
            let attr = if path == "groups" { "attr=name&" } else { "" };
            let reply = tally.ask(&app, &format!("/stats/{path}?{attr}{range}")).await;
            assert_eq!((&reply["since"], &reply["until"]), (&json!(since), &json!(until)), "{path}?{range}");
            let list = if path == "timeseries" { "series" } else { "items" };
            assert_eq!(total(&reply[list]), expected, "{path}?{range}");
        }
        let page = tally.ask(&app, &format!("/events?{range}&limit=2")).await;
        // A list has no end unless one is sent.
        let ends = if range.contains("until") { json!(until) } else { Value::Null };
        assert_eq!((&page["since"], &page["until"]), (&json!(since), &ends), "events?{range}");
        let listed = tally.list(&app, &format!("{range}&limit=2")).await;
        assert_eq!(i64::try_from(listed.len()).unwrap(), expected, "events?{range}");
    }
    let all = tally.ask(&app, "/events").await;
    assert_eq!((&all["since"], &all["until"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_page_keeps_the_range_of_the_first() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    events(&mut tally, &app, &["2026-11-21T10:00:00Z", "2026-11-21T09:59:00Z", "2026-11-21T09:55:00Z"]).await;
    let page = tally.ask(&app, "/events?since=15m&limit=1").await;
    tally.clock.set(tally.clock.now() + tally_core::time::HOUR);
    let next = tally.ask(&app, &format!("/events?cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!((&next["since"], &next["items"][0]["timestamp"]), (&page["since"], &json!("2026-11-21T09:59:00Z")));
}

#[tokio::test]
async fn a_report_is_of_a_relative_day_week_or_month() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    events(&mut tally, &app, &["2026-11-21T10:00:00Z", "2026-11-20T23:30:00Z", "2026-11-14T12:00:00Z"]).await;
    for (report, from, to, expected) in [
        ("day?date=yesterday", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", 1),
        ("day?date=7d", "2026-11-14T00:00:00Z", "2026-11-15T00:00:00Z", 1),
        ("hour?date=yesterday&hour=23", "2026-11-20T23:00:00Z", "2026-11-21T00:00:00Z", 1),
        ("week?date=this-week", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z", 2),
        ("week?week=1w&week_start=sunday", "2026-11-08T00:00:00Z", "2026-11-15T00:00:00Z", 1),
        ("month?month=this-month", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", 3),
        ("period?from=7d&to=now", "2026-11-14T10:08:00Z", "2026-11-21T10:08:25.123456Z", 3),
        ("period?from=yesterday&to=today", "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z", 2),
        ("period?from=this-week&to=yesterday", "2026-11-16T00:00:00Z", "2026-11-21T00:00:00Z", 1),
        ("period?from=this-month&to=this-month", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", 3),
        (
            "period?from=this-week&to=this-week&week_start=sunday&tz=Asia/Tokyo",
            "2026-11-14T15:00:00Z",
            "2026-11-21T15:00:00Z",
            2,
        ),
    ] {
        let reply = tally.ask(&app, &format!("/reports/{report}")).await;
        assert_eq!((&reply["from"], &reply["to"]), (&json!(from), &json!(to)), "{report}");
        assert_eq!(reply["total"], expected, "{report}");
    }
    let histogram = tally.ask(&app, "/histogram?date=yesterday&format=json").await;
    assert_eq!((&histogram["date"], &histogram["total"]), (&json!("2026-11-20"), &json!(1)));
    assert_eq!(tally.ask(&app, "/histogram/a/yesterday.json?tz=Europe/Berlin").await["date"], "2026-11-20");
    assert_eq!(tally.list(&app, "date=yesterday").await.len(), 1);
    for (path, field) in [
        ("/reports/day?date=this-week", "date"),
        ("/reports/week?date=this-month", "date"),
        ("/reports/day?date=tomorrow", "date"),
        ("/reports/period?from=1y&to=today", "from"),
        ("/events?date=this-month", "date"),
        ("/events?since=15s", "since"),
        ("/histogram?date=now", "date"),
        ("/stats/by-name?since=9999w", "since"),
        ("/stats/by-name?since=15%20m", "since"),
    ] {
        assert_problem(&tally.get(&app, path).await, 400, &[field]);
    }
}

#[tokio::test]
async fn an_audit_goes_through_relative_days() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    events(&mut tally, &app, &["2026-11-21T10:00:00Z", "2026-11-20T23:30:00Z", "2026-11-14T12:00:00Z"]).await;
    let token = tally.token(Role::Admin).await;
    // Days without events are not gone through.
    for (body, days) in [
        (json!({"since": "yesterday"}), 2),
        (json!({"since": "this-week", "until": "today"}), 1),
        (json!({"since": "7d", "until": "now"}), 3),
    ] {
        let call = tally.call(Method::POST, "/apps/shop/audit", ("x-access-token", &token), body.to_string());
        let reply = tally.counting(call).await;
        assert_eq!((reply.status.as_u16(), &reply.json["complete"]), (200, &json!(true)), "{body}: {}", reply.json);
        assert_eq!(reply.json["days"], days, "{body}");
    }
    for (body, field) in [
        (json!({"since": "soon"}), "since"),
        (json!({"since": "today", "until": "yesterday"}), "since"),
        (json!({"until": "1y"}), "until"),
    ] {
        let reply = tally.call(Method::POST, "/apps/shop/audit", ("x-access-token", &token), body.to_string()).await;
        assert_problem(&reply, 400, &[field]);
    }
}

/// An event has a time of its own: sent again, it must have the same one.
#[tokio::test]
async fn an_event_has_an_absolute_time() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let reply = tally.ingest(&app, &json!({"name": "a", "timestamp": "15m"})).await;
    assert_problem(&reply, 400, &["timestamp"]);
}
