//! By what events are indexed: the setting `index` of an app, what it costs, and that replies do not depend on it.

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tally_core::app::layout::EventIndexes;
use tally_core::time::{DAY, HOUR, MINUTE, SECOND};

use crate::database::cases;
use tally_service::apps::create::NewApp;
use tally_service::config::Config;
use tally_store::tables::SessionIndex;

use crate::harness::{Tally, TestApp, assert_problem, column};

async fn app_with(tally: &Tally, shards: u16, index: EventIndexes) -> TestApp {
    tally.app_with(NewApp { name: "shop".into(), shards: Some(shards), index, ..NewApp::default() }).await
}

const BY_USER: EventIndexes = EventIndexes { sessions: true, users: true };
const BY_NOTHING: EventIndexes = EventIndexes { sessions: false, users: false };

#[tokio::test]
async fn an_index_is_a_setting_that_holds_a_day_ahead() {
    let tally = Tally::start().await;
    let new = tally.admin(Method::POST, "/apps", &json!({"name": "Logs", "index": {"users": true}})).await;
    assert_eq!(new.json["index"], json!({"sessions": true, "users": true}));
    let app = tally.admin(Method::POST, "/apps", &json!({"name": "Shop"})).await;
    assert_eq!(app.json["index"], json!({"sessions": true, "users": false}));
    let changed = tally.admin(Method::PATCH, "/apps/shop", &json!({"index": {"users": true}})).await;
    assert_eq!(changed.json["index"], json!({"sessions": true, "users": false}), "not yet");
    assert_eq!(changed.json["pending"][0]["index"], json!({"sessions": true, "users": true}));
    let changed = tally.admin(Method::PATCH, "/apps/shop", &json!({"index": {"sessions": false}, "shards": 2})).await;
    let pending = &changed.json["pending"];
    assert_eq!((&pending[0]["index"], &pending[0]["shards"]), (&json!({"sessions": false, "users": true}), &json!(2)));
    assert_eq!(pending.as_array().unwrap().len(), 1);
    tally.clock.set(tally.clock.now() + DAY + HOUR);
    let in_force = tally.admin(Method::GET, "/apps/shop", &Value::Null).await;
    assert_eq!(in_force.json["index"], json!({"sessions": false, "users": true}));
    for (index, field) in [
        (json!({"users": 1}), "index.users"),
        (json!({"teams": true}), "index.teams"),
        (json!("users"), "index"),
        (json!([]), "index"),
    ] {
        let refused = tally.admin(Method::PATCH, "/apps/shop", &json!({ "index": index })).await;
        assert_problem(&refused, 400, &[field]);
    }
}

/// Events of ten users and five sessions, one a second from a time on.
fn events(tally: &Tally, begin: i64, count: i64) -> Value {
    let event = |n: i64| {
        json!({"id": format!("e{}", begin + n), "timestamp": (tally.clock.now() - HOUR + n * SECOND).to_string(),
            "name": format!("n{}", n % 3), "user_id": format!("u{}", n % 10), "session_id": format!("s{}", n % 5),
            "data": {"n": begin + n}})
    };
    (0..count).map(event).collect()
}

