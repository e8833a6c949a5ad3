//! Row kernels of attention: online softmax, and gradients of the scores.

use super::Operand;
use crate::dtype::Element;
use crate::math;
use crate::multiversion;
use crate::simd::Target;
use crate::sums::{largest, total};
use crate::tiles::Float;

/// Interleaved partial sums and maxima of a row: one AVX-512 register, since rows may be short.
const PARTIALS: usize = 16;

/// Kernel of [`online_softmax`].
pub(super) type OnlineSoftmax<T> = unsafe fn(&mut [T], Option<&[T]>, T, &mut [T; 2]) -> T;

multiversion! {
    /// Turns a row of products into exponentials relative to the row max, which rises if needed.
    ///
    /// `state` holds the row max and the row sum of exponentials. Returns the factor that rescales earlier results. NaN
    /// are skipped by the maximum: they reach the result through the exponentials.
    pub(super) unsafe fn online_softmax[S, T: Float; T::DTYPE.copies()](
        scores: &mut [T], bias: Option<&[T]>, scale: T, state: &mut [T; 2],
    ) -> T {
        let [old_max, old_sum] = *state;
        let (block_max, scale) = match bias {
            // A positive scale keeps the order.
            None if scale > T::ZERO => (max(scores) * scale, scale),
            _ => (scale_and_add(scores, bias, scale), T::ONE),
        };
        let row_max = larger(block_max, old_max);
        let subtracted = safe_max(row_max);
        let mut parts = [T::ZERO; PARTIALS];
        let (blocks, rest) = scores.as_chunks_mut::<PARTIALS>();
        for block in blocks {
            for (score, part) in block.iter_mut().zip(&mut parts) {
                *score = exp_or_zero::<S, T>(*score * scale - subtracted);
                *part = *part + *score;
            }
        }
        for (score, part) in rest.iter_mut().zip(&mut parts) {
            *score = exp_or_zero::<S, T>(*score * scale - subtracted);
            *part = *part + *score;
        }
        // Of the first block of keys the factor is not needed.
        let factor = if old_sum == T::ZERO { T::ZERO } else { (old_max - subtracted).exp::<S>() };
        *state = [row_max, old_sum * factor + total(parts)];
        factor
    }

    pub(super) unsafe fn scale_row[S, T: Float; T::DTYPE.copies()](row: &mut [T], factor: T) {
        for value in row.iter_mut() {
            *value = *value * factor;
        }
    }

    /// Widens `rows` rows of `n` elements, `stride` apart, to rows `to_stride` apart.
    pub(super) unsafe fn load_rows[S, K: Operand; K::DTYPE.copies()](
        from: &[K], stride: usize, extents: [usize; 2], to: &mut [K::Acc], to_stride: usize,
    ) {
        let [rows, n] = extents;
        for row in 0..rows {
            for (to, from) in to[row * to_stride..][..n].iter_mut().zip(&from[row * stride..][..n]) {
                *to = from.to_acc();
            }
        }
    }

    /// Computes the row `to = row * factor`, rounded.
    pub(super) unsafe fn store_row[S, K: Operand; K::DTYPE.copies()](row: &[K::Acc], factor: K::Acc, to: &mut [K]) {
        for (to, value) in to.iter_mut().zip(row) {
            *to = K::from_acc(*value * factor);
        }
    }

    pub(super) unsafe fn dot[S, K: Operand; K::DTYPE.copies()](a: &[K::Acc], b: &[K]) -> K::Acc {
        let mut parts = [K::Acc::ZERO; PARTIALS];
        let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks::<PARTIALS>(), b.as_chunks::<PARTIALS>());
        for (a, b) in a_blocks.iter().zip(b_blocks) {
            for ((part, a), b) in parts.iter_mut().zip(a).zip(b) {
                *part = *part + *a * b.to_acc();
            }
        }
        for ((part, a), b) in parts.iter_mut().zip(a_rest).zip(b_rest) {
            *part = *part + *a * b.to_acc();
        }
        total(parts)
    }

    /// Turns a row of products `q k^T` into weights, and a row of products `dout v^T` into gradients of the products.
    ///
    /// `state` holds the row max, the row sum and `delta = dout . out`. `dbias` receives the gradients of the scores.
    pub(super) unsafe fn score_gradients[S, T: Float; T::DTYPE.copies()](
        weights: &mut [T], bias: Option<&[T]>, scale: T, state: [T; 3], dscores: &mut [T], dbias: Option<&mut [T]>,
    ) {
        let [row_max, row_sum, delta] = state;
        let inverse = T::ONE / row_sum;
        let factor = if dbias.is_some() { T::ONE } else { scale };
        if let Some(bias) = bias {
            for ((weight, dscore), bias) in weights.iter_mut().zip(dscores.iter_mut()).zip(bias) {
                *weight = exp_or_zero::<S, T>(*weight * scale + *bias - row_max) * inverse;
                *dscore = (*dscore - delta) * *weight * factor;
            }
        } else {
            for (weight, dscore) in weights.iter_mut().zip(dscores.iter_mut()) {
                *weight = exp_or_zero::<S, T>(*weight * scale - row_max) * inverse;
                *dscore = (*dscore - delta) * *weight * factor;
            }
        }
        if let Some(dbias) = dbias {
            dbias.copy_from_slice(dscores);
            for dscore in dscores.iter_mut() {
                *dscore = *dscore * scale;
            }
        }
    }
}

