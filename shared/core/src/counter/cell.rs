//! Cells: what counters count. A cell is one combination of name, slug, category and level.
//!
//! How a cell is spelt as an attribute of a counter item never changes between releases: what INSERT added under one
//! spelling, REMOVE must subtract under the same.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::counter::property::{CountedPath, Property};
use crate::digest::sha256_u64;
use crate::event::group::{Group, GroupBy};
use crate::event::level::Level;

/// The name that counts events whose cell has no room in a full counter item.
pub const OTHER: &str = "(other)";

/// One combination of name, slug, category and level.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// What happened.
    pub name: String,
    /// The machine-readable form of the name.
    pub slug: String,
    /// The category, if the event has one.
    pub category: Option<String>,
    /// The level, if the event has one.
    pub level: Option<Level>,
}

/// What an attribute of a counter item counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CounterLabel {
    /// A cell.
    Cell(Cell),
    /// A group of messages at a level.
    Group(Option<Level>, Group),
    /// The sum of the text marks of a group at a level; see [`group_of`](crate::event::group::group_of).
    Marks(Option<Level>, Group),
    /// All events of a level for which a full item has no attribute of their own.
    Other(Option<Level>),
    /// The events of a cell that have a value, as JSON text, at a counted path.
    Value(Cell, CountedPath, String),
    /// The events of a level whose values at a counted path have no attribute of their own: a full item had no room, or they are
    /// too long.
    OtherValues(Option<Level>, CountedPath),
}

impl Cell {
    /// Its attribute, `c:E|application started||startup`: level, name, slug (empty where it is the name in lower case
    /// with `-` for white space) and category, with `\` before `|` and `\`.
    pub fn attribute(&self) -> String {
        let mut text = String::with_capacity(8 + self.name.len() + self.slug.len());
        text.push_str("c:");
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        text.push(letter(self.level));
        push(text, &self.name);
        push(text, if self.slug == plain_slug(&self.name) { "" } else { &self.slug });
        push(text, self.category.as_deref().unwrap_or(""));
    }

    /// A number that distributes cells evenly over pages, from the name of the attribute.
    pub fn spread(attribute: &str) -> u64 {
        sha256_u64(attribute.as_bytes())
    }

    fn of_parts([level, name, slug, category]: [String; 4]) -> Option<Self> {
        Some(Self {
            level: level_of(&level)?,
            slug: if slug.is_empty() { plain_slug(&name) } else { slug },
            name,
            category: Some(category).filter(|c| !c.is_empty()),
        })
    }
}

impl CounterLabel {
    /// What a property of an event of a cell is counted as.
    pub fn of_property(cell: Cell, Property { path, value }: &Property) -> Self {
        match value {
            Some(value) => Self::Value(cell, path.clone(), value.clone()),
            None => Self::OtherValues(cell.level, path.clone()),
        }
    }

    /// The name of the attribute that holds the count.
    pub fn attribute(&self) -> String {
        match self {
            Self::Cell(cell) => cell.attribute(),
            Self::Group(level, group) => group_attribute(['m', 'f'], *level, *group),
            Self::Marks(level, group) => group_attribute(['M', 'F'], *level, *group),
            Self::Other(level) => other_attribute(*level),
            Self::Value(cell, path, value) => {
                let mut text = String::from("p:");
                cell.write(&mut text);
                push(&mut text, path.as_str());
                push(&mut text, value);
                text
            }
            Self::OtherValues(level, path) => {
                let mut text = String::from("q:");
                text.push(letter(*level));
                push(&mut text, path.as_str());
                text
            }
        }
    }

