//! Counts events: folds batches of the Events stream into counter items, each record exactly once.
//!
//! Every counter item carries a checkpoint for each stream shard that has changed it. A batch is folded into one increment per
//! item, applied on condition that the checkpoint is below the batch; an item that refuses shows its checkpoint, and only the
//! records above that are tried again. So a batch that is replayed, split, late or half done counts once.

mod apply;
mod error;
mod event;
mod record;

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use tally_core::app::{App, AppId, AppState};
use tally_core::counter::folding::{Change, Folded, Record};
use tally_core::time::{DAY, MINUTE, TimeDelta, Timestamp};
use tally_service::context::Context;
use tally_service::metrics::{self, Metric};
use tally_store::DeadLetter;

pub use error::AggregateError;
pub use event::StreamEvent;

use record::{Read, UncountableRecord};

/// Counter items that are updated at once.
const CONCURRENCY: usize = 16;

/// How long it is known that a barrier was met.
const KEEP_MET: TimeDelta = DAY;

/// The reply that a tumbling window asks for. Checkpoints hold all state there is.
#[derive(Debug, Default, Serialize)]
pub struct WindowState {
    state: HashMap<String, String>,
}

/// Counts one batch of the stream.
///
/// # Errors
/// Where the batch must be delivered again; what was counted of it by then will not count twice.
pub async fn handle(context: &Context, event: StreamEvent) -> Result<WindowState, AggregateError> {
    if event.records.is_empty() {
        return Ok(WindowState::default());
    }
    let stream_shard = event.shard_id.ok_or(AggregateError::NoShardId)?;
    let mut batch = record::read(&event.records);
    let apps = apps_of(context, &mut batch).await?;
    let counted_app = |id: &AppId| {
        let app = apps.get(id)?;
        (app.state == AppState::Active).then_some(&app.layout)
    };
    let folded = Folded::new(&batch.records, |event| counted_app(&event.partition.app));
    let applier = apply::Applier {
        store: &context.store,
        folded: &folded,
        stream_shard: &stream_shard,
        first: batch.first.clone(),
        created_at: batch.created_at,
    };
    let updates: Vec<_> = folded.keys().map(|key| applier.apply(key.clone())).collect();
    let outcomes: Vec<_> = stream::iter(updates).buffer_unordered(CONCURRENCY).try_collect().await?;
    for outcome in &outcomes {
        if let Some(refused) = &outcome.refused {
            let record = UncountableRecord {
                app: Some(outcome.key.partition.app.clone()),
                sequence: refused.sequence.clone(),
                keys: refused.keys.clone(),
                error: refused.error.clone(),
            };
            batch.dead_letters.push(record);
        }
    }
    dead_letters(context, &stream_shard, &batch.dead_letters).await?;
    add_pages(context, &apps, &outcomes).await?;
    let now = context.clock.now();
    count_accepted(context, &apps, &batch.records).await;
    // Only now is all before them counted.
    for barrier in &batch.barriers {
        context.store.meet_barrier(barrier, now + KEEP_MET).await?;
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

/// Reads the apps of a batch. Records of apps that never were are set aside.
async fn apps_of(context: &Context, batch: &mut Read) -> Result<HashMap<AppId, Arc<App>>, AggregateError> {
    let mut apps = HashMap::new();
    for (id, slug) in std::mem::take(&mut batch.apps) {
        let mut app = context.apps.get_in_any_state(&slug).await?;
        if app.as_ref().is_none_or(|app| app.id != id) {
            // The slug may have begun another generation since it was read.
            context.apps.forget(&slug);
            app = context.apps.get_in_any_state(&slug).await?;
        }
        if let Some(app) = app {
            // Of an earlier generation than the one in force nothing is counted any more.
            if app.id == id {
                apps.insert(id, app);
            }
        } else {
            batch.unknown_app(&id);
        }
    }
    Ok(apps)
}

/// Counts what apps with a quota had accepted, by the minute.
async fn count_accepted(context: &Context, apps: &HashMap<AppId, Arc<App>>, records: &[Record]) {
    let mut accepted: HashMap<(&AppId, Timestamp), i64> = HashMap::new();
    for record in records {
        let (Change::Insert(event) | Change::Modify(_, event)) = &record.change else { continue };
        let app = &event.partition.app;
        if apps.get(app).is_some_and(|app| app.events_per_minute.is_some()) {
            *accepted.entry((app, event.received_at.floor(MINUTE))).or_default() += 1;
        }
    }
    for ((app, minute), count) in accepted {
        if let Err(error) = context.store.add_accepted(app, minute, count).await {
            tracing::warn!(%error, "could not count what a quota is about");
        }
    }
}

/// Notes what could not be counted, so that a recount of its day can mend it.
async fn dead_letters(
    context: &Context,
    stream_shard: &str,
    records: &[UncountableRecord],
) -> Result<(), AggregateError> {
    let at = context.clock.now();
    for record in records {
        tracing::error!(
            app = record.app.as_ref().map_or("", AppId::as_str),
            sequence = record.sequence,
            error = record.error,
            "set a record aside"
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

/// Spreads an app's cells over twice the pages, from a midnight to come, once an update of one of its items costs too
/// much.
async fn add_pages(
    context: &Context,
    apps: &HashMap<AppId, Arc<App>>,
    outcomes: &[apply::Outcome],
) -> Result<(), AggregateError> {
    let now = context.clock.now();
    for (id, app) in apps {
        let costly = outcomes.iter().any(|outcome| {
            outcome.key.partition.app == *id
                && outcome.is_cells()
                && outcome.units > apply::COSTLY
                && app.layout.last().from <= outcome.key.bucket.start()
        });
        if !costly {
            continue;
        }
        if let Some(layout) = app.layout.with_more_pages(now) {
            // Where another process was faster, its entry does as well.
            let appended = context.store.append_layout(app, &layout).await?;
            context.apps.forget(&app.slug);
            tracing::info!(app = id.as_str(), pages = layout.last().pages, appended, "more pages from a day to come");
        }
    }
    Ok(())
}
