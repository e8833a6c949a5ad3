//! Layer normalisation over the last axis of `[rows, n]`, computed in [`Element::Acc`].

use crate::dtype::Element;
use crate::math::Real;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::Scratch;
use crate::softmax::{sum, FloatElement};

/// Minimum elements of a task.
const TASK: usize = 1 << 13;
/// Maximum number of blocks of rows, which have partial sums of the gradients of the parameters.
const BLOCKS: usize = 16;

/// Computes the mean of a row and `1 / sqrt(variance + epsilon)`, with the variance from the deviations.
#[inline(always)]
fn moments<T: FloatElement>(x: &[T], epsilon: T::Acc) -> (T::Acc, T::Acc) {
    let n = T::Acc::from_f64(x.len() as f64);
    let mean = sum(x.len(), |i| x[i].to_acc()) / n;
    let variance = sum(x.len(), |i| {
        let d = x[i].to_acc() - mean;
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
        gamma: Option<&[T]>,
        epsilon: f64,
        ct: &[T],
        dx: &mut [T],
        dgamma: &mut [T::Acc],
        dbeta: &mut [T::Acc],
    ) {
        let count = T::Acc::from_f64(n as f64);
        for ((x, ct), dx) in x.chunks_exact(n).zip(ct.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let (mean, scale) = moments(x, T::Acc::from_f64(epsilon));
            let weight = |i: usize| match gamma {
                Some(gamma) => ct[i].to_acc() * gamma[i].to_acc(),
                None => ct[i].to_acc(),
            };
            let mean_g = sum(n, weight) / count;
            let mean_gx = sum(n, |i| weight(i) * ((x[i].to_acc() - mean) * scale)) / count;
            for i in 0..n {
                let normal = (x[i].to_acc() - mean) * scale;
                dx[i] = T::from_acc((weight(i) - mean_g - normal * mean_gx) * scale);
                dgamma[i] = dgamma[i] + ct[i].to_acc() * normal;
                dbeta[i] = dbeta[i] + ct[i].to_acc();
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
mod tests {
    use super::*;
    use crate::dtype::{bf16, f16, DType};
    use crate::simd::{with_isa, Isa};
    use crate::testing::Random;

    fn close<T: Element>(name: &str, got: &[T], want: &[f64], scale: f64) {
        let tolerance = match T::DTYPE {
            DType::F32 => 2e-6,
            DType::F64 => 1e-14,
            DType::F16 => 2e-3,
            _ => 1.6e-2,
        };
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let error = (got.to_f64() - want).abs();
            assert!(
                error <= tolerance * (scale + want.abs()),
                "{name} {} at {i}: {} for {want}",
                T::DTYPE,
                got.to_f64()
            );
        }
    }

    fn check<T: FloatElement>(random: &mut Random, rows: usize, n: usize) {
        let (x, ct) = (random.values::<T>(rows * n), random.values::<T>(rows * n));
        let (gamma, beta) = (random.values::<T>(n), random.values::<T>(n));
        let gamma = (random.below(3) > 0).then_some(&gamma[..]);
        let beta = (random.below(3) > 0).then_some(&beta[..]);
        let epsilon = 1e-3;
        let [mut y, mut dx] = [vec![], vec![]];
        let [mut dgamma, mut dbeta] = [vec![0.0; n], vec![0.0; n]];
        for r in 0..rows {
            let x: Vec<f64> = x[r * n..(r + 1) * n].iter().map(|v| v.to_f64()).collect();
            let mean = x.iter().sum::<f64>() / n as f64;
            let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
            let s = 1.0 / (variance + epsilon).sqrt();
            let h: Vec<f64> = x.iter().map(|v| (v - mean) * s).collect();
            let c: Vec<f64> = ct[r * n..(r + 1) * n].iter().map(|v| v.to_f64()).collect();
            let g: Vec<f64> = (0..n).map(|i| c[i] * gamma.map_or(1.0, |g| g[i].to_f64())).collect();
            let (mg, mgh) =
                (g.iter().sum::<f64>() / n as f64, g.iter().zip(&h).map(|(g, h)| g * h).sum::<f64>() / n as f64);
            for i in 0..n {
                y.push(h[i] * gamma.map_or(1.0, |g| g[i].to_f64()) + beta.map_or(0.0, |b| b[i].to_f64()));
                dx.push(s * (g[i] - mg - h[i] * mgh));
                dgamma[i] += c[i] * h[i];
                dbeta[i] += c[i];
            }
        }
        let mut before: Option<Vec<u64>> = None;
        for threads in [1, 2, 3] {
            let pool = ThreadPool::new(threads);
            let mut got: [Vec<T>; 2] = std::array::from_fn(|_| vec![T::ZERO; rows * n]);
            let mut params: [Vec<T>; 2] = std::array::from_fn(|_| vec![T::ONE; n]);
            let ([gy, gx], [gg, gb]) = (&mut got, &mut params);
            layer_norm(&pool, rows, n, &x, gamma, beta, epsilon, gy);
            layer_norm_grad(&pool, rows, n, &x, gamma, epsilon, &ct, gx, gg, gb, &mut Scratch::new());
            close("layer_norm", gy, &y, 1.0);
            close("dx", gx, &dx, 32.0);
            close("dgamma", gg, &dgamma, (rows as f64).sqrt() * 4.0);
            close("dbeta", gb, &dbeta, (rows as f64).sqrt() * 4.0);
            let bits = got.iter().chain(&params).flatten().map(|v| v.to_f64().to_bits()).collect();
            assert!(before.as_ref().is_none_or(|before| *before == bits), "{threads} threads differ: {rows} x {n}");
            before = Some(bits);
        }
    }

    #[test]
    fn floats_agree_with_the_definition_on_every_instruction_set() {
        for isa in Isa::available() {
            with_isa(isa, || {
                let mut random = Random::new(10);
                for (rows, n) in [(128, 64), (1, 1), (7, 3), (300, 33), (20, 700), (2, 5000)] {
                    check::<f32>(&mut random, rows, n);
                    check::<f64>(&mut random, rows, n);
                    check::<f16>(&mut random, rows, n);
                    check::<bf16>(&mut random, rows, n);
                }
            });
        }
    }

    #[test]
    fn a_large_mean_does_not_cancel_the_variance() {
        let x: Vec<f32> = (0..64).map(|i| 1e4 + (i % 2) as f32).collect();
        let mut y = vec![0f32; 64];
        layer_norm(&ThreadPool::new(1), 1, 64, &x, None, None, 0.0, &mut y);
        for (i, y) in y.iter().enumerate() {
            assert!((y - if i % 2 == 0 { -1.0 } else { 1.0 }).abs() < 1e-3, "{y}");
        }
    }
}
