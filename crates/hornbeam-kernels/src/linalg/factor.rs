//! Cholesky, LU and QR factorisations, and triangular solves.

use super::{axpy, dot, for_each_matrix, Scalar};
use crate::math::Real;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;

/// Computes the lower triangular `l` with `l l^T = x`, for symmetric positive definite `x` of shape `[batch, n, n]` (the
/// lower triangle is read). A matrix that is not positive definite gives NaN.
pub fn cholesky<T: Scalar>(pool: &ThreadPool, n: usize, x: &[T], l: &mut [T]) {
    assert_eq!(x.len(), l.len());
    for_each_matrix(pool, [l], [n * n], &|i, [l]| {
        l.copy_from_slice(&x[i * n * n..][..n * n]);
        for row in 0..n {
            let (above, rest) = l.split_at_mut(row * n);
            let current = &mut rest[..n];
            for column in 0..row {
                let other = &above[column * n..][..=column];
                let sum = dot(&current[..column], &other[..column]);
                current[column] = (current[column] - sum) / other[column];
            }
            let rest = current[row] - dot(&current[..row], &current[..row]);
            if rest.is_nan() || rest <= T::ZERO {
                return l.fill(T::NAN);
            }
            current[row] = rest.sqrt();
            current[row + 1..].fill(T::ZERO);
        }
    });
}

/// Solves `op(a) x = b` for triangular `a` of shape `[batch, n, n]` and `b` of `[batch, n, m]`, where `op` is the
/// transpose or the identity. Only the `lower` (or upper) triangle is read; `unit_diagonal` assumes a diagonal of ones.
pub fn triangular_solve<T: Scalar>(
    pool: &ThreadPool,
    [n, m]: [usize; 2],
    lower: bool,
    transpose: bool,
    unit_diagonal: bool,
    a: &[T],
    b: &[T],
    x: &mut [T],
) {
    assert_eq!(b.len(), x.len());
    for_each_matrix(pool, [x], [n * m], &|i, [x]| {
        let a = &a[i * n * n..][..n * n];
        x.copy_from_slice(&b[i * n * m..][..n * m]);
        let at = |row: usize, column: usize| if transpose { a[column * n + row] } else { a[row * n + column] };
        let forward = lower != transpose;
        for step in 0..n {
            let row = if forward { step } else { n - 1 - step };
            let solved = if forward { 0..row } else { row + 1..n };
            for other in solved {
                let (target, source) = two_rows(x, m, row, other);
                axpy(-at(row, other), source, target);
            }
            if !unit_diagonal {
                let pivot = at(row, row);
                x[row * m..][..m].iter_mut().for_each(|x| *x /= pivot);
            }
        }
    });
}

/// Returns rows `a` (mutable) and `b` of a matrix with `m` columns.
fn two_rows<T>(x: &mut [T], m: usize, a: usize, b: usize) -> (&mut [T], &[T]) {
    if a < b {
        let (left, right) = x.split_at_mut(b * m);
        (&mut left[a * m..][..m], &right[..m])
    } else {
        let (left, right) = x.split_at_mut(a * m);
        (&mut right[..m], &left[b * m..][..m])
    }
}

/// Computes `x[permutation] = l u` with partial pivoting, for `x` of `[batch, m, n]`.
///
/// `factors` holds `u` and below it `l` without its unit diagonal. Step `i` exchanges row `i` with row `pivots[i]`;
/// `pivots` is `[batch, min(m, n)]` and `permutation` is `[batch, m]`. A zero pivot stays in `u`.
pub fn lu<T: Scalar>(
    pool: &ThreadPool,
    [m, n]: [usize; 2],
    x: &[T],
    factors: &mut [T],
    pivots: &mut [i32],
    permutation: &mut [i32],
) {
    let k = m.min(n);
    assert_eq!(x.len(), factors.len());
    let batch = x.len().checked_div(m * n).unwrap_or(0);
    assert!(
        pivots.len() == batch * k && permutation.len() == batch * m,
        "pivots and permutation do not fit {batch} matrices {m} x {n}"
    );
    let (pivots, permutation) = (SharedMut::new(pivots), SharedMut::new(permutation));
    for_each_matrix(pool, [factors], [m * n], &|i, [a]| {
        // SAFETY: parts of different tasks are disjoint.
        let (pivots, permutation) =
            unsafe { (pivots.range(i * k..(i + 1) * k), permutation.range(i * m..(i + 1) * m)) };
        a.copy_from_slice(&x[i * m * n..][..m * n]);
        permutation.iter_mut().enumerate().for_each(|(row, p)| *p = row as i32);
        for step in 0..k {
            let mut best = step;
            for row in step + 1..m {
                if a[row * n + step].abs() > a[best * n + step].abs() {
                    best = row;
                }
            }
            pivots[step] = best as i32;
            if best != step {
                permutation.swap(step, best);
                let (left, right) = a.split_at_mut(best * n);
                left[step * n..][..n].swap_with_slice(&mut right[..n]);
            }
            let pivot = a[step * n + step];
            if pivot == T::ZERO {
                continue;
            }
            let (above, below) = a.split_at_mut((step + 1) * n);
            let top = &above[step * n..];
            for row in below.chunks_exact_mut(n) {
                let factor = row[step] / pivot;
                row[step] = factor;
                axpy(-factor, &top[step + 1..], &mut row[step + 1..]);
            }
        }
    });
}

