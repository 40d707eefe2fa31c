//! Counts occurrences by time slot and cell, from cells.

use std::collections::HashMap;

use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::counter::cell::{Cell, CounterLabel, OTHER};
use tally_core::counter::key::CounterKind;
use tally_core::event::filter::{CellFilter, Match};
use tally_core::event::id::{EventId, id_range};
use tally_core::event::level::Level;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::covering::{Cover, Run};
use tally_core::time::{MILLISECOND, MINUTE, Range, Timestamp};
use tally_store::{Order, Store, StoreError};

/// The number of concurrent requests per query.
const CONCURRENCY: usize = 32;
/// The number of events read per request.
const EVENTS_PAGE: i32 = 1_000;

/// Occurrences of cells in time slots.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Occurrences by slot and cell. None of them is zero.
    pub sums: HashMap<(usize, CellKey), i64>,
    /// Whether the sums over all cells of a slot are complete: no match may be hidden in the rest of a full item, or on a
    /// day whose counters lack events. What lists names asks [`names_complete`](Self::names_complete).
    pub complete: bool,
}

/// A cell, or the rest of a full item.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CellKey {
    /// A cell.
    Cell(Cell),
    /// The occurrences at a level for which a full item had no room.
    Other(Option<Level>),
}

impl CellKey {
    /// Whether it is the rest of a full item, shown as `(other)`.
    pub fn is_other(&self) -> bool {
        matches!(self, Self::Other(_))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Cell(cell) => &cell.name,
            Self::Other(_) => OTHER,
        }
    }

    /// Its slug.
    pub fn slug(&self) -> &str {
        match self {
            Self::Cell(cell) => &cell.slug,
            Self::Other(_) => OTHER,
        }
    }

    /// Its category.
    pub fn category(&self) -> Option<&str> {
        match self {
            Self::Cell(cell) => cell.category.as_deref(),
            Self::Other(_) => Some(OTHER),
        }
    }

    /// Its level.
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::Cell(cell) => cell.level,
            Self::Other(level) => *level,
        }
    }
}

impl Counts {
    fn add(&mut self, filter: &CellFilter, slot: usize, counted: CounterLabel, count: i64) {
        match filter.counts(&counted) {
            Match::No => return,
            Match::Perhaps => {
                self.complete &= count == 0;
                return;
            }
            // Asked for by its own name, it is some of what has no other.
            Match::Yes if filter.name.is_some() && matches!(counted, CounterLabel::Other(_)) => {
                self.complete &= count == 0;
            }
            Match::Yes => {}
        }
        let cell = match counted {
            CounterLabel::Cell(cell) => CellKey::Cell(cell),
            CounterLabel::Other(level) => CellKey::Other(level),
            CounterLabel::Message(..) => return,
        };
        *self.sums.entry((slot, cell)).or_default() += count;
    }

    /// Whether sums by name, slug or category are complete: also nothing is counted as `(other)`.
    pub fn names_complete(&self) -> bool {
        self.complete && !self.sums.keys().any(|(_, cell)| cell.is_other())
    }

    /// The total number of occurrences.
    pub fn total(&self) -> i64 {
        self.sums.values().sum()
    }

    /// Occurrences by a property of the cell.
    pub fn by<'a, K: std::hash::Hash + Eq>(&'a self, key: impl Fn(&'a CellKey) -> K) -> HashMap<K, i64> {
        let mut sums = HashMap::new();
        for ((_, cell), count) in &self.sums {
            *sums.entry(key(cell)).or_default() += count;
        }
        sums.retain(|_, count| *count != 0);
        sums
    }

    /// Occurrences by slot, for `slots` slots.
    pub fn by_slot(&self, slots: usize) -> Vec<i64> {
        let mut sums = vec![0; slots];
        for ((slot, _), count) in &self.sums {
            if let Some(sum) = sums.get_mut(*slot) {
                *sum += count;
            }
        }
        sums
    }
}

