//! Recurrent layers over full sequences: LSTM and GRU, forward and backward.
//!
//! The rows of a batch are independent, so a task takes a block of rows through all steps without synchronisation.
//! The recurrent weights are packed once and then stay in the L2 cache of each core; a step is one product of
//! register tiles, and its gates are computed while the sums are in the L1 cache.
//!
//! Sequences are `[batch, steps, ...]` in memory. The inputs are already multiplied by their weights, for all steps at
//! once; likewise the backward pass returns the gradients of the sums, from which the gradient of each weight is one
//! matrix product.

mod gru;
mod lstm;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::dtype::Bool;
use crate::gemm::vector::prefetch_far;
use crate::math;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{Plain, Scratch};
use crate::tiles::{padded_stride, Float, Lhs, PackedRhs};

/// Batch rows of a task: at most the rows of one tile, few enough that small batches keep all cores busy.
const ROWS: usize = 8;

/// Extents of a sequence, and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceShape {
    pub batch: usize,
    pub steps: usize,
    pub units: usize,
    pub reverse: bool,
}

impl SequenceShape {
    /// Time step that is computed in iteration `i`.
    fn time(&self, i: usize) -> usize {
        if self.reverse {
            self.steps - 1 - i
        } else {
            i
        }
    }

    fn blocks(&self) -> usize {
        self.batch.div_ceil(ROWS)
    }

    fn rows(&self, block: usize) -> Range<usize> {
        let blocks = self.blocks();
        block * self.batch / blocks..(block + 1) * self.batch / blocks
    }

    /// Range of row `row`, iteration `i` in a sequence of `n` features.
    fn at(&self, row: usize, i: usize, n: usize) -> Range<usize> {
        let at = (row * self.steps + self.time(i)) * n;
        at..at + n
    }

    /// Elements of `rows` at iteration `i` in a sequence of `n` features, for prefetching.
    fn prefetch<'a, T>(&self, sequence: &'a [T], rows: &Range<usize>, i: usize, n: usize) -> Prefetch<'a, T> {
        Prefetch { sequence, first: self.at(rows.start, i, n).start, rows: rows.len(), stride: self.steps * n, n }
    }

    /// Returns true if the mask skips row `row` at iteration `i`.
    fn skips(&self, mask: Option<&[Bool]>, row: usize, i: usize) -> bool {
        mask.is_some_and(|mask| !mask[self.at(row, i, 1).start].get())
    }

    /// Checks the lengths of `sequences`, each with its number of features, of states and of the mask.
    fn check(&self, sequences: &[(usize, usize)], states: &[usize], mask: Option<&[Bool]>) {
        let all = self.batch * self.steps;
        assert!(sequences.iter().all(|(len, n)| *len == all * n), "the length of a sequence does not fit {self:?}");
        assert!(
            states.iter().all(|len| *len == self.batch * self.units),
            "the length of a state does not fit {self:?}"
        );
        assert!(mask.is_none_or(|mask| mask.len() == all), "the length of the mask does not fit {self:?}");
    }
}

/// Forward pass of an LSTM: `c = f * c + i * g` along a sequence, with `i, f, o = logistic` and `g = tanh` of `x + h w` in the order
/// `i, f, g, o`, and `h = o * tanh(c)` (Hochreiter and Schmidhuber 1997). Where the mask is false, the state is kept.
pub struct Lstm<'a, T> {
    /// `[batch, steps, 4 units]`, the inputs times their weights.
    pub x: &'a [T],
    /// `[units, 4 units]`.
    pub w: &'a [T],
    pub h0: &'a [T],
    pub c0: &'a [T],
    pub mask: Option<&'a [Bool]>,
    /// `[batch, steps, units]`.
    pub h: &'a mut [T],
    pub c: &'a mut [T],
    /// `[batch, steps, 4 units]`, saved for the backward pass.
    pub gates: Option<&'a mut [T]>,
}

/// Backward pass of [`Lstm`].
pub struct LstmGrad<'a, T> {
    pub w: &'a [T],
    pub c0: &'a [T],
    pub c: &'a [T],
    pub gates: &'a [T],
    /// Gradients of the last states.
    pub dh_last: &'a [T],
    pub dc_last: &'a [T],
    /// Gradients of all outputs.
    pub dh: Option<&'a [T]>,
    pub mask: Option<&'a [Bool]>,
    /// Gradients of the sums, which are those of `x`.
    pub dx: &'a mut [T],
    pub dh0: &'a mut [T],
    pub dc0: &'a mut [T],
}

