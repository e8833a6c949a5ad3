//! Attention without its matrix of scores: `softmax(scale * q k^T + bias) v` for every head.
//!
//! Keys come in blocks. A block of queries sees one block of keys after the other and keeps, for each query, the largest
//! score so far and the sum of exponentials below it (Milakov and Gimelshein 2018; Dao et al. 2022), so that scores live
//! only in a cache. The way back computes the weights again from these two.
//!
//! Queries, keys and values are `[batch, length, heads, depth]` in memory.

use crate::gemm::tile::Kernels;
use crate::math;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};
use crate::softmax::sum;
use crate::tiles::{apart, Float, Left, Packed};

/// Queries of a block, and keys of a block: their scores fill a quarter of a second-level cache.
const QUERIES: usize = 56;
const KEYS: usize = 512;
/// Queries of a task of the way forth.
const TASK: usize = 4 * QUERIES;
/// Interleaved parts of a maximum.
const PARTS: usize = 16;

/// The extents of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    pub batch: usize,
    pub heads: usize,
    pub queries: usize,
    pub keys: usize,
    /// Features of a query and a key.
    pub depth: usize,
    /// Features of a value.
    pub width: usize,
    pub scale: f64,
}

/// What is added to the scores. Its keys lie next to each other.
#[derive(Clone, Copy)]
pub struct Bias<'a, T> {
    pub data: &'a [T],
    /// Distance between batches, heads and queries; 0 repeats.
    pub strides: [usize; 3],
}

pub struct Attention<'a, T> {
    pub q: &'a [T],
    pub k: &'a [T],
    pub v: &'a [T],
    pub bias: Option<Bias<'a, T>>,
    /// `[batch, queries, heads, width]`.
    pub out: &'a mut [T],
    /// The largest score of every query, and the sum of exponentials below it, `[batch, heads, queries]`.
    pub row_max: &'a mut [T],
    pub row_sum: &'a mut [T],
}

/// The way back through [`Attention`].
pub struct AttentionGrad<'a, T> {
    pub q: &'a [T],
    pub k: &'a [T],
    pub v: &'a [T],
    pub bias: Option<Bias<'a, T>>,
    pub out: &'a [T],
    pub row_max: &'a [T],
    pub row_sum: &'a [T],
    /// Gradient of `out`.
    pub dout: &'a [T],
    pub dq: &'a mut [T],
    pub dk: &'a mut [T],
    pub dv: &'a mut [T],
    /// `[batch, heads, queries, keys]`, where somebody wants it.
    pub dbias: Option<&'a mut [T]>,
}

