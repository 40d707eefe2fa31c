//! Quotas: limit how many events of an app are accepted per minute of the server's clock.
//!
//! `aggregate` counts accepted events per minute, and notes up to which time: its batches gather for up to 20 seconds. A
//! warm function reads these counts every 5 seconds. It adds the events that it has accepted itself since the time to which
//! they are counted, multiplied by the ratio of all counted events to its own among them. In this way, concurrent functions
//! together enforce a quota that none of them could enforce alone, however late the counts are. If a minute exceeds the quota,
//! the excess is subtracted from the following minutes.
//!
//! `aggregate` does not know keys. So for a key with a quota of its own the functions themselves keep one sum.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::key::{Key, KeyId};
use tally_core::app::{App, AppId};
use tally_core::time::{MINUTE, TimeDelta, Timestamp};
use tally_store::{Accepted, Deadline, Store, StoreError};

/// How long a reading is valid: 0.5 read units every 5 seconds are 0.1 per second.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(5);
/// The number of minutes over which an excess is made up for.
const MEMORY: i64 = 5;

/// The maximum number of apps whose state is kept.
const MOST_APPS: usize = 10_000;
/// The maximum number of keys of which a process keeps what they have sent.
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
    /// The events that this function accepted in each second of this minute.
    own: [u32; 60],
    /// The second up to which `counted` reaches.
    counted_to: usize,
    /// Those of its own that are in `counted`.
    own_counted: i64,
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
        Self {
            minute,
            read_at: Timestamp::EPOCH,
            counted: 0,
            debt: 0,
            own: [0; 60],
            counted_to: 0,
            own_counted: 0,
            ratio: 1.0,
        }
    }

    /// Updates the state from the counts.
    fn learn(&mut self, limit: i64, counts: &[Accepted]) {
        let of = |minute: Timestamp| counts.iter().find(|accepted| accepted.minute == minute);
        self.debt = 0;
        for ago in (1..MEMORY).rev() {
            let count = of(self.minute - ago * MINUTE).map_or(0, |accepted| accepted.count);
            self.debt = (self.debt + count - limit).max(0);
        }
        let Some(Accepted { count, to, .. }) = of(self.minute) else { return };
        self.counted = *count;
        // A batch that is counted again, or that of another shard, may be older than the last.
        self.counted_to = self.counted_to.max(second(*to, self.minute));
        self.own_counted = sum(&self.own[..=self.counted_to]);
        if self.own_counted > 0 {
            #[allow(clippy::cast_precision_loss)] // an estimate
            let ratio = self.counted as f64 / self.own_counted as f64;
            self.ratio = ratio.max(1.0);
        }
    }

    /// Takes note of accepted events.
    fn accept(&mut self, count: i64, now: Timestamp) {
        let own = &mut self.own[second(now, self.minute)];
        *own = own.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Takes back events that were noted, the newest first.
    fn give_back(&mut self, count: usize) {
        let mut left = u32::try_from(count).unwrap_or(u32::MAX);
        for own in self.own.iter_mut().rev() {
            let taken = left.min(*own);
            *own -= taken;
            left -= taken;
        }
    }

    /// Returns how many more events are allowed this minute.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an estimate
    fn left(&self, limit: i64) -> i64 {
        let own = sum(&self.own);
        let since = (own - self.own_counted).max(0);
        let all = self.counted + (since as f64 * self.ratio) as i64;
        limit - self.debt - all.max(own)
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
            return Err(QuotaError { whose: "app", limit, seconds });
        }
        known.accept(count, now);
        Ok(())
    }

    /// Returns events that were admitted but not stored.
    pub fn give_back(&self, app: &App, count: usize) {
        if let Some(known) = self.known().get_mut(&app.id) {
            known.give_back(count);
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

/// The second of a minute in which a time is: the first before it, the last after it.
fn second(at: Timestamp, minute: Timestamp) -> usize {
    usize::try_from((at - minute).as_seconds()).unwrap_or(0).min(59)
}

fn sum(counts: &[u32]) -> i64 {
    counts.iter().copied().map(i64::from).sum()
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
    use tally_core::time::SECOND;

    /// What all accepted in a minute up to a second.
    fn accepted(minute: Timestamp, count: i64, second: i64) -> Accepted {
        Accepted { minute, count, to: minute + second * SECOND }
    }

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
        known.learn(100, &[accepted(ago(2), 250, 59), accepted(ago(1), 20, 59), accepted(minute, 10, 30)]);
        assert_eq!((known.debt, known.left(100)), (70, 20));
    }

    #[test]
    fn what_others_accept_is_guessed_from_what_they_did() {
        let minute = Timestamp::EPOCH;
        let mut known = Known::new(minute);
        known.accept(10, minute + 5 * SECOND);
        known.accept(5, minute + 20 * SECOND);
        known.learn(100, &[accepted(minute, 40, 10)]);
        assert_eq!(known.left(100), 100 - 40 - 4 * 5);
    }

    #[test]
    fn what_was_not_stored_is_taken_back_from_the_newest_seconds() {
        let minute = Timestamp::EPOCH;
        let mut known = Known::new(minute);
        known.accept(10, minute + 5 * SECOND);
        known.accept(5, minute + 20 * SECOND);
        known.give_back(7);
        assert_eq!((known.own[5], known.own[20], known.left(100)), (8, 0, 92));
        known.give_back(100);
        assert_eq!(known.left(100), 100);
    }
}
