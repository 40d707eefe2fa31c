//! Saved views of the page.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::app::view::ViewOwner;
use tally_core::time::HOUR;

use crate::erase::erase_app;
use crate::harness::{Reply, Tally, assert_problem};

/// A token of a user with a name.
async fn token(tally: &Tally, user: &str, role: Role) -> String {
    let key = tally_service::auth::token::signing_key(&tally.context.store).await.unwrap();
    key.sign(user, role, tally.clock.now(), HOUR).unwrap().0
}

async fn call(tally: &Tally, token: &str, method: Method, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { Body::empty() } else { body.to_string().into() };
    tally.call(method, &format!("/apps/shop/views{path}"), ("x-access-token", token), body).await
}

async fn list(tally: &Tally, token: &str) -> Vec<Value> {
    let reply = call(tally, token, Method::GET, "", &Value::Null).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    reply.json["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_view_is_saved_changed_and_deleted() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let ann = token(&tally, "ann", Role::Reader).await;
    let query = "view=events&level=ERROR,FATAL&name[ne]=a%20b&since=24h";
    let made = call(&tally, &ann, Method::PUT, "/Errors%20today", &json!({"query": query})).await;
    let expected = json!({"name": "Errors today", "query": query, "scope": "me", "default": false, "by": "ann",
        "created_at": tally.clock.now().to_string()});
    assert_eq!((made.status.as_u16(), &made.json), (201, &expected));
    assert_eq!(list(&tally, &ann).await, vec![expected.clone()]);

    tally.clock.set(tally.clock.now() + HOUR);
    let ann = token(&tally, "ann", Role::Reader).await;
    let changed = json!({"query": "view=overview", "scope": "me", "default": true});
    let changed = call(&tally, &ann, Method::PUT, "/Errors%20today", &changed).await;
    assert_eq!((changed.status.as_u16(), &changed.json["default"]), (200, &json!(true)));
    assert_eq!(changed.json["created_at"], expected["created_at"]);

    assert_eq!(call(&tally, &ann, Method::DELETE, "/Errors%20today", &Value::Null).await.status, 204);
    assert_problem(&call(&tally, &ann, Method::DELETE, "/Errors%20today", &Value::Null).await, 404, &[]);
    assert!(list(&tally, &ann).await.is_empty());
    // An empty parameter counts as absent.
    assert_problem(&call(&tally, &ann, Method::DELETE, "/a?scope=", &Value::Null).await, 404, &[]);
}

#[tokio::test]
async fn views_of_a_user_are_seen_by_nobody_else_and_those_of_the_app_by_all_who_read() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let other = tally.app("other").await;
    let (ann, bob) = (token(&tally, "ann", Role::Admin).await, token(&tally, "bob", Role::Reader).await);
    for (who, scope) in [(&ann, "me"), (&bob, "me"), (&ann, "app")] {
        let saved = call(&tally, who, Method::PUT, "/Errors", &json!({"query": scope, "scope": scope})).await;
        assert_eq!(saved.status, 201, "{}", saved.json);
    }
    let refused = call(&tally, &bob, Method::PUT, "/Errors", &json!({"scope": "app"})).await;
    assert_problem(&refused, 403, &[]);
    assert_problem(&call(&tally, &bob, Method::DELETE, "/Errors?scope=app", &Value::Null).await, 403, &[]);

    let of = |items: &Vec<Value>| items.iter().map(|i| (i["scope"].clone(), i["by"].clone())).collect::<Vec<_>>();
    assert_eq!(of(&list(&tally, &bob).await), [(json!("me"), json!("bob")), (json!("app"), json!("ann"))]);
    let by_key = tally.get(&app, "/views").await.json["items"].clone();
    assert_eq!((by_key.as_array().unwrap().len(), &by_key[0]["scope"]), (1, &json!("app")));
    assert!(by_key[0].get("by").is_none(), "a visitor learns of no user: {by_key}");
    assert_eq!(tally.get(&other, "/views").await.json["items"], json!([]), "another app has its own");
    for method in [Method::PUT, Method::DELETE] {
        let reply = tally.call(method, "/apps/shop/views/Errors", ("x-read-key", &app.read_key), "").await;
        assert_problem(&reply, 403, &[]);
    }
    // The owner's goes, that of the app stays.
    assert_eq!(call(&tally, &ann, Method::DELETE, "/Errors?scope=me", &Value::Null).await.status, 204);
    assert_eq!(of(&list(&tally, &ann).await), [(json!("app"), json!("ann"))]);
}

