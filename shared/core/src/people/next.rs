//! What people do after an event of one name.

use std::collections::HashMap;

use super::{Hashed, MEDIAN, quantile};
use crate::time::TimeDelta;

/// The bytes that a person takes in memory, about.
pub const PERSON_BYTES: usize = 64;

/// People after their first event of a name.
#[derive(Clone, Debug)]
pub struct Next {
    /// In milliseconds.
    within: i64,
    people: HashMap<Hashed, Did>,
}

#[derive(Clone, Copy, Debug)]
enum Did {
    /// Nothing since this time, in milliseconds.
    Nothing(i64),
    /// Something of another name, so many milliseconds later.
    Next(u32, i64),
    /// Nothing in time.
    Nobody,
}

/// What some people did next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidNext {
    /// The name; none of those who did nothing more in time.
    pub name: Option<u32>,
    /// How many people.
    pub people: u64,
    /// The median time until then; none of those who did nothing.
    pub median: Option<TimeDelta>,
}

impl Next {
    /// Nobody yet. What comes later than `within` after the event is not next.
    pub fn new(within: TimeDelta) -> Self {
        Self { within: within.as_millis(), people: HashMap::new() }
    }

    /// Adds an event, in order: of the name that is asked about (none), or of another. `at` is in milliseconds. Returns whether
    /// the person is new.
    pub fn add(&mut self, person: Hashed, at: i64, other: Option<u32>) -> bool {
        match (self.people.get_mut(&person), other) {
            (None, None) => {
                self.people.insert(person, Did::Nothing(at));
                true
            }
            (Some(did), Some(name)) => {
                if let Did::Nothing(since) = *did {
                    *did = if at - since <= self.within { Did::Next(name, at - since) } else { Did::Nobody };
                }
                false
            }
            _ => false,
        }
    }

    /// The people who have an event of the name.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// What they did, the most people first, then by name; those who did nothing more come last.
    pub fn finish(self) -> Vec<DidNext> {
        let mut delays: HashMap<u32, Vec<i64>> = HashMap::new();
        let mut nothing = 0;
        for did in self.people.into_values() {
            match did {
                Did::Next(name, delay) => delays.entry(name).or_default().push(delay),
                Did::Nothing(_) | Did::Nobody => nothing += 1,
            }
        }
        let did = |(name, mut delays): (u32, Vec<i64>)| {
            delays.sort_unstable();
            let median = quantile(&delays, MEDIAN).map(TimeDelta::milliseconds);
            DidNext { name: Some(name), people: delays.len() as u64, median }
        };
        let mut all: Vec<_> = delays.into_iter().map(did).collect();
        all.sort_unstable_by_key(|did| (std::cmp::Reverse(did.people), did.name));
        if nothing > 0 {
            all.push(DidNext { name: None, people: nothing, median: None });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_looking_at_each_person_finds(
            steps in proptest::collection::vec((0u64..5, 0i64..6, proptest::option::of(0u32..3)), 0..80),
        ) {
            let mut at = 0;
            let events: Vec<_> = steps.into_iter().map(|(person, later, name)| { at += later; (person, at, name) }).collect();
            let mut next = Next::new(TimeDelta::milliseconds(10));
            for (person, at, name) in &events {
                next.add(*person, *at, *name);
            }
            let mut expected: HashMap<Option<u32>, Vec<i64>> = HashMap::new();
            for person in 0..5 {
                let own: Vec<_> = events.iter().filter(|event| event.0 == person).collect();
                let Some(first) = own.iter().position(|event| event.2.is_none()) else { continue };
                let then = own[first..].iter().find(|event| event.2.is_some());
                let then = then.filter(|event| event.1 - own[first].1 <= 10);
                expected.entry(then.and_then(|event| event.2)).or_default().push(then.map_or(0, |event| event.1 - own[first].1));
            }
            prop_assert_eq!(next.people(), expected.values().map(Vec::len).sum::<usize>());
            let found = next.finish();
            prop_assert_eq!(found.len(), expected.len());
            for DidNext { name, people, median } in &found {
                let delays = expected.get_mut(name).expect("it was next");
                delays.sort_unstable();
                prop_assert_eq!(*people, delays.len() as u64);
                let middle = TimeDelta::milliseconds(delays[delays.len().div_ceil(2) - 1]);
                prop_assert_eq!(*median, name.map(|_| middle));
            }
            let others: Vec<_> = found.iter().filter(|did| did.name.is_some()).map(|did| did.people).collect();
            prop_assert!(others.is_sorted_by(|a, b| a >= b) && found.iter().rev().skip(1).all(|did| did.name.is_some()));
        }
    }
}
