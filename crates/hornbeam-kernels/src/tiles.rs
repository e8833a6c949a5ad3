//! What kernels share that are built on register tiles but are no plain matrix products.

use crate::gemm::tile::{self, Kernels, Tile};
use crate::gemm::{even, pack};
use crate::math;
use crate::pool::ThreadPool;
use std::ptr::null;

/// Numbers with functions and register tiles.
pub(crate) trait Float: math::Real + tile::Real {}
impl<T: math::Real + tile::Real> Float for T {}

/// Distance between rows of `n` numbers in working memory: off the powers of two, which share cache sets.
pub(crate) fn apart(n: usize) -> usize {
    n.next_multiple_of(16) + 16
}

/// A right operand `k x n`, packed into panels of `width` columns.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a, T: 'static> {
    pub kernels: &'static Kernels<T>,
    pub data: &'a [T],
    pub k: usize,
    pub n: usize,
    pub width: usize,
}

/// A left operand: rows `step` apart, or with `turned` columns that are `step` apart.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, T> {
    pub data: &'a [T],
    pub step: usize,
    pub turned: bool,
}

impl<'a, T: Float> Packed<'a, T> {
    /// Numbers that `k x n` take when packed into panels of `width`.
    pub fn len(k: usize, n: usize, width: usize) -> usize {
        n.div_ceil(width) * width * k
    }

    /// Packs the matrix whose element `(p, j)` lies at `from[p * step[0] + j * step[1]]`.
    pub fn new(
        kernels: &'static Kernels<T>,
        from: &[T],
        [k, n]: [usize; 2],
        step: [usize; 2],
        width: usize,
        to: &'a mut [T],
    ) -> Self {
        let to = &mut to[..Self::len(k, n, width)];
        for (panel, to) in to.chunks_exact_mut(k * width).enumerate() {
            Self::panel(from, [k, n], step, [panel * width, width], to);
        }
        Packed { kernels, data: to, k, n, width }
    }

    /// [`Packed::new`] by all threads.
    pub fn shared(
        pool: &ThreadPool,
        from: &[T],
        [k, n]: [usize; 2],
        step: [usize; 2],
        width: usize,
        to: &'a mut [T],
    ) -> Self {
        let to = &mut to[..Self::len(k, n, width)];
        pool.run_chunks(to, k * width, &|panel, to| Self::panel(from, [k, n], step, [panel * width, width], to));
        Packed { kernels: T::kernels(), data: to, k, n, width }
    }

    fn panel(from: &[T], [k, n]: [usize; 2], step: [usize; 2], [column, width]: [usize; 2], to: &mut [T]) {
        assert!(k > 0 && n > column && from.len() > (k - 1) * step[0] + (n - 1) * step[1]);
        // SAFETY: every element of the matrix lies within `from` by the assertion.
        unsafe {
            let from = from.as_ptr().add(column * step[1]);
            pack::columns(from, step[0] as isize, step[1] as isize, k, width.min(n - column), width, to);
        }
    }

    /// `c = a @ self + bias (+ c)` for `rows` rows; those of `c` are `c_step` apart.
    ///
    /// # Safety
    /// `c` must be valid for those elements, and nobody else may use them.
    pub unsafe fn product(
        &self,
        rows: usize,
        a: Left<'_, T>,
        bias: Option<&[T]>,
        c: *mut T,
        c_step: usize,
        accumulate: bool,
    ) {
        for panel in 0..self.panels() {
            // SAFETY: the caller's promise.
            unsafe { self.columns(panel, rows, a, bias, c, c_step, accumulate) };
        }
    }

    pub fn panels(&self) -> usize {
        self.n.div_ceil(self.width)
    }

    /// The columns of [`Packed::product`] that one panel makes.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn columns(
        &self,
        panel: usize,
        rows: usize,
        a: Left<'_, T>,
        bias: Option<&[T]>,
        c: *mut T,
        c_step: usize,
        accumulate: bool,
    ) {
        let (across, along) = if a.turned { (1, a.step) } else { (a.step, 1) };
        assert!(rows > 0 && a.data.len() > (rows - 1) * across + (self.k - 1) * along);
        let lanes = self.kernels.lanes;
        let taps = [0usize];
        let b = &self.data[panel * self.k * self.width..][..self.k * self.width];
        let column = panel * self.width;
        let columns = self.width.min(self.n - column);
        let vectors = columns.div_ceil(lanes);
        for [start, end] in even(0, rows, self.kernels.rows[vectors - 1]) {
            let tile = Tile {
                a: a.data[start * across..].as_ptr(),
                a_step: a.step,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: self.k,
                b: b.as_ptr(),
                b_step: self.width,
                c: c.wrapping_add(start * c_step + column),
                c_step,
                last: columns - (vectors - 1) * lanes,
                bias: bias.map_or(null(), |bias| bias[column..column + columns].as_ptr()),
                relu: false,
                accumulate,
            };
            // SAFETY: `a` by the assertion, `b` by construction, `c` by the caller's promise.
            unsafe { self.kernels.tile(a.turned, end - start, vectors)(&tile) };
        }
    }
}
