//! The read budget of a request: one bound on the units, the memory and the time of everything that it reads.
//!
//! Each read reserves what it may cost before it starts, so reads that run at once cannot overdraw the budget together.
//! What a read may cost is estimated from what similar reads of the request returned so far, and before the first of them
//! from the largest page of DynamoDB.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tally_store::StoreError;
use tokio::sync::Notify;

/// The bytes that a request may hold. A function has 256 MB and needs about 50 MB for itself, for a page while it is read,
/// and for its reply.
const BYTES: usize = 64 * MIB;
/// The maximum number of reads of a request at once.
const CONCURRENCY: usize = 32;
/// A part of a minute may take an eighth of the units, and a quarter of the time. The rest must do for the counters.
const UNITS_OF_PART: f64 = 8.0;
const TIME_OF_PART: u32 = 4;
/// The people of parts of hours may take a quarter of the units, and of the time.
const UNITS_OF_PEOPLE: f64 = 4.0;
/// The events of the newest minutes may take at most this share of the units, whatever their own limit.
const UNITS_OF_TAIL: f64 = 1.5;

const MIB: usize = 1024 * 1024;
/// The largest page of DynamoDB, in read units, if it is not strongly consistent.
const PAGE_UNITS: f64 = 128.0;
/// The largest event and the largest counter item, in read units.
const EVENT_UNITS: f64 = 50.0;
const COUNTER_UNITS: f64 = 10.0;
/// The bytes of memory of a read unit of counters: 8 KB, as JSON that escapes each byte.
const COUNTER_BYTES: f64 = 6.0 * 8192.0;
/// The bytes of memory of a read unit of events: 8 KB of numbers of one digit.
const EVENT_BYTES: f64 = 24.0 * 8192.0;
/// How much larger than the mean so far a read may be.
const MARGIN: f64 = 2.0;

/// The limits of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Read units. They may be infinite: then time and memory are all that ends.
    pub units: f64,
    /// Read units of the events of the newest minutes.
    pub tail: f64,
    /// Bytes that are held in memory.
    pub bytes: usize,
    /// The time in which reads may start.
    pub time: Duration,
}

impl Limits {
    /// The limits of a function, with a number of read units, how many of them the newest minutes may take, and a time.
    pub fn new(units: f64, tail: f64, time: Duration) -> Self {
        Self { units, tail: tail.min(units / UNITS_OF_TAIL), bytes: BYTES, time }
    }
}

/// What is left when the budget has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// The read units are used up.
    #[error("it reads more than one request may")]
    Units,
    /// What was read so far takes all the memory.
    #[error("it holds more than fits into the memory of one request")]
    Memory,
    /// The time is over.
    #[error("it takes longer than one request may")]
    Time,
}

/// Why a read gave no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The budget of the request has ended.
    #[error("{0}")]
    Spent(#[from] Spent),
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counters,
    Events,
    /// Events for a part of a minute: of the first in a range (0), or of another (1).
    Part(usize),
    /// Events of the newest minutes.
    Tail,
    /// Events that tell the names of a group.
    Names,
    /// Events that tell the people of a part of an hour, beside counters.
    People,
}

/// The places of the accounts of [`Kind::Tail`], [`Kind::Names`] and [`Kind::People`], after those of parts.
const TAIL: usize = 2;
const NAMES: usize = 3;
const PEOPLE: usize = 4;

impl Kind {
    /// What was read of events tells about all events.
    const fn seen(self) -> usize {
        match self {
            Self::Counters => 0,
            Self::Events | Self::Part(_) | Self::Tail | Self::Names | Self::People => 1,
        }
    }

    const fn largest(self) -> f64 {
        match self {
            Self::Counters => COUNTER_UNITS,
            Self::Events | Self::Part(_) | Self::Tail | Self::Names | Self::People => EVENT_UNITS,
        }
    }

