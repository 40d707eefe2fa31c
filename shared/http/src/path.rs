//! Paths: decoded and encoded in one way, and the rest of a path that begins with a name.

use axum::extract::Request;
use http::uri::PathAndQuery;
use http::{Method, Uri};
use lambda_http::RequestExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::compat::Compat;
use crate::families;
use crate::routes::{self, Function};

/// What stays as it is in an encoded path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// In the extensions of a request whose path is not UTF-8.
#[derive(Clone, Copy)]
pub(crate) struct NotUtf8;

fn is_utf8(encoded: &str) -> bool {
    percent_decode_str(encoded).decode_utf8().is_ok()
}

/// A path without its percent-encoding.
pub fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

pub(crate) fn encoded(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// Brings the path of a request to one encoding, since HTTP API hands paths over percent-decoded and a laptop's client
/// sends them encoded. So both route alike, and a handler gets the path parameters that the client meant.
pub(crate) fn read_path(mut request: Request) -> Request {
    let (sent, query) = match request.raw_http_path() {
        "" => (decoded(request.uri().path()), request.uri().query().unwrap_or_default().to_owned()),
        // The URI that lambda_http made of a decoded path is cut where that holds a `?` or `#`.
        raw => match request.uri().query() {
            // What lambda_http decodes has lost what was sent.
            Some(query) if !is_utf8(query) => (raw.to_owned(), query.to_owned()),
            _ => (raw.to_owned(), request.query_string_parameters().to_query_string()),
        },
    };
    if request.raw_http_path().is_empty() && !is_utf8(request.uri().path()) {
        request.extensions_mut().insert(NotUtf8);
    }
    let mut path = sent.as_str();
    if let Some(stripped) = path.strip_suffix('/')
        && (is_admins(request.method(), stripped)
            || Compat::of_path(stripped).is_some()
            || families::at(stripped).is_some())
    {
        path = stripped;
    }
    let mut target = encoded(path);
    if !query.is_empty() {
        target.push('?');
        target.push_str(&query);
    }
    if let Ok(path) = target.parse::<PathAndQuery>() {
        *request.uri_mut() = Uri::from(path);
    }
    request
}

/// Whether `admin` serves a path: with every method that it allows, or with this one.
fn is_admins(method: &Method, path: &str) -> bool {
    let mut routes = routes::at(path).peekable();
    routes.peek().is_some()
        && (routes::at(path).any(|route| route.function == Function::Admin && route.method == *method)
            || routes.all(|route| route.function == Function::Admin))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request as `lambda_http` makes it of an event of the HTTP API.
    fn of_lambda(path: &str, query: &str) -> Request {
        let event = serde_json::json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
            "headers": {"host": "tally.example"}, "isBase64Encoded": false,
            "requestContext": {"http": {"method": "GET", "path": path}, "stage": "$default"},
        });
        let request = lambda_http::request::from_str(&event.to_string()).expect("an event");
        request.map(|_| axum::body::Body::empty())
    }

    #[test]
    fn a_path_reads_alike_on_lambda_and_on_a_laptop() {
        for (decoded, encoded) in
            [("/apps/a/count/what?x#y", "/apps/a/count/what%3Fx%23y"), ("/a b/é%", "/a%20b/%C3%A9%25")]
        {
            let expected = format!("{encoded}?k=v+w&n=1");
            let laptop = Request::builder().uri(&expected).body(axum::body::Body::empty()).expect("a request");
            assert_eq!(read_path(laptop).uri().to_string(), expected);
            let lambda = read_path(of_lambda(decoded, "k=v%20w&n=1"));
            assert_eq!(lambda.uri().path(), encoded);
            let query = lambda.uri().query().expect("a query");
            assert!(query.contains("k=v+w") && query.contains("n=1"), "{query}");
        }
    }

    #[test]
    fn a_slash_at_the_end_of_a_path_of_a_compat_is_ignored() {
        for (sent, read) in [
            ("/the-eye/k/api/event/", "/the-eye/k/api/event"),
            ("/event-tracker/k/api/events/resource/209/", "/event-tracker/k/api/events/resource/209"),
            ("/apps/a/count/name/", "/apps/a/count/name/"),
        ] {
            let laptop = Request::builder().uri(sent).body(axum::body::Body::empty()).expect("a request");
            assert_eq!(read_path(laptop).uri().path(), read);
            assert_eq!(read_path(of_lambda(sent, "n=1")).uri().path(), read);
        }
    }
}
