//! The function `logs`: log events of CloudWatch Logs, as a subscription filter calls it with them.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use ingest::compat::subscription::{LogsError, LogsEvent, Loops, Taken, handle};
use serde_json::{Value, json};
use tally_core::app::AppSlug;
use tally_core::app::role::Role;
use tally_service::config::Config;

use crate::faulty::Fault;
use crate::harness::{NOW, Tally, TestApp, at, column};

/// A Tally whose log events are for the app `ops`.
async fn start() -> (Tally, TestApp) {
    let tally = Tally::with(for_ops()).await;
    let app = tally.app("ops").await;
    (tally, app)
}

fn for_ops() -> Config {
    Config { logs_app: Some(AppSlug::of_name("ops").unwrap()), ..Config::default() }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

/// What Lambda calls the function with.
fn event(data: &str) -> LogsEvent {
    serde_json::from_value(json!({"awslogs": {"data": data}})).unwrap()
}

fn packed(message: &Value) -> LogsEvent {
    event(&STANDARD.encode(gzip(message.to_string().as_bytes())))
}

fn batch(group: &str, events: &Value) -> LogsEvent {
    packed(&json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": group, "logStream": "2026/11/21/[$LATEST]ab",
        "subscriptionFilters": ["tally"], "logEvents": events,
    }))
}

fn line(id: u64, message: &str) -> Value {
    json!({"id": format!("{id:056}"), "timestamp": at(NOW).millis() - 1_000, "message": message})
}

fn lines(count: u64) -> Value {
    (0..count).map(|id| line(id, "it works")).collect::<Vec<_>>().into()
}

async fn call(tally: &Tally, event: LogsEvent) -> Result<Taken, LogsError> {
    handle(&tally.context, &Loops::default(), event).await
}

async fn taken(tally: &Tally, event: LogsEvent) -> (usize, usize) {
    let Taken { accepted, rejected } = call(tally, event).await.expect("taken");
    (accepted, rejected)
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/stats/totals").await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["count"].as_u64().unwrap())
        .sum::<u64>()
        .into()
}

/// Why and how many were rejected, and the text that says so.
async fn rejected(tally: &Tally, app: &TestApp) -> Vec<(String, u64, String)> {
    let items = tally.ask(app, "/rejected").await["items"].as_array().unwrap().clone();
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    assert!(items.iter().all(|item| item["source"] == "cloudwatch"), "{items:?}");
    items.iter().map(|item| (text(item, "reason"), item["count"].as_u64().unwrap(), text(item, "detail"))).collect()
}

#[tokio::test]
async fn the_documented_sample_is_an_event_once() {
    let (mut tally, app) = start().await;
    let sample: LogsEvent = serde_json::from_str(include_str!("../events/logs.json")).unwrap();
    for _ in 0..2 {
        assert_eq!(taken(&tally, sample.clone()).await, (1, 0));
    }
    let [stored] = &tally.list(&app, "").await[..] else { panic!("one event") };
    assert_eq!((&stored["name"], &stored["category"]), (&json!("log"), &json!("/aws/lambda/echo-nodejs")));
    assert_eq!(stored["client_id"], "34622316099697884706540976068822859012661220141643892546");
    assert_eq!(stored["timestamp"], "2019-03-13T23:05:48.220Z");
    assert!(stored["message"].as_str().unwrap().starts_with("REPORT RequestId: 6234bffe-149a-b642-81ff-2e8e376d8aff"));
    assert_eq!(
        stored["tags"],
        json!({"log_group": "/aws/lambda/echo-nodejs", "log_stream": "2019/03/13/[$LATEST]94fa867e5374431291a7fc14e2f56ae7",
            "aws_account": "123456789012"})
    );
    assert_eq!(total(&mut tally, &app).await, 1);
    assert_eq!(rejected(&tally, &app).await, []);
}

