//! No reply is larger than what Lambda can return, as Lambda encodes it, and none that is cut hides it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use tally_core::app::AppSlug;
use tally_core::app::partition::Partition;
use tally_core::app::role::Role;
use tally_core::counter::cell::{Cell, CounterLabel};
use tally_core::counter::checkpoint::Checkpoint;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, HOUR, MINUTE, Timestamp};
use tally_store::{DeadLetter, Increment, Precondition};

use crate::harness::{NOW, Tally, TestApp, at, column};

/// Most bytes of what a Lambda function returns (AWS: "Lambda quotas", 6 MB; measured).
const LAMBDA: usize = 6_291_556;
/// Most bytes of a body, as documented.
const BODY: usize = 4 * 1024 * 1024;
/// What takes most bytes in a reply: a quote doubles in JSON and again as Lambda encodes it; a control character takes six.
const WORST: [&str; 2] = ["\"", "\u{1}"];

/// A reply as Lambda returns it.
struct Returned {
    status: u64,
    body: Vec<u8>,
    json: Value,
    headers: Value,
}

/// Sends a request through what the functions run in, and checks the size of what it returns.
async fn on_lambda(tally: &Tally, method: Method, path: &str, header: (&str, &str), body: &[u8]) -> Returned {
    let (raw_path, query) = path.split_once('?').unwrap_or((path, ""));
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": raw_path, "rawQueryString": query,
        "headers": {"host": "tally.example", "content-encoding": if body.starts_with(b"\x1f\x8b") { "gzip" } else { "identity" },
            header.0: header.1},
        "requestContext": {
            "accountId": "1", "apiId": "api", "domainName": "tally.example", "domainPrefix": "tally", "requestId": "1",
            "routeKey": "$default", "stage": "$default", "timeEpoch": 0, "time": "",
            "http": {"method": method.as_str(), "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": ""},
        },
        "isBase64Encoded": true, "body": STANDARD.encode(body),
    });
    let response = tally.on_lambda(event).await;
    let encoded = serde_json::to_vec(&response).expect("JSON");
    let status = response["statusCode"].as_u64().expect("a status");
    let text = response["body"].as_str().unwrap_or_default();
    let body = match response["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).expect("base64"),
        _ => text.as_bytes().to_vec(),
    };
    println!("{method} {}: {status}, {} bytes, encoded {}", &path[..path.len().min(120)], body.len(), encoded.len());
    assert!(encoded.len() <= LAMBDA, "{path}: {} bytes", encoded.len());
    assert!(body.len() <= BODY, "{path}: {} bytes", body.len());
    assert!(status < 500, "{path}: {text}");
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Returned { status, body, json, headers: response["headers"].clone() }
}

async fn get(tally: &Tally, app: &TestApp, path: &str) -> Returned {
    let path = if path.starts_with("/apps/") { path.to_owned() } else { format!("/apps/{}{path}", app.slug) };
    on_lambda(tally, Method::GET, &path, ("x-read-key", &app.read_key), b"").await
}

/// A reply that must be 200.
async fn ask(tally: &Tally, app: &TestApp, path: &str) -> Returned {
    let reply = get(tally, app, path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.json);
    reply
}

/// All pages of a list of counts.
async fn pages(tally: &Tally, app: &TestApp, path: &str) -> Vec<Value> {
    let bare = path.split('?').next().expect("a path");
    let mut pages = vec![ask(tally, app, path).await.json];
    while let Some(next) = pages.last().expect("a page")["next"].as_str() {
        let path = format!("{bare}?cursor={next}");
        pages.push(ask(tally, app, &path).await.json);
        assert!(pages.len() < 100, "{path} does not end");
    }
    pages
}

fn partition(app: &TestApp) -> Partition {
    let slug = AppSlug::of_name(&app.slug).expect("a slug");
    Partition { app: tally_core::app::AppId::new(&slug, 1), shard: 0 }
}

/// Counts cells once each in a bucket, on pages of 200 cells.
async fn count(tally: &Tally, app: &TestApp, bucket: Bucket, cells: &[Cell]) {
    for (page, cells) in (0..).zip(cells.chunks(200)) {
        let key = CounterKey { partition: partition(app), kind: CounterKind::Cells, bucket, page };
        let increment = Increment {
            key: &key,
            stream_shard: "s",
            unless: Precondition::CheckpointIsNot(None),
            full: false,
            checkpoint: Checkpoint { sequence: "1".parse().expect("a number"), created_at: at(NOW) },
            counts: cells.iter().map(|cell| (CounterLabel::Cell(cell.clone()).attribute(), 1)).collect(),
            stale: vec![],
            return_old: false,
        };
        tally.context.store.increment(&increment).await.expect("a store");
    }
}

