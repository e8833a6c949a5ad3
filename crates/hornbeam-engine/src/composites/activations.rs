//! Activations that are one elementwise operation.

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{Binary, Unary};

use crate::decode::params::{take, Params};
use crate::error::Result;
use crate::graph::{Op, Value};
use crate::passes::builder::Builder;

/// Emit GELU or SiLU, or a gradient of one, of floats that are computed in `f32`.
pub(super) fn emit_kernel(b: &mut Builder, name: &str, p: &mut Params, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let t = b.type_of(x[0]).clone();
    let op = match (name, x.len()) {
        _ if t.dtype == DType::F64 => return Ok(None),
        ("gelu" | "gelu_vjp", 1 | 2) => match (x.len(), take(p, "approximate")?) {
            (1, false) => Op::Unary(Unary::Gelu),
            (1, true) => Op::Unary(Unary::GeluTanh),
            (_, false) => Op::Binary(Binary::GeluVjp),
            (_, true) => Op::Binary(Binary::GeluTanhVjp),
        },
        (_, 1) => Op::Unary(Unary::Silu),
        (_, 2) => Op::Binary(Binary::SiluVjp),
        _ => return Ok(None),
    };
    b.emit(op, x.to_vec(), vec![t]).map(Some)
}
