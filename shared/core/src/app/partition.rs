//! Partitions: the shards of an app.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{App, AppId};
use crate::time::Range;

/// One shard of an app: a partition of Events, and of Counters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// The app.
    pub app: AppId,
    /// The number of the shard, from 0.
    pub shard: u16,
}

impl fmt::Display for Partition {
    /// For people: the app, `#`, the shard.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.app, self.shard)
    }
}

/// The shards that can contain events of a range.
pub fn partitions(app: &App, range: Range) -> Vec<Partition> {
    (0..app.layout.shards_in(range)).map(|shard| Partition { app: app.id.clone(), shard }).collect()
}
