//! Cumulative reductions: cumulative sum, product, maximum and minimum.

use super::fold::{Fold, Folding, Max, Min, Prod, Sum};
use super::{typed, typed_mut, CHUNK};
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cumulative {
    Sum,
    Prod,
    Max,
    Min,
}

impl Cumulative {
    pub const ALL: [Cumulative; 4] = [Cumulative::Sum, Cumulative::Prod, Cumulative::Max, Cumulative::Min];

    /// The name of the primitive.
    pub const fn name(self) -> &'static str {
        match self {
            Cumulative::Sum => "cumsum",
            Cumulative::Prod => "cumprod",
            Cumulative::Max => "cummax",
            Cumulative::Min => "cummin",
        }
    }

    /// The inverse of [`Cumulative::name`].
    pub fn parse(name: &str) -> Option<Cumulative> {
        Cumulative::ALL.into_iter().find(|op| op.name() == name)
    }
}

/// Columns that are carried side by side.
const LANES: usize = 64;

multiversion! {
    /// Runs along `n` neighbouring elements.
    unsafe fn run_row[S, F: Fold](x: &[F::In], y: &mut [F::In], reverse: bool) {
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

    /// Runs along `n` rows at distance `stride`, for up to 64 columns at once. `x` and `y` point to the first.
    unsafe fn run_columns[S, F: Fold](x: *const F::In, y: *mut F::In, stride: usize, n: usize, columns: usize, reverse: bool) {
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

/// `y[i] = x[0] op .. op x[i]` along `axis`, from its end if `reverse`. The 16-bit floats are carried in `f32`.
///
/// # Panics
/// When a buffer does not fit the shape, or for a sum or product of bool.
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
            dispatch!(numeric, dtype, T => columns::<Folding<$Op, T>>(pool, typed(x), shape, axis, reverse, typed_mut(y)),
                else panic!("{} does not take {dtype}", op.name()))
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
    assert!(x.len() == outer * n * inner && y.len() == x.len(), "buffers do not fit {shape:?}");
    if x.is_empty() {
        return;
    }
    if inner == 1 {
        let (each, run) = ((CHUNK / n).max(1), run_row::<F>());
        return pool.run_chunks(y, each * n, &|task, y| {
            for (x, y) in x[task * each * n..].chunks_exact(n).zip(y.chunks_exact_mut(n)) {
                // SAFETY: the pointer is the one for this machine; slices are checked.
                unsafe { run(x, y, reverse) };
            }
        });
    }
    let run = run_columns::<F>();
    let tiles = inner.div_ceil(LANES);
    let each = (CHUNK / (n * inner.min(LANES))).max(1);
    let y = SharedMut::new(y);
    pool.run_ranges(outer * tiles, each, &|range| {
        for item in range {
            let at = item / tiles * n * inner + item % tiles * LANES;
            let columns = LANES.min(inner - item % tiles * LANES);
            // SAFETY: the columns lie within both arrays, and every item has its own.
            unsafe { run(x.as_ptr().add(at), y.as_ptr().add(at), inner, n, columns, reverse) };
        }
    });
}
