//! Gather, scatter, one-hot vectors and sorting.
//!
//! Indices are tuples: `indices` has shape `(..batch, ..., k)`, and each row of `k` indexes the `k` axes of `x` after the
//! batch axes. The unit of movement is the slice of all remaining axes. Out-of-range indices are clamped. Scatter applies
//! updates in row order for any number of threads: work is split by columns of the slice or by ranges of destination
//! rows, never by updates.

mod one_hot;
mod scatter;
mod sort;
#[cfg(test)]
mod tests;
mod top_k;

pub use one_hot::one_hot;
pub use scatter::{scatter, scatter_fused, Scatter};
pub use sort::argsort;
pub use top_k::top_k;

use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::gemm::vector::prefetch;
use crate::movement::copy_bytes;
use crate::multiversion;
use crate::pool::ThreadPool;
use crate::reduce::typed;
use crate::scratch::{with_local, Plain};
use crate::simd::Copies;

/// Bytes of a task.
const TASK_BYTES: usize = 1 << 16;
/// Slice numbers that are computed at once: they stay in the L1 cache.
const RESOLVED: usize = 512;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Prefetch distance in elements of a gather.
const AHEAD: usize = 32;

/// Shapes of an operand and of the index tuples into it.
#[derive(Clone, Copy, Debug)]
pub struct IndexSpec<'a> {
    /// Shape of the operand.
    pub shape: &'a [usize],
    /// Leading axes common to operand and indices.
    pub batch_dims: usize,
    /// Shape of the indices; the last axis is `k`.
    pub indices_shape: &'a [usize],
    /// Only the indices of one batch are passed, which all batches share.
    pub shared: bool,
}

impl IndexSpec<'_> {
    fn k(&self) -> usize {
        *self.indices_shape.last().expect("indices have at least the tuple axis")
    }

    fn batch(&self) -> usize {
        assert_eq!(self.shape[..self.batch_dims], self.indices_shape[..self.batch_dims], "batch axes differ");
        self.shape[..self.batch_dims].iter().product()
    }

    /// Extents of the indexed axes.
    fn indexed(&self) -> &[usize] {
        &self.shape[self.batch_dims..self.batch_dims + self.k()]
    }

    /// Elements of a slice.
    fn slice(&self) -> usize {
        self.shape[self.batch_dims + self.k()..].iter().product()
    }

    /// Number of index tuples.
    fn tuples(&self) -> usize {
        self.indices_shape[..self.indices_shape.len() - 1].iter().product()
    }

    /// Number of index tuples of one batch.
    fn tuples_per_batch(&self) -> usize {
        self.indices_shape[self.batch_dims..self.indices_shape.len() - 1].iter().product()
    }

    /// Computes the slice number of every tuple that is passed.
    fn resolve(&self, dtype: DType, indices: &[u8], out: &mut [usize]) {
        assert_eq!(indices.len(), out.len() * self.k() * dtype.size(), "the indices do not have their shape");
        self.resolve_range(dtype, indices, 0, out);
    }

    /// Computes the slice numbers of the tuples from number `first` on.
    fn resolve_range(&self, dtype: DType, indices: &[u8], first: usize, out: &mut [usize]) {
        let (k, axes) = (self.k(), self.indexed());
        let span: usize = axes.iter().product();
        assert!(out.is_empty() || span > 0, "cannot index an axis of extent 0 in {:?}", self.shape);
        if out.is_empty() {
            return;
        }
        let tuples_per_batch = self.tuples_per_batch();
        dispatch!(int, dtype, T => {
            let indices = &typed::<T>(indices)[first * k..][..out.len() * k];
            let (batch, within) = (first / tuples_per_batch, first % tuples_per_batch);
            if let [extent] = axes {
                let last = last_index::<T>(*extent);
                let batches = Batches { base: batch * span, span, within, count: tuples_per_batch };
                // SAFETY: compiled for this machine, without another precondition.
                return unsafe { clamp_indices::<T>()(indices, last, batches, out) };
            }
            let (mut batch, mut within) = (batch, within);
            for (i, out) in out.iter_mut().enumerate() {
                let flat = indices[i * k..][..k].iter().zip(axes).fold(0, |flat, (&index, &extent)| {
                    // No unsigned one is less.
                    #[allow(clippy::unnecessary_min_or_max)]
                    let index = index.max(T::ZERO);
                    flat * extent + index.min(last_index::<T>(extent)) as usize
                });
                *out = batch * span + flat;
                within += 1;
                if within == tuples_per_batch {
                    (batch, within) = (batch + 1, 0);
                }
            }
        }, else panic!("indices of {dtype}"));
    }

    /// Calls `body` with the slice numbers of all tuples that are passed.
    fn with_passed<R>(&self, dtype: DType, indices: &[u8], body: impl FnOnce(&[usize]) -> R) -> R {
        with_local(|scratch| {
            let slices = scratch.take(if self.shared { self.tuples_per_batch() } else { self.tuples() });
            self.resolve(dtype, indices, slices);
            body(slices)
        })
    }

    /// Calls `body` with the slice numbers of all tuples, some at a time, and the number of the first.
    fn for_slices(&self, dtype: DType, indices: &[u8], mut body: impl FnMut(usize, &[usize])) {
        if self.shared {
            return self.with_slices(dtype, indices, |slices| body(0, slices));
        }
        let tuples = self.tuples();
        assert_eq!(indices.len(), tuples * self.k() * dtype.size(), "the indices do not have their shape");
        let mut slices = [0; RESOLVED];
        for first in (0..tuples).step_by(RESOLVED) {
            let slices = &mut slices[..RESOLVED.min(tuples - first)];
            self.resolve_range(dtype, indices, first, slices);
            body(first, slices);
        }
    }

    /// Calls `body` with the slice numbers of all tuples.
    fn with_slices<R>(&self, dtype: DType, indices: &[u8], body: impl FnOnce(&[usize]) -> R) -> R {
        if !self.shared {
            return self.with_passed(dtype, indices, body);
        }
        self.with_passed(dtype, indices, |first| {
            with_local(|scratch| {
                let slices = scratch.take(self.tuples());
                let span: usize = self.indexed().iter().product();
                for (batch, slices) in slices.chunks_exact_mut(first.len().max(1)).enumerate() {
                    for (slice, first) in slices.iter_mut().zip(first) {
                        *slice = batch * span + first;
                    }
                }
                body(slices)
            })
        })
    }
}

