//! Vectorisable functions in single precision.

// Coefficients keep all computed digits.
#![allow(clippy::excessive_precision)]

use crate::simd::{mul_add, mul_add64, Target};

/// Evaluates `c[0] + c[1] x + ...`.
#[inline(always)]
fn poly<S: Target, const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = mul_add::<S>(sum, x, c[i]);
    }
    sum
}

/// Adding it to a small number leaves the nearest integer in the low mantissa bits. Unlike a rounding instruction, this
/// works on every instruction set.
const ROUND: f32 = 12_582_912.0;
const LN2_HIGH: f32 = 0.693_145_75;
const LN2_LOW: f32 = 1.428_606_8e-6;

/// Splits `x` into `n ln 2 + r` with `|r| <= ln 2 / 2`. Returns `n` as an integer and as a float, and `r`.
#[inline(always)]
fn split_ln2<S: Target>(x: f32) -> (i32, f32, f32) {
    let shifted = mul_add::<S>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<S>(n, -LN2_LOW, mul_add::<S>(n, -LN2_HIGH, x));
    ((shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32), n, r)
}

/// Computes `2^n` for `-126 <= n <= 127`.
#[inline(always)]
fn exp2_int(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

#[inline(always)]
pub fn exp<S: Target>(x: f32) -> f32 {
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -104.0 { -104.0 } else { clamped };
    let (n, p) = exp_parts::<S>(clamped);
    // In two halves, because 2^n alone may overflow, or underflow where the result is subnormal.
    let half = n >> 1;
    p * exp2_int(half) * exp2_int(n.wrapping_sub(half))
}

/// Computes `exp(x)` for `x <= 0`, with the same bits as [`exp`].
#[inline(always)]
pub(super) fn exp_down<S: Target>(x: f32) -> f32 {
    let clamped = if x < -104.0 { -104.0 } else { x };
    let (n, p) = exp_parts::<S>(clamped);
    // In two steps, so that only the second may round to a subnormal number.
    p * exp2_int(n.wrapping_add(64)) * exp2_int(-64)
}

/// Computes `exp(x)` where that is a normal number, with the same bits as [`exp`].
#[inline(always)]
pub(super) fn exp_normal<S: Target>(x: f32) -> f32 {
    let (n, p) = exp_parts::<S>(x);
    p * exp2_int(n)
}

/// Returns `n` and `p` with `exp(x) = 2^n p`.
#[inline(always)]
fn exp_parts<S: Target>(x: f32) -> (i32, f32) {
    let (n, _, r) = split_ln2::<S>(x);
    let q = poly::<S, 6>(r, [0.5, 0.166_666_67, 0.041_666_262, 0.008_333_263, 0.001_394_672_4, 0.000_199_192_64]);
    (n, 1.0 + mul_add::<S>(r * r, q, r))
}

#[inline(always)]
pub fn expm1<S: Target>(x: f32) -> f32 {
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -20.0 { -20.0 } else { clamped };
    let y = expm1_within::<S>(clamped);
    // -0 and subnormal numbers.
    if x.abs() < f32::MIN_POSITIVE {
        x
    } else {
        y
    }
}

/// Computes [`expm1`] between -20 and 89, except for subnormal numbers.
#[inline(always)]
fn expm1_within<S: Target>(x: f32) -> f32 {
    let (n, _, r) = split_ln2::<S>(x);
    let q = poly::<S, 6>(r, [0.5, 0.166_666_67, 0.041_666_348, 0.008_333_271, 0.001_394_156_3, 0.000_199_149_7]);
    let p = mul_add::<S>(r * r, q, r);
    // 2^n (p + 1) - 1 with half of 2^n, because 2^128 overflows although the result may be finite.
    let scale = exp2_int(n.wrapping_sub(1));
    2.0 * mul_add::<S>(scale, p, scale - 0.5)
}

#[inline(always)]
pub fn log<S: Target>(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let (exponent, f) = log_parts(scaled);
    let y = log_of_parts::<S>(exponent.wrapping_sub(if tiny { 23 } else { 0 }) as f32, f);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if (x < 0.0) | x.is_nan() {
        f32::NAN
    } else {
        y
    }
}

/// Computes [`log`] of a positive normal number, with the same bits.
#[inline(always)]
pub fn log_normal<S: Target>(x: f32) -> f32 {
    let (exponent, f) = log_parts(x);
    log_of_parts::<S>(exponent as f32, f)
}

/// Returns `n` and `f` with `x = 2^n (1 + f)` and `1 + f` in `[sqrt(1/2), sqrt(2))`.
#[inline(always)]
fn log_parts(x: f32) -> (i32, f32) {
    let bits = (x.to_bits() as i32).wrapping_sub(0x3f35_04f3);
    let f = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3) as u32) - 1.0;
    (bits >> 23, f)
}

/// Computes `exponent ln 2 + ln(1 + f)`.
#[inline(always)]
fn log_of_parts<S: Target>(exponent: f32, f: f32) -> f32 {
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
    mul_add::<S>(exponent, LN2_HIGH, f + low)
}

#[inline(always)]
pub fn log1p<S: Target>(x: f32) -> f32 {
    let u = 1.0 + x;
    // First-order correction of the rounding error of 1 + x.
    let y = log::<S>(u) + (x - (u - 1.0)) / u;
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if (x == f32::INFINITY) | (x == 0.0) {
        x
    } else {
        y
    }
}

