//! The body of a batch: decompressed, within its limits, split into events, and each of them read when it is needed.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json;
use tally_core::invalid::Invalid;
use tally_core::rejected::{MAX_SAMPLE, shortened};
use tally_http::body::invalid;
use tally_http::problem::Problem;
pub use tally_service::ingest::accept::Drafts;
use tally_service::ingest::rejection::Rejection;

use crate::draft::{self, Sender};

/// Most bytes of a body as it is sent.
pub(crate) const MAX_SENT: usize = 4 * 1024 * 1024;
/// Most bytes of a body once it is decompressed.
pub(crate) const MAX_DECODED: usize = 16 * 1024 * 1024;
/// Most events in one request.
pub(crate) const MAX_EVENTS: usize = 1_000;
/// Most JSON values of all events in one request: 200 for each of the most events.
pub(crate) const MAX_VALUES: usize = 200_000;
/// Most errors that are kept of one event in a batch.
const MAX_ERRORS: usize = 10;
/// The largest window of zstd that is accepted, as a power of two: 8 MB, what every decoder must hold (RFC 8878), so
/// that a frame cannot ask for more memory than that.
const ZSTD_WINDOW: u32 = 23;
/// How much the decoder of brotli reads at once, in bytes. Its window has at most 16 MB by its format.
const BROTLI_BUFFER: usize = 4 * 1024;

/// The events of a body, none of them read yet.
#[derive(Debug)]
pub struct Sent<'a> {
    /// One event to 1,000, each as it was sent, and raw or why it cannot be read.
    events: Vec<(&'a [u8], Result<Raw<'a>, Invalid>)>,
    alone: bool,
    sender: Sender,
}

/// An event as it was sent, and its number of JSON values.
#[derive(Clone, Copy, Debug)]
struct Raw<'a> {
    json: &'a RawValue,
    values: usize,
}

impl<'a> Raw<'a> {
    fn new(json: &'a RawValue) -> Self {
        Self { json, values: json::count(json) }
    }
}

impl<'a> Sent<'a> {
    /// Splits a decompressed body by its headers: one event, a list of them, or NDJSON.
    ///
    /// # Errors
    /// Where it is none of these, a list of none or too many, or has too many JSON values.
    pub fn split(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, Problem> {
        split(headers, body)
    }

    /// The same, sent by somebody who may send more than others.
    pub(crate) fn by(self, sender: Sender) -> Self {
        Self { sender, ..self }
    }

    /// The event, if it is one by itself and no list.
    pub fn alone(&self) -> Option<&'a RawValue> {
        match self.events.as_slice() {
            [(_, Ok(event))] if self.alone => Some(event.json),
            _ => None,
        }
    }
}

impl Drafts for Sent<'_> {
    fn count(&self) -> usize {
        self.events.len()
    }

    fn read(&self, index: usize) -> Result<Draft, Rejection> {
        let Some((_, event)) = self.events.get(index) else {
            return Err(Invalid::field("", "no such event").into());
        };
        let draft = event.clone().and_then(|event| draft::read(event.json, self.sender));
        draft.map_err(|invalid| invalid.first(MAX_ERRORS).into())
    }

    fn size(&self, index: usize) -> usize {
        self.raw(index).map_or(0, |event| event.json.get().len())
    }

    fn values(&self, index: usize) -> usize {
        self.raw(index).map_or(0, |event| event.values)
    }

    fn sample(&self, index: usize) -> String {
        let text = self.events.get(index).map_or(&[][..], |(text, _)| text);
        // A character takes four bytes at most.
        shortened(&String::from_utf8_lossy(&text[..text.len().min(4 * MAX_SAMPLE)])).to_owned()
    }
}

impl<'a> Sent<'a> {
    fn raw(&self, index: usize) -> Option<&Raw<'a>> {
        self.events.get(index)?.1.as_ref().ok()
    }

    fn of(event: Raw<'a>) -> (&'a [u8], Result<Raw<'a>, Invalid>) {
        (event.json.get().as_bytes(), Ok(event))
    }
}