/// Gathers the indexed slices into `y` of shape `indices_shape[..-1] + shape[batch_dims + k..]`. `size` is the size of an
/// element in bytes.
///
/// # Panics
/// If a buffer does not have its shape or `index_dtype` is not an integer type.
pub fn gather(
    pool: &ThreadPool,
    size: usize,
    x: &[u8],
    spec: IndexSpec,
    index_dtype: DType,
    indices: &[u8],
    y: &mut [u8],
) {
    let row = spec.slice() * size;
    assert_eq!(x.len(), size * spec.shape.iter().product::<usize>(), "the operand does not have its shape");
    assert_eq!(y.len(), spec.tuples() * row, "the result does not have its shape");
    if y.is_empty() {
        return;
    }
    let rows_per_task = (TASK_BYTES / row).max(1);
    if !spec.shared {
        assert_eq!(indices.len(), spec.tuples() * spec.k() * index_dtype.size(), "the indices do not have their shape");
        return pool.run_chunks(y, rows_per_task * row, &|task, y| {
            // Some at a time, so that slice numbers stay in cache.
            let mut slices = [0; RESOLVED];
            for (part, y) in y.chunks_mut(RESOLVED * row).enumerate() {
                let slices = &mut slices[..y.len() / row];
                spec.resolve_range(index_dtype, indices, task * rows_per_task + part * RESOLVED, slices);
                gather_rows(x, row, slices, y);
            }
        });
    }
    spec.with_passed(index_dtype, indices, |slices| {
        let batch = x.len() / spec.batch();
        pool.run_chunks(y, rows_per_task * row, &|task, mut y| {
            let mut first = task * rows_per_task;
            while !y.is_empty() {
                // Shared indices count from the beginning of each batch.
                let (batch_number, start) = (first / slices.len(), first % slices.len());
                let count = (slices.len() - start).min(y.len() / row);
                let (part, rest) = y.split_at_mut(count * row);
                gather_rows(&x[batch_number * batch..][..batch], row, &slices[start..start + count], part);
                (y, first) = (rest, first + count);
            }
        });
    });
}

