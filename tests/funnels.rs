//! Funnels: how many people go through some steps in order, and what they met on their way.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tally_core::time::{DAY, HOUR, MINUTE, SECOND, TimeDelta, Timestamp};
use tally_service::config::Config;

use crate::erase::expires;
use crate::harness::{Tally, assert_problem, at, column};
use crate::shop::{RANGE, SEEDS, Seen, app_like, ask, covers_all, listed, post, quantile, shop, shop_of};

/// A step of a naive funnel.
type Matches = fn(&Seen) -> bool;

/// As a filter compares it: also a number in a text.
fn amount(event: &Seen) -> Option<i64> {
    let amount = &event.data["amount"];
    amount.as_i64().or_else(|| amount.as_str()?.parse().ok())
}

/// What became of a person.
#[derive(Clone, Debug)]
struct Went {
    furthest: usize,
    /// In milliseconds, from the step before.
    delays: Vec<i64>,
    country: String,
    /// When each step was first reached.
    reached_at: Vec<Timestamp>,
}

fn naive_funnel(events: &[Seen], steps: &[Matches], within: TimeDelta, by: &str) -> BTreeMap<String, Went> {
    let mut people: BTreeMap<String, Vec<&Seen>> = BTreeMap::new();
    for event in events {
        if let Some(person) = event.person(by) {
            people.entry(person).or_default().push(event);
        }
    }
    let ms = |event: &Seen| event.at.millis();
    let mut all = BTreeMap::new();
    for (person, events) in people {
        let mut chains: Vec<Vec<usize>> = Vec::new();
        for start in (0..events.len()).filter(|i| steps[0](events[*i])) {
            let mut chain = vec![start];
            for step in &steps[1..] {
                let next = (chain[chain.len() - 1] + 1..events.len()).find(|i| step(events[*i]));
                match next.filter(|i| ms(events[*i]) - ms(events[start]) <= within.as_millis()) {
                    Some(next) => chain.push(next),
                    None => break,
                }
            }
            chains.push(chain);
        }
        let Some(furthest) = chains.iter().map(|chain| chain.len() - 1).max() else { continue };
        let first = |k: usize| {
            let reaching = || chains.iter().filter(|chain| chain.len() > k);
            let end = reaching().map(|chain| chain[k]).min().unwrap();
            let latest = reaching().filter(|chain| chain[k] == end).map(|chain| ms(events[chain[0]])).max().unwrap();
            reaching().find(|chain| chain[k] == end && ms(events[chain[0]]) == latest).unwrap().clone()
        };
        let delays = (1..=furthest).map(|k| ms(events[first(k)[k]]) - ms(events[first(k)[k - 1]])).collect();
        let begun = if furthest == 0 { chains[0][0] } else { first(furthest)[0] };
        let reached_at = (0..=furthest).map(|k| events[if k == 0 { chains[0][0] } else { first(k)[k] }].at).collect();
        let country = events[begun].data["country"].as_str().unwrap().to_owned();
        all.insert(person, Went { furthest, delays, country, reached_at });
    }
    all
}

fn naive_steps(went: &[&Went], labels: &[&str]) -> Value {
    #[allow(clippy::cast_precision_loss)]
    let share = |part: usize, of: usize| (of > 0).then(|| (part as f64 / of as f64 * 1e4).round() / 1e4);
    let people = |k: usize| went.iter().filter(|went| went.furthest >= k).count();
    let steps = labels.iter().enumerate().map(|(k, label)| {
        // `issues` are tested apart.
        let delays: Vec<_> =
            went.iter().filter(|went| k > 0 && went.furthest >= k).map(|went| went.delays[k - 1]).collect();
        #[allow(clippy::cast_precision_loss)]
        let median = quantile(&delays, 50).map(|ms| ms as f64 / 1e3);
        json!({"label": label, "people": people(k), "of_first": share(people(k), people(0)),
            "of_previous": share(people(k), people(k.saturating_sub(1))), "median_seconds": median})
    });
    steps.collect()
}

/// The steps of a reply without their issues.
pub(crate) fn without_issues(steps: &Value) -> Value {
    let mut steps = steps.clone();
    for step in steps.as_array_mut().unwrap() {
        step.as_object_mut().unwrap().remove("issues");
    }
    steps
}

/// A reply with all numbers as fractions, so that 1 and 1.0 are the same.
fn fractions(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(fractions).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), fractions(value))).collect(),
        other => other.clone(),
    }
}

const STEPS: [Matches; 3] = [
    |event| event.name == "view",
    |event| event.name == "cart",
    |event| event.name == "pay" && amount(event).is_some_and(|amount| amount >= 20),
];
const LABELS: [&str; 3] = ["view", "cart", "pay, amount[gte] 20"];

