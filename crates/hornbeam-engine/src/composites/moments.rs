//! Moments: mean and variance.

use hornbeam_kernels::dtype::DType;

use crate::error::Result;
use crate::graph::{Op, Value};
use crate::passes::builder::Builder;
use crate::types::TensorType;

/// Emit mean and variance in one pass, over adjacent axes.
pub(super) fn emit_kernel(b: &mut Builder, mut axes: Vec<usize>, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let Some(&first) = x.first() else { return Ok(None) };
    let t = b.type_of(first).clone();
    axes.sort_unstable();
    let adjacent = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let folded: usize = axes.iter().filter_map(|&axis| t.shape.get(axis)).product();
    if !matches!(t.dtype, DType::F32 | DType::F64) || !adjacent || t.count() == 0 || folded < 2 {
        return Ok(None);
    }
    let shape = (0..t.rank()).filter(|axis| !axes.contains(axis)).map(|axis| t.shape[axis]).collect();
    let result = TensorType::new(t.dtype, shape);
    Ok(Some(b.emit(Op::Moments { axes }, x.to_vec(), vec![result.clone(), result])?))
}
