//! Filters that select the events and counts of a query.

use crate::counter::cell::{Cell, CounterLabel, OTHER};
use crate::event::Event;
use crate::event::json::{Json, Number};
use crate::event::level::Level;

/// A filter on the four dimensions of a cell; what is absent matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellFilter {
    /// The name.
    pub name: Option<String>,
    /// The slug.
    pub slug: Option<String>,
    /// The category.
    pub category: Option<String>,
    /// The level.
    pub level: Option<Level>,
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
    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it asks for more than a level, which the rest of a full item cannot tell.
    fn is_fine(&self) -> bool {
        self.name.is_some() || self.slug.is_some() || self.category.is_some()
    }

    /// Whether a cell matches.
    pub fn matches(&self, cell: &Cell) -> bool {
        let same = |wanted: &Option<String>, is: Option<&str>| wanted.is_none() || wanted.as_deref() == is;
        same(&self.name, Some(&cell.name))
            && same(&self.slug, Some(&cell.slug))
            && same(&self.category, cell.category.as_deref())
            && (self.level.is_none() || self.level == cell.level)
    }

    /// Whether a count of cells matches.
    pub fn counts(&self, counted: &CounterLabel) -> Match {
        match counted {
            CounterLabel::Cell(cell) if self.matches(cell) => Match::Yes,
            CounterLabel::Other(level) if self.level.is_none() || self.level == *level => {
                // Asked for by its own name, it is what it is.
                let itself = self.name.as_deref() == Some(OTHER) && self.slug.is_none() && self.category.is_none();
                if self.is_fine() && !itself { Match::Perhaps } else { Match::Yes }
            }
            CounterLabel::Cell(_) | CounterLabel::Other(_) | CounterLabel::Message(..) => Match::No,
        }
    }
}

/// A filter on events; what is absent matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The dimensions that counters know.
    pub cell: CellFilter,
    /// The exact message.
    pub message: Option<String>,
    /// The session.
    pub session_id: Option<String>,
    /// The user.
    pub user_id: Option<String>,
    /// The fingerprint.
    pub fingerprint: Option<String>,
    /// Attributes of `data` that must have a value.
    pub attributes: Vec<AttributeFilter>,
}

/// An attribute of `data` that must have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeFilter {
    /// Keys and list indexes from the top of `data` down, joined with dots; a key may hold dots itself.
    pub path: String,
    /// The value as text: that of a text, a number, `true`, `false` or `null`.
    pub value: String,
}

impl EventFilter {
    /// Whether an event matches.
    pub fn matches(&self, event: &Event) -> bool {
        let same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        same(&self.message, &event.message)
            && same(&self.session_id, &event.session_id)
            && same(&self.user_id, &event.user_id)
            && same(&self.fingerprint, &event.fingerprint)
            && (self.cell.is_empty() || self.cell.matches(&event.cell()))
            && self.attributes.iter().all(|attribute| attribute.matches(event))
    }
}

impl AttributeFilter {
    fn matches(&self, event: &Event) -> bool {
        let mut is_there = false;
        let matches = event.data.as_ref().is_some_and(|data| {
            any_at(data, &self.path, &mut |json| {
                is_there = true;
                self.is(json)
            })
        });
        matches || (!is_there && event.field(&self.path) == Some(self.value.as_str()))
    }

    fn is(&self, json: &Json) -> bool {
        match json {
            Json::String(text) => *text == self.value,
            Json::Number(number) => Number::parse(&self.value).is_ok_and(|wanted| wanted == *number),
            Json::Bool(value) => value.to_string() == self.value,
            Json::Null => self.value == "null",
            Json::Array(_) | Json::Object(_) => false,
        }
    }
}

impl Event {
    /// What a path of keys and list indexes means: what lies there in `data`, or else the field of that name.
    pub fn attribute(&self, path: &str) -> Option<Json> {
        let mut found = None;
        if let Some(data) = &self.data {
            any_at(data, path, &mut |json| {
                found = Some(json.clone());
                true
            });
        }
        found.or_else(|| self.field(path).map(|text| Json::String(text.to_owned())))
    }

    /// A field by its name, if it is a text.
    fn field(&self, name: &str) -> Option<&str> {
        match name {
            "name" => Some(&self.name),
            "slug" => Some(&self.slug),
            "category" => self.category.as_deref(),
            "level" => self.level.map(Level::as_str),
            "message" => self.message.as_deref(),
            "session_id" => self.session_id.as_deref(),
            "user_id" => self.user_id.as_deref(),
            _ => None,
        }
    }
}

