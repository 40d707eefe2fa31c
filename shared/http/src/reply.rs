//! How large a reply may be, here and on Lambda alike, and the cutting of lists to it.
//!
//! A function returns a JSON document to Lambda, with the body as a text in it. So each quote and backslash of a JSON body
//! takes one byte more there, and a picture a third more, as base64. Lists that may be long are cut with a [`Room`]; what
//! is still too large is refused when it leaves.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::Serialize;

use crate::problem::Problem;

/// Most bytes that a function can return to Lambda, in Lambda's encoding: 6 MiB and 100 bytes.
pub const MAX_RESPONSE: usize = 6_291_556;
/// Most bytes of a body.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// Bytes that are kept for what stands beside a list: status, headers and cookies, the other fields, cursors and links, each
/// of which may repeat a query of 8 KiB.
const BESIDE: usize = 128 * 1024;

/// The room that a reply has left for the items of its lists.
#[derive(Clone, Debug)]
pub struct Room {
    body: usize,
    encoded: usize,
}

/// What a reply has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftOut {
    /// The number of items.
    pub items: usize,
    /// The number of occurrences that they count.
    pub count: i64,
}

impl LeftOut {
    /// The number and the sum of counts; none if there are none.
    pub fn of(counts: impl IntoIterator<Item = i64>) -> Option<Self> {
        let add = |sum: Self, count| Self { items: sum.items + 1, count: sum.count + count };
        Some(counts.into_iter().fold(Self::default(), add)).filter(|left_out| left_out.items > 0)
    }
}

impl Default for Room {
    /// The room of an empty reply.
    fn default() -> Self {
        Self { body: MAX_BODY - BESIDE, encoded: MAX_RESPONSE - BESIDE }
    }
}

impl Room {
    /// Takes the room of an item, if it is left; else nothing.
    ///
    /// # Errors
    /// Where the item cannot be serialized.
    pub fn take(&mut self, item: &impl Serialize) -> Result<bool, Problem> {
        let json = serde_json::to_vec(item).map_err(|e| Problem::Internal(e.to_string()))?;
        // With the comma after it.
        let (body, encoded) = (json.len() + 1, encoded(&json) + 1);
        let fits = body <= self.body && encoded <= self.encoded;
        if fits {
            self.body -= body;
            self.encoded -= encoded;
        }
        Ok(fits)
    }

    /// Takes the room of the first items of a list, as many as there is room for, and returns the rest.
    ///
    /// # Errors
    /// Where an item cannot be serialized.
    pub fn fill<T: Serialize>(&mut self, items: &mut Vec<T>) -> Result<Vec<T>, Problem> {
        for (i, item) in items.iter().enumerate() {
            if !self.take(item)? {
                return Ok(items.split_off(i));
            }
        }
        Ok(vec![])
    }
}

/// The bytes of a text inside of a JSON text.
fn encoded(text: &[u8]) -> usize {
    let bytes = text.iter().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        ..b' ' => 6,
        _ => 1,
    });
    bytes.sum()
}

/// A text, or the beginning of it that takes at most this many bytes in a body and as Lambda encodes it.
pub fn shortened(text: String, most: usize) -> String {
    let mut bytes = '…'.len_utf8();
    for (at, c) in text.char_indices() {
        bytes += match c {
            // A quote in JSON is a backslash and a quote, and each of the two takes two bytes in Lambda's encoding.
            '"' | '\\' => 4,
            c if c.is_ascii_control() => 7,
            c => c.len_utf8(),
        };
        if bytes > most {
            return format!("{}…", &text[..at]);
        }
    }
    text
}

/// Replaces a reply that is too large by a problem. Lists are cut before, so this is the last resort.
pub(crate) async fn within_size(reply: Response) -> Response {
    let (parts, body) = reply.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Problem::Internal(error.to_string()).into_response(),
    };
    let head: usize =
        parts.headers.iter().map(|(name, value)| name.as_str().len() + encoded(value.as_bytes()) + 8).sum();
    let returned = HEAD + head + if is_text(&parts.headers) { encoded(&body) } else { body.len().div_ceil(3) * 4 };
    if body.len() <= MAX_BODY && returned <= MAX_RESPONSE {
        return Response::from_parts(parts, Body::from(body));
    }
    tracing::warn!(bytes = body.len(), returned, "a reply is too large");
    let (mut refusal, body) = Problem::field("", TOO_LARGE).into_response().into_parts();
    // Whom the log line names, and who may read the reply.
    let mut extensions = parts.extensions;
    extensions.extend(refusal.extensions);
    refusal.extensions = extensions;
    for (name, value) in &parts.headers {
        if *name == VARY || name.as_str().starts_with("access-control-") {
            refusal.headers.append(name, value.clone());
        }
    }
    Response::from_parts(refusal, body)
}