/// The numbers of all events that a list has, page by page.
async fn numbers(tally: &Tally, app: &TestApp, query: &str) -> Vec<i64> {
    tally.list(app, query).await.iter().map(|event| event["data"]["n"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_user_is_found_across_the_begin_of_the_index() {
    let mut tally = Tally::start().await;
    let app = app_with(&tally, 3, EventIndexes::default()).await;
    tally.accept(&app, &events(&tally, 0, 200)).await;
    tally.admin(Method::PATCH, "/apps/shop", &json!({"index": {"users": true, "sessions": false}})).await;
    tally.clock.set(tally.clock.now() + 2 * DAY);
    tally.accept(&app, &events(&tally, 200, 200)).await;
    tally.drain().await;
    let of = |kept: &dyn Fn(i64) -> bool| (0..400).filter(|n| kept(*n)).collect::<Vec<i64>>();
    let all = "since=7d&order=asc";
    for limit in [3, 7, 1_000] {
        let user = numbers(&tally, &app, &format!("{all}&user_id=u4&limit={limit}")).await;
        assert_eq!(user, of(&|n| n % 10 == 4), "{limit}");
        let newest = numbers(&tally, &app, &format!("since=7d&user_id=u4&limit={limit}")).await;
        assert_eq!(newest, user.into_iter().rev().collect::<Vec<_>>(), "{limit}");
        let session = numbers(&tally, &app, &format!("{all}&session_id=s2&limit={limit}")).await;
        assert_eq!(session, of(&|n| n % 5 == 2), "{limit}");
        let both = numbers(
            &tally,
            &app,
            &format!("{all}&session_id=s2&session_id=s4&user_id=u4&user_id=u7&name=n1&limit={limit}"),
        )
        .await;
        assert_eq!(both, of(&|n| [4, 7].contains(&(n % 10)) && (n % 200) % 3 == 1), "{limit}");
    }
    let counted = tally.ask(&app, "/stats/groups?attr=name&user_id=u4&since=7d").await;
    assert_eq!(column(&counted["items"], "count").iter().map(|n| n.as_i64().unwrap()).sum::<i64>(), 40);
    assert_eq!(tally.ask(&app, "/stats/overview?session_id=s0&since=7d").await["total"], 80);
    let found = tally.ask(&app, "/sessions?since=7d&user_id=u4").await;
    assert_eq!(column(&found["items"], "session_id"), ["s4"]);
    assert_eq!(found["items"][0]["events"], 80);

    let path = "/apps/shop/events?user_id=u4";
    assert_eq!(tally.admin(Method::DELETE, path, &Value::Null).await.json["deleted"], 40);
    let path = "/apps/shop/events?session_id=s2";
    assert_eq!(tally.admin(Method::DELETE, path, &Value::Null).await.json["deleted"], 80);
    assert_eq!(numbers(&tally, &app, all).await, of(&|n| n % 10 != 4 && n % 5 != 2));
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/stats/overview?since=7d").await["total"], 400 - 40 - 80);
}

/// An event of somebody who is no user yet has only their alias, or a session.
#[tokio::test]
async fn an_erased_user_is_gone_with_the_events_of_an_alias() {
    for session_index in [SessionIndex::Whole, SessionIndex::Keys] {
        for index in [BY_USER, BY_NOTHING, EventIndexes { sessions: false, users: true }, EventIndexes::default()] {
            let mut tally = Tally::with(Config { session_index, ..Config::default() }).await;
            let app = app_with(&tally, 2, index).await;
            let long_ago = (tally.clock.now() - 3 * DAY).to_string();
            let identify =
                |alias: &str| json!({"name": "$identify", "user_id": "ann-canary", "data": {"anonymous_id": alias}});
            let events = json!([
                identify("a-canary"),
                {"name": "view", "user_id": "a-canary"},
                {"name": "view", "user_id": "ann-canary", "timestamp": long_ago},
                identify("s-canary"),
                {"name": "view", "session_id": "s-canary"},
                {"name": "view", "session_id": "s-canary", "timestamp": long_ago},
                {"name": "view", "user_id": "bob"},
                {"name": "view", "session_id": "another"},
            ]);
            tally.accept(&app, &events).await;
            tally.drain().await;
            let erased = tally.admin(Method::DELETE, "/apps/shop/events?user_id=ann-canary", &Value::Null).await;
            assert_eq!((&erased.json["deleted"], &erased.json["next"]), (&json!(6), &Value::Null), "{index:?}");
            tally.drain().await;
            assert!(!tally.contents().await.contains("canary"));
            assert_eq!(tally.ask(&app, "/stats/overview?since=7d").await["total"], 2);
        }
    }
}

/// Somebody else has used the session, too.
#[tokio::test]
async fn the_session_of_an_erased_user_keeps_what_another_user_did() {
    for index in [BY_USER, BY_NOTHING] {
        let mut tally = Tally::start().await;
        let app = app_with(&tally, 2, index).await;
        let long_ago = (tally.clock.now() - 3 * DAY).to_string();
        let events = json!([
            {"name": "$identify", "user_id": "ann", "data": {"anonymous_id": "s"}},
            {"name": "view", "session_id": "s", "timestamp": long_ago},
            {"name": "view", "session_id": "s", "user_id": "bob", "timestamp": long_ago},
        ]);
        tally.accept(&app, &events).await;
        tally.drain().await;
        let erased = tally.admin(Method::DELETE, "/apps/shop/events?user_id=ann", &Value::Null).await;
        assert_eq!(erased.json["deleted"], 2);
        assert_eq!(column(&tally.ask(&app, "/events?since=7d").await["items"], "user_id"), ["bob"]);
    }
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "Amazon's server counts the units of an index by other rules")]
async fn erasing_a_user_by_the_index_costs_what_is_erased() {
    let mut costs = vec![];
    for index in [BY_USER, BY_NOTHING] {
        let tally = Tally::with(Config { session_index: SessionIndex::Keys, ..Config::default() }).await;
        let app = app_with(&tally, 2, index).await;
        let start = tally.clock.now();
        for begin in (0..4_000).step_by(500) {
            tally.accept(&app, &events(&tally, begin, 500)).await;
        }
        let rare: Value = (0..20).map(|_| json!({"name": "view", "user_id": "rare"})).collect();
        tally.accept(&app, &rare).await;
        // The newest day is read as a whole, since an index follows its table.
        tally.clock.set(start + 3 * DAY);
        let before = tally.usage();
        let erased = tally.admin(Method::DELETE, "/apps/shop/events?user_id=rare", &Value::Null).await;
        assert_eq!(erased.json["deleted"], 20, "{index:?}");
        costs.push((tally.usage() - before).read_units);
    }
    let [indexed, all] = costs.try_into().unwrap();
    assert!(indexed < 15.0 && all > 100.0, "{indexed} and {all} read units");
}

#[tokio::test]
async fn a_session_without_index_is_told_everywhere() {
    let mut tally = Tally::start().await;
    let app = app_with(&tally, 2, BY_NOTHING).await;
    tally.accept(&app, &events(&tally, 0, 100)).await;
    tally.drain().await;
    let event = &tally.ask(&app, "/events?limit=1").await["items"][0];
    assert_eq!((&event["session_id"], &event["user_id"]), (&json!("s4"), &json!("u9")));
    assert_eq!(tally.ask(&app, "/stats/uniques?of=sessions&since=24h").await["total"], 5);
    assert_eq!(tally.ask(&app, "/stats/sessions?since=24h").await["total"], 5);
    assert_eq!(tally.ask(&app, "/sessions?since=24h").await["items"].as_array().unwrap().len(), 5);
    let page = tally.ask(&app, "/events?session_id=s1&limit=5").await;
    assert!(page["scanned"].as_u64().unwrap() >= 5, "{page}");
    let found = tally.ask(&app, "/events?q=S1&limit=5").await;
    assert_eq!(column(&found["items"], "session_id"), ["s1"; 5]);
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "Amazon's server counts the units of an index by other rules")]
async fn each_index_costs_a_unit_of_an_event_and_a_user_what_is_found() {
    // Write units of 100 events with a session and a user; read units of a page of the 20 events of a user among 4,000.
    for (index, writes, most_reads) in [
        (BY_NOTHING, 100.0, None),
        (EventIndexes::default(), 200.0, None),
        (EventIndexes { sessions: false, users: true }, 200.0, Some(12.5)),
        (BY_USER, 300.0, Some(12.5)),
    ] {
        // As in the cloud.
        let tally = Tally::with(Config { session_index: SessionIndex::Keys, ..Config::default() }).await;
        let app = app_with(&tally, 4, index).await;
        let before = tally.usage();
        tally.accept(&app, &events(&tally, 0, 100)).await;
        assert!(((tally.usage() - before).write_units - writes).abs() < 0.1, "{index:?}");
        let Some(most_reads) = most_reads else { continue };
        for begin in (1_000..5_000).step_by(500) {
            tally.accept(&app, &events(&tally, begin, 500)).await;
        }
        let rare: Value = (0..20).map(|n| json!({"name": "view", "user_id": "rare", "data": {"n": n}})).collect();
        tally.accept(&app, &rare).await;
        let before = tally.usage();
        assert_eq!(tally.list(&app, "user_id=rare&limit=50").await.len(), 20, "{index:?}");
        let read = (tally.usage() - before).read_units;
        assert!(read <= most_reads, "{index:?}: {read} read units");
    }
}

/// A database that an earlier version made has no index by user.
#[tokio::test]
#[cfg_attr(feature = "server", ignore = "it makes the tables of the embedded database")]
async fn a_table_gets_the_index_that_it_lacks() {
    let tally = Tally::on_earlier_tables().await;
    let app = app_with(&tally, 2, BY_USER).await;
    tally.accept(&app, &events(&tally, 0, 20)).await;
    assert!(!tally.get(&app, "/events?user_id=u1").await.status.is_success());
    tally.context.store.create_tables(tally.context.config.session_index).await.unwrap();
    assert_eq!(numbers(&tally, &app, "user_id=u1").await, [11, 1]);
    tally.clock.set(tally.clock.now() + MINUTE);
    tally.accept(&app, &events(&tally, 20, 20)).await;
    assert_eq!(numbers(&tally, &app, "user_id=u1").await, [31, 21, 11, 1]);
    assert_eq!(numbers(&tally, &app, "session_id=s1").await[..2], [36, 31]);
}

#[derive(Clone, Debug)]
enum Step {
    /// An event of a user and a session, some minutes before now.
    Event(Option<u8>, Option<u8>, i64),
    /// A change of what is indexed.
    Index(bool, bool),
    /// Hours that pass.
    Wait(i64),
    /// A user or session is erased.
    Erase(&'static str, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let id = || prop::option::weighted(0.8, 0u8..3);
    prop_oneof![
        20 => (id(), id(), 0i64..3_000).prop_map(|(user, session, ago)| Step::Event(user, session, ago)),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(sessions, users)| Step::Index(sessions, users)),
        4 => (1i64..40).prop_map(Step::Wait),
        1 => (prop_oneof![Just("user_id"), Just("session_id")], 0u8..3).prop_map(|(field, id)| Step::Erase(field, id)),
    ]
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn lists_by_user_and_session_are_the_same_whatever_is_indexed(
        shards in 1u16..4, sessions in any::<bool>(), users in any::<bool>(), steps in prop::collection::vec(step(), 1..60),
        limit in 1usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let tally = Tally::start().await;
            let app = app_with(&tally, shards, EventIndexes { sessions, users }).await;
            // The user, session, time and number of each event.
            let mut expected: Vec<(Option<u8>, Option<u8>, String, usize)> = vec![];
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Event(user, session, ago) => {
                        let at = (tally.clock.now() - ago * MINUTE).to_string();
                        let event = json!({"name": "view", "timestamp": at, "data": {"n": n},
                            "user_id": user.map(|id| format!("u{id}")), "session_id": session.map(|id| format!("s{id}"))});
                        tally.accept(&app, &event).await;
                        expected.push((user, session, at, n));
                    }
                    Step::Index(sessions, users) => {
                        let index = json!({"index": {"sessions": sessions, "users": users}});
                        tally.admin(Method::PATCH, "/apps/shop", &index).await;
                    }
                    Step::Wait(hours) => tally.clock.set(tally.clock.now() + hours * HOUR),
                    Step::Erase(field, id) => {
                        let path = format!("/apps/shop/events?{field}={}{id}", &field[..1]);
                        let erased = tally.admin(Method::DELETE, &path, &Value::Null).await;
                        let before = expected.len();
                        expected.retain(|(user, session, ..)| {
                            (if field == "user_id" { user } else { session }) != &Some(id)
                        });
                        assert_eq!(erased.json["deleted"], before - expected.len());
                    }
                }
            }
            for (user, session) in [(Some(0), None), (None, Some(1)), (Some(1), Some(0)), (None, None)] {
                for order in ["asc", "desc"] {
                    let mut query = format!("since=2020-01-01&order={order}&limit={limit}");
                    query.extend(user.map(|id: u8| format!("&user_id=u{id}")));
                    query.extend(session.map(|id: u8| format!("&session_id=s{id}")));
                    let found = tally.list(&app, &query).await;
                    let times: Vec<_> = found.iter().map(|event| event["timestamp"].as_str().unwrap().to_owned()).collect();
                    assert!(if order == "asc" { times.is_sorted() } else { times.is_sorted_by(|a, b| a >= b) }, "{query}");
                    let mut numbers: Vec<_> = found.iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect();
                    numbers.sort_unstable();
                    let all = expected.iter().filter(|event| {
                        user.is_none_or(|id| event.0 == Some(id)) && session.is_none_or(|id| event.1 == Some(id))
                    });
                    assert_eq!(numbers, all.map(|event| event.3 as u64).collect::<Vec<_>>(), "{query}");
                }
            }
        });
    }
}

