//! Functions of one real number, written so that loops over them vectorise.
//!
//! The `f32` versions are branch-free: range reduction, one polynomial, and selects for the special values. The
//! polynomials were fitted for this crate (weighted minimax by Lawson's reweighting). Errors against exact results stay below
//! 4 units in the last place; the tests measure them. `f64`, and the rarer functions, call the platform's C library.
//!
//! NaN goes through every function: selects are written so that a comparison with NaN keeps the NaN.

// Coefficients are written with the digits that they were computed with.
#![allow(clippy::excessive_precision)]

use crate::simd::{mul_add, mul_add64, Target};

/// A floating type that the element-wise functions are computed in.
pub trait Real: crate::dtype::Element<Acc = Self> + std::ops::Neg<Output = Self> + Arithmetic {
    fn sign(self) -> Self;
    fn abs(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    /// To the nearest integer, halves to the even one.
    fn round(self) -> Self;
    fn is_finite(self) -> bool;
    fn exp<S: Target>(self) -> Self;
    fn expm1<S: Target>(self) -> Self;
    fn log<S: Target>(self) -> Self;
    fn log1p<S: Target>(self) -> Self;
    fn sqrt(self) -> Self;
    fn rsqrt(self) -> Self;
    fn sin<S: Target>(self) -> Self;
    fn cos<S: Target>(self) -> Self;
    /// Whether `sin` and `cos` need the slow range reduction of [`Real::sin_any`] and [`Real::cos_any`].
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
    fn lgamma(self) -> Self;
    fn digamma(self) -> Self;
    fn pow<S: Target>(self, exponent: Self) -> Self;
    fn atan2(self, x: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
}

/// The operators, named once.
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

macro_rules! common {
    ($t:ident) => {
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
        fn abs(self) -> Self {
            self.abs()
        }
        #[inline(always)]
        fn floor(self) -> Self {
            self.floor()
        }
        #[inline(always)]
        fn ceil(self) -> Self {
            self.ceil()
        }
        #[inline(always)]
        fn round(self) -> Self {
            self.round_ties_even()
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            self.abs() < $t::INFINITY
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            self.sqrt()
        }
        #[inline(always)]
        fn rsqrt(self) -> Self {
            1.0 / self.sqrt()
        }
        #[inline(always)]
        fn sin_any(self) -> Self {
            self.sin()
        }
        #[inline(always)]
        fn cos_any(self) -> Self {
            self.cos()
        }
        #[inline(always)]
        fn tan(self) -> Self {
            self.tan()
        }
        #[inline(always)]
        fn asin(self) -> Self {
            self.asin()
        }
        #[inline(always)]
        fn acos(self) -> Self {
            self.acos()
        }
        #[inline(always)]
        fn atan(self) -> Self {
            self.atan()
        }
        #[inline(always)]
        fn sinh(self) -> Self {
            self.sinh()
        }
        #[inline(always)]
        fn cosh(self) -> Self {
            self.cosh()
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
    #[inline(always)]
    fn exp<S: Target>(self) -> f32 {
        exp::<S>(self)
    }
    #[inline(always)]
    fn expm1<S: Target>(self) -> f32 {
        expm1::<S>(self)
    }
    #[inline(always)]
    fn log<S: Target>(self) -> f32 {
        log::<S>(self)
    }
    #[inline(always)]
    fn log1p<S: Target>(self) -> f32 {
        log1p::<S>(self)
    }
    #[inline(always)]
    fn sin<S: Target>(self) -> f32 {
        sin_cos::<S, 0>(self)
    }
    #[inline(always)]
    fn cos<S: Target>(self) -> f32 {
        sin_cos::<S, 1>(self)
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        (self.abs() > FAR) & (self.abs() < f32::INFINITY)
    }
    #[inline(always)]
    fn tanh<S: Target>(self) -> f32 {
        tanh::<S>(self)
    }
    // The C functions round once from a wider type: asinh and friends of the standard library lose digits in f32.
    #[inline(always)]
    fn asinh(self) -> f32 {
        Real::asinh(f64::from(self)) as f32
    }
    #[inline(always)]
    fn acosh(self) -> f32 {
        Real::acosh(f64::from(self)) as f32
    }
    #[inline(always)]
    fn atanh(self) -> f32 {
        Real::atanh(f64::from(self)) as f32
    }
    #[inline(always)]
    fn logistic<S: Target>(self) -> f32 {
        logistic::<S>(self)
    }
    #[inline(always)]
    fn erf<S: Target>(self) -> f32 {
        erf::<S>(self)
    }
    #[inline(always)]
    fn erf_inv<S: Target>(self) -> f32 {
        erf_inv::<S>(self)
    }
    #[inline(always)]
    fn lgamma(self) -> f32 {
        lgamma64(f64::from(self)) as f32
    }
    #[inline(always)]
    fn digamma(self) -> f32 {
        digamma64(f64::from(self)) as f32
    }
    #[inline(always)]
    fn pow<S: Target>(self, exponent: f32) -> f32 {
        pow::<S>(self, exponent)
    }
}

impl Real for f64 {
    common!(f64);
    #[inline(always)]
    fn exp<S: Target>(self) -> f64 {
        self.exp()
    }
    #[inline(always)]
    fn expm1<S: Target>(self) -> f64 {
        self.exp_m1()
    }
    #[inline(always)]
    fn log<S: Target>(self) -> f64 {
        self.ln()
    }
    #[inline(always)]
    fn log1p<S: Target>(self) -> f64 {
        self.ln_1p()
    }
    #[inline(always)]
    fn sin<S: Target>(self) -> f64 {
        self.sin()
    }
    #[inline(always)]
    fn cos<S: Target>(self) -> f64 {
        self.cos()
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        false
    }
    #[inline(always)]
    fn tanh<S: Target>(self) -> f64 {
        self.tanh()
    }
    #[inline(always)]
    fn asinh(self) -> f64 {
        // SAFETY: a pure C99 function of one number.
        unsafe { c::asinh(self) }
    }
    #[inline(always)]
    fn acosh(self) -> f64 {
        // SAFETY: a pure C99 function of one number.
        unsafe { c::acosh(self) }
    }
    #[inline(always)]
    fn atanh(self) -> f64 {
        // SAFETY: a pure C99 function of one number.
        unsafe { c::atanh(self) }
    }
    #[inline(always)]
    fn logistic<S: Target>(self) -> f64 {
        let z = (-self.abs()).exp();
        (if self < 0.0 { z } else { 1.0 }) / (1.0 + z)
    }
    #[inline(always)]
    fn erf<S: Target>(self) -> f64 {
        erf64(self)
    }
    #[inline(always)]
    fn erf_inv<S: Target>(self) -> f64 {
        erf_inv64(self)
    }
    #[inline(always)]
    fn lgamma(self) -> f64 {
        lgamma64(self)
    }
    #[inline(always)]
    fn digamma(self) -> f64 {
        digamma64(self)
    }
    #[inline(always)]
    fn pow<S: Target>(self, exponent: f64) -> f64 {
        self.powf(exponent)
    }
}

/// Functions of C99's library that Rust's standard library, which is linked to it, does not expose.
mod c {
    unsafe extern "C" {
        pub fn erf(x: f64) -> f64;
        pub fn erfc(x: f64) -> f64;
        pub fn asinh(x: f64) -> f64;
        pub fn acosh(x: f64) -> f64;
        pub fn atanh(x: f64) -> f64;
    }
}

/// `c[0] + c[1] x + ...`
#[inline(always)]
fn poly<S: Target, const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = mul_add::<S>(sum, x, c[i]);
    }
    sum
}

/// Adding it to a small number leaves the nearest integer in the low mantissa bits. Unlike a rounding instruction
/// this exists on every instruction set.
const ROUND: f32 = 12_582_912.0;
const LN2_HIGH: f32 = 0.693_145_75;
const LN2_LOW: f32 = 1.428_606_8e-6;

/// Splits `x` into `n ln 2 + r` with `|r| <= ln 2 / 2`: gives `n` twice, as an integer and as a float, and `r`.
#[inline(always)]
fn split_ln2<S: Target>(x: f32) -> (i32, f32, f32) {
    let shifted = mul_add::<S>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<S>(n, -LN2_LOW, mul_add::<S>(n, -LN2_HIGH, x));
    ((shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32), n, r)
}

/// `2^n` for `-126 <= n <= 127`.
#[inline(always)]
fn exp2_int(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

#[inline(always)]
pub fn exp<S: Target>(x: f32) -> f32 {
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -104.0 { -104.0 } else { clamped };
    let (n, _, r) = split_ln2::<S>(clamped);
    let q = poly::<S, 6>(r, [0.5, 0.166_666_67, 0.041_666_262, 0.008_333_263, 0.001_394_672_4, 0.000_199_192_64]);
    let p = 1.0 + mul_add::<S>(r * r, q, r);
    // In two halves, because 2^n alone may overflow, or underflow where the result is subnormal.
    let half = n >> 1;
    p * exp2_int(half) * exp2_int(n.wrapping_sub(half))
}

#[inline(always)]
pub fn expm1<S: Target>(x: f32) -> f32 {
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -20.0 { -20.0 } else { clamped };
    let (n, _, r) = split_ln2::<S>(clamped);
    let q = poly::<S, 6>(r, [0.5, 0.166_666_67, 0.041_666_348, 0.008_333_271, 0.001_394_156_3, 0.000_199_149_7]);
    let p = mul_add::<S>(r * r, q, r);
    // 2^n (p + 1) - 1 with half of 2^n, because 2^128 is no number but the result may be one.
    let scale = exp2_int(n.wrapping_sub(1));
    let y = 2.0 * mul_add::<S>(scale, p, scale - 0.5);
    if n == 0 {
        if x == 0.0 {
            x
        } else {
            p
        }
    } else {
        y
    }
}

#[inline(always)]
pub fn log<S: Target>(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    // Offset so that the mantissa falls into [sqrt(1/2), sqrt(2)).
    let bits = (scaled.to_bits() as i32).wrapping_sub(0x3f35_04f3);
    let exponent = (bits >> 23).wrapping_sub(if tiny { 23 } else { 0 }) as f32;
    let f = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3) as u32) - 1.0;
    let q = poly::<S, 9>(
        f,
        [
            0.333_333_1,
            -0.249_999_87,
            0.200_022_27,
            -0.166_692_5,
            0.142_186_55,
            -0.123_843_685,
            0.118_730_13,
            -0.117_897_05,
            0.069_151_655,
        ],
    );
    let square = f * f;
    // Smallest parts first.
    let low = mul_add::<S>(exponent, LN2_LOW, mul_add::<S>(square * f, q, -0.5 * square));
    let y = mul_add::<S>(exponent, LN2_HIGH, f + low);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if (x < 0.0) | x.is_nan() {
        f32::NAN
    } else {
        y
    }
}

#[inline(always)]
pub fn log1p<S: Target>(x: f32) -> f32 {
    let u = 1.0 + x;
    // What rounding took from 1 + x, as a first-order correction.
    let y = log::<S>(u) + (x - (u - 1.0)) / u;
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if (x == f32::INFINITY) | (x == 0.0) {
        x
    } else {
        y
    }
}

#[inline(always)]
pub fn tanh<S: Target>(x: f32) -> f32 {
    let magnitude = x.abs();
    let clamped = if magnitude > 10.0 { 10.0 } else { magnitude };
    let p = expm1::<S>(2.0 * clamped);
    (p / (p + 2.0)).copysign(x)
}

/// `1 / (1 + exp(-x))`, in the form that neither overflows nor loses the small values.
#[inline(always)]
pub fn logistic<S: Target>(x: f32) -> f32 {
    let z = exp::<S>(-x.abs());
    (if x < 0.0 { z } else { 1.0 }) / (1.0 + z)
}

#[inline(always)]
pub fn erf<S: Target>(x: f32) -> f32 {
    let t = x.abs();
    let near = poly::<S, 7>(
        x * x,
        [0.128_379_17, -0.376_126_26, 0.112_836, -0.026_854_444, 0.005_189_535_7, -0.000_802_084_2, 7.888_912e-5],
    );
    let near = mul_add::<S>(near, x, x);
    let t4 = if t > 4.0 { 4.0 } else { t };
    let tail = poly::<S, 8>(
        t4,
        [
            0.000_169_203_94,
            -1.129_488_3,
            -0.633_400_86,
            -0.108_220_37,
            0.025_080_606,
            -0.004_156_250_5,
            0.000_431_392_58,
            -2.082_853e-5,
        ],
    );
    let far = (1.0 - exp::<S>(tail)).copysign(x);
    if t > 0.95 {
        far
    } else {
        near
    }
}

/// After Giles, "Approximating the erfinv function" (2011): one polynomial in `w = -log(1 - x^2)` for the middle, one
/// in its root for the tails.
#[inline(always)]
pub fn erf_inv<S: Target>(x: f32) -> f32 {
    let w = -log::<S>((1.0 - x) * (1.0 + x));
    let near = poly::<S, 10>(
        w - 2.5,
        [
            1.501_409_4,
            0.246_640_28,
            -0.004_177_387,
            -0.001_252_741_9,
            0.000_218_344_45,
            -4.963_345_4e-6,
            -3.462_704_6e-6,
            4.661_701_5e-7,
            2.323_262_5e-8,
            -8.791_019e-9,
        ],
    );
    let far = poly::<S, 10>(
        w.sqrt() - 3.0,
        [
            2.832_976_8,
            1.001_674_8,
            0.009_444_387,
            -0.007_635_037,
            0.005_694_516_5,
            -0.003_607_934,
            0.001_465_682_6,
            -3.620_815_5e-5,
            -0.000_294_174_7,
            0.000_100_987_25,
        ],
    );
    let y = x * if w < 5.0 { near } else { far };
    if x.abs() == 1.0 {
        x * f32::INFINITY
    } else {
        y
    }
}

/// Beyond this, `n pi/2` in two pieces is no longer exact enough, and the C library reduces the argument.
const FAR: f32 = 1_048_576.0;

/// `sin` for `QUARTER = 0`, `cos` for `QUARTER = 1`, for arguments that are not [`Real::is_far`].
#[inline(always)]
fn sin_cos<S: Target, const QUARTER: i64>(x: f32) -> f32 {
    // Reduced in double precision: pi/2 in two pieces, the first short enough that its product with n is exact.
    const ROUND64: f64 = 6_755_399_441_055_744.0;
    const HIGH: f64 = 1.570_796_326_734_125_6;
    const LOW: f64 = 6.077_100_506_506_192e-11;
    let wide = f64::from(x);
    let shifted = wide * std::f64::consts::FRAC_2_PI + ROUND64;
    let n = shifted - ROUND64;
    let r = ((wide - n * HIGH) - n * LOW) as f32;
    let quadrant = (shifted.to_bits() as i64).wrapping_add(QUARTER) as i32;
    let square = r * r;
    let sin = poly::<S, 4>(square, [-0.166_666_67, 0.008_333_329, -0.000_198_393_25, 2.718_216_8e-6]);
    let sin = mul_add::<S>(square * r, sin, r);
    let cos = poly::<S, 4>(square, [0.041_666_668, -0.001_388_888_3, 2.479_950_9e-5, -2.720_935_3e-7]);
    let cos = mul_add::<S>(square * square, cos, mul_add::<S>(square, -0.5, 1.0));
    let y = if quadrant & 1 == 0 { sin } else { cos };
    let y = f32::from_bits(y.to_bits() ^ ((quadrant as u32 & 2) << 30));
    // The reduction turns -0 into +0.
    if (QUARTER == 0) & (x == 0.0) {
        x
    } else {
        y
    }
}

/// `x^y` through `2^(y log2 x)` in double precision, which leaves one rounding to `f32`.
#[inline(always)]
pub fn pow<S: Target>(x: f32, y: f32) -> f32 {
    let (base, wide_y) = (f64::from(x.abs()), f64::from(y));
    // base = m 2^e with m in [sqrt(1/2), sqrt(2)): every f32, subnormals too, is a normal f64.
    let bits = (base.to_bits() as i64).wrapping_sub(0x3fe6_a09e_667f_3bcd);
    // The arithmetic shift of 64-bit lanes is missing on AVX2; through the upper 32 bits it vectorises.
    let e = f64::from((bits >> 32) as i32 >> 20);
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(0x3fe6_a09e_667f_3bcd) as u64);
    // ln m = 2 artanh s
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut series = 1.0 / 17.0;
    for odd in [15.0f64, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = mul_add64::<S>(series, z, 1.0 / odd);
    }
    let log2 = mul_add64::<S>(series * s, 2.0 * std::f64::consts::LOG2_E, e);
    let t = wide_y * log2;
    let t = if t > 200.0 { 200.0 } else { t };
    let t = if t < -200.0 { -200.0 } else { t };
    const ROUND64: f64 = 6_755_399_441_055_744.0;
    let shifted = t + ROUND64;
    let u = (t - (shifted - ROUND64)) * std::f64::consts::LN_2;
    let mut exp = 1.0 / 39_916_800.0;
    for factorial in [3_628_800.0f64, 362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        exp = mul_add64::<S>(exp, u, 1.0 / factorial);
    }
    let n = (shifted.to_bits() as i64).wrapping_sub(ROUND64.to_bits() as i64);
    let magnitude = (exp * f64::from_bits((n.wrapping_add(1023) << 52) as u64)) as f32;

