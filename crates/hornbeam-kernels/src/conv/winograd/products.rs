//! The products of points: kernels in panels, patches and gradients by rows of channels.

use super::pixels::Pixel;
use super::points::Taps;
use super::transforms::Transforms;
use super::{padded, POINTS};
use crate::gemm::even;
use crate::gemm::tile::{Kernels, Tile};
use crate::pool::{SharedMut, ThreadPool};
use std::ptr::null;

/// Columns of the widest panel.
const WIDEST: usize = 2 * 16;

/// How the kernel's points lie, and with it those of what it is multiplied with: `[point][panel][inner][width]`.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub kernels: &'static Kernels<f32>,
    /// Channels summed over, and channels that result.
    pub inner: usize,
    pub outer: usize,
    vectors: usize,
    panels: usize,
    /// Distance between points.
    stride: usize,
    /// Whether two channels lie in the place of a float.
    paired: bool,
}

impl Panels {
    pub fn new<E: Pixel>([inner, outer]: [usize; 2]) -> Self {
        let kernels = E::kernels();
        let vectors = outer.div_ceil(kernels.lanes).min(2);
        let width = vectors * kernels.lanes;
        let panels = outer.div_ceil(width);
        let steps = if E::PAIRED { inner.div_ceil(2) } else { inner };
        Self { kernels, inner, outer, vectors, panels, stride: padded(panels * steps * width), paired: E::PAIRED }
    }

    /// Floats that are summed over.
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

    /// Floats of a tile's left side and of its result, for each point.
    pub fn deep(&self) -> usize {
        let whole = self.inner.next_multiple_of(self.kernels.lanes);
        if self.paired {
            whole / 2
        } else {
            whole
        }
    }

    pub fn wide(&self) -> usize {
        self.panels * self.width()
    }

    /// Floats of all points.
    pub fn len(&self) -> usize {
        POINTS * self.stride
    }

    /// Transforms the kernel `w` (`[3, 3, inputs, outputs]`); `transposed` sums over its outputs.
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
        // A few channels a task: the transform of one is short.
        pool.run_ranges(steps, 8, &|range| {
            for (step, panel) in range.flat_map(|step| (0..self.panels).map(move |panel| (step, panel))) {
                let points = to.as_ptr().wrapping_add((panel * steps + step) * width);
                if !self.paired {
                    // SAFETY: every (step, panel) is written by one task; a panel is whole vectors.
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

    /// The points of one channel and one panel, `stride` apart.
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
        let job = Taps { taps: taps.as_mut_ptr(), tap: width, points, stride, count: width };
        // SAFETY: the caller's promise.
        unsafe { (transforms.kernel)(&job) };
    }

    /// `c = a @ kernel` at one point, for `size` tiles.
    pub fn product(&self, point: usize, packed: &[f32], size: usize, a: &[f32], c: &mut [f32]) {
        let (deep, wide, width, steps) = (self.deep(), self.wide(), self.width(), self.steps());
        let taps = [0usize];
        let b = &packed[point * self.stride..][..self.panels * steps * width];
        assert!(a.len() >= size * deep && c.len() >= size * wide);
        for panel in 0..self.panels {
            for [start, end] in even(0, size, self.kernels.rows[self.vectors - 1]) {
                let tile = Tile {
                    a: a[start * deep..].as_ptr(),
                    a_step: deep,
                    taps: taps.as_ptr(),
                    tap_count: 1,
                    run: steps,
                    b: b[panel * steps * width..].as_ptr(),
                    b_step: width,
                    c: c[start * wide + panel * width..].as_mut_ptr(),
                    c_step: wide,
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

/// `c (+)= at @ b` at one point: `a` is `size` rows of `inputs` in `deep`, `b` rows of `wide`, `c` `inputs x wide`.
pub(super) fn outer(
    kernels: &Kernels<f32>,
    size: usize,
    [inputs, deep, wide]: [usize; 3],
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    accumulate: bool,
) {
    let lanes = kernels.lanes;
    let taps = [0usize];
    assert!(a.len() >= size * deep && b.len() >= size * wide && c.len() >= inputs * wide);
    let vectors = (wide / lanes).min(2);
    for column in (0..wide).step_by(vectors * lanes) {
        let vectors = vectors.min((wide - column) / lanes);
        for [start, end] in even(0, inputs, kernels.rows[vectors - 1]) {
            let tile = Tile {
                a: a[start..].as_ptr(),
                a_step: deep,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: size,
                b: b[column..].as_ptr(),
                b_step: wide,
                c: c[start * wide + column..].as_mut_ptr(),
                c_step: wide,
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
