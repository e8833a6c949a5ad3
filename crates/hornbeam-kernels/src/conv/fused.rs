//! Convolutions fused with neighbouring operations: pooling after the forward pass, and one backward pass for all
//! gradients, which may start from the gradient of a relu or pooling that follows the convolution.

use super::kernel_grad::kernel_grad;
use super::output_grad::{expand_row, mask_rows, sum_rows, OutputGrad, MASKED};
use super::{cast, cast_epilogue, cast_mut, columns, half, pairs, select_algorithm, winograd, Algorithm};
use super::{conv_forward, conv_input_grad, conv_kernel_grad, ConvElement, ConvShape};
use crate::dtype::{bf16, f16, DType, Element};
use crate::gemm::types::Real;
use crate::gemm::{Activation, Epilogue};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use std::ops::Range;

/// Approximate elements of a task that pools or expands rows.
const TASK: usize = 1 << 14;
/// Number of partial sums of a bias gradient.
const PARTIALS: usize = 16;

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
    check_pooled(shape, &epilogue, y, codes);
    shape.check(x.len(), w.len(), shape.output_len());
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.out_channels), "expected one bias per output channel");
    match T::DTYPE {
        DType::F16 => {
            let (x, w, y) = (cast::<T, f16>(x), cast(w), cast_mut(y));
            return half::pool_forward(pool, shape, x, w, cast_epilogue(epilogue), y, codes, scratch);
        }
        DType::BF16 => {
            let (x, w, y) = (cast::<T, bf16>(x), cast(w), cast_mut(y));
            return half::pool_forward(pool, shape, x, w, cast_epilogue(epilogue), y, codes, scratch);
        }
        _ => {}
    }
    if select_algorithm(shape, T::DTYPE) == Algorithm::Winograd {
        let (x, w, y) = (cast(x), winograd::Kernel::Taps(cast(w)), cast_mut(y));
        return winograd::pool_forward::<f32>(pool, shape, x, w, cast_epilogue(epilogue), y, codes, scratch);
    }
    with_local(|local| {
        let unpooled = local.take::<T>(shape.output_len());
        conv_forward(pool, shape, x, w, unpooled, epilogue, scratch);
        let [height, width] = shape.pooled();
        let line = width * shape.out_channels;
        let (unpooled, relu) = (&*unpooled, epilogue.activation == Activation::RELU);
        let kernel = pool_rows::<T>();
        let (y, codes) = (SharedMut::new(y), SharedMut::new(codes));
        if line > 0 {
            pool.run_ranges(shape.batch * shape.output[0] * height, TASK.div_ceil(line), &|rows| {
                let range = rows.start * line..rows.end * line;
                // SAFETY: ranges of rows are disjoint; the kernel is compiled for this machine.
                unsafe { kernel(shape, rows, unpooled, relu, y.range(range.clone()), codes.range(range)) };
            });
        }
    });
}

pub(super) fn check_pooled<T>(shape: &ConvShape, epilogue: &Epilogue<T>, y: &[T], codes: &[u8]) {
    assert!(!epilogue.accumulate, "a pooled convolution cannot accumulate");
    // Equal limits would tie, where the codes name the first maximum.
    assert!(matches!(epilogue.activation, Activation::None | Activation::RELU), "a relu before pooling has no limit");
    assert_eq!(y.len(), shape.pooled_len(), "the length of y does not fit {shape:?} pooled");
    assert_eq!(codes.len(), y.len(), "expected one code per pooled value");
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
    mut dw: Option<&mut [T]>,
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
    match T::DTYPE {
        DType::F16 | DType::BF16 if half::converts_rows(shape) => {}
        DType::BF16 if dx.is_some() && pairs::input_grad_plan(shape, T::DTYPE).is_some() => {}
        DType::BF16 if dw.is_some() && pairs::kernel_grad_plan(shape, T::DTYPE).is_some() => {}
        DType::F16 => {
            let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut::<T, f16>));
            return half::backward(pool, shape, cast(x), cast(w), grad.cast(), dx, dw, db, scratch);
        }
        DType::BF16 => {
            let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut::<T, bf16>));
            return half::backward(pool, shape, cast(x), cast(w), grad.cast(), dx, dw, db, scratch);
        }
        _ => {}
    }
    let algorithm = select_algorithm(shape, T::DTYPE);
    if algorithm == Algorithm::Winograd {
        let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut));
        return winograd::backward::<f32>(pool, shape, cast(x), cast(w), grad.cast(), dx, dw, db, scratch);
    }
    // Usually the first layer of a network, whose input gradient is not requested.
    let in_rows = algorithm == Algorithm::Direct && !columns::suits_kernel_grad(shape);
    if let (true, DType::F32, None, Some(dw)) = (in_rows, T::DTYPE, &dx, &mut dw) {
        let (dw, db) = (cast_mut::<T, f32>(dw), db.map(cast_mut));
        return kernel_grad(f32::kernels(), pool, shape, cast(x), grad.cast::<f32>(), dw, db, scratch);
    }
    with_local(|local| {
        let dy = expand(pool, shape, grad, local);
        if let Some(db) = db {
            bias_grad(pool, shape, dy, db, scratch);
        }
        if let Some(dw) = dw {
            conv_kernel_grad(pool, shape, x, dy, dw, scratch);
        }
        if let Some(dx) = dx {
            conv_input_grad(pool, shape, dy, w, dx, scratch);
        }
    });
}

