//! Accepts drafts. Each draft is checked, given its identity and stored, and gets a verdict.

use std::borrow::Cow;
use std::collections::HashMap;

use tally_core::app::App;
use tally_core::app::key::Key;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_core::event::id::EventId;
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;
use tally_store::{Deadline, EventSource, Store, StoreError};

use crate::ingest::names::Names;
use crate::ingest::quota::{QuotaError, Quotas};
use crate::ingest::rejected::Rejections;
use crate::ingest::rejection::Rejection;

/// How much memory events may take that are kept between their two readings, in bytes. Most requests need less, and are
/// read once.
const KEPT: usize = 2 * 1024 * 1024;
/// What a JSON value takes in memory beside its text, at most about: that of a map with one key.
const VALUE: usize = 250;

/// Drafts that are read when they are needed. A draft takes far more memory than the text that it is read from, so a long
/// list of them is never in memory as a whole. Those that do not fit are read twice: to be checked, and to be stored.
pub trait Drafts: Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Reads one. It reads the same each time.
    fn read(&self, index: usize) -> Result<Draft, Rejection>;
    /// The bytes of its text.
    fn size(&self, index: usize) -> usize;
    /// Its number of JSON values.
    fn values(&self, index: usize) -> usize;
    /// What to show of it if it is rejected.
    fn sample(&self, index: usize) -> String;
}

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
}

impl Intake<'_> {
    /// Accepts one draft and stores it before the deadline.
    ///
    /// # Errors
    /// Returns an error if a quota has no room for it. Then it is not stored.
    pub async fn accept(&self, draft: Draft, deadline: Deadline) -> Result<Result<Event, Rejection>, QuotaError> {
        let sample = draft.name.clone().or_else(|| draft.message.clone()).unwrap_or_default();
        let event = match draft.accept(self.app, self.now) {
            Ok(event) => event,
            Err(invalid) => {
                self.reject(&invalid.clone().into(), 1, || sample);
                return Ok(Err(invalid.into()));
            }
        };
        self.admit(1, deadline, || sample.clone()).await?;
        let names = [self.names.noted(self.app, &event)];
        let stored = match self.names.refused(self.store, self.app, self.now, deadline, &names).await.remove(&event.id)
        {
            Some(rejection) => Err(rejection),
            None => self.store.put_event(self.app, &event, deadline).await.map_err(Rejection::from),
        };
        // Also what earlier requests have left.
        self.rejections.write(self.store, self.now);
        Ok(match stored {
            Ok(()) => Ok(event),
            Err(rejection) => {
                self.give_back(1);
                self.note(&rejection, || sample);
                Err(rejection)
            }
        })
    }

    /// Accepts drafts and stores them before a deadline, whose clock runs once all of them are checked: `deadline` makes it
    /// from the bytes of what is stored. If several drafts are the same event, the last one is stored, and all of them share
    /// its verdict. Drafts that are refused for good become rejected events of the app.
    ///
    /// # Errors
    /// Returns an error if a quota has no room for all of them. Then none is stored.
    pub async fn accept_each(
        &self,
        drafts: &impl Drafts,
        deadline: impl FnOnce(usize) -> Deadline,
    ) -> Result<Vec<Result<EventId, Rejection>>, QuotaError> {
        let Self { store, names, app, now, .. } = *self;
        let read = |index| Ok(drafts.read(index)?.accept(app, now)?);
        let mut kept = 0;
        let mut verdicts = Vec::with_capacity(drafts.count());
        let mut events = HashMap::with_capacity(drafts.count());
        for index in 0..drafts.count() {
            let event: Event = match read(index) {
                Ok(event) => event,
                Err(rejection) => {
                    self.add_rejected(&rejection, || drafts.sample(index));
                    verdicts.push(Err(rejection));
                    continue;
                }
            };
            let id = event.id;
            verdicts.push(Ok(id));
            let weight = weight(drafts, index);
            let name = names.noted(app, &event);
            let event = (kept + weight <= KEPT).then_some(event);
            kept += event.as_ref().map_or(0, |_| weight);
            events.insert(id, (name, Accepted { index, id, event }));
        }
        let mut events: Vec<_> = events.into_values().collect();
        events.sort_unstable_by_key(|(_, event)| event.index);
        let deadline = deadline(events.iter().map(|(_, event)| drafts.size(event.index)).sum());
        let first = events.first().map(|(_, event)| event.index);
        self.admit(events.len(), deadline, || first.map_or_else(String::new, |first| drafts.sample(first))).await?;
        let (noted, mut events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let mut failed = names.refused(store, app, now, deadline, &noted).await;
        for event in &events {
            if let Some(rejection) = failed.get(&event.id) {
                self.add_rejected(rejection, || drafts.sample(event.index));
            }
        }
        events.retain(|event| !failed.contains_key(&event.id));
        // While the events are stored. Also what earlier requests have left.
        self.rejections.write(store, now);
        let source = Source { events: &events, drafts, read };
        let stored = store.put_events(app, &source, deadline).await;
        let errors = events.iter().zip(stored).filter_map(|(event, stored)| Some((event.id, stored.err()?)));
        let errors: Vec<_> = errors.collect();
        if let Some((_, error)) = errors.first() {
            log(error, errors.len());
        }
        failed.extend(errors.into_iter().map(|(id, error)| (id, error.into())));
        self.give_back(failed.len());
        let told = verdicts.into_iter().map(|verdict: Result<EventId, Rejection>| {
            let id = verdict?;
            failed.get(&id).map_or(Ok(id), |rejection| Err(rejection.clone()))
        });
        Ok(told.collect())
    }

    /// Asks the quotas of the app and of the key for room.
    async fn admit(&self, count: usize, deadline: Deadline, sample: impl FnOnce() -> String) -> Result<(), QuotaError> {
        let Self { store, quotas, now, app, .. } = *self;
        let of_both = async {
            quotas.admit(store, app, count, now, deadline).await?;
            let Some(key) = self.key else { return Ok(()) };
            quotas.admit_key(store, app, key, count, now, deadline).await.inspect_err(|_| quotas.give_back(app, count))
        };
        of_both.await.inspect_err(|error: &QuotaError| {
            self.reject(&Refusal::new(Reason::RateLimited, error.to_string()), count as u64, sample);
        })
    }

    fn give_back(&self, count: usize) {
        self.quotas.give_back(self.app, count);
        if let Some(key) = self.key {
            self.quotas.give_back_key(self.app, key, count);
        }
    }

    /// Adds `count` rejected events of the app. Their write runs beside the request.
    pub fn reject(&self, refusal: &Refusal, count: u64, sample: impl FnOnce() -> String) {
        self.rejections.add(&self.app.id, self.source, refusal, count, self.now, sample);
        self.rejections.write(self.store, self.now);
    }

    /// Takes note of an event that was not accepted: in the log, or as a rejected event.
    fn note(&self, rejection: &Rejection, sample: impl FnOnce() -> String) {
        if let Rejection::Store(error) = rejection {
            log(error, 1);
        }
        self.add_rejected(rejection, sample);
        self.rejections.write(self.store, self.now);
    }

    fn add_rejected(&self, rejection: &Rejection, sample: impl FnOnce() -> String) {
        let refusal = match rejection {
            Rejection::Invalid(invalid) => &invalid.clone().into(),
            Rejection::Refused(refusal) => refusal,
            Rejection::Store(_) => return,
        };
        self.rejections.add(&self.app.id, self.source, refusal, 1, self.now, sample);
    }
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

impl<D: Drafts, R: Fn(usize) -> Result<Event, Rejection> + Sync> EventSource for Source<'_, D, R> {
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
