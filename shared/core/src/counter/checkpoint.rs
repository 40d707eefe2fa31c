//! Checkpoints: the last record of a stream shard that is counted.

use std::fmt;
use std::str::FromStr;

use crate::time::{TimeDelta, Timestamp};

/// How long a checkpoint is kept, in the time of the stream.
///
/// A checkpoint may go when none of the records that it covers can be delivered again. A record lives for 24 hours. A
/// batch may reach from a record that is about to expire to one just written, and the time of a checkpoint is that of
/// the first. So the last record of the batch can be delivered until 48 hours after the checkpoint's time, and an
/// aggregator works on it for at most 5 minutes. One day more is for clocks that differ.
pub const CHECKPOINT_LIFE: TimeDelta = TimeDelta::hours(72);

/// The position of a record in its stream shard: up to 40 digits. A DynamoDB number holds only 38, so it is a string
/// padded with zeros, which sorts like the numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(String);

/// The text is not a sequence number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence number of up to 40 digits")]
pub struct SequenceNumberError;

impl Default for SequenceNumber {
    /// The number below that of every record.
    fn default() -> Self {
        Self("0".repeat(40))
    }
}

impl FromStr for SequenceNumber {
    type Err = SequenceNumberError;

    fn from_str(text: &str) -> Result<Self, SequenceNumberError> {
        if text.is_empty() || text.len() > 40 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SequenceNumberError);
        }
        Ok(Self(format!("{text:0>40}")))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The point up to which a counter item contains the records of a stream shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last record that the item contains.
    pub sequence: SequenceNumber,
    /// The time at which the first record of that batch was created. The item contains every event stored before it.
    pub created_at: Timestamp,
}

impl Checkpoint {
    /// Whether no record that it covers can be delivered again, once records created at `now` are delivered.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.created_at + CHECKPOINT_LIFE < now
    }
}

impl fmt::Display for Checkpoint {
    /// The sequence number, `@`, and the time in Unix seconds. Compared as strings, a checkpoint is greater than every
    /// sequence number that it has reached, and less than all others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.sequence, self.created_at.seconds())
    }
}

impl FromStr for Checkpoint {
    type Err = SequenceNumberError;

    fn from_str(text: &str) -> Result<Self, SequenceNumberError> {
        let (sequence, created_at) = text.split_once('@').ok_or(SequenceNumberError)?;
        let seconds: i64 = created_at.parse().map_err(|_| SequenceNumberError)?;
        Ok(Self { sequence: sequence.parse()?, created_at: Timestamp::from_seconds(seconds) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_sort_as_numbers() {
        let number = |text: &str| text.parse::<SequenceNumber>().unwrap();
        assert!(number("9") < number("10") && SequenceNumber::default() < number("1"));
        assert_eq!(number("0"), SequenceNumber::default());
        assert_eq!(number("17").to_string(), format!("{}17", "0".repeat(38)));
        let longest = "9".repeat(40);
        assert_eq!(number(&longest).to_string(), longest);
        for wrong in ["", "1a", "-1", "+1", " 1", &"1".repeat(41)] {
            assert_eq!(wrong.parse::<SequenceNumber>(), Err(SequenceNumberError), "{wrong:?}");
        }
    }

    #[test]
    fn a_checkpoint_is_stored_for_ever_like_this() {
        let checkpoint =
            Checkpoint { sequence: "150".parse().unwrap(), created_at: Timestamp::from_seconds(1_795_702_231) };
        let stored = format!("{}150@1795702231", "0".repeat(37));
        assert_eq!(checkpoint.to_string(), stored);
        assert_eq!(stored.parse(), Ok(checkpoint));
        assert!(["150", "150@", "@1", "150@x"].iter().all(|wrong| wrong.parse::<Checkpoint>().is_err()));
        // As text, it is above what it has reached and below the rest.
        let number = |n: &str| n.parse::<SequenceNumber>().unwrap().to_string();
        assert!(number("150") < stored && stored < number("151"));
    }
}
