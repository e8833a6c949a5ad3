//! Layer normalisation over the last axis of `[rows, n]`, computed in [`Element::Acc`].

use crate::dtype::Element;
use crate::math::Real;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::Scratch;
use crate::softmax::FloatElement;
use crate::sums::{sum, sums};

/// Minimum elements of a task.
const TASK: usize = 1 << 13;
/// Maximum number of blocks of rows, which have partial sums of the gradients of the parameters.
const BLOCKS: usize = 16;

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

multiversion! {
    unsafe fn forward[S, T: FloatElement](
        n: usize,
        x: &[T],
        gamma: Option<&[T]>,
        beta: Option<&[T]>,
        epsilon: f64,
        y: &mut [T],
    ) {
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let (mean, scale) = moments(x, T::Acc::from_f64(epsilon));
            match (gamma, beta) {
                (Some(gamma), Some(beta)) => {
                    for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                        *y = T::from_acc((x.to_acc() - mean) * scale * gamma.to_acc() + beta.to_acc());
                    }
                }
                (Some(gamma), None) => {
                    for ((y, x), gamma) in y.iter_mut().zip(x).zip(gamma) {
                        *y = T::from_acc((x.to_acc() - mean) * scale * gamma.to_acc());
                    }
                }
                (None, Some(beta)) => {
                    for ((y, x), beta) in y.iter_mut().zip(x).zip(beta) {
                        *y = T::from_acc((x.to_acc() - mean) * scale + beta.to_acc());
                    }
                }
                (None, None) => {
                    for (y, x) in y.iter_mut().zip(x) {
                        *y = T::from_acc((x.to_acc() - mean) * scale);
                    }
                }
            }
        }
    }

    unsafe fn backward[S, T: FloatElement](
        n: usize,
        x: &[T],
        gamma: &[T],
        epsilon: f64,
        ct: &[T],
        dx: &mut [T],
        dgamma: &mut [T::Acc],
        dbeta: &mut [T::Acc],
    ) {
        let count = T::Acc::from_f64(n as f64);
        for ((x, ct), dx) in x.chunks_exact(n).zip(ct.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let (mean, scale) = moments(x, T::Acc::from_f64(epsilon));
            let [sum_g, sum_gx] = sums([x, ct, gamma], |[x, ct, gamma]| {
                let weighted = ct.to_acc() * gamma.to_acc();
                [weighted, weighted * ((x.to_acc() - mean) * scale)]
            });
            let (mean_g, mean_gx) = (sum_g / count, sum_gx / count);
            let sums = dgamma.iter_mut().zip(&mut *dbeta);
            for ((((dx, x), ct), gamma), (dgamma, dbeta)) in dx.iter_mut().zip(x).zip(ct).zip(gamma).zip(sums) {
                let (normal, ct) = ((x.to_acc() - mean) * scale, ct.to_acc());
                *dx = T::from_acc((ct * gamma.to_acc() - mean_g - normal * mean_gx) * scale);
                *dgamma = *dgamma + ct * normal;
                *dbeta = *dbeta + ct;
            }
        }
    }
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
    gamma: Option<&[T]>,
    beta: Option<&[T]>,
    epsilon: f64,
    y: &mut [T],
) {
    assert!(x.len() == rows * n && y.len() == rows * n, "an operand does not hold {rows} x {n} elements");
    assert!(
        gamma.is_none_or(|g| g.len() == n) && beta.is_none_or(|b| b.len() == n),
        "a parameter does not have {n} elements"
    );
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
    gamma: Option<&[T]>,
    epsilon: f64,
    ct: &[T],
    dx: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
    scratch: &mut Scratch,
) {
    assert!([x.len(), ct.len(), dx.len()] == [rows * n; 3], "an operand does not hold {rows} x {n} elements");
    assert!(gamma.is_none_or(|g| g.len() == n), "gamma does not have {n} elements");
    assert!(dgamma.len() == n && dbeta.len() == n, "the gradient of a parameter does not have {n} elements");
    let blocks = (rows * n).div_ceil(TASK).clamp(1, BLOCKS).min(rows.max(1));
    let partial = scratch.take::<T::Acc>(blocks * 2 * n);
    partial.fill(T::Acc::ZERO);
    if n > 0 {
        let ones = if gamma.is_none() { vec![T::ONE; n] } else { vec![] };
        let gamma = gamma.unwrap_or(&ones);
        let body = backward::<T>();
        let (sums, out) = (SharedMut::new(&mut *partial), SharedMut::new(dx));
        pool.run(blocks, &|block| {
            let range = block * rows / blocks * n..(block + 1) * rows / blocks * n;
            // SAFETY: blocks of rows and their partial sums are disjoint; the kernel is compiled for this machine.
            unsafe {
                let (dgamma, dbeta) = sums.range(block * 2 * n..(block + 1) * 2 * n).split_at_mut(n);
                body(n, &x[range.clone()], gamma, epsilon, &ct[range.clone()], out.range(range), dgamma, dbeta);
            }
        });
    }
    for (i, (dgamma, dbeta)) in dgamma.iter_mut().zip(dbeta).enumerate() {
        let total = |at: usize| (1..blocks).fold(partial[at], |sum, block| sum + partial[block * 2 * n + at]);
        *dgamma = T::from_acc(total(i));
        *dbeta = T::from_acc(total(n + i));
    }
}

#[cfg(test)]
mod tests;
