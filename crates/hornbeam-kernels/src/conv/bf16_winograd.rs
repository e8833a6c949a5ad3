//! Winograd convolutions of `bfloat16` on CPUs that multiply pairs of them faster than `f32`: pixels are read and written
//! as `bfloat16`, transformed points are rounded to `bfloat16`, sums are `f32`. The error is a few times that of rounding
//! the operands, the time half that of `f32` products.

use super::winograd::{self, Kernel};
use super::{select_algorithm, Algorithm, Context, ConvShape, OutputGrad};
use crate::dtype::half::{narrow, widen};
use crate::dtype::{bf16, DType};
use crate::gemm::{has_native_bfloat16, Epilogue};
use crate::pool::ThreadPool;
use crate::scratch::with_local;

/// Returns true if this module computes the convolution.
pub(super) fn is_preferred(shape: &ConvShape, dtype: DType) -> bool {
    dtype == DType::BF16 && has_native_bfloat16() && select_algorithm(shape, DType::F32) == Algorithm::Winograd
}

/// Number of floats of a prepared kernel.
pub(super) fn prepared_len(shape: &ConvShape) -> usize {
    winograd::packed_len::<bf16>(shape)
}

/// Transforms a kernel into its prepared form.
pub(super) fn prepare(pool: &ThreadPool, shape: &ConvShape, w: &[bf16], prepared: &mut [f32]) {
    with_local(|local| {
        let taps = local.take::<f32>(w.len());
        widen(pool, w, taps);
        winograd::pack::<bf16>(pool, shape, taps, prepared);
    });
}

/// Kernel in its original form, or prepared by [`prepare`].
#[derive(Clone, Copy)]
pub(super) enum Weights<'a> {
    Taps(&'a [bf16]),
    Prepared(&'a [f32]),
}

/// Calls `body` with the kernel and the epilogue widened to `f32`.
fn with_floats<R>(
    pool: &ThreadPool,
    w: Weights,
    epilogue: Epilogue<bf16>,
    body: impl FnOnce(Kernel, Epilogue<f32>) -> R,
) -> R {
    with_local(|local| {
        let taps_bf16 = match w {
            Weights::Taps(w) => w,
            Weights::Prepared(_) => &[],
        };
        let (taps, bias) = local.take2::<f32, f32>(taps_bf16.len(), epilogue.bias.map_or(0, <[bf16]>::len));
        widen(pool, taps_bf16, taps);
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let Epilogue { activation, accumulate, .. } = epilogue;
        let kernel = match w {
            Weights::Taps(_) => Kernel::Taps(taps),
            Weights::Prepared(points) => Kernel::Points(points),
        };
        body(kernel, Epilogue { bias: epilogue.bias.map(|_| &*bias), activation, accumulate })
    })
}

pub(super) fn forward(context: Context, x: &[bf16], w: Weights, y: &mut [bf16], epilogue: Epilogue<bf16>) {
    with_floats(context.pool, w, epilogue, |w, end| winograd::forward(context, x, w, y, end));
}

/// Computes like [`super::conv_pool_forward`].
pub(super) fn pool_forward(
    context: Context,
    x: &[bf16],
    w: Weights,
    epilogue: Epilogue<bf16>,
    y: &mut [bf16],
    codes: &mut [u8],
) {
    with_floats(context.pool, w, epilogue, |w, end| winograd::pool_forward(context, x, w, end, y, codes));
}

/// Computes like [`super::conv_backward`].
pub(super) fn backward(
    context: Context,
    x: &[bf16],
    w: &[bf16],
    grad: OutputGrad<bf16>,
    dx: Option<&mut [bf16]>,
    dw: Option<&mut [bf16]>,
    db: Option<&mut [bf16]>,
) {
    let Context { pool, .. } = context;
    let [dw_len, db_len] = [&dw, &db].map(|part| part.as_ref().map_or(0, |part| part.len()));
    with_local(|local| {
        let (taps, sums, biases) = local.take3::<f32, f32, f32>(if dx.is_some() { w.len() } else { 0 }, dw_len, db_len);
        if dx.is_some() {
            widen(pool, w, taps);
        }
        let (into_dw, into_db) = (dw.is_some().then_some(&mut *sums), db.is_some().then_some(&mut *biases));
        winograd::backward(context, x, taps, grad, dx, into_dw, into_db);
        for (from, to) in [(sums, dw), (biases, db)] {
            if let Some(to) = to {
                narrow(pool, from, to);
            }
        }
    });
}
