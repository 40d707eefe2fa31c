//! The Eye's clients: every example of its document and what Tally promises beyond it.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tally_core::time::{DAY, HOUR, MINUTE, SECOND};
use tally_service::config::Config;

use crate::harness::{NOW, Reply, Tally, TestApp, at, column};

/// A client of The Eye: it knows its base URL.
struct Client<'a> {
    tally: &'a Tally,
    base: String,
}

impl<'a> Client<'a> {
    async fn of(tally: &'a Tally, app: &TestApp) -> Self {
        Self { tally, base: format!("/the-eye/{}", tally.key_for_both(app).await) }
    }

    async fn post(&self, event: &Value) -> Reply {
        let path = format!("{}/api/event/", self.base);
        self.tally.call(Method::POST, &path, ("content-type", "application/json"), event.to_string()).await
    }

    /// Sends events that must all be accepted.
    async fn send(&self, events: impl IntoIterator<Item = Value>) {
        for event in events {
            let reply = self.post(&event).await;
            assert_eq!((reply.status, &reply.json), (StatusCode::CREATED, &json!({"success": true})), "{event}");
        }
    }

    async fn get(&self, query: &str) -> Reply {
        self.follow(&format!("https://eye.example{}/api/event/?{query}", self.base)).await
    }

    /// Follows a link, which must lead to this server.
    async fn follow(&self, link: &str) -> Reply {
        let path = link.strip_prefix("https://eye.example").unwrap_or_else(|| panic!("{link} is no absolute link"));
        assert!(path.starts_with(&format!("{}/api/event/?", self.base)), "{link}");
        let request = Request::get(path).header("host", "eye.example").body(Body::empty()).unwrap();
        self.tally.send(request).await
    }

    async fn page(&self, query: &str) -> Value {
        let reply = self.get(query).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.json);
        reply.json
    }

    /// All pages from one on, by following the links with a name.
    async fn walk(&self, first: Value, link: &str) -> Vec<Value> {
        let mut pages = vec![first];
        while let Some(url) = pages.last().unwrap()[link].as_str() {
            let reply = self.follow(url).await;
            assert_eq!(reply.status, StatusCode::OK, "{url}: {}", reply.json);
            pages.push(reply.json);
            assert!(pages.len() < 200, "{link} does not end");
        }
        pages
    }
}

