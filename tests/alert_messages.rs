//! What messages of alerts hold beside what was counted: charts by signed links, and examples.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tally_core::alert::rule::RuleId;
use tally_core::app::role::Role;
use tally_core::time::{DAY, HOUR, MINUTE, TimeDelta};
use tally_service::config::Config;

use crate::alerts::World;
use crate::harness::{assert_problem, column};

const PAGE: &str = "https://tally.example";

async fn world_of(page: &str) -> World {
    World::with(1, Config { page_url: Some(page.to_owned()), ..Config::default() }).await
}

fn above() -> Value {
    json!({"filter": {"level": ["ERROR", "FATAL"]}, "window": "5m", "condition": {"above": 1}})
}

impl World {
    /// Lets a rule fire, and returns what was told.
    async fn fires(&mut self) -> Value {
        self.errors(4, TimeDelta::ZERO).await;
        self.count().await;
        self.minutes(2).await;
        let told = self.receiver.take();
        assert_eq!(told.len(), 1, "{told:?}");
        told[0].1.clone()
    }

    /// Opens the path of a link, without a key.
    async fn open(&self, path: &str) -> (StatusCode, http::HeaderMap, Vec<u8>) {
        let (parts, body) = self.tally.raw(Request::get(path).body(Body::empty()).unwrap()).await;
        (parts.status, parts.headers, body)
    }

