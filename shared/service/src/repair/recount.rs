//! Recounting: holding the counters of whole UTC days to the events that are stored, and mending what differs, while
//! events keep arriving.
//!
//! The counter items of a day are read first, each with its version (how many updates it has had), then its events, then
//! barriers are put among them and waited for: all that was read is counted by then, if it ever will be. An item whose
//! version is still the same has seen no update meanwhile, so what it lacks, or has too much, was lost or damaged; it is
//! corrected on condition of that version. An item that has changed is looked at again, and after some rounds left to
//! another time. There is no lock, no clock, and no bound on how far the counters are behind.

mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use state::State;
use tally_core::app::App;
use tally_core::app::layout::MAX_AHEAD;
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::key::CounterKind;
use tally_core::event::id::EventId;
use tally_core::time::bucket::Granularity;
use tally_core::time::{DAY, HOUR, Range, TimeDelta, Timestamp};
use tally_store::StoreError;
use tokio::time::Instant;

use crate::context::Context;

/// How long one call works: less than the 29 seconds after which API Gateway gives up.
const CALL: Duration = Duration::from_secs(20);
/// How long a call reads events before it puts barriers and waits for them.
const READ: Duration = Duration::from_secs(5);
/// What a call must have left to read on.
const LEAST: Duration = Duration::from_secs(8);
/// How often it is asked whether the barriers were met.
const POLL: Duration = Duration::from_millis(100);
/// How long barriers, and what is under way between calls, are kept.
const KEEP: TimeDelta = DAY;
/// How long before they may expire events are no longer recounted.
const BEFORE_EXPIRY: TimeDelta = HOUR;
/// Requests under way at once.
const CONCURRENCY: usize = 16;

/// What to do about a counter that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Purpose {
    /// Tell.
    Audit,
    /// Tell and mend.
    Recount,
}

/// What a call is to do.
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
    /// What differed, in order of day and count; in a recount it is mended.
    pub differences: Vec<Difference>,
    /// How many days of a shard it came to the end of.
    pub days: usize,
    /// Whether all is done, and nothing was left because it kept changing.
    pub complete: bool,
    /// What to go on with.
    pub next: Option<EventId>,
}

/// A count that differs from the events of its day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The start of the day, in UTC.
    pub day: Timestamp,
    /// The kind of counters that it is in.
    pub kind: CounterKind,
    /// What is counted.
    pub what: CounterLabel,
    /// The counters in which it differs, the coarsest first.
    pub granularities: Vec<Granularity>,
    /// The occurrences that the coarsest of them count, of those buckets of the day that differ.
    pub counted: i64,
    /// The occurrences that are stored.
    pub stored: i64,
}

/// Why a recount does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// Events of a day may have expired, and counters outlive them.
    #[error("events of {0} have expired or will within the hour, and their counts are all that is left: begin later")]
    Expiring(String),
    /// There is nothing under way by this name.
    #[error("nothing is under way by this name: leave it out to begin anew")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Works on for at most 20 seconds.
pub async fn work(context: &Context, app: &App, purpose: Purpose, job: &Job) -> Result<Progress, RecountError> {
    let (id, state) = match job {
        Job::Begin { since, until } => {
            let days = days(context, app, *since, *until)?;
            // Read before the events: what is marked later may not be among them.
            let uncounted = match purpose {
                Purpose::Recount => context.store.uncounted_days(&app.id, true).await?,
                Purpose::Audit => vec![],
            };
            (EventId::random(context.clock.now()), State::new(purpose, days, uncounted))
        }
        Job::Continue(id) => {
            let kept = context.store.recount_state(&app.id, &id.to_string()).await?;
            let state = kept.and_then(|kept| State::read_text(&kept)).filter(|state| state.purpose() == purpose);
            (*id, state.ok_or(RecountError::Unknown)?)
        }
    };
    let mut worker = Worker { context, app, id, state, found: Found::default(), end: Instant::now() + CALL };
    let done = worker.run().await?;
    if done && worker.state.unsettled() == 0 {
        clear_uncounted(context, app, &worker.state).await?;
    }
    Ok(Progress {
        complete: done && worker.state.unsettled() == 0,
        days: worker.found.days,
        differences: worker.found.differences(),
        next: (!done).then_some(id),
    })
}

