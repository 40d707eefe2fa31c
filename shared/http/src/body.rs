//! Request bodies, up to a limit.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::value::RawValue;
use tally_core::event::json::{self, JsonError};
use tally_core::invalid::{Invalid, Problems};

use crate::problem::Problem;

/// Most bytes of a body that is not a batch of events.
pub const SMALL: usize = 64 * 1024;

/// Reads a whole body of at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => {
            Err(Problem::TooLarge(format!("the body is larger than {limit} bytes: send less at once")))
        }
        Err(_) => Err(Problem::field("", "the body ended too early: send it again")),
    }
}

/// The fields of a JSON object that nobody has read yet.
pub struct Fields<'a> {
    left: Vec<(String, &'a RawValue)>,
    problems: Problems,
}

impl<'a> Fields<'a> {
    /// Reads a JSON object; an empty body is one without fields.
    pub fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let left = if body.trim_ascii().is_empty() {
            vec![]
        } else {
            json::document(body).and_then(json::object).map_err(invalid)?
        };
        Ok(Self::of(left))
    }

    /// Fields that were read already.
    pub fn of(left: Vec<(String, &'a RawValue)>) -> Self {
        Self { left, problems: Problems::default() }
    }

    /// The raw value of a field; none where it is absent or null.
    pub fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.left.iter().position(|(n, _)| n == name)?;
        let (_, raw) = self.left.swap_remove(at);
        (json::kind(raw) != json::Kind::Null).then_some(raw)
    }

    /// Whether a field was sent, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(n, _)| n == name)
    }

    /// The text of a field; none where it is absent, null or empty.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        self.keep(name, json::string(raw)).filter(|text| !text.is_empty())
    }

    /// The whole number of a field, within limits.
    pub fn number(&mut self, name: &str, from: u64, to: u64) -> Option<u64> {
        let raw = self.raw(name)?;
        let number = match json::kind(raw) {
            json::Kind::Number => json::Number::parse(raw.get()).ok().and_then(|n| n.as_str().parse().ok()),
            _ => None,
        };
        let number = number.filter(|n| (from..=to).contains(n));
        if number.is_none() {
            self.add(name, format!("must be a whole number from {from} to {to}"));
        }
        number
    }

    /// The value, or none with its error noted under `name`, and the path inside it.
    pub fn keep<T>(&mut self, name: &str, result: Result<T, JsonError>) -> Option<T> {
        result
            .map_err(|e| {
                let path = if e.path.is_empty() { name.to_owned() } else { format!("{name}.{}", e.path) };
                self.problems.add(path, e.detail);
            })
            .ok()
    }

    /// Notes a field that is wrong.
    pub fn add(&mut self, name: &str, detail: impl std::fmt::Display) {
        self.problems.add(name, detail);
    }

    /// Ends the reading where fields that nobody asked for do no harm: all that was noted is an error.
    pub fn check(self) -> Result<(), Invalid> {
        self.problems.check()
    }

    /// Ends the reading: all that was noted, and every field that nobody asked for, is an error.
    pub fn finish(mut self, hint: &str) -> Result<(), Invalid> {
        for (name, _) in std::mem::take(&mut self.left) {
            self.problems.add(name, format!("unknown field: {hint}"));
        }
        self.problems.check()
    }
}

/// The error of a piece of JSON as bad input.
pub fn invalid(error: JsonError) -> Invalid {
    Invalid::field(error.path, error.detail)
}
