//! Forward pass: a task takes some blocks of queries of one head over all blocks of keys.

use super::dropout::{drop_row, DropRow};
use super::rows::{online_softmax, safe_max, scale_row, store_row, OnlineSoftmax};
use super::{
    blocks, gather, short_query, split_front, Attention, AttentionShape, Bias, Dropout, Head, Operand, KEY_BLOCK,
    QUERY_BLOCK,
};
use crate::dtype::Element;
use crate::gemm::types::{Kernels, Real};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use crate::tiles::{padded_stride, Lhs, PackedRhs};

/// Least queries of a task, which packs the keys and values that they see.
const TASK: usize = 4 * QUERY_BLOCK;
/// Tasks that keep the threads busy: heads are divided if there are fewer.
const TASKS: usize = 32;

struct Forward<'a, K: Operand> {
    shape: &'a AttentionShape,
    q: &'a [K],
    k: &'a [K],
    v: &'a [K],
    bias: Option<Bias<'a, K::Acc>>,
    dropout: Option<Dropout>,
    scale: K::Acc,
    kernels: &'static Kernels<K::Acc>,
    panel_width: usize,
    key_block: usize,
    online_softmax: OnlineSoftmax<K::Acc>,
    scale_row: unsafe fn(&mut [K::Acc], K::Acc),
    drop_row: DropRow<K::Acc>,
    store_row: unsafe fn(&[K::Acc], K::Acc, &mut [K]),
    out: SharedMut<'a, K>,
    row_max: SharedMut<'a, K::Acc>,
    row_sum: SharedMut<'a, K::Acc>,
}

/// Scratch memory of a task.
struct Buffers<'a, T> {
    q: &'a mut [T],
    scores: &'a mut [T],
    /// Random words of the scores, if weights are dropped.
    words: &'a mut [u32],
}

/// Queries of a task.
struct Queries<'a, T> {
    first: usize,
    /// Sums of weighted values, `[queries, width]`, if they are not summed in the output.
    sums: &'a mut [T],
    /// Row max and row sum.
    states: &'a mut [[T; 2]],
}

/// Packed block of keys and values.
struct KeyBlock<'a, T: 'static> {
    keys: [usize; 2],
    /// Transposed keys, `depth x keys`.
    kt: PackedRhs<'a, T>,
    /// Values, `keys x width`.
    v: PackedRhs<'a, T>,
}

pub(super) fn forward<K: Operand>(pool: &ThreadPool, shape: &AttentionShape, operands: Attention<'_, K>) {
    let Attention { q, k, v, bias, dropout, out, row_max, row_sum } = operands;
    if shape.is_trivial(out.len()) {
        return out.fill(K::ZERO);
    }
    shape.check([q, k, v], bias, out.len(), [row_max.len(), row_sum.len()]);
    if shape.queries <= short_query::QUERIES {
        return short_query::forward(pool, shape, Attention { q, k, v, bias, dropout, out, row_max, row_sum });
    }
    let kernels = K::Acc::kernels();
    let [row_max, row_sum] = [row_max, row_sum].map(SharedMut::new);
    let pass = Forward {
        shape,
        q,
        k,
        v,
        bias,
        dropout,
        scale: K::Acc::from_f64(shape.scale),
        kernels,
        panel_width: 2 * kernels.lanes,
        key_block: shape.keys.min(KEY_BLOCK),
        online_softmax: online_softmax::<K::Acc>(),
        scale_row: scale_row::<K::Acc>(),
        drop_row: drop_row::<K::Acc>(),
        store_row: store_row::<K>(),
        out: SharedMut::new(out),
        row_max,
        row_sum,
    };
    let heads = shape.batch * shape.heads;
    let parts = TASKS.div_ceil(heads).min(shape.queries.div_ceil(TASK));
    let size = shape.queries.div_ceil(parts).next_multiple_of(QUERY_BLOCK);
    let parts = shape.queries.div_ceil(size);
    pool.run(heads * parts, &|task| {
        let first = task % parts * size;
        let queries = [first, (first + size).min(shape.queries)];
        with_local(|local| pass.task(Head::new(shape, task / parts), queries, local));
    });
}

