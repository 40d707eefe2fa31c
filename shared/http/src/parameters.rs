//! Query parameters, and how a handler takes them: [`NoQuery`], [`Query`] of a type that reads itself, or [`Params`] to
//! read by hand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tally_core::app::AppSlug;
use tally_core::event::filter::attribute::{AttributeFilter, MOST_ATTRIBUTES, path_and_operator};
use tally_core::event::filter::search::{MAX_SEARCH, TextSearch};
use tally_core::event::filter::values::{MOST_VALUES, Values};
use tally_core::event::filter::{AttributeFilters, CellFilter, EventFilter};
use tally_core::event::group::Group;
use tally_core::event::json::JsonError;
use tally_core::event::level::Level;
use tally_core::invalid::{Invalid, Problems};
use tally_core::time::moment::{Calendar, Moment};
use tally_core::time::zone::Zone;
use tally_core::time::{Range, Timestamp};
use tally_service::context::Context;

use crate::credentials;
use crate::input::{Input, Value};
use crate::limits;
use crate::openapi::{LevelInput, Parameter, text};
use crate::problem::Problem;

/// The query parameters of a request.
pub type Params = Input<Sent>;

/// Parameters by name, as they were sent: a cursor holds those of its query.
pub type SentParams = BTreeMap<String, Sent>;

/// All values of a parameter, in order. Most are sent once; those that take several are sent once for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sent {
    /// Its only value.
    Once(String),
    /// Its values, of a parameter that was sent several times.
    Often(Vec<String>),
}

impl Sent {
    /// The values.
    pub fn values(self) -> Vec<String> {
        match self {
            Self::Once(value) => vec![value],
            Self::Often(values) => values,
        }
    }

    fn add(&mut self, value: String) {
        match self {
            Self::Once(first) => *self = Self::Often(vec![std::mem::take(first), value]),
            Self::Often(values) => values.push(value),
        }
    }
}

impl From<String> for Sent {
    fn from(value: String) -> Self {
        Self::Once(value)
    }
}

impl Value for Sent {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Once(value) if value.is_empty())
    }

    fn into_text(self) -> Result<String, JsonError> {
        match self {
            Self::Once(value) => Ok(value),
            Self::Often(_) => Err(JsonError { path: String::new(), detail: "sent twice: send it once".to_owned() }),
        }
    }

    fn into_number(self) -> Option<u64> {
        self.into_text().ok()?.parse().ok()
    }
}

/// The parameters of a chart that whoever shows it may choose.
const LOOK: [&str; 4] = ["theme", "width", "height", "title"];

/// Most parameters of a request.
const MOST: usize = 100;

/// Longest path of an attribute, in bytes.
pub const MAX_ATTRIBUTE: usize = 256;

impl Params {
    /// The path of an attribute of events, as `attr`: alone, or after `attr.` as in filters.
    pub fn attribute(&mut self, examples: &str) -> Option<String> {
        let sent = self.text("attr").filter(|attr| attr.len() <= MAX_ATTRIBUTE);
        let path = sent.map(|attr| attr.strip_prefix("attr.").map(str::to_owned).unwrap_or(attr));
        let path = path.filter(|path| !path.is_empty());
        if path.is_none() {
            self.add("attr", format!("send a path into `data` of at most {MAX_ATTRIBUTE} bytes, e.g. {examples}"));
        }
        let hidden = path.as_deref().zip(self.limits()).and_then(|(path, limits)| limits.hides_attribute(path));
        if let Some(hidden) = hidden {
            self.add("attr", hidden);
        }
        path
    }

