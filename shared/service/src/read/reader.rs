//! Reads events in order. The counters plan the read where they can, shards are merged, filters are applied, and the
//! read stays within a budget and returns a cursor.

use std::collections::VecDeque;

use futures::future::try_join_all;
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::event::Event;
use tally_core::event::id::{EventId, id_range};
use tally_store::{EventPage, IndexPart, Order, StoreError};

use super::planner::{KeyRange, Plan, can_plan};
use super::query::EventQuery;
use super::ways::{Way, indexed_ids, is_indexed, ways};
use crate::budget::{Kind, ReadError, Spent};
use crate::reads::{self, EventRead, Reads, weight};

/// The maximum number of events requested at once.
const MOST: usize = 1_000;
/// The minimum number of events requested from a shard at once.
const FEWEST: usize = 8;
/// The minimum number of events requested at once where few of them match: what is saved by less costs another request.
const FEWEST_OF_RARE: usize = 100;
/// The maximum number of key ranges of a shard that are read at once.
const PARALLEL: usize = 32;

/// The bytes in memory with which a page ends. A reply has at most 4 MB.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A page of events.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Where to continue, if there may be more.
    pub next: Option<Next>,
    /// The events that were looked at one by one, where the filter asks what neither the counters nor an index locate.
    pub scanned: Option<usize>,
}

/// Where to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// After this identity.
    pub after: EventId,
    /// The number of events still to skip.
    pub skip: usize,
}

