//! A bound on new issues, so that messages without end do not cost writes without end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tally_core::app::AppId;
use tally_core::time::{DAY, Timestamp};

/// Most new issues that one process stores of an app in a UTC day.
pub const MOST_NEW: u32 = 1_000;
/// Most apps that a process remembers.
const MOST_APPS: usize = 1_000;

/// How many new issues a process has stored, by app, on a day.
#[derive(Debug, Default)]
pub struct NewIssues(Mutex<HashMap<AppId, (Timestamp, u32)>>);

impl NewIssues {
    /// Takes room for a new issue. Returns false if the app has none left today.
    pub fn take(&self, app: &AppId, now: Timestamp) -> bool {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let today = now.floor(DAY);
        if apps.len() >= MOST_APPS && !apps.contains_key(app) {
            let other = apps.keys().next().cloned();
            other.map(|other| apps.remove(&other));
        }
        let (day, taken) = apps.entry(app.clone()).or_insert((today, 0));
        if *day != today {
            (*day, *taken) = (today, 0);
        }
        *taken += 1;
        if *taken == MOST_NEW + 1 {
            tracing::warn!(app = app.as_str(), "{MOST_NEW} new issues today: further groups are not made issues");
        }
        *taken <= MOST_NEW
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::app::AppSlug;

    #[test]
    fn each_app_has_room_each_day() {
        let (new, at) = (NewIssues::default(), Timestamp::from_seconds(1_795_702_231));
        let [shop, other] = ["shop", "other"].map(|name| AppId::new(&AppSlug::of_name(name).unwrap(), 1));
        assert_eq!((0..=MOST_NEW).filter(|_| new.take(&shop, at)).count(), 1_000);
        assert!(new.take(&other, at) && new.take(&shop, at + DAY));
    }
}
