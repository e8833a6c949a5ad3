//! Type rules of matrix products.

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::gemm::MAX_STEPS;

use super::{ensure, expect_shape, same_dtype, strictly_increasing};
use crate::error::Result;
use crate::graph::{Epilogue, Op};
use crate::types::TensorType;

pub fn check_bias(op: &Op, epilogue: &Epilogue, x: &[&TensorType], out: &TensorType) -> Result<()> {
    if epilogue.bias {
        ensure!(out.rank() > 0 && x[2].shape == [out.shape[out.rank() - 1]], "{op:?} with a bias {}", x[2]);
        same_dtype(op, &[x[2], out])?;
    }
    Ok(())
}

/// True for a product of bytes, of which the second are signed, summed in `int32`, which is the result, or as `float32`.
pub fn is_quantized(x: &[&TensorType], out: &TensorType) -> bool {
    let are_bytes = matches!(x[0].dtype, DType::I8 | DType::U8) && x[1].dtype == DType::I8;
    are_bytes && matches!(out.dtype, DType::F32 | DType::I32)
}

pub fn check(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    let Op::Dot { contract, batch, epilogue } = op else { unreachable!("called for dot_general") };
    if is_quantized(x, out) {
        ensure!(batch[0].is_empty() && *epilogue == Epilogue::default(), "{op:?} of int8 to {}", out.dtype);
    } else {
        same_dtype(op, &[x[0], x[1], out])?;
    }
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
    if is_quantized(x, out) {
        let steps: usize = contract[0].iter().map(|&a| x[0].shape[a]).product();
        ensure!(steps <= MAX_STEPS, "{op:?} of int8 over {steps} steps: sums may leave 32 bits");
    }
    check_bias(op, epilogue, x, out)
}

/// The axes of a `rank`-dimensional operand that are neither contracted nor batched.
pub fn free_axes<'a>(rank: usize, contract: &'a [usize], batch: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    (0..rank).filter(move |a| !contract.contains(a) && !batch.contains(a))
}
