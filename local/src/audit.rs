//! `tally audit` and `tally recount`: compare the counters of an app with its events, and repair them.

use std::path::PathBuf;
use std::process::ExitCode;

use axum::body::Body;
use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::BodyExt;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Value, json};
use tally_core::app::AppSlug;
use tally_core::app::role::Role;
use tally_core::time::DAY;
use tower::ServiceExt;

use crate::server::{Missing, config, open, service};

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
    /// The folder that keeps the data, by default `.tally`. A Tally may be running on it.
    #[arg(long, env = "TALLY_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
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
/// unrepaired.
pub async fn run(audit: Audit, repair: bool) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let slug = AppSlug::of_name(&audit.app).map_err(|e| format!("--app: {e}"))?;
    let (context, poller) = open(audit.data.as_deref(), Missing::Refuse, config()?).await?;
    // If no Tally is running on the data, its stream is counted here.
    let poller = poller.map(|poller| tokio::spawn(poller.run(|_| {})));
    let key = tally_service::auth::token::signing_key(&context.store).await?;
    let (token, _) = key.sign("audit", Role::Admin, context.clock.now(), DAY)?;
    let router = service(&context);
    let path = format!("/apps/{slug}/{}", if repair { "recount" } else { "audit" });
    let mut body = json!({"since": audit.since, "until": audit.until});
    let progress = ProgressBar::new_spinner();
    let (mut days, mut differing, mut counted, mut stored) = (0, 0, 0, 0);
    let complete = loop {
        let request = Request::post(&path).header(AUTHORIZATION, format!("Bearer {token}"));
        let Ok(reply) = router.clone().oneshot(request.body(Body::from(body.to_string()))?).await;
        let status = reply.status();
        let text = reply.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&text).unwrap_or_default();
            return Err(problem["detail"].as_str().unwrap_or("refused").into());
        }
        let reply: Reply = serde_json::from_slice(&text)?;
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
    if let Some(poller) = poller {
        poller.abort();
    }
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
