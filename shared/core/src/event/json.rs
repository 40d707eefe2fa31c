//! The JSON values of an event's `data`, `tags` and `stack`. Numbers keep their exact value; keys are neither empty nor
//! repeated.
//!
//! `serde_json::Value` would round numbers to 64 bits and keep the last of two equal keys. This module walks raw
//! slices of the text instead, one level at a time, so that it sees each number and each key as it was sent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// Most significant digits of a number (DynamoDB's limit).
const MAX_DIGITS: usize = 38;
/// The largest decimal exponent: numbers lie within ±1e125 (DynamoDB holds up to 9.99e125).
const MAX_EXPONENT: i64 = 125;
/// The smallest decimal exponent that DynamoDB holds; tinier numbers become 0.
const MIN_EXPONENT: i64 = -130;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number of any kind.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// A map; its keys go out sorted, since DynamoDB keeps no order.
    Object(BTreeMap<String, Json>),
}

/// A decimal number of at most 38 digits within ±1e125, in one canonical spelling that JSON and DynamoDB both read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(String);

/// What is wrong with a piece of JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {detail}")]
pub struct JsonError {
    /// Dotted path of the place, empty for the whole.
    pub path: String,
    /// What to change.
    pub detail: String,
}

impl JsonError {
    fn here(detail: impl Into<String>) -> Self {
        Self { path: String::new(), detail: detail.into() }
    }

    fn under(mut self, key: &str) -> Self {
        self.path = if self.path.is_empty() { key.to_owned() } else { format!("{key}.{}", self.path) };
        self
    }
}

impl Number {
    /// Reads a JSON number, or one as DynamoDB spells it.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let malformed = || JsonError::here("not a number");
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => {
                let digits = &unsigned[at + 1..];
                let unsigned_digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
                if unsigned_digits.is_empty() || !unsigned_digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(malformed());
                }
                // An exponent past i64 is past every limit too; its sign is all that matters.
                let exponent =
                    digits.parse::<i64>().unwrap_or(if digits.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
                (&unsigned[..at], exponent)
            }
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(malformed());
        }
        if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(malformed());
        }
        let all = format!("{whole}{fraction}");
        let from_first = all.trim_start_matches('0');
        let digits = from_first.trim_end_matches('0');
        if digits.is_empty() {
            return Ok(Self("0".to_owned()));
        }
        // The value is `digits` times ten to the `scale`.
        let dropped = length(from_first) - length(digits);
        let scale = exponent.saturating_sub(length(fraction)).saturating_add(dropped);
        let leading = scale.saturating_add(length(digits) - 1);
        if leading < MIN_EXPONENT {
            return Ok(Self("0".to_owned()));
        }
        if leading > MAX_EXPONENT || (leading == MAX_EXPONENT && digits != "1") {
            return Err(JsonError::here("the number is beyond ±1e125: send it as a string"));
        }
        if digits.len() > MAX_DIGITS {
            return Err(JsonError::here("the number has more than 38 significant digits: send it as a string"));
        }
        Ok(Self(spell(negative, digits, scale, leading)))
    }

    /// Its canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn length(text: &str) -> i64 {
    // Texts are at most 16 MB long.
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// Spells `digits` × 10^`scale` plainly where that is short, else with an exponent.
fn spell(negative: bool, digits: &str, scale: i64, leading: i64) -> String {
    let sign = if negative { "-" } else { "" };
    let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or(0));
    if scale >= 0 && leading <= 37 {
        format!("{sign}{digits}{}", zeros(scale))
    } else if (0..=37).contains(&leading) {
        // A negative scale means that some digits stand behind the point.
        let (whole, fraction) = digits.split_at(usize::try_from(leading + 1).unwrap_or(0).min(digits.len()));
        format!("{sign}{whole}.{fraction}")
    } else if (-7..0).contains(&leading) {
        format!("{sign}0.{}{digits}", zeros(-leading - 1))
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{point}{rest}e{leading}")
    }
}

