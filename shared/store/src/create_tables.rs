//! Creates the tables and finds the stream of Events. These requests consume no capacity.

use std::time::Duration;

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription, TableStatus, TimeToLiveSpecification,
    TimeToLiveStatus,
};
use futures::future::try_join_all;
use tokio::time::Instant;

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

/// How long a table may take until it can be used. Amazon's take some seconds, an index of a table with data some minutes.
const MOST_TIME: Duration = Duration::from_mins(10);
/// How often to look.
const LOOK: Duration = Duration::from_secs(1);

impl Store {
    /// Creates the tables that do not exist yet. Tables that exist get the indexes and the expiry that they lack. Returns once
    /// all can be used.
    pub async fn create_tables(&self, index: SessionIndex) -> Result<(), StoreError> {
        try_join_all(TABLES.into_iter().map(|table| self.create_table(table, index))).await.map(drop)
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
            Ok(_) => {
                self.usable(name).await?;
            }
            Err(e) if e.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
                self.add_indexes(table, index).await?;
                if self.expires(name).await? {
                    return Ok(());
                }
            }
            Err(e) => return Err(StoreError::of(&e)),
        }
        let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT);
        let request = self.client.update_time_to_live().table_name(name);
        let request = request.time_to_live_specification(built(expiry.build())?);
        match Box::pin(request.send()).await {
            Ok(_) => Ok(()),
            // Another server that starts has done it.
            Err(_) if self.expires(name).await? => Ok(()),
            Err(e) => Err(StoreError::of(&e)),
        }
    }

    /// Whether items of a table expire.
    async fn expires(&self, name: &str) -> Result<bool, StoreError> {
        let request = self.client.describe_time_to_live().table_name(name);
        let reply = Box::pin(request.send()).await.map_err(|e| StoreError::of(&e))?;
        let status = reply.time_to_live_description.and_then(|description| description.time_to_live_status);
        Ok(matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)))
    }

    /// Waits until a table and its indexes can be used.
    async fn usable(&self, name: &str) -> Result<TableDescription, StoreError> {
        let started = Instant::now();
        loop {
            let request = self.client.describe_table().table_name(name);
            let described = Box::pin(request.send()).await.map_err(|e| StoreError::of(&e))?;
            let described = described.table.unwrap_or_else(|| TableDescription::builder().build());
            let waits = |status: Option<&IndexStatus>| status.is_some_and(|status| *status != IndexStatus::Active);
            if described.table_status().is_none_or(|status| *status == TableStatus::Active)
                && !described.global_secondary_indexes().iter().any(|index| waits(index.index_status()))
            {
                return Ok(described);
            }
            if started.elapsed() > MOST_TIME {
                return Err(StoreError::Unavailable(format!("the table {name} is not ready after {MOST_TIME:?}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Adds the indexes that a table of an earlier version lacks, one after the other, as Amazon requires.
    async fn add_indexes(&self, table: TableDefinition, index: SessionIndex) -> Result<(), StoreError> {
        let name = (table.name)(&self.tables);
        let described = self.usable(name).await?;
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
            self.usable(name).await?;
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
