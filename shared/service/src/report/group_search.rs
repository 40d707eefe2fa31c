//! Counts groups of messages from message items, and finds the newest event of each, which the counters locate.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::try_join4;
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::key::CounterKind;
use tally_core::event::Event;
use tally_core::event::filter::CellFilter;
use tally_core::event::group::Group;
use tally_core::event::id::{EventId, id_range};
use tally_core::event::level::Level;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::covering::{Cover, Run};
use tally_core::time::{Range, Timestamp};
use tally_store::{CellRead, Order};

use super::count::{each_read, widened};
use super::example::Example;
use super::tail;
use crate::budget::{ReadError, Spent};
use crate::live::Tail;
use crate::reads::{EventRead, Part as Share, Reads, Source};

/// The number of shards and ranges that are read at once. The budget decides how many of them may send a request.
const CONCURRENCY: usize = 32;
/// The number of events read per request.
const EVENTS_PAGE: usize = 200;
/// The maximum number of messages with the same count and minute among which the newest are searched.
const MOST_TIED: usize = 1_000;
/// The bytes that a message takes, beside its text. A map that grows holds its entries twice.
const MESSAGE_BYTES: usize = 400;
/// The bytes of a sum of a group in a slot.
const SUM_BYTES: usize = 64;

/// A message that may be among the most frequent.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) group: Group,
    /// The most severe level so far.
    pub(super) level: Option<Level>,
    pub(super) count: i64,
    /// The sum of its text marks.
    pub(super) marks: i64,
    pub(super) newest: Newest,
}

/// What is known about the newest event of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    /// It is in this bucket.
    In(Bucket),
    /// It was read.
    Seen(Example),
}

impl Newest {
    /// Buckets of a cover do not overlap, so comparing their starts and event times shows which is newer.
    pub(super) fn at(&self) -> Timestamp {
        match self {
            Self::In(bucket) => bucket.start(),
            Self::Seen(example) => example.at,
        }
    }
}

/// Sorts candidates by frequency, then newest first, and drops those that can no longer be among the first `limit`.
/// Candidates that tie with the last one stay.
pub(super) fn cut(candidates: &mut Vec<Candidate>, limit: usize) {
    let rank = |c: &Candidate| (Reverse(c.count), Reverse(c.newest.at()));
    candidates.sort_unstable_by_key(|c| (rank(c), c.group));
    if let Some(last) = limit.checked_sub(1).and_then(|last| candidates.get(last)).map(rank) {
        let kept = candidates.partition_point(|c| rank(c) <= last).min(limit + MOST_TIED);
        candidates.truncate(kept);
    }
}

/// All messages of a range.
pub(super) struct Counted {
    pub(super) candidates: Vec<Candidate>,
    pub(super) range: Range,
    pub(super) complete: bool,
    pub(super) live_from: Option<Timestamp>,
    /// Occurrences by slot, where slots are asked for.
    pub(super) slots: HashMap<(Group, usize), i64>,
}

/// Messages while they are counted.
#[derive(Default)]
struct Messages {
    found: HashMap<Group, Candidate>,
    /// The sums of text marks. Those of a group may come before or after its counts.
    marks: HashMap<Group, i64>,
    /// Occurrences by slot, where slots are asked for.
    slots: HashMap<(Group, usize), i64>,
    /// Whether a full item hides messages.
    hidden: bool,
}

impl Messages {
    fn add(
        &mut self,
        reads: &Reads,
        (group, level): (Group, Option<Level>),
        count: i64,
        newest: Newest,
    ) -> Result<(), Spent> {
        if !self.found.contains_key(&group) {
            reads.budget.hold(MESSAGE_BYTES)?;
        }
        let candidate = self.found.entry(group).or_insert_with(|| Candidate {
            group,
            level,
            count: 0,
            marks: 0,
            newest: newest.clone(),
        });
        candidate.count += count;
        candidate.level = candidate.level.max(level);
        if newest.at() > candidate.newest.at() {
            candidate.newest = newest;
        }
        Ok(())
    }

