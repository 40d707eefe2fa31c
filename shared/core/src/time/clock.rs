//! The server's clock, which tests can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// A source of the current time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The wall clock of the machine, which continues while a Lambda sandbox is frozen.
    #[default]
    System,
    /// A clock that stands still at a time, in microseconds since 1970.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at` until it is set.
    pub fn at(at: Timestamp) -> Self {
        Self::Set(Arc::new(AtomicI64::new(at.micros())))
    }

    /// Sets a clock that stands still. The system clock ignores this.
    pub fn set(&self, at: Timestamp) {
        if let Self::Set(micros) = self {
            micros.store(at.micros(), Ordering::SeqCst);
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Set(micros) => Timestamp::from_micros(micros.load(Ordering::SeqCst)),
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY, SECOND};

    #[test]
    fn a_clock_stands_where_it_was_set_and_the_systems_goes_on() {
        let at = Timestamp::from_micros(1_795_702_231_379_019);
        let clock = Clock::at(at);
        assert_eq!(clock.now(), at);
        clock.clone().set(at + SECOND);
        assert_eq!(clock.now(), at + SECOND);
        let system = Clock::default();
        system.set(at - 20_000 * DAY);
        assert!(system.now() > at - 365 * DAY, "the time of this machine");
    }
}