impl Json {
    /// About how many bytes of an item it takes, by DynamoDB's published rules, rounded up.
    pub fn stored_size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Number(number) => number.0.len() / 2 + 2,
            Self::String(text) => text.len(),
            Self::Array(items) => 3 + items.iter().map(|item| 1 + item.stored_size()).sum::<usize>(),
            Self::Object(fields) => {
                3 + fields.iter().map(|(key, value)| 1 + key.len() + value.stored_size()).sum::<usize>()
            }
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl Serialize for Json {
    /// Only into `serde_json`: numbers go out as raw text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// The fields of a JSON object, each still raw, in the order they were sent.
///
/// # Errors
/// Where `raw` is not an object, or a key is empty, unreadable or repeated.
pub fn object(raw: &RawValue) -> Result<Vec<(String, &RawValue)>, JsonError> {
    if kind(raw) != Kind::Object {
        return Err(JsonError::here("must be a JSON object"));
    }
    let mut fields = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer.deserialize_map(Fields(&mut fields)).map_err(|e| JsonError::here(format!("not valid JSON: {e}")))?;
    let mut keys: Vec<&str> = fields.iter().map(|(key, _): &(String, _)| key.as_str()).collect();
    keys.sort_unstable();
    if keys.first() == Some(&"") {
        return Err(JsonError::here("a key is empty: give every key a name"));
    }
    if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(JsonError::here("the key is repeated: send it once").under(pair[0]));
    }
    Ok(fields)
}

/// The elements of a JSON list, each still raw.
///
/// # Errors
/// Where `raw` is not a list.
pub fn array(raw: &RawValue) -> Result<Vec<&RawValue>, JsonError> {
    serde_json::from_str(raw.get()).map_err(|_| JsonError::here("must be a JSON list"))
}

/// The first elements of a JSON list, `most` at the most, and how many it has: the rest is read over in no memory.
///
/// # Errors
/// Where `raw` is of another type.
pub fn array_of_at_most(raw: &RawValue, most: usize) -> Result<(Vec<&RawValue>, usize), JsonError> {
    struct First(usize);

    impl<'de> Visitor<'de> for First {
        type Value = (Vec<&'de RawValue>, usize);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut first = Vec::new();
            while first.len() < self.0 {
                let Some(element) = list.next_element()? else {
                    let count = first.len();
                    return Ok((first, count));
                };
                first.push(element);
            }
            let mut count = first.len();
            while list.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok((first, count))
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer.deserialize_seq(First(most)).map_err(|_| JsonError::here("must be a JSON list"))
}

/// A JSON text.
///
/// # Errors
/// Where `raw` is of another type, or holds half of a surrogate pair.
pub fn string(raw: &RawValue) -> Result<String, JsonError> {
    if kind(raw) != Kind::String {
        return Err(JsonError::here("must be a string"));
    }
    serde_json::from_str(raw.get()).map_err(|_| JsonError::here("not a readable text: check its escapes"))
}

/// A whole JSON value of at most `depth` levels of lists and maps.
pub fn value(raw: &RawValue, depth: usize) -> Result<Json, JsonError> {
    let deeper = || depth.checked_sub(1).ok_or_else(|| JsonError::here("nested too deep: at most 16 levels"));
    Ok(match kind(raw) {
        Kind::Null => Json::Null,
        Kind::Bool => Json::Bool(raw.get() == "true"),
        Kind::Number => Json::Number(Number::parse(raw.get())?),
        Kind::String => Json::String(string(raw)?),
        Kind::Array => {
            let depth = deeper()?;
            array(raw)?
                .into_iter()
                .enumerate()
                .map(|(i, item)| value(item, depth).map_err(|e| e.under(&i.to_string())))
                .collect::<Result<_, _>>()
                .map(Json::Array)?
        }
        Kind::Object => {
            let depth = deeper()?;
            object(raw)?
                .into_iter()
                .map(|(key, item)| match value(item, depth) {
                    Ok(item) => Ok((key, item)),
                    Err(e) => Err(e.under(&key)),
                })
                .collect::<Result<_, _>>()
                .map(Json::Object)?
        }
    })
}

/// The type of a raw JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`, `false`
    Bool,
    /// A number.
    Number,
    /// A text.
    String,
    /// A list.
    Array,
    /// A map.
    Object,
}

/// Tells the type of a raw value by its first byte.
pub fn kind(raw: &RawValue) -> Kind {
    match raw.get().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

struct Fields<'a, 'de>(&'a mut Vec<(String, &'de RawValue)>);

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.0.push((key, map.next_value::<&'de RawValue>()?));
        }
        Ok(())
    }
}

/// Parses a whole document into its raw value. A byte order mark before it is ignored.
///
/// # Errors
/// Where the text is not one JSON value in UTF-8; the detail names line and column.
pub fn document(bytes: &[u8]) -> Result<&RawValue, JsonError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let raw = <&RawValue>::deserialize(&mut deserializer)
        .and_then(|raw| deserializer.end().map(|()| raw))
        .map_err(|e: serde_json::Error| JsonError::here(format!("not valid JSON: {e}")))?;
    Ok(raw)
}

