//! Reports hold what was accepted before they were asked for, though counters follow events by seconds: the newest minutes are
//! read from the events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aggregate::{StreamEvent, handle};
use http::{Method, StatusCode};
use proptest::prelude::*;
use proptest::sample::select;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{DAY, HOUR, MINUTE, Range, SECOND, TimeDelta, Timestamp};
use tally_service::config::Config;

use crate::database::{Database, cases};
use crate::faulty::Fault;
use crate::harness::{NOW, Tally, TestApp, at};

/// How far from now events happen.
const OFFSETS: [TimeDelta; 12] = [
    TimeDelta::ZERO,
    TimeDelta::ZERO,
    TimeDelta::milliseconds(-1),
    TimeDelta::seconds(-9),
    TimeDelta::seconds(-40),
    TimeDelta::seconds(-70),
    TimeDelta::minutes(-3),
    TimeDelta::minutes(-61),
    TimeDelta::hours(-23),
    TimeDelta::seconds(45),
    TimeDelta::minutes(10),
    TimeDelta::hours(20),
];

#[derive(Clone, Debug)]
enum Step {
    /// An event is accepted, so far from now; an error or not.
    Put(TimeDelta, bool),
    /// A person erases an event.
    Erase(usize),
    /// Records of a stream are delivered: from so many before the first that was not, so many; the store may fail after so
    /// many updates.
    Deliver { line: usize, back: usize, count: usize, fails_after: Option<usize> },
    /// A stream shard ends, and another one continues it.
    Roll(usize),
    /// More shards from a future day on.
    Shards(u16),
    /// Time passes.
    Wait(TimeDelta),
    /// Reports are asked for.
    Ask,
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        8 => (1i64..30).prop_map(TimeDelta::seconds),
        3 => (30i64..200).prop_map(TimeDelta::seconds),
        1 => (1i64..16).prop_map(TimeDelta::hours),
    ];
    prop_oneof![
        12 => (select(&OFFSETS[..]), any::<bool>()).prop_map(|(offset, error)| Step::Put(offset, error)),
        2 => (0usize..60).prop_map(Step::Erase),
        8 => (0usize..2, prop_oneof![4 => Just(0usize), 1 => 0usize..20], 1usize..9, prop::option::weighted(0.2, 0usize..8))
            .prop_map(|(line, back, count, fails_after)| Step::Deliver { line, back, count, fails_after }),
        1 => (0usize..2).prop_map(Step::Roll),
        1 => (2u16..4).prop_map(Step::Shards),
        8 => wait.prop_map(Step::Wait),
        5 => Just(Step::Ask),
    ]
}

/// What the client between the functions and the store does.
struct Interference {
    rng: StdRng,
    fails_after: Option<usize>,
    /// Whether reads that are not strong may see what was there before anything was stored.
    stale: bool,
}

impl Interference {
    fn decide(&mut self, operation: &str, body: &Value) -> Fault {
        if operation == "UpdateItem"
            && let Some(left) = &mut self.fails_after
        {
            if *left == 0 {
                return Fault::server_error();
            }
            *left -= 1;
        }
        if operation == "Query" && self.stale && body["ConsistentRead"] != true && self.rng.random() {
            return Fault::Instead(200, json!({"Items": [], "Count": 0, "ScannedCount": 0}));
        }
        Fault::None
    }
}

/// A record of a stream.
struct Delivered {
    stream_shard: String,
    record: Value,
}

/// The records of a stream shard and of those that continue it.
struct Line {
    stream_shard: String,
    records: Vec<Delivered>,
    /// How many are counted for sure.
    done: usize,
}

struct Stored {
    at: Timestamp,
    accepted_at: Timestamp,
    erased_at: Option<Timestamp>,
    is_error: bool,
    name: String,
    id: Value,
}

struct World {
    tally: Tally,
    app: TestApp,
    interference: Arc<Mutex<Interference>>,
    /// Two, both of which have records of each shard of the app, as if DynamoDB had split its partitions.
    lines: [Line; 2],
    seen: usize,
    rolled: usize,
    events: Vec<Stored>,
}