    const fn bytes_of_unit(self) -> f64 {
        match self {
            Self::Counters => COUNTER_BYTES,
            Self::Events | Self::Part(_) | Self::Tail | Self::Names | Self::People => EVENT_BYTES,
        }
    }

    /// The account that it has a share of the budget in.
    const fn share(self) -> Option<usize> {
        match self {
            Self::Counters | Self::Events => None,
            Self::Part(part) => Some(part),
            Self::Tail => Some(TAIL),
            Self::Names => Some(NAMES),
            Self::People => Some(PEOPLE),
        }
    }
}

/// A read that is about to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) kind: Kind,
    /// The number of items that are asked for, or expected.
    pub(crate) items: usize,
    /// Strongly consistent reads cost twice as much.
    pub(crate) consistent: bool,
    /// Whether it starts even if the budget has ended, since without it a request would make no progress.
    pub(crate) forced: bool,
}

/// The budget of one request.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    started: Instant,
    state: Mutex<State>,
    /// Tells those who wait that a read has ended.
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    all: Account,
    /// The shares of parts of minutes, of the newest minutes, of names, and of people.
    parts: [Account; 5],
    reads: usize,
    /// Bytes that are held, and bytes that reads may return.
    held: usize,
    reserved: f64,
    /// The largest mean of a page so far, for each item: units and bytes.
    seen: [Option<(f64, f64)>; 2],
}

/// Units that are used, and units that reads may use.
#[derive(Debug, Default)]
struct Account {
    used: f64,
    reserved: f64,
}

/// What a read has reserved. Dropped when the read has ended.
pub(crate) struct Reservation<'a> {
    budget: &'a Budget,
    kind: Kind,
    consistent: bool,
    units: f64,
    bytes: f64,
}

impl Budget {
    /// Creates the budget of a request that starts now.
    pub fn new(limits: Limits) -> Self {
        Self { limits, started: Instant::now(), state: Mutex::default(), released: Notify::new() }
    }

    /// Returns what has ended, if no further read may start.
    pub fn spent(&self) -> Option<Spent> {
        self.spent_by(Kind::Events)
    }

    /// Returns what has ended, if no further read of a kind may start.
    pub(crate) fn spent_by(&self, kind: Kind) -> Option<Spent> {
        self.ended(&self.lock(), kind)
    }

