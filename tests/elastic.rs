//! Elasticsearch: `_bulk`, single documents, and what its clients ask at the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::faulty::Fault;
use crate::harness::{Tally, TestApp, column};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

async fn send(tally: &Tally, request: http::request::Builder, body: impl Into<Body>) -> Answer {
    let (parts, body) = tally.raw(request.body(body.into()).unwrap()).await;
    Answer { status: parts.status, headers: parts.headers, json: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

fn with_key(method: Method, path: &str, app: &TestApp) -> http::request::Builder {
    let key = format!("ApiKey {}", STANDARD.encode(format!("id:{}", app.ingest_key)));
    Request::builder().method(method).uri(path).header("authorization", key)
}

async fn bulk(tally: &Tally, app: &TestApp, path: &str, lines: &[Value]) -> Answer {
    let body = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
    let request = with_key(Method::POST, path, app)
        .header("content-type", "application/vnd.elasticsearch+x-ndjson; compatible-with=9")
        .header("accept", "application/vnd.elasticsearch+json; compatible-with=9");
    send(tally, request, body).await
}

async fn total(tally: &mut Tally, app: &TestApp) -> Value {
    tally.drain().await;
    tally.ask(app, "/reports/day?date=today").await["total"].clone()
}

fn document(message: &str) -> Value {
    json!({"@timestamp": "2026-11-21T10:08:25.123Z", "message": message})
}

#[tokio::test]
async fn a_document_becomes_an_event_under_its_index() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let document = json!({
        "@timestamp": "2026-11-21T10:08:25.123Z", "message": "payment refused", "log": {"level": "error"},
        "service": {"name": "checkout", "version": "1"}, "event": {"action": "payment"}, "user": {"id": "u1"},
        "session": {"id": "s1"}, "error": {"stack_trace": "at a\nat b", "type": "E"}, "trace": {"id": "ab"},
    });
    let answer = bulk(&tally, &app, "/es/_bulk", &[json!({"create": {"_index": "logs", "_id": "d1"}}), document]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["x-elastic-product"], "Elasticsearch");
    assert_eq!(answer.headers["content-type"], "application/vnd.elasticsearch+json; compatible-with=9");
    let created = json!({
        "_index": "logs", "_id": "d1", "_version": 1, "result": "created", "status": 201,
        "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 0, "_primary_term": 1,
    });
    assert_eq!((&answer.json["errors"], &answer.json["items"]), (&json!(false), &json!([{"create": created}])));
    let event = tally.list(&app, "").await.remove(0);
    for (name, value) in [
        ("name", json!("payment")),
        ("level", json!("ERROR")),
        ("message", json!("payment refused")),
        ("category", json!("checkout")),
        ("user_id", json!("u1")),
        ("session_id", json!("s1")),
        ("client_id", json!("logs/d1")),
        ("timestamp", json!("2026-11-21T10:08:25.123Z")),
        ("stack", json!("at a\nat b")),
        ("data", json!({"service": {"version": "1"}, "error": {"type": "E"}, "trace": {"id": "ab"}})),
        ("tags", json!({"index": "logs"})),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(total(&mut tally, &app).await, 1);
}

#[tokio::test]
async fn a_document_is_known_by_its_id_or_its_content() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let lines = [
        json!({"index": {"_id": "d1"}}),
        document("a"),
        json!({"create": {}}),
        document("b"),
        json!({"create": {}}),
        document("b"),
        json!({"create": {"_index": "other"}}),
        document("b"),
    ];
    for path in ["/es/logs/_bulk", "/es/logs/_doc/_bulk"] {
        let answer = bulk(&tally, &app, path, &lines).await;
        assert_eq!(answer.json["errors"], false, "{}", answer.json);
        let items = column(&answer.json["items"], "create");
        assert_eq!((&items[1]["_index"], &items[3]["_index"]), (&json!("logs"), &json!("other")));
    }
    assert_eq!(total(&mut tally, &app).await, 4, "two equal documents of a request are two");
    // A clock of whole seconds, and none, identify nothing.
    for document in [json!({"@timestamp": "2026-11-21T10:08:25Z", "message": "c"}), json!({"message": "c"})] {
        for _ in 0..2 {
            bulk(&tally, &app, "/es/logs/_bulk", &[json!({"create": {}}), document.clone()]).await;
        }
    }
    assert_eq!(total(&mut tally, &app).await, 8);
}

#[tokio::test]
async fn a_line_of_json_or_logfmt_in_a_document_becomes_data() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let wrapped = json!({"log": "{\"level\":\"warn\",\"msg\":\"slow\",\"took\":12}\n", "stream": "stderr"});
    bulk(&tally, &app, "/es/logs/_bulk", &[json!({"create": {}}), wrapped]).await;
    let event = tally.list(&app, "").await.remove(0);
    assert_eq!((&event["message"], &event["level"]), (&json!("slow"), &json!("WARN")));
    assert_eq!(event["data"], json!({"took": 12, "stream": "stderr"}));
}

