//! Convolutions of `bfloat16` by Winograd's algorithm where the CPU multiplies pairs of them: pixels are read and written
//! as they are, points are rounded to `bfloat16` once more, sums are `f32`. That costs a few times the error of rounding
//! operands, and half of the time of products of `f32`.

use super::winograd::{self, Kernel};
use super::{select_algorithm, Algorithm, ConvShape, OutputGrad};
use crate::dtype::{bf16, DType};
use crate::gemm::half::{narrow, widen};
use crate::gemm::{has_native_bfloat16, Epilogue};
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Scratch};

/// Whether a convolution of the type is computed here.
pub(super) fn suits(shape: &ConvShape, dtype: DType) -> bool {
    dtype == DType::BF16 && has_native_bfloat16() && select_algorithm(shape, DType::F32) == Algorithm::Winograd
}

/// Floats of a kernel in the algorithm's own form.
pub(super) fn prepared_len(shape: &ConvShape) -> usize {
    winograd::packed_len::<bf16>(shape)
}

/// Brings a kernel into that form.
pub(super) fn prepare(pool: &ThreadPool, shape: &ConvShape, w: &[bf16], prepared: &mut [f32]) {
    with_local(|local| {
        let taps = local.take::<f32>(w.len());
        widen(pool, w, taps);
        winograd::pack::<bf16>(pool, shape, taps, prepared);
    });
}

/// A kernel as it comes, or as [`prepare`] left it.
#[derive(Clone, Copy)]
pub(super) enum Weights<'a> {
    Given(&'a [bf16]),
    Prepared(&'a [f32]),
}

/// Hands the kernel and an epilogue on as floats.
fn with_floats<R>(
    pool: &ThreadPool,
    w: Weights,
    epilogue: Epilogue<bf16>,
    body: impl FnOnce(Kernel, Epilogue<f32>) -> R,
) -> R {
    with_local(|local| {
        let given = match w {
            Weights::Given(w) => w,
            Weights::Prepared(_) => &[],
        };
        let (taps, bias) = local.take2::<f32, f32>(given.len(), epilogue.bias.map_or(0, <[bf16]>::len));
        widen(pool, given, taps);
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let Epilogue { activation, accumulate, .. } = epilogue;
        let kernel = match w {
            Weights::Given(_) => Kernel::Taps(taps),
            Weights::Prepared(points) => Kernel::Points(points),
        };
        body(kernel, Epilogue { bias: epilogue.bias.map(|_| &*bias), activation, accumulate })
    })
}

pub(super) fn forward(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[bf16],
    w: Weights,
    y: &mut [bf16],
    epilogue: Epilogue<bf16>,
    scratch: &mut Scratch,
) {
    with_floats(pool, w, epilogue, |w, end| winograd::forward(pool, shape, x, w, y, end, scratch));
}

/// See [`super::conv_pool_forward`].
pub(super) fn pool_forward(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[bf16],
    w: Weights,
    epilogue: Epilogue<bf16>,
    y: &mut [bf16],
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    with_floats(pool, w, epilogue, |w, end| winograd::pool_forward(pool, shape, x, w, end, y, codes, scratch));
}

/// See [`super::conv_backward`].
pub(super) fn backward(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[bf16],
    w: &[bf16],
    grad: OutputGrad<bf16>,
    dx: Option<&mut [bf16]>,
    dw: Option<&mut [bf16]>,
    db: Option<&mut [bf16]>,
    scratch: &mut Scratch,
) {
    let [dw_len, db_len] = [&dw, &db].map(|part| part.as_ref().map_or(0, |part| part.len()));
    with_local(|local| {
        let (taps, sums, biases) = local.take3::<f32, f32, f32>(if dx.is_some() { w.len() } else { 0 }, dw_len, db_len);
        if dx.is_some() {
            widen(pool, w, taps);
        }
        let (into_dw, into_db) = (dw.is_some().then_some(&mut *sums), db.is_some().then_some(&mut *biases));
        winograd::backward(pool, shape, x, taps, grad, dx, into_dw, into_db, scratch);
        for (from, to) in [(sums, dw), (biases, db)] {
            if let Some(to) = to {
                narrow(pool, from, to);
            }
        }
    });
}
