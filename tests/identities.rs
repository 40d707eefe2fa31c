//! Somebody who is anonymous first and signs in later is one person.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::body::Body;
use http::{Method, Request, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use tally_core::app::layout::EventIndexes;
use tally_core::people::identities::Identity;
use tally_core::time::{DAY, MINUTE, SECOND};
use tally_service::apps::create::NewApp;
use tally_service::config::Config;

use crate::database::cases;
use crate::harness::{NOW, Tally, TestApp, assert_problem, at, column};

const RANGE: &str = "since=2026-11-20T00:00:00Z&until=2026-11-22T00:00:00Z";

async fn people(tally: &Tally, app: &TestApp) -> Value {
    let reply = tally.ask(app, &format!("/stats/groups?{RANGE}&attr=shop")).await;
    reply["items"][0]["people"].clone()
}

async fn funnel(tally: &Tally, app: &TestApp, body: &Value) -> Value {
    let path = format!("/apps/{}/funnels", app.slug);
    let reply = tally.call(Method::POST, &path, ("x-read-key", &app.read_key), body.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    reply.json
}

/// The people at each step from `view` to `buy`.
async fn reached(tally: &Tally, app: &TestApp, by: &str) -> Vec<u64> {
    let body = json!({"steps": [{"name": "view"}, {"name": "buy"}], "by": by, "within": "7d",
        "since": "2026-11-20T00:00:00Z", "until": "2026-11-22T00:00:00Z"});
    let reply = funnel(tally, app, &body).await;
    reply["steps"].as_array().unwrap().iter().map(|step| step["people"].as_u64().unwrap()).collect()
}

async fn post(tally: &Tally, app: &TestApp, path: &str, body: &Value) {
    let request = Request::post(format!("/k/{}{path}", app.ingest_key)).header("content-type", "application/json");
    let (parts, reply) = tally.raw(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(parts.status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&reply));
}

fn time(second: u64) -> String {
    format!("2026-11-21T09:00:{second:02}.123Z")
}

/// What a client sends when somebody looks, signs in and buys: a path, and its body.
#[allow(clippy::too_many_lines)] // a table
fn visits() -> Vec<(&'static str, &'static str, Value)> {
    let posthog = |second: u64, event: &str, properties: Value| {
        json!({"uuid": format!("00000000-0000-4000-8000-0000000000{second:02}"), "event": event, "timestamp": time(second),
            "properties": properties})
    };
    let segment = |second: u64, kind: &str, more: Value| {
        let mut call = json!({"type": kind, "messageId": format!("m{second}"), "timestamp": time(second)});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call
    };
    let mixpanel = |second: u64, event: &str, properties: Value| {
        let mut event =
            json!({"event": event, "properties": {"$insert_id": format!("i{second}"), "time": 1_795_251_600 + second}});
        event["properties"].as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        event
    };
    vec![
        (
            "PostHog",
            "/batch/",
            json!({"batch": [
                posthog(1, "view", json!({"distinct_id": "a"})),
                posthog(2, "$identify", json!({"distinct_id": "ann", "$anon_distinct_id": "a"})),
                posthog(3, "buy", json!({"distinct_id": "ann"})),
            ]}),
        ),
        (
            "PostHog, where who has not signed in has no profile",
            "/batch/",
            json!({"batch": [
                posthog(1, "view", json!({"distinct_id": "a", "$session_id": "s1", "$process_person_profile": false})),
                posthog(2, "$identify", json!({"distinct_id": "ann", "$anon_distinct_id": "a", "$session_id": "s1"})),
                posthog(3, "buy", json!({"distinct_id": "ann", "$session_id": "s2"})),
            ]}),
        ),
        (
            "PostHog's alias",
            "/batch/",
            json!({"batch": [
                posthog(1, "view", json!({"distinct_id": "a"})),
                posthog(2, "$create_alias", json!({"distinct_id": "a", "alias": "ann"})),
                posthog(3, "buy", json!({"distinct_id": "ann"})),
            ]}),
        ),
        (
            "Segment's identify",
            "/v1/batch",
            json!({"batch": [
                segment(1, "track", json!({"event": "view", "anonymousId": "a"})),
                segment(2, "identify", json!({"anonymousId": "a", "userId": "ann"})),
                segment(3, "track", json!({"event": "buy", "userId": "ann"})),
            ]}),
        ),
        (
            "Segment's alias",
            "/v1/batch",
            json!({"batch": [
                segment(1, "track", json!({"event": "view", "userId": "a"})),
                segment(2, "alias", json!({"previousId": "a", "userId": "ann", "anonymousId": "other"})),
                segment(3, "track", json!({"event": "buy", "userId": "ann"})),
            ]}),
        ),
        (
            "any call of Segment with both ids",
            "/v1/batch",
            json!({"batch": [
                segment(1, "track", json!({"event": "view", "anonymousId": "a"})),
                segment(3, "track", json!({"event": "buy", "anonymousId": "a", "userId": "ann"})),
            ]}),
        ),
        (
            "Mixpanel",
            "/import",
            json!([
                mixpanel(1, "view", json!({"distinct_id": "a"})),
                mixpanel(2, "$identify", json!({"distinct_id": "ann", "$anon_distinct_id": "a"})),
                mixpanel(3, "buy", json!({"distinct_id": "ann", "$user_id": "ann"})),
            ]),
        ),
        (
            "Mixpanel's import",
            "/import",
            json!([
                mixpanel(1, "view", json!({"distinct_id": "a"})),
                mixpanel(2, "$identify", json!({"$identified_id": "ann", "$anon_id": "a"})),
                mixpanel(3, "buy", json!({"distinct_id": "ann"})),
            ]),
        ),
        (
            "Mixpanel's alias",
            "/import",
            json!([
                mixpanel(1, "view", json!({"distinct_id": "ann"})),
                mixpanel(2, "$create_alias", json!({"distinct_id": "ann", "alias": "Ann"})),
                mixpanel(3, "buy", json!({"distinct_id": "Ann"})),
            ]),
        ),
        (
            "Mixpanel with both ids",
            "/import",
            json!([
                mixpanel(1, "view", json!({"distinct_id": "$device:d", "$device_id": "d"})),
                mixpanel(3, "buy", json!({"distinct_id": "ann", "$user_id": "ann", "$device_id": "d"})),
            ]),
        ),
    ]
}

#[tokio::test]
async fn who_signs_in_is_one_person_whatever_the_client() {
    let mut tally = Tally::start().await;
    for (n, (client, path, body)) in visits().into_iter().enumerate() {
        let app = tally.app(&format!("shop{n}")).await;
        post(&tally, &app, path, &body).await;
        tally.drain().await;
        assert_eq!(reached(&tally, &app, "user").await, [1, 1], "{client}");
    }
    let app = tally.app("native").await;
    let events = json!([
        {"name": "view", "user_id": "a", "timestamp": time(1)},
        {"name": "$identify", "user_id": "ann", "data": {"anonymous_id": "a"}, "timestamp": time(2)},
        {"name": "buy", "user_id": "ann", "timestamp": time(3)},
    ]);
    tally.accept(&app, &events).await;
    assert_eq!(reached(&tally, &app, "user").await, [1, 0], "not counted yet");
    tally.drain().await;
    assert_eq!(reached(&tally, &app, "user").await, [1, 1]);
    let next = tally.ask(&app, &format!("/stats/next?{RANGE}&name=view")).await;
    assert_eq!((&next["people"], &next["items"][0]["name"]), (&json!(1), &json!("$identify")));
    let retention = tally.ask(&app, &format!("/stats/retention?{RANGE}&interval=DAY")).await;
    let began: u64 = retention["cohorts"].as_array().unwrap().iter().map(|one| one["people"].as_u64().unwrap()).sum();
    assert_eq!(began, 1, "{retention}");
    let body = json!({"steps": [{"name": "view"}, {"name": "buy"}], "step": 2, "since": "2026-11-21T00:00:00Z"});
    let path = "/apps/native/funnels/people";
    let listed = tally.call(Method::POST, path, ("x-read-key", &app.read_key), body.to_string()).await.json;
    assert_eq!(listed["items"][0]["user_id"], "ann", "{listed}");
    // What an event tells of its user stays as it was sent.
    assert_eq!(tally.list(&app, "user_id=a").await.len(), 1);
}

/// Who has no id yet has a session.
#[tokio::test]
async fn who_signs_in_is_one_person_with_the_session_before() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = json!([
        {"name": "view", "session_id": "anon-1", "timestamp": time(1)},
        {"name": "view", "session_id": "anon-2", "timestamp": time(1)},
        {"name": "$identify", "user_id": "ann", "data": {"anonymous_id": "anon-1"}, "timestamp": time(2)},
        {"name": "sign-up", "user_id": "ann", "session_id": "anon-1", "timestamp": time(3)},
        {"name": "buy", "user_id": "ann", "session_id": "s2", "timestamp": time(4)},
        // Another user on the same device.
        {"name": "buy", "user_id": "bob", "session_id": "anon-1", "timestamp": time(5)},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    assert_eq!(reached(&tally, &app, "user").await, [2, 1]);
    assert_eq!(reached(&tally, &app, "session").await, [2, 1]);
    let counted = tally.ask(&app, &format!("/stats/groups?{RANGE}&attr=name&name=view&name=buy")).await;
    assert_eq!(
        counted["items"].as_array().unwrap().iter().map(|item| item["people"].clone()).collect::<Vec<_>>(),
        [2, 2]
    );
}

/// `ann` has done something as a user, by an alias, and in a session before; `bob` and a stranger as well.
async fn ann_and_others(tally: &mut Tally, index: EventIndexes) -> TestApp {
    let app = tally.app_with(NewApp { name: "shop".to_owned(), shards: Some(2), index, ..NewApp::default() }).await;
    let events = json!([
        {"name": "view", "session_id": "anon-1", "timestamp": time(1), "data": {"n": 1}},
        {"name": "view", "user_id": "a", "session_id": "s1", "timestamp": time(2), "data": {"n": 2}},
        {"name": "$identify", "user_id": "ann", "data": {"anonymous_id": "anon-1"}, "timestamp": time(3)},
        {"name": "$identify", "user_id": "ann", "data": {"anonymous_id": "a"}, "timestamp": time(3)},
        {"name": "buy", "user_id": "ann", "session_id": "s2", "timestamp": time(4), "data": {"n": 4}},
        {"name": "view", "user_id": "ann", "session_id": "anon-1", "timestamp": time(5), "data": {"n": 8}},
        {"name": "view", "user_id": "bob", "session_id": "s3", "timestamp": time(6), "data": {"n": 16}},
        {"name": "buy", "session_id": "s4", "timestamp": time(7), "data": {"n": 32}},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    app
}

#[tokio::test]
async fn a_filter_on_a_user_selects_all_that_the_person_did() {
    for (sessions, users) in [(true, false), (true, true), (false, true), (false, false)] {
        let mut tally = Tally::start().await;
        let app = ann_and_others(&mut tally, EventIndexes { sessions, users }).await;
        for id in ["ann", "a"] {
            let query = format!("{RANGE}&user_id={id}");
            let listed = tally.ask(&app, &format!("/sessions?{query}")).await;
            assert_eq!(column(&listed["items"], "session_id"), ["anon-1", "s2", "s1"], "{id} {sessions} {users}");
            let statistics = tally.ask(&app, &format!("/stats/sessions?{query}")).await;
            assert_eq!(statistics["total"], 3);
            let numbers = tally.ask(&app, &format!("/stats/numbers?{query}&attr=n")).await;
            assert_eq!((&numbers["sum"], &numbers["count"]), (&json!(15), &json!(4)), "each event once");
            let next = tally.ask(&app, &format!("/stats/next?{query}&name=view")).await;
            assert_eq!(next["people"], 1);
            let retention = tally.ask(&app, &format!("/stats/retention?{query}&first=view&again=buy")).await;
            assert_eq!(retention["cohorts"][1]["people"], 1, "{retention}");
            for steps in [
                json!({"steps": [{"name": "view"}, {"name": "buy"}], "filters": {"user_id": id}}),
                json!({"steps": [{"name": "view", "where": {"user_id": id}}, {"name": "buy"}]}),
            ] {
                let mut body = steps;
                (body["since"], body["until"]) = (json!("2026-11-20"), json!("2026-11-22"));
                let reply = funnel(&tally, &app, &body).await;
                assert_eq!(column(&reply["steps"], "people"), [1, 1], "{body}");
                body["by"] = json!("session");
                let reply = funnel(&tally, &app, &body).await;
                assert_eq!(column(&reply["steps"], "people"), [2, 0], "sessions of the person: {body}");
            }
        }
        let others = tally.ask(&app, &format!("/sessions?{RANGE}&user_id[ne]=a")).await;
        assert_eq!(column(&others["items"], "session_id"), ["s4", "s3"]);
        assert_eq!(tally.list(&app, "user_id=ann").await.len(), 4, "a list of events is of the ids that they have");
    }
}

#[tokio::test]
async fn a_key_for_a_user_reads_no_other_ids_of_the_person() {
    let mut tally = Tally::start().await;
    let app = ann_and_others(&mut tally, EventIndexes::default()).await;
    let key = json!({"scopes": ["read"], "filter": {"user_id": "ann"}});
    let key = tally.admin(Method::POST, "/apps/shop/keys", &key).await.json["key"].clone();
    let bounded = TestApp { read_key: key.as_str().unwrap().to_owned(), ..app };
    for query in [RANGE.to_owned(), format!("{RANGE}&user_id=ann")] {
        let listed = tally.ask(&bounded, &format!("/sessions?{query}")).await;
        assert_eq!(column(&listed["items"], "session_id"), ["anon-1", "s2"]);
        assert_eq!(column(&listed["items"], "events"), [1, 1], "without what was done before");
    }
    let listed = tally.ask(&bounded, &format!("/sessions?{RANGE}&user_id=a")).await;
    assert_eq!(listed["items"], json!([]));
    let numbers = tally.ask(&bounded, &format!("/stats/numbers?{RANGE}&user_id=ann&attr=n")).await;
    assert_eq!(numbers["sum"], 12);
}

#[tokio::test]
async fn sessions_are_told_apart_whoever_they_are_of() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = json!([
        {"name": "view", "user_id": "a", "session_id": "s1", "timestamp": time(1)},
        {"name": "$identify", "user_id": "ann", "session_id": "s1", "data": {"anonymous_id": "a"}, "timestamp": time(2)},
        {"name": "buy", "user_id": "ann", "session_id": "s2", "timestamp": time(3)},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    assert_eq!(reached(&tally, &app, "session").await, [1, 0]);
    assert_eq!(reached(&tally, &app, "user").await, [1, 1]);
}

#[derive(Clone, Debug)]
enum Sent {
    View(u8),
    Buy(u8),
    Identify(u8, u8),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        3 => (0u8..9).prop_map(Sent::View),
        3 => (0u8..9).prop_map(Sent::Buy),
        4 => (0u8..9, 0u8..9).prop_map(|(alias, user)| Sent::Identify(alias, user)),
    ]
}

/// The people of ids, by looking at which sets the identities join.
fn joined(identities: &BTreeMap<u8, u8>) -> HashMap<u8, u8> {
    let mut sets: HashMap<u8, u8> = (0..9).map(|id| (id, id)).collect();
    for (alias, user) in identities {
        let (from, to) = (sets[alias], sets[user]);
        sets.values_mut().filter(|set| **set == from).for_each(|set| *set = to);
    }
    sets
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn people_are_what_joining_their_ids_finds(
        rounds in proptest::collection::vec(proptest::collection::vec((sent(), 0u64..60), 1..12), 1..5),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            let mut tally = Tally::start().await;
            let app = tally.app_with(NewApp { name: "shop".to_owned(), shards: Some(3), ..NewApp::default() }).await;
            let mut delivered = Vec::new();
            let mut identities: BTreeMap<u8, u8> = BTreeMap::new();
            let mut done: Vec<(u64, u64, u8, &str)> = Vec::new();
            let mut n = 0;
            for round in rounds {
                let mut events = Vec::new();
                // Which of two users that are told at once is first is decided by the stream.
                let mut told = BTreeSet::new();
                for (sent, second) in round {
                    n += 1;
                    let mut event = json!({"id": format!("e{n}"), "data": {"shop": 1},
                        "timestamp": (at(NOW) - 10 * MINUTE + i64::try_from(second).unwrap() * SECOND).to_string()});
                    let (name, user) = match sent {
                        Sent::View(user) => ("view", user),
                        Sent::Buy(user) => ("buy", user),
                        Sent::Identify(alias, _) if !told.insert(alias) => continue,
                        Sent::Identify(alias, user) => {
                            event["data"]["anonymous_id"] = json!(format!("u{alias}"));
                            if alias != user {
                                identities.entry(alias).or_insert(user);
                            }
                            ("$identify", user)
                        }
                    };
                    event["name"] = json!(name);
                    event["user_id"] = json!(format!("u{user}"));
                    done.push((second, n, user, name));
                    events.push(event);
                }
                if events.is_empty() {
                    continue;
                }
                tally.accept(&app, &json!(events)).await;
                delivered.extend(tally.peek().await);
                tally.drain().await;
                for which in &again {
                    let batch: &String = which.get(&delivered);
                    aggregate::handle(&tally.context, serde_json::from_str(batch).expect("an event")).await.expect("counted");
                }
            }
            let people_of = joined(&identities);
            let everybody: BTreeSet<u8> = done.iter().map(|(_, _, user, _)| people_of[user]).collect();
            if !done.is_empty() {
                assert_eq!(people(&tally, &app).await, json!(everybody.len()), "{identities:?} {done:?}");
            }
            // In the same millisecond the order is that of ids, which are hashes: those of a funnel are left to other tests.
            let mut seconds: Vec<u64> = done.iter().map(|(second, ..)| *second).collect();
            seconds.sort_unstable();
            seconds.dedup();
            if seconds.len() == done.len() {
                let first = |person: u8, name: &str, after: u64| {
                    let of = done.iter().filter(|(second, _, user, done)| people_of[user] == person && *done == name && *second >= after);
                    of.map(|(second, ..)| *second).min()
                };
                let viewed: Vec<u8> = everybody.iter().copied().filter(|person| first(*person, "view", 0).is_some()).collect();
                let bought = viewed.iter().filter(|person| {
                    first(**person, "view", 0).is_some_and(|viewed| first(**person, "buy", viewed).is_some())
                });
                assert_eq!(reached(&tally, &app, "user").await, [viewed.len() as u64, bought.count() as u64]);
            }
            for (id, person) in &people_of {
                let reply = tally.ask(&app, &format!("/people/u{id}")).await;
                let mut ids: BTreeSet<String> = people_of.iter().filter(|(_, of)| *of == person).map(|(id, _)| format!("u{id}")).collect();
                assert!(ids.remove(reply["user_id"].as_str().unwrap()), "{reply}");
                assert_eq!(reply["anonymous_ids"], json!(ids), "{identities:?}");
            }
        });
    }
}

fn identify(alias: &str, user: &str) -> Value {
    json!({"name": "$identify", "user_id": user, "data": {"anonymous_id": alias}})
}

#[tokio::test]
async fn the_ids_of_a_person_are_told() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let many = (0..101).map(|n| identify(&format!("m{n:03}"), "many"));
    let mut events: Vec<Value> = many.collect();
    events.extend([identify("a/1 ü", "ann"), identify("a2", "ann"), identify("ann", "ann"), identify("a2", "bob")]);
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;
    let ann = json!({"user_id": "ann", "anonymous_ids": ["a/1 ü", "a2"], "complete": true});
    for id in ["ann", "a2", "a%2F1%20%C3%BC", "a/1%20%C3%BC"] {
        assert_eq!(tally.ask(&app, &format!("/people/{id}")).await, ann, "{id}");
    }
    let nobody = json!({"user_id": "bob", "anonymous_ids": [], "complete": true});
    assert_eq!(tally.ask(&app, "/people/bob").await, nobody, "the first user of an id stays its user");
    let many = tally.ask(&app, "/people/many").await;
    assert_eq!((many["anonymous_ids"].as_array().unwrap().len(), &many["complete"]), (100, &json!(false)));
    let long = tally.ingest(&app, &identify(&"x".repeat(257), "ann")).await;
    assert_problem(&long, 400, &["data.anonymous_id"]);
}

#[tokio::test]
async fn an_id_is_kept_while_its_user_comes_back() {
    let mut tally = Tally::start().await;
    let new = NewApp { name: "shop".to_owned(), retention_days: Some(30), ..NewApp::default() };
    let app = tally.app_with(new).await;
    let start = tally.clock.now();
    for (day, events) in [
        (0, json!([identify("a", "ann"), identify("b", "bob")])),
        // Twice: one of them soon after the other.
        (20, json!([identify("a", "ann")])),
        (40, json!([{"name": "view", "user_id": "a"}, {"name": "view", "user_id": "b"}])),
    ] {
        tally.clock.set(start + day * DAY);
        tally.accept(&app, &events).await;
        tally.drain().await;
    }
    let person = async |id: &str| tally.ask(&app, &format!("/people/{id}")).await["user_id"].clone();
    assert_eq!((person("a").await, person("b").await), (json!("ann"), json!("b")));
}

#[tokio::test]
async fn a_reply_says_if_there_are_too_many_ids() {
    let tally = Tally::with(Config { read_budget: 20.0, ..Config::default() }).await;
    let app = tally.app("shop").await;
    let (stored, now) = (tally.stored_app(&app).await.id, tally.clock.now());
    for n in 0..1_001 {
        let identity = Identity { alias: format!("a{n:04}"), user_id: format!("a user with a long name {n:04}") };
        tally.context.store.put_identity(&stored, &identity, now + DAY, now).await.unwrap();
    }
    tally.accept(&app, &json!({"name": "view", "user_id": "a0000"})).await;
    for path in ["/stats/groups?attr=shop&since=1h", "/stats/next?name=view&since=1h", "/stats/retention?since=1d"] {
        assert_eq!(tally.ask(&app, path).await["identities"], false, "{path}");
    }
    assert_eq!(tally.ask(&app, "/people/a0000").await["complete"], false);
    let by_session = tally.ask(&app, "/stats/next?name=view&since=1h&by=session").await;
    assert_eq!(by_session["identities"], Value::Null);
}

#[tokio::test]
async fn an_erased_user_has_no_other_ids_left() {
    let mut tally = Tally::start().await;
    let app = tally.app_with(NewApp { name: "shop".to_owned(), shards: Some(3), ..NewApp::default() }).await;
    // More than one call erases at once, and one in two steps.
    let mut events: Vec<Value> = (0..150).map(|n| identify(&format!("canary-{n}"), "ann-canary")).collect();
    events.extend((0..150).map(|n| json!({"name": "view", "user_id": format!("canary-{n}")})));
    events.extend([identify("canary-far", "canary-7"), json!({"name": "view", "user_id": "canary-far"})]);
    events.extend([identify("b", "bob"), json!({"name": "view", "user_id": "b"})]);
    events.push(json!({"name": "view", "session_id": "canary-5"}));
    tally.accept(&app, &json!(events)).await;
    let before_profile = json!({"batch": [{"event": "view", "uuid": "00000000-0000-4000-8000-000000000001",
        "properties": {"distinct_id": "canary-3", "$process_person_profile": false}}]});
    post(&tally, &app, "/batch/", &before_profile).await;
    let batches = tally.peek().await;
    tally.drain().await;
    assert!(tally.contents().await.contains("~identities"));
    let mut path = "/apps/shop/events?user_id=ann-canary".to_owned();
    let (mut deleted, mut calls) = (0, 0);
    loop {
        let reply = tally.admin(Method::DELETE, &path, &json!({})).await;
        deleted += reply.json["deleted"].as_u64().unwrap();
        calls += 1;
        let Some(next) = reply.json["next"].as_str() else { break };
        path = format!("/apps/shop/events?user_id=ann-canary&next={next}");
    }
    assert_eq!((deleted, calls), (304, 2));
    tally.drain().await;
    // A batch that comes again, to a function that remembers nothing.
    tally.clock.set(tally.clock.now() + 11 * MINUTE);
    for batch in &batches {
        aggregate::handle(&tally.context, serde_json::from_str(batch).unwrap()).await.unwrap();
    }
    let contents = tally.contents().await;
    let left: Vec<_> = contents.lines().filter(|item| item.contains("canary")).collect();
    assert_eq!(left, Vec::<&str>::new());
    assert_eq!(tally.ask(&app, "/people/b").await["user_id"], "bob");
    // Who comes back is made known again.
    tally.accept(&app, &json!([identify("canary-1", "ann-canary")])).await;
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/people/canary-1").await["user_id"], "ann-canary");
}

/// Compared with a client that names the user alone.
#[tokio::test]
#[cfg_attr(feature = "server", ignore = "the stream of a server comes in batches of its own, which cost more")]
async fn naming_both_ids_each_time_costs_one_write() {
    let mut tally = Tally::start().await;
    let mut of_apps = Vec::new();
    for (name, more) in [("plain", json!({})), ("both", json!({"anonymousId": "a"}))] {
        let app = tally.app(name).await;
        let mut costs = Vec::new();
        for n in 0..3 {
            let calls = (0..20).map(|k| {
                let mut call = json!({"type": "track", "event": "view", "userId": "ann", "messageId": format!("m{n}-{k}"),
                    "timestamp": time(10 + n)});
                call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                call
            });
            post(&tally, &app, "/v1/batch", &json!({"batch": calls.collect::<Vec<_>>()})).await;
            let before = tally.usage();
            tally.drain().await;
            let after = tally.usage();
            costs.push((after.write_units - before.write_units, after.read_units - before.read_units));
        }
        of_apps.push(costs);
    }
    let [plain, both] = &*of_apps else { unreachable!("two apps") };
    // The id is read, and then the events that tell it.
    assert_eq!((both[0].0 - plain[0].0, both[0].1 - plain[0].1), (1.0, 21.0), "{of_apps:?}");
    assert_eq!(both[1..], plain[1..]);
}
