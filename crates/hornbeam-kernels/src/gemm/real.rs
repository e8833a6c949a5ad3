//! Products of `f32` and `f64`: the partition into tasks and the blocked loops around the micro-kernel.

use super::block::{Block, Destination, Panels};
use super::pack::Source;
use super::plan::{self, TASK_WORK};
use super::types::{Job, Kernels, PackB, Plan, Real};
use super::vector::clamp;
use super::{Form, FusedEpilogue, Mat, Product};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};

/// Bytes of B packed at a time.
const PACKED_BYTES: usize = 16 << 20;

pub(super) fn product<E: Real>(pool: &ThreadPool, product: Product<'_, E>, scratch: &mut Scratch) {
    product_by(E::kernels(), pool, product, scratch);
}

pub(super) fn product_by<E: Real>(
    kernels: &'static Kernels<E>,
    pool: &ThreadPool,
    product: Product<'_, E>,
    scratch: &mut Scratch,
) {
    let Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused, form } = product;
    let cost = fused.map(FusedEpilogue::cost);
    let plan = Plan::new(kernels, [batch, m, n, k], am, bm, form, false, cost, pool.threads());
    let job = Job {
        kernels,
        plan,
        m,
        n,
        k,
        a,
        am,
        b,
        bm,
        bias: epilogue.bias,
        relu: epilogue.activation.relu(),
        accumulate: epilogue.accumulate,
        fused,
        skip_zeros: form == Form::Finite,
    };
    if form != Form::Packed && job.row(pool, batch, c, scratch) {
        return;
    }
    if form == Form::Packed {
        let width = job.width();
        let panels = Panels { data: b, stride: k * width, column: 0, step: 0 };
        let partial = scratch.take::<E>(job.partial_len(batch));
        job.run_columns(pool, batch, [0, n], Some(&panels), c, partial);
        job.reduce_splits(pool, partial, c);
        return;
    }
    job.run(pool, batch, c, scratch);
}

/// Columns of a panel of B, for a matrix with `n` columns.
fn panel_width<E: Real>(kernels: &Kernels<E>, n: usize) -> usize {
    plan::vectors(kernels, n) * kernels.lanes
}

/// Length of all panels of a `k x n` matrix B.
pub(super) fn panels_len<E: Real>(n: usize, k: usize) -> usize {
    n.next_multiple_of(panel_width(E::kernels(), n)) * k
}

/// Packs all panels of B.
pub(super) fn pack_panels<E: Real>(pool: &ThreadPool, n: usize, k: usize, b: &[E], bm: Mat, packed: &mut [E]) {
    pack_columns(pool, [0, n], k, b, bm, panel_width(E::kernels(), n), packed);
}

/// Packs panels of `width` columns, in tasks of one panel by some steps of k. B must hold the columns and steps.
fn pack_columns<E: Real, T: Source<E>>(
    pool: &ThreadPool,
    columns: [usize; 2],
    k: usize,
    b: &[T],
    bm: Mat,
    width: usize,
    packed: &mut [E],
) {
    let steps = (1usize << 14).div_ceil(width);
    let parts = k.div_ceil(steps);
    let packed = SharedMut::new(packed);
    pool.run((columns[1] - columns[0]).div_ceil(width) * parts, &|task| {
        let (panel, part) = (task / parts, task % parts);
        let (column, step) = (columns[0] + panel * width, part * steps);
        let count = steps.min(k - step);
        let start = panel * k * width + step * width;
        let at = bm.offset as isize + step as isize * bm.rows + column as isize * bm.cols;
        // SAFETY: tasks write disjoint parts; the caller checked that B holds these elements.
        unsafe {
            let to = packed.range(start..start + count * width);
            let from = b.as_ptr().wrapping_offset(at);
            T::pack_panels(from, [bm.rows, bm.cols], [count, width.min(columns[1] - column)], width, to);
        }
    });
}