fn names(pages: &[Value]) -> Vec<String> {
    let names = pages.iter().flat_map(|page| column(&page["results"], "name"));
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The event of the document.
fn example() -> Value {
    json!({
        "session_id": "e2085be5-9137-4e4e-80b5-f1ffddc25423",
        "category": "page interaction",
        "name": "cta click",
        "data": {"host": "www.xxxxx.com", "path": "/", "element": "chat bubble"},
        "timestamp": "2021-01-01 09:15:27.243860",
    })
}

/// The same event with other fields.
fn event(fields: &Value) -> Value {
    let mut event = example();
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

#[tokio::test]
async fn the_documented_examples_work() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    for counted in [false, true] {
        if counted {
            tally.drain().await;
        }
        let client = Client { tally: &tally, base: base.clone() };
        if !counted {
            let reply = client.post(&example()).await;
            assert_eq!((reply.status, reply.json), (StatusCode::CREATED, json!({"success": true})));
            client.send([event(&json!({"session_id": "another", "timestamp": "2021-01-03"}))]).await;
        }
        let query =
            "timestamp_after=2021-01-01&timestamp_before=2021-01-02&session_id=e2085be5-9137-4e4e-80b5-f1ffddc25423";
        let reply = client.get(query).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.headers["content-type"], "application/json");
        let expected = json!({
            "count": 1,
            "next": null,
            "previous": null,
            "results": [
                {
                    "session_id": "e2085be5-9137-4e4e-80b5-f1ffddc25423",
                    "timestamp": "2021-01-01T09:15:27.243860Z",
                    "category": "page interaction",
                    "name": "cta click",
                    "data": {"host": "www.xxxxx.com", "path": "/", "element": "chat bubble"}
                }
            ]
        });
        assert_eq!(reply.json, expected, "counted: {counted}");
        if counted {
            for filter in [
                "timestamp_end=2021-01-02",
                "timestamp_start=2021-01-01&timestamp_end=2021-01-02&category=page+interaction&name=cta%20click",
            ] {
                assert_eq!(client.page(filter).await, expected, "{filter}");
            }
            assert_eq!(client.page("name=cta+click&category=page+interaction").await["count"], 2);
            assert_eq!(client.page("category=another").await["count"], 0);
        }
    }
    // Without the slash, too; and the native API has them, as this one has the native API's.
    let bare =
        tally.call(Method::GET, &format!("{base}/api/event?category=page+interaction"), ("accept", "*/*"), "").await;
    assert_eq!((bare.status, &bare.json["count"]), (StatusCode::OK, &json!(2)));
    let native = tally.list(&app, "session_id=e2085be5-9137-4e4e-80b5-f1ffddc25423&category=page+interaction").await;
    assert_eq!(native.len(), 1);
    assert_eq!(
        (&native[0]["name"], &native[0]["timestamp"]),
        (&json!("cta click"), &json!("2021-01-01T09:15:27.243860Z"))
    );
    assert_eq!(native[0]["data"], example()["data"]);
    assert_eq!(tally.ask(&app, "/reports/day?date=2021-01-01&name=cta+click").await["total"], 1);
    tally.accept(&app, &json!({"message": "disk full", "level": "ERROR"})).await;
    tally.drain().await;
    let page = Client { tally: &tally, base }.page("name=log").await;
    let expected = json!({"session_id": null, "timestamp": NOW, "category": null, "name": "log", "data": null});
    assert_eq!(page["results"], json!([expected]));
}

#[tokio::test]
async fn all_five_fields_are_required() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let client = Client::of(&tally, &app).await;
    for field in ["session_id", "category", "name", "timestamp", "data"] {
        let mut without = example();
        without.as_object_mut().unwrap().remove(field);
        let mut wrong = vec![without, event(&json!({field: null}))];
        if field != "data" {
            wrong.extend([event(&json!({field: " "})), event(&json!({field: true})), event(&json!({field: {}}))]);
        }
        for wrong in wrong {
            let reply = client.post(&wrong).await;
            assert_eq!((reply.status.as_u16(), &reply.json["success"]), (400, &json!(false)), "{wrong}");
            let detail = reply.json["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("`{field}`")) && !detail.contains(';'), "{detail}");
        }
    }
    for wrong in [
        json!([example()]),
        json!("cta click"),
        event(&json!({"timestamp": "yesterday"})),
        event(&json!({"timestamp": "2030-01-01"})),
        event(&json!({"name": "x".repeat(257)})),
        event(&json!({"data": {"": 1}})),
    ] {
        let reply = client.post(&wrong).await;
        assert_eq!((reply.status.as_u16(), &reply.json["success"]), (400, &json!(false)), "{wrong}");
    }
    let reply =
        tally.call(Method::POST, &format!("{}/api/event/", client.base), ("content-type", "text/xml"), "<a/>").await;
    assert_eq!((reply.status.as_u16(), &reply.json["success"]), (415, &json!(false)));
    assert!(tally.list(&app, "").await.is_empty(), "nothing of it was stored");

    // What Django REST framework lets through.
    client.send([event(&json!({"session_id": 17, "name": " cta click ", "data": "", "color": "red"}))]).await;
    let page = client.page("session_id=17").await;
    let stored = &page["results"][0];
    assert_eq!(
        (&stored["session_id"], &stored["name"], &stored["data"]),
        (&json!("17"), &json!("cta click"), &json!(""))
    );
    assert!(stored["color"].is_null());
}

