//! Backward pass: a task takes the heads that share keys and values, block by block of keys and of queries.

use super::dropout::{drop_row, DropRow};
use super::rows::{dot, score_gradients, store_row};
use super::{
    blocks, gather, split_front, AttentionGrad, AttentionShape, Bias, Dropout, Head, Operand, KEY_BLOCK, QUERY_BLOCK,
};
use crate::dtype::Element;
use crate::gemm::types::{Kernels, Real};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use crate::tiles::{padded_stride, Lhs, PackedRhs};

type ScoreGradients<T> = unsafe fn(&mut [T], Option<&[T]>, T, [T; 3], &mut [T], Option<&mut [T]>);

struct Backward<'a, K: Operand> {
    shape: &'a AttentionShape,
    q: &'a [K],
    k: &'a [K],
    v: &'a [K],
    bias: Option<Bias<'a, K::Acc>>,
    dropout: Option<Dropout>,
    out: &'a [K],
    row_max: &'a [K::Acc],
    row_sum: &'a [K::Acc],
    dout: &'a [K],
    scale: K::Acc,
    kernels: &'static Kernels<K::Acc>,
    panel_width: usize,
    key_block: usize,
    score_gradients: ScoreGradients<K::Acc>,
    dot: unsafe fn(&[K::Acc], &[K]) -> K::Acc,
    drop_row: DropRow<K::Acc>,
    store_row: unsafe fn(&[K::Acc], K::Acc, &mut [K]),
    dq: SharedMut<'a, K>,
    dk: SharedMut<'a, K>,
    dv: SharedMut<'a, K>,
    dbias: Option<SharedMut<'a, K::Acc>>,
}

/// Packed block of keys and values.
struct KeyBlock<'a, T: 'static> {
    keys: [usize; 2],
    /// Transposed keys, `depth x keys`.
    kt: PackedRhs<'a, T>,
    /// Transposed values, `width x keys`.
    vt: PackedRhs<'a, T>,
    /// Keys, `keys x depth`.
    k: PackedRhs<'a, T>,
}

/// Scratch memory of a task.
struct Buffers<'a, T> {
    q: &'a mut [T],
    dout: &'a mut [T],
    packed_q: &'a mut [T],
    packed_dout: &'a mut [T],
    weights: &'a mut [T],
    dscores: &'a mut [T],
    /// Random words of the weights, if they are dropped.
    words: &'a mut [u32],
    /// Gradients of a block of queries, or of all queries of the task if there are several blocks of keys; only of 16-bit
    /// operands.
    dq: &'a mut [T],
    /// Gradients of a block of keys and values, which stay in cache over all blocks of queries.
    dk: &'a mut [T],
    dv: &'a mut [T],
}

pub(super) fn backward<K: Operand>(pool: &ThreadPool, shape: &AttentionShape, operands: AttentionGrad<'_, K>) {
    let AttentionGrad { q, k, v, bias, dropout, out, row_max, row_sum, dout, dq, dk, dv, dbias } = operands;
    if shape.is_trivial(out.len()) {
        [dq, dk, dv].into_iter().for_each(|gradient| gradient.fill(K::ZERO));
        return dbias.into_iter().for_each(|gradient| gradient.fill(K::Acc::ZERO));
    }
    shape.check([q, k, v], bias, out.len(), [row_max.len(), row_sum.len()]);
    shape.check::<K, K>([dq, dk, dv], None, dout.len(), [row_max.len(), row_sum.len()]);
    let scores = shape.batch * shape.heads * shape.queries * shape.keys;
    assert!(
        dbias.as_ref().is_none_or(|d| d.len() == scores),
        "dbias does not fit {shape:?}: expected {scores} elements"
    );
    let kernels = K::Acc::kernels();
    let [dq, dk, dv] = [dq, dk, dv].map(SharedMut::new);
    let pass = Backward {
        shape,
        q,
        k,
        v,
        bias,
        dropout,
        out,
        row_max,
        row_sum,
        dout,
        scale: K::Acc::from_f64(shape.scale),
        kernels,
        panel_width: 2 * kernels.lanes,
        key_block: shape.keys.min(KEY_BLOCK),
        score_gradients: score_gradients::<K::Acc>(),
        dot: dot::<K>(),
        drop_row: drop_row::<K::Acc>(),
        store_row: store_row::<K>(),
        dq,
        dk,
        dv,
        dbias: dbias.map(SharedMut::new),
    };
    pool.run(shape.batch * shape.key_heads, &|task| with_local(|local| pass.task(task, local)));
}

