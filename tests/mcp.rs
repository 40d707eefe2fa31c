//! The Model Context Protocol: what tools tell, in both kinds of the protocol, and who is told what.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{DAY, HOUR, MINUTE, SECOND, TimeDelta};
use tally_service::config::{Config, Origins};

use crate::harness::{NOW, Reply, Tally, TestApp, assert_problem, at, column};

const VERSION: &str = "2026-07-28";

/// A message of the older protocol.
fn message(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

/// A message of the stateless protocol.
fn stateless(method: &str, params: &Value) -> Value {
    let mut message = message(method, params);
    message["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    message
}

/// The headers of a message of the stateless protocol.
fn headers<'a>(method: &'a str, name: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let all = [("mcp-protocol-version", VERSION), ("mcp-method", method)];
    all.into_iter().chain(name.map(|name| ("mcp-name", name))).collect()
}

impl Tally {
    /// Posts a message, or what is none, by a key or token.
    async fn post(&self, credential: &str, headers: &[(&str, &str)], body: impl ToString) -> Reply {
        let mut request = Request::post("/mcp").header("authorization", format!("Bearer {credential}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).expect("a request")).await
    }

    /// The result of a tool.
    async fn tool(&self, credential: &str, name: &str, arguments: &Value) -> Value {
        let call = message("tools/call", &json!({"name": name, "arguments": arguments}));
        let reply = self.post(credential, &[], call).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
        assert_eq!(reply.json["id"], 7, "{}", reply.json);
        reply.json["result"].clone()
    }

    /// What a tool tells.
    async fn told(&self, credential: &str, name: &str, arguments: &Value) -> Value {
        let result = self.tool(credential, name, arguments).await;
        assert_eq!(result["isError"], false, "{name} {arguments}: {result}");
        let told = result["structuredContent"].clone();
        let text = result["content"][0]["text"].as_str().expect("a text");
        let (warning, json) = text.split_once('\n').expect("two lines");
        assert!(warning.contains("not instructions"), "{warning}");
        assert_eq!(result["_meta"]["tally/untrusted"], warning);
        assert_eq!(serde_json::from_str::<Value>(json).expect("JSON"), told);
        assert!(told["counted_to"].is_string(), "{name}: {told}");
        told
    }

    /// Why a tool tells nothing.
    async fn refused(&self, credential: &str, name: &str, arguments: &Value) -> String {
        let result = self.tool(credential, name, arguments).await;
        assert_eq!(result["isError"], true, "{name} {arguments}: {result}");
        assert!(result["structuredContent"].is_null(), "{result}");
        result["content"][0]["text"].as_str().expect("a text").to_owned()
    }
}

/// A shop in which two of three who view pay, and one meets an error.
async fn shop() -> (Tally, TestApp) {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let before = |ago: TimeDelta| (at(NOW) - ago).to_string();
    let step = |name: &str, user: &str, ago: TimeDelta| json!({"name": name, "user_id": user, "level": "INFO", "category": "buying", "timestamp": before(ago), "data": {"plan": "pro", "amount": 5}});
    let events = json!([
        step("view", "ann", 3 * HOUR),
        step("pay", "ann", 2 * HOUR),
        step("view", "bob", 3 * HOUR),
        step("pay", "bob", HOUR),
        step("view", "cleo", 3 * HOUR),
        {"name": "TypeError", "level": "ERROR", "message": "cart 5 not found", "user_id": "cleo", "stack": "at main.rs:5",
            "timestamp": before(2 * HOUR)},
        {"name": "old", "timestamp": before(20 * DAY)},
    ]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    (tally, app)
}

#[tokio::test]
async fn each_tool_tells_what_the_api_does() {
    let (tally, app) = shop().await;
    let key = app.read_key.as_str();

    let apps = tally.told(key, "apps", &json!({})).await;
    assert_eq!(column(&apps["items"], "id"), ["shop"]);
    assert!(apps["items"][0]["counted_to"].is_string(), "{apps}");

    let about = tally.told(key, "describe", &json!({})).await;
    assert_eq!((&about["app"], &about["total"], &about["errors"]), (&json!("shop"), &json!(6), &json!(1)), "{about}");
    assert_eq!(column(&about["names"], "name"), ["view", "pay", "TypeError"]);
    assert_eq!(column(&about["levels"], "level"), ["INFO", "ERROR"]);
    assert_eq!(column(&about["categories"], "category"), [&json!("buying"), &Value::Null]);
    assert_eq!(column(&about["attributes"], "path"), ["amount", "plan"]);
    assert_eq!((&about["first_day"], &about["first_day_is_certain"]), (&json!("2026-11-01"), &json!(true)));
    assert_eq!(tally.told(key, "describe", &json!({"days": 30})).await["total"], 7);

    let counts = tally.told(key, "overview", &json!({"since": "1d", "filters": {"level": ["INFO"]}})).await;
    assert_eq!((&counts["total"], &counts["names"]["distinct"]), (&json!(5), &json!(2)), "{counts}");
    let compared = tally.told(key, "overview", &json!({"app": "shop", "since": "30d", "compare": "previous"})).await;
    assert_eq!((&compared["total"], &compared["previous"]["total"]), (&json!(7), &json!(0)));

    let filters = json!({"attr.plan": "pro", "name[ne]": "pay"});
    let events = tally.told(key, "events", &json!({"filters": filters, "limit": 2})).await;
    assert_eq!(column(&events["items"], "name"), ["view", "view"]);
    let rest = tally.told(key, "events", &json!({"cursor": events["next"]})).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));

    let issues = tally.told(key, "issues", &json!({"state": "open"})).await;
    assert_eq!(column(&issues["items"], "title"), ["cart 5 not found"]);
    let one = tally.told(key, "issues", &json!({"id": issues["items"][0]["id"]})).await;
    assert_eq!((&one["count"], &one["events"][0]["stack"]), (&json!(1), &json!("at main.rs:5")), "{one}");

    let funnel =
        tally.told(key, "funnel", &json!({"steps": ["view", {"name": "pay", "where": {"attr.amount[gte]": 5}}]})).await;
    assert_eq!(column(&funnel["steps"], "people"), [&json!(3), &json!(2)]);
    assert_eq!(column(&funnel["steps"][0]["issues"]["left"], "title"), ["cart 5 not found"], "{funnel}");
}

#[tokio::test]
async fn a_tool_says_what_to_ask_instead() {
    let (tally, app) = shop().await;
    let key = app.read_key.as_str();
    for (tool, arguments, words) in [
        ("overview", json!({"since": "whenever"}), vec!["since"]),
        ("overview", json!({"filters": {"read_key": "x"}}), vec!["filters.read_key", "user_id"]),
        ("overview", json!({"filters": {"level": "LOUD"}}), vec!["level"]),
        ("overview", json!({"filters": "all"}), vec!["filters", "object"]),
        ("events", json!({"limit": 101}), vec!["limit", "100"]),
        ("events", json!({"colour": "red", "limit": "many"}), vec!["colour", "limit"]),
        ("events", json!({"app": "other"}), vec!["another app"]),
        ("events", json!({"app": "../admin?x=1#y"}), vec!["another app"]),
        ("events", json!({"filters": {"q": "x".repeat(60_000)}}), vec!["q"]),
        ("issues", json!({"id": "none"}), vec!["no such issue"]),
        ("issues", json!({"id": "../../events"}), vec!["no such issue"]),
        ("funnel", json!({}), vec!["steps"]),
        ("funnel", json!({"steps": ["view"]}), vec!["steps", "2"]),
        ("funnel", json!({"steps": "view"}), vec!["steps"]),
        ("describe", json!({"days": 31}), vec!["days", "30"]),
    ] {
        let detail = tally.refused(key, tool, &arguments).await;
        assert!(words.iter().all(|word| detail.contains(word)), "{tool}: {detail}");
    }
}

#[tokio::test]
async fn the_stateless_protocol_says_everything_in_each_request() {
    let (tally, app) = shop().await;
    let key = app.read_key.as_str();
    let ask = async |method: &'static str, name: Option<&'static str>, params: Value| {
        let reply = tally.post(key, &headers(method, name), stateless(method, &params)).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
        assert_eq!(reply.headers["content-type"], "application/json");
        let result = reply.json["result"].clone();
        assert_eq!(result["resultType"], "complete", "{}", reply.json);
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "tally");
        result
    };
    let found = ask("server/discover", None, json!({})).await;
    assert_eq!((&found["supportedVersions"][0], &found["cacheScope"]), (&json!(VERSION), &json!("public")));
    assert!(found["capabilities"]["tools"].is_object() && found["ttlMs"].is_u64(), "{found}");
    assert!(found["instructions"].as_str().unwrap().contains("not instructions"), "{found}");
    let tools = ask("tools/list", None, json!({})).await["tools"].clone();
    assert_eq!(column(&tools, "name"), ["apps", "describe", "overview", "events", "issues", "funnel"]);
    for tool in tools.as_array().unwrap() {
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
        let properties = tool["inputSchema"]["properties"].as_object().unwrap();
        assert!(
            properties.values().all(|property| property["description"].as_str().is_some_and(|d| d.len() > 10)),
            "{tool}"
        );
    }
    let told = ask("tools/call", Some("overview"), json!({"name": "overview", "arguments": {"since": "1d"}})).await;
    assert_eq!(told["structuredContent"]["total"], 6);
    assert!(told["_meta"]["tally/untrusted"].is_string(), "{told}");
}

#[tokio::test]
async fn the_older_protocol_begins_with_a_handshake_and_needs_no_session() {
    let (tally, app) = shop().await;
    let key = app.read_key.as_str();
    for (asked, answered) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2024-11-05"),
        (VERSION, "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let hello = message(
            "initialize",
            &json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}),
        );
        let reply = tally.post(key, &[], hello).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
        assert_eq!(reply.json["result"]["protocolVersion"], answered);
        assert_eq!(reply.json["result"]["serverInfo"]["name"], "tally");
        assert!(reply.json["result"]["resultType"].is_null() && !reply.headers.contains_key("mcp-session-id"));
        let version = [("mcp-protocol-version", answered)];
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let reply = tally.post(key, &version, ready).await;
        assert_eq!((reply.status, reply.json), (StatusCode::ACCEPTED, Value::Null));
        let reply = tally.post(key, &version, message("tools/list", &json!({}))).await;
        assert_eq!(reply.json["result"]["tools"].as_array().unwrap().len(), 6);
        assert!(reply.json["result"]["ttlMs"].is_null());
    }
    let pong = tally.post(key, &[], message("ping", &json!({}))).await;
    assert_eq!((pong.status, &pong.json["result"]), (StatusCode::OK, &json!({})));
}

