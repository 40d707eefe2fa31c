//! What a transition tells of events, and its picture. It is read when it is told and stored nowhere: so what was erased meanwhile
//! is not told.

use tally_core::alert::filter::cell_filter;
use tally_core::alert::judge::Status;
use tally_core::alert::rule::{Condition, Rule};
use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::filter::EventFilter;
use tally_core::event::group::Group;
use tally_core::issue::Shown;
use tally_core::time::{HOUR, Range, TimeDelta, Timestamp};
use tally_notify::{Example, Report, is_fetchable};
use tally_store::{LogEntry, StoreError};

use super::asking::window;
use super::links::{self, escaped};
use super::summary::summary;
use crate::budget::Limits;
use crate::chart_link::VALID;
use crate::context::Context;
use crate::read::query::EventQuery;
use crate::read::reader::read_page;
use crate::reads::Reads;

/// The most read units that examples take.
const UNITS_OF_EXAMPLES: f64 = 20.0;
/// The longest title of an example, and of a chart, in bytes.
const MAX_TITLE: usize = 200;
/// How many windows of a rule its chart shows, and the shortest and the longest time.
const WINDOWS: i64 = 12;
const SHORTEST: TimeDelta = HOUR;
const LONGEST: TimeDelta = TimeDelta::days(28);
/// Up to these lengths, a chart has columns of minutes and of hours.
const MINUTELY: TimeDelta = TimeDelta::hours(6);
const HOURLY: TimeDelta = TimeDelta::days(3);
/// How long before and after an example the page shows events.
const AROUND: TimeDelta = TimeDelta::minutes(5);

/// What an issue is called in a notification, and which it is.
pub(super) struct Named {
    /// Its group.
    pub(super) id: String,
    /// Its title; none once its events were erased.
    pub(super) title: Option<String>,
    /// When it occurred first.
    pub(super) first_seen: Timestamp,
}

/// What is told beside what is stored.
#[derive(Default)]
pub(super) struct Content {
    /// The issue.
    pub(super) issue: Option<Named>,
    /// The report.
    pub(super) report: Option<Report>,
    /// The URL of a picture of the counts.
    pub(super) chart: Option<String>,
    /// The newest events that made a rule fire.
    pub(super) examples: Vec<Example>,
}

impl Content {
    /// Reads what a transition tells. A picture and examples that cannot be read are left out.
    ///
    /// # Errors
    /// Where the store fails to read an issue or a report.
    pub(super) async fn read(
        context: &Context,
        app: &App,
        rule: &Rule,
        entry: &LogEntry,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        if entry.issue.is_some() {
            return Ok(Self { issue: named(context, app, entry, now).await?, ..Self::default() });
        }
        if let Some(told) = entry.report {
            let periods = Range::new(told.since, entry.end).ok().zip(Range::new(told.before, told.since).ok());
            let Some((period, before)) = periods else { return Ok(Self::default()) };
            return Self::of_report(context, app, rule, [period, before], entry.at).await;
        }
        let chart = match entry.to {
            Status::Unknown => None,
            Status::Ok | Status::Firing => {
                or_none(chart(context, app, rule, shown_range(entry), entry.at).await, "a chart")
            }
        };
        let examples = or_none(examples(context, app, rule, entry).await, "examples");
        Ok(Self { chart, examples, ..Self::default() })
    }

    /// Reads what a report says of a period and the one before. Its picture is valid for 30 days from a time on, and left out
    /// where it cannot be made.
    ///
    /// # Errors
    /// Where the store fails to read the counts.
    pub(super) async fn of_report(
        context: &Context,
        app: &App,
        rule: &Rule,
        [period, before]: [Range; 2],
        at: Timestamp,
    ) -> Result<Self, StoreError> {
        let filter = cell_filter(&rule.filter).unwrap_or_default();
        let report = summary(&context.reads(), app, &filter, [period, before]).await?;
        let chart = or_none(chart(context, app, rule, Some(period), at).await, "a chart");
        Ok(Self { report: Some(report), chart, ..Self::default() })
    }
}

/// What was read, or nothing: a message goes without what it can do without.
fn or_none<T: Default>(read: Result<T, StoreError>, what: &'static str) -> T {
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, what, "a message goes without what could not be read");
        T::default()
    })
}

