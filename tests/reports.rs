//! Reports and statistics.

use serde_json::{Value, json};
use tally_core::time::MINUTE;

use crate::harness::{Tally, TestApp, assert_problem, at, column};

/// Events of two weeks, counted.
async fn two_weeks(tally: &mut Tally, app: &TestApp) {
    let mut events = Vec::new();
    for day in 8..=21 {
        events.push(json!({"name": "login", "count": day, "timestamp": format!("2026-11-{day:02}T06:15:00Z")}));
        events.push(json!({
            "name": "error", "slug": "e", "level": "ERROR", "category": "web", "message": format!("m{}", day % 3),
            "timestamp": format!("2026-11-{day:02}T07:45:10Z"),
        }));
    }
    tally.accept(app, &json!(events)).await;
    tally.drain().await;
}

fn counts(series: &Value) -> Vec<i64> {
    column(series, "count").into_iter().map(|count| count.as_i64().unwrap()).collect()
}

#[tokio::test]
async fn each_report_counts_its_period() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_weeks(&mut tally, &app).await;
    for (query, from, to, total, buckets) in [
        ("hour?date=2026-11-20&hour=6", "2026-11-20T06:00:00Z", "2026-11-20T07:00:00Z", 20, 60),
        ("day?date=2026-11-20", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", 21, 24),
        ("day?date=today", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", 22, 24),
        ("week?date=2026-11-18", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z", 111 + 6, 7),
        ("week?week=2026-11-18&week_start=sunday", "2026-11-15T00:00:00Z", "2026-11-22T00:00:00Z", 126 + 7, 7),
        ("month?month=2026-11", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", 203 + 14, 30),
        ("month?date=2026-11-21", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", 203 + 14, 30),
        ("period?from=2026-11-10&to=2026-11-11", "2026-11-10T00:00:00Z", "2026-11-12T00:00:00Z", 21 + 2, 2),
        (
            "period?from=2026-11-10T06:15:00Z&to=2026-11-10T07:45:00Z",
            "2026-11-10T06:15:00Z",
            "2026-11-10T07:45:00Z",
            10,
            1,
        ),
        ("day?date=2026-11-20&tz=Asia/Kolkata", "2026-11-19T18:30:00Z", "2026-11-20T18:30:00Z", 21, 24),
    ] {
        let reply = tally.ask(&app, &format!("/reports/{query}")).await;
        assert_eq!((&reply["from"], &reply["to"]), (&json!(from), &json!(to)), "{query}");
        assert_eq!(reply["total"], total, "{query}");
        let series = counts(&reply["series"]);
        assert_eq!((series.len(), series.iter().sum::<i64>()), (buckets, total), "{query}");
        let names: i64 = counts(&reply["by_name"]).iter().sum();
        assert_eq!(names, total, "{query}");
        assert_eq!(reply["report"], query.split('?').next().unwrap());
        assert!(reply["counted_to"].is_string());
    }
    let reply = tally.ask(&app, "/reports/day?date=2026-11-20").await;
    assert_eq!(
        reply["by_name"],
        json!([{"name": "login", "slug": "login", "count": 20}, {"name": "error", "slug": "e", "count": 1}])
    );
    assert_eq!(reply["series"][6], json!({"bucket_start": "2026-11-20T06:00:00Z", "count": 20}));
}

#[tokio::test]
async fn filters_choose_cells() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_weeks(&mut tally, &app).await;
    for (query, total) in [
        ("name=login", 203),
        ("event=error", 14),
        ("slug=e", 14),
        ("slug=error", 0),
        ("category=web", 14),
        ("level=error", 14),
        ("level=INFO", 0),
        ("name=error&slug=e&category=web&level=ERROR", 14),
        ("name=login&level=ERROR", 0),
    ] {
        let reply = tally.ask(&app, &format!("/reports/month?date=today&{query}")).await;
        assert_eq!(reply["total"], total, "{query}");
    }
}

#[tokio::test]
async fn a_month_report_reads_no_events_and_little_else() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_weeks(&mut tally, &app).await;
    let used = async |path: &str| {
        tally.ask(&app, path).await;
        let before = tally.usage();
        tally.ask(&app, path).await;
        tally.usage() - before
    };
    let past = used("/reports/period?from=2026-11-01&to=2026-11-20").await;
    assert_eq!(past.read_requests, 4, "the days, and how far they are counted, of errors and of the rest");
    assert!(past.read_units <= 8.0, "{past:?}");
    let current = used("/reports/month?date=today").await;
    assert_eq!(
        current.read_requests, 11,
        "also the hours and minutes of today, two minutes again, and the newest events"
    );
    assert!(current.read_units <= 16.0, "{current:?}");
}

#[tokio::test]
async fn statistics_answer_by_time_level_name_and_category() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_weeks(&mut tally, &app).await;
    let range = "since=2026-11-19&until=2026-11-21";
    let series = tally.ask(&app, &format!("/stats/timeseries?{range}&interval=DAY")).await;
    assert_eq!(series["interval"], "DAY");
    assert_eq!(
        series["series"],
        json!([{"bucket_start": "2026-11-19T00:00:00Z", "count": 20}, {"bucket_start": "2026-11-20T00:00:00Z", "count": 21}])
    );
    let hours = tally.ask(&app, &format!("/stats/timeseries?{range}&level=ERROR")).await;
    assert_eq!(column(&hours["series"], "bucket_start"), ["2026-11-19T07:00:00Z", "2026-11-20T07:00:00Z"]);
    let filled = tally.ask(&app, &format!("/stats/timeseries?{range}&fill=zero")).await;
    assert_eq!(counts(&filled["series"]).len(), 48);
    let week = tally.ask(&app, "/stats/timeseries?since=2026-11-18&until=2026-11-22&interval=week").await;
    assert_eq!(week["series"], json!([{"bucket_start": "2026-11-16T00:00:00Z", "count": 18 + 19 + 20 + 21 + 4}]));
    let levels = tally.ask(&app, &format!("/stats/by-level?{range}")).await;
    assert_eq!(levels["items"], json!([{"level": null, "count": 39}, {"level": "ERROR", "count": 2}]));
    let names = tally.ask(&app, &format!("/stats/by-name?{range}")).await;
    assert_eq!(names["items"], json!([{"name": "login", "count": 39}, {"name": "error", "count": 2}]));
    let categories = tally.ask(&app, &format!("/stats/by-category?{range}")).await;
    assert_eq!(categories["items"], json!([{"category": null, "count": 39}, {"category": "web", "count": 2}]));
    let hours = tally.ask(&app, &format!("/stats/hours?{range}&name=login")).await;
    assert_eq!(
        hours["items"],
        json!([
            {"date": "2026111906", "hour_start": "2026-11-19T06:00:00Z", "name": "login", "count": 19},
            {"date": "2026112006", "hour_start": "2026-11-20T06:00:00Z", "name": "login", "count": 20},
        ])
    );
    let totals = tally.ask(&app, "/stats/totals").await;
    assert_eq!(
        totals["items"][0],
        json!({"name": "login", "slug": "login", "count": 203, "first_day": "2026-11-08", "last_day": "2026-11-21"})
    );
}

#[tokio::test]
async fn the_parts_of_a_minute_are_counted_from_events() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events: Vec<_> = (0..120)
        .map(|n| json!({"name": "a", "level": "INFO", "timestamp": format!("2026-11-21T08:{:02}:{:02}.5Z", n / 60, n % 60)}))
        .collect();
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;
    for (since, until, count) in [
        ("08:00:00.5", "08:00:10.5", 10),
        ("08:00:00.500001", "08:00:10.500001", 10),
        ("08:00:30", "08:01:30", 60),
        ("08:00:00", "08:02:00", 120),
        ("08:00:10", "08:02:00", 110),
        ("08:01:10", "08:01:10", 0),
    ] {
        let query = format!("since=2026-11-21T{since}Z&until=2026-11-21T{until}Z");
        let levels = tally.ask(&app, &format!("/stats/by-level?{query}")).await;
        assert_eq!(counts(&levels["items"]).iter().sum::<i64>(), count, "{query}");
        let series = tally.ask(&app, &format!("/stats/timeseries?{query}&interval=MINUTE")).await;
        assert_eq!(counts(&series["series"]).iter().sum::<i64>(), count, "{query}");
    }
}

