//! Deliveries of alerts: at least once each, under one id, for a day; and channels, of which nothing is read back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::time::{HOUR, MINUTE, SECOND, TimeDelta};

use crate::alerts::{Receiver, World};
use crate::faulty::Fault;
use crate::harness::{Tally, at};

#[tokio::test]
async fn what_a_crashed_sender_claimed_is_sent_later_under_the_same_id() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "30m", "condition": {"above": 0}})).await;
    world.errors(1, TimeDelta::ZERO).await;
    world.minute().await;
    // The receiver takes it and never answers; the sender ends meanwhile.
    world.receiver.answers(&[0]);
    world.tally.clock.set(world.now() + MINUTE);
    let got = async {
        while world.receiver.got.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = world.run() => panic!("it waits for an answer"),
        () = got => {}
    }
    let first = world.receiver.take();
    assert_eq!(first.len(), 1);
    // Another one does not send it before the claim ends.
    world.tally.clock.set(world.now() + 30 * SECOND);
    world.run().await;
    assert_eq!(world.receiver.take(), vec![]);
    world.tally.clock.set(world.now() + 31 * SECOND);
    world.run().await;
    let second = world.receiver.take();
    assert_eq!((second.len(), &second[0].0, &second[0].1), (1, &first[0].0, &first[0].1));
    world.minutes(3).await;
    assert_eq!(world.receiver.take(), vec![]);
    let rule = world.read(&id).await;
    assert_eq!(rule["history"][0]["deliveries"][0]["attempts"], 2);
    assert_eq!(rule["history"][0]["deliveries"][0]["status"], "delivered");
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_and_one_that_is_gone_is_not() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "1h", "condition": {"above": 0}})).await;
    world.receiver.answers(&[500, 503]);
    world.errors(1, TimeDelta::ZERO).await;
    world.minutes(7).await;
    assert_eq!(world.receiver.types().len(), 3, "after 1 and 2 minutes more");
    let delivery = world.read(&id).await["history"][0]["deliveries"][0].clone();
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("delivered"), &json!(3)));
    let gone = world.rule(json!({"filter": {"level": "ERROR"}, "window": "1h", "condition": {"above": 0}})).await;
    world.receiver.answers(&[410]);
    world.minutes(10).await;
    assert_eq!(world.receiver.types().len(), 1);
    let delivery = world.read(&gone).await["history"][0]["deliveries"][0].clone();
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("failed"), &json!(1)));
    assert!(delivery["error"].as_str().unwrap().contains("410"), "{delivery}");
}

#[tokio::test]
async fn a_receiver_that_leads_elsewhere_is_not_followed() {
    let mut world = World::new(1).await;
    let elsewhere = Receiver::start().await;
    *world.receiver.elsewhere.lock().unwrap() = elsewhere.url();
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "1h", "condition": {"above": 0}})).await;
    world.receiver.answers(&[302]);
    world.errors(1, TimeDelta::ZERO).await;
    world.minutes(2).await;
    assert_eq!((world.receiver.types().len(), elsewhere.types()), (1, vec![]));
    let delivery = world.read(&id).await["history"][0]["deliveries"][0].clone();
    assert!(delivery["error"].as_str().unwrap().contains("302"), "{delivery}");
}

#[tokio::test]
async fn a_receiver_that_fails_for_a_day_is_given_up() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "7d", "condition": {"above": 0}})).await;
    world.receiver.answers(&[500; 60]);
    world.errors(1, TimeDelta::ZERO).await;
    world.minutes(2).await;
    for _ in 0..60 {
        world.tally.clock.set(world.now() + 30 * MINUTE);
        world.run().await;
        world.count().await;
    }
    let delivery = world.read(&id).await["history"][0]["deliveries"][0].clone();
    assert_eq!((&delivery["status"], &delivery["next_at"]), (&json!("failed"), &Value::Null));
    let attempts = delivery["attempts"].as_u64().unwrap();
    assert!((20..40).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn what_nobody_could_try_for_a_day_is_given_up_unread() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "7d", "condition": {"above": 0}})).await;
    world.receiver.answers(&[500]);
    world.errors(1, TimeDelta::ZERO).await;
    world.minutes(2).await;
    assert_eq!(world.receiver.types(), ["alert.firing"]);
    // Nothing runs for a day.
    world.tally.clock.set(world.now() + 25 * HOUR);
    world.run().await;
    assert_eq!(world.receiver.types(), Vec::<String>::new());
    let delivery = world.read(&id).await["history"][0]["deliveries"][0].clone();
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("failed"), &json!(1)));
    assert!(delivery["error"].as_str().unwrap().contains("500"), "{delivery}");
}

