//! Events.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::app::partition::Partition;
use tally_core::app::{App, AppId};
use tally_core::counter::item::CountedEvent;
use tally_core::event::Event;
use tally_core::event::id::EventId;
use tally_core::time::Timestamp;

use crate::barriers::{BARRIER, SEPARATOR};
use crate::client::batch;
use crate::client::deadline::Deadline;
use crate::client::error::StoreError;
use crate::item::{Item, sort_key};
use crate::store::Store;
use crate::tables::{BY_SESSION, PK, SESSION, SK};
use crate::{event_item, keys};

/// The order in which events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

/// Events of a key range, in order.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// The last identity that was read, if more events follow.
    pub more_after: Option<EventId>,
    /// The read units consumed.
    pub units: f64,
}

/// The counted attributes of events of a key range, oldest first.
#[derive(Clone, Debug, Default)]
pub struct CountedPage {
    /// The events.
    pub events: Vec<CountedEvent>,
    /// The last identity that was read, if more events follow.
    pub more_after: Option<EventId>,
    /// The read units consumed.
    pub units: f64,
}

impl Store {
    /// Stores one event with an unconditional put, so an event that is sent again overwrites itself.
    async fn put_event(&self, app: &App, event: &Event) -> Result<(), StoreError> {
        self.put(&self.tables.events, event_item(app, event)?).await
    }

    /// Stores events with distinct identities. Returns one result per event, in order, by the deadline.
    pub async fn put_events(&self, app: &App, events: &[&Event], deadline: Deadline) -> Vec<Result<(), StoreError>> {
        if let [event] = events {
            return vec![deadline.hold(self.put_event(app, event)).await];
        }
        let mut verdicts: Vec<Result<(), StoreError>> = events.iter().map(|_| Ok(())).collect();
        let mut puts = Vec::with_capacity(events.len());
        for (i, event) in events.iter().enumerate() {
            match event_item(app, event).and_then(batch::put) {
                Ok(put) => puts.push((i, put)),
                Err(error) => verdicts[i] = Err(error),
            }
        }
        for (i, error) in self.write_each(&self.tables.events, puts, deadline).await {
            verdicts[i] = Err(error);
        }
        verdicts
    }

    /// Reads one event, strongly consistent.
    pub async fn get_event(&self, app: &App, id: EventId, now: Timestamp) -> Result<Option<Event>, StoreError> {
        let partition = keys::partition(&partition(app, id));
        let item = self.get(&self.tables.events, &partition, &id.to_string()).await?;
        item.map_or(Ok(None), |item| event_item::to_event(item, now))
    }

    /// Reads events of one shard with identities from `first` to `last`, inclusive.
    pub async fn query_events(
        &self,
        partition: &Partition,
        (first, last): (EventId, EventId),
        order: Order,
        limit: i32,
        consistent: bool,
        now: Timestamp,
    ) -> Result<EventPage, StoreError> {
        let request = self.query_ids(Place::Shard(partition), (first, last));
        self.page_events(request.consistent_read(consistent).limit(limit), order, now).await
    }

