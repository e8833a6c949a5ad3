//! Reproducible random numbers for tests.

use crate::dtype::Element;

/// SplitMix64 generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Integer in `0..n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Floats in `-1..1`; integers in `0..8`, small enough for exact sums in every width.
    pub(crate) fn values<T: Element>(&mut self, n: usize) -> Vec<T> {
        (0..n)
            .map(|_| {
                let value = self.next();
                T::from_f64(if T::DTYPE.is_float() {
                    (value >> 11) as f64 / (1u64 << 52) as f64 - 1.0
                } else {
                    (value % 8) as f64
                })
            })
            .collect()
    }
}
