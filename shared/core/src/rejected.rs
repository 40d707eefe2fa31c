//! Rejected events: why an event was refused although the request that brought it was answered.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;

/// The longest sample of a rejected event, in bytes.
pub const MAX_SAMPLE: usize = 512;

/// Why an event was rejected. The list is closed: each reason is a row of an app's rejected events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It cannot be read: damaged JSON or protobuf, or not an event at all.
    Unreadable,
    /// A field breaks a rule.
    InvalidField,
    /// It has neither a name nor a message, or a name that cannot be used.
    InvalidName,
    /// Its time is before 1970, more than a day ahead, older than the app keeps events, or cannot be read.
    InvalidTime,
    /// It, or a part of it, is larger than an event may be.
    TooLarge,
    /// The app takes only the names of its setting `names`.
    NameNotAllowed,
    /// It has a new name, and the app takes no more of them today (`max_new_names_per_day`).
    TooManyNewNames,
    /// The page that sent it is of an origin that the key does not allow.
    OriginNotAllowed,
    /// The key's or the app's `events_per_minute` are used up.
    RateLimited,
    /// It carries the key of another app than the request.
    OtherApp,
    /// Something that Tally does not keep, such as a session replay or a trace.
    NotOffered,
    /// The client library says that it dropped it itself.
    DroppedByClient,
    /// A bot sent it, by its `User-Agent`: nobody looked at the page.
    Bot,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 13] = [
        Self::Unreadable,
        Self::InvalidField,
        Self::InvalidName,
        Self::InvalidTime,
        Self::TooLarge,
        Self::NameNotAllowed,
        Self::TooManyNewNames,
        Self::OriginNotAllowed,
        Self::RateLimited,
        Self::OtherApp,
        Self::NotOffered,
        Self::DroppedByClient,
        Self::Bot,
    ];

    /// Its name, as in replies and keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::InvalidField => "invalid_field",
            Self::InvalidName => "invalid_name",
            Self::InvalidTime => "invalid_time",
            Self::TooLarge => "too_large",
            Self::NameNotAllowed => "name_not_allowed",
            Self::TooManyNewNames => "too_many_new_names",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::RateLimited => "rate_limited",
            Self::OtherApp => "other_app",
            Self::NotOffered => "not_offered",
            Self::DroppedByClient => "dropped_by_client",
            Self::Bot => "bot",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// The reason of invalid input, by its first wrong field.
    pub fn of(invalid: &Invalid) -> Self {
        match invalid.0.first().map(|error| error.field.as_str()) {
            Some("") | None => Self::Unreadable,
            Some("timestamp" | "occurred_at") => Self::InvalidTime,
            Some("name" | "event") => Self::InvalidName,
            Some(_) => Self::InvalidField,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one event was refused for good. To send the same event again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The kind of fault.
    pub reason: Reason,
    /// What is wrong and what to send instead.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its explanation.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self { reason: Reason::of(&invalid), detail: invalid.to_string() }
    }
}

/// Cuts a text to the length of a sample, at a character.
pub fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_SAMPLE)]
}

/// What is shown of a rejected event: its beginning, without keys. Client libraries put their key into their events.
pub fn sample(text: &str) -> String {
    const KEY: &str = "tly_";
    // A key may begin before the end of what is shown, and make it shorter.
    let beginning = &text[..text.floor_char_boundary(2 * MAX_SAMPLE)];
    let mut parts = beginning.split(KEY);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("tly_…");
        shown.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'));
    }
    shortened(&shown).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_reasons_are_kept_for_ever() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.as_str().into()));
        }
        assert_eq!(Reason::parse("other"), None);
    }

    #[test]
    fn the_first_wrong_field_tells_the_reason() {
        for (field, reason) in [
            ("", Reason::Unreadable),
            ("name", Reason::InvalidName),
            ("timestamp", Reason::InvalidTime),
            ("user_id", Reason::InvalidField),
        ] {
            let invalid = Invalid::field(field, "wrong");
            assert_eq!(Refusal::from(invalid.clone()), Refusal::new(reason, invalid.to_string()));
        }
    }

    #[test]
    fn a_sample_is_cut_between_characters() {
        let long = format!("x{}", "é".repeat(MAX_SAMPLE));
        assert_eq!(shortened(&long).len(), MAX_SAMPLE - 1);
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn a_sample_has_no_key() {
        let event = format!(r#"{{"token":"tly_in_0123456789ab_{}","event":"é"}}"#, "0".repeat(40));
        assert_eq!(sample(&event), r#"{"token":"tly_…","event":"é"}"#);
        let late = format!("{}tly_in_0123456789ab_{}", "x".repeat(MAX_SAMPLE - 5), "0".repeat(40));
        assert!(!sample(&late).contains("tly_i") && sample(&late).len() <= MAX_SAMPLE);
    }
}
