//! `tally query`: events of a range, the newest first.

use std::process::ExitCode;

use super::common::Common;
use super::error::CliError;
use super::events::{Event, FIELDS, Page};
use super::filters::{Filters, Range};
use super::grid::{Column, Grid};
use super::out::{Out, row};
use super::remote::{Query, segment};
use super::text::{Look, harmless};
use super::zone::Zone;

/// Events in a page.
const PAGE: usize = 1_000;
/// Columns of a terminal that shows times in full.
const WIDE: usize = 100;
/// Pages in a row without an event, after which nothing is found soon.
const EMPTY_PAGES: usize = 100;

/// Which events to show.
#[derive(clap::Args)]
pub struct QueryEvents {
    /// The app
    #[arg(env = "TALLY_APP")]
    app: String,
    /// How many events at most
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Prints each event as JSON on a line
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Prints the events as CSV
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    common: Common,
}

impl QueryEvents {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let zone = Zone::of(self.range.tz.as_deref())?;
        let tally = self.common.tally().await?;
        let mut out = self.common.out();
        let path = format!("/apps/{}/events", segment(&self.app));
        let mut query: Query = self.filters.query();
        query.extend(self.range.query(&zone.name));
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let (mut shown, mut empty) = (0, 0);
        if self.csv {
            out.bytes(row(FIELDS).as_bytes())?;
        }
        let next = loop {
            query.push(("limit".to_owned(), (limit - shown).min(PAGE).to_string()));
            let page: Page = tally.read(&path, &query).await?;
            self.print(&page, &zone, shown == 0, &mut out)?;
            shown += page.items.len();
            empty = if page.items.is_empty() { empty + 1 } else { 0 };
            match page.next {
                Some(next) if shown < limit && empty < EMPTY_PAGES => query = vec![("cursor".to_owned(), next)],
                Some(_) if empty == EMPTY_PAGES => {
                    let to = page
                        .searched_to
                        .map_or_else(String::new, |to| format!(" before {}", zone.show(&to, "%Y-%m-%d %H:%M:%S")));
                    out.note(&format!(
                        "Nothing more was found so far; what happened{to} was not looked at: --until goes on there."
                    ))?;
                    break None;
                }
                next => break next,
            }
        };
        if shown == 0 && !self.json && !self.csv {
            out.note("No events match.")?;
        } else if next.is_some() && out.is_terminal {
            out.note(&format!("There are more: these are the newest {shown} (--limit)."))?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, page: &Page, zone: &Zone, is_first: bool, out: &mut Out) -> Result<(), CliError> {
        if self.json {
            return page.items.iter().try_for_each(|item| out.json(item.get()));
        }
        let columns = [
            Column::word("TIME"),
            Column::word("LEVEL"),
            Column::brief("NAME", 16),
            Column::text("MESSAGE"),
            Column::brief("USER", 12),
        ];
        // Where lines are short, what happened matters more than the year.
        let time = if out.room.is_some_and(|room| room < WIDE) { "%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S.%3f" };
        let mut grid = Grid::new(columns);
        for item in &page.items {
            let event = Event::read(item)?;
            if self.csv {
                let line = event.csv();
                let line = if out.is_terminal { format!("{}\n", harmless(line.trim_end())) } else { line };
                out.bytes(line.as_bytes())?;
                continue;
            }
            // What has no message is told by its data.
            let (said, look) = match &event.message {
                Some(_) => (event.said(), Look::Plain),
                None => (format!("{} {}", event.said(), event.facts()).trim().to_owned(), Look::Dim),
            };
            let user = harmless(event.user_id.as_deref().unwrap_or_default()).into_owned();
            grid.row([
                (zone.show(&event.timestamp, time), Look::Dim),
                (harmless(event.level()).into_owned(), Look::of_level(event.level())),
                (harmless(&event.name).into_owned(), Look::Bold),
                (said, look),
                (user, Look::Code("36")),
            ]);
        }
        if self.csv || page.items.is_empty() {
            return Ok(());
        }
        let lines = grid.lines(out.room, out.color, out.unicode);
        lines.iter().skip(usize::from(!is_first)).try_for_each(|line| out.line(line))
    }
}
