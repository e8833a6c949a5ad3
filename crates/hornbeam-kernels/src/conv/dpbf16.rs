//! Convolutions of `bfloat16` on CPUs that multiply pairs of them faster than `f32`, by the algorithms of `f32`: matrix
//! products, and implicit GEMM in which a pair takes the place of a float (see [`crate::gemm::pairs`]): two channels, over
//! which the forward pass and the input gradient sum, or pixels of two images, over which the kernel gradient does. Sums
//! are `f32`, and rounded once.

use super::{columns, direct, kernel_grad, patches, select_algorithm, Algorithm, Context, ConvShape, OutputGrad};
use crate::dtype::half::{narrow, narrow_slice, widen};
use crate::dtype::{bf16, DType};
use crate::gemm::types::Kernels;
use crate::gemm::{dpbf16, gemm, Epilogue, Mat};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;

/// Computation of a pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Matrix product with a row per pixel or image, or, of a forward pass, per patch.
    Product { rows: usize, inner: usize, patches: bool },
    /// Implicit GEMM.
    Direct,
}

/// Plan of a forward pass, `None` if it is not computed here. Results that accumulate are not rounded by themselves.
pub(super) fn forward_plan(shape: &ConvShape, dtype: DType, accumulate: bool) -> Option<Plan> {
    kernels(dtype)?;
    match select_algorithm(shape, DType::F32) {
        Algorithm::Product { rows, inner } => Some(Plan::Product { rows, inner, patches: false }),
        Algorithm::Direct if columns::is_preferred_for_forward(shape) => None,
        Algorithm::Direct if patches::is_preferred(shape) => {
            Some(Plan::Product { rows: patches::rows(shape), inner: patches::inner(shape), patches: true })
        }
        Algorithm::Direct => (shape.group_in() > 1 && !accumulate).then_some(Plan::Direct),
        _ => None,
    }
}

/// Plan of an input gradient, `None` if it is not computed here.
pub(super) fn input_grad_plan(shape: &ConvShape, dtype: DType) -> Option<Plan> {
    kernels(dtype)?;
    match select_algorithm(shape, DType::F32) {
        Algorithm::Product { rows, inner } => Some(Plan::Product { rows, inner, patches: false }),
        Algorithm::Direct if columns::is_preferred_for_input_grad(shape) => None,
        Algorithm::Direct => (shape.group_out() > 1).then_some(Plan::Direct),
        _ => None,
    }
}

/// Plan of a kernel gradient, `None` if it is not computed here.
pub(super) fn kernel_grad_plan(shape: &ConvShape, dtype: DType) -> Option<Plan> {
    kernels(dtype)?;
    match select_algorithm(shape, DType::F32) {
        Algorithm::Product { rows, inner } => Some(Plan::Product { rows, inner, patches: false }),
        Algorithm::Direct if columns::is_preferred_for_kernel_grad(shape) => None,
        Algorithm::Direct => (shape.batch > 1).then_some(Plan::Direct),
        _ => None,
    }
}

fn kernels(dtype: DType) -> Option<&'static Kernels<f32>> {
    (dtype == DType::BF16).then(dpbf16::kernels)?
}

fn expect_kernels() -> &'static Kernels<f32> {
    kernels(DType::BF16).expect("plans are made for these kernels")
}

/// Channels of each pixel and group, to be read in pairs.
struct Channels<'a> {
    values: &'a [bf16],
    count: usize,
    /// The channels themselves, if they lie in pairs.
    in_place: Option<&'a [f32]>,
}

impl<'a> Channels<'a> {
    fn new(values: &'a [bf16], count: usize) -> Self {
        let paired = count.is_multiple_of(2) && values.as_ptr().cast::<f32>().is_aligned();
        // SAFETY: aligned and as long; every bit pattern is a float.
        let in_place = paired.then(|| unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len() / 2) });
        Channels { values, count, in_place }
    }

    /// Floats of a copy, 0 if there is none.
    fn copy_len(&self) -> usize {
        self.in_place.map_or_else(|| self.values.len() / self.count * self.count.div_ceil(2), |_| 0)
    }

    /// Pairs, in place or in `copy`, where an odd number of channels gets one of zeros.
    fn pairs<'b>(&self, pool: &ThreadPool, copy: &'b mut [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        self.in_place.unwrap_or_else(|| {
            dpbf16::pair_rows(pool, self.count, self.values, copy);
            copy
        })
    }
}

