//! Clients of the Log Handler API: all of its document. Its paths are native paths. A client adds a credential, which
//! the original did not need, and creates its app with `clock: received`.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::SECOND;

use crate::harness::{Reply, Tally, assert_problem, at, column};

/// Asserts that a reply contains everything in the document. It may have more fields, but no other items.
#[track_caller]
fn assert_shows(reply: &Value, shown: &Value) {
    match (reply, shown) {
        (Value::Object(reply), Value::Object(shown)) => {
            for (field, shown) in shown {
                assert_shows(reply.get(field).unwrap_or_else(|| panic!("no {field} in {reply:?}")), shown);
            }
        }
        (Value::Array(reply), Value::Array(shown)) => {
            assert_eq!(reply.len(), shown.len(), "{reply:?}");
            reply.iter().zip(shown).for_each(|(reply, shown)| assert_shows(reply, shown));
        }
        _ => assert_eq!(reply, shown),
    }
}

#[tokio::test]
async fn every_example_of_its_documentation_works() {
    let mut tally = Tally::start().await;
    let token = tally.token(Role::Admin).await;
    let ask = async |tally: &Tally, method: Method, path: &str, body: &str| -> Reply {
        tally.call(method, path, ("authorization", &format!("Bearer {token}")), body.to_owned()).await
    };
    let get = async |tally: &Tally, path: &str| -> Value {
        let reply = ask(tally, Method::GET, path, "").await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.json);
        reply.json
    };

    // Applications.
    tally.clock.set(at("2026-02-10T10:00:00Z"));
    let made = ask(&tally, Method::POST, "/apps/my-app", r#"{"clock": "received"}"#).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let key = made.json["ingest_key"].as_str().expect("a key, shown once").to_owned();
    let shown = json!({"id": "my-app", "name": "my-app", "created_at": "2026-02-10T10:00:00Z"});
    assert_shows(&made.json, &shown);
    assert_shows(&get(&tally, "/apps/my-app").await, &shown);
    assert_shows(&get(&tally, "/apps/").await, &json!({"items": [shown]}));

    // Ingest: the client's time is years off, and everything goes by the server's clock all the same.
    let body = |level: &str, message: &str| {
        json!({
            "occurred_at": "2020-02-10T10:00:00Z", "level": level, "message": message, "stack": {"frames": []},
            "tags": {"env": "prod", "version": "1.2.3"},
        })
    };
    let timeout = "TimeoutError: request timed out";
    let send = async |tally: &Tally, body: &Value| {
        tally.call(Method::POST, "/apps/my-app/events", ("X-INGEST-KEY", &key), body.to_string()).await
    };
    let mut sent = Vec::new();
    for (time, level, message) in [
        ("2026-02-09T23:59:59.999999Z", "ERROR", timeout),
        ("2026-02-10T10:00:00Z", "ERROR", timeout),
        ("2026-02-10T10:30:00Z", "INFO", "started"),
        ("2026-02-10T10:59:59.999999Z", "ERROR", "ValueError"),
        ("2026-02-10T11:00:00Z", "ERROR", timeout),
        ("2026-02-10T22:05:00Z", "ERROR", timeout),
        ("2026-02-11T00:00:00Z", "INFO", "started"),
    ] {
        tally.clock.set(at(time));
        let reply = send(&tally, &body(level, message)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
        let mut shown = body(level, message);
        let occurred_at = shown.as_object_mut().unwrap().remove("occurred_at").unwrap();
        assert_shows(&reply.json, &shown);
        assert_eq!((&reply.json["timestamp"], &reply.json["received_at"]), (&occurred_at, &json!(time)));
        sent.push(reply.json);
    }
    let nobody =
        tally.call(Method::POST, "/apps/my-app/events", ("accept", "*/*"), body("INFO", "x").to_string()).await;
    assert_problem(&nobody, 401, &[]);
    assert_problem(&send(&tally, &json!({"level": "LOUD", "message": "x"})).await, 400, &["level"]);
    tally.clock.set(tally.clock.now() + 90 * SECOND);
    let token = tally.token(Role::Admin).await;
    let get = async |tally: &Tally, path: &str| -> Value {
        let header = ("authorization", format!("Bearer {token}"));
        let reply = tally.call(Method::GET, &format!("/apps/my-app{path}"), (header.0, &header.1), Body::empty()).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.json);
        reply.json
    };

    // List events: newest first, by received_at, page after page.
    let newest_first: Vec<_> = sent.iter().rev().cloned().collect();
    for (query, expected, next) in [
        ("limit=20&offset=0", &newest_first[..], json!(null)),
        ("limit=3&offset=0", &newest_first[..3], json!(3)),
        ("limit=3&offset=3", &newest_first[3..6], json!(6)),
        ("limit=3&offset=6", &newest_first[6..], json!(null)),
        ("limit=50&offset=7", &[], json!(null)),
        ("since=2026-02-10T10:30:00Z&until=2026-02-10T11:00:00Z", &newest_first[3..5], json!(null)),
        ("since=2020-02-01T00:00:00Z&until=2020-03-01T00:00:00Z", &[], json!(null)),
    ] {
        let page = get(&tally, &format!("/events?{query}")).await;
        assert_eq!((&page["items"], &page["next_offset"]), (&json!(expected), &next), "{query}");
    }
    let errors =
        get(&tally, "/events?limit=20&offset=0&level=ERROR&since=2026-02-10T00:00:00Z&until=2026-02-11T00:00:00Z");
    let expected = [5, 4, 3, 1].map(|i: usize| sent[i].clone());
    assert_eq!(errors.await["items"], json!(expected), "before anything is counted");
    tally.drain().await;
    let page =
        get(&tally, "/events?limit=2&offset=1&level=ERROR&since=2026-02-10T00:00:00Z&until=2026-02-11T00:00:00Z").await;
    assert_eq!((&page["items"], &page["next_offset"]), (&json!(expected[1..3]), &json!(3)), "and after");

    // Statistics.
    let range = "since=2026-02-10T00:00:00Z&until=2026-02-11T00:00:00Z";
    assert_shows(
        &get(&tally, &format!("/stats/timeseries?{range}&interval=HOUR&level=ERROR")).await,
        &json!({
            "interval": "HOUR",
            "since": "2026-02-10T00:00:00Z",
            "until": "2026-02-11T00:00:00Z",
            "series": [
                {"bucket_start": "2026-02-10T10:00:00Z", "count": 2},
                {"bucket_start": "2026-02-10T11:00:00Z", "count": 1},
                {"bucket_start": "2026-02-10T22:00:00Z", "count": 1},
            ],
        }),
    );
    let all = get(&tally, &format!("/stats/timeseries?{range}&interval=HOUR")).await;
    assert_eq!(column(&all["series"], "count"), [&json!(3), &json!(1), &json!(1)]);
    assert_shows(
        &get(&tally, &format!("/stats/by-level?{range}")).await,
        &json!({
            "since": "2026-02-10T00:00:00Z",
            "until": "2026-02-11T00:00:00Z",
            "items": [{"level": "ERROR", "count": 4}, {"level": "INFO", "count": 1}],
        }),
    );
    assert_shows(
        &get(&tally, &format!("/stats/top-messages?{range}&limit=10&level=ERROR")).await,
        &json!({
            "limit": 10,
            "items": [
                {"message": timeout, "count": 3, "last_seen": "2026-02-10T22:05:00Z"},
                {"message": "ValueError", "count": 1, "last_seen": "2026-02-10T10:59:59.999999Z"},
            ],
        }),
    );
}
