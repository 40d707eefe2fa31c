//! Sessions: the events with the same `session_id`.

use std::collections::HashMap;

use super::{Hashed, MEDIAN, quantile};
use crate::time::Timestamp;

/// The bytes that a session takes in memory, about.
pub const SESSION_BYTES: usize = 96;

/// An event of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// When it happened.
    pub at: Timestamp,
    /// How many occurrences it stands for.
    pub count: u64,
    /// Whether it is what is asked for. Sessions without such an event are left out.
    pub matches: bool,
}

/// Sessions by a hash of their id. Their events may come in any order.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    all: HashMap<Hashed, Session>,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    first: Timestamp,
    last: Timestamp,
    events: u64,
    matches: bool,
}

/// What is told of some sessions. A duration is the time between the first and the last event, in whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub total: u64,
    /// The median of durations; none of none.
    pub median_seconds: Option<i64>,
    /// Their 90th percentile.
    pub p90_seconds: Option<i64>,
    /// Those with one occurrence.
    pub single: u64,
}

impl Sessions {
    /// Adds an event. Returns whether the session is new.
    pub fn add(&mut self, session: Hashed, SessionEvent { at, count, matches }: SessionEvent) -> bool {
        if let Some(session) = self.all.get_mut(&session) {
            session.first = session.first.min(at);
            session.last = session.last.max(at);
            session.events = session.events.saturating_add(count);
            session.matches |= matches;
            return false;
        }
        self.all.insert(session, Session { first: at, last: at, events: count, matches });
        true
    }

    /// What is told of all, and of those that began in each bucket, by its place in the list of starts. Buckets without sessions
    /// are left out.
    pub fn summary(&self, starts: &[Timestamp]) -> (Summary, Vec<(usize, Summary)>) {
        let mut buckets: Vec<Vec<(i64, u64)>> = vec![vec![]; starts.len()];
        let mut all = Vec::new();
        for session in self.all.values().filter(|session| session.matches) {
            let told = ((session.last - session.first).as_seconds(), session.events);
            all.push(told);
            let bucket = starts.partition_point(|start| *start <= session.first).saturating_sub(1);
            if let Some(bucket) = buckets.get_mut(bucket) {
                bucket.push(told);
            }
        }
        let buckets = buckets.into_iter().enumerate().filter(|(_, sessions)| !sessions.is_empty());
        (summary_of(all), buckets.map(|(bucket, sessions)| (bucket, summary_of(sessions))).collect())
    }
}

fn summary_of(mut sessions: Vec<(i64, u64)>) -> Summary {
    sessions.sort_unstable();
    let seconds = |share| quantile(&sessions, share).map(|(seconds, _)| seconds);
    Summary {
        total: sessions.len() as u64,
        median_seconds: seconds(MEDIAN),
        p90_seconds: seconds((9, 10)),
        single: sessions.iter().filter(|(_, events)| *events == 1).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_tells_what_looking_at_each_session_tells(
            events in proptest::collection::vec((0u64..8, 0i64..40, 1u64..3, any::<bool>()), 0..60),
        ) {
            let starts: Vec<_> = (0..4).map(|n| Timestamp::from_seconds(10 * n)).collect();
            let mut sessions = Sessions::default();
            for (session, at, count, matches) in &events {
                let at = Timestamp::EPOCH + *at * SECOND;
                sessions.add(*session, SessionEvent { at, count: *count, matches: *matches });
            }
            let mut naive = Vec::new();
            for session in 0..8 {
                let own: Vec<_> = events.iter().filter(|event| event.0 == session).collect();
                if own.iter().any(|event| event.3) {
                    let (first, last) = (own.iter().map(|e| e.1).min().expect("one"), own.iter().map(|e| e.1).max().expect("one"));
                    naive.push((first, last - first, own.iter().map(|event| event.2).sum::<u64>()));
                }
            }
            let told = |of: &dyn Fn(i64) -> bool| {
                let mut seconds: Vec<_> = naive.iter().filter(|session| of(session.0)).map(|session| session.1).collect();
                seconds.sort_unstable();
                let at = |of: usize, all: usize| seconds.get((seconds.len() * of).div_ceil(all).max(1) - 1).copied();
                let single = naive.iter().filter(|session| of(session.0) && session.2 == 1).count() as u64;
                Summary { total: seconds.len() as u64, median_seconds: at(1, 2), p90_seconds: at(9, 10), single }
            };
            let (all, buckets) = sessions.summary(&starts);
            prop_assert_eq!(all, told(&|_| true));
            for bucket in 0..4 {
                let expected = told(&|first| first / 10 == bucket);
                let found = buckets.iter().find(|(n, _)| i64::try_from(*n) == Ok(bucket)).map(|(_, summary)| summary.clone());
                prop_assert_eq!(found.unwrap_or_default(), expected);
            }
        }
    }
}