impl World {
    async fn new(seed: u64, retention_days: Option<u32>, tail_budget: f64) -> Self {
        let interference = Interference { rng: StdRng::seed_from_u64(seed), fails_after: None, stale: false };
        let interference = Arc::new(Mutex::new(interference));
        let shared = Arc::clone(&interference);
        let config = Config { tail_budget, ..Config::default() };
        let decide = move |operation: &str, body: &Value| shared.lock().unwrap().decide(operation, body);
        let tally = Tally::failing_as(config, decide).await;
        let new = admin::NewApp { name: "any".into(), shards: Some(2), retention_days, ..Default::default() };
        let app = tally.app_with(new).await;
        let line = |id: &str| Line { stream_shard: id.to_owned(), records: vec![], done: 0 };
        let lines = [line("shardId-1"), line("shardId-2")];
        let mut world = Self { tally, app, interference, lines, seen: 0, rolled: 0, events: vec![] };
        // Each shard has checkpoints of both.
        for _ in 0..12 {
            world.put(-HOUR, false).await;
        }
        for line in 0..2 {
            world.deliver(line, 0, usize::MAX, None).await;
        }
        world
    }

    fn now(&self) -> Timestamp {
        self.tally.clock.now()
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
            let key = record["dynamodb"]["Keys"]["sk"]["S"].as_str().unwrap();
            let line = &mut self.lines[usize::from(key.as_bytes()[key.len() - 1]) % 2];
            line.records.push(Delivered { stream_shard: line.stream_shard.clone(), record });
        }
    }

    async fn put(&mut self, offset: TimeDelta, is_error: bool) {
        let name = format!("e{}", self.events.len());
        let accepted_at = self.now();
        let at = (accepted_at + offset).floor(TimeDelta::milliseconds(1));
        let level = if is_error { "ERROR" } else { "INFO" };
        let event = json!({"name": name, "message": name, "level": level, "count": 2, "timestamp": at.to_string()});
        let reply = self.tally.accept(&self.app, &event).await;
        let id = reply["id"].clone();
        self.events.push(Stored { at, accepted_at, erased_at: None, is_error, name, id });
        self.follow().await;
    }

    async fn erase(&mut self, event: usize) {
        let now = self.now();
        let Some(event) = self.events.get_mut(event).filter(|event| event.erased_at.is_none()) else { return };
        let path = format!("/apps/any/events/{}", event.id.as_str().unwrap());
        let token = self.tally.token(Role::Admin).await;
        let reply = self.tally.call(Method::DELETE, &path, ("x-access-token", &token), String::new()).await;
        // What has expired cannot be erased.
        if reply.status == StatusCode::NO_CONTENT {
            event.erased_at = Some(now);
        }
        self.follow().await;
    }

    async fn deliver(&mut self, line: usize, back: usize, count: usize, fails_after: Option<usize>) {
        let line = &mut self.lines[line];
        // Records live for 24 hours.
        let living = (self.tally.clock.now() - DAY).seconds();
        let is_dead =
            |one: &&Delivered| one.record["dynamodb"]["ApproximateCreationDateTime"].as_i64().unwrap() < living;
        let start = line.done.saturating_sub(back).max(line.records.iter().take_while(is_dead).count());
        let Some(first) = line.records.get(start) else { return };
        let batch = line.records[start..].iter().take(count).take_while(|one| one.stream_shard == first.stream_shard);
        let batch: Vec<_> = batch.map(|one| &one.record).collect();
        let event = json!({"Records": batch, "shardId": first.stream_shard, "window": {}, "state": {}});
        let event: StreamEvent = serde_json::from_value(event).unwrap();
        self.interference.lock().unwrap().fails_after = fails_after;
        let counted = handle(&self.tally.context, event).await;
        self.interference.lock().unwrap().fails_after = None;
        if counted.is_ok() {
            line.done = line.done.max(start + batch.len());
        }
    }

    async fn deliver_all(&mut self) {
        for line in 0..2 {
            while self.lines[line].done < self.lines[line].records.len() {
                self.deliver(line, 0, usize::MAX, None).await;
            }
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Put(offset, error) => self.put(*offset, *error).await,
            Step::Erase(event) => self.erase(*event).await,
            Step::Deliver { line, back, count, fails_after } => {
                self.deliver(*line, *back, *count, *fails_after).await;
            }
            Step::Roll(line) => {
                self.rolled += 1;
                let child = format!("shardId-{line}-{}", self.rolled);
                let parent = std::mem::replace(&mut self.lines[*line].stream_shard, child.clone());
                self.tally.context.store.put_parent(&child, &parent, self.now()).await.unwrap();
            }
            Step::Shards(shards) => {
                let header = ("x-access-token", &*self.tally.token(Role::Admin).await);
                let body = json!({"shards": shards}).to_string();
                let reply = self.tally.call(Method::PATCH, "/apps/any", header, body).await;
                assert!([200, 400].contains(&reply.status.as_u16()), "{}", reply.json);
            }
            Step::Wait(time) => {
                // No record expires before it is counted.
                if *time >= HOUR {
                    // Both sides of the split have records now and then: the checkpoint of a stream shard decides for 30 hours.
                    let before = [0, 1].map(|line: usize| self.lines[line].records.len());
                    while (0..2).any(|line| self.lines[line].records.len() == before[line]) {
                        self.put(TimeDelta::ZERO, false).await;
                    }
                    self.deliver_all().await;
                }
                self.tally.clock.set(self.now() + *time);
            }
            Step::Ask => self.check().await,
        }
    }

    async fn check(&self) {
        self.interference.lock().unwrap().stale = true;
        let now = self.now();
        let (mut since, mut until) = (at(NOW) - 2 * DAY, now + 2 * DAY);
        let all = Range::new(since, until).unwrap();
        if let Some(some) = self.events.get(usize::try_from(now.seconds()).unwrap() % self.events.len()) {
            (since, until) = (some.at, (now + SECOND).max(some.at));
        }
        let some = Range::new(since, until).unwrap();
        for (path, list, key, range, errors) in [
            ("/stats/by-name?limit=1000", "items", "name", Some(all), false),
            ("/stats/by-name?limit=1000", "items", "name", Some(some), false),
            ("/stats/by-name?level=ERROR", "items", "name", Some(all), true),
            ("/reports/period?tz=UTC", "by_name", "name", None, false),
            ("/stats/totals?limit=1000", "items", "name", None, false),
            ("/stats/top-messages?limit=100", "items", "message", Some(all), false),
            ("/stats/top-messages?limit=100", "items", "message", Some(some), false),
            // From events: all of them, or those of the minutes that the counters name.
            ("/stats/groups?attr=name&limit=1000&level=ERROR", "items", "value", Some(all), true),
            ("/stats/groups?attr=name&limit=1000", "items", "value", Some(some), false),
            ("/stats/groups?attr=name&limit=1000", "items", "value", Some(all), false),
        ] {
            let (range, bounds) = match range {
                Some(range) => (range, format!("&since={}&until={}", range.since(), range.until())),
                None if path.starts_with("/reports") => (all, format!("&from={}&to={}", all.since(), all.until())),
                None => (Range::ALL, String::new()),
            };
            let asked = format!("{path}{bounds}");
            let reply = self.tally.ask(&self.app, &asked).await;
            self.hold(&asked, &reply, list, key, range, errors);
        }
        self.interference.lock().unwrap().stale = false;
    }

    /// Checks what a reply may and must hold.
    fn hold(&self, asked: &str, reply: &Value, list: &str, key: &str, range: Range, errors: bool) {
        let counted_to = at(reply["counted_to"].as_str().unwrap());
        let live_from = reply["live_from"].as_str().map(at);
        let reads_events = asked.contains("attr=");
        assert!(live_from.is_some() || !reads_events || range.until() <= counted_to, "{asked} {reply}");
        assert!(counted_to <= self.now());
        // A part of a minute whose events have expired is counted with all of its minute, and the reply says so.
        let bound = |names: [&str; 2]| at(names.iter().find_map(|name| reply[name].as_str()).unwrap());
        let range = if reply["widened"] == true {
            Range::new(bound(["since", "from"]), bound(["until", "to"])).unwrap()
        } else {
            range
        };
        let items = reply[list].as_array().unwrap().iter();
        let mut counts: BTreeMap<_, _> =
            items.map(|item| (item[key].as_str().unwrap(), item["count"].clone())).collect();
        // Texts of messages are looked for in events.
        for hidden in ["(expired)", "(not read)"] {
            if counts.remove(hidden).is_some() {
                return;
            }
        }
        for event in &self.events {
            let count = counts.remove(&*event.name);
            let wanted = range.contains(event.at) && (event.is_error || !errors);
            let is_live = live_from.is_some_and(|from| from <= event.at);
            // What happened before is read from events as it was a moment ago.
            let is_counted = !reads_events && event.accepted_at < counted_to;
            let must = wanted && event.erased_at.is_none() && (is_counted || is_live);
            let gone = event.erased_at.is_some_and(|erased| is_live || erased < counted_to);
            let about = format!("{} of {} at {}: {asked} {reply}", event.name, event.at, self.now());
            match count {
                Some(count) => assert!(count == 2 && wanted && !gone, "too much: {about}"),
                None => assert!(!must, "too little: {about}"),
            }
        }
        assert!(counts.is_empty(), "{counts:?}");
    }
}

