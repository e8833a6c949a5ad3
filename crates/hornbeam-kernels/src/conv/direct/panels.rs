//! Kernels packed into panels of output channels, as the tiles read them.

use crate::conv::ConvShape;
use crate::gemm::pack;
use crate::gemm::types::Real;
use crate::pool::ThreadPool;

/// Kernel of a convolution in its original form, or packed by [`pack_kernel`].
#[derive(Clone, Copy)]
pub enum Kernel<'a, E> {
    Taps(&'a [E]),
    Packed(&'a [E]),
}

/// Packs columns of the kernel of one group: `(group, column, columns, to)`.
type PackPanel<'a, E> = &'a (dyn Fn(usize, usize, usize, &mut [E]) + Sync);

/// Panels of a packed kernel: `[group, panel, step, width]`.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    /// Vectors of a tile, and their channels.
    pub vectors: usize,
    pub width: usize,
    pub groups: usize,
    /// Output channels of a group.
    outputs: usize,
    /// Panels of a group.
    pub count: usize,
}

impl Panels {
    pub fn new<E: Real>(groups: usize, outputs: usize) -> Self {
        let lanes = E::kernels().lanes;
        let vectors = outputs.div_ceil(lanes).min(2);
        let width = vectors * lanes;
        Self { vectors, width, groups, outputs, count: outputs.div_ceil(width) }
    }

    /// Elements of all panels of `steps`.
    pub fn len(&self, steps: usize) -> usize {
        self.groups * self.count * steps * self.width
    }

    /// Fills the panels.
    pub fn pack<E: Real>(&self, pool: &ThreadPool, steps: usize, to: &mut [E], pack: PackPanel<'_, E>) {
        pool.run_chunks(to, (steps * self.width).max(1), &|index, to| {
            let (group, column) = (index / self.count, index % self.count * self.width);
            pack(group, column, self.width.min(self.outputs - column), to);
        });
    }
}

/// Number of elements of a kernel packed by [`pack_kernel`].
pub fn packed_len<E: Real>(shape: &ConvShape) -> usize {
    Panels::new::<E>(shape.groups, shape.group_out()).len(shape.taps() * shape.group_in())
}

/// Packs the kernel `w` of a forward pass.
pub fn pack_kernel<E: Real>(pool: &ThreadPool, shape: &ConvShape, w: &[E], to: &mut [E]) {
    let (steps, all) = (shape.taps() * shape.group_in(), shape.out_channels);
    let panels = Panels::new::<E>(shape.groups, shape.group_out());
    panels.pack(pool, steps, to, &|group, column, columns, to| {
        let from = w[group * shape.group_out() + column..].as_ptr();
        // SAFETY: `w` holds `steps` rows of `all` channels.
        unsafe { pack::columns(from, all as isize, 1, steps, columns, panels.width, to) };
    });
}
