//! Reductions of the blocks that a fused loop computes, while they are in cache.
//!
//! A loop over `[outer, n, inner]` folds away the middle axis. It is cut into pieces of rows by the problem alone; every
//! piece carries accumulators of its own from block to block, and [`combine_partials`] folds those of a group in order.

use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::math::Real;
use crate::multiversion;
use crate::pool::ThreadPool;

use super::fold::{add_columns, fold_each, fold_long, And, Fold, Folding, Max, Min, Or, Prod, Sum};
use super::{reduce, typed, typed_mut, Reduce};

/// What blocks are folded into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BlockFold {
    Reduce(Reduce),
    /// Mean and variance, by deviations and not by squares: two results.
    Moments,
}

impl BlockFold {
    pub const fn name(self) -> &'static str {
        match self {
            BlockFold::Reduce(op) => op.name(),
            BlockFold::Moments => "moments",
        }
    }

    /// Accumulators per kept element, which is the number of results.
    pub const fn planes(self) -> usize {
        match self {
            BlockFold::Reduce(_) => 1,
            BlockFold::Moments => 2,
        }
    }

    /// The type that accumulators of elements of `dtype` have.
    pub fn accumulator(self, dtype: DType) -> DType {
        match self {
            BlockFold::Reduce(_) => dtype,
            BlockFold::Moments => DType::F64,
        }
    }
}

/// The part of a piece that one block holds.
#[derive(Clone, Copy, Debug)]
pub struct BlockExtent {
    pub columns: usize,
    pub rows: usize,
    /// Rows of the piece before these.
    pub before: usize,
    /// Distance, in elements, between the planes of accumulators.
    pub plane: usize,
}

/// Folds a block of `rows` rows of `columns` elements onto the accumulators of as many columns. The first block of a piece
/// (`before` is 0) sets them.
pub type FoldFn = unsafe fn(x: *const u8, at: BlockExtent, accumulators: *mut u8);

/// The kernels of one kind of fold.
#[derive(Clone, Copy)]
pub struct FoldKernels {
    pub columns: FoldFn,
    /// Whole rows that are folded one by one, each into an accumulator of its own: `columns` is here their length. Planes
    /// of one row lie side by side.
    pub rows: FoldFn,
}

/// The kernels of `fold` for elements of `dtype`, where the loop can carry such a fold.
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
        (int $Op:ident) => {
            with!(i8, i16, i32, i64, u8, u16, u32, u64: $Op)
        };
        (numeric $Op:ident) => {
            with!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64: $Op)
        };
    }
    match fold {
        BlockFold::Reduce(Reduce::Sum) => with!(numeric Sum),
        BlockFold::Reduce(Reduce::Prod) => with!(numeric Prod),
        BlockFold::Reduce(Reduce::Max) => with!(numeric Max),
        BlockFold::Reduce(Reduce::Min) => with!(numeric Min),
        BlockFold::Reduce(Reduce::And) => with!(int And),
        BlockFold::Reduce(Reduce::Or) => with!(int Or),
        BlockFold::Moments => match dtype {
            DType::F32 => Some(FoldKernels { columns: moments_columns::<f32>(), rows: moments_rows::<f32>() }),
            DType::F64 => Some(FoldKernels { columns: moments_columns::<f64>(), rows: moments_rows::<f64>() }),
            _ => None,
        },
    }
}

