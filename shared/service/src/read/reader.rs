//! Reads events in order. The counters plan the read where they can, shards are merged, filters are applied, and the
//! read stays within a budget and returns a cursor.

use std::collections::VecDeque;

use futures::future::try_join_all;
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::event::Event;
use tally_core::event::id::{EventId, id_range};
use tally_core::time::clock::Clock;
use tally_core::time::{TimeDelta, Timestamp};
use tally_store::{EventPage, Order, Store, StoreError};

use super::planner::{KeyRange, Plan, can_plan};
use super::query::EventQuery;

/// The time limit for reading in one request, in microseconds.
const TIME_BUDGET: TimeDelta = TimeDelta::seconds(10);
/// The maximum number of events requested at once.
const MOST: usize = 1_000;
/// The minimum number of events requested from a shard at once.
const FEWEST: usize = 8;
/// The maximum number of key ranges of a shard that are read at once.
const PARALLEL: usize = 32;

/// A page of events.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Where to continue, if there may be more.
    pub next: Option<Next>,
}

/// Where to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// After this identity.
    pub after: EventId,
    /// The number of events still to skip.
    pub skip: usize,
}

/// Reads a page, using about `budget` read units at most. The page is shorter than its limit if the events or the
/// budget run out. If the budget runs out, the page says where to continue.
pub async fn read_page(
    store: &Store,
    clock: &Clock,
    budget: f64,
    app: &App,
    query: &EventQuery,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let mut skip = query.skip;
    let end = walk(store, clock, budget, app, query, |event| {
        if skip > 0 {
            skip -= 1;
        } else if page.events.len() < query.limit {
            page.events.push(event);
        } else {
            return false;
        }
        true
    })
    .await?;
    page.next = match end {
        End::Stopped => page.events.last().map(|event| Next { after: event.id, skip: 0 }),
        // Either everything was read, or the budget ran out first.
        End::Read { frontier } => frontier.map(|after| Next { after, skip }),
    };
    Ok(page)
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The callback stopped it.
    Stopped,
    /// The events or the budget ran out. If the budget ran out, there is a frontier: all events up to it were shown.
    Read {
        /// Continue after this identity. `None` if there is nothing more.
        frontier: Option<EventId>,
    },
}

/// Passes every matching event to the callback, in order, until the callback stops or the budget of read units is used
/// up.
pub async fn walk(
    store: &Store,
    clock: &Clock,
    budget: f64,
    app: &App,
    query: &EventQuery,
    mut show: impl FnMut(Event) -> bool,
) -> Result<End, StoreError> {
    const NOTHING: End = End::Read { frontier: None };
    let (mut first, mut last) = id_range(query.range);
    match (query.after, query.order) {
        (Some(after), Order::Ascending) => match after.after() {
            Some(next) => first = first.max(next),
            None => return Ok(NOTHING),
        },
        (Some(after), Order::Descending) => match after.before() {
            Some(before) => last = last.min(before),
            None => return Ok(NOTHING),
        },
        (None, _) => {}
    }
    if query.range.is_empty() || first > last {
        return Ok(NOTHING);
    }
    let started = clock.now();
    let mut merge = Merge::new(store, started, app, query, (first, last)).await?;
    loop {
        let over = merge.units >= budget || clock.now() - started >= TIME_BUDGET;
        let Some(event) = merge.next(over).await? else {
            return Ok(End::Read { frontier: merge.frontier() });
        };
        if query.range.contains(event.at(app.clock)) && query.filter.matches(&event) {
            merge.wanted = merge.wanted.saturating_sub(1);
            if !show(event) {
                return Ok(End::Stopped);
            }
        }
    }
}

/// The events of all shards, or of one session, as one ordered stream.
struct Merge<'a> {
    store: &'a Store,
    query: &'a EventQuery,
    app: &'a App,
    now: Timestamp,
    sources: Vec<Source>,
    /// The number of events to request from a key range at once.
    chunk: usize,
    /// The total number of matches wanted.
    wanted: usize,
    /// The read units used so far.
    units: f64,
}

