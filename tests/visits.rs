//! Visits of a web page, as its owner asks for them.

use serde_json::{Value, json};

use crate::harness::{Tally, TestApp, assert_problem, column};

const RANGE: &str = "since=2026-11-19&until=2026-11-22";

fn event(name: &str, at: &str, who: &str, data: &Value) -> Value {
    let (key, who) = who.split_once(' ').expect("what and who");
    json!({"id": format!("{name} {who} {at}"), "name": name, "timestamp": format!("2026-11-{at}:00Z"), key: who, "data": data})
}

/// A site with three visitors: `s1` reads for a long time and comes back at once, and later on another day; `s2` looks and goes; the
/// user `ann` looks, and signs up.
async fn site(tally: &mut Tally) -> TestApp {
    let app = tally.app("site").await;
    let view = |at: &str, who: &str, path: &str| event("pageview", at, who, &json!({"path": path}));
    let events = json!([
        view("20T08:00", "session_id s1", "/"),
        event("engagement", "20T08:00", "session_id s1", &json!({"duration_ms": 2_400_000})),
        view("20T08:45", "session_id s1", "/pricing"),
        // Half an hour after its last event, so a visit of its own.
        view("20T09:15", "session_id s1", "/docs"),
        view("21T10:00", "session_id s1", "/docs"),
        view("20T08:10", "session_id s2", "/"),
        event("pageview", "20T11:00", "user_id ann", &json!({"url": "https://site.example/pricing?plan=pro#top"})),
        event("signup", "20T11:05", "user_id ann", &json!({"plan": "pro"})),
        // Nobody looked at a page.
        event("cron", "20T12:00", "user_id robot", &json!({})),
        event("pageview", "20T13:00", "fingerprint nobody", &json!({"path": "/"})),
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    app
}

#[tokio::test]
async fn a_site_tells_its_visitors_visits_and_pages() {
    let mut tally = Tally::start().await;
    let app = site(&mut tally).await;
    let reply = tally.ask(&app, &format!("/stats/web?{RANGE}&interval=DAY")).await;
    assert_eq!(reply["complete"], true);
    let numbers = |of: &Value| {
        ["visitors", "anonymous", "visits", "views", "views_per_visit", "bounce_rate", "mean_seconds", "median_seconds"]
            .map(|field| of[field].clone())
    };
    // Visits of s1: 45 minutes, and two bounces; of s2 a bounce; of ann 5 minutes.
    assert_eq!(
        numbers(&reply),
        [3, 2, 5, 6]
            .map(Value::from)
            .into_iter()
            .chain([json!(1.2), json!(0.6), json!(600), json!(0)])
            .collect::<Vec<_>>()[..]
    );
    assert_eq!(column(&reply["series"], "bucket_start"), ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"]);
    assert_eq!(column(&reply["series"], "visitors"), [3, 1]);
    assert_eq!(column(&reply["series"], "visits"), [4, 1]);
    assert_eq!(column(&reply["series"], "views"), [5, 1]);
    let pages = |list: &str| {
        reply[list]
            .as_array()
            .expect("a list")
            .iter()
            .map(|page| (page["path"].clone(), page["visits"].clone(), page["bounce_rate"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        pages("entry_pages"),
        [("/docs", 2, 1), ("/", 2, 0), ("/pricing", 1, 0)].map(|(path, visits, rate)| {
            (json!(path), json!(visits), if path == "/" { json!(0.5) } else { json!(f64::from(rate)) })
        })
    );
    assert_eq!(column(&reply["exit_pages"], "path"), ["/docs", "/pricing", "/"]);
    assert_eq!(column(&reply["exit_pages"], "visits"), [2, 2, 1]);

    let one = tally.ask(&app, &format!("/stats/web?{RANGE}&limit=1")).await;
    assert_eq!(
        (one["entry_pages"].as_array().map(Vec::len), one["exit_pages"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
}

#[tokio::test]
async fn a_filter_selects_visits_with_such_an_event_and_views_that_match() {
    let mut tally = Tally::start().await;
    let app = site(&mut tally).await;
    for (filter, expected) in [
        ("name=signup", [1, 1, 0]),
        ("attr.path=/pricing", [1, 1, 1]),
        ("attr.path=/", [2, 2, 2]),
        ("user_id=ann", [1, 1, 1]),
        ("session_id=s1", [1, 3, 4]),
        ("name=cron", [0, 0, 0]),
    ] {
        let reply = tally.ask(&app, &format!("/stats/web?{RANGE}&{filter}")).await;
        assert_eq!(
            ["visitors", "visits", "views"].map(|field| reply[field].clone()),
            expected.map(Value::from),
            "{filter}"
        );
        assert_eq!(reply["complete"], true);
    }
    let nobody = tally.ask(&app, &format!("/stats/web?{RANGE}&name=cron")).await;
    assert_eq!(
        ["views_per_visit", "bounce_rate", "mean_seconds", "median_seconds"].map(|field| nobody[field].clone()),
        [const { Value::Null }; 4]
    );
}

#[tokio::test]
async fn who_signs_in_is_one_visitor() {
    let mut tally = Tally::start().await;
    let app = tally.app("site").await;
    let page = json!({"path": "/"});
    let events = json!([
        event("pageview", "20T08:00", "user_id anonymous-7", &page),
        event("$identify", "20T08:05", "user_id ann", &json!({"anonymous_id": "anonymous-7"})),
        event("pageview", "20T08:20", "user_id ann", &page),
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    for filter in ["", "&user_id=ann", "&user_id=anonymous-7"] {
        let reply = tally.ask(&app, &format!("/stats/web?{RANGE}{filter}")).await;
        let told = ["visitors", "anonymous", "visits", "views"].map(|field| reply[field].clone());
        assert_eq!(told, [1, 0, 1, 2].map(Value::from), "{filter}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_field() {
    let mut tally = Tally::start().await;
    let app = site(&mut tally).await;
    for (query, fields) in [
        ("interval=YEAR", vec!["interval"]),
        ("limit=0", vec!["limit"]),
        ("limit=101", vec!["limit"]),
        ("since=2020-01-01&interval=MINUTE", vec!["interval"]),
        ("page=2", vec!["page"]),
    ] {
        assert_problem(&tally.get(&app, &format!("/stats/web?{query}")).await, 400, &fields);
    }
}