/// A text of the longest length that takes most bytes.
fn worst(n: usize, of: &str) -> String {
    format!("{n:05}{}", of.repeat(251))
}

fn cells(names: usize, of: &str) -> Vec<Cell> {
    let cell = |n| Cell { name: worst(n, of), slug: worst(n, of), category: Some(worst(n, of)), level: None };
    (0..names).map(cell).collect()
}

/// More names than a reply holds, if each takes this many of the longest texts.
fn too_many(of: &str, texts: usize) -> usize {
    (if of == "\"" { 6_400 } else { 3_000 }) / texts
}

/// An app whose counters of one minute, or of its hour or day, have these names.
async fn with_names(tally: &Tally, of: &str, names: usize, granularities: &[Granularity]) -> TestApp {
    let app = tally.app("shop").await;
    let cells = cells(names, of);
    for granularity in granularities {
        count(tally, &app, Bucket::of(*granularity, at("2026-11-20T06:15:00Z")), &cells).await;
    }
    app
}

#[tokio::test]
async fn lists_of_counts_are_cut_by_bytes_and_continue() {
    for of in WORST {
        let tally = Tally::of_counters().await;
        let names = too_many(of, 1);
        let app = with_names(&tally, of, names, &[Granularity::Day, Granularity::Hour]).await;
        let range = "since=2026-11-20&until=2026-11-21";
        for (path, field) in [
            ("/stats/totals".to_owned(), "name"),
            (format!("/stats/by-name?{range}"), "name"),
            (format!("/stats/by-category?{range}"), "category"),
            (format!("/stats/hours?{range}"), "name"),
        ] {
            let pages = pages(&tally, &app, &path).await;
            assert!(pages.len() > 1, "{path}: {of:?}");
            let all: Vec<_> = pages.iter().flat_map(|page| column(&page["items"], field)).collect();
            let expected: Vec<_> = (0..names).map(|n| json!(worst(n, of))).collect();
            assert!(all.into_iter().eq(&expected), "{path}: each once, in order");
            assert_eq!(pages[0].get("complete"), None, "nothing is left out where there is a next page");
        }
    }
}

#[tokio::test]
async fn reports_say_what_they_leave_out() {
    for of in WORST {
        let tally = Tally::start().await;
        let names = too_many(of, 2);
        let app = with_names(&tally, of, names, &Granularity::ALL).await;
        for path in [
            "hour?date=2026-11-20&hour=6",
            "day?date=2026-11-20",
            "week?date=2026-11-20",
            "month?date=2026-11-20",
            "period?from=2000-01-01&to=2026-11-30",
        ] {
            let report = ask(&tally, &app, &format!("/reports/{path}")).await.json;
            let listed = report["by_name"].as_array().expect("names").len();
            assert!((500..names).contains(&listed), "{path}: {listed}");
            assert_eq!((&report["total"], &report["complete"]), (&json!(names), &json!(false)), "{path}");
            let rest = names - listed;
            assert_eq!(report["left_out"], json!({"items": rest, "count": rest}), "{path}");
        }
        for path in ["/stats/timeseries?interval=HOUR&fill=zero&since=2026-01-01", "/stats/by-level?since=2026-11-20"] {
            let reply = ask(&tally, &app, path).await.json;
            assert_eq!((reply.get("complete"), reply.get("left_out")), (None, None), "{path}");
        }
    }
}

#[tokio::test]
async fn series_of_the_most_buckets_fit() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let day = at("1999-07-07T00:00:00Z");
    for n in 0..10_000 {
        let cell = Cell { name: "a".into(), slug: "a".into(), category: None, level: None };
        if n % 1_000 == 0 {
            count(&tally, &app, Bucket::of(Granularity::Day, day + n * DAY), &[cell]).await;
        }
    }
    let until = (day + 10_000 * DAY).to_string();
    let path = format!("/stats/timeseries?interval=DAY&fill=zero&since={day}&until={until}");
    assert_eq!(ask(&tally, &app, &path).await.json["series"].as_array().expect("points").len(), 10_000);
    let report = ask(&tally, &app, &format!("/reports/period?from={day}&to={until}")).await.json;
    assert_eq!((report["series"].as_array().expect("points").len(), &report["total"]), (10_000, &json!(10)));
}

