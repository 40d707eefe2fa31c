//! What a counter item counts for, and when.

use serde::{Deserialize, Serialize};

use crate::app::partition::Partition;
use crate::event::filter::values::Values;
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
    /// Values of counted properties.
    Properties,
}

impl CounterKind {
    /// The kind that counts the cells of a level.
    pub const fn of_cells(level: Option<Level>) -> Self {
        match level {
            Some(Level::Error | Level::Fatal) => Self::Errors,
            _ => Self::Cells,
        }
    }

    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Cells, Self::Errors, Self::Messages, Self::Properties];

    /// Whether it counts cells: each event is in one item of such a kind in a bucket.
    pub const fn is_of_cells(self) -> bool {
        matches!(self, Self::Cells | Self::Errors)
    }

    /// The kinds that count cells.
    pub const OF_CELLS: [Self; 2] = [Self::Cells, Self::Errors];

    /// The kinds that count the cells of some levels.
    pub fn that_count(levels: &Values<Level>) -> &'static [Self] {
        let count = |kind: Self| {
            let of_kind = Level::ALL.into_iter().map(Some).chain([None]).filter(|level| Self::of_cells(*level) == kind);
            of_kind.into_iter().any(|level| levels.matches(level.as_ref()))
        };
        match (count(Self::Cells), count(Self::Errors)) {
            (true, true) => &Self::OF_CELLS,
            (true, false) => &[Self::Cells],
            (false, true) => &[Self::Errors],
            (false, false) => &[],
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
            assert_eq!(CounterKind::that_count(&Values::only(level)), [kind], "{level}");
        }
        assert_eq!(CounterKind::of_cells(None), CounterKind::Cells);
        let (cells, errors) = (CounterKind::Cells, CounterKind::Errors);
        let of = |is: &[Level], is_not: &[Level]| {
            CounterKind::that_count(&Values::new(is.to_vec(), is_not.to_vec()).expect("few levels"))
        };
        assert_eq!(of(&[], &[]), [cells, errors]);
        assert_eq!(of(&[Level::Error, Level::Fatal], &[]), [errors]);
        assert_eq!(of(&[Level::Warn, Level::Fatal], &[]), [cells, errors]);
        assert_eq!(of(&[], &[Level::Error, Level::Fatal]), [cells]);
        assert_eq!(of(&[], &Level::ALL), [cells], "events without a level");
        assert_eq!(of(&[Level::Info], &[Level::Info]), [], "nothing");
    }
}
