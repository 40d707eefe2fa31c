//! Chance that falls the same way at every run: a generator for each thing, seeded by what it is.

use fastrand::Rng;

/// A generator for a thing that some numbers name.
pub(super) fn dice(seed: u64, thing: &[i64]) -> Rng {
    // SplitMix64, so that neighbours have nothing in common.
    let mixed = thing.iter().fold(seed, |state, number| {
        let mut z = (state ^ number.cast_unsigned()).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    });
    Rng::with_seed(mixed)
}

/// Whether something of a probability happens.
pub(super) fn happens(rng: &mut Rng, probability: f64) -> bool {
    rng.f64() < probability
}

/// One of some values, by weight.
pub(super) fn one_of<T: Copy>(rng: &mut Rng, weighted: &[(T, u32)]) -> T {
    let mut left = rng.u32(0..weighted.iter().map(|(_, weight)| weight).sum());
    for (value, weight) in weighted {
        if left < *weight {
            return *value;
        }
        left -= weight;
    }
    weighted[0].0
}

/// A number around a middle: three quarters of all are below it.
pub(super) fn spread(rng: &mut Rng, middle: f64) -> f64 {
    -middle * (1.0 - rng.f64()).ln() * 0.72
}