impl<K: Operand> Backward<'_, K> {
    fn task(&self, task: usize, local: &mut Scratch) {
        let AttentionShape { heads, key_heads, queries, keys, depth: d, width: e, causal, .. } = *self.shape;
        let group = heads / key_heads;
        let heads = (task * group..(task + 1) * group).map(|index| Head::new(self.shape, index));
        let (n, width) = (self.key_block, self.panel_width);
        let sizes = [
            PackedRhs::<K::Acc>::len(d, n, width),
            PackedRhs::<K::Acc>::len(e, n, width),
            PackedRhs::<K::Acc>::len(n, d, width),
            PackedRhs::<K::Acc>::len(QUERY_BLOCK, d, width),
            PackedRhs::<K::Acc>::len(QUERY_BLOCK, e, width),
            QUERY_BLOCK * padded_stride(d),
            QUERY_BLOCK * padded_stride(e),
            QUERY_BLOCK * padded_stride(n),
            QUERY_BLOCK * padded_stride(n),
            match (K::WIDENED, n < keys) {
                (false, _) => 0,
                (true, false) => QUERY_BLOCK * d,
                (true, true) => group * queries * d,
            },
            if self.stores_keys() { n * d } else { 0 },
            if self.stores_keys() { n * e } else { 0 },
        ];
        let words = if self.dropout.is_some() { QUERY_BLOCK * n } else { 0 };
        let (mut rest, words) = local.take2::<K::Acc, u32>(sizes.iter().sum(), words);
        let [kt, vt, k, packed_q, packed_dout, q, dout, weights, dscores, dq, dk, dv] =
            sizes.map(|len| split_front(&mut rest, len));
        let mut buffers = Buffers { q, dout, packed_q, packed_dout, weights, dscores, words, dq, dk, dv };
        if causal {
            // SAFETY: no other task writes the gradients of these heads.
            unsafe { self.clear(heads.clone()) };
        }
        for block in blocks(0, keys, n) {
            let first = Head::new(self.shape, task * group);
            let key_block = self.pack(first, block, [&mut *kt, &mut *vt, &mut *k]);
            if self.accumulates() {
                buffers.dk.fill(K::Acc::ZERO);
                buffers.dv.fill(K::Acc::ZERO);
            }
            for (index, head) in heads.clone().enumerate() {
                for [start, stop] in blocks(0, queries, QUERY_BLOCK) {
                    let dq_at = if n < keys { (index * queries + start) * d } else { 0 };
                    // SAFETY: no other task writes the rows of these heads.
                    unsafe {
                        self.block(head, [start, stop], &key_block, &mut buffers, dq_at);
                        if K::WIDENED && block[1] == keys {
                            let at = |row| head.offset(start + row, queries, d);
                            self.store(&buffers.dq[dq_at..dq_at + (stop - start) * d], d, &self.dq, at);
                        }
                    }
                }
            }
            if !self.stores_keys() {
                continue;
            }
            let count = block[1] - block[0];
            // SAFETY: as above.
            unsafe {
                self.store(&buffers.dk[..count * d], d, &self.dk, |row| first.key_offset(block[0] + row, keys, d));
                self.store(&buffers.dv[..count * e], e, &self.dv, |row| first.key_offset(block[0] + row, keys, e));
            }
        }
    }

    /// Stores rows of `n` gradients, the first element of each at the offset `at`.
    ///
    /// # Safety
    /// No other thread may access these rows of `to`.
    unsafe fn store(&self, rows: &[K::Acc], n: usize, to: &SharedMut<'_, K>, at: impl Fn(usize) -> usize) {
        for (i, row) in rows.chunks_exact(n).enumerate() {
            let start = at(i);
            // SAFETY: the caller's contract; the kernel is compiled for this machine.
            unsafe { (self.store_row)(row, K::Acc::ONE, to.range(start..start + n)) };
        }
    }

    fn pack<'a>(&self, head: Head, keys: [usize; 2], [kt, vt, k]: [&'a mut [K::Acc]; 3]) -> KeyBlock<'a, K::Acc> {
        let (d, e, count) = (self.shape.depth, self.shape.width, keys[1] - keys[0]);
        let at = head.key_offset(keys[0], self.shape.keys, 1);
        let (from_k, from_v) = (&self.k[at * d..], &self.v[at * e..]);
        let [k_stride, v_stride] = [head.key_heads * d, head.key_heads * e];
        let (kernels, width) = (self.kernels, self.panel_width);
        KeyBlock {
            keys,
            kt: PackedRhs::new(kernels, from_k, [d, count], [1, k_stride], width, kt),
            vt: PackedRhs::new(kernels, from_v, [e, count], [1, v_stride], width, vt),
            k: PackedRhs::new(kernels, from_k, [count, d], [k_stride, 1], width, k),
        }
    }

    /// Returns true if the gradients of keys and values are summed in scratch memory: those of 16 bits are, and sums over
    /// several blocks of queries.
    fn stores_keys(&self) -> bool {
        K::WIDENED || self.accumulates()
    }

    /// Returns true if several blocks of queries contribute to the gradients of a key and its value, or none does.
    fn accumulates(&self) -> bool {
        let AttentionShape { heads, key_heads, queries, causal, .. } = *self.shape;
        queries > QUERY_BLOCK || heads > key_heads || causal
    }

    /// Sets the gradients of the bias that blocks of causal attention leave out to 0.
    ///
    /// # Safety
    /// No other thread may access the gradients of these heads.
    unsafe fn clear(&self, heads: impl Iterator<Item = Head>) {
        let size = self.shape.queries * self.shape.keys;
        for (head, dbias) in heads.filter_map(|head| Some((head, self.dbias.as_ref()?))) {
            // SAFETY: the caller's contract.
            unsafe { dbias.range(head.index * size..(head.index + 1) * size) }.fill(K::Acc::ZERO);
        }
    }

    /// Adds the contributions of one block of queries and one block of keys to all gradients; those of the queries are at
    /// `dq_at`.
    ///
    /// # Safety
    /// No other thread may access the gradients of this head.
    unsafe fn block(
        &self,
        head: Head,
        [start, stop]: [usize; 2],
        block: &KeyBlock<'_, K::Acc>,
        buffers: &mut Buffers<'_, K::Acc>,
        dq_at: usize,
    ) {
        let shape = self.shape;
        let (d, e) = (shape.depth, shape.width);
        let (rows, columns) = (stop - start, shape.visible(stop, block.keys));
        if columns == 0 {
            return;
        }
        let q_at = head.offset(start, shape.queries, 1);
        let [d_stride, e_stride] = [head.heads * d, head.heads * e];
        gather(&self.q[q_at * d..], d_stride, d, rows, buffers.q);
        gather(&self.dout[q_at * e..], e_stride, e, rows, buffers.dout);
        let stride = padded_stride(self.key_block);
        let q = Lhs { data: &*buffers.q, stride: padded_stride(d), transposed: false };
        let dout = Lhs { data: &*buffers.dout, stride: padded_stride(e), transposed: false };
        if let Some(dropout) = self.dropout {
            let first = head.index * shape.queries + start;
            dropout.fill(first, shape.keys, block.keys[0], columns, &mut buffers.words[..rows * columns]);
        }
        let (kernels, width) = (self.kernels, self.panel_width);
        let packed_q = PackedRhs::new(kernels, q.data, [rows, d], [q.stride, 1], width, buffers.packed_q);
        let packed_dout = PackedRhs::new(kernels, dout.data, [rows, e], [dout.stride, 1], width, buffers.packed_dout);
        // SAFETY: scratch memory holds `rows` rows and the kernels are compiled for this machine; the gradients by the
        // caller.
        unsafe {
            block.kt.part([d, columns]).product(rows, q, None, buffers.weights.as_mut_ptr(), stride, false);
            block.vt.part([e, columns]).product(rows, dout, None, buffers.dscores.as_mut_ptr(), stride, false);
            let score_rows = buffers.weights.chunks_exact_mut(stride).zip(buffers.dscores.chunks_exact_mut(stride));
            for (r, (weights, dscores)) in score_rows.take(rows).enumerate() {
                let visible = shape.visible(start + r + 1, block.keys);
                let (weights, hidden) = weights[..columns].split_at_mut(visible);
                hidden.fill(K::Acc::ZERO);
                let (dscores, hidden) = dscores[..columns].split_at_mut(visible);
                hidden.fill(K::Acc::ZERO);
                let words = if self.dropout.is_some() { &buffers.words[r * columns..][..visible] } else { &[] };
                let dout = &dout.data[r * dout.stride..][..e];
                self.row(head, [start + r, block.keys[0]], dout, weights, dscores, words);
            }
            let dscores = Lhs { data: &*buffers.dscores, stride, transposed: false };
            let (dq, dq_stride) = match K::WIDENED {
                true => (buffers.dq[dq_at..dq_at + rows * d].as_mut_ptr(), d),
                false => (self.dq.as_ptr().cast::<K::Acc>().add(q_at * d), d_stride),
            };
            block.k.part([columns, d]).product(rows, dscores, None, dq, dq_stride, block.keys[0] > 0);
            let dscores = Lhs { transposed: true, ..dscores };
            let weights = Lhs { data: &*buffers.weights, stride, transposed: true };
            let (add, at, heads) = (self.accumulates(), head.key_offset(block.keys[0], shape.keys, 1), head.key_heads);
            let (dk, dk_stride, dv, dv_stride) = match self.stores_keys() {
                true => (buffers.dk.as_mut_ptr(), d, buffers.dv.as_mut_ptr(), e),
                false => {
                    let [dk, dv] = [&self.dk, &self.dv].map(|to| to.as_ptr().cast::<K::Acc>());
                    (dk.add(at * d), heads * d, dv.add(at * e), heads * e)
                }
            };
            packed_q.product(columns, dscores, None, dk, dk_stride, add);
            packed_dout.product(columns, weights, None, dv, dv_stride, add);
        }
    }

    /// Turns the products of one query into weights and gradients of the scores.
    ///
    /// # Safety
    /// No other thread may access this row of `dbias`.
    unsafe fn row(
        &self,
        head: Head,
        [query, first]: [usize; 2],
        dout: &[K::Acc],
        weights: &mut [K::Acc],
        dscores: &mut [K::Acc],
        words: &[u32],
    ) {
        let shape = self.shape;
        let at = head.offset(query, shape.queries, shape.width);
        let row = head.index * shape.queries + query;
        let keys = [first, first + weights.len()];
        // SAFETY: the caller's contract; the kernels are compiled for this machine.
        unsafe {
            let delta = (self.dot)(dout, &self.out[at..at + shape.width]);
            let dbias =
                self.dbias.as_ref().map(|all| all.range(row * shape.keys + keys[0]..row * shape.keys + keys[1]));
            let bias = head.bias(self.bias, query, keys);
            let state = [self.row_max[row], self.row_sum[row], delta];
            if let Some(dropout) = self.dropout {
                (self.drop_row)(dscores, words, dropout.bound(), dropout.factor());
            }
            (self.score_gradients)(weights, bias, self.scale, state, dscores, dbias);
            if let Some(dropout) = self.dropout {
                (self.drop_row)(weights, words, dropout.bound(), dropout.factor());
            }
        }
    }
}
