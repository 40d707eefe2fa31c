//! Sessions: `GET /auth`, `DELETE /auth`, and what other processes know of them.

use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request, StatusCode};
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{HOUR, MINUTE, SECOND};
use tally_service::auth::sign_in_code;
use tally_service::auth::user::Users;
use tally_service::config::Config;
use tally_service::context::Context;
use tower::ServiceExt;

use crate::admin::{sign_in, users};
use crate::harness::{Reply, Tally, assert_problem};

/// What one process answers to a token, on a route of each function: ingest, query, reports, admin.
async fn statuses(router: &Router, token: &str) -> [u16; 4] {
    let mut statuses = [0; 4];
    for (status, (method, path)) in statuses.iter_mut().zip([
        (Method::POST, "/apps/shop/count/a"),
        (Method::GET, "/apps/shop/events"),
        (Method::GET, "/apps/shop/stats/by-level"),
        (Method::GET, "/apps"),
    ]) {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let Ok(reply) = router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
        *status = reply.status().as_u16();
    }
    statuses
}

/// The service of another process over the same tables.
pub(crate) fn far(tally: &Tally, config: Config) -> Router {
    let tables = tally.context.config.tables.clone();
    let config = Config { tables, ..config };
    tally::server::service(&Context::new(tally.context.store.clone(), tally.clock.clone(), config))
}

async fn ask(tally: &Tally, method: Method, headers: &[(&str, &str)]) -> Reply {
    let request = Request::builder().method(method).uri("/auth").header("host", "tally.example");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    tally.send(request.body(Body::empty()).unwrap()).await
}

fn token_of(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    reply.json["token"].as_str().expect("a token").to_owned()
}

/// The value of the cookie that a reply sets.
fn cookie_of(reply: &Reply) -> Option<String> {
    let set = reply.headers.get("set-cookie")?.to_str().unwrap();
    for part in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
        assert!(set.contains(part), "{set}");
    }
    Some(set.strip_prefix("token=").unwrap().split(';').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_session_that_is_signed_out_is_refused_everywhere_within_a_minute() {
    let tally = Tally::with(users()).await;
    tally.app("shop").await;
    let (near, far) = (far(&tally, Config::default()), far(&tally, Config::default()));
    let token = token_of(&sign_in(&tally, "ann", "correct horse").await);
    let other = token_of(&sign_in(&tally, "ann", "correct horse").await);
    for router in [&near, &far] {
        assert_eq!(statuses(router, &token).await, [201, 200, 200, 200]);
    }
    let request = Request::delete("/auth").header("authorization", format!("Bearer {token}"));
    let Ok(gone) = near.clone().oneshot(request.body(Body::empty()).unwrap()).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let cookie = gone.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("token=;") && cookie.contains("Max-Age=0"), "{cookie}");
    assert_eq!(statuses(&near, &token).await, [401; 4], "at once where it was signed out");
    tally.clock.set(tally.clock.now() + MINUTE);
    assert_eq!(statuses(&far, &token).await, [401; 4]);
    assert_eq!(statuses(&far, &other).await, [201, 200, 200, 200], "another session of the user goes on");
    let refused = ask(&tally, Method::DELETE, &[("authorization", &format!("Bearer {token}"))]).await;
    assert_problem(&refused, 401, &[]);
    assert!(refused.json["detail"].as_str().unwrap().contains("signed out"), "{}", refused.json);
}

#[tokio::test]
async fn the_list_of_sessions_is_read_once_a_minute_and_holds_no_expired_ones() {
    let tally = Tally::with(users()).await;
    tally.app("shop").await;
    let far = far(&tally, Config::default());
    let token = tally.token(Role::Admin).await;
    assert_eq!(statuses(&far, &token).await, [201, 200, 200, 200]);
    let apps = async || {
        let before = tally.usage().read_requests;
        let request = Request::get("/apps").header("x-access-token", &token).body(Body::empty()).unwrap();
        let Ok(reply) = far.clone().oneshot(request).await;
        assert_eq!(reply.status(), StatusCode::OK);
        tally.usage().read_requests - before
    };
    let alone = apps().await;
    tally.clock.set(tally.clock.now() + MINUTE);
    assert_eq!((apps().await, apps().await), (alone + 1, alone));

    let store = &tally.context.store;
    for (sid, hours) in [("a", 1), ("b", 2), ("c", 3)] {
        store.revoke_session(sid, tally.clock.now() + hours * HOUR).await.unwrap();
    }
    let left = store.revoked_sessions(tally.clock.now() + 90 * MINUTE).await.unwrap();
    assert_eq!(left, ["b", "c"].map(str::to_owned).into());
}

