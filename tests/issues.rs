//! Issues: groups of errors with a life.

use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{DAY, HOUR, MILLISECOND, MINUTE, SECOND, TimeDelta};
use tally_service::apps::create::NewApp;

use crate::harness::{NOW, Reply, Tally, TestApp, assert_problem, at, column};

/// An error at a time before [`NOW`].
fn error(id: &str, message: &str, ago: TimeDelta) -> Value {
    json!({"id": id, "name": "TypeError", "level": "ERROR", "message": message, "timestamp": (at(NOW) - ago).to_string()})
}

fn with(mut event: Value, more: &Value) -> Value {
    event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    event
}

impl Tally {
    async fn issues(&self, app: &TestApp, query: &str) -> Vec<Value> {
        let page = self.ask(app, &format!("/issues?{query}")).await;
        assert_eq!((&page["complete"], &page["next"]), (&json!(true), &json!(null)), "{page}");
        page["items"].as_array().expect("items").clone()
    }

    async fn only_issue(&self, app: &TestApp, query: &str) -> Value {
        let issues = self.issues(app, query).await;
        assert_eq!(issues.len(), 1, "{issues:?}");
        issues[0].clone()
    }

    async fn say(&self, issue: &Value, body: &Value) -> Reply {
        let (id, token) = (issue["id"].as_str().expect("an id"), self.token(Role::Admin).await);
        let path = format!("/apps/shop/issues/{id}");
        self.call(Method::PATCH, &path, ("x-access-token", &token), body.to_string()).await
    }

