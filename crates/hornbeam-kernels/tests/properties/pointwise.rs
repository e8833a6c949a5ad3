//! Elementwise kernels and random bits.

use crate::{bytes, bytes_mut, cases, floats, guarded, on_threads, words};
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{
    binary, compare, compare_with, convert, select, unary, Binary, BinaryFn, Compare, Unary,
};
use hornbeam_kernels::random::{fill_bits, random_bits, threefry2x32};
use hornbeam_kernels::simd::{with_isa, Isa};
use proptest::prelude::*;

/// Applies a binary kernel.
fn apply<T: Copy, R: Copy + PartialEq + std::fmt::Debug>(kernel: BinaryFn, a: &[T], b: &[T], zero: R) -> Vec<R> {
    guarded(a.len().max(b.len()), zero, |out| {
        let n = out.len();
        // SAFETY: the operands have `n` elements, or one where the kernel takes a scalar.
        unsafe { kernel(bytes(a).as_ptr(), bytes(b).as_ptr(), bytes_mut(out).as_mut_ptr(), n) };
    })
}

fn arithmetic(op: Binary, a: f32, b: f32) -> Option<f32> {
    Some(match op.name() {
        "add" => a + b,
        "sub" => a - b,
        "mul" => a * b,
        "div" => a / b,
        "max" => a.max(b),
        "min" => a.min(b),
        _ => return None,
    })
}

fn integer_arithmetic(op: Binary, a: i32, b: i32) -> Option<i32> {
    Some(match op.name() {
        "add" => a.wrapping_add(b),
        "sub" => a.wrapping_sub(b),
        "mul" => a.wrapping_mul(b),
        "max" => a.max(b),
        "min" => a.min(b),
        "and" => a & b,
        "or" => a | b,
        "xor" => a ^ b,
        _ => return None,
    })
}

/// Scalar function of an operation.
type Function = fn(f64) -> f64;

