//! Judging alert rules: by what is counted, told once, never invented and never hidden by a lag.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tally_core::time::{HOUR, MINUTE, SECOND, TimeDelta, Timestamp};
use tally_service::alerts::run;
use tally_service::config::Config;

use crate::alerts::{Receiver, World};
use crate::database::cases;
use crate::faulty::Fault;
use crate::harness::{NOW, Tally, at};

#[tokio::test]
async fn a_rule_fires_and_recovers_and_tells_both_once() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "5m", "condition": {"above": 2}})).await;
    world.minutes(3).await;
    assert_eq!(world.receiver.take(), vec![]);
    world.errors(2, TimeDelta::ZERO).await;
    world.count().await;
    world.minutes(3).await;
    assert_eq!(world.receiver.take(), vec![]);
    world.errors(1, TimeDelta::ZERO).await;
    world.count().await;
    world.minutes(3).await;
    let told = world.receiver.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let (webhook_id, body) = &told[0];
    assert_eq!(body["type"], "alert.firing");
    let data = &body["data"];
    assert_eq!(
        (&data["app"], &data["alert"], &data["value"], &data["threshold"]),
        (&json!("shop"), &json!(id), &json!(3), &json!(2))
    );
    assert!(webhook_id.starts_with(&id), "{webhook_id}");
    assert_eq!(world.read(&id).await["state"], "firing");
    world.minutes(6).await;
    assert_eq!(world.receiver.types(), ["alert.recovered"]);
    let rule = world.read(&id).await;
    assert_eq!(rule["state"], "ok");
    let history: Vec<_> =
        rule["history"].as_array().unwrap().iter().map(|entry| (entry["from"].clone(), entry["to"].clone())).collect();
    assert_eq!(history, [(json!("firing"), json!("ok")), (json!("ok"), json!("firing"))]);
    assert_eq!(rule["history"][1]["deliveries"][0]["status"], "delivered");
    assert_eq!(rule["history"][1]["deliveries"][0]["attempts"], 1);
}

#[tokio::test]
async fn absence_is_told_with_no_traffic_at_all() {
    let mut world = World::new(1).await;
    world.rule(json!({"window": "3m", "condition": {"below": 1}})).await;
    world.minutes(3).await;
    assert_eq!(world.receiver.types(), ["alert.firing"], "a new app without any event");
    world.errors(1, TimeDelta::ZERO).await;
    world.minutes(3).await;
    assert_eq!(world.receiver.types(), ["alert.recovered"]);
    world.minutes(10).await;
    assert_eq!(world.receiver.types(), ["alert.firing"]);
}

#[tokio::test]
async fn absence_is_told_with_one_idle_shard_of_many() {
    let mut world = World::new(3).await;
    world.rule(json!({"filter": {"name": "beat"}, "window": "2m", "condition": {"below": 1}})).await;
    // Only one shard has traffic, of another name.
    let shard = async |world: &mut World| {
        let app = world.tally.stored_app(&world.app).await;
        loop {
            let id = tally_core::event::id::EventId::random(world.now());
            if app.layout.shard(id) == 0 {
                let event = json!({"name": "other", "id": id.to_string(), "timestamp": world.now().floor(TimeDelta::milliseconds(1)).to_string()});
                world.tally.accept(&world.app, &event).await;
                world.follow().await;
                return;
            }
        }
    };
    for _ in 0..6 {
        shard(&mut world).await;
        world.minute().await;
    }
    assert_eq!(world.receiver.types(), ["alert.firing"]);
    world.tally.accept(&world.app, &json!({"name": "beat"})).await;
    for _ in 0..3 {
        shard(&mut world).await;
        world.minute().await;
    }
    assert_eq!(world.receiver.types(), ["alert.recovered"]);
}

