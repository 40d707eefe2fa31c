//! `tally export`: all events of an app, to a file or standard output. A file is written beside its place, with a note of how
//! far it is, so that the same command goes on after it was stopped at any moment.

mod page;
mod part;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use http::header::LINK;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use jiff::Timestamp;

use self::page::{Compression, Format, Page};
use self::part::{Part, State};
use super::common::Common;
use super::error::CliError;
use super::filters::{Filters, Range};
use super::out::Out;
use super::parts::counted;
use super::remote::{Query, Tally, segment};
use super::text::harmless_json;
use super::zone::Zone;
use crate::exchange::Reply;

/// Steps of the progress bar.
const STEPS: u64 = 1_000;

/// What to export.
#[derive(clap::Args)]
pub struct Export {
    /// The app
    #[arg(env = "TALLY_APP")]
    app: String,
    /// The file to write; one that ends with .gz or .zst is compressed. Without it, or with `-`, standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// `ndjson` has all of an event and can be imported again; `csv` is for spreadsheets
    #[arg(long, value_name = "FORMAT", default_value = "ndjson")]
    format: Format,
    /// The fields to write, in this order, with commas: such as `timestamp,name,data.plan`
    #[arg(long, value_name = "FIELDS")]
    fields: Option<String>,
    /// Replaces the file if it is there, and begins anew where an earlier export was stopped
    #[arg(long, short)]
    force: bool,
    /// Events in one request, at most 10,000
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    page: Option<u32>,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    common: Common,
}

impl Export {
    /// What to say when Ctrl-C stops it.
    pub(super) fn when_stopped(&self) -> Option<&'static str> {
        self.file().map(|_| "stopped; the same command goes on from here")
    }

    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|file| *file != Path::new("-"))
    }

    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let zone = Zone::of(self.range.tz.as_deref())?;
        let tally = self.common.tally().await?;
        let mut out = self.common.out();
        let path = format!("/apps/{}/export", segment(&self.app));
        let mut query: Query = vec![("format".to_owned(), self.format.name().to_owned())];
        query.extend(self.fields.iter().map(|fields| ("fields".to_owned(), fields.clone())));
        query.extend(self.filters.query());
        query.extend(self.range.query(&zone.name));
        match self.file().map(Path::to_owned) {
            Some(file) => self.to_file(&tally, &path, query, &file, &zone, &mut out).await?,
            None => self.to_stdout(&tally, &path, query, &mut out).await?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// Adds how many events the next page may have, which no cursor holds.
    fn sized(&self, mut query: Query) -> Query {
        query.extend(self.page.iter().map(|page| ("limit".to_owned(), page.to_string())));
        query
    }

    async fn to_stdout(&self, tally: &Tally, path: &str, mut query: Query, out: &mut Out) -> Result<(), CliError> {
        loop {
            let reply = tally.get(path, &self.sized(query)).await?;
            if out.is_terminal {
                // What is in events must not command the terminal. This is the same JSON; CSV is shown as it is read.
                out.bytes(harmless_json(&String::from_utf8_lossy(&reply.body)).as_bytes())?;
            } else {
                out.bytes(&reply.body)?;
            }
            out.flush()?;
            match next(&reply) {
                Some(cursor) => query = vec![("cursor".to_owned(), cursor)],
                None => return Ok(()),
            }
        }
    }

    async fn to_file(
        &self,
        tally: &Tally,
        path: &str,
        query: Query,
        file: &Path,
        zone: &Zone,
        out: &mut Out,
    ) -> Result<(), CliError> {
        let compression = Compression::of(file);
        let asked = form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
        let question = format!("{}{path}?{asked}", tally.name());
        let mut part = Part::open(file, &question, self.force)?;
        let mut state = part.state.clone();
        if state.bytes > 0 {
            let at = state
                .last
                .as_deref()
                .map_or_else(String::new, |last| format!(", {}", zone.show(last, "%Y-%m-%d %H:%M:%S")));
            out.note(&format!("Going on after {}{at}.", counted(state.events, "event")))?;
        }
        let bar = Bar::new(out.quiet, zone);
        while !state.done {
            let asked = match &state.next {
                Some(cursor) => vec![("cursor".to_owned(), cursor.clone())],
                None => query.clone(),
            };
            let reply = tally.get(path, &self.sized(asked)).await?;
            let page = Page::of(&reply.body, self.format, state.next.is_none(), state.fields.as_deref());
            let bytes = compression.compress(&reply.body)?;
            let next = next(&reply);
            state = State {
                events: state.events + page.events,
                bytes: state.bytes + bytes.len() as u64,
                first: state.first.or(page.first),
                last: page.last.or(state.last),
                fields: page.fields.or(state.fields),
                done: next.is_none(),
                next,
                question: question.clone(),
            };
            part.add(&bytes, &state)?;
            bar.show(&state);
        }
        bar.0.finish_and_clear();
        part.finish()?;
        let range = match (&state.first, &state.last) {
            (Some(first), Some(last)) => {
                format!(" from {} to {}", zone.show(first, "%Y-%m-%d %H:%M:%S"), zone.show(last, "%Y-%m-%d %H:%M:%S"))
            }
            _ => String::new(),
        };
        out.note(&format!(
            "{}{range}: {} in {}.",
            counted(state.events, "event"),
            HumanBytes(state.bytes),
            file.display()
        ))
    }
}

/// The cursor of the next page. Only that is taken of the address: requests go nowhere else.
fn next(reply: &Reply) -> Option<String> {
    let link = reply.headers.get(LINK)?.to_str().ok()?;
    let (address, parameters) = link.trim_start().strip_prefix('<')?.split_once('>')?;
    if !parameters.contains("rel=\"next\"") {
        return None;
    }
    let (_, query) = address.split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "cursor").map(|(_, cursor)| cursor.into_owned())
}

/// A bar of the time that is exported: how many events there are is not known.
struct Bar<'a>(ProgressBar, &'a Zone);

impl<'a> Bar<'a> {
    fn new(quiet: bool, zone: &'a Zone) -> Self {
        // It is drawn on standard error, and only if that is a terminal.
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(STEPS) };
        let style = ProgressStyle::with_template("{bar:30} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar, zone)
    }

    fn show(&self, state: &State) {
        let at = |text: &Option<String>| text.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
        let (Some(first), Some(last)) = (at(&state.first), at(&state.last)) else { return };
        let all = Timestamp::now().duration_since(first).as_millis().max(1);
        let part = last.duration_since(first).as_millis().clamp(0, all);
        self.0.set_position(u64::try_from(part * i128::from(STEPS) / all).unwrap_or_default());
        let to = self.1.show_at(last, "%Y-%m-%d %H:%M");
        self.0.set_message(format!("{}, {}, up to {to}", counted(state.events, "event"), HumanBytes(state.bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(link: &str) -> Option<String> {
        let mut headers = http::HeaderMap::new();
        headers.insert(LINK, link.parse().expect("a header"));
        next(&Reply { status: 200, headers, body: bytes::Bytes::new() })
    }

    #[test]
    fn a_link_tells_the_cursor_alone() {
        for link in [
            "<https://evil.example/x?cursor=a%2Bb>; rel=\"next\"",
            "</apps/a/export?limit=1&cursor=a%2Bb>; rel=\"next\"",
        ] {
            assert_eq!(linked(link).as_deref(), Some("a+b"));
        }
        assert_eq!(
            (linked("<x?cursor=a>; rel=\"prev\""), linked("x"), linked("<x>; rel=\"next\"")),
            (None, None, None)
        );
    }
}
