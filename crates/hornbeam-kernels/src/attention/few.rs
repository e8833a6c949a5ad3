//! Forward pass of few queries, as in the generation of text: a task takes one head, and reads keys and values where they
//! lie. To pack them for a product would take longer than the product.

use super::dropout::drop_row;
use super::rows::{online_softmax, safe_max, scale_row, weighted_sum};
use super::{Attention, AttentionShape, Head};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use crate::tiles::{Float, Lhs, PackedRhs};

/// Most queries of this pass.
pub(super) const QUERIES: usize = 2;

pub(super) fn forward<T: Float>(pool: &ThreadPool, shape: &AttentionShape, operands: Attention<'_, T>) {
    let Attention { q, k, v, bias, dropout, out, row_max, row_sum } = operands;
    let AttentionShape { queries, keys, key_heads, depth: d, width: e, .. } = *shape;
    let [out, row_max, row_sum] = [out, row_max, row_sum].map(SharedMut::new);
    let scale = T::from_f64(shape.scale);
    // Of the caller's instruction set: tests choose it by thread.
    let (kernels, width) = (T::kernels(), T::kernels().lanes);
    let (online_softmax, weighted_sum) = (online_softmax::<T>(), weighted_sum::<T>());
    let (scale_row, drop_row) = (scale_row::<T>(), drop_row::<T>());
    let task = |head: Head, query: usize, packed: &mut [T], scores: &mut [T], words: &mut [u32]| {
        let (at, key_at) = (head.offset(query, queries, 1), head.key_offset(0, keys, 1));
        let visible = shape.visible(query + 1, [0, keys]);
        let (k, v, scores) = (&k[key_at * d..], &v[key_at * e..], &mut scores[..visible]);
        let mut state = [T::from_f64(f64::NEG_INFINITY), T::ZERO];
        let q = PackedRhs::new(kernels, &q[at * d..(at + 1) * d], [d, 1], [1, 1], width, packed);
        // SAFETY: `scores` holds a column of `visible` products; the kernels are compiled for this machine; no other task writes the rows of this head.
        unsafe {
            let k = Lhs { data: k, stride: key_heads * d, transposed: false };
            q.product(visible, k, None, scores.as_mut_ptr(), 1, false);
            online_softmax(scores, head.bias(bias, query, [0, visible]), scale, &mut state);
            if let Some(dropout) = dropout {
                let words = &mut words[..visible];
                dropout.fill(head.index * queries + query, keys, 0, visible, words);
                drop_row(scores, words, dropout.bound(), dropout.factor());
            }
            let out = out.range(at * e..(at + 1) * e);
            weighted_sum(scores, v, key_heads * e, out);
            scale_row(out, T::ONE / state[1]);
            let row = head.index * queries + query;
            row_max.range(row..row + 1)[0] = safe_max(state[0]);
            row_sum.range(row..row + 1)[0] = state[1];
        }
    };
    pool.run(shape.batch * shape.heads, &|index| {
        with_local(|local| {
            let packed = PackedRhs::<T>::len(d, 1, width);
            let (packed, scores, words) =
                local.take3::<T, T, u32>(packed, keys, if dropout.is_some() { keys } else { 0 });
            for query in 0..queries {
                task(Head::new(shape, index), query, packed, scores, words);
            }
        });
    });
}
