//! Rules that report: each day or week is told once, at its local time, once it is counted.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::alert::rule::RuleId;
use tally_core::app::role::Role;
use tally_core::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use tally_service::config::Config;

use crate::alerts::World;
use crate::harness::{assert_problem, at, column};

/// A world at a time, to the second.
async fn world_at(time: &str, shards: u16) -> World {
    let world = World::starting(at(time), shards).await;
    assert_eq!(world.now(), at(time) + 15 * SECOND);
    world
}

impl World {
    /// Goes to some seconds after a time, and lets two minutes pass, in which heartbeats are counted.
    async fn at(&mut self, time: Timestamp) {
        self.tally.clock.set(time + 15 * SECOND - MINUTE);
        self.minutes(3).await;
    }

    async fn events(&mut self, name: &str, n: usize, fields: Value) {
        let mut event = json!({"name": name});
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let events: Vec<_> = (0..n).map(|_| event.clone()).collect();
        self.tally.accept(&self.app, &Value::Array(events)).await;
        self.count().await;
    }

    /// The periods of the reports that were told since the last call.
    fn reported(&self) -> Vec<(Timestamp, Timestamp)> {
        let told = self.receiver.take();
        let report = |(_, body): &(String, Value)| {
            assert_eq!(body["type"], "alert.report", "{body}");
            let report = &body["data"]["report"];
            (at(report["since"].as_str().unwrap()), at(report["until"].as_str().unwrap()))
        };
        told.iter().map(report).collect()
    }
}

fn berlin() -> Value {
    json!({"report": "day", "at": "08:00", "tz": "Europe/Berlin"})
}

#[tokio::test]
async fn a_report_is_told_once_each_day_at_the_same_local_time() {
    let mut world = world_at("2026-10-23T12:00:00Z", 1).await;
    let id = world.rule(json!({"condition": berlin()})).await;
    let rule = world.read(&id).await;
    assert!(rule["sentence"].as_str().unwrap().ends_with("every day at 08:00 (Europe/Berlin)"), "{rule}");
    assert_eq!((&rule["window"], &rule["condition"]), (&json!("1d"), &berlin()));
    // On 25 October clocks go back by an hour.
    let [first, second, third] = ["2026-10-24T06:00:00Z", "2026-10-25T07:00:00Z", "2026-10-26T07:00:00Z"].map(at);
    for time in [first, second, third] {
        world.tally.clock.set(time - 90 * SECOND);
        world.minute().await;
        assert_eq!(world.reported(), [], "too early");
        world.at(time).await;
        let reported = world.reported();
        assert_eq!(reported.last().map(|period| period.1), Some(time), "{reported:?}");
        world.minutes(5).await;
        assert_eq!(world.reported(), [], "it is told once");
    }
    let rule = world.read(&id).await;
    assert_eq!(rule["state"], "ok");
    let history = &rule["history"];
    assert_eq!(column(history, "since"), ["2026-10-25T07:00:00Z", "2026-10-24T06:00:00Z", "2026-10-23T06:00:00Z"]);
    assert_eq!(history[0]["deliveries"][0]["status"], "delivered");
}

