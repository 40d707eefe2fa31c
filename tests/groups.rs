//! Groups of messages: what counts together, and how it is found again.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::event::group::Grouping;
use tally_core::time::{HOUR, SECOND};
use tally_service::apps::create as admin;

use crate::harness::{NOW, Tally, TestApp, assert_problem, at, column};

/// Before the newest minutes, which are counted from their events.
const THEN: &str = "2026-11-21T05:00:00Z";
const RANGE: &str = "since=2026-11-21T04:00:00Z&until=2026-11-21T06:00:00Z";

fn cart(n: usize) -> Value {
    json!({"id": format!("e{n}"), "name": "failed", "level": "ERROR", "timestamp": THEN,
        "message": format!("cart {} not found", 484_509 + n)})
}

/// The only group of a range.
async fn only_group(tally: &Tally, app: &TestApp, range: &str) -> Value {
    let top = tally.ask(app, &format!("/stats/top-messages?{range}")).await;
    let items = top["items"].as_array().expect("items");
    assert_eq!((items.len(), &top["complete"]), (1, &json!(true)), "{top}");
    items[0].clone()
}

async fn change(tally: &Tally, body: &Value) -> Value {
    let token = tally.token(Role::Admin).await;
    let reply = tally.call(Method::PATCH, "/apps/shop", ("x-access-token", &token), body.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    reply.json
}

#[tokio::test]
async fn a_thousand_messages_with_ids_are_one_group() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let all: Vec<_> = (0..1_000).map(cart).collect();
    for part in all.chunks(250) {
        tally.accept(&app, &json!(part)).await;
    }
    // Once more, as a client that has seen no reply.
    tally.accept(&app, &json!(all[..250])).await;
    tally.drain().await;
    let group = only_group(&tally, &app, RANGE).await;
    assert_eq!((&group["message"], &group["count"]), (&json!("cart <n> not found"), &json!(1_000)));
    assert_eq!(group["last_seen"], json!(THEN));
    let id = group["group"].as_str().expect("a group").to_owned();

    // It goes through the counters everywhere.
    let filter = format!("{RANGE}&group={id}");
    let series = tally.ask(&app, &format!("/stats/timeseries?{filter}&interval=HOUR")).await;
    assert_eq!((column(&series["series"], "count"), &series["complete"]), (vec![&json!(1_000)], &json!(null)));
    let levels = tally.ask(&app, &format!("/stats/by-level?{filter}")).await;
    assert_eq!(levels["items"], json!([{"level": "ERROR", "count": 1_000}]));
    for path in ["by-name", "by-category"] {
        let by = tally.ask(&app, &format!("/stats/{path}?{filter}")).await;
        assert_eq!(column(&by["items"], "count"), [&json!(1_000)], "{path}");
        assert_eq!(by["complete"], json!(null), "{path}");
    }
    let report = tally.ask(&app, &format!("/reports/day?date=2026-11-21&group={id}")).await;
    assert_eq!((&report["total"], &report["by_name"][0]["name"]), (&json!(1_000), &json!("failed")));
    let overview = tally.ask(&app, &format!("/stats/overview?{filter}&compare=previous")).await;
    assert_eq!((&overview["total"], &overview["names"]["items"][0]["name"]), (&json!(1_000), &json!("failed")));
    assert_eq!((&overview["messages"][0]["group"], &overview["messages"][0]["count"]), (&json!(id), &json!(1_000)));
    let totals = tally.ask(&app, &format!("/stats/totals?group={id}")).await;
    assert_eq!(column(&totals["items"], "count"), [&json!(1_000)]);
    assert_eq!(totals["complete"], json!(false), "counters of groups know no names");
    assert_eq!(tally.list(&app, &format!("{filter}&limit=400")).await.len(), 1_000);
    let other = "group=m0123456789abcdef";
    assert_eq!(tally.list(&app, &format!("{RANGE}&{other}")).await.len(), 0);
    let none = tally.ask(&app, &format!("/stats/timeseries?{RANGE}&{other}&interval=HOUR")).await;
    assert_eq!(none["series"], json!([]));

    // One is erased, and one is sent again with another message.
    let example = group["example"].as_str().expect("an event");
    let token = tally.token(Role::Admin).await;
    let path = format!("/apps/shop/events/{example}");
    let erased = tally.call(Method::DELETE, &path, ("x-access-token", &token), String::new()).await;
    assert!(erased.status.is_success(), "{}", erased.json);
    let kept = usize::from(tally.list(&app, "order=asc&limit=400").await.iter().all(|e| e["client_id"] != "e0"));
    let mut corrected = cart(kept);
    corrected["message"] = json!("the cart is gone");
    tally.accept(&app, &corrected).await;
    tally.drain().await;
    let top = tally.ask(&app, &format!("/stats/top-messages?{RANGE}")).await;
    assert_eq!(column(&top["items"], "count"), [&json!(998), &json!(1)]);
    assert_eq!(column(&top["items"], "message"), [&json!("cart <n> not found"), &json!("the cart is gone")]);
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true), "a recount finds the same");
}

