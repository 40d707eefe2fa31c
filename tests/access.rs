//! Who may do what: every route with every credential; keys, sign-in, and the key that signs tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method, Request, StatusCode};
use ingest::compat::PROTOCOLS;
use ring::hmac;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{HOUR, MINUTE, SECOND};
use tally_http::families::{FAMILY_PATHS, Family};
use tally_http::routes::{Access, ROUTES, Route};
use tally_service::auth::attempts::Attempt;
use tally_service::auth::token::SigningKey;
use tally_service::auth::user::Users;
use tally_service::config::Config;

use crate::admin::{sign_in, users};
use crate::faulty::Fault;
use crate::harness::{Reply, Tally, TestApp, assert_problem, column};

async fn admin(tally: &Tally, method: Method, path: &str, body: &Value) -> Reply {
    let token = tally.token(Role::Admin).await;
    tally.call(method, path, ("x-access-token", &token), body.to_string()).await
}

/// Creates a key of an app. Returns its id and text.
async fn key(tally: &Tally, app: &str, scopes: &[&str]) -> (String, String) {
    let reply = admin(tally, Method::POST, &format!("/apps/{app}/keys"), &json!({"scopes": scopes})).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
    let text = |field: &str| reply.json[field].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

/// A credential, and what it gets on a route of each access: in the order of ingest, read, users, admins, admins of an
/// app, uploads. `0` is that it gets in. A route for every credential that is known lets in what another route does not answer with
/// 401.
struct Credential {
    name: &'static str,
    text: Option<String>,
    expected: [u16; 6],
}

/// Of a key in the path, that also says which app is meant: it opens its own, and only keys can stand there.
fn expected_in_path(credential: &Credential, access: Access) -> u16 {
    let scope = credential.text.as_deref().filter(|_| credential.expected[0] != 401 || credential.expected[1] != 401);
    match (scope.and_then(|text| text.strip_prefix("tly_")).and_then(|text| text.get(..2)), access) {
        (None, _) => 401,
        (Some("rw"), _) | (Some("in"), Access::Ingest) | (Some("rd"), Access::Read) => 0,
        (Some(_), _) => 403,
    }
}

fn expected(credential: &Credential, route: &Route) -> u16 {
    if route.path.contains("{key}") {
        return expected_in_path(credential, route.access);
    }
    let at = match route.access {
        Access::Public => return 0,
        Access::Ingest => 0,
        Access::Read => 1,
        Access::Known => {
            let is_known = [0, 403].contains(&credential.expected[0]) || [0, 403].contains(&credential.expected[1]);
            return if is_known { 0 } else { 401 };
        }
        Access::Users | Access::AppUsers => 2,
        Access::Admins => 3,
        Access::AppAdmins => 4,
        Access::Upload => 5,
    };
    credential.expected[at]
}

/// Tokens that Tally would never sign like this.
async fn forged(tally: &Tally) -> Vec<(&'static str, String)> {
    let now = tally.clock.now();
    let ours = tally_service::auth::token::signing_key(&tally.context.store).await.unwrap();
    let claims = json!({"iss": "tally", "aud": "tally", "sub": "eve", "role": "admin", "iat": now.seconds(),
        "exp": (now + HOUR).seconds()});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = part(&json!({"alg": "none", "typ": "JWT", "kid": ours.kid}));
    let hs256 = part(&json!({"alg": "HS256", "typ": "JWT", "kid": ours.kid}));
    let signed = format!("{hs256}.{}", part(&claims));
    let public = ours.public_key(None).unwrap().public;
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), signed.as_bytes());
    let stranger = SigningKey::generate().unwrap();
    let pretender = SigningKey { kid: ours.kid.clone(), ..stranger.clone() };
    let sign = |key: &SigningKey, at| key.sign("eve", Role::Admin, at, HOUR).unwrap().0;
    let real = sign(&ours, now);
    let (head, rest) = real.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    vec![
        ("a text that is no token", "nonsense".to_owned()),
        ("an expired token", sign(&ours, now - HOUR)),
        ("a token signed by another key", sign(&stranger, now)),
        ("a token signed by another key under our name", sign(&pretender, now)),
        ("a token without a signature", format!("{none}.{}.", part(&claims))),
        ("a token signed with the public key as its secret", format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))),
        ("a token with other claims", format!("{head}.{}.{signature}", part(&claims))),
    ]
}

