//! Implicit GEMM: register tiles of neighbouring output pixels by output channels.
//!
//! The forward pass and the input gradient share one loop. The input gradient of a convolution with stride `s` decomposes
//! into `s` interleaved convolutions of stride 1 per axis, one for each residue of the input position modulo `s`, with
//! the taps that contribute to that residue, in reverse order.

use super::patch::Geometry;
use super::ConvShape;
use crate::gemm::pack;
use crate::gemm::types::{Kernels, Real, Tile};
use crate::gemm::{even, Activation, Epilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use std::ptr::null;

/// Minimum number of tasks for a small problem.
const ENOUGH_TASKS: usize = 16;

/// Correlation with strided outputs: output `o` is at position `base + o * step` of the result.
struct Correlation<'a, E: Real> {
    kernels: &'static Kernels<E>,
    geometry: Geometry,
    batch: usize,
    groups: usize,
    /// Channels of one group.
    inputs: usize,
    outputs: usize,
    extent: [usize; 3],
    base: [usize; 3],
    step: [usize; 3],
    bias: Option<&'a [E]>,
    relu: bool,
    accumulate: bool,
}

pub(super) fn forward<E: Real>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    w: &[E],
    y: &mut [E],
    epilogue: Epilogue<E>,
    scratch: &mut Scratch,
) {
    let correlation = Correlation {
        kernels: E::kernels(),
        geometry: Geometry::forward(shape),
        batch: shape.batch,
        groups: shape.groups,
        inputs: shape.group_in(),
        outputs: shape.group_out(),
        extent: shape.output,
        base: [0; 3],
        step: [1; 3],
        bias: epilogue.bias,
        relu: epilogue.activation == Activation::Relu,
        accumulate: epilogue.accumulate,
    };
    let (steps, all) = (shape.taps() * shape.group_in(), shape.out_channels);
    correlation.run(pool, x, y, scratch, &|group, column, columns, width, to| {
        let from = w[group * shape.group_out() + column..].as_ptr();
        // SAFETY: `w` holds `steps` rows of `all` channels.
        unsafe { pack::columns(from, all as isize, 1, steps, columns, width, to) };
    });
}

/// Taps along one axis that contribute to input positions `residue + t * stride`, and the geometry of their correlation.
pub(super) struct Residue {
    /// Index of the last tap and distance between taps; the correlation visits them in reverse order.
    last: usize,
    stride: usize,
    pub count: usize,
    pub step: usize,
    pub low: isize,
    pub outputs: usize,
}

impl Residue {
    pub fn new(shape: &ConvShape, axis: usize, residue: usize) -> Self {
        let (stride, dilation, kernel) = (shape.strides[axis], shape.dilation[axis], shape.kernel[axis]);
        let shifted = residue + shape.pad[axis];
        let contributes = |tap: &usize| (shifted as isize - (tap * dilation) as isize).rem_euclid(stride as isize) == 0;
        let outputs = shape.input[axis].saturating_sub(residue).div_ceil(stride);
        let mut taps = (0..kernel).filter(contributes);
        let Some(first) = taps.next() else {
            return Self { last: 0, stride: 1, count: 0, step: 1, low: 0, outputs };
        };
        let second = taps.next();
        let distance = second.map_or(1, |second| second - first);
        let count = (kernel - first).div_ceil(if second.is_some() { distance } else { kernel });
        let step = distance * dilation / stride;
        let last = first + (count - 1) * distance;
        // Exact by the choice of the taps.
        let low = ((last * dilation) as isize - shifted as isize) / stride as isize;
        Self { last, stride: distance, count, step: step.max(1), low, outputs }
    }

    /// Kernel index of tap `tap` of the correlation.
    pub fn kernel_index(&self, tap: usize) -> usize {
        self.last - tap * self.stride
    }
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
    for residue in 0..sd * sh * sw {
        let base = [residue / (sh * sw), residue / sw % sh, residue % sw];
        let axes = [0, 1, 2].map(|axis| Residue::new(shape, axis, base[axis]));
        if axes.iter().any(|axis| axis.outputs == 0) {
            continue;
        }
        // Without taps along one axis, these positions have no contribution.
        let empty = axes.iter().any(|axis| axis.count == 0);
        let correlation = Correlation {
            kernels: E::kernels(),
            geometry: Geometry {
                input: shape.output,
                channels: shape.out_channels,
                output: [0, 1, 2].map(|axis| axes[axis].outputs),
                taps: [0, 1, 2].map(|axis| if empty { 0 } else { axes[axis].count }),
                step: [0, 1, 2].map(|axis| axes[axis].step),
                low: [0, 1, 2].map(|axis| axes[axis].low),
                strides: [1; 3],
            },
            batch: shape.batch,
            groups: shape.groups,
            inputs: shape.group_out(),
            outputs: shape.group_in(),
            extent: shape.input,
            base,
            step: shape.strides,
            bias: None,
            relu: false,
            accumulate: false,
        };
        let (inner, all) = (shape.group_out(), shape.out_channels);
        let taps = correlation.geometry.taps;
        correlation.run(pool, dy, dx, scratch, &|group, column, columns, width, to| {
            for tap in 0..taps.iter().product() {
                let [d, h, t] = [tap / (taps[1] * taps[2]), tap / taps[2] % taps[1], tap % taps[2]];
                let index = (axes[0].kernel_index(d) * shape.kernel[1] + axes[1].kernel_index(h)) * shape.kernel[2]
                    + axes[2].kernel_index(t);
                let start = (index * shape.group_in() + column) * all + group * inner;
                let to = &mut to[tap * inner * width..(tap + 1) * inner * width];
                // SAFETY: `w` holds `columns` rows of `all` channels from `start` on.
                unsafe { pack::columns(w[start..].as_ptr(), 1, all as isize, inner, columns, width, to) };
            }
        });
    }
}

