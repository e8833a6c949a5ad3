//! Factors multiply back to the matrix and have their defining properties.

use super::*;
use crate::testing::Random;

fn product<T: Scalar>(a: &[T], b: &[T], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for l in 0..k {
            for j in 0..n {
                c[i * n + j] += a[i * k + l].to_f64() * b[l * n + j].to_f64();
            }
        }
    }
    c
}

fn transposed<T: Copy>(a: &[T], [m, n]: [usize; 2]) -> Vec<T> {
    (0..m * n).map(|i| a[i % m * n + i / m]).collect()
}

fn close<T: Scalar>(got: &[f64], want: &[T], name: &str) {
    let scale = want.iter().fold(1.0, |m: f64, x| m.max(x.to_f64().abs()));
    let slack = T::EPSILON.to_f64() * 100.0 * scale;
    for (got, want) in got.iter().zip(want) {
        assert!((got - want.to_f64()).abs() <= slack, "{name}: {got}, not {want:?}");
    }
}

fn identity<T: Scalar>(n: usize) -> Vec<T> {
    (0..n * n).map(|i| if i % (n + 1) == 0 { T::ONE } else { T::ZERO }).collect()
}

const SHAPES: [[usize; 2]; 8] = [[1, 1], [2, 2], [5, 5], [7, 3], [3, 7], [40, 40], [33, 20], [20, 50]];

fn factorise_all<T: Scalar>(threads: usize) -> Vec<f64> {
    let pool = ThreadPool::new(threads);
    let mut results: Vec<f64> = Vec::new();
    for [m, n] in SHAPES {
        let (batch, k) = (3, m.min(n));
        let x: Vec<T> = Random::new((m * n) as u64).values(batch * m * n);
        let part = |a: &[T], i: usize, size: usize| a[i * size..][..size].to_vec();

        let (mut q, mut r) = (vec![T::ZERO; batch * m * k], vec![T::ZERO; batch * k * n]);
        qr(&pool, [m, n], &x, &mut q, &mut r);
        let (mut u, mut s, mut vh) = (q.clone(), vec![T::ZERO; batch * k], r.clone());
        svd(&pool, [m, n], &x, &mut u, &mut s, &mut vh);
        let (mut factors, mut pivots, mut permutation) = (x.clone(), vec![0; batch * k], vec![0; batch * m]);
        lu(&pool, [m, n], &x, &mut factors, &mut pivots, &mut permutation);
        for i in 0..batch {
            let x = part(&x, i, m * n);
            let (q, r) = (part(&q, i, m * k), part(&r, i, k * n));
            close(&product(&q, &r, [m, k, n]), &x, "qr");
            close(&product(&transposed(&q, [m, k]), &q, [k, m, k]), &identity::<T>(k), "q orthonormal");
            assert!((0..k).all(|row| (0..row).all(|column| r[row * n + column] == T::ZERO)));

            let (u, s, vh) = (part(&u, i, m * k), part(&s, i, k), part(&vh, i, k * n));
            close(&product(&transposed(&u, [m, k]), &u, [k, m, k]), &identity::<T>(k), "u orthonormal");
            close(&product(&vh, &transposed(&vh, [k, n]), [k, n, k]), &identity::<T>(k), "vh orthonormal");
            assert!(s.windows(2).all(|w| w[0] >= w[1]) && s[k - 1] >= T::ZERO);
            let scaled: Vec<T> = u.iter().enumerate().map(|(at, u)| *u * s[at % k]).collect();
            close(&product(&scaled, &vh, [m, k, n]), &x, "svd");

            let f = part(&factors, i, m * n);
            let lower: Vec<T> = (0..m * k)
                .map(|at| match (at / k).cmp(&(at % k)) {
                    std::cmp::Ordering::Less => T::ZERO,
                    std::cmp::Ordering::Equal => T::ONE,
                    std::cmp::Ordering::Greater => f[at / k * n + at % k],
                })
                .collect();
            let upper: Vec<T> = (0..k * n).map(|at| if at / n <= at % n { f[at] } else { T::ZERO }).collect();
            let rows: Vec<T> =
                permutation[i * m..][..m].iter().flat_map(|&p| x[p as usize * n..][..n].to_vec()).collect();
            close(&product(&lower, &upper, [m, k, n]), &rows, "lu");
            let mut swapped: Vec<i32> = (0..m as i32).collect();
            pivots[i * k..][..k].iter().enumerate().for_each(|(step, &p)| swapped.swap(step, p as usize));
            assert_eq!(swapped, permutation[i * m..][..m]);
        }
        results.extend([&q, &r, &u, &s, &vh, &factors].iter().flat_map(|v| v.iter().map(|x| x.to_f64())));
        if m == n {
            symmetric(&pool, n, &x, &mut results);
        }
    }
    results
}

