//! `tally audit` and `tally recount`: compare the counters of an app with its events, and repair them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, request};
use http_body_util::BodyExt;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Value, json};
use tally_core::app::AppSlug;
use tally_core::app::role::Role;
use tally_core::time::DAY;
use tokio::task::JoinHandle;
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
    let auditor = Auditor::open(audit.data.as_deref()).await?;
    let body = json!({"since": audit.since, "until": audit.until});
    let progress = ProgressBar::new_spinner();
    let Found { days, differing, counted, stored, complete } = auditor.check(&slug, body, repair, &progress).await?;
    progress.finish_and_clear();
    auditor.close();
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

/// Audits every app of a data folder that no Tally serves, and prints the differences.
pub(crate) async fn check_all_apps(data: &Path) -> Result<Checked, Box<dyn std::error::Error>> {
    let auditor = Auditor::open(Some(data)).await?;
    let progress = ProgressBar::new_spinner();
    let mut checked = Checked { apps: 0, events: 0, differing: vec![] };
    for slug in auditor.apps().await? {
        progress.set_message(slug.to_string());
        let found = auditor.check(&slug, json!({}), false, &progress).await?;
        checked.apps += 1;
        checked.events += found.stored;
        if found.differing > 0 || !found.complete {
            checked.differing.push(slug);
        }
    }
    progress.finish_and_clear();
    auditor.close();
    Ok(checked)
}

/// What an audit found.
struct Found {
    days: usize,
    differing: usize,
    counted: i64,
    stored: i64,
    complete: bool,
}

/// Calls the functions of a data folder as an admin.
struct Auditor {
    router: Router,
    token: String,
    /// Where no Tally runs on the data, its stream is counted here.
    poller: Option<JoinHandle<()>>,
}

impl Auditor {
    async fn open(data: Option<&Path>) -> Result<Self, Box<dyn std::error::Error>> {
        let (context, poller) = open(data, Missing::Refuse, config()?).await?;
        let poller = poller.map(|poller| tokio::spawn(poller.run(|_| {})));
        let key = tally_service::auth::token::signing_key(&context.store).await?;
        let (token, _) = key.sign("audit", Role::Admin, context.clock.now(), DAY)?;
        Ok(Self { router: service(&context), token, poller })
    }

    fn close(self) {
        if let Some(poller) = self.poller {
            poller.abort();
        }
    }

    async fn ask(&self, request: request::Builder, body: Body) -> Result<Bytes, Box<dyn std::error::Error>> {
        let request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        let Ok(reply) = self.router.clone().oneshot(request.body(body)?).await;
        let status = reply.status();
        let text = reply.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&text).unwrap_or_default();
            return Err(problem["detail"].as_str().unwrap_or("refused").into());
        }
        Ok(text)
    }

    /// All apps.
    async fn apps(&self) -> Result<Vec<AppSlug>, Box<dyn std::error::Error>> {
        let mut apps = Vec::new();
        let mut path = "/apps".to_owned();
        loop {
            let page: Value = serde_json::from_slice(&self.ask(Request::get(&path), Body::empty()).await?)?;
            for app in page["items"].as_array().into_iter().flatten() {
                apps.push(AppSlug::of_name(app["id"].as_str().unwrap_or_default())?);
            }
            let Some(next) = page["next"].as_str() else { return Ok(apps) };
            // The id of an app: no character of it needs an escape.
            path = format!("/apps?next={next}");
        }
    }

    /// Audits an app, or recounts it, and prints the differences.
    async fn check(
        &self,
        slug: &AppSlug,
        mut body: Value,
        repair: bool,
        progress: &ProgressBar,
    ) -> Result<Found, Box<dyn std::error::Error>> {
        let path = format!("/apps/{slug}/{}", if repair { "recount" } else { "audit" });
        let mut found = Found { days: 0, differing: 0, counted: 0, stored: 0, complete: false };
        loop {
            let text = self.ask(Request::post(&path), Body::from(body.to_string())).await?;
            let reply: Reply = serde_json::from_slice(&text)?;
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
