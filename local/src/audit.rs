//! `tally audit` and `tally recount`: compare the counters of an app with its events, and repair them.

use std::path::Path;
use std::process::ExitCode;

use http::Method;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Value, json};
use tally_core::app::AppSlug;

use crate::cli::{Tally, Which};

/// The range to check.
#[derive(clap::Args)]
pub struct Audit {
    /// The app.
    #[arg(long, env = "TALLY_APP")]
    app: String,
    /// The first day (UTC). The default is the first day whose events cannot have expired.
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
    /// The day after the last day (UTC). The default is all days.
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
    #[command(flatten)]
    which: Which,
}

#[derive(Deserialize)]
struct Reply {
    differences: Vec<Value>,
    days: usize,
    counted: i64,
    stored: i64,
    complete: bool,
    next: Option<String>,
}

/// Audits the counters, or recounts them if `repair` is set, and prints the differences. Fails if a difference is left
/// unrepaired. Without options it is about the data of this machine, on which a Tally may be running.
pub async fn run(audit: Audit, repair: bool) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let slug = AppSlug::of_name(&audit.app).map_err(|e| format!("--app: {e}"))?;
    let tally = Tally::named(&audit.which).await?;
    let body = json!({"since": audit.since, "until": audit.until});
    let progress = ProgressBar::new_spinner();
    let found = check(&tally, &slug, body, repair, &progress).await?;
    progress.finish_and_clear();
    let Found { days, differing, counted, stored, complete } = found;
    let verdict = match (differing, repair) {
        (0, _) if complete => "every counter is right".to_owned(),
        (0, _) => "no differences so far".to_owned(),
        (_, true) => format!("{differing} differences, repaired"),
        (_, false) => format!("{differing} differences; `tally recount --app {slug}` repairs them"),
    };
    println!("{days} days of a shard read, counted {counted}, stored {stored}: {verdict}.");
    if !complete {
        println!("Some counters kept changing while they were looked at: run it again when less arrives.");
    }
    Ok(if complete && (differing == 0 || repair) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the audits of all apps found.
pub(crate) struct Checked {
    /// Their number.
    pub(crate) apps: usize,
    /// The occurrences that their events have.
    pub(crate) events: i64,
    /// The apps with differences.
    pub(crate) differing: Vec<AppSlug>,
}

/// A page of apps.
#[derive(Deserialize)]
struct Apps {
    items: Vec<AppItem>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct AppItem {
    id: String,
}

/// Audits every app of a data folder, and prints the differences.
pub(crate) async fn check_all_apps(data: &Path) -> Result<Checked, Box<dyn std::error::Error>> {
    let tally = Tally::in_folder(data).await?;
    let progress = ProgressBar::new_spinner();
    let mut checked = Checked { apps: 0, events: 0, differing: vec![] };
    let mut next = None;
    loop {
        let query: Vec<_> = next.map(|next| ("next".to_owned(), next)).into_iter().collect();
        let page: Apps = tally.read("/apps", &query).await?;
        for app in page.items {
            let slug = AppSlug::of_name(&app.id)?;
            let found = check(&tally, &slug, json!({}), false, &progress).await?;
            checked.apps += 1;
            checked.events += found.stored;
            if found.differing > 0 || !found.complete {
                checked.differing.push(slug);
            }
        }
        next = page.next;
        if next.is_none() {
            progress.finish_and_clear();
            return Ok(checked);
        }
    }
}

/// What an audit found.
struct Found {
    days: usize,
    differing: usize,
    counted: i64,
    stored: i64,
    complete: bool,
}

/// Audits an app, or recounts it, and prints the differences.
async fn check(
    tally: &Tally,
    slug: &AppSlug,
    mut body: Value,
    repair: bool,
    progress: &ProgressBar,
) -> Result<Found, Box<dyn std::error::Error>> {
    let path = format!("/apps/{slug}/{}", if repair { "recount" } else { "audit" });
    let mut found = Found { days: 0, differing: 0, counted: 0, stored: 0, complete: false };
    loop {
        let reply = tally.change(Method::POST, &path, Some(&body)).await?;
        let reply: Reply = tally.parsed(&reply)?;
        found.days += reply.days;
        found.counted += reply.counted;
        found.stored += reply.stored;
        found.differing += reply.differences.len();
        progress.set_message(format!("{slug}: {} days of a shard", found.days));
        progress.tick();
        progress.suspend(|| reply.differences.iter().for_each(|difference| println!("{}", line(difference))));
        let Some(next) = reply.next else {
            found.complete = reply.complete;
            return Ok(found);
        };
        body = json!({"next": next});
    }
}

/// Formats a difference as a line.
fn line(difference: &Value) -> String {
    let text = |name: &str| difference[name].as_str().unwrap_or("-").to_owned();
    let what = match difference["message_hash"].as_str() {
        Some(hash) => format!("message {hash}"),
        None => format!("{} ({})", text("name"), text("category")),
    };
    format!(
        "{} {} {what}: counted {}, stored {}",
        text("day"),
        text("level"),
        difference["counted"],
        difference["stored"]
    )
}
