//! Convolutions whose kernel was brought into the algorithm's own form beforehand, for kernels that stay the same over
//! many calls.

use super::winograd::{self, Kernel};
use super::{choose, Algorithm, ConvShape};
use crate::dtype::DType;
use crate::gemm::Epilogue;
use crate::pool::ThreadPool;
use crate::scratch::Scratch;

/// Tiles beyond which the transform of the kernel is lost in the rest of the work.
const TILES: usize = 1024;
/// Floats of a prepared kernel at most: it takes four times the memory of the kernel.
const FLOATS: usize = 1 << 20;

/// Floats that [`prepare`] makes of a kernel of `f32`, or `None` where a kernel is best taken as it is.
pub fn prepared_len(shape: &ConvShape) -> Option<usize> {
    let pixels = shape.batch * shape.output.iter().product::<usize>();
    let suits = choose(shape, DType::F32) == Algorithm::Winograd && pixels <= TILES * 16;
    suits.then(|| winograd::packed_len(shape)).filter(|&floats| floats <= FLOATS)
}

/// Brings the kernel `w` into the form that the `_prepared` functions take.
///
/// # Panics
/// When a slice does not have its length.
pub fn prepare(pool: &ThreadPool, shape: &ConvShape, w: &[f32], prepared: &mut [f32]) {
    assert_eq!(w.len(), shape.kernel_len(), "w does not fit {shape:?}");
    assert_eq!(prepared.len(), winograd::packed_len(shape), "the prepared kernel does not fit {shape:?}");
    winograd::pack(pool, shape, w, prepared);
}

/// [`super::conv_forward`] with a kernel from [`prepare`]: the same bits.
///
/// # Panics
/// As there, and when the kernel was prepared for other channels.
pub fn conv_forward_prepared(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[f32],
    kernel: &[f32],
    y: &mut [f32],
    epilogue: Epilogue<f32>,
    scratch: &mut Scratch,
) {
    check(shape, x, kernel, &epilogue);
    assert_eq!(y.len(), shape.output_len(), "y does not fit {shape:?}");
    winograd::forward(pool, shape, x, Kernel::Points(kernel), y, epilogue, scratch);
}

/// [`super::conv_pool_forward`] with a kernel from [`prepare`]: the same bits.
///
/// # Panics
/// As there, and when the kernel was prepared for other channels.
pub fn conv_pool_forward_prepared(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[f32],
    kernel: &[f32],
    epilogue: Epilogue<f32>,
    y: &mut [f32],
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    check(shape, x, kernel, &epilogue);
    assert!(!epilogue.accumulate, "a pooled convolution has nothing to add to");
    assert_eq!(y.len(), shape.pooled_len(), "y does not fit {shape:?} pooled");
    assert_eq!(codes.len(), y.len(), "one code for each pooled value");
    winograd::pool_forward(pool, shape, x, Kernel::Points(kernel), epilogue, y, codes, scratch);
}

fn check(shape: &ConvShape, x: &[f32], kernel: &[f32], epilogue: &Epilogue<f32>) {
    // Not what `choose` says now: a measurement may have changed its mind since.
    assert!(winograd::computes(shape), "kernels are not prepared for {shape:?}");
    shape.check(x.len(), shape.kernel_len(), shape.output_len());
    assert_eq!(kernel.len(), winograd::packed_len(shape), "the prepared kernel does not fit {shape:?}");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.out_channels), "one bias for each output channel");
}