/// The last index of an axis, or the greatest one that `T` can hold.
fn last_index<T: TryFrom<usize> + Element>(extent: usize) -> T {
    T::try_from(extent - 1).unwrap_or(T::HIGHEST)
}

/// Indices of one axis that are widened to slice numbers.
trait Index: Element + Ord {
    fn widen(self) -> usize;
}

macro_rules! index {
    ($($t:ty)*) => {$(
        impl Index for $t {
            #[inline(always)]
            fn widen(self) -> usize {
                self as usize
            }
        }
    )*};
}

index!(i8 i16 i32 i64 u8 u16 u32 u64);

/// Position among the batches of index tuples.
struct Batches {
    /// First slice of the batch.
    base: usize,
    /// Slices of a batch.
    span: usize,
    /// Number of the tuple within the batch.
    within: usize,
    /// Tuples of a batch.
    count: usize,
}

multiversion! {
    /// Slice numbers of indices of one axis, clamped to 0 and `last`.
    unsafe fn clamp_indices[S, T: Index; Copies::Avx2](indices: &[T], last: T, batches: Batches, out: &mut [usize]) {
        let Batches { mut base, span, mut within, count } = batches;
        if count == 1 {
            // As of the label of each row: a loop for each batch takes longer than its index.
            for (i, (out, &index)) in out.iter_mut().zip(indices).enumerate() {
                *out = base + i * span + index.max(T::ZERO).min(last).widen();
            }
            return;
        }
        let (mut indices, mut rest) = (indices, out);
        while !rest.is_empty() {
            let (out, others) = rest.split_at_mut((count - within).min(rest.len()));
            let (first, following) = indices.split_at(out.len());
            for (out, &index) in out.iter_mut().zip(first) {
                *out = base + index.max(T::ZERO).min(last).widen();
            }
            (base, within, rest, indices) = (base + span, 0, others, following);
        }
    }
}

/// Gathers slices of `row` bytes.
fn gather_rows(x: &[u8], row: usize, slices: &[usize], y: &mut [u8]) {
    match row {
        // A few registers: a call of memcpy takes longer than the copy.
        1 => gather_elements::<1>(x, slices, y),
        2 => gather_elements::<2>(x, slices, y),
        4 => gather_elements::<4>(x, slices, y),
        8 => gather_elements::<8>(x, slices, y),
        16 => gather_elements::<16>(x, slices, y),
        32 => gather_elements::<32>(x, slices, y),
        64 => gather_elements::<64>(x, slices, y),
        128 => gather_elements::<128>(x, slices, y),
        256 => gather_elements::<256>(x, slices, y),
        _ => y.chunks_exact_mut(row).zip(slices).for_each(|(y, &i)| {
            let x = &x[i * row..][..row];
            // SAFETY: both are slices of `row` bytes.
            unsafe { copy_bytes(x.as_ptr(), y.as_mut_ptr(), row) };
        }),
    }
}

fn gather_elements<const N: usize>(x: &[u8], slices: &[usize], y: &mut [u8]) {
    let (x, y) = (x.as_chunks::<N>().0, y.as_chunks_mut::<N>().0);
    if let (true, [first, .., last]) = (N <= 8, slices) {
        // Few elements of a large operand: each is another cache line.
        if first.abs_diff(*last) * N >= slices.len() * LINE {
            for (j, (y, &i)) in y.iter_mut().zip(slices).enumerate() {
                prefetch(x.as_ptr().wrapping_add(slices[(j + AHEAD).min(slices.len() - 1)]));
                *y = x[i];
            }
            return;
        }
    }
    for (y, &i) in y.iter_mut().zip(slices) {
        *y = x[i];
    }
}

fn bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: plain data without padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are values.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}