    /// Reads a query string, without the parameters that carry credentials. A parameter that is sent twice is an error of
    /// the handler that reads it, unless it takes several values.
    pub fn parse(query: Option<&str>) -> Self {
        let mut problems = Problems::default();
        let mut left: Vec<(String, Sent)> = Vec::new();
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
            match left.iter_mut().find(|(seen, _)| *seen == name) {
                Some((_, values)) => values.add(value.into_owned()),
                None => left.push((name.into_owned(), value.into_owned().into())),
            }
        }
        Self::new(left, problems)
    }

    /// The parameters of a request, within what its caller may read.
    fn of_request(parts: &Parts) -> Self {
        Self::parse(parts.uri.query()).within(limits::of_caller(parts))
    }

    /// Parameters that were read from elsewhere.
    pub fn of(params: SentParams) -> Self {
        Self::new(params.into_iter().collect(), Problems::default())
    }

    /// Parameters of which any may be sent, and more than once: the last one counts.
    pub fn lenient(query: Option<&str>) -> Self {
        let sent = form_urlencoded::parse(query.unwrap_or("").as_bytes()).into_owned();
        Self::of(sent.map(|(name, value)| (name, value.into())).collect())
    }

    /// All values of a parameter that may be sent several times. An empty one is an error: a filter on it would find
    /// everything, not nothing.
    pub fn values(&mut self, name: &str) -> Vec<String> {
        let is_empty = self.was_sent_empty(name);
        let mut values = self.raw(name).map(Sent::values).unwrap_or_default();
        if is_empty {
            self.add(name, "empty: send a value, or leave the parameter out");
        }
        values.retain(|value| !value.is_empty());
        values
    }

    fn was_sent_empty(&mut self, name: &str) -> bool {
        let sent = self.left_mut().iter().find(|(sent, _)| sent == name);
        sent.is_some_and(|(_, sent)| match sent {
            Sent::Once(value) => value.is_empty(),
            Sent::Often(values) => values.iter().any(String::is_empty),
        })
    }

    /// The values that a field may have, `name`, and those that it may not have, `name[ne]`, read from their texts.
    pub fn filter<T: Ord>(&mut self, name: &str, read: impl Fn(&mut Self, &str, Vec<String>) -> Vec<T>) -> Values<T> {
        let not = format!("{name}[ne]");
        let is = self.values(name);
        let is = read(self, name, is);
        let is_not = self.values(&not);
        let is_not = read(self, &not, is_not);
        // Each list is blamed by itself.
        let is = self.keep(name, Values::new(is, vec![])).unwrap_or_default();
        is.and(self.keep(&not, Values::new(vec![], is_not)).unwrap_or_default())
    }

    /// The texts that a field may have or not.
    pub fn texts(&mut self, name: &str) -> Values<String> {
        self.filter(name, |_, _, texts| texts)
    }

    /// The levels that events may have or not: one by one, or with commas between them.
    pub fn levels(&mut self) -> Values<Level> {
        self.filter("level", |params, name, texts| {
            let levels = texts.iter().flat_map(|text| text.split(','));
            levels.filter_map(|level| params.keep(name, level.parse())).collect()
        })
    }

    /// The groups that events may have or not.
    pub fn groups(&mut self) -> Values<Group> {
        self.filter("group", |params, name, texts| {
            texts.iter().filter_map(|group| params.keep(name, group.parse())).collect()
        })
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

    /// A time, absolute or relative.
    pub fn moment(&mut self, name: &str) -> Option<Moment> {
        self.parsed(name)
    }

    /// A time of a calendar. A day without a clock time is its first moment.
    pub fn time_in(&mut self, name: &str, calendar: &Calendar) -> Option<Timestamp> {
        let moment = self.moment(name)?;
        self.keep(name, calendar.at(moment))
    }

    /// `true` or `false`; `false` by default.
    pub fn flag(&mut self, name: &str) -> bool {
        self.choice(name, &[("true", true), ("false", false)]).unwrap_or(false)
    }

    /// All parameters whose names begin with `prefix`, without it, with their values.
    pub fn with_prefix(&mut self, prefix: &str) -> Vec<(String, Vec<String>)> {
        let (taken, left) = std::mem::take(self.left_mut()).into_iter().partition(|(name, _)| name.starts_with(prefix));
        *self.left_mut() = left;
        let strip = |(name, sent): (String, Sent)| (name[prefix.len()..].to_owned(), sent.values());
        taken.into_iter().map(strip).collect()
    }

    /// What has not been read yet.
    pub fn remaining(&mut self) -> SentParams {
        self.left_mut().iter().filter(|(_, sent)| !sent.is_absent()).cloned().collect()
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
    pub fn finish_as(mut self, held: &SentParams) -> Result<(), Invalid> {
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
        Ok(Self::of_request(parts))
    }
}

/// The parameters of a chart, in a handler's signature. Of a key that is bound to one chart they are the key's, but for how the
/// picture looks; of a signed link they are what was signed.
pub struct ChartParams(pub Params);

impl<S: Sync> FromRequestParts<S> for ChartParams {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut sent = Params::of_request(parts);
        let limits = sent.limits();
        let Some(chart) = limits.as_ref().and_then(|limits| limits.chart.as_deref()) else { return Ok(Self(sent)) };
        let mut params = Params::parse(Some(chart));
        if limits.as_ref().is_some_and(|limits| limits.is_signed) {
            return Ok(Self(params.within(limits)));
        }
        for (name, value) in std::mem::take(sent.left_mut()) {
            if LOOK.contains(&name.as_str()) {
                params.left_mut().retain(|(other, _)| *other != name);
                params.left_mut().push((name, value));
            } else {
                params.add(&name, "the key decides what the chart shows: leave it out");
            }
        }
        params.add_nested("", sent.check());
        Ok(Self(params.within(limits)))
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
        Params::of_request(parts).read(|params| T::read(params, context.clock.now())).map(Self)
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
        for (event, name) in [("event", "name"), ("event[ne]", "name[ne]")] {
            if params.was_sent(event) && params.was_sent(name) {
                params.add(event, format!("means the same as `{name}`: send one of them"));
            }
        }
        let name = params.texts("name");
        let name = name.and(params.texts("event"));
        let asked = Self {
            name,
            slug: params.texts("slug"),
            category: params.texts("category"),
            level: params.levels(),
            group: params.groups(),
        };
        if let Some(hidden) = params.limits().and_then(|limits| limits.hides_field("group"))
            && !asked.group.is_any()
        {
            params.add("group", hidden);
        }
        Some(match params.limits() {
            Some(limits) => asked.and(limits.cells()),
            None => asked,
        })
    }
}