#[tokio::test]
async fn lines_of_json_and_levels_are_understood_and_what_is_bad_does_not_spoil_the_rest() {
    let (mut tally, app) = start().await;
    let events = json!([
        line(1, r#"{"level":"error","msg":"card declined","user_id":"ann","took":12}"#),
        line(2, "2026-11-21T10:08:24.000Z\t8f5e\tWARN\tslow answer\n"),
        {"id": "3", "timestamp": -5, "message": "before 1970"},
        "not an object",
    ]);
    assert_eq!(taken(&tally, batch("/aws/lambda/checkout", &events)).await, (2, 2));
    let stored = json!(tally.list(&app, "order=asc").await);
    assert_eq!(column(&stored, "level"), ["ERROR", "WARN"]);
    assert_eq!(column(&stored, "category"), ["/aws/lambda/checkout", "/aws/lambda/checkout"]);
    assert_eq!((&stored[0]["message"], &stored[0]["data"]), (&json!("card declined"), &json!({"took": 12})));
    let mut reasons: Vec<_> = rejected(&tally, &app).await.into_iter().map(|(reason, ..)| reason).collect();
    reasons.sort();
    assert_eq!(reasons, ["invalid_time", "unreadable"]);
    assert_eq!(total(&mut tally, &app).await, 2);
}

#[tokio::test]
async fn a_message_that_tries_the_filter_is_no_event() {
    let (mut tally, app) = start().await;
    let control = json!({"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "",
        "subscriptionFilters": [], "logEvents": [{"id": "", "timestamp": at(NOW).millis(), "message": "CWL CONTROL MESSAGE"}]});
    assert_eq!(taken(&tally, packed(&control)).await, (0, 0));
    assert_eq!(total(&mut tally, &app).await, 0);
    assert_eq!(rejected(&tally, &app).await, []);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_rejected_event_that_says_why() {
    for (data, reason, detail) in [
        ("not base64!".to_owned(), "unreadable", "not base64"),
        (STANDARD.encode([0x1f, 0x8b, 8, 0, 1]), "unreadable", "not gzip"),
        (STANDARD.encode(gzip(b"{\"messageType\":")), "unreadable", "subscription filter"),
        (STANDARD.encode(gzip(b"[1]")), "unreadable", "subscription filter"),
        (STANDARD.encode(gzip(b"{\"detail-type\": \"order placed\"}")), "unreadable", "subscription filter"),
        // 17 MB of blanks in 17 KB.
        (STANDARD.encode(gzip(&vec![b' '; 17 * 1024 * 1024])), "too_large", "16777216 bytes"),
    ] {
        let (mut tally, app) = start().await;
        assert_eq!(taken(&tally, event(&data)).await, (0, 1), "{detail}");
        let told = rejected(&tally, &app).await;
        let [(told_reason, 1, told_detail)] = &told[..] else { panic!("{told:?}") };
        assert!(told_reason == reason && told_detail.contains(detail), "{told:?}");
        assert_eq!(total(&mut tally, &app).await, 0);
    }
}

#[tokio::test]
async fn a_batch_has_a_bound_and_up_to_it_all_is_stored() {
    let (mut tally, app) = start().await;
    assert_eq!(taken(&tally, batch("g", &lines(32_769))).await, (0, 1));
    let told = rejected(&tally, &app).await;
    assert!(told.len() == 1 && told[0].0 == "too_large" && told[0].2.contains("32768"), "{told:?}");
    assert_eq!(taken(&tally, batch("g", &lines(3_000))).await, (3_000, 0));
    assert_eq!(total(&mut tally, &app).await, 3_000);
    // Values beyond all bounds.
    let many = format!("{{\"a\":[{}0]}}", "0,".repeat(9_900));
    let events: Value = (0..120).map(|id| line(id, &many)).collect::<Vec<_>>().into();
    assert_eq!(taken(&tally, batch("g", &events)).await, (0, 120));
    let told = rejected(&tally, &app).await;
    assert!(told.iter().any(|(reason, _, detail)| reason == "too_large" && detail.contains("32768")), "{told:?}");
}

#[tokio::test]
async fn a_long_name_of_a_group_is_cut() {
    let (tally, app) = start().await;
    assert_eq!(taken(&tally, batch(&"g".repeat(300_000), &json!([line(1, "a")]))).await, (1, 0));
    let stored = tally.list(&app, "").await;
    assert_eq!(stored[0]["tags"]["log_group"].as_str().map(str::len), Some(512));
    assert_eq!(stored[0]["category"].as_str().map(str::len), Some(256));
}

#[tokio::test]
async fn a_quota_without_room_rejects_and_does_not_call_again() {
    let tally = Tally::with(for_ops()).await;
    let new = admin::NewApp { name: "ops".to_owned(), events_per_minute: Some(2), ..admin::NewApp::default() };
    let app = tally.app_with(new).await;
    assert_eq!(taken(&tally, batch("g", &lines(3))).await, (0, 3));
    assert_eq!(taken(&tally, batch("g", &lines(2))).await, (2, 0));
    let told = rejected(&tally, &app).await;
    assert!(told.len() == 1 && (told[0].0.as_str(), told[0].1) == ("rate_limited", 3), "{told:?}");
}

#[tokio::test]
async fn what_a_second_call_may_change_is_an_error() {
    let tally = Tally::start().await;
    let sent = || batch("g", &lines(1));
    assert!(matches!(call(&tally, sent()).await, Err(LogsError::NoApp)));
    let tally = Tally::with(for_ops()).await;
    let error = call(&tally, sent()).await.expect_err("no app");
    assert!(matches!(error, LogsError::UnknownApp(_)) && error.to_string().contains("create it"), "{error}");
    let app = tally.app("ops").await;
    let error = call(&tally, serde_json::from_value(json!({})).unwrap()).await.expect_err("no data");
    assert!(matches!(error, LogsError::NoData), "{error}");
    // What was given up is called with again.
    assert_eq!(taken(&tally, sent()).await, (1, 0));
    assert_eq!(tally.list(&app, "").await.len(), 1);
}

#[tokio::test]
async fn what_the_store_does_not_take_comes_again_and_counts_once() {
    let open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&open);
    let mut tally = Tally::failing_as(for_ops(), move |operation, body| {
        let of_30 = body.to_string().contains(&format!("{:056}", 30));
        let fails = operation == "BatchWriteItem" && of_30 && !opened.load(Ordering::SeqCst);
        if fails { Fault::throttled() } else { Fault::None }
    })
    .await;
    let app = tally.app("ops").await;
    let error = call(&tally, batch("g", &lines(60))).await.expect_err("not stored");
    assert!(matches!(error, LogsError::NotStored { failed: 25, all: 60, .. }), "{error}");
    assert_eq!(rejected(&tally, &app).await, [], "Lambda calls again");
    open.store(true, Ordering::SeqCst);
    assert_eq!(taken(&tally, batch("g", &lines(60))).await, (60, 0));
    assert_eq!(total(&mut tally, &app).await, 60);
}

#[tokio::test]
async fn the_role_allows_what_the_function_does_and_no_more() {
    let done = Arc::new(Mutex::new(BTreeSet::new()));
    let doing = Arc::clone(&done);
    let names = for_ops().tables;
    let tally = Tally::failing_as(for_ops(), move |operation, body| {
        let body = body.to_string();
        let table = [("Events", &names.events), ("Counters", &names.counters), ("Apps", &names.apps)];
        let (table, _) = table.into_iter().find(|(_, name)| body.contains(*name)).expect("a table");
        doing.lock().unwrap().insert((table, operation.to_owned()));
        Fault::None
    })
    .await;
    let new = admin::NewApp { name: "ops".to_owned(), events_per_minute: Some(100), ..admin::NewApp::default() };
    let app = tally.app_with(new).await;
    let token = tally.token(Role::Admin).await;
    let bound = r#"{"max_new_names_per_day": 10}"#;
    let changed = tally.call(Method::PATCH, "/apps/ops", ("x-access-token", &token), bound).await;
    assert_eq!(changed.status.as_u16(), 200, "{}", changed.json);
    tally.context.apps.forget(&AppSlug::of_name(&app.slug).unwrap());
    done.lock().unwrap().clear();
    let named = |id, name: &str| line(id, &json!({"event_name": name}).to_string());
    for events in [json!([named(1, "a")]), json!([named(2, "b"), named(3, "c"), "bad"])] {
        call(&tally, batch("g", &events)).await.unwrap();
    }
    let done = done.lock().unwrap();
    for table in ["Events", "Counters", "Apps"] {
        let done: BTreeSet<_> =
            done.iter().filter(|(on, _)| *on == table).map(|(_, operation)| operation.clone()).collect();
        assert_eq!(done, crate::template::may("logs", table), "{table}");
    }
}

#[tokio::test]
async fn log_groups_of_tally_that_lead_back_here_are_refused() {
    let (mut tally, app) = start().await;
    let loops = Loops::of(Some("tally-LogsLog-Ab12".to_owned()));
    for group in ["tally-LogsLog-Ab12", "tally-AggregateLog-Cd34"] {
        let Taken { accepted, rejected } = handle(&tally.context, &loops, batch(group, &lines(2))).await.unwrap();
        assert_eq!((accepted, rejected), (0, 2));
    }
    let other = handle(&tally.context, &loops, batch("tally-IngestLog-Ef56", &lines(1))).await.unwrap();
    assert_eq!(other.accepted, 1);
    let told = rejected(&tally, &app).await;
    assert!(told.len() == 1 && told[0].0 == "not_offered" && told[0].2.contains("subscription filter"), "{told:?}");
    assert_eq!(total(&mut tally, &app).await, 1);
}
