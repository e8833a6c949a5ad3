//! Sums over rows. They use interleaved partial sums that are added in order, the same on every machine.

use crate::math::{fold, Real};

/// Interleaved partial sums of short rows.
const PARTIALS: usize = 16;
/// Interleaved partial sums of rows of at least as many elements: four AVX-512 registers, whose additions overlap. A shorter
/// loop over them is unrolled by LLVM before it is vectorised, and then may stay scalar.
pub(crate) const WIDE: usize = 64;

/// Sums `f` of the elements at each position of slices that are at least as long as the first.
#[inline(always)]
pub(crate) fn sum<const K: usize, T: Copy, A: Real>(slices: [&[T]; K], f: impl Fn([T; K]) -> A) -> A {
    let [sum] = sums(slices, [], |values, []| [f(values)]);
    sum
}

/// Sums several functions at once, also of elements of `weights`; see [`sum`].
#[inline(always)]
pub(crate) fn sums<const K: usize, const L: usize, const M: usize, T: Copy, A: Real>(
    slices: [&[T]; K],
    weights: [&[A]; L],
    f: impl Fn([T; K], [A; L]) -> [A; M],
) -> [A; M] {
    let n = slices[0].len();
    let (slices, weights) = (slices.map(|slice| &slice[..n]), weights.map(|slice| &slice[..n]));
    if n < WIDE {
        return sums_of_few(slices, weights, f);
    }
    let mut parts = [[A::ZERO; WIDE]; M];
    for start in (0..n / WIDE * WIDE).step_by(WIDE) {
        // Blocks of known length, so that the loop over them becomes vector instructions without checks.
        let blocks: [&[T; WIDE]; K] = slices.map(|slice| block(slice, start));
        let of_weights: [&[A; WIDE]; L] = weights.map(|slice| block(slice, start));
        for j in 0..WIDE {
            let terms = f(blocks.map(|block| block[j]), of_weights.map(|block| block[j]));
            for (part, term) in parts.iter_mut().zip(terms) {
                part[j] = part[j] + term;
            }
        }
    }
    let counted = WIDE - n % WIDE;
    if counted < WIDE {
        // The last block overlaps the one before.
        let blocks: [&[T; WIDE]; K] = slices.map(|slice| block(slice, n - WIDE));
        let of_weights: [&[A; WIDE]; L] = weights.map(|slice| block(slice, n - WIDE));
        for j in 0..WIDE {
            let terms = f(blocks.map(|block| block[j]), of_weights.map(|block| block[j]));
            for (part, term) in parts.iter_mut().zip(terms) {
                part[j] = part[j] + if j < counted { A::ZERO } else { term };
            }
        }
    }
    totals(parts, total)
}

/// Returns the block of `P` elements from `start` on.
#[inline(always)]
pub(crate) fn block<T, const P: usize>(slice: &[T], start: usize) -> &[T; P] {
    slice[start..start + P].try_into().expect("a block has its length")
}

/// Computes [`sums`] of short rows.
#[inline(always)]
fn sums_of_few<const K: usize, const L: usize, const M: usize, T: Copy, A: Real>(
    slices: [&[T]; K],
    weights: [&[A]; L],
    f: impl Fn([T; K], [A; L]) -> [A; M],
) -> [A; M] {
    let n = slices[0].len();
    let full = n / PARTIALS * PARTIALS;
    let mut parts = [[A::ZERO; PARTIALS]; M];
    for start in (0..full).step_by(PARTIALS) {
        let blocks: [&[T; PARTIALS]; K] = slices.map(|slice| block(slice, start));
        let of_weights: [&[A; PARTIALS]; L] = weights.map(|slice| block(slice, start));
        for j in 0..PARTIALS {
            let terms = f(blocks.map(|block| block[j]), of_weights.map(|block| block[j]));
            for (part, term) in parts.iter_mut().zip(terms) {
                part[j] = part[j] + term;
            }
        }
    }
    for j in 0..n - full {
        let terms = f(slices.map(|slice| slice[full + j]), weights.map(|slice| slice[full + j]));
        for (part, term) in parts.iter_mut().zip(terms) {
            part[j] = part[j] + term;
        }
    }
    // One by one, as the last terms were added: registers would wait for them in memory.
    totals(parts, |parts| fold(parts, |a, b| a + b))
}

/// Sums the partial sums of several functions by `total`. (`array::map` might not be inlined.)
#[inline(always)]
fn totals<const P: usize, const M: usize, A: Real>(parts: [[A; P]; M], total: impl Fn([A; P]) -> A) -> [A; M] {
    let mut totals = [A::ZERO; M];
    for (result, parts) in totals.iter_mut().zip(parts) {
        *result = total(parts);
    }
    totals
}

/// Sums partial sums in pairs.
#[inline(always)]
pub(crate) fn total<const P: usize, A: Real>(parts: [A; P]) -> A {
    A::total(parts)
}

/// Returns the largest of interleaved partial results; NaN are skipped.
#[inline(always)]
pub(crate) fn largest<const P: usize, A: Real>(parts: [A; P]) -> A {
    A::largest(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums `f` over `0..n`.
    fn sum_by<A: Real>(n: usize, f: impl Fn(usize) -> A) -> A {
        fn partial<const P: usize, A: Real>(n: usize, f: impl Fn(usize) -> A) -> A {
            let mut parts = [A::ZERO; P];
            let full = if n < WIDE { n } else { n / WIDE * WIDE };
            (0..full).for_each(|i| parts[i % P] = parts[i % P] + f(i));
            (full..n).for_each(|i| parts[P - (n - i)] = parts[P - (n - i)] + f(i));
            total(parts)
        }
        if n < WIDE {
            partial::<PARTIALS, A>(n, f)
        } else {
            partial::<WIDE, A>(n, f)
        }
    }

    #[test]
    fn all_sums_add_in_the_same_order() {
        for n in [0, 1, 15, 16, 17, 63, 64, 65, 100, 128, 1000] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..n).map(|i| (i as f32 * 0.73).cos()).collect();
            let product = sum_by(n, |i| a[i] * b[i]);
            assert_eq!(sum([&a, &b], |[a, b]| a * b), product);
            assert_eq!(sums([&a], [&b], |[a], [b]| [a * b, a]), [product, sum_by(n, |i| a[i])]);
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(product) - exact).abs() < 1e-4);
        }
    }

    fn folds_have_the_bits_of_halves<const P: usize>() {
        let values = [1.5, -0.0, 0.0, f32::NAN, -2.25, f32::INFINITY, 1e-40, f32::NEG_INFINITY, 0.1];
        for shift in 0..values.len() {
            // All values, and the finite ones.
            for count in [values.len(), 3] {
                let parts: [f32; P] = std::array::from_fn(|i| values[(i * 5 + shift) % count] + (i / 7) as f32);
                let sum = fold(parts, |a, b| a + b);
                let max = fold(parts, |a, b| if b > a { b } else { a });
                assert!(total(parts).to_bits() == sum.to_bits() || total(parts).is_nan() && sum.is_nan());
                assert_eq!(largest(parts).to_bits(), max.to_bits());
            }
        }
    }

    #[test]
    fn registers_fold_as_arrays() {
        folds_have_the_bits_of_halves::<16>();
        folds_have_the_bits_of_halves::<64>();
    }
}
