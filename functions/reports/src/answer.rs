//! What reports and statistics share: parameters, the parts of replies.

use schemars::JsonSchema;
use serde::Serialize;
use tally_core::time::moment::Calendar;
use tally_core::time::{Range, Timestamp};
use tally_http::parameters::{FromQuery, Params};
pub use tally_http::view::TimeRange;
use tally_http::view::compares;
use tally_service::report::count::{Counts, largest_first};

/// The range of a statistic, and the one to compare it with if that is asked for.
pub(crate) struct Compared {
    pub(crate) range: Range,
    pub(crate) previous: Option<Range>,
}

impl FromQuery for Compared {
    fn read(params: &mut Params, now: Timestamp) -> Option<Self> {
        let calendar = Calendar::read(params, now)?;
        let compares = compares(params);
        let (range, previous) = TimeRange::compared(params, &calendar)?;
        Some(Self { range, previous: compares.then_some(previous) })
    }
}

/// The period before, to which a reply compares.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PreviousRange")]
pub(crate) struct PreviousRange {
    since: Timestamp,
    until: Timestamp,
    /// False where counts of this period may be missing, and items without `previous` may have had some; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
}

impl PreviousRange {
    pub(crate) fn of(range: Range, complete: bool) -> Self {
        Self { since: range.since(), until: range.until(), complete: (!complete).then_some(false) }
    }
}

/// The occurrences of a name and slug.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NameCount<'a> {
    pub(crate) name: &'a str,
    pub(crate) slug: &'a str,
    pub(crate) count: i64,
}

/// Sums by name and slug, largest first, ties by name.
pub(crate) fn by_name_and_slug(counts: &Counts) -> Vec<NameCount<'_>> {
    let sums = counts.by(|cell| (cell.name(), cell.slug()));
    largest_first(sums).into_iter().map(|((name, slug), count)| NameCount { name, slug, count }).collect()
}
