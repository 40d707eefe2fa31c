//! Applications. The events of each are kept separate.

pub mod key;
pub mod layout;
pub mod partition;
pub mod role;
pub mod sign_in_code;
pub mod view;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::char::is_combining_mark;

use crate::app::key::Key;
use crate::app::layout::Layout;
use crate::event::level::Level;
use crate::time::Timestamp;

/// Longest name of an app, in bytes.
pub const MAX_NAME: usize = 100;

/// The name of an app in paths: lower case, with `-` for white space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AppSlug(String);

/// Why a text is not a valid app name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppNameError {
    /// Too short or too long.
    #[error("must have 1 to {MAX_NAME} bytes: the name of an app is letters, digits, spaces, `-`, `_` and `.`")]
    Length,
    /// A character that is not allowed in a name.
    #[error("must not contain {0:?}: the name of an app is letters, digits, spaces, `-`, `_` and `.`")]
    Character(char),
    /// Only dots: `.` and `..` are path segments, not names.
    #[error("must contain a letter or a digit: the name of an app is letters, digits, spaces, `-`, `_` and `.`")]
    Dots,
}

impl AppSlug {
    /// The slug of a name (of a slug, itself): in lower case, white space as `-`, without marks that combine with a letter
    /// and are none themselves, such as the dot that `İ` keeps in lower case.
    ///
    /// # Errors
    /// Fails if the name is empty or too long, or contains a character that is not allowed.
    pub fn of_name(name: &str) -> Result<Self, AppNameError> {
        if name.len() > MAX_NAME {
            return Err(AppNameError::Length);
        }
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let mut slug = name.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-");
        slug.retain(|c| allowed(c) || !is_combining_mark(c));
        if let Some(other) = slug.chars().find(|c| !allowed(*c)) {
            return Err(AppNameError::Character(other));
        }
        if slug.is_empty() || slug.len() > MAX_NAME {
            return Err(AppNameError::Length);
        }
        // `.` and `..` are steps in a path, not names.
        if slug.trim_matches('.').is_empty() {
            return Err(AppNameError::Dots);
        }
        Ok(Self(slug))
    }

    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity of an app in keys: its slug, or `slug~2` in its second generation, which shares no keys with the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppId(String);

impl AppId {
    /// The identity of an app in its `generation`th generation, counted from 1.
    pub fn new(slug: &AppSlug, generation: u32) -> Self {
        if generation <= 1 { Self(slug.0.clone()) } else { Self(format!("{slug}~{generation}")) }
    }

    /// Parses an identity as stored in keys.
    pub fn parse(text: &str) -> Option<(Self, AppSlug, u32)> {
        let (slug, generation) = match text.split_once('~') {
            Some((slug, generation)) => (slug, generation.parse().ok().filter(|generation| *generation > 1)?),
            None => (text, 1),
        };
        let slug = AppSlug::of_name(slug).ok().filter(|parsed| parsed.0 == slug)?;
        Some((Self::new(&slug, generation), slug, generation))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which clock keys an app's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventClock {
    /// The client's: an event sits at its `timestamp`, and the same id and time are the same event.
    #[default]
    Event,
    /// The server's: an event sits where it was received, and a retry is a new event.
    Received,
}

/// Whether an app is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppState {
    /// In use.
    #[default]
    Active,
    /// Being erased.
    Deleting,
    /// Erased. The item stays, so that the next app under this slug gets a new generation.
    Deleted,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The identity in keys.
    pub id: AppId,
    /// The name in paths.
    pub slug: AppSlug,
    /// The generation of its slug, counted from 1.
    pub generation: u32,
    /// The display name.
    pub name: String,
    /// Which clock keys its events.
    pub clock: EventClock,
    /// The history of shards, pages and retention; decides keys and expiry of events.
    pub layout: Layout,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Maximum events accepted per minute of the server's clock; `None` is unlimited.
    pub events_per_minute: Option<u32>,
    /// The only names that it takes; empty for any.
    pub names: Vec<String>,
    /// Most names that may be new in a UTC day; `None` for a bound of each function.
    pub max_new_names_per_day: Option<u32>,
    /// The lowest level at which a group is an issue. A group with a stack is one at any level.
    pub issue_level: Level,
    /// Its keys, without their secrets.
    pub keys: Vec<Key>,
    /// Whether it is in use, being erased, or erased.
    pub state: AppState,
    /// When erasing began; `None` unless the app is being erased.
    pub deleting_since: Option<Timestamp>,
}

impl App {
    /// Builds an app that is in use, in the first generation of its name, without keys or a quota.
    ///
    /// # Errors
    /// Returns an error if the name is invalid.
    pub fn new(
        name: impl Into<String>,
        clock: EventClock,
        layout: Layout,
        created_at: Timestamp,
    ) -> Result<Self, AppNameError> {
        let name = name.into();
        let slug = AppSlug::of_name(&name)?;
        Ok(Self {
            id: AppId::new(&slug, 1),
            slug,
            generation: 1,
            name,
            clock,
            layout,
            created_at,
            events_per_minute: None,
            names: vec![],
            max_new_names_per_day: None,
            issue_level: Level::Error,
            keys: vec![],
            state: AppState::Active,
            deleting_since: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_the_name_in_lower_case_with_dashes() {
        let slug = |name: &str| AppSlug::of_name(name).map(|s| s.to_string());
        assert_eq!(slug("My  App").as_deref(), Ok("my-app"));
        assert_eq!(slug("com.example.App_1").as_deref(), Ok("com.example.app_1"));
        assert_eq!(slug("Bücher").as_deref(), Ok("bücher"));
        // The lower case of `İ` is an `i` and a dot that combines with it; Devanagari's virama is a mark, its vowels are letters.
        assert_eq!(slug("İstanbul").as_deref(), Ok("istanbul"));
        assert_eq!(slug("हिन्दी").as_deref(), Ok("हिनदी"));
        assert_eq!(slug("日本 店").as_deref(), Ok("日本-店"));
        assert_eq!(slug("a/b"), Err(AppNameError::Character('/')));
        for bad in ["", " ", ".", "..", "a/b", "a#1", "a~2", "a|b", &"x".repeat(101), &"Ⱥ".repeat(50)] {
            assert!(slug(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_second_generation_has_keys_of_its_own() {
        let slug = AppSlug::of_name("shop").expect("a name");
        assert_eq!(AppId::new(&slug, 1).as_str(), "shop");
        assert_eq!(AppId::new(&slug, 2).as_str(), "shop~2");
        assert_eq!(AppId::parse("shop~2"), Some((AppId::new(&slug, 2), slug, 2)));
        for bad in ["shop~1", "Shop", "shop~x", "~set-aside", ""] {
            assert_eq!(AppId::parse(bad), None, "{bad}");
        }
    }
}
