//! Recounting: compares the counters of whole UTC days with the stored events and corrects differences, while events
//! keep arriving.
//!
//! A recount first reads a day's counter items, each with its version (the number of updates it has had). Then it reads
//! the day's events. Then it writes barriers to the shards and waits for them. Once they are met, every event that was
//! read is counted, if it ever will be. If an item still has the same version, it has had no update in the meantime, so
//! any difference is due to loss or damage. The correction is conditional on that version. An item that has changed is
//! checked again, and after several rounds is left for a later recount. This needs no lock and no clock, and the
//! counters may lag by any amount.

mod concurrent;
mod difference;
mod expiry;
mod reading;
mod settling;
mod state;
mod stored;

use std::collections::BTreeSet;
use std::time::Duration;

use tally_core::app::App;
use tally_core::app::layout::MAX_AHEAD;
use tally_core::event::id::EventId;
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, Range, TimeDelta, Timestamp};
use tally_store::{Store, StoreError, UncountedDay};
use tokio::time::Instant;

use self::difference::Found;
use self::expiry::may_expire;
use self::reading::Read;
use self::state::{Reading, State, Waiting, Work};

use super::distinct::{mark_day, remake};

pub use self::difference::Difference;
pub use self::state::Purpose;

/// How long one call works: less than the 29 seconds after which API Gateway times out.
const CALL: Duration = Duration::from_secs(20);
/// How long a call reads events before it writes barriers and waits for them.
const READ: Duration = Duration::from_secs(5);
/// The time a call must have left to continue reading.
const LEAST: Duration = Duration::from_secs(8);
/// How often barriers are polled.
const POLL: Duration = Duration::from_millis(100);
/// How long barriers and the state between calls are kept, in microseconds.
const KEEP: TimeDelta = DAY;
/// Of how many days that were asked for by name sketches are made anew: each is 25 reads and writes for each shard.
const MOST_NAMED: TimeDelta = TimeDelta::days(31);
/// What a call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Start a recount of the days in a range, or of all days.
    Begin {
        /// The first day is the one that contains this time. `None` means the first day whose events cannot have
        /// expired.
        since: Option<Timestamp>,
        /// The last day ends at this time or later. `None` means the last day that can have events.
        until: Option<Timestamp>,
    },
    /// Continue a recount that an earlier call did not finish.
    Continue(EventId),
}

/// The result of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The differences, ordered by day and count. A recount also corrects them.
    pub differences: Vec<Difference>,
    /// The number of days, summed over shards, that were read to the end.
    pub days: usize,
    /// The occurrences in the counters of the days whose comparison this call finished; before a correction.
    pub counted: i64,
    /// The occurrences in the stored events of those days.
    pub stored: i64,
    /// Whether everything is done, and no item was skipped because it kept changing.
    pub complete: bool,
    /// The state to continue from.
    pub next: Option<EventId>,
}

/// Why a recount cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// Events of a day may have expired, but counters outlive events.
    #[error(
        "events of {0} have expired or will within the hour, so that only their counts are left: choose a later `since`"
    )]
    Expiring(String),
    /// There is no recount in progress with this name.
    #[error("nothing is under way by this name: leave it out to start again")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Continues the recount for at most 20 seconds.
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
            // The marks are read before the events: a later mark may be for events that were not read.
            let uncounted = match purpose {
                Purpose::Recount => store.uncounted_days(&app.id, true).await?,
                Purpose::Audit => vec![],
            };
            if purpose == Purpose::Recount {
                mark_sketches(store, app, days, since.is_some(), &uncounted, now).await?;
            }
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
        counted: worker.found.counted,
        stored: worker.found.stored,
        differences: worker.found.differences(),
        next: (!done).then_some(id),
    })
}

/// Marks the sketches of days as stale that counting may have missed events of, and of all days that were asked for by name, as far
/// as they are few: of events that were counted before there were sketches, or whose sketches were damaged.
async fn mark_sketches(
    store: &Store,
    app: &App,
    range: Range,
    is_named: bool,
    uncounted: &[UncountedDay],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut days: BTreeSet<Timestamp> =
        uncounted.iter().map(|uncounted| uncounted.day).filter(|day| range.contains(*day)).collect();
    if is_named && range.until() - range.since() <= MOST_NAMED {
        let mut day = range.since();
        while day < range.until().min(now) {
            days.insert(day);
            day += DAY;
        }
    }
    for day in days {
        mark_day(store, app, day, now).await?;
    }
    Ok(())
}

/// Returns the whole days of a range. If a day was given explicitly, its events must not have expired.
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
    /// Runs from state to state until everything is done or the time is up. Returns whether it is done, and how many
    /// items could not be settled.
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
                Read::Done(mut work) => {
                    if work.purpose == Purpose::Recount {
                        let (app, now) = (self.app, self.clock.now());
                        let remade = remake(store, app, work.range, now, self.end).await?;
                        // An hour that takes longer than a call has is left as it is.
                        let comes_further = remade.made > 0 || self.found.days > 0;
                        if remade.out_of_time && comes_further {
                            state = State::Reading(Reading(work));
                            break;
                        }
                        work.unsettled += remade.unsettled + usize::from(remade.out_of_time);
                    }
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

    /// Clears the marks of days that lacked counts and are now recounted.
    async fn clear_uncounted(&self, work: &Work) -> Result<(), StoreError> {
        let now = self.clock.now();
        // Events of this day may have expired, so its counters may still lack counts.
        let recounted = work.uncounted_days().filter(|uncounted| !may_expire(self.app, uncounted.day, now));
        let cleared: Vec<_> = recounted.map(|uncounted| self.store.clear_uncounted(&self.app.id, uncounted)).collect();
        futures::future::try_join_all(cleared).await.map(drop)
    }

    /// Waits for barriers. Returns whether they are met in time.
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
