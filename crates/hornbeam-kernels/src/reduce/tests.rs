//! Comparison of reductions with plain f64 loops, for every dtype, instruction set and number of threads.

use super::*;
use crate::simd::on_each_isa;
use crate::testing::Random;

fn bytes<T: Element>(values: &[T]) -> &[u8] {
    // SAFETY: elements are plain data without padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Flat index of the result for every element of the operand.
fn targets(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    (0..shape.iter().product())
        .map(|mut flat: usize| {
            let (mut target, mut scale) = (0, 1);
            for axis in (0..shape.len()).rev() {
                if !axes.contains(&axis) {
                    target += flat % shape[axis] * scale;
                    scale *= shape[axis];
                }
                flat /= shape[axis];
            }
            target
        })
        .collect()
}

fn combine(op: Reduce, a: f64, b: f64) -> f64 {
    match op {
        Reduce::Sum => a + b,
        Reduce::Prod => a * b,
        Reduce::Max => {
            if a.is_nan() || a > b {
                a
            } else {
                b
            }
        }
        Reduce::Min => {
            if a.is_nan() || a < b {
                a
            } else {
                b
            }
        }
        Reduce::And => ((a as i64) & (b as i64)) as f64,
        Reduce::Or => ((a as i64) | (b as i64)) as f64,
    }
}

fn check<T: Element>(op: Reduce, shape: &[usize], axes: &[usize]) {
    let n = shape.iter().product();
    let mut x: Vec<T> = Random::new(n as u64 + 3).values(n);
    if op == Reduce::Prod {
        x = x
            .iter()
            .map(|v| T::from_f64(if T::DTYPE.is_float() { 1.0 + v.to_f64() / 1024.0 } else { v.to_f64() % 2.0 + 1.0 }))
            .collect();
        x = if T::DTYPE.is_int() { vec![T::ONE; n] } else { x };
    }
    if matches!(op, Reduce::Max | Reduce::Min) && T::DTYPE.is_float() && n > 9 {
        x[n / 3] = T::from_f64(f64::NAN);
    }
    let kept = (0..shape.len()).filter(|a| !axes.contains(a)).map(|a| shape[a]).product();
    let mut want: Vec<Option<f64>> = vec![None; kept];
    let mut size = vec![0.0f64; kept];
    for (x, target) in x.iter().zip(targets(shape, axes)) {
        size[target] += x.to_f64().abs();
        want[target] = Some(want[target].map_or(x.to_f64(), |sum| combine(op, sum, x.to_f64())));
    }
    let mut first: Option<Vec<T>> = None;
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        let mut y = vec![T::ZERO; kept];
        reduce(&pool, op, T::DTYPE, bytes(&x), shape, axes, typed_mut(bytes_mut(&mut y)));
        for i in 0..kept {
            let (got, want) = (y[i].to_f64(), want[i]);
            let want = want.unwrap_or_else(|| y[i].to_f64());
            let unit = match T::DTYPE {
                DType::F64 => 1e-14,
                DType::F32 => 1e-6,
                DType::F16 => 1e-3,
                DType::BF16 => 8e-3,
                _ => 0.0,
            };
            let slack = match op {
                Reduce::Sum => unit * (want.abs() + size[i] * if unit > 1e-5 { 1e-3 } else { 1.0 }),
                Reduce::Prod => want.abs() * unit * 30.0,
                _ => 0.0,
            };
            let modulus = if T::DTYPE.is_int() { 2f64.powi(8 * size_of::<T>() as i32) } else { f64::INFINITY };
            let close = (got - want).abs() <= slack || (modulus.is_finite() && (got - want).rem_euclid(modulus) == 0.0);
            assert!(
                close || (got.is_nan() && want.is_nan()),
                "{op:?} {} {shape:?} {axes:?}: {got}, not {want}",
                T::DTYPE
            );
        }
        match &first {
            None => first = Some(y),
            Some(first) => assert!(bytes(first) == bytes(&y), "threads change {op:?} {shape:?}"),
        }
    }
}

fn bytes_mut<T: Element>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: elements are plain data without padding, and any bytes are elements.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