/// The items of top messages, whose groups and examples are hashes.
fn told(top: &Value) -> Value {
    let mut items = top["items"].clone();
    for item in items.as_array_mut().unwrap() {
        let item = item.as_object_mut().unwrap();
        assert!(["group", "example"].iter().all(|id| item.remove(*id).is_some_and(|id| id.is_string())), "{top}");
    }
    items
}

#[tokio::test]
async fn top_messages_are_ranked_by_count_then_by_last_occurrence() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut events = Vec::new();
    for (message, level, times) in [
        ("often", "ERROR", vec!["20T08:00:00", "20T09:00:00", "21T07:00:01"]),
        ("older", "ERROR", vec!["19T08:00:00", "20T10:00:00"]),
        ("newer", "WARN", vec!["20T08:00:00", "20T10:00:30"]),
        ("once", "ERROR", vec!["21T09:59:59.123456"]),
        ("late", "INFO", vec!["21T10:08:20"]),
    ] {
        for time in times {
            events.push(json!({"message": message, "level": level, "timestamp": format!("2026-11-{time}Z")}));
        }
    }
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;
    let all = "since=2026-11-01&until=2026-11-22";
    let top = tally.ask(&app, &format!("/stats/top-messages?{all}")).await;
    assert_eq!(top["limit"], 10);
    assert_eq!(top["complete"], true);
    assert_eq!(
        told(&top),
        json!([
            {"message": "often", "count": 3, "last_seen": "2026-11-21T07:00:01Z"},
            {"message": "newer", "count": 2, "last_seen": "2026-11-20T10:00:30Z"},
            {"message": "older", "count": 2, "last_seen": "2026-11-20T10:00:00Z"},
            {"message": "late", "count": 1, "last_seen": "2026-11-21T10:08:20Z"},
            {"message": "once", "count": 1, "last_seen": "2026-11-21T09:59:59.123456Z"},
        ])
    );
    let two = tally.ask(&app, &format!("/stats/top-messages?{all}&limit=2")).await;
    assert_eq!(column(&two["items"], "message"), ["often", "newer"]);
    let errors = tally.ask(&app, &format!("/stats/top-messages?{all}&level=ERROR")).await;
    assert_eq!(column(&errors["items"], "message"), ["often", "older", "once"]);
    let cut = tally.ask(&app, "/stats/top-messages?since=2026-11-20&until=2026-11-20T10:00:30Z").await;
    assert_eq!(
        told(&cut),
        json!([
            {"message": "often", "count": 2, "last_seen": "2026-11-20T09:00:00Z"},
            {"message": "older", "count": 1, "last_seen": "2026-11-20T10:00:00Z"},
            {"message": "newer", "count": 1, "last_seen": "2026-11-20T08:00:00Z"},
        ])
    );
}

