//! Bounds on the names of an app, so that random names from a public key cannot fill its counters.
//!
//! What is bounded is what takes a counter of its own: a name with its slug and category. There are two bounds:
//!
//! - An app with `max_new_names_per_day` keeps a list of the names that it uses, and takes room for new ones from a number
//!   that all functions share. So the bound holds exactly, whatever the number of warm functions. If the list does not
//!   answer, events with names that this process does not know are not stored, and may be sent again.
//! - An app without it costs nothing: each warm function takes at most [`UNSET`] different names a UTC day. Together they
//!   take at most that many times the number of functions that ran on that day.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::{App, AppId};
use tally_core::digest::sha256;
use tally_core::event::Event;
use tally_core::event::id::EventId;
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::{DAY, Timestamp};
use tally_store::{Deadline, Store, StoreError};

use crate::ingest::rejection::Rejection;

/// Most names that one warm function takes of an app in a UTC day, where the app sets no limit.
pub const UNSET: usize = 10_000;
/// Most names of an app that a process remembers from the app's list.
const MOST_REMEMBERED: usize = 20_000;
/// Most apps whose names a process remembers.
const MOST_APPS: usize = 200;

/// The names that a warm function has met.
#[derive(Debug, Default)]
pub struct Names {
    apps: Mutex<HashMap<AppId, Met>>,
    // Seeded for each process, so that nobody can make names that it takes for one another.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Met {
    /// The start of the day on which they were met, where the app sets no limit.
    day: Option<Timestamp>,
    names: HashSet<u64>,
}

impl Names {
    /// Returns the events whose names an app does not take, and why.
    pub async fn refused(
        &self,
        store: &Store,
        app: &App,
        now: Timestamp,
        deadline: Deadline,
        events: &[&Event],
    ) -> HashMap<EventId, Rejection> {
        let (allowed, others): (Vec<&Event>, Vec<&Event>) =
            events.iter().copied().partition(|event| app.names.is_empty() || app.names.contains(&event.name));
        let not_allowed = Refusal::new(
            Reason::NameNotAllowed,
            "the app does not take this name: PATCH its setting `names` to allow it",
        );
        let mut refused: HashMap<_, _> =
            others.into_iter().map(|event| (event.id, Rejection::Refused(not_allowed.clone()))).collect();
        match app.max_new_names_per_day {
            None => self.refuse_of_function(app, now, &allowed, &mut refused),
            Some(most) => self.refuse_of_app(store, app, now, deadline, most, &allowed, &mut refused).await,
        }
        refused
    }

    /// The bound of one function.
    fn refuse_of_function(
        &self,
        app: &App,
        now: Timestamp,
        events: &[&Event],
        refused: &mut HashMap<EventId, Rejection>,
    ) {
        let mut apps = self.apps();
        let met = met(&mut apps, &app.id);
        let day = now.floor(DAY);
        if met.day != Some(day) {
            *met = Met { day: Some(day), names: HashSet::new() };
        }
        for event in events {
            let name = self.hash(event);
            if met.names.len() < UNSET {
                met.names.insert(name);
            } else if !met.names.contains(&name) {
                refused.insert(event.id, too_many(UNSET));
            }
        }
    }

    /// The bound that all functions share.
    #[allow(clippy::too_many_arguments)] // it is called once
    async fn refuse_of_app(
        &self,
        store: &Store,
        app: &App,
        now: Timestamp,
        deadline: Deadline,
        most: u32,
        events: &[&Event],
        refused: &mut HashMap<EventId, Rejection>,
    ) {
        let mut unknown: HashMap<u64, Vec<EventId>> = HashMap::new();
        let mut order = Vec::new();
        {
            let mut apps = self.apps();
            let met = met(&mut apps, &app.id);
            if met.day.is_some() {
                *met = Met::default();
            }
            for event in events {
                if !met.names.contains(&self.hash(event)) {
                    let events = unknown.entry(listed(event)).or_default();
                    if events.is_empty() {
                        order.push(listed(event));
                    }
                    events.push(event.id);
                }
            }
        }
        if unknown.is_empty() {
            return;
        }
        let asked = deadline.hold(admit(store, &app.id, now, most, &order)).await;
        let admitted = match asked {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::warn!(%error, "could not read the names of an app");
                let failed = unknown.into_values().flatten();
                refused.extend(failed.map(|id| (id, Rejection::Store(error.clone()))));
                return;
            }
        };
        for (name, events) in &unknown {
            if !admitted.contains(name) {
                refused.extend(events.iter().map(|id| (*id, too_many(most as usize))));
            }
        }
        let mut apps = self.apps();
        let met = met(&mut apps, &app.id);
        if met.names.len() + admitted.len() > MOST_REMEMBERED {
            met.names.clear();
        }
        let known = events.iter().filter(|event| admitted.contains(&listed(event)));
        met.names.extend(known.map(|event| self.hash(event)).take(MOST_REMEMBERED));
    }

    /// What stands for a name in this process.
    fn hash(&self, event: &Event) -> u64 {
        self.hasher.hash_one((&event.name, &event.slug, &event.category))
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<AppId, Met>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn met<'a>(apps: &'a mut HashMap<AppId, Met>, app: &AppId) -> &'a mut Met {
    if apps.len() >= MOST_APPS && !apps.contains_key(app) {
        apps.clear();
    }
    apps.entry(app.clone()).or_default()
}

