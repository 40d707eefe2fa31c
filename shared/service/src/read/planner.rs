//! Plans a read from the counters: first which days of a shard have matches, then which hours, then which minutes.
//! Finding rare matches in a huge table then costs a few small reads.

#![allow(clippy::cast_precision_loss)] // costs are estimates

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use tally_core::app::partition::Partition;
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::key::CounterKind;
use tally_core::event::filter::Match;
use tally_core::event::group::{Group, GroupBy};
use tally_core::event::id::{EventId, id_range};
use tally_core::event::level::Level;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{MICROSECOND, MINUTE, Range, TimeDelta, Timestamp};
use tally_store::{CellRead, CounterQuery, Order};

use super::checkpoints::counted_before;
use super::cost::{Sum, runs};
use super::query::EventQuery;
use crate::budget::ReadError;
use crate::reads::Reads;

/// The number of minutes before the counters' own time that are always read. An event is usually counted within
/// seconds, and usually sent within a minute of its time.
const FRESH: TimeDelta = TimeDelta::minutes(2);
/// The number of days in the first request. Each further request asks for four times as many.
const FIRST_DAYS: usize = 2;
/// The maximum number of days per request.
const MOST_DAYS: usize = 512;
/// The maximum number of requests for days before finer buckets are asked for. Those of all days then share requests.
const MOST_PAGES: usize = 3;
/// The maximum number of attributes named in a request. A request is at most 4 KB long.
const MOST_NAMED: usize = 100;
/// The maximum number of buckets refined at once.
const CONCURRENCY: usize = 32;

/// A part of a shard to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyRange {
    /// The first and last identity, both included.
    pub(super) ids: (EventId, EventId),
    /// The number of matches according to the counters.
    pub(super) expected: usize,
}

/// The part of a shard that is not planned yet.
#[derive(Debug)]
pub(super) struct Plan {
    partition: Partition,
    /// The rest to plan: the identities of a time range that the counters cover reliably.
    left: Option<(EventId, EventId)>,
    /// The part to read after that, in ascending order: the minutes that the counters may not cover yet.
    last: Option<KeyRange>,
    days: usize,
}

/// Returns whether the counters can locate the matches of a query, where it reads shards.
pub(super) fn can_plan(query: &EventQuery) -> bool {
    let filter = &query.filter;
    !query.consistent && (filter.message.listed().is_some() || filter.cell.is_located())
}

impl Plan {
    /// Creates a plan for a shard. Returns it with the part that must be read first.
    pub(super) async fn new(
        reads: &Reads,
        partition: Partition,
        query: &EventQuery,
        (first, last): (EventId, EventId),
    ) -> Result<(Self, Option<KeyRange>), ReadError> {
        // A clock that was ahead may have left a checkpoint in the future, which proves nothing about later events.
        let counted_to =
            counted_before(reads, &partition, query.live_from.is_some()).await?.map(|at| at.min(reads.now));
        // Without counters, the whole shard is read.
        let fresh = counted_to.map_or(Timestamp::EPOCH, |to| to - FRESH).floor(MINUTE);
        let fresh = EventId::first_at(fresh.max(Timestamp::EPOCH));
        let key_range = |from: EventId| KeyRange { ids: (from.max(first), last), expected: 1 };
        let read_fresh = (fresh <= last).then(|| key_range(fresh));
        let known_last = if fresh <= last { fresh.before() } else { Some(last) };
        let left = known_last.map(|known| (first, known)).filter(|(first, last)| first <= last);
        let plan = |last| Self { partition, left, last, days: FIRST_DAYS };
        Ok(match query.order {
            Order::Descending => (plan(None), read_fresh),
            Order::Ascending if left.is_none() => (plan(None), read_fresh),
            Order::Ascending => (plan(read_fresh), None),
        })
    }

    /// Returns whether planning is complete.
    pub(super) fn is_done(&self) -> bool {
        self.left.is_none() && self.last.is_none()
    }

    /// The next identity that may be read, in query order.
    pub(super) fn next_id(&self, order: Order) -> Option<EventId> {
        match (order, self.left, self.last) {
            (Order::Ascending, Some((first, _)), _) => Some(first),
            (Order::Descending, Some((_, last)), _) => Some(last),
            (_, None, key_range) => key_range.map(|key_range| key_range.ids.0),
        }
    }