    async fn set(&self, issue: &Value, body: &Value) -> Value {
        let reply = self.say(issue, body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
        reply.json
    }

    async fn counted(&mut self, app: &TestApp, events: &Value) {
        self.accept(app, events).await;
        self.drain().await;
    }

    fn wait(&self, time: TimeDelta) {
        self.clock.set(self.clock.now() + time);
    }

    async fn erase(&mut self, path: &str) {
        let token = self.token(Role::Admin).await;
        let reply = self.call(Method::DELETE, path, ("x-access-token", &token), String::new()).await;
        assert!(reply.status.is_success(), "{}", reply.json);
        self.drain().await;
    }
}

#[tokio::test]
async fn errors_are_issues_by_their_groups() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = json!([
        with(error("a", "cart 5 not found", 2 * DAY), &json!({"user_id": "ann"})),
        with(error("b", "cart 6 not found", HOUR), &json!({"count": 3, "user_id": "bob", "tags": {"release": "1.1", "environment": "test"}})),
        with(error("again", "cart 7 not found", 3 * DAY), &json!({"count": 2, "user_id": "ann"})),
        with(error("c", "out of memory", 5 * MINUTE), &json!({"level": "FATAL", "name": "panic"})),
        with(error("d", "disk is nearly full", HOUR), &json!({"level": "WARN"})),
        with(error("e", "with a stack", 30 * MINUTE), &json!({"level": "INFO", "stack": "at main.rs:5"})),
        {"name": "page view", "timestamp": (at(NOW) - HOUR).to_string()},
    ]);
    tally.counted(&app, &events).await;
    let issues = tally.issues(&app, "").await;
    assert_eq!(
        column(&json!(issues), "title"),
        [&json!("out of memory"), &json!("with a stack"), &json!("cart <n> not found")].map(|title| title)
    );
    let cart = &issues[2];
    let expected = json!({"name": "TypeError", "level": "ERROR", "state": "open", "regressed": false, "count": 6,
        "first_seen": (at(NOW) - 3 * DAY).floor(tally_core::time::MILLISECOND).to_string(), "last_seen": "2026-11-21T09:08:00Z",
        "releases": ["1.1"]});
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(&cart[field], value, "{field}");
    }
    let series: Vec<_> = cart["series"].as_array().expect("columns").iter().filter_map(Value::as_i64).collect();
    assert_eq!((series.len(), series.iter().sum::<i64>()), (15, 6));
    let page = tally.ask(&app, "/issues").await;
    assert_eq!(
        (page["columns"].as_array().map(Vec::len), &page["columns"][14]),
        (Some(15), &json!("2026-11-21T00:00:00Z"))
    );
    assert_eq!((&series[12..]), [1, 0, 3]);
    // The issue by itself, and the events that it leads to.
    let id = cart["id"].as_str().expect("an id");
    let one = tally.ask(&app, &format!("/issues/{id}?by=plan")).await;
    assert_eq!((&one["title"], &one["count"], &one["looked_at"]), (&json!("cart <n> not found"), &json!(6), &json!(6)));
    assert_eq!(one["by"]["tags.release"], json!([{"value": "1.1", "count": 3}, {"value": null, "count": 3}]));
    assert_eq!(one["by"]["tags.environment"][0], json!({"value": "test", "count": 3}));
    assert_eq!(one["by"]["plan"], json!([{"value": null, "count": 6}]));
    assert_eq!(column(&one["events"], "client_id"), [&json!("b"), &json!("a"), &json!("again")]);
    assert_eq!((&one["looked_at_all"], &one["users"]), (&json!(true), &json!(2)));
    assert_eq!(tally.list(&app, &format!("group={id}")).await.len(), 3);
    let example = cart["example"].as_str().expect("an event");
    assert_eq!(tally.ask(&app, &format!("/events/{example}")).await["client_id"], "b");
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_cut() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let names = ["alpha", "beta", "gamma", "delta", "epsilon"];
    // Each later than the one before, and less frequent.
    let events: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let ago = TimeDelta::hours(50 - 10 * i64::try_from(n).expect("few"));
            with(error(name, &format!("{name} failed"), ago), &json!({"count": 10 - n, "name": format!("E{name}")}))
        })
        .collect();
    tally.counted(&app, &json!(events)).await;
    let titles = |items: &[Value]| {
        items.iter().map(|item| item["title"].as_str().expect("a title")[..1].to_owned()).collect::<String>()
    };
    for (query, expected) in [
        ("", "edgba"),
        ("sort=last_seen", "edgba"),
        ("sort=first_seen", "edgba"),
        ("sort=count", "abgde"),
        ("q=ALPHA", "a"),
        ("q=Eg", "g"),
        ("q=nothing", ""),
        ("state=resolved", ""),
        ("state=open&level=ERROR,FATAL", "edgba"),
        ("level=FATAL", ""),
        ("since=24h", "ed"),
        ("since=2026-11-19&until=2026-11-20", "ba"),
    ] {
        assert_eq!(titles(&tally.issues(&app, query).await), expected, "{query}");
    }
    for sort in ["last_seen", "first_seen", "count"] {
        let (mut all, mut pages) = (Vec::new(), 0);
        let mut page = tally.ask(&app, &format!("/issues?sort={sort}&limit=2")).await;
        loop {
            pages += 1;
            all.extend(page["items"].as_array().expect("items").clone());
            let Some(next) = page["next"].as_str() else { break };
            page = tally.ask(&app, &format!("/issues?cursor={next}")).await;
        }
        let expected = if sort == "count" { "abgde" } else { "edgba" };
        assert_eq!((titles(&all).as_str(), pages), (expected, 3), "{sort}");
    }
    for (query, field) in [
        ("state=closed", "state"),
        ("sort=name", "sort"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("since=1960-01-01", "since"),
        ("cursor=x", "cursor"),
        ("group=m0123456789abcdef", "group"),
        ("level=LOUD", "level"),
    ] {
        assert_problem(&tally.get(&app, &format!("/issues?{query}")).await, 400, &[field]);
    }
    assert_problem(&tally.get(&app, "/issues/m0123456789abcdef").await, 404, &[]);
    assert_problem(&tally.get(&app, "/issues/nonsense").await, 404, &[]);
    let other = tally.app("other").await;
    let next = tally.ask(&app, "/issues?limit=1").await["next"].as_str().expect("a cursor").to_owned();
    assert_problem(&tally.get(&other, &format!("/issues?cursor={next}")).await, 400, &["cursor"]);
}

