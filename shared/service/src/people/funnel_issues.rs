//! The errors that people met on their way through a funnel: after a step, those who left there, and those who went on.

use std::collections::{HashMap, HashSet};

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::filter::values::Values;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::group::{Group, shown};
use tally_core::event::level::Level;
use tally_core::issue::{MAX_ISSUE_MESSAGE, cut};
use tally_core::people::Hashed;
use tally_core::time::Range;
use tally_store::{Order, StoreError};

use super::funnel::{Found, Question};
use super::read;
use crate::reads::Reads;

/// Most issues of a step, of those who left and of those who went on.
const MOST_ISSUES: usize = 10;
/// The bytes that a person who met an issue takes in memory, and those of an issue beside its title.
const MET_BYTES: usize = 80;
const ISSUE_BYTES: usize = 200;

/// What people met after a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepIssues {
    /// The issues that those met after the step who went no further in the range, the most people first, then by title: at most
    /// [`MOST_ISSUES`].
    pub left: Vec<MetIssue>,
    /// The issues that those met who went on, before they reached the next step: the first ones, and those of `left`.
    pub went_on: Vec<MetIssue>,
}

/// An issue, and how many people met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetIssue {
    /// The issue.
    pub group: Group,
    /// What the messages that were met have in common; the name of the newest event where there is no message.
    pub title: String,
    /// The people who met it.
    pub people: u64,
}

/// An issue as far as its events were met.
struct Seen {
    number: u32,
    name: String,
    message: Option<String>,
    mark: u64,
    /// Whether all its messages are equal.
    are_equal: bool,
}

impl Seen {
    fn title(&self) -> String {
        let message = self.message.as_deref().map(|message| shown(message, self.are_equal));
        cut(message.as_deref().unwrap_or(&self.name), MAX_ISSUE_MESSAGE)
    }
}

/// Who met what.
#[derive(Default)]
struct Met {
    issues: HashMap<Group, Seen>,
    /// The people, by the number of the issue, the step that they were at, and whether they went on from it.
    people: HashMap<(u32, usize, bool), HashSet<Hashed>>,
}

impl Met {
    /// Adds an error of a person. Returns whether there is memory for it.
    fn add(&mut self, reads: &Reads, app: &App, event: Event, person: Hashed, (step, went_on): (usize, bool)) -> bool {
        let Some((group, mark)) = app.layout.group_of(event.id.at(), event.grouped()) else { return true };
        // There are fewer than 2^32.
        let number = u32::try_from(self.issues.len()).unwrap_or(u32::MAX);
        let mut bytes = 0;
        let seen = self.issues.entry(group).or_insert_with(|| {
            let Event { name, message, .. } = event;
            bytes += ISSUE_BYTES + name.len() + message.as_ref().map_or(0, String::len);
            Seen { number, name, message, mark, are_equal: true }
        });
        seen.are_equal &= seen.mark == mark;
        if self.people.entry((seen.number, step, went_on)).or_default().insert(person) {
            bytes += MET_BYTES;
        }
        bytes == 0 || reads.budget.hold(bytes).is_ok()
    }

    /// The issues of a step, the most people first, then by title.
    fn of(&self, step: usize, went_on: bool) -> Vec<MetIssue> {
        let people = |seen: &Seen| self.people.get(&(seen.number, step, went_on)).map_or(0, HashSet::len);
        let met = self.issues.iter().filter(|(_, seen)| people(seen) > 0);
        let mut met: Vec<_> = met
            .map(|(group, seen)| MetIssue { group: *group, title: seen.title(), people: people(seen) as u64 })
            .collect();
        met.sort_by(|a, b| b.people.cmp(&a.people).then_with(|| a.title.cmp(&b.title)));
        met
    }
}

/// Reads the errors of a range of the app's issue level and above, the oldest first, of people whose steps are known. Returns what
/// was met after each step but the last, and whether all errors were read.
///
/// # Errors
/// Where the store fails.
pub async fn issues(
    reads: &Reads,
    app: &App,
    question: &Question,
    found: &Found,
    range: Range,
) -> Result<(Vec<StepIssues>, bool), StoreError> {
    let levels = Level::ALL.into_iter().filter(|level| *level >= app.issue_level).collect();
    let level = Values::new(levels, vec![]).unwrap_or_default();
    let errors = EventFilter::from(CellFilter { level, ..CellFilter::default() });
    let mut met = Met::default();
    let read = read(reads, app, range, &errors, (Order::Ascending, None), |event| {
        let at = event.id.at().millis();
        let person = found.person(&event, question.by);
        let stage = person.and_then(|person| Some((person, found.funnel.stage(person, at)?)));
        stage.is_none_or(|(person, stage)| met.add(reads, app, event, person, stage))
    });
    let complete = read.await?.complete;
    let of_step = |step: usize| {
        let mut left = met.of(step, false);
        left.truncate(MOST_ISSUES);
        let mut went_on = met.of(step, true);
        let mut place = 0..;
        went_on.retain(|issue| {
            place.next().is_some_and(|n| n < MOST_ISSUES) || left.iter().any(|of_left| of_left.group == issue.group)
        });
        StepIssues { left, went_on }
    };
    Ok(((0..question.steps.len().saturating_sub(1)).map(of_step).collect(), complete))
}
