//! Requests as HTTP API gives them to a function, and what it gets back. Clients decide what is in them.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_http::routes::{ROUTES, Route};

use crate::harness::{Tally, TestApp};

/// A request as HTTP API hands it over, without credentials.
fn event(method: &str, path: &str, query: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "tally.example", "x-forwarded-proto": "https"},
        "requestContext": {
            "stage": "$default",
            "domainName": "tally.example",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
        },
        "isBase64Encoded": false,
    })
}

fn with_key(mut event: Value, app: &TestApp) -> Value {
    let (header, key) = match event["requestContext"]["http"]["method"].as_str() {
        Some("POST") => ("x-ingest-key", &app.ingest_key),
        _ => ("x-read-key", &app.read_key),
    };
    event["headers"][header] = json!(key);
    event
}

fn body(reply: &Value) -> Value {
    serde_json::from_str(reply["body"].as_str().unwrap()).unwrap_or(Value::Null)
}

#[track_caller]
fn assert_problem(reply: &Value, status: u16) {
    assert_eq!(reply["statusCode"], status, "{reply}");
    assert_eq!(reply["headers"]["content-type"], "application/problem+json");
    assert_eq!(body(reply)["status"], status);
}

#[tokio::test]
async fn whatever_stands_in_a_url_or_a_header_is_answered() {
    let tally = Tally::start().await;
    for odd in
        ["<", ">", "\"", " ", "\\", "^", "`", "{", "}", "|", "\u{0}", "\r\n", "\u{7f}", "é", "%", "%zz", "#", "[", "//"]
    {
        let reply = tally.on_lambda(event("GET", &format!("/nothing/{odd}x"), "")).await;
        assert_problem(&reply, 404);
        let reply = tally.on_lambda(event("GET", "/", &format!("a{odd}=b{odd}"))).await;
        assert_problem(&reply, 400);
        for header in ["host", "x-forwarded-proto", "cookie", "user-agent", "x-forwarded-prefix"] {
            let mut event = event("GET", "/", "");
            event["headers"][header] = json!(format!("a{odd}b"));
            let reply = tally.on_lambda(event).await;
            assert_eq!(reply["statusCode"], 200, "{header}: {odd:?}: {reply}");
        }
        let mut event = event("GET", "/", "");
        event["headers"][format!("x-{odd}")] = json!("value");
        event["requestContext"]["domainName"] = json!(odd);
        event["requestContext"]["stage"] = json!(odd);
        assert_eq!(tally.on_lambda(event).await["statusCode"], 200, "{odd:?}");
    }
    for host in ["", ":", "a:b:c", "[::1", "a b", "http://x", "tally.example:99999", "@", "é.example"] {
        let mut event = event("GET", "/apps/shop/events/", "");
        event["headers"]["host"] = json!(host);
        assert_eq!(tally.on_lambda(event).await["statusCode"], 308, "{host}");
    }
    // What may be absent.
    let bare = json!({"requestContext": {"http": {"method": "GET"}}});
    assert_eq!(body(&tally.on_lambda(bare).await)["name"], "tally");
    let nulls = json!({"requestContext": {"http": {"method": "GET", "path": null, "sourceIp": null}}, "rawPath": null,
        "rawQueryString": null, "headers": null, "cookies": null, "pathParameters": null, "body": null});
    assert_eq!(body(&tally.on_lambda(nulls).await)["name"], "tally");
    let mut wrong = event("POST", "/auth", "");
    wrong["body"] = json!("!");
    wrong["isBase64Encoded"] = json!(true);
    assert_problem(&tally.on_lambda(wrong).await, 400);
    assert_problem(&tally.on_lambda(event("B LAH", "/", "")).await, 400);
}

#[tokio::test]
async fn what_was_sent_arrives() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut send = with_key(event("POST", "/apps/shop/events", ""), &app);
    send["body"] = json!(r#"{"name": "a/b <é>", "user_id": "zoë & co"}"#);
    assert_eq!(tally.on_lambda(send.clone()).await["statusCode"], 201);
    send["body"] = json!("eyJuYW1lIjogImJpbmFyeSJ9");
    send["isBase64Encoded"] = json!(true);
    assert_eq!(body(&tally.on_lambda(send).await)["name"], "binary");
    for query in [
        "user_id=zo%C3%AB%20%26%20co",
        "user_id=zo%C3%AB+%26+co",
        "user_id=zoë%20%26%20co",
        "name=a/b%20<é>",
        "name=a/b <é>",
    ] {
        let list = with_key(event("GET", "/apps/shop/events", &format!("{query}&consistent=true")), &app);
        assert_eq!(body(&tally.on_lambda(list).await)["items"][0]["name"], "a/b <é>", "{query}");
    }
    for name in ["what?", "a#b", "<b> \"c\"", "100%", "zoë", "%41", "a+b"] {
        let mut count = with_key(event("POST", &format!("/apps/shop/count/{name}"), ""), &app);
        assert_eq!(body(&tally.on_lambda(count.clone()).await)["name"], name);
        count["pathParameters"] = json!({"app": "shop", "name": name});
        assert_eq!(body(&tally.on_lambda(count).await)["name"], name);
    }
    // The source of a request is the address that API Gateway saw.
    let mut count = with_key(event("POST", "/apps/shop/count/login", ""), &app);
    count["headers"]["x-forwarded-for"] = json!("203.0.113.9");
    let reply = tally.on_lambda(count).await;
    assert_eq!(reply["statusCode"], 201);
    assert_eq!(reply["headers"]["x-request-id"], "request");
}

