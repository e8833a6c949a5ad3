//! Cumulative reductions: sum, product, maximum and minimum.

use super::fold::{Fold, Folding, Max, Min, Prod, Sum};
use super::{elements_of, CHUNK};
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::multiversion;
use crate::named::named;
use crate::pool::{SharedMut, ThreadPool};
use crate::simd::{Copies, LANES};

named! {
    /// Cumulative operation.
    Cumulative { Sum "cumsum", Prod "cumprod", Max "cummax", Min "cummin", }
}

/// Rows of floats that are accumulated together: an addition takes as long as this many others need to begin.
const TOGETHER: usize = 4;

/// Elements of a row whose results are narrowed together, so that the conversion of 16-bit floats is vectorised.
const NARROWED: usize = 64;

/// Accumulates along each of `R` rows of `n` elements.
///
/// # Safety
/// The rows are readable at `x` and writable at `y`.
#[inline(always)]
unsafe fn accumulate<F: Fold, const R: usize>(x: *const F::In, y: *mut F::In, n: usize, reverse: bool) {
    let mut carries = [F::IDENTITY; R];
    let mut results = [[F::IDENTITY; NARROWED]; R];
    for start in (0..n).step_by(NARROWED) {
        let length = NARROWED.min(n - start);
        let first = if reverse { n - start - length } else { start };
        for i in 0..length {
            let at = if reverse { length - 1 - i } else { i };
            for (row, (carry, results)) in carries.iter_mut().zip(&mut results).enumerate() {
                // SAFETY: the caller's rows; `at` is below `length`.
                unsafe {
                    *carry = F::combine(*carry, (*x.add(row * n + first + at)).to_acc());
                    *results.get_unchecked_mut(at) = *carry;
                }
            }
        }
        for (row, results) in results.iter().enumerate() {
            // SAFETY: the caller's rows.
            let y = unsafe { std::slice::from_raw_parts_mut(y.add(row * n + first), length) };
            for (y, result) in y.iter_mut().zip(results) {
                *y = F::In::from_acc(*result);
            }
        }
    }
}

/// Accumulates along `n` elements that need no narrowing: the sum stays in a register.
///
/// # Safety
/// The row is readable at `x` and writable at `y`.
#[inline(always)]
unsafe fn accumulate_row<F: Fold>(x: *const F::In, y: *mut F::In, n: usize, reverse: bool) {
    let mut carry = F::IDENTITY;
    for i in 0..n {
        let at = if reverse { n - 1 - i } else { i };
        // SAFETY: the caller's row.
        unsafe {
            carry = F::combine(carry, (*x.add(at)).to_acc());
            *y.add(at) = F::In::from_acc(carry);
        }
    }
}

multiversion! {
    /// Accumulates along each of `rows` rows of `n` contiguous elements, one after the other.
    unsafe fn accumulate_rows[S, F: Fold; Copies::Portable](x: *const u8, y: *mut u8, n: usize, rows: usize, reverse: bool) {
        let (x, y) = (x.cast::<F::In>(), y.cast::<F::In>());
        let together = if const { F::In::DTYPE.is_float() } { rows / TOGETHER * TOGETHER } else { 0 };
        // SAFETY: the caller's rows.
        unsafe {
            for row in (0..together).step_by(TOGETHER) {
                accumulate::<F, TOGETHER>(x.add(row * n), y.add(row * n), n, reverse);
            }
            for row in together..rows {
                let (x, y) = (x.add(row * n), y.add(row * n));
                if const { size_of::<F::In>() == size_of::<<F::In as Element>::Acc>() } {
                    accumulate_row::<F>(x, y, n, reverse);
                } else {
                    accumulate::<F, 1>(x, y, n, reverse);
                }
            }
        }
    }

    /// Accumulates along `n` rows with stride `stride`, for up to [`LANES`] columns. `x` and `y` point to the first row.
    unsafe fn accumulate_columns[S, F: Fold; F::COPIES](
        x: *const u8, y: *mut u8, stride: usize, n: usize, columns: usize, reverse: bool) {
        let (x, y) = (x.cast::<F::In>(), y.cast::<F::In>());
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

/// Kernels of one operation on one dtype.
struct Kernels {
    rows: unsafe fn(x: *const u8, y: *mut u8, n: usize, rows: usize, reverse: bool),
    columns: unsafe fn(x: *const u8, y: *mut u8, stride: usize, n: usize, columns: usize, reverse: bool),
}

fn kernels(op: Cumulative, dtype: DType) -> Kernels {
    fn of<F: Fold>() -> Kernels {
        Kernels { rows: accumulate_rows::<F>(), columns: accumulate_columns::<F>() }
    }
    macro_rules! with {
        ($Op:ident) => {
            dispatch!(unsigned_or_float, dtype.to_unsigned(), T => of::<Folding<$Op, T>>(),
                else panic!("{} does not support {dtype}", op.name()))
        };
        (any $Op:ident) => {
            dispatch!(dtype, T => of::<Folding<$Op, T>>())
        };
    }
    match op {
        Cumulative::Sum => with!(Sum),
        Cumulative::Prod => with!(Prod),
        Cumulative::Max => with!(any Max),
        Cumulative::Min => with!(any Min),
    }
}

/// Computes `y[i] = x[0] op .. op x[i]` along `axis`, from its end if `reverse`. 16-bit floats accumulate in `f32`.
///
/// # Panics
/// If a buffer does not have the shape or is not aligned, or for a sum or product of bool.
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
    let (n, size) = (shape[axis], dtype.size());
    let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
    let elements = outer * n * inner;
    assert!(
        elements_of(dtype, x) == elements && elements_of(dtype, y) == elements,
        "buffers do not have the shape {shape:?}"
    );
    let kernels = kernels(op, dtype);
    if x.is_empty() {
        return;
    }
    if inner == 1 {
        let bytes = n * size;
        return pool.run_chunks(y, (CHUNK / n).max(1) * bytes, &|task, y| {
            let x = &x[task * (CHUNK / n).max(1) * bytes..][..y.len()];
            // SAFETY: the kernel is compiled for this machine; both hold whole rows of `n` elements.
            unsafe { (kernels.rows)(x.as_ptr(), y.as_mut_ptr(), n, y.len() / bytes, reverse) };
        });
    }
    let tiles = inner.div_ceil(LANES);
    let items_per_task = (CHUNK / (n * inner.min(LANES))).max(1);
    let y = SharedMut::new(y);
    pool.run_ranges(outer * tiles, items_per_task, &|range| {
        for item in range {
            let at = (item / tiles * n * inner + item % tiles * LANES) * size;
            let columns = LANES.min(inner - item % tiles * LANES);
            // SAFETY: the columns lie within both arrays, and items are disjoint.
            unsafe { (kernels.columns)(x.as_ptr().add(at), y.as_ptr().add(at), inner, n, columns, reverse) };
        }
    });
}
