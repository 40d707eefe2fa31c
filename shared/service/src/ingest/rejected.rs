//! Rejected events: a warm process adds them up and writes each kind at most every 10 seconds.
//!
//! This is best effort. A write never delays a reply, is tried once, and is lost with the process; so counts are lower
//! bounds. Most requests have nothing rejected and pay one lock for this.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tally_core::app::AppId;
use tally_core::rejected::{self, Reason, Refusal, shortened};
use tally_core::time::{TimeDelta, Timestamp};
use tally_store::{Rejected, Store};
use tokio::sync::Semaphore;

/// The time between two writes of one kind by one process.
const PAUSE: TimeDelta = TimeDelta::seconds(10);
/// How long unwritten ones are kept: less than erasing an app waits for those who do not know of it yet.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(5 * 60);
/// Most kinds, of all apps, that a process adds up at once. More are not counted.
const MOST_KINDS: usize = 1_000;
/// Most writes at once. What finds no place is written later.
const MOST_WRITES: u32 = 8;

/// The interface an event came through, and why it was rejected.
type Kind = (AppId, &'static str, Reason);

/// The rejected events that a process has not written yet.
#[derive(Debug)]
pub struct Rejections {
    kinds: Mutex<HashMap<Kind, Pending>>,
    writes: Arc<Semaphore>,
}

#[derive(Debug)]
struct Pending {
    count: u64,
    first_at: Timestamp,
    last_at: Timestamp,
    detail: String,
    sample: String,
    written_at: Option<Timestamp>,
}

impl Pending {
    fn new(now: Timestamp) -> Self {
        Self { count: 0, first_at: now, last_at: now, detail: String::new(), sample: String::new(), written_at: None }
    }
}

impl Default for Rejections {
    fn default() -> Self {
        Self { kinds: Mutex::default(), writes: Arc::new(Semaphore::new(MOST_WRITES as usize)) }
    }
}

impl Rejections {
    /// Adds `count` rejected events of an app. `sample` is called for the first of a kind between two writes.
    pub fn add(
        &self,
        app: &AppId,
        source: &'static str,
        refusal: &Refusal,
        count: u64,
        now: Timestamp,
        sample: impl FnOnce() -> String,
    ) {
        let mut kinds = self.kinds();
        let kind = (app.clone(), source, refusal.reason);
        if kinds.len() >= MOST_KINDS && !kinds.contains_key(&kind) {
            kinds.retain(|_, pending| pending.count > 0);
            if kinds.len() >= MOST_KINDS {
                return;
            }
        }
        let pending = kinds.entry(kind).or_insert_with(|| Pending::new(now));
        if pending.count == 0 {
            pending.first_at = now;
            shortened(&refusal.detail).clone_into(&mut pending.detail);
            pending.sample = rejected::sample(&sample());
        }
        pending.count = pending.count.saturating_add(count);
        pending.last_at = now;
    }

    /// Starts the writes that are due, and does not wait for them.
    pub fn write(&self, store: &Store, now: Timestamp) {
        let mut kinds = self.kinds();
        for ((app, source, reason), pending) in kinds.iter_mut().filter(|(_, pending)| pending.count > 0) {
            if pending.first_at + GOOD_FOR <= now {
                pending.count = 0;
                continue;
            }
            // A clock that was set back must not stop the writes.
            if pending.written_at.is_some_and(|at| at <= now && now < at + PAUSE) {
                continue;
            }
            let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned() else { return };
            let added = Rejected {
                source: (*source).to_owned(),
                reason: *reason,
                count: std::mem::take(&mut pending.count),
                first_at: pending.first_at,
                last_at: pending.last_at,
                detail: std::mem::take(&mut pending.detail),
                sample: std::mem::take(&mut pending.sample),
            };
            pending.written_at = Some(now);
            let (store, app) = (store.clone(), app.clone());
            tokio::spawn(async move {
                if let Err(error) = store.add_rejected(&app, &added).await {
                    tracing::warn!(%error, count = added.count, "rejected events were not noted");
                }
                drop(permit);
            });
        }
    }

    /// Waits until the writes that were started have ended.
    pub async fn written(&self) {
        // The semaphore is never closed.
        let _ = self.writes.acquire_many(MOST_WRITES).await;
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Kind, Pending>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
