//! Exports: whole events that import again as the same events, and tables for spreadsheets.

use std::collections::BTreeSet;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tally_core::app::EventClock;
use tally_core::app::role::Role;
use tally_core::time::{DAY, HOUR, MINUTE};

use crate::harness::{NOW, Reply, Tally, TestApp, assert_problem, at};

/// A page of an export.
struct Page {
    headers: HeaderMap,
    text: String,
    /// The path of the next page.
    next: Option<String>,
}

async fn page(tally: &Tally, app: &TestApp, path: &str) -> Page {
    let request = Request::get(path).header("x-read-key", &app.read_key).body(Body::empty()).unwrap();
    let (parts, body) = tally.raw(request).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(parts.status, StatusCode::OK, "{path}: {text}");
    let next = parts.headers.get("link").map(|link| {
        let link = link.to_str().unwrap().strip_suffix(">; rel=\"next\"").expect("the next page");
        link.split_once(&format!("/apps/{}/", app.slug)).map(|(_, rest)| format!("/apps/{}/{rest}", app.slug)).unwrap()
    });
    Page { headers: parts.headers, text, next }
}

/// The texts of all pages.
async fn pages(tally: &Tally, app: &TestApp, query: &str) -> Vec<String> {
    let mut texts = vec![];
    let mut next = Some(format!("/apps/{}/export{query}", app.slug));
    while let Some(path) = next {
        assert!(texts.len() < 1_000, "it has no end");
        let page = page(tally, app, &path).await;
        texts.push(page.text);
        next = page.next;
    }
    texts
}

async fn whole(tally: &Tally, app: &TestApp, query: &str) -> String {
    pages(tally, app, query).await.concat()
}

async fn send_lines(tally: &Tally, app: &TestApp, header: (&str, &str), lines: &str) -> Reply {
    let request = Request::post(format!("/apps/{}/events", app.slug))
        .header("content-type", "application/x-ndjson")
        .header(header.0, header.1);
    tally.send(request.body(Body::from(lines.to_owned())).unwrap()).await
}

/// Sends lines as an admin, 500 at once, as the importer does.
async fn import(tally: &Tally, app: &TestApp, lines: &str) {
    let token = tally.token(Role::Admin).await;
    let lines: Vec<_> = lines.lines().collect();
    for some in lines.chunks(500) {
        let reply = send_lines(tally, app, ("x-access-token", &token), &some.join("\n")).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
        assert_eq!(reply.json["accepted"], some.len());
    }
}

/// Events of all kinds: of each interface, with every field, and with what is hard to write.
async fn fill(tally: &Tally, app: &TestApp) {
    // As text, since no float has all of its digits.
    let all = r#"{"id": "mine-1", "timestamp": "2026-11-20T08:00:00.123456Z", "name": "order placed", "slug": "order",
        "category": "shop", "level": "WARN", "message": "a \"quoted\" line\nand another, 日本", "session_id": "s-1", "user_id": "ann",
        "fingerprint": "fp", "count": 3, "data": {"amount": 12345678901234567890.12345, "e": 1e100, "deep": [1, {"a.b": null}]},
        "tags": {"host": "web-1"}, "stack": [{"function": "f", "lineno": 1}]}"#;
    let path = format!("/apps/{}/events", app.slug);
    let reply = tally.call(Method::POST, &path, ("x-ingest-key", &app.ingest_key), all).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
    tally.accept(app, &json!({"name": "$identify", "user_id": "ann", "data": {"anonymous_id": "anon-1"}})).await;
    tally.accept(app, &json!({"message": "a log"})).await;
    tally.accept(app, &json!({"name": "ulid", "id": "01KAHVM1R0000000000000000A"})).await;
    for n in 0..40 {
        tally.clock.set(tally.clock.now() + MINUTE);
        let many: Vec<_> = (0..30)
            .map(|i| {
                json!({"name": format!("n{}", i % 7), "level": "INFO", "id": format!("{n}-{i}"),
                "timestamp": (at(NOW) - 3 * HOUR + i64::from(n) * MINUTE).to_string(), "data": {"i": i}})
            })
            .collect();
        tally.accept(app, &json!(many)).await;
    }
    // A family, whose events have another id of the user that is not in their data.
    let alias = json!({"type": "alias", "previousId": "anon-2", "userId": "bob", "messageId": "m1", "timestamp": "2026-11-21T09:00:00.000Z"});
    let key = STANDARD.encode(format!("{}:", app.ingest_key));
    let request = Request::post("/v1/alias").header("authorization", format!("Basic {key}"));
    let reply = tally.send(request.body(Body::from(alias.to_string())).unwrap()).await;
    assert!(reply.status.is_success(), "{}", reply.json);
}

