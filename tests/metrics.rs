//! `GET /apps/{app}/metrics`: the counts of today for Prometheus.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::harness::{Tally, TestApp};

async fn metrics(tally: &Tally, app: &TestApp, query: &str) -> (String, String) {
    let request = Request::get(format!("/apps/shop/metrics{query}")).header("x-read-key", &app.read_key);
    let (parts, body) = tally.raw(request.body(Body::empty()).unwrap()).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(parts.status, 200, "{text}");
    (text, parts.headers["content-type"].to_str().unwrap().to_owned())
}

/// The lines that are samples of one metric.
fn samples<'a>(page: &'a str, metric: &str) -> Vec<&'a str> {
    page.lines().filter_map(|line| line.strip_prefix(metric)).filter(|rest| rest.starts_with('{')).collect()
}

#[tokio::test]
async fn a_scrape_tells_the_counts_of_today_by_name_and_level() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = json!([
        {"name": "order", "level": "INFO", "timestamp": "2026-11-21T00:00:00Z", "count": 3},
        {"name": "order", "level": "ERROR", "timestamp": "2026-11-21T09:00:00Z"},
        {"name": "a \"b\" \\ c\nd", "timestamp": "2026-11-21T09:00:00Z", "count": 2},
        {"name": "order", "level": "INFO", "timestamp": "2026-11-20T23:59:59Z", "count": 50},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    let (page, kind) = metrics(&tally, &app, "").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(
        samples(&page, "tally_events"),
        [
            r#"{app="shop",name="order",level="INFO"} 3"#,
            r#"{app="shop",name="a \"b\" \\ c\nd",level="NONE"} 2"#,
            r#"{app="shop",name="order",level="ERROR"} 1"#,
        ]
    );
    assert_eq!(samples(&page, "tally_events_left_out"), [r#"{app="shop"} 0"#]);
    assert_eq!(samples(&page, "tally_complete"), [r#"{app="shop"} 1"#]);
    assert_eq!(samples(&page, "tally_day_start_timestamp_seconds"), [r#"{app="shop"} 1795219200"#]);
    assert!(page.ends_with("# EOF\n"), "{page}");
    // Yesterday counts in a zone where it is still today.
    let (page, _) = metrics(&tally, &app, "?tz=Pacific/Pago_Pago&level=INFO").await;
    assert_eq!(samples(&page, "tally_events"), [r#"{app="shop",name="order",level="INFO"} 53"#]);
}

#[tokio::test]
async fn who_asks_for_open_metrics_gets_it() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let request = Request::get("/apps/shop/metrics")
        .header("authorization", format!("Bearer {}", app.read_key))
        .header("accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3,*/*;q=0.2");
    let reply = tally.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(reply.headers.get_all("vary").iter().any(|names| names == "accept"), "{:?}", reply.headers);
}

#[tokio::test]
async fn names_beyond_those_that_get_a_series_are_told_as_a_sum() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for part in 0..3 {
        let events: Vec<_> = (0..700)
            .map(|n| json!({"name": format!("n{part}-{n}"), "count": 2, "timestamp": "2026-11-21T09:00:00Z"}))
            .collect();
        tally.accept(&app, &json!(events)).await;
    }
    tally.drain().await;
    let (page, _) = metrics(&tally, &app, "").await;
    assert_eq!(samples(&page, "tally_events").len(), 2_000);
    assert_eq!(samples(&page, "tally_events_left_out"), [r#"{app="shop"} 200"#]);
}
