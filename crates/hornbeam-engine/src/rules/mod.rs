//! Type rules: what every operation's operands and results must be for its kernel to stay inside its slices.
//!
//! The Python side has checked the same already; this is the engine's own check, because it trusts no text.

use hornbeam_kernels::dtype::DType;

use crate::error::{malformed, Result};
use crate::graph::{Epilogue, GradSource, Nested, Op, PoolKind, RowKernel, Window};
use crate::types::TensorType;

macro_rules! ensure {
    ($condition:expr, $($arg:tt)*) => {
        if !$condition {
            return Err(malformed!($($arg)*));
        }
    };
}

/// Check one node. `inputs` and `outputs` are the types of its operands and results.
pub fn check(op: &Op, inputs: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    for output in outputs {
        output.validate()?;
    }
    let expected = arity(op, inputs.len())?;
    ensure!(inputs.len() == expected, "{op:?} takes {expected} operands, got {}", inputs.len());
    check_output_count(op, inputs.len(), outputs.len())?;
    match op {
        Op::Cond { .. } | Op::While { .. } | Op::Scan { .. } => check_control(op, inputs, outputs),
        Op::Barrier => {
            ensure!(inputs.iter().zip(outputs).all(|(i, o)| **i == *o), "a barrier changes types");
            Ok(())
        }
        Op::Lu | Op::Qr | Op::Svd | Op::Eigh | Op::Cholesky | Op::TriangularSolve { .. } => {
            check_linalg(op, inputs, outputs)
        }
        Op::Rows(kernel) => check_rows(kernel, inputs, outputs),
        Op::ConvPool { window, groups, epilogue } => {
            let conv = Op::Conv { window: window.clone(), groups: *groups, epilogue: *epilogue };
            let full = convolved(window, inputs[0], &outputs[0]);
            check_conv(&conv, inputs, &full)?;
            check_halved(op, &full, &outputs[0], &outputs[1])
        }
        Op::ConvBackward { .. } => check_conv_backward(op, inputs, outputs),
        Op::Recurrent(layer) => layer.check(inputs, outputs),
        Op::Attention(layer) => layer.check(inputs, outputs),
        _ => check_single(op, inputs, &outputs[0]),
    }
}

fn arity(op: &Op, given: usize) -> Result<usize> {
    Ok(match op {
        Op::Input(_) | Op::Constant(_) | Op::Literal(_) | Op::Iota { .. } => 0,
        Op::Binary(_) | Op::Compare(_) | Op::Pad { .. } | Op::Gather { .. } => 2,
        Op::Select | Op::Scatter { .. } => 3,
        Op::ConvInputGrad { .. } | Op::ConvKernelGrad { .. } | Op::TriangularSolve { .. } => 2,
        Op::Dot { epilogue, .. } | Op::Conv { epilogue, .. } => 2 + epilogue.bias as usize,
        Op::ConvPool { epilogue, .. } => 2 + epilogue.bias as usize,
        Op::ConvBackward { source, input, .. } => 2 + (*source != GradSource::Plain) as usize + *input as usize,
        Op::Pool { kind: PoolKind::MaxGather | PoolKind::MaxScatter, .. } => 2,
        Op::Concatenate { .. } => given.max(1),
        Op::DynamicSlice => given.max(1),
        Op::DynamicUpdateSlice => given.max(2),
        Op::Cond { true_graph, .. } => 1 + true_graph.0.inputs.len(),
        Op::While { body, .. } => body.0.inputs.len(),
        Op::Scan { body, .. } => body.0.inputs.len(),
        Op::Rows(kernel) => match kernel {
            RowKernel::Softmax | RowKernel::LogSoftmax => 1,
            RowKernel::SoftmaxVjp | RowKernel::LogSoftmaxVjp => 2,
            RowKernel::CrossEntropy | RowKernel::SparseCrossEntropy => 2,
            RowKernel::CrossEntropyVjp | RowKernel::SparseCrossEntropyVjp => 3,
            RowKernel::LayerNorm { .. } => 3,
            RowKernel::LayerNormVjp { .. } => 4,
        },
        Op::Barrier | Op::Recurrent(_) | Op::Attention(_) => given,
        _ => 1,
    })
}