#[tokio::test]
async fn an_export_imports_as_the_same_events_into_another_tally() {
    for clock in ["event", "received"] {
        let mut one = Tally::start().await;
        let app = if clock == "event" { one.app("shop").await } else { one.received_app("shop").await };
        fill(&one, &app).await;
        let exported = whole(&one, &app, "?limit=100").await;
        let lines = exported.lines().count();
        assert_eq!(lines, 5 + 1_200, "{clock}");
        assert!(exported.contains("\"alias\":\"anon-2\"") && !exported.contains("\"app\""));
        assert!(exported.contains("12345678901234567890.12345"), "numbers keep their digits");

        // Another app of another name, with other shards, some days later.
        let mut other = Tally::start().await;
        other.clock.set(other.clock.now() + 3 * DAY);
        let clock_of_copy = if clock == "event" { EventClock::Event } else { EventClock::Received };
        let new = admin::NewApp {
            name: "copy".to_owned(),
            clock: clock_of_copy,
            shards: Some(3),
            ..admin::NewApp::default()
        };
        let copy = other.app_with(new).await;
        for _ in 0..2 {
            import(&other, &copy, &exported).await;
        }
        assert_eq!(whole(&other, &copy, "").await, exported, "{clock}");
        for (tally, app) in [(&mut one, &app), (&mut other, &copy)] {
            tally.drain().await;
            assert_eq!(tally.recounted(app, "audit").await, (vec![], true), "{clock}");
        }
        let totals = async |tally: &Tally, app| tally.ask(app, "/stats/totals").await["items"].clone();
        assert_eq!(totals(&one, &app).await, totals(&other, &copy).await);
    }
}

#[tokio::test]
async fn only_admins_may_say_when_an_event_was_accepted() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "a"})).await;
    let exported = whole(&tally, &app, "").await;
    let copy = tally.app("copy").await;
    let refused = send_lines(&tally, &copy, ("x-ingest-key", &copy.ingest_key), &exported).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.json["errors"].to_string().contains("only an admin"), "{}", refused.json);
    let script = Request::post(format!("/collect?key={}", copy.ingest_key)).body(Body::from(exported.clone())).unwrap();
    assert_eq!(tally.send(script).await.json["rejected"], 1);
    assert_eq!(whole(&tally, &copy, "").await, "");
    // What is exported of one app alone says so.
    let admin = tally.token(Role::Admin).await;
    for (change, field) in [
        (json!({"id": "mine"}), "id"),
        (json!({"timestamp": "2026-11-20T00:00:00Z"}), "id"),
        (json!({"timestamp": null}), "timestamp"),
        (json!({"received_at": "2027-01-01"}), "received_at"),
        (json!({"received_at": "soon"}), "received_at"),
        (json!({"name": ""}), "name"),
    ] {
        let mut line: Value = serde_json::from_str(&exported).unwrap();
        line.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = send_lines(&tally, &copy, ("x-access-token", &admin), &line.to_string()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{line}");
        assert!(reply.json["errors"].to_string().contains(&format!(".{field}\"")), "{}", reply.json);
    }
    // An admin's own event has the server's time.
    let sent =
        tally.call(Method::POST, "/apps/copy/events", ("x-access-token", &admin), json!({"name": "b"}).to_string());
    let sent = sent.await;
    assert_eq!((&sent.json["received_at"], sent.status.as_u16()), (&json!(NOW), 201));
    // One event alone, as a list of events has it.
    let listed = &tally.list(&app, "").await[0];
    let sent = tally.call(Method::POST, "/apps/copy/events", ("x-access-token", &admin), listed.to_string()).await;
    assert_eq!((sent.status.as_u16(), &sent.json["id"]), (201, &listed["id"]), "{}", sent.json);
}

