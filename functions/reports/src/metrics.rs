//! `GET /apps/{app}/metrics`: the counts of today for Prometheus, by name and level.

use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, StatusCode};
use schemars::SchemaGenerator;
use tally_core::event::filter::EventFilter;
use tally_core::event::level::Level;
use tally_core::time::moment::{Calendar, Span};
use tally_http::counts::count;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, ReplyDescription, text};
use tally_http::parameters::{FromQuery, Params, calendar, event_filters};
use tally_http::problem::Problem;
use tally_http::routes::METRICS;
use tally_http::service::Shared;
use tally_service::report::by_group::range_of;
use tally_service::report::count::largest_first;

use crate::overview::NO_LEVEL;

/// Most pairs of a name and a level. Prometheus keeps a series of each.
const MAX_SERIES: usize = 2_000;
/// The media type that a scraper of today asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// That of Prometheus's older format, which reads this text too.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn metrics(
    State(context): Shared,
    Target(app): Target,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let (filter, day) = params.read(|params| {
        let (filter, calendar) = (EventFilter::read(params, now), Calendar::read(params, now)?);
        let day = params.keep("tz", calendar.span(Span::Today));
        filter.zip(day)
    })?;
    // All of the day, as a report of it: events may have times ahead.
    let range = range_of(&app, day, &filter, now);
    let boundaries = vec![range.since(), range.until()];
    let (counts, counted_to) = count(&context.reads(), &app, boundaries, &filter, true, "tz").await?;
    let series = largest_first(counts.by(|cell| (cell.name(), cell.level())));

    let mut page = Page { text: String::new(), app: app.slug.as_str() };
    page.family(
        "tally_events",
        "Occurrences since the start of the day. They fall at midnight, and where events are erased.",
    );
    for ((name, level), count) in series.iter().take(MAX_SERIES) {
        page.sample("tally_events", &[("name", name), ("level", level.map_or(NO_LEVEL, Level::as_str))], *count);
    }
    let left_out: i64 = series.iter().skip(MAX_SERIES).map(|(_, count)| count).sum();
    page.family("tally_events_left_out", "Occurrences since the start of the day of names that have no series here.");
    page.sample("tally_events_left_out", &[], left_out);
    page.family("tally_complete", "1, or 0 where the counts may lack some, or do not know all names.");
    page.sample("tally_complete", &[], counts.names_complete());
    page.family("tally_day_start_timestamp_seconds", "The start of the day.");
    page.sample("tally_day_start_timestamp_seconds", &[], counts.range.since().micros() / 1_000_000);
    page.family("tally_counted_to_timestamp_seconds", "Everything that was accepted before this time is counted.");
    page.sample("tally_counted_to_timestamp_seconds", &[], counted_to.micros() / 1_000_000);
    page.text.push_str("# EOF\n");

    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let is_open = accepted.any(|accept| accept.contains("application/openmetrics-text"));
    let kind = if is_open { OPEN_METRICS } else { PROMETHEUS };
    Ok((StatusCode::OK, [(CONTENT_TYPE, kind), (VARY, "accept")], Body::from(page.text)).into_response())
}

/// A page of metrics.
struct Page<'a> {
    text: String,
    app: &'a str,
}

impl Page<'_> {
    /// Begins the samples of a gauge.
    fn family(&mut self, name: &str, help: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.text, "# TYPE {name} gauge\n# HELP {name} {help}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Into<i64>) {
        let _ = write!(self.text, "{name}{{app=\"{}\"", escaped(self.app));
        for (label, text) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.text, "}} {}", value.into());
    }
}

/// The value of a label, as both formats take it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&METRICS, "readMetrics", "The counts of today, for Prometheus")
        .about(format!(
            "Gauges in the format OpenMetrics 1.0: `tally_events{{app, name, level}}` since the start of the day of `tz`, of the \
             {MAX_SERIES} largest pairs of name and level, `tally_events_left_out` of all others, and how complete and fresh these are. \
             A scrape costs what a report of a day costs. Counters fall at the start of a day and where events are erased, so they \
             are gauges: `increase()` does not apply to them."
        ))
        .takes(calendar())
        .takes(event_filters(schemas))
        .replies(ReplyDescription {
            status: StatusCode::OK,
            about: "The metrics; in the older text format of Prometheus where `Accept` does not name OpenMetrics.",
            content: vec![("application/openmetrics-text", text()), ("text/plain", text())],
            headers: vec![],
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_line_or_its_quotes() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
