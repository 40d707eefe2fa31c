//! Planning a read by the counters: which days of a shard hold matches, then which hours, then which minutes, so that
//! rare matches in a huge table cost a few small reads.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use super::EventQuery;
use crate::backend::Backend;
use crate::bucket::{Bucket, Grain};
use crate::cell::{Counted, MessageHash};
use crate::counting::id_range;
use crate::event_id::EventId;
use crate::filter::Match;
use crate::level::Level;
use crate::store::{CellRead, CounterKind, Order, Partition, StoreError};
use crate::time::{MINUTE, Range, Timestamp};

/// Minutes before the counters' own time that are always read: an event is mostly counted within seconds, and mostly
/// sent within a minute of its time.
const FRESH: i64 = 2 * MINUTE;
/// Days that are asked for first; four times as many with each further question.
const FIRST_DAYS: usize = 2;
/// Most days that are asked for at once.
const MOST_DAYS: usize = 512;
/// Where so few events are expected to be read for what is wanted, they are read without asking finer counters, which
/// would cost more than they save: about eight read units of 300-byte events.
const FEW: i64 = 200;
/// Buckets that are refined at once.
const CONCURRENCY: usize = 32;

/// A part of a shard to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The identities that it lies between, both included.
    pub(super) ids: (EventId, EventId),
    /// How many matches the counters promise.
    pub(super) expected: usize,
}

/// What is left to plan of a shard.
#[derive(Debug)]
pub(super) struct Plan {
    partition: Partition,
    /// What is not planned yet: identities of a range of time that the counters know well.
    left: Option<(EventId, EventId)>,
    /// What comes after all that: the minutes that the counters may not know yet, where the order is ascending.
    last: Option<Stretch>,
    days: usize,
}

/// Whether the counters can tell where the matches of a query are.
pub(super) fn can_plan(query: &EventQuery) -> bool {
    let filter = &query.filter;
    !query.consistent && filter.session_id.is_none() && (filter.message.is_some() || !filter.cell.is_empty())
}

impl Plan {
    /// A plan for a shard; with what of it must be read first.
    pub(super) async fn new(
        backend: &Backend,
        partition: Partition,
        query: &EventQuery,
        (first, last): (EventId, EventId),
    ) -> Result<(Self, Option<Stretch>), StoreError> {
        let counted_to = backend.store.counted_to(&partition).await?;
        // Without counters all of it is read.
        let fresh = counted_to.map_or(Timestamp::EPOCH, |to| to.plus(-FRESH)).floor(MINUTE);
        let fresh = EventId::first_at(fresh.max(Timestamp::EPOCH));
        let stretch = |from: EventId| Stretch { ids: (from.max(first), last), expected: 1 };
        let read_fresh = (fresh <= last).then(|| stretch(fresh));
        let known_last = if fresh <= last { fresh.before() } else { Some(last) };
        let left = known_last.map(|known| (first, known)).filter(|(first, last)| first <= last);
        let plan = |last| Self { partition, left, last, days: FIRST_DAYS };
        Ok(match query.order {
            Order::Descending => (plan(None), read_fresh),
            Order::Ascending if left.is_none() => (plan(None), read_fresh),
            Order::Ascending => (plan(read_fresh), None),
        })
    }

    /// Whether nothing is left to plan.
    pub(super) fn is_done(&self) -> bool {
        self.left.is_none() && self.last.is_none()
    }

    /// The next identity that may be read, in the order of the query.
    pub(super) fn next_id(&self, order: Order) -> Option<EventId> {
        match (order, self.left, self.last) {
            (Order::Ascending, Some((first, _)), _) => Some(first),
            (Order::Descending, Some((_, last)), _) => Some(last),
            (_, None, stretch) => stretch.map(|stretch| stretch.ids.0),
        }
    }

    /// Plans on: the next stretches that hold about `wanted` matches, in order; with the read units that it cost. May
    /// find none and still not be done.
    pub(super) async fn more(
        &mut self,
        backend: &Backend,
        query: &EventQuery,
        wanted: usize,
    ) -> Result<(Vec<Stretch>, f64), StoreError> {
        let Some((first, last)) = self.left else {
            return Ok((self.last.take().into_iter().collect(), 0.0));
        };
        let day = |id: EventId| Bucket::of(Grain::Day, id.at());
        let wanted_i = i64::try_from(wanted).unwrap_or(i64::MAX);
        let kind = kind(query);
        let page =
            backend.store.page_counters(&self.partition, kind, day(first), day(last), query.order, self.days).await?;
        let mut units = page.units;
        self.days = (self.days * 4).min(MOST_DAYS);
        let mut chosen = sums(query, page.reads);
        order(&mut chosen, query.order);
        let enough = enough(&mut chosen, wanted_i);
        // Days after the last chosen one are planned another time.
        let reached = if enough { chosen.last().map(|b| b.bucket) } else { page.last };
        for grain in [Grain::Hour, Grain::Minute] {
            let (refined, cost) = self.refine(backend, query, &chosen, grain, wanted_i).await?;
            chosen = refined;
            units += cost;
        }
        self.left = match (reached, page.more || enough, query.order) {
            (Some(day), true, Order::Ascending) => {
                Some((EventId::first_at(day.end()), last)).filter(|(first, last)| first <= last)
            }
            (Some(day), true, Order::Descending) => EventId::first_at(day.start())
                .before()
                .map(|before| (first, before))
                .filter(|(first, last)| first <= last),
            _ => None,
        };
        let clip = |bucket: Sum| {
            let range = Range::new(bucket.bucket.start(), bucket.bucket.end()).unwrap_or(Range::ALL);
            let (from, to) = id_range(range);
            Stretch {
                ids: (from.max(first), to.min(last)),
                expected: usize::try_from(bucket.matches).unwrap_or(1).max(1),
            }
        };
        let stretches = chosen.into_iter().map(clip).filter(|stretch| stretch.ids.0 <= stretch.ids.1);
        Ok((join(stretches, query.order), units))
    }

