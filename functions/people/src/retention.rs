//! `GET /apps/{app}/stats/retention`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::event::filter::EventFilter;
use tally_core::event::filter::values::Values;
use tally_core::people::retention::MAX_BUCKETS;
use tally_core::time::Timestamp;
use tally_core::time::calendar::Interval;
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::parameters::{FromQuery, Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::routes::RETENTION;
use tally_http::service::Shared;
use tally_http::view::time_range;
use tally_service::people::continuation::{self, Begun, begun};
use tally_service::people::identities::Asked;
use tally_service::people::retention::{self as uses, Names};

use crate::answer::{Buckets, Coverage, TOO_MANY, by, interval, joins, read_by, unknown_next};

/// The lengths of buckets.
const INTERVALS: [&str; 3] = ["DAY", "WEEK", "MONTH"];

/// How many people come back.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Retention")]
struct RetentionBody<'a> {
    interval: &'static str,
    tz: &'a str,
    /// One for each bucket of the range, in order.
    cohorts: Vec<CohortBody>,
    #[serde(flatten)]
    coverage: Coverage,
    /// Where the read budget ended: what to send as `next` with the same parameters, within an hour, to go on. Null if there is
    /// nothing more, or too much was read to be kept.
    next: Option<String>,
    /// Why there is no `next` although not all was read; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// The people whose first event is in a bucket.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Cohort")]
struct CohortBody {
    /// The start of the whole bucket, even where it is before the range.
    start: Timestamp,
    /// How many.
    people: u64,
    /// How many of them have a later event in the nth bucket from this one on: the first number is of the same bucket.
    returned: Vec<u64>,
}

pub(crate) async fn retention(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    mut params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let next = params.text("next");
    let sent = params.remaining();
    let restrictions: Vec<_> = limits.restrictions().collect();
    let bound = continuation::bound(&app, "retention 1", &format!("{sent:?}\n{restrictions:?}"));
    let (filter, names, by, buckets) = params.read(|params| {
        let filter = EventFilter::read(params, now);
        let mut name = |name: &str| params.text(name).map_or_else(Values::default, Values::only);
        let names = Names { first: name("first"), again: name("again") };
        let by = read_by(params);
        let buckets = Buckets::read(params, now, (Interval::Day, &INTERVALS), MAX_BUCKETS);
        Some((filter?, names, by, buckets?))
    })?;
    let state = match next {
        None => None,
        Some(token) => Some(begun(&context.store, &token, &bound, now).await?.ok_or_else(unknown_next)?),
    };
    // A relative range was another one when it was first asked for.
    let buckets = match state.as_ref().map(Begun::range) {
        Some(range) => buckets.within(range, MAX_BUCKETS).ok_or_else(unknown_next)?,
        None => buckets,
    };
    let (reads, Buckets { range, starts, .. }) = (context.reads(), &buckets);
    let asked = Asked { filter: &filter, joins: joins(&limits) };
    let found = uses::retention(&reads, &app, (*range, state), (asked, &names), by, starts).await?;
    let next = uses::keep(&context.store, &found, *range, bound, now).await?;
    let (cohorts, read) = (found.retention.cohorts(starts.len()).into_iter().zip(starts), &found.read);
    let reply = RetentionBody {
        interval: buckets.interval.name(),
        tz: buckets.zone.name(),
        cohorts: cohorts
            .map(|(cohort, start)| CohortBody { start: *start, people: cohort.people, returned: cohort.returned })
            .collect(),
        coverage: Coverage::of(buckets.range, read),
        note: (!read.complete && next.is_none()).then_some(TOO_MANY),
        next,
    };
    json(StatusCode::OK, &reply)
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&RETENTION, "retention", "Tells how many people come back")
        .about(format!(
            "A person begins in the bucket of their first event `first` of the range, and comes back with each later event `again`. \
             At most {MAX_BUCKETS} buckets. Reads the oldest events first, within the read budget; if it ends, `covered` tells how \
             far people were followed, and `next` goes on.",
        ))
        .takes(time_range(schemas))
        .takes([
            Parameter::query("first", "The name of the event with which people begin; by default any.", text()),
            Parameter::query("again", "The name of the events with which they come back; by default any.", text()),
            interval("DAY", &INTERVALS),
            by(),
            Parameter::query("next", "The `next` of an earlier reply to the same parameters: goes on where it ended.", text()),
        ])
        .takes(event_filters(schemas))
        .answers_with::<RetentionBody<'_>>(schemas, StatusCode::OK, "The cohorts.")
}
