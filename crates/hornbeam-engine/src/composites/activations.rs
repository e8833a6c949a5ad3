//! Activations that are one elementwise operation.

use hornbeam_kernels::elementwise::{Binary, Unary};

use crate::decode::params::{take, Params};
use crate::error::Result;
use crate::graph::{Op, Value};
use crate::passes::builder::Builder;

/// Emit GELU, or its gradient.
pub(super) fn emit_gelu(b: &mut Builder, p: &mut Params, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let approximate: bool = take(p, "approximate")?;
    let op = match (x.len(), approximate) {
        (1, false) => Op::Unary(Unary::Gelu),
        (1, true) => Op::Unary(Unary::GeluTanh),
        (2, false) => Op::Binary(Binary::GeluVjp),
        (2, true) => Op::Binary(Binary::GeluTanhVjp),
        _ => return Ok(None),
    };
    let t = b.type_of(x[0]).clone();
    b.emit(op, x.to_vec(), vec![t]).map(Some)
}

/// Emit SiLU, or its gradient.
pub(super) fn emit_silu(b: &mut Builder, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let op = match x.len() {
        1 => Op::Unary(Unary::Silu),
        2 => Op::Binary(Binary::SiluVjp),
        _ => return Ok(None),
    };
    let t = b.type_of(x[0]).clone();
    b.emit(op, x.to_vec(), vec![t]).map(Some)
}
