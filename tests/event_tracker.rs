//! Event Tracker's clients: every example of its document and what Tally promises beyond it.

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Reply, Tally, TestApp, at};

/// A client of Event Tracker: it knows its base URL.
struct Client<'a> {
    tally: &'a Tally,
    base: String,
}

impl<'a> Client<'a> {
    async fn of(tally: &'a Tally, app: &TestApp) -> Self {
        Self { tally, base: format!("/event-tracker/{}", tally.key_for_both(app).await) }
    }

    async fn post(&self, path: &str) -> Reply {
        let path = format!("{}/api/events/{path}", self.base);
        self.tally.call(Method::POST, &path, ("accept", "*/*"), "").await
    }

    /// Counts something that must be accepted.
    async fn count(&self, path: &str) {
        let reply = self.post(path).await;
        assert_eq!(
            (reply.status, &reply.json),
            (StatusCode::CREATED, &json!({"status": true, "response": 201})),
            "{path}"
        );
    }

    async fn get(&self, path: &str) -> Reply {
        let path = format!("{}/api/events{path}", self.base);
        self.tally.call(Method::GET, &path, ("accept", "*/*"), "").await
    }

    /// The `response` of a request that must succeed.
    async fn ask(&self, path: &str) -> Value {
        let reply = self.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.json);
        assert_eq!(reply.json["status"], true);
        assert_eq!(reply.json.as_object().unwrap().len(), 2, "{}", reply.json);
        reply.json["response"].clone()
    }

    /// A histogram in the form that `Accept` requests.
    async fn histogram(&self, path: &str, accept: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let path = format!("{}/api/events/histogram/{path}", self.base);
        let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
        let (parts, body) = self.tally.raw(request).await;
        (parts.status, parts.headers, body)
    }
}

/// Asserts an error in Event Tracker's envelope.
#[track_caller]
fn assert_refused(reply: &Reply, status: u16, response: &Value, internal: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.json);
    assert_eq!(reply.headers["content-type"], "application/json");
    let error = reply.json["error"].clone();
    assert_eq!(reply.json, json!({"status": false, "response": response, "error": error}));
    assert_eq!(error.as_object().unwrap().len(), 2);
    assert!(error["internal"].as_str().unwrap().contains(internal), "{error}");
    assert!(error["external"].as_str().unwrap().len() > 10, "{error}");
}

#[tokio::test]
async fn the_documented_examples_work() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    for (time, counts) in [
        ("2020-09-11T12:59:59.999999Z", &["login/12", "resource/209/1"][..]),
        ("2020-09-11T13:00:00Z", &["login/2000", "resource/209/203"]),
        ("2020-09-11T14:30:00Z", &["login/5399", "login", "resource/209/33"]),
        // Beside the document's hours.
        ("2020-09-11T11:59:59.999999Z", &["login/60"]),
        ("2020-09-12T00:00:00Z", &["login/40"]),
    ] {
        tally.clock.set(at(time));
        let client = Client { tally: &tally, base: base.clone() };
        for count in counts {
            client.count(count).await;
        }
        tally.drain().await;
    }
    let client = Client { tally: &tally, base: base.clone() };
    let expected = json!({
        "status": true,
        "response": [
            [{"date": "2020091112", "event": "login", "count": 12}],
            [{"date": "2020091113", "event": "login", "count": 2000}],
            [{"date": "2020091114", "event": "login", "count": 5400}],
            [{"date": "2020091112", "event": "resource/209", "count": 1}],
            [{"date": "2020091113", "event": "resource/209", "count": 203}],
            [{"date": "2020091114", "event": "resource/209", "count": 33}],
        ],
    });
    for query in ["?start_date=2020091112&end_date=20200911", "/?start_date=2020091112&end_date=20200911"] {
        let reply = client.get(query).await;
        assert_eq!((reply.status, &reply.json), (StatusCode::OK, &expected), "{query}");
    }
    let expected = json!({
        "status": true,
        "response": [[{"event": "login", "count": 7512}], [{"event": "resource/209", "count": 237}]],
    });
    for path in ["/unique", "/unique/"] {
        let reply = client.get(path).await;
        assert_eq!((reply.status, &reply.json), (StatusCode::OK, &expected), "{path}");
    }
    let (status, headers, picture) = client.histogram("login/20200911", "*/*").await;
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"image/png".parse().unwrap()));
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 1_000);

    // The native API sees the same, and what it is sent is seen here.
    let native = tally.ask(&app, "/stats/hours?since=2020-09-11T12:00:00Z&until=2020-09-12&name=resource/209").await;
    assert_eq!(native["items"].as_array().unwrap().len(), 3);
    assert_eq!(tally.ask(&app, "/reports/day?date=2020-09-11&name=login").await["total"], 7_472);
    assert_eq!(tally.list(&app, "name=login&order=asc").await[0]["count"], 60);
    tally
        .accept(
            &app,
            &json!([
                {"name": "login", "slug": "another", "count": 8, "level": "INFO", "timestamp": "2020-09-11T12:00:00Z"},
                {"message": "disk full", "timestamp": "2020-09-11T12:30:00Z"},
            ]),
        )
        .await;
    tally.drain().await;
    let client = Client { tally: &tally, base };
    let hour = client.ask("?start_date=2020091112&end_date=2020091112").await;
    let expected = json!([
        [{"date": "2020091112", "event": "log", "count": 1}],
        [{"date": "2020091112", "event": "login", "count": 20}],
        [{"date": "2020091112", "event": "resource/209", "count": 1}],
    ]);
    assert_eq!(hour, expected, "a name is one, whatever its slugs and levels");
    assert_eq!(client.ask("/unique").await[0], json!([{"event": "login", "count": 7_520}]));
}