#[test]
fn every_reduction_on_every_dtype_and_instruction_set() {
    on_each_isa(|_| {
        for dtype in DType::ALL {
            for op in Reduce::ALL.into_iter().filter(|op| op.supports(dtype)) {
                for (shape, axes) in [
                    (vec![7], vec![0]),
                    (vec![1000], vec![0]),
                    (vec![9001], vec![0]),
                    (vec![6, 10], vec![1]),
                    (vec![5, 130], vec![1]),
                    (vec![333, 10], vec![0]),
                    (vec![100, 64], vec![0]),
                    (vec![4, 9, 7], vec![1]),
                    (vec![4, 9, 7], vec![0, 2]),
                    (vec![3, 4, 5, 6], vec![0, 2]),
                    (vec![3, 4, 5, 6], vec![1, 3]),
                    (vec![3, 1, 5], vec![]),
                    (vec![3, 1, 5], vec![1]),
                    (vec![2, 3], vec![0, 1]),
                ] {
                    dispatch!(dtype, T => check::<T>(op, &shape, &axes));
                }
            }
        }
    });
}

#[test]
fn chunks_of_large_reductions_do_not_depend_on_threads() {
    for (shape, axes) in [
        (vec![300_001], vec![0]),
        (vec![3, 140_000], vec![1]),
        (vec![20_000, 64], vec![0]),
        (vec![70_000, 3], vec![0]),
        (vec![200, 3000], vec![0]),
        (vec![40, 12, 12, 64], vec![0, 1, 2]),
        (vec![40, 16, 300], vec![0, 2]),
        (vec![3000, 2, 50], vec![1]),
    ] {
        check::<f32>(Reduce::Sum, &shape, &axes);
        check::<half::f16>(Reduce::Sum, &shape, &axes);
        check::<f32>(Reduce::Max, &shape, &axes);
    }
}

