//! One-hot vectors.

use super::TASK_BYTES;
use crate::pool::ThreadPool;

/// Least rows of a task, which reads all indices of the vectors that it writes a part of.
const ROWS: usize = 64;

/// Writes a one at `index(i)` along the middle axis of `[outer, n, inner]` for each position `i` of `[outer, inner]`, and zeros
/// elsewhere. An index of `n` or more gives zeros alone. `one` holds the bytes of an element; zero has none that is set.
///
/// # Panics
/// If `out` does not have its length.
pub fn one_hot(
    pool: &ThreadPool,
    [outer, n, inner]: [usize; 3],
    index: &(dyn Fn(usize) -> usize + Sync),
    one: &[u8],
    out: &mut [u8],
) {
    let size = one.len();
    assert_eq!(out.len(), outer * n * inner * size, "the result does not hold {outer} x {n} x {inner} elements");
    if out.is_empty() {
        return;
    }
    let rows = (TASK_BYTES / (inner * size)).max(ROWS);
    pool.run_chunks(out, rows * inner * size, &|task, out| {
        out.fill(0);
        let first = task * rows;
        let range = first..first + out.len() / (inner * size);
        for i in first / n * inner..range.end.div_ceil(n) * inner {
            let at = index(i);
            let row = (i / inner * n).saturating_add(at);
            if at < n && range.contains(&row) {
                let start = ((row - first) * inner + i % inner) * size;
                out[start..start + size].copy_from_slice(one);
            }
        }
    });
}