pub(crate) fn funnel(by: &str, within: &str) -> Value {
    json!({
        "steps": [{"name": "view"}, {"name": ["cart"]}, {"name": "pay", "where": {"attr.amount[gte]": 20}}],
        "by": by, "within": within, "since": "2026-11-18T03:17:00Z", "until": "2026-11-23T12:00:00Z",
    })
}

/// By step, whether people went on, and title: how many met the error.
type MetErrors = BTreeMap<(usize, bool, String), u64>;

fn met(steps: &Value) -> MetErrors {
    let mut all = BTreeMap::new();
    let steps = steps.as_array().unwrap();
    assert!(steps.last().unwrap()["issues"].is_null());
    for (k, step) in steps.iter().enumerate().take(steps.len() - 1) {
        assert_eq!(step["issues"]["complete"], true, "{step}");
        for (list, went_on) in [("left", false), ("went_on", true)] {
            let issues = step["issues"][list].as_array().unwrap();
            let people: Vec<_> = issues.iter().map(|issue| issue["people"].as_u64().unwrap()).collect();
            assert!(people.is_sorted_by(|a, b| a >= b), "the most people first: {issues:?}");
            for issue in issues {
                assert_eq!(issue["id"].as_str().unwrap().len(), 17, "{issue}");
                let title = issue["title"].as_str().unwrap().to_owned();
                all.insert((k, went_on, title), issue["people"].as_u64().unwrap());
            }
        }
    }
    all
}

/// By looking where each person was at each error.
fn naive_issues(events: &[Seen], went: &BTreeMap<String, Went>, by: &str) -> MetErrors {
    let mut people: BTreeMap<(usize, bool, String), BTreeSet<String>> = BTreeMap::new();
    for event in events.iter().filter(|event| matches!(event.level.as_deref(), Some("ERROR" | "FATAL"))) {
        let (Some(message), Some(person)) = (event.message.clone(), event.person(by)) else { continue };
        let Some(of_person) = went.get(&person) else { continue };
        let reached = of_person.reached_at.iter().filter(|at| at.millis() < event.at.millis()).count();
        if (1..STEPS.len()).contains(&reached) {
            let step = reached - 1;
            people.entry((step, of_person.furthest > step, message)).or_default().insert(person);
        }
    }
    let all: MetErrors = people.into_iter().map(|(met, people)| (met, people.len() as u64)).collect();
    for went_on in [true, false] {
        assert!(all.keys().any(|met| met.1 == went_on), "{all:?}");
    }
    all
}

