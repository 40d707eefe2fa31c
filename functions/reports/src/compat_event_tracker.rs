//! Event Tracker's `GET api/events`, `…/unique` and `…/histogram/{EVENT}/{YYYYMMDD}`; see [`tally_http::compat::event_tracker`].

use std::collections::HashMap;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::header::{ACCEPT, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use schemars::{SchemaGenerator, json_schema};
use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, HOUR, Range, Timestamp};
use tally_http::compat::event_tracker::{Envelope, EventTrackerHour, EventTrackerName, EventTrackerRows, range};
use tally_http::guard::Target;
use tally_http::openapi::{DayInput, JSON, Operation, Parameter, text};
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::reply::{LeftOut, Room};
use tally_http::routes::{EVENT_TRACKER_LIST, EVENT_TRACKER_PATH};
use tally_http::service::Shared;
use tally_http::view::DEFAULT_SIZE;
use tally_service::budget::Spent;
use tally_service::context::Context;
use tally_service::reads::Reads;
use tally_service::report::count::AllDays;

use crate::answer::{Freshness, largest_first};
use crate::chart::Picture;
use crate::histogram::{Day, Format, Histogram, answers_cached, body_of};
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
    let hours = Hours::count(&reads, &app, starts, range, &CellFilter::default(), "start_date").await?;
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

/// The rest of the path after `events/`: `unique`, or `histogram/{EVENT}/{YYYYMMDD}`.
pub(crate) async fn of_path(
    State(context): Shared,
    Target(app): Target,
    Path((_, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if path == "unique" {
        return unique(&context, &app).await;
    }
    let histogram_of = path.strip_prefix("histogram/").and_then(|rest| rest.rsplit_once('/'));
    if let Some((name, date)) = histogram_of.filter(|(name, _)| !name.is_empty()) {
        return histogram(&context, &app, name, date, &headers).await;
    }
    let all = "events, events/unique or events/histogram/EVENT/YYYYMMDD";
    Err(Problem::NotFound(format!("no such path: ask for {all}")))
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

async fn histogram(
    context: &Context,
    app: &App,
    name: &str,
    date: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let filter = CellFilter::of_name(name);
    let zone = Zone::utc();
    let day = Day::new(zone.read_date(date, context.clock.now()).ok(), filter, zone);
    let day = day.map_err(|e| Problem::field("date", e.to_string()))?;
    let counted = day.count(context, app).await?;
    let format = preferred(headers);
    let body = match format {
        Format::Json => body_of(&Envelope::of(counted.numbers()))?,
        Format::Picture(picture) => counted.draw(picture, DEFAULT_SIZE)?,
    };
    let mut reply = counted.answer(format, body, headers);
    reply.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    Ok(reply)
}

/// The format that `Accept` prefers of PNG, JPEG and JSON: the first of equals, and PNG if it accepts none.
fn preferred(headers: &HeaderMap) -> Format {
    const OFFERED: [Format; 3] = [Format::Picture(Picture::Png), Format::Picture(Picture::Jpeg), Format::Json];
    let accepted: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accepted = accepted.join(",");
    let mut best = (OFFERED[0], 0.0);
    for format in OFFERED {
        let quality = quality(&accepted, format);
        if quality > best.1 {
            best = (format, quality);
        }
    }
    best.0
}

/// The quality of a format in a list of media ranges, 0 to 1: that of the most specific range (RFC 9110, 12.5.1).
fn quality(accepted: &str, format: Format) -> f32 {
    let media_type = format.media_type();
    let group = media_type.split('/').next().unwrap_or_default();
    let ranges = accepted.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
        let specific = match parts.next()?.as_str() {
            "*/*" => 0,
            named if named == media_type || (named == "image/jpg" && media_type == "image/jpeg") => 2,
            wide if wide.strip_suffix("/*") == Some(group) => 1,
            _ => return None,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").map(|q| q.parse().unwrap_or(0.0)));
        Some((specific, quality.unwrap_or(1.0)))
    });
    ranges.max_by_key(|(specific, _)| *specific).map_or(0.0, |(_, quality)| quality)
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

pub(crate) fn of_path_operations(schemas: &mut SchemaGenerator) -> [Operation; 2] {
    let operation =
        |path: &str, id: &str, summary: &str| Operation::of(&EVENT_TRACKER_PATH, id, summary).with("{*path}", path);
    let unique = operation("unique", "listEventTrackerNames", "Event Tracker: all names of all time, largest first")
        .answers_with::<EventTrackerRows<EventTrackerName<'_>>>(schemas, StatusCode::OK, "The counts.");
    let histogram = operation(
        "histogram/{name}/{date}",
        "eventTrackerHistogram",
        "Event Tracker: the hours of a day (UTC) as a bar chart, of one name",
    )
    .about("`Accept` chooses between a PNG (the default), a JPEG, and the numbers as JSON.")
    .takes([
        Parameter::path("name", "The name. It may contain slashes, sent as they are.", text()),
        Parameter::path("date", "The day.", schemas.subschema_for::<DayInput>()),
    ]);
    let numbers = schemas.subschema_for::<Envelope<Histogram<'_>>>();
    let pictures = ["image/png", "image/jpeg"].map(|picture| (picture, json_schema!({})));
    [unique, answers_cached(histogram, pictures.into_iter().chain([(JSON, numbers)]).collect())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_of_accept_tells_how_much_a_format_is_wanted() {
        let (png, jpeg) = ("image/png", "image/jpeg");
        for (accept, expected) in [
            ("", png),
            ("*/*", png),
            ("image/*", png),
            ("image/jpeg", jpeg),
            ("IMAGE/JPG", jpeg),
            ("application/json", "application/json"),
            ("application/json, text/plain, */*", png),
            ("application/json, */*;q=0.5", "application/json"),
            ("image/avif,image/webp,image/*,*/*;q=0.8", png),
            ("image/png;q=0, image/*;q=0.4, application/json;q=0.3", jpeg),
            ("image/png; q=0.5, image/jpeg; q=0.9", jpeg),
            ("text/html", png),
            ("image/jpeg;q=much", png),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(preferred(&headers).media_type(), expected, "{accept}");
        }
        let several = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("image/png;q=0.1")),
            (ACCEPT, HeaderValue::from_static("image/jpeg")),
        ]);
        assert_eq!(preferred(&several).media_type(), jpeg);
    }
}
