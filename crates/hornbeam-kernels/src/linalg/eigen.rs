//! Eigenvalues of symmetric matrices and singular values, by Jacobi rotations: accurate to the last digits even for small
//! values, and fast enough for the sizes of models.

use super::{dot, for_each_matrix, Scalar};
use crate::pool::ThreadPool;
use crate::scratch::with_local;

/// Maximum number of sweeps: convergence is quadratic, after six to ten sweeps usually.
const SWEEPS: usize = 60;

/// Rotation `(c, s)` that diagonalises the 2x2 matrix `[[a, b], [b, d]]`.
fn rotation<T: Scalar>(a: T, b: T, d: T) -> (T, T) {
    let two = T::ONE + T::ONE;
    let theta = (d - a) / (two * b);
    let t = T::ONE.copysign(theta) / (theta.abs() + theta.hypot(T::ONE));
    let c = T::ONE / t.hypot(T::ONE);
    (c, t * c)
}

/// Computes `(x, y) = (c x - s y, s x + c y)`.
fn rotate<T: Scalar>(x: &mut [T], y: &mut [T], c: T, s: T) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

/// Returns rows `p < q` of a matrix with rows of `n`.
fn rows<T>(a: &mut [T], n: usize, p: usize, q: usize) -> (&mut [T], &mut [T]) {
    let (left, right) = a.split_at_mut(q * n);
    (&mut left[p * n..][..n], &mut right[..n])
}

/// Computes ascending eigenvalues `w` of `[batch, n]` and eigenvectors, the columns of `v` of `[batch, n, n]`, of symmetric
/// `x` (the lower triangle is read).
pub fn eigh<T: Scalar>(pool: &ThreadPool, n: usize, x: &[T], w: &mut [T], v: &mut [T]) {
    assert_eq!(x.len(), v.len());
    for_each_matrix(pool, [w, v], [n, n * n], &|i, [w, v]| {
        with_local(|scratch| {
            // Row j of `vectors` is the j-th eigenvector, so that rotations access contiguous memory.
            let (a, vectors) = scratch.take2::<T, T>(n * n, n * n);
            for row in 0..n {
                for column in 0..n {
                    a[row * n + column] = x[i * n * n + row.max(column) * n + row.min(column)];
                    vectors[row * n + column] = if row == column { T::ONE } else { T::ZERO };
                }
            }
            if !jacobi(a, vectors, n) {
                w.fill(T::NAN);
                return v.fill(T::NAN);
            }
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&p, &q| a[p * n + p].partial_cmp(&a[q * n + q]).unwrap_or(std::cmp::Ordering::Equal));
            for (column, &j) in order.iter().enumerate() {
                w[column] = a[j * n + j];
                for row in 0..n {
                    v[row * n + column] = vectors[j * n + row];
                }
            }
        });
    });
}

/// Diagonalises symmetric `a`. Returns false if it contains NaN or infinity.
fn jacobi<T: Scalar>(a: &mut [T], vectors: &mut [T], n: usize) -> bool {
    if !a.iter().all(|x| x.is_finite()) {
        return false;
    }
    // Elements below this are rounding errors of the largest.
    let largest = a.iter().fold(T::ZERO, |m, x| if x.abs() > m { x.abs() } else { m });
    let floor = largest * T::EPSILON * T::EPSILON;
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let b = a[p * n + q];
                let (app, aqq) = (a[p * n + p], a[q * n + q]);
                let size = T::EPSILON * (app.abs() * aqq.abs()).sqrt();
                if b.abs() <= size || b.abs() <= floor {
                    a[p * n + q] = T::ZERO;
                    a[q * n + p] = T::ZERO;
                    continue;
                }
                rotated = true;
                let (c, s) = rotation(app, b, aqq);
                let (row_p, row_q) = rows(a, n, p, q);
                rotate(row_p, row_q, c, s);
                for row in a.chunks_exact_mut(n) {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                a[p * n + q] = T::ZERO;
                a[q * n + p] = T::ZERO;
                let (vector_p, vector_q) = rows(vectors, n, p, q);
                rotate(vector_p, vector_q, c, s);
            }
        }
        if !rotated {
            break;
        }
    }
    true
}

