//! Adds the users and sessions of a batch to the sketches of their hours and days. A sketch holds nobody twice, so this needs no
//! checkpoint: a batch that comes again changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::{App, AppId, AppState};
use tally_core::counter::checkpoint::SequenceNumber;
use tally_core::counter::folding::Record;
use tally_core::distinct::{Mark, Marks};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{TimeDelta, Timestamp};
use tally_service::context::Context;
use tally_service::repair::distinct::expires_at;
use tally_store::{DistinctKey, DistinctMark, StoredDistinct};

use crate::error::AggregateError;

/// Attempts to change sketches while others change them.
const TRIES: usize = 20;
/// The number of items that are changed concurrently.
const CONCURRENCY: usize = 8;

/// How long after it a record may be delivered again: a stream keeps it for a day, and Lambda what it is trying.
const REDELIVERED: TimeDelta = TimeDelta::hours(48);

/// What has sketches, in the order in which they are written.
const GRANULARITIES: [Granularity; 2] = [Granularity::Hour, Granularity::Day];

/// Whom a change tells of: before it, and now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) before: Marks,
    pub(crate) now: Marks,
    /// When the stream got the change.
    pub(crate) at: Timestamp,
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
    /// When somebody was erased last, by the clock of the stream.
    erased: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

/// What a batch adds.
pub(crate) struct Additions<'a> {
    context: &'a Context,
    /// When the first record of the batch was made.
    created_at: Timestamp,
    of: BTreeMap<DistinctKey, Addition>,
}

impl<'a> Additions<'a> {
    pub(crate) fn of(
        context: &'a Context,
        created_at: Timestamp,
        apps: &HashMap<AppId, Arc<App>>,
        records: &[Record],
        people: &People,
    ) -> Self {
        let mut additions = Self { context, created_at, of: BTreeMap::new() };
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
                    if told.takes_away() {
                        addition.erased = addition.erased.max(Some(told.at));
                    }
                    addition.expires_at = expires_at(app, bucket);
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
        // Hours first: what a day holds, or that it is stale, its hours have too. Who makes a day anew of its hours relies on
        // that, and so a day is read only then.
        for granularity in GRANULARITIES {
            let of_length: Vec<_> = self.of.iter().filter(|(key, _)| key.bucket.granularity() == granularity).collect();
            if of_length.is_empty() {
                continue;
            }
            let wanted: Vec<_> = of_length.iter().map(|(key, _)| (*key).clone()).collect();
            let mut stored = self.context.store.distinct_of(&wanted).await?;
            let changes = of_length.into_iter().map(|(key, addition)| {
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
            let before = stored.erased.filter(|erased| *erased > self.created_at - REDELIVERED);
            // What comes again may add somebody whose erasure was counted before.
            let comes_again = before.is_some_and(|erased| self.created_at <= erased);
            next.erased = before.max(addition.erased);
            let adds = (&next.users, &next.sessions) != (&stored.users, &stored.sessions);
            next.stale |= addition.erased.is_some() || (adds && comes_again);
            // What is stale is written by every batch.
            if !adds && !next.stale {
                return Ok(());
            }
            if next.stale && !stored.stale {
                let mark = DistinctMark { key: key.clone(), at: self.context.clock.now() };
                self.context.store.point_to_distinct(&mark, addition.expires_at).await?;
            }
            if self.context.store.put_distinct(key, &next, addition.expires_at).await? {
                return Ok(());
            }
            stored = self.context.store.distinct_of(std::slice::from_ref(key)).await?.remove(key).unwrap_or_default();
        }
        Err(AggregateError::Contention)
    }
}