#[tokio::test]
async fn a_lag_delays_and_neither_invents_nor_hides() {
    let mut world = World::new(2).await;
    world.rule(json!({"filter": {"level": "ERROR"}, "window": "1m", "condition": {"above": 0}})).await;
    world.rule(json!({"window": "1m", "condition": {"below": 1}})).await;
    for _ in 0..3 {
        world.tally.accept(&world.app, &json!({"name": "page"})).await;
        world.minute().await;
    }
    // The absence before the first event.
    world.receiver.take();
    // The stream stops. Events keep coming, one of them an error.
    for minute in 0..10 {
        world.tally.accept(&world.app, &json!({"name": "page"})).await;
        if minute == 4 {
            world.errors(1, TimeDelta::ZERO).await;
        }
        world.minute_without_counting().await;
    }
    assert_eq!(world.receiver.types(), Vec::<String>::new(), "neither an absence nor an error is known");
    world.count().await;
    world.tally.accept(&world.app, &json!({"name": "page"})).await;
    world.minute().await;
    assert_eq!(world.receiver.types(), ["alert.firing", "alert.recovered"]);
}

#[tokio::test]
async fn a_long_lag_is_told_once_and_ends_by_itself() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "1m", "condition": {"above": 0}})).await;
    world.minutes(2).await;
    for _ in 0..30 {
        world.minute_without_counting().await;
    }
    assert_eq!(world.receiver.types(), ["alert.unknown"]);
    let rule = world.read(&id).await;
    assert_eq!(rule["state"], "unknown");
    assert!(rule["history"][0]["reason"].is_string(), "{rule}");
    world.errors(1, 3 * MINUTE).await;
    world.count().await;
    world.minutes(2).await;
    let types = world.receiver.types();
    assert_eq!(types, ["alert.recovered", "alert.firing", "alert.recovered"]);
}

#[tokio::test]
async fn a_rule_that_is_new_or_was_not_judged_for_hours_is_not_unknown() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"window": "5m", "condition": {"above": 0}})).await;
    world.errors(1, TimeDelta::ZERO).await;
    world.minutes(2).await;
    assert_eq!(world.receiver.types(), ["alert.firing"]);
    world.tally.clock.set(world.now() + 5 * HOUR);
    world.minutes(2).await;
    assert_eq!(world.receiver.types(), ["alert.recovered"]);
    assert_eq!(world.read(&id).await["state"], "ok");
}

#[tokio::test]
async fn changes_are_measured_against_the_window_before() {
    let mut world = World::new(1).await;
    let condition = json!({"changes_by": 100, "against": "1h", "direction": "up"});
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "10m", "condition": condition})).await;
    world.errors(2, TimeDelta::ZERO).await;
    world.count().await;
    world.minutes(12).await;
    assert_eq!(world.receiver.types(), Vec::<String>::new(), "there is no hour before");
    world.tally.clock.set(world.now() + 2 * HOUR - 12 * MINUTE);
    world.minutes(2).await;
    world.errors(3, TimeDelta::ZERO).await;
    world.count().await;
    world.minutes(3).await;
    // Nothing was an hour before.
    let told = world.receiver.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let data = &told[0].1["data"];
    assert_eq!(
        (&told[0].1["type"], &data["value"], &data["from_none"]),
        (&json!("alert.firing"), &json!(3), &json!(true))
    );
    assert!(data["sentence"].as_str().unwrap().ends_with("It was 3, and none before."), "{data}");
    assert_eq!(world.read(&id).await["history"][0]["from_none"], true);
    world.minutes(12).await;
    assert_eq!(world.receiver.types(), ["alert.recovered"]);
    // An hour later 3 were before: 5 are not twice as many, 6 are.
    world.tally.clock.set(at(NOW).floor(MINUTE) + 15 * SECOND + 3 * HOUR + 4 * MINUTE);
    world.minute().await;
    world.errors(5, TimeDelta::ZERO).await;
    world.count().await;
    world.minutes(2).await;
    assert_eq!(world.receiver.types(), Vec::<String>::new());
    world.errors(1, TimeDelta::ZERO).await;
    world.count().await;
    world.minutes(2).await;
    let told = world.receiver.take();
    assert_eq!(told.len(), 1, "{told:?} {}", world.read(&id).await);
    let data = &told[0].1["data"];
    assert_eq!((&data["value"], &data["from_none"]), (&json!(100), &json!(null)));
    assert!(data["sentence"].as_str().unwrap().ends_with("It was +100%."), "{data}");
}

