//! Whatever the store does to its requests, accepted events are stored, and the counters equal what is stored.
//!
//! A seed determines what clients send, when it is counted, and the fault of each request. `TALLY_SEEDS=5000 cargo test
//! -p end-to-end faults` runs that many seeds, `TALLY_SEED=17` runs one seed. On the embedded database, time stands
//! still while a task can run and jumps when all tasks wait, so timeouts and back-offs take no real time. Requests to a
//! server wait in real time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join;
use http::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tally_core::counter::property::CountedPath;
use tally_core::time::SECOND;

use crate::counts::Counts;
use crate::database::Database;
use crate::faulty::Fault;
use crate::harness::{NOW, Reply, Tally, TestApp, assert_problem, at};

/// How many times a client retries before the store recovers.
const TRIES: usize = 4;
/// Operations that fail.
const OPERATIONS: [&str; 5] = ["PutItem", "BatchWriteItem", "UpdateItem", "GetItem", "Query"];

/// Operations that fail and write nothing.
const READS: [&str; 2] = ["GetItem", "Query"];
/// Names of all faults.
const KINDS: [&str; 11] = [
    "throttled",
    "server error",
    "unavailable",
    "lost",
    "dropped",
    "dropped after",
    "silent",
    "silent after",
    "cut short",
    "partial",
    "late",
];

/// The faults of a seed. The fault of a request depends on the request and on how many times it was sent before, not on
/// the order of concurrent requests.
struct Plan {
    seed: u64,
    /// The probability of a fault, by operation.
    rates: HashMap<&'static str, f64>,
    on: bool,
    tries: HashMap<String, u32>,
    /// How many times each fault affected each operation.
    hits: BTreeMap<(String, &'static str), usize>,
}

type SharedPlan = Arc<Mutex<Plan>>;

impl Plan {
    fn new(seed: u64, rng: &mut StdRng) -> Self {
        let rates = OPERATIONS.map(|operation| (operation, *[0.0, 0.05, 0.2, 0.5].choose(rng).unwrap()));
        Self { seed, rates: rates.into(), on: false, tries: HashMap::new(), hits: BTreeMap::new() }
    }

    fn decide(&mut self, operation: &str, body: &Value) -> Fault {
        let Some(rate) = self.rates.get(operation).filter(|_| self.on) else { return Fault::None };
        let request = format!("{operation} {}", target(body));
        let tries = self.tries.entry(request.clone()).or_default();
        *tries += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, request, *tries).hash(&mut hasher);
        let mut rng = StdRng::seed_from_u64(hasher.finish());
        if !rng.random_bool(*rate) {
            return Fault::None;
        }
        let writes = !READS.contains(&operation);
        let (name, fault) = match rng.random_range(0..12) {
            0 | 1 => ("throttled", Fault::throttled()),
            2 => ("server error", Fault::server_error()),
            3 => ("unavailable", Fault::error(503, "ServiceUnavailable")),
            4 => ("lost", Fault::Lost),
            5 => ("dropped", Fault::Dropped { run: false }),
            6 => ("dropped after", Fault::Dropped { run: true }),
            // Silence lasts until a timeout, and a test on a server does not wait for it.
            7 if !Database::is_embedded() => ("dropped", Fault::Dropped { run: false }),
            8 if !Database::is_embedded() => ("dropped after", Fault::Dropped { run: true }),
            7 => ("silent", Fault::Silent { run: false }),
            8 => ("silent after", Fault::Silent { run: true }),
            9 => ("cut short", Fault::CutShort),
            10 if operation == "BatchWriteItem" => ("partial", Fault::Partial(rng.random())),
            _ if writes => ("late", Fault::Late(latest().mul_f64(rng.random_range(0.0..1.0)))),
            _ => ("throttled", Fault::error(400, "ThrottlingException")),
        };
        *self.hits.entry((operation.to_owned(), name)).or_default() += 1;
        fault
    }
}

/// The longest time that a request stays in progress after its caller sees the connection drop.
fn latest() -> Duration {
    if Database::is_embedded() { Duration::from_secs(5) } else { Duration::from_millis(200) }
}