    /// Adds to a slot of a group.
    fn add_to_slot(&mut self, reads: &Reads, group: Group, slot: usize, count: i64) -> Result<(), Spent> {
        let slots = self.slots.len();
        *self.slots.entry((group, slot)).or_default() += count;
        if self.slots.len() > slots { reads.budget.hold(SUM_BYTES) } else { Ok(()) }
    }

    fn mark(&mut self, group: Group, marks: i64) {
        if marks != 0 {
            let sum = self.marks.entry(group).or_default();
            *sum = sum.saturating_add(marks);
        }
    }
}

/// The messages of a part of a minute: how often, and when and with which text last. None once it is known that the
/// events are too many.
type Part = Mutex<Option<HashMap<Group, InPart>>>;

/// A message in a part of a minute.
struct InPart {
    count: i64,
    level: Option<Level>,
    marks: i64,
    newest: Example,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Groups that are searched for in a range. Of the filter, level and group apply.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) reads: &'a Reads,
    pub(super) app: &'a App,
    pub(super) range: Range,
    pub(super) filter: &'a CellFilter,
    /// The only groups, if not all.
    pub(super) only: Option<&'a HashSet<Group>>,
    /// The bounds of slots within the range, in order; empty if slots are not asked for.
    pub(super) boundaries: &'a [Timestamp],
}

impl<'a> Search<'a> {
    /// Searches for all groups that a filter matches.
    pub(super) fn new(reads: &'a Reads, app: &'a App, range: Range, filter: &'a CellFilter) -> Self {
        Self { reads, app, range, filter, only: None, boundaries: &[] }
    }

    fn wants(&self, level: Option<Level>) -> bool {
        self.filter.level.matches(level.as_ref())
    }

    fn wants_group(&self, group: Group) -> bool {
        self.filter.group.matches(Some(&group)) && self.only.is_none_or(|only| only.contains(&group))
    }

    /// The slot of a time; none if slots are not asked for.
    fn slot(&self, at: Timestamp) -> Option<usize> {
        let last = self.boundaries.len().checked_sub(2)?;
        Some(self.boundaries.partition_point(|boundary| *boundary <= at).saturating_sub(1).min(last))
    }

    /// The group of an event if it is wanted, and its text mark.
    fn group(&self, event: &Event) -> Option<(Group, u64)> {
        let group = self.app.layout.group_of(event.id.at(), event.grouped());
        group.filter(|(group, _)| self.wants_group(*group))
    }

    fn example(&self, event: &Event, mark: u64) -> Example {
        Example::new(event.at(self.app.clock), event.id, &event.name, event.grouped(), mark)
    }

    /// Counts every message of the range. A part of a minute with too many events is widened to its minute.
    pub(super) async fn count(&self) -> Result<Counted, ReadError> {
        if let Some(tail) = tail::tail(self.reads, self.app, self.range).await?
            && let Some(counted) = self.count_with(Some(tail)).await?
        {
            return Ok(counted);
        }
        // Without a tail there is a result.
        Ok(self.count_with(None).await?.ok_or(Spent::Units)?)
    }