#[tokio::test]
async fn a_rule_that_is_changed_while_it_fires_tells_that_it_ended() {
    let mut world = World::new(1).await;
    let fields = || json!({"filter": {"level": "ERROR"}, "window": "5m", "condition": {"above": 0}});
    for change in [json!({"condition": {"above": 100}}), json!({"enabled": false})] {
        let id = world.rule(fields()).await;
        world.errors(1, TimeDelta::ZERO).await;
        world.minutes(2).await;
        assert_eq!(world.receiver.types(), ["alert.firing"]);
        world.change(&id, change).await;
        world.minutes(2).await;
        let told = world.receiver.take();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].1["type"], "alert.recovered");
        let sentence = told[0].1["data"]["sentence"].as_str().unwrap().to_owned();
        assert!(sentence.starts_with("The rule was changed or turned off while it fired."), "{sentence}");
        let rule = world.read(&id).await;
        assert_eq!((&rule["state"], &rule["history"][0]["to"]), (&json!("ok"), &json!("ok")));
        // What changes nothing of the question ends nothing.
        let other = world.rule(fields()).await;
        world.errors(1, TimeDelta::ZERO).await;
        world.minutes(2).await;
        assert_eq!(world.receiver.types(), ["alert.firing"]);
        world.change(&other, json!({"name": "another name"})).await;
        world.minutes(1).await;
        assert_eq!((world.receiver.types(), &world.read(&other).await["state"]), (vec![], &json!("firing")));
        world.call(Method::DELETE, &format!("/{other}"), Value::Null).await;
        world.minutes(6).await;
    }
}

#[tokio::test]
async fn a_condition_must_hold_for_consecutive_minutes() {
    let mut world = World::new(1).await;
    world.rule(json!({"filter": {"level": "ERROR"}, "window": "1m", "condition": {"above": 0}, "for": "3m"})).await;
    for pattern in [&[1, 1, 0, 1, 1, 0][..], &[1, 1, 1, 1]] {
        for n in pattern {
            world.tally.accept(&world.app, &json!({"name": "page"})).await;
            if *n > 0 {
                world.errors(*n, TimeDelta::ZERO).await;
            }
            world.minute().await;
        }
    }
    world.minutes(1).await;
    assert_eq!(world.receiver.types(), ["alert.firing"]);
}

#[tokio::test]
async fn a_snoozed_rule_tells_nothing_until_its_snooze_ends() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"filter": {"level": "ERROR"}, "window": "5m", "condition": {"above": 0}})).await;
    world.change(&id, json!({"snoozed_until": "10m"})).await;
    world.errors(1, TimeDelta::ZERO).await;
    world.minutes(3).await;
    let rule = world.read(&id).await;
    assert_eq!((&rule["state"], &rule["history"][0]["deliveries"][0]["status"]), (&json!("firing"), &json!("snoozed")));
    world.minutes(5).await;
    assert_eq!(world.read(&id).await["state"], "ok");
    // It fires when the snooze ends.
    world.errors(1, TimeDelta::ZERO).await;
    world.minutes(1).await;
    assert_eq!(world.receiver.types(), Vec::<String>::new());
    world.minutes(3).await;
    assert_eq!(world.receiver.types(), ["alert.firing"]);
    world.minutes(5).await;
    assert_eq!(world.receiver.types(), ["alert.recovered"]);
}

