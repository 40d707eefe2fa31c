//! Counting, exactly once.

use aggregate::{StreamEvent, handle};
use http::Method;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::app::{AppId, AppSlug};
use tally_core::time::HOUR;

use crate::harness::{NOW, Tally, TestApp, at, column};

/// A record of the stream as Lambda sends it, of an event of an app.
fn record(app: &str, sequence: u64, kind: &str, old: Option<Value>, new: Option<Value>) -> Value {
    let mut stream = json!({
        "ApproximateCreationDateTime": at(NOW).seconds(),
        "SequenceNumber": (10u128.pow(20) + u128::from(sequence)).to_string(),
        "Keys": {"pk": {"S": format!("{app}#0")}, "sk": {"S": "01M7YS7E80000000000000000A"}},
        "StreamViewType": "NEW_AND_OLD_IMAGES", "SizeBytes": 100,
    });
    for (field, image) in [("NewImage", new), ("OldImage", old)] {
        if let Some(image) = image {
            stream[field] = image;
        }
    }
    json!({"eventID": sequence.to_string(), "eventName": kind, "eventSource": "aws:dynamodb", "eventVersion": "1.1",
        "awsRegion": "eu-central-1", "dynamodb": stream})
}

/// The image of an event at 08:00 of the day of the tests.
fn image(app: &str, name: &str, level: &str, count: u64) -> Value {
    json!({
        "pk": {"S": format!("{app}#0")}, "sk": {"S": "01M7YHX3000000000000000000"}, "name": {"S": name}, "slug": {"S": name},
        "level": {"S": level}, "count": {"N": count.to_string()}, "timestamp": {"N": "1795248000000000"},
        "received_at": {"N": "1795248000000000"},
    })
}

fn insert(app: &str, sequence: u64, name: &str) -> Value {
    record(app, sequence, "INSERT", None, Some(image(app, name, "INFO", 1)))
}

fn batch(records: &[Value]) -> StreamEvent {
    shard_batch("shardId-00000001795248000000-aaaaaaaa", records)
}

fn shard_batch(shard: &str, records: &[Value]) -> StreamEvent {
    let event = json!({"Records": records, "shardId": shard, "window": {}, "state": {}});
    serde_json::from_value(event).expect("an event of Lambda")
}

async fn count(tally: &Tally, records: &[Value]) {
    let reply = handle(&tally.context, batch(records)).await.expect("counted");
    assert_eq!(serde_json::to_value(&reply).unwrap(), json!({"state": {}}));
}

async fn by_name(tally: &Tally, app: &TestApp) -> Value {
    let reply = tally.ask(app, "/stats/by-name?since=2026-11-01&until=2026-12-01").await;
    let names = reply["items"].as_array().unwrap().iter();
    names
        .map(|item| (item["name"].as_str().unwrap().to_owned(), item["count"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test]
async fn a_replayed_batch_counts_once_whatever_its_boundaries() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let records: Vec<_> =
        (1..=10).zip(["b", "c", "a"].into_iter().cycle()).map(|(n, name)| insert("shop", n, name)).collect();
    let whole = json!({"a": 3, "b": 4, "c": 3});
    count(&tally, &records[..4]).await;
    for boundaries in [0..10, 2..7, 0..1, 3..10, 9..10, 0..10, 5..6] {
        count(&tally, &records[boundaries]).await;
    }
    assert_eq!(by_name(&tally, &app).await, whole);
}

#[tokio::test]
async fn two_stream_shards_keep_checkpoints_of_their_own() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for _ in 0..2 {
        handle(&tally.context, shard_batch("shardId-1", &[insert("shop", 9, "a"), insert("shop", 10, "a")]))
            .await
            .unwrap();
        handle(&tally.context, shard_batch("shardId-2", &[insert("shop", 3, "a"), insert("shop", 4, "b")]))
            .await
            .unwrap();
    }
    assert_eq!(by_name(&tally, &app).await, json!({"a": 3, "b": 1}));
}

/// A record that was created so many hours after the tests' day begins.
fn created_after(hours: u32, mut record: Value) -> Value {
    record["dynamodb"]["ApproximateCreationDateTime"] = (at(NOW) + i64::from(hours) * HOUR).seconds().into();
    record
}

#[tokio::test]
async fn an_item_that_is_counted_for_months_keeps_recent_checkpoints_only() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    // A stream shard lives for about four hours.
    let records: Vec<_> = (0..200).map(|n| created_after(n * 4, insert("shop", n.into(), "a"))).collect();
    for (n, record) in records.iter().enumerate() {
        handle(&tally.context, shard_batch(&format!("shardId-{n}"), std::slice::from_ref(record))).await.unwrap();
    }
    // What may still be delivered again counts nothing.
    for (n, record) in records.iter().enumerate().skip(200 - 12) {
        handle(&tally.context, shard_batch(&format!("shardId-{n}"), std::slice::from_ref(record))).await.unwrap();
    }
    assert_eq!(by_name(&tally, &app).await, json!({"a": 200}));
    for item in tally.items(&app).await {
        // 72 hours, the newest, and the one that its update removes next.
        let checkpoints = item.item.checkpoints.len();
        assert!((13..=20).contains(&checkpoints), "{}: {checkpoints}", tally_store::counter_keys(&item.key));
        assert!(!item.item.full);
    }
    assert_eq!(tally.stored_app(&app).await.layout.last().pages, 1, "checkpoints are no reason for pages");
}