/// Computes [`super::conv_forward`].
pub(super) fn forward(context: Context, plan: Plan, x: &[bf16], w: &[bf16], y: &mut [bf16], epilogue: Epilogue<bf16>) {
    let Context { pool, shape, scratch } = context;
    if let Plan::Product { rows, inner, patches } = plan {
        let n = shape.out_channels;
        let mut product = |matrix: &[bf16]| {
            let (am, bm) = (Mat::row_major(rows, inner), Mat::row_major(inner, n));
            gemm(pool, 1, rows, n, inner, matrix, am, w, bm, y, epilogue, scratch);
        };
        return if patches { patches::with_matrix(pool, shape, x, product) } else { product(x) };
    }
    let (channels, columns) = (shape.group_in(), shape.out_channels);
    let (x, half) = (Channels::new(x, channels), channels.div_ceil(2));
    with_local(|local| {
        let bias_len = epilogue.bias.map_or(0, <[bf16]>::len);
        let (taps, bias, copy) = local.take3::<f32, f32, f32>(shape.taps() * half * columns, bias_len, x.copy_len());
        for (w, taps) in w.chunks(channels * columns).zip(taps.chunks_mut(half * columns)) {
            dpbf16::interleave_neighbors(pool, columns, w, taps);
        }
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let end = Epilogue { bias: epilogue.bias.map(|_| &*bias), activation: epilogue.activation, accumulate: false };
        let (round, y) = (narrow_slice::<bf16>(), SharedMut::new(y));
        // SAFETY: each result is passed once; the kernel is compiled for this machine.
        let consume = |first: usize, sums: &[f32]| unsafe { round(sums, y.range(first..first + sums.len())) };
        let (shape, w) = (ConvShape { in_channels: shape.groups * half, ..*shape }, direct::Kernel::Taps(&*taps));
        let pixels = x.pairs(pool, copy);
        direct::forward_into(Context { pool, shape: &shape, scratch }, expect_kernels(), pixels, w, &consume, end);
    });
}

/// Computes [`super::conv_input_grad`].
pub(super) fn input_grad(context: Context, plan: Plan, dy: &[bf16], w: &[bf16], dx: &mut [bf16]) {
    let Context { pool, shape, scratch } = context;
    if let Plan::Product { rows, inner, .. } = plan {
        let n = shape.out_channels;
        let (am, bm) = (Mat::row_major(rows, n), Mat::transposed(n, n));
        return gemm(pool, 1, rows, inner, n, dy, am, w, bm, dx, Epilogue::default(), scratch);
    }
    let channels = shape.group_out();
    let [dy, w] = [dy, w].map(|values| Channels::new(values, channels));
    with_local(|local| {
        let (sums, dy_copy, w_copy) = local.take3::<f32, f32, f32>(dx.len(), dy.copy_len(), w.copy_len());
        let shape = ConvShape { out_channels: shape.groups * channels.div_ceil(2), ..*shape };
        let (dy, w) = (dy.pairs(pool, dy_copy), w.pairs(pool, w_copy));
        direct::input_grad(Context { pool, shape: &shape, scratch }, expect_kernels(), dy, w, sums);
        narrow(pool, sums, dx);
    });
}

/// Computes [`super::conv_kernel_grad`].
pub(super) fn kernel_grad(context: Context, plan: Plan, x: &[bf16], dy: &[bf16], dw: &mut [bf16]) {
    let Context { pool, shape, scratch } = context;
    if let Plan::Product { rows, inner, .. } = plan {
        let n = shape.out_channels;
        let (am, bm) = (Mat::transposed(inner, inner), Mat::row_major(rows, n));
        return gemm(pool, 1, inner, n, rows, x, am, dy, bm, dw, Epilogue::default(), scratch);
    }
    let pairs = shape.batch.div_ceil(2);
    let [image, result] = [x.len(), dy.len()].map(|len| len / shape.batch);
    with_local(|local| {
        let (x_pairs, dy_pairs, sums) = local.take3::<f32, f32, f32>(pairs * image, pairs * result, dw.len());
        dpbf16::interleave_neighbors(pool, image, x, x_pairs);
        dpbf16::interleave_neighbors(pool, result, dy, dy_pairs);
        let (shape, grad) = (ConvShape { batch: pairs, ..*shape }, OutputGrad::Plain(&*dy_pairs));
        let context = Context { pool, shape: &shape, scratch };
        kernel_grad::kernel_grad(context, expect_kernels(), x_pairs, grad, sums, None);
        narrow(pool, sums, dw);
    });
}
