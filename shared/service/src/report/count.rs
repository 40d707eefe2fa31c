//! Counts occurrences by time slot and cell, from cells.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::{try_join3, try_join5};
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::counter::cell::{Cell, CounterLabel, OTHER};
use tally_core::counter::key::CounterKind;
use tally_core::event::Event;
use tally_core::event::filter::attribute::properties;
use tally_core::event::filter::{CellFilter, Match, Selection};
use tally_core::event::id::{EventId, id_range};
use tally_core::event::level::Level;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::covering::{Cover, Run};
use tally_core::time::{DAY, MINUTE, Range, Timestamp};
use tally_store::{CellRead, CounterQuery, Order, StoreError, WholeItem};

use crate::budget::{Budget, ReadError, Spent};
use crate::live::{Tail, TailEvent};
use crate::reads::{EventRead, Part as Share, Reads, Source};
use crate::report::tail;

/// The number of shards and ranges that are read at once. The budget decides how many of them may send a request.
const CONCURRENCY: usize = 32;
/// The number of events read per request.
const EVENTS_PAGE: usize = 1_000;
/// The bytes that a cell takes, beside its texts, and the bytes of a sum. A map that grows holds its entries twice.
const CELL_BYTES: usize = 400;
const SUM_BYTES: usize = 64;

/// Occurrences of cells in time slots.
#[derive(Clone, Debug)]
pub struct Counts {
    /// The range that was counted: as asked for, or wider.
    pub range: Range,
    /// Whether the sums over all cells of a slot are complete: no match may be hidden in the rest of a full item, or on a
    /// day whose counters lack events. What lists names asks [`names_complete`](Self::names_complete).
    pub complete: bool,
    /// Where the newest minutes are counted from their events: everything that happened since then is counted.
    pub live_from: Option<Timestamp>,
    /// Where they come from events, and the budget ended before all were read: events before this time are not counted.
    pub covered_since: Option<Timestamp>,
    /// A number for each cell.
    cells: HashMap<CellKey, u32>,
    /// Occurrences by slot and cell.
    sums: HashMap<(u32, u32), i64>,
}

/// A cell, or the rest of a full item.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CellKey {
    /// A cell.
    Cell(Cell),
    /// The occurrences at a level of which no more is known: a full item had no room, or counters of groups counted them.
    Other(Option<Level>),
    /// A value of a counted property, as JSON text.
    Value(String),
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
            Self::Value(value) => value,
        }
    }

    /// Its slug.
    pub fn slug(&self) -> &str {
        match self {
            Self::Cell(cell) => &cell.slug,
            Self::Other(_) => OTHER,
            Self::Value(value) => value,
        }
    }

    /// Its category.
    pub fn category(&self) -> Option<&str> {
        match self {
            Self::Cell(cell) => cell.category.as_deref(),
            Self::Other(_) => Some(OTHER),
            Self::Value(_) => None,
        }
    }

    /// Its level.
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::Cell(cell) => cell.level,
            Self::Other(level) => *level,
            Self::Value(_) => None,
        }
    }

    fn of(counted: CounterLabel) -> Option<Self> {
        match counted {
            CounterLabel::Cell(cell) => Some(Self::Cell(cell)),
            // Of a group, its counters know the level alone.
            CounterLabel::Other(level) | CounterLabel::Group(level, _) | CounterLabel::OtherValues(level, _) => {
                Some(Self::Other(level))
            }
            CounterLabel::Value(_, _, value) => Some(Self::Value(value)),
            CounterLabel::Marks(..) => None,
        }
    }

    /// The bytes that it takes in memory, about.
    fn weight(&self) -> usize {
        CELL_BYTES + self.name().len() + self.slug().len() + self.category().map_or(0, str::len)
    }
}

impl Default for Counts {
    /// Nothing, which is complete.
    fn default() -> Self {
        Self {
            range: Range::EMPTY,
            complete: true,
            live_from: None,
            covered_since: None,
            cells: HashMap::new(),
            sums: HashMap::new(),
        }
    }
}

