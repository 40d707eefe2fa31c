//! Sanitizes what client libraries send, where Tally's own events would be refused: users cannot change the libraries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::event::json::{self, Json, Kind, Number};
use tally_core::event::{MAX_DEPTH, MAX_TEXT};

/// A body as a JSON text that every parser takes: bytes that are not UTF-8, NUL, and halves of surrogate pairs are replaced
/// by U+FFFD. Pairs of surrogates of three bytes each are one character.
pub fn body(sent: &[u8]) -> Cow<'_, str> {
    let text = text(sent);
    if !text.contains("\\u") {
        return text;
    }
    let mut sanitized = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        at += found;
        // An escape has at least two characters; `\\` hides the `u` of `\\u`.
        let Some(unit) = escape(&text, at) else {
            at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
            continue;
        };
        let is_pair = (0xd800..0xdc00).contains(&unit)
            && escape(&text, at + 6).is_some_and(|second| (0xdc00..0xe000).contains(&second));
        if is_pair {
            at += 12;
            continue;
        }
        if unit == 0 || (0xd800..0xe000).contains(&unit) {
            sanitized.push_str(&text[kept..at]);
            sanitized.push_str("\\ufffd");
            kept = at + 6;
        }
        at += 6;
    }
    if kept == 0 {
        return text;
    }
    sanitized.push_str(&text[kept..]);
    Cow::Owned(sanitized)
}

/// UTF-8, or CESU-8: mixpanel-browser and others pack each UTF-16 unit by itself, so that a character outside of the basic
/// plane, such as an emoji, is a pair of surrogates of three bytes each.
fn text(sent: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(sent) {
        return Cow::Borrowed(text);
    }
    let mut joined = Vec::with_capacity(sent.len());
    let mut rest = sent;
    while let Some((first, after)) = rest.split_first() {
        if let Some((pair, after)) = rest.split_first_chunk::<6>()
            && let Some(character) = joined_pair(*pair)
        {
            joined.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = after;
        } else {
            joined.push(*first);
            rest = after;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&joined).into_owned())
}

/// The character of a high and a low surrogate of three bytes each.
fn joined_pair([lead, a, b, second_lead, c, d]: [u8; 6]) -> Option<char> {
    let is_pair = lead == 0xed && (0xa0..0xb0).contains(&a) && second_lead == 0xed && (0xb0..0xc0).contains(&c);
    let continues = [b, d].iter().all(|byte| byte & 0xc0 == 0x80);
    let unit = |high: u8, low: u8| u16::from(high & 0x3f) << 6 | u16::from(low & 0x3f) | 0xd000;
    let mut characters = char::decode_utf16([unit(a, b), unit(c, d)]);
    characters.next().filter(|_| is_pair && continues)?.ok()
}

/// The UTF-16 unit of the escape `\uXXXX` at a place.
fn escape(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// A JSON value as an event can keep it: of equal keys the last counts, an empty key is dropped, what is nested deeper than
/// 16 levels and numbers that DynamoDB cannot hold become text.
pub fn value(raw: &RawValue) -> Json {
    within(raw, MAX_DEPTH)
}

/// A value that lies in an object of an event, such as a field of `data`.
pub fn nested(raw: &RawValue) -> Json {
    within(raw, MAX_DEPTH - 1)
}

/// A value of at most `depth` levels of lists and objects.
pub fn within(raw: &RawValue, depth: usize) -> Json {
    let as_text = || Json::String(raw.get().to_owned());
    match (json::kind(raw), depth.checked_sub(1)) {
        (Kind::Null, _) => Json::Null,
        (Kind::Bool, _) => Json::Bool(raw.get() == "true"),
        (Kind::Number, _) => Number::parse(raw.get()).map_or_else(|_| as_text(), Json::Number),
        (Kind::String, _) => json::string(raw).map_or_else(|_| as_text(), Json::String),
        (Kind::Array, Some(depth)) => match json::array(raw) {
            Ok(items) => Json::Array(items.into_iter().map(|item| within(item, depth)).collect()),
            Err(_) => as_text(),
        },
        (Kind::Object, Some(depth)) => {
            let fields = object(raw).into_iter().filter(|(key, _)| !key.is_empty());
            Json::Object(fields.map(|(key, item)| (key, within(item, depth))).collect::<BTreeMap<_, _>>())
        }
        (Kind::Array | Kind::Object, None) => as_text(),
    }
}

/// The fields of a JSON object, each still raw, in the order sent; none of anything else. A key may repeat.
pub fn object(raw: &RawValue) -> Vec<(String, &RawValue)> {
    struct Fields;

    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(fields)
        }
    }

    serde_json::Deserializer::from_str(raw.get()).deserialize_map(Fields).unwrap_or_default()
}

