//! How many people go through some steps in order.
//!
//! A chain is an event of each of the first steps, each strictly later in the order of events than the one before, all within a time
//! of the first. A person reaches a step if there is a chain that ends with it. For each step the latest start of a chain that
//! reaches it is kept: whatever continues an earlier one in time continues that one too. Of chains with the same start, the one
//! whose events come earliest is meant.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Hashed, MEDIAN, quantile};
use crate::time::TimeDelta;

/// Fewest and most steps.
pub const STEPS: (usize, usize) = (2, 8);
/// The bytes that a person takes in memory, beside their steps.
const PERSON_BYTES: usize = 80;

/// People on their way through the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funnel {
    steps: usize,
    /// In milliseconds.
    within: i64,
    people: HashMap<Hashed, Walker>,
}

/// An event of a person that matches a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it happened, in milliseconds. Events come in order.
    pub at: i64,
    /// The steps that it matches: bit 0 for the first.
    pub matches: u8,
    /// The value that it is broken down by.
    pub value: u32,
}

/// What an event changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Whether the person is new in the funnel.
    pub is_new: bool,
    /// The step that the person reached for the first time.
    pub reached: Option<usize>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Walker {
    /// The last step that was ever reached.
    furthest: u8,
    /// The value of the event that began the first chain which reached it.
    value: u32,
    /// One for each step.
    chains: Box<[Chain]>,
}

/// The chain with the latest start that reaches a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chain {
    /// When it began and when it reached the step, in milliseconds, and the value that it began with. None where there is none.
    latest: Option<(i64, i64, u32)>,
    /// From the step before to this one, in milliseconds, by the first chain that ever reached it.
    delay: i64,
    /// When the step was first reached, in milliseconds, if it was.
    first: i64,
}

/// What became of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The people who reached it.
    pub people: u64,
    /// The median time from the step before. None of the first step, and where nobody reached it.
    pub median: Option<TimeDelta>,
}

/// What was kept of a funnel cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state of a funnel cannot be read")]
pub struct StateError;

impl Funnel {
    /// Nobody yet.
    pub fn new(steps: usize, within: TimeDelta) -> Self {
        Self { steps, within: within.as_millis(), people: HashMap::new() }
    }

    /// The bytes that a person takes in memory, about.
    pub fn bytes_of_person(&self) -> usize {
        PERSON_BYTES + self.steps * size_of::<Chain>()
    }

    /// Adds an event. It changes nothing unless it matches the first step or continues a chain.
    pub fn add(&mut self, person: Hashed, step: Step) -> Changed {
        let begins = step.matches & 1 == 1;
        let mut changed = Changed::default();
        if begins && !self.people.contains_key(&person) {
            changed.is_new = true;
            let mut chains = vec![Chain::default(); self.steps];
            if let Some(begin) = chains.first_mut() {
                begin.first = step.at;
            }
            let chains = chains.into();
            self.people.insert(person, Walker { furthest: 0, value: step.value, chains });
            changed.reached = Some(0);
        }
        let Some(walker) = self.people.get_mut(&person) else { return changed };
        // From the last step to the first, so that an event is one step of a chain.
        for k in (1..self.steps).rev().filter(|k| step.matches >> k & 1 == 1) {
            let Some((start, before, value)) = walker.chains[k - 1].latest else { continue };
            if step.at - start > self.within {
                continue;
            }
            let chain = &mut walker.chains[k];
            if chain.latest.is_none_or(|(other, ..)| other < start) {
                chain.latest = Some((start, step.at, value));
            }
            if usize::from(walker.furthest) < k {
                // At most 8.
                walker.furthest = u8::try_from(k).unwrap_or(u8::MAX);
                walker.value = value;
                chain.delay = step.at - before;
                chain.first = step.at;
                changed.reached = Some(k);
            }
        }
        // Of two starts in the same millisecond the first stays, with what it has reached.
        if begins && walker.chains[0].latest.is_none_or(|(other, ..)| other < step.at) {
            walker.chains[0].latest = Some((step.at, step.at, step.value));
        }
        changed
    }

