//! `PostHog`'s libraries: every packing, capture v1, and the settings that they ask for.

use std::io::Write as _;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::response::Parts;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::faulty::Fault;
use crate::harness::{Tally, TestApp};

/// An event as posthog-js sends it; `n` makes it another one.
fn event(n: usize) -> Value {
    json!({
        "uuid": format!("019aa5e3-5f00-7000-8000-{n:012}"), "event": "clicked", "timestamp": "2026-11-21T10:00:00.123Z",
        "properties": {"distinct_id": "user", "$session_id": "session", "$lib": "web", "plan": "pro", "text": "Ünï 😀"},
    })
}

fn batch(app: &TestApp, count: usize) -> Value {
    let events: Vec<_> = (0..count).map(event).collect();
    json!({"api_key": app.ingest_key, "batch": events, "sent_at": "2026-11-21T10:00:01Z"})
}

async fn send(tally: &Tally, request: Request<Body>) -> (Parts, Value) {
    let (parts, body) = tally.raw(request).await;
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    (parts, body)
}

async fn post(tally: &Tally, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let (parts, reply) = send(tally, Request::post(path).body(body.into()).unwrap()).await;
    (parts.status, reply)
}

async fn get(tally: &Tally, path: &str) -> (StatusCode, Value) {
    let (parts, reply) = send(tally, Request::get(path).body(Body::empty()).unwrap()).await;
    (parts.status, reply)
}

async fn post_v1(tally: &Tally, key: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post("/i/v1/analytics/events").header("authorization", format!("Bearer {key}"));
    let request = request.header("posthog-sdk-info", "posthog-python/7.91.1");
    let (parts, reply) = send(tally, request.body(Body::from(body.to_string())).unwrap()).await;
    (parts.status, reply)
}

/// The reasons of an app's rejected events, and how often each was met.
async fn rejected(tally: &Tally, app: &TestApp) -> Vec<(String, u64)> {
    tally.context.rejections.written().await;
    let reply = tally.ask(app, "/rejected").await;
    let items = reply["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            assert_eq!(item["source"], "posthog");
            (item["reason"].as_str().unwrap().to_owned(), item["count"].as_u64().unwrap())
        })
        .collect()
}

fn delivered() -> (StatusCode, Value) {
    (StatusCode::OK, json!({"status": 1}))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(vec![], Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn every_packing_brings_the_same_events_which_count_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let text = batch(&app, 3).to_string();
    let base64 = STANDARD.encode(&text);
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("/batch/", text.clone().into_bytes()),
        ("/e/?ip=0&_=1795255705&ver=1.449.2&beacon=1&retry_count=2", gzip(&text)),
        ("/e/?compression=gzip-js", gzip(&text)),
        ("/capture", format!("data={}", percent(&text)).into_bytes()),
        ("/i/v0/e/?compression=base64", format!("data={}", percent(&base64)).into_bytes()),
        ("/e", format!("compression=base64&data={base64}&lib_version=1").into_bytes()),
        ("/track/", base64.clone().into_bytes()),
        ("/engage", format!("data={}", percent(&STANDARD.encode(gzip(&text)))).into_bytes()),
        ("/i/v0/batch", zstd::encode_all(text.as_bytes(), 1).unwrap()),
        ("/i/v0/ai/batch/", format!("\u{feff} {text}\n").into_bytes()),
    ];
    for (path, body) in bodies {
        assert_eq!(post(&tally, path, body).await, delivered(), "{path}");
    }
    let query = format!("/e/?data={}", percent(&STANDARD.encode(text)));
    assert_eq!(get(&tally, &query).await, delivered());
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/stats/totals").await["items"][0]["count"], 3);
    let stored = tally.list(&app, "").await;
    assert_eq!(stored.len(), 3);
    for (field, value) in [
        ("name", json!("clicked")),
        ("timestamp", json!("2026-11-21T10:00:00.123Z")),
        ("user_id", json!("user")),
        ("session_id", json!("session")),
        ("category", json!("web")),
        ("data", json!({"plan": "pro", "text": "Ünï 😀"})),
        ("tags", json!({"lib": "web"})),
    ] {
        assert_eq!(stored[0][field], value, "{field}");
    }
}