/// Whether any of what lies in a value at a path is wanted. At each level the path may go on by its first key or by a
/// longer one that holds dots; the shortest is tried first. No part of the value is looked at twice.
fn any_at<'a>(json: &'a Json, path: &str, wanted: &mut impl FnMut(&'a Json) -> bool) -> bool {
    match json {
        Json::Object(fields) => fields.iter().any(|(key, value)| match path.strip_prefix(key.as_str()) {
            Some("") => wanted(value),
            Some(rest) => rest.strip_prefix('.').is_some_and(|rest| any_at(value, rest, wanted)),
            None => false,
        }),
        Json::Array(items) => {
            let (index, rest) = path.split_once('.').map_or((path, None), |(index, rest)| (index, Some(rest)));
            let item = index.parse::<usize>().ok().and_then(|index| items.get(index));
            item.is_some_and(|item| match rest {
                Some(rest) => any_at(item, rest, wanted),
                None => wanted(item),
            })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json;

    #[test]
    fn attributes_are_compared_by_value() {
        let data =
            json::document(br#"{"plan":"pro","n":1.50,"a":{"b":[true,null],"b.0":7,"c.d":{"e.f":"g"}},"a.b":"x","http.status_code":500,
                "user_id":"of data","l":[{"x.y":1}]}"#)
            .and_then(|raw| json::value(raw, 16));
        let data = data.expect("JSON");
        let mut event = crate::event::Event {
            id: crate::event::id::EventId::first_at(crate::time::Timestamp::EPOCH),
            client_id: None,
            name: "a".into(),
            slug: "a".into(),
            category: None,
            level: None,
            message: None,
            session_id: Some("s-1".into()),
            user_id: Some("ann".into()),
            fingerprint: None,
            timestamp: crate::time::Timestamp::EPOCH,
            received_at: crate::time::Timestamp::EPOCH,
            count: 1,
            data: Some(data),
            tags: None,
            stack: None,
        };
        let matches = |event: &Event, path: &str, value: &str| {
            AttributeFilter { path: path.into(), value: value.into() }.matches(event)
        };
        for (path, value) in [("plan", "pro"), ("n", "1.5"), ("n", "15e-1"), ("a.b.0", "true"), ("a.b.1", "null")] {
            assert!(matches(&event, path, value), "{path}={value}");
        }
        for (path, value) in [("plan", "Pro"), ("n", "2"), ("a", "x"), ("a.b.2", "true"), ("nothing", "null")] {
            assert!(!matches(&event, path, value), "{path}={value}");
        }
        // Keys with dots, at any level; all that a path may mean counts.
        for (path, value) in
            [("http.status_code", "500"), ("a.b", "x"), ("a.b.0", "7"), ("a.c.d.e.f", "g"), ("l.0.x.y", "1")]
        {
            assert!(matches(&event, path, value), "{path}={value}");
        }
        for (path, value) in [("http", "500"), ("http.status_code.", "500"), ("a.c", "g"), ("l.0.x", "1"), ("", "pro")]
        {
            assert!(!matches(&event, path, value), "{path}={value}");
        }
        // A field of the event, unless `data` has one of that name.
        assert!(matches(&event, "session_id", "s-1") && matches(&event, "user_id", "of data"));
        assert!(!matches(&event, "user_id", "ann"));
        assert_eq!(event.attribute("a.b"), Some(Json::Array(vec![Json::Bool(true), Json::Null])), "the path first");
        assert_eq!(event.attribute("session_id"), Some(Json::String("s-1".into())));
        assert_eq!(event.attribute("category"), None);
        event.data = None;
        assert!(matches(&event, "user_id", "ann"));
        assert!(!matches(&event, "plan", "pro"));
    }

    #[test]
    fn an_event_matches_where_every_filter_does() {
        let some = |text: &str| Some(text.to_owned());
        let id = crate::event::id::EventId::first_at(crate::time::Timestamp::EPOCH);
        let bare = Event {
            id,
            client_id: None,
            name: "a".into(),
            slug: "b".into(),
            category: None,
            level: None,
            message: None,
            session_id: None,
            user_id: None,
            fingerprint: None,
            timestamp: crate::time::Timestamp::EPOCH,
            received_at: crate::time::Timestamp::EPOCH,
            count: 1,
            data: None,
            tags: None,
            stack: None,
        };
        let event = Event {
            category: some("c"),
            level: Some(Level::Info),
            message: some("d"),
            session_id: some("e"),
            user_id: some("f"),
            data: Some(Json::Object([("g".to_owned(), Json::Bool(true))].into())),
            ..bare.clone()
        };
        let all = EventFilter::default();
        let cell = |cell| EventFilter { cell, ..EventFilter::default() };
        let cells = CellFilter::default();
        let attribute = |value: &str| AttributeFilter { path: "g".to_owned(), value: value.to_owned() };
        let filters = |wanted: fn(&str) -> &str, level| {
            [
                cell(CellFilter { name: some(wanted("a")), ..cells.clone() }),
                cell(CellFilter { slug: some(wanted("b")), ..cells.clone() }),
                cell(CellFilter { category: some(wanted("c")), ..cells.clone() }),
                cell(CellFilter { level: Some(level), ..cells.clone() }),
                EventFilter { message: some(wanted("d")), ..all.clone() },
                EventFilter { session_id: some(wanted("e")), ..all.clone() },
                EventFilter { user_id: some(wanted("f")), ..all.clone() },
                EventFilter { attributes: vec![attribute("true"), attribute(wanted("true"))], ..all.clone() },
            ]
        };
        assert!(all.matches(&event) && all.matches(&bare));
        let level = Level::Info.as_str();
        let fields = ["name", "slug", "category", "level", "message", "session_id", "user_id"];
        for (field, text) in fields.into_iter().zip(["a", "b", "c", level, "d", "e", "f"]) {
            assert_eq!(event.attribute(field), Some(Json::String(text.to_owned())), "{field}");
        }
        assert!(all.cell.is_empty());
        for (i, filter) in filters(|same| same, Level::Info).into_iter().enumerate() {
            assert!(filter.matches(&event), "{filter:?}");
            // It has a name and a slug, and nothing else.
            assert_eq!(filter.matches(&bare), i < 2, "{filter:?}");
            assert!(i > 3 || !filter.cell.is_empty());
        }
        for filter in filters(|_| "z", Level::Warn) {
            assert!(!filter.matches(&event) && !filter.matches(&bare), "{filter:?}");
        }
    }

    #[test]
    fn a_count_matches_by_its_cell() {
        let counted = |level| {
            let (name, slug) = ("a".to_owned(), "b".to_owned());
            CounterLabel::Cell(Cell { name, slug, category: Some("c".to_owned()), level })
        };
        let of_c = CellFilter { category: Some("c".to_owned()), level: Some(Level::Info), ..CellFilter::default() };
        assert_eq!(of_c.counts(&counted(Some(Level::Info))), Match::Yes);
        assert_eq!(of_c.counts(&counted(None)), Match::No);
        let rest = |filter: CellFilter| filter.counts(&CounterLabel::Other(None));
        let some = || Some(OTHER.to_owned());
        assert_eq!(rest(CellFilter { slug: some(), ..CellFilter::default() }), Match::Perhaps);
        assert_eq!(rest(CellFilter { category: some(), ..CellFilter::default() }), Match::Perhaps);
        assert_eq!(rest(CellFilter { name: some(), slug: some(), ..CellFilter::default() }), Match::Perhaps);
        assert_eq!(rest(CellFilter { name: some(), category: some(), ..CellFilter::default() }), Match::Perhaps);
        let message = CounterLabel::Message(None, crate::counter::cell::MessageHash::of("a"));
        assert_eq!(CellFilter::default().counts(&message), Match::No);
    }

    #[test]
    fn the_rest_of_a_full_item_blurs_all_but_levels() {
        let other = CounterLabel::Other(Some(Level::Error));
        let filter =
            |name: Option<&str>, level| CellFilter { name: name.map(Into::into), level, ..CellFilter::default() };
        assert_eq!(filter(None, None).counts(&other), Match::Yes);
        assert_eq!(filter(None, Some(Level::Error)).counts(&other), Match::Yes);
        assert_eq!(filter(None, Some(Level::Info)).counts(&other), Match::No);
        assert_eq!(filter(Some("a"), None).counts(&other), Match::Perhaps);
        assert_eq!(filter(Some(OTHER), None).counts(&other), Match::Yes);
    }
}
