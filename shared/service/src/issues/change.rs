//! What people say about an issue.

use std::collections::BTreeMap;

use tally_core::app::App;
use tally_core::event::group::Group;
use tally_core::issue::{State, Until};
use tally_core::time::Timestamp;
use tally_core::time::clock::Clock;
use tally_store::{Store, StoreError, StoredIssue};

/// Attempts at a change while others change the same issue.
const ATTEMPTS: usize = 10;
/// What someone says about an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It needs work.
    Open,
    /// It is repaired: now, or with the next release.
    Resolved {
        /// Whether it is repaired in the next release alone.
        next_release: bool,
    },
    /// It is not to be shown until someone opens it.
    Ignored,
    /// It is not to be shown until a time.
    IgnoredUntil(Timestamp),
    /// It is not to be shown until it has occurred so many times more.
    IgnoredFor(u64),
}

impl Verdict {
    fn state(&self, at: Timestamp) -> State {
        match self {
            Self::Open => State::Open,
            Self::Resolved { next_release } => State::Resolved { at, next_release: *next_release },
            Self::Ignored => State::Ignored { at, until: Until::Forever },
            Self::IgnoredUntil(time) => State::Ignored { at, until: Until::Time(*time) },
            Self::IgnoredFor(left) => {
                State::Ignored { at, until: Until::Count { left: *left, checkpoints: BTreeMap::new() } }
            }
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such issue.
    #[error("the app has no such issue: send the `id` of one that `GET /apps/{{app}}/issues` lists")]
    Unknown,
    /// Others change it.
    #[error("others are changing the issue: try again")]
    Contention,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes the state of an issue. Returns it as it is now.
///
/// # Errors
/// As [`ChangeError`].
pub async fn change(
    store: &Store,
    clock: &Clock,
    app: &App,
    group: Group,
    verdict: &Verdict,
) -> Result<StoredIssue, ChangeError> {
    for _ in 0..ATTEMPTS {
        let now = clock.now();
        let known = store.issues_of(&app.id, &[group], now).await?.issues.remove(&group);
        let mut stored = known.filter(|stored| !stored.issue.erased).ok_or(ChangeError::Unknown)?;
        stored.issue.set(verdict.state(now));
        if store.put_issue(&app.id, &stored, stored.issue.expires_at(app)).await? {
            stored.version += 1;
            return Ok(stored);
        }
    }
    Err(ChangeError::Contention)
}
