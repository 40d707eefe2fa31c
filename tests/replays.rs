//! Records of a stream count once, however the stream is delivered: replayed, split differently, overlapping, after
//! later records, by several aggregators at once, over a store that fails, while layouts change and items become full.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregate::{StreamEvent, handle};
use futures::future::join_all;
use http::Method;
use proptest::prelude::*;
use proptest::sample::select;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tally_core::app::layout::{Layout, Paged};
use tally_core::app::partition::Partition;
use tally_core::app::role::Role;
use tally_core::counter::cell::{Cell, CounterLabel};
use tally_core::counter::folding::{Contribution, contributions};
use tally_core::counter::item::CountedEvent;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::counter::property::{CountedPath, Property};
use tally_core::event::group::Grouping;
use tally_core::event::id::EventId;
use tally_core::event::level::Level;
use tally_core::time::bucket::Granularity;
use tally_core::time::{DAY, HOUR, MINUTE, Timestamp};

use crate::counts::{Counts, Sums, all_partitions};
use crate::database::{Database, cases};
use crate::faulty::Fault;
use crate::harness::{NOW, Tally, TestApp, at};

/// The times of the events of a history, in minutes from the beginning. Each of two stream shards has every other
/// event.
const TIMES: [i64; 12] = [-1800, -90, -90, -1, 0, 0, 600, 1400, 2400, 3600, 3601, 6000];
/// The path whose values are counted.
const PATH: &str = "user.plan";
/// How long DynamoDB keeps a record of a stream. Nothing older is delivered.
const RECORD_LIFE: i64 = 24;
/// The longest time that a write stays in progress after its caller sees the connection drop.
const LATEST: Duration = Duration::from_millis(400);

#[derive(Clone, Debug)]
struct Contents {
    name: &'static str,
    level: Option<Level>,
    message: Option<&'static str>,
    fingerprint: Option<&'static str>,
    /// What its data has at the counted path, if it has data.
    plan: Option<&'static str>,
    count: u64,
}

/// A value that is too long to be counted by itself.
const LONG: &str = concat!(
    "long ................................................................................................................",
    "......................................................................................................................",
    "......................................................................................................................",
);

/// Records of one stream shard, from so many before the first that was never delivered, so many.
#[derive(Clone, Debug)]
struct Delivery {
    partition: usize,
    back: usize,
    count: usize,
}

/// How the store fails in a delivery: after so many updates, like this.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Refusing,
    Losing,
    Late,
}

#[derive(Clone, Debug)]
enum Step {
    /// An event is stored, or stored again.
    Put(usize, Contents),
    /// A person erases an event.
    Erase(usize),
    /// An event expires.
    Expire(usize),
    /// A record that cannot be parsed.
    Poison(usize, usize),
    /// Batches are delivered concurrently, each to its own aggregator.
    Deliver(Vec<Delivery>, Option<(usize, Failure)>),
    /// A stream shard ends, and a new one continues it.
    Split(usize),
    /// The counter items of an event become full.
    Full(usize),
    /// More pages from a future day on.
    Pages,
    /// More shards from a future day on.
    Shards(u16),
    /// Hours pass.
    Wait(i64),
}

fn contents() -> impl Strategy<Value = Contents> {
    let levels = vec![None, Some(Level::Info), Some(Level::Error)];
    let messages = vec![None, Some("timed out after 5 s"), Some("timed out after 7 s"), Some("refused")];
    let fingerprints = vec![None, None, Some("own"), Some("{{ default }}")];
    let plans = vec![None, Some("pro"), Some("a|b"), Some(LONG)];
    (select(vec!["a", "b", "c|d", "e"]), select(levels), select(messages), select(fingerprints), select(plans), 1u64..4)
        .prop_map(|(name, level, message, fingerprint, plan, count)| Contents {
            name,
            level,
            message,
            fingerprint,
            plan,
            count,
        })
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let back = prop_oneof![3 => Just(0usize), 2 => 0usize..6, 1 => 0usize..60];
    (0usize..2, back, 1usize..12).prop_map(|(partition, back, count)| Delivery { partition, back, count })
}