/// Forward pass of a GRU: `h = z * h + (1 - z) * g` along a sequence, with `z, r = logistic` of `x + s` and `g = tanh(x + r * s)`, where
/// `s = h w + b`, in the order `z, r, g` (Cho et al. 2014, with the reset gate after the product).
pub struct Gru<'a, T> {
    /// `[batch, steps, 3 units]`, the inputs times their weights.
    pub x: &'a [T],
    /// `[units, 3 units]`.
    pub w: &'a [T],
    pub b: &'a [T],
    pub h0: &'a [T],
    pub mask: Option<&'a [Bool]>,
    /// `[batch, steps, units]`.
    pub h: &'a mut [T],
    /// `[batch, steps, 4 units]`: `z, r, g` and the sum of `g`, saved for the backward pass.
    pub gates: Option<&'a mut [T]>,
}

/// Backward pass of [`Gru`].
pub struct GruGrad<'a, T> {
    pub w: &'a [T],
    pub h0: &'a [T],
    pub h: &'a [T],
    pub gates: &'a [T],
    /// Gradient of the last state.
    pub dh_last: &'a [T],
    /// Gradients of all outputs.
    pub dh: Option<&'a [T]>,
    pub mask: Option<&'a [Bool]>,
    /// Gradients of `x` and of the recurrent sums `s`.
    pub dx: &'a mut [T],
    pub ds: &'a mut [T],
    pub dh0: &'a mut [T],
}

/// Float for which recurrent layers are implemented.
pub trait RnnElement: math::Real + Plain {
    /// Computes the forward pass of an LSTM.
    ///
    /// # Panics
    /// If a slice does not fit the shape.
    fn lstm(pool: &ThreadPool, shape: &SequenceShape, layer: Lstm<'_, Self>, scratch: &mut Scratch);
    /// Computes the backward pass of an LSTM. Panics like [`RnnElement::lstm`].
    fn lstm_grad(pool: &ThreadPool, shape: &SequenceShape, layer: LstmGrad<'_, Self>, scratch: &mut Scratch);
    /// Computes the forward pass of a GRU. Panics like [`RnnElement::lstm`].
    fn gru(pool: &ThreadPool, shape: &SequenceShape, layer: Gru<'_, Self>, scratch: &mut Scratch);
    /// Computes the backward pass of a GRU. Panics like [`RnnElement::lstm`].
    fn gru_grad(pool: &ThreadPool, shape: &SequenceShape, layer: GruGrad<'_, Self>, scratch: &mut Scratch);
}

macro_rules! rnn_element {
    ($($t:ty)*) => {$(
        impl RnnElement for $t {
            fn lstm(pool: &ThreadPool, shape: &SequenceShape, layer: Lstm<'_, $t>, scratch: &mut Scratch) {
                lstm::forward(pool, shape, layer, scratch)
            }
            fn lstm_grad(pool: &ThreadPool, shape: &SequenceShape, layer: LstmGrad<'_, $t>, scratch: &mut Scratch) {
                lstm::backward(pool, shape, layer, scratch)
            }
            fn gru(pool: &ThreadPool, shape: &SequenceShape, layer: Gru<'_, $t>, scratch: &mut Scratch) {
                gru::forward(pool, shape, layer, scratch)
            }
            fn gru_grad(pool: &ThreadPool, shape: &SequenceShape, layer: GruGrad<'_, $t>, scratch: &mut Scratch) {
                gru::backward(pool, shape, layer, scratch)
            }
        }
    )*};
}
rnn_element!(f32 f64);

/// Packs the recurrent weights `k x n`, whose element `(p, j)` is `w[p * strides[0] + j * strides[1]]`.
fn pack_weights<'a, T: Float>(
    pool: &ThreadPool,
    shape: &SequenceShape,
    w: &[T],
    [k, n]: [usize; 2],
    strides: [usize; 2],
    scratch: &'a mut Scratch,
) -> PackedRhs<'a, T> {
    assert_eq!(w.len(), k * n, "the weights are not {k} x {n}");
    let kernels = T::kernels();
    // With few rows, registers remain for wider tiles, which hide the latency of multiply-adds.
    let vectors = if shape.batch.min(ROWS) <= kernels.rows[3] { 4 } else { 2 };
    let width = vectors.min(n.div_ceil(kernels.lanes)) * kernels.lanes;
    PackedRhs::new_parallel(pool, w, [k, n], strides, width, scratch.take(PackedRhs::<T>::len(k, n, width)))
}

/// Computes `to = from @ weights + bias (+ to)` for the first rows of scratch memory. Along with each panel of the
/// weights, prefetches a part of the operands of the next step.
fn apply<T: Float>(
    weights: &PackedRhs<'_, T>,
    rows: usize,
    from: &Rows<'_, T>,
    bias: Option<&[T]>,
    to: &mut Rows<'_, T>,
    accumulate: bool,
    prefetches: &[Prefetch<'_, T>],
) {
    assert!(from.n == weights.k && to.n == weights.n && to.data.len() >= rows * padded_stride(to.n));
    let lhs = Lhs { data: from.data, stride: padded_stride(from.n), transposed: false };
    let panels = weights.panels();
    for panel in 0..panels {
        prefetches.iter().for_each(|prefetch| prefetch.fetch(panel, panels));
        // SAFETY: the rows lie within `to` by the assertion.
        unsafe { weights.panel_product(panel, rows, lhs, bias, to.data.as_mut_ptr(), padded_stride(to.n), accumulate) };
    }
}

/// Elements of some rows of a sequence at one step: `rows` slices of `n` elements, `stride` apart.
struct Prefetch<'a, T> {
    sequence: &'a [T],
    first: usize,
    rows: usize,
    stride: usize,
    n: usize,
}

impl<T> Prefetch<'_, T> {
    /// Prefetches part `part` of `parts`.
    fn fetch(&self, part: usize, parts: usize) {
        const LINE: usize = 64;
        for row in part * self.rows / parts..(part + 1) * self.rows / parts {
            let slice = self.sequence.as_ptr().wrapping_add(self.first + row * self.stride);
            (0..self.n * size_of::<T>()).step_by(LINE).for_each(|at| prefetch_far(slice.wrapping_byte_add(at)));
        }
    }
}

/// Rows of `n` elements in scratch memory.
struct Rows<'a, T> {
    data: &'a mut [T],
    n: usize,
}

