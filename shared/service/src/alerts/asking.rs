//! What the window of a rule says.

use tally_core::alert::judge::{Verdict, verdict};
use tally_core::alert::minutes::Minutes;
use tally_core::alert::rule::Rule;
use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::time::{Range, Timestamp};

use crate::budget::ReadError;
use crate::report::windows::Windows;

/// What the window of a rule that ends at a time says.
pub(super) async fn ask(
    windows: &mut Windows<'_>,
    app: &App,
    rule: &Rule,
    filter: &CellFilter,
    end: Timestamp,
) -> Result<Verdict, ReadError> {
    let Some(range) = window(end, rule.window) else { return Ok(Verdict::TooEarly) };
    let before = rule.condition.against().and_then(|against| window(end - against.length(), rule.window));
    // What was before the app says nothing.
    if before.is_some_and(|before| before.since() < app.created_at) {
        return Ok(Verdict::TooEarly);
    }
    let now = windows.count(filter, range).await?;
    let before = match before {
        Some(before) => Some(windows.count(filter, before).await?),
        None => None,
    };
    Ok(verdict(&rule.condition, now, before))
}

/// The window of a rule that ends at a time.
pub(super) fn window(end: Timestamp, length: Minutes) -> Option<Range> {
    Range::new(end - length.length(), end).ok()
}
