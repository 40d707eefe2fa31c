//! Independent counts to compare with the counters, and the counters as they are stored.

use std::collections::BTreeMap;

use serde_json::Value;
use tally_core::app::App;
use tally_core::app::partition::Partition;
use tally_core::counter::cell::{Cell, CounterLabel};
use tally_core::counter::key::CounterKind;
use tally_core::counter::property::{CountedPath, Property};
use tally_core::event::group::{Grouped, Grouping, group_of};
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_store::{CounterQuery, Order};

use crate::harness::{Tally, TestApp, at};

/// How often what was counted in which bucket, in items of which kind.
pub(crate) type Sums = BTreeMap<(CounterKind, Bucket, CounterLabel), i64>;

/// Sums of which none is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) Sums);

/// Every shard of an app.
pub(crate) fn all_partitions(app: &App) -> Vec<Partition> {
    (0..app.layout.last().shards).map(|shard| Partition { app: app.id.clone(), shard }).collect()
}

impl Counts {
    /// Adds occurrences of a cell, of its group by template, and of its values, at a time.
    pub(crate) fn add(
        &mut self,
        at: Timestamp,
        cell: &Cell,
        grouped: Grouped<'_>,
        properties: &[Property],
        count: i64,
    ) {
        let group = group_of(Grouping::Template1, grouped);
        let kind = CounterKind::of_cells(cell.level);
        for granularity in Granularity::ALL {
            let bucket = Bucket::of(granularity, at);
            self.add_to((kind, bucket, CounterLabel::Cell(cell.clone())), count);
            for Property { path, value } in properties {
                let label = match value {
                    Some(value) => CounterLabel::Value(cell.clone(), path.clone(), value.clone()),
                    None => CounterLabel::OtherValues(cell.level, path.clone()),
                };
                self.add_to((CounterKind::Properties, bucket, label), count);
            }
            if let Some((group, mark)) = group {
                let mark = i64::try_from(mark).expect("a small number");
                self.add_to((CounterKind::Messages, bucket, CounterLabel::Group(cell.level, group)), count);
                self.add_to((CounterKind::Messages, bucket, CounterLabel::Marks(cell.level, group)), mark * count);
            }
        }
    }

    fn add_to(&mut self, key: (CounterKind, Bucket, CounterLabel), count: i64) {
        let sum = self.0.remove(&key).unwrap_or(0) + count;
        if sum != 0 {
            self.0.insert(key, sum);
        }
    }

    /// The counts of events in the form that the API returns, of an app that counts the values at `plan`.
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
            let grouped = Grouped { fingerprint: event["fingerprint"].as_str(), message: event["message"].as_str() };
            let plan = Property {
                path: CountedPath::parse("plan").expect("a path"),
                value: Some(event["data"]["plan"].to_string()),
            };
            counts.add(time, &cell, grouped, &[plan], event["count"].as_i64().expect("a count"));
        }
        counts
    }

    /// The stored counters of an app, summed over all its shards.
    pub(crate) async fn stored(tally: &Tally, app: &TestApp) -> Self {
        let app = tally.stored_app(app).await;
        let mut counts = Self::default();
        for partition in all_partitions(&app) {
            counts.add_partition(tally, &partition).await;
        }
        counts
    }

    /// The stored counters of one shard of an app.
    pub(crate) async fn stored_in(tally: &Tally, partition: &Partition) -> Self {
        let mut counts = Self::default();
        counts.add_partition(tally, partition).await;
        counts
    }

    async fn add_partition(&mut self, tally: &Tally, partition: &Partition) {
        for kind in CounterKind::ALL {
            for granularity in Granularity::ALL {
                let (first, last) =
                    (Bucket::of(granularity, Timestamp::EPOCH), Bucket::of(granularity, at("2100-01-01T00:00:00Z")));
                let (order, limit, only) = (Order::Ascending, usize::MAX, None);
                let query = CounterQuery { partition, kind, first, last, order, limit, only, consistent: true };
                let mut from = None;
                loop {
                    let page = tally.context.store.page_counters(&query, from).await.expect("counters");
                    for read in page.reads {
                        for (counted, count) in read.counts {
                            self.add_to((kind, read.bucket, counted), count);
                        }
                    }
                    from = page.next;
                    if from.is_none() {
                        break;
                    }
                }
            }
        }
    }
}
