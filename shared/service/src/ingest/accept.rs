//! Accepts drafts. Each draft is checked, given its identity and stored, and gets a verdict.

use std::collections::HashMap;

use tally_core::app::App;
use tally_core::app::key::Key;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_core::event::id::EventId;
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;
use tally_store::{Deadline, Store};

use crate::ingest::names::Names;
use crate::ingest::quota::{QuotaError, Quotas};
use crate::ingest::rejected::Rejections;
use crate::ingest::rejection::Rejection;

/// The process and the request that accept events.
#[derive(Clone, Copy)]
pub struct Intake<'a> {
    /// The tables.
    pub store: &'a Store,
    /// The quota state of the process.
    pub quotas: &'a Quotas,
    /// The names that the process has met.
    pub names: &'a Names,
    /// The rejected events of the process.
    pub rejections: &'a Rejections,
    /// The server's time.
    pub now: Timestamp,
    /// The app.
    pub app: &'a App,
    /// The key that sends, if it is one.
    pub key: Option<&'a Key>,
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
        let Self { store, names, now, app, deadline, .. } = *self;
        let mut verdicts: Vec<Result<Event, Rejection>> =
            drafts.into_iter().map(|draft| Ok(draft?.accept(app, now)?)).collect();
        let mut last = HashMap::with_capacity(verdicts.len());
        for (i, event) in verdicts.iter().enumerate() {
            if let Ok(event) = event {
                last.insert(event.id, i);
            }
        }
        // In the order sent.
        let mut asked: Vec<usize> = last.into_values().collect();
        asked.sort_unstable();
        if let Err(error) = self.admit(asked.len()).await {
            let refusal = Refusal::new(Reason::RateLimited, error.to_string());
            self.reject(&refusal, asked.len() as u64, || {
                asked.first().map_or_else(String::new, |first| sample(*first))
            });
            return Err(error);
        }
        let events: Vec<&Event> = asked.iter().filter_map(|i| verdicts[*i].as_ref().ok()).collect();
        let refused = names.refused(store, app, now, deadline, &events).await;
        give(&mut verdicts, &refused);
        self.note_rejected(&verdicts, sample);
        let events: Vec<&Event> = asked.iter().filter_map(|i| verdicts[*i].as_ref().ok()).collect();
        let stored = store.put_events(app, &events, deadline).await;
        let failed: HashMap<EventId, Rejection> =
            events.iter().zip(stored).filter_map(|(event, stored)| Some((event.id, stored.err()?.into()))).collect();
        self.give_back(refused.len() + failed.len());
        if let Some(error) = failed.values().next() {
            tracing::warn!(%error, failed = failed.len(), "events were not stored");
        }
        give(&mut verdicts, &failed);
        Ok(verdicts)
    }

    /// Asks the quotas of the app and of the key for room.
    async fn admit(&self, count: usize) -> Result<(), QuotaError> {
        let Self { store, quotas, now, app, deadline, .. } = *self;
        quotas.admit(store, app, count, now, deadline).await?;
        let Some(key) = self.key else { return Ok(()) };
        quotas.admit_key(store, app, key, count, now, deadline).await.inspect_err(|_| quotas.give_back(app, count))
    }

    fn give_back(&self, count: usize) {
        self.quotas.give_back(self.app, count);
        if let Some(key) = self.key {
            self.quotas.give_back_key(self.app, key, count);
        }
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

/// Puts rejections in the place of the events that they are of.
fn give(verdicts: &mut [Result<Event, Rejection>], rejections: &HashMap<EventId, Rejection>) {
    if rejections.is_empty() {
        return;
    }
    for verdict in verdicts {
        if let Ok(event) = verdict
            && let Some(rejection) = rejections.get(&event.id)
        {
            *verdict = Err(rejection.clone());
        }
    }
}