#[tokio::test]
async fn both_bounds_are_inclusive_to_the_microsecond() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    let times = [
        "2020-12-31T23:59:59.999999Z",
        "2021-01-01T00:00:00Z",
        "2021-01-01T09:15:27.243859Z",
        "2021-01-01T09:15:27.243860Z",
        "2021-01-01T09:15:27.500000Z",
        "2021-01-02T00:00:00Z",
        "2021-01-02T00:00:00.000001Z",
    ];
    let client = Client { tally: &tally, base: base.clone() };
    for category in ["a", "b"] {
        client
            .send(times.iter().map(|at| event(&json!({"timestamp": at, "category": category, "session_id": "s"}))))
            .await;
    }
    tally.drain().await;
    let client = Client { tally: &tally, base };
    for (query, held) in [
        ("", 0..7),
        ("timestamp_after=2021-01-01&timestamp_before=2021-01-02", 1..6),
        ("timestamp_start=2021-01-01&timestamp_end=2021-01-02", 1..6),
        ("timestamp_after=2021-01-01 09:15:27.243860", 3..7),
        ("timestamp_start=2021-01-01T09:15:27.243861Z", 4..7),
        ("timestamp_before=2021-01-01T09:15:27.243859", 0..3),
        ("timestamp_after=2021-01-01T10:15:27.243860%2B01:00&timestamp_end=2021-01-01 09:15:27.243860", 3..4),
        // Of two words for one bound the narrower holds.
        (
            "timestamp_after=2021-01-01&timestamp_start=2020-01-01&timestamp_before=2022-01-01&timestamp_end=2021-01-02",
            1..6,
        ),
        ("timestamp_after=2021-01-02&timestamp_before=2021-01-01", 0..0),
        ("timestamp_before=1969-12-31", 0..0),
        ("timestamp_after=0001-01-01&timestamp_before=9999-12-30", 0..7),
        ("timestamp_before=9999-12-31T23:59:59.999999Z", 0..7),
        ("timestamp_after=&timestamp_before=", 0..7),
    ] {
        let query = query.replace(' ', "%20");
        let expected = times[held].to_vec();
        for filter in ["category=a", "category=a&session_id=s", "category=a&limit=1", "category=a&session_id=s&limit=1"]
        {
            let page = client.page(&format!("{query}&{filter}")).await;
            assert_eq!(page["count"], expected.len(), "{query} {filter}");
            assert!(page["complete"].is_null());
            let pages = client.walk(page, "next").await;
            let got = pages.iter().flat_map(|page| column(&page["results"], "timestamp"));
            let mut got: Vec<_> = got.map(|at| at.as_str().unwrap()).collect();
            // Newest first to the millisecond; another test covers the order.
            got.sort_unstable_by_key(|time| at(time));
            assert_eq!(got, expected, "{query} {filter}");
        }
    }
}

