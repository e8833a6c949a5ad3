//! Gradients: those of the outputs go to points once, and from there to the kernel and to the patches.
//!
//! A pass is cut into parts of consecutive rows of tiles. Each has a partial sum of the kernel's and the bias' gradient;
//! they are added in order. Patches overlap, and within a part one row of tiles adds to what the last one left. Where a
//! part starts within an image, it also works out the row of tiles above, for the two rows of pixels that reach down.

use super::pixels::Pixel;
use super::points::Taps;
use super::prefetch::Ahead;
use super::products::{outer, Panels};
use super::transforms::{half_len, Beside, Points, Rows, Source, Transforms};
use super::{padded, Tiling, IN, OUT, POINTS};
use crate::conv::{ConvShape, OutputGrad};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use std::ops::Range;
use std::ptr::null_mut;

/// Floats that the points of a block of tiles should take.
const BLOCK: usize = 1 << 16;
/// As many times that where points are pairs and the kernel's gradient sums over them: a sum is written once a block.
const PAIRED_BLOCKS: usize = 3;
/// Tiles of a block at least.
const LEAST: usize = 14;
/// Parts of a pass, and floats that their partial sums may take together.
const PARTS: usize = 8;
const PARTIAL: usize = 1 << 22;
/// Parts of a pass without partial sums, and rows of tiles that outweigh the one worked out twice.
const MANY_PARTS: usize = 32;
const PART_ROWS: usize = 8;

/// One walk over the tiles.
struct Pass<'a, E: Pixel> {
    shape: &'a ConvShape,
    tiling: Tiling,
    transforms: &'static Transforms<E>,
    /// From output channels to input channels.
    panels: Panels,
    /// Output channels in whole vectors.
    wide: usize,
    x: &'a [E],
    grad: OutputGrad<'a, E>,
    /// The kernel's points, and where the input's gradient goes.
    input: Option<(&'a [f32], SharedMut<'a, E>)>,
}

/// A part's share of a pass.
struct Share<'a> {
    rows: Range<usize>,
    /// Partial sums by point, `[point][input channel][wide]`, of the given points.
    kernel: Option<(&'a mut [f32], Range<usize>)>,
    /// Partial sums of the bias' gradient, `[wide]`.
    bias: Option<&'a mut [f32]>,
}

/// The tiles at work, with their points; the patches' points are used twice.
struct Block<'a> {
    patches: &'a mut [f32],
    /// For the kernel's gradient, in pairs of tiles if they are rounded, and then for the input's in pairs of channels.
    gradients: &'a mut [f32],
    halves: &'a mut [f32],
    half: &'a mut [f32],
    /// Two rows of pixels for the next row of tiles.
    carry: &'a mut [f32],
    /// Distances between points of the first three.
    strides: [usize; 3],
    rows: Range<usize>,
    /// Rows of tiles before them, worked out for what reaches down.
    above: usize,
}

/// All gradients that are asked for: see [`crate::conv::conv_backward`].
pub(crate) fn backward<E: Pixel>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    w: &[f32],
    grad: OutputGrad<E>,
    dx: Option<&mut [E]>,
    dw: Option<&mut [f32]>,
    db: Option<&mut [f32]>,
    scratch: &mut Scratch,
) {
    let panels = Panels::new::<E>([shape.out_channels, shape.in_channels]);
    let (tiling, transforms) = (Tiling::new(shape), E::transforms());
    let wide = shape.out_channels.next_multiple_of(panels.kernels.lanes);
    let stride = padded(shape.in_channels * wide);
    // Where there is room for few partial sums, tasks share out the points and transform the same tiles; the input's
    // gradient then has a pass of its own.
    let partials = (PARTIAL / (POINTS * stride)).clamp(1, PARTS).min(tiling.rows());
    let together = dw.is_some() && dx.is_some() && partials == PARTS.min(tiling.rows());
    let (sums, biases, packed) = scratch.take3::<f32, f32, f32>(
        if dw.is_some() { partials * POINTS * stride } else { 0 },
        if db.is_some() { MANY_PARTS * wide } else { 0 },
        if dx.is_some() { panels.len() } else { 0 },
    );
    if dx.is_some() {
        panels.pack(pool, transforms, w, true, packed);
    }
    let mut pass = Pass { shape, tiling, transforms, panels, wide, x, grad, input: None };
    let mut apart = dx;
    if together {
        pass.input = apart.take().map(|dx| (&*packed, SharedMut::new(dx)));
    }
    let mut bias = db.is_some().then_some(&mut *biases);
    let mut parts = 0;
    if dw.is_some() {
        parts = partials;
        pass.with_kernel(pool, partials, stride, sums, bias.take());
    }
    if apart.is_some() || bias.is_some() {
        pass.input = apart.map(|dx| (&*packed, SharedMut::new(dx)));
        let counted = pass.without_kernel(pool, bias.take());
        parts = if dw.is_some() { parts } else { counted };
    }
    if let Some(dw) = dw {
        kernel_gradient(pool, transforms, shape, [wide, stride], sums, dw);
    }
    if let Some(db) = db {
        for (c, db) in db.iter_mut().enumerate() {
            *db = biases[c..].iter().step_by(wide).take(parts).sum();
        }
    }
}

