//! Checkpoints: the last record of a stream shard that is counted.

use std::fmt;
use std::str::FromStr;

use crate::time::Timestamp;

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
