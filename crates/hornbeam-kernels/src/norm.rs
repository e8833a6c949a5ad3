//! Layer normalisation and root-mean-square normalisation over the last axis of `[rows, n]`, computed in [`Element::Acc`], of
//! which the parameters and their gradients are.

use crate::dtype::Element;
use crate::math::Real;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{Plain, Scratch};
use crate::softmax::FloatElement;
use crate::sums::{block, sum, sums};
use std::ops::Range;

/// Minimum elements of a task.
const TASK: usize = 1 << 13;
/// Maximum number of blocks of rows, which have partial sums of the gradients of the parameters.
const BLOCKS: usize = 16;
/// Rows whose gradients are computed together, so that `gamma` and the sums over rows are loaded and stored once for both.
const ROWS: usize = 2;
/// Columns that they are computed for at a time. LLVM may leave a shorter loop scalar, as for [`WIDE`](crate::sums::WIDE).
const COLUMNS: usize = 32;

/// Computes the mean of a row and `1 / sqrt(variance + epsilon)`, with the variance from the deviations.
#[inline(always)]
fn moments<T: FloatElement>(x: &[T], epsilon: T::Acc) -> (T::Acc, T::Acc) {
    let n = T::Acc::from_f64(x.len() as f64);
    let mean = sum([x], |[x]| x.to_acc()) / n;
    let variance = sum([x], |[x]| {
        let d = x.to_acc() - mean;
        d * d
    }) / n;
    (mean, (variance + epsilon).rsqrt())
}

/// Computes `1 / sqrt(mean(x^2) + epsilon)` of a row.
#[inline(always)]
fn rms_scale<T: FloatElement>(x: &[T], epsilon: T::Acc) -> T::Acc {
    (sum([x], |[x]| x.to_acc() * x.to_acc()) / T::Acc::from_f64(x.len() as f64) + epsilon).rsqrt()
}

multiversion! {
    unsafe fn forward[S, T: FloatElement; T::DTYPE.copies()](
        n: usize, x: &[T], gamma: &[T::Acc], beta: &[T::Acc], epsilon: f64, y: &mut [T],
    ) {
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let (mean, scale) = moments(x, T::Acc::from_f64(epsilon));
            for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = T::from_acc((x.to_acc() - mean) * scale * *gamma + *beta);
            }
        }
    }

    unsafe fn rms_forward[S, T: FloatElement; T::DTYPE.copies()](n: usize, x: &[T], gamma: &[T::Acc], epsilon: f64, y: &mut [T]) {
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let scale = rms_scale(x, T::Acc::from_f64(epsilon));
            for ((y, x), gamma) in y.iter_mut().zip(x).zip(gamma) {
                *y = T::from_acc(x.to_acc() * scale * *gamma);
            }
        }
    }

    unsafe fn rms_backward[S, T: FloatElement; T::DTYPE.copies()](
        n: usize, x: &[T], gamma: &[T::Acc], epsilon: f64, ct: &[T], dx: &mut [T], dgamma: &mut [T::Acc],
    ) {
        for ((x, ct), dx) in x.chunks_exact(n).zip(ct.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let scale = rms_scale(x, T::Acc::from_f64(epsilon));
            let [sum] = sums([x, ct], [gamma], |[x, ct], [gamma]| [ct.to_acc() * gamma * (x.to_acc() * scale)]);
            let mean = sum / T::Acc::from_f64(n as f64);
            for ((((dx, x), ct), gamma), dgamma) in dx.iter_mut().zip(x).zip(ct).zip(gamma).zip(&mut *dgamma) {
                let (normal, ct) = (x.to_acc() * scale, ct.to_acc());
                *dx = T::from_acc((ct * *gamma - normal * mean) * scale);
                *dgamma = *dgamma + ct * normal;
            }
        }
    }

    unsafe fn backward[S, T: FloatElement; T::DTYPE.copies()](
        n: usize, x: &[T], gamma: &[T::Acc], epsilon: f64, ct: &[T], dx: &mut [T], dgamma: &mut [T::Acc],
        dbeta: &mut [T::Acc],
    ) {
        let epsilon = T::Acc::from_f64(epsilon);
        let pairs = x.len() / (n * ROWS) * ROWS * n;
        for start in (0..pairs).step_by(n * ROWS) {
            let rows = start..start + ROWS * n;
            let (x, ct) = (&x[rows.clone()], &ct[rows.clone()]);
            gradients_of_rows::<T, ROWS>(n, x, gamma, epsilon, ct, &mut dx[rows], dgamma, dbeta);
        }
        for start in (pairs..x.len()).step_by(n) {
            let row = start..start + n;
            let (x, ct) = (&x[row.clone()], &ct[row.clone()]);
            gradients_of_rows::<T, 1>(n, x, gamma, epsilon, ct, &mut dx[row], dgamma, dbeta);
        }
    }
}

