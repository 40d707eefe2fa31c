//! What a family of client libraries implements.

use std::pin::Pin;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use tally_http::families::Family;
use tally_http::problem::{Problem, RETRY_SECONDS};

use crate::compat::call::Call;

/// The reply to a request, or why there is none.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + 'a>>;

/// What a family of client libraries speaks.
pub trait Protocol: Sync {
    /// Which family it is.
    fn family(&self) -> Family;

    /// Whether a request on a path that several families call is for this one. They are asked in the order of the path's
    /// list; a family that is the only one or the last is not asked.
    fn takes(&self, _call: &Call) -> bool {
        true
    }

    /// Answers a request, with the exact status and body that the libraries take for success. `OPTIONS` never gets here,
    /// and headers for other origins are added later.
    ///
    /// # Errors
    /// Any problem; [`Protocol::refuse`] puts it into the words of the protocol. Use `?` freely.
    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a>;

    /// A problem in the words of the protocol. It is never a 500: what failed here is a 503 already. The body of the call
    /// is empty if it was too large or could not be unpacked.
    fn refuse(&self, call: &Call, problem: &Problem) -> Response;
}

/// A reply of JSON.
pub(crate) fn json_reply(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The reply to a refused request with `Retry-After`: how long to wait before it is sent again, if that helps.
pub(crate) fn retry_after(problem: &Problem, mut reply: Response) -> Response {
    let wait = match problem {
        Problem::TooManyRequests(_, seconds) => HeaderValue::from(*seconds),
        Problem::Unavailable | Problem::Upstream(_) => RETRY_SECONDS,
        _ => return reply,
    };
    reply.headers_mut().insert(RETRY_AFTER, wait);
    reply
}
