//! The reads of a request. All of them keep to one budget.

use std::collections::HashSet;
use std::sync::Arc;

use tally_core::app::partition::Partition;
use tally_core::app::{App, AppId};
use tally_core::counter::key::CounterKind;
use tally_core::event::Event;
use tally_core::event::filter::EventFilter;
use tally_core::event::group::Group;
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::issue::Issue;
use tally_core::time::bucket::Bucket;
use tally_core::time::{Range, Timestamp};
use tally_store::{
    CheckpointPage, CountedPage, CounterPage, CounterPlace, CounterQuery, DistinctPage, DistinctPlace, EventPage,
    IdentityPage, IdentityPlace, IndexPart, IssuePage, IssuePlace, Order, Store, WholeItem,
};
use tokio::sync::OnceCell;

use crate::budget::{Budget, Kind, Limits, Planned, ReadError};
use crate::event_units::EventUnits;
use crate::live::Live;

/// The items of a request for checkpoints. Two suffice if each day has one page.
const CHECKPOINTS: i32 = 2;
/// The bytes that a page of counters takes while it is read, for each read unit: its JSON, and its items one by one.
const COUNTER_BYTES: f64 = 3.0 * 8192.0;

/// What a request reads with.
#[derive(Debug)]
pub struct Reads {
    store: Store,
    /// The budget of all reads.
    pub budget: Budget,
    /// The time of the request.
    pub now: Timestamp,
    /// How far the app that is read is counted, and its newest events. It is found out once, so that all parts of a reply agree.
    pub(crate) live: OnceCell<Live>,
    /// What this process knows about the size of events.
    pub(crate) event_units: Arc<EventUnits>,
}

/// Events to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventRead<'a> {
    pub(crate) source: Source<'a>,
    /// The first and last identity, both included.
    pub(crate) ids: (EventId, EventId),
    pub(crate) order: Order,
    /// The maximum number of events.
    pub(crate) limit: usize,
    pub(crate) consistent: bool,
    /// What they are for, where only a share of the budget is for that.
    pub(crate) part: Option<Part>,
    /// Whether they are read even if the budget has ended.
    pub(crate) forced: bool,
}

/// What has a share of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A part of a minute: the first in a range (0), or another (1).
    OfMinute(usize),
    /// The newest minutes.
    Tail,
    /// What tells the names of a group.
    Names,
    /// What tells the people of parts of hours, beside counters.
    People,
}