#[tokio::test]
async fn a_process_that_cannot_read_the_list_lets_nobody_in() {
    let is_list = |body: &Value| body.to_string().contains("revoked-sessions");
    let tally = Tally::failing_as(users(), move |operation, body| {
        if operation == "Query" && is_list(body) {
            crate::faulty::Fault::error(400, "ProvisionedThroughputExceededException")
        } else {
            crate::faulty::Fault::None
        }
    })
    .await;
    let token = tally.token(Role::Admin).await;
    assert_problem(&tally.call(Method::GET, "/apps", ("x-access-token", &token), "").await, 503, &[]);
}

#[tokio::test]
async fn a_token_without_a_session_is_good_until_it_expires() {
    let tally = Tally::with(users()).await;
    let ours = tally_service::auth::token::signing_key(&tally.context.store).await.unwrap();
    let now = tally.clock.now();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(&json!({"alg": "EdDSA", "typ": "JWT", "kid": ours.kid}));
    // As version 0.1 signed them.
    let claims = json!({"iss": "tally", "aud": "tally", "sub": "ann", "role": "admin", "iat": now.seconds(),
        "exp": (now + HOUR).seconds()});
    let signed = format!("{head}.{}", part(&claims));
    let pair = Ed25519KeyPair::from_pkcs8(&ours.pkcs8).unwrap();
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes())));
    let bearer = format!("Bearer {token}");
    tally.clock.set(now + 50 * MINUTE);
    let read = ask(&tally, Method::GET, &[("authorization", &bearer)]).await;
    assert_eq!((read.status.as_u16(), &read.json["user"]), (200, &json!("ann")), "{}", read.json);
    assert_eq!(cookie_of(&read), None, "it is not renewed");
    let gone = ask(&tally, Method::DELETE, &[("authorization", &bearer)]).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(&tally, Method::GET, &[("authorization", &bearer)]).await.status, 200);
    tally.clock.set(now + HOUR);
    assert_problem(&ask(&tally, Method::GET, &[("authorization", &bearer)]).await, 401, &[]);
}

#[tokio::test]
async fn a_session_in_use_is_renewed_for_twelve_hours() {
    let tally = Tally::with(users()).await;
    let began = tally.clock.now();
    let mut token = token_of(&sign_in(&tally, "ann", "correct horse").await);
    let first = token.clone();
    let with_cookie = async |token: &str| ask(&tally, Method::GET, &[("cookie", &format!("token={token}"))]).await;
    let fresh = with_cookie(&token).await;
    assert_eq!(fresh.json, json!({"user": "ann", "role": "admin", "expires_at": "2026-11-21T11:08:25Z"}));
    assert_eq!(cookie_of(&fresh), None);
    tally.clock.set(began + 29 * MINUTE);
    assert_eq!(cookie_of(&with_cookie(&token).await), None, "more than half of it is left");

    let mut renewals = 0;
    while tally.clock.now() < began + 13 * HOUR {
        tally.clock.set(tally.clock.now() + 20 * MINUTE);
        let reply = with_cookie(&token).await;
        if reply.status == StatusCode::UNAUTHORIZED {
            break;
        }
        assert!(reply.json.get("token").is_none(), "no script may read it");
        if let Some(renewed) = cookie_of(&reply) {
            assert_ne!(renewed, token);
            let expires = reply.json["expires_at"].as_str().unwrap().parse().unwrap();
            assert!(tally.clock.now() < expires && expires <= began + 12 * HOUR, "{}", reply.json);
            token = renewed;
            renewals += 1;
        }
    }
    assert!(renewals > 11, "{renewals}");
    let lasted = tally.clock.now() - began;
    assert!(lasted >= 12 * HOUR && lasted <= 12 * HOUR + 20 * MINUTE, "{lasted:?}");
    assert_eq!(with_cookie(&first).await.status, 401);
}

