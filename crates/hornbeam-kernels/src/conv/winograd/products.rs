//! Products of points: kernels in panels, patches and gradients in rows of channels.

use super::points::Taps;
use super::traits::{Pixel, Transforms};
use super::{padded_len, POINTS};
use crate::gemm::even;
use crate::gemm::types::{Kernels, Tile};
use crate::pool::{SharedMut, ThreadPool};
use std::ptr::null;

/// Columns of the widest panel.
const WIDEST: usize = 2 * 16;

/// Layout of the points of the kernel, `[point][panel][inner][width]`, and of its operands.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub kernels: &'static Kernels<f32>,
    /// Input channels of the product, which it sums over, and output channels.
    pub inner: usize,
    pub outer: usize,
    vectors: usize,
    panels: usize,
    /// Stride between points.
    stride: usize,
    /// True if a float holds a pair of channels.
    paired: bool,
}

impl Panels {
    pub fn new<E: Pixel>([inner, outer]: [usize; 2]) -> Self {
        let kernels = E::kernels();
        let vectors = outer.div_ceil(kernels.lanes).min(2);
        let width = vectors * kernels.lanes;
        let panels = outer.div_ceil(width);
        let steps = if E::PAIRED { inner.div_ceil(2) } else { inner };
        Self { kernels, inner, outer, vectors, panels, stride: padded_len(panels * steps * width), paired: E::PAIRED }
    }

    /// Floats that the product sums over.
    fn steps(&self) -> usize {
        if self.paired {
            self.inner.div_ceil(2)
        } else {
            self.inner
        }
    }

    fn width(&self) -> usize {
        self.vectors * self.kernels.lanes
    }

    /// Row length of the left operand, per tile and point.
    pub fn lhs_row(&self) -> usize {
        let padded = self.inner.next_multiple_of(self.kernels.lanes);
        if self.paired {
            padded / 2
        } else {
            padded
        }
    }

    /// Row length of the result, per tile and point.
    pub fn result_row(&self) -> usize {
        self.panels * self.width()
    }

    /// Number of floats of all points.
    pub fn len(&self) -> usize {
        POINTS * self.stride
    }

    /// Transforms and packs the kernel `w` (`[3, 3, inputs, outputs]`); if `transposed`, products sum over its outputs.
    pub fn pack<E: Pixel>(
        &self,
        pool: &ThreadPool,
        transforms: &Transforms<E>,
        w: &[f32],
        transposed: bool,
        to: &mut [f32],
    ) {
        assert!(to.len() >= self.len());
        let (width, steps, to) = (self.width(), self.steps(), SharedMut::new(to));
        // A few channels per task: the transform of one channel is short.
        pool.run_ranges(steps, 8, &|range| {
            for (step, panel) in range.flat_map(|step| (0..self.panels).map(move |panel| (step, panel))) {
                let points = to.as_ptr().wrapping_add((panel * steps + step) * width);
                if !self.paired {
                    // SAFETY: every (step, panel) is written by one task; a panel consists of full vectors.
                    unsafe { self.points(transforms, w, transposed, [step, panel], points, self.stride) };
                    continue;
                }
                let mut pair = [[0.0; POINTS * WIDEST]; 2];
                for (k, pair) in pair.iter_mut().enumerate().take(self.inner - 2 * step) {
                    // SAFETY: room for all points of a panel's width.
                    unsafe { self.points(transforms, w, transposed, [2 * step + k, panel], pair.as_mut_ptr(), width) };
                }
                let rows = pair[0].chunks_exact(width).zip(pair[1].chunks_exact(width));
                for (point, (first, second)) in rows.enumerate().take(POINTS) {
                    // SAFETY: as above.
                    unsafe { (transforms.pairs)(first, second, points.wrapping_add(point * self.stride)) };
                }
            }
        });
    }

    /// Computes the points, `stride` apart, of one channel and one panel.
    unsafe fn points<E: Pixel>(
        &self,
        transforms: &Transforms<E>,
        w: &[f32],
        transposed: bool,
        [k, panel]: [usize; 2],
        points: *mut f32,
        stride: usize,
    ) {
        let width = self.width();
        let (row, col) = if transposed { (1, self.inner) } else { (self.outer, 1) };
        let mut taps = [0.0; 9 * WIDEST];
        let columns = width.min(self.outer - panel * width);
        for (t, taps) in taps.chunks_exact_mut(width).enumerate().take(9) {
            let from = &w[t * self.inner * self.outer + k * row + panel * width * col..];
            for (to, from) in taps[..columns].iter_mut().zip(from.iter().step_by(col)) {
                *to = *from;
            }
        }
        let args = Taps { taps: taps.as_mut_ptr(), tap_stride: width, points, point_stride: stride, count: width };
        // SAFETY: the caller's contract.
        unsafe { (transforms.kernel)(&args) };
    }

    /// Computes `c = a @ kernel` at one point, for `size` tiles.
    pub fn product(&self, point: usize, packed: &[f32], size: usize, a: &[f32], c: &mut [f32]) {
        let (lhs_row, result_row, width, steps) = (self.lhs_row(), self.result_row(), self.width(), self.steps());
        let taps = [0usize];
        let b = &packed[point * self.stride..][..self.panels * steps * width];
        assert!(a.len() >= size * lhs_row && c.len() >= size * result_row);
        for panel in 0..self.panels {
            for [start, end] in even(0, size, self.kernels.rows[self.vectors - 1]) {
                let tile = Tile {
                    a: a[start * lhs_row..].as_ptr(),
                    a_stride: lhs_row,
                    taps: taps.as_ptr(),
                    tap_count: 1,
                    run: steps,
                    b: b[panel * steps * width..].as_ptr(),
                    b_stride: width,
                    c: c[start * result_row + panel * width..].as_mut_ptr(),
                    c_stride: result_row,
                    last: self.kernels.lanes,
                    bias: null(),
                    relu: false,
                    accumulate: false,
                };
                // SAFETY: within the slices by the assertion.
                unsafe { self.kernels.tile(false, end - start, self.vectors)(&tile) };
            }
        }
    }
}

/// Computes `c (+)= at @ b` at one point, for `size` rows of `a` (`inputs` of `a_row` elements) and of `b`
/// (`b_row` elements).
pub(super) fn outer_product(
    kernels: &Kernels<f32>,
    size: usize,
    [inputs, a_row, b_row]: [usize; 3],
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    accumulate: bool,
) {
    let lanes = kernels.lanes;
    let taps = [0usize];
    assert!(a.len() >= size * a_row && b.len() >= size * b_row && c.len() >= inputs * b_row);
    let vectors = (b_row / lanes).min(2);
    for column in (0..b_row).step_by(vectors * lanes) {
        let vectors = vectors.min((b_row - column) / lanes);
        for [start, end] in even(0, inputs, kernels.rows[vectors - 1]) {
            let tile = Tile {
                a: a[start..].as_ptr(),
                a_stride: a_row,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: size,
                b: b[column..].as_ptr(),
                b_stride: b_row,
                c: c[start * b_row + column..].as_mut_ptr(),
                c_stride: b_row,
                last: lanes,
                bias: null(),
                relu: false,
                accumulate,
            };
            // SAFETY: within the slices by the assertion.
            unsafe { kernels.tile(true, end - start, vectors)(&tile) };
        }
    }
}
