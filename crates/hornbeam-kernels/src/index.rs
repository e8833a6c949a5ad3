//! Gather, scatter and sorting.
//!
//! Indices are tuples: `indices` has shape `(..batch, ..., k)`, and each row of `k` indexes the `k` axes of `x` after the
//! batch axes. The unit of movement is the slice of all remaining axes. Out-of-range indices are clamped. Scatter applies
//! updates in row order for any number of threads: work is split by columns of the slice or by ranges of destination
//! rows, never by updates.

use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::elementwise::{binary, Binary, BinaryFn};
use crate::gemm::FusedEpilogue;
use crate::pool::{SharedMut, ThreadPool};
use crate::reduce::typed;
use crate::scratch::{with_local, Plain};

/// Bytes of a task.
const TASK_BYTES: usize = 1 << 16;

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

/// Shapes of an operand and of the index tuples into it.
#[derive(Clone, Copy, Debug)]
pub struct IndexSpec<'a> {
    /// Shape of the operand.
    pub shape: &'a [usize],
    /// Leading axes common to operand and indices.
    pub batch_dims: usize,
    /// Shape of the indices; the last axis is `k`.
    pub indices_shape: &'a [usize],
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

    /// Computes the slice number of every tuple.
    fn resolve(&self, dtype: DType, indices: &[u8], out: &mut [usize]) {
        let (k, batch, axes) = (self.k(), self.batch(), self.indexed());
        let tuples_per_batch = out.len().checked_div(batch).unwrap_or(0);
        let span: usize = axes.iter().product();
        assert!(out.is_empty() || span > 0, "cannot index an axis of extent 0 in {:?}", self.shape);
        dispatch!(int, dtype, T => {
            let indices = typed::<T>(indices);
            assert_eq!(indices.len(), out.len() * k, "the indices do not have their shape");
            for (i, out) in out.iter_mut().enumerate() {
                let tuple = &indices[i * k..][..k];
                let within = tuple.iter().zip(axes).fold(0, |flat, (&index, &extent)| {
                    flat * extent + clamp(index, extent)
                });
                *out = i / tuples_per_batch * span + within;
            }
        }, else panic!("indices of {dtype}"));
    }

    /// Calls `body` with the slice numbers of all tuples.
    fn with_slices<R>(&self, dtype: DType, indices: &[u8], body: impl FnOnce(&[usize]) -> R) -> R {
        with_local(|scratch| {
            let slices = scratch.take::<usize>(self.tuples());
            self.resolve(dtype, indices, slices);
            body(slices)
        })
    }
}

/// Clamps an index to `0..extent`.
#[inline(always)]
fn clamp<T: Element>(index: T, extent: usize) -> usize {
    if index < T::ZERO {
        return 0;
    }
    // Exact in f64 below 2^53, beyond which every index is out of range.
    (index.to_f64() as usize).min(extent - 1)
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
    spec.with_slices(index_dtype, indices, |slices| {
        let rows_per_task = (TASK_BYTES / row).max(1);
        pool.run_chunks(y, rows_per_task * row, &|task, y| {
            let slices = &slices[task * rows_per_task..];
            match row {
                // Single elements: a call of memcpy takes longer than the copy.
                1 => gather_elements::<1>(x, slices, y),
                2 => gather_elements::<2>(x, slices, y),
                4 => gather_elements::<4>(x, slices, y),
                8 => gather_elements::<8>(x, slices, y),
                _ => y.chunks_exact_mut(row).zip(slices).for_each(|(y, &i)| y.copy_from_slice(&x[i * row..][..row])),
            }
        });
    });
}

