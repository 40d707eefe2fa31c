//! Heartbeats that were counted: they tell that a shard without events is counted all the same. Only alerts read them.

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::app::partition::Partition;
use tally_core::time::{TimeDelta, Timestamp};

use crate::barriers::Barrier;
use crate::client::error::StoreError;
use crate::item::{key, number, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::EXPIRES_AT;

/// When the heartbeat was put, in microseconds since 1970.
const AT: &str = "at";
/// How long a note is kept: longer than the checkpoint of a stream shard decides.
const KEPT: TimeDelta = TimeDelta::days(2);

impl Store {
    /// Notes that all records of a stream shard before a heartbeat are counted. An older heartbeat changes nothing.
    pub async fn note_heartbeat(
        &self,
        heartbeat: &Barrier,
        stream_shard: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(heartbeat.partition(), &keys::heartbeat(stream_shard))))
            .update_expression("SET #at = :at, #expires = :expires")
            .condition_expression("attribute_not_exists(#at) OR #at < :at")
            .expression_attribute_names("#at", AT)
            .expression_attribute_names("#expires", EXPIRES_AT)
            .expression_attribute_values(":at", AttributeValue::N(at.micros().to_string()))
            .expression_attribute_values(":expires", AttributeValue::N((at + KEPT).seconds().to_string()));
        self.send_conditional(request).await.map(drop)
    }

    /// Returns the times of the newest heartbeats of a shard that are counted, by stream shard, strongly consistent, and the
    /// read units consumed.
    pub async fn heartbeats(&self, partition: &Partition) -> Result<(Vec<(String, Timestamp)>, f64), StoreError> {
        let (mut times, mut units, mut start) = (Vec::new(), 0.0, None);
        loop {
            let range = keys::heartbeats();
            let request = self.query_between(&self.tables.counters, keys::partition(partition), range);
            let page = self.send_query(request.consistent_read(true).set_exclusive_start_key(start)).await?;
            units += page.units;
            times.extend(page.items.iter().filter_map(|item| {
                let shard = keys::read_heartbeat(sort_key(item))?;
                Some((shard.to_owned(), Timestamp::from_micros(number(item.get(AT)?)?)))
            }));
            start = page.next;
            if start.is_none() {
                return Ok((times, units));
            }
        }
    }
}
