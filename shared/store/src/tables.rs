//! The three tables: one definition, which the laptop and the tests create and template.yaml is held equal to.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TimeToLiveSpecification,
};

use crate::{Store, StoreError};

/// The names that the tables have in this deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// Events.
    pub events: String,
    /// Counters.
    pub counters: String,
    /// Apps, their keys, signing keys.
    pub apps: String,
}

impl Default for TableNames {
    fn default() -> Self {
        Self { events: "tally-events".to_owned(), counters: "tally-counters".to_owned(), apps: "tally-apps".to_owned() }
    }
}

/// The sparse index of Events by session.
pub const BY_SESSION: &str = "by_session";
/// Partition key of every table.
pub const PK: &str = "pk";
/// Sort key of every table.
pub const SK: &str = "sk";
/// Partition key of [`BY_SESSION`]; only events with a session have it.
pub const SESSION: &str = "session";
/// When an item expires, in Unix seconds.
pub const EXPIRES_AT: &str = "expires_at";

/// What tells one table from another; all are on demand, keyed by text `pk` and `sk`, with a TTL on `expires_at`.
#[derive(Clone, Copy, Debug)]
pub struct TableDefinition {
    /// Its logical id in template.yaml.
    pub logical_id: &'static str,
    /// Its name among the names of a deployment.
    pub name: fn(&TableNames) -> &str,
    /// Whether it has the index [`BY_SESSION`] (`session`, `sk`, all attributes).
    pub by_session: bool,
    /// Whether it has a stream of new and old images.
    pub stream: bool,
}

/// All tables.
pub const TABLES: [TableDefinition; 3] = [
    TableDefinition { logical_id: "EventsTable", name: |names| &names.events, by_session: true, stream: true },
    TableDefinition { logical_id: "CountersTable", name: |names| &names.counters, by_session: false, stream: false },
    TableDefinition { logical_id: "AppsTable", name: |names| &names.apps, by_session: false, stream: false },
];

fn key(name: &str, role: KeyType) -> Result<KeySchemaElement, StoreError> {
    built(KeySchemaElement::builder().attribute_name(name).key_type(role).build())
}

fn built<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, StoreError> {
    result.map_err(|e| StoreError::Refused(e.to_string()))
}

impl Store {
    /// Creates the tables that do not exist yet.
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        for table in TABLES {
            self.create_table(table).await?;
        }
        Ok(())
    }

    async fn create_table(&self, table: TableDefinition) -> Result<(), StoreError> {
        let name = (table.name)(&self.tables);
        let mut request = self
            .client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key(PK, KeyType::Hash)?)
            .key_schema(key(SK, KeyType::Range)?);
        let texts = if table.by_session { &[PK, SK, SESSION][..] } else { &[PK, SK] };
        for attribute in texts {
            request = request.attribute_definitions(built(
                AttributeDefinition::builder()
                    .attribute_name(*attribute)
                    .attribute_type(ScalarAttributeType::S)
                    .build(),
            )?);
        }
        if table.by_session {
            let index = GlobalSecondaryIndex::builder()
                .index_name(BY_SESSION)
                .key_schema(key(SESSION, KeyType::Hash)?)
                .key_schema(key(SK, KeyType::Range)?)
                .projection(Projection::builder().projection_type(ProjectionType::All).build());
            request = request.global_secondary_indexes(built(index.build())?);
        }
        if table.stream {
            let stream =
                StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages);
            request = request.stream_specification(built(stream.build())?);
        }
        match request.send().await {
            Ok(_) => {}
            Err(e)
                if e.as_service_error().is_some_and(
                    aws_sdk_dynamodb::operation::create_table::CreateTableError::is_resource_in_use_exception,
                ) =>
            {
                return Ok(());
            }
            Err(e) => return Err(StoreError::of(&e)),
        }
        let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT);
        self.client
            .update_time_to_live()
            .table_name(name)
            .time_to_live_specification(built(expiry.build())?)
            .send()
            .await
            .map_err(|e| StoreError::of(&e))?;
        Ok(())
    }

    /// The ARN of the newest stream of Events.
    pub async fn events_stream(&self) -> Result<Option<String>, StoreError> {
        let table = self
            .client
            .describe_table()
            .table_name(&self.tables.events)
            .send()
            .await
            .map_err(|e| StoreError::of(&e))?;
        Ok(table.table.and_then(|table| table.latest_stream_arn))
    }
}