fn check_output_count(op: &Op, inputs: usize, outputs: usize) -> Result<()> {
    let expected = match op {
        Op::Lu | Op::Svd => 3,
        Op::Qr | Op::Eigh | Op::ConvPool { .. } => 2,
        Op::ConvBackward { input, bias, .. } => 1 + *input as usize + *bias as usize,
        Op::Cond { true_graph, .. } => true_graph.0.outputs.len(),
        Op::While { body, .. } => body.0.outputs.len(),
        Op::Scan { body, carries, .. } => body.0.outputs.len() + carries,
        Op::Barrier => inputs,
        Op::Rows(RowKernel::LayerNormVjp { .. }) => 3,
        Op::Recurrent(_) | Op::Attention(_) => outputs, // checked with their types
        Op::Moments { .. } => 2,
        _ => 1,
    };
    ensure!(outputs == expected, "{op:?} has {expected} results, {outputs} are declared");
    Ok(())
}

fn same(op: &Op, what: &str, a: &TensorType, b: &TensorType) -> Result<()> {
    ensure!(a == b, "{op:?}: {what} must agree, got {a} and {b}");
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
    ensure!(out.shape == shape, "{op:?} gives shape {shape:?}, declared is {out}");
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

fn is_permutation(perm: &[usize], rank: usize) -> bool {
    let mut seen = vec![false; rank];
    perm.len() == rank && perm.iter().all(|&p| p < rank && !std::mem::replace(&mut seen[p], true))
}

fn strictly_increasing(axes: &[usize]) -> bool {
    axes.windows(2).all(|w| w[0] < w[1])
}

fn check_single(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    match op {
        Op::Literal(_) => expect_shape(op, out, &[])?,
        Op::Unary(u) => {
            let predicate = u.name() == "is_finite";
            same_shape(op, x[0], out)?;
            ensure!(
                out.dtype == if predicate { DType::Bool } else { x[0].dtype },
                "{op:?} of {} cannot give {out}",
                x[0]
            );
        }
        Op::Binary(_) => {
            same(op, "operands", x[0], x[1])?;
            same(op, "operand and result", x[0], out)?;
        }
        Op::Compare(_) => {
            same(op, "operands", x[0], x[1])?;
            same_shape(op, x[0], out)?;
            ensure!(out.dtype == DType::Bool, "{op:?} gives bool, declared is {out}");
        }
        Op::Select => {
            ensure!(x[0].dtype == DType::Bool, "select needs a bool condition, got {}", x[0]);
            same_shape(op, x[0], x[1])?;
            same(op, "choices", x[1], x[2])?;
            same(op, "choice and result", x[1], out)?;
        }
        Op::Convert => same_shape(op, x[0], out)?,
        Op::Bitcast => {
            same_shape(op, x[0], out)?;
            ensure!(x[0].dtype.size() == out.dtype.size(), "bitcast of {} to {out}: widths differ", x[0]);
        }
        Op::Iota { axis } => axis_in(op, *axis, out)?,
        Op::RandomBits => {
            ensure!(x[0].dtype == DType::U32 && x[0].shape == [2], "random_bits needs a uint32[2] key, got {}", x[0]);
            ensure!(out.dtype == DType::U32, "random_bits gives uint32, declared is {out}");
        }
        Op::Reduce { axes, .. } | Op::Moments { axes } => {
            ensure!(strictly_increasing(axes), "{op:?}: axes must increase");
            axes.iter().try_for_each(|&a| axis_in(op, a, x[0]))?;
            let kept: Vec<_> = (0..x[0].rank()).filter(|a| !axes.contains(a)).map(|a| x[0].shape[a]).collect();
            expect_shape(op, out, &kept)?;
            same_dtype(op, &[x[0], out])?;
        }
        Op::ArgReduce { axis, .. } => {
            axis_in(op, *axis, x[0])?;
            let mut shape = x[0].shape.clone();
            ensure!(shape.remove(*axis) > 0 || out.count() == 0, "{op:?} over no elements");
            expect_shape(op, out, &shape)?;
            ensure!(out.dtype == DType::I32, "{op:?} gives int32, declared is {out}");
        }
        Op::Cumulative { axis, .. } => {
            axis_in(op, *axis, x[0])?;
            same(op, "operand and result", x[0], out)?;
        }
        Op::Argsort { axis } => {
            axis_in(op, *axis, x[0])?;
            same_shape(op, x[0], out)?;
            ensure!(out.dtype == DType::I32, "{op:?} gives int32, declared is {out}");
        }
        Op::Gather { .. } | Op::Scatter { .. } => check_index(op, x, out)?,
        Op::Dot { .. } => check_dot(op, x, out)?,
        Op::Conv { .. } | Op::ConvInputGrad { .. } | Op::ConvKernelGrad { .. } => check_conv(op, x, out)?,
        Op::Pool { kind, window } => check_pool(op, *kind, window, x, out)?,
        _ => check_movement(op, x, out)?,
    }
    Ok(())
}

fn check_movement(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    match op {
        Op::Reshape => {
            ensure!(x[0].count() == out.count(), "reshape of {} to {out}", x[0]);
            same_dtype(op, &[x[0], out])?;
        }
        Op::Transpose { perm } => {
            ensure!(is_permutation(perm, x[0].rank()), "{perm:?} does not permute the axes of {}", x[0]);
            expect_shape(op, out, &perm.iter().map(|&p| x[0].shape[p]).collect::<Vec<_>>())?;
            same_dtype(op, &[x[0], out])?;
        }
        Op::Broadcast { dims } => {
            ensure!(dims.len() == x[0].rank() && strictly_increasing(dims), "broadcast dims {dims:?} of {}", x[0]);
            for (&dim, &extent) in dims.iter().zip(&x[0].shape) {
                axis_in(op, dim, out)?;
                ensure!(extent == 1 || extent == out.shape[dim], "broadcast of {} to {out} along {dims:?}", x[0]);
            }
            same_dtype(op, &[x[0], out])?;
        }
        Op::Pad { low, high, interior } => {
            let rank = x[0].rank();
            ensure!(x[1].rank() == 0, "the pad value must be a scalar, got {}", x[1]);
            same_dtype(op, &[x[0], x[1], out])?;
            ensure!(low.len() == rank && high.len() == rank && interior.len() == rank, "pad of {}: rank", x[0]);
            let (mut grown, mut shape) = (Vec::with_capacity(rank), Vec::with_capacity(rank));
            for axis in 0..rank {
                let [extent, interior] = [x[0].shape[axis], interior[axis]].map(|n| n as i128);
                let [low, high] = [low[axis], high[axis]].map(i128::from);
                let spread = extent + (extent - 1).max(0) * interior;
                ensure!(spread + low + high >= 0, "pad of {} cuts off more of axis {axis} than there is", x[0]);
                grown.push(usize::try_from(spread + low.max(0) + high.max(0)).unwrap_or(usize::MAX));
                shape.push((spread + low + high) as usize);
            }
            // Before anything is cut off, so that places of single elements are numbers too.
            TensorType::new(out.dtype, grown).validate()?;
            expect_shape(op, out, &shape)?;
        }
        Op::Slice { start, step } => {
            let rank = x[0].rank();
            ensure!(start.len() == rank && step.len() == rank && out.rank() == rank, "slice of {}: rank", x[0]);
            for axis in 0..rank {
                let count = out.shape[axis];
                let reach = |count: usize| (count - 1).checked_mul(step[axis])?.checked_add(start[axis]);
                let inside = |last: usize| last < x[0].shape[axis];
                let ends =
                    count == 0 && start[axis] <= x[0].shape[axis] || count > 0 && reach(count).is_some_and(inside);
                let fits = step[axis] > 0 && ends;
                ensure!(fits, "slice of {} from {start:?} by {step:?} to {out}", x[0]);
            }
            same_dtype(op, &[x[0], out])?;
        }
        Op::Concatenate { axis } => {
            axis_in(op, *axis, out)?;
            let mut shape = x[0].shape.clone();
            axis_in(op, *axis, x[0])?;
            shape[*axis] = 0;
            for part in x {
                axis_in(op, *axis, part)?;
                shape[*axis] = shape[*axis].saturating_add(part.shape[*axis]);
                let mut like = part.shape.clone();
                like[*axis] = shape[*axis];
                ensure!(like == shape, "concatenate of {} and {part}", x[0]);
            }
            expect_shape(op, out, &shape)?;
            same_dtype(op, x)?;
            same_dtype(op, &[x[0], out])?;
        }
        Op::Reverse { axes } => {
            axes.iter().try_for_each(|&a| axis_in(op, a, x[0]))?;
            same(op, "operand and result", x[0], out)?;
        }
        Op::DynamicSlice => {
            check_starts(op, x[0], &x[1..])?;
            ensure!(out.rank() == x[0].rank(), "dynamic_slice of {} to {out}", x[0]);
            ensure!(out.shape.iter().zip(&x[0].shape).all(|(o, i)| o <= i), "dynamic_slice of {} to {out}", x[0]);
            same_dtype(op, &[x[0], out])?;
        }
        Op::DynamicUpdateSlice => {
            check_starts(op, x[0], &x[2..])?;
            ensure!(x[1].rank() == x[0].rank(), "dynamic_update_slice of {} by {}", x[0], x[1]);
            let fits = x[1].shape.iter().zip(&x[0].shape).all(|(u, i)| u <= i);
            ensure!(fits, "dynamic_update_slice of {} by {}", x[0], x[1]);
            same_dtype(op, &[x[0], x[1], out])?;
            same(op, "operand and result", x[0], out)?;
        }
        Op::Input(_) | Op::Constant(_) => {}
        other => return Err(malformed!("{other:?} has no type rule")),
    }
    Ok(())
}

fn check_starts(op: &Op, x: &TensorType, starts: &[&TensorType]) -> Result<()> {
    ensure!(starts.len() == x.rank(), "{op:?} of {x} with {} starts", starts.len());
    ensure!(starts.iter().all(|s| s.rank() == 0 && s.dtype.is_int()), "{op:?}: starts are integer scalars");
    Ok(())
}

fn check_index(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    let (source, indices) = (x[0], x[1]);
    integer(op, indices)?;
    let batch = match op {
        Op::Gather { batch_dims } | Op::Scatter { batch_dims, .. } => *batch_dims,
        _ => 0,
    };
    ensure!(indices.rank() > batch, "{op:?} of {source} by {indices}");
    let k = indices.shape[indices.rank() - 1];
    ensure!(batch + k <= source.rank(), "{op:?} of {source} by {indices}");
    ensure!(source.shape[..batch] == indices.shape[..batch], "{op:?}: batch axes of {source} and {indices}");
    let mut picked = indices.shape[..indices.rank() - 1].to_vec();
    picked.extend_from_slice(&source.shape[batch + k..]);
    // Indices are clamped, so there must be something to clamp to.
    let empty = source.shape[batch..batch + k].contains(&0);
    let slices = if let Op::Scatter { .. } = op { x[2] } else { out };
    ensure!(!empty || slices.count() == 0, "{op:?} of {source}, which has no elements");
    same_dtype(op, &[source, slices])?;
    expect_shape(op, slices, &picked)?;
    if let Op::Scatter { .. } = op {
        same(op, "operand and result", source, out)?;
    }
    Ok(())
}

fn check_bias(op: &Op, epilogue: &Epilogue, x: &[&TensorType], out: &TensorType) -> Result<()> {
    if epilogue.bias {
        ensure!(out.rank() > 0 && x[2].shape == [out.shape[out.rank() - 1]], "{op:?} with a bias {}", x[2]);
        same_dtype(op, &[x[2], out])?;
    }
    Ok(())
}

fn check_dot(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    let Op::Dot { contract, batch, epilogue } = op else { unreachable!("called for dot_general") };
    same_dtype(op, &[x[0], x[1], out])?;
    for (side, t) in x[..2].iter().enumerate() {
        let mut used: Vec<usize> = contract[side].iter().chain(&batch[side]).copied().collect();
        ensure!(used.iter().all(|&a| a < t.rank()), "{op:?}: axes of {t}");
        used.sort_unstable();
        ensure!(strictly_increasing(&used), "{op:?}: an axis appears twice");
    }
    for pairs in [contract, batch] {
        ensure!(pairs[0].len() == pairs[1].len(), "{op:?}: axes do not pair up");
        let agree = pairs[0].iter().zip(&pairs[1]).all(|(&a, &b)| x[0].shape[a] == x[1].shape[b]);
        ensure!(agree, "{op:?}: extents of {} and {} do not agree", x[0], x[1]);
    }
    let mut shape: Vec<usize> = batch[0].iter().map(|&a| x[0].shape[a]).collect();
    for side in 0..2 {
        shape.extend(free_axes(x[side].rank(), &contract[side], &batch[side]).map(|a| x[side].shape[a]));
    }
    expect_shape(op, out, &shape)?;
    check_bias(op, epilogue, x, out)
}

/// The axes of a `rank`-dimensional operand that are neither contracted nor batched.
pub fn free_axes<'a>(rank: usize, contract: &'a [usize], batch: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    (0..rank).filter(move |a| !contract.contains(a) && !batch.contains(a))
}