proptest! {
    #![proptest_config(cases(10))]

    #[test]
    fn a_report_holds_what_it_says(
        steps in prop::collection::vec(step(), 20..70),
        retention in select(vec![None, Some(1), Some(3)]),
        // The whole tail fits, or never, or hardly.
        budget in select(vec![600.0, 600.0, 0.0, 1.5]),
        seed in any::<u64>(),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(Database::is_embedded()).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed, retention, budget).await;
            for step in &steps {
                world.step(step).await;
            }
            world.check().await;
            world.deliver_all().await;
            world.tally.clock.set(world.now() + 10 * MINUTE);
            world.check().await;
        });
    }
}

/// The total of the day, by name and by message.
async fn totals(tally: &Tally, app: &TestApp) -> [Value; 4] {
    let overview = tally.ask(app, "/stats/overview?since=today").await;
    let all = tally.ask(app, "/stats/totals").await;
    [
        tally.ask(app, "/reports/day?date=today").await["total"].clone(),
        overview["total"].clone(),
        overview["messages"][0]["count"].clone(),
        all["items"][0]["count"].clone(),
    ]
}

#[tokio::test]
async fn a_report_contains_an_event_once_it_is_accepted() {
    // Three shards, so that the tail has three; the stream is counted now and then.
    let mut tally = Tally::start().await;
    let new = admin::NewApp { name: "shop".into(), shards: Some(3), ..admin::NewApp::default() };
    let app = tally.app_with(new).await;
    // On a server a round takes as long as fifty here.
    let rounds = if Database::is_embedded() { 1_000 } else { 50 };
    for round in 1..=rounds {
        tally.accept(&app, &json!({"name": "a", "message": "m"})).await;
        let reply = tally.ask(&app, "/reports/day?date=today").await;
        assert_eq!(reply["total"], round, "{reply}");
        assert!(reply["live_from"].is_string(), "{reply}");
        if round % 50 == 0 {
            assert_eq!(totals(&tally, &app).await, [json!(round), json!(round), json!(round), json!(round)]);
            // Now and then the stream is counted, and a minute ends.
            if round % 100 == 0 {
                tally.drain().await;
            }
            tally.clock.set(tally.clock.now() + 67 * SECOND);
        }
    }
}

