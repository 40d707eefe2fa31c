//! `tally apps`: the apps of a Tally.

use std::process::ExitCode;
use std::time::Duration;

use http::Method;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::ask_person::confirm;
use super::common::Common;
use super::error::CliError;
use super::grid::{Column, Grid};
use super::out::Out;
use super::parts::{items, number, text};
use super::remote::{Tally, segment};
use super::text::{Look, harmless, pad, width};
use crate::numbers::thousands;

/// Apps that are listed at most.
const MOST: usize = 10_000;
/// The wait between two calls that erase, while there is nothing to erase yet.
const WAIT: Duration = Duration::from_secs(10);

/// What to do with apps; by default, list them.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct Apps {
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
    /// Lists the apps
    List,
    /// Makes an app, and prints its ingest key, which is shown only now
    Create {
        /// Its name
        name: String,
        /// Settings of the API, such as `retention_days=90` or `clock=received`
        #[arg(value_name = "SETTING=VALUE", value_parser = setting)]
        settings: Vec<(String, Value)>,
    },
    /// Shows the settings of an app
    Show {
        /// The app
        app: String,
    },
    /// Changes settings of an app
    Set {
        /// The app
        app: String,
        /// Such as `retention_days=90`, or `retention_days=null` for none
        #[arg(required = true, value_name = "SETTING=VALUE", value_parser = setting)]
        settings: Vec<(String, Value)>,
    },
    /// Erases an app with all of its events and keys
    Delete {
        /// The app
        app: String,
        /// Does not ask
        #[arg(long, short)]
        yes: bool,
        /// Goes on until nothing is left: seven minutes at least
        #[arg(long)]
        wait: bool,
    },
}

/// A setting: a value of JSON, or else a text.
pub(super) fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("must be SETTING=VALUE, such as retention_days=90")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

impl Apps {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let tally = self.common.tally().await?;
        let mut out = self.common.out();
        match self.action.unwrap_or(Action::List) {
            Action::List => list(&tally, self.json, &mut out).await?,
            Action::Create { name, settings } => {
                let mut body: Map<String, Value> = settings.into_iter().collect();
                body.insert("name".to_owned(), Value::String(name));
                let reply = tally.change(Method::POST, "/apps", Some(&Value::Object(body))).await?;
                if self.json {
                    out.reply(&reply.body)?;
                } else {
                    let app: Value = tally.parsed(&reply)?;
                    out.note(&format!(
                        "The app `{}` is made. Its ingest key, which is shown only now:",
                        text(&app, "id")
                    ))?;
                    out.line(&text(&app, "ingest_key"))?;
                }
            }
            Action::Show { app } => {
                let reply = tally.get(&format!("/apps/{}", segment(&app)), &[]).await?;
                if self.json { out.reply(&reply.body)? } else { settings(&tally.parsed(&reply)?, &mut out)? }
            }
            Action::Set { app, settings: changes } => {
                let body = Value::Object(changes.into_iter().collect());
                let reply = tally.change(Method::PATCH, &format!("/apps/{}", segment(&app)), Some(&body)).await?;
                if self.json { out.reply(&reply.body)? } else { settings(&tally.parsed(&reply)?, &mut out)? }
            }
            Action::Delete { app, yes, wait } => {
                let shown = harmless(&app);
                // Whoever is not there cannot be erased, and need not be asked about.
                tally.get(&format!("/apps/{}", segment(&app)), &[]).await?;
                confirm(&format!("Erase the app `{shown}` of {} with all of its events and keys?", tally.name()), yes)
                    .await?;
                erase(&tally, &app, wait, &mut out).await?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(tally: &Tally, json: bool, out: &mut Out) -> Result<(), CliError> {
    let apps = items(tally, "/apps", Vec::new(), MOST).await?;
    if json {
        return out.json(&json!({ "items": apps }).to_string());
    }
    let columns = [
        Column::word("APP"),
        Column::text("NAME"),
        Column::word("CREATED"),
        Column::word("CLOCK"),
        Column::word("RETENTION"),
        Column::number("SHARDS"),
    ];
    let mut grid = Grid::new(columns);
    for app in &apps {
        let retention =
            app["retention_days"].as_u64().map_or_else(|| "for ever".to_owned(), |days| format!("{days} days"));
        grid.row([
            (text(app, "id"), Look::Bold),
            (text(app, "name"), Look::Plain),
            (text(app, "created_at").chars().take(10).collect(), Look::Plain),
            (text(app, "clock"), Look::Plain),
            (retention, Look::Plain),
            (text(app, "shards"), Look::Plain),
        ]);
    }
    if apps.is_empty() { out.note("There are no apps: `tally apps create NAME` makes one.") } else { out.grid(&grid) }
}

/// The settings of an app, one a line.
fn settings(app: &Value, out: &mut Out) -> Result<(), CliError> {
    let Some(fields) = app.as_object() else { return Ok(()) };
    let names = fields.keys().map(|name| width(name)).max().unwrap_or_default();
    // As the API lists them, not by the alphabet.
    let first = ["id", "name", "created_at"];
    let (mut head, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| first.contains(&name.as_str()));
    head.sort_by_key(|(name, _)| first.iter().position(|first| first == name));
    for (name, value) in head.into_iter().chain(rest) {
        let value = if value.is_null() { "-".to_owned() } else { text(app, name) };
        let name = out.paint(Look::Dim, &pad(&harmless(name), names, false));
        out.line(&format!("{name}  {value}"))?;
    }
    Ok(())
}

async fn erase(tally: &Tally, app: &str, wait: bool, out: &mut Out) -> Result<(), CliError> {
    let path = format!("/apps/{}", segment(app));
    let progress = if out.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let mut deleted = 0;
    let done = loop {
        let reply = match tally.change(Method::DELETE, &path, None).await {
            Ok(reply) => reply,
            // The call before this one erased the last of it.
            Err(CliError::Refused { status: 404, .. }) if deleted > 0 || wait => break true,
            Err(error) => return Err(error),
        };
        let body: Value = tally.parsed(&reply)?;
        let now = number(&body, "deleted");
        deleted += now;
        progress.set_message(format!("{} erased", thousands(deleted)));
        progress.tick();
        let done = body["done"] == Value::Bool(true);
        if done || (now == 0 && !wait) {
            break done;
        }
        if now == 0 {
            tokio::time::sleep(WAIT).await;
        }
    };
    progress.finish_and_clear();
    let app = harmless(app);
    if done {
        out.note(&format!("The app `{app}` is erased: {} items.", thousands(deleted)))
    } else {
        out.note(&format!(
            "The app `{app}` and its keys stop within a minute, and {} items are erased. What came meanwhile is erased by the \
             same command after seven minutes, or at once with --wait.",
            thousands(deleted)
        ))
    }
}
