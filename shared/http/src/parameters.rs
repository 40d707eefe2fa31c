//! Query parameters, and how a handler takes them: [`NoQuery`], [`Query`] of a type that reads itself, or [`Params`] to
//! read by hand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use schemars::SchemaGenerator;
use tally_core::event::filter::CellFilter;
use tally_core::event::json::JsonError;
use tally_core::invalid::{Invalid, Problems};
use tally_core::time::zone::Zone;
use tally_core::time::{Range, Timestamp};
use tally_service::context::Context;

use crate::credentials;
use crate::input::{Input, Value};
use crate::openapi::{LevelInput, Parameter, text};
use crate::problem::Problem;

/// The query parameters of a request.
pub type Params = Input<String>;

impl Value for String {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn into_text(self) -> Result<String, JsonError> {
        Ok(self)
    }

    fn into_number(self) -> Option<u64> {
        self.parse().ok()
    }
}

/// Most parameters of a request.
const MOST: usize = 100;

impl Params {
    /// Reads a query string, without the parameters that carry credentials. A parameter that is sent twice is an error.
    pub fn parse(query: Option<&str>) -> Self {
        let mut problems = Problems::default();
        let mut left: Vec<(String, String)> = Vec::new();
        let sent = query.unwrap_or("").split('&').count();
        if sent > MOST {
            problems.add("", format!("{sent} parameters: send at most {MOST}"));
            return Self::new(left, problems);
        }
        for pair in query.unwrap_or("").split('&') {
            if percent_decode_str(pair).decode_utf8().is_err() {
                let name = pair.split('=').next().unwrap_or(pair);
                problems.add(
                    percent_decode_str(name).decode_utf8_lossy().as_ref(),
                    "not UTF-8: percent-encode its bytes in UTF-8",
                );
            }
        }
        for (name, value) in form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            if credentials::IN_QUERY.contains(&&*name) {
                continue;
            }
            if left.iter().any(|(seen, _)| *seen == name) {
                problems.add(name.as_ref(), "sent twice: send it once");
                continue;
            }
            left.push((name.into_owned(), value.into_owned()));
        }
        Self::new(left, problems)
    }

    /// Parameters that were read from elsewhere.
    pub fn of(params: &BTreeMap<String, String>) -> Self {
        let left = params.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self::new(left, Problems::default())
    }

    /// Parameters of which any may be sent, and more than once: the last one counts.
    pub fn lenient(query: Option<&str>) -> Self {
        Self::of(&form_urlencoded::parse(query.unwrap_or("").as_bytes()).into_owned().collect())
    }

    /// The text of a filter. An empty one is an error: it would find everything, not nothing.
    pub fn filter(&mut self, name: &str) -> Option<String> {
        if self.left_mut().iter().any(|(sent, value)| sent == name && value.is_empty()) {
            self.add(name, "empty: send a value, or leave the parameter out");
        }
        self.text(name)
    }

    /// The range of `since` and `until`, which were read already; a bound that was not sent is that of `all`. A wrong one is
    /// the error of the bound that was sent.
    pub fn range(&mut self, since: Option<Timestamp>, until: Option<Timestamp>, all: Range) -> Option<Range> {
        match (since, until) {
            (None, Some(until)) if until < all.since() => {
                let first = all.since();
                self.add("until", format!("is before {first}, where the range begins by default: send `since` too"));
                None
            }
            (Some(since), None) if since > all.until() => {
                let last = all.until();
                self.add("since", format!("is after {last}, where the range ends by default: send `until` too"));
                None
            }
            (since, until) => {
                self.keep("since", Range::new(since.unwrap_or(all.since()), until.unwrap_or(all.until())))
            }
        }
    }

    /// A time. A day without a clock time is its first moment in a zone.
    pub fn time_in(&mut self, name: &str, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
        let text = self.text(name)?;
        self.keep(name, zone.read_time(&text, now))
    }

    /// `true` or `false`; `false` by default.
    pub fn flag(&mut self, name: &str) -> bool {
        self.choice(name, &[("true", true), ("false", false)]).unwrap_or(false)
    }

    /// All parameters whose names begin with `prefix`, without it.
    pub fn with_prefix(&mut self, prefix: &str) -> Vec<(String, String)> {
        let (taken, left) = std::mem::take(self.left_mut()).into_iter().partition(|(name, _)| name.starts_with(prefix));
        *self.left_mut() = left;
        let strip = |(name, value): (String, String)| (name[prefix.len()..].to_owned(), value);
        taken.into_iter().map(strip).collect()
    }

    /// What has not been read yet, sorted by name.
    pub fn remaining(&mut self) -> Vec<(String, String)> {
        let mut left: Vec<_> = self.left_mut().iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        left.sort();
        left
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All errors that were recorded, and every parameter that has not been read.
    pub fn finish(mut self) -> Result<(), Invalid> {
        self.refuse_rest("parameter", "remove it");
        self.check()
    }

    /// Ends the reading of a query with a cursor: the rest may only repeat the query that the cursor holds.
    ///
    /// # Errors
    /// All errors that were recorded, and every parameter that differs.
    pub fn finish_as(mut self, held: &BTreeMap<String, String>) -> Result<(), Invalid> {
        for (name, value) in self.remaining() {
            if held.get(&name) != Some(&value) {
                self.add(&name, "differs from the query of the cursor: send the cursor alone");
            }
        }
        self.check()
    }

    /// Reads with a closure and ends the reading.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn read<T>(mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, Problem> {
        let value = read(&mut self);
        self.refuse_rest("parameter", "remove it");
        self.give(value)
    }
}