fn symmetric<T: Scalar>(pool: &ThreadPool, n: usize, x: &[T], results: &mut Vec<f64>) {
    let batch = x.len() / (n * n);
    // x x^T + 1 is positive definite; x + x^T is symmetric.
    let mut definite = Vec::new();
    let mut symmetric = Vec::new();
    for x in x.chunks_exact(n * n) {
        let square = product(x, &transposed(x, [n, n]), [n, n, n]);
        definite.extend(square.iter().enumerate().map(|(at, v)| T::from_f64(v + f64::from(at % (n + 1) == 0))));
        symmetric.extend(x.iter().zip(transposed(x, [n, n])).map(|(a, b)| *a + b));
    }
    let mut l = vec![T::ZERO; x.len()];
    cholesky(pool, n, &definite, &mut l);
    let (mut w, mut v) = (vec![T::ZERO; batch * n], vec![T::ZERO; x.len()]);
    eigh(pool, n, &symmetric, &mut w, &mut v);
    for i in 0..batch {
        let (l, a) = (&l[i * n * n..][..n * n], &definite[i * n * n..][..n * n]);
        close(&product(l, &transposed(l, [n, n]), [n, n, n]), a, "cholesky");
        assert!((0..n).all(|row| (row + 1..n).all(|column| l[row * n + column] == T::ZERO)));
        let (w, v) = (&w[i * n..][..n], &v[i * n * n..][..n * n]);
        assert!(w.windows(2).all(|p| p[0] <= p[1]));
        close(&product(&transposed(v, [n, n]), v, [n, n, n]), &identity::<T>(n), "eigenvectors orthonormal");
        let scaled: Vec<T> = v.iter().enumerate().map(|(at, v)| *v * w[at % n]).collect();
        close(&product(&scaled, &transposed(v, [n, n]), [n, n, n]), &symmetric[i * n * n..][..n * n], "eigh");
    }
    for lower in [false, true] {
        for transpose in [false, true] {
            for unit in [false, true] {
                solve(pool, n, lower, transpose, unit, &l, results);
            }
        }
    }
    results.extend(w.iter().chain(&v).map(|x| x.to_f64()));
}

fn solve<T: Scalar>(
    pool: &ThreadPool,
    n: usize,
    lower: bool,
    transpose: bool,
    unit: bool,
    l: &[T],
    results: &mut Vec<f64>,
) {
    // The unused triangle, and a unit diagonal, hold NaN.
    let batch = l.len() / (n * n);
    let a: Vec<T> = (0..l.len())
        .map(|at| {
            let (i, row, column) = (at / (n * n), at / n % n, at % n);
            let (major, minor) = (row.max(column), row.min(column));
            let inside = if lower { row >= column } else { row <= column };
            let value = l[i * n * n + major * n + minor] / T::from_f64(if row == column { 1.0 } else { n as f64 });
            if !inside || (unit && row == column) {
                T::NAN
            } else {
                value
            }
        })
        .collect();
    let m = 3;
    let b: Vec<T> = Random::new(n as u64 + 9).values(batch * n * m);
    let mut x = vec![T::ZERO; b.len()];
    triangular_solve(pool, [n, m], lower, transpose, unit, &a, &b, &mut x);
    for i in 0..batch {
        let filled: Vec<T> = a[i * n * n..][..n * n]
            .iter()
            .enumerate()
            .map(|(at, v)| {
                if unit && at % (n + 1) == 0 {
                    T::ONE
                } else if v.is_nan() {
                    T::ZERO
                } else {
                    *v
                }
            })
            .collect();
        let filled = if transpose { transposed(&filled, [n, n]) } else { filled };
        let back = product(&filled, &x[i * n * m..][..n * m], [n, n, m]);
        close(&back, &b[i * n * m..][..n * m], "triangular solve");
    }
    results.extend(x.iter().map(|x| x.to_f64()));
}

#[test]
fn factors_multiply_back_on_any_number_of_threads() {
    assert_eq!(factorise_all::<f64>(1), factorise_all::<f64>(3));
    assert_eq!(factorise_all::<f32>(1), factorise_all::<f32>(2));
}