    /// Returns whether no more may be held.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().held >= self.limits.bytes
    }

    /// Returns whether so much is held that reads should be small.
    pub(crate) fn is_tight(&self) -> bool {
        self.lock().held > self.limits.bytes / 2
    }

    /// Accounts for memory that is held until it is released, or to the end of the request.
    pub fn hold(&self, bytes: usize) -> Result<(), Spent> {
        let mut state = self.lock();
        state.held += bytes;
        if state.held > self.limits.bytes { Err(Spent::Memory) } else { Ok(()) }
    }

    /// Accounts for memory that is no longer held.
    pub fn release(&self, bytes: usize) {
        let mut state = self.lock();
        state.held = state.held.saturating_sub(bytes);
        drop(state);
        self.released.notify_waiters();
    }

    /// Waits until a read may start, next to those that run.
    pub(crate) async fn reserve(&self, read: Planned) -> Result<Reservation<'_>, Spent> {
        loop {
            // Created before the state is looked at, so no release in between is missed.
            let released = self.released.notified();
            if let Some(reservation) = self.try_reserve(read)? {
                return Ok(reservation);
            }
            released.await;
        }
    }

    fn try_reserve(&self, read: Planned) -> Result<Option<Reservation<'_>>, Spent> {
        let mut state = self.lock();
        if !read.forced
            && let Some(spent) = self.ended(&state, read.kind)
        {
            return Err(spent);
        }
        let (units, bytes) = state.estimate(read);
        if !self.fits(&state, read, units, bytes) {
            return Ok(None);
        }
        state.reads += 1;
        state.reserved += bytes;
        for account in state.accounts(read.kind) {
            account.reserved += units;
        }
        Ok(Some(Reservation { budget: self, kind: read.kind, consistent: read.consistent, units, bytes }))
    }

    /// A read that is alone always fits. Otherwise the last read could never start.
    #[allow(clippy::cast_precision_loss)] // bytes in memory
    fn fits(&self, state: &State, read: Planned, units: f64, bytes: f64) -> bool {
        // The first read of a part always fits into its share.
        let part = state.part(read.kind).filter(|part| part.reserved > 0.0);
        let has_units = read.forced
            || (state.all.with(units) <= self.limits.units
                && part.is_none_or(|part| part.with(units) <= self.share(read.kind)));
        let has_memory = state.held as f64 + state.reserved + bytes <= self.limits.bytes as f64;
        state.reads == 0 || (state.reads < CONCURRENCY && has_units && has_memory)
    }

    fn ended(&self, state: &State, kind: Kind) -> Option<Spent> {
        let time = self.started.elapsed();
        let part = state.part(kind);
        if state.all.used >= self.limits.units || part.is_some_and(|part| part.used >= self.share(kind)) {
            Some(Spent::Units)
        } else if time >= self.limits.time || (part.is_some() && time >= self.limits.time / TIME_OF_PART) {
            Some(Spent::Time)
        } else if state.held >= self.limits.bytes {
            Some(Spent::Memory)
        } else {
            None
        }
    }

    /// The units that a kind of reads may take.
    fn share(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Tail => self.limits.tail,
            Kind::People => self.limits.units / UNITS_OF_PEOPLE,
            _ => self.limits.units / UNITS_OF_PART,
        }
    }

    /// The read units of the request.
    pub(crate) fn units(&self) -> f64 {
        self.limits.units
    }

    /// The units that the events of the newest minutes may take.
    pub(crate) fn tail(&self) -> f64 {
        self.limits.tail
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The units and the bytes that a read may take.
    #[allow(clippy::cast_precision_loss)] // an estimate
    fn estimate(&self, read: Planned) -> (f64, f64) {
        let items = read.items as f64;
        let (units, bytes) = if let Some((units, bytes)) = self.seen[read.kind.seen()] {
            (items * units * MARGIN, items * bytes * MARGIN)
        } else {
            let units = items * read.kind.largest();
            (units, units * read.kind.bytes_of_unit())
        };
        let most = PAGE_UNITS * read.kind.bytes_of_unit();
        (units.min(PAGE_UNITS) * if read.consistent { 2.0 } else { 1.0 }, bytes.min(most))
    }

    fn part(&self, kind: Kind) -> Option<&Account> {
        self.parts.get(kind.share()?)
    }

    fn accounts(&mut self, kind: Kind) -> impl Iterator<Item = &mut Account> {
        let part = kind.share().and_then(|share| self.parts.get_mut(share));
        [Some(&mut self.all), part].into_iter().flatten()
    }
}

impl Account {
    fn with(&self, units: f64) -> f64 {
        self.used + self.reserved + units
    }
}

impl Reservation<'_> {
    /// Accounts for what a read has used: units, items, and the bytes that those take in memory.
    #[allow(clippy::cast_precision_loss)] // an estimate
    pub(crate) fn settle(self, units: f64, items: usize, bytes: usize) {
        let mut state = self.budget.lock();
        for account in state.accounts(self.kind) {
            account.used += units;
        }
        if items > 0 {
            let units = if self.consistent { units / 2.0 } else { units };
            let mean = (units / items as f64, bytes as f64 / items as f64);
            let seen = &mut state.seen[self.kind.seen()];
            let largest = seen.unwrap_or_default();
            *seen = Some((largest.0.max(mean.0), largest.1.max(mean.1)));
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        state.reads -= 1;
        state.reserved -= self.bytes;
        for account in state.accounts(self.kind) {
            account.reserved -= self.units;
        }
        drop(state);
        self.budget.released.notify_waiters();
    }
}