#[tokio::test]
async fn what_is_before_the_newest_minutes_says_nothing_of_them() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "a"})).await;
    for (path, live) in [
        ("/reports/day?date=yesterday", false),
        ("/stats/by-name?until=2026-11-21T10:00:00Z", false),
        ("/stats/top-messages?until=2026-11-21T10:00:00Z", false),
        ("/stats/by-name?until=2026-11-21T10:08:00Z", true),
        ("/reports/month?date=today", true),
        ("/stats/overview", true),
        ("/stats/totals", true),
        ("/stats/top-messages", true),
        ("/histogram?date=today&format=json", true),
    ] {
        let reply = tally.ask(&app, path).await;
        let expected = if live { json!("2026-11-21T10:06:00Z") } else { Value::Null };
        assert_eq!(reply["live_from"], expected, "{path}");
    }
    // Events that are read one by one need no margin.
    for (path, live) in [
        ("/stats/overview?user_id=u", true),
        ("/stats/groups?attr=plan", true),
        ("/stats/groups?attr=plan&level=ERROR", true),
        ("/stats/groups?attr=plan&until=2026-11-21T10:08:00Z", false),
        ("/stats/groups?attr=plan&session_id=s", false),
    ] {
        let reply = tally.ask(&app, path).await;
        let expected = if live { json!("2026-11-21T10:08:00Z") } else { Value::Null };
        assert_eq!(reply["live_from"], expected, "{path}");
    }
    let picture = tally.get(&app, "/histogram?date=today&format=svg").await;
    assert_eq!(picture.headers["tally-live-from"], "2026-11-21T10:06:00Z");
}

