//! Alert rules about issues: each new issue and each regression is told once.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{HOUR, MINUTE};

use crate::alerts::World;
use crate::harness::column;

impl World {
    async fn error(&mut self, message: &str) {
        let event = json!({"name": "TypeError", "level": "ERROR", "message": message, "user_id": "ann"});
        self.tally.accept(&self.app, &event).await;
        self.count().await;
    }

    /// The titles of what was told since the last call, with its type.
    fn told(&self) -> Vec<(String, String)> {
        let told = self.receiver.take();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        told.iter().map(|(_, body)| (text(&body["type"]), text(&body["data"]["sentence"]))).collect()
    }

    async fn resolve(&self, title: &str) {
        let issues = self.tally.ask(&self.app, "/issues").await;
        let issue = issues["items"].as_array().unwrap().iter().find(|issue| issue["title"] == json!(title)).unwrap();
        let path = format!("/apps/shop/issues/{}", issue["id"].as_str().unwrap());
        let token = self.tally.token(Role::Admin).await;
        let body = r#"{"state": "resolved"}"#;
        let reply = self.tally.call(Method::PATCH, &path, ("x-access-token", &token), body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    }
}

fn told(kind: &str, sentence: &str) -> (String, String) {
    (kind.to_owned(), sentence.to_owned())
}

#[tokio::test]
async fn a_new_issue_is_told_once_and_again_when_it_regresses() {
    let mut world = World::new(1).await;
    let new = world.rule(json!({"condition": {"new_issue": true}})).await;
    world.rule(json!({"condition": {"regression": true}, "filter": {"level": ["ERROR", "FATAL"]}})).await;
    world.minute().await;
    world.error("cart 5 not found").await;
    world.error("cart 6 not found").await;
    world.minutes(2).await;
    assert_eq!(world.told(), [told("issue.new", "New issue: TypeError: cart <n> not found")]);
    world.minutes(12).await;
    world.error("cart 7 not found").await;
    world.minutes(2).await;
    assert_eq!(world.told(), []);
    world.resolve("cart <n> not found").await;
    world.minute().await;
    world.error("cart 8 not found").await;
    world.minutes(2).await;
    assert_eq!(world.told(), [told("issue.regressed", "Resolved, and occurs again: TypeError: cart <n> not found")]);
    let history = world.read(&new).await["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(1));
    assert_eq!((&history[0]["issues"], &history[0]["deliveries"][0]["status"]), (&json!(1), &json!("delivered")));
    assert!(history[0]["issue"].as_str().is_some_and(|group| group.starts_with('m')), "{history}");
}

#[tokio::test]
async fn a_rule_keeps_its_pace_for_when_it_has_a_channel() {
    let mut world = World::new(1).await;
    let silent = world.call(Method::POST, "", json!({"condition": {"new_issue": true}})).await.json;
    let id = silent["id"].as_str().expect("an id").to_owned();
    for name in 'a'..='o' {
        world.error(&format!("failure of kind {name}")).await;
    }
    world.minutes(2).await;
    assert_eq!(world.read(&id).await["history"], json!([]), "it has told nobody");
    world.change(&id, json!({"channels": [{"type": "webhook", "url": world.receiver.url()}]})).await;
    world.minute().await;
    world.error("database is gone").await;
    world.minute().await;
    assert_eq!(world.told(), [told("issue.new", "New issue: TypeError: database is gone")]);
}

#[tokio::test]
async fn of_two_evaluators_one_tells_and_what_fails_comes_again_under_its_id() {
    let mut world = World::new(2).await;
    world.rule(json!({"condition": {"new_issue": true}})).await;
    world.minute().await;
    world.receiver.answers(&[500]);
    world.error("a failure").await;
    tokio::join!(world.run(), world.run());
    let first = world.receiver.take();
    assert_eq!(first.len(), 1);
    world.minutes(3).await;
    let second = world.receiver.take();
    assert_eq!((second.len(), &second[0].0), (1, &first[0].0));
    world.minutes(3).await;
    assert_eq!(world.told(), []);
}

#[tokio::test]
async fn ten_issues_are_told_in_an_hour_and_then_a_digest() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"condition": {"new_issue": true}})).await;
    world.minute().await;
    for name in 'a'..='z' {
        world.error(&format!("failure of kind {name}")).await;
    }
    world.minutes(3).await;
    assert_eq!(world.told().len(), 10);
    world.tally.clock.set(world.now() + HOUR);
    world.minute().await;
    assert_eq!(world.told(), [told("issue.digest", "16 more issues are new.")]);
    world.minutes(3).await;
    world.error("another failure").await;
    world.minute().await;
    assert_eq!(world.told().len(), 1);
    assert_eq!(world.read(&id).await["history"][1]["issues"], 16);
}

