//! The largest elements of rows.

use super::sort::sort_key32;
use super::TASK_BYTES;
use crate::dtype::Element;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;

/// Elements that are compared with the threshold at once.
const BLOCK: usize = 64;

multiversion! {
    /// Selects the `k` largest elements of each row of `n`.
    unsafe fn select_rows[S, T: Element; T::DTYPE.copies()](
        n: usize, k: usize, x: &[T], candidates: &mut [u64], values: &mut [T], indices: &mut [i32]
    ) {
        let rows = x.chunks_exact(n).zip(values.chunks_exact_mut(k)).zip(indices.chunks_exact_mut(k));
        for ((x, values), indices) in rows {
            let count = select(x, k, candidates);
            let largest = &mut candidates[..count];
            sort_descending(largest);
            for ((candidate, value), index) in largest.iter().zip(values).zip(indices) {
                let at = !(*candidate as u32);
                (*value, *index) = (x[at as usize], at as i32);
            }
        }
    }
}

/// Collects the `k` largest elements of a row, in any order, as keys of `sort key << 32 | !index`: of equal elements the
/// first is larger.
///
/// Elements above the threshold, the least of the `k` largest so far, become candidates. When these fill their buffer, the
/// `k` largest of them remain.
#[inline(always)]
fn select<T: Element>(x: &[T], k: usize, candidates: &mut [u64]) -> usize {
    let (mut count, mut full, mut threshold) = (0, false, 0u32);
    for (number, block) in x.chunks(BLOCK).enumerate() {
        let mut keys = [0u32; BLOCK];
        for (key, x) in keys.iter_mut().zip(block) {
            *key = sort_key32(*x);
        }
        // The keys beyond a short last block are 0, above no threshold.
        let larger = |key: u32| !full | (key > threshold);
        if !keys.iter().fold(false, |any, &key| any | larger(key)) {
            continue;
        }
        for (i, &key) in keys[..block.len()].iter().enumerate() {
            if larger(key) {
                candidates[count] = u64::from(key) << 32 | u64::from(!((number * BLOCK + i) as u32));
                count += 1;
            }
        }
        if count > candidates.len() - BLOCK {
            let least = move_largest(&mut candidates[..count], k);
            (count, full, threshold) = (k, true, (least >> 32) as u32);
        }
    }
    if count > k {
        move_largest(&mut candidates[..count], k);
    }
    k
}

// Functions of their own, because the standard library's code is large, and would be part of each kernel.

#[inline(never)]
fn sort_descending(keys: &mut [u64]) {
    keys.sort_unstable_by(|a, b| b.cmp(a));
}

/// Moves the `k` largest keys to the front, and returns the least of them.
#[inline(never)]
fn move_largest(keys: &mut [u64], k: usize) -> u64 {
    *keys.select_nth_unstable_by(k - 1, |a, b| b.cmp(a)).1
}

/// Computes the `k` largest elements of each row of `n` elements, and their indices: in descending order, of equal elements
/// the first one first, NaN before every number.
///
/// # Panics
/// If a slice does not have its length, `k` exceeds `n`, or elements have more than 32 bits.
pub fn top_k<T: Element>(pool: &ThreadPool, n: usize, k: usize, x: &[T], values: &mut [T], indices: &mut [i32]) {
    assert!(k <= n && n <= u32::MAX as usize && size_of::<T>() <= 4, "{k} of {n} elements");
    if k == 0 {
        return;
    }
    let rows = x.len() / n;
    assert!(x.len() == rows * n && values.len() == rows * k && indices.len() == rows * k, "not {rows} rows");
    let kernel = select_rows::<T>();
    let (values, indices) = (SharedMut::new(values), SharedMut::new(indices));
    let rows_per_task = (TASK_BYTES / (size_of::<T>() * n)).max(1);
    pool.run_ranges(rows, rows_per_task, &|range| {
        with_local(|scratch| {
            let candidates = scratch.take(2 * k + 4 * BLOCK);
            let x = &x[range.start * n..range.end * n];
            let part = range.start * k..range.end * k;
            // SAFETY: ranges of rows are disjoint; the kernel is compiled for this machine.
            unsafe { kernel(n, k, x, candidates, values.range(part.clone()), indices.range(part)) };
        });
    });
}
