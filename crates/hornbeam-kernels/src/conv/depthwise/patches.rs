//! Patches in which the pixels of one block of channels are contiguous.

use crate::conv::patch::Geometry;
use crate::gemm::pack;
use crate::gemm::types::{Depthwise, PatchRow, Real};
use std::ops::Range;

/// Approximate floats of the input of a strip, all channels: a fraction of the L2 cache.
const STRIP: usize = 1 << 16;

/// Patches of one block of channels: `[depth tap][row][channel of a group][column][lane]`.
pub(super) struct Patches<E: 'static> {
    pub kernels: &'static Depthwise<E>,
    pub geometry: Geometry,
    /// Channels of a group.
    pub group: usize,
    /// Lanes of the tensor for each lane of the patch, for each channel of a group.
    order: Vec<u32>,
    /// Columns, and distance between rows.
    wide: usize,
    pub row: usize,
}

/// Rows of one image that a strip of output rows reads, at one depth.
pub(super) struct Window {
    pub image: usize,
    pub depth: usize,
    pub rows: Range<usize>,
}

impl<E: Real> Patches<E> {
    pub fn new(geometry: Geometry, group: usize) -> Self {
        let kernels = E::depthwise();
        let lanes = kernels.lanes;
        let lane = |q: usize, c: usize| (c / group * group + q) as u32;
        let order = (0..group * lanes).map(|i| lane(i / lanes, i % lanes) % lanes as u32).collect();
        let wide = geometry.span(2, geometry.output[2]);
        Self { kernels, geometry, group, order, wide, row: group * wide * lanes }
    }

    /// Blocks of channels.
    pub fn blocks(&self) -> usize {
        self.geometry.channels.div_ceil(self.kernels.lanes)
    }

    /// First channel and number of channels of a block.
    pub fn channels(&self, block: usize) -> (usize, usize) {
        let first = block * self.kernels.lanes;
        (first, self.kernels.lanes.min(self.geometry.channels - first))
    }

    /// Rows between the first input row of a strip and the end of those of its output rows `0..outputs`.
    pub fn tall(&self, outputs: usize) -> usize {
        self.geometry.span(1, outputs)
    }

    /// Elements of a patch.
    pub fn len(&self, outputs: usize) -> usize {
        self.geometry.taps[0] * self.tall(outputs) * self.row
    }

    /// Output rows of a strip with a patch of at most about `floats` floats.
    pub fn strip_rows(&self, floats: usize) -> usize {
        let geometry = &self.geometry;
        let line = geometry.strides[1] * self.wide * geometry.channels;
        // In the widest lanes: each strip is one partial sum of the kernel's gradient, on any instruction set.
        let row = self.group * self.wide * (64 / size_of::<E>());
        let step = (geometry.taps[0] * geometry.strides[1] * row).max(1);
        let height = geometry.output[1];
        let rows = (STRIP / line.max(1)).min(floats / step).clamp(4, height.max(4)).min(height);
        // Strips of even size.
        height.div_ceil(height.div_ceil(rows))
    }

    /// Offsets of the taps, and of the channels of a group at each.
    pub fn taps(&self, outputs: usize) -> Vec<usize> {
        let (geometry, lanes) = (&self.geometry, self.kernels.lanes);
        let plane = self.tall(outputs) * self.row;
        let mut taps = Vec::with_capacity(geometry.taps.iter().product::<usize>() * self.group);
        for d in 0..geometry.taps[0] {
            for h in 0..geometry.taps[1] {
                for w in 0..geometry.taps[2] {
                    let tap = d * plane + h * geometry.step[1] * self.row + w * geometry.step[2] * lanes;
                    taps.extend((0..self.group).map(|q| tap + q * self.wide * lanes));
                }
            }
        }
        taps
    }

    /// Copies rows `rows` of the patch, counted from the first input row of the window. The zeros around the image are those
    /// of an earlier block, unless `border`.
    pub fn copy(&self, x: &[E], window: &Window, block: usize, rows: Range<usize>, border: bool, patch: &mut [E]) {
        let (geometry, lanes) = (&self.geometry, self.kernels.lanes);
        let [depth, height, width] = geometry.input;
        let from = |axis: usize, o: usize| (o * geometry.strides[axis]) as isize - geometry.low[axis];
        let (d0, h0, w0) = (from(0, window.depth), from(1, window.rows.start), from(2, 0));
        let before = (-w0).clamp(0, self.wide as isize) as usize;
        let inside = ((w0 + self.wide as isize).min(width as isize) - w0.max(0)).max(0) as usize;
        let (channel, present) = self.channels(block);
        // Lanes of a group as wide as the vectors or wider come from the first channels of the group.
        let (channel, n) =
            if self.group >= lanes { (channel / self.group * self.group, self.group) } else { (channel, present) };
        let tall = self.tall(window.rows.len());
        assert!(patch.len() >= geometry.taps[0] * tall * self.row && rows.end <= tall);
        for tap in 0..geometry.taps[0] {
            let d = d0 + (tap * geometry.step[0]) as isize;
            for row in rows.clone() {
                let h = h0 + row as isize;
                let exists = d >= 0 && d < depth as isize && h >= 0 && h < height as isize;
                let (d, h) = (d.max(0) as usize, h.max(0) as usize);
                let pixel = ((window.image * depth + d) * height + h) * width + w0.max(0) as usize;
                if !exists && !border {
                    continue;
                }
                let inside = if exists { inside } else { 0 };
                let args = PatchRow {
                    from: x.as_ptr().wrapping_add(pixel * geometry.channels + channel),
                    pixel_stride: geometry.channels,
                    before: if inside == 0 { 0 } else { before },
                    inside,
                    pixels: self.wide,
                    border,
                    n,
                    group: self.group,
                    order: self.order.as_ptr(),
                    to: patch[(tap * tall + row) * self.row..].as_mut_ptr(),
                    plane: self.wide * lanes,
                };
                // SAFETY: the pixels lie inside the image, the row in the patch; compiled for this machine.
                unsafe { (self.kernels.copy)(&args) };
            }
        }
    }

    /// Copies the block's columns of `w`, `[rows][channels]`, with zeros in lanes without a channel.
    pub fn pack(&self, w: &[E], block: usize, to: &mut [E]) {
        let (first, n) = self.channels(block);
        let (channels, lanes) = (self.geometry.channels, self.kernels.lanes);
        let rows = w.len() / channels;
        if rows == 0 {
            return;
        }
        assert!(first + n <= channels);
        // SAFETY: `w` has `rows` rows of `channels` channels.
        unsafe { pack::columns(w[first..].as_ptr(), channels as isize, 1, rows, n, lanes, to) };
    }
}