    /// Reads the name of an attribute. Returns none for an attribute that is not a count, such as a key or a checkpoint.
    pub fn parse(attribute: &str) -> Option<Self> {
        let (kind, rest) = attribute.split_once(':')?;
        match kind {
            "c" => Cell::of_parts(parts(rest)?).map(Self::Cell),
            "p" => {
                let [level, name, slug, category, path, value] = parts(rest)?;
                let cell = Cell::of_parts([level, name, slug, category])?;
                Some(Self::Value(cell, CountedPath::parse(&path).ok()?, value))
            }
            "q" => {
                let [level, path] = parts(rest)?;
                Some(Self::OtherValues(level_of(&level)?, CountedPath::parse(&path).ok()?))
            }
            "o" => level_of(rest).map(Self::Other),
            "m" | "f" | "M" | "F" => {
                let (level, hash) = rest.split_at_checked(1)?;
                let bytes: [u8; 8] = URL_SAFE_NO_PAD.decode(hash).ok()?.try_into().ok()?;
                let by = if matches!(kind, "m" | "M") { GroupBy::Message } else { GroupBy::Fingerprint };
                let (level, group) = (level_of(level)?, Group { by, hash: u64::from_be_bytes(bytes) });
                Some(if matches!(kind, "m" | "f") { Self::Group(level, group) } else { Self::Marks(level, group) })
            }
            _ => None,
        }
    }

    /// The level of the counted events.
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::Cell(cell) | Self::Value(cell, ..) => cell.level,
            Self::Group(level, _) | Self::Marks(level, _) | Self::Other(level) | Self::OtherValues(level, _) => *level,
        }
    }

    /// Where a full item that has no attribute for it counts it. Marks have no rest: without them, the messages of a group
    /// count as different.
    pub fn of_rest(&self) -> Option<Self> {
        match self {
            Self::Marks(..) => None,
            Self::Value(_, path, _) | Self::OtherValues(_, path) => Some(Self::OtherValues(self.level(), path.clone())),
            Self::Cell(_) | Self::Group(..) | Self::Other(_) => Some(Self::Other(self.level())),
        }
    }
}

/// Adds `|` and a part, with `\` before each `|` and `\` of it.
fn push(text: &mut String, part: &str) {
    text.push('|');
    for c in part.chars() {
        if matches!(c, '|' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
}

/// Reads parts with `|` between them. None if they are more or fewer.
fn parts<const N: usize>(text: &str) -> Option<[String; N]> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let part = parts.last_mut()?;
        match c {
            '|' => parts.push(String::new()),
            '\\' => part.push(chars.next()?),
            _ => part.push(c),
        }
    }
    parts.try_into().ok()
}

/// The attribute of a group, which begins with one letter for messages and another for fingerprints.
fn group_attribute([message, fingerprint]: [char; 2], level: Option<Level>, group: Group) -> String {
    let by = match group.by {
        GroupBy::Message => message,
        GroupBy::Fingerprint => fingerprint,
    };
    let mut text = format!("{by}:{}", letter(level));
    URL_SAFE_NO_PAD.encode_string(group.hash.to_be_bytes(), &mut text);
    text
}

/// The attribute for all other events of a level in a full item.
fn other_attribute(level: Option<Level>) -> String {
    let mut text = String::from("o:");
    // Writing to a String cannot fail.
    let _ = write!(text, "{}", letter(level));
    text
}

fn letter(level: Option<Level>) -> char {
    level.map_or('-', Level::letter)
}

/// Reads the letter of a level. The outer option is none if the text is not such a letter.
#[allow(clippy::option_option)] // a level is itself optional
fn level_of(text: &str) -> Option<Option<Level>> {
    let mut chars = text.chars();
    let (letter, None) = (chars.next()?, chars.next()) else {
        return None;
    };
    match letter {
        '-' => Some(None),
        _ => Level::of_letter(letter).map(Some),
    }
}

