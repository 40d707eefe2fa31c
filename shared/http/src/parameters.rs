//! Query parameters: each read once and checked, all others refused.

use std::collections::BTreeMap;
use std::str::FromStr;

use tally_core::event::level::Level;
use tally_core::invalid::{Invalid, Problems};

/// Parameters that carry credentials; who reads them is [`super::access`].
const CREDENTIALS: [&str; 3] = ["ingest_key", "read_key", "access_token"];

/// The parameter of a query string that carries a credential, with its name.
pub fn credential(query: Option<&str>) -> Option<(String, String)> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes()).into_owned();
    pairs.find(|(name, value)| CREDENTIALS.contains(&name.as_str()) && !value.is_empty())
}

/// The parameters of a request that nobody has read yet.
pub struct Params {
    left: Vec<(String, String)>,
    problems: Problems,
}

impl Params {
    /// Reads a query string. A parameter that is sent twice is refused; an empty one is an absent one.
    pub fn parse(query: Option<&str>) -> Self {
        let mut problems = Problems::default();
        let mut left: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            if CREDENTIALS.contains(&&*name) {
                continue;
            }
            if left.iter().any(|(seen, _)| *seen == name) {
                problems.add(name.as_ref(), "sent twice: send it once");
                continue;
            }
            left.push((name.into_owned(), value.into_owned()));
        }
        Self { left, problems }
    }

    /// Parameters that were read from elsewhere.
    pub fn of(params: &BTreeMap<String, String>) -> Self {
        Self {
            left: params.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            problems: Problems::default(),
        }
    }

    /// Parameters of which any may be sent, and more than once: the last one holds.
    pub fn lenient(query: Option<&str>) -> Self {
        Self::of(&form_urlencoded::parse(query.unwrap_or("").as_bytes()).into_owned().collect())
    }

    /// Whether a parameter was sent and not read yet.
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(n, value)| n == name && !value.is_empty())
    }

    /// The text of a parameter.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.left.iter().position(|(n, _)| n == name)?;
        Some(self.left.swap_remove(at).1).filter(|value| !value.is_empty())
    }

    /// The text of a parameter that goes by two names.
    pub fn text_of(&mut self, name: &str, alias: &str) -> Option<String> {
        let (one, other) = (self.text(name), self.text(alias));
        if one.is_some() && other.is_some() {
            self.add(alias, format!("means the same as `{name}`: send one of them"));
        }
        one.or(other)
    }

    /// A parameter of a type that reads itself.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        self.problems.keep(name, text.parse())
    }

    /// A whole number within limits.
    pub fn number(&mut self, name: &str, from: u64, to: u64) -> Option<u64> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(number) if (from..=to).contains(&number) => Some(number),
            _ => {
                self.add(name, format!("must be a whole number from {from} to {to}"));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.add(name, "must be true or false");
                false
            }
        }
    }

    /// The level filter.
    pub fn level(&mut self) -> Option<Level> {
        self.parsed("level")
    }

    /// All parameters whose names begin with `prefix`, without it.
    pub fn with_prefix(&mut self, prefix: &str) -> Vec<(String, String)> {
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|(name, _)| name.starts_with(prefix));
        self.left = left;
        let strip = |(name, value): (String, String)| (name[prefix.len()..].to_owned(), value);
        taken.into_iter().map(strip).collect()
    }

    /// What has not been read yet, sorted by name.
    pub fn remaining(&self) -> Vec<(String, String)> {
        let mut left: Vec<_> = self.left.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        left.sort();
        left
    }

    /// The value, or none with its error noted under `name`.
    pub fn keep<T>(&mut self, name: &str, result: Result<T, impl std::fmt::Display>) -> Option<T> {
        self.problems.keep(name, result)
    }

    /// Notes a parameter that is wrong.
    pub fn add(&mut self, name: &str, detail: impl std::fmt::Display) {
        self.problems.add(name, detail);
    }

    /// Ends the reading where parameters that nobody asked for do no harm: all that was noted is an error.
    pub fn check(self) -> Result<(), Invalid> {
        self.problems.check()
    }

    /// Ends the reading: all that was noted, and every parameter that nobody asked for, is an error.
    pub fn finish(mut self) -> Result<(), Invalid> {
        for (name, _) in std::mem::take(&mut self.left) {
            self.problems.add(name, "unknown parameter: remove it");
        }
        self.problems.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_told_at_once() {
        let mut params = Params::parse(Some("limit=0&nmae=&level=LOUD&a=1&a=2&read_key=secret&name="));
        assert_eq!(params.number("limit", 1, 10), None);
        assert_eq!(params.level(), None);
        assert_eq!(params.text("a").as_deref(), Some("1"));
        assert_eq!(params.text("name"), None);
        let Invalid(errors) = params.finish().expect_err("four errors");
        let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["a", "limit", "level", "nmae"]);
    }

    #[test]
    fn of_lenient_parameters_the_last_holds_and_none_offends() {
        let mut params = Params::lenient(Some("a=1&color=red&a=2&limit=3&limit="));
        assert_eq!((params.text("a").as_deref(), params.text("limit")), (Some("2"), None));
        assert!(params.check().is_ok());
    }

    #[test]
    fn values_are_percent_decoded() {
        let mut params = Params::parse(Some("event=search%20executed&attr.a.b=x+y"));
        assert_eq!(params.text_of("name", "event").as_deref(), Some("search executed"));
        assert_eq!(params.with_prefix("attr."), [("a.b".to_owned(), "x y".to_owned())]);
        assert!(params.finish().is_ok());
    }
}