    /// The people in it.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// The last step that a person reached, and whether they are in it.
    pub fn furthest(&self, person: Hashed) -> Option<usize> {
        self.people.get(&person).map(|walker| usize::from(walker.furthest))
    }

    /// Where a person is at a time, in milliseconds: the last step that they first reached before it, and whether they reached
    /// another one later. None before the first step, and after the last.
    pub fn stage(&self, person: Hashed, at: i64) -> Option<(usize, bool)> {
        let walker = self.people.get(&person)?;
        let furthest = usize::from(walker.furthest);
        let step = (0..=furthest).rev().find(|k| walker.chains[*k].first < at)?;
        (step + 1 < self.steps).then_some((step, step < furthest))
    }

    /// What became of the steps.
    pub fn reached(&self) -> Vec<Reached> {
        self.reached_by(|_| ()).remove(&()).unwrap_or_else(|| vec![Reached::default(); self.steps])
    }

    /// What became of the steps, by something of the value that a person's chain began with.
    pub fn reached_by<K: Hash + Eq>(&self, key: impl Fn(u32) -> K) -> HashMap<K, Vec<Reached>> {
        let mut delays: HashMap<K, Vec<Vec<i64>>> = HashMap::new();
        for walker in self.people.values() {
            let of_key = delays.entry(key(walker.value)).or_insert_with(|| vec![vec![]; self.steps]);
            for (of_step, chain) in of_key.iter_mut().zip(&walker.chains[..=usize::from(walker.furthest)]) {
                of_step.push(chain.delay);
            }
        }
        let reached = |(k, mut delays): (usize, Vec<i64>)| {
            delays.sort_unstable();
            let median = quantile(&delays, MEDIAN).filter(|_| k > 0).map(TimeDelta::milliseconds);
            Reached { people: delays.len() as u64, median }
        };
        let steps = |delays: Vec<Vec<i64>>| delays.into_iter().enumerate().map(reached).collect();
        delays.into_iter().map(|(key, delays)| (key, steps(delays))).collect()
    }

    /// Drops what no later event can continue. `at` is in milliseconds, and no later event is earlier.
    fn forget_before(&mut self, at: i64) {
        for walker in self.people.values_mut() {
            for chain in &mut *walker.chains {
                chain.latest = chain.latest.filter(|(start, ..)| at - start <= self.within);
            }
        }
    }

    /// All that is needed to go on with events from `at` on, in milliseconds: about 60 bytes for each person.
    pub fn encode(mut self, at: i64) -> Vec<u8> {
        self.forget_before(at);
        let mut bytes = Vec::new();
        for (person, walker) in self.people {
            bytes.extend(person.to_be_bytes());
            bytes.push(walker.furthest);
            put(&mut bytes, i64::from(walker.value));
            for (k, chain) in walker.chains.iter().enumerate() {
                if k <= usize::from(walker.furthest) {
                    put(&mut bytes, chain.delay);
                    put(&mut bytes, at - chain.first);
                }
                if let Some((start, reached, value)) = chain.latest {
                    put(&mut bytes, at - start + 1);
                    put(&mut bytes, reached - start);
                    put(&mut bytes, i64::from(value));
                } else {
                    put(&mut bytes, 0);
                }
            }
        }
        bytes
    }

