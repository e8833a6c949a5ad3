//! Packed operands and register-tile products for kernels other than plain GEMM: attention and recurrent layers.

use crate::gemm::even;
use crate::gemm::pack::{self, Source};
use crate::gemm::types::{self, Kernels, Tile};
use crate::math;
use crate::pool::ThreadPool;
use std::ptr::null;

/// Float with elementary functions and register tiles.
pub(crate) trait Float: math::Real + types::Real {}
impl<T: math::Real + types::Real> Float for T {}

/// Row stride of scratch matrices with `n` columns: padded away from powers of two, which share cache sets.
pub(crate) fn padded_stride(n: usize) -> usize {
    n.next_multiple_of(16) + 16
}

/// Right-hand operand `k x n`, packed into panels of `width` columns.
#[derive(Clone, Copy)]
pub(crate) struct PackedRhs<'a, T: 'static> {
    pub kernels: &'static Kernels<T>,
    pub data: &'a [T],
    pub k: usize,
    pub n: usize,
    pub width: usize,
    /// Rows of a packed panel, at least `k`.
    rows: usize,
}

/// Left-hand operand. `stride` is the distance between rows or, if `transposed`, between columns.
#[derive(Clone, Copy)]
pub(crate) struct Lhs<'a, T> {
    pub data: &'a [T],
    pub stride: usize,
    pub transposed: bool,
}

impl<'a, T: Float> PackedRhs<'a, T> {
    /// Number of elements of a `k x n` operand packed into panels of `width`.
    pub fn len(k: usize, n: usize, width: usize) -> usize {
        n.div_ceil(width) * width * k
    }

    /// Packs the matrix whose element `(p, j)` is `from[p * strides[0] + j * strides[1]]`, widened if it is narrower.
    pub fn new<K: Source<T>>(
        kernels: &'static Kernels<T>,
        from: &[K],
        [k, n]: [usize; 2],
        strides: [usize; 2],
        width: usize,
        to: &'a mut [T],
    ) -> Self {
        let to = &mut to[..Self::len(k, n, width)];
        assert!(k > 0 && n > 0 && from.len() > (k - 1) * strides[0] + (n - 1) * strides[1]);
        // SAFETY: every element of the matrix lies within `from` by the assertion.
        unsafe { K::pack_panels(from.as_ptr(), strides.map(|stride| stride as isize), [k, n], width, to) };
        PackedRhs { kernels, data: to, k, n, width, rows: k }
    }

    /// Packs like [`PackedRhs::new`], in parallel.
    pub fn new_parallel(
        pool: &ThreadPool,
        from: &[T],
        [k, n]: [usize; 2],
        strides: [usize; 2],
        width: usize,
        to: &'a mut [T],
    ) -> Self {
        let to = &mut to[..Self::len(k, n, width)];
        pool.run_chunks(to, k * width, &|panel, to| {
            Self::pack_panel(from, [k, n], strides, [panel * width, width], to);
        });
        PackedRhs { kernels: T::kernels(), data: to, k, n, width, rows: k }
    }

    /// The first `k` rows and `n` columns.
    pub fn part(&self, [k, n]: [usize; 2]) -> Self {
        assert!(k <= self.k && n <= self.n);
        Self { k, n, ..*self }
    }

    fn pack_panel(from: &[T], [k, n]: [usize; 2], strides: [usize; 2], [column, width]: [usize; 2], to: &mut [T]) {
        assert!(k > 0 && n > column && from.len() > (k - 1) * strides[0] + (n - 1) * strides[1]);
        // SAFETY: every element of the matrix lies within `from` by the assertion.
        unsafe {
            let from = from.as_ptr().add(column * strides[1]);
            pack::columns(from, strides[0] as isize, strides[1] as isize, k, width.min(n - column), width, to);
        }
    }

    /// Computes `c = a @ self + bias (+ c)` for `rows` rows of `a` and `c`.
    ///
    /// # Safety
    /// `c` must be valid for those elements, and no other thread may access them.
    pub unsafe fn product(
        &self,
        rows: usize,
        a: Lhs<'_, T>,
        bias: Option<&[T]>,
        c: *mut T,
        c_stride: usize,
        accumulate: bool,
    ) {
        for panel in 0..self.panels() {
            // SAFETY: the caller's contract.
            unsafe { self.panel_product(panel, rows, a, bias, c, c_stride, accumulate) };
        }
    }

    /// Number of panels.
    pub fn panels(&self) -> usize {
        self.n.div_ceil(self.width)
    }

    /// Computes the columns of [`PackedRhs::product`] that one panel covers.
    ///
    /// # Safety
    /// As for [`PackedRhs::product`].
    pub unsafe fn panel_product(
        &self,
        panel: usize,
        rows: usize,
        a: Lhs<'_, T>,
        bias: Option<&[T]>,
        c: *mut T,
        c_stride: usize,
        accumulate: bool,
    ) {
        let (row_stride, k_stride) = if a.transposed { (1, a.stride) } else { (a.stride, 1) };
        assert!(rows > 0 && a.data.len() > (rows - 1) * row_stride + (self.k - 1) * k_stride);
        let lanes = self.kernels.lanes;
        let taps = [0usize];
        let b = &self.data[panel * self.rows * self.width..][..self.k * self.width];
        let column = panel * self.width;
        let columns = self.width.min(self.n - column);
        let vectors = columns.div_ceil(lanes);
        for [start, end] in even(0, rows, self.kernels.rows[vectors - 1]) {
            let tile = Tile {
                a: a.data[start * row_stride..].as_ptr(),
                a_stride: a.stride,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: self.k,
                b: b.as_ptr(),
                b_taps: null(),
                b_stride: self.width,
                ahead: b.as_ptr(),
                ahead_stride: 0,
                c: c.wrapping_add(start * c_stride + column),
                c_stride,
                last: columns - (vectors - 1) * lanes,
                bias: bias.map_or(null(), |bias| bias[column..column + columns].as_ptr()),
                relu: None,
                accumulate,
            };
            // SAFETY: `a` by the assertion, `b` by construction, `c` by the caller's contract.
            unsafe { self.kernels.tile(a.transposed, end - start, vectors)(&tile) };
        }
    }
}
