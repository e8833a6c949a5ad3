//! Batches of small matrices, for which the loops and the memory of blocks would take longer than the sums.

use super::block::{Block, Heights};
use super::pack::Source;
use super::types::{Job, PackB, Real, Tile, LINE};
use std::ptr::null;

impl<E: Real, T: Source<E>> Job<'_, E, T> {
    /// Returns true if matrices of a batch are a single panel by few tiles, read in place or widened: see `matrix`.
    pub(super) fn is_small(&self) -> bool {
        let plan = &self.plan;
        let in_place = plan.pack_b == PackB::Direct && !plan.pack_a && self.fused.is_none();
        (in_place || T::WIDENED && plan.pack_b == PackB::Local)
            && plan.splits == 1
            && self.n <= self.width()
            && self.m <= plan.m_block
            && (1..=plan.k_block).contains(&self.k)
    }

    /// Lengths of the copies of A and B that `matrix` may need.
    pub(super) fn matrix_len(&self) -> (usize, usize) {
        (self.packed_a_len(self.m, self.k), self.k * self.width())
    }

    /// Computes one of many small matrices, for which the loops and the memory of `block` take longer than the sums.
    ///
    /// # Safety
    /// As for `block`, for a product that `is_small`.
    pub(super) unsafe fn matrix(&self, batch: usize, c: *mut E, [packed_a, packed_b]: [&mut [E]; 2]) {
        let (lanes, width) = (self.kernels.lanes, self.width());
        let vectors = self.n.div_ceil(lanes);
        let (rows, columns, steps) = ([0, self.m], [0, self.n], [0, self.k]);
        let whole = Block { batch, rows, columns, steps, accumulate: self.accumulate, last: true };
        let contiguous = self.contiguous_a();
        let taps = [0usize];
        let heights = Heights::new(rows, self.plan.rows);
        let (b, b_stride) = if T::WIDENED || self.passes_end(&whole) {
            // SAFETY: the caller's contract.
            unsafe { self.pack_b(batch, steps, columns, packed_b) };
            (packed_b.as_ptr(), width)
        } else {
            (self.b_pointer(batch, 0, 0).cast(), self.bm.rows as usize)
        };
        // SAFETY: the caller's contract.
        unsafe { self.pack_a(batch, rows, steps, packed_a) };
        // The tiles prefetch the operands of the next matrix, a line at each step.
        let [next_a, next_b] =
            [self.a_pointer(batch + 1, 0, 0), self.b_pointer(batch + 1, 0, 0)].map(|p| p.cast::<E>());
        for (index, [start, end]) in (0..heights.count).map(|row| heights.rows(row)).enumerate() {
            let (a, a_stride) = self.tile_a(batch, [rows, steps], packed_a, [start, end]);
            let tile = Tile {
                a,
                a_stride,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: self.k,
                b,
                b_taps: null(),
                b_stride,
                ahead: if index % 2 == 0 { next_a } else { next_b }
                    .wrapping_add(index / 2 * self.k * LINE / size_of::<E>()),
                ahead_stride: LINE / size_of::<E>(),
                c: c.wrapping_add(start * self.n),
                c_stride: self.n,
                last: self.n - (vectors - 1) * lanes,
                bias: self.bias.map_or(null(), <[E]>::as_ptr),
                relu: self.relu,
                accumulate: self.accumulate,
            };
            // SAFETY: the caller's contract.
            unsafe { self.kernels.tile(contiguous, end - start, vectors)(&tile) };
        }
    }
}
