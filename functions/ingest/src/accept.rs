//! Accepting drafts, with what a request's context holds.

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_core::event::id::EventId;
use tally_http::guard::TimeLeft;
use tally_service::context::Context;
use tally_service::ingest::accept::{self, Drafts};
use tally_service::ingest::quota::QuotaError;
use tally_store::Deadline;

pub(crate) use tally_service::ingest::accept::Rejection;

/// Accepts one draft and stores it, by the deadline.
pub(crate) async fn accept(
    context: &Context,
    app: &App,
    draft: Draft,
    deadline: Deadline,
) -> Result<Result<Event, Rejection>, QuotaError> {
    let Context { store, quotas, clock, .. } = context;
    accept::accept(store, quotas, clock.now(), app, draft, deadline).await
}

/// Accepts many drafts and stores them, in the time that is left once they are read.
pub(crate) async fn accept_each(
    context: &Context,
    app: &App,
    drafts: &impl Drafts,
    left: TimeLeft,
) -> Result<Vec<Result<EventId, Rejection>>, QuotaError> {
    let Context { store, quotas, clock, .. } = context;
    accept::accept_each(store, quotas, clock.now(), app, drafts, |bytes| left.deadline_for(bytes)).await
}
