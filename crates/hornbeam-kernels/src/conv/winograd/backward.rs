//! Backward pass: output gradients are transformed to points once, for both the kernel and the input gradient.
//!
//! A pass is split into parts of consecutive rows of tiles. Each part has partial sums of the kernel and bias gradients,
//! which are added in order. Patches overlap: within a part, a row of tiles carries its last two rows of pixels to the
//! next. A part that starts within an image also computes the row of tiles above, for the two rows of pixels that overlap.

use super::points::Taps;
use super::prefetch::Prefetch;
use super::products::{outer_product, Panels};
use super::stationary;
use super::traits::{intermediate_len, CarriedRows, Pixel, Points, SecondLayout, Source, Transforms};
use super::types::BackwardPass;
use super::{padded_len, Tiling, IN, OUT, POINTS};
use crate::conv::{Context, ConvShape, OutputGrad};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use std::ops::Range;
use std::ptr::null_mut;

/// Target number of floats of the points of a block of tiles.
const BLOCK: usize = 1 << 16;
/// Multiple of [`BLOCK`] if points are pairs and the kernel gradient sums over them: sums are written once per block.
const PAIRED_BLOCKS: usize = 3;
/// Minimum tiles of a block.
const LEAST: usize = 14;
/// Maximum parts of a pass with partial sums, and maximum floats of all partial sums.
const PARTS: usize = 8;
const PARTIAL: usize = 1 << 22;
/// Maximum parts of a pass without partial sums, and minimum rows of tiles of a part, of which one is computed twice.
const MANY_PARTS: usize = 32;
const PART_ROWS: usize = 8;

/// Part of a pass.
struct Part<'a> {
    rows: Range<usize>,
    /// Partial sums of the kernel gradient, `[point][input channel][gradient_row]`, and their points.
    kernel: Option<(&'a mut [f32], Range<usize>)>,
    /// Partial sums of the bias gradient, `[gradient_row]`.
    bias: Option<&'a mut [f32]>,
}

/// Points of a block of tiles in scratch memory. `patches` holds first the points of patches, then those of the input
/// gradient.
struct Block<'a> {
    patches: &'a mut [f32],
    /// Output gradients for the kernel gradient (in pairs of tiles if rounded).
    gradients: &'a mut [f32],
    /// Output gradients for the input gradient in pairs of channels, if rounded.
    channel_pairs: &'a mut [f32],
    intermediate: &'a mut [f32],
    /// Two rows of pixels carried to the next row of tiles.
    carry: &'a mut [f32],
    /// Strides between points of `patches`, `gradients` and `channel_pairs`.
    strides: [usize; 3],
    rows: Range<usize>,
    /// Rows of tiles above `rows`, computed for their overlap.
    above: usize,
}

/// Computes the requested gradients like [`crate::conv::conv_backward`].
pub(crate) fn backward<E: Pixel>(
    context: Context,
    x: &[E],
    w: &[f32],
    grad: OutputGrad<E>,
    dx: Option<&mut [E]>,
    dw: Option<&mut [f32]>,
    db: Option<&mut [f32]>,
) {
    let Context { pool, shape, scratch } = context;
    let panels = Panels::new::<E>([shape.out_channels, shape.in_channels]);
    let (tiling, transforms) = (Tiling::new(shape), E::transforms());
    let gradient_row = shape.out_channels.next_multiple_of(panels.kernels.lanes);
    if tiling.is_small() {
        let pass = BackwardPass { shape, tiling, transforms, panels, gradient_row, x, grad, input: None };
        return stationary::backward(&pass, pool, w, dx, dw, db, scratch);
    }
    let stride = padded_len(shape.in_channels * gradient_row);
    // With room for few partial sums only, several tasks transform the same tiles and divide the points among them; the
    // input gradient then has a separate pass.
    let partials = (PARTIAL / (POINTS * stride)).clamp(1, PARTS).min(tiling.rows());
    let one_pass = dw.is_some() && dx.is_some() && partials == PARTS.min(tiling.rows());
    let (sums, biases, packed) = scratch.take3::<f32, f32, f32>(
        if dw.is_some() { partials * POINTS * stride } else { 0 },
        if db.is_some() { MANY_PARTS * gradient_row } else { 0 },
        if dx.is_some() { panels.len() } else { 0 },
    );
    if dx.is_some() {
        panels.pack(pool, transforms, w, true, packed);
    }
    let mut pass = BackwardPass { shape, tiling, transforms, panels, gradient_row, x, grad, input: None };
    let mut separate_dx = dx;
    if one_pass {
        pass.input = separate_dx.take().map(|dx| (&*packed, SharedMut::new(dx)));
    }
    let mut bias = db.is_some().then_some(&mut *biases);
    let mut parts = 0;
    if dw.is_some() {
        parts = partials;
        pass.run_with_kernel_gradient(pool, partials, stride, sums, bias.take());
    }
    if separate_dx.is_some() || bias.is_some() {
        pass.input = separate_dx.map(|dx| (&*packed, SharedMut::new(dx)));
        let pass_parts = pass.run_without_kernel_gradient(pool, bias.take());
        parts = if dw.is_some() { parts } else { pass_parts };
    }
    if let Some(dw) = dw {
        kernel_gradient(pool, transforms, shape, [gradient_row, stride], sums, dw);
    }
    if let Some(db) = db {
        for (c, db) in db.iter_mut().enumerate() {
            *db = biases[c..].iter().step_by(gradient_row).take(parts).sum();
        }
    }
}

