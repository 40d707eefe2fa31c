//! `GET /`

use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY};
use http::{HeaderName, HeaderValue, StatusCode};
use schemars::{SchemaGenerator, json_schema};
use tally_http::openapi::{JSON, Operation, ReplyDescription};
use tally_http::parameters::Params;
use tally_http::problem::Problem;
use tally_http::routes::ROOT;

use crate::about::{About, about};
use crate::accept::prefers_html;
use crate::files::Files;

/// What the page may load and do: its own files and this server, and no inline script or style. Nothing can frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    // Requests to the API tell the address of the page, which a check of their origin may need.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
];
/// A page in a cache is asked for again.
const CACHING: &str = "no-cache";

pub(crate) fn root(files: &dyn Files, request: &Request) -> Result<Response, Problem> {
    let page = if prefers_html(request.headers()) { files.page() } else { None };
    let mut reply = if let Some(page) = page {
        // Its query is the state of the page, which the page reads itself.
        let mut reply = page.reply(request.headers(), CACHING);
        for (name, value) in HEADERS {
            reply.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        reply
    } else {
        Params::parse(request.uri().query()).read(|_| Some(()))?;
        about()?
    };
    reply.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    Ok(reply)
}

pub(crate) fn root_operation(schemas: &mut SchemaGenerator) -> Operation {
    let reply = ReplyDescription {
        status: StatusCode::OK,
        about: "Tally.",
        content: vec![
            (JSON, schemas.subschema_for::<About>()),
            ("text/html", json_schema!({"type": "string", "description": "The page."})),
        ],
        headers: vec![],
    };
    Operation::of(&ROOT, "about", "Name and version, or the page")
        .about(
            "A client whose `Accept` prefers `text/html`, as that of browsers does, gets the dashboard. Its parameters are the \
             state of the page.",
        )
        .replies(reply)
}
