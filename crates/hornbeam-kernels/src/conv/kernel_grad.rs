//! Kernel gradient: register tiles of (kernel column, input channel) by output channels, summed over pixels.
//!
//! For a fixed kernel row the inputs that meet a pixel of `dy` are neighbours in memory, so the micro-kernel reads both
//! tensors in place. Fixed blocks of the images give partial sums, which are added in order. Gradients behind a relu or
//! a pooling are worked out a few rows at a time, and those of the bias are summed on the way.

use super::cast;
use super::fused::{expand_row, mask, sum_rows, Widens};
use super::patch::{Geometry, Patch};
use super::{ConvShape, OutputGrad};
use crate::gemm::tile::{Kernels, Real, Tile};
use crate::gemm::{even, pack};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};
use crate::window::PoolElement;
use std::any::TypeId;
use std::ops::Range;
use std::ptr::null;

/// Partial sums, where they are small.
const BLOCKS: usize = 16;
/// Elements that all partial sums may take together.
const PARTIAL: usize = 1 << 22;
/// Multiply-adds that are worth a partial sum.
const BLOCK_WORK: usize = 1 << 18;

struct Job<'a, E: Real, G> {
    kernels: &'static Kernels<E>,
    shape: &'a ConvShape,
    grad: OutputGrad<'a, G>,
    rows_of: Rows<E, G>,
    geometry: Geometry,
    /// Taps between which the input's memory is not contiguous, and the rows of each.
    starts: usize,
    rows: usize,
    vectors: usize,
    panels: usize,
    rows_per_unit: usize,
    strips: usize,
}

/// What is done with rows of gradients, for the calling thread's instruction set.
struct Rows<E, G> {
    mask: unsafe fn(&[G], &[G], &mut [E]),
    expand: unsafe fn(&ConvShape, usize, &[G], &[u8], &mut [E]),
    sum: unsafe fn(&[E], &mut [E]),
}

/// The gradient in the kernel, and in the bias if asked for. The output's may be of a narrower type.
pub(super) fn kernel_grad<E: Real + PoolElement, G: Widens<E> + Plain>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    grad: OutputGrad<G>,
    dw: &mut [E],
    db: Option<&mut [E]>,
    scratch: &mut Scratch,
) {
    let kernels = E::kernels();
    let geometry = Geometry::forward(shape);
    let [depth, height, width] = shape.output;
    if shape.batch * depth * height * width == 0 {
        dw.fill(E::ZERO);
        if let Some(db) = db {
            db.fill(E::ZERO);
        }
        return;
    }
    let (starts, run) = geometry.runs(shape.groups);
    let vectors = shape.group_out().div_ceil(kernels.lanes).min(2);
    let rows_per_unit = geometry.rows_per_task(shape.batch, BLOCKS);
    let job = Job {
        kernels,
        shape,
        grad,
        rows_of: Rows { mask: mask::<E, G>(), expand: expand_row::<E, G>(), sum: sum_rows::<E>() },
        geometry,
        starts,
        rows: run * shape.group_in(),
        vectors,
        panels: shape.group_out().div_ceil(vectors * kernels.lanes),
        rows_per_unit,
        strips: height.div_ceil(rows_per_unit),
    };
    let units = shape.batch * depth * job.strips;
    let size = dw.len();
    let blocks = (PARTIAL / size).clamp(1, BLOCKS).min(units).min((shape.work() / BLOCK_WORK).max(1));
    let pieces = shape.groups * job.panels * job.starts;
    let parts = BLOCKS.div_ceil(blocks).min(pieces);
    let channels = shape.out_channels;
    let (partial, biases) = scratch
        .take2::<E, E>(if blocks > 1 { blocks * size } else { 0 }, if db.is_some() { blocks * channels } else { 0 });
    biases.fill(E::ZERO);
    {
        let out = SharedMut::new(if blocks > 1 { &mut *partial } else { &mut *dw });
        let (sums, counts) = (SharedMut::new(&mut *biases), db.is_some());
        pool.run(blocks * parts, &|task| {
            let (block, part) = (task / parts, task % parts);
            let range = [block * units / blocks, (block + 1) * units / blocks];
            let pieces = [part * pieces / parts, (part + 1) * pieces / parts];
            // SAFETY: blocks have partial sums of their own, and the first part of a block counts for all.
            let sums = (counts && part == 0).then(|| unsafe { sums.range(block * channels..(block + 1) * channels) });
            with_local(|local| {
                // SAFETY: as above, and parts of a block write disjoint pieces.
                unsafe { job.block(x, range, pieces, out.as_ptr().wrapping_add(block * size), sums, local) };
            });
        });
    }
    if let Some(db) = db {
        db.fill(E::ZERO);
        for part in biases.chunks_exact(channels) {
            for (db, part) in db.iter_mut().zip(part) {
                *db = Real::plus(*db, *part);
            }
        }
    }
    if blocks == 1 {
        return;
    }
    let partial = &*partial;
    pool.run_chunks(dw, 1 << 12, &|index, dw| {
        let start = index << 12;
        dw.copy_from_slice(&partial[start..start + dw.len()]);
        for block in 1..blocks {
            for (dw, part) in dw.iter_mut().zip(&partial[block * size + start..]) {
                *dw = Real::plus(*dw, *part);
            }
        }
    });
}