#[tokio::test]
async fn a_report_says_what_happened_and_how_that_changed() {
    let mut world = world_at("2026-11-25T05:00:00Z", 2).await;
    world.rule(json!({"condition": {"report": "day", "at": "08:00"}})).await;
    world.rule(json!({"condition": {"report": "day"}, "filter": {"name": ["checkout"]}})).await;
    // The day before: until 8:00 of the 26th.
    world.tally.clock.set(at("2026-11-25T10:00:00Z"));
    world.events("page", 8, json!({"level": "INFO"})).await;
    world.events("checkout", 2, json!({"level": "ERROR", "message": "cart 1 not found"})).await;
    world.at(at("2026-11-26T08:00:00Z")).await;
    world.receiver.take();
    world.tally.clock.set(at("2026-11-26T10:00:00Z"));
    world.events("page", 10, json!({"level": "INFO"})).await;
    world.events("checkout", 1, json!({"level": "ERROR", "message": "cart 2 not found"})).await;
    world.events("checkout", 2, json!({"level": "WARN", "message": "slow"})).await;
    world.at(at("2026-11-27T08:00:00Z")).await;
    let told = world.receiver.take();
    assert_eq!(told.len(), 2, "{told:?}");
    let of = |names: usize| {
        let data = told.iter().map(|(_, body)| &body["data"]);
        data.map(|data| &data["report"]).find(|report| report["names"].as_array().unwrap().len() == names).unwrap()
    };
    let expected = json!({
        "since": "2026-11-26T08:00:00Z",
        "until": "2026-11-27T08:00:00Z",
        "total": 13,
        "previous_total": 10,
        "errors": 1,
        "previous_errors": 2,
        "names": [{"name": "page", "count": 10, "previous": 8}, {"name": "checkout", "count": 3, "previous": 2}],
        "messages": [
            {"message": "slow", "level": "WARN", "count": 2},
            {"message": "cart 2 not found", "level": "ERROR", "count": 1},
        ],
        "complete": true,
    });
    assert_eq!(*of(2), expected);
    let filtered = of(1);
    assert_eq!((&filtered["total"], &filtered["previous_total"]), (&json!(3), &json!(2)));
    assert_eq!(filtered["names"], json!([{"name": "checkout", "count": 3, "previous": 2}]));
    assert_eq!(column(&filtered["messages"], "message"), ["slow", "cart 2 not found"]);
}

#[tokio::test]
async fn of_two_evaluators_one_reports() {
    let mut world = world_at("2026-11-26T12:00:00Z", 3).await;
    world.rule(json!({"condition": {"report": "day"}})).await;
    let time = at("2026-11-27T08:00:00Z");
    world.tally.clock.set(time + 15 * SECOND);
    for _ in 0..3 {
        Box::pin(futures::future::join3(world.run(), world.run(), world.run())).await;
        world.count().await;
        world.tally.clock.set(world.now() + MINUTE);
    }
    assert_eq!(world.reported(), [(time - DAY, time)]);
}

#[tokio::test]
async fn after_a_standstill_the_newest_report_is_told_unless_it_is_old() {
    let mut world = world_at("2026-11-02T12:00:00Z", 1).await;
    let daily = world.rule(json!({"condition": {"report": "day"}})).await;
    // Four days pass in which nothing ran.
    world.at(at("2026-11-06T20:00:00Z")).await;
    let eight = at("2026-11-06T08:00:00Z");
    assert_eq!(world.reported(), [(eight - DAY, eight)]);
    world.change(&daily, json!({"enabled": false})).await;
    world.rule(json!({"condition": {"report": "week", "weekday": "saturday"}})).await;
    world.at(at("2026-11-10T08:01:00Z")).await;
    assert_eq!(world.reported(), [], "it is more than three days old");
    world.at(at("2026-11-16T08:00:00Z")).await;
    let saturday = at("2026-11-14T08:00:00Z");
    assert_eq!(world.reported(), [(saturday - 7 * DAY, saturday)]);
}

#[tokio::test]
async fn a_report_waits_until_its_period_is_counted_but_not_for_ever() {
    let mut world = world_at("2026-11-26T07:50:00Z", 1).await;
    let id = world.rule(json!({"condition": {"report": "day"}})).await;
    world.minutes(2).await;
    world.events("page", 1, json!({})).await;
    // An event that was accepted before eight is counted five minutes later.
    world.tally.clock.set(at("2026-11-26T07:59:30Z"));
    world.tally.accept(&world.app, &json!({"name": "page"})).await;
    for _ in 0..5 {
        world.minute_without_counting().await;
    }
    assert_eq!(world.reported(), []);
    world.count().await;
    world.minutes(2).await;
    let told = world.receiver.take();
    assert_eq!((told.len(), &told[0].1["data"]["report"]["total"]), (1, &json!(2)), "{told:?}");
    // The next day counting stands still.
    world.tally.clock.set(at("2026-11-27T07:59:00Z"));
    for _ in 0..16 {
        world.minute_without_counting().await;
    }
    assert_eq!(world.reported(), []);
    for _ in 0..3 {
        world.minute_without_counting().await;
    }
    let told = world.receiver.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let data = &told[0].1["data"];
    assert_eq!(data["report"]["complete"], false);
    assert!(data["sentence"].as_str().unwrap().contains("may be missing"), "{data}");
    assert!(world.read(&id).await["history"][0]["reason"].is_string());
}