/// Statistics of a row: `[mean, scale, mean(g), mean(g * h)]`, with the names of [`layer_norm_grad`].
#[inline(always)]
fn statistics<T: FloatElement>(x: &[T], gamma: &[T::Acc], epsilon: T::Acc, ct: &[T]) -> [T::Acc; 4] {
    let n = T::Acc::from_f64(x.len() as f64);
    let mean = sum([x], |[x]| x.to_acc()) / n;
    let [squares, sum_g, sum_gd] = sums([x, ct], [gamma], |[x, ct], [gamma]| {
        let (d, g) = (x.to_acc() - mean, ct.to_acc() * gamma);
        [d * d, g, g * d]
    });
    let scale = (squares / n + epsilon).rsqrt();
    [mean, scale, sum_g / n, sum_gd * scale / n]
}

/// Computes the input gradients of `R` rows, and adds the terms of these rows to the sums over rows, in order.
#[inline(always)]
fn gradients_of_rows<T: FloatElement, const R: usize>(
    n: usize,
    x: &[T],
    gamma: &[T::Acc],
    epsilon: T::Acc,
    ct: &[T],
    dx: &mut [T],
    dgamma: &mut [T::Acc],
    dbeta: &mut [T::Acc],
) {
    let mut of_rows = [[T::Acc::ZERO; 4]; R];
    for (r, of_row) in of_rows.iter_mut().enumerate() {
        *of_row = statistics(&x[r * n..(r + 1) * n], gamma, epsilon, &ct[r * n..(r + 1) * n]);
    }
    let done = gradients_of_columns::<T, R, COLUMNS>(0, n, x, gamma, of_rows, ct, dx, dgamma, dbeta);
    gradients_of_columns::<T, R, 1>(done, n, x, gamma, of_rows, ct, dx, dgamma, dbeta);
}

/// Computes [`gradients_of_rows`] for blocks of `C` of the columns from `first` on. Returns the first column that is left.
#[inline(always)]
fn gradients_of_columns<T: FloatElement, const R: usize, const C: usize>(
    first: usize,
    n: usize,
    x: &[T],
    gamma: &[T::Acc],
    of_rows: [[T::Acc; 4]; R],
    ct: &[T],
    dx: &mut [T],
    dgamma: &mut [T::Acc],
    dbeta: &mut [T::Acc],
) -> usize {
    let end = n - (n - first) % C;
    for start in (first..end).step_by(C) {
        let gamma: &[T::Acc; C] = block(gamma, start);
        let mut dgammas: [T::Acc; C] = *block(dgamma, start);
        let mut dbetas: [T::Acc; C] = *block(dbeta, start);
        let mut gradients = [[T::ZERO; C]; R];
        for r in 0..R {
            let [mean, scale, mean_g, mean_gh] = of_rows[r];
            let (x, ct): (&[T; C], &[T; C]) = (block(x, r * n + start), block(ct, r * n + start));
            for j in 0..C {
                let (normal, ct) = ((x[j].to_acc() - mean) * scale, ct[j].to_acc());
                gradients[r][j] = T::from_acc((ct * gamma[j] - mean_g - normal * mean_gh) * scale);
                dgammas[j] = dgammas[j] + ct * normal;
                dbetas[j] = dbetas[j] + ct;
            }
        }
        // All stores follow all loads: where rows are a multiple of a page apart, a load that follows a store waits.
        for r in 0..R {
            dx[r * n + start..][..C].copy_from_slice(&gradients[r]);
        }
        dgamma[start..][..C].copy_from_slice(&dgammas);
        dbeta[start..][..C].copy_from_slice(&dbetas);
    }
    end
}

/// Computes `y = (x - mean) / sqrt(variance + epsilon) * gamma + beta` for each row, with the biased variance (Ba et al.
/// 2016).
///
/// # Panics
/// If a slice does not have its length.
pub fn layer_norm<T: FloatElement>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    x: &[T],
    gamma: &[T::Acc],
    beta: &[T::Acc],
    epsilon: f64,
    y: &mut [T],
) {
    assert!(x.len() == rows * n && y.len() == rows * n, "an operand does not hold {rows} x {n} elements");
    assert!([gamma.len(), beta.len()] == [n; 2], "a parameter does not have {n} elements");
    if rows * n == 0 {
        return;
    }
    let body = forward::<T>();
    let chunk = TASK.div_ceil(n) * n;
    pool.run_chunks(y, chunk, &|index, y| {
        let x = &x[index * chunk..index * chunk + y.len()];
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { body(n, x, gamma, beta, epsilon, y) };
    });
}

