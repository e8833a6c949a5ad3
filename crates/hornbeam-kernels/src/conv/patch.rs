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
            self.taps[0].max(1) * self.span(1, rows) * self.span(2, self.output[2]) * self.channels
        } else {
            0
        }
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
        let [_, height, width] = self.input;
        let line = width * self.channels;
        let from = |axis: usize, o: usize| (o * self.strides[axis]) as isize - self.low[axis];
        let (d0, h0, w0) = (from(0, depth), from(1, rows[0]), from(2, 0));
        if !self.needs_padding() {
            let start = (d0 as usize * height + h0 as usize) * line + w0 as usize * self.channels;
            return Patch { base: image[start..].as_ptr(), plane: self.step[0] * height * line, row: line };
        }
        let (tall, wide) = (self.span(1, rows[1] - rows[0]), self.span(2, self.output[2]));
        let row = wide * self.channels;
        // Part of a line inside the image.
        let skip = (-w0).clamp(0, wide as isize) as usize;
        let first = w0.max(0) as usize;
        let count = ((w0 + wide as isize).min(width as isize) - first as isize).max(0) as usize;
        let (skip, first, count) = (skip * self.channels, first * self.channels, count * self.channels);
        for tap in 0..self.taps[0] {
            let d = d0 + (tap * self.step[0]) as isize;
            for r in 0..tall {
                let h = h0 + r as isize;
                let to = &mut copy[(tap * tall + r) * row..(tap * tall + r + 1) * row];
                if d < 0 || d >= self.input[0] as isize || h < 0 || h >= height as isize {
                    to.fill(E::ZERO);
                    continue;
                }
                let start = (d as usize * height + h as usize) * line + first;
                to[..skip].fill(E::ZERO);
                to[skip..skip + count].copy_from_slice(&image[start..start + count]);
                to[skip + count..].fill(E::ZERO);
            }
        }
        Patch { base: copy.as_ptr(), plane: tall * row, row }
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
