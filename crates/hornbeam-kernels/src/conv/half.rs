//! Convolutions of 16-bit floats: widened to `f32`, convolved, and rounded once, unless [`bf16_winograd`] applies.

use super::backward::backward as float_backward;
use super::depthwise::{self, Storage};
use super::kernel_grad::kernel_grad as float_kernel_grad;
use super::output_grad::WidenTo;
use super::{bf16_winograd, cast, cast_epilogue, cast_mut, columns, direct, dpbf16, pooled};
use super::{select_algorithm, Algorithm, Context, ConvElement, ConvShape, OutputGrad};
use crate::dtype::half::{narrow, narrow_slice, widen, Half};
use crate::dtype::DType;
use crate::gemm::types::Real;
use crate::gemm::Epilogue;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;

pub(super) fn forward<T: Half>(context: Context, x: &[T], w: &[T], y: &mut [T], epilogue: Epilogue<T>) {
    let Context { pool, shape, .. } = context;
    if bf16_winograd::is_preferred(shape, T::DTYPE) {
        let w = bf16_winograd::Weights::Taps(cast(w));
        return bf16_winograd::forward(context, cast(x), w, cast_mut(y), cast_epilogue(epilogue));
    }
    if let Some(plan) = dpbf16::forward_plan(shape, T::DTYPE, epilogue.accumulate) {
        return dpbf16::forward(context, plan, cast(x), cast(w), cast_mut(y), cast_epilogue(epilogue));
    }
    let by_row = converts_rows(shape);
    let direct = select_algorithm(shape, DType::F32) == Algorithm::Direct && !columns::is_preferred_for_forward(shape);
    let consumed = direct && !epilogue.accumulate;
    with_local(|local| {
        let bias_len = epilogue.bias.map_or(0, <[T]>::len);
        let x_len = if by_row { 0 } else { x.len() };
        let y_len = if by_row || consumed { 0 } else { y.len() };
        let (inputs, wide_y, bias) = local.take3::<f32, f32, f32>(x_len + w.len(), y_len, bias_len);
        let (wide_x, wide_w) = inputs.split_at_mut(x_len);
        widen(pool, w, wide_w);
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let wide = Epilogue {
            bias: epilogue.bias.map(|_| &*bias),
            activation: epilogue.activation,
            accumulate: epilogue.accumulate,
        };
        if by_row {
            return depthwise::forward(pool, shape, x, wide_w, y, wide, &Storage::narrow());
        }
        widen(pool, x, wide_x);
        if consumed {
            let (round, y) = (narrow_slice::<T>(), SharedMut::new(y));
            // SAFETY: each result is passed once; the kernel is compiled for this machine.
            let consume = |first: usize, sums: &[f32]| unsafe { round(sums, y.range(first..first + sums.len())) };
            let w = direct::Kernel::Taps(&*wide_w);
            return direct::forward_into(context, f32::kernels(), wide_x, w, &consume, wide);
        }
        if epilogue.accumulate {
            widen(pool, y, wide_y);
        }
        f32::forward(context, wide_x, wide_w, wide_y, wide);
        narrow(pool, wide_y, y);
    });
}

/// Returns true for depthwise convolutions that convert row by row.
pub(super) fn converts_rows(shape: &ConvShape) -> bool {
    select_algorithm(shape, DType::F32) == Algorithm::Depthwise && depthwise::converts_rows(shape)
}

/// Widens two operands, computes an `f32` gradient, and narrows the result.
fn widen_and_narrow<T: Half>(
    pool: &ThreadPool,
    a: &[T],
    b: &[T],
    out: &mut [T],
    body: impl FnOnce(&[f32], &[f32], &mut [f32]),
) {
    with_local(|local| {
        let (wide_a, wide_b, wide_out) = local.take3::<f32, f32, f32>(a.len(), b.len(), out.len());
        widen(pool, a, wide_a);
        widen(pool, b, wide_b);
        body(wide_a, wide_b, wide_out);
        narrow(pool, wide_out, out);
    });
}

pub(super) fn input_grad<T: Half>(context: Context, dy: &[T], w: &[T], dx: &mut [T]) {
    let Context { pool, shape, .. } = context;
    if bf16_winograd::is_preferred(shape, T::DTYPE) {
        let (grad, dx) = (OutputGrad::Plain(cast(dy)), Some(cast_mut(dx)));
        return bf16_winograd::backward(context, &[], cast(w), grad, dx, None, None);
    }
    if let Some(plan) = dpbf16::input_grad_plan(shape, T::DTYPE) {
        return dpbf16::input_grad(context, plan, cast(dy), cast(w), cast_mut(dx));
    }
    if converts_rows(shape) {
        return with_local(|local| {
            let wide_w = local.take::<f32>(w.len());
            widen(pool, w, wide_w);
            depthwise::input_grad(context, dy, wide_w, dx, &Storage::narrow());
        });
    }
    widen_and_narrow(pool, dy, w, dx, |dy, w, dx| f32::input_grad(context, dy, w, dx));
}

