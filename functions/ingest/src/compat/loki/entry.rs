//! An entry of a stream, in each form that it is sent in.

use bytes::Bytes;
use prost::Message;
use serde_json::value::RawValue;
use tally_core::event::json::{self, Kind};
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;

use crate::compat::fields::scalar;
use crate::compat::logs;
use crate::compat::records::check_values;
use crate::compat::sanitize::{object, pick};

/// The largest entry as sent, in bytes. An event holds 256 KB.
const MAX_ENTRY: usize = 512 * 1024;
/// Nanoseconds of a microsecond.
const MICROSECOND: i64 = 1_000;
/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// An entry as sent.
pub(super) enum Sent<'a> {
    /// `["<nanoseconds>", "<line>", {metadata}]`
    Json(&'a RawValue),
    /// `{"ts": "<RFC 3339>", "line": "<line>"}`, of the first version.
    Old(&'a RawValue),
    /// An `EntryAdapter` of Loki's `push.proto`.
    Protobuf(Bytes),
}

/// An entry.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Nanoseconds since 1970, if it has a time.
    pub nanos: Option<i64>,
    /// The line.
    pub line: String,
    /// What is known of the line beside it.
    pub metadata: Vec<(String, String)>,
}

#[derive(Clone, PartialEq, Message)]
struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(bytes = "vec", tag = "2")]
    line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<LabelPair>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

impl Sent<'_> {
    /// Its bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Json(raw) | Self::Old(raw) => raw.get().len(),
            Self::Protobuf(bytes) => bytes.len(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where it is too large, or is no entry.
    pub(super) fn read(&self) -> Result<Entry, Refusal> {
        if self.size() > MAX_ENTRY {
            return Err(Refusal::new(Reason::TooLarge, "an entry of more than 512 KB: log less in one line"));
        }
        match self {
            Self::Json(raw) => of_json(raw),
            Self::Old(raw) => of_old(raw),
            Self::Protobuf(bytes) => of_protobuf(bytes.clone()),
        }
    }
}

fn unreadable(detail: impl Into<String>) -> Refusal {
    Refusal::new(Reason::Unreadable, detail)
}

fn of_json(raw: &RawValue) -> Result<Entry, Refusal> {
    check_values(json::count(raw))?;
    let no_entry = || unreadable("an entry must be [\"<nanoseconds>\", \"<line>\"]");
    let (parts, _) = json::array_of_at_most(raw, 3).map_err(|_| no_entry())?;
    let [time, line, rest @ ..] = &*parts else { return Err(no_entry()) };
    let nanos = scalar(time).ok_or_else(no_entry)?;
    let nanos = nanos.trim().parse().map_err(|_| {
        Refusal::new(Reason::InvalidTime, format!("the time of an entry is in nanoseconds: {}", time.get()))
    })?;
    let line = scalar(line).ok_or_else(no_entry)?;
    let metadata = rest.first().map(|raw| texts(raw)).unwrap_or_default();
    Ok(Entry { nanos: Some(nanos), line, metadata })
}

fn of_old(raw: &RawValue) -> Result<Entry, Refusal> {
    check_values(json::count(raw))?;
    let [time, line] = pick(raw, ["ts", "line"]);
    let line = line.and_then(scalar).ok_or_else(|| unreadable("an entry must have a `line`"))?;
    let at: Option<Timestamp> = match time.and_then(scalar) {
        Some(time) => {
            Some(time.trim().parse().map_err(|_| Refusal::new(Reason::InvalidTime, "`ts` is no time of RFC 3339"))?)
        }
        None => None,
    };
    Ok(Entry { nanos: at.and_then(|at| at.micros().checked_mul(MICROSECOND)), line, metadata: vec![] })
}

fn of_protobuf(bytes: Bytes) -> Result<Entry, Refusal> {
    let entry = EntryAdapter::decode(bytes).map_err(|error| unreadable(error.to_string()))?;
    check_values(entry.metadata.len())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}");
    let nanos = entry.timestamp.and_then(|at| at.seconds.checked_mul(SECOND)?.checked_add(i64::from(at.nanos)));
    let metadata = entry.metadata.into_iter().map(|pair| (text(pair.name), text(pair.value))).collect();
    Ok(Entry { nanos, line: text(entry.line), metadata })
}

/// The texts of an object.
pub(super) fn texts(raw: &RawValue) -> Vec<(String, String)> {
    if json::kind(raw) != Kind::Object {
        return vec![];
    }
    object(raw).into_iter().filter_map(|(name, value)| Some((name, scalar(value)?))).collect()
}

impl Entry {
    /// When it happened.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.nanos.map(|nanos| Timestamp::from_micros(nanos.div_euclid(MICROSECOND)))
    }

    /// Whether its time is finer than a second.
    pub(super) fn is_fine(&self) -> bool {
        self.nanos.is_some_and(|nanos| nanos.rem_euclid(SECOND) != 0)
    }

    /// Its number of values, with those of the line.
    pub(super) fn values(&self) -> usize {
        1 + self.metadata.len() + logs::values(&self.line)
    }

    /// What tells it from others of its stream.
    pub(super) fn content(&self) -> String {
        let Self { nanos, line, metadata } = self;
        format!("{} {metadata:?} {line}", nanos.unwrap_or_default())
    }
}
