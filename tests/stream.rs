//! The contents of the stream: compared with Amazon's documentation on each database and with the filters of
//! template.yaml. Also covers the records of expired events.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};
use tally_core::app::role::Role;
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, HOUR, MINUTE, Timestamp};

use crate::harness::{Tally, TestApp, at};

/// Amazon's sample of an event in a tumbling window ("Using AWS Lambda with Amazon DynamoDB"), with the record of an
/// expired item ("DynamoDB Streams and Time to Live"). The sample leaves out `ApproximateCreationDateTime`, which is in
/// Amazon's other samples and in every real record.
const DOCUMENTED: &str = r#"{
    "Records": [
        {
            "eventID": "1", "eventName": "INSERT", "eventVersion": "1.0", "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1479499740,
                "Keys": {"Id": {"N": "101"}},
                "NewImage": {"Message": {"S": "New item!"}, "Id": {"N": "101"}},
                "SequenceNumber": "111", "SizeBytes": 26, "StreamViewType": "NEW_AND_OLD_IMAGES"
            },
            "eventSourceARN": "stream-ARN"
        },
        {
            "eventID": "2", "eventName": "MODIFY", "eventVersion": "1.0", "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1479499740,
                "Keys": {"Id": {"N": "101"}},
                "NewImage": {"Message": {"S": "This item has changed"}, "Id": {"N": "101"}},
                "OldImage": {"Message": {"S": "New item!"}, "Id": {"N": "101"}},
                "SequenceNumber": "222", "SizeBytes": 59, "StreamViewType": "NEW_AND_OLD_IMAGES"
            },
            "eventSourceARN": "stream-ARN"
        },
        {
            "eventID": "3", "eventName": "REMOVE", "eventVersion": "1.0", "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1479499740,
                "Keys": {"Id": {"N": "101"}},
                "OldImage": {"Message": {"S": "This item has changed"}, "Id": {"N": "101"}},
                "SequenceNumber": "333", "SizeBytes": 38, "StreamViewType": "NEW_AND_OLD_IMAGES"
            },
            "eventSourceARN": "stream-ARN"
        },
        {
            "eventID": "4", "eventName": "REMOVE", "eventVersion": "1.0", "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1479499740,
                "Keys": {"Id": {"N": "101"}},
                "OldImage": {"Message": {"S": "This item has changed"}, "Id": {"N": "101"}},
                "SequenceNumber": "444", "SizeBytes": 38, "StreamViewType": "NEW_AND_OLD_IMAGES"
            },
            "eventSourceARN": "stream-ARN",
            "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
        }
    ],
    "window": {"start": "2020-07-30T17:00:00Z", "end": "2020-07-30T17:05:00Z"},
    "state": {"1": "state1"},
    "shardId": "shard123456789",
    "eventSourceARN": "stream-ARN",
    "isFinalInvokeForWindow": false,
    "isWindowTerminatedEarly": false
}"#;

/// A value with the name of its JSON type in place of each scalar. Items and the state have names of their own.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(fields) => {
            let shape_of = |(name, value): (&String, &Value)| match name.as_str() {
                "Keys" | "NewImage" | "OldImage" => (name.clone(), shape_of_item(value)),
                "state" => (name.clone(), if value.is_object() { "object".into() } else { shape(value) }),
                _ => (name.clone(), shape(value)),
            };
            fields.iter().map(shape_of).collect::<Map<_, _>>().into()
        }
    }
}

/// `"item"`, where every attribute is an object of one field that DynamoDB has.
fn shape_of_item(item: &Value) -> Value {
    let is_attribute = |value: &Value| {
        let Some((kind, value)) = value.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next()) else {
            return false;
        };
        match kind.as_str() {
            "S" | "N" | "B" => value.is_string(),
            "BOOL" | "NULL" => value.is_boolean(),
            "L" | "SS" | "NS" | "BS" => value.is_array(),
            "M" => value.is_object(),
            _ => false,
        }
    };
    let fields = item.as_object().filter(|fields| !fields.is_empty() && fields.values().all(is_attribute));
    fields.map_or_else(|| item.clone(), |_| "item".into())
}

