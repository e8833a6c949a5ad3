//! Kernel gradient: register tiles of (kernel column, input channel) by output channels, summed over pixels.
//!
//! For a fixed kernel row, the inputs that contribute to a pixel of `dy` are contiguous in memory, so the micro-kernel
//! reads both tensors in place. Fixed blocks of units (strips of rows) have partial sums, which are added in order.
//! Gradients through a relu or pooling are expanded a few rows at a time, and the bias gradient is summed along with it.
//! The crate's README shows the loop levels.

use super::output_grad::{GradRows, OutputGrad, WidenTo};
use super::patch::{Geometry, Patch};
use super::{tap_grad, Context, ConvShape};
use crate::gemm::types::{Kernels, Real, Tile};
use crate::gemm::{even, pack};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};
use crate::window::PoolElement;
use std::ptr::null;

/// Maximum number of partial sums.
const BLOCKS: usize = 16;
/// Maximum elements of all partial sums together.
const PARTIAL: usize = 1 << 22;
/// Multiply-adds that justify a partial sum.
const BLOCK_WORK: usize = 1 << 18;

struct KernelGrad<'a, E: Real, G> {
    kernels: &'static Kernels<E>,
    shape: &'a ConvShape,
    rows_of_grad: GradRows<'a, E, G>,
    geometry: Geometry,
    /// Number of runs of contiguous taps, and the rows (tap, input channel) of each run.
    runs: usize,
    rows: usize,
    vectors: usize,
    panels: usize,
    rows_per_unit: usize,
    strips: usize,
}

/// Computes the kernel gradient, and the bias gradient if requested. The output gradient may have a narrower type. `kernels`
/// multiply what the images hold: numbers, or pairs, of which there is no bias gradient.
pub(super) fn kernel_grad<E: Real + PoolElement, G: WidenTo<E> + Plain>(
    context: Context,
    kernels: &'static Kernels<E>,
    x: &[E],
    grad: OutputGrad<G>,
    dw: &mut [E],
    db: Option<&mut [E]>,
) {
    let Context { pool, shape, scratch } = context;
    if shape.output_len() == 0 {
        dw.fill(E::ZERO);
        if let Some(db) = db {
            db.fill(E::ZERO);
        }
        return;
    }
    if tap_grad::supports(shape) {
        let job = tap_grad::TapGrad::new(kernels, shape, grad, pool.threads());
        return in_blocks(pool, job.blocks, dw, db, scratch, |out, biases| job.run(pool, x, out, biases));
    }
    let job = KernelGrad::new(kernels, shape, grad);
    let partition = Partition::new(&job, dw.len());
    in_blocks(pool, partition.blocks, dw, db, scratch, |out, biases| job.run(pool, &partition, x, out, biases));
}

/// Calls `body` with the partial sums of `blocks` blocks, and those of the bias gradient if requested, and adds them in order.
fn in_blocks<E: Real + PoolElement>(
    pool: &ThreadPool,
    blocks: usize,
    dw: &mut [E],
    db: Option<&mut [E]>,
    scratch: &mut Scratch,
    body: impl FnOnce(&mut [E], Option<&mut [E]>),
) {
    let channels = db.as_ref().map_or(0, |db| db.len());
    let (partial, biases) = scratch.take2::<E, E>(if blocks > 1 { blocks * dw.len() } else { 0 }, blocks * channels);
    biases.fill(E::ZERO);
    let out = if blocks > 1 { &mut *partial } else { &mut *dw };
    body(out, db.is_some().then_some(&mut *biases));
    if let Some(db) = db {
        db.fill(E::ZERO);
        for part in biases.chunks_exact(channels) {
            for (db, part) in db.iter_mut().zip(part) {
                *db = Real::plus(*db, *part);
            }
        }
    }
    if blocks > 1 {
        sum_partials(pool, partial, dw);
    }
}

/// Adds the partial sums of all blocks in order.
fn sum_partials<E: Real>(pool: &ThreadPool, partial: &[E], dw: &mut [E]) {
    const CHUNK: usize = 1 << 12;
    let size = dw.len();
    pool.run_chunks(dw, CHUNK, &|index, dw| {
        let start = index * CHUNK;
        dw.copy_from_slice(&partial[start..start + dw.len()]);
        for block in partial.chunks_exact(size).skip(1) {
            for (dw, part) in dw.iter_mut().zip(&block[start..]) {
                *dw = Real::plus(*dw, *part);
            }
        }
    });
}

/// Loop levels of a kernel gradient: see the crate's README.
struct Partition {
    /// Units (strips of output rows) over the whole batch.
    units: usize,
    /// Blocks of consecutive units, each with a partial sum.
    blocks: usize,
    /// Pieces of the kernel: group, panel of output channels, run of taps.
    pieces: usize,
    /// Parts of consecutive pieces; a task computes one part of one block.
    parts: usize,
}

impl Partition {
    fn new<E: Real, G>(job: &KernelGrad<'_, E, G>, size: usize) -> Self {
        let shape = job.shape;
        let units = shape.batch * shape.output[0] * job.strips;
        let blocks = (PARTIAL / size).clamp(1, BLOCKS).min(units).min((shape.work() / BLOCK_WORK).max(1));
        let pieces = shape.groups * job.panels * job.runs;
        Self { units, blocks, pieces, parts: BLOCKS.div_ceil(blocks).min(pieces) }
    }
}