/// The filters that events themselves are asked with.
impl FromQuery for EventFilter {
    fn read(params: &mut Params, now: Timestamp) -> Option<Self> {
        let cell = CellFilter::read(params, now)?;
        let asked = Self {
            cell,
            message: params.texts("message"),
            session_id: params.texts("session_id"),
            user_id: params.texts("user_id"),
            people: vec![],
            fingerprint: params.texts("fingerprint"),
            attributes: attributes(params),
            searches: search(params).into_iter().collect(),
        };
        let Some(limits) = params.limits() else { return Some(asked) };
        for field in asked.beyond_cells() {
            if let Some(hidden) = limits.hides_field(field).filter(|_| field != "attr") {
                params.add(field, hidden);
            }
        }
        Some(asked.and(limits.filter()))
    }
}

/// The text to search for. An empty one is an error, as of the other filters.
fn search(params: &mut Params) -> Option<TextSearch> {
    if params.was_sent_empty("q") {
        params.add("q", "empty: send a text, or leave the parameter out");
    }
    let text = params.text("q")?;
    params.keep("q", TextSearch::new(&text))
}

fn attributes(params: &mut Params) -> AttributeFilters {
    let mut sent = params.with_prefix("attr.");
    // Clients that are generated may write the properties of an object in brackets.
    sent.extend(params.with_prefix("attributes[").into_iter().map(|(name, values)| {
        let name = name.strip_suffix(']').unwrap_or_default();
        (name.strip_prefix("attr.").unwrap_or(name).to_owned(), values)
    }));
    let mut all = Vec::new();
    for (text, values) in sent {
        let filter = path_and_operator(&text);
        let path = filter.as_ref().map_or(text.as_str(), |(path, _)| path);
        if let Some(hidden) = params.limits().and_then(|limits| limits.hides_attribute(path)) {
            params.add(&format!("attr.{text}"), hidden);
            continue;
        }
        let filter = filter.and_then(|(path, operator)| AttributeFilter::new(path, operator, values));
        all.extend(params.keep(&format!("attr.{text}"), filter));
    }
    params.keep("attr", AttributeFilters::new(all)).unwrap_or_default()
}

/// One value or several.
fn some_of(one: &Schema) -> Schema {
    json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_VALUES}]})
}