#[tokio::test]
async fn the_key_is_found_wherever_a_library_puts_it() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = &app.ingest_key;
    let mut with_token = event(4);
    with_token["properties"]["token"] = json!(key);
    let mut other_project = event(6);
    other_project["properties"]["token"] = json!("phc_of_somebody");
    for (path, body) in [
        ("/e/".to_owned(), json!({"token": key, "batch": [event(1)]})),
        ("/e/".to_owned(), json!({"$token": key, "event": "one", "uuid": "u2", "timestamp": "2026-11-21T10:00:00Z"})),
        (format!("/e/?token={key}"), json!([event(3)])),
        ("/e/".to_owned(), json!([with_token])),
        (format!("/k/{key}/batch/"), json!({"api_key": "phc_x", "batch": [event(5)]})),
        (format!("/k/{key}/batch/"), json!({"api_key": "phc_x", "batch": [other_project]})),
    ] {
        assert_eq!(post(&tally, &path, body.to_string()).await, delivered(), "{path}: {body}");
    }
    let stored = tally.list(&app, "").await;
    assert_eq!(stored.len(), 6);
    for event in &stored {
        assert!(!event.to_string().contains(key.as_str()), "a key is not kept: {event}");
    }
}

#[tokio::test]
async fn a_repeated_request_counts_once_although_it_says_another_time_of_sending() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for second in 0..3 {
        let mut body = batch(&app, 5);
        body["sent_at"] = json!(format!("2026-11-21T10:00:0{second}Z"));
        assert_eq!(post(&tally, &format!("/batch/?retry_count={second}"), body.to_string()).await, delivered());
    }
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/stats/totals").await["items"][0]["count"], 5);
}

#[tokio::test]
async fn a_bad_event_loses_none_of_its_neighbours_and_stays_visible() {
    let tally = Tally::start().await;
    let (app, other) = (tally.app("shop").await, tally.app("other").await);
    let mut foreign = event(9);
    foreign["properties"]["token"] = json!(other.ingest_key);
    let events = json!([
        event(1), 3, null, {"event": "", "properties": {}}, {"event": "late", "timestamp": "1969-01-01T00:00:00Z"},
        {"event": "odd", "timestamp": "soon"}, {"event": "$snapshot"}, foreign,
        {"event": "large", "properties": {"x": "x".repeat(300_000)}}, event(2),
    ]);
    let body = json!({"api_key": app.ingest_key, "batch": events});
    assert_eq!(post(&tally, "/batch/", body.to_string()).await, delivered());
    assert_eq!(tally.list(&app, "").await.len(), 2);
    assert_eq!(tally.list(&other, "").await.len(), 0);
    let mut reasons = rejected(&tally, &app).await;
    reasons.sort();
    let expected = [
        ("invalid_name", 1),
        ("invalid_time", 2),
        ("not_offered", 1),
        ("other_app", 1),
        ("too_large", 1),
        ("unreadable", 2),
    ];
    assert_eq!(reasons, expected.map(|(reason, count)| (reason.to_owned(), count)));
    let shown = tally.ask(&app, "/rejected").await.to_string();
    assert!(!shown.contains(&other.ingest_key) && !shown.contains(&app.ingest_key), "samples show no keys: {shown}");
}

#[tokio::test]
async fn what_nobody_can_mend_at_its_source_is_mended() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let deep = "[".repeat(40) + &"]".repeat(40);
    let body = format!(
        r#"{{"api_key":"{}","batch":[{{"event":"{}","uuid":"u","timestamp":"2026-11-21T10:00:00.1Z","distinct_id":"d",
        "properties":{{"":1,"a":1,"a":2,"n":1e400,"d":{deep},"s":"\ud800\u0000"}}}}]}}"#,
        app.ingest_key,
        "é".repeat(200),
    );
    assert_eq!(post(&tally, "/batch/", body).await, delivered());
    let [event] = &*tally.list(&app, "").await else { panic!("one event") };
    assert_eq!(event["name"], "é".repeat(128));
    assert_eq!((&event["data"]["a"], &event["data"]["n"]), (&json!(2), &json!("1e400")));
    assert_eq!(event["data"]["s"], "\u{fffd}\u{fffd}");
}

#[tokio::test]
async fn an_exception_has_a_level_a_message_frames_and_a_fingerprint() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut exception = event(1);
    exception["event"] = json!("$exception");
    exception["properties"]["$exception_list"] = json!([{
        "type": "TypeError", "value": "x is undefined", "mechanism": {"handled": false},
        "stacktrace": {"type": "raw", "frames": [
            {"filename": "https://shop.example/app.js", "function": "pay", "lineno": 7, "in_app": true},
            {"filename": "https://cdn.example/lib.js", "function": "each", "lineno": 1, "in_app": false},
        ]},
    }, {"type": "Error", "value": "the cause"}]);
    let body = json!({"api_key": app.ingest_key, "batch": [exception, event(2)]});
    assert_eq!(post(&tally, "/i/v0/e/", body.to_string()).await, delivered());
    let [stored] = &*tally.list(&app, "level=ERROR&fingerprint=TypeError%20in%20%2Fapp.js:pay").await else {
        panic!("one event")
    };
    assert_eq!((&stored["name"], &stored["message"]), (&json!("$exception"), &json!("TypeError: x is undefined")));
    assert_eq!(stored["stack"][0]["frames"][0]["function"], "each", "the innermost call is first");
    assert_eq!((&stored["stack"][0]["type"], &stored["stack"][1]["value"]), (&json!("TypeError"), &json!("the cause")));
}

