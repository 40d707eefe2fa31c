//! Reading events.

use http::Method;
use serde_json::{Value, json};
use tally_core::time::DAY;

use crate::harness::{Tally, TestApp, assert_problem, column};

/// Ten events, a minute apart, of two names, three levels, two sessions and three users.
async fn ten_events(tally: &Tally, app: &TestApp) {
    let events: Vec<_> = (0..10)
        .map(|n| {
            json!({
                "name": (["view", "click"][n % 2]), "level": (["INFO", "WARN", "ERROR"][n % 3]), "category": "web",
                "session_id": format!("s{}", n / 5), "user_id": format!("u{}", n % 3), "message": format!("m{}", n % 4),
                "timestamp": format!("2026-11-21T09:0{n}:00.5Z"), "data": {"n": n, "plan": {"kind": "pro"}},
            })
        })
        .collect();
    tally.accept(app, &json!(events)).await;
}

fn numbers(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["data"]["n"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn events_come_newest_first_or_oldest_first_page_by_page() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    ten_events(&tally, &app).await;
    assert_eq!(numbers(&tally.list(&app, "limit=3").await), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(numbers(&tally.list(&app, "limit=4&order=asc").await), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let page = tally.ask(&app, "/events?limit=10").await;
    assert_eq!((&page["next"], &page["next_offset"]), (&Value::Null, &Value::Null), "all of them fit");
}

#[tokio::test]
async fn a_list_says_how_much_was_looked_at_where_no_index_serves() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    ten_events(&tally, &app).await;
    tally.drain().await;
    for (query, scanned) in [
        ("", None),
        ("name=view", None),
        ("message=m1", None),
        ("session_id=s0", None),
        ("user_id=u1", Some(10)),
        ("user_id=nobody", Some(10)),
        ("attr.n=3", Some(10)),
        ("message[ne]=m1", Some(10)),
        ("session_id[ne]=s0", Some(10)),
        ("q=M1", Some(10)),
        ("session_id=s0&q=m1", Some(5)),
        // Of the index of sessions, and with strong reads of no index at all.
        ("session_id=s0&user_id=u1", Some(5)),
        ("session_id=s0&consistent=true", Some(10)),
        ("name=view&consistent=true", Some(10)),
        ("user_id=u1&since=2026-11-21T09:05:00Z", Some(5)),
    ] {
        let page = tally.ask(&app, &format!("/events?{query}")).await;
        assert_eq!(page.get("scanned"), scanned.map(|count| json!(count)).as_ref(), "{query}");
    }
    // Each page tells its own.
    let page = tally.ask(&app, "/events?user_id=u1&limit=1").await;
    let next = tally.ask(&app, &format!("/events?limit=50&cursor={}", page["next"].as_str().unwrap())).await;
    let both: Vec<_> = [&page, &next].iter().map(|page| page["scanned"].as_i64().unwrap()).collect();
    assert!(both[0] <= 10 && both[1] < 10 && both[0] + both[1] >= 10, "{both:?}");
    // A bounded key does not learn how much there is beside what it reads.
    let key = json!({"scopes": ["read"], "filter": {"user_id": "u1"}});
    let made = tally.admin(Method::POST, "/apps/shop/keys", &key).await;
    let key = made.json["key"].as_str().expect("a key");
    let page = tally.call(Method::GET, "/apps/shop/events", ("x-read-key", key), "").await;
    assert_eq!((page.json["items"].as_array().unwrap().len(), page.json.get("scanned")), (3, None));
}

#[tokio::test]
async fn a_range_excludes_its_end_to_the_microsecond() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    ten_events(&tally, &app).await;
    for (query, expected) in [
        ("since=2026-11-21T09:03:00.5Z&until=2026-11-21T09:05:00.5Z", vec![4, 3]),
        ("since=2026-11-21T09:03:00.500001Z&until=2026-11-21T09:05:00.500001Z", vec![5, 4]),
        ("since=2026-11-21%2009:08:00", vec![9, 8]),
        ("date=2026-11-21&until=2026-11-21T09:01:00Z", vec![0]),
        ("date=today&tz=Asia/Tokyo&order=asc&limit=1000", vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("date=2026-11-20&tz=America/Los_Angeles", vec![]),
        ("since=2026-11-21T09:03:00.5Z&until=2026-11-21T09:03:00.5Z", vec![]),
    ] {
        assert_eq!(numbers(&tally.list(&app, query).await), expected, "{query}");
    }
}

#[tokio::test]
async fn every_filter_combines_with_every_other() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    ten_events(&tally, &app).await;
    for (query, expected) in [
        ("name=view", vec![8, 6, 4, 2, 0]),
        ("event=click&level=error", vec![5]),
        ("slug=view&category=web&level=INFO", vec![6, 0]),
        ("message=m3", vec![7, 3]),
        ("session_id=s0", vec![4, 3, 2, 1, 0]),
        ("session_id=s0&level=INFO&order=asc", vec![0, 3]),
        ("session_id=s0&consistent=true&limit=2", vec![4, 3, 2, 1, 0]),
        ("user_id=u1", vec![7, 4, 1]),
        ("attr.n=4", vec![4]),
        ("attr.plan.kind=pro&attr.n=9.0", vec![9]),
        ("attr.plan=pro", vec![]),
        ("category=mobile", vec![]),
        ("user_id=u1&limit=1", vec![7, 4, 1]),
    ] {
        assert_eq!(numbers(&tally.list(&app, query).await), expected, "{query}");
    }
}

#[tokio::test]
async fn an_offset_counts_matches() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    ten_events(&tally, &app).await;
    let page = tally.ask(&app, "/events?limit=4&offset=3").await;
    assert_eq!(numbers(page["items"].as_array().unwrap()), [6, 5, 4, 3]);
    assert_eq!(page["next_offset"], 7);
    let page = tally.ask(&app, "/events?limit=4&offset=8").await;
    assert_eq!((numbers(page["items"].as_array().unwrap()), &page["next_offset"]), (vec![1, 0], &Value::Null));
}