#[tokio::test]
async fn a_sign_out_ends_all_tokens_of_a_session() {
    let tally = Tally::with(users()).await;
    let before = token_of(&sign_in(&tally, "ann", "correct horse").await);
    tally.clock.set(tally.clock.now() + 40 * MINUTE);
    let renewed = ask(&tally, Method::GET, &[("authorization", &format!("Bearer {before}"))]).await;
    let after = token_of(&renewed);
    assert_eq!(cookie_of(&renewed).as_ref(), Some(&after));
    let status = async |token: &str| ask(&tally, Method::GET, &[("x-access-token", token)]).await.status.as_u16();
    assert_eq!((status(&before).await, status(&after).await), (200, 200));
    // The first is lost, and yet none of them works.
    assert_eq!(ask(&tally, Method::DELETE, &[("x-access-token", &before)]).await.status, 204);
    assert_eq!((status(&before).await, status(&after).await), (401, 401));
    tally.clock.set(tally.clock.now() + 30 * MINUTE);
    let later = tally::server::service(&Context::new(
        tally.context.store.clone(),
        tally.clock.clone(),
        Config { tables: tally.context.config.tables.clone(), ..Config::default() },
    ));
    let request = Request::get("/auth").header("x-access-token", &after).body(Body::empty()).unwrap();
    let Ok(reply) = later.oneshot(request).await;
    assert_eq!(reply.status(), 401, "the note outlives the token that was signed out");
}

#[tokio::test]
async fn a_token_is_renewed_only_for_who_may_have_it() {
    let tally = Tally::with(users()).await;
    let token = token_of(&sign_in(&tally, "ann", "correct horse").await);
    tally.clock.set(tally.clock.now() + 40 * MINUTE);
    let cookie = format!("token={token}");
    let from = |site| [("cookie", cookie.as_str()), ("sec-fetch-site", site)];
    for (headers, renews) in [
        (from("cross-site").to_vec(), false),
        (from("same-site").to_vec(), false),
        (from("same-origin").to_vec(), true),
        (from("none").to_vec(), true),
        (vec![("authorization", &*format!("Bearer {token}"))], true),
        (vec![("x-access-token", &*token)], true),
    ] {
        let reply = ask(&tally, Method::GET, &headers).await;
        assert_eq!(reply.status, 200, "{headers:?}");
        assert_eq!(cookie_of(&reply).is_some(), renews, "{headers:?}");
        assert_eq!(reply.json.get("token").is_some(), renews && headers[0].0 != "cookie", "{headers:?}");
    }
    let reply = tally.call(Method::GET, &format!("/auth?access_token={token}"), ("accept", "*/*"), "").await;
    assert_eq!((reply.status.as_u16(), cookie_of(&reply)), (200, None), "an address is no place for a session");
    let strange = ask(&tally, Method::DELETE, &from("cross-site")).await;
    assert_problem(&strange, 403, &[]);

    // What the settings say by now.
    let hash = bcrypt::hash("correct horse", tally_service::auth::user::COST).unwrap();
    for (users, role) in [
        (json!([{"user": "ann", "password_hash": hash, "role": "reader"}]), Some("reader")),
        (json!([{"user": "bob", "password_hash": hash, "role": "admin"}]), None),
    ] {
        let config = Config { users: Users::parse(&users.to_string()).unwrap(), ..Config::default() };
        let request = Request::get("/auth").header("x-access-token", &token).body(Body::empty()).unwrap();
        let Ok(reply) = far(&tally, config).oneshot(request).await;
        assert_eq!(reply.headers().contains_key("set-cookie"), role.is_some());
        let body = http_body_util::BodyExt::collect(reply.into_body()).await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["role"], role.unwrap_or("admin"), "a token keeps its role until it expires");
    }
}