#[tokio::test]
async fn a_name_may_contain_anything_but_end_in_a_number() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    let client = Client { tally: &tally, base: base.clone() };
    for path in [
        "login/",
        "login/2/",
        "resource/209/1",
        "resource%2F209%2F2",
        "resource/209",
        "404",
        "404/4",
        "unique",
        "histogram/x/20200911x",
        "what%3F%23%20%25",
        "caf%C3%A9/1000000000",
        "login?desc=a%20log-in&desc=b",
    ] {
        client.count(path).await;
    }
    // A body says nothing.
    let reply =
        tally.call(Method::POST, &format!("{base}/api/events/login"), ("content-type", "text/plain"), "desc=x").await;
    assert_eq!(reply.status, StatusCode::CREATED);
    tally.drain().await;
    let client = Client { tally: &tally, base };
    let all = client.ask("/unique").await;
    let mut counts: Vec<_> =
        all.as_array().unwrap().iter().map(|row| format!("{} {}", row[0]["event"], row[0]["count"])).collect();
    counts.sort();
    assert_eq!(
        counts,
        [
            r#""404" 5"#,
            r#""café" 1000000000"#,
            r#""histogram/x/20200911x" 1"#,
            r#""login" 5"#,
            r#""resource" 209"#,
            r#""resource/209" 3"#,
            r#""unique" 1"#,
            r#""what?# %" 1"#,
        ]
    );
}

#[tokio::test]
async fn uncountable_requests_get_an_error_in_the_envelope() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let client = Client::of(&tally, &app).await;
    assert_refused(&client.post(&"x".repeat(257)).await, 400, &json!(403), "`name`");
    for number in ["0", "1000000001", "99999999999999999999"] {
        assert_refused(&client.post(&format!("login/{number}")).await, 400, &json!(404), "`count`");
    }
    let base = |key: &str| format!("/event-tracker/{key}/api/events");
    let both = client.base.trim_start_matches("/event-tracker/");
    for (method, path, status, response) in [
        (Method::POST, format!("{}/login", base("none")), 401, json!(403)),
        (Method::POST, format!("{}/login/3", base(&app.read_key)), 403, json!(404)),
        (Method::POST, format!("{}/404", base(&app.read_key)), 403, json!(403)),
        (Method::GET, format!("{}?start_date=20200911&end_date=20200911", base(&app.ingest_key)), 403, Value::Null),
        (Method::GET, format!("{}/login", base(both)), 404, Value::Null),
        (Method::GET, format!("{}/histogram/20200911", base(both)), 404, Value::Null),
        (Method::POST, base(both), 405, json!(403)),
        (Method::PATCH, format!("{}/login", base(both)), 405, Value::Null),
        (Method::GET, format!("/event-tracker/{both}/api/nothing"), 404, Value::Null),
    ] {
        let reply = tally.call(method, &path, ("accept", "*/*"), "").await;
        assert_refused(&reply, status, &response, "");
    }
    // Lists and counts are of one function each, pictures of a third.
    for path in ["/login", "/unique", "/histogram/login/20200911"] {
        let path = format!("{}{path}", base(both));
        let reply = tally.call(Method::DELETE, &path, ("accept", "*/*"), "").await;
        assert_refused(&reply, 405, &Value::Null, "GET, HEAD, POST");
        assert_eq!(reply.headers["allow"], "GET, HEAD, POST", "{path}");
    }
    assert_refused(&client.get("/histogram/login").await, 404, &Value::Null, "events/histogram/EVENT/YYYYMMDD");
    assert!(tally.list(&app, "").await.is_empty(), "nothing of it was stored");
}

