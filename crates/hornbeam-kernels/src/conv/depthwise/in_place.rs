//! Groups of one channel: tensors are read in place.

use super::storage::{Lines, Storage};
use super::{few_taps, Patches, Placement, Window, ENOUGH_TASKS, FEW_TAPS};
use crate::conv::patch::{Geometry, Segment};
use crate::conv::ConvShape;
use crate::dtype::Element;
use crate::gemm::types::{
    Depthwise, DepthwiseGrad, DepthwiseTile, Real, SlidingKernels, SlidingRow, SlidingTile, PIXELS, UNREAD,
};
use crate::gemm::{even, Epilogue, FusedEpilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain};
use std::ops::Range;
use std::ptr::null;

/// Returns the kernels that read a pixel once for all taps of a row.
pub(super) fn sliding<E: Real>(kernels: &Depthwise<E>, geometry: &Geometry) -> Option<&'static SlidingKernels<E>> {
    let wanted = [geometry.taps[2], geometry.strides[2]];
    kernels.sliding.iter().find(|sliding| sliding.taps == wanted && geometry.step[2] == 1)
}

/// Neighbouring rows of outputs in progress.
struct Rows<'a, E> {
    /// First pixel of the lines that tap offsets are relative to.
    x: *const E,
    w: &'a [E],
    /// First output, and the distances between outputs and between rows.
    y: *mut E,
    y_stride: usize,
    y_row: usize,
    count: usize,
    epilogue: Epilogue<'a, E>,
}

/// Computes like [`super::correlate`]. With few taps, the time is that of memory, which is accessed in place and in order: all
/// channels of a few pixels at a time. Taps outside the image are left out.
pub(super) fn correlate<E: Real, T: Plain>(
    pool: &ThreadPool,
    kernels: &'static Depthwise<E>,
    geometry: &Geometry,
    placement: &Placement,
    batch: usize,
    x: &[T],
    w: &[E],
    y: &mut [T],
    epilogue: Epilogue<E>,
    fused: Option<&dyn FusedEpilogue<E>>,
    storage: &Storage<E, T>,
) {
    let [depth, height, width] = geometry.output;
    let channels = geometry.channels;
    let line = width * channels;
    let pixels =
        kernels.tiles.iter().find(|(n, _)| n * kernels.lanes <= channels).map_or(kernels.partial, |t| t.1).len();
    let (sliding, segments) = (sliding(kernels, geometry), segments(geometry, pixels));
    let together = sliding.map_or(1, |sliding| sliding.rows);
    let rows = storage.rows_per_task(geometry, batch, ENOUGH_TASKS).next_multiple_of(together);
    let strips = height.div_ceil(rows);
    let step = placement.step[2] * channels;
    let y_row = placement.step[1] * placement.extent[2] * channels;
    let y = SharedMut::new(y);
    pool.run(batch * depth * strips, &|task| {
        let (rest, strip) = (task / strips, task % strips);
        let (n, d) = (rest / depth, rest % depth);
        let plane = (n * placement.extent[0] + placement.base[0] + d * placement.step[0]) * placement.extent[1];
        let mut lines_of_rows = Vec::with_capacity(geometry.taps[0] * geometry.span(1, together));
        let mut taps = Vec::with_capacity(geometry.taps.iter().product());
        with_local(|local| {
            let outputs = if fused.is_some() { together * line } else { storage.rows_len(geometry, together) };
            let (lines, outputs) = local.take2::<E, E>(storage.lines_len(geometry, together), outputs);
            let mut lines = Lines::new(storage, geometry, together, x, n, lines);
            let end = ((strip + 1) * rows).min(height);
            for row in (strip * rows..end).step_by(together) {
                let count = together.min(end - row);
                let pixel = placement.extent[2] * (plane + placement.base[1] + row * placement.step[1]);
                let element = (pixel + placement.base[2]) * channels;
                let first = y.as_ptr().wrapping_add(element);
                if let Some(fused) = fused {
                    fused.prefetch(element..element + count * line);
                }
                lines.read(row..row + count);
                list_lines(geometry, d, row..row + count, &lines, channels, &mut lines_of_rows);
                // SAFETY: no other task writes these outputs.
                unsafe {
                    let (to, y_stride, to_row) = match storage {
                        Storage::Same if fused.is_some() => (outputs.as_mut_ptr(), channels, line),
                        Storage::Same => (first.cast(), step, y_row),
                        Storage::Narrow(narrow) => {
                            for (i, to) in outputs.chunks_exact_mut(line).take(count).enumerate() {
                                if epilogue.accumulate {
                                    narrow.widen_pixels(first.wrapping_add(i * y_row), step, channels, to);
                                }
                            }
                            (outputs.as_mut_ptr(), channels, line)
                        }
                    };
                    let out = Rows { x: lines.first(), w, y: to, y_stride, y_row: to_row, count, epilogue };
                    match sliding {
                        Some(sliding) => out.sliding_row(kernels.lanes, sliding, geometry, &lines_of_rows),
                        None => {
                            for (index, (pixels, columns)) in segments.iter().enumerate() {
                                if index == 0 || *columns != segments[index - 1].1 {
                                    list_taps(geometry, &lines_of_rows, columns.clone(), channels, &mut taps);
                                }
                                out.segment(kernels, geometry, pixels, &taps);
                            }
                        }
                    }
                    if let Storage::Narrow(narrow) = storage {
                        for (i, from) in outputs.chunks_exact(line).take(count).enumerate() {
                            narrow.round_pixels(from, first.wrapping_add(i * y_row), step, channels);
                        }
                    }
                    if let Some(fused) = fused {
                        fused.apply(element, &mut outputs[..count * line]);
                    }
                }
            }
        });
    });
}

