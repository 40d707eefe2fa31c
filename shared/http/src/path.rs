//! Paths: decoded and encoded in one way, and the rest of a path that begins with a name.

use axum::extract::Request;
use http::uri::PathAndQuery;
use http::{Method, Uri};
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

/// Brings the path of a request to one encoding, whatever the client left as it is. So a path has one spelling in the
/// router, and a handler gets the path parameters that the client meant.
pub(crate) fn read_path(mut request: Request) -> Request {
    let sent = decoded(request.uri().path());
    if !is_utf8(request.uri().path()) {
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
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
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
        && (routes::at(path).any(|route| route.function == Function::Admin && route.answers(method))
            || routes.all(|route| route.function == Function::Admin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for (sent, read) in [
            ("/apps/a/count/what%3Fx%23y", "/apps/a/count/what%3Fx%23y"),
            ("/a%20b/%c3%A9%25", "/a%20b/%C3%A9%25"),
            ("/%61/b!", "/a/b%21"),
        ] {
            let request = |path: &str| {
                let uri = format!("{path}?k=v+w&n=1");
                Request::builder().uri(uri).body(axum::body::Body::empty()).expect("a request")
            };
            assert_eq!(read_path(request(sent)).uri(), request(read).uri());
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
        }
    }
}