#[tokio::test]
async fn pages_stay_right_while_events_arrive() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    ten_events(&tally, &app).await;
    let page = tally.ask(&app, "/events?limit=4&date=today").await;
    tally.accept(&app, &json!({"name": "new", "data": {"n": 10}})).await;
    let next = tally.ask(&app, &format!("/events?cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!(numbers(next["items"].as_array().unwrap()), [5, 4, 3, 2], "the limit is the query's own");
    let rest = tally.ask(&app, &format!("/events?limit=100&cursor={}", next["next"].as_str().unwrap())).await;
    assert_eq!(numbers(rest["items"].as_array().unwrap()), [1, 0]);
}

#[tokio::test]
async fn a_cursor_is_bound_to_its_query() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let other = tally.app("other").await;
    ten_events(&tally, &app).await;
    let page = tally.ask(&app, "/events?limit=2&level=INFO&date=today").await;
    let cursor = page["next"].as_str().unwrap();
    assert_eq!(tally.get(&app, &format!("/events?cursor={cursor}&level=INFO")).await.status, 200);
    for (query, field) in [
        (format!("cursor={cursor}&level=WARN"), "level"),
        (format!("cursor={cursor}&name=view"), "name"),
        (format!("cursor={cursor}&offset=3"), "offset"),
        (format!("cursor=x{cursor}"), "cursor"),
        (format!("cursor={}", &cursor[..cursor.len() - 3]), "cursor"),
        ("cursor=e30".to_owned(), "cursor"),
    ] {
        assert_problem(&tally.get(&app, &format!("/events?{query}")).await, 400, &[field]);
    }
    assert_problem(&tally.get(&other, &format!("/events?cursor={cursor}")).await, 400, &["cursor"]);
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("offset=10001", "offset"),
        ("since=2026-11-22&until=2026-11-21", "since"),
        ("since=soon", "since"),
        ("date=2026-02-30", "date"),
        ("tz=Mars/Olympus&date=today", "tz"),
        ("tz=UTC", "tz"),
        ("level=LOUD", "level"),
        ("order=up", "order"),
        ("consistent=maybe", "consistent"),
        ("colour=red", "colour"),
        ("name=a&event=a", "event"),
        ("limit=1&limit=2", "limit"),
        ("date=today&date=2026-11-21", "date"),
    ] {
        assert_problem(&tally.get(&app, &format!("/events?{query}")).await, 400, &[field]);
    }
    for id in ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense", "%F0%9F%90%99"] {
        assert_problem(&tally.get(&app, &format!("/events/{id}")).await, 404, &[]);
    }
}

