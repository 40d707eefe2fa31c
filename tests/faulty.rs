//! A faulty store: a client between the SDK and the database that applies a test's faults to each request.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::{Value, json};
use tally_service::config::Config;
use tally_store::Timeouts;
use tokio::sync::RwLock;

use crate::harness::Tally;

/// Decides the fate of a request from its operation and body.
type Decide = Arc<dyn Fn(&str, &Value) -> Fault + Send + Sync>;

/// The fate of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It is answered normally.
    None,
    /// It is not run, and gets this answer.
    Instead(u16, Value),
    /// It is run, and its answer replaced by a 500.
    Lost,
    /// The connection drops: before it is run, or before it is answered.
    Dropped {
        /// Whether it is run.
        run: bool,
    },
    /// It is never answered.
    Silent {
        /// Whether it is run.
        run: bool,
    },
    /// It is run, and half of its answer arrives.
    CutShort,
    /// It is run and answered after this delay.
    Slow(Duration),
    /// The connection drops, and the request is run after this delay.
    Late(Duration),
    /// Of a `BatchWriteItem`, the puts whose bits are set are run, and the others left unprocessed.
    Partial(u32),
}

impl Fault {
    pub(crate) fn throttled() -> Self {
        Self::error(400, "ProvisionedThroughputExceededException")
    }

    pub(crate) fn server_error() -> Self {
        Self::error(500, "InternalServerError")
    }

    /// An error of DynamoDB.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let code = format!("com.amazonaws.dynamodb.v20120810#{code}");
        Self::Instead(status, json!({"__type": code, "message": "a fault"}))
    }
}

#[derive(Clone)]
struct Faulty<T> {
    inner: T,
    decide: Decide,
    late: Arc<RwLock<()>>,
}

impl<T> std::fmt::Debug for Faulty<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl HttpClient for Faulty<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Faulty { inner, decide: Arc::clone(&self.decide), late: Arc::clone(&self.late) })
    }
}

impl HttpConnector for Faulty<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation =
            request.headers().get("x-amz-target").unwrap_or_default().rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let fault = (self.decide)(&operation, &body);
        HttpConnectorFuture::new(suffer(self.inner.clone(), request, body, fault, Arc::clone(&self.late)))
    }
}

async fn suffer(
    inner: SharedHttpConnector,
    request: HttpRequest,
    mut body: Value,
    fault: Fault,
    late: Arc<RwLock<()>>,
) -> Result<HttpResponse, ConnectorError> {
    let dropped = || Err(ConnectorError::io("the connection dropped".into()));
    match fault {
        Fault::None => inner.call(request).await,
        Fault::Instead(status, body) => Ok(reply(status, body.to_string())),
        Fault::Lost => {
            inner.call(request).await?;
            Ok(reply(500, json!({"__type": "InternalServerError", "message": "lost"}).to_string()))
        }
        Fault::Dropped { run } => {
            if run {
                inner.call(request).await?;
            }
            dropped()
        }
        Fault::Silent { run } => {
            if run {
                inner.call(request).await?;
            }
            std::future::pending().await
        }
        Fault::CutShort => {
            let mut whole = text(inner.call(request).await?).await;
            whole.truncate(whole.len() / 2);
            Ok(reply(200, whole))
        }
        Fault::Slow(delay) => {
            tokio::time::sleep(delay).await;
            inner.call(request).await
        }
        Fault::Late(delay) => {
            let in_progress = late.read_owned().await;
            tokio::spawn(async move {
                let _in_progress = in_progress;
                tokio::time::sleep(delay).await;
                // The result is discarded.
                let _ = inner.call(request).await;
            });
            dropped()
        }
        Fault::Partial(run) => {
            let requested = body["RequestItems"].clone();
            let mut unprocessed = requested.clone();
            for (table, puts) in requested.as_object().unwrap() {
                let pick = |wanted: bool| {
                    let puts = puts.as_array().unwrap().iter().enumerate();
                    puts.filter(|(i, _)| (run >> i & 1 == 1) == wanted).map(|(_, put)| put.clone()).collect::<Value>()
                };
                body["RequestItems"][table] = pick(true);
                unprocessed[table] = pick(false);
            }
            let some = body["RequestItems"].as_object().unwrap().values().any(|puts| *puts != json!([]));
            let mut answer = json!({});
            if some {
                let response = inner.call(with_body(request, &body)).await?;
                assert_eq!(response.status().as_u16(), 200);
                answer = serde_json::from_str(&text(response).await).unwrap();
            }
            answer["UnprocessedItems"] = unprocessed;
            Ok(reply(200, answer.to_string()))
        }
    }
}

fn reply(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))
}

async fn text(response: HttpResponse) -> String {
    let bytes = ByteStream::new(response.into_body()).collect().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn with_body(mut request: HttpRequest, body: &Value) -> HttpRequest {
    let body = body.to_string();
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    request
}

impl Tally {
    /// Starts a Tally whose store fails as `decide` says.
    pub(crate) async fn failing(decide: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static) -> Self {
        Self::failing_with(Timeouts::LAPTOP, decide).await
    }

    /// … with other settings.
    pub(crate) async fn failing_as(
        config: Config,
        decide: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let late = Arc::default();
        let mut tally = Self::over(config, Timeouts::LAPTOP, faulty(decide, &late)).await;
        tally.late = late;
        tally
    }

    /// … and is waited for with some timeouts.
    pub(crate) async fn failing_with(
        timeouts: Timeouts,
        decide: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let late = Arc::default();
        let mut tally = Self::through(timeouts, faulty(decide, &late)).await;
        tally.late = late;
        tally
    }

    /// Waits until no write is in progress whose caller saw the connection drop.
    pub(crate) async fn late_writes(&self) {
        drop(self.late.write().await);
    }
}

/// Makes a client faulty.
fn faulty(
    decide: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static,
    late: &Arc<RwLock<()>>,
) -> impl FnOnce(SharedHttpClient) -> SharedHttpClient {
    let (decide, late): (Decide, _) = (Arc::new(decide), Arc::clone(late));
    |inner| SharedHttpClient::new(Faulty { inner, decide, late })
}