impl Counts {
    fn add(
        &mut self,
        budget: &Budget,
        selection: Selection<'_>,
        slot: usize,
        counted: CounterLabel,
        count: i64,
    ) -> Result<(), Spent> {
        match selection.counts(&counted) {
            Match::No => Ok(()),
            Match::Perhaps => {
                self.complete &= count == 0;
                Ok(())
            }
            Match::Yes => {
                // Asked for by its own name, it is some of what has no other.
                if selection.names_other() && matches!(counted, CounterLabel::Other(_)) {
                    self.complete &= count == 0;
                }
                match CellKey::of(counted) {
                    // Slots are far fewer than 2^32.
                    Some(cell) => self.add_cell(budget, u32::try_from(slot).unwrap_or(u32::MAX), cell, count),
                    None => Ok(()),
                }
            }
        }
    }

    /// Adds one of the newest events, as it will be counted.
    fn add_newest(
        &mut self,
        budget: &Budget,
        selection: Selection<'_>,
        slot: usize,
        app: &App,
        event: &TailEvent,
    ) -> Result<(), Spent> {
        let group = || Some(app.layout.group_of(event.id.at(), event.grouped())?.0);
        let label = selection.label(event.cell.clone(), group, &event.properties);
        label.map_or(Ok(()), |label| self.add(budget, selection, slot, label, event.count))
    }

    /// Adds the occurrences of a cell in a slot.
    pub(super) fn add_cell(&mut self, budget: &Budget, slot: u32, cell: CellKey, count: i64) -> Result<(), Spent> {
        let number = if let Some(number) = self.cells.get(&cell) {
            *number
        } else {
            budget.hold(cell.weight())?;
            let number = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
            self.cells.insert(cell, number);
            number
        };
        let sums = self.sums.len();
        *self.sums.entry((slot, number)).or_default() += count;
        if self.sums.len() > sums { budget.hold(SUM_BYTES) } else { Ok(()) }
    }

    /// Adds counts of other slots, as occurrences of its first slot.
    pub fn add_all(&mut self, reads: &Reads, more: &Self) -> Result<(), Spent> {
        self.complete &= more.complete;
        self.live_from = self.live_from.max(more.live_from);
        self.covered_since = self.covered_since.max(more.covered_since);
        let first = u32::default();
        for (cell, count) in more.by_cell() {
            self.add_cell(&reads.budget, first, cell.clone(), count)?;
        }
        Ok(())
    }

    /// Occurrences by slot and cell. None of them is zero.
    pub fn each(&self) -> impl Iterator<Item = (usize, &CellKey, i64)> {
        let mut cells: Vec<_> = self.cells.iter().collect();
        cells.sort_unstable_by_key(|(_, number)| **number);
        let sums = self.sums.iter().filter(|(_, count)| **count != 0);
        sums.filter_map(move |((slot, number), count)| Some((*slot as usize, cells.get(*number as usize)?.0, *count)))
    }

    /// Occurrences by cell, of all slots.
    fn by_cell(&self) -> impl Iterator<Item = (&CellKey, i64)> {
        let mut sums = vec![0; self.cells.len()];
        for ((_, number), count) in &self.sums {
            if let Some(sum) = sums.get_mut(*number as usize) {
                *sum += count;
            }
        }
        self.cells.iter().filter_map(move |(cell, number)| Some((cell, *sums.get(*number as usize)?)))
    }

    /// Whether sums by name, slug or category are complete: also nothing is counted as `(other)`.
    pub fn names_complete(&self) -> bool {
        self.complete && !self.each().any(|(_, cell, _)| cell.is_other())
    }

    /// The total number of occurrences.
    pub fn total(&self) -> i64 {
        self.sums.values().sum()
    }

    /// Occurrences by a property of the cell.
    pub fn by<'a, K: std::hash::Hash + Eq>(&'a self, key: impl Fn(&'a CellKey) -> K) -> HashMap<K, i64> {
        let mut sums = HashMap::new();
        for (cell, count) in self.by_cell() {
            *sums.entry(key(cell)).or_default() += count;
        }
        sums.retain(|_, count| *count != 0);
        sums
    }

