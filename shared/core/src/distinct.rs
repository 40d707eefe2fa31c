//! Numbers of distinct users and sessions, by sketches: HLL of Apache `DataSketches`, 2^12 registers, in its portable format.
//!
//! A union counts nobody twice, so a batch that is counted again changes nothing. Nobody can be taken out: what is erased stays
//! until a sketch is made anew from the events.

use std::fmt;

use datasketches::hash::value::raw_bytes;
use datasketches::hll::{Coupon, HllSketch, HllType, HllUnion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::people::{By, Person};

/// The number of registers, as a power of two. Sketches that are stored have it: never to change.
const LG_K: u8 = 12;

/// By how much a number is wrong at most in 95 of 100 cases, as a share of it: two standard errors of 1.04 / √4096 (Flajolet et
/// al., "`HyperLogLog`", 2007).
pub const ERROR: f64 = 2.0 * 1.04 / 64.0;

/// Up to which number a sketch holds each by itself: it becomes registers with the 385th.
const EXACT: u64 = 380;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// `user_id`, or the session where an event has no user.
    Users,
    /// `session_id`.
    Sessions,
}

impl Of {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Users, Self::Sessions];

    /// Its name in queries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Sessions => "sessions",
        }
    }

    /// Reads its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.as_str() == text)
    }
}

impl From<Of> for By {
    fn from(of: Of) -> Self {
        match of {
            Of::Users => Self::User,
            Of::Sessions => Self::Session,
        }
    }
}

/// What a sketch takes of a user or a session: 32 bits of a hash. Two that have the same are one to a sketch of any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(Coupon);

impl Mark {
    fn of(id: &str) -> Self {
        Self(Coupon::from_value(raw_bytes::from_str(id)))
    }
}

/// Who an event tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Its user, or its session where it has none.
    pub user: Option<Mark>,
    /// Its session.
    pub session: Option<Mark>,
}

impl Marks {
    /// Those of a user and a session.
    pub fn new(user_id: Option<&str>, session_id: Option<&str>) -> Self {
        Self {
            user: Person::of(user_id, session_id, By::User).map(|person| Mark::of(&person.text())),
            session: session_id.map(Mark::of),
        }
    }

    /// Those of an event.
    pub fn of_event(event: &Event) -> Self {
        Self::new(event.user_id.as_deref(), event.session_id.as_deref())
    }

    /// Whether it tells of nobody.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// One of them.
    pub fn of(&self, of: Of) -> Option<Mark> {
        match of {
            Of::Users => self.user,
            Of::Sessions => self.session,
        }
    }
}

/// The bytes are no sketch of this kind.
#[derive(Debug, thiserror::Error)]
#[error("not a sketch of 2^12 registers: {0}")]
pub struct SketchError(String);

/// A sketch: at most 2.6 KB in its portable form.
#[derive(Clone, PartialEq)]
pub struct Sketch(HllSketch);

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sketch({})", count(self.0.composite_estimate()))
    }
}

impl Default for Sketch {
    #[allow(clippy::expect_used)] // 12 is between 4 and 21
    fn default() -> Self {
        Self(HllSketch::new(LG_K, HllType::Hll4).expect("the size is allowed"))
    }
}

impl Sketch {
    /// Adds one.
    pub fn add(&mut self, Mark(coupon): Mark) {
        self.0.update_with_coupon(coupon);
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its portable form.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.serialize()
    }

    /// Reads the portable form.
    ///
    /// # Errors
    /// Where the bytes are another thing, or have another number of registers.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let sketch = HllSketch::deserialize(bytes).map_err(|error| SketchError(error.to_string()))?;
        if sketch.lg_config_k() != LG_K || sketch.target_type() != HllType::Hll4 {
            return Err(SketchError(format!("it has 2^{} registers", sketch.lg_config_k())));
        }
        Ok(Self(sketch))
    }
}

/// A union of sketches.
pub struct Union(HllUnion);

impl Default for Union {
    #[allow(clippy::expect_used)] // 12 is between 4 and 21
    fn default() -> Self {
        Self(HllUnion::new(LG_K).expect("the size is allowed"))
    }
}

impl Union {
    /// Adds all of a sketch.
    pub fn add(&mut self, Sketch(sketch): &Sketch) {
        self.0.update(sketch);
    }

    /// The number of those in it; the same in whatever order they were added.
    pub fn count(&self) -> u64 {
        count(self.0.composite_estimate())
    }

