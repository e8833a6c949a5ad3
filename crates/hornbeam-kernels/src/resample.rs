//! Weighted sums along an axis with few weights for each element of the result, as of resized images.

use std::ops::Range;

use crate::math::Real;
use crate::multiversion;
use crate::pool::ThreadPool;
use crate::scratch::Plain;

/// Elements of a task: they stay in the L2 cache.
const TASK: usize = 1 << 14;

/// The weights that are not 0.
struct Taps<T> {
    /// Positions along the axis of the operand, and weights.
    list: Vec<(usize, T)>,
    /// Range of `list` of each element of the result.
    ranges: Vec<Range<usize>>,
}

impl<T: Real> Taps<T> {
    fn new(weights: &[T], size: usize) -> Self {
        let mut taps = Taps { list: Vec::new(), ranges: Vec::new() };
        for row in weights.chunks_exact(size) {
            let start = taps.list.len();
            taps.list.extend(row.iter().enumerate().filter(|(_, w)| **w != T::ZERO).map(|(k, w)| (k, *w)));
            taps.ranges.push(start..taps.list.len());
        }
        taps
    }
}

/// Computes `y[o, j, i] = sum over k of weights[j, k] x[o, k, i]`, in the order of `k`, without the weights that are 0. `x`
/// is `[outer, size, inner]` and `weights` `[out, size]`.
///
/// # Panics
/// If a buffer does not have its shape.
pub fn resample<T: Real + Plain>(
    pool: &ThreadPool,
    [outer, size, inner]: [usize; 3],
    x: &[T],
    weights: &[T],
    y: &mut [T],
) {
    let out = weights.len().checked_div(size).unwrap_or(0);
    let expected = [outer * size * inner, out * size, outer * out * inner];
    assert!([x.len(), weights.len(), y.len()] == expected, "buffers do not have {expected:?} elements");
    if y.is_empty() {
        return;
    }
    let taps = Taps::new(weights, size);
    let rows = (TASK / inner).max(1);
    pool.run_chunks(y, rows * inner, &|task, y| {
        let first = task * rows;
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe {
            let kernel = if inner <= 4 { pixels::<T>() } else { lines::<T>() };
            kernel(first, [size, inner], x, &taps, y)
        }
    });
}

multiversion! {
    /// Computes rows `first ..` of many elements.
    unsafe fn lines[S, T: Real](first: usize, extents: [usize; 2], x: &[T], taps: &Taps<T>, y: &mut [T]) {
        let [size, inner] = extents;
        for (row, y) in (first..).zip(y.chunks_exact_mut(inner)) {
            let x = &x[row / taps.ranges.len() * size * inner..][..size * inner];
            let line = |k: usize| &x[k * inner..(k + 1) * inner];
            let list = &taps.list[taps.ranges[row % taps.ranges.len()].clone()];
            let rest = match *list {
                [] => {
                    y.fill(T::ZERO);
                    list
                }
                [(k, w)] => {
                    for (y, x) in y.iter_mut().zip(line(k)) {
                        *y = w * *x;
                    }
                    &list[1..]
                }
                [(k, w), (l, v), ..] => {
                    for ((y, a), b) in y.iter_mut().zip(line(k)).zip(line(l)) {
                        *y = w * *a + v * *b;
                    }
                    &list[2..]
                }
            };
            for &(k, w) in rest {
                for (y, x) in y.iter_mut().zip(line(k)) {
                    *y = *y + w * *x;
                }
            }
        }
    }

    /// Computes rows `first ..` of at most four elements, each in a register.
    unsafe fn pixels[S, T: Real](first: usize, extents: [usize; 2], x: &[T], taps: &Taps<T>, y: &mut [T]) {
        let [size, inner] = extents;
        match inner {
            1 => pixels_of::<T, 1>(first, size, x, taps, y),
            2 => pixels_of::<T, 2>(first, size, x, taps, y),
            3 => pixels_of::<T, 3>(first, size, x, taps, y),
            _ => pixels_of::<T, 4>(first, size, x, taps, y),
        }
    }
}

#[inline(always)]
fn pixels_of<T: Real, const N: usize>(first: usize, size: usize, x: &[T], taps: &Taps<T>, y: &mut [T]) {
    let (x, y) = (x.as_chunks::<N>().0, y.as_chunks_mut::<N>().0);
    let out = taps.ranges.len();
    let (mut at, mut j) = (first / out * size, first % out);
    for y in y {
        let mut sum = [T::ZERO; N];
        for &(k, w) in &taps.list[taps.ranges[j].clone()] {
            let x = &x[at + k];
            for i in 0..N {
                sum[i] = sum[i] + w * x[i];
            }
        }
        *y = sum;
        j += 1;
        if j == out {
            (at, j) = (at + size, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{with_isa, Isa};
    use crate::testing::Random;

    #[test]
    fn results_agree_with_the_definition_on_every_instruction_set_and_number_of_threads() {
        let mut random = Random::new(5);
        for (outer, size, out, inner) in
            [(1, 1, 1, 1), (2, 5, 9, 3), (3, 8, 4, 1), (2, 6, 7, 2), (1, 4, 5, 4), (2, 7, 14, 70), (1, 3, 2, 20_000)]
        {
            let x: Vec<f32> = random.values(outer * size * inner);
            // No weights, one, two, and more.
            let weights: Vec<f32> = (0..out * size)
                .map(|i| if i % size < (i / size) % (size + 1) { 0.25 + (i % 7) as f32 } else { 0.0 })
                .collect();
            let run = |threads: usize| {
                let mut y = vec![f32::NAN; outer * out * inner];
                resample(&ThreadPool::new(threads), [outer, size, inner], &x, &weights, &mut y);
                y
            };
            let first = run(1);
            for (at, y) in first.iter().enumerate() {
                let (o, j, i) = (at / inner / out, at / inner % out, at % inner);
                let term = |k: usize| f64::from(weights[j * size + k]) * f64::from(x[(o * size + k) * inner + i]);
                let want: f64 = (0..size).map(term).sum();
                assert!((f64::from(*y) - want).abs() < 1e-4, "{y} for {want}");
            }
            for isa in Isa::available() {
                with_isa(isa, || {
                    for threads in [1, 3] {
                        assert_eq!(run(threads), first);
                    }
                });
            }
        }
    }

    #[test]
    fn weights_of_0_leave_out_what_is_not_finite() {
        let mut y = [0.0f32; 2];
        resample(&ThreadPool::new(1), [1, 3, 1], &[1.0, f32::NAN, 2.0], &[1.0, 0.0, 0.5, 0.0, 0.0, 0.0], &mut y);
        assert_eq!(y, [2.0, 0.0]);
    }
}
