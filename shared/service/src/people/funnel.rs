//! How many people go through some steps in order. What one request cannot read, another continues: the state is kept meanwhile.

use std::collections::HashMap;

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::people::funnel::{Funnel, Reached, Step};
use tally_core::people::identities::Identities;
use tally_core::people::{By, Hashed, Hasher, Person};
use tally_core::time::{Range, TimeDelta, Timestamp};
use tally_store::{Order, Store, StoreError};

use super::continuation::{self, Begun, State};
use super::identities::{Asked, Known, known_for};
use super::{Read, Texts, any_of, read};
use crate::reads::Reads;

/// Most values of a breakdown that are told apart; the others are `(other)` together.
pub const MAX_VALUES: usize = 1_000;
/// Longest value of a breakdown, in bytes; longer ones are cut.
const MAX_VALUE: usize = 256;
/// The bytes that a person in a list takes in memory, beside their id.
const LISTED_BYTES: usize = 120;
/// The values of a breakdown that are no text: none, and those that are not told apart.
const NONE: u32 = 0;
const OTHER: u32 = 1;
/// How many these are.
const RESERVED: usize = 2;

/// What people are divided by: what the event has that began their furthest chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breakdown {
    /// What lies at a path in `data`.
    Attribute(String),
    /// The level.
    Level,
    /// The category.
    Category,
    /// The slug.
    Slug,
}

impl Breakdown {
    /// The value of an event, as a text.
    fn of(&self, event: &Event) -> Option<String> {
        let text = match self {
            Self::Level => event.level.map(|level| level.as_str().to_owned()),
            Self::Category => event.category.clone(),
            Self::Slug => Some(event.slug.clone()),
            Self::Attribute(path) => match event.attribute(path)? {
                Json::Null => None,
                Json::String(text) => Some(text),
                // Numbers, lists and maps always serialize.
                other => Some(serde_json::to_string(&other).unwrap_or_default()),
            },
        };
        text.map(|mut text| {
            text.truncate(text.floor_char_boundary(MAX_VALUE));
            text
        })
    }
}

/// A funnel as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the event of each step matches, and what all events match. None matches more than the caller may read.
    pub steps: Vec<EventFilter>,
    /// What tells people apart.
    pub by: By,
    /// How long after the first event the others may happen.
    pub within: TimeDelta,
    /// What people are divided by.
    pub breakdown: Option<Breakdown>,
    /// Whether users in the steps are people, as [`Asked::joins`].
    pub joins: bool,
}

impl Question {
    /// The events that may be steps. Where each step names what counters know, only those minutes are read.
    fn events(&self) -> EventFilter {
        let cells = || self.steps.iter().map(|step| &step.cell);
        let cell = CellFilter {
            name: any_of(cells().map(|cell| &cell.name)),
            slug: any_of(cells().map(|cell| &cell.slug)),
            category: any_of(cells().map(|cell| &cell.category)),
            level: any_of(cells().map(|cell| &cell.level)),
            group: any_of(cells().map(|cell| &cell.group)),
        };
        let session_id = any_of(self.steps.iter().map(|step| &step.session_id));
        EventFilter { session_id, ..cell.into() }
    }

    fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.steps.iter().map(|filter| Asked { filter, joins: self.joins })
    }

    /// The same with all ids of the people that steps name, and the identities of the app.
    async fn of_people(&self, reads: &Reads, app: &App) -> Result<(Self, Known), StoreError> {
        let known = known_for(reads, app, self.by, self.asked()).await?;
        let steps = self.asked().map(|step| known.filter(step)).collect();
        Ok((Self { steps, ..self.clone() }, known))
    }

    /// The steps that an event matches, one bit each.
    fn matches(&self, event: &Event, app: &App) -> u8 {
        let bits = self.steps.iter().enumerate().map(|(k, step)| u8::from(step.matches(event, &app.layout)) << k);
        bits.sum()
    }

    /// What binds a state to an app, a question and to what the caller may read.
    pub fn bound(&self, app: &App, more: &str) -> String {
        continuation::bound(app, "funnel 3", &format!("{self:?}\n{more}"))
    }
}