    let rounded = (y.abs() + 8_388_608.0) - 8_388_608.0;
    let huge = y.abs() >= 8_388_608.0;
    let whole = huge | (rounded == y.abs());
    // From 2^24 on every f32 is even; from 2^23 on the last mantissa bit tells.
    let parity = (y.abs() + 8_388_608.0).to_bits() & 1;
    let odd = if huge { (y.abs() < 16_777_216.0) & (y.to_bits() & 1 == 1) } else { whole & (parity == 1) };

    let magnitude = if x == 0.0 {
        if y > 0.0 {
            0.0
        } else {
            f32::INFINITY
        }
    } else {
        magnitude
    };
    let grows = (x.abs() > 1.0) == (y > 0.0);
    let infinite = (x.abs() == f32::INFINITY) | (y.abs() == f32::INFINITY);
    let magnitude = if infinite & (x != 0.0) {
        if grows {
            f32::INFINITY
        } else {
            0.0
        }
    } else {
        magnitude
    };
    let negative = (x.to_bits() >> 31 == 1) & odd;
    let result = if negative { -magnitude } else { magnitude };
    let result = if (x < 0.0) & !whole & (x != f32::NEG_INFINITY) { f32::NAN } else { result };
    let result = if x.is_nan() | y.is_nan() { f32::NAN } else { result };
    let unit = (x == 1.0) | (y == 0.0) | ((x == -1.0) & (y.abs() == f32::INFINITY));
    if unit {
        1.0
    } else {
        result
    }
}