    /// Everything that is not planned yet, to be read as a whole.
    pub(super) fn rest(&mut self) -> Vec<KeyRange> {
        let left = self.left.take().map(|ids| KeyRange { ids, expected: 1 });
        left.into_iter().chain(self.last.take()).collect()
    }

    /// Plans the next key ranges that contain about `wanted` matches, in order. The result may be empty although planning
    /// is not complete.
    ///
    /// # Errors
    /// Returns an error if the store fails, or if the budget ends before any days are read. The plan is then as before.
    pub(super) async fn more(
        &mut self,
        reads: &Reads,
        query: &EventQuery,
        wanted: usize,
    ) -> Result<Vec<KeyRange>, ReadError> {
        let Some((first, last)) = self.left else {
            return Ok(self.last.take().into_iter().collect());
        };
        let day = |id: EventId| Bucket::of(Granularity::Day, id.at());
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let mut asked = Asked { first: day(first), last: day(last), limit: self.days, only: None };
        let mut found = page(reads, &self.partition, kinds(query), query, &asked).await?;
        self.days = (self.days * 4).min(MOST_DAYS);
        for _ in 1..MOST_PAGES {
            let promised: i64 = found.sums.iter().map(|sum| sum.matches).sum();
            let Some(reached) = found.last.filter(|_| promised < wanted) else { break };
            match query.order {
                Order::Ascending => asked.first = Bucket::of(Granularity::Day, reached.end()),
                Order::Descending => asked.last = Bucket::of(Granularity::Day, reached.start() - MICROSECOND),
            }
            asked.limit = self.days;
            let next = match page(reads, &self.partition, kinds(query), query, &asked).await {
                // What was found leads further.
                Err(ReadError::Spent(_)) => break,
                next => next?,
            };
            self.days = (self.days * 4).min(MOST_DAYS);
            found.sums.extend(next.sums);
            found.attributes.join(next.attributes);
            found.last = next.last;
        }
        // Finer buckets count nothing that their day does not, so only the attributes that match in the day are
        // requested.
        let only = found.attributes.names();
        let mut chosen = found.sums;
        order(&mut chosen, query.order);
        let mut reached = found.last;
        let mut more = found.last.is_some();
        // Everything after the last chosen bucket is planned later.
        if enough(&mut chosen, wanted) {
            (reached, more) = (chosen.last().map(|sum| sum.bucket), true);
        }
        for granularity in [Granularity::Hour, Granularity::Minute] {
            chosen = self.refine(reads, query, &chosen, (first, last), granularity, wanted, only.as_deref()).await?;
            if granularity == Granularity::Hour && enough(&mut chosen, wanted) {
                (reached, more) = (chosen.last().map(|sum| sum.bucket), true);
            }
        }
        self.left = match (reached, more, query.order) {
            (Some(bucket), true, Order::Ascending) => {
                Some((EventId::first_at(bucket.end()), last)).filter(|(first, last)| first <= last)
            }
            (Some(bucket), true, Order::Descending) => {
                let before = EventId::first_at(bucket.start()).before();
                before.map(|before| (first, before)).filter(|(first, last)| first <= last)
            }
            _ => None,
        };
        let clip = |sum: Sum| {
            let range = Range::new(sum.bucket.start(), sum.bucket.end()).unwrap_or(Range::ALL);
            let (from, to) = id_range(range);
            KeyRange { ids: (from.max(first), to.min(last)), expected: usize::try_from(sum.matches).unwrap_or(1) }
        };
        chosen.retain(|sum| sum.matches > 0);
        let key_ranges = chosen.into_iter().map(clip).filter(|key_range| key_range.ids.0 <= key_range.ids.1);
        Ok(join(key_ranges, query.order))
    }