/// A float that attention exists for.
pub trait AttentionElement: math::Real + Plain {
    /// # Panics
    /// In both: when a slice does not have its length.
    fn attention(pool: &ThreadPool, heads: &AttentionShape, operands: Attention<'_, Self>);
    fn attention_grad(pool: &ThreadPool, heads: &AttentionShape, operands: AttentionGrad<'_, Self>);
}

macro_rules! attention_element {
    ($($t:ty)*) => {$(
        impl AttentionElement for $t {
            fn attention(pool: &ThreadPool, heads: &AttentionShape, operands: Attention<'_, $t>) {
                forward(pool, heads, operands)
            }
            fn attention_grad(pool: &ThreadPool, heads: &AttentionShape, operands: AttentionGrad<'_, $t>) {
                backward(pool, heads, operands)
            }
        }
    )*};
}
attention_element!(f32 f64);

multiversion! {
    /// Turns a row of products into exponentials below the largest score so far, which goes up if need be.
    ///
    /// `state` is that score and the sum of all exponentials. Returns the factor for what was weighted before.
    unsafe fn weigh[S, T: Float](scores: &mut [T], bias: Option<&[T]>, scale: T, state: &mut [T; 2]) -> T {
        shift(scores, bias, scale);
        let mut parts = [T::LOWEST; PARTS];
        let chunks = scores.chunks_exact(PARTS);
        for (part, score) in parts.iter_mut().zip(chunks.remainder()) {
            *part = *score;
        }
        for chunk in chunks {
            for (part, score) in parts.iter_mut().zip(chunk) {
                *part = math::Real::max(*score, *part);
            }
        }
        let [before, total] = *state;
        let peak = parts.into_iter().fold(before, |peak, part| math::Real::max(part, peak));
        let finite = settled(peak);
        for score in scores.iter_mut() {
            *score = (*score - finite).exp::<S>();
        }
        let factor = (before - finite).exp::<S>();
        *state = [peak, total * factor + sum(scores.len(), |i| scores[i])];
        factor
    }

    unsafe fn scaled[S, T: Float](row: &mut [T], factor: T) {
        for value in row.iter_mut() {
            *value = *value * factor;
        }
    }

    unsafe fn dot[S, T: Float](a: &[T], b: &[T]) -> T {
        sum(a.len(), |i| a[i] * b[i])
    }

    /// From products of queries and keys to weights, and from products of gradients and values to those of the scores.
    unsafe fn slopes[S, T: Float](
        weights: &mut [T],
        bias: Option<&[T]>,
        scale: T,
        state: [T; 3],
        slopes: &mut [T],
        kept: Option<&mut [T]>,
    ) {
        let [peak, total, delta] = state;
        shift(weights, bias, scale);
        for weight in weights.iter_mut() {
            *weight = (*weight - peak).exp::<S>() / total;
        }
        for (slope, weight) in slopes.iter_mut().zip(weights.iter()) {
            *slope = (*slope - delta) * *weight;
        }
        if let Some(kept) = kept {
            kept.copy_from_slice(slopes);
        }
        for slope in slopes.iter_mut() {
            *slope = *slope * scale;
        }
    }
}

/// What is subtracted from scores. Where all are minus infinity that is nothing: their sum is 0, the result no number.
#[inline(always)]
fn settled<T: Float>(peak: T) -> T {
    if math::Real::is_finite(peak) {
        peak
    } else {
        T::ZERO
    }
}

#[inline(always)]
fn shift<T: Float>(scores: &mut [T], bias: Option<&[T]>, scale: T) {
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

impl AttentionShape {
    /// Where row `at` of head `head` begins in a sequence of `length` rows with `n` features a head.
    fn at(&self, batch: usize, at: usize, head: usize, length: usize, n: usize) -> usize {
        ((batch * length + at) * self.heads + head) * n
    }

    fn check<T>(&self, q: &[T], k: &[T], v: &[T], bias: Option<Bias<'_, T>>, out: usize, states: [usize; 2]) {
        let rows = self.batch * self.heads;
        let lengths = [q.len(), k.len(), v.len(), out, states[0], states[1]];
        let (queries, keys) = (rows * self.queries, rows * self.keys);
        let expected =
            [queries * self.depth, keys * self.depth, keys * self.width, queries * self.width, queries, queries];
        assert!(lengths == expected, "operands of {lengths:?} elements do not have the shape {self:?}");
        if let Some(bias) = bias {
            let [b, h, t] = bias.strides;
            let last = (self.batch - 1) * b + (self.heads - 1) * h + (self.queries - 1) * t + self.keys;
            assert!(bias.data.len() >= last, "the bias does not have the shape {self:?}");
        }
    }

    /// The bias of a query and some keys.
    fn bias<'a, T>(
        &self,
        bias: Option<Bias<'a, T>>,
        [batch, head]: [usize; 2],
        query: usize,
        keys: [usize; 2],
    ) -> Option<&'a [T]> {
        bias.map(|bias| {
            let start = batch * bias.strides[0] + head * bias.strides[1] + query * bias.strides[2];
            &bias.data[start + keys[0]..start + keys[1]]
        })
    }
}

/// Cuts `all` numbers off the front of working memory.
fn cut<'a, T>(rest: &mut &'a mut [T], all: usize) -> &'a mut [T] {
    let (front, back) = std::mem::take(rest).split_at_mut(all);
    *rest = back;
    front
}

/// Copies rows `step` apart into working memory.
fn gather<T: Copy>(from: &[T], step: usize, n: usize, rows: usize, to: &mut [T]) {
    for (row, to) in to.chunks_exact_mut(apart(n)).take(rows).enumerate() {
        to[..n].copy_from_slice(&from[row * step..row * step + n]);
    }
}

/// Blocks of at most `most` in `start .. end`.
fn blocks(start: usize, end: usize, most: usize) -> impl Iterator<Item = [usize; 2]> {
    (start..end).step_by(most).map(move |first| [first, (first + most).min(end)])
}

fn panel<T>(kernels: &Kernels<T>) -> usize {
    2 * kernels.lanes
}

