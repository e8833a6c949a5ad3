//! The floats, `f32` and `f64`, in which elementwise functions are computed.

use super::double::{acosh64, asinh64, atanh64, digamma64, erf64, erf_inv64, lgamma64};
use super::fold::fold;
#[cfg(target_arch = "x86_64")]
use super::fold::fold_registers;
use super::single::{erf, erf_inv, exp, expm1, log, log1p, log_normal, logistic, pow, tanh};
use super::single::{exp_down, exp_normal, log1p_common, normal_cdf, sin_cos, FAR};
use crate::simd::Target;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm_add_ps, _mm_max_ps};

/// Floating-point type in which elementwise functions are computed.
pub trait Real: crate::dtype::Element<Acc = Self> + std::ops::Neg<Output = Self> + Arithmetic {
    fn sign(self) -> Self;
    fn abs(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    /// Rounds to the nearest integer, ties to even.
    fn round(self) -> Self;
    fn is_finite(self) -> bool;
    fn exp<S: Target>(self) -> Self;
    /// Computes [`Real::exp`] of a number that is not positive, with the same bits.
    fn exp_down<S: Target>(self) -> Self;
    /// Computes [`Real::exp`] where that is a normal number, with the same bits.
    fn exp_normal<S: Target>(self) -> Self;
    fn expm1<S: Target>(self) -> Self;
    fn log<S: Target>(self) -> Self;
    /// Computes [`Real::log`] of a number that [`Real::is_log_rare`] is false for, with the same bits.
    fn log_common<S: Target>(self) -> Self;
    /// Returns true for numbers that are not positive and normal, if the logarithm of others takes less time.
    fn is_log_rare(self) -> bool;
    fn log1p<S: Target>(self) -> Self;
    /// Computes [`Real::log1p`] of a number that [`Real::is_log1p_rare`] is false for, with the same bits.
    fn log1p_common<S: Target>(self) -> Self;
    /// Returns true for numbers that are not finite and above -1, if others take less time.
    fn is_log1p_rare(self) -> bool;
    fn sqrt(self) -> Self;
    fn rsqrt(self) -> Self;
    fn sin<S: Target>(self) -> Self;
    fn cos<S: Target>(self) -> Self;
    /// Returns true if `sin` and `cos` need the slow range reduction of [`Real::sin_any`] and [`Real::cos_any`].
    fn is_far(self) -> bool;
    fn sin_any(self) -> Self;
    fn cos_any(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh<S: Target>(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    fn logistic<S: Target>(self) -> Self;
    fn erf<S: Target>(self) -> Self;
    fn erf_inv<S: Target>(self) -> Self;
    /// Distribution function of the normal distribution, with an absolute error of a few units of 1.
    fn normal_cdf<S: Target>(self) -> Self;
    fn lgamma(self) -> Self;
    fn digamma(self) -> Self;
    fn pow<S: Target>(self, exponent: Self) -> Self;
    fn atan2(self, x: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    /// Adds up interleaved partial sums, a power of two of them, by halves.
    #[inline(always)]
    fn total<const P: usize>(parts: [Self; P]) -> Self {
        fold(parts, |a, b| a + b)
    }
    /// Returns the largest of interleaved partial results, a power of two of them; NaN are skipped.
    #[inline(always)]
    fn largest<const P: usize>(parts: [Self; P]) -> Self {
        fold(parts, |a, b| if b > a { b } else { a })
    }
}

/// Arithmetic operators.
pub trait Arithmetic:
    Sized
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Rem<Output = Self>
{
}
impl Arithmetic for f32 {}
impl Arithmetic for f64 {}

/// Implements methods by expressions of the number.
macro_rules! methods {
    ($t:ident, $x:ident: $($name:ident $(<$S:ident>)? = $value:expr;)*) => {$(
        #[inline(always)]
        fn $name$(<$S: Target>)?(self) -> $t {
            let $x = self;
            $value
        }
    )*};
}

macro_rules! common {
    ($t:ident) => {
        methods! { $t, x:
            abs = x.abs();
            floor = x.floor();
            ceil = x.ceil();
            round = x.round_ties_even();
            sqrt = x.sqrt();
            rsqrt = 1.0 / x.sqrt();
            sin_any = x.sin();
            cos_any = x.cos();
            tan = x.tan();
            asin = x.asin();
            acos = x.acos();
            atan = x.atan();
            sinh = x.sinh();
            cosh = x.cosh();
        }
        #[inline(always)]
        fn sign(self) -> Self {
            if self > 0.0 {
                1.0
            } else if self < 0.0 {
                -1.0
            } else if self == 0.0 {
                0.0
            } else {
                self
            }
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            self.abs() < $t::INFINITY
        }
        #[inline(always)]
        fn atan2(self, x: Self) -> Self {
            self.atan2(x)
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            if (self > other) | (self != self) {
                self
            } else {
                other
            }
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            if (self < other) | (self != self) {
                self
            } else {
                other
            }
        }
    };
}

impl Real for f32 {
    common!(f32);
    methods! { f32, x:
        exp<S> = exp::<S>(x);
        exp_down<S> = exp_down::<S>(x);
        exp_normal<S> = exp_normal::<S>(x);
        expm1<S> = expm1::<S>(x);
        log<S> = log::<S>(x);
        log_common<S> = log_normal::<S>(x);
        log1p<S> = log1p::<S>(x);
        log1p_common<S> = log1p_common::<S>(x);
        sin<S> = sin_cos::<S, 0>(x);
        cos<S> = sin_cos::<S, 1>(x);
        tanh<S> = tanh::<S>(x);
        logistic<S> = logistic::<S>(x);
        erf<S> = erf::<S>(x);
        erf_inv<S> = erf_inv::<S>(x);
        normal_cdf<S> = normal_cdf::<S>(x);
        // The C functions round once from a wider type: asinh, acosh and atanh of the standard library are inaccurate in f32.
        asinh = Real::asinh(f64::from(x)) as f32;
        acosh = Real::acosh(f64::from(x)) as f32;
        atanh = Real::atanh(f64::from(x)) as f32;
        lgamma = lgamma64(f64::from(x)) as f32;
        digamma = digamma64(f64::from(x)) as f32;
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn total<const P: usize>(parts: [f32; P]) -> f32 {
        // SAFETY: an instruction of every x86-64 CPU.
        fold_registers(parts, |a, b| unsafe { _mm_add_ps(a, b) })
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn largest<const P: usize>(parts: [f32; P]) -> f32 {
        // SAFETY: as above. The instruction gives its second operand unless the first is greater.
        fold_registers(parts, |a, b| unsafe { _mm_max_ps(b, a) })
    }
    #[inline(always)]
    fn is_log_rare(self) -> bool {
        // One comparison: the bits of other numbers are below those of the least normal one, or above the largest.
        self.to_bits().wrapping_sub(f32::MIN_POSITIVE.to_bits())
            >= f32::INFINITY.to_bits() - f32::MIN_POSITIVE.to_bits()
    }
    #[inline(always)]
    fn is_log1p_rare(self) -> bool {
        !((self > -1.0) & (self < f32::INFINITY))
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        (self.abs() > FAR) & (self.abs() < f32::INFINITY)
    }
    #[inline(always)]
    fn pow<S: Target>(self, exponent: f32) -> f32 {
        pow::<S>(self, exponent)
    }
}

impl Real for f64 {
    common!(f64);
    methods! { f64, x:
        exp<S> = x.exp();
        exp_down<S> = x.exp();
        exp_normal<S> = x.exp();
        expm1<S> = x.exp_m1();
        log<S> = x.ln();
        log_common<S> = x.ln();
        log1p<S> = x.ln_1p();
        log1p_common<S> = x.ln_1p();
        sin<S> = x.sin();
        cos<S> = x.cos();
        tanh<S> = x.tanh();
        asinh = asinh64(x);
        acosh = acosh64(x);
        atanh = atanh64(x);
        erf<S> = erf64(x);
        erf_inv<S> = erf_inv64(x);
        normal_cdf<S> = 0.5 * (erf64(x * std::f64::consts::FRAC_1_SQRT_2) + 1.0);
        lgamma = lgamma64(x);
        digamma = digamma64(x);
    }
    #[inline(always)]
    fn is_log_rare(self) -> bool {
        false
    }
    #[inline(always)]
    fn is_log1p_rare(self) -> bool {
        false
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        false
    }
    #[inline(always)]
    fn logistic<S: Target>(self) -> f64 {
        let z = (-self.abs()).exp();
        (if self < 0.0 { z } else { 1.0 }) / (1.0 + z)
    }
    #[inline(always)]
    fn pow<S: Target>(self, exponent: f64) -> f64 {
        self.powf(exponent)
    }
}