impl<E: Real, T: Source<E>> Job<'_, E, T> {
    /// Computes the product of operands that are not packed.
    pub(super) fn run(&self, pool: &ThreadPool, batch: usize, c: &mut [E], scratch: &mut Scratch) {
        let &Job { plan, n, k, b, bm, .. } = self;
        if self.is_small() {
            return self.run_matrices(pool, batch, c);
        }
        let partial = self.partial_len(batch);
        if plan.pack_b != PackB::Shared {
            let partial = scratch.take::<E>(partial);
            self.run_columns(pool, batch, [0, n], None, c, partial);
            return self.reduce_splits(pool, partial, c);
        }
        let width = self.width();
        let chunk = (PACKED_BYTES / size_of::<E>() / k.max(1)).max(plan.n_block) / plan.n_block * plan.n_block;
        let panels = n.min(chunk).div_ceil(width);
        let (packed, partial) = scratch.take2::<E, E>(panels * k * width, partial);
        for first in (0..n).step_by(chunk) {
            let columns = [first, (first + chunk).min(n)];
            pack_columns(pool, columns, k, b, bm, width, packed);
            let panels = Panels { data: packed, stride: k * width, column: first, step: 0 };
            self.run_columns(pool, batch, columns, Some(&panels), c, partial);
        }
        self.reduce_splits(pool, partial, c);
    }

    /// Number of partial sums of the splits of k.
    fn partial_len(&self, batch: usize) -> usize {
        if self.plan.splits > 1 {
            self.plan.splits * batch * self.m * self.n
        } else {
            0
        }
    }

    pub(super) fn width(&self) -> usize {
        self.plan.vectors * self.kernels.lanes
    }

    /// Computes a batch of small matrices, several by each task.
    fn run_matrices(&self, pool: &ThreadPool, batch: usize, c: &mut [E]) {
        let size = self.m * self.n;
        let out = SharedMut::new(c);
        pool.run_ranges(batch, TASK_WORK / (size * self.k), &|matrices| {
            with_local(|local| {
                let (a_len, b_len) = self.matrix_len();
                let (a, b, sums) = local.take3::<E, E, E>(a_len, b_len, if self.fused.is_some() { size } else { 0 });
                for l in matrices {
                    let to = out.as_ptr().wrapping_add(l * size);
                    // SAFETY: matrices are disjoint.
                    unsafe {
                        match self.fused {
                            Some(fused) if !self.accumulate => {
                                self.matrix(l, sums.as_mut_ptr(), [a, b]);
                                fused.apply(l * size, sums);
                            }
                            fused => {
                                self.matrix(l, to, [a, b]);
                                fused.inspect(|fused| fused.apply(l * size, out.range(l * size..(l + 1) * size)));
                            }
                        }
                    }
                }
            });
        });
    }

    /// Computes a range of columns of all rows, block by block.
    fn run_columns(
        &self,
        pool: &ThreadPool,
        batch: usize,
        columns: [usize; 2],
        panels: Option<&Panels<'_, E>>,
        c: &mut [E],
        partial: &mut [E],
    ) {
        let plan = &self.plan;
        let m_blocks = self.m.div_ceil(plan.m_block);
        let n_blocks = (columns[1] - columns[0]).div_ceil(plan.n_block);
        let unsplit = plan.splits == 1;
        let size = self.m * self.n;
        let out = SharedMut::new(if unsplit { c } else { partial });
        // Consecutive tasks share a block of B.
        pool.run(batch * n_blocks * plan.splits * m_blocks, &|task| {
            let (rest, m_index) = (task / m_blocks, task % m_blocks);
            let (rest, split) = (rest / plan.splits, rest % plan.splits);
            let (l, n_index) = (rest / n_blocks, rest % n_blocks);
            let column = columns[0] + n_index * plan.n_block;
            let block = Block {
                batch: l,
                // Blocks of even size rather than a small last one.
                rows: [m_index * self.m / m_blocks, (m_index + 1) * self.m / m_blocks],
                columns: [column, (column + plan.n_block).min(columns[1])],
                steps: [split * plan.k_split, ((split + 1) * plan.k_split).min(self.k)],
                accumulate: unsplit && self.accumulate,
                last: unsplit,
            };
            let start = (if unsplit { l } else { split }) * size + block.rows[0] * self.n + column;
            match self.fused.filter(|_| unsplit) {
                // The output of a fused product is scratch: a block of sums that stays in cache.
                Some(fused) if !self.accumulate => with_local(|local| {
                    let columns = block.columns[1] - block.columns[0];
                    let sums = local.take::<E>((block.rows[1] - block.rows[0]) * columns);
                    let to = Destination { first: sums.as_mut_ptr(), row_stride: columns };
                    // SAFETY: the memory belongs to this task.
                    with_local(|local| unsafe { self.block(&block, panels, &to, local) });
                    self.apply_fused(fused, start, columns, sums);
                }),
                fused => {
                    let to = Destination { first: out.as_ptr().wrapping_add(start), row_stride: self.n };
                    // SAFETY: blocks are disjoint in C (or in the partial sums).
                    unsafe {
                        with_local(|local| self.block(&block, panels, &to, local));
                        let Some(fused) = fused else { return };
                        for i in 0..block.rows[1] - block.rows[0] {
                            let start = start + i * self.n;
                            fused.apply(start, out.range(start..start + block.columns[1] - block.columns[0]));
                        }
                    }
                }
            }
        });
    }

    /// Passes a block of sums, the first of which has index `start`, to the fused epilogue.
    fn apply_fused(&self, fused: &dyn FusedEpilogue<E>, start: usize, columns: usize, sums: &mut [E]) {
        if columns == self.n {
            return fused.apply(start, sums);
        }
        for (i, row) in sums.chunks_exact_mut(columns).enumerate() {
            fused.apply(start + i * self.n, row);
        }
    }

    /// Adds the partial sums of the splits of k in order and applies the epilogue.
    fn reduce_splits(&self, pool: &ThreadPool, partial: &[E], c: &mut [E]) {
        let splits = self.plan.splits;
        if splits == 1 {
            return;
        }
        let (n, size) = (self.n, self.m * self.n);
        let rows = (1usize << 12).div_ceil(n);
        pool.run_chunks(c, rows * n, &|index, c| {
            let start = index * rows * n;
            if !self.accumulate {
                c.copy_from_slice(&partial[start..start + c.len()]);
            }
            for split in usize::from(!self.accumulate)..splits {
                for (c, part) in c.iter_mut().zip(&partial[split * size + start..]) {
                    *c = E::plus(*c, *part);
                }
            }
            self.apply_epilogue(c, self.bias, start);
        });
    }

    /// Applies bias, activation and fused epilogue to complete sums, the first of which has index `start`.
    pub(super) fn apply_epilogue(&self, c: &mut [E], bias: Option<&[E]>, start: usize) {
        if let Some(bias) = bias {
            for row in c.chunks_mut(bias.len()) {
                for (c, bias) in row.iter_mut().zip(bias) {
                    *c = E::plus(*c, *bias);
                }
            }
        }
        if let Some(limit) = self.relu {
            for c in c.iter_mut() {
                *c = clamp(*c, limit);
            }
        }
        if let Some(fused) = self.fused {
            fused.apply(start, c);
        }
    }

    pub(super) fn b_pointer(&self, batch: usize, step: usize, column: usize) -> *const T {
        let bm = &self.bm;
        let at = bm.offset as isize + batch as isize * bm.batch + step as isize * bm.rows + column as isize * bm.cols;
        self.b.as_ptr().wrapping_offset(at)
    }

    pub(super) fn a_pointer(&self, batch: usize, row: usize, step: usize) -> *const T {
        let am = &self.am;
        let at = am.offset as isize + batch as isize * am.batch + row as isize * am.rows + step as isize * am.cols;
        self.a.as_ptr().wrapping_offset(at)
    }
}