fn check_window(op: &Op, window: &Window, spatial: usize) -> Result<()> {
    ensure!((1..=3).contains(&spatial), "{op:?}: {spatial} spatial axes, 1 to 3 are possible");
    let fits = window.size.len() == spatial
        && window.strides.len() == spatial
        && window.padding.len() == spatial
        && window.dilation.len() == spatial;
    ensure!(fits, "{op:?}: the window must have {spatial} axes");
    let small = |v: &[usize]| v.iter().all(|&n| n > 0 && n < 1 << 24);
    ensure!(
        small(&window.strides) && small(&window.dilation) && window.size.iter().all(|&n| n < 1 << 24),
        "{op:?}: strides and dilation must be positive"
    );
    let moderate = |n: i64| n.unsigned_abs() < 1 << 24;
    ensure!(window.padding.iter().all(|p| moderate(p.0) && moderate(p.1)), "{op:?}: padding out of range");
    Ok(())
}

/// Output extents of a window that moves over `input`.
pub fn window_output(window: &Window, input: &[usize]) -> Vec<usize> {
    (0..input.len())
        .map(|i| {
            let reach = (window.size[i].max(1) as i64 - 1) * window.dilation[i] as i64 + 1;
            let padded = input[i] as i64 + window.padding[i].0 + window.padding[i].1;
            if padded < reach {
                0
            } else {
                ((padded - reach) / window.strides[i] as i64 + 1) as usize
            }
        })
        .collect()
}

