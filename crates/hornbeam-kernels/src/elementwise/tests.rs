//! Comparison of every kernel with its scalar function, for every dtype, instruction set and representative length.

use super::*;
use crate::dispatch;
use crate::dtype::{bf16, f16, DType, Element};
use crate::math::{gelu_derivative, gelu_tanh_derivative, silu_derivative};
use crate::simd::{on_each_isa, with_isa, Isa, Portable};

mod chain;

/// Ordinary and special values, as bytes of `dtype`.
fn samples(dtype: DType, n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    dispatch!(dtype, T => {
        let special = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -2.5, 7.0, 33.0, -128.0, 1e5, -3e9, f64::NAN, f64::INFINITY, -1e300];
        (0..n)
            .flat_map(|i| {
                let draw = next();
                let value = if i % 3 == 0 { special[draw as usize % special.len()] } else { draw as f64 / 1e8 - 10.0 };
                bytes(&[T::from_f64(value)])
            })
            .collect()
    })
}

fn bytes<T: Element>(values: &[T]) -> Vec<u8> {
    // SAFETY: elements are plain data without padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }.to_vec()
}

fn values(dtype: DType, data: &[u8]) -> Vec<f64> {
    dispatch!(dtype, T => {
        data.chunks_exact(size_of::<T>())
            // SAFETY: the chunk is as long as an element, and every bit pattern is one.
            .map(|c| unsafe { std::ptr::read_unaligned(c.as_ptr().cast::<T>()) }.to_f64())
            .collect()
    })
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// Canonicalises every NaN, whose sign depends on the instructions that the compiler selects.
fn canonical(dtype: DType, bytes: &[u8]) -> Vec<u8> {
    let (exponent, fraction) = match dtype {
        DType::F16 => (0x7c00, 0x03ff),
        DType::BF16 => (0x7f80, 0x007f),
        DType::F32 => (0x7f80_0000, 0x007f_ffff),
        DType::F64 => (0x7ff0_0000_0000_0000, 0x000f_ffff_ffff_ffff),
        _ => return bytes.to_vec(),
    };
    let mut canonical = bytes.to_vec();
    for value in canonical.chunks_exact_mut(dtype.size()) {
        let bits = value.iter().rev().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        if bits & exponent == exponent && bits & fraction != 0 {
            value.fill(0xff);
        }
    }
    canonical
}

const LENGTHS: [usize; 6] = [0, 1, 63, 64, 65, 300];

#[test]
fn names_parse_to_their_operation() {
    assert_eq!(Unary::parse("exp"), Some(Unary::Exp));
    assert_eq!(Binary::parse("shift_left"), Some(Binary::ShiftLeft));
    assert_eq!(Compare::parse("ge"), Some(Compare::Ge));
    assert_eq!(Unary::parse("expo"), None);
}

#[test]
fn unary_blocks_tails_and_in_place_agree_with_single_elements_on_every_instruction_set() {
    on_each_isa(|isa| {
        for dtype in DType::ALL {
            for op in Unary::ALL {
                let Some(f) = unary(op, dtype) else { continue };
                let (size, out) = (dtype.size(), op.output(dtype).size());
                for n in LENGTHS {
                    let x = samples(dtype, n, n as u64 + 7);
                    let mut blocks = vec![0xa5u8; n * out + 8];
                    let mut single = vec![0xa5u8; n * out + 8];
                    // SAFETY: both vectors hold n elements.
                    unsafe { f(x.as_ptr(), blocks.as_mut_ptr(), n) };
                    for i in 0..n {
                        // SAFETY: element i is in bounds of both.
                        unsafe { f(x[i * size..].as_ptr(), single[i * out..].as_mut_ptr(), 1) };
                    }
                    let bits = |bytes: &[u8]| canonical(op.output(dtype), bytes);
                    assert_eq!(bits(&single), bits(&blocks), "{op:?} {dtype} {n} {isa:?}");
                    assert!(blocks[n * out..].iter().all(|b| *b == 0xa5), "wrote out of bounds");
                    if size == out {
                        let mut in_place = x.clone();
                        // SAFETY: working in place is allowed for equal sizes.
                        unsafe { f(in_place.as_ptr(), in_place.as_mut_ptr(), n) };
                        assert_eq!(bits(&in_place), bits(&blocks[..n * out]), "{op:?} {dtype} {n} {isa:?} in place");
                    }
                }
            }
        }
    });
}

/// Definition of each binary operation, in f64 or i128.
fn reference(op: Binary, dtype: DType, a: f64, b: f64) -> f64 {
    if dtype.is_float() {
        return match op {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Rem => a % b,
            Binary::Pow => a.powf(b),
            Binary::Atan2 => a.atan2(b),
            Binary::Max if a.is_nan() || b.is_nan() => f64::NAN,
            Binary::Min if a.is_nan() || b.is_nan() => f64::NAN,
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
            Binary::GeluVjp => b * gelu_derivative::<Portable, f64>(a),
            Binary::GeluTanhVjp => b * gelu_tanh_derivative::<Portable, f64>(a),
            Binary::SiluVjp => b * silu_derivative::<Portable, f64>(a),
            _ => unreachable!("not defined on floats"),
        };
    }
    let (x, y) = (a as i128, b as i128);
    let bits = if dtype == DType::Bool { 1 } else { dtype.size() as i128 * 8 };
    let exact = match op {
        Binary::Add if dtype == DType::Bool => x | y,
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x.checked_div(y).unwrap_or(0),
        Binary::Rem => x.checked_rem(y).unwrap_or(0),
        Binary::Pow if y >= 0 => x.wrapping_pow(y as u32),
        Binary::Pow => [0, x, 1][usize::from(x.abs() == 1) * (1 + usize::from(y % 2 == 0))],
        Binary::Max => x.max(y),
        Binary::Min => x.min(y),
        Binary::And => x & y,
        Binary::Or => x | y,
        Binary::Xor => x ^ y,
        Binary::ShiftLeft => {
            if (0..bits).contains(&y) {
                x << y
            } else {
                0
            }
        }
        Binary::ShiftRight => x >> if (0..bits).contains(&y) { y } else { 127 },
        Binary::Atan2 | Binary::GeluVjp | Binary::GeluTanhVjp | Binary::SiluVjp => {
            unreachable!("not defined on integers")
        }
    };
    // Wrap to the width.
    let modulus = 1i128 << bits;
    let wrapped = exact.rem_euclid(modulus);
    (if dtype.is_signed_int() && wrapped >= modulus / 2 { wrapped - modulus } else { wrapped }) as f64
}

#[test]
fn binary_agrees_with_its_definition_for_arrays_and_scalars_on_every_instruction_set() {
    on_each_isa(|_| {
        for dtype in DType::ALL {
            for op in Binary::ALL {
                for scalars in [[false, false], [true, false], [false, true], [true, true]] {
                    let Some(f) = binary_with(op, dtype, scalars) else { continue };
                    for n in LENGTHS {
                        check_binary(f, op, dtype, scalars, n);
                    }
                }
            }
        }
    });
}

fn check_binary(f: BinaryFn, op: Binary, dtype: DType, scalars: [bool; 2], n: usize) {
    let wide = n.max(1);
    let (mut a, mut b) = (samples(dtype, wide, n as u64 + 1), samples(dtype, wide, n as u64 + 2));
    if dtype.size() == 8 && dtype.is_int() {
        // 64-bit values beyond 2^53 have no exact f64 for the reference to work with.
        dispatch!(int, dtype, T => {
            for side in [&mut a, &mut b] {
                let small: Vec<T> = values(dtype, side).iter().map(|v| T::from_f64(v % 100.0)).collect();
                *side = bytes(&small);
            }
        }, else ());
    }
    let mut got = vec![0u8; n * dtype.size()];
    // SAFETY: the operands hold n elements, or one where they are scalars.
    unsafe { f(a.as_ptr(), b.as_ptr(), got.as_mut_ptr(), n) };
    let (x, y, z) = (values(dtype, &a), values(dtype, &b), values(dtype, &got));
    for i in 0..n {
        let (x, y) = (if scalars[0] { x[0] } else { x[i] }, if scalars[1] { y[0] } else { y[i] });
        if matches!(op, Binary::GeluVjp | Binary::GeluTanhVjp | Binary::SiluVjp) && !y.is_finite() {
            continue; // infinity times a derivative that rounds to 0
        }
        let exact = reference(op, dtype, x, y);
        if dtype.is_int() && exact.abs() >= 9e15 {
            continue; // the reference is not exact here
        }
        let want = dispatch!(dtype, T => T::from_f64(exact).to_f64());
        let unit =
            [(DType::F16, 1e-3), (DType::BF16, 8e-3)].iter().find(|(d, _)| *d == dtype).map_or(2e-7, |(_, u)| *u);
        let slack = match op {
            _ if !dtype.is_float() || !want.is_finite() => 0.0,
            Binary::Pow | Binary::Atan2 => want.abs() * unit + 1e-45,
            // The derivative is a sum whose terms are about 1.
            Binary::GeluVjp | Binary::GeluTanhVjp | Binary::SiluVjp => want.abs() * unit + y.abs() * 1e-6 + 1e-45,
            _ => 0.0,
        };
        assert!(same(z[i], want) || (z[i] - want).abs() <= slack, "{op:?} {dtype} ({x}, {y}) = {}, not {want}", z[i]);
    }
}

#[test]
fn comparisons_and_select_agree_with_their_definition() {
    on_each_isa(|_| {
        for dtype in DType::ALL {
            for n in LENGTHS {
                check_comparisons(dtype, n);
            }
        }
    });
}

fn check_comparisons(dtype: DType, n: usize) {
    let (a, b) = (samples(dtype, n.max(1), 3), samples(dtype, n.max(1), 4));
    let (x, y) = (values(dtype, &a), values(dtype, &b));
    let size = dtype.size();
    for scalars in [[false, false], [true, false], [false, true], [true, true]] {
        let at = |i: usize| (if scalars[0] { 0 } else { i }, if scalars[1] { 0 } else { i });
        let mut flags = vec![9u8; n];
        for op in Compare::ALL {
            // SAFETY: the operands hold n elements, or one where they are scalars.
            unsafe { compare_with(op, dtype, scalars)(a.as_ptr(), b.as_ptr(), flags.as_mut_ptr(), n) };
            for i in 0..n {
                let (x, y) = (x[at(i).0], y[at(i).1]);
                let want = match op {
                    Compare::Eq => x == y,
                    Compare::Ne => x != y,
                    Compare::Lt => x < y,
                    Compare::Le => x <= y,
                    Compare::Gt => x > y,
                    Compare::Ge => x >= y,
                };
                assert_eq!(flags[i], u8::from(want), "{op:?} {dtype} {x} {y}");
            }
        }
        let mut got = vec![0u8; n * size];
        // SAFETY: as above.
        unsafe { select_with(dtype, scalars)(flags.as_ptr(), a.as_ptr(), b.as_ptr(), got.as_mut_ptr(), n) };
        for i in 0..n {
            let want = if flags[i] != 0 { &a[at(i).0 * size..][..size] } else { &b[at(i).1 * size..][..size] };
            assert_eq!(&got[i * size..][..size], want);
        }
    }
}

#[test]
fn conversions_agree_with_their_definition() {
    on_each_isa(|_| {
        for from in DType::ALL {
            for to in DType::ALL {
                check_conversion(from, to);
            }
        }
    });
}

fn check_conversion(from: DType, to: DType) {
    let n = 333;
    let a = samples(from, n, 11);
    let mut got = vec![0u8; n * to.size()];
    // SAFETY: both hold n elements.
    unsafe { convert(from, to)(a.as_ptr(), got.as_mut_ptr(), n) };
    let (x, y) = (values(from, &a), values(to, &got));
    for i in 0..n {
        let wide = match (from.is_float(), to) {
            (_, DType::Bool) => f64::from(x[i] != 0.0),
            (true, DType::BF16) => f64::from(x[i] as f32),
            (true, _) => x[i],
            (false, DType::F16 | DType::BF16) => f64::from(x[i] as f32),
            (false, _) if to.is_float() => x[i],
            // Integers wrap. Beyond 2^53 the reference is not exact, but such samples are multiples of 2^11 or end in ones.
            (false, _) => {
                let exact = dispatch!(from, T => bytes_to_int::<T>(&a[i * from.size()..]));
                dispatch!(int, to, T => wrap::<T>(exact), else unreachable!("the other targets are handled above"))
            }
        };
        let want = dispatch!(to, T => T::from_f64(wide).to_f64());
        assert!(same(y[i], want), "{from} {} -> {to} {}, not {want}", x[i], y[i]);
    }
}

fn bytes_to_int<T: Element>(data: &[u8]) -> i128 {
    let mut wide = [0u8; 16];
    wide[..size_of::<T>()].copy_from_slice(&data[..size_of::<T>()]);
    let bits = size_of::<T>() as u32 * 8;
    let value = i128::from_le_bytes(wide);
    if T::DTYPE.is_signed_int() {
        value << (128 - bits) >> (128 - bits)
    } else {
        value
    }
}

fn wrap<T: Element>(value: i128) -> f64 {
    let bits = size_of::<T>() as u32 * 8;
    let low = value & ((1i128 << bits) - 1);
    (if T::DTYPE.is_signed_int() { low << (128 - bits) >> (128 - bits) } else { low }) as f64
}

#[test]
fn sixteen_bit_conversions_round_once() {
    // 1 + 2^-11 + 2^-40 lies just above a tie; through f32 it would become the tie and round down.
    let x = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
    let mut y = f16::ZERO;
    // SAFETY: one element each.
    unsafe { convert(DType::F64, DType::F16)(std::ptr::from_ref(&x).cast(), std::ptr::from_mut(&mut y).cast(), 1) };
    assert_eq!(y, f16::from_f64_const(x));
    let (x, mut y) = (bf16::from_f32_const(1.5), 0u16);
    let cast = bitcast(DType::BF16, DType::U16).expect("equal sizes");
    // SAFETY: one element each.
    unsafe { cast(std::ptr::from_ref(&x).cast(), std::ptr::from_mut(&mut y).cast(), 1) };
    assert_eq!(y, 0x3fc0);
    assert!(bitcast(DType::F32, DType::F64).is_none());
}

#[test]
fn far_arguments_of_sine_are_reduced_exactly() {
    let x: Vec<f32> = (0..130).map(|i| 1e6 + i as f32 * 1.7e5 * (i % 7) as f32).collect();
    let mut y = vec![0f32; x.len()];
    let f = unary(Unary::Sin, DType::F32).expect("defined");
    // SAFETY: equal lengths.
    unsafe { f(x.as_ptr().cast(), y.as_mut_ptr().cast(), x.len()) };
    for (x, y) in x.iter().zip(&y) {
        assert!((f64::from(*y) - f64::from(*x).sin()).abs() < 1e-7, "sin({x}) = {y}");
    }
}

#[test]
fn the_instruction_sets_with_fused_multiply_add_agree_bit_by_bit() {
    let x = samples(DType::F32, 5000, 5);
    let run = |isa, op| {
        with_isa(isa, || {
            let mut y = vec![0u8; x.len()];
            // SAFETY: equal lengths.
            unsafe { unary(op, DType::F32).expect("defined")(x.as_ptr(), y.as_mut_ptr(), 5000) };
            y
        })
    };
    let fused: Vec<Isa> = Isa::available().into_iter().filter(|isa| *isa != Isa::Portable).collect();
    for &op in Unary::ALL.iter().filter(|op| unary(**op, DType::F32).is_some()) {
        for pair in fused.windows(2) {
            assert!(
                values(DType::F32, &run(pair[0], op))
                    .iter()
                    .zip(values(DType::F32, &run(pair[1], op)))
                    .all(|(a, b)| same(*a, b)),
                "{op:?}"
            );
        }
    }
}

#[test]
fn operations_on_every_bfloat16_round_to_nearest_even() {
    let x: Vec<u16> = (0..=u16::MAX).collect();
    let y: Vec<u16> = x.iter().map(|bits| bits.rotate_left(5) ^ 0x3f80).collect();
    let round = |value: f32| bf16::from_f32_const(value);
    let wide = |bits: u16| bf16::from_bits(bits).to_f32_const();
    let exact = |op: Binary, a: f32, b: f32| match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        _ => a / b,
    };
    for isa in Isa::available() {
        for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
            let mut z = vec![0u16; x.len()];
            let f = with_isa(isa, || binary(op, DType::BF16).expect("defined"));
            // SAFETY: equal lengths.
            unsafe { f(x.as_ptr().cast(), y.as_ptr().cast(), z.as_mut_ptr().cast(), x.len()) };
            for ((&x, &y), &z) in x.iter().zip(&y).zip(&z) {
                let (z, want) = (bf16::from_bits(z), round(exact(op, wide(x), wide(y))));
                let equal = z.to_bits() == want.to_bits() || (z.is_nan() && want.is_nan());
                assert!(equal, "{isa:?} {op:?}({x:x}, {y:x}): {z} instead of {want}");
            }
        }
    }
}
