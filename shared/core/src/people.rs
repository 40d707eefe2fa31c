//! What people did, from their events in the order of time: sessions, funnels, retention, visits, what came next, and numbers in `data`.
//! Pure: each part takes the few fields that it needs.

pub mod funnel;
pub mod identities;
pub mod next;
pub mod numbers;
pub mod retention;
pub mod sessions;
pub mod visits;

use std::borrow::Cow;

use crate::digest::sha256_u64;
use crate::event::Event;

/// What tells people apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// The user, or else the session.
    #[default]
    User,
    /// The session.
    Session,
}

/// A person, as an event names one. A user is never the same as a session, whatever their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Person<'a> {
    /// By `user_id`.
    User(&'a str),
    /// By `session_id`.
    Session(&'a str),
}

impl<'a> Person<'a> {
    /// Who has a user, a session, or both. None of neither.
    pub fn of(user_id: Option<&'a str>, session_id: Option<&'a str>, by: By) -> Option<Self> {
        let session = session_id.map(Person::Session);
        match by {
            By::User => user_id.map(Person::User).or(session),
            By::Session => session,
        }
    }

    /// A text that no other person has: the id of a user, and that of a session behind a NUL.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::User(id) => id.into(),
            Self::Session(id) => format!("\0{id}").into(),
        }
    }
}

/// Who did what an event tells. None where the event names nobody.
pub fn person_of(event: &Event, by: By) -> Option<Person<'_>> {
    Person::of(event.user_id.as_deref(), event.session_id.as_deref(), by)
}

/// A person in memory: a hash with a secret key, so that what is kept of people tells no ids, and no client can make two people
/// one. Of a million people, two are taken for one with a probability of 1 in 30 million.
pub type Hashed = u64;

/// What hashes people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hasher([u8; 16]);

impl Hasher {
    /// With a key that nobody knows.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// With the key of an earlier one.
    pub const fn with_key(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// Its key.
    pub const fn key(&self) -> &[u8; 16] {
        &self.0
    }

    /// The hash of a person.
    pub fn hash(&self, person: Person<'_>) -> Hashed {
        let (kind, id) = match person {
            Person::User(id) => (b'u', id),
            Person::Session(id) => (b's', id),
        };
        sha256_u64(&[&self.0, &[kind][..], id.as_bytes()].concat())
    }
}

/// The smallest of some values, in order, which at least a share of them do not exceed: `(1, 2)` is the median, `(9, 10)` the
/// 90th percentile. None of none.
pub fn quantile<T: Copy>(sorted: &[T], (of, all): (usize, usize)) -> Option<T> {
    let rank = sorted.len().saturating_mul(of).div_ceil(all.max(1)).max(1);
    sorted.get(rank - 1).copied()
}

/// The median.
pub const MEDIAN: (usize, usize) = (1, 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_there() {
        assert_eq!(quantile::<u8>(&[], MEDIAN), None);
        assert_eq!(quantile(&[7], (9, 10)), Some(7));
        assert_eq!((quantile(&[1, 2], MEDIAN), quantile(&[1, 2, 3], MEDIAN)), (Some(1), Some(2)));
        let ten: Vec<u8> = (1..=10).collect();
        assert_eq!(
            (quantile(&ten, MEDIAN), quantile(&ten, (9, 10)), quantile(&ten, (1, 1))),
            (Some(5), Some(9), Some(10))
        );
    }

    #[test]
    fn a_user_is_no_session_and_keys_differ() {
        let (one, other) = (Hasher::random(), Hasher::random());
        assert_ne!(one.hash(Person::User("a")), one.hash(Person::Session("a")));
        assert_ne!(one.hash(Person::User("a")), other.hash(Person::User("a")));
        assert_eq!(one.hash(Person::User("a")), Hasher::with_key(*one.key()).hash(Person::User("a")));
    }
}
