//! Counts events: folds batches of the Events stream into counter items, each record exactly once.
//!
//! Every counter item stores one checkpoint per stream shard that has changed it. A batch is folded into one
//! increment per item. The increment is applied only if the checkpoint is below the batch. If the condition fails,
//! the response contains the checkpoint, and only the records above it are retried. So a batch counts once, even if
//! it is replayed, split, late or partially applied.

mod apply;
mod dead_batch;
mod distinct;
mod error;
mod event;
mod identities;
mod issues;
mod lineage;
mod object;
mod record;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use tally_core::app::{App, AppId, AppState};
use tally_core::counter::folding::{Change, Folded, Record};
use tally_core::counter::key::CounterKey;
use tally_core::issue::Batch;
use tally_core::time::bucket::Granularity;
use tally_core::time::{DAY, MINUTE, TimeDelta, Timestamp};
use tally_service::context::Context;
use tally_service::metrics::{self, Metric};
use tally_store::{Accepted, DeadLetter};

pub use dead_batch::DeadBatch;
pub use error::{AggregateError, DeadBatchError};
pub use event::StreamEvent;
pub use lineage::note as note_lineage;
pub use object::Created;
pub use tally_store::signed_request::RequestError;

use distinct::Additions;
use issues::Issues;
use record::{Read, UncountableRecord};

/// The number of counter items that are updated concurrently.
const CONCURRENCY: usize = 16;

/// How long a met barrier is remembered.
const KEEP_MET: TimeDelta = DAY;

/// The response that a tumbling window requires. It is empty because the checkpoints contain all state.
#[derive(Debug, Default, Serialize)]
pub struct WindowState {
    state: HashMap<String, String>,
}

/// Counts one batch of the stream, or marks the days of a dead batch.
///
/// # Errors
/// Returns an error if the batch must be redelivered. Records that are already counted are not counted again.
pub async fn handle(context: &Context, event: StreamEvent) -> Result<WindowState, AggregateError> {
    if let Some(object) = &event.detail {
        dead_batch::mark(context, object).await?;
    }
    if event.records.is_empty() {
        return Ok(WindowState::default());
    }
    let stream_shard = event.shard_id.ok_or(AggregateError::NoShardId)?;
    let mut batch = record::read(&event.records);
    let apps = apps_of(context, &mut batch).await?;
    batch.read_properties(&apps);
    let counted_app = |id: &AppId| {
        let app = apps.get(id)?;
        (app.state == AppState::Active).then_some(&app.layout)
    };
    let folded = Folded::new(&batch.records, |event| counted_app(&event.partition.app));
    let in_stream = Batch { stream_shard: &stream_shard, created_at: batch.created_at };
    let issues = Issues::of(context, in_stream, &apps, &batch.records, &batch.traces).await?;
    let additions = Additions::of(context, batch.created_at, &apps, &batch.records, &batch.people);
    // Before the counters, so that a batch that is counted has its issues, its users and their ids, and its sessions.
    let identities = identities::store(context, &apps, &batch.records, &batch.identities);
    futures::future::try_join3(issues.store(), additions.store(), identities).await?;
    let applier = apply::Applier {
        store: &context.store,
        folded: &folded,
        stream_shard: &stream_shard,
        first: batch.first.clone(),
        created_at: batch.created_at,
    };
    let mut outcomes: Vec<apply::Outcome> = Vec::new();
    // Minutes first, then hours, then days: an hour or a day never holds a record that one of its minutes lacks. So reports may
    // subtract the newest minutes from it.
    // The cells of days last of all: their checkpoints tell how far the others are counted.
    let is_last = |key: &CounterKey| key.bucket.granularity() == Granularity::Day && key.kind.is_of_cells();
    let [minute, hour, day] = Granularity::ALL.map(|granularity| (granularity, false));
    for step in [minute, hour, day, (Granularity::Day, true)] {
        let keys = folded.keys().filter(|key| (key.bucket.granularity(), is_last(key)) == step);
        let updates: Vec<_> = keys.map(|key| applier.apply(key.clone())).collect();
        let updated = stream::iter(updates).buffer_unordered(CONCURRENCY);
        outcomes.extend(updated.try_collect::<Vec<_>>().await?);
    }
    for outcome in &outcomes {
        if let Some(refused) = &outcome.refused {
            let record = UncountableRecord {
                app: Some(outcome.key.partition.app.clone()),
                time: Some(outcome.key.bucket.start()),
                sequence: refused.sequence.clone(),
                keys: refused.keys.clone(),
                error: refused.error.clone(),
            };
            batch.dead_letters.push(record);
        }
    }
    issues.forget().await?;
    dead_letters(context, &stream_shard, &batch.dead_letters).await?;
    add_pages(context, &apps, &outcomes).await?;
    let now = context.clock.now();
    count_accepted(context, &apps, &batch.records).await;
    // All records before the barriers are counted now.
    for (barrier, put_at) in &batch.barriers {
        if barrier.is_heartbeat() {
            context.store.note_heartbeat(barrier, &stream_shard, *put_at).await?;
        } else {
            context.store.meet_barrier(barrier, now + KEEP_MET).await?;
        }
    }
    #[allow(clippy::cast_precision_loss)] // metrics need no more than 53 bits
    metrics::emit(
        &[
            (Metric::Counted, batch.records.len() as f64),
            (Metric::DeadLetters, batch.dead_letters.len() as f64),
            (Metric::Full, outcomes.iter().filter(|o| o.full).count() as f64),
            (Metric::Lag, (now - batch.created_at).max(TimeDelta::ZERO).as_micros() as f64 / 1_000.0),
            (Metric::ColdStart, metrics::cold_start()),
        ],
        serde_json::json!({"streamShard": stream_shard}),
    );
    Ok(WindowState::default())
}

