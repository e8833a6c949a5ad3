//! Forward pass: patches to points, products, points to outputs, with a block of tiles per task.

use super::prefetch::Prefetch;
use super::products::Panels;
use super::stationary;
use super::traits::{intermediate_len, OutputEpilogue, Pixel, Points, SecondLayout, Sink};
use super::types::{ForwardPass, Kernel};
use super::{padded_len, Tiling, POINTS};
use crate::conv::{Context, ConvShape};
use crate::gemm::Epilogue;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use std::ops::Range;
use std::ptr::null;

/// Target number of floats of the points of a block of tiles.
const BLOCK: usize = 1 << 16;
/// Minimum tiles of a block: the rows of one register tile, or of two if the points of the kernel exceed the L2 cache.
const LEAST: usize = 14;
/// Minimum number of tasks for a small problem.
const ENOUGH_TASKS: usize = 16;

fn panels<E: Pixel>(shape: &ConvShape) -> Panels {
    Panels::new::<E>([shape.in_channels, shape.out_channels])
}

/// Number of floats of [`Kernel::Points`].
pub(crate) fn packed_len<E: Pixel>(shape: &ConvShape) -> usize {
    panels::<E>(shape).len()
}

/// Transforms and packs the kernel `w` for pixels of type `E`.
pub(crate) fn pack<E: Pixel>(pool: &ThreadPool, shape: &ConvShape, w: &[f32], packed: &mut [f32]) {
    panels::<E>(shape).pack(pool, E::transforms(), w, false, packed);
}

pub(crate) fn forward<E: Pixel>(context: Context, x: &[E], kernel: Kernel, y: &mut [E], epilogue: Epilogue<f32>) {
    let Context { shape, .. } = context;
    let image = shape.output[1] * shape.output[2] * shape.out_channels;
    let y = SharedMut::new(y);
    let sink = |n: usize| Sink::Full { y: y.as_ptr().wrapping_add(n * image), accumulate: epilogue.accumulate };
    run(context, x, kernel, epilogue, &sink);
}

/// Computes like [`crate::conv::conv_pool_forward`].
pub(crate) fn pool_forward<E: Pixel>(
    context: Context,
    x: &[E],
    kernel: Kernel,
    epilogue: Epilogue<f32>,
    y: &mut [E],
    codes: &mut [u8],
) {
    let Context { shape, .. } = context;
    let image = shape.output[1] / 2 * (shape.output[2] / 2) * shape.out_channels;
    let (y, codes) = (SharedMut::new(y), SharedMut::new(codes));
    let sink = |n: usize| Sink::Pooled {
        y: y.as_ptr().wrapping_add(n * image),
        codes: codes.as_ptr().wrapping_add(n * image),
    };
    run(context, x, kernel, epilogue, &sink);
}

/// Points of a block of tiles in scratch memory.
struct Block<'a> {
    rows: Range<usize>,
    patches: &'a mut [f32],
    results: &'a mut [f32],
    intermediate: &'a mut [f32],
    /// Strides between points of patches and results.
    strides: [usize; 2],
}

fn run<E: Pixel>(
    context: Context,
    x: &[E],
    kernel: Kernel,
    epilogue: Epilogue<f32>,
    sink: &(dyn Fn(usize) -> Sink<E> + Sync),
) {
    let Context { pool, shape, scratch } = context;
    let (transforms, tiling, panels) = (E::transforms(), Tiling::new(shape), panels::<E>(shape));
    let relu = epilogue.activation.relu();
    let mut pass = ForwardPass { shape, tiling, transforms, panels, x, packed: &[], bias: epilogue.bias, relu, sink };
    if tiling.is_small() {
        return stationary::forward(&pass, pool, kernel, scratch);
    }
    pass.packed = match kernel {
        Kernel::Points(packed) => packed,
        Kernel::Taps(w) => {
            let packed = scratch.take(panels.len());
            panels.pack(pool, transforms, w, false, packed);
            &*packed
        }
    };
    let (rows, blocks) = (tiling.rows(), pass.blocks());
    pool.run(blocks, &|task| {
        let next = task + pool.threads();
        pass.block(task * rows / blocks..(task + 1) * rows / blocks, next * rows / blocks..(next + 1) * rows / blocks);
    });
}

