//! Connects the SDK to the embedded database without a socket: requests are parsed, run and answered in this process.
//!
//! The SDK writes and reads the same JSON as over the wire, but nothing is sent. dynoxide also skips two extra parses
//! that only find errors in hand-written requests; they take a third of the time of an event. The wire API is served
//! separately, for `sam local` and other tools.
//!
//! Replies are passed on unchanged, except for stream replies. There dynoxide differs from the wire API, which would
//! mislead stream readers, so this module corrects those replies.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use dynoxide::actions::describe_stream::{DescribeStreamRequest, StreamDescription};
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, Record as DynoxideRecord, StreamRecord};
use dynoxide::actions::query::{QueryRequest, QueryResponse};
use dynoxide::actions::scan::{ScanRequest, ScanResponse};
use dynoxide::types::KeySchemaElement;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::condition::{Condition, Trouble};
use crate::pages::Pages;

/// An HTTP client backed by the database.
pub(crate) fn client(direct: Direct) -> SharedHttpClient {
    SharedHttpClient::new(direct)
}

/// A database that answers wire API requests.
#[derive(Clone)]
pub(crate) struct Direct {
    pub(crate) database: Database,
    pub(crate) pages: Arc<Pages>,
    pub(crate) condition: Arc<Condition>,
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
        let direct = self.clone();
        HttpConnectorFuture::new(async move {
            // Nothing here waits, so a task with many requests would otherwise monopolize its thread.
            tokio::task::yield_now().await;
            // Runs on this thread: switching to another thread and back takes as long as the work itself.
            let (status, body) = direct.answer(&request);
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(status)
                .map_err(|e| ConnectorError::other(e.into(), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(body)))
        })
    }
}

impl Direct {
    fn answer(&self, request: &HttpRequest) -> (u16, String) {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        // The SDK's requests are entirely in memory.
        self.answer_to(target, request.body().bytes().unwrap_or_default())
    }

    /// Answers a request of the wire API: its `X-Amz-Target` (`DynamoDB_20120810.PutItem`,
    /// `DynamoDBStreams_20120810.GetRecords`) and its body.
    pub(crate) fn answer_to(&self, target: &str, body: &[u8]) -> (u16, String) {
        let operation = target.rsplit('.').next().unwrap_or_default();
        match self.run(operation, body) {
            Ok(reply) => {
                if !is_read(operation) {
                    self.condition.wrote();
                }
                (200, reply)
            }
            Err(error) => {
                let error = self.told(error);
                (error.status_code(), error.to_json())
            }
        }
    }

    /// Maps an error for the store: a damaged database will not answer a retry either.
    fn told(&self, error: DynoxideError) -> DynoxideError {
        let is_its_own = matches!(error, DynoxideError::InternalServerError(_) | DynoxideError::SqliteError(_));
        let trouble = if is_its_own { self.condition.failed(&error.to_string()) } else { None };
        match trouble {
            Some(Trouble::Damaged) => DynoxideError::ValidationException(format!("the database is damaged: {error}")),
            Some(Trouble::Full) | None => error,
        }
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let db = &self.database;
        match operation {
            "PutItem" => call(body, |request| db.put_item(request)),
            "BatchWriteItem" => call(body, |request| db.batch_write_item(request)),
            "UpdateItem" => call(body, |request| db.update_item(request)),
            "DeleteItem" => call(body, |request| db.delete_item(request)),
            "TransactWriteItems" => call(body, |request| db.transact_write_items(request)),
            "GetItem" => call(body, |request| db.get_item(request)),
            "BatchGetItem" => call(body, |request| db.batch_get_item(request)),
            "Query" => call(body, |request| self.query(request)),
            "CreateTable" => call(body, |request| db.create_table(request)),
            "DescribeTable" => call(body, |request| db.describe_table(request)),
            "UpdateTimeToLive" => call(body, |request| db.update_time_to_live(request)),
            "DescribeStream" => call(body, |request| self.describe_stream(request)),
            "GetShardIterator" => call(body, |request| db.get_shard_iterator(request)),
            "GetRecords" => call(body, |request| self.get_records(request)),
            // Tally itself does not need this, but other tools that inspect its tables do.
            "Scan" => call(body, |request| self.scan(request)),
            "ListTables" => call(body, |request| db.list_tables(request)),
            "ListStreams" => call(body, |request| db.list_streams(request)),
            "TransactGetItems" => call(body, |request| db.transact_get_items(request)),
            "DescribeTimeToLive" => call(body, |request| db.describe_time_to_live(request)),
            _ => Err(DynoxideError::ValidationException(format!("the operation {operation} is not served"))),
        }
    }