/// Events of 60 sessions, 50 of each, one a second.
async fn many_sessions(tally: &Tally, app: &TestApp) {
    for batch in 0..6 {
        let event = |n: i64| {
            let n = batch * 500 + n;
            json!({"id": format!("e{n}"), "timestamp": (tally.clock.now() - 2 * HOUR + n * SECOND).to_string(), "name": "view",
                "session_id": format!("s{}", n % 60), "data": {"n": n, "text": "x".repeat(100)}})
        };
        tally.accept(app, &(0..500).map(event).collect()).await;
    }
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "Amazon's server counts other units")]
async fn without_an_index_the_sessions_of_a_page_are_read_at_once() {
    let mut pages = vec![];
    for index in [EventIndexes::default(), BY_NOTHING] {
        let mut tally = Tally::start().await;
        let app = app_with(&tally, 2, index).await;
        many_sessions(&tally, &app).await;
        tally.drain().await;
        let before = tally.usage();
        tally.ask(&app, "/stats/sessions?since=24h").await;
        let once = (tally.usage() - before).read_units;
        let before = tally.usage();
        let page = tally.ask(&app, "/sessions?since=24h&limit=50").await;
        let read = (tally.usage() - before).read_units;
        assert!(index.sessions || read < 2.0 * once, "{read} of {once}");
        assert_eq!(column(&page["items"], "cut"), vec![false; 50]);
        assert_eq!(column(&page["items"], "events"), vec![50; 50]);
        let next = tally.ask(&app, &format!("/sessions?cursor={}", page["next"].as_str().unwrap())).await;
        assert_eq!(column(&next["items"], "cut"), [false; 10]);
        pages.push((page["items"].clone(), next["items"].clone()));
    }
    assert_eq!(pages[0], pages[1]);
}

#[tokio::test]
async fn sessions_that_the_budget_does_not_reach_the_beginning_of_are_cut() {
    let config = Config { read_budget: 60.0, ..Config::default() };
    let mut tally = Tally::with(config).await;
    let app = app_with(&tally, 1, BY_NOTHING).await;
    many_sessions(&tally, &app).await;
    tally.drain().await;
    let page = tally.ask(&app, "/sessions?since=24h&limit=50").await;
    assert_eq!(column(&page["items"], "cut"), vec![true; 50]);
    assert!(
        page["items"][49]["events"].as_u64().unwrap() > 5,
        "all of them were read as far as the budget went: {page}"
    );
}
