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
    /// Keys and list indexes from the top of `data` down.
    pub path: Vec<String>,
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
        match event.data.as_ref().and_then(|data| at_path(data, &self.path)) {
            Some(Json::String(text)) => *text == self.value,
            Some(Json::Number(number)) => Number::parse(&self.value).is_ok_and(|wanted| wanted == *number),
            Some(Json::Bool(value)) => value.to_string() == self.value,
            Some(Json::Null) => self.value == "null",
            Some(Json::Array(_) | Json::Object(_)) | None => false,
        }
    }
}

/// What lies in a value at a path of keys and list indexes.
pub fn at_path<'a>(json: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(json, |json, step| match json {
        Json::Object(fields) => fields.get(step),
        Json::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json;

    #[test]
    fn attributes_are_compared_by_value() {
        let data =
            json::document(br#"{"plan":"pro","n":1.50,"a":{"b":[true,null]}}"#).and_then(|raw| json::value(raw, 16));
        let data = data.expect("JSON");
        let mut event = crate::event::Event {
            id: crate::event::id::EventId::first_at(crate::time::Timestamp::EPOCH),
            client_id: None,
            name: "a".into(),
            slug: "a".into(),
            category: None,
            level: None,
            message: None,
            session_id: None,
            user_id: None,
            fingerprint: None,
            timestamp: crate::time::Timestamp::EPOCH,
            received_at: crate::time::Timestamp::EPOCH,
            count: 1,
            data: Some(data),
            tags: None,
            stack: None,
        };
        let matches = |event: &Event, path: &str, value: &str| {
            let path = path.split('.').map(str::to_owned).collect();
            AttributeFilter { path, value: value.into() }.matches(event)
        };
        for (path, value) in [("plan", "pro"), ("n", "1.5"), ("n", "15e-1"), ("a.b.0", "true"), ("a.b.1", "null")] {
            assert!(matches(&event, path, value), "{path}={value}");
        }
        for (path, value) in [("plan", "Pro"), ("n", "2"), ("a", "x"), ("a.b.2", "true"), ("nothing", "null")] {
            assert!(!matches(&event, path, value), "{path}={value}");
        }
        event.data = None;
        assert!(!matches(&event, "plan", "pro"));
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