/// Relative error bound and scalar function of an operation.
fn function(op: Unary) -> Option<(f64, Function)> {
    Some(match op.name() {
        "neg" => (0.0, |x| -x),
        "abs" => (0.0, f64::abs),
        "floor" => (0.0, f64::floor),
        "ceil" => (0.0, f64::ceil),
        "exp" => (3e-7, f64::exp),
        "expm1" => (3e-7, f64::exp_m1),
        "sin" => (3e-7, f64::sin),
        "cos" => (3e-7, f64::cos),
        "tanh" => (3e-7, f64::tanh),
        "logistic" => (3e-7, |x| 1.0 / (1.0 + (-x).exp())),
        "atan" => (3e-7, f64::atan),
        _ => return None,
    })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn arithmetic_is_exact(n in 0usize..600, seed: u64, skip in 0usize..5) {
        let (a, b) = (floats(n + skip, seed), floats(n + skip, seed ^ 1));
        let (a, b) = (&a[skip..], &b[skip..]);
        let (i, j): (Vec<i32>, Vec<i32>) =
            (words(n, seed).iter().map(|&w| w as i32).collect(), words(n, seed ^ 2).iter().map(|&w| w as i32).collect());
        for isa in Isa::available() {
            with_isa(isa, || {
                for op in Binary::ALL {
                    if let (Some(kernel), Some(_)) = (binary(op, DType::F32), arithmetic(op, 0.0, 1.0)) {
                        let want: Vec<f32> = a.iter().zip(b).map(|(a, b)| arithmetic(op, *a, *b).unwrap_or(0.0)).collect();
                        prop_assert_eq!(apply(kernel, a, b, 9.0f32), want, "{}", op.name());
                    }
                    if let (Some(kernel), Some(_)) = (binary(op, DType::I32), integer_arithmetic(op, 0, 1)) {
                        let want: Vec<i32> = i.iter().zip(&j).map(|(a, b)| integer_arithmetic(op, *a, *b).unwrap_or(0)).collect();
                        prop_assert_eq!(apply(kernel, &i, &j, 9i32), want, "{}", op.name());
                    }
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn functions_are_accurate(n in 0usize..300, seed: u64, scale in prop_oneof![Just(1.0f32), Just(20.0f32)]) {
        let x: Vec<f32> = floats(n, seed).iter().map(|x| x * scale).collect();
        for isa in Isa::available() {
            with_isa(isa, || {
                for op in Unary::ALL {
                    let (Some(kernel), Some((bound, f))) = (unary(op, DType::F32), function(op)) else { continue };
                    // SAFETY: operand and result have `n` elements.
                    let run = |out: &mut [f32]| unsafe { kernel(bytes(&x).as_ptr(), bytes_mut(out).as_mut_ptr(), n) };
                    let got = guarded(n, 9.0f32, run);
                    for (x, got) in x.iter().zip(&got) {
                        let want = f(f64::from(*x));
                        let error = (f64::from(*got) - want).abs();
                        prop_assert!(error <= bound * want.abs().max(1e-30), "{}({x}) = {got} for {want}", op.name());
                    }
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn comparisons_and_selects(n in 1usize..400, seed: u64) {
        let a: Vec<f32> = floats(n, seed).iter().map(|x| (x * 4.0).round()).collect();
        let b: Vec<f32> = floats(n, seed ^ 1).iter().map(|x| (x * 4.0).round()).collect();
        for op in Compare::ALL {
            let holds = |a: f32, b: f32| u8::from(match op {
                Compare::Eq => a == b,
                Compare::Ne => a != b,
                Compare::Lt => a < b,
                Compare::Le => a <= b,
                Compare::Gt => a > b,
                Compare::Ge => a >= b,
            });
            let want: Vec<u8> = a.iter().zip(&b).map(|(a, b)| holds(*a, *b)).collect();
            prop_assert_eq!(&apply(compare(op, DType::F32), &a, &b, 9u8), &want);
            let scalar: Vec<u8> = a.iter().map(|a| holds(*a, b[0])).collect();
            prop_assert_eq!(apply(compare_with(op, DType::F32, [false, true]), &a, &b[..1], 9u8), scalar);
            let selected = guarded(n, 7.0f32, |out| {
                let (c, x, y) = (want.as_ptr(), bytes(&a).as_ptr(), bytes(&b).as_ptr());
                // SAFETY: all operands have `n` elements.
                unsafe { select(DType::F32)(c, x, y, bytes_mut(out).as_mut_ptr(), n) }
            });
            for i in 0..n {
                prop_assert_eq!(selected[i], if want[i] != 0 { a[i] } else { b[i] });
            }
        }
    }

    #[test]
    fn conversions_truncate_and_round(n in 0usize..300, seed: u64, scale in 0u32..40) {
        let x: Vec<f32> = floats(n, seed).iter().map(|x| x * (1u64 << scale) as f32).collect();
        let run = |from: DType, to: DType, x: &[u8], out: &mut [u8]| {
            let n = x.len() / from.size();
            // SAFETY: the caller's buffers have `n` elements.
            unsafe { convert(from, to)(x.as_ptr(), out.as_mut_ptr(), n) }
        };
        let integers = guarded(n, 5i32, |out| run(DType::F32, DType::I32, bytes(&x), bytes_mut(out)));
        for (x, got) in x.iter().zip(&integers).filter(|(x, _)| x.abs() < 2e9) {
            prop_assert_eq!(*got, *x as i32);
        }
        let half = guarded(n, 5u16, |out| run(DType::F32, DType::BF16, bytes(&x), bytes_mut(out)));
        let wide = guarded(n, 5.0f32, |out| run(DType::BF16, DType::F32, bytes(&half), bytes_mut(out)));
        for (x, got) in x.iter().zip(&wide) {
            prop_assert!((got - x).abs() <= x.abs() / 256.0, "{got} for {x}");
        }
    }

    #[test]
    fn results_may_take_the_place_of_an_operand(n in 0usize..400, seed: u64) {
        let (a, b) = (floats(n, seed), floats(n, seed ^ 1));
        let mut x = a.clone();
        let kernel = binary(Binary::Mul, DType::F32).expect("a product of floats");
        // SAFETY: all have `n` elements; kernels allow the result to be an operand.
        unsafe { kernel(bytes(&x).as_ptr(), bytes(&b).as_ptr(), bytes_mut(&mut x).as_mut_ptr(), n) };
        prop_assert_eq!(x, a.iter().zip(&b).map(|(a, b)| a * b).collect::<Vec<f32>>());
    }

    #[test]
    fn random_bits_are_blocks_of_the_cipher(n in 0usize..40_000, key: [u32; 2], offset in 0u64..1000) {
        let all = on_threads(|pool| guarded(n, 3u32, |out| random_bits(pool, key, out)))?;
        for i in (0..n).step_by(n / 50 + 1) {
            prop_assert_eq!(all[i], threefry2x32(key, [0, i as u32 / 2])[i % 2]);
        }
        let first = (offset as usize).min(n);
        prop_assert_eq!(&guarded(n - first, 3, |out| fill_bits(key, first as u64, out)), &all[first..]);
    }
}
