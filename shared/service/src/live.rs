//! How far an app is counted, and the newest minutes, whose events are read: what a request finds out about them once.

use tally_core::app::AppId;
use tally_core::app::partition::Partition;
use tally_core::counter::cell::Cell;
use tally_core::counter::property::Property;
use tally_core::event::group::Grouped;
use tally_core::event::id::EventId;
use tally_core::time::Timestamp;
use tokio::sync::OnceCell;

/// How far an app is counted.
#[derive(Debug)]
pub(crate) struct Live {
    /// The app.
    pub(crate) app: AppId,
    /// By shard: everything accepted before is counted.
    pub(crate) counted_before: Vec<Timestamp>,
    /// The smallest of them.
    pub(crate) counted_to: Timestamp,
    /// The newest minutes. `None` if they are more than the budget allows, so that everything comes from counters.
    pub(crate) tail: OnceCell<Option<Tail>>,
}

/// The newest minutes of an app.
#[derive(Debug)]
pub(crate) struct Tail {
    /// By shard, the start of its newest minutes. Its events are counted from here on, and its counters before.
    starts: Vec<Timestamp>,
    /// The events by shard. `None` if they turned out to be more than the budget allows.
    pub(crate) events: OnceCell<Option<Vec<Vec<TailEvent>>>>,
}

/// What is counted of an event.
#[derive(Clone, Debug)]
pub(crate) struct TailEvent {
    pub(crate) at: Timestamp,
    pub(crate) cell: Cell,
    pub(crate) id: EventId,
    pub(crate) message: Option<String>,
    pub(crate) fingerprint: Option<String>,
    /// What it has at the paths that its app counts.
    pub(crate) properties: Vec<Property>,
    pub(crate) count: i64,
}

impl TailEvent {
    /// What decides its group.
    pub(crate) fn grouped(&self) -> Grouped<'_> {
        Grouped { fingerprint: self.fingerprint.as_deref(), message: self.message.as_deref() }
    }
}

impl Tail {
    /// A tail that is not read yet.
    pub(crate) fn new(starts: Vec<Timestamp>) -> Self {
        Self { starts, events: OnceCell::new() }
    }

    /// The time from which on the events of a shard are counted one by one. Events of a shard that was not there when the tail
    /// was chosen are not known.
    pub(crate) fn start(&self, partition: &Partition) -> Timestamp {
        self.starts.get(usize::from(partition.shard)).copied().unwrap_or(Timestamp::MAX)
    }

    /// The time from which on everything that happened is counted.
    pub(crate) fn live_from(&self) -> Timestamp {
        self.starts.iter().copied().max().unwrap_or(Timestamp::MAX)
    }

    /// Whether any of it is before a time.
    pub(crate) fn begins_before(&self, until: Timestamp) -> bool {
        self.starts.iter().any(|start| *start < until)
    }
}