fn check_conv(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    let (input, kernel, result, window, groups) = match op {
        Op::Conv { window, groups, .. } => (x[0], x[1], out, window, *groups),
        Op::ConvInputGrad { window, groups } => (out, x[1], x[0], window, *groups),
        Op::ConvKernelGrad { window, groups } => (x[0], out, x[1], window, *groups),
        _ => unreachable!("called for convolutions"),
    };
    same_dtype(op, &[input, kernel, result])?;
    let rank = input.rank();
    ensure!(rank >= 3 && kernel.rank() == rank && result.rank() == rank, "{op:?}: ranks");
    check_window(op, window, rank - 2)?;
    ensure!(window.size == kernel.shape[..rank - 2], "{op:?}: kernel {kernel}");
    let (c_in, c_out) = (input.shape[rank - 1], result.shape[rank - 1]);
    ensure!(
        groups > 0
            && kernel.shape[rank - 2].checked_mul(groups) == Some(c_in)
            && c_out == kernel.shape[rank - 1]
            && c_out % groups == 0,
        "{op:?}: channels of {input}, {kernel}, {result}"
    );
    ensure!(window_output(window, &input.shape[1..rank - 1]) == result.shape[1..rank - 1], "{op:?}: spatial extents");
    ensure!(input.shape[0] == result.shape[0], "{op:?}: batch of {input} and {result}");
    if let Op::Conv { epilogue, .. } = op {
        check_bias(op, epilogue, x, out)?;
    }
    Ok(())
}