/// Clears the marks of days that lacked counts and were recounted.
async fn clear_uncounted(context: &Context, app: &App, state: &State) -> Result<(), StoreError> {
    let now = context.clock.now();
    // Of a day whose events may have expired the counters still lack what they lacked.
    let recounted = state.uncounted().filter(|uncounted| !may_expire(app, uncounted.day, now));
    all(recounted.map(|uncounted| context.store.clear_uncounted(&app.id, uncounted)).collect()).await?;
    context.forget_uncounted(&app.id);
    Ok(())
}

/// Whether events of a day may have expired, or may before a recount of it ends.
fn may_expire(app: &App, day: Timestamp, now: Timestamp) -> bool {
    // A shorter retention may begin within the day.
    let begin = app.layout.entries().iter().map(|entry| entry.from);
    let within = begin.filter(|from| day < *from && *from < day + DAY);
    let expiries = within.chain([day]).filter_map(|at| app.layout.expires_at(at));
    expiries.min().is_some_and(|at| at <= now + BEFORE_EXPIRY)
}

/// The whole days of a range, of which none may expire if it was named.
fn days(
    context: &Context,
    app: &App,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Range, RecountError> {
    let now = context.clock.now();
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
    context: &'a Context,
    app: &'a App,
    id: EventId,
    state: State,
    found: Found,
    end: Instant,
}

impl Worker<'_> {
    /// Works until all is done, or the time is up; whether it is done.
    async fn run(&mut self) -> Result<bool, StoreError> {
        let store = &self.context.store;
        loop {
            if !self.state.barriers().is_empty() {
                if !self.barriers_are_met().await? {
                    break;
                }
                self.state.settle(self.context, self.app, &self.id.to_string(), &mut self.found).await?;
                store.remove_barriers(self.state.barriers()).await?;
                self.state.clear_barriers();
            }
            let now = Instant::now();
            if now + LEAST > self.end {
                break;
            }
            let before = self.state.days_read();
            let more = self.state.read(self.context, self.app, now + READ).await?;
            self.found.days += self.state.days_read() - before;
            if !more {
                store.forget_recount(&self.app.id, &self.id.to_string()).await?;
                return Ok(true);
            }
            store.put_barriers(self.state.barriers(), self.context.clock.now() + KEEP).await?;
        }
        let kept = self.state.to_text();
        store.keep_recount(&self.app.id, &self.id.to_string(), &kept, self.context.clock.now() + KEEP).await?;
        Ok(false)
    }

    async fn barriers_are_met(&self) -> Result<bool, StoreError> {
        loop {
            if self.context.store.unmet_barriers(self.state.barriers(), self.state.owner()).await? == 0 {
                return Ok(true);
            }
            if Instant::now() + POLL > self.end {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// What a call has found so far.
#[derive(Debug, Default)]
struct Found {
    days: usize,
    sums: BTreeMap<(Timestamp, CounterKind, CounterLabel), ByGranularity>,
}

/// Counted and stored.
type ByGranularity = BTreeMap<Granularity, (i64, i64)>;

impl Found {
    fn add(
        &mut self,
        what: (Timestamp, CounterKind, CounterLabel),
        granularity: Granularity,
        counted: i64,
        stored: i64,
    ) {
        let sum = self.sums.entry(what).or_default().entry(granularity).or_default();
        sum.0 += counted;
        sum.1 += stored;
    }

    fn differences(self) -> Vec<Difference> {
        let differences = self.sums.into_iter().filter_map(|((day, kind, what), granularities)| {
            let (_, &(counted, stored)) = granularities.last_key_value()?;
            Some(Difference {
                day,
                kind,
                what,
                granularities: granularities.keys().rev().copied().collect(),
                counted,
                stored,
            })
        });
        differences.collect()
    }
}

/// Runs futures, several at once, in no particular order.
async fn all<T>(futures: Vec<impl Future<Output = Result<T, StoreError>>>) -> Result<Vec<T>, StoreError> {
    stream::iter(futures).buffer_unordered(CONCURRENCY).try_collect().await
}
