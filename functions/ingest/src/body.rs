//! The body of a batch: decompressed, within its limits, split into events, and each of them read.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Kind};
use tally_core::invalid::Invalid;
use tally_http::body::invalid;
use tally_http::problem::Problem;

use crate::draft;

/// Most bytes of a body as it is sent.
pub(crate) const MAX_SENT: usize = 4 * 1024 * 1024;
/// Most bytes of a body once it is decompressed.
pub(crate) const MAX_DECODED: usize = 16 * 1024 * 1024;
/// Most events in one request.
pub(crate) const MAX_EVENTS: usize = 1_000;
/// The largest window of zstd that is accepted, as a power of two: 8 MB, what every decoder must hold (RFC 8878), so
/// that a frame cannot ask for more memory than that.
const ZSTD_WINDOW: u32 = 23;

/// The events of a body, each read, or why it cannot be.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// One event to 1,000.
    pub drafts: Vec<Result<Draft, Invalid>>,
    /// Whether it is one event by itself, and no list.
    pub alone: bool,
}

/// Reads a body by its headers: one event, a list of them, or NDJSON; compressed or not.
///
/// # Errors
/// Where it is none of these, too large once decompressed, or a list of none or too many.
pub fn read(headers: &HeaderMap, sent: Bytes) -> Result<Sent, Problem> {
    let body = decompress(headers, sent)?;
    Ok(match split(headers, &body)? {
        Raw::One(event) => Sent { drafts: vec![draft::read(event)], alone: true },
        Raw::Many(events) => {
            Sent { drafts: events.into_iter().map(|event| draft::read(event?)).collect(), alone: false }
        }
    })
}

/// The events of a body, each raw, or why it cannot be read.
pub(crate) enum Raw<'a> {
    One(&'a RawValue),
    Many(Vec<Result<&'a RawValue, Invalid>>),
}

/// Undoes the compression of a body. `Content-Encoding` tells it, or the content type: HTTP API hands a body of
/// `application/json` to Lambda as text, which breaks one that is compressed.
pub(crate) fn decompress(headers: &HeaderMap, sent: Bytes) -> Result<Bytes, Problem> {
    let encoding = headers.get(CONTENT_ENCODING).map_or(Ok(""), |e| e.to_str());
    let encoding = encoding.map(|e| e.trim().to_ascii_lowercase());
    let encoding = match (encoding.as_deref(), media_type(headers).as_str()) {
        (Ok("" | "identity"), "application/gzip" | "application/x-gzip") => Ok("gzip"),
        (Ok("" | "identity"), "application/zstd") => Ok("zstd"),
        (Ok("" | "identity"), "application/octet-stream") if sent.starts_with(GZIP) => Ok("gzip"),
        (Ok("" | "identity"), "application/octet-stream") if sent.starts_with(ZSTD) => Ok("zstd"),
        (encoding, _) => encoding,
    };
    match encoding {
        Ok("" | "identity") => Ok(sent),
        Ok("gzip" | "x-gzip") if !sent.starts_with(GZIP) => Err(damaged("gzip")),
        Ok("zstd") if !sent.starts_with(ZSTD) => Err(damaged("zstd")),
        Ok("gzip" | "x-gzip") => read_all("gzip", MultiGzDecoder::new(&*sent)),
        Ok("zstd") => {
            let unreadable = |_| damaged("zstd");
            let mut decoder = zstd::Decoder::with_buffer(&*sent).map_err(unreadable)?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(unreadable)?;
            read_all("zstd", decoder)
        }
        _ => Err(Problem::UnsupportedMediaType(
            "the content encoding is not supported: send gzip, zstd or none".to_owned(),
        )),
    }
}

fn read_all(encoding: &str, decoder: impl Read) -> Result<Bytes, Problem> {
    let mut decoded = Vec::new();
    decoder.take(MAX_DECODED as u64 + 1).read_to_end(&mut decoded).map_err(|_| damaged(encoding))?;
    if decoded.len() > MAX_DECODED {
        return Err(Problem::TooLarge(format!(
            "the body is larger than {MAX_DECODED} bytes once decompressed: send fewer events at once"
        )));
    }
    Ok(decoded.into())
}

fn damaged(encoding: &str) -> Problem {
    let detail = format!(
        "the body is not valid {encoding}, as its headers say it is. Where a gateway treats JSON as text, send it with the \
         content type application/{encoding}"
    );
    Problem::field("", detail)
}

/// How a body begins that is compressed with gzip.
const GZIP: &[u8] = b"\x1f\x8b";
/// How a body begins that is compressed with zstd.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// The content type of a body without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let media_type = headers.get(CONTENT_TYPE).map_or(Ok(""), |t| t.to_str()).unwrap_or("?");
    media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// Splits a decompressed body into its events.
pub(crate) fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Raw<'a>, Problem> {
    let sent = match media_type(headers).as_str() {
        // curl sends the type of forms unless it is told another.
        ""
        | "application/json"
        | "text/plain"
        | "application/x-www-form-urlencoded"
        | "application/octet-stream"
        | "application/gzip"
        | "application/x-gzip"
        | "application/zstd" => of_json(body)?,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => of_lines(body)?,
        _ => {
            return Err(Problem::UnsupportedMediaType(
                "the content type is not supported: send application/json or application/x-ndjson, or compressed \
                 application/gzip or application/zstd"
                    .to_owned(),
            ));
        }
    };
    match &sent {
        Raw::Many(events) if events.is_empty() => {
            Err(Problem::field("", "the batch is empty: send at least one event"))
        }
        _ => Ok(sent),
    }
}

fn of_json(body: &[u8]) -> Result<Raw<'_>, Problem> {
    let document = match json::document(body) {
        Ok(document) => document,
        Err(_) if is_lines(body) => return of_lines(body),
        Err(error) => return Err(invalid(error).into()),
    };
    match json::kind(document) {
        Kind::Object => Ok(Raw::One(document)),
        Kind::Array => {
            let (events, count) = json::array_of_at_most(document, MAX_EVENTS).map_err(invalid)?;
            at_most(count)?;
            Ok(Raw::Many(events.into_iter().map(Ok).collect()))
        }
        _ => Err(Problem::field("", "send one event as a JSON object, or a list of them")),
    }
}

/// The lines of a body that are not empty.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

/// Whether a body is NDJSON that does not say so: several lines, the first of them a whole event. JSON is never that.
fn is_lines(body: &[u8]) -> bool {
    let mut lines = lines(body);
    let first = lines.next().is_some_and(|line| json::document(line).is_ok_and(|raw| json::kind(raw) == Kind::Object));
    first && lines.next().is_some()
}

fn of_lines(body: &[u8]) -> Result<Raw<'_>, Problem> {
    let lines = || lines(body);
    // Counted first: a body of nothing but short lines would take far more memory than it has bytes.
    at_most(lines().count())?;
    Ok(Raw::Many(lines().map(|line| json::document(line).map_err(invalid)).collect()))
}

fn at_most(count: usize) -> Result<(), Problem> {
    if count > MAX_EVENTS {
        return Err(Problem::TooLarge(format!("{count} events: send at most {MAX_EVENTS} at once")));
    }
    Ok(())
}
