//! How events are gathered before they are counted.

#[cfg(test)]
use tally_service::config::{BATCH_SIZE, BATCH_WINDOW};

/// How events are gathered before they are counted.
#[derive(Clone, Copy)]
pub(super) struct Gathered {
    /// For so many seconds.
    pub(super) window: usize,
    /// Or until there are so many.
    pub(super) most: usize,
}

#[cfg(test)]
impl Default for Gathered {
    fn default() -> Self {
        Self { window: BATCH_WINDOW.into(), most: BATCH_SIZE.into() }
    }
}

impl Gathered {
    /// The events of a batch at a rate a second.
    pub(super) fn events(self, rate: usize) -> usize {
        self.most.min(rate * self.window)
    }
}