fn erf64(x: f64) -> f64 {
    // SAFETY: a pure C99 function of one number.
    unsafe { c::erf(x) }
}

fn erfc64(x: f64) -> f64 {
    // SAFETY: a pure C99 function of one number.
    unsafe { c::erfc(x) }
}

/// The `f32` approximation, then Halley steps. In the tails they run on `erfc`, where `1 - |x|` is exact.
fn erf_inv64(x: f64) -> f64 {
    let magnitude = x.abs();
    if x.is_nan() || magnitude >= 1.0 {
        return if magnitude == 1.0 { x * f64::INFINITY } else { f64::NAN };
    }
    if magnitude < 1e-7 {
        return x * (0.5 * std::f64::consts::PI.sqrt());
    }
    // Beyond the reach of f32: the leading term of the asymptotic series.
    let start = f64::from(erf_inv::<crate::simd::Portable>(magnitude as f32));
    let mut y = if start.is_finite() { start } else { (-(1.0 - magnitude).ln()).sqrt() };
    for _ in 0..4 {
        let miss = if magnitude > 0.5 { (1.0 - magnitude) - erfc64(y) } else { erf64(y) - magnitude };
        let step = miss * (0.5 * std::f64::consts::PI.sqrt()) * (y * y).exp();
        y -= step / (1.0 + y * step);
    }
    y.copysign(x)
}

