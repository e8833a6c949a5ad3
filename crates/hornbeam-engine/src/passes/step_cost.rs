//! The cost of elementwise operations.

use hornbeam_kernels::dtype::DType;

use crate::graph::Op;

/// Return the rough cost of one element, in additions.
pub fn step_cost(op: &Op, dtype: DType) -> usize {
    let width = dtype.size().div_ceil(4);
    let base = match op {
        Op::Unary(op) => match op.name() {
            "neg" | "abs" | "sign" | "floor" | "ceil" | "round" | "logical_not" | "is_finite" => 1,
            "sqrt" | "rsqrt" => 4,
            "gelu" | "gelu_tanh" | "silu" => 16,
            "lgamma" | "digamma" | "erf_inv" => 60,
            _ => 12,
        },
        Op::Binary(op) => match op.name() {
            "div" => 4,
            "rem" => 20,
            "silu_vjp" => 16,
            "pow" | "atan2" | "gelu_vjp" | "gelu_tanh_vjp" => 30,
            _ => 1,
        },
        Op::RandomBits => 12,
        Op::Iota { .. } => 2,
        Op::Moments { .. } => 4,
        _ => 1,
    };
    // 16-bit floats are widened before every operation and narrowed after it.
    base * width + if dtype.is_half() { 2 } else { 0 }
}
