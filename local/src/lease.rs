//! Which of several servers over one database counts its stream, and which judges alerts and tidies.

use std::sync::Arc;
use std::time::Duration;

use tally_core::app::key::hex;
use tally_core::time::{TimeDelta, Timestamp};
use tally_service::context::Context;
use tally_store::{Held, Lease, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::stream_poller::{Retry, StreamPoller};

/// How long a lease is held that is not renewed. With [`LOOK`], another server takes over within a minute.
const HELD: TimeDelta = TimeDelta::seconds(40);
/// How often its holder renews it, with how far it has counted.
const RENEW: Duration = Duration::from_secs(10);
/// How often the others look whether it is free.
const LOOK: Duration = Duration::from_secs(10);

/// A server that wants a lease.
#[derive(Clone)]
pub(crate) struct Candidate {
    context: Arc<Context>,
    lease: Lease,
    owner: String,
}

/// A lease that this server has.
struct Lead {
    renewed: Instant,
    until: Timestamp,
}

impl Candidate {
    pub(crate) fn new(context: &Arc<Context>, lease: Lease) -> Self {
        Self { context: Arc::clone(context), lease, owner: hex(&rand::random::<[u8; 16]>()) }
    }

    async fn hold(&self, position: Option<&str>) -> Result<Option<Held>, StoreError> {
        let now = self.context.clock.now();
        self.context.store.hold_lease(self.lease, &self.owner, now, now + HELD, position).await
    }

    /// Waits until this server has the lease.
    async fn take(&self) -> (Lead, Held) {
        loop {
            let until = self.context.clock.now() + HELD;
            match self.hold(None).await {
                Ok(Some(held)) => return (Lead { renewed: Instant::now(), until }, held),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, lease = ?self.lease, "could not take a lease; it is tried again"),
            }
            sleep(LOOK).await;
        }
    }

    /// Renews the lease if it is time. False once this server does not have it any more.
    async fn keep(&self, lead: &mut Lead, position: Option<&str>) -> bool {
        if lead.renewed.elapsed() < RENEW {
            return true;
        }
        lead.renewed = Instant::now();
        let now = self.context.clock.now();
        match self.hold(position).await {
            Ok(Some(_)) => {
                lead.until = now + HELD;
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, lease = ?self.lease, "could not renew a lease");
                now < lead.until
            }
        }
    }

    /// Counts the stream while this server has the lease, forever.
    pub(crate) async fn count(self, mut poller: StreamPoller) {
        loop {
            let (mut lead, held) = self.take().await;
            poller.resume(held.position.as_deref());
            let mut retry = Retry::default();
            while self.keep(&mut lead, Some(&poller.told_position())).await {
                poller.step(&mut retry).await;
            }
        }
    }

    /// Holds the lease whenever it can, forever. `leads` tells whether it does.
    pub(crate) async fn stand(self, leads: watch::Sender<bool>) {
        loop {
            let (mut lead, _) = self.take().await;
            leads.send_replace(true);
            while self.keep(&mut lead, None).await {
                sleep(RENEW).await;
            }
            leads.send_replace(false);
        }
    }

    /// Gives the lease up, so that another server takes over sooner.
    pub(crate) async fn leave(&self) {
        if let Err(error) = self.context.store.leave_lease(self.lease, &self.owner).await {
            tracing::warn!(%error, lease = ?self.lease, "could not give up a lease; it ends by itself");
        }
    }
}