#[tokio::test]
async fn pages_are_small_and_follow_each_other() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    // 12 MB of quotes, which a reply of text would escape once more.
    let many: Vec<_> = (0..150)
        .map(|i| {
            json!({"name": "a", "id": i.to_string(), "timestamp": (at(NOW) - i64::from(i) * MINUTE).to_string(),
            "data": {"t": "\"".repeat(40_000)}})
        })
        .collect();
    for some in many.chunks(20) {
        tally.accept(&app, &json!(some)).await;
    }
    for (query, most_lines) in [("", 150), ("?format=csv", 151), ("?fields=name,data.t", 150)] {
        let pages = pages(&tally, &app, query).await;
        assert!(pages.len() > 2, "{query}: {} pages", pages.len());
        assert!(pages.iter().all(|page| page.len() <= 4 * 1024 * 1024), "{query}");
        assert!(pages[..pages.len() - 1].iter().all(|page| page.len() > 3 * 1024 * 1024), "{query}");
        assert_eq!(pages.concat().lines().count(), most_lines, "{query}");
    }
    // On Lambda it is base64.
    let event = json!({
        "version": "2.0", "routeKey": "GET /apps/{app}/export", "rawPath": "/apps/shop/export", "rawQueryString": "format=csv",
        "headers": {"host": "tally.example", "x-read-key": app.read_key}, "isBase64Encoded": false,
        "requestContext": {"http": {"method": "GET", "path": "/apps/shop/export", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
            "userAgent": "test"}, "requestId": "r", "routeKey": "GET /apps/{app}/export", "stage": "$default", "timeEpoch": 0,
            "accountId": "1", "apiId": "api", "domainName": "tally.example", "domainPrefix": "tally", "time": ""},
    });
    let reply = tally.on_lambda(event).await;
    assert_eq!((&reply["statusCode"], &reply["isBase64Encoded"]), (&json!(200), &json!(true)));
    let body = STANDARD.decode(reply["body"].as_str().unwrap()).unwrap();
    assert!(body.len() <= 4 * 1024 * 1024 && body.starts_with(b"id,timestamp,name"));
    assert!(reply.to_string().len() <= 6_291_556);
}

#[tokio::test]
async fn a_page_that_the_budget_ends_leads_on() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for n in 0..8 {
        let many: Vec<_> = (0..500)
            .map(|i| {
                json!({"name": "a", "id": format!("{n}-{i}"), "timestamp": (at(NOW) - i64::from(n) * HOUR).to_string(),
                "user_id": if n == 0 && i == 0 { "ann" } else { "bob" }, "data": {"t": "x".repeat(300)}})
            })
            .collect();
        tally.accept(&app, &json!(many)).await;
    }
    let (mut path, mut found, mut count) = ("/apps/shop/export?user_id=ann".to_owned(), 0, 0);
    loop {
        let request = Request::get(&path).header("x-read-key", &app.read_key).body(Body::empty()).unwrap();
        let reply = tally.send_with_budget(20.0, request).await;
        assert_eq!(reply.status, StatusCode::OK);
        let length: usize = reply.headers["content-length"].to_str().unwrap().parse().unwrap();
        (found, count) = (found + usize::from(length > 0), count + 1);
        let Some(link) = reply.headers.get("link") else { break };
        let (_, rest) = link.to_str().unwrap().split_once("/apps/").unwrap();
        path = format!("/apps/{}", rest.split('>').next().unwrap());
        assert!(count < 100, "it has no end");
    }
    assert!(count > 3 && found == 1, "{found} in {count} pages");
}