/// Counts the occurrences that match a filter in the slots between `boundaries`, which are in order.
///
/// Whole minutes are counted from cells, and parts of a minute from events. All requests run in parallel.
pub async fn count(
    store: &Store,
    now: Timestamp,
    app: &App,
    boundaries: Vec<Timestamp>,
    filter: &CellFilter,
) -> Result<Counts, StoreError> {
    let mut counts = Counts { complete: true, ..Counts::default() };
    let (Some(first), Some(last)) = (boundaries.first().copied(), boundaries.last().copied()) else {
        return Ok(counts);
    };
    let Ok(range) = Range::new(first, last) else { return Ok(counts) };
    let cover = Cover::new(boundaries);
    let partitions = partitions(app, range);
    let mut runs = Vec::new();
    let mut raws = Vec::new();
    for partition in &partitions {
        runs.extend(cover.reads().into_iter().map(|run| read_run(store, partition, filter.level, run)));
        raws.extend(cover.raw.iter().map(|range| read_raw(store, now, app, Source::Shard(partition), *range)));
    }
    let cells = stream::iter(runs).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>();
    let events = stream::iter(raws).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>();
    let lacks = store.lacks_counts(&app.id, range);
    let (cells, events, lacks) = futures::future::try_join3(cells, events, lacks).await?;
    counts.complete = !lacks;
    for (bucket, counted) in cells.into_iter().flatten() {
        if !cover.holds(bucket) {
            continue;
        }
        if let Some(slot) = cover.slot_of(bucket.start()) {
            for (counted, count) in counted {
                counts.add(filter, slot, counted, count);
            }
        }
    }
    for (at, cell, count) in events.into_iter().flatten() {
        if let Some(slot) = cover.slot_of(at) {
            counts.add(filter, slot, CounterLabel::Cell(cell), count);
        }
    }
    counts.sums.retain(|_, count| *count != 0);
    Ok(counts)
}

type RunCounts = Vec<(Bucket, Vec<(CounterLabel, i64)>)>;

async fn read_run(
    store: &Store,
    partition: &Partition,
    level: Option<Level>,
    run: Run,
) -> Result<RunCounts, StoreError> {
    let kinds = CounterKind::that_count(level).iter();
    let reads = kinds.map(|kind| store.read_counters(partition, *kind, run.first, run.last));
    let read = try_join_all(reads).await?;
    Ok(read.into_iter().flatten().map(|read| (read.bucket, read.counts)).collect())
}

/// Where to read events.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// One shard.
    Shard(&'a Partition),
    /// The index of one session.
    Session(&'a str),
}

async fn read_raw(
    store: &Store,
    now: Timestamp,
    app: &App,
    source: Source<'_>,
    range: Range,
) -> Result<Vec<(Timestamp, Cell, i64)>, StoreError> {
    const ORDER: Order = Order::Ascending;
    let (mut first, last) = id_range(range);
    let mut found = Vec::new();
    loop {
        let ids = (first, last);
        let page = match source {
            Source::Shard(partition) => store.query_events(partition, ids, ORDER, EVENTS_PAGE, false, now).await?,
            Source::Session(session) => store.query_session(&app.id, session, ids, ORDER, EVENTS_PAGE, now).await?,
        };
        for event in page.events {
            let at = event.at(app.clock);
            if range.contains(at) {
                // `count` is at most 1e9.
                found.push((at, event.cell(), i64::try_from(event.count).unwrap_or(0)));
            }
        }
        match page.more_after.and_then(EventId::after) {
            Some(next) if next <= last => first = next,
            _ => return Ok(found),
        }
    }
}

/// The occurrences that match a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The number of occurrences.
    pub count: i64,
    /// Whether the number is complete.
    pub complete: bool,
}

impl Total {
    const NOTHING: Self = Self { count: 0, complete: true };
}

/// All occurrences in a range that have not expired, from cells. Events are read only for parts of a minute.
pub async fn total(
    store: &Store,
    now: Timestamp,
    app: &App,
    range: Range,
    filter: &CellFilter,
) -> Result<Total, StoreError> {
    // No event lies in the last representable day. Up to a midnight, the day counters alone are enough.
    let range = range.intersect(Range::new(Timestamp::EPOCH, all_days().last.end()).unwrap_or(Range::ALL));
    let mut total = Total::NOTHING;
    for kept in app.layout.kept(range, now) {
        let counts = count(store, now, app, vec![kept.since(), kept.until()], filter).await?;
        total.count += counts.total();
        total.complete &= counts.complete;
    }
    Ok(total)
}

/// What to count of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionQuery<'a> {
    /// The session.
    pub session_id: &'a str,
    /// The time range, by the app's clock.
    pub range: Range,
    /// The filter for its events.
    pub filter: &'a CellFilter,
    /// The approximate number of read units to use. Events beyond that are not counted.
    pub budget: f64,
}