/// Computes [`log1p`] of a finite number above -1, with the same bits.
#[inline(always)]
pub(super) fn log1p_common<S: Target>(x: f32) -> f32 {
    let u = 1.0 + x;
    let y = log_normal::<S>(u) + (x - (u - 1.0)) / u;
    if x == 0.0 {
        x
    } else {
        y
    }
}

#[inline(always)]
pub fn tanh<S: Target>(x: f32) -> f32 {
    let magnitude = x.abs();
    let clamped = if magnitude > 10.0 { 10.0 } else { magnitude };
    let p = expm1_within::<S>(2.0 * clamped);
    (p / (p + 2.0)).copysign(x)
}

/// Computes `1 / (1 + exp(-x))` without overflow or loss of small values.
#[inline(always)]
pub fn logistic<S: Target>(x: f32) -> f32 {
    let z = exp_down::<S>(-x.abs());
    (if x < 0.0 { z } else { 1.0 }) / (1.0 + z)
}

/// Error function: `x + x p(x^2)` near 0, beyond a polynomial around the middle of the interval that ends where the result
/// rounds to 1.
#[inline(always)]
pub fn erf<S: Target>(x: f32) -> f32 {
    const BORDER: f32 = 1.0;
    const END: f32 = 3.92;
    let magnitude = x.abs();
    let near = poly::<S, 7>(
        x * x,
        [0.128_379_17, -0.376_126_26, 0.112_835_79, -0.026_853_347, 0.005_187_162, -0.000_799_785_3, 7.806_903e-5],
    );
    let near = mul_add::<S>(near, x, x);
    let clamped = if magnitude > END { END } else { magnitude };
    let far = poly::<S, 15>(
        clamped - 0.5 * (BORDER + END),
        [
            0.999_496_64,
            0.002_656_291_5,
            -0.006_534_419,
            0.009_831_941,
            -0.009_914_619,
            0.006_801_133,
            -0.002_936_271_7,
            0.000_457_091_58,
            0.000_354_907,
            -0.000_298_024_9,
            7.642_565e-5,
            2.415_086e-5,
            -1.751_817e-5,
            1.704_923_8e-7,
            1.117_796_2e-6,
        ],
    );
    let far = if far > 1.0 { 1.0 } else { far };
    if magnitude > BORDER {
        far.copysign(x)
    } else {
        near
    }
}

/// Distribution function of the normal distribution: `1/2 + x p(x^2) / q(x^2)`, up to where it rounds to 0 or 1. It takes half
/// the time of [`erf`], with twice its error.
#[inline(always)]
pub(super) fn normal_cdf<S: Target>(x: f32) -> f32 {
    const END: f32 = 5.54;
    let magnitude = x.abs();
    let clamped = if magnitude > END { END } else { magnitude };
    let square = clamped * clamped;
    let p = poly::<S, 6>(
        square,
        [0.398_942_26, 0.033_642_255, 0.004_661_434, 0.000_166_259_92, 6.295_581e-6, 2.267_408_7e-8],
    );
    let q = poly::<S, 6>(square, [1.0, 0.250_995_01, 0.028_517_745, 0.001_870_248_8, 7.261_601_4e-5, 1.191_092e-6]);
    let half = clamped * p / q;
    let half = if half > 0.5 { 0.5 } else { half };
    0.5 + half.copysign(x)
}

/// Inverse error function after Giles, "Approximating the erfinv function" (2011): a polynomial in `w = -log(1 - x^2)` for
/// the centre, one in its square root for the tails.
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

/// Limit of the two-part range reduction by `n pi/2`, beyond which the C library reduces the argument.
pub(super) const FAR: f32 = 1_048_576.0;

/// Computes `sin` for `QUARTER = 0` and `cos` for `QUARTER = 1`, for arguments that are not
/// [`is_far`](super::Real::is_far).
#[inline(always)]
pub(super) fn sin_cos<S: Target, const QUARTER: i64>(x: f32) -> f32 {
    // Reduced in double precision: pi/2 in two parts, the first short enough that its product with n is exact.
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

/// Computes `x^y` as `2^(y log2 x)` in double precision, with one rounding to `f32`.
#[inline(always)]
pub fn pow<S: Target>(x: f32, y: f32) -> f32 {
    let (base, wide_y) = (f64::from(x.abs()), f64::from(y));
    // base = m 2^e with m in [sqrt(1/2), sqrt(2)): every f32, including subnormals, is a normal f64.
    let bits = (base.to_bits() as i64).wrapping_sub(0x3fe6_a09e_667f_3bcd);
    // AVX2 lacks the arithmetic shift of 64-bit lanes; on the upper 32 bits it vectorises.
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
    let is_integer = huge | (rounded == y.abs());
    // From 2^24 on every f32 is even; from 2^23 on the last mantissa bit is the parity.
    let parity = (y.abs() + 8_388_608.0).to_bits() & 1;
    let odd = if huge { (y.abs() < 16_777_216.0) & (y.to_bits() & 1 == 1) } else { is_integer & (parity == 1) };

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
    let result = if (x < 0.0) & !is_integer & (x != f32::NEG_INFINITY) { f32::NAN } else { result };
    let result = if x.is_nan() | y.is_nan() { f32::NAN } else { result };
    let unit = (x == 1.0) | (y == 0.0) | ((x == -1.0) & (y.abs() == f32::INFINITY));
    if unit {
        1.0
    } else {
        result
    }
}