#[tokio::test]
async fn messages_and_groups_say_what_they_leave_out() {
    for of in WORST {
        let mut tally = Tally::start().await;
        // The messages differ by a number alone.
        let grouping = Some(tally_core::event::group::Grouping::Exact);
        let new = tally_service::apps::create::NewApp { name: "shop".into(), grouping, ..Default::default() };
        let app = tally.app_with(new).await;
        let text = |n: usize, length: usize| format!("{n:05}{}", of.repeat(length - 5));
        for n in 0..10 {
            let events = (0..10).map(|i| json!({"message": text(n * 10 + i, 8 * 1024)}));
            tally.accept(&app, &events.collect()).await;
        }
        tally.drain().await;
        let top = ask(&tally, &app, "/stats/top-messages?limit=100").await.json;
        let listed = top["items"].as_array().expect("messages").len();
        if listed < 100 {
            let rest = 100 - listed;
            assert_eq!((&top["complete"], &top["left_out"]), (&json!(false), &json!({"items": rest, "count": rest})));
        } else {
            assert_eq!((&top["complete"], top.get("left_out")), (&json!(true), None));
        }
        assert_eq!(listed == 100, of == "\"", "control characters take six bytes each, quotes two");
        for n in 0..40 {
            let large = text(n, 40_000);
            tally.accept(&app, &json!({"name": "b", "data": {"large": {"of": large}}})).await;
        }
        let groups = ask(&tally, &app, "/stats/groups?attr=large&name=b&limit=1000").await.json;
        let listed = groups["items"].as_array().expect("groups").len();
        assert!((10..40).contains(&listed), "{listed}");
        let rest = 40 - listed;
        assert_eq!((&groups["complete"], &groups["left_out"]), (&json!(false), &json!({"items": rest, "count": rest})));
        let two = ask(&tally, &app, "/stats/groups?attr=large&name=b&limit=2").await.json;
        assert_eq!((&two["complete"], &two["left_out"]), (&json!(true), &json!({"items": 38, "count": 38})));
    }
}

#[tokio::test]
async fn lists_of_events_are_cut_by_what_lambda_returns() {
    for (of, length) in [("\"", 120_000), ("\u{1}", 42_000)] {
        let tally = Tally::start().await;
        let app = tally.app("shop").await;
        let data = of.repeat(length);
        for n in 0..17 {
            let event = json!({"name": "a", "session_id": "s", "timestamp": (at(NOW) - n * MINUTE).to_string(), "data": [n, data]});
            tally.accept(&app, &event).await;
        }
        let all: Vec<_> = (0..17).map(|n| json!(n)).collect();
        let mut found = vec![];
        for page in pages(&tally, &app, "/events?limit=1000").await {
            found.extend(page["items"].as_array().expect("items").iter().map(|event| event["data"][0].clone()));
        }
        assert_eq!(found, all);
        let mut found = vec![];
        let mut path = "/seismo/api/events/shop".to_owned();
        loop {
            let reply = on_lambda(&tally, Method::GET, &path, ("x-read-key", &app.read_key), b"").await;
            found.extend(reply.json.as_array().expect("events").iter().map(|event| event["data"][0].clone()));
            let Some(link) = reply.headers["link"].as_str() else { break };
            let link = link.trim_start_matches('<').split('>').next().expect("a link");
            path = link[link.find("/seismo").expect("a path")..].to_owned();
        }
        assert!(found.iter().rev().eq(&all));
        for filter in ["", "session_id=s"] {
            let mut found = vec![];
            let mut path = format!("/the-eye/{}/api/event/?{filter}", app.read_key);
            loop {
                let page = on_lambda(&tally, Method::GET, &path, ("accept", "*/*"), b"").await.json;
                found.extend(page["results"].as_array().expect("events").iter().map(|event| event["data"][0].clone()));
                let Some(next) = page["next"].as_str() else { break };
                path = next[next.find("/the-eye").expect("a path")..].to_owned();
            }
            assert_eq!(found, all, "{filter}");
        }
    }
}

#[tokio::test]
async fn pictures_and_numbers_of_a_day_fit() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    // As long as a path may be.
    let name = "%22".repeat(2_600);
    let day = at("2026-11-20T00:00:00Z");
    let cell = Cell { name: "\"".repeat(2_600), slug: "s".into(), category: None, level: None };
    for hour in 0..24 {
        let cells = vec![cell.clone(); 1];
        count(&tally, &app, Bucket::of(Granularity::Hour, day + hour * HOUR), &cells).await;
    }
    for format in ["json", "svg", "png", "jpg"] {
        let path = format!("/histogram?date=2026-11-20&format={format}&name={name}&width=2000&height=2000");
        assert!(ask(&tally, &app, &path).await.body.len() > 1_000, "{format}");
    }
}

