//! Groups of one channel: tensors are read in place.

use super::storage::{Lines, Storage};
use super::{Patches, Placement, Window, ENOUGH_TASKS, FEW_TAPS};
use crate::conv::patch::{Geometry, Segment};
use crate::conv::ConvShape;
use crate::dtype::Element;
use crate::gemm::types::{Depthwise, DepthwiseGrad, DepthwiseSlide, DepthwiseSlideFn, DepthwiseTile, Real, PIXELS};
use crate::gemm::{even, Activation, Epilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain};
use std::ops::Range;
use std::ptr::null;

/// Returns the kernels, for full blocks of channels and for others, that read a pixel once for all taps of a row.
pub(super) fn slides<E: Real>(kernels: &Depthwise<E>, geometry: &Geometry) -> Option<[DepthwiseSlideFn<E>; 2]> {
    let wanted = [geometry.taps[2], geometry.strides[2]];
    kernels.slides.iter().find(|(taps, _)| *taps == wanted && geometry.step[2] == 1).map(|(_, kernels)| *kernels)
}

/// One row of outputs in progress.
struct Row<'a, E> {
    /// First pixel of the lines that tap offsets are relative to.
    x: *const E,
    w: &'a [E],
    /// First output, and the distance between outputs.
    y: *mut E,
    y_stride: usize,
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
    storage: &Storage<E, T>,
) {
    let [depth, height, _] = geometry.output;
    let channels = geometry.channels;
    let rows = storage.rows_per_task(geometry, batch, ENOUGH_TASKS);
    let strips = height.div_ceil(rows);
    let pixels =
        kernels.tiles.iter().find(|(n, _)| n * kernels.lanes <= channels).map_or(kernels.partial, |t| t.1).len();
    let (slides, segments) = (slides(kernels, geometry), segments(geometry, pixels));
    let y = SharedMut::new(y);
    pool.run(batch * depth * strips, &|task| {
        let (rest, strip) = (task / strips, task % strips);
        let (n, d) = (rest / depth, rest % depth);
        let plane = (n * placement.extent[0] + placement.base[0] + d * placement.step[0]) * placement.extent[1];
        let mut rows_of_taps = Vec::with_capacity(geometry.taps[0] * geometry.taps[1]);
        let mut taps = Vec::with_capacity(geometry.taps.iter().product());
        with_local(|local| {
            let (lines, outputs) = local.take2::<E, E>(storage.lines_len(geometry), storage.row_len(geometry));
            let mut lines = Lines::new(storage, geometry, x, n, lines);
            for row in strip * rows..((strip + 1) * rows).min(height) {
                let first = placement.extent[2] * (plane + placement.base[1] + row * placement.step[1]);
                let first = (first + placement.base[2]) * channels;
                let step = placement.step[2] * channels;
                lines.read(row);
                list_rows(geometry, [d, row], &lines, &mut rows_of_taps);
                // SAFETY: no other task writes these outputs.
                unsafe {
                    let (to, y_stride) = match storage {
                        Storage::Same => (y.as_ptr().wrapping_add(first).cast(), step),
                        Storage::Narrow(narrow) => {
                            if epilogue.accumulate {
                                narrow.widen_pixels(y.as_ptr().wrapping_add(first), step, channels, outputs);
                            }
                            (outputs.as_mut_ptr(), channels)
                        }
                    };
                    let line = Row { x: lines.first(), w, y: to, y_stride, epilogue };
                    match slides {
                        Some(slides) => line.slide(kernels.lanes, slides, geometry, &rows_of_taps),
                        None => {
                            for (index, (pixels, columns)) in segments.iter().enumerate() {
                                if index == 0 || *columns != segments[index - 1].1 {
                                    list_taps(geometry, &rows_of_taps, columns.clone(), &mut taps);
                                }
                                line.segment(kernels, geometry, pixels, &taps);
                            }
                        }
                    }
                    if let Storage::Narrow(narrow) = storage {
                        narrow.round_pixels(outputs, y.as_ptr().wrapping_add(first), step, channels);
                    }
                }
            }
        });
    });
}

