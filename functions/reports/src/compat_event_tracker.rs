//! Event Tracker's `GET api/events` and `…/unique`; see [`tally_http::compat::event_tracker`].

use std::collections::HashMap;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{SchemaGenerator, json_schema};
use tally_core::app::App;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, HOUR, Range, Timestamp};
use tally_http::compat::event_tracker::{EventTrackerHour, EventTrackerName, EventTrackerRows, no_such_path, range};
use tally_http::counts::Freshness;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter};
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::reply::{LeftOut, Room};
use tally_http::routes::{EVENT_TRACKER_LIST, EVENT_TRACKER_PATH};
use tally_http::service::Shared;
use tally_service::budget::Spent;
use tally_service::context::Context;
use tally_service::reads::Reads;
use tally_service::report::count::{AllDays, largest_first};

use crate::statistics::{HourCount, Hours, MAX_HOURS, by_day, hours_of};

pub(crate) async fn hours(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut params = Params::lenient(query.as_deref());
    let range = range(&mut params);
    let range = params.give(range)?;
    let reads = context.reads();
    let (range, starts) = if let Ok(starts) = hours_of(range) {
        (range, starts)
    } else {
        let range = with_events(&reads, &app, range).await?;
        (range, hours_of(range).map_err(|e| Problem::field("start_date", e.to_string()))?)
    };
    let hours = Hours::count(&reads, &app, starts, range, &EventFilter::default(), "start_date").await?;
    let mut room = Room::default();
    let mut rows = Vec::new();
    for HourCount { date, hour_start, name, count } in hours.rows() {
        let row = [EventTrackerHour { date, event: name, count }];
        if !room.take(&row)? {
            return Err(too_large(range, hour_start));
        }
        rows.push(row);
    }
    rows.sort_unstable_by(|[a], [b]| (&a.event, &a.date).cmp(&(&b.event, &b.date)));
    json(StatusCode::OK, &EventTrackerRows::of(rows).lacking(hours.freshness().complete, None))
}

/// The rows of a range up to `from` fill a reply, so that those of the hour `from` do not fit. A list that ends early would
/// look like one without events.
fn too_large(range: Range, from: Timestamp) -> Problem {
    let last = from - HOUR;
    if last < range.since().floor(HOUR) {
        return Problem::field(
            "start_date",
            "this hour alone has more names than a reply holds: GET /apps/{app}/stats/hours has pages of them",
        );
    }
    let last = Bucket::of(Granularity::Hour, last);
    Problem::field(
        "end_date",
        format!("the range has more rows than a reply holds: send `end_date={last}` or an earlier one, then the rest"),
    )
}

/// The part of a range between the first and the last day with events.
async fn with_events(reads: &Reads, app: &App, range: Range) -> Result<Range, Problem> {
    let (days, _) = of_all_time(reads, app, "start_date").await?;
    let first = days.cells.values().map(|days| days.first).min();
    let last = days.cells.values().map(|days| days.last).max();
    let of_events = first.zip(last).and_then(|(first, last)| Range::new(first, last + DAY).ok());
    Ok(range.intersect(of_events.unwrap_or(Range::EMPTY)))
}

/// The counts of all days. Its formats cannot say that some are missing.
async fn of_all_time(reads: &Reads, app: &App, field: &str) -> Result<(AllDays, Freshness), Problem> {
    let (days, freshness) = by_day(reads, app, &CellFilter::default(), field).await?;
    if days.covered_since.is_some() { Err(Problem::too_much(Spent::Units, field)) } else { Ok((days, freshness)) }
}

/// The rest of the path after `events/`: `unique`. The function `charts` answers `histogram/{EVENT}/{YYYYMMDD}`.
pub(crate) async fn of_path(
    State(context): Shared,
    Target(app): Target,
    Path((_, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    if path == "unique" { unique(&context, &app).await } else { Err(no_such_path()) }
}

async fn unique(context: &Context, app: &App) -> Result<Response, Problem> {
    let (days, freshness) = of_all_time(&context.reads(), app, "unique").await?;
    let mut sums: HashMap<&str, i64> = HashMap::new();
    for (cell, days) in &days.cells {
        *sums.entry(cell.name()).or_default() += days.count;
    }
    sums.retain(|_, count| *count != 0);
    let rows = largest_first(sums).into_iter().map(|(event, count)| [EventTrackerName { event, count }]);
    let mut rows: Vec<_> = rows.collect();
    let left_out = LeftOut::of(Room::default().fill(&mut rows)?.iter().map(|[name]| name.count));
    json(StatusCode::OK, &EventTrackerRows::of(rows).lacking(freshness.complete, left_out))
}

pub(crate) fn hours_operation(schemas: &mut SchemaGenerator) -> Operation {
    /// `YYYYMMDD` or `YYYYMMDDHH`.
    const DAY_OR_HOUR: &str = r"^\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])?$";
    let date = json_schema!({"type": "string", "pattern": DAY_OR_HOUR, "examples": ["2026112106", "20261121"]});
    let summary = "Event Tracker: every name in every hour (UTC), by name, then time";
    Operation::of(&EVENT_TRACKER_LIST, "listEventTracker", summary)
        .about(format!(
            "At most {MAX_HOURS} hours between the first and the last event. A range with more rows than a reply holds is \
             refused, with the `end_date` up to which they fit."
        ))
        .takes([
            Parameter::query("start_date", "The first hour (`YYYYMMDDHH`) or day (`YYYYMMDD`).", date.clone())
                .required(),
            Parameter::query("end_date", "The last day or hour, included.", date).required(),
        ])
        .answers_with::<EventTrackerRows<EventTrackerHour<'_>>>(schemas, StatusCode::OK, "The counts.")
}

pub(crate) fn unique_operation(schemas: &mut SchemaGenerator) -> Operation {
    let summary = "Event Tracker: all names of all time, largest first";
    Operation::of(&EVENT_TRACKER_PATH, "listEventTrackerNames", summary)
        .with("{*path}", "unique")
        .answers_with::<EventTrackerRows<EventTrackerName<'_>>>(schemas, StatusCode::OK, "The counts.")
}