fn step() -> impl Strategy<Value = Step> {
    let event = || 0..TIMES.len();
    let failure = select(vec![Failure::Refusing, Failure::Losing, Failure::Late]);
    prop_oneof![
        16 => (event(), contents()).prop_map(|(event, contents)| Step::Put(event, contents)),
        3 => event().prop_map(Step::Erase),
        1 => event().prop_map(Step::Expire),
        1 => (0usize..2, 0usize..3).prop_map(|(stream, how)| Step::Poison(stream, how)),
        8 => (prop::collection::vec(delivery(), 1..4), prop::option::of((0usize..20, failure)))
            .prop_map(|(deliveries, failure)| Step::Deliver(deliveries, failure)),
        1 => (0usize..2).prop_map(Step::Split),
        1 => event().prop_map(Step::Full),
        1 => Just(Step::Pages),
        1 => (2u16..4).prop_map(Step::Shards),
        2 => (4i64..20).prop_map(Step::Wait),
    ]
}

/// A stream shard.
struct Stream {
    id: String,
    /// Which of two partitions of Events writes to it.
    partition: usize,
    records: Vec<Value>,
    /// How many are counted for sure: the next batch begins here or before.
    done: usize,
    /// The stream shard that must be finished first.
    parent: Option<usize>,
}

/// What the client between the aggregators and the store does.
struct Interference {
    rng: StdRng,
    failure: Option<(usize, Failure)>,
    /// Items of a kind and granularity that the store rejects permanently, by the beginning of their sort keys.
    refused: Option<&'static str>,
}

impl Interference {
    fn decide(&mut self, operation: &str, body: &Value) -> Fault {
        let sort = body["Key"]["sk"]["S"].as_str().unwrap_or_default();
        if operation == "UpdateItem" && self.refused.is_some_and(|refused| sort.starts_with(refused)) {
            return Fault::error(400, "ValidationException");
        }
        if !["UpdateItem", "PutItem"].contains(&operation) {
            return Fault::None;
        }
        if let Some((left, failure)) = &mut self.failure {
            if *left == 0 {
                return match failure {
                    Failure::Refusing => Fault::server_error(),
                    Failure::Losing => Fault::Dropped { run: true },
                    Failure::Late => Fault::Late(LATEST.mul_f64(self.rng.random_range(0.0..1.0))),
                };
            }
            *left -= 1;
        }
        // So that concurrent aggregators overtake each other in every way.
        if Database::is_embedded() {
            Fault::Slow(Duration::from_millis(self.rng.random_range(0..20)))
        } else {
            Fault::None
        }
    }
}

/// When a record was created, in Unix seconds.
fn created(record: &Value) -> i64 {
    record["dynamodb"]["ApproximateCreationDateTime"].as_i64().expect("a time")
}

/// What is stored under a key.
#[derive(Clone, Debug)]
struct Stored {
    event: CountedEvent,
    image: Value,
}

struct World {
    tally: Tally,
    app: TestApp,
    interference: Arc<Mutex<Interference>>,
    streams: Vec<Stream>,
    /// The stream shard that each of two partitions of Events currently writes to.
    open: [usize; 2],
    stored: BTreeMap<usize, Stored>,
    sequence: u128,
    /// By shard of the app: one cell of one hour may lie in the items of several.
    expected: BTreeMap<Partition, Counts>,
    /// Counter items that a record changed.
    touched: BTreeSet<CounterKey>,
    poisons: usize,
    full: bool,
}

impl World {
    async fn new(seed: u64, refused: Option<&'static str>) -> Self {
        let interference = Interference { rng: StdRng::seed_from_u64(seed), failure: None, refused };
        let interference = Arc::new(Mutex::new(interference));
        let shared = Arc::clone(&interference);
        let tally = Tally::failing(move |operation, body| shared.lock().unwrap().decide(operation, body)).await;
        let counted = vec![CountedPath::parse(PATH).unwrap()];
        let app = tally.app_with(admin::NewApp { name: "any".into(), counted, ..admin::NewApp::default() }).await;
        let stream =
            |id: &str, partition| Stream { id: id.to_owned(), partition, records: vec![], done: 0, parent: None };
        Self {
            tally,
            app,
            interference,
            streams: vec![stream("shardId-1", 0), stream("shardId-2", 1)],
            open: [0, 1],
            stored: BTreeMap::new(),
            // So that numbers of more digits follow.
            sequence: 80,
            expected: BTreeMap::new(),
            touched: BTreeSet::new(),
            poisons: 0,
            full: false,
        }
    }