#[tokio::test]
async fn a_group_shows_its_message_if_all_are_equal() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = |id: &str, message: &str, count: u32| json!({"id": id, "name": "a", "timestamp": THEN, "message": message, "count": count});
    tally
        .accept(&app, &json!([event("a", "listening on port 8080", 3), event("b", "listening on port 8080", 1)]))
        .await;
    tally.drain().await;
    let group = only_group(&tally, &app, RANGE).await;
    assert_eq!((&group["message"], &group["count"]), (&json!("listening on port 8080"), &json!(4)));
    tally.accept(&app, &event("c", "listening on port 8081", 2)).await;
    tally.drain().await;
    assert_eq!(only_group(&tally, &app, RANGE).await["message"], "listening on port <n>");
    // What stands in the counters takes away what it has added.
    tally.accept(&app, &event("c", "listening on port 8080", 5)).await;
    tally.drain().await;
    let group = only_group(&tally, &app, RANGE).await;
    assert_eq!((&group["message"], &group["count"]), (&json!("listening on port 8080"), &json!(9)));
    // A part of a minute is counted from its events.
    let part = only_group(&tally, &app, "since=2026-11-21T04:59:30Z&until=2026-11-21T05:00:10Z").await;
    assert_eq!((&part["message"], &part["count"]), (&json!("listening on port 8080"), &json!(9)));
}

#[tokio::test]
async fn the_newest_minutes_group_as_the_counters_do() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let now = at(NOW);
    let event = |n: usize| {
        let (name, message) = (["a", "b"][n % 2], ["cart 1 lost", "cart 2 lost", "refused"][n % 3]);
        let fingerprint = [None, Some("own"), Some("{{ default }}")][n / 3 % 3];
        let ago = i64::try_from(3 * n).expect("few") * SECOND;
        json!({"id": format!("e{n}"), "name": name, "timestamp": (now - ago).to_string(), "message": message,
            "fingerprint": fingerprint})
    };
    tally.accept(&app, &json!((0..36).map(event).collect::<Vec<_>>())).await;
    let range = "since=2026-11-20T10:00:00Z";
    let ask = async |tally: &Tally| {
        let mut answers = vec![tally.ask(&app, &format!("/stats/top-messages?{range}")).await["items"].clone()];
        let items = answers[0].as_array().expect("items").clone();
        for group in items.iter().map(|item| item["group"].as_str().expect("a group")) {
            let filter = format!("{range}&group={group}");
            answers
                .push(tally.ask(&app, &format!("/stats/timeseries?{filter}&interval=MINUTE")).await["series"].clone());
            answers.push(tally.ask(&app, &format!("/stats/by-name?{filter}")).await["items"].clone());
            answers.push(json!(tally.list(&app, &filter).await));
        }
        answers
    };
    let live = ask(&tally).await;
    tally.drain().await;
    let counted = ask(&tally).await;
    assert_eq!(live, counted);
    tally.clock.set(now + HOUR);
    assert_eq!(ask(&tally).await, counted, "from the counters alone");
    let shown: Vec<_> = live[0].as_array().expect("items").iter().map(|item| item["message"].clone()).collect();
    assert_eq!(shown.len(), 3, "a fingerprint, and two templates: {shown:?}");
    // The message is exact, whatever groups it.
    let lost = tally.list(&app, &format!("{range}&message=cart%201%20lost")).await;
    assert_eq!((lost.len(), lost.iter().all(|event| event["message"] == "cart 1 lost")), (12, true));
    assert_eq!(tally.list(&app, &format!("{range}&message=cart%20%3Cn%3E%20lost")).await, Vec::<Value>::new());
    let exact = tally.ask(&app, &format!("/stats/overview?{range}&message=cart%202%20lost")).await;
    assert_eq!((&exact["total"], &exact["complete"]), (&json!(12), &json!(null)));
}

