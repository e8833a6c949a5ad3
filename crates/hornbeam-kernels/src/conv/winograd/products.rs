//! Products of points: kernels in panels, patches and gradients in rows of channels.

use super::points::Taps;
use super::traits::{Pixel, Transforms};
use super::{padded_len, POINTS};
use crate::gemm::even;
use crate::gemm::pack as gemm_pack;
use crate::gemm::types::{Kernels, Tile};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use std::ops::Range;
use std::ptr::null;

/// Steps of a panel that one task packs: their taps stay in the L1 cache.
const PACKED_STEPS: usize = 16;

/// Layout of the points of the kernel, `[point][panel][inner][width]`, and of its operands.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub kernels: &'static Kernels<f32>,
    /// Input channels of the product, which it sums over, and output channels.
    pub inner: usize,
    pub outer: usize,
    vectors: usize,
    pub panels: usize,
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
    pub fn steps(&self) -> usize {
        if self.paired {
            self.inner.div_ceil(2)
        } else {
            self.inner
        }
    }

    pub fn width(&self) -> usize {
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
        let (width, all, to) = (self.width(), self.steps(), SharedMut::new(to));
        let parts = all.div_ceil(PACKED_STEPS);
        pool.run(self.panels * parts, &|task| {
            let (panel, start) = (task / parts, task % parts * PACKED_STEPS);
            let steps = start..(start + PACKED_STEPS).min(all);
            let points = to.as_ptr().wrapping_add((panel * all + start) * width);
            // SAFETY: every (step, panel) is written by one task; a panel consists of full vectors.
            unsafe { self.pack_panel(transforms, w, transposed, panel, steps, points, self.stride) };
        });
    }

    /// Transforms `steps` steps of one panel of the kernel to points that are `stride` apart.
    ///
    /// # Safety
    /// `points` must be valid for these steps at each point.
    pub unsafe fn pack_panel<E: Pixel>(
        &self,
        transforms: &Transforms<E>,
        w: &[f32],
        transposed: bool,
        panel: usize,
        steps: Range<usize>,
        points: *mut f32,
        stride: usize,
    ) {
        let width = self.width();
        let columns = width.min(self.outer - panel * width);
        let channels =
            if self.paired { 2 * steps.start..(2 * steps.end).min(self.inner) } else { steps.start..steps.end };
        let (row, col) = if transposed { (1, self.inner) } else { (self.outer, 1) };
        let size = channels.len() * width;
        with_local(|local| {
            let (taps, pair) = local.take2::<f32, f32>(9 * size, if self.paired { 2 * POINTS * width } else { 0 });
            for (t, taps) in taps.chunks_exact_mut(size).enumerate() {
                let from = w[t * self.inner * self.outer + channels.start * row + panel * width * col..].as_ptr();
                // SAFETY: `w` holds the panel of these channels.
                unsafe { gemm_pack::columns(from, row as isize, col as isize, channels.len(), columns, width, taps) };
            }
            let first_tap = taps.as_mut_ptr();
            let transform = |channel: usize, points: *mut f32, point_stride: usize| {
                let taps = first_tap.wrapping_add(channel * width);
                let args = Taps { taps, tap_stride: size, points, point_stride, count: width };
                // SAFETY: the channel is one of the packed ones; `points` by the caller's contract.
                unsafe { (transforms.kernel)(&args) };
            };
            for step in 0..steps.len() {
                let to = points.wrapping_add(step * width);
                if !self.paired {
                    transform(step, to, stride);
                    continue;
                }
                let (first, second) = pair.split_at_mut(POINTS * width);
                transform(2 * step, first.as_mut_ptr(), width);
                if 2 * step + 1 < channels.len() {
                    transform(2 * step + 1, second.as_mut_ptr(), width);
                } else {
                    second.fill(0.0);
                }
                let rows = first.chunks_exact(width).zip(second.chunks_exact(width));
                for (point, (first, second)) in rows.enumerate() {
                    // SAFETY: as above.
                    unsafe { (transforms.pairs)(first, second, to.wrapping_add(point * stride)) };
                }
            }
        });
    }

    /// Computes `c = a @ kernel` at one point, for `size` tiles.
    pub fn product(&self, point: usize, packed: &[f32], size: usize, a: &[f32], c: &mut [f32]) {
        for panel in 0..self.panels {
            let b = self.panel(point, packed, panel, 0..self.steps());
            self.panel_product(b, size, a, &mut c[panel * self.width()..], false);
        }
    }

    /// Returns some steps of one panel of a packed kernel.
    pub fn panel<'a>(&self, point: usize, packed: &'a [f32], panel: usize, steps: Range<usize>) -> &'a [f32] {
        let start = point * self.stride + panel * self.steps() * self.width();
        &packed[start + steps.start * self.width()..start + steps.end * self.width()]
    }

    /// Computes `c (+)= a @ b` for one panel, `size` tiles, and as many steps as `b` has.
    pub fn panel_product(&self, b: &[f32], size: usize, a: &[f32], c: &mut [f32], accumulate: bool) {
        let (lhs_row, result_row, width) = (self.lhs_row(), self.result_row(), self.width());
        let (taps, steps) = ([0usize], b.len() / width);
        assert!(size == 0 || (a.len() >= (size - 1) * lhs_row + steps && c.len() >= (size - 1) * result_row + width));
        for [start, end] in even(0, size, self.kernels.rows[self.vectors - 1]) {
            let tile = Tile {
                a: a[start * lhs_row..].as_ptr(),
                a_stride: lhs_row,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: steps,
                b: b.as_ptr(),
                b_taps: null(),
                b_stride: width,
                ahead: b.as_ptr(),
                ahead_stride: 0,
                c: c[start * result_row..].as_mut_ptr(),
                c_stride: result_row,
                last: self.kernels.lanes,
                bias: null(),
                relu: None,
                accumulate,
            };
            // SAFETY: within the slices by the assertion.
            unsafe { self.kernels.tile(false, end - start, self.vectors)(&tile) };
        }
    }
}

/// Computes `c (+)= at @ b` at one point, for `size` rows of `a` (`inputs` elements, `a_row` apart) and of `b`
/// (`columns` elements, full vectors, `b_row` apart).
pub(super) fn outer_product(
    kernels: &Kernels<f32>,
    size: usize,
    [inputs, columns]: [usize; 2],
    [a_row, b_row]: [usize; 2],
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    accumulate: bool,
) {
    let lanes = kernels.lanes;
    let taps = [0usize];
    assert!(columns.is_multiple_of(lanes) && c.len() >= inputs * columns);
    assert!(size == 0 || (a.len() >= (size - 1) * a_row + inputs && b.len() >= (size - 1) * b_row + columns));
    let vectors = (columns / lanes).min(2);
    for column in (0..columns).step_by(vectors * lanes) {
        let vectors = vectors.min((columns - column) / lanes);
        for [start, end] in even(0, inputs, kernels.rows[vectors - 1]) {
            let tile = Tile {
                a: a[start..].as_ptr(),
                a_stride: a_row,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: size,
                b: b[column..].as_ptr(),
                b_taps: null(),
                b_stride: b_row,
                ahead: b[column..].as_ptr(),
                ahead_stride: 0,
                c: c[start * columns + column..].as_mut_ptr(),
                c_stride: columns,
                last: lanes,
                bias: null(),
                relu: None,
                accumulate,
            };
            // SAFETY: within the slices by the assertions.
            unsafe { kernels.tile(true, end - start, vectors)(&tile) };
        }
    }
}