/// The type of a convolution of `input`, with the channels and the dtype of `like`.
pub fn convolved(window: &Window, input: &TensorType, like: &TensorType) -> TensorType {
    let spatial = &input.shape[1..input.rank().saturating_sub(1).max(1)];
    let mut shape = vec![input.shape[0]];
    shape.extend(window_output(window, &spatial[..spatial.len().min(window.size.len())]));
    shape.push(like.shape[like.rank() - 1]);
    TensorType::new(like.dtype, shape)
}

/// `pooled` and `codes` are what 2x2 windows leave of `full`.
fn check_halved(op: &Op, full: &TensorType, pooled: &TensorType, codes: &TensorType) -> Result<()> {
    ensure!(full.rank() == 4 && full.dtype.is_float(), "{op:?}: pools images of floats, got {full}");
    let shape = [full.shape[0], full.shape[1] / 2, full.shape[2] / 2, full.shape[3]];
    ensure!(pooled.shape == shape && codes.shape == shape, "{op:?} gives {shape:?}, declared are {pooled}, {codes}");
    ensure!(pooled.dtype == full.dtype && codes.dtype == DType::U8, "{op:?}: {pooled} and {codes} of {full}");
    Ok(())
}

fn check_conv_backward(op: &Op, x: &[&TensorType], out: &[TensorType]) -> Result<()> {
    let Op::ConvBackward { window, groups, source, input, bias } = op else { unreachable!("called for one operation") };
    let (from, dy) = (x[0], x[1]);
    let full = if *source == GradSource::Pooled { convolved(window, from, dy) } else { dy.clone() };
    check_conv(&Op::ConvKernelGrad { window: window.clone(), groups: *groups }, &[from, &full], &out[0])?;
    match source {
        GradSource::Plain => {}
        GradSource::Relu => same(op, "gradient and result", dy, x[2])?,
        GradSource::Pooled => check_halved(op, &full, dy, x[2])?,
    }
    if *input {
        same(op, "kernel and its gradient", x[x.len() - 1], &out[0])?;
        same(op, "input and its gradient", from, &out[1])?;
    }
    if *bias {
        let last = &out[out.len() - 1];
        ensure!(last.dtype == dy.dtype && last.shape == dy.shape[dy.rank() - 1..], "{op:?}: bias {last}");
    }
    Ok(())
}