#[tokio::test]
async fn by_default_a_statistic_is_of_the_last_day() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!([
        {"name": "in", "timestamp": "2026-11-20T10:08:00Z"}, {"name": "in"},
        {"name": "out", "timestamp": "2026-11-20T10:07:59.999999Z"}, {"name": "out", "timestamp": "2026-11-21T10:09:00Z"},
    ])).await;
    tally.drain().await;
    let reply = tally.ask(&app, "/stats/by-name").await;
    assert_eq!((&reply["since"], &reply["until"]), (&json!("2026-11-20T10:08:00Z"), &json!("2026-11-21T10:09:00Z")));
    assert_eq!(reply["items"], json!([{"name": "in", "count": 2}]));
}

#[tokio::test]
async fn an_empty_app_is_up_to_date() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let reply = tally.ask(&app, "/reports/day?date=today").await;
    assert_eq!((&reply["total"], &reply["counted_to"]), (&json!(0), &json!("2026-11-21T10:08:25.123456Z")));
    let waiting = tally.app("waiting").await;
    tally.accept(&waiting, &json!({"name": "a"})).await;
    tally.clock.set(tally.clock.now() + MINUTE);
    let reply = tally.ask(&waiting, "/reports/day?date=today").await;
    assert_eq!(reply["counted_to"], "2026-11-21T10:08:25.123456Z", "nothing is counted since the app was made");
}

