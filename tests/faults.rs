//! Single faults of the store, and what a client receives.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};

use crate::faulty::Fault;
use crate::harness::{Tally, assert_problem, column};

pub(crate) fn events(count: usize) -> Value {
    (0..count)
        .map(|n| json!({"name": format!("n{n}"), "id": format!("e{n}"), "timestamp": "2026-11-21T08:00:00Z"}))
        .collect()
}

#[tokio::test]
async fn what_a_batch_left_unprocessed_is_sent_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let tally = Tally::failing(move |operation, body| {
        if operation != "BatchWriteItem" || counter.fetch_add(1, Ordering::SeqCst) >= 2 {
            return Fault::None;
        }
        Fault::Instead(200, json!({"UnprocessedItems": body["RequestItems"]}))
    })
    .await;
    let app = tally.app("shop").await;
    assert_eq!(tally.accept(&app, &events(20)).await["accepted"], 20);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    assert_eq!(tally.list(&app, "limit=100").await.len(), 20);
}

#[tokio::test]
async fn what_the_store_does_not_take_is_told_event_by_event_and_may_be_sent_again() {
    let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let opened = Arc::clone(&open);
    let mut tally = Tally::failing(move |operation, body| {
        let of_30 = body.to_string().contains("\"n30\"");
        if operation == "BatchWriteItem" && of_30 && !opened.load(Ordering::SeqCst) {
            return Fault::throttled();
        }
        Fault::None
    })
    .await;
    let app = tally.app("shop").await;
    let reply = tally.ingest(&app, &events(60)).await;
    assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (207, &json!(35)), "{}", reply.json);
    assert_eq!(column(&reply.json["rejected"], "index"), (25..50).collect::<Vec<_>>());
    assert!(column(&reply.json["rejected"], "retry").into_iter().all(|retry| *retry == true));
    open.store(true, Ordering::SeqCst);
    assert_eq!(tally.accept(&app, &events(60)).await["accepted"], 60);
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/reports/day?date=today").await["total"], 60);
}

#[tokio::test]
async fn where_nothing_is_stored_the_reply_is_503_and_asks_to_come_back() {
    let tally = Tally::failing(|operation, _| match operation {
        "PutItem" => Fault::throttled(),
        "BatchWriteItem" => Fault::server_error(),
        _ => Fault::None,
    })
    .await;
    let app = tally.app("shop").await;
    for body in [json!({"name": "a"}), events(3)] {
        let reply = tally.ingest(&app, &body).await;
        assert_problem(&reply, 503, &[]);
        assert_eq!(reply.headers["retry-after"], "1");
    }
}

#[tokio::test]
async fn what_does_not_pass_by_itself_is_500_without_retry_after() {
    for code in
        ["AccessDeniedException", "ResourceNotFoundException", "UnrecognizedClientException", "ValidationException"]
    {
        let tally = Tally::failing(move |operation, body| {
            let of_one = body.to_string().contains("\"n3\"");
            if operation == "PutItem" && body.to_string().contains("events") || operation == "BatchWriteItem" && of_one
            {
                Fault::error(400, code)
            } else {
                Fault::None
            }
        })
        .await;
        let app = tally.app("shop").await;
        for body in [json!({"name": "a"}), events(5)] {
            let reply = tally.ingest(&app, &body).await;
            assert_problem(&reply, 500, &[]);
            assert!(!reply.headers.contains_key("retry-after"), "{code}");
        }
        let reply = tally.ingest(&app, &events(30)).await;
        assert_eq!((reply.status.as_u16(), &reply.json["accepted"]), (207, &json!(5)), "{}", reply.json);
        assert!(column(&reply.json["rejected"], "retry").into_iter().all(|retry| *retry == false));
        assert!(!reply.headers.contains_key("retry-after"), "{code}");
    }
}

#[tokio::test]
async fn health_is_told_to_everybody_and_is_the_stores() {
    let open = Arc::new(AtomicBool::new(true));
    let works = Arc::clone(&open);
    let tally = Tally::failing(move |operation, _| {
        if operation == "Query" && !works.load(Ordering::SeqCst) { Fault::server_error() } else { Fault::None }
    })
    .await;
    let health = async || tally.call(Method::GET, "/health", ("accept", "*/*"), "").await;
    let reply = health().await;
    assert_eq!((reply.status.as_u16(), &reply.json), (200, &json!({"status": "ok"})));
    open.store(false, Ordering::SeqCst);
    assert_problem(&health().await, 503, &[]);
    open.store(true, Ordering::SeqCst);
    assert_eq!(health().await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_counts_once() {
    // The first answer to each write; what is sent again is the same to the letter.
    let answered = Mutex::new(HashSet::new());
    let mut tally = Tally::failing(move |operation, body| {
        let writes = ["PutItem", "BatchWriteItem", "UpdateItem"].contains(&operation);
        let first = || answered.lock().unwrap().insert(format!("{operation} {body}"));
        if writes && first() { Fault::Lost } else { Fault::None }
    })
    .await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "one"})).await;
    tally.accept(&app, &events(30)).await;
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/reports/day?date=today").await["total"], 31);
}
