//! Convolutions with a prepacked kernel: the kernel is transformed (Winograd) or packed (1x1) once for many calls.

use super::fused::check_pooled;
use super::rounded::{self, Weights};
use super::winograd::{self, Kernel};
use super::{cast, cast_epilogue, cast_mut, cost_model, select_algorithm, Algorithm, ConvElement, ConvShape};
use crate::dtype::DType;
use crate::gemm::{self, Epilogue, FusedEpilogue, Mat};
use crate::pool::ThreadPool;
use crate::scratch::Scratch;

/// Tiles beyond which the cost of the kernel transform is negligible.
const TILES: usize = 1024;
/// Maximum floats of a prepared kernel, which takes four times the memory of the kernel.
const FLOATS: usize = 1 << 20;

/// Number of floats of a kernel prepared by [`prepare`], or `None` if preparation does not pay off or, for a convolution
/// that is pooled, is not implemented.
pub fn prepared_len(shape: &ConvShape, pooled: bool, dtype: DType) -> Option<usize> {
    if let Some([rows, inner]) = product_of(shape, dtype) {
        let uses_product = !pooled && matches!(select_algorithm(shape, dtype), Algorithm::Product { .. });
        return uses_product.then(|| gemm::packed_len(rows, shape.out_channels, inner))?;
    }
    let pixels = shape.batch * shape.output.iter().product::<usize>();
    let suits = match dtype {
        DType::F32 => select_algorithm(shape, DType::F32) == Algorithm::Winograd,
        _ => rounded::suits(shape, dtype),
    };
    (suits && pixels <= TILES * 16).then(|| packed_len(shape, dtype)).filter(|&floats| floats <= FLOATS)
}

/// Rows and inner size of a convolution of `f32` that is a matrix product. A property of the shape: the algorithm may
/// be tuned after preparation.
fn product_of(shape: &ConvShape, dtype: DType) -> Option<[usize; 2]> {
    match (cost_model(shape, dtype), dtype) {
        (Algorithm::Product { rows, inner }, DType::F32) => Some([rows, inner]),
        _ => None,
    }
}

fn packed_len(shape: &ConvShape, dtype: DType) -> usize {
    if let Some([rows, inner]) = product_of(shape, dtype) {
        return gemm::packed_len(rows, shape.out_channels, inner).unwrap_or(0);
    }
    match dtype {
        DType::BF16 => rounded::prepared_len(shape),
        _ => winograd::packed_len::<f32>(shape),
    }
}

/// Transforms the kernel `w` for the `_prepared` functions.
///
/// # Panics
/// If a slice does not have its length.
pub fn prepare<T: ConvElement>(pool: &ThreadPool, shape: &ConvShape, w: &[T], prepared: &mut [f32]) {
    assert_eq!(w.len(), shape.kernel_len(), "the length of w does not fit {shape:?}");
    assert_eq!(prepared.len(), packed_len(shape, T::DTYPE), "the length of the prepared kernel does not fit {shape:?}");
    if let Some([_, inner]) = product_of(shape, T::DTYPE) {
        let n = shape.out_channels;
        return gemm::pack(pool, n, inner, cast(w), Mat::row_major(inner, n), prepared);
    }
    match T::DTYPE {
        DType::BF16 => rounded::prepare(pool, shape, cast(w), prepared),
        _ => winograd::pack::<f32>(pool, shape, cast(w), prepared),
    }
}

/// Computes [`super::conv_forward`] with a kernel from [`prepare`], with identical bits; and with an elementwise program, if
/// [`super::can_fuse`].
///
/// # Panics
/// As [`super::conv_forward`], and if the kernel was prepared for other channels.
pub fn conv_forward_prepared<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    kernel: &[f32],
    y: &mut [T],
    epilogue: Epilogue<T>,
    fused: Option<&dyn FusedEpilogue<T>>,
    scratch: &mut Scratch,
) {
    check(shape, x, kernel, &epilogue);
    assert_eq!(y.len(), shape.output_len(), "the length of y does not fit {shape:?}");
    let is_product = product_of(shape, T::DTYPE).is_some();
    assert!(fused.is_none() || is_product, "nothing can be fused into a prepared {shape:?}");
    if T::DTYPE == DType::BF16 {
        let (w, end) = (Weights::Prepared(kernel), cast_epilogue(epilogue));
        return rounded::forward(pool, shape, cast(x), w, cast_mut(y), end, scratch);
    }
    if let Some([rows, inner]) = product_of(shape, T::DTYPE) {
        let (n, am, end) = (shape.out_channels, Mat::row_major(rows, inner), cast_epilogue(epilogue));
        let apply = fused.map(|fused| move |start: usize, part: &mut [f32]| fused.apply(start, cast_mut(part)));
        let fused = apply.as_ref().map(|apply| apply as &dyn FusedEpilogue<f32>);
        return gemm::gemm_packed(pool, rows, n, inner, cast(x), am, kernel, cast_mut(y), end, fused, scratch);
    }
    let (w, end) = (Kernel::Points(kernel), cast_epilogue(epilogue));
    winograd::forward::<f32>(pool, shape, cast(x), w, cast_mut(y), end, scratch);
}

/// Computes [`super::conv_pool_forward`] with a kernel from [`prepare`], with identical bits.
///
/// # Panics
/// As [`super::conv_pool_forward`], and if the kernel was prepared for other channels.
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
    check_pooled(shape, &epilogue, y, codes);
    if T::DTYPE == DType::BF16 {
        let (w, end) = (Weights::Prepared(kernel), cast_epilogue(epilogue));
        return rounded::pool_forward(pool, shape, cast(x), w, end, cast_mut(y), codes, scratch);
    }
    let (w, end) = (Kernel::Points(kernel), cast_epilogue(epilogue));
    winograd::pool_forward::<f32>(pool, shape, cast(x), w, end, cast_mut(y), codes, scratch);
}

fn check<T: ConvElement>(shape: &ConvShape, x: &[T], kernel: &[f32], epilogue: &Epilogue<T>) {
    assert!(
        matches!(T::DTYPE, DType::F32 | DType::BF16),
        "prepared kernels support float32 and bfloat16, not {}",
        T::DTYPE
    );
    // Not `select_algorithm`: autotuning may have changed the algorithm since.
    let supported = winograd::supports(shape) || product_of(shape, T::DTYPE).is_some();
    assert!(supported, "prepared kernels do not support {shape:?}");
    shape.check(x.len(), shape.kernel_len(), shape.output_len());
    assert_eq!(kernel.len(), packed_len(shape, T::DTYPE), "the length of the prepared kernel does not fit {shape:?}");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.out_channels), "expected one bias per output channel");
}
