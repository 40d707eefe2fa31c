//! An import into the data of this machine.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;
use tally_core::app::role::Role;
use tally_core::app::{AppSlug, EventClock};
use tally_core::time::HOUR;
use tally_service::apps::create::NewAppError;
use tally_service::context::Context;
use tokio::time::Instant;

use super::interrupt::{End, told_to_end};
use super::options::Import;
use super::send::Target;
use crate::backlog::Backlog;
use crate::numbers::thousands;
use crate::server::{Missing, config, open, service};

/// How often counters are checked while waiting for them.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait for counters that make no progress.
const STANDSTILL: Duration = Duration::from_secs(30);
/// How often waiting for counters is reported when the output is not a terminal.
const SAY: Duration = Duration::from_secs(5);

/// The data of this machine.
pub(super) struct Local {
    pub(super) folder: PathBuf,
    backlog: Backlog,
    /// Whether another process does the counting.
    served: bool,
}

/// The app on this machine that an import goes to, made where it does not exist.
pub(super) async fn local(import: &Import, slug: &AppSlug) -> Result<(Target, Local), Box<dyn std::error::Error>> {
    let mut config = config()?;
    config.secure_cookies = false;
    let events = config.tables.events.clone();
    let (context, poller) = open(import.data.as_deref(), Missing::MakeWhereNamed, config).await?;
    make_app(&context, &import.app).await?;
    let app = context.store.get_app(slug).await?.ok_or("the app is gone")?;
    if app.clock == EventClock::Received {
        eprintln!("warning: `{slug}` goes by the time of receipt, so that a second import counts everything again");
    }
    let key = tally_service::auth::token::signing_key(&context.store).await?;
    let (token, _) = key.sign("import", Role::Admin, context.clock.now(), 365 * 24 * HOUR)?;
    let folder = import.data.clone().unwrap_or_else(|| PathBuf::from(crate::server::DATA));
    let served = poller.is_none();
    if let Some(poller) = poller {
        tokio::spawn(poller.run(|_| {}));
    }
    let local = Local { backlog: Backlog::new(&folder, events), folder, served };
    let target = Target::Local { router: service(&context), context, app: Box::new(app), token };
    Ok((target, local))
}

async fn make_app(context: &Context, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let new = admin::NewApp { name: name.to_owned(), ..admin::NewApp::default() };
    match admin::create_app(&context.apps, new, &[]).await {
        Ok(_) | Err(NewAppError::Taken(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Local {
    /// Waits until everything is counted. If that does not happen, or waiting is disabled, prints what is left.
    pub(super) async fn wait(&self, end: &mut End) {
        // Without a stream to read there is nothing to report.
        let Ok(newest) = self.backlog.newest() else { return };
        let spinner = ProgressBar::new_spinner();
        let (mut least, mut moved, mut said) = (u64::MAX, Instant::now(), Instant::now());
        loop {
            let Ok(left) = self.backlog.left(newest) else { return };
            if left == 0 {
                spinner.finish_and_clear();
                return;
            }
            if left < least {
                (least, moved) = (left, Instant::now());
            }
            let text = format!("counting: {} left", thousands(left));
            spinner.set_message(text.clone());
            spinner.tick();
            let interrupted = tokio::select! {
                biased;
                () = told_to_end(end) => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            if interrupted || moved.elapsed() > STANDSTILL {
                spinner.finish_and_clear();
                let who = if self.served { "the Tally that runs goes on" } else { "the next start goes on" };
                println!("{text}; {who}.");
                return;
            }
            if spinner.is_hidden() && said.elapsed() > SAY {
                eprintln!("{text}");
                said = Instant::now();
            }
        }
    }
}