/// The slug that an attribute leaves out. It is ASCII only, so a new version of Unicode does not change it.
fn plain_slug(name: &str) -> String {
    name.to_ascii_lowercase().split_ascii_whitespace().collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(name: &str, slug: &str, category: Option<&str>, level: Option<Level>) -> Cell {
        Cell { name: name.into(), slug: slug.into(), category: category.map(Into::into), level }
    }

    fn path(text: &str) -> CountedPath {
        CountedPath::parse(text).expect("a path")
    }

    fn group(by: GroupBy) -> Group {
        Group { by, hash: sha256_u64(b"abc") }
    }

    #[test]
    fn attributes_are_spelt_for_ever_like_this() {
        for (counted, spelt) in [
            (CounterLabel::Cell(cell("Page View", "page-view", Some("web"), Some(Level::Info))), "c:I|Page View||web"),
            (CounterLabel::Cell(cell("a|b\\c", "x|y", None, None)), r"c:-|a\|b\\c|x\|y|"),
            (CounterLabel::Cell(cell("Ärger", "ärger", None, Some(Level::Fatal))), "c:F|Ärger|ärger|"),
            (CounterLabel::Group(Some(Level::Error), group(GroupBy::Message)), "m:EungWv48Bz-o"),
            (CounterLabel::Marks(Some(Level::Error), group(GroupBy::Message)), "M:EungWv48Bz-o"),
            (CounterLabel::Group(None, group(GroupBy::Fingerprint)), "f:-ungWv48Bz-o"),
            (CounterLabel::Marks(None, group(GroupBy::Fingerprint)), "F:-ungWv48Bz-o"),
            (CounterLabel::Other(None), "o:-"),
            (
                CounterLabel::Value(cell("pageview", "pageview", None, None), path("path"), r#""/a|\"b""#.into()),
                r#"p:-|pageview|||path|"/a\|\\"b""#,
            ),
            (
                CounterLabel::Value(
                    cell("Buy", "b", Some("shop"), Some(Level::Info)),
                    path("user.plan"),
                    "null".into(),
                ),
                "p:I|Buy|b|shop|user.plan|null",
            ),
            (CounterLabel::OtherValues(Some(Level::Error), path("a|b")), r"q:E|a\|b"),
        ] {
            assert_eq!(counted.attribute(), spelt);
            assert_eq!(CounterLabel::parse(spelt), Some(counted));
        }
    }

    #[test]
    fn what_is_no_count_reads_as_none() {
        for text in [
            "pk",
            "v",
            "s:shardId-0001",
            "c:",
            "c:X|a||",
            "c:I|a|",
            "c:I|a|||",
            "m:E",
            "m:EungWv48Bz-",
            "o:",
            "o:EE",
            "m:é",
            "p:I|a||",
            "p:I|a|||user_id|1",
            "q:I",
            "q:X|a",
        ] {
            assert_eq!(CounterLabel::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_label_has_a_level_and_is_spread_by_a_hash() {
        let group = group(GroupBy::Message);
        // The first 64 bits of SHA-256.
        assert_eq!(Cell::spread("abc"), 0xba78_16bf_8f01_cfea);
        assert_eq!(Cell::spread("abc"), group.hash);
        let level = Some(Level::Warn);
        let rest = CounterLabel::Other(level);
        let labels = [CounterLabel::Cell(cell("a", "a", None, level)), CounterLabel::Group(level, group), rest.clone()];
        assert!(labels.into_iter().all(|label| label.level() == level && label.of_rest().as_ref() == Some(&rest)));
        let marks = CounterLabel::Marks(level, group);
        assert_eq!((marks.level(), marks.of_rest()), (level, None));
        let values = CounterLabel::OtherValues(level, path("plan"));
        let value = CounterLabel::Value(cell("a", "a", None, level), path("plan"), "1".into());
        assert!([&value, &values].into_iter().all(|label| label.of_rest().as_ref() == Some(&values)));
    }

    proptest! {
        #[test]
        fn every_cell_reads_back(
            name in ".{1,30}", slug in prop::option::of(".{1,30}"), category in prop::option::of(".{1,30}"),
            level in prop::option::of(prop::sample::select(&Level::ALL[..])),
        ) {
            let slug = slug.unwrap_or_else(|| plain_slug(&name));
            prop_assume!(!slug.is_empty());
            let cell = cell(&name, &slug, category.as_deref(), level);
            let value = CounterLabel::Value(cell.clone(), path("plan"), name);
            for counted in [CounterLabel::Cell(cell), value] {
                prop_assert_eq!(CounterLabel::parse(&counted.attribute()), Some(counted));
            }
        }
    }
}