#[tokio::test]
async fn what_occurs_again_after_it_was_resolved_is_open_and_regressed() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.counted(&app, &error("a", "cart 5 not found", HOUR)).await;
    let issue = tally.only_issue(&app, "").await;
    let resolved = tally.set(&issue, &json!({"state": "resolved"})).await;
    assert_eq!((&resolved["state"], &resolved["resolved_in"]), (&json!("resolved"), &json!(null)));
    // What happened before does not open it, although it comes later.
    tally.counted(&app, &error("b", "cart 6 not found", MINUTE)).await;
    assert_eq!(tally.only_issue(&app, "state=resolved").await["count"], 2);
    tally.wait(HOUR);
    tally.counted(&app, &json!({"name": "TypeError", "level": "ERROR", "message": "cart 7 not found"})).await;
    let open = tally.only_issue(&app, "state=open").await;
    assert_eq!((&open["regressed"], &open["count"], &open["resolved_at"]), (&json!(true), &json!(3), &json!(null)));
    assert_eq!(open["regressed_at"], json!("2026-11-21T11:08:25.123Z"));
    assert_eq!(open["first_seen"], issue["first_seen"]);
    // Opened by hand, it is not regressed any more.
    assert_eq!(tally.set(&issue, &json!({"state": "open"})).await["regressed"], json!(false));
}

#[tokio::test]
async fn what_occurs_right_after_the_reply_is_a_regression() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let fails = json!({"name": "TypeError", "level": "ERROR", "message": "cart 7 not found"});
    tally.counted(&app, &fails).await;
    let issue = tally.only_issue(&app, "").await;
    let resolved = tally.set(&issue, &json!({"state": "resolved"})).await;
    assert_eq!(resolved["resolved_at"], json!(tally.clock.now()));
    tally.wait(MILLISECOND);
    tally.counted(&app, &fails).await;
    let open = tally.only_issue(&app, "").await;
    assert_eq!((&open["state"], &open["regressed"]), (&json!("open"), &json!(true)));
    // The same of a number of occurrences that are left.
    tally.set(&issue, &json!({"state": "ignored", "ignore_until": 2})).await;
    tally.wait(MILLISECOND);
    tally.counted(&app, &fails).await;
    assert_eq!(tally.only_issue(&app, "").await["ignored_for"], json!(1));
}

#[tokio::test]
async fn releases_that_were_known_do_not_open_what_is_resolved_in_the_next() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let of_release =
        |release: &str| json!({"name": "E", "level": "ERROR", "message": "no", "tags": {"release": release}});
    tally.counted(&app, &json!([of_release("1.0"), of_release("1.1")])).await;
    let issue = tally.only_issue(&app, "").await;
    assert_eq!(issue["releases"], json!(["1.0", "1.1"]));
    let resolved = tally.set(&issue, &json!({"state": "resolved", "resolved_in": "next release"})).await;
    assert_eq!(resolved["resolved_in"], json!("next release"));
    tally.wait(HOUR);
    tally.counted(&app, &of_release("1.0")).await;
    tally.counted(&app, &of_release("1.1")).await;
    assert_eq!(tally.only_issue(&app, "").await["state"], "resolved");
    tally.counted(&app, &of_release("1.2")).await;
    let open = tally.only_issue(&app, "").await;
    assert_eq!((&open["state"], &open["regressed"], &open["count"]), (&json!("open"), &json!(true), &json!(5)));
}

