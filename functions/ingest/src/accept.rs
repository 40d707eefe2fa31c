//! Accepting drafts, with what a request's context holds.

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_service::context::Context;
use tally_service::ingest::accept::Intake;
use tally_service::ingest::quota::QuotaError;
use tally_store::Deadline;

pub(crate) use tally_service::ingest::accept::Rejection;

/// The source of events that come through Tally's own interface.
pub(crate) const EVENTS: &str = "events";

/// What accepts the events of a request, by the deadline.
pub(crate) fn intake<'a>(context: &'a Context, app: &'a App, source: &'static str, deadline: Deadline) -> Intake<'a> {
    let Context { store, quotas, rejections, clock, .. } = context;
    Intake { store, quotas, rejections, now: clock.now(), app, source, deadline }
}

/// Accepts one draft.
pub(crate) async fn accept_one(
    intake: Intake<'_>,
    draft: Draft,
) -> Result<Vec<Result<Event, Rejection>>, QuotaError> {
    let sample = draft.name.clone().or_else(|| draft.message.clone()).unwrap_or_default();
    intake.accept(vec![Ok(draft)], &|_| sample.clone()).await
}
