//! A store that is overloaded or does not respond. The tests use the timeouts of the cloud and a clock that advances by
//! itself when all tasks wait, so response times are exact to the millisecond and take no real time. They run only on
//! the embedded database: the responses of a server take real time, which such a clock does not measure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::TimeDelta;
use tally_store::Timeouts;
use tokio::time::Instant;

use crate::faults::events;
use crate::faulty::Fault;
use crate::harness::{NOW, Reply, Tally, TestApp, assert_problem, at, column};

/// The time limit of a response.
const SOON: Duration = Duration::from_secs(2);
/// Longer than any wait.
const NEVER: Duration = Duration::from_hours(1);
/// The operations that store events.
const PUTS: [&str; 2] = ["PutItem", "BatchWriteItem"];

/// A Tally whose store can be made to fail and to recover.
struct Overloaded {
    tally: Tally,
    app: TestApp,
    failing: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Overloaded {
    async fn start(decide: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static) -> Self {
        let failing = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(AtomicUsize::new(0));
        let (fails, counter) = (Arc::clone(&failing), Arc::clone(&calls));
        let tally = Tally::failing_with(Timeouts::CLOUD, move |operation, body| {
            counter.fetch_add(1, Ordering::SeqCst);
            if fails.load(Ordering::SeqCst) { decide(operation, body) } else { Fault::None }
        })
        .await;
        let app = tally.app("shop").await;
        let overloaded = Self { tally, app, failing, calls };
        overloaded.fail(true);
        overloaded
    }

    fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
        self.calls.store(0, Ordering::SeqCst);
    }

    /// Sends events and asserts that the answer comes soon, with its time to come back.
    async fn send(&self, body: &Value) -> Reply {
        let began = Instant::now();
        let reply = self.tally.ingest(&self.app, body).await;
        let took = began.elapsed();
        assert!(took < SOON, "{took:?}");
        assert_eq!(reply.headers["retry-after"], "1", "{}", reply.json);
        reply
    }

    /// Asserts that the store has those of the `sent` events that the reply reports as stored.
    async fn assert_kept(&self, reply: &Reply, sent: usize) {
        self.fail(false);
        let stored = self.tally.list(&self.app, "consistent=true&limit=1000&order=asc").await;
        let mut stored: Vec<_> = stored.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        let ids = reply.json["ids"].as_array().unwrap();
        assert_eq!(ids.len(), sent);
        let mut told: Vec<_> = ids.iter().filter_map(|id| Some(id.as_str()?.to_owned())).collect();
        assert_eq!(reply.json["accepted"], told.len());
        stored.sort_unstable();
        told.sort_unstable();
        assert_eq!(stored, told);
        let rejected = &reply.json["rejected"];
        let null = (0..sent).filter(|i| ids[*i].is_null()).collect::<Vec<_>>();
        assert_eq!(column(rejected, "index"), null);
        assert!(column(rejected, "retry").into_iter().all(|retry| *retry == true), "{rejected}");
    }
}

/// A batch write that leaves the events with some names unprocessed.
fn leaving(body: &Value, leave: impl Fn(&str) -> bool) -> Fault {
    let (_, puts) = body["RequestItems"].as_object().unwrap().iter().next().unwrap();
    let taken = puts.as_array().unwrap().iter().enumerate();
    let taken = taken.filter(|(_, put)| !leave(put["PutRequest"]["Item"]["name"]["S"].as_str().unwrap()));
    Fault::Partial(taken.fold(0, |bits, (i, _)| bits | 1 << i))
}