    /// Replaces buckets with finer ones where that pays off, within the given identities, and as far as the budget goes.
    #[allow(clippy::too_many_arguments)] // one step of a plan
    async fn refine(
        &self,
        reads: &Reads,
        query: &EventQuery,
        chosen: &[Sum],
        (first, last): (EventId, EventId),
        granularity: Granularity,
        wanted: i64,
        only: Option<&[String]>,
    ) -> Result<Vec<Sum>, ReadError> {
        let (mut refined, runs) = runs(chosen, granularity, wanted);
        for group in runs.chunks(CONCURRENCY) {
            let pages = group.iter().map(|run| async move {
                let (start, end) = run.span();
                let asked = Asked {
                    first: Bucket::of(granularity, start.max(first.at())),
                    last: Bucket::of(granularity, (end - MICROSECOND).min(last.at())),
                    limit: usize::MAX,
                    only,
                };
                match page(reads, &self.partition, &run.kinds, query, &asked).await {
                    // The coarse buckets stay.
                    Err(ReadError::Spent(_)) => Ok(None),
                    page => page.map(Some),
                }
            });
            for (run, page) in group.iter().zip(try_join_all(pages).await?) {
                match page {
                    Some(page) => refined.extend(page.sums.into_iter().map(|finer| run.known_of(finer))),
                    None => refined.extend(run.coarse()),
                }
            }
        }
        order(&mut refined, query.order);
        Ok(refined)
    }
}

/// Counters to request.
struct Asked<'a> {
    first: Bucket,
    last: Bucket,
    /// The approximate number of items. Buckets are read with all their items, and at least one bucket is read.
    limit: usize,
    only: Option<&'a [String]>,
}

/// What is known from the counters of several kinds, up to the point where all of them were read.
struct Page {
    sums: Vec<Sum>,
    attributes: Attributes,
    /// The last bucket that was read, if more follow.
    last: Option<Bucket>,
}

async fn page(
    reads: &Reads,
    partition: &Partition,
    kinds: &[CounterKind],
    query: &EventQuery,
    asked: &Asked<'_>,
) -> Result<Page, ReadError> {
    let Asked { first, last, limit, only } = *asked;
    let order = query.order;
    let queries: Vec<_> = kinds
        .iter()
        .map(|&kind| CounterQuery {
            partition,
            kind,
            first,
            last,
            order,
            limit: limit.saturating_add(1),
            only,
            // As far as a shard is counted, its cells are read from a replica that knows it.
            consistent: query.live_from.is_some(),
        })
        .collect();
    let parts = try_join_all(queries.iter().map(|one| whole_buckets(reads, one, limit, query))).await?;
    let beyond = |a: Bucket, b: Bucket| if order == Order::Ascending { a > b } else { a < b };
    let reached = parts.iter().filter_map(|part| part.last).reduce(|a, b| if beyond(a, b) { b } else { a });
    let mut sums: BTreeMap<Bucket, Sum> = BTreeMap::new();
    let mut attributes = Attributes::default();
    for part in parts {
        for (bucket, (sum, found)) in part.buckets {
            if reached.is_some_and(|to| beyond(bucket, to)) {
                continue;
            }
            attributes.join(found);
            sums.entry(bucket).or_insert_with(|| Sum::of(bucket)).join(sum);
        }
    }
    // Only the items of all cells tell how many events there are.
    let knows_all = super::planner::kinds(query).contains(&CounterKind::Cells);
    let sums = sums.into_values().map(|sum| Sum { all: knows_all.then_some(sum.counted), ..sum });
    Ok(Page { sums: sums.collect(), attributes, last: reached })
}

/// What is known from the counters of one kind.
struct Part {
    buckets: BTreeMap<Bucket, (Sum, Attributes)>,
    /// The last bucket that was read, if more follow.
    last: Option<Bucket>,
}

/// Reads at least one bucket, and then up to about `limit` items, of whole buckets. Each page of them is folded as it
/// arrives.
async fn whole_buckets(
    reads: &Reads,
    asked: &CounterQuery<'_>,
    limit: usize,
    query: &EventQuery,
) -> Result<Part, ReadError> {
    let matcher = Matcher::new(query);
    let mut part = Part { buckets: BTreeMap::new(), last: None };
    let (mut items, mut last, mut from) = (0, None, None);
    loop {
        // One extra item shows whether the last bucket is complete.
        let limit_left = asked.limit.saturating_sub(items).max(1);
        let page = reads.counters(&CounterQuery { limit: limit_left, ..*asked }, from).await?;
        items += page.reads.len();
        for read in page.reads {
            let bucket = read.bucket;
            last = Some(bucket);
            let (sum, attributes) =
                part.buckets.entry(bucket).or_insert_with(|| (Sum::of(bucket), Attributes::default()));
            matcher.add(sum, attributes, read);
        }
        let Some(next) = page.next else { return Ok(part) };
        if items > limit && part.buckets.len() > 1 {
            // The last bucket may have more pages, so it is left for the next read.
            part.buckets.retain(|bucket, _| Some(*bucket) != last);
            let buckets = part.buckets.keys();
            part.last = if asked.order == Order::Ascending { buckets.max() } else { buckets.min() }.copied();
            return Ok(part);
        }
        from = Some(next);
    }
}

