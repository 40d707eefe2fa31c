//! Counted properties: the values of `data` that an app's counters count.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::counter::key::CounterKind;
use tally_core::counter::property::CountedPath;
use tally_core::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use tally_service::apps::create::NewApp;
use tally_service::config::Config;

use crate::database::cases;
use crate::harness::{NOW, Tally, TestApp, assert_problem, at};

async fn counting(tally: &Tally, paths: &[&str], shards: u16) -> TestApp {
    let counted = paths.iter().map(|path| CountedPath::parse(path).unwrap()).collect();
    tally.app_with(NewApp { name: "shop".into(), shards: Some(shards), counted, ..NewApp::default() }).await
}

/// The counts of a reply, by the JSON text of the value.
fn counts(reply: &Value) -> BTreeMap<String, i64> {
    let items = reply["items"].as_array().unwrap();
    items.iter().map(|item| (item["value"].to_string(), item["count"].as_i64().unwrap())).collect()
}

#[derive(Clone, Debug)]
struct View {
    /// Seconds before now.
    ago: i64,
    name: &'static str,
    level: Option<&'static str>,
    plan: Value,
    count: i64,
}

impl View {
    fn at(&self) -> Timestamp {
        at(NOW) - self.ago * SECOND
    }

    fn event(&self, n: usize) -> Value {
        let mut event = json!({"name": self.name, "id": format!("v{n}"), "timestamp": self.at(), "count": self.count,
            "level": self.level, "category": "web", "user_id": format!("u{}", n % 5)});
        if !self.plan.is_null() {
            event["data"] = json!({"user": {"plan": self.plan}, "n": n});
        }
        event
    }
}

fn view() -> impl Strategy<Value = View> {
    // Some are in the future, as clocks that are fast tell.
    let ago = prop_oneof![3 => -600i64..300, 4 => 0i64..8_000, 4 => 0i64..200_000];
    let plans = vec![json!("pro"), json!("a|b\\"), json!(1), json!("1"), json!(true), json!(["x", 2.5]), json!(null)];
    let levels = vec![None, Some("INFO"), Some("ERROR")];
    (ago, select(vec!["view", "buy"]), select(levels), select(plans), 1i64..4)
        .prop_map(|(ago, name, level, plan, count)| View { ago, name, level, plan, count })
}

#[derive(Clone, Debug)]
struct Question {
    since: i64,
    length: i64,
    name: Option<&'static str>,
    level: Option<&'static str>,
    people: bool,
}

fn question() -> impl Strategy<Value = Question> {
    (
        prop_oneof![0i64..5_000, 0i64..250_000, Just(10 * 3600 + 8 * 60 + 25)],
        prop_oneof![1i64..4_000, 1i64..250_000],
        prop::option::of(select(vec!["view", "buy"])),
        prop::option::of(select(vec!["INFO", "ERROR"])),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(since, length, name, level, people)| Question { since, length, name, level, people })
}

async fn check(tally: &Tally, app: &TestApp, views: &[View], question: &Question) {
    let Question { since, length, name, level, people } = question;
    let since = at(NOW) - *since * SECOND;
    let until = (since + *length * SECOND).min(at(NOW) + 10 * MINUTE);
    let filters =
        [("name", name), ("level", level)].map(|(field, value)| value.map(|value| format!("&{field}={value}")));
    let filters: String = filters.into_iter().flatten().collect();
    let query = format!("attr=user.plan&since={since}&until={until}{filters}&people={people}");
    let reply = tally.ask(app, &format!("/stats/groups?{query}")).await;
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for view in views {
        let matches = name.is_none_or(|name| view.name == name) && level.is_none_or(|level| view.level == Some(level));
        if matches && (since..until).contains(&view.at()) {
            *expected.entry(view.plan.to_string()).or_default() += view.count;
        }
    }
    assert_eq!(counts(&reply), expected, "{query} {reply}");
    assert_eq!((&reply["complete"], &reply["other"]), (&json!(true), &Value::Null), "{query}");
    let tells_people = reply["items"].as_array().unwrap().iter().any(|item| item.get("people").is_some());
    assert_eq!(tells_people, *people && !expected.is_empty(), "{query}");
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn values_are_exact_whatever_is_overwritten_and_erased(
        views in prop::collection::vec(view(), 1..60),
        others in prop::collection::vec((any::<Index>(), view()), 0..8),
        erased in prop::collection::vec(any::<Index>(), 0..6),
        late in prop::collection::vec(view(), 0..4),
        questions in prop::collection::vec(question(), 6),
        shards in select(vec![1u16, 3]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut tally = Tally::start().await;
            let app = counting(&tally, &["n", "user.plan"], shards).await;
            let mut views = views;
            for (chunk, events) in views.chunks(20).enumerate() {
                let events: Value = events.iter().enumerate().map(|(n, view)| view.event(chunk * 20 + n)).collect();
                tally.accept(&app, &events).await;
                tally.drain().await;
            }
            for (index, other) in &others {
                let n = index.index(views.len());
                // The time is part of an event's identity.
                views[n] = View { ago: views[n].ago, ..other.clone() };
                tally.accept(&app, &views[n].event(n)).await;
            }
            let gone: BTreeSet<usize> = erased.iter().map(|index| index.index(views.len())).collect();
            for n in &gone {
                let id = tally.accept(&app, &views[*n].event(*n)).await["id"].clone();
                tally.admin(Method::DELETE, &format!("/apps/shop/events/{}", id.as_str().unwrap()), &Value::Null).await;
            }
            let mut left: Vec<_> = (0..views.len()).filter(|n| !gone.contains(n)).map(|n| views[n].clone()).collect();
            tally.drain().await;
            // The newest minutes are read from their events, so what is not counted yet is in too.
            for (n, view) in late.iter().enumerate() {
                let view = View { ago: view.ago.rem_euclid(60), ..view.clone() };
                tally.accept(&app, &view.event(100 + n)).await;
                left.push(view);
            }
            for question in &questions {
                check(&tally, &app, &left, question).await;
            }
            tally.drain().await;
            for question in &questions {
                check(&tally, &app, &left, question).await;
            }
            assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
        });
    }
}

