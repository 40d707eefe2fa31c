//! `GET /apps/{app}/histogram` and `…/histogram/{name}/{file}`

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tally_core::app::App;
use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::event::filter::CellFilter;
use tally_core::event::filter::values::Values;
use tally_core::time::calendar::Interval;
use tally_core::time::moment::Calendar;
use tally_core::time::zone::Zone;
use tally_core::time::{Range, Timestamp};
use tally_http::counts::{Freshness, Point, count};
use tally_http::guard::Target;
use tally_http::openapi::{JSON, Operation, Parameter, PastDayInput, ReplyDescription, number_or, one_of, text};
use tally_http::parameters::{FromQuery, Params, filters, zone};
use tally_http::problem::Problem;
use tally_http::routes::{HISTOGRAM, HISTOGRAM_FILE};
use tally_http::service::Shared;
use tally_http::view::{DEFAULT_SIZE, SIZES};
use tally_service::context::Context;
use tally_service::report::count::{Counts, boundaries};

use crate::chart::{Chart, Picture, Theme, grouped};

/// How long a client may cache a day that is over and counted, in seconds. Late events may still change it.
const CACHE_SECONDS: u32 = 3_600;

/// The format of a histogram.
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

/// The rest of the path, if there is any: `{name}/{date}.{format}`.
#[derive(Deserialize)]
pub(crate) struct File {
    path: Option<String>,
}

pub(crate) async fn histogram(
    State(context): Shared,
    Target(app): Target,
    Path(File { path }): Path<File>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let named = path.as_deref().map(|path| {
        let file = path.rsplit_once('/').and_then(|(name, file)| Some((name, file.rsplit_once('.')?)));
        file.ok_or_else(|| Problem::NotFound("ask for histogram/NAME/DATE.png, .jpg, .svg or .json".to_owned()))
    });
    let (name, file) = named.transpose()?.unzip();
    let now = context.clock.now();
    let (day, format, size) = params.read(|params| {
        let (date, format) = match file {
            Some((date, format)) => (Some(date.to_owned()), Some(format.to_owned())),
            None => (params.text("date"), params.text("format")),
        };
        if name.is_some() && ["name", "name[ne]", "event", "event[ne]"].into_iter().any(|sent| params.was_sent(sent)) {
            params.add("name", "the path has it already: send it once");
        }
        let mut filter = CellFilter::read(params, now)?;
        if let Some(name) = name {
            // The key of the caller may have a filter of its own.
            filter.name = filter.name.and(Values::only(name.to_owned()));
        }
        let zone = Zone::read(params, now)?;
        let mut size = |name: &str, default: u32| params.number(name, SIZES.0, SIZES.1).unwrap_or(default);
        let size = (size("width", DEFAULT_SIZE.0), size("height", DEFAULT_SIZE.1));
        let format = format.map_or(Some(Format::Picture(Picture::Png)), |format| Format::of(&format));
        if format.is_none() {
            params.add("format", "must be png, jpg, svg or json");
        }
        let calendar = Calendar { zone, ..Calendar::utc(now) };
        let date = date.and_then(|text| calendar.read_day(&text).ok());
        let day = params.keep("date", Day::new(date, filter, calendar.zone));
        Some((day?, format?, size))
    })?;
    let counted = day.count(&context, &app).await?;
    let body = match format {
        Format::Json => body_of(&counted.numbers())?,
        Format::Picture(picture) => counted.draw(picture, size)?,
    };
    Ok(counted.answer(format, body, &headers))
}

/// The hours of a day.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Histogram<'a> {
    /// The name that is counted; null if it is not one alone.
    name: Option<&'a str>,
    date: String,
    tz: &'a str,
    total: i64,
    series: Vec<Point>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// The body of a reply in JSON.
pub(crate) fn body_of(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|e| Problem::Internal(e.to_string()))
}

