//! The way from the SDK to the embedded database without a socket: requests are read, run and answered in this process.
//!
//! The SDK writes and reads the same JSON as over the wire, but nothing sends it, and dynoxide does not parse it twice
//! more to find what only a hand-made request can have wrong. That is a third of the time of an event. The wire API is
//! served beside it, for `sam local` and other tools.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::IntoResponse;
use bytes::Bytes;
use dynoxide::{Database, DynoxideError};
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes of a request (DynamoDB's limit).
const MAX_BODY: usize = 16 * 1024 * 1024;

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
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(status)
                .map_err(|e| ConnectorError::other(e.into(), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(body)))
        })
    }
}

fn answer(database: &Database, request: &HttpRequest) -> (u16, String) {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    // The SDK's requests are whole in memory.
    answer_to(database, target, request.body().bytes().unwrap_or_default())
}

/// Answers a request of the wire API: its `X-Amz-Target` (`DynamoDB_20120810.PutItem`,
/// `DynamoDBStreams_20120810.GetRecords`) and its body.
fn answer_to(database: &Database, target: &str, body: &[u8]) -> (u16, String) {
    let operation = target.rsplit('.').next().unwrap_or_default();
    match run(database, operation, body) {
        Ok(reply) => (200, reply),
        Err(error) => (error.status_code(), error.to_json()),
    }
}

/// The wire API as a service, for every tool but browsers: a page of any origin can reach a port of this machine, and
/// what is behind this one holds the key that signs access tokens. Browsers say the origin of every page that posts.
pub fn wire_api(database: Database) -> Router {
    Router::new()
        .fallback(async move |headers: HeaderMap, body: Bytes| {
            if headers.contains_key(ORIGIN) {
                return (StatusCode::FORBIDDEN, "not for pages in a browser\n").into_response();
            }
            let target =
                headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default().to_owned();
            let answered = tokio::task::spawn_blocking(move || answer_to(&database, &target, &body)).await;
            let (status, reply) = answered.unwrap_or_else(|e| (500, e.to_string()));
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], reply).into_response()
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
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
        // Not for Tally itself, but for whoever looks at its tables with another tool.
        "Scan" => call(body, |request| db.scan(request)),
        "ListTables" => call(body, |request| db.list_tables(request)),
        "ListStreams" => call(body, |request| db.list_streams(request)),
        "TransactGetItems" => call(body, |request| db.transact_get_items(request)),
        "DescribeTimeToLive" => call(body, |request| db.describe_time_to_live(request)),
        _ => Err(DynoxideError::ValidationException(format!("the operation {operation} is not served"))),
    }
}

fn call<Q: DeserializeOwned, R: Serialize>(
    body: &[u8],
    run: impl FnOnce(Q) -> Result<R, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|e| DynoxideError::ValidationException(e.to_string()))?;
    serde_json::to_string(&run(request)?).map_err(|e| DynoxideError::InternalServerError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    #[tokio::test]
    async fn tools_are_served_and_pages_are_not() {
        let service = wire_api(Database::memory().expect("a database"));
        let request = || Request::post("/").header("x-amz-target", "DynamoDB_20120810.ListTables");
        let tool = request().body(Body::from("{}")).expect("a request");
        let Ok(reply) = service.clone().oneshot(tool).await;
        assert_eq!(reply.status(), 200);
        let page = request().header("origin", "https://evil.example").body(Body::from("{}")).expect("a request");
        let Ok(reply) = service.oneshot(page).await;
        assert_eq!(reply.status(), 403);
        assert!(reply.headers().get("access-control-allow-origin").is_none());
    }
}
