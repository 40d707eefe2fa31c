//! `GET /apps/{app}/histogram` and `/apps/{app}/histogram/{name}/{file}`

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use ring::digest::{SHA256, digest};
use schemars::JsonSchema;
use serde::Serialize;
use tally::app::App;
use tally::auth::key::hex;
use tally::backend::Backend;
use tally::calendar::Interval;
use tally::http::access::Target;
use tally::http::problem::Problem;
use tally::http::query::Params;
use tally::http::service::Shared;
use tally::time::{Range, Timestamp};

use crate::answer::{Point, Standing, boundaries, count, read_filter, read_zone};
use crate::chart::{Chart, Picture, grouped};

/// The size of a picture where nothing else is said.
pub(crate) const DEFAULT_SIZE: (u64, u64) = (800, 400);
/// The least and the largest width and height.
pub(crate) const SIZES: (u64, u64) = (200, 2_000);
/// How long a day that is over and counted may be kept by who asked, in seconds. Late events may still change it.
const KEEP: u32 = 3_600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
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

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Picture(Picture::Png) => "image/png",
            Self::Picture(Picture::Jpeg) => "image/jpeg",
            Self::Picture(Picture::Svg) => "image/svg+xml",
        }
    }
}

pub(crate) async fn histogram(
    State(backend): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut params = Params::parse(query.as_deref());
    let date = params.text("date");
    let format = params.text("format");
    answer(backend, app, params, None, date, format, &headers).await
}

/// A last segment of `{date}.{format}`, all before it the name.
pub(crate) async fn histogram_file(
    State(backend): Shared,
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
    answer(backend, app, Params::parse(query.as_deref()), Some(name), Some(date), Some(format), &headers).await
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
    standing: Standing,
}

async fn answer(
    backend: Arc<Backend>,
    app: Arc<App>,
    mut params: Params,
    name: Option<String>,
    date: Option<String>,
    format: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let now = backend.clock.now();
    let mut filter = read_filter(&mut params);
    if name.is_some() && filter.name.is_some() {
        params.add("name", "stands in the path already: send it once");
    }
    filter.name = name.or(filter.name);
    let zone = read_zone(&mut params);
    let mut size = |name: &str, default: u64| {
        let size = params.number(name, SIZES.0, SIZES.1).unwrap_or(default);
        u32::try_from(size).unwrap_or(u32::MAX)
    };
    let (width, height) = (size("width", DEFAULT_SIZE.0), size("height", DEFAULT_SIZE.1));
    let format = format.map_or(Some(Format::Picture(Picture::Png)), |format| Format::of(&format));
    if format.is_none() {
        params.add("format", "must be png, jpg, svg or json");
    }
    let day = date.and_then(|text| zone.read_date(&text, now).ok()).filter(|day| day.year() >= 1970);
    let range = day.and_then(|day| {
        let next = day.tomorrow().ok()?;
        Range::new(zone.start_of_day(day).ok()?, zone.start_of_day(next).ok()?).ok()
    });
    if range.is_none() {
        params.add("date", "send a day from 1970 on as YYYYMMDD or YYYY-MM-DD, or `today`");
    }
    params.finish()?;
    let (Some(format), Some(range), Some(day)) = (format, range, day) else {
        return Err(Problem::Internal("a histogram without a day passed its checks".to_owned()));
    };
    // A day has at most 25 hours.
    let starts = Interval::Hour.starts(range, &zone).map_err(|e| Problem::Internal(e.to_string()))?;
    let (counts, counted_to) = count(&backend, &app, boundaries(&starts, range), &filter).await?;
    let hours: Vec<_> = starts.into_iter().zip(counts.by_slot(25)).collect();
    let body = match format {
        Format::Json => {
            let reply = Reply {
                name: filter.name.as_deref(),
                date: day.to_string(),
                tz: zone.name(),
                total: counts.total(),
                series: hours.iter().map(|(at, count)| Point { bucket_start: *at, count: *count }).collect(),
                standing: Standing::new(&counts, counted_to),
            };
            serde_json::to_vec(&reply).map_err(|e| Problem::Internal(e.to_string()))?
        }
        Format::Picture(picture) => {
            let name = filter.name.as_deref().unwrap_or("all events");
            let title = format!("{name}, {day}: {} in all", grouped(counts.total()));
            let axis = format!("hour of the day ({})", zone.name());
            let bars: Vec<_> = hours.iter().map(|(at, count)| (zone.hour(*at).to_string(), *count)).collect();
            let chart = Chart { title: &title, axis: &axis, bars: &bars, width, height };
            chart.draw(picture).map_err(|e| Problem::Internal(e.to_string()))?
        }
    };
    Ok(cached(format, body, range.until() <= counted_to, counted_to, headers))
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
