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

use std::any::TypeId;

pub use arg::{argmax, argmin};
pub use block::{combine_partials, fold_kernels, BlockExtent, BlockFold, FoldKernels};
pub use cumulative::{cumulative, Cumulative};

use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use crate::simd::isa;
use fold::{add_columns, fold_rows, And, Fold, Folding, Max, Min, Or, Prod, Sum};

/// Elements of a task: tens of microseconds at memory bandwidth.
const CHUNK: usize = 1 << 16;
/// Columns of a task, whose accumulators stay in the L1 cache.
const COLUMNS: usize = 1024;

/// Reduction operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduce {
    Sum,
    Prod,
    Max,
    Min,
    /// Bitwise on integers.
    And,
    Or,
}

impl Reduce {
    pub const ALL: [Reduce; 6] = [Reduce::Sum, Reduce::Prod, Reduce::Max, Reduce::Min, Reduce::And, Reduce::Or];

    /// Name of the primitive.
    pub const fn name(self) -> &'static str {
        match self {
            Reduce::Sum => "reduce_sum",
            Reduce::Prod => "reduce_prod",
            Reduce::Max => "reduce_max",
            Reduce::Min => "reduce_min",
            Reduce::And => "reduce_and",
            Reduce::Or => "reduce_or",
        }
    }

    /// Inverse of [`Reduce::name`].
    pub fn parse(name: &str) -> Option<Reduce> {
        Reduce::ALL.into_iter().find(|op| op.name() == name)
    }

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

/// Reduces `x` of `shape` over `axes`, which are removed. Sums and products of integers wrap; extrema propagate NaN; an
/// empty reduction gives the identity.
///
/// # Panics
/// If `op` does not support `dtype`, or if a buffer does not have its shape or is not aligned.
pub fn reduce(pool: &ThreadPool, op: Reduce, dtype: DType, x: &[u8], shape: &[usize], axes: &[usize], y: &mut [u8]) {
    assert!(op.supports(dtype), "{} does not support {dtype}", op.name());
    let dtype = op.kernel_dtype(dtype);
    macro_rules! with {
        ($family:ident, $Op:ident) => {
            dispatch!($family, dtype, T => folds::<Folding<$Op, T>>(pool, x, shape, axes, y), else unreachable!())
        };
        ($Op:ident) => {
            dispatch!(dtype, T => folds::<Folding<$Op, T>>(pool, x, shape, axes, y))
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

fn folds<F: Fold>(pool: &ThreadPool, x: &[u8], shape: &[usize], axes: &[usize], y: &mut [u8]) {
    let (x, y) = (typed::<F::In>(x), typed_mut::<F::In>(y));
    let runs = runs(shape, axes);
    let kept: usize = runs.iter().filter(|r| !r.1).map(|r| r.0).product();
    assert_eq!(x.len(), shape.iter().product::<usize>(), "the operand does not have its shape {shape:?}");
    assert_eq!(y.len(), kept, "the result does not have the shape {shape:?} without axes {axes:?}");
    if y.is_empty() {
        return;
    }
    if !runs.iter().any(|r| r.1) {
        y.copy_from_slice(x);
    } else if TypeId::of::<F::In>() == TypeId::of::<F::Acc>() {
        // SAFETY: the two types are equal.
        let y = unsafe { std::slice::from_raw_parts_mut(y.as_mut_ptr().cast::<F::Acc>(), y.len()) };
        passes::<F>(pool, x, runs, y);
    } else {
        with_local(|scratch| {
            let wide = scratch.take::<F::Acc>(kept);
            passes::<F>(pool, x, runs, wide);
            for (y, wide) in y.iter_mut().zip(wide) {
                *y = F::In::from_acc(*wide);
            }
        });
    }
}

/// Reduces the last reduced run, then the remaining ones.
fn passes<F: Fold>(pool: &ThreadPool, x: &[F::In], mut runs: Vec<(usize, bool)>, y: &mut [F::Acc]) {
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
            let partial = scratch.take::<F::Acc>(outer * inner);
            pass::<F>(pool, x, [outer, n, inner], partial);
            passes::<F::Next>(pool, partial, runs, y);
        });
    } else {
        pass::<F>(pool, x, [outer, n, inner], y);
    }
}