/// `log |gamma(x)|`: Stirling's series after shifting the argument to 10 or more; reflection for negative arguments.
fn lgamma64(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::INFINITY;
    }
    if x <= 0.0 {
        if x == x.floor() {
            return f64::INFINITY;
        }
        if x > -1e-17 {
            return -(-x).ln();
        }
        // The sine of the distance to the next integer keeps its digits when x is large.
        let distance = (x - x.round_ties_even()).abs();
        let sine = (std::f64::consts::PI * distance).sin();
        return (std::f64::consts::PI / (sine * -x)).ln() - lgamma64(-x);
    }
    if (x - 1.0).abs() < 0.25 {
        return lgamma1p(x - 1.0);
    }
    if (x - 2.0).abs() < 0.25 {
        return lgamma1p(x - 2.0) + (x - 2.0).ln_1p();
    }
    let (mut z, mut product) = (x, 1.0);
    while z < 10.0 {
        product *= z;
        z += 1.0;
    }
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    // B(2k) / (2k (2k - 1))
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0]
        .iter()
        .rev()
        .fold(0.0, |sum, c| sum * square + c)
        * inverse;
    (z - 0.5) * z.ln() - z + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - product.ln()
}

/// `log gamma(1 + d)` for `|d| <= 1/4`: the zeros at 1 and 2 need a series in which nothing cancels,
/// `-log1p(d) + d (1 - euler) + sum over k >= 2 of (-d)^k (zeta(k) - 1) / k`.
fn lgamma1p(d: f64) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    // zeta(k) - 1 for k = 2, 3, ...
    const ZETA: [f64; 20] = [
        0.644_934_066_848_226_4,
        0.202_056_903_159_594_28,
        0.082_323_233_711_138_19,
        0.036_927_755_143_369_926,
        0.017_343_061_984_449_14,
        0.008_349_277_381_922_827,
        0.004_077_356_197_944_339,
        0.002_008_392_826_082_214_4,
        0.000_994_575_127_818_085_3,
        0.000_494_188_604_119_464_6,
        0.000_246_086_553_308_048_3,
        0.000_122_713_347_578_489_15,
        6.124_813_505_870_483e-5,
        3.058_823_630_702_049e-5,
        1.528_225_940_865_187e-5,
        7.637_197_637_899_763e-6,
        3.817_293_264_999_84e-6,
        1.908_212_716_553_938_9e-6,
        9.539_620_338_727_962e-7,
        4.769_329_867_878_064e-7,
    ];
    let mut sum = 0.0;
    for (i, zeta) in ZETA.iter().enumerate().rev() {
        sum = (sum + zeta / (i as f64 + 2.0)) * -d;
    }
    d * (1.0 - EULER) - sum * d - d.ln_1p()
}

