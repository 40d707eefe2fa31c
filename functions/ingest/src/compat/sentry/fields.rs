//! The fields of a JSON object of a Sentry client. Any may be missing, null, or of another type than the protocol says.

use std::collections::BTreeMap;

use tally_core::event::json::{Json, document};
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;

use crate::compat::record_id::is_finer_than_a_second;
use crate::compat::sanitize;

/// Fields of an object that have not been taken yet.
#[derive(Debug, Default)]
pub(super) struct Fields(pub(super) BTreeMap<String, Json>);

impl Fields {
    /// The fields of a value, if it is an object.
    pub(super) fn of(value: Json) -> Option<Self> {
        match value {
            Json::Object(fields) => Some(Self(fields)),
            _ => None,
        }
    }

    /// Reads an object of at most `limit` bytes.
    ///
    /// # Errors
    /// Where it is larger, or is not a JSON object.
    pub(super) fn read(bytes: &[u8], limit: usize) -> Result<Self, Refusal> {
        Self::of(read(bytes, limit)?).ok_or_else(|| Refusal::new(Reason::Unreadable, "not a JSON object"))
    }

    /// Takes a field that is there and not null.
    pub(super) fn take(&mut self, name: &str) -> Option<Json> {
        self.0.remove(name).filter(|value| *value != Json::Null)
    }

    /// Takes a text that can be read; a number or a boolean as its spelling.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).and_then(text_of)
    }

    /// Takes an object.
    pub(super) fn fields(&mut self, name: &str) -> Option<Self> {
        self.take(name).and_then(Self::of)
    }

    /// Takes a list, in the three forms in which Sentry's interfaces come: `{"values": […]}`, a bare list, one value.
    pub(super) fn values(&mut self, name: &str) -> Vec<Json> {
        match self.take(name) {
            Some(Json::Array(values)) => values,
            Some(Json::Object(mut fields)) => match fields.remove("values") {
                Some(Json::Array(values)) => values,
                Some(_) => vec![],
                None => vec![Json::Object(fields)],
            },
            _ => vec![],
        }
    }

    /// Takes a list.
    pub(super) fn list(&mut self, name: &str) -> Vec<Json> {
        match self.take(name) {
            Some(Json::Array(items)) => items,
            _ => vec![],
        }
    }

    /// Takes a moment, Unix time or RFC 3339, and whether it is written finer than a second.
    ///
    /// # Errors
    /// Where it is neither.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<(Timestamp, bool)>, Refusal> {
        let read = match self.take(name) {
            None => return Ok(None),
            Some(Json::String(text)) if text.is_empty() => return Ok(None),
            Some(Json::String(text)) => text.parse().ok().map(|at| (at, is_finer_than_a_second(&text))),
            Some(Json::Number(number)) => {
                let at = number.as_str().parse().ok().and_then(|number| Timestamp::from_unix(number).ok());
                at.map(|at| (at, is_finer_than_a_second(number.as_str())))
            }
            Some(_) => None,
        };
        let unreadable = || Refusal::new(Reason::InvalidTime, format!("`{name}` is neither Unix time nor RFC 3339"));
        read.map(Some).ok_or_else(unreadable)
    }

    /// Puts a value that is there.
    pub(super) fn put(&mut self, name: &str, value: Option<Json>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Puts a text that is there.
    pub(super) fn put_text(&mut self, name: &str, text: Option<String>) {
        self.put(name, text.map(Json::String));
    }

    /// The fields as a value, or nothing if there are none.
    pub(super) fn json(self) -> Option<Json> {
        (!self.0.is_empty()).then_some(Json::Object(self.0))
    }
}

/// Reads a JSON value of at most `limit` bytes, sanitized to what an event can keep.
///
/// # Errors
/// Where it is larger, or is not JSON.
pub(super) fn read(bytes: &[u8], limit: usize) -> Result<Json, Refusal> {
    if bytes.len() > limit {
        return Err(Refusal::new(Reason::TooLarge, format!("{} bytes: at most {limit}", bytes.len())));
    }
    let text = sanitize::body(bytes);
    let raw = document(text.as_bytes()).map_err(|error| Refusal::new(Reason::Unreadable, error.detail))?;
    Ok(sanitize::value(raw))
}

/// The text of a value: a text that can be read, or the spelling of a number or boolean.
pub(super) fn text_of(value: Json) -> Option<String> {
    let text = match value {
        Json::String(text) => text,
        Json::Number(number) => number.as_str().to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Null | Json::Array(_) | Json::Object(_) => return None,
    };
    Some(text).filter(|text| text.chars().any(|c| !c.is_whitespace() && !c.is_control()))
}
