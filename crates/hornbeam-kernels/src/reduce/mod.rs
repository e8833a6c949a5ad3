//! Reductions over axes of a contiguous array, and cumulative reductions along an axis.
//!
//! Order of the additions: a row is summed in 64 lanes (a short row in 16) within blocks of 1024, and blocks are added
//! pairwise; columns are added in groups of eight rows within chunks. Chunks depend on the shape alone, so the result is
//! the same for any number of threads, and the error grows with the logarithm of the length. The 16-bit floats accumulate
//! in `f32`.

mod arg;
mod block;
mod cumulative;
mod fold;
#[cfg(test)]
mod tests;

pub use arg::{argmax, argmin};
pub(crate) use block::combine_moments;
pub use block::{combine_partials, fold_kernels, BlockExtent, BlockFold, FoldFn, FoldKernels};
pub use cumulative::{cumulative, Cumulative};

use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::elementwise::convert;
use crate::named::named;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use crate::simd::isa;
use fold::{add_columns, fold_rows, And, Fold, Folding, Max, Min, Or, Prod, Sum};

/// Elements of a task: tens of microseconds at memory bandwidth.
const CHUNK: usize = 1 << 16;
/// Columns of a task, whose accumulators stay in the L1 cache.
const COLUMNS: usize = 1024;

named! {
    /// Reduction operation; `And` and `Or` are bitwise on integers.
    Reduce {
        Sum "reduce_sum", Prod "reduce_prod", Max "reduce_max", Min "reduce_min", And "reduce_and", Or "reduce_or",
    }
}

impl Reduce {
    /// Returns true if the operation is defined for `dtype`: sums and products for numbers, and/or for integers and bool,
    /// extrema for all.
    pub fn supports(self, dtype: DType) -> bool {
        match self {
            Reduce::Sum | Reduce::Prod => dtype != DType::Bool,
            Reduce::Max | Reduce::Min => true,
            Reduce::And | Reduce::Or => !dtype.is_float(),
        }
    }

    /// Dtype of the kernel: unsigned if signed and unsigned operands give the same bits.
    fn kernel_dtype(self, dtype: DType) -> DType {
        match self {
            Reduce::Max | Reduce::Min => dtype,
            _ => dtype.to_unsigned(),
        }
    }
}

/// A reduction of elements of one dtype. What follows does not depend on the types, so that it is compiled once.
#[derive(Clone, Copy)]
struct Reducer {
    rows: unsafe fn(x: *const u8, n: usize, y: *mut u8, rows: usize),
    columns: unsafe fn(x: *const u8, stride: usize, rows: usize, y: *mut u8, columns: usize, start: bool),
    /// Bytes of an element, and of an accumulator.
    size: usize,
    accumulator: usize,
    /// The same reduction of accumulators.
    next: fn() -> Reducer,
}

impl Reducer {
    /// The reduction for the instruction set of this thread.
    fn of<F: Fold>() -> Reducer {
        Reducer {
            rows: fold_rows::<F>(isa()),
            columns: add_columns::<F>(isa()),
            size: size_of::<F::In>(),
            accumulator: size_of::<F::Acc>(),
            next: Reducer::of::<F::Next>,
        }
    }

    fn new(op: Reduce, dtype: DType) -> Reducer {
        macro_rules! with {
            ($family:ident, $Op:ident) => {
                dispatch!($family, dtype, T => Reducer::of::<Folding<$Op, T>>(), else unreachable!())
            };
            ($Op:ident) => {
                dispatch!(dtype, T => Reducer::of::<Folding<$Op, T>>())
            };
        }
        match (op, dtype) {
            (Reduce::Sum, _) => with!(unsigned_or_float, Sum),
            (Reduce::Prod, _) => with!(unsigned_or_float, Prod),
            (Reduce::Max, _) => with!(Max),
            (Reduce::Min, _) => with!(Min),
            // On booleans, `and` and `or` are the extrema.
            (Reduce::And, DType::Bool) => with!(Min),
            (Reduce::Or, DType::Bool) => with!(Max),
            (Reduce::And, _) => with!(unsigned, And),
            (Reduce::Or, _) => with!(unsigned, Or),
        }
    }
}