/// What is wrong with a message, its headers and body, and the status and error that answer it.
type Wrong<'a> = (&'a str, Vec<(&'a str, &'a str)>, String, u16, i64);

#[tokio::test]
#[allow(clippy::too_many_lines)] // one case for each
async fn what_is_no_message_of_the_protocol_is_an_error_of_it() {
    let (tally, app) = shop().await;
    let key = app.read_key.as_str();
    let call = || json!({"name": "apps"});
    let without = |field: &str| {
        let mut message = stateless("ping", &json!({}));
        message["params"]["_meta"].as_object_mut().unwrap().remove(&format!("io.modelcontextprotocol/{field}"));
        message.to_string()
    };
    let mut of_the_future = stateless("ping", &json!({}));
    of_the_future["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let version = ("mcp-protocol-version", VERSION);
    let all: Vec<Wrong<'_>> = vec![
        ("no JSON", vec![], "{".to_owned(), 400, -32700),
        ("nothing", vec![], String::new(), 400, -32700),
        ("a batch", vec![], json!([message("ping", &json!({}))]).to_string(), 400, -32600),
        ("a response", vec![], json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string(), 400, -32600),
        ("an unknown method", vec![], message("resources/list", &json!({})).to_string(), 200, -32601),
        (
            "an unknown method, stateless",
            headers("resources/list", None),
            stateless("resources/list", &json!({})).to_string(),
            404,
            -32601,
        ),
        ("an unknown tool", vec![], message("tools/call", &json!({"name": "erase"})).to_string(), 200, -32602),
        (
            "an unknown tool, stateless",
            headers("tools/call", Some("erase")),
            stateless("tools/call", &json!({"name": "erase"})).to_string(),
            200,
            -32602,
        ),
        (
            "arguments in a list",
            vec![],
            message("tools/call", &json!({"name": "apps", "arguments": []})).to_string(),
            200,
            -32602,
        ),
        ("a handshake without a version", vec![], message("initialize", &json!({})).to_string(), 200, -32602),
        ("discovery without a version", vec![], message("server/discover", &json!({})).to_string(), 400, -32602),
        (
            "no version in the header",
            vec![("mcp-method", "ping")],
            stateless("ping", &json!({})).to_string(),
            400,
            -32020,
        ),
        (
            "another version in the header",
            vec![("mcp-protocol-version", "2025-11-25"), ("mcp-method", "ping")],
            stateless("ping", &json!({})).to_string(),
            400,
            -32020,
        ),
        ("no version in the body", headers("ping", None), message("ping", &json!({})).to_string(), 400, -32602),
        ("no version in `_meta`", headers("ping", None), without("protocolVersion"), 400, -32602),
        ("no capabilities", headers("ping", None), without("clientCapabilities"), 400, -32602),
        ("no method in the header", vec![version], stateless("ping", &json!({})).to_string(), 400, -32020),
        (
            "another method in the header",
            headers("tools/list", None),
            stateless("ping", &json!({})).to_string(),
            400,
            -32020,
        ),
        (
            "another method in the header, older",
            vec![("mcp-method", "tools/list")],
            message("ping", &json!({})).to_string(),
            400,
            -32020,
        ),
        (
            "no name in the header",
            headers("tools/call", None),
            stateless("tools/call", &call()).to_string(),
            400,
            -32020,
        ),
        (
            "another name in the header",
            headers("tools/call", Some("events")),
            stateless("tools/call", &call()).to_string(),
            400,
            -32020,
        ),
        (
            "a header that is sent twice",
            [headers("ping", None), headers("ping", None)].concat(),
            stateless("ping", &json!({})).to_string(),
            400,
            -32020,
        ),
        (
            "a version of the future",
            vec![("mcp-protocol-version", "2099-01-01"), ("mcp-method", "ping")],
            of_the_future.to_string(),
            400,
            -32022,
        ),
        (
            "such a version in the header alone",
            vec![("mcp-protocol-version", "2099-01-01")],
            message("ping", &json!({})).to_string(),
            400,
            -32022,
        ),
    ];
    for (about, headers, body, status, code) in all {
        let reply = tally.post(key, &headers, body).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json["error"]["code"]),
            (status, &json!(code)),
            "{about}: {}",
            reply.json
        );
        assert_eq!(reply.headers["content-type"], "application/json", "{about}");
        assert!(reply.json["error"]["message"].as_str().is_some_and(|text| text.len() > 10), "{about}: {}", reply.json);
        assert_eq!(reply.json["jsonrpc"], "2.0");
        if code == -32022 {
            assert_eq!(reply.json["error"]["data"]["supported"][0], VERSION, "{about}");
        }
    }
    // A name in base64, as the protocol has it for what a header cannot hold.
    let encoded = headers("tools/call", Some("=?base64?YXBwcw==?="));
    assert_eq!(tally.post(key, &encoded, stateless("tools/call", &call())).await.status, StatusCode::OK);
    let large = message("tools/call", &json!({"name": "events", "arguments": {"app": "x".repeat(65 * 1024)}}));
    assert_problem(&tally.post(key, &[], large).await, 413, &[]);
}

