//! Filters that select the events and counts of a query. What a filter leaves out matches everything; all that it names
//! must match.

pub mod attribute;
pub mod search;
pub mod values;

use std::collections::BTreeSet;

use crate::app::layout::Layout;
use crate::counter::cell::{Cell, CounterLabel, OTHER};
use crate::counter::key::CounterKind;
use crate::counter::property::{CountedPath, Property};
use crate::event::Event;
use crate::event::group::Group;
use crate::event::level::Level;

use self::attribute::{AttributeError, AttributeFilter, MOST_ATTRIBUTES};
use self::search::TextSearch;
use self::values::Values;

/// A filter on what counters know: the four dimensions of a cell, and the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellFilter {
    /// The name.
    pub name: Values<String>,
    /// The slug.
    pub slug: Values<String>,
    /// The category.
    pub category: Values<String>,
    /// The level.
    pub level: Values<Level>,
    /// The group. Counters of cells do not know it, and counters of groups know the level alone.
    pub group: Values<Group>,
}

/// What is read from counters: the counts that match a filter, of cells or groups, or of the values at a path.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The filter.
    pub filter: &'a CellFilter,
    /// The path, whose values are counted throughout the range. The filter then asks for no groups.
    pub values_of: Option<&'a CountedPath>,
}

impl<'a> From<&'a CellFilter> for Selection<'a> {
    fn from(filter: &'a CellFilter) -> Self {
        Self { filter, values_of: None }
    }
}

impl Selection<'_> {
    /// The kinds of counters that know it.
    pub fn kinds(&self) -> &'static [CounterKind] {
        if self.values_of.is_some() { &[CounterKind::Properties] } else { self.filter.kinds() }
    }

    /// Whether it asks for the rest of full items by its own name.
    pub fn names_other(&self) -> bool {
        self.values_of.is_none() && self.filter.names_other()
    }

    /// Whether a count of its kinds matches.
    pub fn counts(&self, counted: &CounterLabel) -> Match {
        match self.values_of {
            Some(path) => self.filter.counts_value(path, counted),
            None => self.filter.counts(counted),
        }
    }

    /// What counters of its kinds count an event as. None if they do not count it.
    pub fn label(
        &self,
        cell: Cell,
        group: impl FnOnce() -> Option<Group>,
        properties: &[Property],
    ) -> Option<CounterLabel> {
        let Some(path) = self.values_of else { return self.filter.label(cell, group) };
        let property = properties.iter().find(|property| property.path == *path)?;
        Some(CounterLabel::of_property(cell, property))
    }
}

/// Whether a count matches a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// All of it matches.
    Yes,
    /// None of it matches.
    No,
    /// Part of it may match: it is the rest of a full item.
    Perhaps,
}

impl CellFilter {
    /// A filter on one name.
    pub fn of_name(name: impl Into<String>) -> Self {
        Self { name: Values::only(name.into()), ..Self::default() }
    }

    /// A filter on one level.
    pub fn of_level(level: Level) -> Self {
        Self { level: Values::only(level), ..Self::default() }
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        !self.is_fine() && self.level.is_any() && self.group.is_any()
    }

    /// Whether it asks for more than a level, which the rest of a full item cannot tell.
    pub fn is_fine(&self) -> bool {
        !(self.name.is_any() && self.slug.is_any() && self.category.is_any())
    }

    /// Whether it asks for the rest of full items by its own name.
    pub fn names_other(&self) -> bool {
        self.name.listed().is_some_and(|names| names.contains(OTHER))
    }

    /// The groups that it asks for, if counters of groups answer it.
    pub fn groups(&self) -> Option<&BTreeSet<Group>> {
        self.group.listed().filter(|_| !self.is_fine())
    }

    /// Whether no counters answer it: groups of a name, slug or category, or all groups but some.
    pub fn asks_events(&self) -> bool {
        !self.group.is_any() && self.groups().is_none()
    }

    /// Whether counters tell where its matches are.
    pub fn is_located(&self) -> bool {
        self.is_fine() || !self.level.is_any() || self.group.listed().is_some()
    }

