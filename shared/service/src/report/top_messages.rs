//! The most frequent messages. They are counted from message items. The text and last occurrence come from the newest
//! event of each message, which the counters locate. Nothing of a message outlives its events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::counter::cell::{CounterLabel, MessageHash};
use tally_core::counter::key::CounterKind;
use tally_core::event::Event;
use tally_core::event::id::{EventId, id_range};
use tally_core::event::level::Level;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::covering::Cover;
use tally_core::time::{Range, Timestamp};
use tally_store::{Order, Store, StoreError};

/// The number of concurrent requests per query.
const CONCURRENCY: usize = 32;
/// The number of events read per request.
const EVENTS_PAGE: i32 = 200;
/// The maximum number of messages with the same count and minute among which the newest are searched.
const MOST_TIED: usize = 1_000;

/// The text of a message whose events have expired.
pub const EXPIRED: &str = "(expired)";

/// A message, its number of occurrences, and its last occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopMessage {
    /// Its text.
    pub message: String,
    /// The number of occurrences in the range.
    pub count: i64,
    /// The last occurrence in the range.
    pub last_seen: Timestamp,
}

/// The most frequent messages of a range, and whether the result is complete: no message may be hidden in the rest of a
/// full item, or on a day whose counters lack events.
pub async fn top(
    store: &Store,
    now: Timestamp,
    app: &App,
    range: Range,
    level: Option<Level>,
    limit: usize,
) -> Result<(Vec<TopMessage>, bool), StoreError> {
    let search = Search { store, now, app, range, level };
    let (mut candidates, complete) = search.count().await?;
    cut(&mut candidates, limit);
    for granularity in [Granularity::Hour, Granularity::Minute] {
        search.refine(&mut candidates, granularity).await?;
        cut(&mut candidates, limit);
    }
    search.find(&mut candidates).await?;
    cut(&mut candidates, limit);
    candidates.truncate(limit);
    let top = candidates.into_iter().map(|candidate| {
        let (message, last_seen) = match candidate.newest {
            Newest::Seen(at, message) => (message, at),
            Newest::In(bucket) => (EXPIRED.to_owned(), bucket.start().max(range.since())),
        };
        TopMessage { message, count: candidate.count, last_seen }
    });
    Ok((top.collect(), complete && !store.lacks_counts(&app.id, range).await?))
}

/// A message that may be among the most frequent.
#[derive(Clone, Debug)]
struct Candidate {
    hash: MessageHash,
    count: i64,
    newest: Newest,
}

/// What is known about the newest event of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Newest {
    /// It is in this bucket.
    In(Bucket),
    /// It was read.
    Seen(Timestamp, String),
}

impl Newest {
    /// Buckets of a cover do not overlap, so comparing their starts and event times shows which is newer.
    fn at(&self) -> Timestamp {
        match self {
            Self::In(bucket) => bucket.start(),
            Self::Seen(at, _) => *at,
        }
    }
}

/// Sorts candidates by frequency, then newest first, and drops those that can no longer be among the first `limit`.
/// Candidates that tie with the last one stay.
fn cut(candidates: &mut Vec<Candidate>, limit: usize) {
    let rank = |c: &Candidate| (Reverse(c.count), Reverse(c.newest.at()));
    candidates.sort_by_key(|c| (rank(c), c.hash));
    if let Some(last) = limit.checked_sub(1).and_then(|last| candidates.get(last)).map(rank) {
        let kept = candidates.partition_point(|c| rank(c) <= last).min(limit + MOST_TIED);
        candidates.truncate(kept);
    }
}

struct Search<'a> {
    store: &'a Store,
    now: Timestamp,
    app: &'a App,
    range: Range,
    level: Option<Level>,
}

