//! `shape=rows`: replies as tables.

use serde_json::{Value, json};

use crate::harness::{Tally, TestApp, assert_problem};

async fn shop(tally: &mut Tally) -> TestApp {
    let app = tally.app("shop").await;
    let events = json!([
        {"name": "order", "level": "INFO", "user_id": "ann", "session_id": "s", "timestamp": "2026-11-21T08:10:00Z",
         "data": {"plan": "pro", "cart": {"items": 3, "codes": ["a", "b"]}, "price": 12.50}},
        {"name": "order", "level": "ERROR", "message": "card declined", "timestamp": "2026-11-21T09:10:00Z"},
        {"name": "visit", "level": "INFO", "count": 4, "timestamp": "2026-11-21T09:20:00Z"},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    app
}

const DAY: &str = "since=2026-11-21T08:00:00Z&until=2026-11-21T10:00:00Z";

#[tokio::test]
async fn a_series_is_a_table_of_its_buckets_with_a_column_for_each_level() {
    let mut tally = Tally::start().await;
    let app = shop(&mut tally).await;
    assert_eq!(
        tally.ask(&app, &format!("/stats/timeseries?{DAY}&shape=rows")).await,
        json!([
            {"bucket_start": "2026-11-21T08:00:00Z", "count": 1},
            {"bucket_start": "2026-11-21T09:00:00Z", "count": 5},
        ])
    );
    let overview = tally.ask(&app, &format!("/stats/overview?{DAY}&interval=HOUR&shape=rows")).await;
    let column = |name: &str| overview.as_array().unwrap().iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("by_level_ERROR"), [json!(0), json!(1)]);
    assert_eq!(column("by_level_INFO"), [json!(1), json!(4)]);
    let day = tally.ask(&app, "/reports/day?date=2026-11-21&shape=rows").await;
    assert_eq!((day.as_array().unwrap().len(), &day[9]["count"]), (24, &json!(5)));
}

#[tokio::test]
async fn items_are_a_table_and_what_is_nested_in_them_becomes_columns() {
    let mut tally = Tally::start().await;
    let app = shop(&mut tally).await;
    let events = tally.ask(&app, &format!("/events?{DAY}&order=asc&shape=rows")).await;
    let first = &events[0];
    for (name, value) in [
        ("name", json!("order")),
        ("user_id", json!("ann")),
        ("data_plan", json!("pro")),
        ("data_cart_items", json!(3)),
        ("data_cart_codes", json!(r#"["a","b"]"#)),
        ("data_price", json!(12.5)),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    assert_eq!(first.get("data"), None);
    let names = tally.ask(&app, &format!("/stats/by-name?{DAY}&shape=rows")).await;
    assert_eq!(names, json!([{"name": "visit", "count": 4}, {"name": "order", "count": 2}]));
    for (path, rows) in [
        ("stats/by-level?", 2),
        ("stats/by-category?", 1),
        ("stats/top-messages?", 1),
        ("stats/groups?attr=plan&", 2),
        ("stats/hours?", 3),
        ("stats/uniques?", 2),
        ("stats/sessions?interval=DAY&", 1),
        ("stats/numbers?attr=price&interval=DAY&", 1),
        ("stats/next?name=order&", 1),
        ("sessions?", 1),
        ("issues?", 1),
    ] {
        let reply = tally.ask(&app, &format!("/{path}{DAY}&shape=rows")).await;
        let found = reply.as_array().unwrap_or_else(|| panic!("{path}: {reply}"));
        assert_eq!(found.len(), rows, "{path}: {reply}");
        for value in found.iter().flat_map(|row| row.as_object().unwrap().values()) {
            assert!(!value.is_array() && !value.is_object(), "{path}: {value}");
        }
    }
}

#[tokio::test]
async fn what_a_reply_says_about_the_whole_is_in_its_headers() {
    let mut tally = Tally::start().await;
    let app = shop(&mut tally).await;
    let (mut path, mut names) = (format!("/events?{DAY}&limit=1&order=asc&shape=rows"), vec![]);
    loop {
        let page = tally.get(&app, &path).await;
        assert_eq!(page.headers["content-type"], "application/vnd.tally.rows+json");
        names.extend(page.json.as_array().unwrap().iter().map(|row| row["name"].clone()));
        let Some(link) = page.headers.get("link") else { break };
        let link =
            link.to_str().unwrap().strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
        path = link.split_once("/apps/shop").unwrap().1.to_owned();
    }
    assert_eq!(names, [json!("order"), json!("order"), json!("visit")]);
    let series = tally.get(&app, &format!("/stats/timeseries?{DAY}&shape=rows")).await;
    let whole = tally.ask(&app, &format!("/stats/timeseries?{DAY}&shape=object")).await;
    assert_eq!(series.headers["tally-counted-to"].to_str().unwrap(), whole["counted_to"].as_str().unwrap());
    assert!(!series.headers.contains_key("tally-complete"));
}

#[tokio::test]
async fn another_shape_is_refused_and_so_are_rows_that_do_not_fit() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    assert_problem(&tally.get(&app, "/events?shape=table").await, 400, &["shape"]);
    assert_problem(&tally.get(&app, "/events?shape=rows&shape=rows").await, 400, &["shape"]);
    // What has no rows does not know the parameter.
    assert_problem(&tally.get(&app, "/stats/retention?first=a&again=b&shape=rows").await, 400, &["shape"]);
    // Problems of the handler stay as they are.
    assert_problem(&tally.get(&app, "/events?shape=rows&limit=0").await, 400, &["limit"]);

    // A long path before each of many short values.
    let leaves: serde_json::Map<String, Value> = (0..2_000).map(|n| (n.to_string(), json!(1))).collect();
    let mut data = Value::Object(leaves);
    for _ in 0..8 {
        data = json!({"k".repeat(200): data});
    }
    tally.accept(&app, &json!({"name": "deep", "data": data.clone()})).await;
    tally.accept(&app, &json!({"name": "deep", "data": data})).await;
    assert_problem(&tally.get(&app, "/events?shape=rows&consistent=true").await, 400, &["shape"]);
    assert_eq!(tally.ask(&app, "/events?shape=rows&consistent=true&limit=1").await.as_array().unwrap().len(), 1);
}
