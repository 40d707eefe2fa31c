//! Envelopes: a line of headers, then items, each a line of headers and a payload.
//!
//! The crate `sentry-types` reads envelopes too, but only those of its own SDK: one item of a type that it does not know
//! (`feedback`, `span`, `replay_event`, `profile`, `user_report` in 0.49) or one field of another type fails the whole
//! envelope, it drops fields that it does not know, and it keeps numbers as floats. Here an unknown item is skipped and a bad
//! one never costs its neighbours, so these few lines are our own.

use tally_core::rejected::Refusal;

use crate::compat::sentry::fields::Fields;

/// The longest line of headers, in bytes.
const MAX_HEADER: usize = 64 * 1024;

/// An envelope, read as far as its first line.
pub(super) struct Envelope<'a> {
    /// The headers of the envelope.
    pub(super) header: Fields,
    /// The items.
    pub(super) items: Items<'a>,
}

/// An item of an envelope.
#[derive(Debug, PartialEq)]
pub(super) struct Item<'a> {
    /// Its type, as sent.
    pub(super) kind: String,
    /// Its payload.
    pub(super) payload: &'a [u8],
}

/// An item whose headers cannot be read: these headers, and why.
#[derive(Debug, PartialEq)]
pub(super) struct BadItem<'a> {
    /// The line of headers.
    pub(super) header: &'a [u8],
    /// Why.
    pub(super) refusal: Refusal,
}

/// The items of an envelope that have not been read yet.
pub(super) struct Items<'a>(&'a [u8]);

impl<'a> Envelope<'a> {
    /// Reads the headers of an envelope.
    ///
    /// # Errors
    /// Where the first line is not a JSON object.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let (line, rest) = split_line(body);
        Ok(Self { header: Fields::read(line, MAX_HEADER)?, items: Items(rest) })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, BadItem<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = loop {
            if self.0.is_empty() {
                return None;
            }
            let (line, rest) = split_line(self.0);
            if !line.trim_ascii().is_empty() {
                break (line, rest);
            }
            self.0 = rest;
        };
        let read = Fields::read(header, MAX_HEADER);
        let (kind, length) = match read {
            Ok(mut fields) => (fields.text("type").unwrap_or_default(), fields.text("length")),
            Err(refusal) => {
                // Its payload is most probably one line of JSON.
                self.0 = split_line(rest).1;
                return Some(Err(BadItem { header, refusal }));
            }
        };
        let length = length.and_then(|length| length.parse().ok());
        let by_length = length.and_then(|length: usize| {
            let (payload, rest) = rest.split_at_checked(length)?;
            // A length that does not end at the end of a line is wrong.
            let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b"\n")? };
            Some((payload, rest))
        });
        let (payload, rest) = by_length.unwrap_or_else(|| split_line(rest));
        self.0 = rest;
        Some(Ok(Item { kind, payload }))
    }
}

/// What is before the first line break, and what is behind it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(body: &str) -> Vec<(String, String)> {
        let envelope = Envelope::read(body.as_bytes()).expect("headers");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let items = envelope.items.map(|item| match item {
            Ok(item) => (item.kind, text(item.payload)),
            Err(bad) => ("bad".to_owned(), text(bad.header)),
        });
        items.collect()
    }

    #[track_caller]
    fn assert_items(body: &str, expected: &[(&str, &str)]) {
        let items = items(body);
        let items: Vec<_> = items.iter().map(|(kind, payload)| (kind.as_str(), payload.as_str())).collect();
        assert_eq!(items, expected, "{body:?}");
    }

    #[test]
    fn a_payload_ends_by_its_length_or_its_line() {
        for body in ["{}", "{}\n", "{}\n\n\n"] {
            assert_items(body, &[]);
        }
        assert_items("{}\n{\"type\":\"event\"}\n{}", &[("event", "{}")]);
        assert_items(
            "{}\n{\"type\":\"attachment\",\"length\":3}\na\nb\n{\"type\":\"event\",\"length\":2}\n{}\n",
            &[("attachment", "a\nb"), ("event", "{}")],
        );
        assert_items("{}\n{\"type\":\"session\",\"length\":0}\n\n{\"type\":\"x\"}\ny", &[("session", ""), ("x", "y")]);
        assert_items("{}\n{\"type\":\"event\"}", &[("event", "")]);
    }

    #[test]
    fn a_wrong_item_does_not_cost_its_neighbours() {
        let next = "{\"type\":\"log\"}\n{}";
        for length in ["1", "3", "999", "\"x\"", "-1", "18446744073709551615", "null"] {
            let body = format!("{{}}\n{{\"type\":\"event\",\"length\":{length}}}\n{{\"a\":1}}\n{next}");
            assert_items(&body, &[("event", "{\"a\":1}"), ("log", "{}")]);
        }
        assert_items(&format!("{{}}\n{{type\n{{}}\n{next}"), &[("bad", "{type"), ("log", "{}")]);
        assert_items(&format!("{{}}\n[]\n{{}}\n{next}"), &[("bad", "[]"), ("log", "{}")]);
        assert_items(&format!("{{}}\n{{}}\n1\n{next}"), &[("", "1"), ("log", "{}")]);
    }

    #[test]
    fn an_envelope_begins_with_an_object() {
        for body in ["", "\n", "[]", "{", "x\n{}"] {
            assert!(Envelope::read(body.as_bytes()).is_err(), "{body:?}");
        }
    }
}
