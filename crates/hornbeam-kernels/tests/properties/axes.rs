//! Kernels along axes: reductions, cumulative and arg reductions.

use crate::{bytes, bytes_mut, cases, flat, floats, guarded, near, on_threads, positions, shape, words};
use hornbeam_kernels::dtype::{DType, Element};
use hornbeam_kernels::elementwise::{binary_with, Binary};
use hornbeam_kernels::index::argsort;
use hornbeam_kernels::reduce::{argmax, argmin, cumulative, reduce, Cumulative, Reduce};
use proptest::prelude::*;

/// Extents without `axes`.
fn without(shape: &[usize], axes: &[bool]) -> Vec<usize> {
    shape.iter().zip(axes).filter(|(_, reduced)| !**reduced).map(|(extent, _)| *extent).collect()
}

/// Signed integer with wrapping arithmetic.
trait Signed: Element + Ord {
    fn from_bits(bits: u64) -> Self;
    fn wrapping_add(self, other: Self) -> Self;
    fn wrapping_mul(self, other: Self) -> Self;
    /// Mean of `n` elements with this sum, truncated towards zero.
    fn mean(self, n: usize) -> Self;
}

macro_rules! signed {
    ($($t:ident)*) => {$(
        impl Signed for $t {
            fn from_bits(bits: u64) -> $t {
                bits as $t
            }
            fn wrapping_add(self, other: $t) -> $t {
                self.wrapping_add(other)
            }
            fn wrapping_mul(self, other: $t) -> $t {
                self.wrapping_mul(other)
            }
            fn mean(self, n: usize) -> $t {
                // As the kernel of `div`: a divisor that wraps to 0 gives 0.
                self.checked_div(n as $t).unwrap_or(if n as $t == 0 { 0 } else { $t::MIN })
            }
        }
    )*};
}

signed!(i8 i16 i32 i64);

