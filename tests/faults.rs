//! A store that fails: between the SDK and the embedded database a client answers by itself what a test tells it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use tally::store::Patience;

use crate::harness::{Tally, assert_problem, column};

/// What to do with a request: its operation and body.
type Decide = Arc<dyn Fn(&str, &Value) -> Fault + Send + Sync>;

/// What becomes of a request.
pub(crate) enum Fault {
    /// It is answered as it should be.
    None,
    /// It is not run, and answered like this.
    Instead(u16, Value),
    /// It is run, and its answer lost.
    Lost,
    /// It is run after this time.
    Late(Duration),
    /// A batch write, of which the first part is run and the second left unprocessed.
    Partly(Value, Value),
}

impl Fault {
    pub(crate) fn throttled() -> Self {
        let error = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
        Self::Instead(400, json!({"__type": error, "message": "too much"}))
    }
}

#[derive(Clone)]
struct Faulty<T> {
    inner: T,
    decide: Decide,
}

impl<T> std::fmt::Debug for Faulty<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl HttpClient for Faulty<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Faulty { inner, decide: Arc::clone(&self.decide) })
    }
}

impl HttpConnector for Faulty<SharedHttpConnector> {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let operation =
            request.headers().get("x-amz-target").unwrap_or_default().rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let reply = |status: u16, body: &Value| {
            HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body.to_string()))
        };
        match (self.decide)(&operation, &body) {
            Fault::None => self.inner.call(request),
            Fault::Instead(status, body) => HttpConnectorFuture::ready(Ok(reply(status, &body))),
            Fault::Lost => {
                let run = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    run.await?;
                    Ok(reply(500, &json!({"__type": "InternalServerError", "message": "lost"})))
                })
            }
            Fault::Late(time) => {
                let inner = self.inner.clone();
                HttpConnectorFuture::new(async move {
                    tokio::time::sleep(time).await;
                    inner.call(request).await
                })
            }
            Fault::Partly(taken, left) => {
                *request.body_mut() = SdkBody::from(json!({"RequestItems": taken}).to_string());
                let run = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    let answered = run.await?;
                    assert!(answered.status().is_success(), "{answered:?}");
                    Ok(reply(200, &json!({"UnprocessedItems": left})))
                })
            }
        }
    }
}

impl Tally {
    /// Starts one whose store fails as `decide` says.
    async fn failing(decide: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static) -> Self {
        Self::failing_with(Patience::LAPTOP, decide).await
    }

    /// … and is waited for with some patience.
    pub(crate) async fn failing_with(
        patience: Patience,
        decide: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let decide: Decide = Arc::new(decide);
        Self::through(patience, |inner| SharedHttpClient::new(Faulty { inner, decide })).await
    }
}

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
        "BatchWriteItem" => Fault::Instead(500, json!({"__type": "InternalServerError"})),
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
async fn a_write_whose_answer_was_lost_counts_once() {
    let calls = AtomicUsize::new(0);
    let mut tally = Tally::failing(move |operation, _| match operation {
        "PutItem" | "BatchWriteItem" | "UpdateItem" if calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) => {
            Fault::Lost
        }
        _ => Fault::None,
    })
    .await;
    let app = tally.app("shop").await;
    tally.accept(&app, &json!({"name": "one"})).await;
    tally.accept(&app, &events(30)).await;
    tally.drain().await;
    assert_eq!(tally.ask(&app, "/reports/day?date=today").await["total"], 31);
}
