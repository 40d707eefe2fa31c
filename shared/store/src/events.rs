//! Events.

use std::borrow::Cow;
use std::pin::pin;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::stream::{self, StreamExt};
use tally_core::app::layout::Layout;
use tally_core::app::partition::Partition;
use tally_core::app::{App, AppId};
use tally_core::counter::item::CountedEvent;
use tally_core::event::Event;
use tally_core::event::filter::EventFilter;
use tally_core::event::id::EventId;
use tally_core::time::Timestamp;
use tokio::sync::Semaphore;

use crate::barriers::{BARRIER, SEPARATOR};
use crate::client::batch;
use crate::client::deadline::Deadline;
use crate::client::error::StoreError;
use crate::client::query::Page;
use crate::item::{Item, key, partition_key, sort_key};
use crate::store::Store;
use crate::tables::{BY_SESSION, BY_USER, PK, SESSION, SK, USER};
use crate::{event_item, keys};

/// The memory of the batches that are sent at once, in units of 1 KB.
const IN_FLIGHT: usize = 6 * 1024;
/// The memory of one batch, in bytes, unless a single event takes more.
const BATCH_WEIGHT: usize = 1024 * 1024;

/// The number of events whose keys an index had that are read in one request: at most 256 KB each.
const FETCHED: usize = 25;
/// The number of such requests that are sent at once.
const FETCHES: usize = 2;
/// The read units with which a page of them ends: 1 MB at most, as a page of a query.
const MOST_FETCHED: f64 = 128.0;

/// Events that are made when they are stored, so that not all of them are in memory at once.
pub trait EventSource: Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Makes one.
    fn event(&self, index: usize) -> Result<Cow<'_, Event>, StoreError>;
    /// About how much memory it takes, in bytes.
    fn weight(&self, index: usize) -> usize;
}

impl EventSource for [&Event] {
    fn count(&self) -> usize {
        self.len()
    }

    fn event(&self, index: usize) -> Result<Cow<'_, Event>, StoreError> {
        let event = self.get(index).ok_or_else(|| StoreError::Refused(format!("there is no event {index}")))?;
        Ok(Cow::Borrowed(event))
    }

    /// They are in memory already.
    fn weight(&self, _: usize) -> usize {
        0
    }
}

/// The events of one request.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<usize>,
    weight: usize,
}

impl Batch {
    /// Its memory in the units of [`IN_FLIGHT`]; an event that takes more is sent alone.
    fn units(&self) -> u32 {
        u32::try_from((self.weight / 1024).clamp(1, IN_FLIGHT)).unwrap_or(u32::MAX)
    }
}

/// Splits events into batches, by their number and their memory.
fn batches(events: &(impl EventSource + ?Sized)) -> Vec<Batch> {
    let mut batches: Vec<Batch> = vec![];
    for index in 0..events.count() {
        let weight = events.weight(index);
        match batches.last_mut() {
            Some(batch) if batch.events.len() < batch::MOST && batch.weight + weight <= BATCH_WEIGHT => {
                batch.events.push(index);
                batch.weight += weight;
            }
            _ => batches.push(Batch { events: vec![index], weight }),
        }
    }
    batches
}

/// A part of an index of events. It does not support consistent reads.
#[derive(Clone, Copy, Debug)]
pub enum IndexPart<'a> {
    /// The events of a session, in all shards.
    Session(&'a AppId, &'a str),
    /// The events of a user in one shard, and those without a user that have the id as their alias.
    User(&'a Partition, &'a str),
}