    /// Counts what lies in a tail from its events, and the rest from message items. Returns none if the tail cannot be read
    /// within its part of the budget.
    async fn count_with(&self, tail: Option<&Tail>) -> Result<Option<Counted>, ReadError> {
        let ends = [self.range.since(), self.range.until()];
        let cover = Cover::new(if self.boundaries.is_empty() { ends.into() } else { self.boundaries.into() });
        let partitions = partitions(self.app, self.range);
        let start = |partition: &Partition| tail.map_or(Timestamp::MAX, |tail| tail.start(partition));
        // Few, since shards are counted about equally far.
        let mut covers = BTreeMap::new();
        for start in partitions.iter().map(start) {
            covers.entry(start).or_insert_with(|| cover.buckets_before(start));
        }
        let messages = Mutex::new(Messages::default());
        let fold = |read: CellRead| self.add_read(&mut lock(&messages), read);
        let parts: Vec<(Range, Part)> =
            cover.raw.iter().map(|range| (*range, Mutex::new(Some(HashMap::new())))).collect();
        let mut runs = Vec::new();
        let mut raws = Vec::new();
        for partition in &partitions {
            let start = start(partition);
            let (fold, counted) = (&fold, &covers[&start]);
            let kept = move |read: CellRead| if counted.holds(read.bucket) { fold(read) } else { Ok(()) };
            runs.extend(counted.reads().into_iter().map(|run| self.each_read(partition, run, kept)));
            let parts = parts.iter().enumerate().filter(|(_, (range, _))| range.since() < start);
            raws.extend(parts.map(|(i, (range, part))| self.add_part(partition, *range, i.min(1), part)));
        }
        let runs = stream::iter(runs).buffer_unordered(CONCURRENCY).try_collect::<()>();
        let raws = stream::iter(raws).buffer_unordered(CONCURRENCY).try_collect::<()>();
        let newest = tail::events(tail, self.reads, self.app);
        let lacks = self.reads.lacks_counts(&self.app.id, self.range);
        let (lacks, newest, ..) = try_join4(lacks, newest, runs, raws).await?;
        let Some(newest) = newest else { return Ok(None) };
        let mut range = self.range;
        let mut minutes = Vec::new();
        for (part, counted) in parts {
            if let Some(counted) = counted.into_inner().unwrap_or_else(PoisonError::into_inner) {
                for (group, InPart { count, level, marks, newest }) in counted {
                    let mut messages = lock(&messages);
                    if let Some(slot) = self.slot(part.since()) {
                        messages.add_to_slot(self.reads, group, slot, count)?;
                    }
                    messages.add(self.reads, (group, level), count, Newest::Seen(newest))?;
                    messages.mark(group, marks);
                }
            } else {
                let minute = widened(part, self.range).ok_or(Spent::Units)?;
                range = Range::new(range.since().min(minute.start()), range.until().max(minute.end())).unwrap_or(range);
                minutes.push(Run { first: minute, last: minute });
            }
        }
        let runs = minutes.iter();
        let runs = runs.flat_map(|run| {
            let counted = partitions.iter().filter(|partition| run.first.start() < start(partition));
            counted.map(|partition| self.each_read(partition, *run, fold))
        });
        let runs: Vec<_> = runs.collect();
        stream::iter(runs).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        let mut messages = messages.into_inner().unwrap_or_else(PoisonError::into_inner);
        for event in newest.iter().flatten().filter(|event| range.contains(event.at) && self.wants(event.cell.level)) {
            let group = self.app.layout.group_of(event.id.at(), event.grouped());
            if let Some((group, mark)) = group.filter(|(group, _)| self.wants_group(*group)) {
                let example = Example::new(event.at, event.id, &event.cell.name, event.grouped(), mark);
                if let Some(slot) = self.slot(event.at) {
                    messages.add_to_slot(self.reads, group, slot, event.count)?;
                }
                messages.mark(group, example.marks(event.count));
                messages.add(self.reads, (group, event.cell.level), event.count, Newest::Seen(example))?;
            }
        }
        let Messages { found, marks, slots, hidden } = messages;
        let marks = |group| marks.get(&group).copied().unwrap_or(0);
        let candidates = found.into_values().filter(|candidate| candidate.count > 0);
        let candidates = candidates.map(|candidate| Candidate { marks: marks(candidate.group), ..candidate }).collect();
        let live_from = tail.map(Tail::live_from);
        Ok(Some(Counted { candidates, range, complete: !hidden && !lacks, live_from, slots }))
    }

    async fn each_read(
        &self,
        partition: &Partition,
        run: Run,
        show: impl FnMut(CellRead) -> Result<(), Spent> + Send,
    ) -> Result<(), ReadError> {
        each_read(self.reads, partition, CounterKind::Messages, run, Order::Ascending, show).await
    }