/// Maximum that is subtracted from the scores: 0 for a row of minus infinities, whose sum is then 0 and its result NaN.
#[inline(always)]
pub(super) fn safe_max<T: Float>(row_max: T) -> T {
    if math::Real::is_finite(row_max) {
        row_max
    } else {
        T::ZERO
    }
}

/// Computes `exp(x)`, or 0 where that is no normal number: the arithmetic of subnormal ones, which masked scores would
/// give, is slow on x86.
#[inline(always)]
fn exp_or_zero<S: Target, T: Float>(x: T) -> T {
    let least = T::from_f64(if size_of::<T>() == 4 { -87.0 } else { -708.0 });
    let y = larger(least, x).exp_normal::<S>();
    if x < least {
        T::ZERO
    } else {
        y
    }
}

/// The larger number, `b` if `a` is NaN: the order of the operands of the vector instruction.
#[inline(always)]
fn larger<T: Float>(a: T, b: T) -> T {
    if a > b {
        a
    } else {
        b
    }
}

/// The largest score, or minus infinity.
#[inline(always)]
fn max<T: Float>(scores: &[T]) -> T {
    let mut parts = [T::from_f64(f64::NEG_INFINITY); PARTIALS];
    let (blocks, rest) = scores.as_chunks::<PARTIALS>();
    for block in blocks {
        for (score, part) in block.iter().zip(&mut parts) {
            *part = larger(*score, *part);
        }
    }
    for (score, part) in rest.iter().zip(&mut parts) {
        *part = larger(*score, *part);
    }
    largest(parts)
}

/// Computes `scores = scores * scale + bias`, and returns the largest.
#[inline(always)]
fn scale_and_add<T: Float>(scores: &mut [T], bias: Option<&[T]>, scale: T) -> T {
    let mut parts = [T::LOWEST; PARTIALS];
    let (blocks, rest) = scores.as_chunks_mut::<PARTIALS>();
    match bias {
        Some(bias) => {
            let (bias_blocks, bias_rest) = bias.as_chunks::<PARTIALS>();
            for (block, bias) in blocks.iter_mut().zip(bias_blocks) {
                for ((score, part), bias) in block.iter_mut().zip(&mut parts).zip(bias) {
                    *score = *score * scale + *bias;
                    *part = larger(*score, *part);
                }
            }
            for ((score, part), bias) in rest.iter_mut().zip(&mut parts).zip(bias_rest) {
                *score = *score * scale + *bias;
                *part = larger(*score, *part);
            }
        }
        None => {
            for block in blocks {
                for (score, part) in block.iter_mut().zip(&mut parts) {
                    *score = *score * scale;
                    *part = larger(*score, *part);
                }
            }
            for (score, part) in rest.iter_mut().zip(&mut parts) {
                *score = *score * scale;
                *part = larger(*score, *part);
            }
        }
    }
    largest(parts)
}