/// Reduces `x` of `shape` over `axes`, which are removed. Sums and products of integers wrap; extrema propagate NaN; an
/// empty reduction gives the identity.
///
/// # Panics
/// If `op` does not support `dtype`, or if a buffer does not have its shape or is not aligned.
pub fn reduce(pool: &ThreadPool, op: Reduce, dtype: DType, x: &[u8], shape: &[usize], axes: &[usize], y: &mut [u8]) {
    assert!(op.supports(dtype), "{} does not support {dtype}", op.name());
    let reducer = Reducer::new(op, op.kernel_dtype(dtype));
    let runs = runs(shape, axes);
    let kept: usize = runs.iter().filter(|r| !r.1).map(|r| r.0).product();
    let elements: usize = shape.iter().product();
    assert_eq!(elements_of(dtype, x), elements, "the operand does not have its shape {shape:?}");
    assert_eq!(elements_of(dtype, y), kept, "the result does not have the shape {shape:?} without axes {axes:?}");
    if y.is_empty() {
        return;
    }
    if !runs.iter().any(|r| r.1) {
        y.copy_from_slice(x);
    } else if reducer.size == reducer.accumulator {
        passes(pool, reducer, x, runs, y);
    } else {
        with_local(|scratch| {
            let wide = scratch.take::<u8>(kept * reducer.accumulator);
            passes(pool, reducer, x, runs, wide);
            // SAFETY: both have `kept` elements; the 16-bit floats accumulate in `f32`.
            unsafe { convert(DType::F32, dtype)(wide.as_ptr(), y.as_mut_ptr(), kept) };
        });
    }
}

/// Number of elements of `dtype` in a buffer.
///
/// # Panics
/// If they are not aligned or their number is not a multiple of the element size.
pub(crate) fn elements_of(dtype: DType, bytes: &[u8]) -> usize {
    let size = dtype.size();
    assert!(
        bytes.is_empty() || (bytes.as_ptr() as usize).is_multiple_of(size) && bytes.len().is_multiple_of(size),
        "a buffer of {} bytes is not an aligned array of {dtype}",
        bytes.len()
    );
    bytes.len() / size
}

/// Views bytes as elements.
///
/// # Panics
/// If they are not aligned or their number is not a multiple of the element size.
pub(crate) fn typed<T: Element>(bytes: &[u8]) -> &[T] {
    if bytes.is_empty() {
        return &[];
    }
    assert!(
        bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>()),
        "a buffer of {} bytes is not an aligned array of {}",
        bytes.len(),
        T::DTYPE
    );
    // SAFETY: aligned and long enough by the assertion; every bit pattern is an element.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// Views bytes as mutable elements.
pub(crate) fn typed_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() {
        return &mut [];
    }
    assert!(
        bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>()),
        "a buffer of {} bytes is not an aligned array of {}",
        bytes.len(),
        T::DTYPE
    );
    // SAFETY: as above, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// Merges adjacent axes that are both reduced or both kept: (extent, reduced).
fn runs(shape: &[usize], axes: &[usize]) -> Vec<(usize, bool)> {
    let mut runs: Vec<(usize, bool)> = Vec::with_capacity(shape.len());
    for (axis, &extent) in shape.iter().enumerate() {
        push_run(&mut runs, extent, axes.contains(&axis));
    }
    runs
}

fn push_run(runs: &mut Vec<(usize, bool)>, extent: usize, reduced: bool) {
    match runs.last_mut() {
        Some(last) if last.1 == reduced => last.0 *= extent,
        _ if extent == 1 => {}
        _ => runs.push((extent, reduced)),
    }
}

/// Reduces the last reduced run, then the remaining ones.
fn passes(pool: &ThreadPool, reducer: Reducer, x: &[u8], mut runs: Vec<(usize, bool)>, y: &mut [u8]) {
    let last = runs.iter().rposition(|r| r.1).expect("at least one reduced run");
    let outer: usize = runs[..last].iter().map(|r| r.0).product();
    let inner: usize = runs[last + 1..].iter().map(|r| r.0).product();
    let n = runs[last].0;
    let tail = runs.split_off(last + 1);
    runs.pop();
    for (extent, reduced) in tail {
        push_run(&mut runs, extent, reduced);
    }
    if runs.iter().any(|r| r.1) {
        with_local(|scratch| {
            let partial = scratch.take::<u8>(outer * inner * reducer.accumulator);
            pass(pool, reducer, x, [outer, n, inner], partial);
            passes(pool, (reducer.next)(), partial, runs, y);
        });
    } else {
        pass(pool, reducer, x, [outer, n, inner], y);
    }
}