fn number(name: &str) -> usize {
    name.trim_start_matches('n').parse().unwrap()
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn a_store_that_throttles_everything_is_reported_within_two_seconds() {
    for throttled in [&["GetItem", "PutItem", "BatchWriteItem"][..], &PUTS] {
        let overloaded =
            Overloaded::start(
                |operation, _| {
                    if throttled.contains(&operation) { Fault::throttled() } else { Fault::None }
                },
            )
            .await;
        for body in [json!({"name": "a"}), events(25), events(1_000)] {
            assert_problem(&overloaded.send(&body).await, 503, &[]);
        }
        overloaded.fail(false);
        assert_eq!(overloaded.tally.list(&overloaded.app, "consistent=true").await, Vec::<Value>::new());
    }
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn a_store_that_never_answers_is_reported_within_two_seconds() {
    for silent in [&["GetItem", "PutItem", "BatchWriteItem"][..], &PUTS] {
        let overloaded = Overloaded::start(
            |operation, _| {
                if silent.contains(&operation) { Fault::Slow(NEVER) } else { Fault::None }
            },
        )
        .await;
        for body in [json!({"name": "a"}), events(25), events(1_000)] {
            assert_problem(&overloaded.send(&body).await, 503, &[]);
        }
        let began = Instant::now();
        let count = format!("/apps/{}/count/login", overloaded.app.slug);
        let key = ("x-ingest-key", &*overloaded.app.ingest_key);
        let reply = overloaded.tally.call(Method::POST, &count, key, Body::empty()).await;
        assert_problem(&reply, 503, &[]);
        assert!(began.elapsed() < SOON);
    }
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn a_laptop_waits_for_a_busy_disk() {
    let tally = Tally::failing(|operation, _| match operation {
        "PutItem" | "BatchWriteItem" => Fault::Slow(Duration::from_secs(13)),
        _ => Fault::None,
    })
    .await;
    let app = tally.app("shop").await;
    let began = Instant::now();
    for body in [json!({"name": "a"}), events(25)] {
        let reply = tally.ingest(&app, &body).await;
        assert!(reply.status.is_success(), "{}", reply.json);
    }
    assert!(began.elapsed() < Duration::from_secs(27), "a request was sent again");
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn reads_that_stay_unprocessed_fail() {
    let overloaded = Overloaded::start(|operation, body| match operation {
        "BatchGetItem" => Fault::Instead(200, json!({"Responses": {}, "UnprocessedKeys": body["RequestItems"]})),
        _ => Fault::None,
    })
    .await;
    let token = overloaded.tally.token(Role::Admin).await;
    let began = Instant::now();
    let reply = overloaded.tally.call(Method::GET, "/apps", ("x-access-token", &token), Body::empty()).await;
    assert_problem(&reply, 503, &[]);
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn slow_lookups_leave_less_time_for_writes() {
    let overloaded = Overloaded::start(|operation, _| match operation {
        "GetItem" => Fault::Slow(Duration::from_millis(800)),
        _ => Fault::Slow(NEVER),
    })
    .await;
    assert_problem(&overloaded.send(&events(30)).await, 503, &[]);
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn permanently_unprocessed_events_are_rejected_and_the_rest_is_kept() {
    let overloaded = Overloaded::start(|operation, body| match operation {
        "BatchWriteItem" => leaving(body, |name| number(name).is_multiple_of(3)),
        _ => Fault::None,
    })
    .await;
    let reply = overloaded.send(&events(1_000)).await;
    assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (207, &json!(666)));
    overloaded.assert_kept(&reply, 1_000).await;
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn a_slow_store_keeps_exactly_what_the_reply_says() {
    // 40 batches, 16 at once, each in 700 ms: there is time for two rounds of three.
    let overloaded = Overloaded::start(|operation, _| match operation {
        "BatchWriteItem" => Fault::Slow(Duration::from_millis(700)),
        _ => Fault::None,
    })
    .await;
    let reply = overloaded.send(&events(1_000)).await;
    assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (207, &json!(800)));
    overloaded.assert_kept(&reply, 1_000).await;
    let sent_again = overloaded.tally.accept(&overloaded.app, &events(1_000)).await;
    assert_eq!(sent_again["accepted"], 1_000);
    assert_eq!(overloaded.tally.list(&overloaded.app, "consistent=true&limit=1000").await.len(), 1_000);
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn a_burst_fails_within_two_seconds_if_the_store_never_answers() {
    let overloaded =
        Overloaded::start(|operation, _| if PUTS.contains(&operation) { Fault::Slow(NEVER) } else { Fault::None })
            .await;
    let body = events(100);
    let burst = join_all((0..100).map(|_| overloaded.send(&body)));
    let began = Instant::now();
    for reply in burst.await {
        assert_problem(&reply, 503, &[]);
    }
    assert!(began.elapsed() < SOON);
    // Nothing of it goes on.
    overloaded.fail(false);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(overloaded.calls.load(Ordering::SeqCst), 0);
    assert_eq!(overloaded.tally.accept(&overloaded.app, &body).await["accepted"], 100);
    assert_eq!(overloaded.tally.list(&overloaded.app, "consistent=true&limit=1000").await.len(), 100);
}

#[tokio::test(start_paused = true)]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not wait for a server")]
async fn retries_are_limited_while_the_store_throttles() {
    let overloaded =
        Overloaded::start(|operation, _| if PUTS.contains(&operation) { Fault::throttled() } else { Fault::None })
            .await;
    let event = json!({"name": "a"});
    // The app is read here, once.
    overloaded.send(&event).await;
    overloaded.fail(true);
    for _ in 0..5 {
        join_all((0..100).map(|_| overloaded.send(&event))).await;
    }
    let tries = overloaded.calls.load(Ordering::SeqCst);
    assert!((500..=700).contains(&tries), "{tries} tries of 500 puts");
    // A store that has come back is used at once.
    overloaded.fail(false);
    overloaded.tally.accept(&overloaded.app, &json!({"name": "a"})).await;
    overloaded.tally.clock.set(at(NOW) + TimeDelta::minutes(2));
    overloaded.tally.accept(&overloaded.app, &events(30)).await;
}
