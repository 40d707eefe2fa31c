//! Mixpanel's libraries: events in forms, in queries and as JSON.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{NOW, Tally, TestApp, at};

fn event(token: &str, id: &str) -> Value {
    json!({"event": "Signed Up", "properties": {
        "token": token, "time": at(NOW).micros() / 1_000, "distinct_id": "u1", "$insert_id": id, "mp_lib": "web",
        "$lib_version": "2.83.0", "plan": "pro", "nested": {"a": [1, "é"]},
    }})
}

fn form(data: &Value) -> String {
    let data: String = form_urlencoded::byte_serialize(data.to_string().as_bytes()).collect();
    format!("data={data}")
}

async fn send(tally: &Tally, method: Method, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let (parts, body) = tally.raw(request.body(body.into()).unwrap()).await;
    (parts.status, String::from_utf8(body).unwrap())
}

async fn post(tally: &Tally, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
    send(tally, Method::POST, path, body).await
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

const VERBOSE: &str = r#"{"error":null,"status":1}"#;

#[tokio::test]
async fn an_event_keeps_its_properties_and_counts_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = event(&app.ingest_key, "i1");
    for data in [event.clone(), json!([event]), event] {
        let reply = post(&tally, "/track/?verbose=1&ip=1&_=1", form(&data)).await;
        assert_eq!(reply, (StatusCode::OK, VERBOSE.to_owned()));
    }
    let events = tally.list(&app, "").await;
    let [event] = &*events else { panic!("{events:?}") };
    for (name, value) in [
        ("name", json!("Signed Up")),
        ("user_id", json!("u1")),
        ("client_id", json!("i1")),
        ("timestamp", json!("2026-11-21T10:08:25.123Z")),
        ("data", json!({"plan": "pro", "nested": {"a": [1, "é"]}})),
        ("tags", json!({"mp_lib": "web", "$lib_version": "2.83.0"})),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 1);
}

#[tokio::test]
async fn events_come_packed_in_every_way() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base64 = |data: &Value| STANDARD.encode(data.to_string());
    let escaped = |text: String| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let event = |id: &str| event(&app.ingest_key, id);
    let plain = (StatusCode::OK, "1".to_owned());
    // The node library looks at nothing but the body.
    let query = format!("/track?ip=0&verbose=0&data={}", escaped(base64(&event("a"))));
    assert_eq!(send(&tally, Method::GET, &query, "").await, plain);
    let batch = json!([event("b"), event("c")]);
    assert_eq!(post(&tally, "/track", format!("data={}", escaped(base64(&batch)))).await, plain);
    assert_eq!(post(&tally, "/track", format!("data={}&verbose=1", escaped(base64(&event("d"))))).await.1, VERBOSE);
    assert_eq!(post(&tally, "/import", form(&event("e"))).await, plain);
    let query = format!("/import?ip=0&verbose=0&data={}", escaped(base64(&event("l"))));
    assert_eq!(send(&tally, Method::GET, &query, "").await, plain);
    let imported = post(&tally, "/import?strict=1", json!([event("f"), event("g")]).to_string()).await;
    assert_eq!(imported.1, r#"{"code":200,"num_records_imported":2,"status":"OK"}"#);
    let jsonp = format!("/track/?callback=mp.done&data={}", escaped(base64(&event("h"))));
    assert_eq!(send(&tally, Method::GET, &jsonp, "").await.1, "mp.done(1);");
    let evil = format!("/track/?callback=alert(1)//&data={}", escaped(base64(&event("i"))));
    assert_eq!(send(&tally, Method::GET, &evil, "").await.1, "1");
    let picture = Request::get(format!("/track/?img=1&data={}", escaped(base64(&event("j"))))).body(Body::empty());
    assert_eq!(tally.raw(picture.unwrap()).await.0.headers["content-type"], "image/gif");
    let under_key = format!("/k/{}/track/", app.ingest_key);
    assert_eq!(post(&tally, &under_key, form(&self::event("a project token", "k"))).await, plain);
    assert_eq!(total(&mut tally, &app).await, 12);
}

#[tokio::test]
async fn an_emoji_survives_the_base64_of_mixpanel_browser() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut event = event(&app.ingest_key, "a");
    event["properties"]["plan"] = json!("é 😀 \u{2028}");
    // It packs each UTF-16 unit by itself.
    let mut packed = Vec::new();
    for unit in event.to_string().encode_utf16() {
        if let Some(character) = char::from_u32(u32::from(unit)) {
            packed.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            let parts = [0xe0 | unit >> 12, 0x80 | unit >> 6 & 0x3f, 0x80 | unit & 0x3f];
            packed.extend(parts.map(|part| u8::try_from(part).unwrap()));
        }
    }
    let data: String = form_urlencoded::byte_serialize(STANDARD.encode(packed).as_bytes()).collect();
    assert_eq!(post(&tally, "/track/?verbose=1", format!("data={data}")).await.1, VERBOSE);
    assert_eq!(tally.list(&app, "").await[0]["data"]["plan"], "é 😀 \u{2028}");
}

