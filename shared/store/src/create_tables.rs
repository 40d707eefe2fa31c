//! Creates the tables and finds the stream of Events. These requests consume no capacity.

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TimeToLiveSpecification,
};

use crate::client::error::StoreError;
use crate::store::Store;
use crate::tables::{BY_SESSION, EXPIRES_AT, PK, SESSION, SK, SessionIndex, TABLES, TableDefinition};

fn key(name: &str, role: KeyType) -> Result<KeySchemaElement, StoreError> {
    built(KeySchemaElement::builder().attribute_name(name).key_type(role).build())
}

fn built<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, StoreError> {
    result.map_err(|e| StoreError::Refused(e.to_string()))
}

impl Store {
    /// Creates the tables that do not exist yet. Tables that exist stay as they are.
    pub async fn create_tables(&self, index: SessionIndex) -> Result<(), StoreError> {
        for table in TABLES {
            self.create_table(table, index).await?;
        }
        Ok(())
    }

    async fn create_table(&self, table: TableDefinition, index: SessionIndex) -> Result<(), StoreError> {
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
            let definition = GlobalSecondaryIndex::builder()
                .index_name(BY_SESSION)
                .key_schema(key(SESSION, KeyType::Hash)?)
                .key_schema(key(SK, KeyType::Range)?)
                .projection(
                    Projection::builder()
                        .projection_type(match index {
                            SessionIndex::Whole => ProjectionType::All,
                            SessionIndex::Keys => ProjectionType::KeysOnly,
                        })
                        .build(),
                );
            request = request.global_secondary_indexes(built(definition.build())?);
        }
        if table.stream {
            let stream =
                StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages);
            request = request.stream_specification(built(stream.build())?);
        }
        match Box::pin(request.send()).await {
            Ok(_) => {}
            Err(e) if e.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
                return Ok(());
            }
            Err(e) => return Err(StoreError::of(&e)),
        }
        let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT);
        let request = self.client.update_time_to_live().table_name(name);
        let request = request.time_to_live_specification(built(expiry.build())?);
        Box::pin(request.send()).await.map(drop).map_err(|e| StoreError::of(&e))
    }

    /// Returns the ARN of the newest stream of Events.
    pub async fn events_stream(&self) -> Result<Option<String>, StoreError> {
        let request = self.client.describe_table().table_name(&self.tables.events);
        let table = Box::pin(request.send()).await.map_err(|e| StoreError::of(&e))?;
        Ok(table.table.and_then(|table| table.latest_stream_arn))
    }
}
