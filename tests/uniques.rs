//! Distinct users and sessions of any range, in any zone.

use std::collections::BTreeSet;

use http::Method;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tally_core::app::partition::Partition;
use tally_core::app::role::Role;
use tally_core::distinct::{Marks, Sketch, Union};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{HOUR, MINUTE, SECOND, Timestamp};
use tally_service::config::Config;
use tally_store::{DistinctKey, StoredDistinct};

use crate::database::cases;
use crate::harness::{NOW, Tally, TestApp, assert_problem, at};

#[derive(Clone, Debug)]
struct Visit {
    /// Seconds before now.
    ago: i64,
    user: Option<u8>,
    session: Option<u8>,
    name: &'static str,
}

impl Visit {
    fn at(&self) -> Timestamp {
        at(NOW) - self.ago * SECOND
    }

    fn event(&self, n: usize) -> Value {
        let mut event = json!({"name": self.name, "id": format!("v{n}"), "timestamp": self.at()});
        if let Some(user) = self.user {
            event["user_id"] = format!("u{user}").into();
        }
        if let Some(session) = self.session {
            event["session_id"] = format!("s{session}").into();
        }
        event
    }

    fn who(&self, of: &str) -> Option<String> {
        let session = self.session.map(|session| format!("s{session}"));
        if of == "sessions" { session } else { self.user.map(|user| format!("u{user}")).or(session) }
    }
}

fn visit() -> impl Strategy<Value = Visit> {
    let ago =
        prop_oneof![4 => 0i64..4_000, 4 => 0i64..200_000, 1 => Just(8 * 60 + 25), 1 => Just(10 * 3600 + 8 * 60 + 25)];
    (ago, prop::option::of(0u8..9), prop::option::of(0u8..9), select(vec!["view", "buy"]))
        .prop_map(|(ago, user, session, name)| Visit { ago, user, session, name })
}

#[derive(Clone, Debug)]
struct Question {
    of: &'static str,
    since: i64,
    length: i64,
    interval: &'static str,
    zone: &'static str,
    name: Option<&'static str>,
}

fn question() -> impl Strategy<Value = Question> {
    (
        select(vec!["users", "sessions"]),
        prop_oneof![0i64..5_000, 0i64..250_000],
        prop_oneof![1i64..4_000, 1i64..250_000],
        select(vec!["HOUR", "DAY", "WEEK"]),
        select(vec!["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]),
        prop::option::of(select(vec!["view", "buy"])),
    )
        .prop_map(|(of, since, length, interval, zone, name)| Question { of, since, length, interval, zone, name })
}

async fn check(tally: &Tally, app: &TestApp, visits: &[Visit], question: &Question) {
    let Question { of, since, length, interval, zone, name } = question;
    let since = at(NOW) - *since * SECOND;
    let until = (since + *length * SECOND).min(at(NOW) + MINUTE);
    let filter = name.map(|name| format!("&name={name}")).unwrap_or_default();
    let query = format!("of={of}&since={since}&until={until}&interval={interval}&tz={zone}{filter}");
    let reply = tally.ask(app, &format!("/stats/uniques?{query}")).await;
    let starts: Vec<_> =
        reply["series"].as_array().unwrap().iter().map(|p| at(p["bucket_start"].as_str().unwrap())).collect();
    let distinct = |since: Timestamp, until: Timestamp| {
        let within = visits
            .iter()
            .filter(|visit| (since..until).contains(&visit.at()) && name.is_none_or(|name| visit.name == name));
        within.filter_map(|visit| visit.who(of)).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(reply["total"], distinct(since, until), "{query} {reply}");
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(until);
        assert_eq!(reply["series"][i]["count"], distinct((*start).max(since), end), "{query} {start} {reply}");
    }
    assert_eq!((&reply["error"], &reply["complete"], &reply["widened"]), (&json!(0.0), &Value::Null, &Value::Null));
}

proptest! {
    #![proptest_config(cases(10))]
    #[test]
    fn small_numbers_are_exact_whatever_is_overwritten_and_erased(
        visits in prop::collection::vec(visit(), 1..60),
        others in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(0u8..9)), 0..6),
        erased in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        questions in prop::collection::vec(question(), 6),
        shards in select(vec![1u16, 3]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut tally = Tally::start().await;
            let new = admin::NewApp { name: "any".into(), shards: Some(shards), ..admin::NewApp::default() };
            let app = tally.app_with(new).await;
            let mut visits = visits;
            for (chunk, events) in visits.chunks(20).enumerate() {
                let events: Value = events.iter().enumerate().map(|(n, visit)| visit.event(chunk * 20 + n)).collect();
                tally.accept(&app, &events).await;
                tally.drain().await;
            }
            for (index, user) in &others {
                let n = index.index(visits.len());
                visits[n].user = *user;
                tally.accept(&app, &visits[n].event(n)).await;
            }
            let gone: BTreeSet<usize> = erased.iter().map(|index| index.index(visits.len())).collect();
            for n in &gone {
                let id = tally.accept(&app, &visits[*n].event(*n)).await["id"].clone();
                let token = tally.token(Role::Admin).await;
                let path = format!("/apps/any/events/{}", id.as_str().unwrap());
                tally.call(Method::DELETE, &path, ("x-access-token", &token), String::new()).await;
            }
            let left: Vec<_> = (0..visits.len()).filter(|n| !gone.contains(n)).map(|n| visits[n].clone()).collect();
            tally.drain().await;
            for question in &questions {
                check(&tally, &app, &left, question).await;
            }
        });
    }
}

