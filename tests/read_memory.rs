//! The memory and the read units of the worst request of each endpoint that reads: bounds hold whatever is stored. This is
//! a test binary of its own, since its allocator counts what all threads of the process allocate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed
#![allow(dead_code)] // the other binary uses the rest of the harness

mod database;
mod harness;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use axum::body::Body;
use http::{Method, Request};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use tally_core::distinct::{Marks, Sketch};
use tally_core::event::id::EventId;
use tally_core::time::DAY;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_service::config::Config;
use tally_store::Timeouts;

use crate::harness::{NOW, Tally, TestApp, at};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MB: usize = 1024 * 1024;
/// A function has 256 MB and is to stay below 200. It needs less than 20 before its first request
/// (docs/performance.md).
const MOST: usize = 180 * MB;
/// The read units that a request may use, and its last page, which may exceed them: 1 MB, read strongly.
const UNITS: f64 = 1_000.0 + 256.0;

/// What the database holds.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Stored {
    /// In each minute, hour and day full counter items with names of their own, and small events.
    Full,
    /// The largest events, of lists of the smallest numbers.
    Lists,
    /// Events whose messages escape every byte.
    Escapes,
    /// On each day one full counter item, always of the same names.
    Days,
}

/// A database in which everything is as large as it can be, always.
#[derive(Clone, Debug)]
struct Endless<T> {
    inner: T,
    stored: Arc<AtomicU8>,
}

impl HttpClient for Endless<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Endless { inner, stored: Arc::clone(&self.stored) })
    }
}

impl HttpConnector for Endless<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        if !operation.ends_with(".Query") || body["TableName"].as_str().unwrap().ends_with("apps") {
            return self.inner.call(request);
        }
        let stored = self.stored.load(Ordering::Relaxed);
        HttpConnectorFuture::new(async move {
            let reply = answer(&body, stored);
            // All requests that are sent at once have their answers before the first is read.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            Ok(HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::from(reply)))
        })
    }
}