#[tokio::test]
async fn what_counters_of_groups_do_not_know_comes_from_events() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = |n: usize| {
        let (name, level) = (["a", "b", "c"][n % 3], ["INFO", "ERROR"][n % 2]);
        let message = (n < 20).then(|| format!("cart {n} lost"));
        json!({"name": name, "timestamp": THEN, "level": level, "message": message})
    };
    tally.accept(&app, &json!((0..30).map(event).collect::<Vec<_>>())).await;
    tally.drain().await;
    let group = only_group(&tally, &app, RANGE).await["group"].as_str().expect("a group").to_owned();
    let total = async |query: String| {
        let series = tally.ask(&app, &format!("/stats/timeseries?{RANGE}&{query}&interval=DAY")).await;
        let listed = tally.list(&app, &format!("{RANGE}&{query}")).await.len();
        let counts: Vec<_> =
            column(&series["series"], "count").into_iter().map(|n| n.as_u64().expect("a count")).collect();
        assert_eq!(counts.iter().sum::<u64>(), listed as u64, "{query}");
        assert_eq!(series["complete"], json!(null), "{query}");
        listed
    };
    assert_eq!(total(format!("group={group}&name=a")).await, 7);
    assert_eq!(total(format!("group={group}&level=ERROR")).await, 10);
    assert_eq!(total(format!("group={group}&level[ne]=ERROR&name[ne]=a")).await, 6);
    assert_eq!(total(format!("group[ne]={group}")).await, 10, "events without a message are in no group");
    assert_eq!(total(format!("group={group}&group=m0123456789abcdef")).await, 20);
    let top = tally.ask(&app, &format!("/stats/top-messages?{RANGE}&group[ne]={group}")).await;
    assert_eq!(top["items"], json!([]));
    for (path, field) in [
        ("/stats/by-name?group=x", "group"),
        ("/events?group[ne]=m1", "group[ne]"),
        ("/stats/top-messages?group=cart", "group"),
        ("/reports/day?date=today&group=", "group"),
    ] {
        assert_problem(&tally.get(&app, path).await, 400, &[field]);
    }
    assert_problem(&tally.get(&app, &format!("/stats/totals?group={group}&name=a")).await, 400, &["group"]);
}

#[tokio::test]
async fn a_group_of_many_events_shows_no_names() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = json!({"name": "a", "timestamp": THEN, "message": "cart 5 lost", "count": 700});
    tally.accept(&app, &json!([event, event])).await;
    tally.drain().await;
    let group = only_group(&tally, &app, RANGE).await;
    let filter = format!("{RANGE}&group={}", group["group"].as_str().expect("a group"));
    let names = tally.ask(&app, &format!("/stats/by-name?{filter}")).await;
    assert_eq!((&names["items"], &names["complete"]), (&json!([{"name": "(other)", "count": 1_400}]), &json!(false)));
    let series = tally.ask(&app, &format!("/stats/timeseries?{filter}&interval=DAY")).await;
    assert_eq!((column(&series["series"], "count"), &series["complete"]), (vec![&json!(1_400)], &json!(null)));
}