    /// Reads events of one session with identities from `first` to `last`, inclusive. The read uses an index, so it
    /// is eventually consistent.
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
        let request = self.query_ids(Place::Session(app, session_id), (first, last));
        self.page_events(request.limit(limit), order, now).await
    }

    /// Reads the counted attributes of events of one shard with identities from `first` to `last`, inclusive. Oldest
    /// first, strongly consistent.
    pub async fn counted_events(
        &self,
        partition: &Partition,
        ids: (EventId, EventId),
    ) -> Result<CountedPage, StoreError> {
        self.counted(self.query_ids(Place::Shard(partition), ids).consistent_read(true)).await
    }

    /// Reads the counted attributes of events of one session. The read uses an index, so it is eventually consistent.
    pub async fn counted_session(
        &self,
        app: &AppId,
        session_id: &str,
        ids: (EventId, EventId),
    ) -> Result<CountedPage, StoreError> {
        if !keys::can_be_session(session_id) {
            return Ok(CountedPage::default());
        }
        self.counted(self.query_ids(Place::Session(app, session_id), ids)).await
    }

    /// Builds a query for identities from `first` to `last`, inclusive. The identity attribute is `#sk`.
    fn query_ids(&self, place: Place<'_>, (first, last): (EventId, EventId)) -> QueryFluentBuilder {
        let ids = (first.to_string(), last.to_string());
        match place {
            Place::Shard(partition) => self.query_between(&self.tables.events, keys::partition(partition), ids),
            Place::Session(app, session_id) => self
                .query_between(&self.tables.events, keys::session(app, session_id), ids)
                .index_name(BY_SESSION)
                .expression_attribute_names("#key", SESSION),
        }
    }

    async fn counted(&self, mut request: QueryFluentBuilder) -> Result<CountedPage, StoreError> {
        for (placeholder, attribute) in event_item::COUNTED {
            request = request.expression_attribute_names(placeholder, attribute);
        }
        let request = request
            .projection_expression(event_item::COUNTED.map(|(placeholder, _)| placeholder).join(","))
            .filter_expression("attribute_not_exists(#fence)")
            .expression_attribute_names("#fence", BARRIER);
        let page = self.send_query(request).await?;
        let more_after = page.next.map(|key| read_to(&key, Order::Ascending)).transpose()?;
        let events = page.items.into_iter().filter_map(|item| {
            let keys = item.get(PK).zip(item.get(SK)).map(|(pk, sk)| (pk.clone(), sk.clone()));
            // An unreadable event was never counted and is a dead letter. The other events are counted.
            event_item::counted(item).inspect_err(|error| tracing::warn!(?keys, %error, "an event cannot be read")).ok()
        });
        Ok(CountedPage { events: events.collect(), more_after, units: page.units })
    }

    /// Returns the first identity in a shard at or after `from`, even if its event has expired. Strongly consistent.
    pub async fn first_event(&self, partition: &Partition, from: EventId) -> Result<Option<EventId>, StoreError> {
        let request = self
            .query_partition(&self.tables.events, keys::partition(partition))
            .key_condition_expression("#key = :key AND #sk >= :from")
            .projection_expression("#sk")
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":from", AttributeValue::S(from.to_string()))
            .limit(1)
            .consistent_read(true);
        let page = self.send_query(request).await?;
        page.items.first().map(|key| read_to(key, Order::Ascending)).transpose()
    }

    async fn page_events(
        &self,
        request: QueryFluentBuilder,
        order: Order,
        now: Timestamp,
    ) -> Result<EventPage, StoreError> {
        let page = self.send_query(request.scan_index_forward(order == Order::Ascending)).await?;
        let more_after = page.next.map(|key| read_to(&key, order)).transpose()?;
        let events = page.items.into_iter().filter_map(|item| event_item::to_event(item, now).transpose());
        Ok(EventPage { events: events.collect::<Result<_, _>>()?, more_after, units: page.units })
    }
}

/// The place where a range of events is read.
#[derive(Clone, Copy)]
enum Place<'a> {
    Shard(&'a Partition),
    /// The index. It contains all shards and does not support consistent reads.
    Session(&'a AppId, &'a str),
}

/// Returns the shard of an event.
pub(crate) fn partition(app: &App, id: EventId) -> Partition {
    Partition { app: app.id.clone(), shard: app.layout.shard(id) }
}

fn event_item(app: &App, event: &Event) -> Result<Item, StoreError> {
    event_item::of_event(&partition(app, event.id), event, app.layout.expires_at(event.id.at()))
}

/// Returns the last identity of a page that ends at a key. A barrier sorts right after the identity that it names, so
/// in a backward read that identity has not been read yet.
pub(crate) fn read_to(key: &Item, order: Order) -> Result<EventId, StoreError> {
    let sk = sort_key(key);
    let unreadable = |_| StoreError::Unreadable(format!("the key {sk:?} of an event"));
    match sk.split_once(SEPARATOR) {
        None => sk.parse().map_err(unreadable),
        Some((place, _)) => {
            let id: EventId = place.parse().map_err(unreadable)?;
            Ok(if order == Order::Descending { id.after().unwrap_or(id) } else { id })
        }
    }
}
