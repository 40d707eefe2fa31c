//! Quotas: limit how many events of an app are accepted per minute of the server's clock.
//!
//! `aggregate` counts accepted events per minute. A warm function reads these counts every 5 seconds. It adds the
//! events that it has accepted itself since then, multiplied by the ratio of all accepted events to its own. In this
//! way, concurrent functions together enforce a quota that none of them could enforce alone. If a minute exceeds the
//! quota, the excess is subtracted from the following minutes.
//!
//! `aggregate` does not know keys. So for a key with a quota of its own the functions themselves keep one sum.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::key::{Key, KeyId};
use tally_core::app::{App, AppId};
use tally_core::time::{MINUTE, TimeDelta, Timestamp};
use tally_store::{Deadline, Store, StoreError};

/// How long a reading is valid: 0.5 read units every 5 seconds are 0.1 per second.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(5);
/// The number of minutes over which an excess is made up for.
const MEMORY: i64 = 5;

/// Most keys of which a process keeps what they have sent.
const MOST_KEYS: usize = 10_000;

/// The quota state of the apps and keys that a warm function serves.
#[derive(Debug, Default)]
pub struct Quotas {
    apps: Mutex<HashMap<AppId, Known>>,
    keys: Mutex<HashMap<(AppId, KeyId), Sent>>,
}

/// What a key has sent in a minute.
#[derive(Clone, Copy, Debug)]
struct Sent {
    minute: Timestamp,
    /// When this function added its own last.
    shared_at: Timestamp,
    /// The sum of all functions at that time.
    of_all: i64,
    /// What this function had added by then.
    shared: i64,
    /// What it has accepted since.
    own: i64,
    /// The ratio of what all functions accept to what this one does.
    ratio: f64,
}

impl Sent {
    fn new(minute: Timestamp, ratio: f64) -> Self {
        Self { minute, shared_at: Timestamp::EPOCH, of_all: 0, shared: 0, own: 0, ratio }
    }

