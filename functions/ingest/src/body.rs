//! The body of a batch: decompressed, within its limits, split into events, and each of them read.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
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
    /// The text of each.
    pub texts: Vec<Bytes>,
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
        Raw::One(event) => {
            let texts = vec![body.slice_ref(event.get().as_bytes())];
            Sent { drafts: vec![draft::read(event)], texts, alone: true }
        }
        Raw::Many(events) => Sent {
            texts: events.iter().map(|(text, _)| body.slice_ref(text)).collect(),
            drafts: events.into_iter().map(|(_, event)| draft::read(event?)).collect(),
            alone: false,
        },
    })
}

/// The events of a body, each raw, or why it cannot be read.
pub(crate) enum Raw<'a> {
    One(&'a RawValue),
    /// Each with its text.
    Many(Vec<(&'a [u8], Result<&'a RawValue, Invalid>)>),
}

/// Undoes the `Content-Encoding` of a body.
pub(crate) fn decompress(headers: &HeaderMap, sent: Bytes) -> Result<Bytes, Problem> {
    let encoding = headers.get(CONTENT_ENCODING).map_or(Ok(""), |e| e.to_str());
    match encoding.map(|e| e.trim().to_ascii_lowercase()).as_deref() {
        Ok("" | "identity") => Ok(sent),
        Ok("gzip" | "x-gzip") => read_all("gzip", MultiGzDecoder::new(&*sent)),
        Ok("zstd") => zstd(&sent),
        _ => Err(Problem::UnsupportedMediaType(
            "the content encoding is not supported: send gzip, zstd or none".to_owned(),
        )),
    }
}

/// Undoes the compression of a body of a client library: by its first bytes, since its headers may be wrong.
pub(crate) fn unpack(headers: &HeaderMap, sent: Bytes) -> Result<Bytes, Problem> {
    match *sent {
        [0x1f, 0x8b, ..] => read_all("gzip", MultiGzDecoder::new(&*sent)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd(&sent),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => read_all("deflate", ZlibDecoder::new(&*sent)),
        _ if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "br") => {
            Err(Problem::UnsupportedMediaType(
                "brotli is not supported: send gzip, deflate, zstd or no compression".to_owned(),
            ))
        }
        _ => Ok(sent),
    }
}

fn zstd(sent: &[u8]) -> Result<Bytes, Problem> {
    let unreadable = |_| damaged("zstd");
    let mut decoder = zstd::Decoder::with_buffer(sent).map_err(unreadable)?;
    decoder.window_log_max(ZSTD_WINDOW).map_err(unreadable)?;
    read_all("zstd", decoder)
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
    Problem::field("", format!("the body is not valid {encoding}, as Content-Encoding says it is"))
}

/// Splits a decompressed body into its events.
pub(crate) fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Raw<'a>, Problem> {
    let media_type = headers.get(CONTENT_TYPE).map_or(Ok(""), |t| t.to_str()).unwrap_or("?");
    let media_type = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let sent = match media_type.as_str() {
        // curl's `-d` sends this content type unless it is told another.
        "" | "application/json" | "text/plain" | "application/x-www-form-urlencoded" => of_json(body)?,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => of_lines(body)?,
        _ => {
            return Err(Problem::UnsupportedMediaType(
                "the content type is not supported: send application/json or application/x-ndjson".to_owned(),
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
    let document = json::document(body).map_err(invalid)?;
    match json::kind(document) {
        Kind::Object => Ok(Raw::One(document)),
        Kind::Array => {
            let (events, count) = json::array_of_at_most(document, MAX_EVENTS).map_err(invalid)?;
            at_most(count)?;
            Ok(Raw::Many(events.into_iter().map(|event| (event.get().as_bytes(), Ok(event))).collect()))
        }
        _ => Err(Problem::field("", "send one event as a JSON object, or a list of them")),
    }
}

fn of_lines(body: &[u8]) -> Result<Raw<'_>, Problem> {
    let lines = || body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    // Counted first: a body of nothing but short lines would take far more memory than it has bytes.
    at_most(lines().count())?;
    Ok(Raw::Many(lines().map(|line| (line, json::document(line).map_err(invalid))).collect()))
}

fn at_most(count: usize) -> Result<(), Problem> {
    if count > MAX_EVENTS {
        return Err(Problem::TooLarge(format!("{count} events: send at most {MAX_EVENTS} at once")));
    }
    Ok(())
}