    /// Occurrences by slot, for `slots` slots.
    pub fn by_slot(&self, slots: usize) -> Vec<i64> {
        let mut sums = vec![0; slots];
        for ((slot, _), count) in &self.sums {
            if let Some(sum) = sums.get_mut(*slot as usize) {
                *sum += count;
            }
        }
        sums
    }
}

/// Counts the occurrences that match a filter in the slots between `boundaries`, which are in order.
///
/// Whole minutes are counted from cells, and parts of a minute from events. If a part at an end of the range has more
/// events than a part of the budget can read, the range is widened to its whole minute. All requests run in parallel.
///
/// # Errors
/// Returns an error if the store fails or the budget ends: a part of the counts would be a wrong answer.
pub async fn count<'a>(
    reads: &Reads,
    app: &App,
    boundaries: Vec<Timestamp>,
    selection: impl Into<Selection<'a>>,
) -> Result<Counts, ReadError> {
    let mut counts = Counts::default();
    count_into(reads, app, boundaries, selection.into(), &mut counts).await?;
    Ok(counts)
}

/// Counts. If the budget ends, `counts` has what was read up to then.
async fn count_into(
    reads: &Reads,
    app: &App,
    boundaries: Vec<Timestamp>,
    selection: Selection<'_>,
    counts: &mut Counts,
) -> Result<(), ReadError> {
    let (Some(first), Some(last)) = (boundaries.first().copied(), boundaries.last().copied()) else {
        return Ok(());
    };
    let Ok(range) = Range::new(first, last) else { return Ok(()) };
    let cover = Cover::new(boundaries);
    if let Some(tail) = tail::tail(reads, app, range).await? {
        if count_with(reads, app, &cover, range, selection, counts, Some(tail)).await? {
            return Ok(());
        }
        *counts = Counts::default();
    }
    count_with(reads, app, &cover, range, selection, counts, None).await.map(drop)
}

