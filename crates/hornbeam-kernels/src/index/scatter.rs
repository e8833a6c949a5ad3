//! Scatter: updates of slices in row order.

use std::ops::Range;

use super::{bytes, bytes_mut, sort, IndexSpec, TASK_BYTES};
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::elementwise::{binary, Binary, BinaryFn};
use crate::gemm::FusedEpilogue;
use crate::multiversion;
use crate::named::named;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};
use crate::window::PoolElement;

named! {
    /// Combination of an update with the element at its destination in [`scatter`]. The last update of `Set` wins.
    Scatter { Add "add", Set "set", Mul "mul", Max "max", Min "min", }
}

impl Scatter {
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
    let add = if mode == Scatter::Add { add_kernel(dtype) } else { None };
    let fold = mode.fold(dtype);
    let target = SharedMut::new(y);
    let update = |columns: Range<usize>, rows: Range<usize>| {
        spec.for_slices(index_dtype, indices, |first, slices| {
            let (columns, rows) = (columns.clone(), rows.clone());
            let (updates, target) = (updates[first * row..].as_ptr(), target.as_ptr());
            let part = Updates { slices, slice, columns, rows, updates, target };
            // SAFETY: destinations lie within the target, updates are as many as slices, and tasks differ in their columns
            // or in their rows.
            unsafe {
                match add {
                    Some(add) => add(&part),
                    None => dispatch!(dtype, T => {
                        part.for_each::<T>(|to, from| apply(fold, size, bytes(from), bytes_mut(to)))
                    }),
                }
            }
        });
    };
    let destinations = target.len() / row;
    let threads = pool.threads();
    if updates.len() < TASK_BYTES || threads == 1 {
        return update(0..slice, 0..destinations);
    }
    // Wide slices are split into columns, narrow ones by ranges of destinations; each task goes through all updates.
    let column = COLUMN / size;
    if slice >= 4 * column {
        return pool.run_ranges(slice, column, &|columns| update(columns, 0..destinations));
    }
    pool.run_ranges(destinations, destinations.div_ceil(threads), &|rows| update(0..slice, rows));
}

/// Bytes of a column of a wide slice, a multiple of a cache line.
const COLUMN: usize = 1024;

/// A part of the updates: `columns` of those whose destination lies in `rows`.
struct Updates<'a> {
    slices: &'a [usize],
    slice: usize,
    columns: Range<usize>,
    rows: Range<usize>,
    updates: *const u8,
    target: *mut u8,
}

impl Updates<'_> {
    /// Calls `body` with the destination and the update of each.
    ///
    /// # Safety
    /// Both arrays hold elements of type `T` and cover the updates; no other thread accesses the destinations.
    #[inline(always)]
    unsafe fn for_each<T>(&self, mut body: impl FnMut(&mut [T], &[T])) {
        let (updates, target, width) = (self.updates.cast::<T>(), self.target.cast::<T>(), self.columns.len());
        if self.slice == 1 {
            // Single elements: a loop of constant length has no loop.
            for (i, &at) in self.slices.iter().enumerate() {
                if self.rows.contains(&at) {
                    // SAFETY: the caller's contract.
                    unsafe { body(&mut *target.add(at).cast::<[T; 1]>(), &*updates.add(i).cast::<[T; 1]>()) };
                }
            }
            return;
        }
        for (i, &at) in self.slices.iter().enumerate() {
            if !self.rows.contains(&at) {
                continue;
            }
            // SAFETY: the caller's contract.
            let (to, from) = unsafe {
                (
                    std::slice::from_raw_parts_mut(target.add(at * self.slice + self.columns.start), width),
                    std::slice::from_raw_parts(updates.add(i * self.slice + self.columns.start), width),
                )
            };
            body(to, from);
        }
    }
}

/// Kernel that adds updates.
fn add_kernel(dtype: DType) -> Option<unsafe fn(updates: &Updates)> {
    dispatch!(numeric, dtype, T => Some(add_updates::<T>()), else None)
}

multiversion! {
    unsafe fn add_updates[S, T: PoolElement; T::DTYPE.copies()](updates: &Updates) {
        // SAFETY: the caller's contract.
        unsafe {
            updates.for_each::<T>(|to, from| {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = T::from_acc(T::plus(to.to_acc(), from.to_acc()));
                }
            });
        }
    }
}

/// Sorts updates stably by destination: keys of `destination << 32 | update`.
fn sort_by_destination<'a>(slices: &[usize], destinations: usize, scratch: &'a mut Scratch) -> &'a [u64] {
    assert!(slices.len() <= u32::MAX as usize && destinations <= u32::MAX as usize, "too many slices");
    let (order, spare) = scratch.take2(slices.len(), slices.len());
    for (i, (order, &at)) in order.iter_mut().zip(slices).enumerate() {
        *order = (at as u64) << 32 | i as u64;
    }
    sort::sort_numbered(order, spare);
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
            let order = sort_by_destination(slices, count / slice, scratch);
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
