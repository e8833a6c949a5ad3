//! Stable sorting along an axis.

use super::TASK_BYTES;
use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::pool::{SharedMut, ThreadPool};
use crate::reduce::typed;
use crate::scratch::with_local;

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
