//! Groups: events that one counter of messages counts together. Every part of Tally that asks for the group of an event asks
//! here, so that an overwrite, an erasure, a replay and a recount meet the counter that the event was added to.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::sha256_u64;
use crate::event::template::template;

/// How the events of an app are grouped. What a name means never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Grouping {
    /// A group is a message.
    #[default]
    #[serde(rename = "exact")]
    Exact,
    /// A group is a fingerprint, or the template of a message; see [`template`].
    #[serde(rename = "template-1")]
    Template1,
}

impl Grouping {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Template1, Self::Exact];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Template1 => "template-1",
        }
    }

    /// Whether it is that of layouts that were stored without one.
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    pub(crate) fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

/// What decides the group of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouped<'a> {
    /// Its fingerprint.
    pub fingerprint: Option<&'a str>,
    /// Its message.
    pub message: Option<&'a str>,
}

/// A group, by a hash of what its events have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// What that is.
    pub by: GroupBy,
    /// 64 bits of SHA-256 of it.
    pub hash: u64,
}

/// What the events of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupBy {
    /// A message, or its template.
    Message,
    /// A fingerprint.
    Fingerprint,
}

/// The text is no group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a group: send one as `stats/top-messages` gives it")]
pub struct GroupError;

/// The number of different [`text marks`](text_mark).
const MARKS: u64 = 1 << 20;

/// The group of an event, and its text mark: a number from 1 to 2^20 by its message, or 0 where the group tells the message.
///
/// Counters add up `count` times the mark. Of a group with one message alone, the sum is its number of occurrences times the
/// mark of that message; with several messages it almost never is. So the counters of a group tell whether all its messages
/// are equal, and an erasure takes away what its event has added.
///
/// None if the event has nothing that groups it.
pub fn group_of(grouping: Grouping, event: Grouped<'_>) -> Option<(Group, u64)> {
    let by = |by, text: &str| Group { by, hash: sha256_u64(text.as_bytes()) };
    if grouping == Grouping::Exact {
        return event.message.map(|message| (by(GroupBy::Message, message), 0));
    }
    if let Some(fingerprint) = event.fingerprint.and_then(|own| expanded(own, event.message)) {
        return Some((by(GroupBy::Fingerprint, &fingerprint), text_mark(event.message)));
    }
    let message = event.message?;
    let template = template(message);
    let mark = if template == message { 0 } else { text_mark(Some(message)) };
    Some((by(GroupBy::Message, &template), mark))
}

/// A number from 1 to 2^20 that differs for most messages.
fn text_mark(message: Option<&str>) -> u64 {
    sha256_u64(message.unwrap_or_default().as_bytes()) % MARKS + 1
}

/// A fingerprint in which `{{ default }}` is the template of the message. None where it says nothing else: then the message alone
/// groups.
fn expanded(fingerprint: &str, message: Option<&str>) -> Option<String> {
    let (mut expanded, mut own, mut default_text) = (String::new(), false, None);
    let mut rest = fingerprint;
    while let Some((before, behind)) = rest.split_once("{{") {
        expanded.push_str(before);
        own |= !before.trim().is_empty();
        let default = behind.split_once("}}").filter(|(name, _)| name.trim() == "default");
        if let Some((_, behind)) = default {
            expanded.push_str(default_text.get_or_insert_with(|| message.map(template).unwrap_or_default()));
            rest = behind;
        } else {
            expanded.push_str("{{");
            own = true;
            rest = behind;
        }
    }
    expanded.push_str(rest);
    (own || !rest.trim().is_empty()).then_some(expanded)
}

impl Group {
    /// The groups that a message alone may have, by any grouping. An event with a fingerprint may be in any other.
    pub fn of_message(message: &str) -> [Self; 2] {
        [message, &template(message)].map(|text| Self { by: GroupBy::Message, hash: sha256_u64(text.as_bytes()) })
    }
}

impl fmt::Display for Group {
    /// A letter and 16 hexadecimal digits, for ever.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            GroupBy::Message => 'm',
            GroupBy::Fingerprint => 'f',
        };
        write!(f, "{by}{:016x}", self.hash)
    }
}

impl FromStr for Group {
    type Err = GroupError;

    fn from_str(text: &str) -> Result<Self, GroupError> {
        let (by, hash) = text.split_at_checked(1).ok_or(GroupError)?;
        let by = match by {
            "m" => GroupBy::Message,
            "f" => GroupBy::Fingerprint,
            _ => return Err(GroupError),
        };
        let is_hash = hash.len() == 16 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let hash = u64::from_str_radix(hash, 16).ok().filter(|_| is_hash).ok_or(GroupError)?;
        Ok(Self { by, hash })
    }
}

