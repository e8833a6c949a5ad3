//! Sums over rows. They use sixteen interleaved partial sums that are added in order, the same on every machine.

use crate::math::Real;

/// Interleaved partial sums.
pub(crate) const PARTIALS: usize = 16;

/// Sums `f` of the elements at each position of slices that are at least as long as the first.
#[inline(always)]
pub(crate) fn sum<const K: usize, T: Copy, A: Real>(slices: [&[T]; K], f: impl Fn([T; K]) -> A) -> A {
    let [sum] = sums(slices, |values| [f(values)]);
    sum
}

/// Sums several functions at once; see [`sum`].
#[inline(always)]
pub(crate) fn sums<const K: usize, const M: usize, T: Copy, A: Real>(
    slices: [&[T]; K],
    f: impl Fn([T; K]) -> [A; M],
) -> [A; M] {
    let n = slices[0].len();
    let slices = slices.map(|slice| &slice[..n]);
    let full = n / PARTIALS * PARTIALS;
    let mut parts = [[A::ZERO; PARTIALS]; M];
    for start in (0..full).step_by(PARTIALS) {
        // Blocks of known length, so that the loop over them becomes vector instructions without checks.
        let blocks: [&[T; PARTIALS]; K] =
            slices.map(|slice| slice[start..start + PARTIALS].try_into().expect("a block has its length"));
        for j in 0..PARTIALS {
            let terms = f(blocks.map(|block| block[j]));
            for (part, term) in parts.iter_mut().zip(terms) {
                part[j] = part[j] + term;
            }
        }
    }
    for j in 0..n - full {
        let terms = f(slices.map(|slice| slice[full + j]));
        for (part, term) in parts.iter_mut().zip(terms) {
            part[j] = part[j] + term;
        }
    }
    parts.map(total)
}

/// Sums `f` over `0..n`.
#[inline(always)]
pub(crate) fn sum_by<A: Real>(n: usize, f: impl Fn(usize) -> A) -> A {
    let mut parts = [A::ZERO; PARTIALS];
    for i in 0..n {
        parts[i % PARTIALS] = parts[i % PARTIALS] + f(i);
    }
    total(parts)
}

#[inline(always)]
fn total<A: Real>(mut parts: [A; PARTIALS]) -> A {
    let mut width = PARTIALS / 2;
    while width > 0 {
        for j in 0..width {
            parts[j] = parts[j] + parts[j + width];
        }
        width /= 2;
    }
    parts[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sums_add_in_the_same_order() {
        for n in [0, 1, 15, 16, 17, 100, 1000] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..n).map(|i| (i as f32 * 0.73).cos()).collect();
            let product = sum_by(n, |i| a[i] * b[i]);
            assert_eq!(sum([&a, &b], |[a, b]| a * b), product);
            assert_eq!(sums([&a, &b], |[a, b]| [a * b, a]), [product, sum_by(n, |i| a[i])]);
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(product) - exact).abs() < 1e-4);
        }
    }
}