/// A funnel, as far as it was read.
#[derive(Clone, Debug)]
pub struct Found {
    /// The people.
    pub funnel: Funnel,
    /// What was read, from the beginning.
    pub read: Read,
    hasher: Hasher,
    values: Texts,
    identities: Identities,
}

/// A value of a breakdown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// A value.
    Text(String),
    /// There is none.
    None,
    /// One of the others.
    Other,
}

impl Found {
    /// Who did what an event tells, as the funnel knows them.
    pub(super) fn person(&self, event: &Event, by: By) -> Option<Hashed> {
        self.identities.person_of(event, by).map(|person| self.hasher.hash(person))
    }

    /// What became of the steps for the most frequent values, and for all others together. The most people first, then by value;
    /// the others last.
    pub fn by_value(&self, most: usize) -> Vec<(Value, Vec<Reached>)> {
        let value = |number: u32| match (number, self.values.get(number)) {
            (OTHER, _) | (_, None) => Value::Other,
            (NONE, _) => Value::None,
            (_, Some(text)) => Value::Text(text.to_owned()),
        };
        let mut counts: Vec<_> = self.funnel.reached_by(|number| number).into_iter().collect();
        counts.sort_by_key(|(number, reached)| {
            let people = reached.first().map_or(0, |first| first.people);
            (std::cmp::Reverse(people), value(*number))
        });
        let own: HashMap<u32, Value> = counts
            .iter()
            .filter(|(number, _)| *number != OTHER)
            .take(most)
            .map(|(number, _)| (*number, value(*number)))
            .collect();
        let shown = |number: u32| own.get(&number).cloned().unwrap_or(Value::Other);
        let mut all: Vec<_> = self.funnel.reached_by(shown).into_iter().collect();
        all.sort_by_key(|(value, reached)| {
            let people = reached.first().map_or(0, |first| first.people);
            (*value == Value::Other, std::cmp::Reverse(people), value.clone())
        });
        all
    }
}

/// Keeps the state of a funnel that is not complete. Returns its token, or none if it is too large.
///
/// # Errors
/// Where the store fails.
pub async fn keep(
    store: &Store,
    found: Found,
    range: Range,
    bound: String,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let Found { funnel, read, hasher, values, .. } = found;
    let state = |after: EventId| State { hasher, values: values.all, people: funnel.encode(after.at().millis()) };
    continuation::keep(store, &read, range, bound, now, state).await
}

