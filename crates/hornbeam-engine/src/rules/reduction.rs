//! Type rules of reductions, cumulative operations and sorting.

use hornbeam_kernels::dtype::DType;

use super::{axis_in, ensure, expect_shape, same, same_dtype, same_shape, strictly_increasing};
use crate::error::Result;
use crate::graph::Op;
use crate::types::TensorType;

pub fn check(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    match op {
        Op::Reduce { axes, .. } | Op::Moments { axes } => {
            ensure!(strictly_increasing(axes), "{op:?}: axes must increase");
            axes.iter().try_for_each(|&a| axis_in(op, a, x[0]))?;
            let reduced: Vec<_> = (0..x[0].rank()).filter(|a| !axes.contains(a)).map(|a| x[0].shape[a]).collect();
            expect_shape(op, out, &reduced)?;
            match op {
                Op::Moments { .. } if x[0].dtype != out.dtype => {
                    ensure!(x[0].dtype.accumulator() == out.dtype, "{op:?} of {} returns {out}", x[0])
                }
                _ => same_dtype(op, &[x[0], out])?,
            }
        }
        Op::ArgReduce { axis, .. } => {
            axis_in(op, *axis, x[0])?;
            let mut shape = x[0].shape.clone();
            ensure!(shape.remove(*axis) > 0 || out.count() == 0, "{op:?} over no elements");
            expect_shape(op, out, &shape)?;
            ensure!(out.dtype == DType::I32, "{op:?} returns int32, declared is {out}");
        }
        Op::Cumulative { axis, .. } => {
            axis_in(op, *axis, x[0])?;
            same(op, "operand and result", x[0], out)?;
        }
        Op::Resample { axis } => {
            axis_in(op, *axis, x[0])?;
            same_dtype(op, &[x[0], x[1], out])?;
            let mut shape = x[0].shape.clone();
            let n = std::mem::replace(&mut shape[*axis], x[1].shape.first().copied().unwrap_or(0));
            ensure!(x[1].shape == [shape[*axis], n], "{op:?} of {} by weights {}", x[0], x[1]);
            expect_shape(op, out, &shape)?;
        }
        Op::Argsort { axis } => {
            axis_in(op, *axis, x[0])?;
            same_shape(op, x[0], out)?;
            ensure!(out.dtype == DType::I32, "{op:?} returns int32, declared is {out}");
        }
        other => unreachable!("{other:?} is not a reduction"),
    }
    Ok(())
}
