//! The identity of an event: a ULID whose time is the event's time.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use crate::digest::{sha256, sha256_u64};
use crate::time::{MILLISECOND, Range, Timestamp};

/// A ULID: 48 bits of milliseconds, then 80 bits that are random or made from the client's own id. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Ulid);

/// The text is not an [`EventId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event id: send the 26 characters of the `id` that Tally gave")]
pub struct EventIdError;

impl EventId {
    /// A new identity at the millisecond of `at`.
    pub fn random(at: Timestamp) -> Self {
        Self::from_parts(at, rand::random())
    }

    /// The identity of the client's own `client_id` at the millisecond of `at`: the same for the same two, so that an
    /// event that is sent again overwrites itself.
    pub fn of_client_id(at: Timestamp, client_id: &str) -> Self {
        let low = sha256(client_id.as_bytes())[..10].iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        Self::from_parts(at, low)
    }

    /// The first identity in the order of the millisecond of `at`.
    pub fn first_at(at: Timestamp) -> Self {
        Self::from_parts(at, 0)
    }

    fn from_parts(at: Timestamp, low: u128) -> Self {
        // Event times are checked to be after 1970 before they come here; an earlier one would sort as 1970.
        Self(Ulid::from_parts(at.millis().try_into().unwrap_or(0), low))
    }

    /// The millisecond that it names.
    pub fn at(self) -> Timestamp {
        // 48 bits of milliseconds fit.
        Timestamp::from_millis(i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX / 1000))
    }

    /// The identity just before this one in the order, if there is one.
    pub fn before(self) -> Option<Self> {
        self.0.0.checked_sub(1).map(|bits| Self(Ulid(bits)))
    }

    /// The identity just after this one in the order, if there is one.
    pub fn after(self) -> Option<Self> {
        self.0.0.checked_add(1).map(|bits| Self(Ulid(bits)))
    }

    /// A number that is spread evenly over identities, also over those of clients that count theirs up; never to
    /// change, since it decides an event's shard.
    pub fn hash(self) -> u64 {
        sha256_u64(&self.0.to_bytes())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    /// Reads 26 characters of Crockford's base 32, in any case, that name a time of at most 48 bits.
    fn from_str(text: &str) -> Result<Self, EventIdError> {
        // A first character above 7 would overflow the 128 bits.
        if !matches!(text.as_bytes().first(), Some(b'0'..=b'7')) {
            return Err(EventIdError);
        }
        Ulid::from_string(text).map(Self).map_err(|_| EventIdError)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The identities between which all events of a range lie, both included; some of the first and the last millisecond
/// may be outside of it.
pub fn id_range(range: Range) -> (EventId, EventId) {
    let first = EventId::first_at(range.since());
    let end = EventId::first_at(range.until().ceil(MILLISECOND));
    (first, end.before().unwrap_or(end))
}

impl JsonSchema for EventId {
    fn schema_name() -> Cow<'static, str> {
        "EventId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A ULID whose time is the event's, to the millisecond.",
            "type": "string",
            "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            "examples": ["01KAJT4V0M8Y3S9Q6W2N5B7D1F"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimeDelta;
    use proptest::prelude::*;

    #[test]
    fn the_low_bits_are_the_first_80_of_the_digest() {
        // SHA-256("abc") begins ba7816bf 8f01cfea 4141.
        let id = EventId::of_client_id(Timestamp::EPOCH, "abc");
        assert_eq!(id.0.0, 0xba78_16bf_8f01_cfea_4141);
    }

    #[test]
    fn reads_only_whole_ulids() {
        assert!("01ARZ3NDEKTSV4RRFFQ69G5FAV".parse::<EventId>().is_ok());
        assert_eq!("01arz3ndektsv4rrffq69g5fav".parse::<EventId>(), "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse());
        for text in [
            "",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FAé",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        ] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_same_client_id_and_millisecond_are_one(millis in 0i64..4_000_000_000_000, micros in 0i64..1000, id in ".{1,40}") {
            let at = Timestamp::from_millis(millis);
            let one = EventId::of_client_id(at, &id);
            prop_assert_eq!(one, EventId::of_client_id(at + TimeDelta::microseconds(micros), &id));
            prop_assert_ne!(one, EventId::of_client_id(at + MILLISECOND, &id));
            prop_assert_eq!(one.at(), at);
            prop_assert!(EventId::first_at(at) <= one);
            prop_assert_eq!(one.to_string().parse(), Ok(one));
        }

        #[test]
        fn text_order_is_time_order(a in any::<u128>(), b in any::<u128>()) {
            let (a, b) = (EventId(Ulid(a)), EventId(Ulid(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