#[tokio::test]
async fn more_than_the_budget_allows_comes_from_counters() {
    let tally = Tally::with(Config { tail_budget: 10.0, ..Config::default() }).await;
    let app = tally.app("shop").await;
    let events = |n: usize| (0..n).map(|_| json!({"name": "a"})).collect::<Value>();
    tally.accept(&app, &events(50)).await;
    let reply = tally.ask(&app, "/reports/day?date=today").await;
    assert_eq!((&reply["total"], reply["live_from"].is_string()), (&json!(50), true));
    // Nothing tells how many they are, until they are read.
    tally.accept(&app, &events(450)).await;
    let before = tally.usage().read_units;
    let reply = tally.ask(&app, "/reports/day?date=today").await;
    assert_eq!((&reply["total"], reply.get("live_from")), (&json!(0), None));
    assert!(tally.usage().read_units - before < 60.0);
}

#[tokio::test]
async fn stream_shards_that_continue_others_neither_freeze_nor_run_ahead() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = tally.clock.now();
    let mut sequence = 0;
    let mut counted = async |shard: &str, hours: i64| {
        sequence += 1;
        let time = base + hours * HOUR;
        let record = json!({"eventName": "INSERT", "dynamodb": {
            "ApproximateCreationDateTime": time.seconds(), "SequenceNumber": sequence.to_string(),
            "NewImage": {"pk": {"S": "shop#0"}, "sk": {"S": tally_core::event::id::EventId::of_client_id(time, "x").to_string()},
                "name": {"S": "a"}, "slug": {"S": "a"}},
        }});
        let event = json!({"Records": [record], "shardId": shard, "window": {}, "state": {}});
        handle(&tally.context, serde_json::from_value(event).unwrap()).await.unwrap();
    };
    let counted_to = async || at(tally.ask(&app, "/stats/by-name").await["counted_to"].as_str().unwrap());
    tally.clock.set(base + 12 * HOUR);
    counted("a", 0).await;
    assert_eq!(counted_to().await, base.floor(SECOND));
    tally.context.store.put_parent("b", "a", base).await.unwrap();
    counted("b", 4).await;
    assert_eq!(counted_to().await, (base + 4 * HOUR).floor(SECOND), "a is counted to its end");
    // By one in between that had nothing of this app.
    tally.context.store.put_parent("c", "b", base).await.unwrap();
    tally.context.store.put_parent("d", "c", base).await.unwrap();
    counted("d", 12).await;
    assert_eq!(counted_to().await, (base + 12 * HOUR).floor(SECOND));
    // Another child of b is behind.
    tally.context.store.put_parent("e", "b", base).await.unwrap();
    counted("e", 9).await;
    assert_eq!(counted_to().await, (base + 9 * HOUR).floor(SECOND));
    // Nothing of it can come any more.
    tally.clock.set(base + 50 * HOUR);
    counted("d", 40).await;
    assert_eq!(counted_to().await, (base + 40 * HOUR).floor(SECOND));
}
