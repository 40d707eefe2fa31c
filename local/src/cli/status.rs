//! `tally status`: whether a Tally is well, on one screen.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::Common;
use super::error::CliError;
use super::grid::{Column, Grid};
use super::out::Out;
use super::parts::{items, number, text};
use super::remote::{Tally, segment};
use super::text::{Look, harmless};
use super::zone::{Zone, ago};
use crate::numbers::thousands;

/// Apps that are looked at.
const APPS: usize = 50;
/// Seconds that counters may lack of what was received. Counting takes 20 in the cloud.
const BEHIND: i64 = 120;

/// Which Tally to look at.
#[derive(clap::Args)]
pub struct Status {
    /// Prints JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

/// An app that was looked at.
struct Looked {
    app: String,
    overview: Value,
    /// Of how many seconds before the newest event counters know nothing, if these are too many.
    behind: Option<i64>,
}

impl Status {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let tally = self.common.tally().await?;
        let mut out = self.common.out();
        let health = match tally.get("/health", &[]).await {
            Ok(reply) => tally.parsed::<Value>(&reply)?["status"].as_str().unwrap_or("unknown").to_owned(),
            Err(CliError::Refused { detail, .. }) => detail,
            Err(error) => return Err(error),
        };
        let about: Value = tally.read("/", &[]).await?;
        // Its health is everybody's business: a container asks without a key.
        let who: Value = match tally.read("/auth", &[]).await {
            Err(CliError::NoCredential) => Value::Null,
            who => who?,
        };
        let (apps, more) = if who.is_null() { (Vec::new(), 0) } else { apps(&tally, &who).await? };
        let mut looked = Vec::new();
        for app in apps {
            looked.push(look(&tally, app).await?);
        }
        let behind = looked.iter().any(|one| one.behind.is_some());
        let is_well = health == "ok" && !behind;
        if self.json {
            let apps = looked.iter().map(|one| {
                json!({
                    "app": one.app, "events": one.overview["total"], "errors": one.overview["errors"],
                    "last_event_at": one.overview["last_event_at"], "counted_to": one.overview["counted_to"],
                    "behind_seconds": one.behind.unwrap_or(0),
                })
            });
            let apps: Value = apps.collect();
            let all = json!({
                "tally": tally.name(), "version": about["version"], "served": tally.is_served(), "health": health,
                "healthy": is_well, "who": who, "apps": apps, "more_apps": more,
            });
            out.json(&all.to_string())?;
        } else {
            show(&tally, &about, &who, &health, &looked, &mut out)?;
            if more > 0 {
                out.note(&format!("and {more} apps more: `tally apps` lists them all"))?;
            }
        }
        out.flush()?;
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The apps that whoever asks can see, and how many of them are not looked at.
async fn apps(tally: &Tally, who: &Value) -> Result<(Vec<String>, usize), CliError> {
    if let Some(app) = who["app"].as_str() {
        let reads = who["scopes"].as_array().is_some_and(|scopes| scopes.iter().any(|scope| scope == "read"));
        return Ok((if reads { vec![app.to_owned()] } else { Vec::new() }, 0));
    }
    let all = items(tally, "/apps", Vec::new(), 10_000).await?;
    let more = all.len().saturating_sub(APPS);
    Ok((all.iter().take(APPS).filter_map(|app| app["id"].as_str().map(str::to_owned)).collect(), more))
}

async fn look(tally: &Tally, app: String) -> Result<Looked, CliError> {
    let path = format!("/apps/{}", segment(&app));
    let overview: Value = tally.read(&format!("{path}/stats/overview"), &[]).await?;
    let now = tally.now();
    let at = |value: &Value| value.as_str().and_then(|at| at.parse::<Timestamp>().ok());
    // Nothing moves `counted_to` while nothing arrives: only an event that it does not include shows that counting is behind.
    let mut behind = None;
    let counted = at(&overview["counted_to"]);
    if counted.is_none_or(|counted| now.duration_since(counted).as_secs() > BEHIND) {
        let query = vec![("limit".to_owned(), "1".to_owned()), ("consistent".to_owned(), "true".to_owned())];
        // A key that reads only statistics may not look at events.
        let newest = match tally.read::<Value>(&format!("{path}/events"), &query).await {
            Ok(page) => at(&page["items"][0]["received_at"]),
            Err(CliError::Refused { status: 403, .. }) => None,
            Err(error) => return Err(error),
        };
        let counted = counted.unwrap_or(Timestamp::UNIX_EPOCH);
        behind = newest.map(|newest| newest.duration_since(counted).as_secs()).filter(|seconds| *seconds > BEHIND);
    }
    Ok(Looked { app, overview, behind })
}

fn show(
    tally: &Tally,
    about: &Value,
    who: &Value,
    health: &str,
    looked: &[Looked],
    out: &mut Out,
) -> Result<(), CliError> {
    let served = if tally.is_served() { "" } else { " (nothing serves it)" };
    out.line(&format!("{} {} at {}{served}", text(about, "name"), text(about, "version"), tally.name()))?;
    let look = if health == "ok" { Look::Code("32") } else { Look::Code("31") };
    out.line(&format!("health: {}", out.paint(look, &harmless(health))))?;
    if who.is_null() {
        return out.line("no key and no session: its apps are not looked at");
    }
    let user = text(who, "user");
    if user.is_empty() {
        let scopes = who["scopes"].as_array().map(|scopes| scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>());
        let scopes = scopes.unwrap_or_default().join(", ");
        out.line(&format!("key of the app `{}`: {}", text(who, "app"), harmless(&scopes)))?;
    } else {
        out.line(&format!("signed in as {user} ({})", text(who, "role")))?;
    }
    if looked.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let columns = [
        Column::text("APP"),
        Column::number("EVENTS IN 24 H"),
        Column::number("ERRORS"),
        Column::word("LAST EVENT"),
        Column::word("COUNTED"),
    ];
    let mut grid = Grid::new(columns);
    let (zone, now) = (Zone::of(None)?, tally.now());
    for one in looked {
        let errors = number(&one.overview, "errors");
        let last = one.overview["last_event_at"].as_str();
        let last = last.map_or_else(
            || "none".to_owned(),
            |at| at.parse().map_or_else(|_| zone.show(at, "%Y-%m-%d %H:%M"), |at| ago(at, now)),
        );
        let (counted, look) = match one.behind {
            None => ("up to date".to_owned(), Look::Code("32")),
            Some(seconds) => (format!("{} min behind", seconds / 60), Look::Code("31")),
        };
        grid.row([
            (harmless(&one.app).into_owned(), Look::Bold),
            (thousands(number(&one.overview, "total")), Look::Plain),
            (thousands(errors), if errors > 0 { Look::Code("31") } else { Look::Plain }),
            (last, Look::Plain),
            (counted, look),
        ]);
    }
    out.grid(&grid)
}
