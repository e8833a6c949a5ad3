//! Fused attention: `softmax(scale * q k^T + bias) v` for every head, without the score matrix in memory.
//!
//! FlashAttention (Dao et al. 2022) with the online softmax of Milakov and Gimelshein (2018). A block of queries visits
//! the blocks of keys in order and keeps, for each query, the row max and the row sum of exponentials, so that scores
//! stay in cache. The backward pass recomputes the weights from these two, and dropped weights from the random stream.
//! Causal attention leaves out the keys that no query of a block sees.
//!
//! Queries, keys and values are `[batch, length, heads, depth]` in memory. Groups of query heads may share a head of keys
//! and values.

mod backward;
mod dropout;
mod forward;
mod rows;
mod short_query;

pub use dropout::Dropout;

use crate::dtype::{bf16, f16, Element};
use crate::gemm::pack::Source;
use crate::pool::ThreadPool;
use crate::tiles::{padded_stride, Float};

/// Queries and keys of a block: its scores fill a quarter of the L2 cache.
const QUERY_BLOCK: usize = 56;
const KEY_BLOCK: usize = 512;

/// Extents of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    pub batch: usize,
    pub heads: usize,
    /// Heads of keys and values, which groups of heads share: a divisor of `heads`.
    pub key_heads: usize,
    pub queries: usize,
    pub keys: usize,
    /// Features of a query and a key.
    pub depth: usize,
    /// Features of a value.
    pub width: usize,
    pub scale: f64,
    /// Query `t` sees the keys `0 ..= t` only.
    pub causal: bool,
}

/// Bias that is added to the scores, contiguous along the keys.
#[derive(Clone, Copy)]
pub struct Bias<'a, T> {
    pub data: &'a [T],
    /// Strides of batch, head and query; 0 repeats.
    pub strides: [usize; 3],
}

/// Operands of the forward pass. Sums and exponentials are of the accumulator type: 16-bit floats are widened as they are
/// read, and results rounded once.
pub struct Attention<'a, K: Element> {
    pub q: &'a [K],
    pub k: &'a [K],
    pub v: &'a [K],
    pub bias: Option<Bias<'a, K::Acc>>,
    pub dropout: Option<Dropout>,
    /// `[batch, queries, heads, width]`.
    pub out: &'a mut [K],
    /// Largest score of every query, `[batch, heads, queries]`.
    pub row_max: &'a mut [K::Acc],
    /// Sum of exponentials relative to `row_max`, `[batch, heads, queries]`.
    pub row_sum: &'a mut [K::Acc],
}

/// Operands of the backward pass of [`Attention`].
pub struct AttentionGrad<'a, K: Element> {
    pub q: &'a [K],
    pub k: &'a [K],
    pub v: &'a [K],
    pub bias: Option<Bias<'a, K::Acc>>,
    pub dropout: Option<Dropout>,
    pub out: &'a [K],
    pub row_max: &'a [K::Acc],
    pub row_sum: &'a [K::Acc],
    /// Gradient of `out`.
    pub dout: &'a [K],
    pub dq: &'a mut [K],
    pub dk: &'a mut [K],
    pub dv: &'a mut [K],
    /// `[batch, heads, queries, keys]`, if requested.
    pub dbias: Option<&'a mut [K::Acc]>,
}