#[tokio::test]
async fn counted_values_are_complete_where_events_are_too_many() {
    let config = Config { read_budget: 20.0, ..Config::default() };
    let mut tally = Tally::with(config).await;
    let app = counting(&tally, &["plan"], 1).await;
    for thousand in 0..3 {
        let event = |n: usize| {
            let n = thousand * 1_000 + n;
            let timestamp = at(NOW) - 2 * HOUR + i64::try_from(n).unwrap() * SECOND;
            json!({"name": "a", "data": {"plan": n % 7, "kind": n % 7, "text": "x".repeat(300)}, "timestamp": timestamp})
        };
        tally.accept(&app, &(0..1_000).map(event).collect()).await;
    }
    tally.drain().await;
    let counted = tally.ask(&app, "/stats/groups?attr=plan&since=1d&compare=previous").await;
    assert_eq!(counted["complete"], true, "{counted}");
    assert_eq!(counts(&counted).values().sum::<i64>(), 3_000);
    assert_eq!((&counted["items"][0]["previous"], &counted["previous"]["complete"]), (&json!(0), &Value::Null));
    assert_eq!(tally.ask(&app, "/stats/groups?attr=kind&since=1d").await["complete"], false);
    assert_eq!(tally.ask(&app, "/stats/groups?attr=plan&since=1d&people=true").await["complete"], false);
    assert_eq!(tally.ask(&app, "/stats/groups?attr=plan&since=1d&attr.kind=3").await["complete"], false);
}

#[tokio::test]
async fn values_are_counted_from_a_day_to_come_on() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let send = async |tally: &mut Tally, id: &str, plan: &str| {
        let event = json!({"name": "a", "id": id, "data": {"plan": plan}, "timestamp": tally.clock.now()});
        tally.accept(&app, &event).await;
        tally.drain().await;
    };
    send(&mut tally, "1", "free").await;
    let changed = tally.admin(Method::PATCH, "/apps/shop", &json!({"counted": ["plan", "user.plan", "plan"]})).await;
    assert_eq!((changed.status.as_u16(), &changed.json["counted"]), (200, &json!([])), "{}", changed.json);
    assert_eq!(changed.json["pending"][0]["counted"], json!(["plan", "user.plan"]));
    let from = at(changed.json["pending"][0]["from"].as_str().unwrap());
    assert!(from >= tally.clock.now() + DAY);
    tally.clock.set(from - SECOND);
    send(&mut tally, "2", "pro").await;
    tally.clock.set(from + SECOND);
    send(&mut tally, "3", "pro").await;
    tally.clock.set(from + 3 * HOUR);
    assert_eq!(
        tally.admin(Method::GET, "/apps/shop", &Value::Null).await.json["counted"],
        json!(["plan", "user.plan"])
    );

    let groups = async |query: &str| tally.ask(&app, &format!("/stats/groups?attr=plan&{query}")).await;
    let all = groups("since=7d").await;
    assert_eq!(
        (counts(&all), &all["complete"]),
        ([("\"free\"".into(), 1), ("\"pro\"".into(), 2)].into(), &json!(true))
    );
    assert!(all["items"][0].get("people").is_none(), "{all}");
    let before = groups(&format!("since=7d&until={from}")).await;
    assert_eq!(counts(&before), [("\"free\"".into(), 1), ("\"pro\"".into(), 1)].into());
    assert_eq!(before["items"][0]["people"], 0, "events tell people");
    assert_eq!(counts(&groups(&format!("since={from}")).await), [("\"pro\"".into(), 1)].into());
    // Counters have the values of what came since then alone.
    let kept = tally.items(&app).await.into_iter().filter(|item| item.key.kind == CounterKind::Properties);
    assert_eq!(kept.map(|item| item.item.counts.values().sum::<i64>()).collect::<Vec<_>>(), [2, 2, 2], "of two paths");
}

