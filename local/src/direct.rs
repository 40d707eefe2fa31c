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
use dynoxide::actions::get_records::{GetRecordsRequest, GetRecordsResponse, Record as DynoxideRecord, StreamRecord};
use dynoxide::actions::query::{QueryRequest, QueryResponse};
use dynoxide::actions::scan::ScanRequest;
use dynoxide::actions::vector_lifecycle::VectorIndexLifecycle;
use dynoxide::actions::{
    batch_get_item, batch_write_item, delete_item, describe_stream, describe_table, describe_time_to_live, get_item,
    get_records, get_shard_iterator, list_streams, list_tables, put_item, query, scan, transact_get_items, update_item,
};
use dynoxide::storage::Storage;
use dynoxide::types::KeySchemaElement;
use dynoxide::{Database, DynoxideError};
use futures::FutureExt;
use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::catalog::Catalog;
use crate::condition::{Condition, Trouble};
use crate::pages;
use crate::puts::Puts;
use crate::queries::{self, Get, Page};
use crate::readers::Readers;
use crate::writer::Writer;

/// An HTTP client backed by the database.
pub(crate) fn client(direct: Direct) -> SharedHttpClient {
    SharedHttpClient::new(direct)
}

/// A database that answers wire API requests.
#[derive(Clone)]
pub(crate) struct Direct {
    pub(crate) writer: Arc<Writer>,
    /// `None` where the writer reads too: a database in memory has one version, which nobody reads while it changes.
    pub(crate) readers: Option<Arc<Readers>>,
    pub(crate) catalog: Arc<Catalog>,
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
            // Reads do not wait, so a task with many requests would otherwise monopolize its thread.
            tokio::task::yield_now().await;
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            // The SDK's requests are entirely in memory.
            let (status, body) = direct.answer(target, request.body().bytes().unwrap_or_default()).await;
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(status)
                .map_err(|e| ConnectorError::other(e.into(), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(body)))
        })
    }
}