impl<K: Operand> Forward<'_, K> {
    fn task(&self, head: Head, [first, end]: [usize; 2], local: &mut Scratch) {
        let (d, e, n) = (self.shape.depth, self.shape.width, self.key_block);
        let sizes = [
            PackedRhs::<K::Acc>::len(d, n, self.panel_width),
            PackedRhs::<K::Acc>::len(n, e, self.panel_width),
            QUERY_BLOCK * padded_stride(d),
            QUERY_BLOCK * padded_stride(n),
            if K::WIDENED { (end - first) * e } else { 0 },
            (end - first) * 2,
        ];
        let words = if self.dropout.is_some() { QUERY_BLOCK * n } else { 0 };
        let (mut rest, words) = local.take2::<K::Acc, u32>(sizes.iter().sum(), words);
        let [kt, v, q, scores, sums, states] = sizes.map(|len| split_front(&mut rest, len));
        let mut buffers = Buffers { q, scores, words };
        let (states, _) = states.as_chunks_mut();
        states.fill([K::Acc::from_f64(f64::NEG_INFINITY), K::Acc::ZERO]);
        let mut queries = Queries { first, sums, states };
        for keys in blocks(0, self.shape.keys, n) {
            if self.shape.visible(end, keys) == 0 {
                break;
            }
            let key_block = self.pack(head, keys, kt, v);
            for block in blocks(first, end, QUERY_BLOCK) {
                // SAFETY: no other task writes the rows of this head and these queries.
                unsafe { self.block(head, block, &key_block, &mut buffers, &mut queries) };
            }
        }
        for query in first..end {
            // SAFETY: as above.
            unsafe { self.normalize(head, query, &queries) };
        }
    }

    fn pack<'a>(
        &self,
        head: Head,
        keys: [usize; 2],
        kt: &'a mut [K::Acc],
        v: &'a mut [K::Acc],
    ) -> KeyBlock<'a, K::Acc> {
        let (d, e, count) = (self.shape.depth, self.shape.width, keys[1] - keys[0]);
        let at = head.key_offset(keys[0], self.shape.keys, 1);
        let [k_stride, v_stride] = [head.key_heads * d, head.key_heads * e];
        let width = self.panel_width;
        KeyBlock {
            keys,
            kt: PackedRhs::new(self.kernels, &self.k[at * d..], [d, count], [1, k_stride], width, kt),
            v: PackedRhs::new(self.kernels, &self.v[at * e..], [count, e], [v_stride, 1], width, v),
        }
    }

    /// Adds the weighted values of one block of keys to the sums of one block of queries.
    ///
    /// # Safety
    /// No other thread may access these rows of `out`.
    unsafe fn block(
        &self,
        head: Head,
        [start, stop]: [usize; 2],
        block: &KeyBlock<'_, K::Acc>,
        buffers: &mut Buffers<'_, K::Acc>,
        queries: &mut Queries<'_, K::Acc>,
    ) {
        let shape = self.shape;
        let (d, e) = (shape.depth, shape.width);
        let (rows, columns) = (stop - start, shape.visible(stop, block.keys));
        if columns == 0 {
            return;
        }
        let at = head.offset(start, shape.queries, 1);
        let accumulate = block.keys[0] > 0;
        gather(&self.q[at * d..], head.heads * d, d, rows, buffers.q);
        if let Some(dropout) = self.dropout {
            let first = head.index * shape.queries + start;
            dropout.fill(first, shape.keys, block.keys[0], columns, &mut buffers.words[..rows * columns]);
        }
        let stride = padded_stride(self.key_block);
        let part = start - queries.first..stop - queries.first;
        // SAFETY: scratch memory holds `rows` rows, and the kernels are compiled for this machine; `out` by the caller.
        unsafe {
            let (sums, sums_stride) = match K::WIDENED {
                true => (queries.sums[part.start * e..part.end * e].as_mut_ptr(), e),
                false => (self.out.as_ptr().cast::<K::Acc>().add(at * e), head.heads * e),
            };
            let q = Lhs { data: buffers.q, stride: padded_stride(d), transposed: false };
            block.kt.part([d, columns]).product(rows, q, None, buffers.scores.as_mut_ptr(), stride, false);
            for (r, (row, state)) in buffers.scores.chunks_exact_mut(stride).zip(&mut queries.states[part]).enumerate()
            {
                let query = start + r;
                let visible = shape.visible(query + 1, block.keys);
                let (row, hidden) = row[..columns].split_at_mut(visible);
                hidden.fill(K::Acc::ZERO);
                if visible == 0 {
                    continue;
                }
                let bias = head.bias(self.bias, query, [block.keys[0], block.keys[0] + visible]);
                let factor = (self.online_softmax)(row, bias, self.scale, state);
                if let Some(dropout) = self.dropout {
                    let words = &buffers.words[r * columns..][..visible];
                    (self.drop_row)(row, words, dropout.bound(), dropout.factor());
                }
                if accumulate && factor != K::Acc::ONE {
                    (self.scale_row)(std::slice::from_raw_parts_mut(sums.add(r * sums_stride), e), factor);
                }
            }
            let weights = Lhs { data: buffers.scores, stride, transposed: false };
            block.v.part([columns, e]).product(rows, weights, None, sums, sums_stride, accumulate);
        }
    }

    /// Divides the sums of one query by their weights' sum, and stores its state.
    ///
    /// # Safety
    /// No other thread may access the rows of this query.
    unsafe fn normalize(&self, head: Head, query: usize, queries: &Queries<'_, K::Acc>) {
        let e = self.shape.width;
        let (at, i) = (head.offset(query, self.shape.queries, e), query - queries.first);
        let [row_max, row_sum] = queries.states[i];
        let row = head.index * self.shape.queries + query;
        // SAFETY: the caller's contract; the kernels are compiled for this machine.
        unsafe {
            if K::WIDENED {
                let out = self.out.range(at..at + e);
                (self.store_row)(&queries.sums[i * e..(i + 1) * e], K::Acc::ONE / row_sum, out);
            } else {
                let out = self.out.as_ptr().cast::<K::Acc>().add(at);
                (self.scale_row)(std::slice::from_raw_parts_mut(out, e), K::Acc::ONE / row_sum);
            }
            self.row_max.range(row..row + 1)[0] = safe_max(row_max);
            self.row_sum.range(row..row + 1)[0] = row_sum;
        }
    }
}