/// Reads a page. The page is shorter than its limit if the events or the budget run out. If the budget runs out, the page
/// says where to continue.
pub async fn read_page(reads: &Reads, app: &App, query: &EventQuery) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let mut skip = query.skip;
    let mut held = 0;
    let mut scanned = 0;
    let end = walk_counting(reads, app, query, &mut scanned, |event| {
        if skip > 0 {
            skip -= 1;
        } else if page.events.len() < query.limit {
            let bytes = weight(&event);
            held += bytes;
            // What does not fit into memory ends the walk before the next read.
            let _ = reads.budget.hold(bytes);
            page.events.push(event);
            return held < MOST_BYTES;
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
    page.scanned = is_applied_after_reading(app, query).then_some(scanned);
    Ok(page)
}

/// Whether a filter has conditions that say nothing about where its matches are: all events of a range, of a session, or of
/// the minutes that the other conditions leave are then read to find them.
fn is_applied_after_reading(app: &App, query: &EventQuery) -> bool {
    let filter = &query.filter;
    let ways = ways(app, query, id_range(query.range));
    let is_by = |wanted: Way| ways.iter().all(|(_, way)| *way == wanted);
    let can_plan = can_plan(query) && is_by(Way::Shards);
    let is_located = |field: &&str| match *field {
        "session_id" => is_by(Way::Sessions),
        "user_id" => is_by(Way::Users),
        "message" => can_plan && filter.message.listed().is_some(),
        _ => false,
    };
    let is_unplanned = !filter.cell.is_empty() && !can_plan;
    let is_unlocated = !filter.cell.group.is_any() && filter.cell.group.listed().is_none();
    is_unplanned || is_unlocated || !filter.beyond_cells().iter().all(is_located)
}

/// Whether counters tell where the matches of a query are: it may then lack events that are not counted yet and happened before
/// [`EventQuery::live_from`].
pub fn is_located(app: &App, query: &EventQuery) -> bool {
    can_plan(query) && !is_indexed(app, query)
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

/// Passes every matching event to the callback, in order, until the callback stops or the budget ends. The first events
/// of each shard are read in any case, so that a cursor always leads further.
pub async fn walk(
    reads: &Reads,
    app: &App,
    query: &EventQuery,
    show: impl FnMut(Event) -> bool,
) -> Result<End, StoreError> {
    walk_counting(reads, app, query, &mut 0, show).await
}

/// The same; counts the events that it or the store looks at.
async fn walk_counting(
    reads: &Reads,
    app: &App,
    query: &EventQuery,
    scanned: &mut usize,
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
    if query.range.is_empty() || first > last || query.filter.is_nothing() {
        return Ok(NOTHING);
    }
    let mut left = query.skip.saturating_add(query.limit).saturating_add(1);
    for (n, (ids, way)) in ways(app, query, (first, last)).into_iter().enumerate() {
        if n > 0 && spent(reads, query).is_some() {
            let before = if query.order == Order::Ascending { ids.0.before() } else { ids.1.after() };
            return Ok(End::Read { frontier: before });
        }
        let mut merge = Merge::new(reads, app, query, (ids, way), left).await?;
        let mut last = None;
        let end = loop {
            let Some(event) = merge.next().await? else { break End::Read { frontier: merge.frontier() } };
            // An event of a user in a session that was theirs before is found by both.
            if last.replace(event.id) == Some(event.id) {
                continue;
            }
            *scanned += 1;
            if query.range.contains(event.at(app.clock)) && query.filter.matches(&event, &app.layout) {
                merge.wanted = merge.wanted.saturating_sub(1);
                if !show(event) {
                    break End::Stopped;
                }
            }
        };
        *scanned += merge.sources.iter().map(|source| source.left_out).sum::<usize>();
        left = merge.wanted.max(1);
        if end != NOTHING {
            return Ok(end);
        }
    }
    Ok(NOTHING)
}

/// What has ended of the budget that a query has.
pub fn spent(reads: &Reads, query: &EventQuery) -> Option<Spent> {
    reads.budget.spent_by(Kind::of(query.part))
}

/// The events of all shards, or of some sessions, as one ordered stream.
struct Merge<'a> {
    reads: &'a Reads,
    query: &'a EventQuery,
    app: &'a App,
    sources: Vec<Source>,
    /// The number of events to request from a key range at once.
    chunk: usize,
    /// The total number of matches wanted.
    wanted: usize,
    /// Whether every source was read once.
    is_begun: bool,
    /// Whether an event was returned.
    has_shown: bool,
}

/// One shard, or one part of an index.
struct Source {
    place: Place,
    /// The pieces being read and the pieces to read, in order.
    pieces: VecDeque<Piece>,
    /// The plan that provides more pieces, if the counters are used.
    plan: Option<Plan>,
    /// Whether events were read and dropped again, since they had no room.
    is_unloaded: bool,
    /// How many events the store looked at and left out.
    left_out: usize,
}

/// Where a source is read.
enum Place {
    Shard(Partition),
    /// The index contains the session's events of all shards. Unlike shards, an index does not support consistent reads.
    Session(String),
    /// The events of a user in a shard, in the index of users.
    User(Partition, String),
}

enum Piece {
    Read(VecDeque<Event>),
    Unread(KeyRange),
}

impl<'a> Merge<'a> {
    async fn new(
        reads: &'a Reads,
        app: &'a App,
        query: &'a EventQuery,
        (ids, way): ((EventId, EventId), Way),
        wanted: usize,
    ) -> Result<Self, StoreError> {
        let whole = KeyRange { ids, expected: wanted };
        let filter = &query.filter;
        let partitions = partitions(app, query.range);
        let sources = match way {
            Way::Sessions => {
                let sessions = filter.session_id.listed().into_iter().flatten();
                sessions.map(|session| Source::unplanned(Place::Session(session.clone()), whole)).collect()
            }
            Way::Users => {
                let (users, sessions) = indexed_ids(filter).unzip();
                let users: Vec<_> = users.into_iter().flatten().collect();
                let of_shard = |shard: &Partition| {
                    let place = |user: &&String| Source::unplanned(Place::User(shard.clone(), (*user).clone()), whole);
                    users.iter().map(place).collect::<Vec<_>>()
                };
                let sessions = sessions.into_iter().flatten().map(|id| Place::Session(id.clone()));
                let sessions = sessions.map(|session| Source::unplanned(session, whole));
                partitions.iter().flat_map(of_shard).chain(sessions).collect()
            }
            Way::Shards => {
                // Counters that lack events would hide those events.
                if can_plan(query) && unless_spent(reads.lacks_counts(&app.id, query.range).await)? == Some(false) {
                    let planned =
                        partitions.into_iter().map(|partition| Source::planned(reads, partition, query, whole));
                    try_join_all(planned).await?
                } else {
                    let shards = partitions.into_iter().map(Place::Shard);
                    shards.map(|shard| Source::unplanned(shard, whole).split(query)).collect()
                }
            }
        };
        let chunk = wanted.div_ceil(sources.len().max(1)).clamp(FEWEST, MOST);
        Ok(Self { reads, query, app, sources, chunk, wanted, is_begun: false, has_shown: false })
    }

    /// The identity up to which every event was returned, if more may follow.
    fn frontier(&self) -> Option<EventId> {
        let ascending = self.query.order == Order::Ascending;
        let next = self.sources.iter().filter_map(|source| source.next_id(self.query.order));
        if ascending { next.min()?.before() } else { next.max()?.after() }
    }

    /// The next event in order. `None` if everything was read, or if more must be read than the budget allows.
    async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        let order = self.query.order;
        // Every source that may have an event before the first one that is loaded must load its own. No two shards have
        // an event of the same identity.
        while let Some(bound) = self.first_unread() {
            if self.first_loaded().is_some_and(|id| first(order, [id, bound].into_iter()) == Some(id)) {
                break;
            }
            // Where memory is short, the shard whose turn it is comes alone, and events that come later make room.
            let is_short = self.is_begun && self.reads.budget.is_tight();
            let is_over = self.is_begun && self.spent().is_some();
            // An event that had no room comes in any case if it is the first, or no cursor would ever lead past it.
            let is_stuck = is_over && !self.has_shown && self.is_unloaded(bound);
            if is_short || is_stuck {
                self.sources.iter_mut().for_each(|source| source.unload(self.reads));
            }
            if is_over && !is_stuck && self.spent().is_some() {
                return Ok(None);
            }
            self.fill((is_short || is_stuck).then_some(bound), !self.is_begun || is_stuck).await?;
        }
        let shown = self.sources.iter_mut().filter_map(|source| match source.pieces.front_mut() {
            Some(Piece::Read(events)) if !events.is_empty() => Some(events),
            _ => None,
        });
        let first = shown.min_by(|a, b| {
            let ids = a.front().map(|e| e.id).cmp(&b.front().map(|e| e.id));
            if order == Order::Ascending { ids } else { ids.reverse() }
        });
        let first = first.and_then(VecDeque::pop_front);
        if let Some(event) = &first {
            self.reads.budget.release(weight(event));
            self.has_shown = true;
        }
        Ok(first)
    }

    /// What has ended of the budget that this read has.
    fn spent(&self) -> Option<Spent> {
        spent(self.reads, self.query)
    }

    /// The first identity, in order, that a source without a loaded event may return.
    fn first_unread(&mut self) -> Option<EventId> {
        let order = self.query.order;
        let hungry = self.sources.iter_mut().filter_map(|source| source.is_hungry().then_some(&*source));
        first(order, hungry.filter_map(|source| source.next_id(order)))
    }

    /// Returns whether the source that begins at an identity was read, but had no room for its events.
    fn is_unloaded(&self, bound: EventId) -> bool {
        self.sources.iter().any(|source| source.is_unloaded && source.next_id(self.query.order) == Some(bound))
    }

    /// The first event, in order, that is loaded.
    fn first_loaded(&self) -> Option<EventId> {
        let loaded = self.sources.iter().filter_map(|source| match source.pieces.front() {
            Some(Piece::Read(events)) => events.front().map(|event| event.id),
            _ => None,
        });
        first(self.query.order, loaded)
    }

    /// Plans and reads in parallel in all sources that have no event loaded, or in the one that begins at `only`.
    async fn fill(&mut self, only: Option<EventId>, forced: bool) -> Result<(), StoreError> {
        let wanted = self.wanted.max(1).div_ceil(self.sources.len());
        let (reads, app, query) = (self.reads, self.app, self.query);
        let asked = Asked { wanted, chunk: self.chunk, forced };
        let hungry = self.sources.iter_mut().filter_map(|source| source.is_hungry().then_some(source));
        let hungry = hungry.filter(|source| only.is_none_or(|only| source.next_id(query.order) == Some(only)));
        let hungry = hungry.take(only.map_or(usize::MAX, |_| 1));
        let filled = hungry.map(|source| source.fill(reads, app, query, asked)).collect::<Vec<_>>();
        try_join_all(filled).await?;
        // Filters may match only a small part of what is read, so request more as the read goes on.
        self.chunk = (self.chunk * 2).min(MOST);
        self.is_begun = true;
        Ok(())
    }
}

fn first(order: Order, ids: impl Iterator<Item = EventId>) -> Option<EventId> {
    if order == Order::Ascending { ids.min() } else { ids.max() }
}

/// What a source is asked for.
#[derive(Clone, Copy)]
struct Asked {
    /// The number of matches.
    wanted: usize,
    /// The number of events to request from a key range at once.
    chunk: usize,
    /// Whether to read something even if the budget has ended.
    forced: bool,
}

/// What was read; nothing if the budget has ended.
fn unless_spent<T>(read: Result<T, ReadError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(ReadError::Spent(_)) => Ok(None),
        Err(ReadError::Store(error)) => Err(error),
    }
}

