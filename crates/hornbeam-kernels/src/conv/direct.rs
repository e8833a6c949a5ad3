//! Implicit GEMM: register tiles of neighbouring output pixels by output channels.
//!
//! The forward pass and the input gradient share one loop. The input gradient of a convolution with stride `s` decomposes
//! into `s` interleaved convolutions of stride 1 per axis, one for each residue of the input position modulo `s`, with
//! the taps that contribute to that residue, in reverse order.

mod panels;
mod results;
mod taps;

use super::patch::{Geometry, Segment};
use super::{Context, ConvShape};
use crate::gemm::pack;
use crate::gemm::types::{Kernels, Real, Tile};
use crate::gemm::{even, Epilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use panels::Panels;
pub(super) use panels::{pack_kernel, packed_len, Kernel};
use results::{Destination, Results};
use std::ops::Range;
use std::ptr::null;
use taps::Taps;

/// Minimum number of tasks for a small problem.
const ENOUGH_TASKS: usize = 16;
/// Floats of the inputs of a row from which it is split among tasks, of a block of columns, and its fewest outputs.
const LONG_ROW: usize = 1 << 17;
const BLOCK: usize = 1 << 15;
const FEWEST_COLUMNS: usize = 112;
/// Approximate floats of the results of a task that are consumed: a part of the L2 cache.
const CONSUMED: usize = 1 << 16;
/// Floats of the kernel that stay in the L2 cache along with a strip.
const RESIDENT: usize = 1 << 18;
/// Steps of a sum up to which the time is that of writing the results.
const FEW_STEPS: usize = 32;
/// Pixels that cost as much time as the start and the end of a tile.
const TILE_COST: usize = 2;

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
    relu: Option<E>,
    accumulate: bool,
}

pub(super) fn forward<E: Real>(context: Context, x: &[E], w: Kernel<E>, y: &mut [E], epilogue: Epilogue<E>) {
    let y = SharedMut::new(y);
    run_forward(context, E::kernels(), x, w, Results::Tensor(&y), epilogue);
}

/// Computes like [`forward`], passing the index of the first of some neighbouring results and them to `consume`, while they
/// are in cache. The epilogue must not accumulate. `kernels` multiply what the channels hold: numbers, or pairs.
pub(super) fn forward_into<E: Real>(
    context: Context,
    kernels: &'static Kernels<E>,
    x: &[E],
    w: Kernel<E>,
    consume: &(dyn Fn(usize, &[E]) + Sync),
    epilogue: Epilogue<E>,
) {
    run_forward(context, kernels, x, w, Results::Consumer(consume), epilogue);
}

fn run_forward<E: Real>(
    context: Context,
    kernels: &'static Kernels<E>,
    x: &[E],
    w: Kernel<E>,
    y: Results<E>,
    epilogue: Epilogue<E>,
) {
    let Context { pool, shape, scratch } = context;
    let correlation = Correlation {
        kernels,
        geometry: Geometry::forward(shape),
        batch: shape.batch,
        groups: shape.groups,
        inputs: shape.group_in(),
        outputs: shape.group_out(),
        extent: shape.output,
        base: [0; 3],
        step: [1; 3],
        bias: epilogue.bias,
        relu: epilogue.activation.relu(),
        accumulate: epilogue.accumulate,
    };
    let packed = match w {
        Kernel::Packed(packed) => packed,
        Kernel::Taps(w) => {
            let packed = scratch.take(packed_len::<E>(shape));
            pack_kernel(pool, shape, w, packed);
            &*packed
        }
    };
    Correlation::run(&[correlation], &[packed], pool, x, y);
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

/// `kernels` multiply what the output channels hold: numbers, or pairs.
pub(super) fn input_grad<E: Real>(context: Context, kernels: &'static Kernels<E>, dy: &[E], w: &[E], dx: &mut [E]) {
    let Context { pool, shape, scratch } = context;
    let [sd, sh, sw] = shape.strides;
    let residues = (0..sd * sh * sw).map(|residue| [residue / (sh * sw), residue / sw % sh, residue % sw]);
    let axes_of = |base: [usize; 3]| [0, 1, 2].map(|axis| Residue::new(shape, axis, base[axis]));
    let residues = residues.map(|base| (base, axes_of(base)));
    let residues: Vec<_> = residues.filter(|(_, axes)| axes.iter().all(|axis| axis.outputs > 0)).collect();
    let correlations: Vec<_> =
        residues.iter().map(|(base, axes)| residue_correlation(kernels, shape, *base, axes)).collect();
    let panels = Panels::new::<E>(shape.groups, shape.group_in());
    let steps = || correlations.iter().map(Correlation::steps);
    let (inner, all) = (shape.group_out(), shape.out_channels);
    let mut rest = scratch.take::<E>(steps().map(|steps| panels.len(steps)).sum());
    let mut packed: Vec<&[E]> = Vec::with_capacity(correlations.len());
    for ((_, axes), steps) in residues.iter().zip(steps()) {
        let (own, others) = rest.split_at_mut(panels.len(steps));
        let taps = [0, 1, 2].map(|axis| axes[axis].count);
        panels.pack(pool, steps, own, &|group, column, columns, to| {
            for tap in 0..taps.iter().product() {
                let [d, h, t] = [tap / (taps[1] * taps[2]), tap / taps[2] % taps[1], tap % taps[2]];
                let index = (axes[0].kernel_index(d) * shape.kernel[1] + axes[1].kernel_index(h)) * shape.kernel[2]
                    + axes[2].kernel_index(t);
                let start = (index * shape.group_in() + column) * all + group * inner;
                let to = &mut to[tap * inner * panels.width..(tap + 1) * inner * panels.width];
                // SAFETY: `w` holds `columns` rows of `all` channels from `start` on.
                unsafe { pack::columns(w[start..].as_ptr(), 1, all as isize, inner, columns, panels.width, to) };
            }
        });
        packed.push(own);
        rest = others;
    }
    Correlation::run(&correlations, &packed, pool, dy, Results::Tensor(&SharedMut::new(dx)));
}

/// Correlation of the output gradients for the input positions of one residue.
fn residue_correlation<E: Real>(
    kernels: &'static Kernels<E>,
    shape: &ConvShape,
    base: [usize; 3],
    axes: &[Residue; 3],
) -> Correlation<'static, E> {
    // Without taps along one axis, these positions have no contribution.
    let empty = axes.iter().any(|axis| axis.count == 0);
    Correlation {
        kernels,
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
        relu: None,
        accumulate: false,
    }
}

