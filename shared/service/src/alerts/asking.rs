//! What the window of a rule says.

use tally_core::alert::judge::{Verdict, verdict};
use tally_core::alert::minutes::Minutes;
use tally_core::alert::rule::Rule;
use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::time::{Range, Timestamp};

use crate::budget::ReadError;
use crate::report::windows::Windows;

/// With which windows a change may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// With those since the app was made: in one before, nothing was counted, and that is no news.
    SinceApp,
    /// With any in which something was counted, such as events that were imported.
    Counted,
}

/// What the window of a rule that ends at a time says.
pub(super) async fn ask(
    windows: &mut Windows<'_>,
    app: &App,
    rule: &Rule,
    filter: &CellFilter,
    (end, compared): (Timestamp, Compared),
) -> Result<Verdict, ReadError> {
    let Some(range) = window(end, rule.window) else { return Ok(Verdict::TooEarly) };
    let before = rule.condition.against().and_then(|against| window(end - against.length(), rule.window));
    let is_before_app = before.is_some_and(|before| before.since() < app.created_at);
    if is_before_app && compared == Compared::SinceApp {
        return Ok(Verdict::TooEarly);
    }
    let now = windows.count(filter, range).await?;
    let before = match before {
        Some(before) => Some(windows.count(filter, before).await?),
        None => None,
    };
    if is_before_app && before.is_some_and(|before| before.count == 0) {
        return Ok(Verdict::TooEarly);
    }
    Ok(verdict(&rule.condition, now, before))
}

/// The window of a rule that ends at a time.
pub(super) fn window(end: Timestamp, length: Minutes) -> Option<Range> {
    Range::new(end - length.length(), end).ok()
}
