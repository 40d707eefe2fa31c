//! `tally tail`: events as they come.

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use ulid::Ulid;

use super::common::Common;
use super::error::CliError;
use super::events::{Event, Page};
use super::filters::Filters;
use super::out::Out;
use super::remote::{Query, Tally, segment};
use super::text::{Look, width};
use super::zone::Zone;

/// The wait between two looks: while events come, and at most.
const FAST: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(5);
/// The longest wait while the server does not answer.
const LONGEST: Duration = Duration::from_secs(30);
/// How far each look goes back: an event may be stored after one of a later time. With few events it costs little to look
/// further.
const OVERLAP: SignedDuration = SignedDuration::from_secs(10);
const LONG_OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// More events than this in one look make the next one look less far back.
const MANY: usize = 200;
/// Events in a page, and pages in a look.
const PAGE: usize = 1_000;
const PAGES: usize = 10;
/// Columns that names are aligned to, at most.
const NAMES: usize = 24;

/// What to follow.
#[derive(clap::Args)]
pub struct Tail {
    /// The app
    #[arg(env = "TALLY_APP")]
    app: String,
    /// Begins with what happened since then: `10m`, `today`, or a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Begins with so many events; all of them with --since
    #[arg(long, short = 'n', value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    lines: Option<u32>,
    /// Prints each event as JSON on a line
    #[arg(long)]
    json: bool,
    /// The time zone of what is shown, by default that of this machine
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    common: Common,
}

/// A running tail.
struct Following {
    tally: Tally,
    path: String,
    filters: Query,
    zone: Zone,
    json: bool,
    out: Out,
    /// The ids of events that were shown, or happened before, and that a look may find again.
    seen: HashSet<String>,
    /// The server's time up to which everything was read.
    read_to: Timestamp,
    overlap: SignedDuration,
    /// The day of the last event, and the columns of the longest name so far.
    day: String,
    names: usize,
}

impl Tail {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let zone = Zone::of(self.tz.as_deref())?;
        let tally = self.common.tally().await?;
        let mut following = Following {
            path: format!("/apps/{}/events", segment(&self.app)),
            filters: self.filters.query(),
            json: self.json,
            out: self.common.out(),
            seen: HashSet::new(),
            read_to: Timestamp::now(),
            overlap: LONG_OVERLAP,
            day: zone.show_at(Timestamp::now(), "%Y-%m-%d"),
            names: 0,
            tally,
            zone,
        };
        let lines = self.lines.unwrap_or(if self.since.is_some() { 10_000 } else { 10 });
        following.begin(self.since.as_deref(), usize::try_from(lines).unwrap_or(usize::MAX)).await?;
        following.follow().await
    }
}

impl Following {
    /// Shows the newest events there are.
    async fn begin(&mut self, since: Option<&str>, lines: usize) -> Result<(), CliError> {
        // What happened lately and is not among the lines is not new: the first look must not show it. An app that is not
        // there is told at once, however few lines are wanted.
        self.read_to = self.tally.now();
        let (lately, _) = self.pages(self.lately(), PAGE * PAGES).await?;
        let mut query = self.filters.clone();
        if let Some(since) = since {
            query.extend([("since".to_owned(), since.to_owned()), ("tz".to_owned(), self.zone.name.clone())]);
        }
        query.push(("consistent".to_owned(), "true".to_owned()));
        let items = if lines > 0 { self.pages(query, lines).await?.0 } else { Vec::new() };
        for item in lately.iter().chain(&items) {
            self.seen.insert(Event::read(item)?.id);
        }
        self.show(&items)
    }

    /// The query for what happened since the last look, and a little before.
    fn lately(&self) -> Query {
        let since = self.read_to.saturating_sub(self.overlap).unwrap_or(self.read_to);
        let mut query = self.filters.clone();
        query.extend([("since".to_owned(), since.to_string()), ("consistent".to_owned(), "true".to_owned())]);
        query
    }

    /// Looks for new events until the process ends.
    async fn follow(&mut self) -> Result<ExitCode, CliError> {
        let (mut wait, mut failed) = (FAST, false);
        loop {
            tokio::time::sleep(wait).await;
            match self.look().await {
                Ok(events) => {
                    wait = if events > 0 { FAST } else { (wait + wait / 4).min(SLOW) };
                    if failed {
                        self.out.note(&format!("{} answers again.", self.tally.name()))?;
                    }
                    failed = false;
                }
                Err(error) if error.may_pass() => {
                    if !failed {
                        self.out.note(&format!("tally: {error}; trying again"))?;
                    }
                    failed = true;
                    wait = (wait * 2).min(LONGEST);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads again what the last look may have missed, and shows what is new. Returns how many these are.
    async fn look(&mut self) -> Result<usize, CliError> {
        let started = self.tally.now();
        let (items, more) = self.pages(self.lately(), PAGE * PAGES).await?;
        let found = items.len();
        let mut new = Vec::new();
        for item in items {
            if self.seen.insert(Event::read(&item)?.id) {
                new.push(item);
            }
        }
        self.read_to = started;
        self.overlap = if found < MANY { LONG_OVERLAP } else { OVERLAP };
        // An id begins with its time.
        let oldest = self.read_to.saturating_sub(LONG_OVERLAP).unwrap_or(self.read_to).as_millisecond();
        let oldest = Ulid::from_parts(u64::try_from(oldest).unwrap_or_default(), 0).to_string();
        self.seen.retain(|id| *id >= oldest);
        if more {
            self.out.note(&format!("More than {} events at once: the oldest of them are not shown.", PAGE * PAGES))?;
        }
        self.show(&new)?;
        Ok(new.len())
    }

    /// The newest events of a query, at most so many, and whether there are more.
    async fn pages(&self, mut query: Query, most: usize) -> Result<(Vec<Box<RawValue>>, bool), CliError> {
        let mut items = Vec::new();
        for _ in 0..PAGES {
            query.push(("limit".to_owned(), (most - items.len()).min(PAGE).to_string()));
            let page: Page = self.tally.read(&self.path, &query).await?;
            items.extend(page.items);
            match page.next {
                Some(next) if items.len() < most => query = vec![("cursor".to_owned(), next)],
                next => return Ok((items, next.is_some())),
            }
        }
        Ok((items, true))
    }

    /// Prints events, which come newest first, in their order.
    fn show(&mut self, items: &[Box<RawValue>]) -> Result<(), CliError> {
        for item in items.iter().rev() {
            if self.json {
                self.out.json(item.get())?;
                continue;
            }
            let event = Event::read(item)?;
            // On a terminal days are told once; what goes elsewhere is searched line by line.
            let format = if self.out.is_terminal { "%H:%M:%S.%3f" } else { "%Y-%m-%d %H:%M:%S.%3f" };
            let day = self.zone.show(&event.timestamp, "%Y-%m-%d");
            if self.out.is_terminal && day != self.day {
                let day = self.out.paint(Look::Dim, &format!("-- {day}"));
                self.out.line(&day)?;
            }
            self.day = day;
            self.names = width(&event.name).min(NAMES).max(self.names);
            let line = event.line(&self.zone, format, self.names, &self.out);
            self.out.line(&line)?;
        }
        self.out.flush()
    }
}