#[test]
fn singular_input_gives_nan() {
    let pool = ThreadPool::new(1);
    let mut l = [0.0f64; 8];
    cholesky(&pool, 2, &[1.0, 2.0, 2.0, 1.0, 4.0, 0.0, 2.0, 10.0], &mut l);
    assert!(l[..4].iter().all(|x| x.is_nan()));
    assert_eq!(l[4..], [2.0, 0.0, 1.0, 3.0]);
    let (mut w, mut v) = ([0.0f32; 2], [0.0f32; 4]);
    eigh(&pool, 2, &[f32::NAN, 0.0, 0.0, 1.0], &mut w, &mut v);
    assert!(w.iter().chain(&v).all(|x| x.is_nan()));
}

#[test]
fn singular_matrices_keep_orthonormal_vectors() {
    let pool = ThreadPool::new(1);
    for [m, n] in [[4usize, 4], [6, 3], [3, 6]] {
        for rank in [0, 1, 2] {
            let k = m.min(n);
            let left: Vec<f64> = Random::new(1).values(m * rank);
            let right: Vec<f64> = Random::new(2).values(rank * n);
            let x = product(&left, &right, [m, rank, n]);
            let (mut u, mut s, mut vh) = (vec![0.0; m * k], vec![0.0; k], vec![0.0; k * n]);
            svd(&pool, [m, n], &x, &mut u, &mut s, &mut vh);
            close(&product(&transposed(&u, [m, k]), &u, [k, m, k]), &identity::<f64>(k), "u orthonormal");
            close(&product(&vh, &transposed(&vh, [k, n]), [k, n, k]), &identity::<f64>(k), "vh orthonormal");
            assert!(s[rank..].iter().all(|s| *s < 1e-14) && s[..rank].iter().all(|s| *s > 1e-3));
            let scaled: Vec<f64> = u.iter().enumerate().map(|(at, u)| u * s[at % k]).collect();
            close(&product(&scaled, &vh, [m, k, n]), &x, "svd");
        }
    }
}

#[test]
fn eigenvectors_of_general_matrices() {
    let pool = ThreadPool::new(1);
    let mut random = Random::new(3);
    let rotation = vec![0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0];
    let cyclic: Vec<f64> = (0..36).map(|at| f64::from((at / 6 + 1) % 6 == at % 6)).collect();
    let defective = vec![2.0, 1.0, 0.0, 2.0];
    for (n, re) in
        [(1, vec![3.0]), (3, rotation), (6, cyclic), (2, defective), (9, random.values(81)), (4, vec![0.0; 16])]
    {
        for im in [vec![0.0; n * n], random.values::<f64>(n * n)] {
            let (mut w, mut v) = ([vec![0.0; n], vec![0.0; n]], [vec![0.0; n * n], vec![0.0; n * n]]);
            let ([w_re, w_im], [v_re, v_im]) = (&mut w, &mut v);
            eig(&pool, n, [&re, &im], [w_re, w_im], [v_re, v_im]);
            // x v = v diag(w), by parts.
            let by = |a: &[f64], b: &[f64]| product(a, b, [n, n, n]);
            let scaled =
                |v: &[f64], w: &[f64]| -> Vec<f64> { v.iter().enumerate().map(|(at, v)| v * w[at % n]).collect() };
            let minus = |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
            let plus = |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
            let real = minus(scaled(&v[0], &w[0]), scaled(&v[1], &w[1]));
            let imag = plus(scaled(&v[0], &w[1]), scaled(&v[1], &w[0]));
            close(&minus(by(&re, &v[0]), by(&im, &v[1])), &real, "real part of eig");
            close(&plus(by(&re, &v[1]), by(&im, &v[0])), &imag, "imaginary part of eig");
            for k in 0..n {
                let norm: f64 = (0..n).map(|i| v[0][i * n + k].powi(2) + v[1][i * n + k].powi(2)).sum();
                assert!((norm - 1.0).abs() < 1e-12, "vector {k} has the squared norm {norm}");
            }
        }
    }
    let (mut w, mut z) = ([0.0f32], [0.0f32]);
    let (mut v, mut u) = ([0.0f32], [0.0f32]);
    eig(&pool, 1, [&[f32::INFINITY], &[0.0]], [&mut w, &mut z], [&mut v, &mut u]);
    assert!(w[0].is_nan() && u[0].is_nan());
}
