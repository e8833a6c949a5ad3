//! Weighted sums along an axis with few weights for each result, as in resizing images.

use crate::dtype::Element;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use crate::softmax::FloatElement;
use crate::window::for_each_channel_block;
use std::ops::Range;

/// Minimum elements of a task.
const TASK: usize = 1 << 14;

/// Arrays `[outer, n, inner]` that become `[outer, out, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resample {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
    pub out: usize,
}

/// Adds up the `N` elements at `x` and at distances of `inner`, each times its weight.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn weighted_sum<T: FloatElement, const N: usize>(weights: &[T], x: *const T, inner: usize) -> [T; N] {
    let mut sums = [T::Acc::ZERO; N];
    for (i, weight) in weights.iter().enumerate() {
        // SAFETY: the caller's contract. A copy, so that LLVM keeps it in registers.
        let x = unsafe { *x.add(i * inner).cast::<[T; N]>() };
        let weight = weight.to_acc();
        for j in 0..N {
            sums[j] = sums[j] + weight * x[j].to_acc();
        }
    }
    sums.map(T::from_acc)
}

multiversion! {
    /// Computes rows of the result. `bands` has the first weight of each that is not 0, and the end of those.
    unsafe fn sum_rows[S, T: FloatElement; T::DTYPE.copies()](
        shape: &Resample, rows: Range<usize>, bands: &[[u32; 2]], weights: &[T], x: &[T], y: &mut [T]
    ) {
        let Resample { n, inner, out, .. } = *shape;
        // Counted, because divisions take longer than the sums of a pixel.
        let (mut outer, mut at) = (rows.start / out, rows.start % out);
        for y in y.chunks_exact_mut(inner) {
            let [first, end] = bands[at].map(|n| n as usize);
            let weights = &weights[at * n + first..at * n + end];
            // SAFETY: the rows of a band lie within `x`, and blocks within a row.
            unsafe {
                let x = x.as_ptr().add((outer * n + first) * inner);
                match inner {
                    2 => y.copy_from_slice(&weighted_sum::<T, 2>(weights, x, inner)),
                    3 => y.copy_from_slice(&weighted_sum::<T, 3>(weights, x, inner)),
                    4 => y.copy_from_slice(&weighted_sum::<T, 4>(weights, x, inner)),
                    _ => for_each_channel_block!(inner, |at, N| {
                        y[at..at + N].copy_from_slice(&weighted_sum::<T, N>(weights, x.add(at), inner));
                    }),
                }
            }
            at += 1;
            if at == out {
                (outer, at) = (outer + 1, 0);
            }
        }
    }
}

/// Computes `y[o, i, j] = sum over s of weights[i, s] x[o, s, j]`, with `weights` of shape `[out, n]`. Weights of 0 before
/// the first and after the last other one of each result are left out, so that infinite elements do not reach it.
///
/// # Panics
/// If a slice does not have its length.
pub fn resample<T: FloatElement>(pool: &ThreadPool, shape: &Resample, weights: &[T], x: &[T], y: &mut [T]) {
    let Resample { outer, n, inner, out } = *shape;
    assert!(x.len() == outer * n * inner && y.len() == outer * out * inner, "an operand does not fit {shape:?}");
    assert!(weights.len() == out * n && n <= u32::MAX as usize, "the weights do not fit {shape:?}");
    if y.is_empty() {
        return;
    }
    let kernel = sum_rows::<T>();
    with_local(|scratch| {
        let bands = scratch.take::<u32>(2 * out).as_chunks_mut().0;
        for (at, band) in bands.iter_mut().enumerate() {
            let weights = &weights[at * n..][..n];
            let nonzero = |weight: &T| *weight != T::ZERO;
            let first = weights.iter().position(nonzero).unwrap_or(0);
            let end = weights.iter().rposition(nonzero).map_or(first, |last| last + 1);
            *band = [first as u32, end as u32];
        }
        let (bands, y) = (&*bands, SharedMut::new(y));
        pool.run_ranges(outer * out, TASK.div_ceil(inner), &|rows| {
            // SAFETY: ranges of rows are disjoint; the kernel is compiled for this machine.
            unsafe { kernel(shape, rows.clone(), bands, weights, x, y.range(rows.start * inner..rows.end * inner)) };
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::{bf16, f16};
    use crate::simd::on_each_isa;
    use crate::testing::{assert_close, tolerance, Random};

    fn check<T: FloatElement>(random: &mut Random, shape: &Resample) {
        let Resample { outer, n, inner, out } = *shape;
        let x = random.values::<T>(outer * n * inner);
        let mut weights = random.values::<T>(out * n);
        for (i, weight) in weights.iter_mut().enumerate() {
            // Bands of up to three weights, and a row without any.
            let distance = (i / n.max(1) * n).abs_diff(i % n.max(1) * out);
            *weight = if distance <= out + n && i / n.max(1) != 2 { *weight } else { T::ZERO };
        }
        let mut want = vec![0.0; outer * out * inner];
        for (i, want) in want.iter_mut().enumerate() {
            let (o, at, j) = (i / inner / out, i / inner % out, i % inner);
            *want = (0..n).map(|s| weights[at * n + s].to_f64() * x[(o * n + s) * inner + j].to_f64()).sum();
        }
        let mut before: Option<Vec<u64>> = None;
        for threads in [1, 3] {
            let mut y = vec![T::ONE; want.len()];
            resample(&ThreadPool::new(threads), shape, &weights, &x, &mut y);
            assert_close("resample", &y, &want, 4.0, tolerance::<T>(1e-6));
            let bits = y.iter().map(|v| v.to_f64().to_bits()).collect();
            assert!(before.as_ref().is_none_or(|before| *before == bits), "{threads} threads differ: {shape:?}");
            before = Some(bits);
        }
    }

    #[test]
    fn floats_agree_with_the_definition_on_every_instruction_set() {
        on_each_isa(|_| {
            let mut random = Random::new(7);
            for (outer, n, inner, out) in [
                (1, 1, 1, 1),
                (2, 5, 3, 9),
                (3, 9, 70, 4),
                (1, 30, 16, 61),
                (2, 8, 17, 8),
                (3, 6, 2, 11),
                (3, 7, 4, 3),
                (4, 3, 200, 50),
                (2, 4, 5, 0),
                (2, 0, 3, 4),
            ] {
                let shape = Resample { outer, n, inner, out };
                check::<f32>(&mut random, &shape);
                check::<f64>(&mut random, &shape);
                check::<f16>(&mut random, &shape);
                check::<bf16>(&mut random, &shape);
            }
        });
    }

    #[test]
    fn infinite_elements_reach_only_their_neighbours() {
        let (x, weights) = ([1.0f32, 2.0, f32::INFINITY], [0.5, 0.5, 0.0, 0.0, 0.0, 1.0]);
        let mut y = [0.0; 2];
        let shape = Resample { outer: 1, n: 3, inner: 1, out: 2 };
        resample(&ThreadPool::new(1), &shape, &weights, &x, &mut y);
        assert_eq!(y, [1.5, f32::INFINITY]);
    }
}
