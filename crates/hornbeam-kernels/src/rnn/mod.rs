//! RnnElement layers along whole sequences: LSTM and GRU, forward and backward.
//!
//! The rows of a batch do not see each other, so a task takes a block of rows through all steps and waits for nobody.
//! The recurrent weights are packed once and then stay in each core's second-level cache; a step is one product of
//! register tiles, and its gates are computed while the sums are in the first-level cache.
//!
//! Sequences are `[batch, steps, ...]` in memory. The inputs come multiplied with their weights, for all steps at once;
//! likewise backward gives the gradients of the sums, from which the gradients of all weights are one product each.

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
use crate::tiles::{apart, Float, Left, Packed};

/// Rows of the batch in a task: as many as one tile takes, few enough that small batches keep all cores busy.
const ROWS: usize = 8;

/// The extents of a sequence, and whether it is walked from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceShape {
    pub batch: usize,
    pub steps: usize,
    pub units: usize,
    pub reverse: bool,
}

impl SequenceShape {
    /// The place in time of what is computed as number `i`.
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

    /// Where element `(row, number i)` lies in a sequence of `n` features.
    fn at(&self, row: usize, i: usize, n: usize) -> Range<usize> {
        let at = (row * self.steps + self.time(i)) * n;
        at..at + n
    }

    /// What `rows` have of a sequence of `n` features as number `i`.
    fn ahead<'a, T>(&self, sequence: &'a [T], rows: &Range<usize>, i: usize, n: usize) -> Ahead<'a, T> {
        Ahead { sequence, first: self.at(rows.start, i, n).start, rows: rows.len(), apart: self.steps * n, n }
    }

    /// Whether element `(row, number i)` is to be passed over.
    fn skips(&self, mask: Option<&[Bool]>, row: usize, i: usize) -> bool {
        mask.is_some_and(|mask| !mask[self.at(row, i, 1).start].get())
    }

    /// `given` are lengths of sequences and of rows, beside the features that each must have.
    fn check(&self, sequences: &[(usize, usize)], rows: &[usize], mask: Option<&[Bool]>) {
        let all = self.batch * self.steps;
        assert!(sequences.iter().all(|(len, n)| *len == all * n), "a sequence does not have the shape {self:?}");
        assert!(rows.iter().all(|len| *len == self.batch * self.units), "a state does not have the shape {self:?}");
        assert!(mask.is_none_or(|mask| mask.len() == all), "the mask does not have the shape {self:?}");
    }
}

/// `h, c = f * c + i * g` along a sequence, with `i, f, o = logistic` and `g = tanh` of `x + h w` in the order
/// `i, f, g, o`, and `h = o * tanh(c)` (Hochreiter and Schmidhuber 1997). Where the mask is false the state stays.
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
    /// `[batch, steps, 4 units]`, kept for the way back.
    pub gates: Option<&'a mut [T]>,
}

/// The way back through [`Lstm`].
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

/// `h = z * h + (1 - z) * g` along a sequence, with `z, r = logistic` of `x + s` and `g = tanh(x + r * s)`, where
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
    /// `[batch, steps, 4 units]`: `z, r, g` and the sum of `g`, kept for the way back.
    pub gates: Option<&'a mut [T]>,
}

/// The way back through [`Gru`].
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