#[tokio::test]
async fn an_issue_is_ignored_until_a_time_or_a_count() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.counted(&app, &error("a", "cart 5 not found", HOUR)).await;
    let issue = tally.only_issue(&app, "").await;
    let ignored = tally.set(&issue, &json!({"state": "ignored", "ignore_until": "1h"})).await;
    assert_eq!(
        (&ignored["state"], &ignored["ignored_until"]),
        (&json!("ignored"), &json!("2026-11-21T11:08:25.123456Z"))
    );
    assert_eq!(tally.issues(&app, "state=open").await.len(), 0);
    tally.wait(HOUR);
    assert_eq!(tally.only_issue(&app, "state=open").await["ignored_until"], json!(null));

    let ignored = tally.set(&issue, &json!({"state": "ignored", "ignore_until": 100})).await;
    assert_eq!(ignored["ignored_for"], json!(100));
    tally.wait(MINUTE);
    let now = tally.clock.now().to_string();
    let event = |id: &str, count: u32| {
        let message = "cart 9 not found";
        json!({"id": id, "name": "TypeError", "level": "ERROR", "message": message, "count": count, "timestamp": now})
    };
    tally.counted(&app, &event("b", 60)).await;
    assert_eq!(tally.only_issue(&app, "state=ignored").await["ignored_for"], json!(40));
    // Sent again, it does not count again.
    tally.counted(&app, &event("b", 60)).await;
    assert_eq!(tally.only_issue(&app, "state=ignored").await["ignored_for"], json!(40));
    tally.counted(&app, &event("c", 100)).await;
    let open = tally.only_issue(&app, "").await;
    assert_eq!((&open["state"], &open["regressed"]), (&json!("open"), &json!(false)));

    for (body, fields) in [
        (json!({"state": "closed"}), vec!["state"]),
        (json!({}), vec!["state"]),
        (json!({"state": null}), vec!["state"]),
        (json!({"state": ""}), vec!["state"]),
        (json!({"state": "ignored", "ignore_until": 0}), vec!["ignore_until"]),
        (json!({"state": "ignored", "ignore_until": "2026-11-21T10:00:00Z"}), vec!["ignore_until"]),
        (json!({"state": "ignored", "ignore_until": true}), vec!["ignore_until"]),
        (json!({"state": "open", "ignore_until": 5}), vec!["ignore_until"]),
        (json!({"state": "ignored", "resolved_in": "next release"}), vec!["resolved_in"]),
        (json!({"state": "resolved", "resolved_in": "2.0"}), vec!["resolved_in"]),
        (json!({"state": "open", "assignee": "ann"}), vec!["assignee"]),
    ] {
        assert_problem(&tally.say(&issue, &body).await, 400, &fields);
    }
    let unknown = json!({"id": "m0123456789abcdef"});
    assert_problem(&tally.say(&unknown, &json!({"state": "open"})).await, 404, &[]);
}

#[tokio::test]
async fn an_issue_goes_with_its_events() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let of = |id: &str, user: &str, message: &str| {
        with(error(id, message, HOUR), &json!({"user_id": user, "tags": {"release": "1.0"}}))
    };
    tally
        .counted(&app, &json!([of("a", "ann", "ann has no cart"), of("b", "ann", "cart 5"), of("c", "bob", "cart 6")]))
        .await;
    assert_eq!(tally.issues(&app, "").await.len(), 2);
    let ann = tally.only_issue(&app, "q=ann").await;
    tally.set(&ann, &json!({"state": "resolved"})).await;
    tally.erase("/apps/shop/events?user_id=ann").await;
    // The other still has an event, and tells what is common.
    let left = tally.only_issue(&app, "").await;
    assert_eq!((&left["title"], &left["count"]), (&json!("cart 6"), &json!(1)));
    let id = ann["id"].as_str().expect("an id");
    assert_problem(&tally.get(&app, &format!("/issues/{id}")).await, 404, &[]);
    assert_problem(&tally.say(&ann, &json!({"state": "open"})).await, 404, &[]);
    // What comes later begins anew.
    tally.wait(MINUTE);
    tally.counted(&app, &json!({"name": "TypeError", "level": "ERROR", "message": "ann has no cart"})).await;
    let again = tally.only_issue(&app, "q=ann").await;
    assert_eq!((&again["first_seen"], &again["state"]), (&json!("2026-11-21T10:09:25.123Z"), &json!("open")));
    assert_eq!((&again["regressed"], &again["releases"]), (&json!(false), &json!([])));
}