#[tokio::test]
async fn a_list_accepts_days_and_hours_at_both_ends() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    let hours = [
        "2026-11-19T23:00:00Z",
        "2026-11-20T00:00:00Z",
        "2026-11-20T06:59:59.999999Z",
        "2026-11-20T23:30:00Z",
        "2026-11-21T00:00:00Z",
    ];
    let events: Vec<_> = hours.iter().map(|at| json!({"name": "login", "timestamp": at})).collect();
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;
    let client = Client { tally: &tally, base };
    for (start, end, held) in [
        ("2026112000", "20261120", 1..4),
        ("20261120", "20261120", 1..4),
        ("2026112001", "2026112006", 2..3),
        ("2026112007", "2026112022", 3..3),
        ("20261119", "20261121", 0..5),
        // Too many hours to look through, were they not narrowed to those that have events.
        ("19700101", "99991229", 0..5),
    ] {
        let rows = client.ask(&format!("?start_date={start}&end_date={end}&color=red")).await;
        let expected: Vec<_> = hours[held].iter().map(|at| at[..13].replace(['-', 'T'], "")).collect();
        let dates: Vec<_> =
            rows.as_array().unwrap().iter().map(|row| row[0]["date"].as_str().unwrap().to_owned()).collect();
        assert_eq!(dates, expected, "{start} {end}");
    }
    for (query, field) in [
        ("", "`start_date`"),
        ("?start_date=20261120", "`end_date`"),
        ("?start_date=2026-11-20&end_date=20261120", "`start_date`"),
        ("?start_date=2026112024&end_date=20261120", "`start_date`"),
        ("?start_date=2026112000&end_date=20261131", "`end_date`"),
        ("?start_date=2026112100&end_date=20261120", "`start_date`"),
    ] {
        assert_refused(&client.get(query).await, 400, &Value::Null, field);
    }
}

#[tokio::test]
async fn a_histogram_has_the_format_that_accept_prefers() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let base = Client::of(&tally, &app).await.base;
    tally.accept(&app, &json!({"name": "resource/209", "count": 7, "timestamp": "2026-11-20T06:30:00Z"})).await;
    tally.drain().await;
    let client = Client { tally: &tally, base };
    for path in ["resource/209/20261120", "resource%2F209/20261120/"] {
        let (status, headers, body) = client.histogram(path, "image/jpeg, image/png;q=0.5").await;
        assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"image/jpeg".parse().unwrap()));
        assert!(body.starts_with(b"\xff\xd8"), "{path}");
        let vary: Vec<_> = headers.get_all("vary").iter().collect();
        assert!(vary.contains(&&"accept".parse().unwrap()), "{vary:?}");
    }
    let (_, headers, body) = client.histogram("resource/209/20261120", "application/json").await;
    assert_eq!(headers["content-type"], "application/json");
    let numbers: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(numbers["status"], true);
    let native = tally.ask(&app, "/histogram/resource/209/20261120.json").await;
    assert_eq!(numbers["response"], native, "the numbers of the native one");
    assert_eq!((&native["total"], &native["series"][6]["count"]), (&json!(7), &json!(7)));
    // It is kept, and asked for again, as the native one.
    let path = format!("{}/api/events/histogram/resource/209/20261120", client.base);
    let again = Request::get(path).header("accept", "application/json").header("if-none-match", &headers["etag"]);
    assert_eq!(tally.raw(again.body(Body::empty()).unwrap()).await.0.status, StatusCode::NOT_MODIFIED);
    let (_, png, _) = client.histogram("resource/209/20261120", "image/png").await;
    assert_ne!(png["etag"], headers["etag"]);
    for wrong in ["/histogram/login/2026113", "/histogram/login/20261131", "/histogram/login/19691231"] {
        assert_refused(&client.get(wrong).await, 400, &Value::Null, "`date`");
    }
}