#[tokio::test]
async fn links_page_to_the_end_and_back() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    let client = Client { tally: &tally, base: base.clone() };
    // Three of every millisecond.
    let sent =
        |n: u32| event(&json!({"name": format!("n{n:02}"), "timestamp": format!("2021-01-01 00:00:00.{:03}", n / 3)}));
    client.send((0..25).map(sent)).await;
    client.send([event(&json!({"category": "other"}))]).await;
    tally.drain().await;
    let client = Client { tally: &tally, base: base.clone() };

    let first = client.page("limit=10&category=page%20interaction").await;
    assert_eq!(first["previous"], Value::Null);
    assert_eq!(
        first["next"],
        format!("https://eye.example{base}/api/event/?category=page+interaction&limit=10&offset=10")
    );
    let pages = client.walk(first.clone(), "next").await;
    assert_eq!(pages.iter().map(|page| page["results"].as_array().unwrap().len()).collect::<Vec<_>>(), [10, 10, 5]);
    assert!(pages.iter().all(|page| page["count"] == 25));
    let all = names(&pages);
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 25);
    let millisecond = |name: &String| name[1..].parse::<u32>().unwrap() / 3;
    assert!(all.is_sorted_by_key(|name| std::cmp::Reverse(millisecond(name))), "the newest first: {all:?}");
    let mut back = client.walk(pages[2].clone(), "previous").await;
    back.reverse();
    assert_eq!(names(&back), all);
    assert_eq!(back[0], first, "the link to the first page is without an offset");
    // From an offset that is no multiple of the limit.
    let odd = client.page("limit=10&offset=4&category=page+interaction").await;
    assert!(!odd["previous"].as_str().unwrap().contains("offset"), "{}", odd["previous"]);

    // By default 100, and a page that holds all of what is left ends it, however much that is.
    assert_eq!(client.page("").await["results"].as_array().unwrap().len(), 26);
    let exact = client.page("limit=26").await;
    assert_eq!((exact["next"].clone(), exact["count"].clone()), (Value::Null, json!(26)));
    assert_eq!(client.page("offset=26").await["results"], json!([]));
    // As Django REST framework takes them.
    for odd in
        ["limit=abc", "limit=0", "limit=-3", "offset=x", "color=red", "format=json", "limit=", "limit=3&limit=100"]
    {
        assert_eq!(client.page(odd).await["results"].as_array().unwrap().len(), 26, "{odd}");
    }

    // Behind what says the scheme, as API Gateway does.
    let request = Request::get(format!("{base}/api/event/?limit=1")).header("host", "tally.example");
    let request = request.header("x-forwarded-proto", "http").body(Body::empty()).unwrap();
    let next = tally.send(request).await.json["next"].as_str().unwrap().to_owned();
    assert!(next.starts_with(&format!("http://tally.example{base}/api/event/?limit=1&offset=1")), "{next}");
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "a server takes minutes to read past so many; a test with fewer stays")]
async fn past_ten_thousand_a_cursor_pages_on_and_back() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    let start = at("2021-01-01");
    let sent = |n: i64| json!({"name": "a", "session_id": "s", "data": n, "timestamp": start + n * SECOND});
    for first in (0..10_060).step_by(1_000) {
        let events: Vec<_> = (first..10_060).take(1_000).map(sent).collect();
        tally.accept(&app, &json!(events)).await;
    }
    tally.drain().await;
    let client = Client { tally: &tally, base };
    let expected: Vec<_> = (0..10_060).rev().map(|n| json!(n)).collect();
    let numbers = |pages: &[Value]| -> Vec<Value> {
        pages.iter().flat_map(|page| column(&page["results"], "data")).cloned().collect()
    };
    for filter in ["", "&session_id=s"] {
        let at_the_brink = client.page(&format!("limit=20&offset=9990{filter}")).await;
        let next = at_the_brink["next"].as_str().unwrap().to_owned();
        assert!(next.contains("cursor=") && !next.contains("offset="), "{next}");
        let pages = client.walk(at_the_brink, "next").await;
        assert_eq!(numbers(&pages), expected[9_990..], "{filter}");
        assert!(pages.iter().all(|page| page["count"] == 10_060));
        let mut back = vec![pages.last().unwrap().clone()];
        for _ in 0..5 {
            let link = back.last().unwrap()["previous"].as_str().unwrap().to_owned();
            back.push(client.follow(&link).await.json);
        }
        back.reverse();
        assert_eq!(numbers(&back), expected[9_950..], "{filter}");
        // And to where it came from.
        let forth = client.walk(back[0].clone(), "next").await;
        assert_eq!(numbers(&forth), expected[9_950..], "{filter}");
        // A cursor is of its own query.
        for other in ["&category=a", "&timestamp_after=2020-01-01", "&session_id=t"] {
            let reply = client.follow(&format!("{next}{other}")).await;
            assert_eq!((reply.status.as_u16(), &reply.json["success"]), (400, &json!(false)), "{other}");
        }
        let altered = client.follow(&next.replace("cursor=ey", "cursor=fy")).await;
        assert_eq!(altered.status, StatusCode::BAD_REQUEST);
    }
    let refused = client.get("offset=10001").await;
    assert_eq!((refused.status.as_u16(), &refused.json["success"]), (400, &json!(false)));
    assert!(refused.json["detail"].as_str().unwrap().contains("`offset`"));
}