/// What the messages of a group have in common, as it is shown: the message if all are equal, else the template.
pub fn shown(message: &str, are_equal: bool) -> Cow<'_, str> {
    if are_equal { Cow::Borrowed(message) } else { Cow::Owned(template(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(fingerprint: Option<&str>, message: Option<&str>) -> Option<(Group, u64)> {
        group_of(Grouping::Template1, Grouped { fingerprint, message })
    }

    fn group(fingerprint: Option<&str>, message: Option<&str>) -> Option<String> {
        of(fingerprint, message).map(|(group, _)| group.to_string())
    }

    #[test]
    fn a_group_is_spelt_for_ever_like_this() {
        // The first 64 bits of SHA-256.
        assert_eq!(group(None, Some("abc")).as_deref(), Some("mba7816bf8f01cfea"));
        assert_eq!(group(Some("abc"), Some("x")).as_deref(), Some("fba7816bf8f01cfea"));
        assert_eq!(group(Some("abc"), None).as_deref(), Some("fba7816bf8f01cfea"));
        assert_eq!(group(None, None), None);
        for wrong in ["", "m", "mba7816bf8f01cfe", "mBA7816BF8F01CFEA", "xba7816bf8f01cfea", "m+a7816bf8f01cfea", "é"]
        {
            assert_eq!(wrong.parse::<Group>(), Err(GroupError), "{wrong}");
        }
    }

    #[test]
    fn a_group_is_a_fingerprint_or_a_template() {
        let cart = group(None, Some("cart 5 not found"));
        assert_eq!(group(None, Some("cart 484509 not found")), cart);
        assert_ne!(group(None, Some("order 5 not found")), cart);
        assert_eq!(group(Some("x"), Some("a")), group(Some("x"), Some("b")));
        assert_ne!(group(Some("x"), None), group(Some("y"), None));
        assert_ne!(group(Some("a"), Some("a")), group(None, Some("a")));
        let exact = |fingerprint, message| {
            group_of(Grouping::Exact, Grouped { fingerprint, message }).map(|(group, mark)| (group.to_string(), mark))
        };
        assert_eq!(exact(Some("x"), Some("abc")), Some(("mba7816bf8f01cfea".to_owned(), 0)));
        assert_eq!(exact(Some("x"), None), None);
        assert_ne!(exact(None, Some("cart 5 not found")), exact(None, Some("cart 6 not found")));
        let groups = Group::of_message("cart 5 not found").map(|group| group.to_string());
        assert_eq!(Some(&groups[1]), cart.as_ref());
        assert_eq!(Some(&groups[0]), exact(None, Some("cart 5 not found")).as_ref().map(|(group, _)| group));
    }

    #[test]
    fn the_default_in_a_fingerprint_is_the_template() {
        let message = Some("cart 5 not found");
        for (fingerprint, expanded) in [
            ("{{ default }} | db", "cart <n> not found | db"),
            ("db {{default}}", "db cart <n> not found"),
            ("{{ {{ default }}", "{{ cart <n> not found"),
            ("{{ other }}", "{{ other }}"),
        ] {
            assert_eq!(group(Some(fingerprint), message), group(Some(expanded), None), "{fingerprint}");
        }
        assert_eq!(group(Some("{{ default }}"), message), group(None, message));
        assert_eq!(group(Some(" {{ default }} "), None), None);
    }

    #[test]
    fn a_mark_tells_messages_of_a_group_apart() {
        let mark = |fingerprint, message| of(fingerprint, Some(message)).map(|(_, mark)| mark);
        assert_eq!(mark(None, "no number"), Some(0));
        assert_ne!(mark(None, "cart 5"), mark(None, "cart 6"));
        assert_ne!(mark(Some("x"), "a"), mark(Some("x"), "b"));
        // Never to change: an erasure subtracts it.
        assert_eq!(mark(None, "cart 5"), Some(sha256_u64(b"cart 5") % 1_048_576 + 1));
        assert_eq!((shown("cart 5", true), shown("cart 5", false)), ("cart 5".into(), "cart <n>".into()));
    }

    proptest! {
        #[test]
        fn every_group_reads_back(hash: u64, by in prop::sample::select(vec![GroupBy::Message, GroupBy::Fingerprint])) {
            let group = Group { by, hash };
            prop_assert_eq!(group.to_string().parse(), Ok(group));
        }
    }
}
