//! Depthwise convolutions and narrow groups: channels are the vector lanes, without sums across lanes.
//!
//! Groups of one channel read the tensors in place. For others, for each block of `LANES` channels, the input rows of a strip of output rows are copied to a patch with zero padding, in
//! which the pixels of the block are contiguous; the taps then read the L1 cache. In groups of several channels, the patch
//! has a copy for each channel of a group, in the lanes of all outputs of the group: each is a tap more. Few taps read the
//! tensors in place.

mod bf16_tensors;
mod in_place;
mod patches;
mod storage;

use super::direct::Residue;
use super::patch::Geometry;
use super::{cast, cast_epilogue, cast_mut, Context, ConvShape};
use crate::dtype::{DType, Element};
use crate::gemm::types::{Depthwise, DepthwiseGrad, DepthwiseTile, Real};
use crate::gemm::{even, Epilogue, FusedEpilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain};
use patches::{Patches, Window};

use std::ptr::null;
pub(super) use storage::Storage;

/// Minimum number of tasks for a small problem.
const ENOUGH_TASKS: usize = 16;
/// Number of partial sums of a kernel gradient.
const BLOCKS: usize = 16;
/// Approximate floats of a patch of the kernel gradient, which several passes over taps read: half of the L1 cache.
const PATCH: usize = 1 << 13;
/// Taps up to which the time is that of memory.
const FEW_TAPS: usize = 9;
/// Largest group: its copies of a row of pixels leave the L1 cache otherwise.
const WIDEST_GROUP: usize = 8;

/// Returns true for groups of one channel, or of few.
pub(super) fn supports(shape: &ConvShape) -> bool {
    let channels = shape.group_in();
    shape.groups > 1 && channels == shape.group_out() && channels.is_power_of_two() && channels <= WIDEST_GROUP
}

/// Positions of the outputs of a correlation: output `o` at `base + o * step` of `extent`.
struct Placement {
    extent: [usize; 3],
    base: [usize; 3],
    step: [usize; 3],
}

impl Placement {
    fn forward(shape: &ConvShape) -> Self {
        Placement { extent: shape.output, base: [0; 3], step: [1; 3] }
    }
}

/// Returns true if tensors of 16-bit floats are converted row by row, not as a whole.
pub(super) fn converts_rows(shape: &ConvShape) -> bool {
    let flat = [shape.input[0], shape.kernel[0], shape.output[0]] == [1; 3];
    flat && supports(shape) && shape.group_in() == 1
}

/// Returns true if an elementwise program can be fused into a convolution of `f32` and `f64`.
pub(super) fn can_fuse<E: Real>(shape: &ConvShape) -> bool {
    supports(shape) && shape.group_in() == 1 && reads_in_place(E::depthwise(), &Geometry::forward(shape))
}

/// Returns true if groups of one channel are read in place.
fn reads_in_place<E: Real>(kernels: &Depthwise<E>, geometry: &Geometry) -> bool {
    few_taps(geometry) || in_place::sliding(kernels, geometry).is_some()
}

/// Computes like `forward` with an elementwise program, row by row. `y` is then not written.
pub(super) fn forward_fused<E: Real>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    w: &[E],
    y: &mut [E],
    epilogue: Epilogue<E>,
    fused: &dyn FusedEpilogue<E>,
) {
    let (placement, geometry) = (Placement::forward(shape), Geometry::forward(shape));
    let (kernels, batch) = (E::depthwise(), shape.batch);
    in_place::correlate(pool, kernels, &geometry, &placement, batch, x, w, y, epilogue, Some(fused), &Storage::Same);
}

pub(super) fn forward<E: Real, T: Element + Plain>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    w: &[E],
    y: &mut [T],
    epilogue: Epilogue<E>,
    storage: &Storage<E, T>,
) {
    let patches = Patches::new(Geometry::forward(shape), shape.group_in());
    correlate(pool, &patches, &Placement::forward(shape), shape.batch, x, w, y, epilogue, storage);
}

pub(super) fn input_grad<E: Real, T: Element + Plain>(
    context: Context,
    dy: &[T],
    w: &[E],
    dx: &mut [T],
    storage: &Storage<E, T>,
) {
    let Context { pool, shape, scratch } = context;
    let [sd, sh, sw] = shape.strides;
    let (c, group) = (shape.in_channels, shape.group_in());
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
        let reversed = scratch.take::<E>(taps.iter().product::<usize>() * group * c);
        for (tap, to) in reversed.chunks_mut(group * c).enumerate() {
            let [d, h, t] = [tap / (taps[1] * taps[2]), tap / taps[2] % taps[1], tap % taps[2]];
            let index = (axes[0].kernel_index(d) * shape.kernel[1] + axes[1].kernel_index(h)) * shape.kernel[2]
                + axes[2].kernel_index(t);
            transpose_groups(&w[index * group * c..(index + 1) * group * c], to, group);
        }
        let placement = Placement { extent: shape.input, base, step: shape.strides };
        let patches = Patches::new(geometry, group);
        correlate(pool, &patches, &placement, shape.batch, dy, reversed, dx, Epilogue::default(), storage);
    }
}

