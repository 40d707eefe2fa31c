//! Compares counters with stored events and repairs them while events keep arriving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tally_core::app::AppSlug;
use tally_core::app::partition::Partition;
use tally_core::app::role::Role;
use tally_core::counter::key::CounterKind;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, HOUR, MINUTE};
use tally_store::VersionedItem;

use crate::database::Database;
use crate::faulty::Fault;
use crate::harness::{NOW, Reply, Tally, TestApp, assert_problem, at, column};

impl Tally {
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &Value) -> Reply {
        let token = self.token(Role::Admin).await;
        self.call(method, path, ("x-access-token", &token), body.to_string()).await
    }

    /// Audits or recounts all days, call by call. Returns all differences, and whether the last call left nothing.
    pub(crate) async fn recounted(&self, app: &TestApp, what: &str) -> (Vec<Value>, bool) {
        let path = format!("/apps/{}/{what}", app.slug);
        let (mut differences, mut body) = (vec![], json!({}));
        loop {
            let reply = self.counting(self.admin(Method::POST, &path, &body)).await;
            assert_eq!(reply.status, 200, "{}", reply.json);
            differences.extend(reply.json["differences"].as_array().unwrap().iter().cloned());
            if reply.json["next"].is_null() {
                return (differences, reply.json["complete"] == true);
            }
            body = json!({"next": reply.json["next"]});
        }
    }

    /// All counter items of an app.
    pub(crate) async fn items(&self, app: &TestApp) -> Vec<VersionedItem> {
        let layout = self.stored_app(app).await;
        let mut items = vec![];
        for shard in 0..layout.layout.last().shards {
            let partition = Partition { app: layout.id.clone(), shard };
            for (kind, granularity) in
                CounterKind::ALL.into_iter().flat_map(|kind| Granularity::ALL.map(|granularity| (kind, granularity)))
            {
                let bucket = |at| Bucket::of(granularity, at);
                let (first, last) = (bucket(at(NOW) - 40 * DAY), bucket(at(NOW) + 2 * DAY));
                items.extend(self.context.store.versioned_items(&partition, kind, first, last).await.unwrap());
            }
        }
        items
    }

    /// Adds a number to a count of an item, which normally only a fault does.
    async fn damage(&self, item: &VersionedItem, attribute: &str, amount: i64) {
        let amounts = [(attribute.to_owned(), amount)];
        self.context.store.correct(&item.key, item.version, "damage", &amounts).await.unwrap();
    }

    async fn total(&self, app: &TestApp) -> Value {
        self.ask(app, "/reports/period?from=2026-11-01&to=2026-11-30").await["total"].clone()
    }
}

/// Events over several days, names, levels and messages. Some represent several events.
fn events(from: usize, to: usize) -> Value {
    let events = (from..to).map(|n| {
        let ago = i64::try_from(n).unwrap() * 37 * MINUTE + HOUR;
        let level = ["INFO", "ERROR", "WARN"][n % 3];
        json!({"name": format!("n{}", n % 4), "id": format!("e{n}"), "timestamp": (at(NOW) - ago).to_string(), "level": level,
            "message": format!("m{}", n % 2), "count": 1 + n % 2})
    });
    events.collect()
}