#[tokio::test]
async fn a_funnel_counts_people_as_trying_each_start_does() {
    for seed in SEEDS {
        let (tally, app) = shop_of(seed, Config::default()).await;
        let all = listed(&tally, &app, RANGE).await;
        for (by, text, within) in [("user", "1d", DAY), ("session", "9h", 9 * HOUR), ("user", "30m", 30 * MINUTE)] {
            let mut body = funnel(by, text);
            body["breakdown"] = json!("attr.country");
            let reply = ask(&tally, &app, "/funnels", &body).await;
            covers_all(&reply);
            assert_eq!(reply["next"], Value::Null);
            let went = naive_funnel(&all, &STEPS, within, by);
            let everybody: Vec<_> = went.values().collect();
            assert!(everybody.iter().any(|went| went.furthest == 1) && everybody.len() > 15, "{everybody:?}");
            assert_eq!(
                fractions(&without_issues(&reply["steps"])),
                fractions(&naive_steps(&everybody, &LABELS)),
                "{body}"
            );
            assert_eq!(met(&reply["steps"]), naive_issues(&all, &went, by), "{body}");
            let mut countries: Vec<_> = ["fr", "np", "us"]
                .into_iter()
                .map(|country| {
                    let of: Vec<_> = went.values().filter(|went| went.country == country).collect();
                    (std::cmp::Reverse(of.len()), country, naive_steps(&of, &LABELS))
                })
                .collect();
            countries.sort_by_key(|(people, country, _)| (*people, *country));
            let countries: Value =
                countries.into_iter().map(|(_, value, steps)| json!({"value": value, "steps": steps})).collect();
            assert_eq!(fractions(&reply["breakdown"]), fractions(&countries), "{body}");

            // The people themselves, by pages.
            for (step, reached) in [(1, true), (2, true), (3, true), (2, false), (3, false)] {
                let mut expected: Vec<_> = went
                    .iter()
                    .filter_map(|(person, went)| {
                        let wanted = if reached { went.furthest >= step - 1 } else { went.furthest == step - 2 };
                        let (_, id) = person.split_once(' ').unwrap();
                        let place = went.reached_at.get(if reached { step - 1 } else { step - 2 });
                        wanted.then(|| (std::cmp::Reverse(*place.unwrap()), id.to_owned()))
                    })
                    .collect();
                expected.sort();
                let mut body = funnel(by, text);
                (body["step"], body["reached"], body["limit"]) = (json!(step), json!(reached), json!(4));
                let mut found = Vec::new();
                loop {
                    let page = ask(&tally, &app, "/funnels/people", &body).await;
                    covers_all(&page);
                    for item in page["items"].as_array().unwrap() {
                        let id = item["user_id"].as_str().or(item["session_id"].as_str()).unwrap();
                        found.push((std::cmp::Reverse(at(item["at"].as_str().unwrap())), id.to_owned()));
                    }
                    let Some(next) = page["next"].as_str() else { break };
                    body["cursor"] = json!(next);
                }
                assert_eq!(found, expected, "{by} {step} {reached}");
            }
        }
        // With a filter on all steps, and by other things than names.
        let mut body = funnel("user", "1d");
        body["filters"] = json!({"attr.country": ["np", "us"]});
        body["steps"] = json!([{"level": "INFO"}, {"where": {"level": ["WARN", "ERROR"]}}]);
        body["breakdown"] = json!("level");
        let reply = ask(&tally, &app, "/funnels", &body).await;
        let some: Vec<_> = all.iter().filter(|event| event.data["country"] != "fr").cloned().collect();
        let steps: [Matches; 2] = [
            |event| event.level.as_deref() == Some("INFO"),
            |event| matches!(event.level.as_deref(), Some("WARN" | "ERROR")),
        ];
        let went = naive_funnel(&some, &steps, DAY, "user");
        let expected = naive_steps(&went.values().collect::<Vec<_>>(), &["INFO", "WARN or ERROR"]);
        assert_eq!(fractions(&without_issues(&reply["steps"])), fractions(&expected));
        assert_eq!(column(&reply["breakdown"], "value"), ["INFO"]);
        assert!(reply["breakdown"][0]["steps"][0]["issues"].is_null());

        // Who may not read issues is not told of them, and nobody before the steps are known.
        let key = json!({"scopes": ["read"], "hide": ["data"]});
        let key = tally.admin(Method::POST, "/apps/shop/keys", &key).await.json["key"].as_str().unwrap().to_owned();
        let body = json!({"steps": [{"name": "view"}, {"name": "cart"}]}).to_string();
        let reply = tally.call(Method::POST, "/apps/shop/funnels", ("x-read-key", &key), body).await;
        assert_eq!((reply.status.as_u16(), &reply.json["steps"][0]["issues"]), (200, &Value::Null));
    }
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "Amazon's server counts other units")]
async fn a_funnel_reads_only_the_minutes_that_have_the_names_of_its_steps() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let text = "x".repeat(200);
    for batch in 0..6 {
        let event = |n: i64| {
            let time = at("2026-11-21T07:00:00Z") + (batch * 500 + n) * SECOND;
            json!({"name": "noise", "user_id": format!("u{n}"), "timestamp": time, "data": {"text": text}})
        };
        tally.accept(&app, &(0..500).map(event).collect()).await;
    }
    let rare = |name: &str, time: &str| json!({"name": name, "user_id": "ann", "timestamp": time});
    tally.accept(&app, &json!([rare("view", "2026-11-21T06:30:00Z"), rare("pay", "2026-11-21T09:30:00Z")])).await;
    tally.drain().await;
    let mut units = vec![];
    for steps in [json!([{"name": "view"}, {"name": "pay"}]), json!([{"name": "view"}, {"where": {"user_id": "ann"}}])]
    {
        let body = json!({"steps": steps, "since": "2026-11-21T06:00:00Z", "until": "2026-11-21T10:00:00Z"});
        let before = tally.usage();
        let reply = ask(&tally, &app, "/funnels", &body).await;
        assert_eq!(column(&reply["steps"], "people"), [1, 1], "{reply}");
        units.push((tally.usage() - before).read_units);
    }
    assert!(units[0] < 20.0 && units[1] > 100.0, "{units:?} read units");
}