/// The clock was a day ahead while events were counted.
#[tokio::test]
async fn counted_to_never_lies_in_the_future() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let now = tally.clock.now();
    tally.clock.set(now + MINUTE * 2_880);
    tally.accept(&app, &json!({"name": "a"})).await;
    tally.drain().await;
    tally.clock.set(now);
    for path in ["/reports/day?date=today", "/stats/by-name", "/stats/groups?attr=a", "/stats/top-messages"] {
        let reply = tally.ask(&app, path).await;
        assert_eq!(reply["counted_to"], now.to_string(), "{path}");
    }
    let chart = tally.get(&app, "/histogram?date=today&format=json").await;
    assert_eq!(chart.headers["cache-control"], "private, no-cache", "today is not over");
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (path, fields) in [
        ("/reports/day", vec!["date"]),
        ("/reports/day?date=tomorrow", vec!["date"]),
        ("/reports/hour?date=today", vec!["hour"]),
        ("/reports/hour?date=today&hour=24", vec!["hour"]),
        ("/reports/week", vec!["date"]),
        ("/reports/week?date=today&week_start=friday", vec!["week_start"]),
        ("/reports/month?month=2026-13", vec!["date"]),
        ("/reports/period", vec!["from", "to"]),
        ("/reports/period?from=2026-11-21&to=2026-11-19", vec!["from"]),
        ("/reports/period?from=1970-01-01&to=2026-11-21", vec!["to"]),
        ("/reports/day?date=today&tz=Nowhere", vec!["tz"]),
        ("/reports/day?date=today&user=u", vec!["user"]),
        ("/stats/timeseries?interval=CENTURY", vec!["interval"]),
        ("/stats/timeseries?interval=MINUTE&since=2026-01-01", vec!["interval"]),
        ("/stats/timeseries?fill=one", vec!["fill"]),
        ("/stats/by-level?since=2026-11-21&until=2026-11-20", vec!["since"]),
        ("/stats/top-messages?limit=101", vec!["limit"]),
        ("/stats/top-messages?title=a", vec!["title"]),
        ("/stats/totals?since=2026-11-01", vec!["since"]),
        ("/stats/timeseries?since=253402207200000&until=253402207200000", vec!["since", "until"]),
        ("/stats/groups", vec!["attr"]),
        ("/stats/groups?attr=plan&limit=0", vec!["limit"]),
        ("/histogram?name=a", vec!["date"]),
        ("/histogram?name=a&date=2026-02-30", vec!["date"]),
        ("/histogram?name=a&date=today&width=199&height=2001", vec!["height", "width"]),
        ("/histogram?name=a&date=today&format=gif", vec!["format"]),
        ("/histogram/a/20261121.png?name=b", vec!["name"]),
    ] {
        assert_problem(&tally.get(&app, path).await, 400, &fields);
    }
    for path in ["/stats/timeseries", "/stats/hours"] {
        let last = tally.get(&app, &format!("{path}?since=253402207199999&until=253402207199999")).await;
        assert_eq!(last.status, 200, "{path} at the end of time");
    }
    for path in ["/reports/year?date=today", "/stats/nothing", "/histogram/a", "/histogram/a/20261121"] {
        assert_problem(&tally.get(&app, path).await, 404, &[]);
    }
}

