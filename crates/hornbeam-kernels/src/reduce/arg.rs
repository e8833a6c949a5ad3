//! Argmax and argmin.

use std::marker::PhantomData;

use super::{elements_of, CHUNK, COLUMNS};
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::simd;

/// Order of an argmax or argmin.
trait Order: 'static {
    type T: Element;
    /// Returns true if `a` is strictly better, so that the first of equal elements wins. NaN beats every number.
    fn beats(a: Self::T, b: Self::T) -> bool;
}

struct Greatest<T>(PhantomData<T>);
struct Least<T>(PhantomData<T>);

impl<T: Element> Order for Greatest<T> {
    type T = T;
    #[inline(always)]
    fn beats(a: T, b: T) -> bool {
        let (a, b) = (a.to_acc(), b.to_acc());
        (a > b) | (a.is_nan() & !b.is_nan())
    }
}

impl<T: Element> Order for Least<T> {
    type T = T;
    #[inline(always)]
    fn beats(a: T, b: T) -> bool {
        let (a, b) = (a.to_acc(), b.to_acc());
        (a < b) | (a.is_nan() & !b.is_nan())
    }
}

multiversion! {
    /// Computes the index of the extremum of each row of `n`.
    unsafe fn arg_rows[S, O: Order; <O::T as Element>::DTYPE.copies_of_floats()](x: *const u8, n: usize, y: &mut [i32]) {
        const LANES: usize = simd::LANES / 2;
        // SAFETY: the caller's rows, as many as results.
        let x = unsafe { std::slice::from_raw_parts(x.cast::<O::T>(), n * y.len()) };
        for (row, y) in x.chunks_exact(n).zip(y) {
            // Find the best value by lanes, then the first element that it does not beat.
            let (body, rest) = row.as_chunks::<LANES>();
            let mut best = row[0];
            if let Some((first, body)) = body.split_first() {
                let mut lanes = *first;
                for part in body {
                    for j in 0..LANES {
                        lanes[j] = if O::beats(part[j], lanes[j]) { part[j] } else { lanes[j] };
                    }
                }
                best = lanes.into_iter().fold(best, |best, x| if O::beats(x, best) { x } else { best });
            }
            best = rest.iter().fold(best, |best, x| if O::beats(*x, best) { *x } else { best });
            *y = row.iter().position(|x| !O::beats(best, *x)).unwrap_or(0) as i32;
        }
    }

    /// Computes the row index of the extremum of each column.
    unsafe fn arg_columns[S, O: Order; <O::T as Element>::DTYPE.copies_of_floats()](x: *const u8, stride: usize, rows: usize, y: &mut [i32]) {
        const LANES: usize = simd::LANES;
        let columns = y.len();
        // SAFETY: the caller's rows.
        let x = unsafe { std::slice::from_raw_parts(x.cast::<O::T>(), (rows - 1) * stride + columns) };
        let mut at = 0;
        while at < columns {
            let m = LANES.min(columns - at);
            let mut best = [O::T::ZERO; LANES];
            let mut index = [0i32; LANES];
            best[..m].copy_from_slice(&x[at..at + m]);
            for row in 1..rows {
                let line = &x[row * stride + at..][..m];
                for ((best, index), x) in best.iter_mut().zip(&mut index).zip(line) {
                    let wins = O::beats(*x, *best);
                    *index = if wins { row as i32 } else { *index };
                    *best = if wins { *x } else { *best };
                }
            }
            y[at..at + m].copy_from_slice(&index[..m]);
            at += m;
        }
    }
}

/// Kernels of one order on one dtype. `x` of `columns` points to the first row.
struct Kernels {
    rows: unsafe fn(x: *const u8, n: usize, y: &mut [i32]),
    columns: unsafe fn(x: *const u8, stride: usize, rows: usize, y: &mut [i32]),
}

impl Kernels {
    fn of<O: Order>() -> Kernels {
        Kernels { rows: arg_rows::<O>(), columns: arg_columns::<O>() }
    }
}

/// Computes the index of the greatest element along `axis`, which is removed: the first of equal elements, or the first NaN.
///
/// # Panics
/// If `axis` is empty or a buffer does not have its shape or is not aligned.
pub fn argmax(pool: &ThreadPool, dtype: DType, x: &[u8], shape: &[usize], axis: usize, y: &mut [i32]) {
    let kernels = dispatch!(dtype, T => Kernels::of::<Greatest<T>>());
    arg_reduce(pool, kernels, dtype, x, shape, axis, y);
}

/// Computes like [`argmax`] the index of the least element.
pub fn argmin(pool: &ThreadPool, dtype: DType, x: &[u8], shape: &[usize], axis: usize, y: &mut [i32]) {
    let kernels = dispatch!(dtype, T => Kernels::of::<Least<T>>());
    arg_reduce(pool, kernels, dtype, x, shape, axis, y);
}

fn arg_reduce(
    pool: &ThreadPool,
    kernels: Kernels,
    dtype: DType,
    x: &[u8],
    shape: &[usize],
    axis: usize,
    y: &mut [i32],
) {
    let (n, size) = (shape[axis], dtype.size());
    let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
    assert!(
        elements_of(dtype, x) == outer * n * inner && y.len() == outer * inner,
        "buffers do not have the shape {shape:?}"
    );
    if y.is_empty() {
        return;
    }
    assert!(n > 0, "axis {axis} of {shape:?} is empty and has no extremum");
    if inner == 1 {
        let items_per_task = (CHUNK / n).max(1);
        pool.run_chunks(y, items_per_task, &|task, y| {
            let x = &x[task * items_per_task * n * size..][..y.len() * n * size];
            // SAFETY: the kernel is compiled for this machine; `x` has a row for each result.
            unsafe { (kernels.rows)(x.as_ptr(), n, y) };
        });
        return;
    }
    let tiles = inner.div_ceil(COLUMNS);
    let items_per_task = (CHUNK / (n * inner.min(COLUMNS))).max(1);
    let y = SharedMut::new(y);
    pool.run_ranges(outer * tiles, items_per_task, &|range| {
        for item in range {
            let (row, tile) = (item / tiles, item % tiles * COLUMNS);
            let end = (tile + COLUMNS).min(inner);
            let from = &x[(row * n * inner + tile) * size..((row * n + n - 1) * inner + end) * size];
            // SAFETY: items write disjoint columns, and `from` holds `n` rows of them.
            unsafe { (kernels.columns)(from.as_ptr(), inner, n, y.range(row * inner + tile..row * inner + end)) };
        }
    });
}