#[tokio::test]
async fn a_used_up_budget_leaves_a_cursor_and_loses_nothing() {
    let config = tally_service::config::Config { read_budget: 0.5, ..tally_service::config::Config::default() };
    let tally = Tally::with(config).await;
    let app = tally.app("shop").await;
    let events: Vec<_> = (0..600)
        .map(|n| {
            json!({"name": "a", "user_id": if n % 100 == 7 { "rare" } else { "often" }, "data": {"n": n},
            "timestamp": format!("2026-11-21T08:{:02}:{:02}Z", n / 60, n % 60)})
        })
        .collect();
    tally.accept(&app, &json!(events)).await;
    let page = tally.ask(&app, "/events?user_id=rare&limit=3").await;
    assert!(page["items"].as_array().unwrap().len() < 3 && page["next"].is_string(), "short, and says so: {page}");
    assert_eq!(numbers(&tally.list(&app, "user_id=rare&limit=3").await), [507, 407, 307, 207, 107, 7]);
    assert_eq!(numbers(&tally.list(&app, "user_id=rare&limit=3&order=asc").await), [7, 107, 207, 307, 407, 507]);
    assert_eq!(numbers(&tally.list(&app, "user_id=rare&limit=2&offset=2").await), [307, 207, 107, 7]);
}

#[tokio::test]
async fn a_search_says_how_far_it_looked_and_goes_on_from_there() {
    let config = tally_service::config::Config { read_budget: 0.5, ..tally_service::config::Config::default() };
    let tally = Tally::with(config).await;
    let app = tally.app("shop").await;
    let events: Vec<_> = (0..600)
        .map(|n| {
            let message = if n == 7 { "Die ÄRGERLICHE Karte" } else { "fine" };
            json!({"name": "a", "message": message, "data": {"n": n},
            "timestamp": format!("2026-11-21T08:{:02}:{:02}Z", n / 60, n % 60)})
        })
        .collect();
    tally.accept(&app, &json!(events)).await;
    for (order, first) in [("desc", 599), ("asc", 0)] {
        let mut path = format!("/events?q=%C3%A4rgerliche+karte&order={order}");
        let (mut scanned, mut times, mut found) = (0, vec![], vec![]);
        loop {
            let page = tally.ask(&app, &path).await;
            scanned += page["scanned"].as_i64().unwrap();
            found.extend(numbers(page["items"].as_array().unwrap()));
            let Some(cursor) = page["next"].as_str() else {
                assert_eq!(page.get("searched_to"), None, "the range was searched whole");
                break;
            };
            let to = page["searched_to"].as_str().expect("a time").to_owned();
            // Whatever it has passed is counted, and nothing else.
            let time = |n: usize| format!("2026-11-21T08:{:02}:{:02}", n / 60, n % 60);
            let passed = (0..600).filter(|n| if first == 0 { time(*n) < to } else { time(*n) > to }).count();
            assert!(i64::try_from(passed).unwrap() <= scanned, "{passed} passed, {scanned} looked at");
            times.push(to);
            path = format!("/events?cursor={cursor}");
        }
        assert_eq!((found, scanned >= 600), (vec![7], true), "{order}: {scanned}");
        assert!(times.len() > 2, "the budget ended before anything was found: {times:?}");
        if order == "desc" {
            times.reverse();
        }
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    }
}

#[tokio::test]
async fn shards_are_read_as_one() {
    let tally = Tally::start().await;
    let new = admin::NewApp { name: "wide".into(), shards: Some(7), ..admin::NewApp::default() };
    let app = tally.app_with(new).await;
    let events: Vec<_> = (0..300)
        .map(|n| json!({"name": "a", "data": {"n": n}, "timestamp": format!("2026-11-21T08:{:02}:{:02}Z", n / 60, n % 60)}))
        .collect();
    tally.accept(&app, &json!(events)).await;
    let newest: Vec<i64> = (0..300).rev().collect();
    for limit in [1_000, 50, 7] {
        assert_eq!(numbers(&tally.list(&app, &format!("limit={limit}")).await), newest);
    }
    let stored = tally.stored_app(&app).await;
    let ids = tally.list(&app, "limit=1000").await;
    let shards: std::collections::HashSet<_> = column(&json!(ids), "id")
        .into_iter()
        .map(|id| stored.layout.shard(id.as_str().unwrap().parse().unwrap()))
        .collect();
    assert_eq!(shards.len(), 7, "all of them are in use");
}

