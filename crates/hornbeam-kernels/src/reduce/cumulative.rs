//! Cumulative reductions: sum, product, maximum and minimum.

use super::fold::{Fold, Folding, Max, Min, Prod, Sum};
use super::{typed, typed_mut, CHUNK};
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::simd::{Copies, LANES};

/// Cumulative operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cumulative {
    Sum,
    Prod,
    Max,
    Min,
}

impl Cumulative {
    pub const ALL: [Cumulative; 4] = [Cumulative::Sum, Cumulative::Prod, Cumulative::Max, Cumulative::Min];

    /// Name of the primitive.
    pub const fn name(self) -> &'static str {
        match self {
            Cumulative::Sum => "cumsum",
            Cumulative::Prod => "cumprod",
            Cumulative::Max => "cummax",
            Cumulative::Min => "cummin",
        }
    }

    /// Inverse of [`Cumulative::name`].
    pub fn parse(name: &str) -> Option<Cumulative> {
        Cumulative::ALL.into_iter().find(|op| op.name() == name)
    }
}

multiversion! {
    /// Accumulates along contiguous elements, one after the other.
    unsafe fn accumulate_row[S, F: Fold; Copies::Portable](x: &[F::In], y: &mut [F::In], reverse: bool) {
        let mut carry = F::IDENTITY;
        let mut step = |x: &F::In, y: &mut F::In| {
            carry = F::combine(carry, x.to_acc());
            *y = F::In::from_acc(carry);
        };
        if reverse {
            x.iter().zip(y).rev().for_each(|(x, y)| step(x, y));
        } else {
            x.iter().zip(y).for_each(|(x, y)| step(x, y));
        }
    }

    /// Accumulates along `n` rows with stride `stride`, for up to [`LANES`] columns. `x` and `y` point to the first row.
    unsafe fn accumulate_columns[S, F: Fold; <F::In as Element>::DTYPE.copies()](
        x: *const F::In, y: *mut F::In, stride: usize, n: usize, columns: usize, reverse: bool) {
        let mut carry = [F::IDENTITY; LANES];
        let carry = &mut carry[..columns];
        for i in 0..n {
            let at = (if reverse { n - 1 - i } else { i }) * stride;
            // SAFETY: row `i` has at least `columns` elements on both sides, and the sides do not overlap.
            let (x, y) = unsafe {
                (std::slice::from_raw_parts(x.add(at), columns), std::slice::from_raw_parts_mut(y.add(at), columns))
            };
            for ((carry, x), y) in carry.iter_mut().zip(x).zip(y) {
                *carry = F::combine(*carry, x.to_acc());
                *y = F::In::from_acc(*carry);
            }
        }
    }
}

/// Computes `y[i] = x[0] op .. op x[i]` along `axis`, from its end if `reverse`. 16-bit floats accumulate in `f32`.
///
/// # Panics
/// If a buffer does not have the shape, or for a sum or product of bool.
pub fn cumulative(
    pool: &ThreadPool,
    op: Cumulative,
    dtype: DType,
    x: &[u8],
    shape: &[usize],
    axis: usize,
    reverse: bool,
    y: &mut [u8],
) {
    macro_rules! with {
        ($Op:ident) => {
            dispatch!(unsigned_or_float, dtype.to_unsigned(), T => columns::<Folding<$Op, T>>(pool, typed(x), shape, axis, reverse, typed_mut(y)),
                else panic!("{} does not support {dtype}", op.name()))
        };
        (any $Op:ident) => {
            dispatch!(dtype, T => columns::<Folding<$Op, T>>(pool, typed(x), shape, axis, reverse, typed_mut(y)))
        };
    }
    match op {
        Cumulative::Sum => with!(Sum),
        Cumulative::Prod => with!(Prod),
        Cumulative::Max => with!(any Max),
        Cumulative::Min => with!(any Min),
    }
}

fn columns<F: Fold>(pool: &ThreadPool, x: &[F::In], shape: &[usize], axis: usize, reverse: bool, y: &mut [F::In]) {
    let n = shape[axis];
    let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
    assert!(x.len() == outer * n * inner && y.len() == x.len(), "buffers do not have the shape {shape:?}");
    if x.is_empty() {
        return;
    }
    if inner == 1 {
        let (items_per_task, kernel) = ((CHUNK / n).max(1), accumulate_row::<F>());
        return pool.run_chunks(y, items_per_task * n, &|task, y| {
            for (x, y) in x[task * items_per_task * n..].chunks_exact(n).zip(y.chunks_exact_mut(n)) {
                // SAFETY: the kernel is compiled for this machine; slices are checked.
                unsafe { kernel(x, y, reverse) };
            }
        });
    }
    let kernel = accumulate_columns::<F>();
    let tiles = inner.div_ceil(LANES);
    let items_per_task = (CHUNK / (n * inner.min(LANES))).max(1);
    let y = SharedMut::new(y);
    pool.run_ranges(outer * tiles, items_per_task, &|range| {
        for item in range {
            let at = item / tiles * n * inner + item % tiles * LANES;
            let columns = LANES.min(inner - item % tiles * LANES);
            // SAFETY: the columns lie within both arrays, and items are disjoint.
            unsafe { kernel(x.as_ptr().add(at), y.as_ptr().add(at), inner, n, columns, reverse) };
        }
    });
}
