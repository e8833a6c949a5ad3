//! GELU (Hendrycks and Gimpel 2016), exact and by the hyperbolic tangent, with derivatives.

use super::Real;
use crate::simd::Target;

/// Computes `x / 2 (1 + erf(x / sqrt(2)))`.
#[inline(always)]
pub fn gelu<S: Target, R: Real>(x: R) -> R {
    x * x.normal_cdf::<S>()
}

/// Computes the derivative of [`gelu`].
#[inline(always)]
pub fn gelu_derivative<S: Target, R: Real>(x: R) -> R {
    let density = (half(x) * -x).exp_down::<S>() * R::from_f64(0.398_942_280_401_432_7);
    x.normal_cdf::<S>() + x * density
}

/// Computes `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
#[inline(always)]
pub fn gelu_tanh<S: Target, R: Real>(x: R) -> R {
    half(x) * (tanh_of::<S, R>(x) + R::ONE)
}

/// Computes the derivative of [`gelu_tanh`].
#[inline(always)]
pub fn gelu_tanh_derivative<S: Target, R: Real>(x: R) -> R {
    let t = tanh_of::<S, R>(x);
    let inner = R::from_f64(3.0 * CUBE * FACTOR) * x * x + R::from_f64(FACTOR);
    half(t + R::ONE) + half(x) * (R::ONE - t * t) * inner
}

const CUBE: f64 = 0.044715;
/// `sqrt(2 / pi)`
const FACTOR: f64 = 0.797_884_560_802_865_4;

#[inline(always)]
fn half<R: Real>(x: R) -> R {
    x * R::from_f64(0.5)
}

#[inline(always)]
fn tanh_of<S: Target, R: Real>(x: R) -> R {
    ((x + x * x * x * R::from_f64(CUBE)) * R::from_f64(FACTOR)).tanh::<S>()
}
