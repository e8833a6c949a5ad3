//! Type rules of row kernels.

use hornbeam_kernels::dtype::DType;

use super::{ensure, integer, same, same_shape};
use crate::error::Result;
use crate::graph::{Op, RowKernel};
use crate::types::TensorType;

pub fn check(kernel: &RowKernel, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    let op = Op::Rows(kernel.clone());
    let main = x[match kernel {
        RowKernel::SoftmaxVjp | RowKernel::LogSoftmaxVjp => 1,
        _ => 0,
    }];
    ensure!(main.rank() > 0, "{op:?} needs at least one axis");
    let rows = TensorType::new(main.dtype, main.shape[..main.rank() - 1].to_vec());
    // Parameters of normalizations, of the accumulator dtype.
    let last = TensorType::new(main.dtype.accumulator(), vec![main.shape[main.rank() - 1]]);
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
        RowKernel::GroupNorm { batch, groups, .. } | RowKernel::GroupNormGrad { batch, groups, .. } => {
            let divides = |n: usize, by: usize| by > 0 && n.is_multiple_of(by);
            ensure!(divides(rows.count(), *batch) && divides(last.shape[0], *groups), "{op:?} of {main}");
            same(&op, "scale", &last, x[1])?;
            same(&op, "operand and result", main, &outputs[0])?;
            if let RowKernel::GroupNorm { .. } = kernel {
                same(&op, "offset", &last, x[2])?;
            } else {
                same(&op, "cotangent", main, x[2])?;
                same(&op, "scale and result", &last, &outputs[1])?;
                same(&op, "offset and result", &last, &outputs[2])?;
            }
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
        RowKernel::RmsNorm { .. } => {
            same(&op, "scale", &last, x[1])?;
            same(&op, "operand and result", main, &outputs[0])?;
        }
        RowKernel::RmsNormVjp { .. } => {
            same(&op, "scale", &last, x[1])?;
            same(&op, "cotangent", main, x[2])?;
            same(&op, "operand and result", main, &outputs[0])?;
            same(&op, "scale and result", &last, &outputs[1])?;
        }
        RowKernel::TopK { k } => {
            let n = last.shape[0];
            ensure!(*k <= n && i32::try_from(n).is_ok(), "{op:?} of {main}");
            ensure!(main.dtype.size() <= 4, "{op:?} of {main}: the elements have more than 32 bits");
            let mut shape = rows.shape.clone();
            shape.push(*k);
            same(&op, "values", &TensorType::new(main.dtype, shape.clone()), &outputs[0])?;
            same(&op, "indices", &TensorType::new(DType::I32, shape), &outputs[1])?;
        }
    }
    Ok(())
}