fn occurrences(events: &Value) -> u64 {
    events.as_array().unwrap().iter().map(|event| event["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn correct_counters_show_no_difference() {
    let mut tally = Tally::start().await;
    let app = tally.app_with(admin::NewApp { name: "shop".into(), shards: Some(3), ..Default::default() }).await;
    tally.accept(&app, &events(0, 150)).await;
    tally.drain().await;
    let path = "/apps/shop/audit";
    // One call, or several on a busy machine.
    let (mut days, mut counted, mut stored, mut body) = (0, 0, 0, json!({}));
    loop {
        let reply = tally.counting(tally.admin(Method::POST, path, &body)).await.json;
        assert_eq!(reply["differences"], json!([]));
        days += reply["days"].as_u64().unwrap();
        counted += reply["counted"].as_u64().unwrap();
        stored += reply["stored"].as_u64().unwrap();
        if reply["next"].is_null() {
            assert_eq!(reply["complete"], true);
            break;
        }
        body = json!({"next": reply["next"]});
    }
    assert!(days >= 5, "{days} days");
    let all = occurrences(&events(0, 150));
    assert_eq!((counted, stored), (all, all));
    let some = json!({"since": "2026-11-20", "until": "2026-11-21"});
    let reply = tally.counting(tally.admin(Method::POST, path, &some)).await.json;
    assert!(reply["days"].as_u64().unwrap() <= 3, "a day in three shards: {reply}");
    let of_day = tally.ask(&app, "/reports/day?date=2026-11-20").await["total"].clone();
    assert_eq!((&reply["counted"], &reply["stored"]), (&of_day, &of_day));
    assert_eq!(tally.list(&app, "limit=200").await.len(), 150, "barriers are no events");
    assert_eq!(tally.list(&app, "limit=7&order=asc").await.len(), 150);
}

#[tokio::test]
async fn damaged_counters_are_reported_and_repaired() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = events(0, 100);
    tally.accept(&app, &events).await;
    tally.drain().await;
    let before = tally.items(&app).await;
    let day = before.iter().find(|item| item.key.bucket.granularity() == Granularity::Day).unwrap();
    let attribute = day.item.counts.keys().min().unwrap();
    tally.damage(day, attribute, 5).await;
    let totals = tally.counting(tally.admin(Method::POST, "/apps/shop/audit", &json!({}))).await.json;
    let all = occurrences(&events);
    assert_eq!((&totals["counted"], &totals["stored"]), (&json!(all + 5), &json!(all)));
    let (differences, complete) = tally.recounted(&app, "audit").await;
    let [difference] = &*differences else { panic!("{differences:?}") };
    assert!(complete);
    let stored = day.item.counts[attribute];
    assert_eq!((&difference["counted"], &difference["stored"]), (&json!(stored + 5), &json!(stored)));
    assert_eq!(difference["granularities"], json!(["day"]));
    assert_eq!(difference["day"], day.key.bucket.start().to_string()[..10]);
    for (n, item) in tally.items(&app).await.iter().enumerate() {
        let attribute = if n % 3 == 0 { "c:I|never sent||" } else { item.item.counts.keys().max().unwrap() };
        tally.damage(item, attribute, -3).await;
    }
    assert_ne!(tally.total(&app).await, occurrences(&events));
    let (differences, complete) = tally.recounted(&app, "recount").await;
    assert!(complete && !differences.is_empty());
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
    assert_eq!(tally.total(&app).await, occurrences(&events));
    for (repaired, before) in tally.items(&app).await.iter().zip(before) {
        for (attribute, count) in &repaired.item.counts {
            assert_eq!(
                *count,
                before.item.counts.get(attribute).copied().unwrap_or(0),
                "{} {attribute}",
                tally_store::counter_keys(&repaired.key)
            );
        }
        assert_eq!(repaired.item.checkpoints, before.item.checkpoints, "checkpoints stay");
    }
}

#[tokio::test]
async fn a_batch_of_the_stream_that_was_lost_is_counted_again() {
    let lost = Arc::new(AtomicBool::new(false));
    let losing = Arc::clone(&lost);
    let mut tally = Tally::failing(move |operation, _| match operation {
        "UpdateItem" if losing.load(Ordering::SeqCst) => Fault::Instead(200, json!({})),
        _ => Fault::None,
    })
    .await;
    let app = tally.app("shop").await;
    tally.accept(&app, &events(0, 40)).await;
    tally.drain().await;
    lost.store(true, Ordering::SeqCst);
    tally.accept(&app, &events(40, 90)).await;
    tally.drain().await;
    lost.store(false, Ordering::SeqCst);
    assert_eq!(tally.total(&app).await, occurrences(&events(0, 40)));
    let (differences, complete) = tally.recounted(&app, "recount").await;
    assert!(complete);
    assert_eq!(differences[0]["granularities"], json!(["day", "hour", "minute"]));
    assert_eq!(tally.total(&app).await, occurrences(&events(0, 90)));
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
}

#[tokio::test]
async fn dead_letters_are_listed_and_a_recount_repairs_their_days() {
    let refusing = Arc::new(AtomicBool::new(true));
    let refuses = Arc::clone(&refusing);
    let mut tally = Tally::failing(move |operation, body| {
        // As DynamoDB refuses an item that has grown past 400 KB.
        let is_day = body["Key"]["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("d#"));
        if operation == "UpdateItem" && is_day && refuses.load(Ordering::SeqCst) {
            return Fault::error(400, "ValidationException");
        }
        Fault::None
    })
    .await;
    let app = tally.app("shop").await;
    tally.accept(&app, &events(0, 50)).await;
    tally.drain().await;
    // So that the events are of whole days.
    tally.clock.set(at(NOW) + 2 * DAY);
    let errors = |events: &Value| {
        let errors = events.as_array().unwrap().iter().filter(|event| event["level"] == "ERROR");
        occurrences(&errors.cloned().collect())
    };
    assert_eq!(tally.total(&app).await, errors(&events(0, 50)), "of the days only the errors' items took their counts");
    let aside = tally.admin(Method::GET, "/apps/shop/dead-letters", &json!(null)).await.json;
    let keys = column(&aside["items"], "keys");
    assert!(!keys.is_empty() && keys.iter().all(|keys| keys.as_str().unwrap().contains("d#")), "{aside}");
    // While the store rejects writes, a recount reports that it is not done, and leaves the rest correct.
    let (_, complete) = tally.recounted(&app, "recount").await;
    assert!(!complete);
    refusing.store(false, Ordering::SeqCst);
    let (differences, complete) = tally.recounted(&app, "recount").await;
    assert!(complete && !differences.is_empty());
    assert_eq!(tally.total(&app).await, occurrences(&events(0, 50)));
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
}

#[tokio::test]
async fn recounts_run_concurrently_with_writes_and_other_recounts() {
    let mut tally = Tally::start().await;
    let app = tally.app_with(admin::NewApp { name: "shop".into(), shards: Some(2), ..Default::default() }).await;
    tally.accept(&app, &events(0, 60)).await;
    tally.drain().await;
    for item in tally.items(&app).await {
        tally.damage(&item, item.item.counts.keys().min().unwrap(), 7).await;
    }
    let concurrent = async |body: Value| {
        let mut body = body;
        for _ in 0..3 {
            let reply = tally.admin(Method::POST, "/apps/shop/recount", &body).await;
            assert_eq!(reply.status, 200, "{}", reply.json);
            body = if reply.json["next"].is_null() { json!({}) } else { json!({"next": reply.json["next"]}) };
        }
    };
    let writes = async {
        for n in 60..120 {
            tally.accept(&app, &events(n, n + 1)).await;
            // Some of them again.
            tally.accept(&app, &events(n / 2, n / 2 + 1)).await;
        }
    };
    let all = async {
        futures::join!(join_all((0..3).map(|_| concurrent(json!({})))), writes);
    };
    tally.counting(all).await;
    tally.drain().await;
    tally.recounted(&app, "recount").await;
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
    assert_eq!(tally.total(&app).await, occurrences(&events(0, 120)));
}

#[tokio::test]
async fn a_recount_waits_for_events_that_are_not_counted_yet() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &events(0, 20)).await;
    tally.drain().await;
    // These have the same minutes and days as before, so checked data changes and is checked again.
    let recounts = async {
        for _ in 0..3 {
            let mut body = json!({});
            loop {
                let reply = tally.admin(Method::POST, "/apps/shop/recount", &body).await;
                assert_eq!(reply.status, 200, "{}", reply.json);
                assert_eq!(reply.json["differences"], json!([]), "nothing was wrong");
                if reply.json["next"].is_null() {
                    break;
                }
                // A server may be too slow for one call.
                assert!(!Database::is_embedded(), "{}", reply.json);
                body = json!({"next": reply.json["next"]});
            }
        }
    };
    let writes = async {
        for n in 0..100 {
            let event = json!({"name": "n0", "level": "INFO", "id": format!("new{n}"), "timestamp": (at(NOW) - HOUR).to_string()});
            tally.accept(&app, &event).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // The stream is late, so much is stored but not counted whenever a recount runs.
    tally.counting_every(Duration::from_millis(200), async { futures::join!(recounts, writes) }).await;
    tally.drain().await;
    assert_eq!(tally.total(&app).await, occurrences(&events(0, 20)) + 100);
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
}

#[tokio::test]
async fn a_shorter_retention_that_begins_within_a_day_spares_its_counts() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let patched = tally.admin(Method::PATCH, "/apps/shop", &json!({"retention_days": 1})).await;
    assert_eq!(patched.status, 200, "{}", patched.json);
    // Takes effect tomorrow at 10:19.
    tally.clock.set(at("2026-11-22T12:00:00Z"));
    let early = json!({"name": "early", "timestamp": "2026-11-22T09:00:00Z"});
    let late = json!({"name": "late", "timestamp": "2026-11-22T11:00:00Z"});
    tally.accept(&app, &json!([early, late])).await;
    tally.drain().await;
    tally.clock.set(at("2026-11-25T12:00:00Z"));
    assert_eq!(tally.list(&app, "since=2026-11-22").await.len(), 1, "the late one is hidden, and will be deleted");
    let (differences, _) = tally.recounted(&app, "audit").await;
    assert_eq!(differences, Vec::<Value>::new(), "such a day is left alone");
    let reply = tally.counting(tally.admin(Method::POST, "/apps/shop/audit", &json!({}))).await;
    assert_eq!(reply.json["days"], 0, "{}", reply.json);
    assert_eq!(tally.recounted(&app, "recount").await, (vec![], true));
    assert_eq!(tally.total(&app).await, 2, "counts outlive events");
    let refused = tally.admin(Method::POST, "/apps/shop/recount", &json!({"since": "2026-11-22"})).await;
    assert_problem(&refused, 409, &[]);
}

#[tokio::test]
async fn a_full_item_is_checked_against_the_rest_of_its_levels() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &events(0, 20)).await;
    tally.drain().await;
    for item in tally.items(&app).await {
        tally.context.store.set_full(&item.key).await.unwrap();
    }
    let new = json!([{"name": "new", "timestamp": "2026-11-21T08:00:00Z", "level": "ERROR"}, {"name": "n1", "timestamp": "2026-11-21T08:00:00Z"}]);
    tally.accept(&app, &new).await;
    tally.drain().await;
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "a clock that jumps does not measure the time of a server")]
async fn a_recount_that_waits_for_the_stream_can_be_continued() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &events(0, 30)).await;
    tally.drain().await;
    let item = tally.items(&app).await.remove(0);
    tally.damage(&item, item.item.counts.keys().min().unwrap(), 1).await;
    // Nothing counts the stream in the meantime. The clock of the runtime jumps to the end of the call.
    tokio::time::pause();
    let reply = tally.admin(Method::POST, "/apps/shop/recount", &json!({})).await.json;
    tokio::time::resume();
    let next = reply["next"].as_str().expect("more to do");
    assert_eq!((&reply["complete"], &reply["differences"]), (&json!(false), &json!([])));
    tally.drain().await;
    let wrong = tally.admin(Method::POST, "/apps/shop/audit", &json!({"next": next})).await;
    assert_problem(&wrong, 400, &["next"]);
    let reply = tally.counting(tally.admin(Method::POST, "/apps/shop/recount", &json!({"next": next}))).await.json;
    assert_eq!((&reply["complete"], reply["differences"].as_array().unwrap().len()), (&json!(true), 1), "{reply}");
    assert_problem(&tally.admin(Method::POST, "/apps/shop/recount", &json!({"next": next})).await, 400, &["next"]);
}