#[tokio::test]
async fn a_short_page_links_to_the_next_and_previous() {
    // Read units for some 60 events: a page of a rare category is short, or even empty.
    let mut tally = Tally::with(Config { read_budget: 30.0, ..Config::default() }).await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    let text = "x".repeat(2_000);
    let sent = |n: i64| {
        let category = if n % 70 == 0 { "rare" } else { "frequent" };
        let time = at("2021-01-01") + n * SECOND;
        json!({"name": "a", "session_id": "s", "category": category, "data": {"n": n, "text": text}, "timestamp": time})
    };
    tally.accept(&app, &json!((0..350).map(sent).collect::<Vec<_>>())).await;
    tally.drain().await;
    let client = Client { tally: &tally, base };
    let numbers = |pages: &[Value]| -> Vec<i64> {
        let data = pages.iter().flat_map(|page| column(&page["results"], "data"));
        data.map(|data| data["n"].as_i64().unwrap()).collect()
    };
    for query in ["session_id=s&category=rare", "session_id=s&category=rare&limit=2"] {
        let pages = client.walk(client.page(query).await, "next").await;
        assert_eq!(numbers(&pages), [280, 210, 140, 70, 0], "{query}");
        assert!(pages.iter().any(|page| page["results"].as_array().unwrap().len() < 2), "{query}: none is cut short");
        let mut back = client.walk(pages.last().unwrap().clone(), "previous").await;
        back.reverse();
        assert_eq!(numbers(&back), [280, 210, 140, 70, 0], "{query}");
    }
}

#[tokio::test]
async fn occurrences_are_counted_and_pages_end_with_the_events() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    for (name, count) in [("a", 1), ("b", 5_000), ("a", 7)] {
        tally
            .accept(
                &app,
                &json!({"name": name, "count": count, "session_id": "s", "timestamp": "2026-11-20T10:00:00Z"}),
            )
            .await;
    }
    let early = Client { tally: &tally, base: base.clone() };
    // Nothing is counted yet: never fewer than the page shows, and of a session all.
    assert!(early.page("limit=2").await["count"].as_i64().unwrap() >= 8);
    assert_eq!(early.page("limit=2&session_id=s").await["count"], 5_008);
    assert_eq!(early.page("limit=1&session_id=s&name=a").await["count"], 8);
    tally.drain().await;
    let client = Client { tally: &tally, base };
    for (query, count, events) in
        [("", 5_008, 3), ("name=a", 8, 2), ("session_id=s", 5_008, 3), ("session_id=s&name=b", 5_000, 1)]
    {
        for limit in [1, 2, 3, 100] {
            let pages = client.walk(client.page(&format!("{query}&limit={limit}")).await, "next").await;
            assert_eq!(names(&pages).len(), events, "{query} limit={limit}");
            assert!(pages.iter().all(|page| page["count"] == count), "{query} limit={limit}: {}", pages[0]["count"]);
        }
    }
}

#[tokio::test]
async fn expired_events_are_in_no_page_and_no_count() {
    let mut tally = Tally::start().await;
    let app = tally
        .app_with(admin::NewApp { name: "shop".into(), retention_days: Some(1), ..admin::NewApp::default() })
        .await;
    let base = Client::of(&tally, &app).await.base;
    for minutes in [1, 600, 1_200] {
        let at = at(NOW) - minutes * MINUTE;
        Client { tally: &tally, base: base.clone() }.send([event(&json!({"timestamp": at, "session_id": "s"}))]).await;
    }
    tally.drain().await;
    for (hours, left) in [(0, 3), (6, 2), (20, 1), (26, 0)] {
        tally.clock.set(at(NOW) + hours * HOUR);
        let client = Client { tally: &tally, base: base.clone() };
        for query in ["limit=1", "limit=1&session_id=s"] {
            let pages = client.walk(client.page(query).await, "next").await;
            assert_eq!((names(&pages).len(), &pages[0]["count"]), (left, &json!(left)), "{query} after {hours} hours");
        }
    }
    assert_eq!(tally.ask(&app, "/stats/totals").await["items"][0]["count"], 3, "what was counted stays counted");
}