/// Where to read events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// One shard.
    Shard(&'a Partition),
    /// A part of an index, which does not support consistent reads.
    Index(IndexPart<'a>),
}

impl Kind {
    /// Of events that take a part of the budget, or of all that is left.
    pub(crate) const fn of(part: Option<Part>) -> Self {
        match part {
            None => Self::Events,
            Some(Part::OfMinute(part)) => Self::Part(part),
            Some(Part::Tail) => Self::Tail,
            Some(Part::Names) => Self::Names,
            Some(Part::People) => Self::People,
        }
    }
}

impl Reads {
    /// Creates the reads of a request that starts now.
    pub fn new(store: Store, limits: Limits, event_units: Arc<EventUnits>, now: Timestamp) -> Self {
        Self { store, budget: Budget::new(limits), now, live: OnceCell::new(), event_units }
    }

    /// Goes on with another app, on the same budget.
    pub fn turn_to_another_app(&mut self) {
        self.live = OnceCell::new();
    }

    /// Reads counters in one request. Of the buckets, `items` are expected.
    pub(crate) async fn counters(
        &self,
        query: &CounterQuery<'_>,
        from: Option<CounterPlace>,
    ) -> Result<CounterPage, ReadError> {
        let buckets = (query.last.end() - query.first.start()) / query.first.granularity().length();
        let items = usize::try_from(buckets).unwrap_or(usize::MAX).min(query.limit);
        let reservation = self.budget.reserve(counters(items, query.consistent)).await?;
        let page = self.store.page_counters(query, from).await?;
        reservation.settle(page.units, page.reads.len(), bytes(page.units, COUNTER_BYTES));
        Ok(page)
    }

    /// Reads all items of some buckets as a whole, strongly.
    pub(crate) async fn whole_items(
        &self,
        partition: &Partition,
        kind: CounterKind,
        buckets: (Bucket, Bucket),
    ) -> Result<Vec<WholeItem>, ReadError> {
        // Few have more than two items.
        let reservation = self.budget.reserve(counters(2, true)).await?;
        let (items, units) = self.store.whole_items(partition, kind, buckets).await?;
        reservation.settle(units, items.len(), bytes(units, COUNTER_BYTES));
        Ok(items)
    }

    /// Reads checkpoints in one request.
    pub(crate) async fn checkpoints(
        &self,
        partition: &Partition,
        kind: CounterKind,
        consistent: bool,
        from: Option<CounterPlace>,
    ) -> Result<CheckpointPage, ReadError> {
        let items = usize::try_from(CHECKPOINTS).unwrap_or(1);
        let reservation = self.budget.reserve(counters(items, consistent)).await?;
        let page = self.store.page_checkpoints(partition, kind, CHECKPOINTS, consistent, from).await?;
        reservation.settle(page.units, page.reads.len(), bytes(page.units, COUNTER_BYTES));
        Ok(page)
    }

    /// Reads identities of an app in one request.
    pub(crate) async fn identities(
        &self,
        app: &AppId,
        limit: i32,
        from: Option<IdentityPlace>,
    ) -> Result<IdentityPage, ReadError> {
        // A hundred of them are as large as a counter item may be. They tell nothing about counters.
        let reservation = self.budget.reserve(counters(1, false)).await?;
        let page = self.store.page_identities(app, limit, from, self.now).await?;
        reservation.settle(page.units, 0, 0);
        Ok(page)
    }

    /// Reads the newest heartbeats of a shard that are counted, by stream shard, strongly.
    pub(crate) async fn heartbeats(&self, partition: &Partition) -> Result<Vec<(String, Timestamp)>, ReadError> {
        // A dozen small items at most: each stream shard lives for four hours.
        let reservation = self.budget.reserve(counters(1, true)).await?;
        let (times, units) = self.store.heartbeats(partition).await?;
        reservation.settle(units, 1, bytes(units, COUNTER_BYTES));
        Ok(times)
    }

    /// Returns those of some stream shards that others of them continue.
    pub(crate) async fn continued_shards(&self, shards: &[&str]) -> Result<HashSet<String>, ReadError> {
        // Small, and remembered.
        let _reservation = self.budget.reserve(counters(1, false)).await?;
        Ok(self.store.continued_shards(shards).await?)
    }

    /// Returns whether the counters lack events on any day that overlaps a range.
    pub(crate) async fn lacks_counts(&self, app: &AppId, range: Range) -> Result<bool, ReadError> {
        // Small, and remembered for a minute.
        let _reservation = self.budget.reserve(counters(1, false)).await?;
        Ok(self.store.lacks_counts(app, range).await?)
    }

    /// Reads sketches of a shard in one request, strongly.
    pub(crate) async fn distinct(
        &self,
        partition: &Partition,
        (first, last): (Bucket, Bucket),
        from: Option<DistinctPlace>,
    ) -> Result<DistinctPage, ReadError> {
        let buckets = (last.end() - first.start()) / first.granularity().length();
        let items = usize::try_from(buckets).unwrap_or(usize::MAX);
        let reservation = self.budget.reserve(counters(items, true)).await?;
        let page = self.store.page_distinct(partition, (first, last), from, true).await?;
        reservation.settle(page.units, page.items.len(), bytes(page.units, COUNTER_BYTES));
        Ok(page)
    }

    /// Reads issues in one request.
    pub(crate) async fn issues(&self, app: &AppId, from: Option<IssuePlace>) -> Result<IssuePage, ReadError> {
        // A page is 1 MB.
        let reservation = self.budget.reserve(counters(usize::MAX, false)).await?;
        let page = self.store.page_issues(app, self.now, from).await?;
        reservation.settle(page.units, page.issues.len(), bytes(page.units, COUNTER_BYTES));
        Ok(page)
    }

    /// Reads one issue, strongly.
    pub(crate) async fn issue(&self, app: &AppId, group: Group) -> Result<Option<Issue>, ReadError> {
        let reservation = self.budget.reserve(counters(1, true)).await?;
        let mut found = self.store.issues_of(app, &[group], self.now).await?;
        reservation.settle(found.units, 1, bytes(found.units, COUNTER_BYTES));
        Ok(found.issues.remove(&group).map(|stored| stored.issue))
    }

    /// Reads events in one request.
    pub(crate) async fn events(&self, read: &EventRead<'_>) -> Result<EventPage, ReadError> {
        self.matching_events(read, None).await
    }

    /// Reads events in one request, without most that a filter does not match. The limit is of events before the filter.
    pub(crate) async fn matching_events(
        &self,
        read: &EventRead<'_>,
        filter: Option<&EventFilter>,
    ) -> Result<EventPage, ReadError> {
        let EventRead { source, ids, order, limit, consistent, part, forced } = *read;
        let planned = Planned { kind: Kind::of(part), items: limit, consistent, forced };
        let reservation = self.budget.reserve(planned).await?;
        // What has to be read although the budget has ended, or is about to, is as little as possible.
        let is_small = self.budget.is_tight() || self.budget.spent().is_some();
        let limit = if is_small { 1 } else { i32::try_from(limit).unwrap_or(i32::MAX) };
        let (store, now) = (&self.store, self.now);
        let page = match source {
            Source::Shard(partition) => {
                store.query_events(partition, ids, filter, order, limit, consistent, now).await?
            }
            Source::Index(part) => store.query_index(part, ids, order, limit, now).await?,
        };
        let held = page.events.iter().map(weight).sum::<usize>().max(bytes(page.units, COUNTER_BYTES));
        reservation.settle(page.units, page.scanned, held);
        Ok(page)
    }

    /// Reads what is counted of the events of a session, in one request.
    pub(crate) async fn counted_session(
        &self,
        app: &App,
        session: &str,
        ids: (EventId, EventId),
    ) -> Result<CountedPage, ReadError> {
        let read = Planned { kind: Kind::Events, items: usize::MAX, consistent: false, forced: false };
        let reservation = self.budget.reserve(read).await?;
        let page = self.store.counted_session(&app.id, session, ids).await?;
        reservation.settle(page.units, page.events.len(), bytes(page.units, COUNTER_BYTES));
        Ok(page)
    }
}

const fn counters(items: usize, consistent: bool) -> Planned {
    Planned { kind: Kind::Counters, items, consistent, forced: false }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and positive
fn bytes(units: f64, of_unit: f64) -> usize {
    (units * of_unit) as usize
}

/// The bytes that an event takes in memory, about.
pub fn weight(event: &Event) -> usize {
    let texts = [&event.client_id, &event.category, &event.message, &event.session_id, &event.user_id, &event.alias];
    let texts = texts.into_iter().flatten().chain([&event.name, &event.slug]).map(|text| heap(text)).sum::<usize>();
    let values = [&event.data, &event.tags, &event.stack].into_iter().flatten().map(json_weight).sum::<usize>();
    size_of::<Event>() + texts + values
}

/// The bytes that a JSON value takes in memory, about.
pub fn json_weight(value: &Json) -> usize {
    size_of::<Json>()
        + match value {
            Json::Null | Json::Bool(_) => 0,
            Json::Number(number) => heap(number.as_str()),
            Json::String(text) => heap(text),
            Json::Array(values) => ALLOCATION + values.iter().map(json_weight).sum::<usize>(),
            Json::Object(values) => {
                // A map has nodes of eleven entries, at least half full.
                let of_key = |key: &String| heap(key) + 2 * size_of::<String>() + size_of::<Json>();
                let empty = 11 * (size_of::<String>() + size_of::<Json>());
                empty + values.iter().map(|(key, value)| of_key(key) + json_weight(value)).sum::<usize>()
            }
        }
}

/// What an allocation takes beside its content.
const ALLOCATION: usize = 24;

fn heap(text: &str) -> usize {
    text.len() + ALLOCATION
}