fn check_pool(op: &Op, kind: PoolKind, window: &Window, x: &[&TensorType], out: &TensorType) -> Result<()> {
    let (input, pooled) = match kind {
        PoolKind::Max | PoolKind::MaxGather | PoolKind::Sum => (x[0], out),
        PoolKind::MaxScatter => (x[0], x[1]),
        PoolKind::SumGrad => (out, x[0]),
    };
    same_dtype(op, &[input, pooled])?;
    let rank = input.rank();
    ensure!(rank >= 3 && pooled.rank() == rank, "{op:?} of {input}");
    check_window(op, window, rank - 2)?;
    ensure!(window.size.iter().all(|&n| n > 0), "{op:?}: an empty window");
    ensure!(window.dilation.iter().all(|&n| n == 1), "{op:?}: windows of a pooling have no dilation");
    ensure!(window_output(window, &input.shape[1..rank - 1]) == pooled.shape[1..rank - 1], "{op:?}: spatial extents");
    ensure!(input.shape[0] == pooled.shape[0] && input.shape[rank - 1] == pooled.shape[rank - 1], "{op:?}: channels");
    match kind {
        PoolKind::MaxGather => same(op, "operands", x[0], x[1]),
        PoolKind::MaxScatter => same(op, "operand and result", x[0], out),
        _ => Ok(()),
    }
}