/// Compares reductions of signed integers over the axes of `reduced` with plain loops.
fn check_signed<T: Signed>(shape: &[usize], reduced: &[bool], seed: u64) -> Result<(), TestCaseError> {
    let reduced = &reduced[..shape.len()];
    let axes: Vec<usize> = (0..shape.len()).filter(|&axis| reduced[axis]).collect();
    let kept = without(shape, reduced);
    let (n, size): (usize, usize) = (kept.iter().product(), shape.iter().product());
    let (low, high) = (words(size, seed), words(size, seed ^ 1));
    let x: Vec<T> =
        low.iter().zip(high).map(|(low, high)| T::from_bits(u64::from(*low) | u64::from(high) << 32)).collect();
    let target: Vec<usize> = positions(shape).map(|position| flat(&without(&position, reduced), &kept)).collect();
    let mut sums = vec![T::ZERO; n];
    for (op, start, fold) in [
        (Reduce::Sum, T::ZERO, T::wrapping_add as fn(T, T) -> T),
        (Reduce::Prod, T::ONE, T::wrapping_mul),
        (Reduce::Max, T::LOWEST, T::max),
        (Reduce::Min, T::HIGHEST, T::min),
    ] {
        let got = on_threads(|pool| {
            guarded(n, T::ONE, |y| reduce(pool, op, T::DTYPE, bytes(&x), shape, &axes, bytes_mut(y)))
        })?;
        let mut want = vec![start; n];
        x.iter().zip(&target).for_each(|(x, at)| want[*at] = fold(want[*at], *x));
        prop_assert_eq!(&got, &want, "{} of {}", op.name(), T::DTYPE);
        if op == Reduce::Sum {
            sums = got;
        }
    }
    // A mean is a sum divided by the number of elements.
    let count = size.checked_div(n).unwrap_or(0);
    let divide = binary_with(Binary::Div, T::DTYPE, [false, true]).expect("integers have a division");
    let divisor = T::from_bits(count as u64);
    let means = guarded(n, T::ONE, |y| {
        // SAFETY: the sums and the result have `n` elements, the divisor one.
        unsafe { divide(bytes(&sums).as_ptr(), bytes(&[divisor]).as_ptr(), bytes_mut(y).as_mut_ptr(), n) }
    });
    let want: Vec<T> = sums.iter().map(|sum| sum.mean(count)).collect();
    prop_assert_eq!(means, want, "mean of {}", T::DTYPE);
    Ok(())
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn reductions_agree_with_plain_loops(shape in shape(), reduced: [bool; 4], seed: u64) {
        let reduced = &reduced[..shape.len()];
        let axes: Vec<usize> = (0..shape.len()).filter(|&axis| reduced[axis]).collect();
        let kept = without(&shape, reduced);
        let (n, size) = (kept.iter().product(), shape.iter().product());
        let (x, i) = (floats(size, seed), words(size, seed));
        let target: Vec<usize> = positions(&shape).map(|position| flat(&without(&position, reduced), &kept)).collect();
        let sums = on_threads(|pool| guarded(n, 9.0f32, |y| {
            reduce(pool, Reduce::Sum, DType::F32, bytes(&x), &shape, &axes, bytes_mut(y))
        }))?;
        let mut want = vec![0.0; n];
        x.iter().zip(&target).for_each(|(x, at)| want[*at] += f64::from(*x));
        near(&sums, &want, 1e-4)?;
        for (op, start, fold) in [
            (Reduce::Sum, 0, u32::wrapping_add as fn(u32, u32) -> u32),
            (Reduce::Prod, 1, u32::wrapping_mul),
            (Reduce::Max, 0, u32::max),
            (Reduce::Min, u32::MAX, u32::min),
            (Reduce::And, u32::MAX, |a, b| a & b),
            (Reduce::Or, 0, |a, b| a | b),
        ] {
            let got = on_threads(|pool| guarded(n, 9u32, |y| {
                reduce(pool, op, DType::U32, bytes(&i), &shape, &axes, bytes_mut(y))
            }))?;
            let mut want = vec![start; n];
            i.iter().zip(&target).for_each(|(i, at)| want[*at] = fold(want[*at], *i));
            prop_assert_eq!(got, want, "{}", op.name());
        }
    }

    #[test]
    fn reductions_of_signed_integers_agree_with_plain_loops(shape in shape(), reduced: [bool; 4], seed: u64) {
        check_signed::<i8>(&shape, &reduced, seed)?;
        check_signed::<i16>(&shape, &reduced, seed)?;
        check_signed::<i32>(&shape, &reduced, seed)?;
        check_signed::<i64>(&shape, &reduced, seed)?;
    }

    #[test]
    fn runs_and_places_of_extrema(shape in shape(), axis in 0usize..4, reverse: bool, seed: u64) {
        let axis = axis % shape.len();
        let (inner, n): (usize, usize) = (shape[axis + 1..].iter().product(), shape[axis]);
        let size: usize = shape.iter().product();
        // Few distinct values, so that elements tie.
        let x: Vec<i32> = words(size, seed).iter().map(|w| (w % 7) as i32 - 3).collect();
        let line = |start: usize| (0..n).map(move |k| start + k * inner);
        let starts = (0..size).filter(|i| i / inner.max(1) % n.max(1) == 0);
        let run = |op| on_threads(|pool| guarded(size, 9i32, |y| {
            cumulative(pool, op, DType::I32, bytes(&x), &shape, axis, reverse, bytes_mut(y))
        }));
        let (sums, maxima) = (run(Cumulative::Sum)?, run(Cumulative::Max)?);
        let order = on_threads(|pool| guarded(size, -1, |y| argsort(pool, DType::I32, bytes(&x), &shape, axis, y)))?;
        for start in starts.clone() {
            let mut indices: Vec<usize> = line(start).collect();
            let mut sorted: Vec<usize> = (0..n).collect();
            sorted.sort_by_key(|&k| x[indices[k]]);
            prop_assert!(indices.iter().zip(&sorted).all(|(&at, &k)| order[at] == k as i32), "not sorted");
            if reverse {
                indices.reverse();
            }
            let (mut sum, mut top) = (0i32, i32::MIN);
            for at in indices {
                (sum, top) = (sum + x[at], top.max(x[at]));
                prop_assert_eq!((sums[at], maxima[at]), (sum, top));
            }
        }
        if n > 0 {
            let find = |kernel: fn(&_, DType, &[u8], &[usize], usize, &mut [i32])| {
                on_threads(|pool| guarded(size / n, -1, |y| kernel(pool, DType::I32, bytes(&x), &shape, axis, y)))
            };
            let (high, low) = (find(argmax)?, find(argmin)?);
            for (to, start) in starts.enumerate() {
                let values: Vec<i32> = line(start).map(|at| x[at]).collect();
                let first = |best: Option<&i32>| values.iter().position(|v| Some(v) == best).map(|k| k as i32);
                prop_assert_eq!(Some(high[to]), first(values.iter().max()));
                prop_assert_eq!(Some(low[to]), first(values.iter().min()));
            }
        }
    }
}