/// Identifies a request without its random parts.
fn target(body: &Value) -> String {
    let who = |item: &Value| item["client_id"]["S"].as_str().or(item["user_id"]["S"].as_str()).map(str::to_owned);
    if let Some(tables) = body["RequestItems"].as_object() {
        let puts = tables.values().flat_map(|puts| puts.as_array().unwrap());
        let mut all: Vec<_> = puts.filter_map(|put| who(&put["PutRequest"]["Item"])).collect();
        all.sort_unstable();
        return all.join(" ");
    }
    // Queries have no key. The values of an update are omitted, because they contain the creation time of its records.
    let key = if body["Key"].is_null() { &body["ExpressionAttributeValues"] } else { &body["Key"] };
    who(&body["Item"]).unwrap_or_else(|| key.to_string())
}

/// An event that a client sends.
#[derive(Clone, Debug)]
struct Sent {
    body: Value,
    /// Identifies it in the test.
    who: String,
    /// Whether it has an id, so that it can be resent.
    has_id: bool,
}

/// What a client knows about its events.
#[derive(Default)]
struct Known {
    /// Accepted, by name.
    accepted: BTreeSet<String>,
    /// All bodies that were sent under a name.
    sent: BTreeMap<String, Vec<Sent>>,
}

struct World {
    tally: Tally,
    app: TestApp,
    plan: SharedPlan,
    rng: StdRng,
    known: Known,
    /// Whether the app has more than one shard.
    is_sharded: bool,
    /// Long names, which make items expensive and give the app more pages.
    wide: bool,
}

