//! Sessions: what a sign-in begins and a sign-out ends.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::time::{MINUTE, TimeDelta, Timestamp};
use tally_store::{MAX_REVOKED, Store, StoreError};

/// How long after its start a session may be renewed. No token of a renewed session is valid for longer.
pub const LONGEST_SESSION: TimeDelta = TimeDelta::hours(12);

/// How long the list of signed-out sessions may be remembered, in wall-clock time.
const REMEMBER: TimeDelta = MINUTE;

/// Why a session cannot be signed out.
#[derive(Debug, thiserror::Error)]
pub enum SignOutError {
    /// The list is full.
    #[error("{MAX_REVOKED} sessions were signed out whose tokens have not expired yet: try again in a few minutes")]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The sessions that were signed out, as they were at most 60 s ago.
#[derive(Default)]
pub struct RevokedSessions {
    known: Mutex<Known>,
    /// Held while the list is read or added to, so that concurrent requests wait for it and no read misses an addition.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    sids: HashSet<String>,
    read_at: Option<Timestamp>,
}

impl Known {
    fn is_fresh(&self, now: Timestamp) -> bool {
        // Setting the clock back must not extend it.
        self.read_at.is_some_and(|at| at <= now && now < at + REMEMBER)
    }
}

impl RevokedSessions {
    /// Returns whether a session was signed out. One that was signed out by another process may take 60 s to be known.
    ///
    /// # Errors
    /// Where the list must be read and cannot be.
    pub(crate) async fn contain(&self, sid: &str, store: &Store, now: Timestamp) -> Result<bool, StoreError> {
        if !self.known().is_fresh(now) {
            let _reading = self.reading.lock().await;
            self.read_if_old(store, now).await?;
        }
        Ok(self.known().sids.contains(sid))
    }

    /// Signs a session out, whose last token is valid until `until`. This process refuses it at once, every other within
    /// 60 s.
    ///
    /// # Errors
    /// Where too many sessions were signed out already, or the store fails. The session then goes on.
    pub async fn add(&self, sid: &str, until: Timestamp, store: &Store, now: Timestamp) -> Result<(), SignOutError> {
        let _reading = self.reading.lock().await;
        self.read_if_old(store, now).await?;
        if self.known().sids.len() >= MAX_REVOKED {
            return Err(SignOutError::Full);
        }
        store.revoke_session(sid, until).await?;
        self.known().sids.insert(sid.to_owned());
        Ok(())
    }

    /// To be called by one at a time.
    async fn read_if_old(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        if !self.known().is_fresh(now) {
            let sids = store.revoked_sessions(now).await?;
            *self.known() = Known { sids, read_at: Some(now) };
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