/// An hour of more people than a sketch holds one by one, and an hour of one more.
async fn crowded(tally: &mut Tally) -> TestApp {
    let app = tally.app("any").await;
    for batch in 0..12 {
        let events = (0..500).map(|n| {
            let n = batch * 500 + n;
            json!({"name": "view", "user_id": format!("u{n}"), "timestamp": at("2026-11-21T07:30:00Z") + (n % 60) * SECOND})
        });
        tally.accept(&app, &events.collect()).await;
    }
    tally.accept(&app, &json!({"name": "view", "user_id": "ann", "timestamp": "2026-11-21T08:30:00Z"})).await;
    tally.drain().await;
    app
}

#[tokio::test]
async fn large_numbers_are_near_and_say_so() {
    let mut tally = Tally::start().await;
    let app = crowded(&mut tally).await;
    let reply = tally.ask(&app, "/stats/uniques?since=2026-11-21&until=2026-11-21T09:00:00Z&interval=HOUR").await;
    let total = reply["total"].as_f64().unwrap();
    assert!((total / 6_001.0 - 1.0).abs() < 0.033, "{total}");
    assert_eq!((&reply["error"], &reply["series"][8]["count"]), (&json!(0.0325), &json!(1)));
    assert_eq!(reply["widened"], Value::Null);
    let exact = tally.ask(&app, "/stats/uniques?since=2026-11-21&until=2026-11-21T09:00:00Z&name=view").await;
    assert_eq!(
        (&exact["total"], &exact["error"]),
        (&json!(6_001), &json!(0.0)),
        "with a filter they are counted one by one"
    );
}

/// A read budget that has no room for the events of the crowded hour.
fn small() -> Config {
    Config { read_budget: 60.0, ..Config::default() }
}

/// Whether a number is what it may be by its error.
#[track_caller]
fn assert_near(number: &Value, expected: f64) {
    let number = number.as_f64().unwrap();
    assert!((number / expected - 1.0).abs() < 0.033, "{number}, expected {expected}");
}