impl<E: Pixel> Pass<'_, E> {
    fn with_kernel(
        &self,
        pool: &ThreadPool,
        partials: usize,
        stride: usize,
        sums: &mut [f32],
        bias: Option<&mut [f32]>,
    ) {
        let wide = self.wide;
        // Pixels have one writer: a pass that makes the input's gradient too does not share out points.
        let groups = if self.input.is_some() { 1 } else { PARTS.div_ceil(partials).min(6) };
        let sums = SharedMut::new(sums);
        let bias = bias.map(SharedMut::new);
        pool.run(partials * groups, &|task| {
            let (partial, group) = (task / groups, task % groups);
            let points = group * POINTS / groups..(group + 1) * POINTS / groups;
            let base = partial * POINTS * stride;
            // SAFETY: partial sums are a task's own, or its points of them.
            let kernel = unsafe { sums.range(base + points.start * stride..base + points.end * stride) };
            let bias = bias.as_ref().filter(|_| group == 0);
            self.run(Share {
                rows: self.tiling.part(partial, partials),
                kernel: Some((kernel, points)),
                // SAFETY: one task for each part writes its sums.
                bias: bias.map(|bias| unsafe { bias.range(partial * wide..(partial + 1) * wide) }),
            });
        });
    }

    /// Returns the number of parts.
    fn without_kernel(&self, pool: &ThreadPool, bias: Option<&mut [f32]>) -> usize {
        let (rows, wide) = (self.tiling.rows(), self.wide);
        let parts = rows.div_ceil(PART_ROWS).min(MANY_PARTS);
        let bias = bias.map(SharedMut::new);
        pool.run(parts, &|part| {
            self.run(Share {
                rows: self.tiling.part(part, parts),
                kernel: None,
                // SAFETY: a part's own sums.
                bias: bias.as_ref().map(|bias| unsafe { bias.range(part * wide..(part + 1) * wide) }),
            });
        });
        parts
    }

    fn run(&self, mut share: Share<'_>) {
        if let Some(bias) = &mut share.bias {
            bias.fill(0.0);
        }
        let across = self.tiling.across;
        let (deep, wide) = (self.panels.wide(), self.wide);
        let times = if E::PAIRED && share.kernel.is_some() { PAIRED_BLOCKS } else { 1 };
        let block = self.tiling.block(times * BLOCK, POINTS * (deep + wide), LEAST);
        // One row of tiles more where the part starts within an image.
        let inside = usize::from(self.input.is_some() && !share.rows.start.is_multiple_of(self.tiling.tall));
        let (start, count) = (share.rows.start, share.rows.len());
        let blocks = count.div_ceil(block).max(1);
        let most = count.div_ceil(blocks) + inside;
        let (in_stride, out_stride) = (padded(most * across * deep), padded(most * self.together() * wide));
        let halves = E::PAIRED && (self.input.is_some() || share.kernel.is_none());
        let halves_stride = if halves { padded(most * across * self.panels.deep()) } else { 0 };
        with_local(|local| {
            let half = half_len(across, self.panels.kernels.lanes);
            let (patches, gradients, small) = local.take3::<f32, f32, f32>(
                POINTS * in_stride,
                POINTS * (out_stride + halves_stride),
                half + 2 * self.tiling.input[1] * self.shape.in_channels,
            );
            let (gradients, halves) = gradients.split_at_mut(POINTS * out_stride);
            let (half, carry) = small.split_at_mut(half);
            let rows = start..start;
            let strides = [in_stride, out_stride, halves_stride];
            let mut block = Block { patches, gradients, halves, half, carry, strides, rows, above: 0 };
            for index in 0..blocks {
                block.rows = start + index * count / blocks..start + (index + 1) * count / blocks;
                block.above = if index == 0 { inside } else { 0 };
                let next = block.rows.end..start + ((index + 2) * count / blocks).min(count);
                self.gradients(&mut block, share.bias.as_deref_mut(), share.kernel.is_some());
                if let Some((kernel, points)) = &mut share.kernel {
                    self.kernel_sums(&mut block, kernel, points.clone(), index > 0, &next);
                }
                if let Some((packed, dx)) = &self.input {
                    self.input_rows(&mut block, packed, dx, &next);
                }
            }
        });
    }

    /// Rows of numbers, one for each channel, that the points of a row of tiles take in sums over tiles.
    fn together(&self) -> usize {
        if E::PAIRED {
            self.tiling.across.div_ceil(2)
        } else {
            self.tiling.across
        }
    }

    /// The gradients of the outputs to points.
    fn gradients(&self, block: &mut Block<'_>, mut bias: Option<&mut [f32]>, kernel: bool) {
        let tiles = self.tiling.across;
        let transform = match (kernel, self.input.is_some()) {
            (true, true) => self.transforms.twofold,
            _ => self.transforms.gradients[usize::from(kernel)],
        };
        for (place, row) in (block.rows.start - block.above..block.rows.end).enumerate() {
            let step = self.panels.deep();
            let channels = Beside {
                base: block.halves.as_mut_ptr().wrapping_add(place * tiles * step),
                stride: block.strides[2],
                step,
            };
            let first = Beside {
                base: block.gradients[place * self.together() * self.wide..].as_mut_ptr(),
                stride: block.strides[1],
                step: self.wide,
            };
            let Beside { base, stride, step } = if E::PAIRED && !kernel { channels } else { first };
            let points = Points { base, stride, step, tiles, half: block.half.as_mut_ptr(), beside: channels };
            // The row above is another part's to add up.
            let sums = bias.as_deref_mut().filter(|_| place >= block.above);
            let sums = sums.map_or(null_mut(), <[f32]>::as_mut_ptr);
            let image = self.tiling.outputs(row, self.shape.out_channels, |n| self.source(n));
            // SAFETY: the image lies within the gradients, the points of the row within theirs.
            unsafe { transform(&image, sums, &points) };
        }
    }

    /// Patches to points, and their products with the gradients to the sums of the points asked for.
    fn kernel_sums(
        &self,
        block: &mut Block<'_>,
        kernel: &mut [f32],
        points: Range<usize>,
        accumulate: bool,
        next: &Range<usize>,
    ) {
        let (tiles, together, inputs) = (self.tiling.across, self.together(), self.shape.in_channels);
        let (deep, wide) = (self.panels.wide(), self.wide);
        for (place, row) in block.rows.clone().enumerate() {
            let image = self.tiling.patches(row, inputs, |at| self.x[at..].as_ptr());
            let base = block.patches[place * together * deep..].as_mut_ptr();
            let half = block.half.as_mut_ptr();
            let to = Points { base, stride: block.strides[0], step: deep, tiles, half, beside: Beside::NOTHING };
            // SAFETY: the image lies within `x`, the points of the row within `patches`.
            unsafe { (self.transforms.patches[1])(&image, &to) };
        }
        let ahead = Ahead::new(self.x.as_ptr(), self.tiling.read(next), inputs);
        let stride = kernel.len() / points.len();
        let size = block.rows.len() * together;
        for (point, kernel) in points.zip(kernel.chunks_exact_mut(stride)) {
            ahead.fetch::<false>(point);
            let a = &block.patches[point * block.strides[0]..];
            let b = &block.gradients[point * block.strides[1] + block.above * together * wide..];
            outer(self.panels.kernels, size, [inputs, deep, wide], a, b, kernel, accumulate);
        }
    }

    /// The gradients of the outputs times the kernel, and from points to the rows of pixels that are this part's.
    fn input_rows(&self, block: &mut Block<'_>, packed: &[f32], dx: &SharedMut<'_, E>, next: &Range<usize>) {
        let (tiles, step, inputs) = (self.tiling.across, self.panels.wide(), self.shape.in_channels);
        let size = (block.rows.len() + block.above) * tiles;
        let behind = Ahead::new(dx.as_ptr(), self.tiling.read(&block.rows), inputs);
        let ahead = self.gradients_ahead(next);
        for point in 0..POINTS {
            behind.fetch::<true>(point);
            for ahead in ahead.iter().flatten() {
                ahead.fetch::<false>(point);
            }
            let a = if E::PAIRED {
                &block.halves[point * block.strides[2]..]
            } else {
                &block.gradients[point * block.strides[1]..]
            };
            let c = &mut block.patches[point * block.strides[0]..];
            self.panels.product(point, packed, size, a, c);
        }
        let tall = self.tiling.tall;
        for (place, row) in (block.rows.start - block.above..block.rows.end).enumerate() {
            let base = block.patches[place * tiles * step..].as_mut_ptr();
            let (half, beside) = (block.half.as_mut_ptr(), Beside::NOTHING);
            let points = Points { base, stride: block.strides[0], step, tiles, half, beside };
            let image = self.tiling.patches(row, inputs, |at| dx.as_ptr().wrapping_add(at));
            let (carry, last) = (block.carry.as_mut_ptr(), (row + 1) % tall == 0);
            let rows = if place < block.above {
                Rows { written: 0, taken: false, left: true, carry }
            } else {
                Rows { written: if last { IN } else { OUT }, taken: row % tall > 0, left: !last, carry }
            };
            // SAFETY: rows of pixels belong to the part of the tiles that start there.
            unsafe { (self.transforms.pixels)(&image, rows, &points) };
        }
    }

    /// The gradients that rows of tiles will read.
    fn gradients_ahead(&self, rows: &Range<usize>) -> [Option<Ahead>; 2] {
        let (made, channels) = (self.tiling.made(rows), self.shape.out_channels);
        match self.grad {
            OutputGrad::Plain(dy) => [Some(Ahead::new(dy.as_ptr(), made, channels)), None],
            OutputGrad::Relu { dy, y } => {
                [Some(Ahead::new(dy.as_ptr(), made.clone(), channels)), Some(Ahead::new(y.as_ptr(), made, channels))]
            }
            OutputGrad::Pooled { dy, codes } => {
                // Odd rows and columns aside.
                let made = made.start / 4..made.end / 4;
                let codes = Ahead::new(codes.as_ptr(), made.clone(), channels);
                [Some(Ahead::new(dy.as_ptr(), made, channels)), Some(codes)]
            }
        }
    }

    /// The gradients of one image.
    fn source(&self, n: usize) -> Source<E> {
        let [_, height, width] = self.shape.output;
        let channels = self.shape.out_channels;
        let (whole, pooled) = (n * height * width * channels, n * (height / 2) * (width / 2) * channels);
        match self.grad {
            OutputGrad::Plain(dy) => Source::Plain(dy[whole..].as_ptr()),
            OutputGrad::Relu { dy, y } => Source::Relu { dy: dy[whole..].as_ptr(), y: y[whole..].as_ptr() },
            OutputGrad::Pooled { dy, codes } => {
                Source::Pooled { dy: dy[pooled..].as_ptr(), codes: codes[pooled..].as_ptr() }
            }
        }
    }
}

/// Adds up the partial sums and takes them back from points to taps.
fn kernel_gradient<E: Pixel>(
    pool: &ThreadPool,
    transforms: &Transforms<E>,
    shape: &ConvShape,
    [wide, stride]: [usize; 2],
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
            let job = Taps {
                taps: dw.as_ptr().wrapping_add(k * outputs),
                tap: inputs * outputs,
                points: total.as_ptr().wrapping_add(k * wide),
                stride,
                count: outputs,
            };
            // SAFETY: every channel is written by one task; the sums are only read, in rows of whole vectors.
            unsafe { (transforms.kernel_gradient)(&job) };
        }
    });
}