/// A day to count by the hour.
pub(crate) struct Day {
    filter: CellFilter,
    zone: Zone,
    date: jiff::civil::Date,
    range: Range,
}

/// Not a day.
#[derive(Debug, thiserror::Error)]
#[error("send a day from 1970 on as YYYYMMDD or YYYY-MM-DD, `today` or `yesterday`")]
pub(crate) struct DayError;

impl Day {
    /// A day, if there is one.
    pub(crate) fn new(date: Option<jiff::civil::Date>, filter: CellFilter, zone: Zone) -> Result<Self, DayError> {
        let date = date.filter(|date| date.year() >= 1970).ok_or(DayError)?;
        let bounds = date.tomorrow().ok().and_then(|next| {
            let (since, until) = (zone.start_of_day(date).ok()?, zone.start_of_day(next).ok()?);
            Range::new(since, until).ok()
        });
        Ok(Self { filter, date, range: bounds.ok_or(DayError)?, zone })
    }

    /// Counts its hours.
    pub(crate) async fn count(&self, context: &Context, app: &App) -> Result<CountedDay<'_>, Problem> {
        let starts = Interval::Hour.starts(self.range, &self.zone).map_err(|e| Problem::Internal(e.to_string()))?;
        let boundaries = boundaries(&starts, self.range);
        let (counts, counted_to) =
            count(&context.reads(), app, boundaries, &self.filter.clone().into(), false, "date").await?;
        let by_hour = counts.by_slot(starts.len());
        let hours = starts.into_iter().zip(by_hour).collect();
        Ok(CountedDay { day: self, hours, counts, counted_to })
    }
}

/// A day with the counts of its hours.
pub(crate) struct CountedDay<'a> {
    day: &'a Day,
    hours: Vec<(Timestamp, i64)>,
    counts: Counts,
    counted_to: Timestamp,
}

impl CountedDay<'_> {
    /// The counts as numbers.
    pub(crate) fn numbers(&self) -> Histogram<'_> {
        Histogram {
            name: self.day.filter.name.single().map(String::as_str),
            date: self.day.date.to_string(),
            tz: self.day.zone.name(),
            total: self.counts.total(),
            series: self.hours.iter().map(|(at, count)| Point { bucket_start: *at, count: *count }).collect(),
            freshness: Freshness::of_sums(&self.counts, self.counted_to).widened(self.counts.range != self.day.range),
        }
    }

    /// The counts as a picture of a width and height.
    pub(crate) fn draw(&self, picture: Picture, (width, height): (u32, u32)) -> Result<Vec<u8>, Problem> {
        let Day { filter, zone, date, .. } = self.day;
        let name = match filter.name.listed() {
            Some(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            None if filter.name.is_any() => "all events".to_owned(),
            None => "other events".to_owned(),
        };
        let title = format!("{name}, {date}: {} in all", grouped(self.counts.total()));
        let axis = format!("hour of the day ({})", zone.name());
        let bars: Vec<_> = self.hours.iter().map(|(at, count)| (zone.hour(*at).to_string(), vec![*count])).collect();
        let theme = &Theme::LIGHT;
        let chart = Chart { title: &title, axis: &axis, bars: &bars, parts: &[theme.whole()], theme, width, height };
        chart.draw(picture).map_err(|e| Problem::Internal(e.to_string()))
    }

    /// The reply with a body that was made of it.
    pub(crate) fn answer(&self, format: Format, body: Vec<u8>, headers: &HeaderMap) -> Response {
        let closed = self.day.range.until() <= self.counted_to;
        let mut reply = cached(format, body, closed, (self.counted_to, self.counts.live_from), headers);
        if !self.counts.complete {
            reply.headers_mut().insert("tally-complete", HeaderValue::from_static("false"));
        }
        reply
    }
}