    fn record(&mut self, slot: usize, kind: &str, keys: (&Value, &Value), old: Option<&Value>, new: Option<&Value>) {
        self.sequence += 7;
        let mut record = json!({"eventName": kind, "eventSource": "aws:dynamodb", "dynamodb": {
            "ApproximateCreationDateTime": self.tally.clock.now().seconds(),
            "SequenceNumber": self.sequence.to_string(), "Keys": {"pk": keys.0, "sk": keys.1},
        }});
        for (field, image) in [("OldImage", old), ("NewImage", new)] {
            if let Some(image) = image {
                record["dynamodb"][field] = image.clone();
            }
        }
        self.streams[self.open[slot % 2]].records.push(record);
    }

    async fn put(&mut self, slot: usize, contents: &Contents) {
        let time = at(NOW) + TIMES[slot] * MINUTE;
        if time > self.tally.clock.now() + DAY {
            return;
        }
        let layout = self.tally.stored_app(&self.app).await;
        let id = EventId::of_client_id(time, &slot.to_string());
        let partition = Partition { app: layout.id.clone(), shard: layout.layout.shard(id) };
        let cell =
            Cell { name: contents.name.to_owned(), slug: "slug".to_owned(), category: None, level: contents.level };
        let mut image = json!({
            "pk": {"S": partition.to_string()}, "sk": {"S": id.to_string()}, "name": {"S": cell.name},
            "slug": {"S": cell.slug}, "count": {"N": contents.count.to_string()},
            "timestamp": {"N": time.micros().to_string()}, "received_at": {"N": time.micros().to_string()},
        });
        if let Some(level) = contents.level {
            image["level"] = json!({"S": level.to_string()});
        }
        if let Some(message) = contents.message {
            image["message"] = json!({"S": message});
        }
        if let Some(fingerprint) = contents.fingerprint {
            image["fingerprint"] = json!({"S": fingerprint});
        }
        let mut value = Some("null".to_owned());
        if let Some(plan) = contents.plan {
            image["data"] = json!({"M": {"user": {"M": {"plan": {"S": plan}}}}});
            value = (plan != LONG).then(|| format!("{plan:?}"));
        }
        let event = CountedEvent {
            properties: vec![Property { path: CountedPath::parse(PATH).unwrap(), value }],
            partition,
            id,
            cell,
            message: contents.message.map(str::to_owned),
            fingerprint: contents.fingerprint.map(str::to_owned),
            count: contents.count,
            received_at: Timestamp::EPOCH,
        };
        let before = self.stored.insert(slot, Stored { event: event.clone(), image: image.clone() });
        self.count(before.as_ref().map(|before| &before.event), Some(&event));
        let kind = if before.is_some() { "MODIFY" } else { "INSERT" };
        let old = before.map(|before| before.image);
        self.record(slot, kind, (&image["pk"], &image["sk"]), old.as_ref(), Some(&image));
    }

    /// Counts a change independently.
    fn count(&mut self, old: Option<&CountedEvent>, new: Option<&CountedEvent>) {
        // Only for the names of items, without their pages.
        let layout = Layout::new(1, None).grouped(Grouping::Template1);
        let mut changes: BTreeMap<(CounterKey, CounterLabel), i64> = BTreeMap::new();
        for (event, sign) in old.map(|old| (old, -1)).into_iter().chain(new.map(|new| (new, 1))) {
            let count = sign * i64::try_from(event.count).unwrap();
            let expected = self.expected.entry(event.partition.clone()).or_default();
            expected.add(event.id.at(), &event.cell, event.grouped(), &event.properties, count);
            for Contribution { key, counted, each } in contributions(event, &layout) {
                *changes.entry((key, counted)).or_default() += count * each;
            }
        }
        changes.retain(|_, change| *change != 0);
        self.touched.extend(changes.into_keys().map(|(key, _)| key));
    }