#[tokio::test]
async fn a_key_is_told_what_it_is() {
    let tally = Tally::start().await;
    let app = tally.app("The Shop").await;
    for (key, scope) in [(&app.ingest_key, "ingest"), (&app.read_key, "read")] {
        let reply = ask(&tally, Method::GET, &[("authorization", &format!("Bearer {key}"))]).await;
        assert_eq!(reply.status, 200, "{}", reply.json);
        assert_eq!((&reply.json["app"], &reply.json["app_name"]), (&json!("the-shop"), &json!("The Shop")));
        assert_eq!((&reply.json["scopes"], &reply.json["label"]), (&json!([scope]), &json!(null)));
        assert_problem(&ask(&tally, Method::DELETE, &[("authorization", &format!("Bearer {key}"))]).await, 403, &[]);
    }
    assert_problem(&ask(&tally, Method::GET, &[]).await, 401, &[]);
}

async fn use_link(tally: &Tally, code: &str) -> Reply {
    let body = json!({"sign_in": code}).to_string();
    tally.call(Method::POST, "/auth", ("content-type", "application/json"), body).await
}

#[tokio::test]
async fn a_sign_in_link_works_once() {
    let tally = Tally::with(users()).await;
    let link = async || sign_in_code::make(&tally.context.store, "ann", tally.clock.now()).await.unwrap();
    let code = link().await;
    assert!(!format!("{:?}", tally.context.store.sign_in_code(&code[..12]).await).contains(&code[13..]), "hashed");
    // Whoever knows its first part alone does not use it up.
    let wrong = format!("{}_{}", &code[..12], "0".repeat(40));
    for unknown in [wrong.as_str(), "nonsense", &"0".repeat(53)] {
        assert_problem(&use_link(&tally, unknown).await, 401, &[]);
    }
    let signed_in = use_link(&tally, &code).await;
    let token = token_of(&signed_in);
    assert_eq!((&signed_in.json["user"], &signed_in.json["role"]), (&json!("ann"), &json!("admin")));
    assert_eq!(cookie_of(&signed_in).as_ref(), Some(&token));
    assert_eq!(tally.call(Method::GET, "/apps", ("x-access-token", &token), "").await.status, 200);
    let again = use_link(&tally, &code).await;
    assert_problem(&again, 401, &[]);
    assert!(again.json["detail"].as_str().unwrap().contains("used already"), "{}", again.json);

    let (late, early) = (link().await, link().await);
    tally.clock.set(tally.clock.now() + 10 * MINUTE - SECOND);
    assert_eq!(use_link(&tally, &early).await.status, 200);
    tally.clock.set(tally.clock.now() + SECOND);
    let expired = use_link(&tally, &late).await;
    assert_problem(&expired, 401, &[]);
    assert!(expired.json["detail"].as_str().unwrap().contains("expired at 2026-11-21T10:18:25Z"), "{}", expired.json);

    let code = link().await;
    let all = futures::future::join_all((0..5).map(|_| use_link(&tally, &code))).await;
    assert_eq!(all.iter().filter(|reply| reply.status == 200).count(), 1, "once, also of many at once");
    let gone = sign_in_code::make(&tally.context.store, "eve", tally.clock.now()).await.unwrap();
    tally.clock.set(tally.clock.now() + MINUTE);
    assert_problem(&use_link(&tally, &gone).await, 401, &[]);
    let both = json!({"sign_in": "a", "password": "b", "token": "c"}).to_string();
    let reply = tally.call(Method::POST, "/auth", ("content-type", "application/json"), both).await;
    assert_problem(&reply, 400, &["password", "token"]);
}

#[tokio::test]
async fn guessing_links_has_the_same_limit_as_guessing_passwords() {
    let tally = Tally::with(users()).await;
    let good = sign_in_code::make(&tally.context.store, "ann", tally.clock.now()).await.unwrap();
    for _ in 0..10 {
        assert_problem(&use_link(&tally, "nonsense").await, 401, &[]);
    }
    assert_problem(&use_link(&tally, &good).await, 429, &[]);
}