/// Reads a funnel, the oldest events first, or goes on with one. All steps are in the range.
///
/// # Errors
/// Where the store fails, or a state cannot be read.
pub async fn funnel(
    reads: &Reads,
    app: &App,
    question: &Question,
    range: Range,
    mut begun: Option<Begun>,
) -> Result<Found, StoreError> {
    let steps = question.steps.len();
    let after = begun.as_ref().map(Begun::after);
    let (mut funnel, hasher, mut values) = match &mut begun {
        None => {
            let reserved = vec![String::new(); RESERVED];
            (Funnel::new(steps, question.within), Hasher::random(), Texts::of(reserved, RESERVED))
        }
        Some(begun) => {
            let at = begun.after().at().millis();
            let funnel = Funnel::decode(steps, question.within, at, begun.people());
            let funnel = funnel.map_err(|e| StoreError::Unreadable(e.to_string()))?;
            (funnel, begun.hasher(), Texts::of(begun.take_values(), RESERVED))
        }
    };
    // A person whose other id becomes known while a funnel goes on counts with that id from then on.
    let (question, known) = question.of_people(reads, app).await?;
    // What was read before takes its memory too. If it has no room, the first event ends the walk.
    let _ = reads.budget.hold(funnel.people() * funnel.bytes_of_person());
    let events = question.events();
    let read = read(reads, app, range, &events, (Order::Ascending, after), |event| {
        let Some(person) = known.identities.person_of(&event, question.by) else { return true };
        let matches = question.matches(&event, app);
        if matches == 0 {
            return true;
        }
        let mut has_room = true;
        // Only a first step tells the value of its chain.
        let value = match &question.breakdown {
            Some(breakdown) if matches & 1 == 1 => match breakdown.of(&event) {
                None => NONE,
                Some(text) if values.all.len() < MAX_VALUES + RESERVED || values.numbers.contains_key(&text) => {
                    let number = values.number(reads, &text);
                    has_room = number.is_some();
                    number.unwrap_or(OTHER)
                }
                Some(_) => OTHER,
            },
            _ => NONE,
        };
        let step = Step { at: event.id.at().millis(), matches, value };
        let changed = funnel.add(hasher.hash(person), step);
        has_room && (!changed.is_new || reads.budget.hold(funnel.bytes_of_person()).is_ok())
    });
    let read = Read { identities: known.complete, ..read.await? };
    let read = match begun {
        Some(begun) => begun.continued_by(read),
        None => read,
    };
    Ok(Found { funnel, read, hasher, values, identities: known.identities })
}

/// A person at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtStep {
    /// The user, by the id where the others lead; none if there is no user.
    pub user_id: Option<String>,
    /// The session of who has no user.
    pub session_id: Option<String>,
    /// When the person reached the step first.
    pub at: Timestamp,
}

impl AtStep {
    /// The id.
    pub fn id(&self) -> &str {
        self.user_id.as_deref().or(self.session_id.as_deref()).unwrap_or_default()
    }

    fn of(person: Person<'_>, at: Timestamp) -> Self {
        match person {
            Person::User(id) => Self { user_id: Some(id.to_owned()), session_id: None, at },
            Person::Session(id) => Self { user_id: None, session_id: Some(id.to_owned()), at },
        }
    }
}

/// The people who reached a step, by its place from 0, or who reached the one before and not this one: then with the time of the one
/// before. The last to reach it come first, then by id.
///
/// # Errors
/// Where the store fails.
pub async fn people(
    reads: &Reads,
    app: &App,
    question: &Question,
    range: Range,
    (step, reached): (usize, bool),
) -> Result<(Vec<AtStep>, Read), StoreError> {
    let hasher = Hasher::random();
    let (question, known) = question.of_people(reads, app).await?;
    let mut funnel = Funnel::new(question.steps.len(), question.within);
    let mut listed: HashMap<Hashed, AtStep> = HashMap::new();
    let from = if reached { step } else { step.saturating_sub(1) };
    let events = question.events();
    let read = read(reads, app, range, &events, (Order::Ascending, None), |event| {
        let Some(person) = known.identities.person_of(&event, question.by) else { return true };
        let matches = question.matches(&event, app);
        if matches == 0 {
            return true;
        }
        let hashed = hasher.hash(person);
        let changed = funnel.add(hashed, Step { at: event.id.at().millis(), matches, value: NONE });
        let mut has_room = !changed.is_new || reads.budget.hold(funnel.bytes_of_person()).is_ok();
        if changed.reached == Some(from) {
            let at_step = AtStep::of(person, event.at(app.clock));
            has_room &= reads.budget.hold(LISTED_BYTES + at_step.id().len()).is_ok();
            listed.insert(hashed, at_step);
        } else if !reached && changed.reached == Some(step) {
            listed.remove(&hashed);
        }
        has_room
    });
    let read = Read { identities: known.complete, ..read.await? };
    let mut all: Vec<_> = listed.into_values().collect();
    all.sort_unstable_by(|a, b| (b.at, a.id()).cmp(&(a.at, b.id())).then_with(|| a.user_id.cmp(&b.user_id)));
    Ok((all, read))
}