#[tokio::test]
async fn what_has_expired_is_counted_without_names() {
    let mut tally = Tally::start().await;
    let app =
        tally.app_with(admin::NewApp { name: "shop".into(), retention_days: Some(1), ..Default::default() }).await;
    let event = |n: usize| json!({"name": "a", "timestamp": THEN, "message": format!("cart {n} lost")});
    tally.accept(&app, &json!((0..3).map(event).collect::<Vec<_>>())).await;
    tally.drain().await;
    let group = only_group(&tally, &app, RANGE).await["group"].as_str().expect("a group").to_owned();
    let named = async |tally: &Tally| {
        let by_name = tally.ask(&app, &format!("/stats/by-name?{RANGE}&group={group}")).await;
        let of_name = tally.ask(&app, &format!("/stats/timeseries?{RANGE}&group={group}&name=a&interval=DAY")).await;
        (by_name["items"][0].clone(), by_name["complete"].clone(), of_name["complete"].clone())
    };
    assert_eq!(named(&tally).await, (json!({"name": "a", "count": 3}), json!(null), json!(null)));
    tally.clock.set(at(THEN) + 27 * HOUR);
    assert_eq!(named(&tally).await, (json!({"name": "(other)", "count": 3}), json!(false), json!(false)));
    let gone = only_group(&tally, &app, RANGE).await;
    assert_eq!((&gone["message"], &gone["count"], &gone["example"]), (&json!("(expired)"), &json!(3), &json!(null)));
}

#[tokio::test]
async fn a_change_of_the_grouping_holds_for_events_far_enough_ahead() {
    let mut tally = Tally::start().await;
    let new = admin::NewApp { name: "shop".into(), grouping: Some(Grouping::Exact), ..Default::default() };
    let app = tally.app_with(new).await;
    let carts = |day: &str| {
        let event = |n: usize| {
            json!({"id": format!("{day}-{n}"), "name": "a", "timestamp": format!("2026-11-{day}T05:00:00Z"),
            "message": format!("cart {n} lost")})
        };
        json!((0..3).map(event).collect::<Vec<_>>())
    };
    tally.accept(&app, &carts("21")).await;
    let changed = change(&tally, &json!({"grouping": "template-1"})).await;
    assert_eq!((&changed["grouping"], &changed["pending"][0]["grouping"]), (&json!("exact"), &json!("template-1")));
    tally.clock.set(at("2026-11-23T12:00:00Z"));
    tally.accept(&app, &carts("23")).await;
    // A client that has seen no reply meets what it made before.
    tally.accept(&app, &carts("21")).await;
    tally.drain().await;
    let top = tally.ask(&app, "/stats/top-messages?since=2026-11-21&until=2026-11-24").await;
    assert_eq!(column(&top["items"], "count"), [&json!(3), &json!(1), &json!(1), &json!(1)], "{top}");
    assert_eq!(top["items"][0]["message"], "cart <n> lost");
    let before = tally.ask(&app, "/stats/top-messages?since=2026-11-21&until=2026-11-22").await;
    assert_eq!(column(&before["items"], "count"), [&json!(1); 3]);
    let listed = tally.list(&app, "message=cart%201%20lost").await;
    assert_eq!(column(&json!(listed), "client_id"), [&json!("23-1"), &json!("21-1")], "on both sides");
    let group = top["items"][0]["group"].as_str().expect("a group");
    let listed = tally.list(&app, &format!("group={group}&order=asc")).await;
    assert_eq!(column(&json!(listed), "client_id"), [&json!("23-0"), &json!("23-1"), &json!("23-2")]);
    assert_eq!(tally.recounted(&app, "audit").await, (vec![], true));
}

#[tokio::test]
async fn an_app_groups_as_it_was_made() {
    let tally = Tally::start().await;
    let token = tally.token(Role::Admin).await;
    let made =
        async |body: Value| tally.call(Method::POST, "/apps", ("x-access-token", &token), body.to_string()).await;
    for (body, grouping) in [
        (json!({"name": "a"}), "template-1"),
        (json!({"name": "b", "grouping": "exact"}), "exact"),
        // As clients of the Log Handler make theirs, whose document lists each message.
        (json!({"name": "c", "clock": "received"}), "exact"),
        (json!({"name": "d", "clock": "received", "grouping": "template-1"}), "template-1"),
    ] {
        let reply = made(body.clone()).await;
        assert_eq!((reply.status, &reply.json["grouping"]), (StatusCode::CREATED, &json!(grouping)), "{body}");
    }
    assert_problem(&made(json!({"name": "e", "grouping": "template-2"})).await, 400, &["grouping"]);
}