#[tokio::test]
async fn a_range_that_ends_inside_an_hour_of_many_events_counts_its_part() {
    let mut tally = Tally::start().await;
    let app = crowded(&mut tally).await;
    let reply = tally.ask(&app, "/stats/uniques?since=2026-11-21T07:30:30Z&until=2026-11-21T09:00:00Z").await;
    assert_near(&reply["total"], 3_001.0);
    assert_eq!(
        (&reply["widened"], &reply["complete"], &reply["since"]),
        (&Value::Null, &Value::Null, &json!("2026-11-21T07:30:30Z"))
    );
}

#[tokio::test]
async fn where_the_budget_has_no_room_for_the_events_of_an_end_the_range_is_wider_and_says_so() {
    let mut tally = Tally::with(small()).await;
    let app = crowded(&mut tally).await;
    let reply = tally.ask(&app, "/stats/uniques?since=2026-11-21T07:30:01Z&until=2026-11-21T09:00:00Z").await;
    assert_near(&reply["total"], 6_001.0);
    assert_eq!((&reply["widened"], &reply["complete"]), (&json!(true), &Value::Null));
    assert_eq!((&reply["since"], &reply["until"]), (&json!("2026-11-21T07:00:00Z"), &json!("2026-11-21T09:00:00Z")));
    let reply = tally.ask(&app, "/stats/uniques?since=2026-11-21T08:10:00Z&until=2026-11-21T08:31:00Z").await;
    assert_eq!((&reply["total"], &reply["widened"]), (&json!(1), &Value::Null));
    assert_eq!((&reply["since"], &reply["until"]), (&json!("2026-11-21T08:10:00Z"), &json!("2026-11-21T08:31:00Z")));
    let overview = tally.ask(&app, "/stats/overview?since=2026-11-21T07:30:01Z&until=2026-11-21T09:00:00Z").await;
    assert_near(&overview["users"], 6_001.0);
    assert_eq!(
        overview["people"],
        json!({
            "since": "2026-11-21T07:00:00Z", "until": "2026-11-21T09:00:00Z", "widened": true,
            "users_error": 0.0325, "sessions_error": 0.0,
        })
    );
}

/// 3,000 people in each half of an hour, with two events each.
async fn two_halves(tally: &mut Tally) -> TestApp {
    let app = tally.app("any").await;
    for batch in 0..24 {
        let events = (0..500).map(|n| {
            let n = batch * 500 + n;
            let half = n / 6_000;
            let at = at("2026-11-21T07:00:00Z") + half * 30 * MINUTE + n % 1_800 * SECOND;
            json!({"name": "view", "user_id": format!("u{half}-{}", n % 3_000), "timestamp": at})
        });
        tally.accept(&app, &events.collect()).await;
    }
    tally.accept(&app, &json!({"name": "view", "user_id": "ann", "timestamp": "2026-11-21T08:10:00Z"})).await;
    tally.drain().await;
    app
}

const IN_KOLKATA: &str =
    "/stats/uniques?since=2026-11-21T06:30:00Z&until=2026-11-21T08:30:00Z&interval=HOUR&tz=Asia/Kolkata";