impl<E: Real> Correlation<'_, E> {
    /// Runs correlations that differ in geometry only, strip by strip, so that all read a strip while it is in cache. Each has
    /// its packed kernel.
    fn run(correlations: &[Self], packed: &[&[E]], pool: &ThreadPool, x: &[E], y: Results<'_, E>) {
        let Some(Self { geometry, batch, groups, outputs, .. }) = correlations.first() else {
            return;
        };
        let Panels { vectors, count: panels, .. } = Panels::new::<E>(*groups, *outputs);
        let [depth, height, columns] =
            [0, 1, 2].map(|axis| correlations.iter().map(|c| c.geometry.output[axis]).max().unwrap_or(0));
        let segments: Vec<_> = correlations.iter().map(|correlation| correlation.in_place(vectors)).collect();
        let mut rows = geometry.rows_per_task(*batch, ENOUGH_TASKS);
        if let Results::Consumer(_) = y {
            rows = rows.min(CONSUMED / (columns * outputs * groups)).max(1);
        }
        let line = geometry.strides[2] * geometry.channels;
        let block = if columns * line > LONG_ROW { (BLOCK / line).clamp(FEWEST_COLUMNS, columns) } else { columns };
        let blocks = columns.div_ceil(block);
        let strips = height.div_ceil(rows);
        let units = batch * depth * strips * blocks;
        let parts = (ENOUGH_TASKS / units).max(packed.iter().map(|p| p.len()).sum::<usize>() / RESIDENT);
        let parts = parts.clamp(1, groups * panels);
        let image = geometry.input.iter().product::<usize>() * geometry.channels;
        pool.run(units * parts, &|task| {
            // Consecutive tasks share a part of the kernel.
            let (part, unit) = (task / units, task % units);
            let (rest, block) = (unit / blocks, unit % blocks);
            let (rest, strip) = (rest / strips, rest % strips);
            let (n, d) = (rest / depth, rest % depth);
            for ((correlation, segments), packed) in correlations.iter().zip(&segments).zip(packed) {
                let [depth, height, width] = correlation.geometry.output;
                let strip = Strip {
                    image: &x[n * image..(n + 1) * image],
                    n,
                    d,
                    rows: strip * rows..((strip + 1) * rows).min(height),
                    columns: block * columns / blocks..((block + 1) * columns / blocks).min(width),
                    panels: part * groups * panels / parts..(part + 1) * groups * panels / parts,
                };
                if d >= depth || strip.rows.is_empty() || strip.columns.is_empty() {
                    continue;
                }
                with_local(|local| {
                    let size = correlation.geometry.padded_len(strip.rows.len(), strip.columns.len());
                    let consumed = strip.rows.len() * strip.columns.len() * correlation.channels();
                    let consumed = if matches!(y, Results::Consumer(_)) { consumed } else { 0 };
                    let (copy, sums) = local.take2::<E, E>(if segments.is_some() { 0 } else { size }, consumed);
                    let segments = segments.as_deref();
                    let to = correlation.destination(&strip, y, sums);
                    // SAFETY: strips, panels and positions of different correlations are disjoint in `y`.
                    unsafe { correlation.strip(&strip, segments, [vectors, panels], packed, copy, &to) };
                    if let Results::Consumer(consume) = y {
                        correlation.consume(&strip, [vectors, panels], sums, consume);
                    }
                });
            }
        });
    }

    /// Steps of the sum of an output.
    fn steps(&self) -> usize {
        self.geometry.taps.iter().product::<usize>() * self.inputs
    }

    /// Segments of a row that read the image in place, if that costs no more than tiles of a copy with zeros around it: a tile
    /// costs as much as some pixels, and segments leave taps out.
    fn in_place(&self, vectors: usize) -> Option<Vec<Segment>> {
        let geometry = &self.geometry;
        let pixels = self.kernels.rows[vectors - 1];
        let cost = |outputs: usize, taps: usize| (outputs + TILE_COST * outputs.div_ceil(pixels)) * taps;
        let segments = geometry.segments();
        let costs: usize = segments.iter().map(|(outputs, taps)| cost(outputs.len(), taps.len())).sum();
        let padded = cost(geometry.output[2], geometry.taps[2]);
        (!geometry.needs_padding() || costs <= padded + padded / 64).then_some(segments)
    }

    /// Computes a strip of outputs for some panels of output channels.
    ///
    /// # Safety
    /// `packed` holds every panel, and no other task writes these outputs of the panels.
    unsafe fn strip(
        &self,
        strip: &Strip<'_, E>,
        segments: Option<&[Segment]>,
        [vectors, panels]: [usize; 2],
        packed: &[E],
        copy: &mut [E],
        to: &Destination<E>,
    ) {
        let geometry = &self.geometry;
        let lanes = self.kernels.lanes;
        let width = vectors * lanes;
        let steps = self.steps();
        let &Strip { image, d, .. } = strip;
        let first = [d, strip.rows.start, strip.columns.start];
        let all = [(strip.columns.clone(), 0..geometry.taps[2])];
        let size = [strip.rows.len(), strip.columns.len()];
        let patch = match segments {
            Some(_) => geometry.in_place(image, first),
            None => geometry.padded(image, first, size, copy),
        };
        let segments = segments.unwrap_or(&all);
        let mut taps = Taps::new(geometry, self.groups);
        for row in strip.rows.clone() {
            for (_, columns) in segments {
                taps.list(geometry, &patch, [d, row], columns, width * self.inputs);
            }
        }
        let pixel_stride = geometry.strides[2] * geometry.channels;
        for index in strip.panels.clone() {
            let (group, panel) = (index / panels, index % panels);
            let column = panel * width;
            let present = width.min(self.outputs - column);
            let vectors_used = present.div_ceil(lanes);
            let b = packed[index * steps * width..][..steps * width].as_ptr();
            let out = group * self.outputs + column;
            for row in strip.rows.clone() {
                let a = patch
                    .base
                    .wrapping_add(group * self.inputs + (row - strip.rows.start) * geometry.strides[1] * patch.row);
                let line = to.first.wrapping_add((row - strip.rows.start) * to.row_stride + out);
                for (number, (outputs, columns)) in segments.iter().enumerate() {
                    let (start, end) = (outputs.start.max(strip.columns.start), outputs.end.min(strip.columns.end));
                    if start >= end {
                        continue;
                    }
                    let run = taps.run(columns) * self.inputs;
                    let list = taps.lists[(row - strip.rows.start) * segments.len() + number].clone();
                    for [start, end] in even(start, end, self.kernels.rows[vectors - 1]) {
                        let pixel = start - strip.columns.start;
                        let c = line.wrapping_add(pixel * to.pixel_stride);
                        let ahead_stride = if steps <= FEW_STEPS { to.pixel_stride } else { 0 };
                        let tile = Tile {
                            a: a.wrapping_add(pixel * pixel_stride),
                            a_stride: pixel_stride,
                            taps: taps.a[list.start..].as_ptr(),
                            tap_count: list.len(),
                            run,
                            b,
                            b_taps: taps.b[list.start..].as_ptr(),
                            b_stride: width,
                            // The results of the next tiles.
                            ahead: c.wrapping_add((end - start) * ahead_stride),
                            ahead_stride,
                            c,
                            c_stride: to.pixel_stride,
                            last: present - (vectors_used - 1) * lanes,
                            bias: self.bias.map_or(null(), |bias| bias[out..out + present].as_ptr()),
                            relu: self.relu,
                            accumulate: self.accumulate,
                        };
                        // SAFETY: the taps lie inside the image or the copy, the panel has all steps; C by the caller.
                        unsafe { self.kernels.tile(false, end - start, vectors_used)(&tile) };
                    }
                }
            }
        }
    }
}

/// Outputs of a task, and the range of its panels, numbered over all groups.
struct Strip<'a, E> {
    image: &'a [E],
    n: usize,
    d: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    panels: Range<usize>,
}