    /// Corrects a shard description: dynoxide reports the last record of an open shard as its end, which makes it look
    /// closed; it returns the start shard itself as the next one; and it omits the key.
    fn describe_stream(&self, request: DescribeStreamRequest) -> Result<DescribeStreamResponse, DynoxideError> {
        let after = request.exclusive_start_shard_id.clone();
        let mut description = self.database.describe_stream(request)?.stream_description;
        description.shards.retain(|shard| after.as_ref().is_none_or(|after| shard.shard_id > *after));
        for shard in &mut description.shards {
            shard.sequence_number_range.ending_sequence_number = None;
        }
        let table = DescribeTableRequest { table_name: description.table_name.clone() };
        let key_schema = self.database.describe_table(table)?.table.key_schema;
        Ok(DescribeStreamResponse { stream_description: Described { description, key_schema } })
    }

    /// A page, for which dynoxide loads only the rows it needs.
    fn query(&self, mut request: QueryRequest) -> Result<QueryResponse, DynoxideError> {
        request.limit = self.pages.of_query(&request)?;
        self.database.query(request)
    }

    fn scan(&self, mut request: ScanRequest) -> Result<ScanResponse, DynoxideError> {
        request.limit = Some(Pages::of_scan(request.limit));
        self.database.scan(request)
    }

    /// Limits a page to 1 MB. dynoxide limits only the number of records, each of which may exceed 400 KB.
    fn get_records(&self, mut request: GetRecordsRequest) -> Result<GetRecordsResponse, DynoxideError> {
        request.limit = Some(self.pages.of_stream(&request.shard_iterator, request.limit)?);
        let reply = self.database.get_records(request)?;
        Ok(GetRecordsResponse {
            records: reply.records.into_iter().map(Record::from).collect(),
            next_shard_iterator: reply.next_shard_iterator,
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeStreamResponse {
    stream_description: Described,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    #[serde(flatten)]
    description: StreamDescription,
    key_schema: Vec<KeySchemaElement>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecordsResponse {
    records: Vec<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: String,
    event_version: String,
    event_source: String,
    aws_region: String,
    dynamodb: StreamRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_identity: Option<Identity>,
}

/// The identity of a change made by the service itself. This uses the spelling of the streams API; dynoxide uses
/// Lambda's spelling, which the SDK ignores, so expired items would look like user deletions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    principal_id: String,
    r#type: String,
}

impl From<DynoxideRecord> for Record {
    fn from(record: DynoxideRecord) -> Self {
        Self {
            event_id: record.event_id,
            event_name: record.event_name,
            event_version: record.event_version,
            event_source: record.event_source,
            aws_region: record.aws_region,
            dynamodb: record.dynamodb,
            user_identity: record
                .user_identity
                .map(|by| Identity { principal_id: by.principal_id, r#type: by.identity_type }),
        }
    }
}

/// Whether an operation only reads.
fn is_read(operation: &str) -> bool {
    ["Get", "BatchGet", "TransactGet", "Query", "Scan", "List", "Describe"]
        .iter()
        .any(|verb| operation.starts_with(verb))
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
    use crate::embedded::Embedded;
    use serde_json::{Value, json};

    #[test]
    fn a_stream_is_described_as_dynamodb_does() {
        let embedded = Embedded::temporary().expect("a database");
        let direct = embedded.direct();
        let ask = |operation: &str, body: Value| -> Value {
            let (status, reply) = direct.answer_to(operation, body.to_string().as_bytes());
            assert_eq!(status, 200, "{reply}");
            serde_json::from_str(&reply).expect("JSON")
        };
        let key_schema = json!([{"AttributeName": "pk", "KeyType": "HASH"}]);
        let made = ask(
            "CreateTable",
            json!({"TableName": "events", "KeySchema": key_schema, "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"}}),
        );
        ask("PutItem", json!({"TableName": "events", "Item": {"pk": {"S": "a"}}}));
        let arn = &made["TableDescription"]["LatestStreamArn"];
        let described = &ask("DescribeStream", json!({"StreamArn": arn}))["StreamDescription"];
        assert_eq!((&described["StreamArn"], &described["KeySchema"]), (arn, &key_schema));
        let shard = &described["Shards"][0];
        let range = shard["SequenceNumberRange"].as_object().expect("a range");
        assert_eq!(range.keys().collect::<Vec<_>>(), ["StartingSequenceNumber"], "an open stream shard has no end");
        let after = json!({"StreamArn": arn, "ExclusiveStartShardId": shard["ShardId"]});
        assert_eq!(ask("DescribeStream", after)["StreamDescription"]["Shards"], json!([]));
    }
}
