//! Convolutions fused with neighbouring operations: pooling after the forward pass, and one backward pass for all
//! gradients, which may start from the gradient of a relu or pooling that follows the convolution.

use super::output_grad::OutputGrad;
use super::{backward, cast, cast_epilogue, cast_mut, dpbf16, half, pooled, Context, ConvElement, ConvShape};
#[cfg(doc)]
use super::{conv_forward, MASKED};
use crate::dtype::{bf16, f16, DType};
use crate::gemm::Epilogue;
use crate::pool::ThreadPool;
use crate::scratch::Scratch;

/// Computes `y = max_pool(activation(conv(x, w) + bias))` over 2x2 windows with stride 2 at each depth, and for each value
/// the argmax in its window (0..=3 in row-major order).
///
/// The first maximum wins, and NaN beats every number. With a relu, the code is [`MASKED`] where the value is not
/// positive. An odd last row or column is ignored.
///
/// # Panics
/// If the length of a slice does not fit the shape, or if the epilogue accumulates.
pub fn conv_pool_forward<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    w: &[T],
    epilogue: Epilogue<T>,
    y: &mut [T],
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    pooled::check_pooled(shape, &epilogue, y, codes);
    shape.check(x.len(), w.len(), shape.output_len());
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.out_channels), "expected one bias per output channel");
    let context = Context { pool, shape, scratch };
    match T::DTYPE {
        DType::F16 => {
            let (x, w, y) = (cast::<T, f16>(x), cast(w), cast_mut(y));
            return half::pool_forward(context, x, w, cast_epilogue(epilogue), y, codes);
        }
        DType::BF16 => {
            let (x, w, y) = (cast::<T, bf16>(x), cast(w), cast_mut(y));
            return half::pool_forward(context, x, w, cast_epilogue(epilogue), y, codes);
        }
        _ => {}
    }
    pooled::forward(context, x, w, epilogue, y, codes);
}

/// Computes the requested gradients of [`conv_forward`] with respect to input, kernel and bias. Only the kernel gradient
/// reads `x`, and only the input gradient reads `w`; otherwise they may be empty.
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn conv_backward<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    w: &[T],
    grad: OutputGrad<T>,
    dx: Option<&mut [T]>,
    dw: Option<&mut [T]>,
    db: Option<&mut [T]>,
    scratch: &mut Scratch,
) {
    grad.check(shape);
    if let Some(dx) = &dx {
        assert_eq!(dx.len(), shape.input_len(), "the length of dx does not fit {shape:?}");
        assert_eq!(w.len(), shape.kernel_len(), "the length of w does not fit {shape:?}");
    }
    if let Some(dw) = &dw {
        assert_eq!(dw.len(), shape.kernel_len(), "the length of dw does not fit {shape:?}");
        assert_eq!(x.len(), shape.input_len(), "the length of x does not fit {shape:?}");
    }
    assert!(db.as_ref().is_none_or(|db| db.len() == shape.out_channels), "expected one bias per output channel");
    let context = Context { pool, shape, scratch };
    match T::DTYPE {
        DType::F16 | DType::BF16 if half::converts_rows(shape) => {}
        DType::BF16 if dx.is_some() && dpbf16::input_grad_plan(shape, T::DTYPE).is_some() => {}
        DType::BF16 if dw.is_some() && dpbf16::kernel_grad_plan(shape, T::DTYPE).is_some() => {}
        DType::F16 => {
            let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut::<T, f16>));
            return half::backward(context, cast(x), cast(w), grad.cast(), dx, dw, db);
        }
        DType::BF16 => {
            let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut::<T, bf16>));
            return half::backward(context, cast(x), cast(w), grad.cast(), dx, dw, db);
        }
        _ => {}
    }
    backward::backward(context, x, w, grad, dx, dw, db);
}

#[cfg(test)]
mod tests;
