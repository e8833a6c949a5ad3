//! Type rules of convolutions and poolings.

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::gemm::MAX_STEPS;

use super::contraction::{self, check_bias, is_quantized};
use super::{ensure, same, same_dtype};
use crate::error::Result;
use crate::graph::{Epilogue, GradSource, Op, PoolKind, ToBytes, Window};
use crate::types::TensorType;

fn check_window(op: &Op, window: &Window, spatial: usize) -> Result<()> {
    ensure!((1..=3).contains(&spatial), "{op:?}: expected 1 to 3 spatial axes, got {spatial}");
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

/// True if integers are convolved: there are sums, which fit 32 bits, and there is one group, or one for each channel.
pub fn multiplies_int8(groups: usize, steps: usize, kernel: &TensorType) -> bool {
    let depthwise = kernel.shape[kernel.rank() - 2] == 1 && kernel.shape[kernel.rank() - 1] == groups;
    (1..=MAX_STEPS).contains(&steps) && (groups == 1 || depthwise)
}

pub fn check_conv(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    let (input, kernel, result, window, groups) = match op {
        Op::Conv { window, groups, .. } => (x[0], x[1], out, window, *groups),
        Op::ConvInputGrad { window, groups } => (out, x[1], x[0], window, *groups),
        Op::ConvKernelGrad { window, groups } => (x[0], out, x[1], window, *groups),
        _ => unreachable!("called for convolutions"),
    };
    match op {
        Op::Conv { groups, epilogue, .. } if is_quantized(x, out) => {
            let steps = kernel.count() / kernel.shape.last().copied().unwrap_or(1).max(1);
            ensure!(*epilogue == Epilogue::default(), "{op:?} of int8 to {}", out.dtype);
            ensure!(multiplies_int8(*groups, steps, kernel), "{op:?} of int8 over {steps} steps in {groups} groups");
        }
        _ => same_dtype(op, &[input, kernel, result])?,
    }
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

/// Check a convolution of `int8` with an epilogue.
pub fn check_quantized_conv(op: &Op, x: &[&TensorType], out: &[TensorType]) -> Result<()> {
    let Op::QuantizedConv { window, groups, epilogue } = op else { unreachable!("called for one operation") };
    let conv = Op::Conv { window: window.clone(), groups: *groups, epilogue: Epilogue::default() };
    let full = TensorType { dtype: DType::F32, ..convolved(window, x[0], &out[0]) };
    ensure!(is_quantized(x, &full), "{op:?} of {} and {}", x[0], x[1]);
    if window.size.is_empty() {
        let last = x[0].rank() - 1;
        let product =
            Op::Dot { contract: [vec![last], vec![0]], batch: [vec![], vec![]], epilogue: Epilogue::default() };
        ensure!(x[1].rank() == 2 && x[1].count() > 0 && *groups == 1, "{op:?} of {}", x[1]);
        contraction::check(&product, &x[..2], &full)?;
    } else {
        check_conv(&conv, &x[..2], &full)?;
    }
    ensure!(!epilogue.pooled || full.rank() == 4 && *groups == 1 && !epilogue.addend, "{op:?} cannot be pooled");
    let mut sums = full;
    if epilogue.pooled {
        sums.shape[1..3].iter_mut().for_each(|extent| *extent /= 2);
    }
    let (addends, vectors) = x[2..].split_at(epilogue.addend as usize);
    ensure!(addends.iter().all(|t| **t == sums), "{op:?} adds {} to {sums}", x[2]);
    let channels = sums.shape[sums.rank() - 1];
    let is_scaled = epilogue.rounded.is_some_and(|rounded| rounded.is_scaled());
    for (index, t) in vectors.iter().enumerate() {
        let count = if is_scaled && index == vectors.len() - 1 { 1 } else { channels };
        let dtype = if epilogue.shift && index == 0 { DType::I32 } else { DType::F32 };
        ensure!(t.dtype == dtype && t.shape == [count], "{op:?}: {t} in place of {count} numbers");
    }
    if let Some(ToBytes { range: [low, high], zero, signed, .. }) = epilogue.rounded {
        let limits = if signed { [-128, 127] } else { [0, 255] };
        let extremes = [low, high].map(|bound| i32::from(bound) + i32::from(zero));
        ensure!(limits[0] <= extremes[0] && extremes[0] <= extremes[1] && extremes[1] <= limits[1], "{op:?}: range");
    }
    let bytes = |to: ToBytes| TensorType::new(if to.signed { DType::I8 } else { DType::U8 }, sums.shape.clone());
    let rounded = epilogue.rounded.map(bytes);
    let types = [Some(sums).filter(|_| epilogue.floats), rounded];
    ensure!(types.into_iter().flatten().eq(out.iter().cloned()), "{op:?}: results");
    Ok(())
}

/// The type of a convolution of `input`, with the channels and the dtype of `like`.
pub fn convolved(window: &Window, input: &TensorType, like: &TensorType) -> TensorType {
    if window.size.is_empty() {
        return like.clone();
    }
    let spatial = &input.shape[1..input.rank().saturating_sub(1).max(1)];
    let mut shape = vec![input.shape[0]];
    shape.extend(window_output(window, &spatial[..spatial.len().min(window.size.len())]));
    shape.push(like.shape[like.rank() - 1]);
    TensorType::new(like.dtype, shape)
}

pub fn check_conv_pool(op: &Op, x: &[&TensorType], out: &[TensorType]) -> Result<()> {
    let Op::ConvPool { window, groups, epilogue } = op else { unreachable!("called for one operation") };
    let conv = Op::Conv { window: window.clone(), groups: *groups, epilogue: *epilogue };
    let full = convolved(window, x[0], &out[0]);
    check_conv(&conv, x, &full)?;
    check_pooled(op, &full, &out[0], &out[1])
}

/// Check the maxima and the codes of a 2x2 pooling of `full`.
fn check_pooled(op: &Op, full: &TensorType, pooled: &TensorType, codes: &TensorType) -> Result<()> {
    ensure!(full.rank() == 4 && full.dtype.is_float(), "{op:?}: pools images of floats, got {full}");
    let shape = [full.shape[0], full.shape[1] / 2, full.shape[2] / 2, full.shape[3]];
    ensure!(pooled.shape == shape && codes.shape == shape, "{op:?} returns {shape:?}, declared are {pooled}, {codes}");
    ensure!(pooled.dtype == full.dtype && codes.dtype == DType::U8, "{op:?}: {pooled} and {codes} of {full}");
    Ok(())
}

pub fn check_conv_backward(op: &Op, x: &[&TensorType], out: &[TensorType]) -> Result<()> {
    let Op::ConvBackward { window, groups, source, input, bias } = op else { unreachable!("called for one operation") };
    let (input_type, dy) = (x[0], x[1]);
    let full = if *source == GradSource::Pooled { convolved(window, input_type, dy) } else { dy.clone() };
    check_conv(&Op::ConvKernelGrad { window: window.clone(), groups: *groups }, &[input_type, &full], &out[0])?;
    match source {
        GradSource::Plain => {}
        GradSource::Relu => same(op, "gradient and result", dy, x[2])?,
        GradSource::Pooled => check_pooled(op, &full, dy, x[2])?,
    }
    if *input {
        same(op, "kernel and its gradient", x[x.len() - 1], &out[0])?;
        same(op, "input and its gradient", input_type, &out[1])?;
    }
    if *bias {
        let last = &out[out.len() - 1];
        ensure!(last.dtype == dy.dtype && last.shape == dy.shape[dy.rank() - 1..], "{op:?}: bias {last}");
    }
    Ok(())
}

pub fn check_pool(op: &Op, kind: PoolKind, window: &Window, x: &[&TensorType], out: &TensorType) -> Result<()> {
    let (input, pooled) = match kind {
        PoolKind::Max | PoolKind::MaxGather | PoolKind::Sum => (x[0], out),
        PoolKind::MaxScatter => (x[0], x[1]),
        PoolKind::SumGrad => (out, x[0]),
    };
    same_dtype(op, &[input, pooled])?;
    let rank = input.rank();
    ensure!(rank >= 3 && pooled.rank() == rank && input.dtype.is_float(), "{op:?} of {input}");
    check_window(op, window, rank - 2)?;
    ensure!(window.size.iter().all(|&n| n > 0), "{op:?}: the window is empty");
    ensure!(window.dilation.iter().all(|&n| n == 1), "{op:?}: pooling windows have no dilation");
    ensure!(window_output(window, &input.shape[1..rank - 1]) == pooled.shape[1..rank - 1], "{op:?}: spatial extents");
    ensure!(input.shape[0] == pooled.shape[0] && input.shape[rank - 1] == pooled.shape[rank - 1], "{op:?}: channels");
    match kind {
        PoolKind::MaxGather => same(op, "operands", x[0], x[1]),
        PoolKind::MaxScatter => same(op, "operand and result", x[0], out),
        _ => Ok(()),
    }
}