#[tokio::test]
async fn replies_stay_below_four_megabytes() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let large = "x".repeat(200 * 1024);
    for n in 0..2 {
        let events: Vec<_> = (0..15).map(|i| json!({"name": "a", "data": {"n": n * 15 + i, "large": large}})).collect();
        tally.accept(&app, &json!(events)).await;
    }
    let path = format!("/apps/{}/events?limit=1000", app.slug);
    let page = tally.call(Method::GET, &path, ("x-read-key", &app.read_key), "").await;
    assert!(page.json.to_string().len() < 4 * 1024 * 1024 && page.json["next"].is_string());
    let mut all = numbers(&tally.list(&app, "limit=1000").await);
    all.sort_unstable();
    assert_eq!(all, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn rare_matches_are_found_through_the_counters() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    // Ten days of 600 events an hour apart by day, with one rare event a day.
    for day in 1..=10 {
        let events: Vec<_> = (0..600)
            .map(|n| {
                let rare = n == 300 + day;
                json!({"name": format!("n{}", n % 20), "level": if rare { "FATAL" } else { "INFO" },
                    "message": if rare { "disk full" } else { "fine" }, "data": {"n": day * 1000 + n},
                    "timestamp": format!("2026-11-{day:02}T{:02}:{:02}:30Z", n / 60, n % 60)})
            })
            .collect();
        tally.accept(&app, &json!(events)).await;
    }
    tally.drain().await;
    let rare: Vec<i64> = (1..=10).rev().map(|day| day * 1000 + 300 + day).collect();
    for filter in ["level=FATAL", "message=disk+full", "message=disk+full&level=FATAL&name=n1"] {
        let expected: Vec<_> = if filter.contains("name=n1") { vec![1301] } else { rare.clone() };
        let before = tally.usage();
        assert_eq!(numbers(&tally.list(&app, &format!("{filter}&limit=100")).await), expected, "{filter}");
        let planned = tally.usage() - before;
        let before = tally.usage();
        assert_eq!(
            numbers(&tally.list(&app, &format!("{filter}&limit=100&consistent=true")).await),
            expected,
            "{filter}"
        );
        let whole = tally.usage() - before;
        assert!(planned.read_units * 3.0 < whole.read_units, "{filter}: {planned:?} {whole:?}");
    }
    assert_eq!(
        numbers(&tally.list(&app, "level=FATAL&limit=3&order=asc").await),
        rare.iter().rev().copied().collect::<Vec<_>>()
    );
    let page = tally.ask(&app, "/events?level=FATAL&limit=2&offset=3").await;
    assert_eq!(numbers(page["items"].as_array().unwrap()), rare[3..5]);
    let frequent = tally.ask(&app, "/events?level=INFO&limit=50").await;
    assert_eq!(frequent["items"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn the_newest_minutes_are_read_however_far_the_counters_are() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "old", "timestamp": "2026-11-20T08:00:00Z", "data": {"n": 0}})).await;
    assert_eq!(tally.list(&app, "name=old").await.len(), 1, "nothing is counted yet: all is read");
    tally.drain().await;
    // The stream is counted by the machine's clock, so these are fresh to it.
    let fresh = tally_core::time::clock::Clock::System.now();
    tally.clock.set(fresh);
    tally.accept(&app, &json!([{"name": "new", "data": {"n": 1}}, {"name": "old", "data": {"n": 2}}])).await;
    assert_eq!(numbers(&tally.list(&app, "name=new").await), [1], "not counted, and found");
    assert_eq!(numbers(&tally.list(&app, "name=old").await), [2, 0]);
    assert_eq!(numbers(&tally.list(&app, "name=old&order=asc").await), [0, 2]);
}

#[tokio::test]
async fn an_impossible_session_id_reads_nothing() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = format!("/the-eye/{}/api/event/", app.read_key);
    ten_events(&tally, &app).await;
    let eye = async |query: &str| tally.call(Method::GET, &format!("{base}?{query}"), ("accept", "*/*"), "").await.json;
    assert_eq!(
        (tally.list(&app, "session_id=s1").await.len(), eye("session_id=s1").await["count"].clone()),
        (5, json!(5))
    );
    // DynamoDB refuses a key of more than 2,048 bytes, and a session's is the app and its id.
    let session = "x".repeat(3_000);
    let before = tally.usage().read_requests;
    assert!(tally.list(&app, &format!("session_id={session}")).await.is_empty());
    assert_eq!(eye(&format!("session_id={session}&offset=1")).await["count"], 0);
    assert_eq!(tally.usage().read_requests - before, 0);
}

