//! `CloudEvents` over HTTP, and Amazon `EventBridge`'s own form.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Tally, TestApp};

fn structured() -> Value {
    json!({
        "specversion": "1.0", "id": "e1", "source": "/orders", "type": "com.shop.order.paid", "subject": "order/7",
        "time": "2026-11-21T10:08:25.123456Z", "datacontenttype": "application/json", "traceparent": "00-ab",
        "data": {"total": 12.5, "items": ["a"]},
    })
}

async fn post(tally: &Tally, app: &TestApp, kind: &str, body: impl Into<Body>) -> StatusCode {
    let request = Request::post("/cloudevents").header("authorization", format!("Bearer {}", app.ingest_key));
    send(tally, request.header("content-type", kind), body).await
}

async fn send(tally: &Tally, request: http::request::Builder, body: impl Into<Body>) -> StatusCode {
    tally.raw(request.body(body.into()).unwrap()).await.0.status
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

#[tokio::test]
async fn the_three_modes_say_the_same_and_count_once() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let one = structured();
    assert_eq!(
        post(&tally, &app, "application/cloudevents+json; charset=utf-8", one.to_string()).await,
        StatusCode::NO_CONTENT
    );
    let batch = json!([one, one]).to_string();
    assert_eq!(post(&tally, &app, "application/cloudevents-batch+json", batch).await, StatusCode::NO_CONTENT);
    let mut request =
        Request::put(format!("/k/{}/cloudevents/", app.ingest_key)).header("content-type", "application/json");
    for (name, value) in one.as_object().unwrap() {
        if let (Some(text), false) = (value.as_str(), name == "datacontenttype") {
            // Headers are percent-encoded.
            request = request.header(format!("ce-{name}"), text.replace('/', "%2F"));
        }
    }
    assert_eq!(send(&tally, request, one["data"].to_string()).await, StatusCode::NO_CONTENT);
    let events = tally.list(&app, "").await;
    let [event] = &*events else { panic!("{events:?}") };
    for (name, value) in [
        ("name", json!("com.shop.order.paid")),
        ("category", json!("/orders")),
        ("client_id", json!("/orders e1")),
        ("timestamp", json!("2026-11-21T10:08:25.123456Z")),
        ("data", json!({"total": 12.5, "items": ["a"]})),
        ("tags", json!({"subject": "order/7", "datacontenttype": "application/json", "traceparent": "00-ab"})),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 1);
    assert_eq!(post(&tally, &app, "application/cloudevents-batch+json", "[]").await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_event_of_eventbridge_is_taken_in_its_own_form() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Order Paid", "source": "shop.orders",
        "account": "123456789012", "time": "2026-11-21T10:08:25Z", "region": "eu-central-1", "resources": ["arn:x"],
        "detail": {"total": 12.5},
    });
    for _ in 0..2 {
        let request = Request::post("/cloudevents").header("x-ingest-key", &app.ingest_key);
        let request = request.header("content-type", "application/json; charset=utf-8");
        assert_eq!(send(&tally, request, event.to_string()).await, StatusCode::NO_CONTENT);
    }
    let stored = tally.list(&app, "").await.remove(0);
    for (name, value) in [
        ("name", json!("Order Paid")),
        ("category", json!("shop.orders")),
        ("data", json!({"total": 12.5})),
        ("tags", json!({"account": "123456789012", "region": "eu-central-1", "resources": ["arn:x"]})),
    ] {
        assert_eq!(stored[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 1);
}

#[tokio::test]
async fn data_of_every_kind_is_kept() {
    let tally = Tally::start().await;
    for (n, (kind, body, data)) in [
        ("application/json", b"[1,2]".to_vec(), json!({"data": [1, 2]})),
        ("application/vnd.shop+json", b"{\"a\":1}".to_vec(), json!({"a": 1})),
        ("text/plain", b"hello".to_vec(), json!({"data": "hello"})),
        ("application/octet-stream", b"\xff\x00".to_vec(), json!({"data_base64": "/wA="})),
        ("", b"".to_vec(), Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let app = tally.app(&format!("shop {n}")).await;
        let mut request = Request::post("/cloudevents").header("x-ingest-key", &app.ingest_key);
        for (name, value) in
            [("ce-specversion", "1.0"), ("ce-id", "e1"), ("ce-source", "s"), ("ce-type", "t"), ("content-type", kind)]
        {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        assert_eq!(send(&tally, request, body).await, StatusCode::NO_CONTENT, "{kind}");
        assert_eq!(tally.list(&app, "").await[0]["data"], data, "{kind}");
    }
    let app = tally.app("other").await;
    let base64 =
        json!({"specversion": "1.0", "id": "e1", "source": "s", "type": "t", "data_base64": "/wA="}).to_string();
    assert_eq!(post(&tally, &app, "application/cloudevents+json", base64).await, StatusCode::NO_CONTENT);
    assert_eq!(tally.list(&app, "").await[0]["data"], json!({"data_base64": "/wA="}));
}

#[tokio::test]
async fn what_is_no_event_is_refused() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let without = |name: &str| {
        let mut event = structured();
        event.as_object_mut().unwrap().remove(name);
        event.to_string()
    };
    let structured_json = "application/cloudevents+json";
    for (kind, body, status) in [
        (structured_json, without("type"), 400),
        (structured_json, without("source"), 400),
        (structured_json, without("id"), 400),
        (structured_json, without("specversion"), 400),
        (structured_json, structured().to_string().replace("2026-11-21T10", "yesterday"), 400),
        (structured_json, "{".to_owned(), 400),
        (structured_json, String::new(), 400),
        ("application/json", r#"{"name": "a"}"#.to_owned(), 415),
        ("application/cloudevents-batch+json", format!("[{}1]", "1,".repeat(10_000)), 413),
    ] {
        assert_eq!(post(&tally, &app, kind, body.clone()).await.as_u16(), status, "{kind}: {body:.80}");
    }
    let stranger = TestApp { ingest_key: "nobody".to_owned(), ..app.clone() };
    assert_eq!(post(&tally, &stranger, structured_json, structured().to_string()).await, StatusCode::UNAUTHORIZED);
    // A bad event of a batch loses none of the others.
    let batch = format!("[{},{},3]", structured(), without("type"));
    assert_eq!(post(&tally, &app, "application/cloudevents-batch+json", batch).await, StatusCode::NO_CONTENT);
    assert_eq!(tally.list(&app, "").await.len(), 1);
}

#[tokio::test]
async fn a_sender_that_asks_first_is_allowed() {
    let tally = Tally::start().await;
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri("/cloudevents")
        .header("webhook-request-origin", "eventemitter.example.com")
        .header("webhook-request-rate", "120");
    let (parts, _) = tally.raw(request.body(Body::empty()).unwrap()).await;
    assert_eq!(parts.status, StatusCode::OK);
    assert_eq!(parts.headers["webhook-allowed-origin"], "eventemitter.example.com");
    assert_eq!(parts.headers["webhook-allowed-rate"], "*");
}
