//! Gradients of a convolution in the type of the tensors.

use super::kernel_grad::kernel_grad;
use super::output_grad::{expand_row, mask_rows, sum_rows, OutputGrad};
use super::{cast, cast_mut, columns, conv_input_grad, conv_kernel_grad, select_algorithm, winograd};
use super::{Algorithm, Context, ConvElement, ConvShape};
use crate::dtype::{DType, Element};
use crate::gemm::types::Real;
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Scratch};

/// Approximate elements of a task that expands rows.
const TASK: usize = 1 << 14;
/// Number of partial sums of a bias gradient.
const PARTIALS: usize = 16;

/// Computes [`super::conv_backward`] of checked arguments.
pub(super) fn backward<T: ConvElement>(
    context: Context,
    x: &[T],
    w: &[T],
    grad: OutputGrad<T>,
    dx: Option<&mut [T]>,
    mut dw: Option<&mut [T]>,
    db: Option<&mut [T]>,
) {
    let Context { pool, shape, scratch } = context;
    let algorithm = select_algorithm(shape, T::DTYPE);
    if algorithm == Algorithm::Winograd {
        let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut));
        return winograd::backward::<f32>(Context { pool, shape, scratch }, cast(x), cast(w), grad.cast(), dx, dw, db);
    }
    // Usually the first layer of a network, whose input gradient is not requested.
    let in_rows = algorithm == Algorithm::Direct && !columns::is_preferred_for_kernel_grad(shape);
    if let (true, DType::F32, None, Some(dw)) = (in_rows, T::DTYPE, &dx, &mut dw) {
        let (dw, db) = (cast_mut::<T, f32>(dw), db.map(cast_mut));
        return kernel_grad(Context { pool, shape, scratch }, f32::kernels(), cast(x), grad.cast::<f32>(), dw, db);
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