    /// Goes on with what [`encode`](Self::encode) gave.
    ///
    /// # Errors
    /// Where it is not that.
    pub fn decode(steps: usize, within: TimeDelta, at: i64, mut bytes: &[u8]) -> Result<Self, StateError> {
        let mut funnel = Self::new(steps, within);
        let bytes = &mut bytes;
        while let Some((person, rest)) = bytes.split_first_chunk() {
            *bytes = rest;
            let (furthest, rest) = bytes.split_first().ok_or(StateError)?;
            *bytes = rest;
            let furthest = Some(*furthest).filter(|furthest| usize::from(*furthest) < steps).ok_or(StateError)?;
            let value = take(bytes)?;
            let mut chains = vec![Chain::default(); steps];
            for (k, chain) in chains.iter_mut().enumerate() {
                if k <= usize::from(furthest) {
                    chain.delay = take(bytes)?;
                    chain.first = at - take(bytes)?;
                }
                let since = take(bytes)?;
                if since > 0 {
                    let start = at - (since - 1);
                    chain.latest = Some((start, start + take(bytes)?, value_of(take(bytes)?)?));
                }
            }
            let walker = Walker { furthest, value: value_of(value)?, chains: chains.into() };
            funnel.people.insert(Hashed::from_be_bytes(*person), walker);
        }
        if bytes.is_empty() { Ok(funnel) } else { Err(StateError) }
    }
}

fn value_of(number: i64) -> Result<u32, StateError> {
    u32::try_from(number).map_err(|_| StateError)
}

/// Appends a number that is not negative, seven bits a byte, the lowest first.
fn put(bytes: &mut Vec<u8>, number: i64) {
    let mut left = number.unsigned_abs();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push((left & 0x7f) as u8);
}

