//! `tally alerts`: the alert rules of an app.

use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};

use super::ask_person::confirm;
use super::common::Common;
use super::error::CliError;
use super::grid::{Column, Grid};
use super::out::Out;
use super::parts::{items, text};
use super::remote::{Tally, segment};
use super::text::{Look, harmless};
use super::zone::Zone;

/// Rules that are listed at most; an app has fewer.
const MOST: usize = 1_000;
/// Transitions of a rule that are shown.
const HISTORY: usize = 10;

/// What to do with the alert rules of an app; by default, list them.
#[derive(clap::Args)]
pub struct Alerts {
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
    /// Lists the rules
    List,
    /// Shows a rule and when it fired
    Show {
        /// Its id or its name
        rule: String,
    },
    /// Switches a rule on
    Enable {
        /// Its id or its name
        rule: String,
    },
    /// Switches a rule off
    Disable {
        /// Its id or its name
        rule: String,
    },
    /// Lets a rule be silent for a while
    Snooze {
        /// Its id or its name
        rule: String,
        /// A time, or so long from now: `2h`
        until: String,
    },
    /// Sends a message to each channel of a rule, to try it. Fails if one did not take it
    Test {
        /// Its id or its name
        rule: String,
    },
    /// Deletes a rule
    Delete {
        /// Its id or its name
        rule: String,
        /// Does not ask
        #[arg(long, short)]
        yes: bool,
    },
}

impl Alerts {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let tally = self.common.tally().await?;
        let mut out = self.common.out();
        let path = format!("/apps/{}/alerts", segment(&self.app));
        let code = match self.action.unwrap_or(Action::List) {
            Action::List => {
                let rules = items(&tally, &path, Vec::new(), MOST).await?;
                list(&rules, self.json, &mut out)?;
                ExitCode::SUCCESS
            }
            Action::Show { rule } => {
                let reply = tally.get(&format!("{path}/{}", segment(&id(&tally, &path, &rule).await?)), &[]).await?;
                if self.json {
                    out.reply(&reply.body)?;
                } else {
                    show(&tally.parsed(&reply)?, &mut out)?;
                }
                ExitCode::SUCCESS
            }
            Action::Enable { rule } => {
                change(&tally, &path, &rule, &json!({"enabled": true}), self.json, &mut out).await?
            }
            Action::Disable { rule } => {
                change(&tally, &path, &rule, &json!({"enabled": false}), self.json, &mut out).await?
            }
            Action::Snooze { rule, until } => {
                change(&tally, &path, &rule, &json!({"snoozed_until": until}), self.json, &mut out).await?
            }
            Action::Test { rule } => {
                let path = format!("{path}/{}/test", segment(&id(&tally, &path, &rule).await?));
                let reply = tally.change(Method::POST, &path, None).await?;
                let body: Value = tally.parsed(&reply)?;
                if self.json {
                    out.reply(&reply.body)?;
                }
                tested(&body, self.json, &mut out)?
            }
            Action::Delete { rule, yes } => {
                let id = id(&tally, &path, &rule).await?;
                confirm(
                    &format!("Delete the alert rule `{}` of the app `{}`?", harmless(&rule), harmless(&self.app)),
                    yes,
                )
                .await?;
                tally.change(Method::DELETE, &format!("{path}/{}", segment(&id)), None).await?;
                out.note(&format!("The rule {} is deleted.", harmless(&id)))?;
                ExitCode::SUCCESS
            }
        };
        out.flush()?;
        Ok(code)
    }
}

/// The id of a rule that is named by its id or its name.
async fn id(tally: &Tally, path: &str, rule: &str) -> Result<String, CliError> {
    let rules = items(tally, path, Vec::new(), MOST).await?;
    if let Some(exact) = rules.iter().find(|one| one["id"] == rule) {
        return Ok(exact["id"].as_str().unwrap_or(rule).to_owned());
    }
    let named: Vec<_> = rules.iter().filter(|one| one["name"] == rule).filter_map(|one| one["id"].as_str()).collect();
    match named[..] {
        [id] => Ok(id.to_owned()),
        [] => Err(CliError::Refused {
            status: 404,
            detail: format!("no rule has the id or the name `{}`", harmless(rule)),
        }),
        _ => Err(CliError::Usage(format!("several rules are named `{}`: {}", harmless(rule), named.join(", ")))),
    }
}

