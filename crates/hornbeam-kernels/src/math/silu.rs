//! SiLU, also called swish (Ramachandran et al. 2017), with its derivative.

use super::Real;
use crate::simd::Target;

/// Computes `x / (1 + exp(-x))`.
#[inline(always)]
pub fn silu<S: Target, R: Real>(x: R) -> R {
    x * x.logistic::<S>()
}

/// Computes the derivative of [`silu`], `s + x s (1 - s)` where `s` is the logistic function, without the difference.
#[inline(always)]
pub fn silu_derivative<S: Target, R: Real>(x: R) -> R {
    let z = (-x.abs()).exp_down::<S>();
    let r = R::ONE / (R::ONE + z);
    let s = if x < R::ZERO { z } else { R::ONE } * r;
    s + x * z * r * r
}
