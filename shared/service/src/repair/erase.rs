//! Erasing: deletes the events of a session or a user, and whole apps. The stream decrements the counters.
//!
//! An app is erased in rounds. Its counters are erased last, and nothing may write to them afterwards. This includes
//! the dead letters and quota counts that are stored next to them and that `aggregate` writes for an app in any state.
//! A round erases the events, puts a barrier into every shard, and waits until all barriers are met. By then, every
//! record of the app's events is handled, including the records of their deletion. If an event was stored in the
//! meantime, its records follow the barriers. Another round then begins, with barriers of a new owner, because the
//! previous barriers prove nothing about that event. The owner is stored in the app's item, so a round may span several
//! calls. It is cleared before any event is erased.

use std::collections::HashSet;
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::time::Duration;

use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::layout::EventIndexes;
use tally_core::app::partition::{Partition, partitions};
use tally_core::app::{App, AppState};
use tally_core::event::id::{EventId, id_range};
use tally_core::time::{DAY, Range, TimeDelta, Timestamp};
use tally_store::{Barrier, ErasedEvents, IndexPart, MAX_USERS, MapFile, MapFiles, Store, StoreError};
use tokio::time::Instant;

use crate::apps::cache::AppCache;

/// How long one call works: less than the 29 seconds after which API Gateway times out.
const CALL: Duration = Duration::from_secs(20);
/// How often barriers are polled.
const POLL: Duration = Duration::from_millis(100);
/// The time, in microseconds, after which no function still uses the state an app had before erasing began. A warm
/// function may cache that state for 60 s, and `aggregate` may then work on one batch for 300 s. The rest allows for
/// clock skew.
const KNOWN: TimeDelta = TimeDelta::minutes(7);

/// Most ids of a user that one call looks for.
const MOST_IDS: usize = 10_000;

/// The parts of an index that are erased at once.
const AT_ONCE: usize = 16;

/// The source maps that are read at once.
const MAPS_AT_ONCE: u16 = 100;

/// Whose events to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EraseTarget {
    /// The events of a session.
    Session(String),
    /// The events of a user, under all ids that are known to be theirs, and those ids.
    User(String),
}

/// Where erasing continues: in a shard, after an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EraseCursor {
    shard: u16,
    after: Option<EventId>,
}

/// The cursor was not returned by an earlier call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("send the `next` of the call before as it is, or leave it out to start again")]
pub struct EraseCursorError;

impl fmt::Display for EraseCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.shard)?;
        self.after.map_or(Ok(()), |id| write!(f, "{id}"))
    }
}

impl FromStr for EraseCursor {
    type Err = EraseCursorError;

    fn from_str(text: &str) -> Result<Self, EraseCursorError> {
        let (shard, after) = text.split_once('.').ok_or(EraseCursorError)?;
        let after = if after.is_empty() { None } else { Some(after.parse().map_err(|_| EraseCursorError)?) };
        Ok(Self { shard: shard.parse().map_err(|_| EraseCursorError)?, after })
    }
}

