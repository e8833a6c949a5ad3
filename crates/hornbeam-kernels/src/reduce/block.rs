//! Reductions of the blocks that a fused loop computes, while they are in cache.
//!
//! A loop over `[outer, n, inner]` reduces the middle axis. It is split into parts of rows by the shape alone; every part
//! carries its own accumulators from block to block, and [`combine_partials`] combines those of a group in order.

use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::math::Real;
use crate::multiversion;
use crate::pool::ThreadPool;
use crate::simd::LANES;
use crate::softmax::FloatElement;

use super::fold::{add_columns, fold_long, fold_rows, And, Fold, Folding, Max, Min, Or, Prod, Sum};
use super::{reduce, typed, typed_mut, Reduce};
use crate::sums::sum;

/// Reduction of blocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BlockFold {
    Reduce(Reduce),
    /// Mean and variance, computed from deviations: two results, of the accumulator dtype ([`Element::Acc`]).
    Moments,
}

impl BlockFold {
    pub const fn name(self) -> &'static str {
        match self {
            BlockFold::Reduce(op) => op.name(),
            BlockFold::Moments => "moments",
        }
    }

    /// Number of accumulators per kept element, which is the number of results.
    pub const fn planes(self) -> usize {
        match self {
            BlockFold::Reduce(_) => 1,
            BlockFold::Moments => 2,
        }
    }

    /// Accumulator dtype for elements of `dtype`.
    pub fn accumulator(self, dtype: DType) -> DType {
        match self {
            BlockFold::Reduce(_) => dtype,
            BlockFold::Moments => DType::F64,
        }
    }
}

/// Extent of a block within its part.
#[derive(Clone, Copy, Debug)]
pub struct BlockExtent {
    pub columns: usize,
    pub rows: usize,
    /// Rows of the part before this block.
    pub before: usize,
    /// Distance between the planes of accumulators, in elements.
    pub plane: usize,
}

/// Kernel that folds a block of `rows` rows of `columns` elements into the accumulators of its columns. The first block of a
/// part (`before` is 0) initialises them.
pub type FoldFn = unsafe fn(x: *const u8, at: BlockExtent, accumulators: *mut u8);

/// Kernels of one reduction.
#[derive(Clone, Copy)]
pub struct FoldKernels {
    pub columns: FoldFn,
    /// Reduces each row of `columns` elements into a separate accumulator. The planes of a row are adjacent.
    pub rows: FoldFn,
}

/// Kernels of `fold` for elements of `dtype`, or `None` if a fused loop does not support the reduction.
pub fn fold_kernels(fold: BlockFold, dtype: DType) -> Option<FoldKernels> {
    macro_rules! with {
        ($($t:ident),*: $Op:ident) => {
            match dtype {
                $(<$t as Element>::DTYPE => {
                    Some(FoldKernels { columns: reduce_columns::<Folding<$Op, $t>>(), rows: reduce_rows::<Folding<$Op, $t>>() })
                })*
                _ => None,
            }
        };
        (bitwise $Op:ident) => {
            with!(u8, u16, u32, u64: $Op)
        };
        (wrapping $Op:ident) => {
            with!(u8, u16, u32, u64, f32, f64: $Op)
        };
        (ordered $Op:ident) => {
            with!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64: $Op)
        };
    }
    let dtype = match fold {
        BlockFold::Reduce(op) => op.kernel_dtype(dtype),
        BlockFold::Moments => dtype,
    };
    match fold {
        BlockFold::Reduce(Reduce::Sum) => with!(wrapping Sum),
        BlockFold::Reduce(Reduce::Prod) => with!(wrapping Prod),
        BlockFold::Reduce(Reduce::Max) => with!(ordered Max),
        BlockFold::Reduce(Reduce::Min) => with!(ordered Min),
        BlockFold::Reduce(Reduce::And) => with!(bitwise And),
        BlockFold::Reduce(Reduce::Or) => with!(bitwise Or),
        BlockFold::Moments => dispatch!(float, dtype, T => {
            Some(FoldKernels { columns: moments_columns::<T>(), rows: moments_rows::<T>() })
        }, else None),
    }
}