async fn credentials(tally: &Tally, app: &TestApp) -> Vec<Credential> {
    let other = tally.app("other").await;
    let (revoked_id, revoked) = key(tally, "shop", &["ingest", "read"]).await;
    let gone = admin(tally, Method::DELETE, &format!("/apps/shop/keys/{revoked_id}"), &json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let both = key(tally, "shop", &["read", "ingest"]).await.1;
    let uploads = key(tally, "shop", &["upload"]).await.1;
    let no_key = [401, 401, 403, 403, 403, 401];
    let mut all = vec![
        ("nothing", None, [401; 6]),
        ("a key that never was", Some(format!("tly_rw_{}_{}", "0".repeat(12), "0".repeat(40))), no_key),
        ("a revoked key", Some(revoked), no_key),
        ("another app's ingest key", Some(other.ingest_key), [403; 6]),
        ("another app's read key", Some(other.read_key), [403; 6]),
        ("the ingest key", Some(app.ingest_key.clone()), [0, 403, 403, 403, 403, 403]),
        ("the read key", Some(app.read_key.clone()), [403, 0, 403, 403, 403, 403]),
        ("a key for both", Some(both), [0, 0, 403, 403, 403, 403]),
        ("an upload key", Some(uploads), [403, 403, 403, 403, 403, 0]),
        ("a reader", Some(tally.token(Role::Reader).await), [403, 0, 0, 403, 403, 403]),
        ("an admin", Some(tally.token(Role::Admin).await), [0; 6]),
    ];
    all.extend(forged(tally).await.into_iter().map(|(name, text)| (name, Some(text), [401; 6])));
    all.into_iter().map(|(name, text, expected)| Credential { name, text, expected }).collect()
}

async fn ask(tally: &Tally, route: &Route, text: Option<&str>) -> StatusCode {
    let path = [
        ("{app}", "shop"),
        ("{*name}", "a"),
        ("{*user_id}", "a"),
        ("{*path}", "a/2026-11-21.json"),
        ("{report}", "day"),
    ];
    let path = path.into_iter().chain([
        ("{stat}", "hours"),
        ("{id}", "x"),
        ("{key_id}", "x"),
        ("{version}", "x"),
        ("{name}", "x"),
        ("{file}", "script.js"),
        ("{channel}", "x"),
        ("{organization}", "any"),
        ("{debug_id}", "x"),
    ]);
    let path = path.chain([("{key}", text.unwrap_or("none"))]);
    let mut path = path.fold(route.path.to_owned(), |path, (part, value)| path.replace(part, value));
    if path.starts_with("/seismo/api/reports/") {
        // Without a day it is 403 to everybody.
        path.push_str("?date=today");
    }
    let mut request = Request::builder().method(route.method.clone()).uri(path);
    if let Some(text) = text {
        request = request.header("authorization", format!("Bearer {text}"));
    }
    tally.send(request.body(Body::empty()).unwrap()).await.status
}

#[tokio::test]
async fn every_route_admits_exactly_the_right_credentials() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let all = credentials(&tally, &app).await;
    // What ends the app or the sessions comes last.
    let rank = |route: &Route| match (&route.method, route.path) {
        (&Method::DELETE, "/apps/{app}") => 1,
        (&Method::DELETE, "/auth") => 2,
        _ => 0,
    };
    let mut routes = ROUTES.to_vec();
    routes.sort_by_key(|route| rank(route));
    for route in routes {
        for credential in &all {
            let status = ask(&tally, route, credential.text.as_deref()).await.as_u16();
            let about = format!("{} {} with {}: {status}", route.method, route.path, credential.name);
            match expected(credential, route) {
                0 => {
                    assert!(
                        (route.path.ends_with("/auth") || ![401, 403].contains(&status)) && status < 500,
                        "{about}"
                    );
                }
                refused => assert_eq!(status, refused, "{about}"),
            }
        }
    }
}

