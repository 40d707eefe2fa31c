//! The Events table.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt};
use tally_core::app::partition::Partition;
use tally_core::app::{App, AppId};
use tally_core::counter::item::CountedEvent;
use tally_core::event::Event;
use tally_core::event::id::EventId;
use tally_core::time::Timestamp;

use crate::barriers::{BARRIER, SEPARATOR};
use crate::client::batch;
use crate::event_item::{self, Item};
use crate::tables::{BY_SESSION, PK, SESSION, SK};
use crate::{Deadline, Store, StoreError, keys};

/// Puts in one `BatchWriteItem` (DynamoDB's limit).
const BATCH: usize = 25;
/// Most bytes of a batch on the wire; DynamoDB takes 16 MB, and one item at most a tenth of that.
const BATCH_BYTES: usize = 12 * 1024 * 1024;
/// Batches under way at once: a request of 1,000 events is 40 of them.
const CONCURRENCY: usize = 16;
/// Rounds of sending again what DynamoDB left unprocessed.
const ROUNDS: u32 = 4;
/// The wait before the second round, on average; doubled with each.
const BACK_OFF: Duration = Duration::from_millis(50);

/// In which order events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest first.
    #[default]
    Descending,
    /// The oldest first.
    Ascending,
}

/// Some of the events of a key range, in order.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// The last identity that was read, where more follow.
    pub more_after: Option<EventId>,
    /// Read units that it cost.
    pub units: f64,
}

/// What counting needs of some of the events of a key range, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct CountedPage {
    /// The events.
    pub events: Vec<CountedEvent>,
    /// The last identity that was read, where more follow.
    pub more_after: Option<EventId>,
    /// Read units that it cost.
    pub units: f64,
}

impl Store {
    /// Stores one event: one put, unconditional, so that an event sent again overwrites itself.
    async fn put_event(&self, app: &App, event: &Event) -> Result<(), StoreError> {
        self.put(&self.tables.events, event_item(app, event)?).await
    }

    /// Stores events, no two of one identity; answers for each in turn, by the deadline.
    pub async fn put_events(&self, app: &App, events: &[&Event], deadline: Deadline) -> Vec<Result<(), StoreError>> {
        if let [event] = events {
            return vec![deadline.hold(self.put_event(app, event)).await];
        }
        let mut verdicts: Vec<Result<(), StoreError>> = events.iter().map(|_| Ok(())).collect();
        let mut batches: Vec<Vec<(usize, Item)>> = vec![];
        let mut size = 0;
        for (i, event) in events.iter().enumerate() {
            match event_item(app, event) {
                Ok(item) => {
                    size += event_item::wire_size(&item);
                    match batches.last_mut() {
                        Some(batch) if batch.len() < BATCH && size <= BATCH_BYTES => batch.push((i, item)),
                        _ => {
                            size = event_item::wire_size(&item);
                            batches.push(vec![(i, item)]);
                        }
                    }
                }
                Err(e) => verdicts[i] = Err(e),
            }
        }
        let batches: Vec<_> = batches.into_iter().map(|batch| self.put_batch(batch, deadline)).collect();
        let failed: Vec<_> = stream::iter(batches).buffer_unordered(CONCURRENCY).collect().await;
        for (i, error) in failed.into_iter().flatten() {
            verdicts[i] = Err(error);
        }
        verdicts
    }

