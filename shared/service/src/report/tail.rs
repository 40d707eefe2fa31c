//! The newest minutes of reports: their events are read, since counters follow events by seconds.
//!
//! Of each shard it is known how far it is counted. The tail begins with the minute of that time, or some minutes before it,
//! since the clocks of clients differ: an event that was accepted later has mostly happened later. A minute is counted either
//! from its events or from its counters. So whatever the tail begins with, no event is counted twice, and nothing is missing
//! that was counted or has happened since.

use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::counter::key::CounterKind;
use tally_core::counter::property::Property;
use tally_core::event::Event;
use tally_core::event::filter::attribute::properties;
use tally_core::event::id::{EventId, id_range};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{HOUR, MINUTE, Range, SECOND, TimeDelta, Timestamp};
use tally_store::{CounterQuery, Order, StoreError};
use tokio::sync::OnceCell;

use crate::budget::ReadError;
use crate::live::{Live, Tail, TailEvent};
use crate::read::checkpoints::counted_before;
use crate::reads::{EventRead, Part, Reads, Source};

/// How many seconds later than its own time an event of the server's clock may be stored.
pub const STORED_WITHIN: u32 = 10;
/// The minutes by which the tail may begin earlier, for the clocks of clients. The largest that fits is taken.
const MARGINS: [i64; 3] = [2, 1, 0];
/// The read units up to which the tail may begin earlier than it must.
pub const MARGIN_UNITS: f64 = 8.0;
/// How long after the time that a shard is counted to it may have events that are not counted, if counting runs: two windows
/// of the event source, and a margin. An app without events for longer has none.
const UNCOUNTED_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// Where the events at the end of what is counted may have expired, the tail is so long.
const SHORT: TimeDelta = HOUR;
/// The number of shards that are read at once. The budget decides how many of them may send a request.
const CONCURRENCY: usize = 32;
/// The number of events read per request.
const EVENTS_PAGE: usize = 1_000;
/// The bytes that an event takes while it is counted, beside its texts.
const EVENT_BYTES: usize = size_of::<TailEvent>() + 100;
/// The bytes that a counted property takes, beside its value.
const PROPERTY_BYTES: usize = size_of::<Property>() + 24;

/// Finds out how far the app of the request is counted. If the budget ends, nothing is claimed: the time is then that of the
/// app's creation.
pub(super) async fn live<'a>(reads: &'a Reads, app: &App) -> Result<&'a Live, StoreError> {
    let found = reads.live.get_or_try_init(|| async {
        let partitions = partitions(app, Range::ALL);
        let shards: Vec<_> = partitions.iter().map(|partition| shard_counted_before(reads, app, partition)).collect();
        let times = match stream::iter(shards).buffered(CONCURRENCY).try_collect::<Vec<_>>().await {
            // A clock that was ahead may have left a time in the future.
            Ok(times) => times.into_iter().map(|at| at.min(reads.now)).collect(),
            Err(ReadError::Spent(_)) => vec![],
            Err(ReadError::Store(error)) => return Err(error),
        };
        let counted_to = times.iter().copied().min().unwrap_or(app.created_at.min(reads.now));
        Ok(Live { app: app.id.clone(), counted_before: times, counted_to, tail: OnceCell::new() })
    });
    let live = found.await?;
    debug_assert_eq!(live.app, app.id, "`Reads::turn_to_another_app` comes before another app");
    Ok(live)
}

/// The time before which everything accepted in one shard is counted. A shard without events is up to date. One without
/// counters is not counted at all.
async fn shard_counted_before(reads: &Reads, app: &App, partition: &Partition) -> Result<Timestamp, ReadError> {
    if let Some(at) = counted_before(reads, partition, true).await? {
        return Ok(at);
    }
    let any = EventRead {
        source: Source::Shard(partition),
        ids: id_range(Range::ALL),
        order: Order::Ascending,
        limit: 1,
        consistent: true,
        part: None,
        forced: false,
    };
    let any = reads.events(&any).await?;
    let empty = any.events.is_empty() && any.more_after.is_none();
    Ok(if empty { reads.now } else { app.created_at })
}

