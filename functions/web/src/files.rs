//! Files that are served, wherever they come from.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::accept::takes_coding;

/// The content of a file.
pub type Content = Cow<'static, [u8]>;

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its media type.
    pub kind: &'static str,
    /// Its content.
    pub plain: Content,
    /// The content compressed by brotli, if it is.
    pub br: Option<Content>,
    /// The content compressed by gzip, if it is.
    pub gzip: Option<Content>,
    /// The version of it or of all files, as an entity tag; none where they may change at any time.
    pub tag: Option<HeaderValue>,
}

/// A folder of files.
pub trait Files: Send + Sync {
    /// The page, `index.html`; none if it is missing.
    fn page(&self) -> Option<File>;
    /// A file of a version by its path, if there is one.
    fn file(&self, version: &str, path: &str) -> Option<File>;
}

impl File {
    /// The reply to a request: in the best coding that the client takes, or 304 where it has this version. `caching` is for
    /// files that have a version; others are not to be stored.
    pub(crate) fn reply(self, asked: &HeaderMap, caching: &'static str) -> Response {
        let caching = if self.tag.is_some() { caching } else { "no-store" };
        let has_it = self.tag.as_ref().is_some_and(|tag| is_among(tag, asked));
        let mut reply = if has_it {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let (coding, content) = match (self.br, self.gzip) {
                (Some(br), _) if takes_coding(asked, "br") => (Some("br"), br),
                (_, Some(gzip)) if takes_coding(asked, "gzip") => (Some("gzip"), gzip),
                _ => (None, self.plain),
            };
            let mut reply = ([(CONTENT_TYPE, self.kind)], content).into_response();
            if let Some(coding) = coding {
                reply.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            reply
        };
        let headers = reply.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        if let Some(tag) = self.tag {
            headers.insert(ETAG, tag);
        }
        reply
    }
}

/// Whether a tag is among those that the client has, compared weakly: a coding makes no other version.
fn is_among(tag: &HeaderValue, asked: &HeaderMap) -> bool {
    let opaque = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let tag = tag.to_str().map(opaque).unwrap_or_default();
    let asked = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    asked.flat_map(|value| value.split(',')).any(|one| one.trim() == "*" || opaque(one) == tag)
}