/// Undoes the compression of a body. `Content-Encoding` tells it, or the content type: HTTP API hands a body of
/// `application/json` to Lambda as text, which breaks one that is compressed.
///
/// # Errors
/// Where the encoding is not supported, the body does not have it, or is too large once decompressed.
pub fn decompress(headers: &HeaderMap, sent: Bytes) -> Result<Bytes, Problem> {
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
        Ok("gzip" | "x-gzip") => gunzip(&sent),
        Ok("zstd") => unzstd(&sent),
        _ => Err(Problem::UnsupportedMediaType(
            "the content encoding is not supported: send gzip, zstd or none".to_owned(),
        )),
    }
}

/// Undoes the compression of a body of a client library: by its first bytes, since its headers may be wrong. Only brotli has
/// none to know it by.
pub(crate) fn unpack(headers: &HeaderMap, sent: Bytes) -> Result<Bytes, Problem> {
    let encoding = headers.get(CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok()).unwrap_or_default();
    if encoding.trim().eq_ignore_ascii_case("br") {
        let mut decoded = room_for(&sent);
        match read_all("brotli", brotli_decompressor::Decompressor::new(&*sent, BROTLI_BUFFER), &mut decoded) {
            Ok(()) => return Ok(decoded.into()),
            // Not brotli after all: its first bytes say what it is.
            Err(Problem::Invalid(_)) => {}
            Err(problem) => return Err(problem),
        }
    }
    match *sent {
        [0x1f, 0x8b, ..] => gunzip(&sent),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => unzstd(&sent),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => {
            let mut decoded = room_for(&sent);
            read_all("deflate", ZlibDecoder::new(&*sent), &mut decoded)?;
            Ok(decoded.into())
        }
        _ => Ok(sent),
    }
}

/// Undoes the compression of a body that may begin like a compressed one without being it, as a block of snappy may begin
/// like zlib: by its `Content-Encoding`. Only gzip and zstd begin like nothing else. Some senders of `deflate` leave out the
/// frame of zlib.
pub(crate) fn unpack_stated(headers: &HeaderMap, sent: Bytes) -> Result<Bytes, Problem> {
    let encoding = headers.get(CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok()).unwrap_or_default();
    let encoding = encoding.trim().to_ascii_lowercase();
    if encoding == "deflate" {
        let mut decoded = room_for(&sent);
        let without_frame = match read_all("deflate", ZlibDecoder::new(&*sent), &mut decoded) {
            Err(Problem::Invalid(_)) => true,
            Err(problem) => return Err(problem),
            Ok(()) => false,
        };
        if without_frame {
            decoded.clear();
            read_all("deflate", DeflateDecoder::new(&*sent), &mut decoded)?;
        }
        return Ok(decoded.into());
    }
    if encoding == "br" || sent.starts_with(GZIP) || sent.starts_with(ZSTD) {
        return unpack(headers, sent);
    }
    Ok(sent)
}

fn room_for(sent: &[u8]) -> Vec<u8> {
    Vec::with_capacity((4 * sent.len()).min(MAX_DECODED + 1))
}

fn unzstd(sent: &[u8]) -> Result<Bytes, Problem> {
    let unreadable = |_| damaged("zstd");
    let mut decoder = zstd::Decoder::with_buffer(sent).map_err(unreadable)?;
    decoder.window_log_max(ZSTD_WINDOW).map_err(unreadable)?;
    let mut decoded = room_for(sent);
    read_all("zstd", decoder, &mut decoded)?;
    Ok(decoded.into())
}

/// Undoes gzip, which may consist of several members. Each is a new state of 40 KB for the decoder, so their number has a
/// limit: an empty one has 20 bytes.
fn gunzip(sent: &[u8]) -> Result<Bytes, Problem> {
    let (mut left, mut decoded) = (sent, room_for(sent));
    for member in 0.. {
        if member == MAX_EVENTS {
            return Err(Problem::TooLarge(format!(
                "more than {MAX_EVENTS} members of gzip: compress all events at once"
            )));
        }
        let mut decoder = GzDecoder::new(left);
        read_all("gzip", &mut decoder, &mut decoded)?;
        left = decoder.into_inner();
        if left.is_empty() {
            break;
        }
    }
    Ok(decoded.into())
}

