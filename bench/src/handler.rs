//! One handler over a store that accepts every write and answers at once; `instructions` counts this.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use tally::workbench::{Mix, Workbench};
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, SECOND};

use crate::families::Sender;

/// Which handler to run, and how often.
#[derive(Args)]
pub(crate) struct Handler {
    /// Which handler.
    pub(crate) function: Function,
    /// What sends the events.
    #[arg(long, default_value = "native")]
    pub(crate) sender: Sender,
    /// Events in each call.
    #[arg(long)]
    pub(crate) events: usize,
    /// Number of calls.
    #[arg(long)]
    pub(crate) times: usize,
}

/// A handler that can run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Function {
    /// Stores events.
    Ingest,
    /// Counts a batch of the stream.
    Aggregate,
}

impl Function {
    /// Its name on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Aggregate => "aggregate",
        }
    }
}

/// Runs a handler repeatedly with the same events. The cost of starting does not depend on the number of calls.
pub(crate) async fn run(options: Handler) -> Result<(), Box<dyn Error>> {
    let at = Clock::System.now().floor(DAY);
    let instant = Arc::new(AtomicBool::new(false));
    let through = Arc::clone(&instant);
    let mut bench =
        Workbench::through(Clock::at(at), |inner| SharedHttpClient::new(Instant { inner, instant: through })).await?;
    let app = bench.app("handler").await?;
    let sender = options.sender;
    let body = match sender {
        Sender::Native => Bytes::from(Mix::MANY.body(0, options.events, at, SECOND)),
        _ => sender.body(0, options.events, at),
    };
    // Once as it is, so that the app is known; for `aggregate` this also makes the batch.
    sender.send(&bench, &app, body.clone()).await?;
    let batch = bench.uncounted().await?.pop().ok_or("nothing to count")?;
    let event: aggregate::StreamEvent = serde_json::from_str(&batch)?;
    aggregate::handle(&bench.context, event).await?;
    instant.store(true, Ordering::Relaxed);
    for _ in 0..options.times {
        match options.function {
            Function::Ingest => sender.send(&bench, &app, body.clone()).await?,
            Function::Aggregate => drop(aggregate::handle(&bench.context, serde_json::from_str(&batch)?).await?),
        }
    }
    Ok(())
}

/// A client that can be told to drop all writes and report success.
#[derive(Clone, Debug)]
struct Instant<T> {
    inner: T,
    instant: Arc<AtomicBool>,
}

impl HttpClient for Instant<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Instant { inner, instant: Arc::clone(&self.instant) })
    }
}

impl HttpConnector for Instant<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let consumed = r#"{"TableName":"t","CapacityUnits":1.0}"#;
        let reply = match operation.unwrap_or_default() {
            "PutItem" | "UpdateItem" => format!(r#"{{"ConsumedCapacity":{consumed}}}"#),
            "BatchWriteItem" => format!(r#"{{"UnprocessedItems":{{}},"ConsumedCapacity":[{consumed}]}}"#),
            _ => return self.inner.call(request),
        };
        if !self.instant.load(Ordering::Relaxed) {
            return self.inner.call(request);
        }
        match StatusCode::try_from(200) {
            Ok(ok) => HttpConnectorFuture::ready(Ok(HttpResponse::new(ok, SdkBody::from(reply)))),
            // 200 is a status.
            Err(_) => self.inner.call(request),
        }
    }
}