/// Erases the events of a session or a user, for at most 20 seconds. Returns how many, and where to continue. The other ids of a user
/// are forgotten last: until then they tell which events are left.
///
/// What is indexed is erased by the index first, in each call: it no longer has what is erased. The shards are read for the
/// rest, and for the newest day of a user, since an index follows its table.
pub async fn erase_events(
    store: &Store,
    app: &App,
    whose: &EraseTarget,
    now: Timestamp,
    from: EraseCursor,
) -> Result<(usize, Option<EraseCursor>), StoreError> {
    let end = Instant::now() + CALL;
    let Ids { ids, more } = match whose {
        EraseTarget::Session(_) => Ids::default(),
        EraseTarget::User(user) => Ids::of(store, app, user).await?,
    };
    // What was done in a session that became an id of the user is theirs.
    let sessions: Vec<String> = match whose {
        EraseTarget::Session(_) => vec![],
        EraseTarget::User(user) => ids.iter().filter(|id| *id != user).cloned().collect(),
    };
    let shards: Vec<_> = partitions(app, Range::ALL);
    let (indexed, others) = by_index(app, whose, !sessions.is_empty(), now);
    let (mut deleted, mut is_over) = (0, false);
    if !indexed.is_empty() {
        let parts: Vec<_> = match whose {
            EraseTarget::Session(session) => vec![ErasedEvents::Indexed(IndexPart::Session(&app.id, session))],
            EraseTarget::User(_) => {
                let of_shard = |shard| ids.iter().map(move |id| ErasedEvents::Indexed(IndexPart::User(shard, id)));
                let anonymous = sessions.iter().map(|session| ErasedEvents::Anonymous(&app.id, session));
                shards.iter().flat_map(of_shard).chain(anonymous).collect()
            }
        };
        // By a loop: a closure would be too general for the compiler to see that the future may move to another thread.
        let mut each = Vec::with_capacity(parts.len());
        for part in parts {
            each.push(erase_ranges(store, part, &indexed, None, end));
        }
        let mut erased = pin!(stream::iter(each).buffer_unordered(AT_ONCE));
        while let Some((count, left)) = erased.try_next().await? {
            deleted += count;
            is_over |= left.is_some();
        }
        if is_over {
            return Ok((deleted, Some(from)));
        }
    }
    let mut after = from.after;
    for shard in shards.iter().filter(|shard| shard.shard >= from.shard && !others.is_empty()) {
        let which = match whose {
            EraseTarget::Session(session) => ErasedEvents::Session(shard, session),
            EraseTarget::User(_) => ErasedEvents::User(shard, &ids, &sessions),
        };
        if is_over {
            return Ok((deleted, Some(EraseCursor { shard: shard.shard, after: None })));
        }
        let (count, left) = erase_ranges(store, which, &others, after.take(), end).await?;
        deleted += count;
        if left.is_some() {
            return Ok((deleted, Some(EraseCursor { shard: shard.shard, after: left })));
        }
        is_over = Instant::now() >= end;
    }
    store.forget_aliases(&app.id, &ids).await?;
    Ok((deleted, more.then(EraseCursor::default)))
}

/// Erases events of ranges of identities, which are in order, after an identity. Returns how many, and where to continue if the
/// time ended.
async fn erase_ranges(
    store: &Store,
    which: ErasedEvents<'_>,
    ranges: &[(EventId, EventId)],
    after: Option<EventId>,
    end: Instant,
) -> Result<(usize, Option<EventId>), StoreError> {
    let mut deleted = 0;
    for &(first, last) in ranges {
        let mut next = Some(after.and_then(EventId::after).map_or(first, |next| next.max(first)));
        while let Some(first) = next.filter(|first| *first <= last) {
            let erased = store.erase_events(which, (first, last)).await?;
            deleted += erased.deleted;
            next = erased.next.and_then(EventId::after);
            if erased.next.is_some() && Instant::now() >= end {
                return Ok((deleted, erased.next));
            }
        }
    }
    Ok((deleted, None))
}

/// Ranges of identities, each inclusive, in order.
type IdRanges = Vec<(EventId, EventId)>;

/// The identities of the events that are found by the index of sessions or users, and of those for which shards are read. A user may
/// also have sessions.
fn by_index(app: &App, whose: &EraseTarget, has_sessions: bool, now: Timestamp) -> (IdRanges, IdRanges) {
    let (first, last) = id_range(Range::ALL);
    let is_indexed = |index: EventIndexes| match whose {
        EraseTarget::Session(_) => index.sessions,
        EraseTarget::User(_) => index.users && (index.sessions || !has_sessions),
    };
    let (mut indexed, mut others) = (vec![], vec![]);
    for (range, entry) in app.layout.parts((first, last)) {
        if is_indexed(entry.index) { &mut indexed } else { &mut others }.push(range);
    }
    if matches!(whose, EraseTarget::User(_)) && !indexed.is_empty() {
        let newest = EventId::first_at((now - DAY).max(Timestamp::EPOCH));
        let older = |(begin, end): (EventId, EventId)| Some((begin, end.min(newest.before()?)));
        others = others.into_iter().filter_map(older).filter(|(begin, end)| begin <= end).collect();
        others.push((newest, last));
    }
    (indexed, others)
}

