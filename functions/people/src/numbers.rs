//! `GET /apps/{app}/stats/numbers`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::event::filter::EventFilter;
use tally_core::people::numbers::{Numbers, Summary};
use tally_core::time::Timestamp;
use tally_core::time::calendar::Interval;
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{Operation, Parameter};
use tally_http::parameters::{FromQuery, MAX_ATTRIBUTE, Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::routes::NUMBERS;
use tally_http::service::Shared;
use tally_http::view::time_range;
use tally_service::people::identities::Asked;
use tally_service::people::numbers as uses;

use crate::answer::{Buckets, Coverage, MAX_COLUMNS, NumberBody, interval, joins};
use crate::session_statistics::INTERVALS;

/// The numbers at a path of `data`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Numbers")]
struct NumbersBody<'a> {
    /// The path in `data`.
    attr: String,
    interval: &'static str,
    tz: &'a str,
    #[serde(flatten)]
    all: SummaryBody,
    /// By the bucket of the event. Buckets without numbers are left out.
    series: Vec<NumbersBucket>,
    /// How far a quantile may be from the exact one, as a share of all occurrences. It is 0: all are exact.
    error: f64,
    #[serde(flatten)]
    coverage: Coverage,
}

/// The numbers of a bucket.
#[derive(Serialize, JsonSchema)]
struct NumbersBucket {
    /// The start of the whole bucket, even where it is before the range.
    bucket_start: Timestamp,
    #[serde(flatten)]
    summary: SummaryBody,
}

/// What is told of some numbers; all but the count are null if there are none.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NumberSummary")]
struct SummaryBody {
    /// The number of occurrences.
    count: u64,
    sum: Option<NumberBody>,
    min: Option<NumberBody>,
    max: Option<NumberBody>,
    mean: Option<NumberBody>,
    p50: Option<NumberBody>,
    p90: Option<NumberBody>,
    p99: Option<NumberBody>,
}

impl SummaryBody {
    fn of(summary: Option<Summary>) -> Self {
        // What is too large to be told is null.
        let told = |of: fn(Summary) -> f64| summary.map(of).filter(|number| number.is_finite()).map(NumberBody);
        Self {
            count: summary.map_or(0, |summary| summary.count),
            sum: told(|summary| summary.sum),
            min: told(|summary| summary.min),
            max: told(|summary| summary.max),
            mean: told(|summary| summary.mean),
            p50: told(|summary| summary.p50),
            p90: told(|summary| summary.p90),
            p99: told(|summary| summary.p99),
        }
    }
}

pub(crate) async fn numbers(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let (filter, attr, buckets) = params.read(|params| {
        let filter = EventFilter::read(params, now);
        let attr = params.attribute("amount or order.total");
        let buckets = Buckets::read(params, now, (Interval::Day, &INTERVALS), MAX_COLUMNS);
        Some((filter?, attr?, buckets?))
    })?;
    let (reads, Buckets { range, starts, .. }) = (context.reads(), &buckets);
    let asked = Asked { filter: &filter, joins: joins(&limits) };
    let (mut found, read) = uses::numbers(&reads, &app, *range, asked, (&attr, starts)).await?;
    let mut all = Numbers::default();
    for numbers in &found {
        all.add_all(numbers);
    }
    let series = starts.iter().zip(&mut found).filter_map(|(start, numbers)| {
        let summary = numbers.summary()?;
        Some(NumbersBucket { bucket_start: *start, summary: SummaryBody::of(Some(summary)) })
    });
    let reply = NumbersBody {
        attr,
        interval: buckets.interval.name(),
        tz: buckets.zone.name(),
        all: SummaryBody::of(all.summary()),
        series: series.collect(),
        error: 0.0,
        coverage: Coverage::of(*range, &read),
    };
    json(StatusCode::OK, &reply)
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    let attr = json_schema!({
        "type": "string", "minLength": 1, "maxLength": MAX_ATTRIBUTE, "examples": ["amount", "order.total"],
    });
    Operation::of(&NUMBERS, "sumNumbers", "Sums and quantiles of the numbers at a path of `data`")
        .about(
            "Each number counts as often as its event occurred. A number that was sent as a text does not count. Quantiles are \
             numbers that were sent. Reads the events of the range, the newest first, within the read budget.",
        )
        .takes(time_range(schemas))
        .takes([
            Parameter::query("attr", "The path of the numbers in `data`.", attr).required(),
            interval("DAY", &INTERVALS),
        ])
        .takes(event_filters(schemas))
        .answers_with::<NumbersBody<'_>>(schemas, StatusCode::OK, "The numbers.")
}
