//! Quotas: how many events of an app are accepted per minute, across many warm functions that do not share state.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tally_core::time::{MINUTE, SECOND};
use tally_service::config::{BATCH_WINDOW, Config};
use tally_service::context::Context;
use tower::ServiceExt;

use crate::harness::{Tally, TestApp, assert_problem};

/// The warm functions that share a quota.
const FUNCTIONS: usize = 6;

async fn app(tally: &Tally, quota: u32) -> TestApp {
    tally.app_with(admin::NewApp { name: "shop".into(), events_per_minute: Some(quota), ..Default::default() }).await
}

fn events(count: usize) -> Value {
    (0..count).map(|n| json!({"name": format!("n{n}")})).collect()
}

/// A separate warm function.
fn function(tally: &Tally) -> (Arc<Context>, Router) {
    let config = Config { tables: tally.context.config.tables.clone(), ..Config::default() };
    let context = Context::new(tally.context.store.clone(), tally.clock.clone(), config);
    let router = tally::server::service(&context);
    (context, router)
}

async fn send(router: &Router, app: &TestApp, count: usize) -> u16 {
    let path = format!("/apps/{}/events", app.slug);
    let request = Request::post(path).header("x-ingest-key", &app.ingest_key);
    let Ok(reply) = router.clone().oneshot(request.body(Body::from(events(count).to_string())).unwrap()).await;
    reply.status().as_u16()
}

#[tokio::test]
async fn more_than_the_quota_waits_for_the_next_minute() {
    let mut tally = Tally::start().await;
    let app = app(&tally, 60).await;
    tally.accept(&app, &events(40)).await;
    tally.accept(&app, &events(20)).await;
    let refused = tally.ingest(&app, &json!({"name": "one more"})).await;
    assert_problem(&refused, 429, &[]);
    // The tests begin 25 seconds into a minute.
    assert_eq!(refused.headers["retry-after"], "35");
    assert_problem(&tally.ingest(&app, &events(61)).await, 429, &[]);
    tally.drain().await;
    assert_eq!(tally.list(&app, "limit=100").await.len(), 60, "nothing of what was refused is stored");
    tally.clock.set(tally.clock.now() + 35 * SECOND);
    tally.accept(&app, &json!({"name": "one more"})).await;
    let bad = json!([{"name": "good"}, {"bad": 1}]);
    for _ in 0..59 {
        assert_eq!(tally.ingest(&app, &bad).await.status.as_u16(), 207, "what is not taken does not count");
    }
    assert_problem(&tally.ingest(&app, &json!({"name": "one more"})).await, 429, &[]);
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "the stream of a server is behind by more than this test's seconds take")]
async fn many_functions_together_keep_the_quota_within_a_twentieth() {
    keeps_the_quota(2).await;
}

#[tokio::test]
#[cfg_attr(feature = "server", ignore = "the stream of a server is behind by more than this test's seconds take")]
async fn counts_that_are_a_batching_window_behind_keep_the_quota_within_a_twentieth() {
    keeps_the_quota(BATCH_WINDOW.into()).await;
}

/// Four functions are sent five times the quota for five minutes. What they accepted is counted each `window` seconds.
async fn keeps_the_quota(window: i64) {
    let mut tally = Tally::start().await;
    let app = app(&tally, 600).await;
    let functions: Vec<_> = (0..FUNCTIONS).map(|_| function(&tally)).collect();
    let begin = tally.clock.now().floor(MINUTE);
    let (mut accepted, mut refused) = (0, 0);
    let before = tally.usage();
    // Five minutes in which five times as much is sent.
    let mut by_minute = [0; 5];
    for second in 0..300 {
        tally.clock.set(begin + second * SECOND);
        // Half of it goes to one of them.
        for (at, (_, router)) in functions.iter().enumerate() {
            let count = if at == 0 { 25 } else { 25 / (FUNCTIONS - 1) };
            match send(router, &app, count).await {
                201 => {
                    accepted += count;
                    by_minute[usize::try_from(second / 60).unwrap()] += count;
                }
                429 => refused += count,
                other => panic!("{other}"),
            }
        }
        if second % window == window - 1 {
            tally.drain().await;
        }
    }
    assert_eq!(accepted + refused, 15_000);
    assert!((2_850..=3_150).contains(&accepted), "{by_minute:?} where 600 are allowed in each minute");
    let quota_reads = (tally.usage() - before).read_requests;
    // Each function reads an app every 60 seconds, and the quota every 5.
    assert!(quota_reads <= 4 * (5 + 60) + 300, "{quota_reads}");
}
