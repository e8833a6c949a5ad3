//! Forward pass of few queries, as in the generation of text. Keys and values are read once, where they lie: to pack them
//! for a product would take longer than the product.
//!
//! A task takes the heads of one batch element, or some of them. Its loops, from the outside in: some rows of keys, which
//! are read concurrently, each as a stream over the heads; heads; queries. Then the softmax of each query, and the same
//! loops over the values.

use super::dropout::drop_row;
use super::rows::{online_softmax, safe_max, scale_row, OnlineSoftmax};
use super::{blocks, Attention, AttentionShape, Bias, Dropout, Head, Operand};
use crate::dtype::Element;
use crate::gemm::stream::{dots, wide};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use crate::tiles::Float;
use std::ops::Range;

/// Most queries of this pass.
pub(super) const QUERIES: usize = 2;
/// Rows of keys or values that are read concurrently: as many as the processor prefetches.
const ROWS: usize = 16;
/// Values that are summed before their sum is added to the output.
const SUMMED: usize = 64;
/// Scores of a task, in a quarter of the L2 cache.
const SCORES: usize = 1 << 17;
/// Tasks for each thread, so that threads of different speed end together.
const TASKS_PER_THREAD: usize = 4;

struct ShortQuery<'a, T: Float, K> {
    shape: &'a AttentionShape,
    q: &'a [T],
    k: &'a [K],
    v: &'a [K],
    bias: Option<Bias<'a, T>>,
    dropout: Option<Dropout>,
    dots: unsafe fn(&[T], *const K, usize, &mut [T]),
    wide: unsafe fn(&[T], *const K, usize, &mut [T]),
    online_softmax: OnlineSoftmax<T>,
    scale_row: unsafe fn(&mut [T], T),
    drop_row: unsafe fn(&mut [T], &[u32], u32, T),
    out: SharedMut<'a, T>,
    row_max: SharedMut<'a, T>,
    row_sum: SharedMut<'a, T>,
}

/// Computes the pass. The operands must fit the shape.
pub(super) fn forward<K: Operand>(pool: &ThreadPool, shape: &AttentionShape, operands: Attention<'_, K>) {
    let Attention { q, k, v, bias, dropout, out, row_max, row_sum } = operands;
    let q: &[K::Acc] = &q.iter().map(|q| q.to_acc()).collect::<Vec<_>>();
    let mut sums = vec![K::Acc::ZERO; out.len()];
    let [row_max, row_sum] = [row_max, row_sum].map(SharedMut::new);
    // Of the caller's instruction set: tests choose it by thread.
    let (dots, wide) = (dots::<K>(), wide::<K>());
    let (online_softmax, scale_row, drop_row) =
        (online_softmax::<K::Acc>(), scale_row::<K::Acc>(), drop_row::<K::Acc>());
    let pass = ShortQuery {
        shape,
        q,
        k,
        v,
        bias,
        dropout,
        dots,
        wide,
        online_softmax,
        scale_row,
        drop_row,
        out: SharedMut::new(&mut sums),
        row_max,
        row_sum,
    };
    let &AttentionShape { batch, heads, key_heads, queries, keys, .. } = shape;
    let tasks = if pool.threads() == 1 { 1 } else { TASKS_PER_THREAD * pool.threads() };
    let parts = (heads * queries * keys).div_ceil(SCORES).max(tasks.div_ceil(batch)).min(key_heads);
    pool.run(batch * parts, &|task| {
        let (batch, part) = (task / parts, task % parts);
        let [first, end] = [part, part + 1].map(|part| part * key_heads / parts * (heads / key_heads));
        with_local(|local| pass.task(batch * heads + first..batch * heads + end, local));
    });
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = K::from_acc(sum));
}

