//! The outer levels of protobuf messages.
//!
//! `prost` would decode a whole request before anyone can count its records, and two bytes of an empty record become hundreds.
//! So the levels around records are walked here, and `prost` decodes single records.

use bytes::{Buf, Bytes};
use tally_http::problem::Problem;

/// The message is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the protobuf that this path takes")]
pub(super) struct Damaged;

impl From<Damaged> for Problem {
    fn from(damaged: Damaged) -> Self {
        Self::field("", damaged.to_string())
    }
}

/// The parts of a message that are messages themselves, by their tags, as sent.
pub(super) struct Parts {
    left: Bytes,
}

impl Iterator for Parts {
    type Item = Result<(usize, Bytes), Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left.has_remaining() {
            match self.field() {
                Ok(Some(part)) => return Some(Ok(part)),
                Ok(None) => {}
                Err(damaged) => {
                    self.left.clear();
                    return Some(Err(damaged));
                }
            }
        }
        None
    }
}

impl Parts {
    /// The parts of a message.
    pub(super) fn of(message: Bytes) -> Self {
        Self { left: message }
    }

    /// The next field, if it is a message.
    fn field(&mut self) -> Result<Option<(usize, Bytes)>, Damaged> {
        // A key is a varint, as a length is.
        let key = prost::decode_length_delimiter(&mut self.left).map_err(|_| Damaged)?;
        let length = match key & 7 {
            0 => {
                prost::decode_length_delimiter(&mut self.left).map_err(|_| Damaged)?;
                return Ok(None);
            }
            1 => 8,
            2 => prost::decode_length_delimiter(&mut self.left).map_err(|_| Damaged)?,
            5 => 4,
            _ => return Err(Damaged),
        };
        if length > self.left.remaining() {
            return Err(Damaged);
        }
        let content = self.left.split_to(length);
        Ok((key & 7 == 2).then_some((key >> 3, content)))
    }
}
