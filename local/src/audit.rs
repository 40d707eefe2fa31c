//! `tally audit` and `tally recount`: compare the counters of an app with its events, and repair them.

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
    let path = format!("/apps/{slug}/{}", if repair { "recount" } else { "audit" });
    let mut body = json!({"since": audit.since, "until": audit.until});
    let progress = ProgressBar::new_spinner();
    let (mut days, mut differing, mut counted, mut stored) = (0, 0, 0, 0);
    let complete = loop {
        let reply = tally.change(Method::POST, &path, Some(&body)).await?;
        let reply: Reply = tally.parsed(&reply)?;
        days += reply.days;
        counted += reply.counted;
        stored += reply.stored;
        differing += reply.differences.len();
        progress.set_message(format!("{days} days of a shard"));
        progress.tick();
        progress.suspend(|| reply.differences.iter().for_each(|difference| println!("{}", line(difference))));
        match reply.next {
            Some(next) => body = json!({"next": next}),
            None => break reply.complete,
        }
    };
    progress.finish_and_clear();
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