fn set(plan: &SharedPlan, on: bool) {
    plan.lock().unwrap().on = on;
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let plan = Arc::new(Mutex::new(Plan::new(seed, &mut rng)));
        let shared = Arc::clone(&plan);
        let tally = Tally::failing(move |operation, body| shared.lock().unwrap().decide(operation, body)).await;
        let shards = *[1, 1, 1, 2].choose(&mut rng).unwrap();
        let counted = vec![CountedPath::parse("plan").unwrap()];
        let new = admin::NewApp { name: "any".into(), shards: Some(shards), counted, ..admin::NewApp::default() };
        let app = tally.app_with(new).await;
        let wide = rng.random_bool(0.05);
        Self { tally, app, plan, rng, known: Known::default(), is_sharded: shards > 1, wide }
    }

    /// An event: new, or one that was sent before with the same id and other contents.
    fn event(&mut self) -> Sent {
        let rng = &mut self.rng;
        let n = self.known.sent.len();
        let before: Vec<_> = self.known.sent.values().filter_map(|sent| sent.first()).filter(|s| s.has_id).collect();
        let again = before.choose(rng).filter(|_| rng.random_bool(0.15)).map(|sent| (*sent).clone());
        // Without an id the rest of its identity is random, and so its shard would be random too.
        let has_id = again.is_some() || self.is_sharded || rng.random_bool(0.85);
        let who = again.as_ref().map_or_else(|| format!("e{n}"), |sent| sent.who.clone());
        let name = if self.wide { format!("{n}{}", "x".repeat(230)) } else { format!("n{}", rng.random_range(0..4)) };
        let mut pick = |texts: &[&'static str]| *texts.choose(rng).unwrap();
        let minute = pick(&["2026-11-20T23:59", "2026-11-21T00:00"]);
        let mut body = json!({
            "name": name, "level": pick(&["INFO", "ERROR", ""]), "category": pick(&["web", ""]),
            "message": pick(&["timed out", "refused", "", ""]), "session_id": pick(&["s1", ""]),
            "data": {"plan": pick(&["pro", "free"])},
            "timestamp": format!("{minute}:{:02}Z", rng.random_range(0..60)), "count": rng.random_range(1..4),
        });
        body[if has_id { "id" } else { "user_id" }] = json!(who);
        if let Some(again) = again {
            body["timestamp"] = again.body["timestamp"].clone();
        }
        let sent = Sent { body, who: who.clone(), has_id };
        self.known.sent.entry(who).or_default().push(sent.clone());
        sent
    }

    /// A client sends a request, and resends what the reply asks it to resend.
    async fn send(&mut self) {
        let count = match self.rng.random_range(0..4) {
            0 => 1,
            1 | 2 => self.rng.random_range(2..8),
            _ => self.rng.random_range(26..32),
        };
        let waiting: BTreeMap<String, Sent> =
            (0..count).map(|_| self.event()).map(|sent| (sent.who.clone(), sent)).collect();
        let mut waiting: Vec<Sent> = waiting.into_values().collect();
        let by_count = count == 1 && waiting[0].has_id && self.rng.random_bool(0.3);
        if by_count {
            // A count has only a name, a time and a number.
            let body = waiting[0].body.as_object_mut().unwrap();
            body.retain(|field, _| ["name", "timestamp", "count", "id"].contains(&&**field));
            let all = self.known.sent.get_mut(&waiting[0].who).unwrap();
            *all.last_mut().unwrap() = waiting[0].clone();
        }
        for attempt in 0..=TRIES {
            if attempt == TRIES {
                set(&self.plan, false);
            }
            let twice = self.rng.random_bool(0.15);
            let spoilt = !by_count && self.rng.random_bool(0.1);
            let first = self.request(&waiting, by_count, spoilt);
            // A client that did not wait for the response, or a proxy that sent the request twice.
            let verdicts = if twice && waiting.iter().all(|sent| sent.has_id) {
                let (one, other) = join(first, self.request(&waiting, by_count, spoilt)).await;
                one.iter().zip(other).map(|(one, other)| *one || other).collect()
            } else {
                first.await
            };
            for (sent, accepted) in std::mem::take(&mut waiting).into_iter().zip(verdicts) {
                if accepted {
                    self.known.accepted.insert(sent.who);
                } else if sent.has_id {
                    waiting.push(sent);
                }
            }
            if waiting.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(waiting.is_empty(), "not accepted by a store that is well: {waiting:?}");
        set(&self.plan, true);
    }

    /// Sends events in one request, possibly with an invalid one. Returns for each whether it was accepted. If not,
    /// checks that the reply says what a client needs to resend it.
    async fn request(&self, events: &[Sent], by_count: bool, spoilt: bool) -> Vec<bool> {
        if let [sent] = events
            && !spoilt
        {
            let reply = if by_count { self.count(&sent.body).await } else { self.post(&sent.body).await };
            if reply.status != StatusCode::CREATED {
                assert_unavailable(&reply);
                return vec![false];
            }
            assert_eq!(reply.json["name"], sent.body["name"]);
            return vec![true];
        }
        let mut bodies: Vec<_> = events.iter().map(|sent| sent.body.clone()).collect();
        if spoilt {
            bodies.push(json!({"name": "bad", "level": "LOUD"}));
        }
        let reply = self.post(&json!(bodies)).await;
        if ![StatusCode::CREATED, StatusCode::MULTI_STATUS].contains(&reply.status) {
            assert_unavailable(&reply);
            return vec![false; events.len()];
        }
        let ids = reply.json["ids"].as_array().unwrap();
        let rejected = reply.json["rejected"].as_array().cloned().unwrap_or_default();
        assert_eq!(reply.status == StatusCode::CREATED, rejected.is_empty(), "{}", reply.json);
        assert_eq!(ids.iter().filter(|id| id.is_string()).count(), reply.json["accepted"]);
        let mut to_retry: Vec<_> = (0..bodies.len()).filter(|i| ids[*i].is_null()).collect();
        let told = |rejected: &Value| (rejected["index"].as_u64().unwrap(), rejected["retry"].as_bool().unwrap());
        let told: BTreeMap<_, _> = rejected.iter().map(told).collect();
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), to_retry.iter().map(|i| *i as u64).collect::<Vec<_>>());
        if spoilt {
            assert_eq!(to_retry.pop(), Some(events.len()));
        }
        assert!(to_retry.iter().all(|i| told[&(*i as u64)]), "{}", reply.json);
        ids.iter().take(events.len()).map(Value::is_string).collect()
    }

    async fn post(&self, body: &Value) -> Reply {
        self.tally.ingest(&self.app, body).await
    }

    async fn count(&self, body: &Value) -> Reply {
        let text = |field: &str| body[field].as_str().unwrap();
        let (name, id, timestamp) = (text("name"), text("id"), text("timestamp"));
        let path = format!("/apps/any/count/{name}/{}?id={id}&timestamp={timestamp}", body["count"]);
        self.tally.call(Method::POST, &path, ("x-ingest-key", &self.app.ingest_key), "").await
    }

    /// Counts what is stored, as far as the faults allow. May be killed midway.
    async fn count_some(&mut self) {
        if self.rng.random_bool(0.5) {
            // The function no longer remembers the app.
            self.tally.clock.set(self.tally.clock.now() + 61 * SECOND);
        }
        let rounds = self.rng.random_range(1..3);
        for _ in 0..rounds {
            let generation = Duration::from_millis(*[100, 1_000, 600_000].choose(&mut self.rng).unwrap());
            let _ = tokio::time::timeout(generation, self.tally.try_drain()).await;
        }
    }

    /// The answer to a query is either correct or an error.
    async fn ask(&self, total: i64) {
        let reply = self.tally.get(&self.app, "/stats/by-level?since=2026-11-20&until=2026-11-22").await;
        if reply.status != StatusCode::OK {
            return assert_unavailable(&reply);
        }
        let items = reply.json["items"].as_array().unwrap();
        assert_eq!(items.iter().map(|item| item["count"].as_i64().unwrap()).sum::<i64>(), total);
    }

    async fn run(mut self) -> BTreeMap<(String, &'static str), usize> {
        self.tally.clock.set(at(NOW));
        set(&self.plan, true);
        for _ in 0..self.rng.random_range(2..5) {
            self.send().await;
            self.tally.clock.set(self.tally.clock.now() + self.rng.random_range(0..40) * SECOND);
            if self.rng.random_bool(0.5) {
                self.count_some().await;
            }
        }
        // Requests still in progress complete.
        tokio::time::sleep(latest()).await;
        self.tally.late_writes().await;
        self.count_some().await;
        tokio::time::sleep(latest()).await;
        self.tally.late_writes().await;
        set(&self.plan, false);
        self.tally.drain().await;

        let stored = self.tally.list(&self.app, "limit=1000&consistent=true").await;
        let mut seen = BTreeSet::new();
        for event in &stored {
            let who = event["client_id"].as_str().or(event["user_id"].as_str()).unwrap();
            assert!(seen.insert(who.to_owned()), "{who} is stored twice");
            let sent = &self.known.sent[who];
            assert!(sent.iter().any(|sent| sent.body["name"] == event["name"]), "{event} was not sent");
        }
        let missing: Vec<_> = self.known.accepted.difference(&seen).collect();
        assert!(missing.is_empty(), "accepted, and not stored: {missing:?}");
        assert!(self.known.sent.values().flatten().all(|sent| !sent.has_id || seen.contains(&sent.who)));
        let expected = Counts::of_events(&stored);
        assert_eq!(Counts::stored(&self.tally, &self.app).await, expected);
        let app = self.tally.stored_app(&self.app).await;
        assert!(app.layout.entries().len() <= 2, "more pages once, and not for each try");
        for id in [Some(&app.id), None] {
            assert_eq!(
                self.tally.context.store.list_dead_letters(id, None).await.unwrap().0,
                vec![],
                "a fault that passes"
            );
        }

        set(&self.plan, true);
        let total = stored.iter().map(|event| event["count"].as_i64().unwrap()).sum();
        for _ in 0..2 {
            self.ask(total).await;
        }
        let plan = self.plan.lock().unwrap();
        plan.hits.clone()
    }
}