pub(super) fn kernel_grad<T: Half>(context: Context, x: &[T], dy: &[T], dw: &mut [T]) {
    let Context { pool, shape, .. } = context;
    if bf16_winograd::is_preferred(shape, T::DTYPE) {
        let (grad, dw) = (OutputGrad::Plain(cast(dy)), Some(cast_mut(dw)));
        return bf16_winograd::backward(context, cast(x), &[], grad, None, dw, None);
    }
    if let Some(plan) = dpbf16::kernel_grad_plan(shape, T::DTYPE) {
        return dpbf16::kernel_grad(context, plan, cast(x), cast(dy), cast_mut(dw));
    }
    if converts_rows(shape) {
        return with_local(|local| {
            let wide_dw = local.take::<f32>(dw.len());
            depthwise::kernel_grad(context, x, dy, wide_dw, &Storage::narrow());
            narrow(pool, wide_dw, dw);
        });
    }
    widen_and_narrow(pool, x, dy, dw, |x, dy, dw| f32::kernel_grad(context, x, dy, dw));
}

/// Computes like [`super::conv_pool_forward`].
pub(super) fn pool_forward<T: Half>(
    context: Context,
    x: &[T],
    w: &[T],
    epilogue: Epilogue<T>,
    y: &mut [T],
    codes: &mut [u8],
) {
    let Context { pool, shape, .. } = context;
    if bf16_winograd::is_preferred(shape, T::DTYPE) {
        let (x, w, y) = (cast(x), bf16_winograd::Weights::Taps(cast(w)), cast_mut(y));
        return bf16_winograd::pool_forward(context, x, w, cast_epilogue(epilogue), y, codes);
    }
    with_local(|local| {
        let bias_len = epilogue.bias.map_or(0, <[T]>::len);
        let (inputs, wide_y, bias) = local.take3::<f32, f32, f32>(x.len() + w.len(), y.len(), bias_len);
        let (wide_x, wide_w) = inputs.split_at_mut(x.len());
        widen(pool, x, wide_x);
        widen(pool, w, wide_w);
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let wide = Epilogue { bias: epilogue.bias.map(|_| &*bias), activation: epilogue.activation, accumulate: false };
        pooled::forward(context, wide_x, wide_w, wide, wide_y, codes);
        narrow(pool, wide_y, y);
    });
}

/// Computes like [`super::conv_backward`], widening the operands once for all gradients.
pub(super) fn backward<T: Half + WidenTo<f32>>(
    context: Context,
    x: &[T],
    w: &[T],
    grad: OutputGrad<T>,
    dx: Option<&mut [T]>,
    mut dw: Option<&mut [T]>,
    db: Option<&mut [T]>,
) {
    let Context { pool, shape, .. } = context;
    if bf16_winograd::is_preferred(shape, T::DTYPE) {
        let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut));
        return bf16_winograd::backward(context, cast(x), cast(w), grad.cast(), dx, dw, db);
    }
    let in_rows =
        select_algorithm(shape, DType::F32) == Algorithm::Direct && !columns::is_preferred_for_kernel_grad(shape);
    if let (None, Some(dw), true) = (&dx, &mut dw, in_rows) {
        return widened_rows(context, x, grad, dw, db);
    }
    let (dy, y) = grad.values();
    let [dx_len, dw_len, db_len] = [&dx, &dw, &db].map(|part| part.as_ref().map_or(0, |part| part.len()));
    with_local(|local| {
        let (inputs, gradients, results) =
            local.take3::<f32, f32, f32>(x.len() + w.len(), dy.len() + y.len(), dx_len + dw_len + db_len);
        let (wide_x, wide_w) = inputs.split_at_mut(x.len());
        let (wide_dy, wide_y) = gradients.split_at_mut(dy.len());
        let (wide_dx, rest) = results.split_at_mut(dx_len);
        let (wide_dw, wide_db) = rest.split_at_mut(dw_len);
        // The kernel gradient reads the input, the input gradient reads the kernel.
        if dw.is_some() {
            widen(pool, x, wide_x);
        }
        if dx.is_some() {
            widen(pool, w, wide_w);
        }
        widen(pool, dy, wide_dy);
        widen(pool, y, wide_y);
        let wide = grad.with_values(&*wide_dy, &*wide_y);
        float_backward(
            context,
            wide_x,
            wide_w,
            wide,
            dx.is_some().then_some(&mut *wide_dx),
            dw.is_some().then_some(&mut *wide_dw),
            db.is_some().then_some(&mut *wide_db),
        );
        for (from, to) in [(wide_dx, dx), (wide_dw, dw), (wide_db, db)] {
            if let Some(to) = to {
                narrow(pool, from, to);
            }
        }
    });
}

/// Computes the kernel gradient, usually of the first layer of a network, widening output gradients row by row.
fn widened_rows<T: Half + WidenTo<f32>>(
    context: Context,
    x: &[T],
    grad: OutputGrad<T>,
    dw: &mut [T],
    db: Option<&mut [T]>,
) {
    let pool = context.pool;
    with_local(|local| {
        let db_len = db.as_ref().map_or(0, |db| db.len());
        let (wide_x, wide_dw, wide_db) = local.take3::<f32, f32, f32>(x.len(), dw.len(), db_len);
        widen(pool, x, wide_x);
        float_kernel_grad(context, f32::kernels(), wide_x, grad, wide_dw, db.is_some().then_some(&mut *wide_db));
        narrow(pool, wide_dw, dw);
        if let Some(db) = db {
            narrow(pool, wide_db, db);
        }
    });
}