impl Direct {
    /// Answers a request of the wire API: its `X-Amz-Target` (`DynamoDB_20120810.PutItem`,
    /// `DynamoDBStreams_20120810.GetRecords`) and its body.
    pub(crate) async fn answer(&self, target: &str, body: &[u8]) -> (u16, String) {
        let operation = target.rsplit('.').next().unwrap_or_default();
        match self.run(operation, body).await {
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

    /// A number that grows with every change, before whoever made it knows.
    pub(crate) fn changes(&self) -> u64 {
        self.writer.commits()
    }

    /// Answers a request outside of a task.
    #[cfg(test)]
    pub(crate) fn answer_to(&self, target: &str, body: &[u8]) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(self.answer(target, body))
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

    async fn run(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        match operation {
            "PutItem" => match Puts::of_put_item(body, &self.catalog) {
                Some(puts) => Ok(self.store(puts).await?.put_item()),
                None => self.write(body, |storage, request| now(put_item::execute(storage, request))).await,
            },
            "BatchWriteItem" => match Puts::of_batch(body, &self.catalog) {
                Some(puts) => Ok(self.store(puts).await?.batch()),
                None => self.write(body, |storage, request| now(batch_write_item::execute(storage, request))).await,
            },
            "UpdateItem" => self.write(body, |storage, request| now(update_item::execute(storage, request))).await,
            "DeleteItem" => self.write(body, |storage, request| now(delete_item::execute(storage, request))).await,
            // It has tokens, of which only dynoxide's database knows.
            "TransactWriteItems" => self.alone(body, Database::transact_write_items).await,
            "GetItem" => match Get::of(body, &self.catalog) {
                Some(get) => self.look(move |storage| get.run(storage.conn())).await,
                None => self.read(body, |storage, request| now(get_item::execute(storage, request))).await,
            },
            "BatchGetItem" => self.read(body, |storage, request| now(batch_get_item::execute(storage, request))).await,
            "Query" => match Page::of(body, &self.catalog) {
                Some(page) => self.look(move |storage| page.run(storage.conn())).await,
                None => self.read(body, query).await,
            },
            "CreateTable" => self.change(body, Database::create_table).await,
            "UpdateTable" => self.change(body, Database::update_table).await,
            "UpdateTimeToLive" => self.change(body, Database::update_time_to_live).await,
            "DescribeTable" => call(body, |request| self.describe_table(request)),
            "DescribeStream" => self.describe_stream(parse(body)?).await,
            "GetShardIterator" => {
                self.read(body, |storage, request| now(get_shard_iterator::execute(storage, request))).await
            }
            "GetRecords" => self.get_records(parse(body)?).await,
            // Tally itself does not need this, but other tools that inspect its tables do.
            "Scan" => {
                self.read(body, |storage, mut request: ScanRequest| {
                    request.limit = Some(pages::of_scan(request.limit));
                    now(scan::execute(storage, request))
                })
                .await
            }
            "ListTables" => self.read(body, |storage, request| now(list_tables::execute(storage, request))).await,
            "ListStreams" => self.read(body, |storage, request| now(list_streams::execute(storage, request))).await,
            "TransactGetItems" => self.read(body, together).await,
            "DescribeTimeToLive" => {
                self.read(body, |storage, request| now(describe_time_to_live::execute(storage, request))).await
            }
            _ => Err(DynoxideError::ValidationException(format!("the operation {operation} is not served"))),
        }
    }

    async fn store(&self, puts: Puts) -> Result<crate::puts::Stored, DynoxideError> {
        self.writer.together(puts.weight(), move |desk| puts.store(desk)).get().await
    }

    /// Writes with dynoxide, in a transaction with others.
    async fn write<Q: DeserializeOwned + Send + 'static, R: Serialize + Send + 'static>(
        &self,
        body: &[u8],
        run: impl FnOnce(&Storage, Q) -> Result<R, DynoxideError> + Send + 'static,
    ) -> Result<String, DynoxideError> {
        let request = parse(body)?;
        let weight = (body.len() / 1024).max(1);
        let written = self.writer.together(weight, move |desk| {
            desk.sequences.clear();
            run(&desk.storage, request)
        });
        render(&written.get().await?)
    }

    /// Writes with dynoxide, in a transaction of its own.
    async fn alone<Q: DeserializeOwned + Send + 'static, R: Serialize + Send + 'static>(
        &self,
        body: &[u8],
        run: impl FnOnce(&Database, Q) -> Result<R, DynoxideError> + Send + 'static,
    ) -> Result<String, DynoxideError> {
        let request = parse(body)?;
        render(&self.writer.alone(move |desk| run(&desk.database, request)).get().await?)
    }

    /// Changes what tables there are.
    async fn change<Q: DeserializeOwned + Send + 'static, R: Serialize + Send + 'static>(
        &self,
        body: &[u8],
        run: impl FnOnce(&Database, Q) -> Result<R, DynoxideError> + Send + 'static,
    ) -> Result<String, DynoxideError> {
        let request = parse(body)?;
        let (catalog, readers) = (Arc::clone(&self.catalog), self.readers.clone());
        let changed = self.writer.alone(move |desk| {
            let reply = run(&desk.database, request)?;
            desk.reopen()?;
            catalog.refresh(&desk.storage)?;
            if let Some(readers) = readers {
                readers.forget();
            }
            Ok(reply)
        });
        render(&changed.get().await?)
    }

    /// Reads with dynoxide.
    async fn read<Q: DeserializeOwned + Send + 'static, R: Serialize + Send + 'static>(
        &self,
        body: &[u8],
        run: impl FnOnce(&Storage, Q) -> Result<R, DynoxideError> + Send + 'static,
    ) -> Result<String, DynoxideError> {
        let request = parse(body)?;
        render(&self.look(move |storage| run(storage, request)).await?)
    }

    /// Reads on this thread, beside the writer: switching to another thread and back takes as long as the work itself.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Storage) -> Result<T, DynoxideError> + Send + 'static,
    ) -> Result<T, DynoxideError> {
        match &self.readers {
            Some(readers) => readers.with(look),
            None => self.writer.together(1, move |desk| look(&desk.storage)).get().await,
        }
    }

    fn describe_table(
        &self,
        request: DescribeTableRequest,
    ) -> Result<describe_table::DescribeTableResponse, DynoxideError> {
        self.catalog.describe(|storage| now(describe_table::execute(storage, request, &VectorIndexLifecycle::new())))
    }

    /// Corrects a shard description: dynoxide reports the last record of an open shard as its end, which makes it look
    /// closed; it returns the start shard itself as the next one; and it omits the key.
    async fn describe_stream(&self, request: DescribeStreamRequest) -> Result<String, DynoxideError> {
        let after = request.exclusive_start_shard_id.clone();
        let described = self.catalog.describe(|storage| now(describe_stream::execute(storage, request)));
        let mut description = described?.stream_description;
        description.shards.retain(|shard| after.as_ref().is_none_or(|after| shard.shard_id > *after));
        let table = description.table_name.clone();
        let first = self.look(move |storage| first_record(storage, &table)).await?;
        for shard in &mut description.shards {
            shard.sequence_number_range.starting_sequence_number.clone_from(&first);
            shard.sequence_number_range.ending_sequence_number = None;
        }
        let table = DescribeTableRequest { table_name: description.table_name.clone() };
        let key_schema = self.describe_table(table)?.table.key_schema;
        render(&DescribeStreamResponse { stream_description: Described { description, key_schema } })
    }

    /// A page of at most 1 MB.
    async fn get_records(&self, request: GetRecordsRequest) -> Result<String, DynoxideError> {
        let reply = self.look(move |storage| {
            if let Some(reply) = queries::records(storage, &request)? {
                return Ok(reply);
            }
            let request = GetRecordsRequest {
                limit: Some(pages::of_stream(storage.conn(), &request.shard_iterator, request.limit)?),
                shard_iterator: request.shard_iterator,
            };
            let reply: GetRecordsResponse = now(get_records::execute(storage, request))?;
            render(&Records {
                records: reply.records.into_iter().map(Record::from).collect(),
                next_shard_iterator: reply.next_shard_iterator,
            })
        });
        reply.await
    }
}

/// The oldest record of a table's stream, by its index.
fn first_record(storage: &Storage, table: &str) -> Result<Option<String>, DynoxideError> {
    let mut select = storage
        .conn()
        .prepare_cached("SELECT MIN(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1")?;
    let first: Option<i64> = select.query_row(params![table], |row| row.get(0))?;
    Ok(first.map(queries::public_sequence))
}

/// A page, for which dynoxide loads only the rows it needs.
fn query(storage: &Storage, mut request: QueryRequest) -> Result<QueryResponse, DynoxideError> {
    request.limit = pages::of_query(storage.conn(), &request)?;
    now(query::execute(storage, request))
}

/// Reads several items as they are at one time.
fn together(
    storage: &Storage,
    request: transact_get_items::TransactGetItemsRequest,
) -> Result<transact_get_items::TransactGetItemsResponse, DynoxideError> {
    // It ends by being dropped. Within the writer's transaction, there is one already.
    let _snapshot = storage.conn().is_autocommit().then(|| storage.conn().unchecked_transaction()).transpose()?;
    now(transact_get_items::execute(storage, request))
}

/// The result of an action of dynoxide, none of which waits on SQLite.
fn now<T>(action: impl Future<Output = Result<T, DynoxideError>>) -> Result<T, DynoxideError> {
    let waits = || DynoxideError::InternalServerError("an action waits".to_owned());
    action.now_or_never().unwrap_or_else(|| Err(waits()))
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
struct Records {
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
    render(&run(parse(body)?)?)
}

fn parse<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, DynoxideError> {
    serde_json::from_slice(body).map_err(|e| DynoxideError::ValidationException(e.to_string()))
}

fn render<R: Serialize>(reply: &R) -> Result<String, DynoxideError> {
    serde_json::to_string(reply).map_err(|e| DynoxideError::InternalServerError(e.to_string()))
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