/// Packs columns of the kernel of one group: `(group, column, columns, width, to)`.
type PackPanel<'a, E> = &'a (dyn Fn(usize, usize, usize, usize, &mut [E]) + Sync);

impl<E: Real> Correlation<'_, E> {
    fn run(&self, pool: &ThreadPool, x: &[E], y: &mut [E], scratch: &mut Scratch, pack: PackPanel<'_, E>) {
        let lanes = self.kernels.lanes;
        let vectors = self.outputs.div_ceil(lanes).min(2);
        let width = vectors * lanes;
        let panels = self.outputs.div_ceil(width);
        let steps = self.geometry.taps.iter().product::<usize>() * self.inputs;
        let packed = scratch.take::<E>(self.groups * panels * steps * width);
        pool.run_chunks(packed, (steps * width).max(1), &|index, to| {
            let (group, column) = (index / panels, index % panels * width);
            pack(group, column, width.min(self.outputs - column), width, to);
        });

        let geometry = &self.geometry;
        let [depth, height, _] = geometry.output;
        let rows = geometry.rows_per_task(self.batch, ENOUGH_TASKS);
        let strips = height.div_ceil(rows);
        let units = self.batch * depth * strips;
        let parts = (ENOUGH_TASKS / units).clamp(1, panels);
        let image = geometry.input.iter().product::<usize>() * geometry.channels;
        let y = SharedMut::new(y);
        let packed = &*packed;
        pool.run(units * parts, &|task| {
            let (unit, part) = (task / parts, task % parts);
            let (rest, strip) = (unit / strips, unit % strips);
            let (n, d) = (rest / depth, rest % depth);
            let range = [strip * rows, ((strip + 1) * rows).min(height)];
            let columns = [part * panels / parts, (part + 1) * panels / parts];
            with_local(|local| {
                let copy = local.take::<E>(geometry.copy_len(range[1] - range[0]));
                let x = &x[n * image..(n + 1) * image];
                // SAFETY: strips and panels of different tasks are disjoint in `y`.
                unsafe { self.strip(x, [n, d], range, columns, [vectors, panels], packed, copy, &y) };
            });
        });
    }

    /// Computes a strip of rows for some panels of output channels.
    ///
    /// # Safety
    /// `packed` holds every panel, and no other task writes these rows and panels of `y`.
    unsafe fn strip(
        &self,
        image: &[E],
        [n, d]: [usize; 2],
        rows: [usize; 2],
        columns: [usize; 2],
        [vectors, panels]: [usize; 2],
        packed: &[E],
        copy: &mut [E],
        y: &SharedMut<'_, E>,
    ) {
        let geometry = &self.geometry;
        let lanes = self.kernels.lanes;
        let width = vectors * lanes;
        let steps = geometry.taps.iter().product::<usize>() * self.inputs;
        let channels = self.outputs * self.groups;
        let patch = geometry.patch(image, d, rows, copy);
        let mut taps = Vec::with_capacity(geometry.taps.iter().product());
        geometry.offsets(self.groups, &patch, &mut taps);
        let run = geometry.runs(self.groups).1 * self.inputs;
        // Taps outside the image contribute nothing: those of the first axis with several taps are left out.
        let axis = usize::from(geometry.taps[0] == 1);
        let per_tap = taps.len() / geometry.taps[axis].max(1);
        let depth = (n * self.extent[0] + self.base[0] + d * self.step[0]) * self.extent[1];
        let pixel_stride = geometry.strides[2] * geometry.channels;
        for index in self.groups * columns[0]..self.groups * columns[1] {
            let (panel, group) = (index / self.groups, index % self.groups);
            let column = panel * width;
            let present = width.min(self.outputs - column);
            let vectors_used = present.div_ceil(lanes);
            let b = packed[(group * panels + panel) * steps * width..][..steps * width].as_ptr();
            let out = group * self.outputs + column;
            for row in rows[0]..rows[1] {
                let inside = geometry.taps_inside(axis, if axis == 0 { d } else { row });
                let taps = &taps[inside.start * per_tap..inside.end * per_tap];
                let b = b.wrapping_add(inside.start * per_tap * run * width);
                let a =
                    patch.base.wrapping_add((row - rows[0]) * geometry.strides[1] * patch.row + group * self.inputs);
                let line = (depth + self.base[1] + row * self.step[1]) * self.extent[2];
                for [start, end] in even(0, geometry.output[2], self.kernels.rows[vectors - 1]) {
                    let pixel = line + self.base[2] + start * self.step[2];
                    let tile = Tile {
                        a: a.wrapping_add(start * pixel_stride),
                        a_stride: pixel_stride,
                        taps: taps.as_ptr(),
                        tap_count: taps.len(),
                        run,
                        b,
                        b_stride: width,
                        ahead: b,
                        ahead_stride: 0,
                        c: y.as_ptr().wrapping_add(pixel * channels + out),
                        c_stride: self.step[2] * channels,
                        last: present - (vectors_used - 1) * lanes,
                        bias: self.bias.map_or(null(), |bias| bias[out..out + present].as_ptr()),
                        relu: self.relu,
                        accumulate: self.accumulate,
                    };
                    // SAFETY: the patch covers the window of every pixel, the panel all steps; C by the caller.
                    unsafe { self.kernels.tile(false, end - start, vectors_used)(&tile) };
                }
            }
        }
    }
}