/// A world whose reads of events fail while the flag is set.
async fn world_without_events(fails: &Arc<AtomicBool>) -> World {
    let receiver = Receiver::start().await;
    let fails = Arc::clone(fails);
    let tally = Tally::failing(move |operation, body| {
        let reads_events =
            operation == "Query" && body["TableName"].as_str().is_some_and(|name| name.contains("vents"));
        let fails = reads_events && fails.load(Ordering::Relaxed);
        if fails { Fault::error(400, "ValidationException") } else { Fault::None }
    });
    World::of(tally.await.allowing(&receiver.address), receiver, 1).await
}

#[tokio::test]
async fn an_alert_is_told_without_examples_that_cannot_be_read() {
    let fails = Arc::new(AtomicBool::new(false));
    let mut world = world_without_events(&fails).await;
    world.rule(json!({"filter": {"level": "ERROR"}, "window": "1h", "condition": {"above": 0}})).await;
    world.errors(1, TimeDelta::ZERO).await;
    world.minute().await;
    fails.store(true, Ordering::Relaxed);
    world.minute().await;
    let told = world.receiver.take();
    assert_eq!((told.len(), &told[0].1["type"]), (1, &json!("alert.firing")), "{told:?}");
    assert!(told[0].1["data"]["examples"].as_array().is_none_or(Vec::is_empty), "{told:?}");
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_tried_again_ever_more_seldom() {
    let fails = Arc::new(AtomicBool::new(false));
    let mut world = world_without_events(&fails).await;
    world.tally.clock.set(at("2026-11-26T12:00:15Z"));
    // The messages of a name come from events.
    let id = world.rule(json!({"condition": {"report": "day"}, "filter": {"name": ["failed"]}})).await;
    world.errors(1, TimeDelta::ZERO).await;
    world.count().await;
    fails.store(true, Ordering::Relaxed);
    world.tally.clock.set(at("2026-11-27T07:59:15Z"));
    world.minutes(10).await;
    assert_eq!(world.receiver.types(), Vec::<String>::new());
    let delivery = world.read(&id).await["history"][0]["deliveries"][0].clone();
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("pending"), &json!(4)), "{delivery}");
    assert_eq!(delivery["error"], "what it tells could not be read");
    fails.store(false, Ordering::Relaxed);
    world.minutes(8).await;
    assert_eq!(world.receiver.types(), ["alert.report"]);
}

#[tokio::test]
async fn nothing_of_a_channel_is_read_back_but_where_it_leads() {
    let world = World::new(1).await;
    let hook = "https://hooks.slack.com/services/T000/B000/secret";
    let channels = json!([
        {"type": "webhook", "url": format!("{}?token=hidden", world.receiver.url()), "name": "#ops"},
        {"type": "slack", "url": hook},
        {"type": "email", "to": ["ops@example.com"]},
    ]);
    let fields = json!({"name": "Errors", "window": "5m", "condition": {"above": 20}, "for": "2m", "filter": {"level": ["ERROR"]}, "channels": channels});
    let made = world.call(Method::POST, "", fields).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let secret = made.json["channels"][0]["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(made.json["sentence"], "Tell #ops and Slack and ops@example.com when ERROR > 20 in 5 min, for 2 min");
    assert_eq!(made.json["channels"][1].get("secret"), None);
    let id = made.json["id"].as_str().unwrap();
    let read = world.read(id).await;
    assert_eq!(read["channels"][1]["host"], "hooks.slack.com");
    assert_eq!(read["channels"][2]["to"], json!(["ops@example.com"]));
    assert_eq!(read["channels"][0].get("secret"), None);
    let list = world.call(Method::GET, "", Value::Null).await;
    for text in [read.to_string(), list.json.to_string()] {
        assert!(!text.contains("whsec") && !text.contains("services") && !text.contains("hidden"), "{text}");
    }
    let channel = read["channels"][0]["id"].as_str().unwrap();
    let rotated = world.call(Method::POST, &format!("/{id}/channels/{channel}/secret"), Value::Null).await;
    let new = rotated.json["secret"].as_str().unwrap();
    assert!(new.starts_with("whsec_") && new != secret);
    let none = world
        .call(
            Method::POST,
            &format!("/{id}/channels/{}/secret", read["channels"][1]["id"].as_str().unwrap()),
            Value::Null,
        )
        .await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    // Keeping one by its id keeps its secret; others go.
    world.change(id, json!({"channels": [{"id": channel}]})).await;
    let tested = world.call(Method::POST, &format!("/{id}/test"), Value::Null).await;
    assert_eq!(
        tested.json["items"],
        json!([{"channel": channel, "type": "webhook", "delivered": true, "error": null}])
    );
    assert_eq!(world.receiver.types(), ["alert.test"]);
    world.receiver.answers(&[500]);
    let tested = world.call(Method::POST, &format!("/{id}/test"), Value::Null).await;
    assert_eq!(tested.json["items"][0]["delivered"], false);
    assert!(tested.json["items"][0]["error"].as_str().unwrap().contains("500"), "{}", tested.json);
}
