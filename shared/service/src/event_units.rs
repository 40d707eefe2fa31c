//! How much the events of apps weigh, as far as a process has read them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::AppId;

/// The read units of an event that is read strongly, where nothing is known: of one of 300 bytes.
const UNKNOWN: f64 = 300.0 / 4096.0;
/// The maximum number of apps of which this is remembered.
const MOST_APPS: usize = 10_000;

/// The read units that an event of an app takes, by the newest that were read.
#[derive(Debug, Default)]
pub struct EventUnits(Mutex<HashMap<AppId, f64>>);

impl EventUnits {
    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, f64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The read units of an event that is read strongly.
    pub(crate) fn of(&self, app: &AppId) -> f64 {
        self.lock().get(app).copied().unwrap_or(UNKNOWN)
    }

    /// Takes note of what some events took, if there are enough of them to tell.
    #[allow(clippy::cast_precision_loss)] // an estimate
    pub(crate) fn learn(&self, app: &AppId, units: f64, events: usize) {
        // Units are whole for each request.
        if events < 20 {
            return;
        }
        let mut all = self.lock();
        if all.len() >= MOST_APPS {
            all.clear();
        }
        all.insert(app.clone(), units / events as f64);
    }
}
