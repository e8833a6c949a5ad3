//! Type rules of row kernels.

use hornbeam_kernels::dtype::DType;

use super::ensure;
use crate::error::{malformed, Result};
use crate::graph::{Op, RowKernel};
use crate::types::TensorType;

/// Check that operands and results are those that follow from the main operand.
pub fn check(kernel: &RowKernel, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    let op = Op::Rows(kernel.clone());
    let main = x.get(usize::from(matches!(kernel, RowKernel::SoftmaxVjp | RowKernel::LogSoftmaxVjp)));
    let Some(&main) = main.filter(|t| t.rank() > 0) else {
        return Err(malformed!("{op:?} needs at least one axis"));
    };
    let (lead, n) = (&main.shape[..main.rank() - 1], main.shape[main.rank() - 1]);
    let row = TensorType::new(main.dtype, lead.to_vec());
    let label = TensorType::new(x.get(1).map_or(DType::I32, |labels| labels.dtype), lead.to_vec());
    // Parameters of normalizations, of the accumulator dtype.
    let last = TensorType::new(main.dtype.accumulator(), vec![n]);
    let largest = |k: usize, dtype| TensorType::new(dtype, [lead, &[k]].concat());
    let divides = |n: usize, by: usize| by > 0 && n.is_multiple_of(by);
    let fits = match kernel {
        RowKernel::SparseCrossEntropy | RowKernel::SparseCrossEntropyVjp => label.dtype.is_int(),
        RowKernel::GroupNorm { batch, groups, .. } | RowKernel::GroupNormGrad { batch, groups, .. } => {
            divides(row.count(), *batch) && divides(n, *groups)
        }
        // Sorted by keys of at most 32 bits, with places of 32 bits.
        RowKernel::TopK { k } => *k <= n && i32::try_from(n).is_ok() && main.dtype.size() <= 4,
        _ => true,
    };
    ensure!(fits, "{op:?} of {main}");
    let same = || main.clone();
    let (operands, results) = match kernel {
        RowKernel::Softmax | RowKernel::LogSoftmax => (vec![main], vec![same()]),
        RowKernel::SoftmaxVjp | RowKernel::LogSoftmaxVjp => (vec![main, main], vec![same()]),
        RowKernel::CrossEntropy => (vec![main, main], vec![row]),
        RowKernel::CrossEntropyVjp => (vec![main, main, &row], vec![same()]),
        RowKernel::SparseCrossEntropy => (vec![main, &label], vec![row]),
        RowKernel::SparseCrossEntropyVjp => (vec![main, &label, &row], vec![same()]),
        RowKernel::LayerNorm { .. } | RowKernel::GroupNorm { .. } => (vec![main, &last, &last], vec![same()]),
        RowKernel::LayerNormVjp { .. } => (vec![main, &last, &last, main], vec![same(), last.clone(), last.clone()]),
        RowKernel::GroupNormGrad { .. } => (vec![main, &last, main], vec![same(), last.clone(), last.clone()]),
        RowKernel::RmsNorm { .. } => (vec![main, &last], vec![same()]),
        RowKernel::RmsNormVjp { .. } => (vec![main, &last, main], vec![same(), last.clone()]),
        RowKernel::TopK { k } => (vec![main], vec![largest(*k, main.dtype), largest(*k, DType::I32)]),
    };
    ensure!(operands == x, "{op:?} takes {operands:?}, got {x:?}");
    ensure!(results == outputs, "{op:?} returns {results:?}, declared are {outputs:?}");
    Ok(())
}
