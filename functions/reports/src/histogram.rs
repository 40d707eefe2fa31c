//! `GET /apps/{app}/histogram` and `/apps/{app}/histogram/{name}/{file}`

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use ring::digest::{SHA256, digest};
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::App;
use tally_core::app::key::hex;
use tally_core::event::filter::CellFilter;
use tally_core::time::calendar::Interval;
use tally_core::time::zone::Zone;
use tally_core::time::{Range, Timestamp};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::Problem;
use tally_http::runtime::Shared;
use tally_service::context::Context;
use tally_service::report::count::Counts;

use crate::answer::{Freshness, Point, boundaries, count, read_filter, read_zone};
use crate::chart::{Chart, Picture, grouped};

/// The size of a picture where nothing else is said.
pub(crate) const DEFAULT_SIZE: (u32, u32) = (800, 400);
/// The least and the largest width and height.
pub(crate) const SIZES: (u64, u64) = (200, 2_000);
/// How long a day that is over and counted may be kept by who asked, in seconds. Late events may still change it.
const KEEP: u32 = 3_600;

/// What a histogram is answered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Picture(Picture),
}

impl Format {
    fn of(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "png" => Self::Picture(Picture::Png),
            "jpg" | "jpeg" => Self::Picture(Picture::Jpeg),
            "svg" => Self::Picture(Picture::Svg),
            "json" => Self::Json,
            _ => return None,
        })
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Picture(Picture::Png) => "image/png",
            Self::Picture(Picture::Jpeg) => "image/jpeg",
            Self::Picture(Picture::Svg) => "image/svg+xml",
        }
    }
}

pub(crate) async fn histogram(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut params = Params::parse(query.as_deref());
    let date = params.text("date");
    let format = params.text("format");
    answer(context, app, params, None, date, format, &headers).await
}

/// A last segment of `{date}.{format}`, all before it the name.
pub(crate) async fn histogram_file(
    State(context): Shared,
    Target(app): Target,
    Path((_, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let file = path.rsplit_once('/').and_then(|(name, file)| Some((name, file.rsplit_once('.')?)));
    let Some((name, (date, format))) = file else {
        return Err(Problem::NotFound("ask for histogram/NAME/DATE.png, .jpg, .svg or .json".to_owned()));
    };
    let (name, date, format) = (name.to_owned(), date.to_owned(), format.to_owned());
    answer(context, app, Params::parse(query.as_deref()), Some(name), Some(date), Some(format), &headers).await
}

/// The hours of a day.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Histogram")]
pub(crate) struct Reply<'a> {
    name: Option<&'a str>,
    date: String,
    tz: &'a str,
    total: i64,
    series: Vec<Point>,
    #[serde(flatten)]
    freshness: Freshness,
}

async fn answer(
    context: Arc<Context>,
    app: Arc<App>,
    mut params: Params,
    name: Option<String>,
    date: Option<String>,
    format: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let mut filter = read_filter(&mut params);
    if name.is_some() && filter.name.is_some() {
        params.add("name", "stands in the path already: send it once");
    }
    filter.name = name.or(filter.name);
    let zone = read_zone(&mut params);
    let mut size = |name: &str, default: u32| {
        let size = params.number(name, SIZES.0, SIZES.1).and_then(|size| u32::try_from(size).ok());
        size.unwrap_or(default)
    };
    let size = (size("width", DEFAULT_SIZE.0), size("height", DEFAULT_SIZE.1));
    let format = format.map_or(Some(Format::Picture(Picture::Png)), |format| Format::of(&format));
    if format.is_none() {
        params.add("format", "must be png, jpg, svg or json");
    }
    let day = Day::read(date.as_deref(), filter, zone, context.clock.now());
    let day = params.keep("date", day);
    params.finish()?;
    let (Some(format), Some(day)) = (format, day) else {
        return Err(Problem::Internal("a histogram without a day passed its checks".to_owned()));
    };
    let counted = day.count(&context, &app).await?;
    let body = match format {
        Format::Json => body_of(&counted.numbers())?,
        Format::Picture(picture) => counted.draw(picture, size)?,
    };
    Ok(counted.answer(format, body, headers))
}

/// The body of a reply in JSON.
pub(crate) fn body_of(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|e| Problem::Internal(e.to_string()))
}