/// Computes the reduced factorisation `x = q r` by Householder reflections: for `x` of `[batch, m, n]`, `q` is `[batch, m, k]` with orthonormal
/// columns and `r` is `[batch, k, n]` upper triangular, `k = min(m, n)`. Signs follow LAPACK.
pub fn qr<T: Scalar>(pool: &ThreadPool, [m, n]: [usize; 2], x: &[T], q: &mut [T], r: &mut [T]) {
    let k = m.min(n);
    assert!(q.len() * n == x.len() * k && r.len() * m == x.len() * k, "q and r do not fit x of {m} x {n}");
    for_each_matrix(pool, [q, r], [m * k, k * n], &|i, [q, r]| {
        with_local(|scratch| {
            // Columns of x, each contiguous, with the reflections below their diagonal; and the factors of the reflections.
            let (a, tau) = scratch.take2::<T, T>(m * n, k);
            for row in 0..m {
                for column in 0..n {
                    a[column * m + row] = x[(i * m + row) * n + column];
                }
            }
            for step in 0..k {
                let (left, right) = a.split_at_mut((step + 1) * m);
                let v = &mut left[step * m + step..];
                tau[step] = reflector(v);
                for column in right.chunks_exact_mut(m) {
                    reflect(tau[step], &v[1..], &mut column[step..]);
                }
            }
            for row in 0..k {
                for column in 0..n {
                    r[row * n + column] = if column < row { T::ZERO } else { a[column * m + row] };
                }
            }
            // Apply the product of the reflections to the first k unit vectors.
            with_local(|scratch| {
                let unit = scratch.take::<T>(m);
                for column in 0..k {
                    unit.fill(T::ZERO);
                    unit[column] = T::ONE;
                    // Reflections after `column` do not change this unit vector.
                    for step in (0..=column).rev() {
                        reflect(tau[step], &a[step * m + step + 1..(step + 1) * m], &mut unit[step..]);
                    }
                    for row in 0..m {
                        q[row * k + column] = unit[row];
                    }
                }
            });
        });
    });
}

/// Computes the Householder reflection of `x`: stores the remaining value in `x[0]` and the vector, whose first element is
/// one, in `x[1..]`. Returns the factor `tau` of `I - tau v v^T`.
fn reflector<T: Scalar>(x: &mut [T]) -> T {
    let largest = x[1..].iter().fold(T::ZERO, |m, v| Real::max(m, v.abs()));
    if largest == T::ZERO {
        return T::ZERO;
    }
    // Scaled, so that squares neither overflow nor vanish.
    let norm = x[1..].iter().map(|v| (*v / largest) * (*v / largest)).sum::<T>().sqrt() * largest;
    let beta = -x[0].hypot(norm).copysign(x[0]);
    let tau = (beta - x[0]) / beta;
    let scale = x[0] - beta;
    x[1..].iter_mut().for_each(|v| *v /= scale);
    x[0] = beta;
    tau
}

/// Computes `y -= tau v (v^T y)` with `v = (1, tail)`.
fn reflect<T: Scalar>(tau: T, tail: &[T], y: &mut [T]) {
    let factor = tau * (y[0] + dot(tail, &y[1..]));
    y[0] -= factor;
    axpy(-factor, tail, &mut y[1..]);
}
