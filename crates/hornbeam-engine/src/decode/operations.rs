//! Operations by the names of their primitives.

use hornbeam_kernels::elementwise::{Binary, Compare, Unary};
use hornbeam_kernels::index::Scatter;
use hornbeam_kernels::reduce::{Cumulative, Reduce};

use super::params::{take, take_or, Params};
use crate::error::{malformed, Error, Result};
use crate::graph::{Epilogue, Op, PoolKind, Window};
use crate::types::TensorType;

/// Decode the primitive `name`. The types of its operands and results are checked when it is added to a graph.
pub fn decode(name: &str, p: &mut Params, operands: &[&TensorType], types: &[TensorType]) -> Result<Op> {
    if let Some(op) = elementwise(name) {
        return Ok(op);
    }
    if let Some(op) = Reduce::parse(name) {
        let mut axes: Vec<usize> = take(p, "axes")?;
        axes.sort_unstable();
        return Ok(Op::Reduce { op, axes });
    }
    if let Some(op) = Cumulative::parse(name) {
        return Ok(Op::Cumulative { op, axis: take(p, "axis")?, reverse: take(p, "reverse")? });
    }
    let out = types.first().ok_or_else(|| malformed!("no result type is declared"))?;
    Ok(match name {
        "select" => Op::Select,
        "convert" => Op::Convert,
        "bitcast" => Op::Bitcast,
        "argmax" | "argmin" => Op::ArgReduce { max: name == "argmax", axis: take(p, "axis")? },
        "reshape" => Op::Reshape,
        "transpose" => Op::Transpose { perm: take(p, "perm")? },
        "broadcast" => Op::Broadcast { dims: take(p, "dims")? },
        "pad" => Op::Pad { low: take(p, "low")?, high: take(p, "high")?, interior: take(p, "interior")? },
        "slice" => Op::Slice { start: take(p, "start")?, step: take(p, "step")? },
        "concatenate" => Op::Concatenate { axis: take(p, "axis")? },
        "reverse" => Op::Reverse { axes: take(p, "axes")? },
        "iota" => Op::Iota { axis: take(p, "axis")? },
        "dynamic_slice" => Op::DynamicSlice,
        "dynamic_update_slice" => Op::DynamicUpdateSlice,
        "gather" => Op::Gather { batch_dims: take_or(p, "batch_dims", 0)? },
        "scatter" => {
            Op::Scatter { mode: scatter_mode(&take::<String>(p, "mode")?)?, batch_dims: take_or(p, "batch_dims", 0)? }
        }
        "argsort" => Op::Argsort { axis: take(p, "axis")? },
        "dot_general" => {
            Op::Dot { contract: take(p, "contract")?, batch: take(p, "batch")?, epilogue: Epilogue::default() }
        }
        "random_bits" => Op::RandomBits,
        "optimization_barrier" => Op::Barrier,
        "cholesky" => Op::Cholesky,
        "triangular_solve" => Op::TriangularSolve {
            lower: take(p, "lower")?,
            transpose: take(p, "transpose")?,
            unit_diagonal: take(p, "unit_diagonal")?,
        },
        "lu" => Op::Lu,
        "qr" => Op::Qr,
        "svd" => Op::Svd,
        "eig" => Op::Eig,
        "eigh" => Op::Eigh,
        _ => return windowed(name, p, operands, out),
    })
}

fn window(params: &mut Params, size: Vec<usize>) -> Result<Window> {
    let ones = vec![1; size.len()];
    Ok(Window {
        strides: take(params, "strides")?,
        padding: take(params, "padding")?,
        dilation: take_or(params, "dilation", ones)?,
        size,
    })
}

/// The spatial extents of a convolution kernel of this shape.
fn kernel_size(shape: &[usize]) -> Result<Vec<usize>> {
    shape
        .len()
        .checked_sub(2)
        .map(|n| shape[..n].to_vec())
        .ok_or_else(|| malformed!("a kernel of shape {shape:?} lacks its two channel axes"))
}

fn windowed(name: &str, p: &mut Params, operands: &[&TensorType], out: &TensorType) -> Result<Op> {
    let pool = |kind, p: &mut Params| -> Result<Op> {
        let size = take(p, "window")?;
        Ok(Op::Pool { kind, window: window(p, size)? })
    };
    Ok(match name {
        "conv" | "conv_input_grad" => {
            let kernel = operands.get(1).ok_or_else(|| malformed!("expected two operands, got {}", operands.len()))?;
            let window = window(p, kernel_size(&kernel.shape)?)?;
            let groups = take(p, "groups")?;
            if name == "conv" {
                Op::Conv { window, groups, epilogue: Epilogue::default() }
            } else {
                Op::ConvInputGrad { window, groups }
            }
        }
        "conv_kernel_grad" => {
            let window = window(p, kernel_size(&out.shape)?)?;
            Op::ConvKernelGrad { window, groups: take(p, "groups")? }
        }
        "max_pool" => pool(PoolKind::Max, p)?,
        "max_pool_gather" => pool(PoolKind::MaxGather, p)?,
        "max_pool_scatter" => pool(PoolKind::MaxScatter, p)?,
        "sum_pool" => pool(PoolKind::Sum, p)?,
        "sum_pool_grad" => pool(PoolKind::SumGrad, p)?,
        _ => return Err(Error::Unsupported(format!("the native engine has no {name:?}"))),
    })
}

fn elementwise(name: &str) -> Option<Op> {
    Unary::parse(name)
        .map(Op::Unary)
        .or_else(|| Binary::parse(name).map(Op::Binary))
        .or_else(|| Compare::parse(name).map(Op::Compare))
}

fn scatter_mode(name: &str) -> Result<Scatter> {
    Scatter::parse(name).ok_or_else(|| malformed!("unknown scatter mode {name:?}"))
}