#[tokio::test]
async fn every_path_of_client_libraries_lets_in_ingest_keys_and_nobody_else() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let all = credentials(&tally, &app).await;
    for known in FAMILY_PATHS {
        let served = known.families.iter().any(|family| PROTOCOLS.iter().any(|protocol| protocol.family() == *family));
        let path = known.path.replace("{project}", "1").replace("{token}", "x").replace("{call}", "track");
        let path = path.replace("{*file}", "array.js").replace("{name}", "shop").replace("{*path}", "_bulk");
        for credential in &all {
            let mut request = Request::post(&path);
            if let Some(text) = &credential.text {
                request = request.header("authorization", format!("Bearer {text}"));
            }
            let status = tally.send(request.body(Body::empty()).unwrap()).await.status.as_u16();
            let about = format!("{path} with {}: {status}", credential.name);
            match expected_in_path(credential, known.access) {
                // Its libraries know no other status of a wrong key.
                refused if refused != 0 && known.families == [Family::Amplitude] => assert_eq!(status, 400, "{about}"),
                _ if !served => assert_eq!(status, 404, "{about}"),
                refused if refused != 0 && known.access != Access::Public => assert_eq!(status, refused, "{about}"),
                _ => assert!(![401, 403].contains(&status) && status < 500, "{about}"),
            }
        }
    }
}