impl<E: Real> Row<'_, E> {
    /// Computes the row in tiles of `PIXELS` outputs.
    ///
    /// # Safety
    /// The taps must lie inside the image where the outputs' columns do, and the outputs belong to the caller.
    unsafe fn slide(&self, lanes: usize, slides: [DepthwiseSlideFn<E>; 2], geometry: &Geometry, taps: &[[usize; 2]]) {
        let (channels, stride) = (geometry.channels, geometry.strides[2]);
        for first in (0..geometry.output[2]).step_by(PIXELS) {
            let count = PIXELS.min(geometry.output[2] - first);
            let column = (first * stride) as isize - geometry.low[2];
            let read = ((count - 1) * stride + geometry.taps[2]) as isize;
            let inside = [-column, geometry.input[2] as isize - column].map(|end| end.clamp(0, read) as usize);
            for channel in (0..channels).step_by(lanes) {
                let n = lanes.min(channels - channel);
                let args = DepthwiseSlide {
                    x: self.x.wrapping_offset(column * channels as isize).wrapping_add(channel),
                    pixel_stride: channels,
                    inside,
                    rows: taps.as_ptr(),
                    row_count: taps.len(),
                    w: self.w.as_ptr().wrapping_add(channel),
                    w_stride: channels,
                    y: self.y.wrapping_add(first * self.y_stride + channel),
                    y_stride: self.y_stride,
                    count,
                    n,
                    bias: self.epilogue.bias.map_or(null(), |bias| bias[channel..].as_ptr()),
                    relu: self.epilogue.activation == Activation::Relu,
                    accumulate: self.epilogue.accumulate,
                };
                // SAFETY: by the contract; pixels outside the image are not read.
                unsafe { slides[usize::from(n < lanes)](&args) };
            }
        }
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
                relu: self.epilogue.activation == Activation::Relu,
                accumulate: self.epilogue.accumulate,
            };
            // SAFETY: by the contract.
            unsafe { table[pixels.len() - 1](&args) };
            channel += count;
        }
    }
}

/// Splits the segments of a row into pieces of at most `pixels` pixels.
fn segments(geometry: &Geometry, pixels: usize) -> Vec<Segment> {
    let segments = geometry.segments().into_iter();
    let split = |(range, taps): Segment| {
        even(range.start, range.end, pixels).map(move |[first, last]| (first..last, taps.clone()))
    };
    segments.flat_map(split).collect()
}

/// Lists the offsets of the rows of taps inside the image for a row of outputs, relative to the first pixel of a line and to
/// `w`.
fn list_rows<E, T>(geometry: &Geometry, [depth, row]: [usize; 2], lines: &Lines<E, T>, to: &mut Vec<[usize; 2]>) {
    to.clear();
    for d in geometry.taps_inside(0, depth) {
        for h in geometry.taps_inside(1, row) {
            let line = lines.start(geometry.position(0, depth, d), geometry.position(1, row, h));
            to.push([line, (d * geometry.taps[1] + h) * geometry.taps[2] * geometry.channels]);
        }
    }
}

/// Lists the offsets of taps inside the image for a row of outputs, relative to the pixel of the first output and to `w`.
fn list_taps(geometry: &Geometry, rows: &[[usize; 2]], columns: Range<usize>, to: &mut Vec<[usize; 2]>) {
    to.clear();
    for [line, tap] in rows {
        for w in columns.clone() {
            let column = geometry.position(2, 0, w).wrapping_mul(geometry.channels);
            to.push([line.wrapping_add(column), tap + w * geometry.channels]);
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
        let (copy, outputs) = local.take2::<E, E>(storage.patch_len(geometry, rows), storage.row_len(geometry));
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
