//! The fields of a JSON object of a client library, taken one by one. What nobody takes becomes the event's `data`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tally_core::event::json::{self, Json, Kind};
use tally_core::time::{MILLISECOND, Timestamp};
use tally_http::problem::Problem;

use super::sanitize;

/// The fields of an object. Of equal keys the last counts; `null` counts as absent.
pub struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// The fields of an object; none of anything else.
    pub fn of(raw: &'a RawValue) -> Self {
        Self(sanitize::object(raw).into_iter().filter(|(_, value)| json::kind(value) != Kind::Null).collect())
    }

    /// A field, left in place.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    /// Takes a field.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        self.0.remove(name)
    }

    /// Takes a field that is a text, a number or a truth value, as text. An empty text counts as absent. Any other value
    /// stays in place.
    pub fn take_text(&mut self, name: &str) -> Option<String> {
        let text = self.get(name).and_then(scalar)?;
        self.0.remove(name);
        Some(text).filter(|text| !text.is_empty())
    }

    /// Takes a field that is an object.
    pub fn take_object(&mut self, name: &str) -> Option<Fields<'a>> {
        let raw = self.get(name).filter(|raw| json::kind(raw) == Kind::Object)?;
        self.0.remove(name);
        Some(Fields::of(raw))
    }

    /// Takes a time as libraries send it: RFC 3339, or a Unix time in seconds or milliseconds, to the nearest millisecond,
    /// since a float of seconds has no exact one. What is no time stays in place.
    pub fn take_time(&mut self, name: &str) -> Option<Timestamp> {
        let raw = self.get(name)?;
        let time: Timestamp = scalar(raw)?.trim().parse().ok()?;
        self.0.remove(name);
        Some(if json::kind(raw) == Kind::Number { to_millisecond(time) } else { time })
    }

    /// The fields that nobody took, as an event can keep them.
    pub fn rest(self) -> BTreeMap<String, Json> {
        let fields = self.0.into_iter().filter(|(name, _)| !name.is_empty());
        fields.map(|(name, raw)| (name, sanitize::nested(raw))).collect()
    }
}

/// The nearest millisecond.
fn to_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.micros().saturating_add(MILLISECOND.as_micros() / 2)).floor(MILLISECOND)
}

/// A text, or a number or truth value as text.
pub fn scalar(raw: &RawValue) -> Option<String> {
    match json::kind(raw) {
        Kind::String => json::string(raw).ok(),
        Kind::Number | Kind::Bool => Some(raw.get().to_owned()),
        _ => None,
    }
}

/// The items of a list, of which a request may have so many; `items` says what they are.
///
/// # Errors
/// Where it is no list, by the name of its field; 413 where it has more.
pub fn list<'a>(raw: &'a RawValue, most: usize, field: &str, items: &str) -> Result<Vec<&'a RawValue>, Problem> {
    let (list, total) = json::array_of_at_most(raw, most).map_err(|error| Problem::field(field, error.to_string()))?;
    if list.len() < total {
        return Err(Problem::TooLarge(format!("more than {most} {items}: send smaller batches")));
    }
    Ok(list)
}

/// A map as the JSON of an event, unless it is empty.
pub fn object(fields: BTreeMap<String, Json>) -> Option<Json> {
    (!fields.is_empty()).then_some(Json::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_once_and_the_rest_is_left() {
        let raw =
            json::document(br#"{"a":1,"a":"x","n":null,"o":{"b":true},"t":1795255705.1234,"at":"soon","":1,"l":[1]}"#);
        let mut fields = Fields::of(raw.expect("JSON"));
        assert_eq!(fields.take_text("a").as_deref(), Some("x"));
        assert_eq!(fields.take_text("a"), None);
        assert_eq!(fields.take_text("n"), None);
        assert_eq!(fields.take_text("o"), None, "not a text");
        let mut object = fields.take_object("o").expect("an object");
        assert_eq!(object.take_text("b").as_deref(), Some("true"));
        assert_eq!(fields.take_time("t").map(Timestamp::micros), Some(1_795_255_705_123_000));
        assert_eq!(fields.take_time("at"), None);
        let rest = serde_json::to_string(&super::object(fields.rest())).expect("JSON");
        assert_eq!(rest, r#"{"at":"soon","l":[1]}"#);
    }
}