#[tokio::test]
async fn groups_count_the_values_of_an_attribute() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = json!([
        {"name": "buy", "count": 3, "data": {"plan": {"kind": "pro"}}}, {"name": "buy", "data": {"plan": {"kind": "free"}}},
        {"name": "buy", "data": {"plan": {"kind": 1}}}, {"name": "buy", "data": {"plan": {"kind": "1"}}}, {"name": "buy"},
        {"name": "look", "data": {"plan": {"kind": "pro"}}},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    let reply = tally.ask(&app, "/stats/groups?attr=plan.kind&name=buy").await;
    assert_eq!((&reply["attr"], &reply["complete"]), (&json!("plan.kind"), &json!(true)));
    assert_eq!(
        reply["items"],
        json!([
            {"value": "pro", "count": 3, "people": 0}, {"value": "1", "count": 1, "people": 0}, {"value": "free", "count": 1, "people": 0},
            {"value": 1, "count": 1, "people": 0}, {"value": null, "count": 1, "people": 0},
        ])
    );
    assert_eq!(
        tally.ask(&app, "/stats/groups?attr=attr.plan.kind&limit=1").await["items"],
        json!([{"value": "pro", "count": 4, "people": 0}])
    );
}

#[tokio::test]
async fn groups_say_how_far_they_read() {
    // The newest minutes, which have none, take a unit or two.
    let config = tally_service::config::Config { read_budget: 10.0, ..tally_service::config::Config::default() };
    let tally = Tally::with(config).await;
    let app = tally.app("shop").await;
    for thousand in 0..3 {
        let event = |n: usize| {
            let timestamp =
                format!("2026-11-21T09:{:02}:{:02}Z", (thousand * 1_000 + n) / 60, (thousand * 1_000 + n) % 60);
            json!({"name": "a", "data": {"plan": "x".repeat(100)}, "timestamp": timestamp})
        };
        tally.accept(&app, &(0..1_000).map(event).collect()).await;
    }
    let reply = tally.ask(&app, "/stats/groups?attr=plan").await;
    assert_eq!(reply["complete"], false);
    let since = reply["covered_since"].as_str().unwrap().replace('+', "%2B");
    let counted = reply["items"][0]["count"].as_i64().unwrap();
    let covered = tally.list(&app, &format!("since={since}&limit=1000")).await.len();
    assert_eq!(counted, i64::try_from(covered).unwrap());
    assert!(0 < counted && counted < 3_000, "{counted}");
}

#[tokio::test]
async fn a_histogram_shows_the_hours_of_a_day() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_weeks(&mut tally, &app).await;
    tally.accept(&app, &json!({"name": "a/b c", "timestamp": "2026-11-20T08:00:00Z"})).await;
    tally.drain().await;
    let json = tally.ask(&app, "/histogram?name=login&date=20261120&format=json").await;
    assert_eq!((&json["total"], &json["date"], &json["name"]), (&json!(20), &json!("2026-11-20"), &json!("login")));
    assert_eq!((json["series"].as_array().unwrap().len(), &json["series"][6]["count"]), (24, &json!(20)));
    assert_eq!(tally.ask(&app, "/histogram/a%2Fb%20c/2026-11-20.json").await["total"], 1, "names may hold slashes");
    assert_eq!(
        tally.ask(&app, "/histogram?date=2026-10-25&tz=Europe/Berlin&format=json").await["series"]
            .as_array()
            .unwrap()
            .len(),
        25
    );
    for (path, kind, magic) in [
        ("/histogram?name=login&date=2026-11-20", "image/png", &b"\x89PNG"[..]),
        ("/histogram/login/20261120.jpg?width=300&height=200", "image/jpeg", &b"\xff\xd8\xff"[..]),
        ("/histogram/login/20261120.svg", "image/svg+xml", &b"<svg"[..]),
    ] {
        let request = http::Request::get(format!("/apps/shop{path}")).header("x-read-key", &app.read_key);
        let reply = tally.raw(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(reply.0.headers["content-type"], kind, "{path}");
        assert!(reply.1.starts_with(magic), "{path}");
        assert!(reply.0.headers.contains_key("tally-counted-to"));
        let tag = reply.0.headers["etag"].clone();
        let again = http::Request::get(format!("/apps/shop{path}")).header("x-read-key", &app.read_key);
        let again = tally.raw(again.header("if-none-match", tag).body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!((again.0.status.as_u16(), again.1.len()), (304, 0));
    }
    let cache =
        async |date: &str| tally.get(&app, &format!("/histogram?date={date}")).await.headers["cache-control"].clone();
    assert_eq!(cache("2026-11-20").await, "private, max-age=3600");
    assert_eq!(cache("2099-01-01").await, "private, no-cache", "a day that is not over");
}

/// Clocks are set back by an hour (Stockholm), or by two (Troll, so that a day has 26 hours).
#[tokio::test]
async fn an_hour_that_occurs_twice_is_the_sum_of_both_passes() {
    for (zone, since, hours) in
        [("Europe/Stockholm", "2025-10-24T22:00:00Z", 25), ("Antarctica/Troll", "2025-10-24T22:00:00Z", 26)]
    {
        let mut tally = Tally::start().await;
        let app =
            tally.app_with(tally_service::apps::create::NewApp { name: "shop".into(), ..Default::default() }).await;
        let since: tally_core::time::Timestamp = since.parse().unwrap();
        let sent: Vec<_> = (0..80)
            .map(|n| json!({"name": "a", "count": n + 1, "timestamp": (since + MINUTE * (n * 60 + 7)).to_string()}))
            .collect();
        tally.accept(&app, &json!(sent)).await;
        tally.drain().await;
        let day = tally.ask(&app, &format!("/reports/day?date=2025-10-26&tz={zone}")).await;
        assert_eq!(counts(&day["series"]).len(), hours, "{zone}");
        let histogram = tally.ask(&app, &format!("/histogram?date=2025-10-26&format=json&tz={zone}")).await;
        assert_eq!((&histogram["series"], &histogram["total"]), (&day["series"], &day["total"]), "{zone}");
        let (mut total, mut minutes) = (0, 0);
        for hour in 0..24 {
            let reply = tally.ask(&app, &format!("/reports/hour?date=2025-10-26&hour={hour}&tz={zone}")).await;
            let series = counts(&reply["series"]);
            assert_eq!(reply["total"], series.iter().sum::<i64>(), "{zone} {hour}");
            assert_eq!(reply.get("exists"), None);
            total += reply["total"].as_i64().unwrap();
            minutes += series.len();
        }
        assert_eq!((json!(total), minutes), (day["total"].clone(), hours * 60), "{zone}: the hours make up the day");
        let bounds =
            |reply: &Value| (reply["from"].clone(), reply["to"].clone(), reply["series"].as_array().unwrap().len());
        let reply = tally.ask(&app, &format!("/reports/hour?date=2025-10-26&hour=2&tz={zone}")).await;
        let expected = match zone {
            "Europe/Stockholm" => ("2025-10-26T00:00:00Z", "2025-10-26T02:00:00Z"),
            // 02:00 passes at 00:00Z and at 02:00Z; the hour in between is 01:00 and is not counted.
            _ => ("2025-10-26T00:00:00Z", "2025-10-26T03:00:00Z"),
        };
        assert_eq!(bounds(&reply), (json!(expected.0), json!(expected.1), 120), "{zone}");
    }
}

#[tokio::test]
async fn an_hour_that_clocks_skip_has_no_events_and_says_so() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (date, hour, zone, at) in [
        ("2025-03-30", 2, "Europe/Stockholm", "2025-03-30T01:00:00Z"),
        ("2018-11-04", 0, "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ] {
        let reply = tally.ask(&app, &format!("/reports/hour?date={date}&hour={hour}&tz={zone}")).await;
        assert_eq!(
            (&reply["total"], &reply["series"], &reply["by_name"], &reply["exists"]),
            (&json!(0), &json!([]), &json!([]), &json!(false))
        );
        assert_eq!((&reply["from"], &reply["to"]), (&json!(at), &json!(at)));
    }
}

#[tokio::test]
async fn a_range_error_names_the_bound_that_was_sent() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (path, field) in [
        ("/stats/by-name?until=2026-11-01", "until"),
        ("/stats/by-name?since=2026-12-01", "since"),
        ("/stats/by-name?since=2026-11-02&until=2026-11-01", "since"),
        ("/stats/timeseries?interval=HOUR&until=2026-11-01", "until"),
        ("/stats/top-messages?until=2026-11-01", "until"),
        ("/stats/hours?until=2026-11-01", "until"),
        ("/stats/hours?until=2600-11-01", "until"),
        ("/stats/hours?since=1970-01-01", "since"),
        ("/events?until=1969-11-01", "until"),
        ("/events?since=2026-11-02&until=2026-11-01", "since"),
    ] {
        let reply = tally.get(&app, path).await;
        assert_problem(&reply, 400, &[field]);
    }
}
/// Sends events of one name in one millisecond.
async fn crowd(tally: &Tally, app: &TestApp, time: &str, events: usize) {
    for from in (0..events).step_by(1_000) {
        let some = from..events.min(from + 1_000);
        tally
            .accept(app, &some.map(|n| json!({"name": "a", "message": n.to_string(), "timestamp": time})).collect())
            .await;
    }
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "a server takes minutes to store and count so much")]
async fn a_part_of_a_minute_is_exact_within_the_budget_and_widened_beyond_it() {
    // A quarter is for parts of minutes: some 1,000 events.
    let config = tally_service::config::Config { read_budget: 120.0, ..tally_service::config::Config::default() };
    let mut tally = Tally::with(config).await;
    // Its messages are numbers, each by itself.
    let grouping = Some(tally_core::event::group::Grouping::Exact);
    let new = tally_service::apps::create::NewApp { name: "shop".into(), grouping, ..Default::default() };
    let app = tally.app_with(new).await;
    crowd(&tally, &app, "2026-11-21T09:00:45.5Z", 5_000).await;
    crowd(&tally, &app, "2026-11-21T09:00:10Z", 1).await;
    crowd(&tally, &app, "2026-11-21T09:02:45.5Z", 100).await;
    crowd(&tally, &app, "2026-11-21T09:02:10Z", 1).await;
    tally.drain().await;

    let exact = tally.ask(&app, "/stats/by-name?since=2026-11-21T09:02:30Z").await;
    assert_eq!((&exact["items"][0]["count"], &exact["widened"]), (&json!(100), &Value::Null));
    for (range, count, since, until) in [
        ("since=2026-11-21T09:00:30Z&until=2026-11-21T09:02:00Z", 5_001, "09:00:00Z", "09:02:00Z"),
        ("since=2026-11-21T08:00:00Z&until=2026-11-21T09:00:50Z", 5_001, "08:00:00Z", "09:01:00Z"),
        ("since=2026-11-21T09:00:30Z&until=2026-11-21T09:00:50Z", 5_001, "09:00:00Z", "09:01:00Z"),
        // The other end is still exact.
        ("since=2026-11-21T09:00:30Z&until=2026-11-21T09:02:30Z", 5_002, "09:00:00Z", "09:02:30Z"),
    ] {
        let before = tally.usage().read_units;
        let wide = tally.ask(&app, &format!("/stats/by-name?{range}")).await;
        let units = tally.usage().read_units - before;
        assert_eq!((&wide["items"][0]["count"], &wide["widened"]), (&json!(count), &json!(true)), "{range}: {wide}");
        let ends = |name: &str| at(wide[name].as_str().unwrap());
        assert_eq!(
            (ends("since"), ends("until")),
            (at(&format!("2026-11-21T{since}")), at(&format!("2026-11-21T{until}")))
        );
        assert!(units < 90.0, "{units} units");
        let series = tally.ask(&app, &format!("/stats/timeseries?interval=MINUTE&{range}")).await;
        assert_eq!((&series["series"][0]["count"], &series["widened"]), (&json!(5_001), &json!(true)), "{series}");
    }
    let top = tally.ask(&app, "/stats/top-messages?since=2026-11-21T09:00:30Z&until=2026-11-21T09:02:00Z").await;
    assert_eq!((&top["widened"], &top["items"][0]["count"]), (&json!(true), &json!(2)), "message 0 of both: {top}");
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "a server takes minutes to store and count so much")]
async fn counters_beyond_the_budget_are_refused_before_they_are_read() {
    let config = tally_service::config::Config { read_budget: 20.0, ..tally_service::config::Config::default() };
    let mut tally = Tally::with(config).await;
    let app = tally.app("shop").await;
    // Counters of some 40 KB in each of eight hours, in eight minutes of it.
    for hour in 0..8 {
        let event = |n: usize| {
            let name = format!("{n:0>60}");
            json!({"name": name, "slug": name, "timestamp": format!("2026-11-21T0{hour}:0{}:00Z", n % 8)})
        };
        tally.accept(&app, &(0..400).map(event).collect()).await;
    }
    tally.drain().await;
    let range = "since=2026-11-21T00:00:00Z&until=2026-11-21T08:00:00Z";
    for (path, field) in [
        (format!("/stats/hours?{range}"), "since"),
        (format!("/stats/timeseries?{range}"), "since"),
        (format!("/stats/by-level?{range}"), "since"),
        ("/reports/period?from=2026-11-20T23:30:00Z&to=2026-11-21T08:30:00Z".to_owned(), "from"),
        ("/reports/day?date=2026-11-21&tz=Asia/Kolkata".to_owned(), "date"),
        ("/histogram?date=2026-11-21&format=json".to_owned(), "date"),
    ] {
        let before = tally.usage().read_units;
        let refused = tally.get(&app, &path).await;
        let units = tally.usage().read_units - before;
        assert_problem(&refused, 400, &[field]);
        assert!(refused.json["detail"].as_str().unwrap().contains("shorter time"), "{}", refused.json);
        assert!(units < 80.0, "{path}: {units} units");
    }
    let hour = tally.ask(&app, "/stats/by-level?since=2026-11-21T01:00:00Z&until=2026-11-21T02:00:00Z").await;
    assert_eq!(hour["items"][0]["count"], 400, "a shorter time is answered");
}
