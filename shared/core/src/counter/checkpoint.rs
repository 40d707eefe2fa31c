//! Checkpoints: the last record of a stream shard that is counted.

use std::fmt;
use std::str::FromStr;

use crate::time::Timestamp;

/// The place of a record in its stream shard: up to 40 digits, more than a DynamoDB number holds, so it is kept as a
/// text padded with zeros, whose order is the numbers' order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(String);

/// The text is not a sequence number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence number of up to 40 digits")]
pub struct SequenceNumberError;

impl Default for SequenceNumber {
    /// Below every record's.
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

/// How far the records of a stream shard are folded into a counter item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last record that is in.
    pub sequence: SequenceNumber,
    /// When the first record of that batch was created: all that was stored before it is in.
    pub created_at: Timestamp,
}

impl fmt::Display for Checkpoint {
    /// The sequence number, `@`, the time in Unix seconds. Compared as texts, a checkpoint is above every sequence number
    /// that it has reached and below all others.
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