#[tokio::test]
async fn an_empty_filter_is_refused() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for filter in
        ["name", "event", "slug", "category", "level", "message", "session_id", "user_id", "attr.", "attr.plan"]
    {
        assert_problem(&tally.get(&app, &format!("/events?{filter}=")).await, 400, &[filter]);
    }
    assert_problem(&tally.get(&app, "/events?attr.=x").await, 400, &["attr."]);
    assert_problem(&tally.get(&app, "/events?user_id=caf%E9").await, 400, &["user_id"]);
    for path in
        ["/reports/day?date=today", "/stats/timeseries?interval=DAY", "/stats/groups?attr=a", "/histogram?date=today"]
    {
        for filter in ["name", "event", "slug", "category", "level"] {
            assert_problem(&tally.get(&app, &format!("{path}&{filter}=")).await, 400, &[filter]);
        }
    }
}

/// The clock was two days ahead while events were counted: what came since is not counted yet, and listed all the same.
#[tokio::test]
async fn a_filtered_list_does_not_trust_counters_for_the_future() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let now = tally.clock.now();
    tally.clock.set(now + 2 * DAY);
    tally.accept(&app, &json!({"name": "a"})).await;
    tally.drain().await;
    tally.clock.set(now);
    tally.accept(&app, &json!({"name": "b"})).await;
    assert_eq!(tally.list(&app, "name=b").await.len(), 1);
}

#[tokio::test]
async fn days_are_days_of_the_zone() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    // One event in every hour of three days; midnight in Kyiv is 22:00 in UTC.
    let events: Vec<_> = (0..72)
        .map(|hour| {
            let at = crate::harness::at("2026-11-18T00:30:00Z") + tally_core::time::TimeDelta::hours(hour);
            json!({"name": "a", "message": "m", "timestamp": at.to_string(), "data": {"n": hour}})
        })
        .collect();
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;
    let day = "since=2026-11-19&until=2026-11-20&tz=Europe/Kyiv";
    for day in [day, "since=20261119&until=20261120&tz=Europe/Kyiv"] {
        assert_eq!(numbers(&tally.list(&app, &format!("{day}&limit=5&order=asc")).await), (22..46).collect::<Vec<_>>());
    }
    // The pages of a cursor have the same range, with its parameters beside it or without.
    let page = tally.ask(&app, &format!("/events?{day}&limit=5&order=asc")).await;
    let cursor = page["next"].as_str().unwrap();
    for query in [format!("cursor={cursor}"), format!("cursor={cursor}&{day}&order=asc"), format!("next={cursor}")] {
        assert_eq!(
            numbers(tally.ask(&app, &format!("/events?{query}")).await["items"].as_array().unwrap()),
            (27..32).collect::<Vec<_>>()
        );
    }
    assert_eq!(
        numbers(&tally.list(&app, "since=2026-11-19&until=2026-11-20&order=asc&limit=1000").await),
        (24..48).collect::<Vec<_>>()
    );
    assert_eq!(
        numbers(
            &tally.list(&app, "since=2026-11-19T00:00:00&until=2026-11-20T00:00:00&order=asc&tz=Europe/Kyiv").await
        ),
        (24..48).collect::<Vec<_>>(),
        "a clock time without an offset is UTC"
    );
    let series = tally.ask(&app, &format!("/stats/timeseries?{day}&interval=day")).await;
    assert_eq!(
        (&series["since"], &series["until"], &series["series"]),
        (
            &json!("2026-11-18T22:00:00Z"),
            &json!("2026-11-19T22:00:00Z"),
            &json!([{"bucket_start": "2026-11-18T22:00:00Z", "count": 24}])
        )
    );
    for (stat, count) in
        [("by-level", 24), ("by-name", 24), ("by-category", 24), ("top-messages", 24), ("groups?attr=none", 24)]
    {
        let joint = if stat.contains('?') { '&' } else { '?' };
        let reply = tally.ask(&app, &format!("/stats/{stat}{joint}{day}")).await;
        assert_eq!(column(&reply["items"], "count"), [count], "{stat}");
    }
    let hours = tally.ask(&app, &format!("/stats/hours?{day}")).await;
    assert_eq!((hours["items"].as_array().unwrap().len(), &hours["since"]), (24, &json!("2026-11-18T22:00:00Z")));
    let report = tally.ask(&app, "/reports/period?from=2026-11-19&to=2026-11-19&tz=Europe/Kyiv").await;
    assert_eq!((&report["total"], &report["from"]), (&json!(24), &json!("2026-11-18T22:00:00Z")));
    let key = tally.key_for_both(&app).await;
    let eye = async |query: &str| {
        let path = format!("/the-eye/{key}/api/event/?{query}");
        tally.call(Method::GET, &path, ("accept", "*/*"), "").await.json["count"].clone()
    };
    assert_eq!(eye("timestamp_after=2026-11-20&tz=Europe/Kyiv").await, 26);
    assert_eq!(eye("timestamp_after=2026-11-20").await, 24);
    assert_problem(&tally.get(&app, "/stats/by-name?tz=Mars").await, 400, &["tz"]);
}

