//! A shop whose visitors have done things at random, and what a list tells of them.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::time::{DAY, Range, TimeDelta, Timestamp};
use tally_service::apps::create::NewApp;
use tally_service::config::Config;

use crate::harness::{Reply, Tally, TestApp, at};

pub(crate) const RANGE: &str = "since=2026-11-18T03:17:00Z&until=2026-11-23T12:00:00Z";

pub(crate) fn range() -> Range {
    Range::new(at("2026-11-18T03:17:00Z"), at("2026-11-23T12:00:00Z")).unwrap()
}

/// An event as a list shows it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) name: String,
    pub(crate) level: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) count: u64,
    pub(crate) data: Value,
}

impl Seen {
    pub(crate) fn of(event: &Value) -> Self {
        let text = |field: &str| event[field].as_str().map(str::to_owned);
        Self {
            id: text("id").unwrap(),
            at: at(event["timestamp"].as_str().unwrap()),
            name: text("name").unwrap(),
            level: text("level"),
            message: text("message"),
            user: text("user_id"),
            session: text("session_id"),
            count: event["count"].as_u64().unwrap(),
            data: event["data"].clone(),
        }
    }

    pub(crate) fn person(&self, by: &str) -> Option<String> {
        let session = || self.session.as_ref().map(|session| format!("session {session}"));
        if by == "session" { session() } else { self.user.as_ref().map(|user| format!("user {user}")).or_else(session) }
    }
}

/// All events of the range, the oldest first.
pub(crate) async fn listed(tally: &Tally, app: &TestApp, query: &str) -> Vec<Seen> {
    tally.list(app, &format!("order=asc&consistent=true&limit=500&{query}")).await.iter().map(Seen::of).collect()
}

/// The smallest value that a share of all do not exceed.
pub(crate) fn quantile<T: Copy + PartialOrd>(values: &[T], percent: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
    sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied()
}

/// An event of a shop: visitors, some of whom sign in, look, fill a cart, pay or fail.
fn random_event(rng: &mut fastrand::Rng, n: usize, around: Timestamp) -> Value {
    let visitor = rng.usize(..25);
    let name = ["view", "view", "cart", "pay", "help"][rng.usize(..5)];
    // Several in the same millisecond.
    let ago = TimeDelta::milliseconds(rng.i64(0..40) * 90_000 * rng.i64(1..40));
    let mut event = json!({
        "id": format!("e{n}"), "name": name, "timestamp": (around - ago).to_string(), "count": 1 + rng.u64(..3),
        "data": {"amount": rng.i64(-20..200), "country": (["np", "us", "fr"][rng.usize(..3)]), "text": "12"},
    });
    if rng.u8(..4) > 0 {
        event["level"] = json!((["INFO", "WARN", "ERROR", "FATAL"][rng.usize(..4)]));
    }
    if !n.is_multiple_of(3) {
        event["message"] = json!((["card declined", "out of stock", "no network", "gone"][n % 4]));
    }
    if rng.u8(..3) > 0 {
        event["user_id"] = json!(format!("u{visitor}"));
    }
    if rng.u8(..6) > 0 {
        event["session_id"] = json!(format!("s{}", visitor * 3 + rng.usize(..3)));
    }
    if rng.u8(..5) == 0 {
        event["data"]["amount"] = json!("99");
    }
    event
}

/// What is tried with several histories.
pub(crate) const SEEDS: [u64; 3] = [20, 21, 22];

/// A shop with several shards, a layout that changed, late events, and erased ones.
pub(crate) async fn shop(config: Config) -> (Tally, TestApp) {
    shop_of(SEEDS[0], config).await
}

/// Counts what was stored, and some of it once more: a stream hands batches over again.
async fn drain(tally: &mut Tally) {
    let batches = tally.peek().await;
    tally.drain().await;
    for batch in batches {
        aggregate::handle(&tally.context, serde_json::from_str(&batch).unwrap()).await.unwrap();
    }
}

/// The same with another history.
pub(crate) async fn shop_of(seed: u64, config: Config) -> (Tally, TestApp) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut tally = Tally::with(config).await;
    let app = tally.app_with(NewApp { name: "shop".to_owned(), shards: Some(2), ..NewApp::default() }).await;
    let changed = tally.admin(Method::PATCH, "/apps/shop", &json!({"shards": 5})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
    let start = tally.clock.now();
    let mut n = 0;
    for day in 0..3 {
        tally.clock.set(start + day * DAY);
        let mut events = Vec::new();
        for _ in 0..180 {
            events.push(random_event(&mut rng, n, tally.clock.now()));
            n += 1;
        }
        tally.accept(&app, &json!(events)).await;
        drain(&mut tally).await;
    }
    let erased = tally.admin(Method::DELETE, "/apps/shop/events?user_id=u3", &json!({})).await;
    assert!(erased.status.is_success(), "{}", erased.json);
    drain(&mut tally).await;
    let late: Vec<_> = (0..20).map(|i| random_event(&mut rng, n + i, tally.clock.now())).collect();
    tally.accept(&app, &json!(late)).await;
    drain(&mut tally).await;
    // Not counted yet, and read from the newest minutes.
    let new = (20..30).map(|i| {
        let mut event = random_event(&mut rng, n + i, tally.clock.now());
        event["timestamp"] = json!(tally.clock.now());
        event
    });
    tally.accept(&app, &new.collect()).await;
    (tally, app)
}

pub(crate) async fn post(tally: &Tally, app: &TestApp, path: &str, body: &Value) -> Reply {
    let path = format!("/apps/{}{path}", app.slug);
    tally.call(Method::POST, &path, ("x-read-key", &app.read_key), body.to_string()).await
}

pub(crate) async fn ask(tally: &Tally, app: &TestApp, path: &str, body: &Value) -> Value {
    let reply = post(tally, app, path, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{body}: {}", reply.json);
    reply.json
}

pub(crate) fn covers_all(reply: &Value) {
    assert_eq!(reply["complete"], json!(true), "{reply}");
    let whole = json!({"since": range().since(), "until": range().until()});
    assert_eq!((&reply["covered"], &reply["since"], &reply["until"]), (&whole, &whole["since"], &whole["until"]));
}

/// The shop of another Tally.
pub(crate) async fn app_like(tally: &Tally) -> TestApp {
    let key = tally.admin(Method::POST, "/apps/shop/keys", &json!({"scopes": ["read"]})).await.json["key"].clone();
    TestApp { slug: "shop".to_owned(), ingest_key: String::new(), read_key: key.as_str().unwrap().to_owned() }
}
