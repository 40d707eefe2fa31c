//! Accepts drafts. Each draft is checked, given its identity and stored, and gets a verdict.

use std::collections::HashMap;

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_core::invalid::Invalid;
use tally_core::rejected::Refusal;
use tally_core::time::Timestamp;
use tally_store::{Deadline, Store, StoreError};

use crate::ingest::quota::{QuotaError, Quotas};

/// Why an event was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Rejection {
    /// The event is invalid and must be changed.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The event is refused for good, for a reason other than its fields.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The event was not stored. If the failure is temporary, the same event may be sent again.
    #[error("could not be stored: {}", if .0.is_transient() { "send it again" } else { "the server's log says why" })]
    Store(#[from] StoreError),
}

impl Rejection {
    /// Returns whether the same event may be accepted if it is sent again.
    pub fn retry(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// Accepts drafts and stores them before the deadline. If several drafts are the same event, the last one is stored,
/// and all of them share its verdict.
///
/// # Errors
/// Returns an error if the app's quota has no room for all of them. Then none is stored.
pub async fn accept(
    store: &Store,
    quotas: &Quotas,
    now: Timestamp,
    app: &App,
    drafts: Vec<Result<Draft, Rejection>>,
    deadline: Deadline,
) -> Result<Vec<Result<Event, Rejection>>, QuotaError> {
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
    quotas.admit(store, app, unique.len(), now, deadline).await?;
    let verdicts = store.put_events(app, &unique, deadline).await;
    let failed: HashMap<_, _> =
        unique.iter().zip(verdicts).filter_map(|(event, verdict)| Some((event.id, verdict.err()?))).collect();
    quotas.give_back(app, failed.len());
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