impl<E: Pixel> BackwardPass<'_, E> {
    fn run_with_kernel_gradient(
        &self,
        pool: &ThreadPool,
        partials: usize,
        stride: usize,
        sums: &mut [f32],
        bias: Option<&mut [f32]>,
    ) {
        let gradient_row = self.gradient_row;
        // Pixels have one writer: a pass that also computes the input gradient does not divide the points.
        let groups = if self.input.is_some() { 1 } else { PARTS.div_ceil(partials).min(6) };
        let sums = SharedMut::new(sums);
        let bias = bias.map(SharedMut::new);
        pool.run(partials * groups, &|task| {
            let (partial, group) = (task / groups, task % groups);
            let points = group * POINTS / groups..(group + 1) * POINTS / groups;
            let base = partial * POINTS * stride;
            // SAFETY: tasks have disjoint partial sums, or disjoint points of them.
            let kernel = unsafe { sums.range(base + points.start * stride..base + points.end * stride) };
            let bias = bias.as_ref().filter(|_| group == 0);
            self.run(Part {
                rows: self.tiling.part(partial, partials),
                kernel: Some((kernel, points)),
                // SAFETY: one task per part writes its sums.
                bias: bias.map(|bias| unsafe { bias.range(partial * gradient_row..(partial + 1) * gradient_row) }),
            });
        });
    }

    /// Runs the pass and returns the number of parts.
    fn run_without_kernel_gradient(&self, pool: &ThreadPool, bias: Option<&mut [f32]>) -> usize {
        let (rows, gradient_row) = (self.tiling.rows(), self.gradient_row);
        let parts = rows.div_ceil(PART_ROWS).min(MANY_PARTS);
        let bias = bias.map(SharedMut::new);
        pool.run(parts, &|part| {
            self.run(Part {
                rows: self.tiling.part(part, parts),
                kernel: None,
                // SAFETY: parts have disjoint sums.
                bias: bias.as_ref().map(|bias| unsafe { bias.range(part * gradient_row..(part + 1) * gradient_row) }),
            });
        });
        parts
    }

    fn run(&self, mut part: Part<'_>) {
        if let Some(bias) = &mut part.bias {
            bias.fill(0.0);
        }
        let tiles = self.tiling.tiles_per_row;
        let (patch_row, gradient_row) = (self.panels.result_row(), self.gradient_row);
        let times = if E::PAIRED && part.kernel.is_some() { PAIRED_BLOCKS } else { 1 };
        let block = self.tiling.block(times * BLOCK, POINTS * (patch_row + gradient_row), LEAST);
        // One more row of tiles if the part starts within an image.
        let above = usize::from(self.input.is_some() && !part.rows.start.is_multiple_of(self.tiling.rows_per_image));
        let (start, count) = (part.rows.start, part.rows.len());
        let blocks = count.div_ceil(block).max(1);
        let max_rows = count.div_ceil(blocks) + above;
        let (in_stride, out_stride) =
            (padded_len(max_rows * tiles * patch_row), padded_len(max_rows * self.tile_steps() * gradient_row));
        let channel_pairs = E::PAIRED && (self.input.is_some() || part.kernel.is_none());
        let pairs_stride = if channel_pairs { padded_len(max_rows * tiles * self.panels.lhs_row()) } else { 0 };
        with_local(|local| {
            let intermediate = intermediate_len(tiles, self.panels.kernels.lanes);
            let (patches, gradients, small) = local.take3::<f32, f32, f32>(
                POINTS * in_stride,
                POINTS * (out_stride + pairs_stride),
                intermediate + 2 * self.tiling.input[1] * self.shape.in_channels,
            );
            let (gradients, channel_pairs) = gradients.split_at_mut(POINTS * out_stride);
            let (intermediate, carry) = small.split_at_mut(intermediate);
            let rows = start..start;
            let strides = [in_stride, out_stride, pairs_stride];
            let mut block = Block { patches, gradients, channel_pairs, intermediate, carry, strides, rows, above: 0 };
            for index in 0..blocks {
                block.rows = start + index * count / blocks..start + (index + 1) * count / blocks;
                block.above = if index == 0 { above } else { 0 };
                let next = block.rows.end..start + ((index + 2) * count / blocks).min(count);
                self.gradients(&mut block, part.bias.as_deref_mut(), part.kernel.is_some());
                if let Some((kernel, points)) = &mut part.kernel {
                    self.kernel_sums(&mut block, kernel, points.clone(), index > 0, &next);
                }
                if let Some((packed, dx)) = &self.input {
                    self.input_rows(&mut block, packed, dx, &next);
                }
            }
        });
    }

    /// Rows of points of a row of tiles in sums over tiles: one per tile, or per pair of tiles.
    pub fn tile_steps(&self) -> usize {
        if E::PAIRED {
            self.tiling.tiles_per_row.div_ceil(2)
        } else {
            self.tiling.tiles_per_row
        }
    }

    /// Transforms the output gradients to points.
    fn gradients(&self, block: &mut Block<'_>, mut bias: Option<&mut [f32]>, kernel: bool) {
        let tiles = self.tiling.tiles_per_row;
        let transform = match (kernel, self.input.is_some()) {
            (true, true) => self.transforms.gradients_both,
            _ => self.transforms.gradients[usize::from(kernel)],
        };
        for (index, row) in (block.rows.start - block.above..block.rows.end).enumerate() {
            let step = self.panels.lhs_row();
            let channels = SecondLayout {
                base: block.channel_pairs.as_mut_ptr().wrapping_add(index * tiles * step),
                stride: block.strides[2],
                step,
            };
            let first = SecondLayout {
                base: block.gradients[index * self.tile_steps() * self.gradient_row..].as_mut_ptr(),
                stride: block.strides[1],
                step: self.gradient_row,
            };
            let SecondLayout { base, stride, step } = if E::PAIRED && !kernel { channels } else { first };
            let points =
                Points { base, stride, step, tiles, intermediate: block.intermediate.as_mut_ptr(), second: channels };
            // The row above contributes to the sums of another part.
            let sums = bias.as_deref_mut().filter(|_| index >= block.above);
            let sums = sums.map_or(null_mut(), <[f32]>::as_mut_ptr);
            let image = self.tiling.outputs(row, self.shape.out_channels, |n| self.source(n));
            // SAFETY: the image lies within the gradients, the points within their buffers.
            unsafe { transform(&image, sums, &points) };
        }
    }

    /// Transforms patches to points, and adds their products with the gradients to the sums of `points`.
    fn kernel_sums(
        &self,
        block: &mut Block<'_>,
        kernel: &mut [f32],
        points: Range<usize>,
        accumulate: bool,
        next: &Range<usize>,
    ) {
        let (tiles, tile_steps, inputs) = (self.tiling.tiles_per_row, self.tile_steps(), self.shape.in_channels);
        let (patch_row, gradient_row) = (self.panels.result_row(), self.gradient_row);
        for (index, row) in block.rows.clone().enumerate() {
            let image = self.tiling.patches(row, inputs, |at| self.x[at..].as_ptr());
            let base = block.patches[index * tile_steps * patch_row..].as_mut_ptr();
            let intermediate = block.intermediate.as_mut_ptr();
            let to = Points {
                base,
                stride: block.strides[0],
                step: patch_row,
                tiles,
                intermediate,
                second: SecondLayout::NONE,
            };
            // SAFETY: the image lies within `x`, the points of the row within `patches`.
            unsafe { (self.transforms.patches[1])(&image, &to) };
        }
        let inputs_prefetch = Prefetch::new(self.x.as_ptr(), self.tiling.input_pixels(next), inputs);
        let stride = kernel.len() / points.len();
        let size = block.rows.len() * tile_steps;
        for (point, kernel) in points.zip(kernel.chunks_exact_mut(stride)) {
            inputs_prefetch.fetch::<false>(point);
            let a = &block.patches[point * block.strides[0]..];
            let b = &block.gradients[point * block.strides[1] + block.above * tile_steps * gradient_row..];
            let (sizes, rows) = ([inputs, gradient_row], [patch_row, gradient_row]);
            outer_product(self.panels.kernels, size, sizes, rows, a, b, kernel, accumulate);
        }
    }

    /// Multiplies the gradients by the kernel, and transforms the results to the rows of pixels of this part.
    fn input_rows(&self, block: &mut Block<'_>, packed: &[f32], dx: &SharedMut<'_, E>, next: &Range<usize>) {
        let (tiles, step, inputs) = (self.tiling.tiles_per_row, self.panels.result_row(), self.shape.in_channels);
        let size = (block.rows.len() + block.above) * tiles;
        let outputs = Prefetch::new(dx.as_ptr(), self.tiling.input_pixels(&block.rows), inputs);
        let gradients = self.gradient_prefetches(next);
        for point in 0..POINTS {
            outputs.fetch::<true>(point);
            for gradient in gradients.iter().flatten() {
                gradient.fetch::<false>(point);
            }
            let a = if E::PAIRED {
                &block.channel_pairs[point * block.strides[2]..]
            } else {
                &block.gradients[point * block.strides[1]..]
            };
            let c = &mut block.patches[point * block.strides[0]..];
            self.panels.product(point, packed, size, a, c);
        }
        let rows_per_image = self.tiling.rows_per_image;
        for (index, row) in (block.rows.start - block.above..block.rows.end).enumerate() {
            let base = block.patches[index * tiles * step..].as_mut_ptr();
            let (intermediate, second) = (block.intermediate.as_mut_ptr(), SecondLayout::NONE);
            let points = Points { base, stride: block.strides[0], step, tiles, intermediate, second };
            let image = self.tiling.patches(row, inputs, |at| dx.as_ptr().wrapping_add(at));
            let (carry, last) = (block.carry.as_mut_ptr(), (row + 1) % rows_per_image == 0);
            let rows = if index < block.above {
                CarriedRows { written: 0, add_carry: false, store_carry: true, carry }
            } else {
                CarriedRows {
                    written: if last { IN } else { OUT },
                    add_carry: row % rows_per_image > 0,
                    store_carry: !last,
                    carry,
                }
            };
            // SAFETY: rows of pixels belong to the part of the tiles that start at them.
            unsafe { (self.transforms.pixels)(&image, rows, &points) };
        }
    }

    /// Prefetch ranges of the output gradients of some rows of tiles.
    fn gradient_prefetches(&self, rows: &Range<usize>) -> [Option<Prefetch>; 2] {
        let (pixels, channels) = (self.tiling.output_pixels(rows), self.shape.out_channels);
        match self.grad {
            OutputGrad::Plain(dy) => [Some(Prefetch::new(dy.as_ptr(), pixels, channels)), None],
            OutputGrad::Relu { dy, y } => [
                Some(Prefetch::new(dy.as_ptr(), pixels.clone(), channels)),
                Some(Prefetch::new(y.as_ptr(), pixels, channels)),
            ],
            OutputGrad::Pooled { dy, codes } => {
                // Ignores odd rows and columns.
                let pixels = pixels.start / 4..pixels.end / 4;
                let codes = Prefetch::new(codes.as_ptr(), pixels.clone(), channels);
                [Some(Prefetch::new(dy.as_ptr(), pixels, channels)), Some(codes)]
            }
        }
    }

    /// Returns the output gradients of one image.
    pub fn source(&self, n: usize) -> Source<E> {
        let [_, height, width] = self.shape.output;
        let channels = self.shape.out_channels;
        let (full, pooled) = (n * height * width * channels, n * (height / 2) * (width / 2) * channels);
        match self.grad {
            OutputGrad::Plain(dy) => Source::Plain(dy[full..].as_ptr()),
            OutputGrad::Relu { dy, y } => Source::Relu { dy: dy[full..].as_ptr(), y: y[full..].as_ptr() },
            OutputGrad::Pooled { dy, codes } => {
                Source::Pooled { dy: dy[pooled..].as_ptr(), codes: codes[pooled..].as_ptr() }
            }
        }
    }
}

/// Adds the partial sums in order and transforms them from points to taps.
fn kernel_gradient<E: Pixel>(
    pool: &ThreadPool,
    transforms: &Transforms<E>,
    shape: &ConvShape,
    [gradient_row, stride]: [usize; 2],
    sums: &mut [f32],
    dw: &mut [f32],
) {
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    let size = POINTS * stride;
    let (total, rest) = sums.split_at_mut(size);
    pool.run_chunks(total, stride, &|point, total| {
        for part in rest.chunks_exact(size) {
            for (total, part) in total.iter_mut().zip(&part[point * stride..]) {
                *total += part;
            }
        }
    });
    let (total, dw) = (SharedMut::new(total), SharedMut::new(dw));
    pool.run_ranges(inputs, 8, &|range| {
        for k in range {
            let args = Taps {
                taps: dw.as_ptr().wrapping_add(k * outputs),
                tap_stride: inputs * outputs,
                points: total.as_ptr().wrapping_add(k * gradient_row),
                point_stride: stride,
                count: outputs,
            };
            // SAFETY: every channel is written by one task; the sums are only read, in rows of full vectors.
            unsafe { (transforms.kernel_gradient)(&args) };
        }
    });
}
