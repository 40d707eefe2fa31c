//! Client libraries: what the dispatcher does for every family, shown with a family that only these tests serve.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use ingest::compat::call::Call;
use ingest::compat::{Answer, Protocol, Protocols};
use serde_json::{Value, json};
use tally_core::event::draft::Draft;
use tally_core::rejected::{Reason, Refusal};
use tally_http::families::{FAMILY_PATHS, Family};
use tally_http::problem::Problem;
use tally_http::service::serve;
use tower::ServiceExt;

use crate::harness::{Tally, TestApp};

/// A protocol of JSON `{"key", "events": [{"name", "id", "time"}]}`; an event without a name is refused.
struct Sample;

impl Protocol for Sample {
    fn family(&self) -> Family {
        Family::Sentry
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            let body: Value =
                serde_json::from_slice(&call.body).map_err(|error| Problem::field("", format!("not JSON: {error}")))?;
            let sender = call.sender(&[call.parameter("sentry_key"), body["key"].as_str()]).await?;
            let events = body["events"].as_array().cloned().unwrap_or_default();
            let drafts = events.iter().map(|event| {
                let text = |field: &str| event[field].as_str().map(str::to_owned);
                let name = text("name").ok_or_else(|| Refusal::new(Reason::InvalidName, "no name"))?;
                let timestamp = text("time").and_then(|time| time.parse().ok());
                Ok(Draft { name: Some(name), id: text("id"), timestamp, ..Draft::default() })
            });
            let stored = call.store(&sender, drafts.collect(), &|index| events[index].to_string()).await?;
            let (stored, rejected) = stored.complete()?;
            tally_http::problem::json(
                StatusCode::OK,
                &json!({"stored": stored, "rejected": rejected, "path": call.path}),
            )
        })
    }

    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        (problem.status(), problem.to_string()).into_response()
    }
}

static SAMPLE: Protocols = &[&Sample];

fn router(tally: &Tally) -> Router {
    serve(Arc::clone(&tally.context), [ingest::router_with(Arc::clone(&tally.context), SAMPLE)])
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, http::HeaderMap, Value) {
    let Ok(reply) = router.clone().oneshot(request).await;
    let (parts, body) = reply.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    (parts.status, parts.headers, json)
}

fn body(app: &TestApp, count: usize) -> Value {
    let events: Vec<_> =
        (0..count).map(|n| json!({"name": "click", "id": format!("e{n}"), "time": "2026-11-21T10:00:00.5Z"})).collect();
    json!({"key": app.ingest_key, "events": events})
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).body(body.into()).unwrap()
}

#[tokio::test]
async fn a_request_is_answered_at_the_root_and_under_a_key_with_a_slash_and_without() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let router = router(&tally);
    for under in [String::new(), format!("/k/{}", app.ingest_key)] {
        for slash in ["", "/"] {
            let path = format!("{under}/api/1/store{slash}");
            let (status, _, reply) = ask(&router, post(&path, body(&app, 2).to_string())).await;
            assert_eq!((status, &reply["path"]), (StatusCode::OK, &json!("/api/1/store")), "{path}: {reply}");
        }
    }
    assert_eq!(tally.list(&app, "limit=100").await.len(), 2, "each is the same event every time");
}

#[tokio::test]
async fn a_request_may_hold_more_than_a_native_batch() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let packed = zstd::encode_all(body(&app, 2_500).to_string().as_bytes(), 1).unwrap();
    let (status, _, reply) = ask(&router(&tally), post("/api/1/store", packed)).await;
    assert_eq!((status, &reply["stored"]), (StatusCode::OK, &json!(2_500)), "{reply}");
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/stats/totals").await["items"][0]["count"], 2_500);
}

