//! Conditions on what lies at a path in the `data` of an event.

use std::cmp::Ordering;

use super::values::{MOST_VALUES, TooManyValues};
use crate::counter::property::{CountedPath, MAX_VALUE, Property};
use crate::event::Event;
use crate::event::json::{Json, Number};
use crate::event::level::Level;

/// Most conditions on attributes in a filter.
pub const MOST_ATTRIBUTES: usize = 10;

/// How the value of an attribute is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// It is one of the values.
    Is,
    /// It is none of the values, or there is none.
    IsNot,
    /// It is greater.
    Greater,
    /// It is greater or equal.
    GreaterOrEqual,
    /// It is less.
    Less,
    /// It is less or equal.
    LessOrEqual,
    /// A text that has the value in it, in upper or lower case, or a list with an item that is the value.
    Contains,
    /// Whether there is a value, other than null.
    Exists,
}

impl Operator {
    /// Their names.
    pub const ALL: [(&'static str, Self); 8] = [
        ("eq", Self::Is),
        ("ne", Self::IsNot),
        ("gt", Self::Greater),
        ("gte", Self::GreaterOrEqual),
        ("lt", Self::Less),
        ("lte", Self::LessOrEqual),
        ("contains", Self::Contains),
        ("exists", Self::Exists),
    ];
}

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// Its operator has another name.
    #[error(
        "unknown operator: send one of eq, ne, gt, gte, lt, lte, contains and exists; a key that ends with letters in \
         brackets is named with `[eq]` after it"
    )]
    Operator,
    /// It has no path, or no value.
    #[error("send a path and a value, e.g. attr.plan=pro")]
    Empty,
    /// `exists` has one of two values.
    #[error("must be true or false, once")]
    Exists,
    /// It has too many values.
    #[error(transparent)]
    Values(#[from] TooManyValues),
    /// There are too many conditions.
    #[error("{0} conditions on attributes: send at most {MOST_ATTRIBUTES}")]
    Conditions(usize),
}

/// A condition on an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeFilter {
    path: String,
    operator: Operator,
    values: Vec<Wanted>,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    text: String,
    /// The number that the text is, if it is one.
    number: Option<Number>,
}

/// Splits `plan[ne]` into its path and its operator. Without letters in brackets at its end it is a path as it stands.
///
/// # Errors
/// Where the brackets hold letters that are not an operator.
pub fn path_and_operator(text: &str) -> Result<(&str, Operator), AttributeError> {
    let bracketed = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
    let Some((path, name)) =
        bracketed.filter(|(_, name)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic()))
    else {
        return Ok((text, Operator::Is));
    };
    let known = Operator::ALL.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, operator)| (path, operator)).ok_or(AttributeError::Operator)
}

impl AttributeFilter {
    /// What lies at a path (keys and list indexes from the top of `data` down, joined with dots; a key may hold dots itself)
    /// compared with values. With several, one of them is enough; of [`Operator::IsNot`], it is none of them.
    ///
    /// # Errors
    /// Where a part of it is empty or too much.
    pub fn new(path: &str, operator: Operator, values: Vec<String>) -> Result<Self, AttributeError> {
        if path.is_empty() || values.is_empty() || values.iter().any(String::is_empty) {
            return Err(AttributeError::Empty);
        }
        if operator == Operator::Exists && !matches!(values.as_slice(), [one] if one == "true" || one == "false") {
            return Err(AttributeError::Exists);
        }
        if values.len() > MOST_VALUES {
            return Err(TooManyValues(values.len()).into());
        }
        let wanted = |text: String| Wanted { number: Number::parse(&text).ok(), text };
        Ok(Self { path: path.to_owned(), operator, values: values.into_iter().map(wanted).collect() })
    }

    /// Whether an event fulfils it.
    pub fn matches(&self, event: &Event) -> bool {
        let any = |test: &dyn Fn(&Json) -> bool| {
            let mut is_there = false;
            let matches = event.data.as_ref().is_some_and(|data| {
                any_at(data, &self.path, &mut |json| {
                    is_there = true;
                    test(json)
                })
            });
            let of_field = || event.field(&self.path).is_some_and(|text| test(&Json::String(text.to_owned())));
            let of_tags = || any_of_tags(event, &self.path, &mut |json| test(json));
            matches || (!is_there && (of_field() || of_tags()))
        };
        let compares = |json: &Json, wanted: fn(Ordering) -> bool| {
            self.values.iter().any(|value| value.compare(json).is_some_and(wanted))
        };
        match self.operator {
            Operator::Is => any(&|json| self.is(json)),
            Operator::IsNot => !any(&|json| self.is(json)),
            Operator::Greater => any(&|json| compares(json, Ordering::is_gt)),
            Operator::GreaterOrEqual => any(&|json| compares(json, Ordering::is_ge)),
            Operator::Less => any(&|json| compares(json, Ordering::is_lt)),
            Operator::LessOrEqual => any(&|json| compares(json, Ordering::is_le)),
            Operator::Contains => any(&|json| self.values.iter().any(|value| value.is_in(json))),
            Operator::Exists => {
                any(&|json| *json != Json::Null) == self.values.iter().any(|value| value.text == "true")
            }
        }
    }

