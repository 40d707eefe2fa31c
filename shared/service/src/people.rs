//! What people did: sessions, visits, funnels, retention, what came next, and numbers. All of it is read from events, as far as the read
//! budget goes, and each answer tells what it covers.

pub mod continuation;
pub mod funnel;
pub mod funnel_issues;
pub mod identities;
pub mod known_aliases;
pub mod next;
pub mod numbers;
pub mod retention;
pub mod session_statistics;
pub mod sessions;
pub mod visits;

use std::collections::{BTreeSet, HashMap};

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::filter::EventFilter;
use tally_core::event::filter::values::Values;
use tally_core::event::id::EventId;
use tally_core::time::{MILLISECOND, Range, Timestamp};
use tally_store::{Order, StoreError};

use crate::read::query::EventQuery;
use crate::read::reader::{End, walk};
use crate::reads::Reads;
use crate::report::count::counted_to;
use crate::report::from_events::live_events;

/// The bytes that a distinct text takes in memory, beside its content.
const TEXT_BYTES: usize = 100;

/// What an answer from events covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The time of which all events were read.
    pub covered: Range,
    /// Whether that is all that was asked for.
    pub complete: bool,
    /// Whether no event of the range has expired.
    pub is_kept: bool,
    /// Everything that was accepted before this time is read.
    pub counted_to: Timestamp,
    /// Everything that was accepted and happened from this time on is read too, if what is covered reaches so far.
    pub live_from: Option<Timestamp>,
    /// Where to go on, if the budget ended: after this event.
    pub frontier: Option<EventId>,
    /// Whether all ids of people are known, where people are told apart by user.
    pub identities: bool,
}

/// Shows the events of a range in order, until the callback returns false or the budget ends. An event that the callback returns
/// false for was taken.
async fn read(
    reads: &Reads,
    app: &App,
    range: Range,
    filter: &EventFilter,
    (order, after): (Order, Option<EventId>),
    mut show: impl FnMut(Event) -> bool,
) -> Result<Read, StoreError> {
    let counted_to = counted_to(reads, app).await?;
    let (query, live_from) = live_events(reads, app, range, filter, usize::MAX / 2).await?;
    let query = EventQuery { order, after, ..query };
    let mut last = None;
    let end = walk(reads, app, &query, |event| {
        last = Some(event.id);
        show(event)
    });
    let frontier = match end.await? {
        End::Read { frontier } => frontier,
        End::Stopped => last,
    };
    let covered = frontier.map_or(range, |frontier| covered(range, order, frontier));
    let kept = app.layout.kept(range, reads.now);
    let is_kept = range.is_empty() || kept == [range];
    // Of what has expired nothing is known.
    let covered = if is_kept { covered } else { covered.intersect(kept.last().copied().unwrap_or(Range::EMPTY)) };
    let live_from = match order {
        Order::Ascending => live_from.filter(|from| *from < covered.until()),
        Order::Descending => live_from.map(|from| from.max(covered.since())),
    };
    let complete = frontier.is_none() && is_kept;
    Ok(Read { covered, complete, is_kept, counted_to, live_from, frontier, identities: true })
}

/// The part of a range of which all events come before a place: of the millisecond of that place there may be more.
fn covered(range: Range, order: Order, frontier: EventId) -> Range {
    let at = frontier.at();
    let covered = match order {
        Order::Ascending => Range::new(range.since(), at.clamp(range.since(), range.until())),
        Order::Descending => Range::new((at + MILLISECOND).clamp(range.since(), range.until()), range.until()),
    };
    covered.unwrap_or(Range::EMPTY)
}

/// Texts by number, so that each is held once.
#[derive(Clone, Debug, Default)]
struct Texts {
    all: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Texts {
    /// Some texts, the first of which have numbers that are no text's.
    fn of(all: Vec<String>, reserved: usize) -> Self {
        // They are far fewer than 2^32.
        let numbers = all.iter().zip(0u32..).skip(reserved).map(|(text, n)| (text.clone(), n)).collect();
        Self { all, numbers }
    }

    /// The number of a text. None if it has no room in memory.
    fn number(&mut self, reads: &Reads, text: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        reads.budget.hold(2 * text.len() + TEXT_BYTES).ok()?;
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        Some(number)
    }

    fn get(&self, number: u32) -> Option<&str> {
        self.all.get(usize::try_from(number).ok()?).map(String::as_str)
    }
}

/// The values that one of some filters on a field takes, where all of them list theirs and they are few enough to look for.
fn any_of<'a, T: Ord + Clone + 'a>(filters: impl Iterator<Item = &'a Values<T>>) -> Values<T> {
    let mut all = BTreeSet::new();
    for filter in filters {
        let Some(listed) = filter.listed() else { return Values::default() };
        all.extend(listed.iter().cloned());
    }
    Values::new(all.into_iter().collect(), vec![]).unwrap_or_default()
}