/// Some of the ids of a user.
#[derive(Default)]
struct Ids {
    /// Those to erase together.
    ids: Vec<String>,
    /// Whether there are more, which are erased after these.
    more: bool,
}

impl Ids {
    /// The ids that lead to a user, over any number of steps, and the user's own. Of too many to erase them together, those that
    /// are the most steps away, so that the others still lead to the user.
    async fn of(store: &Store, app: &App, user: &str) -> Result<Self, StoreError> {
        let mut all = vec![user.to_owned()];
        let mut known = HashSet::from([user.to_owned()]);
        let mut looked_at = 0;
        while looked_at < all.len() && all.len() < MOST_IDS {
            let users = all[looked_at..all.len().min(looked_at + MAX_USERS)].to_vec();
            looked_at += users.len();
            let mut from = None;
            loop {
                let (aliases, next) = store.aliases_of(&app.id, &users, from).await?;
                all.extend(aliases.into_iter().filter(|alias| known.insert(alias.clone())));
                from = next;
                if from.is_none() || all.len() >= MOST_IDS {
                    break;
                }
            }
        }
        let ids = all.split_off(all.len().saturating_sub(MAX_USERS));
        Ok(Self { ids, more: !all.is_empty() })
    }
}

/// Erases an app and all its data, for at most 20 seconds. Returns how many events were erased, and whether everything
/// is done. It is never done before every warm function knows of it, 7 minutes after the first call.
///
/// The app's item stays, so that a later app with the same name can be told apart.
pub async fn erase_app(
    store: &Store,
    (apps, maps): (&AppCache, &MapFiles),
    now: Timestamp,
    app: &App,
) -> Result<(usize, bool), StoreError> {
    let end = Instant::now() + CALL;
    let since = if let (AppState::Deleting, Some(since)) = (app.state, app.deleting_since) {
        since
    } else {
        // Another call may have marked the app in the meantime. Its time then counts, and the next call reads it.
        store.mark_deleting(app, now).await?;
        apps.forget(&app.slug);
        now
    };
    let eraser = Eraser { store, maps, app, partitions: partitions(app, Range::ALL), now, end };
    let (deleted, gone) = eraser.events_and_round().await?;
    if !gone || now < since + KNOWN {
        return Ok((deleted, false));
    }
    let Some(round) = eraser.round().await? else { return Ok((deleted, eraser.is_buried().await?)) };
    // Events stored since then have records after the barriers: the next call begins another round.
    let done = eraser.is_met(&round).await?
        && !eraser.has_events().await?
        && eraser.counters().await?
        && eraser.leave_tombstone(&round).await?;
    apps.forget(&app.slug);
    Ok((deleted, done))
}

struct Eraser<'a> {
    store: &'a Store,
    maps: &'a MapFiles,
    app: &'a App,
    partitions: Vec<Partition>,
    now: Timestamp,
    end: Instant,
}

