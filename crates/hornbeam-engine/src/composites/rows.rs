//! Row kernels over the last axis: softmax, cross-entropy, normalizations, the largest elements.

use hornbeam_kernels::dtype::DType;

use crate::decode::params::{take, Params};
use crate::error::Result;
use crate::graph::{Op, RowKernel, Value};
use crate::passes::builder::Builder;
use crate::types::TensorType;

/// Emit the row kernel of the composite `name`. None if it has none: the body stays.
pub(super) fn emit_kernel(b: &mut Builder, name: &str, p: &mut Params, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let Some(&first) = x.first() else { return Ok(None) };
    let t = b.type_of(first).clone();
    if !t.dtype.is_float() || t.rank() == 0 || t.count() == 0 {
        return Ok(None);
    }
    let rows = TensorType::new(t.dtype, t.shape[..t.rank() - 1].to_vec());
    let last = TensorType::new(t.dtype.accumulator(), vec![t.shape[t.rank() - 1]]);
    let mut row = |kernel: RowKernel, x: &[Value], types: Vec<TensorType>| b.emit(Op::Rows(kernel), x.to_vec(), types);
    let results = match (name, x.len()) {
        ("softmax", 1) => row(RowKernel::Softmax, x, vec![t])?,
        ("log_softmax", 1) => row(RowKernel::LogSoftmax, x, vec![t])?,
        ("softmax_vjp", 2) => {
            let y = row(RowKernel::Softmax, &x[..1], vec![t.clone()])?[0];
            row(RowKernel::SoftmaxVjp, &[y, x[1]], vec![t])?
        }
        ("log_softmax_vjp", 2) => {
            let y = row(RowKernel::LogSoftmax, &x[..1], vec![t.clone()])?[0];
            row(RowKernel::LogSoftmaxVjp, &[y, x[1]], vec![t])?
        }
        ("softmax_cross_entropy", 2) => row(RowKernel::CrossEntropy, x, vec![rows])?,
        ("softmax_cross_entropy_vjp", 3) => row(RowKernel::CrossEntropyVjp, x, vec![t])?,
        ("sparse_softmax_cross_entropy" | "sparse_softmax_cross_entropy_vjp", n) => {
            if x.get(1).is_none_or(|&labels| !b.type_of(labels).dtype.is_int()) {
                return Ok(None);
            }
            let (kernel, result) =
                if n == 2 { (RowKernel::SparseCrossEntropy, rows) } else { (RowKernel::SparseCrossEntropyVjp, t) };
            b.emit(Op::Rows(kernel), x.to_vec(), vec![result])?
        }
        ("layer_norm", 3) => {
            let epsilon = take::<f64>(p, "epsilon")?.to_bits();
            let (gamma, beta) = (converted(b, x[1], &last), converted(b, x[2], &last));
            b.emit(Op::Rows(RowKernel::LayerNorm { epsilon }), vec![first, gamma, beta], vec![t])?
        }
        ("layer_norm_vjp", 4) => {
            let epsilon = take::<f64>(p, "epsilon")?.to_bits();
            let (gamma, beta) = (converted(b, x[1], &last), converted(b, x[2], &last));
            let (operands, types) = (vec![first, gamma, beta, x[3]], vec![t, last.clone(), last]);
            let results = b.emit(Op::Rows(RowKernel::LayerNormVjp { epsilon }), operands, types)?;
            gradients(b, &results, x)
        }
        ("rms_norm", 2) => {
            let epsilon = take::<f64>(p, "epsilon")?.to_bits();
            let gamma = converted(b, x[1], &last);
            b.emit(Op::Rows(RowKernel::RmsNorm { epsilon }), vec![first, gamma], vec![t])?
        }
        ("rms_norm_vjp", 3) => {
            let epsilon = take::<f64>(p, "epsilon")?.to_bits();
            let gamma = converted(b, x[1], &last);
            let (operands, types) = (vec![first, gamma, x[2]], vec![t, last]);
            let results = b.emit(Op::Rows(RowKernel::RmsNormVjp { epsilon }), operands, types)?;
            gradients(b, &results, x)
        }
        ("group_norm" | "group_norm_grad", 3) => {
            let (axis, groups) = (take::<usize>(p, "axis")?, take(p, "groups")?);
            let (batch, epsilon) = (t.shape[0], take::<f64>(p, "epsilon")?.to_bits());
            if axis == 0 || axis + 1 != t.rank() {
                return Ok(None);
            }
            let gamma = converted(b, x[1], &last);
            if name == "group_norm" {
                let operands = vec![first, gamma, converted(b, x[2], &last)];
                b.emit(Op::Rows(RowKernel::GroupNorm { batch, groups, epsilon }), operands, vec![t])?
            } else {
                let types = vec![t, last.clone(), last];
                let kernel = RowKernel::GroupNormGrad { batch, groups, epsilon };
                let results = b.emit(Op::Rows(kernel), vec![first, gamma, x[2]], types)?;
                gradients(b, &results, &[first, x[1], x[1]])
            }
        }
        ("top_k", 1) if t.dtype.size() <= 4 => {
            let k = take(p, "k")?;
            let mut shape = rows.shape.clone();
            shape.push(k);
            let types = vec![TensorType::new(t.dtype, shape.clone()), TensorType::new(DType::I32, shape)];
            row(RowKernel::TopK { k }, x, types)?
        }
        _ => return Ok(None),
    };
    Ok(Some(results))
}

/// A value as one of the type `t`.
fn converted(b: &mut Builder, value: Value, t: &TensorType) -> Value {
    b.add(Op::Convert, vec![value], t.clone())
}

/// The results of a gradient kernel as gradients of the operands at the same positions.
fn gradients(b: &mut Builder, results: &[Value], operands: &[Value]) -> Vec<Value> {
    let types: Vec<TensorType> = operands.iter().map(|&x| b.type_of(x).clone()).collect();
    results.iter().zip(&types).map(|(&result, t)| converted(b, result, t)).collect()
}
