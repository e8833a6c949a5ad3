//! The forward pass: patches to points, products, points to outputs, a block of tiles a task.

use super::pixels::Pixel;
use super::prefetch::Ahead;
use super::products::Panels;
use super::transforms::{half_len, Beside, Finish, Points, Sink};
use super::{padded, Tiling, POINTS};
use crate::conv::ConvShape;
use crate::gemm::{Activation, Epilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use std::ptr::null;

/// Floats that the points of a block of tiles should take.
const BLOCK: usize = 1 << 16;
/// Tiles of a block at least: rows of one register tile; two where the kernel's points come from beyond the
/// second-level cache.
const LEAST: usize = 14;
/// Tasks that a small problem should be cut into.
const ENOUGH_TASKS: usize = 16;

/// A convolution's kernel, as it is given or as [`pack`] left it.
#[derive(Clone, Copy)]
pub(crate) enum Kernel<'a> {
    Taps(&'a [f32]),
    Points(&'a [f32]),
}

fn panels<E: Pixel>(shape: &ConvShape) -> Panels {
    Panels::new::<E>([shape.in_channels, shape.out_channels])
}

/// Floats of [`Kernel::Points`].
pub(crate) fn packed_len<E: Pixel>(shape: &ConvShape) -> usize {
    panels::<E>(shape).len()
}

/// Transforms the kernel `w` for pixels of the type.
pub(crate) fn pack<E: Pixel>(pool: &ThreadPool, shape: &ConvShape, w: &[f32], packed: &mut [f32]) {
    panels::<E>(shape).pack(pool, E::transforms(), w, false, packed);
}

pub(crate) fn forward<E: Pixel>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    kernel: Kernel,
    y: &mut [E],
    epilogue: Epilogue<f32>,
    scratch: &mut Scratch,
) {
    let image = shape.output[1] * shape.output[2] * shape.out_channels;
    let y = SharedMut::new(y);
    let sink = |n: usize| Sink::Whole { y: y.as_ptr().wrapping_add(n * image), accumulate: epilogue.accumulate };
    run(pool, shape, x, kernel, epilogue, &sink, scratch);
}

/// [`forward`] and a pooling by 2x2: see [`crate::conv::conv_pool_forward`].
pub(crate) fn pool_forward<E: Pixel>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    kernel: Kernel,
    epilogue: Epilogue<f32>,
    y: &mut [E],
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    let image = shape.output[1] / 2 * (shape.output[2] / 2) * shape.out_channels;
    let (y, codes) = (SharedMut::new(y), SharedMut::new(codes));
    let sink = |n: usize| Sink::Pooled {
        y: y.as_ptr().wrapping_add(n * image),
        codes: codes.as_ptr().wrapping_add(n * image),
    };
    run(pool, shape, x, kernel, epilogue, &sink, scratch);
}

/// `sink` tells where the outputs of an image go.
fn run<E: Pixel>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    kernel: Kernel,
    epilogue: Epilogue<f32>,
    sink: &(dyn Fn(usize) -> Sink<E> + Sync),
    scratch: &mut Scratch,
) {
    let (transforms, tiling, panels) = (E::transforms(), Tiling::new(shape), panels::<E>(shape));
    let packed = match kernel {
        Kernel::Points(packed) => packed,
        Kernel::Taps(w) => {
            let packed = scratch.take(panels.len());
            panels.pack(pool, transforms, w, false, packed);
            &*packed
        }
    };

    let (deep, wide) = (panels.deep(), panels.wide());
    let least = if panels.len() > 1 << 18 { 2 * LEAST } else { LEAST };
    let (rows, across) = (tiling.rows(), tiling.across);
    let block = tiling.block(BLOCK, POINTS * (deep + wide), least);
    let block = block.min(rows.div_ceil(ENOUGH_TASKS).max(LEAST.div_ceil(across)));
    let blocks = rows.div_ceil(block);
    let bias = epilogue.bias;
    let relu = epilogue.activation == Activation::Relu;
    pool.run(blocks, &|task| {
        let range = task * rows / blocks..(task + 1) * rows / blocks;
        let size = range.len() * across;
        let (in_stride, out_stride) = (padded(size * deep), padded(size * wide));
        with_local(|local| {
            let (patches, results, half) = local.take3::<f32, f32, f32>(
                POINTS * in_stride,
                POINTS * out_stride,
                half_len(across, panels.kernels.lanes),
            );
            for (index, row) in range.clone().enumerate() {
                let image = tiling.patches(row, shape.in_channels, |at| x[at..].as_ptr());
                let base = patches[index * across * deep..].as_mut_ptr();
                let points = Points {
                    base,
                    stride: in_stride,
                    step: deep,
                    tiles: across,
                    half: half.as_mut_ptr(),
                    beside: Beside::NOTHING,
                };
                // SAFETY: the image lies within `x`, the points of the row within `patches`.
                unsafe { (transforms.patches[0])(&image, &points) };
            }
            let next = task + pool.threads();
            let next = next * rows / blocks..(next + 1) * rows / blocks;
            let behind = match sink(0) {
                Sink::Whole { y, .. } => Ahead::new(y, tiling.made(&range), shape.out_channels),
                Sink::Pooled { y, .. } => {
                    // Odd rows and columns aside.
                    let made = tiling.made(&range);
                    Ahead::new(y, made.start / 4..made.end / 4, shape.out_channels)
                }
            };
            let ahead = Ahead::new(x.as_ptr(), tiling.read(&next), shape.in_channels);
            for point in 0..POINTS {
                ahead.fetch::<false>(point);
                behind.fetch::<true>(point);
                let (a, c) = (&patches[point * in_stride..], &mut results[point * out_stride..]);
                panels.product(point, packed, size, a, c);
            }
            let finish = Finish { bias: bias.map_or(null(), <[f32]>::as_ptr), relu };
            for (index, row) in range.enumerate() {
                let image = tiling.outputs(row, shape.out_channels, sink);
                let base = results[index * across * wide..].as_mut_ptr();
                let points = Points {
                    base,
                    stride: out_stride,
                    step: wide,
                    tiles: across,
                    half: half.as_mut_ptr(),
                    beside: Beside::NOTHING,
                };
                // SAFETY: rows of tiles are disjoint in the outputs, and each belongs to one task.
                unsafe { (transforms.outputs)(&image, finish, &points) };
            }
        });
    });
}
