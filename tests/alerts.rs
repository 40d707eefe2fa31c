//! Alert rules: judged each minute by what is counted, told once, never invented and never hidden by a lag.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregate::{StreamEvent, handle};
use http::{Method, StatusCode};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{HOUR, MINUTE, SECOND, TimeDelta, Timestamp};
use tally_service::alerts::{Ran, run};
use tally_service::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::database::cases;
use crate::erase::erase_app;
use crate::faulty::Fault;
use crate::harness::{NOW, Reply, Tally, TestApp, at};

/// A receiver of webhooks on a port of the system's choice.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: String,
    /// What came, with the header `webhook-id`.
    got: Arc<Mutex<Vec<(String, Value)>>>,
    /// What is answered next; 200 where nothing is said. 0 is no answer at all.
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let receiver = Self { address, got: Arc::default(), answers: Arc::default() };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(own.clone().answer(stream));
            }
        });
        receiver
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        let (head, body) = loop {
            let n = stream.read(&mut buffer).await.unwrap();
            if n == 0 {
                return;
            }
            read.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&read).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length: usize = header(head, "content-length").unwrap_or_default().parse().unwrap_or(0);
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        };
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(200);
        let id = header(&head, "webhook-id").unwrap_or_default();
        self.got.lock().unwrap().push((id, serde_json::from_str(&body).unwrap()));
        if answer == 0 {
            std::future::pending::<()>().await;
        }
        let reply = format!("HTTP/1.1 {answer} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(reply.as_bytes()).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn answers(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// What came since the last call: types and values.
    pub(crate) fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.got.lock().unwrap())
    }

    /// The types of what came since the last call.
    pub(crate) fn types(&self) -> Vec<String> {
        self.take().iter().map(|(_, body)| body["type"].as_str().unwrap().to_owned()).collect()
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// A Tally whose stream is counted when a test says so, and whose minutes pass when it says so.
pub(crate) struct World {
    pub(crate) tally: Tally,
    pub(crate) app: TestApp,
    pub(crate) receiver: Receiver,
    /// The records of the stream that were seen so far.
    seen: usize,
    /// Those that are not counted yet.
    waiting: Vec<Value>,
}

impl World {
    pub(crate) async fn new(shards: u16) -> Self {
        Self::with(shards, Config::default()).await
    }

    pub(crate) async fn with(shards: u16, config: Config) -> Self {
        let receiver = Receiver::start().await;
        Self::of(Tally::telling(&receiver.address, config).await, receiver, shards).await
    }

    async fn of(tally: Tally, receiver: Receiver, shards: u16) -> Self {
        Self::since(at(NOW).floor(MINUTE), tally, receiver, shards).await
    }

    /// One that begins 15 s after a time.
    pub(crate) async fn starting(time: Timestamp, shards: u16) -> Self {
        let receiver = Receiver::start().await;
        Self::since(time, Tally::telling(&receiver.address, Config::default()).await, receiver, shards).await
    }

    async fn since(time: Timestamp, tally: Tally, receiver: Receiver, shards: u16) -> Self {
        tally.clock.set(time + 15 * SECOND);
        let new = admin::NewApp { name: "shop".into(), shards: Some(shards), ..admin::NewApp::default() };
        let app = tally.app_with(new).await;
        Self { tally, app, receiver, seen: 0, waiting: vec![] }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.tally.clock.now()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Reply {
        let token = self.tally.token(Role::Admin).await;
        let path = format!("/apps/shop/alerts{path}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.tally.call(method, &path, ("x-access-token", &token), body).await
    }

    /// Makes a rule with a webhook, and returns its id.
    pub(crate) async fn rule(&self, mut fields: Value) -> String {
        fields["channels"] = json!([{"type": "webhook", "url": self.receiver.url()}]);
        let reply = self.call(Method::POST, "", fields).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
        reply.json["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn read(&self, id: &str) -> Value {
        let reply = self.call(Method::GET, &format!("/{id}"), Value::Null).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
        reply.json
    }

    pub(crate) async fn change(&self, id: &str, fields: Value) {
        let reply = self.call(Method::PATCH, &format!("/{id}"), fields).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    }

    /// Sends some errors, so long ago.
    pub(crate) async fn errors(&mut self, n: usize, ago: TimeDelta) {
        let timestamp = (self.now() - ago).floor(SECOND).to_string();
        let event = json!({"name": "failed", "level": "ERROR", "message": "timed out", "timestamp": timestamp});
        let events: Vec<_> = (0..n).map(|_| event.clone()).collect();
        self.tally.accept(&self.app, &Value::Array(events)).await;
        self.follow().await;
    }

    /// Takes over what the stream has new, as if it had been stored at the time of the clock.
    async fn follow(&mut self) {
        let mut records = vec![];
        for event in self.tally.peek().await {
            let mut event: Value = serde_json::from_str(&event).unwrap();
            records.append(event["Records"].as_array_mut().unwrap());
        }
        for mut record in records.drain(self.seen.min(records.len())..) {
            self.seen += 1;
            record["dynamodb"]["ApproximateCreationDateTime"] = self.now().seconds().into();
            self.waiting.push(record);
        }
    }

    /// Counts everything that was stored.
    pub(crate) async fn count(&mut self) {
        self.follow().await;
        let records = std::mem::take(&mut self.waiting);
        if records.is_empty() {
            return;
        }
        let event = json!({"Records": records, "shardId": "shardId-1", "window": {}, "state": {}});
        let event: StreamEvent = serde_json::from_value(event).unwrap();
        handle(&self.tally.context, event).await.unwrap();
    }

    pub(crate) async fn run(&self) -> Ran {
        run(&self.tally.context, &self.tally.sender, self.now()).await.unwrap()
    }

    /// A minute passes, in which the stream is not counted.
    pub(crate) async fn minute_without_counting(&mut self) -> Ran {
        self.tally.clock.set(self.now() + MINUTE);
        let ran = self.run().await;
        self.follow().await;
        ran
    }

    /// A minute passes, and what was stored is counted.
    pub(crate) async fn minute(&mut self) -> Ran {
        let ran = self.minute_without_counting().await;
        self.count().await;
        ran
    }

    pub(crate) async fn minutes(&mut self, n: usize) {
        for _ in 0..n {
            self.minute().await;
        }
    }
}

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
    assert_eq!((&told[0].1["type"], &told[0].1["data"]["value"]), (&json!("alert.firing"), &json!(3)));
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
    assert_eq!(told[0].1["data"]["value"], 100);
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
            futures::future::join3(world.run(), world.run(), world.run()).await;
            world.count().await;
        }
        assert_eq!(world.receiver.types(), ["alert.firing", "alert.recovered"]);
        world.errors(1, TimeDelta::ZERO).await;
    }
}

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

#[tokio::test]
async fn a_rule_that_is_wrong_is_refused_by_its_fields() {
    let world = World::new(1).await;
    let good = || json!({"window": "5m", "condition": {"above": 20}});
    for (change, field) in [
        (json!({"window": "8d"}), "window"),
        (json!({"window": "30s"}), "window"),
        (json!({"window": null}), "window"),
        (json!({"condition": {}}), "condition"),
        (json!({"condition": {"above": -1}}), "condition.above"),
        (json!({"condition": {"below": 0}}), "condition.below"),
        (json!({"condition": {"above": 1, "below": 2}}), "condition"),
        (json!({"condition": {"changes_by": 10}}), "condition.against"),
        (json!({"condition": {"changes_by": 10, "against": "2d"}}), "condition.against"),
        (json!({"condition": {"new_thing": true}}), "condition.new_thing"),
        (json!({"for": "61m"}), "for"),
        (json!({"renotify": "1m"}), "renotify"),
        (json!({"snoozed_until": "soon"}), "snoozed_until"),
        (json!({"enabled": "yes"}), "enabled"),
        (json!({"name": "x".repeat(101)}), "name"),
        (json!({"filter": {"user_id": "ann"}}), "filter.user_id"),
        (json!({"filter": {"level": "LOUD"}}), "filter.level"),
        (json!({"filter": {"name": "a", "group": "m0123456789abcdef"}}), "filter.group"),
        (json!({"channels": [{"type": "pager"}]}), "channels.0.type"),
        (json!({"channels": [{"type": "webhook", "url": "http://example.com/"}]}), "channels.0.url"),
        (json!({"channels": [{"type": "webhook", "url": "https://127.0.0.1/"}]}), "channels.0.url"),
        (json!({"channels": [{"type": "email", "to": ["nobody"]}]}), "channels.0.to"),
        (json!({"channels": [{"id": "0123456789ab"}]}), "channels.0.id"),
        (json!({"channels": vec![json!({"type": "slack"}); 6]}), "channels"),
        (json!({"color": "red"}), "color"),
    ] {
        let mut body = good();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = world.call(Method::POST, "", body).await;
        crate::harness::assert_problem(&reply, 400, &[field]);
    }
    for (method, path) in [(Method::GET, "/0123456789ab"), (Method::DELETE, "/x"), (Method::POST, "/0123456789ab/test")]
    {
        let reply = world.call(method, path, Value::Null).await;
        crate::harness::assert_problem(&reply, 404, &[]);
    }
    let reply = world.call(Method::GET, "/preview", Value::Null).await;
    assert_eq!((reply.status.as_u16(), reply.headers["allow"].as_bytes()), (405, &b"POST"[..]));
}

#[tokio::test]
async fn an_app_has_at_most_100_rules() {
    let world = World::new(1).await;
    let rule = || json!({"window": "5m", "condition": {"above": 20}});
    let mut last = String::new();
    for _ in 0..100 {
        let reply = world.call(Method::POST, "", rule()).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
        last = reply.json["id"].as_str().unwrap().to_owned();
    }
    let reply = world.call(Method::POST, "", rule()).await;
    crate::harness::assert_problem(&reply, 409, &[]);
    let reply = world.call(Method::DELETE, &format!("/{last}"), Value::Null).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(world.call(Method::GET, &format!("/{last}"), Value::Null).await.status, StatusCode::NOT_FOUND);
    let reply = world.call(Method::POST, "", rule()).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let list = world.call(Method::GET, "", Value::Null).await;
    assert_eq!(list.json["items"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_preview_tells_when_a_rule_would_have_fired() {
    let mut world = World::new(2).await;
    world.tally.clock.set(world.now() + 24 * HOUR);
    for ago in [30, 29, 10, 9] {
        world.errors(3, i64::from(ago) * MINUTE).await;
    }
    world.tally.clock.set(world.now() + MINUTE);
    world.tally.accept(&world.app, &json!({"name": "page"})).await;
    world.count().await;
    let preview = async |fields: Value| world.call(Method::POST, "/preview", fields).await;
    let asked = json!({"filter": {"level": "ERROR"}, "window": "5m", "condition": {"above": 3}, "days": 1});
    let reply = preview(asked).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    let fired = reply.json["would_have_fired"].as_array().unwrap();
    assert_eq!(
        (fired.len(), &fired[0]["value"], &reply.json["complete"]),
        (2, &json!(6), &json!(true)),
        "{}",
        reply.json
    );
    let length = |fired: &Value| at(fired["to"].as_str().unwrap()) - at(fired["from"].as_str().unwrap());
    assert_eq!(length(&fired[0]), 4 * MINUTE);
    let reply = preview(json!({"window": "12h", "condition": {"above": 11}})).await;
    assert_eq!(reply.json["would_have_fired"].as_array().unwrap().len(), 1, "{}", reply.json);
    let list = world.call(Method::GET, "", Value::Null).await.json["items"].clone();
    assert_eq!(list.as_array().unwrap().len(), 2, "nothing is kept beside the rules that an app has from the start");
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

#[tokio::test]
async fn erasing_an_app_erases_its_rules_and_what_they_told() {
    let receiver = Receiver::start().await;
    let mut tally = Tally::telling(&receiver.address, Config::default()).await;
    let app = tally.app("shop").await;
    let token = tally.token(Role::Admin).await;
    let channels = json!([{"type": "webhook", "url": receiver.url()}]);
    let rule = json!({"window": "1m", "condition": {"below": 1}, "channels": channels});
    let made = tally.call(Method::POST, "/apps/shop/alerts", ("x-access-token", &token), rule.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let id = tally.stored_app(&app).await.id;
    for _ in 0..3 {
        tally.clock.set(tally.clock.now() + MINUTE);
        run(&tally.context, &tally.sender, tally.clock.now()).await.unwrap();
        tally.drain().await;
    }
    let store = tally.context.store.clone();
    let rules = store.alert_rules(&id).await.unwrap().rules;
    assert_eq!(store.alert_history(&id, &rules[0].rule.id).await.unwrap().len(), 1);
    erase_app(&mut tally).await;
    assert_eq!(store.alert_rules(&id).await.unwrap(), tally_store::AppRules::default());
    assert_eq!(store.alert_history(&id, &rules[0].rule.id).await.unwrap(), []);
    let ran = run(&tally.context, &tally.sender, tally.clock.now()).await.unwrap();
    assert_eq!(ran, Ran::default());
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
    /// So many errors, each so many seconds ago: later than 10 s after its time nothing of the server's clock is stored.
    Errors(usize, i64),
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

/// Evaluators at once; some end after so many turns.
async fn evaluate(world: &World, evaluators: usize, crash_after: Option<usize>) {
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
            _ = run(&world.tally.context, &world.tally.sender, world.now()) => {}
            () = ends => {}
        }
    });
    futures::future::join_all(each).await;
}

/// The rules of a history: how they are sent, and whether they fire with so many errors in so many minutes, for so many minutes.
type Asked = (Value, i64, u32, fn(usize) -> bool);

async fn told_is_what_was(seed: u64, steps: &[Step]) {
    let interference = Arc::new(Mutex::new(Interference { rng: StdRng::seed_from_u64(seed), is_on: false }));
    let shared = Arc::clone(&interference);
    let receiver = Receiver::start().await;
    let decide = move |operation: &str, _: &Value| shared.lock().unwrap().decide(operation);
    let tally = Tally::failing_as(Config::default(), decide).await.allowing(&receiver.address);
    let mut world = World::of(tally, receiver, 2).await;
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
    let mut errors: Vec<Timestamp> = vec![];
    let set = |on: bool| interference.lock().unwrap().is_on = on;
    for step in steps {
        match step {
            Step::Errors(n, ago) => {
                let time = (world.now() - *ago * SECOND).floor(SECOND);
                world.errors(*n, world.now() - time).await;
                errors.extend(std::iter::repeat_n(time, *n));
            }
            Step::Seconds(n) => world.tally.clock.set(world.now() + *n * SECOND),
            Step::Minute { evaluators, crash_after } => {
                world.tally.clock.set(world.now() + MINUTE);
                set(true);
                evaluate(&world, *evaluators, *crash_after).await;
                set(false);
                world.count().await;
            }
            Step::Pause(minutes) => {
                for _ in 0..*minutes {
                    world.tally.clock.set(world.now() + MINUTE);
                    set(true);
                    evaluate(&world, 1, None).await;
                    set(false);
                    world.follow().await;
                }
                world.count().await;
            }
            Step::Answer(status) => world.receiver.answers(&[*status]),
        }
    }
    // Everything is judged and told in the end; what was refused is tried again for up to an hour.
    world.minutes(4).await;
    for _ in 0..8 {
        world.tally.clock.set(world.now() + 20 * MINUTE);
        world.run().await;
        world.count().await;
    }
    world.minutes(3).await;
    let mut told = BTreeMap::new();
    for (id, body) in world.receiver.take() {
        let known = told.entry(id).or_insert_with(|| body.clone());
        assert_eq!(known["data"], body["data"], "one id, one notification");
    }
    for (id, (_, minutes, hold, fires)) in ids.iter().zip(asked) {
        let rule = world.read(id).await;
        let judged = told.values().filter(|body| body["data"]["alert"] == **id);
        let mut judged: Vec<_> = judged
            .map(|body| {
                (at(body["data"]["window"]["until"].as_str().unwrap()), body["type"].as_str().unwrap().to_owned())
            })
            .collect();
        judged.sort();
        let (mut expected, mut firing, mut streak, mut end) = (vec![], false, 0, made_at);
        while end + 3 * MINUTE < world.now() {
            end += MINUTE;
            let count = errors.iter().filter(|time| end - minutes * MINUTE <= **time && **time < end).count();
            streak = if fires(count) { streak + 1 } else { 0 };
            let fires = streak > 0 && (firing || streak >= hold);
            if fires != firing {
                firing = fires;
                let kind = if firing { "alert.firing" } else { "alert.recovered" };
                expected.push((end, kind.to_owned()));
            }
        }
        assert_eq!(judged, expected, "{rule:#}");
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
