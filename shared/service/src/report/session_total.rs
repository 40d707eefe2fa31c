//! Counts the occurrences of a session.

use tally_core::app::App;
use tally_core::event::filter::values::Values;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::id::{EventId, id_range};
use tally_core::time::{MILLISECOND, Range};
use tally_store::IndexPart;

use crate::budget::ReadError;
use crate::read::query::EventQuery;
use crate::read::reader::{End, walk};
use crate::read::ways::is_indexed;
use crate::reads::{Reads, Source};
use crate::report::count::{Total, each_event};

/// The occurrences of a session: from its index, or where sessions are not indexed from all events of the range. If the budget
/// ends, the total is what was counted up to then.
pub async fn session_total(
    reads: &Reads,
    app: &App,
    session_id: &str,
    range: Range,
    filter: &CellFilter,
) -> Result<Total, ReadError> {
    let mut total = Total::NOTHING;
    let session =
        EventFilter { session_id: Values::only(session_id.to_owned()), cell: filter.clone(), ..EventFilter::default() };
    let query = EventQuery::newest(range, session, usize::MAX / 2);
    if !is_indexed(app, &query) {
        let end = walk(reads, app, &query, |event| {
            // `count` is at most 1e9.
            total.count += i64::try_from(event.count).unwrap_or(0);
            true
        });
        total.complete = end.await? == End::Read { frontier: None };
        return Ok(total);
    }
    match add_session(reads, app, session_id, range, filter, &mut total.count).await {
        Err(ReadError::Spent(_)) => total.complete = false,
        counted => counted?,
    }
    Ok(total)
}

async fn add_session(
    reads: &Reads,
    app: &App,
    session_id: &str,
    range: Range,
    filter: &CellFilter,
    total: &mut i64,
) -> Result<(), ReadError> {
    for kept in app.layout.kept(range, reads.now) {
        let (since, until) = (kept.since(), kept.until());
        // The index stores an event's time only to the millisecond.
        let (from, to) = (since.ceil(MILLISECOND), until.floor(MILLISECOND));
        let parts = if from > to { [(since, until), (until, until)] } else { [(since, from), (to, until)] };
        for range in parts.into_iter().filter_map(|(since, until)| Range::new(since, until).ok()) {
            if !range.is_empty() {
                let index = Source::Index(IndexPart::Session(&app.id, session_id));
                each_event(reads, app, index, range, None, &mut |event| {
                    if filter.matches(&event.cell(), || Some(app.layout.group_of(event.id.at(), event.grouped())?.0)) {
                        // `count` is at most 1e9.
                        *total += i64::try_from(event.count).unwrap_or(0);
                    }
                    Ok(())
                })
                .await?;
            }
        }
        let Some(mut ids) = Range::new(from, to).ok().filter(|range| !range.is_empty()).map(id_range) else { continue };
        loop {
            let page = reads.counted_session(app, session_id, ids).await?;
            let matching = page.events.iter().filter(|event| {
                filter.matches(&event.cell, || Some(app.layout.group_of(event.id.at(), event.grouped())?.0))
            });
            // `count` is at most 1e9.
            *total += matching.map(|event| i64::try_from(event.count).unwrap_or(0)).sum::<i64>();
            match page.more_after.and_then(EventId::after) {
                Some(next) if next <= ids.1 => ids.0 = next,
                _ => break,
            }
        }
    }
    Ok(())
}