    async fn refuses(&self, path: &str, status: u16) -> String {
        let reply = self.tally.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status.as_u16(), status, "{path}: {}", reply.json);
        reply.json["detail"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_chart_opens_without_a_key_and_shows_nothing_else() {
    let mut world = world_of(PAGE).await;
    world.rule(above()).await;
    world.minutes(2).await;
    let told = world.fires().await;
    let chart = told["data"]["chart"].as_str().unwrap().to_owned();
    let path = chart.strip_prefix(PAGE).expect("it is on the page's host").to_owned();
    assert!(path.starts_with("/apps/shop/chart.png?"), "{path}");
    let (status, headers, body) = world.open(&path).await;
    assert_eq!((status, &body[..4]), (StatusCode::OK, &b"\x89PNG"[..]));
    assert_eq!(headers["content-type"], "image/png");
    // It is what a key would get, of exactly the time that was meant.
    let shown: Vec<_> = form_urlencoded::parse(path.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
    let of = |wanted: &str| {
        shown.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("until"), [told["data"]["window"]["until"].as_str().unwrap()]);
    assert_eq!((of("interval"), of("level"), of("title").len()), (vec!["MINUTE"], vec!["ERROR", "FATAL"], 1));
    // The page that the message leads to shows the same events of the same time.
    let page = told["data"]["url"].as_str().unwrap().split_once('?').unwrap().1;
    let page: Vec<_> = form_urlencoded::parse(page.as_bytes()).into_owned().collect();
    for name in ["since", "until", "level"] {
        let on_page: Vec<_> = page.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        assert_eq!(on_page, of(name), "{page:?}");
    }
    let (unsigned, _) = path.split_once("&signed%5Funtil=").or_else(|| path.split_once("&signed_until=")).unwrap();
    let request = Request::get(unsigned).header("x-read-key", &world.app.read_key).body(Body::empty()).unwrap();
    assert_eq!(world.tally.raw(request).await.1, body);
    // The same in another order and encoding is the same link.
    let (query, rest) = (path.split_once('?').unwrap().1, "/apps/shop/chart.png");
    let turned: Vec<_> = query.split('&').rev().collect();
    assert_eq!(world.open(&format!("{rest}?{}", turned.join("&").replace("%2D", "-"))).await.0, StatusCode::OK);

    for changed in [
        path.replace("level=ERROR", "level=INFO"),
        format!("{path}&level=INFO"),
        format!("{path}&theme=dark"),
        path.replace("signed_until=1", "signed_until=2"),
        path.replace("&signed_until", "&until"),
        path[..path.len() - 3].to_owned(),
    ] {
        assert!(world.refuses(&changed, 401).await.contains("signature"), "{changed}");
    }
    let new = admin::NewApp { name: "other".into(), ..admin::NewApp::default() };
    world.tally.app_with(new).await;
    world.refuses(&path.replace("/shop/", "/other/"), 401).await;
    world.refuses(&path.replace("/shop/", "/none/"), 401).await;
    // It opens nothing else.
    for other in ["stats/overview", "events", "histogram", "issues"] {
        world.refuses(&path.replace("chart.png", other), 401).await;
    }
    let request = Request::get(&path).header("x-read-key", &world.app.read_key).body(Body::empty()).unwrap();
    assert_problem(&world.tally.send(request).await, 400, &["signature"]);
    let now = world.now();
    world.tally.clock.set(now + 30 * DAY - HOUR);
    assert_eq!(world.open(&path).await.0, StatusCode::OK);
    world.tally.clock.set(now + 30 * DAY);
    assert!(world.refuses(&path, 401).await.contains("expired"));
}

#[tokio::test]
async fn a_chart_shows_what_is_left_after_erasing() {
    let mut world = world_of(PAGE).await;
    world.rule(above()).await;
    let event = json!({"name": "failed", "level": "FATAL", "count": 5});
    let id = world.tally.accept(&world.app, &event).await["id"].clone();
    world.count().await;
    world.minutes(2).await;
    let told = world.receiver.take();
    let path = told[0].1["data"]["chart"].as_str().unwrap().strip_prefix(PAGE).unwrap().to_owned();
    let before = world.open(&path).await.2;
    let token = world.tally.token(Role::Admin).await;
    let erased = format!("/apps/shop/events/{}", id.as_str().unwrap());
    let reply = world.tally.call(Method::DELETE, &erased, ("x-access-token", &token), String::new()).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    world.count().await;
    assert_ne!(world.open(&path).await.2, before);
}

#[tokio::test]
async fn there_is_no_chart_where_a_receiver_could_not_fetch_it() {
    for page in ["http://tally.example", "https://localhost:8080", "https://192.168.0.7", "https://[::1]:8080"] {
        let mut world = world_of(page).await;
        world.rule(above()).await;
        world.minutes(2).await;
        assert_eq!(world.fires().await["data"]["chart"], Value::Null, "{page}");
        assert!(!world.tally.contents().await.contains("chart-link-key"), "no key is made for it");
    }
}

#[tokio::test]
async fn a_report_has_a_chart_too() {
    let world = world_of(PAGE).await;
    let id = world.rule(json!({"condition": {"report": "week", "tz": "Europe/Berlin"}})).await;
    world.call(Method::POST, &format!("/{id}/test"), Value::Null).await;
    let told = world.receiver.take();
    let data = &told[0].1["data"];
    let path = data["chart"].as_str().unwrap().strip_prefix(PAGE).unwrap();
    assert_eq!(world.open(path).await.0, StatusCode::OK);
    assert!(data["url"].as_str().unwrap().contains("&since="), "{data}");
}

#[tokio::test]
async fn slack_and_discord_get_a_message_without_a_picture_that_they_refuse() {
    let mut world = world_of(PAGE).await;
    let channels = json!([{"type": "slack", "url": world.receiver.url()}]);
    let mut fields = above();
    fields["channels"] = channels;
    let id = world.call(Method::POST, "", fields).await.json["id"].as_str().unwrap().to_owned();
    world.minutes(2).await;
    for kind in ["slack", "discord"] {
        world.change(&id, json!({"channels": [{"type": kind, "url": world.receiver.url()}]})).await;
        world.receiver.answers(&[400]);
        world.errors(4, TimeDelta::ZERO).await;
        world.count().await;
        world.minutes(2).await;
        let told = world.receiver.take();
        let has_picture: Vec<_> = told.iter().map(|(_, body)| body.to_string().contains("chart.png")).collect();
        assert_eq!(has_picture, [true, false], "{kind}: {told:?}");
        let delivery = world.read(&id).await["history"][0]["deliveries"][0].clone();
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
        world.minutes(8).await;
        assert_eq!(world.receiver.take().len(), 1, "it has recovered");
    }
}

#[tokio::test]
async fn a_rule_that_fires_by_a_rise_shows_its_newest_events() {
    let mut world = world_of(PAGE).await;
    let id = world.rule(above()).await;
    world.minutes(2).await;
    world.tally.accept(&world.app, &json!({"name": "page", "level": "INFO", "message": "not this"})).await;
    for n in 0..4 {
        let timestamp = (world.now() - (9 - n) * TimeDelta::seconds(1)).floor(TimeDelta::seconds(1)).to_string();
        let event = json!({"name": "failed", "level": "ERROR", "message": format!("cart {n} not found"), "timestamp": timestamp});
        world.tally.accept(&world.app, &event).await;
    }
    world.count().await;
    world.minutes(2).await;
    let told = world.receiver.take();
    let examples = &told[0].1["data"]["examples"];
    assert_eq!(
        column(examples, "title"),
        ["failed: cart 3 not found", "failed: cart 2 not found", "failed: cart 1 not found"]
    );
    assert!(examples[0]["url"].as_str().unwrap().contains("view=events&event="), "{examples}");
    let app = world.tally.stored_app(&world.app).await.id;
    let stored = world.tally.context.store.alert_history(&app, &RuleId::parse(&id).unwrap()).await.unwrap();
    assert!(stored.len() == 1 && !format!("{stored:?}").contains("cart"), "it is stored nowhere: {stored:?}");
    world.minutes(7).await;
    let told = world.receiver.take();
    assert_eq!((&told[0].1["type"], &told[0].1["data"]["examples"]), (&json!("alert.recovered"), &json!([])));
}

#[tokio::test]
async fn an_absence_and_a_fall_show_no_events() {
    let mut world = world_of(PAGE).await;
    world.rule(json!({"window": "5m", "condition": {"below": 3}})).await;
    world.errors(1, TimeDelta::ZERO).await;
    world.count().await;
    world.minutes(2).await;
    let told = world.receiver.take();
    assert_eq!((&told[0].1["type"], &told[0].1["data"]["examples"]), (&json!("alert.firing"), &json!([])));
}

#[tokio::test]
async fn an_example_is_not_told_after_it_was_erased() {
    let mut world = world_of(PAGE).await;
    world.rule(above()).await;
    world.minutes(2).await;
    let event = json!({"name": "failed", "level": "ERROR", "message": "secret text", "count": 2});
    let id = world.tally.accept(&world.app, &event).await["id"].clone();
    world.count().await;
    world.receiver.answers(&[500]);
    world.minute().await;
    world.tally.clock.set(world.now() + MINUTE / 3);
    world.run().await;
    let first = world.receiver.take();
    assert!(first[0].1.to_string().contains("secret text"), "{first:?}");
    let token = world.tally.token(Role::Admin).await;
    let path = format!("/apps/shop/events/{}", id.as_str().unwrap());
    world.tally.call(Method::DELETE, &path, ("x-access-token", &token), String::new()).await;
    world.minutes(2).await;
    let told = world.receiver.take();
    assert!(!told.is_empty() && !told[0].1.to_string().contains("secret"), "{told:?}");
}

#[tokio::test]
async fn the_old_secret_of_a_webhook_ends_a_day_after_its_rotation() {
    let world = World::new(1).await;
    let id = world.rule(above()).await;
    let test = async || {
        world.call(Method::POST, &format!("/{id}/test"), Value::Null).await;
        world.receiver.signed()
    };
    assert_eq!(test().await, [1]);
    let channel = world.read(&id).await["channels"][0]["id"].as_str().unwrap().to_owned();
    let rotate = format!("/{id}/channels/{channel}/secret");
    assert_eq!(world.call(Method::POST, &rotate, Value::Null).await.status, StatusCode::OK);
    assert_eq!(test().await, [2]);
    let now = world.now();
    world.tally.clock.set(now + DAY - MINUTE);
    assert_eq!(test().await, [2]);
    world.tally.clock.set(now + DAY);
    assert_eq!(test().await, [1]);
    // The next rotation keeps the one that was new.
    assert_eq!(world.call(Method::POST, &rotate, Value::Null).await.status, StatusCode::OK);
    assert_eq!(test().await, [2]);
}