#[tokio::test]
async fn what_a_full_item_has_no_room_for_is_counted_as_other() {
    let mut tally = Tally::start().await;
    let app = counting(&tally, &["plan"], 1).await;
    let event = |id: usize, name: &str, plan: &str| json!({"name": name, "id": id.to_string(), "data": {"plan": plan}, "timestamp": at(NOW) - HOUR});
    let long = "x".repeat(300);
    tally.accept(&app, &json!([event(1, "a", "free"), event(2, "b", &long)])).await;
    tally.drain().await;
    let all = tally.ask(&app, "/stats/groups?attr=plan").await;
    assert_eq!((counts(&all), &all["other"]), ([("\"free\"".into(), 1)].into(), &json!(1)), "{all}");
    assert_eq!(all["complete"], true);
    for item in tally.items(&app).await.into_iter().filter(|item| item.key.kind == CounterKind::Properties) {
        tally.context.store.set_full(&item.key).await.unwrap();
    }
    tally.accept(&app, &json!([event(3, "a", "free"), event(4, "a", "pro"), event(5, "b", "free")])).await;
    tally.drain().await;
    let all = tally.ask(&app, "/stats/groups?attr=plan").await;
    assert_eq!((counts(&all), &all["other"]), ([("\"free\"".into(), 2)].into(), &json!(3)), "{all}");
    assert_eq!(all["complete"], true, "each event is counted");
    let named = tally.ask(&app, "/stats/groups?attr=plan&name=a").await;
    assert_eq!((&named["complete"], counts(&named)), (&json!(false), [("\"free\"".into(), 2)].into()));
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
    // The value that goes makes no room: what comes later is still counted with the others.
    for id in [1, 3] {
        let id = tally.accept(&app, &event(id, "a", "free")).await["id"].clone();
        tally.admin(Method::DELETE, &format!("/apps/shop/events/{}", id.as_str().unwrap()), &Value::Null).await;
    }
    tally.drain().await;
    tally.accept(&app, &event(6, "a", "free")).await;
    tally.drain().await;
    let all = tally.ask(&app, "/stats/groups?attr=plan").await;
    assert_eq!((counts(&all), &all["other"]), (BTreeMap::new(), &json!(4)), "{all}");
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
}

#[tokio::test]
async fn an_erased_value_leaves_no_name() {
    let mut tally = Tally::start().await;
    let app = counting(&tally, &["email"], 1).await;
    let event = |id: &str, email: &str| json!({"name": "a", "id": id, "user_id": id, "data": {"email": email}, "timestamp": NOW});
    tally.accept(&app, &json!([event("1", "ann@example.org"), event("2", "bob@example.org")])).await;
    tally.drain().await;
    assert!(tally.contents().await.contains("ann@example.org"));
    tally.admin(Method::DELETE, "/apps/shop/events?user_id=1", &Value::Null).await;
    tally.drain().await;
    let contents = tally.contents().await;
    assert!(!contents.contains("ann@example.org") && contents.contains("bob@example.org"));
}

#[tokio::test]
async fn a_damaged_value_is_found_and_repaired() {
    let mut tally = Tally::start().await;
    let app = counting(&tally, &["plan"], 1).await;
    tally.accept(&app, &json!([{"name": "A b", "level": "WARN", "data": {"plan": "pro"}}, {"name": "A b"}])).await;
    tally.drain().await;
    let is_day = |key: &tally_core::counter::key::CounterKey| {
        key.kind == CounterKind::Properties && key.bucket.end() - key.bucket.start() == DAY
    };
    let item = tally.items(&app).await.into_iter().find(|item| is_day(&item.key)).unwrap();
    let pro = item.item.counts.keys().find(|name| name.contains("pro")).unwrap();
    tally.context.store.correct(&item.key, item.version, "damage", &[(pro.clone(), 4)]).await.unwrap();
    let (differences, complete) = tally.recounted(&app, "recount").await;
    assert!(complete);
    let expected = json!([{"day": "2026-11-21", "name": "A b", "slug": "a-b", "category": null, "level": "WARN", "attr": "plan",
        "value": "\"pro\"", "counted": 5, "stored": 1, "granularities": ["day"]}]);
    assert_eq!(json!(differences), expected);
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
}

#[tokio::test]
async fn paths_of_data_alone_are_counted() {
    let tally = Tally::start().await;
    let token = tally.token(Role::Admin).await;
    let make =
        async |body: Value| tally.call(Method::POST, "/apps", ("x-access-token", &token), body.to_string()).await;
    let made = make(json!({"name": "site", "counted": "web"})).await;
    let web = ["browser", "country", "device", "path", "referrer_host", "utm_source"];
    assert_eq!((made.status.as_u16(), &made.json["counted"]), (201, &json!(web)), "{}", made.json);
    let nine: Vec<_> = (0..9).map(|n| format!("p{n}")).collect();
    for wrong in [
        json!(["user_id"]),
        json!(["tags.release"]),
        json!([""]),
        json!(["x".repeat(65)]),
        json!([1]),
        json!("all"),
        json!(nine),
    ] {
        assert_problem(&make(json!({"name": "other", "counted": wrong})).await, 400, &["counted"]);
    }
    assert_eq!(make(json!({"name": "other", "counted": null})).await.json["counted"], json!([]));
}