#[tokio::test]
async fn a_table_has_a_header_once_and_no_formula() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (n, (name, user)) in [("=1+1", "ann"), ("plain, \"quoted\"", "-2"), ("@SUM(A1)", "+49 30"), ("two\nlines", "")]
        .into_iter()
        .enumerate()
    {
        tally
            .accept(&app, &json!({"name": name, "user_id": user, "id": n.to_string(), "timestamp": (at(NOW) - HOUR + i64::try_from(n).unwrap() * MINUTE).to_string(),
                "level": "INFO", "count": 2, "data": {"n": -5, "t": "-5", "f": "-5+5", "a.b": [1, "x"]}, "tags": {"host": "=web"}}))
            .await;
    }
    let texts = pages(
        &tally,
        &app,
        "?format=csv&limit=2&fields=name,user_id,level,count,data.n,data.t,data.f,data.a.b,data.none,tags.host",
    )
    .await;
    assert_eq!(
        texts.concat(),
        "name,user_id,level,count,data.n,data.t,data.f,data.a.b,data.none,tags.host\r\n\
         '=1+1,ann,INFO,2,-5,-5,'-5+5,\"[1,\"\"x\"\"]\",,'=web\r\n\
         \"plain, \"\"quoted\"\"\",-2,INFO,2,-5,-5,'-5+5,\"[1,\"\"x\"\"]\",,'=web\r\n\
         '@SUM(A1),'+49 30,INFO,2,-5,-5,'-5+5,\"[1,\"\"x\"\"]\",,'=web\r\n\
         \"two\nlines\",,INFO,2,-5,-5,'-5+5,\"[1,\"\"x\"\"]\",,'=web\r\n"
    );
    let first = page(&tally, &app, "/apps/shop/export?format=csv&limit=1").await;
    assert_eq!(first.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert_eq!(first.headers["content-disposition"], "attachment; filename=\"events.csv\"; filename*=UTF-8''shop.csv");
    assert!(first.text.starts_with("id,timestamp,name,category,level,message,session_id,user_id,count,data,tags\r\n"));
    let second = page(&tally, &app, &first.next.unwrap()).await;
    assert_eq!(second.headers["content-type"], "text/csv; charset=utf-8; header=absent");
    assert_eq!(second.text.lines().count(), 1);
}

#[tokio::test]
async fn fields_filters_and_times_select() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    fill(&tally, &app).await;
    tally.drain().await;
    let lines = whole(&tally, &app, "?fields=name,data.deep.0,data.amount,tags.host&category=shop").await;
    assert_eq!(
        lines,
        "{\"name\":\"order placed\",\"data.deep.0\":1,\"data.amount\":12345678901234567890.12345,\"tags.host\":\"web-1\"}\n"
    );
    let names = |text: &str| -> BTreeSet<String> {
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned();
        text.lines().map(line).collect()
    };
    assert_eq!(names(&whole(&tally, &app, "?name=n1&name=n2&limit=50").await), ["n1", "n2"].map(str::to_owned).into());
    assert_eq!(whole(&tally, &app, "?attr.i=3&name=n3").await.lines().count(), 40);
    assert_eq!(whole(&tally, &app, "?date=2026-11-20").await.lines().count(), 1);
    let ids = |text: &str| {
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let exported = ids(&whole(&tally, &app, "?limit=100").await);
    assert!(exported.is_sorted() && exported.len() == 1_205, "{}", exported.len());
    for (query, field) in [
        ("format=xml", "format"),
        ("fields=nothing", "fields"),
        ("fields=data.", "fields"),
        ("fields=name,name", "fields"),
        ("fields=", "fields"),
        ("order=desc", "order"),
        ("offset=1", "offset"),
        ("limit=10001", "limit"),
        ("cursor=x", "cursor"),
    ] {
        let reply = tally.get(&app, &format!("/export?{query}")).await;
        assert_problem(&reply, 400, &[field]);
    }
    let many = (0..51).map(|n| format!("data.f{n}")).collect::<Vec<_>>().join(",");
    assert_problem(&tally.get(&app, &format!("/export?fields={many}")).await, 400, &["fields"]);
}
