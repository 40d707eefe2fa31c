//! Charts of any series.

use axum::body::Body;
use http::Request;
use http::response::Parts;
use serde_json::json;

use crate::harness::{Tally, TestApp, assert_problem};

async fn picture(tally: &Tally, app: &TestApp, path: &str, tag: Option<&str>) -> (Parts, Vec<u8>) {
    let request = Request::get(format!("/apps/{}/{path}", app.slug)).header("x-read-key", &app.read_key);
    let request = tag.into_iter().fold(request, |request, tag| request.header("if-none-match", tag));
    tally.raw(request.body(Body::empty()).unwrap()).await
}

async fn svg(tally: &Tally, app: &TestApp, query: &str) -> String {
    let (parts, body) = picture(tally, app, &format!("chart.svg?{query}"), None).await;
    assert_eq!(parts.status, 200, "{query}: {}", String::from_utf8_lossy(&body));
    String::from_utf8(body).expect("text")
}

/// A day of events of three levels and twelve names.
async fn day(tally: &mut Tally, app: &TestApp) {
    let event = |n: usize| {
        let level = ["INFO", "INFO", "WARN", "", "ERROR"][n % 5];
        json!({"name": format!("name <{}>", n % 12), "level": level, "count": 1 + n % 7, "user_id": format!("u{}", n % 2),
            "timestamp": format!("2026-11-21T{:02}:{:02}:00Z", n / 20, n % 20 * 3)})
    };
    tally.accept(app, &(0..200).map(event).collect()).await;
    tally.drain().await;
}

#[tokio::test]
async fn a_chart_is_a_picture_of_a_series() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    day(&mut tally, &app).await;
    for (file, kind, magic) in [("chart.svg", "image/svg+xml", &b"<svg"[..]), ("chart.png", "image/png", b"\x89PNG")] {
        let (parts, body) = picture(&tally, &app, &format!("{file}?since=today&width=640&height=320"), None).await;
        assert_eq!((parts.status.as_u16(), &parts.headers["content-type"]), (200, &kind.parse().unwrap()));
        assert!(body.starts_with(magic) && parts.headers.contains_key("tally-counted-to"));
        let policy = parts.headers["content-security-policy"].to_str().unwrap();
        assert_eq!(policy.contains("sandbox"), file == "chart.svg", "{policy}");
        assert_eq!(parts.headers["cache-control"], "private, no-cache");
        assert_eq!(parts.headers.get("tally-complete"), None);
        let tag = parts.headers["etag"].to_str().unwrap();
        let again = picture(&tally, &app, &format!("{file}?since=today&width=640&height=320"), Some(tag)).await;
        assert_eq!((again.0.status.as_u16(), again.1.len()), (304, 0));
    }
}

#[tokio::test]
async fn a_chart_shows_what_was_asked_for() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    day(&mut tally, &app).await;
    let by_level = svg(&tally, &app, "since=today").await;
    for shown in ["shop: ", "ERROR", "WARN", "INFO", "no level", "05:00", "#C8202B", "#FFFFFF"] {
        assert!(by_level.contains(shown), "{shown}: {by_level}");
    }
    for absent in ["FATAL", "DEBUG", "#86198F"] {
        assert!(!by_level.contains(absent), "{absent}");
    }
    let total = tally.ask(&app, "/stats/overview?since=today").await["total"].clone();
    assert!(by_level.contains(&format!("shop: {total} in all")));
    let dark = svg(&tally, &app, "since=today&theme=dark&level=ERROR&title=Errors+%26+more&tz=Europe/Berlin").await;
    for shown in ["#151B23", "#FF6B6B", "Errors &amp; more", "Europe/Berlin", "ERROR"] {
        assert!(dark.contains(shown), "{shown}: {dark}");
    }
    assert!(!dark.contains("INFO"));
    let by_name = svg(&tally, &app, "since=today&by=name&interval=DAY").await;
    assert!(by_name.contains("name &lt;1&gt;") && by_name.contains("(other names)") && !by_name.contains("ERROR"));
    // What counters do not know comes from the events.
    let of_user = svg(&tally, &app, "since=today&user_id=u1").await;
    let total = tally.ask(&app, "/stats/overview?since=today&user_id=u1").await["total"].clone();
    assert!(of_user.contains(&format!("shop: {total} in all")));
    let nothing = svg(&tally, &app, "since=today&name=nothing&width=200&height=200").await;
    assert!(nothing.contains("no events"));
    let other = tally.app("other").await;
    tally.accept(&other, &json!({"name": "a", "timestamp": "2026-11-21T09:00:00Z"})).await;
    tally.drain().await;
    let undivided = svg(&tally, &other, "since=today").await;
    assert!(undivided.contains("#0B5CAD") && !undivided.contains("no level"), "{undivided}");
}

#[tokio::test]
async fn what_cannot_be_drawn_is_named() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let long = "x".repeat(201);
    for (query, field) in [
        ("width=199", "width"),
        ("height=2001", "height"),
        ("theme=red", "theme"),
        ("by=category", "by"),
        ("compare=previous", "compare"),
        ("interval=MINUTE&since=2d", "interval"),
        ("colour=red", "colour"),
        (format!("title={long}").as_str(), "title"),
    ] {
        for file in ["chart.svg", "chart.png"] {
            assert_problem(&tally.get(&app, &format!("/{file}?{query}")).await, 400, &[field]);
        }
    }
    assert_problem(&tally.get(&app, "/chart.gif").await, 404, &[]);
}