#[tokio::test]
async fn a_share_link_may_ask_for_a_group_and_be_bound_to_one() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = |id: &str, message: &str| json!({"id": id, "name": "a", "timestamp": THEN, "message": message});
    tally.accept(&app, &json!([event("a", "cart 1 lost"), event("b", "cart 2 lost"), event("c", "refused")])).await;
    tally.drain().await;
    let top = tally.ask(&app, &format!("/stats/top-messages?{RANGE}")).await;
    let group = top["items"][0]["group"].as_str().expect("a group");
    let share = async |bounds: Value| {
        let mut body = json!({"scopes": ["read"]});
        body.as_object_mut().expect("an object").extend(bounds.as_object().expect("bounds").clone());
        let made = tally.admin(Method::POST, "/apps/shop/keys", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
        made.json["key"].as_str().expect("a key").to_owned()
    };
    let ask = async |key: &str, path: &str| {
        let reply = tally.call(Method::GET, &format!("/apps/shop{path}"), ("x-read-key", key), String::new()).await;
        (reply.status.as_u16(), reply.json)
    };
    // Statistics alone may be asked for a group, whose text they do not tell.
    let statistics = share(json!({"statistics_only": true})).await;
    let (status, levels) = ask(&statistics, &format!("/stats/by-level?{RANGE}&group={group}")).await;
    assert_eq!((status, &levels["items"][0]["count"]), (200, &json!(2)));
    let (status, overview) = ask(&statistics, &format!("/stats/overview?{RANGE}&group={group}")).await;
    assert_eq!((status, &overview["total"], &overview["messages"]), (200, &json!(2), &json!([])));
    assert_eq!(ask(&statistics, &format!("/stats/top-messages?{RANGE}&group={group}")).await.0, 403);
    // A group is a hash of the text, so where texts are hidden nobody may try one.
    for hidden in ["people", "data"] {
        let key = share(json!({"statistics_only": true, "hide": [hidden]})).await;
        for path in ["by-level", "overview"] {
            for operator in ["", "%5Bne%5D"] {
                let (status, problem) = ask(&key, &format!("/stats/{path}?{RANGE}&group{operator}={group}")).await;
                assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("group")), "{hidden} {path}");
            }
        }
    }
    // A key that is bound to a group reads nothing else.
    let bound = share(json!({"filter": {"group": group}})).await;
    let (status, listed) = ask(&bound, "/events").await;
    let mut listed: Vec<_> = column(&listed["items"], "client_id").into_iter().filter_map(Value::as_str).collect();
    listed.sort_unstable();
    assert_eq!((status, listed), (200, vec!["a", "b"]));
    let ids = tally.list(&app, "order=asc").await;
    let one = async |n: usize| ask(&bound, &format!("/events/{}", ids[n]["id"].as_str().expect("an id"))).await.0;
    let refused = ids.iter().position(|event| event["message"] == "refused").expect("one");
    assert_eq!((one(refused).await, one((refused + 1) % 3).await), (404, 200));
    for (path, count) in
        [("by-level?", 2), ("by-name?", 2), ("by-name?name=a&", 2), ("by-name?name=b&", 0), ("totals?", 2)]
    {
        let range = if path == "totals?" { "" } else { RANGE };
        let (status, counts) = ask(&bound, &format!("/stats/{path}{range}")).await;
        let sum: u64 = column(&counts["items"], "count").into_iter().filter_map(Value::as_u64).sum();
        assert_eq!((status, sum), (200, count), "{path}");
    }
    let (status, messages) = ask(&bound, &format!("/stats/top-messages?{RANGE}")).await;
    assert_eq!((status, &messages["items"][0]["count"]), (200, &json!(2)), "{messages}");
    assert_eq!(messages["items"].as_array().map(Vec::len), Some(1), "{messages}");
}