/// A float that recurrent layers exist for.
pub trait RnnElement: math::Real + Plain {
    /// # Panics
    /// In all four: when a slice does not have its length.
    fn lstm(pool: &ThreadPool, shape: &SequenceShape, layer: Lstm<'_, Self>, scratch: &mut Scratch);
    fn lstm_grad(pool: &ThreadPool, shape: &SequenceShape, layer: LstmGrad<'_, Self>, scratch: &mut Scratch);
    fn gru(pool: &ThreadPool, shape: &SequenceShape, layer: Gru<'_, Self>, scratch: &mut Scratch);
    fn gru_grad(pool: &ThreadPool, shape: &SequenceShape, layer: GruGrad<'_, Self>, scratch: &mut Scratch);
}

macro_rules! recurrent {
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
recurrent!(f32 f64);

/// The recurrent weights as a right operand `k x n` whose element `(p, j)` lies at `w[p * step[0] + j * step[1]]`.
fn weights<'a, T: Float>(
    pool: &ThreadPool,
    shape: &SequenceShape,
    w: &[T],
    [k, n]: [usize; 2],
    step: [usize; 2],
    scratch: &'a mut Scratch,
) -> Packed<'a, T> {
    assert_eq!(w.len(), k * n, "the weights are not {k} x {n}");
    let kernels = T::kernels();
    // Few rows leave registers for wider tiles, which hide how long one multiply-add takes.
    let vectors = if shape.batch.min(ROWS) <= kernels.rows[3] { 4 } else { 2 };
    let width = vectors.min(n.div_ceil(kernels.lanes)) * kernels.lanes;
    Packed::shared(pool, w, [k, n], step, width, scratch.take(Packed::<T>::len(k, n, width)))
}

/// `to = from @ weights + bias (+ to)` for the first rows of working memory. Meanwhile, a share for each panel of the
/// weights, memory is asked for what the next step will read.
fn apply<T: Float>(
    weights: &Packed<'_, T>,
    rows: usize,
    from: &Rows<'_, T>,
    bias: Option<&[T]>,
    to: &mut Rows<'_, T>,
    accumulate: bool,
    ahead: &[Ahead<'_, T>],
) {
    assert!(from.n == weights.k && to.n == weights.n && to.data.len() >= rows * apart(to.n));
    let left = Left { data: from.data, step: apart(from.n), turned: false };
    let panels = weights.panels();
    for panel in 0..panels {
        ahead.iter().for_each(|ahead| ahead.fetch(panel, panels));
        // SAFETY: the rows lie within `to` by the assertion.
        unsafe { weights.columns(panel, rows, left, bias, to.data.as_mut_ptr(), apart(to.n), accumulate) };
    }
}

/// What some rows have of a sequence at one step: pieces of `n` numbers, `apart` from each other.
struct Ahead<'a, T> {
    sequence: &'a [T],
    first: usize,
    rows: usize,
    apart: usize,
    n: usize,
}

impl<T> Ahead<'_, T> {
    /// Asks for part number `part` of `parts`.
    fn fetch(&self, part: usize, parts: usize) {
        const LINE: usize = 64;
        for row in part * self.rows / parts..(part + 1) * self.rows / parts {
            let piece = self.sequence.as_ptr().wrapping_add(self.first + row * self.apart);
            (0..self.n * size_of::<T>()).step_by(LINE).for_each(|at| prefetch_far(piece.wrapping_byte_add(at)));
        }
    }
}

/// Rows of `n` numbers in working memory.
struct Rows<'a, T> {
    data: &'a mut [T],
    n: usize,
}

impl<T: Plain> Rows<'_, T> {
    fn row(&mut self, row: usize) -> &mut [T] {
        let start = row * apart(self.n);
        &mut self.data[start..start + self.n]
    }

    /// Rows `first ..` of the matrix `from`.
    fn load(&mut self, first: usize, from: &[T]) {
        for (to, from) in self.data.chunks_exact_mut(apart(self.n)).zip(from[first * self.n..].chunks_exact(self.n)) {
            to[..self.n].copy_from_slice(from);
        }
    }

    /// # Safety
    /// Nobody else may use these rows of `to`.
    unsafe fn store(&mut self, rows: Range<usize>, to: &SharedMut<'_, T>) {
        for (r, row) in rows.enumerate() {
            // SAFETY: the caller's promise.
            unsafe { to.range(row * self.n..(row + 1) * self.n) }.copy_from_slice(self.row(r));
        }
    }
}

/// Three matrices of `count` rows in one task's working memory.
fn working<T: Plain>(local: &mut Scratch, count: usize, widths: [usize; 3]) -> [Rows<'_, T>; 3] {
    let [a, b, c] = widths.map(|n| count * apart(n));
    let (first, rest) = local.take::<T>(a + b + c).split_at_mut(a);
    let (second, third) = rest.split_at_mut(b);
    [(first, widths[0]), (second, widths[1]), (third, widths[2])].map(|(data, n)| Rows { data, n })
}

/// `out[i] = f(a[i], b[i])`.
#[inline(always)]
fn zip2<T: Copy>(out: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = f(*a, *b);
    }
}

/// `out[i] = f(a[i], b[i], c[i])`.
#[inline(always)]
fn zip3<T: Copy>(out: &mut [T], a: &[T], b: &[T], c: &[T], f: impl Fn(T, T, T) -> T) {
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        *out = f(*a, *b, *c);
    }
}

/// `out[i] = f(a[i], b[i], c[i], d[i])`.
#[inline(always)]
fn zip4<T: Copy>(out: &mut [T], a: &[T], b: &[T], c: &[T], d: &[T], f: impl Fn(T, T, T, T) -> T) {
    for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *out = f(*a, *b, *c, *d);
    }
}

/// The four quarters of a row of gates.
#[inline(always)]
fn quarters<T>(gates: &[T]) -> [&[T]; 4] {
    let n = gates.len() / 4;
    let (first, second) = gates.split_at(2 * n);
    let ((a, b), (c, d)) = (first.split_at(n), second.split_at(n));
    [a, b, c, d]
}