    /// The kinds of counters that know its matches most precisely.
    pub fn kinds(&self) -> &'static [CounterKind] {
        if self.group.listed().is_some() { &[CounterKind::Messages] } else { CounterKind::that_count(&self.level) }
    }

    /// What counters of its kinds count an event as. None if they do not count it.
    pub fn label(&self, cell: Cell, group: impl FnOnce() -> Option<Group>) -> Option<CounterLabel> {
        match self.group.listed() {
            Some(_) => Some(CounterLabel::Group(cell.level, group()?)),
            None => Some(CounterLabel::Cell(cell)),
        }
    }

    /// Whether an event of a cell and a group matches.
    pub fn matches(&self, cell: &Cell, group: impl FnOnce() -> Option<Group>) -> bool {
        self.matches_cell(cell) && (self.group.is_any() || self.group.matches(group().as_ref()))
    }

    fn matches_cell(&self, cell: &Cell) -> bool {
        self.name.matches(Some(cell.name.as_str()))
            && self.slug.matches(Some(cell.slug.as_str()))
            && self.category.matches(cell.category.as_deref())
            && self.level.matches(cell.level.as_ref())
    }

    /// Whether a count of its [`kinds`](Self::kinds) matches.
    pub fn counts(&self, counted: &CounterLabel) -> Match {
        if let Some(groups) = self.group.listed() {
            // Counters of groups do not know the names that a group has.
            let all = if self.is_fine() { Match::Perhaps } else { Match::Yes };
            return match counted {
                CounterLabel::Group(level, group) if self.level.matches(level.as_ref()) && groups.contains(group) => {
                    all
                }
                CounterLabel::Other(level) if self.level.matches(level.as_ref()) => Match::Perhaps,
                _ => Match::No,
            };
        }
        let all = if self.group.is_any() { Match::Yes } else { Match::Perhaps };
        match counted {
            CounterLabel::Cell(cell) if self.matches_cell(cell) => all,
            CounterLabel::Other(level) if self.level.matches(level.as_ref()) => {
                // Asked for by its own name, it is what it is.
                let itself = self.names_other() && self.slug.is_any() && self.category.is_any();
                if self.is_fine() && !itself { Match::Perhaps } else { all }
            }
            _ => Match::No,
        }
    }

    /// Whether the count of a value at a path matches.
    fn counts_value(&self, of: &CountedPath, counted: &CounterLabel) -> Match {
        match counted {
            CounterLabel::Value(cell, path, _) if path == of && self.matches_cell(cell) => Match::Yes,
            CounterLabel::OtherValues(level, path) if path == of && self.level.matches(level.as_ref()) => {
                if self.is_fine() { Match::Perhaps } else { Match::Yes }
            }
            _ => Match::No,
        }
    }

    /// What matches both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            name: self.name.and(other.name),
            slug: self.slug.and(other.slug),
            category: self.category.and(other.category),
            level: self.level.and(other.level),
            group: self.group.and(other.group),
        }
    }
}

/// A filter on events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The dimensions that counters know.
    pub cell: CellFilter,
    /// The exact message.
    pub message: Values<String>,
    /// The session.
    pub session_id: Values<String>,
    /// The user.
    pub user_id: Values<String>,
    /// Users by all of their ids, where those are known.
    pub people: Vec<PeopleFilter>,
    /// The fingerprint.
    pub fingerprint: Values<String>,
    /// Conditions on attributes of `data`.
    pub attributes: AttributeFilters,
    /// Texts that it has somewhere, all of them: that of a request, and that of the key it comes with.
    pub searches: Vec<TextSearch>,
}

/// What some people did, by any of their ids; or what they did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeopleFilter {
    /// All of their ids.
    pub ids: BTreeSet<String>,
    /// Those that became ids of a user: an event without a user is theirs by its alias, or else by its session.
    pub aliases: BTreeSet<String>,
    /// Whether it is one of them who did it, or somebody else.
    pub is_one: bool,
}

impl PeopleFilter {
    fn matches(&self, event: &Event) -> bool {
        let is_alias = |id: &Option<String>| id.as_ref().is_some_and(|id| self.aliases.contains(id));
        let is_one = match &event.user_id {
            Some(user) => self.ids.contains(user),
            None => is_alias(&event.alias) || is_alias(&event.session_id),
        };
        is_one == self.is_one
    }
}

/// A few conditions on attributes, all of which must be fulfilled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeFilters(Vec<AttributeFilter>);