#[tokio::test]
async fn each_item_is_answered_for_itself() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let body = [
        r#"{"create":{"_index":"logs"}}"#,
        r#"{"@timestamp":"2026-11-21T10:08:25.123Z","message":"good"}"#,
        r#"{"index":{"_index":"logs"}}"#,
        r#"{"message":"cut"#,
        r#"{"create":{"_index":"logs"}}"#,
        r#"{"@timestamp":"1969-01-01T00:00:00.5Z","message":"old"}"#,
        r#"{"update":{"_index":"logs","_id":"d1"}}"#,
        r#"{"doc":{"message":"changed"}}"#,
        r#"{"delete":{"_index":"logs","_id":"d1"}}"#,
        "",
    ]
    .join("\n");
    let answer = send(&tally, with_key(Method::POST, "/es/_bulk", &app), body.clone()).await;
    assert_eq!((answer.status, &answer.json["errors"]), (StatusCode::OK, &json!(true)));
    let statuses: Vec<_> = answer.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|item| item.as_object().unwrap())
        .map(|(action, item)| (action.as_str(), item["status"].as_u64().unwrap(), item["error"]["type"].as_str()))
        .collect();
    let bad = Some("mapper_parsing_exception");
    let expected =
        [("create", 201, None), ("index", 400, bad), ("create", 400, bad), ("update", 400, bad), ("delete", 404, None)];
    assert_eq!(statuses, expected);
    // Beats ask for a short answer.
    let path = "/es/_bulk?filter_path=errors,items.*.error,items.*.status";
    let brief = send(&tally, with_key(Method::POST, path, &app), body).await.json;
    assert_eq!(brief["items"][0], json!({"create": {"status": 201}}));
    assert_eq!(tally.list(&app, "").await.len(), 1);
    tally.context.rejections.written().await;
    let items = tally.ask(&app, "/rejected").await["items"].clone();
    let mut reasons: Vec<_> = column(&items, "reason").into_iter().map(|reason| reason.as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["invalid_time", "not_offered", "unreadable"]);
}

#[tokio::test]
async fn single_documents_are_taken() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (method, path, id) in [
        (Method::POST, "/es/logs/_doc", None),
        (Method::PUT, "/es/logs/_doc/d1", Some("d1")),
        (Method::PUT, "/es/logs/_create/d1", Some("d1")),
    ] {
        let answer = send(&tally, with_key(method, path, &app), document("a").to_string()).await;
        assert_eq!((answer.status, &answer.json["result"]), (StatusCode::CREATED, &json!("created")), "{path}");
        assert!(answer.json["_id"].as_str().is_some_and(|own| id.is_none_or(|id| own == id)));
    }
    assert_eq!(total(&mut tally, &app).await, 2);
    let answer = send(&tally, with_key(Method::POST, "/es/logs/_doc", &app), r#"["no object"]"#).await;
    assert_eq!((answer.status, &answer.json["status"]), (StatusCode::BAD_REQUEST, &json!(400)));
}

#[tokio::test]
async fn what_clients_ask_at_the_start_is_answered() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let get = |path: &'static str| with_key(Method::GET, path, &app);
    for slash in ["/es", "/es/"] {
        let answer = send(&tally, get(slash).header("user-agent", "Elastic-Filebeat/9.2.1 (linux)"), "").await;
        assert_eq!(answer.headers["x-elastic-product"], "Elasticsearch");
        assert_eq!(
            (&answer.json["version"]["number"], &answer.json["tagline"]),
            (&json!("9.2.1"), &json!("You Know, for Search"))
        );
    }
    assert_eq!(send(&tally, get("/es"), "").await.json["version"]["number"], "8.19.0");
    assert_eq!(send(&tally, get("/es/_license"), "").await.json["license"]["status"], "active");
    assert_eq!(send(&tally, get("/es/_xpack"), "").await.json["license"]["status"], "active");
    assert_eq!(send(&tally, get("/es/_cluster/health"), "").await.json["status"], "green");
    for path in ["/es/_index_template/logs", "/es/_ilm/policy/p", "/es/logs", "/es/logs/_alias/x", "/es/_template/t"] {
        for method in [Method::HEAD, Method::GET] {
            assert_eq!(send(&tally, with_key(method, path, &app), "").await.status, StatusCode::OK, "{path}");
        }
        let made = send(&tally, with_key(Method::PUT, path, &app), "{}").await.json;
        assert_eq!(made, json!({"acknowledged": true}), "{path}");
    }
    for path in ["/es/_nodes/http", "/es/_cat/indices", "/es/_search", "/es/logs/_search"] {
        let answer = send(&tally, with_key(Method::GET, path, &app), "").await;
        assert_eq!((answer.status, &answer.json["status"]), (StatusCode::NOT_FOUND, &json!(404)), "{path}");
    }
}

