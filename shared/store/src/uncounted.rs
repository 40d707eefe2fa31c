//! Days whose counters lack stored events. `aggregate` marks a day, and a recount of the day clears the mark.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::AppId;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, Range, Timestamp};

use crate::client::error::StoreError;
use crate::item::{key, number, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{PK, SK};
use crate::uncounted_cache::UncountedDay;

/// The time of the last mark, in microseconds since 1970.
const AT: &str = "at";
/// The number of marks that are written concurrently.
const CONCURRENCY: usize = 16;

impl Store {
    /// Marks the days that contain the given times. A repeated mark prevents a recount that started earlier from
    /// clearing it.
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
            self.send(self.client.put_item().table_name(&self.tables.counters).set_item(Some(item)))
        });
        stream::iter(puts.collect::<Vec<_>>())
            .buffer_unordered(CONCURRENCY)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        self.uncounted.forget(app);
        Ok(())
    }

    /// Returns the marked days of an app, in order.
    pub async fn uncounted_days(&self, app: &AppId, consistent: bool) -> Result<Vec<UncountedDay>, StoreError> {
        let (mut days, mut start) = (Vec::new(), None);
        loop {
            let request = self.query_partition(&self.tables.counters, keys::uncounted(app)).consistent_read(consistent);
            let page = self.send_query(request.set_exclusive_start_key(start)).await?;
            days.extend(page.items.iter().filter_map(|item| {
                let day = Bucket::parse(Granularity::Day, sort_key(item))?;
                let marked_at = Timestamp::from_micros(number(item.get(AT)?)?);
                Some(UncountedDay { day: day.start(), marked_at })
            }));
            start = page.next;
            if start.is_none() {
                return Ok(days);
            }
        }
    }

    /// Returns whether the counters lack events on any day that overlaps a range. The answer is at most 60 s old.
    pub async fn lacks_counts(&self, app: &AppId, range: Range) -> Result<bool, StoreError> {
        let days = if let Some(days) = self.uncounted.get(app) {
            days
        } else {
            let days = Arc::new(self.uncounted_days(app, false).await?);
            self.uncounted.insert(app, Arc::clone(&days));
            days
        };
        let first = days.partition_point(|day| day.day + DAY <= range.since());
        Ok(days.get(first).is_some_and(|day| day.day < range.until()))
    }

    /// Clears a mark, unless the day was marked again after the mark was read.
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
            .expression_attribute_values(":at", AttributeValue::N(day.marked_at.micros().to_string()));
        self.send_conditional(request).await?;
        self.uncounted.forget(app);
        Ok(())
    }
}
