//! The releases of the shop: on Tuesdays and Thursdays, some of them with a mistake that the next one repairs.

use serde_json::{Value, json};

use super::dice::dice;

/// The first day of the count of releases, a Monday; in days from 1970.
const FIRST: i64 = 20_458;
/// The microseconds of a minute.
const MINUTE: i64 = 60_000_000;

/// A mistake of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The total of some carts is missing, so that their checkout fails.
    Total,
    /// The day of delivery of some products cannot be shown.
    Delivery,
}

/// A release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deploy {
    number: i64,
    /// When it went out, in microseconds from 1970.
    pub(super) at: i64,
}

impl Deploy {
    fn of(seed: u64, number: i64) -> Self {
        // Two a week: a day after Monday, and three.
        let day = FIRST + number.div_euclid(2) * 7 + if number.rem_euclid(2) == 0 { 1 } else { 3 };
        let minutes = 8 * 60 + dice(seed, &[1, number]).i64(30..400);
        Self { number, at: (day * 24 * 60 + minutes) * MINUTE }
    }

    /// The release that runs at a time.
    pub(super) fn at(seed: u64, time: i64) -> Self {
        let weeks = (time.div_euclid(24 * 60 * MINUTE) - FIRST).div_euclid(7);
        let near = (weeks * 2 - 1..=weeks * 2 + 1).map(|number| Self::of(seed, number));
        near.rev().find(|deploy| deploy.at <= time).unwrap_or_else(|| Self::of(seed, weeks * 2 - 2))
    }

    /// Its mistake, if it has one: every fourth has.
    pub(super) fn mistake(self) -> Option<Mistake> {
        match self.number.rem_euclid(8) {
            0 => Some(Mistake::Total),
            4 => Some(Mistake::Delivery),
            _ => None,
        }
    }

    /// Its version.
    pub(super) fn version(self) -> String {
        format!("4.{}.{}", self.number.div_euclid(10), self.number.rem_euclid(10))
    }

    /// The event that marks it.
    pub(super) fn event(self, seed: u64) -> Value {
        let mut rng = dice(seed, &[2, self.number]);
        let about = match (self.mistake(), Self::of(seed, self.number - 1).mistake()) {
            (Some(Mistake::Total), _) => "new cart",
            (Some(Mistake::Delivery), _) => "delivery estimates",
            (None, Some(Mistake::Total)) => "fixes the total of carts",
            (None, Some(Mistake::Delivery)) => "fixes delivery estimates",
            (None, None) => ["smaller pictures", "new photos", "faster search", "translations"][rng.usize(0..4)],
        };
        json!({
            "name": "deploy", "category": "annotation", "level": "INFO",
            "message": format!("Release {}: {about}", self.version()),
            "data": {"version": self.version(), "commit": format!("{:07x}", rng.u32(0..1 << 28)), "demo": true},
        })
    }
}