/// Transposes the matrix of each group, `[group][channels]` with the channels of all groups side by side.
fn transpose_groups<E: Real>(from: &[E], to: &mut [E], group: usize) {
    let channels = from.len() / group;
    for (q, to) in to.chunks_exact_mut(channels).enumerate() {
        for (c, to) in to.iter_mut().enumerate() {
            *to = from[c % group * channels + c / group * group + q];
        }
    }
}

/// Returns true for kernels of floats over tensors of bfloat16.
fn is_bf16<E: Element, T: Element>() -> bool {
    [E::DTYPE, T::DTYPE] == [DType::F32, DType::BF16]
}

/// Returns true if the time is that of memory.
fn few_taps(geometry: &Geometry) -> bool {
    geometry.taps.iter().product::<usize>() <= FEW_TAPS
}

/// Computes `y[o] = act(sum over taps and channels of a group of x[o + t] w[t] + bias (+ y))`.
fn correlate<E: Real, T: Element + Plain>(
    pool: &ThreadPool,
    patches: &Patches<E>,
    placement: &Placement,
    batch: usize,
    x: &[T],
    w: &[E],
    y: &mut [T],
    epilogue: Epilogue<E>,
    storage: &Storage<E, T>,
) {
    let (kernels, geometry) = (patches.kernels, &patches.geometry);
    match storage {
        Storage::Narrow(_)
            if is_bf16::<E, T>() && bf16_tensors::supports(f32::depthwise(), geometry, &cast_epilogue(epilogue)) =>
        {
            let (x, w, y, epilogue) = (cast(x), cast(w), cast_mut(y), cast_epilogue(epilogue));
            bf16_tensors::correlate(pool, f32::depthwise(), geometry, placement, batch, x, w, y, epilogue);
        }
        Storage::Same if patches.group > 1 || !reads_in_place(kernels, geometry) => {
            correlate_patches(pool, patches, placement, batch, cast(x), w, cast_mut(y), epilogue);
        }
        _ => in_place::correlate(pool, kernels, geometry, placement, batch, x, w, y, epilogue, None, storage),
    }
}

/// Computes like [`correlate`], reading patches.
fn correlate_patches<E: Real>(
    pool: &ThreadPool,
    patches: &Patches<E>,
    placement: &Placement,
    batch: usize,
    x: &[E],
    w: &[E],
    y: &mut [E],
    epilogue: Epilogue<E>,
) {
    let geometry = &patches.geometry;
    let (kernels, lanes, channels) = (patches.kernels, patches.kernels.lanes, geometry.channels);
    let tiles = kernels.tiles.last().map_or(&[][..], |(_, tiles)| *tiles);
    let [depth, height, width] = geometry.output;
    let (rows, blocks) = (patches.strip_rows(usize::MAX), patches.blocks());
    let strips = height.div_ceil(rows);
    let units = batch * depth * strips;
    let parts = ENOUGH_TASKS.div_ceil(units).min(blocks);
    let y = SharedMut::new(y);
    pool.run(units * parts, &|task| {
        let (unit, part) = (task / parts, task % parts);
        let (rest, strip) = (unit / strips, unit % strips);
        let (image, d) = (rest / depth, rest % depth);
        let window = Window { image, depth: d, rows: strip * rows..((strip + 1) * rows).min(height) };
        let taps: Vec<_> =
            patches.taps(window.rows.len()).into_iter().enumerate().map(|(tap, x)| [x, tap * lanes]).collect();
        let plane = (image * placement.extent[0] + placement.base[0] + d * placement.step[0]) * placement.extent[1];
        let tall = patches.tall(1);
        // Rows of taps outside the image contribute nothing.
        let per_row = geometry.taps[2] * patches.group;
        let inside = |row: usize| match geometry.taps[0] {
            0 | 1 => geometry.taps_inside(1, row),
            depth => 0..depth * geometry.taps[1],
        };
        with_local(|local| {
            let (patch, packed) = local.take2::<E, E>(patches.len(window.rows.len()), taps.len() * lanes);
            let part = part * blocks / parts..(part + 1) * blocks / parts;
            for block in part.clone() {
                patches.pack(w, block, packed);
                let (channel, n) = patches.channels(block);
                let mut copied = 0;
                for (index, row) in window.rows.clone().enumerate() {
                    // Rows are copied shortly before they are read first.
                    let start = index * geometry.strides[1];
                    if !taps.is_empty() {
                        patches.copy(x, &window, block, copied.max(start)..start + tall, block == part.start, patch);
                        copied = start + tall;
                    }
                    let line =
                        (plane + placement.base[1] + row * placement.step[1]) * placement.extent[2] + placement.base[2];
                    let inside = inside(row);
                    let taps = &taps[inside.start * per_row..inside.end * per_row];
                    for [first, end] in even(0, width, tiles.len()) {
                        let pixel = first * geometry.strides[2] * lanes;
                        let args = DepthwiseTile {
                            x: patch.as_ptr().wrapping_add(start * patches.row + pixel),
                            pixel_stride: geometry.strides[2] * lanes,
                            taps: taps.as_ptr(),
                            tap_count: taps.len(),
                            w: packed.as_ptr(),
                            y: y.as_ptr().wrapping_add((line + first * placement.step[2]) * channels + channel),
                            y_stride: placement.step[2] * channels,
                            n,
                            bias: epilogue.bias.map_or(null(), |bias| bias[channel..].as_ptr()),
                            relu: epilogue.activation.relu(),
                            accumulate: epilogue.accumulate,
                        };
                        // SAFETY: the patch covers the windows of the row, and no other task writes its outputs.
                        unsafe { tiles[end - first - 1](&args) };
                    }
                }
            }
        });
    });
}

