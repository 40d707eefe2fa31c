//! Erasing: the events of a session or a user, and whole apps. What is erased is counted down through the stream.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tally_core::app::partition::{Partition, partitions};
use tally_core::app::{App, AppState};
use tally_core::event::id::EventId;
use tally_core::time::{DAY, Range, TimeDelta};
use tally_store::{Barrier, ErasedEvents, StoreError};
use tokio::time::Instant;

use crate::context::Context;

/// How long one call works: less than the 29 seconds after which API Gateway gives up.
const CALL: Duration = Duration::from_secs(20);
/// How often it is asked whether barriers were met.
const POLL: Duration = Duration::from_millis(100);
/// After this time no function works with an app as it was before its erasure began: a warm one may remember the app for
/// 60 s, and `aggregate` may then work on one batch for 300 s; the rest allows for clock skew.
const KNOWN: TimeDelta = TimeDelta::minutes(7);

/// Whose events to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EraseTarget {
    /// Of a session.
    Session(String),
    /// Of a user.
    User(String),
}

/// Where erasing goes on: in a shard, after an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EraseCursor {
    shard: u16,
    after: Option<EventId>,
}

/// Not a place that a call gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("send the `next` of the call before as it is, or leave it out to begin anew")]
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

/// Erases the events of a session or a user, for at most 20 seconds; returns how many, and where to go on.
pub async fn erase_events(
    context: &Context,
    app: &App,
    whose: &EraseTarget,
    from: EraseCursor,
) -> Result<(usize, Option<EraseCursor>), StoreError> {
    let end = Instant::now() + CALL;
    let shards = match whose {
        // The index holds those of all shards.
        EraseTarget::Session(_) => 1,
        EraseTarget::User(_) => app.layout.shards_in(Range::ALL),
    };
    let (mut place, mut deleted) = (from, 0);
    while place.shard < shards {
        let partition = Partition { app: app.id.clone(), shard: place.shard };
        let which = match whose {
            EraseTarget::Session(session) => ErasedEvents::Session(&app.id, session),
            EraseTarget::User(user) => ErasedEvents::User(&partition, user),
        };
        let erased = context.store.erase_events(which, place.after).await?;
        deleted += erased.deleted;
        place = match erased.next {
            Some(after) => EraseCursor { after: Some(after), ..place },
            None => EraseCursor { shard: place.shard + 1, after: None },
        };
        if Instant::now() >= end && place.shard < shards {
            return Ok((deleted, Some(place)));
        }
    }
    Ok((deleted, None))
}

/// Erases an app with everything of it, for at most 20 seconds; returns how many events, and whether all is done. It is
/// not before every warm function knows, 7 minutes after the first call.
///
/// The app's item stays, so that a next app under its name is told apart.
pub async fn erase_app(context: &Context, app: &App) -> Result<(usize, bool), StoreError> {
    let end = Instant::now() + CALL;
    let now = context.clock.now();
    let since = if let (AppState::Deleting, Some(since)) = (app.state, app.deleting_since) {
        since
    } else {
        // Another call may have marked it in between; then that one's moment counts, and the next call reads it.
        context.store.mark_deleting(app, now).await?;
        context.forget(&app.slug);
        now
    };
    let eraser = Eraser { context, partitions: partitions(app, Range::ALL), end };
    let (deleted, gone) = eraser.events().await?;
    if !gone || now < since + KNOWN || !eraser.all_is_counted(app).await? {
        return Ok((deleted, false));
    }
    // What a function stored that did not know yet; nothing counts it any more.
    let (late, gone) = eraser.events().await?;
    let deleted = deleted + late;
    if !gone || !eraser.counters(app).await? {
        return Ok((deleted, false));
    }
    // Nothing can have come since the barriers; a look costs little.
    let (last, gone) = eraser.events().await?;
    if last > 0 || !gone {
        return Ok((deleted + last, false));
    }
    context.store.remove_barriers(&eraser.barriers(app)).await?;
    context.store.tombstone_app(app).await?;
    context.forget(&app.slug);
    Ok((deleted, true))
}

struct Eraser<'a> {
    context: &'a Context,
    partitions: Vec<Partition>,
    end: Instant,
}

impl Eraser<'_> {
    /// Erases all events; how many, and whether none is left.
    async fn events(&self) -> Result<(usize, bool), StoreError> {
        let mut deleted = 0;
        for partition in &self.partitions {
            let mut after = None;
            loop {
                let erased = self.context.store.erase_events(ErasedEvents::All(partition), after).await?;
                deleted += erased.deleted;
                after = erased.next;
                if after.is_none() {
                    break;
                }
                if Instant::now() >= self.end {
                    return Ok((deleted, false));
                }
            }
        }
        Ok((deleted, true))
    }

    fn barriers(&self, app: &App) -> Vec<Barrier> {
        let owner = owner(app);
        self.partitions.iter().map(|partition| Barrier::after(partition, None, &owner)).collect()
    }

    /// Puts a barrier into every shard and waits for all; whether they were met in time.
    async fn all_is_counted(&self, app: &App) -> Result<bool, StoreError> {
        let barriers = self.barriers(app);
        let store = &self.context.store;
        store.put_barriers(&barriers, self.context.clock.now() + DAY).await?;
        while store.unmet_barriers(&barriers, &owner(app)).await? > 0 {
            if Instant::now() + POLL > self.end {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }

    /// Erases all counters; whether none is left.
    async fn counters(&self, app: &App) -> Result<bool, StoreError> {
        for partition in &self.partitions {
            while !self.context.store.erase_counters(partition).await? {
                if Instant::now() >= self.end {
                    return Ok(false);
                }
            }
        }
        while !self.context.store.erase_beside_counters(&app.id).await? {
            if Instant::now() >= self.end {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Who puts the barriers of an app that is being erased.
fn owner(app: &App) -> String {
    format!("erase-{}", app.id)
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