multiversion! {
    unsafe fn reduce_columns[S, F: Fold](x: *const u8, at: BlockExtent, accumulators: *mut u8) {
        // SAFETY: the caller's block and accumulators.
        let (x, y) = unsafe {
            let x = std::slice::from_raw_parts(x.cast::<F::In>(), at.rows * at.columns);
            (x, std::slice::from_raw_parts_mut(accumulators.cast::<F::Acc>(), at.columns))
        };
        if let [y] = y {
            let sum = fold_long::<F>(x);
            *y = if at.before == 0 { sum } else { F::combine(*y, sum) };
            return;
        }
        if at.before == 0 {
            y.fill(F::IDENTITY);
        }
        add_columns::<F>(x, at.columns, at.rows, y);
    }

    unsafe fn reduce_rows[S, F: Fold](x: *const u8, at: BlockExtent, accumulators: *mut u8) {
        // SAFETY: the caller's block, and one accumulator for each of its rows.
        let (x, y) = unsafe {
            let x = std::slice::from_raw_parts(x.cast::<F::In>(), at.rows * at.columns);
            (x, std::slice::from_raw_parts_mut(accumulators.cast::<F::Acc>(), at.rows))
        };
        fold_each::<F>(x, at.columns, y);
    }

    unsafe fn moments_columns[S, T: Deviate](x: *const u8, at: BlockExtent, accumulators: *mut u8) {
        // SAFETY: the caller's block, and two planes of accumulators.
        let (x, mean, spread) = unsafe {
            let accumulators = accumulators.cast::<f64>();
            (
                std::slice::from_raw_parts(x.cast::<T>(), at.rows * at.columns),
                std::slice::from_raw_parts_mut(accumulators, at.columns),
                std::slice::from_raw_parts_mut(accumulators.add(at.plane), at.columns),
            )
        };
        add_moments(x, at.columns, at.before, mean, spread);
    }

    unsafe fn moments_rows[S, T: Deviate](x: *const u8, at: BlockExtent, accumulators: *mut u8) {
        // SAFETY: the caller's block, and two accumulators for each of its rows.
        let (x, y) = unsafe {
            let x = std::slice::from_raw_parts(x.cast::<T>(), at.rows * at.columns);
            (x, std::slice::from_raw_parts_mut(accumulators.cast::<f64>(), at.rows * 2))
        };
        for (row, y) in x.chunks_exact(at.columns).zip(y.chunks_exact_mut(2)) {
            let (mean, spread) = y.split_at_mut(1);
            add_moments(row, 1, 0, mean, spread);
        }
    }
}

/// Floats that moments are taken of.
trait Deviate: Element<Acc = Self> + Real {}
impl Deviate for f32 {}
impl Deviate for f64 {}

const LANES: usize = 64;
/// Rows after which deviations are referred to a new element: bounds what that element may cost if it lies far out.
const STRETCH: usize = 64;

/// Adds rows to the means and sums of squared deviations of `before` others.
#[inline(always)]
fn add_moments<T: Deviate>(x: &[T], columns: usize, before: usize, mean: &mut [f64], spread: &mut [f64]) {
    let mut before = before as f64;
    if columns <= LANES {
        // Several rows side by side fill the lanes.
        let side = LANES / columns;
        let stretch = STRETCH * side * columns;
        for part in x.chunks(stretch) {
            let (body, rest) = part.split_at(part.len() / (side * columns) * side * columns);
            for (part, side) in [(body, side), (rest, 1)] {
                let rows = part.len() / (side * columns);
                if rows == 0 {
                    continue;
                }
                let lanes = if side * columns == LANES {
                    deviations::<T, LANES>(part, LANES, rows, LANES)
                } else {
                    deviations::<T, LANES>(part, side * columns, rows, side * columns)
                };
                for strip in 0..side {
                    let lanes = (&lanes.0[strip * columns..], &lanes.1[strip * columns..]);
                    merge(mean, spread, before, lanes, rows as f64);
                    before += rows as f64;
                }
            }
        }
        return;
    }
    for part in x.chunks(STRETCH * columns) {
        let rows = part.len() / columns;
        for (tile, (mean, spread)) in mean.chunks_mut(LANES).zip(spread.chunks_mut(LANES)).enumerate() {
            let part = &part[tile * LANES..];
            let lanes = if mean.len() == LANES {
                deviations::<T, LANES>(part, columns, rows, LANES)
            } else {
                deviations::<T, LANES>(part, columns, rows, mean.len())
            };
            merge(mean, spread, before, (&lanes.0, &lanes.1), rows as f64);
        }
        before += rows as f64;
    }
}

/// Mean and squared deviations of each of `width` columns at distance `stride`: by differences from their first elements, which
/// being among them cannot be much farther from the mean than the deviations are large.
#[inline(always)]
fn deviations<T: Deviate, const N: usize>(x: &[T], stride: usize, rows: usize, width: usize) -> ([f64; N], [f64; N]) {
    let (mut first, mut sum, mut squares) = ([T::ZERO; N], [T::ZERO; N], [T::ZERO; N]);
    first[..width].copy_from_slice(&x[..width]);
    for row in 1..rows {
        let row = &x[row * stride..][..width];
        for j in 0..width {
            let d = row[j] - first[j];
            sum[j] = sum[j] + d;
            squares[j] = squares[j] + d * d;
        }
    }
    let n = rows as f64;
    let (mut mean, mut spread) = ([0.0; N], [0.0; N]);
    for j in 0..width {
        let (s, q) = (sum[j].to_f64(), squares[j].to_f64());
        mean[j] = first[j].to_f64() + s / n;
        spread[j] = (q - s * s / n).max(0.0);
    }
    (mean, spread)
}