#[tokio::test]
async fn a_count_reads_counters_or_the_index_of_one_session() {
    let config = Config { read_budget: 60.0, ..Config::default() };
    let mut tally = Tally::with(config).await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    let text = "x".repeat(2_000);
    for (session, name, events) in [("long", "a", 500), ("short", "b", 20), ("wide", "a", 480)] {
        let events: Vec<_> = (0..events)
            .map(|n| json!({"name": name, "session_id": session, "data": text, "timestamp": at(NOW) - 2 * DAY + n * MINUTE}))
            .collect();
        tally.accept(&app, &json!(events)).await;
    }
    tally.drain().await;
    let client = Client { tally: &tally, base };
    let asked = async |query: &str| {
        let before = tally.usage().read_units;
        let page = client.page(query).await;
        (page, tally.usage().read_units - before)
    };
    let (page, all) = asked("limit=1").await;
    assert_eq!((page["count"].as_i64(), page["complete"].clone()), (Some(1_000), Value::Null));
    let (page, named) = asked("limit=1&name=a&timestamp_after=2026-11-19T11:00:30&timestamp_before=2026-11-20").await;
    assert!(page["count"].as_i64().unwrap() > 500);
    assert!(all < 20.0 && named < 60.0, "{all} and {named} units: 1,000 events of 2 KB are 250");
    let (page, short) = asked("limit=1&session_id=short").await;
    assert_eq!(page["count"], 20);
    assert!(short < 20.0, "{short} units for the 20 events of a session");
    // Too long to count in one request: some of it, and said so; its pages are all there.
    let (page, _) = asked("limit=100&session_id=long").await;
    assert_eq!(page["complete"], false);
    assert!((100..500).contains(&page["count"].as_i64().unwrap()), "{}", page["count"]);
    assert_eq!(names(&client.walk(page, "next").await).len(), 500);
}

#[tokio::test]
async fn errors_have_the_format_of_the_eye() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let client = Client::of(&tally, &app).await;
    let path = |key: &str, rest: &str| format!("/the-eye/{key}/{rest}");
    let both = client.base.trim_start_matches("/the-eye/");
    for (method, path, status) in [
        (Method::GET, path(both, "api/event/?timestamp_after=yesterday"), 400),
        (Method::GET, path("none", "api/event/"), 401),
        (Method::GET, path(&app.ingest_key, "api/event/"), 403),
        (Method::POST, path(&app.read_key, "api/event/"), 403),
        (Method::GET, path(both, "api/events/"), 404),
        (Method::PUT, path(both, "api/event/"), 405),
        (Method::OPTIONS, path(both, "api/event/"), 405),
    ] {
        let reply = tally.call(method.clone(), &path, ("accept", "application/json"), "").await;
        assert_eq!(reply.status.as_u16(), status, "{method} {path}: {}", reply.json);
        if status == 405 {
            assert_eq!(reply.headers["allow"], "GET, HEAD, POST");
        }
        assert_eq!(reply.json["success"], false, "{method} {path}");
        assert!(reply.json["detail"].as_str().unwrap().len() > 10);
    }
    let reply = client.get("timestamp_end=2021-13-01&timestamp_start=x").await;
    let detail = reply.json["detail"].as_str().unwrap();
    assert!(detail.contains("`timestamp_end`") && detail.contains("`timestamp_start`"), "{detail}");
}
