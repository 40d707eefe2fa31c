//! `GET /apps/{app}/stats/uniques`

use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::distinct::Of;
use tally_core::time::Timestamp;
use tally_core::time::calendar::{Interval, WeekStart};
use tally_http::counts::Freshness;
use tally_http::openapi::{Operation, Parameter};
use tally_http::parameters::{Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::view::{View, intervals, time_range};
use tally_service::report::count::{boundaries, counted_to};
use tally_service::report::distinct::count_distinct;

use crate::statistic::{Asked, Statistic};

/// Most buckets of a series.
const MAX_POINTS: usize = 1_000;

/// Distinct users or sessions.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Uniques<'a> {
    of: Of,
    /// The start of what is counted: before the one that was asked for where the hour of that is counted as a whole.
    since: Timestamp,
    /// Its end, likewise.
    until: Timestamp,
    tz: &'a str,
    interval: &'static str,
    /// Those of the whole range: who comes in several buckets counts once.
    total: u64,
    /// By how much a number may be wrong in 95 of 100 cases, as a share of it; 0 where all are exact.
    error: f64,
    /// Every bucket, also those without any.
    series: Vec<UniquesPoint>,
    /// Where the read budget ended before all events that match were read: events before this time are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    covered_since: Option<Timestamp>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// The users or sessions of a bucket.
#[derive(Serialize, JsonSchema)]
struct UniquesPoint {
    /// The start of the whole bucket, even where it is before the range.
    bucket_start: Timestamp,
    count: u64,
    /// True where an hour is counted as a whole of which only a part lies in the bucket; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    widened: Option<bool>,
}

pub(crate) async fn uniques(asked: Asked, params: Params) -> Result<Response, Problem> {
    let (of, view, interval, starts) = params.read(|params| {
        let of = params.choice("of", &Of::ALL.map(|of| (of.as_str(), of))).unwrap_or(Of::Users);
        let view = View::read(params, asked.now, false)?;
        let interval = match view.interval {
            Interval::Minute if view.sent_interval => {
                params.add("interval", "must be HOUR, DAY, WEEK or MONTH: people are counted by hours");
                return None;
            }
            Interval::Minute => Interval::Hour,
            interval => interval,
        };
        let starts = interval.starts_at_most(view.range, &view.zone, MAX_POINTS);
        let starts = params.keep(if view.sent_interval { "interval" } else { "since" }, starts)?;
        Some((of, view, interval, starts))
    })?;
    let (reads, app) = (&asked.reads, &*asked.app);
    // Read before the sketches: a batch that is counted in between is then not claimed to be.
    let counted_to = counted_to(reads, app).await?;
    let found = count_distinct(reads, app, of, &boundaries(&starts, view.range), &view.filter).await;
    let found = found.map_err(|error| Problem::of_read(error, "since"))?;
    let point = |(slot, (start, count)): (usize, (&Timestamp, &u64))| UniquesPoint {
        bucket_start: *start,
        count: *count,
        widened: found.widened.contains(&slot).then_some(true),
    };
    // What lies outside of the range may lie outside of its first and last bucket, too.
    let is_within = interval.starts_at_most(found.range, &view.zone, MAX_POINTS).is_ok_and(|wider| wider == starts);
    let reply = Uniques {
        of,
        since: found.range.since(),
        until: found.range.until(),
        tz: view.zone.name(),
        interval: interval.name(),
        total: found.total,
        error: found.error,
        series: starts.iter().zip(&found.slots).enumerate().map(point).collect(),
        covered_since: found.covered_since,
        freshness: Freshness::of(found.complete && is_within, counted_to, found.live_from)
            .widened(!found.widened.is_empty()),
    };
    json(StatusCode::OK, &reply)
}

pub(crate) fn uniques_operation(schemas: &mut SchemaGenerator) -> Operation {
    let of = json_schema!({"type": "string", "enum": Of::ALL.map(Of::as_str), "default": Of::Users.as_str()});
    let mut interval = intervals("The length of a bucket; by default one that gives a few dozen.", None);
    let week = Interval::Week(WeekStart::default());
    let names = [Interval::Hour, Interval::Day, week, Interval::Month].map(Interval::name);
    interval.schema = json_schema!({"type": "string", "enum": names});
    Statistic::Uniques
        .operation("uniques", "Distinct users or sessions")
        .about(
            "Without a filter they come from sketches of hours and days: up to 380 are exact, more are within 3.3 % in 95 of 100 \
             cases. Where a bucket begins or ends inside an hour, the events of that part are read, the newest first, within the \
             read budget. If it ends first, the whole hour counts: `widened` is true, here and of the bucket, `since` and `until` \
             are those of the wider range, and `complete` is false where an hour counts in two buckets. An hour that begins in the \
             range and is under way counts as a whole. With a filter, they are counted exactly from the events within the read \
             budget: if it ends first, `complete` is false and `covered_since` tells how far they were read.",
        )
        .takes([Parameter::query("of", "Users (`user_id`, else `session_id`), or sessions (`session_id`).", of), interval])
        .takes(time_range(schemas))
        .takes(event_filters(schemas))
        .answers_with::<Uniques<'_>>(schemas, StatusCode::OK, "The numbers.")
}