/// [`Params`], in a handler's signature.
impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query()))
    }
}

/// What query parameters mean together.
pub trait FromQuery: Sized {
    /// Reads the parameters that it knows, by the time of the request, and records what is wrong with them. All are read
    /// before it returns, even where the first is wrong already; none is returned only where an error was recorded.
    fn read(params: &mut Params, now: Timestamp) -> Option<Self>;
}

/// A query of parameters that read as `T`, in a handler's signature; any other parameter is refused.
pub struct Query<T>(pub T);

/// A query without parameters, in a handler's signature.
pub type NoQuery = Query<()>;

impl<T: FromQuery> FromRequestParts<Arc<Context>> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, Problem> {
        Params::parse(parts.uri.query()).read(|params| T::read(params, context.clock.now())).map(Self)
    }
}

impl FromQuery for () {
    fn read(_: &mut Params, _: Timestamp) -> Option<Self> {
        Some(())
    }
}

impl<A: FromQuery, B: FromQuery> FromQuery for (A, B) {
    fn read(params: &mut Params, now: Timestamp) -> Option<Self> {
        let (a, b) = (A::read(params, now), B::read(params, now));
        a.zip(b)
    }
}

/// The filters that counters know.
impl FromQuery for CellFilter {
    fn read(params: &mut Params, _: Timestamp) -> Option<Self> {
        let (name, event) = (params.filter("name"), params.filter("event"));
        if name.is_some() && event.is_some() {
            params.add("event", "means the same as `name`: send one of them");
        }
        let (slug, category, level) = (params.filter("slug"), params.filter("category"), params.filter("level"));
        let level = level.and_then(|level| params.keep("level", level.parse()));
        Some(Self { name: name.or(event), slug, category, level })
    }
}

/// The parameters of a [`CellFilter`].
pub fn filters(schemas: &mut SchemaGenerator) -> Vec<Parameter> {
    vec![
        Parameter::query("name", "Only events with this name.", text()),
        Parameter::query("event", "An alias of `name`.", text()),
        Parameter::query("slug", "Only events with this slug.", text()),
        Parameter::query("category", "Only events of this category.", text()),
        level(schemas),
    ]
}

/// The parameter `level`.
pub fn level(schemas: &mut SchemaGenerator) -> Parameter {
    Parameter::query("level", "Only events of this level.", schemas.subschema_for::<LevelInput>())
}

/// The zone of days and weeks; UTC by default.
impl FromQuery for Zone {
    fn read(params: &mut Params, _: Timestamp) -> Option<Self> {
        Some(params.parsed("tz").unwrap_or_else(Self::utc))
    }
}

/// The parameter of a [`Zone`].
pub fn zone() -> Parameter {
    Parameter::query("tz", "The time zone of days, an IANA name; UTC by default.", text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::event::level::Level;

    #[test]
    fn every_error_is_told_at_once() {
        let mut params = Params::parse(Some("limit=0&nmae=&level=LOUD&a=1&a=2&read_key=secret&name="));
        assert_eq!(params.number::<u64>("limit", 1, 10), None);
        assert_eq!(params.parsed::<Level>("level"), None);
        assert_eq!(params.text("a").as_deref(), Some("1"));
        assert_eq!(params.text("name"), None);
        let Invalid(errors) = params.finish().expect_err("four errors");
        let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["a", "limit", "level", "nmae"]);
    }

    #[test]
    fn very_many_parameters_are_not_read() {
        let query = |n: usize| (0..n).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        let Invalid(errors) = Params::parse(Some(&query(101))).check().expect_err("too many");
        assert_eq!(errors.len(), 1);
        assert!(Params::parse(Some(&query(100))).check().is_ok());
    }

    #[test]
    fn the_bound_that_was_sent_is_to_blame() {
        let at = |n: i64| Timestamp::from_millis(n * 1000);
        let all = Range::new(at(10), at(20)).expect("in order");
        let blamed = |since: Option<i64>, until: Option<i64>| {
            let mut params = Params::parse(None);
            let range = params.range(since.map(at), until.map(at), all);
            let error = params.check().err().map(|Invalid(errors)| errors[0].field.clone());
            assert_ne!(range.is_some(), error.is_some());
            error
        };
        assert_eq!(blamed(None, Some(5)).as_deref(), Some("until"));
        assert_eq!(blamed(Some(25), None).as_deref(), Some("since"));
        assert_eq!(blamed(Some(5), Some(4)).as_deref(), Some("since"));
        for (since, until) in [(None, None), (Some(5), None), (None, Some(30)), (Some(3), Some(5)), (Some(20), None)] {
            assert_eq!(blamed(since, until), None, "{since:?} {until:?}");
        }
    }

    #[test]
    fn parts_of_a_query_share_one_list_of_errors() {
        let read = Params::parse(Some("tz=Mars&level=LOUD&nmae=a"))
            .read(|params| <(CellFilter, Zone)>::read(params, Timestamp::EPOCH));
        let Err(Problem::Invalid(Invalid(errors))) = read else { panic!("three errors") };
        assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["level", "tz", "nmae"]);
    }

    #[test]
    fn of_lenient_parameters_the_last_counts_and_none_offends() {
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