/// The parameters of a filter on a field: the values that it may have, and those that it may not.
fn filter(names: [&'static str; 2], about: [&str; 2], schema: &Schema) -> [Parameter; 2] {
    let schema = some_of(schema);
    let [is, is_not] = about;
    [
        Parameter::query(names[0], format!("Only events {is}; sent several times, any of them."), schema.clone()),
        Parameter::query(names[1], format!("Only events {is_not}; sent several times, none of them."), schema),
    ]
}

/// The parameters of a [`CellFilter`].
pub fn filters(schemas: &mut SchemaGenerator) -> Vec<Parameter> {
    let mut all = Vec::new();
    all.extend(filter(["name", "name[ne]"], ["with this name", "without this name"], &text()));
    all.extend([Parameter::query("event", "An alias of `name`.", some_of(&text()))]);
    all.extend(filter(["slug", "slug[ne]"], ["with this slug", "without this slug"], &text()));
    all.extend(filter(["category", "category[ne]"], ["of this category", "not of this category"], &text()));
    all.extend(level(schemas));
    all.extend(group());
    all
}

/// The parameters of groups.
pub fn group() -> [Parameter; 2] {
    let schema = json_schema!({"type": "string", "pattern": "^[mf][0-9a-f]{16}$", "examples": ["mba7816bf8f01cfea"]});
    filter(["group", "group[ne]"], ["of this group, as `stats/top-messages` gives it", "not of this group"], &schema)
}

/// The parameters of levels.
pub fn level(schemas: &mut SchemaGenerator) -> [Parameter; 2] {
    let levels = schemas.subschema_for::<LevelInput>();
    let listed = json_schema!({"type": "string", "pattern": "^[A-Za-z]+(,[A-Za-z]+)+$", "examples": ["ERROR,FATAL"]});
    let list = json_schema!({"type": "array", "items": levels, "minItems": 1, "maxItems": MOST_VALUES});
    let schema = json_schema!({"anyOf": [levels, listed, list]});
    let several = "sent several times, or with commas between them,";
    [
        Parameter::query("level", format!("Only events of this level; {several} any of them."), schema.clone()),
        Parameter::query("level[ne]", format!("Only events not of this level; {several} none of them."), schema),
    ]
}

/// The parameters of an [`EventFilter`].
pub fn event_filters(schemas: &mut SchemaGenerator) -> Vec<Parameter> {
    let value = some_of(&text());
    let attributes = json_schema!({
        "type": "object",
        "patternProperties": {"^attr\\..": value},
        "additionalProperties": false,
        "maxProperties": MOST_ATTRIBUTES,
        "examples": [{"attr.plan": "pro"}, {"attr.amount[gte]": "100"}],
    });
    let mut all = filters(schemas);
    all.extend(filter(["message", "message[ne]"], ["with exactly this message", "without this message"], &text()));
    all.extend(filter(["session_id", "session_id[ne]"], ["of this session", "not of this session"], &text()));
    all.extend(filter(["user_id", "user_id[ne]"], ["of this user", "not of this user"], &text()));
    all.extend(filter(
        ["fingerprint", "fingerprint[ne]"],
        ["with this fingerprint", "without this fingerprint"],
        &text(),
    ));
    all.push(Parameter::query(
        "attributes",
        "Only events whose `data` has this value at this path: `attr.PATH=value`, e.g. `attr.plan=pro`. Keys may hold dots. \
         Operators stand in brackets: `attr.PATH[ne]`, `[gt]`, `[gte]`, `[lt]`, `[lte]`, `[contains]`, and `[exists]=true` or \
         `false`. Sent several times, any of the values; with `ne` none of them. `attributes[attr.PATH]=value` means the same.",
        attributes,
    ));
    let text = json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_SEARCH});
    all.push(Parameter::query(
        "q",
        format!(
            "Only events with this text, in upper or lower case, in `name`, `message`, `user_id`, `session_id` or a string of \
             `data` or `stack` (not in a key). At most {MAX_SEARCH} bytes, sent once."
        ),
        text,
    ));
    all
}

/// The zone of days and weeks; UTC by default.
impl FromQuery for Zone {
    fn read(params: &mut Params, _: Timestamp) -> Option<Self> {
        Some(params.parsed("tz").unwrap_or_else(Self::utc))
    }
}

/// The calendar of days, weeks and relative times; by default UTC, with weeks that begin on Monday.
impl FromQuery for Calendar {
    fn read(params: &mut Params, now: Timestamp) -> Option<Self> {
        let zone = Zone::read(params, now)?;
        Some(Self { zone, week_start: params.parsed("week_start").unwrap_or_default(), now })
    }
}

/// The parameters of a [`Calendar`].
pub fn calendar() -> [Parameter; 2] {
    // Without its default in the schema: generated clients send these, and a cursor goes without them.
    let words = json_schema!({"type": "string", "enum": ["monday", "sunday"]});
    [zone(), Parameter::query("week_start", "The first day of a week, `monday` by default.", words)]
}

/// The parameter of a [`Zone`].
pub fn zone() -> Parameter {
    Parameter::query("tz", "The time zone of days, an IANA name; UTC by default.", text())
}

/// Where a page of apps begins: the parameter `next`, a slug.
pub struct AppsAfter(pub Option<AppSlug>);

impl FromQuery for AppsAfter {
    fn read(params: &mut Params, _: Timestamp) -> Option<Self> {
        let after = params.text_of("next", "cursor").and_then(|text| {
            let slug = AppSlug::of_name(&text);
            params.keep("next", slug.map_err(|_| "send the `next` of the previous page as it is"))
        });
        Some(Self(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_told_at_once() {
        let mut params = Params::parse(Some("limit=0&nmae=&level=LOUD&a=1&a=2&read_key=secret&name="));
        assert_eq!(params.number::<u64>("limit", 1, 10), None);
        assert_eq!(params.parsed::<Level>("level"), None);
        assert_eq!(params.text("a"), None, "sent twice");
        assert_eq!(params.text("name"), None);
        let Invalid(errors) = params.finish().expect_err("four errors");
        let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["limit", "level", "a", "nmae"]);
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
        assert_eq!(params.with_prefix("attr."), [("a.b".to_owned(), vec!["x y".to_owned()])]);
        assert!(params.finish().is_ok());
    }
}