/// A reply that clients may cache: for a while if the day is over and counted, else to revalidate.
pub(crate) fn cached(
    format: Format,
    body: Vec<u8>,
    closed: bool,
    (counted_to, live_from): (Timestamp, Option<Timestamp>),
    headers: &HeaderMap,
) -> Response {
    let tag = format!("\"{}\"", hex(&sha256(&body)[..16]));
    let known = headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let unchanged = known.is_some_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == tag));
    let cache = if closed { format!("private, max-age={CACHE_SECONDS}") } else { "private, no-cache".to_owned() };
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
    if format == Format::Picture(Picture::Svg) {
        // Opened by itself, it is a document that could hold scripts.
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
        reply.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, at) in [("tally-counted-to", Some(counted_to)), ("tally-live-from", live_from)] {
        if let Some(at) = at.and_then(|at| HeaderValue::from_str(&at.to_string()).ok()) {
            reply.insert(name, at);
        }
    }
    response
}

pub(crate) fn histogram_operations(schemas: &mut SchemaGenerator) -> [Operation; 2] {
    let day = schemas.subschema_for::<PastDayInput>();
    let file = json_schema!({
        "type": "string",
        "pattern": r"^(today|yesterday|\d{4}-?\d{2}-?\d{2})\.(png|jpg|jpeg|svg|json)$",
        "examples": ["2026-11-21.png"],
    });
    let formats = one_of(&["png", "jpg", "jpeg", "svg", "json"]);
    let named = filters(schemas).into_iter().filter(|filter| !["name", "name[ne]", "event"].contains(&filter.name));
    let by_query = Operation::of(&HISTOGRAM, "histogram", "The hours of a day as a bar chart, of one name or of all")
        .takes([
            Parameter::query("date", "The day.", day).required(),
            Parameter::query("format", "The format of the picture, or `json` for the numbers.", formats),
        ])
        .takes(filters(schemas));
    let by_path = Operation::of(&HISTOGRAM_FILE, "histogramFile", "The hours of a day as a bar chart, of one name")
        .with("{*path}", "{name}/{file}")
        .takes([
            Parameter::path("name", "The name. It may contain slashes, sent as they are.", text()),
            Parameter::path("file", "The day, with the format as its extension.", file),
        ])
        .takes(named);
    [by_query, by_path].map(|operation| {
        let numbers = schemas.subschema_for::<Histogram<'_>>();
        let pixels = |default: u32| number_or(default.into(), SIZES.0, SIZES.1);
        let operation = operation.takes([
            zone(),
            Parameter::query("width", "In pixels.", pixels(DEFAULT_SIZE.0)),
            Parameter::query("height", "In pixels.", pixels(DEFAULT_SIZE.1)),
        ]);
        let pictures = ["image/png", "image/jpeg", "image/svg+xml"].map(|picture| (picture, json_schema!({})));
        answers_cached(operation, pictures.into_iter().chain([(JSON, numbers)]).collect())
    })
}

/// Answers with a chart that clients may cache.
pub(crate) fn answers_cached(operation: Operation, content: Vec<(&'static str, Schema)>) -> Operation {
    const HEADERS: [(&str, &str); 5] = [
        ("ETag", "Identifies this reply."),
        ("Cache-Control", "How long the reply may be cached."),
        ("Tally-Counted-To", "Everything that was accepted before this time is counted."),
        (
            "Tally-Live-From",
            "Everything that was accepted and happened from this time on is counted too; absent where everything comes from \
             counters.",
        ),
        ("Tally-Complete", "`false` where counts may be missing; otherwise absent."),
    ];
    let etag = json_schema!({"type": "string"});
    operation
        .takes([Parameter::header("If-None-Match", "The `ETag` of a cached reply.", etag)])
        .replies(ReplyDescription { status: StatusCode::OK, about: "The chart.", content, headers: HEADERS.to_vec() })
        .replies(ReplyDescription {
            status: StatusCode::NOT_MODIFIED,
            about: "The reply that `If-None-Match` names is current.",
            content: vec![],
            headers: HEADERS.to_vec(),
        })
}