impl<E: Real> Rows<'_, E> {
    /// Computes the rows in tiles of `PIXELS` outputs of each.
    ///
    /// # Safety
    /// The lines must lie inside the image, and the outputs belong to the caller.
    unsafe fn sliding_row(&self, lanes: usize, sliding: &SlidingKernels<E>, geometry: &Geometry, lines: &[SlidingRow]) {
        let (channels, width) = (geometry.channels, geometry.output[2]);
        let tile = |first: usize, channel: usize| {
            // SAFETY: by the contract.
            unsafe { self.sliding_tile(lanes, sliding, geometry, lines, first, channel) }
        };
        if few_taps(geometry) {
            for first in (0..width).step_by(PIXELS) {
                (0..channels).step_by(lanes).for_each(|channel| tile(first, channel));
            }
        } else {
            // The taps of a block of channels stay in the L1 cache.
            for channel in (0..channels).step_by(lanes) {
                (0..width).step_by(PIXELS).for_each(|first| tile(first, channel));
            }
        }
    }

    /// Computes the tile from output `first` and from `channel` on.
    ///
    /// # Safety
    /// As for [`Rows::sliding_row`].
    unsafe fn sliding_tile(
        &self,
        lanes: usize,
        sliding: &SlidingKernels<E>,
        geometry: &Geometry,
        lines: &[SlidingRow],
        first: usize,
        channel: usize,
    ) {
        let (channels, stride) = (geometry.channels, geometry.strides[2]);
        let count = PIXELS.min(geometry.output[2] - first);
        let column = (first * stride) as isize - geometry.low[2];
        let read = ((count - 1) * stride + geometry.taps[2]) as isize;
        let inside = [-column, geometry.input[2] as isize - column].map(|end| end.clamp(0, read) as usize);
        let n = lanes.min(channels - channel);
        let args = SlidingTile {
            x: self.x.wrapping_offset(column * channels as isize).wrapping_add(channel),
            pixel_stride: channels,
            inside,
            lines: lines.as_ptr(),
            line_count: lines.len(),
            w: self.w.as_ptr().wrapping_add(channel),
            w_stride: channels,
            y: self.y.wrapping_add(first * self.y_stride + channel),
            y_stride: self.y_stride,
            y_row: self.y_row,
            rows: self.count,
            count,
            n,
            bias: self.epilogue.bias.map_or(null(), |bias| bias[channel..].as_ptr()),
            relu: self.epilogue.activation.relu(),
            accumulate: self.epilogue.accumulate,
        };
        // SAFETY: by the contract; pixels outside the image are not read.
        unsafe { sliding.kernels[usize::from(n < lanes)](&args) };
    }

    /// Computes a segment of the row tap by tap.
    ///
    /// # Safety
    /// The taps must lie inside the image, and the outputs belong to the caller.
    unsafe fn segment(&self, kernels: &Depthwise<E>, geometry: &Geometry, pixels: &Range<usize>, taps: &[[usize; 2]]) {
        let (lanes, channels) = (kernels.lanes, geometry.channels);
        let mut channel = 0;
        while channel < channels {
            let left = channels - channel;
            let shape = kernels.tiles.iter().find(|(blocks, _)| blocks * lanes <= left);
            let (count, table) = shape.map_or((left, kernels.partial), |(blocks, table)| (blocks * lanes, *table));
            let args = DepthwiseTile {
                x: self.x.wrapping_add(pixels.start * geometry.strides[2] * channels + channel),
                pixel_stride: geometry.strides[2] * channels,
                taps: taps.as_ptr(),
                tap_count: taps.len(),
                w: self.w.as_ptr().wrapping_add(channel),
                y: self.y.wrapping_add(pixels.start * self.y_stride + channel),
                y_stride: self.y_stride,
                n: count.min(lanes),
                bias: self.epilogue.bias.map_or(null(), |bias| bias[channel..].as_ptr()),
                relu: self.epilogue.activation.relu(),
                accumulate: self.epilogue.accumulate,
            };
            // SAFETY: by the contract.
            unsafe { table[pixels.len() - 1](&args) };
            channel += count;
        }
    }
}

