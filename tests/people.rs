//! Sessions, retention, what came next, and numbers: all against a naive computation over the events that a list shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use http::Method;
use serde_json::{Value, json};
use tally_core::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use tally_service::config::Config;

use crate::funnels::{funnel, without_issues};
use crate::harness::{Tally, TestApp, assert_problem, at, column};
use crate::shop::{RANGE, SEEDS, Seen, app_like, ask, covers_all, listed, post, quantile, range, shop, shop_of};

fn by_session(events: &[Seen]) -> BTreeMap<String, Vec<Seen>> {
    let mut all: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for event in events {
        if let Some(session) = &event.session {
            all.entry(session.clone()).or_default().push(event.clone());
        }
    }
    all
}

#[tokio::test]
async fn sessions_are_listed_whole_and_each_once() {
    for seed in SEEDS {
        let (tally, app) = shop_of(seed, Config::default()).await;
        let everything = by_session(&listed(&tally, &app, "").await);
        for filter in ["", "&level=ERROR", "&name=pay&name=help", "&attr.country=np&level%5Bne%5D=INFO", "&user_id=u5"]
        {
            let matching = by_session(&listed(&tally, &app, &format!("{RANGE}{filter}")).await);
            let mut expected: Vec<_> =
                matching.iter().map(|(id, events)| (events.last().unwrap().id.clone(), id)).collect();
            expected.sort();
            let mut items = Vec::new();
            let mut page = tally.ask(&app, &format!("/sessions?{RANGE}{filter}&limit=7")).await;
            loop {
                assert!(page["items"].as_array().unwrap().len() <= 7);
                items.extend(page["items"].as_array().unwrap().clone());
                let Some(next) = page["next"].as_str() else { break };
                page = tally.ask(&app, &format!("/sessions?cursor={next}")).await;
            }
            let ids: Vec<_> = items.iter().map(|item| item["session_id"].as_str().unwrap()).collect();
            assert_eq!(ids, expected.iter().rev().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), "{filter}");
            assert!(filter.is_empty() || ids.len() < everything.len());
            for item in &items {
                let whole = &everything[item["session_id"].as_str().unwrap()];
                let (first, last) = (&whole[0], whole.last().unwrap());
                let (from, to) = (whole.iter().map(|e| e.at).min().unwrap(), whole.iter().map(|e| e.at).max().unwrap());
                let errors = whole.iter().filter(|event| matches!(event.level.as_deref(), Some("ERROR" | "FATAL")));
                let user = whole.iter().rev().find_map(|event| event.user.clone());
                let expected = json!({
                    "session_id": item["session_id"], "user_id": user, "first_at": from, "last_at": to,
                    "duration_seconds": (to - from).as_seconds(), "events": whole.iter().map(|e| e.count).sum::<u64>(),
                    "errors": errors.map(|event| event.count).sum::<u64>(), "first_name": first.name, "last_name": last.name,
                    "data": first.data, "cut": false,
                });
                assert_eq!(*item, expected, "{filter}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_is_too_long_is_cut_and_its_data_is_bounded() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let start = at("2026-11-21T08:00:00Z");
    let long = |n: i64| json!({"id": format!("{n}"), "name": "tick", "session_id": "long", "timestamp": (start + n * SECOND).to_string()});
    for part in 0..3 {
        tally.accept(&app, &json!((part * 700..(part + 1) * 700).map(long).collect::<Vec<_>>())).await;
    }
    let large = json!({"name": "large", "session_id": "large", "timestamp": "2026-11-21T07:00:00Z",
        "data": {"a": "x".repeat(1_500), "b": "y".repeat(1_500), "c": 1}});
    tally.accept(&app, &large).await;
    tally.drain().await;
    let page = tally.ask(&app, "/sessions?since=2026-11-21").await;
    assert_eq!(column(&page["items"], "session_id"), ["long", "large"]);
    assert_eq!(column(&page["items"], "cut"), [true, false]);
    assert_eq!(
        (&page["items"][0]["events"], &page["items"][0]["last_at"]),
        (&json!(2_000), &json!("2026-11-21T08:34:59Z"))
    );
    assert_eq!(page["items"][1]["data"], json!({"a": "x".repeat(1_500), "c": 1}));
}

#[tokio::test]
async fn statistics_of_sessions_are_those_of_the_events_of_the_range() {
    for seed in SEEDS {
        let (tally, app) = shop_of(seed, Config::default()).await;
        let all = by_session(&listed(&tally, &app, RANGE).await);
        // Kathmandu is 5:45 ahead.
        let ahead = 5 * HOUR + 45 * MINUTE;
        for (filter, matches) in [("", (|_| true) as fn(&Seen) -> bool), ("&name=pay", |event| event.name == "pay")] {
            let reply =
                tally.ask(&app, &format!("/stats/sessions?{RANGE}&tz=Asia/Kathmandu&interval=DAY{filter}")).await;
            covers_all(&reply);
            let mut seconds = Vec::new();
            let mut buckets: BTreeMap<Timestamp, Vec<(i64, bool)>> = BTreeMap::new();
            let mut single = 0;
            for events in all.values().filter(|events| events.iter().any(matches)) {
                let (from, to) =
                    (events.iter().map(|e| e.at).min().unwrap(), events.iter().map(|e| e.at).max().unwrap());
                seconds.push((to - from).as_seconds());
                let is_single = events.iter().map(|event| event.count).sum::<u64>() == 1;
                single += usize::from(is_single);
                buckets
                    .entry((from + ahead).floor(DAY) - ahead)
                    .or_default()
                    .push(((to - from).as_seconds(), is_single));
            }
            assert_eq!(reply["total"], json!(seconds.len()));
            assert_eq!(reply["median_seconds"], json!(quantile(&seconds, 50)));
            assert_eq!(reply["p90_seconds"], json!(quantile(&seconds, 90)));
            #[allow(clippy::cast_precision_loss)]
            let share = |single: usize, all: usize| (single as f64 / all as f64 * 1e4).round() / 1e4;
            assert_eq!(reply["single_event"].as_f64(), Some(share(single, seconds.len())));
            let series = buckets.iter().map(|(start, sessions)| {
                let seconds: Vec<_> = sessions.iter().map(|(seconds, _)| *seconds).collect();
                let single = sessions.iter().filter(|(_, is_single)| *is_single).count();
                json!({"bucket_start": start, "count": seconds.len(), "median_seconds": quantile(&seconds, 50),
                "p90_seconds": quantile(&seconds, 90), "single_event": share(single, seconds.len())})
            });
            assert_eq!(reply["series"], series.collect::<Value>());
        }
    }
}

#[tokio::test]
async fn retention_follows_each_person_from_their_first_event() {
    for seed in SEEDS {
        let (tally, app) = shop_of(seed, Config::default()).await;
        let all = listed(&tally, &app, RANGE).await;
        let ahead = 5 * HOUR + 45 * MINUTE;
        let day = |at: Timestamp| (at + ahead).floor(DAY) - ahead;
        let starts: Vec<_> =
            (0..1_000).map(|n| day(range().since()) + n * DAY).take_while(|start| *start < range().until()).collect();
        for (query, by, first, again) in [
            ("", "user", None, None),
            ("&first=view&again=pay", "user", Some("view"), Some("pay")),
            ("&by=session&first=cart", "session", Some("cart"), None),
            ("&again=help&by=user", "user", None, Some("help")),
        ] {
            let reply =
                tally.ask(&app, &format!("/stats/retention?{RANGE}&tz=Asia/Kathmandu&interval=DAY{query}")).await;
            covers_all(&reply);
            let mut people: HashMap<String, (usize, BTreeSet<usize>)> = HashMap::new();
            for event in &all {
                let Some(person) = event.person(by) else { continue };
                let bucket = starts.iter().position(|start| *start == day(event.at)).unwrap();
                match people.get_mut(&person) {
                    None if first.is_none_or(|first| event.name == first) => {
                        people.insert(person, (bucket, BTreeSet::new()));
                    }
                    Some((_, back)) if again.is_none_or(|again| event.name == again) => {
                        back.insert(bucket);
                    }
                    _ => {}
                }
            }
            let cohorts = starts.iter().enumerate().map(|(began, start)| {
                let own: Vec<_> = people.values().filter(|(bucket, _)| *bucket == began).collect();
                let returned =
                    (began..starts.len()).map(|bucket| own.iter().filter(|(_, back)| back.contains(&bucket)).count());
                json!({"start": start, "people": own.len(), "returned": returned.collect::<Vec<_>>()})
            });
            assert_eq!(reply["cohorts"], cohorts.collect::<Value>(), "{query}");
            assert_eq!((&reply["interval"], &reply["tz"]), (&json!("DAY"), &json!("Asia/Kathmandu")));
        }
    }
}

#[tokio::test]
async fn retention_goes_on_where_the_budget_ended() {
    let (tally, app) = shop(Config { read_budget: 12.0, ..Config::default() }).await;
    let (patient, _) = shop(Config::default()).await;
    let path = format!("/stats/retention?{RANGE}&tz=Asia/Kathmandu&interval=DAY&first=view");
    let whole = patient.ask(&app_like(&patient).await, &path).await;
    assert_eq!((&whole["next"], &whole["note"]), (&Value::Null, &Value::Null));
    let first = tally.ask(&app, &path).await;
    let mut reply = first.clone();
    let mut calls = 1;
    while let Some(next) = reply["next"].as_str() {
        let covered = at(reply["covered"]["until"].as_str().unwrap());
        reply = tally.ask(&app, &format!("{path}&next={next}")).await;
        assert!(at(reply["covered"]["until"].as_str().unwrap()) >= covered);
        calls += 1;
        assert!(calls < 1_000, "it ends");
    }
    // A server counts other units.
    assert!(calls > 2, "{calls}");
    covers_all(&reply);
    assert_eq!(reply["cohorts"], whole["cohorts"]);
    let next = first["next"].as_str().unwrap();
    for other in ["&first=cart", "&by=session", "&level=INFO", "&interval=WEEK", "&since=2026-11-19"] {
        let (name, _) = other[1..].split_once('=').unwrap();
        let same = path.split('&').filter(|part| !part.contains(&format!("{name}="))).collect::<Vec<_>>().join("&");
        let same = if same.contains('?') { same } else { format!("/stats/retention?{same}") };
        assert_problem(&tally.get(&app, &format!("{same}{other}&next={next}")).await, 400, &["next"]);
    }
    let funnel = ask(&tally, &app, "/funnels", &funnel("user", "1d")).await["next"].clone();
    let of_funnel = tally.get(&app, &format!("{path}&next={}", funnel.as_str().unwrap())).await;
    assert_problem(&of_funnel, 400, &["next"]);
    tally.clock.set(tally.clock.now() + HOUR + SECOND);
    assert_problem(&tally.get(&app, &format!("{path}&next={next}")).await, 400, &["next"]);
}

/// A relative range stays the one of the first request.
#[tokio::test]
async fn retention_of_the_last_days_goes_on_in_the_same_range() {
    let (tally, app) = shop(Config { read_budget: 12.0, ..Config::default() }).await;
    let first = tally.ask(&app, "/stats/retention?since=3d").await;
    tally.clock.set(tally.clock.now() + 30 * MINUTE);
    let next = first["next"].as_str().unwrap();
    let second = tally.ask(&app, &format!("/stats/retention?since=3d&next={next}")).await;
    assert_eq!((&second["since"], &second["until"]), (&first["since"], &first["until"]));
}

#[tokio::test]
async fn what_people_do_next_is_their_first_event_of_another_name() {
    for seed in SEEDS {
        let (tally, app) = shop_of(seed, Config::default()).await;
        let all = listed(&tally, &app, RANGE).await;
        for (query, by, within) in [("", "user", 30 * MINUTE), ("&within=1d&by=session", "session", DAY)] {
            let reply = tally.ask(&app, &format!("/stats/next?{RANGE}&name=cart{query}")).await;
            covers_all(&reply);
            let mut people: BTreeMap<String, Vec<&Seen>> = BTreeMap::new();
            for event in &all {
                if let Some(person) = event.person(by) {
                    people.entry(person).or_default().push(event);
                }
            }
            let mut did: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
            for events in people.values() {
                let Some(first) = events.iter().position(|event| event.name == "cart") else { continue };
                let next = events[first..].iter().find(|event| event.name != "cart");
                let delay = next
                    .map(|next| next.at.millis() - events[first].at.millis())
                    .filter(|ms| *ms <= within.as_millis());
                did.entry(next.filter(|_| delay.is_some()).map(|next| next.name.clone()))
                    .or_default()
                    .push(delay.unwrap_or(0));
            }
            let total: usize = did.values().map(Vec::len).sum();
            assert_eq!(reply["people"], json!(total));
            let items = reply["items"].as_array().unwrap();
            assert_eq!(items.len(), did.len());
            for item in items {
                let delays = &did[&item["name"].as_str().map(str::to_owned)];
                assert_eq!(item["people"], json!(delays.len()));
                #[allow(clippy::cast_precision_loss)]
                let share = (delays.len() as f64 / total as f64 * 1e4).round() / 1e4;
                assert_eq!(item["share"].as_f64(), Some(share));
                #[allow(clippy::cast_precision_loss)]
                let median = item["name"].as_str().and_then(|_| quantile(delays, 50)).map(|ms| ms as f64 / 1e3);
                assert_eq!(item["median_seconds"].as_f64(), median);
            }
            assert!(items.last().unwrap()["name"].is_null(), "{reply}");
        }
    }
}

#[tokio::test]
async fn numbers_are_those_of_all_occurrences() {
    for seed in SEEDS {
        let (tally, app) = shop_of(seed, Config::default()).await;
        for filter in ["", "&name=pay", "&level=ERROR&attr.country=fr"] {
            let all = listed(&tally, &app, &format!("{RANGE}{filter}")).await;
            let reply = tally.ask(&app, &format!("/stats/numbers?{RANGE}&attr=amount&interval=DAY{filter}")).await;
            covers_all(&reply);
            let told = |events: &[&Seen]| {
                let numbers: Vec<f64> = events
                    .iter()
                    .filter_map(|event| event.data["amount"].as_f64().map(|number| (number, event.count)))
                    .flat_map(|(number, count)| std::iter::repeat_n(number, usize::try_from(count).unwrap()))
                    .collect();
                #[allow(clippy::cast_precision_loss)]
                let (sum, count) = (numbers.iter().sum::<f64>(), numbers.len() as f64);
                json!({"count": count, "sum": sum, "min": quantile(&numbers, 0), "max": quantile(&numbers, 100),
                "mean": (sum / count * 1e9).round() / 1e9, "p50": quantile(&numbers, 50), "p90": quantile(&numbers, 90), "p99": quantile(&numbers, 99)})
            };
            let part = |reply: &Value| {
                let fields = ["count", "sum", "min", "max", "mean", "p50", "p90", "p99"];
                // A fraction is not read from JSON to its last bit.
                let round = |number: f64| (number * 1e9).round() / 1e9;
                fields
                    .into_iter()
                    .map(|field| (field.to_owned(), json!(reply[field].as_f64().map(round))))
                    .collect::<Value>()
            };
            assert_eq!(part(&reply), told(&all.iter().collect::<Vec<_>>()), "{filter}");
            let mut days: BTreeMap<Timestamp, Vec<&Seen>> = BTreeMap::new();
            for event in all.iter().filter(|event| event.data["amount"].is_number()) {
                days.entry(event.at.floor(DAY)).or_default().push(event);
            }
            let series = reply["series"].as_array().unwrap();
            assert_eq!(series.len(), days.len());
            for (bucket, (start, events)) in series.iter().zip(days) {
                assert_eq!((&bucket["bucket_start"], part(bucket)), (&json!(start), told(&events)));
            }
            assert_eq!(reply["error"], json!(0.0));
        }
        let none = tally.ask(&app, &format!("/stats/numbers?{RANGE}&attr=text")).await;
        assert_eq!(
            (&none["count"], &none["sum"], &none["p50"], &none["series"]),
            (&json!(0), &Value::Null, &Value::Null, &json!([]))
        );
    }
}

#[tokio::test]
async fn what_the_budget_does_not_reach_is_said() {
    let (tally, app) = shop(Config { read_budget: 12.0, ..Config::default() }).await;
    for path in ["sessions?", "numbers?attr=amount&"] {
        let reply = tally.ask(&app, &format!("/stats/{path}{RANGE}")).await;
        assert_eq!((&reply["complete"], &reply["covered"]["until"]), (&json!(false), &reply["until"]), "{reply}");
        let covered = reply["covered"]["since"].as_str().unwrap();
        assert!(at(covered) > range().since(), "the newest events");
        // What is told is what a request for that part tells, but for the millisecond in which the budget ended.
        let part = format!("since={covered}&until=2026-11-23T12:00:00Z");
        let events = listed(&tally, &app, &part).await;
        if path.starts_with("numbers") {
            let count: u64 =
                events.iter().filter(|event| event.data["amount"].is_number()).map(|event| event.count).sum();
            assert!(reply["count"].as_u64().unwrap() >= count, "{reply}");
        } else {
            assert!(reply["total"].as_u64().unwrap() >= by_session(&events).len() as u64);
        }
    }
    for path in ["retention?", "next?name=view&"] {
        let reply = tally.ask(&app, &format!("/stats/{path}{RANGE}")).await;
        assert_eq!((&reply["complete"], &reply["covered"]["since"]), (&json!(false), &reply["since"]), "{reply}");
        assert!(at(reply["covered"]["until"].as_str().unwrap()) < range().until(), "the oldest events");
    }
}

#[tokio::test]
async fn wrong_questions_are_told_what_to_change() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (path, fields) in [
        ("/sessions?limit=0", vec!["limit"]),
        ("/sessions?limit=201&lvel=ERROR", vec!["limit", "lvel"]),
        ("/sessions?cursor=x", vec!["cursor"]),
        ("/stats/sessions?interval=YEAR", vec!["interval"]),
        ("/stats/sessions?since=2020-01-01&interval=MINUTE", vec!["interval"]),
        ("/stats/retention?interval=HOUR", vec!["interval"]),
        ("/stats/retention?since=2026-01-01", vec!["interval"]),
        ("/stats/retention?by=group", vec!["by"]),
        ("/stats/next", vec!["name"]),
        ("/stats/next?name=a&name=b", vec!["name"]),
        ("/stats/next?name=a&within=0m", vec!["within"]),
        ("/stats/next?name=a&within=2w", vec!["within"]),
        ("/stats/numbers", vec!["attr"]),
        ("/stats/numbers?attr=amount&tz=Mars", vec!["tz"]),
    ] {
        assert_problem(&tally.get(&app, path).await, 400, &fields);
    }
    let two = json!([{"name": "a"}, {"name": "b"}]);
    for (body, fields) in [
        (json!({}), vec!["steps"]),
        (json!({"steps": []}), vec!["steps"]),
        (json!({"steps": [{"name": "a"}]}), vec!["steps"]),
        (json!({"steps": vec![json!({"name": "a"}); 9]}), vec!["steps"]),
        (json!({"steps": "a"}), vec!["steps"]),
        (json!({"steps": {"a": 1}}), vec!["steps"]),
        (
            json!({"steps": [{"name": "a"}, {"where": {"foo": 1, "level": "LOUD"}}]}),
            vec!["steps.1.where.foo", "steps.1.where.level"],
        ),
        (json!({"steps": [{"name": "a"}, 7]}), vec!["steps.1"]),
        (json!({"steps": [{"nmae": "a"}, {"name": "b"}]}), vec!["steps.0.nmae"]),
        (json!({"steps": [{"name": "a", "where": {"name": "b"}}, {"name": "b"}]}), vec!["steps.0.where.name"]),
        (
            json!({"steps": [{"level": "LOUD"}, {"where": {"attr.a[near]": 1}}]}),
            vec!["steps.0.level", "steps.1.where.attr.a[near]"],
        ),
        (json!({"steps": two, "within": "91d"}), vec!["within"]),
        (json!({"steps": two, "by": "team"}), vec!["by"]),
        (json!({"steps": two, "breakdown": "user_id"}), vec!["breakdown"]),
        (json!({"steps": two, "filters": {"lvel": "a"}}), vec!["filters.lvel"]),
        (json!({"steps": two, "since": "2026-11-21", "until": "2026-11-20"}), vec!["since"]),
        (json!({"steps": two, "step": 1}), vec!["step"]),
    ] {
        assert_problem(&post(&tally, &app, "/funnels", &body).await, 400, &fields);
    }
    let no_list = post(&tally, &app, "/funnels", &json!({"steps": {"a": 1}})).await;
    assert!(no_list.json["detail"].as_str().unwrap().contains("must be a list"), "{}", no_list.json);
    for (more, fields) in [
        (json!({"step": 3}), vec!["step"]),
        (json!({"step": 1, "reached": false}), vec!["reached"]),
        (json!({"reached": "yes"}), vec!["reached"]),
        (json!({"limit": 1_001}), vec!["limit"]),
        (json!({"cursor": "x"}), vec!["cursor"]),
        (json!({"next": "x"}), vec!["next"]),
    ] {
        let mut body = json!({"steps": two});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_problem(&post(&tally, &app, "/funnels/people", &body).await, 400, &fields);
    }
}

#[tokio::test]
async fn what_a_key_hides_is_not_told_by_people() {
    let (tally, app) = shop(Config::default()).await;
    let key = async |bounds: Value| {
        let mut body = bounds;
        body["scopes"] = json!(["read"]);
        let key = tally.admin(Method::POST, "/apps/shop/keys", &body).await.json["key"].clone();
        TestApp { read_key: key.as_str().unwrap().to_owned(), ..app.clone() }
    };
    let (people, data) = (key(json!({"hide": ["people"]})).await, key(json!({"hide": ["data"]})).await);
    let of_level = key(json!({"filter": {"level": "ERROR"}})).await;
    assert_problem(&tally.get(&people, "/sessions").await, 403, &[]);
    for bounded in [&people, &data, &of_level] {
        assert_problem(&post(&tally, bounded, "/funnels/people", &funnel("user", "1d")).await, 403, &[]);
    }
    // Without the attribute in its last step.
    let mut plain = funnel("user", "1d");
    plain["steps"][2] = json!({"name": "pay"});
    assert_eq!(
        ask(&tally, &people, "/funnels", &plain).await["steps"],
        without_issues(&ask(&tally, &app, "/funnels", &plain).await["steps"])
    );
    assert_problem(
        &post(&tally, &data, "/funnels", &funnel("user", "1d")).await,
        400,
        &["steps.2.where.attr.amount[gte]"],
    );
    plain["breakdown"] = json!("attr.country");
    assert_problem(&post(&tally, &data, "/funnels", &plain).await, 400, &["breakdown"]);
    plain["steps"][0] = json!({"where": {"user_id": "u1"}});
    assert_problem(&post(&tally, &people, "/funnels", &plain).await, 400, &["steps.0.where.user_id"]);
    assert_problem(&tally.get(&data, "/stats/numbers?attr=amount").await, 403, &[]);
    assert!(
        tally.ask(&data, &format!("/sessions?{RANGE}")).await["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|s| s["data"].is_null())
    );
    // A key with a filter sees sessions of what it may read alone.
    let all = by_session(&listed(&tally, &app, "level=ERROR").await);
    let page = tally.ask(&of_level, "/sessions?since=2026-11-01&limit=200").await;
    assert_eq!(page["items"].as_array().unwrap().len(), all.len());
    for item in page["items"].as_array().unwrap() {
        let own = &all[item["session_id"].as_str().unwrap()];
        assert_eq!(item["events"], json!(own.iter().map(|event| event.count).sum::<u64>()));
    }
    let mut body = funnel("user", "1d");
    let bounded = ask(&tally, &of_level, "/funnels", &body).await;
    body["filters"] = json!({"level": "ERROR"});
    let all = ask(&tally, &app, "/funnels", &body).await;
    assert_eq!(bounded["steps"], without_issues(&all["steps"]));
    let stats = format!("/stats/sessions?{RANGE}");
    assert_eq!(
        tally.ask(&of_level, &stats).await["total"],
        json!(by_session(&listed(&tally, &app, &format!("{RANGE}&level=ERROR")).await).len())
    );
}

#[tokio::test]
async fn groups_tell_how_many_people_have_a_value() {
    let (tally, app) = shop(Config::default()).await;
    let all = listed(&tally, &app, RANGE).await;
    let reply = tally.ask(&app, &format!("/stats/groups?{RANGE}&attr=country")).await;
    for item in reply["items"].as_array().unwrap() {
        let own = || all.iter().filter(|event| event.data["country"] == item["value"]);
        let people: BTreeSet<_> = own().filter_map(|event| event.person("user")).collect();
        assert_eq!(item["people"], json!(people.len()));
        assert_eq!(item["count"], json!(own().map(|event| event.count).sum::<u64>()));
    }
    assert_eq!(reply["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_session_is_not_lost_from_a_list_while_its_newest_event_is_not_counted() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let error = |session: &str, minute: u32| json!({"name": "a", "level": "ERROR", "session_id": session, "timestamp": format!("2026-11-21T07:{minute:02}:00Z")});
    tally.accept(&app, &json!([error("a", 10), error("b", 20), error("c", 30)])).await;
    tally.drain().await;
    // It happened before the newest minutes, where only counters could tell it.
    tally.clock.set(tally.clock.now() + MINUTE);
    tally.accept(&app, &error("a", 40)).await;
    for filter in ["", "&level=ERROR"] {
        let mut ids = Vec::new();
        let mut page = tally.ask(&app, &format!("/sessions?since=2026-11-21&limit=1{filter}")).await;
        loop {
            ids.extend(column(&page["items"], "session_id").into_iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            page = tally.ask(&app, &format!("/sessions?cursor={next}")).await;
        }
        ids.sort_by_key(Value::to_string);
        assert_eq!(ids, ["a", "b", "c"], "{filter}");
    }
}
