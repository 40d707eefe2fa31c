//! Background tasks that run as long as the server: counting, judging alert rules, and keeping the database small.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tally_core::time::{MINUTE, TimeDelta};
use tally_notify::Sender;
use tally_service::context::Context;
use tally_service::source_maps;
use tally_store::Lease;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::housekeeping::Housekeeping;
use crate::large::Large;
use crate::lease::Candidate;
use crate::server::Stack;
use crate::stream_poller::StreamPoller;

/// How often expired items are deleted and free space is released.
const SWEEP: Duration = Duration::from_mins(1);
/// How often files of source maps are removed that have expired.
const SWEEP_MAPS: Duration = Duration::from_hours(24);
/// How long counted stream records accumulate before they are deleted.
const GATHER: Duration = Duration::from_secs(1);

/// How long after the end of a minute the alert rules are judged: what happened in it is counted by then.
const ALERTS_AFTER: TimeDelta = TimeDelta::seconds(15);

/// How long shutdown waits for the database to be merged into one file.
const SETTLE: Duration = Duration::from_secs(2);

/// The background tasks. They stop when told to.
pub(crate) struct Background {
    tasks: Vec<JoinHandle<()>>,
    end: End,
}

/// What is to be done after the last task.
enum End {
    /// The database is of this process.
    Settle(Arc<Housekeeping>),
    /// Others may go on.
    Leave(Vec<Candidate>),
}

impl Background {
    /// Those of a server with a database of its own.
    pub(crate) fn start(stack: &Stack, context: &Arc<Context>, large: &Large, sender: &Arc<Sender>) -> Self {
        let poller = stack.poller(context, stack.embedded.position_file());
        let (counted, news) = watch::channel(None);
        let polling = large.handle().spawn(poller.run(move |shards| {
            // The embedded database has one stream shard.
            let newest = shards.values().max();
            counted.send_if_modified(|counted: &mut Option<String>| {
                let moved = counted.as_ref() != newest;
                if moved {
                    *counted = newest.cloned();
                }
                moved
            });
        }));
        let table = context.config.tables.events.clone();
        let keeping = tokio::spawn(keep(Arc::clone(&stack.housekeeping), table, news));
        let (_, leads) = watch::channel(true);
        let alerting = tokio::spawn(alert(Arc::clone(context), Arc::clone(sender), leads.clone()));
        let sweeping = tokio::spawn(sweep_maps(Arc::clone(context), leads));
        let tasks = vec![polling, keeping, alerting, sweeping];
        Self { tasks, end: End::Settle(Arc::clone(&stack.housekeeping)) }
    }

    /// Those of a server that may share its database with others: it counts, if it may, and judges and tidies, while it has the leases.
    pub(crate) fn share(
        poller: Option<StreamPoller>,
        context: &Arc<Context>,
        large: &Large,
        sender: &Arc<Sender>,
    ) -> Self {
        let (leading, leads) = watch::channel(false);
        let judge = Candidate::new(context, Lease::Alerts);
        let mut tasks = vec![
            tokio::spawn(judge.clone().stand(leading)),
            tokio::spawn(alert(Arc::clone(context), Arc::clone(sender), leads.clone())),
            tokio::spawn(sweep_maps(Arc::clone(context), leads)),
        ];
        let mut candidates = vec![judge];
        if let Some(poller) = poller {
            let counter = Candidate::new(context, Lease::Stream);
            tasks.push(large.handle().spawn(counter.clone().count(poller)));
            candidates.push(counter);
        }
        Self { tasks, end: End::Leave(candidates) }
    }

    /// Stops the tasks and leaves the database complete in one file, or to other servers. Work that was only partly counted is
    /// counted again at the next start, as after a crash.
    pub(crate) async fn stop(self) {
        if let End::Settle(housekeeping) = &self.end {
            housekeeping.stop();
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        match self.end {
            End::Settle(housekeeping) => {
                let settled = tokio::task::spawn_blocking(move || housekeeping.settle());
                if let Ok(Ok(Err(error))) = timeout(SETTLE, settled).await {
                    tracing::warn!(%error, "could not empty the write-ahead log; the next start does");
                }
            }
            End::Leave(candidates) => {
                // It may be that nothing answers. Then the leases end by themselves.
                let _ = timeout(SETTLE, join_all(candidates.iter().map(Candidate::leave))).await;
            }
        }
    }
}

/// Judges the alert rules once in each minute, as the schedule does in the cloud, where this server `leads`.
async fn alert(context: Arc<Context>, sender: Arc<Sender>, leads: watch::Receiver<bool>) {
    loop {
        let now = context.clock.now();
        let next = (now - ALERTS_AFTER).floor(MINUTE) + MINUTE + ALERTS_AFTER;
        sleep(Duration::from_micros(u64::try_from((next - now).as_micros()).unwrap_or_default())).await;
        if !*leads.borrow() {
            continue;
        }
        if let Err(error) = alerts::judge(&context, &sender).await {
            tracing::warn!(%error, "could not judge the alert rules; the next minute tries again");
        }
    }
}

/// Removes the files of source maps that have expired, at the start and once a day.
async fn sweep_maps(context: Arc<Context>, mut leads: watch::Receiver<bool>) {
    let mut sweeps = interval(SWEEP_MAPS);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        sweeps.tick().await;
        // A server that does not lead sweeps when it does. Without a sender it leads forever.
        let _ = leads.wait_for(|leads| *leads).await;
        if let Err(error) = source_maps::sweep(&context).await {
            tracing::warn!(%error, "could not tidy the source maps; the next day tries again");
        }
    }
}

/// Deletes counted stream records as they accumulate, and expired items once a minute.
async fn keep(housekeeping: Arc<Housekeeping>, table: String, mut counted: watch::Receiver<Option<String>>) {
    let mut sweeps = interval(SWEEP);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_sweep = tokio::select! {
            _ = sweeps.tick() => true,
            news = counted.changed() => match news {
                Ok(()) => false,
                Err(_) => return,
            },
        };
        let newest = counted.borrow_and_update().clone();
        let (housekeeping, table) = (Arc::clone(&housekeeping), table.clone());
        let done = tokio::task::spawn_blocking(move || {
            if is_sweep {
                let deleted = housekeeping.delete_expired()?;
                if deleted > 0 {
                    tracing::info!(deleted, "deleted expired items");
                }
            }
            if let Some(newest) = newest {
                housekeeping.delete_counted(&table, &newest)?;
            }
            if is_sweep {
                housekeeping.shrink()?;
            }
            Ok::<_, dynoxide::DynoxideError>(())
        });
        match done.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not tidy the database; the next minute tries again"),
            Err(error) => tracing::error!(%error, "tidying the database failed"),
        }
        sleep(GATHER).await;
    }
}