#[tokio::test]
async fn capture_v1_answers_each_event_by_itself() {
    let tally = Tally::failing(|operation, body| {
        if operation == "BatchWriteItem" && body.to_string().contains("\"fails\"") {
            return Fault::throttled();
        }
        Fault::None
    })
    .await;
    let app = tally.app("shop").await;
    let at = "2026-11-21T10:00:00.123Z";
    // A batch of the store holds 25 events, so the two that fail are in one of their own.
    let mut events: Vec<_> = (0..25)
        .map(|n| json!({"event": "ok", "uuid": format!("good {n}"), "distinct_id": "d", "timestamp": at, "options": {}, "properties": {}}))
        .collect();
    events.extend([
        json!({"event": "fails", "uuid": "again", "timestamp": at, "properties": {}}),
        json!({"event": "", "uuid": "nameless", "timestamp": at, "properties": {}}),
        json!("odd"),
    ]);
    let (status, reply) = post_v1(&tally, &app.ingest_key, &json!({"created_at": at, "batch": events})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    let results = reply["results"].as_object().unwrap();
    assert_eq!((results.len(), &results["again"]["result"]), (27, &json!("retry")), "{reply}");
    assert_eq!((&results["good 0"], &results["good 24"]), (&json!({"result": "ok"}), &json!({"result": "ok"})));
    assert_eq!(results["nameless"]["result"], "drop");
    assert!(results["nameless"]["details"].as_str().unwrap().contains("name"));

    let event = &tally.list(&app, "").await[0];
    assert_eq!(event["tags"], json!({"lib": "posthog-python", "lib_version": "7.91.1"}));

    // In the older protocol nothing but the whole request can come again.
    let body = json!({"api_key": app.ingest_key, "batch": events});
    let request = Request::post("/batch/").body(Body::from(body.to_string())).unwrap();
    let (parts, reply) = send(&tally, request).await;
    assert_eq!((parts.status, &reply["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("service_unavailable")));
    assert!(parts.headers.contains_key("retry-after"));
    assert_eq!(tally.list(&app, "").await.len(), 25);

    // Nor is there a way to name an event without a uuid.
    let nameless =
        json!({"batch": [{"event": "fails", "distinct_id": 1, "timestamp": at}, {"event": "fails", "timestamp": at}]});
    assert_eq!(post_v1(&tally, &app.ingest_key, &nameless).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn over_the_quota_each_protocol_says_so_in_its_words() {
    let tally = Tally::start().await;
    let quota = admin::NewApp { name: "small".into(), events_per_minute: Some(1), ..admin::NewApp::default() };
    let app = tally.app_with(quota).await;
    let request = Request::post("/batch/").body(Body::from(batch(&app, 2).to_string())).unwrap();
    let (parts, reply) = send(&tally, request).await;
    assert_eq!((parts.status, &reply["type"]), (StatusCode::TOO_MANY_REQUESTS, &json!("quota_limited")), "{reply}");
    assert!(parts.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    let (status, reply) = post_v1(&tally, &app.ingest_key, &json!({"batch": [event(1), event(2)]})).await;
    assert_eq!(status, StatusCode::OK);
    let results = reply["results"].as_object().unwrap();
    assert_eq!(results.len(), 2);
    assert!(results.values().all(|result| result["result"] == "limited"), "{reply}");
    assert_eq!(rejected(&tally, &app).await.len(), 1, "the owner sees it");
}

#[tokio::test]
async fn errors_are_in_the_words_of_the_protocol() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = &app.ingest_key;
    let unknown = "tly_in_000000000000_0000000000000000000000000000000000000000";
    let bomb = zstd::encode_all(&vec![b' '; 17 * 1024 * 1024][..], 1).unwrap();
    let bomb_in_base64 = STANDARD.encode(gzip(&" ".repeat(17 * 1024 * 1024)));
    let many = json!({"api_key": key, "batch": vec![json!({}); 10_001]}).to_string();
    let cases: Vec<(String, Vec<u8>, u16)> = vec![
        ("/batch/".to_owned(), json!({"api_key": unknown, "batch": []}).to_string().into(), 401),
        ("/batch/".to_owned(), json!({"api_key": "phc_x", "batch": []}).to_string().into(), 401),
        ("/batch/".to_owned(), json!({"api_key": app.read_key, "batch": []}).to_string().into(), 403),
        ("/e/".to_owned(), b"{\"event\":".to_vec(), 400),
        ("/e/".to_owned(), b"".to_vec(), 401),
        (format!("/e/?token={key}"), b"{\"event\":".to_vec(), 400),
        (format!("/e/?token={key}"), b"".to_vec(), 400),
        (format!("/e/?token={key}"), b"\x1f\x8bdamaged".to_vec(), 400),
        (format!("/e/?token={key}"), b"data=%7B".to_vec(), 400),
        (format!("/e/?token={key}&compression=lz64"), b"data=xyz".to_vec(), 415),
        (format!("/e/?token={key}"), bomb, 413),
        (format!("/e/?token={key}"), bomb_in_base64.into(), 413),
        ("/batch/".to_owned(), many.into(), 413),
    ];
    for (path, body, expected) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let (status, reply) = post(&tally, &path, body.clone()).await;
        assert_eq!(status.as_u16(), expected, "{path} {shown}: {reply}");
        assert!(reply["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path} {shown}: {reply}");
    }
    let (status, reply) = post_v1(&tally, unknown, &json!({"batch": []})).await;
    assert_eq!((status, &reply["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_api_key")));
    assert!(reply["error_description"].is_string());
    assert_eq!(post(&tally, "/batch/", batch(&app, 0).to_string()).await, delivered(), "an empty batch is delivered");
}

#[tokio::test]
async fn a_batch_may_hold_thousands_of_events() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    assert_eq!(post(&tally, "/batch/", gzip(&batch(&app, 2_500).to_string())).await, delivered());
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/stats/totals").await["items"][0]["count"], 2_500);
}

#[tokio::test]
async fn settings_switch_off_what_is_not_offered() {
    let tally = Tally::start().await;
    let (status, config) = get(&tally, "/array/phc_x/config").await;
    assert_eq!(status, StatusCode::OK);
    for feature in ["hasFeatureFlags", "sessionRecording", "heatmaps", "autocaptureExceptions"] {
        assert_eq!(config[feature], false, "{feature}");
    }
    assert_eq!(config["surveys"], Value::Null, "posthog-js loads a script if it is there, even if it is false");
    assert_eq!(config["supportedCompression"], json!(["gzip", "gzip-js"]));
    let (parts, script) =
        send(&tally, Request::get("/k/tly_in_1/array/phc_x/config.js").body(Body::empty()).unwrap()).await;
    assert_eq!(parts.headers["content-type"], "application/javascript; charset=utf-8");
    assert!(script.as_str().unwrap().contains(r#"window._POSTHOG_REMOTE_CONFIG["phc_x"]={config:{"#), "{script}");
    let (status, _) = get(&tally, "/array/%22%3Balert(1)/config.js").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "a token is never a part of the script unless it is plain");

    for (path, field, value) in [
        ("/flags/?v=2", "flags", json!({})),
        ("/flags/?v=4", "flags", json!({})),
        ("/flags/?v=2&config=true", "hasFeatureFlags", json!(false)),
        ("/flags/", "featureFlags", json!({})),
        ("/decide/?v=3", "featureFlags", json!({})),
        ("/decide/", "sessionRecording", json!(false)),
    ] {
        let (status, reply) = post(&tally, path, r#"{"token": "phc_x", "distinct_id": "d"}"#).await;
        assert_eq!((status, &reply[field]), (StatusCode::OK, &value), "{path}: {reply}");
        assert_eq!(reply["errorsWhileComputingFlags"], false, "{path}");
    }
    for (path, expected) in [
        ("/api/surveys/?token=x", StatusCode::OK),
        ("/api/web_experiments/", StatusCode::OK),
        ("/api/product_tours/", StatusCode::OK),
        ("/api/early_access_features/?token=x", StatusCode::OK),
        ("/api/feature_flag/local_evaluation?token=x", StatusCode::OK),
        ("/static/array.js", StatusCode::NOT_FOUND),
        ("/static/1.449.2/recorder.js", StatusCode::NOT_FOUND),
    ] {
        let request = Request::builder().method(Method::GET).uri(path).body(Body::empty()).unwrap();
        assert_eq!(send(&tally, request).await.0.status, expected, "{path}");
    }
}

#[tokio::test]
async fn a_session_replay_is_thrown_away_and_the_owner_sees_it() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let part = json!({"event": "$snapshot", "properties": {"token": app.ingest_key, "$snapshot_data": [1]}});
    assert_eq!(post(&tally, "/s/?compression=gzip-js", gzip(&json!([part]).to_string())).await, delivered());
    assert_eq!(rejected(&tally, &app).await, [("not_offered".to_owned(), 1)]);
    assert_eq!(tally.list(&app, "").await.len(), 0);
}
