//! Splunk's HTTP Event Collector, as agents, Docker and handlers of loggers send to it.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Tally, TestApp};

const EVENTS: &str = "/services/collector/event/1.0";

async fn send(tally: &Tally, request: http::request::Builder, body: impl Into<Body>) -> (StatusCode, Value) {
    let (parts, body) = tally.raw(request.body(body.into()).unwrap()).await;
    (parts.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn post(tally: &Tally, path: &str, app: &TestApp, body: impl Into<Body>) -> (StatusCode, Value) {
    // Clients say that it is a form.
    let request = Request::post(path)
        .header("authorization", format!("Splunk {}", app.ingest_key))
        .header("content-type", "application/x-www-form-urlencoded");
    send(tally, request, body).await
}

fn success() -> (StatusCode, Value) {
    (StatusCode::OK, json!({"text": "Success", "code": 0}))
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

fn event(time: &Value, event: &Value) -> Value {
    json!({
        "time": time, "host": "web-1", "source": "shop", "sourcetype": "app", "index": "main", "event": event,
        "fields": {"region": "eu"},
    })
}

#[tokio::test]
async fn an_event_says_what_its_logger_wrote() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let record = json!({"message": "payment refused", "severity": "error", "logger": "checkout", "user": {"id": "u1"},
        "event_name": "checkout.failed", "took": 12});
    let body = event(&json!(1_795_255_705.123), &record).to_string();
    assert_eq!(post(&tally, EVENTS, &app, body).await, success());
    let events = tally.list(&app, "").await;
    let [stored] = &*events else { panic!("{events:?}") };
    for (name, value) in [
        ("name", json!("checkout.failed")),
        ("level", json!("ERROR")),
        ("message", json!("payment refused")),
        ("category", json!("checkout")),
        ("user_id", json!("u1")),
        ("timestamp", json!("2026-11-21T10:08:25.123Z")),
        ("data", json!({"took": 12, "region": "eu"})),
        ("tags", json!({"host": "web-1", "source": "shop", "sourcetype": "app", "index": "main"})),
    ] {
        assert_eq!(stored[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 1);
}

#[tokio::test]
async fn lines_of_json_and_logfmt_become_data_and_others_a_message() {
    let tally = Tally::start().await;
    for (n, (sent, message, level, data)) in [
        (json!(r#"{"level":50,"msg":"bad","pid":7}"#), json!("bad"), json!("ERROR"), json!({"pid": 7, "region": "eu"})),
        (
            json!(r#"level=warn msg="too slow" took=1.5"#),
            json!("too slow"),
            json!("WARN"),
            json!({"took": 1.5, "region": "eu"}),
        ),
        (json!("it failed\n"), json!("it failed"), Value::Null, json!({"region": "eu"})),
        (json!("[ERROR] it failed"), json!("[ERROR] it failed"), json!("ERROR"), json!({"region": "eu"})),
        // Docker's driver with the format `inline`.
        (
            json!({"line": "{\"level\":\"info\",\"msg\":\"up\"}", "source": "stdout", "tag": "ab12"}),
            json!("up"),
            json!("INFO"),
            json!({"source": "stdout", "tag": "ab12", "region": "eu"}),
        ),
        (
            json!({"line": "plain", "source": "stderr", "tag": "ab12"}),
            json!("plain"),
            Value::Null,
            json!({"source": "stderr", "tag": "ab12", "region": "eu"}),
        ),
        (json!(3), json!("3"), Value::Null, json!({"event": 3, "region": "eu"})),
    ]
    .into_iter()
    .enumerate()
    {
        let app = tally.app(&format!("shop {n}")).await;
        assert_eq!(post(&tally, EVENTS, &app, event(&json!("1795255705.123456"), &sent).to_string()).await, success());
        let stored = tally.list(&app, "").await.remove(0);
        assert_eq!(
            (&stored["message"], &stored["level"], &stored["data"], &stored["name"], &stored["category"]),
            (&message, &level, &data, &json!("log"), &json!("app")),
            "{sent}"
        );
        assert_eq!(stored["timestamp"], "2026-11-21T10:08:25.123456Z");
    }
}

#[tokio::test]
async fn events_follow_one_another_in_any_way_and_count_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let one = |n: u32| event(&json!(1_795_255_705.5), &json!(format!("line {n}"))).to_string();
    for body in [
        [one(1), one(2), one(2)].concat(),
        format!(" {}\n\n{} {} ", one(1), one(2), one(2)),
        format!("[{},{},{}]", one(1), one(2), one(2)),
    ] {
        for path in ["/services/collector", "/services/collector/event/", EVENTS] {
            assert_eq!(post(&tally, path, &app, body.clone()).await, success());
        }
    }
    // The same line twice in a request is two events.
    assert_eq!(total(&mut tally, &app).await, 3);
}

#[tokio::test]
async fn a_time_of_whole_seconds_identifies_nothing() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for time in [json!(1_795_255_705), json!("1795255705"), Value::Null] {
        for _ in 0..2 {
            assert_eq!(post(&tally, EVENTS, &app, event(&time, &json!("up")).to_string()).await, success());
        }
    }
    assert_eq!(total(&mut tally, &app).await, 6);
    // A neighbour tells that the clock is finer.
    for _ in 0..2 {
        let body = event(&json!(1_795_255_706), &json!("a")).to_string()
            + &event(&json!(1_795_255_706.25), &json!("b")).to_string();
        assert_eq!(post(&tally, EVENTS, &app, body).await, success());
    }
    assert_eq!(total(&mut tally, &app).await, 8);
}

#[tokio::test]
async fn lines_are_taken_raw() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let lines = "{\"level\":\"error\",\"msg\":\"bad\",\"ts\":1795255705.5}\r\n\nERROR: it failed\nERROR: it failed\n";
    for _ in 0..2 {
        let path = "/services/collector/raw/1.0?host=web-1&sourcetype=app&time=1795255705.250";
        assert_eq!(post(&tally, path, &app, lines).await, success());
    }
    let events = tally.list(&app, "").await;
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!((&event["level"], &event["category"]), (&json!("ERROR"), &json!("app")));
        assert_eq!(event["tags"], json!({"host": "web-1", "sourcetype": "app"}));
        assert_eq!(event["timestamp"], "2026-11-21T10:08:25.250Z");
    }
    assert_eq!(total(&mut tally, &app).await, 3);
    // Without a time of the request, a line has its own or none.
    assert_eq!(post(&tally, "/services/collector/raw", &app, lines).await, success());
    let own = tally.list(&app, "q=bad").await;
    assert!(own.iter().any(|event| event["timestamp"] == "2026-11-21T10:08:25.500Z"), "{own:?}");
    assert_eq!(total(&mut tally, &app).await, 6);
}

#[tokio::test]
async fn what_is_stored_is_acknowledged() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = format!("Splunk {}", app.ingest_key);
    let body = event(&json!(1_795_255_705.5), &json!("up")).to_string();
    let mut ids = vec![];
    for _ in 0..2 {
        let request = Request::post(EVENTS).header("authorization", &key).header("x-splunk-request-channel", "c1");
        let (status, reply) = send(&tally, request, body.clone()).await;
        assert_eq!((status, &reply["code"]), (StatusCode::OK, &json!(0)));
        ids.push(reply["ackId"].as_i64().unwrap());
    }
    assert_ne!(ids[0], ids[1]);
    let asked = json!({"acks": [ids[0], ids[1], 3, i64::MAX]}).to_string();
    let (status, reply) = post(&tally, "/services/collector/ack?channel=c1", &app, asked.clone()).await;
    let expected = json!({ids[0].to_string(): true, ids[1].to_string(): true, "3": false, i64::MAX.to_string(): false});
    assert_eq!((status, &reply["acks"]), (StatusCode::OK, &expected));
    let (status, reply) = post(&tally, "/services/collector/ack", &app, asked).await;
    assert_eq!((status, &reply["code"]), (StatusCode::BAD_REQUEST, &json!(10)));
}

#[tokio::test]
async fn health_and_connection_are_answered_without_a_key() {
    let tally = Tally::start().await;
    let (status, reply) = send(&tally, Request::get("/services/collector/health/1.0"), "").await;
    assert_eq!((status, reply), (StatusCode::OK, json!({"text": "HEC is healthy", "code": 17})));
    // Docker's driver starts no container with another status.
    let request = Request::builder().method(Method::OPTIONS).uri(EVENTS).body(Body::empty()).unwrap();
    let (parts, _) = tally.raw(request).await;
    assert_eq!(parts.status, StatusCode::OK);
    assert!(parts.headers["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn the_key_stands_where_clients_of_splunk_put_it() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = || event(&json!(1_795_255_705.5), &json!("up")).to_string();
    let basic = format!("Basic {}", STANDARD.encode(format!("x:{}", app.ingest_key)));
    for header in [format!("Splunk {}", app.ingest_key), format!("splunk {}", app.ingest_key), basic] {
        let request = Request::post(EVENTS).header("authorization", header);
        assert_eq!(send(&tally, request, body()).await, success());
    }
    for path in [format!("{EVENTS}?token={}", app.ingest_key), format!("/k/{}{EVENTS}", app.ingest_key)] {
        assert_eq!(send(&tally, Request::post(path), body()).await, success());
    }
}

#[tokio::test]
async fn problems_are_told_in_splunks_words() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = |key: &str| format!("Splunk {key}");
    let unknown = "tly_in_000000000000_0000000000000000000000000000000000000000";
    for (authorization, body, status, code) in [
        ("", "{}", 401, 2),
        (&*key(unknown), "{}", 401, 4),
        (&*key(&app.read_key), "{}", 403, 4),
        (&*key(&app.ingest_key), " ", 400, 5),
        (&*key(&app.ingest_key), "[]", 400, 5),
        (&*key(&app.ingest_key), "event", 400, 6),
        (&*key(&app.ingest_key), "{\"event\":\"a\"", 400, 6),
        (&*key(&app.ingest_key), "{\"time\":1}", 400, 12),
        (&*key(&app.ingest_key), "{\"event\":\" \"}", 400, 13),
    ] {
        let mut request = Request::post(EVENTS);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let (answered, reply) = send(&tally, request, body).await;
        assert_eq!((answered.as_u16(), &reply["code"]), (status, &json!(code)), "{body}: {reply}");
        assert!(reply["text"].as_str().unwrap().len() > 10, "{reply}");
    }
    let many = "{\"event\":\"a\"}".repeat(32_769);
    assert_eq!(post(&tally, EVENTS, &app, many).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_bad_event_and_a_damaged_end_lose_none_of_the_others() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let good = event(&json!(1_795_255_705.5), &json!("up")).to_string();
    let body = format!("{good}{{\"time\":1}}{good}{{\"event\":");
    assert_eq!(post(&tally, EVENTS, &app, body).await, success());
    assert_eq!(tally.list(&app, "").await.len(), 2);
    tally.context.rejections.written().await;
    let items = tally.ask(&app, "/rejected").await["items"].clone();
    let mut reasons: Vec<_> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["source"].as_str().unwrap(), item["reason"].as_str().unwrap()))
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [("splunk", "invalid_field"), ("splunk", "unreadable")]);
}