/// Some fields of a JSON object, each still raw, by their names; none of anything else. Of equal keys the last counts that is
/// not null. The other fields are read over in no memory.
pub fn pick<'a, const N: usize>(raw: &'a RawValue, names: [&str; N]) -> [Option<&'a RawValue>; N] {
    struct Place<'n>(&'n [&'n str]);

    impl<'de> DeserializeSeed<'de> for Place<'_> {
        type Value = Option<usize>;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_str(self)
        }
    }

    impl Visitor<'_> for Place<'_> {
        type Value = Option<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a key")
        }

        fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
            Ok(self.0.iter().position(|name| *name == key))
        }
    }

    struct Picked<'n, const N: usize>([&'n str; N]);

    impl<'de, const N: usize> Visitor<'de> for Picked<'_, N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut picked = [None; N];
            while let Some(place) = map.next_key_seed(Place(&self.0))? {
                let value: &'de RawValue = map.next_value()?;
                if let Some(kept) = place.and_then(|place| picked.get_mut(place))
                    && json::kind(value) != Kind::Null
                {
                    *kept = Some(value);
                }
            }
            Ok(picked)
        }
    }

    serde_json::Deserializer::from_str(raw.get()).deserialize_map(Picked(names)).unwrap_or([None; N])
}

/// A text cut to a limit in bytes, between characters.
pub fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

/// A text cut to what a field of an event holds.
pub fn short(text: Option<String>) -> Option<String> {
    text.map(|text| cut(text, MAX_TEXT))
}

/// A text that tells events apart: the hash of one that is longer than a field of an event.
pub fn distinct(text: String) -> String {
    if text.len() > MAX_TEXT { hex(&sha256(text.as_bytes())) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sanitized(sent: &str) -> String {
        let text = body(sent.as_bytes());
        let raw = json::document(text.as_bytes()).expect("JSON");
        serde_json::to_string(&value(raw)).expect("JSON")
    }

    #[test]
    fn what_an_event_cannot_keep_is_mended() {
        for (sent, kept) in [
            (r#"{"a":1,"":2,"a":3}"#, r#"{"a":3}"#),
            (r#""\ud800x""#, "\"\u{fffd}x\""),
            (r#""\udc00\ud83d\ude00""#, "\"\u{fffd}😀\""),
            (r#"{"\ud800":"\u0000"}"#, "{\"\u{fffd}\":\"\u{fffd}\"}"),
            (r#""\\ud800""#, r#""\\ud800""#),
            ("1e999", r#""1e999""#),
            ("123456789012345678901234567890123456789", r#""123456789012345678901234567890123456789""#),
            (r#"{"x":0.1,"y":null}"#, r#"{"x":0.1,"y":null}"#),
        ] {
            assert_eq!(sanitized(sent), kept, "{sent}");
        }
        assert_eq!(body(b"\"\xff\""), "\"\u{fffd}\"");
        // CESU-8: an emoji, half of one, an emoji cut off.
        assert_eq!(body(b"\xed\xa0\xbd\xed\xb8\x80 \xc3\xa9"), "😀 é");
        assert_eq!(body(b"\xed\xa0\xbd!"), "\u{fffd}\u{fffd}\u{fffd}!");
        assert!(body(b"\xed\xa0\xbd\xed\xb8").chars().all(|c| c == '\u{fffd}'));
        let deep = "[".repeat(18) + &"]".repeat(18);
        assert_eq!(sanitized(&deep), "[".repeat(16) + "\"[[]]\"" + &"]".repeat(16));
        assert_eq!(body("\\".as_bytes()), "\\");
        assert_eq!(body("\\é \\u00".as_bytes()), "\\é \\u00");
    }

    #[test]
    fn fields_are_picked_by_their_names() {
        let of = |text: &'static str| {
            let raw = json::document(text.as_bytes()).expect("JSON");
            pick(raw, ["a", "b"]).map(|value| value.map(RawValue::get))
        };
        assert_eq!(of(r#"{"a":1,"c":[2],"\u0062":{},"a":null,"a":3}"#), [Some("3"), Some("{}")]);
        for other in ["[]", "3", r#""a""#, "{}", r#"{"a":null}"#] {
            assert_eq!(of(other), [None, None], "{other}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("éé".to_owned(), 3), "é");
        assert_eq!(cut("a".to_owned(), 3), "a");
    }
}