fn answer(query: &Value, stored: u8) -> String {
    let values = &query["ExpressionAttributeValues"];
    let partition = values[":key"]["S"].as_str().unwrap();
    let Some(first) = values[":first"]["S"].as_str() else {
        return r#"{"Items":[],"ConsumedCapacity":{"CapacityUnits":0.5}}"#.to_owned();
    };
    let last = values[":last"]["S"].as_str().unwrap();
    let forward = query["ScanIndexForward"] != false;
    let limit = usize::try_from(query["Limit"].as_u64().unwrap_or(u64::MAX)).unwrap();
    let start = query["ExclusiveStartKey"]["sk"]["S"].as_str();
    let is_sketch = query["TableName"].as_str().unwrap().ends_with("counters")
        && values[":first"]["S"].as_str().unwrap().starts_with('u');
    let (items, bytes, last) = if is_sketch {
        sketches(partition, (first, last), start)
    } else if query["TableName"].as_str().unwrap().ends_with("counters") {
        counters(partition, (first, last), start, forward, limit, stored)
    } else {
        events(partition, (first, last), start, forward, limit, stored)
    };
    let per_unit = if query["ConsistentRead"] == true { 4096 } else { 8192 };
    let units = bytes.div_ceil(per_unit);
    let last = last.map_or(String::new(), |sk| {
        let session = query.get("IndexName").map_or(String::new(), |_| format!(r#","session":{{"S":"{partition}"}}"#));
        format!(r#","LastEvaluatedKey":{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sk}"}}{session}}}"#)
    });
    format!(r#"{{"Items":[{items}],"ConsumedCapacity":{{"CapacityUnits":{units}}}{last}}}"#)
}

/// The most items of a bucket, and the bytes of an item.
const PAGES: u16 = 4;
const ITEM: usize = 64 * 1024;
/// The names of a full item. Each takes some 16 bytes.
const NAMES: usize = ITEM / 16;

/// Sketches of more people than they hold one by one: their JSON, their bytes, and where the page ends.
fn sketches(partition: &str, (first, last): (&str, &str), start: Option<&str>) -> (String, usize, Option<String>) {
    let letters = first.split('#').next().unwrap();
    let granularity = if letters == "uh" { Granularity::Hour } else { Granularity::Day };
    let bucket = |text: &str| Bucket::parse(granularity, text.split('#').nth(1).unwrap()).unwrap();
    let last = bucket(last);
    let mut place = start.map_or(bucket(first), |start| Bucket::of(granularity, bucket(start).end()));
    let mut sketch = Sketch::default();
    (0..5_000).for_each(|n| sketch.add(Marks::new(Some(&format!("u{n}")), None).user.unwrap()));
    let sketch = base64_of_bytes(&sketch.to_bytes());
    let bytes = 2 * sketch.len();
    let (mut json, mut items, mut end) = (String::new(), 0, None);
    while place <= last && items < MB / bytes {
        let comma = if items > 0 { "," } else { "" };
        let sk = format!("{letters}#{place}");
        write!(
            json,
            r#"{comma}{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sk}"}},"users":{{"B":"{sketch}"}},"sessions":{{"B":"{sketch}"}},"version":{{"N":"1"}}}}"#
        )
        .unwrap();
        items += 1;
        end = Some(sk);
        place = Bucket::of(granularity, place.end());
    }
    (json, items * bytes, end.filter(|_| place <= last))
}

/// Counter items: their JSON, their bytes, and where the page ends, if it does.
fn counters(
    partition: &str,
    (first, last): (&str, &str),
    start: Option<&str>,
    forward: bool,
    limit: usize,
    stored: u8,
) -> (String, usize, Option<String>) {
    let mut parts = first.split('#');
    let letters = parts.next().unwrap();
    let granularity = match &letters[..1] {
        "m" => Granularity::Minute,
        "h" => Granularity::Hour,
        _ => Granularity::Day,
    };
    let letter = letters.get(1..).filter(|kind| !kind.is_empty()).unwrap_or("c").to_owned();
    let bucket = |text: &str| Bucket::parse(granularity, text.split('#').nth(1).unwrap()).unwrap();
    let (first, last) = (bucket(first), bucket(last).min(Bucket::of(granularity, at(NOW))));
    let days = stored == Stored::Days as u8;
    let pages = if days || !partition.starts_with("one#") { 1 } else { PAGES };
    let mut place = if forward { (first, 0) } else { (last, pages - 1) };
    let after = |(bucket, page): (Bucket, u16)| match (forward, page) {
        (true, page) if page + 1 < pages => (bucket, page + 1),
        (true, _) => (Bucket::of(granularity, bucket.end()), 0),
        (false, 0) => (Bucket::of(granularity, bucket.start() - granularity.length()), pages - 1),
        (false, page) => (bucket, page - 1),
    };
    if let Some(start) = start {
        let page = start.split('#').nth(2).unwrap()[1..].parse().unwrap();
        place = after((bucket(start), page));
    }
    let mut json = String::new();
    let (mut items, mut end) = (0, None);
    while (first..=last).contains(&place.0) {
        if items == limit.min(MB / ITEM) {
            break;
        }
        let (bucket, page) = place;
        let sk = format!("{letters}#{bucket}#{letter}{page}");
        let comma = if items > 0 { "," } else { "" };
        write!(json, r#"{comma}{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sk}"}}"#).unwrap();
        json.push_str(r#","s:shard":{"S":"0000000000000000000100001795702231381301@1795255705"}"#);
        let item = bucket.start().seconds().unsigned_abs() * u64::from(PAGES) + u64::from(page);
        let seed = if days { 0 } else { item << 13 };
        for i in 0..NAMES as u64 {
            match letter.as_str() {
                "m" => write!(json, r#","m:E{}":{{"N":"1"}}"#, base64_of(seed + i)).unwrap(),
                "e" => write!(json, r#","c:F|{:x}||":{{"N":"1"}}"#, seed + i).unwrap(),
                _ => write!(json, r#","c:I|{:x}||":{{"N":"1"}}"#, seed + i).unwrap(),
            }
        }
        json.push('}');
        items += 1;
        end = Some(sk);
        place = after(place);
    }
    let more = (first..=last).contains(&place.0);
    (json, items * ITEM, end.filter(|_| more))
}

fn base64_of_bytes(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn base64_of(n: u64) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes())
}

/// Events: their JSON, their bytes, and where the page ends.
fn events(
    partition: &str,
    (first, last): (&str, &str),
    start: Option<&str>,
    forward: bool,
    limit: usize,
    stored: u8,
) -> (String, usize, Option<String>) {
    let newest = EventId::first_at(at(NOW));
    let (first, last): (EventId, EventId) = (first.parse().unwrap(), last.parse().unwrap());
    let mut id = if forward { first } else { last.min(newest) };
    if let Some(start) = start {
        let start: EventId = start.parse().unwrap();
        id = if forward { start.after() } else { start.before() }.unwrap();
    }
    let (event, bytes) = match stored {
        stored if stored == Stored::Lists as u8 => {
            (format!(r#""data":{{"L":[{}]}}"#, vec![r#"{"N":"0"}"#; 100_000].join(",")), 300_000)
        }
        stored if stored == Stored::Escapes as u8 => {
            (format!(r#""message":{{"S":"{}"}}"#, "\\u0001".repeat(8_000)), 8_200)
        }
        _ => (r#""message":{"S":"a"},"level":{"S":"FATAL"},"data":{"M":{"n":{"N":"7"}}}"#.to_owned(), 300),
    };
    let (mut json, mut who) = (String::new(), String::new());
    let mut end = None;
    let most = limit.min(MB / bytes);
    let mut items = 0;
    while items < most && first <= id && id <= last {
        let micros = id.at().micros();
        let comma = if items > 0 { "," } else { "" };
        // Each small event is of somebody else.
        if stored == Stored::Full as u8 {
            write!(who, r#""user_id":{{"S":"u{id}"}},"session_id":{{"S":"s{id}"}},"#).unwrap();
        }
        write!(
            json,
            r#"{comma}{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{id}"}},{who}"name":{{"S":"a{items}"}},"slug":{{"S":"a"}},"timestamp":{{"N":"{micros}"}},"received_at":{{"N":"{micros}"}},{event}}}"#
        )
        .unwrap();
        who.clear();
        end = Some(id.to_string());
        items += 1;
        let Some(next) = (if forward { id.after() } else { id.before() }) else { break };
        id = next;
    }
    (json, items * bytes, end)
}

struct Asking<'a> {
    tally: &'a Tally,
    app: &'a TestApp,
    key: String,
    stored: &'a AtomicU8,
    wrong: Vec<String>,
}

impl Asking<'_> {
    /// Sends a request, and notes it if it takes too much.
    async fn ask(&mut self, stored: Stored, path: &str, units: f64) -> Value {
        self.send(stored, path, None, units).await
    }

    /// The same with a body.
    async fn post(&mut self, path: &str, body: &Value, units: f64) -> Value {
        self.send(Stored::Full, path, Some(body), units).await
    }

    async fn send(&mut self, stored: Stored, path: &str, body: Option<&Value>, units: f64) -> Value {
        self.stored.store(stored as u8, Ordering::Relaxed);
        let path = path.replace("KEY", &self.key).replace("APP", &self.app.slug);
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let sent = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(&path).header("x-read-key", &self.app.read_key);
        let request = request.body(sent).unwrap();
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let usage = self.tally.context.store.meter().usage();
        let (parts, body) = self.tally.raw(request).await;
        let peak = MEMORY.peak_usage() - before;
        let used = self.tally.context.store.meter().usage() - usage;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let about = format!(
            "{stored:?} {path}: {} in {} bytes, {} MB, {} units, {} reads",
            parts.status,
            body.len(),
            peak / MB,
            used.read_units,
            used.read_requests
        );
        println!("{about}");
        let says = parts.status == 200 || (parts.status == 400 && json.to_string().contains("ask for"));
        if peak > MOST || used.read_units > units || !says {
            self.wrong.push(about);
        }
        json
    }
}

#[tokio::test]
async fn no_request_reads_or_holds_more_than_it_may() {
    let stored = Arc::new(AtomicU8::new(0));
    let endless = Arc::clone(&stored);
    let tally =
        Tally::through(Timeouts::LAPTOP, |inner| SharedHttpClient::new(Endless { inner, stored: endless })).await;
    let shards =
        |name: &str, shards| admin::NewApp { name: name.into(), shards: Some(shards), ..admin::NewApp::default() };
    let one = tally.app_with(shards("one", 1)).await;
    let wide = tally.app_with(shards("wide", 64)).await;
    let month = "since=2026-10-20T00:00:30Z&until=2026-11-20T00:00:30Z";
    for app in [one, wide] {
        let key = tally.key_for_both(&app).await;
        let mut asking = Asking { tally: &tally, app: &app, key, stored: &stored, wrong: vec![] };
        // A forced read of each shard may exceed the budget.
        let shards = if app.slug == "one" { 1.0 } else { 64.0 };
        let all = [
            "/apps/APP/stats/hours?since=2016-01-01&until=2026-11-21",
            "/apps/APP/stats/timeseries?interval=MINUTE&since=2026-11-15&until=2026-11-21",
            "/apps/APP/stats/totals",
            &format!("/apps/APP/stats/by-name?{month}"),
            &format!("/apps/APP/stats/top-messages?limit=100&{month}"),
            "/apps/APP/stats/groups?attr=plan&since=2026-11-01",
            "/apps/APP/reports/period?from=2000-01-01&to=2026-11-21",
            "/apps/APP/histogram?date=2026-11-20&format=json",
            "/apps/APP/events?level=FATAL&limit=1000",
            "/apps/APP/events?user_id=x&limit=1000",
            "/apps/APP/export",
            "/apps/APP/export?format=csv",
            "/seismo/api/reports/period/APP?from=2000-01-01&to=2026-11-21",
            "/seismo/api/events/APP",
            "/the-eye/KEY/api/event/?limit=1",
            "/the-eye/KEY/api/event/?session_id=s&limit=1",
            "/event-tracker/KEY/api/events?start_date=20160101&end_date=20261121",
            "/event-tracker/KEY/api/events/unique",
            "/event-tracker/KEY/api/events/histogram/a/20261120",
        ];
        // Of many shards, those that differ.
        let some = ["stats/hours", "top-messages", "events?", "seismo/api/events", "limit=1", "export"];
        for path in all.iter().filter(|path| shards < 2.0 || some.iter().any(|some| path.contains(some))) {
            asking.ask(Stored::Full, path, UNITS + shards).await;
        }
        for path in ["/apps/APP/events?limit=1000&message=x", "/apps/APP/stats/top-messages?since=2026-11-20T09:00:30Z"]
        {
            asking.ask(Stored::Escapes, path, UNITS + 2.0 * shards).await;
        }
        for path in ["/apps/APP/export", "/apps/APP/export?format=csv&fields=name,message,data"] {
            asking.ask(Stored::Escapes, path, UNITS + 2.0 * shards).await;
        }
        // What people did, all of them different: in hours that are whole, and in halves of hours.
        let all = [
            "/apps/APP/sessions?since=2026-11-01&limit=200",
            "/apps/APP/stats/sessions?since=2026-11-01",
            "/apps/APP/stats/retention?since=2026-11-01",
            "/apps/APP/stats/next?name=a0&since=2026-11-01",
            "/apps/APP/stats/numbers?attr=n&since=2026-11-01",
            "/apps/APP/stats/uniques?interval=DAY&since=2024-03-01&until=2026-11-21",
            "/apps/APP/stats/uniques?interval=HOUR&since=2026-11-01&until=2026-11-21",
            "/apps/APP/stats/uniques?interval=HOUR&since=2026-11-01&until=2026-11-21&tz=Asia/Kolkata",
            "/apps/APP/stats/uniques?interval=DAY&since=2026-11-01&level=FATAL",
            "/apps/APP/stats/overview?since=2026-11-20T09:30:30Z&compare=previous",
        ];
        let some = ["/sessions?since", "stats/numbers", "Kolkata"];
        for path in all.iter().filter(|path| shards < 2.0 || some.iter().any(|some| path.contains(some))) {
            // Of each session one event is read in any case.
            let sessions = if path.contains("limit=200") { 200.0 } else { 0.0 };
            asking.ask(Stored::Full, path, UNITS + shards + sessions).await;
        }
        let steps = json!([{"where": {"attr.n": 7}}, {"where": {"attr.n": 7}}, {"name": "a1"}]);
        let funnel = json!({"steps": steps, "since": "2026-11-01", "breakdown": "attr.n"});
        asking.post("/apps/APP/funnels", &funnel, UNITS + shards).await;
        let people = json!({"steps": steps, "since": "2026-11-01", "step": 1});
        asking.post("/apps/APP/funnels/people", &people, UNITS + shards).await;
        // Each shard's first event, and some of them once more.
        let largest = 2.0 * 37.0;
        let listed = asking.ask(Stored::Lists, "/apps/APP/events?limit=100", UNITS + largest * shards).await;
        assert!(!listed["items"].as_array().unwrap().is_empty(), "a page leads further");
        if shards < 2.0 {
            asking.ask(Stored::Lists, "/seismo/api/events/APP", UNITS + largest).await;
            asking.ask(Stored::Lists, "/apps/APP/export", UNITS + largest).await;
            asking.ask(Stored::Lists, "/apps/APP/stats/groups?attr=a", UNITS + largest).await;
        }
        if shards < 2.0 {
            // Most days do not fit into the budget. Those that do are counted exactly.
            let totals = asking.ask(Stored::Days, "/apps/APP/stats/totals?level=INFO", UNITS).await;
            assert_eq!(totals["complete"], false, "{}", totals["complete"]);
            let since = at(totals["covered_since"].as_str().expect("a day"));
            let days = (at("2026-11-22T00:00:00Z") - since) / DAY;
            assert!((50..130).contains(&days), "{days} days");
            let items = totals["items"].as_array().unwrap();
            assert_eq!(items.len(), NAMES);
            assert!(items.iter().all(|item| item["count"] == days && item["last_day"] == "2026-11-21"), "{}", items[0]);
            assert_eq!(at(&format!("{}T00:00:00Z", items[0]["first_day"].as_str().unwrap())), since);
        }
        assert!(asking.wrong.is_empty(), "{:#?}", asking.wrong);
    }
    drop(tally);
    too_many_people_to_go_on().await;
}

/// Of people whose state has no room in the store a part is told, and no `next`. It is no test of its own, since one at a time is
/// measured.
async fn too_many_people_to_go_on() {
    let stored = Arc::new(AtomicU8::new(Stored::Full as u8));
    let endless = Arc::clone(&stored);
    let config = Config { read_budget: 6_000.0, ..Config::default() };
    let client = |inner| SharedHttpClient::new(Endless { inner, stored: endless });
    let tally = Tally::over(config, Timeouts::LAPTOP, client).await;
    let app = tally.app("one").await;
    let mut asking = Asking { tally: &tally, app: &app, key: String::new(), stored: &stored, wrong: vec![] };
    let units = 6_000.0 + 256.0;
    let funnel = json!({"steps": [{"where": {"attr.n": 7}}, {"name": "a0"}], "since": "2026-11-01"});
    let funnel = asking.post("/apps/APP/funnels", &funnel, units).await;
    assert!(funnel["steps"][0]["people"].as_u64().unwrap() > 100_000, "{funnel}");
    let retention = asking.ask(Stored::Full, "/apps/APP/stats/retention?since=2026-11-01", units).await;
    let began: u64 = retention["cohorts"].as_array().unwrap().iter().map(|one| one["people"].as_u64().unwrap()).sum();
    assert!(began > 118_000, "{began}");
    for reply in [funnel, retention] {
        assert_eq!((&reply["complete"], &reply["next"]), (&json!(false), &Value::Null), "{reply}");
        assert!(reply["note"].as_str().unwrap().contains("narrow the range"), "{reply}");
        assert!(reply["covered"]["until"].is_string());
    }
    // Fewer people have room, and lead on.
    let few = json!({"steps": [{"where": {"attr.n": 7}}, {"name": "a0"}], "since": "2026-11-01"});
    let client = |inner| SharedHttpClient::new(Endless { inner, stored: Arc::clone(&stored) });
    let tally = Tally::over(Config::default(), Timeouts::LAPTOP, client).await;
    let app = tally.app("one").await;
    let mut small = Asking { tally: &tally, app: &app, key: String::new(), stored: &stored, wrong: vec![] };
    let reply = small.post("/apps/APP/funnels", &few, UNITS).await;
    assert!(reply["next"].is_string() && reply["note"].is_null(), "{reply}");
    asking.wrong.append(&mut small.wrong);
    assert!(asking.wrong.is_empty(), "{:#?}", asking.wrong);
}