#[test]
fn extrema_see_nan_and_infinities_in_any_place() {
    let pool = ThreadPool::new(1);
    let extremum = |op: Reduce, values: &mut dyn Iterator<Item = f32>| {
        values.reduce(|a, b| combine(op, f64::from(a), f64::from(b)) as f32).expect("a value")
    };
    on_each_isa(|_| {
        for (rows, columns) in [(3, 40), (5, 1100), (19, 130), (16, 64), (40, 3)] {
            let n = rows * columns;
            let finite: Vec<f32> = Random::new(n as u64).values(n);
            // Infinities of both signs add up to NaN, too.
            for special in [vec![], vec![f32::INFINITY], vec![f32::INFINITY, f32::NEG_INFINITY], vec![f32::NAN]] {
                for place in [0, columns - 1, n / 2, n - 2] {
                    let mut x = finite.clone();
                    x[place..].iter_mut().zip(&special).for_each(|(x, special)| *x = *special);
                    for op in [Reduce::Max, Reduce::Min] {
                        let (mut of_rows, mut of_columns) = (vec![0.0f32; rows], vec![0.0f32; columns]);
                        reduce(&pool, op, DType::F32, bytes(&x), &[rows, columns], &[1], bytes_mut(&mut of_rows));
                        reduce(&pool, op, DType::F32, bytes(&x), &[rows, columns], &[0], bytes_mut(&mut of_columns));
                        let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
                        for (row, y) in x.chunks(columns).zip(of_rows) {
                            assert!(same(y, extremum(op, &mut row.iter().copied())), "{op:?} {special:?} {place}");
                        }
                        for (j, y) in of_columns.into_iter().enumerate() {
                            let mut column = x.iter().skip(j).step_by(columns).copied();
                            assert!(same(y, extremum(op, &mut column)), "{op:?} {special:?} {place} column {j}");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn empty_reductions_give_the_identity() {
    let pool = ThreadPool::new(1);
    let mut y = [9.0f32; 3];
    reduce(&pool, Reduce::Sum, DType::F32, &[], &[3, 0], &[1], bytes_mut(&mut y));
    assert_eq!(y, [0.0; 3]);
    reduce(&pool, Reduce::Max, DType::F32, &[], &[0, 3], &[0], bytes_mut(&mut y));
    assert_eq!(y, [f32::NEG_INFINITY; 3]);
}

#[test]
fn long_sums_are_accurate() {
    let x = vec![0.1f32; 10_000_000];
    let mut y = [0.0f32];
    reduce(&ThreadPool::new(2), Reduce::Sum, DType::F32, bytes(&x), &[x.len()], &[0], bytes_mut(&mut y));
    assert!((f64::from(y[0]) / (f64::from(0.1f32) * 1e7) - 1.0).abs() < 2e-7, "{}", y[0]);
}

fn check_arg<T: Element>(shape: &[usize], axis: usize) {
    let n: usize = shape.iter().product();
    let mut x: Vec<T> = Random::new(n as u64).values(n);
    if T::DTYPE.is_float() && n > 20 {
        x[n / 2] = T::from_f64(f64::NAN);
        x[n / 2 + 7] = T::from_f64(f64::NAN);
    }
    let (extent, inner): (usize, usize) = (shape[axis], shape[axis + 1..].iter().product());
    for threads in [1, 3] {
        let pool = ThreadPool::new(threads);
        let (mut greatest, mut least) = (vec![-1; n / extent], vec![-1; n / extent]);
        argmax(&pool, T::DTYPE, bytes(&x), shape, axis, &mut greatest);
        argmin(&pool, T::DTYPE, bytes(&x), shape, axis, &mut least);
        for i in 0..n / extent {
            let at = |k: usize| x[(i / inner * extent + k) * inner + i % inner].to_f64();
            let pick = |better: &dyn Fn(f64, f64) -> bool| {
                (1..extent).fold(0, |best, k| {
                    let wins = better(at(k), at(best)) || (at(k).is_nan() && !at(best).is_nan());
                    if wins {
                        k
                    } else {
                        best
                    }
                })
            };
            assert_eq!(greatest[i] as usize, pick(&|a, b| a > b), "{shape:?} {axis} {i}");
            assert_eq!(least[i] as usize, pick(&|a, b| a < b));
        }
    }
}

#[test]
fn arg_reductions_return_the_first_extremum() {
    on_each_isa(|_| {
        for dtype in DType::ALL {
            for (shape, axis) in
                [(vec![5], 0), (vec![300], 0), (vec![7, 10], 1), (vec![40, 100], 0), (vec![3, 33, 70], 1)]
            {
                dispatch!(dtype, T => check_arg::<T>(&shape, axis));
            }
        }
    });
    check_arg::<f32>(&[3, 50, 2000], 1);
    check_arg::<f32>(&[2, 100_000], 1);
}

#[test]
fn running_reductions() {
    for (shape, axis) in [(vec![6], 0), (vec![300], 0), (vec![4, 100], 1), (vec![50, 130], 0), (vec![3, 9, 5], 1)] {
        for op in Cumulative::ALL {
            for reverse in [false, true] {
                let n: usize = shape.iter().product();
                let mut x: Vec<f32> = Random::new(n as u64).values(n);
                x.iter_mut().for_each(|x| *x += 1.5);
                if n > 200 {
                    x[77] = f32::NAN;
                }
                let mut y = vec![0f32; n];
                cumulative(&ThreadPool::new(2), op, DType::F32, bytes(&x), &shape, axis, reverse, bytes_mut(&mut y));
                let (extent, inner): (usize, usize) = (shape[axis], shape[axis + 1..].iter().product());
                for i in 0..n / extent {
                    let at =
                        |k: usize| (i / inner * extent + if reverse { extent - 1 - k } else { k }) * inner + i % inner;
                    let mut sum = None;
                    for k in 0..extent {
                        let x = f64::from(x[at(k)]);
                        let fold = [Reduce::Sum, Reduce::Prod, Reduce::Max, Reduce::Min][op as usize];
                        let next = sum.map_or(x, |sum| combine(fold, sum, x));
                        sum = Some(next);
                        let got = f64::from(y[at(k)]);
                        let close = (got - next).abs() <= 3e-5 * next.abs() || got == next as f32 as f64;
                        assert!(close || (got.is_nan() && next.is_nan()), "{op:?} {shape:?} {reverse} {got} {next}");
                    }
                }
            }
        }
    }
    let x: Vec<half::f16> = vec![half::f16::from_f32_const(0.1); 4000];
    let mut y = x.clone();
    cumulative(&ThreadPool::new(1), Cumulative::Sum, DType::F16, bytes(&x), &[4000], 0, false, bytes_mut(&mut y));
    assert!((y[3999].to_acc() - 400.0).abs() < 0.5, "carried in f32, {}", y[3999]);
}
