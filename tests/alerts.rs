//! Alert rules: a world whose minutes pass when a test says so, and how rules are made, previewed and erased.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aggregate::{StreamEvent, handle};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{HOUR, MINUTE, SECOND, TimeDelta, Timestamp};
use tally_service::alerts::{Ran, run};
use tally_service::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::erase::erase_app;
use crate::harness::{NOW, Reply, Tally, TestApp, at};

/// A receiver of webhooks on a port of the system's choice.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: String,
    /// What came, with the header `webhook-id`.
    pub(crate) got: Arc<Mutex<Vec<(String, Value)>>>,
    /// Their headers `webhook-signature`.
    signatures: Arc<Mutex<Vec<String>>>,
    /// What is answered next; 200 where nothing is said. 0 is no answer at all.
    answers: Arc<Mutex<VecDeque<u16>>>,
    /// Where an answer of 302 leads to.
    pub(crate) elsewhere: Arc<Mutex<String>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let receiver = Self {
            address,
            got: Arc::default(),
            signatures: Arc::default(),
            answers: Arc::default(),
            elsewhere: Arc::default(),
        };
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
        self.signatures.lock().unwrap().push(header(&head, "webhook-signature").unwrap_or_default());
        self.got.lock().unwrap().push((id, serde_json::from_str(&body).unwrap()));
        if answer == 0 {
            std::future::pending::<()>().await;
        }
        let location = match answer {
            302 => format!("location: {}\r\n", self.elsewhere.lock().unwrap()),
            _ => String::new(),
        };
        let reply = format!("HTTP/1.1 {answer} X\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
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

    /// How often each of what came since the last call was signed.
    pub(crate) fn signed(&self) -> Vec<usize> {
        let signatures = std::mem::take(&mut *self.signatures.lock().unwrap());
        signatures.iter().map(|signature| signature.split_whitespace().count()).collect()
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
    /// Those that were counted.
    counted: Vec<Value>,
}

impl World {
    pub(crate) async fn new(shards: u16) -> Self {
        Self::with(shards, Config::default()).await
    }

    pub(crate) async fn with(shards: u16, config: Config) -> Self {
        let receiver = Receiver::start().await;
        Self::of(Tally::telling(&receiver.address, config).await, receiver, shards).await
    }

    pub(crate) async fn of(tally: Tally, receiver: Receiver, shards: u16) -> Self {
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
        Self { tally, app, receiver, seen: 0, waiting: vec![], counted: vec![] }
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
    pub(crate) async fn follow(&mut self) {
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
        self.counted.extend(records.iter().cloned());
        self.hand_over(records).await;
    }

    /// The stream hands over its last records again, and what is new with them.
    pub(crate) async fn replay(&mut self, most: usize) {
        self.follow().await;
        let again = self.counted.len().saturating_sub(most);
        let new = std::mem::take(&mut self.waiting);
        let records: Vec<_> = self.counted[again..].iter().cloned().chain(new.iter().cloned()).collect();
        self.counted.extend(new);
        if !records.is_empty() {
            self.hand_over(records).await;
        }
    }

    async fn hand_over(&self, records: Vec<Value>) {
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