#[tokio::test]
async fn a_firing_rule_is_told_again_after_a_while() {
    let mut world = World::new(1).await;
    world.rule(json!({"window": "1m", "condition": {"below": 1}, "renotify": "5m"})).await;
    world.minutes(14).await;
    let told = world.receiver.take();
    let types: Vec<_> = told.iter().map(|(_, body)| body["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["alert.firing"; 3]);
    let ids: std::collections::BTreeSet<_> = told.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 3, "each is another notification");
}

#[tokio::test]
async fn of_two_evaluators_one_tells() {
    let receiver = Receiver::start().await;
    // A few requests take much longer than others, so that evaluators overtake one another.
    let rng = Mutex::new(StdRng::seed_from_u64(7));
    let decide = move |_: &str, _: &Value| {
        let mut rng = rng.lock().unwrap();
        if rng.random_bool(0.2) { Fault::Slow(Duration::from_micros(rng.random_range(0..30_000))) } else { Fault::None }
    };
    let tally = Tally::failing_as(Config::default(), decide).await.allowing(&receiver.address);
    let mut world = World::of(tally, receiver, 1).await;
    world.rule(json!({"filter": {"level": "ERROR"}, "window": "5m", "condition": {"above": 0}})).await;
    world.errors(1, TimeDelta::ZERO).await;
    for _ in 0..5 {
        for _ in 0..8 {
            world.tally.clock.set(world.now() + MINUTE);
            Box::pin(futures::future::join3(world.run(), world.run(), world.run())).await;
            world.count().await;
        }
        assert_eq!(world.receiver.types(), ["alert.firing", "alert.recovered"]);
        world.errors(1, TimeDelta::ZERO).await;
    }
}

#[tokio::test]
async fn a_rule_on_groups_counts_messages_by_their_template() {
    let mut world = World::new(1).await;
    let events: Vec<_> = (0..3).map(|n| json!({"level": "ERROR", "message": format!("cart {n} not found")})).collect();
    world.tally.accept(&world.app, &Value::Array(events)).await;
    world.errors(5, TimeDelta::ZERO).await;
    world.count().await;
    let top = world.tally.ask(&world.app, "/stats/top-messages").await;
    let group = top["items"][1]["group"].clone();
    assert_eq!(top["items"][1]["message"], "cart <n> not found");
    world
        .rule(json!({"filter": {"group": [group], "level": "ERROR"}, "window": "10m", "condition": {"above": 2}}))
        .await;
    world.rule(json!({"filter": {"group": [group]}, "window": "10m", "condition": {"above": 3}})).await;
    world.minutes(3).await;
    let told = world.receiver.take();
    assert_eq!((told.len(), &told[0].1["data"]["value"]), (1, &json!(3)), "{told:?}");
}

#[tokio::test]
async fn a_rule_that_reads_more_than_a_minute_may_is_unknown_and_spoils_no_other() {
    let mut world = World::with(1, Config { read_budget: 20.0, ..Config::default() }).await;
    for hours in 0..12 {
        let time = (world.now() - i64::from(hours) * HOUR).floor(SECOND).to_string();
        let names =
            (0..150).map(|n| json!({"name": format!("a rather long name of an event, the {n}th"), "timestamp": time}));
        world.tally.accept(&world.app, &names.collect()).await;
    }
    world.count().await;
    let long = world.rule(json!({"window": "23h", "condition": {"above": 1}})).await;
    let short = world.rule(json!({"window": "1m", "condition": {"above": 1_000_000}})).await;
    world.minutes(5).await;
    assert_eq!(world.receiver.types(), ["alert.unknown"]);
    let rule = world.read(&long).await;
    assert_eq!((&rule["state"], &world.read(&short).await["state"]), (&json!("unknown"), &json!("ok")));
    assert!(rule["history"][0]["reason"].as_str().unwrap().contains("more than"), "{rule}");
}

/// What docs/cost.md says of it.
#[tokio::test]
async fn a_minute_of_100_rules_costs_about_as_much_as_their_items() {
    let mut world = World::new(1).await;
    let rule = |n: usize, above: u64| {
        let window = ["5m", "5m", "1h", "1d"][n % 4];
        let filter = json!({"name": format!("name {}", n % 20)});
        let channels = json!([{"type": "webhook", "url": world.receiver.url()}]);
        json!({"filter": filter, "window": window, "condition": {"above": above}, "channels": channels})
    };
    let rules: Vec<_> = (0..100).map(|n| rule(n, 1_000_000)).collect();
    let firing = rule(0, 0);
    let mut costs = BTreeMap::new();
    for minute in 0..30 {
        match minute {
            2 => drop(world.call(Method::POST, "", rules[0].clone()).await),
            6 => {
                for rule in &rules[1..] {
                    let reply = world.call(Method::POST, "", rule.clone()).await;
                    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
                }
                let first = world.call(Method::GET, "", Value::Null).await.json["items"][0]["id"].clone();
                world.call(Method::DELETE, &format!("/{}", first.as_str().unwrap()), Value::Null).await;
            }
            25 => assert_eq!(world.call(Method::POST, "", firing.clone()).await.status, StatusCode::CREATED),
            _ => {}
        }
        let events: Vec<_> = (0..20).map(|n| json!({"name": format!("name {n}"), "level": "INFO"})).collect();
        world.tally.accept(&world.app, &Value::Array(events)).await;
        world.count().await;
        world.tally.clock.set(world.now() + MINUTE);
        let (before, started) = (world.tally.usage(), std::time::Instant::now());
        let ran = world.run().await;
        let after = world.tally.usage();
        let about = (ran.evaluated.windows, ran.evaluated.transitions);
        let cost = (after.read_units - before.read_units, after.write_units - before.write_units);
        // The first minutes have no rule.
        if about != (0, 0) || minute < 2 {
            costs.insert(about, (cost, started.elapsed()));
        }
    }
    println!("by judged windows and transitions, read and write units: {costs:#?}");
    let ((reads, writes), _) = costs[&(99, 0)];
    assert!(reads < 60.0 && writes < 4.0, "{costs:?}");
    assert!(costs.contains_key(&(0, 0)) && costs.contains_key(&(1, 0)) && costs.contains_key(&(100, 1)), "{costs:?}");
}

#[derive(Clone, Debug)]
enum Step {
    /// So many errors, each so many seconds ago: up to 10 s after its time something of the server's clock is stored, what a
    /// client sends may be older.
    Errors(usize, i64),
    /// Erases the n-th event.
    Erase(usize),
    /// So many records are handed over again, and what is new with them.
    Replay(usize),
    /// Seconds pass.
    Seconds(i64),
    /// A minute passes; so many evaluators run at once, some of which end somewhere in between. Then all is counted.
    Minute { evaluators: usize, crash_after: Option<usize> },
    /// Some minutes pass in which nothing is counted.
    Pause(usize),
    /// The receiver answers this next.
    Answer(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..4, 0i64..10).prop_map(|(n, ago)| Step::Errors(n, ago)),
        2 => (1usize..4, 30i64..600).prop_map(|(n, ago)| Step::Errors(n, ago)),
        1 => (0usize..20).prop_map(Step::Erase),
        1 => (1usize..20).prop_map(Step::Replay),
        2 => (1i64..40).prop_map(Step::Seconds),
        8 => (1usize..4, prop::option::weighted(0.3, 0usize..60))
            .prop_map(|(evaluators, crash_after)| Step::Minute { evaluators, crash_after }),
        1 => (2usize..7).prop_map(Step::Pause),
        1 => prop::sample::select(vec![500u16, 503, 429]).prop_map(Step::Answer),
    ]
}

