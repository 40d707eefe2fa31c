//! What a source map takes in memory, counted before anything of it is built: a few bytes of text can become many.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Most places that mappings tell: a map of 32 MB without sources has about that many.
pub(crate) const MAX_TOKENS: u64 = 4_000_000;
/// Most JSON values: names, sources, sections.
pub(crate) const MAX_VALUES: u64 = 1_000_000;
/// Most lines of a minified file and of all sources of its map.
pub(crate) const MAX_LINES: u64 = 4_000_000;
/// Bytes of a place, of a value, and of a line, of which a view keeps the start and the length.
const TOKEN: u64 = 28;
const VALUE: u64 = 64;
const LINE: u64 = 16;

/// What a source map and its minified file consist of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    tokens: u64,
    values: u64,
    lines: u64,
}

/// A source map is not read.
#[derive(Debug, thiserror::Error)]
#[error("it has more than {most} {what}: split the bundle in your build")]
pub(crate) struct TooMuch {
    most: u64,
    what: &'static str,
}

/// Why a map has no weight.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WeightError {
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Weight {
    /// Counts a map and its minified file, and refuses what is too much.
    pub(crate) fn of(map: &[u8], code: &[u8]) -> Result<Self, WeightError> {
        let mut weight = Self { lines: lines(code), ..Self::default() };
        let mut json = serde_json::Deserializer::from_slice(without_guard(map));
        Walk { weight: &mut weight, is_mappings: false }.deserialize(&mut json)?;
        json.end()?;
        let Self { tokens, values, lines } = weight;
        for (count, most, what) in [
            (tokens, MAX_TOKENS, "mappings"),
            (values, MAX_VALUES, "names, sources and other values"),
            (lines, MAX_LINES, "lines"),
        ] {
            if count > most {
                return Err(TooMuch { most, what }.into());
            }
        }
        Ok(weight)
    }

    /// The bytes in memory of a map and a file whose texts have so many.
    pub(crate) fn bytes(&self, texts: usize) -> u64 {
        let texts = u64::try_from(texts).unwrap_or(u64::MAX);
        texts.saturating_add(TOKEN * self.tokens + VALUE * self.values + LINE * self.lines)
    }
}

/// The JSON after a first line such as `)]}'`, which keeps browsers from running it.
fn without_guard(map: &[u8]) -> &[u8] {
    match map.first() {
        Some(b')' | b']' | b'}' | b'\'') => {
            let end = map.iter().position(|b| *b == b'\n').unwrap_or(map.len());
            &map[end..]
        }
        _ => map,
    }
}

fn lines(text: &[u8]) -> u64 {
    count(text, |b| matches!(b, b'\n' | b'\r')) + 1
}

fn count(text: &[u8], is_counted: impl Fn(u8) -> bool) -> u64 {
    // The sum of a text of 32 MB fits.
    text.iter().map(|b| u64::from(is_counted(*b))).sum()
}

/// Whether a field holds mappings, of a map, of a section or of a scope.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Mappings,
    #[serde(other)]
    Other,
}

/// Walks over a value and keeps nothing of it.
struct Walk<'a> {
    weight: &'a mut Weight,
    is_mappings: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.weight.values += 1;
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.weight.values += 1;
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.weight.values += 1;
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.weight.values += 1;
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.weight.values += 1;
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let Weight { tokens, values, lines: all_lines } = self.weight;
        *values += 1;
        if self.is_mappings {
            *tokens += count(text.as_bytes(), |b| matches!(b, b',' | b';')) + 1;
        } else {
            *all_lines += lines(text.as_bytes()) - 1;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.weight.values += 1;
        while items.next_element_seed(Walk { weight: &mut *self.weight, is_mappings: false })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.weight.values += 1;
        while let Some(field) = fields.next_key::<Field>()? {
            let is_mappings = matches!(field, Field::Mappings);
            fields.next_value_seed(Walk { weight: &mut *self.weight, is_mappings })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(map: &str) -> Weight {
        Weight::of(map.as_bytes(), b"one\ntwo").expect("a weight")
    }

    #[test]
    fn places_values_and_lines_are_counted_wherever_they_are() {
        let plain = r#"{"mappings": "AAAA,AAAA;;AAAA", "names": ["a,b;c", 1], "sourcesContent": ["x\ny,z"]}"#;
        assert_eq!(of(plain), Weight { tokens: 4, values: 7, lines: 3 });
        assert_eq!(of(&format!(")]}}'\n{plain}")), of(plain));
        let nested = format!(r#"{{"sections": [{{"map": {plain}}}, {{"map": {plain}}}]}}"#);
        assert_eq!(of(&nested).tokens, 8);
        assert_eq!(of(plain).bytes(10), 10 + 4 * 28 + 7 * 64 + 3 * 16);
        for broken in ["", ")]}'", "{", "{} {}", "nonsense"] {
            assert!(matches!(Weight::of(broken.as_bytes(), b""), Err(WeightError::Json(_))), "{broken}");
        }
    }

    #[test]
    fn what_would_take_too_much_memory_is_refused() {
        let tokens = format!(r#"{{"mappings": "{}"}}"#, ",".repeat(4_000_000));
        let values = format!(r#"{{"names": [{}0]}}"#, "0,".repeat(1_000_000));
        let lines = format!(r#"{{"sourcesContent": ["{}"]}}"#, "\\n".repeat(4_000_000));
        for (map, what) in [(tokens, "mappings"), (values, "names"), (lines, "lines")] {
            let error = Weight::of(map.as_bytes(), b"").expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(Weight::of(b"{}", &vec![b'\n'; 4_000_000]).is_err());
    }
}
