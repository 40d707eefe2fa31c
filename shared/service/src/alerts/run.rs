//! A run: what happens each minute.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use tally_core::time::Timestamp;
use tally_notify::Sender;

use super::deliver::{Delivered, Reports, deliver};
use super::evaluate::{Evaluated, evaluate};
use super::seal::SealError;
use crate::context::Context;

/// The number of apps that are judged at once.
const CONCURRENCY: usize = 8;
/// After how long no further app is judged: the next run goes on.
const TIME: Duration = Duration::from_secs(40);
/// After how long nothing more is sent before rules are judged, and from then on.
const SENDING: Duration = Duration::from_secs(20);
/// After how long nothing more is sent at all: a run has 60 s, and what has begun may take 10 s.
const SENDING_AT_ALL: Duration = Duration::from_secs(45);

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// The apps with rules.
    pub apps: usize,
    /// The apps whose rules could not be judged, or not in time.
    pub failed_apps: usize,
    /// What was judged.
    pub evaluated: Evaluated,
    /// What was sent.
    pub delivered: Delivered,
}

/// Sends what is due but reports, judges the rules of all apps, and sends what that found, then reports.
///
/// # Errors
/// Returns an error if the rules or the deliveries cannot be listed. What fails for one app is logged, and the next run goes on
/// there.
pub async fn run(context: &Context, sender: &Sender, now: Timestamp) -> Result<Ran, SealError> {
    let started = Instant::now();
    let (delivered, has_reports) = deliver(context, sender, now, Reports::Later, started + SENDING).await?;
    let mut ran = Ran { delivered, ..Ran::default() };
    let apps = context.store.all_alert_rules().await?;
    ran.apps = apps.len();
    let each = apps.into_iter().map(|(app, rules)| async move {
        let evaluated =
            if started.elapsed() < TIME { Some(Box::pin(evaluate(context, &app, rules, now)).await) } else { None };
        (app, evaluated)
    });
    let mut each = stream::iter(each.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY);
    while let Some((app, evaluated)) = each.next().await {
        match evaluated {
            Some(Ok(evaluated)) => {
                ran.evaluated.windows += evaluated.windows;
                ran.evaluated.transitions += evaluated.transitions;
            }
            Some(Err(error)) => {
                ran.failed_apps += 1;
                tracing::warn!(%error, app = app.as_str(), "could not judge alert rules; the next minute goes on");
            }
            None => {
                ran.failed_apps += 1;
                tracing::warn!(app = app.as_str(), "no time to judge alert rules; the next minute goes on");
            }
        }
    }
    drop(each);
    if ran.evaluated.transitions > 0 || has_reports {
        let end = (Instant::now() + SENDING).min(started + SENDING_AT_ALL);
        ran.delivered.add(deliver(context, sender, now, Reports::Last, end).await?.0);
    }
    Ok(ran)
}