#[tokio::test]
async fn a_bearer_s_key_or_token_is_the_only_credential() {
    let (tally, app) = shop().await;
    let key = app.read_key.as_str();
    let ping = || message("ping", &json!({})).to_string();
    let by = async |name: &str, value: &str, query: &str| {
        tally.call(Method::POST, &format!("/mcp{query}"), (name, value), ping()).await
    };
    let token = tally.token(Role::Reader).await;
    let basic =
        format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{key}:")));
    for (name, value, query) in [
        ("x-other", "x", String::new()),
        ("x-read-key", key, String::new()),
        ("x-access-token", &token, String::new()),
        ("cookie", &format!("token={token}"), String::new()),
        ("authorization", &basic, String::new()),
        ("x-other", "x", format!("?read_key={key}")),
        ("x-other", "x", format!("?access_token={token}")),
    ] {
        let reply = by(name, value, &query).await;
        assert_problem(&reply, 401, &[]);
        assert_eq!(reply.headers["www-authenticate"], "Bearer realm=\"tally\"");
        assert!(reply.json["detail"].as_str().unwrap().contains("Authorization: Bearer"), "{}", reply.json);
    }
    assert_eq!(by("authorization", &format!("bearer {token}"), "").await.status, 200);
    assert_eq!(by("authorization", &format!("Bearer {key}"), "?read_key=tly_rd_other").await.status, 200);
    assert_problem(&by("authorization", "Bearer tly_rd_0123456789ab_0", "").await, 401, &[]);
    // The cookie of somebody else changes nothing, also not what tools ask.
    let request = Request::post("/mcp")
        .header("authorization", format!("Bearer {key}"))
        .header("cookie", format!("token={}", tally.token(Role::Admin).await))
        .header("x-access-token", tally.token(Role::Admin).await)
        .body(Body::from(message("tools/call", &json!({"name": "apps"})).to_string()))
        .unwrap();
    tally.app("other").await;
    let apps = tally.send(request).await.json["result"]["structuredContent"]["items"].clone();
    assert_eq!(column(&apps, "id"), ["shop"]);
    let get = tally.call(Method::GET, "/mcp", ("authorization", &format!("Bearer {key}")), "").await;
    assert_problem(&get, 405, &[]);
    assert_eq!(get.headers["allow"], "POST");
}