/// Returns the gradient of the output of the convolution itself, computed in scratch memory if needed.
fn expand<'a, T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    grad: OutputGrad<'a, T>,
    local: &'a mut Scratch,
) -> &'a [T] {
    match grad {
        OutputGrad::Plain(dy) => dy,
        OutputGrad::Relu { dy, y } => {
            let expanded = local.take::<T>(shape.output_len());
            let kernel = mask_rows::<T, T>();
            pool.run_chunks(expanded, TASK, &|i, to| {
                let range = i * TASK..i * TASK + to.len();
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { kernel(&dy[range.clone()], &y[range], to) };
            });
            expanded
        }
        OutputGrad::Pooled { dy, codes } => {
            let expanded = local.take::<T>(shape.output_len());
            let kernel = expand_row::<T, T>();
            pool.run_chunks(expanded, shape.output[2] * shape.out_channels, &|row, to| {
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { kernel(shape, row, dy, codes, to) };
            });
            expanded
        }
    }
}

/// Sums columns in the accumulator type.
fn bias_grad<T: ConvElement>(pool: &ThreadPool, shape: &ConvShape, dy: &[T], db: &mut [T], scratch: &mut Scratch) {
    let channels = shape.out_channels;
    assert_eq!(db.len(), channels, "expected one bias per output channel");
    if channels == 0 {
        return;
    }
    let rows = dy.len() / channels;
    let sums = scratch.take::<T::Acc>(PARTIALS * channels);
    let add = sum_rows::<T>();
    pool.run_chunks(sums, channels, &|i, sums| {
        sums.fill(<T::Acc as Element>::ZERO);
        let range = i * rows / PARTIALS * channels..(i + 1) * rows / PARTIALS * channels;
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { add(&dy[range], sums) };
    });
    for (c, db) in db.iter_mut().enumerate() {
        let column = sums[c..].iter().step_by(channels);
        *db = T::from_acc(column.fold(<T::Acc as Element>::ZERO, |sum, part| T::plus(sum, *part)));
    }
}

multiversion! {
    unsafe fn pool_rows[S, T: Element; T::DTYPE.copies()](
        shape: &ConvShape, rows: Range<usize>, x: &[T], relu: bool, y: &mut [T], codes: &mut [u8],
    ) {
        let [height, width] = [shape.output[1] / 2, shape.output[2] / 2];
        let c = shape.out_channels;
        let line = shape.output[2] * c;
        let pixels = y.chunks_exact_mut(c).zip(codes.chunks_exact_mut(c));
        for (index, (y, codes)) in pixels.enumerate() {
            let (row, w) = (rows.start + index / width, index % width);
            let first = (row / height * shape.output[1] + row % height * 2) * line + w * 2 * c;
            y.copy_from_slice(&x[first..first + c]);
            codes.fill(0);
            for (code_of_tap, from) in [(1, first + c), (2, first + line), (3, first + line + c)] {
                for ((y, code), x) in y.iter_mut().zip(&mut *codes).zip(&x[from..from + c]) {
                    let (new, old) = (x.to_acc(), y.to_acc());
                    let wins = (new > old) | (new.is_nan() & !old.is_nan());
                    *y = if wins { *x } else { *y };
                    *code = if wins { code_of_tap } else { *code };
                }
            }
            if relu {
                for (y, code) in y.iter().zip(codes) {
                    *code = if y.to_acc() > <T::Acc as Element>::ZERO { *code } else { MASKED };
                }
            }
        }
    }

}

#[cfg(test)]
mod tests;
