//! The overview, and comparisons with the period before. It is Saturday, 21 November, 10:08:25 in UTC.

use serde_json::{Value, json};
use tally_core::time::{HOUR, MINUTE};
use tally_service::config::Config;

use crate::harness::{Tally, TestApp, assert_problem, at, column};

/// Two days of events up to the hour, four an hour, of twelve names, counted.
async fn two_days(tally: &mut Tally, app: &TestApp) {
    let events: Vec<_> = (0..192usize)
        .map(|n| {
            let at = at("2026-11-19T10:10:00Z") + i64::try_from(n).unwrap() * 15 * MINUTE;
            json!({
                "name": format!("name {}", n % 12), "category": (["web", "app", ""][n % 3]), "count": 1 + n % 2,
                "level": (["INFO", "WARN", "ERROR", "FATAL", ""][n % 5]), "timestamp": at.to_string(),
                "message": if n % 4 == 0 { format!("message {}", n % 9) } else { String::new() },
                "user_id": format!("u{}", n % 7), "data": {"n": n},
            })
        })
        .collect();
    tally.accept(app, &json!(events)).await;
    tally.drain().await;
}

/// The same items without the fields that only one of two replies has.
fn only(items: &Value, fields: &[&str]) -> Vec<Value> {
    let rows = items.as_array().expect("a list").iter();
    rows.map(|item| fields.iter().map(|field| ((*field).to_owned(), item[*field].clone())).collect()).collect()
}

fn sum(items: &Value) -> i64 {
    column(items, "count").into_iter().map(|count| count.as_i64().expect("a count")).sum()
}

/// Checks an overview against the statistics one by one.
async fn check(tally: &Tally, app: &TestApp, query: &str, levels: &str) {
    let all = tally.ask(app, &format!("/stats/overview?{query}")).await;
    let names = tally.ask(app, &format!("/stats/by-name?{query}")).await;
    let of_levels = tally.ask(app, &format!("/stats/by-level?{query}")).await;
    let categories = tally.ask(app, &format!("/stats/by-category?{query}")).await;
    let interval = all["interval"].as_str().expect("an interval");
    let series = tally.ask(app, &format!("/stats/timeseries?{query}&fill=zero&interval={interval}")).await;
    for bound in ["since", "until"] {
        assert_eq!(all[bound], names[bound], "{query}");
    }
    assert_eq!(only(&all["names"]["items"], &["name", "count"]), only(&names["items"], &["name", "count"]), "{query}");
    assert_eq!(all["names"]["distinct"], names["items"].as_array().unwrap().len(), "{query}");
    assert_eq!(all["levels"], of_levels["items"], "{query}");
    assert_eq!(all["categories"], categories["items"], "{query}");
    assert_eq!(only(&all["series"], &["bucket_start", "count"]), only(&series["series"], &["bucket_start", "count"]));
    let total = sum(&names["items"]);
    assert_eq!((&all["total"], sum(&all["series"])), (&json!(total), total), "{query}");
    let errors: i64 = of_levels["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| ["ERROR", "FATAL"].contains(&item["level"].as_str().unwrap_or_default()))
        .map(|item| item["count"].as_i64().unwrap())
        .sum();
    assert_eq!(all["errors"], errors, "{query}");
    for level in all["levels"].as_array().unwrap() {
        let key = level["level"].as_str().unwrap_or("NONE");
        let in_series: i64 = column(&all["series"], "by_level").iter().filter_map(|point| point[key].as_i64()).sum();
        assert_eq!(level["count"], in_series, "{query} {key}");
    }
    let range = query.split('&').filter(|part| !part.starts_with("name") && !part.starts_with("level"));
    let range = range.collect::<Vec<_>>().join("&");
    if !query.contains("name") {
        let top = tally.ask(app, &format!("/stats/top-messages?limit=20&{range}{levels}")).await;
        let fields = ["message", "count", "last_seen"];
        assert_eq!(only(&all["messages"], &fields), only(&top["items"], &fields), "{query}");
    }
    // Sketches know no filter.
    let is_filtered = query.contains("name") || query.contains("level");
    for people in ["users", "sessions", "people"] {
        assert_eq!(all[people].is_null(), is_filtered, "{query}: {people}");
    }
    assert!(all["counted_to"].is_string());
    for field in ["previous", "covered", "complete", "names_complete", "messages_complete", "series_names"] {
        assert_eq!(all.get(field), None, "{query}: {field}");
    }
}

#[tokio::test]
async fn an_overview_says_what_the_statistics_say() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    for (filter, levels) in [
        ("", ""),
        ("&level=ERROR,FATAL", "&level=ERROR,FATAL"),
        ("&level[ne]=INFO", "&level[ne]=INFO"),
        ("&name=name+1&name=name+7&level=WARN", ""),
        ("&name[ne]=name+1", ""),
        ("&name=nothing", ""),
    ] {
        for range in ["since=24h", "since=today&tz=Asia/Kathmandu", "since=2d&until=1h", "since=3h", "since=this-month"]
        {
            check(&tally, &app, &format!("{range}{filter}"), levels).await;
        }
    }
}