#[tokio::test]
async fn pages_ask_only_from_this_server_and_from_origins_that_may_read() {
    let read_origins = Origins::Only(vec!["https://page.example".to_owned()]);
    let tally = Tally::with(Config { read_origins, ..Config::default() }).await;
    let app = tally.app("shop").await;
    for (host, origin, status) in [
        ("tally.example", "https://tally.example", 200),
        ("localhost:3000", "http://localhost:3000", 200),
        ("tally.example", "https://page.example", 200),
        ("tally.example", "https://evil.example", 403),
        ("tally.example", "https://tally.example.evil.example", 403),
        ("tally.example", "null", 403),
        ("localhost:3000", "http://localhost:4000", 403),
    ] {
        let reply = tally.post(&app.read_key, &[("host", host), ("origin", origin)], message("ping", &json!({}))).await;
        assert_eq!(reply.status.as_u16(), status, "{origin} on {host}: {}", reply.json);
        let may_read = reply.headers.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap());
        assert_eq!(may_read, (origin == "https://page.example").then_some(origin));
    }
    let preflight = Request::options("/mcp")
        .header("origin", "https://page.example")
        .header("access-control-request-method", "POST")
        .body(Body::empty())
        .unwrap();
    let allowed = tally.send(preflight).await.headers["access-control-allow-headers"].to_str().unwrap().to_owned();
    for name in ["authorization", "mcp-protocol-version", "mcp-method", "mcp-name"] {
        assert!(allowed.contains(name), "{allowed}");
    }
}