impl IndexPart<'_> {
    /// Whether an event can be in it.
    pub(crate) fn may_have_events(self) -> bool {
        let (Self::Session(_, id) | Self::User(_, id)) = self;
        keys::can_be_indexed(id)
    }

    /// The index, the attribute of its partition key, and the key.
    pub(crate) fn key(self) -> (&'static str, &'static str, String) {
        match self {
            Self::Session(app, session) => (BY_SESSION, SESSION, keys::session(app, session)),
            Self::User(shard, user) => (BY_USER, USER, keys::user(shard, user)),
        }
    }
}

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
    /// How many items were read, also those that a filter left out.
    pub scanned: usize,
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
    pub async fn put_event(&self, app: &App, event: &Event, deadline: Deadline) -> Result<(), StoreError> {
        let item = event_item(app, event)?;
        deadline.hold(self.put(&self.tables.events, item)).await
    }

    /// Stores events with distinct identities, in batches whose items are built when they are sent. Returns one result per
    /// event, in order, by the deadline.
    pub async fn put_events(
        &self,
        app: &App,
        events: &(impl EventSource + ?Sized),
        deadline: Deadline,
    ) -> Vec<Result<(), StoreError>> {
        let mut verdicts = vec![Ok(()); events.count()];
        let room = Semaphore::new(IN_FLIGHT);
        let put = async |batch: Batch| {
            // In units of memory, so that few heavy batches are sent at once, and many light ones. Whoever holds a part
            // of it gives it back by the deadline.
            let Ok(_room) = room.acquire_many(batch.units()).await else {
                return vec![];
            };
            self.put_batch(app, events, batch, deadline).await
        };
        let failed: Vec<_> =
            stream::iter(batches(events)).map(put).buffer_unordered(batch::CONCURRENCY).collect().await;
        for (i, error) in failed.into_iter().flatten() {
            if let Some(verdict) = verdicts.get_mut(i) {
                *verdict = Err(error);
            }
        }
        verdicts
    }

    async fn put_batch(
        &self,
        app: &App,
        events: &(impl EventSource + ?Sized),
        batch: Batch,
        deadline: Deadline,
    ) -> Vec<(usize, StoreError)> {
        if let &[alone] = batch.events.as_slice()
            && events.count() == 1
        {
            let put = async { self.put_event(app, &*events.event(alone)?, deadline).await };
            return put.await.err().map(|error| (alone, error)).into_iter().collect();
        }
        let (mut puts, mut failed) = (Vec::with_capacity(batch.events.len()), Vec::new());
        for i in batch.events {
            // Nothing is built that cannot be sent any more.
            if deadline.left().is_zero() {
                failed.push((i, StoreError::Unavailable("no time was left to store it".to_owned())));
                continue;
            }
            match events.event(i).and_then(|event| event_item(app, &event)).and_then(batch::put) {
                Ok(put) => puts.push((i, put)),
                Err(error) => failed.push((i, error)),
            }
        }
        if !puts.is_empty() {
            failed.extend(self.write_batch(&self.tables.events, puts, Some(deadline)).await);
        }
        failed
    }

    /// Reads one event, strongly consistent.
    pub async fn get_event(&self, app: &App, id: EventId, now: Timestamp) -> Result<Option<Event>, StoreError> {
        let partition = keys::partition(&partition(app, id));
        let item = self.get(&self.tables.events, &partition, &id.to_string()).await?;
        item.map_or(Ok(None), |item| event_item::to_event(item, now))
    }

    /// Reads events of one shard with identities from `first` to `last`, inclusive. Of at most `limit` events, DynamoDB
    /// leaves out most that do not match a filter. They cost as much, but are neither sent nor parsed.
    #[allow(clippy::too_many_arguments)] // one request
    pub async fn query_events(
        &self,
        partition: &Partition,
        (first, last): (EventId, EventId),
        filter: Option<&EventFilter>,
        order: Order,
        limit: i32,
        consistent: bool,
        now: Timestamp,
    ) -> Result<EventPage, StoreError> {
        let request = self.query_ids(Place::Shard(partition), (first, last));
        let request = match filter {
            Some(filter) => leave_out(request, filter),
            None => request,
        };
        self.page_events(request.consistent_read(consistent).limit(limit), order, now).await
    }

    /// Reads events of a part of an index with identities from `first` to `last`, inclusive. It is eventually consistent.
    /// Where the index holds keys alone, the events are read from the table.
    pub async fn query_index(
        &self,
        part: IndexPart<'_>,
        (first, last): (EventId, EventId),
        order: Order,
        limit: i32,
        now: Timestamp,
    ) -> Result<EventPage, StoreError> {
        if !part.may_have_events() {
            return Ok(EventPage::default());
        }
        let request = self.query_ids(Place::Index(part), (first, last)).limit(limit);
        let page = self.send_query(request.scan_index_forward(order == Order::Ascending)).await?;
        event_page(self.whole(page).await?, order, now)
    }

    /// The same page of the index with whole items. It ends early where they take as much as DynamoDB puts into a page.
    async fn whole(&self, mut page: Page) -> Result<Page, StoreError> {
        if !page.items.iter().any(is_key) {
            return Ok(page);
        }
        let fetched: Vec<_> = page.items.chunks(FETCHED).map(|some| self.fetch(some)).collect();
        let mut read = pin!(stream::iter(fetched).buffered(FETCHES));
        let (mut items, mut units, mut seen) = (Vec::with_capacity(page.items.len()), 0.0, 0);
        while let Some(some) = read.next().await {
            let (whole, consumed) = some?;
            units += consumed;
            seen += FETCHED;
            items.extend(whole);
            if let (true, Some(last)) = (units >= MOST_FETCHED, page.items.get(seen - 1))
                && seen < page.items.len()
            {
                (page.next, page.scanned) = (Some(key(partition_key(last), sort_key(last))), seen);
                break;
            }
        }
        Ok(Page { items, units: page.units + units, ..page })
    }

    /// The events of some items of the index, in their order. What was deleted since is missing.
    async fn fetch(&self, some: &[Item]) -> Result<(Vec<Item>, f64), StoreError> {
        let keys = some.iter().map(|item| key(partition_key(item), sort_key(item))).collect();
        let (mut items, units) = self.get_all(&self.tables.events, keys, KeysAndAttributes::builder()).await?;
        items.sort_unstable_by_key(|item| some.iter().position(|key| sort_key(key) == sort_key(item)));
        Ok((items, units))
    }

    /// Reads the counted attributes of events of one shard with identities from `first` to `last`, inclusive, with what they have
    /// at the paths that a layout counts. Oldest first, strongly consistent.
    pub async fn counted_events(
        &self,
        partition: &Partition,
        ids: (EventId, EventId),
        layout: &Layout,
    ) -> Result<CountedPage, StoreError> {
        let mut request = self.query_ids(Place::Shard(partition), ids).consistent_read(true);
        let data = layout.counts_properties().then_some(event_item::COUNTED_DATA);
        let attributes: Vec<_> = event_item::COUNTED.into_iter().chain(data).collect();
        for (placeholder, attribute) in &attributes {
            request = request.expression_attribute_names(*placeholder, *attribute);
        }
        let request = request
            .projection_expression(attributes.iter().map(|(placeholder, _)| *placeholder).collect::<Vec<_>>().join(","))
            .filter_expression("attribute_not_exists(#fence)")
            .expression_attribute_names("#fence", BARRIER);
        counted_page(self.send_query(request).await?, |item| event_item::counted_with_properties(item, layout))
    }

    /// Reads the counted attributes of events of one session. The read uses an index, so it is eventually consistent.
    pub async fn counted_session(
        &self,
        app: &AppId,
        session_id: &str,
        ids: (EventId, EventId),
    ) -> Result<CountedPage, StoreError> {
        let part = IndexPart::Session(app, session_id);
        if !part.may_have_events() {
            return Ok(CountedPage::default());
        }
        // Without naming attributes, since the index may not have them.
        let page = self.send_query(self.query_ids(Place::Index(part), ids)).await?;
        counted_page(self.whole(page).await?, event_item::counted)
    }

    /// Builds a query for identities from `first` to `last`, inclusive. The identity attribute is `#sk`.
    fn query_ids(&self, place: Place<'_>, (first, last): (EventId, EventId)) -> QueryFluentBuilder {
        let ids = (first.to_string(), last.to_string());
        match place {
            Place::Shard(partition) => self.query_between(&self.tables.events, keys::partition(partition), ids),
            Place::Index(part) => {
                let (index, attribute, key) = part.key();
                self.query_between(&self.tables.events, key, ids)
                    .index_name(index)
                    .expression_attribute_names("#key", attribute)
            }
        }
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
        event_page(self.send_query(request.scan_index_forward(order == Order::Ascending)).await?, order, now)
    }
}

