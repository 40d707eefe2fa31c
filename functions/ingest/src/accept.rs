//! Accepts drafts: checks them, gives them their identity, stores them, and gives a verdict on each.

use std::collections::HashMap;

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_core::invalid::Invalid;
use tally_service::context::Context;
use tally_service::ingest::quota::QuotaError;
use tally_store::{Deadline, StoreError};

/// Why an event was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Rejection {
    /// The event is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The event was not stored.
    #[error("could not be stored: {}", if .0.is_transient() { "send it again" } else { "the log of the server has the reason" })]
    Store(#[from] StoreError),
}

impl Rejection {
    /// Whether a retry with the same event may succeed.
    pub(crate) fn retry(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// Accepts drafts and stores them, by the deadline. Of those that are the same event the last one is stored; all share its verdict.
pub(crate) async fn accept(
    context: &Context,
    app: &App,
    drafts: Vec<Result<Draft, Invalid>>,
    deadline: Deadline,
) -> Result<Vec<Result<Event, Rejection>>, QuotaError> {
    let now = context.clock.now();
    let accepted: Vec<Result<Event, Rejection>> =
        drafts.into_iter().map(|draft| Ok(draft?.accept(app, now)?)).collect();
    let mut last = HashMap::with_capacity(accepted.len());
    for (i, event) in accepted.iter().enumerate() {
        if let Ok(event) = event {
            last.insert(event.id, i);
        }
    }
    let is_last = |i: usize, event: &Event| last.get(&event.id) == Some(&i);
    let unique: Vec<&Event> = accepted
        .iter()
        .enumerate()
        .filter_map(|(i, event)| event.as_ref().ok().filter(|event| is_last(i, event)))
        .collect();
    context.quotas.admit(&context.store, app, unique.len(), now, deadline).await?;
    let verdicts = context.store.put_events(app, &unique, deadline).await;
    let failed: HashMap<_, _> =
        unique.iter().zip(verdicts).filter_map(|(event, verdict)| Some((event.id, verdict.err()?))).collect();
    context.quotas.give_back(app, failed.len());
    if let Some(error) = failed.values().next() {
        tracing::warn!(%error, failed = failed.len(), "events were not stored");
    }
    let verdicts = accepted
        .into_iter()
        .map(|event| {
            let event = event?;
            match failed.get(&event.id) {
                Some(error) => Err(error.clone().into()),
                None => Ok(event),
            }
        })
        .collect();
    Ok(verdicts)
}
