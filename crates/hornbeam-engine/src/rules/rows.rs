//! Type rules of row kernels.

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
