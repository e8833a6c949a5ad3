//! The primitives and composites that the engine supports, by name.

use hornbeam_kernels::elementwise::{Binary, Compare, Unary};
use hornbeam_kernels::reduce::{Cumulative, Reduce};

macro_rules! names {
    ($($name:ident)*) => { &[$(stringify!($name)),*] };
}

const OTHERS: &[&str] = names!(
    constant project stop_gradient optimization_barrier select convert bitcast argmax argmin reshape transpose
    broadcast pad slice concatenate reverse iota dynamic_slice dynamic_update_slice gather scatter argsort dot_general
    conv conv_input_grad conv_kernel_grad max_pool max_pool_gather max_pool_scatter sum_pool sum_pool_grad cholesky
    triangular_solve lu qr svd eig eigh random_bits cond while_loop scan softmax softmax_vjp log_softmax
    log_softmax_vjp softmax_cross_entropy softmax_cross_entropy_vjp sparse_softmax_cross_entropy
    sparse_softmax_cross_entropy_vjp layer_norm layer_norm_vjp rms_norm rms_norm_vjp group_norm group_norm_grad top_k
    resample lstm lstm_grad gru gru_grad moments attention attention_grad
);

/// Return the names of all primitives, and of the composites that have kernels.
pub fn operations() -> Vec<&'static str> {
    let mut names: Vec<&str> = OTHERS.to_vec();
    names.extend(Unary::ALL.iter().map(|op| op.name()));
    names.extend(Binary::ALL.iter().map(|op| op.name()));
    names.extend(Compare::ALL.iter().map(|op| op.name()));
    names.extend(Reduce::ALL.iter().map(|op| op.name()));
    names.extend(Cumulative::ALL.iter().map(|op| op.name()));
    // Forms of one composite, told apart by its parameter.
    names.retain(|name| !name.starts_with("gelu_tanh"));
    names.sort_unstable();
    names
}