    /// It as a sketch.
    pub fn sketch(&self) -> Sketch {
        Sketch(self.0.to_sketch(HllType::Hll4))
    }
}

/// By how much a count from sketches is wrong at most in 95 of 100 cases, as a share of it. Small ones are exact.
pub fn error_of(count: u64) -> f64 {
    if count <= EXACT { 0.0 } else { ERROR }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // an estimate is not negative, and far below 2^64
fn count(estimate: f64) -> u64 {
    estimate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(number: u64) -> Mark {
        Mark::of(&format!("user-{number}"))
    }

    fn sketch(numbers: impl Iterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        numbers.for_each(|number| sketch.add(mark(number)));
        sketch
    }

    fn counted(sketches: &[&Sketch]) -> u64 {
        let mut union = Union::default();
        for sketch in sketches {
            union.add(sketch);
        }
        union.count()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn neither_order_nor_repetition_changes_what_is_counted(
            numbers in prop::collection::vec(0u64..3_000, 0..4_000), cut in 0usize..4_000,
        ) {
            let cut = cut.min(numbers.len());
            let all = sketch(numbers.iter().copied());
            let (first, rest) = numbers.split_at(cut);
            let (a, b) = (sketch(first.iter().copied()), sketch(rest.iter().rev().copied()));
            let mut again = Sketch::from_bytes(&a.to_bytes()).unwrap();
            numbers.iter().rev().for_each(|number| again.add(mark(*number)));
            let expected = counted(&[&all]);
            prop_assert_eq!(counted(&[&a, &b]), expected);
            prop_assert_eq!(counted(&[&b, &a, &all]), expected);
            prop_assert_eq!(counted(&[&again]), expected);
        }

        #[test]
        fn what_is_added_again_leaves_the_bytes_as_they_are(numbers in prop::collection::vec(0u64..100_000, 1..2_000)) {
            let mut held = sketch(numbers.iter().copied());
            let before = held.clone();
            numbers.iter().rev().for_each(|number| held.add(mark(*number)));
            prop_assert_eq!(&held, &before);
            prop_assert_eq!(Sketch::from_bytes(&held.to_bytes()).unwrap(), held);
        }
    }

    #[test]
    fn few_are_counted_exactly() {
        for n in [0, 1, 2, 30, 31, 32, 200, 300, EXACT] {
            let (even, odd) = (sketch((0..n).filter(|x| x % 2 == 0)), sketch((0..n).filter(|x| x % 2 == 1)));
            assert_eq!(counted(&[&sketch(0..n)]), n);
            assert_eq!(counted(&[&even, &odd, &even]), n);
            assert!(error_of(n) == 0.0);
        }
    }

    #[test]
    fn many_are_counted_within_the_error_in_95_of_100_trials() {
        // 100 apps of 1,000 to 50,000 users, in 24 hours that share some. `bench distinct` counts millions.
        let (mut within, mut bytes) = (0, 0);
        for (trial, n) in (0..100u64).zip([1_000, 5_000, 20_000, 50_000].into_iter().cycle()) {
            let mut union = Union::default();
            for hour in 0..24 {
                let of_hour = sketch((0..n).filter(|x| x % 24 == hour || x % 7 == hour % 7).map(|x| trial << 32 | x));
                bytes = bytes.max(of_hour.to_bytes().len());
                union.add(&of_hour);
            }
            #[allow(clippy::cast_precision_loss)]
            let off = (union.count() as f64 / n as f64 - 1.0).abs();
            assert!(off < 3.0 * ERROR, "{n}: {}", union.count());
            within += u32::from(off <= ERROR);
        }
        assert!(within >= 95, "{within} of 100");
        assert!(bytes < 2_600, "{bytes}");
    }

    #[test]
    fn a_session_in_place_of_a_user_is_nobody_elses() {
        let both = Marks::new(Some("a"), Some("b"));
        assert_eq!(both.user, Marks::new(Some("a"), None).user);
        assert_eq!(both.session, Marks::new(None, Some("b")).session);
        assert_ne!(Marks::new(None, Some("a")).user, both.user);
        assert!(Marks::new(None, None).is_none());
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(Sketch::from_bytes(&[]).is_err());
        assert!(Sketch::from_bytes(&[7; 40]).is_err());
        let other = HllSketch::new(10, HllType::Hll4).unwrap();
        assert!(Sketch::from_bytes(&other.serialize()).is_err());
    }
}