#[tokio::test]
async fn a_rule_that_gets_another_schedule_begins_anew() {
    let mut world = world_at("2026-11-26T12:00:00Z", 1).await;
    let id = world.rule(json!({"condition": {"report": "day"}})).await;
    world.tally.clock.set(at("2026-11-27T09:30:00Z"));
    world.change(&id, json!({"condition": {"report": "day", "at": "09:00"}})).await;
    world.minutes(5).await;
    assert_eq!(world.reported(), [], "nine is over");
    world.at(at("2026-11-28T09:00:00Z")).await;
    assert_eq!(world.reported(), [(at("2026-11-27T09:00:00Z"), at("2026-11-28T09:00:00Z"))]);
}

#[tokio::test]
async fn a_snoozed_report_is_not_sent() {
    let mut world = world_at("2026-11-26T12:00:00Z", 1).await;
    let id = world.rule(json!({"condition": {"report": "day"}})).await;
    world.change(&id, json!({"snoozed_until": "1d"})).await;
    world.at(at("2026-11-27T08:00:00Z")).await;
    assert_eq!(world.reported(), []);
    assert_eq!(world.read(&id).await["history"][0]["deliveries"][0]["status"], "snoozed");
    world.at(at("2026-11-28T08:00:00Z")).await;
    assert_eq!(world.reported().len(), 1);
}

#[tokio::test]
async fn what_was_erased_is_in_no_report() {
    let mut world = world_at("2026-11-26T12:00:00Z", 1).await;
    let rule = world.rule(json!({"condition": {"report": "day"}})).await;
    let body = json!({"name": "secret name", "level": "ERROR", "message": "secret text"});
    let id = world.tally.accept(&world.app, &body).await["id"].clone();
    world.events("page", 1, json!({})).await;
    world.receiver.answers(&[500, 500]);
    world.at(at("2026-11-27T08:00:00Z")).await;
    let first = world.receiver.take();
    assert!(first[0].1.to_string().contains("secret text"), "{first:?}");
    let app = world.tally.stored_app(&world.app).await.id;
    let rule = RuleId::parse(&rule).unwrap();
    let stored = world.tally.context.store.alert_history(&app, &rule).await.unwrap();
    assert!(stored.len() == 1 && !format!("{stored:?}").contains("secret"), "it is stored nowhere: {stored:?}");
    // It is sent again, after it was erased.
    let token = world.tally.token(Role::Admin).await;
    let path = format!("/apps/shop/events/{}", id.as_str().unwrap());
    let reply = world.tally.call(Method::DELETE, &path, ("x-access-token", &token), String::new()).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    world.count().await;
    world.minutes(5).await;
    let second = world.receiver.take();
    assert_eq!((second.len(), &second[0].0), (1, &first[0].0), "{second:?}");
    assert!(!second[0].1.to_string().contains("secret"), "{second:?}");
    assert_eq!(second[0].1["data"]["report"]["total"], 1);
}

#[tokio::test]
async fn beyond_the_read_budget_a_report_says_that_something_is_missing() {
    let mut world = World::with(1, Config { read_budget: 10.0, ..Config::default() }).await;
    for hours in 0..24 {
        let time = (world.now() - i64::from(hours) * HOUR).floor(SECOND).to_string();
        let names =
            (0..150).map(|n| json!({"name": format!("a rather long name of an event, the {n}th"), "timestamp": time}));
        world.tally.accept(&world.app, &names.collect()).await;
    }
    world.count().await;
    world.rule(json!({"condition": {"report": "day", "at": "10:10"}})).await;
    world.at(at("2026-11-21T10:10:00Z")).await;
    let told = world.receiver.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let data = &told[0].1["data"];
    assert_eq!((&data["report"]["complete"], &data["report"]["total"]), (&json!(false), &Value::Null));
    assert!(data["sentence"].as_str().unwrap().contains("missing"), "{data}");
}