/// What happened, by a record: its name, and who did it.
fn happening(record: &Value) -> String {
    format!("{} {}", record["eventName"].as_str().unwrap_or_default(), record["userIdentity"]["principalId"])
}

/// Compares an event with the documented one. Returns what happened in it.
fn assert_documented(event: &str) -> BTreeSet<String> {
    let mut documented: Value = serde_json::from_str(DOCUMENTED).unwrap();
    let mut event: Value = serde_json::from_str(event).unwrap();
    let (samples, records) = (documented["Records"].take(), event["Records"].take());
    let mut found = BTreeSet::new();
    for record in records.as_array().unwrap() {
        let what = happening(record);
        let sample = samples.as_array().unwrap().iter().find(|sample| happening(sample) == what);
        assert_eq!(shape(record), shape(sample.unwrap_or_else(|| panic!("no sample of {what}"))), "{record}");
        assert_eq!(record["eventSource"], "aws:dynamodb");
        assert_eq!(record["eventSourceARN"], event["eventSourceARN"]);
        assert_eq!(record["dynamodb"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
        found.insert(what);
    }
    assert_eq!(shape(&event), shape(&documented));
    let [start, end] = ["start", "end"].map(|edge| event["window"][edge].as_str().unwrap());
    assert_eq!(at(end) - at(start), 15 * MINUTE);
    assert!(start.len() == "2020-07-30T17:00:00Z".len() && start.ends_with('Z'), "{start}");
    found
}

/// Ten o'clock of a day long enough ago that what expires by it has expired by the machine's clock, and not so long that
/// DynamoDB would take it for a mistake (5 years).
fn long_ago() -> Timestamp {
    (Clock::System.now() - 400 * DAY).floor(DAY) + 10 * HOUR
}

/// An app that keeps events for 30 days, on a clock that is long ago.
async fn forgetful() -> (Tally, TestApp) {
    let tally = Tally::start().await;
    tally.clock.set(long_ago());
    let new = admin::NewApp { name: "shop".into(), retention_days: Some(30), ..Default::default() };
    let app = tally.app_with(new).await;
    (tally, app)
}

async fn erase(tally: &Tally, id: &Value) {
    let (path, token) = (format!("/apps/shop/events/{}", id.as_str().unwrap()), tally.token(Role::Admin).await);
    let reply = tally.call(Method::DELETE, &path, ("x-access-token", &token), String::new()).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.json);
}

/// A Tally whose stream has a record of each kind, none of them counted.
async fn with_every_kind() -> Tally {
    let (tally, app) = forgetful().await;
    let timestamp = long_ago().to_string();
    let event = |name: &str| json!({"name": name, "id": "x", "session_id": "s", "timestamp": timestamp, "data": {"a": [1, null]}});
    tally.accept(&app, &event("a")).await;
    tally.accept(&app, &event("b")).await;
    let erased = tally.accept(&app, &json!({"name": "c"})).await;
    erase(&tally, &erased["id"]).await;
    tally.expire().await;
    tally
}

#[tokio::test]
async fn records_have_the_form_that_amazon_documents() {
    let mut tally = with_every_kind().await;
    let kinds = ["INSERT null", "MODIFY null", "REMOVE null", "REMOVE \"dynamodb.amazonaws.com\""];
    let [all] = &tally.peek().await[..] else { panic!("one stream shard") };
    assert_eq!(assert_documented(all), kinds.map(str::to_owned).into());
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_sample_of_the_stream_is_as_amazon_documents_it() {
    let sample = std::fs::read_to_string(repository().join("events/stream-batch.json")).unwrap();
    assert!(!assert_documented(&sample).is_empty());
}

#[tokio::test]
async fn the_event_source_mapping_has_no_filters() {
    let template = std::fs::read_to_string(repository().join("template.yaml")).unwrap();
    let template: serde_yaml_ng::Value = serde_yaml_ng::from_str(&template).unwrap();
    let mapping = &template["Resources"]["AggregateFunction"]["Properties"]["Events"]["EventsStream"]["Properties"];
    assert!(mapping["BatchSize"] != serde_yaml_ng::Value::Null && mapping["FilterCriteria"].is_null());
    let mut tally = with_every_kind().await;
    let [all] = &tally.peek().await[..] else { panic!("one stream shard") };
    let event: Value = serde_json::from_str(all).unwrap();
    let identity = |record: &Value| record["userIdentity"]["principalId"] == "dynamodb.amazonaws.com";
    assert!(event["Records"].as_array().unwrap().iter().any(identity), "an expiry is handed over");
}

/// Every report, statistic and picture of the months around a day. Messages are omitted: their texts come from events.
async fn reports(tally: &Tally, app: &TestApp, day: Timestamp) -> Vec<(String, String)> {
    let date = |at: Timestamp| at.to_string()[..10].to_owned();
    let (day, since, until) = (date(day), date(day - 40 * DAY), date(day + 40 * DAY));
    let periods = ["hour?hour=9&", "day?", "week?", "month?"].map(|period| format!("/reports/{period}date={day}"));
    let range = format!("since={since}&until={until}");
    let statistics = ["by-level", "by-name", "by-category", "hours", "timeseries"];
    let statistics = statistics.map(|statistic| format!("/stats/{statistic}?{range}"));
    let statistics = statistics.into_iter().chain(["/stats/totals".to_owned()]);
    let mut all = Vec::new();
    for path in periods.into_iter().chain(statistics).chain([format!("/histogram?date={day}")]) {
        let request = Request::get(format!("/apps/{}{path}", app.slug)).header("x-read-key", &app.read_key);
        let (head, body) = tally.raw(request.body(Body::empty()).unwrap()).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(head.status, StatusCode::OK, "{path}: {body}");
        all.push((path, body));
    }
    all
}

#[tokio::test]
async fn expired_events_stay_counted_and_erased_events_do_not() {
    // What Amazon's server deletes at once.
    const EVENTS: i64 = 18;
    let (mut tally, app) = forgetful().await;
    let day = long_ago();
    let event = |n: i64| {
        json!({"name": format!("name {}", n % 3), "level": if n % 2 == 0 { "ERROR" } else { "INFO" }, "category": "c", "session_id": "s",
            "timestamp": (day - n * MINUTE).to_string()})
    };
    tally.accept(&app, &(0..EVENTS).map(event).collect()).await;
    let erased = tally.accept(&app, &json!({"name": "name 0", "timestamp": day.to_string()})).await;
    tally.drain().await;
    let day_total = format!("/reports/day?date={}", &day.to_string()[..10]);
    assert_eq!(tally.ask(&app, &day_total).await["total"], EVENTS + 1);
    erase(&tally, &erased["id"]).await;
    tally.drain().await;
    assert_eq!(tally.ask(&app, &day_total).await["total"], EVENTS, "a person deleted one");

    // Reports say when they were made, so both are asked at the same time.
    let later = day + 60 * DAY;
    tally.clock.set(later);
    let before = reports(&tally, &app, day).await;
    tally.expire().await;
    assert!(tally.drain().await >= usize::try_from(EVENTS).unwrap(), "the stream has a record of each expiry");
    assert_eq!(tally.list(&app, &format!("since={}", day - DAY)).await, Vec::<Value>::new());
    assert_eq!(reports(&tally, &app, day).await, before);
    assert_eq!(tally.ask(&app, &day_total).await["total"], EVENTS);
}

#[tokio::test]
async fn no_batch_is_larger_than_the_lambda_limit() {
    const LIMIT: usize = 6 * 1024 * 1024;
    const EVENTS: usize = 60;
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = json!({"name": "large", "data": "x".repeat(250 * 1024)});
    for _ in 0..EVENTS / 15 {
        tally.accept(&app, &vec![event.clone(); 15].into()).await;
    }
    let [next] = &tally.peek().await[..] else { panic!("one stream shard") };
    assert!((LIMIT - 300 * 1024..=LIMIT).contains(&next.len()), "{} bytes", next.len());
    assert_documented(next);
    assert_eq!(tally.drain().await, EVENTS);
    assert_eq!(tally.ask(&app, "/reports/day?date=today").await["total"], EVENTS);
    assert!(tally.peek().await.is_empty());
}