#[tokio::test]
async fn filters_snoozes_and_rules_that_are_younger_are_heeded() {
    let mut world = World::new(1).await;
    world.rule(json!({"condition": {"new_issue": true}, "filter": {"level": "FATAL"}})).await;
    let snoozed = world.rule(json!({"condition": {"new_issue": true}, "snoozed_until": "2h"})).await;
    world.error("a failure").await;
    world.tally.clock.set(world.now() + MINUTE);
    world.rule(json!({"condition": {"new_issue": true}})).await;
    world.minutes(2).await;
    assert_eq!(world.told(), []);
    assert_eq!(world.read(&snoozed).await["history"][0]["deliveries"][0]["status"], "snoozed");
    for (body, field) in [
        (json!({"condition": {"new_issue": true}, "filter": {"category": "a"}}), "filter.category"),
        (json!({"condition": {"new_issue": true, "above": 5}, "window": "5m"}), "condition"),
        (json!({"condition": {"new_issue": false}}), "condition"),
    ] {
        let reply = world.call(Method::POST, "", body).await;
        assert_eq!((reply.status, &reply.json["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
    }
    let preview = world.call(Method::POST, "/preview", json!({"condition": {"regression": true}})).await;
    assert_eq!(preview.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_app_has_two_rules_from_the_start_which_stay_deleted() {
    let world = World::new(1).await;
    let list = world.call(Method::GET, "", Value::Null).await.json;
    assert_eq!(
        column(&list["items"], "sentence"),
        ["Tell nobody when an issue is new", "Tell nobody when a resolved issue occurs again"]
    );
    let id = list["items"][0]["id"].as_str().unwrap();
    let gone = world.call(Method::DELETE, &format!("/{id}"), Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let list = world.call(Method::GET, "", Value::Null).await.json;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    // A channel is all that they lack.
    let mut world = world;
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    world
        .change(
            &id,
            json!({"channels": [{"type": "webhook", "url": world.receiver.url()}], "condition": {"new_issue": true}}),
        )
        .await;
    world.minute().await;
    world.error("a failure").await;
    world.minute().await;
    assert_eq!(world.told().len(), 1);
}

#[tokio::test]
async fn nothing_of_an_erased_user_stays_in_what_was_told() {
    let mut world = World::new(1).await;
    let id = world.rule(json!({"condition": {"new_issue": true}})).await;
    world.minute().await;
    world.receiver.answers(&[500, 500]);
    world.error("ann-canary fails").await;
    world.minute().await;
    assert_eq!(world.told(), [told("issue.new", "New issue: TypeError: ann-canary fails")]);
    let token = world.tally.token(Role::Admin).await;
    let path = "/apps/shop/events?user_id=ann";
    let erased = world.tally.call(Method::DELETE, path, ("x-access-token", &token), String::new()).await;
    assert_eq!(erased.json["deleted"], 1);
    world.count().await;
    let contents = world.tally.contents().await;
    assert_eq!(contents.lines().find(|item| item.contains("ann-canary")), None);
    world.minutes(2).await;
    assert_eq!(world.told()[0].1, "New issue: an issue that was erased");
    assert_eq!(world.read(&id).await["history"].as_array().map(Vec::len), Some(1));
}