/// Element that attention is implemented for.
pub trait AttentionElement: Element {
    /// Computes the forward pass.
    ///
    /// # Panics
    /// If a slice does not fit the shape.
    fn attention(pool: &ThreadPool, shape: &AttentionShape, operands: Attention<'_, Self>);

    /// Computes the backward pass.
    ///
    /// # Panics
    /// If a slice does not fit the shape.
    fn attention_grad(pool: &ThreadPool, shape: &AttentionShape, operands: AttentionGrad<'_, Self>);
}

macro_rules! attention_element {
    ($($t:ty)*) => {$(
        impl AttentionElement for $t {
            fn attention(pool: &ThreadPool, shape: &AttentionShape, operands: Attention<'_, $t>) {
                forward::forward(pool, shape, operands)
            }
            fn attention_grad(pool: &ThreadPool, shape: &AttentionShape, operands: AttentionGrad<'_, $t>) {
                backward::backward(pool, shape, operands)
            }
        }
    )*};
}
attention_element!(f32 f64 f16 bf16);

/// Element of the operands, which is widened as it is packed.
trait Operand: Element<Acc: Float> + Source<<Self as Element>::Acc> {}
impl<K: Element<Acc: Float> + Source<<K as Element>::Acc>> Operand for K {}

impl AttentionShape {
    /// Number of keys of the range `keys` that some query below `end` sees.
    fn visible(&self, end: usize, keys: [usize; 2]) -> usize {
        let last = if self.causal { keys[1].min(end) } else { keys[1] };
        last.saturating_sub(keys[0])
    }

    /// Returns true if there are no results, or only zeros.
    fn is_trivial(&self, out: usize) -> bool {
        out == 0 || self.keys == 0 || self.depth == 0
    }

    fn check<T, K>(&self, [q, k, v]: [&[K]; 3], bias: Option<Bias<'_, T>>, out: usize, states: [usize; 2]) {
        assert!(self.key_heads > 0 && self.heads.is_multiple_of(self.key_heads), "heads do not fit {self:?}");
        let rows = self.batch * self.heads;
        let lengths = [q.len(), k.len(), v.len(), out, states[0], states[1]];
        let (queries, keys) = (rows * self.queries, self.batch * self.key_heads * self.keys);
        let expected =
            [queries * self.depth, keys * self.depth, keys * self.width, queries * self.width, queries, queries];
        assert!(lengths == expected, "operands of {lengths:?} elements do not fit {self:?}: expected {expected:?}");
        if let Some(bias) = bias {
            let [b, h, t] = bias.strides;
            let last = (self.batch - 1) * b + (self.heads - 1) * h + (self.queries - 1) * t + self.keys;
            assert!(bias.data.len() >= last, "a bias of {} elements does not fit {self:?}", bias.data.len());
        }
    }
}

/// One head of one batch element.
#[derive(Clone, Copy)]
struct Head {
    /// Number of the head over the whole batch.
    index: usize,
    batch: usize,
    head: usize,
    heads: usize,
    key_head: usize,
    key_heads: usize,
}

impl Head {
    fn new(shape: &AttentionShape, index: usize) -> Self {
        let AttentionShape { heads, key_heads, .. } = *shape;
        let (batch, head) = (index / heads, index % heads);
        Self { index, batch, head, heads, key_head: head / (heads / key_heads), key_heads }
    }

    /// Offset of row `row` of this head in a sequence of `length` queries with `n` features per head.
    fn offset(&self, row: usize, length: usize, n: usize) -> usize {
        ((self.batch * length + row) * self.heads + self.head) * n
    }

    /// Offset of row `row` of the head of keys and values in a sequence of `length` rows with `n` features per head.
    fn key_offset(&self, row: usize, length: usize, n: usize) -> usize {
        ((self.batch * length + row) * self.key_heads + self.key_head) * n
    }

    /// Bias of one query and a range of keys.
    fn bias<'a, T>(&self, bias: Option<Bias<'a, T>>, query: usize, keys: [usize; 2]) -> Option<&'a [T]> {
        bias.map(|bias| {
            let start = self.batch * bias.strides[0] + self.head * bias.strides[1] + query * bias.strides[2];
            &bias.data[start + keys[0]..start + keys[1]]
        })
    }
}

/// Splits `n` elements off the front of scratch memory.
fn split_front<'a, T>(rest: &mut &'a mut [T], n: usize) -> &'a mut [T] {
    let (front, back) = std::mem::take(rest).split_at_mut(n);
    *rest = back;
    front
}

/// Widens `rows` rows of `n` elements, `stride` apart, into scratch memory.
fn gather<K: Operand>(from: &[K], stride: usize, n: usize, rows: usize, to: &mut [K::Acc]) {
    // SAFETY: the kernel is compiled for this machine.
    unsafe { rows::load_rows::<K>()(from, stride, [rows, n], to, padded_stride(n)) }
}

/// Splits `start .. end` into blocks of at most `size`.
fn blocks(start: usize, end: usize, size: usize) -> impl Iterator<Item = [usize; 2]> {
    (start..end).step_by(size).map(move |first| [first, (first + size).min(end)])
}

#[cfg(test)]
mod tests;
