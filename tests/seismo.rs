//! Clients of Seismo: every example of its document, under `/seismo`, and what its own tests and its client for Node rely on.

use axum::body::Body;
use futures::future::join_all;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tally_core::app::AppSlug;
use tally_core::app::role::Role;
use tally_service::auth::user::Users;
use tally_service::config::Config;

use crate::access::github;
use crate::admin::users;
use crate::harness::{Reply, Tally, TestApp, column};

/// A client of Seismo, signed in.
struct Client<'a> {
    tally: &'a Tally,
    token: String,
}

impl<'a> Client<'a> {
    async fn of(tally: &'a Tally, role: Role) -> Self {
        Self { tally, token: tally.token(role).await }
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Reply {
        self.tally.call(method, &format!("/seismo{path}"), ("x-access-token", &self.token), body).await
    }

    /// Posts an event that must be taken.
    async fn post(&self, app: &str, body: &Value) -> Value {
        let reply = self.call(Method::POST, &format!("/api/events/{app}"), body.to_string()).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
        reply.json
    }

    /// Asks something that must be answered.
    async fn get(&self, path: &str) -> Value {
        let reply = self.call(Method::GET, path, "").await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.json);
        assert_eq!(reply.headers["content-type"], "application/json");
        reply.json
    }

    /// All that a list leads to, and in how many replies.
    async fn list(&self, path: &str) -> (Vec<Value>, usize) {
        let (mut all, mut replies) = (Vec::new(), 0);
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let reply = self.call(Method::GET, &path, "").await;
            assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.json);
            replies += 1;
            all.extend(reply.json.as_array().expect("a bare array").iter().cloned());
            next = reply.headers.get("link").map(|link| {
                let target = link.to_str().unwrap().strip_prefix("</seismo").expect("a link");
                target.strip_suffix(">; rel=\"next\"").expect("to the next").to_owned()
            });
        }
        (all, replies)
    }
}

/// Asserts a refusal in Seismo's words.
#[track_caller]
fn assert_refused(reply: &Reply, status: u16, words: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.json);
    assert_eq!(reply.headers["content-type"], "application/json");
    let fields: Vec<_> = reply.json.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["message"]);
    let message = reply.json["message"].as_str().expect("a message");
    assert!(message.contains(words), "{message}");
}

/// An event without its time, which is checked to be one.
fn timeless(mut event: Value) -> Value {
    let time = event.as_object_mut().expect("an event").remove("timestampt").expect("a time");
    let _: tally_core::time::Timestamp = time.as_str().expect("a text").parse().expect("a time");
    event
}

fn timeless_all(events: &Value) -> Value {
    events.as_array().expect("a bare array").iter().cloned().map(timeless).collect()
}

#[tokio::test]
async fn a_user_signs_in_and_can_send_the_token_in_three_ways() {
    let tally = Tally::with(users()).await;
    let sign_in =
        async |body: Value| tally.call(Method::POST, "/seismo/auth", ("accept", "*/*"), body.to_string()).await;
    let reply = sign_in(json!({"username": "ann", "password": "correct horse"})).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    let token = reply.json["token"].as_str().expect("a token").to_owned();
    let cookie = reply.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(cookie, format!("token={token}"));
    let ask = async |query: &str, header: (&str, &str)| {
        tally.call(Method::GET, &format!("/seismo/api/events/web{query}"), header, "").await
    };
    let in_query = format!("?access_token={token}");
    for reply in [
        ask("", ("x-access-token", &token)).await,
        ask(&in_query, ("accept", "*/*")).await,
        ask("", ("cookie", &cookie)).await,
        ask("", ("authorization", &format!("Bearer {token}"))).await,
    ] {
        assert_eq!((reply.status, reply.json), (StatusCode::OK, json!([])));
    }
    let bare = ask("", ("accept", "*/*")).await;
    assert_refused(&bare, 401, "no credentials");
    assert!(bare.headers.contains_key("www-authenticate"));
    assert_refused(&ask("", ("x-access-token", "nonsense")).await, 401, "");
    assert_refused(&sign_in(json!({"username": "ann"})).await, 400, "`password`: missing");
    assert_refused(&sign_in(json!({})).await, 400, "`username`: missing");
    for (user, password) in [("ann", "wrong"), ("nobody", "correct horse")] {
        assert_refused(&sign_in(json!({"username": user, "password": password})).await, 401, "wrong");
    }
}

