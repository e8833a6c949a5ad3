//! Row kernels of attention: online softmax, and gradients of the scores.

use crate::math;
use crate::multiversion;
use crate::sums::sum;
use crate::tiles::Float;

/// Interleaved partial maxima of a row.
const PARTIALS: usize = 16;

multiversion! {
    /// Turns a row of products into exponentials relative to the row max, which rises if needed.
    ///
    /// `state` holds the row max and the row sum of exponentials. Returns the factor that rescales earlier results.
    pub(super) unsafe fn online_softmax[S, T: Float](
        scores: &mut [T],
        bias: Option<&[T]>,
        scale: T,
        state: &mut [T; 2],
    ) -> T {
        scale_and_add(scores, bias, scale);
        let mut partials = [T::LOWEST; PARTIALS];
        let chunks = scores.chunks_exact(PARTIALS);
        for (partial, score) in partials.iter_mut().zip(chunks.remainder()) {
            *partial = *score;
        }
        for chunk in chunks {
            for (partial, score) in partials.iter_mut().zip(chunk) {
                *partial = math::Real::max(*score, *partial);
            }
        }
        let [old_max, row_sum] = *state;
        let row_max = partials.into_iter().fold(old_max, |row_max, partial| math::Real::max(partial, row_max));
        let subtracted = safe_max(row_max);
        for score in scores.iter_mut() {
            *score = (*score - subtracted).exp::<S>();
        }
        let factor = (old_max - subtracted).exp::<S>();
        *state = [row_max, row_sum * factor + sum([&*scores], |[score]| score)];
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
        scale_and_add(weights, bias, scale);
        for weight in weights.iter_mut() {
            *weight = (*weight - row_max).exp::<S>() / row_sum;
        }
        for (dscore, weight) in dscores.iter_mut().zip(weights.iter()) {
            *dscore = (*dscore - delta) * *weight;
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

/// Computes `scores = scores * scale + bias`.
#[inline(always)]
fn scale_and_add<T: Float>(scores: &mut [T], bias: Option<&[T]>, scale: T) {
    match bias {
        Some(bias) => {
            for (score, bias) in scores.iter_mut().zip(bias) {
                *score = *score * scale + *bias;
            }
        }
        None => {
            for score in scores.iter_mut() {
                *score = *score * scale;
            }
        }
    }
}