fn read_all(encoding: &str, decoder: impl Read, decoded: &mut Vec<u8>) -> Result<(), Problem> {
    let most = MAX_DECODED + 1;
    let mut decoder = decoder.take((most - decoded.len()) as u64);
    loop {
        // Doubled, but never past the limit, which `read_to_end` alone would do.
        let room = (decoded.capacity() - decoded.len()).max(decoded.len().max(8 * 1024).min(most - decoded.len()));
        decoded.reserve_exact(room);
        let read = decoder.by_ref().take(room as u64).read_to_end(decoded).map_err(|_| damaged(encoding))?;
        if decoded.len() >= most {
            return Err(Problem::TooLarge(format!(
                "the body is larger than {MAX_DECODED} bytes once decompressed: send fewer events at once"
            )));
        }
        if read < room {
            return Ok(());
        }
    }
}

fn damaged(encoding: &str) -> Problem {
    let detail = format!(
        "the body is not valid {encoding}, as its headers say it is. Where a gateway treats JSON as text, send it with the \
         content type application/{encoding}"
    );
    Problem::field("", detail)
}

/// How a text begins that some editors on Windows write.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How a body begins that is compressed with gzip.
const GZIP: &[u8] = b"\x1f\x8b";
/// How a body begins that is compressed with zstd.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// The content type of a body without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let media_type = headers.get(CONTENT_TYPE).map_or(Ok(""), |t| t.to_str()).unwrap_or("?");
    media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Sent<'a>, Problem> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
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
    if sent.events.is_empty() {
        return Err(Problem::field("", "the batch is empty: send at least one event"));
    }
    let values: usize = (0..sent.count()).map(|index| sent.values(index)).sum();
    if !sent.alone && values > MAX_VALUES {
        return Err(Problem::TooLarge(format!(
            "the events have {values} JSON values: send at most {MAX_VALUES} at once"
        )));
    }
    Ok(sent)
}

fn of_json(body: &[u8]) -> Result<Sent<'_>, Problem> {
    if is_lines(body) {
        return of_lines(body);
    }
    match body.trim_ascii_start().first() {
        Some(b'[') => {
            let (events, count) = json::list_of_at_most(body, MAX_EVENTS).map_err(invalid)?;
            at_most(count)?;
            Ok(Sent {
                events: events.into_iter().map(|event| Sent::of(Raw::new(event))).collect(),
                alone: false,
                sender: Sender::default(),
            })
        }
        Some(b'{') => {
            let event = Raw::new(json::document(body).map_err(invalid)?);
            Ok(Sent { events: vec![Sent::of(event)], alone: true, sender: Sender::default() })
        }
        _ => {
            json::document(body).map_err(invalid)?;
            Err(Problem::field("", "send one event as a JSON object, or a list of them"))
        }
    }
}

/// The lines of a body that are not empty.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

/// Whether a body is NDJSON that does not say so: several lines, the first of them a whole event. JSON is never that.
fn is_lines(body: &[u8]) -> bool {
    let mut lines = lines(body);
    let (first, second) = (lines.next(), lines.next());
    second.is_some() && first.is_some_and(|line| line.starts_with(b"{") && json::document(line).is_ok())
}

fn of_lines(body: &[u8]) -> Result<Sent<'_>, Problem> {
    let lines = || lines(body);
    // Counted first: a body of nothing but short lines would take far more memory than it has bytes.
    at_most(lines().count())?;
    let events = lines().map(|line| (line, json::document(line).map(Raw::new).map_err(invalid)));
    Ok(Sent { events: events.collect(), alone: false, sender: Sender::default() })
}

/// Refuses more events than a request of native events may have.
pub(crate) fn at_most(count: usize) -> Result<(), Problem> {
    if count > MAX_EVENTS {
        return Err(Problem::TooLarge(format!("{count} events: send at most {MAX_EVENTS} at once")));
    }
    Ok(())
}