/// One shard, or the one partition of a session.
struct Source {
    partition: Option<Partition>,
    /// The pieces being read and the pieces to read, in order.
    pieces: VecDeque<Piece>,
    /// The plan that provides more pieces, if the counters are used.
    plan: Option<Plan>,
}

enum Piece {
    Read(VecDeque<Event>),
    Unread(KeyRange),
}

impl<'a> Merge<'a> {
    async fn new(
        store: &'a Store,
        now: Timestamp,
        app: &'a App,
        query: &'a EventQuery,
        ids: (EventId, EventId),
    ) -> Result<Self, StoreError> {
        let wanted = query.skip.saturating_add(query.limit).saturating_add(1);
        let whole = KeyRange { ids, expected: wanted };
        let sources = match &query.filter.session_id {
            // The index contains a session's events of all shards. Unlike shards, it does not support consistent reads.
            Some(_) if !query.consistent => vec![Source::unplanned(None, whole)],
            _ => {
                let partitions = partitions(app, query.range);
                // Counters that lack events would hide those events.
                if can_plan(query) && !store.lacks_counts(&app.id, query.range).await? {
                    let planned =
                        partitions.into_iter().map(|partition| Source::planned(store, now, partition, query, ids));
                    try_join_all(planned).await?
                } else {
                    partitions.into_iter().map(|partition| Source::unplanned(Some(partition), whole)).collect()
                }
            }
        };
        let chunk = wanted.div_ceil(sources.len().max(1)).clamp(FEWEST, MOST);
        Ok(Self { store, query, app, now, sources, chunk, wanted, units: 0.0 })
    }

    /// The identity up to which every event was returned, if more may follow.
    fn frontier(&self) -> Option<EventId> {
        let ascending = self.query.order == Order::Ascending;
        let next = self.sources.iter().filter_map(|source| source.next_id(self.query.order));
        if ascending { next.min()?.before() } else { next.max()?.after() }
    }

    /// The next event in order. `None` if everything was read, or if more must be read and `over` forbids it.
    async fn next(&mut self, over: bool) -> Result<Option<Event>, StoreError> {
        // Every source that has more must load its next event before the first one overall is known.
        while self.sources.iter_mut().any(Source::is_hungry) {
            if over && self.units > 0.0 {
                return Ok(None);
            }
            self.fill().await?;
        }
        let order = self.query.order;
        let shown = self.sources.iter_mut().filter_map(|source| match source.pieces.front_mut() {
            Some(Piece::Read(events)) if !events.is_empty() => Some(events),
            _ => None,
        });
        let first = shown.min_by(|a, b| {
            let ids = a.front().map(|e| e.id).cmp(&b.front().map(|e| e.id));
            if order == Order::Ascending { ids } else { ids.reverse() }
        });
        Ok(first.and_then(VecDeque::pop_front))
    }

    /// Plans and reads in parallel in all sources that have no event loaded.
    async fn fill(&mut self) -> Result<(), StoreError> {
        let wanted = self.wanted.max(1).div_ceil(self.sources.len());
        let (store, app, query, chunk, now) = (self.store, self.app, self.query, self.chunk, self.now);
        let hungry = self.sources.iter_mut().filter_map(|source| source.is_hungry().then_some(source));
        let filled = hungry.map(|source| source.fill(store, app, query, wanted, chunk, now)).collect::<Vec<_>>();
        self.units += try_join_all(filled).await?.into_iter().sum::<f64>();
        // Filters may match only a small part of what is read, so request more as the read goes on.
        self.chunk = (self.chunk * 2).min(MOST);
        Ok(())
    }
}

impl Source {
    fn unplanned(partition: Option<Partition>, whole: KeyRange) -> Self {
        Self { partition, pieces: VecDeque::from([Piece::Unread(whole)]), plan: None }
    }

