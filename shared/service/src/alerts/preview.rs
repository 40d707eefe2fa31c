//! What a rule would have done in the last days, from counters.

use tally_core::alert::filter::cell_filter;
use tally_core::alert::judge::{State, Status, Verdict, judge};
use tally_core::alert::minutes::Minutes;
use tally_core::alert::rule::Rule;
use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::time::{HOUR, MINUTE, Range, TimeDelta, Timestamp};

use super::asking::{Compared, ask};
use crate::budget::ReadError;
use crate::reads::Reads;
use crate::report::windows::Windows;

/// Windows up to this length are judged each minute, longer ones each hour.
const MINUTELY: TimeDelta = TimeDelta::hours(6);
/// The counters of so much time are read at once, the newest first.
const STEP: TimeDelta = TimeDelta::hours(12);
/// The most times of firing that are listed.
const MOST: usize = 1_000;

/// When a rule would have fired.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fired {
    /// The end of the first window.
    pub from: Timestamp,
    /// The end of the first window in which it did not fire any more; none if it fires still.
    pub to: Option<Timestamp>,
    /// The largest value meanwhile, up or down.
    pub value: f64,
    /// Whether that is a number of occurrences where there were none before, and no percentage.
    pub from_none: bool,
}

/// What a rule would have done.
#[derive(Clone, Debug)]
pub struct Preview {
    /// When it would have fired, in order.
    pub fired: Vec<Fired>,
    /// What was looked at.
    pub range: Range,
    /// Whether that is all that was asked for, and all of it could be judged.
    pub complete: bool,
}

/// Judges a rule as it would have been judged up to now, each minute. Windows of more than 6 hours are judged each hour.
///
/// # Errors
/// Returns an error if the store fails, or if the budget does not allow a single step.
pub async fn preview(reads: &Reads, app: &App, rule: &Rule, length: TimeDelta) -> Result<Preview, ReadError> {
    let step = if rule.window.length() <= MINUTELY { MINUTE } else { HOUR };
    // What happened a minute ago is counted, if counting runs.
    let until = (reads.now - MINUTE).floor(step);
    let since = (until - length).floor(step).max(Timestamp::EPOCH);
    let filter = cell_filter(&rule.filter).unwrap_or_default();
    let mut windows = Windows::new(reads, app, vec![filter.clone()]);
    let mut complete = true;
    // The newest first, so that a budget that ends has read what matters most.
    let mut covered = until;
    while covered > since {
        let from = (covered - STEP).max(since);
        let read = match step {
            MINUTE => fetch(&mut windows, rule, &filter, from, covered).await,
            _ => Ok(()),
        };
        match read {
            Ok(()) => covered = from,
            Err(ReadError::Spent(_)) if covered < until => {
                complete = false;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let mut state = State::new(covered);
    let mut fired: Vec<Fired> = vec![];
    let mut end = covered;
    while end < until {
        end += step;
        let found = match ask(&mut windows, app, rule, &filter, (end, Compared::Counted)).await {
            Ok(found) => found,
            Err(ReadError::Spent(_)) if end > covered + step => {
                complete = false;
                break;
            }
            Err(error) => return Err(error),
        };
        complete &= !matches!(found, Verdict::Unknown(_) | Verdict::TooEarly);
        let before = state.status;
        (state, _) = judge(rule, &state, end, &found, true, false);
        let (value, from_none) = match found {
            Verdict::Is(_, value) => (value, false),
            Verdict::FromNone(_, value) => (value, true),
            Verdict::Unknown(_) | Verdict::TooEarly => (0.0, false),
        };
        match (before, state.status) {
            (Status::Firing, Status::Firing) => {
                if let Some(last) = fired.last_mut()
                    && (from_none, value.abs()) > (last.from_none, last.value.abs())
                {
                    (last.value, last.from_none) = (value, from_none);
                }
            }
            (_, Status::Firing) if fired.len() == MOST => {
                complete = false;
                break;
            }
            (_, Status::Firing) => fired.push(Fired { from: end, to: None, value, from_none }),
            (Status::Firing, _) => {
                if let Some(last) = fired.last_mut() {
                    last.to = Some(end);
                }
            }
            _ => {}
        }
    }
    Ok(Preview { fired, range: Range::new(covered, end).unwrap_or(Range::EMPTY), complete })
}

/// Reads the counters of the windows that end between two times.
async fn fetch(
    windows: &mut Windows<'_>,
    rule: &Rule,
    filter: &CellFilter,
    since: Timestamp,
    until: Timestamp,
) -> Result<(), ReadError> {
    let before = rule.condition.against().map(Minutes::length);
    for shift in [Some(TimeDelta::ZERO), before].into_iter().flatten() {
        let first = (since - shift - rule.window.length()).floor(HOUR).max(Timestamp::EPOCH);
        if let Ok(range) = Range::new(first, until - shift) {
            windows.prefetch(filter, range).await?;
        }
    }
    Ok(())
}