pub(super) fn kernel_grad<E: Real, T: Element + Plain>(
    context: Context,
    x: &[T],
    dy: &[T],
    dw: &mut [E],
    storage: &Storage<E, T>,
) {
    let Context { pool, shape, scratch } = context;
    if dy.is_empty() {
        return dw.fill(E::ZERO);
    }
    let patches = Patches::<E>::new(Geometry::forward(shape), shape.group_in());
    let in_place = patches.group == 1 && (shape.taps() <= FEW_TAPS || matches!(storage, Storage::Narrow(_)));
    let [depth, height, _] = shape.output;
    let rows = if in_place { patches.geometry.rows_per_task(shape.batch, BLOCKS) } else { patches.strip_rows(PATCH) };
    let strips = height.div_ceil(rows);
    let units = shape.batch * depth * strips;
    let partials = units.min(BLOCKS);
    let size = dw.len();
    let partial = scratch.take::<E>(partials * size);
    pool.run_chunks(partial, size.max(1), &|index, dw| {
        dw.fill(E::ZERO);
        for unit in index * units / partials..(index + 1) * units / partials {
            let (rest, strip) = (unit / strips, unit % strips);
            let rows = strip * rows..((strip + 1) * rows).min(height);
            let window = Window { image: rest / depth, depth: rest % depth, rows };
            match storage {
                Storage::Same if !in_place => add_kernel_grad(&patches, shape, cast(x), cast(dy), &window, dw),
                _ => in_place::add_kernel_grad(&patches, shape, x, dy, &window, dw, storage),
            }
        }
    });
    let partial = &*partial;
    dw.fill(E::ZERO);
    for block in 0..partials {
        for (dw, part) in dw.iter_mut().zip(&partial[block * size..]) {
            *dw = E::plus(*dw, *part);
        }
    }
}

/// Adds the contribution of a strip of output rows.
fn add_kernel_grad<E: Real>(patches: &Patches<E>, shape: &ConvShape, x: &[E], dy: &[E], window: &Window, dw: &mut [E]) {
    let (kernels, lanes, channels) = (patches.kernels, patches.kernels.lanes, shape.in_channels);
    let [depth, height, width] = shape.output;
    let taps = patches.taps(window.rows.len());
    with_local(|local| {
        let (patch, sums) = local.take2::<E, E>(patches.len(window.rows.len()), taps.len() * lanes);
        for block in 0..patches.blocks() {
            let (channel, n) = patches.channels(block);
            patches.copy(x, window, block, 0..patches.tall(window.rows.len()), block == 0, patch);
            sums.fill(E::ZERO);
            let grads = kernels.grads[usize::from(n < lanes)];
            for [first, end] in even(0, taps.len(), grads.len()) {
                for (index, row) in window.rows.clone().enumerate() {
                    let line = ((window.image * depth + window.depth) * height + row) * width;
                    let args = DepthwiseGrad {
                        x: patch[index * shape.strides[1] * patches.row..].as_ptr(),
                        pixel_stride: shape.strides[2] * lanes,
                        taps: taps[first..].as_ptr(),
                        dy: dy[line * channels + channel..].as_ptr(),
                        dy_stride: channels,
                        n,
                        dw: sums[first * lanes..].as_mut_ptr(),
                        dw_stride: lanes,
                        pixels: width,
                    };
                    // SAFETY: the patch covers the windows of the row; `sums` has room for these taps.
                    unsafe { grads[end - first - 1](&args) };
                }
            }
            for (dw, sums) in dw.chunks_exact_mut(channels).zip(sums.chunks_exact(lanes)) {
                for (dw, sum) in dw[channel..channel + n].iter_mut().zip(sums) {
                    *dw = E::plus(*dw, *sum);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests;
