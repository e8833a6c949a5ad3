//! Products whose second operand was packed before: weights of a model, for many calls.

use super::{real, Epilogue, Form, FusedEpilogue, Mat, Product};
use crate::pool::ThreadPool;
use crate::scratch::Scratch;
use std::ops::RangeInclusive;

/// Rows for which packed weights pay off. A single row reads the matrix once, in order; for many rows, packing takes
/// little of the time, and the copy as much memory as the weights.
const ROWS: RangeInclusive<usize> = 2..=256;

/// Length of a packed `k x n` matrix of `f32`, or `None` if it does not pay off for products with `m` rows.
pub fn packed_len(m: usize, n: usize, k: usize) -> Option<usize> {
    (ROWS.contains(&m) && n > 0 && k > 0).then(|| real::panels_len::<f32>(n, k))
}

/// Packs `b`, a `k x n` matrix with layout `bm`, for [`gemm_packed`] on this CPU.
///
/// # Panics
/// If `b` is shorter than its matrix, or `to` does not have the length of [`packed_len`].
pub fn pack(pool: &ThreadPool, n: usize, k: usize, b: &[f32], bm: Mat, to: &mut [f32]) {
    assert!(bm.fits(1, k, n, b.len()), "b: {bm:?} of {} elements do not hold {k} x {n}", b.len());
    assert_eq!(to.len(), real::panels_len::<f32>(n, k), "the packed matrix has another length");
    real::pack_panels(pool, n, k, b, bm, to);
}

/// Computes `c = activation(a @ b + bias (+ c))` as [`super::gemm_product`], with identical bits, for a `b` that [`pack`]
/// packed.
///
/// # Panics
/// If a slice is shorter than its matrix, or `b` was packed for another shape.
pub fn gemm_packed(
    pool: &ThreadPool,
    m: usize,
    n: usize,
    k: usize,
    a: &[f32],
    am: Mat,
    b: &[f32],
    c: &mut [f32],
    epilogue: Epilogue<f32>,
    fused: Option<&dyn FusedEpilogue<f32>>,
    scratch: &mut Scratch,
) {
    assert!(am.fits(1, m, k, a.len()), "a: {am:?} of {} elements do not hold {m} x {k}", a.len());
    assert_eq!(b.len(), real::panels_len::<f32>(n, k), "the packed matrix has another length");
    assert_eq!(c.len(), m * n, "c does not hold {m} x {n}");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == n), "the bias does not have {n} elements");
    if c.is_empty() {
        return;
    }
    let bm = Mat::row_major(k, n);
    let product = Product { batch: 1, m, n, k, a, am, b, bm, c, epilogue, fused, form: Form::Packed };
    real::product(pool, product, scratch);
}
