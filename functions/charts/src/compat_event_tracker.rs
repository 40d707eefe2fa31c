//! Event Tracker's `GET api/events/histogram/{EVENT}/{YYYYMMDD}`; see [`tally_http::compat::event_tracker`].

use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{ACCEPT, VARY};
use http::{HeaderMap, HeaderValue};
use schemars::{SchemaGenerator, json_schema};
use tally_core::event::filter::CellFilter;
use tally_core::time::zone::Zone;
use tally_http::compat::event_tracker::{Envelope, no_such_path};
use tally_http::guard::Target;
use tally_http::openapi::{DayInput, JSON, Operation, Parameter, text};
use tally_http::problem::Problem;
use tally_http::routes::EVENT_TRACKER_HISTOGRAM;
use tally_http::service::Shared;
use tally_http::view::DEFAULT_SIZE;

use crate::chart::Picture;
use crate::histogram::{Day, Format, Histogram, answers_cached, body_of};

pub(crate) async fn histogram(
    State(context): Shared,
    Target(app): Target,
    Path((_, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (name, date) = path.rsplit_once('/').filter(|(name, _)| !name.is_empty()).ok_or_else(no_such_path)?;
    let filter = CellFilter::of_name(name);
    let zone = Zone::utc();
    let day = Day::new(zone.read_date(date, context.clock.now()).ok(), filter, zone);
    let day = day.map_err(|e| Problem::field("date", e.to_string()))?;
    let counted = day.count(&context, &app).await?;
    let format = preferred(&headers);
    let body = match format {
        Format::Json => body_of(&Envelope::of(counted.numbers()))?,
        Format::Picture(picture) => counted.draw(picture, DEFAULT_SIZE)?,
    };
    let mut reply = counted.answer(format, body, &headers);
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

pub(crate) fn histogram_operation(schemas: &mut SchemaGenerator) -> Operation {
    let summary = "Event Tracker: the hours of a day (UTC) as a bar chart, of one name";
    let operation = Operation::of(&EVENT_TRACKER_HISTOGRAM, "eventTrackerHistogram", summary)
        .with("{*path}", "{name}/{date}")
        .about("`Accept` chooses between a PNG (the default), a JPEG, and the numbers as JSON.")
        .takes([
            Parameter::path("name", "The name. It may contain slashes, sent as they are.", text()),
            Parameter::path("date", "The day.", schemas.subschema_for::<DayInput>()),
        ]);
    let numbers = schemas.subschema_for::<Envelope<Histogram<'_>>>();
    let pictures = ["image/png", "image/jpeg"].map(|picture| (picture, json_schema!({})));
    answers_cached(operation, pictures.into_iter().chain([(JSON, numbers)]).collect())
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