#[tokio::test]
async fn keys_are_created_listed_and_revoked() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "warm"})).await;
    let body = json!({"scopes": ["read", "ingest", "read"], "label": "dashboard"});
    let made = admin(&tally, Method::POST, "/apps/shop/keys", &body).await;
    assert_eq!((made.status, &made.json["label"]), (StatusCode::CREATED, &json!("dashboard")));
    assert_eq!(made.json["scopes"], json!(["ingest", "read"]));
    let (id, text) = (made.json["id"].as_str().unwrap(), made.json["key"].as_str().unwrap());
    assert!(text.starts_with("tly_rw_") && text.contains(id), "{text}");
    let list = admin(&tally, Method::GET, "/apps/shop/keys", &json!({})).await.json;
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert!(column(&list["items"], "id").contains(&&json!(id)) && !list.to_string().contains(text));
    assert_eq!(tally.call(Method::GET, "/apps/shop/events", ("x-read-key", text), "").await.status, 200);

    let path = format!("/apps/shop/keys/{id}");
    // Another process, which remembers the app as it was.
    let far = tally_service::context::Context::new(tally.context.store.clone(), tally.clock.clone(), Config::default());
    let far = tally::server::service(&far);
    let ask_far = async || {
        let request = Request::get("/apps/shop/events").header("x-read-key", text).body(Body::empty()).unwrap();
        let Ok(reply) = tower::ServiceExt::oneshot(far.clone(), request).await;
        reply.status().as_u16()
    };
    assert_eq!(ask_far().await, 200);
    assert_eq!(admin(&tally, Method::DELETE, &path, &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(tally.call(Method::GET, "/apps/shop/events", ("x-read-key", text), "").await.status, 401);
    tally.clock.set(tally.clock.now() + MINUTE);
    assert_eq!(ask_far().await, 401, "within 60 seconds everywhere");
    assert_problem(&admin(&tally, Method::DELETE, &path, &json!({})).await, 404, &[]);

    for (body, fields) in [
        (json!({}), vec!["scopes"]),
        (json!({"scopes": []}), vec!["scopes"]),
        (json!({"scopes": "read"}), vec!["scopes"]),
        (json!({"scopes": ["write"]}), vec!["scopes"]),
        (json!({"scopes": ["upload", "ingest"]}), vec!["scopes"]),
        (json!({"scopes": ["read", "upload"]}), vec!["scopes"]),
        (json!({"scopes": ["upload"], "origins": ["https://a.example"]}), vec!["origins"]),
        (json!({"scopes": ["upload"], "hide": ["data"]}), vec!["scopes"]),
        (json!({"scopes": ["read"], "label": "x".repeat(257), "color": 1}), vec!["color", "label"]),
    ] {
        assert_problem(&admin(&tally, Method::POST, "/apps/shop/keys", &body).await, 400, &fields);
    }
    for _ in 2..50 {
        key(&tally, "shop", &["read"]).await;
    }
    let full = admin(&tally, Method::POST, "/apps/shop/keys", &json!({"scopes": ["read"]})).await;
    assert_problem(&full, 409, &[]);
}

#[tokio::test]
async fn cached_keys_do_not_hide_a_new_key() {
    let tally = Tally::start().await;
    tally.context.tokens.read(&tally.context.store, tally.context.clock.now()).await.expect("no keys yet");
    // Its signing key is made now, within the minute in which a key that was not found is not looked for again.
    let token = tally.token(Role::Admin).await;
    let reply = tally.call(Method::GET, "/apps", ("x-access-token", &token), "").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
}

#[tokio::test]
async fn after_a_rotation_the_old_key_verifies_until_its_tokens_expire() {
    let tally = Tally::with(users()).await;
    let before = sign_in(&tally, "ann", "correct horse").await.json["token"].as_str().unwrap().to_owned();
    let apps =
        async |token: &str| tally.call(Method::GET, "/apps", ("x-access-token", token), "").await.status.as_u16();
    assert_eq!(apps(&before).await, 200);
    let old = tally_service::auth::token::signing_key(&tally.context.store).await.unwrap();
    let rotated = tally.call(Method::POST, "/signing-keys", ("x-access-token", &before), "").await;
    assert_eq!(rotated.status, StatusCode::CREATED, "{}", rotated.json);
    assert_eq!(rotated.json["previous_until"], "2026-11-21T11:13:25.123456Z");
    let after = sign_in(&tally, "ann", "correct horse").await.json["token"].as_str().unwrap().to_owned();
    assert_eq!((apps(&before).await, apps(&after).await), (200, 200));
    let kid = |token: &str| URL_SAFE_NO_PAD.decode(token.split_once('.').unwrap().0).unwrap();
    assert_ne!(kid(&before), kid(&after));
    assert_eq!(tally.context.store.public_keys(tally.clock.now()).await.unwrap().len(), 2);
    // Whoever got hold of the old key could sign what they like, but not for long.
    let long = old.sign("eve", Role::Admin, tally.clock.now(), 24 * HOUR).unwrap().0;
    assert_eq!(apps(&long).await, 200);
    tally.clock.set(tally.clock.now() + HOUR + 5 * MINUTE + SECOND);
    assert_eq!(tally.context.store.public_keys(tally.clock.now()).await.unwrap().len(), 1, "the old half is gone");
    assert_eq!((apps(&before).await, apps(&long).await), (401, 401));
}

#[tokio::test]
async fn ten_failures_lock_sign_in_for_fifteen_minutes() {
    let tally = Tally::with(users()).await;
    for _ in 0..30 {
        assert_eq!(sign_in(&tally, "ann", "correct horse").await.status, 200, "successes do not count");
        tally.clock.set(tally.clock.now() + 30 * SECOND);
    }
    for n in 0..10 {
        assert_problem(&sign_in(&tally, "eve", &format!("guess {n}")).await, 401, &[]);
    }
    let closed = sign_in(&tally, "eve", "guess").await;
    assert_problem(&closed, 429, &[]);
    assert!(closed.headers["retry-after"].to_str().unwrap().parse::<i64>().unwrap() <= 16 * 60);
    // All of them come from one source, which is closed for other users too.
    assert_problem(&sign_in(&tally, "ann", "correct horse").await, 429, &[]);
    tally.clock.set(tally.clock.now() + 16 * MINUTE);
    assert_eq!(sign_in(&tally, "ann", "correct horse").await.status, 200);
}

#[tokio::test]
async fn a_password_with_a_nul_is_refused() {
    let tally = Tally::with(users()).await;
    for (user, password, field) in
        [("ann", "correct horse\0", "password"), ("ann", "\0", "password"), ("ann\0", "correct horse", "username")]
    {
        assert_problem(&sign_in(&tally, user, password).await, 400, &[field]);
    }
    assert_eq!(sign_in(&tally, "ann", "correct horse").await.status, 200);
}

#[tokio::test]
async fn guesses_at_once_are_no_way_around_the_limit() {
    let tally = Tally::with(users()).await;
    let guesses = futures::future::join_all((0..25).map(|_| sign_in(&tally, "ann", "wrong"))).await;
    let tried = guesses.iter().filter(|reply| reply.status == StatusCode::UNAUTHORIZED).count();
    assert!(tried <= 10, "{tried} of them were looked at");
}

#[tokio::test]
async fn correct_passwords_at_once_all_sign_in() {
    let tally = Tally::with(users()).await;
    let replies = futures::future::join_all((0..30).map(|_| sign_in(&tally, "ann", "correct horse"))).await;
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, [200; 30]);
    assert_eq!(sign_in(&tally, "ann", "correct horse").await.status, 200);
}

