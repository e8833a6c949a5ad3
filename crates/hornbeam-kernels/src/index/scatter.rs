//! Scatter: updates of slices in row order.

use super::{bytes, bytes_mut, IndexSpec, TASK_BYTES};
use crate::dtype::{DType, Element};
use crate::elementwise::{binary, Binary, BinaryFn};
use crate::gemm::FusedEpilogue;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain};

/// Combination of an update with the element at its destination in [`scatter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scatter {
    Add,
    /// The last update wins.
    Set,
    Mul,
    Max,
    Min,
}

impl Scatter {
    pub const ALL: [Scatter; 5] = [Scatter::Add, Scatter::Set, Scatter::Mul, Scatter::Max, Scatter::Min];

    /// Value of the primitive's `mode`.
    pub const fn name(self) -> &'static str {
        match self {
            Scatter::Add => "add",
            Scatter::Set => "set",
            Scatter::Mul => "mul",
            Scatter::Max => "max",
            Scatter::Min => "min",
        }
    }

    /// Binary operation, or `None` for `Set`.
    fn fold(self, dtype: DType) -> Option<BinaryFn> {
        let op = match self {
            Scatter::Set => return None,
            Scatter::Add => Binary::Add,
            Scatter::Mul => Binary::Mul,
            Scatter::Max => Binary::Max,
            Scatter::Min => Binary::Min,
        };
        binary(op, dtype)
    }

    /// Inverse of [`Scatter::name`].
    pub fn parse(name: &str) -> Option<Scatter> {
        Scatter::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// Combines `updates`, shaped like the result of [`gather`], into `y`, which holds the operand.
///
/// # Panics
/// If a buffer does not have its shape, `index_dtype` is not an integer type, or `dtype` does not support the operation.
pub fn scatter(
    pool: &ThreadPool,
    mode: Scatter,
    dtype: DType,
    y: &mut [u8],
    spec: IndexSpec,
    index_dtype: DType,
    indices: &[u8],
    updates: &[u8],
) {
    let size = dtype.size();
    let slice = spec.slice();
    let row = slice * size;
    assert_eq!(y.len(), size * spec.shape.iter().product::<usize>(), "the operand does not have its shape");
    assert_eq!(updates.len(), spec.tuples() * row, "the updates do not have their shape");
    if updates.is_empty() {
        return;
    }
    let fold = mode.fold(dtype);
    spec.with_slices(index_dtype, indices, |slices| {
        let target = SharedMut::new(y);
        let update = |i: usize, at: usize, from: usize, to: usize| {
            let source = &updates[i * row + from..i * row + to];
            // SAFETY: tasks differ in their columns or in their slices, so no element is written concurrently.
            let destination = unsafe { target.range(at * row + from..at * row + to) };
            apply(fold, size, source, destination);
        };
        if updates.len() < TASK_BYTES {
            return slices.iter().enumerate().for_each(|(i, &at)| update(i, at, 0, row));
        }
        // Wide slices are split into columns (a multiple of a cache line); each task applies all updates.
        const COLUMN: usize = 1024;
        if row >= 4 * COLUMN {
            return pool.run_ranges(row, COLUMN, &|columns| {
                slices.iter().enumerate().for_each(|(i, &at)| update(i, at, columns.start, columns.end));
            });
        }
        // Updates of narrow slices are sorted stably by destination and split where the destination changes.
        with_local(|scratch| {
            let order = sort_by_destination(slices, target.len() / row, scratch.take(slices.len()));
            let chunk = (TASK_BYTES / row).max(1);
            pool.run_ranges(order.len(), chunk, &|range| {
                // A run of equal destinations belongs to the task in which it starts.
                let starts_run = |i: usize| i == 0 || i >= order.len() || order[i] >> 32 != order[i - 1] >> 32;
                let first = (range.start..range.end).find(|&i| starts_run(i)).unwrap_or(range.end);
                let end = if first == range.end {
                    first
                } else {
                    (range.end..).find(|&i| starts_run(i)).unwrap_or(range.end)
                };
                for &key in &order[first..end] {
                    update(key as u32 as usize, (key >> 32) as usize, 0, row);
                }
            });
        });
    });
}

/// Sorts updates stably by destination: keys of `destination << 32 | update`.
fn sort_by_destination<'a>(slices: &[usize], destinations: usize, order: &'a mut [u64]) -> &'a [u64] {
    assert!(slices.len() <= u32::MAX as usize && destinations <= u32::MAX as usize, "too many slices");
    for (i, (order, &at)) in order.iter_mut().zip(slices).enumerate() {
        *order = (at as u64) << 32 | i as u64;
    }
    order.sort_unstable();
    order
}

/// Elements that [`scatter_fused`] passes to the epilogue at a time, unless slices are longer: they stay in the L2 cache.
const PART: usize = 1 << 14;

/// Computes [`scatter`] into an operand filled with `base`, and passes the result part by part to `fused` while it is in
/// cache, instead of storing it.
///
/// # Panics
/// As [`scatter`].
pub fn scatter_fused<T: Element + Plain>(
    pool: &ThreadPool,
    mode: Scatter,
    base: T,
    spec: IndexSpec,
    index_dtype: DType,
    indices: &[u8],
    updates: &[T],
    fused: &dyn FusedEpilogue<T>,
) {
    let (slice, count) = (spec.slice(), spec.shape.iter().product::<usize>());
    assert_eq!(updates.len(), spec.tuples() * slice, "the updates do not have their shape");
    if count == 0 {
        return;
    }
    let fold = mode.fold(T::DTYPE);
    let rows = (PART / slice).max(1);
    spec.with_slices(index_dtype, indices, |slices| {
        with_local(|scratch| {
            let order = sort_by_destination(slices, count / slice, scratch.take(slices.len()));
            pool.run_ranges(count / slice, rows, &|rows| {
                with_local(|scratch| {
                    let part = scratch.take::<T>(rows.len() * slice);
                    part.fill(base);
                    let first = order.partition_point(|key| ((key >> 32) as usize) < rows.start);
                    for key in order[first..].iter().take_while(|&key| ((key >> 32) as usize) < rows.end) {
                        let (to, from) = (((key >> 32) as usize - rows.start) * slice, *key as u32 as usize * slice);
                        let (to, from) = (&mut part[to..to + slice], &updates[from..from + slice]);
                        apply(fold, size_of::<T>(), bytes(from), bytes_mut(to));
                    }
                    fused.apply(rows.start * slice, part);
                })
            });
        });
    });
}

#[inline(always)]
fn apply(fold: Option<BinaryFn>, size: usize, source: &[u8], destination: &mut [u8]) {
    match fold {
        None => destination.copy_from_slice(source),
        // SAFETY: both hold the same number of elements, and the kernel may work in destination.
        Some(fold) => unsafe {
            fold(destination.as_ptr(), source.as_ptr(), destination.as_mut_ptr(), source.len() / size)
        },
    }
}