/// Computes the gradients of [`layer_norm`]: with `h = (x - mean) * s`, `s = 1 / sqrt(variance + epsilon)` and `g = ct * gamma`,
/// `dx = s * (g - mean(g) - h * mean(g * h))`, `dgamma = sum over rows of ct * h`, `dbeta = sum over rows of ct`.
///
/// # Panics
/// If a slice does not have its length.
pub fn layer_norm_grad<T: FloatElement>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    x: &[T],
    gamma: &[T::Acc],
    epsilon: f64,
    ct: &[T],
    dx: &mut [T],
    dgamma: &mut [T::Acc],
    dbeta: &mut [T::Acc],
    scratch: &mut Scratch,
) {
    assert!([x.len(), ct.len(), dx.len()] == [rows * n; 3], "an operand does not hold {rows} x {n} elements");
    assert!(
        [gamma.len(), dgamma.len(), dbeta.len()] == [n; 3],
        "a parameter or its gradient does not have {n} elements"
    );
    let body = backward::<T>();
    let out = SharedMut::new(dx);
    let blocks = sum_blocks(pool, rows, n, 2 * n, scratch, &|range, sums| {
        let (dgamma, dbeta) = sums.split_at_mut(n);
        // SAFETY: blocks of rows are disjoint; the kernel is compiled for this machine.
        unsafe { body(n, &x[range.clone()], gamma, epsilon, &ct[range.clone()], out.range(range), dgamma, dbeta) };
    });
    store_sums(&blocks, dgamma, 0);
    store_sums(&blocks, dbeta, n);
}

/// Computes `y = x / sqrt(mean(x^2) + epsilon) * gamma` for each row (Zhang and Sennrich 2019).
///
/// # Panics
/// If a slice does not have its length.
pub fn rms_norm<T: FloatElement>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    x: &[T],
    gamma: &[T::Acc],
    epsilon: f64,
    y: &mut [T],
) {
    assert!([x.len(), y.len()] == [rows * n; 2], "an operand does not hold {rows} x {n} elements");
    assert_eq!(gamma.len(), n, "gamma does not have {n} elements");
    if rows * n == 0 {
        return;
    }
    let body = rms_forward::<T>();
    let chunk = TASK.div_ceil(n) * n;
    pool.run_chunks(y, chunk, &|index, y| {
        let x = &x[index * chunk..index * chunk + y.len()];
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { body(n, x, gamma, epsilon, y) };
    });
}

/// Computes the gradients of [`rms_norm`]: with `h = x * s`, `s = 1 / sqrt(mean(x^2) + epsilon)` and `g = ct * gamma`,
/// `dx = s * (g - h * mean(g * h))`, `dgamma = sum over rows of ct * h`.
///
/// # Panics
/// If a slice does not have its length.
pub fn rms_norm_grad<T: FloatElement>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    x: &[T],
    gamma: &[T::Acc],
    epsilon: f64,
    ct: &[T],
    dx: &mut [T],
    dgamma: &mut [T::Acc],
    scratch: &mut Scratch,
) {
    assert!([x.len(), ct.len(), dx.len()] == [rows * n; 3], "an operand does not hold {rows} x {n} elements");
    assert!([gamma.len(), dgamma.len()] == [n; 2], "gamma or its gradient does not have {n} elements");
    let body = rms_backward::<T>();
    let out = SharedMut::new(dx);
    let blocks = sum_blocks(pool, rows, n, n, scratch, &|range, sums| {
        // SAFETY: blocks of rows are disjoint; the kernel is compiled for this machine.
        unsafe { body(n, &x[range.clone()], gamma, epsilon, &ct[range.clone()], out.range(range), sums) };
    });
    store_sums(&blocks, dgamma, 0);
}

/// Runs `body` with the elements of each block of rows and the `width` sums of that block, and returns the sums of all
/// blocks.
fn sum_blocks<'a, A: Real + Plain>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    width: usize,
    scratch: &'a mut Scratch,
    body: &(dyn Fn(Range<usize>, &mut [A]) + Sync),
) -> Vec<&'a [A]> {
    let blocks = (rows * n).div_ceil(TASK).clamp(1, BLOCKS).min(rows.max(1));
    let sums = scratch.take::<A>(blocks * width);
    sums.fill(A::ZERO);
    if n > 0 {
        pool.run_chunks(sums, width, &|block, sums| {
            body(block * rows / blocks * n..(block + 1) * rows / blocks * n, sums);
        });
    }
    let sums: &[A] = sums;
    (0..blocks).map(|block| &sums[block * width..][..width]).collect()
}

/// Stores the totals of the sums of blocks, from the one at `first` on.
fn store_sums<A: Real>(blocks: &[&[A]], out: &mut [A], first: usize) {
    for (i, out) in out.iter_mut().enumerate() {
        let sums = blocks.iter().map(|sums| sums[first + i]);
        *out = sums.reduce(|a, b| a + b).unwrap_or(A::ZERO);
    }
}

mod groups;
#[cfg(test)]
mod tests;

pub use groups::{group_norm, group_norm_grad, GroupShape};