#[tokio::test]
async fn a_client_that_hangs_up_has_not_failed() {
    let tally = Tally::with(users()).await;
    for _ in 0..12 {
        let before = tally.usage().write_requests;
        let begun = async {
            // One for the user, and one for the source.
            while tally.usage().write_requests < before + 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = begun => {}
            reply = sign_in(&tally, "ann", "correct horse") => assert_eq!(reply.status, 200),
        }
    }
    assert_eq!(sign_in(&tally, "ann", "correct horse").await.status, 200);
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_is_forgotten() {
    let tally = Tally::with(users()).await;
    let store = &tally.context.store;
    for _ in 0..10 {
        // Its process ends here.
        assert!(Attempt::begin(store, tally.clock.now(), Some("ann"), "elsewhere").await.is_ok());
    }
    tally.clock.set(tally.clock.now() + 3 * MINUTE);
    assert_eq!(sign_in(&tally, "ann", "correct horse").await.status, 200);
}

#[tokio::test]
async fn a_good_sign_in_does_not_depend_on_forgiving_the_attempt() {
    let ends = |body: &Value| {
        body["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("sign-in#"))
            && body["ExpressionAttributeValues"].to_string().contains(r#""-1""#)
    };
    let tally = Tally::failing_as(users(), move |operation, body| {
        if operation == "UpdateItem" && ends(body) { Fault::error(400, "ValidationException") } else { Fault::None }
    })
    .await;
    assert_eq!(sign_in(&tally, "ann", "correct horse").await.status, 200);
    // A guess that cannot be counted is not answered.
    assert_problem(&sign_in(&tally, "ann", "wrong").await, 500, &[]);
}

/// A stand-in for the GitHub API; how often it was asked.
pub(crate) async fn github() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let user = async move |headers: HeaderMap| {
        counter.fetch_add(1, Ordering::SeqCst);
        let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        // GitHub refuses who does not say what they are.
        if of("user-agent").is_empty() {
            return (StatusCode::FORBIDDEN, String::new());
        }
        match of("authorization").as_str() {
            "Bearer ghp_ann" => (StatusCode::OK, json!({"login": "Ann-Octocat", "id": 1}).to_string()),
            "Bearer ghp_eve" => (StatusCode::OK, json!({"login": "eve", "id": 2}).to_string()),
            "Bearer ghp_down" => (StatusCode::BAD_GATEWAY, String::new()),
            _ => (StatusCode::UNAUTHORIZED, json!({"message": "Bad credentials"}).to_string()),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let routes = axum::Router::new().route("/user", get(user));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (base, asked)
}

#[tokio::test]
async fn github_identifies_a_token_and_the_settings_decide_who_may_sign_in() {
    let (base, asked) = github().await;
    let users = Users::parse(r#"[{"github": "ann-octocat", "role": "admin"}]"#).unwrap();
    let tally = Tally::with(Config { users, github_api: base, ..Config::default() }).await;
    let sign_in = async |token: &str| {
        let body = json!({"token": token}).to_string();
        tally.call(Method::POST, "/auth", ("content-type", "application/json"), body).await
    };
    let reply = sign_in("ghp_ann").await;
    assert_eq!((reply.status, &reply.json["user"]), (StatusCode::OK, &json!("ann-octocat")), "{}", reply.json);
    assert_eq!(reply.json["role"], "admin");
    let token = reply.json["token"].as_str().unwrap();
    assert_eq!(tally.call(Method::GET, "/apps", ("x-access-token", token), "").await.status, 200);
    assert_problem(&sign_in("ghp_eve").await, 401, &[]);
    assert_problem(&sign_in("ghp_unknown").await, 401, &[]);
    let down = sign_in("ghp_down").await;
    assert_problem(&down, 503, &[]);
    assert!(down.headers.contains_key("retry-after"));
    assert_problem(&sign_in("two words").await, 400, &["token"]);
    let mut failures = 2;
    while failures < 10 {
        // On a busy machine the stand-in may not answer in time, and then nothing was learned.
        match sign_in("ghp_unknown").await.status.as_u16() {
            401 => failures += 1,
            other => assert_eq!(other, 503),
        }
    }
    let before = asked.load(Ordering::SeqCst);
    assert_problem(&sign_in("ghp_ann").await, 429, &[]);
    assert_eq!(asked.load(Ordering::SeqCst), before, "who is refused is not looked up");
    let both = json!({"token": "a", "username": "b", "password": "c"}).to_string();
    let reply = tally.call(Method::POST, "/auth", ("content-type", "application/json"), both).await;
    assert_problem(&reply, 400, &["token"]);
}

#[tokio::test]
async fn a_cookie_authorizes_changes_only_from_our_own_origin() {
    let read_origins = tally_service::config::Origins::Only(vec!["https://board.example".into()]);
    let tally = Tally::with(Config { read_origins, ..Config::default() }).await;
    let cookie = format!("token={}", tally.token(Role::Admin).await);
    for (name, headers, expected) in [
        ("curl", vec![], 201),
        ("our page", vec![("sec-fetch-site", "same-origin"), ("origin", "https://tally.example")], 201),
        ("an address typed in", vec![("sec-fetch-site", "none")], 201),
        ("a page that may read", vec![("sec-fetch-site", "same-site"), ("origin", "https://board.example")], 201),
        ("a sibling", vec![("sec-fetch-site", "same-site"), ("origin", "https://evil.tally.example")], 403),
        ("a stranger", vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], 403),
        ("a stranger in an old browser", vec![("origin", "https://evil.example")], 403),
        ("our page in an old browser", vec![("origin", "https://tally.example")], 201),
        ("a sandbox in an old browser", vec![("origin", "null")], 403),
        ("a sandbox", vec![("sec-fetch-site", "same-origin"), ("origin", "null")], 403),
    ] {
        let path = format!("/apps/{}", name.replace(' ', "-"));
        let mut request = Request::post(path).header("cookie", &cookie).header("host", "tally.example");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let reply = tally.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, expected, "{name}: {}", reply.json);
    }
    for (name, value) in
        [("accept", "*/*"), ("origin", "null"), ("origin", "https://tally.example"), ("sec-fetch-site", "same-origin")]
    {
        let request = Request::post("/apps/no-host").header("cookie", &cookie).header(name, value);
        let reply = tally.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 403, "no host, {name}: {value}");
    }
    let read = Request::get("/apps").header("cookie", &cookie).header("sec-fetch-site", "cross-site");
    assert_eq!(tally.send(read.body(Body::empty()).unwrap()).await.status, 200, "a link to a report works");
}

/// Any page could sign its visitor in as itself, and learn what is entered from then on.
#[tokio::test]
async fn a_page_of_another_origin_sets_no_cookie() {
    let read_origins = tally_service::config::Origins::Only(vec!["https://board.example".into()]);
    let tally = Tally::with(Config { read_origins, ..users() }).await;
    for (who, headers, is_set) in [
        ("curl", vec![], true),
        ("our page", vec![("sec-fetch-site", "same-origin"), ("origin", "https://tally.example")], true),
        ("our page in an old browser", vec![("origin", "https://tally.example")], true),
        ("a page that may read", vec![("sec-fetch-site", "cross-site"), ("origin", "https://board.example")], true),
        ("a stranger", vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], false),
        ("a stranger in an old browser", vec![("origin", "https://evil.example")], false),
        ("a form in a frame", vec![("sec-fetch-site", "cross-site"), ("origin", "null")], false),
        ("a sibling", vec![("sec-fetch-site", "same-site"), ("origin", "https://evil.tally.example")], false),
    ] {
        let call = async |method: Method, path: &str, own: Vec<(&str, String)>, body: String| {
            let mut request = Request::builder().method(method).uri(path).header("host", "tally.example");
            for (name, value) in own.into_iter().chain(headers.iter().map(|(name, value)| (*name, (*value).to_owned())))
            {
                request = request.header(name, value);
            }
            tally.send(request.body(Body::from(body)).unwrap()).await
        };
        let sets = |reply: &Reply| reply.headers.contains_key("set-cookie");
        let password = json!({"username": "ann", "password": "correct horse"}).to_string();
        let mut token = String::new();
        for path in ["/auth", "/seismo/auth"] {
            let json = vec![("content-type", "application/json".to_owned())];
            let reply = call(Method::POST, path, json, password.clone()).await;
            assert_eq!((reply.status.as_u16(), sets(&reply)), (200, is_set), "{who}: {path}");
            reply.json["token"].as_str().expect("a token").clone_into(&mut token);
        }
        tally.clock.set(tally.clock.now() + 45 * MINUTE);
        let reply = call(Method::GET, "/auth", vec![("x-access-token", token)], String::new()).await;
        assert_eq!((reply.status.as_u16(), sets(&reply)), (200, is_set), "{who}: a renewed token");
        let token = reply.json["token"].as_str().expect("the new token").to_owned();
        let reply = call(Method::DELETE, "/auth", vec![("x-access-token", token)], String::new()).await;
        assert_eq!((reply.status.as_u16(), sets(&reply)), (204, is_set), "{who}: sign-out");
    }
}

#[tokio::test]
async fn a_credential_that_is_sent_twice_is_named() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let (read, token) = (&app.read_key, tally.token(Role::Admin).await);
    for (query, expected) in [
        (format!("read_key={read}"), None),
        (format!("read_key={read}&read_key={read}"), Some("read_key")),
        (format!("read_key={read}&read_key="), Some("read_key")),
        (format!("read_key=&read_key={read}"), Some("read_key")),
        (format!("read_key=wrong&read_key={read}"), Some("read_key")),
        (format!("read_key={read}&name=a&access_token={token}"), Some("access_token")),
        (format!("access_token={token}&ingest_key={}", app.ingest_key), Some("ingest_key")),
        (format!("access_token={token}&access_token={token}"), Some("access_token")),
    ] {
        for path in ["/apps/shop/events", "/apps/shop/stats/by-name", "/apps/shop"] {
            let request = Request::get(format!("{path}?{}", query.replace("&name=a", ""))).body(Body::empty()).unwrap();
            let reply = tally.send(request).await;
            match expected {
                Some(name) => assert_problem(&reply, 400, &[name]),
                None => assert_eq!(reply.status, 200, "{path}: {}", reply.json),
            }
        }
    }
    for (name, value) in [
        ("x-read-key", read.clone()),
        ("x-access-token", token.clone()),
        ("x-ingest-key", app.ingest_key.clone()),
        ("authorization", format!("Bearer {token}")),
    ] {
        let request = Request::get("/apps/shop/events").header(name, &value).header(name, &value);
        assert_problem(&tally.send(request.body(Body::empty()).unwrap()).await, 400, &[name]);
    }
    let sent = Request::post(format!("/apps/shop/count/a?ingest_key={0}&ingest_key={0}", app.ingest_key));
    assert_problem(&tally.send(sent.body(Body::empty()).unwrap()).await, 400, &["ingest_key"]);
    // The order of different places is documented: a proxy may need a header of its own.
    let request = Request::get("/apps/shop/events?read_key=wrong").header("x-read-key", read);
    let request = request.header("authorization", "Basic cHJveHk6c2VjcmV0").header("cookie", "token=old; token=older");
    assert_eq!(tally.send(request.body(Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_malformed_credential_is_named_for_what_it_is() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let cut = app.ingest_key[..30].to_owned();
    let longer = format!("{}x", app.ingest_key);
    for (method, path, text, part) in [
        (Method::POST, "/apps/shop/events", "secret", "this is not a key: keys begin with `tly_`"),
        (Method::GET, "/apps/shop/events", "secret", "this is not a key: keys begin with `tly_`"),
        (Method::POST, "/apps/shop/events", &cut, "not a whole key"),
        (Method::POST, "/apps/shop/events", &longer, "not a whole key"),
        (Method::GET, "/apps", "secret", "this is not an access token"),
        (Method::POST, "/apps/shop/events", "a.b.c", "the access token is not valid"),
    ] {
        for (header, value) in [("authorization", format!("Bearer {text}")), ("x-ingest-key", text.to_owned())] {
            let reply = tally.call(method.clone(), path, (header, &value), r#"{"name":"a"}"#).await;
            assert_problem(&reply, 401, &[]);
            let detail = reply.json["detail"].as_str().unwrap();
            assert!(detail.contains(part) && !detail.contains("tly_in"), "{path} {header}: {detail}");
        }
    }
}

#[tokio::test]
async fn other_cookies_may_hold_any_bytes() {
    let tally = Tally::start().await;
    let token = tally.token(Role::Admin).await;
    for other in ["zo\u{eb}".as_bytes(), b"zo\xeb", b"\xff\xfe", b"=;=", b"\"a b\""] {
        for cookies in [
            [b"name=", other, b"; token=", token.as_bytes()].concat(),
            [b"token=", token.as_bytes(), b"; name=", other].concat(),
        ] {
            let request = Request::get("/apps").header("cookie", http::HeaderValue::from_bytes(&cookies).unwrap());
            let reply = tally.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(reply.status, 200, "{}: {}", String::from_utf8_lossy(&cookies), reply.json);
        }
    }
}

#[tokio::test]
async fn requests_have_limits_and_replies_their_headers() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let long = "x".repeat(9 * 1024);
    assert_problem(&tally.get(&app, &format!("/events?name={long}")).await, 400, &[""]);
    let header = "x".repeat(17 * 1024);
    assert_problem(&tally.call(Method::GET, "/", ("x-much", &header), "").await, 400, &[""]);
    for (path, status) in [("/", 200), ("/nothing", 404), ("/apps/shop/events", 401)] {
        let reply = tally.call(Method::GET, path, ("accept", "*/*"), "").await;
        assert_eq!(reply.status, status);
        for (name, part) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'"),
            ("strict-transport-security", "max-age="),
        ] {
            assert!(reply.headers[name].to_str().unwrap().contains(part), "{path}: {name}");
        }
        assert_eq!(reply.headers["x-request-id"].len(), 26);
    }
}

#[tokio::test]
async fn a_new_key_works_at_once_wherever_its_app_was_just_read() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    // Another process, which read the app in the very moment in which a key is made.
    let far = tally_service::context::Context::new(tally.context.store.clone(), tally.clock.clone(), Config::default());
    let router = tally::server::service(&far);
    let send = async |path: &str, key: &str| {
        let request = Request::post(path).header("x-ingest-key", key).body(Body::empty()).unwrap();
        let Ok(reply) = tower::ServiceExt::oneshot(router.clone(), request).await;
        reply.status().as_u16()
    };
    assert_eq!(send("/apps/shop/count/a", &app.ingest_key).await, 201);
    let new = key(&tally, "shop", &["ingest", "read"]).await.1;
    assert_eq!(send("/apps/shop/count/a", &new).await, 201);
    let newest = key(&tally, "shop", &["ingest", "read"]).await.1;
    assert_eq!(send(&format!("/event-tracker/{newest}/api/events/a"), "").await, 201);
    let reads = || tally.usage().read_requests;
    let before = reads();
    let wrong = format!("{}{}", &newest[..newest.len() - 4], if newest.ends_with("0000") { "1111" } else { "0000" });
    assert_eq!(send("/apps/shop/count/a", &wrong).await, 401);
    assert_eq!(reads() - before, 0, "a wrong secret of a known key costs nothing");
    assert_eq!(send("/apps/shop/count/a", &format!("tly_rw_{}_{}", "0".repeat(12), "0".repeat(40))).await, 401);
    assert_eq!(reads() - before, 1, "a key that never was costs a read");
}