fn take(bytes: &mut &[u8]) -> Result<i64, StateError> {
    let mut number = 0;
    for shift in (0..56).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(StateError)?;
        *bytes = rest;
        number |= i64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(StateError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WITHIN: i64 = 10;

    /// The chain of a start by the definition: each step by the earliest event after the one before, all in time.
    fn chain(events: &[Step], start: usize, steps: usize) -> Vec<usize> {
        let mut chain = vec![start];
        for k in 1..steps {
            let from = chain[k - 1] + 1;
            let next = (from..events.len()).find(|i| events[*i].matches >> k & 1 == 1);
            match next.filter(|i| events[*i].at - events[start].at <= WITHIN) {
                Some(next) => chain.push(next),
                None => break,
            }
        }
        chain
    }

    /// By trying each start: the furthest step; for each step the time from the one before, by the chain with the latest start of
    /// those that reach it first; the value of that start for the furthest step; and when each step was first reached.
    fn naive(events: &[Step], steps: usize) -> Option<(usize, Vec<i64>, u32, Vec<i64>)> {
        let starts = (0..events.len()).filter(|i| events[*i].matches & 1 == 1);
        let chains: Vec<_> = starts.map(|start| chain(events, start, steps)).collect();
        let furthest = chains.iter().map(|chain| chain.len() - 1).max()?;
        let first = |k: usize| {
            let reaching = || chains.iter().filter(|chain| chain.len() > k);
            let first = reaching().map(|chain| chain[k]).min().expect("one reaches it");
            // The latest time of a start, and of several at that time the first one.
            let of_first = || reaching().filter(|chain| chain[k] == first);
            let latest = of_first().map(|chain| events[chain[0]].at).max().expect("one");
            of_first().find(|chain| events[chain[0]].at == latest).expect("one").clone()
        };
        let delays = (1..=furthest).map(|k| {
            let chain = first(k);
            events[chain[k]].at - events[chain[k - 1]].at
        });
        let value = if furthest == 0 { chains[0][0] } else { first(furthest)[0] };
        let firsts = (0..=furthest).map(|k| events[if k == 0 { chains[0][0] } else { first(k)[k] }].at);
        Some((furthest, delays.collect(), events[value].value, firsts.collect()))
    }

    fn histories(steps: usize) -> impl Strategy<Value = Vec<(Hashed, Step)>> {
        let step = (0u64..4, 0i64..4, 1u8..(1 << steps), 0u32..3);
        proptest::collection::vec(step, 0..60).prop_map(|steps| {
            let mut at = 1_000;
            let event = |(person, later, matches, value)| {
                at += later;
                (person, Step { at, matches, value })
            };
            steps.into_iter().map(event).collect()
        })
    }

    fn add(funnel: &mut Funnel, events: &[(Hashed, Step)]) {
        for (person, step) in events {
            funnel.add(*person, *step);
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_trying_each_start_finds(
            (steps, events) in (2usize..5).prop_flat_map(|steps| (Just(steps), histories(steps))),
        ) {
            let mut funnel = Funnel::new(steps, TimeDelta::milliseconds(WITHIN));
            add(&mut funnel, &events);
            let mut delays = vec![vec![]; steps];
            let mut values = HashMap::new();
            for person in 0..4 {
                let own: Vec<_> = events.iter().filter(|(other, _)| *other == person).map(|(_, step)| *step).collect();
                let expected = naive(&own, steps);
                prop_assert_eq!(funnel.furthest(person), expected.as_ref().map(|(furthest, ..)| *furthest));
                let Some((furthest, of_person, value, firsts)) = expected else {
                    prop_assert_eq!(funnel.stage(person, 9_999), None);
                    continue;
                };
                for at in own.iter().flat_map(|step| [step.at, step.at + 1]) {
                    let stage = firsts.iter().filter(|first| **first < at).count().checked_sub(1);
                    let stage = stage.filter(|k| k + 1 < steps).map(|k| (k, k < furthest));
                    prop_assert_eq!(funnel.stage(person, at), stage);
                }
                *values.entry(value).or_insert(0) += 1;
                for k in 0..=furthest {
                    delays[k].push(if k == 0 { 0 } else { of_person[k - 1] });
                }
            }
            let expected: Vec<_> = delays.into_iter().enumerate().map(|(k, mut delays)| {
                delays.sort_unstable();
                let median = delays.get(delays.len().div_ceil(2).saturating_sub(1)).filter(|_| k > 0);
                Reached { people: delays.len() as u64, median: median.map(|ms| TimeDelta::milliseconds(*ms)) }
            }).collect();
            prop_assert_eq!(funnel.reached(), expected);
            let by_value: HashMap<_, _> = funnel.reached_by(|value| value).into_iter()
                .map(|(value, reached)| (value, reached[0].people)).collect();
            prop_assert_eq!(by_value, values);
        }

        #[test]
        fn it_goes_on_where_it_was_interrupted(
            (steps, events) in (2usize..5).prop_flat_map(|steps| (Just(steps), histories(steps))),
            at in 0usize..60,
        ) {
            let within = TimeDelta::milliseconds(WITHIN);
            let (before, after) = events.split_at(at.min(events.len()));
            let mut whole = Funnel::new(steps, within);
            add(&mut whole, &events);
            let mut first = Funnel::new(steps, within);
            add(&mut first, before);
            let place = after.first().map_or(9_999, |(_, step)| step.at);
            let bytes = first.encode(place);
            let mut second = Funnel::decode(steps, within, place, &bytes).expect("what was encoded");
            add(&mut second, after);
            prop_assert_eq!(second.reached(), whole.reached());
            let by = |funnel: &Funnel| funnel.reached_by(|value| value);
            prop_assert_eq!(by(&second), by(&whole));
            for (person, step) in &events {
                prop_assert_eq!(second.stage(*person, step.at), whole.stage(*person, step.at));
            }
        }

        #[test]
        fn no_state_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Funnel::decode(3, TimeDelta::milliseconds(WITHIN), 1_000, &bytes);
        }
    }

    #[test]
    fn an_event_is_one_step_of_a_chain() {
        let mut funnel = Funnel::new(2, TimeDelta::milliseconds(WITHIN));
        let both = |at| Step { at, matches: 0b11, value: 0 };
        assert_eq!(funnel.add(1, both(0)), Changed { is_new: true, reached: Some(0) });
        assert_eq!(
            funnel.add(1, both(WITHIN + 1)),
            Changed::default(),
            "too late for the first, and a start of its own"
        );
        assert_eq!(funnel.add(1, both(WITHIN + 1)).reached, Some(1));
        let second = Step { at: 99, matches: 0b10, value: 0 };
        assert_eq!((funnel.add(2, second), funnel.people()), (Changed::default(), 1));
    }
}
