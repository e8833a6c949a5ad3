//! Functions in double precision that the standard library lacks.

// Coefficients keep all computed digits.
#![allow(clippy::excessive_precision)]

/// C99 library functions that Rust's standard library links but does not expose. WebAssembly has no C library.
#[cfg(not(target_arch = "wasm32"))]
mod c {
    // SAFETY: the declarations are those of C99, and the functions are pure.
    unsafe extern "C" {
        pub safe fn erf(x: f64) -> f64;
        pub safe fn erfc(x: f64) -> f64;
        pub safe fn asinh(x: f64) -> f64;
        pub safe fn acosh(x: f64) -> f64;
        pub safe fn atanh(x: f64) -> f64;
    }
}
#[cfg(target_arch = "wasm32")]
mod c {
    pub use libm::{asinh, atanh, erf, erfc};

    /// Of some numbers far below 1, `libm::acosh` is not NaN.
    pub fn acosh(x: f64) -> f64 {
        if x < 1.0 {
            f64::NAN
        } else {
            libm::acosh(x)
        }
    }
}

pub fn asinh64(x: f64) -> f64 {
    c::asinh(x)
}

pub fn acosh64(x: f64) -> f64 {
    c::acosh(x)
}

pub fn atanh64(x: f64) -> f64 {
    c::atanh(x)
}

pub fn erf64(x: f64) -> f64 {
    c::erf(x)
}

fn erfc64(x: f64) -> f64 {
    c::erfc(x)
}

/// Inverse error function: the `f32` approximation, refined by Halley steps. In the tails they use `erfc`, because `1 - |x|`
/// is exact.
pub fn erf_inv64(x: f64) -> f64 {
    let magnitude = x.abs();
    if x.is_nan() || magnitude >= 1.0 {
        return if magnitude == 1.0 { x * f64::INFINITY } else { f64::NAN };
    }
    if magnitude < 1e-7 {
        return x * (0.5 * std::f64::consts::PI.sqrt());
    }
    // Beyond the range of f32: the leading term of the asymptotic series.
    let start = f64::from(super::single::erf_inv::<crate::simd::Portable>(magnitude as f32));
    let mut y = if start.is_finite() { start } else { (-(1.0 - magnitude).ln()).sqrt() };
    for _ in 0..4 {
        let miss = if magnitude > 0.5 { (1.0 - magnitude) - erfc64(y) } else { erf64(y) - magnitude };
        let step = miss * (0.5 * std::f64::consts::PI.sqrt()) * (y * y).exp();
        y -= step / (1.0 + y * step);
    }
    y.copysign(x)
}

/// Computes `log |gamma(x)|` by Stirling's series after shifting the argument to 10 or more, with reflection for negative
/// arguments.
pub fn lgamma64(x: f64) -> f64 {
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

/// Computes `log gamma(1 + d)` for `|d| <= 1/4`. The zeros at 1 and 2 need a series without cancellation,
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

/// Computes the derivative of `lgamma` by its asymptotic series after shifting the argument to 10 or more, with reflection
/// below 0.
pub fn digamma64(x: f64) -> f64 {
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
