//! `tally issues`: the issues of an app.

use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};

use super::common::Common;
use super::error::CliError;
use super::filters::Range;
use super::grid::{Column, Grid};
use super::out::Out;
use super::parts::{counted, items, number, text};
use super::remote::{Query, Tally, segment};
use super::text::{Look, harmless};
use super::zone::Zone;
use crate::numbers::thousands;

/// Issues that are looked at to find one by the beginning of its id.
const SEARCHED: usize = 5_000;
/// Characters at the beginning of an id that name an issue, at least.
const SHORT: usize = 4;
/// The length of a whole id.
const WHOLE: usize = 17;
/// Releases that are shown.
const RELEASES: usize = 5;

/// What to do with the issues of an app; by default, list the open ones.
#[derive(clap::Args)]
pub struct Issues {
    /// The app
    app: String,
    #[command(subcommand)]
    action: Option<Action>,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists issues of the last 14 days, or of a range
    List(List),
    /// Shows an issue with its newest events
    Show {
        /// Its id, or the beginning of it
        issue: String,
    },
    /// Says that an issue is solved; it is open again when it occurs again
    Resolve {
        /// Their ids, or the beginnings of them
        #[arg(required = true)]
        issues: Vec<String>,
        /// Only events of releases to come open it again
        #[arg(long)]
        in_next_release: bool,
    },
    /// Says that an issue does not matter
    Ignore {
        /// Their ids, or the beginnings of them
        #[arg(required = true)]
        issues: Vec<String>,
        /// Until a time, for so long (`2d`), or until it occurred so many times more (a number)
        #[arg(long, value_name = "END")]
        until: Option<String>,
    },
    /// Opens an issue again
    Reopen {
        /// Their ids, or the beginnings of them
        #[arg(required = true)]
        issues: Vec<String>,
    },
}

/// Which issues to list.
#[derive(clap::Args)]
struct List {
    /// In this state, or all
    #[arg(long, default_value = "open", value_parser = ["open", "resolved", "ignored", "all"])]
    state: String,
    /// What comes first: what occurred last, what is newest, or what is most frequent
    #[arg(long, default_value = "last_seen", value_parser = ["last_seen", "first_seen", "count"])]
    sort: String,
    /// With this text in their title, name or place
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Of these levels
    #[arg(long, short, value_name = "LEVEL")]
    level: Option<String>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    limit: u32,
    #[command(flatten)]
    range: Range,
}

impl Default for List {
    fn default() -> Self {
        let text = |text: &str| text.to_owned();
        Self { state: text("open"), sort: text("last_seen"), q: None, level: None, limit: 50, range: Range::default() }
    }
}