impl JsonSchema for Json {
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "Any JSON, as it was sent; the keys of its maps come sorted."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, JsonError> {
        let json = value(document(text.as_bytes())?, 16)?;
        Ok(serde_json::to_string(&json).unwrap_or_default())
    }

    fn error(text: &str) -> String {
        read(text).expect_err(text).to_string()
    }

    #[test]
    fn numbers_keep_their_value() {
        for (sent, kept) in [
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
            ("0.1", "0.1"),
            ("-0", "0"),
            ("1.50", "1.5"),
            ("1E+3", "1000"),
            ("1e125", "1e125"),
            ("-9.9e-131", "0"),
            ("1.25e-130", "1.25e-130"),
            ("1e-400", "0"),
            ("123456789012345678901234.5", "123456789012345678901234.5"),
            ("1e99999999999999999999", "refused"),
            ("1e300", "refused"),
            ("1.1e125", "refused"),
            ("123456789012345678901234567890123456789", "refused"),
        ] {
            assert_eq!(read(sent).unwrap_or_else(|_| "refused".into()), kept, "{sent}");
        }
    }

    #[test]
    fn what_only_begins_like_a_number_is_none() {
        for text in ["1e", "1e-", "1e-x", "1e+-5", "0ex", "+-1", "--1", "e5", "."] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_dynamodb_would_refuse_or_change_is_named() {
        assert_eq!(error(r#"{"a":{"b":1,"b":2}}"#), "a.b: the key is repeated: send it once");
        assert_eq!(error(r#"{"a":[{"":1}]}"#), "a.0: a key is empty: give every key a name");
        assert!(error(&("[".repeat(17) + &"]".repeat(17))).contains("nested too deep"));
        assert!(read(&("[".repeat(16) + &"]".repeat(16))).is_ok());
        assert!(error(r#""\ud800""#).contains("escapes"));
        assert!(error("{").contains("not valid JSON"));
        assert!(error("1 2").contains("not valid JSON"));
        assert!(error(&"[".repeat(1_000_000)).contains("not valid JSON"));
    }

    #[test]
    fn keys_go_out_sorted() {
        assert_eq!(read(r#"{"b":[null,true],"a":{"x":"é"}}"#).as_deref(), Ok(r#"{"a":{"x":"é"},"b":[null,true]}"#));
    }

    proptest! {
        #[test]
        fn a_spelling_is_canonical(whole in "[1-9][0-9]{0,20}", fraction in "[0-9]{0,16}", exponent in -120i32..80) {
            let number = Number::parse(&format!("{whole}.{fraction}e{exponent}").replace(".e", "e"))
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(Number::parse(number.as_str()), Ok(number.clone()));
            let sent: f64 = format!("{whole}.{fraction}e{exponent}").parse().unwrap_or(f64::NAN);
            let kept: f64 = number.as_str().parse().unwrap_or(f64::NAN);
            prop_assert!((sent - kept).abs() <= sent.abs() * 1e-15);
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = read(&text);
        }
    }
}
