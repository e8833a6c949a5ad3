//! Convolutions whose kernel was brought into the algorithm's own form beforehand, for kernels that stay the same over
//! many calls.

use super::rounded::{self, Weights};
use super::winograd::{self, Kernel};
use super::{cast, cast_epilogue, cast_mut, select_algorithm, Algorithm, ConvElement, ConvShape};
use crate::dtype::DType;
use crate::gemm::Epilogue;
use crate::pool::ThreadPool;
use crate::scratch::Scratch;

/// Tiles beyond which the transform of the kernel is lost in the rest of the work.
const TILES: usize = 1024;
/// Floats of a prepared kernel at most: it takes four times the memory of the kernel.
const FLOATS: usize = 1 << 20;

/// Floats that [`prepare`] makes of a kernel of the type, or `None` where a kernel is best taken as it is.
pub fn prepared_len(shape: &ConvShape, dtype: DType) -> Option<usize> {
    let pixels = shape.batch * shape.output.iter().product::<usize>();
    let suits = match dtype {
        DType::F32 => select_algorithm(shape, DType::F32) == Algorithm::Winograd,
        _ => rounded::suits(shape, dtype),
    };
    (suits && pixels <= TILES * 16).then(|| packed_len(shape, dtype)).filter(|&floats| floats <= FLOATS)
}

fn packed_len(shape: &ConvShape, dtype: DType) -> usize {
    match dtype {
        DType::BF16 => rounded::prepared_len(shape),
        _ => winograd::packed_len::<f32>(shape),
    }
}

/// Brings the kernel `w` into the form that the `_prepared` functions take.
///
/// # Panics
/// When a slice does not have its length.
pub fn prepare<T: ConvElement>(pool: &ThreadPool, shape: &ConvShape, w: &[T], prepared: &mut [f32]) {
    assert_eq!(w.len(), shape.kernel_len(), "w does not fit {shape:?}");
    assert_eq!(prepared.len(), packed_len(shape, T::DTYPE), "the prepared kernel does not fit {shape:?}");
    match T::DTYPE {
        DType::BF16 => rounded::prepare(pool, shape, cast(w), prepared),
        _ => winograd::pack::<f32>(pool, shape, cast(w), prepared),
    }
}

/// [`super::conv_forward`] with a kernel from [`prepare`]: the same bits.
///
/// # Panics
/// As there, and when the kernel was prepared for other channels.
pub fn conv_forward_prepared<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    kernel: &[f32],
    y: &mut [T],
    epilogue: Epilogue<T>,
    scratch: &mut Scratch,
) {
    check(shape, x, kernel, &epilogue);
    assert_eq!(y.len(), shape.output_len(), "y does not fit {shape:?}");
    if T::DTYPE == DType::BF16 {
        let (w, end) = (Weights::Prepared(kernel), cast_epilogue(epilogue));
        return rounded::forward(pool, shape, cast(x), w, cast_mut(y), end, scratch);
    }
    let (w, end) = (Kernel::Points(kernel), cast_epilogue(epilogue));
    winograd::forward::<f32>(pool, shape, cast(x), w, cast_mut(y), end, scratch);
}

/// [`super::conv_pool_forward`] with a kernel from [`prepare`]: the same bits.
///
/// # Panics
/// As there, and when the kernel was prepared for other channels.
pub fn conv_pool_forward_prepared<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    kernel: &[f32],
    epilogue: Epilogue<T>,
    y: &mut [T],
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    check(shape, x, kernel, &epilogue);
    assert!(!epilogue.accumulate, "a pooled convolution has nothing to add to");
    assert_eq!(y.len(), shape.pooled_len(), "y does not fit {shape:?} pooled");
    assert_eq!(codes.len(), y.len(), "one code for each pooled value");
    if T::DTYPE == DType::BF16 {
        let (w, end) = (Weights::Prepared(kernel), cast_epilogue(epilogue));
        return rounded::pool_forward(pool, shape, cast(x), w, end, cast_mut(y), codes, scratch);
    }
    let (w, end) = (Kernel::Points(kernel), cast_epilogue(epilogue));
    winograd::pool_forward::<f32>(pool, shape, cast(x), w, end, cast_mut(y), codes, scratch);
}

fn check<T: ConvElement>(shape: &ConvShape, x: &[T], kernel: &[f32], epilogue: &Epilogue<T>) {
    assert!(matches!(T::DTYPE, DType::F32 | DType::BF16), "no kernels are prepared of {}", T::DTYPE);
    // Not what `select_algorithm` says now: a measurement may have changed its mind since.
    assert!(winograd::computes(shape), "kernels are not prepared for {shape:?}");
    shape.check(x.len(), shape.kernel_len(), shape.output_len());
    assert_eq!(kernel.len(), packed_len(shape, T::DTYPE), "the prepared kernel does not fit {shape:?}");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.out_channels), "one bias for each output channel");
}
