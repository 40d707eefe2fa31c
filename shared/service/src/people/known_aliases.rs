//! The aliases that a process knows to have a user.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::AppId;
use tally_core::time::{TimeDelta, Timestamp};

/// Most aliases that a process remembers.
const MOST: usize = 20_000;
/// How long it remembers one. An alias keeps its user, so this matters only after it was erased by another process.
const KEPT: TimeDelta = TimeDelta::minutes(10);

/// The aliases that a process knows to have a user, each until a time.
#[derive(Debug, Default)]
pub struct KnownAliases(Mutex<HashMap<String, Timestamp>>);

impl KnownAliases {
    /// Whether an alias of an app is known to have a user.
    pub fn has(&self, app: &AppId, alias: &str, now: Timestamp) -> bool {
        self.lock().get(&key(app, alias)).is_some_and(|until| *until > now)
    }

    /// Remembers that an alias has a user.
    pub fn note(&self, app: &AppId, alias: &str, now: Timestamp) {
        let mut known = self.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key(app, alias), now + KEPT);
    }

    /// Forgets an alias: an event that told of it was erased.
    pub fn forget(&self, app: &AppId, alias: &str) {
        self.lock().remove(&key(app, alias));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of an app has no `#`.
fn key(app: &AppId, alias: &str) -> String {
    format!("{app}#{alias}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::app::AppSlug;
    use tally_core::time::MICROSECOND;

    #[test]
    fn an_alias_is_remembered_for_a_while_in_its_app() {
        let [shop, blog] = ["shop", "blog"].map(|name| AppId::new(&AppSlug::of_name(name).expect("a name"), 1));
        let now = Timestamp::from_seconds(1_795_255_705);
        let known = KnownAliases::default();
        known.note(&shop, "a", now);
        assert!(known.has(&shop, "a", now + KEPT - MICROSECOND));
        assert!(!known.has(&shop, "a", now + KEPT) && !known.has(&blog, "a", now) && !known.has(&shop, "b", now));
        known.forget(&shop, "a");
        assert!(!known.has(&shop, "a", now));
        for n in 0..2 * MOST {
            known.note(&shop, &n.to_string(), now);
            assert!(known.lock().len() <= MOST);
        }
    }
}
