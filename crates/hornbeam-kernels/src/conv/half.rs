//! 16-bit floats: widened to `f32`, convolved there, rounded once.

use super::{ConvElement, ConvShape};
use crate::gemm::half::{narrow, widen, Half};
use crate::gemm::Epilogue;
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Scratch};

pub(super) fn forward<T: Half>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    w: &[T],
    y: &mut [T],
    epilogue: Epilogue<T>,
    scratch: &mut Scratch,
) {
    with_local(|local| {
        let bias_len = epilogue.bias.map_or(0, <[T]>::len);
        let (inputs, wide_y, bias) = local.take3::<f32, f32, f32>(x.len() + w.len(), y.len(), bias_len);
        let (wide_x, wide_w) = inputs.split_at_mut(x.len());
        widen(pool, x, wide_x);
        widen(pool, w, wide_w);
        if epilogue.accumulate {
            widen(pool, y, wide_y);
        }
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let wide = Epilogue {
            bias: epilogue.bias.map(|_| &*bias),
            activation: epilogue.activation,
            accumulate: epilogue.accumulate,
        };
        f32::forward(pool, shape, wide_x, wide_w, wide_y, wide, scratch);
        narrow(pool, wide_y, y);
    });
}

/// Widens two operands, runs an `f32` gradient, narrows its result.
fn through<T: Half>(pool: &ThreadPool, a: &[T], b: &[T], out: &mut [T], body: impl FnOnce(&[f32], &[f32], &mut [f32])) {
    with_local(|local| {
        let (wide_a, wide_b, wide_out) = local.take3::<f32, f32, f32>(a.len(), b.len(), out.len());
        widen(pool, a, wide_a);
        widen(pool, b, wide_b);
        body(wide_a, wide_b, wide_out);
        narrow(pool, wide_out, out);
    });
}

pub(super) fn input_grad<T: Half>(
    pool: &ThreadPool,
    shape: &ConvShape,
    dy: &[T],
    w: &[T],
    dx: &mut [T],
    scratch: &mut Scratch,
) {
    through(pool, dy, w, dx, |dy, w, dx| f32::input_grad(pool, shape, dy, w, dx, scratch));
}

pub(super) fn kernel_grad<T: Half>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    dy: &[T],
    dw: &mut [T],
    scratch: &mut Scratch,
) {
    through(pool, x, dy, dw, |x, dy, dw| f32::kernel_grad(pool, shape, x, dy, dw, scratch));
}