fn event_page(page: Page, order: Order, now: Timestamp) -> Result<EventPage, StoreError> {
    let more_after = page.next.map(|key| read_to(&key, order)).transpose()?;
    let events = page.items.into_iter().filter_map(|item| event_item::to_event(item, now).transpose());
    Ok(EventPage { events: events.collect::<Result<_, _>>()?, more_after, scanned: page.scanned, units: page.units })
}

fn counted_page(
    page: Page,
    read: impl Fn(Item) -> Result<CountedEvent, StoreError>,
) -> Result<CountedPage, StoreError> {
    let more_after = page.next.map(|key| read_to(&key, Order::Ascending)).transpose()?;
    let events = page.items.into_iter().filter_map(|item| {
        let keys = item.get(PK).zip(item.get(SK)).map(|(pk, sk)| (pk.clone(), sk.clone()));
        // An unreadable event was never counted and is a dead letter. The other events are counted.
        read(item).inspect_err(|error| tracing::warn!(?keys, %error, "an event cannot be read")).ok()
    });
    Ok(CountedPage { events: events.collect(), more_after, units: page.units })
}

/// Whether an item of an index has its keys alone. Every event has other attributes.
fn is_key(item: &Item) -> bool {
    item.keys().all(|name| [PK, SK, SESSION, USER].contains(&name.as_str()))
}