#[tokio::test]
async fn checkpoints_alone_make_no_item_costly() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for n in 0..150 {
        let shard = format!("shardId-{n:0>40}");
        handle(&tally.context, shard_batch(&shard, &[insert("shop", n, "a")])).await.unwrap();
    }
    let items = tally.items(&app).await;
    assert!(items.iter().all(|item| item.item.checkpoints.len() == 150 && !item.item.full));
    assert_eq!(tally.stored_app(&app).await.layout.last().pages, 1);
}

#[tokio::test]
async fn an_event_that_changed_moves_between_cells() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let change = |sequence, old, new| record("shop", sequence, "MODIFY", Some(old), Some(new));
    let (one, five) = (image("shop", "a", "INFO", 1), image("shop", "a", "INFO", 5));
    let other = image("shop", "b", "ERROR", 2);
    let records = [
        insert("shop", 1, "a"),
        change(2, one.clone(), five.clone()),
        change(3, five.clone(), five.clone()),
        change(4, five, other.clone()),
    ];
    count(&tally, &records[..2]).await;
    assert_eq!(by_name(&tally, &app).await, json!({"a": 5}));
    count(&tally, &records).await;
    assert_eq!(by_name(&tally, &app).await, json!({"b": 2}));
    count(&tally, &[record("shop", 5, "REMOVE", Some(other), None)]).await;
    assert_eq!(by_name(&tally, &app).await, json!({}));
    count(&tally, &records).await;
    assert_eq!(by_name(&tally, &app).await, json!({}), "also long after");
}

#[tokio::test]
async fn changes_that_cancel_out_still_leave_their_checkpoint() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let records = [insert("shop", 1, "a"), record("shop", 2, "REMOVE", Some(image("shop", "a", "INFO", 1)), None)];
    count(&tally, &records).await;
    count(&tally, &records[..1]).await;
    assert_eq!(by_name(&tally, &app).await, json!({}), "a stray replay of one of them");
}

#[tokio::test]
async fn expired_events_stay_counted() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut expired = record("shop", 2, "REMOVE", Some(image("shop", "a", "INFO", 1)), None);
    expired["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    count(&tally, &[insert("shop", 1, "a"), expired]).await;
    assert_eq!(by_name(&tally, &app).await, json!({"a": 1}));
}

#[tokio::test]
async fn a_batch_of_more_cells_than_one_update_holds_is_counted_in_parts() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let records: Vec<_> = (1..=700).map(|n| insert("shop", n, &format!("name {n}"))).collect();
    let before = tally.usage();
    count(&tally, &records).await;
    assert_eq!(
        (tally.usage() - before).write_requests,
        3 * 3 + 1,
        "three parts in each granularity, and more pages to come"
    );
    count(&tally, &records).await;
    count(&tally, &records[100..400]).await;
    let names = by_name(&tally, &app).await;
    assert_eq!(names.as_object().unwrap().len(), 700);
    assert!(names.as_object().unwrap().values().all(|count| *count == 1));
}

