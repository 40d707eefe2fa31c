//! The visits of a web page.

use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::people::visits::{ENGAGEMENT, Kind, Told, VIEWS, VISIT_BYTES, VisitEvent, Visits, engaged, page_of};
use tally_core::people::{By, Hasher, Person};
use tally_core::time::{Range, TimeDelta, Timestamp};
use tally_store::{Order, StoreError};

use super::identities::{Asked, known_for};
use super::{Read, Texts, read};
use crate::reads::Reads;

/// What is told of the visits of a range.
#[derive(Clone, Debug)]
pub struct Found {
    /// The visits.
    pub told: Told,
    /// What was read.
    pub read: Read,
    pages: Texts,
}

impl Found {
    /// The path of a page.
    pub fn page(&self, number: u32) -> Option<&str> {
        self.pages.get(number)
    }
}

/// The visits of a range with a view, and with an event that matches a filter: with all of their events in the range that match `own`,
/// which is what the caller may read. The newest are read first. A visitor is a user with all their ids, or else a session.
///
/// # Errors
/// Where the store fails.
pub async fn visits(
    reads: &Reads,
    app: &App,
    (range, starts): (Range, &[Timestamp]),
    own: &EventFilter,
    asked: Asked<'_>,
) -> Result<Found, StoreError> {
    let hasher = Hasher::random();
    let known = known_for(reads, app, By::User, std::iter::once(asked)).await?;
    let filter = known.filter(asked);
    let mut visits = Visits::default();
    let mut pages = Texts::default();
    let read = read(reads, app, range, own, (Order::Descending, None), |event| {
        let Some(visitor) = known.identities.person_of(&event, By::User) else { return true };
        let kind = match event.name.as_str() {
            name if VIEWS.contains(&name) => match page_of(&event) {
                None => Kind::View(None),
                Some(page) => match pages.number(reads, &page) {
                    None => return false,
                    number => Kind::View(number),
                },
            },
            ENGAGEMENT => Kind::Engagement,
            _ => Kind::Other,
        };
        let seen = VisitEvent {
            at: event.at(app.clock),
            lasted: if kind == Kind::Engagement { engaged(&event) } else { TimeDelta::ZERO },
            count: event.count,
            kind,
            matches: filter.matches(&event, &app.layout),
        };
        let anonymous = matches!(visitor, Person::Session(_));
        !visits.add((hasher.hash(visitor), anonymous), &seen) || reads.budget.hold(VISIT_BYTES).is_ok()
    });
    let read = Read { identities: known.complete, ..read.await? };
    Ok(Found { told: visits.tell(starts), read, pages })
}
