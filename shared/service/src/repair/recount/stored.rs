//! The stored form of a recount between calls: JSON. The names must not change, because a recount may continue under a
//! different release than the one that started it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use tally_core::app::partition::Partition;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{Range, Timestamp};
use tally_store::Barrier;

use super::state::{Noted, Purpose, Reading, State, Unit, Waiting, Walk, Work};

#[derive(Serialize, Deserialize)]
struct Stored {
    purpose: Purpose,
    #[serde(with = "tally_core::time::micros::range")]
    range: Range,
    walk: Option<Walk>,
    unit: Option<Unit>,
    again: VecDeque<Unit>,
    #[serde(with = "items")]
    items: BTreeMap<CounterKey, Noted>,
    /// `None` if there are no pending barriers.
    #[serde(rename = "fences")]
    barriers: Vec<Barrier>,
    /// Has no meaning without barriers.
    owner: String,
    days_read: usize,
    unsettled: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    uncounted: Vec<(i64, i64)>,
}

/// Keys as fields, because the keys of a JSON object are strings.
mod items {
    use serde::{Deserializer, Serializer};

    use super::{BTreeMap, Bucket, CounterKey, CounterKind, Deserialize, Granularity, Noted, Partition, Timestamp};

    type Wire = (Partition, CounterKind, Granularity, i64, u16, Noted);

    pub(super) fn serialize<S: Serializer>(items: &BTreeMap<CounterKey, Noted>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(items.iter().map(|(key, noted)| {
            let CounterKey { partition, kind, bucket, page } = key;
            (partition, kind, bucket.granularity(), bucket.start().micros(), page, noted)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<CounterKey, Noted>, D::Error> {
        let items = Vec::<Wire>::deserialize(from)?.into_iter();
        Ok(items
            .map(|(partition, kind, granularity, start, page, noted)| {
                let bucket = Bucket::of(granularity, Timestamp::from_micros(start));
                (CounterKey { partition, kind, bucket, page }, noted)
            })
            .collect())
    }
}

/// Parses the output of [`to_text`]. Returns `None` if it is invalid.
pub(super) fn read_text(text: &str) -> Option<State> {
    let Stored { purpose, range, walk, unit, again, items, barriers, owner, days_read, unsettled, uncounted } =
        serde_json::from_str(text).ok()?;
    let work = Work { purpose, range, walk, unit, again, items, days_read, unsettled, uncounted };
    Some(if barriers.is_empty() {
        State::Reading(Reading(work))
    } else {
        State::Waiting(Waiting { work, barriers, owner })
    })
}

/// Serializes a recount to text.
pub(super) fn to_text(state: State) -> String {
    let (work, barriers, owner) = match state {
        State::Reading(Reading(work)) => (work, vec![], String::new()),
        State::Waiting(Waiting { work, barriers, owner }) => (work, barriers, owner),
    };
    let Work { purpose, range, walk, unit, again, items, days_read, unsettled, uncounted } = work;
    let stored = Stored { purpose, range, walk, unit, again, items, barriers, owner, days_read, unsettled, uncounted };
    // Strings, numbers and lists always serialize.
    serde_json::to_string(&stored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the first release that stored recounts.
    const KEPT: &str = r#"{"purpose":"Recount","range":[1763683200000000,1763769600000000],"walk":{"shard":1,"from":1763683200000000},"unit":{"shard":0,"only":null,"start":1763683200000000,"end":1763769600000000,"after":"01KAJT4V0M8Y3S9Q6W2N5B7D1F","round":0},"again":[{"shard":0,"only":["hour",[["Cells",0],["Messages",3]]],"start":1763719200000000,"end":1763722800000000,"after":null,"round":1}],"items":[[{"app":"shop","shard":0},"Errors","day",1763683200000000,2,{"version":7,"stored":{"c:E|a||":3},"round":0,"closed":true}]],"fences":[{"partition":"shop#0","sort":"01KAJT4V0M8Y3S9Q6W2N5B7D1F~01KAJT4V0M8Y3S9Q6W2N5B7D1G"}],"owner":"01KAJT4V0M8Y3S9Q6W2N5B7D1G","days_read":4,"unsettled":1}"#;

    #[test]
    fn what_an_earlier_release_kept_reads_and_is_written_alike() {
        let state = read_text(KEPT).expect("a state");
        let State::Waiting(waiting) = &state else { panic!("it waits") };
        assert_eq!((waiting.barriers.len(), &*waiting.owner), (1, "01KAJT4V0M8Y3S9Q6W2N5B7D1G"));
        let Work { purpose, unit, again, items, days_read, unsettled, .. } = &waiting.work;
        assert_eq!((*purpose, *days_read, *unsettled), (Purpose::Recount, 4, 1));
        let after = unit.as_ref().and_then(|unit| unit.after).map(|id| id.to_string());
        assert_eq!((after.as_deref(), again.len()), (Some("01KAJT4V0M8Y3S9Q6W2N5B7D1F"), 1));
        let (key, noted) = items.first_key_value().expect("an item");
        assert_eq!((key.kind, key.bucket.granularity(), key.page), (CounterKind::Errors, Granularity::Day, 2));
        assert_eq!((noted.version, noted.stored["c:E|a||"], noted.closed), (7, 3, true));
        assert_eq!(to_text(state), KEPT);
    }

    #[test]
    fn without_barriers_nothing_is_waited_for() {
        let kept = r#"{"purpose":"Audit","range":[0,86400000000],"walk":null,"unit":null,"again":[],"items":[],"fences":[],"owner":"01KAJT4V0M8Y3S9Q6W2N5B7D1G","days_read":0,"unsettled":0}"#;
        assert!(matches!(read_text(kept), Some(State::Reading(_))));
    }
}