#[track_caller]
fn assert_unavailable(reply: &Reply) {
    assert_problem(reply, 503, &[]);
    assert!(reply.headers.contains_key("retry-after"));
}

/// Prints on panic how to run the seed again.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again: TALLY_SEED={} cargo test -p end-to-end faults_by_seed", self.0);
        }
    }
}

#[test]
fn counters_equal_stored_events_equal_accepted_events_under_any_faults() {
    let number = |name: &str| Some(std::env::var(name).ok()?.parse::<u64>().expect("a number"));
    let seeds = match number("TALLY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TALLY_SEEDS").unwrap_or(if Database::is_embedded() { 100 } else { 5 }),
    };
    let mut hits: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
    for seed in seeds.clone() {
        let _named = Named(seed);
        // Of the SDK's back-off.
        fastrand::seed(seed);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(Database::is_embedded()).build().expect("a runtime");
        for (hit, count) in runtime.block_on(async { World::new(seed).await.run().await }) {
            *hits.entry(hit).or_default() += count;
        }
    }
    for kind in KINDS {
        let operations: &[&str] = match kind {
            "partial" => &["BatchWriteItem"],
            "late" => &["PutItem", "BatchWriteItem", "UpdateItem"],
            "silent" | "silent after" if !Database::is_embedded() => continue,
            _ => &OPERATIONS,
        };
        let mut hit = operations.iter().map(|operation| hits.contains_key(&((*operation).to_owned(), kind)));
        let met = match seeds.end - seeds.start {
            // Too few to cover everything.
            ..100 => true,
            100..1_000 => hit.any(|hit| hit),
            1_000.. => hit.all(|hit| hit),
        };
        assert!(met, "{kind} did not hit all of {operations:?}: {hits:?}");
    }
}
