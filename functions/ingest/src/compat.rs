//! Client libraries of others, and Tally's script for web pages: takes their requests and gives each to the family that speaks its protocol.
//!
//! A family is one folder here (`compat/sentry.rs` with `compat/sentry/…`), with its wire types, its mapping to drafts, its
//! replies and errors, and one line in [`PROTOCOLS`]. Its paths are in [`tally_http::families`]. It implements
//! [`Protocol`] and works on a [`Call`]: the body is unpacked, the key is found with [`Call::sender`], and drafts are stored
//! with [`Call::store`] as native events are.

pub mod amplitude;
pub mod aptabase;
pub mod call;
pub mod cloud_events;
mod cloud_watch;
pub mod elastic;
pub mod fields;
pub mod firehose;
mod keys;
mod logs;
pub mod loki;
pub mod mixpanel;
pub mod otlp;
pub mod packed;
pub mod plausible;
pub mod posthog;
mod protobuf;
mod protocol;
mod raised;
pub mod record_id;
pub mod records;
pub mod sanitize;
mod script;
pub mod segment;
pub mod sentry;
pub mod splunk;
pub mod subscription;
pub mod umami;
mod visit;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use tally_http::families;
use tally_http::path::decoded;
use tally_http::problem::Problem;
use tally_http::service::Shared;

use crate::compat::amplitude::Amplitude;
use crate::compat::aptabase::Aptabase;
use crate::compat::call::Call;
use crate::compat::cloud_events::CloudEvents;
use crate::compat::elastic::Elastic;
use crate::compat::firehose::Firehose;
use crate::compat::loki::Loki;
use crate::compat::mixpanel::Mixpanel;
use crate::compat::otlp::Otlp;
use crate::compat::plausible::Plausible;
use crate::compat::posthog::PostHog;
use crate::compat::script::Script;
use crate::compat::segment::Segment;
use crate::compat::sentry::Sentry;
use crate::compat::splunk::Splunk;
use crate::compat::umami::Umami;

pub use crate::compat::protocol::{Answer, Protocol};

/// The families that a router serves.
pub type Protocols = &'static [&'static dyn Protocol];

/// All families, one line each.
pub static PROTOCOLS: Protocols = &[
    &Amplitude,
    &Aptabase,
    &CloudEvents,
    &Elastic,
    &Firehose,
    &Loki,
    &Mixpanel,
    &Otlp,
    &Plausible,
    &PostHog,
    &Script,
    &Segment,
    &Sentry,
    &Splunk,
    &Umami,
];

/// Answers a request on a path of client libraries.
pub(crate) async fn answer(protocols: Protocols, State(context): Shared, request: Request) -> Response {
    let path = decoded(request.uri().path());
    let served: Vec<_> = families::at(&path).into_iter().flat_map(|known| known.families).collect();
    let mut served: Vec<_> =
        served.iter().filter_map(|family| protocols.iter().find(|protocol| protocol.family() == **family)).collect();
    let Some(last) = served.pop() else {
        return Problem::NotFound("no client library is served here: see docs/clients.md".to_owned()).into_response();
    };
    let (mut call, unpacked) = Call::read(context, last.family(), &path, request).await;
    let protocol = served.into_iter().find(|protocol| protocol.takes(&call)).unwrap_or(last);
    call.family = protocol.family();
    let answered = match unpacked {
        Ok(()) => protocol.answer(&call).await,
        Err(problem) => Err(problem),
    };
    let mut reply = answered.unwrap_or_else(|problem| {
        let problem = match problem {
            Problem::Internal(error) => {
                tracing::error!(error, family = protocol.family().name(), "answered 503");
                Problem::Unavailable
            }
            other => other,
        };
        call.note_refused(&problem);
        protocol.refuse(&call, &problem)
    });
    call.finish(&mut reply);
    reply
}