#[tokio::test]
async fn a_github_token_signs_in_users_that_the_settings_list() {
    let (base, _) = github().await;
    let users = Users::parse(r#"[{"github": "ann-octocat", "role": "admin"}]"#).unwrap();
    let tally = Tally::with(Config { users, github_api: base, ..Config::default() }).await;
    let sign_in = async |token: &str| {
        tally.call(Method::POST, "/seismo/auth", ("accept", "*/*"), json!({"token": token}).to_string()).await
    };
    let reply = sign_in("ghp_ann").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    let token = reply.json["token"].as_str().expect("a token").to_owned();
    let client = Client { tally: &tally, token };
    client.post("web", &json!({"event": "application started"})).await;
    assert_refused(&sign_in("ghp_eve").await, 401, "GitHub");
}

#[tokio::test]
async fn events_are_posted_and_queried_as_documented() {
    let tally = Tally::start().await;
    let client = Client::of(&tally, Role::Admin).await;
    let mut posted = Vec::new();
    for (body, expected) in [
        (json!({"event": "event", "data": {}}), json!({"id": "event", "app": "web", "event": "event", "data": {}})),
        (
            json!({"event": {"id": "app-start", "event": "application started"}, "data": {}}),
            json!({"id": "app-start", "app": "web", "event": "application started", "data": {}}),
        ),
        (
            json!({"event": "application started", "data": {"environment": "production"}}),
            json!({
                "id": "application-started", "app": "web", "event": "application started",
                "data": {"environment": "production"},
            }),
        ),
        // Of its client for Node.
        (
            json!({"event": "Search  Executed"}),
            json!({"id": "search-executed", "app": "web", "event": "Search  Executed"}),
        ),
        (
            json!({"event": {"event": "search executed"}, "data": {"query": "x", "time": 1.5}, "extra": 1}),
            json!({"id": "search-executed", "app": "web", "event": "search executed", "data": {"query": "x", "time": 1.5}}),
        ),
    ] {
        tally.clock.set(tally.clock.now() + tally_core::time::SECOND);
        let event = client.post("web", &body).await;
        assert_eq!(timeless(event.clone()), expected);
        posted.push(event);
    }
    // Other times, as events of long ago come from elsewhere.
    for (name, at) in [("search executed", "2014-09-26T23:59:59.999Z"), ("late", "2014-09-27T00:00:00Z")] {
        let body = json!({"name": name, "timestamp": at, "level": "INFO", "session_id": "s", "count": 2});
        let path = "/apps/web/events";
        let token = ("x-access-token", client.token.as_str());
        assert_eq!(tally.call(Method::POST, path, token, body.to_string()).await.status, StatusCode::CREATED);
    }
    let old =
        |name: &str, at: &str| json!({"id": name.replace(' ', "-"), "app": "web", "event": name, "timestampt": at});
    let (search, late) = (old("search executed", "2014-09-26T23:59:59.999Z"), old("late", "2014-09-27T00:00:00Z"));
    let today = &posted;
    for (query, expected) in [
        ("", [&[search.clone(), late][..], today].concat()),
        ("?event=search%20executed", vec![search.clone(), today[4].clone()]),
        ("?event=search+executed", vec![search.clone(), today[4].clone()]),
        ("?id=app-start", vec![today[1].clone()]),
        ("?date=today", today.clone()),
        ("?date=2014-09-26", vec![search.clone()]),
        ("?event=search%20executed&date=today", vec![today[4].clone()]),
        ("?id=search-executed&date=2014-09-26", vec![search.clone()]),
        ("?id=search-executed&event=late", vec![]),
        (
            "?event=&id=&limit=1&offset=3&any=thing",
            [&[search.clone(), old("late", "2014-09-27T00:00:00Z")][..], today].concat(),
        ),
    ] {
        assert_eq!(client.get(&format!("/api/events/web{query}")).await, json!(expected), "{query}");
        assert_eq!(client.get(&format!("/api/events/web/{query}")).await, json!(expected), "{query} after a slash");
    }
}

#[tokio::test]
async fn an_app_with_the_server_clock_is_listed_by_it() {
    let tally = Tally::start().await;
    let app = tally.received_app("web").await;
    let client = Client::of(&tally, Role::Admin).await;
    tally.accept(&app, &json!({"name": "old", "timestamp": "2020-01-01T00:00:00Z"})).await;
    let listed = client.get("/api/events/web?date=today").await;
    assert_eq!(listed, json!([{"id": "old", "app": "web", "event": "old", "timestampt": crate::harness::NOW}]));
}

/// What Seismo's own tests of reports run on: three times six events.
async fn autumn(tally: &mut Tally) -> TestApp {
    let app = tally.app("web").await;
    let mut events = Vec::new();
    for day in ["2013-09-29", "2013-09-30", "2013-10-01"] {
        for time in ["05:12:30", "05:45:00", "06:00:00", "06:15:10", "06:55:50", "07:00:21"] {
            let event = json!({"id": "app-started", "event": "application started"});
            events.push(json!({"event": event, "timestamp": format!("{day} {time}")}));
        }
    }
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;
    app
}

#[tokio::test]
async fn reports_match_seismos_documentation_and_tests() {
    let mut tally = Tally::start().await;
    autumn(&mut tally).await;
    let client = Client::of(&tally, Role::Reader).await;
    for (path, total) in [
        ("hour/web?hour=6&date=2013-09-29", 3),
        ("day/web?date=2013-09-29", 6),
        ("week/web?week=2013-09-29", 18),
        ("week/web?date=2013-09-29", 18),
        ("week/web?date=2013-10-05", 18),
        ("month/web?month=2013-09-29", 12),
        ("month/web?date=2013-10-31", 6),
        ("month/web?month=2013-10", 6),
        ("period/web?from=2013-09-29&to=2013-09-30", 12),
        ("period/web?from=2013-09-30&to=2013-09-30", 6),
        // As the client for Node sends it, slash or not.
        ("hour/web?event=application%20started&report=hour&date=2013-09-29&hour=6", 3),
        ("day/web/?id=app-started&report=day&date=2013-09-29", 6),
    ] {
        let expected = json!({"id": "app-started", "event": "application started", "total": total});
        assert_eq!(client.get(&format!("/api/reports/{path}")).await, expected, "{path}");
    }
    for (path, expected) in [
        ("period/web?from=2013-09-10&to=2013-09-13", json!({"total": 0})),
        // Saturday is of the week before.
        ("week/web?week=2013-09-28&event=application%20started", json!({"event": "application started", "total": 0})),
        ("day/web?date=2013-09-29&id=app-stopped", json!({"id": "app-stopped", "total": 0})),
        ("day/web?date=today", json!({"total": 0})),
        ("day/elsewhere?date=today&id=x", json!({"id": "x", "total": 0})),
    ] {
        assert_eq!(client.get(&format!("/api/reports/{path}")).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_report_names_only_what_all_of_it_has() {
    let mut tally = Tally::start().await;
    let client = Client::of(&tally, Role::Admin).await;
    for (id, event) in [("a", "one"), ("a", "two"), ("b", "two")] {
        client.post("web", &json!({"event": {"id": id, "event": event}})).await;
    }
    drop(client);
    tally.drain().await;
    let client = Client::of(&tally, Role::Admin).await;
    for (query, expected) in [
        ("", json!({"total": 3})),
        ("&id=a", json!({"id": "a", "total": 2})),
        ("&id=b", json!({"id": "b", "event": "two", "total": 1})),
        ("&event=one", json!({"id": "a", "event": "one", "total": 1})),
        ("&event=two", json!({"event": "two", "total": 2})),
        ("&event=two&id=a", json!({"id": "a", "event": "two", "total": 1})),
    ] {
        assert_eq!(client.get(&format!("/api/reports/day/web?date=today{query}")).await, expected, "{query}");
    }
}

#[tokio::test]
async fn errors_have_a_message() {
    let tally = Tally::start().await;
    let client = Client::of(&tally, Role::Admin).await;
    client.post("web", &json!({"event": "a"})).await;
    for (path, missing) in [
        ("day/web", "missing date parameter"),
        ("day/web?date=", "missing date parameter"),
        ("hour/web?hour=6", "missing date parameter"),
        ("hour/web?date=today", "missing hour parameter"),
        ("week/web?month=2013-09-29", "missing date parameter"),
        ("month/web", "missing date parameter"),
        ("period/web", "missing from parameter"),
        ("period/web?from=2013-09-10", "missing to parameter"),
        ("period/web?to=2013-09-10", "missing from parameter"),
    ] {
        assert_refused(&client.call(Method::GET, &format!("/api/reports/{path}"), "").await, 403, missing);
    }
    for (path, status, words) in [
        ("/api/reports/day/web?date=tomorrow", 400, "`date`"),
        ("/api/reports/hour/web?date=today&hour=24", 400, "`hour`"),
        ("/api/reports/period/web?from=2013-09-10&to=2013-09-01", 400, "`from`"),
        ("/api/reports/day/web?date=today&date=today", 400, "`date`: sent twice"),
        ("/api/reports/year/web?date=today", 404, "no such report"),
        ("/api/events/web?date=yesterday", 400, "`date`"),
        ("/api/events/web?cursor=x", 400, "`cursor`"),
        ("/api/events/web/more", 404, "no such path"),
        ("/api/events/", 404, "no such path"),
        ("/api", 404, "no such path"),
    ] {
        assert_refused(&client.call(Method::GET, path, "").await, status, words);
    }
    for (body, status, words) in [
        ("", 400, "`event`: missing"),
        ("{}", 400, "`event`: missing"),
        (r#"{"data": {}}"#, 400, "`event`: missing"),
        (r#"{"event": null}"#, 400, "`event`: missing"),
        (r#"{"event": ""}"#, 400, "`event`"),
        (r#"{"event": 5}"#, 400, "`event`"),
        (r#"{"event": ["a"]}"#, 400, "`event`"),
        (r#"{"event": {"id": "x"}}"#, 400, "`event.event`: missing"),
        (r#"{"event": {"id": 5, "event": "a"}}"#, 400, "`event.id`"),
        (r#"[{"event": "a"}]"#, 400, ""),
        (r#"{"event": "a""#, 400, ""),
        (&json!({"event": "x".repeat(257)}).to_string(), 400, "`event`: 257 bytes"),
        (&json!({"event": "a", "data": "x".repeat(256 * 1024)}).to_string(), 413, "larger"),
    ] {
        assert_refused(&client.call(Method::POST, "/api/events/web", body.to_owned()).await, status, words);
    }
    assert_eq!(client.get("/api/events/web").await.as_array().unwrap().len(), 1);
    let put = client.call(Method::PUT, "/api/events/web", "").await;
    assert_refused(&put, 405, "GET, HEAD, POST");
    assert_eq!(put.headers["allow"], "GET, HEAD, POST");
}

#[tokio::test]
async fn an_admins_first_event_makes_the_app_once() {
    let tally = Tally::start().await;
    let admin = Client::of(&tally, Role::Admin).await;
    let reader = Client::of(&tally, Role::Reader).await;
    let post = async |client: &Client<'_>, app: &str, body: &str| {
        client.call(Method::POST, &format!("/api/events/{app}"), body.to_owned()).await
    };
    let event = r#"{"event": "a"}"#;
    assert_refused(&post(&reader, "shop", event).await, 403, "admin");
    assert_refused(&post(&admin, "shop", "{}").await, 400, "`event`");
    assert_refused(&post(&admin, "a~b", event).await, 400, "`app`");
    let too_long = json!({"event": "x".repeat(300)}).to_string();
    assert_refused(&post(&admin, "shop", &too_long).await, 400, "`event`");
    assert_eq!(admin.get("/api/events/shop").await, json!([]));
    assert_eq!(apps(&tally, &admin).await, json!([]), "none of that made one");

    let at_once = join_all((0..8).map(|_| post(&admin, "My%20Shop", event))).await;
    assert!(at_once.iter().all(|reply| reply.status == 201), "{at_once:?}");
    assert_eq!(at_once[0].json["app"], "My Shop");
    assert_eq!(admin.get("/api/events/My%20Shop").await.as_array().unwrap().len(), 8);
    let made = apps(&tally, &admin).await;
    assert_eq!((column(&made, "id"), column(&made, "name")), (vec![&json!("my-shop")], vec![&json!("My Shop")]));
    let shop = tally.context.store.get_app(&AppSlug::of_name("my-shop").unwrap()).await.unwrap().unwrap();
    assert!(shop.keys.is_empty(), "nobody was told of any");

    // Keys, which Seismo has not, do as everywhere.
    let own = tally.app("own").await;
    let by_key = async |key: &str, app: &str| {
        tally.call(Method::POST, &format!("/seismo/api/events/{app}"), ("x-ingest-key", key), event).await
    };
    assert_eq!(by_key(&own.ingest_key, "own").await.status, 201);
    assert_refused(&by_key(&own.ingest_key, "elsewhere").await, 403, "another app");
    assert_refused(&by_key(&own.read_key, "own").await, 403, "scope");
}

async fn apps(tally: &Tally, client: &Client<'_>) -> Value {
    let reply = tally.call(Method::GET, "/apps", ("x-access-token", &client.token), "").await;
    reply.json["items"].clone()
}

#[tokio::test]
async fn an_app_can_be_created_again_only_after_it_is_erased() {
    let mut tally = Tally::start().await;
    let token = tally.token(Role::Admin).await;
    tally.app("web").await;
    let post = async |tally: &Tally| {
        tally.call(Method::POST, "/seismo/api/events/web", ("x-access-token", &token), r#"{"event": "a"}"#).await
    };
    assert_eq!(post(&tally).await.status, 201);
    let erase = async |tally: &Tally| tally.call(Method::DELETE, "/apps/web", ("x-access-token", &token), "").await;
    assert_eq!(erase(&tally).await.json["done"], false);
    assert_refused(&post(&tally).await, 409, "being erased");
    tally.drain().await;
    tally.clock.set(tally.clock.now() + 8 * tally_core::time::MINUTE);
    let mut calls = 0;
    while tally.counting(erase(&tally)).await.json["done"] != true {
        calls += 1;
        assert!(calls < 20, "the app does not come to be erased");
    }
    let again = post(&tally).await;
    assert_eq!(again.status, 201, "{}", again.json);
    let list = tally.call(Method::GET, "/seismo/api/events/web", ("x-access-token", &token), "").await;
    assert_eq!(timeless_all(&list.json), json!([{"id": "a", "app": "web", "event": "a"}]), "nothing of its first life");
}

#[tokio::test]
async fn events_from_seismos_clients_appear_in_native_queries() {
    let mut tally = Tally::start().await;
    let app = tally.app("web").await;
    let client = Client::of(&tally, Role::Admin).await;
    client
        .post("web", &json!({"event": {"id": "app-start", "event": "application started"}, "data": {"plan": "pro"}}))
        .await;
    tally.drain().await;
    let listed = tally.list(&app, "slug=app-start&attr.plan=pro").await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["name"], "application started");
    let report = tally.ask(&app, "/reports/day?date=today").await;
    assert_eq!(report["by_name"], json!([{"name": "application started", "slug": "app-start", "count": 1}]));
    assert_eq!(tally.ask(&app, "/stats/by-name").await["items"], json!([{"name": "application started", "count": 1}]));
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "a server takes minutes to read past so many")]
async fn past_ten_thousand_events_a_link_continues() {
    let tally = Tally::start().await;
    let app = tally.app("web").await;
    for batch in 0..11 {
        let events = (0..1_000).map(|i| {
            let n = batch * 1_000 + i;
            json!({"name": if n % 1_000 == 0 { "rare" } else { "a" }, "data": n, "timestamp": format!("2026-11-21T{:02}:{:02}:00Z", n % 10, n / 10 % 60)})
        });
        tally.accept(&app, &events.collect()).await;
    }
    let client = Client::of(&tally, Role::Reader).await;
    let first = client.call(Method::GET, "/api/events/web?date=today", "").await;
    assert_eq!(first.json.as_array().unwrap().len(), 10_000);
    let (all, replies) = client.list("/api/events/web?date=today").await;
    assert_eq!((all.len(), replies), (11_000, 2));
    let times: Vec<_> = all.iter().map(|event| event["timestampt"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "oldest first");
    let mut numbers: Vec<_> = all.iter().map(|event| event["data"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..11_000).collect::<Vec<_>>(), "every event once");

    // Whoever says where they reached us gets an absolute address.
    let request = Request::get("/seismo/api/events/web?event=a").header("x-access-token", &client.token);
    let request = request.header("host", "tally.example").header("x-forwarded-proto", "https");
    let reply = tally.send(request.body(Body::empty()).unwrap()).await;
    let link = reply.headers["link"].to_str().unwrap();
    assert!(link.starts_with("<https://tally.example/seismo/api/events/web?cursor="), "{link}");
    let next = link.trim_start_matches("<https://tally.example/seismo").trim_end_matches(">; rel=\"next\"");
    assert_eq!(client.get(next).await.as_array().unwrap().len(), 989, "with the filter that it was given for");
    assert_refused(&client.call(Method::GET, &format!("{next}&event=rare"), "").await, 400, "`event`");

    // A token in the query is in the link as well.
    let request = Request::get(format!("/seismo/api/events/web?access_token={}", client.token));
    let reply = tally.send(request.body(Body::empty()).unwrap()).await;
    let next = reply.headers["link"].to_str().unwrap().trim_start_matches('<').trim_end_matches(">; rel=\"next\"");
    let rest = tally.send(Request::get(next).body(Body::empty()).unwrap()).await;
    assert_eq!(rest.json.as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_page_ends_at_its_byte_limit_or_the_budget_without_gaps() {
    let tally = Tally::start().await;
    let app = tally.app("web").await;
    for n in 0..50 {
        tally.accept(&app, &json!({"name": "big", "data": {"n": n, "text": "x".repeat(100_000)}})).await;
        tally.clock.set(tally.clock.now() + tally_core::time::SECOND);
    }
    let client = Client::of(&tally, Role::Reader).await;
    let (parts, body) = tally
        .raw(
            Request::get("/seismo/api/events/web").header("x-access-token", &client.token).body(Body::empty()).unwrap(),
        )
        .await;
    assert!(parts.headers.contains_key("link"));
    assert!((3_900_000..=4 * 1024 * 1024).contains(&body.len()), "{}", body.len());
    let numbers =
        |events: &[Value]| events.iter().map(|event| event["data"]["n"].as_i64().unwrap()).collect::<Vec<_>>();
    let (all, replies) = client.list("/api/events/web").await;
    assert_eq!((numbers(&all), replies), ((0..50).collect(), 2));

    let tally = Tally::with(Config { read_budget: 20.0, ..Config::default() }).await;
    let app = tally.app("web").await;
    for n in 0..50 {
        tally.accept(&app, &json!({"name": "some", "data": {"n": n, "text": "x".repeat(70_000)}})).await;
        tally.clock.set(tally.clock.now() + tally_core::time::SECOND);
    }
    let client = Client::of(&tally, Role::Reader).await;
    let (all, replies) = client.list("/api/events/web?event=some").await;
    assert_eq!(numbers(&all), (0..50).collect::<Vec<_>>());
    assert!(replies > 1, "the budget is kept");
}
