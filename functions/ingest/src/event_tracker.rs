//! `POST /event-tracker/{key}/api/events/{EVENT}` and `…/{EVENT}/{NUM}`; see [`tally_http::compat::event_tracker`].

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use tally_core::event::draft::Draft;
use tally_http::compat::event_tracker::Envelope;
use tally_http::guard::{Target, TimeLeft};
use tally_http::name_in_path::name_and_number;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;

use crate::accept::accept;
use crate::events::answered;

pub(crate) async fn count(
    State(context): Shared,
    Target(app): Target,
    left: TimeLeft,
    Path((_, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (name, number) = name_and_number(&path);
    // A number too large for any is refused as one out of range.
    let count = number.map(|number| number.parse().unwrap_or(0));
    let draft = Draft { name: Some(name.to_owned()), count, ..Draft::default() };
    let verdicts = accept(&context, &app, vec![Ok(draft)], left.deadline()).await?;
    Ok(answered(verdicts, |_| json(StatusCode::CREATED, &Envelope::of(StatusCode::CREATED.as_u16()))))
}
