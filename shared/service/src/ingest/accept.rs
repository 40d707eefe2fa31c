//! Accepts drafts. Each draft is checked, given its identity and stored, and gets a verdict.

use std::borrow::Cow;
use std::collections::HashMap;

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_core::event::id::EventId;
use tally_core::invalid::Invalid;
use tally_core::time::Timestamp;
use tally_store::{Deadline, EventSource, Store, StoreError};

use crate::ingest::quota::{QuotaError, Quotas};

/// How much memory events may take that are kept between their two readings, in bytes. Most requests need less, and are
/// read once.
const KEPT: usize = 2 * 1024 * 1024;
/// What a JSON value takes in memory beside its text, at most about: that of a map with one key.
const VALUE: usize = 250;

/// Why an event was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Rejection {
    /// The event is invalid and must be changed.
    #[error(transparent)]
    Invalid(#[from] Invalid),
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

/// Drafts that are read when they are needed. A draft takes far more memory than the text that it is read from, so a long
/// list of them is never in memory as a whole. Those that do not fit are read twice: to be checked, and to be stored.
pub trait Drafts: Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Reads one. It reads the same each time.
    fn read(&self, index: usize) -> Result<Draft, Invalid>;
    /// The bytes of its text.
    fn size(&self, index: usize) -> usize;
    /// Its number of JSON values.
    fn values(&self, index: usize) -> usize;
}

/// Accepts one draft and stores it before the deadline.
///
/// # Errors
/// Returns an error if the app's quota has no room for it. Then it is not stored.
pub async fn accept(
    store: &Store,
    quotas: &Quotas,
    now: Timestamp,
    app: &App,
    draft: Draft,
    deadline: Deadline,
) -> Result<Result<Event, Rejection>, QuotaError> {
    let event = match draft.accept(app, now) {
        Ok(event) => event,
        Err(invalid) => return Ok(Err(invalid.into())),
    };
    quotas.admit(store, app, 1, now, deadline).await?;
    Ok(match store.put_event(app, &event, deadline).await {
        Ok(()) => Ok(event),
        Err(error) => {
            quotas.give_back(app, 1);
            log(&error, 1);
            Err(error.into())
        }
    })
}

/// Accepts drafts and stores them before a deadline, whose clock runs once all of them are checked: `deadline` makes it
/// from the bytes of what is stored. If several drafts are the same event, the last one is stored, and all of them share
/// its verdict.
///
/// # Errors
/// Returns an error if the app's quota has no room for all of them. Then none is stored.
pub async fn accept_each(
    store: &Store,
    quotas: &Quotas,
    now: Timestamp,
    app: &App,
    drafts: &impl Drafts,
    deadline: impl FnOnce(usize) -> Deadline,
) -> Result<Vec<Result<EventId, Rejection>>, QuotaError> {
    let read = |index| drafts.read(index).and_then(|draft| draft.accept(app, now));
    let mut kept = 0;
    let mut verdicts = Vec::with_capacity(drafts.count());
    let mut events = HashMap::with_capacity(drafts.count());
    for index in 0..drafts.count() {
        let event = match read(index) {
            Ok(event) => event,
            Err(invalid) => {
                verdicts.push(Err(invalid.into()));
                continue;
            }
        };
        let id = event.id;
        verdicts.push(Ok(id));
        let weight = weight(drafts, index);
        let event = (kept + weight <= KEPT).then_some(event);
        kept += event.as_ref().map_or(0, |_| weight);
        events.insert(id, Accepted { index, id, event });
    }
    let mut events: Vec<_> = events.into_values().collect();
    events.sort_unstable_by_key(|event| event.index);
    let deadline = deadline(events.iter().map(|event| drafts.size(event.index)).sum());
    quotas.admit(store, app, events.len(), now, deadline).await?;
    let source = Source { events: &events, drafts, read };
    let stored = store.put_events(app, &source, deadline).await;
    let failed: HashMap<_, _> =
        events.iter().zip(stored).filter_map(|(event, stored)| Some((event.id, stored.err()?))).collect();
    quotas.give_back(app, failed.len());
    if let Some(error) = failed.values().next() {
        log(error, failed.len());
    }
    let told = verdicts.into_iter().map(|verdict: Result<EventId, Rejection>| {
        let id = verdict?;
        failed.get(&id).map_or(Ok(id), |error| Err(error.clone().into()))
    });
    Ok(told.collect())
}

/// Logs why events were not stored: loudly, where it will not pass by itself.
fn log(error: &StoreError, failed: usize) {
    if error.is_transient() {
        tracing::warn!(%error, failed, "events were not stored");
    } else {
        tracing::error!(%error, failed, "events were not stored");
    }
}

/// An event that is to be stored.
struct Accepted {
    index: usize,
    id: EventId,
    /// None where it is read again.
    event: Option<Event>,
}

fn weight(drafts: &impl Drafts, index: usize) -> usize {
    drafts.size(index) + VALUE * drafts.values(index)
}

/// The events of drafts, each made when it is stored.
struct Source<'a, D, R> {
    events: &'a [Accepted],
    drafts: &'a D,
    read: R,
}

impl<D: Drafts, R: Fn(usize) -> Result<Event, Invalid> + Sync> EventSource for Source<'_, D, R> {
    fn count(&self) -> usize {
        self.events.len()
    }

    fn event(&self, at: usize) -> Result<Cow<'_, Event>, StoreError> {
        let Some(Accepted { index, id, event }) = self.events.get(at) else {
            return Err(StoreError::Refused(format!("there is no event {at}")));
        };
        if let Some(event) = event {
            return Ok(Cow::Borrowed(event));
        }
        let event = (self.read)(*index).map_err(|changed| StoreError::Refused(changed.to_string()))?;
        // What is random in an id was drawn when it was checked.
        Ok(Cow::Owned(Event { id: *id, ..event }))
    }

    fn weight(&self, at: usize) -> usize {
        self.events.get(at).map_or(0, |event| weight(self.drafts, event.index))
    }
}
