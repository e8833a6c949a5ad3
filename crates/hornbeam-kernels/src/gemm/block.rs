//! Blocks of a product: loops over k and rows that keep the operands of the register tiles in cache.
//!
//! From the outside in: blocks of k, of which B is packed and stays in the L2 cache; chunks of rows, of which A stays in
//! the L2 cache, packed or in place; tiles. Tiles prefetch what later ones read from memory.

use super::even;
use super::pack::{self, Source};
use super::plan::{M_BLOCK, SHORT};
use super::types::{Job, PackB, Real, Tile, LINE};
use crate::scratch::Scratch;
use std::ptr::null;

/// Tiles in a column that read B more than A.
const FEW: usize = 3;
/// Elements of the next block of B that tiles prefetch into the L2 cache.
const NEXT: usize = 1 << 17;
/// Elements to a multiple of which lines of a widened A are padded.
const PADDED: usize = 16;

/// Part of a product computed by one task: rows, columns and steps of k of matrix `batch`.
pub(super) struct Block {
    pub batch: usize,
    pub rows: [usize; 2],
    pub columns: [usize; 2],
    pub steps: [usize; 2],
    /// Adds to `c`.
    pub accumulate: bool,
    /// Applies bias and activation.
    pub last: bool,
}

/// Destination of the sums of a block.
pub(super) struct Destination<E> {
    pub first: *mut E,
    pub row_stride: usize,
}

/// Packed panels of B: panel `j` at `j * stride`, starting at `column` and step `step` of k. Columns before are read in
/// place.
pub(super) struct Panels<'a, E> {
    pub data: &'a [E],
    pub stride: usize,
    pub column: usize,
    pub step: usize,
}

/// Chunk of rows of a block for one block of k.
struct Chunk<'a, E> {
    block: &'a Block,
    rows: [usize; 2],
    step: usize,
    run: usize,
    /// First row and step of the chunk that comes next; `row` is the end of the block if there is none.
    next: [usize; 2],
    packed_a: &'a [E],
    panels: &'a Panels<'a, E>,
    c: &'a Destination<E>,
    accumulate: bool,
    last: bool,
}

/// Partition of rows into as few tiles as possible, of heights that differ by one at most.
pub(super) struct Heights {
    start: usize,
    pub count: usize,
    /// Least height, and number of tiles with one row more.
    least: usize,
    higher: usize,
}

impl Heights {
    pub fn new([start, end]: [usize; 2], highest: usize) -> Self {
        let count = (end - start).div_ceil(highest);
        Self { start, count, least: (end - start) / count, higher: (end - start) % count }
    }

    pub fn rows(&self, tile: usize) -> [usize; 2] {
        [tile, tile + 1].map(|tile| self.start + tile * self.least + tile.min(self.higher))
    }
}

