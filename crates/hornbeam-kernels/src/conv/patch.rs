//! Input patch of a range of output rows: in place if the windows stay inside the image, else a zero-padded copy.

use super::ConvShape;
use crate::dtype::Element;
use std::ops::Range;

/// Mapping from output to input positions: output `o`, tap `t` reads `o * strides + t * step - low`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub input: [usize; 3],
    /// Channels of a pixel, over all groups.
    pub channels: usize,
    pub output: [usize; 3],
    pub taps: [usize; 3],
    pub step: [usize; 3],
    pub low: [isize; 3],
    pub strides: [usize; 3],
}

/// Patch in memory: tap `(d, h, w)` of row `r`, column `c` is at
/// `base + d * plane + (r * strides[1] + h * step[1]) * row + (c * strides[2] + w * step[2]) * channels`.
#[derive(Clone, Copy)]
pub(super) struct Patch<E> {
    pub base: *const E,
    pub plane: usize,
    pub row: usize,
}

/// Outputs of a row, and their taps along the width.
pub(super) type Segment = (Range<usize>, Range<usize>);

/// Input positions `low + i * step`, `i < count`, along an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub low: usize,
    pub step: usize,
    pub count: usize,
}

impl Window {
    /// Index of a position.
    pub fn index(&self, position: usize) -> usize {
        (position - self.low) / self.step
    }
}

impl Geometry {
    /// Geometry of a forward convolution.
    pub fn forward(shape: &ConvShape) -> Self {
        Self {
            input: shape.input,
            channels: shape.in_channels,
            output: shape.output,
            taps: shape.kernel,
            step: shape.dilation,
            low: shape.pad.map(|p| p as isize),
            strides: shape.strides,
        }
    }

    /// Extent of the input positions that `outputs` consecutive outputs along `axis` read.
    pub fn span(&self, axis: usize, outputs: usize) -> usize {
        (outputs - 1) * self.strides[axis] + self.taps[axis].saturating_sub(1) * self.step[axis] + 1
    }

    /// Range of the taps along an axis that lie inside the image for output `output`.
    pub fn taps_inside(&self, axis: usize, output: usize) -> Range<usize> {
        let (step, taps) = (self.step[axis] as isize, self.taps[axis]);
        let position = (output * self.strides[axis]) as isize - self.low[axis];
        let up = |distance: isize| (distance + step - 1).div_euclid(step).clamp(0, taps as isize) as usize;
        let end = up(self.input[axis] as isize - position);
        up(-position).min(end)..end
    }

    /// Range of those `outputs` whose tap `tap` along an axis lies inside the image.
    pub fn outputs_inside(&self, axis: usize, tap: usize, outputs: &Range<usize>) -> Range<usize> {
        let stride = self.strides[axis] as isize;
        // Inputs of tap `tap` are at `output * stride - before`.
        let before = self.low[axis] - (tap * self.step[axis]) as isize;
        let up = |distance: isize| (distance + stride - 1).div_euclid(stride).max(0) as usize;
        let end = up(self.input[axis] as isize + before).clamp(outputs.start, outputs.end);
        up(before).clamp(outputs.start, end)..end
    }

    /// Input position of a tap along an axis; wraps before the image.
    pub fn position(&self, axis: usize, output: usize, tap: usize) -> usize {
        (output * self.strides[axis] + tap * self.step[axis]).wrapping_add_signed(-self.low[axis])
    }

    /// Input positions along an axis that some outputs read, without those outside the image.
    pub fn window(&self, axis: usize, outputs: Range<usize>) -> Window {
        let step = if self.taps[axis] == 1 { self.strides[axis] } else { 1 };
        let start = (outputs.start * self.strides[axis]) as isize - self.low[axis];
        let end = (start + self.span(axis, outputs.len()) as isize).min(self.input[axis] as isize);
        let low = (start + ((-start).max(0) as usize).next_multiple_of(step) as isize) as usize;
        Window { low, step, count: ((end - low as isize).max(0) as usize).div_ceil(step) }
    }

    /// Returns true if some output reads outside its image.
    pub fn needs_padding(&self) -> bool {
        (0..3).any(|axis| {
            let last = self.span(axis, self.output[axis]) as isize - self.low[axis];
            self.low[axis] > 0 || last > self.input[axis] as isize
        })
    }

    /// Elements of the copy of [`Geometry::patch`] for `rows` rows, 0 if it reads in place.
    pub fn copy_len(&self, rows: usize) -> usize {
        if self.needs_padding() {
            self.padded_len(rows, self.output[2])
        } else {
            0
        }
    }

    /// Elements of the copy of [`Geometry::padded`] for some rows and columns.
    pub fn padded_len(&self, rows: usize, columns: usize) -> usize {
        self.taps[0].max(1) * self.span(1, rows) * self.span(2, columns) * self.channels
    }