#[tokio::test]
async fn a_month_of_forty_names_is_a_list_of_event_tracker() {
    let tally = Tally::of_counters().await;
    let app = tally.app("shop").await;
    let names: Vec<_> = (0..40)
        .map(|n| Cell { name: format!("name {n:02}"), slug: format!("name-{n:02}"), category: None, level: None })
        .collect();
    for hour in 0..720 {
        count(&tally, &app, Bucket::of(Granularity::Hour, at("2026-11-01T00:00:00Z") + hour * HOUR), &names).await;
    }
    let path = format!("/event-tracker/{}/api/events?start_date=20261101&end_date=20261130", app.read_key);
    let reply = on_lambda(&tally, Method::GET, &path, ("accept", "*/*"), b"").await;
    assert_eq!((reply.status, reply.json["response"].as_array().expect("rows").len()), (200, 28_800));
    assert_eq!(reply.json.as_object().expect("an envelope").len(), 2);
    let hours = ask(&tally, &app, "/stats/hours?since=2026-11-01&until=2026-12-01").await.json;
    assert_eq!((hours["items"].as_array().expect("rows").len(), &hours["next"]), (28_800, &Value::Null));
}

#[tokio::test]
async fn event_tracker_says_how_to_ask_for_less() {
    for of in WORST {
        let tally = Tally::of_counters().await;
        let names = too_many(of, 1);
        let app = with_names(&tally, of, names, &[Granularity::Day, Granularity::Hour]).await;
        let cells = cells(1_600, of);
        for day in [22, 23, 24, 25] {
            let hour = format!("2026-11-{day}T06:00:00Z");
            count(&tally, &app, Bucket::of(Granularity::Hour, at(&hour)), &cells).await;
        }
        let list = async |start: &str, end: &str| {
            let path = format!("/event-tracker/{}/api/events?start_date={start}&end_date={end}", app.read_key);
            on_lambda(&tally, Method::GET, &path, ("accept", "*/*"), b"").await
        };
        let refused = list("20261122", "20261125").await;
        let told = refused.json["error"]["internal"].as_str().expect("a sentence").to_owned();
        assert_eq!((refused.status, &refused.json["status"]), (400, &json!(false)));
        let end = told.split("`end_date=").nth(1).and_then(|rest| rest.split('`').next()).expect(&told);
        let read = list("20261122", end).await;
        assert_eq!(read.status, 200, "{told}");
        assert!(read.json["response"].as_array().expect("rows").len() >= 1_200, "{told}");
        let one_hour = list("2026112006", "2026112006").await;
        let told = one_hour.json["error"]["internal"].as_str().expect("a sentence");
        assert_eq!(one_hour.status, 400);
        assert!(told.contains("/stats/hours"), "{told}");

        let path = format!("/event-tracker/{}/api/events/unique", app.read_key);
        let unique = on_lambda(&tally, Method::GET, &path, ("accept", "*/*"), b"").await;
        let listed = unique.json["response"].as_array().expect("names").len();
        assert!((unique.status, listed < names, listed > 500) == (200, true, true), "{listed}");
        let rest = names - listed;
        assert_eq!(
            (&unique.json["complete"], &unique.json["left_out"]),
            (&json!(false), &json!({"items": rest, "count": rest}))
        );
    }
}

#[tokio::test]
async fn a_cursor_of_counts_holds_its_query() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = |n: i64| {
        json!({"name": format!("n{}", n % 5), "slug": format!("s{}", n % 10), "level": "INFO", "category": format!("c{}", n % 3),
        "timestamp": (at(NOW) - n * 20 * MINUTE).to_string()})
    };
    let mut events: Vec<_> = (0..40).map(event).collect();
    events.push(json!({"name": "n0", "level": "WARN"}));
    events.push(json!({"name": "bare", "level": "INFO"}));
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;
    for statistic in ["totals", "by-name", "by-category", "hours"] {
        let whole = tally.ask(&app, &format!("/stats/{statistic}?level=INFO")).await;
        assert_eq!(whole["next"], Value::Null);
        let mut found = vec![];
        let first = tally.ask(&app, &format!("/stats/{statistic}?level=INFO&limit=2")).await;
        let mut page = first.clone();
        // The default range is that of the first page.
        tally.clock.set(at(NOW) + 3 * HOUR);
        loop {
            assert!(page["items"].as_array().expect("items").len() <= 2, "the limit is part of the cursor");
            assert_eq!((&page["since"], &page["until"]), (&first["since"], &first["until"]));
            found.extend(page["items"].as_array().expect("items").clone());
            let Some(next) = page["next"].as_str() else { break };
            page = tally.ask(&app, &format!("/stats/{statistic}?cursor={next}")).await;
        }
        assert_eq!(json!(found), whole["items"], "{statistic}");
        tally.clock.set(at(NOW));
        let next = first["next"].as_str().expect("a cursor");
        let more = tally.ask(&app, &format!("/stats/{statistic}?cursor={next}&limit=1&level=INFO")).await;
        assert_eq!(more["items"].as_array().expect("items").len(), 1);
        for (query, field) in [("&level=WARN", "level"), ("x", "cursor"), ("&limit=0", "limit"), ("&nmae=a", "nmae")] {
            let refused = tally.get(&app, &format!("/stats/{statistic}?cursor={next}{query}")).await;
            crate::harness::assert_problem(&refused, 400, &[field]);
        }
        let other = if statistic == "totals" { "by-name" } else { "totals" };
        let refused = tally.get(&app, &format!("/stats/{other}?cursor={next}")).await;
        crate::harness::assert_problem(&refused, 400, &["cursor"]);
    }
}