impl<E: Real, T: Source<E>> Job<'_, E, T> {
    /// Computes one block.
    ///
    /// # Safety
    /// `c` must be valid for the block, and no other task may write it.
    pub(super) unsafe fn block(
        &self,
        block: &Block,
        shared: Option<&Panels<'_, E>>,
        c: &Destination<E>,
        local: &mut Scratch,
    ) {
        let (plan, width) = (&self.plan, self.width());
        let ([row0, row1], [column0, column1]) = (block.rows, block.columns);
        let steps = block.steps[1] - block.steps[0];
        let k_blocks = steps.div_ceil(plan.k_block).max(1);
        let longest = steps.div_ceil(k_blocks);
        let rows = plan.chunk_rows(longest);
        let columns = column1 - column0;
        // A kernel reads full vectors, the last of which may include the start of the next row, but not pass the end of B.
        let packed_columns = match plan.pack_b {
            PackB::Local => columns,
            PackB::Direct if self.passes_end(block) => columns % width,
            _ => 0,
        };
        let a_len = self.packed_a_len(rows.min(row1 - row0), longest);
        let b_len = packed_columns.next_multiple_of(width) * longest;
        let (packed_a, packed_b) = local.take2::<E, E>(a_len, b_len);
        for index in 0..k_blocks {
            let step = block.steps[0] + index * steps / k_blocks;
            let run = block.steps[0] + (index + 1) * steps / k_blocks - step;
            let column = column1 - packed_columns;
            // SAFETY: `gemm` checked the operands' extents.
            unsafe { self.pack_b(block.batch, [step, run], [column, column1], packed_b) };
            let own = Panels { data: packed_b, stride: run * width, column, step };
            let mut chunks = even(row0, row1, rows).peekable();
            while let Some(rows) = chunks.next() {
                // SAFETY: `gemm` checked the operands' extents; `c` by the caller's contract.
                unsafe {
                    self.pack_a(block.batch, rows, [step, run], packed_a);
                    self.tiles(&Chunk {
                        block,
                        rows,
                        step,
                        run,
                        next: chunks.peek().map_or([row0, step + run], |rows| [rows[0], step]),
                        packed_a,
                        panels: shared.unwrap_or(&own),
                        c,
                        accumulate: index > 0 || block.accumulate,
                        last: index + 1 == k_blocks && block.last,
                    });
                }
            }
        }
    }

    /// Returns true if the last vector of a row of B, read in place, ends behind the last element of B.
    pub(super) fn passes_end(&self, block: &Block) -> bool {
        let ([column0, column1], end) = (block.columns, block.steps[1]);
        let last = self.b_pointer(block.batch, end.saturating_sub(1), column0);
        let read = (column1 - column0).next_multiple_of(self.kernels.lanes);
        last.wrapping_add(read) > self.b.as_ptr_range().end
    }

    /// Packs panels of B for one block of k.
    ///
    /// # Safety
    /// B must hold the columns and steps.
    pub(super) unsafe fn pack_b(
        &self,
        batch: usize,
        [step, run]: [usize; 2],
        [column0, column1]: [usize; 2],
        packed: &mut [E],
    ) {
        // SAFETY: the caller's contract.
        unsafe {
            let from = self.b_pointer(batch, step, column0);
            T::pack_panels(from, [self.bm.rows, self.bm.cols], [run, column1 - column0], self.width(), packed);
        }
    }

    /// Length of the copy of `rows` rows of A, for `run` steps of k.
    pub(super) fn packed_a_len(&self, rows: usize, run: usize) -> usize {
        match (self.plan.pack_a, self.am.cols == 1) {
            (false, _) => 0,
            (true, _) if !T::WIDENED => rows * run,
            (true, true) => rows * run.next_multiple_of(PADDED),
            (true, false) => rows.next_multiple_of(PADDED) * run,
        }
    }

    /// Distance of lines of a widened A with `len` elements: padded, unless they follow each other in memory.
    fn line(&self, len: usize) -> usize {
        if self.am.rows.max(self.am.cols) == len as isize {
            len
        } else {
            len.next_multiple_of(PADDED)
        }
    }

    /// Packs rows of A for one block of k, if the plan says so.
    ///
    /// # Safety
    /// A must hold the rows and steps.
    pub(super) unsafe fn pack_a(
        &self,
        batch: usize,
        [row0, row1]: [usize; 2],
        [step, run]: [usize; 2],
        packed: &mut [E],
    ) {
        if !self.plan.pack_a {
            return;
        }
        let (rows, strides) = (row1 - row0, [self.am.rows, self.am.cols]);
        if T::WIDENED {
            // In the order of memory: tiles read rows, or steps of k.
            let from = self.a_pointer(batch, row0, step);
            let (strides, extents) =
                if self.am.cols == 1 { (strides, [rows, run]) } else { ([strides[1], strides[0]], [run, rows]) };
            // SAFETY: the caller's contract.
            return unsafe { T::pack_panels(from, strides, extents, self.line(extents[1]), packed) };
        }
        let heights = Heights::new([row0, row1], self.plan.rows);
        // The columns of a transposed A are read to their end, some steps at a time.
        let part = if self.am.rows == 1 { 8 } else { run.max(1) };
        for first in (0..run).step_by(part) {
            let count = part.min(run - first);
            for [start, end] in (0..heights.count).map(|row| heights.rows(row)) {
                let to = &mut packed[(start - row0) * run + first * (end - start)..][..count * (end - start)];
                // SAFETY: the caller's contract.
                unsafe {
                    let from = self.a_pointer(batch, start, step + first).cast::<E>();
                    pack::rows(from, self.am.rows, self.am.cols, end - start, count, to);
                }
            }
        }
    }

    /// Computes the register tiles of a chunk.
    ///
    /// # Safety
    /// As for `block`; panels must be packed according to the plan.
    unsafe fn tiles(&self, chunk: &Chunk<E>) {
        let (lanes, width) = (self.kernels.lanes, self.width());
        let &Chunk { block, rows: [row0, row1], run, c, .. } = chunk;
        let [column0, column1] = block.columns;
        let taps = [0usize];
        let heights = Heights::new([row0, row1], self.plan.rows);
        let height = heights.count;
        // Each tile prefetches for a part of the chunk, if the block has full rows.
        let fused = self.fused.filter(|_| chunk.last && column1 - column0 == self.n);
        let panels = (column1 - column0).div_ceil(width);
        let tiles = panels * height;
        let (first_element, size) = ((block.batch * self.m + row0) * self.n, (row1 - row0) * self.n);
        // A panel stays in the L1 cache during a pass over the rows, as A does during a pass over packed panels. The latter
        // writes longer parts of the rows of C, which counts if C is large or its elements are short sums.
        let tall = block.rows[1] - block.rows[0] > M_BLOCK * self.plan.rows;
        let rows_outside = self.plan.pack_b != PackB::Direct && (tall || run <= SHORT);
        let [outside, inside] = if rows_outside { [height, panels] } else { [panels, height] };
        for (index, [i, j]) in (0..outside).flat_map(|i| (0..inside).map(move |j| [i, j])).enumerate() {
            let [row, panel] = if rows_outside { [i, j] } else { [j, i] };
            let column = column0 + panel * width;
            let [start, end] = heights.rows(row);
            let columns = width.min(column1 - column);
            let vectors = columns.div_ceil(lanes);
            if let Some(fused) = fused {
                fused.prefetch(first_element + index * size / tiles..first_element + (index + 1) * size / tiles);
            }
            let (a, a_stride) = self.tile_a(block.batch, [chunk.rows, [chunk.step, run]], chunk.packed_a, [start, end]);
            let (b, b_stride) = self.tile_b(chunk, column);
            let (ahead, ahead_stride) = self.ahead(chunk, column, [row, height], [start, end], index).unwrap_or((b, 0));
            let tile = Tile {
                a,
                a_stride,
                taps: taps.as_ptr(),
                tap_count: 1,
                run,
                b,
                b_taps: null(),
                b_stride,
                ahead,
                ahead_stride,
                c: c.first.wrapping_add((start - block.rows[0]) * c.row_stride + column - column0),
                c_stride: c.row_stride,
                last: columns - (vectors - 1) * lanes,
                bias: match self.bias {
                    Some(bias) if chunk.last => bias[column..column + columns].as_ptr(),
                    _ => null(),
                },
                relu: self.relu.filter(|_| chunk.last),
                accumulate: chunk.accumulate,
            };
            // SAFETY: the extents were checked by `gemm`, the panels by slicing; no other task accesses C.
            unsafe { self.kernels.tile(self.contiguous_a(), end - start, vectors)(&tile) };
        }
    }

    /// Memory that a tile prefetches, and its stride from one step of k to the next: tile `row` of the `height` tiles in a
    /// column, and `index` of those of the chunk.
    fn ahead(
        &self,
        chunk: &Chunk<E>,
        column: usize,
        [row, height]: [usize; 2],
        tile_rows: [usize; 2],
        index: usize,
    ) -> Option<(*const E, usize)> {
        let (width, lanes) = (self.width(), self.kernels.lanes);
        let &Chunk { block, step, run, .. } = chunk;
        let [column0, column1] = block.columns;
        match self.plan.pack_b {
            PackB::Direct if height <= FEW => self.next_rows(chunk, index, height),
            // The first tiles of a column read the next panel, a vector of each row.
            PackB::Direct if row * lanes < width => {
                let [step, column] =
                    if column + width < column1 { [step, column + width] } else { [step + run, column0] };
                // The last element, whose line contains most of the vector or all of it.
                let from = self.b_pointer(block.batch, step, column).wrapping_add(row * lanes + lanes - 1);
                (step < block.steps[1]).then_some((from.cast(), self.bm.rows as usize))
            }
            // All tiles of a column read the next panel.
            PackB::Shared if column + width < column1 => {
                let (b, _) = self.tile_b(chunk, column + width);
                Some((b.wrapping_add(row * run * width / height), width.div_ceil(height)))
            }
            // Packed panels are in cache. Each tile reads a part of the next chunk of A: a row, or a line of each step.
            _ => {
                let [row, step] = chunk.next;
                if T::WIDENED {
                    return None; // Read in the order of memory, when it is packed.
                }
                let rows = block.rows[1].saturating_sub(row).min(chunk.rows[1] - chunk.rows[0]);
                let (first, stride) = match [self.am.rows, self.am.cols] {
                    // Of short rows, as many as this tile has.
                    [stride, 1] if run <= SHORT && stride > 0 => {
                        let [start, end] = tile_rows;
                        (start - chunk.rows[0], (end - start) * stride as usize / run.max(1))
                    }
                    [_, 1] => (index, 1),
                    [1, stride] => (index * LINE / size_of::<E>(), stride as usize),
                    _ => return None,
                };
                let exists = first < rows && step < block.steps[1];
                exists.then(|| (self.a_pointer(block.batch, row + first, step).cast(), stride))
            }
        }
    }

    /// Memory that tile `index`, of `height` in each column, prefetches of the next block of k of a B in place: some rows, in
    /// the order of memory. `None` if the tiles are too few, or the block is too large for the L2 cache.
    fn next_rows(&self, chunk: &Chunk<E>, index: usize, height: usize) -> Option<(*const E, usize)> {
        let &Chunk { block, step, run, .. } = chunk;
        let [column0, column1] = block.columns;
        let columns = column1 - column0;
        let rows = run.div_ceil(height * columns.div_ceil(self.width()));
        let in_order = rows == 1 || self.bm.rows == columns as isize;
        let [step, column] =
            if step + run < block.steps[1] { [step + run, column0] } else { [block.steps[0], column1] };
        let exists = in_order && columns * run <= NEXT && index * rows < run && column < self.n;
        exists.then(|| {
            let from = self.b_pointer(block.batch, step + index * rows, column);
            (from.cast(), (rows * columns).div_ceil(run))
        })
    }

    /// Address and row stride of the panel of B at `column`.
    #[inline]
    fn tile_b(&self, chunk: &Chunk<E>, column: usize) -> (*const E, usize) {
        let (width, panels) = (self.width(), chunk.panels);
        if column < panels.column {
            return (self.b_pointer(chunk.block.batch, chunk.step, column).cast(), self.bm.rows as usize);
        }
        let at = (column - panels.column) / width * panels.stride + (chunk.step - panels.step) * width;
        (panels.data[at..at + chunk.run * width].as_ptr(), width)
    }

    /// Address and stride of the rows of A of a tile, in a chunk of `rows` and some steps of k, packed or in place.
    #[inline]
    pub(super) fn tile_a(
        &self,
        batch: usize,
        [rows, [step, run]]: [[usize; 2]; 2],
        packed: &[E],
        [start, end]: [usize; 2],
    ) -> (*const E, usize) {
        let first = start - rows[0];
        match (self.plan.pack_a, self.am.cols == 1) {
            (false, _) => {
                let stride = if self.contiguous_a() { self.am.cols } else { self.am.rows };
                (self.a_pointer(batch, start, step).cast(), stride as usize)
            }
            (true, _) if !T::WIDENED => (packed[first * run..].as_ptr(), end - start),
            (true, true) => (packed[first * self.line(run)..].as_ptr(), self.line(run)),
            // (Of no steps, nothing is packed.)
            (true, false) => (packed.as_ptr().wrapping_add(first), self.line(rows[1] - rows[0])),
        }
    }

    /// Returns true if the rows of A of a tile are contiguous.
    #[inline]
    pub(super) fn contiguous_a(&self) -> bool {
        if T::WIDENED {
            self.am.cols != 1
        } else {
            self.plan.pack_a || self.am.rows == 1
        }
    }
}