/// Reduces `[outer, n, inner]` to `[outer, inner]`.
fn pass(pool: &ThreadPool, reducer: Reducer, x: &[u8], [outer, n, inner]: [usize; 3], y: &mut [u8]) {
    if n == 0 {
        // SAFETY: the accumulators of no rows.
        unsafe { (reducer.columns)(x.as_ptr(), 0, 0, y.as_mut_ptr(), outer * inner, true) };
    } else if inner == 1 {
        rows(pool, reducer, x, outer, n, y);
    } else {
        columns(pool, reducer, x, [outer, n, inner], y);
    }
}

fn rows(pool: &ThreadPool, reducer: Reducer, x: &[u8], outer: usize, n: usize, y: &mut [u8]) {
    let (size, accumulator) = (reducer.size, reducer.accumulator);
    if n <= 2 * CHUNK {
        let rows_per_task = (CHUNK / n).max(1);
        pool.run_chunks(y, rows_per_task * accumulator, &|task, y| {
            let rows = y.len() / accumulator;
            let x = &x[task * rows_per_task * n * size..][..rows * n * size];
            // SAFETY: `rows` rows of `n` elements.
            unsafe { (reducer.rows)(x.as_ptr(), n, y.as_mut_ptr(), rows) };
        });
        return;
    }
    let chunks = n.div_ceil(CHUNK);
    with_local(|scratch| {
        let partial = scratch.take::<u8>(outer * chunks * accumulator);
        pool.run_chunks(partial, accumulator, &|task, partial| {
            let (row, chunk) = (task / chunks * n, task % chunks * CHUNK);
            let n = CHUNK.min(n - chunk);
            let part = &x[(row + chunk) * size..][..n * size];
            // SAFETY: one row.
            unsafe { (reducer.rows)(part.as_ptr(), n, partial.as_mut_ptr(), 1) };
        });
        rows(pool, (reducer.next)(), partial, outer, chunks, y);
    });
}

fn columns(pool: &ThreadPool, reducer: Reducer, x: &[u8], [outer, n, inner]: [usize; 3], y: &mut [u8]) {
    let height = (CHUNK / inner).max(64).next_multiple_of(8);
    let chunks = n.div_ceil(height);
    if chunks > 1 {
        with_local(|scratch| {
            let partial = scratch.take::<u8>(outer * chunks * inner * reducer.accumulator);
            column_tasks(pool, reducer, x, [outer, n, inner], height, partial);
            pass(pool, (reducer.next)(), partial, [outer, chunks, inner], y);
        });
    } else {
        column_tasks(pool, reducer, x, [outer, n, inner], n, y);
    }
}

/// Reduces chunks of `height` rows: `[outer, n, inner]` to `[outer, n / height, inner]`.
fn column_tasks(
    pool: &ThreadPool,
    reducer: Reducer,
    x: &[u8],
    [outer, n, inner]: [usize; 3],
    height: usize,
    y: &mut [u8],
) {
    let (size, accumulator) = (reducer.size, reducer.accumulator);
    let (chunks, tiles) = (n.div_ceil(height), inner.div_ceil(COLUMNS));
    let items = outer * chunks * tiles;
    let items_per_task = (CHUNK / (height.min(n) * inner.min(COLUMNS))).max(1);
    let y = SharedMut::new(y);
    pool.run_ranges(items, items_per_task, &|range| {
        for item in range {
            let (tile, chunk, row) = (item % tiles, item / tiles % chunks, item / tiles / chunks);
            let columns = tile * COLUMNS..((tile + 1) * COLUMNS).min(inner);
            let (first, end) = (chunk * height, ((chunk + 1) * height).min(n));
            let from = (row * n + first) * inner + columns.start..(row * n + end - 1) * inner + columns.end;
            let from = &x[from.start * size..from.end * size];
            let to = (row * chunks + chunk) * inner;
            // SAFETY: items write disjoint columns and chunks, and `from` holds `end - first` rows.
            unsafe {
                let y = y.range((to + columns.start) * accumulator..(to + columns.end) * accumulator);
                (reducer.columns)(from.as_ptr(), inner, end - first, y.as_mut_ptr(), columns.len(), true);
            }
        }
    });
}