#[tokio::test]
async fn what_a_funnel_keeps_to_go_on_ends_within_the_hour() {
    let (tally, app) = shop(Config { read_budget: 12.0, ..Config::default() }).await;
    let before = tally.contents().await;
    let mut body = funnel("user", "1d");
    body["breakdown"] = json!("attr.country");
    assert!(ask(&tally, &app, "/funnels", &body).await["next"].is_string());
    let after = tally.contents().await;
    let kept: Vec<_> = after.lines().filter(|item| !before.contains(item) && item.contains("funnel#")).collect();
    assert!(!kept.is_empty());
    for item in kept {
        assert!(expires(item) <= tally.clock.now() + HOUR, "{item}");
        // People are hashes.
        assert!(!item.contains("\"u1\"") && !item.contains("user"), "{item}");
    }
}

#[tokio::test]
async fn a_funnel_goes_on_where_the_budget_ended() {
    let (tally, app) = shop(Config { read_budget: 12.0, ..Config::default() }).await;
    let (patient, _) = shop(Config::default()).await;
    let mut body = funnel("user", "1d");
    body["breakdown"] = json!("attr.country");
    let whole = ask(&patient, &app_like(&patient).await, "/funnels", &body).await;
    let first = ask(&tally, &app, "/funnels", &body).await;
    assert_eq!((&first["complete"], &first["note"]), (&json!(false), &Value::Null), "{first}");
    assert!(first["covered"]["until"].as_str() < whole["until"].as_str(), "{first}");
    let mut reply = first.clone();
    let (mut calls, mut last) = (1, body.clone());
    while let Some(next) = reply["next"].as_str() {
        let covered = reply["covered"]["until"].as_str().unwrap().to_owned();
        body["next"] = json!(next);
        last.clone_from(&body);
        reply = ask(&tally, &app, "/funnels", &body).await;
        assert!(at(reply["covered"]["until"].as_str().unwrap()) >= at(&covered));
        calls += 1;
        assert!(calls < 1_000, "it ends");
    }
    assert!(calls > 3, "{calls}");
    covers_all(&reply);
    assert_eq!(without_issues(&reply["steps"]), without_issues(&whole["steps"]));
    assert_eq!(reply["breakdown"], whole["breakdown"]);
    assert!(first["steps"][0]["issues"].is_null() && reply["steps"][0]["issues"].is_object());
    // The errors that people met are those of the whole, once the budget has room for them.
    let request = Request::post("/apps/shop/funnels").header("x-read-key", &app.read_key);
    let request = request.body(Body::from(last.to_string())).unwrap();
    let with_issues = tally.send_with_budget(1_000.0, request).await.json;
    assert_eq!(with_issues["steps"][0]["issues"]["complete"], true, "{with_issues}");
    assert_eq!(with_issues["steps"], whole["steps"]);

    // A token is for its question, its app and the bounds of its key alone, and for an hour.
    body["next"] = first["next"].clone();
    assert_eq!(post(&tally, &app, "/funnels", &body).await.status, StatusCode::OK, "as often as it is sent");
    for (field, value) in [
        ("within", json!("2d")),
        ("by", json!("session")),
        ("since", json!("2026-11-18")),
        ("filters", json!({"level": "INFO"})),
    ] {
        let mut other = body.clone();
        other[field] = value;
        assert_problem(&post(&tally, &app, "/funnels", &other).await, 400, &["next"]);
    }
    let other = tally.app("other").await;
    assert_problem(&post(&tally, &other, "/funnels", &body).await, 400, &["next"]);
    let bounded = json!({"scopes": ["read"], "hide": ["data"]});
    let bounded = tally.admin(Method::POST, "/apps/shop/keys", &bounded).await.json["key"].clone();
    body.as_object_mut().unwrap().remove("breakdown");
    body["steps"][2] = json!({"name": "pay"});
    let with_key = async |body: &Value| {
        tally
            .call(Method::POST, "/apps/shop/funnels", ("x-read-key", bounded.as_str().unwrap()), body.to_string())
            .await
    };
    body["next"] = Value::Null;
    body["next"] = ask(&tally, &app, "/funnels", &body).await["next"].clone();
    assert_problem(&with_key(&body).await, 400, &["next"]);
    body["next"] = Value::Null;
    body["next"] = with_key(&body).await.json["next"].clone();
    assert_eq!(with_key(&body).await.status, StatusCode::OK);
    assert_problem(&post(&tally, &app, "/funnels", &body).await, 400, &["next"]);
    tally.clock.set(tally.clock.now() + HOUR + SECOND);
    assert_problem(&with_key(&body).await, 400, &["next"]);
    for text in ["x", "0123456789012345678901234567890123456789", "funnel#1", ""] {
        body["next"] = json!(text);
        let status = with_key(&body).await.status;
        assert_eq!(status.as_u16(), if text.is_empty() { 200 } else { 400 }, "{text}");
    }
    let stored = tally.contents().await;
    assert!(stored.contains("funnel#") && !stored.contains("funnel#u"), "no ids");
}
