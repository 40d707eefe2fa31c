//! The JSON values of an event's `data`, `tags` and `stack`. Numbers keep their exact value; keys are neither empty nor
//! repeated.
//!
//! `serde_json::Value` would round numbers to 64 bits and keep the last of two equal keys. This module walks the text
//! itself, once `serde_json` has checked it, so that it sees each number and each key as it was sent.

use std::borrow::Cow;
use std::cmp::Ordering;
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

    /// Whether it is negative, the power of ten of its first digit, and its digits without zeros at the ends; those of 0
    /// are none.
    fn parts(&self) -> (bool, i64, String) {
        let unsigned = self.0.strip_prefix('-').unwrap_or(&self.0);
        let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        // The exponent of a canonical spelling is a small number.
        let leading = exponent.parse().unwrap_or(0) + length(whole) - 1 - (length(&all) - length(digits));
        (unsigned.len() < self.0.len(), leading, digits.trim_end_matches('0').to_owned())
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    /// By value, exactly.
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, other) = (self.parts(), other.parts());
        // Zero has no first digit to tell how large it is.
        let size =
            |(_, leading, digits): &(bool, i64, String)| (!digits.is_empty()).then(|| (*leading, digits.clone()));
        match (one.0, other.0) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => size(&one).cmp(&size(&other)),
            (true, true) => size(&other).cmp(&size(&one)),
        }
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

    /// The number of values that it consists of: itself, and those in it.
    pub fn values(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => 1,
            Self::Array(items) => 1 + items.iter().map(Self::values).sum::<usize>(),
            Self::Object(fields) => 1 + fields.values().map(Self::values).sum::<usize>(),
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
    check_keys(fields.iter().map(|(key, _): &(String, _)| key.as_str()))?;
    Ok(fields)
}

/// Checks that no key of an object is empty or repeated.
fn check_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Result<(), JsonError> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    if keys.first() == Some(&"") {
        return Err(JsonError::here("a key is empty: give every key a name"));
    }
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(JsonError::here("the key is repeated: send it once").under(pair[0])),
        None => Ok(()),
    }
}

/// The elements of a JSON list, each still raw.
///
/// # Errors
/// Where `raw` is not a list.
pub fn array(raw: &RawValue) -> Result<Vec<&RawValue>, JsonError> {
    serde_json::from_str(raw.get()).map_err(|_| JsonError::here("must be a JSON list"))
}

/// The items of a JSON list, at most so many of them, each still raw, and how many it has.
///
/// # Errors
/// Where it is no list.
pub fn array_of_at_most(raw: &RawValue, most: usize) -> Result<(Vec<&RawValue>, usize), JsonError> {
    list_of_at_most(raw.get().as_bytes(), most)
}

/// Parses a whole document that is a JSON list. Returns its first elements, `most` at the most, each still raw, and how
/// many it has: the rest is read over in no memory.
///
/// # Errors
/// Where the text is not one JSON list in UTF-8; the detail names line and column.
pub fn list_of_at_most(bytes: &[u8], most: usize) -> Result<(Vec<&RawValue>, usize), JsonError> {
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

    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let list = deserializer.deserialize_seq(First(most)).and_then(|list| deserializer.end().map(|()| list));
    list.map_err(|e| JsonError::here(format!("not valid JSON: {e}")))
}

/// Returns the number of values in a raw value, itself included: every list, map, text, number, boolean and null, but not
/// the keys of maps. It reads the text once and builds nothing.
pub fn count(raw: &RawValue) -> usize {
    count_in(raw.get().as_bytes())
}

/// The number of values in a JSON text, as [`count`] returns it. For what is no JSON it is any number.
pub fn count_in(text: &[u8]) -> usize {
    let mut bytes = text.iter();
    let mut values = 1;
    // Whether the byte before, white space aside, opened a list or map. Its first value is counted ahead.
    let mut opened = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => _ = bytes.next(),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b',' => values += 1,
            b'[' | b'{' => {
                values += 1;
                opened = true;
                continue;
            }
            b']' | b'}' if opened => values -= 1,
            _ => {}
        }
        opened = false;
    }
    values
}

/// A JSON text.
///
/// # Errors
/// Where `raw` is of another type, or holds half of a surrogate pair.
pub fn string(raw: &RawValue) -> Result<String, JsonError> {
    if kind(raw) != Kind::String {
        return Err(JsonError::here("must be a string"));
    }
    text(raw.get())
}

/// The text in its quotes.
fn text(quoted: &str) -> Result<String, JsonError> {
    serde_json::from_str(quoted).map_err(|_| JsonError::here("not a readable text: check its escapes"))
}

/// A whole JSON value of at most `depth` levels of lists and maps.
///
/// # Errors
/// Where the value is deeper, or has what an event may not hold: a key that is empty or repeated, half of a surrogate pair,
/// a number beyond the limits.
pub fn value(raw: &RawValue, depth: usize) -> Result<Json, JsonError> {
    Walk { left: raw.get() }.value(depth)
}

/// The text of a value that is valid JSON, as far as it has not been read. Each byte is read once, however deep it lies.
struct Walk<'a> {
    left: &'a str,
}