impl Issues {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let tally = self.common.tally().await?;
        let mut out = self.common.out();
        let path = format!("/apps/{}/issues", segment(&self.app));
        match self.action.unwrap_or_else(|| Action::List(List::default())) {
            Action::List(which) => list(&tally, &path, which, self.json, &mut out).await?,
            Action::Show { issue } => {
                let id = id(&tally, &path, &issue).await?;
                let reply = tally.get(&format!("{path}/{}", segment(&id)), &[]).await?;
                if self.json { out.reply(&reply.body)? } else { show(&tally.parsed(&reply)?, &mut out)? }
            }
            Action::Resolve { issues, in_next_release } => {
                let mut body = json!({"state": "resolved"});
                if in_next_release {
                    body["resolved_in"] = json!("next release");
                }
                change(&tally, &path, &issues, &body, self.json, &mut out).await?;
            }
            Action::Ignore { issues, until } => {
                let mut body = json!({"state": "ignored"});
                if let Some(until) = until {
                    body["ignore_until"] = until.parse::<u64>().map_or_else(|_| json!(until), |times| json!(times));
                }
                change(&tally, &path, &issues, &body, self.json, &mut out).await?;
            }
            Action::Reopen { issues } => {
                change(&tally, &path, &issues, &json!({"state": "open"}), self.json, &mut out).await?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(tally: &Tally, path: &str, which: List, json: bool, out: &mut Out) -> Result<(), CliError> {
    let zone = Zone::of(which.range.tz.as_deref())?;
    let mut query: Query = which.range.query(&zone.name);
    let mut add = |name: &str, value: String| query.push((name.to_owned(), value));
    if which.state != "all" {
        add("state", which.state.clone());
    }
    add("sort", which.sort);
    add("limit", which.limit.min(100).to_string());
    for (name, value) in [("q", which.q), ("level", which.level)] {
        if let Some(value) = value {
            add(name, value);
        }
    }
    let issues = items(tally, path, query, usize::try_from(which.limit).unwrap_or(usize::MAX)).await?;
    if json {
        return out.json(&json!({ "items": issues }).to_string());
    }
    if issues.is_empty() {
        let state = if which.state == "all" { String::new() } else { format!("{} ", which.state) };
        return out.note(&format!("There are no {state}issues."));
    }
    let mut columns =
        vec![Column::word("ISSUE"), Column::word("LEVEL"), Column::number("COUNT"), Column::word("LAST SEEN")];
    if which.state == "all" {
        columns.push(Column::word("STATE"));
    }
    columns.extend([Column::text("TITLE"), Column::brief("PLACE", 16)]);
    let mut grid = Grid::new(columns);
    for issue in &issues {
        let level = text(issue, "level");
        let look = Look::of_level(&level);
        let mut cells = vec![
            // Enough to name it: the rest is as long again.
            (text(issue, "id").chars().take(10).collect(), Look::Bold),
            (level, look),
            (thousands(number(issue, "count")), Look::Plain),
            (zone.show(issue["last_seen"].as_str().unwrap_or_default(), "%m-%d %H:%M"), Look::Dim),
        ];
        if which.state == "all" {
            cells.push((state(issue), Look::Plain));
        }
        cells.extend([(text(issue, "title"), Look::Plain), (text(issue, "place"), Look::Dim)]);
        grid.row(cells);
    }
    out.grid(&grid)
}

fn state(issue: &Value) -> String {
    if issue["regressed"] == Value::Bool(true) { "regressed".to_owned() } else { text(issue, "state") }
}

/// The whole id of an issue that is named by the beginning of it.
async fn id(tally: &Tally, path: &str, named: &str) -> Result<String, CliError> {
    if named.len() >= WHOLE {
        return Ok(named.to_owned());
    }
    if named.len() < SHORT {
        return Err(CliError::Usage(format!(
            "`{}` is too short for an issue: at least {SHORT} characters",
            harmless(named)
        )));
    }
    let query = vec![("since".to_owned(), "365d".to_owned()), ("limit".to_owned(), "100".to_owned())];
    let found = items(tally, path, query, SEARCHED).await?;
    let mut ids: Vec<_> =
        found.iter().filter_map(|issue| issue["id"].as_str()).filter(|id| id.starts_with(named)).collect();
    ids.dedup();
    match ids[..] {
        [id] => Ok(id.to_owned()),
        [] => Err(CliError::Refused {
            status: 404,
            detail: format!("no issue of the last year begins with `{}`", harmless(named)),
        }),
        _ => Err(CliError::Usage(format!("several issues begin with `{}`: {}", harmless(named), ids.join(", ")))),
    }
}

async fn change(
    tally: &Tally,
    path: &str,
    issues: &[String],
    body: &Value,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    for named in issues {
        let id = id(tally, path, named).await?;
        let reply = tally.change(Method::PATCH, &format!("{path}/{}", segment(&id)), Some(body)).await?;
        if json {
            out.reply(&reply.body)?;
        } else {
            let issue: Value = tally.parsed(&reply)?;
            out.note(&format!("{}: {}", harmless(&id), text(&issue, "state")))?;
        }
    }
    Ok(())
}

fn show(issue: &Value, out: &mut Out) -> Result<(), CliError> {
    let zone = Zone::of(None)?;
    let time = |value: &Value, field: &str| zone.show(value[field].as_str().unwrap_or_default(), "%Y-%m-%d %H:%M");
    let level = text(issue, "level");
    out.line(&format!(
        "{}  {}  {}",
        out.paint(Look::of_level(&level), &level),
        out.paint(Look::Bold, &text(issue, "title")),
        out.paint(Look::Dim, &text(issue, "id"))
    ))?;
    let place = text(issue, "place");
    if !place.is_empty() {
        out.line(&format!("at {place}"))?;
    }
    let users = match number(issue, "users") {
        0 => String::new(),
        users => format!(" of {}", counted(users, "user")),
    };
    out.line(&format!(
        "{}: {}{users}, first {}, last {}",
        state(issue),
        counted(number(issue, "count"), "event"),
        time(issue, "first_seen"),
        time(issue, "last_seen")
    ))?;
    let releases = issue["releases"].as_array().map_or(&[][..], Vec::as_slice);
    if !releases.is_empty() {
        let shown = releases.iter().rev().take(RELEASES).filter_map(Value::as_str).map(harmless).collect::<Vec<_>>();
        out.line(&format!("releases: {}", shown.join(", ")))?;
    }
    let events = issue["events"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let mut grid =
        Grid::new([Column::word("EVENT"), Column::word("TIME"), Column::text("MESSAGE"), Column::brief("USER", 12)]);
    for event in events {
        grid.row([
            (text(event, "id"), Look::Dim),
            (zone.show(event["timestamp"].as_str().unwrap_or_default(), "%Y-%m-%d %H:%M:%S"), Look::Plain),
            (text(event, "message"), Look::Plain),
            (text(event, "user_id"), Look::Code("36")),
        ]);
    }
    out.grid(&grid)
}
