//! Elementary functions, written so that loops over them vectorise.
//!
//! The `f32` versions are branch-free: range reduction, one polynomial, and selects for the special values. The
//! polynomials were fitted for this crate (weighted minimax by Lawson's reweighting). Errors stay below 4 units in the last
//! place; the tests measure them. `f64`, and the rarer functions, call the platform's C library.
//!
//! NaN propagates through every function: selects are written so that a failed comparison keeps the NaN.

mod double;
mod fold;
mod gelu;
mod real;
mod silu;
mod single;
#[cfg(test)]
mod tests;

pub(crate) use fold::fold;
pub use gelu::{gelu, gelu_derivative, gelu_tanh, gelu_tanh_derivative};
pub use real::{Arithmetic, Real};
pub use silu::{silu, silu_derivative};
pub use single::{erf, erf_inv, exp, expm1, log, log1p, log_normal, logistic, pow, tanh};
