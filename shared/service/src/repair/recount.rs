//! Recounting: compares the counters of whole UTC days with the events that are stored, and corrects what differs, while
//! events keep arriving.
//!
//! The counter items of a day are read first, each with its version (how many updates it has had), then its events, then
//! barriers are put among them and waited for: all that was read is counted by then, if it ever will be. An item whose
//! version is still the same has seen no update meanwhile, so what it lacks, or has too much, was lost or damaged; it is
//! corrected on condition of that version. An item that has changed is looked at again, and after some rounds left to
//! another time. There is no lock, no clock, and no bound on how far the counters are behind.

mod concurrent;
mod difference;
mod expiry;
mod reading;
mod settling;
mod state;
mod stored;

use std::time::Duration;

use tally_core::app::App;
use tally_core::app::layout::MAX_AHEAD;
use tally_core::event::id::EventId;
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, Range, TimeDelta, Timestamp};
use tally_store::{Store, StoreError};
use tokio::time::Instant;

use self::difference::Found;
use self::expiry::may_expire;
use self::reading::Read;
use self::state::{Reading, State, Waiting, Work};

pub use self::difference::Difference;
pub use self::state::Purpose;

/// How long one call works: less than the 29 seconds after which API Gateway gives up.
const CALL: Duration = Duration::from_secs(20);
/// How long a call reads events before it puts barriers and waits for them.
const READ: Duration = Duration::from_secs(5);
/// What a call must have left to read on.
const LEAST: Duration = Duration::from_secs(8);
/// How often it is asked whether the barriers were met.
const POLL: Duration = Duration::from_millis(100);
/// How long barriers, and what is under way between calls, are kept, in microseconds.
const KEEP: TimeDelta = DAY;
/// What a call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Begin with the days that lie in a range, or all.
    Begin {
        /// From the day that holds this; none is from the first day of which no event may have expired.
        since: Option<Timestamp>,
        /// To the day before the one that begins here or later; none is to the last day that an event may have.
        until: Option<Timestamp>,
    },
    /// Go on with what an earlier call had no time for.
    Continue(EventId),
}

/// What a call did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What differed, in order of day and count; in a recount it is corrected.
    pub differences: Vec<Difference>,
    /// How many days of a shard it came to the end of.
    pub days: usize,
    /// Whether all is done, and nothing was left because it kept changing.
    pub complete: bool,
    /// What to go on with.
    pub next: Option<EventId>,
}

/// Why a recount does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// Events of a day may have expired, and counters outlive them.
    #[error(
        "events of {0} have expired or will within the hour, so that only their counts are left: choose a later `since`"
    )]
    Expiring(String),
    /// There is nothing under way by this name.
    #[error("nothing is under way by this name: leave it out to start again")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Works on for at most 20 seconds.
pub async fn work(
    store: &Store,
    clock: &Clock,
    app: &App,
    purpose: Purpose,
    job: &Job,
) -> Result<Progress, RecountError> {
    let (id, state) = match job {
        Job::Begin { since, until } => {
            let now = clock.now();
            let days = days(now, app, *since, *until)?;
            // Read before the events: what is marked later may not be among them.
            let uncounted = match purpose {
                Purpose::Recount => store.uncounted_days(&app.id, true).await?,
                Purpose::Audit => vec![],
            };
            (EventId::random(now), State::Reading(Reading(Work::new(purpose, days, uncounted))))
        }
        Job::Continue(id) => {
            let kept = store.recount_state(&app.id, &id.to_string()).await?;
            let state = kept.and_then(|kept| stored::read_text(&kept));
            (*id, state.filter(|state| state.work().purpose == purpose).ok_or(RecountError::Unknown)?)
        }
    };
    let end = Instant::now() + CALL;
    let mut worker = Worker { store, clock, app, id: id.to_string(), found: Found::default(), end };
    let (done, unsettled) = worker.run(state).await?;
    Ok(Progress {
        complete: done && unsettled == 0,
        days: worker.found.days,
        differences: worker.found.differences(),
        next: (!done).then_some(id),
    })
}

/// The whole days of a range, of which none may expire if it was named.
fn days(now: Timestamp, app: &App, since: Option<Timestamp>, until: Option<Timestamp>) -> Result<Range, RecountError> {
    let last = (now + MAX_AHEAD).floor(DAY) + DAY;
    let until = until.map_or(last, |until| until.ceil(DAY).min(last));
    let first = since.unwrap_or(Timestamp::EPOCH).floor(DAY);
    let mut day = first;
    while since.is_some() && day < until {
        if may_expire(app, day, now) {
            return Err(RecountError::Expiring(day.to_string()[..10].to_owned()));
        }
        day += DAY;
    }
    Ok(Range::new(first, until).unwrap_or(Range::EMPTY))
}

struct Worker<'a> {
    store: &'a Store,
    clock: &'a Clock,
    app: &'a App,
    id: String,
    found: Found,
    end: Instant,
}

impl Worker<'_> {
    /// Goes from state to state until all is done, or the time is up; returns whether it is done, and how many items could
    /// not be settled.
    async fn run(&mut self, mut state: State) -> Result<(bool, usize), StoreError> {
        let store = self.store;
        loop {
            let reading = match state {
                State::Reading(reading) => reading,
                State::Waiting(waiting) => {
                    if !self.is_met(&waiting).await? {
                        state = State::Waiting(waiting);
                        break;
                    }
                    waiting.settle(store, self.app, self.clock.now(), &self.id, &mut self.found).await?
                }
            };
            let now = Instant::now();
            if now + LEAST > self.end {
                state = State::Reading(reading);
                break;
            }
            let before = reading.0.days_read;
            let (days_read, waiting) = match reading.read(store, self.app, self.clock.now(), now + READ).await? {
                Read::Waiting(waiting) => (waiting.work.days_read, waiting),
                Read::Done(work) => {
                    if work.unsettled == 0 {
                        self.clear_uncounted(&work).await?;
                    }
                    store.forget_recount(&self.app.id, &self.id).await?;
                    return Ok((true, work.unsettled));
                }
            };
            self.found.days += days_read - before;
            store.put_barriers(&waiting.barriers, self.clock.now() + KEEP).await?;
            state = State::Waiting(waiting);
        }
        let unsettled = state.work().unsettled;
        let kept = stored::to_text(state);
        store.keep_recount(&self.app.id, &self.id, &kept, self.clock.now() + KEEP).await?;
        Ok((false, unsettled))
    }

    /// Clears the marks of days that lacked counts and are recounted.
    async fn clear_uncounted(&self, work: &Work) -> Result<(), StoreError> {
        let now = self.clock.now();
        // Events of a day may have expired: its counters still lack what they lacked.
        let recounted = work.uncounted_days().filter(|uncounted| !may_expire(self.app, uncounted.day, now));
        let cleared: Vec<_> = recounted.map(|uncounted| self.store.clear_uncounted(&self.app.id, uncounted)).collect();
        futures::future::try_join_all(cleared).await.map(drop)
    }

    /// Waits for barriers; whether they are met in time.
    async fn is_met(&self, waiting: &Waiting) -> Result<bool, StoreError> {
        loop {
            if self.store.unmet_barriers(&waiting.barriers, &waiting.owner).await? == 0 {
                return Ok(true);
            }
            if Instant::now() + POLL > self.end {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