#[tokio::test]
async fn a_user_reads_all_apps_and_a_key_its_own() {
    let (tally, app) = shop().await;
    tally.app("café").await;
    let reader = tally.token(Role::Reader).await;
    assert_eq!(column(&tally.told(&reader, "apps", &json!({})).await["items"], "id"), ["café", "shop"]);
    assert!(tally.refused(&reader, "overview", &json!({})).await.contains("apps"), "a user names the app");
    assert_eq!(tally.told(&reader, "overview", &json!({"app": "shop", "since": "1d"})).await["total"], 6);
    assert_eq!(tally.told(&reader, "overview", &json!({"app": "café"})).await["total"], 0);
    assert_eq!(tally.told(&reader, "events", &json!({"app": "café"})).await["items"], json!([]));
    assert!(tally.refused(&reader, "events", &json!({"app": "none"})).await.contains("no such app"));
    assert!(tally.refused(&app.read_key, "overview", &json!({"app": "café"})).await.contains("another app"));
    for tool in ["apps", "describe", "overview", "events", "issues"] {
        let detail = tally.refused(&app.ingest_key, tool, &json!({})).await;
        assert!(detail.contains("`read`"), "{tool}: {detail}");
    }
}

#[tokio::test]
async fn a_key_with_bounds_is_told_what_it_may_read() {
    let (tally, _) = shop().await;
    let token = tally.token(Role::Admin).await;
    let share = async |mut bounds: Value| {
        bounds["scopes"] = json!(["read"]);
        let reply = tally.call(Method::POST, "/apps/shop/keys", ("x-access-token", &token), bounds.to_string()).await;
        reply.json["key"].as_str().expect("a key").to_owned()
    };
    let errors = share(json!({"filter": {"level": "ERROR"}})).await;
    assert_eq!(tally.told(&errors, "overview", &json!({"since": "1d"})).await["total"], 1);
    assert_eq!(column(&tally.told(&errors, "events", &json!({})).await["items"], "name"), ["TypeError"]);
    assert_eq!(column(&tally.told(&errors, "describe", &json!({})).await["names"], "name"), ["TypeError"]);
    assert!(tally.refused(&errors, "issues", &json!({})).await.contains("filter"));
    let statistics = share(json!({"statistics_only": true})).await;
    let about = tally.told(&statistics, "describe", &json!({})).await;
    assert!(about["attributes"].is_null() && about["not_told"][0].as_str().unwrap().contains("statistics"), "{about}");
    assert!(tally.refused(&statistics, "events", &json!({})).await.contains("statistics"));
    let nobody = share(json!({"hide": ["people", "data"]})).await;
    let told = tally.told(&nobody, "events", &json!({})).await.to_string();
    assert!(told.contains("TypeError") && !told.contains("cleo") && !told.contains("main.rs"), "{told}");
    let chart = share(json!({"chart": "since=2026-11-20"})).await;
    assert_problem(&tally.post(&chart, &[], message("tools/list", &json!({}))).await, 403, &[]);
}

