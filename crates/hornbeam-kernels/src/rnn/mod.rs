//! Recurrent layers along whole sequences: LSTM and GRU, forward and backward.
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
use std::ptr::null;

use crate::dtype::Bool;
use crate::gemm::tile::{self, Kernels, Tile};
use crate::gemm::{even, pack};
use crate::math;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{Plain, Scratch};

/// Rows of the batch in a task: as many as one tile takes, few enough that small batches keep all cores busy.
const ROWS: usize = 8;

/// The extents of a sequence, and whether it is walked from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub batch: usize,
    pub steps: usize,
    pub units: usize,
    pub reverse: bool,
}

impl Sequence {
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
pub trait Recurrent: math::Real + Plain {
    /// # Panics
    /// In all four: when a slice does not have its length.
    fn lstm(pool: &ThreadPool, shape: &Sequence, layer: Lstm<'_, Self>, scratch: &mut Scratch);
    fn lstm_grad(pool: &ThreadPool, shape: &Sequence, layer: LstmGrad<'_, Self>, scratch: &mut Scratch);
    fn gru(pool: &ThreadPool, shape: &Sequence, layer: Gru<'_, Self>, scratch: &mut Scratch);
    fn gru_grad(pool: &ThreadPool, shape: &Sequence, layer: GruGrad<'_, Self>, scratch: &mut Scratch);
}

macro_rules! recurrent {
    ($($t:ty)*) => {$(
        impl Recurrent for $t {
            fn lstm(pool: &ThreadPool, shape: &Sequence, layer: Lstm<'_, $t>, scratch: &mut Scratch) {
                lstm::forward(pool, shape, layer, scratch)
            }
            fn lstm_grad(pool: &ThreadPool, shape: &Sequence, layer: LstmGrad<'_, $t>, scratch: &mut Scratch) {
                lstm::backward(pool, shape, layer, scratch)
            }
            fn gru(pool: &ThreadPool, shape: &Sequence, layer: Gru<'_, $t>, scratch: &mut Scratch) {
                gru::forward(pool, shape, layer, scratch)
            }
            fn gru_grad(pool: &ThreadPool, shape: &Sequence, layer: GruGrad<'_, $t>, scratch: &mut Scratch) {
                gru::backward(pool, shape, layer, scratch)
            }
        }
    )*};
}
recurrent!(f32 f64);

/// What both kinds of loops need: functions of numbers, and register tiles.
pub(crate) trait Float: math::Real + tile::Real {}
impl<T: math::Real + tile::Real> Float for T {}

/// Distance between rows of `n` numbers in working memory: off the powers of two, which share cache sets.
fn apart(n: usize) -> usize {
    n.next_multiple_of(16) + 16
}

/// Recurrent weights, packed into panels.
struct Weights<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    data: &'a [T],
    k: usize,
    n: usize,
    width: usize,
}

impl<'a, T: Float> Weights<'a, T> {
    /// The matrix `k x n` whose element `(p, j)` lies at `w[p * step[0] + j * step[1]]`.
    fn pack(
        pool: &ThreadPool,
        shape: &Sequence,
        w: &[T],
        [k, n]: [usize; 2],
        step: [usize; 2],
        scratch: &'a mut Scratch,
    ) -> Self {
        assert_eq!(w.len(), k * n, "the weights are not {k} x {n}");
        let kernels = T::kernels();
        // Few rows leave registers for wider tiles, which hide how long one multiply-add takes.
        let vectors = if shape.batch.min(ROWS) <= kernels.rows[3] { 4 } else { 2 };
        let width = vectors.min(n.div_ceil(kernels.lanes)) * kernels.lanes;
        let data = scratch.take::<T>(n.div_ceil(width) * width * k);
        pool.run_chunks(data, k * width, &|panel, to| {
            let column = panel * width;
            // SAFETY: the steps stay within `w` for every element of a `k x n` matrix.
            unsafe {
                let from = w.as_ptr().add(column * step[1]);
                pack::columns(from, step[0] as isize, step[1] as isize, k, width.min(n - column), width, to);
            }
        });
        Weights { kernels, data, k, n, width }
    }

    /// `c = a @ weights + bias (+ c)` for a few rows of working memory, [`apart`] from each other.
    fn apply(&self, rows: usize, a: &[T], c: &mut [T], bias: Option<&[T]>, accumulate: bool) {
        let (a_step, c_step) = (apart(self.k), apart(self.n));
        assert!(a.len() >= rows * a_step && c.len() >= rows * c_step);
        let lanes = self.kernels.lanes;
        let taps = [0usize];
        for (panel, b) in self.data.chunks_exact(self.k * self.width).enumerate() {
            let column = panel * self.width;
            let columns = self.width.min(self.n - column);
            let vectors = columns.div_ceil(lanes);
            for [start, end] in even(0, rows, self.kernels.rows[vectors - 1]) {
                let tile = Tile {
                    a: a[start * a_step..].as_ptr(),
                    a_step,
                    taps: taps.as_ptr(),
                    tap_count: 1,
                    run: self.k,
                    b: b.as_ptr(),
                    b_step: self.width,
                    c: c[start * c_step + column..].as_mut_ptr(),
                    c_step,
                    last: columns - (vectors - 1) * lanes,
                    bias: bias.map_or(null(), |bias| bias[column..column + columns].as_ptr()),
                    relu: false,
                    accumulate,
                };
                // SAFETY: rows and columns lie within the slices by the assertion; `kernels` is for this machine.
                unsafe { self.kernels.tile(false, end - start, vectors)(&tile) };
            }
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