#[tokio::test]
async fn times_are_in_seconds_or_milliseconds() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (id, time) in
        [("s", json!(1_795_255_705)), ("ms", json!(1_795_255_705_123_u64)), ("f", json!(1_795_255_705.123))]
    {
        let mut event = event(&app.ingest_key, id);
        event["properties"]["time"] = time;
        post(&tally, "/track", form(&event)).await;
    }
    let times: Vec<_> = tally.list(&app, "order=asc").await.iter().map(|event| event["timestamp"].clone()).collect();
    assert_eq!(times, ["2026-11-21T10:08:25Z", "2026-11-21T10:08:25.123Z", "2026-11-21T10:08:25.123Z"]);
}

#[tokio::test]
async fn updates_of_profiles_are_events() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let update = json!({"$token": app.ingest_key, "$distinct_id": "u1", "$time": 1_795_255_705_123_u64, "$set": {"plan": "pro"}});
    for _ in 0..2 {
        assert_eq!(post(&tally, "/engage/?verbose=1", form(&json!([update]))).await.1, VERBOSE);
    }
    let group = json!({"$token": app.ingest_key, "$group_key": "company", "$group_id": "c1", "$set": {}});
    assert_eq!(post(&tally, "/groups/?verbose=1", form(&group)).await.1, VERBOSE);
    let events = tally.list(&app, "").await;
    let named = |name: &str| events.iter().find(|event| event["name"] == name).expect("it is kept");
    let engaged = named("$engage");
    assert_eq!((&engaged["user_id"], &engaged["data"]), (&json!("u1"), &json!({"$set": {"plan": "pro"}})));
    assert_eq!(named("$groups")["data"]["$group_id"], "c1");
    assert_eq!(total(&mut tally, &app).await, 2, "a retry counts once");
    // In whole seconds two visits may be the same.
    let visit = json!({"$token": app.ingest_key, "$distinct_id": "u1", "$time": 1_795_255_705, "$add": {"visits": 1}});
    for _ in 0..2 {
        post(&tally, "/engage/", form(&visit)).await;
    }
    assert_eq!(total(&mut tally, &app).await, 4);
    // A clock that knows milliseconds may strike the second.
    for (time, counted) in
        [(json!(1_795_255_705_000_u64), 5), (json!(1_795_255_705.0), 6), (json!("2026-11-21T10:08:25.000Z"), 7)]
    {
        let mut visit = visit.clone();
        visit["$time"] = time;
        for _ in 0..2 {
            post(&tally, "/engage/", form(&visit)).await;
        }
        assert_eq!(total(&mut tally, &app).await, counted, "{visit}");
    }
}

#[tokio::test]
async fn bad_events_and_those_of_other_apps_do_not_lose_their_neighbours() {
    let tally = Tally::start().await;
    let (app, other) = (tally.app("shop").await, tally.app("other").await);
    let good = event(&app.ingest_key, "good");
    let nameless = json!({"properties": {"token": app.ingest_key}});
    let of_another = event(&other.ingest_key, "other");
    let late = json!({"event": "late", "properties": {"token": app.ingest_key, "time": 4_000_000_000_u64}});
    let reply = post(&tally, "/track?verbose=1", form(&json!([good, nameless, of_another, late, 7]))).await;
    assert_eq!(reply, (StatusCode::OK, VERBOSE.to_owned()));
    assert_eq!(tally.list(&app, "").await.len(), 1);
    assert!(tally.list(&other, "").await.is_empty());
}

#[tokio::test]
async fn errors_are_in_mixpanels_words() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (path, body, status) in [
        ("/track", form(&event("no key", "a")), 401),
        ("/track", form(&event(&app.read_key, "a")), 403),
        ("/track", "data=%7B".to_owned(), 400),
        ("/import", String::new(), 401),
    ] {
        let (plain, text) = post(&tally, path, body.clone()).await;
        assert_eq!((plain.as_u16(), &*text), (status, "0"), "{path} {body}");
        let (verbose, text) = post(&tally, &format!("{path}?verbose=1"), body).await;
        let reply: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((verbose.as_u16(), &reply["status"]), (status, &json!(0)));
        assert!(reply["error"].as_str().is_some_and(|error| !error.is_empty()));
    }
}

#[tokio::test]
async fn what_its_libraries_load_says_that_nothing_else_is_offered() {
    let tally = Tally::start().await;
    let get = async |path: &str| send(&tally, Method::GET, path, "").await;
    assert_eq!(get("/settings/?mp_lib=web&sdk_config=1").await, (StatusCode::OK, "{}".to_owned()));
    assert_eq!(get("/flags/").await, (StatusCode::OK, r#"{"flags":{}}"#.to_owned()));
    let app = tally.app("shop").await;
    let replay = format!("/k/{}/record/", app.ingest_key);
    assert_eq!(post(&tally, &replay, "anything").await.0, StatusCode::OK);
    assert!(tally.list(&app, "").await.is_empty());
}