impl<E: Real + PoolElement, G: Widens<E> + Plain> Job<'_, E, G> {
    /// Sums over units `units[0]..units[1]` for the given pieces of the kernel.
    ///
    /// # Safety
    /// `dw` has the kernel's length, and no other task writes these pieces.
    unsafe fn block(
        &self,
        x: &[E],
        units: [usize; 2],
        pieces: [usize; 2],
        dw: *mut E,
        mut sums: Option<&mut [E]>,
        local: &mut Scratch,
    ) {
        let shape = self.shape;
        let [depth, height, width] = shape.output;
        let image = shape.input.iter().product::<usize>() * shape.in_channels;
        let panel = self.rows_per_unit * width * self.vectors * self.kernels.lanes;
        let line = width * shape.out_channels;
        let (copy, packed, masked) = local.take3::<E, E, E>(
            self.geometry.copy_len(self.rows_per_unit),
            panel,
            if TypeId::of::<G>() == TypeId::of::<E>() && matches!(self.grad, OutputGrad::Plain(_)) {
                0
            } else {
                self.rows_per_unit * line
            },
        );
        let mut taps = Vec::with_capacity(self.rows_per_unit);
        for unit in units[0]..units[1] {
            let (rest, strip) = (unit / self.strips, unit % self.strips);
            let (n, d) = (rest / depth, rest % depth);
            let rows = [strip * self.rows_per_unit, ((strip + 1) * self.rows_per_unit).min(height)];
            let patch = self.geometry.patch(&x[n * image..(n + 1) * image], d, rows, copy);
            taps.clear();
            taps.extend((0..rows[1] - rows[0]).map(|r| r * shape.strides[1] * patch.row));
            let dy = self.gradients(rest * height + rows[0]..rest * height + rows[1], masked);
            if let Some(sums) = &mut sums {
                // SAFETY: compiled for this machine; the body asks nothing else.
                unsafe { (self.rows_of.sum)(dy, sums) };
            }
            // SAFETY: the caller's promise.
            unsafe { self.unit(&patch, dy, &taps, pieces, unit > units[0], dw, packed) };
        }
    }

    /// Rows of the output's gradient, numbered through all images.
    fn gradients<'b>(&'b self, rows: Range<usize>, masked: &'b mut [E]) -> &'b [E] {
        let line = self.shape.output[2] * self.shape.out_channels;
        let range = rows.start * line..rows.end * line;
        match self.grad {
            OutputGrad::Plain(dy) if TypeId::of::<G>() == TypeId::of::<E>() => cast(&dy[range]),
            OutputGrad::Plain(dy) => {
                let masked = &mut masked[..range.len()];
                masked.iter_mut().zip(&dy[range]).for_each(|(to, dy)| *to = dy.widened());
                masked
            }
            OutputGrad::Relu { dy, y } => {
                let masked = &mut masked[..range.len()];
                // SAFETY: compiled for this machine; the body asks nothing else.
                unsafe { (self.rows_of.mask)(&dy[range.clone()], &y[range], masked) };
                masked
            }
            OutputGrad::Pooled { dy, codes } => {
                let masked = &mut masked[..range.len()];
                for (row, to) in rows.zip(masked.chunks_exact_mut(line)) {
                    // SAFETY: as above.
                    unsafe { (self.rows_of.expand)(self.shape, row, dy, codes, to) };
                }
                masked
            }
        }
    }

    /// # Safety
    /// As for `block`; the patch and `dy` belong to the rows that `taps` point to.
    unsafe fn unit(
        &self,
        patch: &Patch<E>,
        dy: &[E],
        taps: &[usize],
        pieces: [usize; 2],
        accumulate: bool,
        dw: *mut E,
        packed: &mut [E],
    ) {
        let shape = self.shape;
        let lanes = self.kernels.lanes;
        let width = self.vectors * lanes;
        let (outputs, all) = (shape.group_out(), shape.out_channels);
        let pixels = dy.len() / all;
        let [_, kh, kw] = shape.kernel;
        // Runs of the whole kernel width start at its first column.
        let columns = if self.starts == shape.taps() { kw } else { 1 };
        let mut current = usize::MAX;
        let (mut b, mut b_step) = (null(), 0);
        for piece in pieces[0]..pieces[1] {
            let (rest, start) = (piece / self.starts, piece % self.starts);
            let (group, panel) = (rest / self.panels, rest % self.panels);
            let column = group * outputs + panel * width;
            let present = width.min(outputs - panel * width);
            let tall = present.div_ceil(lanes);
            if current != rest {
                current = rest;
                (b, b_step) = (dy[column..].as_ptr(), all);
                if !present.is_multiple_of(lanes) {
                    // SAFETY: `dy` holds `pixels` rows of `all` channels.
                    unsafe { pack::columns(b, all as isize, 1, pixels, present, width, packed) };
                    (b, b_step) = (packed.as_ptr(), width);
                }
            }
            let [d, h, w] = [start / (kh * columns), start / columns % kh, start % columns];
            let offset = d * patch.plane
                + h * shape.dilation[1] * patch.row
                + w * shape.dilation[2] * shape.in_channels
                + group * shape.group_in();
            let first = ((d * kh + h) * kw + w) * shape.group_in();
            for [row, end] in even(0, self.rows, self.kernels.rows[self.vectors - 1]) {
                let tile = Tile {
                    a: patch.base.wrapping_add(offset + row),
                    a_step: shape.strides[2] * shape.in_channels,
                    taps: taps.as_ptr(),
                    tap_count: taps.len(),
                    run: shape.output[2],
                    b,
                    b_step,
                    c: dw.wrapping_add((first + row) * all + column),
                    c_step: all,
                    last: present - (tall - 1) * lanes,
                    bias: null(),
                    relu: false,
                    accumulate,
                };
                // SAFETY: the patch covers every pixel's window, B every pixel; C by the caller.
                unsafe { self.kernels.tile(true, end - row, tall)(&tile) };
            }
        }
    }
}
