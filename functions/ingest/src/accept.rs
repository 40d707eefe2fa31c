//! Accepting drafts, with what a request's context holds.

use tally_core::app::App;
use tally_core::app::key::KeyId;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_http::guard::Caller;
use tally_service::context::Context;
use tally_service::ingest::accept::Intake;
use tally_service::ingest::quota::QuotaError;
use tally_service::ingest::rejection::Rejection;
use tally_store::Deadline;

/// The source of events that come through Tally's own interface.
pub(crate) const EVENTS: &str = "events";

/// What accepts the events of a request, by the deadline.
pub(crate) fn intake<'a>(
    context: &'a Context,
    app: &'a App,
    key: Option<&KeyId>,
    source: &'static str,
    deadline: Deadline,
) -> Intake<'a> {
    let Context { store, quotas, names, rejections, clock, .. } = context;
    let key = key.and_then(|id| app.keys.iter().find(|key| key.id == *id));
    Intake { store, quotas, names, rejections, now: clock.now(), app, key, source, deadline }
}

/// The key of a caller that is one.
pub(crate) fn key_of(caller: &Caller) -> Option<&KeyId> {
    match caller {
        Caller::Key(id) => Some(id),
        Caller::Anybody | Caller::User { .. } => None,
    }
}

/// Accepts one draft.
pub(crate) async fn accept_one(intake: Intake<'_>, draft: Draft) -> Result<Vec<Result<Event, Rejection>>, QuotaError> {
    let sample = draft.name.clone().or_else(|| draft.message.clone()).unwrap_or_default();
    intake.accept(vec![Ok(draft)], &|_| sample.clone()).await
}
