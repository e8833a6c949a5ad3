//! Reproducible random numbers and guarded results for tests.

use proptest::prelude::ProptestConfig;

use crate::dtype::{DType, Element};

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

/// Relative tolerance of a computation with a few roundings in `T`.
pub(crate) fn tolerance<T: Element>(float32: f64) -> f64 {
    match T::DTYPE {
        DType::F32 => float32,
        DType::F64 => 1e-14,
        DType::F16 => 2e-3,
        _ => 1.6e-2,
    }
}

/// Checks that results are within `tolerance * (scale + |want|)` of the reference.
pub(crate) fn assert_close<T: Element>(name: &str, got: &[T], want: &[f64], scale: f64, tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let (got, dtype) = (got.to_f64(), T::DTYPE);
        let error = (got - want).abs();
        assert!(error <= tolerance * (scale + want.abs()), "{name} {dtype} at {i}: {got} for {want}");
    }
}

/// Configuration of `cases` generated cases, unless `PROPTEST_CASES` is set.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases, ..config },
    }
}

/// Returns an unaligned slice of `n` elements, initially `value`, after `write`, which may not change what is around it.
pub(crate) fn guarded<T: Element>(n: usize, value: T, write: impl FnOnce(&mut [T])) -> Vec<T> {
    const GUARD: usize = 17;
    let mut data = vec![value; n + 2 * GUARD];
    write(&mut data[GUARD..GUARD + n]);
    let mut around = data[..GUARD].iter().chain(&data[GUARD + n..]);
    let bits = |value: &T| value.to_f64().to_bits();
    assert!(around.all(|other| bits(other) == bits(&value)), "wrote out of bounds");
    data[GUARD..GUARD + n].to_vec()
}