    /// Replaces buckets that are worth it by those of a finer grain that hold matches.
    async fn refine(
        &self,
        backend: &Backend,
        query: &EventQuery,
        chosen: &[Sum],
        grain: Grain,
        wanted: i64,
    ) -> Result<(Vec<Sum>, f64), StoreError> {
        let mut refined = Vec::new();
        let mut units = 0.0;
        for group in chosen.chunks(CONCURRENCY) {
            let reads = group.iter().map(|sum| async move {
                if sum.bucket.grain() <= grain || !sum.is_sparse(wanted) {
                    return Ok::<_, StoreError>((vec![*sum], 0.0));
                }
                let first = Bucket::of(grain, sum.bucket.start());
                let last = Bucket::of(grain, sum.bucket.end().plus(-grain.micros()));
                let (partition, kind) = (&self.partition, kind(query));
                let page = backend.store.page_counters(partition, kind, first, last, query.order, usize::MAX).await?;
                let mut finer = sums(query, page.reads);
                order(&mut finer, query.order);
                Ok((finer, page.units))
            });
            for (finer, cost) in try_join_all(reads).await? {
                refined.extend(finer);
                units += cost;
            }
        }
        Ok((refined, units))
    }
}

/// The counters that know a query's matches best.
fn kind(query: &EventQuery) -> CounterKind {
    if query.filter.message.is_some() { CounterKind::Messages } else { CounterKind::Cells }
}

/// A bucket that holds matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    bucket: Bucket,
    /// Occurrences that match, or may.
    matches: i64,
    /// All occurrences.
    all: i64,
}

impl Sum {
    /// Whether more than a few events must be read for what is wanted of it.
    fn is_sparse(&self, wanted: i64) -> bool {
        let wanted = wanted.min(self.matches).max(1);
        self.all.saturating_mul(wanted) / self.matches.max(1) > FEW
    }
}

/// The buckets that hold matches, all pages of each together.
fn sums(query: &EventQuery, reads: Vec<CellRead>) -> Vec<Sum> {
    let message = query.filter.message.as_deref().map(MessageHash::of);
    let level: Option<Level> = query.filter.cell.level;
    let mut sums: BTreeMap<Bucket, (i64, i64)> = BTreeMap::new();
    for read in reads {
        let (matches, all) = sums.entry(read.bucket).or_default();
        for (counted, count) in read.counts {
            // A count is never below zero once its batch is in; a passing dip must not hide others.
            let count = count.max(0);
            *all += count;
            let matching = match (&counted, message) {
                (Counted::Message(at, hash), Some(wanted)) => *hash == wanted && (level.is_none() || level == *at),
                (Counted::Other(at), Some(_)) => level.is_none() || level == *at,
                (_, Some(_)) => false,
                (counted, None) => query.filter.cell.counts(counted) != Match::No,
            };
            if matching {
                *matches += count;
            }
        }
    }
    let sums = sums.into_iter().filter(|(_, (matches, _))| *matches > 0);
    sums.map(|(bucket, (matches, all))| Sum { bucket, matches, all }).collect()
}

fn order(sums: &mut [Sum], order: Order) {
    sums.sort_by_key(|sum| sum.bucket);
    if order == Order::Descending {
        sums.reverse();
    }
}

/// Cuts the buckets to those that promise what is wanted; whether they do.
fn enough(sums: &mut Vec<Sum>, wanted: i64) -> bool {
    let mut promised = 0;
    let needed = sums.iter().position(|sum| {
        promised += sum.matches;
        promised >= wanted
    });
    if let Some(needed) = needed {
        sums.truncate(needed + 1);
    }
    needed.is_some()
}

/// Joins stretches that follow one another, so that they are read at once.
fn join(stretches: impl Iterator<Item = Stretch>, order: Order) -> Vec<Stretch> {
    let mut joined: Vec<Stretch> = Vec::new();
    for next in stretches {
        if let Some(last) = joined.last_mut() {
            let (earlier, later) = match order {
                Order::Ascending => (last.ids, next.ids),
                Order::Descending => (next.ids, last.ids),
            };
            if earlier.1.after() == Some(later.0) {
                *last = Stretch { ids: (earlier.0, later.1), expected: last.expected + next.expected };
                continue;
            }
        }
        joined.push(next);
    }
    joined
}
