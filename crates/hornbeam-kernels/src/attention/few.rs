//! Forward pass of few queries, as in the generation of text: a task takes one head, and reads keys and values where they
//! lie, each once. To pack them for a product would take longer than the product.

use super::dropout::drop_row;
use super::rows::{online_softmax, safe_max, scale_row};
use super::{blocks, Attention, AttentionShape, Head};
use crate::gemm::types::{Kernels, Row};
use crate::gemm::vector::prefetch;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use crate::tiles::Float;
use std::ptr::null;

/// Most queries of this pass.
pub(super) const QUERIES: usize = 2;
/// Keys whose rows are prefetched while those before are multiplied. The rows of a head lie apart, so that the processor
/// does not foresee them.
const AHEAD: usize = 4;
/// Values that are summed in registers, before the sum is added to the output.
const SUMMED: usize = 64;

pub(super) fn forward<T: Float>(pool: &ThreadPool, shape: &AttentionShape, operands: Attention<'_, T>) {
    let Attention { q, k, v, bias, dropout, out, row_max, row_sum } = operands;
    let AttentionShape { queries, keys, key_heads, depth: d, width: e, .. } = *shape;
    let [out, row_max, row_sum] = [out, row_max, row_sum].map(SharedMut::new);
    let scale = T::from_f64(shape.scale);
    // Of the caller's instruction set: tests choose it by thread.
    let kernels = T::kernels();
    let (online_softmax, scale_row, drop_row) = (online_softmax::<T>(), scale_row::<T>(), drop_row::<T>());
    let task = |head: Head, query: usize, scores: &mut [T], sums: &mut [T], words: &mut [u32]| {
        let (at, key_at) = (head.offset(query, queries, 1), head.key_offset(0, keys, 1));
        let visible = shape.visible(query + 1, [0, keys]);
        let (k, v, scores) = (&k[key_at * d..], &v[key_at * e..], &mut scores[..visible]);
        let mut state = [T::from_f64(f64::NEG_INFINITY), T::ZERO];
        // SAFETY: the kernels are compiled for this machine; no other task writes the rows of this head.
        unsafe {
            products(kernels, &q[at * d..(at + 1) * d], k, key_heads * d, scores);
            online_softmax(scores, head.bias(bias, query, [0, visible]), scale, &mut state);
            if let Some(dropout) = dropout {
                let words = &mut words[..visible];
                dropout.fill(head.index * queries + query, keys, 0, visible, words);
                drop_row(scores, words, dropout.bound(), dropout.factor());
            }
            let out = out.range(at * e..(at + 1) * e);
            weighted_sum(kernels, scores, v, key_heads * e, sums, out);
            scale_row(out, T::ONE / state[1]);
            let row = head.index * queries + query;
            row_max.range(row..row + 1)[0] = safe_max(state[0]);
            row_sum.range(row..row + 1)[0] = state[1];
        }
    };
    pool.run(shape.batch * shape.heads, &|index| {
        with_local(|local| {
            let words = if dropout.is_some() { keys } else { 0 };
            let (scores, sums, words) = local.take3::<T, T, u32>(keys, e, words);
            for query in 0..queries {
                task(Head::new(shape, index), query, scores, sums, words);
            }
        });
    });
}

/// Computes the products of a query with the rows of its keys, `stride` apart.
///
/// # Safety
/// The kernels must be compiled for this machine.
unsafe fn products<T: Float>(kernels: &Kernels<T>, q: &[T], keys: &[T], stride: usize, scores: &mut [T]) {
    let (count, k) = (scores.len(), q.len());
    assert!(count == 0 || (count - 1) * stride + k <= keys.len(), "{count} rows, {stride} apart, are not in the keys");
    scores.fill(T::ZERO);
    for [first, end] in blocks(0, count, AHEAD) {
        for row in end..end + AHEAD {
            prefetch_row(keys.as_ptr().wrapping_add(row * stride), k);
        }
        let b = keys[first * stride..].as_ptr();
        let c = scores[first..end].as_mut_ptr();
        // SAFETY: all rows are in the slice; dot products read no list of rows.
        unsafe { (kernels.dots)(&Row { a: q.as_ptr(), rows: null(), b, b_stride: stride, k, n: end - first, c }) };
    }
}

/// Computes the sum of rows of values, `stride` apart, times their weights.
///
/// # Safety
/// The kernels must be compiled for this machine.
unsafe fn weighted_sum<T: Float>(
    kernels: &Kernels<T>,
    weights: &[T],
    values: &[T],
    stride: usize,
    sums: &mut [T],
    out: &mut [T],
) {
    let (count, n) = (weights.len(), out.len());
    assert!(
        count == 0 || (count - 1) * stride + n <= values.len(),
        "{count} rows, {stride} apart, are not in the values"
    );
    let sums = &mut sums[..n];
    out.fill(T::ZERO);
    for [first, end] in blocks(0, count, SUMMED) {
        sums.fill(T::ZERO);
        let (a, b, c) = (weights[first..end].as_ptr(), values[first * stride..].as_ptr(), sums.as_mut_ptr());
        // SAFETY: all rows are in the slice; those beyond are only prefetched.
        unsafe { (kernels.wide)(&Row { a, rows: ROWS.as_ptr(), b, b_stride: stride, k: end - first, n, c }) };
        for (out, sum) in out.iter_mut().zip(&*sums) {
            *out = *out + *sum;
        }
    }
}

/// The numbers of rows of a block, and of the next one, of which the kernel prefetches some.
static ROWS: [u32; 2 * SUMMED] = {
    let mut rows = [0; 2 * SUMMED];
    let mut row = 0;
    while row < rows.len() {
        rows[row] = row as u32;
        row += 1;
    }
    rows
};

/// Prefetches a row of `n` elements. It need not exist.
fn prefetch_row<T>(row: *const T, n: usize) {
    const LINE: usize = 64;
    for at in (0..n * size_of::<T>()).step_by(LINE) {
        prefetch(row.cast::<u8>().wrapping_add(at));
    }
}