    fn remove(&mut self, slot: usize, expired: bool) {
        let Some(stored) = self.stored.remove(&slot) else { return };
        if !expired {
            self.count(Some(&stored.event), None);
        }
        let image = &stored.image;
        self.record(slot, "REMOVE", (&image["pk"], &image["sk"]), Some(image), None);
        if expired {
            let record = self.streams[self.open[slot % 2]].records.last_mut().unwrap();
            record["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
        }
    }

    fn poison(&mut self, stream: usize, how: usize) {
        self.poisons += 1;
        let mut image = json!({"pk": {"S": "any#0"}, "sk": {"S": "01M7YHX3000000000000000000"}, "name": {"S": "a"},
            "slug": {"S": "a"}});
        match how {
            0 => image["name"] = json!({"N": "5"}),
            1 => image["count"] = json!({"N": "-1"}),
            _ => image["sk"] = json!({"S": "no identity"}),
        }
        self.record(stream, "INSERT", (&image["pk"], &image["sk"]), None, Some(&image));
    }

    /// Delivers batches concurrently. Counted batches advance their stream shard.
    async fn deliver(&mut self, deliveries: &[Delivery]) {
        let mut ranges = vec![];
        for delivery in deliveries {
            // Of a partition's stream shards the newest that may be read; a replay of long ago may be of the oldest.
            let is_done = |stream: usize| self.streams[stream].done == self.streams[stream].records.len();
            let may_be_read = |stream: &Stream| stream.parent.is_none_or(is_done);
            let all = self.streams.iter().enumerate();
            let of_partition = all.filter(|(_, s)| s.partition == delivery.partition && may_be_read(s));
            let may_be_read: Vec<usize> = of_partition.map(|(i, _)| i).collect();
            let index = if delivery.back > 20 { may_be_read[0] } else { may_be_read[may_be_read.len() - 1] };
            let stream = &self.streams[index];
            let start = stream.done.saturating_sub(delivery.back).max(self.first_living(index));
            let end = (start + delivery.count).min(stream.records.len());
            if start < end {
                ranges.push((index, start, end));
            }
        }
        let (streams, tally) = (&self.streams, &self.tally);
        let handled = ranges.iter().map(async |(index, start, end)| {
            let stream = &streams[*index];
            handle(&tally.context, batch(&stream.id, &stream.records[*start..*end])).await.is_ok()
        });
        let done = join_all(handled).await;
        for ((index, _, end), done) in ranges.into_iter().zip(done) {
            if done {
                self.streams[index].done = self.streams[index].done.max(end);
            }
        }
    }

    async fn step(&mut self, step: &Step) {
        let now = self.tally.clock.now();
        match step {
            Step::Put(slot, contents) => self.put(*slot, contents).await,
            Step::Erase(slot) => self.remove(*slot, false),
            Step::Expire(slot) => self.remove(*slot, true),
            Step::Poison(stream, how) => self.poison(*stream, *how),
            Step::Deliver(deliveries, failure) => {
                self.interference.lock().unwrap().failure = *failure;
                self.deliver(deliveries).await;
                self.interference.lock().unwrap().failure = None;
            }
            Step::Split(which) => {
                let id = format!("shardId-{}", self.streams.len() + 1);
                let parent = Some(self.open[*which]);
                self.streams.push(Stream { id, partition: *which, records: vec![], done: 0, parent });
                self.open[*which] = self.streams.len() - 1;
            }
            Step::Full(slot) => {
                let Some(stored) = self.stored.get(slot) else { return };
                self.full = true;
                let layout = self.tally.stored_app(&self.app).await.layout;
                for Contribution { key, .. } in contributions(&stored.event, &layout) {
                    // An item that the store rejects cannot be full.
                    let set = self.tally.context.store.set_full(&key).await;
                    assert!(set.is_ok() || self.interference.lock().unwrap().refused.is_some(), "{set:?}");
                }
            }
            Step::Pages => {
                let app = self.tally.stored_app(&self.app).await;
                let paged = if app.layout.entries().len() % 2 == 0 { Paged::Cells } else { Paged::Properties };
                if let Some(layout) = app.layout.with_more_pages(paged, now) {
                    assert!(self.tally.context.store.append_layout(&app, &layout).await.unwrap());
                }
            }
            Step::Shards(shards) => {
                let header = ("x-access-token", &*self.tally.token(Role::Admin).await);
                let body = json!({"shards": shards}).to_string();
                let reply = self.tally.call(Method::PATCH, "/apps/any", header, body).await;
                assert!([200, 400].contains(&reply.status.as_u16()), "{}", reply.json);
            }
            Step::Wait(hours) => {
                let then = now + *hours * HOUR;
                if self.oldest_undelivered().is_some_and(|oldest| oldest + RECORD_LIFE * HOUR < then) {
                    self.deliver_rest().await;
                }
                // None lands after hours. After days, the checkpoint that refuses it is gone.
                self.tally.late_writes().await;
                self.tally.clock.set(then);
            }
        }
    }

    /// The first record of a stream shard that has not expired.
    fn first_living(&self, stream: usize) -> usize {
        let from = self.tally.clock.now() - RECORD_LIFE * HOUR;
        self.streams[stream].records.iter().take_while(|record| created(record) < from.seconds()).count()
    }

    fn oldest_undelivered(&self) -> Option<Timestamp> {
        let next = self.streams.iter().filter_map(|stream| stream.records.get(stream.done));
        next.map(created).min().map(Timestamp::from_seconds)
    }

    async fn deliver_rest(&mut self) {
        for i in 0..self.streams.len() {
            self.deliver_from(i, self.streams[i].done, 9).await;
            self.streams[i].done = self.streams[i].records.len();
        }
    }

    async fn deliver_from(&self, stream: usize, first: usize, size: usize) {
        let stream = &self.streams[stream];
        for part in stream.records[first..].chunks(size) {
            handle(&self.tally.context, batch(&stream.id, part)).await.expect("counted");
        }
    }

    /// Delivers the rest, and then everything that is left of the stream again in other batches.
    async fn finish(&mut self) {
        self.deliver_rest().await;
        for i in 0..self.streams.len() {
            self.deliver_from(i, self.first_living(i), 5).await;
        }
        self.tally.late_writes().await;
    }

    async fn check(&self, refused: Option<(CounterKind, Granularity)>) {
        let is_refused =
            |kind: CounterKind, granularity: Granularity| refused.is_some_and(|refused| refused == (kind, granularity));
        let app = self.tally.stored_app(&self.app).await;
        for partition in all_partitions(&app) {
            let mut stored = Counts::stored_in(&self.tally, &partition).await.0;
            assert!(stored.keys().all(|(kind, bucket, _)| !is_refused(*kind, bucket.granularity())));
            let mut expected = self.expected.get(&partition).cloned().unwrap_or_default().0;
            expected.retain(|(kind, bucket, _), _| !is_refused(*kind, bucket.granularity()));
            if self.full {
                // What a full item has no room for is counted at its level, and what it has is counted whole.
                for (key, count) in &stored {
                    assert!(
                        matches!(key.2, CounterLabel::Other(_) | CounterLabel::OtherValues(..))
                            || expected.get(key) == Some(count),
                        "{partition} {key:?} {count}"
                    );
                }
                (stored, expected) = (by_level(stored), by_level(expected));
            }
            assert_eq!(stored, expected, "{partition}");
        }

        let aside = self.tally.context.store.list_dead_letters(Some(&app.id), None).await.unwrap().0;
        let (refusals, poisons): (Vec<_>, Vec<_>) =
            aside.iter().partition(|record| record.error.contains("ValidationException"));
        assert_eq!(poisons.len(), self.poisons, "each once: {poisons:?}");
        let named = |key: &str| key.rsplit_once('#').map(|(bucket, _)| bucket.split_once(' ').unwrap().1.to_owned());
        let refusals: BTreeSet<_> = refusals.into_iter().filter_map(|record| named(&record.keys)).collect();
        let touched = self.touched.iter().filter(|key| is_refused(key.kind, key.bucket.granularity()));
        let touched: BTreeSet<_> = touched.filter_map(|key| named(&tally_store::counter_keys(key))).collect();
        assert_eq!(refusals, touched, "set aside");
    }
}

/// The counts of all cells, or groups, of a level together. A full item has no rest for the marks of groups.
fn by_level(counts: Sums) -> Sums {
    let mut sums = Sums::new();
    let counts = counts.into_iter().filter(|((.., counted), _)| !matches!(counted, CounterLabel::Marks(..)));
    for ((kind, bucket, counted), count) in counts {
        let rest = counted.of_rest().expect("only marks have none");
        *sums.entry((kind, bucket, rest)).or_default() += count;
    }
    sums.retain(|_, count| *count != 0);
    sums
}

fn batch(shard: &str, records: &[Value]) -> StreamEvent {
    serde_json::from_value(json!({"Records": records, "shardId": shard, "window": {}, "state": {}})).unwrap()
}

/// What the store may reject permanently.
const REFUSED: [(&str, CounterKind, Granularity); 4] = [
    ("dm#", CounterKind::Messages, Granularity::Day),
    ("h#", CounterKind::Cells, Granularity::Hour),
    ("me#", CounterKind::Errors, Granularity::Minute),
    ("hp#", CounterKind::Properties, Granularity::Hour),
];

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn any_delivery_of_a_stream_counts_each_record_once(
        steps in prop::collection::vec(step(), 20..80),
        refused in prop::option::weighted(0.2, select(&REFUSED[..])),
        seed in any::<u64>(),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(Database::is_embedded()).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed, refused.map(|(sort, ..)| sort)).await;
            for step in &steps {
                world.step(step).await;
            }
            world.finish().await;
            world.check(refused.map(|(_, kind, granularity)| (kind, granularity))).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_aggregators_count_each_record_once() {
    // There are records, and no events.
    let tally = Tally::of_counters().await;
    let app = tally.app("shop").await;
    let id = |n: i64| EventId::of_client_id(at(NOW) - n * MINUTE, "x");
    let record = |sequence: i64, shard: i64| {
        json!({"eventName": "INSERT", "dynamodb": {
            "ApproximateCreationDateTime": at(NOW).seconds(), "SequenceNumber": (sequence * 10 + shard).to_string(),
            "NewImage": {"pk": {"S": "shop#0"}, "sk": {"S": id(sequence % 3).to_string()}, "name": {"S": format!("n{}", sequence % 5)},
                "slug": {"S": "n"}, "message": {"S": "m"}},
        }})
    };
    let streams = [1, 2].map(|shard| (1..=200).map(|n| record(n, shard)).collect::<Vec<_>>());
    for round in 0..8 {
        let mut handled = vec![];
        for (stream, records) in ["shardId-1", "shardId-2"].iter().zip(&streams) {
            // The batch that is due, by two at once; its first half; and an old one.
            for records in [0..25, 0..25, 0..12, -20..5].map(|part| {
                let at = |offset: i32| usize::try_from((round * 25 + offset).max(0)).unwrap();
                &records[at(part.start)..at(part.end)]
            }) {
                let (context, event) = (Arc::clone(&tally.context), batch(stream, records));
                handled.push(tokio::spawn(async move { handle(&context, event).await }));
            }
        }
        for handled in handled {
            handled.await.unwrap().expect("counted");
        }
    }
    let names = tally.ask(&app, "/stats/by-name?since=2026-11-21&until=2026-11-22").await;
    let counts: Vec<_> = names["items"].as_array().unwrap().iter().map(|item| &item["count"]).collect();
    assert_eq!(counts, [80; 5]);
    let stored = Counts::stored(&tally, &app).await.0;
    let total: i64 = stored.iter().filter(|((kind, ..), _)| *kind == CounterKind::Messages).map(|(_, n)| n).sum();
    assert_eq!(total, 3 * 400, "in each granularity");
}
