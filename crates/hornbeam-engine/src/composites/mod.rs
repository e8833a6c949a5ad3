//! Composites that have kernels of their own. The body of a composite without one is inlined.

mod activations;
mod attention;
mod moments;
mod recurrent;
mod resample;
mod rows;

use hornbeam_kernels::dtype::DType;

use crate::decode::params::{take, Params};
use crate::error::Result;
use crate::graph::Value;
use crate::passes::builder::Builder;

/// Emit the kernel of the composite `name` and return its results. None if it has no kernel: the body stays.
pub fn emit_kernel(b: &mut Builder, name: &str, p: &mut Params, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let wide = x.first().is_some_and(|&v| matches!(b.type_of(v).dtype, DType::F32 | DType::F64));
    match name {
        "lstm" | "lstm_grad" | "gru" | "gru_grad" if wide => recurrent::emit_kernel(b, name, p, x),
        "attention" | "attention_grad" if wide => attention::emit_kernel(b, name, p, x),
        "gelu" | "gelu_vjp" | "silu" | "silu_vjp" => activations::emit_kernel(b, name, p, x),
        "resample" => resample::emit_kernel(b, take(p, "axis")?, x),
        "moments" => moments::emit_kernel(b, take(p, "axes")?, x),
        _ => rows::emit_kernel(b, name, p, x),
    }
}
