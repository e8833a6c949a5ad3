//! Stable sorting along an axis.

use super::TASK_BYTES;
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::pool::{SharedMut, ThreadPool};
use crate::reduce::elements_of;
use crate::scratch::with_local;

/// Computes the indices that sort `x` along `axis`: ascending, stable, NaN last.
///
/// # Panics
/// If a buffer does not have the shape.
pub fn argsort(pool: &ThreadPool, dtype: DType, x: &[u8], shape: &[usize], axis: usize, y: &mut [i32]) {
    let (n, size) = (shape[axis], dtype.size());
    let inner: usize = shape[axis + 1..].iter().product();
    let elements: usize = shape.iter().product();
    assert!(elements_of(dtype, x) == elements && y.len() == elements, "buffers do not have the shape {shape:?}");
    if x.is_empty() {
        return;
    }
    let load_keys = dispatch!(dtype, T => load_keys::<T> as LoadKeys);
    let lines_per_task = (TASK_BYTES / (8 * n)).max(1);
    let y = SharedMut::new(y);
    pool.run_ranges(elements / n, lines_per_task, &|lines| {
        with_local(|scratch| {
            let (keys, order) = scratch.take2::<u64, u64>(n, n);
            for line in lines {
                let at = line / inner * n * inner + line % inner;
                // SAFETY: the line lies within `x`, which is aligned.
                unsafe { load_keys(x[at * size..].as_ptr(), inner, keys) };
                let sorted = if size <= 4 {
                    sort_numbered(keys, order);
                    &*keys
                } else {
                    (0..).zip(order.iter_mut()).for_each(|(i, order)| *order = i);
                    sort_indices(keys, order);
                    &*order
                };
                for (i, key) in sorted.iter().enumerate() {
                    // SAFETY: lines are disjoint.
                    unsafe { y.range(at + i * inner..at + i * inner + 1)[0] = *key as u32 as i32 };
                }
            }
        });
    });
}

/// Function like [`load_keys`].
type LoadKeys = unsafe fn(x: *const u8, stride: usize, keys: &mut [u64]);

/// Computes the keys of a line: of up to 32 bits in the upper half of a `u64` whose lower half is the number of the element.
///
/// # Safety
/// `x` has an aligned element for each key, at a distance of `stride` elements.
unsafe fn load_keys<T: Element>(x: *const u8, stride: usize, keys: &mut [u64]) {
    for (i, key) in keys.iter_mut().enumerate() {
        // SAFETY: the caller's contract.
        let x = unsafe { *x.cast::<T>().add(i * stride) };
        *key = if size_of::<T>() <= 4 { u64::from(sort_key32(x)) << 32 | i as u64 } else { sort_key64(x) };
    }
}

/// Numbers up to which a comparison sort takes less time than the histograms of a radix sort.
const SHORT: usize = 160;

/// Sorts keys of 32 bits stably, each in the upper half of a `u64` whose lower half is its number. `spare` is as long as
/// `keys`; its contents are lost.
///
/// A radix sort by bytes, from the least significant one on (Knuth, The Art of Computer Programming 3, 5.2.5).
pub(super) fn sort_numbered(keys: &mut [u64], spare: &mut [u64]) {
    if keys.len() <= SHORT {
        return keys.sort_unstable();
    }
    const DIGITS: [u32; 4] = [32, 40, 48, 56];
    let mut counts = [[0u32; 256]; DIGITS.len()];
    for key in &*keys {
        for (counts, shift) in counts.iter_mut().zip(DIGITS) {
            counts[(key >> shift) as u8 as usize] += 1;
        }
    }
    let (mut from, mut to) = (&mut *keys, &mut *spare);
    let mut swapped = false;
    for (counts, shift) in counts.iter_mut().zip(DIGITS) {
        // A byte that all keys share needs no pass.
        if counts[(from[0] >> shift) as u8 as usize] as usize == from.len() {
            continue;
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            start += std::mem::replace(count, start);
        }
        for key in &*from {
            let next = &mut counts[(key >> shift) as u8 as usize];
            to[*next as usize] = *key;
            *next += 1;
        }
        std::mem::swap(&mut from, &mut to);
        swapped = !swapped;
    }
    if swapped {
        to.copy_from_slice(from);
    }
}

/// Sorts indices by their keys. The index as the last key makes the in-place unstable sort stable.
fn sort_indices(keys: &[u64], order: &mut [u64]) {
    order.sort_unstable_by_key(|&i| (keys[i as usize], i));
}

/// Integer key with the order of elements of up to 32 bits: floats by value (zeros equal), NaN last.
#[inline(always)]
pub(super) fn sort_key32<T: Element>(x: T) -> u32 {
    match T::DTYPE {
        DType::I8 | DType::I16 | DType::I32 => (to_i64(x) as u32) ^ (1 << 31),
        DType::F16 | DType::BF16 | DType::F32 => {
            // Exact; adding zero turns -0 into +0.
            let bits = (x.to_f64() as f32 + 0.0).to_bits();
            let sign = (bits as i32 >> 31) as u32;
            if x.is_nan() {
                u32::MAX
            } else {
                bits ^ (sign | 1 << 31)
            }
        }
        _ => to_i64(x) as u32,
    }
}

/// [`sort_key32`] of elements of 64 bits.
#[inline(always)]
fn sort_key64<T: Element>(x: T) -> u64 {
    match T::DTYPE {
        DType::I64 => (to_i64(x) as u64) ^ (1 << 63),
        DType::F64 => {
            let bits = (x.to_f64() + 0.0).to_bits();
            let sign = (bits as i64 >> 63) as u64;
            if x.is_nan() {
                u64::MAX
            } else {
                bits ^ (sign | 1 << 63)
            }
        }
        _ => to_i64(x) as u64,
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