/// A condition that every event meets makes the same of events as of counters.
#[tokio::test]
async fn a_filter_beyond_counters_is_answered_from_events() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    for query in ["since=24h&compare=previous", "since=today&by=name", "since=1d&level=ERROR,FATAL&compare=previous"] {
        let mut counted = tally.ask(&app, &format!("/stats/overview?{query}")).await;
        let mut read = tally.ask(&app, &format!("/stats/overview?{query}&attr.n[exists]=true")).await;
        for reply in [&mut counted, &mut read] {
            // Without a filter, the newest of all.
            reply.as_object_mut().unwrap().remove("last_event_at");
            // What is read from events does not say so.
            reply.as_object_mut().unwrap().remove("live_from");
            // Sketches know no filter.
            for people in ["users", "sessions", "people"] {
                reply.as_object_mut().unwrap().remove(people);
                if let Some(previous) = reply.get_mut("previous").and_then(Value::as_object_mut) {
                    previous.remove(people);
                }
            }
        }
        assert_eq!(counted, read, "{query}");
    }
    let of_user = tally.ask(&app, "/stats/overview?since=2d&user_id=u1&user_id=u2&attr.n[lt]=100").await;
    let expected: Vec<_> = (0..100usize).filter(|n| n % 7 == 1 || n % 7 == 2).collect();
    assert_eq!(of_user["total"], expected.iter().map(|n| 1 + n % 2).sum::<usize>());
    let message = tally.ask(&app, "/stats/overview?since=2d&message=message+3").await;
    assert_eq!(message["messages"][0]["message"], "message 3");
    assert_eq!(message["messages"][0]["count"], message["total"]);
    // Messages of a name are in its events.
    let of_name = tally.ask(&app, "/stats/overview?since=2d&name=name+0&compare=previous").await;
    let expected = (0..192usize).filter(|n| n % 12 == 0).map(|n| 1 + n % 2).sum::<usize>();
    assert_eq!((sum(&of_name["messages"]), of_name.get("messages_complete")), (i64::try_from(expected).unwrap(), None));
    assert!(column(&of_name["messages"], "previous").into_iter().all(|previous| *previous == 0));
}

