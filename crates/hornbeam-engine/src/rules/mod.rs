//! Type rules: the conditions on operands and results under which a kernel stays inside its slices.
//!
//! The Python side checks the same. The engine checks again, because it trusts no text.

mod contraction;
mod control;
mod elementwise;
mod linalg;
mod movement;
mod reduction;
mod rows;
mod windows;

use crate::error::Result;
use crate::graph::{GradSource, Op, PoolKind};
use crate::types::TensorType;

pub use contraction::{free_axes, is_quantized};
pub use windows::{convolved, multiplies_int8};

macro_rules! ensure {
    ($condition:expr, $($arg:tt)*) => {
        if !$condition {
            return Err($crate::error::malformed!($($arg)*));
        }
    };
}
use ensure;

/// Check one node. `inputs` and `outputs` are the types of its operands and results.
pub fn check(op: &Op, inputs: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    for output in outputs {
        output.validate()?;
    }
    let expected = arity(op, inputs.len())?;
    ensure!(inputs.len() == expected, "{op:?} takes {expected} operands, got {}", inputs.len());
    check_output_count(op, inputs.len(), outputs.len())?;
    match op {
        Op::Cond { .. } | Op::While { .. } | Op::Scan { .. } => control::check(op, inputs, outputs),
        Op::Barrier => {
            ensure!(inputs.iter().zip(outputs).all(|(i, o)| **i == *o), "a barrier changes types");
            Ok(())
        }
        Op::Lu | Op::Qr | Op::Svd | Op::Eig | Op::Eigh | Op::Cholesky | Op::TriangularSolve { .. } => {
            linalg::check(op, inputs, outputs)
        }
        Op::Rows(kernel) => rows::check(kernel, inputs, outputs),
        Op::ConvPool { .. } => windows::check_conv_pool(op, inputs, outputs),
        Op::QuantizedConv { .. } => windows::check_quantized_conv(op, inputs, outputs),
        Op::ConvBackward { .. } => windows::check_conv_backward(op, inputs, outputs),
        Op::Recurrent(layer) => layer.check(inputs, outputs),
        Op::Attention(layer) => layer.check(inputs, outputs),
        Op::Reduce { .. }
        | Op::Moments { .. }
        | Op::ArgReduce { .. }
        | Op::Cumulative { .. }
        | Op::Resample { .. }
        | Op::Argsort { .. } => reduction::check(op, inputs, &outputs[0]),
        Op::Gather { .. } | Op::Scatter { .. } => movement::check_index(op, inputs, &outputs[0]),
        Op::Dot { .. } => contraction::check(op, inputs, &outputs[0]),
        Op::Conv { .. } | Op::ConvInputGrad { .. } | Op::ConvKernelGrad { .. } => {
            windows::check_conv(op, inputs, &outputs[0])
        }
        Op::Pool { kind, window } => windows::check_pool(op, *kind, window, inputs, &outputs[0]),
        op if op.is_elementwise() => elementwise::check(op, inputs, &outputs[0]),
        _ => movement::check(op, inputs, &outputs[0]),
    }
}

/// Number of operands. For operations that take any number, `received` if it is enough.
fn arity(op: &Op, received: usize) -> Result<usize> {
    Ok(match op {
        Op::Input(_) | Op::Constant(_) | Op::Literal(_) | Op::Iota { .. } => 0,
        Op::Binary(_) | Op::Compare(_) | Op::Pad { .. } | Op::Gather { .. } | Op::Resample { .. } => 2,
        Op::Select | Op::Scatter { .. } => 3,
        Op::ConvInputGrad { .. } | Op::ConvKernelGrad { .. } | Op::TriangularSolve { .. } | Op::Eig => 2,
        Op::Dot { epilogue, .. } | Op::Conv { epilogue, .. } => 2 + epilogue.bias as usize,
        Op::ConvPool { epilogue, .. } => 2 + epilogue.bias as usize,
        Op::QuantizedConv { epilogue: e, .. } => {
            let is_scaled = e.rounded.is_some_and(|rounded| rounded.is_scaled());
            3 + [e.shift, e.addend, e.bias, is_scaled].into_iter().filter(|&given| given).count()
        }
        Op::ConvBackward { source, input, .. } => 2 + (*source != GradSource::Plain) as usize + *input as usize,
        Op::Pool { kind: PoolKind::MaxGather | PoolKind::MaxScatter, .. } => 2,
        Op::Concatenate { .. } | Op::DynamicSlice => received.max(1),
        Op::DynamicUpdateSlice => received.max(2),
        Op::Cond { true_graph, .. } => 1 + true_graph.0.inputs.len(),
        Op::While { body, .. } => body.0.inputs.len(),
        Op::Scan { body, .. } => body.0.inputs.len(),
        Op::Barrier => received,
        // Checked with their types.
        Op::Rows(_) | Op::Recurrent(_) | Op::Attention(_) => received,
        _ => 1,
    })
}

fn check_output_count(op: &Op, inputs: usize, outputs: usize) -> Result<()> {
    let expected = match op {
        Op::Eig => 4,
        Op::Lu | Op::Svd => 3,
        Op::Qr | Op::Eigh | Op::ConvPool { .. } => 2,
        Op::ConvBackward { input, bias, .. } => 1 + *input as usize + *bias as usize,
        Op::Cond { true_graph, .. } => true_graph.0.outputs.len(),
        Op::While { body, .. } => body.0.outputs.len(),
        Op::Scan { body, carries, .. } => body.0.outputs.len() + carries,
        Op::Barrier => inputs,
        Op::Rows(_) | Op::Recurrent(_) | Op::Attention(_) => outputs, // checked with their types
        Op::Moments { .. } => 2,
        Op::QuantizedConv { epilogue, .. } => epilogue.floats as usize + epilogue.rounded.is_some() as usize,
        _ => 1,
    };
    ensure!(outputs == expected, "{op:?} has {expected} results, {outputs} are declared");
    Ok(())
}

fn same(op: &Op, roles: &str, a: &TensorType, b: &TensorType) -> Result<()> {
    ensure!(a == b, "{op:?}: {roles} must agree, got {a} and {b}");
    Ok(())
}

fn same_shape(op: &Op, a: &TensorType, b: &TensorType) -> Result<()> {
    ensure!(a.shape == b.shape, "{op:?}: shapes must agree, got {a} and {b}");
    Ok(())
}

fn same_dtype(op: &Op, types: &[&TensorType]) -> Result<()> {
    ensure!(types.windows(2).all(|w| w[0].dtype == w[1].dtype), "{op:?}: dtypes must agree");
    Ok(())
}

fn expect_shape(op: &Op, out: &TensorType, shape: &[usize]) -> Result<()> {
    ensure!(out.shape == shape, "{op:?} returns shape {shape:?}, declared is {out}");
    Ok(())
}

fn axis_in(op: &Op, axis: usize, t: &TensorType) -> Result<()> {
    ensure!(axis < t.rank(), "{op:?}: axis {axis} of a value of type {t}");
    Ok(())
}

fn integer(op: &Op, t: &TensorType) -> Result<()> {
    ensure!(t.dtype.is_int(), "{op:?} needs integers, got {t}");
    Ok(())
}

fn strictly_increasing(axes: &[usize]) -> bool {
    axes.windows(2).all(|w| w[0] < w[1])
}
