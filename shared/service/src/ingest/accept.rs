//! Accepts drafts. Each draft is checked, given its identity and stored, and gets a verdict.

use std::collections::HashMap;

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_core::invalid::Invalid;
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;
use tally_store::{Deadline, Store, StoreError};

use crate::ingest::quota::{QuotaError, Quotas};
use crate::ingest::rejected::Rejections;

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

/// The process and the request that accept events.
#[derive(Clone, Copy)]
pub struct Intake<'a> {
    /// The tables.
    pub store: &'a Store,
    /// The quota state of the process.
    pub quotas: &'a Quotas,
    /// The rejected events of the process.
    pub rejections: &'a Rejections,
    /// The server's time.
    pub now: Timestamp,
    /// The app.
    pub app: &'a App,
    /// What the events come through: the `source` of rejected ones.
    pub source: &'static str,
    /// When the reply is due.
    pub deadline: Deadline,
}

impl Intake<'_> {
    /// Accepts drafts and stores them before the deadline. If several drafts are the same event, the last one is stored,
    /// and all of them share its verdict. Drafts that are refused for good become rejected events of the app; `sample`
    /// gives what to show of one by its index.
    ///
    /// # Errors
    /// Returns an error if a quota has no room for all of them. Then none is stored.
    pub async fn accept(
        &self,
        drafts: Vec<Result<Draft, Rejection>>,
        sample: &(dyn Fn(usize) -> String + Sync),
    ) -> Result<Vec<Result<Event, Rejection>>, QuotaError> {
        let Self { store, quotas, now, app, deadline, .. } = *self;
        let accepted: Vec<Result<Event, Rejection>> =
            drafts.into_iter().map(|draft| Ok(draft?.accept(app, now)?)).collect();
        self.note_rejected(&accepted, sample);
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
        if let Err(error) = quotas.admit(store, app, unique.len(), now, deadline).await {
            let refusal = Refusal::new(Reason::RateLimited, error.to_string());
            let first = accepted.iter().position(Result::is_ok);
            self.reject(&refusal, unique.len() as u64, || first.map_or_else(String::new, sample));
            return Err(error);
        }
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

    /// Adds `count` rejected events of the app. Their write runs while the accepted events are stored.
    pub fn reject(&self, refusal: &Refusal, count: u64, sample: impl FnOnce() -> String) {
        self.rejections.add(&self.app.id, self.source, refusal, count, self.now, sample);
        self.rejections.write(self.store, self.now);
    }

    fn note_rejected(&self, verdicts: &[Result<Event, Rejection>], sample: &dyn Fn(usize) -> String) {
        for (index, verdict) in verdicts.iter().enumerate() {
            let refusal = match verdict {
                Err(Rejection::Invalid(invalid)) => &invalid.clone().into(),
                Err(Rejection::Refused(refusal)) => refusal,
                Ok(_) | Err(Rejection::Store(_)) => continue,
            };
            self.rejections.add(&self.app.id, self.source, refusal, 1, self.now, || sample(index));
        }
        // Also what earlier requests have left.
        self.rejections.write(self.store, self.now);
    }
}
