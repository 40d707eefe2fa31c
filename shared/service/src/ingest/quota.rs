//! Quotas: limit how many events of an app are accepted per minute of the server's clock.
//!
//! `aggregate` counts accepted events per minute. A warm function reads these counts every 5 seconds. It adds the
//! events that it has accepted itself since then, multiplied by the ratio of all accepted events to its own. In this
//! way, concurrent functions together enforce a quota that none of them could enforce alone. If a minute exceeds the
//! quota, the excess is subtracted from the following minutes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::{App, AppId};
use tally_core::time::{MINUTE, TimeDelta, Timestamp};
use tally_store::{Deadline, Store, StoreError};

/// How long a reading is valid: 0.5 read units every 5 seconds are 0.1 per second.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(5);
/// The number of minutes over which an excess is made up for.
const MEMORY: i64 = 5;

/// The maximum number of apps whose state is kept.
const MOST_APPS: usize = 10_000;

/// The quota state of the apps that a warm function serves.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<HashMap<AppId, Known>>);

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
#[error("more than the app's {limit} events per minute: send again in {seconds} seconds, at most {limit} at once")]
pub struct QuotaError {
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
            prune(&mut known, &app.id, minute);
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
            return Err(QuotaError { limit, seconds });
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

    fn known(&self) -> MutexGuard<'_, HashMap<AppId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for an app. What goes first is the state of apps that send nothing now; without its state, an app is read
/// again.
fn prune(known: &mut HashMap<AppId, Known>, app: &AppId, minute: Timestamp) {
    if known.len() >= MOST_APPS && !known.contains_key(app) {
        known.retain(|_, known| known.minute == minute);
        if known.len() >= MOST_APPS {
            known.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::app::AppSlug;

    #[test]
    fn apps_that_send_nothing_make_room() {
        let app = |n: usize| AppId::new(&AppSlug::of_name(&format!("app {n}")).expect("a name"), 1);
        let (then, now) = (Timestamp::EPOCH, Timestamp::EPOCH + MINUTE);
        let mut known: HashMap<_, _> = (0..MOST_APPS - 1).map(|n| (app(n), Known::new(then))).collect();
        for n in MOST_APPS - 1..3 * MOST_APPS {
            prune(&mut known, &app(n), now);
            known.insert(app(n), Known::new(now));
            assert!(known.len() <= MOST_APPS);
        }
        // One that is known stays.
        let before = known.len();
        prune(&mut known, &app(3 * MOST_APPS - 1), now);
        assert_eq!(known.len(), before);
    }

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