multiversion! {
    unsafe fn reduce_columns[S, F: Fold; F::COPIES](x: *const u8, at: BlockExtent, accumulators: *mut u8) {
        // SAFETY: the caller's block and accumulators.
        unsafe {
            if at.columns == 1 {
                let (x, y) = (std::slice::from_raw_parts(x.cast::<F::In>(), at.rows), &mut *accumulators.cast::<F::Acc>());
                let sum = fold_long::<F>(S::ISA)(x);
                *y = if at.before == 0 { sum } else { F::combine(*y, sum) };
            } else {
                add_columns::<F>(S::ISA)(x, at.columns, at.rows, accumulators, at.columns, at.before == 0);
            }
        }
    }

    unsafe fn reduce_rows[S, F: Fold; F::COPIES](x: *const u8, at: BlockExtent, accumulators: *mut u8) {
        // SAFETY: the caller's block, and one accumulator per row.
        unsafe { fold_rows::<F>(S::ISA)(x, at.columns, accumulators, at.rows) };
    }

    unsafe fn moments_columns[S, T: FloatElement; T::DTYPE.copies()](x: *const u8, at: BlockExtent, accumulators: *mut u8) {
        // SAFETY: the caller's block, and two planes of accumulators.
        let (x, mean, squares_sum) = unsafe {
            let accumulators = accumulators.cast::<f64>();
            (
                std::slice::from_raw_parts(x.cast::<T>(), at.rows * at.columns),
                std::slice::from_raw_parts_mut(accumulators, at.columns),
                std::slice::from_raw_parts_mut(accumulators.add(at.plane), at.columns),
            )
        };
        let narrow = narrow_deviations::<T>(S::ISA);
        // SAFETY: `narrow` has no precondition other than the instruction set.
        let narrow = |x: &[T], stride, rows, width| unsafe { narrow(x, stride, rows, width) };
        add_moments(x, at.columns, at.before, mean, squares_sum, narrow);
    }

    unsafe fn moments_rows[S, T: FloatElement; T::DTYPE.copies()](x: *const u8, at: BlockExtent, accumulators: *mut u8) {
        // SAFETY: the caller's block, and two accumulators per row.
        let (x, y) = unsafe {
            let x = std::slice::from_raw_parts(x.cast::<T>(), at.rows * at.columns);
            (x, std::slice::from_raw_parts_mut(accumulators.cast::<f64>(), at.rows * 2))
        };
        for (row, y) in x.chunks_exact(at.columns).zip(y.chunks_exact_mut(2)) {
            let (mean, squares_sum) = y.split_at_mut(1);
            add_column_moments(row, 0.0, mean, squares_sum);
        }
    }
}

/// Rows after which deviations refer to a new pivot element: bounds the error of an outlying pivot.
const PIVOT_ROWS: usize = 64;
/// Rows that are added at once to sums that are not in registers: a divisor of the rows after a pivot.
const GROUP: usize = 7;

/// Means and sums of squared deviations of up to [`LANES`] columns.
type Deviations = ([f64; LANES], [f64; LANES]);

/// Adds rows to the means and sums of squared deviations of `before` earlier rows. `narrow` is [`narrow_deviations`].
#[inline(always)]
fn add_moments<T: FloatElement>(
    x: &[T],
    columns: usize,
    before: usize,
    mean: &mut [f64],
    squares_sum: &mut [f64],
    narrow: impl Fn(&[T], usize, usize, usize) -> Deviations,
) {
    let mut before = before as f64;
    if columns == 1 {
        return add_column_moments(x, before, mean, squares_sum);
    }
    if columns <= LANES {
        // Several adjacent rows fill the lanes.
        let rows_per_vector = LANES / columns;
        let part_len = PIVOT_ROWS * rows_per_vector * columns;
        for part in x.chunks(part_len) {
            let (body, rest) = part.split_at(part.len() / (rows_per_vector * columns) * rows_per_vector * columns);
            for (part, rows_per_vector) in [(body, rows_per_vector), (rest, 1)] {
                let rows = part.len() / (rows_per_vector * columns);
                if rows == 0 {
                    continue;
                }
                let width = rows_per_vector * columns;
                let lanes =
                    if width == LANES { deviations(part, LANES, rows) } else { narrow(part, width, rows, width) };
                for row in 0..rows_per_vector {
                    let lanes = (&lanes.0[row * columns..], &lanes.1[row * columns..]);
                    merge(mean, squares_sum, before, lanes, rows as f64);
                    before += rows as f64;
                }
            }
        }
        return;
    }
    for part in x.chunks(PIVOT_ROWS * columns) {
        let rows = part.len() / columns;
        for (tile, (mean, squares_sum)) in mean.chunks_mut(LANES).zip(squares_sum.chunks_mut(LANES)).enumerate() {
            let (part, width) = (&part[tile * LANES..], mean.len());
            let lanes =
                if width == LANES { deviations(part, columns, rows) } else { narrow(part, columns, rows, width) };
            merge(mean, squares_sum, before, (&lanes.0, &lanes.1), rows as f64);
        }
        before += rows as f64;
    }
}