#[tokio::test]
async fn keys_with_dots_and_fields_are_asked_for_like_attributes() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = json!([
        {"name": "a", "user_id": "ann", "data": {"n": 0, "http.status_code": 500, "deep": {"a.b": {"c.d": "x"}}}},
        {"name": "b", "user_id": "bob", "data": {"n": 1, "http": {"status_code": 500}, "deep": {"a": {"b": {"c": {"d": "x"}}}}}},
        {"name": "c", "session_id": "s", "data": {"n": 2, "http.status_code": 404, "user_id": "of data"}},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    for (query, mut expected) in [
        ("attr.http.status_code=500", vec![0, 1]),
        ("attr.http.status_code=404", vec![2]),
        ("attr.deep.a.b.c.d=x", vec![0, 1]),
        ("attr.user_id=ann", vec![0]),
        ("attr.user_id=of%20data", vec![2]),
        ("attr.name=b", vec![1]),
        ("attributes[attr.http.status_code]=500", vec![0, 1]),
        ("attributes%5Battr.http.status_code%5D=500&attributes%5Bn%5D=1", vec![1]),
    ] {
        let mut found = numbers(&tally.list(&app, &format!("{query}&limit=1")).await);
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
    for query in ["attributes[]=1", "attributes[attr.]=1", "attributes[plan=1", "attributes[plan]="] {
        assert_eq!(tally.get(&app, &format!("/events?{query}")).await.status, 400, "{query}");
    }
    for (attr, items) in [
        ("http.status_code", json!([{"value": 500, "count": 2, "people": 2}, {"value": 404, "count": 1, "people": 1}])),
        ("deep.a.b.c.d", json!([{"value": "x", "count": 2, "people": 2}, {"value": null, "count": 1, "people": 1}])),
        (
            "user_id",
            json!([{"value": "ann", "count": 1, "people": 1}, {"value": "bob", "count": 1, "people": 1}, {"value": "of data", "count": 1, "people": 1}]),
        ),
        ("session_id", json!([{"value": null, "count": 2, "people": 2}, {"value": "s", "count": 1, "people": 1}])),
        (
            "name",
            json!([{"value": "a", "count": 1, "people": 1}, {"value": "b", "count": 1, "people": 1}, {"value": "c", "count": 1, "people": 1}]),
        ),
    ] {
        assert_eq!(tally.ask(&app, &format!("/stats/groups?attr={attr}")).await["items"], items, "{attr}");
    }
}

#[tokio::test]
async fn a_fingerprint_is_kept_and_filtered_by() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let error = json!({"name": "error", "fingerprint": "TypeError at render"});
    let stored = tally.accept(&app, &error).await;
    assert_eq!(stored["fingerprint"], "TypeError at render");
    tally.accept(&app, &json!([{"name": "error", "fingerprint": "other"}, {"name": "error", "fingerprint": ""}])).await;
    let found = tally.list(&app, "fingerprint=TypeError%20at%20render").await;
    assert_eq!(found, [stored]);
    assert_eq!(tally.list(&app, "").await.iter().filter(|event| event["fingerprint"].is_null()).count(), 1);
    assert_problem(
        &tally.ingest(&app, &json!({"name": "a", "fingerprint": "é".repeat(129)})).await,
        400,
        &["fingerprint"],
    );
    assert_problem(&tally.get(&app, "/events?fingerprint=").await, 400, &["fingerprint"]);
}