#[tokio::test]
async fn in_a_zone_of_half_hours_each_bucket_counts_its_own_people() {
    let mut tally = Tally::start().await;
    let app = two_halves(&mut tally).await;
    let reply = tally.ask(&app, IN_KOLKATA).await;
    assert_near(&reply["series"][0]["count"], 3_000.0);
    assert_near(&reply["series"][1]["count"], 3_001.0);
    assert_near(&reply["total"], 6_001.0);
    assert_eq!((&reply["widened"], &reply["complete"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_bucket_that_counts_the_people_of_another_says_so() {
    let mut tally = Tally::with(small()).await;
    let app = two_halves(&mut tally).await;
    let reply = tally.ask(&app, IN_KOLKATA).await;
    for bucket in 0..2 {
        assert_near(&reply["series"][bucket]["count"], 6_000.0);
        assert_eq!(reply["series"][bucket]["widened"], true);
    }
    assert_eq!((&reply["widened"], &reply["complete"]), (&json!(true), &json!(false)));
    // The newest hour was read, and is not wider.
    assert_eq!((&reply["since"], &reply["until"]), (&json!("2026-11-21T06:00:00Z"), &json!("2026-11-21T08:30:00Z")));
    // Alone, the half hour is wider than its bucket.
    let query = "since=2026-11-21T07:30:00Z&until=2026-11-21T08:30:00Z&interval=HOUR&tz=Asia/Kolkata";
    let reply = tally.ask(&app, &format!("/stats/uniques?{query}")).await;
    assert_eq!((&reply["since"], &reply["complete"]), (&json!("2026-11-21T07:00:00Z"), &json!(false)), "{reply}");
}

#[tokio::test]
async fn who_was_erased_is_not_counted_as_far_as_the_budget_goes() {
    let mut tally = Tally::start().await;
    let app = crowded(&mut tally).await;
    let token = tally.token(Role::Admin).await;
    let path = "/apps/any/events?user_id=u7";
    tally.call(Method::DELETE, path, ("x-access-token", &token), String::new()).await;
    tally.drain().await;
    let reply = tally.ask(&app, "/stats/uniques?since=2026-11-21&until=2026-11-21T09:00:00Z").await;
    assert_near(&reply["total"], 6_000.0);
    assert_eq!((&reply["complete"], &reply["widened"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn who_was_erased_from_a_crowded_hour_may_still_be_counted_and_the_reply_says_so() {
    let mut tally = Tally::with(small()).await;
    let app = crowded(&mut tally).await;
    let token = tally.token(Role::Admin).await;
    for user in ["u7", "ann"] {
        let path = format!("/apps/any/events?user_id={user}");
        tally.call(Method::DELETE, &path, ("x-access-token", &token), String::new()).await;
    }
    tally.drain().await;
    let reply = tally.ask(&app, "/stats/uniques?since=2026-11-21T08:00:00Z&until=2026-11-21T09:00:00Z").await;
    assert_eq!((&reply["total"], &reply["complete"]), (&json!(0), &Value::Null), "few events are read again");
    let reply = tally.ask(&app, "/stats/uniques?since=2026-11-21T07:00:00Z&until=2026-11-21T09:00:00Z").await;
    assert_eq!((&reply["complete"], &reply["widened"]), (&json!(false), &Value::Null));
    let overview = tally.ask(&app, "/stats/overview?since=2026-11-21T07:00:00Z&until=2026-11-21T09:00:00Z").await;
    assert_eq!(overview["people"]["complete"], false);

    assert_eq!(tally.recounted(&app, "recount").await, (vec![], true));
    let mut sketch = Sketch::default();
    for n in (0..6_000).filter(|n| *n != 7) {
        Marks::new(Some(&format!("u{n}")), None).user.into_iter().for_each(|mark| sketch.add(mark));
    }
    let mut left = Union::default();
    left.add(&sketch);
    for (range, count) in [
        ("since=2026-11-21T08:00:00Z&until=2026-11-21T09:00:00Z", 0),
        ("since=2026-11-21T07:00:00Z&until=2026-11-21T09:00:00Z", left.count()),
        ("since=2026-11-21&until=2026-11-22", left.count()),
    ] {
        let reply = tally.ask(&app, &format!("/stats/uniques?{range}")).await;
        assert_eq!((&reply["total"], &reply["complete"]), (&json!(count), &Value::Null), "{range}");
    }
    let key = DistinctKey {
        partition: Partition { app: tally.stored_app(&app).await.id, shard: 0 },
        bucket: Bucket::of(Granularity::Day, at("2026-11-21T08:00:00Z")),
    };
    let held = tally.context.store.distinct_of(std::slice::from_ref(&key)).await.unwrap().remove(&key).unwrap();
    let mut both = Union::default();
    both.add(&held.users);
    assert_eq!(both.count(), left.count());
    both.add(&sketch);
    assert_eq!(both.count(), left.count(), "as if nobody else had been there");
}

/// Deliveries of a stream that came before.
#[tokio::test]
async fn a_batch_that_comes_again_after_an_erasure_is_found_by_the_next_recount() {
    let mut tally = Tally::start().await;
    let app = tally.app("any").await;
    let event = json!({"name": "view", "user_id": "ann", "timestamp": "2026-11-21T08:30:00Z"});
    tally.accept(&app, &event).await;
    let batch = tally.peek().await;
    tally.drain().await;
    let token = tally.token(Role::Admin).await;
    tally.call(Method::DELETE, "/apps/any/events?user_id=ann", ("x-access-token", &token), String::new()).await;
    tally.drain().await;
    assert_eq!(tally.recounted(&app, "recount").await, (vec![], true));
    let range = "/stats/uniques?since=2026-11-21T08:00:00Z&until=2026-11-21T09:00:00Z";
    assert_eq!(tally.ask(&app, range).await["total"], 0);
    for event in &batch {
        aggregate::handle(&tally.context, serde_json::from_str(event).unwrap()).await.unwrap();
    }
    let reply = tally.ask(&app, range).await;
    assert_eq!((&reply["total"], &reply["complete"]), (&json!(0), &Value::Null), "its hour is read from events");
    assert_eq!(tally.recounted(&app, "recount").await, (vec![], true));
    assert_eq!(tally.ask(&app, range).await["total"], 0);
}

#[tokio::test]
async fn a_recount_of_a_named_day_makes_sketches_that_lack_somebody() {
    let mut tally = Tally::start().await;
    let app = tally.app("any").await;
    tally.accept(&app, &json!({"name": "view", "user_id": "ann", "timestamp": "2026-11-20T08:30:00Z"})).await;
    tally.drain().await;
    let partition = Partition { app: tally.stored_app(&app).await.id, shard: 0 };
    for granularity in [Granularity::Hour, Granularity::Day] {
        let bucket = Bucket::of(granularity, at("2026-11-20T08:30:00Z"));
        let key = DistinctKey { partition: partition.clone(), bucket };
        let none = StoredDistinct { version: 1, ..StoredDistinct::default() };
        assert!(tally.context.store.put_distinct(&key, &none, None).await.unwrap());
    }
    let range = "/stats/uniques?since=2026-11-20&until=2026-11-21";
    assert_eq!(tally.ask(&app, range).await["total"], 0);
    let body = json!({"since": "2026-11-20", "until": "2026-11-21"});
    let reply = tally.counting(tally.admin(Method::POST, "/apps/any/recount", &body)).await;
    assert_eq!((&reply.json["complete"], &reply.json["next"]), (&json!(true), &Value::Null), "{}", reply.json);
    assert_eq!(tally.ask(&app, range).await["total"], 1);
}

#[tokio::test]
async fn what_has_expired_is_said_to_be_missing() {
    let tally = Tally::start().await;
    let new = admin::NewApp { name: "any".into(), retention_days: Some(2), ..admin::NewApp::default() };
    let app = tally.app_with(new).await;
    assert_eq!(tally.ask(&app, "/stats/uniques?since=1d").await["complete"], Value::Null);
    assert_eq!(tally.ask(&app, "/stats/uniques?since=10d").await["complete"], false);
    assert_eq!(tally.ask(&app, "/stats/sessions?since=10d").await["complete"], false);
}

#[tokio::test]
async fn the_overview_has_users_and_sessions_with_their_change() {
    let mut tally = Tally::start().await;
    let app = tally.app("any").await;
    let event = |user: &str, session: &str, at: Timestamp| json!({"name": "view", "user_id": user, "session_id": session, "timestamp": at});
    let now = at(NOW);
    let events = json!([
        event("a", "1", now),
        event("b", "2", now - HOUR),
        event("b", "3", now - HOUR),
        event("a", "4", now - 30 * HOUR)
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    let reply = tally.ask(&app, "/stats/overview?since=24h&compare=previous").await;
    assert_eq!((&reply["users"], &reply["sessions"]), (&json!(2), &json!(3)));
    assert_eq!((&reply["previous"]["users"], &reply["previous"]["sessions"]), (&json!(1), &json!(1)));
    let reply = tally.ask(&app, "/stats/overview?since=24h&name=view").await;
    assert_eq!((&reply["users"], &reply["sessions"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn the_overview_counts_the_people_of_its_range_and_not_of_whole_hours() {
    let mut tally = Tally::start().await;
    let app = tally.app("any").await;
    let event = |user: String, at: &str| json!({"name": "view", "user_id": user, "session_id": "s", "timestamp": at});
    let mut events: Vec<_> = (0..9).map(|n| event(format!("u{n}"), "2026-11-21T10:03:00Z")).collect();
    events.push(event("ann".into(), "2026-11-21T10:07:00Z"));
    // Yesterday, after and before the time that it is in Honolulu, where it is just after midnight.
    events.extend((0..9).map(|n| event(format!("v{n}"), "2026-11-20T10:30:00Z")));
    events.push(event("bob".into(), "2026-11-20T10:05:00Z"));
    tally.accept(&app, &events.into()).await;
    tally.drain().await;
    let reply = tally.ask(&app, "/stats/overview?since=3m&compare=previous").await;
    assert_eq!((&reply["total"], &reply["users"], &reply["sessions"]), (&json!(1), &json!(1), &json!(1)));
    let previous = &reply["previous"];
    assert_eq!((&previous["total"], &previous["users"], &previous["sessions"]), (&json!(9), &json!(9), &json!(1)));
    let exact = json!({"since": reply["since"], "until": reply["until"], "users_error": 0.0, "sessions_error": 0.0});
    assert_eq!(reply["people"], exact);
    assert_eq!(previous["people"]["widened"], Value::Null);

    let reply = tally.ask(&app, "/stats/overview?since=today&compare=previous&tz=Pacific/Honolulu").await;
    assert_eq!((&reply["total"], &reply["users"]), (&json!(10), &json!(10)));
    assert_eq!((&reply["previous"]["total"], &reply["previous"]["users"]), (&json!(1), &json!(1)), "{reply}");
}

#[tokio::test]
async fn the_overview_does_not_count_who_was_erased() {
    let mut tally = Tally::start().await;
    let app = tally.app("any").await;
    let event = |user: &str| json!({"name": "view", "user_id": user, "timestamp": "2026-11-21T08:30:00Z"});
    tally.accept(&app, &json!([event("ann"), event("bob")])).await;
    tally.drain().await;
    let token = tally.token(Role::Admin).await;
    tally.call(Method::DELETE, "/apps/any/events?user_id=bob", ("x-access-token", &token), String::new()).await;
    tally.drain().await;
    let reply = tally.ask(&app, "/stats/overview?since=24h").await;
    assert_eq!((&reply["total"], &reply["users"], &reply["people"]["complete"]), (&json!(1), &json!(1), &Value::Null));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_field() {
    let tally = Tally::start().await;
    let app = tally.app("any").await;
    for (query, fields) in [
        ("of=people", vec!["of"]),
        ("interval=MINUTE", vec!["interval"]),
        ("since=2020-01-01&interval=HOUR", vec!["interval"]),
        ("tz=Mars", vec!["tz"]),
    ] {
        assert_problem(&tally.get(&app, &format!("/stats/uniques?{query}")).await, 400, &fields);
    }
    let reply = tally.get(&app, "/stats/uniques?interval=HOUR&since=60d").await;
    assert!(reply.json["detail"].as_str().unwrap().contains("more than 1000 buckets"), "{}", reply.json);
}