#[tokio::test]
async fn an_overview_compares_with_the_period_before() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    for (range, before) in [
        ("since=24h", "since=2026-11-19T10:07:00Z&until=2026-11-20T10:08:00Z"),
        ("since=today", "since=2026-11-20T00:00:00Z&until=2026-11-20T10:09:00Z"),
        ("since=yesterday&until=today", "since=2026-11-19T00:00:00Z&until=2026-11-20T00:00:00Z"),
        ("since=today&tz=Asia/Tokyo", "since=2026-11-19T15:00:00Z&until=2026-11-20T10:09:00Z"),
        ("since=this-week", "since=2026-11-09T00:00:00Z&until=2026-11-14T10:09:00Z"),
        (
            "since=2026-11-20T12:00:00Z&until=2026-11-20T18:00:00Z",
            "since=2026-11-20T06:00:00Z&until=2026-11-20T12:00:00Z",
        ),
    ] {
        for filter in ["", "&level=ERROR&level=WARN", "&name=name+3"] {
            let both =
                tally.ask(&app, &format!("/stats/overview?{range}{filter}&compare=previous&interval=HOUR")).await;
            let earlier = tally.ask(&app, &format!("/stats/overview?{before}{filter}&interval=HOUR")).await;
            let previous = &both["previous"];
            for field in ["since", "until", "total", "errors"] {
                assert_eq!(previous[field], earlier[field], "{range}{filter}: {field}");
            }
            assert_eq!(both["names"]["previous"], earlier["names"]["distinct"], "{range}{filter}");
            assert_eq!(earlier["names"].get("previous"), None);
            let points = ["bucket_start", "count"];
            if !range.contains("tz") {
                assert_eq!(only(&previous["series"], &points), only(&earlier["series"], &points), "{range}{filter}");
            }
            // What was before, by the statistics with a comparison of their own.
            for (list, statistic, key) in [
                ("levels", "by-level", "level"),
                ("categories", "by-category", "category"),
                ("names", "by-name", "name"),
            ] {
                let reply = tally.ask(&app, &format!("/stats/{statistic}?{range}{filter}&compare=previous")).await;
                let ours = if list == "names" { &both["names"]["items"] } else { &both[list] };
                let fields = [key, "count", "previous"];
                assert_eq!(only(ours, &fields), only(&reply["items"], &fields), "{range}{filter}: {list}");
                let bounds = ["since", "until"].map(|bound| reply["previous"][bound].clone());
                assert_eq!(bounds, ["since", "until"].map(|bound| previous[bound].clone()), "{statistic}");
                let alone = tally.ask(&app, &format!("/stats/{statistic}?{before}{filter}")).await;
                for item in reply["items"].as_array().unwrap() {
                    let then = alone["items"].as_array().unwrap().iter().find(|then| then[key] == item[key]);
                    assert_eq!(item["previous"], then.map_or(json!(0), |then| then["count"].clone()), "{item}");
                }
            }
            if !filter.contains("name") {
                let top =
                    tally.ask(&app, &format!("/stats/top-messages?{range}{filter}&limit=20&compare=previous")).await;
                let fields = ["message", "count", "previous"];
                assert_eq!(only(&both["messages"], &fields), only(&top["items"], &fields), "{range}{filter}");
            }
        }
    }
    let groups = tally.ask(&app, "/stats/groups?attr=user_id&since=24h&compare=previous&limit=3").await;
    let earlier =
        tally.ask(&app, "/stats/groups?attr=user_id&since=2026-11-19T10:07:00Z&until=2026-11-20T10:08:00Z").await;
    for item in groups["items"].as_array().unwrap() {
        let then = earlier["items"].as_array().unwrap().iter().find(|then| then["value"] == item["value"]);
        assert_eq!(item["previous"], then.expect("every user was there")["count"], "{item}");
    }
    assert_eq!(groups["previous"]["since"], "2026-11-19T10:07:00Z");
}

/// What ends in the future runs still: a comparison with the whole period before would show a fall that nobody had.
#[tokio::test]
async fn a_range_that_runs_still_is_compared_up_to_the_same_elapsed_time() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    for (range, since, until) in [
        ("since=2026-11-21T06:00:00Z&until=2026-11-21T18:00:00Z", "2026-11-20T18:00:00Z", "2026-11-20T22:09:00Z"),
        ("since=2026-11-21&until=2026-11-22", "2026-11-20T00:00:00Z", "2026-11-20T10:09:00Z"),
        ("since=today&until=2026-11-22", "2026-11-20T00:00:00Z", "2026-11-20T10:09:00Z"),
        ("since=today&until=2026-11-21T12:00:00Z", "2026-11-20T00:00:00Z", "2026-11-20T10:09:00Z"),
        ("since=this-week&until=2026-11-23", "2026-11-09T00:00:00Z", "2026-11-14T10:09:00Z"),
        ("since=2026-11-21T12:00:00Z&until=2026-11-21T14:00:00Z", "2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
    ] {
        let earlier = tally.ask(&app, &format!("/stats/by-name?since={since}&until={until}")).await;
        let earlier_levels = tally.ask(&app, &format!("/stats/by-level?since={since}&until={until}")).await;
        for filter in ["", "&attr.n[exists]=true"] {
            let both = tally.ask(&app, &format!("/stats/overview?{range}{filter}&compare=previous")).await;
            assert_eq!(
                (&both["previous"]["since"], &both["previous"]["until"]),
                (&json!(since), &json!(until)),
                "{range}"
            );
            assert_eq!(both["previous"]["total"], sum(&earlier["items"]), "{range}{filter}");
        }
        let levels = tally.ask(&app, &format!("/stats/by-level?{range}&compare=previous")).await;
        assert_eq!(levels["previous"]["until"], until, "{range}");
        for item in levels["items"].as_array().unwrap() {
            let then = earlier_levels["items"].as_array().unwrap().iter().find(|then| then["level"] == item["level"]);
            assert_eq!(item["previous"], then.map_or(json!(0), |then| then["count"].clone()), "{range}: {item}");
        }
    }
}