impl Search<'_> {
    fn wants(&self, level: Option<Level>) -> bool {
        self.level.is_none() || self.level == level
    }

    /// Counts every message of the range.
    async fn count(&self) -> Result<(Vec<Candidate>, bool), StoreError> {
        let cover = Cover::new(vec![self.range.since(), self.range.until()]);
        let partitions = partitions(self.app, self.range);
        let mut runs = Vec::new();
        let mut raws = Vec::new();
        for partition in &partitions {
            let kind = CounterKind::Messages;
            let run = cover.reads().into_iter();
            runs.extend(run.map(|run| self.store.read_counters(partition, kind, run.first, run.last)));
            raws.extend(cover.raw.iter().map(|range| self.messages_in(partition, *range)));
        }
        let runs = stream::iter(runs).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>();
        let raws = stream::iter(raws).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>();
        let (runs, raws) = futures::future::try_join(runs, raws).await?;
        let mut complete = true;
        let mut found: HashMap<MessageHash, Candidate> = HashMap::new();
        let mut add = |hash, count, newest: Newest| {
            let candidate = found.entry(hash).or_insert_with(|| Candidate { hash, count: 0, newest: newest.clone() });
            candidate.count += count;
            if newest.at() > candidate.newest.at() {
                candidate.newest = newest;
            }
        };
        for read in runs.into_iter().flatten().filter(|read| cover.holds(read.bucket)) {
            for (counted, count) in read.counts.into_iter().filter(|(_, count)| *count != 0) {
                match counted {
                    CounterLabel::Message(level, hash) if self.wants(level) => {
                        add(hash, count, Newest::In(read.bucket));
                    }
                    CounterLabel::Other(level) if self.wants(level) => complete = false,
                    _ => {}
                }
            }
        }
        for (at, message, count) in raws.into_iter().flatten() {
            add(MessageHash::of(&message), count, Newest::Seen(at, message));
        }
        let candidates = found.into_values().filter(|candidate| candidate.count > 0).collect();
        Ok((candidates, complete))
    }

    /// Counts the messages of a part of a minute from its events.
    async fn messages_in(
        &self,
        partition: &Partition,
        range: Range,
    ) -> Result<Vec<(Timestamp, String, i64)>, StoreError> {
        let mut found = Vec::new();
        self.each_newest_first(partition, range, |event| {
            let at = event.at(self.app.clock);
            if let Some(message) = event.message {
                // `count` is at most 1e9.
                found.push((at, message, i64::try_from(event.count).unwrap_or(0)));
            }
            true
        })
        .await?;
        Ok(found)
    }

    /// Finds the newest bucket of `granularity` for candidates that are in coarser buckets.
    async fn refine(&self, candidates: &mut [Candidate], granularity: Granularity) -> Result<(), StoreError> {
        let coarse: HashSet<Bucket> = candidates
            .iter()
            .filter_map(|candidate| match candidate.newest {
                Newest::In(bucket) if bucket.granularity() > granularity => Some(bucket),
                _ => None,
            })
            .collect();
        let mut reads = Vec::new();
        for bucket in coarse {
            let first = Bucket::of(granularity, bucket.start());
            let last = Bucket::of(granularity, bucket.end() - granularity.length());
            let Ok(range) = Range::new(bucket.start(), bucket.end()) else { continue };
            for partition in partitions(self.app, range) {
                let store = self.store;
                reads.push(async move {
                    let read = store.read_counters(&partition, CounterKind::Messages, first, last).await?;
                    Ok::<_, StoreError>((bucket, read))
                });
            }
        }
        let reads: Vec<_> = stream::iter(reads).buffer_unordered(CONCURRENCY).try_collect().await?;
        let mut newest: HashMap<(Bucket, MessageHash), Bucket> = HashMap::new();
        for (coarse, read) in reads {
            for read in read {
                for (counted, count) in read.counts {
                    if let CounterLabel::Message(level, hash) = counted
                        && self.wants(level)
                        && count != 0
                    {
                        let fine = newest.entry((coarse, hash)).or_insert(read.bucket);
                        *fine = read.bucket.max(*fine);
                    }
                }
            }
        }
        for candidate in candidates {
            if let Newest::In(bucket) = candidate.newest
                && let Some(fine) = newest.get(&(bucket, candidate.hash))
            {
                candidate.newest = Newest::In(*fine);
            }
        }
        Ok(())
    }

    /// Reads the newest event of every candidate for which only the bucket is known.
    async fn find(&self, candidates: &mut [Candidate]) -> Result<(), StoreError> {
        let mut wanted: BTreeMap<Bucket, HashSet<MessageHash>> = BTreeMap::new();
        for candidate in candidates.iter() {
            if let Newest::In(bucket) = candidate.newest {
                wanted.entry(bucket).or_default().insert(candidate.hash);
            }
        }
        let mut reads = Vec::new();
        for (bucket, hashes) in &wanted {
            let Ok(range) = Range::new(bucket.start(), bucket.end()) else { continue };
            for partition in partitions(self.app, range) {
                reads.push(self.newest_of(partition, range.intersect(self.range), hashes));
            }
        }
        let found: Vec<_> = stream::iter(reads).buffer_unordered(CONCURRENCY).try_collect().await?;
        let mut seen: HashMap<MessageHash, (Timestamp, String)> = HashMap::new();
        for (hash, at, message) in found.into_iter().flatten() {
            let known = seen.entry(hash).or_insert_with(|| (at, message.clone()));
            if at > known.0 {
                *known = (at, message);
            }
        }
        for candidate in candidates {
            if let (Newest::In(_), Some((at, message))) = (&candidate.newest, seen.remove(&candidate.hash)) {
                candidate.newest = Newest::Seen(at, message);
            }
        }
        Ok(())
    }

    async fn newest_of(
        &self,
        partition: Partition,
        range: Range,
        hashes: &HashSet<MessageHash>,
    ) -> Result<Vec<(MessageHash, Timestamp, String)>, StoreError> {
        let mut missing = hashes.clone();
        let mut found: HashMap<MessageHash, (Timestamp, String)> = HashMap::new();
        self.each_newest_first(&partition, range, |event| {
            let at = event.at(self.app.clock);
            // Events are ordered only to the millisecond: another event of the same message may come before its newest
            // one.
            if missing.is_empty() && found.values().all(|(found, _)| found.millis() > at.millis()) {
                return false;
            }
            if let Some(message) = event.message {
                let hash = MessageHash::of(&message);
                missing.remove(&hash);
                if hashes.contains(&hash) && found.get(&hash).is_none_or(|(found, _)| *found < at) {
                    found.insert(hash, (at, message));
                }
            }
            true
        })
        .await?;
        Ok(found.into_iter().map(|(hash, (at, message))| (hash, at, message)).collect())
    }

    /// Passes the events of a shard and range with the wanted level to the callback, newest first, until it stops.
    async fn each_newest_first(
        &self,
        partition: &Partition,
        range: Range,
        mut show: impl FnMut(Event) -> bool,
    ) -> Result<(), StoreError> {
        let (first, mut last) = id_range(range);
        loop {
            let page = self
                .store
                .query_events(partition, (first, last), Order::Descending, EVENTS_PAGE, false, self.now)
                .await?;
            for event in page.events {
                let wanted = self.wants(event.level) && range.contains(event.at(self.app.clock));
                if wanted && !show(event) {
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