    /// Rows of a task: few enough for the L2 cache, and for `enough` tasks of a small problem.
    pub fn rows_per_task(&self, batch: usize, enough: usize) -> usize {
        let line = self.strides[1] * self.span(2, self.output[2]) * self.channels;
        let height = self.output[1];
        let mut rows = ((1 << 15) / line).clamp(4, height.max(4)).min(height);
        while rows > 4 && batch * self.output[0] * height.div_ceil(rows) < enough {
            rows = rows.div_ceil(2);
        }
        // Strips of even size.
        height.div_ceil(height.div_ceil(rows))
    }

    /// Returns the patch of the image that rows `rows[0]..rows[1]` at depth `depth` read.
    pub fn patch<E: Element>(&self, image: &[E], depth: usize, rows: [usize; 2], copy: &mut [E]) -> Patch<E> {
        if self.needs_padding() {
            self.padded(image, [depth, rows[0], 0], [rows[1] - rows[0], self.output[2]], copy)
        } else {
            self.in_place(image, [depth, rows[0], 0])
        }
    }

    /// Returns the patch of the image for outputs from `first` on, whose taps may lie outside the image.
    pub fn in_place<E>(&self, image: &[E], first: [usize; 3]) -> Patch<E> {
        let [_, height, width] = self.input;
        let [d, h, w] = [0, 1, 2].map(|axis| self.position(axis, first[axis], 0));
        let at = d.wrapping_mul(height).wrapping_add(h).wrapping_mul(width).wrapping_add(w);
        let row = width * self.channels;
        let base = image.as_ptr().wrapping_add(at.wrapping_mul(self.channels));
        Patch { base, plane: self.step[0] * height * row, row }
    }

    /// Copies the patch of the image for `[rows, columns]` outputs from `first` on, with zeros outside the image.
    pub fn padded<E: Element>(&self, image: &[E], first: [usize; 3], size: [usize; 2], copy: &mut [E]) -> Patch<E> {
        self.converted(image, first, size, copy, |from, to| to.copy_from_slice(from))
    }

    /// Copies like [`Geometry::padded`], converting pixels by `convert`.
    pub fn converted<T, E: Element>(
        &self,
        image: &[T],
        first: [usize; 3],
        [rows, columns]: [usize; 2],
        copy: &mut [E],
        convert: impl Fn(&[T], &mut [E]),
    ) -> Patch<E> {
        let [depth, height, width] = self.input.map(|extent| extent as isize);
        let [d0, h0, w0] = [0, 1, 2].map(|axis| (first[axis] * self.strides[axis]) as isize - self.low[axis]);
        let (tall, wide) = (self.span(1, rows), self.span(2, columns));
        let row = wide * self.channels;
        // Part of a line inside the image.
        let skip = (-w0).clamp(0, wide as isize) as usize;
        let column = w0.max(0);
        let count = ((w0 + wide as isize).min(width) - column).max(0) as usize;
        let (skip, count) = (skip * self.channels, count * self.channels);
        for tap in 0..self.taps[0] {
            let d = d0 + (tap * self.step[0]) as isize;
            for r in 0..tall {
                let h = h0 + r as isize;
                let to = &mut copy[(tap * tall + r) * row..(tap * tall + r + 1) * row];
                if !(0..depth).contains(&d) || !(0..height).contains(&h) || count == 0 {
                    to.fill(E::ZERO);
                    continue;
                }
                let start = ((d * height + h) * width + column) as usize * self.channels;
                to[..skip].fill(E::ZERO);
                convert(&image[start..start + count], &mut to[skip..skip + count]);
                to[skip + count..].fill(E::ZERO);
            }
        }
        Patch { base: copy.as_ptr(), plane: tall * row, row }
    }

    /// Splits a row of outputs into ranges, each with the range of taps along the width that lie inside the image for all of
    /// its pixels and outside for none.
    pub fn segments(&self) -> Vec<Segment> {
        let width = self.output[2];
        let mut segments = Vec::new();
        let mut start = 0;
        while start < width {
            let taps = self.taps_inside(2, start);
            let end = (start + 1..width).find(|&pixel| self.taps_inside(2, pixel) != taps).unwrap_or(width);
            segments.push((start..end, taps));
            start = end;
        }
        segments
    }

    /// Groups taps into runs of contiguous memory: returns the number of runs and the taps per run (all taps along the width
    /// if they are contiguous and there is one group).
    pub fn runs(&self, groups: usize) -> (usize, usize) {
        let [d, h, w] = self.taps;
        if groups == 1 && (self.step[2] == 1 || w <= 1) {
            (d * h * w.min(1), w)
        } else {
            (d * h * w, 1)
        }
    }

    /// Computes the offset of each run relative to the base of a patch.
    pub fn offsets<E>(&self, groups: usize, patch: &Patch<E>, to: &mut Vec<usize>) {
        let [d, h, w] = self.taps;
        let starts = if self.runs(groups).1 == w { w.min(1) } else { w };
        to.clear();
        for d in 0..d {
            for h in 0..h {
                for w in 0..starts {
                    to.push(d * patch.plane + h * self.step[1] * patch.row + w * self.step[2] * self.channels);
                }
            }
        }
    }
}
