//! Few taps: tensors are read in place.

use super::{Patches, Placement, Window, ENOUGH_TASKS, FEW_TAPS};
use crate::conv::patch::{Geometry, Segment};
use crate::conv::ConvShape;
use crate::gemm::types::{Depthwise, DepthwiseGrad, DepthwiseTile, Real};
use crate::gemm::{even, Activation, Epilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use std::ops::Range;
use std::ptr::null;

/// Computes like [`super::correlate`] for few taps. Their time is that of memory, which is accessed in place and in order: all
/// channels of a few pixels at a time. Taps outside the image are left out.
pub(super) fn correlate<E: Real>(
    pool: &ThreadPool,
    kernels: &'static Depthwise<E>,
    geometry: &Geometry,
    placement: &Placement,
    batch: usize,
    x: &[E],
    w: &[E],
    y: &mut [E],
    epilogue: Epilogue<E>,
) {
    let [depth, height, _] = geometry.output;
    let rows = geometry.rows_per_task(batch, ENOUGH_TASKS);
    let strips = height.div_ceil(rows);
    let (lanes, channels) = (kernels.lanes, geometry.channels);
    let image = geometry.input.iter().product::<usize>() * channels;
    let pixels =
        kernels.tiles.iter().find(|(blocks, _)| blocks * lanes <= channels).map_or(kernels.partial, |t| t.1).len();
    let segments = segments(geometry, pixels);
    let y = SharedMut::new(y);
    pool.run(batch * depth * strips, &|task| {
        let (rest, strip) = (task / strips, task % strips);
        let (n, d) = (rest / depth, rest % depth);
        let plane = (n * placement.extent[0] + placement.base[0] + d * placement.step[0]) * placement.extent[1];
        let mut taps = Vec::with_capacity(FEW_TAPS);
        for row in strip * rows..((strip + 1) * rows).min(height) {
            let line = (plane + placement.base[1] + row * placement.step[1]) * placement.extent[2] + placement.base[2];
            for (index, (pixels, columns)) in segments.iter().enumerate() {
                if index == 0 || *columns != segments[index - 1].1 {
                    list_taps(geometry, [d, row], columns.clone(), &mut taps);
                }
                let mut channel = 0;
                while channel < channels {
                    let left = channels - channel;
                    let shape = kernels.tiles.iter().find(|(blocks, _)| blocks * lanes <= left);
                    let (count, table) =
                        shape.map_or((left, kernels.partial), |(blocks, table)| (blocks * lanes, *table));
                    let args = DepthwiseTile {
                        x: x.as_ptr().wrapping_add(n * image + pixels.start * geometry.strides[2] * channels + channel),
                        pixel_stride: geometry.strides[2] * channels,
                        taps: taps.as_ptr(),
                        tap_count: taps.len(),
                        w: w.as_ptr().wrapping_add(channel),
                        y: y.as_ptr().wrapping_add((line + pixels.start * placement.step[2]) * channels + channel),
                        y_stride: placement.step[2] * channels,
                        n: count.min(lanes),
                        bias: epilogue.bias.map_or(null(), |bias| bias[channel..].as_ptr()),
                        relu: epilogue.activation == Activation::Relu,
                        accumulate: epilogue.accumulate,
                    };
                    // SAFETY: the taps lie inside the image, and no other task writes these outputs.
                    unsafe { table[pixels.len() - 1](&args) };
                    channel += count;
                }
            }
        }
    });
}

/// Splits the segments of a row into pieces of at most `pixels` pixels.
fn segments(geometry: &Geometry, pixels: usize) -> Vec<Segment> {
    let segments = geometry.segments().into_iter();
    let split = |(range, taps): Segment| {
        even(range.start, range.end, pixels).map(move |[first, last]| (first..last, taps.clone()))
    };
    segments.flat_map(split).collect()
}

/// Lists the offsets of taps inside the image for a row of outputs, relative to the first pixel of the image and to `w`.
fn list_taps(geometry: &Geometry, [depth, row]: [usize; 2], columns: Range<usize>, to: &mut Vec<[usize; 2]>) {
    let [_, height, width] = geometry.input;
    let at = |axis: usize, output: usize, tap: usize| geometry.position(axis, output, tap);
    to.clear();
    for d in geometry.taps_inside(0, depth) {
        for h in geometry.taps_inside(1, row) {
            let line = (at(0, depth, d) * height + at(1, row, h)) * width;
            for w in columns.clone() {
                let tap = (d * geometry.taps[1] + h) * geometry.taps[2] + w;
                to.push([line.wrapping_add(at(2, 0, w)).wrapping_mul(geometry.channels), tap * geometry.channels]);
            }
        }
    }
}

/// Adds like [`super::add_kernel_grad`] for few taps, which read all channels side by side.
pub(super) fn add_kernel_grad<E: Real>(
    patches: &Patches<E>,
    shape: &ConvShape,
    x: &[E],
    dy: &[E],
    window: &Window,
    dw: &mut [E],
) {
    let (kernels, geometry, channels) = (patches.kernels, &patches.geometry, shape.in_channels);
    let [depth, height, width] = shape.output;
    let image = shape.input.iter().product::<usize>() * channels;
    with_local(|local| {
        let copy = local.take::<E>(geometry.copy_len(window.rows.len()));
        let x = &x[window.image * image..(window.image + 1) * image];
        let patch = geometry.patch(x, window.depth, [window.rows.start, window.rows.end], copy);
        let mut taps = Vec::with_capacity(FEW_TAPS);
        geometry.offsets(channels, &patch, &mut taps);
        for (index, row) in window.rows.clone().enumerate() {
            let line = ((window.image * depth + window.depth) * height + row) * width;
            for block in 0..patches.blocks() {
                let (channel, n) = patches.channels(block);
                let grads = kernels.grads[usize::from(n < kernels.lanes)];
                for [first, end] in even(0, taps.len(), grads.len()) {
                    let args = DepthwiseGrad {
                        x: patch.base.wrapping_add(index * shape.strides[1] * patch.row + channel),
                        pixel_stride: shape.strides[2] * channels,
                        taps: taps[first..].as_ptr(),
                        dy: dy[line * channels + channel..].as_ptr(),
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
