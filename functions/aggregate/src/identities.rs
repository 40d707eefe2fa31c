//! Stores which other ids the users of a batch have, before it is counted. The first user of an id stays its user, so a batch that
//! comes again changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::{App, AppId, AppState};
use tally_core::counter::checkpoint::SequenceNumber;
use tally_core::counter::folding::{Change, Record};
use tally_core::event::id::EventId;
use tally_core::people::identities::Identity;
use tally_core::time::{TimeDelta, Timestamp};
use tally_service::context::Context;

use crate::error::AggregateError;

/// The number of identities that are written concurrently.
const CONCURRENCY: usize = 8;
/// How long an identity is kept in an app without a retention.
const KEPT: TimeDelta = TimeDelta::days(400);

/// The identities that the records of a batch tell of, by sequence number.
pub(crate) type Told = HashMap<SequenceNumber, Identity>;

/// The users of the aliases of an app, in the order in which they were told, each with its event.
type Aliases<'a> = BTreeMap<&'a str, Vec<(&'a Identity, EventId)>>;

/// Stores the identities of a batch. Most events of a client that names both ids each time tell nothing new: those that this process
/// knows cost nothing, others a read for each alias.
pub(crate) async fn store(
    context: &Context,
    apps: &HashMap<AppId, Arc<App>>,
    records: &[Record],
    told: &Told,
) -> Result<(), AggregateError> {
    let now = context.clock.now();
    let mut of_apps: BTreeMap<&AppId, Aliases<'_>> = BTreeMap::new();
    for record in records {
        let Some(identity) = told.get(&record.sequence) else { continue };
        let app = &record.change.event().partition.app;
        match &record.change {
            Change::Remove(_) => context.aliases.forget(app, &identity.alias),
            Change::Insert(event) | Change::Modify(_, event) => {
                if !context.aliases.has(app, &identity.alias, now) {
                    let aliases = of_apps.entry(app).or_default();
                    aliases.entry(&identity.alias).or_default().push((identity, event.id));
                }
            }
        }
    }
    for (id, aliases) in of_apps {
        if let Some(app) = apps.get(id).filter(|app| app.state == AppState::Active) {
            store_of_app(context, app, &aliases, now).await?;
        }
    }
    Ok(())
}

async fn store_of_app(
    context: &Context,
    app: &App,
    aliases: &Aliases<'_>,
    now: Timestamp,
) -> Result<(), AggregateError> {
    let expires_at = app.layout.expires_at(now).unwrap_or(now + KEPT);
    let wanted: Vec<&str> = aliases.keys().copied().collect();
    let stored = context.store.identities_of(&app.id, &wanted, now).await?;
    // What is stored is written again once half of its time is over, by an event of the same user.
    let is_due = |at: Timestamp| (at - now) * 2 < expires_at - now;
    let mut open: Vec<(&Identity, EventId)> = Vec::new();
    for (alias, told) in aliases {
        match stored.get(*alias) {
            Some(stored) if is_due(stored.expires_at) => {
                open.extend(told.iter().filter(|(identity, _)| identity.user_id == stored.user_id));
            }
            Some(_) => {}
            None => open.extend(told),
        }
    }
    // A batch may be delivered again after its events were erased. Those tell nothing.
    let events: Vec<EventId> = open.iter().map(|(_, event)| *event).collect();
    let events = if events.is_empty() { HashMap::new() } else { context.store.counted_of(app, &events).await? };
    let mut seen = HashSet::new();
    open.retain(|(identity, event)| events.contains_key(event) && seen.insert(identity.alias.as_str()));
    let puts: Vec<_> =
        open.iter().map(|(identity, _)| context.store.put_identity(&app.id, identity, expires_at, now)).collect();
    stream::iter(puts).buffer_unordered(CONCURRENCY).try_collect::<Vec<bool>>().await?;
    // An alias of which every event was erased has no user that is known.
    let known = wanted.iter().filter(|alias| stored.contains_key(**alias) || seen.contains(**alias));
    known.for_each(|alias| context.aliases.note(&app.id, alias, now));
    Ok(())
}
