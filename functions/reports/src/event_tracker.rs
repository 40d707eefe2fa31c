//! What Event Tracker is asked: `GET /event-tracker/{key}/api/events…`; see [`tally_http::compat::event_tracker`].

use std::collections::HashMap;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::header::{ACCEPT, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, Range};
use tally_http::compat::event_tracker::{Envelope, day_or_hour};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::context::Context;

use crate::answer::largest_first;
use crate::chart::Picture;
use crate::histogram::{DEFAULT_SIZE, Day, Format, body_of};
use crate::statistics::{by_day, hours_of, rows};

/// A name in an hour, and how often.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTrackerHour")]
pub(crate) struct HourRow {
    /// `YYYYMMDDHH`, in UTC.
    date: String,
    event: String,
    count: i64,
}

/// A name, and how often it ever happened.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTrackerName")]
pub(crate) struct NameRow {
    event: String,
    count: i64,
}

/// A list as Event Tracker sends it: of lists of one row each.
pub(crate) type Rows<T> = Envelope<Vec<[T; 1]>>;

pub(crate) async fn hours(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut params = Params::lenient(query.as_deref());
    let range = read_range(&mut params);
    params.check()?;
    let Some(range) = range else {
        return Err(Problem::Internal("a list without a range passed its checks".to_owned()));
    };
    let (range, starts) = if let Ok(starts) = hours_of(range) {
        (range, starts)
    } else {
        let range = with_events(&context, &app, range).await?;
        (range, hours_of(range).map_err(|e| Problem::field("start_date", e.to_string()))?)
    };
    let (mut rows, _) = rows(&context, &app, &starts, range, &CellFilter::default(), "start_date").await?;
    rows.sort_by(|a, b| (&a.name, &a.date).cmp(&(&b.name, &b.date)));
    let rows = rows.into_iter().map(|row| [HourRow { date: row.date, event: row.name, count: row.count }]);
    json(StatusCode::OK, &Rows::of(rows.collect()))
}

/// From the start of one day, or hour, to the end of another.
fn read_range(params: &mut Params) -> Option<Range> {
    let mut bound = |name: &str| {
        let read = match params.text(name) {
            Some(text) => {
                day_or_hour(&text).map_err(|_| "must be a day from 1970 on (YYYYMMDD), or an hour (YYYYMMDDHH)")
            }
            None => Err("missing: send a day (YYYYMMDD), or an hour (YYYYMMDDHH)"),
        };
        params.keep(name, read)
    };
    let (start, end) = (bound("start_date"), bound("end_date"));
    let range = Range::new(start?.0, end?.1).ok().filter(|range| !range.is_empty());
    let range = range.ok_or("must not be after `end_date`");
    params.keep("start_date", range)
}

/// What lies between the first and the last day that have events.
async fn with_events(context: &Context, app: &App, range: Range) -> Result<Range, Problem> {
    let (days, _) = by_day(context, app, &CellFilter::default()).await?;
    let days = || days.keys().map(|(day, _)| *day);
    let of_events = days().min().zip(days().max()).and_then(|(first, last)| Range::new(first, last + DAY).ok());
    Ok(range.intersect(of_events.unwrap_or(Range::EMPTY)))
}

/// What a path past `events/` asks for.
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
    Err(Problem::NotFound(format!("there is nothing to read here: ask for {all}")))
}

async fn unique(context: &Context, app: &App) -> Result<Response, Problem> {
    let (days, _) = by_day(context, app, &CellFilter::default()).await?;
    let mut sums: HashMap<&str, i64> = HashMap::new();
    for ((_, cell), count) in &days {
        *sums.entry(cell.name()).or_default() += count;
    }
    sums.retain(|_, count| *count != 0);
    let rows = largest_first(sums).into_iter().map(|(name, count)| [NameRow { event: name.to_owned(), count }]);
    json(StatusCode::OK, &Rows::of(rows.collect()))
}

async fn histogram(
    context: &Context,
    app: &App,
    name: &str,
    date: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let filter = CellFilter { name: Some(name.to_owned()), ..CellFilter::default() };
    let day = Day::read(Some(date), filter, Zone::utc(), context.clock.now());
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

/// What `Accept` prefers of a PNG, a JPEG and JSON; of what it likes as much the first, and the PNG where it wants none.
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

/// How much a list of media ranges wants a format, 0 to 1: the most specific range of it tells (RFC 9110, 12.5.1).
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

    #[test]
    fn both_days_are_taken_in_whole() {
        let read = |query: &str| {
            let mut params = Params::lenient(Some(query));
            let range = read_range(&mut params);
            params.check().map(|()| range.map(|range| format!("{} {}", range.since(), range.until())))
        };
        let whole = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read("start_date=2020091112&end_date=20200911"), whole("2020-09-11T12:00:00Z 2020-09-12T00:00:00Z"));
        assert_eq!(read("start_date=20200911&end_date=2020091100"), whole("2020-09-11T00:00:00Z 2020-09-11T01:00:00Z"));
        for (query, fields) in [
            ("", vec!["start_date", "end_date"]),
            ("start_date=2020091113&end_date=2020091111", vec!["start_date"]),
            ("start_date=yesterday&end_date=20200911&color=red", vec!["start_date"]),
        ] {
            let errors = read(query).expect_err(query).0;
            assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), fields, "{query}");
        }
    }
}
