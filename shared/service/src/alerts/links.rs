//! Links to the page.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tally_core::app::App;
use tally_core::time::Range;

/// The page of an app.
pub(super) fn page(page: &str, app: &App) -> String {
    format!("{page}/?app={}", escaped(app.slug.as_str()))
}

/// A range as parameters of the page.
pub(super) fn range_params(range: Range) -> String {
    format!("&since={}&until={}", escaped(&range.since().to_string()), escaped(&range.until().to_string()))
}

/// A text percent-encoded, for a query.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