    /// Takes note of the sum of all functions, in which `added` is.
    fn learn(&mut self, of_all: i64, added: i64) {
        self.of_all = of_all;
        self.shared += added;
        if self.shared > 0 {
            #[allow(clippy::cast_precision_loss)] // an estimate
            let ratio = of_all as f64 / self.shared as f64;
            self.ratio = ratio.max(1.0);
        }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an estimate
    fn left(&self, limit: i64) -> i64 {
        limit - self.of_all - (self.own as f64 * self.ratio) as i64
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    minute: Timestamp,
    read_at: Timestamp,
    /// The count for this minute when it was last read.
    counted: i64,
    /// The excess of earlier minutes.
    debt: i64,
    /// The events that this function accepted this minute before the last read.
    own_before: i64,
    /// The events that this function accepted since the last read.
    own: i64,
    /// The ratio of events accepted by all functions to those accepted by this one.
    ratio: f64,
}

/// The quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than the {whose}'s {limit} events per minute: send again in {seconds} seconds, at most {limit} at once")]
pub struct QuotaError {
    /// Whose quota it is: `app` or `key`.
    pub whose: &'static str,
    /// The quota.
    pub limit: u32,
    /// When the app may have quota again.
    pub seconds: u32,
}

impl Known {
    fn new(minute: Timestamp) -> Self {
        Self { minute, read_at: Timestamp::EPOCH, counted: 0, debt: 0, own_before: 0, own: 0, ratio: 1.0 }
    }

    /// Updates the state from the counts, by minute.
    fn learn(&mut self, limit: i64, counted: &[(Timestamp, i64)]) {
        let of = |minute: Timestamp| counted.iter().find(|(at, _)| *at == minute).map_or(0, |(_, n)| *n);
        self.debt = 0;
        for ago in (1..MEMORY).rev() {
            self.debt = (self.debt + of(self.minute - ago * MINUTE) - limit).max(0);
        }
        self.counted = of(self.minute);
        self.own_before += self.own;
        self.own = 0;
        if self.own_before > 0 {
            #[allow(clippy::cast_precision_loss)] // an estimate
            let ratio = self.counted as f64 / self.own_before as f64;
            self.ratio = ratio.max(1.0);
        }
    }

    /// Returns how many more events are allowed this minute.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an estimate
    fn left(&self, limit: i64) -> i64 {
        // The counts lag by a second or two.
        let known = self.counted.max(self.own_before);
        limit - self.debt - known - (self.own as f64 * self.ratio) as i64
    }
}

impl Quotas {
    /// Admits or refuses `count` events of an app. They count as accepted until [`Quotas::give_back`] returns them.
    ///
    /// # Errors
    /// Returns an error if the quota is used up. If the counters cannot be read, the decision uses the last known
    /// counts: a quota is no reason to refuse events that the store accepts.
    pub async fn admit(
        &self,
        store: &Store,
        app: &App,
        count: usize,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), QuotaError> {
        let Some(limit) = app.events_per_minute else { return Ok(()) };
        let minute = now.floor(MINUTE);
        let stale = {
            let mut known = self.known();
            let known = known.entry(app.id.clone()).or_insert_with(|| Known::new(minute));
            if known.minute != minute {
                *known = Known { ratio: known.ratio, ..Known::new(minute) };
            }
            let stale = now < known.read_at || known.read_at + GOOD_FOR <= now;
            if stale {
                // Concurrent requests use the last known counts.
                known.read_at = now;
            }
            stale
        };
        if stale {
            let read = deadline.hold(store.accepted(&app.id, minute - (MEMORY - 1) * MINUTE, minute)).await;
            let mut known = self.known();
            match (read, known.get_mut(&app.id)) {
                (Ok(counted), Some(known)) if known.minute == minute => known.learn(i64::from(limit), &counted),
                (Err::<_, StoreError>(error), _) => tracing::warn!(%error, "could not read how far a quota is used"),
                _ => {}
            }
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let mut known = self.known();
        let known = known.entry(app.id.clone()).or_insert_with(|| Known::new(minute));
        if count > known.left(i64::from(limit)) {
            let wait = minute + MINUTE - now + known.debt / i64::from(limit) * MINUTE;
            let seconds = u32::try_from(wait.as_seconds() + 1).unwrap_or(60);
            return Err(QuotaError { whose: "app", limit, seconds });
        }
        known.own += count;
        Ok(())
    }

    /// Returns events that were admitted but not stored.
    pub fn give_back(&self, app: &App, count: usize) {
        if let Some(known) = self.known().get_mut(&app.id) {
            known.own -= i64::try_from(count).unwrap_or(0).min(known.own);
        }
    }

    /// Admits or refuses `count` events of a key, as [`Quotas::admit`] does for its app. Every 5 seconds a function adds
    /// what it has accepted to one sum, and learns the sum of all. What it accepted in the last seconds of a minute is not
    /// added to the next.
    ///
    /// # Errors
    /// Returns an error if the key's quota is used up. If the sum cannot be read, the decision uses the last one.
    pub async fn admit_key(
        &self,
        store: &Store,
        app: &App,
        key: &Key,
        count: usize,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), QuotaError> {
        let Some(limit) = key.limits.events_per_minute else { return Ok(()) };
        let minute = now.floor(MINUTE);
        let of = (app.id.clone(), key.id.clone());
        let due = {
            let mut keys = self.keys();
            if keys.len() >= MOST_KEYS && !keys.contains_key(&of) {
                keys.retain(|_, sent| sent.minute == minute);
                if keys.len() >= MOST_KEYS {
                    keys.clear();
                }
            }
            let sent = keys.entry(of.clone()).or_insert_with(|| Sent::new(minute, 1.0));
            if sent.minute != minute {
                *sent = Sent::new(minute, sent.ratio);
            }
            let due = now < sent.shared_at || sent.shared_at + GOOD_FOR <= now;
            due.then(|| {
                // Concurrent requests use the last sum.
                sent.shared_at = now;
                std::mem::take(&mut sent.own)
            })
        };
        if let Some(own) = due {
            let sum = deadline.hold(store.add_sent(&app.id, &key.id, now, own)).await;
            let mut keys = self.keys();
            if let Some(sent) = keys.get_mut(&of).filter(|sent| sent.minute == minute) {
                match sum {
                    Ok(of_all) => sent.learn(of_all, own),
                    Err::<_, StoreError>(error) => {
                        sent.own += own;
                        tracing::warn!(%error, "could not read how far the quota of a key is used");
                    }
                }
            }
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let mut keys = self.keys();
        let sent = keys.entry(of).or_insert_with(|| Sent::new(minute, 1.0));
        if count > sent.left(i64::from(limit)) {
            let seconds = u32::try_from((minute + MINUTE - now).as_seconds() + 1).unwrap_or(60);
            return Err(QuotaError { whose: "key", limit, seconds });
        }
        sent.own += count;
        Ok(())
    }

    /// Returns events of a key that were admitted but not stored.
    pub fn give_back_key(&self, app: &App, key: &Key, count: usize) {
        if key.limits.events_per_minute.is_some()
            && let Some(sent) = self.keys().get_mut(&(app.id.clone(), key.id.clone()))
        {
            sent.own -= i64::try_from(count).unwrap_or(0).min(sent.own);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<AppId, Known>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<(AppId, KeyId), Sent>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_too_much_is_made_up_for() {
        let minute = Timestamp::EPOCH + 100 * MINUTE;
        let ago = |n: i64| minute - n * MINUTE;
        let mut known = Known::new(minute);
        known.learn(100, &[(ago(2), 250), (ago(1), 20), (minute, 10)]);
        assert_eq!((known.debt, known.left(100)), (70, 20));
    }

    #[test]
    fn what_others_accept_is_guessed_from_what_they_did() {
        let minute = Timestamp::EPOCH;
        let mut known = Known::new(minute);
        known.own = 10;
        known.learn(100, &[(minute, 40)]);
        known.own = 5;
        assert_eq!(known.left(100), 100 - 40 - 20);
    }
}