/// Adds adjacent elements to the mean and the sum of squared deviations of `before` earlier ones.
#[inline(always)]
fn add_column_moments<T: FloatElement>(x: &[T], mut before: f64, mean: &mut [f64], squares_sum: &mut [f64]) {
    for part in x.chunks(PIVOT_ROWS * LANES) {
        let (means, squares) = moments_of(part);
        merge(mean, squares_sum, before, (&[means], &[squares]), part.len() as f64);
        before += part.len() as f64;
    }
}

/// Computes the mean and the sum of squared deviations of adjacent elements, from differences to the first.
#[inline(always)]
fn moments_of<T: FloatElement>(x: &[T]) -> (f64, f64) {
    let first = x[0].to_acc();
    let mean = sum([x], |[x]| x.to_acc() - first) / T::Acc::from_f64(x.len() as f64);
    let squares = sum([x], |[x]| {
        let d = (x.to_acc() - first) - mean;
        d * d
    });
    (first.to_f64() + mean.to_f64(), squares.to_f64())
}

/// Computes means and sums of squared deviations of [`LANES`] columns with row stride `stride`, from differences to their
/// first elements, whose distance from the mean is of the order of the deviations.
#[inline(always)]
fn deviations<T: FloatElement>(x: &[T], stride: usize, rows: usize) -> Deviations {
    let (mut first, mut sum, mut squares) = ([T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES]);
    for (first, x) in first.iter_mut().zip(&x[..LANES]) {
        *first = x.to_acc();
    }
    for row in 1..rows {
        let row = &x[row * stride..][..LANES];
        for j in 0..LANES {
            let d = row[j].to_acc() - first[j];
            sum[j] = sum[j] + d;
            squares[j] = squares[j] + d * d;
        }
    }
    about_means(&first, &sum, &squares, rows, LANES)
}

multiversion! {
    /// Computes [`deviations`] of fewer columns: their sums do not stay in registers, and are loaded and stored once for
    /// several rows.
    unsafe fn narrow_deviations(isa)[S, T: FloatElement; T::DTYPE.copies()](
        x: &[T], stride: usize, rows: usize, width: usize,
    ) -> Deviations {
        let (mut first, mut sum, mut squares) =
            ([T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES]);
        for (first, x) in first.iter_mut().zip(&x[..width]) {
            *first = x.to_acc();
        }
        let mut row = 1;
        while row + GROUP <= rows {
            let group: [&[T]; GROUP] = std::array::from_fn(|i| &x[(row + i) * stride..][..width]);
            add_deviations(group, &first[..width], &mut sum, &mut squares);
            row += GROUP;
        }
        for row in row..rows {
            add_deviations([&x[row * stride..][..width]], &first[..width], &mut sum, &mut squares);
        }
        about_means(&first, &sum, &squares, rows, width)
    }
}

/// Returns means and sums of squared deviations from them, given those from `first`.
#[inline(always)]
fn about_means<A: Real>(
    first: &[A; LANES],
    sum: &[A; LANES],
    squares: &[A; LANES],
    rows: usize,
    width: usize,
) -> Deviations {
    let n = rows as f64;
    let (mut mean, mut squares_sum) = ([0.0; LANES], [0.0; LANES]);
    for j in 0..width {
        let (s, q) = (sum[j].to_f64(), squares[j].to_f64());
        mean[j] = first[j].to_f64() + s / n;
        squares_sum[j] = (q - s * s / n).max(0.0);
    }
    (mean, squares_sum)
}