/// The derivative of `lgamma`: asymptotic series after shifting the argument to 10 or more, reflection below 0.
fn digamma64(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY.copysign(-x);
    }
    if x == f64::INFINITY {
        return x;
    }
    if x < 0.0 {
        if x == x.floor() {
            return f64::NAN;
        }
        let distance = x - x.round_ties_even();
        return digamma64(1.0 - x) - std::f64::consts::PI / (std::f64::consts::PI * distance).tan();
    }
    let (mut z, mut shift) = (x, 0.0);
    while z < 10.0 {
        shift += 1.0 / z;
        z += 1.0;
    }
    let square = 1.0 / (z * z);
    // B(2k) / 2k
    let series = [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32_760.0, 1.0 / 12.0]
        .iter()
        .rev()
        .fold(0.0, |sum, c| (sum + c) * square);
    z.ln() - 0.5 / z - series - shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Avx2, Portable};

    /// Every 1000th f32 or so of all magnitudes and both signs, and the special ones.
    fn inputs() -> Vec<f32> {
        let mut all: Vec<f32> = (0..u32::MAX).step_by(4_999).map(f32::from_bits).collect();
        all.extend((-40_000..40_000).map(|i| i as f32 * 0.000_5));
        for special in [0.0, f32::INFINITY, 1.0, 2.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, 88.72, 88.73, 103.9, 104.1] {
            all.extend([special, -special]);
        }
        all.push(f32::NAN);
        all
    }

    /// Largest error in units of the last place of the rounded exact value.
    fn worst(ours: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        for x in inputs() {
            let (got, want) = (ours(x), exact(f64::from(x)));
            let rounded = want as f32;
            if rounded.is_nan() || !rounded.is_finite() {
                assert!(got.is_nan() == rounded.is_nan(), "f({x:e}) = {got:e}, should be {want:e}");
                // The largest finite value and infinity are neighbours.
                let fits = got.is_nan() || got == rounded || got.abs() >= f32::MAX * 0.999_999;
                assert!(fits, "f({x:e}) = {got:e}, should be {want:e}");
                continue;
            }
            if want == 0.0 {
                assert!(got == 0.0, "f({x:e}) = {got:e}, should be 0");
                continue;
            }
            let ulp = f64::from(f32::from_bits(rounded.abs().to_bits() + 1)) - f64::from(rounded.abs());
            let error = (f64::from(got) - want).abs() / ulp;
            if error > worst.0 || error.is_nan() {
                worst = (error, x);
            }
        }
        worst
    }

    macro_rules! accuracy {
        ($($name:ident $limit:literal: |$x:ident| $ours:expr, |$y:ident| $exact:expr;)*) => {$(
            #[test]
            fn $name() {
                #[allow(clippy::extra_unused_type_parameters)]
                fn run<S: Target>() -> (f64, f32) {
                    worst(|$x| $ours, |$y| $exact)
                }
                // `Avx2` fuses, here through the library call, which gives the same bits.
                for (error, at) in [run::<Avx2>(), run::<Portable>()] {
                    println!("{}: {error:.2} ulp at {at:e}", stringify!($name));
                    assert!(error <= $limit, "{error} ulp at {at:e}");
                }
            }
        )*};
    }

    accuracy! {
        exp_error 2.0: |x| exp::<S>(x), |x| x.exp();
        expm1_error 3.0: |x| expm1::<S>(x), |x| x.exp_m1();
        log_error 2.0: |x| log::<S>(x), |x| x.ln();
        log1p_error 3.0: |x| log1p::<S>(x), |x| x.ln_1p();
        tanh_error 4.0: |x| tanh::<S>(x), |x| x.tanh();
        logistic_error 4.0: |x| logistic::<S>(x), |x| Real::logistic::<S>(x);
        erf_error 3.0: |x| erf::<S>(x), |x| erf64(x);
        erf_inv_error 4.0: |x| erf_inv::<S>(x), |x| erf_inv64(x);
        sin_error 2.0: |x| if x.is_far() { x.sin_any() } else { Real::sin::<S>(x) }, |x| x.sin();
        cos_error 2.0: |x| if x.is_far() { x.cos_any() } else { Real::cos::<S>(x) }, |x| x.cos();
        lgamma_error 1.0: |x| Real::lgamma(x), |x| lgamma64(x);
    }

    #[test]
    fn pow_agrees_with_the_library_for_all_kinds_of_operands() {
        let mut operands =
            vec![0.0f32, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 1e-40, 1e-10, 1e10, 3e38, 16_777_215.0, 8_388_609.0];
        operands.extend([0.999_999, 1.000_001, 1e30, 33.25, f32::INFINITY, 4_194_304.5, 8_388_607.0, 16_777_216.0]);
        let negative: Vec<f32> = operands.iter().map(|x| -x).collect();
        operands.extend(negative);
        operands.push(f32::NAN);
        operands.extend((1..200).map(|i| i as f32 * 0.173));
        for &x in &operands {
            for &y in &operands {
                let (got, want) = (pow::<Avx2>(x, y), f64::from(x).powf(f64::from(y)) as f32);
                assert!(
                    got.to_bits().abs_diff(want.to_bits()) <= 1 || (got.is_nan() && want.is_nan()),
                    "{x:e}^{y:e} = {got:e}, should be {want:e}"
                );
            }
        }
    }

    #[test]
    fn double_precision_gamma_functions_and_erf_inv() {
        let close = |got: f64, want: f64| assert!((got - want).abs() <= 1e-14 * want.abs().max(0.5), "{got} {want}");
        // Values from an independent source (SciPy 1.17).
        close(lgamma64(0.5), 0.572_364_942_924_700_1);
        close(lgamma64(1.1), -0.049_872_441_259_839_764);
        close(lgamma64(2.1), 0.045_437_738_544_485_165);
        close(lgamma64(-2.5), -0.056_243_716_497_674_02);
        close(lgamma64(100.25), 360.284_559_637_764_23);
        close(digamma64(1.0), -0.577_215_664_901_532_9);
        close(digamma64(0.1), -10.423_754_940_411_076);
        close(digamma64(-1.5), 0.703_156_640_645_243_2);
        close(digamma64(50.5), 3.912_039_670_928_392);
        assert!(digamma64(-3.0).is_nan() && digamma64(0.0) == f64::NEG_INFINITY);
        assert!(lgamma64(-3.0) == f64::INFINITY && lgamma64(0.0) == f64::INFINITY && lgamma64(f64::NAN).is_nan());
        for i in 1..100 {
            let y = f64::from(i) * 0.05;
            let x = erf64(y);
            if y < 3.0 {
                assert!((erf_inv64(x) - y).abs() < 1e-15 * (y * y).exp().max(4.0), "{y}");
            }
        }
        assert!((erf_inv64(-0.999_999_999_999) + 5.042_031_898_572_696).abs() < 1e-13);
        assert!(erf_inv64(1.0) == f64::INFINITY && erf_inv64(1.5).is_nan());
    }
}
