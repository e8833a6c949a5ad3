//! Convolutions of `bfloat16` on CPUs that multiply pairs of them faster than `f32`, by the algorithms of `f32`: matrix
//! products, and implicit GEMM in which a pair takes the place of a float (see [`crate::gemm::pairs`]): two channels, over
//! which the forward pass and the input gradient sum, or pixels of two images, over which the kernel gradient does. Sums
//! are `f32`, and rounded once.

use super::{columns, direct, kernel_grad, patches, select_algorithm, Algorithm, ConvShape, OutputGrad};
use crate::dtype::{bf16, DType};
use crate::gemm::half::{narrow, narrow_slice, widen};
use crate::gemm::types::Kernels;
use crate::gemm::{gemm, pairs, Epilogue, Mat};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};

/// Computation of a pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Matrix product with a row per pixel or image, or, of a forward pass, per patch.
    Product { rows: usize, inner: usize, patches: bool },
    /// Implicit GEMM.
    Direct,
}

/// Plan of a forward pass, `None` if it is not computed here.
pub(super) fn forward_plan(shape: &ConvShape, dtype: DType) -> Option<Plan> {
    kernels(dtype)?;
    match select_algorithm(shape, DType::F32) {
        Algorithm::Product { rows, inner } => Some(Plan::Product { rows, inner, patches: false }),
        Algorithm::Direct if columns::suits_forward(shape) => None,
        Algorithm::Direct if patches::suits(shape) => {
            Some(Plan::Product { rows: patches::rows(shape), inner: patches::inner(shape), patches: true })
        }
        // An odd number of channels gets one of zeros.
        Algorithm::Direct => (shape.group_in() > 1).then_some(Plan::Direct),
        _ => None,
    }
}

/// Plan of an input gradient, `None` if it is not computed here.
pub(super) fn input_grad_plan(shape: &ConvShape, dtype: DType) -> Option<Plan> {
    kernels(dtype)?;
    match select_algorithm(shape, DType::F32) {
        Algorithm::Product { rows, inner } => Some(Plan::Product { rows, inner, patches: false }),
        Algorithm::Direct if columns::suits_input_grad(shape) => None,
        Algorithm::Direct => shape.group_out().is_multiple_of(2).then_some(Plan::Direct),
        _ => None,
    }
}

/// Plan of a kernel gradient, `None` if it is not computed here.
pub(super) fn kernel_grad_plan(shape: &ConvShape, dtype: DType) -> Option<Plan> {
    kernels(dtype)?;
    match select_algorithm(shape, DType::F32) {
        Algorithm::Product { rows, inner } => Some(Plan::Product { rows, inner, patches: false }),
        Algorithm::Direct if columns::suits_kernel_grad(shape) => None,
        Algorithm::Direct => (shape.batch > 1).then_some(Plan::Direct),
        _ => None,
    }
}

fn kernels(dtype: DType) -> Option<&'static Kernels<f32>> {
    (dtype == DType::BF16).then(pairs::kernels)?
}

/// Views an even number of elements as pairs. `None` if they do not lie like floats.
fn as_pairs(values: &[bf16]) -> Option<&[f32]> {
    let aligned = values.as_ptr().cast::<f32>().is_aligned() && values.len().is_multiple_of(2);
    // SAFETY: aligned and as long; every bit pattern is a float.
    aligned.then(|| unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len() / 2) })
}

