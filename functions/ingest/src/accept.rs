//! Accepting drafts, with what a request's context holds.

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_service::context::Context;
use tally_service::ingest::accept;
use tally_service::ingest::quota::QuotaError;
use tally_store::Deadline;

pub(crate) use tally_service::ingest::accept::Rejection;

/// Accepts drafts and stores them, by the deadline.
pub(crate) async fn accept(
    context: &Context,
    app: &App,
    drafts: Vec<Result<Draft, Rejection>>,
    deadline: Deadline,
) -> Result<Vec<Result<Event, Rejection>>, QuotaError> {
    let Context { store, quotas, clock, .. } = context;
    accept::accept(store, quotas, clock.now(), app, drafts, deadline).await
}