#[tokio::test]
async fn past_64_kb_an_item_is_full_and_the_rest_is_counted_as_other() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let name = |n: u64| format!("{n:04}{}", "x".repeat(240));
    let named = |n: u64| {
        record(
            "shop",
            n,
            "INSERT",
            None,
            Some(image("shop", &name(n), if n.is_multiple_of(2) { "INFO" } else { "WARN" }, 1)),
        )
    };
    let records: Vec<_> = (1..=400).map(named).collect();
    for part in records.chunks(50) {
        count(&tally, part).await;
    }
    let names = by_name(&tally, &app).await;
    let other = names["(other)"].as_i64().unwrap();
    assert!((100..150).contains(&other), "{other} of 400 found no room");
    assert_eq!(i64::try_from(names.as_object().unwrap().len()).unwrap(), 400 - other + 1);
    let levels = tally.ask(&app, "/stats/by-level?since=2026-11-01&until=2026-12-01").await;
    assert_eq!(column(&levels["items"], "count"), [200, 200], "levels stay exact");
    let filtered = tally.ask(&app, &format!("/reports/month?date=today&name={}", name(400))).await;
    assert_eq!((&filtered["total"], &filtered["complete"]), (&json!(0), &json!(false)));

    // What is in `(other)` is taken out of it again, what has a cell from its cell.
    let remove = |sequence, n: u64| {
        let level = if n.is_multiple_of(2) { "INFO" } else { "WARN" };
        record("shop", sequence, "REMOVE", Some(image("shop", &name(n), level, 1)), None)
    };
    let erased = [remove(401, 400), remove(402, 1)];
    count(&tally, &erased).await;
    for part in records.chunks(70) {
        count(&tally, part).await;
    }
    count(&tally, &erased).await;
    let names = by_name(&tally, &app).await;
    assert_eq!(names["(other)"], other - 1);
    assert_eq!(names.get(name(1)), None);
}

#[tokio::test]
async fn a_costly_item_gets_more_pages_from_a_future_midnight() {
    // There are records, and no events.
    let tally = Tally::of_counters().await;
    let app = tally.app("shop").await;
    let records: Vec<_> = (1..=100).map(|n| insert("shop", n, &format!("{n:04}{}", "y".repeat(100)))).collect();
    count(&tally, &records).await;
    let layout = tally.stored_app(&app).await.layout;
    assert_eq!(layout.entries().len(), 2);
    assert_eq!((layout.last().pages, layout.last().from), (2, at("2026-11-23T00:00:00Z")));
    count(&tally, &[insert("shop", 101, "again")]).await;
    assert_eq!(tally.stored_app(&app).await.layout.entries().len(), 2, "one pending entry at a time");

    let late = "01M85MG2800000000000000000";
    let mut paged: Vec<_> = (102..=110).map(|n| insert("shop", n, &format!("late {n}"))).collect();
    for record in &mut paged {
        record["dynamodb"]["NewImage"]["sk"] = json!({"S": late});
    }
    tally.clock.set(at("2026-11-24T03:00:00Z"));
    count(&tally, &paged).await;
    assert_eq!(tally.ask(&app, "/reports/day?date=2026-11-24").await["total"], 9, "of both pages");
}

#[tokio::test]
async fn messages_are_counted_as_well_as_cells() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let with_message = |n: u64, text: &str| {
        let mut record = insert("shop", n, "log");
        record["dynamodb"]["NewImage"]["message"] = json!({"S": text});
        record
    };
    let records = [with_message(1, "a"), with_message(2, "b"), with_message(3, "a"), insert("shop", 4, "plain")];
    for _ in 0..2 {
        count(&tally, &records).await;
    }
    let top = tally.ask(&app, "/stats/top-messages?since=2026-11-01&until=2026-12-01").await;
    assert_eq!(column(&top["items"], "count"), [2, 1]);
    assert_eq!(column(&top["items"], "message"), ["(expired)", "(expired)"], "their events are not there");
}

#[tokio::test]
async fn an_unreadable_record_becomes_a_dead_letter_and_blocks_nothing() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut nameless = insert("shop", 2, "a");
    nameless["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("name");
    let mut headless = insert("shop", 3, "a");
    headless["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    let records = [
        json!({"eventName": "INSERT"}),
        insert("shop", 1, "a"),
        nameless,
        headless,
        insert("shop", 4, "a"),
        insert("gone", 5, "a"),
    ];
    for _ in 0..2 {
        count(&tally, &records).await;
    }
    assert_eq!(by_name(&tally, &app).await, json!({"a": 2}));
    let token = tally.token(Role::Admin).await;
    let aside = tally.call(Method::GET, "/apps/shop/dead-letters", ("x-access-token", &token), "").await.json;
    let mut errors: Vec<_> = column(&aside["items"], "error").into_iter().map(|e| e.as_str().unwrap()).collect();
    errors.sort_unstable();
    assert!(aside["items"][0]["keys"].as_str().unwrap().contains("shop#0"), "{aside}");
    assert_eq!(aside["next"], json!(null));
    assert_eq!(errors.len(), 2, "a replay adds none: {errors:?}");
    assert!(errors[0].contains("no new image") && errors[1].contains("name"), "{errors:?}");
    assert_eq!(tally.context.store.list_dead_letters(None, None).await.unwrap().0.len(), 1);
}