#[tokio::test]
async fn days_whose_events_expire_are_refused() {
    let mut tally = Tally::start().await;
    let new = admin::NewApp { name: "shop".into(), retention_days: Some(3), ..Default::default() };
    let app = tally.app_with(new).await;
    tally.accept(&app, &events(0, 100)).await;
    tally.drain().await;
    let refused = tally.admin(Method::POST, "/apps/shop/recount", &json!({"since": "2026-11-18"})).await;
    assert_problem(&refused, 409, &[]);
    assert!(refused.json["detail"].as_str().unwrap().contains("2026-11-18"), "{}", refused.json);
    let before = tally.total(&app).await;
    tally.clock.set(tally.clock.now() + 2 * DAY);
    // Events of the first days are hidden by now, but their counts remain.
    assert_eq!(tally.recounted(&app, "recount").await, (vec![], true));
    assert_eq!(tally.total(&app).await, before);
}

#[tokio::test]
async fn invalid_options_are_reported() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    for (body, fields) in [
        (json!({"since": "the day before"}), vec!["since"]),
        (json!({"since": "2026-11-21", "until": "2026-11-20"}), vec!["since"]),
        (json!({"next": "x"}), vec!["next"]),
        (json!({"next": "01KAJ2Z8E0000000000000000A"}), vec!["next"]),
        (json!({"days": 3}), vec!["days"]),
    ] {
        assert_problem(&tally.admin(Method::POST, "/apps/shop/audit", &body).await, 400, &fields);
    }
    let slug = AppSlug::of_name("shop").unwrap();
    assert!(tally.context.store.get_app(&slug).await.unwrap().is_some());
}