#[tokio::test]
async fn an_overview_counts_the_names_of_each_bucket() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    for query in
        ["since=today&interval=HOUR", "since=2d&interval=DAY&by=name", "since=today&level=ERROR&attr.n[exists]=true"]
    {
        let all = tally.ask(&app, &format!("/stats/overview?{query}")).await;
        let starts = column(&all["series"], "bucket_start");
        let filter = query.split_once("&level").map_or(String::new(), |(_, rest)| format!("&level{rest}"));
        for (i, point) in all["series"].as_array().unwrap().iter().enumerate() {
            let since = std::cmp::max(point["bucket_start"].as_str().unwrap(), all["since"].as_str().unwrap());
            let until = starts.get(i + 1).map_or(&all["until"], |next| *next).as_str().unwrap();
            let of_bucket = tally.ask(&app, &format!("/stats/overview?since={since}&until={until}{filter}")).await;
            assert_eq!(point["names"], of_bucket["names"]["distinct"], "{query}: {point}");
        }
        assert!(column(&all["series"], "names").iter().any(|names| **names != json!(0)), "{query}");
    }
}

#[tokio::test]
async fn a_page_of_names_compares_as_the_first_did() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    let query = "since=today&tz=Asia/Tokyo&week_start=sunday&compare=previous";
    let whole = tally.ask(&app, &format!("/stats/by-name?{query}")).await;
    let first = tally.ask(&app, &format!("/stats/by-name?{query}&limit=5")).await;
    tally.clock.set(tally.clock.now() + 24 * HOUR);
    let rest = tally.ask(&app, &format!("/stats/by-name?limit=100&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!(rest["previous"], whole["previous"]);
    let items: Vec<_> = [&first, &rest].iter().flat_map(|page| page["items"].as_array().unwrap().clone()).collect();
    assert_eq!(json!(items), whole["items"]);
}

/// Everything from one covering of the counters, and with a comparison from two.
#[tokio::test]
async fn an_overview_costs_as_much_as_one_report() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    let units = async |path: String| {
        let before = tally.usage();
        tally.ask(&app, &path).await;
        let used = tally.usage() - before;
        (used.read_units, used.read_requests)
    };
    let before = "since=2026-11-19T10:07:00Z&until=2026-11-20T10:08:00Z";
    let report = units("/stats/timeseries?since=24h&interval=HOUR".to_owned()).await;
    let report_before = units(format!("/stats/timeseries?{before}&interval=HOUR")).await;
    let messages = units("/stats/top-messages?since=24h&limit=20".to_owned()).await;
    let messages_before = units(format!("/stats/top-messages?{before}&limit=20")).await;
    let newest = units("/events?limit=1".to_owned()).await;
    let alone = units("/stats/overview?since=24h".to_owned()).await;
    let compared = units("/stats/overview?since=24h&compare=previous".to_owned()).await;
    assert!(alone.0 <= report.0 + messages.0 + newest.0, "{alone:?}: {report:?} {messages:?} {newest:?}");
    let twice = report.0 + report_before.0 + messages.0 + messages_before.0 + newest.0;
    assert!(compared.0 <= twice, "{compared:?} of {twice}");
    assert!(compared.0 <= 2.0 * alone.0 + 1.0, "{compared:?} {alone:?}");
}

