//! The place in an original source that a place in a minified file comes from.

use schemars::JsonSchema;
use serde::Serialize;
use sourcemap::{DecodedMap, SourceView, Token};

use crate::weight::{Weight, WeightError};

/// Lines of context before and after a line.
const CONTEXT: u32 = 5;
/// Most characters of a line that are shown.
const MAX_LINE: usize = 300;
/// Most characters of a name that are shown.
const MAX_NAME: usize = 500;

/// A source map that was read, and its minified file.
pub(crate) struct Parsed {
    map: DecodedMap,
    code: SourceView,
    bytes: u64,
}

/// Why a source map is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MapError {
    #[error(transparent)]
    Weight(#[from] WeightError),
    #[error(transparent)]
    Unreadable(#[from] sourcemap::Error),
}

/// Where a frame comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "OriginalFrame")]
pub(crate) struct Original {
    /// The original source.
    pub(crate) source: String,
    /// The name of the function there; absent where the map does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<String>,
    /// The line, from 1.
    pub(crate) line: u32,
    /// The column, from 1.
    pub(crate) column: u32,
    /// The lines around; absent where the map has no content of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<Context>,
}

/// Lines of a source, each of at most 300 characters: of a longer one, what is around the column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "SourceContext")]
pub(crate) struct Context {
    /// At most five lines before it.
    pub(crate) before: Vec<String>,
    /// The line itself.
    pub(crate) line: String,
    /// At most five lines after it.
    pub(crate) after: Vec<String>,
}

impl MapError {
    /// Whether the map is too much, rather than broken.
    pub(crate) const fn is_too_much(&self) -> bool {
        matches!(self, Self::Weight(WeightError::TooMuch(_)))
    }
}

impl Parsed {
    /// Reads a source map and its minified file, unless it would take too much memory.
    pub(crate) fn read(map: &[u8], code: String) -> Result<Self, MapError> {
        let weight = Weight::of(map, code.as_bytes())?;
        let bytes = weight.bytes(map.len() + code.len());
        let map = match sourcemap::decode_slice(map)? {
            // Tokens of sections have places within their section.
            DecodedMap::Index(index) => DecodedMap::Regular(index.flatten()?),
            map => map,
        };
        Ok(Self { map, code: SourceView::new(code.into()), bytes })
    }

    /// About how many bytes of memory it takes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The original of a place, counted from 1, in a function of that minified name. None where the map has nothing there.
    pub(crate) fn original(&self, line: u32, column: u32, function: Option<&str>) -> Option<Original> {
        let (line, column) = (line.checked_sub(1)?, column.saturating_sub(1));
        let token = self.map.lookup_token(line, column)?;
        // A place before the first mapping of a line finds the last one of a line before it.
        if token.get_dst_line() != line {
            return None;
        }
        let source = token.get_source()?;
        let name = function.map(plain_name);
        let function = self.map.get_original_function_name(line, column, name, Some(&self.code));
        let at = token.get_src();
        Some(Original {
            source: cut(source, MAX_NAME),
            function: function.map(|name| cut(name, MAX_NAME)),
            line: at.0.saturating_add(1),
            column: at.1.saturating_add(1),
            context: context(&token),
        })
    }
}

/// The name alone of a function, as engines write it: `async Object.a`, `new b`.
fn plain_name(text: &str) -> &str {
    let last = text.rsplit(' ').next().unwrap_or(text);
    last.rsplit('.').next().unwrap_or(last)
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn context(token: &Token<'_>) -> Option<Context> {
    let (view, (line, column)) = (token.get_source_view()?, token.get_src());
    let shown = |line: u32, around: usize| view.get_line(line).map(|text| part(text, around));
    let middle = shown(line, usize::try_from(column).unwrap_or(usize::MAX))?;
    let before = (line.saturating_sub(CONTEXT)..line).filter_map(|line| shown(line, 0));
    let after = (1..=CONTEXT).map_while(|n| shown(line.checked_add(n)?, 0));
    Some(Context { before: before.collect(), line: middle, after: after.collect() })
}

/// The part of a line around a column.
fn part(text: &str, around: usize) -> String {
    let text = text.trim_end();
    let from = around.saturating_sub(MAX_LINE / 2);
    let length = text.chars().take(from.saturating_add(MAX_LINE + 1)).count();
    if length <= MAX_LINE {
        return text.to_owned();
    }
    // Near its end as much is shown as elsewhere.
    let from = from.min(length.saturating_sub(MAX_LINE));
    text.chars().skip(from).take(MAX_LINE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_shown_around_its_column() {
        let line: String = ('a'..='z').cycle().take(1_000).collect();
        assert_eq!(part("short  ", 90), "short");
        assert_eq!(part(&line, 0), line[..300]);
        assert_eq!(part(&line, 500), line[350..650]);
        assert_eq!(part(&line, 1_000), line[700..]);
        assert_eq!(part(&line, usize::MAX).len(), 300);
        assert_eq!(part(&"\u{e9}".repeat(301), 0).chars().count(), 300);
    }

    #[test]
    fn a_function_is_looked_up_by_its_name_alone() {
        for (text, name) in [("a", "a"), ("Object.a", "a"), ("async b.c", "c"), ("new d", "d"), ("", "")] {
            assert_eq!(plain_name(text), name, "{text}");
        }
    }

    #[test]
    fn a_place_that_the_map_does_not_have_is_none() {
        let map = br#"{"version":3,"sources":["a.ts"],"sourcesContent":["one\ntwo\nthree\n"],"names":["pay"],
            "mappings":";IACIA"}"#;
        let parsed = Parsed::read(map, String::from("\nfunction x(){}")).expect("a map");
        let original = parsed.original(2, 5, Some("x")).expect("a place");
        assert_eq!((original.source.as_str(), original.line, original.column), ("a.ts", 2, 5));
        let context = original.context.expect("content");
        assert_eq!((context.before, context.line.as_str()), (vec!["one".to_owned()], "two"));
        assert_eq!(context.after[0], "three");
        for (line, column) in [(0, 0), (1, 1), (2, 1), (3, 1), (u32::MAX, u32::MAX)] {
            assert_eq!(parsed.original(line, column, None), None, "{line}:{column}");
        }
    }
}