impl<T: Plain> Rows<'_, T> {
    fn row(&mut self, row: usize) -> &mut [T] {
        let start = row * padded_stride(self.n);
        &mut self.data[start..start + self.n]
    }

    /// Loads rows `first ..` of the matrix `from`.
    fn load(&mut self, first: usize, from: &[T]) {
        for (to, from) in
            self.data.chunks_exact_mut(padded_stride(self.n)).zip(from[first * self.n..].chunks_exact(self.n))
        {
            to[..self.n].copy_from_slice(from);
        }
    }

    /// Stores the rows to `to`.
    ///
    /// # Safety
    /// No other thread may access these rows of `to`.
    unsafe fn store(&mut self, rows: Range<usize>, to: &SharedMut<'_, T>) {
        for (r, row) in rows.enumerate() {
            // SAFETY: the caller's contract.
            unsafe { to.range(row * self.n..(row + 1) * self.n) }.copy_from_slice(self.row(r));
        }
    }
}

/// Allocates three matrices of `count` rows in the scratch memory of a task.
fn task_buffers<T: Plain>(local: &mut Scratch, count: usize, widths: [usize; 3]) -> [Rows<'_, T>; 3] {
    let [a, b, c] = widths.map(|n| count * padded_stride(n));
    let (first, rest) = local.take::<T>(a + b + c).split_at_mut(a);
    let (second, third) = rest.split_at_mut(b);
    [(first, widths[0]), (second, widths[1]), (third, widths[2])].map(|(data, n)| Rows { data, n })
}

/// Computes `out[i] = f(a[i], b[i])`.
#[inline(always)]
fn zip2<T: Copy>(out: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = f(*a, *b);
    }
}

/// Computes `out[i] = f(a[i], b[i], c[i])`.
#[inline(always)]
fn zip3<T: Copy>(out: &mut [T], a: &[T], b: &[T], c: &[T], f: impl Fn(T, T, T) -> T) {
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        *out = f(*a, *b, *c);
    }
}

/// Computes `out[i] = f(a[i], b[i], c[i], d[i])`.
#[inline(always)]
fn zip4<T: Copy>(out: &mut [T], a: &[T], b: &[T], c: &[T], d: &[T], f: impl Fn(T, T, T, T) -> T) {
    for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *out = f(*a, *b, *c, *d);
    }
}

/// Splits a row of gates into quarters.
#[inline(always)]
fn split_gates<T>(gates: &[T]) -> [&[T]; 4] {
    let n = gates.len() / 4;
    let (first, second) = gates.split_at(2 * n);
    let ((a, b), (c, d)) = (first.split_at(n), second.split_at(n));
    [a, b, c, d]
}