fn gather_elements<const N: usize>(x: &[u8], slices: &[usize], y: &mut [u8]) {
    let (x, y) = (x.as_chunks::<N>().0, y.as_chunks_mut::<N>().0);
    for (y, &i) in y.iter_mut().zip(slices) {
        *y = x[i];
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

fn bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: plain data without padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are values.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// Computes the indices that sort `x` along `axis`: ascending, stable, NaN last.
///
/// # Panics
/// If a buffer does not have the shape.
pub fn argsort(pool: &ThreadPool, dtype: DType, x: &[u8], shape: &[usize], axis: usize, y: &mut [i32]) {
    dispatch!(dtype, T => argsort_typed::<T>(pool, typed(x), shape, axis, y));
}

fn argsort_typed<T: Element>(pool: &ThreadPool, x: &[T], shape: &[usize], axis: usize, y: &mut [i32]) {
    let n = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    assert!(
        x.len() == shape.iter().product::<usize>() && y.len() == x.len(),
        "buffers do not have the shape {shape:?}"
    );
    if x.is_empty() {
        return;
    }
    let lines_per_task = (TASK_BYTES / (8 * n)).max(1);
    let y = SharedMut::new(y);
    pool.run_ranges(x.len() / n, lines_per_task, &|lines| {
        with_local(|scratch| {
            let (keys, order) = scratch.take2::<u64, u32>(n, n);
            for line in lines {
                let at = line / inner * n * inner + line % inner;
                for (i, (key, order)) in keys.iter_mut().zip(order.iter_mut()).enumerate() {
                    *key = sort_key(x[at + i * inner]);
                    *order = i as u32;
                }
                sort_indices(keys, order);
                for (i, order) in order.iter().enumerate() {
                    // SAFETY: lines are disjoint.
                    unsafe { y.range(at + i * inner..at + i * inner + 1)[0] = *order as i32 };
                }
            }
        });
    });
}

/// Sorts indices by their keys. The index as the last key makes the in-place unstable sort stable.
fn sort_indices(keys: &[u64], order: &mut [u32]) {
    order.sort_unstable_by_key(|&i| (keys[i as usize], i));
}

/// Integer key with the order of the elements: floats by value (zeros equal), NaN last.
#[inline(always)]
fn sort_key<T: Element>(x: T) -> u64 {
    match T::DTYPE {
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => (to_i64(x) as u64) ^ (1 << 63),
        DType::U64 => to_i64(x) as u64,
        _ if x.is_nan() => u64::MAX,
        _ => {
            // Adding zero turns -0 into +0.
            let bits = (x.to_f64() + 0.0).to_bits();
            if bits >> 63 == 1 {
                !bits
            } else {
                bits | 1 << 63
            }
        }
    }
}

/// Bits of an integer element, sign-extended (`to_f64` would round 64-bit integers).
#[inline(always)]
fn to_i64<T: Element>(x: T) -> i64 {
    let mut bytes = [0u8; 8];
    // SAFETY: an element is plain data of at most eight bytes.
    unsafe { std::ptr::copy_nonoverlapping(std::ptr::from_ref(&x).cast::<u8>(), bytes.as_mut_ptr(), size_of::<T>()) };
    let unused = 64 - 8 * size_of::<T>() as u32;
    i64::from_le_bytes(bytes) << unused >> unused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// Offset of the slice of every tuple, by definition.
    fn offsets(spec: IndexSpec, indices: &[i64]) -> Vec<usize> {
        let k = spec.k();
        let per_batch = spec.tuples() / spec.batch();
        (0..spec.tuples())
            .map(|i| {
                let mut flat = i / per_batch;
                for j in 0..k {
                    let extent = spec.shape[spec.batch_dims + j];
                    flat = flat * extent + indices[i * k + j].clamp(0, extent as i64 - 1) as usize;
                }
                flat * spec.slice()
            })
            .collect()
    }

    fn cases() -> Vec<(Vec<usize>, usize, Vec<usize>)> {
        vec![
            (vec![10], 0, vec![4, 1]),
            (vec![10, 3], 0, vec![2, 5, 1]),
            (vec![6, 5, 3], 0, vec![7, 2]),
            (vec![4, 6, 5], 1, vec![4, 3, 1]),
            (vec![2, 3, 4, 5], 2, vec![2, 3, 6, 1]),
            (vec![3, 4], 0, vec![5, 2]),
            (vec![3, 4], 0, vec![0, 1]),
            (vec![50, 64], 0, vec![3000, 1]),
            (vec![5, 3000], 0, vec![40, 1]),
            (vec![1000], 0, vec![30_000, 1]),
        ]
    }

    #[test]
    fn gathers() {
        for (shape, batch_dims, indices_shape) in cases() {
            let spec = IndexSpec { shape: &shape, batch_dims, indices_shape: &indices_shape };
            let mut random = Random::new(3);
            let x: Vec<f32> = random.values(shape.iter().product());
            let indices: Vec<i64> =
                (0..indices_shape.iter().product()).map(|_| (random.next() % 70) as i64 - 4).collect();
            let mut want = Vec::new();
            for at in offsets(spec, &indices) {
                want.extend_from_slice(&x[at..at + spec.slice()]);
            }
            for threads in [1, 3] {
                let pool = ThreadPool::new(threads);
                let mut y = vec![0f32; want.len()];
                gather(&pool, 4, bytes(&x), spec, DType::I64, bytes(&indices), bytes_mut(&mut y));
                assert_eq!(y, want, "{shape:?} {indices_shape:?}");
                let small: Vec<i8> = indices.iter().map(|i| *i as i8).collect();
                gather(&pool, 4, bytes(&x), spec, DType::I8, bytes(&small), bytes_mut(&mut y));
                assert_eq!(y, want);
                let wide: Vec<u64> = x.iter().map(|x| u64::from(x.to_bits()) << 20).collect();
                let mut y = vec![0u64; want.len()];
                gather(&pool, 8, bytes(&wide), spec, DType::I64, bytes(&indices), bytes_mut(&mut y));
                assert!(y.iter().zip(&want).all(|(y, want)| *y == u64::from(want.to_bits()) << 20));
            }
        }
    }

    #[test]
    fn scatters_in_row_order_on_any_number_of_threads() {
        for (shape, batch_dims, indices_shape) in cases() {
            let spec = IndexSpec { shape: &shape, batch_dims, indices_shape: &indices_shape };
            let mut random = Random::new(5);
            let x: Vec<f32> = random.values(shape.iter().product());
            let indices: Vec<i64> =
                (0..indices_shape.iter().product()).map(|_| (random.next() % 70) as i64 - 4).collect();
            let updates: Vec<f32> = random.values(spec.tuples() * spec.slice());
            for mode in Scatter::ALL {
                let mut want = x.clone();
                for (i, at) in offsets(spec, &indices).into_iter().enumerate() {
                    for j in 0..spec.slice() {
                        let (old, new) = (want[at + j], updates[i * spec.slice() + j]);
                        want[at + j] = match mode {
                            Scatter::Add => old + new,
                            Scatter::Set => new,
                            Scatter::Mul => old * new,
                            Scatter::Max => old.max(new),
                            Scatter::Min => old.min(new),
                        };
                    }
                }
                for threads in [1, 2, 3] {
                    let mut y = x.clone();
                    let pool = ThreadPool::new(threads);
                    scatter(
                        &pool,
                        mode,
                        DType::F32,
                        bytes_mut(&mut y),
                        spec,
                        DType::I64,
                        bytes(&indices),
                        bytes(&updates),
                    );
                    assert!(y == want, "{mode:?} {shape:?} {indices_shape:?}");
                }
            }
        }
    }

    fn check_argsort<T: Element + Plain>(shape: &[usize], axis: usize) {
        let n: usize = shape.iter().product();
        let mut x: Vec<T> = Random::new(n as u64).values(n);
        if T::DTYPE.is_float() && n > 8 {
            x[1] = T::from_f64(f64::NAN);
            x[3] = T::from_f64(-0.0);
            x[4] = T::from_f64(0.0);
            x[5] = T::from_f64(-f64::NAN);
            x[7] = T::from_f64(f64::NEG_INFINITY);
        }
        if T::DTYPE.is_signed_int() {
            x.iter_mut().step_by(2).for_each(|x| *x = T::from_f64(-x.to_f64()));
        }
        let (extent, inner): (usize, usize) = (shape[axis], shape[axis + 1..].iter().product());
        for threads in [1, 2] {
            let mut y = vec![-1; n];
            argsort(&ThreadPool::new(threads), T::DTYPE, bytes(&x), shape, axis, &mut y);
            for line in 0..n / extent {
                let at = |i: usize| line / inner * extent * inner + i * inner + line % inner;
                let mut want: Vec<usize> = (0..extent).collect();
                want.sort_by(|&a, &b| {
                    let (a, b) = (x[at(a)].to_f64(), x[at(b)].to_f64());
                    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
                });
                let got: Vec<usize> = (0..extent).map(|i| y[at(i)] as usize).collect();
                assert_eq!(got, want, "{} {shape:?}", T::DTYPE);
            }
        }
    }

    #[test]
    fn argsorts_stably_with_nan_last() {
        for dtype in DType::ALL {
            for (shape, axis) in [(vec![9], 0), (vec![500], 0), (vec![4, 33], 1), (vec![33, 4], 0), (vec![3, 9000], 1)]
            {
                dispatch!(dtype, T => check_argsort::<T>(&shape, axis));
            }
        }
        let x = [i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1];
        let mut y = [0; 4];
        argsort(&ThreadPool::new(1), DType::I64, bytes(&x), &[4], 0, &mut y);
        assert_eq!(y, [2, 3, 1, 0]);
    }

    #[test]
    fn a_fused_scatter_has_the_bits_of_a_stored_one() {
        for (shape, batch_dims, indices_shape) in cases() {
            let spec = IndexSpec { shape: &shape, batch_dims, indices_shape: &indices_shape };
            let mut random = Random::new(7);
            let count: usize = shape.iter().product();
            let indices: Vec<i64> =
                (0..indices_shape.iter().product()).map(|_| (random.next() % 70) as i64 - 4).collect();
            let updates: Vec<f32> = random.values(spec.tuples() * spec.slice());
            for (mode, base) in Scatter::ALL.into_iter().zip([0f32, 1.0, 2.0, -1.0, 0.5]) {
                let mut want = vec![base; count];
                let serial = ThreadPool::new(1);
                let (at, new) = (bytes(&indices), bytes(&updates));
                scatter(&serial, mode, DType::F32, bytes_mut(&mut want), spec, DType::I64, at, new);
                for threads in [1, 2, 3] {
                    let pool = ThreadPool::new(threads);
                    let mut fused_result = vec![f32::NAN; count];
                    let shared = SharedMut::new(&mut fused_result);
                    // An epilogue may overwrite the part.
                    let fused = |start: usize, part: &mut [f32]| {
                        // SAFETY: parts do not overlap.
                        unsafe { shared.range(start..start + part.len()) }.copy_from_slice(part);
                        part.fill(f32::NAN);
                    };
                    scatter_fused(&pool, mode, base, spec, DType::I64, at, &updates, &fused);
                    assert!(
                        fused_result.iter().zip(&want).all(|(x, y)| x.to_bits() == y.to_bits()),
                        "{mode:?} {shape:?}"
                    );
                }
            }
        }
    }
}