fn forward<T: Float>(pool: &ThreadPool, heads: &AttentionShape, operands: Attention<'_, T>) {
    let Attention { q, k, v, bias, out, row_max, row_sum } = operands;
    if out.is_empty() || heads.keys == 0 || heads.depth == 0 {
        return out.fill(T::ZERO);
    }
    heads.check(q, k, v, bias, out.len(), [row_max.len(), row_sum.len()]);
    let kernels = T::kernels();
    let width = panel(kernels);
    let (weigh, scaled) = (weigh::<T>(), scaled::<T>());
    let scale = T::from_f64(heads.scale);
    let [out, row_max, row_sum] = [out, row_max, row_sum].map(SharedMut::new);
    let (d, e, keys) = (heads.depth, heads.width, heads.keys.min(KEYS));
    let chunks = heads.queries.div_ceil(TASK);
    let work = |task: usize, local: &mut Scratch| {
        let (pair, chunk) = (task / chunks, task % chunks);
        let (batch, head) = (pair / heads.heads, pair % heads.heads);
        let [first, end] = [chunk * TASK, ((chunk + 1) * TASK).min(heads.queries)];
        let sizes = [
            Packed::<T>::len(d, keys, width),
            Packed::<T>::len(keys, e, width),
            QUERIES * apart(d),
            QUERIES * apart(keys),
        ];
        let mut rest = local.take::<T>(sizes.iter().sum());
        let [packed_k, packed_v, rows, scores] = sizes.map(|n| cut(&mut rest, n));
        let mut states = [[T::LOWEST, T::ZERO]; TASK];
        states.iter_mut().for_each(|state| state[0] = T::from_f64(f64::NEG_INFINITY));
        for [from, to] in blocks(0, heads.keys, keys) {
            let count = to - from;
            let at = heads.at(batch, from, head, heads.keys, 1);
            let kt = Packed::new(kernels, &k[at * d..], [d, count], [1, heads.heads * d], width, packed_k);
            let v = Packed::new(kernels, &v[at * e..], [count, e], [heads.heads * e, 1], width, packed_v);
            for [start, stop] in blocks(first, end, QUERIES) {
                let m = stop - start;
                let at = heads.at(batch, start, head, heads.queries, 1);
                gather(&q[at * d..], heads.heads * d, d, m, rows);
                let step = apart(keys);
                // SAFETY: `scores` holds as many rows; the rest of the block asks only for the right machine, and the
                // rows of this head and these queries in `out` are this task's own.
                unsafe {
                    let left = Left { data: rows, step: apart(d), turned: false };
                    kt.product(m, left, None, scores.as_mut_ptr(), step, false);
                    for (r, row) in scores.chunks_exact_mut(step).take(m).enumerate() {
                        let query = start + r;
                        let bias = heads.bias(bias, [batch, head], query, [from, to]);
                        let factor = weigh(&mut row[..count], bias, scale, &mut states[query - first]);
                        if from > 0 {
                            let at = heads.at(batch, query, head, heads.queries, e);
                            scaled(out.range(at..at + e), factor);
                        }
                    }
                    let left = Left { data: scores, step, turned: false };
                    v.product(m, left, None, out.as_ptr().add(at * e), heads.heads * e, from > 0);
                }
            }
        }
        for (query, [peak, total]) in (first..end).zip(states) {
            let at = heads.at(batch, query, head, heads.queries, e);
            // SAFETY: as above, and each task has its own queries in the rest.
            unsafe {
                scaled(out.range(at..at + e), T::ONE / total);
                let line = pair * heads.queries + query;
                row_max.range(line..line + 1)[0] = settled(peak);
                row_sum.range(line..line + 1)[0] = total;
            }
        }
    };
    pool.run(heads.batch * heads.heads * chunks, &|task| with_local(|local| work(task, local)));
}

