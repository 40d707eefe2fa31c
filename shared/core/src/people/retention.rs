//! How many people come back.

use std::collections::HashMap;

use super::Hashed;

/// Most buckets of time.
pub const MAX_BUCKETS: usize = 60;
/// The bytes that a person takes in memory, about.
pub const PERSON_BYTES: usize = 64;

/// The bytes of a person who is kept.
const ENCODED: usize = 17;

/// People by the bucket in which they began.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    people: HashMap<Hashed, Came>,
}

/// When a person began, and when they came back: bit `n` for the `n`th bucket after that.
#[derive(Clone, Copy, Debug)]
struct Came {
    began: usize,
    back: u64,
}

/// An event of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The bucket of its time, below [`MAX_BUCKETS`]. Events come in order.
    pub bucket: usize,
    /// Whether a person may begin with it.
    pub begins: bool,
    /// Whether a person comes back with it.
    pub returns: bool,
}

/// The people who began in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// How many.
    pub people: u64,
    /// How many came back in each bucket from that one on: first in the same one, after they began.
    pub returned: Vec<u64>,
}

impl Retention {
    /// Adds an event. Returns whether the person is new.
    pub fn add(&mut self, person: Hashed, visit: Visit) -> bool {
        if let Some(came) = self.people.get_mut(&person) {
            if visit.returns {
                came.back |= 1 << visit.bucket.saturating_sub(came.began).min(MAX_BUCKETS - 1);
            }
            return false;
        }
        if visit.begins {
            self.people.insert(person, Came { began: visit.bucket, back: 0 });
        }
        visit.begins
    }

    /// The people in it.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// All that is needed to go on: 17 bytes for each person.
    pub fn encode(&self) -> Vec<u8> {
        let person = |(person, came): (&Hashed, &Came)| {
            let mut bytes = [0; ENCODED];
            bytes[..8].copy_from_slice(&person.to_be_bytes());
            // A bucket is below 60.
            bytes[8] = u8::try_from(came.began).unwrap_or(u8::MAX);
            bytes[9..].copy_from_slice(&came.back.to_be_bytes());
            bytes
        };
        self.people.iter().flat_map(person).collect()
    }

    /// Goes on with what [`encode`](Self::encode) gave. None where it is not that.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (people, rest) = bytes.as_chunks::<ENCODED>();
        let person = |bytes: &[u8; ENCODED]| {
            let (person, rest) = bytes.split_first_chunk()?;
            let (began, back) = rest.split_first()?;
            let began = usize::from(*began);
            let came = Came { began, back: u64::from_be_bytes(back.try_into().ok()?) };
            (began < MAX_BUCKETS).then_some((Hashed::from_be_bytes(*person), came))
        };
        let people = people.iter().map(person).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { people })
    }

    /// The cohorts of all buckets.
    pub fn cohorts(&self, buckets: usize) -> Vec<Cohort> {
        let empty = |began| Cohort { people: 0, returned: vec![0; buckets - began] };
        let mut cohorts: Vec<_> = (0..buckets).map(empty).collect();
        for came in self.people.values() {
            let Some(cohort) = cohorts.get_mut(came.began) else { continue };
            cohort.people += 1;
            for (n, returned) in cohort.returned.iter_mut().enumerate() {
                *returned += came.back >> n & 1;
            }
        }
        cohorts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_looking_at_each_person_finds(
            steps in proptest::collection::vec((0u64..6, 0usize..3, any::<bool>(), any::<bool>()), 0..80),
        ) {
            let mut bucket = 0;
            let events: Vec<_> = steps.into_iter().map(|(person, later, begins, returns)| {
                bucket = (bucket + later).min(MAX_BUCKETS - 1);
                (person, Visit { bucket, begins, returns })
            }).collect();
            let mut retention = Retention::default();
            let mut new = 0;
            for (person, visit) in &events {
                new += u64::from(retention.add(*person, *visit));
            }
            let (before, after) = events.split_at(events.len() / 2);
            let mut first = Retention::default();
            for (person, visit) in before {
                first.add(*person, *visit);
            }
            let mut second = Retention::decode(&first.encode()).expect("what was encoded");
            for (person, visit) in after {
                second.add(*person, *visit);
            }
            let cohorts = retention.cohorts(MAX_BUCKETS);
            prop_assert_eq!(&second.cohorts(MAX_BUCKETS), &cohorts);
            prop_assert_eq!(cohorts.iter().map(|cohort| cohort.people).sum::<u64>(), new);
            for (began, cohort) in cohorts.iter().enumerate() {
                let mut people = 0;
                let mut returned = vec![0; MAX_BUCKETS - began];
                for person in 0..6 {
                    let own: Vec<_> = events.iter().filter(|event| event.0 == person).map(|event| event.1).collect();
                    let Some(first) = own.iter().position(|visit| visit.begins) else { continue };
                    if own[first].bucket != began {
                        continue;
                    }
                    people += 1;
                    for (n, returned) in returned.iter_mut().enumerate() {
                        let in_bucket = |visit: &&Visit| visit.bucket == began + n && visit.returns;
                        *returned += u64::from(own[first + 1..].iter().any(|visit| in_bucket(&visit)));
                    }
                }
                prop_assert_eq!((cohort.people, &cohort.returned), (people, &returned));
            }
        }
    }
}
