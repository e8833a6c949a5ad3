//! Weighted sums along an axis.

use crate::decode::params::{take, Params};
use crate::error::Result;
use crate::graph::{Op, Value};
use crate::passes::builder::Builder;
use crate::types::TensorType;

/// Emit the kernel. None for operands without elements.
pub(super) fn emit_kernel(b: &mut Builder, p: &mut Params, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let axis: usize = take(p, "axis")?;
    let types: Vec<&TensorType> = x.iter().map(|&v| b.type_of(v)).collect();
    let [operand, weights] = types[..] else { return Ok(None) };
    if operand.count() == 0 || weights.count() == 0 || axis >= operand.rank() {
        return Ok(None);
    }
    let mut shape = operand.shape.clone();
    shape[axis] = weights.shape[0];
    let result = TensorType::new(operand.dtype, shape);
    Ok(Some(b.emit(Op::Resample { axis }, x.to_vec(), vec![result])?))
}