/// The occurrences of a session, from its index.
pub async fn session_total(
    store: &Store,
    now: Timestamp,
    app: &App,
    query: &SessionQuery<'_>,
) -> Result<Total, StoreError> {
    let SessionQuery { session_id, range, filter, budget } = *query;
    let mut total = Total::NOTHING;
    let mut units = 0.0;
    for kept in app.layout.kept(range, now) {
        let (since, until) = (kept.since(), kept.until());
        // The index stores an event's time only to the millisecond.
        let (from, to) = (since.ceil(MILLISECOND), until.floor(MILLISECOND));
        let parts = if from > to { [(since, until), (until, until)] } else { [(since, from), (to, until)] };
        for range in parts.into_iter().filter_map(|(since, until)| Range::new(since, until).ok()) {
            if !range.is_empty() {
                let events = read_raw(store, now, app, Source::Session(session_id), range).await?;
                total.count += events.iter().filter(|(_, cell, _)| filter.matches(cell)).map(|(.., n)| n).sum::<i64>();
            }
        }
        let Some(mut ids) = Range::new(from, to).ok().filter(|range| !range.is_empty()).map(id_range) else { continue };
        loop {
            if units >= budget {
                total.complete = false;
                return Ok(total);
            }
            let page = store.counted_session(&app.id, session_id, ids).await?;
            let matching = page.events.iter().filter(|event| filter.matches(&event.cell));
            // `count` is at most 1e9.
            total.count += matching.map(|event| i64::try_from(event.count).unwrap_or(0)).sum::<i64>();
            units += page.units;
            match page.more_after.and_then(EventId::after) {
                Some(next) if next <= ids.1 => ids.0 = next,
                _ => break,
            }
        }
    }
    Ok(total)
}

/// Widens a range to the whole minute where it ends inside a minute whose events may have expired.
pub fn widen(app: &App, range: Range, now: Timestamp) -> Range {
    let expired = |at: Timestamp| app.layout.expires_at(at.floor(MINUTE)).is_some_and(|expiry| expiry <= now);
    let since = if expired(range.since()) { range.since().floor(MINUTE) } else { range.since() };
    let until = if expired(range.until()) { range.until().ceil(MINUTE) } else { range.until() };
    Range::new(since, until).unwrap_or(range)
}

/// The time up to which all accepted events are counted, in all shards.
pub async fn counted_to(store: &Store, now: Timestamp, app: &App) -> Result<Timestamp, StoreError> {
    let partitions = partitions(app, Range::ALL);
    let shards: Vec<_> = partitions.iter().map(|partition| shard_counted_to(store, app, partition, now)).collect();
    let times: Vec<_> = stream::iter(shards).buffer_unordered(CONCURRENCY).try_collect().await?;
    // A clock that was ahead may have left a time in the future.
    Ok(times.into_iter().min().unwrap_or(now).min(now))
}

/// The time up to which one shard is counted. A shard without events is up to date. One without counters is not counted
/// at all.
async fn shard_counted_to(
    store: &Store,
    app: &App,
    partition: &Partition,
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    if let Some(at) = store.counted_to(partition).await? {
        return Ok(at);
    }
    let any = store.query_events(partition, id_range(Range::ALL), Order::Ascending, 1, true, now).await?;
    let empty = any.events.is_empty() && any.more_after.is_none();
    Ok(if empty { now } else { app.created_at })
}

/// Occurrences by day and cell, for all days in a range, and whether they are complete: no match may be hidden in the
/// rest of a full item, or on a day whose counters lack events.
pub async fn days(
    store: &Store,
    app: &App,
    run: Run,
    filter: &CellFilter,
) -> Result<(HashMap<(Timestamp, CellKey), i64>, bool), StoreError> {
    let partitions = partitions(app, Range::ALL);
    let reads: Vec<_> = partitions.iter().map(|partition| read_run(store, partition, filter.level, run)).collect();
    let reads: Vec<_> = stream::iter(reads).buffer_unordered(CONCURRENCY).try_collect().await?;
    let range = Range::new(run.first.start(), run.last.end()).unwrap_or(Range::ALL);
    let mut complete = !store.lacks_counts(&app.id, range).await?;
    let mut days: HashMap<(Timestamp, CellKey), i64> = HashMap::new();
    for (bucket, counted) in reads.into_iter().flatten() {
        let mut day = Counts { complete: true, ..Counts::default() };
        for (counted, count) in counted {
            day.add(filter, 0, counted, count);
        }
        complete &= day.complete;
        for ((_, cell), count) in day.sums {
            *days.entry((bucket.start(), cell)).or_default() += count;
        }
    }
    days.retain(|_, count| *count != 0);
    Ok((days, complete))
}

/// The day buckets that contain all events of an app.
pub fn all_days() -> Run {
    Run {
        first: Bucket::of(Granularity::Day, Timestamp::EPOCH),
        last: Bucket::of(Granularity::Day, Timestamp::MAX - Granularity::Day.length()),
    }
}