/// Joins the moments of `more` rows to those of `count` (Chan, Golub and LeVeque 1983).
#[inline(always)]
fn merge(mean: &mut [f64], spread: &mut [f64], count: f64, (means, spreads): (&[f64], &[f64]), more: f64) {
    if count == 0.0 {
        mean.copy_from_slice(&means[..mean.len()]);
        spread.copy_from_slice(&spreads[..spread.len()]);
        return;
    }
    let share = more / (count + more);
    let weight = count * share;
    for j in 0..mean.len() {
        let d = means[j] - mean[j];
        mean[j] += d * share;
        spread[j] += spreads[j] + d * d * weight;
    }
}

/// Folds the accumulators of the pieces of every group into the results, in order.
///
/// `partial` is `[outer, pieces, planes, inner]` in the accumulators' type; pieces have `height` rows, the last of a group
/// what is left of `n`.
///
/// # Panics
/// When a buffer does not fit.
pub fn combine_partials(
    pool: &ThreadPool,
    fold: BlockFold,
    dtype: DType,
    partial: &[u8],
    [outer, n, inner]: [usize; 3],
    height: usize,
    results: [&mut [u8]; 2],
) {
    let pieces = n.div_ceil(height);
    let [first, second] = results;
    match fold {
        BlockFold::Reduce(op) => reduce(pool, op, dtype, partial, &[outer, pieces, inner], &[1], first),
        BlockFold::Moments => dispatch!(float, dtype, T => {
            let (means, variances) = (typed_mut::<T>(first), typed_mut::<T>(second));
            let partial = typed::<f64>(partial);
            assert!(means.len() == outer * inner && variances.len() == outer * inner, "the results do not fit");
            for (index, (mean, variance)) in means.iter_mut().zip(variances).enumerate() {
                let (group, column) = (index / inner, index % inner);
                let (mut m, mut s) = ([0.0], [0.0]);
                for piece in 0..pieces {
                    let at = (group * pieces + piece) * 2 * inner + column;
                    let rows = height.min(n - piece * height);
                    let given = (&partial[at..=at], &partial[at + inner..=at + inner]);
                    merge(&mut m, &mut s, (piece * height) as f64, given, rows as f64);
                }
                (*mean, *variance) = (T::from_f64(m[0]), T::from_f64(s[0] / n as f64));
            }
        }, else unreachable!("moments of {dtype}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{with_isa, Isa};
    use crate::testing::Random;

    /// Moments of `[n, inner]` in blocks of `block` rows and pieces of `height`.
    fn moments<T: Element>(x: &[T], n: usize, inner: usize, height: usize, block: usize) -> [Vec<T>; 2] {
        let kernels = fold_kernels(BlockFold::Moments, T::DTYPE).unwrap();
        let pieces = n.div_ceil(height);
        let mut partial = vec![0.0f64; pieces * 2 * inner];
        for piece in 0..pieces {
            let end = ((piece + 1) * height).min(n);
            let mut row = piece * height;
            while row < end {
                let rows = block.min(end - row);
                let at = BlockExtent { columns: inner, rows, before: row - piece * height, plane: inner };
                let (x, y) = (&x[row * inner..], &mut partial[piece * 2 * inner..]);
                // SAFETY: the block lies in x; y holds two planes.
                unsafe { (kernels.columns)(x.as_ptr().cast(), at, y.as_mut_ptr().cast()) };
                row += rows;
            }
        }
        let mut out = [vec![T::ZERO; inner], vec![T::ZERO; inner]];
        let bytes = |v: &mut Vec<T>| {
            // SAFETY: elements are plain memory, seen as bytes while the vector is not touched.
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

    /// Against two passes in float64. Bounds: the mean to 1e-6 of its size plus the deviation, the variance to 4e-6 of its
    /// size, and 1e-4 where the first element lies a thousand deviations out.
    #[test]
    fn moments_agree_with_two_passes_also_far_from_zero() {
        for isa in Isa::available() {
            with_isa(isa, || {
                let mut random = Random::new(3);
                for (n, inner) in [(1, 5), (7, 1), (5000, 1), (333, 16), (1000, 60), (257, 64), (130, 100), (90, 1030)]
                {
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
}