#[tokio::test]
async fn a_path_that_was_cut_at_a_question_mark_is_refused() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let mut cut = with_key(event("POST", "/apps/shop/count/what", ""), &app);
    cut["pathParameters"] = json!({"app": "shop", "name": "what?/3"});
    let reply = tally.on_lambda(cut).await;
    assert_problem(&reply, 400);
    assert!(reply["body"].as_str().unwrap().contains("name="), "{reply}");
    let mut cut = with_key(event("POST", "/apps/shop/count/what", ""), &app);
    cut["requestContext"]["http"]["path"] = json!("/apps/shop/count/what%3Fx");
    assert_problem(&tally.on_lambda(cut).await, 400);
}

/// A request as the URL of the function `ingest` hands it over, without credentials.
fn function_url_event(method: &str, path: &str) -> Value {
    let mut event = event(method, path, "");
    event["headers"]["host"] = json!("abc.lambda-url.eu-central-1.on.aws");
    event["requestContext"]["domainName"] = json!("abc.lambda-url.eu-central-1.on.aws");
    event
}

#[tokio::test]
async fn a_function_url_hands_the_path_over_as_it_was_sent() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (path, name) in [
        ("100%25", "100%"),
        ("%2541", "%41"),
        ("what%3F", "what?"),
        ("a%2Fb", "a/b"),
        ("zo%C3%AB", "zoë"),
        ("zoë", "zoë"),
        ("a b", "a b"),
        ("a+b", "a+b"),
        ("%zz", "%zz"),
    ] {
        let count = with_key(function_url_event("POST", &format!("/apps/shop/count/{path}")), &app);
        let reply = tally.on_function_url(count).await;
        assert_eq!((&reply["statusCode"], &body(&reply)["name"]), (&json!(201), &json!(name)), "{path}: {reply}");
    }
}

#[tokio::test]
async fn a_function_url_accepts_events_answers_preflights_and_serves_nothing_else() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for path in ["/apps/shop/events", "/apps/shop/events/"] {
        let mut send = with_key(function_url_event("POST", path), &app);
        send["body"] = json!(r#"{"name": "signup"}"#);
        send["headers"]["origin"] = json!("https://shop.example");
        let reply = tally.on_function_url(send.clone()).await;
        assert_eq!(reply["statusCode"], 201, "{reply}");
        assert_eq!(reply["headers"]["access-control-allow-origin"], "*");
        send["headers"]["x-ingest-key"] = json!("wrong");
        assert_problem(&tally.on_function_url(send).await, 401);
    }
    for path in ["/apps/shop/events", "/apps/shop/count", "/v1/logs", "/e/", "/k/key/api/1/envelope/"] {
        let mut preflight = function_url_event("OPTIONS", path);
        preflight["headers"]["origin"] = json!("https://shop.example");
        preflight["headers"]["access-control-request-method"] = json!("POST");
        let reply = tally.on_function_url(preflight).await;
        assert_eq!(reply["statusCode"], 204, "{path}: {reply}");
        assert!(!reply["headers"]["access-control-allow-origin"].is_null(), "{path}: {reply}");
    }
    let library = format!("/k/{}/v1/logs", app.ingest_key);
    let mut logs = function_url_event("POST", &library);
    logs["headers"]["content-type"] = json!("application/json");
    logs["body"] = json!(r#"{"resourceLogs": []}"#);
    assert_eq!(tally.on_function_url(logs).await["statusCode"], 200);
    // Paths of other functions, also those that ingest serves with another method.
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/apps"),
        ("GET", "/apps/shop/events"),
        ("POST", "/auth"),
        ("GET", "/apps/shop/stats/totals"),
        ("DELETE", "/apps/shop/events"),
        ("GET", "/nothing"),
    ] {
        let reply = tally.on_function_url(function_url_event(method, path)).await;
        assert!([404, 405].contains(&reply["statusCode"].as_u64().unwrap()), "{method} {path}: {reply}");
        assert_problem(&reply, reply["statusCode"].as_u64().unwrap().try_into().unwrap());
        assert!(reply["body"].as_str().unwrap().contains("only accepts events"), "{method} {path}: {reply}");
    }
}

#[tokio::test]
async fn cookies_that_are_not_ascii_do_not_hide_ours() {
    let tally = Tally::start().await;
    let token = tally.token(tally_core::app::role::Role::Admin).await;
    let mut list = event("GET", "/apps", "");
    list["cookies"] = json!(["name=zoë", format!("token={token}")]);
    assert_eq!(tally.on_lambda(list).await["statusCode"], 200);
}

