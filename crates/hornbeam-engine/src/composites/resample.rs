//! Weighted sums along an axis, of which few weights are not 0.

use crate::error::Result;
use crate::graph::{Op, Value};
use crate::passes::builder::Builder;
use crate::types::TensorType;

/// Emit the sums of `x[0]` along `axis` with the matrix of weights `x[1]`.
pub(super) fn emit_kernel(b: &mut Builder, axis: usize, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let &[source, weights] = x else { return Ok(None) };
    let t = b.type_of(source).clone();
    let mut shape = t.shape;
    let (Some(extent), Some(&out)) = (shape.get_mut(axis), b.type_of(weights).shape.first()) else { return Ok(None) };
    *extent = out;
    if !t.dtype.is_float() {
        return Ok(None);
    }
    b.emit(Op::Resample { axis }, x.to_vec(), vec![TensorType::new(t.dtype, shape)]).map(Some)
}