fn backward<T: Float>(pool: &ThreadPool, heads: &AttentionShape, operands: AttentionGrad<'_, T>) {
    let AttentionGrad { q, k, v, bias, out, row_max, row_sum, dout, dq, dk, dv, dbias } = operands;
    if out.is_empty() || heads.keys == 0 || heads.depth == 0 {
        [dq, dk, dv].into_iter().for_each(|slopes| slopes.fill(T::ZERO));
        return dbias.into_iter().for_each(|slopes| slopes.fill(T::ZERO));
    }
    heads.check(q, k, v, bias, out.len(), [row_max.len(), row_sum.len()]);
    heads.check(dq, dk, dv, None, dout.len(), [row_max.len(), row_sum.len()]);
    let scores = heads.batch * heads.heads * heads.queries * heads.keys;
    assert!(dbias.as_ref().is_none_or(|d| d.len() == scores), "the bias's gradient does not have the shape {heads:?}");
    let kernels = T::kernels();
    let width = panel(kernels);
    let (slopes, dot) = (slopes::<T>(), dot::<T>());
    let scale = T::from_f64(heads.scale);
    let [dq, dk, dv] = [dq, dk, dv].map(SharedMut::new);
    let dbias = dbias.map(SharedMut::new);
    let (d, e, keys) = (heads.depth, heads.width, heads.keys.min(KEYS));
    let (d_step, e_step, step) = (heads.heads * d, heads.heads * e, apart(keys));
    let work = |pair: usize, local: &mut Scratch| {
        let (batch, head) = (pair / heads.heads, pair % heads.heads);
        let sizes = [
            Packed::<T>::len(d, keys, width),
            Packed::<T>::len(e, keys, width),
            Packed::<T>::len(keys, d, width),
            Packed::<T>::len(QUERIES, d, width),
            Packed::<T>::len(QUERIES, e, width),
            QUERIES * apart(d),
            QUERIES * apart(e),
            QUERIES * step,
            QUERIES * step,
        ];
        let mut rest = local.take::<T>(sizes.iter().sum());
        let [kt, vt, kp, qp, dp, rows, ends, weights, changes] = sizes.map(|n| cut(&mut rest, n));
        for [from, to] in blocks(0, heads.keys, keys) {
            let count = to - from;
            let at = heads.at(batch, from, head, heads.keys, 1);
            let (k_at, v_at) = (at * d, at * e);
            let kt = Packed::new(kernels, &k[k_at..], [d, count], [1, d_step], width, kt);
            let vt = Packed::new(kernels, &v[v_at..], [e, count], [1, e_step], width, vt);
            let kp = Packed::new(kernels, &k[k_at..], [count, d], [d_step, 1], width, kp);
            for [start, stop] in blocks(0, heads.queries, QUERIES) {
                let m = stop - start;
                let at = heads.at(batch, start, head, heads.queries, 1);
                let (q_at, o_at) = (at * d, at * e);
                gather(&q[q_at..], d_step, d, m, rows);
                gather(&dout[o_at..], e_step, e, m, ends);
                let qp = Packed::new(kernels, rows, [m, d], [apart(d), 1], width, qp);
                let dp = Packed::new(kernels, ends, [m, e], [apart(e), 1], width, dp);
                // SAFETY: working memory holds as many rows; the rest of the block asks only for the right machine,
                // and all rows of this head are this task's own in the results.
                unsafe {
                    let left = Left { data: rows, step: apart(d), turned: false };
                    kt.product(m, left, None, weights.as_mut_ptr(), step, false);
                    let left = Left { data: ends, step: apart(e), turned: false };
                    vt.product(m, left, None, changes.as_mut_ptr(), step, false);
                    for r in 0..m {
                        let query = start + r;
                        let at = o_at + r * e_step;
                        let delta = dot(&dout[at..at + e], &out[at..at + e]);
                        let bias = heads.bias(bias, [batch, head], query, [from, to]);
                        let line = pair * heads.queries + query;
                        let kept =
                            dbias.as_ref().map(|all| all.range(line * heads.keys + from..line * heads.keys + to));
                        let range = r * step..r * step + count;
                        let state = [row_max[line], row_sum[line], delta];
                        slopes(&mut weights[range.clone()], bias, scale, state, &mut changes[range], kept);
                    }
                    let left = Left { data: changes, step, turned: false };
                    kp.product(m, left, None, dq.as_ptr().add(q_at), d_step, from > 0);
                    let left = Left { data: changes, step, turned: true };
                    qp.product(count, left, None, dk.as_ptr().add(k_at), d_step, start > 0);
                    let left = Left { data: weights, step, turned: true };
                    dp.product(count, left, None, dv.as_ptr().add(v_at), e_step, start > 0);
                }
            }
        }
    };
    pool.run(heads.batch * heads.heads, &|task| with_local(|local| work(task, local)));
}

#[cfg(test)]
mod tests;
