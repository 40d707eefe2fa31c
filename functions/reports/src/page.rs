//! Lists of counts in pages: as many rows as were asked for, or as a reply has room for, and a cursor to the rest.
//!
//! A cursor names the last row of its page by what the list is sorted by. Counts may change between two pages: a name
//! whose count moves it across the boundary comes twice, or not at all.

use serde::{Deserialize, Serialize};
use tally_core::app::AppId;
use tally_core::event::filter::EventFilter;
use tally_core::invalid::Invalid;
use tally_core::time::{Range, Timestamp, micros};
use tally_http::cursor::{CursorError, open, seal};
use tally_http::openapi::{Parameter, number, text};
use tally_http::parameters::{FromQuery, Params, SentParams};
use tally_http::problem::Problem;
use tally_http::reply::Room;

use crate::answer::{Compared, TimeRange};
use crate::statistic::{Asked, Statistic};

/// Most rows of a page. Fewer fit into a reply.
const MAX_LIMIT: u64 = 100_000;

/// A row of a list in pages.
pub(crate) trait Row: Serialize {
    /// What the list is sorted by, ascending. It names the row.
    fn place(&self) -> (i64, &str, &str);
}

/// A list as it was asked for.
pub(crate) struct AskedRows {
    pub(crate) filter: EventFilter,
    pub(crate) range: Range,
    /// The range to compare with, if that was asked for.
    pub(crate) previous: Option<Range>,
    pub(crate) after: Option<Place>,
    statistic: &'static str,
    limit: Option<usize>,
    /// The parameters as sent, without those for the place and size of the page.
    params: SentParams,
}

/// The last row of a page, as [`Row::place`] gives it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Place(pub(crate) i64, String, String);

#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "a")]
    app: String,
    #[serde(rename = "s")]
    statistic: String,
    #[serde(rename = "q")]
    params: SentParams,
    #[serde(rename = "r", with = "micros::range")]
    range: Range,
    /// The range to compare with, in microseconds.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    previous: Option<(i64, i64)>,
    #[serde(rename = "p")]
    after: Place,
    #[serde(rename = "l")]
    limit: Option<usize>,
}

impl Cursor {
    fn decode(text: &str, app: &AppId, statistic: Statistic) -> Result<Self, CursorError> {
        let cursor: Self = serde_json::from_slice(&open(text)?).map_err(|_| CursorError)?;
        let in_time = cursor.range.since() >= Timestamp::EPOCH && cursor.range.until() <= Timestamp::MAX;
        let its_own = cursor.app == app.as_str() && cursor.statistic == statistic.name();
        if in_time && its_own { Ok(cursor) } else { Err(CursorError) }
    }

    /// The range to compare with.
    fn previous(&self) -> Result<Option<Range>, CursorError> {
        let at = Timestamp::from_micros;
        let range = self.previous.map(|(since, until)| Range::new(at(since), at(until)));
        let range = range.transpose().map_err(|_| CursorError)?;
        let in_time = range.is_none_or(|range| range.since() >= Timestamp::EPOCH && range.until() <= Timestamp::MAX);
        if in_time { Ok(range) } else { Err(CursorError) }
    }
}

impl AskedRows {
    /// Reads the parameters of a statistic.
    pub(crate) fn read(mut params: Params, statistic: Statistic, asked: &Asked) -> Result<Self, Problem> {
        let limit = params.number("limit", 1, MAX_LIMIT);
        let Some(text) = params.text("cursor") else {
            let sent = params.remaining();
            let (filter, Compared { range, previous }) = params.read(|params| {
                let filter = EventFilter::read(params, asked.now);
                let alone = |range| Compared { range, previous: None };
                let range = match statistic {
                    Statistic::Totals => Some(alone(Range::ALL)),
                    Statistic::By(_) => Compared::read(params, asked.now),
                    _ => TimeRange::read(params, asked.now).map(|TimeRange(range)| alone(range)),
                };
                filter.zip(range)
            })?;
            return Ok(Self { filter, range, previous, after: None, statistic: statistic.name(), limit, params: sent });
        };
        let cursor = Cursor::decode(&text, &asked.app.id, statistic);
        let cursor = cursor.map_err(|e| Invalid::field("cursor", e.to_string()))?;
        let limits = params.limits();
        let previous = cursor.previous().map_err(|e| Invalid::field("cursor", e.to_string()))?;
        params.finish_as(&cursor.params)?;
        let filter = Params::of(cursor.params.clone()).within(limits).read(|params| {
            // The range of a cursor takes precedence, since `1h` means another by now.
            for of_range in ["since", "until", "tz", "week_start", "compare"] {
                params.text(of_range);
            }
            EventFilter::read(params, asked.now)
        })?;
        Ok(Self {
            filter,
            range: cursor.range,
            previous,
            after: Some(cursor.after),
            statistic: statistic.name(),
            limit: limit.or(cursor.limit),
            params: cursor.params,
        })
    }

    /// The rows of the page, and the cursor of the next one if there are more. The rows come in order.
    pub(crate) fn page<R: Row>(
        &self,
        app: &AppId,
        rows: impl Iterator<Item = R>,
    ) -> Result<(Vec<R>, Option<String>), Problem> {
        let after = self.after.as_ref().map(|Place(number, name, slug)| (*number, name.as_str(), slug.as_str()));
        let mut room = Room::default();
        let mut page: Vec<R> = Vec::new();
        for row in rows {
            if after.is_some_and(|after| row.place() <= after) {
                continue;
            }
            if self.limit.is_some_and(|limit| page.len() >= limit) || !room.take(&row)? {
                let next = page.last().map(|last| self.cursor(app, last.place()));
                return Ok((page, next));
            }
            page.push(row);
        }
        Ok((page, None))
    }

    fn cursor(&self, app: &AppId, (number, name, slug): (i64, &str, &str)) -> String {
        let cursor = Cursor {
            app: app.to_string(),
            statistic: self.statistic.to_owned(),
            params: self.params.clone(),
            range: self.range,
            previous: self.previous.map(|range| (range.since().micros(), range.until().micros())),
            after: Place(number, name.to_owned(), slug.to_owned()),
            limit: self.limit,
        };
        // Texts and numbers alone always serialize.
        seal(serde_json::to_vec(&cursor).unwrap_or_default())
    }
}

/// The parameters of a page.
pub(crate) fn paging() -> [Parameter; 2] {
    [
        Parameter::query(
            "limit",
            "Most rows in a page; by default as many as a reply has room for.",
            number(1, MAX_LIMIT),
        ),
        Parameter::query("cursor", "Continues after the page that gave this cursor as `next`.", text()),
    ]
}
