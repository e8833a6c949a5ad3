//! Errors in units of the last place relative to double precision.

// Coefficients keep all computed digits.
#![allow(clippy::excessive_precision)]

use super::double::{digamma64, erf64, erf_inv64, lgamma64};
use super::*;
use crate::simd::{Avx2, Portable, Target};

/// A sample of all f32 values of both signs, and special values.
fn inputs() -> Vec<f32> {
    let mut all: Vec<f32> = (0..u32::MAX).step_by(4_999).map(f32::from_bits).collect();
    all.extend((-40_000..40_000).map(|i| i as f32 * 0.000_5));
    for special in [0.0, f32::INFINITY, 1.0, 2.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, 88.72, 88.73, 103.9, 104.1] {
        all.extend([special, -special]);
    }
    all.push(f32::NAN);
    all
}

/// Largest error in units of the last place, and its argument.
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
    erf_error 1.5: |x| erf::<S>(x), |x| erf64(x);
    erf_inv_error 4.0: |x| erf_inv::<S>(x), |x| erf_inv64(x);
    sin_error 2.0: |x| if x.is_far() { x.sin_any() } else { Real::sin::<S>(x) }, |x| x.sin();
    cos_error 2.0: |x| if x.is_far() { x.cos_any() } else { Real::cos::<S>(x) }, |x| x.cos();
    lgamma_error 1.0: |x| Real::lgamma(x), |x| lgamma64(x);
}

/// Largest error of `ours` in units of the last place of `scale(x)`, between -12 and 12.
fn worst_scaled(ours: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, scale: impl Fn(f64) -> f64) -> f64 {
    let errors = (-120_000..120_000).map(|i| {
        let x = i as f32 * 1e-4;
        let wide = f64::from(x);
        (f64::from(ours(x)) - exact(wide)).abs() / (scale(wide) * f64::from(f32::EPSILON))
    });
    errors.fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
}

#[test]
fn gelu_and_its_derivatives_agree_with_double_precision() {
    fn run<S: Target>() {
        let phi = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let cdf = |x: f64| 0.5 * (1.0 + erf64(x * std::f64::consts::FRAC_1_SQRT_2));
        let inner = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        let inner_derivative = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (1.0 + 3.0 * 0.044715 * x * x);
        // The sums 1 + erf and 1 + tanh round to a unit of 1, which x multiplies.
        let size = |x: f64| x.abs().max(1e-30);
        let errors = [
            worst_scaled(gelu::<S, f32>, |x| x * cdf(x), size),
            worst_scaled(gelu_tanh::<S, f32>, |x| 0.5 * x * (1.0 + inner(x).tanh()), size),
            worst_scaled(gelu_derivative::<S, f32>, |x| cdf(x) + x * phi(x), |_| 1.0),
            worst_scaled(
                gelu_tanh_derivative::<S, f32>,
                |x| 0.5 * (1.0 + inner(x).tanh()) + 0.5 * x * inner_derivative(x) / inner(x).cosh().powi(2),
                |_| 1.0,
            ),
        ];
        println!("{errors:?}");
        // 1 - tanh^2 cancels where its factors are about 10.
        let limits = [4.0, 4.0, 4.0, 16.0];
        assert!(errors.iter().zip(limits).all(|(error, limit)| *error < limit), "{errors:?}");
    }
    run::<Avx2>();
    run::<Portable>();
    assert!(gelu::<Portable, f32>(f32::NAN).is_nan() && gelu_derivative::<Portable, f32>(f32::NAN).is_nan());
    assert_eq!(gelu::<Portable, f32>(f32::INFINITY), f32::INFINITY);
    for x in [5.54f32, 6.0, 100.0, f32::MAX] {
        assert_eq!([gelu::<Portable, f32>(-x), gelu::<Avx2, f32>(-x)], [0.0; 2]);
        assert_eq!([gelu::<Portable, f32>(x), gelu::<Avx2, f32>(x)], [x; 2]);
    }
}

#[test]
fn silu_and_its_derivative_agree_with_double_precision() {
    fn run<S: Target>() {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let errors = [
            worst_scaled(silu::<S, f32>, |x| x * logistic(x), |x| (x * logistic(x)).abs().max(1e-36)),
            worst_scaled(silu_derivative::<S, f32>, |x| logistic(x) * (1.0 + x * (1.0 - logistic(x))), |_| 1.0),
        ];
        assert!(errors.iter().all(|error| *error < 4.0), "{errors:?}");
    }
    run::<Avx2>();
    run::<Portable>();
    assert!(silu::<Portable, f32>(f32::NAN).is_nan() && silu_derivative::<Portable, f32>(f32::NAN).is_nan());
    assert_eq!(silu::<Portable, f32>(f32::INFINITY), f32::INFINITY);
    assert_eq!([silu::<Portable, f32>(0.0), silu_derivative::<Portable, f32>(0.0)], [0.0, 0.5]);
}

#[test]
fn pow_agrees_with_the_library_for_all_kinds_of_operands() {
    let mut operands = vec![0.0f32, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 1e-40, 1e-10, 1e10, 3e38, 16_777_215.0, 8_388_609.0];
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