/// The tail of the app of the request, if the range reaches into it and the budget allows it.
pub(super) async fn tail<'a>(reads: &'a Reads, app: &App, range: Range) -> Result<Option<&'a Tail>, StoreError> {
    let live = live(reads, app).await?;
    let earliest = live.counted_before.iter().map(|at| start(*at, MARGINS[0])).min();
    if earliest.is_none_or(|earliest| range.until() <= earliest) {
        return Ok(None);
    }
    let tail = live.tail.get_or_try_init(|| choose(reads, app, live)).await?;
    Ok(tail.as_ref().filter(|tail| tail.begins_before(range.until())))
}

/// The start of the tail of a shard, with a margin of some minutes.
fn start(counted_before: Timestamp, margin: i64) -> Timestamp {
    let minute = (counted_before - i64::from(STORED_WITHIN) * SECOND).floor(MINUTE) - margin * MINUTE;
    minute.max(Timestamp::EPOCH)
}

/// The first and the last of the minutes up to which the shards of an app are counted.
pub(super) async fn counted_minutes(reads: &Reads, app: &App) -> Result<(Timestamp, Timestamp), StoreError> {
    let live = live(reads, app).await?;
    let minutes = || live.counted_before.iter().map(|at| start(*at, 0));
    Ok((minutes().min().unwrap_or(Timestamp::EPOCH), minutes().max().unwrap_or(reads.now)))
}

/// Chooses the longest tail that fits into its part of the budget, by what the newest minutes have counted.
async fn choose(reads: &Reads, app: &App, live: &Live) -> Result<Option<Tail>, StoreError> {
    let most = reads.budget.tail();
    if most <= 0.0 {
        return Ok(None);
    }
    let partitions = partitions(app, Range::ALL);
    let minutes = partitions.iter().zip(&live.counted_before);
    let minutes = minutes.map(|(partition, to)| minutes_of(reads, partition, start(*to, MARGINS[0])));
    let minutes = match try_join_all(minutes).await {
        Ok(minutes) => minutes,
        Err(ReadError::Spent(_)) => return Ok(None),
        Err(ReadError::Store(error)) => return Err(error),
    };
    let each = reads.event_units.of(&app.id);
    let chosen = MARGINS.into_iter().find(|margin| {
        let shards = live.counted_before.iter().zip(&minutes);
        let events: f64 = shards.map(|(to, minutes)| expected(*to, *margin, reads.now, minutes)).sum();
        events * each <= if *margin == 0 { most } else { most.min(MARGIN_UNITS) }
    });
    let kept = |at: Timestamp| {
        // What has expired is in the counters alone.
        let all = Range::new(at, Timestamp::MAX).unwrap_or(Range::ALL);
        if app.layout.kept(all, reads.now) == [all] { at } else { (reads.now - SHORT).floor(MINUTE).max(at) }
    };
    Ok(chosen.map(|margin| Tail::new(live.counted_before.iter().map(|to| kept(start(*to, margin))).collect())))
}

/// How many events the tail of a shard probably has.
fn expected(to: Timestamp, margin: i64, now: Timestamp, minutes: &[(Timestamp, i64)]) -> f64 {
    let of = |since: Timestamp, until: Timestamp| {
        let within = minutes.iter().filter(|(minute, _)| since <= *minute && *minute < until);
        #[allow(clippy::cast_precision_loss)] // an estimate
        within.map(|(_, count)| *count as f64).sum::<f64>()
    };
    let first = start(to, MARGINS[0]);
    #[allow(clippy::cast_precision_loss)] // an estimate
    let seconds = |time: TimeDelta| time.as_micros() as f64 / 1e6;
    let rate = of(first, to) / seconds(to - first).max(1.0);
    of(start(to, margin), Timestamp::MAX) + rate * seconds((now - to).min(UNCOUNTED_WITHIN))
}

