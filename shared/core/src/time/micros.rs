//! The stored form of a [`Timestamp`]: a number of microseconds since 1970; for `#[serde(with = "micros")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;

/// Writes a moment as microseconds since 1970.
#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    at.micros().serialize(serializer)
}

/// Reads microseconds since 1970.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    i64::deserialize(deserializer).map(Timestamp::from_micros)
}

/// The stored form of a [`Range`](super::Range): `[since, until]` in microseconds since 1970.
pub mod range {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::{Range, Timestamp};

    /// Writes a range as `[since, until]`.
    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
    pub fn serialize<S: Serializer>(range: &Range, serializer: S) -> Result<S::Ok, S::Error> {
        (range.since().micros(), range.until().micros()).serialize(serializer)
    }

    /// Reads `[since, until]`; fails where `since` is after `until`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
        let (since, until) = <(i64, i64)>::deserialize(deserializer)?;
        Range::new(Timestamp::from_micros(since), Timestamp::from_micros(until)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use crate::time::{MICROSECOND, Range, Timestamp};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Stored {
        #[serde(with = "super")]
        at: Timestamp,
        #[serde(with = "super::range")]
        range: Range,
    }

    #[test]
    fn moments_and_ranges_are_stored_as_numbers() {
        let range = Range::new(Timestamp::EPOCH, Timestamp::EPOCH + MICROSECOND).expect("in order");
        let stored = Stored { at: Timestamp::BEGINNING, range };
        let text = serde_json::to_string(&stored).expect("numbers");
        assert_eq!(text, r#"{"at":-9223372036854775808,"range":[0,1]}"#);
        assert_eq!(serde_json::from_str::<Stored>(&text).expect("what was written"), stored);
        assert!(serde_json::from_str::<Stored>(r#"{"at":0,"range":[1,0]}"#).is_err());
    }
}