    fn is(&self, json: &Json) -> bool {
        self.values.iter().any(|value| value.is(json))
    }
}

impl Wanted {
    fn is(&self, json: &Json) -> bool {
        match json {
            Json::String(text) => *text == self.text,
            Json::Number(number) => self.number.as_ref() == Some(number),
            Json::Bool(value) => self.text == if *value { "true" } else { "false" },
            Json::Null => self.text == "null",
            Json::Array(_) | Json::Object(_) => false,
        }
    }

    /// How a value compares with it: as numbers if both are, else as texts if neither is.
    fn compare(&self, json: &Json) -> Option<Ordering> {
        match (json, &self.number) {
            (Json::Number(number), Some(wanted)) => Some(number.cmp(wanted)),
            (Json::String(text), Some(wanted)) => Number::parse(text).ok().map(|number| number.cmp(wanted)),
            (Json::String(text), None) => Some(text.as_str().cmp(&self.text)),
            _ => None,
        }
    }

    fn is_in(&self, json: &Json) -> bool {
        match json {
            Json::String(text) => text.to_lowercase().contains(&self.text.to_lowercase()),
            Json::Array(items) => items.iter().any(|item| self.is(item)),
            _ => false,
        }
    }
}

/// What the data of an event has at counted paths. The stream and the recount read it from the data alone, reports from the event:
/// they agree, since no counted path names a field or a tag.
pub fn properties<'a>(data: Option<&Json>, paths: impl IntoIterator<Item = &'a CountedPath>) -> Vec<Property> {
    let property = |path: &CountedPath| {
        let mut value = None;
        if let Some(data) = data {
            any_at(data, path.as_str(), &mut |json| {
                value = Some(text_of(json));
                true
            });
        }
        let value = value.unwrap_or_else(|| text_of(&Json::Null));
        Property { path: path.clone(), value: Some(value).filter(|value| value.len() <= MAX_VALUE) }
    };
    paths.into_iter().map(property).collect()
}

/// The JSON text of a value, which tells 1 from "1".
pub fn text_of(value: &Json) -> String {
    // Texts, numbers, lists and maps of them always serialize.
    serde_json::to_string(value).unwrap_or_default()
}