/// The counters that describe a query's matches most precisely.
fn kinds(query: &EventQuery) -> &'static [CounterKind] {
    if query.filter.message.listed().is_some() { &[CounterKind::Messages] } else { query.filter.cell.kinds() }
}

/// The attributes that match in some of the counters.
#[derive(Debug, Default)]
struct Attributes {
    found: BTreeSet<String>,
    /// Whether all must be read, because the rest of a full item may hide others, or because there are too many to name.
    all: bool,
}

impl Attributes {
    fn add(&mut self, attribute: String) {
        if !self.all {
            self.found.insert(attribute);
            self.all = self.found.len() > MOST_NAMED;
        }
        if self.all {
            self.found.clear();
        }
    }

    fn join(&mut self, more: Self) {
        self.all |= more.all;
        for attribute in more.found {
            self.add(attribute);
        }
    }

    /// The attributes to request. `None` if all must be read.
    fn names(self) -> Option<Vec<String>> {
        // A finer item may be full before its day has had to use its rest.
        let rest = Level::ALL.into_iter().map(Some).chain([None]).map(|level| CounterLabel::Other(level).attribute());
        (!self.all).then(|| self.found.into_iter().chain(rest).collect())
    }
}

/// Decides which counts are of events that a query may match.
struct Matcher<'a> {
    query: &'a EventQuery,
    /// The groups that the messages may be in, if they are listed. All but some messages may be those of any cell.
    messages: Option<BTreeSet<Group>>,
}

impl<'a> Matcher<'a> {
    fn new(query: &'a EventQuery) -> Self {
        let listed = query.filter.message.listed();
        Self {
            query,
            messages: listed.map(|messages| messages.iter().flat_map(|text| Group::of_message(text)).collect()),
        }
    }

    fn matches(&self, counted: &CounterLabel) -> bool {
        let filter = &self.query.filter.cell;
        let of_level = |at: Option<Level>| filter.level.matches(at.as_ref());
        match (counted, &self.messages) {
            // A fingerprint may have any message.
            (CounterLabel::Group(at, group), Some(wanted)) => {
                (group.by == GroupBy::Fingerprint || wanted.contains(group))
                    && of_level(*at)
                    && (filter.group.listed().is_none_or(|groups| groups.contains(group)))
            }
            (CounterLabel::Other(at), Some(_)) => of_level(*at),
            (
                CounterLabel::Cell(_)
                | CounterLabel::Marks(..)
                | CounterLabel::Value(..)
                | CounterLabel::OtherValues(..),
                Some(_),
            ) => false,
            (counted, None) => filter.counts(counted) != Match::No,
        }
    }

    /// Adds what an item tells about its bucket.
    fn add(&self, sum: &mut Sum, attributes: &mut Attributes, read: CellRead) {
        for (counted, count) in read.counts {
            attributes.all |= matches!(counted, CounterLabel::Other(_));
            sum.counts += 1.0;
            if matches!(counted, CounterLabel::Marks(..)) {
                continue;
            }
            // A count is never negative once its batch is complete. A temporary negative count must not hide others.
            let count = count.max(0);
            sum.counted += count as f64;
            if self.matches(&counted) {
                attributes.add(counted.attribute());
                if count > 0 {
                    sum.matches += count;
                    sum.kinds.insert(kind_of(&counted));
                }
            }
        }
    }
}

/// The items that contain a count.
fn kind_of(counted: &CounterLabel) -> CounterKind {
    match counted {
        CounterLabel::Group(..) | CounterLabel::Marks(..) => CounterKind::Messages,
        CounterLabel::Cell(_) | CounterLabel::Other(_) => CounterKind::of_cells(counted.level()),
        CounterLabel::Value(..) | CounterLabel::OtherValues(..) => CounterKind::Properties,
    }
}

fn order(sums: &mut [Sum], order: Order) {
    sums.sort_by_key(|sum| sum.bucket.start());
    if order == Order::Descending {
        sums.reverse();
    }
}

/// Truncates the buckets to those that promise the wanted matches. Returns whether they do.
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

