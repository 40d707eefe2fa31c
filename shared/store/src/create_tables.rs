//! Creates the tables and finds the stream of Events. These requests consume no capacity.

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    StreamSpecification, StreamViewType, TableDescription, TimeToLiveSpecification,
};

use crate::client::error::StoreError;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK, SK, SessionIndex, TABLES, TableDefinition};

/// The keys of a table or an index: an attribute for the partition, and the sort key that all have.
fn keys(partition: &str) -> Result<Vec<KeySchemaElement>, StoreError> {
    let key = |name, role| built(KeySchemaElement::builder().attribute_name(name).key_type(role).build());
    Ok(vec![key(partition, KeyType::Hash)?, key(SK, KeyType::Range)?])
}

fn text(name: &str) -> Result<AttributeDefinition, StoreError> {
    built(AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build())
}

fn projection(index: SessionIndex) -> Projection {
    let kind = match index {
        SessionIndex::Whole => ProjectionType::All,
        SessionIndex::Keys => ProjectionType::KeysOnly,
    };
    Projection::builder().projection_type(kind).build()
}

fn built<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, StoreError> {
    result.map_err(|e| StoreError::Refused(e.to_string()))
}

impl Store {
    /// Creates the tables that do not exist yet. Tables that exist get the indexes that they lack.
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
            .set_key_schema(Some(keys(PK)?))
            .attribute_definitions(text(PK)?)
            .attribute_definitions(text(SK)?);
        for &(name, attribute) in table.indexes {
            let definition = GlobalSecondaryIndex::builder()
                .index_name(name)
                .set_key_schema(Some(keys(attribute)?))
                .projection(projection(index));
            request =
                request.attribute_definitions(text(attribute)?).global_secondary_indexes(built(definition.build())?);
        }
        if table.stream {
            let stream =
                StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages);
            request = request.stream_specification(built(stream.build())?);
        }
        match Box::pin(request.send()).await {
            Ok(_) => {}
            Err(e) if e.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
                return self.add_indexes(table, index).await;
            }
            Err(e) => return Err(StoreError::of(&e)),
        }
        let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT);
        let request = self.client.update_time_to_live().table_name(name);
        let request = request.time_to_live_specification(built(expiry.build())?);
        Box::pin(request.send()).await.map(drop).map_err(|e| StoreError::of(&e))
    }

    /// Adds the indexes that a table of an earlier version lacks.
    async fn add_indexes(&self, table: TableDefinition, index: SessionIndex) -> Result<(), StoreError> {
        if table.indexes.is_empty() {
            return Ok(());
        }
        let name = (table.name)(&self.tables);
        let request = self.client.describe_table().table_name(name);
        let described = Box::pin(request.send()).await.map_err(|e| StoreError::of(&e))?;
        let described = described.table.unwrap_or_else(|| TableDescription::builder().build());
        let has =
            |name: &str| described.global_secondary_indexes().iter().any(|known| known.index_name() == Some(name));
        for &(index_name, attribute) in table.indexes.iter().filter(|(name, _)| !has(name)) {
            let create = CreateGlobalSecondaryIndexAction::builder()
                .index_name(index_name)
                .set_key_schema(Some(keys(attribute)?))
                .projection(projection(index));
            let update = GlobalSecondaryIndexUpdate::builder().create(built(create.build())?).build();
            let request = self
                .client
                .update_table()
                .table_name(name)
                .attribute_definitions(text(attribute)?)
                .attribute_definitions(text(SK)?)
                .global_secondary_index_updates(update);
            Box::pin(request.send()).await.map_err(|e| StoreError::of(&e))?;
        }
        Ok(())
    }

    /// Returns the ARN of the newest stream of Events.
    pub async fn events_stream(&self) -> Result<Option<String>, StoreError> {
        let request = self.client.describe_table().table_name(&self.tables.events);
        let table = Box::pin(request.send()).await.map_err(|e| StoreError::of(&e))?;
        Ok(table.table.and_then(|table| table.latest_stream_arn))
    }
}