/// Splits the segments of a row into pieces of at most `pixels` pixels.
pub(super) fn segments(geometry: &Geometry, pixels: usize) -> Vec<Segment> {
    let segments = geometry.segments().into_iter();
    let split = |(range, taps): Segment| {
        even(range.start, range.end, pixels).map(move |[first, last]| (first..last, taps.clone()))
    };
    segments.flat_map(split).collect()
}

/// Lists the lines inside the image that neighbouring rows of outputs read, with offsets relative to the first pixel of the
/// lines and to weights of `step` elements for each tap.
pub(super) fn list_lines<E, T>(
    geometry: &Geometry,
    depth: usize,
    rows: Range<usize>,
    lines: &Lines<E, T>,
    step: usize,
    to: &mut Vec<SlidingRow>,
) {
    to.clear();
    let tap_of = |line: usize, row: usize| {
        let below = line.checked_sub(row * geometry.strides[1])?;
        let tap = below / geometry.step[1];
        (below.is_multiple_of(geometry.step[1]) && tap < geometry.taps[1]).then_some(tap)
    };
    for d in geometry.taps_inside(0, depth) {
        for line in 0..geometry.span(1, rows.len()) {
            let position = geometry.position(1, rows.start, 0).wrapping_add(line);
            let taps = [0, 1].map(|row| if row < rows.len() { tap_of(line, row) } else { None });
            if position >= geometry.input[1] || taps == [None; 2] {
                continue;
            }
            let row_of_taps = |h: usize| (d * geometry.taps[1] + h) * geometry.taps[2] * step;
            to.push(SlidingRow {
                x: lines.start(geometry.position(0, depth, d), position),
                w: taps.map(|tap| tap.map_or(UNREAD, row_of_taps)),
            });
        }
    }
}

/// Lists the offsets of taps inside the image for a row of outputs, relative to the pixel of the first output and to weights of
/// `step` elements for each tap.
pub(super) fn list_taps(
    geometry: &Geometry,
    lines: &[SlidingRow],
    columns: Range<usize>,
    step: usize,
    to: &mut Vec<[usize; 2]>,
) {
    to.clear();
    for line in lines {
        for w in columns.clone() {
            let column = geometry.position(2, 0, w).wrapping_mul(geometry.channels);
            to.push([line.x.wrapping_add(column), line.w[0] + w * step]);
        }
    }
}

/// Adds like [`super::add_kernel_grad`] for few taps, which read all channels side by side.
pub(super) fn add_kernel_grad<E: Real, T: Element + Plain>(
    patches: &Patches<E>,
    shape: &ConvShape,
    x: &[T],
    dy: &[T],
    window: &Window,
    dw: &mut [E],
    storage: &Storage<E, T>,
) {
    let (kernels, geometry, channels) = (patches.kernels, &patches.geometry, shape.in_channels);
    let [depth, height, width] = shape.output;
    let image = shape.input.iter().product::<usize>() * channels;
    let rows = [window.rows.start, window.rows.end];
    with_local(|local| {
        let (copy, outputs) = local.take2::<E, E>(storage.patch_len(geometry, rows), storage.rows_len(geometry, 1));
        let x = &x[window.image * image..(window.image + 1) * image];
        let patch = storage.patch(geometry, x, window.depth, rows, copy);
        let mut taps = Vec::with_capacity(FEW_TAPS);
        geometry.offsets(channels, &patch, &mut taps);
        for (index, row) in window.rows.clone().enumerate() {
            let line = ((window.image * depth + window.depth) * height + row) * width * channels;
            let dy = storage.read(&dy[line..line + width * channels], outputs);
            for block in 0..patches.blocks() {
                let (channel, n) = patches.channels(block);
                let grads = kernels.grads[usize::from(n < kernels.lanes)];
                for [first, end] in even(0, taps.len(), grads.len()) {
                    let args = DepthwiseGrad {
                        x: patch.base.wrapping_add(index * shape.strides[1] * patch.row + channel),
                        pixel_stride: shape.strides[2] * channels,
                        taps: taps[first..].as_ptr(),
                        dy: dy[channel..].as_ptr(),
                        dy_stride: channels,
                        n,
                        dw: dw[first * channels + channel..].as_mut_ptr(),
                        dw_stride: channels,
                        pixels: width,
                    };
                    // SAFETY: the patch covers the windows of the row; the sums belong to this task.
                    unsafe { grads[end - first - 1](&args) };
                }
            }
        }
    });
}
