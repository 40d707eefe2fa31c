//! The counts of windows of whole minutes, from cells alone, for questions that share most of their buckets.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::alert::judge::Value;
use tally_core::app::App;
use tally_core::app::partition::partitions;
use tally_core::counter::cell::{Cell, CounterLabel};
use tally_core::counter::key::CounterKind;
use tally_core::event::filter::{CellFilter, Match};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::covering::{Cover, Run};
use tally_core::time::{MINUTE, Range, Timestamp};
use tally_store::{CellRead, Order};

use super::count::each_read;
use crate::budget::ReadError;
use crate::reads::Reads;

/// The number of shards and ranges that are read at once. The budget decides how many of them may send a request.
const CONCURRENCY: usize = 32;
/// The bytes that a count takes, beside its texts.
const COUNT_BYTES: usize = 160;

/// All counts of a bucket.
type Counts = Vec<(CounterLabel, i64)>;

/// The counters of an app that were read so far. Each is read once.
pub(crate) struct Windows<'a> {
    reads: &'a Reads,
    app: &'a App,
    /// What is asked for. Other counts are not kept.
    filters: Vec<CellFilter>,
    known: HashSet<(CounterKind, Bucket)>,
    counts: HashMap<(CounterKind, Bucket), Counts>,
}

impl<'a> Windows<'a> {
    /// Creates one for questions with some filters.
    pub(crate) fn new(reads: &'a Reads, app: &'a App, filters: Vec<CellFilter>) -> Self {
        Self { reads, app, filters, known: HashSet::new(), counts: HashMap::new() }
    }

    /// Reads all minutes and hours of a range in few requests, for questions about many windows in it.
    ///
    /// # Errors
    /// Returns an error if the store fails or the budget ends.
    pub(crate) async fn prefetch(&mut self, filter: &CellFilter, range: Range) -> Result<(), ReadError> {
        let run = |granularity, since, until: Timestamp| Run {
            first: Bucket::of(granularity, since),
            last: Bucket::of(granularity, until - MINUTE),
        };
        let minutes = run(Granularity::Minute, range.since(), range.until());
        let hours = run(Granularity::Hour, range.since(), range.until());
        for kind in filter.kinds() {
            let missing = [minutes, hours].into_iter().filter_map(|run| self.missing(*kind, buckets(run)));
            let missing: Vec<_> = missing.collect();
            self.read(*kind, &missing).await?;
        }
        Ok(())
    }

    /// Counts what matches a filter in a range of whole minutes.
    ///
    /// # Errors
    /// Returns an error if the store fails or the budget ends.
    pub(crate) async fn count(&mut self, filter: &CellFilter, range: Range) -> Result<Value, ReadError> {
        let cover = Cover::new(vec![range.since(), range.until()]);
        let buckets_of = |run| buckets(run).filter(|bucket| cover.buckets.holds(*bucket));
        let runs: Vec<_> = cover.buckets.reads();
        for kind in filter.kinds() {
            let missing = runs.iter().filter_map(|run| self.missing(*kind, buckets_of(*run)));
            let missing: Vec<_> = missing.collect();
            self.read(*kind, &missing).await?;
        }
        let mut value = Value { count: 0, complete: !self.reads.lacks_counts(&self.app.id, range).await? };
        for run in runs {
            for bucket in buckets_of(run) {
                let counts = filter.kinds().iter().filter_map(|kind| self.counts.get(&(*kind, bucket)));
                for (label, count) in counts.flatten() {
                    match filter.counts(label) {
                        Match::Yes => value.count = value.count.saturating_add(*count),
                        Match::Perhaps => value.complete &= *count == 0,
                        Match::No => {}
                    }
                }
            }
        }
        Ok(value)
    }

    /// The run from the first to the last of some buckets that is not known yet.
    fn missing(&self, kind: CounterKind, buckets: impl Iterator<Item = Bucket>) -> Option<Run> {
        let mut missing = buckets.filter(|bucket| !self.known.contains(&(kind, *bucket)));
        let first = missing.next()?;
        Some(Run { first, last: missing.last().unwrap_or(first) })
    }

    /// Reads the counters of a kind in some runs; those that are known already are left out.
    async fn read(&mut self, kind: CounterKind, runs: &[Run]) -> Result<(), ReadError> {
        let Some(until) = runs.iter().map(|run| run.last.end()).max() else { return Ok(()) };
        let since = runs.iter().map(|run| run.first.start()).min().unwrap_or(Timestamp::EPOCH);
        let partitions = partitions(self.app, Range::new(since, until).unwrap_or(Range::ALL));
        let (reads, known, filters) = (self.reads, &self.known, &self.filters);
        let found = Mutex::new(HashMap::<Bucket, Counts>::new());
        let fold = |read: CellRead| {
            if known.contains(&(kind, read.bucket)) {
                return Ok(());
            }
            let mut counts = read.counts;
            counts.retain(|(label, _)| filters.iter().any(|filter| filter.counts(label) != Match::No));
            reads.budget.hold(counts.iter().map(|(label, _)| COUNT_BYTES + texts(label)).sum())?;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.entry(read.bucket).or_default().extend(counts);
            Ok(())
        };
        let all = partitions.iter().flat_map(|partition| {
            runs.iter().map(move |run| each_read(reads, partition, kind, *run, Order::Ascending, fold))
        });
        let all: Vec<_> = all.collect();
        stream::iter(all).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.known.extend(runs.iter().flat_map(|run| buckets(*run)).map(|bucket| (kind, bucket)));
        self.counts.extend(found.into_iter().map(|(bucket, counts)| ((kind, bucket), counts)));
        Ok(())
    }
}

/// The buckets of a run.
fn buckets(run: Run) -> impl Iterator<Item = Bucket> {
    let granularity = run.first.granularity();
    let next = move |bucket: &Bucket| (*bucket < run.last).then(|| Bucket::of(granularity, bucket.end()));
    std::iter::successors(Some(run.first), next)
}

fn texts(label: &CounterLabel) -> usize {
    let of_cell = |cell: &Cell| cell.name.len() + cell.slug.len() + cell.category.as_ref().map_or(0, String::len);
    match label {
        CounterLabel::Cell(cell) => of_cell(cell),
        CounterLabel::Value(cell, _, value) => of_cell(cell) + value.len(),
        CounterLabel::Group(..) | CounterLabel::Marks(..) | CounterLabel::Other(_) | CounterLabel::OtherValues(..) => 0,
    }
}