#[tokio::test]
async fn an_event_without_a_stream_shard_is_an_error() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let event: StreamEvent = serde_json::from_value(json!({"Records": [insert("shop", 1, "a")]})).unwrap();
    let error = handle(&tally.context, event).await.expect_err("loudly");
    assert!(error.to_string().contains("TumblingWindow"));
    let last: StreamEvent = serde_json::from_value(json!({"isFinalInvokeForWindow": true, "state": {}})).unwrap();
    assert!(handle(&tally.context, last).await.is_ok(), "the last call of a window may have no records");
}

#[tokio::test]
async fn the_stream_of_real_writes_is_counted() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "a", "id": "x", "timestamp": "2026-11-21T08:00:00Z", "message": "m"})).await;
    tally.accept(&app, &json!({"name": "b", "id": "x", "timestamp": "2026-11-21T08:00:00Z", "count": 4})).await;
    tally.accept(&app, &json!({"name": "a", "level": "INFO", "timestamp": "2026-11-20T08:00:00Z"})).await;
    assert_eq!(tally.drain().await, 3);
    assert_eq!(by_name(&tally, &app).await, json!({"a": 1, "b": 4}));
    assert_eq!(tally.drain().await, 0);
}

#[tokio::test]
async fn a_dead_batch_makes_replies_incomplete_until_its_days_are_recounted() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = |day: &str, id: &str| json!({"name": "a", "id": id, "timestamp": format!("{day}T09:00:00Z")});
    let mut records = Vec::new();
    for event in [event("2026-11-19", "x"), event("2026-11-20", "y")] {
        let id = tally.accept(&app, &event).await["id"].clone();
        let keys = json!({"pk": {"S": "shop#0"}, "sk": {"S": id}});
        records.push(json!({"eventName": "INSERT", "dynamodb": {"Keys": keys}}));
    }
    let asked = async |path: &str| tally.ask(&app, path).await["complete"].clone();
    let touching = ["/stats/totals", "/reports/day?date=2026-11-19", "/reports/day?date=2026-11-20"];
    for path in touching {
        assert_eq!(asked(path).await, json!(null), "{path}");
    }
    // Lambda gives up the second event alone.
    let record = json!({"payload": json!({"Records": records[1..], "shardId": "s"}).to_string()});
    let batch = aggregate::DeadBatch::read(&serde_json::to_vec(&record).unwrap()).unwrap();
    batch.mark(&tally.context).await.unwrap();
    for path in touching {
        let expected = if path.ends_with("19") { json!(null) } else { json!(false) };
        assert_eq!(asked(path).await, expected, "{path}");
    }
    assert_eq!(asked("/stats/top-messages?since=2026-11-20&until=2026-11-21").await, json!(false));
    assert_eq!(asked("/stats/top-messages?since=2026-11-19&until=2026-11-20").await, json!(true));
    // A list that counters would plan finds what they lack.
    let list = tally.ask(&app, "/events?name=a&since=2026-11-19&until=2026-11-21").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
    let recount = async |since: &str, until: &str| {
        let body = json!({"since": since, "until": until});
        let reply = tally.counting(tally.admin(Method::POST, "/apps/shop/recount", &body)).await;
        assert_eq!((reply.status.as_u16(), &reply.json["complete"]), (200, &json!(true)), "{}", reply.json);
    };
    recount("2026-11-19", "2026-11-20").await;
    assert_eq!(asked("/reports/day?date=2026-11-20").await, json!(false), "another day was recounted");
    recount("2026-11-20", "2026-11-21").await;
    for path in touching {
        assert_eq!(asked(path).await, json!(null), "{path}");
    }
}

#[tokio::test]
async fn a_recount_keeps_marks_made_since_it_began() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let (store, app) = (&tally.context.store, AppId::new(&AppSlug::of_name("shop").unwrap(), 1));
    let day = at("2026-11-20T00:00:00Z");
    store.mark_uncounted(&app, &[day + HOUR].into(), at(NOW)).await.unwrap();
    let seen = store.uncounted_days(&app, true).await.unwrap();
    assert_eq!(seen.iter().map(|marked| marked.day).collect::<Vec<_>>(), [day]);
    store.mark_uncounted(&app, &[day].into(), at(NOW) + HOUR).await.unwrap();
    store.clear_uncounted(&app, seen[0]).await.unwrap();
    let again = store.uncounted_days(&app, true).await.unwrap();
    assert_eq!(again.len(), 1);
    store.clear_uncounted(&app, again[0]).await.unwrap();
    assert!(store.uncounted_days(&app, true).await.unwrap().is_empty());
}