#[tokio::test]
async fn an_event_that_is_sent_again_moves_to_its_new_issue() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.counted(&app, &error("a", "a typo", HOUR)).await;
    tally.counted(&app, &error("a", "the right text", HOUR)).await;
    let issue = tally.only_issue(&app, "").await;
    assert_eq!((&issue["title"], &issue["count"]), (&json!("the right text"), &json!(1)));
    tally.counted(&app, &with(error("a", "the right text", HOUR), &json!({"name": "ValueError"}))).await;
    let issue = tally.only_issue(&app, "").await;
    assert_eq!((&issue["name"], &issue["count"]), (&json!("ValueError"), &json!(1)));
    // What is no error any more has no issue.
    tally
        .counted(&app, &with(error("a", "the right text", HOUR), &json!({"level": "INFO", "message": "all is well"})))
        .await;
    assert_eq!(tally.issues(&app, "").await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_level_of_issues_is_a_setting() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let token = tally.token(Role::Admin).await;
    let change = |body: Value| tally.call(Method::PATCH, "/apps/shop", ("x-access-token", &token), body.to_string());
    assert_problem(&change(json!({"issue_level": "INFO"})).await, 400, &["issue_level"]);
    assert_eq!(change(json!({"issue_level": "WARN"})).await.json["issue_level"], "WARN");
    tally.counted(&app, &with(error("a", "disk is nearly full", HOUR), &json!({"level": "WARN"}))).await;
    assert_eq!(tally.only_issue(&app, "").await["level"], "WARN");
    let made =
        tally.call(Method::POST, "/apps", ("x-access-token", &token), r#"{"name": "b", "issue_level": "FATAL"}"#);
    assert_eq!(made.await.json["issue_level"], "FATAL");
}

#[tokio::test]
async fn first_seen_survives_as_long_as_the_retention() {
    let mut tally = Tally::start().await;
    let app = tally.app_with(NewApp { name: "shop".to_owned(), retention_days: Some(30), ..NewApp::default() }).await;
    tally.counted(&app, &error("a", "no", 20 * DAY)).await;
    // A late event corrects it.
    tally.counted(&app, &error("b", "no", 25 * DAY)).await;
    let first = tally.only_issue(&app, "since=30d").await["first_seen"].clone();
    assert_eq!(first, json!("2026-10-27T10:08:25.123Z"));
    tally.wait(8 * DAY);
    tally.counted(&app, &json!({"name": "TypeError", "level": "ERROR", "message": "no"})).await;
    assert_eq!(tally.only_issue(&app, "").await["first_seen"], first, "its events have expired");
    // 30 days after its last event it is gone, and begins anew.
    tally.wait(32 * DAY);
    assert_eq!(tally.issues(&app, "since=60d").await, Vec::<Value>::new());
    tally.counted(&app, &json!({"name": "TypeError", "level": "ERROR", "message": "no"})).await;
    assert_eq!(tally.only_issue(&app, "").await["first_seen"], json!("2026-12-31T10:08:25.123Z"));
}

#[tokio::test]
async fn a_batch_that_comes_again_changes_nothing() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &error("a", "cart 5", HOUR)).await;
    let batches = tally.peek().await;
    tally.drain().await;
    let issue = tally.only_issue(&app, "").await;
    tally.set(&issue, &json!({"state": "resolved"})).await;
    for batch in &batches {
        aggregate::handle(&tally.context, serde_json::from_str(batch).expect("an event")).await.expect("counted");
    }
    let after = tally.only_issue(&app, "").await;
    assert_eq!((&after["state"], &after["count"]), (&json!("resolved"), &json!(1)));
}

#[tokio::test]
async fn a_batch_that_comes_again_brings_nothing_erased_back() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally
        .accept(&app, &json!([error("a", "ann-canary fails", HOUR), error("b", "ann-canary@x.example: no mail", HOUR)]))
        .await;
    tally.accept(&app, &error("c", "bob@x.example: no mail", HOUR)).await;
    tally.accept(&app, &error("d", "a typo of ann-canary", HOUR)).await;
    let batches = tally.peek().await;
    tally.drain().await;
    tally.counted(&app, &error("d", "the right text", HOUR)).await;
    for event in tally.list(&app, "").await {
        if event["message"].as_str().is_some_and(|message| message.contains("ann-canary")) {
            tally.erase(&format!("/apps/shop/events/{}", event["id"].as_str().expect("an id"))).await;
        }
    }
    let before = tally.issues(&app, "sort=count").await;
    assert!(!tally.contents().await.contains("ann-canary"));
    for batch in &batches {
        aggregate::handle(&tally.context, serde_json::from_str(batch).expect("an event")).await.expect("counted");
    }
    assert_eq!(tally.issues(&app, "sort=count").await.len(), before.len());
    let contents = tally.contents().await;
    assert_eq!(contents.lines().find(|item| item.contains("ann-canary")), None);
}