#[tokio::test]
async fn the_key_stands_where_clients_of_elasticsearch_put_it() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let key = &app.ingest_key;
    let encoded = |text: String| STANDARD.encode(text);
    for header in [
        format!("ApiKey {}", encoded(format!("id:{key}"))),
        format!("ApiKey {}", encoded(format!("{key}:secret"))),
        format!("apikey {key}"),
        format!("Bearer {key}"),
        format!("Basic {}", encoded(format!("elastic:{key}"))),
    ] {
        let request = Request::get("/es").header("authorization", &header);
        assert_eq!(send(&tally, request, "").await.status, StatusCode::OK, "{header}");
    }
    assert_eq!(send(&tally, Request::get(format!("/k/{key}/es")), "").await.status, StatusCode::OK);
    for (request, status) in [
        (Request::get("/es"), 401),
        (Request::get("/es").header("authorization", format!("ApiKey {}", encoded("id:secret".to_owned()))), 401),
        (Request::get("/es").header("authorization", format!("ApiKey {}", app.read_key)), 403),
    ] {
        let answer = send(&tally, request, "").await;
        assert_eq!((answer.status.as_u16(), &answer.json["error"]["type"]), (status, &json!("security_exception")));
        assert_eq!(answer.headers["x-elastic-product"], "Elasticsearch");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_as_a_whole() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for body in ["", "no json\n", "{\"create\":{}}\n", "{\"make\":{}}\n{}\n", "[]\n"] {
        let answer = send(&tally, with_key(Method::POST, "/es/logs/_bulk", &app), body).await;
        assert_eq!((answer.status, &answer.json["status"]), (StatusCode::BAD_REQUEST, &json!(400)), "{body}");
        assert_eq!(answer.json["error"]["root_cause"][0]["type"], "illegal_argument_exception");
    }
    let many = "{\"create\":{}}\n{\"message\":\"a\"}\n".repeat(20_001);
    let answer = send(&tally, with_key(Method::POST, "/es/logs/_bulk", &app), many).await;
    assert_eq!((answer.status, &answer.json["status"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!(413)));
}

/// Actions and documents whose messages are these.
fn of_messages(messages: &[&str]) -> Vec<Value> {
    messages.iter().flat_map(|message| [json!({"create": {}}), document(message)]).collect()
}

#[tokio::test]
async fn what_the_store_does_not_take_is_to_be_sent_again() {
    let open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&open);
    let mut tally = Tally::failing(move |operation, body| {
        let is_closed = body.to_string().contains("\"n30\"") && !opened.load(Ordering::SeqCst);
        if operation == "BatchWriteItem" && is_closed { Fault::throttled() } else { Fault::None }
    })
    .await;
    let app = tally.app("shop").await;
    let names: Vec<_> = (0..60).map(|n| format!("n{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let answer = bulk(&tally, &app, "/es/logs/_bulk", &of_messages(&names)).await;
    assert_eq!((answer.status, &answer.json["errors"]), (StatusCode::OK, &json!(true)));
    let items = column(&answer.json["items"], "create");
    let failed: Vec<_> =
        names.iter().zip(items).filter(|(_, item)| item["status"] == 429).map(|(name, _)| *name).collect();
    assert!(failed.contains(&"n30") && failed.len() < 60, "{failed:?}");
    // A twin that is sent alone would be the one that is stored, so the whole request comes again.
    let twins = [names.clone(), vec!["n30"]].concat();
    let answer = bulk(&tally, &app, "/es/logs/_bulk", &of_messages(&twins)).await;
    assert_eq!(
        (answer.status, &answer.headers["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    open.store(true, Ordering::SeqCst);
    for again in [failed, twins] {
        assert_eq!(bulk(&tally, &app, "/es/logs/_bulk", &of_messages(&again)).await.json["errors"], false);
    }
    assert_eq!(total(&mut tally, &app).await, 61);
}