impl<'a, E: Real + PoolElement, G: WidenTo<E> + Plain> KernelGrad<'a, E, G> {
    fn new(kernels: &'static Kernels<E>, shape: &'a ConvShape, grad: OutputGrad<'a, G>) -> Self {
        let geometry = Geometry::forward(shape);
        let (runs, run) = geometry.runs(shape.groups);
        let vectors = shape.group_out().div_ceil(kernels.lanes).min(2);
        let rows_per_unit = geometry.rows_per_task(shape.batch, BLOCKS);
        Self {
            kernels,
            shape,
            rows_of_grad: GradRows::new(shape, grad),
            geometry,
            runs,
            rows: run * shape.group_in(),
            vectors,
            panels: shape.group_out().div_ceil(vectors * kernels.lanes),
            rows_per_unit,
            strips: shape.output[1].div_ceil(rows_per_unit),
        }
    }

    /// Computes the partial sums of all blocks in `out`, and those of the bias gradient in `biases`.
    fn run(&self, pool: &ThreadPool, partition: &Partition, x: &[E], out: &mut [E], biases: Option<&mut [E]>) {
        let &Partition { units, blocks, pieces, parts } = partition;
        let (size, channels) = (out.len() / blocks, self.shape.out_channels);
        let (out, biases) = (SharedMut::new(out), biases.map(SharedMut::new));
        pool.run(blocks * parts, &|task| {
            let (block, part) = (task / parts, task % parts);
            let units = [block * units / blocks, (block + 1) * units / blocks];
            let pieces = [part * pieces / parts, (part + 1) * pieces / parts];
            let bias = biases.as_ref().filter(|_| part == 0);
            // SAFETY: blocks have separate partial sums, and only the first part of a block sums the bias.
            let sums = bias.map(|biases| unsafe { biases.range(block * channels..(block + 1) * channels) });
            with_local(|local| {
                // SAFETY: as above, and parts of a block write disjoint pieces.
                unsafe { self.block(x, units, pieces, out.as_ptr().wrapping_add(block * size), sums, local) };
            });
        });
    }
}

impl<E: Real + PoolElement, G: WidenTo<E> + Plain> KernelGrad<'_, E, G> {
    /// Sums over units `units[0]..units[1]` for a range of pieces of the kernel.
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
        let (copy, packed, expanded) = local.take3::<E, E, E>(
            self.geometry.copy_len(self.rows_per_unit),
            panel,
            if self.rows_of_grad.in_place() { 0 } else { self.rows_per_unit * line },
        );
        let mut taps = Vec::with_capacity(self.rows_per_unit);
        for unit in units[0]..units[1] {
            let (rest, strip) = (unit / self.strips, unit % self.strips);
            let (n, d) = (rest / depth, rest % depth);
            let rows = [strip * self.rows_per_unit, ((strip + 1) * self.rows_per_unit).min(height)];
            let patch = self.geometry.patch(&x[n * image..(n + 1) * image], d, rows, copy);
            taps.clear();
            taps.extend((0..rows[1] - rows[0]).map(|r| r * shape.strides[1] * patch.row));
            let pixels = (rest * height + rows[0]) * width..(rest * height + rows[1]) * width;
            let dy = self.rows_of_grad.read(pixels, expanded);
            if let Some(sums) = &mut sums {
                self.rows_of_grad.add(dy, sums);
            }
            // SAFETY: the caller's contract.
            unsafe { self.unit(&patch, dy, &taps, pieces, unit > units[0], dw, packed) };
        }
    }

    /// Address and row stride of a panel of output channels: in place, or packed if its last vector is not full.
    fn panel(&self, dy: &[E], column: usize, present: usize, packed: &mut [E]) -> (*const E, usize) {
        let (lanes, channels) = (self.kernels.lanes, self.shape.out_channels);
        let in_place = dy[column..].as_ptr();
        if present.is_multiple_of(lanes) {
            return (in_place, channels);
        }
        let (pixels, width) = (dy.len() / channels, self.vectors * lanes);
        // SAFETY: `dy` holds `pixels` rows of `out_channels` channels.
        unsafe { pack::columns(in_place, channels as isize, 1, pixels, present, width, packed) };
        (packed.as_ptr(), width)
    }

    /// Adds the products of one unit to the pieces.
    ///
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
        let (outputs, channels) = (shape.group_out(), shape.out_channels);
        let [_, kh, kw] = shape.kernel;
        // Runs of the full kernel width start at its first column.
        let columns = if self.runs == shape.taps() { kw } else { 1 };
        let mut current = usize::MAX;
        let (mut b, mut b_stride) = (null(), 0);
        for piece in pieces[0]..pieces[1] {
            let (rest, start) = (piece / self.runs, piece % self.runs);
            let (group, panel) = (rest / self.panels, rest % self.panels);
            let column = group * outputs + panel * width;
            let present = width.min(outputs - panel * width);
            let vectors_used = present.div_ceil(lanes);
            if current != rest {
                current = rest;
                (b, b_stride) = self.panel(dy, column, present, packed);
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
                    a_stride: shape.strides[2] * shape.in_channels,
                    taps: taps.as_ptr(),
                    tap_count: taps.len(),
                    run: shape.output[2],
                    b,
                    b_taps: null(),
                    b_stride,
                    ahead: b,
                    ahead_stride: 0,
                    c: dw.wrapping_add((first + row) * channels + column),
                    c_stride: channels,
                    last: present - (vectors_used - 1) * lanes,
                    bias: null(),
                    relu: None,
                    accumulate,
                };
                // SAFETY: the patch covers the window of every pixel, B every pixel; C by the caller.
                unsafe { self.kernels.tile(true, end - row, vectors_used)(&tile) };
            }
        }
    }
}