/// Adds a condition for the attributes of which a filter lists the values. What it asks besides is left to the caller.
fn leave_out(request: QueryFluentBuilder, filter: &EventFilter) -> QueryFluentBuilder {
    let levels = filter.cell.level.listed().map(|levels| levels.iter().map(ToString::to_string).collect::<Vec<_>>());
    let texts = [
        ("name", &filter.cell.name),
        ("slug", &filter.cell.slug),
        ("category", &filter.cell.category),
        ("message", &filter.message),
        ("user_id", &filter.user_id),
        ("fingerprint", &filter.fingerprint),
    ];
    let texts = texts.into_iter().filter_map(|(name, values)| Some((name, values.listed()?.iter().cloned().collect())));
    let mut conditions = vec![];
    let mut request = request;
    for (name, values) in levels.map(|levels| ("level", levels)).into_iter().chain(texts) {
        // The names of attributes may be reserved words.
        let placeholders: Vec<_> = (0..values.len()).map(|i| format!(":{name}{i}")).collect();
        conditions.push(match placeholders.as_slice() {
            [only] => format!("#{name} = {only}"),
            several => format!("#{name} IN ({})", several.join(",")),
        });
        request = request.expression_attribute_names(format!("#{name}"), name);
        for (placeholder, value) in placeholders.into_iter().zip(values) {
            request = request.expression_attribute_values(placeholder, AttributeValue::S(value));
        }
    }
    if conditions.is_empty() { request } else { request.filter_expression(conditions.join(" AND ")) }
}

/// The place where a range of events is read.
#[derive(Clone, Copy)]
enum Place<'a> {
    Shard(&'a Partition),
    Index(IndexPart<'a>),
}

/// Returns the shard of an event.
pub(crate) fn partition(app: &App, id: EventId) -> Partition {
    Partition { app: app.id.clone(), shard: app.layout.shard(id) }
}

fn event_item(app: &App, event: &Event) -> Result<Item, StoreError> {
    let at = event.id.at();
    event_item::of_event(&partition(app, event.id), event, (app.layout.at(at).index, app.layout.expires_at(at)))
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
