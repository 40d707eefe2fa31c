//! The body of a request: unpacked, and split into events.

use std::borrow::Cow;

use http::HeaderMap;
use serde_json::value::RawValue;
use tally_core::event::json::{self, Kind};
use tally_http::problem::Problem;

use crate::body::unpack;
use crate::compat::fields::scalar;
use crate::compat::packed::{self, Form};
use crate::compat::sanitize::{self, pick};

/// Most events in one request. The libraries send up to a few hundred, and halve a batch that is too large.
const MAX_EVENTS: usize = 10_000;

/// The JSON text of a request: its body, the field `data` of a form, or the parameter `data`; in base64 or not, and what
/// was in base64 compressed or not. Headers and parameters that tell the packing may be missing or wrong.
pub(super) fn text(query: &[(String, String)], body: &[u8]) -> Result<String, Problem> {
    let parameter = |name: &str| {
        query.iter().find(|(sent, value)| sent == name && !value.is_empty()).map(|(_, value)| value.as_str())
    };
    let form = Form::of(body);
    let compression = parameter("compression").or_else(|| form.get("compression"));
    if compression == Some("lz64") {
        return Err(Problem::UnsupportedMediaType(
            "the compression lz64 is not supported: use a newer PostHog library, or `compression=base64`".to_owned(),
        ));
    }
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let data = form.get("data").or_else(|| parameter("data").filter(|_| body.is_empty()));
    if data.is_none() && body.is_empty() {
        return Err(Problem::field("", "the body is empty: send an event or a batch of events"));
    }
    let packed = match data {
        Some(data) => packed::json(data),
        None => std::str::from_utf8(body).map_or(Cow::Borrowed(body), packed::json),
    };
    Ok(match packed {
        Cow::Owned(inner) => sanitize::body(&unpack(&HeaderMap::new(), inner.into())?).into_owned(),
        Cow::Borrowed(text) => sanitize::body(text).into_owned(),
    })
}

/// The events of a request.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// The key that the request names beside its events.
    pub(super) token: Option<String>,
    /// The events, which may be any JSON.
    pub(super) events: Vec<&'a RawValue>,
}

impl<'a> Batch<'a> {
    /// Reads `{"batch": […]}`, a list of events, or one event.
    ///
    /// # Errors
    /// Where it is none of these, or has more events than a request may.
    pub(super) fn read(text: &'a str) -> Result<Self, Problem> {
        let document = json::document(text.trim().as_bytes()).map_err(|error| {
            Problem::field("", format!("the body is not JSON, or packed in an unknown way: {}", error.detail))
        })?;
        match json::kind(document) {
            Kind::Array => Ok(Self { token: None, events: list("", document)? }),
            Kind::Object => {
                let [api_key, token, dollar_token, batch] = pick(document, ["api_key", "token", "$token", "batch"]);
                let token = [api_key, token, dollar_token].into_iter().flatten().find_map(scalar);
                let events = match batch {
                    Some(batch) => list("batch", batch)?,
                    None => vec![document],
                };
                Ok(Self { token, events })
            }
            _ => Err(Problem::field("", "send an event as a JSON object, or a batch of events")),
        }
    }
}

fn list<'a>(field: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>, Problem> {
    let (events, count) =
        json::array_of_at_most(raw, MAX_EVENTS).map_err(|error| Problem::field(field, error.detail))?;
    if count > MAX_EVENTS {
        return Err(Problem::TooLarge(format!("{count} events: send at most {MAX_EVENTS} at once")));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_in_its_three_forms() {
        for (text, token, events) in [
            (r#"{"api_key":"k","batch":[{},3]}"#, Some("k"), 2),
            (r#"{"token":"t","batch":[]}"#, Some("t"), 0),
            (r" [{},{}] ", None, 2),
            (r#"{"$token":"t","event":"a"}"#, Some("t"), 1),
            (r#"{"api_key":null,"batch":null}"#, None, 1),
        ] {
            let batch = Batch::read(text).expect("a batch");
            assert_eq!((batch.token.as_deref(), batch.events.len()), (token, events), "{text}");
        }
        for text in ["", "3", "{", r#"{"batch":3}"#, r#"{"batch":{}}"#, "\"a\"", "null"] {
            assert!(matches!(Batch::read(text), Err(Problem::Invalid(_))), "{text}");
        }
        let many = format!("[{}{{}}]", "{},".repeat(MAX_EVENTS));
        assert!(matches!(Batch::read(&many), Err(Problem::TooLarge(_))));
    }
}