/// Adds the deviations of some rows from `first`, and their squares, to sums in memory.
#[inline(always)]
fn add_deviations<T: FloatElement, const N: usize>(
    rows: [&[T]; N],
    first: &[T::Acc],
    sum: &mut [T::Acc],
    squares: &mut [T::Acc],
) {
    let rows = rows.map(|row| &row[..first.len()]);
    for (j, ((sum, squares), first)) in sum.iter_mut().zip(squares).zip(first).enumerate() {
        for row in rows {
            // SAFETY: each row has as many columns as `first`.
            let d = unsafe { *row.get_unchecked(j) }.to_acc() - *first;
            *sum = *sum + d;
            *squares = *squares + d * d;
        }
    }
}

/// Merges the moments of `more` rows into those of `count` rows (Chan, Golub and LeVeque 1983).
#[inline(always)]
fn merge(mean: &mut [f64], squares_sum: &mut [f64], count: f64, (means, squares_sums): (&[f64], &[f64]), more: f64) {
    if count == 0.0 {
        mean.copy_from_slice(&means[..mean.len()]);
        squares_sum.copy_from_slice(&squares_sums[..squares_sum.len()]);
        return;
    }
    let fraction = more / (count + more);
    let weight = count * fraction;
    for j in 0..mean.len() {
        let d = means[j] - mean[j];
        mean[j] += d * fraction;
        squares_sum[j] += squares_sums[j] + d * d * weight;
    }
}

/// Combines the accumulators of the parts of every group into the results, in order.
///
/// `partial` is `[outer, parts, planes, inner]` of the accumulator dtype; parts have `height` rows, the last part of a group
/// the remaining rows of `n`.
///
/// # Panics
/// If a buffer does not have its shape.
pub fn combine_partials(
    pool: &ThreadPool,
    fold: BlockFold,
    dtype: DType,
    partial: &[u8],
    [outer, n, inner]: [usize; 3],
    height: usize,
    results: [&mut [u8]; 2],
) {
    let parts = n.div_ceil(height);
    let [first, second] = results;
    match fold {
        BlockFold::Reduce(op) => reduce(pool, op, dtype, partial, &[outer, parts, inner], &[1], first),
        BlockFold::Moments if dtype == DType::F64 => {
            combine_moments::<f64>(typed(partial), [outer, n, inner], height, typed_mut(first), typed_mut(second));
        }
        BlockFold::Moments => {
            combine_moments::<f32>(typed(partial), [outer, n, inner], height, typed_mut(first), typed_mut(second));
        }
    }
}

