//! The way from the SDK to the embedded database without a socket: requests are read, run and answered in this process.
//!
//! The SDK writes and reads the same JSON as over the wire, but nothing sends it, and dynoxide does not parse it twice
//! more to find what only a hand-made request can have wrong. That is a third of the time of an event. The wire API is
//! still served beside it, for everybody else.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An HTTP client that is the database.
pub fn client(database: Database) -> SharedHttpClient {
    SharedHttpClient::new(Direct { database })
}

#[derive(Clone)]
struct Direct {
    database: Database,
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Direct")
    }
}

impl HttpClient for Direct {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Direct {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let database = self.database.clone();
        HttpConnectorFuture::new(async move {
            // Nothing here waits, so that a task of many requests would keep its thread for itself.
            tokio::task::yield_now().await;
            // On this thread: a hand-over to another one and back takes as long as the work itself.
            let (status, body) = answer(&database, &request);
            let status = StatusCode::try_from(status).map_err(|e| ConnectorError::other(e.into(), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(body)))
        })
    }
}

fn answer(database: &Database, request: &HttpRequest) -> (u16, String) {
    // `DynamoDB_20120810.PutItem`, `DynamoDBStreams_20120810.GetRecords`
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    // The SDK's requests are whole in memory.
    let body = request.body().bytes().unwrap_or_default();
    match run(database, operation, body) {
        Ok(reply) => (200, reply),
        Err(error) => (error.status_code(), error.to_json()),
    }
}

fn run(db: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    match operation {
        "PutItem" => call(body, |request| db.put_item(request)),
        "BatchWriteItem" => call(body, |request| db.batch_write_item(request)),
        "UpdateItem" => call(body, |request| db.update_item(request)),
        "DeleteItem" => call(body, |request| db.delete_item(request)),
        "TransactWriteItems" => call(body, |request| db.transact_write_items(request)),
        "GetItem" => call(body, |request| db.get_item(request)),
        "BatchGetItem" => call(body, |request| db.batch_get_item(request)),
        "Query" => call(body, |request| db.query(request)),
        "CreateTable" => call(body, |request| db.create_table(request)),
        "DescribeTable" => call(body, |request| db.describe_table(request)),
        "UpdateTimeToLive" => call(body, |request| db.update_time_to_live(request)),
        "DescribeStream" => call(body, |request| db.describe_stream(request)),
        "GetShardIterator" => call(body, |request| db.get_shard_iterator(request)),
        "GetRecords" => call(body, |request| db.get_records(request)),
        _ => Err(DynoxideError::ValidationException(format!("Tally does not use {operation}"))),
    }
}

fn call<Q: DeserializeOwned, R: Serialize>(
    body: &[u8],
    run: impl FnOnce(Q) -> Result<R, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|e| DynoxideError::ValidationException(e.to_string()))?;
    serde_json::to_string(&run(request)?).map_err(|e| DynoxideError::InternalServerError(e.to_string()))
}
