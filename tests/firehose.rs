//! Amazon Data Firehose, and what it carries: batches of CloudWatch Logs, events of `EventBridge`, JSON and lines.

use std::io::Write;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{NOW, Tally, TestApp, at, column};

const REQUEST: &str = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f";

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// A delivery of some records.
fn delivery(records: &[Vec<u8>]) -> String {
    let records: Vec<_> = records.iter().map(|record| json!({"data": STANDARD.encode(record)})).collect();
    json!({"requestId": REQUEST, "timestamp": at(NOW).millis(), "records": records}).to_string()
}

async fn send(tally: &Tally, key: &str, attributes: Option<&str>, body: impl Into<Body>) -> (StatusCode, Value) {
    // As its developer guide has it.
    let mut request = Request::post("/firehose")
        .header("content-type", "application/json")
        .header("x-amz-firehose-protocol-version", "1.0")
        .header("x-amz-firehose-request-id", REQUEST)
        .header("x-amz-firehose-source-arn", "arn:aws:firehose:eu-central-1:123456789012:deliverystream/logs")
        .header("x-amz-firehose-access-key", key);
    if let Some(attributes) = attributes {
        request = request.header("x-amz-firehose-common-attributes", attributes);
    }
    let (parts, body) = tally.raw(request.body(body.into()).unwrap()).await;
    assert_eq!(parts.headers["content-type"], "application/json");
    (parts.status, serde_json::from_slice(&body).unwrap())
}

fn taken() -> (StatusCode, Value) {
    (StatusCode::OK, json!({"requestId": REQUEST, "timestamp": at(NOW).millis()}))
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

/// A batch as a subscription filter sends it.
fn batch(events: &Value) -> Value {
    json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/checkout", "logStream": "2026/11/21/[$LATEST]ab",
        "subscriptionFilters": ["tally"], "logEvents": events,
    })
}

#[tokio::test]
async fn log_events_of_cloud_watch_are_events_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let millis = at(NOW).millis();
    let events = json!([
        {"id": "37000000000000000000000000000000000000000000000000000001", "timestamp": millis - 2_000,
            "message": "{\"level\":\"error\",\"msg\":\"card declined\",\"user_id\":\"ann\",\"took\":12}\n"},
        {"id": "37000000000000000000000000000000000000000000000000000002", "timestamp": millis - 1_000,
            "message": "2026-11-21T10:08:24.000Z\t8f5e\tWARN\tslow answer\n", "extractedFields": {"request": "8f5e"}},
    ]);
    let control = json!({"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "",
        "subscriptionFilters": [], "logEvents": [{"id": "", "timestamp": millis, "message": "CWL CONTROL MESSAGE"}]});
    let body = delivery(&[gzip(&control.to_string()), gzip(&batch(&events).to_string())]);
    assert_eq!(send(&tally, &app.ingest_key, None, body.clone()).await, taken());
    // It was not answered, and is sent again.
    assert_eq!(send(&tally, &app.ingest_key, None, body).await, taken());
    let stored = tally.list(&app, "order=asc").await;
    assert_eq!(
        column(&json!(stored), "message"),
        ["card declined", "2026-11-21T10:08:24.000Z\t8f5e\tWARN\tslow answer"]
    );
    assert_eq!(column(&json!(stored), "level"), ["ERROR", "WARN"]);
    assert_eq!(column(&json!(stored), "category"), ["/aws/lambda/checkout", "/aws/lambda/checkout"]);
    assert_eq!((&stored[0]["user_id"], &stored[0]["data"]), (&json!("ann"), &json!({"took": 12})));
    assert_eq!((&stored[1]["data"], &stored[1]["name"]), (&json!({"request": "8f5e"}), &json!("log")));
    let tags = json!({"log_group": "/aws/lambda/checkout", "log_stream": "2026/11/21/[$LATEST]ab", "aws_account": "123456789012"});
    assert_eq!(stored[0]["tags"], tags);
    assert_eq!(stored[0]["timestamp"], "2026-11-21T10:08:23.123Z");
    assert_eq!(total(&mut tally, &app).await, 2);
}

