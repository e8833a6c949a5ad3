//! Depthwise convolutions: channels are the vector lanes, without sums across channels.

use super::direct::Residue;
use super::patch::Geometry;
use super::ConvShape;
use crate::gemm::types::{DepthwiseGrad, DepthwiseRow, Real};
use crate::gemm::{Activation, Epilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use std::ptr::null;

/// Minimum number of tasks for a small problem.
const ENOUGH_TASKS: usize = 16;
/// Number of partial sums of a kernel gradient.
const BLOCKS: usize = 16;

/// Positions of the outputs of a correlation: output `o` at `base + o * step` of `extent`.
struct Placement {
    extent: [usize; 3],
    base: [usize; 3],
    step: [usize; 3],
}

pub(super) fn forward<E: Real>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    w: &[E],
    y: &mut [E],
    epilogue: Epilogue<E>,
) {
    let placement = Placement { extent: shape.output, base: [0; 3], step: [1; 3] };
    correlate(pool, &Geometry::forward(shape), &placement, shape.batch, x, w, y, epilogue);
}

pub(super) fn input_grad<E: Real>(
    pool: &ThreadPool,
    shape: &ConvShape,
    dy: &[E],
    w: &[E],
    dx: &mut [E],
    scratch: &mut Scratch,
) {
    let [sd, sh, sw] = shape.strides;
    let c = shape.in_channels;
    for residue in 0..sd * sh * sw {
        let base = [residue / (sh * sw), residue / sw % sh, residue % sw];
        let axes = [0, 1, 2].map(|axis| Residue::new(shape, axis, base[axis]));
        if axes.iter().any(|axis| axis.outputs == 0) {
            continue;
        }
        let empty = axes.iter().any(|axis| axis.count == 0);
        let taps = [0, 1, 2].map(|axis| if empty { 0 } else { axes[axis].count });
        let geometry = Geometry {
            input: shape.output,
            channels: c,
            output: [0, 1, 2].map(|axis| axes[axis].outputs),
            taps,
            step: [0, 1, 2].map(|axis| axes[axis].step),
            low: [0, 1, 2].map(|axis| axes[axis].low),
            strides: [1; 3],
        };
        let reversed = scratch.take::<E>(taps.iter().product::<usize>() * c);
        for (tap, to) in reversed.chunks_mut(c).enumerate() {
            let [d, h, t] = [tap / (taps[1] * taps[2]), tap / taps[2] % taps[1], tap % taps[2]];
            let index = (axes[0].kernel_index(d) * shape.kernel[1] + axes[1].kernel_index(h)) * shape.kernel[2]
                + axes[2].kernel_index(t);
            to.copy_from_slice(&w[index * c..(index + 1) * c]);
        }
        let placement = Placement { extent: shape.input, base, step: shape.strides };
        correlate(pool, &geometry, &placement, shape.batch, dy, reversed, dx, Epilogue::default());
    }
}

fn correlate<E: Real>(
    pool: &ThreadPool,
    geometry: &Geometry,
    placement: &Placement,
    batch: usize,
    x: &[E],
    w: &[E],
    y: &mut [E],
    epilogue: Epilogue<E>,
) {
    let kernels = E::depthwise();
    let [depth, height, width] = geometry.output;
    let rows = geometry.rows_per_task(batch, ENOUGH_TASKS);
    let strips = height.div_ceil(rows);
    let c = geometry.channels;
    let image = geometry.input.iter().product::<usize>() * c;
    let y = SharedMut::new(y);
    pool.run(batch * depth * strips, &|task| {
        let (rest, strip) = (task / strips, task % strips);
        let (n, d) = (rest / depth, rest % depth);
        let range = [strip * rows, ((strip + 1) * rows).min(height)];
        with_local(|local| {
            let copy = local.take::<E>(geometry.copy_len(range[1] - range[0]));
            let patch = geometry.patch(&x[n * image..(n + 1) * image], d, range, copy);
            let mut taps = Vec::with_capacity(geometry.taps.iter().product());
            geometry.offsets(c, &patch, &mut taps);
            let plane = (n * placement.extent[0] + placement.base[0] + d * placement.step[0]) * placement.extent[1];
            for row in range[0]..range[1] {
                let line =
                    (plane + placement.base[1] + row * placement.step[1]) * placement.extent[2] + placement.base[2];
                let row_args = DepthwiseRow {
                    x: patch.base.wrapping_add((row - range[0]) * geometry.strides[1] * patch.row),
                    pixel_stride: geometry.strides[2] * c,
                    taps: taps.as_ptr(),
                    tap_count: taps.len(),
                    w: w.as_ptr(),
                    channels: c,
                    y: y.as_ptr().wrapping_add(line * c),
                    y_stride: placement.step[2] * c,
                    pixels: width,
                    bias: epilogue.bias.map_or(null(), <[E]>::as_ptr),
                    relu: epilogue.activation == Activation::Relu,
                    accumulate: epilogue.accumulate,
                };
                // SAFETY: the patch covers the windows of the row, and no other task writes its outputs.
                unsafe { (kernels.row)(&row_args) };
            }
        });
    });
}

pub(super) fn kernel_grad<E: Real>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    dy: &[E],
    dw: &mut [E],
    scratch: &mut Scratch,
) {
    let kernels = E::depthwise();
    let geometry = Geometry::forward(shape);
    let [depth, height, width] = shape.output;
    let c = shape.in_channels;
    let image = shape.input.iter().product::<usize>() * c;
    let rows = geometry.rows_per_task(shape.batch, BLOCKS);
    let strips = height.div_ceil(rows);
    let units = shape.batch * depth * strips;
    let blocks = units.min(BLOCKS);
    let size = dw.len();
    let partial = scratch.take::<E>(blocks * size);
    pool.run_chunks(partial, size, &|block, dw| {
        dw.fill(E::ZERO);
        with_local(|local| {
            let copy = local.take::<E>(geometry.copy_len(rows));
            let mut taps = Vec::with_capacity(shape.taps());
            for unit in block * units / blocks..(block + 1) * units / blocks {
                let (rest, strip) = (unit / strips, unit % strips);
                let range = [strip * rows, ((strip + 1) * rows).min(height)];
                let n = rest / depth;
                let patch = geometry.patch(&x[n * image..(n + 1) * image], rest % depth, range, copy);
                geometry.offsets(c, &patch, &mut taps);
                for row in range[0]..range[1] {
                    let row_args = DepthwiseGrad {
                        x: patch.base.wrapping_add((row - range[0]) * geometry.strides[1] * patch.row),
                        pixel_stride: geometry.strides[2] * c,
                        taps: taps.as_ptr(),
                        tap_count: taps.len(),
                        dy: dy[(rest * height + row) * width * c..][..width * c].as_ptr(),
                        channels: c,
                        dw: dw.as_mut_ptr(),
                        pixels: width,
                    };
                    // SAFETY: the patch covers the windows of the row; the partial sum belongs to this task.
                    unsafe { (kernels.grad)(&row_args) };
                }
            }
        });
    });
    let partial = &*partial;
    dw.fill(E::ZERO);
    for block in 0..blocks {
        for (dw, part) in dw.iter_mut().zip(&partial[block * size..]) {
            *dw = E::plus(*dw, *part);
        }
    }
}