#[tokio::test]
async fn a_test_of_a_report_sends_the_period_that_ended_last() {
    let mut world = world_at("2026-11-26T12:00:00Z", 1).await;
    let id = world.rule(json!({"condition": {"report": "week", "tz": "Asia/Kathmandu", "weekday": "tuesday"}})).await;
    let tested = world.call(Method::POST, &format!("/{id}/test"), Value::Null).await;
    assert_eq!(tested.json["items"][0]["delivered"], true, "{}", tested.json);
    let told = world.receiver.take();
    let (body, report) = (&told[0].1, &told[0].1["data"]["report"]);
    assert_eq!((&body["type"], &report["until"]), (&json!("alert.test"), &json!("2026-11-24T02:15:00Z")));
    world.minutes(3).await;
    assert_eq!(world.reported(), [], "a test is no report");
}

#[tokio::test]
async fn a_report_that_is_wrong_is_refused_by_its_fields() {
    let world = World::new(1).await;
    for (fields, field) in [
        (json!({"condition": {"report": "month"}}), "condition.report"),
        (json!({"condition": {"report": "day", "at": "8:00"}}), "condition.at"),
        (json!({"condition": {"report": "day", "at": "24:00"}}), "condition.at"),
        (json!({"condition": {"report": "day", "tz": "Berlin"}}), "condition.tz"),
        (json!({"condition": {"report": "day", "weekday": "monday"}}), "condition.weekday"),
        (json!({"condition": {"report": "week", "weekday": "mon"}}), "condition.weekday"),
        (json!({"condition": {"at": "08:00"}}), "condition.report"),
        (json!({"condition": {"report": "day", "above": 1}}), "condition"),
        (json!({"condition": {"report": "day"}, "for": "2m"}), "for"),
        (json!({"condition": {"report": "day"}, "renotify": "5m"}), "renotify"),
        (json!({"condition": {"report": "day"}, "filter": {"user_id": "ann"}}), "filter.user_id"),
        (json!({"condition": {"changes_by": 0, "against": "1h"}, "window": "5m"}), "condition.changes_by"),
        (json!({"condition": {"against": "1h"}, "window": "5m"}), "condition.changes_by"),
    ] {
        let reply = world.call(Method::POST, "", fields).await;
        assert_problem(&reply, 400, &[field]);
    }
    let reply = world.call(Method::POST, "/preview", json!({"condition": {"report": "day"}})).await;
    assert_problem(&reply, 400, &["condition"]);
    let id = world.rule(json!({"window": "5m", "condition": {"above": 1}, "for": "2m"})).await;
    let reply = world.call(Method::PATCH, &format!("/{id}"), json!({"condition": {"report": "day"}})).await;
    assert_problem(&reply, 400, &["for"]);
    world.change(&id, json!({"condition": {"report": "day"}, "for": null})).await;
}

#[tokio::test]
async fn after_the_silence_between_two_reports_a_new_rule_is_not_unknown() {
    let mut world = world_at("2026-11-06T12:00:00Z", 2).await;
    world.rule(json!({"condition": {"report": "week"}})).await;
    let monday = at("2026-11-09T08:00:00Z");
    world.tally.clock.set(monday - 45 * SECOND);
    world.minute().await;
    // The heartbeats of the minute in which it is told are never seen to be counted.
    world.minute_without_counting().await;
    assert_eq!(world.reported(), [(monday - 7 * DAY, monday)]);
    world.tally.clock.set(monday + 3 * DAY);
    let id = world.rule(json!({"window": "5m", "condition": {"below": 1}})).await;
    world.minute_without_counting().await;
    assert_eq!(world.read(&id).await["state"], "ok");
    world.minutes(8).await;
    let types = world.receiver.types();
    assert_eq!(types, ["alert.firing"], "absence alone");
}

/// A daily report alone costs nothing while none is due.
#[tokio::test]
async fn a_rule_that_reports_reads_no_counters_until_its_time() {
    let mut world = world_at("2026-11-26T12:00:00Z", 1).await;
    world.rule(json!({"condition": {"report": "day"}})).await;
    world.minute().await;
    let before = world.tally.usage();
    world.tally.clock.set(world.now() + MINUTE);
    world.run().await;
    let after = world.tally.usage();
    let (reads, writes) = (after.read_units - before.read_units, after.write_units - before.write_units);
    assert!(reads < 4.0 && writes == 0.0, "{reads} {writes}");
}