/// What the store does to requests while rules are judged.
struct Interference {
    rng: StdRng,
    is_on: bool,
}

impl Interference {
    fn decide(&mut self, operation: &str) -> Fault {
        if !self.is_on {
            return Fault::None;
        }
        if !self.rng.random_bool(0.04) {
            // So that evaluators overtake one another.
            let is_slow = self.rng.random_bool(0.2);
            return if is_slow {
                Fault::Slow(Duration::from_micros(self.rng.random_range(0..2_000)))
            } else {
                Fault::None
            };
        }
        match self.rng.random_range(0..4) {
            0 => Fault::server_error(),
            1 if operation != "BatchWriteItem" => Fault::Lost,
            2 => Fault::Dropped { run: false },
            3 => Fault::Dropped { run: true },
            _ => Fault::throttled(),
        }
    }
}

/// Evaluators at once; some end after so many turns. Returns whether all of them came to their end.
async fn evaluate(world: &World, evaluators: usize, crash_after: Option<usize>) -> bool {
    let each = (0..evaluators).map(async |n| {
        let ends = async {
            match crash_after {
                Some(turns) if n == 0 => {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // A store that fails is tried again the next minute.
            ran = run(&world.tally.context, &world.tally.sender, world.now()) => ran.is_ok(),
            () = ends => false
        }
    });
    futures::future::join_all(each).await.into_iter().all(|ended| ended)
}

/// The rules of a history: how they are sent, and whether they fire with so many errors in so many minutes, for so many minutes.
type Asked = (Value, i64, u32, fn(usize) -> bool);

/// What evaluators could see.
struct Judging {
    now: Timestamp,
    /// The times of the errors that were counted.
    counted: Vec<Timestamp>,
    /// Whether all of them came to their end.
    ended: bool,
    /// The end of the last window that was judged of all rules.
    to: Option<Timestamp>,
}

/// A history as it goes on.
struct History {
    world: World,
    interference: Arc<Mutex<Interference>>,
    /// The errors that are stored: time and id.
    stored: Vec<(Timestamp, String)>,
    /// The times of those that were counted.
    counted: Vec<Timestamp>,
    /// What was stored and erased since: times.
    added: Vec<Timestamp>,
    erased: Vec<Timestamp>,
    judgings: Vec<Judging>,
}

impl History {
    async fn judge(&mut self, evaluators: usize, crash_after: Option<usize>) {
        self.interference.lock().unwrap().is_on = true;
        let ended = evaluate(&self.world, evaluators, crash_after).await;
        self.interference.lock().unwrap().is_on = false;
        let id = self.world.tally.stored_app(&self.world.app).await.id;
        let to = self.world.tally.context.store.alert_rules(&id).await.unwrap().judged.to;
        self.judgings.push(Judging { now: self.world.now(), counted: self.counted.clone(), ended, to });
    }

    async fn error(&mut self, ago: TimeDelta) {
        let time = (self.world.now() - ago).floor(SECOND);
        let event = json!({"name": "failed", "level": "ERROR", "message": "timed out", "timestamp": time.to_string()});
        let id = self.world.tally.accept(&self.world.app, &event).await["id"].as_str().unwrap().to_owned();
        self.world.follow().await;
        self.stored.push((time, id));
        self.added.push(time);
    }

    async fn erase(&mut self, n: usize) {
        if n < self.stored.len() {
            let (time, id) = self.stored.remove(n);
            let erased = self.world.tally.admin(Method::DELETE, &format!("/apps/shop/events/{id}"), &Value::Null).await;
            assert_eq!(erased.status, StatusCode::NO_CONTENT, "{}", erased.json);
            self.world.follow().await;
            self.erased.push(time);
        }
    }

    async fn count(&mut self, again: usize) {
        self.world.replay(again).await;
        self.counted.append(&mut self.added);
        for time in self.erased.drain(..) {
            let place = self.counted.iter().position(|counted| *counted == time).unwrap();
            self.counted.swap_remove(place);
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Errors(n, ago) => {
                for _ in 0..*n {
                    self.error(*ago * SECOND).await;
                }
            }
            Step::Erase(n) => self.erase(*n).await,
            Step::Replay(most) => self.count(*most).await,
            Step::Seconds(n) => self.world.tally.clock.set(self.world.now() + *n * SECOND),
            Step::Minute { evaluators, crash_after } => {
                self.world.tally.clock.set(self.world.now() + MINUTE);
                self.judge(*evaluators, *crash_after).await;
                self.count(0).await;
            }
            Step::Pause(minutes) => {
                for _ in 0..*minutes {
                    self.world.tally.clock.set(self.world.now() + MINUTE);
                    self.judge(1, None).await;
                    self.world.follow().await;
                }
                self.count(0).await;
            }
            Step::Answer(status) => self.world.receiver.answers(&[*status]),
        }
    }

    /// Everything is judged and told in the end; what was refused is tried again for up to an hour.
    async fn end(&mut self) {
        for passed in std::iter::repeat_n(1, 4).chain(std::iter::repeat_n(20, 8)).chain(std::iter::repeat_n(1, 3)) {
            self.world.tally.clock.set(self.world.now() + passed * MINUTE);
            let ended = evaluate(&self.world, 1, None).await;
            let id = self.world.tally.stored_app(&self.world.app).await.id;
            let to = self.world.tally.context.store.alert_rules(&id).await.unwrap().judged.to;
            self.judgings.push(Judging { now: self.world.now(), counted: self.counted.clone(), ended, to });
            self.count(0).await;
        }
    }

    /// What could be counted when the window that ends at a time was judged: by the evaluators that finished it, or by some before
    /// that were cut off.
    fn seen(&self, end: Timestamp) -> Vec<&[Timestamp]> {
        let finished = self.judgings.iter().position(|judging| judging.to >= Some(end)).unwrap();
        let judgings = self.judgings[..=finished].iter().enumerate();
        judgings
            .filter(|(n, judging)| *n == finished || (!judging.ended && judging.now >= end))
            .map(|(_, judging)| judging.counted.as_slice())
            .collect()
    }
}

async fn told_is_what_was(seed: u64, steps: &[Step]) {
    let interference = Arc::new(Mutex::new(Interference { rng: StdRng::seed_from_u64(seed), is_on: false }));
    let shared = Arc::clone(&interference);
    let receiver = Receiver::start().await;
    let decide = move |operation: &str, _: &Value| shared.lock().unwrap().decide(operation);
    let tally = Tally::failing_as(Config::default(), decide).await.allowing(&receiver.address);
    let world = World::of(tally, receiver, 2).await;
    let asked: [Asked; 3] = [
        (json!({"filter": {"level": "ERROR"}, "window": "3m", "condition": {"above": 2}}), 3, 1, |n| n > 2),
        (json!({"filter": {"level": "ERROR"}, "window": "2m", "condition": {"below": 1}}), 2, 1, |n| n < 1),
        (json!({"filter": {"level": "ERROR"}, "window": "1m", "condition": {"above": 0}, "for": "2m"}), 1, 2, |n| {
            n > 0
        }),
    ];
    let mut ids = vec![];
    let made_at = world.now().floor(MINUTE);
    for (fields, ..) in &asked {
        ids.push(world.rule(fields.clone()).await);
    }
    let mut history = History {
        world,
        interference,
        stored: vec![],
        counted: vec![],
        added: vec![],
        erased: vec![],
        judgings: vec![],
    };
    for step in steps {
        history.step(step).await;
    }
    history.end().await;
    let mut told = BTreeMap::new();
    for (id, body) in history.world.receiver.take() {
        let known = told.entry(id).or_insert_with(|| body.clone());
        assert_eq!(known["data"], body["data"], "one id, one notification");
    }
    for (id, (_, minutes, hold, fires)) in ids.iter().zip(asked) {
        let rule = history.world.read(id).await;
        let mut judged: BTreeMap<Timestamp, Vec<&str>> = BTreeMap::new();
        for body in told.values().filter(|body| body["data"]["alert"] == **id) {
            let until = at(body["data"]["window"]["until"].as_str().unwrap());
            judged.entry(until).or_default().push(body["type"].as_str().unwrap());
        }
        // Whether it fires, and for how many minutes it has been so: all that what was told leaves open.
        let mut states = BTreeSet::from([(false, 0)]);
        let mut end = made_at;
        while end + 3 * MINUTE < history.world.now() {
            end += MINUTE;
            let now = judged.remove(&end).unwrap_or_default();
            let seen = history.seen(end);
            let of = |counted: &[Timestamp]| {
                fires(counted.iter().filter(|time| end - minutes * MINUTE <= **time && **time < end).count())
            };
            let verdicts: BTreeSet<bool> = seen.into_iter().map(of).collect();
            let mut next = BTreeSet::new();
            for (firing, streak) in &states {
                for is_so in &verdicts {
                    let streak = if *is_so { (streak + 1).min(hold) } else { 0 };
                    let fires = streak > 0 && (*firing || streak >= hold);
                    let expected: &[&str] = match (*firing, fires) {
                        (false, true) => &["alert.firing"],
                        (true, false) => &["alert.recovered"],
                        _ => &[],
                    };
                    if now == expected {
                        next.insert((fires, streak));
                    }
                }
            }
            assert!(!next.is_empty(), "{end}: {now:?} from {states:?}, counted so: {verdicts:?}\n{rule:#}");
            states = next;
        }
        assert!(judged.is_empty(), "told of windows that nobody could judge: {judged:?}");
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn every_crossing_is_told_and_no_other(steps in prop::collection::vec(step(), 5..40), seed in any::<u64>()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(told_is_what_was(seed, &steps));
    }
}