impl AttributeFilters {
    /// All of these.
    ///
    /// # Errors
    /// Where they are more than [`MOST_ATTRIBUTES`].
    pub fn new(all: Vec<AttributeFilter>) -> Result<Self, AttributeError> {
        if all.len() > MOST_ATTRIBUTES { Err(AttributeError::Conditions(all.len())) } else { Ok(Self(all)) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<CellFilter> for EventFilter {
    fn from(cell: CellFilter) -> Self {
        Self { cell, ..Self::default() }
    }
}

impl EventFilter {
    /// Whether an event of an app with a layout matches.
    pub fn matches(&self, event: &Event, layout: &Layout) -> bool {
        let group = || Some(layout.group_of(event.id.at(), event.grouped())?.0);
        self.message.matches(event.message.as_deref())
            && self.session_id.matches(event.session_id.as_deref())
            && self.user_id.matches(event.user_id.as_deref())
            && self.people.iter().all(|people| people.matches(event))
            && self.fingerprint.matches(event.fingerprint.as_deref())
            && (self.cell.is_empty() || self.cell.matches(&event.cell(), group))
            && self.attributes.0.iter().all(|attribute| attribute.matches(event))
            && self.searches.iter().all(|search| search.matches(event))
    }

    /// Whether no event can match.
    pub fn is_nothing(&self) -> bool {
        let CellFilter { name, slug, category, level, group } = &self.cell;
        let texts = [name, slug, category, &self.message, &self.session_id, &self.user_id, &self.fingerprint];
        texts.into_iter().any(Values::is_nothing) || level.is_nothing() || group.is_nothing()
    }

    /// The fields that it asks about and counters of cells do not know, as parameters name them.
    pub fn beyond_cells(&self) -> Vec<&'static str> {
        let texts = [
            ("message", &self.message),
            ("session_id", &self.session_id),
            ("user_id", &self.user_id),
            ("fingerprint", &self.fingerprint),
        ];
        let texts = texts.into_iter().filter(|(_, values)| !values.is_any()).map(|(name, _)| name);
        let others = [
            ("user_id", self.people.is_empty()),
            ("attr", self.attributes.is_empty()),
            ("q", self.searches.is_empty()),
        ];
        texts.chain(others.into_iter().filter(|(_, is_empty)| !is_empty).map(|(name, _)| name)).collect()
    }

    /// Whether no counters answer it: it asks about what they do not know, or about what none of them knows together.
    pub fn asks_events(&self) -> bool {
        self.cell.asks_events() || !self.beyond_cells().is_empty()
    }

    /// What matches both. Two filters may have more conditions together than one may have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let attributes = [self.attributes.0, other.attributes.0].concat();
        Self {
            cell: self.cell.and(other.cell),
            message: self.message.and(other.message),
            session_id: self.session_id.and(other.session_id),
            user_id: self.user_id.and(other.user_id),
            people: [self.people, other.people].concat(),
            fingerprint: self.fingerprint.and(other.fingerprint),
            attributes: AttributeFilters(attributes),
            searches: [self.searches, other.searches].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::Json;
    use attribute::Operator;

    #[test]
    fn an_event_matches_where_every_filter_does() {
        let some = |text: &str| Some(text.to_owned());
        let bare = Event::bare();
        let event = Event {
            category: some("c"),
            level: Some(Level::Info),
            message: some("d"),
            session_id: some("e"),
            user_id: some("f"),
            data: Some(Json::Object([("g".to_owned(), Json::Bool(true))].into())),
            ..bare.clone()
        };
        let layout = Layout::new(1, None);
        let all = EventFilter::default();
        let cell = |cell| EventFilter { cell, ..EventFilter::default() };
        let cells = CellFilter::default();
        let attribute =
            |value: &str| AttributeFilter::new("g", Operator::Is, vec![value.to_owned()]).expect("a condition");
        let attributes = |all| AttributeFilters::new(all).expect("few conditions");
        let only = |text: &str| Values::only(text.to_owned());
        let filters = |wanted: fn(&str) -> &str, level| {
            [
                cell(CellFilter { name: only(wanted("a")), ..cells.clone() }),
                cell(CellFilter { slug: only(wanted("b")), ..cells.clone() }),
                cell(CellFilter { category: only(wanted("c")), ..cells.clone() }),
                cell(CellFilter { level: Values::only(level), ..cells.clone() }),
                EventFilter { message: only(wanted("d")), ..all.clone() },
                cell(CellFilter { group: Values::only(Group::of_message(wanted("d"))[0]), ..cells.clone() }),
                EventFilter { session_id: only(wanted("e")), ..all.clone() },
                EventFilter { user_id: only(wanted("f")), ..all.clone() },
                EventFilter {
                    attributes: attributes(vec![attribute("true"), attribute(wanted("true"))]),
                    ..all.clone()
                },
            ]
        };
        assert!(all.matches(&event, &layout) && all.matches(&bare, &layout));
        let level = Level::Info.as_str();
        let fields = ["name", "slug", "category", "level", "message", "session_id", "user_id"];
        for (field, text) in fields.into_iter().zip(["a", "b", "c", level, "d", "e", "f"]) {
            assert_eq!(event.attribute(field), Some(Json::String(text.to_owned())), "{field}");
        }
        assert!(all.cell.is_empty());
        for (i, filter) in filters(|same| same, Level::Info).into_iter().enumerate() {
            assert!(filter.matches(&event, &layout), "{filter:?}");
            // It has a name and a slug, and nothing else.
            assert_eq!(filter.matches(&bare, &layout), i < 2, "{filter:?}");
            assert!(i > 3 || !filter.cell.is_empty());
        }
        for filter in filters(|_| "z", Level::Warn) {
            assert!(!filter.matches(&event, &layout) && !filter.matches(&bare, &layout), "{filter:?}");
        }
    }

    #[test]
    fn a_count_matches_by_its_cell() {
        let counted = |level| {
            let (name, slug) = ("a".to_owned(), "b".to_owned());
            CounterLabel::Cell(Cell { name, slug, category: Some("c".to_owned()), level })
        };
        let of_c = CellFilter { category: Values::only("c".to_owned()), ..CellFilter::of_level(Level::Info) };
        assert_eq!(of_c.counts(&counted(Some(Level::Info))), Match::Yes);
        assert_eq!(of_c.counts(&counted(None)), Match::No);
        let rest = |filter: CellFilter| filter.counts(&CounterLabel::Other(None));
        let some = || Values::only(OTHER.to_owned());
        assert_eq!(rest(CellFilter { slug: some(), ..CellFilter::default() }), Match::Perhaps);
        assert_eq!(rest(CellFilter { category: some(), ..CellFilter::default() }), Match::Perhaps);
        assert_eq!(rest(CellFilter { name: some(), slug: some(), ..CellFilter::default() }), Match::Perhaps);
        assert_eq!(rest(CellFilter { name: some(), category: some(), ..CellFilter::default() }), Match::Perhaps);
        let [a, b] = ["a", "b"].map(|text| Group::of_message(text)[0]);
        let of_group = CounterLabel::Group(Some(Level::Error), a);
        assert_eq!(CellFilter::default().counts(&of_group), Match::No);
        let group = |group, level: Option<Level>| CellFilter {
            group: Values::only(group),
            level: level.map_or_else(Values::default, Values::only),
            ..CellFilter::default()
        };
        assert_eq!(group(a, None).counts(&of_group), Match::Yes);
        assert_eq!(group(a, None).counts(&CounterLabel::Marks(Some(Level::Error), a)), Match::No);
        assert_eq!(group(b, None).counts(&of_group), Match::No);
        assert_eq!(group(a, Some(Level::Info)).counts(&of_group), Match::No);
        assert_eq!(group(a, None).counts(&CounterLabel::Other(None)), Match::Perhaps, "the rest may hold it");
        assert_eq!(CellFilter { name: some(), ..group(a, None) }.counts(&of_group), Match::Perhaps);
        assert_eq!(group(a, None).counts(&counted(None)), Match::No);
        let but = CellFilter { group: Values::new(vec![], vec![a]).expect("one"), ..CellFilter::default() };
        assert_eq!((but.counts(&counted(None)), but.kinds().len()), (Match::Perhaps, 2));
        assert!(but.asks_events() && !but.is_located() && !group(a, None).asks_events());
        assert!(CellFilter { name: some(), ..group(a, None) }.asks_events());
    }

    #[test]
    fn the_rest_of_a_full_item_blurs_all_but_levels() {
        let other = CounterLabel::Other(Some(Level::Error));
        let filter = |name: Option<&str>, level: Option<Level>| CellFilter {
            name: name.map_or_else(Values::default, |name| Values::only(name.to_owned())),
            level: level.map_or_else(Values::default, Values::only),
            ..CellFilter::default()
        };
        assert_eq!(filter(None, None).counts(&other), Match::Yes);
        assert_eq!(filter(None, Some(Level::Error)).counts(&other), Match::Yes);
        assert_eq!(filter(None, Some(Level::Info)).counts(&other), Match::No);
        assert_eq!(filter(Some("a"), None).counts(&other), Match::Perhaps);
        assert_eq!(filter(Some(OTHER), None).counts(&other), Match::Yes);
        let named = |is: &[&str], is_not: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let name = Values::new(owned(is), owned(is_not)).expect("few names");
            CellFilter { name, ..CellFilter::default() }.counts(&other)
        };
        assert_eq!(named(&["a", OTHER], &[]), Match::Yes, "what is hidden of a is in the rest as well");
        assert_eq!(named(&["a", "b"], &[]), Match::Perhaps);
        assert_eq!(named(&[], &["a"]), Match::Perhaps);
        assert_eq!(named(&[], &[OTHER]), Match::Perhaps, "events in the rest have names of their own");
        let levels = |levels: &[Level]| {
            let level = Values::new(vec![], levels.to_vec()).expect("few levels");
            CellFilter { level, ..CellFilter::default() }.counts(&other)
        };
        assert_eq!((levels(&[Level::Error]), levels(&[Level::Info])), (Match::No, Match::Yes));
    }
}