/// Computes the reduced decomposition `x = u diag(s) vh` by one-sided Jacobi rotations: for `x` of `[batch, m, n]` and
/// `k = min(m, n)`, `u` is `[batch, m, k]`, `s` is `[batch, k]`, descending, and `vh` is `[batch, k, n]`.
pub fn svd<T: Scalar>(pool: &ThreadPool, [m, n]: [usize; 2], x: &[T], u: &mut [T], s: &mut [T], vh: &mut [T]) {
    let k = m.min(n);
    assert!(u.len() * n == x.len() * k && vh.len() * m == x.len() * k, "u and vh do not fit x of {m} x {n}");
    for_each_matrix(pool, [u, s, vh], [m * k, k, k * n], &|i, [u, s, vh]| {
        let x = &x[i * m * n..][..m * n];
        let long = m.max(n);
        with_local(|scratch| {
            // The k vectors along the shorter side of x, each contiguous: rows of a wide matrix, columns of a tall one.
            let (a, other) = scratch.take2::<T, T>(k * long, k * k);
            for j in 0..k {
                for l in 0..long {
                    a[j * long + l] = if m >= n { x[l * n + j] } else { x[j * n + l] };
                }
                for l in 0..k {
                    other[j * k + l] = if j == l { T::ONE } else { T::ZERO };
                }
            }
            if !orthogonalise(a, other, k, long) {
                u.fill(T::NAN);
                s.fill(T::NAN);
                return vh.fill(T::NAN);
            }
            let norms: Vec<T> = a.chunks_exact(long).map(norm).collect();
            let mut order: Vec<usize> = (0..k).collect();
            order.sort_by(|&p, &q| norms[q].partial_cmp(&norms[p]).unwrap_or(std::cmp::Ordering::Equal));
            let smallest = norms[order[0]] * T::EPSILON * T::from_f64(long as f64);
            for (rank, &j) in order.iter().enumerate() {
                s[rank] = norms[j];
                if norms[j] > smallest {
                    a[j * long..][..long].iter_mut().for_each(|v| *v /= norms[j]);
                } else {
                    // The vector of a vanishing singular value is arbitrary: any unit vector orthogonal to the others.
                    complete(a, long, &order[..rank], j);
                }
                let (long_side, short_side) = (&a[j * long..][..long], &other[j * k..][..k]);
                let (left, right) = if m >= n { (long_side, short_side) } else { (short_side, long_side) };
                for row in 0..m {
                    u[row * k + rank] = left[row];
                }
                vh[rank * n..][..n].copy_from_slice(right);
            }
        });
    });
}

fn norm<T: Scalar>(x: &[T]) -> T {
    let largest = x.iter().fold(T::ZERO, |m, v| if v.abs() > m { v.abs() } else { m });
    if largest == T::ZERO {
        return T::ZERO;
    }
    x.iter().map(|v| (*v / largest) * (*v / largest)).sum::<T>().sqrt() * largest
}

/// Rotates the `k` rows of `a` until they are orthogonal, and the rows of `other` likewise. Returns false if `a` contains
/// NaN or infinity.
fn orthogonalise<T: Scalar>(a: &mut [T], other: &mut [T], k: usize, long: usize) -> bool {
    if !a.iter().all(|x| x.is_finite()) {
        return false;
    }
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..k {
            for q in p + 1..k {
                let (x, y) = rows(a, long, p, q);
                let (xx, xy, yy) = (dot(x, x), dot(x, y), dot(y, y));
                let size = T::EPSILON * T::from_f64(4.0) * (xx.sqrt() * yy.sqrt());
                if xy.abs() <= size || xy == T::ZERO {
                    continue;
                }
                rotated = true;
                let (c, s) = rotation(xx, xy, yy);
                rotate(x, y, c, s);
                let (x, y) = rows(other, k, p, q);
                rotate(x, y, c, s);
            }
        }
        if !rotated {
            break;
        }
    }
    true
}

/// Sets row `j` to a unit vector orthogonal to the rows `done`, by repeated Gram-Schmidt orthogonalisation of a basis vector.
fn complete<T: Scalar>(a: &mut [T], long: usize, done: &[usize], j: usize) {
    for axis in 0..long {
        let mut v = vec![T::ZERO; long];
        v[axis] = T::ONE;
        for _ in 0..2 {
            for &p in done {
                let row = &a[p * long..][..long];
                super::axpy(-dot(&v, row), row, &mut v);
            }
        }
        let length = norm(&v);
        // Some axis keeps at least 1/sqrt(long) of its length outside the span of fewer than `long` orthonormal vectors.
        if length * length * T::from_f64(2.0 * long as f64) > T::ONE {
            v.iter_mut().for_each(|v| *v /= length);
            return a[j * long..][..long].copy_from_slice(&v);
        }
    }
}