/// Of some names, those that the app is known to use and those for which there was room today.
async fn admit(
    store: &Store,
    app: &AppId,
    now: Timestamp,
    most: u32,
    names: &[u64],
) -> Result<HashSet<u64>, StoreError> {
    let mut admitted = store.known_names(app, names).await?;
    let new: Vec<_> = names.iter().copied().filter(|name| !admitted.contains(name)).collect();
    let wanted = u32::try_from(new.len()).unwrap_or(u32::MAX);
    let room = store.take_room_for_names(app, now, wanted, most).await?;
    let new = &new[..new.len().min(room as usize)];
    // The room is taken first: names that are lost between take room again, which only makes the bound stricter.
    store.put_names(app, new).await?;
    admitted.extend(new);
    Ok(admitted)
}

/// What stands for a name in the app's list: the same for ever.
fn listed(event: &Event) -> u64 {
    let Event { name, slug, category, .. } = event;
    let text = format!("{}:{name}{}:{slug}{}", name.len(), slug.len(), category.as_deref().unwrap_or_default());
    sha256(text.as_bytes()).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

fn too_many(most: usize) -> Rejection {
    Rejection::Refused(Refusal::new(
        Reason::TooManyNewNames,
        format!("{most} new names came today: put what varies into `data`, or PATCH the app's `max_new_names_per_day`"),
    ))
}

#[cfg(test)]
mod tests {
    use tally_core::app::EventClock;
    use tally_core::app::layout::Layout;
    use tally_core::event::draft::Draft;

    use super::*;

    fn events(app: &App, now: Timestamp, numbers: std::ops::Range<usize>) -> Vec<Event> {
        let draft = |n: usize| Draft { name: Some(format!("n{n}")), ..Draft::default() };
        numbers.map(|n| draft(n).accept(app, now).expect("an event")).collect()
    }

    #[test]
    fn without_a_limit_a_function_takes_so_many_names_a_day_and_known_ones_go_on() {
        let now = Timestamp::EPOCH + 100 * DAY;
        let app = App::new("shop", EventClock::Event, Layout::new(1, None), now).expect("a name");
        let names = Names::default();
        let ask = |now: Timestamp, numbers| {
            let events = events(&app, now, numbers);
            let mut refused = HashMap::new();
            names.refuse_of_function(&app, now, &events.iter().collect::<Vec<_>>(), &mut refused);
            refused.len()
        };
        assert_eq!(ask(now, 0..UNSET), 0);
        assert_eq!(ask(now, 0..UNSET + 5), 5);
        assert_eq!(ask(now + DAY, UNSET..UNSET + 5), 0, "another day");
    }

    #[test]
    fn a_name_is_listed_for_ever_like_this() {
        let now = Timestamp::EPOCH + 100 * DAY;
        let app = App::new("shop", EventClock::Event, Layout::new(1, None), now).expect("a name");
        let event = |name: &str, slug: &str, category: Option<&str>| {
            let draft = Draft {
                name: Some(name.into()),
                slug: Some(slug.into()),
                category: category.map(Into::into),
                ..Draft::default()
            };
            listed(&draft.accept(&app, now).expect("an event"))
        };
        assert_eq!(
            event("login", "login", None),
            u64::from_be_bytes(sha256(b"5:login5:login")[..8].try_into().expect("8 bytes"))
        );
        assert_ne!(event("a", "b", None), event("a", "b", Some("c")));
        assert_ne!(event("ab", "c", None), event("a", "bc", None));
    }
}
