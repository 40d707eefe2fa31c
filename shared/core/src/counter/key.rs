//! What a counter item counts for, and when.

use serde::{Deserialize, Serialize};

use crate::app::partition::Partition;
use crate::event::level::Level;
use crate::time::bucket::Bucket;

/// What a counter item counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CounterKind {
    /// Cells without a level, or with one below ERROR.
    Cells,
    /// Cells of ERROR and FATAL. Queries for errors, which are rare and frequent in questions, read only these small
    /// items.
    Errors,
    /// Messages. Their items sort apart from those of cells, so that a report does not pay for reading them.
    Messages,
}

impl CounterKind {
    /// The kind that counts the cells of a level.
    pub const fn of_cells(level: Option<Level>) -> Self {
        match level {
            Some(Level::Error | Level::Fatal) => Self::Errors,
            _ => Self::Cells,
        }
    }

    /// The kinds that count the cells of a level, or of all levels if it is none.
    pub const fn that_count(level: Option<Level>) -> &'static [Self] {
        match level {
            None => &[Self::Cells, Self::Errors],
            Some(Level::Error | Level::Fatal) => &[Self::Errors],
            Some(_) => &[Self::Cells],
        }
    }
}

/// The key of a counter item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// The shard it counts for.
    pub partition: Partition,
    /// What it counts.
    pub kind: CounterKind,
    /// The period that it counts.
    pub bucket: Bucket,
    /// Which of the bucket's pages, from 0.
    pub page: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_apart() {
        for level in Level::ALL {
            let errors = level >= Level::Error;
            let kind = if errors { CounterKind::Errors } else { CounterKind::Cells };
            assert_eq!(CounterKind::of_cells(Some(level)), kind, "{level}");
            assert_eq!(CounterKind::that_count(Some(level)), [kind], "{level}");
        }
        assert_eq!(CounterKind::of_cells(None), CounterKind::Cells);
        assert_eq!(CounterKind::that_count(None), [CounterKind::Cells, CounterKind::Errors]);
    }
}
