//! Composites with kernels of their own beside those over rows: recurrent layers, attention, moments.

mod attention;
mod moments;
mod recurrent;

use hornbeam_kernels::dtype::DType;
use serde_json::{Map, Value as Json};

use crate::decode::take;
use crate::error::Result;
use crate::graph::Value;
use crate::passes::builder::Builder;

/// The results of the composite `name` from its kernel, where there is one. None: the body stands.
pub fn kernel(b: &mut Builder, name: &str, p: &mut Map<String, Json>, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let wide = x.first().is_some_and(|&v| matches!(b.type_of(v).dtype, DType::F32 | DType::F64));
    match name {
        "lstm" | "lstm_grad" | "gru" | "gru_grad" if wide => recurrent::kernel(b, name, p, x),
        "attention" | "attention_grad" if wide => attention::kernel(b, name, p, x),
        "moments" => moments::kernel(b, take(p, "axes")?, x),
        _ => Ok(None),
    }
}