impl<T: Float, K: Element<Acc = T>> ShortQuery<'_, T, K> {
    /// Computes some heads of one batch element.
    fn task(&self, heads: Range<usize>, local: &mut Scratch) {
        let &AttentionShape { queries, keys, key_heads, depth: d, width: e, .. } = self.shape;
        let rows = heads.len() * queries;
        let words = if self.dropout.is_some() { keys } else { 0 };
        let (scores, sums, words) = local.take3::<T, T, u32>(rows * keys, rows * e, words);
        scores.fill(T::ZERO);
        let each = |visit: &mut dyn FnMut(usize, Head, usize)| {
            for (i, index) in heads.clone().enumerate() {
                (0..queries).for_each(|query| visit(i * queries + query, Head::new(self.shape, index), query));
            }
        };
        let visible = |query: usize| self.shape.visible(query + 1, [0, keys]);
        for [first, end] in blocks(0, keys, ROWS) {
            each(&mut |row, head, query| {
                let end = end.min(visible(query)).max(first);
                let q = &self.q[head.offset(query, queries, d)..][..d];
                let scores = &mut scores[row * keys..][first..end];
                let k = self.k.as_ptr().wrapping_add(head.key_offset(first, keys, d));
                // SAFETY: the kernel is compiled for this machine; the keys fit the shape.
                unsafe { (self.dots)(q, k, key_heads * d, scores) };
            });
        }
        each(&mut |row, head, query| {
            let scores = &mut scores[row * keys..][..visible(query)];
            // SAFETY: no other task writes the rows of this head.
            unsafe {
                self.softmax(head, query, scores, words);
                self.out(head, query).fill(T::ZERO);
            }
        });
        for [first, end] in blocks(0, keys, SUMMED) {
            sums.fill(T::ZERO);
            for [first, end] in blocks(first, end, ROWS) {
                each(&mut |row, head, query| {
                    let end = end.min(visible(query)).max(first);
                    let weights = &scores[row * keys..][first..end];
                    let v = self.v.as_ptr().wrapping_add(head.key_offset(first, keys, e));
                    // SAFETY: the kernel is compiled for this machine; the values fit the shape.
                    unsafe { (self.wide)(weights, v, key_heads * e, &mut sums[row * e..(row + 1) * e]) };
                });
            }
            each(&mut |row, head, query| {
                // SAFETY: as above.
                let out = unsafe { self.out(head, query) };
                out.iter_mut().zip(&sums[row * e..]).for_each(|(out, sum)| *out = *out + *sum);
            });
        }
        each(&mut |_, head, query| {
            let row = head.index * queries + query;
            // SAFETY: as above.
            unsafe { (self.scale_row)(self.out(head, query), T::ONE / self.row_sum.range(row..row + 1)[0]) };
        });
    }

    /// Turns the products of one query into exponentials, drops some, and stores the state.
    ///
    /// # Safety
    /// No other thread may access the state of this query.
    unsafe fn softmax(&self, head: Head, query: usize, scores: &mut [T], words: &mut [u32]) {
        let &AttentionShape { queries, keys, .. } = self.shape;
        let (row, visible) = (head.index * queries + query, scores.len());
        let bias = head.bias(self.bias, query, [0, visible]);
        let mut state = [T::from_f64(f64::NEG_INFINITY), T::ZERO];
        // SAFETY: the caller's contract; the kernels are compiled for this machine.
        unsafe {
            (self.online_softmax)(scores, bias, T::from_f64(self.shape.scale), &mut state);
            if let Some(dropout) = self.dropout {
                let words = &mut words[..visible];
                dropout.fill(row, keys, 0, visible, words);
                (self.drop_row)(scores, words, dropout.bound(), dropout.factor());
            }
            self.row_max.range(row..row + 1)[0] = safe_max(state[0]);
            self.row_sum.range(row..row + 1)[0] = state[1];
        }
    }

    /// Output of one query.
    ///
    /// # Safety
    /// No other thread may access it, nor may another reference.
    #[allow(clippy::mut_from_ref)]
    unsafe fn out(&self, head: Head, query: usize) -> &mut [T] {
        let e = self.shape.width;
        let at = head.offset(query, self.shape.queries, e);
        // SAFETY: the caller's contract.
        unsafe { self.out.range(at..at + e) }
    }
}
