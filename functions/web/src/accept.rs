//! What a client accepts (RFC 9110, 12.5): the form of the reply, and its compression.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, AsHeaderName};

/// Whether a client prefers HTML to JSON: browsers do, and say so; `*/*` has no preference.
pub(crate) fn prefers_html(headers: &HeaderMap) -> bool {
    let weight = |kind: &str| {
        let family = format!("{}/*", kind.split('/').next().unwrap_or_default());
        weight(headers, ACCEPT, &[kind, &family, "*/*"]).unwrap_or(0)
    };
    weight("text/html") > weight("application/json")
}

/// Whether a client takes a coding, such as `br`.
pub(crate) fn takes_coding(headers: &HeaderMap, coding: &str) -> bool {
    weight(headers, ACCEPT_ENCODING, &[coding, "*"]).is_some_and(|weight| weight > 0)
}

/// The weight of a value, in thousandths, by the first of its names that the header has.
fn weight(headers: &HeaderMap, header: impl AsHeaderName, names: &[&str]) -> Option<u16> {
    let text: Vec<_> = headers.get_all(header).iter().filter_map(|value| value.to_str().ok()).collect();
    let items = text.iter().flat_map(|text| text.split(',')).map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 1,000
        let q = q.map_or(1000, |q| (q.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16);
        (name, q)
    });
    let items: Vec<_> = items.collect();
    names.iter().find_map(|name| items.iter().find(|(item, _)| item.eq_ignore_ascii_case(name))).map(|(_, q)| *q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn sent(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a header"))])
    }

    #[test]
    fn browsers_prefer_html_and_nothing_else_does() {
        for (accept, html) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true),
            ("text/html", true),
            ("TEXT/HTML, */*;q=0.1", true),
            ("text/*", true),
            ("*/*", false),
            ("", false),
            ("application/json", false),
            ("application/json, text/html", false),
            ("application/json, text/html;q=0.9", false),
            ("application/json;q=0.5, text/html;q=0.6", true),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
        ] {
            assert_eq!(prefers_html(&sent(ACCEPT, accept)), html, "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }

    #[test]
    fn a_coding_is_taken_unless_it_is_refused() {
        for (accept, br) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=0.1", true),
            ("*", true),
            ("*, br;q=0", false),
            ("br;q=0.0", false),
            ("gzip", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(takes_coding(&sent(ACCEPT_ENCODING, accept), "br"), br, "{accept}");
        }
    }
}