fn check_linalg(op: &Op, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    let a = x[0];
    ensure!(a.rank() >= 2, "{op:?} needs a matrix, got {a}");
    ensure!(matches!(a.dtype, DType::F32 | DType::F64), "{op:?} does not take {}", a.dtype);
    let lead = &a.shape[..a.rank() - 2];
    let (m, n) = (a.shape[a.rank() - 2], a.shape[a.rank() - 1]);
    let with = |tail: &[usize]| [lead, tail].concat();
    let square = matches!(op, Op::Cholesky | Op::TriangularSolve { .. } | Op::Eigh);
    ensure!(!square || m == n, "{op:?} needs a square matrix, got {a}");
    let k = m.min(n);
    let shapes: Vec<Vec<usize>> = match op {
        Op::Cholesky => vec![with(&[n, n])],
        Op::Lu => vec![with(&[m, n]), with(&[k]), with(&[m])],
        Op::Qr => vec![with(&[m, k]), with(&[k, n])],
        Op::Svd => vec![with(&[m, k]), with(&[k]), with(&[k, n])],
        Op::Eigh => vec![with(&[n]), with(&[n, n])],
        _ => {
            let b = x[1];
            ensure!(b.rank() == a.rank() && b.shape[..lead.len()] == *lead, "{op:?} of {a} and {b}");
            ensure!(b.shape[b.rank() - 2] == n, "{op:?} of {a} and {b}");
            same_dtype(op, &[a, b])?;
            vec![b.shape.clone()]
        }
    };
    for (index, (out, shape)) in outputs.iter().zip(&shapes).enumerate() {
        expect_shape(op, out, shape)?;
        let dtype = if matches!(op, Op::Lu) && index > 0 { DType::I32 } else { a.dtype };
        ensure!(out.dtype == dtype, "{op:?}: result {index} is {dtype}, declared is {out}");
    }
    Ok(())
}

fn check_graph(op: &Op, graph: &Nested, inputs: &[TensorType], outputs: &[TensorType]) -> Result<()> {
    ensure!(graph.0.inputs == inputs, "{}: its graph takes other types", control_name(op));
    ensure!(graph.0.output_types() == outputs, "{}: its graph returns other types", control_name(op));
    Ok(())
}

fn control_name(op: &Op) -> &'static str {
    match op {
        Op::Cond { .. } => "cond",
        Op::While { .. } => "while_loop",
        _ => "scan",
    }
}

