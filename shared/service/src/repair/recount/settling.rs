//! Settling: from [`Waiting`] back to [`Reading`].

use std::collections::{BTreeMap, HashMap};

use tally_core::app::App;
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::item::CounterItem;
use tally_core::counter::key::CounterKey;
use tally_core::time::bucket::Bucket;
use tally_core::time::{DAY, Timestamp};
use tally_store::{Corrected, Store, StoreError};

use super::concurrent::all;
use super::difference::Found;
use super::expiry::{BEFORE_EXPIRY, may_expire};
use super::state::{Noted, Purpose, Reading, Waiting, Work};

/// The maximum number of counts in one correction. DynamoDB accepts expressions of up to 4 KB.
const CORRECTED_AT_ONCE: usize = 200;

impl Waiting {
    /// Settles everything that was read to its end, and removes the barriers, which must be met. `id` identifies the
    /// recount.
    pub(super) async fn settle(
        self,
        store: &Store,
        app: &App,
        now: Timestamp,
        id: &str,
        found: &mut Found,
    ) -> Result<Reading, StoreError> {
        let Self { work, barriers, .. } = self;
        let mut settler = Settler { store, app, now, id, work };
        settler.run(found).await?;
        store.remove_barriers(&barriers).await?;
        Ok(Reading(settler.work))
    }
}

struct Settler<'a> {
    store: &'a Store,
    app: &'a App,
    now: Timestamp,
    id: &'a str,
    work: Work,
}

impl Settler<'_> {
    /// Compares the items whose events were read completely with the current counters.
    async fn run(&mut self, found: &mut Found) -> Result<(), StoreError> {
        let mut closed: BTreeMap<_, _> = self.work.items.extract_if(.., |_, noted| noted.closed).collect();
        let mut ranges: BTreeMap<_, (Bucket, Bucket)> = BTreeMap::new();
        for CounterKey { partition, kind, bucket, .. } in closed.keys() {
            let of = (partition.clone(), *kind, bucket.granularity(), bucket.start().floor(DAY));
            let range = ranges.entry(of).or_insert((*bucket, *bucket));
            *range = (range.0.min(*bucket), range.1.max(*bucket));
        }
        // Ranges are processed one after another: a day may have many large items.
        for ((partition, kind, granularity, day), (first, last)) in ranges {
            let read = self.store.versioned_items(&partition, kind, first, last).await?;
            let mut current: HashMap<_, _> =
                read.into_iter().map(|item| (item.key, (item.version, item.item))).collect();
            let of_range = |key: &CounterKey, _: &mut Noted| {
                key.partition == partition
                    && (key.kind, key.bucket.granularity(), key.bucket.start().floor(DAY)) == (kind, granularity, day)
            };
            let noted: Vec<_> = closed.extract_if(.., of_range).collect();
            if may_expire(self.app, day, self.now - BEFORE_EXPIRY) {
                continue;
            }
            let mut differing = Vec::new();
            for (key, noted) in noted {
                let (version, item) = current.remove(&key).unwrap_or_default();
                if version != noted.version {
                    self.work.look_again(&key, noted.round);
                    continue;
                }
                let differences = compare(&item, &noted.stored);
                if differences.is_empty() {
                    found.settled(&key, || (noted.stored.values().sum(), 0));
                } else {
                    differing.push((key, noted, differences));
                }
            }
            self.report(differing, found).await?;
        }
        Ok(())
    }

    /// Records the differences, and corrects them if that was requested.
    async fn report(
        &mut self,
        differing: Vec<(CounterKey, Noted, Vec<Differing>)>,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let mut corrected = vec![Ok(Corrected::Done); differing.len()];
        if self.work.purpose == Purpose::Recount {
            let (store, id) = (self.store, self.id);
            let corrections = differing.iter().enumerate().map(|(n, (key, noted, differences))| async move {
                match correct(store, key, noted, id, differences).await {
                    // An item that the store rejects permanently is no reason to skip the others.
                    Err(StoreError::Refused(error)) => Ok((n, Err(error))),
                    outcome => Ok((n, Ok(outcome?))),
                }
            });
            for (n, outcome) in all(corrections.collect()).await? {
                corrected[n] = outcome;
            }
        }
        for ((key, noted, differences), corrected) in differing.into_iter().zip(corrected) {
            match corrected {
                Ok(Corrected::Changed) => self.work.look_again(&key, noted.round),
                Ok(Corrected::Done) => {
                    found.settled(&key, || {
                        let surplus = differences.iter().map(|(_, counted, stored)| counted - stored).sum();
                        (noted.stored.values().sum(), surplus)
                    });
                    let day = key.bucket.start().floor(DAY);
                    for (what, counted, stored) in differences {
                        found.add((day, key.kind, what), key.bucket.granularity(), counted, stored);
                    }
                }
                Err(error) => {
                    tracing::error!(
                        item = tally_store::counter_keys(&key),
                        error,
                        "a counter item cannot be corrected"
                    );
                    self.work.unsettled += 1;
                }
            }
        }
        Ok(())
    }
}

/// A difference: the attribute, the counted value and the stored value.
type Differing = (CounterLabel, i64, i64);

/// The differences of an item.
fn compare(item: &CounterItem, stored: &HashMap<String, i64>) -> Vec<Differing> {
    let mut wanted: BTreeMap<CounterLabel, i64> = BTreeMap::new();
    for (attribute, count) in stored {
        let Some(counted) = CounterLabel::parse(attribute) else { continue };
        // A full item counts cells without an attribute in the rest of their level.
        let is_in_rest = item.full && !item.counts.contains_key(attribute);
        let Some(place) = (if is_in_rest { counted.of_rest() } else { Some(counted) }) else { continue };
        *wanted.entry(place).or_default() += count;
    }
    for counted in item.counts.keys().filter_map(|attribute| CounterLabel::parse(attribute)) {
        wanted.entry(counted).or_default();
    }
    let differences = wanted.into_iter().map(|(what, stored)| {
        let counted = item.counts.get(&what.attribute()).copied().unwrap_or(0);
        (what, counted, stored)
    });
    differences.filter(|(_, counted, stored)| counted != stored).collect()
}

/// Adds the missing counts to an item, in as many updates as needed.
async fn correct(
    store: &Store,
    key: &CounterKey,
    noted: &Noted,
    id: &str,
    differences: &[Differing],
) -> Result<Corrected, StoreError> {
    // Each part increments the version.
    for ((part, differences), version) in differences.chunks(CORRECTED_AT_ONCE).enumerate().zip(noted.version..) {
        let amounts: Vec<_> = differences
            .iter()
            .map(|(what, counted, stored)| (what.attribute(), stored.saturating_sub(*counted)))
            .collect();
        let by = format!("{id}.{}.{part}", noted.round);
        if store.correct(key, version, &by, &amounts).await? == Corrected::Changed {
            return Ok(Corrected::Changed);
        }
    }
    Ok(Corrected::Done)
}
