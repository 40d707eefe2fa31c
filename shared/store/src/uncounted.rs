//! Days whose counters lack events that are stored: marked by `aggregate`, cleared by a recount of the day.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::AppId;
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};

use crate::counters::number;
use crate::event_item::key;
use crate::tables::{PK, SK};
use crate::{Store, StoreError, keys};

/// When a day was marked last, in microseconds since 1970.
const AT: &str = "at";
/// Marks that are put at once.
const CONCURRENCY: usize = 16;

/// A day (UTC) whose counters lack events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UncountedDay {
    /// Its first moment.
    pub day: Timestamp,
    /// When it was marked last.
    pub marked_at: Timestamp,
}

impl Store {
    /// Marks the days that hold these moments. A day that is marked already is marked anew, so that a recount that began
    /// before does not clear it.
    pub async fn mark_uncounted(
        &self,
        app: &AppId,
        moments: &BTreeSet<Timestamp>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let days: BTreeSet<_> = moments.iter().map(|moment| Bucket::of(Granularity::Day, *moment)).collect();
        let partition = keys::uncounted(app);
        let puts = days.into_iter().map(|day| {
            let mut item = key(&partition, &day.to_string());
            item.insert(AT.to_owned(), AttributeValue::N(at.micros().to_string()));
            self.put(&self.tables.counters, item)
        });
        stream::iter(puts.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// The days of an app that are marked, in order.
    pub async fn uncounted_days(&self, app: &AppId, consistent: bool) -> Result<Vec<UncountedDay>, StoreError> {
        let (mut days, mut start) = (Vec::new(), None);
        loop {
            let (items, next) = self.query_counters_partition(&keys::uncounted(app), start, None, consistent).await?;
            days.extend(items.iter().filter_map(|item| {
                let day = Bucket::parse(Granularity::Day, item.get(SK)?.as_s().ok()?)?;
                let marked_at = Timestamp::from_micros(number(item.get(AT)?)?);
                Some(UncountedDay { day: day.start(), marked_at })
            }));
            start = next;
            if start.is_none() {
                return Ok(days);
            }
        }
    }

    /// Clears a mark, unless the day was marked again since it was read.
    pub async fn clear_uncounted(&self, app: &AppId, day: UncountedDay) -> Result<(), StoreError> {
        let bucket = Bucket::of(Granularity::Day, day.day);
        let request = self
            .client
            .delete_item()
            .table_name(&self.tables.counters)
            .key(PK, AttributeValue::S(keys::uncounted(app)))
            .key(SK, AttributeValue::S(bucket.to_string()))
            .condition_expression("#at = :at")
            .expression_attribute_names("#at", AT)
            .expression_attribute_values(":at", AttributeValue::N(day.marked_at.micros().to_string()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match Box::pin(request.send()).await {
            Ok(reply) => self.meter.wrote(reply.consumed_capacity()),
            Err(e) => match e.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => self.meter.wrote(None),
                _ => return Err(StoreError::of(&e)),
            },
        };
        Ok(())
    }
}
