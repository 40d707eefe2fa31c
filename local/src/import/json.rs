//! Lenient JSON parsing for logs: values that Tally would reject are kept in an accepted form, and noted.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tally_core::event::MAX_DEPTH;
use tally_core::event::json::{self, Json, Kind, Number};
pub(super) use tally_core::log::keys::{Object, find, take};

use super::oddity::{Oddities, Oddity};

/// Levels that a field of a line may have: it lies in `data`, which is one itself.
const DEPTH: usize = MAX_DEPTH - 1;

/// Where a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// The line of the text, from 1.
    pub line: u64,
    /// The column of that line, from 1.
    pub column: u64,
}

/// Reads one JSON object, or returns `None` for another value.
pub(super) fn object(text: &str, oddities: &mut Oddities) -> Result<Option<Object>, Malformed> {
    let raw: &RawValue = serde_json::from_str(text)
        .map_err(|e| Malformed { line: e.line().max(1) as u64, column: e.column().max(1) as u64 })?;
    if json::kind(raw) != Kind::Object {
        return Ok(None);
    }
    Ok(Some(fields(raw, DEPTH, oddities)))
}

fn fields(raw: &RawValue, depth: usize, oddities: &mut Oddities) -> Object {
    let mut pairs = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    // The text was read as JSON before, so that it is an object cannot fail.
    let _ = deserializer.deserialize_map(Pairs(&mut pairs));
    let mut object = Object::new();
    for (key, value) in pairs {
        let mut key = text(key, oddities);
        if key.is_empty() {
            oddities.add(Oddity::EmptyKey);
            "(empty)".clone_into(&mut key);
        }
        if object.contains_key(&key) {
            oddities.add(Oddity::RepeatedKey(key.clone()));
            let free = (2..=usize::MAX).map(|n| format!("{key} ({n})")).find(|key| !object.contains_key(key));
            key = free.unwrap_or(key);
        }
        let value = self::value(value, depth, oddities);
        object.insert(key, value);
    }
    object
}

fn value(raw: &RawValue, depth: usize, oddities: &mut Oddities) -> Json {
    match json::kind(raw) {
        Kind::Null => Json::Null,
        Kind::Bool => Json::Bool(raw.get() == "true"),
        Kind::Number => Number::parse(raw.get()).map_or_else(
            |_| {
                oddities.add(Oddity::LargeNumber);
                Json::String(raw.get().to_owned())
            },
            Json::Number,
        ),
        Kind::String => Json::String(text(raw, oddities)),
        Kind::Array | Kind::Object if depth == 0 => {
            oddities.add(Oddity::DeepNesting);
            Json::String(raw.get().to_owned())
        }
        Kind::Array => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
            Json::Array(items.into_iter().map(|item| value(item, depth - 1, oddities)).collect())
        }
        Kind::Object => Json::Object(fields(raw, depth - 1, oddities)),
    }
}

/// A JSON string. Keeps the escapes if they do not represent text (half of a surrogate pair).
fn text(raw: &RawValue, oddities: &mut Oddities) -> String {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| {
        oddities.add(Oddity::Escape);
        raw.get().trim_matches('"').to_owned()
    })
}

struct Pairs<'a, 'de>(&'a mut Vec<(&'de RawValue, &'de RawValue)>);

impl<'de> Visitor<'de> for Pairs<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(pair) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            self.0.push(pair);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, usize) {
        let mut oddities = Oddities::default();
        let object = object(text, &mut oddities).expect("JSON").expect("an object");
        (serde_json::to_string(&Json::Object(object)).expect("JSON"), oddities.list().len())
    }

    #[test]
    fn what_tally_would_refuse_is_kept_in_another_form() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(20), "]".repeat(20));
        for (text, expected) in [
            (r#"{"n":123456789012345678901234567890123456789}"#, r#"{"n":"123456789012345678901234567890123456789"}"#),
            (r#"{"n":1e300}"#, r#"{"n":"1e300"}"#),
            (r#"{"a":1,"a":2,"a":3}"#, r#"{"a":1,"a (2)":2,"a (3)":3}"#),
            (r#"{"":1}"#, r#"{"(empty)":1}"#),
            (r#"{"a":"\ud800"}"#, r#"{"a":"\\ud800"}"#),
        ] {
            let (kept, odd) = read(text);
            assert_eq!(kept, expected);
            assert_eq!(odd, 1, "{text}");
        }
        let (kept, odd) = read(&deep);
        assert!(kept.contains("\"[[[[[1]]]]]\"") && odd == 1, "{kept}");
        assert_eq!(read(r#"{"b":[1.50,null],"a":{"x":"é"}}"#), (r#"{"a":{"x":"é"},"b":[1.5,null]}"#.to_owned(), 0));
    }

    #[test]
    fn the_place_of_an_error_is_told() {
        let error = |text| object(text, &mut Oddities::default()).expect_err(text);
        assert_eq!(error("{\"a\":1,}"), Malformed { line: 1, column: 8 });
        assert_eq!(error("{\n\"a\" 1}"), Malformed { line: 2, column: 5 });
        assert!(object("[1]", &mut Oddities::default()).expect("JSON").is_none());
    }

    #[test]
    fn a_path_may_be_a_key_with_dots() {
        let text = r#"{"a.b":1,"c":{"d.e":2,"f":{"g":3}}}"#;
        let mut object = object(text, &mut Oddities::default()).expect("JSON").expect("an object");
        for path in ["a.b", "c.d.e", "c.f.g"] {
            assert!(find(&object, path).is_some(), "{path}");
            assert!(take(&mut object, path).is_some(), "{path}");
            assert!(take(&mut object, path).is_none(), "{path}");
        }
    }
}