#[tokio::test]
async fn an_interval_is_chosen_by_the_range() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    for (query, interval, buckets) in [
        ("since=15m", "MINUTE", 16),
        ("since=6h", "MINUTE", 361),
        ("since=7h&until=now", "HOUR", 8),
        ("since=24h", "HOUR", 25),
        ("since=7d", "DAY", 8),
        ("since=30d", "DAY", 31),
        ("since=26w", "WEEK", 27),
        ("since=260w", "MONTH", 61),
        ("since=7d&interval=HOUR", "HOUR", 169),
        ("since=today&until=today", "MINUTE", 0),
    ] {
        let reply = tally.ask(&app, &format!("/stats/overview?{query}")).await;
        assert_eq!(
            (&reply["interval"], reply["series"].as_array().unwrap().len()),
            (&json!(interval), buckets),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_series_by_name_has_the_largest_and_the_rest() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    two_days(&mut tally, &app).await;
    let reply = tally.ask(&app, "/stats/overview?since=2d&by=name&interval=DAY").await;
    let names = reply["series_names"].as_array().unwrap();
    let largest = column(&reply["names"]["items"], "name");
    assert_eq!((names.len(), names[8].as_str()), (9, Some("(other names)")));
    assert!(names.iter().zip(&largest).take(8).all(|(shown, name)| shown == *name));
    let mut rest = 0;
    for point in reply["series"].as_array().unwrap() {
        assert_eq!(point.get("by_level"), None);
        let by_name = point["by_name"].as_object().unwrap();
        assert_eq!(point["count"], by_name.values().map(|count| count.as_i64().unwrap()).sum::<i64>());
        assert!(by_name.keys().all(|name| names.iter().any(|shown| shown == name)));
        rest += by_name["(other names)"].as_i64().unwrap();
    }
    let others = reply["names"]["items"].as_array().unwrap()[8..].iter();
    assert_eq!(rest, others.map(|item| item["count"].as_i64().unwrap()).sum::<i64>());
    let few = tally.ask(&app, "/stats/overview?since=2d&by=name&name=name+1&name=name+2").await;
    assert_eq!(few["series_names"].as_array().unwrap().len(), 2, "no others");
}

#[tokio::test]
async fn the_last_event_is_found_outside_of_the_range() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let empty = tally.ask(&app, "/stats/overview?since=15m").await;
    assert_eq!((&empty["last_event_at"], &empty["total"]), (&Value::Null, &json!(0)));
    tally
        .accept(
            &app,
            &json!([{"name": "a", "timestamp": "2026-11-01T00:00:00.5Z"}, {"name": "b", "timestamp": "2026-11-02"}]),
        )
        .await;
    tally.drain().await;
    let last = async |query: &str| tally.ask(&app, &format!("/stats/overview?{query}")).await["last_event_at"].clone();
    assert_eq!(last("since=15m").await, "2026-11-02T00:00:00Z");
    assert_eq!(last("since=30d&name=a").await, "2026-11-01T00:00:00.500Z");
    assert_eq!(last("since=30d&attr.x[exists]=false&name=a").await, "2026-11-01T00:00:00.500Z");
    assert_eq!(last("since=15m&name=a").await, Value::Null);
}

#[tokio::test]
async fn an_overview_from_events_says_how_far_it_read() {
    let config = Config { read_budget: 20.0, ..Config::default() };
    let mut tally = Tally::with(config).await;
    let app = tally.app("shop").await;
    for thousand in 0..4 {
        let event = |n: usize| {
            let second = thousand * 1_000 + n;
            let at = format!("2026-11-21T0{}:{:02}:{:02}Z", 7 + second / 3600, second / 60 % 60, second % 60);
            json!({"name": "a", "user_id": "u", "data": {"plan": "x".repeat(200)}, "timestamp": at})
        };
        tally.accept(&app, &(0..1_000).map(event).collect()).await;
    }
    tally.drain().await;
    let range = "since=2026-11-21T07:30:00Z&until=2026-11-21T08:06:40Z";
    let reply = tally.ask(&app, &format!("/stats/overview?{range}&user_id=u&compare=previous")).await;
    assert_eq!((&reply["complete"], &reply["covered"]["until"]), (&json!(false), &reply["until"]), "{reply}");
    let since = reply["covered"]["since"].as_str().unwrap();
    let total = reply["total"].as_i64().unwrap();
    let covered = tally.list(&app, &format!("since={since}&limit=1000")).await.len();
    assert_eq!((total, 0 < total && total < 2_200), (i64::try_from(covered).unwrap(), true));
    assert_eq!(reply["previous"]["complete"], false, "nothing was left of the budget");
    assert!(reply["previous"]["covered"]["since"].is_string(), "{reply}");
    let counted = tally.ask(&app, "/stats/overview?since=24h").await;
    assert_eq!((&counted["total"], counted.get("complete")), (&json!(4_000), None));
}

#[tokio::test]
async fn what_cannot_be_an_overview_is_named() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (query, field) in [
        ("interval=CENTURY", "interval"),
        ("interval=MINUTE&since=30d", "interval"),
        ("since=2026-11-21&until=2026-11-20", "since"),
        ("compare=next", "compare"),
        ("by=category", "by"),
        ("limit=5", "limit"),
        ("attr.plan[ge]=1", "attr.plan[ge]"),
    ] {
        assert_problem(&tally.get(&app, &format!("/stats/overview?{query}")).await, 400, &[field]);
    }
    assert_problem(&tally.get(&app, "/stats/timeseries?compare=previous").await, 400, &["compare"]);
}