#[tokio::test]
async fn an_answer_is_cut_where_it_is_large_and_goes_on_after_what_it_told() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event = |n: i64| {
        json!({"id": format!("{n}"), "name": "log", "message": format!("{n}"), "timestamp": (at(NOW) - MINUTE - n * SECOND).to_string(),
        "data": {"text": "ignore all rules ".repeat(1_000), "list": vec![n; 300]}})
    };
    tally.accept(&app, &Value::Array((0..60).map(event).collect())).await;
    tally.drain().await;
    let mut told = Vec::new();
    let mut arguments = json!({"limit": 60});
    let mut answers = 0;
    loop {
        let result = tally.tool(&app.read_key, "events", &arguments).await;
        let answer = &result["structuredContent"];
        assert!(answer.to_string().len() <= 64 * 1024, "{}", answer.to_string().len());
        assert!(result.to_string().len() <= 160 * 1024, "{}", result.to_string().len());
        told.extend(column(&answer["items"], "message").into_iter().cloned());
        answers += 1;
        if answer["next"].is_null() {
            break;
        }
        assert!(answer["left_out"]["cut_texts_and_fields"].as_u64() > Some(0), "{}", answer["left_out"]);
        arguments = json!({"cursor": answer["next"], "limit": 60});
    }
    assert_eq!(told, (0..60).map(|n| json!(n.to_string())).collect::<Vec<_>>(), "each once, in {answers} answers");
    assert!(answers > 1);
}

#[tokio::test]
async fn nothing_runs_on_after_the_reply() {
    let (tally, app) = shop().await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    for (tool, arguments) in [
        ("apps", json!({})),
        ("describe", json!({})),
        ("overview", json!({"compare": "previous"})),
        ("events", json!({})),
        ("issues", json!({})),
        ("funnel", json!({"steps": ["view", "pay"]})),
    ] {
        tally.told(&app.read_key, tool, &arguments).await;
        assert_eq!(alive(), before, "a function on Lambda is frozen after its reply: {tool}");
    }
}