/// Loads the apps of a batch. Records of unknown apps become dead letters.
async fn apps_of(context: &Context, batch: &mut Read) -> Result<HashMap<AppId, Arc<App>>, AggregateError> {
    let mut apps = HashMap::new();
    for (id, slug) in std::mem::take(&mut batch.apps) {
        let mut app = context.apps.get_in_any_state(&slug).await?;
        if app.as_ref().is_none_or(|app| app.id != id) {
            // The slug may have started a new generation since it was read.
            context.apps.forget(&slug);
            app = context.apps.get_in_any_state(&slug).await?;
        }
        if let Some(app) = app {
            // Records of earlier generations are no longer counted.
            if app.id == id {
                apps.insert(id, app);
            }
        } else {
            batch.unknown_app(&id);
        }
    }
    Ok(apps)
}

/// Adds to the per-minute accepted counts of apps with a quota.
async fn count_accepted(context: &Context, apps: &HashMap<AppId, Arc<App>>, records: &[Record]) {
    let mut counts: HashMap<(&AppId, Timestamp), Accepted> = HashMap::new();
    for record in records {
        let (Change::Insert(event) | Change::Modify(_, event)) = &record.change else { continue };
        let app = &event.partition.app;
        if apps.get(app).is_some_and(|app| app.events_per_minute.is_some()) {
            let (minute, to) = (event.received_at.floor(MINUTE), event.received_at);
            let accepted = counts.entry((app, minute)).or_insert(Accepted { minute, count: 0, to });
            accepted.count += 1;
            accepted.to = accepted.to.max(to);
        }
    }
    for ((app, _), accepted) in counts {
        if let Err(error) = context.store.add_accepted(app, accepted).await {
            tracing::warn!(%error, "could not count what a quota is about");
        }
    }
}

/// Stores the records that could not be counted and marks their days. Replies report these days as incomplete until a
/// recount repairs them.
async fn dead_letters(
    context: &Context,
    stream_shard: &str,
    records: &[UncountableRecord],
) -> Result<(), AggregateError> {
    let at = context.clock.now();
    let mut uncounted: HashMap<&AppId, BTreeSet<Timestamp>> = HashMap::new();
    for record in records {
        if let (Some(app), Some(time)) = (&record.app, record.time) {
            uncounted.entry(app).or_default().insert(time);
        }
    }
    for (app, times) in uncounted {
        context.store.mark_uncounted(app, &times, at).await?;
    }
    for record in records {
        tracing::error!(
            app = record.app.as_ref().map_or("", AppId::as_str),
            sequence = record.sequence,
            error = record.error,
            "a record cannot be counted: it is a dead letter now"
        );
        let item = DeadLetter {
            stream_shard: stream_shard.to_owned(),
            sequence_number: record.sequence.clone(),
            keys: record.keys.clone(),
            error: record.error.clone(),
            at,
        };
        context.store.put_dead_letter(record.app.as_ref(), &item).await?;
    }
    Ok(())
}

/// Doubles the pages of an app's cells, starting at a future midnight, if an update of one of its items is too
/// expensive.
async fn add_pages(
    context: &Context,
    apps: &HashMap<AppId, Arc<App>>,
    outcomes: &[apply::Outcome],
) -> Result<(), AggregateError> {
    let now = context.clock.now();
    for (id, app) in apps {
        if app.layout.last().from > now {
            continue;
        }
        let of_app = outcomes
            .iter()
            .filter(|outcome| outcome.key.partition.app == *id && app.layout.last().from <= outcome.key.bucket.start());
        for (paged, outcome) in of_app.filter_map(|outcome| Some((outcome.paged()?, outcome))) {
            let Some(layout) = app.layout.with_more_pages(paged, now) else { continue };
            if outcome.is_costly(&context.store).await? {
                // If another process was faster, its entry is equivalent.
                let appended = context.store.append_layout(app, &layout).await?;
                context.apps.forget(&app.slug);
                let pages = *layout.last().pages_of(paged);
                tracing::info!(app = id.as_str(), ?paged, pages, appended, "more pages from a day to come");
                break;
            }
        }
    }
    Ok(())
}
