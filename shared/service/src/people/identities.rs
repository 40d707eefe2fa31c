//! Who is the same person, as far as a request reads it.

use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::people::By;
use tally_core::people::identities::Identities;
use tally_store::StoreError;

use crate::budget::ReadError;
use crate::reads::Reads;

/// Most identities that a request reads.
const MOST: usize = 20_000;
/// Those of one read.
const PAGE: i32 = 1_000;
/// They may take a quarter of the read units.
const SHARE: f64 = 4.0;
/// The bytes that an identity takes in memory, beside its content: two texts in a map.
const IDENTITY_BYTES: usize = 160;

/// The identities of an app.
#[derive(Clone, Debug)]
pub struct Known {
    /// Those that were read.
    pub identities: Identities,
    /// Whether these are all. If not, some people count once for each of their ids.
    pub complete: bool,
}

/// Which events are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What they match.
    pub filter: &'a EventFilter,
    /// Whether users in it are people, with all of their ids. Not for a key that is bounded to users: it reads what has the ids that it
    /// names, and no more.
    pub joins: bool,
}

impl Asked<'_> {
    fn names_people(&self) -> bool {
        self.joins && !self.filter.user_id.is_any()
    }
}

impl Known {
    /// A filter, with all ids of the people that it names.
    pub(super) fn filter(&self, asked: Asked<'_>) -> EventFilter {
        let filter = asked.filter.clone();
        if asked.names_people() { self.identities.filter(filter) } else { filter }
    }
}

/// Reads what is needed of the identities of an app: all of them where users are told apart, or where a filter names people; else
/// nothing.
///
/// # Errors
/// Where the store fails.
pub(super) async fn known_for(
    reads: &Reads,
    app: &App,
    by: By,
    mut asked: impl Iterator<Item = Asked<'_>>,
) -> Result<Known, StoreError> {
    if by == By::User || asked.any(|asked| asked.names_people()) {
        known(reads, app).await
    } else {
        Ok(Known { identities: Identities::default(), complete: true })
    }
}

/// Reads the identities of an app. They are not kept between requests: who has just signed in is one person in the next reply.
///
/// # Errors
/// Where the store fails.
pub async fn known(reads: &Reads, app: &App) -> Result<Known, StoreError> {
    let most_units = reads.budget.units() / SHARE;
    let (mut all, mut units, mut from) = (Vec::new(), 0.0, None);
    let complete = loop {
        let page = match reads.identities(&app.id, PAGE, from).await {
            Ok(page) => page,
            Err(ReadError::Spent(_)) => break false,
            Err(ReadError::Store(error)) => return Err(error),
        };
        units += page.units;
        let bytes = page.items.iter().map(|one| one.alias.len() + one.user_id.len() + IDENTITY_BYTES).sum();
        let has_room = reads.budget.hold(bytes).is_ok();
        all.extend(page.items);
        from = page.next;
        if from.is_none() {
            break true;
        }
        if !has_room || all.len() >= MOST || units >= most_units {
            break false;
        }
    };
    Ok(Known { identities: Identities::new(all), complete })
}