/// Reduces `[outer, n, inner]` to `[outer, inner]`.
fn pass<F: Fold>(pool: &ThreadPool, x: &[F::In], [outer, n, inner]: [usize; 3], y: &mut [F::Acc]) {
    if n == 0 {
        y.fill(F::IDENTITY);
    } else if inner == 1 {
        rows::<F>(pool, x, outer, n, y);
    } else {
        columns::<F>(pool, x, [outer, n, inner], y);
    }
}

fn rows<F: Fold>(pool: &ThreadPool, x: &[F::In], outer: usize, n: usize, y: &mut [F::Acc]) {
    let fold = fold_rows::<F>(isa());
    if n <= 2 * CHUNK {
        pool.run_chunks(y, (CHUNK / n).max(1), &|task, y| {
            let at = task * (CHUNK / n).max(1) * n;
            // SAFETY: `y.len()` rows of `n` elements.
            unsafe { fold(&x[at..at + y.len() * n], n, y) };
        });
        return;
    }
    let chunks = n.div_ceil(CHUNK);
    with_local(|scratch| {
        let partial = scratch.take::<F::Acc>(outer * chunks);
        pool.run_chunks(partial, 1, &|task, partial| {
            let (row, chunk) = (task / chunks * n, task % chunks * CHUNK);
            let part = &x[row + chunk..row + (chunk + CHUNK).min(n)];
            // SAFETY: one row.
            unsafe { fold(part, part.len(), partial) };
        });
        rows::<F::Next>(pool, partial, outer, chunks, y);
    });
}

fn columns<F: Fold>(pool: &ThreadPool, x: &[F::In], [outer, n, inner]: [usize; 3], y: &mut [F::Acc]) {
    let height = (CHUNK / inner).max(64).next_multiple_of(8);
    let chunks = n.div_ceil(height);
    if chunks > 1 {
        with_local(|scratch| {
            let partial = scratch.take::<F::Acc>(outer * chunks * inner);
            column_tasks::<F>(pool, x, [outer, n, inner], height, partial);
            pass::<F::Next>(pool, partial, [outer, chunks, inner], y);
        });
    } else {
        column_tasks::<F>(pool, x, [outer, n, inner], n, y);
    }
}

/// Reduces chunks of `height` rows: `[outer, n, inner]` to `[outer, n / height, inner]`.
fn column_tasks<F: Fold>(
    pool: &ThreadPool,
    x: &[F::In],
    [outer, n, inner]: [usize; 3],
    height: usize,
    y: &mut [F::Acc],
) {
    let add = add_columns::<F>(isa());
    let (chunks, tiles) = (n.div_ceil(height), inner.div_ceil(COLUMNS));
    let items = outer * chunks * tiles;
    let items_per_task = (CHUNK / (height.min(n) * inner.min(COLUMNS))).max(1);
    let y = SharedMut::new(y);
    pool.run_ranges(items, items_per_task, &|range| {
        for item in range {
            let (tile, chunk, row) = (item % tiles, item / tiles % chunks, item / tiles / chunks);
            let columns = tile * COLUMNS..((tile + 1) * COLUMNS).min(inner);
            let (first, end) = (chunk * height, ((chunk + 1) * height).min(n));
            let from =
                &x[(row * n + first) * inner + columns.start..(row * n + end - 1) * inner + inner.min(columns.end)];
            let to = (row * chunks + chunk) * inner;
            // SAFETY: items write disjoint columns and chunks, and `from` holds `end - first` rows.
            unsafe {
                let y = y.range(to + columns.start..to + columns.end);
                y.fill(F::IDENTITY);
                add(from, inner, end - first, y);
            }
        }
    });
}