impl<'a> Walk<'a> {
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        let deeper = || depth.checked_sub(1).ok_or_else(|| JsonError::here("nested too deep: at most 16 levels"));
        match self.next() {
            Some(b'[') => {
                let depth = deeper()?;
                let mut items = Vec::new();
                self.each(b']', |walk| {
                    let item = walk.value(depth).map_err(|e| e.under(&items.len().to_string()))?;
                    items.push(item);
                    Ok(())
                })?;
                Ok(Json::Array(items))
            }
            Some(b'{') => {
                let depth = deeper()?;
                let mut fields = Vec::new();
                self.each(b'}', |walk| {
                    let key = text(walk.quoted())?;
                    // The colon.
                    walk.next();
                    walk.skip(1);
                    let value = walk.value(depth).map_err(|e| e.under(&key))?;
                    fields.push((key, value));
                    Ok(())
                })?;
                check_keys(fields.iter().map(|(key, _)| key.as_str()))?;
                Ok(Json::Object(fields.into_iter().collect()))
            }
            Some(b'"') => text(self.quoted()).map(Json::String),
            _ => match self.word() {
                "null" => Ok(Json::Null),
                "true" => Ok(Json::Bool(true)),
                "false" => Ok(Json::Bool(false)),
                number => Number::parse(number).map(Json::Number),
            },
        }
    }

    /// Reads what lies between the bracket that comes next and its end, element by element.
    fn each(&mut self, end: u8, mut element: impl FnMut(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        self.skip(1);
        loop {
            match self.next() {
                Some(byte) if byte == end => {
                    self.skip(1);
                    return Ok(());
                }
                Some(b',') => self.skip(1),
                Some(_) => element(self)?,
                None => return Err(JsonError::here("not valid JSON")),
            }
        }
    }

    /// The next byte that is not white space; the text then begins with it.
    fn next(&mut self) -> Option<u8> {
        self.left = self.left.trim_ascii_start();
        self.left.bytes().next()
    }

    fn skip(&mut self, bytes: usize) {
        self.left = self.left.get(bytes..).unwrap_or_default();
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, left) = self.left.split_at_checked(bytes).unwrap_or((self.left, ""));
        self.left = left;
        taken
    }

    /// The text that comes next, with its quotes.
    fn quoted(&mut self) -> &'a str {
        self.next();
        let mut escaped = false;
        let end = self.left.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        self.take(end.map_or(self.left.len(), |end| end + 2))
    }

    /// The number, boolean or null that comes next.
    fn word(&mut self) -> &'a str {
        let end = self.left.bytes().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'));
        self.take(end.unwrap_or(self.left.len()))
    }
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

    /// The number of values in JSON that was built.
    fn built(json: &Json) -> usize {
        match json {
            Json::Array(items) => 1 + items.iter().map(built).sum::<usize>(),
            Json::Object(fields) => 1 + fields.values().map(built).sum::<usize>(),
            _ => 1,
        }
    }

    #[test]
    fn values_are_counted_without_building_them() {
        for (text, values) in [
            ("1", 1),
            ("\"[,]\\\"{,\"", 1),
            ("[]", 1),
            ("[ \n]", 1),
            ("[{}]", 2),
            (r#"{"a,[":[1,2],"b\\":{"c" : { }}}"#, 6),
            ("[[[[1]]],\"\",null]", 7),
        ] {
            let raw = document(text.as_bytes()).expect(text);
            assert_eq!(count(raw), values, "{text}");
            assert_eq!(built(&value(raw, 16).expect(text)), values, "{text}");
        }
    }

    /// The same with numbers as they compare: they may be spelled in another way.
    fn plain(json: serde_json::Value) -> serde_json::Value {
        match json {
            serde_json::Value::Number(number) => number.as_f64().into(),
            serde_json::Value::Array(items) => items.into_iter().map(plain).collect(),
            serde_json::Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, plain(value))).collect(),
            other => other,
        }
    }

    /// Any JSON of a few levels, with white space and escapes between.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just(" true\n".to_owned()),
            "-?[1-9][0-9]{0,5}(\\.[0-9]{1,3})?(e[0-9])?",
            ".{0,5}".prop_map(|text| serde_json::to_string(&text).expect("a text")),
            Just(r#""\u00e9\\\"""#.to_owned()),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,\t"))),
                prop::collection::btree_map("[a-z\\\\\"]{1,3}", inner, 0..4).prop_map(|fields| {
                    let fields = fields
                        .iter()
                        .map(|(key, value)| format!("{} : {value}", serde_json::to_string(key).expect("a text")));
                    format!("{{{}}}", fields.collect::<Vec<_>>().join(" , "))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_walked_is_what_serde_json_reads(text in any_json()) {
            let raw = document(text.as_bytes()).expect("JSON");
            let walked = value(raw, 16).expect("within the limits");
            prop_assert_eq!(count(raw), built(&walked));
            let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(plain(serde_json::to_value(&walked).expect("JSON")), plain(read));
        }

        #[test]
        fn a_spelling_is_canonical(whole in "[1-9][0-9]{0,20}", fraction in "[0-9]{0,16}", exponent in -120i32..80) {
            let number = Number::parse(&format!("{whole}.{fraction}e{exponent}").replace(".e", "e"))
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(Number::parse(number.as_str()), Ok(number.clone()));
            // Both are the same decimal, so they round to the same float.
            let sent: f64 = format!("{whole}.{fraction}e{exponent}").parse().unwrap_or(f64::NAN);
            prop_assert_eq!(number.as_str().parse(), Ok(sent));
        }

        #[test]
        fn numbers_compare_by_value(a in (-999_999i64..999_999, -9i32..9), b in (-999_999i64..999_999, -9i32..9)) {
            let number = |(digits, exponent)| Number::parse(&format!("{digits}e{exponent}")).expect("a number");
            // In units of 1e-9, all of them are whole.
            let whole = |(digits, exponent): (i64, i32)| i128::from(digits) * 10i128.pow((exponent + 9).unsigned_abs());
            prop_assert_eq!(number(a).cmp(&number(b)), whole(a).cmp(&whole(b)));
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = read(&text);
        }
    }
}