#[tokio::test]
async fn replies_are_text_or_base64_and_cookies_stand_apart() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let chart = |format: &str| with_key(event("GET", &format!("/apps/shop/histogram/a/today.{format}"), ""), &app);
    let png = tally.on_lambda(chart("png")).await;
    assert_eq!((&png["isBase64Encoded"], &png["headers"]["content-type"]), (&json!(true), &json!("image/png")));
    assert!(png["body"].as_str().unwrap().starts_with("iVBOR"));
    let svg = tally.on_lambda(chart("svg")).await;
    assert_eq!(svg["isBase64Encoded"], false);
    assert!(svg["body"].as_str().unwrap().starts_with("<svg"));
    let vary = svg["headers"]["vary"].as_str().unwrap();
    assert!(vary.contains("origin"), "{vary}");
    let none = tally.on_lambda(event("GET", "/apps", "")).await;
    assert_eq!(none["cookies"], json!([]));
}

#[tokio::test]
async fn events_are_taken_with_a_slash_at_the_end_of_the_path() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (path, query, sent, name) in [
        ("/apps/shop/events/", "", r#"{"name": "a"}"#, "a"),
        ("/apps/shop/count/", "name=b", "", "b"),
        ("/apps/shop/count/c/", "", "", "c"),
        ("/apps/shop/count/d/3/", "", "", "d"),
    ] {
        let mut request = with_key(event("POST", path, query), &app);
        request["body"] = json!(sent);
        let reply = tally.on_lambda(request).await;
        assert_eq!((&reply["statusCode"], &body(&reply)["name"]), (&json!(201), &json!(name)), "{path}");
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let reply = tally.call(Method::POST, &uri, ("x-ingest-key", &app.ingest_key), sent).await;
        assert_eq!((reply.status.as_u16(), &reply.json["name"]), (201, &json!(name)), "{path}");
    }
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "a"})).await;
    let admin = tally.token(Role::Admin).await;
    let both = tally.key_for_both(&app).await;
    let fill = |route: &Route| {
        let path = match route.path {
            "/apps/{app}/histogram/{*path}" => "/apps/shop/histogram/a/today.json?".to_owned(),
            "/apps/{app}/histogram" => "/apps/shop/histogram?name=a&date=today&format=json".to_owned(),
            "/event-tracker/{key}/api/events" => {
                format!("/event-tracker/{both}/api/events?start_date=20261120&end_date=20261121")
            }
            "/event-tracker/{key}/api/events/{*path}" => format!("/event-tracker/{both}/api/events/unique"),
            "/event-tracker/{key}/api/events/histogram/{*path}" => {
                format!("/event-tracker/{both}/api/events/histogram/a/20261121")
            }
            "/assets/{version}/{*path}" => "/assets/older/none".to_owned(),
            "/js/{file}" => "/js/script.js".to_owned(),
            "/apps/{app}/stats/next" => "/apps/shop/stats/next?name=a".to_owned(),
            "/apps/{app}/stats/numbers" => "/apps/shop/stats/numbers?attr=a".to_owned(),
            "/apps/{app}/people/{*user_id}" => "/apps/shop/people/ann".to_owned(),
            "/seismo/api/reports/{report}/{app}" => "/seismo/api/reports/day/shop?date=today".to_owned(),
            other => other.replace("{key}", &both).replace("{app}", "shop"),
        };
        path.replace("{report}", "day?date=today")
            .replace("{stat}", "hours")
            .replace("{id}", "none")
            .replace("{organization}", "any")
    };
    let mut checked = 0;
    for route in ROUTES.iter().filter(|route| route.method == Method::GET) {
        let path = fill(route);
        let ask = async |method| {
            let request = Request::builder().method(method).uri(&path).header("x-access-token", &admin);
            tally.raw(request.body(Body::empty()).unwrap()).await
        };
        let ((get, text), (head, nothing)) = (ask(Method::GET).await, ask(Method::HEAD).await);
        assert_eq!(get.status, if path.contains("/none") { 404 } else { 200 }, "{path}");
        assert_eq!((head.status, &head.headers["content-type"]), (get.status, &get.headers["content-type"]), "{path}");
        assert!(!text.is_empty() && nothing.is_empty(), "{path}");
        let mut on_lambda =
            event("HEAD", path.split('?').next().unwrap(), path.split_once('?').map_or("", |(_, query)| query));
        on_lambda["headers"]["x-access-token"] = json!(admin);
        let reply = tally.on_lambda(on_lambda).await;
        assert_eq!((&reply["statusCode"], &reply["body"]), (&json!(get.status.as_u16()), &json!("")), "{path}");
        checked += 1;
    }
    assert!(checked > 10);
    let refused = tally.call(Method::HEAD, "/apps/shop/events", ("accept", "*/*"), "").await;
    assert_eq!(refused.status, 401);
    let refused = tally.call(Method::HEAD, "/signing-keys", ("accept", "*/*"), "").await;
    assert_eq!((refused.status.as_u16(), &refused.headers["allow"]), (405, &"POST".parse().unwrap()));
}
