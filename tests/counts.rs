//! Counts computed from events, to compare with the counters, and the counters as they are stored.

use std::collections::BTreeMap;

use serde_json::Value;
use tally_core::app::AppId;
use tally_core::app::partition::Partition;
use tally_core::counter::cell::{Cell, CounterLabel, MessageHash};
use tally_core::counter::key::CounterKind;
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};

use crate::harness::{Tally, TestApp, at};

/// How often what was counted in which bucket, in items of which kind.
pub(crate) type Sums = BTreeMap<(CounterKind, Bucket, CounterLabel), i64>;

/// Sums, without zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) Sums);

impl Counts {
    /// Adds occurrences of a cell, and of its message, at a time.
    pub(crate) fn add(&mut self, at: Timestamp, cell: &Cell, message: Option<&str>, count: i64) {
        let message = message.map(|text| CounterLabel::Message(cell.level, MessageHash::of(text)));
        let kind = CounterKind::of_cells(cell.level);
        for granularity in Granularity::ALL {
            let bucket = Bucket::of(granularity, at);
            self.add_to((kind, bucket, CounterLabel::Cell(cell.clone())), count);
            if let Some(message) = &message {
                self.add_to((CounterKind::Messages, bucket, message.clone()), count);
            }
        }
    }

    fn add_to(&mut self, key: (CounterKind, Bucket, CounterLabel), count: i64) {
        let sum = self.0.remove(&key).unwrap_or(0) + count;
        if sum != 0 {
            self.0.insert(key, sum);
        }
    }

    /// The counts of events as the API shows them.
    pub(crate) fn of_events(events: &[Value]) -> Self {
        let mut counts = Self::default();
        for event in events {
            let text = |field: &str| event[field].as_str().map(str::to_owned);
            let cell = Cell {
                name: text("name").expect("a name"),
                slug: text("slug").expect("a slug"),
                category: text("category"),
                level: text("level").map(|level| level.parse().expect("a level")),
            };
            let time = at(event["timestamp"].as_str().expect("a time"));
            counts.add(time, &cell, event["message"].as_str(), event["count"].as_i64().expect("a count"));
        }
        counts
    }

    /// The counters of an app as they are stored, those of all its shards together.
    pub(crate) async fn stored(tally: &Tally, app: &TestApp) -> Self {
        let app = tally.stored_app(app).await;
        let mut counts = Self::default();
        for shard in 0..app.layout.last().shards {
            counts.add_shard(tally, &app.id, shard).await;
        }
        counts
    }

    async fn add_shard(&mut self, tally: &Tally, app: &AppId, shard: u16) {
        let partition = Partition { app: app.clone(), shard };
        for kind in [CounterKind::Cells, CounterKind::Errors, CounterKind::Messages] {
            for granularity in Granularity::ALL {
                let (first, last) =
                    (Bucket::of(granularity, Timestamp::EPOCH), Bucket::of(granularity, at("2100-01-01T00:00:00Z")));
                let reads = tally.context.store.read_counters(&partition, kind, first, last).await.expect("counters");
                for read in reads {
                    for (counted, count) in read.counts {
                        self.add_to((kind, read.bucket, counted), count);
                    }
                }
            }
        }
    }
}