#[tokio::test]
async fn json_lines_and_events_of_event_bridge_are_events_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let bridge = json!({"version": "0", "id": "6a7e8feb", "detail-type": "order placed", "source": "shop.orders",
        "account": "123456789012", "time": "2026-11-21T10:00:00Z", "region": "eu-central-1", "resources": [], "detail": {"amount": 5}});
    // Nothing stands between the objects; the same one twice is two events.
    let objects = r#"{"name":"signup","ts":1795255700.5,"plan":"pro"}{"name":"signup","ts":1795255700.5,"plan":"pro"}"#;
    let lines = "level=info msg=\"it works\" took=3\n\nERROR it fails\n";
    let body = delivery(&[bridge.to_string().into_bytes(), objects.into(), lines.into(), "{\"not\": json".into()]);
    let attributes = r#"{"commonAttributes":{"environment":"production"}}"#;
    for _ in 0..2 {
        assert_eq!(send(&tally, &app.ingest_key, Some(attributes), body.clone()).await, taken());
    }
    assert_eq!(total(&mut tally, &app).await, 6);
    let stored = json!(tally.list(&app, "order=asc").await);
    let named =
        |name: &str| stored.as_array().unwrap().iter().filter(|event| event["name"] == *name).collect::<Vec<_>>();
    let [placed] = named("order placed")[..] else { panic!("{stored:#}") };
    assert_eq!((&placed["category"], &placed["data"]), (&json!("shop.orders"), &json!({"amount": 5})));
    assert_eq!(placed["tags"]["environment"], "production");
    assert_eq!(named("signup").len(), 2);
    assert_eq!(named("signup")[0]["data"], json!({"plan": "pro"}));
    assert_eq!(named("signup")[0]["timestamp"], "2026-11-21T10:08:20.500Z");
    let logs = named("log");
    let mut messages: Vec<_> = logs.iter().map(|log| log["message"].as_str().unwrap()).collect();
    messages.sort_unstable();
    assert_eq!(messages, ["ERROR it fails", "it works", "{\"not\": json"]);
    assert!(logs.iter().all(|log| log["tags"]["environment"] == "production"), "{logs:?}");
}

#[tokio::test]
async fn what_cannot_be_taken_says_why_in_the_words_of_firehose() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = app.ingest_key.clone();
    let refused = async |key: &str, body: String, status: u16, detail: &str| {
        let (code, reply) = send(&tally, key, None, body).await;
        assert_eq!((code.as_u16(), &reply["requestId"]), (status, &json!(REQUEST)), "{reply}");
        assert!(reply["errorMessage"].as_str().is_some_and(|message| message.contains(detail)), "{reply}");
    };
    let none = delivery(&[b"a line".to_vec()]);
    refused("tly_in_0123456789ab_0123456789012345678901234567890123456789", none.clone(), 401, "key").await;
    refused("secret", none, 401, "ingest key").await;
    refused(&key, "[]".to_owned(), 400, "object").await;
    refused(&key, json!({"requestId": REQUEST}).to_string(), 400, "records").await;
    refused(&key, json!({"records": [{"data": "not base64!"}]}).to_string(), 400, "records.0.data").await;
    refused(&key, json!({"records": [{}]}).to_string(), 400, "records.0.data").await;
    refused(&key, delivery(&[vec![0x1f, 0x8b, 8, 0, 1]]), 400, "records.0.data").await;
    let large = gzip(&" ".repeat(9 * 1024 * 1024));
    refused(&key, delivery(&[large.clone(), large]), 413, "buffer").await;
    refused(&key, delivery(&["a\n".repeat(33_000).into_bytes()]), 413, "buffer").await;
    assert_eq!(send(&tally, &key, None, delivery(&[])).await, taken());
    assert_eq!(total(&mut tally, &app).await, 0);
}