fn check_control(op: &Op, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    let owned: Vec<TensorType> = x.iter().map(|&t| t.clone()).collect();
    match op {
        Op::Cond { true_graph, false_graph } => {
            ensure!(owned[0] == TensorType::scalar(DType::Bool), "cond needs a bool[] predicate, got {}", owned[0]);
            check_graph(op, true_graph, &owned[1..], outputs)?;
            check_graph(op, false_graph, &owned[1..], outputs)
        }
        Op::While { cond, body } => {
            ensure!(outputs.len() <= owned.len() && *outputs == owned[..outputs.len()], "while_loop: carry types");
            check_graph(op, cond, &owned, &[TensorType::scalar(DType::Bool)])?;
            check_graph(op, body, &owned, outputs)
        }
        Op::Scan { body, carries, sequences, length, .. } => {
            ensure!(carries.saturating_add(*sequences) <= owned.len(), "scan: {carries} carries of {}", owned.len());
            ensure!(*carries <= body.0.outputs.len(), "scan: its body returns too little");
            let mut inner = owned.clone();
            for t in &mut inner[*carries..carries + sequences] {
                ensure!(t.rank() > 0 && t.shape[0] == *length, "scan over {length} steps got a sequence {t}");
                t.shape.remove(0);
            }
            let results = body.0.output_types();
            check_graph(op, body, &inner, &results)?;
            ensure!(results[..*carries] == owned[..*carries], "scan: its body changes the types of its carry");
            let stacked = results[*carries..].iter().chain(&owned[..*carries]).map(|t| {
                let mut stacked = t.clone();
                stacked.shape.insert(0, *length);
                stacked
            });
            let expected: Vec<TensorType> = owned[..*carries].iter().cloned().chain(stacked).collect();
            ensure!(expected == outputs, "scan: declared results do not follow from its body");
            Ok(())
        }
        _ => unreachable!("called for control flow"),
    }
}

fn check_rows(kernel: &RowKernel, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    let op = Op::Rows(kernel.clone());
    let main = x[match kernel {
        RowKernel::SoftmaxVjp | RowKernel::LogSoftmaxVjp => 1,
        _ => 0,
    }];
    ensure!(main.rank() > 0, "{op:?} needs at least one axis");
    let rows = TensorType::new(main.dtype, main.shape[..main.rank() - 1].to_vec());
    let last = TensorType::new(main.dtype, vec![main.shape[main.rank() - 1]]);
    let labels = |t: &TensorType| -> Result<()> {
        integer(&op, t)?;
        same_shape(&op, t, &rows)
    };
    match kernel {
        RowKernel::Softmax | RowKernel::LogSoftmax => same(&op, "operand and result", main, &outputs[0])?,
        RowKernel::SoftmaxVjp | RowKernel::LogSoftmaxVjp => {
            same(&op, "operands", x[0], x[1])?;
            same(&op, "operand and result", main, &outputs[0])?;
        }
        RowKernel::CrossEntropy => {
            same(&op, "operands", x[0], x[1])?;
            same(&op, "rows and result", &rows, &outputs[0])?;
        }
        RowKernel::SparseCrossEntropy => {
            labels(x[1])?;
            same(&op, "rows and result", &rows, &outputs[0])?;
        }
        RowKernel::CrossEntropyVjp => {
            same(&op, "operands", x[0], x[1])?;
            same(&op, "rows and cotangent", &rows, x[2])?;
            same(&op, "operand and result", main, &outputs[0])?;
        }
        RowKernel::SparseCrossEntropyVjp => {
            labels(x[1])?;
            same(&op, "rows and cotangent", &rows, x[2])?;
            same(&op, "operand and result", main, &outputs[0])?;
        }
        RowKernel::LayerNorm { .. } => {
            same(&op, "scale", &last, x[1])?;
            same(&op, "offset", &last, x[2])?;
            same(&op, "operand and result", main, &outputs[0])?;
        }
        RowKernel::LayerNormVjp { .. } => {
            same(&op, "scale", &last, x[1])?;
            same(&op, "offset", &last, x[2])?;
            same(&op, "cotangent", main, x[3])?;
            same(&op, "operand and result", main, &outputs[0])?;
            same(&op, "scale and result", &last, &outputs[1])?;
            same(&op, "offset and result", &last, &outputs[2])?;
        }
    }
    Ok(())
}