    /// Stores a batch, sending again what was left unprocessed; returns those that were not stored.
    async fn put_batch(&self, batch: Vec<(usize, Item)>, deadline: Deadline) -> Vec<(usize, StoreError)> {
        // By key, since that is how DynamoDB names what it left unprocessed.
        let mut waiting: HashMap<(String, String), usize> = HashMap::with_capacity(batch.len());
        let mut puts = Vec::with_capacity(batch.len());
        for (i, item) in batch {
            waiting.insert(key_of(&item), i);
            puts.push(item);
        }
        let failed = |waiting: HashMap<_, usize>, error: StoreError| {
            waiting.into_values().map(|i| (i, error.clone())).collect::<Vec<_>>()
        };
        for round in 0..ROUNDS {
            if round > 0 {
                let mean = BACK_OFF * 2u32.pow(round - 1);
                if !deadline.wait(mean.mul_f64(rand::random_range(0.5..1.5))).await {
                    break;
                }
            }
            match deadline.hold(self.put_items(std::mem::take(&mut puts))).await {
                Ok(unprocessed) => puts = unprocessed,
                Err(error) => return failed(waiting, error),
            }
            if puts.is_empty() {
                return vec![];
            }
            let left: Vec<_> = puts.iter().map(key_of).collect();
            waiting.retain(|key, _| left.contains(key));
        }
        let error = StoreError::Throttled(format!("{} events left unprocessed", waiting.len()));
        failed(waiting, error)
    }

    /// One `BatchWriteItem` of events; returns those left unprocessed.
    async fn put_items(&self, items: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let puts = items.into_iter().map(batch::put).collect::<Result<_, _>>()?;
        let left = self.write_batch(&self.tables.events, puts).await?;
        Ok(left.into_iter().filter_map(|request| request.put_request.map(|put| put.item)).collect())
    }

    /// One event, strongly consistent.
    pub async fn get_event(&self, app: &App, id: EventId, now: Timestamp) -> Result<Option<Event>, StoreError> {
        let partition = partition(app, id);
        let request = self
            .client
            .get_item()
            .table_name(&self.tables.events)
            .key(PK, AttributeValue::S(keys::partition(&partition)))
            .key(SK, AttributeValue::S(id.to_string()))
            .consistent_read(true);
        self.send_get(request).await?.map_or(Ok(None), |item| event_item::to_event(item, now))
    }

    /// Events of one shard whose identities lie from `first` to `last`, both included.
    pub async fn query_events(
        &self,
        partition: &Partition,
        (first, last): (EventId, EventId),
        order: Order,
        limit: i32,
        consistent: bool,
        now: Timestamp,
    ) -> Result<EventPage, StoreError> {
        self.query(PK, keys::partition(partition), (first, last), order, limit, consistent, now).await
    }

    /// Events of one session whose identities lie from `first` to `last`, both included; eventually consistent, as
    /// an index is.
    pub async fn query_session(
        &self,
        app: &AppId,
        session_id: &str,
        (first, last): (EventId, EventId),
        order: Order,
        limit: i32,
        now: Timestamp,
    ) -> Result<EventPage, StoreError> {
        if !keys::can_be_session(session_id) {
            return Ok(EventPage::default());
        }
        self.query(SESSION, keys::session(app, session_id), (first, last), order, limit, false, now).await
    }

    /// What counting needs of the events of one shard whose identities lie from `first` to `last`, both included, the
    /// oldest first, strongly consistent.
    pub async fn counted_events(
        &self,
        partition: &Partition,
        ids: (EventId, EventId),
    ) -> Result<CountedPage, StoreError> {
        self.counted(PK, keys::partition(partition), ids).await
    }

    /// The same of the events of one session; eventually consistent, as an index is.
    pub async fn counted_session(
        &self,
        app: &AppId,
        session_id: &str,
        ids: (EventId, EventId),
    ) -> Result<CountedPage, StoreError> {
        if !keys::can_be_session(session_id) {
            return Ok(CountedPage::default());
        }
        self.counted(SESSION, keys::session(app, session_id), ids).await
    }