async fn change(
    tally: &Tally,
    path: &str,
    rule: &str,
    body: &Value,
    json: bool,
    out: &mut Out,
) -> Result<ExitCode, CliError> {
    let path = format!("{path}/{}", segment(&id(tally, path, rule).await?));
    let reply = tally.change(Method::PATCH, &path, Some(body)).await?;
    if json {
        out.reply(&reply.body)?;
    } else {
        let rule: Value = tally.parsed(&reply)?;
        out.note(&format!("{}: {}", name(&rule), state(&rule)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a rule, or what it says.
fn name(rule: &Value) -> String {
    let name = text(rule, "name");
    if name.is_empty() { text(rule, "id") } else { name }
}

/// What a rule does at present.
fn state(rule: &Value) -> String {
    if rule["enabled"] == Value::Bool(false) {
        "off".to_owned()
    } else if let Some(until) = rule["snoozed_until"].as_str().and_then(|until| until.parse::<jiff::Timestamp>().ok())
        && until > jiff::Timestamp::now()
    {
        "snoozed".to_owned()
    } else {
        text(rule, "state")
    }
}

fn look(state: &str) -> Look {
    match state {
        "firing" => Look::Code("31"),
        "ok" => Look::Code("32"),
        _ => Look::Dim,
    }
}

fn list(rules: &[Value], json: bool, out: &mut Out) -> Result<(), CliError> {
    if json {
        return out.json(&json!({ "items": rules }).to_string());
    }
    if rules.is_empty() {
        return out.note("There are no alert rules.");
    }
    let mut grid = Grid::new([
        Column::word("RULE"),
        Column::word("STATE"),
        Column::brief("NAME", 20),
        Column::text("WHAT IT DOES"),
    ]);
    for rule in rules {
        let state = state(rule);
        let look = look(&state);
        grid.row([
            (text(rule, "id"), Look::Bold),
            (state, look),
            (text(rule, "name"), Look::Plain),
            (text(rule, "sentence"), Look::Plain),
        ]);
    }
    out.grid(&grid)
}

fn show(rule: &Value, out: &mut Out) -> Result<(), CliError> {
    let zone = Zone::of(None)?;
    let state = state(rule);
    let since =
        rule["since"].as_str().map_or_else(String::new, |at| format!(" since {}", zone.show(at, "%Y-%m-%d %H:%M")));
    out.line(&format!("{}  {}{since}", out.paint(Look::Bold, &name(rule)), out.paint(look(&state), &state)))?;
    out.line(&text(rule, "sentence"))?;
    let history = rule["history"].as_array().map_or(&[][..], Vec::as_slice);
    if history.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let columns = [
        Column::word("WHEN"),
        Column::word("FROM"),
        Column::word("TO"),
        Column::number("VALUE"),
        Column::text("DELIVERIES"),
    ];
    let mut grid = Grid::new(columns);
    for one in history.iter().take(HISTORY) {
        let deliveries = one["deliveries"].as_array().map_or(&[][..], Vec::as_slice);
        let deliveries = deliveries.iter().map(|one| format!("{} {}", text(one, "type"), text(one, "status")));
        grid.row([
            (zone.show(one["at"].as_str().unwrap_or_default(), "%Y-%m-%d %H:%M"), Look::Plain),
            (text(one, "from"), Look::Plain),
            (text(one, "to"), look(one["to"].as_str().unwrap_or_default())),
            (text(one, "value"), Look::Plain),
            (deliveries.collect::<Vec<_>>().join(", "), Look::Plain),
        ]);
    }
    out.grid(&grid)
}

fn tested(body: &Value, json: bool, out: &mut Out) -> Result<ExitCode, CliError> {
    let channels = body["items"].as_array().map_or(&[][..], Vec::as_slice);
    let delivered = channels.iter().all(|channel| channel["delivered"] == Value::Bool(true));
    if !json {
        for channel in channels {
            let said =
                if channel["delivered"] == Value::Bool(true) { "delivered".to_owned() } else { text(channel, "error") };
            out.line(&format!("{} {}: {said}", text(channel, "type"), text(channel, "channel")))?;
        }
        if channels.is_empty() {
            out.note("The rule has no channels: nobody would be told.")?;
        }
    }
    Ok(if delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