/// Joins adjacent key ranges, so that they are read at once.
fn join(key_ranges: impl Iterator<Item = KeyRange>, order: Order) -> Vec<KeyRange> {
    let mut joined: Vec<KeyRange> = Vec::new();
    for next in key_ranges {
        if let Some(last) = joined.last_mut() {
            let (earlier, later) = match order {
                Order::Ascending => (last.ids, next.ids),
                Order::Descending => (next.ids, last.ids),
            };
            if earlier.1.after() == Some(later.0) {
                *last = KeyRange { ids: (earlier.0, later.1), expected: last.expected + next.expected };
                continue;
            }
        }
        joined.push(next);
    }
    joined
}

#[cfg(test)]
mod tests {
    use tally_core::app::{AppId, AppSlug};
    use tally_core::counter::cell::Cell;
    use tally_core::event::filter::values::Values;
    use tally_core::event::filter::{CellFilter, EventFilter};
    use tally_core::time::DAY;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_651_200_000);

    fn query(filter: EventFilter) -> EventQuery {
        let (order, skip, limit) = (Order::Descending, 0, 50);
        EventQuery {
            range: Range::ALL,
            filter,
            order,
            after: None,
            skip,
            limit,
            consistent: false,
            live_from: None,
            part: None,
        }
    }

    fn named(name: &str) -> EventQuery {
        query(CellFilter::of_name(name).into())
    }

    fn with_message(message: &str, cell: CellFilter) -> EventQuery {
        query(EventFilter { cell, message: Values::only(message.to_owned()), ..EventFilter::default() })
    }

    fn cell(name: &str, level: Option<Level>) -> CounterLabel {
        CounterLabel::Cell(Cell { name: name.to_owned(), slug: name.to_owned(), category: None, level })
    }

    fn message(message: &str, level: Option<Level>) -> CounterLabel {
        CounterLabel::Group(level, Group::of_message(message)[0])
    }

    fn day(n: i64) -> Bucket {
        Bucket::of(Granularity::Day, AT + n * DAY)
    }

    fn sum(n: i64, matches: i64) -> Sum {
        Sum { matches, ..Sum::of(day(n)) }
    }

    /// What items tell about their buckets.
    fn folded(query: &EventQuery, reads: Vec<CellRead>) -> (Vec<Sum>, Attributes) {
        let (matcher, mut sums, mut attributes) = (Matcher::new(query), BTreeMap::new(), Attributes::default());
        for read in reads {
            let bucket = read.bucket;
            matcher.add(sums.entry(bucket).or_insert_with(|| Sum::of(bucket)), &mut attributes, read);
        }
        (sums.into_values().collect(), attributes)
    }

    #[test]
    fn counters_locate_what_they_count() {
        assert!(can_plan(&named("a")));
        assert!(can_plan(&with_message("boom", CellFilter::default())));
        assert!(!can_plan(&query(EventFilter::default())), "everything matches");
        let mut of_a_user = query(EventFilter { user_id: Values::only("u".to_owned()), ..EventFilter::default() });
        assert!(!can_plan(&of_a_user), "counters know no users");
        of_a_user.filter.cell = CellFilter::of_level(Level::Error);
        assert!(can_plan(&of_a_user));
        assert!(!can_plan(&EventQuery { consistent: true, ..named("a") }));
        let not = |text: &str| Values::new(vec![], vec![text.to_owned()]).unwrap();
        let others = query(EventFilter { message: not("boom"), ..EventFilter::default() });
        assert!(!can_plan(&others), "counters know no events without a message");
    }

    #[test]
    fn a_plan_goes_on_where_it_has_not_been() {
        let id = |n: i64| EventId::first_at(AT + n * MINUTE);
        let last = KeyRange { ids: (id(20), id(30)), expected: 1 };
        let partition = Partition { app: AppId::new(&AppSlug::of_name("shop").unwrap(), 1), shard: 0 };
        let plan = |left, last| Plan { partition: partition.clone(), left, last, days: FIRST_DAYS };
        let both = plan(Some((id(0), id(10))), Some(last));
        assert_eq!(both.next_id(Order::Ascending), Some(id(0)));
        assert_eq!(both.next_id(Order::Descending), Some(id(10)));
        assert_eq!(plan(None, Some(last)).next_id(Order::Ascending), Some(id(20)));
        assert_eq!(plan(None, None).next_id(Order::Ascending), None);
        let done = [both.is_done(), plan(None, Some(last)).is_done(), plan(Some((id(0), id(10))), None).is_done()];
        assert_eq!(done, [false; 3]);
        assert!(plan(None, None).is_done());
        let mut given_up = both;
        assert_eq!(given_up.rest(), [KeyRange { ids: (id(0), id(10)), expected: 1 }, last]);
        assert!(given_up.is_done(), "all is read");
    }

    #[test]
    fn the_most_precise_counters_are_asked() {
        assert_eq!(kinds(&named("a")), [CounterKind::Cells, CounterKind::Errors]);
        let errors = query(EventFilter { cell: CellFilter::of_level(Level::Fatal), ..EventFilter::default() });
        assert_eq!(kinds(&errors), [CounterKind::Errors]);
        assert_eq!(kinds(&with_message("boom", CellFilter::of_level(Level::Fatal))), [CounterKind::Messages]);
        assert_eq!(kind_of(&message("boom", None)), CounterKind::Messages);
        assert_eq!(kind_of(&cell("a", Some(Level::Error))), CounterKind::Errors);
        assert_eq!(kind_of(&CounterLabel::Other(None)), CounterKind::Cells);
    }

    #[test]
    fn a_count_matches_by_cell_or_by_message() {
        let by_name = named("a");
        let matches = |query: &EventQuery, counted: CounterLabel| Matcher::new(query).matches(&counted);
        assert!(matches(&by_name, cell("a", None)) && !matches(&by_name, cell("b", None)));
        assert!(matches(&by_name, CounterLabel::Other(None)), "the rest of a full item may hide it");
        let errors = with_message("boom", CellFilter::of_level(Level::Error));
        let (error, info) = (Some(Level::Error), Some(Level::Info));
        assert!(matches(&errors, message("boom", error)));
        assert!(!matches(&errors, message("boom", info)) && !matches(&errors, message("other", error)));
        assert!(matches(&errors, CounterLabel::Other(error)) && !matches(&errors, CounterLabel::Other(info)));
        assert!(!matches(&errors, cell("a", error)), "a cell has any message");
        let any_level = with_message("boom", CellFilter::default());
        assert!(matches(&any_level, message("boom", info)) && matches(&any_level, CounterLabel::Other(info)));
        let values = |is: &[&str], is_not: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            Values::new(owned(is), owned(is_not)).unwrap()
        };
        let either = query(CellFilter { name: values(&["a", "b"], &[]), ..CellFilter::default() }.into());
        assert_eq!(["a", "b", "c"].map(|name| matches(&either, cell(name, None))), [true, true, false]);
        let others = query(CellFilter { name: values(&[], &["a"]), ..CellFilter::default() }.into());
        assert_eq!(["a", "b", "c"].map(|name| matches(&others, cell(name, None))), [false, true, true]);
        assert!(matches(&others, CounterLabel::Other(None)), "the rest may hide others");
        let messages = query(EventFilter { message: values(&["boom", "bang"], &[]), ..EventFilter::default() });
        assert_eq!(["boom", "bang", "other"].map(|text| matches(&messages, message(text, info))), [true, true, false]);
        let mut other_messages = query(EventFilter { message: values(&[], &["boom"]), ..EventFilter::default() });
        other_messages.filter.cell = CellFilter::of_name("a");
        assert!(matches(&other_messages, cell("a", None)) && !matches(&other_messages, message("bang", info)));
    }

    #[test]
    fn finer_counters_are_asked_for_what_matches_and_for_rests() {
        let attributes = |query: &EventQuery, counts: Vec<(CounterLabel, i64)>| {
            folded(query, vec![CellRead { bucket: day(0), counts }]).1.names()
        };
        let rests = ["o:T", "o:D", "o:I", "o:W", "o:E", "o:F", "o:-"];
        let expected: Vec<_> = ["c:-|a||"].into_iter().chain(rests).map(str::to_owned).collect();
        let counts = vec![(cell("a", None), 1), (cell("b", None), 1), (cell("a", None), 0)];
        assert_eq!(attributes(&named("a"), counts), Some(expected));
        let full = vec![(cell("a", None), 1), (CounterLabel::Other(Some(Level::Info)), 1)];
        assert_eq!(attributes(&named("a"), full), None, "the rest of a full day may be anything");
        let of_level = query(EventFilter { cell: CellFilter::of_level(Level::Info), ..EventFilter::default() });
        let many = |n: usize| (0..n).map(|n| (cell(&format!("n{n}"), Some(Level::Info)), 1)).collect();
        assert_eq!(attributes(&of_level, many(100)).map(|named| named.len()), Some(100 + rests.len()));
        assert_eq!(attributes(&of_level, many(101)), None, "more than a request may name");
    }

    #[test]
    fn what_matches_in_any_item_is_asked_of_all() {
        let named =
            |names: std::ops::Range<usize>| Attributes { found: names.map(|n| n.to_string()).collect(), all: false };
        let all = || Attributes { all: true, ..Attributes::default() };
        let joined = |mut one: Attributes, other| {
            one.join(other);
            (one.found.len(), one.all)
        };
        assert_eq!(joined(named(0..2), named(1..4)), (4, false));
        assert_eq!(joined(named(0..60), named(40..100)), (100, false));
        assert_eq!(joined(named(0..60), named(40..101)), (0, true), "more than a request may name");
        let one_of_all = [joined(named(0..2), all()), joined(all(), named(0..2)), joined(all(), all())];
        assert!(one_of_all.iter().all(|(_, all)| *all), "the rest of a full item may be anything");
    }

    #[test]
    fn a_bucket_is_summed_over_its_items() {
        let reads = vec![
            CellRead {
                bucket: day(1),
                counts: vec![(cell("a", None), 3), (cell("b", None), 4), (cell("a", None), -2)],
            },
            CellRead { bucket: day(0), counts: vec![(cell("b", None), 5)] },
            CellRead { bucket: day(1), counts: vec![(cell("a", Some(Level::Error)), 2), (cell("a", None), 0)] },
            // A batch that is not complete.
            CellRead { bucket: day(2), counts: vec![(cell("a", None), -1)] },
        ];
        let summed = |bucket, matches, kinds: &[CounterKind], counted: f64, counts| Sum {
            matches,
            kinds: kinds.iter().copied().collect(),
            counted,
            counts,
            ..Sum::of(bucket)
        };
        let (cells, errors) = (CounterKind::Cells, CounterKind::Errors);
        let expected = [
            summed(day(0), 0, &[], 5.0, 1.0),
            summed(day(1), 5, &[cells, errors], 9.0, 5.0),
            summed(day(2), 0, &[], 0.0, 1.0),
        ];
        assert_eq!(folded(&named("a"), reads.clone()).0, expected);
        let (by_message, _) = folded(&with_message("boom", CellFilter::default()), reads);
        assert_eq!(by_message.iter().map(|sum| sum.matches).collect::<Vec<_>>(), [0; 3]);
    }

    #[test]
    fn buckets_come_in_the_order_of_the_query() {
        let ordered = |by| {
            let mut sums = [sum(1, 0), sum(0, 0), sum(2, 0)];
            order(&mut sums, by);
            sums.map(|sum| sum.bucket)
        };
        assert_eq!(ordered(Order::Ascending), [day(0), day(1), day(2)]);
        assert_eq!(ordered(Order::Descending), [day(2), day(1), day(0)]);
    }

    #[test]
    fn no_more_buckets_are_taken_than_promise_enough() {
        let taken = |wanted| {
            let mut sums = vec![sum(0, 2), sum(1, 0), sum(2, 3), sum(3, 1)];
            (enough(&mut sums, wanted), sums.len())
        };
        assert_eq!(
            [taken(1), taken(2), taken(3), taken(5), taken(6), taken(7)],
            [(true, 1), (true, 1), (true, 3), (true, 3), (true, 4), (false, 4)]
        );
    }

    #[test]
    fn adjacent_key_ranges_are_read_at_once() {
        let range = |from: i64, to: i64| {
            let (first, last) = id_range(Range::new(AT + from * MINUTE, AT + to * MINUTE).unwrap());
            KeyRange { ids: (first, last), expected: 1 }
        };
        let joined = |from, to, expected| KeyRange { expected, ..range(from, to) };
        let ascending = [range(0, 1), range(1, 2), range(3, 4), range(4, 6)];
        assert_eq!(join(ascending.into_iter(), Order::Ascending), [joined(0, 2, 2), joined(3, 6, 2)]);
        let descending = [range(4, 6), range(3, 4), range(1, 2), range(0, 1)];
        assert_eq!(join(descending.into_iter(), Order::Descending), [joined(3, 6, 2), joined(0, 2, 2)]);
        assert_eq!(join([].into_iter(), Order::Ascending), []);
    }
}
