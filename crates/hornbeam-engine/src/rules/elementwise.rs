//! Type rules of elementwise operations.

use hornbeam_kernels::dtype::DType;

use super::{axis_in, ensure, same, same_shape};
use crate::error::Result;
use crate::graph::Op;
use crate::types::TensorType;

pub fn check(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    match op {
        Op::Unary(u) => {
            let predicate = u.name() == "is_finite";
            same_shape(op, x[0], out)?;
            ensure!(
                out.dtype == if predicate { DType::Bool } else { x[0].dtype },
                "{op:?} of {} cannot return {out}",
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
            ensure!(out.dtype == DType::Bool, "{op:?} returns bool, declared is {out}");
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
            ensure!(out.dtype == DType::U32, "random_bits returns uint32, declared is {out}");
        }
        other => unreachable!("{other:?} is not elementwise"),
    }
    Ok(())
}
