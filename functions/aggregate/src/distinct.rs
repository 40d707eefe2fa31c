//! Adds the users and sessions of a batch to the sketches of their hours and days. A sketch holds nobody twice, so this needs no
//! checkpoint: a batch that comes again changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::{App, AppId, AppState};
use tally_core::counter::checkpoint::SequenceNumber;
use tally_core::counter::folding::Record;
use tally_core::distinct::{Mark, Marks};
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_service::context::Context;
use tally_store::{DistinctKey, StoredDistinct};

use crate::error::AggregateError;

/// Attempts to change sketches while others change them.
const TRIES: usize = 20;
/// The number of items that are changed concurrently.
const CONCURRENCY: usize = 8;

/// What has sketches, in the order in which they are written.
const GRANULARITIES: [Granularity; 2] = [Granularity::Hour, Granularity::Day];

/// Whom a change tells of: before it, and now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) before: Marks,
    pub(crate) now: Marks,
}

impl Told {
    pub(crate) fn is_none(&self) -> bool {
        self.before.is_none() && self.now.is_none()
    }

    /// Whether somebody whom the event told of is told of no more.
    fn takes_away(&self) -> bool {
        let is_gone = |before: Option<Mark>, now: Option<Mark>| before.is_some() && before != now;
        is_gone(self.before.user, self.now.user) || is_gone(self.before.session, self.now.session)
    }
}

/// Whom the records of a batch tell of, by sequence number.
pub(crate) type People = HashMap<SequenceNumber, Told>;

/// What a batch adds to the sketches of an hour or a day.
#[derive(Default)]
struct Addition {
    users: Vec<Mark>,
    sessions: Vec<Mark>,
    /// Whether somebody was erased.
    erased: bool,
    expires_at: Option<Timestamp>,
}

/// What a batch adds.
pub(crate) struct Additions<'a> {
    context: &'a Context,
    of: BTreeMap<DistinctKey, Addition>,
}

impl<'a> Additions<'a> {
    pub(crate) fn of(
        context: &'a Context,
        apps: &HashMap<AppId, Arc<App>>,
        records: &[Record],
        people: &People,
    ) -> Self {
        let mut additions = Self { context, of: BTreeMap::new() };
        for record in records {
            let Some(told) = people.get(&record.sequence) else { continue };
            let event = record.change.event();
            let app = apps.get(&event.partition.app).filter(|app| app.state == AppState::Active);
            if let Some(app) = app {
                for granularity in GRANULARITIES {
                    let bucket = Bucket::of(granularity, event.id.at());
                    let key = DistinctKey { partition: event.partition.clone(), bucket };
                    let addition = additions.of.entry(key).or_default();
                    addition.users.extend(told.now.user);
                    addition.sessions.extend(told.now.session);
                    addition.erased |= told.takes_away();
                    addition.expires_at = app.layout.expires_at(bucket.end());
                }
            }
        }
        for addition in additions.of.values_mut() {
            for marks in [&mut addition.users, &mut addition.sessions] {
                marks.sort_unstable();
                marks.dedup();
            }
        }
        additions
    }

    /// Stores them. What changes no sketch is not written.
    pub(crate) async fn store(&self) -> Result<(), AggregateError> {
        let wanted: Vec<_> = self.of.keys().cloned().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut stored = self.context.store.distinct_of(&wanted).await?;
        // Hours first: what a day holds, or its mark, its hours have too. Who makes a day anew of its hours relies on that.
        for granularity in GRANULARITIES {
            let of_length = self.of.iter().filter(|(key, _)| key.bucket.granularity() == granularity);
            let changes = of_length.map(|(key, addition)| {
                let stored = stored.remove(key).unwrap_or_default();
                self.store_one(key, addition, stored)
            });
            let changes: Vec<_> = changes.collect();
            stream::iter(changes).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn store_one(
        &self,
        key: &DistinctKey,
        addition: &Addition,
        mut stored: StoredDistinct,
    ) -> Result<(), AggregateError> {
        for _ in 0..TRIES {
            let mut next = stored.clone();
            addition.users.iter().for_each(|mark| next.users.add(*mark));
            addition.sessions.iter().for_each(|mark| next.sessions.add(*mark));
            if addition.erased {
                next.erased = next.erased.or(Some(self.context.clock.now()));
            }
            // What may hold somebody who was erased is written by every batch.
            if next == stored && next.erased.is_none() {
                return Ok(());
            }
            if self.context.store.put_distinct(key, &next, addition.expires_at).await? {
                return Ok(());
            }
            stored = self.context.store.distinct_of(std::slice::from_ref(key)).await?.remove(key).unwrap_or_default();
        }
        Err(AggregateError::Contention)
    }
}