impl Source {
    fn unplanned(place: Place, whole: KeyRange) -> Self {
        Self { place, pieces: VecDeque::from([Piece::Unread(whole)]), plan: None, is_unloaded: false, left_out: 0 }
    }

    /// Reads what is from `live_from` on by itself, since that takes strong reads.
    fn split(mut self, query: &EventQuery) -> Self {
        let Some(Piece::Unread(KeyRange { ids: (first, last), expected })) = self.pieces.pop_front() else {
            return self;
        };
        let live = query.live_from.map(EventId::first_at).filter(|live| first < *live && *live <= last);
        let parts = match live.and_then(|live| Some(((first, live.before()?), (live, last)))) {
            None => vec![(first, last)],
            Some((known, live)) if query.order == Order::Ascending => vec![known, live],
            Some((known, live)) => vec![live, known],
        };
        self.pieces = parts.into_iter().map(|ids| Piece::Unread(KeyRange { ids, expected })).collect();
        self
    }

    /// If the budget does not suffice for a plan, everything is to be read.
    async fn planned(
        reads: &Reads,
        partition: Partition,
        query: &EventQuery,
        whole: KeyRange,
    ) -> Result<Self, StoreError> {
        let Some((plan, first)) = unless_spent(Plan::new(reads, partition.clone(), query, whole.ids).await)? else {
            return Ok(Self::unplanned(Place::Shard(partition), whole));
        };
        let pieces = first.into_iter().map(Piece::Unread).collect();
        Ok(Self { place: Place::Shard(partition), pieces, plan: Some(plan), is_unloaded: false, left_out: 0 })
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

    /// Drops the events that are loaded. They are read again when their turn comes.
    fn unload(&mut self, reads: &Reads) {
        for piece in &mut self.pieces {
            if let Piece::Read(events) = piece
                && let Some(ids) = span(events.front(), events.back())
            {
                reads.budget.release(events.iter().map(weight).sum());
                self.is_unloaded = true;
                *piece = Piece::Unread(KeyRange { ids, expected: events.len() });
            }
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
    /// Those that the budget does not allow stay unread.
    async fn fill(&mut self, reads: &Reads, app: &App, query: &EventQuery, asked: Asked) -> Result<(), StoreError> {
        if let (true, Some(plan)) = (self.pieces.is_empty(), &mut self.plan) {
            let key_ranges = match unless_spent(plan.more(reads, query, asked.wanted).await)? {
                Some(key_ranges) => key_ranges,
                // Reading events without counters leads further at least.
                None if asked.forced => plan.rest(),
                None => return Ok(()),
            };
            self.pieces.extend(key_ranges.into_iter().map(Piece::Unread));
        }
        self.is_unloaded = false;
        let mut taken = Vec::new();
        let mut expected = 0;
        while let Some(Piece::Unread(key_range)) = self.pieces.front() {
            // Nothing may be known of how many there are.
            expected = key_range.expected.saturating_add(expected);
            taken.push(*key_range);
            self.pieces.pop_front();
            if expected >= asked.wanted || taken.len() == PARALLEL {
                break;
            }
        }
        let source = match &self.place {
            Place::Shard(partition) => reads::Source::Shard(partition),
            Place::Session(session) => reads::Source::Index(IndexPart::Session(&app.id, session)),
            Place::User(shard, user) => reads::Source::Index(IndexPart::User(shard, user)),
        };
        let all = taken.iter().enumerate().map(|(i, key_range)| {
            let is_rare = key_range.expected.saturating_mul(4) < asked.chunk;
            let chunk = if is_rare { asked.chunk.max(FEWEST_OF_RARE) } else { asked.chunk };
            // The first leads further. The others only save time.
            read(reads, query, source, key_range.ids, Asked { chunk, forced: asked.forced && i == 0, ..asked })
        });
        let pages = try_join_all(all).await?;
        for (key_range, page) in taken.into_iter().zip(pages).rev() {
            let Some(page) = page else {
                self.pieces.push_front(Piece::Unread(key_range));
                continue;
            };
            self.left_out += page.scanned.saturating_sub(page.events.len());
            let (first, last) = key_range.ids;
            let left = page.more_after.and_then(|read| match query.order {
                Order::Ascending => read.after().map(|first| (first, last)),
                Order::Descending => read.before().map(|last| (first, last)),
            });
            if let Some(ids) = left.filter(|(first, last)| first <= last) {
                self.pieces.push_front(Piece::Unread(KeyRange { ids, expected: key_range.expected }));
            }
            // It has no room. The first event's identity still tells whose turn it is.
            let unloaded = if reads.budget.is_full() { span(page.events.first(), page.events.last()) } else { None };
            self.is_unloaded |= unloaded.is_some();
            self.pieces.push_front(if let Some(ids) = unloaded {
                reads.budget.release(page.events.iter().map(weight).sum());
                Piece::Unread(KeyRange { ids, expected: page.events.len() })
            } else {
                Piece::Read(page.events.into())
            });
        }
        Ok(())
    }
}

/// The identities between two events, in ascending order.
fn span(first: Option<&Event>, last: Option<&Event>) -> Option<(EventId, EventId)> {
    let (first, last) = (first?.id, last?.id);
    Some((first.min(last), first.max(last)))
}

/// Reads a page of events, which are held until they are shown. Returns none if the budget has ended.
async fn read(
    reads: &Reads,
    query: &EventQuery,
    source: reads::Source<'_>,
    ids: (EventId, EventId),
    asked: Asked,
) -> Result<Option<EventPage>, StoreError> {
    let is_live = query.live_from.is_some_and(|live| ids.1 >= EventId::first_at(live));
    let read = EventRead {
        source,
        ids,
        order: query.order,
        limit: asked.chunk,
        consistent: query.consistent || (is_live && matches!(source, reads::Source::Shard(_))),
        part: query.part,
        forced: asked.forced,
    };
    let page = unless_spent(reads.matching_events(&read, Some(&query.filter)).await)?;
    for event in page.iter().flat_map(|page| &page.events) {
        // What does not fit into memory ends the walk before the next read.
        let _ = reads.budget.hold(weight(event));
    }
    Ok(page)
}
