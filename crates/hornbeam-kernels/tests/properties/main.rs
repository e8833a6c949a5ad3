//! Comparison of all families of kernels with plain loops, over generated shapes.
//!
//! Results are unaligned between guard elements, and must be bit-identical for any number of threads.
//! `PROPTEST_CASES=20000 cargo test --release` runs more cases, of the generated tests beside the kernels too.

mod axes;
mod moving;
mod pointwise;
mod windows;

use std::fmt::Debug;
use std::sync::OnceLock;

use hornbeam_kernels::pool::ThreadPool;
use proptest::prelude::*;

/// Configuration with `cases` cases, unless `PROPTEST_CASES` is set.
fn cases(cases: u32) -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases, ..config },
    }
}

/// Returns the result of `run` on one thread, if three threads give the same.
fn on_threads<R: PartialEq + Debug>(run: impl Fn(&ThreadPool) -> R) -> Result<R, TestCaseError> {
    static POOLS: OnceLock<[ThreadPool; 2]> = OnceLock::new();
    let [serial, parallel] = POOLS.get_or_init(|| [1, 3].map(ThreadPool::new));
    let result = run(serial);
    prop_assert_eq!(&result, &run(parallel), "threads change the bits");
    Ok(result)
}

/// Random floats between -1 and 1.
fn floats(n: usize, seed: u64) -> Vec<f32> {
    words(n, seed).into_iter().map(|word| (word >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Random words.
fn words(n: usize, seed: u64) -> Vec<u32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 32) as u32
    };
    (0..n).map(|_| next()).collect()
}

const GUARD: usize = 17;

/// Returns a slice of `n` elements, initially `value`, after `write`.
///
/// # Panics
/// If `write` changes elements around the slice.
fn guarded<T: Copy + PartialEq + Debug>(n: usize, value: T, write: impl FnOnce(&mut [T])) -> Vec<T> {
    let mut data = vec![value; n + 2 * GUARD];
    write(&mut data[GUARD..GUARD + n]);
    let around = data[..GUARD].iter().chain(&data[GUARD + n..]);
    assert!(around.into_iter().all(|v| *v == value), "wrote out of bounds");
    data[GUARD..GUARD + n].to_vec()
}

/// Views numbers as bytes.
fn bytes<T: Copy>(values: &[T]) -> &[u8] {
    // SAFETY: only called for numbers, which have no padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Views numbers as mutable bytes.
fn bytes_mut<T: Copy>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: only called for numbers, for which any bit pattern is valid.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// Shape of up to four axes with extents of 0, 1, or more.
fn shape() -> impl Strategy<Value = Vec<usize>> {
    let extent = prop_oneof![1 => 0usize..2, 6 => 1usize..7, 2 => 7usize..70];
    prop::collection::vec(extent, 1..5)
}

/// All positions of an array in row-major order.
fn positions(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..shape.iter().product()).map(move |mut flat| {
        let mut position = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            position[axis] = flat % shape[axis];
            flat /= shape[axis];
        }
        position
    })
}

/// Flat index of a position.
fn flat(position: &[usize], shape: &[usize]) -> usize {
    position.iter().zip(shape).fold(0, |flat, (at, extent)| flat * extent + at)
}

/// Checks that every element is within `bound * (1 + |want|)` of the `f64` reference.
fn near(got: &[f32], want: &[f64], bound: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want).abs();
        prop_assert!(error <= bound * (1.0 + want.abs()), "{got} for {want} at {i}");
    }
    Ok(())
}