#[tokio::test]
async fn an_issue_of_which_a_group_has_other_events_goes_with_its_errors() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let info = with(error("i", "cart 5", 3 * DAY), &json!({"level": "INFO"}));
    tally.counted(&app, &json!([error("e", "cart 6", HOUR), info])).await;
    let issue = tally.only_issue(&app, "").await;
    assert_eq!(issue["count"], 2);
    let id = |of: &str, events: &[Value]| {
        events.iter().find(|event| event["client_id"] == of).expect("an event")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let events = tally.list(&app, "").await;
    tally.erase(&format!("/apps/shop/events/{}", id("e", &events))).await;
    assert_eq!(tally.issues(&app, "").await, Vec::<Value>::new());
    let path = format!("/issues/{}", issue["id"].as_str().expect("an id"));
    assert_problem(&tally.get(&app, &path).await, 404, &[]);
    // The other way round, what is left is an error of the same group.
    tally.counted(&app, &error("f", "cart 7", HOUR)).await;
    tally.erase(&format!("/apps/shop/events/{}", id("i", &events))).await;
    assert_eq!(tally.only_issue(&app, "").await["count"], 1);
    let events = tally.list(&app, "").await;
    tally.erase(&format!("/apps/shop/events/{}", id("f", &events))).await;
    assert_problem(&tally.get(&app, &path).await, 404, &[]);
}

#[tokio::test]
async fn a_clock_that_is_ahead_opens_nothing_that_was_received_before() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &error("a", "cart 5", -HOUR)).await;
    let batches = tally.peek().await;
    tally.drain().await;
    let issue = tally.only_issue(&app, "until=2026-11-22").await;
    tally.set(&issue, &json!({"state": "resolved"})).await;
    for batch in &batches {
        aggregate::handle(&tally.context, serde_json::from_str(batch).expect("an event")).await.expect("counted");
    }
    // The client sends it once more.
    tally.wait(MINUTE);
    tally.counted(&app, &error("a", "cart 5", -HOUR)).await;
    assert_eq!(tally.only_issue(&app, "until=2026-11-22").await["state"], "resolved");
}

#[tokio::test]
async fn more_releases_than_are_remembered_open_nothing() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let of = |n: usize| json!({"name": "E", "level": "ERROR", "message": "no", "tags": {"release": format!("1.{n}")}});
    let all: Vec<_> = (0..130).map(of).collect();
    tally.counted(&app, &json!(all)).await;
    let issue = tally.only_issue(&app, "").await;
    assert_eq!(issue["releases"].as_array().map(Vec::len), Some(20));
    tally.set(&issue, &json!({"state": "resolved", "resolved_in": "next release"})).await;
    tally.wait(MINUTE);
    tally.counted(&app, &json!(all[..120])).await;
    assert_eq!(tally.only_issue(&app, "").await["state"], "resolved");
}

#[tokio::test]
async fn shards_share_their_issues() {
    let mut tally = Tally::start().await;
    let app = tally.app_with(NewApp { name: "shop".to_owned(), shards: Some(4), ..NewApp::default() }).await;
    let all: Vec<_> = (0..40).map(|n| error(&format!("e{n}"), &format!("cart {n}"), MINUTE * n)).collect();
    tally.counted(&app, &json!(all)).await;
    let issue = tally.only_issue(&app, "").await;
    assert_eq!((&issue["count"], &issue["first_seen"]), (&json!(40), &json!("2026-11-21T09:29:25.123Z")));
    tally.set(&issue, &json!({"state": "resolved"})).await;
    tally.wait(MINUTE);
    tally.counted(&app, &json!({"name": "TypeError", "level": "ERROR", "message": "cart 99"})).await;
    assert_eq!(tally.only_issue(&app, "q=CART%20%3CN%3E").await["regressed"], json!(true));
}

#[tokio::test]
async fn erasing_an_app_erases_its_issues() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.counted(&app, &with(error("a", "cart 5", HOUR), &json!({"tags": {"release": "1.0"}}))).await;
    let id = tally.stored_app(&app).await.id;
    let token = tally.token(Role::Admin).await;
    for _ in 0..20 {
        let reply = tally.call(Method::DELETE, "/apps/shop", ("x-access-token", &token), String::new());
        let reply = tally.counting(reply).await;
        if reply.json["done"] == json!(true) {
            break;
        }
        tally.wait(MINUTE);
    }
    let page = tally.context.store.page_issues(&id, tally.clock.now(), None).await.expect("a store");
    assert_eq!((page.issues, page.next.is_some()), (vec![], false));
    assert_eq!(tally.context.store.issue_news(&id).await.expect("a store"), vec![]);
}

