//! Reading events in order: shards merged, filters applied, within a budget, with a place to go on from.

use std::collections::VecDeque;

use futures::future::try_join_all;

use crate::app::App;
use crate::backend::Backend;
use crate::counting::{id_range, partitions};
use crate::event::Event;
use crate::event_id::EventId;
use crate::filter::EventFilter;
use crate::store::{EventPage, Order, Partition, StoreError};
use crate::time::{Range, Timestamp};

/// How long one request may read, in microseconds.
const TIME_BUDGET: i64 = 10_000_000;
/// Most events asked for at once.
const MOST: usize = 1_000;
/// Fewest events asked of a shard at once.
const FEWEST: usize = 8;

/// Which events to read.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// From when to when, by the app's clock.
    pub range: Range,
    /// Which of them.
    pub filter: EventFilter,
    /// In which order.
    pub order: Order,
    /// Go on after this identity.
    pub after: Option<EventId>,
    /// Leave out so many first.
    pub skip: usize,
    /// Give so many.
    pub limit: usize,
    /// Whether to see what was stored a moment ago.
    pub consistent: bool,
}

/// A page of events.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Where to go on, where there may be more.
    pub next: Option<Next>,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// After this identity.
    pub after: EventId,
    /// With so many left to leave out.
    pub skip: usize,
}

/// Reads a page. It is short of its limit where the events end, or the budget does: then it says where to go on.
pub async fn read_page(backend: &Backend, app: &App, query: &EventQuery) -> Result<Page, StoreError> {
    let (mut first, mut last) = id_range(query.range);
    match (query.after, query.order) {
        (Some(after), Order::Ascending) => match after.after() {
            Some(next) => first = first.max(next),
            None => return Ok(Page::default()),
        },
        (Some(after), Order::Descending) => match after.before() {
            Some(before) => last = last.min(before),
            None => return Ok(Page::default()),
        },
        (None, _) => {}
    }
    if query.range.is_empty() || first > last {
        return Ok(Page::default());
    }
    let mut merge = Merge::new(backend, app, query, (first, last));
    let started = backend.clock.now();
    let mut page = Page::default();
    let mut skip = query.skip;
    loop {
        let over =
            merge.units >= backend.config.read_budget || backend.clock.now().micros() - started.micros() >= TIME_BUDGET;
        let Some(event) = merge.next(over).await? else {
            // Either all is read, or the budget was used up before it was.
            page.next = merge.frontier().map(|after| Next { after, skip });
            return Ok(page);
        };
        if !query.range.contains(event.at(app.clock)) || !query.filter.matches(&event) {
            continue;
        }
        if skip > 0 {
            skip -= 1;
        } else if page.events.len() < query.limit {
            page.events.push(event);
        } else {
            page.next = page.events.last().map(|event| Next { after: event.id, skip: 0 });
            return Ok(page);
        }
    }
}

/// The events of all shards, or of one session, as one ordered stream.
struct Merge<'a> {
    backend: &'a Backend,
    query: &'a EventQuery,
    app: &'a App,
    now: Timestamp,
    sources: Vec<Source>,
    /// How many events to ask a source for.
    chunk: usize,
    /// Read units used so far.
    units: f64,
}

/// One shard, or the one partition of a session.
struct Source {
    partition: Option<Partition>,
    buffer: VecDeque<Event>,
    /// What is left to read of it.
    left: Option<(EventId, EventId)>,
}

impl<'a> Merge<'a> {
    fn new(backend: &'a Backend, app: &'a App, query: &'a EventQuery, ids: (EventId, EventId)) -> Self {
        let partitions = match &query.filter.session_id {
            // The index holds a session's events of all shards; it cannot be read consistently, shards can.
            Some(_) if !query.consistent => vec![None],
            _ => partitions(app, query.range).into_iter().map(Some).collect(),
        };
        let wanted = query.skip + query.limit + 1;
        let chunk = wanted.div_ceil(partitions.len()).clamp(FEWEST, MOST);
        let sources =
            partitions.into_iter().map(|partition| Source { partition, buffer: VecDeque::new(), left: Some(ids) });
        Self {
            backend,
            query,
            app,
            now: backend.clock.now(),
            sources: sources.collect(),
            chunk: chunk.min(wanted.max(FEWEST)),
            units: 0.0,
        }
    }

    /// The identity up to which every event was given out, where more may follow.
    fn frontier(&self) -> Option<EventId> {
        let ascending = self.query.order == Order::Ascending;
        let next = |source: &Source| match (source.buffer.front(), source.left) {
            (Some(event), _) => Some(event.id),
            (None, Some((first, last))) => Some(if ascending { first } else { last }),
            (None, None) => None,
        };
        let next = self.sources.iter().filter_map(next);
        if ascending { next.min()?.before() } else { next.max()?.after() }
    }

    /// The next event in order; none where all is read, or more would have to be read and `over` says not to.
    async fn next(&mut self, over: bool) -> Result<Option<Event>, StoreError> {
        // Every source that has more must show its next event before the first of them is known.
        while self.sources.iter().any(Source::is_hungry) {
            if over && self.units > 0.0 {
                return Ok(None);
            }
            self.fill().await?;
        }
        let order = self.query.order;
        let first = self.sources.iter_mut().filter(|source| !source.buffer.is_empty());
        let first = first.min_by(|a, b| {
            let ids = a.buffer.front().map(|e| e.id).cmp(&b.buffer.front().map(|e| e.id));
            if order == Order::Ascending { ids } else { ids.reverse() }
        });
        Ok(first.and_then(|source| source.buffer.pop_front()))
    }

    /// Reads on in all sources that have nothing to show, at once.
    async fn fill(&mut self) -> Result<(), StoreError> {
        let reads: Vec<_> = self
            .sources
            .iter()
            .enumerate()
            .filter_map(|(i, source)| source.is_hungry().then_some((i, source.left?)))
            .map(|(i, ids)| {
                let read = read(self.backend, self.app, self.query, &self.sources[i], ids, self.chunk, self.now);
                async move { read.await.map(|page| (i, ids, page)) }
            })
            .collect();
        let pages = try_join_all(reads).await?;
        for (i, (first, last), page) in pages {
            self.units += page.units;
            let source = &mut self.sources[i];
            source.left = page.more_after.and_then(|read| match self.query.order {
                Order::Ascending => read.after().map(|first| (first, last)),
                Order::Descending => read.before().map(|last| (first, last)),
            });
            source.left = source.left.filter(|(first, last)| first <= last);
            source.buffer.extend(page.events);
        }
        // Filters may match little of what is read: ask for more the longer it takes.
        self.chunk = (self.chunk * 2).min(MOST);
        Ok(())
    }
}

impl Source {
    fn is_hungry(&self) -> bool {
        self.buffer.is_empty() && self.left.is_some()
    }
}

async fn read(
    backend: &Backend,
    app: &App,
    query: &EventQuery,
    source: &Source,
    ids: (EventId, EventId),
    chunk: usize,
    now: Timestamp,
) -> Result<EventPage, StoreError> {
    let limit = i32::try_from(chunk).unwrap_or(1_000);
    let store = &backend.store;
    match (&source.partition, &query.filter.session_id) {
        (Some(partition), _) => store.query_events(partition, ids, query.order, limit, query.consistent, now).await,
        (None, Some(session)) => store.query_session(&app.id, session, ids, query.order, limit, now).await,
        (None, None) => Ok(EventPage::default()),
    }
}