/// What the minutes of a shard from `since` on have counted. An estimate needs neither a strong read nor more than a page.
async fn minutes_of(
    reads: &Reads,
    partition: &Partition,
    since: Timestamp,
) -> Result<Vec<(Timestamp, i64)>, ReadError> {
    let minute = |at| Bucket::of(Granularity::Minute, at);
    let of_kind = async |kind: CounterKind| {
        let query = CounterQuery {
            partition,
            kind,
            first: minute(since),
            last: minute(Timestamp::MAX),
            order: Order::Ascending,
            limit: 100,
            only: None,
            consistent: false,
        };
        reads.counters(&query, None).await
    };
    let pages = try_join_all(CounterKind::OF_CELLS.into_iter().map(of_kind)).await?;
    let items = pages.into_iter().flat_map(|page| page.reads);
    Ok(items.map(|read| (read.bucket.start(), read.counts.iter().map(|(_, count)| *count).sum())).collect())
}

/// The events of the tail, by shard; none without a tail. They are read once for a request. `None` if they are more than the
/// budget allows.
pub(super) async fn events<'a>(
    tail: Option<&'a Tail>,
    reads: &Reads,
    app: &App,
) -> Result<Option<&'a [Vec<TailEvent>]>, ReadError> {
    let Some(tail) = tail else { return Ok(Some(&[])) };
    let read = tail.events.get_or_try_init(|| async {
        let partitions = partitions(app, Range::ALL);
        let shards = partitions.iter().map(|partition| events_of(reads, app, partition, tail.start(partition)));
        let shards: Vec<_> = shards.collect();
        match stream::iter(shards).buffered(CONCURRENCY).try_collect().await {
            Ok(events) => Ok(Some(events)),
            Err(ReadError::Spent(_)) => Ok(None),
            Err(ReadError::Store(error)) => Err(ReadError::Store(error)),
        }
    });
    Ok(read.await?.as_deref())
}

async fn events_of(
    reads: &Reads,
    app: &App,
    partition: &Partition,
    since: Timestamp,
) -> Result<Vec<TailEvent>, ReadError> {
    let (mut events, mut held, mut units) = (Vec::new(), 0, 0.0);
    let (mut first, last) = id_range(Range::new(since, Timestamp::MAX).unwrap_or(Range::EMPTY));
    // So that a page takes no more than the tail may.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and positive
    let limit = ((reads.budget.tail() / reads.event_units.of(&app.id)) as usize).clamp(20, EVENTS_PAGE);
    let read = loop {
        let read = EventRead {
            source: Source::Shard(partition),
            ids: (first, last),
            order: Order::Ascending,
            limit,
            consistent: true,
            part: Some(Part::Tail),
            forced: false,
        };
        let page = match reads.events(&read).await {
            Ok(page) => page,
            Err(error) => break Err(error),
        };
        units += page.units;
        for event in page.events {
            let at = event.at(app.clock);
            let cell = event.cell();
            let texts = [&event.message, &event.fingerprint, &cell.category]
                .into_iter()
                .flatten()
                .map(String::len)
                .sum::<usize>();
            let properties = properties(event.data.as_ref(), &app.layout.at(event.id.at()).counted);
            let values =
                properties.iter().map(|property| PROPERTY_BYTES + property.value.as_ref().map_or(0, String::len));
            let bytes = EVENT_BYTES + texts + cell.name.len() + cell.slug.len() + values.sum::<usize>();
            held += bytes;
            reads.budget.hold(bytes)?;
            // `count` is at most 1e9.
            let count = i64::try_from(event.count).unwrap_or(0);
            let Event { id, message, fingerprint, .. } = event;
            events.push(TailEvent { at, cell, id, message, fingerprint, properties, count });
        }
        match page.more_after.and_then(EventId::after) {
            Some(next) if next <= last => first = next,
            _ => break Ok(()),
        }
    };
    reads.event_units.learn(&app.id, units, events.len());
    match read {
        Ok(()) => Ok(events),
        Err(error) => {
            reads.budget.release(held);
            Err(error)
        }
    }
}
