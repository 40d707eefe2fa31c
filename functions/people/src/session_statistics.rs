//! `GET /apps/{app}/stats/sessions`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::event::filter::EventFilter;
use tally_core::time::Timestamp;
use tally_core::time::calendar::Interval;
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::Operation;
use tally_http::parameters::{FromQuery, Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::routes::SESSION_STATISTICS;
use tally_http::service::Shared;
use tally_http::view::time_range;
use tally_service::people::identities::Asked;
use tally_service::people::session_statistics::sessions;

use crate::answer::{Buckets, Coverage, MAX_COLUMNS, interval, joins, share};

/// The lengths of buckets.
pub(crate) const INTERVALS: [&str; 5] = ["MINUTE", "HOUR", "DAY", "WEEK", "MONTH"];

/// How many sessions there are, and how long they are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionStatistics")]
struct StatisticsBody<'a> {
    interval: &'static str,
    tz: &'a str,
    /// The number of sessions.
    total: u64,
    /// The median of their durations, from the first event to the last; null if there are none.
    median_seconds: Option<i64>,
    /// The 90th percentile of their durations.
    p90_seconds: Option<i64>,
    /// The share of sessions with one occurrence, from 0 to 1; null if there are none.
    single_event: Option<f64>,
    /// By the bucket of the first event. Buckets without sessions are left out.
    series: Vec<SessionBucket>,
    #[serde(flatten)]
    coverage: Coverage,
}

/// The sessions that began in a bucket.
#[derive(Serialize, JsonSchema)]
struct SessionBucket {
    /// The start of the whole bucket, even where it is before the range.
    bucket_start: Timestamp,
    /// The number of sessions.
    count: u64,
    median_seconds: Option<i64>,
    /// The 90th percentile of their durations.
    p90_seconds: Option<i64>,
    /// The share of sessions with one occurrence, from 0 to 1.
    single_event: Option<f64>,
}

pub(crate) async fn statistics(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let (filter, buckets) = params.read(|params| {
        let filter = EventFilter::read(params, now);
        let buckets = Buckets::read(params, now, (Interval::Day, &INTERVALS), MAX_COLUMNS);
        filter.zip(buckets)
    })?;
    let asked = Asked { filter: &filter, joins: joins(&limits) };
    let (found, read) = sessions(&context.reads(), &app, buckets.range, &limits.filter(), asked).await?;
    let (all, series) = found.summary(&buckets.starts);
    let series = series.into_iter().filter_map(|(bucket, summary)| {
        let bucket_start = *buckets.starts.get(bucket)?;
        Some(SessionBucket {
            bucket_start,
            count: summary.total,
            median_seconds: summary.median_seconds,
            p90_seconds: summary.p90_seconds,
            single_event: share(summary.single, summary.total),
        })
    });
    let reply = StatisticsBody {
        interval: buckets.interval.name(),
        tz: buckets.zone.name(),
        total: all.total,
        median_seconds: all.median_seconds,
        p90_seconds: all.p90_seconds,
        single_event: share(all.single, all.total),
        series: series.collect(),
        coverage: Coverage::of(buckets.range, &read),
    };
    json(StatusCode::OK, &reply)
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&SESSION_STATISTICS, "countSessions", "Counts sessions and tells how long they are")
        .about(
            "A session is the events of the range with one `session_id`. With a filter it counts if one of them matches. Reads \
             all events of the range, the newest first, within the read budget. Quantiles are durations that occurred.",
        )
        .takes(time_range(schemas))
        .takes([interval("DAY", &INTERVALS)])
        .takes(event_filters(schemas))
        .answers_with::<StatisticsBody<'_>>(schemas, StatusCode::OK, "The sessions.")
}