impl Eraser<'_> {
    /// Returns whether any event is left.
    async fn has_events(&self) -> Result<bool, StoreError> {
        let found = self.partitions.iter().map(|partition| self.store.has_events(partition));
        Ok(try_join_all(found).await?.contains(&true))
    }

    /// Erases all events, and clears the previous round if there are any. Returns how many, and whether none is left.
    async fn events_and_round(&self) -> Result<(usize, bool), StoreError> {
        if !self.has_events().await? {
            return Ok((0, true));
        }
        self.store.set_erase_round(self.app, None).await?;
        self.events().await
    }

    /// Erases all events. Returns how many, and whether none is left.
    async fn events(&self) -> Result<(usize, bool), StoreError> {
        let mut deleted = 0;
        for partition in &self.partitions {
            let all = [id_range(Range::ALL)];
            let (count, left) = erase_ranges(self.store, ErasedEvents::All(partition), &all, None, self.end).await?;
            deleted += count;
            if left.is_some() {
                return Ok((deleted, false));
            }
        }
        Ok((deleted, true))
    }

    fn barriers(&self, round: &str) -> Vec<Barrier> {
        self.partitions.iter().map(|partition| Barrier::after(partition, None, round)).collect()
    }

    /// Returns the current round, or a new one, with its barriers written. Returns `None` if the app is no longer being
    /// erased.
    async fn round(&self) -> Result<Option<String>, StoreError> {
        let known = self.store.erase_round(self.app).await?;
        let is_new = known.is_none();
        let round = known.unwrap_or_else(|| format!("erase-{}-{}", self.app.id, EventId::random(self.now)));
        // The barriers of a current round may have expired. Writing them again proves no less.
        self.store.put_barriers(&self.barriers(&round), self.now + DAY).await?;
        if is_new && !self.store.set_erase_round(self.app, Some(&round)).await? {
            return Ok(None);
        }
        Ok(Some(round))
    }

    /// Waits for the barriers of a round. Returns whether they are met in time.
    async fn is_met(&self, round: &str) -> Result<bool, StoreError> {
        let barriers = self.barriers(round);
        while self.store.unmet_barriers(&barriers, round).await? > 0 {
            if Instant::now() + POLL > self.end {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }

    /// Erases all counters, saved views, alert rules and source maps. Returns whether none is left.
    async fn counters(&self) -> Result<bool, StoreError> {
        for partition in &self.partitions {
            while !self.store.erase_counters(partition).await? {
                if Instant::now() >= self.end {
                    return Ok(false);
                }
            }
        }
        while !self.store.erase_beside_counters(&self.app.id).await? {
            if Instant::now() >= self.end {
                return Ok(false);
            }
        }
        while !self.store.erase_views(&self.app.id).await? {
            if Instant::now() >= self.end {
                return Ok(false);
            }
        }
        while !self.store.erase_alerts(&self.app.id).await? {
            if Instant::now() >= self.end {
                return Ok(false);
            }
        }
        self.source_maps().await
    }

    /// Erases all source maps: the file of each first, since only its item tells of it. Returns whether none is left.
    async fn source_maps(&self) -> Result<bool, StoreError> {
        let id = &self.app.id;
        loop {
            // Also those that have expired and are not deleted yet.
            let (page, next) = self.store.source_maps(id, None, MAPS_AT_ONCE, Timestamp::EPOCH).await?;
            for map in &page {
                self.maps.delete(&MapFile::Map(id.clone(), map.debug_id)).await?;
                self.store.delete_source_map(id, map.debug_id).await?;
                if Instant::now() >= self.end {
                    return Ok(false);
                }
            }
            if next.is_none() {
                self.maps.forget(id)?;
                return Ok(true);
            }
        }
    }

    /// Removes the barriers and turns the app into a tombstone. Returns false if another round has begun.
    async fn leave_tombstone(&self, round: &str) -> Result<bool, StoreError> {
        self.store.remove_barriers(&self.barriers(round)).await?;
        let heartbeats = self
            .partitions
            .iter()
            .flat_map(|partition| [false, true].map(|follows| Barrier::heartbeat(partition, follows)));
        self.store.remove_barriers(&heartbeats.collect::<Vec<_>>()).await?;
        Ok(self.store.tombstone_app(self.app, round).await? || self.is_buried().await?)
    }

    /// Returns whether another call has finished erasing the app.
    async fn is_buried(&self) -> Result<bool, StoreError> {
        let app = self.store.get_app(&self.app.slug).await?;
        Ok(app.is_none_or(|app| app.id != self.app.id || app.state == AppState::Deleted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back() {
        let id = EventId::first_at(tally_core::time::Timestamp::EPOCH);
        for place in [EraseCursor { shard: 3, after: Some(id) }, EraseCursor { shard: 0, after: None }] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for bad in ["", "3", "x.", "70000.", "1.x"] {
            assert_eq!(bad.parse::<EraseCursor>(), Err(EraseCursorError), "{bad}");
        }
    }
}