/// What a model of issues says of a history of events.
#[derive(Clone, Debug)]
enum Step {
    /// An event of a group, so many seconds before now.
    Event(usize, i64, u64),
    /// Erases the n-th event.
    Erase(usize),
    /// Resolves a group.
    Resolve(usize),
    /// Counts what was stored.
    Count,
    /// Lets time pass.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3, 0i64..5_000, 1u64..4).prop_map(|(group, ago, count)| Step::Event(group, ago, count)),
        1 => (0usize..10).prop_map(Step::Erase),
        1 => (0usize..3).prop_map(Step::Resolve),
        3 => Just(Step::Count),
        1 => Just(Step::Wait),
    ]
}

/// Any history: counts are those of the events, `first_seen` is never after the first of them, and an issue is open if and only if
/// something happened after it was resolved.
#[test]
fn issues_follow_their_events() {
    let cases = std::env::var("TALLY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12);
    let config = ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    proptest!(config, |(steps in prop::collection::vec(step(), 1..25))| {
        runtime.block_on(async {
            let mut tally = Tally::start().await;
            let app = tally.app("shop").await;
            let title = |group: usize| format!("failure of kind {}", ["a", "b", "c"][group]);
            // Group, time, count and id of events; when a group was resolved.
            let mut events: Vec<(usize, tally_core::time::Timestamp, u64, String)> = Vec::new();
            let (mut resolved, mut unsure) = ([None; 3], [false; 3]);
            for step in &steps {
                match step {
                    Step::Event(group, ago, count) => {
                        let time = tally.clock.now() - *ago * SECOND;
                        let event = json!({"name": "E", "level": "ERROR", "message": title(*group), "count": count,
                            "timestamp": time.to_string()});
                        let id = tally.accept(&app, &event).await["id"].as_str().expect("an id").to_owned();
                        events.push((*group, time, *count, id));
                    }
                    Step::Erase(n) if *n < events.len() => {
                        let (group, time, _, id) = events.remove(*n);
                        // What it has opened stays open, if it was counted before.
                        unsure[group] |= resolved[group].is_some_and(|resolved| time > resolved);
                        tally.erase(&format!("/apps/shop/events/{id}")).await;
                    }
                    Step::Resolve(group) => {
                        tally.drain().await;
                        let issues = tally.issues(&app, "").await;
                        if let Some(issue) = issues.iter().find(|issue| issue["title"] == json!(title(*group))) {
                            tally.set(issue, &json!({"state": "resolved"})).await;
                            (resolved[*group], unsure[*group]) = (Some(tally.clock.now()), false);
                        }
                        tally.wait(MILLISECOND);
                    }
                    Step::Count => { tally.drain().await; }
                    Step::Wait => tally.wait(HOUR),
                    Step::Erase(_) => {}
                }
                if matches!(step, Step::Erase(_)) {
                    tally.drain().await;
                    for (group, resolved) in resolved.iter_mut().enumerate() {
                        if !events.iter().any(|event| event.0 == group) {
                            *resolved = None;
                        }
                    }
                }
            }
            tally.drain().await;
            let issues = tally.issues(&app, "").await;
            for group in 0..3 {
                let own: Vec<_> = events.iter().filter(|event| event.0 == group).collect();
                let count: u64 = own.iter().map(|event| event.2).sum();
                let found = issues.iter().find(|issue| issue["title"] == json!(title(group)));
                assert_eq!(found.map_or(0, |issue| issue["count"].as_u64().expect("a number")), count, "{issues:?}");
                let Some(issue) = found.filter(|_| !unsure[group]) else { continue };
                let first = own.iter().map(|event| event.1).min().expect("an event");
                assert!(at(issue["first_seen"].as_str().expect("a time")) <= first);
                let later = own.iter().any(|event| resolved[group].is_none_or(|resolved| event.1 > resolved));
                assert_eq!(issue["state"], json!(if later { "open" } else { "resolved" }), "{issue}");
                assert_eq!(issue["regressed"], json!(later && resolved[group].is_some()), "{issue}");
            }
        });
    });
}