/// The issue that a transition tells of, as it is now.
async fn named(context: &Context, app: &App, entry: &LogEntry, now: Timestamp) -> Result<Option<Named>, StoreError> {
    let group = entry.issue.as_ref().and_then(|told| told.group.as_deref());
    let Some(group) = group.and_then(|group| group.parse::<Group>().ok()) else { return Ok(None) };
    let issue = context.store.issues_of(&app.id, &[group], now).await?.issues.remove(&group);
    Ok(issue.map(|stored| Named {
        id: group.to_string(),
        title: stored.issue.shown.as_ref().map(Shown::heading),
        first_seen: stored.issue.first_seen,
    }))
}

/// What the chart of a transition shows, and the page that it leads to: some windows up to the one that was judged.
pub(super) fn shown_range(entry: &LogEntry) -> Option<Range> {
    let length = (WINDOWS * entry.window.length()).clamp(SHORTEST, LONGEST);
    Range::new((entry.end - length).max(Timestamp::EPOCH), entry.end).ok()
}

/// A signed link to a picture of what a rule counts; none where receivers could not fetch it.
async fn chart(
    context: &Context,
    app: &App,
    rule: &Rule,
    range: Option<Range>,
    at: Timestamp,
) -> Result<Option<String>, StoreError> {
    let Some((page, range)) = context.config.page_url.as_ref().filter(|page| is_fetchable(page)).zip(range) else {
        return Ok(None);
    };
    let Some(key) = context.link_key.make(&context.store).await? else { return Ok(None) };
    let interval = match range.until() - range.since() {
        length if length <= MINUTELY => "MINUTE",
        length if length <= HOURLY => "HOUR",
        _ => "DAY",
    };
    let mut title = tally_core::alert::sentence::condition(rule);
    title.truncate(title.floor_char_boundary(MAX_TITLE));
    let zone = rule.schedule().map_or("UTC", |schedule| schedule.zone().name());
    let params = [
        ("since", range.since().to_string()),
        ("until", range.until().to_string()),
        ("interval", interval.to_owned()),
        ("tz", zone.to_owned()),
        ("title", title),
    ];
    let params = params.into_iter().map(|(name, value)| (name.to_owned(), value));
    let filter = rule.filter.iter().flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone())));
    let query = key.signed(&app.id, params.chain(filter).collect(), at + VALID);
    Ok(Some(format!("{page}/apps/{}/chart.png?{query}", escaped(app.slug.as_str()))))
}

/// The newest events of the window that made a rule fire by a rise; fewer or none where few reads do not find them.
async fn examples(context: &Context, app: &App, rule: &Rule, entry: &LogEntry) -> Result<Vec<Example>, StoreError> {
    let is_rise = match rule.condition {
        Condition::Above(_) => true,
        Condition::ChangesBy { .. } => entry.value.is_some_and(|value| value > 0.0),
        Condition::Below(_) | Condition::Issue(_) | Condition::Report(_) => false,
    };
    let range = window(entry.end, entry.window).filter(|_| is_rise && entry.to == Status::Firing);
    let (Some(range), Ok(filter)) = (range, cell_filter(&rule.filter)) else { return Ok(vec![]) };
    let limits = Limits::new(UNITS_OF_EXAMPLES, 0.0, context.config.read_time);
    let event_units = std::sync::Arc::clone(&context.event_units);
    let reads = Reads::new(context.store.clone(), limits, event_units, context.clock.now());
    let page = read_page(&reads, app, &EventQuery::newest(range, EventFilter::from(filter), Example::MAX)).await?;
    Ok(page.events.iter().map(|event| example(context, app, event)).collect())
}

fn example(context: &Context, app: &App, event: &Event) -> Example {
    let at = event.at(app.clock);
    let mut title = event.message.as_ref().map_or_else(
        || event.name.clone(),
        |message| if event.name.is_empty() { message.clone() } else { format!("{}: {message}", event.name) },
    );
    title.truncate(title.floor_char_boundary(MAX_TITLE));
    let url = context.config.page_url.as_ref().map(|page| {
        let around = Range::new((at - AROUND).max(Timestamp::EPOCH), at + AROUND).unwrap_or(Range::EMPTY);
        let page = links::page(page, app);
        format!("{page}&view=events&event={}{}", escaped(&event.id.to_string()), links::range_params(around))
    });
    Example { title, url, at }
}