/// Merges the moments of the parts of each group, for up to [`LANES`] columns at a time. For operands see [`combine_partials`].
pub(crate) fn combine_moments<A: Real>(
    partial: &[f64],
    [outer, n, inner]: [usize; 3],
    height: usize,
    means: &mut [A],
    variances: &mut [A],
) {
    assert!([means.len(), variances.len()] == [outer * inner; 2], "a result does not hold {outer} x {inner} elements");
    let groups = partial.chunks_exact(n.div_ceil(height) * 2 * inner);
    for (group, (means, variances)) in groups.zip(means.chunks_exact_mut(inner).zip(variances.chunks_exact_mut(inner)))
    {
        for (tile, (means, variances)) in means.chunks_mut(LANES).zip(variances.chunks_mut(LANES)).enumerate() {
            let columns = tile * LANES..tile * LANES + means.len();
            let (mut mean, mut squares_sum) = ([0.0; LANES], [0.0; LANES]);
            let (mean, squares_sum) = (&mut mean[..means.len()], &mut squares_sum[..means.len()]);
            for (part, planes) in group.chunks_exact(2 * inner).enumerate() {
                let before = part * height;
                let of_part = (&planes[columns.clone()], &planes[inner..][columns.clone()]);
                merge(mean, squares_sum, before as f64, of_part, height.min(n - before) as f64);
            }
            for (result, mean) in means.iter_mut().zip(mean) {
                *result = A::from_f64(*mean);
            }
            for (result, squares_sum) in variances.iter_mut().zip(squares_sum) {
                *result = A::from_f64(*squares_sum / n as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::on_each_isa;
    use crate::testing::Random;

    /// Computes moments of `[n, inner]` in blocks of `block` rows and parts of `height` rows.
    fn moments<T: Element>(x: &[T], n: usize, inner: usize, height: usize, block: usize) -> [Vec<T>; 2] {
        let kernels = fold_kernels(BlockFold::Moments, T::DTYPE).unwrap();
        let parts = n.div_ceil(height);
        let mut partial = vec![0.0f64; parts * 2 * inner];
        for part in 0..parts {
            let end = ((part + 1) * height).min(n);
            let mut row = part * height;
            while row < end {
                let rows = block.min(end - row);
                let at = BlockExtent { columns: inner, rows, before: row - part * height, plane: inner };
                let (x, y) = (&x[row * inner..], &mut partial[part * 2 * inner..]);
                // SAFETY: the block lies in x; y holds two planes.
                unsafe { (kernels.columns)(x.as_ptr().cast(), at, y.as_mut_ptr().cast()) };
                row += rows;
            }
        }
        let mut out = [vec![T::ZERO; inner], vec![T::ZERO; inner]];
        let bytes = |v: &mut Vec<T>| {
            // SAFETY: elements are plain data, viewed as bytes while the vector is not accessed.
            unsafe { std::slice::from_raw_parts_mut(v.as_mut_ptr().cast::<u8>(), std::mem::size_of_val(&v[..])) }
        };
        let [mean, variance] = &mut out;
        // SAFETY: as above.
        let partial = unsafe { std::slice::from_raw_parts(partial.as_ptr().cast::<u8>(), partial.len() * 8) };
        let shape = [1, n, inner];
        let results = [bytes(mean), bytes(variance)];
        combine_partials(&ThreadPool::new(1), BlockFold::Moments, T::DTYPE, partial, shape, height, results);
        out
    }

    #[test]
    fn moments_of_rows_agree_with_two_passes() {
        on_each_isa(|isa| {
            let mut random = Random::new(5);
            for (rows, n) in [(3, 1), (2, 7), (5, 64), (3, 96), (2, 1000)] {
                for offset in [0.0, 1e3] {
                    let mut x = random.values::<f32>(rows * n);
                    x.iter_mut().for_each(|v| *v += offset);
                    let mut y = vec![0.0f64; rows * 2];
                    let at = BlockExtent { columns: n, rows, before: 0, plane: 1 };
                    let kernels = fold_kernels(BlockFold::Moments, DType::F32).unwrap();
                    // SAFETY: the block is x; y holds two accumulators per row.
                    unsafe { (kernels.rows)(x.as_ptr().cast(), at, y.as_mut_ptr().cast()) };
                    for (row, y) in x.chunks_exact(n).zip(y.chunks_exact(2)) {
                        let m = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
                        let s = row.iter().map(|&x| (f64::from(x) - m).powi(2)).sum::<f64>();
                        assert!((y[0] - m).abs() <= 1e-6 * (m.abs() + (s / n as f64).sqrt()), "{isa:?} {rows}x{n}");
                        assert!((y[1] - s).abs() <= 4e-6 * s, "{isa:?} {rows}x{n}: {} for {s}", y[1]);
                    }
                }
            }
        });
    }

    /// Comparison with two passes in float64. Bounds: 1e-6 of the mean plus the deviation for the mean, 4e-6 of the variance,
    /// and 1e-4 of it where the first element lies a thousand deviations from the mean.
    #[test]
    fn moments_agree_with_two_passes_also_far_from_zero() {
        on_each_isa(|isa| {
            let mut random = Random::new(3);
            for (n, inner) in [(1, 5), (7, 1), (5000, 1), (333, 16), (1000, 60), (257, 64), (130, 100), (90, 1030)] {
                for (offset, outlier) in [(0.0, false), (1e3, false), (1e3, true)] {
                    let mut x = random.values::<f32>(n * inner);
                    x.iter_mut().for_each(|v| *v = (*v + offset as f32).to_f64() as f32);
                    if outlier {
                        x[..inner].fill(0.0);
                    }
                    let [mean, variance] = moments(&x, n, inner, 100, 37);
                    for c in 0..inner {
                        let column: Vec<f64> = (0..n).map(|r| f64::from(x[r * inner + c])).collect();
                        let m = column.iter().sum::<f64>() / n as f64;
                        let v = column.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / n as f64;
                        assert!(
                            (f64::from(mean[c]) - m).abs() <= 1e-6 * m.abs() + 1e-6 * v.sqrt(),
                            "{isa:?} {n} {inner}"
                        );
                        let error = (f64::from(variance[c]) - v).abs();
                        let bound = if outlier { 1e-4 } else { 4e-6 };
                        assert!(error <= bound * v, "{isa:?} {n}x{inner} at {offset}: {} for {v}", variance[c]);
                    }
                }
            }
        });
    }
}