    fn add_read(&self, messages: &mut Messages, read: CellRead) -> Result<(), Spent> {
        for (counted, count) in read.counts.into_iter().filter(|(_, count)| *count != 0) {
            match counted {
                CounterLabel::Group(level, group) if self.wants(level) && self.wants_group(group) => {
                    if let Some(slot) = self.slot(read.bucket.start()) {
                        messages.add_to_slot(self.reads, group, slot, count)?;
                    }
                    messages.add(self.reads, (group, level), count, Newest::In(read.bucket))?;
                }
                CounterLabel::Marks(level, group) if self.wants(level) && self.wants_group(group) => {
                    messages.mark(group, count);
                }
                CounterLabel::Other(level) if self.wants(level) => messages.hidden = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts the messages of a part of a minute from the events of a shard.
    async fn add_part(&self, partition: &Partition, range: Range, place: usize, part: &Part) -> Result<(), ReadError> {
        let read = self.each_newest_first(partition, range, Some(Share::OfMinute(place)), |event| {
            let Some((group, mark)) = self.group(&event) else { return Ok(true) };
            let newest = self.example(&event, mark);
            let mut part = lock(part);
            // None if another shard has too many.
            let messages = part.as_mut().ok_or(Spent::Units)?;
            // `count` is at most 1e9.
            let count = i64::try_from(event.count).unwrap_or(0);
            let marks = newest.marks(count);
            if let Some(known) = messages.get_mut(&group) {
                known.count += count;
                known.level = known.level.max(event.level);
                known.marks = known.marks.saturating_add(marks);
                if newest.at > known.newest.at {
                    known.newest = newest;
                }
            } else {
                self.reads.budget.hold(MESSAGE_BYTES + newest.weight())?;
                messages.insert(group, InPart { count, level: event.level, marks, newest });
            }
            Ok(true)
        });
        match read.await {
            Err(ReadError::Spent(_)) => {
                *lock(part) = None;
                Ok(())
            }
            read => read,
        }
    }

    /// Finds the newest event of each candidate, as far as the budget goes.
    pub(super) async fn locate(&self, candidates: &mut Vec<Candidate>, limit: usize) -> Result<(), ReadError> {
        for granularity in [Granularity::Hour, Granularity::Minute] {
            self.refine(candidates, granularity).await?;
            cut(candidates, limit);
        }
        self.find(candidates).await
    }

    /// Finds the newest bucket of `granularity` for candidates that are in coarser buckets.
    pub(super) async fn refine(&self, candidates: &mut [Candidate], granularity: Granularity) -> Result<(), ReadError> {
        let mut wanted: BTreeMap<Bucket, HashSet<Group>> = BTreeMap::new();
        for candidate in candidates.iter() {
            if let Newest::In(bucket) = candidate.newest
                && bucket.granularity() > granularity
            {
                wanted.entry(bucket).or_default().insert(candidate.group);
            }
        }
        let newest: Mutex<HashMap<(Bucket, Group), Bucket>> = Mutex::default();
        let mut all = Vec::new();
        for (bucket, groups) in &wanted {
            let Ok(range) = Range::new(bucket.start(), bucket.end()) else { continue };
            let first = Bucket::of(granularity, bucket.start());
            let last = Bucket::of(granularity, bucket.end() - granularity.length());
            all.extend(partitions(self.app, range).into_iter().map(|partition| {
                let newest = &newest;
                async move {
                    let run = Run { first, last };
                    self.each_read(&partition, run, |read| {
                        for (counted, count) in read.counts {
                            if let CounterLabel::Group(level, group) = counted
                                && self.wants(level)
                                && count != 0
                                && groups.contains(&group)
                            {
                                let mut newest = lock(newest);
                                let fine = newest.entry((*bucket, group)).or_insert(read.bucket);
                                *fine = read.bucket.max(*fine);
                            }
                        }
                        Ok(())
                    })
                    .await
                }
            }));
        }
        stream::iter(all).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        let newest = newest.into_inner().unwrap_or_else(PoisonError::into_inner);
        for candidate in candidates {
            if let Newest::In(bucket) = candidate.newest
                && let Some(fine) = newest.get(&(bucket, candidate.group))
            {
                candidate.newest = Newest::In(*fine);
            }
        }
        Ok(())
    }

    /// Reads the newest event of every candidate for which only the bucket is known. If the budget ends, those that were
    /// found are kept.
    pub(super) async fn find(&self, candidates: &mut [Candidate]) -> Result<(), ReadError> {
        let mut wanted: BTreeMap<Bucket, HashSet<Group>> = BTreeMap::new();
        for candidate in candidates.iter() {
            if let Newest::In(bucket) = candidate.newest {
                wanted.entry(bucket).or_default().insert(candidate.group);
            }
        }
        let mut reads = Vec::new();
        for (bucket, groups) in &wanted {
            let Ok(range) = Range::new(bucket.start(), bucket.end()) else { continue };
            for partition in partitions(self.app, range) {
                reads.push(self.newest_of(partition, range.intersect(self.range), groups));
            }
        }
        let mut spent = None;
        let mut unsure = HashSet::new();
        let mut seen = Newests::new();
        let mut reads = stream::iter(reads).buffer_unordered(CONCURRENCY);
        while let Some((found, missing, ended)) = reads.try_next().await? {
            spent = spent.or(ended);
            unsure.extend(missing);
            for (group, example) in found {
                if seen.get(&group).is_none_or(|known| known.at < example.at) {
                    seen.insert(group, example);
                }
            }
        }
        for candidate in candidates {
            // A shard that was not read to the end may have a newer event.
            if let (Newest::In(_), false, Some(example)) =
                (&candidate.newest, unsure.contains(&candidate.group), seen.remove(&candidate.group))
            {
                candidate.newest = Newest::Seen(example);
            }
        }
        spent.map_or(Ok(()), |spent| Err(spent.into()))
    }

    /// Finds the newest events of messages in a shard. If the budget ends, says of which messages a newer one may exist.
    async fn newest_of(
        &self,
        partition: Partition,
        range: Range,
        groups: &HashSet<Group>,
    ) -> Result<(Newests, HashSet<Group>, Option<Spent>), ReadError> {
        let mut missing = groups.clone();
        let mut found = Newests::new();
        let read = self.each_newest_first(&partition, range, None, |event| {
            let at = event.at(self.app.clock);
            // Events are ordered only to the millisecond: another event of the same message may come before its newest
            // one.
            if missing.is_empty() && found.values().all(|found| found.at.millis() > at.millis()) {
                return Ok(false);
            }
            if let Some((group, mark)) = self.group(&event) {
                missing.remove(&group);
                if groups.contains(&group) && found.get(&group).is_none_or(|found| found.at < at) {
                    let example = self.example(&event, mark);
                    self.reads.budget.hold(MESSAGE_BYTES + example.weight())?;
                    found.insert(group, example);
                }
            }
            Ok(true)
        });
        match read.await {
            Ok(()) => Ok((found, HashSet::new(), None)),
            Err(ReadError::Spent(spent)) => Ok((found, missing, Some(spent))),
            Err(error) => Err(error),
        }
    }

    /// Passes the events of a shard and range with the wanted level to the callback, newest first, until it stops.
    async fn each_newest_first(
        &self,
        partition: &Partition,
        range: Range,
        part: Option<Share>,
        mut show: impl FnMut(Event) -> Result<bool, Spent>,
    ) -> Result<(), ReadError> {
        let (first, mut last) = id_range(range);
        loop {
            let read = EventRead {
                source: Source::Shard(partition),
                ids: (first, last),
                order: Order::Descending,
                limit: EVENTS_PAGE,
                // What is counted is read strongly, as counters are; a text may be a little old.
                consistent: part.is_some(),
                part,
                forced: false,
            };
            let page = self.reads.events(&read).await?;
            for event in page.events {
                let wanted = self.wants(event.level) && range.contains(event.at(self.app.clock));
                if wanted && !show(event)? {
                    return Ok(());
                }
            }
            match page.more_after.and_then(EventId::before) {
                Some(next) if first <= next => last = next,
                _ => return Ok(()),
            }
        }
    }
}

/// The newest events of groups.
type Newests = HashMap<Group, Example>;
