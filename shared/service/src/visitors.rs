//! The salts of visitors: made at first use, remembered by a process, and deleted.
//!
//! An id of a visitor lasts for a UTC day, since each has a salt of its own. Once a salt is deleted, nobody can find out which
//! visitor an address belongs to, not even by trying all addresses.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, Timestamp};
use tally_core::web::visitor::Salt;
use tally_store::{Store, StoreError};

/// The number of days before today whose events still get a visitor: salts are deleted 48 hours after the end of their day.
const DAYS_BACK: i64 = 2;
/// The number of days before those whose salts are deleted by their keys: how long the task may fail before only their expiry
/// deletes them.
const DAYS_DELETED: i64 = 7;

/// The salts that a process remembers, and until when it has deleted old ones.
#[derive(Debug, Default)]
pub struct Salts {
    known: Mutex<BTreeMap<Bucket, Salt>>,
    deleted_before: Mutex<Option<Bucket>>,
}

impl Salts {
    /// The day whose salt an event gets that happened at `at` and is received at `now`: its own, but today for one that a clock
    /// ahead has timed. `None` of days whose salts may be deleted.
    ///
    /// An event that is sent again on a later day so keeps its visitor, and does not become another one's.
    pub fn day(at: Timestamp, now: Timestamp) -> Option<Bucket> {
        let (day, today) = (Bucket::of(Granularity::Day, at.min(now)), Bucket::of(Granularity::Day, now));
        (day >= first_kept(today)).then_some(day)
    }

    /// The salt of a day of [`Salts::day`]. It is made if there is none.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn salt(&self, store: &Store, day: Bucket, now: Timestamp) -> Result<Salt, StoreError> {
        let known = {
            let mut known = held(&self.known);
            let first = first_kept(Bucket::of(Granularity::Day, now));
            known.retain(|day, _| *day >= first);
            known.get(&day).cloned()
        };
        if let Some(salt) = known {
            return Ok(salt);
        }
        let salt = match store.salt(day).await? {
            Some(salt) => salt,
            None => store.put_salt(day, Salt::random(), now).await?,
        };
        held(&self.known).insert(day, salt.clone());
        Ok(salt)
    }

    /// Deletes the salts of days that ended 48 hours ago or earlier. A process does so once after each midnight of UTC.
    ///
    /// # Errors
    /// Where the store fails; the next call tries again.
    pub async fn delete_old(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let first = first_kept(Bucket::of(Granularity::Day, now));
        if *held(&self.deleted_before) == Some(first) {
            return Ok(());
        }
        for days in 1..=DAYS_DELETED {
            store.delete_salt(Bucket::of(Granularity::Day, first.start() - days * DAY)).await?;
        }
        *held(&self.deleted_before) = Some(first);
        Ok(())
    }
}

fn first_kept(today: Bucket) -> Bucket {
    Bucket::of(Granularity::Day, today.start() - DAYS_BACK * DAY)
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