#[tokio::test]
async fn a_bad_event_loses_none_of_its_neighbours() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = json!([{"name": "a"}, {"id": "x"}, {"name": "b", "time": "1969-01-01"}, {"name": "c"}]);
    let sent = json!({"key": app.ingest_key, "events": events});
    let (status, _, reply) = ask(&router(&tally), post("/api/1/store", sent.to_string())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&reply["stored"], &reply["rejected"]), (&json!(2), &json!(2)));
    tally.context.rejections.written().await;
    let items = tally.ask(&app, "/rejected").await["items"].clone();
    let kinds: Vec<_> = items.as_array().unwrap().iter().map(|item| (&item["source"], &item["reason"])).collect();
    assert_eq!(kinds.len(), 2, "{items}");
    for reason in ["invalid_name", "invalid_time"] {
        assert!(kinds.contains(&(&json!("sentry"), &json!(reason))), "{items}");
    }
    let nameless = items.as_array().unwrap().iter().find(|item| item["reason"] == "invalid_name").unwrap();
    assert_eq!((&nameless["detail"], &nameless["sample"]), (&json!("no name"), &json!(r#"{"id":"x"}"#)));
}

#[tokio::test]
async fn pages_and_quotas_of_a_key_hold_for_client_libraries() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let limits = json!({"scopes": ["ingest"], "origins": ["https://shop.example"], "events_per_minute": 3});
    let token = tally.token(tally_core::app::role::Role::Admin).await;
    let made = tally.call(Method::POST, "/apps/shop/keys", ("x-access-token", &token), limits.to_string()).await;
    let key = made.json["key"].as_str().unwrap();
    let router = router(&tally);
    for (origin, count, expected) in
        [("https://evil.example", 1, 403), ("https://shop.example", 2, 200), ("https://shop.example", 2, 429)]
    {
        let request = Request::post(format!("/k/{key}/api/1/store/")).header("origin", origin);
        let body = json!({"events": body(&app, count)["events"]}).to_string();
        let (status, headers, reply) = ask(&router, request.body(Body::from(body)).unwrap()).await;
        assert_eq!(status.as_u16(), expected, "{origin}: {reply}");
        assert_eq!(headers["access-control-allow-origin"], origin, "the page may read why");
    }
    tally.context.rejections.written().await;
    let items = tally.ask(&app, "/rejected").await["items"].clone();
    for reason in ["origin_not_allowed", "rate_limited"] {
        let found = items.as_array().unwrap().iter().any(|item| item["source"] == "sentry" && item["reason"] == reason);
        assert!(found, "{reason}: {items}");
    }
}

#[tokio::test]
async fn a_body_is_unpacked_by_its_first_bytes_whatever_its_headers_say() {
    use std::io::Write as _;
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let router = router(&tally);
    let text = body(&app, 1).to_string();
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::fast());
    zlib.write_all(text.as_bytes()).unwrap();
    let packed = [gzip.finish().unwrap(), zlib.finish().unwrap(), zstd::encode_all(text.as_bytes(), 1).unwrap()];
    for packed in packed.into_iter().chain([text.clone().into_bytes()]) {
        for encoding in ["gzip", "identity", "nonsense"] {
            let request = Request::post("/api/1/store").header("content-encoding", encoding);
            let (status, _, reply) = ask(&router, request.body(Body::from(packed.clone())).unwrap()).await;
            assert_eq!((status, &reply["stored"]), (StatusCode::OK, &json!(1)), "{encoding}: {reply}");
        }
    }
    // 16 MiB of zeros are 16 KB: what a bomb may take is bounded, and its family puts the 413 into words.
    let bomb = zstd::encode_all(&vec![b' '; 17 * 1024 * 1024][..], 1).unwrap();
    let (status, _, reply) = ask(&router, post("/api/1/store", bomb)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{reply}");
    let (status, ..) = ask(&router, post("/api/1/store", vec![0x1f, 0x8b, 1])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_key_in_the_path_counts_before_others_and_a_text_that_is_no_key_is_passed_over() {
    let tally = Tally::start().await;
    let (app, other) = (tally.app("shop").await, tally.app("other").await);
    let router = router(&tally);
    let events = json!([{"name": "a"}]);
    let in_body = json!({"key": other.ingest_key, "events": events}).to_string();
    for (path, body, expected) in [
        (format!("/k/{}/api/1/store", app.ingest_key), in_body.clone(), 200),
        (format!("/api/1/store?sentry_key={}", app.ingest_key), in_body.clone(), 200),
        (
            format!("/api/1/store?sentry_key=phc_abc&ingest_key={}", app.ingest_key),
            json!({"events": events}).to_string(),
            200,
        ),
        (format!("/k/{}/api/1/store", app.read_key), in_body.clone(), 403),
        ("/k/tly_in_000000000000_0000000000000000000000000000000000000000/api/1/store".to_owned(), in_body, 401),
        ("/api/1/store".to_owned(), json!({"key": "phc_abc"}).to_string(), 401),
    ] {
        let (status, _, reply) = ask(&router, post(&path, body)).await;
        assert_eq!(status.as_u16(), expected, "{path}: {reply}");
    }
    assert_eq!((tally.list(&app, "").await.len(), tally.list(&other, "").await.len()), (3, 0));
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!(":{}", app.ingest_key));
    let request = Request::post("/api/1/store").header("authorization", format!("Basic {basic}"));
    let (status, _, reply) = ask(&router, request.body(Body::from(r#"{"events": []}"#)).unwrap()).await;
    assert_eq!(status, StatusCode::OK, "the password is a place too: {reply}");
}

#[tokio::test]
async fn a_cookie_never_counts() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let token = tally.token(tally_core::app::role::Role::Admin).await;
    let request = Request::post("/api/1/store").header("cookie", format!("token={token}"));
    let (status, ..) = ask(&router(&tally), request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn pages_of_any_origin_may_read_every_reply() {
    let tally = Tally::start().await;
    let router = router(&tally);
    let origin = "https://shop.example";
    for known in FAMILY_PATHS {
        for path in [known.path.to_owned(), format!("{}/", known.path), format!("/k/tly_x{}/", known.path)] {
            let path = path.replace(['{', '}', '*'], "");
            let request = Request::builder().method(Method::OPTIONS).uri(&path).header("origin", origin);
            let request = request
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization, x-retry-count");
            let (status, headers, _) = ask(&router, request.body(Body::empty()).unwrap()).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "{path}");
            assert_eq!(headers["access-control-allow-origin"], origin, "{path}");
            assert_eq!(headers["access-control-allow-credentials"], "true");
            assert_eq!(headers["access-control-allow-headers"], "authorization, x-retry-count");
            assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));
        }
    }
    // Errors too, or a library takes them for failures of the network.
    let request = Request::post("/api/1/store/").header("origin", origin);
    let (status, headers, _) = ask(&router, request.body(Body::from("{}")).unwrap()).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (StatusCode::UNAUTHORIZED, &origin.parse().unwrap()));
    assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("retry-after"));
    // What asks without a page is told the methods.
    let request = Request::builder().method(Method::OPTIONS).uri("/api/1/store/").body(Body::empty()).unwrap();
    let (status, headers, _) = ask(&router, request).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(headers["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn no_path_of_a_client_library_is_redirected() {
    let tally = Tally::start().await;
    for known in FAMILY_PATHS {
        for slash in ["", "/"] {
            let path = format!("{}{slash}", known.path).replace(['{', '}', '*'], "");
            for method in [Method::GET, Method::POST, Method::HEAD] {
                let request = Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
                let status = tally.send(request).await.status;
                assert!(!status.is_redirection() && status != StatusCode::METHOD_NOT_ALLOWED, "{path}: {status}");
            }
        }
    }
}