/// Computes [`super::conv_forward`]. Returns false, and does nothing, if the result accumulates.
pub(super) fn forward(
    pool: &ThreadPool,
    plan: Plan,
    shape: &ConvShape,
    x: &[bf16],
    w: &[bf16],
    y: &mut [bf16],
    epilogue: Epilogue<bf16>,
    scratch: &mut Scratch,
) -> bool {
    if let Plan::Product { rows, inner, patches } = plan {
        let n = shape.out_channels;
        let mut product = |matrix: &[bf16]| {
            let (am, bm) = (Mat::row_major(rows, inner), Mat::row_major(inner, n));
            gemm(pool, 1, rows, n, inner, matrix, am, w, bm, y, epilogue, scratch);
        };
        if patches {
            patches::with_matrix(pool, shape, x, product);
        } else {
            product(x);
        }
        return true;
    }
    let Some(kernels) = kernels(DType::BF16).filter(|_| !epilogue.accumulate) else { return false };
    let (channels, columns) = (shape.group_in(), shape.out_channels);
    let in_place = if channels.is_multiple_of(2) { as_pairs(x) } else { None };
    let half = channels.div_ceil(2);
    with_local(|local| {
        let (bias_len, copied) = (epilogue.bias.map_or(0, <[bf16]>::len), x.len() / channels * half);
        let copied = if in_place.is_some() { 0 } else { copied };
        let (taps, bias, copy) = local.take3::<f32, f32, f32>(shape.taps() * half * columns, bias_len, copied);
        for (w, taps) in w.chunks(channels * columns).zip(taps.chunks_mut(half * columns)) {
            pairs::interleave_neighbors(pool, columns, w, taps);
        }
        let pixels = in_place.unwrap_or_else(|| {
            pairs::pair_rows(pool, channels, x, copy);
            copy
        });
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let end = Epilogue { bias: epilogue.bias.map(|_| &*bias), activation: epilogue.activation, accumulate: false };
        let (round, y) = (narrow_slice::<bf16>(), SharedMut::new(y));
        // SAFETY: each result is passed once; the kernel is compiled for this machine.
        let consume = |first: usize, sums: &[f32]| unsafe { round(sums, y.range(first..first + sums.len())) };
        let (shape, w) = (ConvShape { in_channels: shape.groups * half, ..*shape }, direct::Kernel::Taps(&*taps));
        direct::forward_into(kernels, pool, &shape, pixels, w, &consume, end, scratch);
    });
    true
}

/// Computes [`super::conv_input_grad`]. Returns false, and does nothing, if the operands do not lie in pairs.
pub(super) fn input_grad(
    pool: &ThreadPool,
    plan: Plan,
    shape: &ConvShape,
    dy: &[bf16],
    w: &[bf16],
    dx: &mut [bf16],
    scratch: &mut Scratch,
) -> bool {
    if let Plan::Product { rows, inner, .. } = plan {
        let n = shape.out_channels;
        let (am, bm) = (Mat::row_major(rows, n), Mat::transposed(n, n));
        gemm(pool, 1, rows, inner, n, dy, am, w, bm, dx, Epilogue::default(), scratch);
        return true;
    }
    let (Some(kernels), Some(dy), Some(w)) = (kernels(DType::BF16), as_pairs(dy), as_pairs(w)) else { return false };
    with_local(|local| {
        let sums = local.take::<f32>(dx.len());
        let shape = ConvShape { out_channels: shape.out_channels / 2, ..*shape };
        direct::input_grad(kernels, pool, &shape, dy, w, sums, scratch);
        narrow(pool, sums, dx);
    });
    true
}

/// Computes [`super::conv_kernel_grad`].
pub(super) fn kernel_grad(
    pool: &ThreadPool,
    plan: Plan,
    shape: &ConvShape,
    x: &[bf16],
    dy: &[bf16],
    dw: &mut [bf16],
    scratch: &mut Scratch,
) {
    if let Plan::Product { rows, inner, .. } = plan {
        let n = shape.out_channels;
        let (am, bm) = (Mat::transposed(inner, inner), Mat::row_major(rows, n));
        return gemm(pool, 1, inner, n, rows, x, am, dy, bm, dw, Epilogue::default(), scratch);
    }
    let kernels = kernels(DType::BF16).expect("the plan was made for these kernels");
    let pairs = shape.batch.div_ceil(2);
    let [image, result] = [x.len(), dy.len()].map(|len| len / shape.batch);
    with_local(|local| {
        let (x_pairs, dy_pairs, sums) = local.take3::<f32, f32, f32>(pairs * image, pairs * result, dw.len());
        pairs::interleave_neighbors(pool, image, x, x_pairs);
        pairs::interleave_neighbors(pool, result, dy, dy_pairs);
        let (shape, grad) = (ConvShape { batch: pairs, ..*shape }, OutputGrad::Plain(&*dy_pairs));
        kernel_grad::kernel_grad(kernels, pool, &shape, x_pairs, grad, sums, None, scratch);
        narrow(pool, sums, dw);
    });
}