    async fn planned(
        store: &Store,
        now: Timestamp,
        partition: Partition,
        query: &EventQuery,
        ids: (EventId, EventId),
    ) -> Result<Self, StoreError> {
        let (plan, first) = Plan::new(store, now, partition.clone(), query, ids).await?;
        let pieces = first.into_iter().map(Piece::Unread).collect();
        Ok(Self { partition: Some(partition), pieces, plan: Some(plan) })
    }

    /// Returns whether the source may have more, but has no event loaded.
    fn is_hungry(&mut self) -> bool {
        while matches!(self.pieces.front(), Some(Piece::Read(events)) if events.is_empty()) {
            self.pieces.pop_front();
        }
        match self.pieces.front() {
            Some(Piece::Read(_)) => false,
            Some(Piece::Unread(_)) => true,
            None => self.plan.as_ref().is_some_and(|plan| !plan.is_done()),
        }
    }

    /// The next identity that the source may return.
    fn next_id(&self, order: Order) -> Option<EventId> {
        let of_piece = self.pieces.iter().find_map(|piece| match piece {
            Piece::Read(events) => events.front().map(|event| event.id),
            Piece::Unread(KeyRange { ids: (first, last), .. }) => {
                Some(if order == Order::Ascending { *first } else { *last })
            }
        });
        of_piece.or_else(|| self.plan.as_ref()?.next_id(order))
    }

    /// Plans if nothing is left to read, then reads the next key ranges: as many at once as promise the wanted matches.
    /// Returns the read units used.
    async fn fill(
        &mut self,
        store: &Store,
        app: &App,
        query: &EventQuery,
        wanted: usize,
        chunk: usize,
        now: Timestamp,
    ) -> Result<f64, StoreError> {
        let mut units = 0.0;
        if let (true, Some(plan)) = (self.pieces.is_empty(), &mut self.plan) {
            let (key_ranges, cost) = plan.more(store, query, wanted).await?;
            self.pieces.extend(key_ranges.into_iter().map(Piece::Unread));
            units += cost;
        }
        let mut taken = Vec::new();
        let mut expected = 0;
        while let Some(Piece::Unread(key_range)) = self.pieces.front() {
            expected += key_range.expected;
            taken.push(*key_range);
            self.pieces.pop_front();
            if expected >= wanted || taken.len() == PARALLEL {
                break;
            }
        }
        let partition = self.partition.as_ref();
        let reads = taken.iter().map(|key_range| read(store, app, query, partition, key_range.ids, chunk, now));
        let pages = try_join_all(reads).await?;
        for (key_range, page) in taken.into_iter().zip(pages).rev() {
            units += page.units;
            let (first, last) = key_range.ids;
            let left = page.more_after.and_then(|read| match query.order {
                Order::Ascending => read.after().map(|first| (first, last)),
                Order::Descending => read.before().map(|last| (first, last)),
            });
            if let Some(ids) = left.filter(|(first, last)| first <= last) {
                self.pieces.push_front(Piece::Unread(KeyRange { ids, expected: key_range.expected }));
            }
            self.pieces.push_front(Piece::Read(page.events.into()));
        }
        Ok(units)
    }
}

async fn read(
    store: &Store,
    app: &App,
    query: &EventQuery,
    partition: Option<&Partition>,
    ids: (EventId, EventId),
    chunk: usize,
    now: Timestamp,
) -> Result<EventPage, StoreError> {
    let limit = i32::try_from(chunk).unwrap_or(1_000);
    match (partition, &query.filter.session_id) {
        (Some(partition), _) => store.query_events(partition, ids, query.order, limit, query.consistent, now).await,
        (None, Some(session)) => store.query_session(&app.id, session, ids, query.order, limit, now).await,
        (None, None) => Ok(EventPage::default()),
    }
}