impl<E: Pixel> ForwardPass<'_, E> {
    /// Number of blocks.
    fn blocks(&self) -> usize {
        let panels = &self.panels;
        let least = if panels.len() > 1 << 18 { 2 * LEAST } else { LEAST };
        let rows = self.tiling.rows();
        let block = self.tiling.block(BLOCK, POINTS * (panels.lhs_row() + panels.result_row()), least);
        let block = block.min(rows.div_ceil(ENOUGH_TASKS).max(LEAST.div_ceil(self.tiling.tiles_per_row)));
        rows.div_ceil(block)
    }

    /// Computes a block of rows of tiles, and prefetches the pixels of the `next` block.
    fn block(&self, rows: Range<usize>, next: Range<usize>) {
        let tiles = self.tiling.tiles_per_row;
        let size = rows.len() * tiles;
        let strides = [padded_len(size * self.panels.lhs_row()), padded_len(size * self.panels.result_row())];
        with_local(|local| {
            let (patches, results, intermediate) = local.take3::<f32, f32, f32>(
                POINTS * strides[0],
                POINTS * strides[1],
                intermediate_len(tiles, self.panels.kernels.lanes),
            );
            let mut block = Block { rows, patches, results, intermediate, strides };
            self.transform_patches(&mut block);
            self.multiply(&mut block, &next);
            self.transform_results(&mut block);
        });
    }

    fn transform_patches(&self, block: &mut Block<'_>) {
        for (index, row) in block.rows.clone().enumerate() {
            let at = index * self.tiling.tiles_per_row * self.panels.lhs_row();
            let base = block.patches[at..].as_mut_ptr();
            // SAFETY: the points of the row lie within `patches`.
            unsafe { self.transform_patch_row(row, base, block.strides[0], block.intermediate) };
        }
    }

    /// Transforms the patches of a row of tiles to points that are `stride` apart.
    ///
    /// # Safety
    /// `base` must be valid for the points of the row.
    pub unsafe fn transform_patch_row(&self, row: usize, base: *mut f32, stride: usize, intermediate: &mut [f32]) {
        let image = self.tiling.patches(row, self.shape.in_channels, |at| self.x[at..].as_ptr());
        let points = self.points(base, stride, self.panels.lhs_row(), intermediate);
        // SAFETY: the image lies within `x`; the points by the caller's contract.
        unsafe { (self.transforms.patches[0])(&image, &points) };
    }

    fn points(&self, base: *mut f32, stride: usize, step: usize, intermediate: &mut [f32]) -> Points {
        let (tiles, intermediate) = (self.tiling.tiles_per_row, intermediate.as_mut_ptr());
        Points { base, stride, step, tiles, intermediate, second: SecondLayout::NONE }
    }

    fn multiply(&self, block: &mut Block<'_>, next: &Range<usize>) {
        let size = block.rows.len() * self.tiling.tiles_per_row;
        let output_pixels = self.tiling.output_pixels(&block.rows);
        let outputs = match (self.sink)(0) {
            Sink::Full { y, .. } => Prefetch::new(y, output_pixels, self.shape.out_channels),
            Sink::Pooled { y, .. } => {
                // Ignores odd rows and columns.
                Prefetch::new(y, output_pixels.start / 4..output_pixels.end / 4, self.shape.out_channels)
            }
        };
        let inputs = Prefetch::new(self.x.as_ptr(), self.tiling.input_pixels(next), self.shape.in_channels);
        for point in 0..POINTS {
            inputs.fetch::<false>(point);
            outputs.fetch::<true>(point);
            let (a, c) = (&block.patches[point * block.strides[0]..], &mut block.results[point * block.strides[1]..]);
            self.panels.product(point, self.packed, size, a, c);
        }
    }

    fn transform_results(&self, block: &mut Block<'_>) {
        for (index, row) in block.rows.clone().enumerate() {
            let at = index * self.tiling.tiles_per_row * self.panels.result_row();
            let base = block.results[at..].as_mut_ptr();
            // SAFETY: the points of the row lie within `results`; each row belongs to one task.
            unsafe { self.transform_result_row(row, base, block.strides[1], block.intermediate) };
        }
    }

    /// Transforms the points of a row of tiles to outputs.
    ///
    /// # Safety
    /// `base` must be valid for the points of the row, and no other task may write its outputs.
    pub unsafe fn transform_result_row(&self, row: usize, base: *mut f32, stride: usize, intermediate: &mut [f32]) {
        let epilogue = OutputEpilogue { bias: self.bias.map_or(null(), <[f32]>::as_ptr), relu: self.relu };
        let image = self.tiling.outputs(row, self.shape.out_channels, self.sink);
        let points = self.points(base, stride, self.panels.result_row(), intermediate);
        // SAFETY: the caller's contract.
        unsafe { (self.transforms.outputs)(&image, epilogue, &points) };
    }
}