#[tokio::test]
async fn one_view_of_a_scope_is_the_default() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let ann = token(&tally, "ann", Role::Admin).await;
    for (name, scope) in [("a", "me"), ("b", "me"), ("a", "app"), ("b", "app")] {
        let body = json!({"query": "x", "scope": scope, "default": true});
        assert_eq!(call(&tally, &ann, Method::PUT, &format!("/{name}"), &body).await.status, 201);
    }
    let items = list(&tally, &ann).await;
    let defaults: Vec<_> = items.iter().map(|i| (&i["scope"], &i["name"], &i["default"])).collect();
    let (me, app, yes, no) = (json!("me"), json!("app"), json!(true), json!(false));
    let (a, b) = (json!("a"), json!("b"));
    assert_eq!(defaults, [(&me, &a, &no), (&me, &b, &yes), (&app, &a, &no), (&app, &b, &yes)]);
}

#[tokio::test]
async fn what_no_view_can_be_is_refused_and_named() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let ann = token(&tally, "ann", Role::Admin).await;
    for (path, body, fields) in [
        ("/a", json!({"query": "x".repeat(2_049)}), vec!["query"]),
        ("/a", json!({"query": "a b"}), vec!["query"]),
        ("/a", json!({"query": "?a=b"}), vec!["query"]),
        ("/a", json!({"query": format!("view=events&read_key={}", app.read_key)}), vec!["query"]),
        ("/a", json!({"query": 5, "scope": "all", "default": "yes"}), vec!["default", "query", "scope"]),
        ("/a", json!({"query": "x", "title": "t"}), vec!["title"]),
        ("/a?scope=app", json!({"query": "x"}), vec!["scope"]),
        ("/%20", json!({"query": "x"}), vec!["name"]),
        ("/a%0Ab", json!({"query": "x"}), vec!["name"]),
    ] {
        assert_problem(&call(&tally, &ann, Method::PUT, path, &body).await, 400, &fields);
    }
    let long = format!("/{}", "x".repeat(101));
    assert_problem(&call(&tally, &ann, Method::PUT, &long, &json!({"query": "x"})).await, 400, &["name"]);
    assert_problem(&call(&tally, &ann, Method::DELETE, "/a?scope=all", &Value::Null).await, 400, &["scope"]);
    assert!(list(&tally, &ann).await.is_empty());
}

#[tokio::test]
async fn a_hundred_views_are_kept_however_they_arrive() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let ann = token(&tally, "ann", Role::Admin).await;
    for n in 0..98 {
        let saved = call(&tally, &ann, Method::PUT, &format!("/v{n}"), &json!({"query": "x".repeat(2_048)})).await;
        assert_eq!(saved.status, 201, "{}", saved.json);
    }
    // Of some at once two find room. Those that come too often in each other's way are told so.
    let body = json!({"query": "x"});
    let paths: Vec<_> = (0..6).map(|n| format!("/w{n}")).collect();
    let saving = paths.iter().map(|path| call(&tally, &ann, Method::PUT, path, &body));
    let statuses: Vec<_> = futures::future::join_all(saving).await.iter().map(|r| r.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 2, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert_eq!(list(&tally, &ann).await.len(), 100);
    let changed = call(&tally, &ann, Method::PUT, "/v7", &json!({"query": "y"})).await;
    assert_eq!(changed.status, 200, "one that is there may change");
    let bob = token(&tally, "bob", Role::Reader).await;
    assert_eq!(call(&tally, &bob, Method::PUT, "/v", &body).await.status, 201, "another user has room");
}

#[tokio::test]
async fn an_app_takes_the_views_of_all_its_users_with_it() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let id = tally.stored_app(&app).await.id;
    for user in ["ann", "bob", &"x".repeat(600)] {
        let token = token(&tally, user, Role::Admin).await;
        for scope in ["me", "app"] {
            let saved = call(&tally, &token, Method::PUT, "/a", &json!({"query": "x", "scope": scope})).await;
            assert!(saved.status.is_success(), "{}", saved.json);
        }
    }
    erase_app(&mut tally).await;
    let owners = ["ann", "bob", &"x".repeat(600)].map(|user| ViewOwner::User(user.to_owned()));
    for owner in owners.into_iter().chain([ViewOwner::App]) {
        assert_eq!(tally.context.store.views(&id, &owner).await.unwrap(), (vec![], 0), "{owner:?}");
    }
}