/// Counts what lies in a tail from its events, and the rest from cells. Returns false if the tail cannot be read within its
/// part of the budget: then nothing is counted.
async fn count_with(
    reads: &Reads,
    app: &App,
    cover: &Cover,
    range: Range,
    selection: Selection<'_>,
    counts: &mut Counts,
    tail: Option<&Tail>,
) -> Result<bool, ReadError> {
    counts.range = range;
    let partitions = partitions(app, range);
    let start = |partition: &Partition| tail.map_or(Timestamp::MAX, |tail| tail.start(partition));
    // By where the tail of a shard begins: the buckets before, and the one that it begins within, of which the rest is left.
    let mut covers = BTreeMap::new();
    for start in partitions.iter().map(start) {
        covers.entry(start).or_insert_with(|| {
            let coarse = [Granularity::Day, Granularity::Hour].map(|granularity| Bucket::of(granularity, start));
            let cut = coarse.into_iter().find(|bucket| bucket.start() < start && cover.buckets.holds(*bucket));
            (cover.buckets_before(cut.map_or(start, Bucket::start)), cut)
        });
    }
    let folded = Mutex::new(counts);
    let parts: Vec<_> = cover.raw.iter().enumerate().map(|(i, range)| Part::new(*range, i.min(1))).collect();
    let mut runs = Vec::new();
    let mut rests = Vec::new();
    let mut events = Vec::new();
    for partition in &partitions {
        let start = start(partition);
        let (counted, cut) = &covers[&start];
        let (folded, counted_slots) = (&folded, cover);
        let fold = move |read: CellRead| {
            let slot = counted_slots.slot_of(read.bucket.start()).filter(|_| counted.holds(read.bucket));
            slot.map_or(Ok(()), |slot| add_read(&mut lock(folded), &reads.budget, selection, slot, read))
        };
        for run in counted.reads() {
            let kinds = selection.kinds().iter();
            runs.extend(kinds.map(|kind| each_read(reads, partition, *kind, run, Order::Ascending, fold)));
        }
        if let Some(bucket) = *cut {
            let slot = cover.slot_of(bucket.start()).unwrap_or_default();
            let fold = move |read: CellRead| add_read(&mut lock(folded), &reads.budget, selection, slot, read);
            let kinds = selection.kinds().iter();
            rests.extend(kinds.map(|kind| {
                let mut fold = fold;
                async move { each_before(reads, partition, *kind, bucket, start, &mut fold).await }
            }));
        }
        let parts = parts.iter().filter(|part| part.range.since() < start);
        events.extend(parts.map(|part| part.read(reads, app, partition, selection)));
    }
    let runs = stream::iter(runs).buffer_unordered(CONCURRENCY).try_collect::<()>();
    let rests = stream::iter(rests).buffer_unordered(CONCURRENCY).try_collect::<()>();
    let events = stream::iter(events).buffer_unordered(CONCURRENCY).try_collect::<()>();
    let newest = tail::events(tail, reads, app);
    let (lacks, newest, ..) = try_join5(reads.lacks_counts(&app.id, range), newest, runs, rests, events).await?;
    let Some(newest) = newest else { return Ok(false) };
    let mut minutes = Vec::new();
    for part in parts {
        let counted = part.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let slot = cover.slot_of(part.range.since()).unwrap_or_default();
        if let Some(counted) = counted {
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            for (cell, count) in counted.by_cell() {
                lock(&folded).add_cell(&reads.budget, slot, cell.clone(), count)?;
            }
        } else {
            let minute = widened(part.range, range).ok_or(Spent::Units)?;
            minutes.push((slot, minute));
        }
    }
    // Such a minute is at most the first and the last.
    for (slot, minute) in &minutes {
        {
            let range = &mut lock(&folded).range;
            let (since, until) = (minute.start().min(range.since()), minute.end().max(range.until()));
            *range = Range::new(since, until).unwrap_or(*range);
        }
        let fold = |read: CellRead| add_read(&mut lock(&folded), &reads.budget, selection, *slot, read);
        let run = Run { first: *minute, last: *minute };
        let kinds = selection.kinds();
        let runs: Vec<_> = partitions
            .iter()
            .filter(|partition| minute.start() < start(partition))
            .flat_map(|partition| {
                kinds.iter().map(|kind| each_read(reads, partition, *kind, run, Order::Ascending, fold))
            })
            .collect();
        stream::iter(runs).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    }
    let mut counts = lock(&folded);
    counts.complete &= !lacks;
    counts.live_from = tail.map(Tail::live_from);
    for event in newest.iter().flatten() {
        let widened = minutes.iter().find(|(_, minute)| *minute == Bucket::of(Granularity::Minute, event.at));
        if let Some(slot) = widened.map(|(slot, _)| *slot).or_else(|| cover.slot_of(event.at)) {
            counts.add_newest(&reads.budget, selection, slot, app, event)?;
        }
    }
    Ok(true)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add_read(
    counts: &mut Counts,
    budget: &Budget,
    selection: Selection<'_>,
    slot: usize,
    read: CellRead,
) -> Result<(), Spent> {
    read.counts.into_iter().try_for_each(|(counted, count)| counts.add(budget, selection, slot, counted, count))
}

/// The minute that contains a part of it, if only the ends of the whole range cut it.
pub(super) fn widened(part: Range, whole: Range) -> Option<Bucket> {
    let minute = Bucket::of(Granularity::Minute, part.since());
    let starts = part.since() == whole.since() || part.since() == minute.start();
    let ends = part.until() == whole.until() || part.until() == minute.end();
    (starts && ends).then_some(minute)
}

/// A callback for what was read. A generic one would compile what reads once for each caller, and functions are small.
type Show<'a, T> = &'a mut (dyn FnMut(T) -> Result<(), Spent> + Send);

/// Passes the counters of a shard and kind in a run to the callback as they arrive.
pub(crate) async fn each_read(
    reads: &Reads,
    partition: &Partition,
    kind: CounterKind,
    run: Run,
    order: Order,
    mut show: impl FnMut(CellRead) -> Result<(), Spent> + Send,
) -> Result<(), ReadError> {
    each_read_dyn(reads, partition, kind, run, order, &mut show).await
}

async fn each_read_dyn(
    reads: &Reads,
    partition: &Partition,
    kind: CounterKind,
    run: Run,
    order: Order,
    mut show: Show<'_, CellRead>,
) -> Result<(), ReadError> {
    let query = CounterQuery {
        partition,
        kind,
        first: run.first,
        last: run.last,
        order,
        limit: usize::MAX,
        only: None,
        consistent: true,
    };
    let mut from = None;
    loop {
        let page = reads.counters(&query, from).await?;
        page.reads.into_iter().try_for_each(&mut show)?;
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

/// Passes the counters of a bucket up to a minute in it to the callback: those of the bucket less those of its later minutes, or
/// those of the finer buckets before.
async fn each_before(
    reads: &Reads,
    partition: &Partition,
    kind: CounterKind,
    bucket: Bucket,
    until: Timestamp,
    show: Show<'_, CellRead>,
) -> Result<(), ReadError> {
    let minute = |at| Bucket::of(Granularity::Minute, at);
    // The minutes come second, so that they hold what the bucket holds.
    let whole = reads.whole_items(partition, kind, (bucket, bucket)).await?;
    let minutes = reads.whole_items(partition, kind, (minute(until), minute(bucket.end() - MINUTE))).await?;
    if let Some(counts) = subtracted(&whole, &minutes) {
        return Ok(show(CellRead { bucket, counts })?);
    }
    let finer = Cover::new(vec![bucket.start(), until]).buckets;
    for run in finer.reads() {
        each_read(reads, partition, kind, run, Order::Ascending, |read| {
            if finer.holds(read.bucket) { show(read) } else { Ok(()) }
        })
        .await?;
    }
    Ok(())
}

/// The counts of the items of a bucket without those of some of its minutes, if these are known to be the same events.
fn subtracted(whole: &[WholeItem], minutes: &[WholeItem]) -> Option<Vec<(CounterLabel, i64)>> {
    let is_whole = |minute: &WholeItem| whole.iter().any(|item| item.page == minute.page);
    if whole.iter().chain(minutes).any(|item| item.corrected) || !minutes.iter().all(is_whole) {
        return None;
    }
    let mut counts = Vec::new();
    for item in whole {
        // A count is on the same page of its minute, its hour and its day.
        let of_page = minutes.iter().filter(|minute| minute.page == item.page).map(|minute| &minute.item);
        let rest = item.item.without(&of_page.collect::<Vec<_>>())?;
        counts.extend(rest.into_iter().filter_map(|(name, count)| Some((CounterLabel::parse(&name)?, count))));
    }
    Some(counts)
}

/// A part of a minute, whose events are counted one by one.
struct Part {
    range: Range,
    /// 0 for the first of a range, else 1.
    place: usize,
    /// None once it is known that they are too many.
    counts: Mutex<Option<Counts>>,
}

impl Part {
    fn new(range: Range, place: usize) -> Self {
        Self { range, place, counts: Mutex::new(Some(Counts::default())) }
    }

    /// Counts the events of a shard.
    async fn read(
        &self,
        reads: &Reads,
        app: &App,
        partition: &Partition,
        selection: Selection<'_>,
    ) -> Result<(), ReadError> {
        let mut add = |event: Event| match lock(&self.counts).as_mut() {
            // `count` is at most 1e9.
            Some(counts) => {
                let count = i64::try_from(event.count).unwrap_or(0);
                let group = || Some(app.layout.group_of(event.id.at(), event.grouped())?.0);
                let properties = properties(event.data.as_ref(), selection.values_of);
                let label = selection.label(event.cell(), group, &properties);
                label.map_or(Ok(()), |label| counts.add(&reads.budget, selection, 0, label, count))
            }
            // Another shard has too many.
            None => Err(Spent::Units),
        };
        let share = Share::OfMinute(self.place);
        match each_event(reads, app, Source::Shard(partition), self.range, Some(share), &mut add).await {
            Err(ReadError::Spent(_)) => {
                *lock(&self.counts) = None;
                Ok(())
            }
            read => read,
        }
    }
}

/// Passes the events of a range to the callback as they arrive.
pub(super) async fn each_event(
    reads: &Reads,
    app: &App,
    source: Source<'_>,
    range: Range,
    part: Option<Share>,
    mut show: Show<'_, Event>,
) -> Result<(), ReadError> {
    let (mut first, last) = id_range(range);
    loop {
        let read = EventRead {
            source,
            ids: (first, last),
            order: Order::Ascending,
            limit: EVENTS_PAGE,
            // As strong as counters are read. An index cannot be.
            consistent: matches!(source, Source::Shard(_)),
            part,
            forced: false,
        };
        let page = reads.events(&read).await?;
        page.events.into_iter().filter(|event| range.contains(event.at(app.clock))).try_for_each(&mut show)?;
        match page.more_after.and_then(EventId::after) {
            Some(next) if next <= last => first = next,
            _ => return Ok(()),
        }
    }
}

/// The occurrences that match a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The number of occurrences.
    pub count: i64,
    /// Whether the number is complete. If not, there are perhaps more.
    pub complete: bool,
}

impl Total {
    pub(super) const NOTHING: Self = Self { count: 0, complete: true };
}

/// All occurrences in a range that have not expired, from cells. Events are read only for parts of a minute. If the
/// budget ends, the total is what was counted up to then.
pub async fn total(reads: &Reads, app: &App, range: Range, filter: &CellFilter) -> Result<Total, ReadError> {
    // No event lies in the last representable day. Up to a midnight, the day counters alone are enough.
    let range = range.intersect(Range::new(Timestamp::EPOCH, all_days().last.end()).unwrap_or(Range::ALL));
    let mut total = Total::NOTHING;
    for kept in app.layout.kept(range, reads.now) {
        let mut counts = Counts::default();
        match count_into(reads, app, vec![kept.since(), kept.until()], filter.into(), &mut counts).await {
            Err(ReadError::Spent(_)) => counts.complete = false,
            counted => counted?,
        }
        total.count += counts.total();
        // A wider range may count more than was asked for.
        total.complete &= counts.complete && counts.range == kept;
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

/// The time up to which all accepted events are counted, in all shards. If the budget ends, nothing is claimed: the time is
/// then that of the app's creation.
pub async fn counted_to(reads: &Reads, app: &App) -> Result<Timestamp, StoreError> {
    Ok(tail::live(reads, app).await?.counted_to)
}

/// Sums by a key, the largest first, ties by key.
pub fn largest_first<K: Ord>(sums: impl IntoIterator<Item = (K, i64)>) -> Vec<(K, i64)> {
    let mut sorted: Vec<_> = sums.into_iter().collect();
    sorted.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    sorted
}

/// The boundaries of a series over a range: the starts of its buckets, cut to the range.
pub fn boundaries(starts: &[Timestamp], range: Range) -> Vec<Timestamp> {
    let mut boundaries: Vec<_> = starts.iter().map(|start| (*start).max(range.since())).collect();
    boundaries.push(range.until());
    boundaries
}

/// The occurrences of cells on all days.
#[derive(Debug)]
pub struct AllDays {
    /// Occurrences by cell, from the first day to the last one with any. None of them is zero.
    pub cells: HashMap<CellKey, CellDays>,
    /// Whether every day is counted, and no match may be hidden in the rest of a full item, or on a day whose counters
    /// lack events.
    pub complete: bool,
    /// Days before this one are not counted, since the budget ended.
    pub covered_since: Option<Timestamp>,
    /// Where the newest minutes are counted from their events: everything that happened since then is counted.
    pub live_from: Option<Timestamp>,
}

/// The occurrences of a cell on some days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellDays {
    /// The number of occurrences.
    pub count: i64,
    /// The start of the first day with any.
    pub first: Timestamp,
    /// The start of the last day with any.
    pub last: Timestamp,
}

/// Counts all days (UTC) of an app, the newest first. If the budget ends, the newest days are counted: those of which all
/// shards were read.
pub async fn count_days(reads: &Reads, app: &App, filter: &CellFilter) -> Result<AllDays, ReadError> {
    if let Some(tail) = tail::tail(reads, app, Range::ALL).await?
        && let Some(days) = days_with(reads, app, filter.into(), Some(tail)).await?
    {
        return Ok(days);
    }
    // Without a tail there is a result.
    Ok(days_with(reads, app, filter.into(), None).await?.ok_or(Spent::Units)?)
}

/// Counts what lies in a tail from its events, and the rest from cells. Returns none if the tail cannot be read within its part
/// of the budget.
async fn days_with(
    reads: &Reads,
    app: &App,
    selection: Selection<'_>,
    tail: Option<&Tail>,
) -> Result<Option<AllDays>, ReadError> {
    let run = all_days();
    let partitions = partitions(app, Range::ALL);
    let slot_of = |at: Timestamp| {
        usize::try_from((at.floor(DAY) - run.first.start()) / run.first.granularity().length()).unwrap_or_default()
    };
    let folded = Mutex::new(Counts::default());
    // Days up to here were read of all shards and kinds.
    let covered = Mutex::new(0);
    let shard = async |partition: &Partition, kind: CounterKind| {
        let start = tail.map_or(Timestamp::MAX, |tail| tail.start(partition));
        // Of the day in which the tail begins, the rest is counted.
        let midnight = start.floor(DAY);
        let last = Bucket::of(Granularity::Day, (midnight - DAY).max(Timestamp::EPOCH)).min(run.last);
        let add = |read: CellRead| {
            let slot = slot_of(read.bucket.start());
            add_read(&mut lock(&folded), &reads.budget, selection, slot, read)
        };
        let mut reached = None;
        let read = async {
            if tail.is_some() && midnight < start {
                each_before(reads, partition, kind, Bucket::of(Granularity::Day, start), start, &mut { add }).await?;
            }
            if midnight <= run.first.start() {
                return Ok(());
            }
            let days = Run { first: run.first, last };
            each_read(reads, partition, kind, days, Order::Descending, |read| {
                // A day may have further items.
                reached = Some(slot_of(read.bucket.start()));
                add(read)
            })
            .await
        };
        match read.await {
            Err(ReadError::Spent(spent)) => {
                let reached = reached.map_or(usize::MAX, |slot| slot.saturating_add(1));
                let mut covered = lock(&covered);
                *covered = reached.max(*covered);
                Ok(Some(spent))
            }
            read => read.map(|()| None),
        }
    };
    let kinds = selection.kinds();
    let all = partitions.iter().flat_map(|partition| kinds.iter().map(|kind| shard(partition, *kind)));
    // All at once, so that none is far behind when the budget ends.
    let shards = futures::future::try_join_all(all.collect::<Vec<_>>());
    let newest = tail::events(tail, reads, app);
    let range = Range::new(run.first.start(), run.last.end()).unwrap_or(Range::ALL);
    let (lacks, newest, spent) = try_join3(reads.lacks_counts(&app.id, range), newest, shards).await?;
    let Some(newest) = newest else { return Ok(None) };
    let covered = *lock(&covered);
    let spent = spent.into_iter().flatten().next();
    if let (Some(spent), usize::MAX) = (spent, covered) {
        return Err(spent.into());
    }
    let mut counts = folded.into_inner().unwrap_or_else(PoisonError::into_inner);
    for event in newest.iter().flatten() {
        counts.add_newest(&reads.budget, selection, slot_of(event.at), app, event)?;
    }
    let mut cells: HashMap<CellKey, CellDays> = HashMap::new();
    let start = |slot: usize| run.first.start() + i64::try_from(slot).unwrap_or(0) * run.first.granularity().length();
    for (slot, cell, count) in counts.each().filter(|(slot, ..)| *slot >= covered) {
        let day = start(slot);
        let known = match cells.get_mut(cell) {
            Some(known) => known,
            None => cells.entry(cell.clone()).or_insert(CellDays { count: 0, first: day, last: day }),
        };
        *known = CellDays { count: known.count + count, first: known.first.min(day), last: known.last.max(day) };
    }
    cells.retain(|_, days| days.count != 0);
    Ok(Some(AllDays {
        cells,
        complete: counts.complete && !lacks && spent.is_none(),
        covered_since: spent.map(|_| start(covered)),
        live_from: tail.map(Tail::live_from),
    }))
}

/// The day buckets that contain all events of an app.
pub fn all_days() -> Run {
    Run {
        first: Bucket::of(Granularity::Day, Timestamp::EPOCH),
        last: Bucket::of(Granularity::Day, Timestamp::MAX - Granularity::Day.length()),
    }
}
