//! `GET /apps/{app}/stats/next`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::alert::minutes::Minutes;
use tally_core::event::filter::EventFilter;
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::parameters::{FromQuery, Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::routes::WHAT_NEXT;
use tally_http::service::Shared;
use tally_http::view::{TimeRange, time_range};
use tally_service::people::identities::Asked;
use tally_service::people::next as uses;

use crate::answer::{Coverage, Seconds, by, joins, read_by, share};

/// Most names in a reply.
const MAX_NAMES: usize = 20;
/// How long after the event the next one may happen: by default, and at most.
const DEFAULT_WITHIN: Minutes = Minutes(30);
const MAX_WITHIN: Minutes = Minutes::WEEK;

/// What people did after an event.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WhatNext")]
struct NextBody<'a> {
    /// What most people did comes first; those who did nothing more come last, if there are any.
    items: Vec<NextItem<'a>>,
    /// The people who have an event of the name.
    people: u64,
    #[serde(flatten)]
    coverage: Coverage,
}

/// What some people did next.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NextEvent")]
struct NextItem<'a> {
    /// The name of the event; null of those who did nothing more in time.
    name: Option<&'a str>,
    people: u64,
    /// Their share of all people, from 0 to 1.
    share: Option<f64>,
    /// The median time until then; null of those who did nothing more.
    median_seconds: Option<Seconds>,
}

pub(crate) async fn next(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let (name, filter, range, by, within) = params.read(|params| {
        let name = if let Ok([name]) = <[String; 1]>::try_from(params.values("name")) {
            Some(name)
        } else {
            params.add("name", "send the name of one event, once");
            None
        };
        let filter = EventFilter::read(params, now);
        let range = TimeRange::read(params, now);
        let by = read_by(params);
        let within = params.parsed::<Minutes>("within").unwrap_or(DEFAULT_WITHIN);
        if within == Minutes(0) || within > MAX_WITHIN {
            params.add("within", format!("must be from 1m to {MAX_WITHIN}"));
        }
        Some((name?, filter?, range?.0, by, within))
    })?;
    let asked = Asked { filter: &filter, joins: joins(&limits) };
    let found = uses::next(&context.reads(), &app, range, asked, (&name, by, within.length())).await?;
    let people = found.people as u64;
    let (named, nothing): (Vec<_>, Vec<_>) = found.did.iter().partition(|did| did.name.is_some());
    let item = |did: &tally_core::people::next::DidNext| NextItem {
        name: did.name.and_then(|name| found.name(name)),
        people: did.people,
        share: share(did.people, people),
        median_seconds: did.median.map(Into::into),
    };
    let items = named.into_iter().take(MAX_NAMES).chain(nothing).map(item).collect();
    json(StatusCode::OK, &NextBody { items, people, coverage: Coverage::of(range, &found.read) })
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    let length =
        json_schema!({"type": "string", "pattern": "^[0-9]{1,5}[mhdw]$", "default": DEFAULT_WITHIN.to_string()});
    Operation::of(&WHAT_NEXT, "whatNext", "Tells what people did after an event")
        .about(format!(
            "Of each person the first event of the name in the range counts, and the first later event of another name. The \
             {MAX_NAMES} most frequent names are told. Reads all events of the range, the oldest first, within the read budget.",
        ))
        .takes(time_range(schemas))
        .takes(event_filters(schemas))
        .takes([
            Parameter::query("name", "The name of the event.", text()).required(),
            Parameter::query("within", "How long after it the next event may happen, up to `1w`.", length),
            by(),
        ])
        .answers_with::<NextBody<'_>>(schemas, StatusCode::OK, "What they did next.")
}