impl Event {
    /// What a path of keys and list indexes means: what lies there in `data`, or else the field of that name, or after `tags.` what
    /// lies in the tags.
    pub fn attribute(&self, path: &str) -> Option<Json> {
        let found = self.data.as_ref().and_then(|data| data.at(path)).cloned();
        found.or_else(|| self.field(path).map(|text| Json::String(text.to_owned()))).or_else(|| {
            let mut found = None;
            any_of_tags(self, path, &mut |json| {
                found = Some(json.clone());
                true
            });
            found
        })
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

impl Json {
    /// What lies at a path of keys and list indexes, joined with dots; a key may hold dots itself.
    pub fn at(&self, path: &str) -> Option<&Self> {
        let mut found = None;
        any_at(self, path, &mut |json| {
            found = Some(json);
            true
        });
        found
    }
}

/// Whether any of what lies in the tags of an event is wanted, at a path that begins with `tags.`.
fn any_of_tags(event: &Event, path: &str, wanted: &mut impl FnMut(&Json) -> bool) -> bool {
    let tags = event.tags.as_ref().zip(path.strip_prefix("tags."));
    tags.is_some_and(|(tags, path)| any_at(tags, path, &mut |json| wanted(json)))
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
        let mut event = Event {
            session_id: Some("s-1".into()),
            user_id: Some("ann".into()),
            ..event(
                r#"{"plan":"pro","n":1.50,"a":{"b":[true,null],"b.0":7,"c.d":{"e.f":"g"}},"a.b":"x","http.status_code":500,
                "user_id":"of data","l":[{"x.y":1}]}"#,
            )
        };
        let matches = |event: &Event, path: &str, value: &str| {
            AttributeFilter::new(path, Operator::Is, vec![value.into()]).is_ok_and(|filter| filter.matches(event))
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

    fn event(data: &str) -> Event {
        let raw = json::document(data.as_bytes()).and_then(|raw| json::value(raw, 16));
        Event { slug: "a".into(), message: Some("Timed out".into()), data: Some(raw.expect("JSON")), ..Event::bare() }
    }

    /// Whether `attr.` and this text, as `path[operator]=value|value`, matches.
    fn matches(event: &Event, condition: &str) -> bool {
        let (left, values) = condition.split_once('=').expect("a condition");
        let (path, operator) = path_and_operator(left).expect("an operator");
        let values = values.split('|').map(str::to_owned).collect();
        AttributeFilter::new(path, operator, values).expect(condition).matches(event)
    }

    #[test]
    fn each_operator_compares_in_its_way() {
        let event = event(
            r#"{"n":9,"big":12345678901234567890123456789012345678,"s":"10","day":"2026-11-21","on":true,"off":null,
                "tags":["red",2],"empty":"","plan":"Pro","x[0]":"i","y[ne]":"j","user":{"plan":"free"}}"#,
        );
        for condition in [
            "n[gt]=8",
            "n[gte]=9.0",
            "n[lt]=10",
            "n[lte]=9",
            "n[gt]=100|8",
            "n[ne]=8",
            "n[ne]=8|7",
            "n=1|9",
            "n[eq]=9",
            "big[gt]=12345678901234567890123456789012345677",
            "big[lt]=12345678901234567890123456789012345679",
            "s[gt]=9",
            "s[lt]=11",
            "day[gte]=2026-11-21",
            "day[lt]=2026-12",
            "plan[contains]=RO",
            "plan[contains]=x|pr",
            "tags[contains]=red",
            "tags[contains]=2",
            "message[contains]=timed",
            "n[exists]=true",
            "on[exists]=true",
            "off[exists]=false",
            "nothing[exists]=false",
            "empty[exists]=true",
            "user.plan[exists]=true",
            "message[exists]=true",
            "category[exists]=false",
            "nothing[ne]=1",
            "off[ne]=x",
            "tags[ne]=red",
            "plan[ne]=pro",
            "x[0]=i",
            "x[0][ne]=j",
            "y[ne][eq]=j",
        ] {
            assert!(matches(&event, condition), "{condition}");
        }
        for condition in [
            "n[gt]=9",
            "n[gte]=10",
            "n[lt]=9",
            "n[lte]=8",
            "n[ne]=9",
            "n[ne]=8|9",
            "n=1|2",
            "n[gt]=a",
            "n[lt]=a",
            "day[lt]=2026-11-21",
            "day[gt]=2025",
            "on[gt]=0",
            "off[lt]=1",
            "tags[gt]=1",
            "nothing[lt]=1",
            "plan[contains]=free",
            "tags[contains]=RED",
            "tags[contains]=re",
            "n[contains]=9",
            "nothing[contains]=a",
            "n[exists]=false",
            "off[exists]=true",
            "nothing[exists]=true",
            "category[exists]=true",
            "off[ne]=null",
            "plan[ne]=Pro",
            "message[ne]=Timed out",
            "x[0][ne]=i",
        ] {
            assert!(!matches(&event, condition), "{condition}");
        }
    }

    #[test]
    fn only_whole_conditions_are_taken() {
        let new = |path: &str, operator, values: &[&str]| {
            AttributeFilter::new(path, operator, values.iter().map(|value| (*value).to_owned()).collect()).err()
        };
        assert_eq!(new("", Operator::Is, &["a"]), Some(AttributeError::Empty));
        assert_eq!(new("a", Operator::Is, &[]), Some(AttributeError::Empty));
        assert_eq!(new("a", Operator::IsNot, &["b", ""]), Some(AttributeError::Empty));
        assert_eq!(new("a", Operator::Exists, &["maybe"]), Some(AttributeError::Exists));
        assert_eq!(new("a", Operator::Exists, &["true", "false"]), Some(AttributeError::Exists));
        assert_eq!(new("a", Operator::Is, &["b"; 20]), None);
        assert_eq!(new("a", Operator::Is, &["b"; 21]), Some(TooManyValues(21).into()));
        assert_eq!(path_and_operator("a[ge]"), Err(AttributeError::Operator));
        for (text, path) in [("a[0]", "a[0]"), ("a[]", "a[]"), ("a]", "a]"), ("[ne]", ""), ("a[b-c]", "a[b-c]")] {
            assert_eq!(path_and_operator(text).map(|(path, _)| path), Ok(path), "{text}");
        }
    }
}