#[tokio::test]
async fn what_admins_list_is_cut_by_bytes() {
    for of in WORST {
        let tally = Tally::start().await;
        let names = too_many(of, 2);
        let app = with_names(&tally, of, names, &[Granularity::Day]).await;
        let token = tally.token(Role::Admin).await;
        let header = ("x-access-token", token.as_str());
        let body = json!({"since": "2026-11-20", "until": "2026-11-21"}).to_string();
        let audit = on_lambda(&tally, Method::POST, "/apps/shop/audit", header, body.as_bytes());
        let audit = tally.counting(audit).await;
        let listed = audit.json["differences"].as_array().expect("differences").len();
        assert!((500..names).contains(&listed), "{listed}");
        let rest = names - listed;
        assert_eq!(audit.json["left_out"], json!({"items": rest, "count": rest}));

        let mut sent = BTreeMap::new();
        for n in 0..60 {
            let letter = DeadLetter {
                stream_shard: format!("shard-{n:02}"),
                sequence_number: "1".into(),
                keys: of.repeat(2_000),
                error: of.repeat(20_000),
                at: Timestamp::EPOCH,
            };
            tally.context.store.put_dead_letter(Some(&partition(&app).app), &letter).await.expect("a store");
            sent.insert(letter.stream_shard, 1);
        }
        let mut found = BTreeMap::new();
        let mut path = "/apps/shop/dead-letters".to_owned();
        loop {
            let page = on_lambda(&tally, Method::GET, &path, header, b"").await.json;
            for shard in column(&page["items"], "stream_shard") {
                *found.entry(shard.as_str().expect("a shard").to_owned()).or_default() += 1;
            }
            let Some(next) = page["next"].as_str() else { break };
            path = "/apps/shop/dead-letters?next=".to_owned();
            for byte in next.bytes() {
                write!(path, "%{byte:02X}").expect("memory");
            }
        }
        assert_eq!(found, sent, "each once");
    }
}

#[tokio::test]
async fn verdicts_on_the_worst_events_fit() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for of in ["\\\"", "\\u0001"] {
        let fields: Vec<_> = (0..90).map(|n| format!(r#""{n}{}":1"#, of.repeat(16 * 1024 / of.len() / 16))).collect();
        let bad = format!("{{{}}}", fields.join(","));
        let all = |first: &str| {
            let events = vec![bad.as_str(); 150].join(",");
            let rest = vec![r#"{"nme":1}"#; 849].join(",");
            let body = format!("[{first},{events},{rest}]");
            let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
            gzip.write_all(body.as_bytes()).expect("memory");
            gzip.finish().expect("memory")
        };
        for (first, status) in [(r#"{"name":"good"}"#, 207), (bad.as_str(), 400)] {
            let body = all(first);
            let reply =
                on_lambda(&tally, Method::POST, "/apps/shop/events", ("x-ingest-key", &app.ingest_key), &body).await;
            assert_eq!(reply.status, status);
            if status == 207 {
                assert_eq!(reply.json["rejected"].as_array().expect("verdicts").len(), 999);
                assert!(column(&reply.json["rejected"], "detail").iter().all(|d| d.as_str().expect("text").len() > 10));
            }
        }
        let alone = format!("{{\"name\":\"a\",{}}}", fields.join(","));
        let header = ("x-ingest-key", app.ingest_key.as_str());
        let alone = on_lambda(&tally, Method::POST, "/apps/shop/events", header, alone.as_bytes());
        assert_eq!(alone.await.status, 400);
    }
}