    async fn counted(
        &self,
        key_name: &str,
        key: String,
        (first, last): (EventId, EventId),
    ) -> Result<CountedPage, StoreError> {
        let mut request = self.client.query();
        for (placeholder, attribute) in event_item::COUNTED {
            request = request.expression_attribute_names(placeholder, attribute);
        }
        let request = request
            .table_name(&self.tables.events)
            .set_index_name((key_name == SESSION).then(|| BY_SESSION.to_owned()))
            .key_condition_expression("#key = :key AND #sk BETWEEN :first AND :last")
            .projection_expression(event_item::COUNTED.map(|(placeholder, _)| placeholder).join(","))
            .filter_expression("attribute_not_exists(#fence)")
            .expression_attribute_names("#key", key_name)
            .expression_attribute_names("#fence", BARRIER)
            .expression_attribute_values(":key", AttributeValue::S(key))
            .expression_attribute_values(":first", AttributeValue::S(first.to_string()))
            .expression_attribute_values(":last", AttributeValue::S(last.to_string()))
            .consistent_read(key_name == PK);
        let (reply, units) = self.send_query(request).await?;
        let more_after = reply.last_evaluated_key().map(|key| read_to(key, Order::Ascending)).transpose()?;
        let events = reply.items.unwrap_or_default().into_iter().filter_map(|item| {
            let keys = key_of(&item);
            // What cannot be read was never counted, and was set aside; it is no reason to leave the others.
            event_item::counted(item).inspect_err(|error| tracing::warn!(?keys, %error, "an event cannot be read")).ok()
        });
        Ok(CountedPage { events: events.collect(), more_after, units })
    }

    /// The first identity in a shard from one on, whether or not its event has expired, strongly consistent.
    pub async fn first_event(&self, partition: &Partition, from: EventId) -> Result<Option<EventId>, StoreError> {
        let request = self
            .client
            .query()
            .table_name(&self.tables.events)
            .key_condition_expression("#pk = :pk AND #sk >= :from")
            .projection_expression("#sk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::partition(partition)))
            .expression_attribute_values(":from", AttributeValue::S(from.to_string()))
            .limit(1)
            .consistent_read(true);
        let (reply, _) = self.send_query(request).await?;
        reply.items().first().map(|key| read_to(key, Order::Ascending)).transpose()
    }

    #[allow(clippy::too_many_arguments)] // one request's parts
    async fn query(
        &self,
        key_name: &str,
        key: String,
        (first, last): (EventId, EventId),
        order: Order,
        limit: i32,
        consistent: bool,
        now: Timestamp,
    ) -> Result<EventPage, StoreError> {
        let request = self
            .client
            .query()
            .table_name(&self.tables.events)
            .set_index_name((key_name == SESSION).then(|| BY_SESSION.to_owned()))
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :first AND :last")
            .expression_attribute_names("#pk", key_name)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(key))
            .expression_attribute_values(":first", AttributeValue::S(first.to_string()))
            .expression_attribute_values(":last", AttributeValue::S(last.to_string()))
            .scan_index_forward(order == Order::Ascending)
            .limit(limit)
            .consistent_read(consistent);
        let (reply, units) = self.send_query(request).await?;
        let more_after = reply.last_evaluated_key().map(|key| read_to(key, order)).transpose()?;
        let events = reply
            .items
            .unwrap_or_default()
            .into_iter()
            .filter_map(|item| event_item::to_event(item, now).transpose())
            .collect::<Result<_, _>>()?;
        Ok(EventPage { events, more_after, units })
    }
}

/// The shard of an event.
pub(super) fn partition(app: &App, id: EventId) -> Partition {
    Partition { app: app.id.clone(), shard: app.layout.shard(id) }
}

fn event_item(app: &App, event: &Event) -> Result<Item, StoreError> {
    event_item::of_event(&partition(app, event.id), event, app.layout.expires_at(event.id.at()))
}

fn key_of(item: &Item) -> (String, String) {
    let text = |name| item.get(name).and_then(|v| v.as_s().ok()).cloned().unwrap_or_default();
    (text(PK), text(SK))
}

/// The last identity of a page that ends at a key. A barrier stands right after the identity that it names: read
/// backwards, that one is still to come.
pub(super) fn read_to(key: &Item, order: Order) -> Result<EventId, StoreError> {
    let (_, sk) = key_of(key);
    let unreadable = |_| StoreError::Unreadable(format!("the key {sk:?} of an event"));
    match sk.split_once(SEPARATOR) {
        None => sk.parse().map_err(unreadable),
        Some((place, _)) => {
            let id: EventId = place.parse().map_err(unreadable)?;
            Ok(if order == Order::Descending { id.after().unwrap_or(id) } else { id })
        }
    }
}