const TOO_LARGE: &str = "the answer is larger than a reply may be, which is 4 MiB, or 6 MiB with each quote and backslash \
                         escaped: send a shorter range, more filters, or a smaller `limit`";

/// Bytes of what Lambda's encoding has beside the body and the headers so far: the names of its fields, the status, and the
/// headers of every reply.
const HEAD: usize = 2 * 1024;

/// Whether a function returns a body as text and not as base64.
pub(crate) fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default();
    // Its quotes are doubled, and would be escaped once more: as base64 a full page is smaller.
    if kind.starts_with("text/csv") {
        return false;
    }
    let media_type = kind.split(';').next().unwrap_or_default().trim();
    let text = [
        "text",
        "application/json",
        "application/javascript",
        "application/openmetrics-text",
        "application/xml",
        "application/yaml",
    ];
    text.iter().any(|text| kind.starts_with(text))
        || ["+xml", "+yaml", "+json"].iter().any(|suffix| media_type.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, StatusCode};

    fn reply(kind: &'static str, body: String) -> Response {
        (StatusCode::OK, [(CONTENT_TYPE, kind), (VARY, "origin")], body).into_response()
    }

    #[tokio::test]
    async fn what_lambda_cannot_return_is_refused_everywhere() {
        let quotes = (MAX_RESPONSE - 3 * 1024) / 2;
        for (kind, body, status) in [
            ("application/json", "\"".repeat(quotes), 200),
            ("application/json", "\"".repeat(quotes + 2 * 1024), 400),
            ("application/json", "x".repeat(MAX_BODY), 200),
            ("application/json", "x".repeat(MAX_BODY + 1), 400),
            ("image/svg+xml", "\\".repeat(quotes + 2 * 1024), 400),
            ("application/problem+json", "\n".repeat(quotes + 2 * 1024), 400),
            ("text/plain; charset=utf-8", "\u{1}".repeat(MAX_RESPONSE / 6), 400),
            ("image/png", "\u{1}".repeat(MAX_BODY), 200),
            ("image/png", "\u{1}".repeat(MAX_BODY + 1), 400),
            ("text/csv; charset=utf-8", "\"".repeat(MAX_BODY), 200),
            ("application/x-ndjson", "\"".repeat(MAX_BODY), 200),
        ] {
            let mut sent = reply(kind, body.clone());
            sent.headers_mut().insert("etag", HeaderValue::from_static("1"));
            let answered = within_size(sent).await;
            assert_eq!(answered.status(), status, "{kind} of {} bytes", body.len());
            assert_eq!(
                (&answered.headers()[VARY], answered.headers().contains_key("etag")),
                (&HeaderValue::from_static("origin"), status == 200)
            );
        }
    }

    #[test]
    fn the_encoded_length_is_that_of_serde_json() {
        let text: String = (0..=0x2000).filter_map(char::from_u32).collect();
        let json = serde_json::to_string(&text).expect("a text");
        assert_eq!(encoded(text.as_bytes()), json.len() - 2);
        assert_eq!(encoded(json.as_bytes()), serde_json::to_string(&json).expect("a text").len() - 2);
    }

    #[test]
    fn a_shortened_text_takes_no_more_than_it_may() {
        for text in ["abc", "\"\"\"", "\\\n\u{1}", "日本語", ""] {
            let text = text.repeat(100);
            for most in [3, 4, 10, 50, 5_000] {
                let short = shortened(text.clone(), most);
                let json = serde_json::to_string(&short).expect("a text");
                assert!(encoded(json.as_bytes()) - 4 <= most, "{most}: {short}");
                assert!(short == text || short.ends_with('…') && text.starts_with(short.trim_end_matches('…')));
                assert_eq!(short == text, text.is_empty() || most == 5_000, "{most}");
            }
        }
    }

    #[test]
    fn a_room_takes_items_until_it_is_full() {
        let mut room = Room { body: 10, encoded: 12 };
        let mut items = vec!["ab", "c", "d"];
        // `"ab",` takes 5 bytes, and 7 as encoded; `"c",` 4 and 6.
        assert_eq!(room.fill(&mut items).expect("texts"), ["c", "d"]);
        assert_eq!(items, ["ab"]);
        assert_eq!(LeftOut::of([3, 4]), Some(LeftOut { items: 2, count: 7 }));
        assert_eq!(LeftOut::of([]), None);
    }
}