/// A day whose hours are asked for.
pub(crate) struct Day {
    filter: CellFilter,
    zone: Zone,
    date: jiff::civil::Date,
    range: Range,
}

/// Not a day.
#[derive(Debug, thiserror::Error)]
#[error("send a day from 1970 on as YYYYMMDD or YYYY-MM-DD, or `today`")]
pub(crate) struct DayError;

impl Day {
    /// Reads a day.
    pub(crate) fn read(date: Option<&str>, filter: CellFilter, zone: Zone, now: Timestamp) -> Result<Self, DayError> {
        let date = date.and_then(|text| zone.read_date(text, now).ok()).filter(|date| date.year() >= 1970);
        let date = date.ok_or(DayError)?;
        let bounds = date.tomorrow().ok().and_then(|next| {
            let (since, until) = (zone.start_of_day(date).ok()?, zone.start_of_day(next).ok()?);
            Range::new(since, until).ok()
        });
        Ok(Self { filter, date, range: bounds.ok_or(DayError)?, zone })
    }

    /// Counts its hours.
    pub(crate) async fn count(&self, context: &Context, app: &App) -> Result<CountedDay<'_>, Problem> {
        // A day has at most 25 hours.
        let starts = Interval::Hour.starts(self.range, &self.zone).map_err(|e| Problem::Internal(e.to_string()))?;
        let (counts, counted_to) = count(context, app, boundaries(&starts, self.range), &self.filter).await?;
        let hours = starts.into_iter().zip(counts.by_slot(25)).collect();
        Ok(CountedDay { day: self, hours, counts, counted_to })
    }
}

/// A day with what its hours count.
pub(crate) struct CountedDay<'a> {
    day: &'a Day,
    hours: Vec<(Timestamp, i64)>,
    counts: Counts,
    counted_to: Timestamp,
}

impl CountedDay<'_> {
    /// In numbers.
    pub(crate) fn numbers(&self) -> Reply<'_> {
        Reply {
            name: self.day.filter.name.as_deref(),
            date: self.day.date.to_string(),
            tz: self.day.zone.name(),
            total: self.counts.total(),
            series: self.hours.iter().map(|(at, count)| Point { bucket_start: *at, count: *count }).collect(),
            freshness: Freshness::new(&self.counts, self.counted_to),
        }
    }

    /// As a picture of a width and height.
    pub(crate) fn draw(&self, picture: Picture, (width, height): (u32, u32)) -> Result<Vec<u8>, Problem> {
        let Day { filter, zone, date, .. } = self.day;
        let name = filter.name.as_deref().unwrap_or("all events");
        let title = format!("{name}, {date}: {} in all", grouped(self.counts.total()));
        let axis = format!("hour of the day ({})", zone.name());
        let bars: Vec<_> = self.hours.iter().map(|(at, count)| (zone.hour(*at).to_string(), *count)).collect();
        let chart = Chart { title: &title, axis: &axis, bars: &bars, width, height };
        chart.draw(picture).map_err(|e| Problem::Internal(e.to_string()))
    }

    /// The reply with a body made of it.
    pub(crate) fn answer(&self, format: Format, body: Vec<u8>, headers: &HeaderMap) -> Response {
        cached(format, body, self.day.range.until() <= self.counted_to, self.counted_to, headers)
    }
}

/// A reply that who asked may keep: for a while where the day is over and counted, else to ask whether it changed.
fn cached(format: Format, body: Vec<u8>, closed: bool, counted_to: Timestamp, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex(&digest(&SHA256, &body).as_ref()[..16]));
    let known = headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let unchanged = known.is_some_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == tag));
    let cache = if closed { format!("private, max-age={KEEP}") } else { "private, no-cache".to_owned() };
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (StatusCode::OK, [(CONTENT_TYPE, format.media_type())], body).into_response()
    };
    let reply = response.headers_mut();
    for (name, value) in [(ETAG, tag), (CACHE_CONTROL, cache)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            reply.insert(name, value);
        }
    }
    if let Ok(counted_to) = HeaderValue::from_str(&counted_to.to_string()) {
        reply.insert("tally-counted-to", counted_to);
    }
    response
}
