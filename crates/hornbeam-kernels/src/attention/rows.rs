//! Row kernels of attention: online softmax, and gradients of the scores.

use crate::math;
use crate::multiversion;
use crate::sums::{sum, total, PARTIALS};
use crate::tiles::Float;

multiversion! {
    /// Turns a row of products into exponentials relative to the row max, which rises if needed.
    ///
    /// `state` holds the row max and the row sum of exponentials. Returns the factor that rescales earlier results. NaN
    /// are skipped by the maximum: they reach the result through the exponentials.
    pub(super) unsafe fn online_softmax[S, T: Float](
        scores: &mut [T],
        bias: Option<&[T]>,
        scale: T,
        state: &mut [T; 2],
    ) -> T {
        let [old_max, old_sum] = *state;
        let row_max = larger(scale_and_add(scores, bias, scale), old_max);
        let subtracted = safe_max(row_max);
        let mut parts = [T::ZERO; PARTIALS];
        let (blocks, rest) = scores.as_chunks_mut::<PARTIALS>();
        for block in blocks {
            for (score, part) in block.iter_mut().zip(&mut parts) {
                *score = (*score - subtracted).exp::<S>();
                *part = *part + *score;
            }
        }
        for (score, part) in rest.iter_mut().zip(&mut parts) {
            *score = (*score - subtracted).exp::<S>();
            *part = *part + *score;
        }
        // Of the first block of keys the factor is not needed: an exponential alone takes longer than one of a row.
        let factor = if old_sum == T::ZERO { T::ZERO } else { (old_max - subtracted).exp::<S>() };
        *state = [row_max, old_sum * factor + total(parts)];
        factor
    }

    pub(super) unsafe fn scale_row[S, T: Float](row: &mut [T], factor: T) {
        for value in row.iter_mut() {
            *value = *value * factor;
        }
    }

    pub(super) unsafe fn dot[S, T: Float](a: &[T], b: &[T]) -> T {
        sum([a, b], |[a, b]| a * b)
    }

    /// Turns a row of products `q k^T` into weights, and a row of products `dout v^T` into gradients of the products.
    ///
    /// `state` holds the row max, the row sum and `delta = dout . out`. `dbias` receives the gradients of the scores.
    pub(super) unsafe fn score_gradients[S, T: Float](
        weights: &mut [T],
        bias: Option<&[T]>,
        scale: T,
        state: [T; 3],
        dscores: &mut [T],
        dbias: Option<&mut [T]>,
    ) {
        let [row_max, row_sum, delta] = state;
        let inverse = T::ONE / row_sum;
        if let Some(bias) = bias {
            for ((weight, dscore), bias) in weights.iter_mut().zip(dscores.iter_mut()).zip(bias) {
                *weight = (*weight * scale + *bias - row_max).exp::<S>() * inverse;
                *dscore = (*dscore - delta) * *weight;
            }
        } else {
            for (weight, dscore) in weights.iter_mut().zip(dscores.iter_mut()) {
                *weight = (*weight * scale - row_max).exp::<S>() * inverse;
                *dscore = (*dscore - delta) * *weight;
            }
        }
        if let Some(dbias) = dbias {
            dbias.copy_from_slice(dscores);
        }
        for dscore in dscores.iter_mut() {
            *dscore = *dscore * scale;
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

/// The larger number, `b` if `a` is NaN: the order of the operands of the vector instruction.
#[inline(always)]
fn larger<T: Float>(a: T, b: T) -> T {
    if a > b {
        a
    } else {
        b
    }
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
    let mut width = PARTIALS / 2;
    while width > 0 {
        for j in 0..width {
            parts[j] = larger(parts[j + width], parts[j]);
        }
        width /= 2;
    }
    parts[0]
}
